"""Public keys (spec 1): what ssh-keygen makes is taken as it prints it, and nothing that is only like it."""

from __future__ import annotations

import hashlib
import subprocess
from base64 import b64decode, b64encode
from pathlib import Path

import pytest

from gitledger.errors import Failed, LedgerError, Malformed, Refused
from gitledger.signing.keys import PublicKey, command_id

P = 2**255 - 19
Y8 = int.from_bytes(bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little")
SIGN = 1 << 255

# Every encoding that some Ed25519 decoder takes for a point of small order (Chalkias and others, 2020).
SMALL_ORDER = [
    y | sign for y in (0, 1, P - 1, Y8, P - Y8) for sign in (0, SIGN)
]  # of order 4, 1, 2, 8 and 8; with a sign on x = 0 too
NON_CANONICAL = [y | sign for y in (P, P + 1, 2**255 - 1) for sign in (0, SIGN)]

HONEST_POINT = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")  # RFC 8032, 7.1


def string(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def blob(point: bytes, kind: bytes = b"ssh-ed25519") -> bytes:
    return string(kind) + string(point)


def line(data: bytes, kind: str = "ssh-ed25519") -> str:
    return f"{kind} {b64encode(data).decode()}"


def point(number: int) -> bytes:
    return number.to_bytes(32, "little")


def ssh_keygen(*arguments: str | Path) -> str:
    return subprocess.run(["ssh-keygen", *arguments], check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def alice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "alice"
    ssh_keygen("-q", "-t", "ed25519", "-N", "", "-C", "alice@laptop and more", "-f", path)
    return path.with_suffix(".pub")


def refusal(text: str) -> LedgerError:
    with pytest.raises(LedgerError) as caught:
        PublicKey.parse(text)
    return caught.value


def test_a_key_of_ssh_keygen_has_the_names_that_stock_tools_give_it(alice: Path) -> None:
    key = PublicKey.from_file_text(alice.read_text())
    kind, encoded, _ = alice.read_text().split(" ", 2)
    assert (key.type, key.text) == (kind, f"{kind} {encoded}")
    assert key.key_id == ssh_keygen("-lf", alice).split()[1]
    assert key.blob_digest == hashlib.sha256(b64decode(encoded)).hexdigest()
    assert key.certificate == f"{kind} {encoded}\n"


def test_a_command_id_is_what_printf_and_sha256sum_print(alice: Path) -> None:
    key = PublicKey.from_file_text(alice.read_text())
    printed = subprocess.run(
        ["sh", "-c", r'printf "%s\n42" "$1" | sha256sum', "sh", key.text], check=True, capture_output=True, text=True
    )
    assert command_id(key, 42) == printed.stdout.split()[0]


def test_all_three_ways_to_read_a_key_give_equal_values(alice: Path) -> None:
    key = PublicKey.from_file_text(alice.read_text())
    assert key == PublicKey.parse(key.text) == PublicKey.from_blob(key.blob) == PublicKey(key.type, key.blob)
    assert len({key, PublicKey.parse(key.text)}) == 1
    assert key.point == key.blob[-32:]


def test_a_security_key_keeps_its_application() -> None:
    kind = "sk-ssh-ed25519@openssh.com"
    data = blob(HONEST_POINT, kind.encode()) + string(b"ssh:work")
    key = PublicKey.parse(line(data, kind))
    assert (key.application, key.point, key.text) == (b"ssh:work", HONEST_POINT, line(data, kind))


@pytest.mark.parametrize(
    "given",
    ["{}", "{}\n", "{}\r\n", "  {} alice@laptop\n", "# my key\n\n{} a comment of several words\n", "{}\tcomment"],
)
def test_a_person_may_give_a_key_with_comment_and_newline(alice: Path, given: str) -> None:
    text = " ".join(alice.read_text().split()[:2])
    assert PublicKey.from_file_text(given.format(text)).text == text


@pytest.mark.parametrize("given", ["", "\n", "# nothing\n", "ssh-ed25519", "{0}\n{0}\n", "restrict {0}", "alice"])
def test_a_person_gives_exactly_one_key(given: str) -> None:
    with pytest.raises(Malformed, match="malformed-key"):
        PublicKey.from_file_text(given.format(line(blob(HONEST_POINT))))


def test_a_private_key_given_for_a_public_one_says_so(alice: Path) -> None:
    with pytest.raises(Failed, match="private-key-given"):
        PublicKey.from_file_text(alice.with_suffix("").read_text())


HONEST = line(blob(HONEST_POINT))
MALFORMED = {
    "empty": "",
    "type alone": "ssh-ed25519",
    "type and space": "ssh-ed25519 ",
    "base64 alone": HONEST.split()[1],
    "newline": HONEST + "\n",
    "carriage return": HONEST + "\r",
    "comment": HONEST + " alice",
    "space after": HONEST + " ",
    "space before": " " + HONEST,
    "two spaces": HONEST.replace(" ", "  "),
    "tab": HONEST.replace(" ", "\t"),
    "newline inside": HONEST[:40] + "\n" + HONEST[40:],
    "padding added": HONEST + "=",
    "padded twice": HONEST + "====",
    "url alphabet": "ssh-ed25519 " + HONEST.split()[1][:-1] + "_",
    "not ASCII": HONEST + "é",
    "lone surrogate": HONEST + "\udc80",
    "NUL": HONEST + "\0",
    "upper-case type": HONEST.replace("ssh-ed", "SSH-ed"),
    "no type": "key::" + HONEST,
    "point too short": line(blob(HONEST_POINT[:31])),
    "point too long": line(blob(HONEST_POINT + b"\0")),
    "no point": line(string(b"ssh-ed25519")),
    "point cut off": line(blob(HONEST_POINT)[:-1]),
    "bytes after the point": line(blob(HONEST_POINT) + b"\0"),
    "length of 4 GiB": line(string(b"ssh-ed25519") + b"\xff" * 4 + HONEST_POINT),
    "another type inside": line(blob(HONEST_POINT, b"ssh-ed25518")),
    "plain key said to be a security key": line(blob(HONEST_POINT), "sk-ssh-ed25519@openssh.com"),
    "security key said to be plain": line(
        blob(HONEST_POINT, b"sk-ssh-ed25519@openssh.com") + string(b"ssh:"), "ssh-ed25519"
    ),
    "security key without application": line(
        blob(HONEST_POINT, b"sk-ssh-ed25519@openssh.com"), "sk-ssh-ed25519@openssh.com"
    ),
    "NUL in the application": line(
        blob(HONEST_POINT, b"sk-ssh-ed25519@openssh.com") + string(b"ssh:\0"), "sk-ssh-ed25519@openssh.com"
    ),
    "bytes after the application": line(
        blob(HONEST_POINT, b"sk-ssh-ed25519@openssh.com") + string(b"ssh:") + b"\0", "sk-ssh-ed25519@openssh.com"
    ),
}


@pytest.mark.parametrize("text", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_line_that_is_not_exactly_a_type_and_a_key_is_malformed(text: str) -> None:
    error = refusal(text)
    assert isinstance(error, Malformed)
    assert (error.rule, bool(error.mend)) == ("malformed-key", True)


def test_the_honest_twin_of_the_malformed_lines_passes() -> None:
    assert PublicKey.parse(HONEST).text == HONEST
    data = blob(HONEST_POINT, b"sk-ssh-ed25519@openssh.com") + string(b"ssh:")
    assert PublicKey.parse(line(data, "sk-ssh-ed25519@openssh.com")).blob == data


def test_base64_whose_unused_bits_are_set_is_malformed() -> None:
    data = blob(HONEST_POINT, b"sk-ssh-ed25519@openssh.com") + string(b"ssh:")
    text = line(data, "sk-ssh-ed25519@openssh.com")
    honest = text.rstrip("=")
    assert honest != text  # there are unused bits to set
    twisted = honest[:-1] + chr(ord(honest[-1]) + 1) + "=" * (len(text) - len(honest))
    assert b64decode(twisted.split()[1]) == data
    assert refusal(twisted).rule == "malformed-key"


@pytest.mark.parametrize("wire", [b"", b"\0\0", b"\0\0\0\x0bssh-ed2551", b"\xff" * 8, string(b"\xff\x1b[31m")])
def test_wire_bytes_that_hold_no_key_are_malformed(wire: bytes) -> None:
    with pytest.raises(Malformed, match="malformed-key") as caught:
        PublicKey.from_blob(wire)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
def test_keys_of_other_types_are_refused_with_the_command_that_makes_one(tmp_path: Path, kind: str) -> None:
    ssh_keygen("-q", "-t", kind, "-N", "", "-f", tmp_path / "key")
    with pytest.raises(Refused, match="key-type-not-taken") as caught:
        PublicKey.from_file_text((tmp_path / "key.pub").read_text())
    assert "ssh-keygen -t ed25519" in caught.value.mend


def test_a_certificate_is_refused_by_a_rule_of_its_own(tmp_path: Path) -> None:
    for name in ("ca", "node"):
        ssh_keygen("-q", "-t", "ed25519", "-N", "", "-f", tmp_path / name)
    ssh_keygen("-q", "-s", tmp_path / "ca", "-I", "node", "-n", "publisher@alice", tmp_path / "node.pub")
    with pytest.raises(Refused, match="certificate-not-taken-here"):
        PublicKey.from_file_text((tmp_path / "node-cert.pub").read_text())
    assert PublicKey.from_file_text((tmp_path / "node.pub").read_text()).type == "ssh-ed25519"


@pytest.mark.parametrize("kind", ["ssh-ed25519", "sk-ssh-ed25519@openssh.com"])
@pytest.mark.parametrize(
    ("number", "rule"),
    [(number, "small-order-point") for number in SMALL_ORDER]
    + [(number, "non-canonical-point") for number in NON_CANONICAL],
)
def test_a_point_that_libraries_disagree_about_is_no_key(kind: str, number: int, rule: str) -> None:
    application = string(b"ssh:") if kind.startswith("sk") else b""
    error = refusal(line(blob(point(number), kind.encode()) + application, kind))
    assert isinstance(error, Refused)
    assert error.rule == rule


@pytest.mark.parametrize("number", [2, 3, P - 2, Y8 + 1, 2 | SIGN])
def test_the_neighbours_of_those_points_pass(number: int) -> None:
    assert PublicKey.parse(line(blob(point(number)))).point == point(number)
