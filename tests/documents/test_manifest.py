"""`domains/<domain>/domain.yaml`: keys, roles and a key's consent (spec 3.2)."""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable

import pytest

from gitledger.documents.manifest import PROOF_NAMESPACE, Manifest, ManifestKey, proof_message
from gitledger.errors import LedgerError
from gitledger.signing.keys import PublicKey

LEDGER_ID = "sha256:" + "5" * 64
KeyLine = Callable[[str], str]
Sign = Callable[[str, bytes, str], str]


@pytest.fixture(scope="module")
def manifest(key_line: KeyLine) -> str:
    return f"""\
artifact_type: asl.domain.manifest
version: 0.1
domain_id: alice
keys:
  - {{name: root,   key: {key_line("root")}, roles: [root]}}
  - name: laptop
    key: {key_line("laptop")}
    roles: [publisher, executor]
  - {{name: eyes, key: {key_line("eyes")}, roles: [auditor]}}
"""


def with_proof(manifest: str, armour: str) -> bytes:
    """The manifest with a proof of the key `laptop`, as a person pastes it."""
    proof = "    proof: |\n" + "".join(f"      {line}\n" for line in armour.splitlines())
    line = "    roles: [publisher, executor]\n"
    assert manifest.count(line) == 1
    return manifest.replace(line, line + proof).encode()


def laptop(document: bytes) -> ManifestKey:
    return next(key for key in Manifest.parse(document).keys if key.name == "laptop")


def test_a_manifest_says_which_keys_there_are_and_what_each_may_do(manifest: str, key_line: KeyLine) -> None:
    read = Manifest.parse(manifest.encode())
    assert read.domain_id == "alice"
    assert [key.name for key in read.keys] == ["root", "laptop", "eyes"]
    key_id = PublicKey.parse(key_line("laptop")).key_id
    entry = read.key(key_id)
    assert entry is not None
    assert entry.name == "laptop"
    assert entry.key_id == key_id
    assert entry.public.text == key_line("laptop")
    assert read.roles_of(key_id) == {"publisher", "executor"}


def test_a_key_of_nobody_has_no_entry_and_no_role(manifest: str, key_line: KeyLine) -> None:
    stranger = PublicKey.parse(key_line("stranger")).key_id
    assert Manifest.parse(manifest.encode()).key(stranger) is None
    assert Manifest.parse(manifest.encode()).roles_of(stranger) == frozenset()


MALFORMED = {
    "another document": ("asl.domain.manifest", "asl.common.policy", "document-form"),
    "another version": ("version: 0.1", "version: 1", "document-form"),
    "an unknown key": ("domain_id: alice", "domain_id: alice\nrevoked: []", "unknown-field"),
    "an unknown key of a key": ("name: eyes, ", "name: eyes, since: now, ", "unknown-field"),
    "a domain of digits": ("domain_id: alice", 'domain_id: "123"', "domain-id"),
    "a number for a domain": ("domain_id: alice", "domain_id: 123", "document-form"),
    "a domain called true": ("domain_id: alice", 'domain_id: "true"', "domain-id"),
    "a key name with a space": ("name: eyes", "name: my eyes", "key-name"),
    "a key name called draft": ("name: eyes", "name: draft", "key-name"),
    "a key name with a newline": ("name: eyes", 'name: "eyes\\n"', "key-name"),
    "an unknown role": ("[auditor]", "[king]", "document-form"),
    "a role in capitals": ("[auditor]", "[Auditor]", "document-form"),
    "one role without brackets": ("[auditor]", "auditor", "document-form"),
    "no role": ("[auditor]", "[]", "document-form"),
    "a role twice": ("[publisher, executor]", "[publisher, publisher]", "role-twice"),
    "an auditor who writes": ("[auditor]", "[auditor, publisher]", "auditor-alone"),
    "a name twice": ("name: eyes", "name: laptop", "key-name-twice"),
    "roles to hand out twice": ("[root]", "[root], certifies: [executor, executor]", "role-twice"),
    "root handed out": ("[root]", "[root], certifies: [root]", "certifies-root"),
    "auditor handed out": ("[root]", "[root], certifies: [publisher, auditor]", "certifies-root"),
    "an unknown role handed out": ("[root]", "[root], certifies: [king]", "document-form"),
    "nothing handed out": ("[root]", "[root], certifies: []", "document-form"),
    "one role handed out without brackets": ("[root]", "[root], certifies: executor", "document-form"),
    "an auditor who hands out": ("[auditor]", "[auditor], certifies: [executor]", "auditor-alone"),
    "a serial twice": ("keys:\n", "revoked_serials: [7, 8, 7]\nkeys:\n", "serial-twice"),
    "the serial 0": ("keys:\n", "revoked_serials: [0]\nkeys:\n", "document-form"),
    "a serial of 2^63": ("keys:\n", "revoked_serials: [9223372036854775808]\nkeys:\n", "document-form"),
    "a serial in quotes": ("keys:\n", 'revoked_serials: ["7"]\nkeys:\n', "document-form"),
    "a serial that is true": ("keys:\n", "revoked_serials: [true]\nkeys:\n", "document-form"),
    "one serial without brackets": ("keys:\n", "revoked_serials: 7\nkeys:\n", "document-form"),
    "nobody root": ("[root]", "[publisher]", "no-root"),
    "a key in the wrong type": ("keys:\n", "keys: none\nrest:\n", "document-form"),
}


