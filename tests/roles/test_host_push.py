"""Pushing proposals to a host: what it takes, and that its mends work when they are typed (spec 4, 11)."""

from __future__ import annotations

import subprocess

import forge
import pytest
from spoken import mends, push_head, pushed, said, type_mends
from world import World, accepted, refused

SSH = ("-c", "gpg.format=ssh")
NOTE = {"shared/note.txt": b"hello\n"}


def test_an_accepted_proposal_is_told_its_place_and_how_to_go_on(world: World) -> None:
    world.propose(world.james, {"shared/james.txt": b"first\n"})
    proposal = world.propose(world.alice, NOTE, "Say hello")
    told = said(proposal.push)
    assert f"refs/proposals/alice/t accepted: {proposal[:12]} (Say hello) waits at place 2 of 2" in told
    assert "it waits for the witness, you: as things stand it becomes common@2" in told
    assert "git push origin +HEAD:refs/proposals/alice/t" in told
    assert f"git fetch origin refs/refusals/{proposal} && git cat-file tag FETCH_HEAD" in told


def test_a_proposal_that_lacks_endorsements_is_told_whose(world: World) -> None:
    world.make_host(paths=["{match: standards/**, proposers: any, endorsements: 2}"])
    proposal = world.propose(world.alice, {"standards/one.txt": b"one\n"})
    assert "it lacks endorsements (the rule standards/**: 2 more of alice, james, you)" in said(proposal.push)


def test_a_line_of_proposals_goes_in_as_one(world: World) -> None:
    first = world.propose(world.alice, NOTE, "One", push=False)
    second = world.propose(world.alice, {"shared/more.txt": b"more\n"}, "Two", base=first)
    assert "2 proposals, the last of them" in said(second.push)
    assert "common@1 … common@2" in said(second.push)
    assert [one.proposal.oid for one in world.emit().ready] == [first, second]


def test_a_line_may_go_on_from_a_proposal_that_was_accepted(world: World) -> None:
    first = world.propose(world.alice, NOTE)
    world.emit()
    second = world.propose(world.alice, {"shared/more.txt": b"more\n"}, base=first)
    assert [one.proposal.oid for one in world.emit().ready] == [second]


def test_what_will_be_refused_when_its_turn_comes_is_told_so(world: World) -> None:
    world.propose(world.james, NOTE)
    proposal = world.propose(world.alice, {"shared/note.txt": b"other\n"})
    assert "[path-changed-since]" in said(proposal.push)
    assert "what waits before it goes first" in said(proposal.push)


def test_unsigned_is_mended_by_what_is_printed(world: World) -> None:
    path = world.alice.home / "bare-clone"
    world.alice.git(world.path, "clone", "-q", "--no-tags", str(world.host), str(path))
    world.commit(world.alice, NOTE, clone=path, sign=False)
    type_mends(world.alice, path, refused(push_head(world, world.alice, clone=path), "unsigned"))
    accepted(push_head(world, world.alice, clone=path))


def test_an_openpgp_signature_is_mended_by_what_is_printed(world: World) -> None:
    bench = world.bench(world.alice)
    armour = b"-----BEGIN PGP SIGNATURE-----\n\niQEzBAABCAAdFiEE\n-----END PGP SIGNATURE-----\n"
    tree = forge.changed(bench, world.tip, NOTE)
    oid = forge.commit(bench, tree, [world.tip], signature=armour, committer=world.alice.ident)
    done = refused(world.offer(oid, "refs/proposals/alice/t", by=world.alice), "not-an-ssh-signature")
    path = world.clone(world.alice)
    world.alice.git(path, "fetch", "-q", str(bench), oid)
    world.alice.git(path, "checkout", "-q", "--detach", "FETCH_HEAD")
    world.alice.git(path, "config", "gpg.format", "openpgp")
    commands = mends(done)
    assert [command.split()[:3] for command in commands[:3]] == [
        ["git", "config", "gpg.format"],
        ["git", "config", "user.signingkey"],
        ["git", "config", "commit.gpgsign"],
    ]
    for command in commands:
        world.alice.run(path, "sh", "-ec", command)
    accepted(push_head(world, world.alice))


