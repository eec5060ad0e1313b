"""The rotation artifact: what the document alone decides, and H (spec 8)."""

from __future__ import annotations

import hashlib
import re
import struct

import forge
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitledger.documents.rotation import NAMESPACE, PreviousSnapshot, Rotation, RotationEndorsement, WitnessKey
from gitledger.errors import LedgerError

LEDGER, PREVIOUS, POLICY = (f"sha256:{letter * 64}" for letter in "abc")
OLD, NEW, ALICE = (f"SHA256:{letter * 43}" for letter in "AEI")
FIELDS = ("asl.common.witness-rotation", "0.1", LEDGER, "common@41", PREVIOUS, "james", NEW, POLICY)
NAMES = (
    "artifact_type",
    "version",
    "common_domain_id",
    "previous_snapshot.snapshot_id",
    "previous_snapshot.snapshot_hash",
    "new_witness.domain_id",
    "new_witness.pubkey_id",
    "policy_ref.artifact_key",
)
SIGNATURE = """\
      signature: |
        -----BEGIN SSH SIGNATURE-----
        U1NIU0lH
        -----END SSH SIGNATURE-----
"""

ARTIFACT = f"""\
artifact_type: asl.common.witness-rotation
version: 0.1
common_domain_id: {LEDGER}
previous_snapshot: {{snapshot_id: common@41, snapshot_hash: {PREVIOUS}}}
rotation:
  old_witness: {{domain_id: you, pubkey_id: {OLD}}}
  new_witness: {{domain_id: james, pubkey_id: {NEW}}}
  policy_ref: {{artifact_key: {POLICY}}}
  reason: "stepping back"
endorsements:
  threshold: 2
  endorsements:
    - domain_id: alice
      pubkey_id: {ALICE}
{SIGNATURE}created_at_logseq: 41
"""


def draft(reason: str | None = None, **replaced: str) -> Rotation:
    said = {"ledger_id": LEDGER, "policy_key": POLICY} | replaced
    return Rotation.draft(
        previous=PreviousSnapshot(snapshot_id="common@41", snapshot_hash=PREVIOUS),
        old=WitnessKey(domain_id="you", pubkey_id=OLD),
        new=WitnessKey(domain_id="james", pubkey_id=NEW),
        threshold=2,
        number=41,
        reason=reason,
        **said,
    )


def test_an_artifact_is_written_as_it_was_read() -> None:
    rotation = Rotation.parse(ARTIFACT.encode())
    assert rotation.render() == ARTIFACT
    (endorsed,) = rotation.endorsements.endorsements
    assert (endorsed.domain_id, endorsed.pubkey_id) == ("alice", ALICE)
    assert endorsed.signature == "-----BEGIN SSH SIGNATURE-----\nU1NIU0lH\n-----END SSH SIGNATURE-----\n"
    assert rotation == draft("stepping back").endorsed([endorsed])


def test_a_draft_is_an_artifact_that_nobody_endorsed() -> None:
    rotation = draft()
    assert "  endorsements: []\n" in rotation.render()
    assert "reason" not in rotation.render()
    assert Rotation.parse(rotation.render().encode()) == rotation


def test_the_forge_writes_the_same_artifact() -> None:
    made = forge.Rotation(LEDGER, "common@41", PREVIOUS, ("you", OLD), ("james", NEW), POLICY, 2, 41, 'a "b"\n\\c é')
    armour = b"-----BEGIN SSH SIGNATURE-----\nU1NIU0lH\n-----END SSH SIGNATURE-----\n"
    for entries in ((), [("alice", ALICE, armour)], [("alice", ALICE, armour), ("james", NEW, armour)]):
        content = made.render(entries)
        assert Rotation.parse(content).render().encode() == content
        assert Rotation.parse(content).digest == made.hash


def test_another_layout_says_the_same_and_has_the_same_h() -> None:
    lines = ARTIFACT.replace("{snapshot_id", "{ snapshot_id").replace('"stepping back"', "stepping back  # at last")
    top = re.split(r"^(?=[a-z])", lines, flags=re.MULTILINE)
    shuffled = Rotation.parse("".join(reversed(top)).encode())
    assert shuffled == Rotation.parse(ARTIFACT.encode())
    assert shuffled.render() == ARTIFACT
    assert shuffled.digest == draft().digest


# H


