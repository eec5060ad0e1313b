"""`doctor`: a line for each finding, what mends it below it, and an exit status for programs."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from typed import at_terminal, run_here, told, typed
from world import World

ELSEWHERE = "disk", "clock"
"""Of the machine that runs the tests, about which these say nothing."""


def test_a_sound_place_has_short_lines_and_status_0(world: World, clone: Path) -> None:
    for person, path, role in ((world.alice, clone, "clone"), (world.you, world.host, "host")):
        said = told(person, path, "doctor", "--key", str(person.key))
        assert said["role"] == role and said["wrong"] == 0
        assert all(
            one["severity"] == "fine" and not one["mend"] for one in said["findings"] if one["area"] not in ELSEWHERE
        )
    lines = typed(world.alice, clone, "doctor").stdout.splitlines()
    assert {line[0] for line in lines if not line.startswith(" ")} <= {"✓", "!"}
    assert f"{world.alice.key_id} signs, of alice" in "\n".join(lines)


def test_what_is_wrong_stands_with_its_mend_and_the_status_is_1(world: World) -> None:
    (world.host / "hooks" / "pre-receive").chmod(0o644)
    said = typed(world.you, world.path, "doctor", "-C", str(world.host), status=1)
    (wrong,) = re.findall(r"^✗ .*\n    .*$", said.stdout, re.MULTILINE)
    assert "hooks/pre-receive is not executable" in wrong
    assert wrong.endswith(f"    gitledger hooks install {world.host}")
    assert "1 thing wrong" in said.stderr
    typed(world.you, world.host, "hooks", "install", ".")
    typed(world.you, world.host, "doctor")


def test_a_program_reads_the_findings(world: World) -> None:
    (world.host / "hooks" / "pre-receive").unlink()
    said = told(world.you, world.host, "doctor", status=1)
    assert said["directory"] == str(world.host) and said["wrong"] == 1
    (wrong,) = (one for one in said["findings"] if one["severity"] == "wrong")
    assert wrong["area"] == "setup" and wrong["mend"].startswith("gitledger hooks install ")


def test_no_sign_signs_nothing_and_full_verifies_all(world: World, clone: Path) -> None:
    said = typed(world.alice, clone, "doctor", "--no-sign", "--full").stdout
    assert "(not asked to sign)" in said and "from genesis on" in said


def test_outside_of_any_repository_the_machine_is_looked_at(world: World, tmp_path: Path) -> None:
    said = told(world.alice, tmp_path, "doctor")
    assert said["directory"] is None and said["role"] == ""


def test_lines_fit_a_narrow_terminal(world: World, clone: Path) -> None:
    for columns in (40, 100):
        shown = at_terminal(world.alice, clone, "doctor", "--no-sign", columns=columns)
        text = re.sub(r"\x1b\[[0-9;]*[mK]", "", shown.text).replace("\r", "")
        assert shown.status == 0
        assert all(len(line) <= columns for line in text.splitlines() if max(map(len, line.split()), default=0) < 25)


def test_what_mends_a_clone_s_guard_is_typed_in_a_clone(world: World, clone: Path) -> None:
    (clone / ".git" / "hooks" / "reference-transaction").unlink()
    said = run_here(world.alice, clone, "doctor")
    assert said.returncode == 1 and f"gitledger hooks install {clone / '.git'}" in said.stdout
    assert "clone" in typed(world.alice, clone, "hooks", "install", str(clone / ".git")).stdout
    typed(world.alice, clone, "doctor")
    moved = subprocess.run(["git", "tag", "common@9"], cwd=clone, capture_output=True, text=True, check=False)
    assert moved.returncode and "the ledger's" in moved.stderr
