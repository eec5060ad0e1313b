"""Repositories: what makes git show another history than the one that was signed (spec 10, Objects).

The same things are put into the repository of a host and into that of a consumer. Neither goes on with them there, both
go on when they are gone. What a person configures, and what stands in the environment, changes no verdict.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import forge
import pytest
from doors import Doors
from world import ZERO, Done, Templates, World, accepted, refused

from gitledger.errors import LedgerError
from gitledger.roles import consumer, host
from gitledger.roles.place import Place

pytestmark = pytest.mark.long

BRANCH = "refs/heads/common"


@dataclass
class Sides:
    """A host at common@2, a mirror of it that has a forged common@2, and a consumer's clone at common@1."""

    doors: Doors
    mirror: Path
    clone: Path

    @property
    def world(self) -> World:
        return self.doors.world


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory, templates: Templates) -> Sides:
    world = World(tmp_path_factory.mktemp("repositories"), templates)
    world.propose(world.alice, {"domains/alice/one.txt": b"one\n"})
    world.emit()
    clone = world.path / "clone"
    with world.acting(world.james):
        consumer.clone(str(world.host), clone, world.anchor, now=world.now)
    doors = Doors(world)
    proposal = doors.queue(fixed(doors), "proposals/alice/two")
    forged = forge.snapshot(doors.bench, doors.tip, proposal, world.stranger.key)
    mirror = world.path / "mirror.git"
    forge.git(doors.bench, "clone", "-q", "--bare", str(doors.bench), str(mirror))
    forge.git(mirror, "fetch", "-q", str(doors.bench), doors.tip)
    forge.set_ref(doors.bench, "refs/forged", forged)
    forge.git(mirror, "fetch", "-q", str(doors.bench), "refs/forged:refs/forged")
    forge.set_ref(mirror, BRANCH, forged)
    forge.set_ref(mirror, "refs/forged", None)
    forge.set_ref(doors.bench, "refs/forged", None)
    doors.emit()
    return Sides(doors, mirror, clone)


def fixed(doors: Doors) -> str:
    """An honest proposal; each is another one."""
    return doors.proposal(doors.world.alice, {"domains/alice/two.txt": f"at {doors.world.now}\n".encode()})


# What is put into a repository


@dataclass(frozen=True)
class Planted:
    """Files by their path in a git directory, and lines of its configuration; `{tip}` and `{other}` are commits."""

    files: Mapping[str, str]
    config: str = ""

    @contextmanager
    def inside(self, git_dir: Path, tip: str, other: str) -> Iterator[None]:
        """The repository has it, and afterwards it is as it was."""
        names = {"tip": tip, "other": other, "objects": str(git_dir)}
        contents = {path.format(**names): text.format(**names) for path, text in self.files.items()}
        if self.config:
            contents["config"] = self.config
        before = {path: _content(git_dir / path) for path in contents}
        for path, text in contents.items():
            (git_dir / path).parent.mkdir(parents=True, exist_ok=True)
            (git_dir / path).write_bytes((before[path] or b"") + text.encode())
        try:
            yield
        finally:
            for path, content in before.items():
                (git_dir / path).unlink()
                if content is not None:
                    (git_dir / path).write_bytes(content)


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


UNSOUND: dict[str, tuple[str, Planted]] = {
    "a graft that takes a parent away": ("grafts", Planted({"info/grafts": "{tip}\n"})),
    "a graft that gives another parent": ("grafts", Planted({"info/grafts": "# a comment\n{tip} {other}\n"})),
    "a shallow boundary": ("shallow", Planted({"shallow": "{tip}\n"})),
    "a shallow boundary of nothing": ("shallow", Planted({"shallow": ""})),
    "a replacement": ("replace-refs", Planted({"refs/replace/{tip}": "{other}\n"})),
    "a replacement among packed refs": ("replace-refs", Planted({"packed-refs": "{other} refs/replace/{tip}\n"})),
    "objects of another repository": ("alternates", Planted({"objects/info/alternates": "{objects}/objects\n"})),
    "objects of another repository by HTTP": (
        "alternates",
        Planted({"objects/info/http-alternates": "http://example.org/objects\n"}),
    ),
    "a pack with a promise of more": ("promisor", Planted({"objects/pack/pack-1.promisor": ""})),
    "a remote that promises more": (
        "promisor",
        Planted({}, '[remote "more"]\n\turl = /nowhere\n\tpromisor = true\n'),
    ),
    "a filter of a remote": ("promisor", Planted({}, '[remote "more"]\n\tpartialCloneFilter = blob:none\n')),
    "an extension that promises more": ("promisor", Planted({}, "[extensions]\n\tpartialClone = origin\n")),
    "a branch that is a symbolic ref": ("symbolic-branch", Planted({"refs/heads/other": "ref: refs/heads/common\n"})),
}

