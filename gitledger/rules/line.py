"""The line of a ledger: which commits are its snapshots, and which proposals they accepted (spec 4, base).

A proposal's base must be one of these. The line is known from a trusted snapshot downwards by walking first parents,
which the chain of hashes makes as good as the snapshot itself; going upwards it grows by one row a snapshot. A row is
48 bytes (snapshot, proposal, salt), so the line of fifty thousand snapshots takes little more than two megabytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from gitledger.errors import Malformed
from gitledger.objects.codec import Commit
from gitledger.objects.trees import Objects
from gitledger.rules.entry import Entry

_ROW = 48
_NONE = bytes(20)
_COMMITS = 8


class Row(NamedTuple):
    """Snapshot `number` is the commit `snapshot`; it accepted `proposal` with `salt` (empty and 0: none)."""

    number: int
    snapshot: str
    proposal: str
    salt: int


class _Rows:
    """Rows from `start` upwards, and from `start - 1` downwards; both only ever grow at their end.

    Some commits that were asked for are held: many proposals stand on few bases.
    """

    __slots__ = ("commits", "lower", "start", "upper")

    def __init__(self, start: int) -> None:
        self.start = start
        self.upper = bytearray()
        self.lower = bytearray()
        self.commits: dict[str, tuple[Commit, Entry | None]] = {}

    def read(self, number: int) -> Row:
        at = number - self.start
        rows, index = (self.upper, at) if at >= 0 else (self.lower, -1 - at)
        return _unpack(number, bytes(rows[index * _ROW : (index + 1) * _ROW]))


@dataclass(frozen=True, slots=True)
class Line:
    """The line that ends in `last`. Lines that grew from one another share the rows below their last ones."""

    last: Row
    _rows: _Rows

    @classmethod
    def ending(cls, row: Row) -> Line:
        """A line of which only its last row is known; older ones are read when they are asked for."""
        return cls(row, _Rows(row.number))

    @property
    def tip(self) -> int:
        """The number of the last snapshot."""
        return self.last.number

    def extended(self, row: Row) -> Line:
        """This line and one more row. `row.snapshot` is empty while the snapshot is only supposed."""
        rows, packed = self._rows, _pack(self.last)
        at = (self.tip - rows.start) * _ROW
        known = rows.upper[at : at + _ROW]
        if known and known != packed:  # another line grew from the snapshot before: part from it
            rows = _Rows(self._rows.start)
            rows.upper += self._rows.upper[:at]
            rows.lower = self._rows.lower
            known = bytearray()
        if not known:
            rows.upper += packed
        return Line(row, rows)

    def row(self, objects: Objects, number: int) -> Row:
        """The row of snapshot `number`, 0 ≤ number ≤ tip."""
        if number == self.tip:
            return self.last
        while self._lowest > number:
            self._descend(objects)
        return self._rows.read(number)

    def snapshot(self, objects: Objects, oid: str) -> Row | None:
        """The row whose snapshot is the commit `oid`, or None. The commit says itself which number it has."""
        _, entry = self._commit(objects, oid)
        if entry is None or entry.number > self.tip:
            return None
        row = self.row(objects, entry.number)
        return row if row.snapshot == oid else None

    def commit(self, objects: Objects, oid: str) -> Commit:
        """The commit `oid`, which a proposal names as its base."""
        return self._commit(objects, oid)[0]

    def acceptance(self, objects: Objects, oid: str, floor: int = -1) -> Row | None:
        """The row of the snapshot that accepted the proposal `oid`, or None.

        A proposal is younger than the snapshot that its own line is based on, so no older row is looked at; `floor`
        is the number of that snapshot where the caller knows it.
        """
        if (row := self.found(oid)) is not None:
            return row
        floor = floor if floor >= 0 else self._floor(objects, oid)
        if floor > self.tip:
            return None
        self.row(objects, floor)  # now every row above it was read, here or on the way to the floor
        return self.found(oid)

    @property
    def _lowest(self) -> int:
        return self._rows.start - len(self._rows.lower) // _ROW

    def found(self, oid: str) -> Row | None:
        """As `acceptance`, among the rows that were read already."""
        if self.last.proposal == oid:
            return self.last
        for rows, below in ((self._rows.upper, False), (self._rows.lower, True)):
            at = rows.find(bytes.fromhex(oid))
            while at >= 0 and at % _ROW != 20:
                at = rows.find(bytes.fromhex(oid), at + 1)
            if at >= 0:
                number = self._rows.start - 1 - at // _ROW if below else self._rows.start + at // _ROW
                if number < self.tip:
                    return self._rows.read(number)
        return None

    def _floor(self, objects: Objects, oid: str) -> int:
        """The number of the snapshot that the proposal's line is based on; above the tip where it is on none.

        What calls itself a snapshot and is none of this line may yet be a proposal: anyone writes what they like into
        a message. Whatever was accepted stands on accepted proposals alone, at most one a snapshot.
        """
        for _ in range(self.tip):
            commit = self.commit(objects, oid)
            if len(commit.parents) != 1:
                break
            oid = commit.parents[0]
            if (row := self.found(oid) or self.snapshot(objects, oid)) is not None:
                return row.number
        return self.tip + 1

    def _commit(self, objects: Objects, oid: str) -> tuple[Commit, Entry | None]:
        """The commit `oid`, and what it says where it calls itself a snapshot."""
        commits = self._rows.commits
        if oid not in commits:
            commit = Commit.parse(objects.read(oid, "commit"))
            try:
                entry = Entry.parse(commit.message)
            except Malformed:
                entry = None
            if len(commits) >= _COMMITS:
                del commits[next(iter(commits))]
            commits[oid] = commit, entry
        return commits[oid]

    def _descend(self, objects: Objects) -> None:
        lowest = self.last if self._lowest == self.tip else self._rows.read(self._lowest)
        below = Commit.parse(objects.read(lowest.snapshot, "commit")).parents[0]
        self._rows.lower += _pack(row_of(below, Commit.parse(objects.read(below, "commit"))))


def row_of(oid: str, commit: Commit) -> Row:
    """The row that the snapshot commit `oid` states of itself."""
    entry = Entry.parse(commit.message)
    if entry.proposal and len(commit.parents) != 2:
        raise Malformed("not-a-snapshot", f"{oid} names a proposal, and has no second parent that it would be")
    return Row(entry.number, oid, commit.parents[1] if entry.proposal else "", entry.salt)


def _unpack(number: int, raw: bytes) -> Row:
    proposal = "" if raw[20:40] == _NONE else raw[20:40].hex()
    return Row(number, raw[:20].hex(), proposal, int.from_bytes(raw[40:48], "big"))


def _pack(row: Row) -> bytes:
    snapshot = bytes.fromhex(row.snapshot) or _NONE
    proposal = bytes.fromhex(row.proposal) or _NONE
    return snapshot + proposal + row.salt.to_bytes(8, "big")
