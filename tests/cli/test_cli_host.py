"""`init` and `hooks`: a ledger is founded whole or not at all, and what a host lacks is said with its mend."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import forge
import pytest
from typed import told, typed
from world import World


def keys(world: World) -> tuple[str, ...]:
    """The options that make Alice and James members, one by a file and one by a line."""
    members = "--member", f"alice={world.alice.key}.pub", "--member", f"james={world.james.pub}"
    return "--domain", "you", "--key", str(world.you.key), *members


def test_init_prints_the_card_and_what_it_prints_can_be_typed(world: World) -> None:
    said = typed(world.you, world.path, "init", "new.git", *keys(world)).stdout
    anchor = forge.hash_of(world.path / "new.git", "refs/tags/common@0")
    assert said.count(anchor) == 2
    for person in (world.you, world.alice, world.james):
        assert person.key_id in said
    assert "2 of 3: you may lose 1" in said
    clone, emit = (line.split("gitledger ")[1] for line in said.splitlines() if line.startswith("  gitledger "))
    typed(world.alice, world.path, *shlex.split(clone.replace("DIR", "copy")))
    assert "Nothing waits" in typed(world.you, world.path, *shlex.split(emit)).stdout


def test_init_as_json_has_the_card(world: World) -> None:
    said = told(world.you, world.path, "init", "new.git", *keys(world), "--name", "ours", "--threshold", "3")
    assert said == {
        "ledger": "ours",
        "ledger_id": forge.hash_of(world.path / "new.git", "refs/tags/ours@0"),
        "directory": str(world.path / "new.git"),
        "snapshot": "ours@0",
        "oid": world.oid("refs/tags/ours@0", world.path / "new.git"),
        "witness": {"domain": "you", "key_id": world.you.key_id},
        "authorities": [{"domain": one.domain, "key_id": one.key_id} for one in (world.alice, world.james, world.you)],
        "threshold": 3,
        "may_lose": 0,
    }


def test_init_is_dated_as_git_dates_and_signs_with_the_key_that_git_is_told(world: World) -> None:
    world.you.git(world.path, "config", "--global", "gpg.format", "ssh")
    world.you.git(world.path, "config", "--global", "user.signingkey", f"{world.you.key}.pub")
    typed(world.you, world.path, "init", "new.git", "--domain", "you", GIT_COMMITTER_DATE="1795170099 +0000")
    assert world.you.output(world.path / "new.git", "log", "-1", "--format=%ct") == "1795170099"
    typed(world.you, world.path, "init", "odd.git", "--domain", "you", GIT_COMMITTER_DATE="someday", status=1)


def test_the_policy_may_be_a_file_or_a_template(world: World) -> None:
    policy = forge.policy_file({"you": world.you.key, "alice": world.alice.key}, registration="closed")
    (world.path / "policy.yaml").write_bytes(policy)
    typed(world.you, world.path, "init", "a.git", *keys(world), "--policy", "policy.yaml")
    shown = world.you.output(world.path / "a.git", "show", "common:ledger/policy.yaml")
    assert shown == policy.decode().strip()
    only = f"alice={world.alice.key}.pub"
    typed(world.you, world.path, "init", "b.git", *keys(world), "--template", "personal", "--authority", only)
    shown = world.you.output(world.path / "b.git", "show", "common:ledger/policy.yaml")
    assert world.alice.key_id in shown and world.you.key_id not in shown


@pytest.mark.parametrize(
    ("arguments", "status", "rule"),
    [
        (("--member", "alice"), 2, "domain-and-key"),
        (("--member", "=x"), 2, "domain-and-key"),
        (("--member", "alice=nowhere.pub"), 1, "file-unreadable"),
        (("--member", "alice=ssh-rsa AAAA"), 1, "key-type-not-taken"),
        (("--member", "Alice=ALICE"), 1, "domain-id"),
        (("--member", "alice=ALICE", "--member", "alice=ALICE"), 2, "domain-twice"),
        (("--member", "alice=ALICE", "--member", "james=ALICE"), 1, "authority-twice"),
        (("--name", "Common"), 1, "ledger-name"),
        (("--name", "../x"), 1, "ledger-name"),
        (("--template", "none"), 2, "no-template"),
        (("--threshold", "2"), 1, "quorum-threshold"),
        (("--threshold", "0"), 1, "document-form"),
        (("--policy", "nowhere.yaml"), 1, "file-unreadable"),
        (("--policy", "POLICY", "--threshold", "7"), 2, "policy-says-otherwise"),
        (("--policy", "POLICY", "--template", "group"), 2, "policy-and-template"),
        (("--key", "nowhere"), 1, "no-key"),
        (("--key", "ALICE"), 1, "signing-failed"),
    ],
)
def test_what_can_not_be_founded_leaves_nothing(
    world: World, arguments: tuple[str, ...], status: int, rule: str
) -> None:
    (world.path / "policy.yaml").write_bytes(forge.policy_file({"you": world.you.key}))
    names = {"ALICE": f"{world.alice.key}.pub", "POLICY": "policy.yaml"}
    public = world.path / "alice.pub"
    public.write_text(world.alice.pub)  # without its private half
    filled = [one.replace("ALICE", str(public)).replace("POLICY", names["POLICY"]) for one in arguments]
    before = sorted(world.path.iterdir())
    signed = "--domain", "you", "--key", str(world.you.key)
    said = typed(world.you, world.path, "init", "new.git", *signed, *filled, status=status)
    assert f"[{rule}]" in said.stderr
    assert sorted(world.path.iterdir()) == before


def test_what_is_there_is_not_touched(world: World) -> None:
    typed(world.you, world.path, "init", str(world.host), *keys(world), status=2)
    assert world.snapshots() == ["common@0"]


def test_a_copy_of_a_ledger_becomes_a_host_that_lacks_nothing(world: World, tmp_path: Path) -> None:
    world.propose(world.alice, {"domains/alice/a": "a\n"})
    world.emit()
    copy = tmp_path / "copy.git"
    subprocess.run(["git", "clone", "-q", "--bare", str(world.host), str(copy)], check=True)
    assert "[not-a-ledger]" in typed(world.you, tmp_path, "hooks", "check", "copy.git", status=2).stderr
    said = told(world.you, tmp_path, "hooks", "install", "copy.git")
    assert said == {
        "ledger": "common",
        "ledger_id": world.anchor,
        "directory": str(copy),
        "snapshot": "common@1",
    }
    assert world.anchor in typed(world.you, tmp_path, "hooks", "install", "copy.git").stdout
    assert "lacks nothing" in typed(world.you, tmp_path, "hooks", "check", "copy.git").stdout
    assert told(world.you, tmp_path, "hooks", "check", "copy.git") == {"directory": str(copy), "problems": []}


def test_what_a_host_lacks_is_said_with_what_mends_it(world: World) -> None:
    (world.host / "hooks" / "pre-receive").unlink()
    world.you.git(world.host, "config", "core.fsync", "none")
    said = typed(world.you, world.path, "hooks", "check", str(world.host), status=1)
    assert "hooks/pre-receive is missing" in said.stdout and "core.fsync" in said.stdout
    mends = {line.strip() for line in said.stdout.splitlines() if line.startswith("    gitledger ")}
    assert len(mends) == 1
    typed(world.you, world.path, *shlex.split(mends.pop())[1:])
    typed(world.you, world.path, "hooks", "check", str(world.host))


def test_hooks_are_for_hosts(world: World, clone: Path) -> None:
    assert "[not-a-host]" in typed(world.you, world.path, "hooks", "check", str(clone), status=2).stderr
    stock = world.clone(world.stranger)
    assert "[host-not-bare]" in typed(world.you, world.path, "hooks", "install", str(stock), status=2).stderr
