"""`domain`: manifests are edited and staged, or proposed at once; and nothing is left of what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from typed import Clones, told, typed
from world import World


def test_a_domain_begins_with_its_manifest(world: World, clone_of: Clones) -> None:
    clone = clone_of(world.stranger)
    said = typed(world.stranger, clone, "domain", "new", "stranger").stdout
    assert "Staged: domains/stranger/domain.yaml" in said
    (command,) = (line.strip() for line in said.splitlines() if line.startswith("  gitledger "))
    assert command == 'gitledger propose -m "Register stranger"'
    typed(world.stranger, clone, "propose", "-m", "Register stranger")
    oid = world.refs()["refs/proposals/stranger/register-stranger"]
    world.endorse(world.alice, oid)
    world.emit()
    typed(world.stranger, clone, "fetch")
    assert "[domain-taken]" in typed(world.stranger, clone, "domain", "new", "stranger", status=1).stderr
    assert told(world.stranger, clone, "domain", "show") == {
        "snapshot": "common@1",
        "domains": [
            {
                "domain": "stranger",
                "witness": False,
                "authority": False,
                "keys": [
                    {
                        "name": "root",
                        "key": world.stranger.pub,
                        "key_id": world.stranger.key_id,
                        "roles": ["root", "publisher"],
                        "certifies": [],
                    }
                ],
                "revoked_serials": [],
            }
        ],
    }


def test_with_propose_it_is_proposed_in_one_go(world: World, clone_of: Clones) -> None:
    clone = clone_of(world.stranger)
    typed(world.stranger, clone, "domain", "new", "stranger", "--propose")
    assert "refs/proposals/stranger/register-stranger" in world.refs()


def test_a_key_enters_with_its_consent(world: World, clone: Path) -> None:
    laptop = world.key("spare-1")
    proof = typed(world.alice, clone, "domain", "prove", "alice", "--key", str(laptop)).stdout
    (world.path / "proof").write_text(proof)
    public = Path(f"{laptop}.pub").read_text()
    given = ("domain", "add-key", "laptop", public, "--role", "publisher")
    assert "[key-without-proof]" in typed(world.alice, clone, *given, status=1).stderr
    typed(world.alice, clone, *given, "--proof", str(world.path / "proof"))
    typed(world.alice, clone, "domain", "add-key", "alice", "ci", f"{world.key('spare-2')}.pub", "--role", "auditor")
    typed(world.alice, clone, "propose", "-m", "Two keys")
    world.emit()
    typed(world.alice, clone, "fetch")
    keys = told(world.alice, clone, "domain", "show", "alice")["domains"][0]["keys"]
    assert [(key["name"], key["roles"]) for key in keys[1:]] == [("laptop", ["publisher"]), ("ci", ["auditor"])]


def test_what_ssh_keygen_signs_is_a_proof_too(world: World, clone: Path) -> None:
    laptop = world.key("spare-1")
    sign = ("ssh-keygen", "-Y", "sign", "-n", "asl.domain.key", "-f", str(laptop))
    proof = world.alice.run(world.path, *sign, input=f"{world.anchor} alice\n").stdout
    assert proof == typed(world.alice, clone, "domain", "prove", "alice", "--key", str(laptop)).stdout
    (world.path / "proof").write_text(proof)
    arguments = ("laptop", f"{laptop}.pub", "--role", "publisher", "--proof", str(world.path / "proof"))
    typed(world.alice, clone, "domain", "add-key", *arguments, "--propose")
    world.emit()
    assert world.snapshots()[-1] == "common@1"


def test_a_key_is_revoked_by_its_name_or_its_id(world: World, clone: Path) -> None:
    laptop = f"{world.key('spare-1')}.pub"
    typed(world.alice, clone, "domain", "add-key", "laptop", laptop, "--role", "publisher", "--propose")
    world.emit()
    typed(world.alice, clone, "fetch")
    typed(world.alice, clone, "pin", "1")
    assert "[no-such-key]" in typed(world.alice, clone, "domain", "revoke-key", "phone", status=1).stderr
    said = typed(world.alice, clone, "domain", "revoke-key", "laptop", "--propose").stdout
    assert "alice/revoke-alice-s-key-laptop" in said
    world.emit()
    typed(world.alice, clone, "fetch")
    assert len(told(world.alice, clone, "domain", "show")["domains"][0]["keys"]) == 1


@pytest.mark.parametrize(
    ("arguments", "status", "rule"),
    [
        (("new", "123"), 1, "domain-id"),
        (("new", "alice"), 1, "domain-taken"),
        (("new", "../x"), 1, "domain-id"),
        (("add-key", "laptop"), 2, "arguments"),
        (("add-key", "a", "b", "c", "d", "--role", "root"), 2, "arguments"),
        (("add-key", "laptop", "SPARE"), 2, "role"),
        (("add-key", "laptop", "SPARE", "--role", "king"), 2, "role"),
        (("add-key", "laptop", "nowhere.pub", "--role", "root"), 1, "file-unreadable"),
        (("add-key", "Laptop", "SPARE", "--role", "root"), 1, "key-name"),
        (("add-key", "nobody", "laptop", "SPARE", "--role", "root"), 1, "no-such-domain"),
        (("add-key", "laptop", "SPARE", "--role", "root", "--role", "auditor"), 1, "auditor-alone"),
        (("add-key", "laptop", "SPARE", "--role", "root", "--proof", "SPARE"), 1, "signature-armour"),
        (("revoke-key", "first"), 1, "no-root"),
        (("revoke-key",), 2, "usage"),
        (("show", "nobody"), 1, "no-such-domain"),
        (("prove", "--key", "OTHER"), 2, "which-domain"),
        (("prove", "x y"), 1, "domain-id"),
    ],
)
def test_what_is_wrong_stages_nothing(
    world: World, clone: Path, arguments: tuple[str, ...], status: int, rule: str
) -> None:
    names = {"SPARE": f"{world.key('spare-1')}.pub", "OTHER": str(world.key("spare-2"))}
    filled = [names.get(one, one) for one in arguments]
    said = typed(world.alice, clone, "domain", *filled, status=status)
    assert f"[{rule}]" in said.stderr
    assert world.alice.output(clone, "status", "--porcelain") == ""


def test_what_can_not_be_proposed_leaves_the_checkout_as_it_was(world: World, clone: Path) -> None:
    arguments = ("domain", "add-key", "james", "laptop", f"{world.key('spare-1')}.pub", "--role", "publisher")
    assert "[role-missing]" in typed(world.alice, clone, *arguments, "--propose", status=1).stderr
    arguments = ("domain", "new", "stranger", "--key", str(world.stranger.key), "--propose")
    refusing = world.path / "refusing.git"
    world.alice.git(world.path, "clone", "-q", "--mirror", str(world.host), str(refusing))
    (refusing / "hooks" / "pre-receive").write_text("#!/bin/sh\nexit 1\n")
    (refusing / "hooks" / "pre-receive").chmod(0o755)
    world.alice.git(clone, "remote", "set-url", "origin", str(refusing))
    typed(world.alice, clone, *arguments, status=1)
    assert world.alice.output(clone, "status", "--porcelain") == ""
    assert not (clone / "domains" / "stranger" / "domain.yaml").exists()


def test_all_domains_are_shown_to_who_has_no_key(world: World) -> None:
    said = typed(world.stranger, world.host, "domain", "show").stdout
    for person in (world.alice, world.james, world.you):
        assert f"{person.domain}  " in said and person.key_id in said
    assert "you  witness, authority" in said
    narrow = typed(world.stranger, world.host, "domain", "show", COLUMNS="40").stdout
    assert "  first  root, publisher\n    SHA256:" in narrow


def test_a_manifest_is_edited_where_there_is_a_checkout(world: World) -> None:
    key = str(world.alice.key)
    assert "[no-work-tree]" in typed(world.alice, world.host, "domain", "new", "x", "--key", key, status=2).stderr
    assert "[no-work-tree]" in typed(world.alice, world.host, "domain", "revoke-key", "alice", "first", status=2).stderr
