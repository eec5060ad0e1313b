"""Checkouts, indexes, arguments and clocks that are not as they should be: said plainly, and nothing is left behind."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import forge
import pytest
from mirror import NOW, Mirror
from typed import typed
from world import World

from gitledger.documents.manifest import Manifest
from gitledger.errors import Failed, Refused, Unsound, Usage
from gitledger.roles import consumer, host, proposer
from gitledger.roles.place import Place
from gitledger.signing.keys import PublicKey

PATH = "domains/carol/domain.yaml"


@pytest.fixture
def place(mirror: Mirror, tmp_path: Path) -> Place:
    return consumer.clone(str(mirror.path), tmp_path / "clone", mirror.anchor, now=NOW)


def tree_of(place: Place) -> Path:
    assert place.store.work_tree is not None
    return place.store.work_tree


def manifest(world: World) -> Manifest:
    return proposer.found_domain("carol", PublicKey.parse(world.stranger.pub))


# The manifest in the checkout


def in_the_way(name: str, root: Path, away: Path) -> None:
    """Put what is meant by `name` where the manifest would be written, or above it."""
    file = root / PATH
    if name == "link-above-all":
        away.mkdir()
        (root / "domains").rename(away / "domains")
        (root / "domains").symlink_to(away / "domains")
        return
    if name == "link-above":
        away.mkdir()
        file.parent.symlink_to(away)
        return
    if name == "file-above":
        file.parent.write_text("mine\n")
        return
    file.parent.mkdir()
    if name == "link":
        away.write_text("mine\n")
        file.symlink_to(away)
    elif name == "dangling":
        file.symlink_to(away)
    elif name == "fifo":
        os.mkfifo(file)
    else:
        file.mkdir()


@pytest.mark.parametrize(
    "name", ["link-above-all", "link-above", "file-above", "link", "dangling", "fifo", "directory"]
)
def test_a_manifest_is_written_to_a_plain_file_alone(world: World, place: Place, tmp_path: Path, name: str) -> None:
    root, away = tree_of(place), tmp_path / "away"
    in_the_way(name, root, away)
    before = sorted(str(path) for path in tmp_path.rglob("*") if ".git" not in path.parts)
    index = place.store.git("ls-files", "--stage").stdout
    with pytest.raises(Refused) as caught:
        proposer.stage(place, PATH, manifest(world).render())
    assert caught.value.rule == "not-a-file"
    assert sorted(str(path) for path in tmp_path.rglob("*") if ".git" not in path.parts) == before
    assert place.store.git("ls-files", "--stage").stdout == index
    assert not away.is_file() or away.read_text() == "mine\n"


def test_a_draft_that_is_there_is_not_written_over(world: World, place: Place) -> None:
    file = tree_of(place) / PATH
    proposer.stage(place, PATH, manifest(world).render(), new=True)
    assert file.read_text() == manifest(world).render()
    file.write_text("mine\n")
    with pytest.raises(Refused) as caught:
        proposer.stage(place, PATH, manifest(world).render(), new=True)
    assert caught.value.rule == "manifest-exists" and file.read_text() == "mine\n"
    proposer.stage(place, PATH, manifest(world).render())
    assert file.read_text() == manifest(world).render()


def test_what_git_will_not_stage_is_not_left_behind(world: World, place: Place) -> None:
    (place.store.git_dir / "info").mkdir(exist_ok=True)
    (place.store.git_dir / "info" / "exclude").write_text("/domains/carol/\n")
    with pytest.raises(Failed):
        proposer.stage(place, PATH, manifest(world).render())
    assert not (tree_of(place) / PATH).parent.exists()


# The checkout


@pytest.fixture
def filled(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> Mirror:
    """Its newest snapshot holds a path that is longer than this system takes, as if the rules allowed it."""
    for module in ("paths", "trees"):
        monkeypatch.setattr(f"gitledger.objects.{module}.MAX_PATH", 10_000)
    deep = "/".join(["domains", "alice", *["d" * 200] * 19, "d" * 60, "f" * 250])
    mirror.snapshots.append(mirror.snapshot(deep))
    return mirror


def test_a_clone_that_git_can_not_check_out_is_none(filled: Mirror, tmp_path: Path) -> None:
    filled.show(filled.tip)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(Failed) as caught:
        consumer.clone(str(filled.path), tmp_path / "other", filled.anchor, now=NOW)
    assert caught.value.rule == "checkout-failed" and "unable to create file" in caught.value.what
    assert len(str(caught.value)) < 600
    assert sorted(tmp_path.iterdir()) == before


def test_a_pin_that_git_can_not_check_out_stays(filled: Mirror, tmp_path: Path) -> None:
    place = consumer.clone(str(filled.path), tmp_path / "clone", filled.anchor, now=NOW)
    filled.show(filled.tip)
    place = consumer.fetch(place, now=NOW).place
    head = place.store.head()
    with pytest.raises(Failed) as caught:
        consumer.pin(place, "common@4")
    assert caught.value.rule == "checkout-failed" and "stash" not in caught.value.mend
    assert place.store.head() == head and place.store.git("status", "--porcelain").stdout == b""
    assert consumer.pin(place, "common@2") == "common@2"


def test_what_keeps_a_pin_away_is_named(place: Place) -> None:
    root = tree_of(place)
    lock = place.store.git_dir / "index.lock"
    lock.touch()
    with pytest.raises(Failed) as failed:
        consumer.pin(place, "common@1")
    assert "index.lock" in failed.value.what
    lock.unlink()
    consumer.pin(place, "common@1")
    (root / "domains/alice/3.txt").write_text("mine\n")
    with pytest.raises(Refused) as refused:
        consumer.pin(place, "common@3")
    assert refused.value.rule == "local-changes" and refused.value.mend.startswith("git stash -u")
    (root / "domains/alice/3.txt").unlink()
    (root / "domains/alice/1.txt").write_text("mine\n")
    assert consumer.pin(place, "common@3") == "common@3"


# Refs


@pytest.mark.parametrize("role", ["host", "clone"])
def test_what_mends_a_symbolic_branch_can_be_typed(world: World, place: Place, role: str) -> None:
    where = world.host if role == "host" else tree_of(place)
    git_dir = where if role == "host" else where / ".git"
    tip = forge.git(git_dir, "rev-parse", "refs/heads/common")
    (git_dir / "refs/heads/common").write_text("ref: refs/tags/common@0\n")
    with pytest.raises(Unsound) as caught:
        Place.open(where)
    first, second = caught.value.mend.split("\n")
    for command in (first, second):
        subprocess.run(command, shell=True, cwd=where, check=True)
    assert forge.git(git_dir, "rev-parse", "refs/heads/common") == tip
    assert Place.open(where).verified.oid == tip.decode().strip()


def moved_and_missing(world: World) -> tuple[dict[str, str], Place]:
    """A host of four snapshots with a tag missing in the middle, and one moved."""
    for number in range(3):
        world.propose(world.alice, {f"domains/alice/{number}": "a\n"}, topic=f"t{number}")
    world.emit()
    before = world.refs()
    forge.set_ref(world.host, "refs/tags/common@1", None)
    forge.set_ref(world.host, "refs/tags/common@2", world.tip)
    return before, world.place()


def test_the_tags_in_the_middle_are_looked_at(world: World) -> None:
    before, place = moved_and_missing(world)
    (problem,) = host.check(world.host)
    assert "refs/tags/common@2" in problem and problem.endswith(f"; gitledger hooks install {world.host}")
    assert world.refs() == {**before, "refs/tags/common@2": world.tip}
    with pytest.raises(Unsound) as caught:
        consumer.verify(place, from_genesis=True)
    assert caught.value.mend == f"gitledger hooks install {world.host}"
    host.install(world.host)
    assert world.refs() == before and host.check(world.host) == []


def test_verify_makes_a_tag_that_is_missing(place: Place, mirror: Mirror) -> None:
    forge.set_ref(place.store.git_dir, "refs/tags/common@1", None)
    assert consumer.verify(place, from_genesis=True).number == 3
    assert place.store.resolve("refs/tags/common@1") == mirror.snapshots[1]
    forge.set_ref(place.store.git_dir, "refs/tags/common@1", mirror.tip)
    with pytest.raises(Unsound) as caught:
        consumer.verify(place, from_genesis=True)
    assert caught.value.rule == "tag-differs"


@pytest.mark.parametrize("pushed", ["refs/heads/common", "refs/proposals/alice/t"])
def test_a_lock_that_a_killed_git_left_stops_nothing(world: World, pushed: str) -> None:
    world.propose(world.alice, {"domains/alice/a": "a\n"}, topic="t")
    lock = world.host / f"{pushed}.lock"
    lock.touch()
    os.utime(lock, (forge.START, forge.START))
    if pushed == "refs/heads/common":
        world.emit()
        assert world.snapshots() == ["common@0", "common@1"]
    else:
        world.propose(world.alice, {"domains/alice/a": "b\n"}, topic="t")
    assert not lock.exists()


# Arguments, formats, mends


def test_text_that_is_not_utf8_is_wrong_usage(world: World, clone: Path) -> None:
    said = typed(world.alice, clone, "propose", "-m", "a\udcffb", status=2).stderr
    assert "[not-utf-8]" in said and "internal" not in said


def test_a_file_may_have_any_name(world: World, clone: Path) -> None:
    odd = world.path / "a\udcffb"
    odd.mkdir()
    assert "no-repository" in typed(world.alice, world.path, "-C", str(odd), "status", status=2).stderr


@pytest.mark.parametrize("topic", ["..", "a..b", "-", "A", "x.lock", ""])
def test_a_topic_has_a_form(place: Place, world: World, topic: str) -> None:
    with pytest.raises(Usage) as caught:
        proposer.propose(place, world.alice.signer(), "A change", topic=topic)
    assert caught.value.rule == "topic" and "lower-case" in caught.value.mend


def test_an_index_that_can_not_be_written_is_said_in_gits_words(place: Place, world: World) -> None:
    blob = "1" * 40
    place.store.git("update-index", "--add", "--info-only", "--cacheinfo", f"100644,{blob},domains/alice/lost")
    with pytest.raises(Failed) as caught:
        proposer.propose(place, world.alice.signer(), "A change", topic="t")
    assert caught.value.rule == "index" and blob in caught.value.what
    subprocess.run(caught.value.mend.split("   ")[0], shell=True, cwd=tree_of(place), check=True)
    with pytest.raises(Refused) as refused:
        proposer.propose(place, world.alice.signer(), "A change", topic="t")
    assert refused.value.rule == "nothing-staged"


def test_a_format_of_tomorrow_is_said(
    place: Place, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from gitledger.cli.consumer import say_unknown_format
    from gitledger.rules import state

    say_unknown_format(place)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(state, "FORMAT", 0)
    say_unknown_format(place)
    said = capsys.readouterr().err
    assert "[unknown-format]" in said and "newer gitledger" in said


def test_what_is_dated_in_the_future_is_left_to_its_topic(world: World) -> None:
    from gitledger.roles.gate import Update, decide

    clone = world.clone(world.alice)
    first = world.propose(world.alice, {"domains/alice/a": "a\n"}, topic="t")
    seconds = world.now
    world.alice.git(
        clone, "commit", "-q", "--amend", "-S", "-m", "Earlier", GIT_COMMITTER_DATE=f"{seconds - 100} +0000"
    )
    earlier = world.alice.output(clone, "rev-parse", "HEAD")
    forge.git(world.host, "fetch", "-q", str(clone / ".git"), "HEAD:refs/fetched")
    forge.set_ref(world.host, "refs/fetched", None)
    ref = "refs/proposals/alice/t"
    for now, mend in ((seconds - 50, f"{earlier}:{ref}-2"), (seconds + 50, "--amend")):
        ((_, error),) = decide(world.place(), [Update(first, earlier, ref)], now).refused
        assert error.rule == "replaces-newer" and mend in error.mend
    assert world.push(world.alice, clone, f"{earlier}:{ref}-2").returncode == 0


def test_a_deletion_of_nothing_names_nothing(world: World) -> None:
    from gitledger.roles.gate import Update, decide

    nothing = Update("0" * 40, "0" * 40, "refs/proposals/alice/never")
    ((_, error),) = decide(world.place(), [nothing], world.now).refused
    assert error.rule == "deletion" and "0000" not in error.mend
