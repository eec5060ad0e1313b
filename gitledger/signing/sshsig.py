"""SSH signatures: canonical armour, sign and verify (spec 1; OpenSSH's PROTOCOL.sshsig and PROTOCOL.u2f).

A signature is version 1, hash sha512, by an `ssh-ed25519` key, or by an `sk-ssh-ed25519@openssh.com` key that
shows user presence. Ed25519 means S < L, A and R canonical and not of small order, and [S]B = R + [k]A, no
cofactor. Armour is base64 in lines of 70, a newline after the last line, nothing before or after; armour that
does not re-encode to itself is refused.

`parse` decides the form and `verify` the rest. What verifies here verifies with `ssh-keygen -Y verify`, too.
"""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256, sha512

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from gitledger.errors import LedgerError, Malformed, Refused
from gitledger.signing.keys import ED25519, SK_ED25519, PublicKey, check_point, ssh_string, take_string

_BEGIN = b"-----BEGIN SSH SIGNATURE-----\n"
_END = b"-----END SSH SIGNATURE-----\n"
_LINE = 70

_MAGIC = b"SSHSIG"
_VERSION_1 = _MAGIC + (1).to_bytes(4, "big")
_NO_RESERVED = ssh_string(b"")
_HASH = ssh_string(b"sha512")

_GROUP_ORDER = 2**252 + 27742317777372353535851937790883648493
_USER_PRESENT = 0x01

_SIGN_AGAIN = "sign it again, with git commit -S, git tag -s or ssh-keygen -Y sign"


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature as it was read: its form holds, and nothing is proved before `verify` (spec 1).

    `key` is the one that it names, `namespace` what it was made for, `raw` the 64 bytes of Ed25519. `flags`
    (8 bits) and `counter` (32 bits) are what a security key adds, and None for a plain key.
    """

    key: PublicKey
    namespace: str
    raw: bytes
    flags: int | None = None
    counter: int | None = None


def parse(armour: bytes) -> Signature:
    """Read an armoured signature, in the one form that it may have (spec 1).

    Raises Malformed: `signature-armour` (the lines), `signature-form` (what they hold), `malformed-key`.
    Refused: `signature-hash`, and what `PublicKey` refuses: a type, a certificate, a point.
    """
    try:
        blob = a2b_base64(armour[len(_BEGIN) : -len(_END)])
    except ValueError:
        blob = b""
    if armoured(blob) != armour:
        raise Malformed(
            "signature-armour", "the lines of this signature are not as ssh-keygen writes them", _SIGN_AGAIN
        )
    if not blob.startswith(_VERSION_1):
        raise _malformed("is no SSH signature of version 1")
    try:
        return _decode(blob)
    except LedgerError as error:
        if error.rule == "truncated-string":
            raise _malformed("ends too early") from None
        raise


def encode(signature: Signature) -> bytes:
    """Write a signature as canonical armour; `parse` reads it back (spec 1)."""
    raw = ssh_string(signature.key.type.encode()) + ssh_string(signature.raw)
    if signature.flags is not None and signature.counter is not None:
        raw += signature.flags.to_bytes(1, "big") + signature.counter.to_bytes(4, "big")
    return armoured(
        _VERSION_1
        + ssh_string(signature.key.blob)
        + ssh_string(signature.namespace.encode())
        + _NO_RESERVED
        + _HASH
        + ssh_string(raw)
    )


def armoured(blob: bytes) -> bytes:
    """Write the bytes of a signature (PROTOCOL.sshsig) as canonical armour, unread (spec 1)."""
    text = b2a_base64(blob, newline=False)
    lines = [text[at : at + _LINE] for at in range(0, len(text), _LINE)]
    return b"%b%b\n%b" % (_BEGIN, b"\n".join(lines), _END)


def verify(signature: Signature, message: bytes, namespace: str) -> None:
    """Verify that the key of the signature signed the message for this namespace (spec 1).

    Returns nothing. Raises Refused: `wrong-namespace`, `no-user-presence`, `non-canonical-scalar`,
    `non-canonical-point`, `small-order-point`, `bad-signature`. Whose key it is, and what it may do, is
    for the caller to decide.
    """
    if signature.namespace != namespace:
        raise Refused(
            "wrong-namespace",
            f"this signature was made for {signature.namespace[:80]!r} and not for {namespace!r}",
            f"sign with the namespace {namespace}",
        )
    signed = _signed_data(message, namespace)
    if signature.key.type == SK_ED25519:
        signed = _shown_to_security_key(signature, signed)
    # OpenSSL, libsodium and ssh-keygen agree on what passes these two, and on nothing else.
    if int.from_bytes(signature.raw[32:], "little") >= _GROUP_ORDER:
        raise Refused(
            "non-canonical-scalar", "the scalar of this signature is not below the group's order", _SIGN_AGAIN
        )
    check_point(signature.raw[:32], "signature", _SIGN_AGAIN)
    try:
        _verifier(signature.key.point).verify(signature.raw, signed)
    except InvalidSignature:
        raise Refused(
            "bad-signature",
            f"the key {signature.key.key_id} did not sign these bytes",
            _SIGN_AGAIN,
        ) from None


def sign(private: Ed25519PrivateKey, message: bytes, namespace: str) -> bytes:
    """Sign a message of any length for a namespace, and return canonical armour (spec 1)."""
    point = private.public_key().public_bytes_raw()
    key = PublicKey(ED25519, ssh_string(ED25519.encode()) + ssh_string(point))
    return encode(Signature(key, namespace, private.sign(_signed_data(message, namespace))))


def _decode(blob: bytes) -> Signature:
    """Read the fields in the order of PROTOCOL.sshsig; nothing may follow any of the three layers."""
    key_blob, at = take_string(blob, len(_VERSION_1))
    name, at = take_string(blob, at)
    reserved, at = take_string(blob, at)
    hash_, at = take_string(blob, at)
    signed, at = take_string(blob, at)
    if reserved:
        raise _malformed("has something in its reserved field")
    if hash_ != b"sha512":
        raise Refused(
            "signature-hash",
            "this signature hashes with something else than sha512",
            "sign with -O hashalg=sha512",
        )
    if at != len(blob):
        raise _malformed("has bytes after its end")
    key = PublicKey.from_blob(key_blob)
    flags, counter, raw = _decode_inner(key, signed)
    return Signature(key, _namespace(name), raw, flags, counter)


def _decode_inner(key: PublicKey, signed: bytes) -> tuple[int | None, int | None, bytes]:
    """Read the innermost field, which says the type again: 64 bytes; a security key's flags and counter."""
    type_, at = take_string(signed, 0)
    raw, at = take_string(signed, at)
    rest = signed[at:]
    if type_ != key.type.encode() or len(raw) != 64 or len(rest) != (5 if key.type == SK_ED25519 else 0):
        raise _malformed(f"is not of type {key.type}, as its key is")
    if not rest:
        return None, None, raw
    return rest[0], int.from_bytes(rest[1:], "big"), raw


