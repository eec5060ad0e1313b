"""Killed at any moment, a command leaves the old state or the new, and the next run finishes it (spec 10, 11).

Emissions that are killed over and over, and whose journal has to remember, are in tests/roles/test_emission.py.
"""

from __future__ import annotations

import time

import pytest
from faulty import SCENES, dice, kill
from world import World

KILLED = ("fetch", "push", "emit", "carry in, on a host", "carry in, in a clone")


@pytest.mark.parametrize("named", [KILLED[1]])
def test_killed_once_it_is_finished_by_the_next_run(world: World, named: str) -> None:
    _killed(world, named, 1)


@pytest.mark.long
@pytest.mark.parametrize("named", KILLED)
def test_killed_at_random_moments_it_is_finished_by_the_next_run(world: World, named: str) -> None:
    _killed(world, named, 10)


def _killed(world: World, named: str, rounds: int) -> None:
    chance = dice(11)
    scene = SCENES[named](world)
    scene.prepare()
    begun = time.monotonic()
    scene.must_succeed()
    takes = time.monotonic() - begun
    for _ in range(rounds):
        scene.prepare()
        process = scene.start()
        time.sleep(chance.uniform(0, takes))
        kill(process, chance)
        scene.must_be_sound()
        scene.must_succeed()
