"""SSH signatures: canonical armour, sign and verify (spec 1; OpenSSH's PROTOCOL.sshsig and PROTOCOL.u2f).

A signature is version 1, hash sha512, by an `ssh-ed25519` key, or by an `sk-ssh-ed25519@openssh.com` key that
shows user presence (`ed25519`). Armour is base64 in lines of 70, a newline after the last line, nothing before
or after; armour that does not re-encode to itself is refused. In place of its key a signature may hold an
OpenSSH certificate of it, which counts only for a caller that asks (spec 13).

`parse` decides the form and `verify` the rest. What verifies here verifies with `ssh-keygen -Y verify`, too.
"""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from dataclasses import dataclass
from hashlib import sha512

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gitledger.errors import LedgerError, Malformed, Refused
from gitledger.signing.ed25519 import SIGN_AGAIN, check_signature, take_signature
from gitledger.signing.keys import ED25519, PublicKey, ssh_string, take_string
from gitledger.signing.sshcert import Certificate, is_certificate

_BEGIN = b"-----BEGIN SSH SIGNATURE-----\n"
_END = b"-----END SSH SIGNATURE-----\n"
_LINE = 70

_MAGIC = b"SSHSIG"
_VERSION_1 = _MAGIC + (1).to_bytes(4, "big")
_NO_RESERVED = ssh_string(b"")
_HASH = ssh_string(b"sha512")


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature as it was read: its form holds, and nothing is proved before `verify` (spec 1).

    `key` is the one that it names, `namespace` what it was made for, `raw` the 64 bytes of Ed25519. `flags`
    (8 bits) and `counter` (32 bits) are what a security key adds, and None for a plain key. `certificate` is
    what the signature holds in place of the key, or None. The signature does not cover it: anybody can put
    another certificate of the same key there (spec 13).
    """

    key: PublicKey
    namespace: str
    raw: bytes
    flags: int | None = None
    counter: int | None = None
    certificate: Certificate | None = None


def parse(armour: bytes, *, take_certificate: bool = False) -> Signature:
    """Read an armoured signature, in the one form that it may have (spec 1).

    With `take_certificate` it may hold a certificate in place of its key, as only a proposal's may.

    Raises Malformed: `signature-armour` (the lines), `signature-form` (what they hold), `malformed-key`.
    Refused: `signature-hash`, and what `PublicKey` refuses: a type, a certificate, a point. Of a certificate
    that is taken, what `Certificate` raises.
    """
    try:
        blob = a2b_base64(armour[len(_BEGIN) : -len(_END)])
    except ValueError:
        blob = b""
    if armoured(blob) != armour:
        raise Malformed("signature-armour", "the lines of this signature are not as ssh-keygen writes them", SIGN_AGAIN)
    if not blob.startswith(_VERSION_1):
        raise _malformed("is no SSH signature of version 1")
    try:
        return _decode(blob, take_certificate)
    except LedgerError as error:
        if error.rule == "truncated-string":
            raise _malformed("ends too early") from None
        raise


def encode(signature: Signature) -> bytes:
    """Write a signature as canonical armour; `parse` reads it back (spec 1)."""
    raw = ssh_string(signature.key.type.encode()) + ssh_string(signature.raw)
    if signature.flags is not None and signature.counter is not None:
        raw += signature.flags.to_bytes(1, "big") + signature.counter.to_bytes(4, "big")
    key = signature.certificate or signature.key
    return armoured(
        _VERSION_1
        + ssh_string(key.blob)
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
    check_signature(signature.key, signed, signature.raw, signature.flags, signature.counter)


def sign(private: Ed25519PrivateKey, message: bytes, namespace: str, certificate: Certificate | None = None) -> bytes:
    """Sign a message of any length for a namespace, and return canonical armour (spec 1).

    A certificate of the key, where one is given, stands in the signature in place of the key (spec 13).
    """
    point = private.public_key().public_bytes_raw()
    key = PublicKey(ED25519, ssh_string(ED25519.encode()) + ssh_string(point))
    raw = private.sign(_signed_data(message, namespace))
    return encode(Signature(key, namespace, raw, certificate=certificate))


def _decode(blob: bytes, take_certificate: bool) -> Signature:
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
    certificate = Certificate(key_blob) if take_certificate and is_certificate(key_blob) else None
    key = certificate.key if certificate else PublicKey.from_blob(key_blob)
    raw, flags, counter = take_signature(key, signed)
    return Signature(key, _namespace(name), raw, flags, counter, certificate)


def _namespace(name: bytes) -> str:
    """OpenSSH reads a name up to its first NUL and refuses an empty one; printable ASCII asks neither."""
    text = name.decode("ascii", "replace")
    if not (text.isascii() and text.isprintable() and text):
        raise _malformed("has a namespace that is not printable ASCII")
    return text


def _signed_data(message: bytes, namespace: str) -> bytes:
    return _MAGIC + ssh_string(namespace.encode()) + _NO_RESERVED + _HASH + ssh_string(sha512(message).digest())


def _malformed(what: str) -> Malformed:
    return Malformed("signature-form", f"this signature {what}", SIGN_AGAIN)
