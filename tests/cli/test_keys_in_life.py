"""Keys as people have them: behind a passphrase, on a token. `docs/guide-keys.md` plays how they are lost."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typed import at_terminal, program
from world import Person, World

pytestmark = pytest.mark.long

TOKEN = Path(__file__).parent.parent / "sk_helper.py"
WANTED, WRONG = "[passphrase-wanted]", "[wrong-passphrase]"


def script(path: Path, *lines: str) -> str:
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)
    return str(path)


def stage(person: Person, clone: Path) -> None:
    """Something that can be proposed is staged."""
    (clone / "domains" / person.domain).mkdir(exist_ok=True)
    (clone / "domains" / person.domain / "weather").write_text("Rain.\n")
    person.git(clone, "add", "domains")


# Passphrases


@pytest.fixture
def locked(world: World, clone: Path) -> Path:
    """Alice's clone with something staged, and her key behind a passphrase."""
    stage(world.alice, clone)
    lock(world.alice)
    return clone


def lock(person: Person) -> None:
    subprocess.run(
        ["ssh-keygen", "-q", "-p", "-P", "", "-N", "secret words", "-f", person.key], check=True, capture_output=True
    )


def as_openssh(person: Person, **env: str) -> bool:
    """Whether ssh-keygen gets the passphrase of the key in that environment, where there is no terminal."""
    command = ("ssh-keygen", "-Y", "sign", "-n", "git", "-f", str(person.key))
    signing = subprocess.run(
        command, env=person.env(**env), input=b"", capture_output=True, start_new_session=True, check=False
    )
    return signing.returncode == 0


@pytest.mark.parametrize(
    ("require", "window", "asked"),
    [
        ("", "", False),
        ("", ":0", True),
        ("force", "", True),
        ("prefer", "", False),
        ("prefer", ":0", True),
        ("never", ":0", False),
    ],
)
def test_without_a_terminal_ssh_askpass_is_asked_when_openssh_would(
    world: World, locked: Path, require: str, window: str, asked: bool
) -> None:
    prompt = world.path / "prompt"
    ask = script(world.path / "ask", f'echo "$1" >{prompt}', "echo secret words")
    env = {"SSH_ASKPASS": ask, "SSH_ASKPASS_REQUIRE": require, "DISPLAY": window}
    assert as_openssh(world.alice, **env) == asked
    prompt.unlink(missing_ok=True)
    done = program(world.alice, locked, "propose", "-m", "The weather", status=0 if asked else 1, **env)
    assert prompt.exists() == asked
    assert not asked or prompt.read_text() == f"Passphrase for {world.alice.key}: \n"
    assert asked or WANTED in done.stderr


@pytest.mark.parametrize(("require", "asks"), [("", True), ("prefer", False), ("force", False), ("never", True)])
def test_at_a_terminal_the_terminal_is_asked_unless_a_window_is_preferred(
    world: World, locked: Path, require: str, asks: bool
) -> None:
    ask = script(world.path / "ask", "exit 1" if asks else "echo secret words")
    env = {"SSH_ASKPASS": ask, "SSH_ASKPASS_REQUIRE": require, "DISPLAY": ":0"}
    answers = [("Passphrase for", "secret words\n")] if asks else []
    shown = at_terminal(world.alice, locked, "propose", "-m", "The weather", answers=answers, env=env)
    assert shown.status == 0, shown.text


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["echo other words"], WRONG),
        ([":"], WRONG),
        (["exit 1"], "ended with status 1 [no-passphrase]"),
        (None, "can't be run: No such file or directory [no-passphrase]"),
    ],
)
def test_a_program_that_does_not_know_the_passphrase_is_a_sentence(
    world: World, locked: Path, lines: list[str] | None, said: str
) -> None:
    ask = script(world.path / "ask", *lines) if lines else str(world.path / "nothing")
    env = {"SSH_ASKPASS": ask, "SSH_ASKPASS_REQUIRE": "force"}
    done = program(world.alice, locked, "propose", "-m", "The weather", status=1, **env)
    assert said in done.stderr
    assert "refs/proposals/alice/the-weather" not in world.refs()


