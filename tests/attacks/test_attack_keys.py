"""Keys: how they enter a domain, how they leave, and which are none (spec 1, 3.1, 3.2, 6, 7)."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Sequence

import forge
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from doors import Doors, Thrown
from forge import Entry
from world import Templates, World, accepted, refused

pytestmark = pytest.mark.long

ALICE = "domains/alice/domain.yaml"
JAMES = "domains/james/domain.yaml"
POLICY = "ledger/policy.yaml"
OTHER_LEDGER = "sha256:" + "ab" * 32

P = 2**255 - 19
SIGN = 1 << 255
Y8 = int.from_bytes(bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little")
IDENTITY = (1).to_bytes(32, "little")
BASE_POINT = bytes.fromhex("58" + "66" * 31)


def peopled(world: World) -> World:
    """A host where alice has a laptop that publishes, james has revoked a key, and stranger is no authority."""
    world.make_host(members=("you", "alice", "james", "stranger"), authorities=("you", "alice", "james"))
    for person, entry in (
        (world.alice, Entry("laptop", world.key("alice-2"), ["publisher"])),
        (world.james, Entry("old", world.key("james-2"), ["publisher"])),
    ):
        path = f"domains/{person.domain}/domain.yaml"
        consent = forge.proof(entry.key, world.anchor, person.domain)
        held = world.read(path) + Entry(entry.name, entry.key, entry.roles, consent).render().encode()
        world.propose(person, {path: held}, "A second key", topic="key")
    world.emit()
    world.propose(world.james, {JAMES: world.read(JAMES, 0)}, "Revoke the old key")
    world.emit()
    assert world.snapshots()[-1] == "common@3"
    return world


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory, templates: Templates) -> Doors:
    return Doors(peopled(World(tmp_path_factory.mktemp("keys"), templates)))


# A key enters its domain


Proof = Callable[[World, forge.Key], bytes]


def consent(domain: str = "alice", ledger: str | None = None, **signing: object) -> Proof:
    return lambda world, key: forge.proof(key, ledger or world.anchor, domain, **signing)


def over(message: str) -> Proof:
    return lambda world, key: forge.sshsig(key, message.format(world.anchor).encode(), namespace="asl.domain.key")


KEYS: dict[str, tuple[str, Proof | None]] = {
    "without its proof": ("key-without-proof", None),
    "with a proof for another ledger": ("bad-signature", consent(ledger=OTHER_LEDGER)),
    "with a proof for another domain": ("bad-signature", consent("james")),
    "with a proof without the newline": ("bad-signature", over("{} alice")),
    "with a proof of the domain alone": ("bad-signature", over("alice\n")),
    "with a proof by the root of the domain": (
        "proof-by-another-key",
        lambda world, key: forge.proof(world.alice.key, world.anchor, "alice"),
    ),
    "with a proof by another that names it": (
        "bad-signature",
        lambda world, key: forge.proof(world.alice.key, world.anchor, "alice", public=forge.blob(key)),
    ),
    "with a proof that was made for git": ("wrong-namespace", consent(namespace="git")),
    "with a proof that was made for a rotation": (
        "wrong-namespace",
        consent(namespace="asl.common.witness-rotation"),
    ),
    "with a proof that is S + L": ("non-canonical-scalar", consent(twist=forge.plus_order)),
    "with a proof hashed with sha256": ("signature-hash", consent(hash="sha256")),
    "with a proof in lines of 76": ("signature-armour", consent(width=76)),
}


def entered(doors: Doors, proof: Proof | None, key: forge.Key) -> str:
    """Alice, who is root, takes a key into her manifest."""
    armour = proof(doors.world, key) if proof else b""
    return doors.proposal(
        doors.world.alice, {ALICE: doors.read(ALICE) + Entry("new", key, ["publisher"], armour).render().encode()}
    )


@pytest.mark.parametrize("attack", KEYS)
def test_a_key_enters_with_its_consent_alone_and_not(thrown: Thrown, attack: str) -> None:
    thrown.refused(attack, KEYS[attack][0])


def test_a_key_that_consents_enters(doors: Doors) -> None:
    proposal = entered(doors, consent(), doors.world.key("spare-1"))
    doors.host_takes(proposal, "refs/proposals/alice/twin")
    doors.consumer_takes(doors.snapshot(proposal))


TAKEN = {
    "another domain's, with a proof": ("key-of-another-domain", "james"),
    "another domain's, revoked there": ("revoked-key", "james-2"),
    "its own, under a second name": ("key-twice", "alice-2"),
}


@pytest.mark.parametrize("attack", TAKEN)
def test_a_key_belongs_to_one_domain_for_ever_and_is_not(thrown: Thrown, attack: str) -> None:
    thrown.refused(attack, TAKEN[attack][0])


def test_what_is_revoked_is_so_for_ever(doors: Doors) -> None:
    world = doors.world
    old = world.key("james-2")
    again = Entry("old", old, ["publisher"], forge.proof(old, world.anchor, "james")).render().encode()
    back = doors.proposal(world.james, {JAMES: doors.read(JAMES) + again})
    doors.both_refuse(back, "revoked-key", "refs/proposals/james/key")
    speaks = doors.proposal(world.james, {"domains/james/fix.txt": b"better\n"}, key=old)
    doors.both_refuse(speaks, "revoked-key", "refs/proposals/james/fix")


# A manifest changes


def keys(world: World, *rows: tuple[str, str, Sequence[str]], domain: str = "alice", domain_id: str = "") -> bytes:
    """A manifest of (name, key, roles), each key with its consent."""
    entries = [
        Entry(name, world.key(key), roles, forge.proof(world.key(key), world.anchor, domain))
        for name, key, roles in rows
    ]
    return forge.manifest_file(domain, *entries, domain_id=domain_id or domain)


ROOT = ("root", "alice", ["root", "publisher"])
LAPTOP = ("laptop", "alice-2", ["publisher"])
NEW = ("new", "spare-2", ["publisher"])

MANIFESTS: dict[str, tuple[str, Sequence[tuple[str, str, Sequence[str]]] | None]] = {
    "that nobody could change any more": ("no-root", [("root", "alice", ["publisher"]), LAPTOP]),
    "with two keys of one name": ("key-name-twice", [ROOT, LAPTOP, ("laptop", "spare-2", ["publisher"])]),
    "with an auditor who publishes": ("auditor-alone", [ROOT, LAPTOP, ("new", "spare-2", ["auditor", "publisher"])]),
    "with a role that is none": ("document-form", [ROOT, LAPTOP, ("new", "spare-2", ["witness"])]),
    "with a key name that is none": ("key-name", [ROOT, LAPTOP, ("Laptop", "spare-2", ["publisher"])]),
    "without the key that the policy names": ("named-key", [("root", "spare-2", ["root", "publisher"]), LAPTOP]),
    "that is deleted": ("document-deleted", None),
}


@pytest.mark.parametrize("attack", MANIFESTS)
def test_a_manifest_is_refused(thrown: Thrown, attack: str) -> None:
    thrown.refused(attack, MANIFESTS[attack][0])


def test_its_honest_twin_is_accepted(doors: Doors) -> None:
    proposal = doors.proposal(doors.world.alice, {ALICE: keys(doors.world, ROOT, LAPTOP, NEW)})
    doors.host_takes(proposal, "refs/proposals/alice/twin-manifest")
    doors.consumer_takes(doors.snapshot(proposal))


CHANGERS = {
    "a publisher of the domain": ("role-missing", "alice-2"),
    "the root of another domain": ("role-missing", "james"),
    "the witness": ("role-missing", "you"),
    "the very key that would enter": ("unknown-key", "spare-2"),
}


@pytest.mark.parametrize("attack", CHANGERS)
def test_a_manifest_is_changed_by_a_root_of_its_domain_and_not_by(thrown: Thrown, attack: str) -> None:
    thrown.refused(attack, CHANGERS[attack][0])


def test_a_record_comes_with_the_key_and_is_never_brought(doors: Doors) -> None:
    world, key = doors.world, doors.world.key("spare-2")
    record = forge.record_file(forge.line(key), "alice", [7])
    brought = {ALICE: keys(world, ROOT, LAPTOP, NEW), forge.record_path(forge.blob(key)): record}
    proposal = doors.proposal(world.alice, brought)
    doors.both_refuse(proposal, "ledger-path", "refs/proposals/alice/record")


# A domain is registered


def registered(
    doors: Doors,
    domain: str,
    *,
    domain_id: str = "",
    roles: Sequence[str] = ("root", "publisher"),
    more: dict[str, forge.Content | None] | None = None,
    second: bool = False,
) -> str:
    """A stranger with the key spare-3 registers a domain."""
    entries = [Entry("root", doors.world.key("spare-3"), roles)]
    if "root" not in roles or second:
        key = doors.world.key("spare-4")
        entries.append(Entry("other", key, ["root"], b"" if second else forge.proof(key, doors.world.anchor, domain)))
    manifest = forge.manifest_file(domain, *entries, domain_id=domain_id or domain)
    person = doors.world.stranger
    return doors.proposal(
        person, {f"domains/{domain}/domain.yaml": manifest, **(more or {})}, key=doors.world.key("spare-3")
    )


NEWCOMER = "refs/proposals/newcomer/register"


def test_a_domain_that_registers_itself_waits_for_one_endorsement(doors: Doors) -> None:
    proposal = registered(doors, "newcomer")
    doors.host_takes(proposal, NEWCOMER)
    doors.consumer_takes(doors.snapshot(proposal, [doors.endorsement(doors.world.james, proposal)]))
    doors.consumer_refuses(doors.snapshot(proposal), "endorsements-missing")
    doors.host_refuses(doors.snapshot(proposal), "endorsements-missing")


REGISTRATIONS: dict[str, tuple[str, dict[str, object]]] = {
    "that brings files": ("registration-alone", {"more": {"domains/newcomer/readme.txt": b"hello\n"}}),
    "that brings a shared file": ("registration-alone", {"more": {"shared/readme.txt": b"hello\n"}}),
    "that brings a policy": ("registration-alone", {"more": {POLICY: b"mine\n"}}),
    "that registers a second domain": (
        "registration-alone",
        {"more": {"domains/second/domain.yaml": forge.manifest_file("second")}},
    ),
    "that takes a file away": ("registration-alone", {"more": {ALICE: None}}),
    "signed by a key that is not root": ("registration-key", {"roles": ["publisher"]}),
    "with a second key that does not consent": ("key-without-proof", {"second": True}),
    "that names another domain than its path": ("manifest-domain", {"domain_id": "someone"}),
}


@pytest.mark.parametrize("attack", REGISTRATIONS)
def test_a_registration_is_refused(thrown: Thrown, attack: str) -> None:
    thrown.refused(attack, REGISTRATIONS[attack][0])


def test_a_registered_domain_is_not_registered_again(doors: Doors) -> None:
    doors.both_refuse(registered(doors, "alice"), "unknown-key", "refs/proposals/alice/register")


def test_a_member_registers_no_domain_of_its_own_besides(doors: Doors) -> None:
    manifest = forge.manifest_file("second", Entry("root", doors.world.alice.key))
    proposal = doors.proposal(doors.world.alice, {"domains/second/domain.yaml": manifest})
    doors.both_refuse(proposal, "domain-not-registered", "refs/proposals/alice/second")


def test_a_registration_comes_under_the_name_that_it_registers(doors: Doors) -> None:
    doors.host_refuses(registered(doors, "newcomer"), "ref-domain", "refs/proposals/somebody/register")


# domain, how the manifest writes it, rule
NAMES = {
    "123": ("123", "123", "document-form"),
    "123 in quotes": ("123", '"123"', "domain-id"),
    "true": ("true", "true", "document-form"),
    "true in quotes": ("true", "'true'", "domain-id"),
    "false": ("false", "false", "document-form"),
    "any": ("any", "any", "domain-id"),
    "draft": ("draft", "draft", "domain-id"),
    "0": ("0", "0", "document-form"),
    "Newcomer": ("Newcomer", "Newcomer", "domain-id"),
    "one that ends in a hyphen": ("new-", "new-", "domain-id"),
    "one that begins with a hyphen": ("-new", "'-new'", "domain-id"),
    "one with a dot": ("new.comer", "new.comer", "domain-id"),
    "one of 64 characters": ("n" * 64, "n" * 64, "domain-id"),
    "one in Cyrillic": ("аlice", "'аlice'", "domain-id"),
    "a device": ("aux", "aux", "name-device"),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_domain_may_not_be_called(thrown: Thrown, name: str) -> None:
    thrown.refused(name, NAMES[name][2])


@pytest.mark.parametrize("domain", ["123a", "true-1", "n" * 63, "7-7", "a"])
def test_a_domain_may_be_called(doors: Doors, domain: str) -> None:
    proposal = registered(doors, domain)
    doors.consumer_takes(doors.snapshot(proposal, [doors.endorsement(doors.world.james, proposal)]))


# Limits


LIMITS = {
    "no byte at all": ("proposal_bytes: 0", "document-form"),
    "no path": ("proposal_paths: 0", "document-form"),
    "no proposal that waits": ("pending_per_domain: 0", "document-form"),
    "fewer than none": ("proposal_paths: -1", "yaml-plain"),
    "as many as true": ("proposal_paths: true", "document-form"),
    "more than a number holds": ("proposal_bytes: 9223372036854775808", "document-form"),
    "a limit that is none": ("proposals: 0", "unknown-field"),
}


def policy(doors: Doors, authorities: Sequence[str] = ("you", "alice", "james"), **options: object) -> bytes:
    """The second policy, with these authorities."""
    who = {name.removesuffix("-2"): doors.world.key(name) for name in authorities}
    return forge.policy_file(who, revision=2, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("limit", LIMITS)
def test_a_policy_whose_limits_let_nothing_through_is_refused(thrown: Thrown, limit: str) -> None:
    thrown.refused(limit, LIMITS[limit][1])


def test_a_rule_that_asks_for_more_endorsements_than_there_are_authorities_is_refused(doors: Doors) -> None:
    rules = ["{match: shared/**, proposers: any, endorsements: 4}"]
    proposal = doors.proposal(doors.world.alice, {POLICY: policy(doors, paths=rules)})
    doors.both_refuse(proposal, "too-many-endorsements", "refs/proposals/alice/policy")


def test_the_least_limits_never_lock_the_policy_out(world: World) -> None:
    least = "proposal_bytes: 1, proposal_paths: 1, pending_per_domain: 1"
    for revision, limits in ((2, least), (3, "")):
        who = {one.domain: one.key for one in (world.you, world.alice, world.james)}
        content = forge.policy_file(who, revision=revision, limits=limits)
        proposal = world.propose(world.alice, {POLICY: content}, topic="policy")
        world.endorse(world.you, proposal)
        world.endorse(world.james, proposal)
        world.emit()
        assert world.snapshots()[-1] == f"common@{revision - 1}"
        if revision == 2:
            large = world.propose(world.james, {"shared/note.txt": b"two\n"}, topic="large", check=False)
            assert large.push
            refused(large.push, "proposal-bytes")


# Authorities


def test_nobody_is_made_an_authority_without_endorsing_it(doors: Doors) -> None:
    world = doors.world
    proposal = doors.proposal(world.alice, {POLICY: policy(doors, ("you", "alice", "james", "stranger"))})
    willing = [doors.endorsement(one, proposal) for one in (world.you, world.alice, world.james)]
    conscripted = doors.snapshot(proposal, willing)
    doors.consumer_refuses(conscripted, "endorsements-missing")
    doors.host_refuses(conscripted, "endorsements-missing")
    doors.consumer_takes(doors.snapshot(proposal, [*willing, doors.endorsement(world.stranger, proposal)]))


def test_a_conscript_s_other_key_is_not_its_endorsement(doors: Doors) -> None:
    world = doors.world
    proposal = doors.proposal(world.alice, {POLICY: policy(doors, ("you", "alice", "james", "stranger"))})
    tags = [doors.endorsement(one, proposal) for one in (world.you, world.alice)]
    tags.append(doors.endorsement(world.stranger, proposal, key=world.key("spare-5")))
    doors.consumer_refuses(doors.snapshot(proposal, tags), "endorsement-does-not-count")


def test_a_key_is_not_freed_together_with_the_policy_that_names_it(world: World) -> None:
    """Alice lost her first key. The policy goes over to her second one first, then the first key leaves."""
    doors = Doors(peopled(world))
    freed = keys(world, ("first", "spare-6", ["root"]), LAPTOP)
    moved = policy(doors, ("you", "alice-2", "james"))
    together = doors.proposal(world.alice, {ALICE: freed, POLICY: moved})
    doors.both_refuse(together, "named-key", "refs/proposals/alice/together")
    doors.host_refuses(doors.proposal(world.alice, {ALICE: freed}), "named-key", "refs/proposals/alice/alone")
    witness = forge.manifest_file("you", Entry("new", world.key("spare-7")))
    left = doors.proposal(world.you, {"domains/you/domain.yaml": witness})
    doors.host_refuses(left, "named-key", "refs/proposals/you/alone")
    first = world.propose(world.alice, {POLICY: moved}, topic="policy")
    world.endorse(world.you, first)
    world.endorse(world.james, first)
    world.emit()
    accepted(world.propose(world.alice, {ALICE: freed}, topic="manifest").push)  # type: ignore[arg-type]
    world.emit()
    assert world.snapshots()[-1] == "common@5"


# Points


def wire(point: int) -> bytes:
    """A public key of this point in SSH's wire form."""
    return forge.ssh_string(b"ssh-ed25519") + forge.ssh_string(point.to_bytes(32, "little"))


