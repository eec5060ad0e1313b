"""Certificates: what a node may do by one, and by which it may do nothing (spec 13)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import forge
import pytest
from doors import Doors, Thrown
from forge import Entry
from spoken import said
from world import Templates, World

from gitledger.errors import LedgerError
from gitledger.objects.store import ABSENT
from gitledger.roles import gate, status, witness
from gitledger.rules.advance import advance

pytestmark = pytest.mark.long

ALICE = "domains/alice/domain.yaml"
JAMES = "domains/james/domain.yaml"
BOTH = ("executor@alice", "publisher@alice")
FOR_ALICE = "Rescued\n\nLedger-Domain: alice\n"
DAY = 86400
GRACE = 10 * DAY
REVOKED = 13
END = forge.FAR

# In the manifest of alice: root, who certifies; laptop, who publishes; and once old, who certified and has left.
# spare-4 is a node whose work for alice was accepted, spare-5 one of james. spare-2 and spare-3 are nodes to be.


def manifest(world: World, *, old: bool) -> bytes:
    entries = [
        Entry("root", world.alice.key, ["root", "publisher"], certifies=["executor", "publisher"]),
        Entry("laptop", world.key("alice-2"), ["publisher"], forge.proof(world.key("alice-2"), world.anchor, "alice")),
    ]
    if old:
        gone = world.key("spare-1")
        consent = forge.proof(gone, world.anchor, "alice")
        entries.append(Entry("old", gone, ["root"], consent, certifies=["executor", "publisher"]))
    return forge.manifest_file("alice", *entries) + f"revoked_serials: [12, {REVOKED}]\n".encode()


def peopled(world: World) -> World:
    """A host where alice and james certify, and each has a node whose work a snapshot accepted."""
    world.make_host(limits="certificate_grace: 10d", registration="open")
    world.propose(world.alice, {ALICE: manifest(world, old=True)}, topic="keys")
    whole = Entry("root", world.james.key, ["root", "publisher"], certifies=["executor", "publisher"])
    world.propose(world.james, {JAMES: forge.manifest_file("james", whole)}, topic="keys")
    world.emit()
    world.propose(world.alice, {ALICE: manifest(world, old=False)}, topic="left")
    world.emit()
    for person, key in ((world.alice, "spare-4"), (world.james, "spare-5")):
        domain, node = person.domain, world.key(key)
        certificate = forge.certificate(node, person.key, [f"publisher@{domain}"], before=END)
        oid = forge.proposal(
            world.bench(),
            world.tip,
            {f"domains/{domain}/first.txt": b"first\n"},
            node,
            f"First\n\nLedger-Domain: {domain}\n",
            seconds=world.tick(),
            public=certificate,
        )
        assert world.offer(oid, f"refs/proposals/{domain}/first").returncode == 0
        assert not world.emit().refused
    assert world.snapshots()[-1] == "common@5"
    return world


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory, templates: Templates) -> Doors:
    return Doors(peopled(World(tmp_path_factory.mktemp("certificates"), templates)))


def certified(
    doors: Doors, node: str = "spare-2", *, by: Path | None = None, to: Sequence[str] = BOTH, **fields: Any
) -> bytes:
    """A certificate of a node's key, by alice's root for what it certifies, unless `fields` of it are others."""
    return forge.certificate(doors.world.key(node), by or doors.world.alice.key, to, **{"before": END, **fields})


def worked(
    doors: Doors,
    certificate: bytes | None,
    node: str | Path = "spare-2",
    *,
    message: str = FOR_ALICE,
    path: str = "domains/alice/rescued.txt",
    content: forge.Content = b"rescued\n",
    seconds: int = 0,
    base: str = "",
) -> str:
    """What a node commits and signs; `certificate` is what stands in the signature, None its plain key."""
    key = doors.world.key(node) if isinstance(node, str) else node
    now = seconds or doors.world.tick()
    return forge.proposal(
        doors.bench, base or doors.tip, {path: content}, key, message, seconds=now, public=certificate
    )


# The honest twins


@pytest.mark.parametrize("node", ["spare-2", "spare-4"], ids=["at first use", "later"])
def test_a_node_publishes_by_its_certificate(doors: Doors, node: str) -> None:
    proposal = worked(doors, certified(doors, node), node)
    doors.host_takes(proposal, f"refs/proposals/alice/twin-{node}")
    doors.consumer_takes(doors.snapshot(proposal))


def test_what_an_executor_makes_waits_for_its_release(doors: Doors) -> None:
    proposal = worked(doors, certified(doors, to=["executor@alice"]))
    doors.host_takes(proposal, "refs/proposals/alice/executed")
    doors.consumer_refuses(doors.snapshot(proposal), "release-missing")
    tag = forge.release(doors.bench, proposal, doors.world.key("alice-2"))
    doors.host_takes(tag, f"refs/releases/{proposal}/laptop")
    doors.consumer_takes(doors.snapshot(proposal, mergetags=[forge.read_object(doors.bench, tag)]))


def test_roles_that_are_not_certified_are_left_out_of_those_that_are(doors: Doors) -> None:
    extra = certified(doors, to=["publisher@alice", "producer@alice", "publisher@james"])
    doors.consumer_takes(doors.snapshot(worked(doors, extra)))


# Each stands in a proposal that is signed by its node and says that it is for alice

Bent = Callable[[Doors], bytes | None]


def bent(**fields: Any) -> Bent:
    return lambda doors: certified(doors, **fields)


def by(key: Callable[[World], Path], **fields: Any) -> Bent:
    return lambda doors: certified(doors, by=key(doors.world), **fields)


CERTIFICATES: Mapping[str, tuple[str, Bent]] = {
    "taken off, which leaves the plain key": ("unknown-key", lambda doors: None),
    "exchanged for one of another domain": (
        "certificate-signer",
        by(lambda world: world.james.key, to=["publisher@james"]),
    ),
    "exchanged for one by another domain with our roles": ("certificate-signer", by(lambda world: world.james.key)),
    "exchanged for that of another node": ("bad-signature", bent(node="spare-3")),
    "by a key of the domain that certifies nothing": ("certificate-signer", by(lambda world: world.key("alice-2"))),
    "by a key that has left the domain": ("certificate-signer", by(lambda world: world.key("spare-1"))),
    "by a stranger": ("certificate-signer", by(lambda world: world.stranger.key)),
    "by the node itself": ("certificate-signer", by(lambda world: world.key("spare-2"))),
    "by a stranger who writes that it is by alice": (
        "bad-signature",
        lambda doors: certified(doors, by=doors.world.stranger.key, named=doors.world.alice.key),
    ),
    "for a role that is not certified": ("certificate-roles", bent(to=["producer@alice"])),
    "for root": ("certificate-roles", bent(to=["root@alice"])),
    "for an auditor": ("certificate-roles", bent(to=["auditor@alice"])),
    "for roles at another domain alone": ("certificate-roles", bent(to=["publisher@james", "executor@james"])),
    "for nobody": ("certificate-principals", bent(to=[])),
    "for everybody": ("certificate-principals", bent(to=["*"])),
    "for every role": ("certificate-principals", bent(to=["*@alice"])),
    "for the domain": ("certificate-principals", bent(to=["alice"])),
    "for a role twice": ("certificate-principals", bent(to=["publisher@alice", "publisher@alice"])),
    "for a role and a login": ("certificate-principals", bent(to=["publisher@alice", "root"])),
    "for a host": ("certificate-kind", bent(kind=2)),
    "of a kind that is none": ("certificate-form", bent(kind=3)),
    "with a critical option": ("certificate-critical", bent(critical=["force-command"])),
    "that ended before it was signed": ("certificate-expired", bent(before=forge.START + 1)),
    "that begins later than it was signed": ("certificate-not-yet", bent(after=END - 1)),
    "that is revoked": ("certificate-revoked", bent(serial=REVOKED)),
    "with the serial that nobody chose": ("certificate-serial", bent(serial=0)),
    "with a serial that can't be written down": ("certificate-serial", bent(serial=1 << 63)),
    "with the greatest serial": ("certificate-serial", bent(serial=(1 << 64) - 1)),
}


@pytest.mark.parametrize("attack", CERTIFICATES)
def test_no_node_acts_by_a_certificate(thrown: Thrown, attack: str) -> None:
    thrown.refused(attack, CERTIFICATES[attack][0])


# Each has the honest certificate, and is wrong otherwise

Attack = Callable[[Doors], str]

PROPOSALS: Mapping[str, tuple[str, Attack, str]] = {
    "that does not say for whom": (
        "certificate-domain",
        lambda doors: worked(doors, certified(doors), message="Rescued\n"),
        "alice",
    ),
    "that says another domain": (
        "certificate-signer",
        lambda doors: worked(doors, certified(doors), message="Rescued\n\nLedger-Domain: james\n"),
        "james",
    ),
    "that says a domain that is none": (
        "domain-not-registered",
        lambda doors: worked(doors, certified(doors), message="Rescued\n\nLedger-Domain: nobody\n"),
        "nobody",
    ),
    "in another domain's place": (
        "other-domains-path",
        lambda doors: worked(doors, certified(doors), path="domains/james/rescued.txt"),
        "alice",
    ),
    "of an executor on a shared path": (
        "role-missing",
        lambda doors: worked(doors, certified(doors, to=["executor@alice"]), path="shared/rescued.txt"),
        "alice",
    ),
    "that changes the manifest": (
        "role-missing",
        lambda doors: worked(doors, certified(doors), path=ALICE, content=manifest(doors.world, old=False)[:-7]),
        "alice",
    ),
    "that changes who publishes": (
        "role-missing",
        lambda doors: worked(
            doors,
            certified(doors),
            path="domains/alice/policies/publish.yaml",
            content=b"artifact_type: asl.domain.publish\nversion: 0.1\nrules: []\n",
        ),
        "alice",
    ),
    "of a node of another domain": (
        "key-of-another-domain",
        lambda doors: worked(doors, certified(doors, "spare-5"), "spare-5"),
        "alice",
    ),
    "of a node with a record, by its plain key": (
        "role-missing",
        lambda doors: worked(doors, None, "spare-4"),
        "alice",
    ),
    "of a key that stands in the manifest": (
        "certificate-of-a-member",
        lambda doors: worked(doors, certified(doors, "alice-2"), "alice-2"),
        "alice",
    ),
    "of the very key that certifies": (
        "certificate-of-a-member",
        lambda doors: worked(
            doors, forge.certificate(doors.world.alice.key, doors.world.alice.key, BOTH), doors.world.alice.key
        ),
        "alice",
    ),
    "of a key that stands in another manifest": (
        "key-of-another-domain",
        lambda doors: worked(
            doors, forge.certificate(doors.world.james.key, doors.world.alice.key, BOTH), doors.world.james.key
        ),
        "alice",
    ),
    "of a key that was revoked": (
        "revoked-key",
        lambda doors: worked(doors, certified(doors, "spare-1"), "spare-1"),
        "alice",
    ),
    "that registers a domain for itself": (
        "domain-not-registered",
        lambda doors: worked(
            doors,
            certified(doors, by=doors.world.key("spare-6"), to=["publisher@newcomer"]),
            message="Register\n\nLedger-Domain: newcomer\n",
            path="domains/newcomer/domain.yaml",
            content=forge.manifest_file(
                "newcomer", Entry("root", doors.world.key("spare-6"), ["root"], certifies=["publisher"])
            ),
        ),
        "newcomer",
    ),
    "that registers a domain for the one that certified it": (
        "domain-not-registered",
        lambda doors: worked(
            doors,
            certified(doors),
            path="domains/newcomer/domain.yaml",
            content=forge.manifest_file("newcomer", Entry("root", doors.world.key("spare-2"), ["root"])),
        ),
        "alice",
    ),
}


@pytest.mark.parametrize("attack", PROPOSALS)
def test_no_node_proposes_anything(thrown: Thrown, attack: str) -> None:
    thrown.refused(attack, PROPOSALS[attack][0])


MANIFESTS: Mapping[str, tuple[str, Callable[[World], Entry]]] = {
    "that certifies root": ("certifies-root", lambda world: at_root(world, ["root"])),
    "that certifies root among others": ("certifies-root", lambda world: at_root(world, ["executor", "root"])),
    "that certifies auditors": ("certifies-root", lambda world: at_root(world, ["auditor"])),
    "that certifies nothing": ("document-form", lambda world: at_root(world, [""])),
    "that certifies a role twice": ("role-twice", lambda world: at_root(world, ["executor", "executor"])),
    "where an auditor certifies": (
        "auditor-alone",
        lambda world: Entry(
            "audits",
            world.key("spare-6"),
            ["auditor"],
            forge.proof(world.key("spare-6"), world.anchor, "james"),
            certifies=["executor"],
        ),
    ),
}


def at_root(world: World, roles: Sequence[str]) -> Entry:
    return Entry("root", world.james.key, ["root", "publisher"], certifies=roles)


@pytest.mark.parametrize("attack", MANIFESTS)
def test_no_manifest_stands(thrown: Thrown, attack: str) -> None:
    thrown.refused(f"manifest {attack}", MANIFESTS[attack][0])


@pytest.fixture(scope="module")
def thrown(doors: Doors) -> Thrown:
    """Every attack of the tables, in one push."""
    thrown = Thrown(doors)
    for name, (_, make) in CERTIFICATES.items():
        thrown.propose(name, worked(doors, make(doors)))
    for name, (_, attack, domain) in PROPOSALS.items():
        thrown.propose(name, attack(doors), domain)
    for name, (_, entry) in MANIFESTS.items():
        made = entry(doors.world)
        entries = [made] if made.name == "root" else [at_root(doors.world, ["executor"]), made]
        changed = doors.proposal(doors.world.james, {JAMES: forge.manifest_file("james", *entries)})
        thrown.propose(f"manifest {name}", changed, "james")
    return thrown


# Time


def test_late_work_is_accepted_up_to_the_grace_and_not_a_second_later(doors: Doors) -> None:
    proposal = worked(doors, certified(doors), seconds=END - 1)
    doors.consumer_takes(doors.snapshot(proposal, seconds=END + GRACE))
    late = doors.snapshot(proposal, seconds=END + GRACE + 1)
    doors.consumer_refuses(late, "certificate-grace")
    doors.host_refuses(late, "certificate-grace")


def test_a_host_does_not_take_what_its_witness_could_only_refuse(world: World) -> None:
    world.make_host(limits="certificate_grace: 10d", registration="open")
    world.propose(world.alice, {ALICE: manifest(world, old=False)}, topic="keys")
    world.emit()
    doors, ends = Doors(world), world.now - 41 * DAY
    late = worked(doors, certified(doors, before=ends), seconds=ends - 2)
    told = said(doors.host_refuses(late, "certificate-grace", "refs/proposals/alice/later"))
    for words in (" ago [certificate-grace]", "gitledger node grant NODE.pub --roles executor,publisher --for 8h"):
        assert words in told
    doors.host_takes(worked(doors, certified(doors), seconds=ends - 2), "refs/proposals/alice/later")


def test_what_comes_too_late_is_told_so_by_all_who_ask(world: World) -> None:
    """No clock says that the grace is over, and the newest snapshot does: the next is not dated before it."""
    world.make_host(limits="certificate_grace: 0d", registration="open")
    world.propose(world.alice, {ALICE: manifest(world, old=False)}, topic="keys")
    world.emit()
    doors, ends = Doors(world), world.now + 1000
    late = worked(doors, certified(doors, before=ends))
    told = doors.host_takes(doors.proposal(world.james, {"domains/james/x.txt": b"x\n"}), "refs/proposals/james/x")
    assert "it becomes common@2" in told.stderr
    assert world.emit(seconds=ends + 1).ready
    forge.git(world.host, "fetch", "-q", str(doors.bench), late)
    place, now = world.place(), world.tick()
    (pushed,) = gate.decide(place, [gate.Update(ABSENT, late, "refs/proposals/alice/late")], now).refused
    forge.set_ref(world.host, "refs/proposals/alice/late", late)
    with world.acting(world.you):
        (own,) = status.status(place, forge.key_id(world.key("spare-2")), now=now).own
        planned = witness.plan(place, world.you.key_id, now=now).refused
    refused = world.emit(seconds=now).refused
    errors = [pushed[1], own.error, planned[0].error, refused[0].error]
    assert [error and error.rule for error in errors] == ["certificate-grace"] * 4


def test_a_stolen_key_that_dates_its_work_back_comes_too_late_under_an_honest_witness(doors: Doors) -> None:
    """Once the grace is over, whoever holds the key can date a proposal as he likes: no honest snapshot accepts it."""
    stolen = worked(doors, certified(doors), seconds=forge.START + 1)
    doors.consumer_refuses(doors.snapshot(stolen, seconds=END + GRACE + 30 * DAY), "certificate-grace")


def test_a_witness_dates_a_snapshot_back_to_the_one_before_it_and_no_further(doors: Doors) -> None:
    """What a hostile witness can do with the stolen key: as long as the newest snapshot is within the grace, it can
    date the next one so, too. Once any snapshot stands that is dated past it, nothing brings the work in."""
    within = doors.proposal(doors.world.james, {"domains/james/a.txt": b"a\n"})
    past = doors.snapshot(within, seconds=END + GRACE + 1)
    doors.consumer_takes(past)
    stolen = worked(doors, certified(doors), seconds=END - 1)
    doors.consumer_takes(doors.snapshot(stolen, seconds=END + GRACE))
    after = worked(doors, certified(doors), seconds=END - 1, base=past)
    followed = forge.snapshot(doors.bench, past, after, doors.world.you.key, seconds=END + GRACE)
    refused_after(doors, past, followed, "time-backwards")
    honest = forge.snapshot(doors.bench, past, after, doors.world.you.key, seconds=END + GRACE + 2)
    refused_after(doors, past, honest, "certificate-grace")


def refused_after(doors: Doors, before: str, oid: str, rule: str) -> None:
    """A consumer that has verified `before`, which the host does not have, refuses the next one for this rule."""
    trusted = advance(doors.trusted, before)
    with pytest.raises(LedgerError) as caught:
        advance(trusted, oid)
    assert caught.value.rule == rule


# One key, several certificates


def test_a_proposal_in_another_certificate_of_the_same_key_is_accepted_once(doors: Doors) -> None:
    """A signature does not cover its certificate, so whoever has two of one key and domain can exchange them. Which one
    stands there says what the proposal may do; one command is done once."""
    proposal = worked(doors, certified(doors), message=f"{FOR_ALICE}Ledger-Reorder: any\n")
    content = forge.read_object(doors.bench, proposal)
    signed = forge.sshsig(doors.world.key("spare-2"), unsigned(content), public=certified(doors, serial=8))
    head, _, rest = content.partition(b"gpgsig ")
    other = forge.write_object(
        doors.bench,
        "commit",
        head + forge.folded(b"gpgsig", signed) + rest.partition(b"-----END SSH SIGNATURE-----\n")[2],
    )
    assert other != proposal
    first = doors.snapshot(proposal)
    doors.consumer_takes(first)
    doors.consumer_takes(doors.snapshot(other))
    twice = forge.snapshot(doors.bench, first, other, doors.world.you.key)
    refused_after(doors, first, twice, "salt-used")


def unsigned(content: bytes) -> bytes:
    head, _, rest = content.partition(b"gpgsig ")
    return head + rest.partition(b"-----END SSH SIGNATURE-----\n")[2]


def test_a_foreign_domain_that_certifies_somebody_s_node_first_keeps_it_from_nothing(doors: Doors) -> None:
    """James certifies alice's node, and exchanges the certificate in what it signed: refused, and no record is made."""
    foreign = certified(doors, "spare-3", by=doors.world.james.key, to=["publisher@james"])
    doors.both_refuse(worked(doors, foreign, "spare-3"), "certificate-signer", "refs/proposals/james/taken")
    proposal = worked(doors, certified(doors, "spare-3"), "spare-3")
    doors.consumer_takes(doors.snapshot(proposal))