@pytest.mark.parametrize(("old", "new", "rule"), MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_manifest_is_refused_and_its_twin_is_not(manifest: str, old: str, new: str, rule: str) -> None:
    Manifest.parse(manifest.encode())
    assert manifest.count(old) == 1
    with pytest.raises(LedgerError) as caught:
        Manifest.parse(manifest.replace(old, new).encode())
    assert caught.value.rule == rule


def test_a_manifest_says_what_a_key_may_hand_out_and_which_certificates_count_no_more(manifest: str) -> None:
    document = manifest.replace("[root]", "[root], certifies: [executor, producer, publisher]")
    read = Manifest.parse(f"{document}revoked_serials: [12, 7, 9223372036854775807]\n".encode())
    assert [key.certifies for key in read.keys] == [("executor", "producer", "publisher"), (), ()]
    assert read.revoked_serials == (12, 7, 2**63 - 1)
    assert Manifest.parse(f"{manifest}revoked_serials: []\n".encode()) == Manifest.parse(manifest.encode())


def test_a_key_that_is_not_root_may_hand_out_roles_that_it_has_not(manifest: str) -> None:
    document = manifest.replace("[publisher, executor]", "[producer]\n    certifies: [publisher]")
    assert laptop(document.encode()).certifies == ("publisher",)


def test_no_keys_are_no_manifest(manifest: str) -> None:
    document = manifest.partition("keys:")[0] + "keys: []\n"
    with pytest.raises(LedgerError, match="root"):
        Manifest.parse(document.encode())


def test_one_key_under_two_names_is_refused(manifest: str, key_line: KeyLine) -> None:
    with pytest.raises(LedgerError) as caught:
        Manifest.parse(manifest.replace(key_line("eyes"), key_line("laptop")).encode())
    assert caught.value.rule == "key-twice"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda line: line + " alice@laptop",
        lambda line: line.split()[1],
        lambda line: line.replace(" ", "  "),
        lambda line: line + "=",
        lambda line: line[:-4],
        lambda line: "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQ==",
        lambda line: (
            "ssh-ed25519 " + base64.b64encode(struct.pack(">I11sI", 11, b"ssh-ed25519", 32) + bytes(32)).decode()
        ),
    ],
    ids=["comment", "no type", "two spaces", "padding", "cut", "RSA", "small order"],
)
def test_a_key_that_is_not_a_plain_public_key_line_is_refused(
    manifest: str, key_line: KeyLine, spoil: Callable[[str], str]
) -> None:
    with pytest.raises(LedgerError) as caught:
        Manifest.parse(manifest.replace(key_line("eyes"), spoil(key_line("eyes"))).encode())
    assert caught.value.what.startswith("the key eyes: ")


def test_the_message_of_a_proof_is_what_printf_prints() -> None:
    assert proof_message(LEDGER_ID, "alice") == b"sha256:" + b"5" * 64 + b" alice\n"


def test_a_proof_that_ssh_keygen_made_is_consent(manifest: str, sign: Sign) -> None:
    armour = sign("laptop", LEDGER_ID.encode() + b" alice\n", "asl.domain.key")
    laptop(with_proof(manifest, armour)).verify_proof(LEDGER_ID, "alice")


@pytest.mark.parametrize(
    "message",
    [
        b"sha256:" + b"6" * 64 + b" alice\n",
        LEDGER_ID.encode() + b" james\n",
        LEDGER_ID.encode() + b" alice",
        LEDGER_ID.encode() + b" alice\r\n",
        b"",
    ],
    ids=["another ledger", "another domain", "no newline", "CRLF", "nothing"],
)
def test_a_proof_over_anything_else_is_no_consent(manifest: str, sign: Sign, message: bytes) -> None:
    entry = laptop(with_proof(manifest, sign("laptop", message, "asl.domain.key")))
    with pytest.raises(LedgerError) as caught:
        entry.verify_proof(LEDGER_ID, "alice")
    assert caught.value.rule == "bad-signature"


def test_a_key_without_a_proof_has_not_consented_and_is_told_how(manifest: str) -> None:
    with pytest.raises(LedgerError) as caught:
        laptop(manifest.encode()).verify_proof(LEDGER_ID, "alice")
    assert caught.value.rule == "key-without-proof"
    assert f"printf '%s %s\\n' {LEDGER_ID} alice | ssh-keygen -Y sign -n asl.domain.key" in caught.value.mend


def test_the_proof_of_another_key_is_refused_where_it_stands(manifest: str, sign: Sign) -> None:
    armour = sign("stranger", proof_message(LEDGER_ID, "alice"), PROOF_NAMESPACE)
    with pytest.raises(LedgerError) as caught:
        Manifest.parse(with_proof(manifest, armour))
    assert caught.value.rule == "proof-by-another-key"


