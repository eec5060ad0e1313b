"""Founding a ledger, and making a host of a repository that holds one (spec 9, Genesis; spec 11)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import forge
import pytest
from world import KEYS, World, accepted

from gitledger.errors import LedgerError
from gitledger.roles import host
from gitledger.roles.journal import Journal
from gitledger.roles.place import Place
from gitledger.rules.advance import genesis
from gitledger.rules.state import Snapshot
from gitledger.signing.keys import PublicKey


def key(name: str) -> PublicKey:
    return PublicKey.parse(forge.line(KEYS / name))


def found(world: World, directory: Path, **options: Any) -> Snapshot:
    """What `gitledger init` does for you."""
    with world.acting(world.you):
        return host.create(directory, witness=("you", world.you.signer()), seconds=world.now, **options)


def fails(rule: str, world: World, directory: Path, **options: Any) -> LedgerError:
    with pytest.raises(LedgerError) as caught:
        found(world, directory, **options)
    assert caught.value.rule == rule
    return caught.value


GROUP = {"alice": key("alice"), "james": key("james")}


def test_the_card_says_what_the_founders_hand_out(world: World) -> None:
    first = found(world, world.path / "common.git", members=GROUP)
    card = host.card(first)
    assert (card.name, card.witness) == ("common", ("you", world.you.key_id))
    assert card.ledger_id == first.hash == forge.hash_of(world.path / "common.git", first.oid)
    assert card.authorities == tuple((one, key(one).key_id) for one in ("alice", "james", "you"))
    assert (card.threshold, card.may_lose) == (2, 1)


def test_what_is_founded_is_a_host_that_every_consumer_verifies(world: World) -> None:
    path = world.path / "common.git"
    first = found(world, path, members=GROUP)
    place = Place.open(path)
    assert (place.role, place.name, place.anchor) == ("host", "common", first.hash)
    assert world.refs(path) == {"refs/heads/common": first.oid, "refs/tags/common@0": first.oid}
    assert place.store.head() == "refs/heads/common"
    assert genesis(place.store, first.oid, place.anchor).hash == first.hash
    assert host.check(path) == []
    last = Journal(world.you.home / ".local/state/gitledger" / first.hash.removeprefix("sha256:")).last
    assert last is not None and (last.number, last.oid) == (0, first.oid)


def test_stock_git_verifies_genesis(world: World) -> None:
    path = world.path / "common.git"
    found(world, path)
    signers = world.path / "signers"
    signers.write_text(f"you {world.you.pub}\n")
    world.alice.git(path, "-c", f"gpg.ssh.allowedSignersFile={signers}", "verify-commit", "common@0")


def test_alone_you_are_the_quorum(world: World) -> None:
    first = found(world, world.path / "mine.git", name="mine")
    assert first.name == "mine@0"
    assert host.card(first).authorities == (("you", world.you.key_id),)
    assert first.state.policy.registration == "closed"


def test_who_is_named_authority_is_one_and_nobody_else(world: World) -> None:
    first = found(world, world.path / "common.git", members=GROUP, authorities=GROUP, threshold=2)
    card = host.card(first)
    assert [domain for domain, _ in card.authorities] == ["alice", "james"]
    assert card.may_lose == 0
    assert first.state.roles(world.you.key_id) == {"root", "publisher"}


def test_an_authority_may_have_a_key_of_its_own_for_that(world: World) -> None:
    first = found(world, world.path / "common.git", members=GROUP, authorities={"alice": key("alice-2")})
    manifest = first.state.manifest("alice")
    assert manifest is not None
    assert [(one.name, one.key_id) for one in manifest.keys] == [
        ("first", key("alice").key_id),
        ("second", key("alice-2").key_id),
    ]
    assert host.card(first).authorities == (("alice", key("alice-2").key_id),)


def test_a_policy_file_says_who_the_authorities_are(world: World) -> None:
    policy = forge.policy_file({one: KEYS / one for one in ("alice", "james")})
    first = found(world, world.path / "common.git", members=GROUP, policy=policy)
    assert [domain for domain, _ in host.card(first).authorities] == ["alice", "james"]
    again = found(world, world.path / "again.git", members=GROUP, policy=policy, authorities=GROUP, threshold=2)
    assert host.card(again).authorities == host.card(first).authorities


def test_an_empty_directory_is_as_good_as_none(world: World) -> None:
    path = world.path / "common.git"
    path.mkdir()
    found(world, path)
    assert host.check(path) == []


def test_what_can_not_be_founded_leaves_nothing(world: World) -> None:
    path = world.path / "below" / "common.git"
    policy = forge.policy_file({one: KEYS / one for one in ("alice", "james")})
    path.parent.mkdir()
    fails("no-template", world, path, template="federation")
    fails("policy-and-template", world, path, template="group", policy=policy)
    fails("policy-says-otherwise", world, path, members=GROUP, policy=policy, threshold=1)
    fails("policy-says-otherwise", world, path, members=GROUP, policy=policy, authorities={"you": key("you")})
    fails("quorum-threshold", world, path, members=GROUP, threshold=1)
    fails("key-not-active", world, path, policy=policy)
    fails("key-of-another-domain", world, path, members={"alice": key("you")}, authorities={"you": key("you")})
    fails("authority-twice", world, path, members={"alice": key("you")})
    fails("ledger-name", world, path, name="Common")
    fails("domain-id", world, path, members={"123": key("alice")})
    assert list(path.parent.iterdir()) == []
    found(world, path, members=GROUP, policy=policy)


def test_a_directory_that_holds_something_is_left_alone(world: World) -> None:
    path = world.path / "common.git"
    path.mkdir()
    (path / "precious").write_text("mine")
    fails("directory-taken", world, path)
    file = world.path / "file"
    file.write_text("mine")
    fails("directory-taken", world, file)
    assert [one.name for one in path.iterdir()] == ["precious"] and file.read_text() == "mine"


def test_nothing_of_the_users_configuration_gets_into_it(world: World) -> None:
    template = world.path / "template"
    (template / "hooks").mkdir(parents=True)
    (template / "hooks" / "update").write_text("#!/bin/sh\nexit 1\n")
    world.you.git(world.path, "config", "--global", "init.templateDir", str(template))
    world.you.git(world.path, "config", "--global", "init.defaultObjectFormat", "sha256")
    path = world.path / "common.git"
    found(world, path)
    assert not (path / "hooks" / "update").exists()
    assert host.check(path) == []


# A repository that holds a ledger


def copy(world: World) -> Path:
    """A bare copy by stock git of a ledger with a snapshot and a proposal that waits."""
    world.propose(world.alice, {"shared/note.txt": b"hello\n"})
    world.emit()
    world.propose(world.james, {"shared/james.txt": b"mine\n"})
    path = world.path / "copy.git"
    world.you.git(world.path, "clone", "-q", "--mirror", f"file://{world.host}", str(path))
    return path


def test_a_bare_copy_becomes_a_host(world: World) -> None:
    path = copy(world)
    before = world.refs(path)
    assert before == {ref: oid for ref, oid in world.refs().items() if not ref.startswith("refs/gitledger/")}
    place = host.install(path)
    assert (place.anchor, place.name) == (world.anchor, "common")
    assert host.check(path) == []
    assert world.refs(path) == before
    proposal = world.propose(world.alice, {"shared/more.txt": b"more\n"}, push=False)
    accepted(world.push(world.alice, world.clone(world.alice), f"{proposal}:refs/proposals/alice/t", host=path))


def test_tags_and_head_are_made_for_a_copy_without_them(world: World) -> None:
    copy(world)
    path = world.path / "new.git"
    world.you.git(world.path, "init", "-q", "--bare", str(path))
    world.you.git(world.host, "push", "-q", str(path), "refs/heads/common")
    host.install(path)
    assert world.oid("HEAD", path) == world.tip
    assert {ref for ref in world.refs(path) if "tags" in ref} == {"refs/tags/common@0", "refs/tags/common@1"}
    assert host.check(path) == []


def test_installing_again_renews_what_is_missing(world: World) -> None:
    path = world.host
    (path / "hooks" / "pre-receive").unlink()
    (path / "gitledger" / "ledger.json").write_text("{")
    forge.git(path, "config", "receive.fsckObjects", "false")
    host.install(path)
    assert host.check(path) == []
    assert Place.open(path).anchor == world.anchor


def test_a_line_that_is_not_valid_becomes_no_host(world: World) -> None:
    path = copy(world)
    proposal = world.refs()["refs/proposals/james/t"]
    forged = forge.snapshot(path, world.tip, proposal, world.alice.key)
    forge.set_ref(path, "refs/heads/common", forged)
    with pytest.raises(LedgerError) as caught:
        host.install(path)
    assert caught.value.rule == "wrong-witness" and caught.value.subject == "common@2"
    assert not (path / "gitledger").exists() and not (path / "hooks" / "pre-receive").exists()


@pytest.mark.parametrize("ref", ["refs/tags/common@1", "refs/tags/common@7", "refs/tags/v1", "refs/heads/other"])
def test_refs_that_do_not_follow_from_the_line_are_named_with_the_command(world: World, ref: str) -> None:
    path = copy(world)
    forge.set_ref(path, ref, world.oid(0))
    with pytest.raises(LedgerError) as caught:
        host.install(path)
    assert caught.value.rule == "stray-ref" and ref in caught.value.what
    world.you.run(path, "sh", "-ec", caught.value.mend)
    host.install(path)
    assert host.check(path) == []


def test_check_names_what_is_missing_with_its_mend(world: World) -> None:
    assert host.check(world.host) == []
    (world.host / "hooks" / "pre-receive").unlink()
    forge.git(world.host, "config", "--unset", "core.fsync")
    forge.set_ref(world.host, "refs/tags/stray", world.tip)
    problems = "\n".join(host.check(world.host))
    assert "hooks/pre-receive is missing" in problems and "core.fsync" in problems and "refs/tags/stray" in problems
    assert f"gitledger hooks install {world.host}" in problems


def test_what_is_no_host_is_told_so(world: World) -> None:
    for path, install_rule in (
        (world.clone(world.alice), "host-not-bare"),
        (world.path, "no-repository"),
    ):
        with pytest.raises(LedgerError) as caught:
            host.install(path)
        assert caught.value.rule == install_rule
    empty = world.path / "empty.git"
    world.you.git(world.path, "init", "-q", "--bare", str(empty))
    with pytest.raises(LedgerError) as caught:
        host.install(empty)
    assert caught.value.rule == "no-ledger-here"
    with pytest.raises(LedgerError) as caught:
        host.check(empty)
    assert caught.value.rule == "not-a-ledger"


def test_a_moved_host_goes_on(world: World) -> None:
    proposal = world.propose(world.alice, {"shared/note.txt": b"hello\n"}, push=False)
    moved = world.path / "moved.git"
    world.host.rename(moved)
    accepted(world.push(world.alice, world.clone(world.alice), f"{proposal}:refs/proposals/alice/t", host=moved))
    host.install(moved)
    assert host.check(moved) == []
