"""The world that tests act in does what its docstrings say."""

from __future__ import annotations

import forge
from world import World, accepted, refused

from gitledger.exchange import layout


def test_two_propose_and_the_witness_numbers_them(world: World) -> None:
    first = world.propose(world.alice, {"domains/alice/fix.txt": b"better\n"})
    second = world.propose(world.james, {"shared/note.txt": "hello\n"})
    assert [ref for ref in world.refs() if "proposals" in ref] == ["refs/proposals/alice/t", "refs/proposals/james/t"]
    plan = world.emit()
    assert [one.proposal.oid for one in plan.ready] == [first, second]
    assert world.snapshots() == ["common@0", "common@1", "common@2"]
    assert not [ref for ref in world.refs() if "proposals" in ref]
    assert world.read("shared/note.txt") == b"hello\n"


def test_a_refusal_names_its_rule_and_changes_nothing(world: World) -> None:
    proposal = world.propose(world.stranger, {"shared/note.txt": b"hello\n"}, domain="alice", check=False)
    assert proposal.push
    refused(proposal.push, "unknown-key")


def test_every_copy_of_a_host_is_a_host(world: World) -> None:
    assert layout.check(world.host, role="host", name="common") == []


def test_the_same_is_the_same_in_every_run(world: World) -> None:
    assert world.anchor == "sha256:ab03c87f072928424ffda2fcb23e08e812d372acff78341be5268499b31766e9"
    assert (
        world.propose(world.alice, {"domains/alice/fix.txt": b"better\n"}, push=False)
        == "21b98b5065a769d0fe58910c19f2205446c80d7f"
    )


def test_an_endorsement_by_stock_git_counts(world: World) -> None:
    rules = ["{match: standards/**, proposers: any, endorsements: 1}"]
    world.make_host(paths=rules)
    proposal = world.propose(world.alice, {"standards/one.txt": b"one\n"})
    assert [one.proposal.oid for one in world.emit().waiting] == [proposal]
    world.endorse(world.james, proposal)
    world.emit()
    assert world.snapshots() == ["common@0", "common@1"]


def test_what_is_forged_on_the_bench_is_what_the_witness_emits(world: World) -> None:
    proposal = world.propose(world.alice, {"domains/alice/fix.txt": b"better\n"})
    bench = world.bench(world.you)
    forged = forge.snapshot(bench, world.tip, proposal, world.you.key)
    accepted(world.offer(forged, by=world.you))
    assert world.tip == forged


def test_a_rotation_signed_with_ssh_keygen_reaches_the_host_in_one_push(world: World) -> None:
    made = world.rotate(world.james, [world.alice, world.james], reason="stepping back")
    under = f"refs/rotations/{made.hash}/"
    assert {ref for ref in world.refs() if ref.startswith("refs/rotations/")} == {
        under + name for name in ("draft", "alice", "james")
    }
    assert made.signatures["alice"] == forge.rotation_endorsement(bytes.fromhex(made.hash), world.alice.key)
    assert made.draft == forge.rotation_file(world.host, world.tip, ("james", world.james.key), reason="stepping back")
