"""Statements that no domain made so: envelopes, signers, places, and what they say of the ledger (spec 14).

Every attack comes in a proposal of alice, who may publish, and so is refused for what is wrong with the statement.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Sequence
from typing import Any

import forge
import pytest
import stating
from doors import Doors, Thrown
from world import Templates, World

from gitledger.errors import LedgerError
from gitledger.objects.store import Store
from gitledger.rules.advance import advance, genesis, pinned

pytestmark = pytest.mark.long

Changes = dict[str, forge.Content | None]
Attack = tuple[str, Callable[[World], Changes]]
OTHER = "sha256:" + "ab" * 32
FILES = "domains/alice/files"
LARGE = {f"domains/alice/large/{name}": name.encode() * 700_000 for name in "ab"}


def scene(world: World) -> World:
    """What `stating.certifying` has, and two files that are together more than one proposal may bring."""
    stating.certifying(world)
    for path, content in LARGE.items():
        world.propose(world.alice, {path: content}, "A large file")
        world.emit()
    assert world.snapshots()[-1] == "common@6"
    return world


def keys(world: World, named: str) -> list[forge.Key]:
    """The keys of alice by the names of `stating`, of james and of a node that was never seen."""
    known = {name: world.key(key) for name, key, *_ in stating.KEYS} | {
        "alice": world.alice.key,
        "james": world.james.key,
        "old": world.key("spare-3"),
        "node": world.key("spare-5"),
    }
    return [known[one] for one in named.split()]


def put(content: bytes, domain: str = "alice") -> Changes:
    return {stating.path(domain, content): content}


def common(world: World, number: int = 2) -> stating.Value:
    return stating.snapshot(world.host, number)


def audit(world: World, number: int = 2, **changed: Any) -> stating.Value:
    return stating.audit(world.anchor, common(world, number) | changed)


def represents(world: World, number: int = 2, **changed: Any) -> stating.Value:
    return stating.represents(world.anchor, common(world, number) | changed)


def other(*subjects: stating.Value) -> stating.Value:
    """A statement that is left to its readers."""
    return stating.stated("https://example.org/reviewed/v1", {"ok": True}, *subjects)


def located(world: World, digest: str, path: str = f"{FILES}/one.txt", number: int = 2) -> stating.Value:
    at = {"ledger": world.anchor, "name": f"common@{number}", "hash": "sha256:" + common(world)["digest"]["sha256"]}
    predicate = {"path": path, "snapshot": at}
    return stating.stated("urn:gitledger:located-at:1", predicate, stating.subject("one.txt", digest))


def ran(world: World, *, bound: dict[str, str | None] | None = None, **altered: Any) -> stating.Value:
    """A receipt for what was made of the two files; `bound` replaces what inputs are bound to, by name (None: none)."""
    true = stating.run(world, 2, FILES, {"x": b"x"})["predicate"]["buildDefinition"]["resolvedDependencies"]
    resolved = {each["name"]: "sha256:" + each["digest"]["sha256"] for each in true} | (bound or {})
    kept = {name: digest for name, digest in resolved.items() if digest is not None}
    return stating.run(world, 2, FILES, {"x": b"x"}, **({"resolved": kept} | altered))


Signed = Callable[[World], Any]


def by(named: str, statement: Signed, **changed: Any) -> Callable[[World], Changes]:
    """A statement, signed by keys and put where it belongs."""
    return lambda world: put(stating.envelope(statement(world), *keys(world, named), **changed))


def raw(content: Callable[[World], bytes]) -> Callable[[World], Changes]:
    return lambda world: put(content(world))


def honest(world: World) -> bytes:
    return stating.envelope(audit(world), *keys(world, "auditor"))


def changed_after(world: World) -> bytes:
    """What an auditor signed, with another text in its place."""
    forged = stating.stated("urn:gitledger:audit:1", {"ledger": world.anchor, "checked": ["all"], "found": []})
    forged["subject"] = [common(world)]
    return stating.envelope(
        audit(world), *keys(world, "auditor"), payload=b64encode(json.dumps(forged).encode()).decode()
    )


def one_fails(world: World) -> bytes:
    payload = json.dumps(represents(world)).encode()
    alice, maker = keys(world, "alice maker")
    wrong = stating.signature(alice, payload + b" ") | {"keyid": forge.key_id(maker)}
    return stating.envelope(payload, signatures=[stating.signature(alice, payload), wrong])


def signed_as(type_: str) -> Callable[[World], bytes]:
    """An envelope that says in-toto, signed over another type."""

    def content(world: World) -> bytes:
        payload = json.dumps(audit(world)).encode()
        return stating.envelope(payload, signatures=[stating.signature(keys(world, "auditor")[0], payload, type_)])

    return content


def repeated(world: World) -> bytes:
    """The key `payload` twice: readers differ on which counts."""
    return honest(world).replace(b'{"payload":', b'{"payload": "e30=", "payload":', 1)


def repeated_within(world: World) -> bytes:
    payload = json.dumps(audit(world)).encode().replace(b'"found": []', b'"found": ["bad"], "found": []')
    return stating.envelope(payload, *keys(world, "auditor"))


def at(path: str) -> Callable[[World], Changes]:
    return lambda world: {path: honest(world)}


def misnamed(world: World) -> Changes:
    return {stating.path("alice", b"another"): honest(world)}


def uppercase(world: World) -> Changes:
    above, _, name = stating.path("alice", honest(world)).rpartition("/")
    return {f"{above}/{name.removesuffix('.json').upper()}.json": honest(world)}


def spelled(world: World) -> Changes:
    """The directory under a name that is the same where case does not count, in its place."""
    held = [path for path in forge.files(world.host, world.tip) if path.startswith("domains/alice/attestations/")]
    return dict.fromkeys(held) | {"domains/alice/Attestations/ab/x.json": b"anything\n"}


def beside(world: World, size: int) -> Changes:
    """A receipt of one large file, and a file that comes with it."""
    receipt = stating.run(world, 6, "domains/alice/large/a", {"x": b"x"})
    return by("ci", lambda _: receipt)(world) | {"domains/alice/more": b"x" * size}


def instead(world: World) -> Changes:
    """A file where the directory was, whose files are taken away."""
    held = [path for path in forge.files(world.host, world.tip) if path.startswith("domains/alice/attestations/")]
    return dict.fromkeys(held) | at("domains/alice/attestations")(world)


ATTACKS: dict[str, Attack] = {
    "of another payload type": ("payload-type", by("auditor", audit, payloadType="application/json")),
    "signed as of another payload type": ("bad-signature", raw(signed_as("application/json"))),
    "with a key that no signature covers": ("envelope-key", by("auditor", audit, Payload="e30=")),
    "with a key twice": ("json-repeated-key", raw(repeated)),
    "with a key twice within": ("json-repeated-key", raw(repeated_within)),
    "whose payload was changed after": ("bad-signature", raw(changed_after)),
    "without a signature": ("envelope-form", by("", audit)),
    "of which one signature fails": ("bad-signature", raw(one_fails)),
    "signed by one of two without the role": ("statement-role", by("alice ci", represents)),
    "signed twice by one key": ("signed-twice", by("alice alice", represents)),
    "by a key of another domain": ("unknown-signer", by("james", represents)),
    "by a key of another domain, too": ("unknown-signer", by("alice james", represents)),
    "by a key that was revoked": ("unknown-signer", by("old", represents)),
    "by a node that does not propose it": ("unknown-signer", by("node", ran)),
    "that is an audit by a publisher": ("statement-role", by("alice", audit)),
    "that is a receipt by a publisher": ("statement-role", by("alice", ran)),
    "that is a receipt by an auditor": ("statement-role", by("auditor", ran)),
    "that represents by an executor": ("statement-role", by("ci", represents)),
    "that represents by an auditor": ("statement-role", by("auditor", represents)),
    "that is anybody's by a producer": ("statement-role", by("maker", lambda w: other(common(w)))),
    "without a SHA-256": (
        "statement-sha256",
        by("alice", lambda w: other({"name": "x", "digest": {"sha512": "ab" * 64}})),
    ),
    "with a SHA-256 in capitals": (
        "statement-sha256",
        by("alice", lambda w: other({"name": "x", "digest": {"sha256": "AB" * 32}})),
    ),
    "of which one subject has no SHA-256": (
        "statement-sha256",
        by("alice", lambda w: other(common(w), {"name": "x", "digest": {"gitCommit": "ab" * 20}})),
    ),
    "of a type that nobody knows yet": (
        "statement-type",
        by("alice", lambda w: stating.stated("urn:gitledger:audit:2", {}, common(w))),
    ),
    "of a build that nobody knows yet": (
        "statement-type",
        by(
            "alice",
            lambda w: stating.stated(
                stating.PROVENANCE, {"buildDefinition": {"buildType": "urn:gitledger:x"}}, common(w)
            ),
        ),
    ),
    "under another name": ("attestation-name", misnamed),
    "under its name in capitals": ("attestation-path", uppercase),
    "at a path of its own": ("attestation-path", at("domains/alice/attestations/audit.json")),
    "in the place of the directory": ("attestation-path", instead),
    "in a directory that is spelled otherwise": ("attestation-path", spelled),
    "too deep": ("attestation-path", at(f"domains/alice/attestations/a/ab/{'c' * 62}.json")),
    "that may be executed": (
        "attestation-path",
        lambda world: {stating.path("alice", honest(world)): ("100755", honest(world))},
    ),
    "in the directory of another domain": (
        "other-domains-path",
        lambda world: put(honest(world), "james"),
    ),
    "that is too long": (
        "json-size",
        raw(lambda world: honest(world) + b" " * (1 << 20)),
    ),
    "that audits a snapshot which does not exist": (
        "statement-snapshot",
        by("auditor", lambda w: audit(w, name="common@99")),
    ),
    "that audits the snapshot which holds it": (
        "statement-snapshot",
        by("auditor", lambda w: audit(w, name="common@7")),
    ),
    "that audits a snapshot by another's hash": (
        "statement-snapshot",
        by("auditor", lambda w: audit(w, name="common@1")),
    ),
    "that represents a snapshot by another hash": (
        "statement-snapshot",
        by("alice", lambda w: represents(w, digest={"sha256": OTHER[7:]})),
    ),
    "that calls this ledger by another name": (
        "statement-snapshot",
        by("alice", lambda w: represents(w, name="alice@2")),
    ),
    "that locates another file there": ("statement-file", by("maker", lambda w: located(w, OTHER))),
    "that locates a file where none is": (
        "statement-file",
        by("maker", lambda w: located(w, forge.sha256(b"one\n"), f"{FILES}/three.txt")),
    ),
    "that locates a file in a snapshot of another number": (
        "statement-snapshot",
        by("maker", lambda w: located(w, forge.sha256(b"one\n"), number=3)),
    ),
    "that is a receipt of another domain's executor": ("receipt-domain", by("ci", lambda w: ran(w, domain="james"))),
    "that is a receipt of another hash": ("statement-snapshot", by("ci", lambda w: ran(w, bound={"common@2": OTHER}))),
    "that is a receipt of no such snapshot": (
        "statement-snapshot",
        by(
            "ci",
            lambda w: ran(
                w, inputs=["common@99:x"], resolved={"common@99": OTHER, "common@99:x": forge.sha256(b"one\n")}
            ),
        ),
    ),
    "that is a receipt of another file": (
        "statement-file",
        by("ci", lambda w: ran(w, bound={f"common@2:{FILES}/one.txt": OTHER})),
    ),
    "that is a receipt of a file that is not there": (
        "statement-file",
        by("ci", lambda w: ran(w, bound={f"common@2:{FILES}/three.txt": OTHER})),
    ),
    "that is a receipt and leaves a file out": (
        "statement-file",
        by("ci", lambda w: ran(w, bound={f"common@2:{FILES}/two.txt": None})),
    ),
    "that is a receipt and names this ledger otherwise": (
        "statement-snapshot",
        by(
            "ci",
            lambda w: ran(
                w,
                ledgers={"alice": w.anchor},
                inputs=["alice@2"],
                resolved={"alice@2": "sha256:" + common(w)["digest"]["sha256"]},
            ),
        ),
    ),
    "that is a receipt of files too large to read": (
        "statement-bytes",
        by("ci", lambda w: stating.run(w, 6, "domains/alice/large", {"x": b"x"})),
    ),
    "that is a receipt of a file too large to read beside what comes with it": (
        "statement-bytes",
        lambda w: beside(w, 600_000),
    ),
    "that is a receipt of a later time": ("receipt-epoch", by("ci", lambda w: ran(w, epoch=w.now))),
    "that is a receipt of an earlier time": ("receipt-epoch", by("ci", lambda w: ran(w, epoch=1))),
    "that is a receipt of a time before an input of two ledgers": ("receipt-epoch", by("ci", lambda w: both(w, 1))),
    "that is a receipt and leaves a file out that is no input of its own": (
        "statement-file",
        by("ci", lambda w: nested(w, {f"common@2:{FILES}/two.txt": None})),
    ),
    "that is a receipt of one run": ("document-form", by("ci", lambda w: once(ran(w)))),
    "that is a receipt with a snapshot unbound": (
        "statement-form",
        by("ci", lambda w: ran(w, bound={"common@2": None})),
    ),
    "that represents a first snapshot by what is no ledger id": (
        "statement-form",
        by("alice", lambda w: stating.represents(OTHER, common(w) | {"name": "alice@0"})),
    ),
    "that is a receipt of what was made among the inputs": (
        "statement-form",
        by("ci", lambda w: ran(w, outputs={"common@2/x": b"x"})),
    ),
    "that is a receipt of a file and what is in it": (
        "statement-form",
        by("ci", lambda w: ran(w, outputs={"out.tar": b"x", "out.tar/x": b"x"})),
    ),
    "that is a receipt of two files alike": (
        "statement-form",
        by("ci", lambda w: ran(w, outputs={"o/x": b"", "o/X": b""})),
    ),
    "that is a receipt of nothing made": ("statement-form", by("ci", lambda w: ran(w) | {"subject": [common(w)]})),
}


def once(receipt: stating.Value) -> stating.Value:
    receipt["predicate"]["buildDefinition"]["internalParameters"]["runs"] = 1
    return receipt


def nested(world: World, bound: dict[str, str | None]) -> stating.Value:
    """A receipt with an input below another."""
    return ran(world, inputs=[f"common@2:{FILES}", f"common@2:{FILES}/one.txt"], bound=bound)


def both(world: World, epoch: int) -> stating.Value:
    """A receipt with an input here, and one in a ledger that nobody has at hand."""
    ledgers = {"common": world.anchor, "alice": OTHER}
    return ran(world, ledgers=ledgers, inputs=[f"common@2:{FILES}", "alice@9"], bound={"alice@9": OTHER}, epoch=epoch)


def whole(world: World) -> stating.Value:
    """A receipt whose input is a snapshot, however large: its files are in its hash."""
    statement = stating.run(world, 6, FILES, {"x": b"x"})
    resolved = {"common@6": "sha256:" + common(world, 6)["digest"]["sha256"]}
    epoch = statement["predicate"]["buildDefinition"]["internalParameters"]["source_date_epoch"]
    return ran(world, inputs=["common@6"], resolved=resolved, epoch=epoch)


def elsewhere(world: World) -> stating.Value:
    """A receipt whose inputs nobody can check here."""
    resolved = {"alice@9": OTHER, "alice@9:x": OTHER}
    return ran(world, ledgers={"alice": "sha256:" + "cd" * 32}, inputs=["alice@9:x"], resolved=resolved)


HONEST: dict[str, Callable[[World], Changes]] = {
    "an audit by an auditor": by("auditor", audit),
    "an audit of the newest snapshot": by("auditor", lambda w: audit(w, 6)),
    "what represents, by a publisher": by("alice", represents),
    "what represents, of another ledger": by(
        "alice", lambda w: stating.represents(OTHER, common(w) | {"name": "alice@9"})
    ),
    "a path, by a producer": by("maker", lambda w: located(w, forge.sha256(b"one\n"))),
    "a path, by both who may": by("maker alice", lambda w: located(w, forge.sha256(b"one\n"))),
    "a receipt by an executor": by("ci", ran),
    "a receipt of a whole snapshot": by("ci", whole),
    "a receipt of another ledger": by("ci", elsewhere),
    "a receipt of this ledger and another": by("ci", lambda w: both(w, w.now)),
    "a receipt with an input below another": by("ci", lambda w: nested(w, {})),
    "a receipt of a large file with a small one": lambda w: beside(w, 6_000),
    "anybody's by a publisher": by("alice", lambda w: other(common(w))),
    "an envelope in any layout": raw(lambda w: json.dumps(json.loads(honest(w)), indent=3).encode() + b"\n\n"),
}


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory, templates: Templates) -> Doors:
    return Doors(scene(World(tmp_path_factory.mktemp("statements"), templates)))


@pytest.fixture(scope="module")
def proposals(doors: Doors) -> dict[str, str]:
    return {name: doors.proposal(doors.world.alice, make(doors.world)) for name, (_, make) in ATTACKS.items()}


@pytest.fixture(scope="module")
def thrown(doors: Doors, proposals: dict[str, str]) -> Thrown:
    table = Thrown(doors)
    for name, proposal in proposals.items():
        table.propose(name, proposal)
    return table


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_statement_is_one_by_the_rules_and_not_one(thrown: Thrown, attack: str) -> None:
    thrown.refused(attack, ATTACKS[attack][0])


@pytest.mark.parametrize("attack", ATTACKS)
def test_whoever_begins_at_a_pin_finds_it_out_too(doors: Doors, proposals: dict[str, str], attack: str) -> None:
    known = pinned(Store.open(doors.bench), doors.tip, forge.hash_of(doors.bench, doors.tip))
    with pytest.raises(LedgerError) as caught:
        advance(known, doors.waved_through(proposals[attack]))
    assert caught.value.rule == ATTACKS[attack][0], str(caught.value)


@pytest.mark.parametrize("twin", HONEST)
def test_what_a_domain_may_state_is_taken(doors: Doors, twin: str) -> None:
    proposal = doors.proposal(doors.world.alice, HONEST[twin](doors.world))
    topic = str(sorted(HONEST).index(twin))
    doors.host_takes(proposal, f"refs/proposals/alice/twin-{topic}")
    doors.consumer_takes(doors.snapshot(proposal))


def test_james_brings_nothing_of_his_own_to_another_domain_nor_anothers_to_his(doors: Doors) -> None:
    world = doors.world
    for domain, rule in (("alice", "other-domains-path"), ("james", "unknown-signer")):
        proposal = doors.proposal(world.james, put(honest(world), domain))
        doors.host_refuses(proposal, rule, "refs/proposals/james/brought")
        doors.consumer_refuses(doors.waved_through(proposal), rule)


@pytest.mark.parametrize("below", ["attestations", "Attestations", "aTTestations/ab"])
def test_no_ledger_begins_with_what_a_domain_certifies(doors: Doors, below: str) -> None:
    people = {one: doors.world.key(one) for one in ("you", "alice")}
    for path, rule in ((f"domains/alice/{below}/x.json", "genesis-attestation"), ("domains/alice/x.json", "")):
        oid = forge.genesis(doors.bench, people, files={path: b"{}"})
        try:
            genesis(Store.open(doors.bench), oid, forge.hash_of(doors.bench, oid))
            assert not rule
        except LedgerError as error:
            assert error.rule == rule, str(error)


# A node


def by_node(doors: Doors, roles: Sequence[str], statement: stating.Value | None = None) -> str:
    """A node's own proposal, with what it signed, under a certificate by alice's key `nodes`."""
    world, (node, nodes) = doors.world, keys(doors.world, "node nodes")
    content = stating.envelope(statement or ran(world), node)
    certificate = forge.certificate(node, nodes, [f"{role}@alice" for role in roles])
    message = "From a node\n\nLedger-Domain: alice\n"
    changes = {stating.path("alice", content): content}
    return forge.proposal(doors.bench, doors.tip, changes, node, message, seconds=world.tick(), public=certificate)


def test_a_node_signs_as_executor_what_it_proposes_as_one(doors: Doors) -> None:
    doors.host_takes(by_node(doors, ["executor"]), "refs/proposals/alice/node")


def test_a_node_signs_nothing_that_its_certificate_does_not_grant(doors: Doors) -> None:
    proposal = by_node(doors, ["executor"], represents(doors.world))
    doors.host_refuses(proposal, "statement-role", "refs/proposals/alice/node-2")
    doors.consumer_refuses(doors.waved_through(proposal), "statement-role")
