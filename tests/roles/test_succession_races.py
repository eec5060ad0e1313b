"""The race for common@1: the old witness emits while the new one seals (spec 8, 10). A test for each cell.

On one host, whichever comes first wins, and the other is refused. On two hosts each may take one, and whoever sees both
holds the proof; `docs/guide-succession.md` has the table of what every party ends up with.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import forge
import pytest
from world import Done, Rotated, World, accepted, refused

from gitledger.errors import Fork, Refused
from gitledger.roles import adoption, consumer, evidence, foreign, host, status, witness
from gitledger.roles.place import Place


@dataclass
class Race:
    """Two snapshots of common@1 on one genesis: `old` by you, who leave, `new` by James, who seals a rotation.

    `first` and `second` are two hosts of the ledger, which both have genesis alone.
    """

    world: World
    made: Rotated
    old: str
    new: str
    first: Path
    second: Path

    def push(self, snapshot: str, host: Path) -> Done:
        """Offer one of the two to one of the hosts."""
        bench = self.world.stranger.home / "bench-common.git"
        return self.world.push(self.world.stranger, bench, f"+{snapshot}:refs/heads/common", host=host)

    def clone(self, name: str) -> Place:
        """A consumer who has genesis alone, from the first host."""
        return consumer.clone(str(self.first), self.world.path / name, self.world.anchor)

    def fetch(self, place: Place, host: Path) -> None:
        """Fetch from that host."""
        place.store.git("remote", "set-url", "origin", str(host))
        consumer.fetch(Place.of(place.store))


@pytest.fixture
def race(world: World) -> Race:
    first = world.host
    second = world.path / "second" / "common.git"
    shutil.copytree(first, second, symlinks=True)
    for file in (second / "config", second / "gitledger-hooks.config"):
        file.write_text(file.read_text().replace(str(first), str(second)))
    made = world.rotate(world.james, [world.alice, world.james], push=False)
    bench = world.bench()
    proposal = forge.proposal(bench, world.tip, {"shared/a.txt": b"a\n"}, world.alice.key)
    old = forge.snapshot(bench, world.tip, proposal, world.you.key)
    keys = {name: world.person(name).key for name in made.signatures}
    artifact = forge.rotation_file(bench, world.tip, ("james", world.james.key), keys)
    return Race(world, made, old, forge.rotating(bench, world.tip, artifact, world.james.key), first, second)


def at(place: Place) -> str:
    """The commit that is verified there now, which branch and tag follow."""
    oid = Place.of(place.store).verified.oid
    assert place.store.resolve("refs/heads/common") == place.store.resolve("refs/tags/common@1") == oid
    return oid


# One host


def test_on_one_host_the_seal_that_comes_first_wins(race: Race) -> None:
    reader = race.clone("reader")
    accepted(race.push(race.new, race.first))
    done = refused(race.push(race.old, race.first), "not-forward")
    assert "common@1 sealed the rotation to james" in " ".join(done.stderr.replace("remote:", "").split())
    race.fetch(reader, race.first)
    assert at(reader) == race.new


def test_on_one_host_the_old_witness_who_comes_first_wins_and_the_rotation_is_drafted_anew(race: Race) -> None:
    world, reader = race.world, race.clone("reader")
    accepted(race.push(race.old, race.first))
    refused(race.push(race.new, race.first), "not-forward")
    refs = (f"{oid}:{ref}" for ref, oid in race.made.refs.items())
    refused(world.push(world.alice, race.made.clone, *refs), "rotation-previous")
    race.fetch(reader, race.first)
    assert at(reader) == race.old
    world.rotate(world.james, [world.alice, world.james])
    bench = world.bench()
    keys = {"alice": world.alice.key, "james": world.james.key}
    artifact = forge.rotation_file(bench, race.old, ("james", world.james.key), keys)
    accepted(world.offer(forge.rotating(bench, race.old, artifact, world.james.key)))
    race.fetch(reader, race.first)
    assert Place.of(reader.store).verified.state.witness.domain_id == "james"


def test_on_one_host_a_rotation_that_is_complete_there_decides_the_race(race: Race) -> None:
    world = race.world
    accepted(world.push(world.alice, race.made.clone, *(f"{oid}:{ref}" for ref, oid in race.made.refs.items())))
    refused(race.push(race.old, race.first), "rotation-waits")
    accepted(race.push(race.new, race.first))


# Two hosts, each of which takes one


@pytest.fixture(params=["the old witness first", "the new witness first"])
def parted(race: Race, request: pytest.FixtureRequest) -> Race:
    """The first host took the old witness's snapshot, the second the seal, in either order."""
    pushes = [(race.old, race.first), (race.new, race.second)]
    for snapshot, url in pushes if request.param.startswith("the old") else reversed(pushes):
        accepted(race.push(snapshot, url))
    return race


