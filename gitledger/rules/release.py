"""A tag that became a release, and the counting of a domain's publishers (spec 13).

What a producer or an executor proposes under its own domain is published by a publisher of that domain, who releases
it; `policies/publish.yaml` may ask for several. An `Approval` says how many of which keys must have signed the proposal
or released it; `rules/rights.py` makes them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gitledger.errors import LedgerError, Refused, Wanting
from gitledger.rules import tags
from gitledger.rules.proposal import Proposal

VERB = "release"
WORD = "Releases"

_NAMED: Final = 10


@dataclass(frozen=True, slots=True)
class Approval:
    """`count` publishers must have signed or released. `why` says what asks for it.

    `keys` are the key ids of those that may release; `signed` says whether the proposal's own key counts besides.
    `path` is the document of the domain that says how many and whose.
    """

    why: str
    count: int
    keys: frozenset[str]
    signed: bool
    path: str

    def missing(self, released: Iterable[str], releasers: Mapping[str, str]) -> tuple[int, tuple[str, ...]]:
        """How many are missing where the keys `released` have, and the names of those of `releasers` that still could.

        `releasers` are names by key id.
        """
        have = frozenset(released)
        lack = max(0, self.count - self.signed - len(self.keys & have))
        return lack, tuple(sorted(releasers[key_id] for key_id in self.keys - have)) if lack else ()


@dataclass(frozen=True, slots=True)
class Release:
    """A release that counts: `content` is the raw tag, made with the key `key_id`, which its manifest calls `name`."""

    content: bytes
    name: str
    key_id: str


def read(content: bytes, proposal: Proposal, releasers: Mapping[str, str]) -> Release:
    """Read the tag `content` as a release of `proposal` by one of `releasers`, names by key id.

    Raises Malformed or Refused (`release-does-not-count`).
    """
    tag = tags.read(content, proposal, VERB, WORD)
    return Release(content, releaser(tag.key.key_id, proposal, releasers), tag.key.key_id)


def releaser(key_id: str, proposal: Proposal, releasers: Mapping[str, str]) -> str:
    """The name among `releasers` of the key `key_id`.

    Raises Refused (`release-does-not-count`) where nothing asks for a release of `proposal` by it.
    """
    name = releasers.get(key_id)
    if name is None:
        theirs = [f"{name} ({one})" for one, name in releasers.items()]
        raise Refused(
            "release-does-not-count",
            f"the release is by {key_id}, which "
            + ("signed the proposal itself" if key_id == proposal.key.key_id else "nothing asks to release it"),
            f"sign with {listed(theirs, ' or ')}" if theirs else "leave it: no publisher's release is asked for",
        )
    return name


def listed(names: Iterable[str], between: str = ", ") -> str:
    """These names for a message, sorted; of very many, the first ones and how many more."""
    ordered = sorted(names)
    more = [f"{len(ordered) - _NAMED} others"] if len(ordered) > _NAMED else []
    return between.join(ordered[:_NAMED] + more)


def counted(
    contents: Sequence[bytes], proposal: Proposal, approvals: tuple[Approval, ...], releasers: Mapping[str, str]
) -> tuple[Release, ...]:
    """The releases that a snapshot carries: each must count, sorted by the key's name, none twice, approvals met.

    Raises what `read` and `must_be_met` raise, and Refused (`release-order`).
    """
    releases = tuple(read(content, proposal, releasers) for content in contents)
    names = [release.name for release in releases]
    if names != sorted(set(names)):
        raise Refused(
            "release-order",
            "releases are sorted by the name of the key, and no key releases twice",
            "whoever emits carries them in that order: gitledger emit",
        )
    must_be_met(approvals, releases, releasers)
    return releases


def usable(
    contents: Iterable[bytes], proposal: Proposal, approvals: tuple[Approval, ...], releasers: Mapping[str, str]
) -> tuple[Release, ...]:
    """Those of `contents` that meet approvals, one a key, sorted by its name; what is not needed is passed over."""
    found: dict[str, Release] = {}
    for content in contents:
        try:
            release = read(content, proposal, releasers)
        except LedgerError:
            continue
        found.setdefault(release.name, release)
    lacking = {approval: approval.missing((), releasers)[0] for approval in approvals}
    needed: list[Release] = []
    for name in sorted(found):
        met = [approval for approval, lack in lacking.items() if lack and found[name].key_id in approval.keys]
        if met:
            needed.append(found[name])
            lacking.update((approval, lacking[approval] - 1) for approval in met)
    return tuple(needed)


def must_be_met(approvals: tuple[Approval, ...], releases: tuple[Release, ...], releasers: Mapping[str, str]) -> None:
    """Raise Wanting, which says how many and whose releases are missing, unless every approval is met."""
    released = [release.key_id for release in releases]
    lacking = [(approval, *approval.missing(released, releasers)) for approval in approvals]
    said = [f"{approval.why}: {lack} more of {listed(names) or 'none'}" for approval, lack, names in lacking if lack]
    if said:
        wanted = [one.path for one, lack, names in lacking if lack > len(names)]
        raise Wanting(
            "release-missing",
            "lacks a release (" + "; ".join(dict.fromkeys(said)) + ")",
            f"have a root key change {' and '.join(dict.fromkeys(wanted))}: too few keys are left that may release it"
            if wanted
            else "gitledger release PROPOSAL   (by a publisher of its domain)",
        )
