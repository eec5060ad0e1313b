"""What came from elsewhere and is in quarantine is taken: each thing checked as if it had been pushed (spec 12).

A host takes it by pushes to itself, through its hooks; a clone lets the same gate decide, and keeps what passes apart,
under `refs/gitledger/incoming/carried/`. Each thing comes on its own, so that one refusal keeps nothing else away.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from itertools import islice
from typing import Final

from gitledger.errors import LedgerError, Malformed, Refused
from gitledger.exchange import remotes
from gitledger.exchange.quarantine import Brought
from gitledger.objects.codec import Commit
from gitledger.objects.store import ABSENT
from gitledger.roles import consumer, gate, hold, offering, upkeep
from gitledger.roles.offering import Item
from gitledger.roles.place import CARRIED, Place
from gitledger.rules import proposal, queue, rotations
from gitledger.rules.entry import Entry
from gitledger.rules.proposal import Proposal
from gitledger.rules.queue import PROPOSAL_REF, REFUSAL_REF, SUPPORT_REF

JUDGED_REFS: Final = 1_000
"""How many refs are judged in one run, each perhaps by a push of its own; the next run goes on."""

_UNNAMED: Final = "<domain>"
"""Stands in what the gate suggests where it knows no domain."""


def take(place: Place, brought: Brought, now: int) -> tuple[Item, ...]:
    """Take what waits for a snapshot of what was `brought`, at `now`, in seconds; of snapshots it takes none.

    A head of another name than spec 2 has is proposed for the domain of its key, by the last part of its name. What is
    more than `JUDGED_REFS` is left. Raises Refused (`too-many-carried`) where a clone would keep too much.
    """
    view = place.through(brought.objects)
    meant, left = _meant(view, brought)
    items = list(left)
    here = place.queue_refs()
    waiting = queue.read(view.verified.state, {**here, **meant})
    proposals = waiting.proposals
    for ref, oid in list(meant.items()):
        if here.get(ref) == oid or _is_accepted(view, waiting.lines.get(ref), proposals, ref):
            items.append(Item(ref, "there", oid=oid))
            if not rotations.DRAFT_REF.fullmatch(ref):
                del meant[ref]
    together = offering.groups(meant, waiting)
    judged, later = _in_turn({ref: oid for ref, oid in group.items() if here.get(ref) != oid} for group in together)
    if place.role == "host":
        items += [item for group in judged for item in _push(place, brought, group)]
        return (*items, *later)
    items += _weighed(view, judged, dict(here), now)
    return (*_keep(place, brought, meant, items, now=now), *later)


def prepare(place: Place) -> None:
    """Finish what was interrupted here, before something is taken."""
    place.store.clear_stale_locks()
    if place.role == "clone":
        consumer.settle(place)


def push_snapshots(place: Place, brought: Brought, tip: str) -> Item:
    """Push to a host the snapshots up to `tip`, so that its hooks decide."""
    return _push(place, brought, {place.branch: tip})[0]


def bring(place: Place, brought: Brought, refs: Mapping[str, str]) -> None:
    """Make what is below `CARRIED` those of `refs`, with the objects that only the quarantine has."""
    have = {ref: oid for ref, oid in refs.items() if place.store.resolve(CARRIED + ref.removeprefix("refs/")) != oid}
    brought.repository.update([(ref, oid, None) for ref, oid in have.items()])
    remotes.fetch(place.store, str(brought.repository.git_dir), refs, into=CARRIED)


# What it is


def _meant(view: Place, brought: Brought) -> tuple[dict[str, str], list[Item]]:
    """The refs that were meant, as spec 2 names them, rotations last; and what is left alone, with the reason.

    Stock git brings ordinary branches: such a one is proposed for the domain of its key, by its name.
    """
    meant: dict[str, str] = {}
    left: list[Item] = []
    state = view.verified.state
    for ref, oid in brought.refs.items():
        if ref == "HEAD" or (ref == view.branch and brings_snapshots(view, oid)):
            continue
        if queue.is_ref(ref) or rotations.is_ref(ref):
            meant[ref] = oid
        elif ref == view.branch and (kind := brought.objects.size(oid)[0]) != "commit":
            left.append(Item(ref, "refused", f"it names a {kind}, and snapshots are commits", oid))
        elif not ref.startswith("refs/heads/") or brought.objects.size(oid)[0] != "commit":
            left.append(Item(ref, "left", "it is not in the table of what may be pushed", oid))
        elif state.line.snapshot(view.store, oid) is not None:
            left.append(Item(ref, "there", "it is a snapshot", oid))
        else:
            named = proposed_as(view, ref, oid)
            if not PROPOSAL_REF.fullmatch(named):
                left.append(Item(ref, "refused", _why_no_domain(view, oid, named), oid))
            elif named in meant or named in brought.refs:
                why = f"{named}, as which it would be proposed, is there besides"
                left.append(Item(ref, "refused", why, oid))
            else:
                meant[named] = oid
    return meant, left


def brings_snapshots(view: Place, tip: str) -> bool:
    """Whether `tip` calls itself a snapshot. A branch of the ledger's name that does not holds proposals, as others."""
    try:
        return calls_itself_snapshot(Commit.parse(view.store.read(tip, "commit")))
    except LedgerError:
        return False


