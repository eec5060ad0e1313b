"""A plain bare repository that serves a ledger, honest or not: no hooks, no gitledger, all of it made by the forge."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import forge

KEYS = Path(__file__).parent / "keys"
PEOPLE = {name: KEYS / name for name in ("you", "alice", "james")}
NOW = forge.START + 3600
"""What the clock of a consumer shows where a test does not say otherwise."""


class Mirror:
    """`snapshots` are the commits of its line, oldest first; `anchor` is its ledger id."""

    def __init__(self, path: Path, *, name: str = "common", **genesis: Any) -> None:
        self.path, self.name = path, name
        subprocess.run(["git", "init", "-q", "--bare", f"--initial-branch={name}", str(path)], check=True)
        self.snapshots = [forge.genesis(path, PEOPLE, name=name, **genesis)]
        self.anchor = forge.hash_of(path, self.snapshots[0])
        self.show(self.snapshots[0])

    @property
    def tip(self) -> str:
        return self.snapshots[-1]

    @property
    def branch(self) -> str:
        return f"refs/heads/{self.name}"

    def show(self, oid: str) -> None:
        """Serve `oid` as the newest snapshot, whatever it is."""
        self.set(self.branch, oid)

    def set(self, ref: str, oid: str | None) -> None:
        forge.set_ref(self.path, ref, oid)

    def proposal(
        self, changes: Mapping[str, bytes], *, by: str = "alice", base: str = "", at: int = 0, **options: Any
    ) -> str:
        """A signed proposal on the newest snapshot, or on `base`, made `at` seconds after the forge's start."""
        base = base or self.tip
        who = forge.ident(by, forge.START + (at or len(self.snapshots)))
        key = options.pop("key", KEYS / by)
        tree = forge.changed(self.path, base, changes)
        return forge.commit(self.path, tree, [base], "A change\n", key, author=who, committer=who, **options)

    def snapshot(self, path: str = "", *, on: str = "", key: Path = KEYS / "you", at: int = 0, **altered: Any) -> str:
        """A snapshot that accepts a proposal by alice of a file; `altered` as in `forge.snapshot`. It is not served."""
        on = on or self.tip
        number = int(forge.said(self.path, on, "Snapshot").rpartition("@")[2]) + 1
        path = path or f"domains/alice/{number}.txt"
        changes = {path: f"{path}, {number}\n".encode()}
        proposal = self.proposal(changes, base=on, at=number)
        return forge.snapshot(self.path, on, proposal, key, seconds=forge.START + (at or number), **altered)

    def grow(self, count: int = 1) -> None:
        """Emit so many snapshots more, and serve them."""
        for _ in range(count):
            self.snapshots.append(self.snapshot())
        self.show(self.tip)
