"""Ed25519 as the ledger means it, in the field that SSH keys put their signatures into (spec 1).

Ed25519 means S < L, A and R canonical and not of small order, and [S]B = R + [k]A, no cofactor. The field says
the key's type again and holds the 64 bytes; a security key adds flags and a counter, shows user presence, and
signs the data in a frame of its own (RFC 8709, OpenSSH's PROTOCOL.u2f). Signatures (`sshsig`) and the
signature on a certificate (`sshcert`) are such fields, and are held to the same.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gitledger.errors import Malformed, Refused
from gitledger.signing.keys import SK_ED25519, PublicKey, check_point, take_string

SIGN_AGAIN = "sign it again, with git commit -S, git tag -s or ssh-keygen -Y sign"

_GROUP_ORDER = 2**252 + 27742317777372353535851937790883648493
_USER_PRESENT = 0x01


def take_signature(key: PublicKey, field: bytes) -> tuple[bytes, int | None, int | None]:
    """Read the field of a signature by this key: the 64 bytes; a security key's flags and counter, or None.

    Raises Malformed: `signature-form`, and `truncated-string` where it ends too early.
    """
    type_, at = take_string(field, 0)
    raw, at = take_string(field, at)
    rest = field[at:]
    if type_ != key.type.encode() or len(raw) != 64 or len(rest) != (5 if key.type == SK_ED25519 else 0):
        raise Malformed("signature-form", f"this signature is not of type {key.type}, as its key is", SIGN_AGAIN)
    if not rest:
        return raw, None, None
    return raw, rest[0], int.from_bytes(rest[1:], "big")


def check_signature(
    key: PublicKey, signed: bytes, raw: bytes, flags: int | None = None, counter: int | None = None
) -> None:
    """Check that the key made these 64 bytes, `raw`, for the data in `signed` (spec 1).

    Returns nothing. Raises Refused: `no-user-presence`, `non-canonical-scalar`, `non-canonical-point`,
    `small-order-point`, `bad-signature`.
    """
    if key.type == SK_ED25519:
        signed = _shown_to_security_key(key, signed, flags or 0, counter or 0)
    # OpenSSL, libsodium and ssh-keygen agree on what passes these two, and on nothing else.
    if int.from_bytes(raw[32:], "little") >= _GROUP_ORDER:
        raise Refused("non-canonical-scalar", "the scalar of this signature is not below the group's order", SIGN_AGAIN)
    check_point(raw[:32], "signature", SIGN_AGAIN)
    try:
        _verifier(key.point).verify(raw, signed)
    except InvalidSignature:
        raise Refused("bad-signature", f"the key {key.key_id} did not sign these bytes", SIGN_AGAIN) from None


def _shown_to_security_key(key: PublicKey, signed: bytes, flags: int, counter: int) -> bytes:
    """What a security key signs in place of the data (PROTOCOL.u2f); a touch sets the flag."""
    if not flags & _USER_PRESENT:
        raise Refused(
            "no-user-presence",
            "this signature of a security key was made without touching it",
            "make the key again without -O no-touch-required",
        )
    return b"".join(
        (
            sha256(key.application).digest(),
            flags.to_bytes(1, "big"),
            counter.to_bytes(4, "big"),
            sha256(signed).digest(),
        )
    )


@lru_cache(maxsize=4096)
def _verifier(point: bytes) -> Ed25519PublicKey:
    """The key as the library wants it: a run verifies many signatures by few keys."""
    return Ed25519PublicKey.from_public_bytes(point)
