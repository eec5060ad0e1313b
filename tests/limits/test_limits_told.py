"""docs/limits.md names every bound as it stands in the program, and each rule that it names is one of the program's."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from gitledger.documents.policy import Limits

ROOT = Path(__file__).parents[2]
ROWS = [
    tuple(cell.strip() for cell in line.strip("|").split("|"))
    for line in (ROOT / "docs" / "limits.md").read_text(encoding="utf-8").splitlines()
    if re.match(r"\| `[a-z]+\.[A-Za-z_.]+(\[.*\])?` \| \d", line)
]
SOURCE = "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "gitledger").rglob("*.py")))


@pytest.mark.parametrize(("limit", "value", "what", "rule"), ROWS, ids=lambda cell: cell[:40])
def test_a_limit_is_as_it_is_told(limit: str, value: str, what: str, rule: str) -> None:
    name = limit.strip("`")
    if name.startswith("limits."):
        assert getattr(Limits(), name.removeprefix("limits.")) == int(value)
    else:
        module, _, constant = name.rpartition(".")
        constant, _, key = constant.partition("[")
        found = getattr(importlib.import_module(f"gitledger.{module}"), constant)
        assert (found[key.strip('"]')] if key else found) == int(value)
    assert what
    if rule and not rule.startswith("git:"):
        assert f'"{rule.strip("`")}"' in SOURCE


def test_every_limit_of_the_policy_that_strangers_meet_is_told() -> None:
    told = {row[0].strip("`").removeprefix("limits.") for row in ROWS if row[0].startswith("`limits.")}
    assert told == set(Limits.__struct_fields__) - {"certificate_grace"}


def test_every_bound_that_has_a_name_of_one_is_told() -> None:
    """A constant that is public and named as a bound stands in the table."""
    named = re.findall(
        r"^((?:MAX|MOST|LARGEST|PUSH|BUNDLE|REFS|QUEUE)_?[A-Z_]*)\s*(?::[^=\n]*)?=\s", SOURCE, re.MULTILINE
    )
    told = {row[0].strip("`").partition("[")[0].rpartition(".")[2] for row in ROWS}
    known = {"MAX_SECONDS", "MAX_INTEGER", "LARGEST_NUMBER", "LARGEST_MISCONDUCT", "PUSH_SECONDS"}
    assert set(named) - told - known <= {"REFS", "QUEUES"}
