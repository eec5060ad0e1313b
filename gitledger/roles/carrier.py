"""The carrier: a file on a stick that holds what the other side lacks, in both directions (spec 12).

`out` writes one, `take` takes one in, `inspect` tells what is in one. What goes into it is of spec 2: the branch with
its snapshots, proposals, releases, endorsements, refusals, rotations; and one record by which the other side learns
what we have. Whatever it says is checked as if it had been pushed or fetched, by the same code: a host takes it by
pushes to itself, through its hooks, each thing on its own; a clone climbs from what is verified, and keeps the queue
apart.
"""

from __future__ import annotations

import re
import secrets
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Final, Literal

import msgspec

from gitledger.documents import subset
from gitledger.documents.names import SnapshotName, check_digest
from gitledger.errors import Fork, LedgerError, Malformed, Refused, about
from gitledger.exchange import bundles
from gitledger.exchange.bundles import Carried
from gitledger.objects.codec import Commit, digest
from gitledger.objects.store import Store
from gitledger.roles import ascent, consumer, foreign, sending, taking, upkeep
from gitledger.roles.notes import CARRIERS, Carriers
from gitledger.roles.offering import Item
from gitledger.roles.place import CARRIED, Place, Progress, silent
from gitledger.rules.entry import Entry
from gitledger.rules.line import Row

For = Literal["consumer", "witness", "authority"]

PLACES: Final = 64
"""Of how many other places it is remembered what they told; the one that was heard of least lately gives way."""

INSPECTED_COMMITS: Final = 100_000
"""How many commits of a bundle `inspect` looks into for names, those of all its refs together."""

_RECORD: Final = "refs/gitledger/carrier/"
_RECORD_REF = re.compile(rf"{_RECORD}([0-9a-f]{{16}})")
_RECORD_BYTES: Final = 4096
_LONGEST_LINE: Final = 100


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What whoever wrote a bundle says of itself and of it; nobody signs it, and nothing relies on it.

    `place` names the repository that it comes from, `snapshot` and `hash` the newest that is verified there, `since`
    the snapshot that it builds on (empty: none), `refs` the SHA-256 of its other refs as in `_refs_digest`.
    """

    artifact_type: Literal["asl.common.carrier"]
    hash: str
    ledger_id: str
    place: str
    refs: str
    role: Literal["host", "clone"]
    since: str
    snapshot: str
    version: Literal["0.1"]

    def __post_init__(self) -> None:
        for one in (self.hash, self.ledger_id, self.refs):
            check_digest(one)
        for name in (self.snapshot, *([self.since] if self.since else [])):
            SnapshotName.parse(name)


@dataclass(frozen=True, slots=True)
class Out:
    """What was written: `refs` by name, and the snapshots above `since` (None: from genesis on) up to `newest`."""

    refs: Mapping[str, str]
    since: str | None
    newest: str
    snapshots: int


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of taking one in: `place` is as it stands now, `before` the number that was verified before.

    `ahead` is the first snapshot that waits because it is dated ahead of this clock, by name and seconds.
    """

    place: Place
    record: Record | None
    before: int
    items: tuple[Item, ...]
    ahead: tuple[str, int] | None = None

    @property
    def refused(self) -> tuple[Item, ...]:
        return tuple(item for item in self.items if item.outcome == "refused")


@dataclass(frozen=True, slots=True)
class Inspected:
    """What a bundle says that it holds; nothing of it is verified.

    `snapshots` are the names of its first and its last one; `proposals` are refs, each with the first lines of what it
    proposes. `unread` says why its objects could not be looked at.
    """

    record: Record | None
    builds_on: tuple[str, ...]
    snapshots: tuple[str, str] | None
    proposals: Mapping[str, tuple[str, ...]]
    releases: tuple[str, ...]
    endorsements: tuple[str, ...]
    rotations: tuple[str, ...]
    refusals: tuple[str, ...]
    others: tuple[str, ...] = field(default=())
    unread: LedgerError | None = None


# Out


