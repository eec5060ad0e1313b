"""What came from elsewhere and is in quarantine is taken: each thing checked as if it had been pushed (spec 12).

A host takes it by pushes to itself, through its hooks; a clone lets the same gate decide, and keeps what passes apart,
under `refs/gitledger/incoming/carried/`. Each thing comes on its own, so that one refusal keeps nothing else away.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from gitledger.errors import LedgerError, Refused
from gitledger.exchange import remotes
from gitledger.exchange.quarantine import Brought
from gitledger.objects.store import ABSENT
from gitledger.roles import consumer, gate, hold, offering, upkeep
from gitledger.roles.offering import Item
from gitledger.roles.place import CARRIED, Place
from gitledger.rules import queue, rotations
from gitledger.rules.queue import ENDORSEMENT_REF, PROPOSAL_REF, REFUSAL_REF

_UNNAMED: Final = "<domain>"
"""Stands in what the gate suggests where it knows no domain."""


def take(place: Place, brought: Brought, now: int) -> tuple[Item, ...]:
    """Take what waits for a snapshot of what was `brought`, at `now`, in seconds; of snapshots it takes none.

    A head of another name than spec 2 has is proposed for the domain of its key, by the last part of its name. Raises
    Refused (`too-many-carried`) where a clone would keep too much.
    """
    view = Place(brought.objects, place.role, place.anchor, place.name)
    meant, left = _meant(view, brought)
    items = list(left)
    here = place.queue_refs()
    waiting = queue.read(view.verified.state, {**here, **meant})
    for ref, oid in list(meant.items()):
        if here.get(ref) == oid or _is_accepted(view, waiting, ref):
            items.append(Item(ref, "there", oid=oid))
            if not rotations.DRAFT_REF.fullmatch(ref):
                del meant[ref]
    clone = place.role == "clone"
    grown = _Growing(view.store, view.role, view.anchor, view.name)
    for group in offering.groups(meant, waiting):
        if new := {ref: oid for ref, oid in group.items() if here.get(ref) != oid}:
            items += offering.offered(partial(_weigh, grown, now), new) if clone else _push(place, brought, new)
    return tuple(_keep(place, brought, meant, items, now=now) if clone else items)


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
        if ref in (view.branch, "HEAD"):
            continue
        if queue.is_ref(ref) or rotations.is_ref(ref):
            meant[ref] = oid
        elif not ref.startswith("refs/heads/") or brought.objects.size(oid)[0] != "commit":
            left.append(Item(ref, "left", "it is not in the table of what may be pushed", oid))
        elif state.line.snapshot(view.store, oid) is not None:
            left.append(Item(ref, "there", "it is a snapshot", oid))
        else:
            named = _proposed_as(view, ref, oid)
            if not PROPOSAL_REF.fullmatch(named):
                why = f"no domain has the key that signed {oid}: name it {named}"
                left.append(Item(ref, "refused", why, oid))
            elif named in meant or named in brought.refs:
                why = f"{named}, as which it would be proposed, is there besides"
                left.append(Item(ref, "refused", why, oid))
            else:
                meant[named] = oid
    return meant, left


def _proposed_as(view: Place, ref: str, oid: str) -> str:
    """The ref under which the head `ref` is proposed: by the domain of its key, or the one that it registers."""
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


def _is_accepted(view: Place, waiting: queue.Queue, ref: str) -> bool:
    """Whether a snapshot has accepted what `ref` is about."""
    if PROPOSAL_REF.fullmatch(ref):
        return waiting.lines.get(ref) == ()
    match = ENDORSEMENT_REF.fullmatch(ref) or REFUSAL_REF.fullmatch(ref)
    if match is None or match["proposal"] in waiting.proposals:
        return False
    try:
        return view.verified.state.line.acceptance(view.store, match["proposal"]) is not None
    except LedgerError:
        return False


# How it is taken


def _push(place: Place, brought: Brought, refs: Mapping[str, str]) -> list[Item]:
    return offering.pushed(brought.repository, str(place.store.git_dir), refs)


@dataclass(frozen=True)
class _Growing(Place):
    """A clone as it will be once it keeps `more`, too."""

    more: dict[str, str] = field(default_factory=dict)

    def queue_refs(self, remote: str = consumer.ORIGIN) -> Mapping[str, str]:
        return self.merged(super().queue_refs(remote), self.more)


def _weigh(view: _Growing, now: int, refs: Mapping[str, str]) -> str:
    """Let the gate decide in a clone what a host would say to a push of `refs`. Raises Refused with its words.

    Which of two versions stays is left to `Place.merged`: only the host knows what it has by now.
    """
    refused = gate.decide(view, [gate.Update(ABSENT, oid, ref) for ref, oid in refs.items()], now).refused
    if refused:
        raise Refused("refused-here", f"{refused[0][1]}", "\n".join(f"{error}" for _, error in refused))
    view.more.update(refs)
    return ""


def _keep(place: Place, brought: Brought, meant: Mapping[str, str], items: list[Item], *, now: int) -> list[Item]:
    """Keep in a clone what was taken; what is decided, or older than what is here, is there already."""
    view = Place(brought.objects, place.role, place.anchor, place.name)
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
