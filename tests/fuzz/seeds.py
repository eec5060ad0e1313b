"""The seeds of the corpus: real artifacts, one of each kind, from the ledger of `ground` and from its forge.

Inputs that found something are kept beside them; both are named by their content, and nothing is taken away.
"""

from __future__ import annotations

import base64
import hashlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

from notarised import ALICE, HERE, JAMES, TESTS, WAITING, YOU, Ground, forge, stating

from gitledger.objects.store import Store
from gitledger.roles.evidence import of_fork, of_misconduct
from gitledger.rules.advance import pinned

CORPUS = HERE / "corpus"
QUORUM = {"alice": ALICE, "james": JAMES}
DOCUMENTS = {
    "policy.yaml": "policy",
    "witness.yaml": "witness",
    "ledger.yaml": "ledger-file",
    "domain.yaml": "manifest",
}

Seeds = Iterator[tuple[str, bytes]]


def keep(target: str, data: bytes) -> Path:
    """Put an input into the corpus of `target`; returns its file."""
    path = CORPUS / target / hashlib.sha256(data).hexdigest()[:16]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def write() -> None:
    """Write every seed into the corpus."""
    with tempfile.TemporaryDirectory() as where:
        ground = Ground(Path(where))
        for kind in (_objects, _keys, _documents, _artifacts, _statements, _evidence, _carried, _said):
            for target, data in kind(ground):
                keep(target, data)


def _objects(ground: Ground) -> Seeds:
    repo, tip = ground.repo, ground.line[-1]
    for oid in (*ground.line, ground.waiting):
        content = forge.read_object(repo, oid)
        yield "commit", content
        yield "message", content.partition(b"\n\n")[2]
    for named in (f"{tip}^{{tree}}", f"{tip}:domains/alice"):
        yield "tree", forge.read_object(repo, forge.git(repo, "rev-parse", named).decode().strip())
    for path in forge.files(repo, tip):
        yield "path", path.encode()


def _keys(ground: Ground) -> Seeds:
    for namespace in ("git", "asl.domain.key"):
        armour = forge.sshsig(YOU, b"something", namespace=namespace)
        yield "signature", armour
        yield "signature-blob", base64.b64decode(b"".join(armour.splitlines()[1:-1]))
    for key in (YOU, ALICE):
        yield "public-key", key.with_suffix(".pub").read_bytes()
        yield "public-key", forge.line(key).encode()
    for options in ({}, {"kind": 2, "serial": 0, "critical": ("force-command", "verify-required"), "before": 1 << 40}):
        blob = forge.certificate(TESTS / "keys" / "spare-1", ALICE, ["executor@alice", "publisher@alice"], **options)
        yield "certificate", blob
        yield "certified", blob[: -(4 + 4 + len("ssh-ed25519") + 4 + 64)]
    for name in ("alice", "common@42", "30d", "24h", forge.sha256(b""), forge.key_id(ALICE)):
        yield "names", name.encode()


def _documents(ground: Ground) -> Seeds:
    repo, tip = ground.repo, ground.line[-1]
    for path, (_, oid) in forge.files(repo, tip).items():
        content = forge.read_object(repo, oid)
        name = "rotation" if "/rotations/" in path else DOCUMENTS.get(path.rpartition("/")[2], "")
        if name:
            yield name, content
            yield "yaml", content
            yield "proposed-file", path.encode() + b"\n" + content
        elif path.endswith(".json"):
            yield "record", content
            yield "json", content
    yield "proposed-file", b"domains/alice/notes/x\nanything\n"
    yield "policy", (TESTS.parent / "templates" / "group.yaml").read_bytes()
    yield "yaml", b"a: [1, {b: \"c\\n\\u00e9\"}, 'd''e']\nf: |\n  g\n\n  h\ni:\n- true\n- 0.1 # j\n"
    spare = TESTS / "keys" / "spare-1"
    proof = forge.proof(spare, ground.anchor, "alice")
    yield "manifest", forge.manifest_file("alice", forge.Entry("spare", spare, ("root",), proof=proof))
    yield "rotation", forge.rotation(repo, tip, ("you", YOU)).render()
    yield "rotation", forge.rotation_file(repo, tip, ("you", YOU), QUORUM, reason="back")


def _artifacts(ground: Ground) -> Seeds:
    """What is signed, without its signature; tags with theirs, too."""
    repo, tip, waiting = ground.repo, ground.line[-1], ground.waiting
    tags = {
        ground.endorsement: "endorsed",
        ground.refusal: "decided",
        forge.withdrawal(repo, waiting, ALICE): "decided",
    }
    for oid, target in tags.items():
        content = forge.read_object(repo, oid)
        yield "tag", content
        yield target, content.partition(b"-----BEGIN")[0]
    said = "A line\n\nLedger-Salt: 1795170991\nLedger-Reorder: never\nLedger-Expires: common@9\nLedger-Domain: alice\n"
    proposals = (forge.proposal(repo, tip, {}, ALICE, said, tree=tree) for tree in ground.others)
    for oid in (waiting, *proposals):
        yield "proposed", _unsigned(repo, oid)
    for endorsements in ((), (ground.endorsement,)):
        yield "emitted", _unsigned(repo, forge.snapshot(repo, tip, waiting, JAMES, endorsements=endorsements))


