"""Emission where a quorum rotates: who seals, who signs nothing, and what a machine remembers of it (spec 8, 9)."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import forge
import pytest
from world import Person, World

from gitledger.errors import Fork, Refused
from gitledger.roles import consumer, hold, witness
from gitledger.roles import journal as journals
from gitledger.roles.journal import Journal
from gitledger.rules.advance import advance, genesis

GRACE = 36500 * 86400  # that of the policy in these tests


def witnesses(world: World) -> list[str]:
    """Who signed each snapshot of the host, each of which `advance` reached from genesis."""
    place = world.place()
    trusted = genesis(place.store, world.oid(0), world.anchor)
    found = [trusted.entry.witness]
    while trusted.oid != world.tip:
        trusted = advance(trusted, world.oid(trusted.number + 1))
        found.append(trusted.entry.witness)
    return found


def publish(world: World, name: str) -> str:
    """A proposal by alice that nothing keeps from being numbered."""
    return world.propose(world.alice, {f"domains/alice/{name}": b"x\n"}, topic=name)


def state(world: World, person: Person) -> Path:
    """Where the machine of a person remembers what it signed."""
    return person.home / ".local" / "state" / "gitledger" / world.anchor.removeprefix("sha256:")


def crash(world: World, person: Person, patch: pytest.MonkeyPatch) -> str:
    """Emit, and die before the push; returns the commit that was signed."""

    class Crash(BaseException):
        pass

    def die(*_: object, **__: object) -> None:
        raise Crash

    with patch.context() as patched:
        patched.setattr(witness.remotes, "push", die)
        with pytest.raises(Crash):
            world.emit(by=person)
    return world.signed(person)


def refused(world: World, person: Person, rule: str, **how: bool) -> Refused:
    """Emit, and be refused for this rule; nothing is signed, and no ref of the host moves."""
    before, remembered = _refs(world), _files(state(world, person))
    with pytest.raises(Refused) as error:
        world.emit(by=person, **how)
    assert error.value.rule == rule
    assert (_refs(world), _files(state(world, person))) == (before, remembered)
    return error.value


def pass_grace(world: World, directory: Path | None = None) -> None:
    """Let the complete rotations have been seen a grace period ago."""
    file = (directory or world.host) / "gitledger" / "rotations.json"
    said = json.loads(file.read_text())
    file.write_text(json.dumps({rotation: seen - GRACE for rotation, seen in said.items()}))


def _refs(world: World) -> dict[str, str]:
    """The host's refs but the one into which an emission there reads what is pending."""
    return {ref: oid for ref, oid in world.refs().items() if ref != journals.SIGNED}


def _files(directory: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in directory.glob("*") if file.name != "lock"}


def _copy(source: Path, to: Path) -> Path:
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(source, to, symlinks=True)
    return to


# Who seals


def test_the_new_witness_seals_first_and_goes_on_with_the_queue_in_one_push(world: World) -> None:
    oid = publish(world, "a")
    world.rotate(world.james, [world.alice, world.james], reason="stepping back")
    plan = world.emit(by=world.james)  # who never emitted here needs no --first-here
    assert plan.sealing is not None and plan.sealing.new == ("james", world.james.key_id)
    assert [verdict.proposal.oid for verdict in plan.ready] == [oid]
    assert plan.published == ("common@1", "common@2")
    assert witnesses(world) == ["you", "james", "james"]
    assert forge.message(world.host, world.oid(1)).startswith("common@1: witness rotates to james\n")
    assert f"since: common@1\nrotation_artifact: {forge.said(world.host, world.oid(1), 'Rotation')}\n".encode() in (
        world.read("ledger/witness.yaml")
    )
    publish(world, "b")
    assert world.emit(by=world.james).published == ("common@3",)
    error = refused(world, world.you, "not-the-witness")
    assert "james" in error.what and "common@1" in error.what


def test_stock_tools_compute_the_same_seal(world: World) -> None:
    made = world.rotate(world.james, [world.alice, world.james])
    before = world.tip
    world.emit(by=world.james)
    keys = {name: world.person(name).key for name in made.signatures}
    artifact = forge.rotation_file(world.host, before, ("james", world.james.key), keys)
    seconds = forge.when(world.host, world.oid(1))
    assert forge.rotating(world.host, before, artifact, world.james.key, seconds=seconds) == world.oid(1)


def test_a_rotation_to_the_present_witness_cancels_the_others(world: World) -> None:
    world.rotate(world.james, [world.alice, world.james])
    world.rotate(world.you, [world.alice, world.you])
    plan = world.emit()
    assert plan.sealing is not None and plan.published == ("common@1",)
    assert witnesses(world) == ["you", "you"]
    refused(world, world.james, "not-the-witness")


