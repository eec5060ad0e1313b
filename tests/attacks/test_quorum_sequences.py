"""Sequences of policy changes and rotations, each step a real push: who signed, and what comes of it (spec 6, 7, 8).

A step that is refused changes nothing on the host, so that the steps after it show that the rest still holds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import forge
import pytest
from world import KEYS, Done, Person, World, accepted, refused

pytestmark = pytest.mark.long

NAMES = ("alice", "james", "you", "spare-1", "spare-4", "spare-3")


class Stage:
    """A host with six domains; its branch is moved by raw snapshots, whatever gitledger itself would emit."""

    def __init__(self, world: World, first: Policy) -> None:
        self.world = world
        keys = {name: world.person(name).key for name in first.authorities.split()}
        policy = forge.policy_file(keys, threshold=first.threshold, **first.more)
        world.make_host(policy, members=NAMES)
        self.witness: Person | _Second = world.you
        self.tips = [world.tip]

    def key(self, name: str) -> forge.Key:
        """The key of a name in the table: `alice`, or `alice-2`, which is another of Alice's."""
        return self.world.key(name) if name.endswith("-2") else self.world.person(name).key

    def number(self, proposal: str, endorsements: list[str]) -> Done:
        """Push the snapshot that accepts `proposal` with these endorsements in it, whether or not they suffice."""
        world, bench = self.world, self.world.bench()
        tags = [forge.read_object(bench, tag) for tag in endorsements]
        snapshot = forge.snapshot(bench, world.tip, proposal, self.witness.key, mergetags=tags)
        return self.moved(world.offer(snapshot))

    def moved(self, done: Done) -> Done:
        if done.returncode == 0:
            self.tips.append(self.world.tip)
        return done


@dataclass(frozen=True)
class Policy:
    """A change of policy, proposed by `proposer`, or the first of `by`; endorsed by all of `by`."""

    authorities: str
    threshold: int
    by: str = ""
    rule: str = ""
    proposer: str = ""
    revision: int = 0
    more: Mapping[str, Any] = field(default_factory=dict)

    def play(self, stage: Stage) -> None:
        world, bench = stage.world, stage.world.bench()
        held = forge.document(bench, forge.files(bench, world.tip), "ledger/policy.yaml")
        keys = {name.removesuffix("-2"): stage.key(name) for name in self.authorities.split()}
        revision = self.revision or int(held["revision"]) + 1
        policy = forge.policy_file(keys, threshold=self.threshold, revision=revision, **self.more)
        if not keys:
            policy = policy.replace(b"  authorities:\n", b"  authorities: []\n")
        proposer = self.proposer or self.by.split()[0].removesuffix("-2")
        proposal = forge.proposal(bench, world.tip, {"ledger/policy.yaml": policy}, world.person(proposer).key)
        tags = [forge.endorsement(bench, proposal, stage.key(name)) for name in sorted(self.by.split())]
        done = stage.number(proposal, tags)
        refused(done, self.rule) if self.rule else accepted(done)


@dataclass(frozen=True)
class Keys:
    """A domain gives itself a second key, publisher too, which consents."""

    domain: str

    def play(self, stage: Stage) -> None:
        world, bench = stage.world, stage.world.bench()
        person, second = world.person(self.domain), stage.key(f"{self.domain}-2")
        manifest = forge.manifest_file(
            self.domain,
            forge.Entry("root", person.key, ("root", "publisher")),
            forge.Entry("second", second, ("publisher",), proof=forge.proof(second, world.anchor, self.domain)),
        )
        changes = {f"domains/{self.domain}/domain.yaml": manifest}
        accepted(stage.number(forge.proposal(bench, world.tip, changes, person.key), []))