def _namespace(name: bytes) -> str:
    """OpenSSH reads a name up to its first NUL and refuses an empty one; printable ASCII asks neither."""
    text = name.decode("ascii", "replace")
    if not (text.isascii() and text.isprintable() and text):
        raise _malformed("has a namespace that is not printable ASCII")
    return text


def _signed_data(message: bytes, namespace: str) -> bytes:
    return _MAGIC + ssh_string(namespace.encode()) + _NO_RESERVED + _HASH + ssh_string(sha512(message).digest())


def _shown_to_security_key(signature: Signature, signed: bytes) -> bytes:
    """What a security key signs in place of the data (PROTOCOL.u2f); a touch sets the flag."""
    flags, counter = signature.flags or 0, signature.counter or 0
    if not flags & _USER_PRESENT:
        raise Refused(
            "no-user-presence",
            "this signature of a security key was made without touching it",
            "make the key again without -O no-touch-required",
        )
    return b"".join(
        (
            sha256(signature.key.application).digest(),
            flags.to_bytes(1, "big"),
            counter.to_bytes(4, "big"),
            sha256(signed).digest(),
        )
    )


@lru_cache(maxsize=4096)
def _verifier(point: bytes) -> Ed25519PublicKey:
    """The key as the library wants it: a run verifies many signatures by few keys."""
    return Ed25519PublicKey.from_public_bytes(point)


def _malformed(what: str) -> Malformed:
    return Malformed("signature-form", f"this signature {what}", _SIGN_AGAIN)
