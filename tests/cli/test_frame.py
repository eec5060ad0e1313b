"""What all commands share: -C, usage, exit status, streams, and that nobody ever sees a traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typed import GITLEDGER, at_terminal, program, run_here, told, typed
from world import World

from gitledger import cli
from gitledger.roles.place import Place

COMMANDS = (
    *("init", "clone", "fetch", "status", "verify", "log", "show", "pin", "allowed-signers", "demo"),
    *("propose", "proposals", "withdraw", "endorse", "emit", "rotate", "rotations", "policy", "adopt", "doctor"),
    *("collect", "release", "whoami"),
    *("domain new", "domain add-key", "domain revoke-key", "domain show", "domain prove", "domain export"),
    *("hooks install", "hooks check", "host freeze", "host thaw", "evidence check"),
    *("carry out", "carry in", "carry inspect"),
    *("node grant", "node list", "node revoke"),
    *("attestations", "trace", "certify snapshot", "certify path", "certify audit", "certify add"),
    *("certify run", "certify replay"),
    *("mirror add", "mirror push", "mirror status", "mirror remove", "mirror watch"),
)


def test_the_help_names_every_command_and_every_command_has_its_own(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    for named in COMMANDS:
        assert cli.app.main([*named.split(), "--help"], prog_name="gitledger", standalone_mode=False) in (None, 0)
        said = capsys.readouterr().out
        assert f"gitledger {named}" in said and "-C DIR" in said
    every = typed(world.alice, world.path, "--help").stdout
    for named in COMMANDS:
        assert named.split()[0] in every


def test_directories_come_before_the_command_and_behind_it_one_in_another_as_with_git(world: World) -> None:
    host = world.host
    for arguments in (
        ("-C", str(host), "status"),
        ("status", "-C", str(host)),
        ("-C", str(host.parent), "-C", host.name, "status"),
        ("-C", str(host.parent), "status", "-C", host.name),
        ("-C", str(host.parent), "log", "-C", host.name, "-n", "1"),
        ("-C", str(host), "domain", "show", "you"),
        ("domain", "-C", str(host), "show", "you"),
        ("domain", "show", "you", "-C", str(host)),
    ):
        assert typed(world.alice, world.path, *arguments).stdout


def test_a_repository_is_found_from_below_as_git_finds_it(world: World, clone: Path) -> None:
    assert told(world.alice, clone / "domains" / "alice", "status")["snapshot"] == "common@0"


def test_wrong_usage_has_exit_status_2_a_sentence_and_where_to_read_more(world: World) -> None:
    for arguments in (
        ("frobnicate",),
        ("status", "--frobnicate"),
        ("log", "-n", "many"),
        ("show",),
        ("propose",),
        ("propose", "-m", "x", "--salt", "0"),
        ("hooks", "frobnicate"),
        ("-C", "nowhere", "status"),
        ("status", "-C", "nowhere"),
        ("init", "new.git"),
    ):
        said = typed(world.alice, world.path, *arguments, status=2)
        assert said.stdout == ""
        assert said.stderr.startswith("gitledger: ")
        assert len(said.stderr.splitlines()) == 2


def test_a_command_alone_shows_its_help(world: World) -> None:
    for arguments in ((), ("domain",), ("hooks",)):
        done = world.alice.run(world.path, *GITLEDGER, *arguments, check=False)
        assert done.returncode == 2
        assert "Commands:" in done.stdout + done.stderr


@pytest.mark.parametrize(
    "command",
    (
        *("status", "fetch", "verify", "log", "show 1", "pin 1", "allowed-signers", "propose -m x", "proposals"),
        *("withdraw x", "endorse x", "emit", "domain show", "domain new x", "domain prove alice", "hooks check ."),
    ),
)
def test_outside_a_ledger_every_command_says_so(world: World, command: str, tmp_path: Path) -> None:
    world.alice.git(tmp_path, "init", "-q", "--bare", "plain.git")
    for directory, rule in ((tmp_path / "plain.git", "not-a-ledger"), (tmp_path, "no-repository")):
        said = typed(world.alice, directory, *command.split(), status=2)
        assert said.stdout == ""
        assert f"[{rule}]" in said.stderr


def test_the_version_is_printed(world: World) -> None:
    assert program(world.alice, world.path, "--version").stdout.startswith("gitledger 0.")


def test_python_m_gitledger_cli_is_the_same_program(world: World) -> None:
    done = world.alice.run(world.path, sys.executable, "-P", "-m", "gitledger.cli", "--version")
    assert done.stdout == typed(world.alice, world.path, "--version").stdout


def test_what_nobody_reads_any_more_ends_quietly(world: World) -> None:
    line = f"'{sys.executable}' -P -m gitledger -C '{world.host}' show 0 | true"
    done = world.alice.run(world.path, "sh", "-c", line)
    assert done.stderr == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_a_sentence(world: World) -> None:
    line = f"'{sys.executable}' -P -m gitledger -C '{world.host}' log > /dev/full"
    done = world.alice.run(world.path, "sh", "-c", line, check=False)
    assert done.returncode == 1
    assert "No space left" in done.stderr and "Traceback" not in done.stderr


def test_closed_streams_do_no_harm(world: World) -> None:
    for closed in (">&-", "2>&-", "<&-", ">&- 2>&- <&-"):
        line = f"'{sys.executable}' -P -m gitledger -C '{world.host}' status {closed}"
        assert "Traceback" not in world.alice.run(world.path, "sh", "-c", line).stderr


def test_a_terminal_of_another_encoding_gets_what_it_can_show(world: World, clone: Path) -> None:
    world.propose(world.alice, {"domains/alice/a": "a\n"}, "Grüße, 世界")
    world.emit()
    typed(world.alice, clone, "fetch")
    said = program(world.alice, clone, "log", PYTHONIOENCODING="ascii")
    assert "Gr??e, ??" in said.stdout


def test_an_interruption_is_a_short_line_and_130(world: World) -> None:
    world.propose(world.alice, {"domains/alice/a": "a\n"})
    shown = at_terminal(world.you, world.host, "emit", "--key", str(world.you.key), answers=[("Emit? [y/N]", "\x03")])
    assert shown.status == 130
    assert shown.text.rstrip().endswith("gitledger: interrupted")
    assert world.snapshots() == ["common@0"]


def test_an_interruption_in_the_middle_of_work_is_the_same(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(path: Path) -> Place:
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("never reached")

    monkeypatch.setattr(Place, "open", interrupted)
    assert typed(world.alice, world.path, "status", status=130).stderr.strip() == "gitledger: interrupted"


@pytest.mark.parametrize(
    ("error", "rule"),
    [
        (ZeroDivisionError("division\x1b[31m by zero"), "internal-error"),
        (PermissionError(13, "Permission denied", "/x"), "system"),
        (OSError(28, "No space left on device"), "system"),
    ],
)
def test_what_nobody_foresaw_is_a_sentence_too(
    error: Exception, rule: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(path: Path) -> Place:
        raise error

    monkeypatch.setattr(Place, "open", broken)
    done = run_here(world.alice, world.path, "status")
    assert done.returncode == 1
    assert f"[{rule}]" in done.stderr
    assert "Traceback" not in done.stderr and "\x1b" not in done.stderr


def test_to_start_takes_nothing_that_a_command_does_not_need() -> None:
    heavy = (
        *("pygit2", "cryptography", "yaml", "msgspec", "rich.console"),
        *("gitledger.roles", "gitledger.rules", "gitledger.cli.consumer", "gitledger.cli.host"),
    )
    code = f"import sys, gitledger.cli; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_who_only_reads_waits_for_nothing_that_others_need(world: World) -> None:
    heavy = "rich.console", "gitledger.cli.host", "gitledger.roles.founding"
    code = (
        "import sys; from gitledger import cli\n"
        "try: cli.main()\n"
        f"finally: print([name for name in {heavy!r} if name in sys.modules], file=sys.stderr)"
    )
    for command in ("verify", "log", "status"):
        done = world.alice.run(world.path, sys.executable, "-P", "-c", code, "-C", str(world.host), command)
        assert done.stdout and done.stderr.strip() == "[]"


def test_a_shell_completes_commands_and_options_and_goes_nowhere_for_it(world: World) -> None:
    for words, wanted in (
        ("gitledger ver", "plain,verify"),
        ("gitledger -C nowhere verify --fr", "plain,--from-genesis"),
    ):
        asked = {"_GITLEDGER_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
        done = world.alice.run(world.path, *GITLEDGER, **asked, check=False)
        assert done.stdout.splitlines() == [wanted] and done.stderr == ""


def test_what_a_shell_evaluates_to_complete_is_printed(world: World) -> None:
    said = program(world.alice, world.path, "--show-completion", SHELL="/usr/bin/zsh").stdout
    assert "#compdef gitledger" in said and "_GITLEDGER_COMPLETE=zsh_complete" in said
    refused = typed(world.alice, world.path, "--show-completion", SHELL="/bin/dash", status=2)
    assert "[no-completion]" in refused.stderr
