"""Emission: the order of the witness, the journal, and what a crash leaves (spec 9)."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time

import forge
import pytest
from world import World, accepted

from gitledger.errors import Failed, Fork, Refused
from gitledger.objects import packing
from gitledger.objects.store import Store
from gitledger.roles import witness
from gitledger.roles.journal import Journal
from gitledger.rules.advance import advance, genesis

OPEN = {
    "paths": [
        {"match": "open/**", "proposers": "any"},
        {"match": "standards/**", "proposers": "any", "endorsements": 2},
    ]
}


def verified(world: World) -> list[str]:
    """The names of the host's snapshots, each of which `advance` reached from genesis."""
    place = world.place()
    trusted = genesis(place.store, world.oid(0), world.anchor)
    names = [trusted.name]
    while trusted.oid != world.tip:
        trusted = advance(trusted, world.oid(trusted.number + 1))
        names.append(trusted.name)
    return names


def message(world: World, number: int) -> str:
    return forge.git(world.host, "log", "-1", "--format=%B", world.oid(number)).decode()


def test_one_snapshot_a_proposal_in_the_order_of_the_salts(world: World) -> None:
    late = world.propose(
        world.alice, {"domains/alice/late": b"1\n"}, "Late\n\nLedger-Salt: 1795179999", base=0, topic="a"
    )
    early = world.propose(world.alice, {"domains/alice/early": b"2\n"}, "Early", base=0, topic="b")
    james = world.propose(world.james, {"domains/james/x": b"3\n"}, "James", base=0, topic="c")
    plan = world.emit()
    assert [verdict.proposal.oid for verdict in plan.ready] == [early, james, late]
    assert verified(world) == ["common@0", "common@1", "common@2", "common@3"]
    assert message(world, 1).startswith("common@1: Early\n")
    assert world.read("domains/alice/late") == b"1\n"


def test_a_line_is_taken_from_its_base_on(world: World) -> None:
    first = world.propose(world.alice, {"domains/alice/1": b"1\n"}, "First\n\nLedger-Salt: 1795179999", push=False)
    second = world.propose(world.alice, {"domains/alice/2": b"2\n"}, "Second\n\nLedger-Salt: 5", base=first)
    plan = world.emit()
    assert [verdict.proposal.oid for verdict in plan.ready] == [first, second]
    assert not [ref for ref in world.refs() if ref.startswith("refs/proposals/")]


def test_what_lacks_endorsements_waits_and_is_numbered_once_it_has_them(world: World) -> None:
    world.make_host(**OPEN)
    oid = world.propose(world.james, {"standards/1": b"one\n"})
    plan = world.emit()
    assert [verdict.error.rule for verdict in plan.waiting if verdict.error] == ["endorsements-missing"]
    assert world.snapshots() == ["common@0"]
    world.endorse(world.alice, oid)
    assert not world.emit().ready
    world.endorse(world.you, oid)
    assert len(world.emit().ready) == 1
    raw = forge.git(world.host, "cat-file", "commit", world.oid(1)).decode()
    assert raw.count("\nmergetag ") == 2
    assert verified(world) == ["common@0", "common@1"]


def test_what_can_no_longer_become_valid_is_refused_with_a_receipt_and_no_number(world: World) -> None:
    world.make_host(**OPEN)
    first = world.propose(world.alice, {"open/x": b"alice\n"}, base=0)
    second = world.propose(world.james, {"open/x": b"james\n"}, base=0)
    plan = world.emit()
    assert [one.proposal.oid for one in plan.ready] == [first]
    assert [one.proposal.oid for one in plan.refused] == [second]
    receipt = forge.git(world.host, "cat-file", "tag", f"refs/refusals/{second}").decode()
    assert "Reason: path-changed-since " in receipt
    assert f"Refuses: {forge.hash_of(world.bench(), second)}" in receipt
    assert "refs/proposals/james/t" not in world.refs()
    again = world.propose(world.james, {"open/y": b"james\n"})
    assert [one.proposal.oid for one in world.emit().ready] == [again]


def test_named_proposals_alone_are_taken_with_what_they_stand_on(world: World) -> None:
    first = world.propose(world.alice, {"domains/alice/1": b"1\n"}, push=False)
    second = world.propose(world.alice, {"domains/alice/2": b"2\n"}, base=first)
    other = world.propose(world.james, {"domains/james/1": b"3\n"}, base=0)
    assert [one.proposal.oid for one in world.emit(second).ready] == [first, second]
    assert [one.proposal.oid for one in world.emit().ready] == [other]
    with pytest.raises(Refused) as error:
        world.emit("0" * 40)
    assert error.value.rule == "not-waiting"


def test_a_proposal_with_a_damaged_object_waits_and_holds_up_nobody(world: World) -> None:
    damaged = world.propose(world.alice, {"domains/alice/1": b"lost\n"}, "Lost\n\nLedger-Salt: 5")
    whole = world.propose(world.james, {"domains/james/1": b"found\n"})
    blob = forge.git(world.host, "rev-parse", f"{damaged}:domains/alice/1").decode().strip()
    (world.host / "objects" / blob[:2] / blob[2:]).unlink()
    plan = world.emit()
    assert [verdict.proposal.oid for verdict in plan.ready] == [whole]
    assert [(one.proposal.oid, one.error.rule) for one in plan.waiting if one.error] == [(damaged, "missing-object")]
    assert not plan.refused


