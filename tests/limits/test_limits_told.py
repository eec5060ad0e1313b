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
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path.read_text(encoding="utf-8")
    for path in sorted((ROOT / "gitledger").rglob("*.py"))
}
SOURCE = "".join(MODULES.values())

NO_BOUND = {
    *("MAX_SECONDS", "LONGEST_SECONDS", "MAX_INTEGER", "LARGEST_NUMBER", "SALT_LIMIT"),  # how far the format counts
    *("LARGEST_EXACT",),  # and how far readers of it count exactly
    *("FORMAT", "REGULAR", "EXECUTABLE", "DIRECTORY", "INTERRUPTED"),  # numbers that are names
    *("ID256", "LONGER", "KINDS", "FOREVER"),  # what a format of git or of OpenSSH fixes
    *("FIRST_WAIT", "LONGEST_WAIT", "STALE_SECONDS", "KEEP_EVERY"),  # when something is done
    *("HELD_BYTES", "LOOSE", "LARGE", "EARLIER"),  # how what we make is made
}
"""The public whole numbers of the program that bound nothing of what comes from elsewhere."""


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
    for named in rule.split(", ") if rule and not rule.startswith("git:") else ():
        assert f'"{named.strip("`")}"' in SOURCE


def test_every_limit_of_the_policy_that_strangers_meet_is_told() -> None:
    told = {row[0].strip("`").removeprefix("limits.") for row in ROWS if row[0].startswith("`limits.")}
    assert told == set(Limits.__struct_fields__) - {"certificate_grace"}


def test_every_bound_of_the_program_is_told() -> None:
    """A whole number that has a public name stands in a table, or above."""
    told = {"gitledger." + row[0].strip("`").partition("[")[0] for row in ROWS}
    named = {
        f"{module}.{name}"
        for module, text in MODULES.items()
        for name in re.findall(r"^([A-Z][A-Z0-9_]*)(?::[^=\n]*)? = ", text, re.MULTILINE)
        if is_number(module, name) and name not in NO_BOUND
    }
    assert "gitledger.exchange.watched.SILENT_SECONDS" in named
    assert sorted(named - told) == []


def test_what_is_no_bound_is_in_the_program() -> None:
    assert sorted(name for name in NO_BOUND if not re.search(rf"^{name}\b.* = ", SOURCE, re.MULTILINE)) == []


def is_number(module: str, name: str) -> bool:
    found = getattr(importlib.import_module(module), name)
    return all(type(one) in (int, float) for one in (found.values() if isinstance(found, dict) else [found]))
