"""OpenSSH certificates: read strictly, and verified as they are read (spec 13; OpenSSH's PROTOCOL.certkeys).

A certificate of an `ssh-ed25519` or `sk-ssh-ed25519@openssh.com` key, signed by a key of these types, which is no
certificate itself. Names are printable ASCII, options are sorted and none stands twice, the reserved field is
empty, nothing follows the signature, and the signature verifies (spec 1). Every field has its length before it,
so that bytes in which all of this holds are the only ones that say it.

Here stands what a certificate says. Whether it counts, by its kind, signer, roles, options, serial and time, is
decided by `rules/`.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from gitledger.errors import LedgerError, Malformed, Refused
from gitledger.signing.ed25519 import check_signature, take_signature
from gitledger.signing.keys import ED25519, SK_ED25519, PublicKey, ssh_string, take_string

FOREVER: Final = (1 << 64) - 1
"""What stands as the end of a certificate that has none."""

_SUFFIX = "-cert-v01@openssh.com"
# Of each type that is taken, the type of the plain key.
_TYPES = {f"ssh-ed25519{_SUFFIX}": ED25519, f"sk-ssh-ed25519{_SUFFIX}": SK_ED25519}
_KINDS: dict[int, Literal["user", "host"]] = {1: "user", 2: "host"}
_MAX_PRINCIPALS = 256  # OpenSSH reads no more

_NAME = re.compile(r"[ -~]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_GRANT = re.compile(r"([a-z]+)@([a-z0-9-]+)")

_CERTIFY_AGAIN = "have it made again: ssh-keygen -s KEY -I NAME -n ROLE@DOMAIN -V +8h -z SERIAL NODE.pub"


def is_certificate(blob: bytes) -> bool:
    """Whether the bytes of a key in SSH's wire form are said to be a certificate, of whatever type."""
    try:
        type_, _ = take_string(blob, 0)
    except LedgerError:
        return False
    return type_.endswith(_SUFFIX.encode())


def is_certificate_text(text: str) -> bool:
    """Whether the text of a `.pub` file is said to be a certificate, of whatever type."""
    type_, *_ = text.split(maxsplit=1) or [""]
    return type_.endswith(_SUFFIX)


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate that its signer signed, and what it says (spec 13).

    `blob` is the certificate in SSH's wire form, as signatures hold it; there is no other way to make one.

    Raises Malformed: `certificate-form`. Refused: `key-type-not-taken`. Of the key, of the signer and of its
    signature, what `PublicKey`, `take_signature` and `check_signature` raise.
    """

    blob: bytes = field(repr=False)
    key: PublicKey = field(init=False, compare=False)
    """The plain key: what signs, and what its record is made of."""
    signer: PublicKey = field(init=False, compare=False)
    """The key that signed the certificate."""
    kind: Literal["user", "host"] = field(init=False, compare=False)
    serial: int = field(init=False, compare=False)
    """64 bits; 0 where the signer does not number what it signs."""
    identity: str = field(init=False, compare=False)
    """What the signer calls it, such as `rescue-1`: `ssh-keygen -I`. Nothing relies on it."""
    principals: tuple[str, ...] = field(init=False, compare=False)
    valid_after: int = field(init=False, compare=False)
    """The first second, 64 bits, in which it holds."""
    valid_before: int = field(init=False, compare=False)
    """The first second, 64 bits, in which it holds no more; `FOREVER` where it has no end."""
    critical: tuple[str, ...] = field(init=False, compare=False)
    """The names of its critical options."""

    def __post_init__(self) -> None:
        try:
            said = _read(self.blob)
        except LedgerError as error:
            if error.rule == "truncated-string":
                raise _malformed("ends too early") from None
            raise
        for name, value in said.items():
            object.__setattr__(self, name, value)

    @classmethod
    def from_file_text(cls, text: str) -> Certificate:
        """Read a certificate as ssh-keygen writes it: a `-cert.pub` file, or its line. Raises what the class raises."""
        type_, encoded = (*text.split(maxsplit=2), "", "")[:2]
        try:
            blob = b64decode(encoded, validate=True)
        except ValueError:
            blob = b""
        if b64encode(blob).decode() != encoded or not blob.startswith(ssh_string(type_.encode())):
            raise _malformed("is not the one line that ssh-keygen wrote")
        return cls(blob)

    @property
    def text(self) -> str:
        """The line that ssh-keygen writes, `ssh-ed25519-cert-v01@openssh.com AAAA…`, without comment and newline."""
        type_, _ = take_string(self.blob, 0)
        return f"{type_.decode()} {b64encode(self.blob).decode()}"

    @property
    def grants(self) -> tuple[tuple[str, str], ...]:
        """Its principals as pairs of a role and a domain, both as they are written (spec 13).

        Raises Refused (`certificate-principals`) where there are none, which OpenSSH takes for all; where one
        is no `<role>@<domain>`; and where one stands twice.
        """
        found = [_GRANT.fullmatch(principal) for principal in self.principals]
        pairs = [(match[1], match[2]) for match in found if match]
        if not pairs or len(pairs) < len(found) or len(set(pairs)) < len(pairs):
            raise Refused(
                "certificate-principals",
                f"the principals of this certificate, {', '.join(self.principals)[:80]!r}, are not roles at a domain,"
                " each once",
                "have it made again, with principals such as -n executor@alice,publisher@alice",
            )
        return tuple(pairs)


class _Fields:
    """The fields of a certificate, each read where the one before it ends."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def string(self) -> bytes:
        value, self.at = take_string(self.data, self.at)
        return value

    def number(self, size: int) -> int:
        start, self.at = self.at, self.at + size
        if self.at > len(self.data):
            raise _malformed("ends too early")
        return int.from_bytes(self.data[start : self.at], "big")

    @property
    def left(self) -> bool:
        return self.at < len(self.data)


