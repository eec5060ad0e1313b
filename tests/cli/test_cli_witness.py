"""`emit`: each case has its sentence, a terminal is asked, and what was shown is what is done."""

from __future__ import annotations

import shutil
from pathlib import Path

import forge
import pytest
from typed import STANDARDS, Clones, at_terminal, told, typed
from world import World


def three_wait(world: World) -> None:
    world.make_host(paths=("{match: shared/**, proposers: any}", *STANDARDS))
    world.propose(world.alice, {"shared/x": "alice\n"}, "Too late", topic="late", base=0)
    first = world.propose(world.james, {"shared/x": "james\n"}, topic="first", base=0)
    world.emit(first)
    world.propose(world.james, {"standards/x": "x\n"}, "Agree", topic="agree")
    world.propose(world.alice, {"domains/alice/x": "x\n"}, "Mine", topic="mine")


@pytest.fixture
def queue(world: World) -> dict[str, str]:
    """One proposal that is ready, one that waits and one that can't be any more, by topic; on common@1."""
    world.begin(three_wait)
    return {ref.rpartition("/")[2]: oid for ref, oid in world.refs().items() if ref.startswith("refs/proposals/")}


def emit(world: World) -> tuple[str, ...]:
    return "emit", "--key", str(world.you.key)


def test_what_is_ready_is_numbered_the_rest_waits_or_is_refused(world: World, queue: dict[str, str]) -> None:
    said = typed(world.you, world.host, *emit(world)).stdout
    assert "common@2 published." in said and "1 proposal refused, each with a signed receipt." in said
    for title, oid in (("Numbered", "mine"), ("Waits for endorsements", "agree"), ("Refused", "late")):
        assert queue[oid][:12] in said.split(f"{title}\n")[1].split("\n\n")[0]
    assert world.snapshots()[-1] == "common@2"
    assert f"refs/refusals/{queue['late']}" in world.refs()


def test_as_json_it_tells_the_same(world: World, queue: dict[str, str]) -> None:
    for more in (("--dry-run",), ()):
        said = told(world.you, world.host, *emit(world), *more)
        assert said["newest"] == "common@1" and said["unpublished"] == [] and said["unreadable"] == []
        assert [(one["oid"], one["snapshot"]) for one in said["ready"]] == [(queue["mine"], "common@2")]
        assert [one["oid"] for one in said["waiting"]] == [queue["agree"]]
        assert [(one["oid"], one["rule"]) for one in said["refused"]] == [(queue["late"], "path-changed-since")]


def test_a_dry_run_only_tells_and_needs_no_key(world: World, queue: dict[str, str]) -> None:
    before = world.refs()
    said = typed(world.stranger, world.host, "emit", "--dry-run").stdout
    assert "Will be numbered" in said and "Will be refused" in said
    assert world.refs() == before


def test_named_proposals_are_taken_alone(world: World, queue: dict[str, str]) -> None:
    typed(world.you, world.host, *emit(world), "mine")
    assert world.snapshots()[-1] == "common@2"
    assert "refs/proposals/alice/late" in world.refs()
    assert "[not-waiting]" in typed(world.you, world.host, *emit(world), "nothing", status=1).stderr


def test_at_a_terminal_it_shows_the_clock_and_the_plan_and_asks(world: World, queue: dict[str, str]) -> None:
    before = world.refs()
    shown = at_terminal(world.you, world.host, *emit(world), answers=[("Emit? [y/N]", "n\n")])
    assert shown.status == 1 and world.refs() == before
    for part in ("this clock says", "common@1 is of", "Will be numbered", "Will be refused", "Numbers are for ever"):
        assert part in shown.text
    shown = at_terminal(world.you, world.host, *emit(world), answers=[("Emit? [y/N]", "y\n")])
    assert shown.status == 0 and "common@2" in shown.text.split("Emit?")[1]
    assert world.snapshots()[-1] == "common@2"


