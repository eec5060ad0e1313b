"""The library: a ledger mapped to its snapshots, in a clone and on a host, without the command line."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import forge
import pytest
from mirror import KEYS, NOW, Mirror
from world import World

import gitledger
from gitledger import Ledger, LedgerError, Malformed, Refused, Snapshot, Usage
from gitledger.roles import consumer


@pytest.fixture
def ledger(mirror: Mirror, tmp_path: Path) -> Ledger:
    consumer.clone(str(mirror.path), tmp_path / "clone", mirror.anchor, now=NOW)
    return Ledger.open(tmp_path / "clone")


def test_names_and_numbers_mean_snapshots(ledger: Ledger, mirror: Mirror) -> None:
    assert (ledger.name, ledger.id, len(ledger)) == ("common", mirror.anchor, 4)
    assert ledger["common@2"] == ledger[2] == ledger["2"]
    assert ledger[2] != ledger[1]
    assert ledger.current == ledger[3]
    assert [snapshot.oid for snapshot in ledger] == mirror.snapshots
    assert [snapshot.number for snapshot in reversed(ledger)] == [3, 2, 1, 0]
    assert "common@3" in ledger
    assert 4 not in ledger
    assert None not in ledger
    assert len({*ledger, ledger[0]}) == 4


@pytest.mark.parametrize("named", [4, "common@4", "other@1"])
def test_what_is_not_verified_here_is_no_snapshot(ledger: Ledger, named: str | int) -> None:
    with pytest.raises(Refused) as refused:
        ledger[named]
    assert refused.value.rule == "no-such-snapshot"


@pytest.mark.parametrize("named", [-1, "", "common", "common@", "common@01", "@1"])
def test_what_is_no_name_is_malformed(ledger: Ledger, named: str | int) -> None:
    with pytest.raises(Malformed):
        ledger[named]


def test_a_snapshot_tells_all_of_itself(ledger: Ledger, mirror: Mirror) -> None:
    snapshot = ledger[2]
    assert (snapshot.number, snapshot.name, str(snapshot)) == (2, "common@2", "common@2")
    assert (snapshot.oid, snapshot.hash) == (mirror.snapshots[2], forge.hash_of(mirror.path, mirror.snapshots[2]))
    assert (snapshot.witness, snapshot.witness_key) == ("you", forge.key_id(KEYS / "you"))
    assert (snapshot.proposer, snapshot.summary) == ("alice", "A change")
    assert snapshot.time == datetime.fromtimestamp(forge.START + 2, UTC)
    assert snapshot.time.tzinfo is UTC
    assert snapshot.changed == ("domains/alice/2.txt",)
    proposal = forge.parents(mirror.path, snapshot.oid)[1]
    assert snapshot.proposal == forge.hash_of(mirror.path, proposal)
    command = subprocess.run(
        ["sha256sum"],
        input=f"{forge.line(KEYS / 'alice')}\n{forge.START + 2}".encode(),
        check=True,
        capture_output=True,
    )
    assert snapshot.command_id == command.stdout.decode().split()[0]


def test_a_rotation_tells_who_came_by_whom_and_why(world: World) -> None:
    world.rotate(world.james, [world.alice, world.james], reason="stepping back")
    world.emit(by=world.james)
    one = Ledger.open(world.host)[1]
    assert (one.proposer, one.proposal, one.command_id, one.message) == (None, None, None, "")
    assert (one.summary, one.witness, one.endorsers) == ("witness rotates to james", "james", ("alice", "james"))
    assert one.rotation_path is not None and one.artifact is not None
    assert one.rotation == forge.sha256(world.read(one.rotation_path))
    assert one.artifact.rotation.old_witness.domain_id == "you"
    assert one.artifact.rotation.reason == "stepping back"
    assert list(one.changed) == [one.rotation_path, "ledger/witness.yaml"]
    assert one.rekeyed is None
    genesis = Ledger.open(world.host)[0]
    assert (genesis.rotation, genesis.rotation_path, genesis.artifact, genesis.rekeyed) == (None, None, None, None)


def test_new_keys_by_a_quorum_are_marked_and_what_a_domain_does_itself_is_not(world: World) -> None:
    world.make_host(rekey="quorum", authorities=("you", "alice"))
    new = world.key("james-2")
    own = forge.Entry("root", new, proof=forge.proof(new, world.anchor, "james"))
    oid = world.propose(world.alice, {"domains/james/domain.yaml": forge.manifest_file("james", own)}, "James is back")
    for authority in (world.you, world.alice):
        world.endorse(authority, oid)
    world.emit()
    mine = forge.Entry("own", new, proof=forge.proof(new, world.anchor, "james"))
    world.propose(world.james, {"domains/james/domain.yaml": forge.manifest_file("james", mine)}, key=new)
    world.emit()
    assert [one.rekeyed for one in Ledger.open(world.host)] == [None, "james", None]


def test_genesis_has_no_proposer_and_changed_everything(ledger: Ledger) -> None:
    genesis = ledger[0]
    assert (genesis.proposer, genesis.proposal, genesis.command_id) == (None, None, None)
    assert genesis.summary == "genesis"
    assert genesis.hash == ledger.id
    assert ".gitattributes" in genesis.changed
    assert not any(path.startswith("ledger/certificates/") for path in genesis.changed)


def test_a_snapshot_reads_its_files(ledger: Ledger) -> None:
    assert ledger[1].read("domains/alice/1.txt") == b"domains/alice/1.txt, 1\n"
    assert "domains/alice/2.txt" in list(ledger[2].files())
    assert list(ledger[2].files("domains/james")) == ["domains/james/domain.yaml"]
    assert list(ledger[2].files("nowhere")) == []
    for path in ("domains/alice/2.txt", "domains/alice", "", "../clone", "/etc/passwd"):
        with pytest.raises(Refused) as refused:
            ledger[1].read(path)
        assert refused.value.rule == "no-such-file"


def test_a_host_is_a_ledger_as_well(world: World) -> None:
    world.propose(world.alice, {"domains/alice/a.txt": "a\n"}, message="Publish a")
    world.emit()
    ledger = Ledger.open(str(world.host))
    assert [snapshot.summary for snapshot in ledger] == ["genesis", "Publish a"]
    assert ledger.verify() == ledger.current


def test_a_ledger_is_found_from_a_directory_in_it(ledger: Ledger, tmp_path: Path) -> None:
    assert Ledger.open(tmp_path / "clone" / "domains" / "alice").current == ledger.current


def test_a_ledger_verifies_itself_and_names_what_is_not_valid(ledger: Ledger, mirror: Mirror, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    assert ledger.verify(lambda done, of: seen.append((done, of))) == ledger[3]
    assert seen[-1] == (3, 3)
    forged = mirror.snapshot(key=KEYS / "stranger")
    mirror.set("refs/heads/forged", forged)
    subprocess.run(["git", "fetch", "-q", str(mirror.path), "forged:refs/x"], cwd=tmp_path / "clone", check=True)
    note = f'{{"hash": "{forge.hash_of(mirror.path, forged)}", "number": 4, "oid": "{forged}"}}'
    (tmp_path / "clone/.git/gitledger/verified.json").write_text(note)
    with pytest.raises(LedgerError) as invalid:
        Ledger.open(tmp_path / "clone").verify()
    assert invalid.value.subject == "common@4"


def test_where_there_is_no_ledger_a_sentence_says_so(tmp_path: Path) -> None:
    with pytest.raises(Usage):
        Ledger.open(tmp_path / "nowhere")
    subprocess.run(["git", "init", "-q", str(tmp_path / "plain")], check=True)
    with pytest.raises(Usage) as usage:
        Ledger.open(tmp_path / "plain")
    assert usage.value.rule == "not-a-ledger"


def test_the_face_of_the_library_has_what_it_says() -> None:
    for name in gitledger.__all__:
        assert getattr(gitledger, name).__name__ == name
    assert dir(gitledger) == sorted(gitledger.__all__)
    assert Snapshot is gitledger.ledger.Snapshot
    with pytest.raises(AttributeError):
        gitledger.nothing  # noqa: B018


def test_importing_the_library_imports_nothing_until_it_is_used() -> None:
    script = "import sys, gitledger; print(*sorted(set(sys.modules) & {'pygit2', 'msgspec', 'yaml', 'cryptography'}))"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == ""