POINTS = {
    "the identity": (1, "small-order-point"),
    "the identity with the sign of no x": (1 | SIGN, "small-order-point"),
    "a point of order 2": (P - 1, "small-order-point"),
    "a point of order 2 with the sign of no x": (P - 1 | SIGN, "small-order-point"),
    "a point of order 4": (0, "small-order-point"),
    "the other point of order 4": (SIGN, "small-order-point"),
    "a point of order 8": (Y8, "small-order-point"),
    "a second point of order 8": (Y8 | SIGN, "small-order-point"),
    "a third point of order 8": (P - Y8, "small-order-point"),
    "the fourth point of order 8": ((P - Y8) | SIGN, "small-order-point"),
    "the field prime, which is 0": (P, "non-canonical-point"),
    "the field prime and 1, which is the identity": (P + 1, "non-canonical-point"),
    "the greatest that 255 bits hold": (2**255 - 1, "non-canonical-point"),
    "the greatest, with the sign": (2**256 - 1, "non-canonical-point"),
}


@pytest.mark.parametrize("point", POINTS)
def test_no_manifest_holds_a_key_that_is(thrown: Thrown, point: str) -> None:
    thrown.refused(point, POINTS[point][1])


def signed_by_hand(
    doors: Doors, changes: dict[str, forge.Content | None], public: bytes, raw: Callable[[bytes], bytes]
) -> str:
    """A proposal whose 64 bytes of Ed25519 `raw` makes of what is signed; `public` is the blob of the key it names."""
    ident = doors.world.alice.ident
    tree = forge.changed(doors.bench, doors.tip, changes)
    parts = {"tree": tree, "parents": [doors.tip], "message": "A change\n", "author": ident, "committer": ident}
    payload = forge.commit_content(key=None, **parts)  # type: ignore[arg-type]
    head = forge.ssh_string(b"git") + forge.ssh_string(b"") + forge.ssh_string(b"sha512")
    signed = b"SSHSIG" + head + forge.ssh_string(hashlib.sha512(payload).digest())
    inner = forge.ssh_string(forge.ssh_string(b"ssh-ed25519") + forge.ssh_string(raw(signed)))
    armour = forge.armour(b"SSHSIG" + (1).to_bytes(4, "big") + forge.ssh_string(public) + head + inner)
    return forge.commit(doors.bench, key=None, signature=armour, **parts)  # type: ignore[arg-type]


