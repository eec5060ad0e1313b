"""`collect`: what is told of a forge, in how many words, and with which exit status."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typed import told, typed
from world import World


@pytest.fixture
def there(world: World) -> Path:
    """A bare repository without hooks, with a proposal, ordinary pull requests, and one that is refused."""
    path = world.path / "forge.git"
    world.stranger.git(world.path, "clone", "-q", "--mirror", str(world.host), str(path))
    pulls = {
        1: world.commit(world.alice, {"domains/alice/a": "a\n"}),
        2: world.commit(world.alice, {"domains/james/a": "a\n"}),
    }
    world.alice.git(
        world.clone(world.alice), "push", "-q", str(path), *(f"{o}:refs/pull/{n}/head" for n, o in pulls.items())
    )
    for number in range(3, 8):
        oid = world.commit(world.stranger, {"x": f"{number}\n"}, sign=False)
        world.stranger.git(world.clone(world.stranger), "push", "-q", str(path), f"{oid}:refs/pull/{number}/head")
    return path


def test_what_is_taken_and_refused_is_listed_and_the_rest_is_summed_up(world: World, clone: Path, there: Path) -> None:
    world.alice.git(clone, "remote", "add", "forge", str(there))
    said = typed(world.alice, clone, "collect", "forge", "refs/pull/*/head", status=1)
    assert "taken  refs/proposals/alice/pull-1  from refs/pull/1/head" in said.stdout
    assert "refused  refs/proposals/alice/pull-2  from refs/pull/2/head" in said.stdout
    assert "left alone  5 refs not signed with an SSH key" in said.stdout
    assert "refs/pull/7/head, refs/pull/6/head, refs/pull/5/head, …" in " ".join(said.stdout.split())
    assert "gitledger carry out FILE" in said.stdout
    assert "[collected-in-part]" in said.stderr
    again = typed(world.alice, clone, "collect", "forge", "refs/pull/*/head")
    assert "7 refs there were known before" in again.stdout and "refused" not in again.stdout
    assert "alice/pull-1" in typed(world.alice, clone, "proposals").stdout


def test_a_fetch_sends_on_to_the_host_what_was_collected(world: World, clone: Path, there: Path) -> None:
    typed(world.alice, clone, "collect", str(there), "refs/pull/1/head")
    typed(world.alice, clone, "fetch")
    assert "refs/proposals/alice/pull-1" in world.refs()


def test_programs_get_one_object(world: World, there: Path) -> None:
    done = typed(world.you, world.host, "collect", "../forge.git", "refs/pull/*/head", "--json", status=1)
    one = json.loads(done.stdout)
    assert {(each["from"], each["outcome"]) for each in one["refs"]} == {
        ("refs/pull/1/head", "taken"),
        ("refs/pull/2/head", "refused"),
    }
    (left,) = one["left"]
    assert (left["count"], len(left["refs"]), one["known"], one["later"]) == (5, 3, 0, 0)
    again = told(world.you, world.host, "collect", "../forge.git", "refs/pull/*/head")
    assert (again["refs"], again["left"], again["known"]) == ([], [], 7)


def test_a_refspec_is_named_as_it_would_be_right(world: World, there: Path) -> None:
    said = typed(world.you, world.host, "collect", "../forge.git", "pull/7/head", status=2)
    assert "[collect-refspec]" in said.stderr and "refs/pull/*/head" in said.stderr


def test_where_nobody_answers_the_exit_status_is_4(world: World) -> None:
    typed(world.you, world.host, "collect", "../nowhere.git", "refs/pull/*/head", status=4)
