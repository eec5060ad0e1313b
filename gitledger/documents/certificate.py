"""`ledger/certificates/…`: the record that the ledger keeps of a key (spec 3.4).

    {"certificate":"ssh-ed25519 AAAA…","domain_id":"alice","salts":[1795170991],"status":"active"}

Made when the key enters a manifest, with no salts; `salts` are the 32 greatest used, ascending; `status`
becomes `revoked` when the key leaves, for ever. It lets anyone recompute every command id of the log, and
finds the domain of a key in one look-up. The file is named by the SHA-256 of the key's blob, which the key id
says as well.

A salt is fresh if it is not among the 32 on record, and above the least of them once there are 32 (spec 4).
So no command id comes twice.
"""

from __future__ import annotations

from base64 import b64decode
from functools import lru_cache
from typing import Final, Literal

import msgspec

from gitledger.documents import subset
from gitledger.documents.names import LARGEST_NUMBER, check_domain, check_key_id
from gitledger.errors import Malformed, Refused
from gitledger.signing.keys import PublicKey

WINDOW: Final = 32
"""How many salts a record holds."""

_NEW_SALT: Final = (
    "sleep 1; git commit --amend -S --no-edit   (where the message has a Ledger-Salt, give it a greater one)"
)


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the ledger knows of one key (spec 3.4).

    `certificate` is the public key line without a newline; `domain_id` the domain it belongs to for ever;
    `salts` those used, ascending, at most 32; `status` is `active` or `revoked`.
    """

    certificate: str
    domain_id: str
    salts: tuple[int, ...]
    status: Literal["active", "revoked"]

    def __post_init__(self) -> None:
        check_domain(self.domain_id)
        PublicKey.parse(self.certificate)
        if len(self.salts) > WINDOW:
            raise Malformed("record-salts", f"a record holds at most {WINDOW} salts, this one {len(self.salts)}")
        if self.salts and not 0 < min(self.salts) <= max(self.salts) <= LARGEST_NUMBER:
            raise Malformed("record-salts", "a salt is between 1 and 2^63 - 1")
        if list(self.salts) != sorted(set(self.salts)):
            raise Malformed("record-salts", "the salts of a record ascend, each once")

    @classmethod
    def parse(cls, data: bytes) -> Record:
        """Read a record from the bytes of its file. Raises Malformed or, for its key, Refused (spec 3.4)."""
        return subset.convert(subset.load_json(data), cls)

    @classmethod
    def made(cls, key: PublicKey, domain_id: str) -> Record:
        """The record of a key that enters the manifest of `domain_id`: active, without salts."""
        return cls(certificate=key.text, domain_id=domain_id, salts=(), status="active")

    @staticmethod
    def path_of(key_id: str) -> str:
        """Where the record of the key with this key id stands in the tree. Raises Malformed (`key-id`)."""
        return _path_of(key_id)

    @property
    def public(self) -> PublicKey:
        """The key."""
        return PublicKey.parse(self.certificate)

    @property
    def path(self) -> str:
        """Where this record stands in the tree."""
        return self.path_of(self.public.key_id)

    def encode(self) -> bytes:
        """The bytes of the file: sorted keys, no spaces, a final newline (spec 3, JSON records)."""
        return subset.dump_json(msgspec.to_builtins(self))

    def fresh(self, salt: int) -> None:
        """Refuse a salt on record (`salt-used`) or below a full window (`salt-below-window`) (spec 4)."""
        if salt in self.salts:
            raise Refused("salt-used", f"the key has signed another command with the salt {salt}", _NEW_SALT)
        if len(self.salts) == WINDOW and salt < self.salts[0]:
            raise Refused(
                "salt-below-window",
                f"the salt {salt} is below {self.salts[0]}, the least of {WINDOW} on record: perhaps used",
                _NEW_SALT,
            )

    def with_salt(self, salt: int) -> Record:
        """This record once a command with `salt` was accepted. Beyond 32 salts, the least goes.

        Raises Refused as `fresh` does, and Malformed (`record-salts`) outside 1 ≤ salt < 2^63.
        """
        self.fresh(salt)
        salts = tuple(sorted((*self.salts, salt)))[-WINDOW:]
        return Record(certificate=self.certificate, domain_id=self.domain_id, salts=salts, status=self.status)

    def revoked(self) -> Record:
        """This record once the key has left its manifest."""
        return msgspec.structs.replace(self, status="revoked")


@lru_cache(maxsize=4096)
def _path_of(key_id: str) -> str:
    name = b64decode(check_key_id(key_id).removeprefix("SHA256:") + "=").hex()
    return f"ledger/certificates/{name[:2]}/{name[2:]}.json"
