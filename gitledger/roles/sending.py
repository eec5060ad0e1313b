"""What was signed in a clone goes to the host, or is kept here until the host answers (spec 12).

What is kept waits under `refs/gitledger/incoming/carried/`, beside what was carried in, and counts in the queue as this
place sees it. It goes with whatever reaches the host next, and into the file that `gitledger carry out` writes. What is
decided, or is on the host in this version or a later one, is kept no more.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from gitledger.errors import Failed, LedgerError, Unreachable
from gitledger.exchange import remotes
from gitledger.roles import offering, upkeep
from gitledger.roles.offering import Item
from gitledger.roles.place import CARRIED, INCOMING, Place
from gitledger.rules import queue


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
        besides = deliver(place, remote)
        said = remotes.push(place.store, place.remote(remote), refs, force=force).said
    except Unreachable as error:
        if place.role == "host":
            raise
        place.keep(refs)
        return Sent("", error, besides)
    place.pushed(refs, remote)
    return Sent(said, besides=besides)


def deliver(place: Place, remote: str = "origin") -> tuple[Item, ...]:
    """Push what is kept in a clone, each thing on its own; what the host takes is kept no more. Raises Unreachable."""
    tidy(place, int(time.time()), remote)
    kept = place.carried() if place.role == "clone" else {}
    if not kept:
        return ()
    items: list[Item] = []
    for group in offering.groups(kept, queue.read(place.verified.state, place.queue_refs(remote))):
        try:
            came = offering.pushed(place.store, place.remote(remote), group)
        except Failed as error:
            came = [Item(ref, "refused", error.what) for ref in group]
        taken = {item.ref: group[item.ref] for item in came if item.outcome == "taken"}
        place.pushed(taken, remote)
        _drop(place, taken)
        items += came
    return tuple(items)


def tidy(place: Place, now: int, remote: str = "origin") -> None:
    """Drop in a clone what was carried or kept and waits no more, or is on the host in this or a later version."""
    if place.role != "clone" or not (kept := place.carried()):
        return
    waiting, there = place.queue_refs(remote), place.store.refs(f"{INCOMING}{remote}/")
    over = upkeep.over(place.verified, waiting, now)
    gone = {
        ref: oid
        for ref, oid in kept.items()
        if ref in over or waiting.get(ref) != oid or there.get(f"{INCOMING}{remote}/{ref.removeprefix('refs/')}") == oid
    }
    _drop(place, gone)


def _drop(place: Place, refs: Mapping[str, str]) -> None:
    """Forget what is kept. Where another command has just replaced some of it, all stays until the next time."""
    with suppress(Failed):
        place.store.update([(kept_as(ref), None, oid) for ref, oid in refs.items()])


def kept_as(ref: str) -> str:
    """The name under which a ref of the host is kept in a clone."""
    return CARRIED + ref.removeprefix("refs/")
