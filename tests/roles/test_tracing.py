"""From a digest both ways: receipt, signature, snapshot, inputs; and the ledgers that statements name (spec 14)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import forge
import pytest
import stating
from world import World

from gitledger.errors import LedgerError
from gitledger.roles import tracing
from gitledger.roles.place import Place
from gitledger.roles.tracing import Attestations, Ledgers, Link, Thing

pytestmark = pytest.mark.long

ARCHIVE = forge.sha256(stating.ARCHIVE["archive.tar"])
SUMMARY = forge.sha256(stating.SUMMARY["summary.txt"])
ONE = forge.sha256(stating.FILES["files/one.txt"])


@pytest.fixture
def certified(world: World) -> World:
    world.begin(stating.certifying)
    return world


def traced(world: World, named: str, *others: Place) -> Thing:
    place = world.place()
    found = Attestations(place)
    return tracing.trace(found, found.digest_of(named), Ledgers(place, *others))


def refusal(world: World, named: str) -> LedgerError:
    with pytest.raises(LedgerError) as caught:
        traced(world, named)
    assert caught.value.mend
    return caught.value


def brought(world: World, statement: stating.Value, *keys: forge.Key) -> str:
    """A statement that came into the ledger; the digest of its envelope."""
    content = stating.envelope(statement, *(keys or (world.alice.key,)))
    world.propose(world.alice, {stating.path("alice", content): content})
    world.emit()
    return forge.sha256(content)


def links(thing: Thing) -> Iterator[Link]:
    """All links of a walk."""
    for link in (*thing.said, *thing.came_from, *thing.went_into, *((thing.itself,) if thing.itself else ())):
        yield link
        for other in (*link.sources, *link.results):
            yield from links(other)


# Both ways


def test_a_file_leads_to_its_receipt_to_who_signed_it_to_the_snapshot_and_to_the_inputs(certified: World) -> None:
    (link,) = traced(certified, ARCHIVE).came_from
    assert link.authoritative
    assert (link.held.domain, link.held.came_in) == ("alice", "common@3")
    (signer,) = link.signed
    key_id = forge.key_id(certified.key("alice-2"))
    assert (signer.key_id, signer.name, signer.roles, signer.revoked) == (key_id, "ci", ("executor",), False)
    assert [(thing.named.name, thing.standing) for thing in link.sources] == [
        ("common@2", "holds"),
        ("common@2:domains/alice/files/one.txt", "holds"),
        ("common@2:domains/alice/files/two.txt", "holds"),
    ]
    assert link.sources[0].named.digest == forge.hash_of(certified.host, certified.oid(2))
    assert link.sources[1].named.digest == ONE


def test_the_walk_goes_on_from_input_to_input_and_back_again(certified: World) -> None:
    (made,) = traced(certified, SUMMARY).came_from
    (archive,) = (thing for thing in made.sources if thing.named.digest == ARCHIVE)
    (before,) = archive.came_from
    assert ONE in {thing.named.digest for thing in before.sources}
    (used,) = traced(certified, ONE).went_into
    (again,) = used.results
    assert again.named.digest == ARCHIVE
    assert [thing.named.digest for link in again.went_into for thing in link.results] == [SUMMARY]


def test_a_receipt_a_snapshot_a_file_and_its_path_all_lead_there(certified: World, tmp_path: Path) -> None:
    (link,) = traced(certified, ARCHIVE).came_from
    itself = traced(certified, link.held.digest).itself
    assert itself is not None
    assert [thing.named.digest for thing in itself.results] == [ARCHIVE]
    assert len(itself.sources) == 3
    (tmp_path / "x.tar").write_bytes(stating.ARCHIVE["archive.tar"])
    for named in (ARCHIVE.removeprefix("sha256:"), str(tmp_path / "x.tar"), "common@3:domains/alice/out/archive.tar"):
        assert traced(certified, named).came_from[0].held.digest == link.held.digest
    (by,) = traced(certified, "common@2").went_into
    assert by.held.digest == link.held.digest


def test_what_represents_and_what_was_audited_is_said_of_the_snapshot(certified: World) -> None:
    two = stating.snapshot(certified.host, 2)
    audit = brought(certified, stating.audit(certified.anchor, two), certified.key("spare-1"))
    home = brought(certified, stating.represents(certified.anchor, two))
    assert {link.held.digest for link in traced(certified, "common@2").said} == {audit, home}
    (link,) = traced(certified, ARCHIVE).came_from
    assert {one.held.digest for one in link.sources[0].said} == {audit, home}


def test_what_a_revoked_key_signed_stands_and_says_so(certified: World) -> None:
    path = "domains/alice/domain.yaml"
    manifest = certified.read(path).decode()
    head, _, rest = manifest.partition("  - name: ci\n")
    certified.propose(certified.alice, {path: head + "  - name: auditor\n" + rest.partition("  - name: auditor\n")[2]})
    certified.emit()
    (link,) = traced(certified, ARCHIVE).came_from
    assert link.authoritative
    assert [(one.name, one.revoked) for one in link.signed] == [("ci", True)]


def test_a_node_is_named_as_its_certificate_names_it_with_the_roles_that_counted(certified: World) -> None:
    node, bench = certified.key("spare-5"), certified.bench()
    content = stating.envelope(stating.run(certified, 2, "domains/alice/files", {"x": b"x"}), node)
    granted = ["executor@alice", "publisher@alice"]  # of which `nodes` certifies the first alone
    certificate = forge.certificate(node, certified.key("spare-4"), granted)
    message = "From a node\n\nLedger-Domain: alice\n"
    changes = {stating.path("alice", content): content}
    now = certified.tick()
    oid = forge.proposal(bench, certified.tip, changes, node, message, seconds=now, public=certificate)
    release = forge.release(bench, oid, certified.alice.key)
    refs = {"refs/proposals/alice/node": oid, f"refs/releases/{oid}/first": release}
    pushed = certified.push(certified.stranger, bench, *(f"{one}:{ref}" for ref, one in refs.items()))
    assert pushed.returncode == 0, pushed.stderr
    certified.emit()
    (link,) = traced(certified, forge.sha256(b"x")).came_from
    assert [(one.name, one.roles, one.node) for one in link.signed] == [("rescue-1", ("executor",), True)]


# Which snapshot it stands in


def test_what_went_and_came_again_stands_since_it_came_again(certified: World) -> None:
    digest = brought(certified, stating.represents(certified.anchor, stating.snapshot(certified.host, 2)))
    found = Attestations(certified.place())
    (held,) = found.naming(digest)
    assert held.came_in == "common@5"
    content = certified.read(held.path)
    for change in ({held.path: None}, {held.path: content}):
        certified.propose(certified.alice, change)
        certified.emit()
    assert Attestations(certified.place()).by_digest[digest].came_in == "common@7"
    assert Attestations(certified.place(), "common@5").by_digest[digest].came_in == "common@5"
    assert digest not in Attestations(certified.place(), "common@6").by_digest


# Other ledgers


def test_what_is_said_of_another_ledger_is_held_against_it_where_it_is_at_hand(certified: World) -> None:
    other = certified.make_host(name="alice")
    about = stating.snapshot(other, 0, "alice")
    ledger = "sha256:" + about["digest"]["sha256"]
    brought(certified, stating.represents(ledger, about))
    alice = Place.open(other)
    assert traced(certified, "alice@0").standing == "not at hand"
    (link,) = traced(certified, "alice@0").said
    assert (link.unchecked, link.differs) == (("alice@0",), ())
    assert traced(certified, "alice@0", alice).standing == "holds"


@pytest.mark.parametrize("wrong", ["hash", "file", "path"])
def test_a_receipt_whose_input_is_another_in_its_ledger_is_not_authoritative(certified: World, wrong: str) -> None:
    other = certified.make_host(name="alice")
    genesis = certified.oid(0, other)
    proposal = forge.proposal(other, genesis, {"domains/alice/x.txt": b"x\n"}, certified.alice.key)
    first = forge.snapshot(other, genesis, proposal, certified.you.key)
    for ref in ("refs/heads/alice", "refs/tags/alice@1"):
        forge.git(other, "update-ref", ref, first)
    path = "ledger/policy.yaml"
    ledger, true = (
        forge.hash_of(other, genesis),
        forge.git(other, "cat-file", "blob", f"alice@1:{path}"),
    )
    hash_, no = forge.hash_of(other, first), "sha256:" + "ab" * 32
    resolved = {
        "alice@1": no if wrong == "hash" else hash_,
        f"alice@1:{'x' if wrong == 'path' else path}": no if wrong == "file" else forge.sha256(true),
    }
    inputs = [name for name in resolved if ":" in name]
    how = {"ledgers": {"alice": ledger}, "inputs": inputs, "resolved": resolved}
    statement = stating.run(certified, 2, "domains/alice/files", {"y": b"y"}, **how)
    brought(certified, statement, certified.key("alice-2"))
    (link,) = traced(certified, forge.sha256(b"y"), Place.open(other)).came_from
    assert not link.authoritative
    assert link.differs == ((inputs[0],) if wrong != "hash" else ("alice@1",))
    (unseen,) = traced(certified, forge.sha256(b"y")).came_from
    assert unseen.unchecked and unseen.authoritative


def test_a_snapshot_that_the_clone_of_a_ledger_has_not_yet_is_not_at_hand(certified: World) -> None:
    other = certified.make_host(name="alice")
    ledger = forge.hash_of(other, certified.oid(0, other))
    brought(certified, stating.represents(ledger, stating.subject("alice@9", "sha256:" + "ab" * 32)))
    assert traced(certified, "alice@9", Place.open(other)).standing == "not at hand"


# What leads nowhere, and no end


def test_what_nothing_is_said_of_is_a_sentence(certified: World) -> None:
    for named, rule in (
        ("sha256:" + "ab" * 32, "nothing-said"),
        ("common@0", "nothing-said"),
        ("common@99", "no-such-snapshot"),
        ("common@2:nothing", "no-such-file"),
        ("james@7", "names-nothing"),
        ("nothing", "names-nothing"),
        ("x" * 100_000, "names-nothing"),
    ):
        assert refusal(certified, named).rule == rule


def test_one_name_for_two_snapshots_is_ambiguous(certified: World) -> None:
    for letter in "cd":
        about = stating.subject("alice@7", "sha256:" + letter * 64)
        brought(certified, stating.represents("sha256:" + letter * 64, about))
    assert refusal(certified, "alice@7").rule == "ambiguous"
    assert len(traced(certified, "c" * 64).said) == 1


def test_receipts_that_make_one_file_of_itself_end(certified: World) -> None:
    """Nothing forbids a command that copies: each receipt is shown once in a direction."""
    path = "domains/alice/out/archive.tar"
    for number in (3, 4, 5):
        statement = stating.run(certified, number, path, stating.ARCHIVE)
        brought(certified, statement, certified.key("alice-2"))
    thing = traced(certified, ARCHIVE)
    assert (len(thing.came_from), len(thing.went_into)) == (4, 4)
    whole = [link for link in links(thing) if not link.again]
    assert len({(link.held.digest, bool(link.sources)) for link in whole}) == len(whole)


def test_a_long_walk_ends_and_says_where_to_go_on(certified: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "DEEPEST", 0)
    (made,) = traced(certified, SUMMARY).came_from
    (archive,) = (thing for thing in made.sources if thing.named.digest == ARCHIVE)
    assert archive.further and not archive.came_from
    monkeypatch.setattr(tracing, "MOST", 0)
    thing = traced(certified, ARCHIVE)
    assert thing.further and not list(links(thing))
