"""A tag that became an endorsement, and the counting of a quorum (spec 6).

A `Demand` says how many of which authorities must have endorsed; `rules/rights.py` makes them. Only endorsements
count: proposing or witnessing is not endorsing. Each domain and each key counts once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gitledger.documents.policy import Policy
from gitledger.errors import LedgerError, Refused, Wanting
from gitledger.rules import tags
from gitledger.rules.proposal import Proposal

VERB = "endorse"
WORD = "Endorses"


@dataclass(frozen=True, slots=True)
class Demand:
    """`count` endorsements by distinct domains among `electors`, pairs of domain and key id.

    The domains of `including` must be among them. `why` finishes the sentence "endorsed because …".
    """

    why: str
    count: int
    electors: frozenset[tuple[str, str]]
    including: frozenset[str] = frozenset()

    def missing(self, endorsed: Iterable[tuple[str, str]]) -> tuple[int, tuple[str, ...]]:
        """How many are missing and the domains that could still endorse; (0, ()) where it is met."""
        have = {domain for domain, key in endorsed if (domain, key) in self.electors}
        lack = max(self.count - len(have), len(self.including - have))
        if lack == 0:
            return 0, ()
        entering = self.including - have
        among = entering if len(entering) == lack else {domain for domain, _ in self.electors} - have
        return lack, tuple(sorted(among))


@dataclass(frozen=True, slots=True)
class Endorsement:
    """An endorsement that counts: `content` is the raw tag, made by `domain` with the key `key_id`."""

    content: bytes
    domain: str
    key_id: str


def electors(policy: Policy) -> frozenset[tuple[str, str]]:
    """Domain and key id of every authority."""
    return frozenset((authority.domain_id, authority.pubkey_id) for authority in policy.authorities)


def quorum(policy: Policy, why: str) -> Demand:
    """What the policy's whole quorum must endorse."""
    return some(policy, policy.threshold, why)


def some(policy: Policy, count: int, why: str) -> Demand:
    """What `count` of the policy's authorities must endorse."""
    return Demand(why, count, electors(policy))


def new_quorum(old: Policy, new: Policy, why: str) -> Demand:
    """What the quorum of a new policy must endorse: with the key that it or the old policy gives the domain."""
    before, after = electors(old), electors(new)
    members = {domain for domain, _ in after}
    entering = members - {domain for domain, _ in before}
    either = after | {(domain, key) for domain, key in before if domain in members}
    return Demand(why, new.threshold, frozenset(either), frozenset(entering))


def read(content: bytes, proposal: Proposal, who: frozenset[tuple[str, str]]) -> Endorsement:
    """Read the tag `content` as an endorsement of `proposal` by one of `who` (domain and key id).

    Raises Malformed or Refused (`endorsement-does-not-count`).
    """
    tag = tags.read(content, proposal, VERB, WORD)
    return Endorsement(content, elector(tag.key.key_id, who), tag.key.key_id)


def elector(key_id: str, who: frozenset[tuple[str, str]]) -> str:
    """The domain among `who` whose key this is. Raises Refused (`endorsement-does-not-count`) where it is nobody's."""
    for domain, theirs in who:
        if theirs == key_id:
            return domain
    raise Refused(
        "endorsement-does-not-count",
        f"the endorsement is by {key_id}, which is no authority's key",
        "the authorities and their keys stand in ledger/policy.yaml: gitledger policy   (--key KEY signs with another)",
    )


def must_be_sorted(domains: list[str]) -> None:
    """Raise Refused (`endorsement-order`) unless the domains that endorsed are sorted, each once."""
    if domains != sorted(set(domains)):
        raise Refused(
            "endorsement-order",
            "endorsements are sorted by domain, and no domain endorses twice",
            "whoever emits carries them in that order: gitledger emit",
        )


def counted(
    contents: Sequence[bytes], proposal: Proposal, demands: tuple[Demand, ...], policy: Policy
) -> tuple[Endorsement, ...]:
    """The endorsements that a snapshot carries: each must count, sorted by domain, no domain twice, demands met.

    Raises what `read` and `must_be_met` raise, and Refused (`endorsement-order`).
    """
    eligible = who(demands, policy)
    endorsements = tuple(read(content, proposal, eligible) for content in contents)
    must_be_sorted([endorsement.domain for endorsement in endorsements])
    must_be_met(demands, endorsements)
    return endorsements


def usable(
    contents: Iterable[bytes], proposal: Proposal, demands: tuple[Demand, ...], policy: Policy
) -> tuple[Endorsement, ...]:
    """Those of `contents` that count, one a domain, sorted by domain; what does not count is passed over."""
    eligible = who(demands, policy)
    found: dict[str, Endorsement] = {}
    for content in contents:
        try:
            endorsement = read(content, proposal, eligible)
        except LedgerError:
            continue
        found.setdefault(endorsement.domain, endorsement)
    return tuple(found[domain] for domain in sorted(found))


def must_be_met(demands: tuple[Demand, ...], endorsements: tuple[Endorsement, ...]) -> None:
    """Raise Wanting, which says how many and whose endorsements are missing, unless every demand is met."""
    endorsed = [(endorsement.domain, endorsement.key_id) for endorsement in endorsements]
    lacking = [(demand, *demand.missing(endorsed)) for demand in demands]
    said = [f"{demand.why}: {lack} more of {', '.join(among)}" for demand, lack, among in lacking if lack]
    if said:
        raise Wanting(
            "endorsements-missing",
            "lacks endorsements (" + "; ".join(dict.fromkeys(said)) + ")",
            "gitledger endorse PROPOSAL   (by each of them)",
        )


def who(demands: tuple[Demand, ...], policy: Policy) -> frozenset[tuple[str, str]]:
    """Whose endorsements count: the authorities of the policy in force, and whom a change of policy names."""
    return electors(policy).union(*(demand.electors for demand in demands))
