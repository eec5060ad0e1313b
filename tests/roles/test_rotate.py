"""Endorsing a rotation: what is pushed, what is remembered, and two at once on one machine."""

from __future__ import annotations

import threading
from pathlib import Path

import forge
import pytest
from world import World, accepted

from gitledger.errors import LedgerError, Refused
from gitledger.roles import succession
from gitledger.roles.memory import Memory, Remembered

DIGEST = "sha256:" + "0" * 64


@pytest.fixture
def memory(tmp_path: Path) -> Memory:
    """The memory of a machine that endorsed nothing yet."""
    return Memory(tmp_path / "state")


def remembered(name: str, *, to: str = "", on: str = DIGEST, by: str = "alice") -> Remembered:
    """A rotation whose H begins with `name`, to a key of its own."""
    return Remembered(
        rotation=name.ljust(64, "0"),
        snapshot="common@4",
        snapshot_hash=on,
        domain="james",
        key_id=f"SHA256:{(to or name).ljust(43, 'A')}",
        by=by,
        seconds=forge.START,
    )


def test_the_blobs_on_the_host_are_a_draft_and_what_ssh_keygen_verifies(world: World) -> None:
    with world.acting(world.alice):
        place = world.place()
        waiting = succession.draft(place, "james", reason="stepping back")
        succession.endorse(place, world.alice.signer(), waiting, world.now)
    refs = {ref: oid for ref, oid in world.refs().items() if ref.startswith("refs/rotations/")}
    assert set(refs) == {f"refs/rotations/{waiting.hash}/{last}" for last in ("draft", "alice")}
    draft, armour = (
        forge.git(world.host, "cat-file", "blob", refs[f"refs/rotations/{waiting.hash}/{last}"])
        for last in ("draft", "alice")
    )
    assert b"endorsements: []" in draft and b'reason: "stepping back"' in draft
    (world.path / "signers").write_text(f"alice {world.alice.pub}\n")
    (world.path / "signature").write_bytes(armour)
    (world.path / "message").write_bytes(bytes.fromhex(waiting.hash))
    namespace = ("-n", "asl.common.witness-rotation")
    verify = ("ssh-keygen", "-Y", "verify", "-f", "signers", "-I", "alice", *namespace, "-s", "signature")
    world.alice.run(world.path, "sh", "-c", '"$@" <message', "sh", *verify)


def test_a_quorum_makes_it_complete(world: World) -> None:
    for person in (world.alice, world.you):
        with world.acting(person):
            place = world.place()
            done = succession.endorse(place, person.signer(), succession.draft(place, "james"), world.now)
    assert done.waiting.complete and done.waiting.missing == (0, ())
    with world.acting(world.alice):
        (waiting,) = succession.standing(world.place(), world.now).waiting
    assert waiting.hash == done.waiting.hash and [one.domain_id for one in waiting.endorsements] == ["alice", "you"]


def test_a_sealed_rotation_is_listed_with_its_snapshot_and_waits_no_more(world: World) -> None:
    for person in (world.alice, world.you):
        with world.acting(person):
            place = world.place()
            done = succession.endorse(place, person.signer(), succession.draft(place, "james"), world.now)
    accepted(world.offer(forge.rotating(world.bench(), world.tip, done.waiting.artifact, world.james.key)))
    with world.acting(world.alice):
        standing = succession.standing(world.place(), world.now)
    assert not standing.waiting and [one.name for one in standing.sealed] == ["common@1"]
    assert standing.sealed[0].rotation.digest.hex() == done.waiting.hash
    assert not standing.both


def test_a_rotation_to_the_witness_that_serves_is_one_as_well(world: World) -> None:
    with world.acting(world.alice):
        waiting = succession.draft(world.place(), "you")
    assert waiting.new == ("you", world.you.key_id)


def test_another_authority_another_snapshot_and_the_same_key_are_no_contradiction(memory: Memory) -> None:
    memory.keep(remembered("aaaaaaaa"))
    memory.keep(remembered("aaaaaaaa"))
    memory.keep(remembered("bbbbbbbb", by="james"))
    memory.keep(remembered("cccccccc", on="sha256:" + "1" * 64))
    memory.keep(remembered("dddddddd", to="aaaaaaaa"))
    with pytest.raises(Refused, match="endorsed-another"):
        memory.keep(remembered("eeeeeeee"))


def test_every_earlier_one_is_to_be_named(memory: Memory) -> None:
    memory.keep(remembered("aaaaaaaa1"))
    memory.keep(remembered("bbbbbbbb1"), ["aaaaaaaa"])
    new = remembered("cccccccc1")
    for besides in ([], ["aaaaaaaa"], ["bbbbbbbb"], ["aaaaaaaa2", "bbbbbbbb"], ["cccccccc"]):
        with pytest.raises(Refused, match="endorsed-another"):
            memory.keep(new, besides)
    memory.keep(new, ["aaaaaaaa1", "bbbbbbbb" + "1" + "0" * 55])


@pytest.mark.parametrize("besides", ["", "aaaaaaa", "AAAAAAAA", "sha256:aaaaaaaa", "a" * 65, "aaaaaaaa\n"])
def test_what_is_no_beginning_of_an_h_names_nothing(memory: Memory, besides: str) -> None:
    memory.keep(remembered("aaaaaaaa"))
    with pytest.raises(LedgerError, match=r"\[besides\]"):
        memory.keep(remembered("bbbbbbbb"), [besides])


def test_what_one_authority_endorsed_hides_nothing_that_another_did(memory: Memory) -> None:
    memory.keep(remembered("aa", by="james"))
    with pytest.raises(Refused, match="endorsed-another"):
        memory.keep(remembered("bb", by="alice"), seen=[remembered("aa", by="alice")])


def test_of_two_at_once_one_is_refused(memory: Memory) -> None:
    outcomes: list[str] = []
    ready = threading.Barrier(8)

    def endorse(name: str) -> None:
        ready.wait()
        try:
            memory.keep(remembered(name))
            outcomes.append(name)
        except Refused as error:
            outcomes.append(error.rule)

    threads = [threading.Thread(target=endorse, args=(f"{number}" * 8,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes)[1:] == ["endorsed-another"] * 7


@pytest.mark.parametrize("damage", [b"", b"{}", b"[{}]", b"\xff", b'[{"rotation": 1}]'])
def test_a_memory_that_can_not_be_read_is_not_taken_for_an_empty_one(memory: Memory, damage: bytes) -> None:
    memory.keep(remembered("aaaaaaaa"))
    (memory.directory / "endorsed.json").write_bytes(damage)
    with pytest.raises(LedgerError, match="memory-damaged"):
        memory.keep(remembered("aaaaaaaa"))


def test_it_is_on_the_disk_before_the_key_signs(world: World) -> None:
    with world.acting(world.alice):
        place, signer = world.place(), world.alice.signer()
        waiting = succession.draft(place, "james")
        remembered_then: list[bytes] = []

        class Watching:
            key = signer.key
            certificate = None

            def sign(self, message: bytes, namespace: str) -> bytes:
                remembered_then.append((Memory.of(place.anchor).directory / "endorsed.json").read_bytes())
                return signer.sign(message, namespace)

        succession.endorse(place, Watching(), waiting, world.now)
    assert len(remembered_then) == 1 and waiting.hash.encode() in remembered_then[0]
