"""A small world to test in: people with fixed keys, a fixed clock, hosts, and clones made by stock git.

    def test_alice_publishes(world):
        oid = world.propose(world.alice, {"domains/alice/fix.txt": b"better\n"})
        world.emit()
        assert world.snapshots() == ["common@0", "common@1"]

What people do, they do with `git` and `ssh-keygen` alone; only the host and the witness are gitledger. The clock begins
at the same second every time and goes on by one with every command, so ids are the same in every run.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import forge

if TYPE_CHECKING:
    from gitledger.roles.place import Place
    from gitledger.roles.witness import Plan
    from gitledger.signing.signers import Signer

KEYS = Path(__file__).parent / "keys"
MEMBERS = ("you", "alice", "james")
ZERO = "0" * 40


class Done(subprocess.CompletedProcess[str]):
    """A command that ran. After a push, `before` and `after` are the host's refs."""

    before: Mapping[str, str] | None = None
    after: Mapping[str, str] | None = None


class Proposed(str):
    """The oid of a proposal, with what became of the push that brought it (None: it was not pushed)."""

    __slots__ = ("push",)
    push: Done | None


@dataclass(frozen=True)
class Rotated:
    """A rotation that people drafted and signed: H in hex, the bytes of the draft, the armour of each domain.

    `refs` are the blobs in `clone` by the ref that they are for; `push` what became of the push (None: none was made).
    """

    hash: str
    draft: bytes
    signatures: Mapping[str, bytes]
    refs: Mapping[str, str]
    clone: Path
    push: Done | None = None


def accepted(done: Done) -> Done:
    """Assert that a command succeeded."""
    assert done.returncode == 0, f"refused:\n{done.stderr}"
    return done


def refused(done: Done, rule: str) -> Done:
    """Assert that a push was refused for this rule, and that nothing changed on the host."""
    assert done.returncode != 0, f"accepted, and should be refused for {rule}:\n{done.stderr}"
    assert f"[{rule}]" in done.stderr, f"refused, and not for {rule}:\n{done.stderr}"
    assert done.before == done.after
    assert "Traceback" not in done.stderr
    return done


@dataclass
class Person:
    """Somebody with a home, a key in `~/.ssh`, and a name and an address in `~/.gitconfig`."""

    world: World
    name: str

    def __post_init__(self) -> None:
        if not self.home.exists():
            for directory in (self.home / ".ssh", self.home / ".config", self.home / ".local" / "state"):
                directory.mkdir(parents=True)
            place_key(self.name, self.key)
            (self.home / ".gitconfig").write_text(
                f"[user]\n\tname = {self.name.capitalize()}\n\temail = {self.name}@example.org\n"
                "[init]\n\tdefaultBranch = main\n[advice]\n\tdetachedHead = false\n"
            )

    @property
    def domain(self) -> str:
        return self.name

    @property
    def home(self) -> Path:
        return self.world.path / "people" / self.name

    @property
    def key(self) -> Path:
        """The private key file, `~/.ssh/id_ed25519`."""
        return self.home / ".ssh" / "id_ed25519"

    @property
    def pub(self) -> str:
        """The public key line, without a comment."""
        return forge.line(self.key)

    @property
    def key_id(self) -> str:
        return forge.key_id(self.key)

    @property
    def ident(self) -> str:
        """What git writes as this person, now."""
        return f"{self.name.capitalize()} <{self.name}@example.org> {self.world.now} +0000"

    def env(self, **more: str) -> dict[str, str]:
        """The environment of this person's commands, and nothing of ours but where programs are."""
        now = f"{self.world.now} +0000"
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "XDG_CONFIG_HOME": str(self.home / ".config"),
            "XDG_STATE_HOME": str(self.home / ".local" / "state"),
            "GIT_CONFIG_GLOBAL": str(self.home / ".gitconfig"),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_AUTHOR_DATE": now,
            "GIT_COMMITTER_DATE": now,
            "GIT_TERMINAL_PROMPT": "0",
            "LC_ALL": "C.UTF-8",
            "TZ": "UTC",
            **more,
        }

    def run(self, cwd: Path, *command: str, check: bool = True, input: str = "", **more: str) -> Done:
        """Run a command as this person, a second later; `more` is added to the environment."""
        self.world.tick()
        done = subprocess.run(
            command, cwd=cwd, env=self.env(**more), input=input, capture_output=True, text=True, check=False
        )
        assert not check or done.returncode == 0, f"{' '.join(command)}:\n{done.stdout}{done.stderr}"
        return Done(done.args, done.returncode, done.stdout, done.stderr)

    def git(self, cwd: Path, *arguments: str, check: bool = True, input: str = "", **more: str) -> Done:
        """Run `git arguments…` as this person; see `run`."""
        return self.run(cwd, "git", *arguments, check=check, input=input, **more)

    def output(self, cwd: Path, *arguments: str, **more: str) -> str:
        """What `git arguments…` prints, without the last newline."""
        return self.git(cwd, *arguments, check=True, input="", **more).stdout.strip()

    def signer(self) -> Signer:
        """This person's key, for gitledger."""
        from gitledger.signing import signers

        return signers.find(None, str(self.key), ask=None)


