"""Public keys, key ids, certificate text and command ids (spec 1).

A public key line is canonical base64 of exactly a type and a key: `<type> <base64>`, one space, no comment.
Two types are taken, `ssh-ed25519` and `sk-ssh-ed25519@openssh.com`. The point of a key is canonical and not
of small order, because OpenSSL, libsodium and OpenSSH disagree about all others. Nothing else becomes a
`PublicKey`: its constructor checks what `parse`, `from_file_text` and `from_blob` read.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256

from gitledger.errors import Failed, LedgerError, Malformed, Refused

ED25519 = "ssh-ed25519"
SK_ED25519 = "sk-ssh-ed25519@openssh.com"

_MAKE_ONE = "make a key of a type that is taken: ssh-keygen -t ed25519"
_WHOLE_LINE = "copy the type and the base64 of the .pub file again, exactly, without its comment"
_ONE_LINE = "give the .pub file that ssh-keygen wrote, or its one line"

_KEY_TYPE = re.compile(r"[a-z0-9]{1,20}(-[a-z0-9]{1,20}){1,5}(@[a-z0-9.]{1,40})?")

_FIELD_PRIME = 2**255 - 19
_Y = 2**255 - 1
# The y of a point of order 8; the other pair of order 8 has the y of opposite sign.
_ORDER_8 = int.from_bytes(bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little")
# Both points of each y are of small order, and so is either sign of an x that is zero.
_SMALL_ORDER = frozenset({0, 1, _FIELD_PRIME - 1, _ORDER_8, _FIELD_PRIME - _ORDER_8})


def check_point(point: bytes, role: str, mend: str) -> None:
    """Check the 32-byte encoding of a point on edwards25519 (spec 1): canonical, and not of small order.

    `role` says in the error whose point it is, "public key" or "signature", and `mend` what to do about it.
    Raises Refused: `non-canonical-point`, `small-order-point`.
    """
    y = int.from_bytes(point, "little") & _Y
    if y >= _FIELD_PRIME:
        raise Refused("non-canonical-point", f"the point of this {role} is not in its one form", mend)
    if y in _SMALL_ORDER:
        raise Refused("small-order-point", f"the point of this {role} is of small order, no proof", mend)


def take_string(data: bytes, at: int) -> tuple[bytes, int]:
    """Read an SSH string (a length in four bytes, big-endian, and so many bytes) that begins at `at`.

    Returns the bytes and the place after them. Raises Malformed, `truncated-string`, at an early end.
    """
    start = at + 4
    end = start + int.from_bytes(data[at:start], "big")
    if len(data) < start or len(data) < end:
        raise Malformed("truncated-string", "it ends in the middle of a field", "copy it again, whole")
    return data[start:end], end


def ssh_string(data: bytes) -> bytes:
    """Write an SSH string: the length in four bytes, big-endian, and the bytes."""
    return len(data).to_bytes(4, "big") + data


# How the blob of each type that is taken begins: the type, and the length of the point that follows.
_HEADS = {type_: ssh_string(type_.encode()) + (32).to_bytes(4, "big") for type_ in (ED25519, SK_ED25519)}


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key that may stand in a ledger (spec 1).

    `type` is `ssh-ed25519` or `sk-ssh-ed25519@openssh.com`; `blob` the key in SSH's wire form, which begins
    with the type. `point` is its 32 bytes of Ed25519, `application` what a security key is bound to, such as
    `ssh:` (empty for a plain key).

    Raises Malformed: `malformed-key`. Refused: `key-type-not-taken`, `certificate-not-taken-here`,
    `non-canonical-point`, `small-order-point`.
    """

    type: str
    blob: bytes
    point: bytes = field(init=False, repr=False, compare=False)
    application: bytes = field(init=False, repr=False, compare=False)
    key_id: str = field(init=False, repr=False, compare=False)
    """The key id, `SHA256:…`, as `ssh-keygen -l` prints it (spec 1)."""

    def __post_init__(self) -> None:
        head = _HEADS.get(self.type)
        if head is None:
            raise _not_taken(self.type)
        end = len(head) + 32
        point, application = self.blob[len(head) : end], b""
        if not self.blob.startswith(head) or len(point) != 32:
            raise Malformed("malformed-key", f"this is not a key of type {self.type}", _WHOLE_LINE)
        if self.type == SK_ED25519:
            application, end = _take(self.blob, end)
        # OpenSSH reads an application up to its first NUL, and would hash something else than we do.
        if b"\0" in application:
            raise Malformed("malformed-key", "the application of this security key holds a NUL", _WHOLE_LINE)
        if end != len(self.blob):
            raise Malformed("malformed-key", "there are bytes after the end of this public key", _WHOLE_LINE)
        check_point(point, "public key", _MAKE_ONE)
        object.__setattr__(self, "point", point)
        object.__setattr__(self, "application", application)
        object.__setattr__(self, "key_id", "SHA256:" + b64encode(sha256(self.blob).digest()).decode().rstrip("="))

    @classmethod
    def parse(cls, text: str) -> PublicKey:
        """Read a public key line as documents hold it: `<type> <canonical base64>`, one space, nothing else.

        Raises what the class raises; what does not re-encode to itself is Malformed, `malformed-key`.
        """
        return (_read_text if len(text) <= _SHORT else _from_text)(text)

    @classmethod
    def from_file_text(cls, text: str) -> PublicKey:
        """Read a public key as a person gives it: a .pub file, or its line, with comment and newline.

        Empty lines and lines that begin with `#` are passed over. Raises what `parse` raises, Malformed where
        there is no line or more than one, and Failed, `private-key-given`, for a private key.
        """
        lines = [line.split() for line in text.splitlines()]
        lines = [words for words in lines if words and not words[0].startswith("#")]
        if lines and lines[0][0].startswith("-----BEGIN"):
            raise Failed(
                "private-key-given",
                "this is a private key where the public one is wanted",
                "give the .pub file beside it",
            )
        if len(lines) != 1 or len(lines[0]) < 2:
            raise Malformed("malformed-key", "this is not one public key", _ONE_LINE)
        return cls.parse(" ".join(lines[0][:2]))

    @classmethod
    def from_blob(cls, blob: bytes) -> PublicKey:
        """Read a public key in SSH's wire form, as signatures hold it. Raises what the class raises."""
        return (_read_blob if len(blob) <= _SHORT else _from_blob)(blob)

    @property
    def text(self) -> str:
        """The public key line, `ssh-ed25519 AAAA…`, without a newline."""
        return f"{self.type} {b64encode(self.blob).decode()}"

    @property
    def certificate(self) -> str:
        """The certificate text: the public key line and a newline (spec 1)."""
        return self.text + "\n"

    @property
    def blob_digest(self) -> str:
        """SHA-256 of the blob, 64 hex digits, no prefix: it names the certificate record (spec 3)."""
        return sha256(self.blob).hexdigest()


