"""From a digest to what came of it and what it came from: receipt, signature, snapshot, inputs (spec 14).

The attestations of one verified snapshot are read once. Transition held each of them to the rules when it came in, and
genesis has none. What a statement says of another ledger is looked up where that ledger is at hand.

A walk shows each receipt once in each direction, and goes so many steps and no further, so it ends whatever
statements name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Final, Literal

from gitledger.documents.names import SnapshotName, digest_of_text
from gitledger.documents.statement import Audit, LocatedAt, Receipt, Represents, Statement
from gitledger.errors import LedgerError, Refused, Usage, about
from gitledger.objects.codec import Commit
from gitledger.objects.trees import File, Tree
from gitledger.roles.place import Place
from gitledger.roles.statements import digest_of_file, file_digest, snapshot_of
from gitledger.rules import nodes, proposal
from gitledger.rules.state import Snapshot, State
from gitledger.signing import dsse

DEEPEST: Final = 24
"""How many receipts a walk follows, one from another."""

MOST: Final = 5000
"""How many attestations it shows in all, each as often as it comes by."""

Standing = Literal["holds", "differs", "not at hand"]
"""What a ledger says of a snapshot or a file that a statement names; that ledger may be not at hand."""

_LONGEST_NAME: Final = 1200


@dataclass(frozen=True, slots=True)
class Named:
    """What a statement names: a name, of any form, and a digest.

    In a ledger, whose id is `ledger` then, the name is `common@42` or `common@42:PATH`.
    """

    name: str
    digest: str
    ledger: str = ""

    @property
    def place(self) -> tuple[SnapshotName, str] | None:
        """The snapshot and the path in it, empty for the snapshot itself; None for what is named in no ledger."""
        if not self.ledger:
            return None
        name, _, path = self.name.partition(":")
        return SnapshotName.parse(name), path


@dataclass(frozen=True, slots=True)
class Signatory:
    """Who signed an attestation: key id, name in the domain, the roles it had then; whether it is a node's, revoked."""

    key_id: str
    name: str
    roles: tuple[str, ...]
    node: bool
    revoked: bool


@dataclass(frozen=True, eq=False)
class Attestation:
    """An attestation that stands in a verified snapshot of `ledger`, `since` the snapshot of that number."""

    ledger: str
    domain: str
    path: str
    digest: str
    statement: Statement
    key_ids: tuple[str, ...]
    since: int

    @property
    def came_in(self) -> str:
        """The name of the snapshot that it stands in since."""
        return f"{self.ledger}@{self.since}"

    @property
    def receipt(self) -> Receipt | None:
        """What it says, where it is an execution receipt."""
        said = self.statement.said
        return said if isinstance(said, Receipt) else None

    @cached_property
    def subjects(self) -> tuple[Named, ...]:
        """What it is about."""
        said = self.statement.said
        ledger = said.ledger if isinstance(said, Represents | Audit) else ""
        return tuple(Named(each.name, each.sha256, ledger) for each in self.statement.subject)

    @cached_property
    def sources(self) -> tuple[Named, ...]:
        """What else it names: of a receipt its inputs, of a path in a ledger the snapshot."""
        said = self.statement.said
        if isinstance(said, Receipt):
            ledgers = said.external.ledgers
            bound = said.build_definition.resolved_dependencies
            return tuple(Named(each.name, each.sha256, ledgers[each.name.partition("@")[0]]) for each in bound)
        if isinstance(said, LocatedAt) and said.snapshot:
            return (Named(said.snapshot.name, said.snapshot.hash, said.snapshot.ledger),)
        return ()