def _statements(ground: Ground) -> Seeds:
    """One of each kind that is true of the ledger, and one of another's."""
    tip, path = ground.line[-1], "domains/alice/domain.yaml"
    about = stating.subject("common@4", forge.hash_of(ground.repo, tip))
    digest = forge.sha256(forge.git(ground.repo, "cat-file", "blob", f"{tip}:{path}"))
    hash_ = f"sha256:{about['digest']['sha256']}"
    at = {"ledger": ground.anchor, "name": "common@4", "hash": hash_}
    bound = {"common@4": hash_, f"common@4:{path}": digest}
    ran = {"ledgers": {"common": ground.anchor}, "inputs": [f"common@4:{path}"], "resolved": bound}
    located = stating.subject("domain.yaml", digest)
    made = (
        stating.represents(ground.anchor, about),
        stating.audit(ground.anchor, about, ("all of it",), ("one line",)),
        stating.stated("urn:gitledger:located-at:1", {"path": "/home/x"}, stating.subject("x", digest)),
        stating.stated("urn:gitledger:located-at:1", {"path": path, "snapshot": at}, located),
        stating.receipt("alice", outputs={"out/x": b"x"}, epoch=forge.when(ground.repo, tip), **ran),
        stating.stated("https://example.org/x/v1", {"deep": [[{"a": [2.0]}]]}, about | {"mediaType": "text/plain"}),
        stating.represents(digest, stating.subject("alice@9", digest)),
    )
    for one in made:
        payload = json.dumps(one).encode()
        yield "statement", payload
        yield "attested", payload
    yield "envelope", stating.envelope(made[0], ALICE)
    yield "envelope", stating.envelope(made[1], ALICE, JAMES)


def _evidence(ground: Ground) -> Seeds:
    repo, before, tip = ground.repo, *ground.line[-2:]
    base = pinned(Store.open(repo), before, forge.hash_of(repo, before))
    other = forge.proposal(repo, before, {"domains/alice/run": b"other\n"}, ALICE)
    yield "evidence", of_fork(base, (tip, forge.snapshot(repo, before, other, JAMES)))
    wrong = forge.snapshot(repo, before, other, JAMES, lines={"Content": forge.sha256(b"")})
    yield "evidence", of_misconduct(base, wrong)


def _carried(ground: Ground) -> Seeds:
    repo, genesis, tip = ground.repo, ground.line[0], ground.line[-1]
    head = (TESTS / "vectors" / "ledger.bundle").read_bytes().partition(b"\n\n")[0] + b"\n\nPACK"
    yield "bundle", head
    yield "bundle", head.replace(b"# v2 git bundle\n", b"# v3 git bundle\n@object-format=sha1\n")
    yield "bundle", head.replace(b"bundle\n", f"bundle\n-{genesis} common@0: genesis\n".encode())
    record = {"artifact_type": "asl.common.carrier", "hash": forge.hash_of(repo, tip), "ledger_id": ground.anchor}
    record |= {"place": "0" * 16, "refs": forge.sha256(b""), "role": "host", "since": "common@1"}
    record |= {"snapshot": "common@4", "version": "0.1"}
    yield "carried", json.dumps(record, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def _said(ground: Ground) -> Seeds:
    """What git prints, and what it tells a hook."""
    tip, waiting = ground.line[-1], ground.waiting
    refs = {**dict.fromkeys(("HEAD", "refs/heads/common", "refs/tags/common@4"), tip), WAITING: waiting}
    yield "ls-remote", b"ref: refs/heads/common\tHEAD\n" + "".join(f"{o}\t{r}\n" for r, o in refs.items()).encode()
    yield "for-each-ref", "".join(f"{oid} {ref} \n" for ref, oid in refs.items()).encode()
    odd = f"{tip} refs/heads/a\u2028b \n{tip} refs/heads/\x85 \n{tip} refs/heads/\udcff \n"
    yield "for-each-ref", odd.encode(errors="surrogateescape")
    errors = b"remote: Enumerating objects: 3\nerror: a\x1b[2J\nfatal: couldn't find remote ref x\nhint: y\n"
    yield "said-by-git", b"!\tx:refs/heads/common\t[rejected] (fetch first)\n\0" + errors
    yield "pushed", b"@- @w refs/proposals/alice/other\n"
    yield "pushed", b"@4 @3 refs/heads/common\n@- @w refs/heads/x\n@- @0 refs/tags/common@5\n"
    gone, endorsed = (
        b"@w @- refs/proposals/alice/waiting\n",
        f"@- {ground.endorsement} refs/endorsements/{waiting}/alice\n",
    )
    yield "pushed", gone + endorsed.encode() + f"@- {ground.refusal} refs/refusals/{waiting}\n".encode()
    yield "pushed", b"@- @w refs/proposals/alice/other\n" + endorsed.encode()


def _unsigned(repo: Path, oid: str) -> bytes:
    head, _, rest = forge.read_object(repo, oid).partition(b"gpgsig ")
    return head + rest.partition(b"-----END SSH SIGNATURE-----\n")[2]
