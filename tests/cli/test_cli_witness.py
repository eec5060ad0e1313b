"""`emit`: each case has its sentence, a terminal is asked, and what was shown is what is done."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from typed import STANDARDS, Clones, at_terminal, told, typed
from world import World


@pytest.fixture
def queue(world: World) -> dict[str, str]:
    """One proposal that is ready, one that waits and one that can't be any more, by topic; on common@1."""
    world.make_host(paths=("{match: shared/**, proposers: any}", *STANDARDS))
    made = {"late": world.propose(world.alice, {"shared/x": "alice\n"}, "Too late", topic="late", base=0)}
    first = world.propose(world.james, {"shared/x": "james\n"}, topic="first", base=0)
    world.emit(first)
    made["agree"] = world.propose(world.james, {"standards/x": "x\n"}, "Agree", topic="agree")
    made["mine"] = world.propose(world.alice, {"domains/alice/x": "x\n"}, "Mine", topic="mine")
    return {topic: str(oid) for topic, oid in made.items()}


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