def nothing_for_a_nonce(key: forge.Key) -> Callable[[bytes], bytes]:
    """A signature by the key itself whose R is the identity: the equation holds without cofactor."""
    private = forge.private(key)
    seed = private.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    digest = bytearray(hashlib.sha512(seed).digest()[:32])
    digest[0] &= 248
    digest[31] = digest[31] & 127 | 64
    scalar = int.from_bytes(digest, "little")

    def sign(signed: bytes) -> bytes:
        k = hashlib.sha512(IDENTITY + private.public_key().public_bytes_raw() + signed).digest()
        s = int.from_bytes(k, "little") * scalar % forge.GROUP_ORDER
        raw = IDENTITY + s.to_bytes(32, "little")
        private.public_key().verify(raw, signed)  # stock libraries take it
        return raw

    return sign


def test_a_signature_under_which_anything_is_signed_registers_nobody(doors: Doors) -> None:
    """With the identity for a key, R = B and S = 1 sign every message; stock libraries verify it."""
    universal = BASE_POINT + (1).to_bytes(32, "little")
    Ed25519PublicKey.from_public_bytes(IDENTITY).verify(universal, b"whatever")
    line = "ssh-ed25519 " + base64.b64encode(wire(1)).decode()
    manifest = forge.manifest_file("newcomer") + f"  - {{name: root, key: {line}, roles: [root]}}\n".encode()
    changes: dict[str, forge.Content | None] = {"domains/newcomer/domain.yaml": manifest}
    proposal = signed_by_hand(doors, changes, wire(1), lambda signed: universal)
    doors.both_refuse(proposal, "small-order-point", NEWCOMER)


