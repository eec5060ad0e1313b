"""Statements in their envelope: DSSE, parsed, verified and signed (spec 14; DSSE 1.0.2).

    {"payload": "<base64>", "payloadType": "application/vnd.in-toto+json",
     "signatures": [{"keyid": "SHA256:…", "sig": "<base64>"}]}

An envelope may come from any tool, so its JSON has any layout: its name is the SHA-256 of its bytes. But it means one
thing to every reader: no key is repeated, base64 is the standard one and re-encodes to itself, and there is no key but
these five. DSSE lets a reader pass over others; here they are refused, because no signature covers them, and because
readers exist that take `Payload` for `payload`.

A signature is raw Ed25519, as section 1 has it, over the pre-authentication encoding of type and payload. Each names
its key, and every one verifies. A security key signs more than it is given, which this form has no room for.
"""

from __future__ import annotations

import json
import math
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, NoReturn

from gitledger.errors import Malformed, Refused
from gitledger.signing.ed25519 import check_signature
from gitledger.signing.keys import SK_ED25519, PublicKey

PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"

LARGEST: Final = 1 << 20
"""How many bytes an envelope has at most, and so its statement."""

MAX_NESTING: Final = 64
"""How deep its JSON is nested at most: other people's predicates go deeper than the ledger's records."""

SIGNATURES: Final = 16
"""How many signatures an envelope has at most: each covers, and so hashes, the whole statement."""

LONGEST_NUMBER: Final = 40
"""How many characters a number in it has at most."""

LARGEST_EXACT: Final = (1 << 53) - 1
"""JSON readers that hold numbers as doubles hold whole ones up to here exactly."""

_LARGEST_INTEGER: Final = (1 << 63) - 1
_KEY_ID: Final = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")

_SIGN_AGAIN: Final = "sign the statement again: gitledger certify"
_AS_SIGNED: Final = "ask whoever signed it for the envelope as it was signed"
_REWRITE: Final = "write it as JSON that every reader takes for the same, and sign it again"


class Signature(NamedTuple):
    """One signature: the key id that it names, and its 64 bytes of Ed25519."""

    key_id: str
    raw: bytes


@dataclass(frozen=True, slots=True)
class Envelope:
    """An envelope as it was read: its form holds, and nothing is proved before `verify` (spec 14).

    `payload` is the statement's bytes; `signatures` one to `SIGNATURES`, no key twice.
    """

    payload: bytes
    signatures: tuple[Signature, ...]

    @classmethod
    def parse(cls, data: bytes) -> Envelope:
        """Read an envelope from its bytes.

        Raises Malformed: what `load` raises, `envelope-form`, `envelope-key`, `payload-type`, `envelope-base64`,
        `too-many-signatures`, `signature-form`, `signed-twice`.
        """
        whole = _fields(load(data), ("payload", "payloadType", "signatures"), "an envelope")
        if whole["payloadType"] != PAYLOAD_TYPE:
            raise Malformed("payload-type", f"this envelope does not say that it holds {PAYLOAD_TYPE}", _SIGN_AGAIN)
        listed = whole["signatures"]
        if not isinstance(listed, list) or not listed:
            _refuse_form("the signatures of an envelope are a list of at least one")
        if len(listed) > SIGNATURES:
            what = f"this envelope has {len(listed)} signatures, and may have {SIGNATURES}"
            raise Malformed("too-many-signatures", what, "have the others sign an envelope of their own")
        signatures = tuple(_signature(each) for each in listed)
        if len({each.key_id for each in signatures}) < len(signatures):
            raise Malformed("signed-twice", "one key signed this envelope twice", "keep one of its signatures")
        return cls(_base64(whole["payload"], "payload"), signatures)

    def encode(self) -> bytes:
        """The envelope as bytes, in the layout that gitledger writes; `parse` reads any."""
        signatures = [{"keyid": each.key_id, "sig": _text(each.raw)} for each in self.signatures]
        whole = {"payload": _text(self.payload), "payloadType": PAYLOAD_TYPE, "signatures": signatures}
        return json.dumps(whole, separators=(",", ":")).encode() + b"\n"