# A node that joins


def test_a_node_that_enters_its_domain_s_manifest_keeps_its_record_and_needs_no_certificate(doors: Doors) -> None:
    world, node = doors.world, doors.world.key("spare-4")
    consent = forge.proof(node, world.anchor, "alice")
    text = manifest(world, old=False).decode()
    entry = Entry("rescue", node, ["publisher"], consent).render()
    joined = text.replace("revoked_serials", f"{entry}revoked_serials")
    taken = doors.proposal(world.alice, {ALICE: joined.encode()})
    snapshot = keeping_record(doors, taken, node)
    doors.consumer_takes(snapshot)
    with_it = worked(doors, certified(doors, "spare-4"), "spare-4", base=snapshot)
    accepting = forge.snapshot(doors.bench, snapshot, with_it, world.you.key)
    refused_after(doors, snapshot, accepting, "certificate-of-a-member")
    plain = worked(doors, None, "spare-4", base=snapshot, message="Rescued\n")
    doors.consumer_takes(snapshot, forge.snapshot(doors.bench, snapshot, plain, world.you.key))


def keeping_record(doors: Doors, proposal: str, node: Path) -> str:
    """The snapshot that takes a node into its manifest: its record stays as it is."""
    path = forge.record_path(forge.blob(node))
    held = forge.next_files(doors.bench, doors.tip, proposal)
    kept = {**held, path: forge.files(doors.bench, doors.tip)[path]}
    root = forge.tree_of(doors.bench, kept)
    return doors.snapshot(proposal, tree=root, lines={"Content": forge.tree_digest(doors.bench, root)})


