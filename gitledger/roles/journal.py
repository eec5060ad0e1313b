"""What a witness on this machine has signed for a ledger (spec 9): two versions of one number would be a fork.

Kept per ledger, not per clone, in `$XDG_STATE_HOME/gitledger/<ledger id in hex>/`:

    emitted.json                  the last snapshot that was signed here and published
    pending.bundle                what was signed here and perhaps not yet published: a Git bundle on top of that
    pending-<N>-superseded.bundle what was signed here from N on and never will be: another witness made that number

What was signed is kept, synced to disk, before it is pushed, so that a crash in between publishes the same bytes at the
next run. The lock keeps two emissions on one machine apart.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from gitledger.errors import Failed, Refused
from gitledger.objects.store import Store
from gitledger.roles.notes import must_read, sync_directory, write_durably
from gitledger.rules.state import Snapshot

SIGNED = "refs/gitledger/signed"
"""Holds what is signed and not yet published, in the repository that emits."""


@dataclass(frozen=True, slots=True)
class Emitted:
    """The last snapshot that this machine published: its number, its commit, the key id that signed it.

    `since` is the number of the snapshot that made that key the witness: 0, or that of a seal (spec 8).
    """

    number: int
    oid: str
    key: str
    since: int


@dataclass(frozen=True, slots=True)
class Journal:
    """The journal of one ledger on this machine, in `directory`."""

    directory: Path

    @classmethod
    def of(cls, anchor: str) -> Journal:
        """The journal of the ledger whose id is `anchor`."""
        named = Path(os.environ.get("XDG_STATE_HOME", ""))
        home = named if named.is_absolute() else Path.home() / ".local" / "state"  # as XDG has it
        return cls(home / "gitledger" / anchor.removeprefix("sha256:"))

    @property
    def last(self) -> Emitted | None:
        """The last snapshot published from here; None where this machine never emitted. Raises Failed if damaged."""
        path = self.directory / "emitted.json"
        damaged = Failed(
            "journal-damaged",
            f"{path} can't be read",
            "restore it from a backup; if it is lost, move it away and run gitledger emit --first-here",
        )
        return must_read(path, Emitted, damaged)

    def published(self, snapshot: Snapshot) -> None:
        """Note that `snapshot`, signed here, is public; nothing is pending after it."""
        witness = snapshot.state.witness
        said = Emitted(snapshot.number, snapshot.oid, witness.pubkey_id, witness.since_name.number)
        write_durably(self.directory / "emitted.json", json.dumps(asdict(said), sort_keys=True) + "\n")
        self._pending.unlink(missing_ok=True)

    def set_aside(self, number: int, tip: str) -> Path:
        """Keep what is pending, from snapshot `number` to the commit `tip`, out of the way; returns the file."""
        kept = self.directory / f"pending-{number}-superseded.bundle"
        if kept.exists():
            kept = self.directory / f"pending-{number}-superseded-{tip[:12]}.bundle"
        self._pending.replace(kept)
        sync_directory(self.directory)
        return kept

    @property
    def _pending(self) -> Path:
        return self.directory / "pending.bundle"

    def keep(self, store: Store, base: Snapshot, tip: Snapshot) -> None:
        """Keep what was signed on `base`, up to `tip`, whose objects are in `store`, before anybody can see it."""
        self.directory.mkdir(parents=True, exist_ok=True)
        draft = self.directory / "pending.new"
        store.update([(SIGNED, tip.oid, None)])
        # A run that was killed may have left git's lock, and nobody but us is here now.
        draft.with_name(f"{draft.name}.lock").unlink(missing_ok=True)
        # It is there for a moment, so it is written fast and not small; but a large directory is not whole in it for
        # each snapshot.
        fast = ("-c", "pack.window=2", "-c", "pack.compression=1")
        store.git(*fast, "bundle", "create", "--quiet", str(draft), SIGNED, f"^{base.oid}")
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        draft.replace(self._pending)
        sync_directory(self.directory)

    def pending(self, store: Store) -> str | None:
        """Bring what is pending into `store`; the oid of its tip, or None. Raises Failed where it doesn't fit."""
        if not self._pending.exists():
            return None
        fetched = store.git(
            "fetch",
            "--quiet",
            "--no-tags",
            "--no-write-fetch-head",
            str(self._pending),
            f"+{SIGNED}:{SIGNED}",
            check=False,
        )
        if fetched.returncode:
            raise Failed(
                "pending-unreadable",
                f"what was signed and not yet published does not fit here: {fetched.stderr.decode(errors='replace')}",
                f"fetch the newest snapshots first; the bundle is {self._pending}",
            )
        return store.resolve(SIGNED)

    def fits(self, store: Store) -> bool | None:
        """Whether what is pending could be brought into `store`, where nothing is written; None: nothing is."""
        if not self._pending.exists():
            return None
        return store.git("bundle", "verify", "--quiet", str(self._pending), check=False).returncode == 0

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the journal alone. Raises Refused (`emitting`) while another emission on this machine has it."""
        self.directory.mkdir(parents=True, exist_ok=True)
        with (self.directory / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Refused(
                    "emitting", "another emission for this ledger is running on this machine", "wait until it is done"
                ) from None
            yield
