"""OpenSSH certificates (spec 13): what ssh-keygen certifies is read as it says, and nothing that is only like it.

The attacks are made of raw bytes: the builder below follows PROTOCOL.certkeys, and shares nothing with the code.
"""

from __future__ import annotations

import hashlib
import subprocess
from base64 import b64decode, b64encode
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from gitledger.errors import LedgerError, Malformed, Refused
from gitledger.signing.keys import PublicKey
from gitledger.signing.sshcert import FOREVER, Certificate, is_certificate, is_certificate_text

L = 2**252 + 27742317777372353535851937790883648493
PLAIN, SK = b"ssh-ed25519", b"sk-ssh-ed25519@openssh.com"
PLAIN_CERT, SK_CERT = b"ssh-ed25519-cert-v01@openssh.com", b"sk-ssh-ed25519-cert-v01@openssh.com"
ALICE, NODE = (Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name).digest()) for name in (b"alice", b"node"))
IDENTITY = (1).to_bytes(32, "little")  # the point of order 1
NOT_REDUCED = (2**255 - 1).to_bytes(32, "little")


def string(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def strings(*data: bytes) -> bytes:
    return b"".join(map(string, data))


def point_of(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes_raw()


def plain_blob(key: Ed25519PrivateKey) -> bytes:
    return strings(PLAIN, point_of(key))


@dataclass
class Parts:
    """The fields of a certificate, each of which a test may bend before Alice signs what comes of it."""

    type: bytes = PLAIN_CERT
    nonce: bytes = bytes(32)
    key: bytes = string(point_of(NODE))
    serial: int = 7
    kind: int = 1
    identity: bytes = b"rescue-1"
    principals: bytes = strings(b"executor@alice", b"publisher@alice")
    after: int = 1_700_000_000
    before: int = 1_700_028_800
    critical: bytes = b""
    extensions: bytes = strings(b"permit-pty", b"", b"permit-user-rc", b"")
    reserved: bytes = b""
    signer: bytes = plain_blob(ALICE)
    signature: bytes | None = None
    end: bytes = b""

    def body(self) -> bytes:
        return b"".join(
            (
                strings(self.type, self.nonce),
                self.key,
                self.serial.to_bytes(8, "big"),
                self.kind.to_bytes(4, "big"),
                strings(self.identity, self.principals),
                self.after.to_bytes(8, "big"),
                self.before.to_bytes(8, "big"),
                strings(self.critical, self.extensions, self.reserved, self.signer),
            )
        )

    def blob(self) -> bytes:
        signature = strings(PLAIN, ALICE.sign(self.body())) if self.signature is None else self.signature
        return self.body() + string(signature) + self.end


def touched(parts: Parts, flags: int = 1, signed_flags: int | None = None, end: bytes = b"") -> Parts:
    """The same, certified with a security key, which signs a frame of its own (PROTOCOL.u2f)."""
    parts = replace(parts, signer=strings(SK, point_of(ALICE), b"ssh:"))
    shown = bytes([flags if signed_flags is None else signed_flags]) + (7).to_bytes(4, "big")
    data = hashlib.sha256(b"ssh:").digest() + shown + hashlib.sha256(parts.body()).digest()
    said = bytes([flags]) + (7).to_bytes(4, "big")
    return replace(parts, signature=strings(SK, ALICE.sign(data)) + said + end)


SK_NODE = Parts(type=SK_CERT, key=strings(point_of(NODE), b"ssh:"))
HONEST = {
    "plain by plain": Parts(),
    "security key by plain": SK_NODE,
    "plain by security key": touched(Parts()),
    "security key by security key": touched(SK_NODE),
    "nothing in it": Parts(nonce=b"", identity=b"", principals=b"", extensions=b"", serial=0, after=0, before=0),
    "everything at its greatest": Parts(serial=FOREVER, after=FOREVER, before=FOREVER),
    "an identity of many letters": Parts(identity="Küche – 台所".encode()),
    "the most principals": Parts(principals=strings(*(b"p%d" % n for n in range(256)))),
    "options sorted as bytes are": Parts(
        critical=strings(b"Z@b", b"", b"a@b", b"\0\xff", b"force-command", string(b"x"))
    ),
}


def stock_reads(place: Path, blob: bytes) -> bool:
    """Whether ssh-keygen reads the certificate, which includes its signature."""
    type_ = blob[4 : 4 + int.from_bytes(blob[:4], "big")]
    (place / "one-cert.pub").write_bytes(type_ + b" " + b64encode(blob) + b"\n")
    return (
        subprocess.run(["ssh-keygen", "-Lf", place / "one-cert.pub"], capture_output=True, check=False).returncode == 0
    )


def refusal(blob: bytes) -> LedgerError:
    with pytest.raises(LedgerError) as caught:
        Certificate(blob)
    assert caught.value.mend
    assert str(caught.value).isprintable()
    return caught.value


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("keys")
    for name in ("nodes", "node"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", place / name], check=True)
    return place


def certify(keys: Path, *options: str, identity: str = "rescue-1") -> Certificate:
    """What the stock command makes of node.pub."""
    command = ["ssh-keygen", "-q", "-s", keys / "nodes", "-I", identity, *options, keys / "node.pub"]
    subprocess.run(command, check=True, env={"TZ": "UTC"})
    return Certificate.from_file_text((keys / "node-cert.pub").read_text())


def key_of(file: Path) -> PublicKey:
    return PublicKey.from_file_text(file.read_text())


# What is honest passes


def test_what_ssh_keygen_certifies_is_read_as_it_says(keys: Path) -> None:
    read = certify(keys, "-n", "executor@alice,publisher@alice", "-z", "7", "-V", "20231114221300:20231115061300")
    assert (read.key, read.signer) == (key_of(keys / "node.pub"), key_of(keys / "nodes.pub"))
    assert (read.kind, read.serial, read.identity) == ("user", 7, "rescue-1")
    assert read.principals == ("executor@alice", "publisher@alice")
    assert read.grants == (("executor", "alice"), ("publisher", "alice"))
    assert (read.valid_after, read.valid_before) == (1699999980, 1700028780)
    assert read.critical == ()
    kind, encoded, _ = (keys / "node-cert.pub").read_text().split(maxsplit=2)
    assert (read.text, read.blob) == (f"{kind} {encoded}", b64decode(encoded))


def test_what_ssh_keygen_leaves_out_is_said_plainly(keys: Path) -> None:
    read = certify(keys)
    assert (read.serial, read.principals, read.valid_after, read.valid_before) == (0, (), 0, FOREVER)


def test_a_host_certificate_and_its_critical_options_are_read_and_left_to_the_rules(keys: Path) -> None:
    assert certify(keys, "-h", "-n", "executor@alice").kind == "host"
    options = ("-O", "source-address=10.0.0.0/8", "-O", "force-command=true", "-O", "critical:x@y=1")
    assert certify(keys, "-n", "executor@alice", *options).critical == ("force-command", "source-address", "x@y")
    assert certify(keys, "-O", "clear", "-O", "extension:z@y=1", "-O", "no-touch-required").critical == ()


@pytest.mark.parametrize("parts", HONEST.values(), ids=HONEST.keys())
def test_an_honest_certificate_is_read_as_ssh_keygen_reads_it(tmp_path: Path, parts: Parts) -> None:
    read = Certificate(parts.blob())
    assert stock_reads(tmp_path, parts.blob())
    assert (read.serial, read.valid_after, read.valid_before) == (parts.serial, parts.after, parts.before)
    assert read.identity.encode() == parts.identity
    assert strings(*(one.encode() for one in read.principals)) == parts.principals
    assert read.signer.blob == parts.signer
    assert read.key.blob == string(read.key.type.encode()) + parts.key
    assert read.key.type == (SK if parts.type == SK_CERT else PLAIN).decode()


def test_equal_bytes_are_equal_certificates_and_others_of_one_key_are_not() -> None:
    assert Certificate(Parts().blob()) == Certificate(Parts().blob())
    assert Certificate(Parts().blob()) != Certificate(Parts(serial=8).blob())
    assert len({Certificate(Parts().blob()), Certificate(Parts().blob())}) == 1


# What it holds


def ed25519(raw: bytes) -> bytes:
    return strings(PLAIN, raw)


RAW = ALICE.sign(Parts().body())
SCALAR_NOT_REDUCED = RAW[:32] + (int.from_bytes(RAW[32:], "little") + L).to_bytes(32, "little")

BENT = {
    "nothing": (b"", "certificate-form"),
    "a type alone": (string(PLAIN_CERT), "certificate-form"),
    "a plain key": (plain_blob(NODE), "key-type-not-taken"),
    "type of an RSA certificate": (Parts(type=b"ssh-rsa-cert-v01@openssh.com").blob(), "key-type-not-taken"),
    "type not ASCII": (Parts(type=b"\xff\x1b[31m").blob(), "key-type-not-taken"),
    "point too short": (Parts(key=string(point_of(NODE)[:31])).blob(), "malformed-key"),
    "point of small order": (Parts(key=string(IDENTITY)).blob(), "small-order-point"),
    "point not canonical": (Parts(key=string(NOT_REDUCED)).blob(), "non-canonical-point"),
    "NUL in the application": (replace(SK_NODE, key=strings(point_of(NODE), b"ssh:\0")).blob(), "malformed-key"),
    "a security key without application": (replace(SK_NODE, key=string(point_of(NODE))).blob(), "certificate-form"),
    "kind 0": (Parts(kind=0).blob(), "certificate-form"),
    "kind 3": (Parts(kind=3).blob(), "certificate-form"),
    "identity not UTF-8": (Parts(identity=b"\xff").blob(), "certificate-form"),
    "identity with a NUL": (Parts(identity=b"rescue\0").blob(), "certificate-form"),
    "identity with a newline": (Parts(identity=b"a\nb").blob(), "certificate-form"),
    "identity that colours a terminal": (Parts(identity=b"\x1b[31m").blob(), "certificate-form"),
    "an empty principal": (Parts(principals=strings(b"")).blob(), "certificate-form"),
    "a principal with a NUL": (Parts(principals=strings(b"executor@alice\0")).blob(), "certificate-form"),
    "a principal with a newline": (Parts(principals=strings(b"executor@alice\n")).blob(), "certificate-form"),
    "a principal not ASCII": (Parts(principals=strings("exécutor@alice".encode())).blob(), "certificate-form"),
    "principals cut off": (Parts(principals=strings(b"executor@alice")[:-1]).blob(), "certificate-form"),
    "bytes after the principals": (Parts(principals=strings(b"executor@alice") + b"\0").blob(), "certificate-form"),
    "too many principals": (Parts(principals=strings(*[b"p"] * 257)).blob(), "certificate-form"),
    "options not sorted": (Parts(critical=strings(b"b", b"", b"a", b"")).blob(), "certificate-form"),
    "an option twice": (Parts(critical=strings(b"a", b"", b"a", b"x")).blob(), "certificate-form"),
    "an option without data": (Parts(critical=strings(b"a")).blob(), "certificate-form"),
    "an option without a name": (Parts(critical=strings(b"", b"")).blob(), "certificate-form"),
    "an option with a NUL": (Parts(critical=strings(b"a\0", b"")).blob(), "certificate-form"),
    "extensions not sorted": (Parts(extensions=strings(b"b", b"", b"a", b"")).blob(), "certificate-form"),
    "an extension twice": (Parts(extensions=strings(b"a", b"", b"a", b"")).blob(), "certificate-form"),
    "bytes after the extensions": (Parts(extensions=b"\0").blob(), "certificate-form"),
    "reserved not empty": (Parts(reserved=b"x").blob(), "certificate-form"),
    "signed by a certificate": (
        Parts(signer=Parts(key=string(point_of(ALICE))).blob()).blob(),
        "certificate-not-taken-here",
    ),
    "signed by a key of another type": (Parts(signer=strings(b"ssh-rsa", b"\1", b"\1")).blob(), "key-type-not-taken"),
    "bytes after the signer": (Parts(signer=plain_blob(ALICE) + b"\0").blob(), "malformed-key"),
    "signer of small order": (Parts(signer=strings(PLAIN, IDENTITY)).blob(), "small-order-point"),
    "no signature": (Parts(signature=b"").blob(), "certificate-form"),
    "a signature too short": (Parts(signature=ed25519(RAW[:63])).blob(), "signature-form"),
    "a signature too long": (Parts(signature=ed25519(RAW + b"\0")).blob(), "signature-form"),
    "a signature of another type": (Parts(signature=strings(b"rsa-sha2-512", RAW)).blob(), "signature-form"),
    "bytes after the raw signature": (Parts(signature=ed25519(RAW) + b"\0").blob(), "signature-form"),
    "flags on a plain signature": (Parts(signature=ed25519(RAW) + b"\1\0\0\0\7").blob(), "signature-form"),
    "bytes after the signature": (Parts(end=b"\0").blob(), "certificate-form"),
    "signed by itself for another": (Parts(signature=ed25519(NODE.sign(Parts().body()))).blob(), "bad-signature"),
    "signature of another certificate": (Parts(serial=8, signature=ed25519(RAW)).blob(), "bad-signature"),
    "signature without the signer in it": (
        Parts(signature=ed25519(ALICE.sign(Parts().body()[: -len(string(Parts.signer))]))).blob(),
        "bad-signature",
    ),
    "signer swapped": (Parts(signer=plain_blob(NODE)).blob(), "bad-signature"),
    "a scalar not reduced": (Parts(signature=ed25519(SCALAR_NOT_REDUCED)).blob(), "non-canonical-scalar"),
    "R of small order": (Parts(signature=ed25519(IDENTITY + RAW[32:])).blob(), "small-order-point"),
    "a security key that nobody touched": (touched(Parts(), flags=0).blob(), "no-user-presence"),
    "presence claimed, not signed": (touched(Parts(), signed_flags=0).blob(), "bad-signature"),
    "bytes after the counter": (touched(Parts(), end=b"\0").blob(), "signature-form"),
    "a plain signature under a security key": (
        replace(touched(Parts()), signature=ed25519(RAW)).blob(),
        "signature-form",
    ),
}


@pytest.mark.parametrize(("blob", "rule"), BENT.values(), ids=BENT.keys())
def test_a_certificate_of_any_other_form_is_refused(blob: bytes, rule: str) -> None:
    error = refusal(blob)
    assert error.rule == rule
    assert type(error) in (Malformed, Refused)
    assert "certificate" in error.what


@pytest.mark.parametrize("parts", HONEST.values(), ids=HONEST.keys())
def test_a_certificate_cut_off_anywhere_is_refused(parts: Parts) -> None:
    whole = parts.blob()
    for end in range(len(whole)):
        assert refusal(whole[:end]).rule == "certificate-form"


@pytest.mark.parametrize("parts", [Parts(), touched(SK_NODE)], ids=["plain", "security key"])
def test_no_bit_of_a_certificate_can_be_flipped(parts: Parts) -> None:
    whole = parts.blob()
    for at in range(len(whole)):
        refusal(whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :])


@given(tail=st.binary(max_size=300), at=st.integers(0, 400))
def test_whatever_follows_the_beginning_of_a_certificate_is_refused_by_a_rule(tail: bytes, at: int) -> None:
    refusal(Parts().blob()[:at] + tail + b"\0")


@pytest.mark.parametrize(
    "critical", [strings(b"b", b"", b"a", b""), strings(b"a", b"", b"a", b"")], ids=["not sorted", "twice"]
)
def test_stock_tools_read_what_is_refused_here_by_the_letter_of_the_format(tmp_path: Path, critical: bytes) -> None:
    assert stock_reads(tmp_path, Parts(critical=critical).blob())
    assert refusal(Parts(critical=critical).blob()).rule == "certificate-form"


# Its text, and what its principals grant


def test_a_certificate_is_told_from_a_plain_key() -> None:
    assert is_certificate(Parts().blob())
    assert is_certificate(string(b"ssh-rsa-cert-v01@openssh.com"))
    for other in (plain_blob(NODE), b"", b"\0\0", string(b""), PLAIN_CERT):
        assert not is_certificate(other)
    assert is_certificate_text(Certificate(Parts().blob()).text)
    for text in ("", "\n", "ssh-ed25519 AAAA", "# ssh-ed25519-cert-v01@openssh.com"):
        assert not is_certificate_text(text)


TEXT = f"{PLAIN_CERT.decode()} {b64encode(Parts().blob()).decode()}"


@pytest.mark.parametrize("text", [TEXT, TEXT + "\n", TEXT + " a comment of several words\n", TEXT + "\r\n"])
def test_a_person_may_give_a_certificate_with_comment_and_newline(text: str) -> None:
    assert Certificate.from_file_text(text).text == TEXT


@pytest.mark.parametrize(
    "text",
    [
        "",
        PLAIN_CERT.decode(),
        TEXT.split()[1],
        TEXT[:-1],
        TEXT + "=",
        TEXT + "é",
        TEXT.replace(PLAIN_CERT.decode(), SK_CERT.decode()),
        TEXT.replace(PLAIN_CERT.decode(), PLAIN.decode()),
    ],
    ids=["empty", "type alone", "base64 alone", "cut", "padding", "not ASCII", "security key", "plain key"],
)
def test_a_text_that_is_no_certificate_line_is_malformed(text: str) -> None:
    with pytest.raises(Malformed, match="certificate-form"):
        Certificate.from_file_text(text)


@pytest.mark.parametrize(
    "principals",
    [
        (),
        (b"alice",),
        (b"executor@alice", b"alice"),
        (b"executor@alice", b"executor@alice"),
        (b"executor@",),
        (b"@alice",),
        (b"executor@alice@alice",),
        (b"Executor@alice",),
        (b"executor@Alice",),
        (b"executor@alice ",),
        (b"executor@alice,publisher@alice",),
        (b"*@alice",),
    ],
)
def test_principals_that_are_not_roles_at_a_domain_grant_nothing(principals: tuple[bytes, ...]) -> None:
    read = Certificate(Parts(principals=strings(*principals)).blob())
    with pytest.raises(Refused, match="certificate-principals") as caught:
        _ = read.grants
    assert "-n executor@alice" in caught.value.mend
    assert Certificate(Parts(principals=strings(b"executor@alice")).blob()).grants == (("executor", "alice"),)
