"""`adopt`, `evidence check`, and what `fetch`, `status` and `clone` say of forks."""

from __future__ import annotations

import json
from pathlib import Path

import forge
import pytest
from mirror import KEYS, Mirror
from typed import at_terminal, told, typed
from world import World


@pytest.fixture
def mirror(tmp_path: Path) -> Mirror:
    mirror = Mirror(tmp_path / "mirror.git")
    mirror.grow(2)
    return mirror


@pytest.fixture
def copy(world: World, mirror: Mirror, tmp_path: Path) -> Path:
    typed(world.alice, tmp_path, "clone", "mirror.git", "copy", "--anchor", mirror.anchor)
    return tmp_path / "copy"


def fork(mirror: Mirror) -> str:
    """Serve another common@2 and one snapshot on it; the first."""
    other = mirror.snapshot("domains/alice/other.txt", on=mirror.snapshots[1])
    mirror.show(mirror.snapshot(on=other))
    return other


def proof(copy: Path) -> str:
    (file,) = (copy / ".git" / "gitledger" / "evidence").iterdir()
    return str(file)


def test_a_fork_is_seen_shown_checked_and_adopted(world: World, mirror: Mirror, copy: Path, tmp_path: Path) -> None:
    other = fork(mirror)
    seen = typed(world.alice, copy, "fetch", status=3)
    assert "[fork]" in seen.stderr and f"gitledger evidence check {proof(copy)}" in seen.stderr
    assert "FORK at common@2: signed twice by you" in typed(world.alice, copy, "status").stdout
    assert "2 snapshots" not in typed(world.alice, tmp_path, "evidence", "check", proof(copy)).stdout
    done = typed(world.alice, copy, "adopt", forge.hash_of(mirror.path, other)[:20])
    assert "common@3 is verified" in done.stdout and "Left behind: common@2 (1 snapshot)" in done.stdout
    assert "gitledger pin common@3" in done.stdout
    assert "FORK" not in typed(world.alice, copy, "status").stdout
    for command in ("fetch", "verify", "verify --from-genesis", "log", "pin common@3", "show 2"):
        typed(world.alice, copy, *command.split())
    mirror.show(mirror.tip)
    assert "[fork-left]" in typed(world.alice, copy, "fetch", status=3).stderr


def test_adopt_asks_on_a_terminal(world: World, mirror: Mirror, copy: Path) -> None:
    other = fork(mirror)
    typed(world.alice, copy, "fetch", status=3)
    before = world.oid("common", copy)
    screen = at_terminal(world.alice, copy, "adopt", other, answers=[("[y/N]", "n\n")], columns=200)
    assert screen.status == 1 and "Left behind would be common@2" in screen.text
    assert world.oid("common", copy) == before
    assert at_terminal(world.alice, copy, "adopt", other, answers=[("[y/N]", "y\n")]).status == 0
    assert world.oid("common", copy) != before


def test_staying_is_said_and_programs_are_told(world: World, mirror: Mirror, copy: Path) -> None:
    other = fork(mirror)
    typed(world.alice, copy, "fetch", status=3)
    said = told(world.alice, copy, "adopt", mirror.tip)
    assert (said["fork"], said["stays"], said["snapshot"]) == ("common@2", True, "common@2")
    assert said["left"] == {"from": "common@2", "to": "common@3", "count": 2, "hash": forge.hash_of(mirror.path, other)}
    assert "stays" in typed(world.alice, copy, "adopt", mirror.tip).stdout


def test_adopt_without_a_fork_or_a_side_that_rotates_is_refused(world: World, mirror: Mirror, copy: Path) -> None:
    assert "[no-fork]" in typed(world.alice, copy, "adopt", status=1).stderr
    other = fork(mirror)
    typed(world.alice, copy, "fetch", status=3)
    said = typed(world.alice, copy, "adopt", status=1).stderr
    assert "[which-side]" in said and forge.hash_of(mirror.path, other) in said
    assert "[no-such-side]" in typed(world.alice, copy, "adopt", "0" * 64, status=1).stderr
    assert "[side-name]" in typed(world.alice, copy, "adopt", "../x", status=1).stderr