@pytest.mark.parametrize("namespace", ["git", "file", "asl.common.witness-rotation"])
def test_a_signature_for_another_purpose_is_no_proof(manifest: str, sign: Sign, namespace: str) -> None:
    armour = sign("laptop", proof_message(LEDGER_ID, "alice"), namespace)
    with pytest.raises(LedgerError) as caught:
        Manifest.parse(with_proof(manifest, armour))
    assert caught.value.rule == "wrong-namespace"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda armour: "yes",
        lambda armour: armour.replace("-----BEGIN SSH SIGNATURE-----\n", ""),
        lambda armour: armour + "more",
        lambda armour: armour.replace("\n", "\n\n", 1),
        lambda armour: armour.replace("U1NIU0lH", "U1NIU0lI"),
        lambda armour: armour.replace("SSH SIGNATURE", "PGP SIGNATURE"),
    ],
    ids=["a word", "no first line", "text after it", "an empty line", "another magic", "OpenPGP"],
)
def test_what_is_no_signature_is_no_proof(manifest: str, sign: Sign, spoil: Callable[[str], str]) -> None:
    armour = sign("laptop", proof_message(LEDGER_ID, "alice"), PROOF_NAMESPACE)
    Manifest.parse(with_proof(manifest, armour))
    with pytest.raises(LedgerError):
        Manifest.parse(with_proof(manifest, spoil(armour)))


def test_what_is_rendered_is_read_as_it_was(manifest: str, sign: Sign) -> None:
    armour = sign("laptop", proof_message(LEDGER_ID, "alice"), PROOF_NAMESPACE)
    read = Manifest.parse(with_proof(manifest, armour))
    assert Manifest.parse(read.render().encode()) == read


def test_a_rendered_manifest_has_the_layout_of_the_spec(key_line: KeyLine, sign: Sign) -> None:
    armour = sign("laptop", proof_message(LEDGER_ID, "alice"), PROOF_NAMESPACE)
    written = Manifest.of(
        "alice",
        (
            ManifestKey(name="root", key=key_line("root"), roles=("root",)),
            ManifestKey(name="laptop", key=key_line("laptop"), roles=("publisher", "producer"), proof=armour),
        ),
    ).render()
    assert written == (
        "# yaml-language-server: $schema=../../.git/gitledger/manifest.schema.json\n"
        "artifact_type: asl.domain.manifest\n"
        "version: 0.1\n"
        "domain_id: alice\n"
        "keys:\n"
        f"  - {{name: root, key: {key_line('root')}, roles: [root]}}\n"
        "  - name: laptop\n"
        f"    key: {key_line('laptop')}\n"
        "    roles: [publisher, producer]\n"
        "    proof: |\n" + "".join(f"      {line}\n" for line in armour.splitlines())
    )


def test_what_is_handed_out_and_revoked_is_rendered_where_there_is_any(key_line: KeyLine, sign: Sign) -> None:
    armour = sign("nodes", proof_message(LEDGER_ID, "alice"), PROOF_NAMESPACE)
    keys = (
        ManifestKey(name="root", key=key_line("root"), roles=("root",), certifies=("executor", "publisher")),
        ManifestKey(name="nodes", key=key_line("nodes"), roles=("producer",), certifies=("executor",), proof=armour),
    )
    written = Manifest.of("alice", keys, (12, 7))
    assert Manifest.parse(written.render().encode()) == written
    assert f"key: {key_line('root')}, roles: [root], certifies: [executor, publisher]}}\n" in written.render()
    assert "    roles: [producer]\n    certifies: [executor]\n    proof: |\n" in written.render()
    assert written.render().endswith("-----END SSH SIGNATURE-----\nrevoked_serials: [12, 7]\n")


@pytest.mark.parametrize("name", ["no", "null", "1e3", "0x1", "2024-01-01", "yes"])
def test_a_name_that_other_yaml_takes_for_something_else_stays_a_name(key_line: KeyLine, name: str) -> None:
    entry = ManifestKey(name=name, key=key_line("root"), roles=("root",))
    read = Manifest.parse(Manifest.of(name, (entry,)).render().encode())
    assert (read.domain_id, read.keys[0].name) == (name, name)


def test_a_security_key_stands_in_a_manifest_too(key_line: KeyLine) -> None:
    kind = b"sk-ssh-ed25519@openssh.com"
    point = base64.b64decode(key_line("root").split()[1])[-32:]
    blob = struct.pack(">I26sI32sI4s", 26, kind, 32, point, 4, b"ssh:")
    line = f"{kind.decode()} {base64.b64encode(blob).decode()}"
    entry = ManifestKey(name="token", key=line, roles=("root",))
    assert Manifest.parse(Manifest.of("alice", (entry,)).render().encode()).keys == (entry,)


def test_a_domain_that_skips_its_root_is_not_made_either(key_line: KeyLine) -> None:
    entry = ManifestKey(name="laptop", key=key_line("laptop"), roles=("publisher",))
    with pytest.raises(LedgerError, match="root"):
        Manifest.of("alice", (entry,))
