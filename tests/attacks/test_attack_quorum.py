"""Quorums: what counts as an endorsement, how many there must be, and which policies could not hold (spec 3.1, 6)."""

from __future__ import annotations

from collections.abc import Callable

import forge
import pytest
from doors import Doors, Thrown
from forge import Entry
from world import Templates, World

from gitledger.errors import LedgerError
from gitledger.objects.store import Store
from gitledger.rules import advance

POLICY = "ledger/policy.yaml"
MANIFEST = "domains/alice/domain.yaml"
RULES = ("{match: standards/**, proposers: any, endorsements: 2}",)
NONE = ("{match: shared/**, proposers: any}",)


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory, templates: Templates) -> Doors:
    """You, alice and james are the authorities, two of them a quorum; alice has a second key; stranger is a member."""
    world = World(tmp_path_factory.mktemp("quorum"), templates)
    world.make_host(members=("you", "alice", "james", "stranger"), authorities=("you", "alice", "james"), paths=RULES)
    second = world.key("alice-2")
    entry = Entry("laptop", second, proof=forge.proof(second, world.anchor, "alice"))
    world.propose(world.alice, {MANIFEST: world.read(MANIFEST) + entry.render().encode()}, "A second key")
    world.emit()
    return Doors(world)


def policy(doors: Doors, *authorities: str, threshold: int | None = None, revision: int = 2) -> bytes:
    """A policy with these authorities; `alice-2` is alice with her second key."""
    who = {name.removesuffix("-2"): doors.world.key(name) for name in authorities or ("you", "alice", "james")}
    return forge.policy_file(who, threshold=threshold, revision=revision, paths=NONE if len(who) == 1 else RULES)


def change(doors: Doors, *authorities: str, threshold: int | None = None) -> str:
    """Alice proposes a policy."""
    return doors.proposal(doors.world.alice, {POLICY: policy(doors, *authorities, threshold=threshold)})


# Counting


Tags = Callable[[Doors, str], list[str]]


def by(*keys: str) -> Tags:
    """Endorsements with these keys, in this order."""
    return lambda doors, proposal: [
        doors.endorsement(doors.world.you, proposal, key=doors.world.key(name)) for name in keys
    ]


def sealed(doors: Doors, proposal: str, tags: list[str]) -> str:
    """The snapshot of a witness who carries whatever tags it has, in the order in which it has them."""
    return doors.snapshot(proposal, mergetags=[forge.read_object(doors.bench, tag) for tag in tags])


COUNTS: dict[str, tuple[str, Tags]] = {
    "nobody, though an authority proposes and the witness signs": ("endorsements-missing", by()),
    "one less than the quorum": ("endorsements-missing", by("james")),
    "the proposer alone": ("endorsements-missing", by("alice")),
    "one key twice": ("endorsement-order", by("james", "james")),
    "one tag twice": ("endorsement-order", lambda doors, one: by("james")(doors, one) * 2),
    "two in the wrong order": ("endorsement-order", by("james", "alice")),
    "a quorum and one of its tags again": ("endorsement-order", by("alice", "james", "james")),
    "one authority and a key that it has besides": ("endorsement-does-not-count", by("alice", "alice-2")),
    "one authority and a member who is none": ("endorsement-does-not-count", by("james", "stranger")),
    "a quorum and a member who is no authority": ("endorsement-does-not-count", by("alice", "james", "stranger")),
    "one authority and a key that nobody knows": ("endorsement-does-not-count", by("james", "spare-1")),
}


@pytest.mark.parametrize(("rule", "tags"), COUNTS.values(), ids=COUNTS)
def test_a_quorum_is_not(doors: Doors, rule: str, tags: Tags) -> None:
    proposal = change(doors)
    snapshot = sealed(doors, proposal, tags(doors, proposal))
    doors.host_refuses(snapshot, rule)
    doors.consumer_refuses(snapshot, rule)


@pytest.mark.parametrize("names", [("alice", "james"), ("james", "you"), ("alice", "james", "you")], ids=" and ".join)
def test_a_quorum_is(doors: Doors, names: tuple[str, ...]) -> None:
    proposal = change(doors)
    doors.consumer_takes(sealed(doors, proposal, by(*names)(doors, proposal)))