SOUND = {
    "grafts without a line": Planted({"info/grafts": "# nothing\n\n"}),
    "alternates without a line": Planted({"objects/info/alternates": "\n"}),
    "a branch of nobody's name in the packed refs' comment": Planted({"info/exclude": "refs/replace/\n"}),
    "a remote": Planted({}, '[remote "more"]\n\turl = /nowhere\n\tpromisor2 = true\n'),
}


@pytest.mark.parametrize("name", UNSOUND)
def test_a_host_takes_nothing_while_it_has(sides: Sides, name: str) -> None:
    rule, planted = UNSOUND[name]
    doors, world = sides.doors, sides.world
    proposal = fixed(doors)
    with planted.inside(world.host, doors.tip, world.oid(0)):
        refused(doors.world.offer(proposal, "refs/proposals/alice/unsound"), rule)
        with pytest.raises(LedgerError) as caught:
            world.emit()
        assert caught.value.rule == rule
    assert world.tip == doors.tip
    doors.nothing_is_left()


@pytest.mark.parametrize("name", SOUND)
def test_a_host_goes_on_with(sides: Sides, name: str) -> None:
    doors = sides.doors
    with SOUND[name].inside(sides.world.host, doors.tip, sides.world.oid(0)):
        doors.host_takes(fixed(doors), f"refs/proposals/alice/sound-{list(SOUND).index(name)}")


@contextmanager
def copied(sides: Sides, origin: Path | None = None) -> Iterator[Path]:
    """A copy of the consumer's clone, whose origin may be another."""
    path = sides.world.path / "copy"
    shutil.copytree(sides.clone, path, symlinks=True)
    if origin:
        forge.git(path / ".git", "config", "remote.origin.url", str(origin))
    try:
        yield path
    finally:
        shutil.rmtree(path)


def fetched(sides: Sides, clone: Path, **environment: str) -> int:
    """What number `gitledger fetch` verifies in the clone, run by james."""
    with sides.world.acting(sides.world.james), mock.patch.dict(os.environ, environment):
        return consumer.fetch(Place.open(clone), now=sides.world.now).after


def stands(clone: Path) -> tuple[str, bytes, bytes]:
    """All that a fetch may move only after it verified."""
    refs = forge.git(clone / ".git", "for-each-ref", "refs/heads", "refs/tags").decode()
    return refs, (clone / ".git" / "HEAD").read_bytes(), (clone / ".git" / "gitledger" / "verified.json").read_bytes()


@pytest.mark.parametrize("name", UNSOUND)
def test_a_consumer_verifies_nothing_while_it_has(sides: Sides, name: str) -> None:
    rule, planted = UNSOUND[name]
    with copied(sides) as clone:
        before = stands(clone)
        with planted.inside(clone / ".git", sides.world.oid(1), sides.world.oid(0)):
            for act in (lambda: fetched(sides, clone), lambda: consumer.verify(Place.open(clone), from_genesis=True)):
                with pytest.raises(LedgerError) as caught:
                    act()
                assert caught.value.rule == rule
                assert caught.value.mend
        assert stands(clone) == before
        assert fetched(sides, clone) == 2


@pytest.mark.parametrize("name", SOUND)
def test_a_consumer_goes_on_with(sides: Sides, name: str) -> None:
    with copied(sides) as clone, SOUND[name].inside(clone / ".git", sides.world.oid(1), sides.world.oid(0)):
        assert fetched(sides, clone) == 2


