"""DSSE envelopes (spec 14): what others sign verifies here, what is signed here verifies there, and no twin does.

Others are securesystemslib and the openssl program. The attacks are made of raw bytes, by the standard library.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from base64 import b64decode, b64encode, urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from securesystemslib.dsse import Envelope as OtherEnvelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import CryptoSigner, SSlibKey

from gitledger.errors import LedgerError, Malformed, Refused
from gitledger.signing import dsse
from gitledger.signing.keys import PublicKey

TYPE = "application/vnd.in-toto+json"
PAYLOAD = b'{"_type":"https://in-toto.io/Statement/v1","predicate":{},"note":"\xc3\xa4???>>>"}\n'
L = 2**252 + 27742317777372353535851937790883648493


def private(name: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest())


def public(name: str, type_: bytes = b"ssh-ed25519", end: bytes = b"") -> PublicKey:
    point = private(name).public_key().public_bytes_raw()
    blob = b"".join(len(part).to_bytes(4, "big") + part for part in (type_, point)) + end
    return PublicKey.from_blob(blob)


ALICE, JAMES, STRANGER = public("alice"), public("james"), public("stranger")
KEYS = {key.key_id: key for key in (ALICE, JAMES)}
TOUCHED = public("alice", b"sk-ssh-ed25519@openssh.com", b"\0\0\0\4ssh:")


def encoding(payload: bytes, type_: str = TYPE) -> bytes:
    """The pre-authentication encoding, from DSSE's text."""
    return b" ".join((b"DSSEv1", b"%d" % len(type_), type_.encode(), b"%d" % len(payload), payload))


def signature(name: str, payload: bytes = PAYLOAD, type_: str = TYPE) -> dict[str, Any]:
    raw = private(name).sign(encoding(payload, type_))
    return {"keyid": public(name).key_id, "sig": b64encode(raw).decode()}


def whole(*names: str, **changed: Any) -> dict[str, Any]:
    """An envelope of the payload above, signed by these; what is changed is changed after."""
    signatures = [signature(name) for name in names or ("alice",)]
    return {"payload": b64encode(PAYLOAD).decode(), "payloadType": TYPE, "signatures": signatures} | changed


def written(value: object) -> bytes:
    return json.dumps(value).encode()


def refusal(data: bytes, keys: dict[str, PublicKey] = KEYS) -> LedgerError:
    with pytest.raises(LedgerError) as caught:
        dsse.verify(dsse.Envelope.parse(data), keys)
    assert caught.value.mend
    assert str(caught.value).isprintable()
    return caught.value


# What is honest passes


def test_the_encoding_is_that_of_the_vector_in_the_specification_of_dsse() -> None:
    made = dsse.pae("http://example.com/HelloWorld", b"hello world")
    assert made == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"


@pytest.mark.parametrize(
    "layout",
    [{}, {"indent": 2}, {"separators": (",", ":"), "sort_keys": True}, {"indent": "\t"}],
    ids=["plain", "indented", "canonical", "tabs"],
)
@pytest.mark.parametrize("names", [("alice",), ("james", "alice")])
def test_an_envelope_in_any_layout_verifies(layout: dict[str, Any], names: tuple[str, ...]) -> None:
    envelope = dsse.Envelope.parse(json.dumps(whole(*names), **layout).encode())
    dsse.verify(envelope, KEYS)
    assert envelope.payload == PAYLOAD
    assert [each.key_id for each in envelope.signatures] == [public(name).key_id for name in names]


def test_what_is_signed_here_is_the_envelope_that_dsse_describes() -> None:
    made = dsse.sign(PAYLOAD, ALICE, private("alice").sign)
    made = dsse.sign(PAYLOAD, JAMES, private("james").sign, beside=made.signatures)
    assert json.loads(made.encode()) == whole("alice", "james")
    assert dsse.Envelope.parse(made.encode()) == made
    dsse.verify(made, KEYS)


