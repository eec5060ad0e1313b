"""SSH signatures (spec 1): what ssh-keygen signs verifies here, what is signed here verifies there, and no twin does.

The attacks are made of raw bytes: the builders below follow PROTOCOL.sshsig, and share nothing with the code.
"""

from __future__ import annotations

import hashlib
import subprocess
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_ssh_private_key
from hypothesis import given
from hypothesis import strategies as st

from gitledger.errors import LedgerError, Malformed, Refused
from gitledger.signing import sshsig
from gitledger.signing.sshcert import Certificate

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
Y8 = int.from_bytes(bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little")
SIGN = 1 << 255
SMALL_ORDER = [y | sign for y in (0, 1, P - 1, Y8, P - Y8) for sign in (0, SIGN)]
NON_CANONICAL = [y | sign for y in (P, P + 1, 2**255 - 1) for sign in (0, SIGN)]

BEGIN, END = b"-----BEGIN SSH SIGNATURE-----\n", b"-----END SSH SIGNATURE-----\n"
MESSAGE = b"tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n"
PLAIN, SK = b"ssh-ed25519", b"sk-ssh-ed25519@openssh.com"
ALICE = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"alice").digest())


def string(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def armour(data: bytes, width: int = 70, newline: bytes = b"\n") -> bytes:
    text = b64encode(data)
    lines = [text[at : at + width] for at in range(0, len(text), width)]
    return BEGIN + newline.join(lines) + newline + END


def to_sign(message: bytes, namespace: bytes = b"git", reserved: bytes = b"", digest: str = "sha512") -> bytes:
    name = digest.encode()
    return b"SSHSIG" + b"".join(map(string, (namespace, reserved, name, hashlib.new(digest, message).digest())))


@dataclass
class Parts:
    """The fields of a signature, each of which a test may bend before they are put together."""

    point: bytes = ALICE.public_key().public_bytes_raw()
    raw: bytes = ALICE.sign(to_sign(MESSAGE))
    magic: bytes = b"SSHSIG"
    version: int = 1
    key_type: bytes = PLAIN
    key_end: bytes = b""
    namespace: bytes = b"git"
    reserved: bytes = b""
    digest: bytes = b"sha512"
    inner_type: bytes = PLAIN
    inner_end: bytes = b""
    end: bytes = b""

    def blob(self) -> bytes:
        key = string(self.key_type) + string(self.point) + self.key_end
        inner = string(self.inner_type) + string(self.raw) + self.inner_end
        head = self.magic + self.version.to_bytes(4, "big")
        return head + b"".join(map(string, (key, self.namespace, self.reserved, self.digest, inner))) + self.end


def touched(flags: int = 1, counter: int = 7, application: bytes = b"ssh:", signed_flags: int | None = None) -> Parts:
    """A signature as a security key makes it, of the same message (PROTOCOL.u2f)."""
    shown = flags if signed_flags is None else signed_flags
    data = hashlib.sha256(application).digest() + bytes([shown]) + counter.to_bytes(4, "big")
    return Parts(
        raw=ALICE.sign(data + hashlib.sha256(to_sign(MESSAGE)).digest()),
        key_type=SK,
        key_end=string(application),
        inner_type=SK,
        inner_end=bytes([flags]) + counter.to_bytes(4, "big"),
    )


def accept(data: bytes, message: bytes = MESSAGE, namespace: str = "git") -> sshsig.Signature:
    signature = sshsig.parse(data)
    sshsig.verify(signature, message, namespace)
    return signature


def refusal(data: bytes, message: bytes = MESSAGE, namespace: str = "git") -> LedgerError:
    with pytest.raises(LedgerError) as caught:
        accept(data, message, namespace)
    assert caught.value.mend
    assert str(caught.value).isprintable()
    return caught.value


def ssh_keygen_accepts(place: Path, key_line: bytes, data: bytes, message: bytes = MESSAGE) -> bool:
    (place / "allowed").write_bytes(b"alice " + key_line + b"\n")
    (place / "signature").write_bytes(data)
    arguments = ["-Y", "verify", "-f", place / "allowed", "-I", "alice", "-n", "git", "-s", place / "signature"]
    return subprocess.run(["ssh-keygen", *arguments], input=message, capture_output=True, check=False).returncode == 0


def key_line(parts: Parts) -> bytes:
    return parts.key_type + b" " + b64encode(string(parts.key_type) + string(parts.point) + parts.key_end)


@pytest.fixture(scope="module")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("key") / "alice"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return path


def ssh_keygen_sign(key_file: Path, message: bytes, *options: str, namespace: str = "git") -> bytes:
    command = ["ssh-keygen", "-Y", "sign", "-n", namespace, "-f", str(key_file), *options]
    return subprocess.run(command, input=message, capture_output=True, check=True).stdout


# What is honest passes


@pytest.mark.parametrize("message", [b"", b"\0", MESSAGE, bytes(range(256)) * 500])
@pytest.mark.parametrize("namespace", ["git", "asl.domain.key"])
def test_what_ssh_keygen_signs_is_accepted_and_re_encodes(key_file: Path, message: bytes, namespace: str) -> None:
    data = ssh_keygen_sign(key_file, message, namespace=namespace)
    signature = accept(data, message, namespace)
    assert signature.namespace == namespace
    assert signature.key.text == " ".join(key_file.with_suffix(".pub").read_text().split()[:2])
    assert sshsig.encode(signature) == data


def test_what_is_signed_here_is_accepted_by_ssh_keygen(tmp_path: Path) -> None:
    data = sshsig.sign(ALICE, MESSAGE, "git")
    assert data == armour(Parts().blob())
    assert ssh_keygen_accepts(tmp_path, key_line(Parts()), data)
    assert not ssh_keygen_accepts(tmp_path, key_line(Parts()), data, MESSAGE + b"\n")


@pytest.mark.parametrize(
    "parts",
    [touched(), touched(flags=5, counter=2**32 - 1), touched(application=b"ssh:work")],
    ids=["touched", "touched and verified", "own application"],
)
def test_a_security_key_that_was_touched_is_accepted_as_ssh_keygen_does(tmp_path: Path, parts: Parts) -> None:
    data = armour(parts.blob())
    signature = accept(data)
    assert (signature.flags, signature.counter) == (parts.inner_end[0], int.from_bytes(parts.inner_end[1:], "big"))
    assert sshsig.encode(signature) == data
    assert ssh_keygen_accepts(tmp_path, key_line(parts), data)


@given(message=st.binary(max_size=200), namespace=st.from_regex(r"[a-z][a-z.-]{0,90}", fullmatch=True))
def test_sign_parse_and_encode_are_one_round_trip(message: bytes, namespace: str) -> None:
    data = sshsig.sign(ALICE, message, namespace)
    assert sshsig.encode(accept(data, message, namespace)) == data


# Armour

HONEST = armour(Parts().blob())
BODY = HONEST[len(BEGIN) : -len(END)]

ARMOUR = {
    "empty": b"",
    "header and footer alone": BEGIN + END,
    "lines of 64": armour(Parts().blob(), 64),
    "lines of 76": armour(Parts().blob(), 76),
    "one line": armour(Parts().blob(), 10_000),
    "CRLF": HONEST.replace(b"\n", b"\r\n"),
    "CRLF inside": armour(Parts().blob(), newline=b"\r\n"),
    "no newline at the end": HONEST[:-1],
    "blank line after": HONEST + b"\n",
    "blank line before": b"\n" + HONEST,
    "blank line inside": BEGIN + BODY.replace(b"\n", b"\n\n", 1) + END,
    "blank line before the footer": BEGIN + BODY + b"\n" + END,
    "blank line after the header": BEGIN + b"\n" + BODY + END,
    "text after": HONEST + b"trailing\n",
    "text before": b"leading\n" + HONEST,
    "twice": HONEST + HONEST,
    "space at the end of a line": HONEST.replace(b"\n", b" \n", 2),
    "space inside a line": HONEST[:50] + b" " + HONEST[50:],
    "junk inside a line": HONEST[:50] + b"*" + HONEST[50:],
    "NUL inside": HONEST[:50] + b"\0" + HONEST[50:],
    "not ASCII inside": HONEST[:50] + b"\xc3\xa9" + HONEST[50:],
    "padding added": HONEST.replace(b"\n-----END", b"====\n-----END"),
    "PGP header": HONEST.replace(b"SSH SIGNATURE", b"PGP SIGNATURE"),
    "lower-case header": HONEST.replace(b"BEGIN SSH", b"begin ssh"),
    "no header": BODY + END,
    "no footer": BEGIN + BODY,
    "footer cut off": HONEST[:-3],
    "cut off": HONEST[:100],
    "url alphabet": HONEST.replace(b"U1NI", b"U1N_", 1),
}


@pytest.mark.parametrize("data", ARMOUR.values(), ids=ARMOUR.keys())
def test_armour_that_does_not_re_encode_to_itself_is_malformed(data: bytes) -> None:
    error = refusal(data)
    assert isinstance(error, Malformed)
    assert error.rule == "signature-armour"


def test_base64_whose_unused_bits_are_set_is_malformed() -> None:
    parts = next(p for p in (Parts(namespace=b"g" * n) for n in (1, 2, 3)) if b"=" in armour(p.blob()))
    honest = armour(parts.blob())
    at = honest.index(b"=") - 1
    twisted = honest[:at] + bytes([honest[at] + 1]) + honest[at + 1 :]
    assert b64decode(twisted[len(BEGIN) : -len(END)]) == parts.blob()
    assert refusal(twisted).rule == "signature-armour"
    assert sshsig.parse(honest).namespace.startswith("g")


def test_a_blob_that_fills_its_last_line_has_no_empty_line_after_it(key_file: Path) -> None:
    lengths = set()
    for size in range(1, 200):
        parts = Parts(namespace=b"n" * size)
        if len(b64encode(parts.blob())) % 70 == 0:
            name = "n" * size
            data = ssh_keygen_sign(key_file, MESSAGE, namespace=name)
            assert sshsig.encode(accept(data, namespace=name)) == data
            lengths.add(size)
    assert lengths


# What the armour holds

FORM = {
    "nothing": (b"", "signature-form"),
    "the magic alone": (b"SSHSIG", "signature-form"),
    "another magic": (Parts(magic=b"SSHSIH").blob(), "signature-form"),
    "version 0": (Parts(version=0).blob(), "signature-form"),
    "version 2": (Parts(version=2).blob(), "signature-form"),
    "reserved not empty": (
        Parts(reserved=b"x", raw=ALICE.sign(to_sign(MESSAGE, reserved=b"x"))).blob(),
        "signature-form",
    ),
    "hash sha256": (
        Parts(digest=b"sha256", raw=ALICE.sign(to_sign(MESSAGE, digest="sha256"))).blob(),
        "signature-hash",
    ),
    "hash unknown": (Parts(digest=b"sha512\0").blob(), "signature-hash"),
    "namespace empty": (Parts(namespace=b"", raw=ALICE.sign(to_sign(MESSAGE, b""))).blob(), "signature-form"),
    "namespace with NUL": (Parts(namespace=b"git\0").blob(), "signature-form"),
    "namespace with newline": (Parts(namespace=b"git\n").blob(), "signature-form"),
    "namespace not ASCII": (Parts(namespace="gít".encode()).blob(), "signature-form"),
    "namespace not UTF-8": (Parts(namespace=b"git\xff").blob(), "signature-form"),
    "bytes after the signature": (Parts(end=b"\0").blob(), "signature-form"),
    "bytes after the key": (Parts(key_end=b"\0").blob(), "malformed-key"),
    "bytes after the raw signature": (Parts(inner_end=b"\0").blob(), "signature-form"),
    "raw signature too short": (Parts(raw=Parts.raw[:63]).blob(), "signature-form"),
    "raw signature too long": (Parts(raw=Parts.raw + b"\0").blob(), "signature-form"),
    "raw signature empty": (Parts(raw=b"").blob(), "signature-form"),
    "flags on a plain key": (Parts(inner_end=b"\1\0\0\0\7").blob(), "signature-form"),
    "type of an RSA signature": (Parts(inner_type=b"rsa-sha2-512").blob(), "signature-form"),
    "security key's signature under a plain key": (
        Parts(inner_type=SK, inner_end=b"\1\0\0\0\7").blob(),
        "signature-form",
    ),
    "plain signature under a security key": (Parts(key_type=SK, key_end=string(b"ssh:")).blob(), "signature-form"),
    "key of another type": (Parts(key_type=b"ssh-rsa").blob(), "key-type-not-taken"),
    "certificate": (Parts(key_type=b"ssh-ed25519-cert-v01@openssh.com").blob(), "certificate-not-taken-here"),
    "key without a type": (Parts(key_type=b"").blob(), "malformed-key"),
    "a length of 4 GiB": (Parts().blob()[:10] + b"\xff" * 4 + Parts().blob()[14:], "signature-form"),
    "webauthn": (Parts(inner_type=b"webauthn-" + SK).blob(), "signature-form"),
}


@pytest.mark.parametrize(("blob", "rule"), FORM.values(), ids=FORM.keys())
def test_a_signature_of_any_other_form_is_refused(blob: bytes, rule: str) -> None:
    assert refusal(armour(blob)).rule == rule


def test_the_honest_twin_of_the_forms_passes() -> None:
    assert accept(HONEST).raw == Parts.raw


@pytest.mark.parametrize("parts", [Parts(), touched()], ids=["plain", "security key"])
def test_a_signature_cut_off_anywhere_is_refused(parts: Parts) -> None:
    whole = parts.blob()
    for end in range(len(whole)):
        assert refusal(armour(whole[:end])).rule in ("signature-form", "signature-armour")


@pytest.mark.parametrize("parts", [Parts(), touched()], ids=["plain", "security key"])
def test_no_bit_of_a_signature_can_be_flipped(parts: Parts) -> None:
    whole = parts.blob()
    for at in range(len(whole)):
        refusal(armour(whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :]))


