"""Roles and releases: who proposes, who publishes, and what a witness can't pass over (spec 3.2, 7, 13)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import bureau
import forge
import pytest
from bureau import MANIFEST, PUBLISH, key, rules
from doors import Doors, Thrown
from forge import Entry
from world import Templates, World, accepted, refused

from gitledger.errors import LedgerError
from gitledger.objects.store import Store
from gitledger.rules.advance import genesis

pytestmark = pytest.mark.long

Changes = dict[str, forge.Content | None]
Later = Callable[[Changes], tuple[Doors, str, str]]


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory, templates: Templates) -> Doors:
    world = World(tmp_path_factory.mktemp("roles"), templates)
    bureau.peopled(world)
    return Doors(world)


def by(doors: Doors, name: str, changes: Changes, **how: str) -> str:
    """A proposal, signed with one of alice's keys, or with that of another person."""
    world = doors.world
    signs = key(world, name) if name in bureau.KEYS else world.person(name).key
    return doors.proposal(world.alice, changes, key=signs, **how)  # type: ignore[arg-type]


def made(doors: Doors, name: str = "builder", path: str = "domains/alice/made.txt") -> str:
    """A proposal of something new in alice's domain."""
    return by(doors, name, {path: f"made at {doors.world.now}\n".encode()})


def released(doors: Doors, proposal: str, by: str, /, **how: object) -> str:
    """A release by one of alice's keys, or of another person's, made now."""
    world = doors.world
    world.tick()
    signs = key(world, by) if by in bureau.KEYS else world.person(by).key
    return forge.release(doors.bench, proposal, signs, **{"tagger": world.alice.ident, **how})  # type: ignore[arg-type]


def emitted(doors: Doors, proposal: str, *tags: str) -> str:
    """What a witness signs who takes the proposal with these tags, in this order."""
    contents = [forge.read_object(doors.bench, tag) for tag in tags]
    return doors.snapshot(proposal, mergetags=contents)


# What a key may propose

RULES = rules("{match: nothing/**}")
X: Changes = {"domains/alice/x": b"x\n"}
PROPOSALS: dict[str, tuple[str, str, Changes]] = {
    "a root who is no publisher, in its domain": ("role-missing", "root", X),
    "a root who is no publisher, on a shared path": ("role-missing", "root", {"shared/x": b"x\n"}),
    "a root who is no publisher, together with rules": ("role-missing", "root", {PUBLISH: RULES, **X}),
    "an auditor, in its domain": ("role-missing", "reader", X),
    "an auditor, on a shared path": ("role-missing", "reader", {"shared/x": b"x\n"}),
    "an auditor, who attests below policies": ("role-missing", "reader", {"domains/alice/policies/x": b"x\n"}),
    "a producer, on a shared path": ("role-missing", "builder", {"shared/x": b"x\n"}),
    "a producer, in its domain and on a shared path": ("role-missing", "builder", {"shared/x": b"x\n", **X}),
    "a producer, in another domain": ("other-domains-path", "builder", {"domains/james/x": b"x\n"}),
    "an executor, where an endorsement is asked for": ("role-missing", "ci", {"standards/x": b"x\n"}),
    "an executor, in a domain that there is not": ("domain-not-registered", "ci", {"domains/nobody/x": b"x\n"}),
    "a publisher, in another domain": ("other-domains-path", "laptop", {"domains/james/x": b"x\n"}),
    "another domain's publisher": ("other-domains-path", "james", X),
    "a publisher whose key is revoked": ("revoked-key", "old", X),
    "a publisher, who loosens the rules": ("role-missing", "laptop", {PUBLISH: RULES}),
    "a publisher, who takes the rules away": ("role-missing", "laptop", {PUBLISH: None}),
    "a publisher, who puts a file in their place": (
        "role-missing",
        "laptop",
        {PUBLISH: None, "domains/alice/policies": b"x\n"},
    ),
    "a publisher, who puts a file in the domain's place": (
        "role-missing",
        "laptop",
        {MANIFEST: None, PUBLISH: None, "domains/alice": b"x\n"},
    ),
    "a root, who puts a file in the domain's place": (
        "document-deleted",
        "root",
        {MANIFEST: None, PUBLISH: None, "domains/alice": b"x\n"},
    ),
    "a producer, who loosens the rules": ("role-missing", "builder", {PUBLISH: RULES}),
    "another domain's root, who loosens the rules": ("other-domains-path", "james", {PUBLISH: RULES}),
    "a root, with rules that can't be read": ("document-form", "root", {PUBLISH: b"rules: 1\n"}),
    "a root, with rules that may be run": ("document-mode", "root", {PUBLISH: ("100755", RULES)}),
    "a root, with rules that name no key": ("publish-key", "root", {PUBLISH: rules("{match: x/**, keys: [old]}")}),
    "a root, with rules that nobody meets": (
        "too-many-approvals",
        "root",
        {PUBLISH: rules("{match: x/**, keys: [desk], approvals: 2}")},
    ),
    "a root, with rules that name nobody": ("too-many-approvals", "root", {PUBLISH: rules("{match: x/**, keys: []}")}),
    "a root, with rules that all publishers and a node do not meet": (
        "too-many-approvals",
        "root",
        {PUBLISH: rules("{match: x/**, approvals: 4}")},
    ),
    "a root, with rules in another spelling": (
        "policies-path",
        "root",
        {PUBLISH: None, "domains/alice/policies/Publish.yaml": RULES},
    ),
    "a root, with rules in a directory of another spelling": (
        "policies-path",
        "root",
        {PUBLISH: None, "domains/alice/Policies/publish.yaml": RULES},
    ),
    "a root, with rules in a directory that folds alike": (
        "policies-path",
        "root",
        {PUBLISH: None, "domains/alice/policie\u017f/notes": RULES},
    ),
    "a root, with a directory in place of rules": (
        "policies-path",
        "root",
        {PUBLISH: None, f"{PUBLISH}/first": RULES},
    ),
    "a root, with a file in another spelling of the directory": (
        "policies-path",
        "root",
        {PUBLISH: None, "domains/alice/POLICIES": RULES},
    ),
}


