"""Commands that are disturbed: what each does to a world, and what must hold whatever became of it.

    scene = SCENES["fetch"](world)
    scene.prepare()                # something new, which the command brings
    scene.run()                    # disturbed somehow
    scene.must_be_sound()          # the old state or the new
    scene.must_succeed()           # the same command again, and its result

What is random comes from `dice`, whose seed is printed; GITLEDGER_SEED names another.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from world import Person, World

from gitledger.errors import LedgerError
from gitledger.roles.place import Place

GITLEDGER = (sys.executable, "-P", "-m", "gitledger")


def dice(default: int) -> random.Random:
    """Chance, which the seed repeats."""
    seed = int(os.environ.get("GITLEDGER_SEED", default))
    print(f"GITLEDGER_SEED={seed}")
    return random.Random(seed)


def gitledger(person: Person, cwd: Path, *arguments: str) -> subprocess.Popen[str]:
    return start(person, cwd, *GITLEDGER, *arguments)


def start(person: Person, cwd: Path, *command: str) -> subprocess.Popen[str]:
    """The command, in a session of its own."""
    person.world.tick()
    return subprocess.Popen(
        command,
        cwd=cwd,
        env=person.env(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )


def as_if_an_hour_had_passed(where: Path) -> None:
    """Locks are younger than any that is taken away; a person would come back later."""
    then = time.time() - 7200
    for pattern in ("*.lock", "tmp_*"):
        for left in where.rglob(pattern):
            with suppress(OSError):
                os.utime(left, (then, then))


def must_be_whole(where: Path) -> None:
    """git finds every object there is, and nothing wrong with it."""
    for how in ("--connectivity-only", "--strict"):
        done = subprocess.run(["git", "-C", where, "fsck", how], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@dataclass
class Scene:
    """`command` as typed by `person` in `cwd`, which changes `where`; `result` is what it should have done, and has."""

    world: World
    person: Person
    cwd: Path
    command: tuple[str, ...]
    where: Path
    prepare: Callable[[], None]
    result: Callable[[], bool]
    line: dict[int, str] = field(default_factory=dict)

    def start(self) -> subprocess.Popen[str]:
        return start(self.person, self.cwd, *self.command)

    def must_be_sound(self) -> None:
        """What is verified is what was there before, or what should be now; no number ever names another snapshot."""
        if not self.where.exists():
            return
        must_be_whole(self.where)
        with suppress(LedgerError):
            place = Place.open(self.where)
            newest = place.verified
            for number in range(newest.number + 1):
                oid = newest.state.line.row(place.store, number).snapshot
                assert self.line.setdefault(number, oid) == oid
            return
        # Only what was never finished can't be read.
        assert not self.line, f"{self.where} can't be read any more"

    def must_succeed(self) -> None:
        """The command, left alone, does what it would have done undisturbed."""
        as_if_an_hour_had_passed(self.where if self.where.exists() else self.where.parent)
        if self.result() and "push" not in self.command and "fetch" not in self.command:
            return
        process = self.start()
        said, _ = process.communicate(timeout=120)
        assert process.returncode == 0, said
        assert self.result(), said
        self.must_be_sound()
        if self.where.exists():
            must_follow(self.world, self.where)


def must_follow(world: World, where: Path) -> None:
    """Branch and tags are what is verified."""
    place, refs = Place.open(where), world.refs(where)
    newest = place.verified
    line = {number: newest.state.line.row(place.store, number).snapshot for number in range(newest.number + 1)}
    tags = {ref: oid for ref, oid in refs.items() if ref.startswith(f"refs/tags/{place.name}@")}
    assert tags == {place.tag(number): oid for number, oid in line.items()}
    assert refs[place.branch] == newest.oid


def clone_of(world: World, person: Person, name: str = "ledger") -> Path:
    path = person.home / name
    done = gitledger(person, world.path, "clone", str(world.host), str(path), "--anchor", world.anchor)
    said, _ = done.communicate()
    assert done.returncode == 0, said
    return path


class _Proposals:
    """One more proposal by alice with each call, on the newest snapshot; `last` is its oid, `ref` where it waits."""

    def __init__(self, world: World, *, push: bool) -> None:
        self.world, self.push, self.number, self.last = world, push, 0, ""

    @property
    def ref(self) -> str:
        return f"refs/proposals/alice/t{self.number}"

    def __call__(self) -> None:
        self.number += 1
        files = {f"domains/alice/{self.number}-{n}.txt": os.urandom(3000).hex() for n in range(4)}
        self.last = self.world.propose(self.world.alice, files, topic=f"t{self.number}", push=self.push)


def fetch(world: World) -> Scene:
    """A consumer fetches two snapshots more."""
    clone, propose = clone_of(world, world.james), _Proposals(world, push=True)

    def prepare() -> None:
        for _ in range(2):
            propose()
            world.emit()

    command = (*GITLEDGER, "fetch")
    return Scene(
        world, world.james, clone, command, clone, prepare, lambda: Place.open(clone).verified.oid == world.tip
    )


def push(world: World) -> Scene:
    """A proposal is pushed by stock git to a host; its hooks run."""
    propose = _Proposals(world, push=False)
    clone = world.clone(world.alice)

    def prepare() -> None:
        propose()
        world.alice.git(clone, "update-ref", "refs/heads/proposed", propose.last)
        world.alice.git(clone, "config", "remote.origin.push", f"+refs/heads/proposed:{propose.ref}")

    command = ("git", "push", "origin")
    return Scene(
        world, world.alice, clone, command, world.host, prepare, lambda: world.refs().get(propose.ref) == propose.last
    )


def emit(world: World) -> Scene:
    """The witness emits on the host, by a push to it."""
    propose = _Proposals(world, push=True)
    before = len(world.snapshots())
    command = (*GITLEDGER, "-C", str(world.host), "emit", "--key", str(world.you.key))
    return Scene(
        world,
        world.you,
        world.path,
        command,
        world.host,
        propose,
        lambda: (
            Place.open(world.host).verified.number == before - 1 + propose.number
            and not [ref for ref in world.refs() if ref.startswith("refs/proposals/")]
        ),
    )


def carry_in_host(world: World) -> Scene:
    """A host takes in a proposal that stock git made a bundle of."""
    propose, stick = _Proposals(world, push=False), world.path / "stick"
    clone = world.clone(world.alice)

    def prepare() -> None:
        propose()
        world.alice.git(clone, "update-ref", propose.ref, propose.last)
        world.alice.git(clone, "bundle", "create", "-q", str(stick), propose.ref, f"^{world.tip}")

    command = (*GITLEDGER, "-C", str(world.host), "carry", "in", str(stick))
    return Scene(
        world,
        world.you,
        world.path,
        command,
        world.host,
        prepare,
        lambda: world.refs().get(propose.ref) == propose.last,
    )


def carry_in_clone(world: World) -> Scene:
    """A clone takes in a snapshot that its host carried out."""
    clone, stick, propose = clone_of(world, world.james), world.path / "stick", _Proposals(world, push=True)

    def prepare() -> None:
        since = Place.open(clone).verified.name
        propose()
        world.emit()
        out = gitledger(world.you, world.path, "-C", str(world.host), "carry", "out", str(stick), "--since", since)
        said, _ = out.communicate()
        assert out.returncode == 0, said

    command = (*GITLEDGER, "carry", "in", str(stick))
    return Scene(
        world, world.james, clone, command, clone, prepare, lambda: Place.open(clone).verified.oid == world.tip
    )


def carry_out(world: World) -> Scene:
    """A host carries out all that it has."""
    stick, propose = world.path / "stick", _Proposals(world, push=True)

    def prepare() -> None:
        stick.unlink(missing_ok=True)
        propose()

    def result() -> bool:
        checked = subprocess.run(
            ["git", "-C", world.host, "bundle", "verify", "-q", stick], capture_output=True, check=False
        )
        return stick.exists() and checked.returncode == 0

    command = (*GITLEDGER, "-C", str(world.host), "carry", "out", str(stick))
    return Scene(world, world.you, world.path, command, world.host, prepare, result)


def clone(world: World) -> Scene:
    """A consumer clones; nothing is there before, and all of it afterwards."""
    propose = _Proposals(world, push=True)
    made: list[Path] = []
    scene = Scene(
        world,
        world.james,
        world.path,
        (),
        world.path,
        lambda: None,
        lambda: made[-1].exists() and Place.open(made[-1]).verified.oid == world.tip,
    )

    def prepare() -> None:
        if not made:
            propose()
            world.emit()
        made.append(world.james.home / f"clone-{len(made)}")
        scene.where = made[-1]
        scene.command = (*GITLEDGER, "clone", str(world.host), str(made[-1]), "--anchor", world.anchor)
        scene.line.clear()

    scene.prepare = prepare
    return scene


def init(world: World) -> Scene:
    """A ledger is founded."""
    made: list[Path] = []
    scene = Scene(world, world.you, world.path, (), world.path, lambda: None, lambda: made[-1].exists())  # noqa: PLW0108

    def prepare() -> None:
        made.append(world.path / f"made-{len(made)}.git")
        scene.where = made[-1]
        key = str(world.you.key)
        scene.command = (*GITLEDGER, "init", str(made[-1]), "--domain", "you", "--key", key, "--template", "personal")
        scene.line.clear()

    scene.prepare = prepare
    return scene


SCENES: dict[str, Callable[[World], Scene]] = {
    "fetch": fetch,
    "push": push,
    "emit": emit,
    "carry in, on a host": carry_in_host,
    "carry in, in a clone": carry_in_clone,
    "carry out": carry_out,
    "clone": clone,
    "init": init,
}


def kill(process: subprocess.Popen[str], chance: random.Random) -> None:
    """End the command at once: all of it, or one process of it, and what is left ends as it can."""
    session = [int(one.name) for one in Path("/proc").glob("[0-9]*") if _session(one.name) == process.pid]
    hooks = [pid for pid in session if "gitledger.hook" in _words(pid)]
    one = chance.choice(hooks or session) if session else 0
    if chance.random() < 0.5 and one:
        with suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)
    else:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        for pid in session:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    process.communicate(timeout=120)


def _session(pid: str) -> int:
    with suppress(OSError, ValueError, IndexError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[3])
    return 0


def _words(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text()
    return ""


__all__ = ["SCENES", "Scene", "clone_of", "dice", "kill", "must_be_whole", "must_follow"]
