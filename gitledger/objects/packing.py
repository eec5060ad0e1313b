"""Objects that are written together: small ones are held in memory until they go to a repository in one pack.

To write objects one by one costs a file each. Whoever makes thousands of them reads them here meanwhile; a pack is
written whenever so much is held that memory would not stay bounded, and at the end.

A large object is a file of its own at once. In a ledger of many domains each snapshot has a large directory of which
one entry is new: git sends it as the difference from the one before if both are files, and sends as it stands what
stands whole in one pack.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Mapping
from hashlib import sha1
from typing import Final

from gitledger.errors import Malformed
from gitledger.objects.codec import oid_of
from gitledger.objects.store import KINDS, Store

HELD_BYTES: Final = 16 << 20
"""How many bytes the objects that are held take at most. While they are written, the pack is in memory besides."""

LOOSE: Final = 100
"""Fewer objects than these are written one by one at the end, as git does with what it fetches: packs would heap up."""

LARGE: Final = 1024
"""How many bytes an object has that is a file of its own."""

_OVERHEAD: Final = 400
"""How many bytes an object takes in memory besides its content: its id, its place in a mapping."""


class Packing:
    """The objects of `store`, and besides what is written here; `flush` brings that to a repository and returns it.

    What the repository `into` has, `store` reads as well. Nobody else sees what is held, and what is killed before
    `flush` leaves nothing that anything names.
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
        """Write a large object, hold another, and return its id. Raises as `Store.write` and `write_pack` do."""
        if len(content) >= LARGE:
            return self._into.write(kind, content)
        oid = oid_of(kind, content)
        if oid not in self._held:
            size = len(content) + _OVERHEAD
            if self._bytes + size > HELD_BYTES:
                self._write_pack()
            self._held[oid] = kind, content
            self._bytes += size
        return oid

    def flush(self) -> Store:
        """Write what is held, and return the repository that has all. Raises as `write` does."""
        if len(self._held) < LOOSE:
            for kind, content in self._held.values():
                self._into.write(kind, content)
            self._forget()
        else:
            self._write_pack()
        return self._into

    def _write_pack(self) -> None:
        self._into.write_pack(pack(self._held.values()))
        self._forget()

    def _forget(self) -> None:
        self._held.clear()
        self._bytes = 0


def pack(objects: Iterable[tuple[str, bytes]]) -> bytes:
    """A pack of `objects`, kind and content of each, all whole: Git's format, version 2."""
    entries = [_header(KINDS[kind], len(content)) + zlib.compress(content, 1) for kind, content in objects]
    parts = [b"PACK" + struct.pack(">II", 2, len(entries)), *entries]
    hashed = sha1(usedforsecurity=False)
    for part in parts:
        hashed.update(part)
    return b"".join((*parts, hashed.digest()))


def _header(number: int, size: int) -> bytes:
    """The number of a kind and four bits of the size, then seven bits a byte, the lowest first; the last lacks 128."""
    header, rest = bytearray([number << 4 | size & 15]), size >> 4
    while rest:
        header[-1] |= 0x80
        header.append(rest & 0x7F)
        rest >>= 7
    return bytes(header)
