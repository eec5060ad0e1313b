"""What one snapshot says: number, policy, witness, domains and keys, all read from its tree (spec 3).

A `State` is a value that anyone may compute, trusted or only supposed; a `Snapshot` is a state whose commit went
through one of the doors of `rules/advance.py`. Only they make one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

from gitledger.documents.certificate import Record
from gitledger.documents.ledgerfile import FORMAT, LedgerFile
from gitledger.documents.manifest import Manifest
from gitledger.documents.policy import Policy
from gitledger.documents.publish import Publish
from gitledger.documents.witness import Witness
from gitledger.errors import Malformed, Refused, about
from gitledger.objects.codec import Commit
from gitledger.objects.paths import fold
from gitledger.objects.trees import File, Objects, Tree
from gitledger.rules.entry import Entry
from gitledger.rules.line import Line, Row
from gitledger.signing.keys import PublicKey

POLICY = "ledger/policy.yaml"
WITNESS = "ledger/witness.yaml"
LEDGER = "ledger/ledger.yaml"
ROTATIONS = "ledger/rotations/"
ATTRIBUTES = ".gitattributes"
_DOCUMENT_BYTES = 1 << 20
_LASTING = (POLICY, WITNESS, LEDGER)

T = TypeVar("T")


class _Parsed:
    """Documents by blob id, parsed once, however many snapshots carry them.

    Those that came last are known, of `limit` bytes before they were parsed; in memory they take some ten times that.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._bytes = 0
        self._known: dict[tuple[Any, str], tuple[Any, int]] = {}

    def get(self, parse: Callable[[bytes], T], file: File, objects: Objects) -> T:
        key = (parse, file.oid)
        if (size := file.size(objects)) > _DOCUMENT_BYTES:  # asked of what is known as well: it has to be there
            raise Malformed("document-too-large", "a document has at most 1 MiB", "shorten it")
        if key not in self._known:
            self.put(key, parse(file.content(objects)), size)
        known: T = self._known[key][0]
        return known

    def put(self, key: tuple[Any, str], document: object, size: int) -> None:
        """Remember what `key`, a parser and a blob id, gives: a document that had `size` bytes."""
        self.drop(key)
        while self._known and self._bytes + size > self._limit:
            self.drop(next(iter(self._known)))
        self._known[key] = document, size
        self._bytes += size

    def drop(self, key: tuple[Any, str]) -> None:
        """Forget what `key` gives, if it is known."""
        _, size = self._known.pop(key, (None, 0))
        self._bytes -= size


_PARSED: Final = _Parsed(8 << 20)  # a large ledger has a manifest for each of its domains, of some 400 bytes


