"""What a quorum decided stays decided: policies that come back, tightened policies, domains that lost their root, and
keys long retired that fork the past (spec 3.1, 7, 8, 10).
"""

from __future__ import annotations

import sys
from pathlib import Path

import forge
import pytest
from world import World, accepted, refused

from gitledger.errors import Fork, Refused
from gitledger.roles import consumer
from gitledger.roles.place import Place

POLICY = "ledger/policy.yaml"
OPEN = "{match: shared/**, proposers: any}"


def policy(world: World, revision: int, *, threshold: int = 2, **more: object) -> bytes:
    keys = {name: world.person(name).key for name in ("alice", "james", "you")}
    return forge.policy_file(keys, threshold=threshold, revision=revision, **more)  # type: ignore[arg-type]


def change(world: World, content: bytes, *, base: int | None = None) -> tuple[str, list[str]]:
    """A change of the policy by Alice, and endorsements by her and James; on the newest snapshot, or on `base`."""
    bench = world.bench()
    proposal = forge.proposal(bench, world.tip if base is None else world.oid(base), {POLICY: content}, world.alice.key)
    return proposal, [forge.endorsement(bench, proposal, person.key) for person in (world.alice, world.james)]


def number(world: World, proposal: str, endorsements: list[str]) -> str:
    """The snapshot by the witness that accepts it on the newest."""
    return forge.snapshot(world.bench(), world.tip, proposal, world.you.key, endorsements=endorsements)


# Policies that come back


def test_an_old_policy_does_not_come_back_by_its_old_endorsements(world: World) -> None:
    first = change(world, policy(world, 2, paths=[OPEN]))
    accepted(world.offer(number(world, *first)))
    accepted(world.offer(number(world, *change(world, policy(world, 3, paths=[])))))
    refused(world.offer(number(world, *first)), "path-changed-since")
    again = change(world, policy(world, 2, paths=[OPEN]))
    refused(world.offer(number(world, *again)), "policy-revision")
    accepted(world.offer(number(world, *change(world, policy(world, 4, paths=[OPEN])))))


def test_a_shelved_change_does_not_come_in_after_its_base_policy_returned(world: World) -> None:
    world.make_host(policy(world, 1))
    shelved = change(world, policy(world, 2, registration="open"))
    accepted(world.offer(number(world, *change(world, policy(world, 2, paths=[])))))
    accepted(world.offer(number(world, *change(world, policy(world, 3)))))  # as it was, but for the revision
    refused(world.offer(number(world, *shelved)), "path-changed-since")


def test_a_shelved_change_is_not_made_good_by_a_permit(world: World) -> None:
    bench = world.bench()
    content = policy(world, 2, registration="open")
    shelved = forge.proposal(bench, world.tip, {POLICY: content}, world.alice.key, "A change\n\nLedger-Reorder: any\n")
    tags = [forge.endorsement(bench, shelved, person.key) for person in (world.alice, world.james)]
    accepted(world.offer(number(world, *change(world, policy(world, 2, paths=[])))))
    refused(world.offer(number(world, shelved, tags)), "path-changed-since")


# Tightened policies bind the next snapshot


def test_a_closed_path_is_closed_for_the_snapshot_after_by_whatever_push_they_come(world: World) -> None:
    bench = world.bench()
    proposal = forge.proposal(bench, world.tip, {"shared/a.txt": b"a\n"}, world.alice.key)
    closing = number(world, *change(world, policy(world, 2, paths=[])))
    late = forge.snapshot(bench, closing, proposal, world.you.key)
    refused(world.offer(late), "path-not-open")  # both in one push
    accepted(world.offer(closing))
    refused(world.offer(late), "path-not-open")