def test_a_sha256_signature_of_ssh_keygen_is_refused_beside_its_sha512_twin(key_file: Path) -> None:
    assert refusal(ssh_keygen_sign(key_file, MESSAGE, "-O", "hashalg=sha256")).rule == "signature-hash"
    assert accept(ssh_keygen_sign(key_file, MESSAGE, "-O", "hashalg=sha512"))


# A certificate in place of the key


@pytest.fixture(scope="module")
def certificate(key_file: Path) -> Path:
    """The certificate of alice's key by another, as ssh-keygen makes it."""
    signer = key_file.with_name("nodes")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", signer], check=True)
    command = ["ssh-keygen", "-q", "-s", signer, "-I", "rescue-1", "-n", "executor@alice", "-z", "7"]
    subprocess.run([*command, key_file.with_suffix(".pub")], check=True)
    return key_file.with_name("alice-cert.pub")


def test_a_signature_with_a_certificate_is_read_by_whoever_asks_for_it(key_file: Path, certificate: Path) -> None:
    data = ssh_keygen_sign(certificate, MESSAGE)
    signature = sshsig.parse(data, take_certificate=True)
    sshsig.verify(signature, MESSAGE, "git")
    assert signature.certificate == Certificate.from_file_text(certificate.read_text())
    assert signature.key == signature.certificate.key == accept(ssh_keygen_sign(key_file, MESSAGE)).key
    assert sshsig.encode(signature) == data
    with pytest.raises(Refused, match="bad-signature"):
        sshsig.verify(signature, MESSAGE + b"\n", "git")


