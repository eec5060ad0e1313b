"""Statements and their envelopes from raw bytes, by the standard library and a bare Ed25519 key (spec 14).

content = stating.envelope(stating.audit(world, 0), world.alice.key)
world.propose(world.alice, {stating.path("alice", content): content})
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import forge
from world import World

PAYLOAD_TYPE = "application/vnd.in-toto+json"
PROVENANCE = "https://slsa.dev/provenance/v1"

Value = dict[str, Any]


def pae(payload: bytes, type_: str = PAYLOAD_TYPE) -> bytes:
    """What a signature of an envelope covers, from DSSE's text."""
    return b" ".join((b"DSSEv1", b"%d" % len(type_), type_.encode(), b"%d" % len(payload), payload))


def signature(key: forge.Key, payload: bytes, type_: str = PAYLOAD_TYPE) -> Value:
    """One entry of an envelope's signatures."""
    raw = forge.private(key).sign(pae(payload, type_))
    return {"keyid": forge.key_id(key), "sig": base64.b64encode(raw).decode()}


def envelope(statement: Value | bytes, *keys: forge.Key, **changed: Any) -> bytes:
    """A statement signed by the keys; what is `changed` in the envelope is changed after."""
    payload = statement if isinstance(statement, bytes) else json.dumps(statement).encode()
    whole = {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [signature(key, payload) for key in keys],
    }
    return json.dumps(whole | changed).encode()


def path(domain: str, content: bytes) -> str:
    """Where an envelope with these bytes belongs."""
    name = hashlib.sha256(content).hexdigest()
    return f"domains/{domain}/attestations/{name[:2]}/{name[2:]}.json"


def subject(name: str, digest: str) -> Value:
    """What has this name and this digest, `sha256:…`."""
    return {"name": name, "digest": {"sha256": digest.removeprefix("sha256:")}}


def stated(type_: str, predicate: Value, *subjects: Value) -> Value:
    """An in-toto statement."""
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": list(subjects),
        "predicateType": type_,
        "predicate": predicate,
    }


def snapshot(repository: Path, number: int, name: str = "common") -> Value:
    """A snapshot of a host, as a subject: its name and its hash."""
    oid = forge.git(repository, "rev-parse", f"refs/tags/{name}@{number}").decode().strip()
    return subject(f"{name}@{number}", forge.hash_of(repository, oid))


def represents(ledger: str, about: Value, thing: str = "/home", as_of: int = 7) -> Value:
    """That the snapshot `about` of the ledger with this id represents a thing."""
    return stated("urn:gitledger:represents:1", {"ledger": ledger, "represents": thing, "as_of": as_of}, about)


def audit(ledger: str, about: Value, checked: Sequence[str] = ("every line",), found: Sequence[str] = ()) -> Value:
    """What an auditor checked of the snapshot `about`, and found."""
    predicate = {"ledger": ledger, "checked": list(checked), "found": list(found)}
    return stated("urn:gitledger:audit:1", predicate, about)


def receipt(
    domain: str,
    *,
    ledgers: Mapping[str, str],
    inputs: Sequence[str],
    resolved: Mapping[str, str],
    outputs: Mapping[str, bytes],
    command: Sequence[str] = ("make",),
    epoch: int = 1795170991,
) -> Value:
    """An execution receipt: by this command, the inputs (bound by `resolved`, digests by name) gave the outputs."""
    definition = {
        "buildType": "urn:gitledger:execution:1",
        "externalParameters": {
            "command": list(command),
            "inputs": list(inputs),
            "ledgers": dict(ledgers),
            "outputs": list(outputs),
        },
        "internalParameters": {
            "isolation": "none",
            "locale": "C.UTF-8",
            "runs": 2,
            "source_date_epoch": epoch,
            "timezone": "UTC",
            "umask": "0022",
        },
        "resolvedDependencies": [subject(name, digest) for name, digest in sorted(resolved.items())],
    }
    run = {"builder": {"id": f"urn:gitledger:executor:{domain}"}}
    made = [subject(name, forge.sha256(content)) for name, content in outputs.items()]
    return stated(PROVENANCE, {"buildDefinition": definition, "runDetails": run}, *made)


def certifying(world: World) -> World:
    """A host where alice has keys of every role, and an archive was made of two files, and another file of that.

    Her keys beside the one that is root and publisher: `ci` executes, `auditor` audits, `maker` produces, `nodes`
    certifies executors, `old` was revoked. The archive at common@3 has its receipt there; common@4 has one that was
    made of that.
    """
    world.make_host(limits=f"proposal_bytes: {BYTES}")
    manifest = "domains/alice/domain.yaml"
    held = world.read(manifest) + "".join(_entry(world, *key) for key in KEYS).encode()
    old = _entry(world, "old", "spare-3", ["publisher"]).encode()
    world.propose(world.alice, {manifest: held + old}, "Keys of every role")
    world.emit()
    files = {f"domains/alice/{name}": text for name, text in FILES.items()}
    world.propose(world.alice, {manifest: held, **files}, "Files")
    world.emit()
    for number, below, made in ((2, "files", ARCHIVE), (3, "out", SUMMARY)):
        content = envelope(run(world, number, f"domains/alice/{below}", made), world.key("alice-2"))
        changes = {f"domains/alice/out/{name}": text for name, text in made.items()}
        world.propose(world.alice, {path("alice", content): content, **changes}, f"Made of {below}")
        world.emit()
    assert world.snapshots()[-1] == "common@4"
    return world


def _entry(world: World, name: str, key: str, roles: Sequence[str], certifies: Sequence[str] = ()) -> str:
    file = world.key(key)
    return forge.Entry(name, file, roles, forge.proof(file, world.anchor, "alice"), certifies).render()


BYTES: Final = 1_200_000
KEYS: Final = (
    ("ci", "alice-2", ["executor"]),
    ("auditor", "spare-1", ["auditor"]),
    ("maker", "spare-2", ["producer"]),
    ("nodes", "spare-4", ["root"], ["executor"]),
)
FILES: Final = {"files/one.txt": b"one\n", "files/two.txt": b"two\n"}
ARCHIVE: Final = {"archive.tar": b"one\ntwo\n"}
SUMMARY: Final = {"summary.txt": b"8 bytes\n"}


def run(world: World, number: int, below: str, made: Mapping[str, bytes], **altered: Any) -> Value:
    """The true receipt of alice's executor for what was made of the files at or below a path of common@`number`."""
    base = f"common@{number}"
    tree = forge.files(world.host, world.oid(number))
    digests = {
        f"{base}:{name}": forge.sha256(forge.read_object(world.host, oid))
        for name, (_, oid) in tree.items()
        if name == below or name.startswith(f"{below}/")
    }
    bound = {base: forge.hash_of(world.host, world.oid(number)), **digests}
    given = {
        "epoch": forge.when(world.host, world.oid(number)),
        "domain": "alice",
        "ledgers": {"common": world.anchor},
        "inputs": [f"{base}:{below}"],
        "resolved": bound,
        "outputs": made,
    }
    return receipt(**(given | altered))
