"""What waits, in which order, and what becomes of it (spec 4, In the queue; spec 9, Order).

The witness takes proposals by salt, ties by proposal hash, a line from its base on. What lacks nothing but
endorsements waits; what can no longer become valid is refused. `decide` plays that order, for emission, for its dry
run, for the host and for whoever asks where a proposal stands.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from gitledger.errors import LedgerError, Malformed, Refused, Unsound, Wanting, about
from gitledger.objects.codec import Commit
from gitledger.rules import proposal, refusal, support
from gitledger.rules.entry import Entry
from gitledger.rules.proposal import Proposal
from gitledger.rules.refusal import Refusal
from gitledger.rules.state import State
from gitledger.rules.support import NOTHING, Support
from gitledger.rules.transition import Transition, apply, rebase

PROPOSAL_REF = re.compile(
    r"refs/proposals/(?P<domain>[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)/(?P<topic>[a-z0-9](?!.*\.\.)[a-z0-9._-]{0,99})"
    r"(?<!\.lock)(?<!\.)"
)
SUPPORT_REF = re.compile(
    r"refs/(?:endorsements|releases)/(?P<proposal>[0-9a-f]{40})/(?P<by>[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)"
)
"""Endorsements, `by` a domain, and releases, `by` a key's name."""
REFUSAL_REF = re.compile(r"refs/refusals/(?P<proposal>[0-9a-f]{40})")
REFS = (PROPOSAL_REF, SUPPORT_REF, REFUSAL_REF)
"""The forms of the refs that make the queue (spec 2)."""

Accept = Callable[[Transition, Support], State]