@dataclass(frozen=True, slots=True)
class State:
    """What snapshot `number` of the ledger `name` says; trusted only inside a `Snapshot`.

    `ledger_id` is the digest of genesis; `line` ends in `number`. Reading a document raises Malformed where it is
    not in its form, Unsound where the repository lacks the object.
    """

    objects: Objects
    ledger_id: str
    name: str
    number: int
    tree: Tree
    line: Line
    # What was read of it. Whoever makes another state by `replace` begins with none, as its tree may be another.
    _documents: dict[str, Any] = field(init=False, repr=False, compare=False, default_factory=dict)

    def followed_by(self, tree: Tree, row: Row, *, changed: Collection[str]) -> State:
        """The state of the next snapshot, supposed to have this `tree`, which differs at the paths `changed`."""
        after = State(self.objects, self.ledger_id, self.name, self.number + 1, tree, self.line.extended(row))
        after._documents.update((path, known) for path, known in self._lasting().items() if path not in changed)
        return after

    def with_line(self, line: Line) -> State:
        """This state with its own row in `line`, now that its snapshot is known."""
        after = replace(self, line=line)
        after._documents.update(self._lasting())
        return after

    def with_records(self, written: Mapping[str, Record]) -> State:
        """This state once the records `written` stand at their paths."""
        encoded = {path: record.encode() for path, record in written.items()}
        files = {path: File.of(content) for path, content in encoded.items()}
        after = replace(self, tree=self.tree.apply(files))
        after._documents.update(self._lasting())
        for path, record in written.items():
            # Each snapshot makes one, and what it stands in place of is not asked for again.
            if isinstance(before := self.tree.get(path), File):
                _PARSED.drop((Record.parse, before.oid))
            _PARSED.put((Record.parse, files[path].oid), record, len(encoded[path]))
        return after

    @property
    def snapshot_name(self) -> str:
        """`common@42`."""
        return f"{self.name}@{self.number}"

    @property
    def policy(self) -> Policy:
        """The Common policy artifact (spec 3.1)."""
        return self._required(POLICY, Policy.parse)

    @property
    def witness(self) -> Witness:
        """Who emits the next snapshot (spec 3.3)."""
        return self._required(WITNESS, Witness.parse)

    @property
    def ledger(self) -> LedgerFile:
        """`ledger/ledger.yaml`: the name and the format (spec 3)."""
        return self._required(LEDGER, LedgerFile.parse)

    def manifest(self, domain: str) -> Manifest | None:
        """The manifest of a registered domain (spec 3.2), or None."""
        return self._document(manifest_path(domain), Manifest.parse)

    def publishing(self, domain: str) -> Publish | None:
        """The domain's own rules of publishing (spec 13), or None."""
        return self._document(publish_path(domain), Publish.parse)

    def record(self, key_id: str) -> Record | None:
        """The certificate record of a key (spec 3.4), or None where no manifest ever held it."""
        return self._document(Record.path_of(key_id), Record.parse)

    def roles(self, key_id: str) -> frozenset[str]:
        """What the key may do for its domain; nothing where it is unknown or revoked."""
        record = self.record(key_id)
        if record is None or record.status != "active":
            return frozenset()
        manifest = self.manifest(record.domain_id)
        return manifest.roles_of(key_id) if manifest else frozenset()

    def domains(self) -> tuple[str, ...]:
        """Every registered domain, sorted."""
        below = self.tree.get("domains")
        return tuple(sorted(below.entries)) if isinstance(below, Tree) else ()

    def holders(self, domain: str, role: str) -> tuple[str, ...]:
        """The key ids of `domain` that have `role`."""
        manifest = self.manifest(domain)
        return tuple(key.key_id for key in manifest.keys if role in key.roles) if manifest else ()

    def publishers(self, domain: str) -> Mapping[str, str]:
        """The names of the keys that publish for `domain`, by key id."""
        manifest = self.manifest(domain)
        return {key.key_id: key.name for key in manifest.keys if "publisher" in key.roles} if manifest else {}

    def must_be_known_format(self) -> None:
        """Stop at a ledger whose format this software does not know (spec 7)."""
        if self.ledger.format != FORMAT:
            raise Refused(
                "unknown-format",
                f"{self.snapshot_name} has format {self.ledger.format}, this gitledger knows {FORMAT}",
                "install a newer gitledger: pip install --upgrade gitledger",
            )

    def must_be_active(self, domain: str, key_id: str, whose: str) -> PublicKey:
        """The public key `key_id`, an active key of `domain`. `whose` names the holder in the refusal.

        A key is active while it stands in its domain's manifest. That is asked, and not its record, because in a state
        that is still being made the records come last (spec 5).
        """
        manifest = self.manifest(domain)
        key = manifest.key(key_id) if manifest else None
        if key is None:
            raise Refused(
                "key-not-active",
                f"{whose} names {key_id}, which is no active key of {domain}",
                f"name a key that stands in {manifest_path(domain)}",
            )
        return key.public

    def _lasting(self) -> dict[str, Any]:
        """Those of its documents that are known and that few changes touch."""
        return {path: self._documents[path] for path in _LASTING if path in self._documents}

    def _document(self, path: str, parse: Callable[[bytes], T]) -> T | None:
        if path in self._documents:
            known: T | None = self._documents[path]
            return known
        entry = self.tree.get(path)
        document = None
        if isinstance(entry, File):
            with about(path):
                if entry.mode != 0o100644:
                    raise Malformed("document-mode", "a document has mode 100644", f"chmod 644 {path}")
                document = _PARSED.get(parse, entry, self.objects)
        self._documents[path] = document
        return document

    def _required(self, path: str, parse: Callable[[bytes], T]) -> T:
        document = self._document(path, parse)
        if document is None:
            raise Malformed("document-missing", f"{self.snapshot_name} has no {path}")
        return document


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A snapshot that is trusted: it went through `advance`, `genesis` or `pinned` of `rules/advance.py`.

    `oid` is its commit, `hash` the snapshot hash, `entry` what its message says.
    """

    state: State
    oid: str
    hash: str
    commit: Commit
    entry: Entry

    @property
    def name(self) -> str:
        """`common@42`."""
        return self.state.snapshot_name

    @property
    def number(self) -> int:
        return self.state.number

    @property
    def seconds(self) -> int:
        """The committer time, in seconds since 1970."""
        return self.commit.committer.seconds

    def next_seconds(self, now: int) -> int:
        """What a snapshot on this one is dated where the clock says `now`: time never runs backwards (spec 9)."""
        return max(now, self.seconds)


def manifest_path(domain: str) -> str:
    """Where the manifest of `domain` stands."""
    return f"domains/{domain}/domain.yaml"


def publish_path(domain: str) -> str:
    """Where the rules of publishing of `domain` stand."""
    return f"domains/{domain}/policies/publish.yaml"


def manifest_domain(path: str) -> str | None:
    """The domain whose manifest stands at `path`; None where no manifest does."""
    first, _, rest = path.partition("/")
    domain, _, name = rest.partition("/")
    return domain if (first, name) == ("domains", "domain.yaml") else None


def is_attestation(path: str) -> bool:
    """Whether `path` is among a domain's attestations, in any spelling: in another than the one, nothing may stand."""
    return path.startswith("domains/") and [fold(name) for name in path.split("/", 3)[2:3]] == ["attestations"]


def publish_domain(path: str) -> str | None:
    """The domain whose rules of publishing stand at `path`; None where no such rules do."""
    first, _, rest = path.partition("/")
    domain, _, name = rest.partition("/")
    return domain if (first, name) == ("domains", "policies/publish.yaml") else None