def test_a_node_enters_no_other_domain_s_manifest(doors: Doors) -> None:
    world, node = doors.world, doors.world.key("spare-4")
    entry = Entry("theirs", node, ["publisher"], forge.proof(node, world.anchor, "james"))
    entries = (at_root(world, ["executor"]), entry)
    proposal = doors.proposal(world.james, {JAMES: forge.manifest_file("james", *entries)})
    doors.both_refuse(proposal, "key-of-another-domain", "refs/proposals/james/theirs")


REKEYED = "Rekey james\n\nLedger-Domain: alice\n"


@pytest.mark.parametrize(("enters", "rule"), [("spare-2", "key-of-another-domain"), ("spare-3", "")])
def test_a_node_that_gives_a_domain_new_keys_is_none_of_them(world: World, enters: str, rule: str) -> None:
    """It spoke for alice, who is its domain from then on, though no record said so before."""
    world.make_host(rekey="quorum", registration="open")
    world.propose(world.alice, {ALICE: manifest(world, old=False)}, topic="keys")
    world.emit()
    doors = Doors(world)
    entering = world.key(enters)
    entry = Entry("theirs", entering, ["root"], forge.proof(entering, world.anchor, "james"))
    held = doors.read(JAMES) + entry.render().encode()
    certificate = certified(doors, to=["publisher@alice"])
    proposal = worked(doors, certificate, message=REKEYED, path=JAMES, content=held)
    if rule:
        doors.both_refuse(proposal, rule, "refs/proposals/alice/rekey")
        return
    doors.host_takes(proposal, "refs/proposals/alice/rekey")
    doors.consumer_takes(
        doors.snapshot(proposal, [doors.endorsement(one, proposal) for one in (world.alice, world.you)])
    )