def out(place: Place, path: Path, now: int, *, to: For | None = None, since: str | None = None) -> Out:
    """Write to the file `path` what the other side lacks, at `now`, in seconds; `to` says who that is.

    A consumer gets snapshots, a witness the queue, an authority (and whoever is not named) both. They have `since`;
    without it, the least snapshot that anybody told in a `take` here, and without that, nothing. Raises Refused
    (`no-such-snapshot`, `file-taken`), Failed.
    """
    newest = place.verified
    row = place.row(since) if since else _told(place)
    sending.tidy(place, now)
    refs: dict[str, str] = {}
    if to != "witness" and (row is None or row.number < newest.number):
        refs[place.branch] = newest.oid
    if to != "consumer":
        waiting = place.queue_refs()
        gone = upkeep.over(newest, waiting, now)
        refs |= {ref: oid for ref, oid in waiting.items() if ref not in gone}
    if len(refs) >= bundles.BUNDLE_REFS:
        raise Refused(
            "bundle-refs",
            f"{len(refs):,} refs would be in it, and a bundle names at most {bundles.BUNDLE_REFS:,}",
            "gitledger carry out FILE --for consumer   (carries snapshots alone)",
        )
    name = f"{place.name}@{row.number}" if row else ""
    own = _own_id(place)
    record = Record(
        artifact_type="asl.common.carrier",
        hash=newest.hash,
        ledger_id=place.anchor,
        place=own,
        refs=_refs_digest(refs),
        role=place.role,
        since=name,
        snapshot=newest.name,
        version="0.1",
    )
    notes = {_RECORD + own: subset.dump_json(msgspec.to_builtins(record))}
    without = (row.snapshot,) if row else ()
    bundles.write(path, refs, notes=notes, without=without, own=place.store, directory=place.directory)
    count = newest.number - (row.number if row else -1) if place.branch in refs else 0
    return Out(refs, name or None, newest.name, count)


def _told(place: Place) -> Row | None:
    """The least snapshot of our line that another place told us it has; None where nobody did."""
    newest, rows = place.verified, []
    for number, hash_ in _noted(place).others.values():
        row = newest.state.line.row(place.store, min(number, newest.number))
        if number > newest.number or digest(place.store.read(row.snapshot, "commit")) == hash_:
            rows.append(row)
    return min(rows, key=lambda row: row.number, default=None)


# In


def take(place: Place, path: Path, now: int, *, progress: Progress = silent) -> Taken:
    """Take in the bundle at `path`, at `now`, in seconds; what of it is refused keeps nothing else away.

    Raises what `bundles.quarantined` raises, Refused (`other-ledger`), Malformed (`bundle-header`) before anything is
    taken; Fork, which is kept with its evidence. In a clone, raises for a line that does not lead on from what is
    verified what `consumer.fetch` raises.
    """
    before = place.verified.number
    taking.prepare(place)
    with bundles.quarantined(path, place.store, place.directory) as carried:
        with about(str(path)):
            record = _read_record(carried)
            _must_be_ours(place, record)
        snapshots, ahead = _follow(place, carried, str(path), now, progress)
        place = Place.of(place.store)  # with the branch as it is now
        refs = {ref: oid for ref, oid in carried.refs.items() if not _RECORD_REF.fullmatch(ref)}
        waiting = taking.take(place, replace(carried, refs=refs), now)
    if record is not None:
        _note(place, record)
    return Taken(Place.of(place.store), record, before, (*snapshots, *waiting), ahead)


def _must_be_ours(place: Place, record: Record | None) -> None:
    if record is not None and record.ledger_id != place.anchor:
        raise Refused(
            "other-ledger",
            f"it is of another ledger, whose id is {record.ledger_id}; this one is {place.anchor}",
            "take it in where that ledger is",
        )