def test_on_a_machine_that_never_emitted_the_present_witness_wants_first_here_for_a_cancel_too(world: World) -> None:
    world.rotate(world.you, [world.alice, world.you])
    shutil.rmtree(state(world, world.you))
    state(world, world.you).mkdir()
    refused(world, world.you, "first-here")
    assert world.emit(first_here=True).published == ("common@1",)


def test_who_is_to_be_the_witness_is_told_what_the_rotation_lacks(world: World) -> None:
    made = world.rotate(world.james, [world.alice])
    error = refused(world, world.james, "not-the-witness")
    assert "lacks 1 more endorsement of james, you" in error.what
    assert made.hash[:12] in error.mend
    assert "lacks" not in refused(world, world.alice, "not-the-witness").what


def test_a_stale_rotation_makes_nobody_a_witness(world: World) -> None:
    world.rotate(world.james, [world.alice])
    publish(world, "a")
    world.emit()
    refused(world, world.james, "not-the-witness")


def test_a_plan_tells_the_seal_and_signs_nothing(world: World) -> None:
    publish(world, "a")
    world.rotate(world.james, [world.alice, world.james])
    before = world.refs()
    with world.acting(world.james):
        plan = witness.plan(world.place(), world.james.key_id)
    assert plan.sealing is not None
    assert plan.published == ("common@1", "common@2") and plan.ready[0].number == 2
    assert world.refs() == before


def test_from_a_clone_it_is_the_same(world: World) -> None:
    publish(world, "a")
    with world.acting(world.james):
        place = consumer.clone(str(world.host), world.james.home / "verified", world.anchor, now=world.now)
        world.rotate(world.james, [world.alice, world.james])
        place = consumer.fetch(place, now=world.now).place
        plan = witness.emit(place, world.james.signer(), world.now)
    assert plan.published == ("common@1", "common@2")
    assert witnesses(world) == ["you", "james", "james"]
    assert world.place(world.james.home / "verified").verified.oid == world.tip


# Who signs nothing


def test_the_old_witness_signs_nothing_while_a_rotation_waits_and_may_again_after_its_grace(world: World) -> None:
    publish(world, "a")
    world.rotate(world.james, [world.alice, world.james])
    assert "james" in refused(world, world.you, "rotation-waits").what
    pass_grace(world)
    assert world.emit().published == ("common@1",)
    refused(world, world.james, "not-the-witness")


def test_in_a_clone_the_old_witness_signs_nothing_either(world: World) -> None:
    publish(world, "a")
    clone = world.you.home / "verified"
    with world.acting(world.you):
        place = consumer.clone(str(world.host), clone, world.anchor, now=world.now)
        world.rotate(world.james, [world.alice, world.james])
        place = consumer.fetch(place, now=world.now).place
        remembered = _files(state(world, world.you))
        with pytest.raises(Refused) as error:
            witness.emit(place, world.you.signer(), world.now)
        assert error.value.rule == "rotation-waits"
        assert _files(state(world, world.you)) == remembered
        for directory in (clone / ".git", world.host):
            pass_grace(world, directory)
        assert witness.emit(world.place(clone), world.you.signer(), world.now).published == ("common@1",)


def test_on_a_frozen_host_the_witness_signs_nothing_and_a_seal_goes_through(world: World) -> None:
    publish(world, "a")
    place = world.place()
    hold.freeze(place, GRACE, place.verified.seconds)
    refused(world, world.you, "frozen")
    world.rotate(world.james, [world.alice, world.james])
    assert world.emit(by=world.james).published == ("common@1", "common@2")


# What a machine remembers


