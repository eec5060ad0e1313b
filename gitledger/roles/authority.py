"""The authority: endorses a proposal by a signed tag (spec 6)."""

from __future__ import annotations

from gitledger.roles import supporting
from gitledger.roles.place import Place
from gitledger.roles.sending import Sent
from gitledger.roles.supporting import Matter
from gitledger.rules import endorsement
from gitledger.signing.signers import Signer


def must_be_elector(signer: Signer, matter: Matter) -> str:
    """The domain that the signer's key endorses for. Raises Refused (`endorsement-does-not-count`) where it is none."""
    return endorsement.elector(signer.key.key_id, endorsement.who(matter.transition.demands, matter.policy))


def endorse(place: Place, signer: Signer, matter: Matter, *, remote: str = "origin") -> Sent:
    """Sign and push the endorsement of `matter.proposal`; returns what came of it.

    Raises Refused (`endorsement-does-not-count`) where the key is no authority's.
    """
    one = matter.proposal
    ref = f"refs/endorsements/{one.oid}/{must_be_elector(signer, matter)}"
    return supporting.sign(place, signer, one, verb=endorsement.VERB, word=endorsement.WORD, ref=ref, remote=remote)