def test_a_passphrase_is_asked_for_once_however_much_is_signed(world: World) -> None:
    for number in range(3):
        world.propose(world.alice, {f"domains/alice/{number}": "x\n"}, topic=str(number))
    lock(world.you)
    emit = ("emit", "--yes", "--key", str(world.you.key))
    shown = at_terminal(world.you, world.host, *emit, answers=[("Passphrase for", "secret words\n")])
    assert (shown.status, shown.text.count("Passphrase for")) == (0, 1)
    assert world.snapshots()[-1] == "common@3"


# Tokens


@pytest.fixture
def token(world: World, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The public key file of a security key in software, as ssh-keygen makes it; everybody's OpenSSH reaches it."""
    helper = script(world.path / "helper", f"exec {shlex.quote(sys.executable)} -P {shlex.quote(str(TOKEN))}")
    env = Person.env
    monkeypatch.setattr(Person, "env", lambda person, **more: env(person, SSH_SK_HELPER=helper, **more))
    path = world.path / "token"
    world.alice.run(world.path, "ssh-keygen", "-q", "-t", "ed25519-sk", "-N", "", "-f", str(path))
    return path.with_name("token.pub")


@pytest.fixture
def given(world: World, clone: Path, token: Path) -> Path:
    """Alice's clone where the token is a publisher's key of hers."""
    add = ("domain", "add-key", "token", str(token), "--role", "publisher", "--propose")
    done = program(world.alice, clone, *add)
    assert done.stderr.startswith("Confirm user presence for key ED25519-SK SHA256:")
    world.emit()
    program(world.alice, clone, "fetch")
    program(world.alice, clone, "pin", "common@1")
    return clone


@pytest.mark.long
def test_a_token_proposes_with_stock_git_and_with_gitledger(world: World, given: Path, token: Path) -> None:
    stage(world.alice, given)
    done = program(world.alice, given, "propose", "-m", "By gitledger", "--key", str(token))
    assert done.stderr.count("\n") == 1, "more of ssh-keygen is said than that it wants to be touched"
    (given / "domains" / "alice" / "weather").write_text("Sun.\n")
    signed = ("-c", f"user.signingkey={token}", "commit", "-q", "-S", "-a", "-m", "By git")
    world.alice.git(given, *signed)
    world.alice.git(given, "push", "-q", str(world.host), "HEAD:refs/proposals/alice/by-git")
    world.emit()
    assert world.snapshots()[-1] == "common@3"


def test_a_token_that_is_not_plugged_in_is_a_sentence(world: World, given: Path, token: Path) -> None:
    stage(world.alice, given)
    absent = program(world.alice, given, "propose", "-m", "The weather", "--key", str(token), status=1, SK_ABSENT="yes")
    assert "Signing failed: device not found [signing-failed]" in absent.stderr
    assert "plug the security key in" in absent.stderr
    assert "/message" not in absent.stderr
    assert "refs/proposals/alice/the-weather" not in world.refs()


@pytest.mark.long
def test_a_token_is_the_witness_s_key_and_a_root_s(world: World, clone: Path, token: Path) -> None:
    """Whoever founds a ledger with one signs genesis and snapshots with it."""
    init = ("init", "own.git", "--domain", "you", "--key", str(token))
    program(world.you, world.path, *init)
    own = world.path / "own.git"
    world.you.git(world.path, "clone", "-q", str(own), "own")
    work = world.path / "own"
    (work / "domains/you/a").write_text("a\n")
    world.you.git(work, "add", "domains")
    sign = ("-c", "gpg.format=ssh", "-c", f"user.signingkey={token}")
    world.you.git(work, *sign, "commit", "-q", "-S", "-m", "A file")
    world.you.git(work, "push", "-q", "origin", "HEAD:refs/proposals/you/a")
    program(world.you, own, "emit", "--key", str(token))
    assert "common@1" in world.you.output(own, "tag")
