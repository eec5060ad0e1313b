"""The JSON Schemas in `templates/`: what the types say, for editors (spec 3.1, 3.2)."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from gitledger.documents.manifest import Manifest, ManifestKey
from gitledger.documents.publish import SCHEMA_LINE, Publish
from gitledger.documents.schemas import schemas

TEMPLATES = Path(__file__).parents[2] / "templates"
DOCUMENTS = ["personal.yaml", "group.yaml"]


def load(name: str) -> Any:
    return json.loads((TEMPLATES / name).read_text(encoding="utf-8"))


def validated(schema: str, text: str) -> None:
    """Check a text as an editor does: with YAML that knows nothing of the subset."""
    jsonschema.Draft202012Validator(load(schema)).validate(yaml.safe_load(text))


@pytest.mark.parametrize("name", ["policy.schema.json", "manifest.schema.json", "publish.schema.json"])
def test_a_schema_is_what_the_types_say(name: str) -> None:
    assert (TEMPLATES / name).read_text(encoding="utf-8") == schemas()[name], (
        "run: python -m gitledger.documents.schemas templates"
    )


def test_the_command_that_the_test_names_writes_them(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "gitledger.documents.schemas", tmp_path], check=True)
    assert {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()} == schemas()


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_first_line_of_a_template_names_a_schema_that_stands_beside_it(name: str) -> None:
    first = (TEMPLATES / name).read_text().splitlines()[0]
    match = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", first)
    assert match is not None
    assert match[1] in schemas()
    assert (TEMPLATES / match[1]).exists()


def test_no_schema_refuses_a_key_of_the_spec_or_knows_another() -> None:
    policy, manifest, publish = (load(f"{name}.schema.json")["$defs"] for name in ("policy", "manifest", "publish"))
    every = policy | manifest | publish
    names = {kind: set(body["properties"]) for kind, body in every.items()}
    assert names == {
        "Policy": {
            "artifact_type", "version", "revision", "witness_policy", "registration", "rekey", "paths", "limits",
        },
        "WitnessPolicy": {"authorities", "quorum_threshold", "rotation_allowed", "grace_period", "revoked"},
        "Authority": {"domain_id", "pubkey_id"},
        "PathRule": {"match", "proposers", "endorsements"},
        "Limits": {"proposal_bytes", "proposal_paths", "pending_per_domain", "certificate_grace"},
        "Manifest": {"artifact_type", "version", "domain_id", "keys", "revoked_serials"},
        "ManifestKey": {"name", "key", "roles", "certifies", "proof"},
        "Publish": {"artifact_type", "version", "rules"},
        "PublishRule": {"match", "keys", "approvals"},
    }  # fmt: skip
    assert all(body["additionalProperties"] is False for body in every.values())


def test_every_pattern_of_a_schema_is_anchored() -> None:
    patterns = re.findall(r'"pattern": "(.*)"', "".join(schemas().values()))
    assert patterns
    assert all(pattern.startswith("^(?:") and pattern.endswith(")$") for pattern in patterns)


def test_no_schema_offers_null_which_the_subset_does_not_have() -> None:
    assert "null" not in "".join(schemas().values())


@pytest.mark.parametrize("name", DOCUMENTS)
def test_an_editor_finds_nothing_wrong_with_a_template(name: str) -> None:
    validated("policy.schema.json", (TEMPLATES / name).read_text())


def test_an_editor_finds_nothing_wrong_with_a_manifest_that_was_rendered(key_line: Callable[[str], str]) -> None:
    entry = ManifestKey(name="laptop", key=key_line("laptop"), roles=("root", "publisher"))
    validated("manifest.schema.json", Manifest.of("alice", (entry,)).render())
    nodes = ManifestKey(name="nodes", key=key_line("nodes"), roles=("root",), certifies=("executor",))
    validated("manifest.schema.json", Manifest.of("alice", (nodes,), (7, 12)).render())


def test_an_editor_finds_nothing_wrong_with_rules_of_publishing_and_marks_what_is() -> None:
    rule = "{match: releases/**, keys: [laptop], approvals: 1}"
    text = f"artifact_type: asl.domain.publish\nversion: 0.1\nrules:\n  - {rule}\n"
    Publish.parse(f"{SCHEMA_LINE}\n{text}".encode())
    validated("publish.schema.json", text)
    assert SCHEMA_LINE.endswith("/publish.schema.json")
    for old, new in (("approvals: 1", "approvals: 0"), ("laptop", "Laptop"), ("keys", "key"), ("0.1", "0.2")):
        with pytest.raises(jsonschema.ValidationError):
            validated("publish.schema.json", text.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("quorum_threshold: 2", "quorum_threshold: 0"),
        ("grace_period: 30d", "grace_period: 30"),
        ("registration: endorsed", "registration: invited"),
        ("domain_id: alice", "domain_id: Alice"),
        ("domain_id: alice", 'domain_id: "123"'),
        ("domain_id: alice", 'domain_id: "true"'),
        ("rekey: never", "rekeys: never"),
        ("version: 0.1", "version: 0.2"),
        ("endorsements: 1", "endorsements: -1"),
    ],
)
def test_an_editor_marks_what_the_schema_can_say(old: str, new: str) -> None:
    text = (TEMPLATES / "group.yaml").read_text()
    assert text.count(old) == 1
    with pytest.raises(jsonschema.ValidationError):
        validated("policy.schema.json", text.replace(old, new))
