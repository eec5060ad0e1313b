"""`ledger/witness.yaml`: who emits the next snapshot (spec 3.3).

    artifact_type: asl.common.witness
    version: 0.1
    domain_id: you
    pubkey_id: SHA256:…
    since: common@0
    rotation_artifact: sha256:…        # absent for the genesis witness

A rotation writes these six lines, in this order, plain scalars, single spaces, no comment.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from gitledger.documents import subset
from gitledger.documents.names import SnapshotName, check_digest, check_domain, check_key_id
from gitledger.errors import Refused


class Witness(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The witness authority of a snapshot (spec 3.3).

    `domain_id` and `pubkey_id` (a key id) say who; `since` is the name of the snapshot that made it witness;
    `rotation_artifact` the artifact key (a digest) of the rotation that did, None for the genesis witness.
    """

    artifact_type: Literal["asl.common.witness"]
    version: Literal["0.1"]
    domain_id: str
    pubkey_id: str
    since: str
    rotation_artifact: str | None = None

    def __post_init__(self) -> None:
        check_domain(self.domain_id)
        check_key_id(self.pubkey_id)
        genesis = self.since_name.number == 0
        if self.rotation_artifact is not None:
            check_digest(self.rotation_artifact)
        if genesis != (self.rotation_artifact is None):
            raise Refused(
                "witness-origin",
                "the genesis witness serves since @0 and has no rotation_artifact; any other serves since a "
                "later snapshot and names its rotation_artifact",
                "leave ledger/witness.yaml as the ledger has it: only a rotation changes it",
            )

    @classmethod
    def parse(cls, data: bytes) -> Witness:
        """Read `ledger/witness.yaml` from its bytes.

        Raises Malformed for what has not the form, Refused (`witness-origin`) for a genesis witness with a
        rotation artifact or another without (spec 3.3).
        """
        return subset.convert(subset.load_yaml(data), cls)

    @classmethod
    def serving(cls, domain_id: str, key_id: str, since: str, rotation_artifact: str | None = None) -> Witness:
        """The witness `domain_id` with its key `key_id`, since the snapshot `since` (`common@0` for genesis).

        `rotation_artifact` is a digest, None for genesis. Raises what `parse` raises.
        """
        return cls(
            artifact_type="asl.common.witness",
            version="0.1",
            domain_id=domain_id,
            pubkey_id=key_id,
            since=since,
            rotation_artifact=rotation_artifact,
        )

    @property
    def since_name(self) -> SnapshotName:
        """`since` as ledger name and number."""
        return SnapshotName.parse(self.since)

    def render(self) -> str:
        """The lines of the file, exactly as a rotation (six) or genesis (five) writes them (spec 3.3)."""
        lines = [f"{name}: {getattr(self, name)}" for name in self.__struct_fields__]
        return "\n".join(lines if self.rotation_artifact is not None else lines[:-1]) + "\n"
