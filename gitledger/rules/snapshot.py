"""Composing the one canonical commit of a snapshot (spec 9).

Emission composes with these functions, and verification composes again and compares bytes. Nothing in a snapshot is
free but its committer time, the choice of endorsements and the signature.
"""

from __future__ import annotations

from gitledger.objects.codec import Ident, compose_commit
from gitledger.rules.entry import Entry
from gitledger.rules.state import Snapshot, State
from gitledger.rules.succession import Succession
from gitledger.rules.support import Support
from gitledger.rules.transition import Transition
from gitledger.signing.keys import command_id


def accepting(before: Snapshot, transition: Transition, support: Support, seconds: int) -> bytes:
    """What the witness signs to accept `transition.proposal` on `before`, at committer time `seconds`.

    Raises Refused (`certificate-grace`) where that is too late.
    """
    transition.must_be_in_time(seconds)
    proposal, after = transition.proposal, transition.after
    witness = before.state.witness
    entry = Entry(
        first=f"{after.snapshot_name}: {proposal.summary}",
        name=after.name,
        number=after.number,
        content=after.tree.digest,
        witness=witness.domain_id,
        witness_key=witness.pubkey_id,
        ledger_id=after.ledger_id,
        previous=before.hash,
        proposal=proposal.hash,
        command=command_id(proposal.key, transition.salt),
        command_key=proposal.key.key_id,
        salt=transition.salt,
    )
    return compose_commit(
        tree=after.tree.oid,
        parents=(before.oid, proposal.oid),
        author=_ident(transition.who.domain, after.name, proposal.seconds),
        committer=_ident(witness.domain_id, after.name, seconds),
        mergetags=support.contents,
        message=entry.render(),
    )


def rotating(before: Snapshot, succession: Succession, seconds: int) -> bytes:
    """What the new witness signs to seal `succession` on `before`, at committer time `seconds` (spec 8)."""
    after, witness = succession.after, succession.after.witness
    ident = _ident(witness.domain_id, after.name, seconds)
    entry = Entry(
        first=f"{after.snapshot_name}: witness rotates to {witness.domain_id}",
        name=after.name,
        number=after.number,
        content=after.tree.digest,
        witness=witness.domain_id,
        witness_key=witness.pubkey_id,
        ledger_id=after.ledger_id,
        previous=before.hash,
        rotation=succession.key,
        endorsed=tuple(one.domain_id for one in succession.rotation.endorsements.endorsements),
    )
    return compose_commit(
        tree=after.tree.oid,
        parents=(before.oid,),
        author=ident,
        committer=ident,
        mergetags=(),
        message=entry.render(),
    )


def founding(state: State, seconds: int) -> bytes:
    """What the first witness signs to make genesis, whose tree is that of `state`, at committer time `seconds`."""
    witness = state.witness
    ident = _ident(witness.domain_id, state.name, seconds)
    entry = Entry(
        first=f"{state.snapshot_name}: genesis",
        name=state.name,
        number=0,
        content=state.tree.digest,
        witness=witness.domain_id,
        witness_key=witness.pubkey_id,
    )
    return compose_commit(
        tree=state.tree.oid, parents=(), author=ident, committer=ident, mergetags=(), message=entry.render()
    )


def _ident(domain: str, ledger: str, seconds: int) -> Ident:
    return Ident(domain, f"{domain}@{ledger}", seconds, "+0000")