def test_h_is_the_digest_of_eight_fields_each_after_its_length() -> None:
    rotation = draft()
    assert rotation.fields == tuple(zip(NAMES, FIELDS, strict=True))
    framed = b"".join(struct.pack(">Q", len(text.encode())) + text.encode() for text in FIELDS)
    assert rotation.digest == hashlib.sha256(framed).digest()
    assert rotation.digest.hex() == "3ad2288b2d6363741c73d52eff76b18d2500a32f1488b4c79f79a989b09c27a1"
    assert NAMESPACE == forge.ROTATION


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (f"common_domain_id: {LEDGER}", f"common_domain_id: {POLICY}"),
        ("common@41", "common@42"),
        ("common@41", "commons@41"),
        (PREVIOUS, LEDGER),
        (f"james, pubkey_id: {NEW}", f"jame, pubkey_id: {NEW}"),
        (NEW, OLD),
        (f"artifact_key: {POLICY}", f"artifact_key: {PREVIOUS}"),
    ],
)
def test_each_of_the_fields_changes_h(old: str, new: str) -> None:
    assert ARTIFACT.count(old) == 1
    assert Rotation.parse(ARTIFACT.replace(old, new).encode()).digest != draft().digest


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("stepping back", "gone"),
        ('  reason: "stepping back"\n', ""),
        ("threshold: 2", "threshold: 1"),
        (f"domain_id: you, pubkey_id: {OLD}", f"domain_id: alice, pubkey_id: {ALICE}"),
        ("created_at_logseq: 41", "created_at_logseq: 40"),
        ("U1NIU0lH", "U1NIU0lI"),
    ],
)
def test_what_nobody_endorses_leaves_h_as_it_is(old: str, new: str) -> None:
    assert ARTIFACT.count(old) == 1
    changed = Rotation.parse(ARTIFACT.replace(old, new).encode())
    assert changed != Rotation.parse(ARTIFACT.encode())
    assert changed.digest == draft().digest


def test_fields_that_run_together_to_the_same_bytes_have_another_h() -> None:
    """A digest and a name of fixed form could not shift; two that H frames would not collide even if they could."""
    made = forge.Rotation(LEDGER, "common@41", PREVIOUS, ("you", OLD), ("james", NEW), POLICY, 2, 41)
    shifted = forge.Rotation(
        LEDGER + "c", "ommon@41", PREVIOUS, ("you", OLD), ("jamesSHA256", NEW.removeprefix("SHA256")), POLICY, 2, 41
    )
    assert "".join(made.endorsed) == "".join(shifted.endorsed)
    assert made.hash != shifted.hash
    with pytest.raises(LedgerError):
        Rotation.parse(shifted.render())
    Rotation.parse(made.render())


# Reasons


@pytest.mark.parametrize(
    "reason",
    [
        "",
        'said "no"',
        "two\nlines\n",
        "back\\slash and 'quotes'",
        "endorsements: {threshold: 1}",
        "true",
        "42",
        "- x # y",
        " é 漢 😀 ",
        "x" * 1000,
    ],
    ids=lambda reason: repr(reason[:12]),
)
def test_a_reason_is_any_text_and_comes_back_as_it_was(reason: str) -> None:
    rotation = draft(reason)
    assert Rotation.parse(rotation.render().encode()) == rotation
    assert rotation.digest == draft().digest


