"""The consumer: keeps an anchor and a verified snapshot, and lets nothing else move what it stands on (spec 10).

Fetched refs land apart, under `refs/gitledger/incoming/`; the branch and the tags follow only after `advance`. HEAD is
detached at the pin and moves only when told to. An anchor proves a line, not the newest, so a first fetch may name a
recent snapshot and its hash, too. What does not descend from the verified snapshot never replaces it:

    an older snapshot of the same line         a stale mirror: says so, stays
    dated more than a day ahead of the clock   waits, says so; no verdict
    two valid snapshots on one previous        a fork: stays, and says what it saw
    anything else that is invalid              refused, under no ref; what is valid before it is kept
"""

from __future__ import annotations

import re
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gitledger.documents.names import SnapshotName, check_digest, check_domain
from gitledger.errors import Failed, Fork, LedgerError, Malformed, Refused, Unreachable, Unsound, Usage
from gitledger.exchange import layout, remotes
from gitledger.objects.codec import Commit, digest
from gitledger.objects.store import Store
from gitledger.roles import draft
from gitledger.roles.place import INCOMING, Place
from gitledger.roles.signers import keep_allowed_signers
from gitledger.rules.advance import advance, genesis, pinned
from gitledger.rules.entry import Entry
from gitledger.rules.line import Row
from gitledger.rules.queue import ENDORSEMENT_REF, PROPOSAL_REF, REFUSAL_REF
from gitledger.rules.state import Snapshot

Progress = Callable[[int, int], None]
"""Called with how many snapshots are done, and of how many."""

DAY: Final = 86_400
QUEUE_LIMIT: Final = 10_000
"""How many proposals, endorsements and refusals are fetched from a remote; what it has beyond is left there."""

_KEEP_EVERY: Final = 1000
_TRIES: Final = 3
_ID: Final = 20
_PARENT = re.compile(rb"tree [0-9a-f]{40}\nparent ([0-9a-f]{40})\n")
_ELSEWHERE: Final = "Nothing moved here. Fetch from another mirror, and show the authorities what this one offers."


@dataclass(frozen=True, slots=True)
class FetchReport:
    """What a fetch did: `place` is as it stands now, `before` the number that was verified before.

    `stale` is the remote's newest number where that is older than what is verified here (exit status 4); `ahead`
    a snapshot that waits, by its name and committer seconds, because it is dated more than a day ahead of this clock.
    `left` counts refs of the queue beyond `QUEUE_LIMIT`; `queue_error` says why the queue was not fetched.
    """

    place: Place
    remote: str
    before: int
    stale: int | None = None
    ahead: tuple[str, int] | None = None
    left: int = 0
    queue_error: LedgerError | None = None

    @property
    def after(self) -> int:
        """The number that is verified now."""
        return self.place.verified.number


@dataclass(frozen=True, slots=True)
class _Climb:
    """A line that is being verified upwards: where `progress` goes, which clock counts, what is kept on the way."""

    progress: Progress
    now: int
    keep: Callable[[Snapshot], object] = field(default=lambda snapshot: None)

    def up(self, trusted: Snapshot, path: _Path) -> tuple[Snapshot, tuple[str, int] | None]:
        """The last snapshot of `path` that is valid and not ahead of the clock, and the first that is ahead.

        Raises what `advance` raises for the first that is invalid; what was valid before it is kept.
        """
        kept = trusted
        try:
            for done, oid in enumerate(path.upwards(), 1):
                reached = advance(trusted, oid)
                if reached.seconds > self.now + DAY:
                    return trusted, (reached.name, reached.seconds)
                trusted = reached
                self.progress(done, len(path))
                if done % _KEEP_EVERY == 0:
                    self.keep(kept := trusted)
            return trusted, None
        finally:
            if kept is not trusted:
                self.keep(trusted)


class _Path:
    """The first parents of a commit, down to one that is known or to one that has none: 20 bytes each."""

    def __init__(self, store: Store, tip: str, stop: str | None) -> None:
        self._ids = bytearray()
        self.bottom: str | None = tip
        while self.bottom is not None and self.bottom != stop:
            self._ids += bytes.fromhex(self.bottom)
            match = _PARENT.match(store.read(self.bottom, "commit"))
            self.bottom = match[1].decode() if match else None

    def __len__(self) -> int:
        return len(self._ids) // _ID

    def __getitem__(self, index: int) -> str:
        """The commit `index` places above the bottom, 0 being the lowest."""
        at = len(self._ids) - (index + 1) * _ID
        return self._ids[at : at + _ID].hex()

    def upwards(self, start: int = 0) -> Iterator[str]:
        return (self[index] for index in range(start, len(self)))
