"""What is signed for a proposal of somebody else: endorsements (`authority.py`) and releases (`publisher.py`).

Whoever signs looks at the matter first: what the proposal would change now, what stands behind it, and what it lacks
(spec 6, 13).
"""

from __future__ import annotations

from dataclasses import dataclass

from gitledger.documents.policy import Policy
from gitledger.roles.place import Place
from gitledger.roles.proposer import ident
from gitledger.roles.sending import Sent, send
from gitledger.rules import queue, support, tags
from gitledger.rules.endorsement import Demand
from gitledger.rules.proposal import NAMESPACE, Proposal
from gitledger.rules.release import Approval
from gitledger.rules.support import Support
from gitledger.rules.transition import Transition
from gitledger.signing.signers import Signer


@dataclass(frozen=True, slots=True)
class Matter:
    """What is to be signed for: the transition of `proposal` under `policy`, and what supports it already."""

    proposal: Proposal
    transition: Transition
    policy: Policy
    support: Support

    @property
    def unendorsed(self) -> tuple[tuple[Demand, int, tuple[str, ...]], ...]:
        """Each unmet demand, how many endorsements it lacks, and which domains could endorse."""
        endorsed = [(one.domain, one.key_id) for one in self.support.endorsements]
        lacking = ((demand, *demand.missing(endorsed)) for demand in self.transition.demands)
        return tuple(one for one in lacking if one[1])

    @property
    def unreleased(self) -> tuple[tuple[Approval, int, tuple[str, ...]], ...]:
        """Each unmet approval, how many releases it lacks, and the names of the keys that could release."""
        released = [one.key_id for one in self.support.releases]
        change = self.transition
        lacking = ((approval, *approval.missing(released, change.releasers)) for approval in change.approvals)
        return tuple(one for one in lacking if one[1])


def look(place: Place, proposal: Proposal) -> Matter:
    """What `proposal` would change now, after those it stands on, and what supports it.

    Raises Refused where it can't become valid: there is nothing to sign for then.
    """
    state = place.verified.state
    waiting = queue.read(state, place.queue_refs())
    line = queue.read_line(state, proposal.oid, state.policy.limits.pending_per_domain)
    *earlier, transition = queue.play(state, line)
    policy = (earlier[-1].after if earlier else state).policy
    have = support.gathered(waiting.support.get(proposal.oid, ()), transition, policy)
    return Matter(proposal, transition, policy, have)


def sign(place: Place, signer: Signer, proposal: Proposal, *, verb: str, word: str, ref: str, remote: str) -> Sent:
    """Sign the tag `<verb>/<proposal oid>` that says `<word>: <proposal hash>`, and push it to `ref`."""
    payload = tags.compose(
        proposal,
        verb,
        f"{verb.capitalize()} {proposal.summary}",
        (f"{word}: {proposal.hash}",),
        ident(place, "COMMITTER", signer),
    )
    oid = place.store.write("tag", payload + signer.sign(payload, NAMESPACE))
    return send(place, {ref: oid}, remote=remote, force=True)
