"""The rotations that wait: what `refs/rotations/` hold, read against the newest snapshot (spec 2, 8).

A rotation is *pending* while it lacks endorsements, *complete* once a quorum endorsed it, and *stale* when another
snapshot than the one it follows on is the newest: nobody can seal it any more.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from gitledger.documents.names import SnapshotName
from gitledger.documents.rotation import Endorsed, Rotation
from gitledger.errors import LedgerError, Malformed, Refused
from gitledger.objects.codec import digest
from gitledger.objects.trees import File, Objects, Tree
from gitledger.rules import succession
from gitledger.rules.advance import pinned
from gitledger.rules.state import ROTATIONS, Snapshot, State

DRAFT_REF = re.compile(r"refs/rotations/(?P<rotation>[0-9a-f]{64})/draft")
SIGNATURE_REF = re.compile(
    r"refs/rotations/(?P<rotation>[0-9a-f]{64})/(?P<domain>(?!draft$)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)"
)
REFS = (DRAFT_REF, SIGNATURE_REF)
"""The forms of the refs that hold rotations (spec 2)."""

LIMIT = 256
"""How many drafts are read: no honest host has as many, and each costs whoever looks some milliseconds."""

_ARMOUR_BYTES = 4096
_DRAFT_BYTES = 16384


@dataclass(frozen=True)
class Waiting:
    """A drafted rotation and the endorsements that count, sorted by domain; `on` is the snapshot it follows on.

    `stale` says that `on` is not the newest any more.
    """

    rotation: Rotation
    endorsements: tuple[Endorsed, ...]
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

    waiting: tuple[Waiting, ...] = ()
    unreadable: Mapping[str, LedgerError] = field(default_factory=dict)

    @property
    def complete(self) -> tuple[Waiting, ...]:
        """Those that could be sealed now."""
        return tuple(one for one in self.waiting if one.complete and not one.stale)

    def to(self, key_id: str) -> Waiting | None:
        """The complete rotation to this key, which names it at most once on one snapshot."""
        return next((one for one in self.complete if one.new[1] == key_id), None)


def read(newest: Snapshot, refs: Mapping[str, str]) -> Rotations:
    """The rotations that `refs` (full ref name to oid) hold, as far as they can be read."""
    objects = newest.state.objects
    waiting: list[Waiting] = []
    unreadable: dict[str, LedgerError] = {}
    drafts = [(match, oid) for ref, oid in sorted(refs.items()) if (match := DRAFT_REF.fullmatch(ref)) is not None]
    for match, oid in drafts[:LIMIT]:
        ref = match[0]
        try:
            rotation = read_draft(objects, oid)
            must_be_named(rotation, match["rotation"])
            on = _snapshot_of(newest, rotation)
            succession.must_be_possible(on, rotation)
        except LedgerError as error:
            unreadable[ref] = error
            continue
        endorsements: dict[str, Endorsed] = {}
        for where, armour in _endorsements(refs, match["rotation"]):
            try:
                one = read_endorsement(on, rotation, armour)
                endorsements.setdefault(one.domain_id, one)
            except LedgerError as error:
                unreadable[where] = error
        counted = tuple(endorsements[domain] for domain in sorted(endorsements))
        waiting.append(Waiting(rotation, counted, on, stale=on.oid != newest.oid))
    for match, _ in drafts[LIMIT:]:
        unreadable[match[0]] = Refused("too-many-rotations", f"more than {LIMIT} drafts are there")
    return Rotations(tuple(waiting), unreadable)


def read_draft(objects: Objects, oid: str) -> Rotation:
    """The blob `oid` as a draft: an artifact without endorsements. Raises Malformed, Refused (`draft-endorsed`)."""
    rotation = Rotation.parse(_blob(objects, oid, _DRAFT_BYTES))
    if rotation.endorsements.endorsements:
        raise Refused(
            "draft-endorsed",
            "a draft holds no endorsements: each has a ref of its own",
            "write endorsements: [] into the draft, and push each signature to refs/rotations/<H>/<domain>",
        )
    return rotation


def read_endorsement(on: Snapshot, rotation: Rotation, oid: str) -> Endorsed:
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
    objects = newest.state.objects
    oid = newest.state.line.row(objects, number).snapshot
    return pinned(objects, oid, digest(objects.read(oid, "commit")))


def _endorsements(refs: Mapping[str, str], rotation: str) -> Iterator[tuple[str, str]]:
    for ref, oid in sorted(refs.items()):
        match = SIGNATURE_REF.fullmatch(ref)
        if match is not None and match["rotation"] == rotation:
            yield ref, oid


def _blob(objects: Objects, oid: str, limit: int) -> bytes:
    kind, size = objects.size(oid)
    if kind != "blob" or size > limit:
        raise Malformed(
            "object-kind" if kind != "blob" else "document-too-large",
            f"{oid} is a {kind} of {size} bytes; here stands a blob of at most {limit}",
            "git hash-object -w FILE   makes a blob; gitledger rotate and gitledger endorse do",
        )
    return objects.read(oid, "blob")
