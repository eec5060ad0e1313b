"""Things of the queue are offered to a host, each on its own, so that one refusal keeps nothing else away (spec 12)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from gitledger.errors import Refused
from gitledger.exchange import remotes
from gitledger.objects.store import Store
from gitledger.rules import queue, rotations
from gitledger.rules.queue import ENDORSEMENT_REF, PROPOSAL_REF, REFUSAL_REF

Outcome = Literal["taken", "there", "refused", "left"]

Offer = Callable[[Mapping[str, str]], str]
"""Offers refs together, and returns what was said; raises Refused."""


@dataclass(frozen=True, slots=True)
class Item:
    """What became of one ref: `said` is why, or what the host said, line by line; `oid` is the object that it named."""

    ref: str
    outcome: Outcome
    said: str = ""
    oid: str = ""


def groups(meant: Mapping[str, str], waiting: queue.Queue) -> Iterator[Mapping[str, str]]:
    """What is offered together: a line with its endorsements, a draft with its signatures; then each other alone."""
    left = dict(meant)
    for ref in [one for one in meant if PROPOSAL_REF.fullmatch(one)]:
        oids = {one.oid for one in waiting.lines.get(ref, ())}
        theirs = [one for one in left if ENDORSEMENT_REF.fullmatch(one) and one.split("/")[2] in oids]
        yield {one: left.pop(one) for one in (ref, *theirs)}
    for draft in [one for one in meant if rotations.DRAFT_REF.fullmatch(one)]:
        below = draft.removesuffix("draft")
        yield {one: left.pop(one) for one in [draft, *(one for one in left if one.startswith(below) and one != draft)]}
    for ref in sorted(left, key=lambda one: bool(REFUSAL_REF.fullmatch(one))):
        yield {ref: left[ref]}


def pushed(store: Store, remote: str, refs: Mapping[str, str]) -> list[Item]:
    """What a host says to a push of `refs`, as far as it takes them; raises what `remotes.push` raises but Refused."""
    return offered(lambda some: remotes.push(store, remote, some, force=True).said, refs)


def offered(offer: Offer, refs: Mapping[str, str]) -> list[Item]:
    """Offer `refs` together; where that is refused, the first alone, and each other with what it needs of it."""
    try:
        words = offer(refs)
    except Refused as error:
        if len(refs) == 1:
            return [Item(ref, "refused", error.mend or error.what, oid) for ref, oid in refs.items()]
        (first, oid), *others = refs.items()
        if rotations.DRAFT_REF.fullmatch(first):  # never comes alone
            pairs = [_pair(offer, (first, oid), other) for other in others]
            taken = any(item.outcome == "taken" for item in pairs)
            return [Item(first, "taken" if taken else "refused", "" if taken else pairs[0].said, oid), *pairs]
        return [item for one in refs.items() for item in offered(offer, dict([one]))]
    said = dict.fromkeys(refs, "")
    said[next(iter(refs))] = words
    return [Item(ref, "taken", each, refs[ref]) for ref, each in said.items()]


def _pair(offer: Offer, draft: tuple[str, str], signature: tuple[str, str]) -> Item:
    try:
        return Item(signature[0], "taken", offer(dict([draft, signature])), signature[1])
    except Refused as error:
        return Item(signature[0], "refused", error.mend or error.what, signature[1])