def pae(payload_type: str, payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding: what a signature covers."""
    type_ = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(type_), type_, len(payload), payload)


def verify(envelope: Envelope, keys: Mapping[str, PublicKey]) -> None:
    """Verify that every signature is by one of `keys`, which are given by key id (spec 14).

    Returns nothing. Raises Refused: `unknown-signer`, `security-key-statement`, and what `check_signature` raises.
    Which keys may sign what the statement says is for the caller to decide.
    """
    signed = pae(PAYLOAD_TYPE, envelope.payload)
    for key_id, raw in envelope.signatures:
        key = keys.get(key_id)
        if key is None:
            raise Refused(
                "unknown-signer",
                f"the key {key_id} signed this statement, and it is none that may",
                "have it signed by a key that stands in the domain's manifest, and by no other",
            )
        check_key(key)
        try:
            check_signature(key, signed, raw)
        except Refused as error:
            error.mend = _SIGN_AGAIN
            raise


def sign(
    payload: bytes, key: PublicKey, make: Callable[[bytes], bytes], beside: tuple[Signature, ...] = ()
) -> Envelope:
    """Sign a statement with `key`, beside the signatures `beside` that it has already.

    `make` returns the 64 bytes of Ed25519 over what it is given, as `Ed25519PrivateKey.sign` does. Raises Refused,
    `security-key-statement`, before it is called, and what `verify` raises where it did not sign with that key;
    Malformed, `json-size`, `too-many-signatures` or `signed-twice`, for an envelope that nobody would take.
    """
    check_key(key)
    made = Signature(key.key_id, make(pae(PAYLOAD_TYPE, payload)))
    verify(Envelope(payload, (made,)), {key.key_id: key})
    return Envelope.parse(Envelope(payload, (*beside, made)).encode())


def load(data: bytes) -> Any:
    """The value of JSON that anybody may have written, where all readers read the same (spec 14).

    Raises Malformed: `json-size`, `json-syntax`, `json-repeated-key`, `json-number` (infinite, too long, 2^63 or more),
    `json-text` (half a surrogate pair), `json-depth`.
    """
    if len(data) > LARGEST:
        raise Malformed("json-size", f"this has {len(data)} bytes, more than {LARGEST}", "make a shorter statement")
    try:
        value = json.loads(
            data.decode(),
            object_pairs_hook=_unrepeated,
            parse_int=_integer,
            parse_float=_fraction,
            parse_constant=_number,
        )
    except ValueError as error:
        raise Malformed("json-syntax", f"this is not JSON: {str(error)[:80]!a}", _REWRITE) from None
    except RecursionError:
        _refuse_depth()
    _check_value(value, 0)
    return value


def _unrepeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise Malformed("json-repeated-key", "a key stands twice in one object", _REWRITE)
    return value


def _number(digits: str) -> str:
    """Python's own bound on the digits of a number can be set from outside, so it comes after this one."""
    if len(digits) > LONGEST_NUMBER or not math.isfinite(float(digits)):
        raise Malformed("json-number", f"a number is infinite, none, or longer than {LONGEST_NUMBER}", _REWRITE)
    return digits


def _integer(digits: str) -> int:
    value = int(_number(digits))
    if abs(value) > _LARGEST_INTEGER:
        raise Malformed("json-number", "a whole number is 2^63 or more, which few readers hold", _REWRITE)
    return value


def _fraction(digits: str) -> float:
    """Protobuf, and with it in-toto's bindings, writes 2 as 2.0, and means 2."""
    value = float(_number(digits))
    return int(value) if value.is_integer() and abs(value) <= LARGEST_EXACT else value


def _check_value(value: Any, depth: int) -> None:
    if isinstance(value, str):
        if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
            raise Malformed("json-text", "a text holds half a surrogate pair", _REWRITE)
    elif isinstance(value, dict | list):
        if depth == MAX_NESTING:
            _refuse_depth()
        for item in (*value, *value.values()) if isinstance(value, dict) else value:
            _check_value(item, depth + 1)


def _signature(value: Any) -> Signature:
    fields = _fields(value, ("keyid", "sig"), "a signature of an envelope")
    key_id = fields["keyid"]
    if not isinstance(key_id, str) or not _KEY_ID.fullmatch(key_id):
        _refuse_form("the keyid of a signature is not a key id, SHA256:… as `ssh-keygen -lf KEY.pub` prints it")
    raw = _base64(fields["sig"], "sig")
    if len(raw) != 64:
        raise Malformed("signature-form", "the sig of an envelope is not the 64 bytes of Ed25519", _SIGN_AGAIN)
    return Signature(key_id, raw)


def _fields(value: Any, names: tuple[str, ...], what: str) -> dict[str, Any]:
    """The fields of an object that has exactly these."""
    if not isinstance(value, dict) or any(name not in value for name in names):
        _refuse_form(f"{what} is an object with {', '.join(names)}")
    if unknown := value.keys() - set(names):
        raise Malformed(
            "envelope-key",
            f"{what} has the key {min(unknown)[:40]!a} that no signature covers",
            f"take it out, the signatures hold without it; only {', '.join(names)} may stand there",
        )
    return value


def _base64(value: Any, name: str) -> bytes:
    try:
        data = b64decode(value, validate=True)
    except (ValueError, TypeError):
        data = b""
    if _text(data) != value:
        raise Malformed(
            "envelope-base64",
            f"the {name} of this envelope is not base64 in its one form",
            "write it with + and /, padded with =, without line ends, as `base64 -w 0` does",
        )
    return data


def _text(data: bytes) -> str:
    return b64encode(data).decode()


def check_key(key: PublicKey) -> None:
    """Check that `key` is of a type that signs statements. Raises Refused (`security-key-statement`)."""
    if key.type == SK_ED25519:
        raise Refused(
            "security-key-statement",
            f"{key.key_id} is a security key, which can't sign a statement: an envelope has no room for what it adds",
            "sign with a key of type ssh-ed25519; a security key may still sign the proposal that brings the statement",
        )


def _refuse_form(what: str) -> NoReturn:
    raise Malformed("envelope-form", what, _AS_SIGNED)


def _refuse_depth() -> NoReturn:
    raise Malformed("json-depth", f"this is nested deeper than {MAX_NESTING}", _REWRITE)