def test_an_empty_queue_changes_nothing(world: World) -> None:
    before = world.refs()
    assert world.emit().verdicts == ()
    assert world.refs() == before


def test_nobody_but_the_witness_emits(world: World) -> None:
    world.propose(world.alice, {"domains/alice/1": b"1\n"})
    with pytest.raises(Refused) as error:
        world.emit(by=world.alice, first_here=True)
    assert error.value.rule == "not-the-witness"
    assert world.snapshots() == ["common@0"]


def test_a_machine_that_never_emitted_wants_to_be_told_that_it_is_the_first(world: World) -> None:
    world.propose(world.alice, {"domains/alice/1": b"1\n"})
    shutil.rmtree(world.you.home / ".local" / "state" / "gitledger")
    with pytest.raises(Refused) as error:
        world.emit()
    assert error.value.rule == "first-here"
    world.emit(first_here=True)
    world.propose(world.alice, {"domains/alice/2": b"1\n"})
    world.emit()
    assert world.snapshots() == ["common@0", "common@1", "common@2"]


def test_time_does_not_run_backwards_under_a_clock_that_does(world: World) -> None:
    world.propose(world.alice, {"domains/alice/1": b"1\n"})
    world.emit(seconds=world.now + 1000)
    world.propose(world.alice, {"domains/alice/2": b"1\n"})
    world.emit(seconds=world.now - 5000)
    assert verified(world) == ["common@0", "common@1", "common@2"]


def test_a_host_that_forgot_what_was_published_makes_no_second_version_of_a_number(world: World) -> None:
    backup = world.path / "backup.git"
    shutil.copytree(world.host, backup)
    world.propose(world.alice, {"domains/alice/1": b"1\n"})
    world.emit()
    shutil.rmtree(world.host)
    shutil.copytree(backup, world.host)
    world.propose(world.james, {"domains/james/1": b"1\n"})
    with pytest.raises(Refused) as error:
        world.emit()
    assert error.value.rule == "host-forgot"
    assert world.snapshots() == ["common@0"]


def test_what_was_signed_is_published_byte_for_byte_after_a_crash_before_the_push(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.propose(world.alice, {"domains/alice/1": b"1\n"})
    with monkeypatch.context() as patch:
        patch.setattr(witness.remotes, "push", _crash)
        with pytest.raises(_Crash):
            world.emit()
    signed = world.signed()
    assert world.snapshots() == ["common@0"]
    world.propose(world.james, {"domains/james/1": b"1\n"}, base=0, topic="before")
    plan = world.emit()
    assert [one.oid for one in plan.unpublished] == [signed]
    assert world.oid(1) == signed
    assert verified(world) == ["common@0", "common@1", "common@2"]


def test_what_was_signed_is_published_from_another_clone_that_never_saw_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup = world.path / "backup.git"
    shutil.copytree(world.host, backup)
    world.propose(world.alice, {"domains/alice/1": b"1\n"})
    with monkeypatch.context() as patch:
        patch.setattr(witness.remotes, "push", _crash)
        with pytest.raises(_Crash):
            world.emit()
    signed = world.signed()
    shutil.rmtree(world.host)
    shutil.copytree(backup, world.host)
    world.emit()
    assert world.oid(1) == signed


def test_what_was_signed_and_does_not_fit_the_line_is_a_fork(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.propose(world.alice, {"domains/alice/1": b"1\n"})
    with monkeypatch.context() as patch:
        patch.setattr(witness.remotes, "push", _crash)
        with pytest.raises(_Crash):
            world.emit()
    home = Journal.of(world.anchor).directory.name
    state = world.you.home / ".local" / "state" / "gitledger" / home
    kept = (state / "pending.bundle").read_bytes()
    (state / "pending.bundle").unlink()
    world.emit(seconds=world.now + 100)
    (state / "pending.bundle").write_bytes(kept)
    with pytest.raises(Fork):
        world.emit()
    assert world.snapshots() == ["common@0", "common@1"]


def test_a_damaged_journal_is_told_and_signs_nothing(world: World) -> None:
    world.propose(world.alice, {"domains/alice/1": b"1\n"})
    journal = world.you.home / ".local" / "state" / "gitledger" / world.anchor.removeprefix("sha256:") / "emitted.json"
    journal.write_text('{"number":')
    with pytest.raises(Failed) as error:
        world.emit()
    assert error.value.rule == "journal-damaged"
    assert world.snapshots() == ["common@0"]


def test_a_witness_emits_from_a_clone_and_from_the_host_and_is_one_witness(world: World) -> None:
    from gitledger.roles import consumer

    with world.acting(world.you):
        place = consumer.clone(str(world.host), world.you.home / "verified", world.anchor, now=world.now)
        world.propose(world.alice, {"domains/alice/1": b"1\n"})
        place = consumer.fetch(place, now=world.now).place
        witness.emit(place, world.you.signer(), world.now)
    assert world.snapshots() == ["common@0", "common@1"]
    assert world.oid("refs/tags/common@1", world.you.home / "verified") == world.oid(1)
    world.propose(world.alice, {"domains/alice/2": b"2\n"})
    world.emit()
    world.propose(world.alice, {"domains/alice/3": b"3\n"})
    with world.acting(world.you):
        with pytest.raises(Refused) as error:
            witness.emit(world.place(world.you.home / "verified"), world.you.signer(), world.now)
        assert error.value.rule == "host-forgot"
        place = consumer.fetch(place, now=world.now).place
        witness.emit(place, world.you.signer(), world.now)
    assert verified(world)[-1] == "common@3"


def test_two_emissions_at_once_do_not_meet(world: World) -> None:
    with world.acting(world.you):
        journal = Journal.of(world.anchor)
        with journal.locked(), pytest.raises(Refused) as error, journal.locked():
            pass
    assert error.value.rule == "emitting"


@pytest.mark.long
def test_a_hundred_snapshots_in_one_push(world: World) -> None:
    base: str | None = None
    for number in range(100):
        base = world.commit(world.alice, {f"domains/alice/{number}": b"x\n"}, f"Number {number}", base=base)
    accepted(world.push(world.alice, world.clone(world.alice), f"{base}:refs/proposals/alice/line"))
    world.emit()
    assert len(world.snapshots()) == 101
    assert verified(world)[-1] == "common@100"


def test_what_comes_in_several_packs_is_all_there_and_what_breaks_off_between_two_leaves_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "HELD_BYTES", 1500)
    for number in range(3):
        world.propose(world.alice, {f"domains/alice/{number}": b"x\n"}, topic=f"t{number}", base=0)
    objects = world.host / "objects"
    before = sorted(objects.rglob("*"))
    write_pack, written = Store.write_pack, []

    def breaks_off(store: Store, pack: bytes) -> None:
        if len(written) == 2:
            raise _Crash
        written.append(pack)
        write_pack(store, pack)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "write_pack", breaks_off)
        with pytest.raises(_Crash):
            world.emit()
    assert sorted(objects.rglob("*")) == before
    assert world.snapshots() == ["common@0"]
    with world.acting(world.you):
        assert Journal.of(world.anchor).pending(world.place().store) is None
    assert len(world.emit().ready) == 3
    assert verified(world)[-1] == "common@3"
    forge.git(world.host, "fsck", "--strict")


