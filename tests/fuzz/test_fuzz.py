"""Whatever bytes come, only typed errors come out, and what is taken keeps its target's promise (`targets.py`).

The kept corpus goes through each target, then inputs that hypothesis makes: any bytes, and changes of what is kept. It
makes the same ones every time; `python -m tests.fuzz` goes further, and makes others.
"""

from __future__ import annotations

import re
import subprocess
import sys
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from seeds import CORPUS
from targets import TARGETS, run

LARGEST_CORPUS = 300 << 10
EXAMPLES = {"evidence": 15}
"""How many inputs of each kind a target gets in the everyday suite, where that is not the number below."""
FEW, MANY = 60, 400

everyday = settings(
    max_examples=FEW,
    derandomize=True,
    database=None,
    deadline=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)


@lru_cache(maxsize=64)
def kept(target: str) -> list[bytes]:
    return [path.read_bytes() for path in sorted((CORPUS / target).iterdir())]


@st.composite
def mutations(draw: st.DrawFn, inputs: list[bytes]) -> bytes:
    """One of the inputs after one change or a few: spliced with another, cut, lines twice or swapped, bits flipped."""
    data = draw(st.sampled_from(inputs))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data)))
        end = draw(st.integers(at, min(len(data), at + 100)))
        how = draw(st.sampled_from(("cut", "splice", "lines", "swap", "flip", "put", "drop", "repeat")))
        lines = data.split(b"\n")
        one, other = (draw(st.integers(0, len(lines) - 1)) for _ in range(2))
        if how == "cut":
            data = data[:at]
        elif how == "splice":
            donor = draw(st.sampled_from(inputs))
            data = data[:at] + donor[draw(st.integers(0, len(donor))) :]
        elif how == "lines":
            data = b"\n".join((*lines[: one + 1], *lines[one : one + 1 + other]))
        elif how == "swap":
            lines[one], lines[other] = lines[other], lines[one]
            data = b"\n".join(lines)
        elif how == "flip" and at < len(data):
            data = data[:at] + bytes([data[at] ^ 1 << draw(st.integers(0, 7))]) + data[at + 1 :]
        elif how == "put":
            data = data[:at] + draw(st.binary(max_size=4) | st.text(max_size=4).map(str.encode)) + data[end:]
        elif how == "drop":
            data = data[:at] + data[end:]
        elif how == "repeat":
            data = data[:at] + data[at:end] * draw(st.integers(2, 50)) + data[end:]
    return data


@pytest.mark.parametrize("target", TARGETS)
def test_what_is_kept_keeps_the_promise(target: str) -> None:
    taken = [run(target, data) for data in kept(target)]
    assert any(taken) or target.startswith("signature"), "the corpus has an honest input"


@pytest.mark.parametrize("target", TARGETS)
def test_any_bytes_keep_the_promise(target: str) -> None:
    hold(target, EXAMPLES.get(target, FEW))


@pytest.mark.long
@pytest.mark.parametrize("target", TARGETS)
def test_many_changes_of_what_is_kept_keep_the_promise(target: str) -> None:
    hold(target, EXAMPLES.get(target, MANY))


def hold(target: str, examples: int) -> None:
    @settings(everyday, max_examples=examples)
    @given(st.binary(max_size=200) | mutations(kept(target)))
    def holds(data: bytes) -> None:
        run(target, data)

    holds()


def test_every_target_says_its_promise_and_has_a_corpus() -> None:
    assert sorted(path.name for path in CORPUS.iterdir()) == sorted(TARGETS)
    assert all(function.__doc__ for function in TARGETS.values())


def test_the_corpus_is_small_and_named_by_content() -> None:
    files = [path for path in CORPUS.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < LARGEST_CORPUS
    assert all(path.name == sha256(path.read_bytes()).hexdigest()[:16] for path in files)


@pytest.mark.long
def test_the_command_fuzzes_or_says_what_it_lacks() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", "names", "--seconds", "1"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 2:
        assert "pip install -e '.[fuzz]'" in done.stderr
    else:
        assert (done.returncode, done.stderr) == (0, "")
        assert re.search(r"^names: nothing found in [1-9][0-9]* inputs$", done.stdout, re.MULTILINE)
