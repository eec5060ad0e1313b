"""What was signed in a clone goes to the host, or is kept here until the host answers (spec 12).

What is kept waits under `refs/gitledger/incoming/carried/`, beside what was carried in, and counts in the queue as this
place sees it. It goes with whatever reaches the host next, and into the file that `gitledger carry out` writes. What is
decided, or is on the host in this version or a later one, is kept no more. What the host refused is not sent again by
itself: it stays until `gitledger withdraw` forgets it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from gitledger.errors import Failed, LedgerError, Unreachable
from gitledger.exchange import remotes
from gitledger.roles import offering, upkeep
from gitledger.roles.notes import REFUSED
from gitledger.roles.offering import Item
from gitledger.roles.place import Place
from gitledger.rules import queue
from gitledger.rules.queue import PROPOSAL_REF

_PASSING: Final = ("too-many-pending", "ref-moved", "missing-object", "base-unknown")
"""The rules of refusals that pass by themselves (the last where a host has less than is verified here)."""

# As the hook says it, on one line; a summary in it may have brackets, too.
_REFUSED = re.compile(
    r"(?P<ref>\S+) refused: .*?\[(?P<rule>[a-z0-9-]+)\](?= what to do:| refs/\S+ refused: | Nothing of this push |$)"
)


@dataclass(frozen=True, slots=True)
class Sent:
    """What the host said; or `kept`, why it could not be asked, where all of it is kept here to be carried.

    `besides` is what became of that which had been kept before.
    """

    said: str
    kept: LedgerError | None = None
    besides: tuple[Item, ...] = ()


def send(place: Place, refs: Mapping[str, str], *, remote: str, force: bool = False) -> Sent:
    """Push what is kept, then `refs`, full names on the host and object ids; a clone keeps them where no host answers.

    Raises what `remotes.push` raises otherwise.
    """
    besides: tuple[Item, ...] = ()
    try:
        besides = tidy(place, int(time.time()), remote)
        besides += deliver(place, remote)
        said = remotes.push(place.store, place.remote(remote), refs, force=force).said
    except Unreachable as error:
        if place.role == "host":
            raise
        place.keep(refs)
        return Sent("", error, besides)
    place.pushed(refs, remote)
    return Sent(said, besides=besides)


def deliver(place: Place, remote: str = "origin") -> tuple[Item, ...]:
    """Push what is kept in a clone, each thing on its own; what the host takes is kept no more. Raises Unreachable.

    What it refused before is left out, with all that was to come with it.
    """
    kept = place.carried() if place.role == "clone" else {}
    if not kept:
        return ()
    answers: list[list[Item]] = []
    before = refused(place)
    for group in offering.groups(kept, queue.read(place.verified.state, place.queue_refs(remote))):
        if next(iter(group)) in before:
            continue
        offered = {ref: oid for ref, oid in group.items() if ref not in before}
        came = offering.pushed(place.store, place.remote(remote), offered)
        taken = {item.ref: group[item.ref] for item in came if item.outcome == "taken"}
        place.pushed(taken, remote)
        _drop(place, taken | {item.ref: group[item.ref] for item in came if item.outcome == "there"})
        answers.append(came)
    for came in answers:  # at the end: what is noted is not told again, and nothing is told where one raises
        _note_refused(place, came)
    return tuple(item for came in answers for item in came)


def tidy(place: Place, now: int, remote: str = "origin") -> tuple[Item, ...]:
    """Drop in a clone what was carried or kept and waits no more, or is on the host in this or a later version.

    Returns the proposals among them that were replaced on the host by what does not build on them: they are lost there.
    """
    if place.role != "clone" or not (kept := place.carried()):
        return ()
    waiting, there = place.queue_refs(remote), place.on_host(remote)
    over = upkeep.over(place.verified, waiting, now)
    gone = {ref: oid for ref, oid in kept.items() if ref in over or waiting.get(ref) != oid or there.get(ref) == oid}
    _drop(place, gone)
    replaced = {ref: oid for ref, oid in gone.items() if PROPOSAL_REF.fullmatch(ref) and waiting[ref] != oid}
    if not replaced:
        return ()
    proposals = queue.read(place.verified.state, waiting).proposals
    lost = {ref: oid for ref, oid in replaced.items() if oid not in proposals and not place.has_accepted(oid)}
    return tuple(_replaced(ref, oid, waiting[ref]) for ref, oid in lost.items())


def refused(place: Place) -> dict[str, str]:
    """What is kept here and was refused by the host, with the rule by which; it is not sent again by itself."""
    kept = place.carried()
    said = REFUSED.read(place.directory) or {}
    return {ref: rule for ref, (oid, rule) in said.items() if kept.get(ref) == oid}


def forget(place: Place, named: str, remote: str = "origin") -> tuple[str, ...]:
    """Keep no more what `named` is, with what was kept for it, and return the refs of it; () where no such is kept.

    `named` is a ref, with or without `refs/`, the topic of a proposal or `domain/topic`, or an object id or its
    beginning. A line of several proposals loses its last one. Where it may be several, or another on the host, none is.
    """
    if place.role != "clone":
        return ()
    kept, there = place.carried(), place.on_host(remote)
    found = [ref for ref, oid in kept.items() if there.get(ref) != oid and _is_named(ref, oid, named)]
    others = [ref for ref, oid in there.items() if ref not in found and _is_named(ref, oid, named)]
    if len(found) != 1 or others:
        return ()
    ref, oid = found[0], kept[found[0]]
    about = [one for one in kept if one.split("/")[2] == oid]
    place.drop({one: kept[one] for one in (ref, *about)})
    line = queue.read(place.verified.state, {ref: oid}).lines.get(ref, ())
    if len(line) > 1 and there.get(ref) != line[-2].oid:
        place.keep({ref: line[-2].oid})
    return (ref, *about)


def _is_named(ref: str, oid: str, named: str) -> bool:
    if named in (ref, ref.removeprefix("refs/")):
        return True
    if not PROPOSAL_REF.fullmatch(ref):
        return False
    return ref.endswith(f"/{named}") or (len(named) >= 4 and oid.startswith(named))


def _replaced(ref: str, oid: str, other: str) -> Item:
    above, _, topic = ref.rpartition("/")
    again = f"git push origin {oid}:{above}/{topic[:98]}-2   (proposes it again, by another topic)"
    return Item(ref, "replaced", f"{oid[:12]} gives way to {other[:12]}, which the host has there\n{again}", oid)


def _note_refused(place: Place, items: Sequence[Item]) -> None:
    """Remember what the host refused for good.

    What was to come with a proposal that may come later is not: it was refused for the lack of that.
    """
    rules = {item.ref: (item.oid, _rule(item)) for item in items if item.outcome == "refused"}
    final = {ref: one for ref, one in rules.items() if one[1] not in ("", *_PASSING)}
    first = items[0].ref
    if not final or (first in rules and first not in final):
        return
    kept, said = place.carried(), (REFUSED.read(place.directory) or {}) | final
    REFUSED.write(place.directory, {ref: one for ref, one in said.items() if kept.get(ref) == one[0]})


def _rule(item: Item) -> str:
    """The rule by which a host refused it, as its hook says that; empty where something else is in the way."""
    found = {one["ref"]: one["rule"] for one in _REFUSED.finditer(" ".join(item.said.split()))}
    return found.get(item.ref) or next(iter(found.values()), "")


def _drop(place: Place, refs: Mapping[str, str]) -> None:
    """Forget what is kept. Where another command has just replaced some of it, all stays until the next time."""
    with suppress(Failed):
        place.drop(refs)
