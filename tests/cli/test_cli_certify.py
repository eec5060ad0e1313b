"""`certify`, `attestations`, `trace`: what is certified is signed, staged, proposed, found again and walked along."""

from __future__ import annotations

import json
import os
from base64 import b64decode
from pathlib import Path
from typing import Any

import forge
import pytest
import stating
from google.protobuf import json_format
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement as OtherStatement
from securesystemslib.dsse import Envelope as OtherEnvelope
from securesystemslib.signer import SSlibKey
from typed import Clones, at_terminal, told, typed
from world import Person, World

pytestmark = pytest.mark.long

AUDITOR, MAKER, CI = "spare-1", "spare-2", "alice-2"
ARCHIVE = forge.sha256(stating.ARCHIVE["archive.tar"])


@pytest.fixture
def certified(world: World) -> World:
    world.begin(stating.certifying)
    return world


@pytest.fixture
def clone(certified: World, clone_of: Clones) -> Path:
    return clone_of(certified.alice)


def settled(world: World, clone: Path) -> None:
    """What is staged is proposed, taken and fetched."""
    typed(world.alice, clone, "propose", "-m", "Certify it")
    world.emit()
    typed(world.alice, clone, "fetch")


def staged(person: Person, clone: Path) -> list[str]:
    return person.output(clone, "diff", "--cached", "--name-only").splitlines()


def verified_elsewhere(content: bytes, *keys: forge.Key) -> dict[str, Any]:
    """The statement of an envelope, by other people's programs alone."""
    whole = json.loads(content)
    envelope = OtherEnvelope.from_dict(whole)
    known = [
        SSlibKey(
            forge.key_id(key),
            "ed25519",
            "ed25519",
            {"public": forge.private(key).public_key().public_bytes_raw().hex()},
        )
        for key in keys
    ]
    assert len(envelope.verify(known, len(keys))) == len(keys)
    payload = b64decode(whole["payload"])
    OtherStatement.copy_from_pb(json_format.Parse(payload, statement_pb2.Statement())).validate()
    said = json.loads(payload)
    assert isinstance(said, dict)
    return said


def test_a_snapshot_represents_something_once_it_is_signed_and_taken(certified: World, clone: Path) -> None:
    said = told(certified.alice, clone, "certify", "snapshot", "2", "--represents", "/home", "--as-of", "1784")
    assert said["staged"] and staged(certified.alice, clone) == [said["path"]]
    content = (clone / said["path"]).read_bytes()
    assert forge.sha256(content) == said["digest"]
    statement = verified_elsewhere(content, certified.alice.key)
    two = stating.snapshot(certified.host, 2)
    assert statement == stating.represents(certified.anchor, two, "/home", 1784) == said["statement"]
    settled(certified, clone)
    assert certified.read(said["path"]) == content
    receipt, held = told(certified.alice, clone, "attestations", "common@2")["attestations"]
    assert (receipt["since"], receipt["type"]) == ("common@3", stating.PROVENANCE)
    assert (held["digest"], held["since"], held["type"]) == (said["digest"], "common@5", "urn:gitledger:represents:1")


def test_a_domains_own_ledger_is_bound_by_name_and_hash(certified: World, clone: Path) -> None:
    other = certified.make_host(name="alice")
    typed(certified.alice, clone, "certify", "snapshot", "alice@0", "--represents", "/home", "--ledger", str(other))
    settled(certified, clone)
    anchor = forge.hash_of(other, certified.oid(0, other))
    thing = told(certified.alice, clone, "trace", "alice@0")["trace"]
    assert (thing["digest"], thing["ledger"], thing["standing"]) == (anchor, anchor, "not at hand")
    assert thing["said"][0]["unchecked"] == ["alice@0"]
    thing = told(certified.alice, clone, "trace", "alice@0", "--ledger", str(other))["trace"]
    assert thing["standing"] == "holds"
    for named, status, rule in (("alice@7", 1, "no-such-snapshot"), ("common@0", 1, "no-such-snapshot")):
        arguments = ("certify", "snapshot", named, "--represents", "/home", "--ledger", str(other))
        assert f"[{rule}]" in typed(certified.alice, clone, *arguments, status=status).stderr


def test_a_ledger_that_is_no_directory_is_a_sentence_that_says_to_clone_it(certified: World, clone: Path) -> None:
    for ledger in ("https://example.org/alice.git", "nowhere"):
        arguments = ("certify", "snapshot", "0", "--represents", "/home", "--ledger", ledger)
        said = typed(certified.alice, clone, *arguments, status=2)
        assert "[no-directory]" in said.stderr and "gitledger clone" in said.stderr
        assert "[no-directory]" in typed(certified.alice, clone, "trace", ARCHIVE, "--ledger", ledger, status=2).stderr


