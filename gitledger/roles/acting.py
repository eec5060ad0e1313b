"""For which domain a signer acts, and what it may do there (spec 7, 13).

A key acts for the domain of its certificate record. A node acts for that of the key that certified it, whichever
domains its principals name: in the manifest of any other domain that key does not stand, and a key belongs to one
domain for ever. What holds is decided by the rules when something is proposed.
"""

from __future__ import annotations

from typing import NamedTuple

from gitledger.rules import nodes
from gitledger.rules.state import State
from gitledger.signing.signers import Signer


class Acting(NamedTuple):
    """A domain, empty where this ledger knows none for the signer, and the roles that the signer has in it."""

    domain: str
    roles: frozenset[str]


def acting(state: State, signer: Signer, seconds: int) -> Acting:
    """For which domain the signer acts, and as what, in what is dated `seconds`.

    A plain key always acts for some domain or for none. Raises, of a certificate that counts for nothing, what
    `domain_of` and `rules.nodes.granted` raise.
    """
    domain = domain_of(state, signer)
    if signer.certificate is None:
        return Acting(domain, state.roles(signer.key.key_id))
    return Acting(domain, nodes.granted(state, signer.certificate, domain, seconds))


def domain_of(state: State, signer: Signer) -> str:
    """The domain for which the signer acts, whether or not it has a role there; empty where there is none.

    Where the ledger does not know the key that certified a node, it is the first that the certificate names: it may be
    right once what waits is numbered, and else the rules say what is wrong with it. Raises Refused
    (`certificate-principals`) where it names none.
    """
    certificate = signer.certificate
    record = state.record((signer.key if certificate is None else certificate.signer).key_id)
    if record is not None:
        return record.domain_id
    return "" if certificate is None else certificate.grants[0][1]
