"""Evidence: one file that proves a fork or a misconduct to whoever has never seen the ledger (spec 10, Consumer).

    {"artifact_type":"asl.common.evidence","base":"…","base_hash":"sha256:…","kind":"fork","leaves":{…},
     "ledger_id":"sha256:…","objects":[{"content":"…","type":"commit"},…],"snapshots":["…","…"],"version":"0.1"}

It holds the objects that `pinned(base)` and `advance(base, each snapshot)` read, and no other. `fork`: two different
snapshots of one number are valid on the base. `misconduct`: one is not, and the witness of the base signed it, or a
former one.

Of what stands under the base's tree and nothing reads, `leaves` tell the SHA-256 ids alone: the tree digest that the
base carries binds them. A leaf is told for exactly what is not in the file, or a false one could make an honest
snapshot look invalid. What no file can prove is that its base is a snapshot of one's own ledger: compare `base_hash`.
"""

from __future__ import annotations

import tempfile
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final, Literal

import msgspec

from gitledger.documents import subset
from gitledger.documents.names import check_digest
from gitledger.documents.rotation import Rotation
from gitledger.errors import LedgerError, Malformed, Refused, Unsound
from gitledger.objects import entries
from gitledger.objects.codec import Commit, Ident
from gitledger.objects.store import Store
from gitledger.objects.trees import Objects
from gitledger.roles import draft
from gitledger.roles.notes import write_durably
from gitledger.roles.place import Place
from gitledger.rules import proposal, rotations, succession
from gitledger.rules.advance import advance, pinned
from gitledger.rules.entry import Entry
from gitledger.rules.state import Snapshot, State
from gitledger.signing import sshsig

DIRECTORY: Final = "evidence"
"""Where a place keeps evidence files, below its own directory."""

LARGEST: Final = 64 << 20
"""How many bytes an evidence file has at most."""

MOST_OBJECTS: Final = 65_536
"""How many objects an evidence file has at most."""

LARGEST_MISCONDUCT: Final = 16 << 20
"""How many bytes the objects of a proof of misconduct have together at most."""

_TYPE: Final = "asl.common.evidence"
_NAMED_BY: Final = 12
_ASK: Final = "ask for the file again, from whoever wrote it"

Kind = Literal["fork", "misconduct"]


