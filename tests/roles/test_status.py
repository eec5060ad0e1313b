"""How the ledger stands, for a reader, a proposer and the witness: as the host would say it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import forge
import pytest
from mirror import NOW, Mirror
from world import Person, World

from gitledger.errors import Refused, Wanting
from gitledger.roles import consumer, hold
from gitledger.roles.place import Place
from gitledger.roles.status import Status, status


@pytest.fixture
def clone(world: World, tmp_path: Path) -> Path:
    path = tmp_path / "clone"
    with world.acting(world.alice):
        consumer.clone(str(world.host), path, world.anchor, now=world.now)
    return path


def seen(world: World, clone: Path, person: Person | None) -> Status:
    """What `gitledger fetch` and `gitledger status` show to somebody, or to one without a key."""
    with world.acting(person or world.stranger):
        consumer.fetch(Place.open(clone), now=world.now)
        return status(Place.open(clone), person.key_id if person else None)


def test_a_reader_sees_where_the_checkout_is_and_how_far_the_line_goes(world: World, clone: Path) -> None:
    world.propose(world.alice, {"domains/alice/a": "a\n"})
    world.emit()
    told = seen(world, clone, None)
    assert (told.name, told.newest, told.pinned, told.branch) == ("common", "common@1", "common@0", "")
    assert told.witness == ("you", world.you.key_id)
    assert told.read_only
    assert told.behind
    assert (told.own, told.duty, told.retired, told.stale) == ((), None, False, ())
    assert [(one.remote, one.number) for one in told.remotes] == [("origin", 1)]
    consumer.pin(Place.open(clone), "common@1")
    assert not seen(world, clone, None).behind


def test_a_branch_of_ones_own_is_no_pin(world: World, clone: Path) -> None:
    subprocess.run(["git", "switch", "-q", "-c", "alice/fix"], cwd=clone, check=True)
    told = seen(world, clone, None)
    assert (told.pinned, told.branch, told.behind) == ("", "alice/fix", False)


def test_a_proposer_sees_each_own_proposal_and_nobody_elses(world: World, clone: Path) -> None:
    ready = world.propose(world.alice, {"domains/alice/a": "a\n"}, topic="a")
    waits = world.propose(world.alice, {"ledger/policy.yaml": _revised(world)}, topic="b")
    world.propose(world.james, {"domains/james/a": "a\n"}, topic="c")
    told = seen(world, clone, world.alice)
    assert told.domain == "alice"
    assert [(one.ref, one.proposal.oid if one.proposal else "", one.standing, one.number) for one in told.own] == [
        ("refs/proposals/alice/a", ready, "ready", 1),
        ("refs/proposals/alice/b", waits, "waits", 0),
    ]
    assert isinstance(told.own[1].error, Wanting)
    assert "james" in told.own[1].error.what


def test_a_proposal_that_cannot_come_any_more_is_refused_with_its_mend(world: World, clone: Path) -> None:
    late = world.propose(world.alice, {"shared/x": "alice\n"}, topic="late", base=0)
    world.propose(world.james, {"shared/x": "james\n"}, topic="first", base=0)
    first = world.refs()["refs/proposals/james/first"]
    world.emit(first)
    told = seen(world, clone, world.alice)
    assert [(one.proposal.oid if one.proposal else "", one.standing) for one in told.own] == [(late, "refused")]
    error = told.own[0].error
    assert isinstance(error, Refused)
    assert error.rule == "path-changed-since"
    assert "rebase" in error.mend


def test_a_refusal_is_told_with_its_mend_once_the_proposal_has_left_the_queue(world: World, clone: Path) -> None:
    late = world.propose(world.alice, {"shared/x": "alice\n"}, topic="late", base=0)
    world.propose(world.james, {"shared/x": "james\n"}, topic="first", base=0)
    world.emit(world.refs()["refs/proposals/james/first"])
    world.emit()
    assert "refs/proposals/alice/late" not in world.refs()
    told = seen(world, clone, world.alice)
    assert [(one.ref, one.proposal.oid if one.proposal else "", one.standing) for one in told.own] == [
        ("", late, "refused")
    ]
    error = told.own[0].error
    assert error is not None
    assert (error.rule, "common@1" in error.what, "rebase" in error.mend) == ("path-changed-since", True, True)
    assert seen(world, clone, world.james).own == ()


def test_what_a_stranger_puts_in_place_of_a_refusal_says_nothing(world: World, clone: Path) -> None:
    oid = world.propose(world.alice, {"domains/alice/a": "a\n"})
    bench = world.bench()
    fake = forge.refusal(bench, oid, world.stranger.key, at="common@0", reason="because I say so")
    forge.git(bench, "push", "-q", str(clone), f"{fake}:refs/gitledger/incoming/origin/refusals/{oid}")
    with world.acting(world.alice):
        place = Place.open(clone)
        assert status(place, world.alice.key_id).own == ()
    assert [one.standing for one in seen(world, clone, world.alice).own] == ["ready"]


def test_the_witness_sees_what_an_emission_would_do(world: World, clone: Path) -> None:
    world.propose(world.alice, {"domains/alice/a": "a\n"}, topic="a")
    world.propose(world.alice, {"ledger/policy.yaml": _revised(world)}, topic="b")
    told = seen(world, clone, world.you)
    assert told.duty is not None
    assert told.duty.plan is not None
    plan = told.duty.plan
    assert (len(plan.ready), len(plan.waiting), len(plan.refused), plan.unpublished) == (1, 1, 0, ())
    assert seen(world, clone, world.alice).duty is None


def test_on_the_host_it_tells_the_same(world: World) -> None:
    world.propose(world.alice, {"domains/alice/a": "a\n"})
    with world.acting(world.you):
        told = status(world.place(), world.you.key_id)
    assert (told.role, told.newest, told.pinned, told.remotes) == ("host", "common@0", "", ())
    assert told.duty is not None
    assert told.duty.plan is not None
    assert len(told.duty.plan.ready) == 1


def test_what_keeps_the_witness_from_emitting_is_said(world: World, clone: Path) -> None:
    world.propose(world.alice, {"domains/alice/a": "a\n"})
    world.emit()
    forge.set_ref(world.host, "refs/tags/common@1", None)
    with world.acting(world.you):
        told = status(Place.open(clone), world.you.key_id)  # not fetched: this machine published more than it has
    assert told.duty is not None
    assert told.duty.error is not None
    assert told.duty.error.rule == "host-forgot"


def test_a_machine_that_emitted_for_another_key_may_be_switched_off(world: World, clone: Path) -> None:
    assert not seen(world, clone, world.you).retired
    world.rotate(world.james, [world.alice, world.james])
    world.emit(by=world.james)
    assert seen(world, clone, world.you).retired
    assert not seen(world, clone, world.james).retired


def test_a_witness_that_came_by_a_rotation_is_told_with_the_snapshot_that_sealed_it(world: World, clone: Path) -> None:
    assert seen(world, clone, None).rotated == ""
    world.rotate(world.james, [world.alice, world.james])
    world.emit(by=world.james)
    told = seen(world, clone, None)
    assert (told.rotated, told.witness, told.rotations) == ("common@1", ("james", world.james.key_id), ())


def test_a_rotation_that_waits_says_to_each_what_is_up_to_them(world: World, clone: Path) -> None:
    world.rotate(world.james, [world.alice])
    for person, yours in ((world.alice, False), (world.james, True), (world.you, True), (None, False)):
        told = seen(world, clone, person)
        assert [(one.waiting.new[0], one.count, one.yours, one.seals) for one in told.rotations] == [
            ("james", (1, 2), yours, False)
        ]
    assert seen(world, clone, world.james).duty is None
    world.rotate(world.james, [world.james], draft=False)
    told = seen(world, clone, world.james)
    assert [(one.waiting.complete, one.yours, one.seals) for one in told.rotations] == [(True, False, True)]
    assert told.rotations[0].until > 0
    assert told.duty is not None and told.duty.plan is not None and told.duty.plan.sealing is not None
    told = seen(world, clone, world.you)
    assert not told.rotations[0].yours and not told.rotations[0].seals
    assert told.duty is not None and told.duty.error is not None
    assert told.duty.error.rule == "rotation-waits"


def test_a_rotation_that_has_become_stale_is_not_told(world: World, clone: Path) -> None:
    world.rotate(world.james, [world.alice])
    world.propose(world.alice, {"domains/alice/a": "a\n"})
    world.emit()
    assert seen(world, clone, world.james).rotations == ()


@pytest.mark.parametrize(
    ("grace", "after", "quiet"),
    [
        ("30d", 30 * 86400, None),
        ("30d", 37 * 86400 + 5, (37, 30, "days")),
        ("36h", 50 * 3600 + 5, (50, 36, "hours")),
        ("1d", 86400 + 1, (1, 1, "days")),
    ],
)
def test_a_silence_longer_than_the_grace_period_is_told(
    world: World, grace: str, after: int, quiet: tuple[int, int, str] | None
) -> None:
    world.make_host(grace=grace)
    place = world.place()
    told = status(place, world.alice.key_id, now=place.verified.seconds + after)
    assert (told.quiet.told if told.quiet else None) == quiet
    if told.quiet:
        assert told.quiet.yours and told.quiet.may_rotate
        nobody = status(place, world.stranger.key_id, now=place.verified.seconds + after)
        assert nobody.quiet and not nobody.quiet.yours


def test_a_host_that_is_frozen_says_so_until_it_is_thawed(world: World) -> None:
    place = world.place()
    now = place.verified.seconds
    hold.freeze(place, 86400, now)
    assert status(place, None, now=now + 5).frozen == hold.Frozen(now, now + 86400)
    assert status(place, None, now=now + 86400).frozen is None
    hold.thaw(place)
    assert status(place, None, now=now + 5).frozen is None


def test_a_stale_mirror_and_an_unverified_one_are_named(tmp_path: Path) -> None:
    mirror = Mirror(tmp_path / "mirror.git")
    mirror.grow(2)
    place = consumer.clone(str(mirror.path), tmp_path / "clone", mirror.anchor, now=NOW)
    mirror.show(mirror.snapshots[1])
    consumer.fetch(place, now=NOW)
    told = status(Place.open(tmp_path / "clone"), None)
    assert [(one.remote, one.number) for one in told.stale] == [("origin", 1)]
    mirror.grow()
    subprocess.run(["git", "fetch", "-q"], cwd=tmp_path / "clone", check=True)
    told = status(Place.open(tmp_path / "clone"), None)
    assert [(one.remote, one.number, one.stale) for one in told.remotes] == [("origin", None, False)]


def _revised(world: World) -> bytes:
    return world.read("ledger/policy.yaml").replace(b"revision: 1", b"revision: 2")
