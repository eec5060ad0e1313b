"""What does not descend from the verified snapshot: told apart, kept, and never followed (spec 10, Consumer).

A side of a fork is kept up to its newest valid snapshot as `refs/gitledger/foreign/<number>/<its first commit>`, a
proof of misconduct as `…/<number>/misconduct`; each has an evidence file. At most `MOST` numbers are kept of forks that
nobody resolved, and of misconduct. Of a number, one side is kept beside the own, and every one that this place was ever
on; a side that seals a quorum's rotation takes the place of one that does not. `forks.json` notes the sides and which
was chosen; which one is *here* is not noted: it is the one that the verified line passes through.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import msgspec

from gitledger.documents import subset
from gitledger.errors import Failed, Fork, LedgerError, Malformed, Refused
from gitledger.objects.codec import Commit, digest
from gitledger.roles import ascent, evidence
from gitledger.roles.notes import write_durably
from gitledger.roles.place import Place, Progress
from gitledger.rules.advance import advance, ancestor
from gitledger.rules.entry import Entry
from gitledger.rules.state import Snapshot

FOREIGN: Final = "refs/gitledger/foreign/"
MOST: Final = 32
"""How many numbers forks are kept of, and how many numbers misconduct."""

_FORKS: Final = "forks.json"


@dataclass(frozen=True, slots=True)
class Side(evidence.Side):
    """One side of a fork that is kept: also the name of its newest valid snapshot, and the commit `tip` of that."""

    newest: str = ""
    tip: str = ""


class Noted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is noted of a fork: its sides, the one seen last at the end; where and when that was.

    `chosen` is the first commit of the side that was chosen, `been` has those of all that this place was ever on.
    """

    sides: tuple[Side, ...]
    been: tuple[str, ...]
    evidence: str
    remote: str
    seconds: int
    chosen: str = ""


@dataclass(frozen=True, slots=True)
class KnownFork:
    """A fork that is kept: `here` is the side of the verified line, `there` the other one, seen at `remote`.

    `others` are sides that this place was on once. `evidence` is the file that proves it, None where it would have been
    too large; `seconds` is when it was first seen.
    """

    name: str
    number: int
    here: Side
    there: Side
    others: tuple[Side, ...]
    evidence: Path | None
    remote: str
    seconds: int
    resolved: bool

    @property
    def sides(self) -> tuple[Side, ...]:
        """All that are kept, this place's own first."""
        return (self.here, self.there, *self.others)

    @property
    def sentence(self) -> str:
        """Who signed what, and which rotations are sealed: what follows on `FORK at common@43: `."""
        return _sentence(self.here, self.there, self.remote)


def forks(place: Place) -> tuple[KnownFork, ...]:
    """The forks that nobody has resolved yet, by number. Raises Failed (`forks-unreadable`)."""
    return tuple(fork for fork in known(place) if not fork.resolved)


def known(place: Place) -> tuple[KnownFork, ...]:
    """Every fork that is kept and still lies on the verified line, resolved or not, by number. Raises as `forks`."""
    found = (_known(place, number, one) for number, one in sorted(_noted(place).items()))
    return tuple(fork for fork in found if fork is not None)


def choose(place: Place, fork: KnownFork, chosen: Side) -> None:
    """Note that `chosen` is the side where this place is to be, and keep all; resolved once the line is there.

    Raises Refused (`no-fork`) where the fork is not noted any more.
    """
    noted = _noted(place)
    if (before := noted.get(fork.number)) is None:
        raise Refused("no-fork", f"the fork at {fork.name} is not noted here any more", "gitledger status")
    place.store.update([(_ref(fork.number, fork.here), fork.here.tip, None)])
    sides = tuple(fork.here if side.oid == fork.here.oid else side for side in before.sides)
    been = tuple(dict.fromkeys((*before.been, fork.here.oid, chosen.oid)))
    one = msgspec.structs.replace(before, sides=sides, been=been, chosen=chosen.oid)
    _note(place, {**noted, fork.number: one})


def name_of(place: Place, oid: str) -> str:
    """The name of the snapshot `oid` where a kept side that is not the verified line holds it; else empty."""
    try:
        number = Entry.parse(Commit.parse(place.store.read(oid, "commit")).message).number
    except LedgerError:
        return ""
    for side in (side for fork in known(place) for side in fork.sides[1:]):
        newest = int(side.newest.rpartition("@")[2])
        path = ascent.Path(place.store, side.tip, oid) if newest >= number else None
        if path is not None and path.led:
            return f"{place.name}@{number}"
    return ""