def test_a_raised_threshold_counts_for_the_rotation_after_it(world: World) -> None:
    bench = world.bench()
    tightened = number(world, *change(world, policy(world, 2)))
    accepted(world.offer(tightened))
    keys = {name: world.person(name).key for name in ("alice", "james", "you")}
    proposal = forge.proposal(bench, world.tip, {POLICY: policy(world, 3, threshold=3)}, world.alice.key)
    tags = [forge.endorsement(bench, proposal, key) for key in keys.values()]
    accepted(world.offer(number(world, proposal, tags)))
    bench = world.bench()
    for signers, rule in ((("alice", "james"), "quorum-missing"), (("alice", "james", "you"), "")):
        endorsements = {name: keys[name] for name in signers}
        artifact = forge.rotation_file(bench, world.tip, ("james", world.james.key), endorsements)
        done = world.offer(forge.rotating(bench, world.tip, artifact, world.james.key))
        refused(done, rule) if rule else accepted(done)


def test_a_key_that_left_its_manifest_proposes_endorses_and_witnesses_nothing_after(world: World) -> None:
    bench = world.bench()
    second = world.key("james-2")
    both = forge.manifest_file(
        "james",
        forge.Entry("root", world.james.key),
        forge.Entry("old", second, ("publisher",), proof=forge.proof(second, world.anchor, "james")),
    )
    path = "domains/james/domain.yaml"
    accepted(world.offer(number(world, forge.proposal(bench, world.tip, {path: both}, world.james.key), [])))
    alone = forge.manifest_file("james", forge.Entry("root", world.james.key))
    leaving = number(world, forge.proposal(bench, world.tip, {path: alone}, world.james.key), [])
    late = forge.snapshot(bench, leaving, forge.proposal(bench, world.tip, {"shared/x": b"x\n"}, second), world.you.key)
    refused(world.offer(late), "revoked-key")
    accepted(world.offer(leaving))
    keys = {"alice": world.alice.key, "you": world.you.key}
    artifact = forge.rotation_file(world.bench(), world.tip, ("james", second), keys)
    refused(world.offer(forge.rotating(bench, world.tip, artifact, second)), "key-not-active")


# A domain that lost its root


def lost(
    world: World, *, rekey: str = "quorum", by: str = "alice", endorsers: str = "alice you"
) -> tuple[str, list[str]]:
    """The stranger lost the only key: a proposal that gives the domain another, which consents, by `by`."""
    world.make_host(policy(world, 1, rekey=rekey), members=("you", "alice", "james", "stranger", "spare-1"))
    bench, new = world.bench(), world.key("james-2")
    entry = forge.Entry("root", new, proof=forge.proof(new, world.anchor, "stranger"))
    changes = {"domains/stranger/domain.yaml": forge.manifest_file("stranger", entry)}
    proposal = forge.proposal(bench, world.tip, changes, world.person(by).key)
    return proposal, [forge.endorsement(bench, proposal, world.person(name).key) for name in endorsers.split()]


def test_a_domain_that_lost_its_only_root_comes_back_where_the_policy_says_so(world: World) -> None:
    accepted(world.offer(number(world, *lost(world))))
    bench, new = world.bench(), world.key("james-2")
    mine = {"domains/stranger/x.txt": b"x\n"}
    accepted(world.offer(number(world, forge.proposal(bench, world.tip, mine, new), [])))
    theirs = forge.proposal(world.bench(), world.tip, {"domains/stranger/y.txt": b"y\n"}, world.stranger.key)
    refused(world.offer(number(world, theirs, [])), "revoked-key")


def test_it_does_not_where_the_policy_does_not_say_so(world: World) -> None:
    refused(world.offer(number(world, *lost(world, rekey="never"))), "role-missing")


@pytest.mark.parametrize(
    ("by", "endorsers", "rule"),
    [
        ("alice", "alice", "endorsements-missing"),
        ("alice", "", "endorsements-missing"),
        ("spare-1", "alice you", "role-missing"),
    ],
)
def test_nobody_but_an_authority_with_a_quorum_gives_it_new_keys(
    world: World, by: str, endorsers: str, rule: str
) -> None:
    refused(world.offer(number(world, *lost(world, by=by, endorsers=endorsers))), rule)