# On anything but a proposal

PLAIN = "certificate-not-taken-here"


def own(doors: Doors, key: Path) -> bytes:
    """A certificate of a key that may sign what it signs, by alice's root."""
    return forge.certificate(key, doors.world.alice.key, BOTH, before=END)


def test_no_endorsement_has_a_certificate(doors: Doors) -> None:
    proposal = worked(doors, certified(doors))
    person = doors.world.james
    tag = doors.endorsement(person, proposal, public=own(doors, person.key))
    doors.host_takes(proposal, "refs/proposals/alice/endorsed")
    doors.host_refuses(tag, PLAIN, f"refs/endorsements/{proposal}/james")
    doors.consumer_refuses(doors.snapshot(proposal, mergetags=[forge.read_object(doors.bench, tag)]), PLAIN)


def test_no_release_has_a_certificate(doors: Doors) -> None:
    proposal = worked(doors, certified(doors, to=["executor@alice"]))
    doors.host_takes(proposal, "refs/proposals/alice/released")
    for key, public, rule in (
        (doors.world.key("alice-2"), own(doors, doors.world.key("alice-2")), PLAIN),
        (doors.world.key("spare-3"), certified(doors, "spare-3"), PLAIN),
        (doors.world.key("spare-3"), None, "release-does-not-count"),
    ):
        tag = forge.release(doors.bench, proposal, key, public=public)
        doors.host_refuses(tag, rule, f"refs/releases/{proposal}/laptop")
        doors.consumer_refuses(doors.snapshot(proposal, mergetags=[forge.read_object(doors.bench, tag)]), rule)


