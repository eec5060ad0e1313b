"""`ledger/witness.yaml` and `ledger/ledger.yaml` (spec 3, 3.3)."""

from __future__ import annotations

import pytest

from gitledger.documents.ledgerfile import LedgerFile
from gitledger.documents.names import SnapshotName, check_digest, check_domain, check_key_id, seconds_of
from gitledger.documents.witness import Witness
from gitledger.errors import LedgerError

KEY_ID = "SHA256:" + "A" * 43
ARTIFACT = "sha256:" + "b" * 64

GENESIS = f"""\
artifact_type: asl.common.witness
version: 0.1
domain_id: you
pubkey_id: {KEY_ID}
since: common@0
"""
ROTATED = GENESIS.replace("common@0", "common@42") + f"rotation_artifact: {ARTIFACT}\n"

LEDGER = """\
artifact_type: asl.common.ledger
format: 1
name: common
"""


def test_the_genesis_witness_is_read_and_written_in_five_lines() -> None:
    witness = Witness.parse(GENESIS.encode())
    assert (witness.domain_id, witness.pubkey_id, witness.since) == ("you", KEY_ID, "common@0")
    assert witness.since_name == SnapshotName("common", 0)
    assert witness.rotation_artifact is None
    assert witness == Witness.serving("you", KEY_ID, "common@0")
    assert witness.render() == GENESIS


def test_a_rotation_writes_its_six_lines() -> None:
    witness = Witness.serving("you", KEY_ID, "common@42", ARTIFACT)
    assert witness.render() == ROTATED
    assert Witness.parse(ROTATED.encode()) == witness


def test_lines_in_another_order_say_the_same_and_are_written_in_theirs() -> None:
    shuffled = "# who\n" + "\n".join(reversed(ROTATED.splitlines())) + "\n"
    assert Witness.parse(shuffled.encode()).render() == ROTATED


MALFORMED = {
    "another document": ("asl.common.witness", "asl.common.policy"),
    "another version": ("version: 0.1", "version: 0.10"),
    "an unknown key": ("domain_id: you", "domain_id: you\nnote: x"),
    "a line missing": ("version: 0.1\n", ""),
    "a domain of digits": ("domain_id: you", 'domain_id: "1"'),
    "a key id in lower case": ("SHA256:", "sha256:"),
    "a snapshot without number": ("common@42", "common"),
    "a snapshot with a leading zero": ("common@42", "common@042"),
    "a snapshot beyond all numbers": ("common@42", "common@9223372036854775808"),
    "a snapshot below zero": ("common@42", "common@-1"),
    "a snapshot of no ledger": ("common@42", '"@42"'),
    "a snapshot of a ledger called draft": ("common@42", "draft@42"),
    "an artifact that is a key id": (ARTIFACT, KEY_ID),
    "an artifact in capitals": (ARTIFACT, ARTIFACT.upper()),
    "an artifact without algorithm": (ARTIFACT, "b" * 64),
    "genesis with a rotation": ("common@42", "common@0"),
    "a rotation without its artifact": (f"rotation_artifact: {ARTIFACT}\n", ""),
}


@pytest.mark.parametrize(("old", "new"), MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_witness_is_refused_and_its_twin_is_not(old: str, new: str) -> None:
    Witness.parse(ROTATED.encode())
    assert ROTATED.count(old) == 1
    with pytest.raises(LedgerError):
        Witness.parse(ROTATED.replace(old, new).encode())


def test_a_ledger_says_its_name_and_format() -> None:
    ledger = LedgerFile.parse(LEDGER.encode())
    assert (ledger.name, ledger.format) == ("common", 1)
    assert LedgerFile.named("common") == ledger
    assert ledger.render() == LEDGER


def test_a_format_yet_unknown_is_read_so_that_it_can_be_told() -> None:
    assert LedgerFile.parse(LEDGER.replace("format: 1", "format: 2").encode()).format == 2


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("format: 1", "format: 0"),
        ("format: 1", "format: true"),
        ("format: 1", "format: 1.0"),
        ("format: 1", 'format: "1"'),
        ("name: common", "name: Common"),
        ("name: common", "name: draft"),
        ("name: common", "name: 7"),
        ("name: common", "name: common\nversion: 0.1"),
        ("name: common\n", ""),
        ("ledger\n", "witness\n"),
    ],
)
def test_a_malformed_ledger_file_is_refused_and_its_twin_is_not(old: str, new: str) -> None:
    LedgerFile.parse(LEDGER.encode())
    assert LEDGER.count(old) == 1
    with pytest.raises(LedgerError):
        LedgerFile.parse(LEDGER.replace(old, new).encode())


@pytest.mark.parametrize("text", ["a", "1a", "a1", "build-farm", "a--b", "x" * 63, "no", "anyone", "0x1", "truex"])
def test_a_domain_id_in_the_grammar_is_one(text: str) -> None:
    assert check_domain(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "", "0", "123", "any", "draft", "true", "false", "A", "-a", "a-", "-", "a_b", "a.b", "a b", "a\n", "\na",
        "x" * 64, "é", "١a", "a/b", "a@b", "\x1b[31m", "\ud800",
    ],
)  # fmt: skip
def test_a_domain_id_outside_the_grammar_is_refused_in_a_sentence_fit_for_a_terminal(text: str) -> None:
    with pytest.raises(LedgerError) as caught:
        check_domain(text)
    assert caught.value.rule == "domain-id"
    assert caught.value.mend
    assert str(caught.value).isprintable()


def test_a_refused_text_of_any_length_makes_a_short_sentence() -> None:
    with pytest.raises(LedgerError) as caught:
        check_domain("x" * 1_000_000)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("text", "seconds"), [("0d", 0), ("0h", 0), ("24h", 86400), ("30d", 2592000), ("2932896d", 253402214400)]
)
def test_a_duration_is_so_many_seconds(text: str, seconds: int) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "d", "30", "30D", "1w", "-1d", "+1d", "1.5d", "01d", " 1d", "1d\n", "2932897d", "9" * 5000 + "d"],
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(LedgerError) as caught:
        seconds_of(text)
    assert caught.value.rule == "duration"


@pytest.mark.parametrize("text", ["common@0", "common@42", "common@9223372036854775807", "a-b@1"])
def test_a_snapshot_name_is_written_as_it_was_read(text: str) -> None:
    assert str(SnapshotName.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    ["", "@", "common@", "@1", "common", "common@01", "common@+1", "common@1@2", "common@1\n", "common@٣", "Common@1",
     "1@1", "true@1", "common@9223372036854775808", "common @1"],
)  # fmt: skip
def test_what_is_no_snapshot_name_is_refused(text: str) -> None:
    with pytest.raises(LedgerError) as caught:
        SnapshotName.parse(text)
    assert caught.value.rule == "snapshot-name"


@pytest.mark.parametrize("end", ["\n", "A", ""])
def test_a_digest_and_a_key_id_end_where_they_end(end: str) -> None:
    for check, text in ((check_digest, ARTIFACT), (check_key_id, KEY_ID)):
        assert check(text) == text
        with pytest.raises(LedgerError):
            check(text + end if end else text[:-1])
