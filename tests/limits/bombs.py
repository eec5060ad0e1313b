"""Packs and pushes that are larger inside than outside: made from raw bytes, and measured as they are taken.

A pack is written object by object, so that a test never holds what a host must not hold. A push is what stock
`git receive-pack` reads on its standard input: no `git push` stands in the way that would refuse to make it, or need
the memory itself.
"""

from __future__ import annotations

import hashlib
import os
import struct
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import forge

MIB = 1 << 20
ZERO = "0" * 40
KINDS = {"commit": 1, "tree": 2, "blob": 3, "tag": 4}
STUB = Path(__file__).with_name("measured.py")


@dataclass(frozen=True)
class Ran:
    """A command that ran: `peak` is what the largest of its processes had in memory at once, in MiB."""

    status: int
    said: str
    seconds: float
    peak: float


def measure(
    *command: str | Path,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    stdin: BinaryIO | int = subprocess.DEVNULL,
    memory: int = 0,
) -> Ran:
    """Run a command; `said` is what it wrote to both its outputs. `memory` is what each process may take, in MiB."""
    if memory:
        command = ("sh", "-c", f'ulimit -d {memory * 1024} && exec "$@"', "sh", *command)
    with tempfile.NamedTemporaryFile() as report:
        done = subprocess.run(
            [sys.executable, "-S", "-E", str(STUB), report.name, *map(str, command)],
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=True,
        )
        status, seconds, kib = report.read().split()
    return Ran(int(status), done.stdout.decode(errors="replace"), float(seconds), int(kib) / 1024)


class Pack:
    """A pack that is being written; each method returns the id of the object that it adds."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = hashlib.sha1()

    def add(self, kind: str, content: bytes) -> str:
        """An object with any content."""
        return self.stream(kind, [content], len(content))

    def stream(self, kind: str, pieces: Iterable[bytes], size: int) -> str:
        """An object of `size` bytes that come in pieces."""
        self._head(KINDS[kind], size)
        named = hashlib.sha1(f"{kind} {size}\0".encode())
        packed = zlib.compressobj(1)
        for piece in pieces:
            named.update(piece)
            self._write(packed.compress(piece))
        self._write(packed.flush())
        return named.hexdigest()

    def zeros(self, size: int) -> str:
        """A blob of so many zeros."""
        piece = bytes(MIB)
        return self.stream("blob", (piece for _ in range(size // MIB)), size // MIB * MIB)

    def delta(self, base: str, instructions: bytes) -> None:
        """An object by what it is made of: the copies and words that `instructions` say of the object `base`."""
        self._head(7, len(instructions))
        self._write(bytes.fromhex(base) + zlib.compress(instructions, 1))

    def _head(self, kind: int, size: int) -> None:
        byte, size = kind << 4 | size & 15, size >> 4
        while size:
            self._write(bytes([byte | 128]))
            byte, size = size & 127, size >> 7
        self._write(bytes([byte]))

    def _write(self, raw: bytes) -> None:
        self._file.write(raw)
        self._hash.update(raw)


@contextmanager
def packed(path: Path, count: int) -> Iterator[Pack]:
    """A pack that says it holds `count` objects, in the file at `path`."""
    with path.open("wb") as file:
        pack = Pack(file)
        pack._write(struct.pack(">4sII", b"PACK", 2, count))
        yield pack
        file.write(pack._hash.digest())


def copies(base: int, times: int) -> bytes:
    """The instructions of a delta that repeats an object of `base` bytes (at most 0xffffff) so many `times`."""
    length = base.to_bytes(3, "little")
    return number(base) + number(base * times) + (b"\xf0" + length) * times


def number(value: int) -> bytes:
    """A size as it stands at the head of a delta."""
    raw = bytearray()
    while value > 127:
        raw.append(value & 127 | 128)
        value >>= 7
    return bytes([*raw, value])


def receive(
    host: Path,
    updates: Iterable[tuple[str, str, str]],
    pack: Path | None,
    *,
    options: Iterable[str] | None = None,
    memory: int = 0,
) -> Ran:
    """Push `updates` (old, new, ref) with a pack to a host, by what `git receive-pack` reads on its standard input."""
    first = "report-status atomic object-format=sha1" + (" push-options" if options is not None else "")
    with tempfile.TemporaryFile() as file:
        for old, new, ref in updates:
            file.write(_line(f"{old} {new} {ref}".encode() + (b"\0" + first.encode() if first else b"")))
            first = ""
        file.write(b"0000")
        if options is not None:
            for option in options:
                file.write(_line(option.encode()))
            file.write(b"0000")
        if pack is not None:
            with pack.open("rb") as objects:
                while piece := objects.read(MIB):
                    file.write(piece)
        file.seek(0)
        return measure("git", "receive-pack", host, cwd=host, stdin=file, memory=memory)


def _line(raw: bytes) -> bytes:
    return f"{len(raw) + 4:04x}".encode() + raw


def raw_entries(raw: bytes) -> list[tuple[bytes, bytes, bytes]]:
    """Mode, name and raw id of each entry of a tree object."""
    found = []
    while raw:
        head, _, rest = raw.partition(b"\0")
        mode, _, name = head.partition(b" ")
        found.append((mode, name, rest[:20]))
        raw = rest[20:]
    return found


def tree_bytes(entries: Iterable[tuple[bytes, bytes, bytes]]) -> bytes:
    """A tree object of entries, in git's order."""
    ordered = sorted(entries, key=lambda entry: entry[1] + (b"/" if entry[0] == b"40000" else b""))
    return b"".join(b"%s %s\0%s" % entry for entry in ordered)


def proposing(pack: Pack, host: Path, entry: tuple[bytes, bytes, str], key: Path, message: str = "A change\n") -> str:
    """Add to a pack the proposal on the host's newest snapshot that puts an entry into domains/alice; 4 objects."""
    mode, name, oid = entry
    base = forge.git(host, "rev-parse", "HEAD").decode().strip()
    put = (mode, name, bytes.fromhex(oid))
    for above, there in _spine(host, base):
        raw = tree_bytes([*(one for one in there if one[1] != put[1]), put])
        put = (b"40000", above, bytes.fromhex(pack.add("tree", raw)))
    who = forge.ident("someone", forge.START + 1000)
    return pack.add("commit", forge.commit_content(put[2].hex(), [base], message, key, author=who, committer=who))


@lru_cache(maxsize=1)
def _spine(host: Path, commit: str) -> list[tuple[bytes, list[tuple[bytes, bytes, bytes]]]]:
    """The directories from domains/alice up to the root: their names, and their entries."""
    oids = {b"alice": "domains/alice", b"domains": "domains", b"": ""}
    trees = {name: forge.git(host, "rev-parse", f"{commit}:{path}").decode().strip() for name, path in oids.items()}
    return [(name, raw_entries(forge.read_object(host, oid))) for name, oid in trees.items()]