def test_a_host_takes_what_a_quorum_endorsed(world: World) -> None:
    doors = Doors(world)
    proposal = doors.proposal(
        world.alice,
        {POLICY: forge.policy_file({one.domain: one.key for one in (world.you, world.alice, world.james)}, revision=2)},
    )
    tags = by("alice", "james")(doors, proposal)
    doors.host_refuses(sealed(doors, proposal, tags[:1]), "endorsements-missing")
    doors.host_takes(sealed(doors, proposal, tags))


def test_what_a_path_rule_asks_for_is_counted_as_well(doors: Doors) -> None:
    proposal = doors.proposal(doors.world.alice, {"standards/one.txt": b"one\n"})
    for names in ((), ("james",)):
        few = sealed(doors, proposal, by(*names)(doors, proposal))
        doors.host_refuses(few, "endorsements-missing")
        doors.consumer_refuses(few, "endorsements-missing")
    doors.consumer_takes(sealed(doors, proposal, by("james", "you")(doors, proposal)))


# One quorum gives way to another

# the new authorities and threshold, those who endorse too few, and those who do
CHANGES: dict[str, tuple[tuple[str, ...], int | None, str, tuple[str, ...], tuple[str, ...]]] = {
    "one domain twice, with its old key and its new one": (
        ("you", "alice-2", "james"),
        None,
        "endorsement-order",
        ("alice", "alice-2"),
        ("alice", "james"),
    ),
    "an old quorum that a new key would make up": (
        ("you", "alice-2", "james"),
        None,
        "endorsements-missing",
        ("alice-2", "james"),
        ("alice", "james"),
    ),
    "an old quorum without a new one": (
        ("you", "alice", "james", "stranger"),
        None,
        "endorsements-missing",
        ("james", "stranger"),
        ("alice", "james", "stranger"),
    ),
    "a new quorum without an old one": (("alice",), None, "endorsements-missing", ("alice",), ("alice", "james")),
    "an old quorum of those who leave": (("alice",), None, "endorsements-missing", ("james", "you"), ("alice", "you")),
    "a new threshold that is not reached": (
        (),
        3,
        "endorsements-missing",
        ("alice", "james"),
        ("alice", "james", "you"),
    ),
}


@pytest.mark.parametrize("case", CHANGES)
def test_a_policy_does_not_change_by(doors: Doors, case: str) -> None:
    authorities, threshold, rule, few, enough = CHANGES[case]
    proposal = change(doors, *authorities, threshold=threshold)
    snapshot = sealed(doors, proposal, by(*few)(doors, proposal))
    doors.host_refuses(snapshot, rule)
    doors.consumer_refuses(snapshot, rule)
    doors.consumer_takes(sealed(doors, proposal, by(*enough)(doors, proposal)))


# An endorsement

TagOf = Callable[[Doors, str], str]


def other(doors: Doors) -> str:
    """Another proposal, which james may well have endorsed."""
    return doors.proposal(doors.world.alice, {"domains/alice/other.txt": b"other\n"})


def james(**options: object) -> TagOf:
    return lambda doors, proposal: doors.endorsement(doors.world.james, proposal, **options)


def saying(*lines: str) -> TagOf:
    """An endorsement by james whose message has these lines for its last paragraph."""

    def tag(doors: Doors, proposal: str) -> str:
        hashes = {"this": forge.hash_of(doors.bench, proposal), "other": forge.hash_of(doors.bench, other(doors))}
        return james(message="Endorse\n\n" + "".join(f"{line.format(**hashes)}\n" for line in lines))(doors, proposal)

    return tag


