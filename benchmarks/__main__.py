"""All benchmarks, or those that are named: `python -m benchmarks [NAME…] [--quick] [--keep DIR] [--json FILE]`.

Each measures gitledger beside its yardstick in the same run, in turn, and takes the median of several rounds. Machines
differ and are noisy: the ratio is what counts. `--quick` takes sizes at which all of it ends in minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Column, Table

from benchmarks import hosting, verification
from benchmarks.measure import Figure

Benchmark = Callable[[Path, bool], Iterator[Figure]]

BENCHMARKS: dict[str, Benchmark] = {
    "verify-cold": verification.cold,
    "verify-git": verification.git,
    "verify-next": verification.following,
    "growth": verification.growth,
    "large": verification.large,
    "start": verification.start,
    "hook": hosting.proposals,
    "emit-batch": hosting.emission,
    "propose-bytes": hosting.wire,
}


def main() -> int:
    """Run what the arguments name, print a table, write the JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=(__doc__ or "").split("\n\n")[1])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; without any, all")
    parser.add_argument("--quick", action="store_true", help="small sizes, for CI")
    parser.add_argument("--keep", type=Path, help="where synthetic ledgers are kept (~/.cache/gitledger-benchmarks)")
    parser.add_argument("--json", type=Path, default=Path(__file__).with_name("results.json"), help="where figures go")
    asked = parser.parse_args()
    if unknown := [name for name in asked.names if name not in BENCHMARKS]:
        parser.error(f"there is no benchmark {unknown[0]}; there are {', '.join(BENCHMARKS)}")
    kept = asked.keep or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gitledger-benchmarks"
    kept.mkdir(parents=True, exist_ok=True)
    figures: list[Figure] = []
    for name in asked.names or BENCHMARKS:
        print(f"{name} …", file=sys.stderr)
        figures += BENCHMARKS[name](kept.resolve(), asked.quick)
    asked.json.write_text(json.dumps([asdict(one) for one in figures], indent=1, ensure_ascii=False) + "\n")
    Console().print(_table(figures))
    return 0


def _table(figures: list[Figure]) -> Table:
    headings = ("name", "n", "gitledger", "yardstick", "unit", "ratio", "goal", "")
    table = Table(*(Column(heading, no_wrap=True) for heading in headings), box=None)
    for one in figures:
        mark = "" if one.met is None else "✓" if one.met else "✗"
        table.add_row(
            one.name,
            f"{one.n:,}",
            _shown(one.gitledger),
            _shown(one.yardstick),
            one.unit,
            _shown(one.ratio),
            one.goal,
            mark,
        )
    return table


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    sys.exit(main())
