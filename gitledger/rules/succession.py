"""Who may be the next witness: what makes a rotation valid on a snapshot, and the state that it gives (spec 8).

The rotation artifact is the only way in which witness authority changes, and the old witness takes no part in it: a
quorum of the policy in force names the new one, over H, on one snapshot. It takes effect when the new witness seals it:
with a snapshot of its own that has no proposal and changes `ledger/` by the artifact and `ledger/witness.yaml` alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from gitledger.documents.rotation import NAMESPACE, PreviousSnapshot, Rotation, RotationEndorsement, WitnessKey
from gitledger.documents.witness import Witness
from gitledger.errors import Malformed, Refused, about
from gitledger.objects.codec import digest
from gitledger.objects.trees import File
from gitledger.rules import endorsement
from gitledger.rules.line import Row
from gitledger.rules.state import POLICY, ROTATIONS, WITNESS, Snapshot, State
from gitledger.signing import sshsig


@dataclass(frozen=True, slots=True)
class Succession:
    """A rotation that a quorum endorsed on a snapshot: `key` is its artifact key, `after` the state that it gives."""

    rotation: Rotation
    key: str
    after: State


def path_of(key: str) -> str:
    """Where the artifact with this key (a digest) is sealed."""
    return f"{ROTATIONS}{key.removeprefix('sha256:')}.yaml"


def draft(on: Snapshot, domain: str, key_id: str, reason: str | None = None) -> Rotation:
    """The rotation on `on` to the key `key_id` of `domain`, which nobody has endorsed yet.

    Raises Refused where no quorum could make it valid.
    """
    state, old = on.state, on.state.witness
    rotation = Rotation.draft(
        ledger_id=state.ledger_id,
        previous=PreviousSnapshot(snapshot_id=on.name, snapshot_hash=on.hash),
        old=WitnessKey(domain_id=old.domain_id, pubkey_id=old.pubkey_id),
        new=WitnessKey(domain_id=domain, pubkey_id=key_id),
        policy_key=_policy_key(state),
        threshold=state.policy.threshold,
        number=on.number,
        reason=reason,
    )
    must_be_possible(on, rotation)
    return Rotation.parse(rotation.render().encode())


def must_be_possible(on: Snapshot, rotation: Rotation) -> None:
    """Raise Refused unless a quorum's endorsements are all that `rotation` lacks on the snapshot `on` (spec 8)."""
    state, policy = on.state, on.state.policy
    state.must_be_known_format()
    said, change = rotation.previous_snapshot, rotation.rotation
    if rotation.common_domain_id != state.ledger_id:
        raise Refused(
            "rotation-ledger",
            f"it is a rotation of the ledger {rotation.common_domain_id}, this one is {state.ledger_id}",
            "draft it in a clone of this ledger: gitledger rotate --to DOMAIN",
        )
    if (said.snapshot_id, said.snapshot_hash) != (on.name, on.hash):
        raise Refused(
            "rotation-previous",
            f"it follows on {said.snapshot_id}, {said.snapshot_hash}, and not on {on.name}, {on.hash}",
            "draft it anew on the newest snapshot: gitledger rotate --to DOMAIN",
        )
    if rotation.created_at_logseq != on.number:
        raise Refused(
            "rotation-logseq",
            f"created_at_logseq is {rotation.created_at_logseq}, and {on.name} has the number {on.number}",
            f"write created_at_logseq: {on.number}",
        )
    old = state.witness
    if (change.old_witness.domain_id, change.old_witness.pubkey_id) != (old.domain_id, old.pubkey_id):
        raise Refused(
            "rotation-old-witness",
            f"old_witness is {change.old_witness.domain_id} {change.old_witness.pubkey_id}; the witness of {on.name} "
            f"is {old.domain_id} {old.pubkey_id}",
            "name the witness that ledger/witness.yaml names",
        )
    if change.policy_ref.artifact_key != _policy_key(state):
        raise Refused(
            "rotation-policy",
            f"policy_ref is {change.policy_ref.artifact_key}, the policy of {on.name} is {_policy_key(state)}",
            f"git show {on.name}:{POLICY} | sha256sum",
        )
    if not policy.rotation_allowed:
        raise Refused(
            "rotation-not-allowed",
            f"the policy of {on.name} has rotation_allowed: false",
            "a quorum may change the policy, in a proposal of its own",
        )
    if rotation.endorsements.threshold != policy.threshold:
        raise Refused(
            "rotation-threshold",
            f"threshold is {rotation.endorsements.threshold}, the policy's quorum_threshold is {policy.threshold}",
            f"write threshold: {policy.threshold}",
        )
    new = change.new_witness
    state.must_be_active(new.domain_id, new.pubkey_id, "the new witness")
    if new.pubkey_id in policy.revoked:
        raise Refused(
            "new-witness-revoked",
            f"{new.pubkey_id} of {new.domain_id} stands in the policy's revoked: it may never be witness",
            "name another key, or another domain",
        )


