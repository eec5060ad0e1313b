"""Tree objects as Git stores them: read strictly, entry by entry (spec 3, Entries).

Regular files and directories only, in git's order, each name once, and no two siblings that are one name on some
systems. What a name may be is decided in `paths`.

A directory that changes a little from one snapshot to the next is read and written as what differs: `read` takes over
from a listing that is read what both begin and end with, and `changed` splices what is new into the bytes.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate, pairwise
from typing import Final, NamedTuple, TypeAlias

from gitledger.errors import LedgerError, Malformed, Refused
from gitledger.objects.paths import check_component, fold

REGULAR: Final = 0o100644
EXECUTABLE: Final = 0o100755
DIRECTORY: Final = 0o40000

MODE_TEXT: Final = {REGULAR: b"100644 ", EXECUTABLE: b"100755 ", DIRECTORY: b"40000 "}
"""How an entry begins in a tree object, by mode."""

STOCK_TREE: Final = "Make the tree with stock git: git add, then git commit -S"

_MODES: Final = {text.strip(): mode for mode, text in MODE_TEXT.items()}
_ENTRY = re.compile(rb"([0-7]+) ([^\0]+)\0(.{20})", re.DOTALL)
_ID160: Final = 20
ID256: Final = 32
"""How many bytes an object id has in a SHA-256 repository."""

LONGER: Final = ID256 - _ID160
"""How much longer an entry is there."""

_FILE: Final = len("100644 \0") + _ID160
_DIRECTORY: Final = len("40000 \0") - len("/") + _ID160
_PIECE: Final = 4096


class Entry(NamedTuple):
    """One entry of a directory: `oid` is an object id, 40 hex."""

    name: str
    mode: int
    oid: str


Change: TypeAlias = tuple[int, bytes] | None
"""What an entry gets, its mode and the bytes of its id; None: it goes."""


_Edit: TypeAlias = tuple[int, int, bytes, Change]
"""In place of the entries from the first place up to the second comes what sorts by a key, with a change."""


class Listing:
    """The content of one directory: `raw`, the tree object, and where in it each entry begins.

    `keys` are what entries sort by, the name and for a directory a slash; `starts` has one more, the length of `raw`.
    Nothing of it that is seen changes, and listings that differ in no name share both.
    """

    __slots__ = ("_folded", "_hint", "keys", "raw", "starts")

    def __init__(self, raw: bytes, keys: list[bytes], starts: list[int]) -> None:
        self.raw = raw
        self.keys = keys
        self.starts = starts
        self._folded: frozenset[str] | None = None
        self._hint = -1  # the place of the one entry that differs in the listing that it was read like

    def __len__(self) -> int:
        return len(self.keys)

    def __iter__(self) -> Iterator[Entry]:
        return map(self.at, range(len(self.keys)))

    @property
    def names(self) -> Iterator[str]:
        """The names, in git's order."""
        return map(_name, self.keys)

    def at(self, index: int) -> Entry:
        """The entry at a place in git's order."""
        return Entry(_name(self.keys[index]), *self.mode_and_oid(index))

    def mode_and_oid(self, index: int) -> tuple[int, str]:
        """The mode and the object id, 40 hex, of the entry at a place in git's order."""
        start, end = self.starts[index], self.starts[index + 1]
        mode = DIRECTORY if self.keys[index].endswith(b"/") else _MODES[self.raw[start : start + 6]]
        return mode, self.raw[end - _ID160 : end].hex()

    def place(self, name: str) -> int:
        """The place of the entry `name`; -1 where there is none."""
        keys, key = self.keys, name.encode("utf-8", "surrogatepass")
        at = bisect_left(keys, key)
        if at < len(keys) and keys[at] == key:
            return at
        key += b"/"
        at = bisect_left(keys, key, at)
        return at if at < len(keys) and keys[at] == key else -1

    @property
    def folded(self) -> frozenset[str]:
        """The names, each as systems know it that see no case."""
        if self._folded is None:
            self._folded = frozenset(map(fold, self.names))
        return self._folded

    def differing(self, other: Listing) -> list[str]:
        """The names among which are all that differ here and there, each once."""
        hint = other._hint
        if hint >= 0 and other.keys is self.keys:
            start, end = self.starts[hint], self.starts[hint + 1]
            if self.raw[end:] == other.raw[end:] and self.raw[:start] == other.raw[:start]:
                return [_name(self.keys[hint])]
        first, last, _, end = _middle(self, other.raw)
        theirs = bisect_left(other.starts, end)
        if other.starts[theirs] != end:  # what both end with begins within an entry there
            last, theirs = len(self), len(other)
        keys = (*self.keys[first:last], *other.keys[first:theirs])
        return list(dict.fromkeys(map(_name, keys)))

    def with_ids(self, ids: Iterable[bytes]) -> bytes:
        """The bytes of this listing with `ids`, one for each entry, in place of its own."""
        heads = (self.raw[start : end - _ID160] for start, end in pairwise(self.starts))
        return b"".join(part for head_and_id in zip(heads, ids, strict=True) for part in head_and_id)

    def changed(self, changes: Mapping[str, Change]) -> Listing:
        """The listing once `changes`, by name and with ids of 20 bytes, are made."""
        edits = self._edits(changes)
        raw = self._spliced(self.raw, edits)
        if not [key for start, end, key, change in edits if change is None or start == end]:
            now = Listing(raw, self.keys, self.starts)
            now._folded = self._folded
            return now
        keys = self.keys.copy()
        for start, end, key, change in reversed(edits):
            keys[start:end] = [] if change is None else [key]
        now = Listing(raw, keys, _starts(keys))
        if self._folded is not None:
            gone = {fold(_name(key)) for _, _, key, change in edits if change is None}
            now._folded = self._folded - gone | {fold(_name(key)) for _, _, key, change in edits if change is not None}
        return now

    def spliced(self, raw: bytes, changes: Mapping[str, Change]) -> bytes:
        """`raw`, this listing with ids of either length, once `changes`, with ids of that length, are made."""
        return self._spliced(raw, self._edits(changes))

    def _edits(self, changes: Mapping[str, Change]) -> list[_Edit]:
        """How `changes` are made, in git's order."""
        edits: list[_Edit] = []
        for name, change in changes.items():
            at = self.place(name)
            key = name.encode() + b"/" if change is not None and change[0] == DIRECTORY else name.encode()
            if at >= 0 and (change is None or self.keys[at] == key):
                edits.append((at, at + 1, self.keys[at], change))
                continue
            if at >= 0:  # what was a file is a directory now, or the reverse
                edits.append((at, at + 1, self.keys[at], None))
            if change is not None:
                at = bisect_left(self.keys, key)
                edits.append((at, at, key, change))
        if len(edits) > 1:
            edits.sort()
        return edits

    def _spliced(self, raw: bytes, edits: list[_Edit]) -> bytes:
        starts, longer = self.starts, (len(raw) - len(self.raw)) // len(self.keys) if self.keys else 0
        pieces, done = [], 0
        for start, end, key, change in edits:
            pieces.append(raw[done : starts[start] + start * longer])
            if change is not None:
                pieces += (MODE_TEXT[change[0]], key.removesuffix(b"/"), b"\0", change[1])
            done = starts[end] + end * longer
        pieces.append(raw[done:])
        return b"".join(pieces)


