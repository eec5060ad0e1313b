"""The only way in which trust moves (spec 10).

Trust begins at a hash: that of genesis, the trust anchor (`genesis`), or that of a snapshot verified before (`pinned`).
From there `advance` takes it one snapshot further, and nothing else does: hooks, emission, fetching and verification
all call it. A `Snapshot` is made in this file alone.
"""

from __future__ import annotations

from dataclasses import dataclass

from gitledger.documents.certificate import Record
from gitledger.documents.ledgerfile import FORMAT
from gitledger.documents.subset import MAX_BYTES
from gitledger.documents.witness import Witness
from gitledger.errors import Malformed, Refused, Unsound, about
from gitledger.objects.codec import Commit, digest
from gitledger.objects.trees import File, Objects, Tree
from gitledger.rules import proposal, snapshot, succession, support
from gitledger.rules.entry import Entry
from gitledger.rules.line import Line, Row, row_of
from gitledger.rules.state import ATTRIBUTES, LEDGER, POLICY, WITNESS, Snapshot, State, is_attestation, manifest_path
from gitledger.rules.transition import apply, check_policies_path, check_policy, check_publishing
from gitledger.signing import sshsig

ATTRIBUTES_CONTENT = b"* -text\n"


def advance(trusted: Snapshot, oid: str) -> Snapshot:
    """Snapshot N+1 from the commit `oid`, where `trusted` is snapshot N.

    Raises Refused or Malformed with the name of the snapshot as its subject where the commit is not a valid
    successor, Unsound where the repository lacks an object.
    """
    before = trusted.state
    objects = before.objects
    with about(f"{before.name}@{before.number + 1}"):
        # 1. The number, the parent
        content = objects.read(oid, "commit")
        commit = Commit.parse(content)
        entry = _successor(trusted, commit)
        if before.tree.digest != trusted.entry.content:
            raise Unsound("content-differs", f"the tree of {trusted.name} is not the one that its hash covers")
        # 2. What it accepts, or the rotation that it seals
        step = _sealing(trusted, commit, entry) if entry.rotation else _accepting(trusted, commit)
        # 3. The bytes
        _must_be_composed(commit, step.payload)
        if commit.committer.seconds < trusted.seconds:
            raise Refused("time-backwards", "its committer time is before that of the snapshot it follows")
        # 4. The signature
        _must_be_signed_by(commit, before, step.witness)
    line = before.line.extended(step.after.line.last._replace(snapshot=oid))
    return Snapshot(step.after.with_line(line), oid, digest(content), commit, entry)


@dataclass(frozen=True, slots=True)
class _Step:
    """What must have been signed: the payload that the rules compose, by `witness`, which gives the state `after`."""

    payload: bytes
    witness: Witness
    after: State


def _accepting(trusted: Snapshot, commit: Commit) -> _Step:
    """A proposal, its transition, its releases and endorsements."""
    before = trusted.state
    accepted = proposal.read(before.objects, commit.parents[1])
    transition = apply(before, accepted)
    carried = support.carried(commit.mergetags, transition, before.policy)
    payload = snapshot.accepting(trusted, transition, carried, commit.committer.seconds)
    return _Step(payload, before.witness, transition.after)


def _sealing(trusted: Snapshot, commit: Commit, entry: Entry) -> _Step:
    """A rotation, whose artifact stands in the snapshot's own tree (spec 8)."""
    before = trusted.state
    path = succession.path_of(entry.rotation)
    content = Tree.load(before.objects, commit.tree, like=before.tree).get(path)
    if not isinstance(content, File):
        raise Refused("artifact-missing", f"it seals {entry.rotation}, and its tree has no {path}")
    if content.size(before.objects) > MAX_BYTES:
        raise Malformed("document-too-large", f"{path} has more than 1 MiB")
    sealed = succession.seal(trusted, entry.rotation, content.content(before.objects))
    payload = snapshot.rotating(trusted, sealed, commit.committer.seconds)
    return _Step(payload, sealed.after.witness, sealed.after)


def genesis(objects: Objects, oid: str, anchor: str) -> Snapshot:
    """Snapshot 0 from the commit `oid`, trusted because its hash is `anchor`, the ledger id.

    Raises Refused (`wrong-anchor`) for another ledger's, and Malformed or Refused where genesis is not valid.
    """
    content = objects.read(oid, "commit")
    if digest(content) != anchor:
        raise Refused(
            "wrong-anchor",
            f"this ledger's id is {digest(content)}, the anchor given is {anchor}",
            "compare with what the founders gave out; another anchor is another ledger",
        )
    commit = Commit.parse(content)
    entry = Entry.parse(commit.message)
    with about(f"{entry.name}@0"):
        if commit.parents:
            raise Refused("wrong-parent", "genesis has no parent")
        state = State(objects, anchor, entry.name, 0, Tree.load(objects, commit.tree), Line.ending(Row(0, oid, "", 0)))
        _must_be_founded(state)
        _must_be_composed(commit, snapshot.founding(state, commit.committer.seconds))
        _must_be_signed_by(commit, state, state.witness)
    return Snapshot(state, oid, anchor, commit, entry)


