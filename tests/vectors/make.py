"""Make `ledger.bundle` and `vectors.json`: a small ledger, and every digest that stands in it or follows from it.

    python tests/vectors/make.py [DIRECTORY]

The ledger is forged from raw bytes with the keys of `tests/keys` and a fixed clock, so it has the same bytes whenever
and wherever it is made. So has the bundle, whose pack is written here, uncompressed: no version of git or zlib shows.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

import forge  # noqa: E402

KEYS = HERE.parent / "keys"
PEOPLE = {name: KEYS / name for name in ("you", "alice", "james")}
YOU, ALICE, JAMES = PEOPLE.values()
RULES = ("{match: shared/**, proposers: any}", "{match: standards/**, proposers: any, endorsements: 1}")
QUORUM = {"alice": ALICE, "james": JAMES}
FIELDS = (
    "artifact_type",
    "version",
    "common_domain_id",
    "previous_snapshot.snapshot_id",
    "previous_snapshot.snapshot_hash",
    "new_witness.domain_id",
    "new_witness.pubkey_id",
    "policy_ref.artifact_key",
)
KINDS = {"commit": 1, "tree": 2, "blob": 3, "tag": 4}


def grow(repo: Path) -> list[str]:
    """Five snapshots: genesis, a proposal, an endorsed one, a rotation to James, a line that goes on after it."""
    line = [forge.genesis(repo, PEOPLE, policy=forge.policy_file(PEOPLE, paths=RULES, grace="30d"))]

    changes: dict[str, forge.Content | None] = {
        "domains/alice/notes/été.txt": "Grüße\n".encode(),
        "domains/alice/run": ("100755", b"#!/bin/sh\n"),
    }
    plain = forge.proposal(repo, line[-1], changes, ALICE, "Alice's notes\n")
    line.append(forge.snapshot(repo, line[-1], plain, YOU))

    message = "A standard\n\nWith a salt of its own.\n\nLedger-Salt: 42\nLedger-Reorder: any\n"
    standard = forge.proposal(repo, line[0], {"standards/one.md": b"# One\n"}, JAMES, message)
    line.append(forge.snapshot(repo, line[-1], standard, YOU, endorsements=[forge.endorsement(repo, standard, ALICE)]))

    artifact = forge.rotation_file(repo, line[-1], ("james", JAMES), QUORUM, reason='"you" steps back')
    line.append(forge.rotating(repo, line[-1], artifact, JAMES))

    onward = forge.proposal(repo, plain, {"domains/alice/run": None}, ALICE, "Gone on offline\n")
    line.append(forge.snapshot(repo, line[-1], onward, JAMES))
    return line


def vectors(repo: Path, line: list[str]) -> dict[str, dict[str, str]]:
    """Every value by its kind and its name, as the forge computes it."""
    names = [forge.said(repo, oid, "Snapshot") for oid in line]
    accepted = {
        name: above[1] for name, oid in zip(names, line, strict=True) if len(above := forge.parents(repo, oid)) > 1
    }
    held = forge.files(repo, line[-1])
    (rotation,) = (path for path in held if path.startswith("ledger/rotations/"))
    made = forge.rotation(repo, line[2], ("james", JAMES))
    artifacts = ("ledger/ledger.yaml", "ledger/policy.yaml", "ledger/witness.yaml", rotation)
    return {
        "Ledger id": {"common": forge.hash_of(repo, line[0])},
        "Snapshot hash": {name: forge.hash_of(repo, oid) for name, oid in zip(names, line, strict=True)},
        "Proposal hash": {name: forge.hash_of(repo, oid) for name, oid in accepted.items()},
        "Tree digest": {name: forge.tree_digest(repo, _tree(repo, oid)) for name, oid in zip(names, line, strict=True)},
        "Artifact key": {path: forge.sha256(forge.read_object(repo, held[path][1])) for path in artifacts},
        "Certificate text": {name: forge.line(key) for name, key in PEOPLE.items()},
        "Key id": {name: forge.key_id(key) for name, key in PEOPLE.items()},
        "Certificate record": {name: forge.record_path(forge.blob(key)) for name, key in PEOPLE.items()},
        "Command id": {name: _command(repo, int(name.partition("@")[2]), line, oid) for name, oid in accepted.items()},
        "Rotation, its eight fields": dict(zip(FIELDS, made.endorsed, strict=True)),
        "Rotation, H": {"H": made.hash.hex()},
        "Rotation, endorsements": {name: forge.key_id(key) for name, key in QUORUM.items()},
        "Snapshot, signature": {
            name: forge.key_id(key) for name, key in zip(names, (YOU, YOU, YOU, JAMES, JAMES), strict=True)
        },
    }


def bundle(repo: Path, line: list[str]) -> bytes:
    """A Git bundle of the branch and the tags, whose bytes follow from the objects alone."""
    refs = {"HEAD": line[-1], "refs/heads/common": line[-1]}
    refs |= {f"refs/tags/common@{number}": oid for number, oid in enumerate(line)}
    head = "# v2 git bundle\n" + "".join(f"{oid} {ref}\n" for ref, oid in refs.items()) + "\n"
    listed = forge.git(repo, "rev-list", "--objects", "--no-object-names", *line).decode().split()
    packed = [_packed(repo, oid) for oid in sorted(listed)]
    pack = b"PACK" + (2).to_bytes(4, "big") + len(packed).to_bytes(4, "big") + b"".join(packed)
    return head.encode() + pack + hashlib.sha1(pack).digest()


def _tree(repo: Path, oid: str) -> str:
    return forge.read_object(repo, oid)[len("tree ") :][:40].decode()


def _command(repo: Path, number: int, line: list[str], proposal: str) -> str:
    public = forge.signer(forge.read_object(repo, proposal))
    (certificate,) = (forge.line(key) for key in PEOPLE.values() if forge.blob(key) == public)
    salt = forge.salt_of(repo, line[number - 1], proposal)
    return hashlib.sha256(f"{certificate}\n{salt}".encode()).hexdigest()


def _packed(repo: Path, oid: str) -> bytes:
    """An object as a pack has it: kind and size, then the content in blocks that are stored as they are."""
    content = forge.read_object(repo, oid)
    kind = KINDS[forge.git(repo, "cat-file", "-t", oid).decode().strip()]
    head, rest = [kind << 4 | len(content) & 15], len(content) >> 4
    while rest:
        head[-1] |= 128
        head.append(rest & 127)
        rest >>= 7
    size = len(content)
    assert size < 1 << 16, "one block holds no more"
    stored = b"\x01" + size.to_bytes(2, "little") + (size ^ 0xFFFF).to_bytes(2, "little") + content
    return bytes(head) + b"\x78\x01" + stored + zlib.adler32(content).to_bytes(4, "big")


def main(directory: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        repo = Path(scratch) / "ledger.git"
        subprocess.run(["git", "init", "-q", "--bare", str(repo)], check=True)
        line = grow(repo)
        said: Any = vectors(repo, line)
        (directory / "ledger.bundle").write_bytes(bundle(repo, line))
        (directory / "vectors.json").write_text(json.dumps(said, indent=2) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