def read(raw: bytes, *, root: bool, like: Listing | None = None) -> Listing:
    """The content of the tree object `raw`; `root` says that it is the root tree.

    `like` is a listing that it resembles, of a tree in the same place: what both begin and end with is taken over.
    Raises Malformed for what git would not write or what stands twice, Refused for a name, a mode or two siblings that
    may not be.
    """
    if like is not None and (found := _resembling(raw, root, like)) is not None:
        return found
    folded: dict[str, str] = {}
    keys: list[bytes] = []
    before = b""
    at = 0
    while at < len(raw):
        name, key, end = _entry(raw, at, len(raw), root=root)
        _must_be_new(name, folded)
        if key <= before:
            raise Malformed("unsorted-tree", f"the entry {name} of a tree stands out of order", STOCK_TREE)
        keys.append(key)
        before, at = key, end
    return Listing(raw, keys, _starts(keys))


def _resembling(raw: bytes, root: bool, like: Listing) -> Listing | None:
    """As `read`, from what differs alone; None where that is not certain to be in order: then all of it is read."""
    first, last, at, end = _middle(like, raw)
    names: list[str] = []
    keys: list[bytes] = []
    before = like.keys[first - 1] if first else b""
    try:
        while at < end:
            name, key, at = _entry(raw, at, end, root=root)
            names.append(name)
            keys.append(key)
            if key <= before:
                return None
            before = key
    except LedgerError:
        return None
    if last < len(like) and before >= like.keys[last]:
        return None
    gone = like.keys[first:last]
    if keys == gone:
        now = Listing(raw, like.keys, like.starts)
        now._folded = like._folded
        if last == first + 1:
            now._hint = first
        return now
    folded = {fold(name) for name in names}
    came = folded - {fold(_name(key)) for key in gone}
    if len(folded) < len(names) or (came and came & like.folded):
        return None
    keys = [*like.keys[:first], *keys, *like.keys[last:]]
    return Listing(raw, keys, _starts(keys))


