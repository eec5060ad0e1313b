"""What the documents point to is there, and the README's set-up is what CI runs."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
SET_UP = ["pip install . && gitledger demo", "pip install '.[test]' && pytest"]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_into_the_project_leads_somewhere(document: Path) -> None:
    prose = re.sub(r"```.*?```|`[^`\n]*`", "", document.read_text(encoding="utf-8"), flags=re.DOTALL)
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", prose)
    dead = [link for link in links if "://" not in link and not (document.parent / link).exists()]
    assert dead == []


def test_ci_runs_the_two_commands_of_the_readme() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    (extraction,) = re.findall(r"^    (sed -n .*README\.md)$", script, re.MULTILINE)
    found = subprocess.run(["sh", "-c", extraction], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.splitlines() == SET_UP
