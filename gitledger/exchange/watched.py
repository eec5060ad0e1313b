"""The git program where it talks to a remote: it waits for nobody for ever, and ends with all it started (spec 10).

What counts is that something moves: bytes that git and its helpers read and write, or work that they do. A remote that
is silent for `SILENT_SECONDS` is given up, and so is one that keeps talking and brings next to nothing (`PATIENCE`), or
more than anybody needs (`ARRIVING_BYTES`, which the system holds a file to; `MEMORY_BYTES`, a process).

It stays in our process group, so that ssh can ask for a passphrase at a terminal, and Ctrl-C there reaches it, too.
"""

from __future__ import annotations

import os
import re
import resource
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gitledger.errors import Failed
from gitledger.objects.store import Store

SILENT_SECONDS: Final = 120
"""For how long nothing may come from a remote, in seconds; a passphrase is typed in that time, too."""

PATIENCE: Final = 1800
"""How many seconds a remote may take in all, and one more for each `SLOWEST` bytes that move."""

SLOWEST: Final = 100
"""How many bytes a second an honest line brings at least; a modem of the eighties does."""

ARRIVING_BYTES: Final = 16 << 30
"""How many bytes one transfer may bring."""

MEMORY_BYTES: Final = 4 << 30
"""How many bytes of memory each process may take, so that no list without end fills the machine."""

SAID_BYTES: Final = 16 << 20
"""How many bytes git may say, progress included: a remote puts words in its mouth."""

_TICK: Final = 1.0
_KEPT: Final = 1 << 16
_MOVED_TIMES: Final = 8
"""How often a byte that arrives is read and written at most: by the helper, by git, by what indexes the pack."""

# `ulimit` is in every shell: blocks of 512 bytes for a file, KiB for memory. Where it can't be set, it is not.
_LIMITED: Final = 'ulimit -S -f "$1" 2>/dev/null; ulimit -S -d "$2" 2>/dev/null; shift 2; exec git "$@"'
_LINE_END = re.compile(rb"[\r\n]")

Hear = Callable[[bytes], object]


@dataclass(frozen=True, slots=True)
class Ended:
    """How it ended: git's exit status, what it said (the end of it, where that is much), and why it was ended early.

    `too_late` and `too_much` are empty, or a few words for a sentence.
    """

    status: int
    said: bytes
    too_late: str = ""
    too_much: str = ""


