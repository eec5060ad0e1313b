"""With the network cut, everything that needs none works, and what needs it says so at once.

Each command runs in a network of its own that has no way out (`unshare -n`), in a clone whose remote is elsewhere.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from world import Done, World

from gitledger.roles import consumer

SECONDS = 8
"""Longer than any of these takes on a slow machine, and far shorter than a network lets anybody wait."""

ADDRESSES = (
    "ssh://git@192.0.2.1/common.git",
    "https://192.0.2.1/common.git",
    "git://192.0.2.1/common.git",
    "ssh://git@ledger.invalid/common.git",
    "https://ledger.invalid/common.git",
)


def _cut() -> Sequence[str]:
    """How a command is run without a network; skips where that is not allowed."""
    for how in (("unshare", "-n"), ("unshare", "-rn")):
        try:
            if subprocess.run([*how, "true"], capture_output=True, check=False).returncode == 0:
                return how
        except FileNotFoundError:
            break
    pytest.skip("needs unshare, and the right to cut the network with it")


@pytest.fixture(params=ADDRESSES)
def clone(world: World, request: pytest.FixtureRequest) -> Path:
    """Alice's clone, with a proposal in the queue; its remote is an address that nobody reaches any more."""
    world.propose(world.james, {"domains/james/a": "a\n"})
    world.emit()
    world.propose(world.james, {"domains/james/b": "b\n"}, topic="waiting")
    path = world.alice.home / "cut"
    with world.acting(world.alice):
        consumer.clone(str(world.host), path, world.anchor, domain="alice", now=world.now)
    world.alice.git(path, "config", "user.signingkey", f"{world.alice.key}.pub")
    world.alice.git(path, "remote", "set-url", "origin", request.param)
    return path


def offline(world: World, path: Path, *arguments: str, status: int = 0) -> Done:
    """A command with the network cut; it ends soon, with this exit status."""
    begun = time.monotonic()
    person = world.alice
    done = person.run(path, *_cut(), sys.executable, "-P", "-m", "gitledger", *arguments, check=False)
    assert time.monotonic() - begun < SECONDS, f"{arguments} waited"
    assert done.returncode == status, f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
    assert "Traceback" not in done.stderr and "internal error" not in done.stderr
    return done


@pytest.mark.long
def test_a_reader_with_the_network_cut_does_all_that_a_reader_does(world: World, clone: Path) -> None:
    for arguments in (
        *(("verify",), ("verify", "--from-genesis"), ("verify", "common@0"), ("log",), ("show", "1"), ("status",)),
        *(("pin", "common@0"), ("pin", "common@1"), ("allowed-signers",), ("proposals",), ("rotations",)),
        *(("domain", "show", "james"), ("status", "--json"), ("doctor", "--json"), ("hooks", "install", ".")),
    ):
        offline(world, clone, *arguments)


@pytest.mark.long
def test_what_needs_the_network_says_so_at_once_and_names_who_does_not_answer(world: World, clone: Path) -> None:
    address = world.alice.output(clone, "remote", "get-url", "origin")
    for arguments in (("fetch",), ("clone", address, "other", "--anchor", world.anchor)):
        said = offline(world, clone, *arguments, status=4).stderr
        assert "[unreachable]" in said and "does not answer" in said
        assert "resolve" in said or "unreachable" in said.lower() or "connect" in said.lower()
    assert not (clone / "other").exists()


@pytest.mark.long
def test_what_is_signed_with_the_network_cut_is_kept_told_and_sent_with_the_next_fetch(
    world: World, clone: Path
) -> None:
    (clone / "domains" / "alice" / "note").parent.mkdir(parents=True, exist_ok=True)
    (clone / "domains" / "alice" / "note").write_text("note\n")
    world.alice.git(clone, "add", "-A")
    waiting = world.refs()["refs/proposals/james/waiting"]
    said = offline(world, clone, "propose", "-m", "A note", "--topic", "note")
    assert "Not sent, and kept here" in said.stderr and "does not answer" in said.stderr
    said = offline(world, clone, "endorse", "james/waiting")
    assert "Not sent, and kept here" in said.stderr and "does not answer" in said.stderr
    endorsement = f"refs/endorsements/{waiting}/alice"
    kept = world.place(clone).carried()
    assert kept.keys() == {"refs/proposals/alice/note", endorsement}
    assert kept["refs/proposals/alice/note"] == world.oid("HEAD", clone)
    told = offline(world, clone, "status").stdout
    assert "Kept here until the host answers" in told and "alice/note" in told and "gitledger fetch" in told

    world.alice.git(clone, "remote", "set-url", "origin", str(world.host))
    said = world.alice.run(clone, sys.executable, "-P", "-m", "gitledger", "fetch")
    assert "Sent, as it was kept here: alice/note" in said.stdout
    there = world.refs()
    assert {ref: there[ref] for ref in kept} == kept
    assert world.place(clone).carried() == {}
    assert "Kept here" not in offline(world, clone, "status").stdout


@pytest.mark.long
def test_a_witness_with_the_network_cut_signs_nothing_that_it_can_not_publish_unheard(
    world: World, clone: Path
) -> None:
    address = world.alice.output(clone, "remote", "get-url", "origin")
    path = world.you.home / "cut"
    with world.acting(world.you):
        consumer.clone(str(world.host), path, world.anchor, domain="you", now=world.now)
    world.you.git(path, "config", "user.signingkey", f"{world.you.key}.pub")
    world.you.git(path, "remote", "set-url", "origin", address)
    begun = time.monotonic()
    done = world.you.run(path, *_cut(), sys.executable, "-P", "-m", "gitledger", "emit", check=False)
    assert time.monotonic() - begun < SECONDS
    assert done.returncode == 4 and "does not answer" in done.stderr, done.stderr