FIX: dict[str, forge.Content | None] = {"domains/alice/fix.txt": b"better\n"}


def test_a_signature_without_a_nonce_is_refused(doors: Doors) -> None:
    key = doors.world.alice.key
    proposal = signed_by_hand(doors, FIX, forge.blob(key), nothing_for_a_nonce(key))
    doors.both_refuse(proposal, "small-order-point", "refs/proposals/alice/nonce")


@pytest.mark.parametrize("point", POINTS)
def test_no_signature_has_for_its_point(thrown: Thrown, point: str) -> None:
    thrown.refused(f"signed with {point}", POINTS[point][1])


def pointed(doors: Doors, point: int) -> str:
    """A proposal whose signature has this point, and a scalar of another."""
    key = doors.world.alice.key
    return signed_by_hand(
        doors, FIX, forge.blob(key), lambda signed: point.to_bytes(32, "little") + forge.private(key).sign(signed)[32:]
    )


def test_a_signature_made_by_hand_as_it_should_be_is_accepted(doors: Doors) -> None:
    key = doors.world.alice.key
    proposal = signed_by_hand(doors, FIX, forge.blob(key), lambda signed: forge.private(key).sign(signed))
    doors.host_takes(proposal, "refs/proposals/alice/hand")
    doors.consumer_takes(doors.snapshot(proposal))


