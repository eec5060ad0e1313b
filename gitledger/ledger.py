"""A ledger for programs: `common@N` mapped to snapshots, in a clone or on a host, without the command line.

    from gitledger import Ledger

    ledger = Ledger.open("path/to/clone")
    newest = ledger.current
    print(newest.name, newest.time, newest.witness)
    for snapshot in ledger:                     # oldest to newest
        print(snapshot.number, snapshot.proposer, *snapshot.changed)
    text = ledger["common@42"].read("standards/format.md")

What it shows is what is verified in that repository (on a host: what its hooks let through) when it is opened; nothing
is fetched. `verify` proves all of it again from the trust anchor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from gitledger.documents.certificate import Record
from gitledger.documents.manifest import Manifest
from gitledger.documents.rotation import Rotation
from gitledger.errors import Malformed, Refused
from gitledger.objects.codec import Commit, Tag, digest
from gitledger.objects.store import Store
from gitledger.objects.trees import Tree
from gitledger.roles.place import Place, silent
from gitledger.rules import endorsement, release, succession
from gitledger.rules.entry import Entry
from gitledger.rules.state import manifest_domain, manifest_path
from gitledger.signing import sshsig

_RECORDS = "ledger/certificates/"


class Ledger:
    """The snapshots of one ledger, as they were verified in one repository when it was opened."""

    def __init__(self, place: Place) -> None:
        self._place = place

    @classmethod
    def open(cls, path: str | Path) -> Ledger:
        """The ledger in the clone or the host at `path`, or in the work tree that `path` is in.

        Raises Usage (`no-repository`, `not-a-ledger`), Unsound where the repository can't be trusted to answer.
        """
        return cls(Place.open(Path(path)))

    @property
    def name(self) -> str:
        """The ledger's name, such as `common`."""
        return self._place.name

    @property
    def id(self) -> str:
        """The ledger id, `sha256:…`: the hash of genesis, and the trust anchor."""
        return self._place.anchor

    @property
    def current(self) -> Snapshot:
        """The newest verified snapshot. Raises Failed (`nothing-verified`) where the clone's note of it is damaged."""
        return self[self._place.verified.number]

    def __getitem__(self, named: str | int) -> Snapshot:
        """The snapshot `"common@42"`, or `42`.

        Raises Refused (`no-such-snapshot`) where it is not verified here, Malformed (`snapshot-name`) for no name.
        """
        return Snapshot._of(self._place.store, self._place.row(named).snapshot)

    def __contains__(self, named: object) -> bool:
        """Whether the snapshot `"common@42"`, or `42`, is verified here."""
        if not isinstance(named, str | int):
            return False
        try:
            self._place.row(named)
        except (Refused, Malformed):
            return False
        return True

    def __iter__(self) -> Iterator[Snapshot]:
        """Every verified snapshot, oldest to newest."""
        return (self[number] for number in range(len(self)))

    def __reversed__(self) -> Iterator[Snapshot]:
        """Every verified snapshot, newest to oldest; the newest comes without looking at the rest."""
        return (self[number] for number in reversed(range(len(self))))

    def __len__(self) -> int:
        """How many snapshots are verified: one more than the newest number."""
        return self._place.verified.number + 1

    def verify(self, progress: Callable[[int, int], None] | None = None) -> Snapshot:
        """Verify every snapshot from the trust anchor on (spec 10), and return the newest.

        `progress` is called with how many are done, and of how many. Raises Refused, Malformed or Unsound, which name
        the first snapshot that is not valid.
        """
        from gitledger.roles import consumer

        show = progress or silent
        return Snapshot._of(
            self._place.store, consumer.verify(self._place, from_genesis=True, jobs=1, progress=show).oid
        )

    def __repr__(self) -> str:
        return f"<Ledger {self.name} {self.id}>"


