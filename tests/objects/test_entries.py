"""Directories: what is taken over from a listing that is alike is what reading all of it would give."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitledger.errors import LedgerError
from gitledger.objects import entries
from gitledger.objects.entries import DIRECTORY, EXECUTABLE, MODE_TEXT, REGULAR, Listing, read

NAMES = st.sampled_from(["a", "a.b", "a-b", "a0", "A", "ab", "b", "é", ".git", "日本", "x" * 200])
MODES = st.sampled_from([REGULAR, EXECUTABLE, DIRECTORY])
IDS = st.integers(0, 3).map(lambda number: bytes([number]) * 20)
ENTRIES = st.lists(st.tuples(NAMES, MODES, IDS), max_size=8)

Rows = list[tuple[str, int, bytes]]


def raw_of(rows: Rows) -> bytes:
    return b"".join(MODE_TEXT[mode] + name.encode() + b"\0" + id_ for name, mode, id_ in rows)


def in_order(rows: Rows) -> Rows:
    return sorted(rows, key=lambda row: row[0].encode() + b"/" * (row[1] == DIRECTORY))


def said(raw: bytes, like: Listing | None) -> tuple[object, ...]:
    """The keys, where they begin and the entries; or the rule that it breaks."""
    try:
        listing = read(raw, root=False, like=like)
    except LedgerError as error:
        return (error.rule, str(error))
    return (listing.keys, listing.starts, list(listing), listing.folded)


def listing_of(rows: Rows) -> Listing | None:
    try:
        return read(raw_of(in_order(rows)), root=False)
    except LedgerError:
        return None


@given(ENTRIES, ENTRIES)
def test_like_another_it_is_read_as_it_would_be_alone(before: Rows, after: Rows) -> None:
    like = listing_of(before)
    for raw in (raw_of(after), raw_of(in_order(after)), raw_of(in_order([*before, *after]))):
        assert said(raw, like) == said(raw, None)


@given(ENTRIES, st.data())
def test_one_that_was_altered_is_read_as_it_would_be_alone(before: Rows, data: st.DataObject) -> None:
    like = listing_of(before)
    raw = bytearray(raw_of(in_order(before)))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(raw)))
        end = data.draw(st.integers(at, min(len(raw), at + 30)))
        raw[at:end] = data.draw(st.one_of(st.binary(max_size=30), ENTRIES.map(raw_of)))
    assert said(bytes(raw), like) == said(bytes(raw), None)


@given(ENTRIES, st.dictionaries(NAMES, st.one_of(st.none(), st.tuples(MODES, IDS)), max_size=4))
def test_what_is_changed_has_the_bytes_of_what_is_made_anew(
    before: Rows, changes: dict[str, tuple[int, bytes]]
) -> None:
    listing = listing_of(before)
    if listing is None:
        return
    kept = {name: (mode, id_) for name, mode, id_ in before}
    gone = {name for name, change in changes.items() if change is None and name in kept}
    came = {name: change for name, change in changes.items() if change is not None}
    after = {name: row for name, row in (kept | came).items() if name not in gone}
    made = dict.fromkeys(gone) | came
    now = listing.changed(made)
    wanted = raw_of(in_order([(name, mode, id_) for name, (mode, id_) in after.items()]))
    assert now.raw == wanted
    assert (now.keys, now.starts) == (fresh(wanted).keys, fresh(wanted).starts)
    assert list(now.names) == [entry.name for entry in now]
    longer = listing.with_ids([id_ + bytes(12) for _, _, id_ in in_order([(n, *row) for n, row in kept.items()])])
    spliced = listing.spliced(longer, {name: row and (row[0], row[1] + bytes(12)) for name, row in made.items()})
    assert spliced == now.with_ids([bytes.fromhex(entry.oid) + bytes(12) for entry in now])
    assert set(listing.differing(now)) >= {
        name for name in kept.keys() | after.keys() if kept.get(name) != after.get(name)
    }


def fresh(raw: bytes) -> Listing:
    """The listing of bytes that need not be in order by any rule but git's."""
    keys, starts, at = [], [0], 0
    while at < len(raw):
        space, end = raw.index(b" ", at), raw.index(b"\0", at)
        keys.append(raw[space + 1 : end] + b"/" * (raw[at:space] == b"40000"))
        at = end + 21
        starts.append(at)
    return Listing(raw, keys, starts)


@given(st.binary(max_size=40), st.binary(max_size=40), st.binary(max_size=40), st.binary(max_size=40))
def test_what_two_begin_and_end_with(begin: bytes, one: bytes, two: bytes, end: bytes) -> None:
    for size in (4, 4096):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(entries, "_PIECE", size)
            ours, theirs = begin + one + end, begin + two + end
            start = entries._common_start(ours, theirs)
            assert ours[:start] == theirs[:start]
            assert start == min(len(ours), len(theirs)) or ours[start] != theirs[start]
            tail = entries._common_end(ours, theirs)
            assert ours[len(ours) - tail :] == theirs[len(theirs) - tail :]
            assert tail == min(len(ours), len(theirs)) or ours[-tail - 1] != theirs[-tail - 1]