def test_what_comes_while_it_asks_is_left_for_the_next_time(world: World, queue: dict[str, str]) -> None:
    def meanwhile() -> str:
        world.propose(world.james, {"domains/james/x": "x\n"}, topic="later")
        return "y\n"

    assert at_terminal(world.you, world.host, *emit(world), answers=[("Emit? [y/N]", meanwhile)]).status == 0
    assert world.snapshots()[-1] == "common@2"
    assert "refs/proposals/james/later" in world.refs()


def test_with_yes_it_does_not_ask(world: World, queue: dict[str, str]) -> None:
    assert at_terminal(world.you, world.host, *emit(world), "--yes").status == 0
    assert world.snapshots()[-1] == "common@2"


def test_a_clock_that_is_behind_is_said(world: World, queue: dict[str, str]) -> None:
    shown = at_terminal(
        world.you,
        world.host,
        *emit(world),
        answers=[("Emit? [y/N]", "n\n")],
        env={"GIT_COMMITTER_DATE": "1700000000 +0000"},
    )
    assert "This clock is behind" in shown.text


def test_an_empty_queue_has_its_sentence(world: World) -> None:
    for arguments in (emit(world), ("emit", "--dry-run")):
        assert typed(world.you, world.host, *arguments).stdout == "Nothing waits: common@0 stays the newest.\n"


def test_who_is_not_the_witness_is_told(world: World, queue: dict[str, str]) -> None:
    assert "[not-the-witness]" in typed(world.alice, world.host, "emit", "--key", str(world.alice.key), status=1).stderr
    assert "[no-key]" in typed(world.alice, world.host, "emit", status=1).stderr


def test_on_another_machine_it_wants_first_here(world: World, queue: dict[str, str]) -> None:
    shutil.rmtree(world.you.home / ".local" / "state" / "gitledger")
    assert "[first-here]" in typed(world.you, world.host, *emit(world), status=1).stderr
    typed(world.you, world.host, *emit(world), "--first-here")
    assert world.snapshots()[-1] == "common@2"


def test_in_a_clone_it_fetches_first_and_pushes_through_the_hooks(
    world: World, queue: dict[str, str], clone_of: Clones
) -> None:
    clone = clone_of(world.you)
    world.propose(world.james, {"domains/james/x": "x\n"}, topic="more")
    typed(world.you, clone, "emit")
    assert world.snapshots()[-1] == "common@3"
    assert world.oid("common", clone) == world.tip
    assert "Waits for endorsements" in typed(world.you, clone, "emit").stdout


def test_an_unreachable_host_and_a_stale_one_stop_it(world: World, queue: dict[str, str], clone_of: Clones) -> None:
    clone = clone_of(world.you)
    stale = world.bench(world.stranger)
    typed(world.you, clone, "emit")
    for remote, rule in ((world.path / "nowhere", "unreachable"), (stale, "stale")):
        world.you.git(clone, "remote", "set-url", "origin", str(remote))
        assert f"[{rule}]" in typed(world.you, clone, "emit", status=4).stderr


def test_what_was_signed_and_not_published_is_published_again(
    world: World, queue: dict[str, str], clone_of: Clones, tmp_path: Path
) -> None:
    clone = clone_of(world.you)
    hook = world.host / "hooks" / "pre-receive"
    kept = hook.read_bytes()
    hook.write_text("#!/bin/sh\necho 'no room' >&2\nexit 1\n")
    assert "[refused-by-remote]" in typed(world.you, clone, "emit", status=1).stderr
    hook.write_bytes(kept)
    assert told(world.you, clone, "status")["duty"]["unpublished"] == ["common@2"]
    assert "Signed before" in typed(world.you, clone, "status").stdout
    said = typed(world.you, clone, "emit").stdout
    assert "Signed before, not known to be published: now published" in said
    assert world.snapshots()[-1] == "common@2"


# Succession


