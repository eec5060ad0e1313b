"""How the ledger stands for whoever asks: a reader, a proposer, the witness.

Nothing is fetched and nothing is moved: it is told as it was last fetched. What becomes of a proposal is decided by
`rules/queue.py`, as for the witness and the host.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gitledger.errors import LedgerError, Wanting
from gitledger.objects.codec import Commit
from gitledger.roles import consumer, witness
from gitledger.roles.journal import Journal
from gitledger.roles.place import INCOMING, Place
from gitledger.roles.witness import Plan
from gitledger.rules import proposal, queue, refusal
from gitledger.rules.entry import Entry
from gitledger.rules.proposal import Proposal
from gitledger.rules.queue import REFUSAL_REF, Queue
from gitledger.rules.state import State
from gitledger.rules.transition import apply


@dataclass(frozen=True, slots=True)
class Own:
    """A proposal of one's own domain: `ref` on the host (empty once it has gone), and how it stands.

    `error` is None where it is ready for `number`; Wanting where it waits, and says for what; else why it is refused,
    with the mend. `proposal` is None where the ref can't be read as a line.
    """

    ref: str
    proposal: Proposal | None
    number: int
    error: LedgerError | None

    @property
    def standing(self) -> str:
        """`ready`, `waits` or `refused`."""
        if self.error is None:
            return "ready"
        return "waits" if isinstance(self.error, Wanting) else "refused"


@dataclass(frozen=True, slots=True)
class Duty:
    """What is up to the witness: what an emission would do now, or why there can be none."""

    plan: Plan | None
    error: LedgerError | None


@dataclass(frozen=True, slots=True)
class Offered:
    """What a remote had when it was last fetched from, at `seconds` (None: not known).

    `number` is its newest where that is on the verified line; None where it offers what is not verified here.
    """

    remote: str
    number: int | None
    stale: bool
    seconds: int | None


@dataclass(frozen=True, slots=True)
class Status:
    """How the ledger `name` stands.

    `newest` is the newest verified snapshot, by name; `witness` its domain and key id. `pinned` is the snapshot that
    the checkout is detached at, `branch` the branch that is checked out; both are empty on a host and elsewhere.
    `domain` is that of the key `key_id`; without a key (`read_only`) nothing is one's own. `retired` says that this
    machine emitted for a key that is not the witness's any more: it may be switched off.
    """

    name: str
    role: str
    newest: str
    witness: tuple[str, str]
    pinned: str
    branch: str
    key_id: str
    domain: str
    own: tuple[Own, ...]
    duty: Duty | None
    retired: bool
    remotes: tuple[Offered, ...]

    @property
    def read_only(self) -> bool:
        """Whether no key is at hand."""
        return not self.key_id

    @property
    def behind(self) -> bool:
        """Whether the checkout is pinned at an older snapshot than the newest verified: `gitledger pin` moves it."""
        return bool(self.pinned) and self.pinned != self.newest

    @property
    def stale(self) -> tuple[Offered, ...]:
        """The remotes that had less than is verified here."""
        return tuple(one for one in self.remotes if one.stale)


def status(place: Place, key_id: str | None, *, remote: str = "origin") -> Status:
    """How the ledger stands at `place` for whoever has the key `key_id` (None: no key is at hand).

    The queue is that of the host, or as last fetched from `remote`. Raises what `Place.verified` raises.
    """
    snapshot = place.verified
    state = snapshot.state
    record = state.record(key_id) if key_id else None
    domain = record.domain_id if record else ""
    pinned, branch = checkout(place)
    serves = key_id == state.witness.pubkey_id
    return Status(
        name=place.name,
        role=place.role,
        newest=snapshot.name,
        witness=(state.witness.domain_id, state.witness.pubkey_id),
        pinned=pinned,
        branch=branch,
        key_id=key_id or "",
        domain=domain,
        own=tuple(_own(place, key_id, domain, remote)) if key_id else (),
        duty=_duty(place) if serves else None,
        retired=_retired(place),
        remotes=_offered(place),
    )


def checkout(place: Place) -> tuple[str, str]:
    """The snapshot that the checkout is detached at, and the branch that is checked out; empty where it is neither."""
    if place.store.work_tree is None:
        return "", ""
    head = place.store.head()
    if head.startswith("refs/heads/"):
        return "", head.removeprefix("refs/heads/")
    row = place.verified.state.line.snapshot(place.store, head)
    return (f"{place.name}@{row.number}" if row else ""), ""


def _own(place: Place, key_id: str, domain: str, remote: str) -> list[Own]:
    """What one's domain has in the queue, in the order of the witness, and receipts for what has left it."""
    state, refs = place.verified.state, place.queue_refs(remote)
    waiting = queue.read(state, refs)
    found: list[Own] = []
    for verdict in queue.decide(state, waiting):
        one = verdict.proposal
        if _is_own(one, state, key_id, domain):
            receipt = one.oid in waiting.decided
            error = _with_mend(one, state, verdict.error) if receipt and verdict.error else verdict.error
            found.append(Own(next(iter(waiting.refs(one.oid)), ""), one, verdict.number, error))
    if domain:
        mine = f"refs/proposals/{domain}/"
        found += [Own(ref, None, 0, error) for ref, error in waiting.unreadable.items() if ref.startswith(mine)]
    return found + _receipts(place, refs, waiting, key_id, domain)