class Attestations:
    """What a verified snapshot holds of attestations, by what they are about and by what they came from."""

    def __init__(self, place: Place, named: str | None = None) -> None:
        self.place = place
        self.snapshot: Snapshot = place.verified if named is None else snapshot_of(place, named)
        self._signers: dict[str, tuple[Signatory, ...]] = {}
        self.held: tuple[Attestation, ...] = tuple(self._read())
        self.by_digest: dict[str, Attestation] = {held.digest: held for held in self.held}
        self.about = _by_digest((named.digest, held) for held in self.held for named in held.subjects)
        self.using = _by_digest((named.digest, held) for held in self.held for named in held.sources)

    def naming(self, wanted: str) -> tuple[Attestation, ...]:
        """Those that are the digest `wanted`, are about it or name it."""
        found = {wanted} & self.by_digest.keys()
        found.update(held.digest for held in (*self.about.get(wanted, ()), *self.using.get(wanted, ())))
        return tuple(held for held in self.held if held.digest in found)

    def signed(self, held: Attestation) -> tuple[Signatory, ...]:
        """Who signed it, with the roles that they had for it when it came in."""
        if held.digest not in self._signers:
            before = snapshot_of(self.place, held.since - 1).state
            self._signers[held.digest] = tuple(self._signed(before, held, key_id) for key_id in held.key_ids)
        return self._signers[held.digest]

    def digest_of(self, named: str) -> Named:
        """What a person means by a digest, `common@42`, `common@42:PATH`, or a file of this machine.

        Raises Usage (`names-nothing`), Refused (`no-such-snapshot`, `no-such-file`, `ambiguous`).
        """
        if (wanted := digest_of_text(named)) is not None:
            return Named("", wanted)
        name, _, path = named.partition(":")
        try:
            ledger = SnapshotName.parse(name).ledger
        except LedgerError:
            return self._file(named)
        if ledger != self.place.name:
            return self._elsewhere(named)
        snapshot = snapshot_of(self.place, name)
        return Named(named, file_digest(snapshot, path) if path else snapshot.hash, self.place.anchor)

    def _file(self, named: str) -> Named:
        if len(named) > _LONGEST_NAME or not Path(named).expanduser().is_file():
            raise Usage(
                "names-nothing",
                f"{named[:80]!a} is no digest, no snapshot and no file here",
                f"write sha256:…, {self.place.name}@N, {self.place.name}@N:PATH, or a file",
            )
        return Named(Path(named).name, digest_of_file(Path(named)))

    def _elsewhere(self, named: str) -> Named:
        """What statements here mean by a snapshot of another ledger, or a file in one."""
        meant = {one for held in self.held for one in (*held.subjects, *held.sources) if one.name == named}
        if not meant:
            mend = "gitledger attestations   (lists what is named here)"
            raise Refused("names-nothing", f"nothing in {self.snapshot.name} names {named}", mend)
        if len(meant) > 1:
            digests = sorted(one.digest for one in meant)
            raise Refused("ambiguous", f"{named} may be any of {', '.join(digests)}", "name it by its digest")
        return meant.pop()

    def _read(self) -> Iterator[Attestation]:
        tree, files = self.snapshot.state.tree, dict[str, File]()
        for domain in self.snapshot.state.domains():
            files.update(tree.files(f"domains/{domain}/attestations"))
        since = _since(self.snapshot, files)
        for path, file in files.items():
            with about(path):
                yield self._held(path, file, since[path])

    def _held(self, path: str, file: File, since: int) -> Attestation:
        objects = self.snapshot.state.objects
        envelope = dsse.Envelope.parse(file.content(objects))
        key_ids = tuple(signature.key_id for signature in envelope.signatures)
        name = path.rpartition("attestations/")[2].removesuffix(".json").replace("/", "")
        statement = Statement.parse(envelope.payload)
        return Attestation(self.place.name, path.split("/")[1], path, f"sha256:{name}", statement, key_ids, since)

    def _signed(self, before: State, held: Attestation, key_id: str) -> Signatory:
        """Who the key was `before` it came in; one without an entry was a node's, whose proposal brought it."""
        manifest = before.manifest(held.domain)
        entry = manifest.key(key_id) if manifest else None
        record = self.place.verified.state.record(key_id)
        revoked = record is not None and record.status != "active"
        if entry is not None:
            return Signatory(key_id, entry.name, entry.roles, node=False, revoked=revoked)
        brought = proposal.read(self.place.store, self.place.row(held.since).proposal)
        certificate = brought.certificate
        assert certificate is not None  # or transition would have refused it
        roles = tuple(sorted(nodes.roles(before, brought, certificate)))
        return Signatory(key_id, certificate.identity, roles, node=True, revoked=revoked)


class Ledgers:
    """The ledgers at hand, which say whether what statements name of them is so.

    Of `own`, which holds the statements, that was decided by transition when they came in.
    """

    def __init__(self, own: Place, *others: Place) -> None:
        self._own = own.anchor
        self._others = {place.anchor: place for place in others}
        self._known: dict[Named, Standing] = {}

    def standing(self, named: Named) -> Standing | None:
        """What the ledger says in which this is named; None for what is named in none."""
        at = named.place
        if at is None:
            return None
        if named.ledger == self._own:
            return "holds"
        if named not in self._known:
            self._known[named] = self._asked(named, *at)
        return self._known[named]

    def _asked(self, named: Named, name: SnapshotName, path: str) -> Standing:
        place = self._others.get(named.ledger)
        if place is None or (name.ledger == place.name and name.number > place.verified.number):
            return "not at hand"
        try:
            snapshot = snapshot_of(place, str(name))
            found = file_digest(snapshot, path) if path else snapshot.hash
        except Refused:
            return "differs"
        return "holds" if found == named.digest else "differs"


@dataclass(frozen=True)
class Thing:
    """A snapshot, a file or an envelope on the walk: what says something of it, what it came from, what came of it.

    `itself` is the attestation that it is, where it is one. `further` says that the walk ended here before the end.
    """

    named: Named
    standing: Standing | None
    said: tuple[Link, ...] = ()
    came_from: tuple[Link, ...] = ()
    went_into: tuple[Link, ...] = ()
    itself: Link | None = None
    further: bool = False


