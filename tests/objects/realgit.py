"""Repositories made by stock git, and objects made from raw bytes."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path


class Repository:
    """A repository and the git program in it."""

    def __init__(self, path: Path, *options: str) -> None:
        self.path = path
        subprocess.run(["git", "init", "-q", "-b", "common", *options, str(path)], check=True)

    def git(self, *args: str, input: bytes = b"") -> bytes:
        return subprocess.run(["git", *args], cwd=self.path, input=input, check=True, stdout=subprocess.PIPE).stdout

    def text(self, *args: str, input: bytes = b"") -> str:
        return self.git(*args, input=input).decode().strip()

    def put(self, kind: str, raw: bytes) -> str:
        """Write an object as it is, whatever git thinks of it."""
        return self.text("hash-object", "-t", kind, "-w", "--literally", "--stdin", input=raw)

    def commit(self, message: str, *options: str, **files: str) -> str:
        for name, content in files.items():
            (self.path / name).write_text(content)
            self.git("add", name)
        self.git("commit", "-q", "--allow-empty", *options, "-m", message)
        return self.text("rev-parse", "HEAD")

    def grow(self, files: dict[str, tuple[bytes, bool]]) -> str:
        """Commit exactly these files (content, executable) and return the id of their tree."""
        stream = [b"commit refs/heads/grown\ncommitter A <a@x> 1 +0000\ndata 0\ndeleteall\n"]
        for path, (content, executable) in files.items():
            mode = b"100755" if executable else b"100644"
            stream += [b'M %s inline "%s"\ndata %d\n%s\n' % (mode, path.encode(), len(content), content)]
        self.git("fast-import", "--quiet", "--force", input=b"".join(stream))
        return self.text("rev-parse", "refs/heads/grown^{tree}")


class Memory:
    """Objects in a dictionary, made from raw bytes; it counts what is read."""

    def __init__(self) -> None:
        self.held: dict[str, tuple[str, bytes]] = {}
        self.reads: list[str] = []
        self.told: dict[str, bytes] = {}

    def put(self, kind: str, raw: bytes) -> str:
        oid = hashlib.sha1(b"%s %d\0" % (kind.encode(), len(raw)) + raw).hexdigest()
        self.held[oid] = (kind, raw)
        return oid

    def tree(self, *entries: tuple[str, str | bytes, str]) -> str:
        """A tree object from (mode, name, oid), in the order given."""
        raw = [
            mode.encode() + b" " + (name if isinstance(name, bytes) else name.encode()) + b"\0" + bytes.fromhex(oid)
            for mode, name, oid in entries
        ]
        return self.put("tree", b"".join(raw))

    def read(self, oid: str, kind: str) -> bytes:
        self.reads.append(oid)
        held, raw = self.held[oid]
        assert held == kind
        return raw

    def size(self, oid: str) -> tuple[str, int]:
        kind, raw = self.held[oid]
        return kind, len(raw)