@pytest.mark.parametrize("who", PROPOSALS)
def test_nothing_is_proposed_by(thrown: Thrown, who: str) -> None:
    thrown.refused(who, PROPOSALS[who][0])


def taken(doors: Doors, domain: str, name: str, file: str) -> str:
    """The root of `domain` takes one of the tests' keys into its manifest, with consent."""
    world = doors.world
    path = f"domains/{domain}/domain.yaml"
    consent = forge.proof(world.key(file), world.anchor, domain)
    held = doors.read(path) + Entry(name, world.key(file), ["publisher"], consent).render().encode()
    return by(doors, "root" if domain == "alice" else domain, {path: held})


MOVED = {
    "from one domain to another": ("key-of-another-domain", "james", bureau.KEYS["laptop"]),
    "out of a domain that revoked it": ("revoked-key", "james", bureau.KEYS["old"]),
    "back into the domain that revoked it": ("revoked-key", "alice", bureau.KEYS["old"]),
}


@pytest.mark.parametrize("how", MOVED)
def test_no_key_moves(thrown: Thrown, how: str) -> None:
    thrown.refused(how, MOVED[how][0])


TWINS: dict[str, tuple[str, Changes, Sequence[str]]] = {
    "a root changes the rules": ("root", {PUBLISH: RULES}, ()),
    "a root asks for as many as there are, and a node": ("root", {PUBLISH: rules("{match: x/**, approvals: 3}")}, ()),
    "a root puts something beside the rules": ("root", {"domains/alice/policies/notes/publish.yaml": b"x\n"}, ()),
    "a publisher publishes": ("laptop", X, ()),
    "a publisher changes a shared path": ("laptop", {"shared/x": b"x\n"}, ()),
    "a producer proposes and a publisher releases": ("builder", X, ("laptop",)),
    "an executor proposes and two publishers release": ("ci", X, ("desk", "laptop")),
    "two agree where two must": ("laptop", {"domains/alice/releases/x": b"x\n"}, ("desk",)),
    "two release where two must": ("builder", {"domains/alice/releases/x": b"x\n"}, ("desk", "laptop")),
    "the one key that a rule names publishes": ("desk", {"domains/alice/pages/x": b"x\n"}, ()),
    "the one key that a rule names releases": ("laptop", {"domains/alice/pages/x": b"x\n"}, ("desk",)),
}


@pytest.mark.parametrize("twin", TWINS)
def test_the_honest_twin_is_taken(doors: Doors, twin: str) -> None:
    name, changes, releasers = TWINS[twin]
    proposal = by(doors, name, changes)
    doors.host_takes(proposal, f"refs/proposals/alice/twin-{list(TWINS).index(twin)}")
    tags = [released(doors, proposal, one) for one in releasers]
    for one, tag in zip(releasers, tags, strict=True):
        doors.host_takes(tag, f"refs/releases/{proposal}/{one}")
    doors.consumer_takes(emitted(doors, proposal, *tags))