class Held(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One object: its type as git names it, and its content in base64."""

    type: Literal["commit", "tree", "blob", "tag"]
    content: str


class Evidence(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file. `base` and `snapshots` are object ids; `leaves` maps object ids to SHA-256 ids, 64 hex."""

    artifact_type: Literal["asl.common.evidence"]
    version: Literal["0.1"]
    kind: Kind
    ledger_id: str
    base: str
    base_hash: str
    snapshots: tuple[str, ...]
    objects: tuple[Held, ...]
    leaves: dict[str, str]

    def __post_init__(self) -> None:
        check_digest(self.ledger_id)
        check_digest(self.base_hash)
        if len(self.objects) > MOST_OBJECTS:
            raise Malformed("evidence-too-large", f"an evidence file has at most {MOST_OBJECTS} objects", _ASK)
        if len(set(self.snapshots)) != len(self.snapshots) or len(self.snapshots) != (2 if self.kind == "fork" else 1):
            raise Malformed("evidence-snapshots", "a fork has two different snapshots, a misconduct one", _ASK)

    @classmethod
    def parse(cls, data: bytes) -> Evidence:
        """Read an evidence file from its bytes. Raises Malformed for what has not the form."""
        if len(data) > LARGEST:
            raise Malformed("evidence-too-large", "an evidence file has at most 64 MiB", _ASK)
        try:
            return subset.convert(subset.load_json(data), cls)
        except Malformed as error:
            error.mend = _ASK
            raise

    def encode(self) -> bytes:
        """The bytes of the file: sorted keys, no spaces, a final newline (spec 3, JSON records)."""
        return subset.dump_json(msgspec.to_builtins(self))


@dataclass(frozen=True, slots=True)
class Side:
    """The first snapshot of one side of a fork: commit, snapshot hash, and the witness that signed it.

    Where it seals a rotation, `rotates_to` is the domain of the new witness, `rotation` H in hex, and `endorsed` names
    the domains that endorsed it; else they are empty.
    """

    oid: str
    hash: str
    witness: str
    key_id: str
    rotates_to: str = ""
    rotation: str = ""
    endorsed: tuple[str, ...] = ()

    @classmethod
    def of(cls, first: Snapshot) -> Side:
        """The side that begins with the snapshot `first`."""
        entry = first.entry
        said = (first.oid, first.hash, entry.witness, entry.witness_key)
        if not entry.rotation:
            return cls(*said)
        rotation = Rotation.parse(first.state.tree.read(succession.path_of(entry.rotation)) or b"")
        return cls(*said, rotation.rotation.new_witness.domain_id, rotation.digest.hex(), entry.endorsed)


def endorsed_both(one: Side, other: Side) -> tuple[str, ...]:
    """The authorities that endorsed conflicting rotations: another on each side."""
    if one.rotation == other.rotation:
        return ()
    return tuple(sorted(set(one.endorsed) & set(other.endorsed)))


@dataclass(frozen=True, slots=True)
class Fork:
    """Proven: `sides` are valid, different snapshots of one number, `name`, that follow on `base`."""

    ledger_id: str
    base: str
    number: int
    base_hash: str
    name: str
    sides: tuple[Side, Side]

    @property
    def twice(self) -> tuple[str, str] | None:
        """Domain and key id of whoever signed both; None where two keys did."""
        one, other = self.sides
        return (one.witness, one.key_id) if one.key_id == other.key_id else None


@dataclass(frozen=True, slots=True)
class Misconduct:
    """Proven: the key `key_id` of `domain` signed the snapshot `oid` on `base`, and `fault` is why it is not valid.

    It is the witness's of `base` where it is `serving`, else a former one's.
    """

    ledger_id: str
    base: str
    number: int
    base_hash: str
    oid: str
    domain: str
    key_id: str
    serving: bool
    fault: LedgerError


Proven = Fork | Misconduct


def check(data: bytes) -> Proven:
    """What the evidence file `data` proves by itself, about the ledger that has its base among its snapshots.

    Raises Malformed, Refused or Unsound (`evidence-…`) where it proves nothing.
    """
    said = Evidence.parse(data)
    with tempfile.TemporaryDirectory() as where:
        draft.init(Path(where), "unborn", bare=True)
        store = Store.open(where)  # which hashes what it reads with collision detection, as a ledger's does
        held = _unpacked(said, store)
        with _as_evidence():
            told = {oid: bytes.fromhex(_hex256(id256)) for oid, id256 in said.leaves.items()}
            if told.keys() != _unread(store, said.base, held):
                raise Malformed(
                    "evidence-leaves", "the leaves are not exactly what of the base's tree is left out", _ASK
                )
            reader = _Reader(store, told)
            proven = _prove(reader, said.kind, said.ledger_id, (said.base, said.base_hash), said.snapshots)
    if held - reader.asked:
        raise Malformed("evidence-left-over", "the file holds objects that the proof does not need", _ASK)
    return proven


def of_fork(base: Snapshot, snapshots: tuple[str, str]) -> bytes:
    """The evidence file of a fork: the commits `snapshots` are both valid on `base`, which is read from a repository.

    Raises Refused (`evidence-too-large`) beyond `LARGEST`, and what `check` would raise.
    """
    return _recorded("fork", base, snapshots, LARGEST)


def of_misconduct(base: Snapshot, oid: str) -> bytes:
    """The evidence file of a misconduct: the commit `oid` is not valid on `base`.

    Raises Refused (`evidence-too-large`) beyond `LARGEST_MISCONDUCT`, and what `check` would raise.
    """
    return _recorded("misconduct", base, (oid,), LARGEST_MISCONDUCT)


def keep(place: Place, name: str, data: bytes) -> Path:
    """Write an evidence file about the snapshot `name` into the git directory, whole or not at all; its path."""
    path = place.directory / DIRECTORY / f"{name}-{sha256(data).hexdigest()[:_NAMED_BY]}.json"
    if not path.exists():
        write_durably(path, data.decode())
    return path


def witnesses(state: State) -> dict[str, str]:
    """The domain of every key, by key id, that is the witness in `state` or was it before."""
    found: dict[str, str] = {}
    for _, _, rotation in rotations.sealed(state):
        for one in (rotation.rotation.old_witness, rotation.rotation.new_witness):
            found[one.pubkey_id] = one.domain_id
    return found | {state.witness.pubkey_id: state.witness.domain_id}


def signer(objects: Objects, base: Snapshot, oid: str) -> str:
    """The key id that signed the commit `oid` as the snapshot after `base`, valid or not.

    Raises Malformed or Refused where it is in another form than a snapshot of this ledger that follows on `base`, or
    its signature is not good: then nobody said by it that it is one. A proposal may carry a snapshot's message, but
    nobody writes a snapshot's idents who does not mean one.
    """
    commit = Commit.parse(objects.read(oid, "commit"))
    entry, ledger = Entry.parse(commit.message), base.state.name
    parents = (base.oid,) if entry.rotation else (base.oid, *commit.parents[1:2])
    witness = Ident(entry.witness, f"{entry.witness}@{ledger}", commit.committer.seconds, "+0000")
    author = commit.author
    proposer = Ident(author.name, f"{author.name}@{ledger}", author.seconds, "+0000")
    said = (entry.ledger_id, entry.name, commit.parents, commit.committer, author)
    if said != (base.state.ledger_id, ledger, parents, witness, witness if entry.rotation else proposer):
        raise Refused("evidence-elsewhere", f"{oid} does not say that it is a snapshot on {base.name}", _ASK)
    signature = sshsig.parse(commit.signature)
    sshsig.verify(signature, commit.payload, proposal.NAMESPACE)
    return signature.key.key_id


class _Reader:
    """The objects of `store`, with what is `told` of others; it notes which were `asked` for."""

    def __init__(self, store: Store, told: Mapping[str, bytes]) -> None:
        self._store = store
        self.told = told
        self.asked: set[str] = set()

    def read(self, oid: str, kind: str) -> bytes:
        self.asked.add(oid)
        return self._store.read(oid, kind)

    def size(self, oid: str) -> tuple[str, int]:
        self.asked.add(oid)
        return self._store.size(oid)


def _prove(
    objects: Objects, kind: Kind, ledger_id: str, base: tuple[str, str], snapshots: tuple[str, ...]
) -> Fork | Misconduct:
    """Prove it from `objects` alone; writing an evidence file runs it to learn what it reads, reading one to judge."""
    # 1. The base is what its hash says, and its tree, told or held, what its digest says
    trusted = pinned(objects, *base)
    state = trusted.state
    if state.ledger_id != ledger_id:
        raise Refused("evidence-ledger", f"its base is a snapshot of {state.ledger_id}, not of {ledger_id}", _ASK)
    if state.tree.digest != trusted.entry.content:
        raise Malformed("evidence-content", "its leaves are not those that the base's hash covers", _ASK)
    # 2. Software that does not know a format can't call anything in it invalid
    state.must_be_known_format()
    # 3. The verdicts of `advance`
    if kind == "misconduct":
        return _misconduct(trusted, snapshots[0])
    one, other = (_valid(trusted, oid) for oid in snapshots)
    return Fork(ledger_id, trusted.name, trusted.number, trusted.hash, one.name, (Side.of(one), Side.of(other)))


def _valid(trusted: Snapshot, oid: str) -> Snapshot:
    try:
        return advance(trusted, oid)
    except (Refused, Malformed) as error:
        raise Refused("evidence-no-fork", f"{oid} is not valid on {trusted.name}: {error}", _ASK) from error


def _misconduct(trusted: Snapshot, oid: str) -> Misconduct:
    state = trusted.state
    key_id = signer(state.objects, trusted, oid)
    serving = key_id == state.witness.pubkey_id
    domain = witnesses(state).get(key_id)
    if domain is None:
        raise Refused(
            "evidence-signer", f"{oid} is signed by {key_id}, which is no witness's up to {trusted.name}", _ASK
        )
    said = (state.ledger_id, trusted.name, trusted.number, trusted.hash, oid, domain, key_id, serving)
    try:
        advance(trusted, oid)
    except (Refused, Malformed) as error:
        return Misconduct(*said, error)
    raise Refused("evidence-no-misconduct", f"{oid} is valid on {trusted.name}: nothing is wrong with it", _ASK)


def _recorded(kind: Kind, base: Snapshot, snapshots: tuple[str, ...], limit: int) -> bytes:
    """The evidence file that holds what `_prove` reads."""
    store = base.state.objects
    assert isinstance(store, Store)
    told = base.state.tree.ids()
    reader = _Reader(store, told)
    _prove(reader, kind, base.state.ledger_id, (base.oid, base.hash), snapshots)
    sizes = {oid: store.size(oid) for oid in sorted(reader.asked)}
    if len(sizes) > MOST_OBJECTS or sum(size for _, size in sizes.values()) > limit:
        raise _too_large(limit)
    said = Evidence(
        artifact_type=_TYPE,
        version="0.1",
        kind=kind,
        ledger_id=base.state.ledger_id,
        base=base.oid,
        base_hash=base.hash,
        snapshots=snapshots,
        objects=tuple(_held(store, oid, object_kind) for oid, (object_kind, _) in sizes.items()),
        leaves={oid: told[oid].hex() for oid in _unread(store, base.oid, reader.asked)},
    )
    data = said.encode()
    if len(data) > LARGEST:
        raise _too_large(LARGEST)
    return data


def _held(store: Store, oid: str, kind: str) -> Held:
    return msgspec.convert({"type": kind, "content": b64encode(store.read(oid, kind)).decode()}, Held)


def _unpacked(said: Evidence, store: Store) -> set[str]:
    """Write the objects of the file to `store`; their ids. Each is there once, in the order of the ids."""
    oids: list[str] = []
    for one in said.objects:
        try:
            content = b64decode(one.content, validate=True)
        except ValueError:
            content = b""
        if b64encode(content).decode() != one.content:
            raise Malformed("evidence-base64", "the content of an object is not canonical base64", _ASK)
        oids.append(store.write(one.type, content))
    if oids != sorted(set(oids)):
        raise Malformed("evidence-order", "the objects are not in the order of their ids, each once", _ASK)
    return set(oids)


def _unread(store: Store, base: str, held: Iterable[str]) -> set[str]:
    """What stands under the tree of the commit `base`, in a directory that is held, and is not held itself."""
    held = frozenset(held)
    root = Commit.parse(store.read(base, "commit")).tree
    found: set[str] = set()
    seen = {root}
    stack = [root]
    while stack:
        tree = stack.pop()
        for _, mode, oid in entries.read(store.read(tree, "tree"), root=tree == root):
            if oid not in held:
                found.add(oid)
            elif mode == entries.DIRECTORY and oid not in seen:
                seen.add(oid)
                stack.append(oid)
    return found


@contextmanager
def _as_evidence() -> Iterator[None]:
    """What the file lacks, or says in another form, is told as a fault of the file."""
    try:
        yield
    except Unsound as error:
        raise Unsound("evidence-incomplete", f"the file proves nothing: {error.what}", _ASK) from error
    except (Malformed, Refused) as error:
        if error.rule.startswith("evidence-") or error.rule == "unknown-format":
            raise
        raise type(error)("evidence-unproven", f"the file proves nothing: {error}", _ASK) from error


def _hex256(text: str) -> str:
    return check_digest(f"sha256:{text}").removeprefix("sha256:")


def _too_large(limit: int) -> Refused:
    return Refused(
        "evidence-too-large",
        f"what proves it has more than {limit >> 20} MiB",
        "keep this clone: it holds both sides under refs/gitledger/foreign/",
    )
