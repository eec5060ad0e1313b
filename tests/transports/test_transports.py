"""The promises of a host over every transport: what a pusher, a witness and a consumer see (spec 10, 11).

Each test starts the server that it needs. Where a transport only reads (`git daemon`), people push to the same
repository by its path, and the reader's part is what is tested.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import forge
import pytest
from servers import TRANSPORTS, WRITERS, Served, Servers, forge_config, python_for_all, servers
from spoken import said
from world import Done, Person, World, accepted, refused

from gitledger.errors import Fork, Unreachable, Unsound
from gitledger.exchange import remotes
from gitledger.objects.store import Store
from gitledger.roles import consumer, doctor, witness
from gitledger.roles.place import Place

pytestmark = pytest.mark.servers
__all__ = ["python_for_all", "servers"]

NOTE = {"domains/alice/note.txt": b"hello\n"}
LARGE = 20 << 20
OTHER_USER = "nobody"

PUSHABLE = pytest.mark.parametrize("served", WRITERS, indirect=True)
ALL = pytest.mark.parametrize("served", TRANSPORTS, indirect=True)


@pytest.fixture
def served(request: pytest.FixtureRequest, world: World, servers: Servers) -> Served:
    """The host, over one transport; large enough proposals are allowed."""
    world.make_host(
        limits=f"proposal_bytes: {2 * LARGE}",
        paths=["{match: shared/**, proposers: any}", "{match: standards/**, proposers: any, endorsements: 2}"],
    )
    return servers.start(request.param, world)


def propose(served: Served, person: Person, changes: dict[str, bytes], *, topic: str = "t", **how: object) -> Done:
    """Commit in a clone that came over the transport, and push from there."""
    clone = person.home / "served"
    clone = clone if clone.exists() else served.clone(person)
    served.world.commit(person, changes, clone=clone, **how)  # type: ignore[arg-type]
    return served.push(person, clone, f"+HEAD:refs/proposals/{person.domain}/{topic}")


def verified_clone(served: Served, person: Person, name: str = "verified") -> Place:
    """A clone by gitledger, over the transport."""
    path = person.home / name
    with served.acting(person):
        return consumer.clone(served.url, path, served.world.anchor, domain=person.domain, now=served.world.now)


def fetched(served: Served, person: Person, place: Place) -> Place:
    """The clone after a fetch over the transport."""
    with served.acting(person):
        return consumer.fetch(Place.open(place.store.work_tree or place.store.git_dir), now=served.world.now).place


def emitted(served: Served, person: Person, place: Place) -> witness.Plan:
    """What `gitledger emit` does in a clone: fetch, then emit and push."""
    place = fetched(served, person, place)
    with served.acting(person):
        return witness.emit(place, person.signer(), served.world.tick(), first_here=True)


def publish(served: Served, changes: dict[str, bytes]) -> None:
    """Alice proposes it and you number it: over the transport, or by the path of the host where that only reads."""
    world = served.world
    if not served.writes:
        world.propose(world.alice, changes)
        world.emit()
        return
    accepted(propose(served, world.alice, changes))
    place = world.you.home / "witness"
    emitted(served, world.you, Place.open(place) if place.exists() else verified_clone(served, world.you, place.name))


def at(place: Place) -> str:
    """The commit that is verified there, which branch and tag follow."""
    newest = Place.open(place.store.git_dir).verified
    assert place.store.resolve("refs/heads/common") == place.store.resolve(f"refs/tags/{newest.name}") == newest.oid
    return newest.oid


# Reading


@ALL
def test_stock_git_clones_and_fetches(served: Served) -> None:
    world = served.world
    clone = served.clone(world.james)
    publish(served, NOTE)
    served.git(world.james, clone, "fetch", "-q", "--tags", "origin")
    assert world.oid("refs/remotes/origin/common", clone) == world.tip == world.oid("refs/tags/common@1", clone)


@ALL
@pytest.mark.parametrize("version", ["0", "1", "2"])
def test_every_version_of_the_protocol_is_spoken(served: Served, version: str) -> None:
    world, spoken = served.world, ("-c", f"protocol.version={version}")
    clone = world.alice.home / "spoken"
    traced = served.git(world.alice, world.path, *spoken, "clone", "-q", served.url, str(clone), GIT_TRACE_PACKET="1")
    answered = [line.rpartition("< ")[2] for line in traced.stderr.splitlines() if "< version " in line]
    assert answered[:1] == ([] if version == "0" else [f"version {version}"])
    listed = served.git(world.alice, clone, *spoken, "ls-remote", "origin", "refs/heads/*").stdout
    assert listed == f"{world.tip}\trefs/heads/common\n"


@ALL
def test_a_consumer_clones_fetches_and_verifies(served: Served) -> None:
    world = served.world
    place = verified_clone(served, world.james)
    assert at(place) == world.oid(0)
    publish(served, NOTE)
    place = fetched(served, world.james, place)
    assert at(place) == world.tip
    assert consumer.verify(place, from_genesis=True).name == "common@1"


@ALL
def test_a_consumer_sees_a_fork_and_stays(served: Served) -> None:
    world = served.world
    publish(served, NOTE)
    place = verified_clone(served, world.james)
    here, bench = at(place), world.bench()
    proposal = forge.proposal(bench, world.oid(0), {"shared/a": b"a\n"}, world.alice.key)
    other = forge.snapshot(bench, world.oid(0), proposal, world.you.key)
    forge.git(world.host, "fetch", "-q", "--no-tags", str(bench), other)
    forge.git(world.host, "-c", "core.hooksPath=/dev/null", "update-ref", "refs/heads/common", other)
    with pytest.raises(Fork) as raised:
        fetched(served, world.james, place)
    assert raised.value.exit_status == 3
    assert at(place) == here


@ALL
def test_history_that_is_cut_off_is_refused(served: Served) -> None:
    world = served.world
    publish(served, NOTE)
    anywhere = served.url if "://" in served.url else f"file://{served.url}"
    for option, rule in (("--depth=1", "shallow"), ("--filter=blob:none", "promisor")):
        clone = world.alice.home / rule
        forge_config(world.host, "uploadpack.allowFilter", "true")
        served.git(world.alice, world.path, "clone", "-q", "--no-tags", option, anywhere, str(clone))
        with pytest.raises(Unsound) as raised:
            Place.open(clone)
        assert raised.value.rule == rule and raised.value.mend


# Pushing


@PUSHABLE
def test_a_proposal_is_told_its_place_and_may_be_replaced(served: Served) -> None:
    world = served.world
    first = accepted(propose(served, world.alice, NOTE))
    assert "refs/proposals/alice/t accepted:" in said(first) and "waits at place 1 of 1 in the queue" in said(first)
    again = accepted(propose(served, world.alice, {"domains/alice/note.txt": b"better\n"}))
    assert "refs/proposals/alice/t replaced:" in said(again)
    assert emitted(served, world.you, verified_clone(served, world.you)).published == ("common@1",)
    assert world.read("domains/alice/note.txt") == b"better\n"


@PUSHABLE
def test_an_endorsement_arrives(served: Served) -> None:
    world = served.world
    done = accepted(propose(served, world.you, {"standards/1.txt": b"one\n"}))
    assert "it lacks endorsements (the rule standards/**: 2 more of alice, james, you)" in said(done)
    oid = world.oid("refs/proposals/you/t")
    for person in (world.alice, world.james):
        clone = served.clone(person)
        person.git(clone, "fetch", "-q", "origin", "refs/proposals/you/t")
        message = f"Endorse {oid[:12]}\n\nEndorses: {forge.hash_of(world.host, oid)}"
        person.git(clone, "tag", "-s", "-m", message, f"endorse/{oid}", oid)
        ref = f"refs/endorsements/{oid}/{person.domain}"
        done = accepted(served.push(person, clone, f"+refs/tags/endorse/{oid}:{ref}"))
        assert f"{person.domain} endorses {oid[:12]}" in said(done)
    assert emitted(served, world.you, verified_clone(served, world.you)).published == ("common@1",)


@PUSHABLE
def test_a_refused_push_is_told_why_and_changes_nothing(served: Served) -> None:
    world = served.world
    clone = served.clone(world.alice)
    done = refused(served.push(world.alice, clone, "HEAD:refs/heads/mine"), "ref-not-in-table")
    assert "What may be pushed:" in said(done)
    world.commit(world.alice, NOTE, clone=clone, sign=False)
    refused(served.push(world.alice, clone, "HEAD:refs/proposals/alice/t"), "unsigned")
    refused(served.push(world.alice, clone, "HEAD:refs/heads/common"), "not-a-snapshot")
    refused(propose(served, world.alice, NOTE, key=world.stranger.key), "unknown-key")
    refused(served.push(world.alice, clone, ":refs/heads/common"), "deletion")
    accepted(propose(served, world.alice, NOTE))


@PUSHABLE
def test_a_witness_emits_from_a_clone_in_one_push_and_the_host_makes_the_tags(served: Served) -> None:
    world = served.world
    place = verified_clone(served, world.you)
    for name in ("a", "b"):
        accepted(propose(served, world.alice, {f"domains/alice/{name}": b"x\n"}, topic=name))
    assert emitted(served, world.you, place).published == ("common@1", "common@2")
    assert world.snapshots() == ["common@0", "common@1", "common@2"]
    assert world.oid(2) == world.tip == at(place)
    assert not [ref for ref in world.refs() if ref.startswith("refs/proposals/")]


@PUSHABLE
def test_a_rotation_is_pushed_and_sealed(served: Served) -> None:
    world = served.world
    place = verified_clone(served, world.james)
    made = world.rotate(world.james, [world.alice, world.james], push=False)
    specs = [f"+{oid}:{ref}" for ref, oid in made.refs.items()]
    done = accepted(served.push(world.alice, made.clone, *specs))
    assert "it is complete: james seals it with gitledger emit" in said(done)
    assert emitted(served, world.james, place).published == ("common@1",)
    assert forge.said(world.host, world.tip, "Witness").split()[0] == "james"
    assert not [ref for ref in world.refs() if ref.startswith("refs/rotations/")]


@PUSHABLE
@pytest.mark.parametrize("version", ["0", "1", "2"])
def test_a_push_speaks_every_version(served: Served, version: str) -> None:
    world = served.world
    clone = served.clone(world.alice)
    world.commit(world.alice, NOTE, clone=clone)
    spec = "HEAD:refs/proposals/alice/t"
    accepted(served.push(world.alice, clone, spec, git=("-c", f"protocol.version={version}")))


@PUSHABLE
def test_push_options_are_taken_where_the_host_offers_them_and_decide_nothing(served: Served) -> None:
    world = served.world
    clone = served.clone(world.alice)
    world.commit(world.alice, NOTE, clone=clone)
    spec, options = "HEAD:refs/proposals/alice/t", ("-o", "ci.skip", "-o", "GIT_DIR=/")
    done = served.push(world.alice, clone, spec, options=options)
    assert done.returncode and "does not support push options" in done.stderr and done.before == done.after
    forge_config(world.host, "receive.advertisePushOptions", "true")
    refused(served.push(world.alice, clone, "HEAD:refs/heads/mine", options=options), "ref-not-in-table")
    accepted(served.push(world.alice, clone, spec, options=options))


@PUSHABLE
def test_a_push_of_twenty_megabytes_arrives(served: Served) -> None:
    world = served.world
    content = os.urandom(LARGE)
    accepted(propose(served, world.alice, {"domains/alice/large": content}))
    emitted(served, world.you, verified_clone(served, world.you))
    assert world.read("domains/alice/large") == content


@PUSHABLE
def test_a_push_from_a_shallow_clone_that_lacks_what_the_host_has_not_is_refused(served: Served) -> None:
    world = served.world
    clone = served.clone(world.alice)
    for name in ("one", "two"):
        world.commit(world.alice, {f"domains/alice/{name}": b"x\n"}, base=world.oid("HEAD", clone), clone=clone)
    shallow = world.alice.home / "shallow"
    world.alice.git(world.path, "clone", "-q", "--depth=1", f"file://{clone}", str(shallow))
    done = served.push(world.alice, shallow, "HEAD:refs/proposals/alice/t")
    assert done.returncode and done.before == done.after
    assert "shallow update not allowed" in done.stderr
    accepted(served.push(world.alice, clone, "HEAD:refs/proposals/alice/t"))


@pytest.mark.parametrize("served", ["daemon"], indirect=True)
def test_where_people_only_read_a_push_is_refused(served: Served) -> None:
    world = served.world
    clone = served.clone(world.alice)
    world.commit(world.alice, NOTE, clone=clone)
    done = served.push(world.alice, clone, "HEAD:refs/proposals/alice/t")
    assert done.returncode and done.before == done.after
    assert "service not enabled" in done.stderr
    assert world.push(world.alice, clone, "HEAD:refs/proposals/alice/t").returncode == 0


@pytest.mark.parametrize("served", ["daemon", "http"], indirect=True)
def test_a_host_that_lets_nobody_push_is_not_one_that_is_silent(served: Served) -> None:
    world = served.world
    forge_config(world.host, "http.receivepack", "false")
    clone = served.clone(world.alice)
    oid = world.commit(world.alice, NOTE, clone=clone)
    with pytest.raises(Unreachable) as caught:
        remotes.push(Store.open(clone), served.url, {"refs/proposals/alice/t": oid})
    assert caught.value.rule == "no-right-to-push" and "lets nobody push, or not you" in caught.value.what


@pytest.mark.parametrize("served", ["ssh", "http", "daemon", "gitolite"], indirect=True)
def test_a_server_that_stopped_is_unreachable(served: Served, servers: Servers) -> None:
    place = verified_clone(served, served.world.alice)
    servers.stop()
    with pytest.raises(Unreachable):
        fetched(served, served.world.alice, place)


# Where the server is another user


@pytest.fixture
def owned(world: World) -> Iterator[Path]:
    """A copy of the host below a directory that others may enter, owned by another user."""
    if os.getuid():
        pytest.skip("only root may start a server as another user")
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        Path(directory).chmod(0o755)
        host = Path(directory) / "common.git"
        shutil.copytree(world.host, host, symlinks=True)
        for file in (host / "config", host / "gitledger-hooks.config"):
            file.write_text(file.read_text().replace(str(world.host), str(host)))
        _give(host, OTHER_USER)
        yield host


def _give(directory: Path, user: str) -> None:
    entry = pwd.getpwnam(user)
    subprocess.run(["chown", "-R", f"{entry.pw_uid}:{entry.pw_gid}", str(directory)], check=True)


def push_as_nobody(world: World, servers: Servers, host: Path) -> Done:
    """Push a proposal by smart HTTP to a host that a server runs for, without a home, as another user."""
    forge_config(host, "http.receivepack", "true")
    _give(host, OTHER_USER)
    url = f"{servers.http(host.parent, user=OTHER_USER)}/common.git"
    clone = world.clone(world.alice)
    world.commit(world.alice, NOTE, clone=clone)
    return world.alice.git(clone, "push", url, "HEAD:refs/proposals/alice/t", check=False)


def run_by(host: Path, python: str | Path) -> None:
    """Let the hooks of the host be run by this Python, as `gitledger hooks install` with it does."""
    for hook in ("pre-receive", "post-receive"):
        file = host / "hooks" / hook
        file.write_text(file.read_text().replace(f"python={sys.executable}", f"python={python}"))


def test_a_host_that_belongs_to_another_user_without_a_home_takes_pushes(
    world: World, servers: Servers, owned: Path, python_for_all: Path
) -> None:
    run_by(owned, python_for_all)
    assert "waits at place 1 of 1" in said(accepted(push_as_nobody(world, servers, owned)))


def test_a_python_that_the_server_may_not_run_is_told(world: World, servers: Servers, owned: Path) -> None:
    closed = owned.parent / "closed"
    closed.mkdir(mode=0o700)
    (closed / "python").symlink_to(sys.executable)
    run_by(owned, closed / "python")
    done = push_as_nobody(world, servers, owned)
    assert done.returncode and f"{OTHER_USER} may not run it" in said(done)
    assert not [ref for ref in world.refs(owned) if ref.startswith("refs/proposals/")]


def test_a_repository_of_another_user_is_served_once_git_is_told_that_it_is_safe(
    world: World, servers: Servers, owned: Path
) -> None:
    """Git asks the configuration of the user that serves; who has no home has that of the machine, or of the server."""
    url = f"{servers.http(owned.parent)}/common.git"
    forge_config(owned, "http.receivepack", "true")
    assert world.alice.git(world.path, "ls-remote", url, check=False).returncode
    servers.stop()
    named = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}
    url = f"{servers.http(owned.parent, env={'PATH': os.environ['PATH'], **named})}/common.git"
    clone = world.clone(world.alice)
    world.commit(world.alice, NOTE, clone=clone)
    accepted(world.alice.git(clone, "push", url, "HEAD:refs/proposals/alice/t", check=False))


# Where several users of the machine write it


GROUP = 20_000
USERS = (20_001, 20_002)


@pytest.mark.long
@pytest.mark.parametrize("first", [0, 1], ids=["one-then-the-other", "the-other-then-one"])
def test_several_users_of_a_machine_push_to_a_host_that_they_share(
    world: World, python_for_all: Path, owned: Path, first: int
) -> None:
    """As the guide says: one group, core.sharedRepository, directories with the set-group-ID bit."""
    run_by(owned, python_for_all)
    forge_config(owned, "core.sharedRepository", "group")
    subprocess.run(["chgrp", "-R", str(GROUP), str(owned)], check=True)
    subprocess.run(["chmod", "-R", "g+rwX", str(owned)], check=True)
    subprocess.run(["find", str(owned), "-type", "d", "-exec", "chmod", "g+s", "{}", "+"], check=True)
    bench = owned.parent / "bench.git"
    people, tip, trusted = (world.alice, world.james), world.oid(0), world.bench()
    users = (USERS[first], USERS[1 - first])
    for number, person in enumerate(people * 2):
        world.tick()
        path = {f"domains/{person.domain}/{number}": b"x\n"}
        oid = forge.proposal(trusted, tip, path, person.key, committer=person.ident)
        tip = forge.snapshot(trusted, tip, oid, world.you.key)
        shutil.copytree(trusted, bench, dirs_exist_ok=True)
        subprocess.run(["chmod", "-R", "a+rX", str(bench)], check=True)
        ref = f"refs/proposals/{person.domain}/t{number}"
        accepted(push_as(users[number % 2], bench, owned, f"{oid}:{ref}"))
        accepted(push_as(users[1 - number % 2], bench, owned, f"{tip}:refs/heads/common"))
        assert ref not in world.refs(owned)
    assert {name for name in world.refs(owned) if name.startswith("refs/tags/")} == {
        f"refs/tags/common@{number}" for number in range(5)
    }
    world.you.git(world.path, "config", "--global", "--add", "safe.directory", str(owned))
    with world.acting(world.you):
        report = doctor.examine(owned, now=world.now, sign=False)
    assert [one for one in report.findings if one.severity == "wrong" and one.area == "owner"] == []


def push_as(uid: int, source: Path, host: Path, spec: str) -> Done:
    """`git push HOST SPEC` by a user of the machine who is in the group, over a local path."""
    before = ("setpriv", f"--reuid={uid}", f"--regid={uid}", f"--groups={GROUP}")
    system = host.with_name("gitconfig")
    system.write_text(f"[safe]\n\tdirectory = {host}\n\tdirectory = {source}\n")
    command = (*before, "git", f"--git-dir={source}", "push", "-q", str(host), spec)
    env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_SYSTEM": str(system)}
    done = subprocess.run(command, cwd="/", env=env, capture_output=True, text=True, umask=0o022, check=False)
    return Done(command, done.returncode, done.stdout, done.stderr)
