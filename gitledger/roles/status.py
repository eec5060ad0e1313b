"""How the ledger stands for whoever asks: a reader, a proposer, an authority, the witness of now and the one to come.

Nothing is fetched and nothing is moved: it is told as it was last fetched. What becomes of a proposal is decided by
`rules/queue.py`, as for the witness and the host; what becomes of a rotation by `rules/rotations.py`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gitledger.errors import LedgerError, Wanting
from gitledger.roles import consumer, foreign, hold, mirrors, sending, witness
from gitledger.roles.foreign import KnownFork
from gitledger.roles.hold import Frozen
from gitledger.roles.journal import Journal
from gitledger.roles.mirrors import Standing
from gitledger.roles.place import INCOMING, Place
from gitledger.roles.witness import Plan
from gitledger.rules import endorsement, proposal, queue, refusal, rotations
from gitledger.rules.proposal import Proposal
from gitledger.rules.queue import REFUSAL_REF, Queue
from gitledger.rules.rotations import Drafted
from gitledger.rules.state import Snapshot, State
from gitledger.rules.transition import apply

_UNITS: Final = {"d": ("days", 86_400), "h": ("hours", 3_600)}


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
class Turn:
    """A rotation that waits on the newest snapshot, for whoever asks.

    `yours` says that the endorsement of the key at hand is missing and would count, `seals` that the rotation is
    complete and names this key. `until` is the second at which the grace of a complete one ends, 0 where it is over.
    """

    waiting: Drafted
    yours: bool
    seals: bool
    until: int

    @property
    def count(self) -> tuple[int, int]:
        """How many have endorsed it, and how many it takes."""
        return len(self.waiting.endorsements), self.waiting.rotation.endorsements.threshold


@dataclass(frozen=True, slots=True)
class Quiet:
    """The witness has been silent for `seconds`, longer than the policy's `grace` (such as `30d`).

    `may_rotate` says whether the policy lets the authorities rotate it; `yours` that the key at hand is one of theirs.
    """

    seconds: int
    grace: str
    may_rotate: bool
    yours: bool

    @property
    def told(self) -> tuple[int, int, str]:
        """The silence and the grace period, whole, in the unit that the policy says the latter in, and that unit."""
        unit, length = _UNITS[self.grace[-1]]
        return self.seconds // length, int(self.grace[:-1]), unit


@dataclass(frozen=True, slots=True)
class Duty:
    """What is up to the witness, or to who is to be: what an emission would do now, or why there can be none."""

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

    `newest` is the newest verified snapshot, by name; `witness` its domain and key id, `rotated` the snapshot by which
    it came, empty for the genesis witness. `forks` are those not resolved, `rotations` those that wait on `newest`.
    `pinned` is the snapshot that the checkout is detached at, `branch` the branch that is checked out; both are empty
    on a host and elsewhere. `beside` is the snapshot that it is at where only another side of a fork holds that.
    `domain` is that of the key `key_id`; without a key (`read_only`) nothing is one's own.
    `retired` says that this machine emitted for a key that is not the witness's any more: it may be switched off.
    `remotes` are those that a clone fetched from, `mirrors` those that a host pushes to; `kept` is what waits in a
    clone until its host answers, by the refs that it will have there, `refused` what the host refused of that, with the
    rule.
    """

    name: str
    role: str
    newest: str
    witness: tuple[str, str]
    rotated: str
    forks: tuple[KnownFork, ...]
    frozen: Frozen | None
    rotations: tuple[Turn, ...]
    quiet: Quiet | None
    pinned: str
    branch: str
    beside: str
    key_id: str
    domain: str
    own: tuple[Own, ...]
    duty: Duty | None
    retired: bool
    remotes: tuple[Offered, ...]
    mirrors: tuple[Standing, ...]
    kept: tuple[str, ...]
    refused: Mapping[str, str]

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