def test_a_seal_that_was_signed_before_a_crash_is_published_byte_for_byte(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(world, "a")
    world.rotate(world.james, [world.alice, world.james])
    signed = crash(world, world.james, monkeypatch)
    world.tick(100)
    plan = world.emit(by=world.james)
    assert plan.sealing is None and plan.published == ("common@1", "common@2")
    assert world.tip == signed


def test_a_first_seal_that_was_published_before_a_crash_is_known_to_have_been(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.rotate(world.james, [world.alice, world.james])
    with monkeypatch.context() as patch:
        patch.setattr(journals.Journal, "published", _killed)
        with pytest.raises(RuntimeError):
            world.emit(by=world.james)
    assert world.snapshots() == ["common@0", "common@1"]
    world.propose(world.alice, {"shared/after.txt": b"x\n"})
    assert world.emit(by=world.james).published == ("common@2",)


def _killed(journal: object, snapshot: object) -> None:
    raise RuntimeError("killed")


def test_what_the_old_witness_signed_and_did_not_publish_is_kept_aside_once_another_sealed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(world, "a")
    crash(world, world.you, monkeypatch)
    world.rotate(world.james, [world.alice, world.james])
    world.emit(by=world.james)
    refused(world, world.you, "not-the-witness")
    world.rotate(world.you, [world.alice, world.james])  # and back again
    publish(world, "b")
    plan = world.emit()
    assert plan.published == ("common@3", "common@4")
    assert plan.superseded is not None
    assert plan.superseded.kept == state(world, world.you) / "pending-1-superseded.bundle"
    assert plan.superseded.kept.exists() and not (state(world, world.you) / "pending.bundle").exists()
    assert world.emit().superseded is None
    assert witnesses(world) == ["you", "james", "james", "you", "you"]


@pytest.mark.long
def test_what_the_old_witness_published_on_a_host_that_lost_it_does_not_keep_it_from_serving_again(
    world: World,
) -> None:
    backup = _copy(world.host, world.path / "backup.git")
    for name in "abc":
        publish(world, name)
        world.emit()
    _copy(backup, world.host)
    assert refused(world, world.you, "host-forgot")
    world.rotate(world.james, [world.alice, world.james])
    world.emit(by=world.james)
    refused(world, world.you, "not-the-witness")
    world.rotate(world.you, [world.alice, world.james])
    publish(world, "d")
    assert world.emit().published == ("common@2", "common@3")
    assert witnesses(world) == ["you", "james", "you", "you"]


def test_a_host_that_forgot_a_seal_gets_no_second_one_by_the_same_key(world: World) -> None:
    world.rotate(world.james, [world.alice, world.james])
    backup = _copy(world.host, world.path / "backup.git")
    world.emit(by=world.james)
    _copy(backup, world.host)
    assert "common@1" in refused(world, world.james, "host-forgot").what
    assert witnesses(world) == ["you"]


def test_a_witness_never_signs_a_second_snapshot_of_a_number_to_cancel_a_rotation(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(world, "a")
    signed = crash(world, world.you, monkeypatch)
    world.rotate(world.you, [world.alice, world.you])
    assert "common@1 was signed here before" in refused(world, world.you, "rotation-waits").what
    pass_grace(world)
    assert world.emit().published == ("common@1",)
    assert world.tip == signed


def test_another_snapshot_by_the_same_key_is_a_fork_even_where_it_seals(world: World) -> None:
    backup = _copy(world.host, world.path / "backup.git")
    publish(world, "a")
    world.emit()
    kept = _copy(state(world, world.you), world.path / "kept")
    _copy(backup, world.host)
    world.rotate(world.you, [world.alice, world.you])
    shutil.rmtree(state(world, world.you))
    world.emit(first_here=True)
    _copy(kept, state(world, world.you))
    with pytest.raises(Fork):
        world.emit()
    assert world.snapshots() == ["common@0", "common@1"]


def test_what_one_key_signed_and_nobody_saw_gives_way_to_a_rotation_to_another_on_the_same_machine(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(world, "a")
    crash(world, world.you, monkeypatch)
    world.rotate(world.james, [world.alice, world.james])
    _copy(state(world, world.you), state(world, world.james))
    plan = world.emit(by=world.james)
    assert plan.superseded is not None and plan.superseded.kept is not None and plan.superseded.kept.exists()
    assert plan.published == ("common@1", "common@2")
    assert witnesses(world) == ["you", "james", "james"]


def test_the_journal_knows_the_key_and_since_when_it_served(world: World) -> None:
    world.rotate(world.james, [world.alice, world.james])
    publish(world, "a")
    world.emit(by=world.james)
    with world.acting(world.james):
        last = Journal.of(world.anchor).last
    assert last is not None
    assert (last.number, last.oid, last.key, last.since) == (2, world.tip, world.james.key_id, 1)


def test_a_reader_who_changed_sides_in_the_clone_that_emits_is_held_up_by_no_snapshot_of_the_other(
    world: World,
) -> None:
    """james sealed on one host, and the old witness went on, on another, whose side wins: james may serve there."""
    other = _copy(world.host, world.path / "other.git")
    world.rotate(world.james, [world.alice, world.james])
    world.emit(by=world.james)
    _copy(other, world.host)
    publish(world, "a")
    world.emit()
    world.rotate(world.james, [world.alice, world.james])
    assert world.emit(by=world.james).published == ("common@2",)
    assert witnesses(world) == ["you", "you", "james"]


def test_after_a_seal_only_the_new_witness_may_emit(world: World) -> None:
    world.rotate(world.james, [world.alice, world.james])
    world.rotate(world.alice, [world.alice, world.you])
    assert all(witness.may_emit(world.place(), one.key_id) for one in (world.you, world.james, world.alice))
    world.emit(by=world.james)
    for one, may in ((world.you, False), (world.james, True), (world.alice, False)):
        assert witness.may_emit(world.place(), one.key_id) == may