def _read(blob: bytes) -> dict[str, Any]:
    """Read the fields in the order of PROTOCOL.certkeys, each checked, and verify the signature over them."""
    fields = _Fields(blob)
    key = _key(fields)
    serial = fields.number(8)
    kind = _KINDS.get(fields.number(4))
    if kind is None:
        raise _malformed("is neither a user's nor a host's")
    said = {
        "key": key,
        "serial": serial,
        "kind": kind,
        "identity": _identity(fields.string()),
        "principals": _principals(fields.string()),
        "valid_after": fields.number(8),
        "valid_before": fields.number(8),
        "critical": _option_names(fields.string()),
    }
    _option_names(fields.string())  # extensions, of which none means anything here
    if fields.string():
        raise _malformed("has something in its reserved field")
    with _speaking_of("the signature on this certificate"):
        signer = PublicKey.from_blob(fields.string())
        signed = blob[: fields.at]
        check_signature(signer, signed, *take_signature(signer, fields.string()))
    if fields.left:
        raise _malformed("has bytes after its end")
    return said | {"signer": signer}


def _key(fields: _Fields) -> PublicKey:
    """The plain key: after the nonce stands what stands in its own blob after the type."""
    type_ = _TYPES.get(fields.string().decode("ascii", "replace"))
    if type_ is None:
        raise Refused(
            "key-type-not-taken",
            f"the key in this certificate is of a type that is not taken, only {ED25519} and {SK_ED25519}",
            "make a key of a type that is taken, ssh-keygen -t ed25519, and have it certified",
        )
    fields.string()  # the nonce
    blob = ssh_string(type_.encode()) + ssh_string(fields.string())
    if type_ == SK_ED25519:
        blob += ssh_string(fields.string())
    with _speaking_of("the key in this certificate"):
        return PublicKey(type_, blob)


def _identity(data: bytes) -> str:
    """A free text to OpenSSH, up to its first NUL; here UTF-8 with nothing in it that a terminal obeys."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise _malformed("has an identity that is not UTF-8") from None
    if _CONTROL.search(text):
        raise _malformed("has a control character in its identity")
    return text


def _principals(data: bytes) -> tuple[str, ...]:
    fields = _Fields(data)
    principals = []
    while fields.left:
        principals.append(_name(fields.string(), "principal"))
    if len(principals) > _MAX_PRINCIPALS:
        raise _malformed(f"has more than {_MAX_PRINCIPALS} principals")
    return tuple(principals)


def _option_names(data: bytes) -> tuple[str, ...]:
    """The names of options, critical or not; their data are left to whoever knows the option."""
    fields = _Fields(data)
    names = []
    while fields.left:
        names.append(_name(fields.string(), "name of an option"))
        fields.string()
    if names != sorted(set(names)):
        raise _malformed("has options that are not sorted, or one twice")
    return tuple(names)


def _name(data: bytes, what: str) -> str:
    """OpenSSH reads a name up to its first NUL; printable ASCII asks neither that nor any table."""
    text = data.decode("ascii", "replace")
    if not _NAME.fullmatch(text):
        raise _malformed(f"has a {what} that is not printable ASCII")
    return text


@contextmanager
def _speaking_of(part: str) -> Iterator[None]:
    """Say of which part of a certificate an error speaks; the mend is a new one in each case."""
    try:
        yield
    except LedgerError as error:
        raise type(error)(error.rule, f"{part}: {error.what}", _CERTIFY_AGAIN) from None


def _malformed(what: str) -> Malformed:
    return Malformed("certificate-form", f"this certificate {what}", _CERTIFY_AGAIN)
