"""Fuzz with coverage guidance: `python -m tests.fuzz TARGET… [--seconds N]`; `all` stands for every target.

Each target runs in a process of its own, from the kept corpus on. What atheris finds on its way goes with the process;
an input that broke something stays in a temporary directory, and how to keep it for good is said:
`python -m tests.fuzz TARGET --keep FILE`. `python -m tests.fuzz all --seeds` writes the seeds of the corpus again.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import os
import shutil
import sys
import tempfile
from contextlib import redirect_stderr
from pathlib import Path
from typing import NoReturn

HERE = Path(__file__).resolve().parent
CORPUS = HERE / "corpus"
SECONDS_AN_INPUT = 10
"""How long an input may take. None that is honest takes a tenth of it, where nothing is instrumented."""
MEGABYTES = 1024
"""How much memory a target may take."""

_NO_ATHERIS = "atheris is not installed, which finds its way by coverage: pip install -e '.[fuzz]'"


def main(arguments: list[str]) -> int:
    """Fuzz the targets that are named; 1 where something was found, 2 where it can't be."""
    known = sorted(path.name for path in CORPUS.iterdir() if path.is_dir())
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Fuzz with coverage guidance.")
    parser.add_argument(
        "targets", nargs="+", metavar="TARGET", choices=["all", *known], help=f"all, {', '.join(known)}"
    )
    parser.add_argument("--seconds", type=int, default=60, metavar="N", help="for each target (60)")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="put an input into the corpus of the target")
    parser.add_argument("--seeds", action="store_true", help="write the seeds of the corpus")
    asked = parser.parse_args(arguments)
    if asked.keep or asked.seeds:
        return _write(asked.targets, asked.keep)
    if importlib.util.find_spec("atheris") is None:
        print(_NO_ATHERIS, file=sys.stderr)
        return 2
    targets = known if "all" in asked.targets else asked.targets
    _instrument()
    return max([fuzz(target, asked.seconds) for target in targets])


def fuzz(target: str, seconds: int) -> int:
    """Fuzz one target for so many seconds; 1 where something was found. `GITLEDGER_SEED` begins it as another run."""
    found = Path(tempfile.mkdtemp(prefix=f"fuzz-{target}-"))
    scratch, told = found / "scratch", found / "told.txt"
    (scratch / "corpus").mkdir(parents=True)
    seed = (f"-seed={os.environ['GITLEDGER_SEED']}",) if "GITLEDGER_SEED" in os.environ else ()
    limits = (f"-max_total_time={seconds}", f"-timeout={SECONDS_AN_INPUT}", f"-rss_limit_mb={MEGABYTES}", *seed)
    shown = ("-print_final_stats=1", "-verbosity=0", f"-artifact_prefix={found}/")
    print(f"{target}: {seconds} s", flush=True)
    child = os.fork()  # instrumenting takes longer than a short run
    if child == 0:
        _inside(target, (*limits, *shown, str(scratch / "corpus"), str(CORPUS / target)), told, scratch)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    shutil.rmtree(scratch)
    said = told.read_text(errors="replace")
    inputs = [path for path in sorted(found.iterdir()) if path != told]
    if status == 0 and not inputs:
        shutil.rmtree(found)
        ran = next((line.split()[-1] for line in said.splitlines() if "number_of_executed_units" in line), "no")
        print(f"{target}: nothing found in {ran} inputs", flush=True)
        return 0
    print(said)
    for path in inputs:
        print(f"{target}: found {path}")
        print(f"once it is mended, keep it:  python -m tests.fuzz {target} --keep {path}", flush=True)
    return 1


def _write(targets: list[str], kept: Path | None) -> int:
    """Put the file `kept` into the corpus of one target; None: write the seeds."""
    sys.path[:0] = [str(HERE)]
    import seeds

    if kept is None:
        seeds.write()
    else:
        print(seeds.keep(targets[0], kept.read_bytes()))
    return 0


def _instrument() -> None:
    """Import what is fuzzed: gitledger and what it parses with are instrumented as they are imported."""
    import atheris

    sys.path[:0] = [str(HERE), str(HERE.parent)]
    with redirect_stderr(io.StringIO()), atheris.instrument_imports(include=["gitledger", "yaml"]):
        import targets
    targets.ground()


def _inside(target: str, arguments: tuple[str, ...], told: Path, scratch: Path) -> NoReturn:
    """The process of one target, which atheris ends."""
    import atheris
    from targets import run

    with told.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    tempfile.tempdir = str(scratch)

    def one(data: bytes) -> None:
        run(target, data)

    atheris.Setup([sys.argv[0], *arguments], one)
    atheris.Fuzz()
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
