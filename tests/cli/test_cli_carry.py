"""`carry out`, `carry in`, `carry inspect`, and what the commands say where the host can't be reached."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typed import Clones, told, typed
from world import World


def offline(world: World, clone: Path) -> None:
    world.alice.git(clone, "remote", "set-url", "origin", str(clone.parent / "nowhere.git"))


def stage(world: World, clone: Path, path: str) -> None:
    (clone / path).parent.mkdir(parents=True, exist_ok=True)
    (clone / path).write_text("text\n")
    world.alice.git(clone, "add", path)


@pytest.mark.long
def test_a_proposal_is_kept_carried_taken_and_comes_back_as_a_snapshot(
    world: World, clone: Path, tmp_path: Path
) -> None:
    offline(world, clone)
    stage(world, clone, "domains/alice/a.txt")
    said = typed(world.alice, clone, "propose", "-m", "By stick", "--topic", "stick")
    assert "alice/stick is committed" in said.stdout and "gitledger carry out FILE" in said.stdout
    assert "Not sent, and kept here" in said.stderr
    stick = str(tmp_path / "b")
    said = typed(world.alice, clone, "carry", "out", stick, "--for", "witness")
    assert "is written, with what is new from genesis on:" in said.stdout and "1 proposal" in said.stdout
    inspected = typed(world.you, world.path, "carry", "inspect", stick).stdout
    assert "Nothing of it is verified" in inspected and "alice/stick  By stick" in inspected
    said = typed(world.you, world.host, "carry", "in", stick)
    assert "taken  refs/proposals/alice/stick\n" in said.stdout
    assert "waits at place 1 of 1" in " ".join(said.stdout.split())
    world.emit()
    back = told(world.you, world.host, "carry", "out", str(tmp_path / "c"))
    assert (back["since"], back["snapshot"], back["snapshots"]) == ("common@0", "common@1", 1)
    done = told(world.alice, clone, "carry", "in", str(tmp_path / "c"))
    assert (done["before"], done["after"], done["from"]["role"]) == ("common@0", "common@1", "host")
    assert done["refs"] == [{"ref": "refs/heads/common", "outcome": "taken", "said": ""}]
    assert told(world.alice, clone, "proposals")["proposals"] == []


def test_what_is_refused_is_said_and_makes_the_exit_status_1(world: World, clone: Path, tmp_path: Path) -> None:
    oid = world.commit(world.alice, {"domains/james/a": "a\n"})
    bench = world.clone(world.alice)
    world.alice.git(bench, "branch", "wrong", oid)
    world.alice.git(bench, "bundle", "create", str(tmp_path / "b"), "wrong")
    said = typed(world.you, world.host, "carry", "in", str(tmp_path / "b"), status=1)
    assert "refused  refs/proposals/alice/wrong" in said.stdout
    assert "[carried-in-part]" in said.stderr
    one = json.loads(typed(world.you, world.host, "carry", "in", str(tmp_path / "b"), "--json", status=1).stdout)
    assert one["refs"][0]["outcome"] == "refused"


@pytest.mark.long
def test_endorsing_rotating_and_withdrawing_are_kept_too(world: World, clone: Path, tmp_path: Path) -> None:
    mine = world.propose(world.alice, {"domains/alice/a": "a\n"}, topic="mine")
    typed(world.alice, clone, "fetch")
    offline(world, clone)
    said = typed(world.alice, clone, "withdraw", mine)
    assert "gitledger carry out FILE" in said.stdout
    said = typed(world.alice, clone, "rotate", "--to", "james", "--yes")
    assert "Endorsed by alice" in said.stdout and "gitledger carry out FILE" in said.stdout
    out = told(world.alice, clone, "carry", "out", str(tmp_path / "b"), "--for", "witness")
    kinds = sorted(ref.split("/")[1] for ref in out["refs"])
    assert kinds == ["refusals", "rotations", "rotations"]  # what is withdrawn waits for nothing, its receipt does
    done = told(world.you, world.host, "carry", "in", str(tmp_path / "b"))
    assert {one["outcome"] for one in done["refs"]} <= {"taken", "there"}


def test_json_says_all_that_inspect_finds(world: World, clone_of: Clones, tmp_path: Path) -> None:
    world.propose(world.alice, {"domains/alice/a": "a\n"}, "Better")
    told(world.you, world.host, "carry", "out", str(tmp_path / "b"))
    found = told(world.alice, clone_of(world.alice), "carry", "inspect", str(tmp_path / "b"))
    assert found["ledger_id"] == world.anchor
    assert found["snapshots"] == {"from": "common@0", "to": "common@0"}
    assert found["proposals"] == [{"ref": "refs/proposals/alice/t", "summaries": ["Better"]}]
    assert (found["since"], found["builds_on"], found["unread"]) == (None, [], None)


def test_wrong_usage_is_a_sentence(world: World, tmp_path: Path) -> None:
    typed(world.you, world.host, "carry", "out", str(tmp_path / "b"), "--for", "everybody", status=2)
    typed(world.you, world.host, "carry", "in", str(tmp_path / "none"), status=2)
    typed(world.you, world.host, "carry", "inspect", str(tmp_path), status=2)
    typed(world.you, world.host, "carry", "out", str(tmp_path / "b"), "--since", "common@9", status=1)
    assert not (tmp_path / "b").exists()


def test_a_file_that_is_damaged_or_has_no_place_is_said_and_no_success(world: World, tmp_path: Path) -> None:
    nowhere = typed(world.you, world.host, "carry", "out", str(tmp_path / "nowhere" / "b"), status=2)
    assert "[no-directory]" in nowhere.stderr and "mkdir -p" in nowhere.stderr
    typed(world.you, world.host, "carry", "out", str(tmp_path / "b"))
    whole = (tmp_path / "b").read_bytes()
    (tmp_path / "half").write_bytes(whole[: len(whole) - 100])
    assert (
        "[bundle-damaged]" in typed(world.you, world.host, "carry", "inspect", str(tmp_path / "half"), status=1).stderr
    )
    typed(world.you, world.host, "carry", "inspect", str(tmp_path / "b"))