# What is no release


def certified(doors: Doors) -> dict[str, object]:
    """That a key of a node signs with its certificate."""
    root, node = key(doors.world, "root"), doors.world.key("spare-6")
    return {"public": forge.certificate(node, root, ["publisher@alice"]), "key": node}


Forged = Callable[[Doors, str], str]
RELEASES: dict[str, tuple[str, Forged]] = {
    "by another domain's publisher": ("release-does-not-count", lambda doors, one: released(doors, one, "james")),
    "by the witness": ("release-does-not-count", lambda doors, one: released(doors, one, "you")),
    "by a revoked key": ("release-does-not-count", lambda doors, one: released(doors, one, "old")),
    "by the root, who is no publisher": ("release-does-not-count", lambda doors, one: released(doors, one, "root")),
    "by an auditor": ("release-does-not-count", lambda doors, one: released(doors, one, "reader")),
    "by an executor": ("release-does-not-count", lambda doors, one: released(doors, one, "ci")),
    "by the producer who proposed": ("release-does-not-count", lambda doors, one: released(doors, one, "builder")),
    "by a key that nobody knows": (
        "release-does-not-count",
        lambda doors, one: forge.release(doors.bench, one, doors.world.key("spare-9")),
    ),
    "by a certificate of the domain's own": (
        "certificate-not-taken-here",
        lambda doors, one: forge.release(doors.bench, one, **certified(doors)),  # type: ignore[arg-type]
    ),
    "of another proposal": (
        "tag-object",
        lambda doors, one: released(doors, made(doors), "laptop", name=f"release/{one}"),
    ),
    "that names another proposal": (
        "tag-object",
        lambda doors, one: released(doors, one, "laptop", name=f"release/{doors.tip}"),
    ),
    "with another hash": (
        "tag-proposal-hash",
        lambda doors, one: released(doors, one, "laptop", hash="sha256:" + "ab" * 32),
    ),
    "without a hash": (
        "tag-trailer",
        lambda doors, one: released(doors, one, "laptop", message="Release\n\nReleases it\n"),
    ),
    "that endorses": (
        "tag-trailer",
        lambda doors, one: released(
            doors, one, "laptop", message=f"Release\n\nEndorses: {forge.hash_of(doors.bench, one)}\n"
        ),
    ),
    "that is not signed": ("unsigned", lambda doors, one: released(doors, one, "laptop", signature=b"")),
    "signed for another purpose": (
        "wrong-namespace",
        lambda doors, one: released(doors, one, "laptop", namespace="file"),
    ),
    "that names a publisher's key beside a stranger's signature": (
        "bad-signature",
        lambda doors, one: forge.release(
            doors.bench, one, doors.world.stranger.key, public=forge.blob(key(doors.world, "laptop"))
        ),
    ),
}


@pytest.mark.parametrize("attack", RELEASES)
def test_it_is_no_release(thrown: Thrown, attack: str) -> None:
    thrown.refused(attack, RELEASES[attack][0])


@pytest.fixture(scope="module")
def thrown(doors: Doors) -> Thrown:
    """All these tables in one push; each attack also in a snapshot that takes it."""
    table = Thrown(doors)
    for who, (_, name, changes) in PROPOSALS.items():
        table.propose(who, by(doors, name, changes), "james" if name == "james" else "alice")
    for how, (_, domain, file) in MOVED.items():
        table.propose(how, taken(doors, domain, "moved", file), domain)
    for attack, (_, forged) in RELEASES.items():
        proposal = made(doors)
        table.release(attack, proposal, forged(doors, proposal), "laptop")
    return table


def test_who_proposed_does_not_release_it_too(doors: Doors) -> None:
    proposal = made(doors, "laptop", "domains/alice/releases/own")
    doors.host_takes(proposal, "refs/proposals/alice/own")
    own, other = released(doors, proposal, "laptop"), released(doors, proposal, "desk")
    doors.host_refuses(own, "release-does-not-count", f"refs/releases/{proposal}/laptop")
    doors.consumer_refuses(emitted(doors, proposal, own), "release-does-not-count")
    doors.consumer_refuses(emitted(doors, proposal, other, own), "release-does-not-count")
    doors.consumer_takes(emitted(doors, proposal, other))