def status(place: Place, key_id: str | None, *, remote: str = "origin", now: int | None = None) -> Status:
    """How the ledger stands at `place` for whoever has the key `key_id` (None: no key is at hand).

    The queue is that of the host, or as last fetched from `remote`. `now` is this machine's clock, in seconds since
    1970. Raises what `Place.verified` raises.
    """
    now = int(time.time()) if now is None else now
    snapshot = place.verified
    state = snapshot.state
    record = state.record(key_id) if key_id else None
    domain = record.domain_id if record else ""
    pinned, branch = checkout(place)
    elsewhere = place.store.work_tree is not None and not (pinned or branch)
    emits = key_id is not None and witness.may_emit(place, key_id, remote)
    refused = sending.refused(place) if place.role == "clone" else {}
    return Status(
        name=place.name,
        role=place.role,
        newest=snapshot.name,
        witness=(state.witness.domain_id, state.witness.pubkey_id),
        rotated=state.witness.since if state.witness.rotation_artifact else "",
        forks=_forks(place),
        frozen=hold.frozen(place, now) if place.role == "host" else None,
        rotations=_turns(place, key_id, remote, now),
        quiet=_quiet(snapshot, key_id, now),
        pinned=pinned,
        branch=branch,
        beside=foreign.name_of(place, place.store.head()) if elsewhere else "",
        key_id=key_id or "",
        domain=domain,
        own=tuple(_own(place, key_id, domain, remote, now)) if key_id else (),
        duty=_duty(place, key_id, remote, now) if emits else None,
        retired=_retired(place),
        remotes=offered(place),
        mirrors=mirrors.standings(place),
        kept=tuple(sorted(place.carried().keys() - refused.keys())) if place.role == "clone" else (),
        refused=refused,
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


def _own(place: Place, key_id: str, domain: str, remote: str, now: int) -> list[Own]:
    """What one's domain has in the queue, in the order of the witness, and receipts for what has left it."""
    state, refs = place.verified.state, place.queue_refs(remote)
    waiting = queue.read(state, refs)
    found: list[Own] = []
    for verdict in queue.decide(state, waiting, place.verified.next_seconds(now)):
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
    whose = record.domain_id if record else one.domain if one.certificate else ""
    return one.key.key_id == key_id or bool(whose and whose == domain)


def _with_mend(one: Proposal, state: State, error: LedgerError) -> LedgerError:
    """A receipt names the rule; what mends it is what the rule would say now."""
    try:
        apply(state, one)
    except LedgerError as now:
        if now.rule == error.rule:
            error.mend = now.mend
    return error


def _forks(place: Place) -> tuple[KnownFork, ...]:
    """The forks that were seen and are not resolved; a host, which takes nothing from elsewhere, sees none."""
    return () if place.role == "host" else foreign.forks(place)


def _turns(place: Place, key_id: str | None, remote: str, now: int) -> tuple[Turn, ...]:
    """The rotations on the newest snapshot, in the order of the refs."""
    newest = place.verified
    ends = {one.hash: until for one, until in hold.held(place, now)}
    mine = {domain for domain, authority in endorsement.electors(newest.state.policy) if authority == key_id}
    return tuple(
        Turn(
            one,
            yours=not mine.isdisjoint(one.missing[1]),
            seals=one.complete and one.new[1] == key_id,
            until=ends.get(one.hash, 0),
        )
        for one in rotations.read(newest, place.rotation_refs(remote)).waiting
        if not one.stale
    )


def _quiet(newest: Snapshot, key_id: str | None, now: int) -> Quiet | None:
    policy, seconds = newest.state.policy, now - newest.seconds
    if seconds <= max(policy.grace_seconds, _UNITS[policy.witness_policy.grace_period[-1]][1]):
        return None
    yours = any(key_id == authority for _, authority in endorsement.electors(policy))
    return Quiet(seconds, policy.witness_policy.grace_period, policy.rotation_allowed, yours)


def _duty(place: Place, key_id: str | None, remote: str, now: int) -> Duty:
    try:
        return Duty(witness.plan(place, key_id, remote=remote, first_here=True, now=now), None)
    except LedgerError as error:
        return Duty(None, error)


def _retired(place: Place) -> bool:
    """Whether the last snapshot that was signed on this machine is by a key that is not the witness's any more."""
    try:
        last = Journal.of(place.anchor).last
    except LedgerError:
        return False
    return last is not None and last.key != place.verified.state.witness.pubkey_id


def offered(place: Place) -> tuple[Offered, ...]:
    """What each remote of a clone had when it was last fetched from."""
    newest, times = place.verified, consumer.fetched(place)
    found: list[Offered] = []
    for ref, oid in place.store.refs(INCOMING).items():
        remote, _, rest = ref.removeprefix(INCOMING).partition("/")
        if rest == f"heads/{place.name}":
            row = newest.state.line.snapshot(place.store, oid)
            number = None if row is None else row.number
            found.append(Offered(remote, number, number is not None and number < newest.number, times.get(remote)))
    return tuple(found)
