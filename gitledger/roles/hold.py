"""What holds the branch of a host: a rotation that waits to be sealed, and a freeze (spec 8, On the host).

While complete rotations of the newest snapshot wait and their grace period lasts, nothing but the seal of a rotation
may be emitted. Grace counts from when this place first saw one complete, which it notes in `gitledger/rotations.json`;
a clone keeps the same note, so that an honest witness signs nothing that its host would refuse.

A freeze holds the branch in the same way, for as long as whoever runs the host said, while endorsements are gathered:
a hostile witness would otherwise outrun every one of them by emitting again. It is tied to the witness in office, so
the seal of a rotation ends it. Neither is part of validity, and neither holds on a stick or a forge.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import msgspec

from gitledger.documents.names import LONGEST_SECONDS
from gitledger.errors import Failed, Refused, Usage
from gitledger.roles.notes import ROTATIONS, Seconds, must_read, write_durably
from gitledger.roles.place import Place
from gitledger.rules import rotations
from gitledger.rules.rotations import Drafted, Rotations

_FROZEN: Final = "frozen.json"


@dataclass(frozen=True, slots=True)
class Frozen:
    """The branch is held from `since` until `until`, in seconds since 1970."""

    since: int
    until: int


class _Ice(msgspec.Struct, frozen=True):
    """A freeze as it is noted: the seal of a rotation changes since when the witness is in office, and ends it."""

    since: Seconds
    until: Seconds
    witness_since: str


def note(place: Place, now: int) -> None:
    """Note at `now`, in seconds, which rotations of the newest snapshot are complete; those of older ones go."""
    complete = _waiting(place).complete
    known = _noted(place)
    first_seen = {one.hash: known.get(one.hash, now) for one in complete}
    if first_seen != known:
        ROTATIONS.write(place.directory, first_seen)


def held(place: Place, now: int) -> tuple[tuple[Drafted, int], ...]:
    """The complete rotations of the newest snapshot whose grace lasts at `now`, each with the second at which it ends.

    One that was not noted yet is taken as seen now. A grace period of nothing holds nothing.
    """
    ends = ((one, until(place, one, now)) for one in _waiting(place).complete)
    return tuple((one, end) for one, end in ends if now < end)


def until(place: Place, complete: Drafted, now: int) -> int:
    """The second at which the grace of a `complete` rotation ends, if it was noted here, or is seen now."""
    seen = _noted(place).get(complete.hash, now)
    return min(seen + place.verified.state.policy.grace_seconds, LONGEST_SECONDS)


def frozen(place: Place, now: int) -> Frozen | None:
    """The freeze of the host `place`, None where there is none, or none any more. Raises Failed where it is damaged."""
    path = place.directory / _FROZEN
    damaged = Failed(
        "freeze-damaged",
        f"{path} can't be read, and nothing is taken while it can't",
        "gitledger host thaw   (and, if it is to hold, gitledger host freeze again)",
    )
    ice = must_read(path, _Ice, damaged)
    if ice is None or ice.witness_since != place.verified.state.witness.since or now >= ice.until:
        return None
    return Frozen(ice.since, ice.until)


def freeze(place: Place, seconds: int, now: int) -> Frozen:
    """Hold the branch of the host `place` for `seconds` from `now` on.

    Raises Usage: `not-a-host`, `freeze-duration` for no time at all.
    """
    _must_be_host(place)
    if seconds < 1:
        raise Usage("freeze-duration", "a freeze lasts an hour at least", "gitledger host freeze --for 7d")
    made = Frozen(now, min(now + seconds, LONGEST_SECONDS))
    ice = _Ice(made.since, made.until, place.verified.state.witness.since)
    write_durably(place.directory / _FROZEN, msgspec.json.encode(ice).decode() + "\n")
    return made


def thaw(place: Place) -> bool:
    """End a freeze of the host `place`; returns whether there was one. Raises Usage in a clone."""
    _must_be_host(place)
    file = place.directory / _FROZEN
    there = file.exists()
    file.unlink(missing_ok=True)
    return there


def must_be_free(place: Place, now: int) -> None:
    """Raise Refused (`rotation-waits`, `frozen`) where nothing but the seal of a rotation may be emitted at `now`."""
    waits = held(place, now)
    if waits:
        to = " or ".join(sorted({one.new[0] for one, _ in waits}))
        seen = "" if place.role == "host" else "   (as first seen here: the host may have seen it earlier, and says so)"
        raise Refused(
            "rotation-waits",
            f"a quorum has rotated the witness to {to} on {place.verified.name}: until "
            f"{when(max(end for _, end in waits))} no snapshot is taken but the seal of a rotation",
            f"gitledger emit   (by {to}: seals it)\ngitledger rotate --to DOMAIN   (by the authorities, again)\n"
            f"gitledger rotations{seen}",
        )
    ice = frozen(place, now)
    if ice is not None:
        raise Refused(
            "frozen",
            f"whoever runs this host holds {place.name} at {place.verified.name} until {when(ice.until)}; until then "
            "no snapshot is taken but the seal of a rotation",
            "on the host: gitledger host thaw   (ends it)",
        )


def _waiting(place: Place) -> Rotations:
    refs = place.rotation_refs()
    return rotations.read(place.verified, refs) if refs else Rotations()


def _noted(place: Place) -> Mapping[str, int]:
    """When complete rotations were first seen, by H. What can't be read is as if seen now: the quorum loses nothing."""
    return ROTATIONS.read(place.directory) or {}


def _must_be_host(place: Place) -> None:
    if place.role != "host":
        raise Usage(
            "not-a-host",
            f"{place.store.git_dir} is a consumer's clone, and only the host's branch can be held",
            "on the machine of the host: gitledger -C HOST host freeze --for 7d",
        )


def when(seconds: int) -> str:
    """A time for a sentence, in UTC, up to the last second of the year 9999."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
