"""`gitledger demo` plays the scene, and touches nothing but its own directory."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HOSTILE = """\
[commit]
	gpgsign = true
[tag]
	gpgsign = true
[gpg]
	format = openpgp
	program = false
[core]
	hooksPath = {hooks}
[init]
	templateDir = {hooks}
[url "file:///nowhere/"]
	insteadOf = common.git
[alias]
	commit = false
"""


def run(cwd: Path, *command: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(cwd),
        "TMPDIR": str(cwd),
        "COLUMNS": "80",
        "SSH_AUTH_SOCK": str(cwd / "no-agent"),
        "GIT_DIR": str(cwd / "nowhere"),
        "GIT_AUTHOR_NAME": "Somebody Else",
        **more,
    }
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=120, check=False)


def demo(cwd: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return run(cwd, sys.executable, "-P", "-m", "gitledger", "demo", *arguments, **more)


def git(where: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", where, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The home of somebody whose configuration would break every command of the scene."""
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    for hook in ("pre-commit", "pre-push", "reference-transaction"):
        (hooks / hook).write_text("#!/bin/sh\nexit 1\n")
        (hooks / hook).chmod(0o755)
    (tmp_path / ".gitconfig").write_text(HOSTILE.format(hooks=hooks))
    return tmp_path


@pytest.mark.long
def test_the_scene_is_played_and_left(home: Path) -> None:
    before = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    done = demo(home, "scene")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    scene = home / "scene"
    names = git(scene / "common.git", "log", "--first-parent", "--format=%an %s")
    assert names.splitlines() == [
        "james common@3: Paper 17, on wind",
        "alice common@2: Paper 42, on rain",
        "you common@1: Agree on times",
        "you common@0: genesis",
    ]
    assert git(scene / "consumer", "describe", "--tags", "HEAD") == "common@2"
    assert git(scene / "consumer", "rev-parse", "common") == git(scene / "common.git", "rev-parse", "common")
    assert "[not-a-snapshot]" in done.stdout
    assert "[altered]" in done.stdout
    assert not (scene / "newcomer").exists()
    too_wide = [line for line in done.stdout.splitlines() if len(line) > 80]
    assert [line for line in too_wide if not re.search(r"\S{40}", line)] == []
    after = {path: path.read_bytes() for path in home.rglob("*") if path.is_file() and scene not in path.parents}
    assert after == before


@pytest.mark.long
def test_without_a_directory_it_names_the_one_it_made_and_what_to_type_there(home: Path) -> None:
    done = demo(home)
    assert done.returncode == 0, done.stdout + done.stderr
    (made,) = home.glob("gitledger-demo-*")
    ending = done.stdout.partition("What to try next")[2]
    commands = "".join(line.removeprefix("    ") + "\n" for line in ending.splitlines() if line.startswith("    "))
    assert f"cd {made.resolve()}\n" in commands
    (home / ".gitconfig").unlink()
    shell = f'unset GIT_DIR GIT_AUTHOR_NAME\ngitledger() {{ "{sys.executable}" -P -m gitledger "$@"; }}\n{commands}'
    typed = run(home, "sh", "-e", "-c", shell)
    assert typed.returncode == 0, typed.stdout + typed.stderr
    assert git(made / "common.git", "log", "-1", "--format=%s", "common") == "common@4: Paper 42, again"
    assert 'Good "git" signature for you' in typed.stdout


@pytest.mark.parametrize("what", ["a directory that is not empty", "a file", "a path below a file"])
def test_a_place_that_is_taken_is_refused_and_left_alone(tmp_path: Path, what: str) -> None:
    taken = tmp_path / "taken"
    if what == "a directory that is not empty":
        taken.mkdir()
        (taken / "mine").write_text("mine\n")
    else:
        taken.write_text("mine\n")
    done = demo(tmp_path, str(taken / "scene" if what == "a path below a file" else taken))
    assert done.returncode == 2
    assert "[directory-taken]" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(list(tmp_path.rglob("*"))) == (2 if taken.is_dir() else 1)


def test_a_program_that_is_missing_is_named(tmp_path: Path) -> None:
    done = demo(tmp_path, "scene", PATH=str(tmp_path))
    assert done.returncode == 1
    assert "[program-missing]" in done.stderr
    assert not (tmp_path / "scene").exists()
