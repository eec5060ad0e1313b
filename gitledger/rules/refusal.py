"""A tag that decides a proposal without a number: the witness's refusal, or the proposer's withdrawal (spec 9).

Both are receipts. They bind the host's queue and no part of validity.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from gitledger.documents.names import SnapshotName
from gitledger.documents.witness import Witness
from gitledger.errors import LedgerError, Malformed, Refused
from gitledger.objects.codec import Commit, Ident, Tag
from gitledger.objects.trees import Tree
from gitledger.rules import tags
from gitledger.rules.proposal import Proposal
from gitledger.rules.state import State

REFUSED = "refused"
WITHDRAWN = "withdrawn"

_REASON = re.compile(r"[a-z0-9-]+ .+")


@dataclass(frozen=True, slots=True)
class Refusal:
    """A receipt on the proposal `proposal`: `verb` is `refused` or `withdrawn`.

    `at` is the snapshot name and `reason` the rule and the sentence of a refusal; both empty in a withdrawal.
    `seconds` is the tagger's time.
    """

    proposal: str
    verb: str
    at: str
    reason: str
    seconds: int


def refuse(proposal: Proposal, at: str, error: LedgerError, tagger: Ident) -> bytes:
    """What the witness signs to refuse `proposal` at snapshot `at` for what `error` says."""
    sentence = f"{error.subject}: {error.what}" if error.subject else error.what
    shown = "".join(character if character.isprintable() else " " for character in sentence)
    reason = f"Reason: {error.rule} {' '.join(shown.split())}"
    return tags.compose(
        proposal,
        REFUSED,
        f"Refuse {proposal.summary}",
        (f"Refuses: {proposal.hash}", f"At: {at}", reason),
        tagger,
    )


def withdraw(proposal: Proposal, tagger: Ident) -> bytes:
    """What a publisher of the proposer's domain signs to withdraw `proposal`."""
    return tags.compose(proposal, WITHDRAWN, f"Withdraw {proposal.summary}", (f"Withdraws: {proposal.hash}",), tagger)


def read(content: bytes, proposal: Proposal, state: State, *, since: int = 0) -> Refusal:
    """Read the tag `content` as a refusal or withdrawal of `proposal`, by who may say so in `state`.

    A refusal is by the witness of the snapshot that it says under At, who may have been replaced since; `since` is the
    least number that it may say.

    Raises Malformed for another form, Refused (`refusal-key`) for another's signature.
    """
    verb = Tag.parse(content).name.split("/")[0]
    if verb == WITHDRAWN:
        signed = tags.read(content, proposal, WITHDRAWN, "Withdraws")
        able = _withdrawers(proposal, state)
        if signed.key.key_id not in able:
            raise Refused(
                "withdrawal-key",
                f"{signed.key.key_id} is no publisher of the proposer's domain, or no root key where one proposed it",
                f"sign with {' or '.join(sorted(able)) or 'a key that has the role publisher (none does)'}",
            )
        return Refusal(proposal.oid, WITHDRAWN, "", "", signed.tagger.seconds)
    signed = tags.read(content, proposal, REFUSED, "Refuses")
    at, reason = SnapshotName.parse(signed.value("At")), signed.value("Reason")
    if at.ledger != state.name or at.number > state.number or not _REASON.fullmatch(reason) or not reason.isprintable():
        raise Malformed(
            "refusal-form",
            f"a refusal says a snapshot up to {state.snapshot_name} under At, and a rule and a sentence under Reason",
            f"At: {state.snapshot_name}, and Reason: path-changed-since the path was changed since the base",
        )
    if at.number < since:
        raise Refused(
            "refusal-key",
            f"it is of {at}; since {state.witness.since} the witness is {state.witness.domain_id}, who alone refuses",
            "leave it to the witness: what can't be numbered is refused at the next emission",
        )
    if signed.key.key_id != _witness_at(at.number, state).pubkey_id:
        raise Refused(
            "refusal-key",
            f"{signed.key.key_id} is not the witness of {at}, who alone refuses",
            "who proposed it withdraws it: gitledger withdraw PROPOSAL",
        )
    return Refusal(proposal.oid, REFUSED, str(at), reason, signed.tagger.seconds)


def _witness_at(number: int, state: State) -> Witness:
    """Who served after snapshot `number` of the line, which a receipt of that time is signed by."""
    if number >= state.witness.since_name.number:
        return state.witness
    row = state.line.row(state.objects, number)
    tree = Commit.parse(state.objects.read(row.snapshot, "commit")).tree
    return replace(state, tree=Tree.load(state.objects, tree, like=state.tree)).witness


def _withdrawers(proposal: Proposal, state: State) -> frozenset[str]:
    """The key ids that may withdraw: publishers of the domain; for a new one, the key that proposed it.

    What a root key signed is withdrawn by one: it may be what takes a stolen publisher's key out.
    """
    key_id = proposal.key.key_id
    record = state.record(key_id)
    domain = record.domain_id if record else proposal.domain if proposal.certificate else ""
    role = "root" if "root" in state.roles(key_id) else "publisher"
    return frozenset({key_id} if state.manifest(domain) is None else state.holders(domain, role))
