"""Roles at work: producers and executors propose, publishers release, as the domain's own rules say (spec 13)."""

from __future__ import annotations

import bureau
import forge
import pytest
from bureau import MANIFEST, PUBLISH, key, release, rules
from spoken import said
from world import Done, World, accepted, refused

from gitledger.ledger import Ledger
from gitledger.rules.transition import apply

pytestmark = pytest.mark.long

MADE = {"domains/alice/made.txt": b"made\n"}


@pytest.fixture(autouse=True)
def begun(world: World) -> None:
    world.begin(bureau.peopled)


@pytest.mark.parametrize("maker", ["builder", "ci"])
def test_what_is_made_waits_for_a_publisher_and_is_published_with_the_release(world: World, maker: str) -> None:
    oid = world.propose(world.alice, MADE, key=key(world, maker))
    role = {"builder": "a producer", "ci": "an executor"}[maker]
    assert f"it lacks a release (what {role} makes: 1 more of desk, laptop)" in said(oid.push)
    plan = world.emit()
    assert [verdict.error and verdict.error.rule for verdict in plan.waiting] == ["release-missing"]
    assert not plan.ready
    told = said(release(world, oid, "laptop"))
    assert f"laptop releases {oid[:12]}" in told and "it becomes common@4" in told
    assert [verdict.proposal.oid for verdict in world.emit().ready] == [oid]
    assert world.read("domains/alice/made.txt") == b"made\n"
    assert not [ref for ref in world.refs() if ref.startswith(("refs/releases/", "refs/proposals/"))]
    shown = Ledger.open(world.host)["common@4"]
    assert (shown.proposer, shown.releasers, shown.endorsers) == ("alice", ("laptop",), ())


def test_a_release_and_the_proposal_come_in_one_push(world: World) -> None:
    oid = world.propose(world.alice, MADE, key=key(world, "builder"), push=False)
    clone = world.clone(world.alice)
    tag = forge.release(clone / ".git", oid, key(world, "desk"))
    pushed = world.push(world.alice, clone, f"{oid}:refs/proposals/alice/t", f"{tag}:refs/releases/{oid}/desk")
    assert "as things stand it becomes common@4" in said(accepted(pushed))


def test_a_publisher_needs_no_release_of_its_own_and_nobody_adds_one(world: World) -> None:
    oid = world.propose(world.alice, MADE, key=key(world, "laptop"))
    assert "as things stand it becomes common@4" in said(oid.push)
    told = said(refused(release(world, oid, "desk", check=False), "release-does-not-count"))
    assert "nothing asks to release it" in told and "no publisher's release is asked for" in told
    world.emit()
    assert Ledger.open(world.host)[4].releasers == ()


def test_a_snapshot_carries_no_more_releases_than_are_asked_for(world: World) -> None:
    one = world.propose(world.alice, MADE, key=key(world, "builder"))
    both = world.propose(world.alice, {"domains/alice/releases/1": b"1\n"}, key=key(world, "builder"), topic="both")
    for oid in (one, both):
        release(world, oid, "laptop")
        release(world, oid, "desk")
    world.emit()
    assert [Ledger.open(world.host)[number].releasers for number in (4, 5)] == [("desk",), ("desk", "laptop")]


def test_a_rule_asks_once_however_many_paths_it_matches(world: World) -> None:
    names = [f"domains/alice/{where}/{number}" for where in ("pages", "releases") for number in range(50)]
    world.propose(world.alice, dict.fromkeys(names, b"1\n"), key=key(world, "builder"))
    (verdict,) = world.emit().waiting
    approvals = apply(world.place().verified.state, verdict.proposal).approvals
    assert [approval.count for approval in approvals] == [1, 2, 1]
    assert verdict.error is not None and verdict.error.what.count(" more of ") == 3


def withdrawal(world: World, oid: str, name: str) -> Done:
    bench = world.bench(world.alice)
    tag = forge.withdrawal(bench, oid, key(world, name), tagger=world.alice.ident)
    return world.offer(tag, f"refs/refusals/{oid}", by=world.alice)