def _middle(old: Listing, raw: bytes) -> tuple[int, int, int, int]:
    """What differs in `raw`: the entries of `old` from the first up to the last, and where the bytes for it stand."""
    first = bisect_right(old.starts, _common_start(old.raw, raw)) - 1
    begin = old.starts[first]
    if first < len(old) and len(raw) == len(old.raw):  # as nearly always: one entry that has another id
        end = old.starts[first + 1]
        if raw[end:] == old.raw[end:]:
            return first, first + 1, begin, end
    common = min(_common_end(old.raw, raw), min(len(old.raw), len(raw)) - begin)
    last = bisect_left(old.starts, len(old.raw) - common)
    return first, last, begin, len(raw) - (len(old.raw) - old.starts[last])


def _entry(raw: bytes, at: int, end: int, *, root: bool) -> tuple[str, bytes, int]:
    """The name of the entry at `at`, what it sorts by, and where it ends, no further than `end`."""
    match = _ENTRY.match(raw, at, end)
    if match is None:
        raise Malformed("tree-entry", f"the tree object has no entry at byte {at}")
    mode = _mode(match[1], match[2])
    name = check_component(match[2], root=root)
    return name, match[2] + b"/" if mode == DIRECTORY else match[2], match.end()


def _name(key: bytes) -> str:
    """The name of the entry that sorts by `key`."""
    return key.removesuffix(b"/").decode()


def _starts(keys: list[bytes]) -> list[int]:
    """Where each entry begins: the length of its mode and of its id are given by its kind."""
    lengths = (len(key) + (_DIRECTORY if key.endswith(b"/") else _FILE) for key in keys)
    return list(accumulate(lengths, initial=0))


def _common_start(one: bytes, two: bytes) -> int:
    """How many bytes both begin with."""
    at, end = 0, min(len(one), len(two))
    while at + _PIECE <= end and one[at : at + _PIECE] == two[at : at + _PIECE]:
        at += _PIECE
    length = min(_PIECE, end - at)
    differing = int.from_bytes(one[at : at + length], "little") ^ int.from_bytes(two[at : at + length], "little")
    return at + (((differing & -differing).bit_length() - 1) // 8 if differing else length)


def _common_end(one: bytes, two: bytes) -> int:
    """How many bytes both end with."""
    at, end = 0, min(len(one), len(two))
    ours, theirs = len(one), len(two)
    while at + _PIECE <= end and one[ours - at - _PIECE : ours - at] == two[theirs - at - _PIECE : theirs - at]:
        at += _PIECE
    length = min(_PIECE, end - at)
    last, other = one[ours - at - length : ours - at], two[theirs - at - length : theirs - at]
    differing = int.from_bytes(last, "little") ^ int.from_bytes(other, "little")
    return at + length - (differing.bit_length() + 7) // 8


def _mode(raw: bytes, name: bytes) -> int:
    if raw in _MODES:
        return _MODES[raw]
    shown = repr(name[:80].decode("utf-8", "replace"))
    if raw == b"120000":
        raise Refused(
            "symbolic-link", f"{shown} is a symbolic link", "Put a copy of the file in its place, and commit again."
        )
    if raw == b"160000":
        raise Refused("submodule", f"{shown} is a submodule", "git rm --cached it, and commit its files or nothing.")
    raise Malformed(
        "mode",
        f"{shown} has the mode {raw[:12].decode()}; a file has 100644 or 100755, a directory 40000",
        STOCK_TREE,
    )


def _must_be_new(name: str, folded: dict[str, str]) -> None:
    key = fold(name)
    if key not in folded:
        folded[key] = name
    elif folded[key] == name:
        raise Malformed("duplicate-entry", f"the entry {name} of a tree stands twice", STOCK_TREE)
    else:
        raise Refused(
            "names-alike",
            f"{folded[key]} and {name} stand in one directory, and are one name on some systems",
            "git mv one of them to a name that differs in more than case, then git commit --amend -S --no-edit",
        )


def must_be_distinct(names: Iterable[str]) -> None:
    """Raise Refused (`names-alike`) where two of these siblings are one name on some systems."""
    folded: dict[str, str] = {}
    for name in names:
        _must_be_new(name, folded)
