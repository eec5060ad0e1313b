"""Releases and rules of publishing that are made to cost: what nobody asked for, what is too much (spec 13)."""

from __future__ import annotations

import time
from collections.abc import Mapping

import bureau
import forge
import pytest
from bureau import MANIFEST, PUBLISH, key, rules
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from doors import Doors
from forge import Entry
from world import World, accepted

from gitledger.rules.rights import MATCHING
from gitledger.rules.support import CARRIED_BYTES

pytestmark = pytest.mark.long

MANY: Mapping[str, forge.Key] = {
    f"key-{n}": Ed25519PrivateKey.from_private_bytes(n.to_bytes(32, "big")) for n in range(10, 84)
}
LARGE = 60_000
"""The bytes of a release that says much: those of all these keys are more than a snapshot carries."""


def by_laptop(doors: Doors, *paths: str) -> str:
    return doors.proposal(doors.world.alice, dict.fromkeys(paths, b"x\n"), key=key(doors.world, "laptop"))


def released(doors: Doors, proposal: str, by: forge.Key, said: str = "") -> str:
    """A release that says more than it must."""
    message = f"Release it\n\n{said}\n\nReleases: {forge.hash_of(doors.bench, proposal)}\n"
    return forge.release(doors.bench, proposal, by, message=message)


def with_tags(doors: Doors, proposal: str, *tags: str) -> str:
    return doors.snapshot(proposal, mergetags=[forge.read_object(doors.bench, tag) for tag in tags])


@pytest.mark.parametrize("path", ["domains/alice/x", "shared/x"])
def test_a_release_that_nothing_asks_for_is_none(world: World, path: str) -> None:
    world.begin(bureau.peopled)
    doors = Doors(world)
    proposal = by_laptop(doors, path)
    doors.host_takes(proposal, "refs/proposals/alice/x")
    unasked = released(doors, proposal, key(world, "desk"))
    doors.host_refuses(unasked, "release-does-not-count", f"refs/releases/{proposal}/desk")
    doors.consumer_refuses(with_tags(doors, proposal, unasked), "release-does-not-count")
    doors.consumer_takes(with_tags(doors, proposal))
    # one that came past the hooks, as into a clone, is passed over
    forge.git(world.host, "fetch", "-q", str(doors.bench), unasked)
    forge.set_ref(world.host, f"refs/releases/{proposal}/desk", unasked)
    doors.emit()
    assert doors.trusted.commit.mergetags == ()


def test_whom_a_rule_does_not_name_does_not_release_what_it_matches(world: World) -> None:
    world.begin(bureau.peopled)
    doors = Doors(world)
    proposal = by_laptop(doors, "domains/alice/pages/x")
    doors.host_takes(proposal, "refs/proposals/alice/x")
    desk = released(doors, proposal, key(world, "desk"))
    doors.host_takes(desk, f"refs/releases/{proposal}/desk")
    laptop = released(doors, proposal, key(world, "laptop"))
    doors.host_refuses(laptop, "release-does-not-count", f"refs/releases/{proposal}/laptop")
    doors.consumer_refuses(with_tags(doors, proposal, desk, laptop), "release-does-not-count")
    doors.consumer_takes(with_tags(doors, proposal, desk))


def test_releases_that_no_snapshot_could_carry_keep_the_witness_from_nothing(world: World) -> None:
    world.make_host()
    ours = Entry("root", world.alice.key, ["root", "publisher"])
    named = [Entry(name, one, ["publisher"], forge.proof(one, world.anchor, "alice")) for name, one in MANY.items()]
    agreed = rules(f"{{match: agreed/**, approvals: {len(MANY) + 1}}}")
    world.propose(world.alice, {MANIFEST: forge.manifest_file("alice", ours, *named)})
    world.emit()
    world.propose(world.alice, {PUBLISH: agreed})
    world.emit()
    doors = Doors(world)
    proposal = doors.proposal(world.alice, {"domains/alice/agreed/x": b"x\n"})
    other = doors.proposal(world.james, {"domains/james/x": b"x\n"})
    brought = {"refs/proposals/alice/agreed": proposal, "refs/proposals/james/other": other}
    large = {name: released(doors, proposal, one, "x" * LARGE) for name, one in MANY.items()}
    assert sum(len(forge.read_object(doors.bench, tag)) for tag in large.values()) > CARRIED_BYTES
    accepted(doors.pushed(brought | {f"refs/releases/{proposal}/{name}": tag for name, tag in large.items()}))
    doors.consumer_refuses(with_tags(doors, proposal, *large.values()), "support-too-large")
    plan = world.emit()
    assert [verdict.proposal.oid for verdict in plan.ready] == [other]
    assert [verdict.error and verdict.error.rule for verdict in plan.waiting] == ["support-too-large"]
    short = {name: released(doors, proposal, MANY[name]) for name in list(MANY)[:10]}
    accepted(doors.pushed({f"refs/releases/{proposal}/{name}": tag for name, tag in short.items()}))
    assert [verdict.proposal.oid for verdict in world.emit().ready] == [proposal]


@pytest.mark.parametrize("form", ["**/*" + "a" * 120 + "b*{:02}", "**/" + "a*" * 13 + "{:02}b"])
def test_a_domain_s_own_rules_keep_nobody_busy(world: World, form: str) -> None:
    """A hundred rules as slow as can be, and as many paths that all but match as they may be held against."""
    world.begin(bureau.peopled)
    slow = [form.format(number) for number in range(100)]
    world.propose(world.alice, {PUBLISH: rules(*(f"{{match: '{one}'}}" for one in slow))})
    assert world.emit().ready
    doors = Doors(world)
    name = "a" * 246
    paths = [f"{number}{'/a' * 123}/{name}/{name}" for number in range(100, 1000)]
    most = MATCHING // sum(map(len, slow)) // len(paths[0])
    for count, rule in ((most, ""), (most + 1, "too-much-matching")):
        proposal = by_laptop(doors, *(f"domains/alice/{path}" for path in paths[:count]))
        snapshot = doors.snapshot(proposal)
        began = time.process_time()
        if rule:
            doors.consumer_refuses(snapshot, rule)
            doors.host_refuses(proposal, rule, "refs/proposals/alice/many")
        else:
            doors.consumer_takes(snapshot)
        assert time.process_time() - began < 5
