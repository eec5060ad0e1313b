"""Certifying: what is made is true, signed by who may, and held to the rules before it is staged (spec 14)."""

from __future__ import annotations

from base64 import b64encode
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import forge
import pytest
import stating
from world import World

from gitledger.documents.statement import Represents
from gitledger.errors import LedgerError
from gitledger.objects.store import Store
from gitledger.roles import statements
from gitledger.rules import attestation
from gitledger.rules.advance import pinned
from gitledger.signing import signers
from gitledger.signing.signers import Signer


@pytest.fixture
def certified(world: World) -> World:
    world.begin(stating.certifying)
    return world


def by(world: World, key: str) -> Signer:
    return signers.find(None, str(world.key(key)), ask=None)


def refusal(action: Callable[[], object]) -> LedgerError:
    with pytest.raises(LedgerError) as caught:
        action()
    assert caught.value.mend
    return caught.value


def test_what_is_made_of_a_snapshot_is_what_it_is(certified: World) -> None:
    place = certified.place()
    made = statements.represents(place, "common@2", "/home")
    assert isinstance(made.said, Represents)
    assert (made.said.ledger, made.said.as_of) == (certified.anchor, 2)
    assert made.subject[0].sha256 == forge.hash_of(certified.host, certified.oid(2))
    signed = statements.checked(place, statements.sign(made, certified.alice.signer()))
    assert (signed.domain, signed.statement) == ("alice", made)
    assert signed.path == stating.path("alice", signed.content)
    assert [roles for _, roles in signed.signers.values()] == [{"root", "publisher"}]


def test_each_kind_is_signed_by_its_role_alone(certified: World) -> None:
    place = certified.place()
    kinds = {
        "represents": (statements.represents(place, "2", "/home"), set()),
        "audited": (statements.audited(place, "2", ["all"], []), {"spare-1"}),
        "located": (statements.located_in(place, "2", "domains/alice/files/one.txt"), {"spare-2"}),
    }
    for made, able in kinds.values():
        for key in ("alice-2", "spare-1", "spare-2", "spare-4"):
            envelope = statements.sign(made, by(certified, key))
            if key in able:
                assert statements.checked(place, envelope).statement == made
            else:
                error = refusal(lambda envelope=envelope: statements.checked(place, envelope))
                assert error.rule == "statement-role"


def test_a_file_of_this_machine_is_named_by_its_path_and_its_bytes(certified: World, tmp_path: Path) -> None:
    (tmp_path / "thesis.pdf").write_bytes(b"thesis")
    made = statements.located(tmp_path / "thesis.pdf")
    assert (made.subject[0].name, made.subject[0].sha256) == ("thesis.pdf", forge.sha256(b"thesis"))
    assert made.predicate == {"path": str(tmp_path / "thesis.pdf")}
    assert refusal(lambda: statements.located(tmp_path / "nothing")).rule == "file-unreadable"
    assert refusal(lambda: statements.located(tmp_path)).rule == "file-unreadable"


def test_a_node_that_never_proposed_is_known_by_its_certificate(certified: World) -> None:
    node, place = certified.key("spare-5"), certified.place()
    certificate = forge.certificate(node, certified.key("spare-4"), ["executor@alice"], before=certified.now + 60)
    line = f"ssh-ed25519-cert-v01@openssh.com {b64encode(certificate).decode()}\n"
    file = node.with_name("spare-5-cert.pub")
    file.write_text(line)
    signer = signers.find(None, str(file), ask=None, take_certificate=True)
    content = stating.envelope(stating.run(certified, 2, "domains/alice/files", {"x": b"x"}), node)
    signed = statements.checked(place, content, signer, certified.now)
    assert (signed.domain, [roles for _, roles in signed.signers.values()]) == ("alice", [{"executor"}])
    late = refusal(lambda: statements.checked(place, content, signer, certified.now + 60))
    assert late.rule == "certificate-expired"
    assert refusal(lambda: statements.checked(place, content)).rule == "unknown-signer"
    wrong = stating.envelope(stating.represents(certified.anchor, stating.snapshot(certified.host, 2)), node)
    assert refusal(lambda: statements.checked(place, wrong, signer, certified.now)).rule == "statement-role"


class Counted(Store):
    """A repository that counts how often each object was read."""

    reads: Counter[str]

    def read(self, oid: str, kind: str) -> bytes:
        self.reads[oid] += 1
        return super().read(oid, kind)


def test_the_snapshot_of_many_files_is_read_once(certified: World) -> None:
    store = Counted.open(certified.bench())
    store.reads = Counter()
    state = pinned(store, certified.tip, forge.hash_of(certified.host, certified.tip)).state
    state.line.row(store, 0)
    store.reads.clear()
    content = stating.envelope(stating.run(certified, 2, "domains/alice/files", {"x": b"x"}), certified.key("alice-2"))
    attestation.taken(state, "alice", content, attestation.members(state, "alice"))
    assert store.reads[certified.oid(2)] == 1


def test_what_statements_have_read_is_bounded(certified: World, monkeypatch: pytest.MonkeyPatch) -> None:
    place = certified.place()
    statement = stating.run(certified, 3, "domains/alice/out", {"x": b"x"})
    definition = statement["predicate"]["buildDefinition"]
    more = stating.run(certified, 2, "domains/alice/files", {})["predicate"]["buildDefinition"]
    definition["externalParameters"]["inputs"] += more["externalParameters"]["inputs"]
    definition["resolvedDependencies"] += more["resolvedDependencies"]
    content = stating.envelope(statement, certified.key("alice-2"))
    statements.checked(place, content)
    for name, value, rule in (("SNAPSHOTS", 1, "statement-snapshots"), ("NAME_BYTES", 100_000, "statement-bytes")):
        with monkeypatch.context() as less:
            less.setattr(attestation, name, value)
            assert refusal(lambda: statements.checked(place, content)).rule == rule


def test_a_statement_is_held_to_the_newest_snapshot_that_is_verified_here(certified: World) -> None:
    place = certified.place()
    for about, rule in (
        (stating.subject("common@5", "sha256:" + "ab" * 32), "statement-snapshot"),
        (stating.subject("common@2", "sha256:" + "ab" * 32), "statement-snapshot"),
    ):
        content = stating.envelope(stating.represents(certified.anchor, about), certified.alice.key)
        assert refusal(lambda content=content: statements.checked(place, content)).rule == rule