def test_a_signature_with_a_certificate_is_refused_by_everybody_else(key_file: Path, certificate: Path) -> None:
    assert refusal(ssh_keygen_sign(certificate, MESSAGE)).rule == "certificate-not-taken-here"
    assert accept(ssh_keygen_sign(key_file, MESSAGE)).certificate is None


def test_whoever_takes_a_certificate_takes_a_plain_key_too() -> None:
    assert sshsig.parse(HONEST, take_certificate=True) == sshsig.parse(HONEST)
    assert sshsig.parse(armour(touched().blob()), take_certificate=True).certificate is None


def test_what_is_signed_here_with_a_certificate_is_what_ssh_keygen_writes(key_file: Path, certificate: Path) -> None:
    private = load_ssh_private_key(key_file.read_bytes(), None)
    assert isinstance(private, Ed25519PrivateKey)
    data = sshsig.sign(private, MESSAGE, "git", Certificate.from_file_text(certificate.read_text()))
    assert data == ssh_keygen_sign(certificate, MESSAGE)


def test_a_certificate_that_is_spoiled_or_of_another_type_spoils_the_signature(certificate: Path) -> None:
    blob = b64decode(certificate.read_text().split()[1])
    whole = b64decode(ssh_keygen_sign(certificate, MESSAGE)[len(BEGIN) : -len(END)])
    assert sshsig.parse(armour(whole), take_certificate=True).certificate

    def rule(bent: bytes) -> str:
        with pytest.raises(LedgerError) as caught:
            sshsig.parse(armour(whole.replace(string(blob), string(bent))), take_certificate=True)
        return caught.value.rule

    assert rule(blob[:-1]) == "certificate-form"
    assert rule(blob[:-1] + bytes([blob[-1] ^ 1])) in ("bad-signature", "non-canonical-scalar")
    assert rule(blob.replace(b"rescue-1", b"rescue-2")) == "bad-signature"
    assert rule(string(b"ssh-rsa-cert-v01@openssh.com") + blob[36:]) == "key-type-not-taken"


