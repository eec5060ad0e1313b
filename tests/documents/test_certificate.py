"""Certificate records: what the ledger keeps of a key (spec 3.4), and which salts are fresh (spec 4)."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitledger.documents.certificate import WINDOW, Record
from gitledger.errors import LedgerError, Malformed, Refused
from gitledger.signing.keys import PublicKey

LARGEST = 2**63 - 1
LINE = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINdamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea"  # RFC 8032, test 1


def record(*salts: int, status: str = "active") -> bytes:
    """The bytes of a record, by the json module of the standard library."""
    value = {"certificate": LINE, "domain_id": "alice", "salts": salts, "status": status}
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def test_a_new_record_has_no_salts_and_is_active() -> None:
    made = Record.made(PublicKey.parse(LINE), "alice")
    assert made.encode() == record()
    assert Record.parse(record()) == made


def test_a_record_is_written_as_it_was_read() -> None:
    read = Record.parse(record(1, 1795170991, LARGEST, status="revoked"))
    assert read.salts == (1, 1795170991, LARGEST)
    assert read.status == "revoked"
    assert read.public == PublicKey.parse(LINE)
    assert read.encode() == record(1, 1795170991, LARGEST, status="revoked")


def test_a_record_is_named_by_the_digest_of_the_blob_of_its_key(
    key_file: Callable[[str], Path], key_line: Callable[[str], str]
) -> None:
    digest = hashlib.sha256(base64.b64decode(key_line("alice").split()[1])).hexdigest()
    path = f"ledger/certificates/{digest[:2]}/{digest[2:]}.json"
    printed = subprocess.run(
        ["ssh-keygen", "-lf", key_file("alice").with_suffix(".pub")], capture_output=True, text=True, check=True
    )
    assert Record.path_of(printed.stdout.split()[1]) == path
    assert Record.made(PublicKey.parse(key_line("alice")), "alice").path == path


@pytest.mark.parametrize("key_id", ["", "SHA256:", "SHA256:" + "A" * 42, "SHA256:" + "B" * 43, "MD5:" + "A" * 43])
def test_what_is_no_key_id_has_no_record(key_id: str) -> None:
    with pytest.raises(Malformed):
        Record.path_of(key_id)


MALFORMED = {
    "a space": record(1).replace(b":[", b": ["),
    "no newline": record(1)[:-1],
    "two newlines": record(1) + b"\n",
    "keys in another order": json.dumps(
        {"domain_id": "alice", "certificate": LINE, "salts": [1], "status": "active"}, separators=(",", ":")
    ).encode()
    + b"\n",
    "an unknown key": record(1).replace(b',"status"', b',"since":1,"status"'),
    "a key missing": record(1).replace(b',"status":"active"', b""),
    "a key twice": record(1).replace(b',"status":"active"', b',"status":"active","status":"active"'),
    "another status": record(1, status="retired"),
    "a domain of digits": record(1).replace(b'"alice"', b'"123"'),
    "a certificate with its newline": record(1).replace(LINE.encode(), LINE.encode() + b"\\n"),
    "a certificate with a comment": record(1).replace(LINE.encode(), LINE.encode() + b" alice"),
    "a certificate that is no key": record(1).replace(LINE.encode(), b"ssh-ed25519 AAAA"),
    "a salt of zero": record(0),
    "a salt below zero": record(-1, 1),
    "a salt of 2^63": record(LARGEST + 1),
    "a salt with a fraction": record(1).replace(b"[1]", b"[1.0]"),
    "a salt with a leading zero": record(1).replace(b"[1]", b"[01]"),
    "a salt that is text": record(1).replace(b"[1]", b'["1"]'),
    "a salt that is true": record(1).replace(b"[1]", b"[true]"),
    "a salt that is null": record(1).replace(b"[1]", b"[null]"),
    "a salt twice": record(1, 1),
    "salts that descend": record(2, 1),
    "33 salts": record(*range(1, 34)),
    "a list": b"[]\n",
    "nothing": b"",
    "not JSON": b"certificate: x\n",
    "not UTF-8": record(1).replace(b"alice", b"al\xffce"),
}


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_record_is_refused_and_its_twin_is_not(data: bytes) -> None:
    Record.parse(record(1))
    Record.parse(record(*range(1, 33)))
    with pytest.raises(Malformed):
        Record.parse(data)


def test_a_salt_on_record_is_used() -> None:
    read = Record.parse(record(5, 9))
    read.fresh(7)
    with pytest.raises(Refused) as caught:
        read.fresh(9)
    assert caught.value.rule == "salt-used"
    assert "git commit --amend" in caught.value.mend


def test_a_salt_below_all_is_fresh_while_the_window_has_room_and_not_after() -> None:
    Record.parse(record(*range(10, 10 + WINDOW - 1))).fresh(9)
    with pytest.raises(Refused) as caught:
        Record.parse(record(*range(10, 10 + WINDOW))).fresh(9)
    assert caught.value.rule == "salt-below-window"


def test_a_full_window_takes_a_salt_between_and_drops_its_least() -> None:
    full = Record.parse(record(*range(10, 10 + 2 * WINDOW, 2)))
    assert full.with_salt(13).salts == tuple(sorted([*range(12, 10 + 2 * WINDOW, 2), 13]))


@pytest.mark.parametrize("salt", [0, -1, LARGEST + 1])
def test_a_salt_out_of_range_never_joins_a_record(salt: int) -> None:
    with pytest.raises(LedgerError):
        Record.parse(record(5)).with_salt(salt)


@given(st.lists(st.integers(1, 120), max_size=150))
def test_no_salt_is_ever_taken_twice_and_the_32_greatest_are_kept(tried: list[int]) -> None:
    current = Record.parse(record())
    taken: list[int] = []
    for salt in tried:
        try:
            current = current.with_salt(salt)
        except Refused:
            continue
        taken.append(salt)
    assert len(taken) == len(set(taken))
    assert current.salts == tuple(sorted(taken)[-WINDOW:])
    assert Record.parse(current.encode()) == current


def test_revoking_keeps_the_salts() -> None:
    assert Record.parse(record(5)).revoked().encode() == record(5, status="revoked")


def test_the_key_that_signs_its_own_removal_leaves_its_salt_behind() -> None:
    assert Record.parse(record(5)).revoked().with_salt(6).encode() == record(5, 6, status="revoked")
