"""From what is trusted up to what somebody offers (spec 10, Consumer); what does not lead up is for `foreign.py`.

The way is walked down by first parents, read from raw bytes, and then up by `advance`, which alone gives verdicts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

from gitledger.objects.store import Store
from gitledger.roles.place import AHEAD_SECONDS, Progress
from gitledger.rules.advance import advance
from gitledger.rules.state import Snapshot

KEEP_EVERY: Final = 1000

ELSEWHERE: Final = "Nothing moved for it here. Fetch from another mirror, and show the authorities what this one has."

_ID: Final = 20
_PARENT = re.compile(rb"tree [0-9a-f]{40}\nparent ([0-9a-f]{40})\n")


class Path:
    """The commits from `tip` down by first parents to `stop`, which is not one of them, or to one without a parent.

    20 bytes are held for each. `path[0]` is the lowest; `led` says whether `stop` was met.
    """

    def __init__(self, store: Store, tip: str, stop: str = "") -> None:
        ids = bytearray()
        oid = tip
        while oid not in ("", stop):
            ids += bytes.fromhex(oid)
            parent = _PARENT.match(store.read(oid, "commit"))
            oid = parent[1].decode() if parent else ""
        self._ids = ids
        self.led = oid == stop

    def __len__(self) -> int:
        return len(self._ids) // _ID

    def __getitem__(self, index: int) -> str:
        if not 0 <= index < len(self):
            raise IndexError(index)
        at = len(self._ids) - (index + 1) * _ID
        return self._ids[at : at + _ID].hex()

    def __iter__(self) -> Iterator[str]:
        return (self[index] for index in range(len(self)))


def climb(
    trusted: Snapshot,
    path: Path | list[str],
    *,
    start: int = 0,
    end: int | None = None,
    progress: Progress,
    now: int | None = None,
    keep: Callable[[Snapshot], object] = lambda snapshot: None,
) -> tuple[Snapshot, Snapshot | None]:
    """Advance from `trusted` over `path[start:end]`; the last snapshot, and the first that is ahead of the clock.

    `now` are the seconds on this machine's clock; without it, no snapshot is ahead. `keep` is called now and then with
    what was reached, and last however it ends. Raises what `advance` raises for the first that is invalid.
    """
    end = len(path) if end is None else end
    kept = trusted
    try:
        for index in range(start, end):
            reached = advance(trusted, path[index])
            if now is not None and reached.seconds > now + AHEAD_SECONDS:
                return trusted, reached
            trusted = reached
            progress(index + 1 - start, end - start)
            if (index + 1 - start) % KEEP_EVERY == 0:
                keep(trusted)
                kept = trusted
        return trusted, None
    finally:
        if kept is not trusted:
            keep(trusted)
