"""The host: the bare repository that people push to (spec 2, 11).

`create` founds a ledger in a new one, `install` makes a host of one that holds a ledger already, `check` says what is
missing, `settle` does what follows from what was decided: it makes tags and clears decided refs. What a push may
bring is decided in `gate.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gitledger.errors import Failed, LedgerError, Refused, Unsound, Usage, about
from gitledger.exchange import layout
from gitledger.objects.codec import Commit, Tag, digest
from gitledger.objects.store import ABSENT, Store
from gitledger.roles.place import Place, write_durably
from gitledger.rules import queue
from gitledger.rules.advance import advance, genesis
from gitledger.rules.entry import Entry
from gitledger.rules.queue import ENDORSEMENT_REF, REFUSAL_REF, Queue
from gitledger.rules.state import Snapshot
from gitledger.signing.keys import PublicKey

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gitledger.signing.signers import Signer

SETTLED: Final = "settled"
"""The file in `Place.directory` that names the newest snapshot whose consequences are all drawn."""

_ORPHANED: Final = 86400
"""How many seconds an endorsement is kept whose proposal is not here: it may be a moment ahead of it."""

_TRIES: Final = 5

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Card:
    """What the founders hand out: the ledger id is the trust anchor (spec 9).

    `witness` and `authorities` are domains with their key ids; `threshold` of the authorities make a quorum.
    """

    name: str
    ledger_id: str
    witness: tuple[str, str]
    authorities: tuple[tuple[str, str], ...]
    threshold: int

    @property
    def may_lose(self) -> int:
        """How many authorities may lose their keys before no quorum can be reached."""
        return len(self.authorities) - self.threshold


def create(
    directory: Path,
    *,
    witness: tuple[str, Signer],
    seconds: int,
    name: str = "common",
    members: Mapping[str, PublicKey] | None = None,
    authorities: Mapping[str, PublicKey] | None = None,
    threshold: int | None = None,
    policy: bytes | None = None,
    template: str | None = None,
) -> Snapshot:
    """Found a ledger in a new bare repository at `directory`, and return its genesis, `name@0` (spec 9).

    `witness` is a domain and who signs for it; `members` and `authorities` are public keys by domain. Without
    `authorities` the witness and all members are; without `threshold` it is the smallest majority. `policy` holds the
    bytes of a policy file; else `template` (`personal`, `group`) is filled in. `seconds` is genesis's time.

    The repository appears whole or not at all. Raises Usage (`directory-taken`, `no-template`,
    `policy-says-otherwise`), Malformed or Refused where the documents do not hold together, Failed.
    """
    from gitledger.roles import founding  # these four are no part of what a hook needs
    from gitledger.roles.draft import beside, init
    from gitledger.roles.founding import Founders
    from gitledger.roles.journal import Journal

    domain, signer = witness
    every = {domain: signer.key, **(members or {})}
    founders = Founders(name, domain, signer, members or {}, every if authorities is None else authorities)
    if policy is None:
        policy = founding.policy_of(founders, template or ("group" if len(every) > 1 else "personal"), threshold)
    elif template is not None:
        raise Usage("policy-and-template", "a policy file and a template are given", "leave one of them out")
    else:
        founding.must_agree(policy, authorities, threshold)
    with beside(directory) as draft:
        init(draft, name, bare=True)
        layout.configure(draft, layout.HOST_CONFIG)
        store = Store.open(draft, durable=True)
        first = founding.found(store, founders, policy, seconds)
        place = Place(store, "host", first.hash, name)
        store.update([(place.branch, first.oid, ABSENT), (place.tag(0), first.oid, ABSENT)], message="genesis")
        layout.install_hooks(draft, role="host", name=name)
        place.establish()
        Journal.of(first.hash).published(0, first.oid)
    layout.install_hooks(directory, role="host", name=name)  # once more: they know the path they are at
    return Place.open(directory).verified


def card(snapshot: Snapshot) -> Card:
    """What a snapshot's state says for the card that the founders hand out."""
    state = snapshot.state
    return Card(
        name=state.name,
        ledger_id=state.ledger_id,
        witness=(state.witness.domain_id, state.witness.pubkey_id),
        authorities=tuple((one.domain_id, one.pubkey_id) for one in state.policy.authorities),
        threshold=state.policy.threshold,
    )


def install(directory: Path, *, progress: Progress = lambda done, of: None) -> Place:
    """Make the bare repository at `directory`, which holds a ledger, its host; again, to renew hooks and settings.

    What it holds is verified from genesis on before it becomes a host; its ledger id, `Place.anchor`, is for the person
    to compare. Raises Usage or Unsound where it holds no ledger, or refs that do not follow from it, what `advance`
    raises for the first invalid snapshot, and what `layout.install_hooks` raises.
    """
    store = Store.open(directory, durable=True)
    try:
        place = Place.of(store)
    except LedgerError:
        place = _recognise(store, progress)
    if place.role != "host":
        raise Usage("not-a-host", f"{directory} is a consumer's clone", "install the hooks in a bare repository")
    layout.configure(store.git_dir, layout.HOST_CONFIG)
    layout.install_hooks(store.git_dir, role="host", name=place.name)
    if store.head() != place.branch:
        store.git("-c", "core.hooksPath=/dev/null", "symbolic-ref", "HEAD", place.branch)
    place.establish()
    settle(place, int(time.time()))
    return place


