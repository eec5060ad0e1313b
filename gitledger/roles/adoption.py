"""Going over to the other side of a fork, on purpose, or staying (spec 10: moving is an explicit act).

The other side is verified anew from the last snapshot that both have in common. The branch and the tags above that move
in one transaction; what is left behind is kept under `refs/gitledger/foreign/`; the checkout stays where it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from gitledger.errors import Failed, Malformed, Refused, Usage
from gitledger.objects.codec import digest
from gitledger.roles import ascent, consumer, foreign
from gitledger.roles.foreign import KnownFork, Side
from gitledger.roles.place import Place, Progress, silent
from gitledger.rules.advance import ancestor
from gitledger.rules.state import Snapshot

_NAMED = re.compile(r"(sha256:)?[0-9a-f]{8,64}")


@dataclass(frozen=True, slots=True)
class Move:
    """What adopting the side `chosen` of `fork` does: `newest` is what is verified then, after `base`, common to both.

    `verified` is the commit that was verified when it was looked at.

    `left` are the names of the first and the newest snapshot that are left behind, `count` how many they are.
    """

    fork: KnownFork
    chosen: Side
    left_side: Side
    base: Snapshot
    newest: Snapshot
    verified: str

    @property
    def stays(self) -> bool:
        """Whether it is the side that this place is on."""
        return self.chosen.oid == self.fork.here.oid

    @property
    def left(self) -> tuple[str, str]:
        return self.fork.name, self.left_side.newest

    @property
    def count(self) -> int:
        first, newest = (int(name.rpartition("@")[2]) for name in self.left)
        return newest - first + 1


def look(place: Place, named: str | None = None, *, progress: Progress = silent) -> Move:
    """What it would do to adopt the side that `named` means, verified anew; None: the one that seals a rotation.

    `named` is the snapshot hash, or 8 hex of its beginning or more, or the commit of the first or the newest snapshot
    of a side that is kept. Raises Usage on a host, Malformed (`side-name`), Refused (`no-fork`, `no-such-side`,
    `ambiguous`, `which-side`, `side-not-valid`).
    """
    if place.role == "host":
        raise Usage("on-the-host", "this is the host: its branch moves by pushes alone", "adopt in a clone")
    place.settle()
    fork, chosen = _named(place, named) if named is not None else _sealing(place)
    verified = place.verified
    base = ancestor(verified, fork.number - 1)
    if chosen.oid == fork.here.oid:
        return Move(fork, chosen, fork.there, base, verified, verified.oid)
    return Move(fork, chosen, fork.here, base, _climbed(place, fork, chosen, base, progress), verified.oid)


def adopt(place: Place, move: Move) -> Place:
    """Do it; the place as it stands then. What is interrupted is finished by the next command, or was not begun.

    Raises Failed (`moved-meanwhile`) where another command has verified anything since `look`.
    """
    if Place.of(place.store).verified.oid != move.verified:
        raise Failed("moved-meanwhile", "another command has verified more meanwhile", "look again: gitledger adopt")
    foreign.choose(place, move.fork, move.chosen)
    if not move.stays:
        place = place.advanced(move.newest, leaving=move.verified)
    consumer.settle(place)
    return place


def _climbed(place: Place, fork: KnownFork, chosen: Side, base: Snapshot, progress: Progress) -> Snapshot:
    """The newest snapshot of a side, by `advance` from the base. Raises Refused (`side-not-valid`)."""
    try:
        path = ascent.Path(place.store, chosen.tip, base.oid)
        if not path.led or path[0] != chosen.oid:
            raise Refused("wrong-parent", f"{chosen.tip} does not lead down to {chosen.oid}")
        newest, _ = ascent.climb(base, path, progress=progress)
    except (Refused, Malformed) as error:
        raise Refused(
            "side-not-valid", f"that side of {fork.name} is not valid: {error}", "stay where you are: gitledger status"
        ) from error
    return newest


def _sealing(place: Place) -> tuple[KnownFork, Side]:
    """The one side of an unresolved fork that seals a quorum's rotation."""
    forks = foreign.forks(place)
    if not forks:
        raise Refused("no-fork", "there is no fork to resolve here", "gitledger status")
    found = [(fork, side) for fork in forks for side in (fork.here, fork.there) if side.rotates_to]
    if len(found) != 1:
        what = "more than one side seals" if found else "no side seals"
        raise Refused(
            "which-side", f"{what} a quorum's rotation; name a side:\n" + "\n".join(_listed(forks)), _mend(forks)
        )
    return found[0]


def _named(place: Place, named: str) -> tuple[KnownFork, Side]:
    if not _NAMED.fullmatch(named):
        raise Malformed(
            "side-name",
            f"{named[:80]!r} is no snapshot hash, nor 8 hex of its beginning, nor the commit of a snapshot",
            "gitledger status   (shows the forks)",
        )
    every = foreign.known(place)
    found = [(fork, side) for fork in every for side in fork.sides if _means(place, named, side)]
    found = [one for one in found if not one[0].resolved] or found
    if len(found) == 1 or (found and all(side.oid == fork.here.oid for fork, side in found)):
        return found[0]  # of several forks, each of which says to stay, the first
    if found:
        raise Refused(
            "ambiguous",
            f"{named} means several sides:\n" + "\n".join(_listed(fork for fork, _ in found)),
            _mend(every),
        )
    for number, oid in foreign.misconducts(place).items():
        if _is(named, oid, digest(place.store.read(oid, "commit"))):
            raise Refused(
                "side-not-valid",
                f"{named} is kept as a proof of misconduct at {place.name}@{number}, and is not valid",
                "stay where you are: gitledger status",
            )
    sides = "".join(f"\n{line}" for line in _listed(every)) or " none"
    raise Refused(
        "no-such-side",
        f"{named} begins or ends no side of a fork that is kept here; there are:{sides}",
        _mend(every),
    )


def _means(place: Place, named: str, side: Side) -> bool:
    return _is(named, side.oid, side.hash) or _is(named, side.tip, digest(place.store.read(side.tip, "commit")))


def _is(named: str, oid: str, snapshot_hash: str) -> bool:
    digits = named.removeprefix("sha256:")
    return named == oid or snapshot_hash.removeprefix("sha256:").startswith(digits)


def _listed(forks: Iterable[KnownFork]) -> Iterator[str]:
    for fork in forks:
        places = ("here", f"at {fork.remote}", *("left before" for _ in fork.others))
        for where, side in zip(places, fork.sides, strict=True):
            seals = f", seals a rotation to {side.rotates_to}" if side.rotates_to else ""
            yield f"{fork.name} {where}: {side.hash}, up to {side.newest}, by {side.witness}{seals}"


def _mend(forks: tuple[KnownFork, ...]) -> str:
    return "gitledger adopt HASH" if forks else "gitledger status"