def test_the_hosts_stay_apart_and_each_refuses_the_other_side(parted: Race) -> None:
    for snapshot, other in ((parted.new, parted.first), (parted.old, parted.second)):
        refused(parted.push(snapshot, other), "not-forward")


def test_a_consumer_who_sees_one_host_has_its_side_and_hears_of_no_fork(parted: Race) -> None:
    for name, url, snapshot in (("one", parted.first, parted.old), ("other", parted.second, parted.new)):
        reader = _clone_of(parted, url, name)
        parted.fetch(reader, url)
        assert at(reader) == snapshot and foreign.forks(Place.of(reader.store)) == ()


def test_a_consumer_who_saw_the_old_witness_first_holds_the_proof_and_may_go_over(parted: Race) -> None:
    reader = _clone_of(parted, parted.first, "reader")
    with pytest.raises(Fork, match="seals a quorum's rotation to james, endorsed by alice, james"):
        parted.fetch(reader, parted.second)
    assert at(reader) == parted.old
    _must_be_proven(reader)
    place = Place.of(reader.store)
    place = adoption.adopt(place, adoption.look(place))  # without a hash: the side that seals a quorum's rotation
    assert at(place) == parted.new and foreign.forks(place) == ()
    with pytest.raises(Fork) as caught:
        parted.fetch(place, parted.first)
    assert caught.value.rule == "fork-left"
    parted.fetch(place, parted.second)
    assert at(place) == parted.new


def test_a_consumer_who_saw_the_seal_first_holds_the_proof_and_stays(parted: Race) -> None:
    reader = _clone_of(parted, parted.second, "reader")
    with pytest.raises(Fork, match="seals a quorum's rotation to james, endorsed by alice, james"):
        parted.fetch(reader, parted.first)
    assert at(reader) == parted.new
    _must_be_proven(reader)
    place = Place.of(reader.store)
    place = adoption.adopt(place, adoption.look(place))
    assert at(place) == parted.new and foreign.forks(place) == ()


def test_a_host_is_made_anew_from_a_clone_that_went_over(parted: Race) -> None:
    world, reader = parted.world, _clone_of(parted, parted.first, "reader")
    with pytest.raises(Fork):
        parted.fetch(reader, parted.second)
    adoption.adopt(place := Place.of(reader.store), adoption.look(place))
    anew = world.path / "anew" / "common.git"
    world.you.git(world.path, "clone", "-q", "--bare", str(world.path / "reader"), str(anew))
    host.install(anew)
    assert forge.git(anew, "rev-parse", "refs/heads/common").decode().strip() == parted.new


def test_the_old_witness_learns_it_and_signs_no_more(parted: Race) -> None:
    place = _clone_of(parted, parted.first, "yours")
    with pytest.raises(Fork):
        parted.fetch(place, parted.second)
    place = Place.of(place.store)
    place = adoption.adopt(place, adoption.look(place))
    with parted.world.acting(parted.world.you), pytest.raises(Refused) as caught:
        witness.emit(place, parted.world.you.signer(), parted.world.now, first_here=True)
    assert caught.value.rule == "not-the-witness"
    assert status.status(place, parted.world.you.key_id).witness[0] == "james"


def _clone_of(race: Race, host: Path, name: str) -> Place:
    return consumer.clone(str(host), race.world.path / name, race.world.anchor)


def _must_be_proven(reader: Place) -> None:
    """The fork is kept, and its evidence stands alone."""
    (fork,) = foreign.forks(Place.of(reader.store))
    assert fork.name == "common@1" and fork.evidence is not None
    proven = evidence.check(fork.evidence.read_bytes())
    assert isinstance(proven, evidence.Fork) and {side.witness for side in proven.sides} == {"you", "james"}
