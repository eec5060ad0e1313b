"""What targets stand on: the ledger of `tests/vectors`, with a queue, and a store that takes an object for a moment.

Everything in it follows from fixed keys and a fixed clock, so an object id in a kept input names the same object on
every machine.
"""

from __future__ import annotations

import atexit
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property, lru_cache
from pathlib import Path

HERE = Path(__file__).parent
TESTS = HERE.parent
sys.path[:0] = [path for path in (str(TESTS), str(HERE)) if path not in sys.path]

import forge  # noqa: E402
import stating  # noqa: E402, F401

from gitledger.errors import Malformed  # noqa: E402
from gitledger.objects.store import Store  # noqa: E402
from gitledger.roles.place import Place  # noqa: E402
from gitledger.rules import proposal  # noqa: E402
from gitledger.rules.advance import pinned  # noqa: E402
from gitledger.rules.proposal import Proposal  # noqa: E402
from gitledger.rules.state import Snapshot  # noqa: E402

YOU, ALICE, JAMES = (TESTS / "keys" / name for name in ("you", "alice", "james"))
WAITING = "refs/proposals/alice/waiting"
CHANGES: tuple[dict[str, bytes | None], ...] = (
    {"shared/a": b"a\n"},
    {"standards/one.md": b"# Another\n"},
    {"domains/alice/notes/été.txt": None},
)
"""What proposals may change: `Ground.others` has the trees."""


class Held(Store):
    """A repository, and objects besides that are in it for the time of one input."""

    def __init__(self, git_dir: Path) -> None:
        super().__init__(git_dir, None, writable=False)
        self._added: dict[str, tuple[str, bytes]] = {}

    @contextmanager
    def moment(self) -> Iterator[None]:
        """What is added in the block is gone after it."""
        try:
            yield
        finally:
            self._added.clear()

    def add(self, kind: str, content: bytes) -> str:
        """The id of an object that is here until the moment ends."""
        oid = hashlib.sha1(b"%s %d\0%s" % (kind.encode(), len(content), content)).hexdigest()
        self._added[oid] = kind, content
        return oid

    def read(self, oid: str, kind: str) -> bytes:
        found = self._added.get(oid)
        if found is None:
            return super().read(oid, kind)
        if found[0] != kind:
            raise Malformed("object-kind", f"{oid} stands where a {kind} must be, and is a {found[0]}")
        return found[1]

    def size(self, oid: str) -> tuple[str, int]:
        found = self._added.get(oid)
        return super().size(oid) if found is None else (found[0], len(found[1]))

    def has(self, oid: str) -> bool:
        return oid in self._added or super().has(oid)

    def with_file(self, tree: str, path: str, content: bytes) -> str:
        """The tree `tree` with the file `path` in place of what stands there; its directories are there already."""
        name, _, rest = path.partition("/")
        entries: dict[bytes, tuple[bytes, bytes]] = {}
        raw = self.read(tree, "tree")
        while raw:
            head, _, tail = raw.partition(b"\0")
            mode, _, entry = head.partition(b" ")
            entries[entry], raw = (mode, tail[:20]), tail[20:]
        if rest:
            below = entries[name.encode()][1].hex()
            entries[name.encode()] = b"40000", bytes.fromhex(self.with_file(below, rest, content))
        else:
            entries[name.encode()] = b"100644", bytes.fromhex(self.add("blob", content))
        ordered = sorted(entries.items(), key=lambda one: one[0] + b"/" * (one[1][0] == b"40000"))
        return self.add("tree", b"".join(b"%s %s\0%s" % (mode, entry, oid) for entry, (mode, oid) in ordered))


class Ground:
    """A host with common@0 to common@4, whose witness is james, and a proposal of alice's that waits."""

    def __init__(self, directory: Path) -> None:
        self.repo = directory / "ledger.git"
        subprocess.run(["git", "init", "-q", "--bare", "-b", "common", str(self.repo)], check=True)
        forge.git(self.repo, "fetch", "-q", str(TESTS / "vectors" / "ledger.bundle"), "+refs/*:refs/*")
        self.line = [self._oid(f"refs/tags/common@{number}") for number in range(5)]
        changes = {"domains/alice/notes/late.txt": b"late\n"}
        self.waiting = forge.proposal(self.repo, self.line[-1], changes, ALICE, "A late note\n")
        forge.set_ref(self.repo, WAITING, self.waiting)
        self.others = [forge.changed(self.repo, self.line[-1], change) for change in CHANGES]
        self.endorsement = forge.endorsement(self.repo, self.waiting, ALICE)
        reason = "path-closed it is closed"
        self.refusal = forge.refusal(self.repo, self.waiting, JAMES, at="common@4", reason=reason)
        self.store = Held(self.repo)
        self.anchor = forge.hash_of(self.repo, self.line[0])

    def _oid(self, ref: str) -> str:
        return forge.git(self.repo, "rev-parse", ref).decode().strip()

    @lru_cache(maxsize=8)  # noqa: B019 - there is one ground
    def snapshot(self, number: int) -> Snapshot:
        """common@`number`, trusted."""
        oid = self.line[number]
        return pinned(self.store, oid, forge.hash_of(self.repo, oid))

    @cached_property
    def proposed(self) -> Proposal:
        """What waits."""
        return proposal.read(self.store, self.waiting)

    def place(self) -> Place:
        """The host, as a hook finds it."""
        return Place(self.store, "host", self.anchor, "common")


@lru_cache(maxsize=1)
def ground() -> Ground:
    """The one ground of this process; it goes when the process ends."""
    directory, owner = tempfile.mkdtemp(prefix="fuzz-"), os.getpid()

    @atexit.register
    def clear() -> None:
        if os.getpid() == owner:  # what it has forked stands on it, too
            shutil.rmtree(directory, ignore_errors=True)

    return Ground(Path(directory))