def follow(place: Place, tip: str, remote: str, *, progress: Progress, now: int) -> Snapshot | None:
    """Take what `remote` offers up to the commit `tip`, whose objects are here: climb, or judge what does not lead on.

    Returns the first snapshot that waits because it is dated ahead of the clock `now`. Raises what `climb` and `meet`
    raise; all that is valid before what is not has been taken.
    """
    verified = place.verified
    try:
        path = ascent.Path(place.store, tip, verified.oid)
        if not path.led:
            return meet(place, path, remote, progress=progress, now=now)
        _, ahead = climb(place, verified, path, progress=progress, now=now, keep=place.advanced)
        return ahead
    except (Refused, Malformed) as error:
        if error.rule not in ("other-ledger", "unknown-format") and ascent.ELSEWHERE not in error.mend:
            error.mend = ascent.ELSEWHERE
        raise


def climb(
    place: Place,
    base: Snapshot,
    path: ascent.Path,
    *,
    start: int = 0,
    progress: Progress,
    now: int,
    keep: Callable[[Snapshot], object],
) -> tuple[Snapshot, Snapshot | None]:
    """As `ascent.climb`; what stops it is kept where it proves misconduct, and the error says so."""
    reached = base

    def remember(snapshot: Snapshot) -> None:
        nonlocal reached
        reached = snapshot
        keep(snapshot)

    try:
        return ascent.climb(base, path, start=start, progress=progress, now=now, keep=remember)
    except (Refused, Malformed) as error:
        if error.rule != "unknown-format":  # which accuses nobody, and says itself what mends it
            error.mend = ascent.ELSEWHERE
            _keep_misconduct(place, reached, path[start + reached.number - base.number], error)
        raise


def meet(place: Place, path: ascent.Path, remote: str, *, progress: Progress, now: int) -> Snapshot | None:
    """Judge what `remote` offers by `path`, which does not descend from what is verified here; nothing moves for it.

    Returns the first snapshot of theirs where it is dated ahead of the clock `now`: it waits. Raises Fork where two
    valid snapshots follow on one, which are kept; Refused or Malformed where theirs is invalid, or of another ledger.
    """
    base, start = _parting(place, path, remote)
    reached, above = base, ""

    def remember(snapshot: Snapshot) -> None:
        nonlocal reached
        reached = snapshot

    ahead: Snapshot | None = None
    try:
        _, ahead = climb(place, base, path, start=start, progress=progress, now=now, keep=remember)
    except (Refused, Malformed) as error:
        if reached is base:
            raise
        above = f"; above it, {error}"
    if reached is base:
        return ahead
    fork = _fork(place, base, _side(advance(base, path[start]), reached), remote=remote, now=now)
    fork.what += above
    raise fork


def _parting(place: Place, path: ascent.Path, remote: str) -> tuple[Snapshot, int]:
    """The highest snapshot that `path` has in common with the verified line, and the index of what follows on it."""
    store, line = place.store, place.verified.state.line
    for index in range(len(path) - 1, -1, -1):
        row = line.snapshot(store, path[index])
        if row is not None:
            return ancestor(place.verified, row.number), index + 1
    raise Refused(
        "other-ledger",
        f"{remote} has another ledger, whose id is {digest(store.read(path[0], 'commit'))}",
        "compare the address with the one that you cloned from: git remote -v",
    )


