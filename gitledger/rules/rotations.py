"""The rotations that wait: what `refs/rotations/` hold, read against the newest snapshot (spec 2, 8).

A rotation is *pending* while it lacks endorsements, *complete* once a quorum endorsed it, and *stale* when another
snapshot than the one it follows on is the newest: nobody can seal it any more.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from gitledger.documents.names import SnapshotName
from gitledger.documents.rotation import Rotation, RotationEndorsement
from gitledger.errors import LedgerError, Malformed, Refused
from gitledger.objects.trees import File, Objects, Tree
from gitledger.rules import succession
from gitledger.rules.advance import ancestor
from gitledger.rules.state import ROTATIONS, Snapshot, State

DRAFT_REF = re.compile(r"refs/rotations/(?P<rotation>[0-9a-f]{64})/draft")
SIGNATURE_REF = re.compile(
    r"refs/rotations/(?P<rotation>[0-9a-f]{64})/(?P<domain>(?!draft$)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)"
)
REFS = (DRAFT_REF, SIGNATURE_REF)
"""The forms of the refs that hold rotations (spec 2)."""

LIMIT = 256
"""How many drafts are read, those that name the newest snapshot first: each costs whoever looks some milliseconds."""

_ARMOUR_BYTES = 4096
_DRAFT_BYTES = 16384


@dataclass(frozen=True)
class Drafted:
    """A drafted rotation and the endorsements that count, sorted by domain; `on` is the snapshot it follows on.

    `stale` says that `on` is not the newest any more.
    """

    rotation: Rotation
    endorsements: tuple[RotationEndorsement, ...]
    on: Snapshot
    stale: bool

    @cached_property
    def hash(self) -> str:
        """H in hex: its name in the refs."""
        return self.rotation.digest.hex()

    @property
    def missing(self) -> tuple[int, tuple[str, ...]]:
        """How many endorsements it lacks, and the domains that could still endorse; (0, ()) where it is complete."""
        have = ((one.domain_id, one.pubkey_id) for one in self.endorsements)
        return succession.demand(self.on).missing(have)

    @property
    def complete(self) -> bool:
        """Whether a quorum endorsed it, so that its new witness may seal it unless it is stale."""
        return self.missing[0] == 0

    @property
    def standing(self) -> str:
        """`pending`, `complete` or `stale`."""
        if self.stale:
            return "stale"
        return "complete" if self.complete else "pending"

    @property
    def new(self) -> tuple[str, str]:
        """Domain and key id of the witness to come."""
        new = self.rotation.rotation.new_witness
        return new.domain_id, new.pubkey_id

    @property
    def artifact(self) -> bytes:
        """The artifact with every endorsement that counts, as its new witness seals it."""
        return self.rotation.endorsed(self.endorsements).render().encode()


@dataclass(frozen=True, slots=True)
class Rotations:
    """What waits, in the order of the refs; `unreadable` are refs that hold nothing that counts, with the reason."""

    waiting: tuple[Drafted, ...] = ()
    unreadable: Mapping[str, LedgerError] = field(default_factory=dict)

    @property
    def complete(self) -> tuple[Drafted, ...]:
        """Those that could be sealed now."""
        return tuple(one for one in self.waiting if one.complete and not one.stale)

    def to(self, key_id: str) -> Drafted | None:
        """The complete rotation to this key, which names it at most once on one snapshot."""
        return next((one for one in self.complete if one.new[1] == key_id), None)


def is_ref(ref: str) -> bool:
    """Whether `ref`, a full name, is one that holds a draft or an endorsement of a rotation."""
    return any(form.fullmatch(ref) for form in REFS)


def read(newest: Snapshot, refs: Mapping[str, str]) -> Rotations:
    """The rotations that `refs` (full ref name to oid) hold, as far as they can be read."""
    unreadable: dict[str, LedgerError] = {}
    signatures: dict[str, list[tuple[str, str]]] = {}
    for ref, oid in sorted(refs.items()):
        if match := SIGNATURE_REF.fullmatch(ref):
            signatures.setdefault(match["rotation"], []).append((ref, oid))
    waiting: list[Drafted] = []
    for ref, content in _drafts(newest, refs, unreadable):
        named = ref.split("/")[2]
        try:
            rotation = parse_draft(content)
            must_be_named(rotation, named)
            on = _snapshot_of(newest, rotation)
            succession.must_be_possible(on, rotation)
        except LedgerError as error:
            unreadable[ref] = error
        else:
            endorsements = _endorsements(on, rotation, signatures.get(named, ()), unreadable)
            waiting.append(Drafted(rotation, endorsements, on, stale=on.oid != newest.oid))
    return Rotations(tuple(waiting), unreadable)


def read_draft(objects: Objects, oid: str) -> Rotation:
    """The blob `oid` as a draft. Raises what `parse_draft` raises, Malformed for what is no blob of at most 16 KiB."""
    return parse_draft(_blob(objects, oid, _DRAFT_BYTES))


def parse_draft(content: bytes) -> Rotation:
    """A draft: an artifact without endorsements. Raises Malformed, Refused (`draft-endorsed`)."""
    rotation = Rotation.parse(content)
    if rotation.endorsements.endorsements:
        raise Refused(
            "draft-endorsed",
            "a draft holds no endorsements: each has a ref of its own",
            "write endorsements: [] into the draft, and push each signature to refs/rotations/<H>/<domain>",
        )
    return rotation


def read_endorsement(on: Snapshot, rotation: Rotation, oid: str) -> RotationEndorsement:
    """The blob `oid` as an endorsement of `rotation` on `on`. Raises what `succession.endorsed` raises."""
    return succession.endorsed(on, rotation, _blob(on.state.objects, oid, _ARMOUR_BYTES))


def must_be_named(rotation: Rotation, named: str) -> None:
    """Raise Refused (`rotation-name`) unless `named`, H in hex, is that of `rotation`."""
    if rotation.digest.hex() != named:
        raise Refused(
            "rotation-name",
            f"H of this draft is {rotation.digest.hex()}, and the ref says {named}",
            f"push it to refs/rotations/{rotation.digest.hex()}/draft",
        )


def sealed(state: State) -> Iterator[tuple[int, str, Rotation]]:
    """Every sealed rotation of the line up to `state`, oldest first: the number of its snapshot, its key, itself."""
    below = state.tree.get(ROTATIONS.rstrip("/"))
    found = []
    for name, entry in below.entries.items() if isinstance(below, Tree) else ():
        if isinstance(entry, File):
            rotation = Rotation.parse(entry.content(state.objects))
            found.append((rotation.created_at_logseq + 1, f"sha256:{name.removesuffix('.yaml')}", rotation))
    return iter(sorted(found, key=lambda one: one[0]))


def _snapshot_of(newest: Snapshot, rotation: Rotation) -> Snapshot:
    """The snapshot of this line that `rotation` follows on. Raises Refused (`rotation-previous`)."""
    ledger, number = SnapshotName.parse(rotation.previous_snapshot.snapshot_id)
    if ledger != newest.state.name or number >= newest.number:
        return newest  # whose own check says what is wrong
    return ancestor(newest, number)


def _drafts(
    newest: Snapshot, refs: Mapping[str, str], unreadable: dict[str, LedgerError]
) -> Iterator[tuple[str, bytes]]:
    """The refs of drafts and what they hold, at most `LIMIT`; those that name the newest snapshot come first."""
    found: list[tuple[bool, str, bytes]] = []
    for ref, oid in refs.items():
        if DRAFT_REF.fullmatch(ref):
            try:
                content = _blob(newest.state.objects, oid, _DRAFT_BYTES)
                found.append((newest.hash.encode() not in content, ref, content))
            except LedgerError as error:
                unreadable[ref] = error
    found.sort()
    for _, ref, _ in found[LIMIT:]:
        unreadable[ref] = Refused("too-many-rotations", f"more than {LIMIT} drafts are there", "gitledger rotations")
    return ((ref, content) for _, ref, content in found[:LIMIT])


def _endorsements(
    on: Snapshot, rotation: Rotation, signatures: Iterable[tuple[str, str]], unreadable: dict[str, LedgerError]
) -> tuple[RotationEndorsement, ...]:
    """Those of `signatures` (ref and blob) that count, one a domain, sorted by domain."""
    found: dict[str, RotationEndorsement] = {}
    for ref, oid in signatures:
        try:
            one = read_endorsement(on, rotation, oid)
            found.setdefault(one.domain_id, one)
        except LedgerError as error:
            unreadable[ref] = error
    return tuple(found[domain] for domain in sorted(found))


def _blob(objects: Objects, oid: str, limit: int) -> bytes:
    kind, size = objects.size(oid)
    if kind != "blob" or size > limit:
        raise Malformed(
            "object-kind" if kind != "blob" else "document-too-large",
            f"{oid} is a {kind} of {size} bytes; here stands a blob of at most {limit}",
            "git hash-object -w FILE   makes a blob; gitledger rotate and gitledger endorse do",
        )
    return objects.read(oid, "blob")