def test_a_stale_base_is_mended_by_what_is_printed(world: World) -> None:
    world.propose(world.james, NOTE)
    world.emit()
    changed = {"shared/note.txt": b"hello\n", "shared/alice.txt": b"mine\n"}
    world.propose(world.alice, changed, base=0, push=False)
    done = refused(push_head(world, world.alice), "path-changed-since")
    type_mends(world.alice, world.clone(world.alice), done)
    accepted(push_head(world, world.alice))


def test_a_base_that_was_never_accepted_is_mended_by_what_is_printed(world: World) -> None:
    proposal = world.propose(world.james, NOTE)
    bench = world.bench(world.you)
    forged = forge.snapshot(bench, world.tip, proposal, world.you.key)
    path = world.clone(world.alice)
    world.alice.git(path, "fetch", "-q", str(bench), forged)
    world.propose(world.alice, {"shared/alice.txt": b"mine\n"}, base=forged, push=False)
    done = refused(push_head(world, world.alice), "base-unknown")
    type_mends(world.alice, path, done)
    accepted(push_head(world, world.alice))


def test_a_merge_from_git_pull_is_mended_by_what_is_printed(world: World) -> None:
    path = world.clone(world.alice)
    world.propose(world.james, NOTE)
    world.alice.git(path, "checkout", "-q", "-b", "fix")
    world.commit(world.alice, {"shared/alice.txt": b"mine\n"}, base="fix")
    world.alice.git(path, "branch", "-f", "fix", "HEAD")
    world.alice.git(path, "checkout", "-q", "fix")
    world.emit()
    world.alice.git(path, "pull", "-q", "--no-rebase", "--no-edit", "origin", "common")
    done = refused(push_head(world, world.alice), "proposal-parents")
    type_mends(world.alice, path, done)
    accepted(push_head(world, world.alice))


def test_an_encoding_header_is_mended_by_what_is_printed(world: World) -> None:
    path = world.clone(world.alice)
    world.alice.git(path, "config", "i18n.commitEncoding", "ISO-8859-1")
    world.propose(world.alice, NOTE, push=False)
    done = refused(push_head(world, world.alice), "encoding-header")
    type_mends(world.alice, path, done)
    accepted(push_head(world, world.alice))


def test_a_used_salt_is_mended_by_what_is_printed(world: World) -> None:
    first = world.propose(world.alice, NOTE)
    salt = forge.when(world.host, first)
    world.emit()
    world.propose(world.alice, {"shared/more.txt": b"more\n"}, f"More\n\nLedger-Salt: {salt}", push=False)
    refused(push_head(world, world.alice), "salt-used")
    world.now = salt - 4  # the same second again, once the three commands before the commit have run
    path = world.clone(world.alice)
    world.alice.git(path, "commit", "-q", "--amend", "-S", "-m", "More", GIT_COMMITTER_DATE=f"{salt} +0000")
    done = refused(push_head(world, world.alice), "salt-used")
    assert "sleep 1" in done.stderr
    world.now = salt + 10
    world.alice.git(path, "commit", "-q", "--amend", "-S", "--no-edit")
    accepted(push_head(world, world.alice))


def test_a_shallow_clone_proposes_as_long_as_its_base_is_on_the_host(world: World) -> None:
    world.propose(world.james, NOTE)
    world.emit()
    path = world.alice.home / "shallow"
    world.alice.git(world.path, "clone", "-q", "--depth=1", *SSH, f"file://{world.host}", str(path))
    world.commit(world.alice, {"shared/alice.txt": b"mine\n"}, clone=path, key=world.alice.key)
    accepted(push_head(world, world.alice, clone=path))