# Lines that are no key of a ledger


BLOB = base64.b64encode(forge.ssh_string(b"ssh-ed25519") + forge.ssh_string(BASE_POINT)).decode()

LINES = {
    "of a type that is not taken": ("ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAAQ==", "key-type-not-taken"),
    "of a curve that is not taken": ("ecdsa-sha2-nistp256 AAAA", "key-type-not-taken"),
    "of a certificate": (f"ssh-ed25519-cert-v01@openssh.com {BLOB}", "certificate-not-taken-here"),
    "with a comment": (f"ssh-ed25519 {BLOB} alice", "malformed-key"),
    "with options": (f"restrict ssh-ed25519 {BLOB}", "malformed-key"),
    "cut off": (f"ssh-ed25519 {BLOB[:-4]}", "malformed-key"),
    "with bytes after its end": (f"ssh-ed25519 {BLOB}AAAA", "malformed-key"),
    "whose wire form says another type": (
        "ssh-ed25519 " + base64.b64encode(forge.ssh_string(b"ssh-rsa") + forge.ssh_string(bytes(32))).decode(),
        "malformed-key",
    ),
}


@pytest.mark.parametrize("line", LINES)
def test_no_manifest_holds_a_line(thrown: Thrown, line: str) -> None:
    thrown.refused(line, LINES[line][1])