def test_ids_that_are_not_sha1_are_no_ledger_s(sides: Sides, tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", "--object-format=sha256", str(tmp_path)], check=True)
    shutil.copytree(sides.clone / ".git" / "gitledger", tmp_path / ".git" / "gitledger")
    with pytest.raises(LedgerError) as caught:
        fetched(sides, tmp_path)
    assert caught.value.rule == "object-format"


# What a server has


def shallow(world: World, mirror: Path) -> None:
    oid = world.oid(2)
    (mirror / "shallow").write_text(f"{oid}\n")


def grafted(world: World, mirror: Path) -> None:
    (mirror / "info").mkdir(exist_ok=True)
    (mirror / "info" / "grafts").write_text(f"{world.oid(2)}\n")


def symbolic(world: World, mirror: Path) -> None:
    (mirror / "refs" / "heads" / "real").write_text(f"{world.oid(2)}\n")
    (mirror / BRANCH).parent.mkdir(parents=True, exist_ok=True)
    (mirror / BRANCH).write_text("ref: refs/heads/real\n")


def lacking(world: World, mirror: Path) -> None:
    blob = forge.git(mirror, "rev-parse", f"{world.oid(2)}:domains/alice/two.txt").decode().strip()
    (mirror / "objects" / blob[:2] / blob[2:]).unlink()


def nothing(world: World, mirror: Path) -> None:
    """An honest mirror."""


def replaced(world: World, mirror: Path) -> None:
    forge.set_ref(mirror, f"refs/replace/{world.oid(2)}", world.oid(0))


def borrowed(world: World, mirror: Path) -> None:
    shutil.rmtree(mirror / "objects")
    (mirror / "objects" / "info").mkdir(parents=True)
    (mirror / "objects" / "info" / "alternates").write_text(f"{world.host}/objects\n")


SERVERS: dict[str, tuple[str, Callable[[World, Path], None]]] = {
    "is shallow": ("shallow-remote", shallow),
    "has a branch that is a symbolic ref": ("symbolic-branch", symbolic),
    "lacks an object": ("unreachable", lacking),
    "cuts its history off by a graft": ("objects-refused", grafted),
    "is honest": ("", nothing),
    "replaces objects": ("", replaced),
    "borrows its objects": ("", borrowed),
}


@pytest.mark.parametrize("name", SERVERS)
def test_a_server_that(sides: Sides, tmp_path: Path, name: str) -> None:
    """Whatever is wrong there: it serves the ledger, byte by byte, or a consumer stays where it is."""
    rule, act = SERVERS[name]
    mirror = tmp_path / "mirror.git"
    shutil.copytree(sides.world.host, mirror)
    act(sides.world, mirror)
    with copied(sides, mirror) as clone:
        before = stands(clone)
        if rule:
            with pytest.raises(LedgerError) as caught:
                fetched(sides, clone)
            assert caught.value.rule == rule
            assert stands(clone) == before
        else:
            assert fetched(sides, clone) == 2
            assert not forge.git(clone / ".git", "for-each-ref", "refs/replace")


# What a person configures


CONFIGURATIONS = {
    "nothing": "",
    "no hooks": "[core]\n\thooksPath = /dev/null\n",
    "no checks of objects": "[transfer]\n\tfsckObjects = false\n[fetch]\n\tfsckObjects = false\n",
    "replacements": "[core]\n\tuseReplaceRefs = true\n",
    "everything to be fetched over everything": (
        '[remote "origin"]\n\tfetch = +refs/*:refs/*\n\ttagOpt = --tags\n\tmirror = true\n'
        "[fetch]\n\tprune = true\n\tpruneTags = true\n\tall = true\n"
    ),
    "programs that call every signature good": (
        '[gpg]\n\tprogram = true\n\tformat = openpgp\n[gpg "ssh"]\n\tprogram = true\n\tallowedSignersFile = /dev/null\n'
    ),
    "another work tree": "[core]\n\tworktree = /nowhere\n",
    "a repository that is bare": "[core]\n\tbare = true\n",
    "aliases": "[alias]\n\tfetch = !false\n\tls-remote = !false\n\tupdate-ref = !false\n\tfor-each-ref = !false\n",
    "a program that watches files": "[core]\n\tfsmonitor = false\n\talternateRefsCommand = false\n",
    "other colours and columns": "[color]\n\tui = always\n[column]\n\tui = always\n[core]\n\tpager = false\n",
    "names in quotes and in lower case": "[core]\n\tquotePath = true\n\tignoreCase = true\n\tprotectNTFS = false\n",
    "a filter": '[filter "x"]\n\tsmudge = false\n\tclean = false\n\trequired = true\n[core]\n\tautocrlf = true\n',
    "no name for a branch": "[init]\n\tdefaultBranch = -\n[safe]\n\tbareRepository = explicit\n",
    "an older protocol": "[protocol]\n\tversion = 0\n",
    "reftables to come": "[extensions]\n\tworktreeConfig = true\n[feature]\n\texperimental = true\n",
}

ENVIRONMENTS = {
    "another repository": {"GIT_DIR": "{mirror}", "GIT_WORK_TREE": "/", "GIT_COMMON_DIR": "{mirror}"},
    "other objects": {"GIT_OBJECT_DIRECTORY": "{mirror}/objects"},
    "more objects": {"GIT_ALTERNATE_OBJECT_DIRECTORIES": "{mirror}/objects"},
    "a graft": {"GIT_GRAFT_FILE": "{file}"},
    "a shallow boundary": {"GIT_SHALLOW_FILE": "{file}"},
    "replacements everywhere": {"GIT_REPLACE_REF_BASE": "refs/heads/"},
    "another namespace": {"GIT_NAMESPACE": "other"},
    "another hash": {"GIT_DEFAULT_HASH": "sha256", "GIT_DEFAULT_REF_FORMAT": "reftable"},
    "a quarantine": {"GIT_QUARANTINE_PATH": "{mirror}/objects"},
    "another index and prefix": {"GIT_INDEX_FILE": "/nowhere/index", "GIT_PREFIX": "x/"},
    "other settings": {
        "GIT_CONFIG_COUNT": "2",
        "GIT_CONFIG_KEY_0": "core.hooksPath",
        "GIT_CONFIG_VALUE_0": "/dev/null",
        "GIT_CONFIG_KEY_1": "remote.origin.fetch",
        "GIT_CONFIG_VALUE_1": "+refs/*:refs/*",
    },
    "other settings for all": {"GIT_CONFIG_GLOBAL": "{settings}"},
    "patterns that mean themselves": {"GIT_LITERAL_PATHSPECS": "1", "GIT_ICASE_PATHSPECS": "1"},
}


def both_verdicts(sides: Sides, configuration: str, environment: Mapping[str, str]) -> None:
    """From the host a consumer goes on to common@2; from the mirror it goes nowhere."""
    for origin in (sides.world.host, sides.mirror):
        with copied(sides, origin) as clone:
            with (clone / ".git" / "config").open("a") as config:
                config.write(configuration)
            before = stands(clone)
            if origin == sides.world.host:
                assert fetched(sides, clone, **environment) == 2
                assert stands(clone)[0] != before[0]
                assert consumer.verify(Place.open(clone), from_genesis=True).name == "common@2"
            else:
                with pytest.raises(LedgerError) as caught:
                    fetched(sides, clone, **environment)
                assert caught.value.rule == "wrong-witness", str(caught.value)
                assert stands(clone) == before


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_no_configuration_changes_a_verdict(sides: Sides, name: str) -> None:
    both_verdicts(sides, CONFIGURATIONS[name], {})


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_no_environment_changes_a_verdict(sides: Sides, tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text(f"{sides.world.oid(1)}\n")
    (tmp_path / "settings").write_text("".join(CONFIGURATIONS.values()).replace("/nowhere", "/").replace("= -", "= x"))
    places = {"mirror": sides.mirror, "file": tmp_path / "file", "settings": tmp_path / "settings"}
    both_verdicts(sides, "", {name: value.format(**places) for name, value in ENVIRONMENTS[name].items()})


HOSTS = (
    "nothing",
    "replacements",
    "programs that call every signature good",
    "aliases",
    "other colours and columns",
    "names in quotes and in lower case",
    "an older protocol",
)


@pytest.mark.parametrize("name", HOSTS)
def test_no_configuration_of_a_host_changes_a_verdict(sides: Sides, name: str) -> None:
    doors, planted = sides.doors, Planted({}, CONFIGURATIONS[name])
    honest = fixed(doors)
    forged = forge.snapshot(doors.bench, doors.tip, honest, sides.world.stranger.key)
    with planted.inside(sides.world.host, doors.tip, doors.tip):
        doors.host_refuses(forged, "wrong-witness")
        doors.host_takes(honest, f"refs/proposals/alice/host-{HOSTS.index(name)}")


def test_a_host_whose_hooks_are_off_says_so(sides: Sides) -> None:
    with sides.world.acting(sides.world.you):
        assert not host.check(sides.world.host)
        with Planted({}, CONFIGURATIONS["no hooks"]).inside(sides.world.host, "", ""):
            (problem,) = host.check(sides.world.host)
        assert "'/dev/null'" in problem


# What a pusher brings


def pushed(sides: Sides, oid: str, ref: str, environment: Mapping[str, str]) -> Done:
    """A push whose environment reaches the host's own process, as it may by SSH."""
    settings = " ".join(f"{name}={value}" for name, value in environment.items())
    options = [f"--receive-pack=env {settings} git receive-pack"]
    return sides.world.push(sides.world.stranger, sides.doors.bench, f"+{oid}:{ref}", options=options)


PUSHERS = {
    "nothing": {},
    "a graft": {"GIT_GRAFT_FILE": "{file}"},
    "a shallow boundary": {"GIT_SHALLOW_FILE": "{file}"},
    "replacements everywhere": {"GIT_REPLACE_REF_BASE": "refs/heads/"},
    "other settings for all": {"GIT_CONFIG_GLOBAL": "{settings}"},
    "another Python path": {"PYTHONPATH": "{modules}", "PYTHONSTARTUP": "{modules}/gitledger/__init__.py"},
    "another Python": {"PYTHONHOME": "/nowhere", "PYTHONOPTIMIZE": "2"},
    "another locale": {"LC_ALL": "tr_TR.ISO-8859-9", "LANG": "tr_TR", "PYTHONIOENCODING": "ascii"},
    "another home": {"HOME": "/nowhere", "XDG_CONFIG_HOME": "/nowhere"},
}


@pytest.mark.parametrize("name", PUSHERS)
def test_no_pusher_s_environment_changes_a_verdict(sides: Sides, tmp_path: Path, name: str) -> None:
    doors = sides.doors
    (tmp_path / "file").write_text(f"{doors.tip}\n")
    (tmp_path / "settings").write_text("[core]\n\thooksPath = /dev/null\n[receive]\n\tfsckObjects = false\n")
    (tmp_path / "gitledger").mkdir()
    for module in ("__init__", "hook"):
        (tmp_path / "gitledger" / f"{module}.py").write_text("raise SystemExit(0)\n")
    places = {"file": tmp_path / "file", "settings": tmp_path / "settings", "modules": tmp_path}
    environment = {key: value.format(**places) for key, value in PUSHERS[name].items()}
    honest = fixed(doors)
    forged = forge.snapshot(doors.bench, doors.tip, honest, sides.world.stranger.key)
    refused(pushed(sides, forged, BRANCH, environment), "wrong-witness")
    accepted(pushed(sides, honest, f"refs/proposals/alice/by-{list(PUSHERS).index(name)}", environment))


def test_a_namespace_of_the_pusher_s_leads_nowhere(sides: Sides) -> None:
    """Git would tell the hook one ref and set another, `refs/namespaces/other/refs/…`."""
    oid, ref = fixed(sides.doors), "refs/proposals/alice/namespace"
    refused(pushed(sides, oid, ref, {"GIT_NAMESPACE": "other"}), "namespace")
    accepted(pushed(sides, oid, ref, {"GIT_NAMESPACE": ""}))


def test_objects_that_only_the_pusher_has_are_not_taken_on_trust(sides: Sides) -> None:
    """They are within reach of the host's process, and nothing of them is in the push."""
    doors, ref = sides.doors, "refs/proposals/alice/elsewhere"
    oid = fixed(doors)
    before = sides.world.refs()
    line = f"{ZERO} {oid} {ref}\0report-status"
    pack = forge.git(doors.bench, "pack-objects", "--stdout", "-q")
    done = subprocess.run(
        ["git", "receive-pack", str(sides.world.host)],
        env=sides.world.stranger.env(GIT_ALTERNATE_OBJECT_DIRECTORIES=str(doors.bench / "objects")),
        input=f"{len(line) + 4:04x}{line}0000".encode() + pack,
        capture_output=True,
        check=False,
    )
    assert b"[missing-object]" in done.stderr, done.stderr
    assert sides.world.refs() == before
    doors.host_takes(oid, ref)


def test_a_shallow_clone_proposes_and_brings_no_boundary_along(sides: Sides, tmp_path: Path) -> None:
    world = sides.world
    world.alice.git(tmp_path, "clone", "-q", "--no-tags", "--depth=1", f"file://{world.host}", "shallow")
    clone = tmp_path / "shallow" / ".git"
    tree = forge.changed(clone, world.tip, {"domains/alice/three.txt": b"three\n"})
    cut = forge.commit(clone, tree, ["1" * 40], "A cut\n", world.alice.key)
    on_it = forge.commit(
        clone, forge.changed(clone, cut, {"domains/alice/three.txt": None}), [cut], key=world.alice.key
    )
    honest = forge.commit(clone, tree, [world.tip], key=world.alice.key)
    with (clone / "shallow").open("a") as boundaries:
        boundaries.write(f"{cut}\n")
    done = world.push(world.alice, clone, f"{on_it}:refs/proposals/alice/shallow")
    assert done.returncode and "shallow update not allowed" in done.stderr, done.stderr
    assert done.before == done.after
    accepted(world.push(world.alice, clone, f"{honest}:refs/proposals/alice/shallow"))