def _fork(place: Place, base: Snapshot, there: Side, *, remote: str, now: int) -> Fork:
    """Keep the fork on `base` between the verified line and the side `there`; the error that says it."""
    verified, number = place.verified, base.number + 1
    ours = advance(base, verified.state.line.row(place.store, number).snapshot)
    here = _side(ours, verified)
    noted = _noted(place)
    before = noted.get(number)
    if before is not None and {here.oid, there.oid} <= {side.oid for side in before.sides}:
        _keep_newer(place, number, there)
        if before.chosen == here.oid:
            return _left(ours.name, here, there, remote)
        proof = _file(place, before.evidence)
        if proof is not None and not proof.exists():
            _evidence(place, base, (here.oid, there.oid), ours.name)
        return _told(ours.name, here, there, remote, proof)
    if (others := _with_room(place, noted, number, here, there)) is not None:
        name = _evidence(place, base, (here.oid, there.oid), ours.name)
        been = tuple(dict.fromkeys((*(before.been if before else ()), here.oid)))
        kept = tuple(side for side in (before.sides if before else ()) if side.oid in been and side.oid != here.oid)
        one = Noted(sides=(*kept, here, there), been=been, evidence=name, remote=remote, seconds=now)
        place.store.update([(_ref(number, side), side.tip, None) for side in one.sides])
        _note(place, {**others, number: one})
        _forget(place, number, one.sides)
        return _told(ours.name, here, there, remote, _file(place, name))
    error = _told(ours.name, here, there, remote, None)
    error.what += "; it is not kept, because as many forks are kept as may be, or another one of this number"
    error.mend = ascent.ELSEWHERE
    return error


def _with_room(
    place: Place, noted: Mapping[int, Noted], number: int, here: Side, there: Side
) -> Mapping[int, Noted] | None:
    """What is noted, with room for a fork at `number` between `here` and `there`; None where there is none.

    One whose other side seals a quorum's rotation takes the room of one that nobody resolved and that does not.
    """
    before = noted.get(number)
    if before is not None:
        others = [side for side in before.sides if side.oid not in (*before.been, here.oid)]
        return noted if not others or (there.rotates_to and not any(side.rotates_to for side in others)) else None
    counted = {fork.number: fork for fork in known(place) if not fork.resolved}
    if len(counted) < MOST:
        return noted
    lesser = [one for one, fork in counted.items() if not any(side.rotates_to for side in fork.sides)]
    if not there.rotates_to or not lesser:
        return None
    _forget(place, lesser[-1], ())
    return {one: said for one, said in noted.items() if one != lesser[-1]}


def _forget(place: Place, number: int, kept: tuple[Side, ...]) -> None:
    """Remove the refs of sides at `number` that are not `kept`."""
    wanted = {*(_ref(number, side) for side in kept), _misconduct_ref(number)}
    there = place.store.refs(f"{FOREIGN}{number}/")
    if gone := [(ref, None, oid) for ref, oid in there.items() if ref not in wanted]:
        place.store.update(gone)


def _keep_newer(place: Place, number: int, there: Side) -> None:
    """The kept side that begins as `there` does, as far as it has grown; it is the one that was seen last."""
    noted = _noted(place)
    one = noted[number]
    (before,) = (side for side in one.sides if side.oid == there.oid)
    grown = there if _longer(there, before) else before
    sides = (*(side for side in one.sides if side.oid != there.oid), grown)
    if sides != one.sides:
        place.store.update([(_ref(number, grown), grown.tip, None)])
        _note(place, {**noted, number: msgspec.structs.replace(one, sides=sides)})


def _longer(one: Side, other: Side) -> bool:
    return int(one.newest.rpartition("@")[2]) > int(other.newest.rpartition("@")[2])


def _evidence(place: Place, base: Snapshot, oids: tuple[str, str], name: str) -> str:
    """The name of the evidence file once it is written; empty where it would be too large."""
    try:
        return evidence.keep(place, name, evidence.of_fork(base, oids)).name
    except Refused as error:
        if error.rule != "evidence-too-large":
            raise
        return ""


def _keep_misconduct(place: Place, base: Snapshot, oid: str, error: LedgerError) -> None:
    """Keep the commit `oid`, which is not valid on `base`, where a present or former witness signed it.

    The `error` that it raised says so, and where its proof is, or why none is kept.
    """
    store, number, serving = place.store, base.number + 1, base.state.witness.pubkey_id
    try:
        key_id = evidence.signer(store, base, oid)
        if key_id not in evidence.witnesses(base.state) | evidence.witnesses(place.verified.state):
            return
    except (Refused, Malformed):  # nobody's word
        return
    error.what += "; a present or former witness signed it"
    kept = misconducts(place)
    before = kept.get(number, oid)
    if before != oid and (key_id != serving or evidence.signer(store, base, before) == serving):
        error.what += ", and another proof of misconduct is kept at this number"
        return
    if len(kept.keys() - {number}) >= MOST:
        error.what += f", and it is not kept: as many as {MOST} proofs of misconduct are"
        return
    try:
        path = evidence.keep(place, f"{place.name}@{number}", evidence.of_misconduct(base, oid))
    except (Refused, Malformed):  # too large, or by a key that the base knows as no witness's
        return
    store.update([(_misconduct_ref(number), oid, None)])
    error.what += ", so it is kept as a proof of misconduct"
    error.mend += f"\ngitledger evidence check {shlex.quote(str(path))}"