def endorsed(on: Snapshot, rotation: Rotation, armour: bytes) -> RotationEndorsement:
    """The endorsement of `rotation` that the signature `armour` is, by an authority of the policy of `on`.

    Raises Malformed or Refused for what is no signature over H, Refused (`endorsement-does-not-count`) for one by
    anybody else.
    """
    signature = sshsig.parse(armour)
    sshsig.verify(signature, rotation.digest, NAMESPACE)
    key_id = signature.key.key_id
    domain = endorsement.elector(key_id, endorsement.electors(on.state.policy))
    return RotationEndorsement(domain_id=domain, pubkey_id=key_id, signature=armour.decode("ascii"))


def seal(on: Snapshot, key: str, content: bytes) -> Succession:
    """What the artifact `content`, whose artifact key must be `key`, makes of the snapshot `on`.

    Raises Malformed or Refused where it is not valid on it.
    """
    with about(path_of(key)):
        if digest(content) != key:
            raise Refused(
                "artifact-name", f"the file's digest is {digest(content)}", "an artifact is named by sha256sum FILE"
            )
        rotation = Rotation.parse(content)
        must_be_possible(on, rotation)
        _must_be_endorsed(on, rotation)
    return Succession(rotation, key, _after(on.state, rotation, key, content))


def demand(on: Snapshot) -> endorsement.Demand:
    """The quorum that a rotation on `on` needs."""
    return endorsement.quorum(on.state.policy, "a rotation of the witness")


def _must_be_endorsed(on: Snapshot, rotation: Rotation) -> None:
    """Every endorsement counts, sorted by domain, no domain twice; together they are a quorum."""
    endorsement.must_be_sorted([one.domain_id for one in rotation.endorsements.endorsements])
    found = [_must_be_by_whom_it_says(on, rotation, one) for one in rotation.endorsements.endorsements]
    lack, among = demand(on).missing(found)
    if lack:
        raise Refused(
            "quorum-missing",
            f"{len(found)} of {on.state.policy.threshold} endorse it; {lack} more of {', '.join(among)} would have to",
            "gitledger rotations   (shows who endorsed, and who has not)",
        )


def _must_be_by_whom_it_says(on: Snapshot, rotation: Rotation, said: RotationEndorsement) -> tuple[str, str]:
    with about(f"the endorsement of {said.domain_id}"):
        found = endorsed(on, rotation, said.signature.encode())
        if found != said:
            raise Refused(
                "endorsement-key",
                f"it says {said.domain_id} {said.pubkey_id}, and is signed by {found.domain_id} {found.pubkey_id}",
                "an endorsement names the domain and the key that signed it",
            )
    return found.domain_id, found.pubkey_id


def _after(before: State, rotation: Rotation, key: str, content: bytes) -> State:
    number, new = before.number + 1, rotation.rotation.new_witness
    serving = Witness.serving(new.domain_id, new.pubkey_id, f"{before.name}@{number}", key)
    written = {path_of(key): File.of(content), WITNESS: File.of(serving.render().encode())}
    line = before.line.extended(Row(number, "", "", 0))
    return replace(before, number=number, tree=before.tree.apply(written), line=line)


def _policy_key(state: State) -> str:
    content = state.tree.read(POLICY)
    if content is None:
        raise Malformed("document-missing", f"{state.snapshot_name} has no {POLICY}")
    return digest(content)
