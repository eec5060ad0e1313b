"""The refs of a host: what may be pushed, and that its branch moves by valid snapshots alone (spec 2, 9, 11)."""

from __future__ import annotations

import time

import forge
import pytest
from spoken import mends, pushed, said, type_mends
from world import World, accepted, refused

NOTE = {"shared/note.txt": b"hello\n"}


OUTSIDE = (
    "refs/heads/main",
    "refs/heads/common2",
    "refs/heads/common/x",
    "refs/proposals/alice",
    "refs/proposals/alice/a/b",
    "refs/proposals/Alice/t",
    "refs/proposals/alice/T",
    "refs/proposals/alice/_t",
    "refs/proposals/-alice/t",
    f"refs/proposals/alice/{'t' * 101}",
    f"refs/proposals/{'a' * 64}/t",
    "refs/endorsements/alice/alice",
    f"refs/endorsements/{'a' * 40}",
    f"refs/endorsements/{'A' * 40}/alice",
    "refs/refusals/x",
    f"refs/refusals/{'a' * 40}/x",
    "refs/rotations/draft",
    "refs/notes/commits",
    f"refs/replace/{'a' * 40}",
    "refs/stash",
    "refs/gitledger/x",
    "refs/changes/1",
    "refs/tags/common@0",
    "refs/tags/common@1",
    "refs/tags/common",
    "refs/tags/mine",
)


def test_what_is_outside_the_table_is_refused_with_the_table(world: World) -> None:
    proposal = world.propose(world.alice, NOTE, push=False)
    path = world.clone(world.alice)
    refspec = f"{proposal}:refs/proposals/alice/t"
    done = world.push(world.alice, path, refspec, *(f"+{proposal}:{ref}" for ref in OUTSIDE))
    refused(done, "ref-not-in-table")
    for ref in OUTSIDE:
        assert f"{ref} refused: " in said(done)
    assert "refs/proposals/<domain>/<topic>" in done.stderr
    accepted(world.push(world.alice, path, refspec))


@pytest.mark.parametrize("ref", ["refs/heads/main", "refs/tags/mine", "refs/proposals/alice/T"])
def test_one_ref_outside_the_table_is_enough(world: World, ref: str) -> None:
    proposal = world.propose(world.alice, NOTE, push=False)
    refused(world.push(world.alice, world.clone(world.alice), f"{proposal}:{ref}"), "ref-not-in-table")


def test_a_branch_that_is_pushed_is_proposed_by_what_is_printed(world: World) -> None:
    proposal = world.propose(world.alice, NOTE, push=False)
    path = world.clone(world.alice)
    done = refused(world.push(world.alice, path, f"{proposal}:refs/heads/My_Fix"), "ref-not-in-table")
    type_mends(world.alice, path, done)
    assert world.refs()["refs/proposals/alice/my_fix"] == proposal


def test_a_push_that_drags_tags_along_is_mended_by_what_is_printed(world: World) -> None:
    world.make_host(paths=["{match: standards/**, proposers: any, endorsements: 1}"])
    proposal = world.propose(world.alice, {"standards/one.txt": b"one\n"}, push=False)
    path = world.clone(world.alice)
    world.alice.git(path, "config", "push.followTags", "true")
    world.alice.git(path, "tag", "-s", "-m", "Mine", "mine", proposal)
    refspec = f"{proposal}:refs/proposals/alice/t"
    done = refused(world.push(world.alice, path, refspec), "ref-not-in-table")
    type_mends(world.alice, path, done)
    accepted(world.push(world.alice, path, refspec))


def test_a_mirror_push_is_refused_whole(world: World) -> None:
    world.propose(world.james, NOTE)
    path = world.clone(world.alice)
    done = world.push(world.alice, path, options=["--mirror"])
    refused(done, "ref-not-in-table")


@pytest.mark.parametrize("ref", ["refs/heads/common", "refs/proposals/alice/t", "refs/tags/common@0"])
def test_nothing_goes_by_a_push(world: World, ref: str) -> None:
    world.propose(world.alice, NOTE)
    done = world.push(world.alice, world.clone(world.alice), f":{ref}")
    refused(done, "ref-not-in-table" if "tags" in ref else "deletion")


def test_a_proposal_is_taken_back_by_what_a_deletion_is_told(world: World) -> None:
    proposal = world.propose(world.alice, NOTE)
    done = world.push(world.alice, world.clone(world.alice), ":refs/proposals/alice/t")
    assert mends(refused(done, "deletion")) == [f"gitledger withdraw {proposal}"]


def test_two_names_for_one_ref_are_one_too_many(world: World) -> None:
    """Stock git refuses to send it; a client of another make might not."""
    first = world.propose(world.alice, NOTE, push=False)
    second = world.propose(world.alice, {"shared/b.txt": b"b\n"}, push=False)
    lines = "".join(f"{'0' * 40} {oid} refs/proposals/alice/t\n" for oid in (first, second))
    world.push(
        world.alice, world.clone(world.alice), f"{first}:refs/proposals/alice/a", f"{second}:refs/proposals/alice/b"
    )
    hook = world.host / "hooks" / "pre-receive"
    done = world.you.run(world.host, str(hook), input=lines, check=False, GIT_DIR=".")
    assert done.returncode == 1 and "[ref-twice]" in done.stderr


# Snapshots