def test_a_host_whose_line_is_not_valid_is_no_ledger_to_certify(certified: World, clone: Path) -> None:
    other = certified.make_host(name="alice")
    bench = certified.bench()
    forge.git(bench, "fetch", "-q", str(other), "+refs/heads/alice:refs/heads/alice")
    proposal = forge.proposal(bench, certified.oid(0, other), {"domains/alice/x": b"x"}, certified.alice.key)
    forged = forge.snapshot(bench, certified.oid(0, other), proposal, certified.stranger.key)
    forge.set_ref(bench, "refs/heads/forged", forged)
    forge.git(other, "fetch", "-q", str(bench), "refs/heads/forged")
    (other / "refs" / "heads" / "alice").write_text(f"{forged}\n")
    arguments = ("certify", "snapshot", "alice@1", "--represents", "/home", "--ledger", str(other))
    assert "[wrong-witness]" in typed(certified.alice, clone, *arguments, status=1).stderr
    assert staged(certified.alice, clone) == []


def test_an_auditor_signs_a_file_and_a_publisher_proposes_it(certified: World, clone: Path) -> None:
    file = certified.path / "audit.json"
    key = ("--key", str(certified.key(AUDITOR)))
    arguments = ("certify", "audit", "2", "--checked", "the files", "--checked", "the keys", "--found", "one is old")
    said = typed(certified.alice, clone, *arguments, *key, "--output", str(file)).stdout
    assert f"gitledger certify add {file}" in said and "A publisher of alice" in said
    assert staged(certified.alice, clone) == []
    statement = verified_elsewhere(file.read_bytes(), certified.key(AUDITOR))
    assert statement["predicate"]["checked"] == ["the files", "the keys"]
    assert statement["predicate"]["found"] == ["one is old"]
    assert "[file-taken]" in typed(certified.alice, clone, *arguments, *key, "--output", str(file), status=2).stderr
    typed(certified.alice, clone, "certify", "add", str(file))
    settled(certified, clone)
    said = typed(certified.alice, clone, "trace", "common@2").stdout
    assert "common@2 was audited: 2 checks, 1 finding" in said
    again = typed(certified.alice, clone, "certify", "add", str(file), status=1)
    assert "[attestation-stands]" in again.stderr


def test_a_path_is_one_of_a_machine_or_of_a_snapshot(certified: World, clone: Path) -> None:
    files = [f"domains/alice/files/{name}.txt" for name in ("one", "two")]
    key = ("--key", str(certified.key(MAKER)))
    said = told(certified.alice, clone, "certify", "path", *files, "--in", "common@2", *key)["statements"]
    assert [one["statement"]["predicate"]["path"] for one in said] == files
    assert {one["statement"]["predicate"]["snapshot"]["name"] for one in said} == {"common@2"}
    machine = told(certified.alice, clone, "certify", "path", files[0])
    assert machine["statement"]["predicate"] == {"path": str(clone / files[0])}
    assert sorted(staged(certified.alice, clone)) == sorted([machine["path"], *(one["path"] for one in said)])
    settled(certified, clone)
    assert len(told(certified.alice, clone, "attestations", files[0])["attestations"]) == 3


def test_what_the_rules_forbid_is_refused_before_anything_is_staged(certified: World, clone: Path) -> None:
    for key, rule in ((AUDITOR, "statement-role"), ("spare-9", "unknown-signer"), ("spare-3", "unknown-signer")):
        arguments = ("certify", "snapshot", "2", "--represents", "/home", "--key", str(certified.key(key)))
        assert f"[{rule}]" in typed(certified.alice, clone, *arguments, status=1).stderr
    for content, rule in (
        (b"{}", "envelope-form"),
        (b"x" * (1 << 21), "json-size"),
        (
            stating.envelope(
                stating.audit(certified.anchor, stating.subject("common@2", ARCHIVE)), certified.key(AUDITOR)
            ),
            "statement-snapshot",
        ),
        (
            stating.envelope(
                stating.represents(ARCHIVE, stating.subject("x@2", ARCHIVE)), certified.alice.key, certified.james.key
            ),
            "other-domain",
        ),
    ):
        (certified.path / "envelope").write_bytes(content)
        said = typed(certified.alice, clone, "certify", "add", str(certified.path / "envelope"), status=1)
        assert f"[{rule}]" in said.stderr
    assert staged(certified.alice, clone) == []
    assert not (clone / "domains" / "james" / "attestations").exists()


