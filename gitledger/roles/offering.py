"""Things of the queue are offered to a host, each on its own, so that one refusal keeps nothing else away (spec 12)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from gitledger.errors import Failed, Refused
from gitledger.exchange import remotes
from gitledger.objects.store import Store
from gitledger.rules import queue, rotations
from gitledger.rules.queue import PROPOSAL_REF, REFUSAL_REF, SUPPORT_REF

Outcome = Literal["taken", "there", "refused", "left", "replaced"]

_DRAFT_THERE: Final = "[draft-there]"
"""How a host, or the gate, says that a rotation is drafted already."""

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
    """What is offered together: a line with what supports it, a draft with its signatures; then each other alone."""
    left = dict(meant)
    drafts = [ref for ref in meant if rotations.DRAFT_REF.fullmatch(ref)]
    signatures = _by_what([ref for ref in meant if rotations.is_ref(ref) and not rotations.DRAFT_REF.fullmatch(ref)])
    supports = _by_what([ref for ref in meant if SUPPORT_REF.fullmatch(ref)])
    for ref in [one for one in meant if PROPOSAL_REF.fullmatch(one)]:
        theirs = [one for proposal in waiting.lines.get(ref, ()) for one in supports.pop(proposal.oid, ())]
        yield {one: left.pop(one) for one in (ref, *theirs)}
    for draft in drafts:
        yield {one: left.pop(one) for one in (draft, *signatures.pop(draft.split("/")[2], ()))}
    for ref in sorted(left, key=lambda one: bool(REFUSAL_REF.fullmatch(one))):
        yield {ref: left[ref]}


def _by_what(refs: Sequence[str]) -> dict[str, list[str]]:
    """Refs by what they are about: the proposal of an endorsement, the H of a rotation."""
    found: dict[str, list[str]] = {}
    for ref in refs:
        found.setdefault(ref.split("/")[2], []).append(ref)
    return found


def pushed(store: Store, remote: str, refs: Mapping[str, str]) -> list[Item]:
    """What a host says to a push of `refs`, as far as it takes them. Raises Unreachable."""

    def offer(some: Mapping[str, str]) -> str:
        try:
            return remotes.push(store, remote, some, force=True).said
        except Failed as error:  # git itself can't set it there: it keeps nothing else away
            raise Refused(error.rule, error.what) from None

    return offered(offer, refs)


def offered(offer: Offer, refs: Mapping[str, str]) -> list[Item]:
    """Offer `refs` together; where that is refused, the first alone, and each other with what it needs of it.

    An endorsement of a rotation that is drafted there already, for whatever reason, goes alone.
    """
    try:
        words = offer(refs)
    except Refused as error:
        (first, oid), *others = refs.items()
        is_draft = rotations.DRAFT_REF.fullmatch(first)
        if is_draft and _DRAFT_THERE in _why(error):
            there = Item(first, "there", "it is drafted there already, and that draft stays", oid)
            return [there, *(item for one in others for item in offered(offer, dict([one])))]
        if not others:
            return [Item(first, "refused", _why(error), oid)]
        if is_draft:  # never comes alone
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
        return Item(signature[0], "refused", _why(error), signature[1])


def _why(error: Refused) -> str:
    return error.mend or error.what