def test_no_withdrawal_and_no_refusal_has_a_certificate(doors: Doors) -> None:
    proposal = worked(doors, certified(doors))
    doors.host_takes(proposal, "refs/proposals/alice/withdrawn")
    ref = f"refs/refusals/{proposal}"
    alice, you = doors.world.alice.key, doors.world.you.key
    doors.host_refuses(forge.withdrawal(doors.bench, proposal, alice, public=own(doors, alice)), PLAIN, ref)
    node = doors.world.key("spare-2")
    doors.host_refuses(forge.withdrawal(doors.bench, proposal, node, public=certified(doors)), PLAIN, ref)
    said = {"at": "common@5", "reason": "no-change it changes nothing"}
    doors.host_refuses(forge.refusal(doors.bench, proposal, you, public=own(doors, you), **said), PLAIN, ref)
    doors.host_takes(forge.withdrawal(doors.bench, proposal, alice), ref)


def test_no_snapshot_has_a_certificate(doors: Doors) -> None:
    you = doors.world.you.key
    proposal = worked(doors, certified(doors))
    snapshot = doors.snapshot(proposal, public=own(doors, you))
    doors.consumer_refuses(snapshot, PLAIN)
    doors.host_refuses(snapshot, PLAIN)


def test_no_proof_has_a_certificate(doors: Doors) -> None:
    key = doors.world.key("spare-7")
    consent = forge.proof(key, doors.world.anchor, "james", public=own(doors, key))
    entries = (at_root(doors.world, ["executor"]), Entry("new", key, ["publisher"], consent))
    proposal = doors.proposal(doors.world.james, {JAMES: forge.manifest_file("james", *entries)})
    doors.both_refuse(proposal, PLAIN, "refs/proposals/james/proof")


def test_no_endorsement_of_a_rotation_has_a_certificate(doors: Doors) -> None:
    world, bench = doors.world, doors.bench
    to = ("james", world.james.key)
    made = forge.rotation(bench, doors.tip, to)
    where = f"refs/rotations/{made.hash.hex()}"
    draft = forge.write_object(bench, "blob", made.render())
    keys = {"alice": world.alice.key, "james": world.james.key}
    signed = {d: forge.rotation_endorsement(made.hash, key, public=own(doors, key)) for d, key in keys.items()}
    blob = forge.write_object(bench, "blob", signed["alice"])
    done = doors.pushed({f"{where}/draft": draft, f"{where}/alice": blob})
    assert done.returncode and f"[{PLAIN}]" in done.stderr and done.before == done.after
    entries = [(domain, forge.key_id(key), signed[domain]) for domain, key in keys.items()]
    artifact = forge.rotation_file(bench, doors.tip, to, entries=entries)
    doors.consumer_refuses(forge.rotating(bench, doors.tip, artifact, world.james.key), PLAIN)
    honest = forge.rotation_file(bench, doors.tip, to, keys)
    doors.consumer_takes(forge.rotating(bench, doors.tip, honest, world.james.key))