@dataclass(frozen=True)
class Rotate:
    """The witness rotates to the key `to`, endorsed by all of `by`; sealed by that key. `altered` makes it wrong."""

    to: str
    by: str
    rule: str = ""
    on: int | None = None
    altered: Mapping[str, Any] = field(default_factory=dict)
    sealing: Mapping[str, Any] = field(default_factory=dict)
    entries: str = ""
    namespace: str = forge.ROTATION
    shift: str = ""

    def play(self, stage: Stage) -> None:
        world, bench = stage.world, stage.world.bench()
        previous = world.tip if self.on is None else stage.tips[self.on]
        to = self.to.removesuffix("-2")
        altered = {"new": (to, stage.key(self.to)), **self.altered}
        made = forge.rotation(bench, previous, altered["new"], **altered)
        if self.shift == "name":  # one after the other, the fields are the same bytes as before
            made = replace(made, snapshot=made.snapshot + "s", previous_hash=made.previous_hash.removeprefix("s"))
        hashed = made.hash
        if self.shift == "hash":  # and so is what is hashed, where nothing says how long each is
            hashed = hashlib.sha256("".join(made.endorsed).encode()).digest()
        entries = [
            forge.rotation_entry(hashed, name.removesuffix("-2"), stage.key(name), namespace=self.namespace)
            for name in (self.entries or " ".join(sorted(self.by.split()))).split()
        ]
        snapshot = forge.rotating(bench, world.tip, made.render(entries), stage.key(self.to), **self.sealing)
        done = stage.moved(world.offer(snapshot))
        if self.rule:
            refused(done, self.rule)
        else:
            accepted(done)
            stage.witness = Person(world, to) if to == self.to else _Second(world, to, stage.key(self.to))


@dataclass(frozen=True)
class _Second:
    """A witness that signs with another key than the one in its `~/.ssh`."""

    world: World
    name: str
    key: forge.Key


@dataclass(frozen=True)
class Publish:
    """The witness in office numbers a plain proposal; `by` is who signs as witness instead."""

    by: str = ""
    rule: str = ""

    def play(self, stage: Stage) -> None:
        world, bench = stage.world, stage.world.bench()
        number = len(stage.tips)
        proposal = forge.proposal(bench, world.tip, {f"shared/{number}.txt": b"x\n"}, world.alice.key)
        witness = stage.key(self.by) if self.by else stage.witness.key
        done = stage.moved(world.offer(forge.snapshot(bench, world.tip, proposal, witness)))
        refused(done, self.rule) if self.rule else accepted(done)


Step = Policy | Keys | Rotate | Publish

MISSING, JUNK = "endorsements-missing", "endorsement-does-not-count"
THREE = Policy("alice james you", 2)
REVOKED = forge.key_id(KEYS / "james")