@dataclass(frozen=True)
class Link:
    """An attestation on the walk: who signed it, what of other ledgers it names, and the things that it leads to.

    `differs` and `unchecked` are names of what another ledger has otherwise, and of what no ledger at hand has. `again`
    says that the walk came by before, and went on from there.
    """

    held: Attestation
    signed: tuple[Signatory, ...]
    differs: tuple[str, ...]
    unchecked: tuple[str, ...]
    sources: tuple[Thing, ...] = ()
    results: tuple[Thing, ...] = ()
    again: bool = False

    @property
    def authoritative(self) -> bool:
        """Whether it is a receipt that is (spec 14): the form binds every input, and transition asked for the rest."""
        return self.held.receipt is not None and not self.differs


def trace(found: Attestations, named: Named, ledgers: Ledgers) -> Thing:
    """All that the attestations say of `named`, both ways. Raises Refused (`nothing-said`) where they say nothing."""
    if not found.naming(named.digest):
        raise Refused(
            "nothing-said",
            f"no attestation in {found.snapshot.name} is about {named.digest}, or names it",
            "gitledger attestations   (lists them all)",
        )
    walk = _Walk(found, ledgers)
    itself = found.by_digest.get(named.digest)
    link = walk.link(itself, "both", 0) if itself is not None else None
    return replace(walk.thing(named, "both"), itself=link)


_Direction = Literal["back", "forth", "both"]


@dataclass
class _Walk:
    found: Attestations
    ledgers: Ledgers
    _shown: set[tuple[str, str]] = field(default_factory=set)
    _left: int = field(default_factory=lambda: MOST)

    def thing(self, named: Named, direction: _Direction, depth: int = 0) -> Thing:
        """What is said of a thing; where it came from, what it went into, or both."""
        about_it, using = self.found.about.get(named.digest, ()), self.found.using.get(named.digest, ())
        made = [held for held in about_it if held.receipt] if direction != "forth" else []
        used = [held for held in using if held.receipt] if direction != "back" else []
        naming = dict.fromkeys((*about_it, *using) if direction == "both" else about_it)
        said = [held for held in naming if not held.receipt]
        standing = self.ledgers.standing(named)
        self._left -= len(made) + len(used) + len(said)
        if depth > DEEPEST or self._left < 0:
            return Thing(named, standing, further=bool(made or used or said))
        return Thing(
            named,
            standing,
            tuple(self.link(held, None, depth) for held in said),
            tuple(self.link(held, "back", depth) for held in made),
            tuple(self.link(held, "forth", depth) for held in used),
        )

    def link(self, held: Attestation, direction: _Direction | None, depth: int) -> Link:
        """An attestation, and the things on its other side."""
        standings = {named.name: self.ledgers.standing(named) for named in (*held.subjects, *held.sources)}
        seen = (held.digest, direction or "said")
        again = seen in self._shown
        self._shown.add(seen)
        back = held.sources if direction in ("back", "both") and not again else ()
        forth = held.subjects if direction in ("forth", "both") and not again else ()
        return Link(
            held,
            self.found.signed(held),
            tuple(name for name, standing in standings.items() if standing == "differs"),
            tuple(name for name, standing in standings.items() if standing == "not at hand"),
            tuple(self.thing(named, "back", depth + 1) for named in back),
            tuple(self.thing(named, "forth", depth + 1) for named in forth),
            again,
        )


def _by_digest(pairs: Iterator[tuple[str, Attestation]]) -> dict[str, list[Attestation]]:
    found: dict[str, list[Attestation]] = {}
    for wanted, held in pairs:
        beside = found.setdefault(wanted, [])
        if held not in beside:
            beside.append(held)
    return found


def _since(newest: Snapshot, files: Mapping[str, File]) -> dict[str, int]:
    """In which snapshot each of the `files` of `newest` came in; genesis has none of them."""
    since: dict[str, int] = {}
    after = _domains(newest.state.tree)
    for number in range(newest.number, 0, -1):
        if len(since) == len(files):
            break
        before = _domains(_tree(newest, number - 1))
        for below in before.changes_to(after):
            path = f"domains/{below}"
            if path in files:
                since.setdefault(path, number)
        after = before
    return since


def _tree(newest: Snapshot, number: int) -> Tree:
    state = newest.state
    commit = Commit.parse(state.objects.read(state.line.row(state.objects, number).snapshot, "commit"))
    return Tree.load(state.objects, commit.tree, like=state.tree)


def _domains(tree: Tree) -> Tree:
    below = tree.get("domains")
    assert isinstance(below, Tree)  # no ledger is without one: the witness has a domain
    return below