def test_a_signature_with_a_certificate_cut_off_anywhere_is_refused(certificate: Path) -> None:
    whole = b64decode(ssh_keygen_sign(certificate, MESSAGE)[len(BEGIN) : -len(END)])
    for end in range(len(whole)):
        with pytest.raises(Malformed, match=r"signature-form|signature-armour"):
            sshsig.parse(armour(whole[:end]), take_certificate=True)


# What is signed


def test_a_signature_for_one_namespace_is_refused_in_another(key_file: Path) -> None:
    assert refusal(ssh_keygen_sign(key_file, MESSAGE, namespace="file")).rule == "wrong-namespace"
    relabelled = Parts(raw=ALICE.sign(to_sign(MESSAGE, b"file")))
    assert refusal(armour(relabelled.blob())).rule == "bad-signature"
    assert accept(ssh_keygen_sign(key_file, MESSAGE, namespace="file"), namespace="file")


@pytest.mark.parametrize("message", [b"", MESSAGE[:-1], MESSAGE + b"\n", MESSAGE.replace(b"\n", b"\r\n")])
def test_a_signature_of_other_bytes_is_refused(message: bytes) -> None:
    assert refusal(HONEST, message).rule == "bad-signature"


def test_a_signature_does_not_pass_for_one_by_another_key() -> None:
    james = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"james").digest())
    assert refusal(armour(Parts(point=james.public_key().public_bytes_raw()).blob())).rule == "bad-signature"