SEQUENCES: dict[str, tuple[Policy, list[Step]]] = {
    "a full swap needs the old quorum and the new one": (
        THREE,
        [
            Policy("spare-1 spare-4 spare-3", 2, by="alice james", rule=MISSING),
            Policy("spare-1 spare-4 spare-3", 2, by="spare-1 spare-4 spare-3", rule=MISSING, proposer="alice"),
            Policy("spare-1 spare-4 spare-3", 2, by="alice james spare-1 spare-4", rule=MISSING),
            Policy("spare-1 spare-4 spare-3", 2, by="alice james spare-1 spare-4 spare-3"),
            Policy("alice james you", 2, by="alice james you", rule="not-an-authority"),
            Rotate("alice", by="alice james", rule=JUNK),
            Rotate("alice", by="spare-1 spare-4"),
        ],
    ),
    "one at a time, each who enters endorses": (
        THREE,
        [
            Policy("alice james spare-1", 2, by="alice james", rule=MISSING),
            Policy("alice james spare-1", 2, by="alice james spare-1"),
            Policy("alice spare-1 spare-4", 2, by="alice spare-1 spare-4"),
            Policy("spare-1 spare-4 spare-3", 2, by="alice spare-1 spare-4", rule=MISSING),
            Policy("spare-1 spare-4 spare-3", 2, by="spare-1 spare-4 spare-3"),
            Rotate("james", by="spare-1 spare-3"),
            Publish(),
        ],
    ),
    "a threshold goes up by the new count": (
        THREE,
        [
            Policy("alice james you", 3, by="alice james", rule=MISSING),
            Policy("alice james you", 3, by="alice james you"),
            Rotate("james", by="alice james", rule="quorum-missing"),
            Rotate("james", by="alice james you"),
        ],
    ),
    "a threshold goes down by the old count": (
        Policy("alice james you", 3),
        [
            Policy("alice james you", 2, by="alice james", rule=MISSING),
            Policy("alice james you", 2, by="alice james you"),
            Rotate("james", by="alice you"),
        ],
    ),
    "k-1 never suffices": (
        Policy("alice james you spare-1 spare-4", 3),
        [
            Rotate("james", by="alice james", rule="quorum-missing"),
            Policy("alice james you", 2, by="alice james", rule=MISSING),
            Rotate("james", by="alice james spare-1"),
        ],
    ),
    "nobody endorses nothing": (THREE, [Rotate("james", by="", rule="not-a-snapshot"), Publish()]),
    "the witness alone is no quorum, and no part of one that it does not belong to": (
        Policy("alice james", 2),
        [
            Rotate("spare-1", by="you", rule=JUNK),
            Rotate("spare-1", by="alice you", rule=JUNK),
            Rotate("spare-1", by="alice james"),
        ],
    ),
    "the old quorum alone makes no new policy": (
        Policy("alice james", 2),
        [
            Policy("alice spare-1", 2, by="alice james", rule=MISSING),
            Policy("alice spare-1", 2, by="alice james spare-1"),
        ],
    ),
    "the new quorum alone makes no new policy": (
        Policy("alice james", 2),
        [Policy("alice spare-1", 2, by="alice spare-1", rule=MISSING), Publish()],
    ),
    "a signature that does not count is no part of a snapshot": (
        THREE,
        [
            Policy("alice james", 2, by="alice james spare-1", rule=JUNK),
            Rotate("james", by="alice james spare-1", rule=JUNK),
            Rotate("james", by="alice james you"),
        ],
    ),
    "an authority changes its key with either of the two": (
        THREE,
        [
            Keys("alice"),
            Policy("alice-2 james you", 2, by="alice-2 james", rule=MISSING, proposer="alice"),
            Policy("alice-2 james you", 2, by="alice james"),
            Rotate("james", by="alice you", rule=JUNK),
            Rotate("james", by="alice-2 you"),
        ],
    ),
    "one domain is one voice whichever of its keys speaks": (
        THREE,
        [
            Keys("alice"),
            Policy("alice-2 james you", 2, by="alice-2 alice", rule="endorsement-order"),
            Policy("alice-2 james you", 2, by="james you"),
        ],
    ),
    "the last authority leaves only for another": (
        Policy("alice", 1),
        [
            Policy("", 1, by="alice", rule="document-form"),
            Policy("james", 1, by="alice", rule=MISSING),
            Policy("james", 1, by="alice james"),
            Rotate("alice", by="alice", rule=JUNK),
            Rotate("alice", by="james"),
        ],
    ),
    "a quorum that nobody could reach is refused": (
        THREE,
        [
            Policy("alice james you", 4, by="alice james you", rule="quorum-threshold"),
            Policy("alice james you", 1, by="alice james you", rule="quorum-threshold"),
            Policy(
                "alice james you",
                2,
                by="alice james you",
                more={"paths": ["{match: a/**, proposers: any, endorsements: 4}"]},
                rule="too-many-endorsements",
            ),
            Policy("alice james you-2", 2, by="alice james you", rule="key-not-active"),
        ],
    ),
    "a policy counts up by one": (
        THREE,
        [
            Policy("alice james you", 3, by="alice james", revision=1, rule="policy-revision"),
            Policy("alice james you", 2, by="alice james", revision=3, rule="policy-revision"),
            Policy("alice james you", 2, by="alice james", revision=2),
        ],
    ),
    "a revoked key is no witness": (
        THREE,
        [
            Policy("alice james you", 2, by="alice james", more={"revoked": [REVOKED]}),
            Rotate("james", by="alice you", rule="new-witness-revoked"),
            Rotate("alice", by="alice james"),
        ],
    ),
    "the key in office is revoked only after it has left": (
        THREE,
        [
            Rotate("james", by="alice you"),
            Policy("alice james you", 2, by="alice you", more={"revoked": [REVOKED]}, rule="witness-revoked"),
            Rotate("alice", by="alice you"),
            Policy("alice james you", 2, by="alice you", more={"revoked": [REVOKED]}),
            Rotate("james", by="alice you", rule="new-witness-revoked"),
        ],
    ),
    "nobody rotates to a domain that is not registered": (
        THREE,
        [
            Rotate("stranger", by="alice james", rule="key-not-active"),
            Rotate("james-2", by="alice james", rule="key-not-active"),
            Keys("james"),
            Rotate("james-2", by="alice james"),
            Publish(),
        ],
    ),
    "where the policy allows no rotation there is none": (
        Policy("alice james you", 2, more={"rotation_allowed": False}),
        [
            Rotate("james", by="alice james you", rule="rotation-not-allowed"),
            Policy("alice james you", 2, by="alice james"),
            Rotate("james", by="alice james"),
        ],
    ),
    "a rotation to the key in office changes nobody": (
        THREE,
        [
            Rotate("you", by="alice james"),
            Publish(),
            Publish(by="james", rule="wrong-witness"),
            Rotate("james", by="alice you"),
            Publish(),
        ],
    ),
    "a rotation is for one snapshot": (
        THREE,
        [
            Publish(),
            Rotate("james", by="alice james", on=0, rule="rotation-previous"),
            Rotate(
                "james", by="alice james", altered={"previous_hash": "sha256:" + "ab" * 32}, rule="rotation-previous"
            ),
            Rotate("james", by="alice james", altered={"number": 7}, rule="rotation-logseq"),
            Rotate("james", by="alice james"),
        ],
    ),
    "a rotation is for one ledger, one policy and one witness": (
        THREE,
        [
            Rotate("james", by="alice james", altered={"ledger": "sha256:" + "ab" * 32}, rule="rotation-ledger"),
            Rotate("james", by="alice james", altered={"policy_key": "sha256:" + "ab" * 32}, rule="rotation-policy"),
            Rotate("james", by="alice james", altered={"old": ("james", REVOKED)}, rule="rotation-old-witness"),
            Rotate("james", by="alice james", altered={"threshold": 1}, rule="rotation-threshold"),
            Rotate("james", by="alice", altered={"threshold": 1}, rule="rotation-threshold"),
            Rotate("james", by="alice james"),
        ],
    ),
    "an artifact has its name and its order": (
        THREE,
        [
            Rotate(
                "james",
                by="alice james",
                sealing={"path": f"ledger/rotations/{'ab' * 32}.yaml"},
                rule="artifact-missing",
            ),
            Rotate(
                "james",
                by="alice james",
                sealing={"path": f"ledger/rotations/{'ab' * 32}.yaml", "lines": {"Rotation": "sha256:" + "ab" * 32}},
                rule="artifact-name",
            ),
            Rotate("james", by="", entries="james alice", rule="endorsement-order"),
            Rotate("james", by="", entries="alice alice", rule="endorsement-order"),
            Rotate("james", by="alice james"),
        ],
    ),
    "fields that were shifted say something else": (
        THREE,
        [
            Rotate("james", by="alice james", shift="name", rule="snapshot-name"),
            Rotate("james", by="alice james", shift="hash", rule="bad-signature"),
            Rotate("james", by="alice james"),
        ],
    ),
    "a signature is for rotations alone": (
        THREE,
        [Rotate("james", by="alice james", namespace="git", rule="wrong-namespace"), Rotate("james", by="alice james")],
    ),
    "a former quorum is none": (
        THREE,
        [
            Policy("alice spare-1 spare-4", 2, by="alice james spare-1 spare-4"),
            Rotate("you", by="james you", rule=JUNK),
            Rotate("you", by="alice james", rule=JUNK),
            Rotate("james", by="spare-1 spare-4"),
        ],
    ),
    "away and back again": (
        THREE,
        [
            Rotate("james", by="alice you"),
            Publish(),
            Publish(by="you", rule="wrong-witness"),
            Rotate("you", by="alice james"),
            Publish(),
            Publish(by="james", rule="wrong-witness"),
        ],
    ),
}


@pytest.mark.parametrize("name", SEQUENCES)
def test_a_sequence_ends_as_its_quorums_say(world: World, name: str) -> None:
    first, steps = SEQUENCES[name]
    stage = Stage(world, first)
    for step in steps:
        step.play(stage)