TAGS: dict[str, tuple[str, TagOf]] = {
    "of another proposal": ("tag-object", lambda doors, one: james()(doors, other(doors))),
    "of another proposal under this one's name": (
        "tag-object",
        lambda doors, one: james(name=f"endorse/{one}", hash=forge.hash_of(doors.bench, one))(doors, other(doors)),
    ),
    "of this proposal under another one's name": (
        "tag-object",
        lambda doors, one: james(name=f"endorse/{other(doors)}")(doors, one),
    ),
    "with another proposal's hash": ("tag-proposal-hash", saying("Endorses: {other}")),
    "with both hashes": ("tag-trailer", saying("Endorses: {this}", "Endorses: {other}")),
    "with one hash twice": ("tag-trailer", saying("Endorses: {this}", "Endorses: {this}")),
    "without a hash": ("tag-trailer", saying("Looks good")),
    "whose hash stands further up": ("tag-trailer", saying("Endorses: {this}", "", "Looks good")),
    "that is a withdrawal": (
        "tag-object",
        lambda doors, one: forge.withdrawal(doors.bench, one, doors.world.james.key),
    ),
    "that is not signed": ("unsigned", james(signature=b"")),
    "that was signed for something else": ("wrong-namespace", james(namespace="asl.common.witness-rotation")),
    "that is S + L": ("non-canonical-scalar", james(twist=forge.plus_order)),
    "signed by one who names another's key": (
        "bad-signature",
        lambda doors, one: doors.endorsement(doors.world.stranger, one, public=forge.blob(doors.world.james.key)),
    ),
    "with armour in lines of 76": ("signature-armour", james(width=76)),
    "with text after its signature": ("signature-armour", james(after=b"Endorses: all\n")),
    "with two signatures": (
        "tag-armour",
        lambda doors, one: saying("Endorses: {this}", forge.sshsig(doors.world.james.key, b"x").decode())(doors, one),
    ),
    "on a tree": (
        "tag-type",
        lambda doors, one: forge.tag(
            doors.bench,
            forge.git(doors.bench, "rev-parse", f"{one}^{{tree}}").decode().strip(),
            f"endorse/{one}",
            f"Endorse\n\nEndorses: {forge.hash_of(doors.bench, one)}\n",
            doors.world.james.key,
            kind="tree",
        ),
    ),
    "with a header of its own": ("header-unknown", james(extra=b"quorum all\n")),
    "by a member who is no authority": (
        "endorsement-does-not-count",
        lambda doors, one: doors.endorsement(doors.world.stranger, one),
    ),
    "by an authority with a key that it has besides": (
        "endorsement-does-not-count",
        lambda doors, one: doors.endorsement(doors.world.alice, one, key=doors.world.key("alice-2")),
    ),
}


@pytest.mark.parametrize("name", TAGS)
def test_an_endorsement_does_not_count(thrown: Thrown, name: str) -> None:
    thrown.refused(name, TAGS[name][0])


def test_an_endorsement_counts_under_its_own_domain_alone(doors: Doors) -> None:
    """James can't make two domains of himself, nor can anybody carry his tag to another proposal's place."""
    first = change(doors)
    second = doors.proposal(doors.world.alice, {"standards/two.txt": b"two\n"})
    tag = doors.endorsement(doors.world.james, first)
    proposals = {"refs/proposals/alice/first": first, "refs/proposals/alice/second": second}
    for place, rule in (
        (f"refs/endorsements/{first}/alice", "endorsement-domain"),
        (f"refs/endorsements/{first}/nobody", "endorsement-domain"),
        (f"refs/endorsements/{second}/james", "tag-object"),
        (f"refs/endorsements/{'0' * 39}1/james", "not-waiting"),
    ):
        assert f"[{rule}]" in doors.verdicts({**proposals, place: tag})[place]
    assert not doors.pushed({**proposals, f"refs/endorsements/{first}/james": tag}).returncode


# Policies that could not hold

QUORUM = b"quorum_threshold: 2\n"
JAMES = "{domain_id: james, pubkey_id: "