def test_what_is_signed_here_verifies_with_securesystemslib_and_what_is_signed_there_here() -> None:
    others = [
        SSlibKey.from_crypto(private(name).public_key(), keyid=public(name).key_id) for name in ("alice", "james")
    ]
    made = dsse.sign(PAYLOAD, ALICE, private("alice").sign)
    made = dsse.sign(PAYLOAD, JAMES, private("james").sign, beside=made.signatures)
    read = OtherEnvelope.from_dict(json.loads(made.encode()))
    assert read.payload == PAYLOAD
    assert read.verify(others, 2).keys() == KEYS.keys()
    bent = OtherEnvelope(PAYLOAD + b" ", TYPE, read.signatures)
    with pytest.raises(VerificationError):
        bent.verify(others, 1)

    theirs = OtherEnvelope(PAYLOAD, TYPE, {})
    for name, key in zip(("alice", "james"), others, strict=True):
        theirs.sign(CryptoSigner(private(name), key))
    here = dsse.Envelope.parse(written(theirs.to_dict()))
    dsse.verify(here, KEYS)
    assert here == made
    theirs.payload += b" "
    assert refusal(written(theirs.to_dict())).rule == "bad-signature"


def test_openssl_verifies_what_is_signed_here(tmp_path: Path) -> None:
    envelope = json.loads(dsse.sign(PAYLOAD, ALICE, private("alice").sign).encode())
    pem = private("alice").public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "key").write_bytes(pem)
    (tmp_path / "sig").write_bytes(b64decode(envelope["signatures"][0]["sig"]))
    (tmp_path / "signed").write_bytes(encoding(b64decode(envelope["payload"])))
    command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "key", "-rawin", "-in", "signed", "-sigfile", "sig"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)


# What nobody signed is refused


def test_two_signatures_of_which_one_fails_are_refused() -> None:
    both = whole("alice", "james")
    dsse.verify(dsse.Envelope.parse(written(both)), KEYS)
    for at in (0, 1):
        signatures = [dict(each) for each in both["signatures"]]
        signatures[at]["sig"] = signature(("alice", "james")[at], PAYLOAD + b" ")["sig"]
        assert refusal(written(both | {"signatures": signatures})).rule == "bad-signature"


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (whole(payload=b64encode(b"{}").decode()), "bad-signature"),
        (whole(signatures=[signature("alice", type_="application/json")]), "bad-signature"),
        (whole(signatures=[signature("alice") | {"keyid": JAMES.key_id}]), "bad-signature"),
        (whole("stranger"), "unknown-signer"),
        (whole("alice", "stranger"), "unknown-signer"),
    ],
    ids=["payload changed after", "signed as another type", "by another key", "by a stranger", "by a stranger, too"],
)
def test_what_the_keys_did_not_sign_is_refused(data: dict[str, Any], rule: str) -> None:
    assert refusal(written(data)).rule == rule


def test_a_payload_signed_as_it_stands_without_its_encoding_is_refused() -> None:
    raw = b64encode(private("alice").sign(PAYLOAD)).decode()
    assert refusal(written(whole(signatures=[signature("alice") | {"sig": raw}]))).rule == "bad-signature"


def test_a_signature_has_one_form() -> None:
    raw = b64decode(signature("alice")["sig"])
    later = raw[:32] + (int.from_bytes(raw[32:], "little") + L).to_bytes(32, "little")
    small = bytes([1]) + bytes(31) + raw[32:]
    for bent, rule in ((later, "non-canonical-scalar"), (small, "small-order-point")):
        data = whole(signatures=[signature("alice") | {"sig": b64encode(bent).decode()}])
        assert refusal(written(data)).rule == rule


def test_a_security_key_signs_no_statement() -> None:
    data = whole(signatures=[signature("alice") | {"keyid": TOUCHED.key_id}])
    error = refusal(written(data), {TOUCHED.key_id: TOUCHED})
    assert error.rule == "security-key-statement"
    assert "security key" in str(error)

    def never(_: bytes) -> bytes:
        raise AssertionError("the key was asked")

    with pytest.raises(Refused) as caught:
        dsse.sign(PAYLOAD, TOUCHED, never)
    assert caught.value.rule == "security-key-statement"


def test_a_signer_that_signs_with_another_key_makes_no_envelope() -> None:
    with pytest.raises(Refused) as caught:
        dsse.sign(PAYLOAD, ALICE, private("james").sign)
    assert caught.value.rule == "bad-signature"


def test_nobody_signs_twice() -> None:
    made = dsse.sign(PAYLOAD, ALICE, private("alice").sign)
    with pytest.raises(Malformed) as caught:
        dsse.sign(PAYLOAD, ALICE, private("alice").sign, beside=made.signatures)
    assert caught.value.rule == "signed-twice"


