"""What stands behind a proposal, and in a snapshot as its mergetags: releases, then endorsements (spec 6, 9, 13)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Final

from gitledger.documents.policy import Policy
from gitledger.errors import Wanting
from gitledger.objects.codec import Tag
from gitledger.rules import endorsement, release
from gitledger.rules.endorsement import Endorsement
from gitledger.rules.release import Release
from gitledger.rules.transition import Transition


@dataclass(frozen=True, slots=True)
class Support:
    """The releases and the endorsements of a proposal that count, each in its order."""

    releases: tuple[Release, ...]
    endorsements: tuple[Endorsement, ...]

    @property
    def contents(self) -> tuple[bytes, ...]:
        """The raw tags, as a snapshot carries them."""
        return (*(one.content for one in self.releases), *(one.content for one in self.endorsements))


NOTHING = Support((), ())

CARRIED_BYTES: Final = 4 << 20
"""The bytes of a snapshot's releases and endorsements together. An honest one has less than a thousand."""


def carried(contents: Sequence[bytes], transition: Transition, policy: Policy) -> Support:
    """What a snapshot carries for `transition` under the `policy` of N: each must count, in order, and be enough.

    Raises what `release.counted` and `endorsement.counted` raise, and Wanting (`support-too-large`).
    """
    _must_fit(contents)
    releases = tuple(takewhile(_is_release, contents))
    return Support(
        release.counted(releases, transition.proposal, transition.approvals, transition.releasers),
        endorsement.counted(contents[len(releases) :], transition.proposal, transition.demands, policy),
    )


def gathered(contents: Iterable[bytes], transition: Transition, policy: Policy) -> Support:
    """What of `contents` counts for `transition` under the `policy` of N; what does not is passed over.

    Of releases no more than are asked for, of endorsements one an authority.
    """
    contents = tuple(contents)
    return Support(
        release.usable(contents, transition.proposal, transition.approvals, transition.releasers),
        endorsement.usable(contents, transition.proposal, transition.demands, policy),
    )


def must_be_enough(support: Support, transition: Transition) -> None:
    """Raise Wanting, which says what is missing and whose, unless every approval and every demand is met.

    It waits for shorter ones, too, where a snapshot could not carry them all (`support-too-large`).
    """
    release.must_be_met(transition.approvals, support.releases, transition.releasers)
    endorsement.must_be_met(transition.demands, support.endorsements)
    _must_fit(support.contents)


def _must_fit(contents: Sequence[bytes]) -> None:
    carried = sum(map(len, contents))
    if carried > CARRIED_BYTES:
        raise Wanting(
            "support-too-large",
            f"its releases and endorsements have {carried:,} bytes together, a snapshot carries {CARRIED_BYTES:,}",
            "make the largest of them anew, with a shorter message",
        )


def _is_release(content: bytes) -> bool:
    return Tag.parse(content).name.startswith(f"{release.VERB}/")
