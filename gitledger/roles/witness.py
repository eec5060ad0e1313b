"""The witness: takes what waits in order, numbers it, signs it, refuses what can't be (spec 9, Order).

One snapshot a proposal, one atomic push. What was signed is in the journal before it is pushed, and what an earlier
run signed and did not publish is published first, byte for byte.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from gitledger.errors import Fork, LedgerError, Refused
from gitledger.exchange import remotes
from gitledger.objects.codec import Commit, Ident, sign_commit
from gitledger.objects.store import Store
from gitledger.roles.consumer import FetchReport
from gitledger.roles.journal import Journal
from gitledger.roles.place import Place, Progress, silent
from gitledger.rules import queue, refusal, snapshot
from gitledger.rules.advance import advance
from gitledger.rules.endorsement import Endorsement
from gitledger.rules.proposal import NAMESPACE, Proposal
from gitledger.rules.queue import Queue, Verdict
from gitledger.rules.state import Snapshot, State
from gitledger.rules.transition import Transition
from gitledger.signing.signers import Signer


@dataclass(frozen=True, slots=True)
class Plan:
    """What an emission now would do with `queue`: publish `unpublished` again, then number, let wait and refuse."""

    newest: Snapshot
    unpublished: tuple[Snapshot, ...]
    verdicts: tuple[Verdict, ...]
    queue: Queue

    @property
    def unreadable(self) -> Mapping[str, LedgerError]:
        """The refs that hold no line, with the reason."""
        return self.queue.unreadable

    @property
    def ready(self) -> tuple[Verdict, ...]:
        return tuple(verdict for verdict in self.verdicts if verdict.ready)

    @property
    def waiting(self) -> tuple[Verdict, ...]:
        return tuple(verdict for verdict in self.verdicts if verdict.waits)

    @property
    def refused(self) -> tuple[Verdict, ...]:
        return tuple(verdict for verdict in self.verdicts if not verdict.ready and not verdict.waits)


def plan(place: Place, *, first_here: bool = False, only: Sequence[str] | None = None) -> Plan:
    """What an emission would do with the queue as it was last fetched; nothing is signed or written.

    `only` are oids of proposals: nothing else is taken, but what they stand on; None takes all. Raises what `emit`
    raises.
    """
    journal = Journal.of(place.anchor)
    _must_be_first(place, journal, first_here)
    unpublished = _unpublished(place, journal)
    newest = unpublished[-1] if unpublished else place.verified
    waiting = _chosen(newest.state, place, only)
    return Plan(newest, unpublished, tuple(_undecided(waiting, newest.state)), waiting)


def emit(
    place: Place,
    signer: Signer,
    seconds: int,
    *,
    remote: str = "origin",
    first_here: bool = False,
    only: Sequence[str] | None = None,
    progress: Progress = silent,
) -> Plan:
    """Emit all that is ready, at `seconds` on this machine's clock, and return what was done.

    The queue is taken as it was last fetched. Raises Refused (`not-the-witness`, `first-here`, `host-forgot`), Fork
    where the line holds another snapshot than one signed here, and what the host refuses.
    """
    if place.role == "host":  # what is written here comes by no push, which would bring it to disk (spec 11)
        place = Place.of(Store.open(place.store.git_dir, durable=True))
    journal = Journal.of(place.anchor)
    with journal.locked():
        _must_be_first(place, journal, first_here)
        unpublished = _unpublished(place, journal)
        newest = unpublished[-1] if unpublished else place.verified
        if not unpublished:
            newest.state.must_be_known_format()
        must_be_witness(newest.state, signer)
        emission = _Emission(place, newest, signer, seconds, progress)
        waiting = _chosen(newest.state, place, only)
        done = Plan(newest, unpublished, tuple(emission.play(waiting)), waiting)
        tip = emission.newest
        if tip is not place.verified:
            journal.keep(place.store, place.verified, tip)
        refusals = {f"refs/refusals/{oid}": tag for oid, tag in emission.refusals.items()}
        updates = {place.branch: tip.oid, **refusals} if tip is not place.verified else refusals
        if updates:
            remotes.push(place.store, place.remote(remote), updates, atomic=True)
        journal.published(tip.number, tip.oid)
        if place.role == "clone":
            place.advanced(tip)
    return done


def must_be_current(report: FetchReport) -> None:
    """Raise unless the clone knows every snapshot that the host has, and no more: else a number could be signed twice.

    Raises Unreachable (`stale`), Refused (`behind`) where a snapshot waits because it is dated ahead of this clock.
    """
    report.must_not_be_stale()
    if report.ahead is not None:
        name, _ = report.ahead
        raise Refused(
            "behind",
            f"the host has {name}, which is dated more than a day ahead of this clock and waits here",
            "set this machine's clock, then again",
        )


def must_be_witness(state: State, signer: Signer) -> None:
    """Raise Refused (`not-the-witness`) unless `signer` is the witness of `state`."""
    witness = state.witness
    if signer.key.key_id != witness.pubkey_id:
        raise Refused(
            "not-the-witness",
            f"the witness of {state.name} is {witness.domain_id} with {witness.pubkey_id}, since {witness.since}; "
            f"this key is {signer.key.key_id}",
            "sign with the witness's key (--key), or leave it to the witness: proposals wait as long as they must",
        )


class _Emission:
    """One run: the newest snapshot, and the refusals that were signed."""

    def __init__(self, place: Place, newest: Snapshot, signer: Signer, seconds: int, progress: Progress) -> None:
        self.place = place
        self.newest = newest
        self.signer = signer
        self.seconds = max(seconds, newest.seconds)
        self.progress = progress
        self.refusals: dict[str, str] = {}

    def play(self, waiting: Queue) -> list[Verdict]:
        """Number what is ready and sign a receipt for what is refused."""
        total = len(waiting.proposals)
        verdicts: list[Verdict] = []
        for verdict in _undecided(waiting, self.newest.state, self.accept):
            verdicts.append(verdict)
            self.progress(len(verdicts), total)
        for verdict in verdicts:
            if verdict.error is not None and not verdict.waits:
                self.refusals[verdict.proposal.oid] = self.refuse(verdict.proposal, verdict.error)
        return verdicts

    def accept(self, transition: Transition, endorsements: tuple[Endorsement, ...]) -> State:
        store = self.place.store
        payload = snapshot.accepting(self.newest, transition, endorsements, self.seconds)
        transition.after.tree.write(store.write)
        oid = store.write("commit", sign_commit(payload, self.signer.sign(payload, NAMESPACE)))
        self.newest = advance(self.newest, oid)
        return self.newest.state

    def refuse(self, proposal: Proposal, error: LedgerError) -> str:
        state = self.newest.state
        domain = state.witness.domain_id
        tagger = Ident(domain, f"{domain}@{state.name}", self.seconds, "+0000")
        payload = refusal.refuse(proposal, state.snapshot_name, error, tagger)
        return self.place.store.write("tag", payload + self.signer.sign(payload, NAMESPACE))


def _undecided(waiting: Queue, state: State, accept: queue.Accept = queue.suppose) -> Iterator[Verdict]:
    """The verdicts on what has no receipt yet, each as its turn comes."""
    verdicts = queue.decide(state, waiting, accept)
    return (verdict for verdict in verdicts if verdict.proposal.oid not in waiting.decided)


def _chosen(state: State, place: Place, only: Sequence[str] | None) -> Queue:
    waiting = queue.read(state, place.queue_refs())
    if only is None:
        return waiting
    proposals = waiting.proposals
    wanted: set[str] = set()
    for oid in only:
        if oid not in proposals:
            raise Refused("not-waiting", f"no proposal {oid} waits", "gitledger proposals lists those that do")
        needed: Proposal | None = proposals[oid]
        while needed is not None:
            wanted.add(needed.oid)
            needed = proposals.get(needed.base)
    lines = {ref: tuple(one for one in line if one.oid in wanted) for ref, line in waiting.lines.items()}
    return Queue(lines, waiting.endorsements, waiting.decided, waiting.unreadable)


def _must_be_first(place: Place, journal: Journal, first_here: bool) -> None:
    """No number may be signed twice: this machine knows what it signed, or somebody says that it is the first."""
    last, verified = journal.last, place.verified
    if last is None:
        if first_here:
            return
        raise Refused(
            "first-here",
            f"this machine has never emitted for {place.name}; another one may hold a signed "
            f"{place.name}@{verified.number + 1} that is not published yet, and two of one number are a fork",
            "make sure that no other machine does, then: gitledger emit --first-here",
        )
    if last.number > verified.number:
        raise Refused(
            "host-forgot",
            f"this machine published {place.name}@{last.number}, and the host's newest is {verified.name}: "
            "it lost snapshots that consumers may hold",
            f"push them back from a clone that has them: git push HOST {place.branch}",
        )
    row = verified.state.line.row(place.store, last.number)
    if row.snapshot != last.oid:
        raise Fork(
            "fork",
            f"this machine signed {place.name}@{last.number} as {last.oid}, the ledger has {row.snapshot}",
            "somebody else signs with the witness's key: the authorities must rotate the witness",
        )


def _unpublished(place: Place, journal: Journal) -> tuple[Snapshot, ...]:
    """The snapshots that an earlier run signed and perhaps did not publish, beyond the newest published one."""
    tip = journal.pending(place.store)
    newest = place.verified
    if tip is None:
        return ()
    oids: list[str] = []
    while tip != newest.oid:
        oids.append(tip)
        commit = Commit.parse(place.store.read(tip, "commit"))
        if not commit.parents or newest.state.line.snapshot(place.store, tip) is not None:
            break
        tip = commit.parents[0]
    if tip != newest.oid:
        if newest.state.line.snapshot(place.store, oids[0]) is not None:
            return ()  # published after all, and more since
        raise Fork(
            "fork",
            f"this machine signed a snapshot after {tip}, which is not {newest.name}; what it signed was {oids[0]}",
            "the ledger went on without it: compare the two with git log, and have the authorities decide",
        )
    found: list[Snapshot] = []
    for oid in reversed(oids):
        newest = advance(newest, oid)
        found.append(newest)
    return tuple(found)