def test_a_statement_that_is_too_long_for_its_envelope_is_not_signed() -> None:
    with pytest.raises(Malformed) as caught:
        dsse.sign(b" " * 800_000, ALICE, private("alice").sign)
    assert caught.value.rule == "json-size"


# What is not in its one form is Malformed


def nested(depth: int) -> bytes:
    return written(whole()).replace(b"{", b'{"x": ' + b"[" * depth + b"]" * depth + b", ", 1)


def with_signature(**changed: Any) -> bytes:
    return written(whole(signatures=[signature("alice") | changed]))


HONEST = written(whole())
SIG = signature("alice")["sig"]
ENCODED = b64encode(PAYLOAD).decode()
URL_SAFE = urlsafe_b64encode(PAYLOAD).decode()
UNPADDED = b64encode(b"four")[:-2].decode()

MALFORMED: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "json-syntax"),
    "not JSON": (b"payload: x\n", "json-syntax"),
    "not UTF-8": (HONEST.replace(b"keyid", b"key\xff"), "json-syntax"),
    "UTF-16": (HONEST.decode().encode("utf-16"), "json-syntax"),
    "a byte order mark": (b"\xef\xbb\xbf" + HONEST, "json-syntax"),
    "something after it": (HONEST + b"{}", "json-syntax"),
    "a comma at the end": (HONEST[:-1] + b",}", "json-syntax"),
    "cut off": (HONEST[:-1], "json-syntax"),
    "a control character": (HONEST.replace(b"keyid", b"key\x00id"), "json-syntax"),
    "huge": (HONEST + b" " * (1 << 20), "json-size"),
    "NaN": (HONEST[:-1] + b', "x": NaN}', "json-number"),
    "infinity": (HONEST[:-1] + b', "x": -Infinity}', "json-number"),
    "infinity in digits": (HONEST[:-1] + b', "x": 1e999}', "json-number"),
    "a million digits": (HONEST[:-1] + b', "x": ' + b"7" * 900_000 + b"}", "json-number"),
    "2^63": (HONEST[:-1] + b', "x": 9223372036854775808}', "json-number"),
    "half a surrogate pair": (HONEST[:-1] + b', "x": "\\ud800"}', "json-text"),
    "half a surrogate pair in a key": (HONEST[:-1] + b', "\\udfff": 1}', "json-text"),
    "deep": (nested(64), "json-depth"),
    "very deep": (nested(100_000), "json-depth"),
    "the payload twice": (HONEST[:-1] + b', "payload": ""}', "json-repeated-key"),
    "the payload twice, once in escapes": (HONEST[:-1] + b', "p\\u0061yload": ""}', "json-repeated-key"),
    "a sig twice": (HONEST.replace(b'"keyid"', b'"sig": "", "keyid"'), "json-repeated-key"),
    "a key twice, deep down": (HONEST[:-1] + b', "x": [[{"y": [{"z": 1, "z": 1}]}]]}', "json-repeated-key"),
    "a list": (b"[]", "envelope-form"),
    "an empty object": (b"{}", "envelope-form"),
    "no payload": (written({key: value for key, value in whole().items() if key != "payload"}), "envelope-form"),
    "an unknown key": (written(whole(note="nobody signed this")), "envelope-key"),
    "a key in another case": (written(whole(Payload=b64encode(b"{}").decode())), "envelope-key"),
    "an unknown key of a signature": (with_signature(cert="x\x1b[2J"), "envelope-key"),
    "another payload type": (written(whole(payloadType="application/json")), "payload-type"),
    "a payload type in another case": (written(whole(payloadType=TYPE.upper())), "payload-type"),
    "a payload type that is no text": (written(whole(payloadType=[TYPE])), "payload-type"),
    "no signature": (written(whole(signatures=[])), "envelope-form"),
    "signatures that are no list": (written(whole(signatures=signature("alice"))), "envelope-form"),
    "a signature that is text": (written(whole(signatures=[SIG])), "envelope-form"),
    "no keyid": (written(whole(signatures=[{"sig": SIG}])), "envelope-form"),
    "an empty keyid": (with_signature(keyid=""), "envelope-form"),
    "a keyid in hex": (with_signature(keyid=ALICE.blob_digest), "envelope-form"),
    "a keyid with a newline": (with_signature(keyid=ALICE.key_id + "\n"), "envelope-form"),
    "more signatures than there may be": (written(whole(*map(str, range(17)))), "too-many-signatures"),
    "a key that signs twice": (written(whole("alice", "alice")), "signed-twice"),
    "a sig of 63 bytes": (with_signature(sig=b64encode(b64decode(SIG)[:-1]).decode()), "signature-form"),
    "a sig of 65 bytes": (with_signature(sig=b64encode(b64decode(SIG) + b"\0").decode()), "signature-form"),
    "a sig in hex": (with_signature(sig=b64decode(SIG).hex()), "signature-form"),
    "a sig without its padding": (with_signature(sig=SIG.rstrip("=")), "envelope-base64"),
    "a sig with loose bits": (with_signature(sig=SIG[:-3] + chr(ord(SIG[-3]) + 1) + "=="), "envelope-base64"),
    "URL-safe base64": (written(whole(payload=URL_SAFE)), "envelope-base64"),
    "base64 with a line end": (written(whole(payload=ENCODED[:76] + "\n" + ENCODED[76:])), "envelope-base64"),
    "base64 without its padding": (written(whole(payload=UNPADDED)), "envelope-base64"),
    "a payload that is not text": (written(whole(payload=None)), "envelope-base64"),
    "a payload in other letters": (written(whole(payload="ä")), "envelope-base64"),
}


