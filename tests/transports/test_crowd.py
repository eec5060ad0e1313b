"""Fifty who propose at once, while the witness emits and consumers fetch: nothing is lost, nothing comes twice."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import forge
import pytest
from servers import Served, Servers, servers
from world import Person, World

from gitledger.roles import consumer
from gitledger.roles.place import Place

__all__ = ["servers"]

pytestmark = [
    pytest.mark.long,
    pytest.mark.parametrize("transport", ["local", pytest.param("ssh", marks=pytest.mark.servers)]),
]

CLIENTS = 50
PROGRAM = (sys.executable, "-P", "-m", "gitledger")


def begin(served: Served, person: Person, cwd: Path, *command: str) -> subprocess.Popen[str]:
    """A command that runs beside others; what it says goes to a file, which nobody need read meanwhile."""
    env = person.env(**served.env(person))
    with (person.home / "said").open("ab") as said:
        return subprocess.Popen(
            command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=said, stderr=said, text=True
        )


def clone(served: Served, person: Person, name: str) -> Path:
    """A clone by gitledger, which finds its way to the server by itself."""
    path = person.home / name
    with served.acting(person):
        consumer.clone(served.url, path, served.world.anchor, domain=person.domain, now=served.world.now)
    person.git(path, "config", "user.signingkey", f"{person.key}.pub")
    return path


def proposals(world: World) -> dict[str, str]:
    """A signed proposal for each client, by ref, on the bench of its author; none share a path or a salt."""
    made = {}
    for number in range(CLIENTS):
        person = (world.alice, world.james)[number % 2]
        bench = world.bench(person)
        world.tick()
        path = f"domains/{person.domain}/{number}.txt"
        oid = forge.proposal(bench, world.oid(0), {path: b"%d\n" % number}, person.key, committer=person.ident)
        made[f"refs/proposals/{person.domain}/client-{number}"] = oid
    return made


def settled(served: Served, person: Person, place: Path) -> str:
    """The hash of the snapshot that a consumer ends at, verified from genesis."""
    with served.acting(person):
        consumer.fetch(Place.open(place), now=served.world.now)
        return consumer.verify(Place.open(place), from_genesis=True).hash


def accepted_in(world: World) -> Counter[str]:
    """How often the line of the host accepts each proposal: the second parents of its snapshots."""
    listed = forge.git(world.host, "log", "--first-parent", "--format=%P", world.tip).decode().splitlines()
    return Counter(parents.split()[1] for parents in listed if parents)


def test_fifty_push_at_once_while_the_witness_emits_and_consumers_fetch(
    world: World, servers: Servers, transport: str
) -> None:
    served = servers.start(transport, world)
    witness = clone(served, world.you, "witness")
    readers = [clone(served, world.stranger, f"reader-{number}") for number in range(3)]
    wanted = proposals(world)
    benches = {person.domain: world.bench(person) for person in (world.alice, world.james)}
    pushes = [
        begin(served, person, benches[domain], "git", "push", "-q", served.url, f"{oid}:{ref}")
        for ref, oid in wanted.items()
        if (person := world.person(domain := ref.split("/")[2]))
    ]
    around: list[subprocess.Popen[str]] = []
    while any(push.poll() is None for push in pushes):
        if all(one.poll() is not None for one in around):
            assert all(one.returncode == 0 for one in around), (world.stranger.home / "said").read_text()
            around = [begin(served, world.you, witness, *PROGRAM, "emit", *([] if around else ["--first-here"]))]
            around += [begin(served, world.stranger, reader, *PROGRAM, "fetch") for reader in readers]
        time.sleep(0.05)
    assert [push.returncode for push in pushes] == [0] * CLIENTS, (world.alice.home / "said").read_text()
    assert [one.wait() for one in around] == [0] * len(around), (world.you.home / "said").read_text()
    assert begin(served, world.you, witness, *PROGRAM, "emit").wait() == 0, (world.you.home / "said").read_text()

    assert accepted_in(world) == Counter(wanted.values())
    assert world.snapshots() == [f"common@{number}" for number in range(CLIENTS + 1)]
    assert not [ref for ref in world.refs() if ref.startswith("refs/proposals/")]
    ends = {settled(served, world.stranger, reader) for reader in readers} | {settled(served, world.you, witness)}
    assert ends == {forge.hash_of(world.host, world.tip)}


def test_of_two_emissions_at_once_one_takes_the_number_and_the_other_nothing(
    world: World, servers: Servers, transport: str
) -> None:
    served = servers.start(transport, world)
    places = [clone(served, world.you, name) for name in ("one", "two")]
    oids = {world.propose(world.alice, {f"domains/alice/{number}": b"x\n"}, topic=f"t{number}") for number in range(5)}
    both = [begin(served, world.you, place, *PROGRAM, "emit", "--first-here") for place in places]
    ended = sorted(one.wait() for one in both)
    said = (world.you.home / "said").read_text()
    assert ended in ([0, 0], [0, 1]) and "Traceback" not in said, said
    assert accepted_in(world) == Counter(map(str, oids))
    assert all(begin(served, world.you, place, *PROGRAM, "emit").wait() == 0 for place in places)
    assert {settled(served, world.you, place) for place in places} == {forge.hash_of(world.host, world.tip)}
    assert len(world.snapshots()) == 6