@dataclass(frozen=True)
class Snapshot:
    """One verified snapshot. `oid` is its commit, 40 hex; equal where that is equal. Made by `Ledger`."""

    oid: str
    _store: Store = field(repr=False, compare=False)
    _commit: Commit = field(repr=False, compare=False)
    _entry: Entry = field(repr=False, compare=False)
    hash: str = field(compare=False)
    """The snapshot hash, `sha256:…` (spec 1)."""

    @classmethod
    def _of(cls, store: Store, oid: str) -> Snapshot:
        content = store.read(oid, "commit")
        commit = Commit.parse(content)
        return cls(oid, store, commit, Entry.parse(commit.message), digest(content))

    @property
    def number(self) -> int:
        """N in `common@N`."""
        return self._entry.number

    @property
    def name(self) -> str:
        """The snapshot name, `common@42`."""
        return self._entry.snapshot

    @property
    def ledger(self) -> str:
        """The name of the ledger, such as `common`."""
        return self._entry.name

    @property
    def summary(self) -> str:
        """The first line of the proposal's message; `genesis` for the first snapshot, and what a rotation does."""
        return self._entry.first.removeprefix(f"{self.name}: ")

    @property
    def witness(self) -> str:
        """The domain that emitted it."""
        return self._entry.witness

    @property
    def witness_key(self) -> str:
        """The key id, `SHA256:…`, that signed it."""
        return self._entry.witness_key

    @property
    def proposer(self) -> str | None:
        """The domain whose proposal it accepted; None for genesis and for a rotation."""
        return self._commit.author.name if self._entry.proposal else None

    @property
    def proposal(self) -> str | None:
        """The proposal hash, `sha256:…`; None for genesis and for a rotation."""
        return self._entry.proposal or None

    @property
    def proposal_oid(self) -> str | None:
        """The proposal's commit, 40 hex; None for genesis and for a rotation."""
        return self._commit.parents[1] if self._entry.proposal else None

    @property
    def message(self) -> str:
        """The message of the proposal, whole; empty for genesis and for a rotation. Raises Unsound."""
        oid = self.proposal_oid
        return "" if oid is None else Commit.parse(self._store.read(oid, "commit")).message

    @cached_property
    def endorsers(self) -> tuple[str, ...]:
        """The domains whose endorsements of the proposal, or of the rotation, it carries, sorted. Raises Unsound."""
        if self._entry.rotation:
            return self._entry.endorsed
        keys = self._signers(endorsement.VERB)
        return tuple(Record.parse(self.read(Record.path_of(key_id))).domain_id for key_id in keys)

    @cached_property
    def releasers(self) -> tuple[str, ...]:
        """The names of the keys by which the proposer's domain released it, sorted (spec 13). Raises Unsound."""
        keys = self._signers(release.VERB)
        if not keys or self.proposer is None:
            return ()
        manifest = Manifest.parse(self._before.read(manifest_path(self.proposer)) or b"")
        return tuple(entry.name for key_id in keys if (entry := manifest.key(key_id)) is not None)

    def _signers(self, verb: str) -> tuple[str, ...]:
        """The key ids that signed the tags `<verb>/…` it carries, in their order."""
        tags = [Tag.parse(tag) for tag in self._commit.mergetags]
        return tuple(sshsig.parse(tag.signature).key.key_id for tag in tags if tag.name.startswith(f"{verb}/"))

    @property
    def rotation(self) -> str | None:
        """The artifact key, `sha256:…`, of the rotation that it seals; None for every other snapshot (spec 8)."""
        return self._entry.rotation or None

    @property
    def rotation_path(self) -> str | None:
        """The path of that artifact; None where it seals none."""
        return succession.path_of(self._entry.rotation) if self._entry.rotation else None

    @cached_property
    def artifact(self) -> Rotation | None:
        """The rotation artifact that it seals, None where it seals none. Raises Unsound."""
        return None if self.rotation_path is None else Rotation.parse(self.read(self.rotation_path))

    @cached_property
    def rekeyed(self) -> str | None:
        """The domain to which a quorum gave new keys, by a proposal of another domain (spec 7); else None.

        Only snapshots that carry endorsements are looked into. Raises Unsound.
        """
        if not self._commit.mergetags:
            return None
        domains = (manifest_domain(path) for path in self.changed)
        return next((domain for domain in domains if domain is not None and domain != self.proposer), None)

    @property
    def command_id(self) -> str | None:
        """The command id, 64 hex (spec 1); None for genesis and for a rotation."""
        return self._entry.command or None

    @property
    def command_key(self) -> str | None:
        """The key id, `SHA256:…`, that the command id is made of; None for genesis and for a rotation."""
        return self._entry.command_key or None

    @property
    def salt(self) -> int | None:
        """The salt that the command id is made of; None for genesis and for a rotation."""
        return self._entry.salt or None

    @property
    def previous(self) -> str | None:
        """The hash of the snapshot before, `sha256:…`; None for genesis."""
        return self._entry.previous or None

    @property
    def content(self) -> str:
        """The tree digest, `sha256:…` (spec 1)."""
        return self._entry.content

    @property
    def time(self) -> datetime:
        """When the witness says that it emitted it: the committer time, in UTC."""
        return datetime.fromtimestamp(self._commit.committer.seconds, UTC)

    @cached_property
    def changed(self) -> tuple[str, ...]:
        """The paths that differ from the snapshot before, sorted; all of them in genesis.

        Certificate records, which the rules write at every snapshot, are left out. Raises Unsound.
        """
        return tuple(path for path in self._before.changes_to(self._tree) if not path.startswith(_RECORDS))

    def read(self, path: str) -> bytes:
        """The bytes of the file at `path`, such as `domains/alice/domain.yaml`.

        Raises Refused (`no-such-file`) where there is none, Unsound where the repository lacks it.
        """
        content = self._tree.read(path)
        if content is None:
            raise Refused("no-such-file", f"{self.name} has no file {path}", f"git ls-tree -r --name-only {self.oid}")
        return content

    def files(self, prefix: str = "") -> Iterator[str]:
        """The path of every file at or below `prefix` (empty: all), sorted by directory. Raises Unsound."""
        return (path for path, _ in self._tree.files(prefix))

    @cached_property
    def _before(self) -> Tree:
        """The tree of the snapshot before; that of genesis is empty."""
        if not self._commit.parents:
            return Tree.empty(self._store)
        parent = Commit.parse(self._store.read(self._commit.parents[0], "commit"))
        return Tree.load(self._store, parent.tree, like=self._tree)

    @cached_property
    def _tree(self) -> Tree:
        return Tree.load(self._store, self._commit.tree)

    def __str__(self) -> str:
        return self.name