@given(st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"], exclude_characters="\ufeff\ufffe\uffff")))
def test_every_reason_without_control_characters_comes_back(reason: str) -> None:
    assert Rotation.parse(draft(reason).render().encode()).rotation.reason == reason


def test_a_reason_has_at_most_a_thousand_characters() -> None:
    with pytest.raises(LedgerError) as caught:
        Rotation.parse(draft("x" * 1001).render().encode())
    assert caught.value.rule == "document-form"


@pytest.mark.parametrize("reason", ["\x1b[31m", "tab\there", "a\rb", "\0", "\x7f", "\x85", "\u2028", "\ufeff"])
def test_a_reason_that_no_document_may_hold_is_refused(reason: str) -> None:
    with pytest.raises(LedgerError) as caught:
        Rotation.parse(draft(reason).render().encode())
    assert caught.value.rule == "yaml-character"


# Malformed


MALFORMED = {
    "another document": ("asl.common.witness-rotation", "asl.common.policy", "document-form"),
    "another version": ("version: 0.1", "version: 0.2", "document-form"),
    "a ledger without algorithm": (LEDGER, "a" * 64, "digest"),
    "a ledger in capitals": (LEDGER, LEDGER.upper(), "digest"),
    "a snapshot without number": ("common@41", "common", "snapshot-name"),
    "a snapshot with a leading zero": ("common@41", "common@041", "snapshot-name"),
    "a snapshot hash that is a key id": (PREVIOUS, OLD, "digest"),
    "a snapshot hash of 63 digits": (PREVIOUS, PREVIOUS[:-1], "digest"),
    "an old witness of no domain": ("domain_id: you", "domain_id: You", "domain-id"),
    "an old witness without key": (f"domain_id: you, pubkey_id: {OLD}", "domain_id: you", "missing-key"),
    "a new witness of digits": ("domain_id: james", 'domain_id: "7"', "domain-id"),
    "a new witness called draft": ("domain_id: james", "domain_id: draft", "domain-id"),
    "a new witness with a digest for a key id": (NEW, LEDGER, "key-id"),
    "a new witness with a key besides": (f"{NEW}}}", f"{NEW}, since: common@42}}", "unknown-field"),
    "a new witness that is a text": (f"{{domain_id: james, pubkey_id: {NEW}}}", "james", "document-form"),
    "a policy that is a number": (f"{{artifact_key: {POLICY}}}", "{artifact_key: 1}", "document-form"),
    "a policy with its revision": (f"{POLICY}}}", f"{POLICY}, revision: 1}}", "unknown-field"),
    "a reason that is true": ('"stepping back"', "true", "document-form"),
    "a reason that is a number": ('"stepping back"', "42", "document-form"),
    "a reason that is a list": ('"stepping back"', "[a, b]", "document-form"),
    "a reason without value": (' "stepping back"', "", "yaml-no-value"),
    "no threshold": ("  threshold: 2\n", "", "missing-key"),
    "a threshold of 0": ("threshold: 2", "threshold: 0", "document-form"),
    "a threshold below 0": ("threshold: 2", "threshold: -1", "yaml-plain"),
    "a threshold in quotes": ("threshold: 2", 'threshold: "2"', "document-form"),
    "a threshold that is true": ("threshold: 2", "threshold: true", "document-form"),
    "an endorsement of no domain": ("- domain_id: alice", "- domain_id: a_b", "domain-id"),
    "an endorsement without domain": ("- domain_id: alice\n      pubkey_id", "- pubkey_id", "missing-key"),
    "an endorsement with a date": ("- domain_id: alice", "- date: 7\n      domain_id: alice", "unknown-field"),
    "an endorsement without signature": (
        SIGNATURE,
        "",
        "missing-key",
    ),
    "an endorsement by a key that is no id": (ALICE, "alice", "key-id"),
    "a folded signature": ("signature: |", "signature: >", "yaml-block-scalar"),
    "a number below 0": ("created_at_logseq: 41", "created_at_logseq: -41", "yaml-plain"),
    "a number with a leading zero": ("created_at_logseq: 41", "created_at_logseq: 041", "document-form"),
    "a number beyond all numbers": (
        "created_at_logseq: 41",
        "created_at_logseq: 9223372036854775808",
        "document-form",
    ),
    "no number": ("created_at_logseq: 41\n", "", "missing-key"),
    "a key at the top that nobody knows": ("version: 0.1", "version: 0.1\nnote: x", "unknown-field"),
    "a key in the rotation that nobody knows": ("rotation:\n", "rotation:\n  at: now\n", "unknown-field"),
    "a key beside the endorsements that nobody knows": ("  threshold: 2", "  of: 3\n  threshold: 2", "unknown-field"),
    "a key twice": ("version: 0.1", "version: 0.1\nversion: 0.1", "yaml-duplicate-key"),
    "two new witnesses": (
        "  policy_ref",
        f"  new_witness: {{domain_id: you, pubkey_id: {OLD}}}\n  policy_ref",
        "yaml-duplicate-key",
    ),
    "a merge key": ("version: 0.1", "version: 0.1\n<<: {a: b}", "yaml-plain"),
    "a second document": ("version: 0.1", "version: 0.1\n---", "yaml-marker"),
    "an anchor": ("rotation:\n", "rotation: &r\n", "yaml-anchor"),
}


@pytest.mark.parametrize(("old", "new", "rule"), MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_artifact_is_refused_and_its_twin_is_not(old: str, new: str, rule: str) -> None:
    Rotation.parse(ARTIFACT.encode())
    assert ARTIFACT.count(old) == 1
    with pytest.raises(LedgerError) as caught:
        Rotation.parse(ARTIFACT.replace(old, new).encode())
    assert caught.value.rule == rule, str(caught.value)


def test_endorsements_are_in_the_order_given_and_replace_those_before() -> None:
    some = [RotationEndorsement(domain_id=one, pubkey_id=ALICE, signature="x\n") for one in ("james", "alice", "alice")]
    rotation = draft().endorsed(some[:1]).endorsed(some)
    assert [one.domain_id for one in rotation.endorsements.endorsements] == ["james", "alice", "alice"]
    assert Rotation.parse(rotation.render().encode()) == rotation
