"""The JSON Schemas of what people write, generated from the types that read it: policy, manifest, rules of publishing.

They are for editors, which complete and check while someone types; what is valid is decided by `parse`. They
stand in `templates/` and, written there when a clone is made, in a clone's git directory, where the first
line of each document points (`SCHEMA_LINE` in `policy`, `manifest`, `publish`): no network is needed. After a
change of the types:

    python -m gitledger.documents.schemas templates
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import msgspec

from gitledger.documents.manifest import Manifest
from gitledger.documents.policy import Policy
from gitledger.documents.publish import Publish

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schemas() -> dict[str, str]:
    """The text of each schema by the name of its file: `policy.schema.json`, `manifest.…` and `publish.…`."""
    return {
        "policy.schema.json": _schema(Policy, "The Common policy artifact: ledger/policy.yaml"),
        "manifest.schema.json": _schema(Manifest, "A domain manifest: domains/<domain>/domain.yaml"),
        "publish.schema.json": _schema(
            Publish, "Who publishes where in a domain: domains/<domain>/policies/publish.yaml"
        ),
    }


def _schema(document: type, title: str) -> str:
    schema = _as_editors_read(msgspec.json.schema(document))
    return json.dumps({"$schema": _DIALECT, "title": title} | schema, indent=2, ensure_ascii=False) + "\n"


def _as_editors_read(schema: Any) -> Any:
    """The same schema where it speaks of values that the YAML subset and an editor's YAML read differently.

    The subset has no null, so a value that may be left out is still never null; and `version: 0.1` is a
    string in the subset, a number to the editor.
    """
    if isinstance(schema, list):
        return [_as_editors_read(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {name: _as_editors_read(part) for name, part in schema.items()}
    if {"type": "null"} in schema.get("anyOf", ()):
        (present,) = (part for part in schema.pop("anyOf") if part != {"type": "null"})
        del schema["default"]
        return present | schema
    if schema.get("enum") == ["0.1"]:
        return schema | {"enum": ["0.1", 0.1]}
    return schema


def main(directory: str) -> None:
    """Write the schemas into `directory`."""
    for name, text in schemas().items():
        Path(directory, name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
