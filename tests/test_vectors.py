"""The test vectors hold: for the stock commands of their README, for the forge that made them, and for gitledger."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import forge
import pytest

from gitledger.documents.certificate import Record
from gitledger.documents.names import SnapshotName
from gitledger.documents.rotation import Rotation
from gitledger.objects.codec import digest
from gitledger.objects.store import Store
from gitledger.rules import proposal
from gitledger.rules.advance import advance, genesis
from gitledger.rules.state import Snapshot
from gitledger.signing import sshsig
from gitledger.signing.keys import PublicKey, command_id

HERE = Path(__file__).parent / "vectors"
VECTORS: dict[str, dict[str, str]] = json.loads((HERE / "vectors.json").read_text())
README = (HERE / "README.md").read_text()
STOCK = {"git", "ssh-keygen", "sha256sum", "base64", "tar", "cut", "sed", "cat", "wc", "sh"}


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """What the blocks of the README print, by heading, run in one shell that has the stock tools and no other."""
    work = tmp_path_factory.mktemp("vectors")
    shutil.copyfile(HERE / "ledger.bundle", work / "ledger.bundle")
    tools = work / "bin"
    tools.mkdir()
    for name in STOCK:
        found = shutil.which(name)
        assert found, name
        (tools / name).symlink_to(found)
    script = "set -eu\n" + re.sub(r"^## (.*)$", r"```sh\necho '## \1'\n```", README, flags=re.MULTILINE)
    blocks = re.findall(r"^```sh\n(.*?)^```$", script, re.MULTILINE | re.DOTALL)
    env = {**os.environ, "PATH": str(tools)}
    done = subprocess.run(
        ["sh", "-c", "set -eu\n" + "".join(blocks)], cwd=work, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    head, *sections = re.split(r"^## ", done.stdout, flags=re.MULTILINE)
    assert head == ""
    split = (section.partition("\n") for section in sections)
    return {title: dict(row.split(" ", 1) for row in rows.splitlines()) for title, _, rows in split}


@pytest.mark.parametrize("kind", VECTORS)
def test_the_stock_commands_print_the_vectors(printed: dict[str, dict[str, str]], kind: str) -> None:
    assert printed[kind] == VECTORS[kind]


def test_every_kind_has_its_commands(printed: dict[str, dict[str, str]]) -> None:
    assert printed.keys() == VECTORS.keys()


def test_the_vectors_are_made_again_with_the_same_bytes(tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(HERE / "make.py"), str(tmp_path)], check=True)
    for name in ("ledger.bundle", "vectors.json"):
        assert (tmp_path / name).read_bytes() == (HERE / name).read_bytes()


# gitledger


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Snapshot]:
    """The ledger in the bundle, verified from genesis on: the snapshots by their names."""
    repo = tmp_path_factory.mktemp("verified") / "ledger.git"
    subprocess.run(["git", "clone", "-q", "--mirror", str(HERE / "ledger.bundle"), str(repo)], check=True)
    oids = forge.git(repo, "rev-list", "--first-parent", "--reverse", "common").decode().split()
    snapshots = [genesis(Store.open(repo), oids[0], VECTORS["Ledger id"]["common"])]
    for oid in oids[1:]:
        snapshots.append(advance(snapshots[-1], oid))
    return {snapshot.name: snapshot for snapshot in snapshots}


@pytest.fixture(scope="module")
def rotation(line: dict[str, Snapshot]) -> Rotation:
    content = line["common@4"].state.tree.read(_rotation_path())
    assert content is not None
    return Rotation.parse(content)


def _rotation_path() -> str:
    return next(path for path in VECTORS["Artifact key"] if "rotations" in path)


def _keys() -> dict[str, PublicKey]:
    return {domain: PublicKey.parse(text) for domain, text in VECTORS["Certificate text"].items()}


def test_gitledger_verifies_the_ledger_and_says_the_same_of_every_snapshot(line: dict[str, Snapshot]) -> None:
    assert {name: one.hash for name, one in line.items()} == VECTORS["Snapshot hash"]
    assert {name: one.state.tree.digest for name, one in line.items()} == VECTORS["Tree digest"]
    assert {name: one.entry.content for name, one in line.items()} == VECTORS["Tree digest"]
    assert {one.state.ledger_id for one in line.values()} == {VECTORS["Ledger id"]["common"]}
    signed = {name: sshsig.parse(one.commit.signature or b"").key.key_id for name, one in line.items()}
    assert signed == VECTORS["Snapshot, signature"]
    assert {name: SnapshotName.parse(name).number for name in line} == {name: one.number for name, one in line.items()}


def test_gitledger_says_the_same_of_every_proposal(line: dict[str, Snapshot]) -> None:
    accepted = {name: one for name, one in line.items() if one.entry.proposal}
    assert {name: one.entry.proposal for name, one in accepted.items()} == VECTORS["Proposal hash"]
    read = {name: proposal.read(one.state.objects, one.commit.parents[1]) for name, one in accepted.items()}
    assert {name: one.hash for name, one in read.items()} == VECTORS["Proposal hash"]
    computed = {name: command_id(one.key, accepted[name].entry.salt) for name, one in read.items()}
    assert computed == {name: one.entry.command for name, one in accepted.items()} == VECTORS["Command id"]
    assert accepted["common@2"].entry.salt == 42


def test_gitledger_says_the_same_of_every_key() -> None:
    keys = _keys()
    assert {domain: key.certificate for domain, key in keys.items()} == {
        domain: f"{text}\n" for domain, text in VECTORS["Certificate text"].items()
    }
    assert {domain: key.key_id for domain, key in keys.items()} == VECTORS["Key id"]
    assert {domain: Record.path_of(key.key_id) for domain, key in keys.items()} == VECTORS["Certificate record"]


def test_gitledger_says_the_same_of_every_artifact(line: dict[str, Snapshot]) -> None:
    tree = line["common@4"].state.tree
    assert {path: digest(tree.read(path) or b"") for path in VECTORS["Artifact key"]} == VECTORS["Artifact key"]
    key = VECTORS["Artifact key"][_rotation_path()]
    assert line["common@4"].state.witness.rotation_artifact == line["common@3"].entry.rotation == key
    assert _rotation_path() == f"ledger/rotations/{key.removeprefix('sha256:')}.yaml"


def test_gitledger_says_the_same_of_the_rotation(rotation: Rotation) -> None:
    assert dict(rotation.fields) == VECTORS["Rotation, its eight fields"]
    assert list(VECTORS["Rotation, its eight fields"]) == [name for name, _ in rotation.fields]
    assert rotation.digest.hex() == VECTORS["Rotation, H"]["H"]
    signed = {one.domain_id: one.pubkey_id for one in rotation.endorsements.endorsements}
    assert signed == VECTORS["Rotation, endorsements"]