def test_adopt_takes_the_rotation_and_says_whose_it_is(world: World, mirror: Mirror, copy: Path) -> None:
    to = ("james", KEYS / "james")
    artifact = forge.rotation_file(
        mirror.path, mirror.snapshots[1], to, {"alice": KEYS / "alice", "james": KEYS / "james"}
    )
    mirror.show(forge.rotating(mirror.path, mirror.snapshots[1], artifact, to[1], to=to, seconds=forge.START + 9))
    seen = typed(world.alice, copy, "fetch", status=3).stderr
    assert "seals a quorum's rotation to james, endorsed by alice, james" in seen
    said = told(world.alice, copy, "evidence", "check", proof(copy))
    assert [side["rotates_to"] for side in said["sides"]] == [None, "james"] and said["signed_both"] is None
    typed(world.alice, copy, "adopt")
    assert "(witness: james)" in typed(world.alice, copy, "status").stdout
    typed(world.alice, copy, "verify", "--from-genesis")


def test_evidence_is_compared_with_the_ledger_that_one_is_in(
    world: World, mirror: Mirror, copy: Path, tmp_path: Path
) -> None:
    other = fork(mirror)
    typed(world.alice, copy, "fetch", status=3)
    outside, inside = (told(world.alice, where, "evidence", "check", proof(copy)) for where in (tmp_path, copy))
    assert (outside["base"]["here"], inside["base"]["here"]) == (None, True)
    assert inside["kind"] == "fork" and inside["signed_both"] == "you"
    assert "verified here" in typed(world.alice, copy, "evidence", "check", proof(copy)).stdout
    assert "Compare the hash" in typed(world.alice, tmp_path, "evidence", "check", proof(copy)).stdout
    # on the other side, a fork further up stands on a snapshot that is none of ours
    (copy / ".git" / "gitledger" / "evidence").rename(tmp_path / "first")
    ours = typed(world.alice, copy, "adopt", other)
    assert "is verified" in ours.stdout
    mirror.show(mirror.snapshot("domains/alice/z", on=world.oid("common@2", copy), at=30))
    typed(world.alice, copy, "fetch", status=3)
    typed(world.alice, copy, "evidence", "check", proof(copy))
    typed(world.alice, copy, "adopt", mirror.tip)
    assert "[evidence-base-differs]" in typed(world.alice, copy, "evidence", "check", proof(copy), status=1).stderr
    typed(world.alice, tmp_path, "evidence", "check", proof(copy))


def test_misconduct_is_told_kept_and_checked(world: World, mirror: Mirror, copy: Path, tmp_path: Path) -> None:
    mirror.show(mirror.snapshot(first="common@3: something else"))
    said = typed(world.alice, copy, "fetch", status=1).stderr
    assert "[altered]" in said and "proof of misconduct" in said
    found = typed(world.alice, tmp_path, "evidence", "check", proof(copy)).stdout
    assert "you signed what is no valid snapshot on common@2" in found and "[altered]" in found
    data = told(world.alice, tmp_path, "evidence", "check", proof(copy))
    assert (data["kind"], data["domain"], data["standing"], data["rule"]) == ("misconduct", "you", "witness", "altered")


def test_what_proves_nothing_is_exit_status_1(world: World, mirror: Mirror, copy: Path, tmp_path: Path) -> None:
    fork(mirror)
    typed(world.alice, copy, "fetch", status=3)
    said = json.loads(Path(proof(copy)).read_bytes())
    said["objects"].pop()
    bad = tmp_path / "bad.json"
    bad.write_text(json.dumps(said, sort_keys=True, separators=(",", ":")) + "\n")
    assert "[evidence-" in typed(world.alice, tmp_path, "evidence", "check", str(bad), status=1).stderr
    assert "[file-unreadable]" in typed(world.alice, tmp_path, "evidence", "check", "nowhere", status=1).stderr


def test_a_clone_without_a_known_snapshot_says_what_it_can_not_know(
    world: World, mirror: Mirror, tmp_path: Path
) -> None:
    first = typed(world.alice, tmp_path, "clone", "mirror.git", "one", "--anchor", mirror.anchor).stdout
    assert "not that it is the newest or the only one" in first and "--known common@N=sha256:" in first
    known = f"common@2={forge.hash_of(mirror.path, mirror.tip)}"
    second = typed(world.alice, tmp_path, "clone", "mirror.git", "two", "--anchor", mirror.anchor, "--known", known)
    assert "newest or the only" not in second.stdout