def rotation_waits(world: World) -> None:
    world.propose(world.alice, {"domains/alice/x": "x\n"}, "Mine")
    world.rotate(world.james, [world.alice, world.james], reason="stepping back")


@pytest.fixture
def rotated(world: World) -> World:
    """A complete rotation to james, and one proposal that is ready."""
    world.begin(rotation_waits)
    return world


def test_the_new_witness_is_told_of_the_seal_asked_and_seals(rotated: World) -> None:
    world = rotated
    emitting = "emit", "--key", str(world.james.key)
    said = typed(world.james, world.host, *emitting, "--dry-run").stdout
    assert "Will be sealed\n  common@1  witness rotates from you to james, by alice and james\n" in said
    assert "common@2" in said.split("Will be numbered\n")[1]
    said = told(world.james, world.host, *emitting, "--dry-run")["sealing"]
    assert (said["from"]["domain"], said["to"]["domain"], said["snapshot"]) == ("you", "james", "common@1")
    assert said["endorsed_by"] == ["alice", "james"]
    shown = at_terminal(world.james, world.host, *emitting, answers=[("Emit? [y/N]", "n\n")])
    assert shown.status == 1 and "Will be sealed" in shown.text and world.snapshots() == ["common@0"]
    said = typed(world.james, world.host, *emitting).stdout
    assert "common@1 … common@2 published." in said and "The witness is james now." in said


def test_a_dry_run_of_the_old_witness_says_what_waits(rotated: World) -> None:
    for person in (rotated.you, rotated.alice):
        asked = "emit", "--dry-run", "--key", str(person.key)
        assert "[rotation-waits]" in typed(person, rotated.host, *asked, status=1).stderr
    assert "[rotation-waits]" in typed(rotated.you, rotated.host, *emit(rotated), status=1).stderr


@pytest.mark.long
def test_what_is_superseded_is_said_once_with_the_file_that_keeps_it(
    world: World, clone_of: Clones, queue: dict[str, str]
) -> None:
    clone, hook = clone_of(world.you), world.host / "hooks" / "pre-receive"
    kept = hook.read_bytes()
    hook.write_text("#!/bin/sh\nexit 1\n")
    typed(world.you, clone, "emit", status=1)
    hook.write_bytes(kept)
    for to in (world.james, world.you):
        world.rotate(to, [world.alice, world.james])
        if to is world.james:
            world.emit(by=world.james)
    assert told(world.you, clone, "emit", "--dry-run")["superseded"] == {"number": 2, "kept": None}
    said = typed(world.you, clone, "emit").stdout
    assert "Signed here, and superseded" in said and "pending-2-superseded.bundle" in said
    assert "superseded" not in typed(world.you, clone, "emit").stdout


@pytest.mark.long
def test_status_says_how_a_rotation_stands(world: World, clone_of: Clones) -> None:
    made = world.rotate(world.james, [world.alice])
    clones = {person.name: clone_of(person) for person in (world.alice, world.james, world.you)}
    for person, more in ((world.alice, ""), (world.james, ", yours missing"), (world.you, ", yours missing")):
        typed(person, clones[person.name], "fetch")
        said = typed(person, clones[person.name], "status").stdout
        assert f"Rotation to james on common@0: 1 of 2{more}\n" in said
        assert (f"gitledger endorse {made.hash[:12]}" in said) == bool(more)
    world.rotate(world.james, [world.james], draft=False)
    for person in (world.alice, world.james, world.you):
        typed(person, clones[person.name], "fetch")
        said = typed(person, clones[person.name], "status").stdout
        assert "Rotation to james on common@0: complete, james may seal it\n" in said
        assert ("gitledger emit" in said.split("Pinned")[0]) == (person is world.james)
    (one,) = told(world.james, clones["james"], "status")["rotations"]
    assert (one["standing"], one["missing"], one["yours_to_seal"]) == ("complete", 0, True) and one["until"]
    assert "You are to be the witness" in typed(world.james, clones["james"], "status").stdout
    assert "You are the witness, and can't emit" in typed(world.you, clones["you"], "status").stdout
    typed(world.james, clones["james"], "emit")
    said = typed(world.james, clones["james"], "status").stdout
    assert said.startswith("Common: common@1 (witness: james)\nNote: witness rotated at common@1\n")
    assert told(world.james, clones["james"], "status")["rotated"] == "common@1"


