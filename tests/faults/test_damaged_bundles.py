"""A carrier that was cut short, flipped or patched at random is told, and moves nothing (spec 12)."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from faulty import clone_of, dice, must_be_whole
from world import World

from gitledger.errors import LedgerError
from gitledger.roles import carrier


@pytest.mark.long
@pytest.mark.parametrize("how", ["cut", "flipped", "patched", "swapped"])
def test_a_bundle_that_is_damaged_anywhere_is_a_sentence_and_moves_nothing(
    world: World, tmp_path: Path, how: str
) -> None:
    chance = dice(41)
    clone = clone_of(world, world.james)
    for number in range(2):
        world.propose(world.alice, {f"domains/alice/{number}": f"{number}\n" * 500}, topic=f"t{number}")
        world.emit()
    world.propose(world.alice, {"domains/alice/x": "waits\n"}, topic="x")
    stick = tmp_path / "stick"
    carrier.out(world.place(), stick, world.tick())
    raw = stick.read_bytes()
    before = world.place(clone).verified.oid, world.refs(clone)
    for _ in range(20):
        at, length = chance.randrange(len(raw)), chance.randrange(1, 200)
        bad = {
            "cut": raw[:at],
            "flipped": raw[:at] + bytes([raw[at] ^ 1 << chance.randrange(8)]) + raw[at + 1 :],
            "patched": raw[:at] + chance.randbytes(length) + raw[at + length :],
            "swapped": raw[:at] + raw[at + length :] + raw[at : at + length],
        }[how]
        if bad == raw:
            continue
        stick.write_bytes(bad)
        with pytest.raises(LedgerError) as refused:
            carrier.take(world.place(clone), stick, world.tick())
        assert refused.value.exit_status in (1, 2), (at, length)
        assert "\n" not in refused.value.what, (at, length)
        assert (world.place(clone).verified.oid, world.refs(clone)) == before, (at, length)
    must_be_whole(clone)
    stick.write_bytes(raw)
    carrier.take(world.place(clone), stick, world.tick())
    assert world.place(clone).verified.oid == world.tip
    assert subprocess.run(["git", "-C", clone, "cat-file", "-e", world.tip], check=False).returncode == 0