def misconducts(place: Place) -> dict[int, str]:
    """The commits that are kept as proofs of misconduct, by number."""
    refs = ((ref.removeprefix(FOREIGN).split("/"), oid) for ref, oid in place.store.refs(FOREIGN).items())
    return {int(number): oid for (number, *what), oid in refs if what == ["misconduct"]}


def _told(name: str, here: Side, there: Side, remote: str, proof: Path | None) -> Fork:
    mend = [ascent.ELSEWHERE]
    if proof is not None:
        mend.append(f"gitledger evidence check {shlex.quote(str(proof))}")
    mend += ["gitledger status", f"gitledger adopt {_short(there)}   (moves to the other side, on purpose)"]
    return Fork("fork", f"{name} was {_sentence(here, there, remote)}", "\n".join(mend))


def _left(name: str, here: Side, there: Side, remote: str) -> Fork:
    return Fork(
        "fork-left",
        f"{remote} still offers {name} as {there.oid}, the side that was left behind here",
        f"fetch from a mirror that has {here.oid}, or go over to the other side on purpose:\n"
        f"gitledger adopt {_short(there)}",
    )


def _sentence(here: Side, there: Side, remote: str) -> str:
    twice = here.key_id == there.key_id
    who = f"signed twice by {here.witness}, the witness" if twice else f"signed by {here.witness} and {there.witness}"
    said = [f"{who}: here it is {here.oid}, at {remote} it is {there.oid}"]
    for where, side in (("here", here), (f"at {remote}", there)):
        if side.rotates_to:
            by = ", ".join(side.endorsed)
            said.append(f"the one {where} seals a quorum's rotation to {side.rotates_to}, endorsed by {by}")
    if both := evidence.endorsed_both(here, there):
        said.append(f"{', '.join(both)} endorsed both rotations")
    return "; ".join(said)


def _short(side: Side) -> str:
    return side.hash.removeprefix("sha256:")[:16]


def _side(first: Snapshot, newest: Snapshot) -> Side:
    one = evidence.Side.of(first)
    return Side(
        oid=one.oid,
        hash=one.hash,
        witness=one.witness,
        key_id=one.key_id,
        rotates_to=one.rotates_to,
        rotation=one.rotation,
        endorsed=one.endorsed,
        newest=newest.name,
        tip=newest.oid,
    )


def _known(place: Place, number: int, noted: Noted) -> KnownFork | None:
    """The fork as it stands on the verified line; None where that passes through none of its sides."""
    verified = place.verified
    on_line = verified.state.line.row(place.store, number).snapshot if number <= verified.number else ""
    sides = {side.oid: side for side in noted.sides}
    if on_line not in sides:
        return None
    here = sides.pop(on_line)
    *others, there = sides.values()
    return KnownFork(
        name=f"{place.name}@{number}",
        number=number,
        here=replace(here, newest=verified.name, tip=verified.oid),
        there=there,
        others=tuple(others),
        evidence=_file(place, noted.evidence),
        remote=noted.remote,
        seconds=noted.seconds,
        resolved=noted.chosen == on_line,
    )


def _file(place: Place, name: str) -> Path | None:
    return place.directory / evidence.DIRECTORY / name if name else None


def _ref(number: int, side: Side) -> str:
    return f"{FOREIGN}{number}/{side.oid}"


def _misconduct_ref(number: int) -> str:
    return f"{FOREIGN}{number}/misconduct"


def _noted(place: Place) -> dict[int, Noted]:
    path = place.directory / _FORKS
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[int, Noted], strict=False)
    except FileNotFoundError:
        return {}
    except (msgspec.MsgspecError, LedgerError, ValueError):
        raise Failed(
            "forks-unreadable",
            f"{path} is damaged",
            f"rm {shlex.quote(str(path))}\ngitledger fetch   (notes what it sees)",
        ) from None


def _note(place: Place, noted: Mapping[int, Noted]) -> None:
    said = {str(number): one for number, one in noted.items()}
    write_durably(place.directory / _FORKS, subset.dump_json(said).decode())
