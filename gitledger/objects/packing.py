"""Objects that are written together: held in memory until they go to a repository in one pack.

To write objects one by one costs a file each. Whoever makes thousands of them reads them here meanwhile; a pack is
written whenever so much is held that memory would not stay bounded, and at the end.
"""

from __future__ import annotations

import struct
import zlib
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha1
from typing import Final

from gitledger.errors import Failed, Malformed
from gitledger.objects.codec import oid_of
from gitledger.objects.store import KINDS, ROOM, Store

HELD_BYTES: Final = 16 << 20
"""How many bytes of objects are held at most before they are written."""

LOOSE: Final = 100
"""Fewer objects than these are written one by one, as git does with what it fetches: packs would heap up."""

_REF_DELTA: Final = 7
_LARGE: Final = 1024
"""Smaller trees are written whole."""
_BASES: Final = 8
"""How many large trees a snapshot may have, and be written as differences from those of the one before."""
_DEPTH: Final = 50
"""How many differences stand one on another at most; as in git."""


class Packing:
    """The objects of `store`, and besides what is written here; `flush` brings that to the repository `into`.

    What `into` has, `store` reads as well. Nobody else sees what is held, and what is killed before `flush` leaves
    nothing.
    """

    def __init__(self, store: Store, into: Store) -> None:
        self._store = store
        self._into = into
        self._held: dict[str, tuple[str, bytes]] = {}
        self._bytes = 0

    @property
    def told(self) -> Mapping[str, bytes]:
        """Nothing, as a repository tells nothing (`trees.Objects`)."""
        return self._store.told

    def read(self, oid: str, kind: str) -> bytes:
        """The content of the object; raises as `Store.read` does."""
        if (held := self._held.get(oid)) is None:
            return self._store.read(oid, kind)
        if held[0] != kind:
            raise Malformed("object-kind", f"{oid} stands where a {kind} must be, and is a {held[0]}")
        return held[1]

    def size(self, oid: str) -> tuple[str, int]:
        """Its kind and the bytes of its content; raises as `Store.size` does."""
        held = self._held.get(oid)
        return self._store.size(oid) if held is None else (held[0], len(held[1]))

    def write(self, kind: str, content: bytes) -> str:
        """Hold an object and return its id. Raises Failed where what was held before can't be written."""
        oid = oid_of(kind, content)
        if oid not in self._held:
            self._held[oid] = kind, content
            self._bytes += len(content)
            if self._bytes >= HELD_BYTES:
                self.flush()
        return oid

    def flush(self) -> None:
        """Write what is held, which git hashes again as it comes. Raises Failed (`object-not-written`)."""
        if len(self._held) < LOOSE:
            for kind, content in self._held.values():
                self._into.write(kind, content)
        else:
            done = self._into.git("index-pack", "--stdin", input=pack(self._held.values()), check=False)
            if done.returncode:
                said = done.stderr.decode(errors="replace").strip()
                raise Failed("object-not-written", f"a pack can't be written: {said}", ROOM)
        self._held.clear()
        self._bytes = 0


def pack(objects: Iterable[tuple[str, bytes]]) -> bytes:
    """A pack of `objects`, kind and content of each: Git's format, version 2.

    A large tree is written as its difference from one of the trees just before it, where one is nearly the same: in a
    ledger of many domains each snapshot has a large directory of which one entry is new.
    """
    before: deque[_Base] = deque(maxlen=_BASES)
    entries: list[bytes] = []
    for kind, content in objects:
        if kind != "tree" or len(content) < _LARGE:
            entries.append(_header(KINDS[kind], len(content)) + zlib.compress(content, 1))
            continue
        base = next((one for one in reversed(before) if one.depth < _DEPTH and one.is_near(content)), None)
        if base is None:
            entries.append(_header(KINDS[kind], len(content)) + zlib.compress(content, 1))
        else:
            delta = _delta(base.content, content)
            entries.append(_header(_REF_DELTA, len(delta)) + base.oid + zlib.compress(delta, 1))
        before.append(_Base(bytes.fromhex(oid_of(kind, content)), content, base.depth + 1 if base else 0))
    body = b"".join((b"PACK", struct.pack(">II", 2, len(entries)), *entries))
    return body + sha1(body, usedforsecurity=False).digest()


@dataclass(frozen=True, slots=True)
class _Base:
    """A tree in the pack, which stands on `depth` others."""

    oid: bytes
    content: bytes
    depth: int

    def is_near(self, content: bytes) -> bool:
        """Whether all but an eighth of `content` is as here, at its beginning or its end."""
        front, back = _shared(self.content, content)
        return (front + back) * 8 > len(content) * 7


def _shared(base: bytes, content: bytes) -> tuple[int, int]:
    """How many bytes both have in common at their beginning, and how many at their end after that."""
    most = min(len(base), len(content))
    front = bisect_left(range(most), True, key=lambda n: base[: n + 1] != content[: n + 1])
    rest = most - front
    back = bisect_left(range(rest), True, key=lambda n: base[-n - 1 :] != content[-n - 1 :])
    return front, back


def _delta(base: bytes, content: bytes) -> bytes:
    """How to make `content` of `base`: the sizes of both, then what is copied and what is new."""
    front, back = _shared(base, content)
    new = content[front : len(content) - back]
    inserted = (new[at : at + 127] for at in range(0, len(new), 127))
    return b"".join(
        (
            _size(len(base)),
            _size(len(content)),
            *_copied(0, front),
            *(bytes([len(part)]) + part for part in inserted),
            *_copied(len(base) - back, len(base)),
        )
    )


def _copied(begin: int, end: int) -> Iterator[bytes]:
    """That the bytes from `begin` to `end` of the base come next: four bytes of offset and two of size at a time."""
    for at in range(begin, end, 0xFFFF):
        yield struct.pack("<BIH", 0xBF, at, min(0xFFFF, end - at))


def _header(number: int, size: int) -> bytes:
    """The number of a kind and four bits of the size, then the rest of it."""
    first, rest = number << 4 | size & 15, size >> 4
    return bytes([first | 0x80]) + _size(rest) if rest else bytes([first])


def _size(size: int) -> bytes:
    """Seven bits a byte, the lowest first; all but the last have the eighth."""
    found = bytearray()
    while size > 0x7F:
        found.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes((*found, size))