def calls_itself_snapshot(commit: Commit) -> bool:
    """Whether its message is one of a snapshot."""
    try:
        Entry.parse(commit.message)
    except Malformed:
        return False
    return True


def _why_no_domain(view: Place, oid: str, named: str) -> str:
    try:
        proposal.read(view.store, oid)
    except LedgerError as error:  # nobody's yet
        return f"{error}"
    return f"no domain has the key that signed {oid}: name it {named}"


def proposed_as(view: Place, ref: str, oid: str) -> str:
    """The ref under which the head `ref` is proposed: by the domain of its key, or the one that it registers.

    It is none of a proposal where neither is known.
    """
    named = gate.proposal_ref(view.store, view.verified.state, gate.Update(ABSENT, oid, ref))
    return named if _UNNAMED not in named else named.replace(_UNNAMED, registers(view, oid) or _UNNAMED)


def registers(view: Place, oid: str) -> str | None:
    """The domain that the line which ends in `oid` would register; None where it would register none."""
    state = view.verified.state
    try:
        line = queue.read_line(state, oid, state.policy.limits.pending_per_domain)
        return [transition.who.domain for transition in queue.play(state, line)][-1]
    except (LedgerError, IndexError):
        return None


def _is_accepted(view: Place, line: tuple[Proposal, ...] | None, waiting: Container[str], ref: str) -> bool:
    """Whether a snapshot has accepted what `ref` is about: its `line`, or a proposal that is none of the `waiting`."""
    if PROPOSAL_REF.fullmatch(ref):
        return line == ()
    match = SUPPORT_REF.fullmatch(ref) or REFUSAL_REF.fullmatch(ref)
    return match is not None and match["proposal"] not in waiting and view.has_accepted(match["proposal"])


# How it is taken


def _in_turn(groups: Iterable[Mapping[str, str]]) -> tuple[list[Mapping[str, str]], list[Item]]:
    """What is judged now, and what is left to the next run; a group is parted only where it fits in no run."""
    judged: list[Mapping[str, str]] = []
    later: list[Item] = []
    room = JUDGED_REFS
    why = f"more than {JUDGED_REFS:,} refs are new here: take it in again, and the rest is judged"
    for group in filter(None, groups):
        fits = room if len(group) <= room or not judged else 0
        if fits:
            judged.append(dict(islice(group.items(), fits)))
        left = [Item(ref, "left", why, oid) for ref, oid in islice(group.items(), fits, None)]
        room = 0 if left else room - len(group)
        later += left
    return judged, later


def _push(place: Place, brought: Brought, refs: Mapping[str, str]) -> list[Item]:
    return offering.pushed(brought.repository, str(place.store.git_dir), refs)


def _weighed(view: Place, groups: Iterable[Mapping[str, str]], waiting: dict[str, str], now: int) -> list[Item]:
    """Let the gate decide in a clone what a host would say to a push of each, with `waiting`, which grows by each.

    Which of two versions stays is left to `Place.merged`: only the host knows what it has by now.
    """

    def weigh(refs: Mapping[str, str]) -> str:
        updates = [gate.Update(ABSENT, oid, ref) for ref, oid in refs.items()]
        if refused := gate.decide(view, updates, now, waiting).refused:
            raise Refused("refused-here", f"{refused[0][1]}", "\n".join(f"{error}" for _, error in refused))
        waiting.update(view.merged({ref: waiting[ref] for ref in refs if ref in waiting}, refs))
        return ""

    return [item for group in groups for item in offering.offered(weigh, group)]


def _keep(place: Place, brought: Brought, meant: Mapping[str, str], items: list[Item], *, now: int) -> list[Item]:
    """Keep in a clone what was taken; what is decided, or older than what is here, is there already."""
    view = place.through(brought.objects)
    taken = {item.ref: meant[item.ref] for item in items if item.outcome == "taken"}
    after = view.merged(taken, place.carried())
    gone = upkeep.over(view.verified, view.merged(place.queue_refs(), after), now)
    after = {ref: oid for ref, oid in after.items() if ref not in gone}
    if len(after) > consumer.QUEUE_LIMIT:
        raise Refused(
            "too-many-carried", f"more than {consumer.QUEUE_LIMIT:,} refs would be kept here", "gitledger proposals"
        )
    bring(place, brought, after)
    hold.note(Place.of(place.store), now)
    decided = "it is decided, or a later one is here"
    older = {ref for ref, oid in taken.items() if after.get(ref) != oid}
    return [Item(item.ref, "there", decided, item.oid) if item.ref in older else item for item in items]