def test_history_that_is_cut_off_is_refused_and_nothing_of_it_stays(world: World) -> None:
    path = world.clone(world.alice)
    for number in range(3):
        world.alice.git(path, "commit", "-q", "--allow-empty", "-S", "-m", f"Elsewhere {number}")
    shallow = world.alice.home / "shallow"
    world.alice.git(world.path, "clone", "-q", "--depth=1", *SSH, f"file://{path}", str(shallow))
    world.commit(world.alice, {"shared/alice.txt": b"mine\n"}, base="HEAD", clone=shallow, key=world.alice.key)
    done = push_head(world, world.alice, clone=shallow)
    assert done.returncode and done.before == done.after
    assert "git fetch --unshallow" in done.stderr and "Traceback" not in done.stderr
    assert not (world.host / "shallow").exists()


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"domains/james/x": b"1\n"}, "other-domains-path"),
        ({"elsewhere/x": b"1\n"}, "path-not-open"),
        ({"ledger/x": b"1\n"}, "ledger-path"),
        ({"shared/big": b"x" * 300}, "proposal-bytes"),
        ({f"shared/{n}": b"1\n" for n in range(4)}, "too-many-paths"),
    ],
)
def test_what_the_rules_refuse_never_waits(world: World, changes: dict[str, bytes], rule: str) -> None:
    world.make_host(limits="proposal_bytes: 200, proposal_paths: 3")
    proposal = world.propose(world.alice, changes, check=False)
    refused(pushed(proposal), rule)


def test_a_stranger_waits_nowhere(world: World) -> None:
    proposal = world.propose(world.stranger, NOTE, domain="alice", check=False)
    refused(pushed(proposal), "unknown-key")


def test_every_commit_of_a_line_is_of_the_refs_domain(world: World) -> None:
    first = world.propose(world.james, NOTE, push=False)
    path = world.clone(world.alice)
    world.alice.git(path, "fetch", "-q", str(world.clone(world.james)), "HEAD")
    second = world.propose(world.alice, {"shared/more.txt": b"more\n"}, base=first, check=False)
    refused(pushed(second), "ref-domain")
    wrong = world.propose(world.alice, {"shared/more.txt": b"more\n"}, domain="james", check=False)
    type_mends(world.alice, path, refused(pushed(wrong), "ref-domain"))
    assert world.refs()["refs/proposals/alice/t"] == wrong


def test_a_push_is_taken_whole_or_not_at_all(world: World) -> None:
    good = world.propose(world.alice, NOTE, push=False)
    bad = world.propose(world.alice, {"elsewhere/x": b"1\n"}, push=False)
    path = world.clone(world.alice)
    done = world.push(world.alice, path, f"{good}:refs/proposals/alice/good", f"{bad}:refs/proposals/alice/bad")
    refused(done, "path-not-open")
    assert "Nothing of this push was taken" in done.stderr
    accepted(world.push(world.alice, path, f"{good}:refs/proposals/alice/good"))


def test_a_refused_push_leaves_no_object_behind(world: World) -> None:
    proposal = world.propose(world.alice, {"elsewhere/x": b"1\n"}, check=False)
    kept = subprocess.run(["git", "-C", str(world.host), "cat-file", "-e", str(proposal)], check=False)
    assert kept.returncode != 0


def test_what_is_no_commit_is_no_proposal(world: World) -> None:
    proposal = world.propose(world.alice, NOTE, push=False)
    path = world.clone(world.alice)
    world.alice.git(path, "tag", "-a", "-m", "A tag", "mine", proposal)
    done = refused(world.push(world.alice, path, "mine:refs/proposals/alice/t"), "object-kind")
    assert "^{commit}:refs/proposals/alice/t" in done.stderr
    accepted(world.push(world.alice, path, "mine^{commit}:refs/proposals/alice/t"))


def test_pushing_what_is_accepted_already_says_so(world: World) -> None:
    proposal = world.propose(world.alice, NOTE)
    world.emit()
    path = world.clone(world.alice)
    refused(world.push(world.alice, path, f"{proposal}:refs/proposals/alice/again"), "nothing-proposed")