def _from_blob(blob: bytes) -> PublicKey:
    type_, _ = _take(blob, 0)
    return PublicKey(type_.decode("ascii", "replace"), blob)


def _from_text(text: str) -> PublicKey:
    type_, space, encoded = text.partition(" ")
    try:
        blob = b64decode(encoded, validate=True)
    except ValueError:
        blob = b""
    if not space or b64encode(blob).decode() != encoded:
        if type_ not in _HEADS:
            raise _not_taken(type_)
        raise Malformed(
            "malformed-key",
            "this is no public key line: a type, a space, canonical base64",
            _WHOLE_LINE,
        )
    return PublicKey(type_, blob)


# A run reads many signatures by few keys; what is long is no plain key, and not kept.
_SHORT = 256
_read_blob = lru_cache(maxsize=4096)(_from_blob)
_read_text = lru_cache(maxsize=4096)(_from_text)


def command_id(key: PublicKey, salt: int) -> str:
    """The command id, 64 hex digits: SHA-256 of certificate text and then the salt in decimal (spec 1)."""
    return sha256(f"{key.certificate}{salt}".encode()).hexdigest()


def _take(blob: bytes, at: int) -> tuple[bytes, int]:
    try:
        return take_string(blob, at)
    except LedgerError:
        raise Malformed("malformed-key", "this public key ends too early", _WHOLE_LINE) from None


def _not_taken(type_: str) -> LedgerError:
    """Say why a type is not taken; what is no name of one is not repeated, as it may hold anything."""
    if not _KEY_TYPE.fullmatch(type_):
        return Malformed("malformed-key", "a public key begins with its type, and this does not", _ONE_LINE)
    if type_.endswith("-cert-v01@openssh.com"):
        return Refused(
            "certificate-not-taken-here",
            "this is an OpenSSH certificate, where a plain key is wanted",
            "use the key itself, whose .pub file does not end in -cert.pub",
        )
    return Refused(
        "key-type-not-taken",
        f"a key of type {type_} is not taken, only {ED25519} and {SK_ED25519}",
        _MAKE_ONE,
    )
