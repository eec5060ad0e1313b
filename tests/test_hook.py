"""A hook that can't do its work says so in a sentence, and takes nothing (spec 11)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import forge
import pytest
from world import Done, World, refused


def run(world: World, cwd: Path, hook: str = "pre-receive", stdin: str = "", code: str = "") -> Done:
    """The hook by hand; `code` runs before it in the same Python."""
    command = ["-m", "gitledger.hook", hook]
    if code:
        command = ["-c", f"import sys\n{code}\nfrom gitledger import hook\nsys.exit(hook.main(['{hook}']))"]
    return world.you.run(cwd, sys.executable, "-P", *command, check=False, input=stdin)


def sentence(done: Done, *words: str) -> None:
    assert done.returncode == 1
    assert "Traceback" not in done.stderr and "Nothing was changed." in done.stderr
    for word in words:
        assert word in done.stderr


def line(world: World) -> str:
    """A push of the first proposal of a line that the host has: its objects are there."""
    proposal = world.propose(world.alice, {"shared/note.txt": b"hello\n"}, push=False)
    world.propose(world.alice, {"shared/note.txt": b"better\n"}, base=proposal)
    return f"{'0' * 40} {proposal} refs/proposals/alice/again\n"


def test_the_hook_by_hand_decides_as_git_has_it_decide(world: World) -> None:
    done = run(world, world.host, stdin=line(world))
    assert done.returncode == 0 and "refs/proposals/alice/again accepted" in done.stderr


@pytest.mark.parametrize("stdin", ["", "\n"])
def test_nothing_on_standard_input_is_nothing_to_decide(world: World, stdin: str) -> None:
    sentence(run(world, world.host, stdin=stdin), "[nothing-pushed]")


@pytest.mark.parametrize("stdin", ["nonsense\n", "a b\n", f"{'0' * 40} b refs/proposals/alice/t\n"])
def test_what_git_never_writes_is_no_push(world: World, stdin: str) -> None:
    sentence(run(world, world.host, stdin=line(world) + stdin), "[push-line]")


def test_standard_input_may_be_closed(world: World) -> None:
    command = [sys.executable, "-P", "-m", "gitledger.hook", "pre-receive"]
    closed = subprocess.run(
        ["sh", "-c", '"$@" <&-', "sh", *command], cwd=world.host, env=world.you.env(), capture_output=True, check=False
    )
    assert closed.returncode == 1 and b"[nothing-pushed]" in closed.stderr


def test_a_wrong_directory_is_named(world: World) -> None:
    sentence(run(world, world.path, stdin=line(world)), "[no-repository]")


def test_another_hook_is_none_of_ours(world: World) -> None:
    sentence(run(world, world.host, hook="update"), "[no-such-hook]")


def test_a_missing_branch_is_named(world: World) -> None:
    stdin = line(world)
    forge.set_ref(world.host, "refs/heads/common", None)
    sentence(run(world, world.host, stdin=stdin), "[no-branch]", "gitledger hooks install")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"role": "host"}', "{}"])
def test_a_damaged_ledger_file_is_named(world: World, text: str) -> None:
    stdin = line(world)
    (world.host / "gitledger" / "ledger.json").write_text(text)
    sentence(run(world, world.host, stdin=stdin), "[ledger-file-unreadable]")


def test_the_branch_of_another_ledger_takes_nothing(world: World) -> None:
    stdin = line(world)
    file = world.host / "gitledger" / "ledger.json"
    file.write_text(file.read_text().replace(world.anchor, "sha256:" + "0" * 64))
    sentence(run(world, world.host, stdin=stdin), "[other-ledger]")


def test_what_nobody_foresaw_is_a_sentence_and_takes_nothing(world: World) -> None:
    code = "from gitledger.roles import gate\ndef decide(*_): raise RuntimeError('oh')\ngate.decide = decide"
    done = run(world, world.host, stdin=line(world), code=code)
    sentence(done, "internal error, RuntimeError: oh")


def test_after_the_push_is_in_a_failure_says_that_it_is_in(world: World) -> None:
    (world.host / "gitledger" / "ledger.json").write_text("{")
    done = run(world, world.host, hook="post-receive")
    assert done.returncode == 1 and "What was pushed is in." in done.stderr and "Traceback" not in done.stderr


def test_nothing_is_said_that_a_terminal_would_obey(world: World) -> None:
    proposal = world.propose(world.alice, {"shared/note.txt": b"hello\n"}, "Say \u202eolleh\u200b")
    assert proposal.push and "\u202e" not in proposal.push.stderr and "Say ?olleh?" in proposal.push.stderr


def test_whoever_hangs_up_has_pushed_all_the_same(world: World) -> None:
    command = [sys.executable, "-P", "-m", "gitledger.hook", "pre-receive"]
    done = subprocess.run(
        ["sh", "-c", '"$@" 2>&-', "sh", *command],
        cwd=world.host,
        env=world.you.env(),
        input=line(world).encode(),
        check=False,
    )
    assert done.returncode == 0


def test_modules_in_the_repository_are_not_run(world: World) -> None:
    for name in ("gitledger.py", "time.py", "textwrap.py"):
        (world.host / name).write_text("raise SystemExit(0)\n")
    bad = world.propose(world.alice, {"elsewhere/x": b"x\n"}, check=False)
    assert bad.push
    refused(bad.push, "path-not-open")
    world.propose(world.alice, {"shared/note.txt": b"hello\n"})
