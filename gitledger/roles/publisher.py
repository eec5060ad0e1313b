"""The publisher: releases what others of the domain propose, by a signed tag (spec 13)."""

from __future__ import annotations

from gitledger.roles import supporting
from gitledger.roles.place import Place
from gitledger.roles.sending import Sent
from gitledger.roles.supporting import Matter
from gitledger.rules.release import VERB, WORD, releaser
from gitledger.signing.signers import Signer


def must_be_publisher(signer: Signer, matter: Matter) -> str:
    """The name of the signer's key in its domain. Raises Refused (`release-does-not-count`) where it can't release."""
    return releaser(signer.key.key_id, matter.proposal, matter.transition.releasers)


def release(place: Place, signer: Signer, matter: Matter, *, remote: str = "origin") -> Sent:
    """Sign and push the release of `matter.proposal`; returns what came of it.

    Raises Refused (`release-does-not-count`) where nothing asks for a release by the key.
    """
    one = matter.proposal
    ref = f"refs/releases/{one.oid}/{must_be_publisher(signer, matter)}"
    return supporting.sign(place, signer, one, verb=VERB, word=WORD, ref=ref, remote=remote)
