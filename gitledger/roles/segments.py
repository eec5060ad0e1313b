"""A long way up, shared among processes (spec 10).

Each process takes a part of the line and goes up it by the same `advance`, from the snapshot below, taken at its hash.
What it says counts only once the parts before it have reached that very hash; where it stopped early, for whatever
reason, the rest is climbed here, which raises what one process alone would raise. So many processes give the verdict
of one, in a repository that has all objects: the trees of the snapshots between two parts are read, and not only made.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Final

from gitledger.errors import LedgerError
from gitledger.objects.codec import digest
from gitledger.objects.store import Store
from gitledger.roles import ascent
from gitledger.roles.place import Progress, silent
from gitledger.rules.advance import pinned
from gitledger.rules.state import Snapshot

_LEAST: Final = 400
"""For how many snapshots another process is worth its start."""

_WORK: Final = "import sys; sys.path[:] = sys.argv[1:]; from gitledger.roles import segments; segments.work()"
_LINES: Final = 1000


def processors() -> int:
    """How many processes this machine runs at once."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def climb(
    trusted: Snapshot,
    path: ascent.Path,
    *,
    start: int,
    end: int | None = None,
    jobs: int | None = None,
    progress: Progress = silent,
    now: int | None = None,
    keep: Callable[[Snapshot], object] = lambda snapshot: None,
) -> tuple[Snapshot, Snapshot | None]:
    """As `ascent.climb`, by `jobs` processes; None: as many as this machine runs at once."""
    end = len(path) if end is None else end
    several = min(processors() if jobs is None else jobs, (end - start) // _LEAST)
    store = trusted.state.objects
    if several < 2 or not isinstance(store, Store):
        return ascent.climb(trusted, path, start=start, end=end, progress=progress, now=now, keep=keep)
    bounds = [start + (end - start) * part // several for part in range(several + 1)]
    with ExitStack() as stack:
        parts = [stack.enter_context(_Part(store, path, begin, until, now)) for begin, until in pairwise(bounds[1:])]

        def shown(done: int, of: int) -> None:
            progress(done + sum(part.done for part in parts), end - start)

        trusted, ahead = ascent.climb(trusted, path, start=start, end=bounds[1], progress=shown, now=now, keep=keep)
        for part in parts:
            if ahead is not None:
                break
            reached, snapshot_hash = part.result(trusted.hash)
            if reached > part.begin:
                trusted = pinned(store, path[reached - 1], snapshot_hash)
                keep(trusted)
                progress(reached - start, end - start)
            trusted, ahead = ascent.climb(
                trusted, path, start=reached, end=part.end, progress=silent, now=now, keep=keep
            )
    return trusted, ahead


class _Part:
    """A process that goes up `path[begin:end]`; it ends with the block at the latest."""

    def __init__(self, store: Store, path: ascent.Path, begin: int, end: int, now: int | None) -> None:
        self.begin = begin
        self.end = end
        self.done = 0
        self._said: dict[str, str] = {}
        self._process: subprocess.Popen[str] | None = None
        self._task = {
            "repository": str(store.git_dir),
            "base": path[begin - 1],
            "now": now,
            "commits": [path[index] for index in range(begin, end)],
        }

    def __enter__(self) -> _Part:
        if not sys.executable:
            return self
        try:
            self._process = subprocess.Popen(
                # It imports what we have imported, and nothing of the directory that we are in, which may be anybody's.
                [sys.executable, "-I", "-c", _WORK, str(Path(__file__).parents[2]), *filter(None, sys.path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        except OSError:
            return self
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._process is not None:
            self._process.kill()
            self._reader.join()
            self._process.wait()

    def result(self, base_hash: str) -> tuple[int, str]:
        """Up to where it came and the hash there; nowhere, unless it began at `base_hash` and said so."""
        if self._process is not None:
            self._reader.join()
        if self._said.get("began") != base_hash:
            return self.begin, base_hash
        return self.begin + self.done, self._said["hash"]

    def _read(self) -> None:
        """Hand over the task, and take what it says: how many are done, and last a record."""
        assert self._process is not None and self._process.stdin is not None and self._process.stdout is not None
        try:
            with self._process.stdin as stdin:
                json.dump(self._task, stdin)
            for line in self._process.stdout:
                if line.startswith("{"):
                    said = json.loads(line)
                    self.done, self._said = int(said["done"]), said
                else:
                    self.done = int(line)
        except (OSError, ValueError, KeyError, TypeError):
            self._said = {}
        finally:
            self._process.stdout.close()


def work() -> None:
    """Be such a process: read a task, go up as far as it goes, and say how far."""
    task = json.load(sys.stdin)
    store = Store.open(Path(task["repository"]))
    began = digest(store.read(task["base"], "commit"))
    trusted = pinned(store, task["base"], began)
    commits, below = task["commits"], trusted.number
    step = len(commits) // _LINES + 20

    def tell(count: int, of: int) -> None:
        if count % step == 0:
            print(count, flush=True)

    def remember(snapshot: Snapshot) -> None:
        nonlocal trusted
        trusted = snapshot

    with suppress(LedgerError):  # whoever asked will come to the same, and say so
        remember(ascent.climb(trusted, commits, progress=tell, now=task["now"], keep=remember)[0])
    print(json.dumps({"began": began, "done": trusted.number - below, "hash": trusted.hash}), flush=True)