def keyed(doors: Doors, line: str) -> str:
    """Alice takes a line into her manifest as a key."""
    added = f'  - name: new\n    key: "{line}"\n    roles: [publisher]\n'.encode()
    return doors.proposal(doors.world.alice, {ALICE: doors.read(ALICE) + added})


@pytest.fixture(scope="module")
def thrown(doors: Doors) -> Thrown:
    """All these tables in one push; each attack also in a snapshot that accepts it."""
    table, world = Thrown(doors), doors.world
    for name, (_, proof) in KEYS.items():
        table.propose(name, entered(doors, proof, world.key("spare-1")))
    for name, (_, key) in TAKEN.items():
        table.propose(name, entered(doors, consent(), world.key(key)))
    for name, (_, rows) in MANIFESTS.items():
        table.propose(name, doors.proposal(world.alice, {ALICE: keys(world, *rows) if rows else None}))
    for name, (_, key) in CHANGERS.items():
        changed = {ALICE: keys(world, ROOT, LAPTOP, NEW)}
        table.propose(name, doors.proposal(world.alice, changed, key=world.key(key)))
    for name, (_, attack) in REGISTRATIONS.items():
        table.propose(name, registered(doors, "newcomer", **attack), "newcomer")  # type: ignore[arg-type]
    for name, (domain, written, _) in NAMES.items():
        named = domain if re.fullmatch(r"[a-z0-9]+", domain) and len(domain) < 64 else "newcomer"
        table.propose(name, registered(doors, domain, domain_id=written), named)
    for name, (limit, _) in LIMITS.items():
        table.propose(name, doors.proposal(world.alice, {POLICY: policy(doors, limits=limit)}))
    for name, (point, _) in POINTS.items():
        table.propose(name, keyed(doors, "ssh-ed25519 " + base64.b64encode(wire(point)).decode()))
        table.propose(f"signed with {name}", pointed(doors, point))
    for name, (line, _) in LINES.items():
        table.propose(name, keyed(doors, line))
    return table