def test_who_made_something_does_not_take_it_back_and_a_publisher_does(world: World) -> None:
    oid = world.propose(world.alice, MADE, key=key(world, "builder"))
    refused(withdrawal(world, oid, "builder"), "withdrawal-key")
    refused(withdrawal(world, oid, "root"), "withdrawal-key")
    accepted(withdrawal(world, oid, "laptop"))


def test_nor_where_its_domain_has_no_publisher(world: World) -> None:
    oid = world.propose(world.alice, MADE, key=key(world, "builder"))
    left = bureau.manifest(world, ["root", "builder"])
    world.propose(world.alice, {MANIFEST: left, PUBLISH: None}, topic="keys")
    assert world.emit().ready
    told = said(refused(withdrawal(world, oid, "builder"), "withdrawal-key"))
    assert "a key that has the role publisher (none does)" in told


def test_what_root_proposed_root_takes_back(world: World) -> None:
    oid = world.propose(world.alice, {PUBLISH: rules("{match: news/**}")})
    refused(withdrawal(world, oid, "laptop"), "withdrawal-key")
    accepted(withdrawal(world, oid, "root"))


def test_a_rule_asks_for_as_many_publishers_as_it_says_who_signed_or_released(world: World) -> None:
    oid = world.propose(world.alice, {"domains/alice/releases/1": b"1\n"}, key=key(world, "laptop"))
    assert "lacks a release (the rule releases/** of alice: 1 more of desk)" in said(oid.push)
    assert not world.emit().ready
    release(world, oid, "desk")
    assert [verdict.proposal.oid for verdict in world.emit().ready] == [oid]


def test_what_a_producer_makes_where_two_must_agree_needs_both(world: World) -> None:
    oid = world.propose(world.alice, {"domains/alice/releases/1": b"1\n"}, key=key(world, "builder"))
    assert "the rule releases/** of alice: 2 more of desk, laptop" in said(oid.push)
    assert "1 more of desk" in said(release(world, oid, "laptop"))
    release(world, oid, "desk")
    world.emit()
    assert Ledger.open(world.host)[4].releasers == ("desk", "laptop")


def test_what_two_agreed_on_is_not_taken_or_moved_away_by_one(world: World) -> None:
    path = "domains/alice/releases/1"
    oid = world.propose(world.alice, {path: b"1\n"}, key=key(world, "laptop"))
    release(world, oid, "desk")
    world.emit()
    for name, changes in (("gone", {path: None}), ("moved", {path: None, "domains/alice/1": b"1\n"})):
        told = said(world.propose(world.alice, changes, key=key(world, "laptop"), topic=name).push)
        assert "the rule releases/** of alice: 1 more of desk" in told
    assert not world.emit().ready


def test_where_a_rule_names_another_key_a_publisher_needs_its_release(world: World) -> None:
    oid = world.propose(world.alice, {"domains/alice/pages/1": b"1\n"}, key=key(world, "laptop"))
    assert "the rule pages/** of alice: 1 more of desk" in said(oid.push)
    twin = world.propose(world.alice, {"domains/alice/pages/2": b"2\n"}, key=key(world, "desk"), topic="twin")
    assert [verdict.proposal.oid for verdict in world.emit().ready] == [twin]


def test_rules_are_roots_and_hold_for_what_waits_already(world: World) -> None:
    oid = world.propose(world.alice, {"domains/alice/news/1": b"1\n"}, key=key(world, "builder"))
    release(world, oid, "laptop")
    changed = world.propose(world.alice, {PUBLISH: rules("{match: news/**, keys: [desk]}")}, topic="rules")
    assert [verdict.proposal.oid for verdict in world.emit(changed).ready] == [changed]
    plan = world.emit()
    assert [verdict.error and verdict.error.rule for verdict in plan.waiting] == ["release-missing"]
    release(world, oid, "desk")
    assert [verdict.proposal.oid for verdict in world.emit().ready] == [oid]