def check(directory: Path) -> list[str]:
    """What the host at `directory` lacks, each a sentence with its mend; first finishes what a hook left (spec 11)."""
    place = Place.open(directory)
    if place.role != "host":
        raise Usage("not-a-host", f"{directory} is a consumer's clone", "name the bare repository")
    problems: list[str] = []
    try:
        settle(place, int(time.time()))
        _must_have_line(place, place.verified)
    except LedgerError as error:
        problems.append(f"{error}; {error.mend}" if error.mend else str(error))
    return problems + layout.check(place.store.git_dir, role="host", name=place.name)


def settle(place: Place, now: int) -> None:
    """Draw the consequences of what was decided, at `now` on the host's clock; any number may do so at a time (spec 11).

    Makes the tags that are missing; removes proposals whose whole line is decided, with their endorsements; drops
    receipts that are older than the policy's grace period. Raises Unsound or Failed.
    """
    place = Place(place.store, place.role, place.anchor, place.name)  # `verified` anew
    newest = place.verified
    _make_tags(place)
    refs = place.queue_refs()
    waiting = queue.read(newest.state, refs)
    gone = [ref for ref, line in waiting.lines.items() if all(one.oid in waiting.decided for one in line)]
    kept = {one.oid for ref, line in waiting.lines.items() if ref not in gone for one in line}
    done = {one.oid for one in waiting.proposals.values()} - kept
    for ref in refs.keys() - waiting.lines.keys() - waiting.unreadable.keys():
        if (match := ENDORSEMENT_REF.fullmatch(ref)) and match["proposal"] not in kept:
            if match["proposal"] in done or _is_over(place, waiting, refs[ref], match["proposal"], now):
                gone.append(ref)
        elif (match := REFUSAL_REF.fullmatch(ref)) and match["proposal"] not in kept:
            if _tagged(place, refs[ref]) + newest.state.policy.grace_seconds < now:
                gone.append(ref)
    _remove(place.store, {ref: refs[ref] for ref in gone})
    write_durably(place.directory / SETTLED, newest.oid + "\n")


def _make_tags(place: Place) -> None:
    """Another hook may be making the same tags: then they are there at the next look."""
    for tried in range(1, _TRIES + 1):
        try:
            place.settle()
        except Failed:
            if tried == _TRIES:
                raise
            time.sleep(0.05 * tried)
        else:
            return


def _is_over(place: Place, waiting: Queue, tag: str, proposal: str, now: int) -> bool:
    """Whether an endorsement has nothing to wait for: its proposal was accepted, or was replaced some time ago."""
    if place.verified.state.line.acceptance(place.store, proposal) is not None:
        return True
    return not waiting.unreadable and _tagged(place, tag) + _ORPHANED < now


def _tagged(place: Place, oid: str) -> int:
    return Tag.parse(place.store.read(oid, "tag")).tagger.seconds


def _remove(store: Store, refs: Mapping[str, str]) -> None:
    """Remove `refs` that still name these objects. What somebody else moved or removed meanwhile is theirs."""
    if not refs:
        return
    try:
        store.update([(ref, None, oid) for ref, oid in refs.items()])
    except Failed:
        for ref, oid in refs.items():
            try:
                store.update([(ref, None, oid)])
            except Failed:
                continue


def _recognise(store: Store, progress: Progress) -> Place:
    """The ledger in a bare repository that is no host yet, verified from its genesis to its newest snapshot."""
    name, oids = _line(store)
    trusted = genesis(store, oids[-1], digest(store.read(oids[-1], "commit")))
    for done, oid in enumerate(reversed(oids[:-1]), start=1):
        trusted = advance(trusted, oid)
        progress(done, len(oids) - 1)
    place = Place(store, "host", trusted.state.ledger_id, name)
    _must_have_line(place, trusted)
    return place


def _line(store: Store) -> tuple[str, list[str]]:
    """The name of the ledger in `store`, and its snapshots as they say of themselves, newest first."""
    names = [name for ref in store.refs("refs/heads/") if _says(store, ref, name := ref.removeprefix("refs/heads/"))]
    if len(names) != 1:
        raise Usage(
            "no-ledger-here",
            f"{store.git_dir} has {len(names)} branches whose newest commit is a snapshot of their name, not one",
            "gitledger init DIR founds a ledger; git clone --bare copies one",
        )
    oids = [oid := store.refs("refs/heads/")[f"refs/heads/{names[0]}"]]
    while parents := Commit.parse(store.read(oid, "commit")).parents:
        oids.append(oid := parents[0])
    return names[0], oids


def _says(store: Store, ref: str, name: str) -> bool:
    """Whether the branch calls itself a line of snapshots of the ledger `name`."""
    try:
        oid = store.resolve(ref)
        return oid is not None and Entry.parse(Commit.parse(store.read(oid, "commit")).message).name == name
    except Refused | Malformed:
        return False


def _must_have_line(place: Place, newest: Snapshot) -> None:
    """Every tag of a snapshot names the snapshot of that number on the line."""
    prefix = f"{place.tag(0)[:-1]}"