def test_the_bare_message_and_its_bare_hash_signed_are_no_signature() -> None:
    for data in (MESSAGE, hashlib.sha512(MESSAGE).digest(), to_sign(MESSAGE)[6:]):
        assert refusal(armour(Parts(raw=ALICE.sign(data)).blob())).rule == "bad-signature"


@pytest.mark.parametrize("flags", [0, 4, 0x80, 0xFE])
def test_a_security_key_that_nobody_touched_is_refused(flags: int) -> None:
    assert refusal(armour(touched(flags=flags).blob())).rule == "no-user-presence"
    assert accept(armour(touched(flags=flags | 1).blob()))


TOUCH = {
    "presence claimed, not signed": touched(flags=1, signed_flags=0),
    "another counter": Parts(**{**vars(touched()), "inner_end": b"\1\0\0\0\x08"}),
    "another application": Parts(**{**vars(touched()), "key_end": string(b"ssh:x")}),
    "signed as by a plain key": Parts(**{**vars(touched()), "raw": Parts.raw}),
}


@pytest.mark.parametrize("parts", TOUCH.values(), ids=TOUCH.keys())
def test_what_a_security_key_adds_is_signed(parts: Parts) -> None:
    assert refusal(armour(parts.blob())).rule == "bad-signature"


def test_a_security_key_without_counter_or_with_more_is_malformed() -> None:
    honest = touched()
    for end in (b"", b"\1", b"\1\0\0\0", honest.inner_end + b"\0"):
        bent = Parts(**{**vars(honest), "inner_end": end})
        assert refusal(armour(bent.blob())).rule == "signature-form"
    assert accept(armour(honest.blob()))


# Odd points and scalars of Ed25519


