"""Alice's domain with a key for each role, and rules of who publishes where (spec 3.2, 13)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import forge
from forge import Entry
from world import Done, Person, World, accepted

MANIFEST = "domains/alice/domain.yaml"
PUBLISH = "domains/alice/policies/publish.yaml"
KEYS = {
    "root": "alice",
    "laptop": "alice-2",
    "desk": "spare-1",
    "builder": "spare-2",
    "ci": "spare-3",
    "reader": "spare-4",
    "old": "spare-5",
}
ROLES = {
    "root": ["root"],
    "laptop": ["publisher"],
    "desk": ["publisher"],
    "builder": ["producer"],
    "ci": ["executor"],
    "reader": ["auditor"],
    "old": ["publisher"],
}
RULES = ("{match: releases/**, keys: [desk, laptop], approvals: 2}", "{match: pages/**, keys: [desk]}")
PATHS = ("{match: standards/**, proposers: any, endorsements: 1}", "{match: shared/**, proposers: any}")


def key(world: World, name: str) -> Path:
    """The private key file of what alice's manifest calls `name`."""
    return world.key(KEYS[name])


def manifest(world: World, names: Sequence[str], roles: dict[str, list[str]] | None = None) -> bytes:
    """Alice's manifest with these of her keys, each with its consent."""
    told = ROLES | (roles or {})
    entries = [
        Entry(name, key(world, name), told[name], forge.proof(key(world, name), world.anchor, "alice"))
        for name in names
    ]
    return forge.manifest_file("alice", *entries)


def rules(*lines: str) -> bytes:
    """Rules of publishing."""
    listed = "rules:\n" + "".join(f"  - {line}\n" for line in lines) if lines else "rules: []\n"
    return f"artifact_type: asl.domain.publish\nversion: 0.1\n{listed}".encode()


def peopled(world: World) -> None:
    """Alice's root publishes nothing any more; others do, make and verify; one publisher's key is revoked."""
    world.make_host(members=("you", "alice", "james", "stranger"), authorities=("you", "alice", "james"), paths=PATHS)
    now = [name for name in KEYS if name != "old"]
    world.propose(world.alice, {MANIFEST: manifest(world, list(KEYS))}, "A key for each role", topic="keys")
    world.emit()
    world.propose(world.alice, {MANIFEST: manifest(world, now)}, "Revoke the old key", topic="keys")
    world.emit()
    world.propose(world.alice, {PUBLISH: rules(*RULES)}, "Who publishes where", topic="rules")
    world.emit()
    assert world.snapshots()[-1] == "common@3"


def release(world: World, oid: str, name: str, *, person: Person | None = None, check: bool = True) -> Done:
    """Release a proposal with one of alice's keys, as stock git does it: a signed tag, pushed."""
    who = person or world.alice
    clone = world.clone(who)
    who.git(clone, "fetch", "-q", "--no-tags", "origin", *[r for r in world.refs() if r.startswith("refs/proposals/")])
    message = f"Release it\n\nReleases: {forge.hash_of(clone / '.git', oid)}"
    signing = f"user.signingkey={key(world, name)}.pub"
    who.git(clone, "-c", signing, "tag", "-f", "-s", "-m", message, f"release/{oid}", oid)
    done = world.push(who, clone, f"+refs/tags/release/{oid}:refs/releases/{oid}/{name}")
    return accepted(done) if check else done
