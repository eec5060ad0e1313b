"""What a domain certifies: the statements below `domains/<d>/attestations/` (spec 14).

Each is an envelope, named by the SHA-256 of its bytes, and each of its signatures is by a key that has the role for
what it says in snapshot N: one in the domain's manifest, or that of the node that signs the proposal. What it says of
this ledger is true: a snapshot that it names has that hash, and a file that it names there has that content. What it
says of other ledgers is for whoever has them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from gitledger.documents.names import SnapshotName
from gitledger.documents.statement import Audit, LocatedAt, Receipt, Represents, Statement
from gitledger.errors import Malformed, Refused, about
from gitledger.objects.codec import Commit, digest
from gitledger.objects.entries import REGULAR
from gitledger.objects.trees import File, Tree
from gitledger.rules.proposal import Proposal
from gitledger.rules.rights import Changes, Speaker
from gitledger.rules.state import State, is_attestation
from gitledger.signing import dsse
from gitledger.signing.keys import PublicKey

Signers = Mapping[str, tuple[PublicKey, frozenset[str]]]
"""Keys with their roles, by key id."""

SNAPSHOTS: Final = 16
"""In how many snapshots of this ledger the statements of one proposal name files."""

NAME_BYTES: Final = 256
"""What each name in the path of such a file counts, beside the bytes of the file: for a directory that is read."""

_PATH = re.compile(r"domains/[^/]+/attestations/(?P<above>[0-9a-f]{2})/(?P<rest>[0-9a-f]{62})\.json")


def path_of(domain: str, content: bytes) -> str:
    """Where the envelope with these bytes stands in `domain`."""
    name = hashlib.sha256(content).hexdigest()
    return f"domains/{domain}/attestations/{name[:2]}/{name[2:]}.json"


def must_hold(before: State, proposal: Proposal, who: Speaker, changes: Changes) -> None:
    """Check every envelope that the change brings, on `before` (state N). Raises Malformed or Refused."""
    brought = {path: new for path, (_, new) in changes.items() if new is not None}
    envelopes = {path: file for path, file in brought.items() if is_attestation(path)}
    if not envelopes:
        return
    bound = _Bound(before, sum(file.size(before.objects) for file in brought.values()))
    signers = _signers(before, proposal, who)
    for path, file in envelopes.items():
        with about(path):
            _must_be_true(bound, who.domain, _read(before, path, file, signers))


def taken(before: State, domain: str, content: bytes, signers: Signers, beside: int = 0) -> Statement:
    """The statement in an envelope that `domain` may bring on `before`: signed by some of `signers`, and true.

    It is what a proposal with that file is held to that brings so many bytes `beside` it. Raises Malformed or Refused.
    """
    statement = read(content, signers)
    _must_be_true(_Bound(before, len(content) + beside), domain, statement)
    return statement


def members(before: State, domain: str) -> Signers:
    """The keys in the manifest of `domain`, with their roles."""
    manifest = before.manifest(domain)
    return {key.key_id: (key.public, frozenset[str](key.roles)) for key in (manifest.keys if manifest else ())}


def read(content: bytes, signers: Signers) -> Statement:
    """The statement in an envelope, signed by some of `signers`, keys and roles by key id, each as its role allows.

    Raises what `Envelope.parse`, `dsse.verify` and `Statement.parse` raise, and Refused (`statement-role`).
    """
    envelope = dsse.Envelope.parse(content)
    dsse.verify(envelope, {key_id: key for key_id, (key, _) in signers.items()})
    statement = Statement.parse(envelope.payload)
    for signature in envelope.signatures:
        _, roles = signers[signature.key_id]
        if roles.isdisjoint(statement.signed_by):
            able = [key_id for key_id, (_, theirs) in signers.items() if not theirs.isdisjoint(statement.signed_by)]
            raise Refused(
                "statement-role",
                f"{statement.predicate_type} is signed by the role {' or '.join(statement.signed_by)}; "
                f"{signature.key_id} has {', '.join(sorted(roles)) or 'no role'}",
                f"have it signed by {' or '.join(able) or 'a key that has it (none does)'}",
            )
    return statement


def _signers(before: State, proposal: Proposal, who: Speaker) -> Signers:
    """Who may sign what `who` certifies: the keys in its manifest of N, and the node that signs the proposal."""
    known = members(before, who.domain)
    return known if proposal.certificate is None else {**known, proposal.key.key_id: (proposal.key, who.roles)}


def _read(before: State, path: str, file: File, signers: Signers) -> Statement:
    match = _PATH.fullmatch(path)
    if match is None or file.mode != REGULAR:
        raise Malformed(
            "attestation-path",
            "an attestation is a file of mode 100644, <2 hex>/<62 hex>.json by the SHA-256 of its bytes",
            "gitledger certify add FILE   (puts it where it belongs)",
        )
    if file.size(before.objects) > dsse.LARGEST:
        raise Malformed("json-size", f"an envelope has at most {dsse.LARGEST} bytes", "make a shorter statement")
    content = file.content(before.objects)
    found = hashlib.sha256(content).hexdigest()
    if found != match["above"] + match["rest"]:
        raise Refused(
            "attestation-name",
            f"its bytes have the SHA-256 {found}, which is not its name",
            "gitledger certify add FILE   (puts it where it belongs)",
        )
    return read(content, signers)


def _must_be_true(bound: _Bound, domain: str, statement: Statement) -> None:
    """What it says of this ledger holds in N."""
    said, subject = statement.said, statement.subject[0]
    if isinstance(said, Receipt):
        if said.domain != domain:
            what = f"the receipt is of an executor of {said.domain}, not of {domain}"
            raise Refused("receipt-domain", what, _CERTIFY)
        _must_be_bound(bound, said)
    elif isinstance(said, Represents | Audit):
        if said.ledger == bound.state.ledger_id:
            bound.snapshot(SnapshotName.parse(subject.name), subject.sha256)
    elif isinstance(said, LocatedAt) and said.snapshot and said.snapshot.ledger == bound.state.ledger_id:
        name = SnapshotName.parse(said.snapshot.name)
        bound.snapshot(name, said.snapshot.hash)
        bound.file(name, said.path, subject.sha256)


def _must_be_bound(bound: _Bound, said: Receipt) -> None:
    """The inputs of this ledger are what the receipt binds them to, each of their files, and its time is theirs."""
    ledgers = said.external.ledgers
    ours = {name for name, ledger_id in ledgers.items() if ledger_id == bound.state.ledger_id}
    snapshots = {name: its_hash for name, its_hash in said.snapshots.items() if name.ledger in ours}
    for name, snapshot_hash in snapshots.items():
        bound.snapshot(name, snapshot_hash)
    files = {file: file_digest for file, file_digest in said.files.items() if file[0].ledger in ours}
    for (name, path), file_digest in files.items():
        bound.file(name, path, file_digest)
    for name, path in _outermost(said.external.inputs):
        if name.ledger in ours:
            bound.all_of(name, path, files)
    newest, epoch = max(map(bound.seconds, snapshots), default=0), said.internal.source_date_epoch
    if epoch < newest or (epoch > newest and ours == ledgers.keys()):
        raise Refused(
            "receipt-epoch",
            f"its source_date_epoch is {epoch}, the newest of its inputs here was committed at {newest}",
            _CERTIFY,
        )


def _outermost(inputs: Iterable[str]) -> list[tuple[SnapshotName, str]]:
    """The paths among the inputs, by snapshot, without those below another: what stands there is looked at once."""
    split = (given.partition(":") for given in inputs)
    asked = {(SnapshotName.parse(name), path) for name, _, path in split if path}
    return sorted((name, path) for name, path in asked if not any((name, above) in asked for above in _above(path)))


def _above(path: str) -> Iterable[str]:
    """The directories that lead to `path`."""
    while path := path.rpartition("/")[0]:
        yield path


class _Bound:
    """What statements name of this ledger, held against its line up to `state`.

    What is read for the statements of one proposal counts with the bytes that it `brings` (spec 14).
    """

    def __init__(self, state: State, brings: int) -> None:
        self.state = state
        self._left = state.policy.limits.proposal_bytes - brings
        self._commits: dict[SnapshotName, tuple[str, Commit]] = {}
        self._trees: dict[SnapshotName, Tree] = {}

    def snapshot(self, name: SnapshotName, snapshot_hash: str) -> None:
        """Check that the snapshot exists and has this hash."""
        found = self._commit(name)
        if found is None or found[0] != snapshot_hash:
            raise Refused(
                "statement-snapshot",
                f"it names {name.ledger}@{name.number} with the hash {snapshot_hash}; "
                + ("there is no such snapshot yet" if found is None else f"that one has {found[0]}"),
                _CERTIFY,
            )

    def seconds(self, name: SnapshotName) -> int:
        """The committer time of the snapshot, which has been checked."""
        return self._commits[name][1].committer.seconds

    def file(self, name: SnapshotName, path: str, file_digest: str) -> None:
        """Check that the file stands in the snapshot, which has been checked, and has this content."""
        objects, file = self.state.objects, self._tree(name).get(path)
        if not isinstance(file, File):
            raise Refused("statement-file", f"{name.ledger}@{name.number} has no file {path}", _CERTIFY)
        self._read(file.size(objects) + NAME_BYTES * (1 + path.count("/")), name)
        if (found := digest(file.content(objects))) != file_digest:
            raise Refused(
                "statement-file", f"{path} in {name.ledger}@{name.number} has {found}, not {file_digest}", _CERTIFY
            )

    def all_of(self, name: SnapshotName, path: str, files: Collection[tuple[SnapshotName, str]]) -> None:
        """Check that each file at `path` of the snapshot, which has been checked, or below it is one of `files`."""
        for each, _ in self._tree(name).files(path):
            if (name, each) not in files:
                raise Refused(
                    "statement-file",
                    f"{path} of {name.ledger}@{name.number} is an input, and its file {each} is left out",
                    _CERTIFY,
                )

    def _tree(self, name: SnapshotName) -> Tree:
        """The tree of a snapshot that has been checked."""
        if name not in self._trees:
            if len(self._trees) == SNAPSHOTS:
                raise Refused(
                    "statement-snapshots",
                    f"statements of one proposal name files in at most {SNAPSHOTS} snapshots of this ledger",
                    "bring them in several proposals, or name whole snapshots",
                )
            self._trees[name] = Tree.load(self.state.objects, self._commits[name][1].tree, like=self.state.tree)
        return self._trees[name]

    def _commit(self, name: SnapshotName) -> tuple[str, Commit] | None:
        """Hash and commit of a snapshot up to this one; None where there is none, or it has no commit yet."""
        state = self.state
        if name not in self._commits:
            oid = state.line.row(state.objects, name.number).snapshot if self._is_of_the_line(name) else ""
            if not oid:
                return None
            content = state.objects.read(oid, "commit")
            self._read(len(content), name)
            self._commits[name] = digest(content), Commit.parse(content)
        return self._commits[name]

    def _is_of_the_line(self, name: SnapshotName) -> bool:
        return name.ledger == self.state.name and name.number <= self.state.number

    def _read(self, size: int, name: SnapshotName) -> None:
        """Count what is read for the statements."""
        self._left -= size
        if self._left < 0:
            raise Refused(
                "statement-bytes",
                "what the statements name is more, with what the proposal brings, than limits.proposal_bytes",
                f"bring them in several proposals, or name the whole snapshot, {name.ledger}@{name.number}",
            )


_CERTIFY = "make the statement again, from what is verified: gitledger certify"
