"""What a bundle holds costs who takes it in bounded memory and time, whoever wrote it (limits.md)."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import forge
import pytest
from bombs import MIB, Ran, copies, measure, packed, proposing
from world import World

GITLEDGER = (sys.executable, "-P", "-m", "gitledger")
PEAK = 160
SECONDS = 60


class Desk:
    """Alice's clone, and a stick with one file."""

    def __init__(self, world: World, path: Path) -> None:
        self.world, self.pack, self.file = world, path / "bomb.pack", path / "stick.bundle"
        self.clone = world.alice.home / "ledger"
        self.gitledger("clone", world.host, self.clone, "--anchor", world.anchor, cwd=world.path)

    def gitledger(self, *arguments: str | Path, cwd: Path | None = None, memory: int = 0) -> Ran:
        return measure(*GITLEDGER, *arguments, cwd=cwd or self.clone, env=self.world.alice.env(), memory=memory)

    def stick(self, refs: dict[str, str], pack: Path | None) -> None:
        """Write a bundle that says it holds `refs` and builds on nothing that is not here."""
        with self.file.open("wb") as file:
            file.write(b"# v2 git bundle\n" + f"-{self.world.tip} \n".encode())
            for ref, oid in refs.items():
                file.write(f"{oid} {ref}\n".encode())
            file.write(b"\n")
            if pack is not None:
                with pack.open("rb") as objects:
                    while piece := objects.read(MIB):
                        file.write(piece)

    def refused(self, *rules: str, peak: float = PEAK, memory: int = 0) -> None:
        """Assert that `carry in` takes nothing, for one of these rules, in bounded memory and time."""
        refs = self.world.refs(self.clone)
        ran = self.gitledger("carry", "in", self.file, memory=memory)
        said = re.sub(r"\s+", " ", ran.said)
        assert any(f"[{rule}]" in said for rule in rules), ran.said[-2000:]
        assert "Traceback" not in ran.said
        assert ran.peak < peak, f"{ran.peak:.0f} MiB"
        assert ran.seconds < SECONDS
        assert self.world.refs(self.clone) == refs
        assert not list((self.clone / ".git").glob("**/carrying/objects/pack/*"))


@pytest.fixture
def desk(world: World, tmp_path: Path) -> Desk:
    return Desk(world, tmp_path)


def test_a_header_without_end_is_read_as_far_as_a_bundle_s_may_go(desk: Desk) -> None:
    tip = desk.world.tip
    desk.stick({f"refs/heads/t{each}": tip for each in range(50_000)}, None)
    desk.refused("bundle-refs")
    desk.file.write_bytes(b"# v2 git bundle\n-" + b"0" * 50 * MIB)
    desk.refused("bundle-line")


def test_a_file_without_end_is_refused_by_its_size(desk: Desk) -> None:
    with desk.file.open("wb") as file:
        file.write(b"# v2 git bundle\n")
        file.truncate((1 << 30) + 1)
    desk.refused("bundle-too-large")


@pytest.mark.parametrize("size", [64, pytest.param(2048, marks=pytest.mark.long)])
def test_a_file_of_zeros_in_a_bundle_is_refused_by_its_size(desk: Desk, size: int) -> None:
    with packed(desk.pack, 5) as pack:
        blob = pack.zeros(size * MIB)
        oid = proposing(pack, desk.world.host, (b"100644", b"zero", blob), desk.world.alice.key)
    desk.stick({"refs/proposals/alice/t": oid}, desk.pack)
    desk.refused("proposal-bytes")


def test_an_object_that_unfolds_beyond_what_a_process_may_take_is_refused(desk: Desk) -> None:
    base, times = 15 * MIB, 300
    with packed(desk.pack, 2) as pack:
        oid = pack.zeros(base)
        pack.delta(oid, copies(base, times))
    desk.stick({"refs/proposals/alice/t": oid}, desk.pack)
    desk.refused("bundle-memory")


@pytest.mark.long
def test_a_smaller_limit_of_whoever_runs_it_holds_too(desk: Desk) -> None:
    head = f"tree {forge.git(desk.world.host, 'rev-parse', 'HEAD^{tree}').decode().strip()}\n\n".encode()
    with packed(desk.pack, 1) as pack:
        oid = pack.stream("commit", (head, *[b"x" * MIB] * 400), len(head) + 400 * MIB)
    desk.stick({"refs/proposals/alice/t": oid}, desk.pack)
    desk.refused("bundle-memory", memory=256)


@pytest.mark.long
def test_more_proposals_than_may_wait_are_taken_in_bounded_memory(desk: Desk) -> None:
    key, host = desk.world.alice.key, desk.world.host
    refs: dict[str, str] = {}
    with packed(desk.pack, 5 * 120) as pack:
        for each in range(120):
            blob = pack.add("blob", b"%d\n" % each)
            refs[f"refs/proposals/alice/t{each}"] = proposing(
                pack, host, (b"100644", b"f%d" % each, blob), key, f"Change {each}\n"
            )
    desk.stick(refs, desk.pack)
    ran = desk.gitledger("carry", "in", desk.file)
    assert "Traceback" not in ran.said
    assert ran.peak < PEAK
    assert ran.seconds < SECONDS