def _receipts(place: Place, refs: Mapping[str, str], waiting: Queue, key_id: str, domain: str) -> list[Own]:
    """One's own that were refused and have no ref any more: the host keeps their receipts for the grace period."""
    state = place.verified.state
    found: list[Own] = []
    for ref, oid in sorted(refs.items()):
        match = REFUSAL_REF.fullmatch(ref)
        if match is None or match["proposal"] in waiting.proposals:
            continue
        try:
            one = proposal.read(place.store, match["proposal"])
            said = queue.receipt(refusal.read(place.store.read(oid, "tag"), one, state))
        except LedgerError:
            continue  # anybody may carry a ref there; what is no receipt says nothing
        if _is_own(one, state, key_id, domain):
            found.append(Own("", one, 0, _with_mend(one, state, said)))
    return found


def _is_own(one: Proposal, state: State, key_id: str, domain: str) -> bool:
    record = state.record(one.key.key_id)
    return one.key.key_id == key_id or (record is not None and record.domain_id == domain)


def _with_mend(one: Proposal, state: State, error: LedgerError) -> LedgerError:
    """A receipt names the rule; what mends it is what the rule would say now."""
    try:
        apply(state, one)
    except LedgerError as now:
        if now.rule == error.rule:
            error.mend = now.mend
    return error


def _duty(place: Place) -> Duty:
    try:
        return Duty(witness.plan(place, first_here=True), None)
    except LedgerError as error:
        return Duty(None, error)


def _retired(place: Place) -> bool:
    """Whether the last snapshot that was signed on this machine is by a key that is not the witness's any more."""
    try:
        last = Journal.of(place.anchor).last
        if last is None:
            return False
        signed = Entry.parse(Commit.parse(place.store.read(last.oid, "commit")).message)
    except LedgerError:
        return False
    return signed.witness_key != place.verified.state.witness.pubkey_id


def _offered(place: Place) -> tuple[Offered, ...]:
    newest, times = place.verified, consumer.fetched(place)
    found: list[Offered] = []
    for ref, oid in place.store.refs(INCOMING).items():
        remote, _, rest = ref.removeprefix(INCOMING).partition("/")
        if rest == f"heads/{place.name}":
            row = newest.state.line.snapshot(place.store, oid)
            number = None if row is None else row.number
            found.append(Offered(remote, number, number is not None and number < newest.number, times.get(remote)))
    return tuple(found)