def pinned(objects: Objects, oid: str, snapshot_hash: str) -> Snapshot:
    """The snapshot `oid`, trusted because its hash is `snapshot_hash`, which somebody verified before.

    Raises Refused (`wrong-hash`) where it is not.
    """
    content = objects.read(oid, "commit")
    if digest(content) != snapshot_hash:
        raise Refused("wrong-hash", f"the commit {oid} has the hash {digest(content)}, not {snapshot_hash}")
    commit = Commit.parse(content)
    entry = Entry.parse(commit.message)
    ledger_id = entry.ledger_id or snapshot_hash
    tree = Tree.load(objects, commit.tree)
    state = State(objects, ledger_id, entry.name, entry.number, tree, Line.ending(row_of(oid, commit)))
    return Snapshot(state, oid, snapshot_hash, commit, entry)


def ancestor(trusted: Snapshot, number: int) -> Snapshot:
    """Snapshot `number` of the line below `trusted`, which that line's chain of hashes makes as good (0 ≤ number)."""
    if number == trusted.number:
        return trusted
    objects = trusted.state.objects
    oid = trusted.state.line.row(objects, number).snapshot
    return pinned(objects, oid, digest(objects.read(oid, "commit")))


def _successor(trusted: Snapshot, commit: Commit) -> Entry:
    if not commit.parents or commit.parents[0] != trusted.oid:
        raise Refused("wrong-parent", f"its first parent is not {trusted.name}, {trusted.oid}")
    entry = Entry.parse(commit.message)
    if (entry.name, entry.number) != (trusted.state.name, trusted.number + 1):
        raise Refused("wrong-number", f"it calls itself {entry.snapshot}, after {trusted.name}")
    wanted, what = (1, "the snapshot before alone") if entry.rotation else (2, "the snapshot before and one proposal")
    if len(commit.parents) != wanted:
        raise Refused("wrong-parents", f"its parents are {len(commit.parents)}, and not {what}")
    witness = trusted.state.witness
    if not entry.rotation and (entry.witness, entry.witness_key) != (witness.domain_id, witness.pubkey_id):
        raise _wrong_witness(f"it names the witness {entry.witness} {entry.witness_key}", witness)
    return entry


def _must_be_composed(commit: Commit, payload: bytes) -> None:
    """Validity is: rebuild the bytes and compare (spec 0)."""
    if commit.payload == payload:
        return
    ours, theirs = payload.split(b"\n"), commit.payload.split(b"\n")
    at = next((i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), min(len(ours), len(theirs)))
    line = ours[at] if at < len(ours) else b"(nothing)"
    raise Refused(
        "altered",
        f"it is not the snapshot that the rules compose: line {at + 1} should be "
        f"{line[:120].decode('utf-8', 'replace')!r}",
    )


def _must_be_signed_by(commit: Commit, state: State, witness: Witness) -> None:
    key = state.must_be_active(witness.domain_id, witness.pubkey_id, "the witness")
    if not commit.signature:
        raise Refused("unsigned", "the snapshot is not signed")
    signature = sshsig.parse(commit.signature)
    if signature.key != key:
        raise _wrong_witness(f"it is signed by {signature.key.key_id}", witness)
    sshsig.verify(signature, commit.payload, proposal.NAMESPACE)


def _wrong_witness(what: str, witness: Witness) -> Refused:
    sealed = f", which {witness.since} sealed" if witness.rotation_artifact else ""
    return Refused(
        "wrong-witness",
        f"{what}; the witness is {witness.domain_id} {witness.pubkey_id}{sealed}",
        "leave it to that witness: what waits in the queue waits for it",
    )


def _must_be_founded(state: State) -> None:
    """Genesis declares itself: its tree is complete and valid by section 3, with nothing else under ledger/."""
    state.tree.check()
    if state.tree.get(ATTRIBUTES) != File.of(ATTRIBUTES_CONTENT):
        raise Refused("attributes", f"{ATTRIBUTES} holds exactly {ATTRIBUTES_CONTENT!r}, with mode 100644")
    if state.ledger.name != state.name or state.ledger.format != FORMAT:
        raise Refused("ledger-file", f"{LEDGER} says {state.ledger.name}, format {state.ledger.format}")
    witness = state.witness
    if witness.since != f"{state.name}@0" or witness.rotation_artifact is not None:
        raise Refused("first-witness", f"{WITNESS} says since {state.name}@0, and names no rotation")
    expected = {LEDGER, POLICY, WITNESS, *_founding_records(state)}
    found = {path for path, _ in state.tree.files("ledger")}
    if found != expected:
        odd = min(found ^ expected)
        raise Refused("genesis-ledger", f"{odd} is {'too much' if odd in found else 'missing'} in genesis")
    check_policy(state)


def _founding_records(state: State) -> set[str]:
    """The paths of the records of every key, each checked: without salts, active, of its one domain."""
    paths: set[str] = set()
    below = state.tree.get("domains")
    if isinstance(below, File):
        raise Malformed("domains", "domains is a file")
    for domain in state.domains():
        manifest = state.manifest(domain)
        if manifest is None or manifest.domain_id != domain:
            raise Refused("manifest-domain", f"{manifest_path(domain)} is missing, or names another domain")
        for path, _ in state.tree.files(f"domains/{domain}"):
            if is_attestation(path):
                raise Refused(
                    "genesis-attestation", f"{domain} certifies something in genesis, where no key of it is known yet"
                )
            with about(path):
                check_policies_path(path)
        check_publishing(state, domain)
        for key in manifest.keys:
            path = Record.path_of(key.key_id)
            if path in paths:
                raise Refused("key-of-another-domain", f"{key.key_id} stands in two manifests")
            paths.add(path)
            if state.tree.get(path) != File.of(Record.made(key.public, domain).encode()):
                raise Refused("genesis-record", f"{path} is not the record of {key.key_id} of {domain}, without salts")
    return paths
