"""How things are measured: ours and a yardstick in turn, in one run, and the median of several rounds."""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

Measured = Callable[[], float]

_OWN = re.compile(r"^RssAnon:\s*(\d+) kB$", re.MULTILINE)


@dataclass(frozen=True)
class Figure:
    """What came of one benchmark: `gitledger` and `yardstick` in `unit`, on `n` of what it is about.

    `ratio` says by how much gitledger is better (above 1) where `unit` is a rate, and how much more it takes where it
    is a cost; `goal` is what the ratio should be, and `met` whether it is.
    """

    name: str
    ratio: float
    gitledger: float
    yardstick: float
    unit: str
    n: int
    goal: str = ""
    met: bool | None = None


def figure(
    name: str,
    ours: float,
    yardstick: float,
    unit: str,
    n: int,
    *,
    least: float | None = None,
    most: float | None = None,
) -> Figure:
    """The figure `ours / yardstick`, which should be `least` or more, or `most` or less."""
    ratio = ours / yardstick
    if least is not None:
        return Figure(name, ratio, ours, yardstick, unit, n, f"≥ {least:g}", ratio >= least)
    if most is not None:
        return Figure(name, ratio, ours, yardstick, unit, n, f"≤ {most:g}", ratio <= most)
    return Figure(name, ratio, ours, yardstick, unit, n)


def in_turn(rounds: int, *measured: Measured) -> list[float]:
    """The median of each of `measured` over so many rounds, in each of which they take turns."""
    found = [[one() for one in measured] for _ in range(rounds)]
    return [statistics.median(each) for each in zip(*found, strict=True)]


def seconds(
    command: Sequence[str], cwd: Path, environment: Mapping[str, str] | None = None, input: bytes = b""
) -> float:
    """How long a command takes, start and end of its process included. Raises where it fails."""
    begun = time.perf_counter()
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, **(environment or {})}, input=input, capture_output=True, check=False
    )
    taken = time.perf_counter() - begun
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.decode(errors='replace')}")
    return taken


def mebibytes(command: Sequence[str], cwd: Path) -> float:
    """The memory of its own that the first process of a command has at its peak, in MiB, looked at 100 times a second.

    What the system maps of files, and takes back when it likes, is not counted: of an index of packs that is all of it.
    Raises where the command fails, or nothing was seen: elsewhere than on Linux, or where it ends at once.
    """
    peak = 0
    with subprocess.Popen(
        command, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL
    ) as process:
        while process.poll() is None:
            with suppress(OSError):
                status = Path(f"/proc/{process.pid}/status").read_text()
                peak = max([peak, *map(int, _OWN.findall(status))])
            time.sleep(0.01)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)}: exit status {process.returncode}")
    if not peak:
        raise RuntimeError(f"{' '.join(command)}: its memory was not seen")
    return peak / 1024