def run(
    store: Store,
    arguments: tuple[str, ...],
    *,
    given: bytes = b"",
    hear: Hear,
    watch: Callable[[bytes], bool] | None = None,
    env: Mapping[str, str] | None = None,
    seconds: float | None = None,
    most: int = ARRIVING_BYTES,
) -> Ended:
    """Run git with `given` as its input; `hear` is called with each line of its output, `watch` with what it says.

    A line of which `watch` says that it is dealt with is not in `said`. Git ends with all that it has started, whatever
    these raise. `seconds` is how long it may take at most (None: as long as something moves), `most` how many bytes a
    file may have that it writes. Raises Failed (`no-git`).
    """
    with tempfile.TemporaryFile() as asked:
        asked.write(given)
        asked.seek(0)
        process = subprocess.Popen(
            limited(*arguments, most=most),
            cwd=store.work_tree or store.git_dir,
            env={**store.environment(), **(env or {})},
            stdin=asked,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
    with process:
        try:
            ended = _Watched(process, hear, watch, seconds).until_it_ends()
        except BaseException:
            end(process)
            raise
    if ended.status == 127:
        raise Failed("no-git", "there is no git program", "Install git 2.39 or newer.")
    return ended


def end(process: subprocess.Popen[bytes]) -> None:
    """End the process and all that it started; it has a moment to take its locks away.

    Then each is stopped before any is killed: what is stopped starts nothing more.
    """
    if process.poll() is not None:
        return
    found = _tree(process.pid)
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(_TICK)
        found.remove(process.pid)
    stopped: list[int] = []
    while new := [one for top in found for one in _tree(top) if one not in stopped]:
        for one in new:
            _send(one, signal.SIGSTOP)
        stopped += new
    for one in stopped:
        _send(one, signal.SIGKILL)


@dataclass(slots=True)
class _Watched:
    """A git that runs, and what has moved so far: `moved` in bytes, and seconds of `work`, each by process."""

    process: subprocess.Popen[bytes]
    hear: Hear
    watch: Callable[[bytes], bool] | None
    seconds: float | None
    said: bytearray = field(default_factory=bytearray)
    heard: int = 0
    talk: int = 0
    moved: dict[int, int] = field(default_factory=dict)
    work: dict[int, float] = field(default_factory=dict)
    looked: float = field(default_factory=time.monotonic)
    begun: float = field(default_factory=time.monotonic)
    silent: float = 0
    waited: float = 0
    last: tuple[int, float] = (0, 0)

    def until_it_ends(self) -> Ended:
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        out, err = self.process.stdout.fileno(), self.process.stderr.fileno()
        rests = {out: b"", err: b""}
        hearers: dict[int, Hear] = {out: self.hear, err: self._hear_said}
        too_late = too_much = ""
        with selectors.DefaultSelector() as pipes:
            for pipe in rests:
                pipes.register(pipe, selectors.EVENT_READ)
            while not (too_late or too_much) and (pipes.get_map() or self._lives()):
                for key, _ in pipes.select(_TICK) if pipes.get_map() else ():
                    chunk = os.read(key.fd, _KEPT)
                    *lines, rest = _LINE_END.split(rests[key.fd] + chunk)
                    if not chunk:
                        pipes.unregister(key.fd)
                        lines, rest = [rest] if rest else [], b""
                    rests[key.fd] = rest[-_KEPT:]
                    self.heard += len(chunk)
                    self.talk += len(chunk) if key.fd == err else 0
                    for line in lines:
                        hearers[key.fd](line)
                too_late, too_much = self._too_late(), self._too_much()
        if too_late or too_much:
            end(self.process)
        return Ended(self.process.wait(), bytes(self.said), too_late, too_much)

    def _lives(self) -> bool:
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(_TICK)
            return False
        return True

    def _hear_said(self, line: bytes) -> None:
        if self.watch is not None and self.watch(line):
            return
        self.said += line + b"\n"
        del self.said[:-_KEPT]

    def _too_late(self) -> str:
        now = time.monotonic()
        if self.seconds is not None and now - self.begun > self.seconds:
            return f"it took longer than {self.seconds:g} seconds"
        if now - self.looked < _TICK:
            return ""
        step = min(now - self.looked, 2 * _TICK)  # while we were stopped ourselves, nobody waited
        self.looked = now
        self._look()
        moved, work = self.heard + sum(self.moved.values()), sum(self.work.values())
        self.waited += step - min(step, work - self.last[1])
        self.silent = 0 if moved != self.last[0] or work - self.last[1] > step / 10 else self.silent + step
        self.last = (moved, work)
        if self.silent >= (SILENT_SECONDS if self.moved else PATIENCE):
            return f"nothing came for {self.silent:.0f} seconds"
        if self.waited > PATIENCE + moved / SLOWEST:
            return f"next to nothing came in {self.waited:.0f} seconds"
        return ""

    def _too_much(self) -> str:
        if self.talk > SAID_BYTES:
            return f"it talks without end, more than {SAID_BYTES >> 20} MiB"
        if sum(self.moved.values()) > _MOVED_TIMES * ARRIVING_BYTES:
            return f"it sends without end, more than {ARRIVING_BYTES >> 30} GiB"
        return ""

    def _look(self) -> None:
        """Count what has moved. Where the system does not tell (`/proc`), what git says is all there is."""
        for pid in _tree(self.process.pid):
            with suppress(OSError, ValueError, IndexError):
                moved = Path(f"/proc/{pid}/io").read_text().split()
                self.moved[pid] = int(moved[1]) + int(moved[3])
                times = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                self.work[pid] = (int(times[11]) + int(times[12])) / os.sysconf("SC_CLK_TCK")


def limited(*arguments: str, most: int = ARRIVING_BYTES) -> list[str]:
    """The command that runs git with these arguments, held by the system to what one transfer may bring and take."""
    memory = _least(resource.RLIMIT_DATA, MEMORY_BYTES)
    return ["sh", "-c", _LIMITED, "git", str(file_bytes(most) // 512), str(memory // 1024), *arguments]


def file_bytes(most: int) -> int:
    """How many bytes a file that git writes has, held to `most`, and never more than holds here already."""
    return _least(resource.RLIMIT_FSIZE, min(most, ARRIVING_BYTES)) // 512 * 512


def _least(kind: int, most: int) -> int:
    soft, _ = resource.getrlimit(kind)
    return most if soft == resource.RLIM_INFINITY else min(soft, most)


def _tree(pid: int) -> list[int]:
    """The process and all below it."""
    below: dict[int, list[int]] = {}
    for child, parent in _parents():
        below.setdefault(parent, []).append(child)
    found = [pid]
    for one in found:
        found += below.get(one, ())
    return found


def _parents() -> list[tuple[int, int]]:
    """Every process there is, and the one that started it."""
    found: list[tuple[int, int]] = []
    for name in os.listdir("/proc") if os.path.isdir("/proc/self") else ():  # noqa: PTH112, PTH208 - every second
        if name.isdecimal():
            with suppress(OSError, ValueError, IndexError):
                found.append((int(name), int(Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()[1])))
    if not found:
        listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=False).stdout
        found = [(int(pid), int(parent)) for pid, parent in (line.split() for line in listed.splitlines())]
    return found


def _send(pid: int, what: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, what)