@dataclass
class Templates:
    """Hosts that were made once and are copied for each test; `directory` is where they stand."""

    directory: Path
    made: dict[tuple[Any, ...], Path] = field(default_factory=dict)

    def get(self, key: tuple[Any, ...], make: Callable[[World], Path]) -> Path:
        """The world (its directory) in which `make` made a host."""
        if key not in self.made:
            path = self.directory / str(len(list(self.directory.iterdir())))  # a scene is made of hosts
            make(World(path, self))
            self.made[key] = path
        return self.made[key]


class World:
    """People, a host, and what they make; everything is below `path`."""

    def __init__(self, path: Path, templates: Templates) -> None:
        self.path = path
        self.templates = templates
        self.now = forge.START
        self._hosts: list[Path] = []
        self._clones: dict[tuple[str, Path], Path] = {}
        path.mkdir(parents=True, exist_ok=True)
        self.you = Person(self, "you")
        self.alice = Person(self, "alice")
        self.james = Person(self, "james")
        self.stranger = Person(self, "stranger")

    def tick(self, seconds: int = 1) -> int:
        """Let time pass; returns what the clock says then."""
        self.now += seconds
        return self.now

    def person(self, name: str) -> Person:
        """Anyone for whom there is a key in tests/keys."""
        return Person(self, name)

    def key(self, name: str) -> Path:
        """The private key file of a spare key (`spare-1` to `spare-9`, `alice-2`), as ssh-keygen takes it."""
        return place_key(name, self.path / "keys" / name)

    # The host

    @property
    def host(self) -> Path:
        """The bare repository `common.git`; made with the first look at it, where `make_host` has not made another."""
        return self._hosts[0] if self._hosts else self.make_host()

    @property
    def anchor(self) -> str:
        """The ledger id."""
        return forge.hash_of(self.host, self.oid(0))

    def make_host(
        self,
        policy: bytes | None = None,
        *,
        members: Sequence[str] = MEMBERS,
        authorities: Sequence[str] | None = None,
        threshold: int | None = None,
        name: str = "common",
        **options: Any,
    ) -> Path:
        """Make `<name>.git` as `gitledger init` does, with you as witness; the first one made is `host`.

        `policy` is a policy file; without one it is `forge.policy_file` with `authorities` (all members, if left out),
        `threshold` and `options`. `members` may be any names in tests/keys.
        """
        if policy is None:
            who = {one: _public(one) for one in sorted(members if authorities is None else authorities)}
            policy = forge.policy_file(who, threshold=threshold, **options)

        def create(world: World) -> Path:
            from gitledger.roles import host
            from gitledger.signing.keys import PublicKey

            keys = {one: PublicKey.parse(forge.line(_public(one))) for one in members if one != "you"}
            path = world.path / f"{name}.git"
            with world.acting(world.you):
                host.create(
                    path, name=name, witness=("you", world.you.signer()), members=keys, policy=policy, seconds=world.now
                )
            return path

        template = self.templates.get((policy, tuple(members), name), create)
        _copy_host(template, self.path, name)
        self._hosts.append(self.path / f"{name}.git")
        return self._hosts[-1]

    def begin(self, scene: Callable[[World], object]) -> None:
        """Begin where `scene`, a function of a module, ends: it is played once, and its host copied for each test.

        The clock goes on from there. Clones are not copied: whoever wants one makes it.
        """

        def play(world: World) -> Path:
            scene(world)
            (world.path / "clock").write_text(f"{world.now}")
            return world.host

        template = self.templates.get((scene,), play)
        _copy_host(template, self.path, "common")
        self._hosts.append(self.path / "common.git")
        self.now = int((template / "clock").read_text())

    def serve(self, host: Path) -> None:
        """Let this repository be `host` from now on."""
        self._hosts.insert(0, host)

    def refs(self, repository: Path | None = None) -> dict[str, str]:
        """Every ref of the host (or another repository), with the object it names."""
        listed = forge.git(_git_dir(repository or self.host), "for-each-ref", "--format=%(refname) %(objectname)")
        return dict(one.split(" ") for one in listed.decode().splitlines())

    def snapshots(self) -> list[str]:
        """The names of the host's tags, in the order of their numbers."""
        names = [ref.removeprefix("refs/tags/") for ref in self.refs() if ref.startswith("refs/tags/")]
        return sorted(names, key=lambda name: int(name.partition("@")[2]))

    @property
    def tip(self) -> str:
        """The commit of the newest snapshot."""
        return self.oid("HEAD")

    def oid(self, named: str | int, repository: Path | None = None) -> str:
        """The object that a name means on the host (or in another repository); a number is a snapshot's."""
        revision = f"refs/tags/{(repository or self.host).stem}@{named}" if isinstance(named, int) else named
        return forge.git(_git_dir(repository or self.host), "rev-parse", "--verify", revision).decode().strip()

    def read(self, path: str, named: str | int = "HEAD") -> bytes:
        """The bytes of a file in the newest snapshot, or another."""
        return forge.git(self.host, "cat-file", "blob", f"{self.oid(named)}:{path}")

    # What people do with stock git

    def clone(self, person: Person, directory: Path | None = None, host: Path | None = None) -> Path:
        """A clone by stock git, with the three lines of configuration that make a proposer; one a person."""
        host = host or self.host
        if directory is None and (person.name, host) in self._clones:
            return self._clones[person.name, host]
        path = directory or person.home / host.stem
        person.git(self.path, "clone", "-q", "--no-tags", str(host), str(path))
        with (path / ".git" / "config").open("a") as config:
            config.write(
                f"[gpg]\n\tformat = ssh\n[user]\n\tsigningkey = {person.key}.pub\n[commit]\n\tgpgsign = true\n"
            )
        if directory is None:
            self._clones[person.name, host] = path
        return path

    def commit(
        self,
        person: Person,
        changes: Mapping[str, bytes | str | None],
        message: str = "A change",
        *,
        base: str | int | None = None,
        key: Path | None = None,
        clone: Path | None = None,
        sign: bool = True,
    ) -> str:
        """`git commit -S` with these files written (None: taken away), on the newest snapshot or on `base`.

        `base` is an oid, or the number of a snapshot. HEAD stays detached on the new commit.
        """
        path = clone or self.clone(person)
        on = self.tip if base is None else self.oid(base) if isinstance(base, int) else str(base)
        if person.git(path, "cat-file", "-e", f"{on}^{{tree}}", check=False).returncode:
            person.git(path, "fetch", "-q", "--no-tags", "origin")
        person.git(path, "checkout", "-q", "-f", "--detach", on)
        for name, content in changes.items():
            file = path / name
            if content is None:
                file.unlink()
            else:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content.encode() if isinstance(content, str) else content)
        person.git(path, "add", "-A")
        signing = ["-c", f"user.signingkey={key}.pub"] if key else []
        person.git(path, *signing, "commit", "-q", "-S" if sign else "--no-gpg-sign", "-m", message)
        return person.output(path, "rev-parse", "HEAD")

    def propose(
        self,
        person: Person,
        changes: Mapping[str, bytes | str | None],
        message: str = "A change",
        *,
        base: str | int | None = None,
        topic: str = "t",
        domain: str | None = None,
        push: bool = True,
        check: bool = True,
        **how: Any,
    ) -> Proposed:
        """Commit (see `commit`) and push to `refs/proposals/<domain>/<topic>`; returns the oid.

        The result's `push` says what the host said. Where that may be a refusal, `check` is False.
        """
        oid = Proposed(self.commit(person, changes, message, base=base, **how))
        oid.push = None
        if push:
            ref = f"refs/proposals/{domain or person.domain}/{topic}"
            oid.push = self.push(person, how.get("clone") or self.clone(person), f"+{oid}:{ref}")
            if check:
                accepted(oid.push)
        return oid

    def endorse(
        self, person: Person, oid: str, *, key: Path | None = None, push: bool = True, check: bool = True
    ) -> Proposed:
        """`git tag -s` and push to `refs/endorsements/<oid>/<domain>`; returns the oid of the tag."""
        path = self.clone(person)
        if person.git(path, "cat-file", "-e", oid, check=False).returncode:
            refs = [ref for ref in self.refs() if ref.startswith("refs/proposals/")]
            person.git(path, "fetch", "-q", "--no-tags", "origin", *refs)
        hash_ = forge.hash_of(path / ".git", oid)
        signing = ["-c", f"user.signingkey={key}.pub"] if key else []
        message = f"Endorse {oid[:12]}\n\nEndorses: {hash_}"
        person.git(path, *signing, "tag", "-f", "-s", "-m", message, f"endorse/{oid}", oid)
        tag = Proposed(person.output(path, "rev-parse", f"refs/tags/endorse/{oid}"))
        tag.push = None
        if push:
            tag.push = self.push(person, path, f"+refs/tags/endorse/{oid}:refs/endorsements/{oid}/{person.domain}")
            if check:
                accepted(tag.push)
        return tag

    def rotate(
        self,
        to: Person,
        by: Sequence[Person],
        *,
        key: Path | None = None,
        on: str | int | None = None,
        draft: bool = True,
        push: bool = True,
        check: bool = True,
        **altered: Any,
    ) -> Rotated:
        """Draft the rotation to `to`, have each of `by` sign H with `ssh-keygen -Y sign`, and push all at once.

        The first of `by` (without any, `to`) carries it to `refs/rotations/<H>/draft` and `/<domain>`; without `draft`,
        only the signatures. It is on the newest snapshot unless `on` is another; `key` is the key of `to` that shall
        serve; `altered` (`reason=…`) goes to `forge.rotation`.
        """
        snapshot = self.tip if on is None else self.oid(on) if isinstance(on, int) else on
        made = forge.rotation(self.host, snapshot, (to.domain, key or to.key), **altered)
        hash_, signatures = made.hash.hex(), {person.domain: self._signed(person, made.hash) for person in by}
        carrier = by[0] if by else to
        clone = self.clone(carrier)
        brought = {"draft": made.render()} | signatures if draft else signatures
        refs = {f"refs/rotations/{hash_}/{name}": self._blob(carrier, clone, text) for name, text in brought.items()}
        pushed = None
        if push:
            pushed = self.push(carrier, clone, *(f"+{oid}:{ref}" for ref, oid in refs.items()))
            if check:
                accepted(pushed)
        return Rotated(hash_, made.render(), signatures, refs, clone, pushed)

    def _signed(self, person: Person, hash_: bytes) -> bytes:
        """H signed by the person's authority key, as the worksheet has it."""
        file = person.home / "rotation"
        file.write_bytes(hash_)
        file.with_suffix(".sig").unlink(missing_ok=True)
        person.run(
            person.home, "ssh-keygen", "-q", "-Y", "sign", "-n", forge.ROTATION, "-f", str(person.key), str(file)
        )
        return file.with_suffix(".sig").read_bytes()

    def _blob(self, person: Person, clone: Path, content: bytes) -> str:
        return person.git(clone, "hash-object", "-w", "--stdin", input=content.decode()).stdout.strip()

    def push(
        self, person: Person, cwd: Path, *refspecs: str, host: Path | None = None, options: Sequence[str] = ()
    ) -> Done:
        """`git push HOST refspecs…`, and what it did to the host's refs."""
        host = host or self.host
        before = self.refs(host)
        done = person.git(cwd, "push", *options, str(host), *refspecs, check=False)
        done.before, done.after = before, self.refs(host)
        return done

    # The witness

    @contextmanager
    def acting(self, person: Person) -> Iterator[None]:
        """What runs in this process inside the block, runs in the environment of `person`."""
        with mock.patch.dict(os.environ, person.env(), clear=True):
            yield

    def place(self, repository: Path | None = None) -> Place:
        """The host, or a clone that gitledger made."""
        from gitledger.roles.place import Place

        return Place.open(repository or self.host)

    def emit(self, *only: str, by: Person | None = None, seconds: int | None = None, first_here: bool = False) -> Plan:
        """What `gitledger -C HOST emit` does, at `seconds` (now)."""
        from gitledger.roles import witness

        person = by or self.you
        self.tick()
        with self.acting(person):
            place, signer = self.place(), person.signer()
            return witness.emit(place, signer, seconds or self.now, only=only or None, first_here=first_here)

    def signed(self, by: Person | None = None) -> str:
        """The commit that this person's machine signed last and has not seen published."""
        home = (by or self.you).home / ".local" / "state" / "gitledger" / self.anchor.removeprefix("sha256:")
        return forge.git(self.host, "bundle", "list-heads", str(home / "pending.bundle")).decode().split()[0]

    # Where attacks are built

    def bench(self, person: Person | None = None) -> Path:
        """A bare repository with all that the host has, for `forge` to build in; up to date with each call."""
        path = (person or self.stranger).home / f"bench-{self.host.stem}.git"
        if not path.exists():
            forge.git(self.host, "clone", "-q", "--mirror", str(self.host), str(path))
        else:
            forge.git(path, "fetch", "-q", "--prune", "origin", "+refs/*:refs/*")
        return path

    def offer(self, oid: str, ref: str | None = None, *, by: Person | None = None) -> Done:
        """Push an object built on the bench to a ref of the host, which is its branch unless another is named."""
        person = by or self.stranger
        path = person.home / f"bench-{self.host.stem}.git"
        return self.push(person, path, f"+{oid}:{ref or f'refs/heads/{self.host.stem}'}")


def place_key(name: str, path: Path) -> Path:
    """Copy a key of tests/keys to `path`, with the mode that ssh-keygen asks for and git does not keep."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(KEYS / name, path)
        shutil.copyfile(KEYS / f"{name}.pub", path.with_name(f"{path.name}.pub"))
        path.chmod(0o600)
    return path


def _public(name: str) -> Path:
    return KEYS / name


def _git_dir(repository: Path) -> Path:
    return repository / ".git" if (repository / ".git").is_dir() else repository


def _copy_host(template: Path, world: Path, name: str) -> None:
    """Copy a host and what its witness remembers. The host knows where it stands: that is written anew."""
    source, host = template / f"{name}.git", world / f"{name}.git"
    shutil.copytree(source, host, symlinks=True)
    for file in (host / "config", host / "gitledger-hooks.config"):
        file.write_text(file.read_text().replace(str(source), str(host)))
    state = Path("people") / "you" / ".local" / "state"
    shutil.copytree(template / state, world / state, dirs_exist_ok=True)