@pytest.mark.parametrize(("data", "rule"), MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_envelope_is_refused_and_its_twin_is_not(data: bytes, rule: str) -> None:
    dsse.verify(dsse.Envelope.parse(HONEST), KEYS)
    assert URL_SAFE != ENCODED
    error = refusal(data)
    assert isinstance(error, Malformed)
    assert error.rule == rule


def test_as_many_keys_sign_as_may_and_no_more() -> None:
    names = [str(number) for number in range(17)]
    made = dsse.Envelope.parse(written(whole(*names[:16])))
    dsse.verify(made, {public(name).key_id: public(name) for name in names})
    with pytest.raises(Malformed) as caught:
        dsse.sign(PAYLOAD, public("16"), private("16").sign, beside=made.signatures)
    assert caught.value.rule == "too-many-signatures"


def test_the_greatest_envelope_and_the_deepest_json_pass() -> None:
    filled = HONEST + b" " * ((1 << 20) - len(HONEST))
    dsse.verify(dsse.Envelope.parse(filled), KEYS)
    assert dsse.load(b"[" * 64 + b"]" * 64)
    assert repr(dsse.load(b"[2.0, 2, 2.5, -0.0, 1e300]")) == "[2, 2, 2.5, 0, 1e+300]"
    assert dsse.load(b'{"a": [1, -2, 0.5, 9223372036854775807, null, true], "b": {"a": "\\ud83d\\ude00"}}')


def test_what_anybody_repeats_is_read_in_moderate_time() -> None:
    for data in (b"[" + b"[]," * 300_000 + b"[]]", b"[" + b"{}," * 300_000 + b"{}]", b'{"a":' * 170_000):
        with pytest.raises(Malformed):
            dsse.Envelope.parse(data)


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_but_ours(data: bytes) -> None:
    with pytest.raises(LedgerError):
        dsse.Envelope.parse(data)


@given(at=st.integers(0, len(HONEST) - 1), put=st.binary(max_size=3), taken=st.integers(0, 3))
def test_no_envelope_that_was_bent_proves_another_payload(at: int, put: bytes, taken: int) -> None:
    bent = HONEST[:at] + put + HONEST[at + taken :]
    try:
        envelope = dsse.Envelope.parse(bent)
        dsse.verify(envelope, KEYS)
    except LedgerError:
        return
    assert envelope == dsse.Envelope.parse(HONEST)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(value=JSON, place=st.sampled_from(["payload", "payloadType", "signatures", "keyid", "sig", "signature"]))
def test_no_value_in_any_place_raises_anything_but_ours(value: Any, place: str) -> None:
    bent: Callable[[], dict[str, Any]] = {
        "keyid": lambda: whole(signatures=[signature("alice") | {"keyid": value}]),
        "sig": lambda: whole(signatures=[signature("alice") | {"sig": value}]),
        "signature": lambda: whole(signatures=[value]),
    }.get(place, lambda: whole(**{place: value}))
    with pytest.raises(LedgerError):
        dsse.verify(dsse.Envelope.parse(written(bent())), KEYS)
