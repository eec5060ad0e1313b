"""Tags and decided refs: whatever a hook that never ran or was killed leaves, the next one does (spec 4, 11)."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import forge
import pytest
from world import World, accepted

from gitledger.roles import host

NOTE = {"shared/note.txt": b"hello\n"}


@contextmanager
def no_post_receive(world: World) -> Iterator[None]:
    """Pushes inside the block are not followed by post-receive, as if it were killed at once."""
    hook, away = world.host / "hooks" / "post-receive", world.host / "hooks" / "away"
    hook.rename(away)
    yield
    away.rename(hook)


def post_receive(world: World) -> subprocess.Popen[bytes]:
    """The hook, started by hand."""
    command = [sys.executable, "-P", "-m", "gitledger.hook", "post-receive"]
    return subprocess.Popen(
        command, cwd=world.host, env=world.you.env(), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE
    )


def queue(world: World) -> list[str]:
    return [ref for ref in world.refs() if ref.startswith(("refs/proposals", "refs/endorsements"))]


def many(world: World, count: int) -> None:
    """`count` snapshots that nobody has made tags for, with endorsements that have had their use."""
    world.make_host(paths=["{match: shared/**, proposers: any, endorsements: 1}"])
    with no_post_receive(world):
        for number in range(count):
            proposal = world.propose(world.alice, {f"shared/{number}.txt": b"x\n"}, topic=f"t{number}")
            world.endorse(world.james, proposal)
        world.emit()
    assert world.snapshots() == ["common@0"] and len(queue(world)) == 2 * count


def test_the_next_push_of_whatever_kind_finishes_what_was_left(world: World) -> None:
    many(world, 2)
    world.propose(world.james, {"shared/last.txt": b"x\n"})
    assert world.snapshots() == ["common@0", "common@1", "common@2"]
    assert queue(world) == ["refs/proposals/james/t"]


def test_check_finishes_it_too(world: World) -> None:
    many(world, 1)
    assert host.check(world.host) == []
    assert world.snapshots() == ["common@0", "common@1"] and queue(world) == []


def test_any_number_of_hooks_may_run_at_a_time(world: World) -> None:
    many(world, 4)
    hooks = [post_receive(world) for _ in range(5)]
    said = [hook.communicate()[1] for hook in hooks]
    assert [hook.returncode for hook in hooks] == [0] * 5, said
    assert len(world.snapshots()) == 5 and queue(world) == []


@pytest.mark.long
def test_a_hook_that_is_killed_is_finished_by_the_next(world: World) -> None:
    many(world, 3)
    moments = random.Random(7)
    for _ in range(6):
        hook = post_receive(world)
        time.sleep(moments.uniform(0.05, 0.35))
        hook.send_signal(signal.SIGKILL)
        hook.communicate()
    long_ago = time.time() - 3600
    for lock in world.host.rglob("*.lock"):
        os.utime(lock, (long_ago, long_ago))
    assert host.check(world.host) == []
    assert len(world.snapshots()) == 4 and queue(world) == []


def test_endorsements_of_what_was_replaced_go_after_a_day(world: World) -> None:
    world.make_host(paths=["{match: shared/**, proposers: any, endorsements: 1}"])
    first = world.propose(world.alice, NOTE)
    bench = world.bench(world.james)
    now = int(time.time())
    for name, seconds in (("james", now - 90000), ("you", now)):
        person = world.person(name)
        tag = forge.endorsement(bench, first, person.key, tagger=forge.ident(name, seconds))
        accepted(world.offer(tag, f"refs/endorsements/{first}/{name}", by=world.james))
    host.settle(world.place(), now)
    assert len(queue(world)) == 3
    second = world.propose(world.alice, {"shared/note.txt": b"better\n"})
    host.settle(world.place(), now)
    assert queue(world) == [f"refs/endorsements/{first}/you", "refs/proposals/alice/t"]
    host.settle(world.place(), now + 90000)
    assert queue(world) == ["refs/proposals/alice/t"] and world.refs()["refs/proposals/alice/t"] == second


def test_a_receipt_is_kept_for_the_grace_period_then_dropped(world: World) -> None:
    world.make_host(grace="2h")
    now = int(time.time())
    proposal = world.propose(world.alice, NOTE)
    tag = forge.withdrawal(world.bench(world.alice), proposal, world.alice.key, tagger=forge.ident("alice", now))
    accepted(world.offer(tag, f"refs/refusals/{proposal}", by=world.alice))
    assert f"refs/refusals/{proposal}" in world.refs() and queue(world) == []
    host.settle(world.place(), now + 3600)
    assert f"refs/refusals/{proposal}" in world.refs()
    host.settle(world.place(), now + 7300)
    assert f"refs/refusals/{proposal}" not in world.refs()


def test_a_receipt_outlives_its_time_while_its_proposal_is_held_by_a_line(world: World) -> None:
    """Else what was withdrawn would wait again."""
    world.make_host(grace="2h")
    now = int(time.time())
    first = world.propose(world.alice, NOTE, push=False)
    world.propose(world.alice, {"shared/more.txt": b"more\n"}, base=first)
    tag = forge.withdrawal(world.bench(world.alice), first, world.alice.key, tagger=forge.ident("alice", now))
    accepted(world.offer(tag, f"refs/refusals/{first}", by=world.alice))
    host.settle(world.place(), now + 90000)
    assert f"refs/refusals/{first}" in world.refs() and queue(world) == ["refs/proposals/alice/t"]


def test_what_cannot_be_read_is_left_alone(world: World) -> None:
    forge.set_ref(world.host, f"refs/endorsements/{'a' * 40}/alice", world.tip)
    forge.set_ref(world.host, f"refs/refusals/{'a' * 40}", world.tip)
    forge.set_ref(world.host, "refs/proposals/alice/blob", forge.write_object(world.host, "blob", b"x"))
    before = world.refs()
    host.settle(world.place(), int(time.time()))
    assert world.refs() == before
    world.propose(world.alice, NOTE)
    world.emit()
    assert world.snapshots() == ["common@0", "common@1"]
