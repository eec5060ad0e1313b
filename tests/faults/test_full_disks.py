"""On a disk that is full, a command fails with a sentence, leaves the old state or the new, and succeeds with room."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from faulty import SCENES, dice
from world import Templates, World

ROUNDS = 2
BLOCK = 4096


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 MiB in memory."""
    where = tmp_path / "small"
    where.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "none", str(where)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    yield where
    subprocess.run(["umount", "--lazy", str(where)], check=True)


def must_be_a_sentence(status: int, said: str) -> None:
    assert "Traceback" not in said, said
    assert "internal error" not in said, said
    assert status == 0 or said.strip(), "it failed without a word"
    assert status >= 0, (status, said)


@pytest.mark.long
@pytest.mark.parametrize("named", SCENES)
def test_a_full_disk_is_told_and_leaves_the_old_state_or_the_new(small: Path, templates: Templates, named: str) -> None:
    chance = dice(23)
    world = World(small / "world", templates)
    scene = SCENES[named](world)
    scene.prepare()
    before = _free(small)
    scene.must_succeed()
    needs = max(before - _free(small), 8 * BLOCK)
    failed = 0
    for number in range(ROUNDS):
        scene.prepare()
        filler = small / "filler"
        filler.write_bytes(b"x" * (_free(small) - BLOCK * (number and chance.randrange(needs // BLOCK))))
        process = scene.start()
        said, _ = process.communicate(timeout=120)
        filler.unlink()
        must_be_a_sentence(process.returncode, said)
        failed += process.returncode != 0
        scene.must_be_sound()
        scene.must_succeed()
    assert failed, "there was always room"


@pytest.mark.long
@pytest.mark.parametrize("named", ["fetch", "push", "emit", "carry in, in a clone", "carry out", "clone"])
def test_a_file_that_can_not_grow_is_told_and_leaves_the_old_state_or_the_new(world: World, named: str) -> None:
    """The other way to run out of room, which needs no leave to mount."""
    chance = dice(29)
    scene = SCENES[named](world)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for _ in range(ROUNDS):
        scene.prepare()
        resource.setrlimit(resource.RLIMIT_FSIZE, (chance.randrange(0, 16384), hard))
        try:
            process = scene.start()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        said, _ = process.communicate(timeout=120)
        must_be_a_sentence(process.returncode, said)
        scene.must_be_sound()
        scene.must_succeed()


def _free(where: Path) -> int:
    there = os.statvfs(where)
    return there.f_bavail * there.f_frsize