def scalar_of(key: Ed25519PrivateKey) -> int:
    seed = hashlib.sha512(key.private_bytes_raw()).digest()[:32]
    return (int.from_bytes(seed, "little") & (2**254 - 8)) | 2**254


def challenge(r: bytes, a: bytes, data: bytes) -> int:
    return int.from_bytes(hashlib.sha512(r + a + data).digest(), "little") % L


def le(number: int) -> bytes:
    return number.to_bytes(32, "little")


def test_a_scalar_that_is_not_reduced_is_refused() -> None:
    s = int.from_bytes(Parts.raw[32:], "little")
    multiples = [s + n * L for n in range(1, 16) if s + n * L < 2**256]
    assert len(multiples) > 10
    for bent in multiples:
        error = refusal(armour(Parts(raw=Parts.raw[:32] + le(bent)).blob()))
        assert (type(error), error.rule) == (Refused, "non-canonical-scalar")


@pytest.mark.parametrize(
    ("number", "rule"),
    [(number, "small-order-point") for number in SMALL_ORDER]
    + [(number, "non-canonical-point") for number in NON_CANONICAL],
)
def test_no_signature_has_an_odd_point_as_r_or_as_key(number: int, rule: str) -> None:
    r = le(number)
    # With R of order 1 this scalar satisfies the equation, and needs no randomness that could be judged.
    s = challenge(r, Parts.point, to_sign(MESSAGE)) * scalar_of(ALICE) % L
    assert refusal(armour(Parts(raw=r + le(s)).blob())).rule == rule
    # With A of order 1, R = [S]B satisfies it for every message: the signature of nobody.
    base = bytes([0x58]) + b"\x66" * 31
    assert refusal(armour(Parts(point=r, raw=base + le(1)).blob())).rule == rule


def test_the_equation_holds_for_the_identity_so_that_only_the_check_of_points_refuses_it() -> None:
    identity = le(1)
    s = challenge(identity, Parts.point, to_sign(MESSAGE)) * scalar_of(ALICE) % L
    ALICE.public_key().verify(identity + le(s), to_sign(MESSAGE))  # the library accepts it
    assert refusal(armour(Parts(raw=identity + le(s)).blob())).rule == "small-order-point"


Point = tuple[int, int]


def add(one: Point, other: Point) -> Point:
    (x, y), (u, v) = one, other
    product = D * x * u * y * v
    return (
        (x * v + y * u) * pow(1 + product, -1, P) % P,
        (y * v + x * u) * pow(1 - product, -1, P) % P,
    )


def decode(data: bytes) -> Point:
    y = int.from_bytes(data, "little") & (SIGN - 1)
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * pow(2, (P - 1) // 4, P) % P
    assert x * x % P == square
    return (x if x & 1 == data[31] >> 7 else P - x), y


def encode(value: Point) -> bytes:
    return le(value[1] | (value[0] & 1) << 255)


def mixed_order(holds: Callable[[int], bool]) -> tuple[Parts, bytes]:
    """Alice's key plus a point of order 8, and a message whose challenge is as wanted, signed with her scalar."""
    key = encode(add(decode(Parts.point), decode(le(Y8))))
    nonce = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"nonce").digest())
    r = nonce.public_key().public_bytes_raw()
    for number in range(1000):
        message = f"message {number}".encode()
        k = challenge(r, key, to_sign(message))
        if holds(k):
            return Parts(point=key, raw=r + le((scalar_of(nonce) + k * scalar_of(ALICE)) % L)), message
    raise AssertionError("no such message")


def test_the_equation_is_the_one_without_cofactor_as_for_ssh_keygen(tmp_path: Path) -> None:
    parts, message = mixed_order(lambda k: k % 8 == 0)
    assert accept(armour(parts.blob()), message)
    assert ssh_keygen_accepts(tmp_path, key_line(parts), armour(parts.blob()), message)
    parts, message = mixed_order(lambda k: k % 8 != 0)
    assert refusal(armour(parts.blob()), message).rule == "bad-signature"
    assert not ssh_keygen_accepts(tmp_path, key_line(parts), armour(parts.blob()), message)


def test_a_key_that_is_no_point_at_all_verifies_nothing() -> None:
    assert refusal(armour(Parts(point=le(2)).blob())).rule == "bad-signature"