EMIT = """
import sys
from pathlib import Path
from gitledger.roles import witness
from gitledger.roles.place import Place
from gitledger.signing import signers
place = Place.open(Path(sys.argv[1]))
witness.emit(place, signers.find(None, sys.argv[2], ask=None), int(sys.argv[3]))
"""


@pytest.mark.parametrize("seed", range(1))
def test_killed_at_random_moments_nothing_is_lost_and_nothing_forks(world: World, seed: int) -> None:
    _kill_emissions(world, seed, rounds=3)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(1, 7))
def test_killed_at_many_random_moments_nothing_is_lost_and_nothing_forks(world: World, seed: int) -> None:
    _kill_emissions(world, seed, rounds=20)


def _kill_emissions(world: World, seed: int, rounds: int) -> None:
    """Kill emissions and their hooks at random moments; then one that is left alone publishes all that waited."""
    print(f"seed {seed}")
    chance = random.Random(seed)
    seen: dict[int, str] = {}
    proposed = 0
    for number in range(rounds):
        oid = world.propose(world.alice, {f"domains/alice/{number}": b"x\n"}, topic=f"t{number}", base=0, check=False)
        assert oid.push
        proposed += oid.push.returncode == 0
        said = world.path / "said"
        emission = subprocess.Popen(
            ["sh", "-c", 'exec "$@" 2>"$0"', str(said), sys.executable, "-c", EMIT,
             str(world.host), str(world.you.key), str(world.now)],
            env=world.you.env(), stdout=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        time.sleep(chance.uniform(0.1, 0.9))
        with _gone():
            os.killpg(emission.pid, signal.SIGKILL)
        assert emission.wait() in (0, -signal.SIGKILL), said.read_text()
        for lock in world.host.rglob("*.lock"):
            lock.unlink()  # as `gitledger hooks check` and git itself tell a person to
        place = world.place()
        newest = place.verified
        for at in range(newest.number + 1):
            row = newest.state.line.row(place.store, at)
            assert seen.setdefault(at, row.snapshot) == row.snapshot
    world.emit()
    assert len(verified(world)) == proposed + 1
    assert all(world.oid(number) == oid for number, oid in seen.items())
    assert not [ref for ref in world.refs() if ref.startswith("refs/proposals/")]
    forge.git(world.host, "fsck", "--strict")


class _gone:
    """Passes over a process that has ended already."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        return kind is ProcessLookupError


class _Crash(BaseException):
    pass


def _crash(*_: object, **__: object) -> None:
    raise _Crash