def test_the_witness_publishes_one_snapshot_or_many(world: World) -> None:
    first = world.propose(world.alice, NOTE)
    second = world.propose(world.james, {"shared/james.txt": b"mine\n"})
    bench = world.bench(world.you)
    one = forge.snapshot(bench, world.tip, first, world.you.key)
    two = forge.snapshot(bench, one, second, world.you.key)
    assert "common@1 … common@2 accepted" in said(accepted(world.offer(two, by=world.you)))
    assert world.snapshots() == ["common@0", "common@1", "common@2"]
    assert (world.oid(1), world.oid(2)) == (one, two)


def test_who_carries_a_snapshot_does_not_matter(world: World) -> None:
    proposal = world.propose(world.alice, NOTE)
    forged = forge.snapshot(world.bench(world.you), world.tip, proposal, world.you.key)
    path = world.clone(world.stranger)
    world.stranger.git(path, "fetch", "-q", str(world.bench(world.you)), forged)
    accepted(world.push(world.stranger, path, f"{forged}:refs/heads/common"))


def test_a_stranger_cannot_advance_common(world: World) -> None:
    proposal = world.propose(world.alice, NOTE)
    bench = world.bench()
    refused(world.offer(forge.snapshot(bench, world.tip, proposal, world.stranger.key)), "wrong-witness")
    commit = world.propose(world.alice, NOTE, push=False)
    done = world.push(world.alice, world.clone(world.alice), f"{commit}:refs/heads/common")
    assert "refs/proposals/<domain>/<topic>" in refused(done, "not-a-snapshot").stderr


def test_of_many_snapshots_the_first_that_is_wrong_is_named_and_none_is_taken(world: World) -> None:
    first = world.propose(world.alice, NOTE)
    second = world.propose(world.james, {"shared/james.txt": b"mine\n"})
    bench = world.bench(world.you)
    one = forge.snapshot(bench, world.tip, first, world.you.key)
    two = forge.snapshot(bench, one, second, world.alice.key)
    done = refused(world.offer(two, by=world.you), "wrong-witness")
    assert "refs/heads/common refused: common@2:" in said(done)
    accepted(world.offer(one, by=world.you))


def test_the_branch_never_goes_back_nor_aside(world: World) -> None:
    genesis = world.tip
    proposal = world.propose(world.alice, NOTE)
    other = world.propose(world.james, {"shared/james.txt": b"mine\n"})
    bench = world.bench(world.you)
    fork = forge.snapshot(bench, genesis, other, world.you.key)
    accepted(world.offer(forge.snapshot(bench, genesis, proposal, world.you.key), by=world.you))
    refused(world.offer(genesis, by=world.you), "not-forward")
    refused(world.offer(fork, by=world.you), "not-forward")


def test_a_snapshot_dated_ahead_of_the_hosts_clock_waits(world: World) -> None:
    proposal = world.propose(world.alice, NOTE)
    bench = world.bench(world.you)
    now = int(time.time())
    late = forge.snapshot(bench, world.tip, proposal, world.you.key, seconds=now + 86400 + 600)
    refused(world.offer(late, by=world.you), "ahead-of-clock")
    accepted(world.offer(forge.snapshot(bench, world.tip, proposal, world.you.key, seconds=now + 80000), by=world.you))


def test_snapshots_and_what_stands_on_them_come_in_one_push(world: World) -> None:
    """Proposals are decided against the state after the snapshots that come with them."""
    first = world.propose(world.alice, NOTE)
    bench = world.bench(world.you)
    one = forge.snapshot(bench, world.tip, first, world.you.key)
    tree = forge.changed(bench, one, {"shared/note.txt": b"changed\n"})
    second = forge.commit(bench, tree, [one], key=world.alice.key, committer=world.alice.ident)
    alone = world.offer(second, "refs/proposals/alice/more", by=world.you)
    refused(alone, "base-unknown")
    both = world.push(world.you, bench, f"{one}:refs/heads/common", f"{second}:refs/proposals/alice/more")
    accepted(both)
    assert "common@1 accepted" in said(both) and "it becomes common@2" in said(both)


def test_a_push_that_knows_an_older_host_is_told_to_look(world: World) -> None:
    """Git itself compares once more when it moves the ref; the hook says why."""
    proposal = world.propose(world.alice, NOTE)
    lines = f"{'1' * 40} {proposal} refs/proposals/alice/t\n"
    hook = world.host / "hooks" / "pre-receive"
    done = world.you.run(world.host, str(hook), input=lines, check=False, GIT_DIR=".")
    assert done.returncode == 1 and "[ref-moved]" in done.stderr


def test_an_unsound_host_takes_nothing_and_says_why(world: World) -> None:
    proposal = world.propose(world.alice, NOTE, push=False)
    path = world.clone(world.alice)
    grafts = world.host / "info" / "grafts"
    grafts.parent.mkdir(exist_ok=True)
    grafts.write_text(f"{world.tip}\n")
    refused(world.push(world.alice, path, f"{proposal}:refs/proposals/alice/t"), "grafts")
    grafts.unlink()
    accepted(world.push(world.alice, path, f"{proposal}:refs/proposals/alice/t"))


def test_proposing_goes_on_when_another_ledger_stands_beside(world: World) -> None:
    """A proposal for one ledger is no proposal for another."""
    world.make_host()
    other = world.make_host(name="other")
    proposal = world.propose(world.alice, NOTE)
    assert pushed(proposal).returncode == 0
    done = world.push(world.alice, world.clone(world.alice), f"{proposal}:refs/proposals/alice/t", host=other)
    refused(done, "base-unknown")
