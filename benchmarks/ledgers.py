"""Synthetic ledgers, made by the project's own emission and kept between runs by their parameters.

Every domain has keys of its own. It brings its files below `domains/<domain>/notes/` at once, and then changes them in
turn, as people do who keep a register. Keys come from seeds, so that one set of
parameters is one ledger, byte for byte, on every machine.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gitledger.documents.policy import Authority, fill
from gitledger.exchange import layout
from gitledger.exchange.layout import data_dir
from gitledger.objects.codec import Ident, compose_commit, sign_commit
from gitledger.objects.store import ABSENT, Store
from gitledger.objects.trees import File
from gitledger.roles import founding, witness
from gitledger.roles.draft import beside, init
from gitledger.roles.founding import Founders
from gitledger.roles.journal import Journal
from gitledger.roles.place import Place
from gitledger.rules.state import Snapshot
from gitledger.signing import sshsig
from gitledger.signing.keys import PublicKey

NAME: Final = "common"
BEGIN: Final = 1_700_000_000
BATCH: Final = 1000
"""How many proposals wait when the witness comes by."""


@dataclass(frozen=True)
class Key:
    """A signer whose key comes from a name."""

    name: str
    private: Ed25519PrivateKey = field(init=False, repr=False, compare=False)
    certificate = None

    def __post_init__(self) -> None:
        seed = sha256(f"gitledger benchmark {self.name}".encode()).digest()
        object.__setattr__(self, "private", Ed25519PrivateKey.from_private_bytes(seed))

    @property
    def key(self) -> PublicKey:
        raw = self.private.public_key().public_bytes_raw()
        return PublicKey.from_blob(b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + raw)

    def sign(self, message: bytes, namespace: str) -> bytes:
        return sshsig.sign(self.private, message, namespace)

    def sign_raw(self, message: bytes) -> bytes:
        return self.private.sign(message)

    def private_file(self) -> None:
        return None


@dataclass(frozen=True)
class Recipe:
    """What a synthetic ledger is made of; `files` stand in the tree of genesis beside what the domains write."""

    snapshots: int
    domains: int = 10
    keys: int = 10
    files: int = 50

    @property
    def slug(self) -> str:
        return "-".join(f"{name}{value}" for name, value in asdict(self).items())


@dataclass(frozen=True)
class _Founders(Founders):
    """Founders of whom each has `several` keys."""

    several: int = 1

    def keys(self) -> dict[str, tuple[PublicKey, ...]]:
        return {name: _keys(name, self.several) for name in sorted(self.members)}


def domain(number: int) -> str:
    """The domain id of the domain `number`."""
    return f"d{number:05d}"


def signer(name: str, number: int = 0) -> Key:
    """The key `number` of the domain `name`."""
    return Key(f"{name} {number}")


def _keys(name: str, several: int) -> tuple[PublicKey, ...]:
    return tuple(signer(name, number).key for number in range(several))


def policy() -> bytes:
    """That of a group, with one authority, and with room for as many proposals as a benchmark brings."""
    text = (data_dir("templates") / "group.yaml").read_text(encoding="utf-8")
    text = text.replace("pending_per_domain: 100 ", "pending_per_domain: 100000 ")
    text = text.replace("proposal_paths: 1000 ", "proposal_paths: 100000 ")
    return fill(text, [Authority(domain_id=domain(0), pubkey_id=signer(domain(0)).key.key_id)], 1).encode()


def host(recipe: Recipe, kept: Path, *, more: int = 0) -> Path:
    """The packed host that `recipe` describes, below `kept`, with `more` snapshots that came later; made if need be."""
    directory = kept / recipe.slug / f"common{more or ''}.git"
    if directory.exists():
        return directory
    source = host(recipe, kept) if more else None
    directory.parent.mkdir(parents=True, exist_ok=True)
    with beside(directory) as draft, journal_of_its_own():
        if source is None:
            found(draft, recipe)
            grow(draft, recipe, recipe.snapshots)
        else:
            shutil.copytree(source, draft, dirs_exist_ok=True)
            layout.install_hooks(draft, role="host", name=NAME)
            grow(draft, recipe, more)
        subprocess.run(["git", "-c", "gc.auto=0", "gc", "--quiet", "--force"], cwd=draft, check=True)
    return directory


@contextmanager
def journal_of_its_own() -> Iterator[None]:
    """The witness remembers nothing of another synthetic ledger: many begin with the same genesis."""
    before = os.environ.get("XDG_STATE_HOME")
    with tempfile.TemporaryDirectory() as state:
        os.environ["XDG_STATE_HOME"] = state
        try:
            yield
        finally:
            del os.environ["XDG_STATE_HOME"]
            if before is not None:
                os.environ["XDG_STATE_HOME"] = before


def found(directory: Path, recipe: Recipe) -> Snapshot:
    """Genesis in the empty `directory`, with the domains, keys and files of `recipe`."""
    members = {domain(number): signer(domain(number)).key for number in range(recipe.domains)}
    founders = _Founders(NAME, domain(0), signer(domain(0)), members, {}, several=recipe.keys // recipe.domains)
    init(directory, NAME, bare=True)
    layout.configure(directory, (*layout.HOST_CONFIG, ("receive.autogc", "false")))
    store = Store.open(directory)
    first = founding.found(store, founders, policy(), BEGIN)
    place = Place(store, "host", first.hash, NAME)
    store.update([(place.branch, first.oid, ABSENT), (place.tag(0), first.oid, ABSENT)])
    layout.install_hooks(directory, role="host", name=NAME)
    place.establish()
    Journal.of(first.hash).published(first)
    return first


def grow(directory: Path, recipe: Recipe, snapshots: int) -> None:
    """Bring `snapshots` proposals, a batch at a time, and have the witness number each."""
    while snapshots:
        place = Place.open(directory)
        count = min(BATCH, snapshots)
        queue(place, recipe, count)
        done = witness.emit(place, signer(domain(0)), place.verified.seconds + count + 1, first_here=True)
        assert len(done.ready) == count, done.refused[0].error
        snapshots -= count


def queue(place: Place, recipe: Recipe, count: int) -> None:
    """Put `count` proposals of the domains, in turn, on the newest snapshot into the queue of a host."""
    newest = place.verified
    changes = []
    for number in range(newest.number + 1, newest.number + 1 + count):
        oid = propose(place.store, newest, recipe, number)
        changes.append((f"refs/proposals/{domain(number % recipe.domains)}/n{number}", oid, None))
    place.store.update(changes)


def propose(store: Store, newest: Snapshot, recipe: Recipe, number: int) -> str:
    """Write proposal `number`: its domain changes one of its files, all of them in turn; the first brings them."""
    who, per_domain = domain(number % recipe.domains), max(1, recipe.files // recipe.domains)
    turn = number // recipe.domains
    slots = range(turn, turn + 1) if turn else range(per_domain)
    files = {
        _path(who, slot % per_domain): File.of(b"Note %d of %s.\n" % (turn + slot, who.encode())) for slot in slots
    }
    tree = newest.state.tree.apply(files)
    tree.write(store.write)
    ident = Ident(who, f"{who}@example.org", newest.seconds + number - newest.number, "+0000")
    payload = compose_commit(
        tree=tree.oid,
        parents=(newest.oid,),
        author=ident,
        committer=ident,
        mergetags=(),
        message=f"Note {number}\n\nLedger-Reorder: any\n",
    )
    return store.write("commit", sign_commit(payload, signer(who).sign(payload, "git")))


def _path(who: str, slot: int) -> str:
    return f"domains/{who}/notes/{slot // 50:03d}/{slot % 50:02d}.md"
