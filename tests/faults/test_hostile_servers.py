"""Servers that break off, stand still, dribble, spoil a byte or never end move no consumer wrongly, and hold up none.

Whatever they do, a fetch ends, with a documented status and a sentence; what is verified is the old state or the new,
nothing half is left, and the next fetch from a good mirror brings it all (spec 10).
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import forge
import pytest
from faulty import dice, must_be_whole
from hostile import Endless, Fault, Proxy, serving
from mirror import NOW, Mirror

from gitledger.errors import LedgerError, Refused, Unreachable
from gitledger.exchange import remotes, watched
from gitledger.roles import consumer, mirrors
from gitledger.roles.place import Place


@pytest.fixture
def proxy(mirror: Mirror) -> Iterator[Proxy]:
    with serving(mirror.path.parent) as port, Proxy(port) as proxy:
        yield proxy


@pytest.fixture
def clone(mirror: Mirror, tmp_path: Path) -> Path:
    """A clone with the mirror itself as `good`."""
    place = consumer.clone(str(mirror.path), tmp_path / "clone", mirror.anchor, now=NOW)
    mirrors.add(place, "good", str(mirror.path))
    return tmp_path / "clone"


def turn_to(clone: Path, port: int) -> None:
    subprocess.run(["git", "remote", "set-url", "origin", f"git://127.0.0.1:{port}/mirror.git"], cwd=clone, check=True)


def fetch(clone: Path, remote: str = "origin") -> consumer.FetchReport:
    return consumer.fetch(Place.open(clone), remote, now=NOW)


def must_be_sound(clone: Path, mirror: Mirror) -> Place:
    """What is verified is on the line of the mirror, branch and tags are with it, and nothing half is left."""
    place = Place.open(clone)
    line = mirror.snapshots[: place.verified.number + 1]
    assert place.verified.oid == line[-1]
    assert place.store.resolve(place.branch) == line[-1]
    assert sorted(place.store.refs("refs/tags/").values()) == sorted(line)
    must_be_whole(clone)
    assert not list((clone / ".git" / "objects").rglob("tmp_*"))
    assert not list((clone / ".git").rglob("*.keep"))
    return place


def must_come_from_the_good_one(clone: Path, mirror: Mirror) -> None:
    assert fetch(clone, "good").after == len(mirror.snapshots) - 1
    must_be_sound(clone, mirror)


@pytest.mark.long
@pytest.mark.parametrize("fault", ["cut", "flip", "stall", "dribble"])
def test_what_goes_wrong_at_a_random_byte_moves_nothing_wrong(
    mirror: Mirror, clone: Path, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    chance = dice(31)
    turn_to(clone, proxy.port)
    proxy.spoil("")
    mirror.grow()
    fetch(clone)
    sent = proxy.sent
    monkeypatch.setattr(watched, "SILENT_SECONDS", 2)
    monkeypatch.setattr(watched, "PATIENCE", 2)
    monkeypatch.setattr(watched, "SLOWEST", 1 << 20)
    failed = 0
    for _ in range({"cut": 10, "flip": 5, "stall": 3, "dribble": 3}[fault]):
        mirror.grow()
        proxy.spoil(fault, chance.randrange(sent))
        try:
            fetch(clone)
        except LedgerError as error:
            failed += 1
            assert error.exit_status in (1, 4) if fault == "flip" else error.exit_status == 4, (proxy.at, error)
            assert "\n" not in error.what
        must_be_sound(clone, mirror)
        must_come_from_the_good_one(clone, mirror)
    assert failed


def test_a_server_that_stands_still_is_given_up_once(
    mirror: Mirror, clone: Path, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would not answer the second time either, without the queue."""
    turn_to(clone, proxy.port)
    mirror.grow()
    proxy.spoil("stall", 600)
    monkeypatch.setattr(watched, "SILENT_SECONDS", 1)
    with pytest.raises(Unreachable, match="nothing came for") as given_up:
        fetch(clone)
    assert given_up.value.rule == "stalled"
    must_be_sound(clone, mirror)
    must_come_from_the_good_one(clone, mirror)