def test_new_keys_by_a_quorum_are_all_that_the_proposal_brings(world: World) -> None:
    world.make_host(policy(world, 1, rekey="quorum"), members=("you", "alice", "james", "stranger"))
    bench, new = world.bench(), world.key("james-2")
    entry = forge.Entry("root", new, proof=forge.proof(new, world.anchor, "stranger"))
    manifest = {"domains/stranger/domain.yaml": forge.manifest_file("stranger", entry)}
    proposal = forge.proposal(bench, world.tip, {**manifest, "shared/x.txt": b"x\n"}, world.alice.key)
    tags = [forge.endorsement(bench, proposal, person.key) for person in (world.alice, world.you)]
    refused(world.offer(number(world, proposal, tags)), "role-missing")


# Keys long retired fork the past


@pytest.fixture
def past(world: World) -> Path:
    """A mirror on which those who once were witness and quorum have forked the past; the host has gone on without them.

    On the host, the quorum has swapped (common@1), the new one has rotated the witness (common@2), who has revoked what
    was (common@3).
    """
    members = ("you", "alice", "james", "spare-1", "spare-3", "spare-4")
    world.make_host(policy(world, 1), members=members)
    bench = world.bench()
    new = {name: world.person(name).key for name in ("spare-1", "spare-3", "spare-4")}
    swap = forge.proposal(bench, world.tip, {POLICY: forge.policy_file(new, revision=2)}, world.alice.key)
    voters = [world.alice.key, world.james.key, *new.values()]
    accepted(world.offer(number(world, swap, [forge.endorsement(bench, swap, key) for key in voters])))
    bench = world.bench()
    artifact = forge.rotation_file(
        bench, world.tip, ("spare-1", new["spare-1"]), {n: new[n] for n in ("spare-3", "spare-4")}
    )
    accepted(world.offer(forge.rotating(bench, world.tip, artifact, new["spare-1"])))
    bench = world.bench()
    revoking = forge.policy_file(new, revision=3, revoked=[world.you.key_id])
    change = forge.proposal(bench, world.tip, {POLICY: revoking}, new["spare-1"])
    tags = [forge.endorsement(bench, change, new[name]) for name in ("spare-1", "spare-3")]
    accepted(world.offer(forge.snapshot(bench, world.tip, change, new["spare-1"], endorsements=tags)))
    bench = world.bench()
    tip = world.oid(0)
    for name in "abcdef":  # longer than the true one
        proposal = forge.proposal(bench, tip, {f"shared/{name}.txt": b"as if\n"}, world.alice.key)
        tip = forge.snapshot(bench, tip, proposal, world.you.key)
    forge.set_ref(bench, "refs/heads/common", tip)
    return bench


def test_a_first_fetch_that_knows_a_recent_snapshot_is_not_taken_in_by_keys_long_retired(
    world: World, past: Path, tmp_path: Path
) -> None:
    known = ("common@3", forge.hash_of(world.host, world.oid(3)))
    with pytest.raises(Refused, match="another line") as caught:
        consumer.clone(str(past), tmp_path / "taken-in", world.anchor, known=known)
    assert caught.value.rule == "known-differs" and not (tmp_path / "taken-in").exists()
    place = consumer.clone(str(world.host), tmp_path / "safe", world.anchor, known=known)
    assert place.verified.name == "common@3"


def test_whoever_has_verified_the_true_line_is_not_taken_in_either(world: World, past: Path, tmp_path: Path) -> None:
    place = consumer.clone(str(world.host), tmp_path / "clone", world.anchor)
    place.store.git("remote", "set-url", "origin", str(past))
    with pytest.raises(Fork):
        consumer.fetch(place)
    assert Place.open(tmp_path / "clone").verified.name == "common@3"


def test_a_first_fetch_that_knows_nothing_takes_either_line_and_is_told_so(
    world: World, past: Path, tmp_path: Path
) -> None:
    assert consumer.clone(str(past), tmp_path / "past", world.anchor).verified.name == "common@6"
    assert consumer.clone(str(world.host), tmp_path / "clone", world.anchor).verified.name == "common@3"
    told = ("clone", str(past), "told", "--anchor", world.anchor)
    said = world.you.run(world.path, sys.executable, "-P", "-m", "gitledger", *told)
    assert "--known" in said.stdout + said.stderr
