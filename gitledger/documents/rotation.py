"""`ledger/rotations/<hex>.yaml`: the rotation artifact, by which a quorum names another witness (spec 8).

    artifact_type: asl.common.witness-rotation
    version: 0.1
    common_domain_id: sha256:…
    previous_snapshot: {snapshot_id: common@41, snapshot_hash: sha256:…}
    rotation:
      old_witness: {domain_id: you, pubkey_id: SHA256:…}
      new_witness: {domain_id: james, pubkey_id: SHA256:…}
      policy_ref: {artifact_key: sha256:…}
      reason: stepping back            # optional; a string that nobody endorsed
    endorsements:
      threshold: 2
      endorsements:
        - domain_id: alice
          pubkey_id: SHA256:…
          signature: |
            -----BEGIN SSH SIGNATURE-----
            …
    created_at_logseq: 41

What is endorsed is H, a digest over eight of its fields. A *draft* is an artifact without endorsements. Here stands
what the document alone decides; whether it is valid on a snapshot is decided in `rules/succession.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from hashlib import sha256
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from gitledger.documents import subset
from gitledger.documents.names import SnapshotName, check_digest, check_domain, check_key_id

NAMESPACE: Final = "asl.common.witness-rotation"
"""The namespace of the signatures over H."""

REASON_CHARACTERS: Final = 1000
"""How long a reason is at most."""

_TYPE: Final = "asl.common.witness-rotation"


class PreviousSnapshot(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The snapshot that the rotation follows on: its name and its hash."""

    snapshot_id: str
    snapshot_hash: str

    def __post_init__(self) -> None:
        SnapshotName.parse(self.snapshot_id)
        check_digest(self.snapshot_hash)


class WitnessKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A witness: a domain and the id of its key."""

    domain_id: str
    pubkey_id: str

    def __post_init__(self) -> None:
        check_domain(self.domain_id)
        check_key_id(self.pubkey_id)


class PolicyRef(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The policy in force, by the artifact key of `ledger/policy.yaml`."""

    artifact_key: str

    def __post_init__(self) -> None:
        check_digest(self.artifact_key)


class Change(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who leaves, who comes, under which policy; `reason` is a string that nobody endorsed."""

    old_witness: WitnessKey
    new_witness: WitnessKey
    policy_ref: PolicyRef
    reason: Annotated[str, Meta(max_length=REASON_CHARACTERS)] | None = None


class RotationEndorsement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One authority's signature over H, as `ssh-keygen -Y sign` writes it."""

    domain_id: str
    pubkey_id: str
    signature: str

    def __post_init__(self) -> None:
        check_domain(self.domain_id)
        check_key_id(self.pubkey_id)


class Endorsements(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The policy's threshold, and the endorsements that reach it."""

    threshold: Annotated[int, Meta(ge=1)]
    endorsements: tuple[RotationEndorsement, ...]


class Rotation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rotation artifact, or the draft of one (spec 8)."""

    artifact_type: Literal["asl.common.witness-rotation"]
    version: Literal["0.1"]
    common_domain_id: str
    previous_snapshot: PreviousSnapshot
    rotation: Change
    endorsements: Endorsements
    created_at_logseq: Annotated[int, Meta(ge=0)]

    def __post_init__(self) -> None:
        check_digest(self.common_domain_id)

    @classmethod
    def parse(cls, data: bytes) -> Rotation:
        """Read an artifact from its bytes. Raises Malformed for what has not the form."""
        return subset.convert(subset.load_yaml(data), cls)

    @classmethod
    def draft(
        cls,
        *,
        ledger_id: str,
        previous: PreviousSnapshot,
        old: WitnessKey,
        new: WitnessKey,
        policy_key: str,
        threshold: int,
        number: int,
        reason: str | None = None,
    ) -> Rotation:
        """The artifact of a rotation that nobody has endorsed yet; `policy_key` is a digest, `number` that of N."""
        return cls(
            artifact_type=_TYPE,
            version="0.1",
            common_domain_id=ledger_id,
            previous_snapshot=previous,
            rotation=Change(
                old_witness=old, new_witness=new, policy_ref=PolicyRef(artifact_key=policy_key), reason=reason
            ),
            endorsements=Endorsements(threshold=threshold, endorsements=()),
            created_at_logseq=number,
        )

    def endorsed(self, endorsements: Iterable[RotationEndorsement]) -> Rotation:
        """The same with these endorsements in place of its own."""
        held = Endorsements(threshold=self.endorsements.threshold, endorsements=tuple(endorsements))
        return msgspec.structs.replace(self, endorsements=held)

    @property
    def fields(self) -> tuple[tuple[str, str], ...]:
        """The eight fields that H is over, in their order, each with its name (spec 8, What is endorsed)."""
        previous, new = self.previous_snapshot, self.rotation.new_witness
        return (
            ("artifact_type", self.artifact_type),
            ("version", self.version),
            ("common_domain_id", self.common_domain_id),
            ("previous_snapshot.snapshot_id", previous.snapshot_id),
            ("previous_snapshot.snapshot_hash", previous.snapshot_hash),
            ("new_witness.domain_id", new.domain_id),
            ("new_witness.pubkey_id", new.pubkey_id),
            ("policy_ref.artifact_key", self.rotation.policy_ref.artifact_key),
        )

    @property
    def digest(self) -> bytes:
        """H: SHA-256 over the eight fields, each as its length in eight bytes, big-endian, then its UTF-8 bytes."""
        values = (value.encode() for _, value in self.fields)
        return sha256(b"".join(len(value).to_bytes(8, "big") + value for value in values)).digest()

    def render(self) -> str:
        """The artifact as the file that gitledger writes: the form above. Any other of the same values is as valid."""
        previous, change, held = self.previous_snapshot, self.rotation, self.endorsements
        lines = [
            f"artifact_type: {self.artifact_type}",
            f"version: {self.version}",
            f"common_domain_id: {self.common_domain_id}",
            f"previous_snapshot: {{snapshot_id: {previous.snapshot_id}, snapshot_hash: {previous.snapshot_hash}}}",
            "rotation:",
            f"  old_witness: {_who(change.old_witness)}",
            f"  new_witness: {_who(change.new_witness)}",
            f"  policy_ref: {{artifact_key: {change.policy_ref.artifact_key}}}",
        ]
        if change.reason is not None:
            lines.append(f"  reason: {json.dumps(change.reason, ensure_ascii=False)}")
        lines += ["endorsements:", f"  threshold: {held.threshold}"]
        lines.append("  endorsements:" if held.endorsements else "  endorsements: []")
        for one in held.endorsements:
            lines += [f"    - domain_id: {one.domain_id}", f"      pubkey_id: {one.pubkey_id}", "      signature: |"]
            lines += [f"        {line}" for line in one.signature.removesuffix("\n").split("\n")]
        lines.append(f"created_at_logseq: {self.created_at_logseq}")
        return "\n".join(lines) + "\n"


def _who(witness: WitnessKey) -> str:
    return f"{{domain_id: {witness.domain_id}, pubkey_id: {witness.pubkey_id}}}"