@dataclass(frozen=True, slots=True)
class Queue:
    """What refs/proposals, refs/endorsements, refs/releases and refs/refusals hold, read against a state.

    `lines` maps each proposal ref to its undecided proposals, base first; `support` has the raw tags of releases and
    endorsements by proposal oid; `decided` the receipts by proposal oid; `unreadable` the refs that hold no line,
    with the reason.
    """

    lines: Mapping[str, tuple[Proposal, ...]]
    support: Mapping[str, tuple[bytes, ...]]
    decided: Mapping[str, Refusal]
    unreadable: Mapping[str, LedgerError] = field(default_factory=dict)

    @property
    def proposals(self) -> dict[str, Proposal]:
        """Every proposal that waits, by oid."""
        return {one.oid: one for line in self.lines.values() for one in line}

    def refs(self, oid: str) -> tuple[str, ...]:
        """The refs whose line holds the proposal."""
        return tuple(ref for ref, line in self.lines.items() if any(one.oid == oid for one in line))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a proposal in its turn: `error` is None (ready), Wanting (it waits), or why it is refused.

    `number` is the snapshot number that a ready one gets.
    """

    proposal: Proposal
    number: int = 0
    transition: Transition | None = None
    support: Support = NOTHING
    error: LedgerError | None = None

    @property
    def ready(self) -> bool:
        return self.error is None

    @property
    def waits(self) -> bool:
        return isinstance(self.error, Wanting)


def is_ref(ref: str) -> bool:
    """Whether `ref`, a full name, is one of those that make the queue."""
    return any(form.fullmatch(ref) for form in REFS)


def read_line(state: State, tip: str, limit: int) -> tuple[Proposal, ...]:
    """The undecided proposals of the line that ends in the commit `tip`, base first, at most `limit`.

    Raises Refused (`base-unknown`, `too-many-pending`), or what reading one of them raises.
    """
    objects, line = state.objects, state.line
    oids: list[str] = []
    oid = tip
    while (row := line.snapshot(objects, oid)) is None and (row := line.found(oid)) is None:
        oids.append(oid)
        if len(oids) > state.number + limit:
            raise _too_many(limit)
        with about(f"commit {oid[:12]}"):
            commit = Commit.parse(objects.read(oid, "commit"))
            if len(commit.parents) != 1:
                _must_not_be_foreign(state, oid, commit)
                proposal.must_have_base(commit, state.line.last.snapshot)
        oid = commit.parents[0]
    undecided: list[str] = []
    for oid in oids:
        if line.acceptance(objects, oid, floor=row.number) is not None:
            break
        undecided.append(oid)
        if len(undecided) > limit:
            raise _too_many(limit)
    read: list[Proposal] = []
    for oid in reversed(undecided):
        with about(f"commit {oid[:12]}"):
            read.append(proposal.read(objects, oid))
    return tuple(read)


def read(state: State, refs: Mapping[str, str]) -> Queue:
    """The queue that `refs` (full ref name to oid) hold, as far as it can be read."""
    lines: dict[str, tuple[Proposal, ...]] = {}
    unreadable: dict[str, LedgerError] = {}
    limit = state.policy.limits.pending_per_domain
    for ref, oid in sorted(refs.items()):
        if PROPOSAL_REF.fullmatch(ref):
            try:
                lines[ref] = read_line(state, oid, limit)
            except LedgerError as error:
                unreadable[ref] = error
    proposals = {one.oid: one for line in lines.values() for one in line}
    supports: dict[str, tuple[bytes, ...]] = {}
    decided: dict[str, Refusal] = {}
    for ref, oid in sorted(refs.items()):
        match = SUPPORT_REF.fullmatch(ref) or REFUSAL_REF.fullmatch(ref)
        about_one = proposals.get(match["proposal"]) if match else None
        if about_one is None:
            continue
        try:
            content = state.objects.read(oid, "tag")
            if REFUSAL_REF.fullmatch(ref):
                decided[about_one.oid] = refusal.read(content, about_one, state)
            else:
                supports[about_one.oid] = (*supports.get(about_one.oid, ()), content)
        except LedgerError as error:
            unreadable[ref] = error
    return Queue(lines, supports, decided, unreadable)


def play(state: State, line: Sequence[Proposal]) -> Iterator[Transition]:
    """The transitions of a line of proposals, base first, each on the state that the one before gives.

    Raises what `apply` raises for the first that is not possible; endorsements are not counted.
    """
    for one in line:
        transition = apply(state, one)
        yield transition
        state = transition.after


def suppose(transition: Transition, support: Support) -> State:
    """The `accept` of a dry run: the state that acceptance would give."""
    return transition.after


def decide(state: State, queue: Queue, seconds: int, accept: Accept = suppose) -> Iterator[Verdict]:
    """Yield a verdict for each undecided proposal, in the order of the witness, who dates snapshots `seconds`.

    That is `Snapshot.next_seconds` of the newest, for the witness and for whoever asks what it will do.

    `accept` is called for each that is ready, before it is yielded, and returns the state that follows.
    """
    proposals = queue.proposals
    followers: dict[str, list[Proposal]] = {}
    for one in proposals.values():
        followers.setdefault(one.base, []).append(one)
    turns: list[tuple[int, str, Proposal]] = []

    def enter(base: str, previous: int) -> Iterator[Verdict]:
        for one in followers.get(base, ()):
            try:
                heapq.heappush(turns, (one.salt(previous), one.hash, one))
            except LedgerError as error:
                yield from stop(one, error)

    def stop(one: Proposal, error: LedgerError) -> Iterator[Verdict]:
        """The verdict on one that is not accepted, and on all that stand on it."""
        stopped = [(one, error.with_traceback(None))]  # which would hold all that was at work
        while stopped:
            one, error = stopped.pop()
            yield Verdict(one, error=error)
            stopped += [(follower, _follows(one, error)) for follower in followers.get(one.oid, ())]

    for base in followers:
        if base not in proposals:
            row = (
                state.line.acceptance(state.objects, base) if state.line.snapshot(state.objects, base) is None else None
            )
            yield from enter(base, row.salt if row else 0)
    while turns:
        salt, _, one = heapq.heappop(turns)
        if one.oid in queue.decided:
            yield from stop(one, receipt(queue.decided[one.oid]))
            continue
        try:
            state.must_be_known_format()
        except Refused as error:  # it is this software that can't go on: nothing is decided by it
            yield from stop(one, Wanting(error.rule, error.what, error.mend))
            continue
        try:
            transition = apply(state, one)
            transition.must_be_in_time(seconds)
            found = support.gathered(queue.support.get(one.oid, ()), transition, state.policy)
            support.must_be_enough(found, transition)
        except (Refused, Malformed) as error:
            yield from stop(one, error)
            continue
        except Unsound as error:  # an object of it is missing or damaged here, which says nothing of the proposal
            yield from stop(one, Wanting(error.rule, error.what, error.mend))
            continue
        state = accept(transition, found)
        yield Verdict(one, state.number, transition, found)
        yield from enter(one.oid, salt)


def _follows(one: Proposal, error: LedgerError) -> LedgerError:
    said = f"it stands on the proposal {one.oid[:12]} ({one.summary}), which "
    if isinstance(error, Wanting):
        return Wanting("line-waits", said + "waits", error.mend)
    return Refused(
        "base-refused",
        said + f"is refused [{error.rule}]",
        "propose it again on a snapshot: git -c commit.gpgsign=true rebase --onto SNAPSHOT " + one.oid,
    )


def receipt(receipt: Refusal) -> LedgerError:
    """What a receipt says of its proposal, as an error: withdrawn, or the rule and the sentence of the refusal."""
    if receipt.verb == refusal.WITHDRAWN:
        return Refused("withdrawn", "it was withdrawn by its proposer")
    rule, _, sentence = receipt.reason.partition(" ")
    return Refused(rule, f"{sentence} (refused at {receipt.at})")


def _too_many(limit: int) -> Refused:
    return Refused(
        "too-many-pending",
        f"more than {limit} proposals stand one on another; limits.pending_per_domain is {limit}",
        "squash them, or wait until some are numbered",
    )


def _must_not_be_foreign(state: State, oid: str, commit: Commit) -> None:
    try:
        entry = Entry.parse(commit.message)
    except Malformed:
        return
    raise Refused(
        "base-unknown",
        f"{oid} calls itself {entry.snapshot} and is no snapshot of this ledger up to {state.snapshot_name}",
        rebase(state, oid),
    )
