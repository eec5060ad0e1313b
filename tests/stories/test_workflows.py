"""The workflow template is run as a runner would run it, against a bare repository that stands as the forge."""

from __future__ import annotations

import os
import re
import sysconfig
from pathlib import Path
from typing import Any

import pytest
import yaml
from world import Person, World

TEMPLATE = Path(__file__).parent.parent.parent / "templates" / "workflows" / "collect.yaml"
INSTALL = "Install gitledger"
PATH = f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ['PATH']}"
WITNESS = "Number what came, and publish it on the forge"


def workflow(text: str) -> dict[str, Any]:
    read = yaml.safe_load(text)
    assert isinstance(read, dict)
    return read


def steps(text: str) -> list[dict[str, Any]]:
    found = workflow(text)["jobs"]["collect"]["steps"]
    assert isinstance(found, list)
    return found


def with_the_witness(text: str) -> str:
    """The template where (c) stands in the place of (a) and (b)."""
    common, _, rest = text.partition("      # (a) The host's hooks decide again.\n")
    commented = rest[rest.index(f"#       - name: {WITNESS}") :]
    return common + re.sub(r"^# ?", "", commented, flags=re.MULTILINE)


class Runner:
    """A machine that runs the steps of a workflow, one after the other, in one directory."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.by = world.person("spare-1")
        self.directory = world.path / "runner"
        self.directory.mkdir()
        self.forge = world.path / "forge.git"
        world.you.git(world.path, "init", "-q", "--bare", "--initial-branch=common", str(self.forge))
        world.you.git(world.host, "push", "-q", str(self.forge), "common", "common@0")

    def run(self, text: str = "", **settings: str) -> str:
        """Run all steps but the installation, as Actions does; what they said."""
        text = text or TEMPLATE.read_text(encoding="utf-8")
        env = workflow(text)["env"] | {"FORGE": str(self.forge), "LEDGER_ID": self.world.anchor}
        env |= settings | {"RUNNER_TEMP": str(self.directory), "PATH": PATH}
        said = []
        for step in steps(text):
            if step["name"] == INSTALL:
                continue
            own = {name: value for name, value in step.get("env", {}).items() if name not in settings}
            script = self.directory / "step.sh"
            script.write_text(step["run"])
            shell = ("bash", "--noprofile", "--norc", "-eo", "pipefail", str(script))
            done = self.by.run(self.directory, *shell, **{**env, **own})
            said.append(done.stdout + done.stderr)
        return "".join(said)

    def pull(self, number: int, by: Person, *, sign: bool = True) -> str:
        """A pull request."""
        oid = self.world.commit(by, {f"domains/{by.name}/{number}": "x\n"}, sign=sign)
        by.git(self.world.clone(by), "push", "-q", str(self.forge), f"{oid}:refs/pull/{number}/head")
        return oid


@pytest.fixture
def runner(world: World) -> Runner:
    return Runner(world)


def test_the_template_gives_nothing_of_a_pull_request_a_say() -> None:
    text = TEMPLATE.read_text(encoding="utf-8")
    for each in (text, with_the_witness(text)):
        read = workflow(each)
        assert set(read[True]) == {"schedule", "workflow_dispatch"}  # `on`, as YAML 1.1 reads it
        assert read["permissions"] == {}
        for step in steps(each):
            assert set(step) <= {"name", "run", "env"}
            assert "${{" not in step["run"]
    assert "${{" not in re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)


@pytest.mark.long
def test_what_the_template_collects_is_handed_on_to_the_host(world: World, runner: Runner) -> None:
    oid = runner.pull(1, world.alice)
    runner.pull(2, world.stranger, sign=False)
    said = runner.run(HOST=str(world.host))
    assert "taken  refs/proposals/alice/pull-1  from refs/pull/1/head" in said
    assert world.refs()["refs/proposals/alice/pull-1"] == oid
    assert "1 ref not signed" in said
    again = runner.run(HOST=str(world.host))
    assert "taken" not in again and "left alone" not in again


@pytest.mark.long
def test_what_the_template_collects_is_carried_to_a_witness_who_is_not_online(world: World, runner: Runner) -> None:
    oid = runner.pull(1, world.alice)
    fork = world.path / "fork.git"
    world.james.git(world.path, "init", "-q", "--bare", str(fork))
    other = world.commit(world.james, {"domains/james/a": "a\n"})
    world.james.git(world.clone(world.james), "push", "-q", str(fork), f"{other}:refs/heads/fix")
    said = runner.run(FORKS=f"{fork} {world.path / 'gone.git'}")
    assert "gone.git is left out" in said
    stick = str(runner.directory / "ledger" / "collected.bundle")
    world.you.run(world.host, "gitledger", "carry", "in", stick, PATH=PATH)
    refs = world.refs()
    assert (refs["refs/proposals/alice/pull-1"], refs["refs/proposals/james/fix"]) == (oid, other)


@pytest.mark.long
def test_with_the_witness_s_key_the_template_numbers_and_publishes(world: World, runner: Runner) -> None:
    runner.pull(1, world.alice)
    text = with_the_witness(TEMPLATE.read_text(encoding="utf-8"))
    key = world.you.key.read_text().rstrip("\n")
    runner.run(text, WITNESS_KEY=key, FORGE_PUSH=str(runner.forge))
    refs = world.refs(runner.forge)
    assert refs["refs/heads/common"] == refs["refs/tags/common@1"] != world.tip
    assert not (runner.directory / "witness").exists()
    clone = world.james.home / "check"
    asked = ("gitledger", "clone", str(runner.forge), str(clone), "--anchor", world.anchor)
    world.james.run(world.path, *asked, PATH=PATH)
    assert "domains/alice/1" in world.james.output(clone, "ls-tree", "-r", "--name-only", "HEAD")