POLICIES: dict[str, tuple[str, Callable[[Doors, bytes], bytes]]] = {
    "a threshold of 0": ("document-form", lambda doors, it: it.replace(QUORUM, b"quorum_threshold: 0\n")),
    "a threshold of 1 of 3": ("quorum-threshold", lambda doors, it: it.replace(QUORUM, b"quorum_threshold: 1\n")),
    "a threshold of 4 of 3": ("quorum-threshold", lambda doors, it: it.replace(QUORUM, b"quorum_threshold: 4\n")),
    "a threshold of true": ("document-form", lambda doors, it: it.replace(QUORUM, b"quorum_threshold: true\n")),
    "a threshold in quotes": ("document-form", lambda doors, it: it.replace(QUORUM, b'quorum_threshold: "2"\n')),
    "a threshold of 02": ("document-form", lambda doors, it: it.replace(QUORUM, b"quorum_threshold: 02\n")),
    "a threshold of 2.0": ("document-form", lambda doors, it: it.replace(QUORUM, b"quorum_threshold: 2.0\n")),
    "a threshold of -2": ("yaml-plain", lambda doors, it: it.replace(QUORUM, b"quorum_threshold: -2\n")),
    "no threshold": ("missing-key", lambda doors, it: it.replace(QUORUM, b"#\n")),
    "two thresholds": ("yaml-duplicate-key", lambda doors, it: it.replace(QUORUM, QUORUM + b"  " + QUORUM)),
    "half of its authorities for a quorum": (
        "quorum-threshold",
        lambda doors, it: it.replace(
            b"    - " + JAMES.encode(),
            b"    - "
            + b"{domain_id: stranger, pubkey_id: "
            + doors.world.stranger.key_id.encode()
            + b"}\n    - "
            + JAMES.encode(),
        ),
    ),
    "one key for two domains": (
        "authority-twice",
        lambda doors, it: it.replace(doors.world.james.key_id.encode(), doors.world.alice.key_id.encode()),
    ),
    "one domain twice": (
        "authority-twice",
        lambda doors, it: it.replace(b"{domain_id: james", b"{domain_id: alice"),
    ),
    "an authority without a key": (
        "missing-key",
        lambda doors, it: it.replace(f", pubkey_id: {doors.world.james.key_id}".encode(), b""),
    ),
    "an authority with an empty key": (
        "key-id",
        lambda doors, it: it.replace(doors.world.james.key_id.encode(), b'""'),
    ),
    "an authority with a key that nobody has": (
        "key-not-active",
        lambda doors, it: it.replace(
            doors.world.james.key_id.encode(), forge.key_id(doors.world.key("spare-1")).encode()
        ),
    ),
    "an authority with another domain's key": (
        "key-not-active",
        lambda doors, it: it.replace(doors.world.james.key_id.encode(), doors.world.stranger.key_id.encode()),
    ),
    "an authority that is not registered": (
        "key-not-active",
        lambda doors, it: it.replace(b"{domain_id: james", b"{domain_id: nobody"),
    ),
    "no authorities": (
        "document-form",
        lambda doors, it: b"".join(line for line in it.splitlines(keepends=True) if b"domain_id" not in line).replace(
            b"authorities:\n", b"authorities: []\n"
        ),
    ),
    "the witness among the revoked": (
        "witness-revoked",
        lambda doors, it: it.replace(b"revoked: []", f"revoked: [{doors.world.you.key_id}]".encode()),
    ),
}


@pytest.mark.parametrize("name", POLICIES)
def test_no_policy_has(thrown: Thrown, name: str) -> None:
    thrown.refused(name, POLICIES[name][0])


@pytest.mark.parametrize("name", POLICIES)
def test_no_ledger_begins_with(doors: Doors, name: str) -> None:
    people = {one: doors.world.key(one) for one in ("you", "alice", "james", "stranger")}
    rule, spoil = POLICIES[name]

    def founded(content: bytes) -> None:
        oid = forge.genesis(doors.bench, people, policy=content)
        advance.genesis(Store.open(doors.bench), oid, forge.hash_of(doors.bench, oid))

    honest = policy(doors, revision=1)
    founded(honest)
    with pytest.raises(LedgerError) as caught:
        founded(spoil(doors, honest))
    assert caught.value.rule == rule


@pytest.mark.parametrize(("authorities", "threshold"), [(("you", "alice", "james"), 3), (("alice",), 1), ((), 2)])
def test_a_policy_has_more_than_half(doors: Doors, authorities: tuple[str, ...], threshold: int) -> None:
    proposal = change(doors, *authorities, threshold=threshold)
    doors.consumer_takes(sealed(doors, proposal, by("alice", "james", "you")(doors, proposal)[: 2 + threshold // 3]))


REVISIONS = {"that of the old policy": 1, "one that skips": 3, "an older one": 0}


@pytest.mark.parametrize("revision", REVISIONS)
def test_no_policy_has_a_revision_that_is(thrown: Thrown, revision: str) -> None:
    thrown.refused(revision, "policy-revision")


@pytest.fixture(scope="module")
def thrown(doors: Doors) -> Thrown:
    """The tables TAGS, POLICIES and REVISIONS, in one push."""
    table = Thrown(doors)
    alice = doors.world.alice
    for name, (_, tag) in TAGS.items():
        proposal = change(doors)
        table.endorse(name, proposal, tag(doors, proposal), "alice" if "besides" in name else "james")
    for name, (_, spoil) in POLICIES.items():
        table.propose(name, doors.proposal(alice, {POLICY: spoil(doors, policy(doors))}))
    for name, revision in REVISIONS.items():
        content = policy(doors, "you", "alice", revision=revision)
        table.propose(name, doors.proposal(alice, {POLICY: content}))
    return table