@pytest.mark.long
def test_a_slow_line_that_goes_on_is_waited_for(
    mirror: Mirror, clone: Path, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The honest twin: it takes longer than anybody may be silent."""
    turn_to(clone, proxy.port)
    mirror.grow()
    monkeypatch.setattr(watched, "SILENT_SECONDS", 2)
    proxy.spoil("dribble", 0)
    monkeypatch.setattr(proxy, "pause", 0.002)
    assert fetch(clone).after == len(mirror.snapshots) - 1


ENDLESS = {
    "pack": (Refused, remotes.TOO_MUCH, "more than"),
    "talk": (Refused, remotes.TOO_MUCH, "talks without end"),
    "keepalive": (Unreachable, remotes.STALLED, "next to nothing"),
    "refs": (Refused, "too-many-refs", "fit in memory"),
}


@pytest.mark.long
@pytest.mark.parametrize("what", ENDLESS)
def test_a_server_that_never_ends_is_given_up(
    mirror: Mirror, clone: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    mirror.grow()
    monkeypatch.setattr(watched, "ARRIVING_BYTES", 16 << 20)
    monkeypatch.setattr(watched, "MEMORY_BYTES", 128 << 20)
    monkeypatch.setattr(watched, "PATIENCE", 3)
    monkeypatch.setattr(watched, "SLOWEST", 1 << 30 if what == "keepalive" else watched.SLOWEST)
    kind, rule, said = ENDLESS[what]
    with Endless(mirror.tip, what) as server:  # type: ignore[arg-type]
        turn_to(clone, server.port)
        with pytest.raises(kind, match=said) as given_up:
            fetch(clone)
        assert given_up.value.rule == rule
        assert server.sent < 1 << 30
    must_be_sound(clone, mirror)
    must_come_from_the_good_one(clone, mirror)


def test_an_object_with_another_s_content_does_not_come(mirror: Mirror, clone: Path, proxy: Proxy) -> None:
    turn_to(clone, proxy.port)
    mirror.grow()
    other = mirror.snapshot("domains/alice/other.txt")
    swapped, file = (mirror.path / "objects" / oid[:2] / oid[2:] for oid in (mirror.tip, other))
    honest = swapped.read_bytes()
    swapped.chmod(0o644)
    swapped.write_bytes(file.read_bytes())
    with pytest.raises(LedgerError) as refused:
        fetch(clone)
    assert refused.value.exit_status in (1, 4)
    must_be_sound(clone, mirror)
    swapped.write_bytes(honest)
    must_come_from_the_good_one(clone, mirror)


@pytest.mark.parametrize("what", ["older", "other", "forked", "moved tag"])
def test_over_a_real_server_a_lie_is_told_by_its_status(
    mirror: Mirror, clone: Path, proxy: Proxy, tmp_path: Path, what: str
) -> None:
    turn_to(clone, proxy.port)
    stands, status = len(mirror.snapshots) - 1, 0
    if what == "older":
        mirror.show(mirror.snapshots[-2])
    elif what == "other":
        other = Mirror(tmp_path / "other.git", seconds=forge.START + 7)
        other.grow(4)
        forge.git(mirror.path, "fetch", "-q", str(other.path), "+refs/heads/common:refs/heads/common")
    elif what == "forked":
        mirror.show(mirror.snapshot("domains/alice/other.txt", on=mirror.snapshots[-2]))
        status = 3
    else:
        mirror.set("refs/tags/common@1", mirror.snapshots[2])
    try:
        report = fetch(clone)
        report.must_not_be_stale()
    except LedgerError as error:
        assert what != "moved tag"
        assert error.exit_status == (4 if what == "older" else status or error.exit_status)
    assert must_be_sound(clone, mirror).verified.number == stands
    mirror.set("refs/tags/common@1", None)
    mirror.grow()
    must_come_from_the_good_one(clone, mirror)