def _follow(
    place: Place, carried: Carried, named: str, now: int, progress: Progress
) -> tuple[list[Item], tuple[str, int] | None]:
    """Take the snapshots that are in quarantine: a host by a push, a clone as in a fetch."""
    tip = carried.refs.get(place.branch)
    view = place.through(carried.objects)
    if tip is None or not taking.brings_snapshots(view, tip):
        return [], None
    known = _known_tip(place, carried, tip)
    if known is not None:
        return [known], None
    if place.role == "host":
        return [_push(place, carried, tip, named, now=now, progress=progress)], None
    ahead = _climb(place, carried, tip, named, now=now, progress=progress)
    return [Item(place.branch, "left" if ahead else "taken", "it waits" if ahead else "")], ahead


def _push(place: Place, carried: Carried, tip: str, named: str, *, now: int, progress: Progress) -> Item:
    """Push the snapshots to the host, whose branch a fork never moves: it is seen and kept as in a clone."""
    try:
        if ascent.Path(carried.objects, tip, place.verified.oid).led:
            return taking.push_snapshots(place, carried, tip)
        _climb(place, carried, tip, named, now=now, progress=progress)
    except Fork:
        raise
    except LedgerError as error:
        return Item(place.branch, "refused", f"{error}", tip)
    return Item(place.branch, "left", "it waits", tip)


def _climb(
    place: Place, carried: Carried, tip: str, named: str, *, now: int, progress: Progress
) -> tuple[str, int] | None:
    """As a fetch (`consumer.fetch`): forks are seen and kept, and nothing else moves what is verified."""
    landed = CARRIED + place.branch.removeprefix("refs/")
    try:
        taking.bring(place, carried, {**place.carried(), place.branch: tip})
        ahead = foreign.follow(place, tip, named, progress=progress, now=now)
    finally:
        place.store.update([(landed, None, None)])
        if place.role == "clone":
            consumer.settle(Place.of(place.store))
    return (ahead.name, ahead.seconds) if ahead else None


def _known_tip(place: Place, carried: Carried, tip: str) -> Item | None:
    """What is said of a branch that brings nothing: it ends in a snapshot that is verified here; else None."""
    newest = place.verified
    if not place.store.has(tip):
        return None
    row = newest.state.line.snapshot(place.store, tip)
    if row is None:
        return None
    older = f"; {newest.name} is verified here" if row.number < newest.number else ""
    return Item(place.branch, "there", f"it ends in {place.name}@{row.number}{older}")


# What is in one


def inspect(path: Path, place: Place | None) -> Inspected:
    """What the bundle at `path` says that it holds; `place` is the ledger here, whose objects it may build on.

    Raises what `bundles.opened` raises; where only the objects can't be read, the result says so.
    """
    with bundles.opened(path) as (_, header):
        pass
    try:
        with (
            tempfile.TemporaryDirectory() as where,  # nothing is written here, and who can only read may look
            bundles.quarantined(path, place.store if place else None, Path(where)) as carried,
        ):
            return _inspected(header, carried)
    except LedgerError as error:
        return _inspected(header, None, error)


def _inspected(header: bundles.Header, carried: Carried | None, unread: LedgerError | None = None) -> Inspected:
    names = _Names(None if carried is None else carried.objects, header)
    record = None
    try:
        record = None if carried is None else _read_record(carried)
    except LedgerError as error:
        unread = error
    snapshots = None
    proposals: dict[str, tuple[str, ...]] = {}
    below: dict[str, list[str]] = {one: [] for one in ("releases", "endorsements", "rotations", "refusals", "")}
    for ref, oid in header.refs.items():
        _, kind, *_ = (*ref.split("/"), "")
        span = names.span(oid) if kind == "heads" else None
        if span is not None:
            snapshots = span
        elif kind in ("heads", "proposals"):
            proposals[ref] = names.summaries(oid)
        elif not _RECORD_REF.fullmatch(ref):
            below[kind if kind in below else ""].append(ref)
    return Inspected(
        record,
        tuple(_first_word(comment) or oid for oid, comment in header.builds_on.items()),
        snapshots,
        proposals,
        tuple(below["releases"]),
        tuple(below["endorsements"]),
        tuple(below["rotations"]),
        tuple(below["refusals"]),
        tuple(below[""]),
        unread or names.cut,
    )


