"""Evidence files: what they prove to whoever has never seen the ledger, and that none proves what is not (spec 10)."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import forge
import pytest
from mirror import KEYS, Mirror

from gitledger.errors import LedgerError
from gitledger.objects.store import Store
from gitledger.roles import evidence
from gitledger.rules.advance import pinned
from gitledger.rules.state import Snapshot

Said = dict[str, Any]


@pytest.fixture
def mirror(tmp_path: Path) -> Mirror:
    mirror = Mirror(tmp_path / "mirror.git")
    mirror.grow(2)
    return mirror


def snapshot(mirror: Mirror, oid: str) -> Snapshot:
    return pinned(Store.open(mirror.path), oid, forge.hash_of(mirror.path, oid))


def fork_of(mirror: Mirror) -> bytes:
    ours, theirs = mirror.snapshot("domains/alice/x"), mirror.snapshot("domains/alice/y")
    return evidence.of_fork(snapshot(mirror, mirror.tip), (ours, theirs))


def misconduct_of(mirror: Mirror) -> bytes:
    return evidence.of_misconduct(snapshot(mirror, mirror.tip), mirror.snapshot(first="common@3: something else"))


def written(said: Said) -> bytes:
    said["objects"].sort(key=_oid)
    return json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def _oid(held: dict[str, str]) -> str:
    content = base64.b64decode(held["content"])
    return hashlib.sha1(f"{held['type']} {len(content)}\0".encode() + content).hexdigest()


def refused(data: bytes, rule: str) -> None:
    with pytest.raises(LedgerError) as raised:
        evidence.check(data)
    assert raised.value.rule == rule
    assert raised.value.mend


def test_a_fork_is_proven_without_the_ledger(mirror: Mirror) -> None:
    data = fork_of(mirror)
    mirror.path.rename(mirror.path.with_name("gone"))
    proven = evidence.check(data)
    assert isinstance(proven, evidence.Fork)
    assert (proven.name, proven.base, proven.number) == ("common@3", "common@2", 2)
    assert proven.twice == ("you", forge.key_id(KEYS / "you"))


def test_only_what_is_read_comes_along(tmp_path: Path) -> None:
    mirror = Mirror(tmp_path / "big.git")
    many = {f"domains/alice/big/{number}/{number}.txt": b"%d\n" % number * 500 for number in range(60)}
    proposal = mirror.proposal(many)
    mirror.snapshots.append(forge.snapshot(mirror.path, mirror.tip, proposal, KEYS / "you"))
    mirror.grow()
    said = json.loads(data := fork_of(mirror))
    contents = [base64.b64decode(one["content"]) for one in said["objects"]]
    assert not any(content.startswith(b"1\n1\n") for content in contents)
    assert isinstance(evidence.check(data), evidence.Fork)


def test_a_file_that_moves_is_proven_too(mirror: Mirror) -> None:
    content = b"domains/alice/1.txt, 1\n"
    one = forge.snapshot(mirror.path, mirror.tip, mirror.proposal({"domains/alice/moved": content}), KEYS / "you")
    other = mirror.snapshot("domains/alice/z")
    assert evidence.check(evidence.of_fork(snapshot(mirror, mirror.tip), (one, other)))


def test_nothing_is_proven_of_two_that_are_not_both_valid_nor_of_one_that_is(mirror: Mirror) -> None:
    ours, forged = mirror.snapshot("domains/alice/x"), mirror.snapshot(key=KEYS / "stranger")
    base = snapshot(mirror, mirror.tip)
    with pytest.raises(LedgerError, match="evidence-no-fork"):
        evidence.of_fork(base, (ours, forged))
    with pytest.raises(LedgerError, match="evidence-no-misconduct"):
        evidence.of_misconduct(base, ours)
    with pytest.raises(LedgerError, match="evidence-signer"):
        evidence.of_misconduct(base, forged)


def test_an_honest_snapshot_is_no_misconduct_on_another_base(mirror: Mirror) -> None:
    honest = mirror.snapshot()
    with pytest.raises(LedgerError, match="evidence-elsewhere"):
        evidence.of_misconduct(snapshot(mirror, mirror.snapshots[1]), honest)
    said = json.loads(misconduct_of(mirror))
    said["snapshots"] = [mirror.tip]  # valid on common@1, and held to common@2
    content = forge.read_object(mirror.path, mirror.tip)
    if not any(_oid(one) == mirror.tip for one in said["objects"]):
        said["objects"].append({"type": "commit", "content": base64.b64encode(content).decode()})
    refused(written(said), "evidence-elsewhere")


def _without_an_object(said: Said) -> None:
    del said["objects"][next(n for n, one in enumerate(said["objects"]) if one["type"] == "blob")]


def _with_one_more(said: Said) -> None:
    said["objects"].append({"type": "blob", "content": base64.b64encode(b"more").decode()})


def _with_one_twice(said: Said) -> None:
    said["objects"].append(said["objects"][0])


def _without_a_leaf(said: Said) -> None:
    said["leaves"].popitem()


def _with_a_false_leaf(said: Said) -> None:
    said["leaves"][next(iter(said["leaves"]))] = "0" * 64


def _with_a_leaf_for_something_else(said: Said) -> None:
    said["leaves"]["0" * 40] = "0" * 64


def _with_a_leaf_for_what_is_there(said: Said) -> None:
    said["leaves"][_oid(next(one for one in said["objects"] if one["type"] == "blob"))] = "0" * 64


def _of_another_base(said: Said) -> None:
    said["base_hash"] = "sha256:" + "0" * 64


def _of_another_ledger(said: Said) -> None:
    said["ledger_id"] = "sha256:" + "0" * 64


def _with_one_snapshot_twice(said: Said) -> None:
    said["snapshots"] = [said["snapshots"][0]] * 2


def _of_another_kind(said: Said) -> None:
    said["kind"] = "misconduct"
    said["snapshots"].pop()


@pytest.mark.parametrize(
    ("altered", "rule"),
    [
        (_without_an_object, "evidence-leaves"),
        (_with_one_more, "evidence-left-over"),
        (_with_one_twice, "evidence-order"),
        (_without_a_leaf, "evidence-leaves"),
        (_with_a_false_leaf, "evidence-content"),
        (_with_a_leaf_for_something_else, "evidence-leaves"),
        (_with_a_leaf_for_what_is_there, "evidence-leaves"),
        (_of_another_base, "evidence-unproven"),
        (_of_another_ledger, "evidence-ledger"),
        (_with_one_snapshot_twice, "evidence-snapshots"),
        (_of_another_kind, "evidence-no-misconduct"),
    ],
)
def test_an_altered_file_proves_nothing(mirror: Mirror, altered: Callable[[Said], None], rule: str) -> None:
    data = fork_of(mirror)
    said = json.loads(data)
    assert written(said) == data
    assert said["leaves"]
    altered(said)
    refused(written(said), rule)


def test_what_is_missing_can_be_made_up_by_no_leaf(mirror: Mirror) -> None:
    said = json.loads(misconduct_of(mirror))
    policy = forge.git(mirror.path, "rev-parse", f"{mirror.tip}:ledger/policy.yaml").decode().strip()
    content = forge.read_object(mirror.path, policy)
    said["objects"] = [one for one in said["objects"] if _oid(one) != policy]
    said["leaves"][policy] = hashlib.sha256(b"blob %d\0" % len(content) + content).hexdigest()
    refused(written(said), "evidence-incomplete")


def test_other_bytes_are_no_evidence(mirror: Mirror) -> None:
    data = fork_of(mirror)
    refused(b"", "json-syntax")
    refused(data + b"\n", "json-canonical")
    refused(data.replace(b"asl.common.evidence", b"asl.common.policy"), "document-form")