def test_an_envelope_of_anybodys_program_is_staged_byte_for_byte(certified: World, clone: Path) -> None:
    statement = stating.stated("https://example.org/reviewed/v1", {"by": ["Zoë"]}, stating.snapshot(certified.host, 2))
    content = json.dumps(json.loads(stating.envelope(statement, certified.alice.key)), indent=2).encode()
    content = content.replace(b"\n", b"\r\n") + b"\n\n"
    (certified.path / "envelope").write_bytes(content)
    path = told(certified.alice, clone, "certify", "add", str(certified.path / "envelope"))["path"]
    assert (clone / path).read_bytes() == content
    settled(certified, clone)
    assert certified.read(path) == content


@pytest.mark.parametrize("command", [("add",), ("path",)])
def test_nobody_waits_for_a_pipe_or_a_device(certified: World, clone: Path, command: tuple[str, ...]) -> None:
    os.mkfifo(certified.path / "pipe")
    for file in (str(certified.path / "pipe"), "/dev/zero", str(certified.path)):
        refused = typed(certified.alice, clone, "certify", *command, file, status=1)
        assert "[file-unreadable]" in refused.stderr


def test_what_comes_of_another_domains_key_goes_to_that_domain(certified: World, clone_of: Clones) -> None:
    james = clone_of(certified.james)
    content = stating.envelope(
        stating.represents(certified.anchor, stating.snapshot(certified.host, 2)), certified.alice.key
    )
    (certified.path / "envelope").write_bytes(content)
    said = told(certified.james, james, "certify", "add", str(certified.path / "envelope"))
    assert said["domain"] == "alice"
    refused = typed(certified.james, james, "propose", "-m", "Not mine", status=1)
    assert "[other-domains-path]" in refused.stderr


def test_several_statements_are_staged_together_or_not_at_all(certified: World, clone: Path) -> None:
    arguments = ("certify", "path", "domains/alice/files/one.txt", "nothing.txt", "--in", "common@2")
    assert "[no-such-file]" in typed(certified.alice, clone, *arguments, status=1).stderr
    both = ("domains/alice/files/one.txt", "domains/alice/files/two.txt")
    said = typed(certified.alice, clone, "certify", "path", *both, "--output", "x", status=2)
    assert "[one-output]" in said.stderr
    typed(certified.alice, clone, "certify", "path", both[1], "--in", "common@2")
    settled(certified, clone)
    arguments = ("certify", "path", *both, "--in", "common@2")
    assert "[attestation-stands]" in typed(certified.alice, clone, *arguments, status=1).stderr
    assert staged(certified.alice, clone) == []


def test_on_a_host_nothing_is_staged_but_a_file_can_be_written(certified: World) -> None:
    arguments = ("certify", "snapshot", "2", "--represents", "/home", "--key", str(certified.alice.key))
    assert "[no-work-tree]" in typed(certified.alice, certified.host, *arguments, status=2).stderr
    typed(certified.alice, certified.host, *arguments, "--output", str(certified.path / "envelope"))
    assert "archive.tar" in typed(certified.alice, certified.host, "attestations").stdout


def test_the_walk_as_a_program_reads_it(certified: World, clone: Path) -> None:
    said = told(certified.alice, clone, "trace", ARCHIVE)
    assert said["snapshot"] == "common@4"
    (made,) = said["trace"]["came_from"]
    assert made["authoritative"] is True and made["since"] == "common@3"
    assert made["signers"] == [
        {
            "key_id": forge.key_id(certified.key(CI)),
            "name": "ci",
            "roles": ["executor"],
            "node": False,
            "revoked": False,
        }
    ]
    assert [thing["standing"] for thing in made["sources"]] == ["holds"] * 3
    (used,) = said["trace"]["went_into"]
    assert used["results"][0]["name"] == "summary.txt"
    assert told(certified.alice, clone, "trace", ARCHIVE, "--in", "common@3")["trace"]["went_into"] == []


def test_the_walk_as_a_person_reads_it_at_any_width(certified: World, clone: Path) -> None:
    wide = at_terminal(certified.alice, clone, "trace", ARCHIVE, columns=120)
    narrow = at_terminal(certified.alice, clone, "trace", ARCHIVE, columns=50)
    for screen in (wide, narrow):
        assert screen.status == 0
        assert "archive.tar came of make" in screen.text and "→" in screen.text
        assert forge.hash_of(certified.host, certified.oid(2)) in screen.text
    words = [line for line in narrow.text.splitlines() if "sha256:" not in line and "SHA256:" not in line]
    assert max(len(line) for line in words if "\x1b" not in line) <= 50


def test_what_a_statement_says_cannot_command_a_terminal(certified: World, clone: Path) -> None:
    typed(certified.alice, clone, "certify", "snapshot", "2", "--represents", "/home\x1b[2J\u202e")
    settled(certified, clone)
    said = typed(certified.alice, clone, "attestations", "common@2").stdout
    assert "\\x1b[2J\\u202e" in said