def test_a_release_stands_under_the_name_of_its_key_and_an_older_one_does_not_come_back(doors: Doors) -> None:
    proposal = made(doors)
    doors.host_takes(proposal, "refs/proposals/alice/named")
    older, newer = released(doors, proposal, "desk"), released(doors, proposal, "desk")
    doors.host_refuses(newer, "release-key", f"refs/releases/{proposal}/laptop")
    doors.host_refuses(newer, "ref-not-in-table", f"refs/releases/{proposal}/Desk")
    doors.host_takes(newer, f"refs/releases/{proposal}/desk")
    doors.host_refuses(older, "replaces-newer", f"refs/releases/{proposal}/desk")


def test_a_release_is_no_endorsement_and_an_endorsement_no_release(doors: Doors) -> None:
    world, proposal = doors.world, by(doors, "laptop", {"standards/x": b"x\n"})
    doors.host_takes(proposal, "refs/proposals/alice/standard")
    releases = forge.release(doors.bench, proposal, world.james.key)
    endorses = doors.endorsement(world.james, proposal)
    doors.host_refuses(releases, "tag-object", f"refs/endorsements/{proposal}/james")
    doors.host_refuses(endorses, "tag-object", f"refs/releases/{proposal}/desk")
    doors.consumer_refuses(emitted(doors, proposal, releases), "release-does-not-count")
    doors.host_takes(endorses, f"refs/endorsements/{proposal}/james")
    doors.consumer_takes(emitted(doors, proposal, endorses))


# What a witness can't pass over


def needing_two(doors: Doors) -> str:
    return made(doors, "builder", "domains/alice/releases/two")


Carried = Callable[[Doors, str], Sequence[str]]
WITNESSED: dict[str, tuple[str, Callable[[Doors], str], Carried]] = {
    "without any release": ("release-missing", made, lambda doors, one: ()),
    "with one release of two": ("release-missing", needing_two, lambda doors, one: [released(doors, one, "laptop")]),
    "with one who may not release there": (
        "release-missing",
        lambda doors: made(doors, "laptop", "domains/alice/pages/x"),
        lambda doors, one: (),
    ),
    "with an endorsement in place of a release": (
        "release-missing",
        made,
        lambda doors, one: [doors.endorsement(doors.world.james, one)],
    ),
    "with releases in another order": (
        "release-order",
        needing_two,
        lambda doors, one: [released(doors, one, "laptop"), released(doors, one, "desk")],
    ),
    "with one release twice": ("release-order", needing_two, lambda doors, one: [released(doors, one, "desk")] * 2),
    "with two releases by one key": (
        "release-order",
        needing_two,
        lambda doors, one: [released(doors, one, "desk"), released(doors, one, "desk")],
    ),
    "with one too many, by who may not": (
        "release-does-not-count",
        needing_two,
        lambda doors, one: [released(doors, one, name) for name in ("desk", "laptop", "old")],
    ),
    "with a release that it needs behind an endorsement": (
        "release-missing",
        made,
        lambda doors, one: [doors.endorsement(doors.world.james, one), released(doors, one, "laptop")],
    ),
    "with a release that it does not need behind an endorsement": (
        "tag-object",
        lambda doors: by(doors, "laptop", {"standards/z": b"z\n"}),
        lambda doors, one: [doors.endorsement(doors.world.james, one), released(doors, one, "desk")],
    ),
    "with the release of another version of it": (
        "tag-object",
        made,
        lambda doors, one: [released(doors, made(doors), "laptop")],
    ),
}


@pytest.mark.parametrize("how", WITNESSED)
def test_a_witness_takes_nothing(doors: Doors, how: str) -> None:
    rule, proposed, carried = WITNESSED[how]
    proposal = proposed(doors)
    snapshot = emitted(doors, proposal, *carried(doors, proposal))
    doors.consumer_refuses(snapshot, rule)
    doors.host_refuses(snapshot, rule)


def test_what_is_released_and_endorsed_carries_releases_first(doors: Doors) -> None:
    proposal = by(doors, "laptop", {"domains/alice/pages/y": b"y\n", "standards/y": b"y\n"})
    releases, endorses = released(doors, proposal, "desk"), doors.endorsement(doors.world.james, proposal)
    doors.consumer_takes(emitted(doors, proposal, releases, endorses))
    doors.consumer_refuses(emitted(doors, proposal, endorses, releases), "release-missing")
    doors.consumer_refuses(emitted(doors, proposal, releases), "endorsements-missing")
    doors.consumer_refuses(emitted(doors, proposal, endorses), "release-missing")


