"""Clones that gitledger made, for whoever types commands in them."""

from __future__ import annotations

from pathlib import Path

import pytest
from typed import Clones
from world import Person, World


@pytest.fixture
def clone_of(world: World) -> Clones:
    """A verified clone for a person, who proposes and signs there as Git is told in it; one a person."""
    from gitledger.roles import consumer

    made: dict[str, Path] = {}

    def clone(person: Person) -> Path:
        if person.name not in made:
            path = person.home / "clone"
            with world.acting(person):
                consumer.clone(str(world.host), path, world.anchor, domain=person.domain, now=world.now)
            person.git(path, "config", "user.signingkey", f"{person.key}.pub")
            made[person.name] = path
        return made[person.name]

    return clone


@pytest.fixture
def clone(world: World, clone_of: Clones) -> Path:
    """Alice's clone."""
    return clone_of(world.alice)