@dataclass(slots=True)
class _Names:
    """What commits of a bundle call themselves; so many `left` are looked into, and `cut` says that there are more."""

    objects: Store | None
    header: bundles.Header
    left: int = field(default_factory=lambda: INSPECTED_COMMITS)
    cut: LedgerError | None = None

    def span(self, tip: str) -> tuple[str, str] | None:
        """The first and the last snapshot that `tip` brings, as they say of themselves; None where it is none."""
        names = []
        for commit in self._down(tip):
            try:
                names.append(Entry.parse(commit.message).snapshot)
            except Malformed:
                break
        return (names[-1], names[0]) if names else None

    def summaries(self, tip: str) -> tuple[str, ...]:
        """The first lines of the proposals of a line, base first, as far as the bundle brings them."""
        found = []
        for commit in islice(self._down(tip), _LONGEST_LINE):
            try:
                Entry.parse(commit.message)
                break
            except Malformed:
                found.append(commit.message.partition("\n")[0])
        return tuple(reversed(found))

    def _down(self, tip: str) -> Iterator[Commit]:
        """The commits from `tip` down by first parents that the bundle brings, as far as they can be read."""
        oid = tip
        while self.objects is not None and oid and oid not in self.header.builds_on:
            if not self.left:
                what = f"it holds more than {INSPECTED_COMMITS:,} commits, and no more are looked into here"
                self.cut = Refused("bundle-commits", what, "gitledger carry in FILE   (looks into all of it)")
                return
            self.left -= 1
            try:
                commit = Commit.parse(self.objects.read(oid, "commit"))
            except LedgerError:
                return
            yield commit
            oid = commit.parents[0] if commit.parents else ""


def _first_word(comment: str) -> str:
    """The name in the comment that git writes beside a snapshot; empty where it is no snapshot's."""
    name, colon, _ = comment.partition(": ")
    return name if colon and "@" in name and " " not in name else ""


# What is remembered of others


def _read_record(carried: Carried) -> Record | None:
    """The record of whoever wrote it; None where there is none, as in what stock git made.

    Raises Malformed (`carrier-record`) where it does not fit the bundle.
    """
    refs = carried.refs
    found = [(match[1], oid) for ref, oid in refs.items() if (match := _RECORD_REF.fullmatch(ref))]
    if not found:
        return None
    (place, oid), *more = found
    kind, size = carried.objects.size(oid)
    if more or kind != "blob" or size > _RECORD_BYTES:
        raise _misfit("it holds more than one record of who wrote it, or one that is none")
    record = subset.convert(subset.load_json(carried.objects.read(oid, "blob")), Record)
    if record.place != place or record.refs != _refs_digest(refs):
        raise _misfit("its refs are not those that it was written with")
    return record


def _misfit(what: str) -> Malformed:
    return Malformed("carrier-record", what, "have it carried again, on another stick if need be")


def _refs_digest(refs: Mapping[str, str]) -> str:
    """`sha256:…` of the lines `<object id> <ref>`, sorted, of all refs but the record's own."""
    lines = sorted(f"{oid} {ref}\n" for ref, oid in refs.items() if not ref.startswith(_RECORD))
    return f"sha256:{sha256(''.join(lines).encode()).hexdigest()}"


def _note(place: Place, record: Record) -> None:
    """Note what another place told that it has. What it says of itself here is not news."""
    own, others = _own_id(place), dict(_noted(place).others)
    if record.place == own:
        return
    others.pop(record.place, None)
    others[record.place] = (SnapshotName.parse(record.snapshot).number, record.hash)
    CARRIERS.write(place.directory, Carriers(own, dict(list(others.items())[-PLACES:])))


def _own_id(place: Place) -> str:
    """What this place is called in bundles: drawn by lot, once."""
    known = _noted(place)
    if known.id:
        return known.id
    own = secrets.token_hex(8)
    CARRIERS.write(place.directory, Carriers(own, known.others))
    return own


def _noted(place: Place) -> Carriers:
    """This place's id, and what others told. A damaged note is as none: more is carried than need be."""
    return CARRIERS.read(place.directory) or Carriers("", {})