# What changes while something waits


@pytest.fixture
def later(world: World) -> Later:
    """What waits with a good release, and a witness who took `changes` by alice's root meanwhile."""

    world.begin(bureau.peopled)

    def begun(changes: Changes) -> tuple[Doors, str, str]:
        doors = Doors(world)
        proposal = made(doors, "builder", "domains/alice/news/1")
        doors.queue(proposal, "proposals/alice/news")
        tag = doors.queue(released(doors, proposal, "laptop"), f"releases/{proposal}/laptop")
        doors.consumer_takes(emitted(doors, proposal, tag))
        changed = by(doors, "root", changes)
        accepted(world.offer(changed, "refs/proposals/alice/changed"))
        assert [verdict.proposal.oid for verdict in world.emit(changed).ready] == [changed]
        return Doors(world), proposal, tag

    return begun


def test_a_release_stands_and_is_not_enough_once_the_rules_ask_for_another(later: Later) -> None:
    doors, proposal, tag = later({PUBLISH: rules("{match: news/**, keys: [desk]}")})
    doors.consumer_refuses(emitted(doors, proposal, tag), "release-missing")
    doors.host_refuses(emitted(doors, proposal, tag), "release-missing")
    doors.consumer_takes(emitted(doors, proposal, released(doors, proposal, "desk"), tag))
    assert not doors.world.emit().ready


def test_the_release_of_somebody_who_left_counts_no_more(later: Later, world: World) -> None:
    left = bureau.manifest(world, [name for name in bureau.KEYS if name not in ("old", "laptop")])
    doors, proposal, tag = later({MANIFEST: left})
    doors.consumer_refuses(emitted(doors, proposal, tag), "release-does-not-count")
    doors.host_refuses(emitted(doors, proposal, tag), "release-does-not-count")
    doors.host_refuses(
        released(doors, proposal, "laptop"), "release-does-not-count", f"refs/releases/{proposal}/laptop"
    )
    doors.consumer_takes(emitted(doors, proposal, released(doors, proposal, "desk")))


def test_of_two_who_want_one_domain_id_the_first_one_numbered_has_it(world: World) -> None:
    world.make_host(registration="open")
    for name, topic in (("spare-1", "first"), ("spare-2", "second")):
        manifest = forge.manifest_file("newcomer", Entry("root", world.key(name)))
        world.propose(
            world.stranger,
            {"domains/newcomer/domain.yaml": manifest},
            key=world.key(name),
            domain="newcomer",
            topic=topic,
        )
    plan = world.emit()
    assert len(plan.ready) == 1
    assert [verdict.error and verdict.error.rule for verdict in plan.refused] == ["path-changed-since"]
    assert forge.key_id(world.key("spare-1")) == plan.ready[0].proposal.key.key_id
    late = world.propose(
        world.stranger,
        {"domains/newcomer/domain.yaml": forge.manifest_file("newcomer", Entry("root", world.key("spare-2")))},
        key=world.key("spare-2"),
        domain="newcomer",
        topic="again",
        check=False,
    )
    assert late.push is not None
    refused(late.push, "unknown-key")


FOUNDED = {
    "that can be met": ("", PUBLISH, "{match: x/**, keys: [key-1]}"),
    "of a key that is none": ("publish-key", PUBLISH, "{match: x/**, keys: [key-2]}"),
    "of one and a node": ("", PUBLISH, "{match: x/**, approvals: 2}"),
    "of more": ("too-many-approvals", PUBLISH, "{match: x/**, approvals: 3}"),
    "in another spelling": ("policies-path", PUBLISH.replace("policies", "Policies"), "{match: x/**}"),
}


@pytest.mark.parametrize("how", FOUNDED)
def test_no_ledger_begins_with_rules_that_nobody_could_meet_or_read(doors: Doors, how: str) -> None:
    rule, path, line = FOUNDED[how]
    people = {one: doors.world.key(one) for one in ("you", "alice")}
    oid = forge.genesis(doors.bench, people, files={path: rules(line)})
    try:
        genesis(Store.open(doors.bench), oid, forge.hash_of(doors.bench, oid))
        assert not rule
    except LedgerError as error:
        assert error.rule == rule, str(error)