def test_status_says_that_the_witness_is_silent_and_what_an_authority_can_do(world: World, clone_of: Clones) -> None:
    world.make_host(grace="0h")
    said = typed(world.alice, clone_of(world.alice), "status").stdout
    assert " (grace 0): perhaps just off; authorities may rotate\n  gitledger rotate --to DOMAIN\n" in said
    assert "gitledger rotate" not in typed(world.stranger, world.host, "status").stdout
    assert told(world.alice, clone_of(world.alice), "status")["quiet"]["grace"] == "0h"


def test_status_says_that_the_host_is_frozen(world: World) -> None:
    from gitledger.roles import hold

    hold.freeze(world.place(), 36500 * 86400, world.now)
    said = typed(world.you, world.host, "status", "--key", str(world.you.key)).stdout
    assert "Frozen since 2026-11-20 " in said and "You are the witness, and can't emit" in said


@pytest.mark.long
def test_status_says_a_fork_with_its_evidence_and_both_sides(world: World, clone_of: Clones) -> None:
    clone = clone_of(world.alice)
    world.propose(world.alice, {"domains/alice/x": "x\n"})
    other = world.path / "other.git"
    shutil.copytree(world.host, other, symlinks=True)
    world.emit()
    typed(world.alice, clone, "fetch")
    bench = world.bench()
    stray = forge.snapshot(
        bench, world.oid(0), forge.proposal(bench, world.oid(0), {"shared/x": b"x\n"}, world.alice.key), world.you.key
    )
    forge.git(bench, "update-ref", "refs/heads/common", stray)
    forge.git(other, "fetch", "-q", str(bench), "+refs/heads/common:refs/heads/common")
    world.alice.git(clone, "remote", "set-url", "origin", str(other))
    typed(world.alice, clone, "fetch", status=3)
    said = typed(world.alice, clone, "status").stdout
    assert "FORK at common@1: " in said and "gitledger evidence check " in said
    for side in (world.tip, stray):
        assert f"gitledger adopt {forge.hash_of(bench, side)}   (" in said
    (fork,) = told(world.alice, clone, "status")["forks"]
    assert (fork["snapshot"], fork["here"]["hash"]) == ("common@1", forge.hash_of(bench, world.tip))


@pytest.mark.long
def test_log_and_show_mark_a_rotation(rotated: World) -> None:
    world = rotated
    typed(world.james, world.host, "emit", "--key", str(world.james.key))
    lines = typed(world.james, world.host, "log").stdout.splitlines()
    assert lines[1].endswith("  james  witness rotates to james, by alice and james")
    narrow = typed(world.james, world.host, "log", COLUMNS="64").stdout.splitlines()
    assert "witness rotates to james" in narrow[1]
    (said,) = [one["rotation"] for one in told(world.james, world.host, "log")["snapshots"] if one["rotation"]]
    assert (said["from"]["domain"], said["to"]["domain"], said["endorsed_by"]) == ("you", "james", ["alice", "james"])
    assert told(world.james, world.host, "show", "1")["rotation"] == said
    shown = typed(world.james, world.host, "show", "1").stdout
    for part in (world.you.key_id, world.james.key_id, "stepping back (endorsed by nobody)", said["artifact"]):
        assert part in shown
    assert "alice, james" in shown and said["path"] in shown
    commands = [line.strip() for line in shown.split("With stock git")[1].splitlines() if line.strip()]
    ran = [world.james.run(world.host, "sh", "-c", command, check=False).stdout for command in commands]
    assert ran[-1].split()[0] == said["artifact"].removeprefix("sha256:")
