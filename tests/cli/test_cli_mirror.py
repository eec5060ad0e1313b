"""`mirror` and `fetch` from several, as they are typed."""

from __future__ import annotations

import subprocess
from pathlib import Path

import forge
import pytest
from mirror import Mirror
from typed import told, typed
from world import World


def publish(world: World, count: int = 1) -> None:
    for _ in range(count):
        world.propose(world.alice, {f"domains/alice/{world.now}": "a\n"})
        world.emit()


def bare(path: Path) -> Path:
    subprocess.run(["git", "init", "-q", "--bare", "--initial-branch=common", str(path)], check=True)
    return path


def refuse(path: Path) -> None:
    hook = path / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho quota exceeded\nexit 1\n")
    hook.chmod(0o755)


@pytest.mark.long
def test_a_host_names_a_mirror_pushes_to_it_and_says_how_it_stands(world: World) -> None:
    publish(world)
    bare(world.path / "backup.git")
    assert "There are no mirrors" in typed(world.you, world.host, "mirror", "status").stdout
    said = typed(world.you, world.host, "mirror", "add", "backup", "../backup.git").stdout
    assert said.rstrip().endswith("gitledger mirror push backup")
    assert told(world.you, world.host, "mirror", "push") == {
        "mirrors": [
            {
                "name": "backup",
                "url": str(world.path / "backup.git"),
                "snapshot": "common@1",
                "behind": 0,
                "tags": 2,
                "tags_behind": 0,
                "error": None,
                "tries": 0,
                "next": None,
                "tried": told(world.you, world.host, "mirror", "status")["mirrors"][0]["tried"],
            }
        ]
    }
    for command in (("mirror", "push", "backup"), ("mirror", "status"), ("status",)):
        assert "Mirror backup has common@1 and 2 tags." in typed(world.you, world.host, *command).stdout
    assert told(world.you, world.host, "status")["mirrors"][0]["snapshot"] == "common@1"
    assert told(world.you, world.host, "mirror", "remove", "backup") == {"name": "backup"}
    assert told(world.you, world.host, "mirror", "status") == {"mirrors": []}


def test_what_fails_is_told_by_status_in_the_mirror_s_words_and_the_others_get_theirs(world: World) -> None:
    refuse(bare(world.path / "full.git"))
    bare(world.path / "backup.git")
    for name in ("full", "gone", "backup"):
        typed(world.you, world.host, "mirror", "add", name, f"../{name}.git")
    said = typed(world.you, world.host, "mirror", "push", status=1)
    assert "mirror full: refs/heads/common is refused there" in said.stderr and "quota exceeded" in said.stderr
    assert "mirror gone: gone does not answer" in said.stderr
    assert "Mirror backup has common@0 and 1 tag." in said.stdout
    for command in (("status",), ("mirror", "status")):
        shown = typed(world.you, world.host, *command).stdout
        assert "Mirror full lacks 1 snapshot and 1 tag: it has nothing yet." in shown
        assert "quota exceeded [refused-by-remote]" in shown
        assert "1 try; again after " in shown and "gitledger mirror push full" in shown
    assert typed(world.you, world.host, "mirror", "push", "gone", status=4).stdout


def test_it_is_told_where_a_mirror_command_does_not_belong(world: World, clone: Path) -> None:
    for cwd, arguments, rule in (
        (clone, ("mirror", "push"), "not-a-host"),
        (clone, ("mirror", "remove", "x"), "no-such-mirror"),
        (clone, ("mirror", "add", "x", "y", "--no-tags"), "mirror-tags"),
        (clone, ("fetch", "x"), "no-such-remote"),
        (world.host, ("mirror", "push", "x"), "no-such-mirror"),
        (world.host, ("mirror", "watch"), "on-the-host"),
        (world.host, ("fetch",), "on-the-host"),
    ):
        assert f"[{rule}]" in typed(world.alice, cwd, *arguments, status=2).stderr


@pytest.mark.long
def test_a_clone_fetches_from_all_and_from_one(world: World, clone: Path) -> None:
    copy = world.bench(world.james)
    typed(world.alice, clone, "mirror", "add", "copy", str(copy))
    assert "copy    nothing that is verified here" in typed(world.alice, clone, "mirror", "status").stdout
    publish(world, 2)
    said = typed(world.alice, clone, "fetch").stdout
    assert "common@2 is verified: 2 new snapshots since common@0." in said
    assert "origin  common@2\n" in said and "copy    common@0, stale by 2 snapshots" in said
    assert told(world.alice, clone, "fetch")["remotes"] == [
        {"name": "origin", "standing": "good", "snapshot": "common@2", "behind": 0, "error": None},
        {"name": "copy", "standing": "stale", "snapshot": "common@0", "behind": 2, "error": None},
    ]
    assert "[stale]" in typed(world.alice, clone, "fetch", "copy", status=4).stderr
    typed(world.alice, clone, "fetch", "origin")
    shown = typed(world.alice, clone, "mirror", "status").stdout
    assert "origin  common@2, fetched" in shown and "copy    common@0, stale" in shown
    assert [one["stale"] for one in told(world.alice, clone, "mirror", "status")["remotes"]] == [False, True]
    world.alice.git(clone, "remote", "set-url", "origin", "nowhere")
    said = typed(world.alice, clone, "fetch", status=4)
    assert "[none-good]" in said.stderr and "origin  unreachable: " in said.stdout
    typed(world.alice, clone, "mirror", "remove", "copy")
    assert "[unreachable]" in typed(world.alice, clone, "fetch", status=4).stderr


@pytest.mark.long
def test_watch_tells_who_lags_who_is_away_and_who_forked_with_the_proof(mirror: Mirror, world: World) -> None:
    copy = world.path / "copy.git"
    world.path.mkdir(exist_ok=True)
    subprocess.run(["git", "clone", "-q", "--bare", str(mirror.path), str(copy)], check=True)
    typed(world.james, world.path, "clone", str(mirror.path), "here", "--anchor", mirror.anchor)
    here = world.path / "here"
    typed(world.james, here, "mirror", "add", "copy", str(copy))
    mirror.grow(2)
    said = typed(world.james, here, "mirror", "watch").stdout
    assert said == "origin  common@5\ncopy    common@3, stale by 2 snapshots\n"
    world.james.git(here, "remote", "set-url", "copy", "nowhere")
    assert "copy    unreachable: " in typed(world.james, here, "mirror", "watch", status=4).stdout
    world.james.git(here, "remote", "set-url", "copy", str(copy))
    fork = mirror.snapshot("domains/alice/other.txt", on=mirror.snapshots[3])
    forge.git(mirror.path, "push", "-q", str(copy), f"+{fork}:refs/heads/common")
    said = typed(world.james, here, "mirror", "watch", status=3)
    assert "copy    FORK: common@4" in said.stdout and "gitledger evidence check" in said.stderr
    watched = told(world.james, here, "mirror", "watch", status=3)
    assert [one["standing"] for one in watched["remotes"]] == ["good", "forked"]
    assert Path(watched["forks"][0]["evidence"]).exists() and watched["forks"][0]["remote"] == "copy"
    assert "[fork]" in typed(world.james, here, "fetch", status=3).stderr