def test_a_release_of_a_key_that_left_counts_no_more(world: World) -> None:
    oid = world.propose(world.alice, MADE, key=key(world, "builder"))
    release(world, oid, "laptop")
    left = [name for name in bureau.KEYS if name not in ("old", "laptop")]
    gone = world.propose(world.alice, {MANIFEST: bureau.manifest(world, left)}, topic="keys")
    assert [verdict.proposal.oid for verdict in world.emit(gone).ready] == [gone]
    assert [verdict.error and verdict.error.rule for verdict in world.emit().waiting] == ["release-missing"]


def mended(world: World) -> str:
    """What mends the one proposal that waits."""
    (verdict,) = world.emit().waiting
    assert verdict.error is not None and verdict.error.rule == "release-missing"
    return verdict.error.mend


def test_what_nobody_is_left_to_release_is_mended_in_the_rules_or_the_manifest(world: World) -> None:
    world.propose(world.alice, {"domains/alice/releases/1": b"1\n"}, key=key(world, "laptop"))
    assert mended(world).startswith("gitledger release PROPOSAL")
    without_desk = [name for name in bureau.KEYS if name not in ("old", "desk")]
    gone = world.propose(world.alice, {MANIFEST: bureau.manifest(world, without_desk)}, topic="keys")
    assert world.emit(gone).ready
    assert mended(world).startswith(f"have a root key change {PUBLISH}:")
    world.propose(world.alice, {PUBLISH: None}, topic="rules")
    assert len([*world.emit().ready, *world.emit().ready]) == 2
    world.propose(world.alice, MADE, key=key(world, "builder"))
    gone = world.propose(world.alice, {MANIFEST: bureau.manifest(world, ["root", "builder"])}, topic="keys")
    assert world.emit(gone).ready
    assert mended(world).startswith(f"have a root key change {MANIFEST}:")


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("{match: news/**, keys: [nobody]}", "publish-key"),
        ("{match: news/**, keys: []}", "too-many-approvals"),
        ("{match: news/**, approvals: 4}", "too-many-approvals"),
        ("{match: news/**, keys: [builder]}", "publish-key"),
        ("{match: news/**, keys: [desk], approvals: 2}", "too-many-approvals"),
        ("{match: news//x}", "match-pattern"),
        ("{match: news/**, key: [desk]}", "unknown-field"),
    ],
)
def test_rules_that_could_never_be_met_or_read_are_refused(world: World, line: str, rule: str) -> None:
    push = world.propose(world.alice, {PUBLISH: rules(line)}, check=False).push
    assert push is not None
    assert PUBLISH in said(refused(push, rule))


def test_root_takes_the_rules_away(world: World) -> None:
    world.propose(world.alice, {PUBLISH: None})
    world.emit()
    oid = world.propose(world.alice, {"domains/alice/pages/1": b"1\n"}, key=key(world, "laptop"))
    assert [verdict.proposal.oid for verdict in world.emit().ready] == [oid]


ROLES = {
    "root": ("domains/alice/x", "publisher", "has root", ("desk", "laptop")),
    "reader": ("domains/alice/x", "publisher", "has auditor", ("desk", "laptop")),
    "builder": ("shared/x", "publisher", "has producer", ("desk", "laptop")),
    "ci": ("ledger/policy.yaml", "publisher", "has executor", ("desk", "laptop")),
    "laptop": (PUBLISH, "root", "has publisher", ("root",)),
    "desk": (MANIFEST, "root", "has publisher", ("root",)),
}


@pytest.mark.parametrize("name", ROLES)
def test_who_lacks_a_role_is_told_which_and_the_keys_that_have_it(world: World, name: str) -> None:
    path, role, has, holders = ROLES[name]
    content = world.read(path) + b"# more\n" if path in (PUBLISH, MANIFEST, "ledger/policy.yaml") else b"x\n"
    push = world.propose(world.alice, {path: content}, key=key(world, name), check=False).push
    assert push is not None
    told = said(refused(push, "role-missing"))
    assert f"this needs the role {role} of alice" in told and has in told
    for holder in holders:
        assert f"{holder} ({forge.key_id(key(world, holder))})" in told
