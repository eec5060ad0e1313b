"""The authority: endorses a proposal by a signed tag (spec 6)."""

from __future__ import annotations

from dataclasses import dataclass

from gitledger.roles.place import Place
from gitledger.roles.proposer import ident
from gitledger.roles.sending import Sent, send
from gitledger.rules import endorsement, queue, tags
from gitledger.rules.endorsement import Demand, Endorsement
from gitledger.rules.proposal import NAMESPACE, Proposal
from gitledger.rules.transition import Transition
from gitledger.signing.signers import Signer


@dataclass(frozen=True, slots=True)
class Matter:
    """What is to be endorsed: the transition of `proposal`, the endorsements there are, and how many are missing."""

    proposal: Proposal
    transition: Transition
    endorsements: tuple[Endorsement, ...]

    @property
    def missing(self) -> tuple[tuple[Demand, int, tuple[str, ...]], ...]:
        """Each unmet demand, how many it lacks, and which domains could endorse."""
        endorsed = [(one.domain, one.key_id) for one in self.endorsements]
        lacking = ((demand, *demand.missing(endorsed)) for demand in self.transition.demands)
        return tuple(one for one in lacking if one[1])


def look(place: Place, proposal: Proposal) -> Matter:
    """What `proposal` would change now, after those it stands on, and which endorsements it has.

    Raises Refused where it can't become valid: there is nothing to endorse then.
    """
    state = place.verified.state
    waiting = queue.read(state, place.queue_refs())
    line = queue.read_line(state, proposal.oid, state.policy.limits.pending_per_domain)
    *earlier, transition = queue.play(state, line)
    policy = (earlier[-1].after if earlier else state).policy
    have = endorsement.usable(waiting.endorsements.get(proposal.oid, ()), proposal, transition.demands, policy)
    return Matter(proposal, transition, have)


def must_be_elector(place: Place, signer: Signer, matter: Matter) -> str:
    """The domain that the signer's key endorses for. Raises Refused (`endorsement-does-not-count`) where it is none."""
    who = endorsement.who(matter.transition.demands, place.verified.state.policy)
    return endorsement.elector(signer.key.key_id, who)


def endorse(place: Place, signer: Signer, matter: Matter, *, remote: str = "origin") -> Sent:
    """Sign and push the endorsement of `matter.proposal`; returns what came of it.

    Raises Refused (`endorsement-does-not-count`) where the key is no authority's.
    """
    proposal = matter.proposal
    domain = must_be_elector(place, signer, matter)
    payload = tags.compose(
        proposal,
        endorsement.VERB,
        f"Endorse {proposal.summary}",
        (f"{endorsement.WORD}: {proposal.hash}",),
        ident(place, "COMMITTER", signer),
    )
    oid = place.store.write("tag", payload + signer.sign(payload, NAMESPACE))
    ref = f"refs/endorsements/{proposal.oid}/{domain}"
    return send(place, {ref: oid}, remote=remote, force=True)
