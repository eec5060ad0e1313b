"""Ledger objects made from raw bytes, by a hand that knows the spec and not gitledger.

Attacks are built with it, and the rules are held against it: what two who read the same spec build must be the same
bytes. So nothing of gitledger is imported here. Everything can be made wrong in one place at a time: each function
takes what it would have computed, and writes that instead.

Objects are written as loose files, unchecked. `repo` is always a git directory (a bare repository, or `.git`).
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import subprocess
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_ssh_private_key

START = 1_795_170_000
FAR = 4_000_000_000
"""In the year 2096: a host's hooks go by the clock of the machine that runs them, and by no test's."""
ATTRIBUTES = b"* -text\n"
GROUP_ORDER = 2**252 + 27742317777372353535851937790883648493

Key = Path | Ed25519PrivateKey
Files = dict[str, tuple[str, str]]
"""Mode and blob by path, as `git ls-tree -r` shows a tree."""

# Objects


def git(repo: Path, *arguments: str, input: bytes = b"") -> bytes:
    """What stock git prints in `repo`; it fails where git fails. The guard against local writes stands aside."""
    return subprocess.run(
        ["git", "-c", "core.hooksPath=/dev/null", f"--git-dir={repo}", *arguments],
        input=input,
        capture_output=True,
        check=True,
    ).stdout


def write_object(repo: Path, kind: str, content: bytes) -> str:
    """Write an object with any content as a loose file, and return its id."""
    raw = b"%s %d\0%s" % (kind.encode(), len(content), content)
    oid = hashlib.sha1(raw).hexdigest()
    path = repo / "objects" / oid[:2] / oid[2:]
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        draft = path.with_name(f"draft-{os.getpid()}")
        draft.write_bytes(zlib.compress(raw, 1))
        draft.chmod(0o444)
        draft.replace(path)
    return oid


def read_object(repo: Path, oid: str) -> bytes:
    """The content of the object, loose or packed."""
    try:
        raw = zlib.decompress((repo / "objects" / oid[:2] / oid[2:]).read_bytes())
    except FileNotFoundError:
        kind = git(repo, "cat-file", "-t", oid).decode().strip()
        return git(repo, "cat-file", kind, oid)
    return raw.partition(b"\0")[2]


def set_ref(repo: Path, ref: str, oid: str | None) -> None:
    """Point `ref` at an object past every guard, or delete it with None."""
    git(repo, "update-ref", *(["--no-deref", ref, oid] if oid else ["-d", ref]))


def sha256(content: bytes) -> str:
    """A digest as the ledger writes it."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


def hash_of(repo: Path, oid: str) -> str:
    """The snapshot hash or proposal hash of a commit."""
    return sha256(read_object(repo, oid))


# Keys and signatures


@lru_cache(maxsize=64)
def private(key: Key) -> Ed25519PrivateKey:
    """The private key in a file that ssh-keygen wrote."""
    if isinstance(key, Ed25519PrivateKey):
        return key
    loaded = load_ssh_private_key(key.read_bytes(), None)
    assert isinstance(loaded, Ed25519PrivateKey)
    return loaded


def ssh_string(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def blob(key: Key) -> bytes:
    """The public key in SSH's wire form."""
    return ssh_string(b"ssh-ed25519") + ssh_string(private(key).public_key().public_bytes_raw())


def line(key: Key) -> str:
    """The public key line, without a comment."""
    return "ssh-ed25519 " + base64.b64encode(blob(key)).decode()


def key_id(key: Key) -> str:
    """The key id, as `ssh-keygen -lf` prints it."""
    return _fingerprint(blob(key))


def plus_order(raw: bytes) -> bytes:
    """A second signature by the same key over the same bytes: S + L. Some libraries let it pass."""
    s = int.from_bytes(raw[32:], "little") + GROUP_ORDER
    return raw[:32] + s.to_bytes(32, "little")


def armour(content: bytes, width: int = 70) -> bytes:
    """The armour of a signature, in lines of `width`; ssh-keygen writes 70."""
    text = base64.b64encode(content)
    lines = b"".join(text[at : at + width] + b"\n" for at in range(0, len(text), width))
    return b"-----BEGIN SSH SIGNATURE-----\n" + lines + b"-----END SSH SIGNATURE-----\n"


def sshsig(
    key: Key,
    message: bytes,
    *,
    namespace: str = "git",
    hash: str = "sha512",
    width: int = 70,
    public: bytes | None = None,
    twist: Callable[[bytes], bytes] = lambda raw: raw,
    after: bytes = b"",
) -> bytes:
    """The armour that `ssh-keygen -Y sign` writes.

    `public` is another key's blob to name in it, `twist` changes the 64 bytes of Ed25519 (`plus_order`), `after` is
    put behind the armour.
    """
    digested = hashlib.new(hash, message).digest()
    head = ssh_string(namespace.encode()) + ssh_string(b"") + ssh_string(hash.encode())
    raw = twist(private(key).sign(b"SSHSIG" + head + ssh_string(digested)))
    inner = ssh_string(ssh_string(b"ssh-ed25519") + ssh_string(raw))
    content = b"SSHSIG" + (1).to_bytes(4, "big") + ssh_string(blob(key) if public is None else public) + head + inner
    return armour(content, width) + after


CERTIFICATE = b"ssh-ed25519-cert-v01@openssh.com"


def certificate(
    key: Key,
    by: Key,
    principals: Sequence[str],
    *,
    serial: int = 7,
    kind: int = 1,
    after: int = 0,
    before: int = FAR,
    critical: Sequence[str] = (),
    identity: str = "rescue-1",
    named: Key | None = None,
) -> bytes:
    """The blob of an OpenSSH certificate of `key`, as `ssh-keygen -s by` makes it; each critical option has no data.

    `named` is another key that is said to have signed it.
    """
    names = b"".join(ssh_string(one.encode()) for one in principals)
    options = b"".join(ssh_string(one.encode()) + ssh_string(b"") for one in critical)
    body = ssh_string(CERTIFICATE) + ssh_string(bytes(32)) + ssh_string(private(key).public_key().public_bytes_raw())
    body += serial.to_bytes(8, "big") + kind.to_bytes(4, "big") + ssh_string(identity.encode()) + ssh_string(names)
    body += after.to_bytes(8, "big") + before.to_bytes(8, "big") + ssh_string(options) + ssh_string(b"") * 2
    body += ssh_string(blob(named or by))
    return body + ssh_string(ssh_string(b"ssh-ed25519") + ssh_string(private(by).sign(body)))


def signer(content: bytes) -> bytes:
    """The blob of the public key that made the (first) signature in a commit or tag; a certificate's plain key."""
    text = content.partition(b"-----BEGIN SSH SIGNATURE-----\n")[2].partition(b"-----END")[0]
    raw = base64.b64decode(text)[len(b"SSHSIG") + 4 :]
    public = raw[4 : 4 + int.from_bytes(raw[:4], "big")]
    if public[4:].startswith(CERTIFICATE):
        at = 4 + len(CERTIFICATE)
        at += 4 + int.from_bytes(public[at : at + 4], "big")
        return ssh_string(b"ssh-ed25519") + public[at : at + 36]
    return public


def _fingerprint(public: bytes) -> str:
    return "SHA256:" + base64.b64encode(hashlib.sha256(public).digest()).decode().rstrip("=")


# Trees

Content = bytes | tuple[str, bytes] | tuple[str, str]


def raw_tree(repo: Path, entries: Iterable[tuple[str, bytes | str, str]]) -> str:
    """A tree object of (mode, name, oid) in the order given, whatever they are."""
    raw = b"".join(b"%s %s\0%s" % (mode.encode(), _bytes(name), bytes.fromhex(oid)) for mode, name, oid in entries)
    return write_object(repo, "tree", raw)


def entry(repo: Path, content: Content) -> tuple[str, str]:
    """Mode and oid of a file: its bytes, or its mode and bytes, or any mode and oid."""
    if isinstance(content, bytes):
        return "100644", write_object(repo, "blob", content)
    mode, what = content
    return mode, what if isinstance(what, str) else write_object(repo, "blob", what)


def tree(repo: Path, contents: Mapping[str, Content]) -> str:
    """A tree with these files, sorted as git sorts; directories come with the paths."""
    return tree_of(repo, {path: entry(repo, content) for path, content in contents.items()})


def tree_of(repo: Path, files: Files) -> str:
    """A tree with these modes and objects."""
    below: dict[str, Files] = {}
    entries: list[tuple[str, bytes | str, str]] = []
    for path, (mode, oid) in files.items():
        name, slash, rest = path.partition("/")
        if slash:
            below.setdefault(name, {})[rest] = mode, oid
        else:
            entries.append((mode, name, oid))
    entries += [("40000", name, tree_of(repo, inner)) for name, inner in below.items()]
    return raw_tree(repo, sorted(entries, key=_git_order))


def files(repo: Path, treeish: str) -> Files:
    """Every file of a commit or tree."""
    listed = git(repo, "ls-tree", "-r", "-z", "--full-tree", treeish).decode().split("\0")[:-1]
    found: Files = {}
    for one in listed:
        head, _, path = one.partition("\t")
        mode, _, oid = head.split(" ")
        found[path] = mode, oid
    return found


def changed(repo: Path, treeish: str, contents: Mapping[str, Content | None]) -> str:
    """The tree of a commit with some files changed, or gone where the content is None."""
    held = files(repo, treeish)
    for path, content in contents.items():
        if content is None:
            held.pop(path)
        else:
            held[path] = entry(repo, content)
    return tree_of(repo, held)


def tree_digest(repo: Path, oid: str) -> str:
    """The id that the same tree has in a SHA-256 repository, as a digest."""
    return "sha256:" + _id256(repo, "tree", oid).hex()


def _id256(repo: Path, kind: str, oid: str) -> bytes:
    content = read_object(repo, oid)
    if kind == "tree":
        entries = re.findall(rb"([0-7]+) ([^\0]+)\0(.{20})", content, re.DOTALL)
        content = b"".join(
            b"%s %s\0%s" % (mode, name, _id256(repo, "tree" if mode == b"40000" else "blob", inner.hex()))
            for mode, name, inner in entries
        )
    return hashlib.sha256(b"%s %d\0%s" % (kind.encode(), len(content), content)).digest()


def _git_order(entry: tuple[str, bytes | str, str]) -> bytes:
    mode, name, _ = entry
    return _bytes(name) + (b"/" if mode == "40000" else b"")


# Commits and tags


def ident(name: str, seconds: int = START, email: str | None = None) -> str:
    """Who and when, as git writes it."""
    return f"{name} <{email or name + '@example.org'}> {seconds} +0000"


def commit(
    repo: Path,
    tree: str,
    parents: Sequence[str] = (),
    message: str | bytes = "A change\n",
    key: Key | None = None,
    *,
    author: str | bytes = ident("someone"),
    committer: str | bytes = ident("someone"),
    mergetags: Sequence[bytes] = (),
    before: bytes = b"",
    after: bytes = b"",
    signature: bytes | None = None,
    **signing: Any,
) -> str:
    """A commit, signed by `key` if there is one; see `commit_content`."""
    content = commit_content(
        tree,
        parents,
        message,
        key,
        author=author,
        committer=committer,
        mergetags=mergetags,
        before=before,
        after=after,
        signature=signature,
        **signing,
    )
    return write_object(repo, "commit", content)


def commit_content(
    tree: str,
    parents: Sequence[str],
    message: str | bytes,
    key: Key | None,
    *,
    author: str | bytes,
    committer: str | bytes,
    mergetags: Sequence[bytes] = (),
    before: bytes = b"",
    after: bytes = b"",
    signature: bytes | None = None,
    **signing: Any,
) -> bytes:
    """The bytes of a commit.

    `before` and `after` are whole header lines before and after gpgsig; both are signed, as git has it. `signature` is
    armour to carry instead of one by `key`; `signing` goes to `sshsig`.
    """
    lines = [b"tree " + tree.encode(), *(b"parent " + parent.encode() for parent in parents)]
    lines += [b"author " + _bytes(author), b"committer " + _bytes(committer)]
    head = b"\n".join(lines) + b"\n" + b"".join(folded(b"mergetag", tag) for tag in mergetags) + before
    rest = after + b"\n" + _bytes(message)
    if signature is None and key is not None:
        signature = sshsig(key, head + rest, **signing)
    return head + (folded(b"gpgsig", signature) if signature else b"") + rest


def folded(name: bytes, value: bytes) -> bytes:
    """A header of several lines, with those after the first indented."""
    return name + b" " + value.removesuffix(b"\n").replace(b"\n", b"\n ") + b"\n"


def tag(
    repo: Path,
    oid: str,
    name: str,
    message: str | bytes,
    key: Key | None,
    *,
    tagger: str | bytes = ident("someone"),
    kind: str = "commit",
    extra: bytes = b"",
    signature: bytes | None = None,
    **signing: Any,
) -> str:
    """A tag object on `oid`, signed by `key` if there is one. `extra` are whole header lines after the tagger's."""
    head = f"object {oid}\ntype {kind}\ntag {name}\ntagger ".encode() + _bytes(tagger) + b"\n" + extra
    payload = head + b"\n" + _bytes(message)
    if signature is None and key is not None:
        signature = sshsig(key, payload, **signing)
    return write_object(repo, "tag", payload + (signature or b""))


def proposal(
    repo: Path,
    base: str,
    changes: Mapping[str, Content | None],
    key: Key | None,
    message: str | bytes = "A change\n",
    *,
    seconds: int | None = None,
    **options: Any,
) -> str:
    """A proposal on `base`, a second later; `options` go to `commit`, and `tree` or `parents` replace what it has."""
    who = ident("someone", when(repo, base) + 1 if seconds is None else seconds)
    made = {"tree": options.pop("tree", None) or changed(repo, base, changes), "parents": [base], **options}
    return commit(repo, message=message, key=key, **{"author": who, "committer": who, **made})


def endorsement(repo: Path, proposal: str, key: Key, *, hash: str | None = None, **options: Any) -> str:
    """An endorsement of a proposal; `hash` is what it says the proposal hash is, `options` go to `tag`."""
    return _verdict(repo, proposal, key, "endorse", f"Endorses: {hash or hash_of(repo, proposal)}\n", **options)


def release(repo: Path, proposal: str, key: Key, *, hash: str | None = None, **options: Any) -> str:
    """A release of a proposal by a publisher's key; as `endorsement`."""
    return _verdict(repo, proposal, key, "release", f"Releases: {hash or hash_of(repo, proposal)}\n", **options)


def refusal(repo: Path, proposal: str, key: Key, *, at: str, reason: str, **options: Any) -> str:
    """A refusal by the witness, at a snapshot name, for a reason (rule and sentence)."""
    lines = f"Refuses: {hash_of(repo, proposal)}\nAt: {at}\nReason: {reason}\n"
    return _verdict(repo, proposal, key, "refused", lines, **options)


def withdrawal(repo: Path, proposal: str, key: Key, **options: Any) -> str:
    """A withdrawal by a publisher of the proposer's domain."""
    return _verdict(repo, proposal, key, "withdrawn", f"Withdraws: {hash_of(repo, proposal)}\n", **options)


def _verdict(repo: Path, proposal: str, key: Key, verb: str, lines: str, **options: Any) -> str:
    said = {"name": f"{verb}/{proposal}", "message": f"About {proposal[:12]}\n\n{lines}", **options}
    return tag(repo, proposal, key=key, **said)


def parents(repo: Path, oid: str) -> list[str]:
    """The parents that a commit's bytes name."""
    return re.findall(r"^parent ([0-9a-f]{40})$", _head(repo, oid), re.MULTILINE)


def when(repo: Path, oid: str) -> int:
    """The committer time of a commit."""
    match = re.search(r"^committer .* (\d+) [+-]\d{4}$", _head(repo, oid), re.MULTILINE)
    assert match
    return int(match[1])


def message(repo: Path, oid: str) -> str:
    """The message of a commit."""
    return read_object(repo, oid).partition(b"\n\n")[2].decode()


def said(repo: Path, oid: str, trailer: str) -> str:
    """What a commit's message says after `trailer: `, or nothing."""
    match = re.search(rf"^{trailer}: (.*)$", message(repo, oid), re.MULTILINE)
    return match[1] if match else ""


def _head(repo: Path, oid: str) -> str:
    return read_object(repo, oid).partition(b"\n\n")[0].decode("utf-8", "replace")


def _bytes(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text


# Documents


def policy_file(
    authorities: Mapping[str, Key],
    *,
    threshold: int | None = None,
    revision: int = 1,
    registration: str = "endorsed",
    rekey: str = "never",
    grace: str = "36500d",
    rotation_allowed: bool = True,
    revoked: Sequence[str] = (),
    paths: Sequence[str] = ("{match: shared/**, proposers: any}",),
    limits: str = "",
) -> bytes:
    """A policy; `paths` are rules in flow style, `limits` what stands between its braces.

    The grace period is a hundred years, because a host measures it with its own clock, and here time is fixed.
    """
    members = "".join(
        f"    - {{domain_id: {domain}, pubkey_id: {key_id(key)}}}\n" for domain, key in authorities.items()
    )
    return (
        "artifact_type: asl.common.policy\nversion: 0.1\n"
        f"revision: {revision}\n"
        f"witness_policy:\n  authorities:\n{members}"
        f"  quorum_threshold: {threshold or len(authorities) // 2 + 1}\n"
        f"  rotation_allowed: {str(rotation_allowed).lower()}\n  grace_period: {grace}\n"
        f"  revoked: [{', '.join(revoked)}]\n"
        f"registration: {registration}\nrekey: {rekey}\n"
        + ("paths:\n" + "".join(f"  - {rule}\n" for rule in paths) if paths else "")
        + (f"limits: {{{limits}}}\n" if limits else "")
    ).encode()


@dataclass(frozen=True)
class Entry:
    """One key in a manifest. `proof` is armour; `certifies` are roles that it hands out."""

    name: str
    key: Key
    roles: Sequence[str] = ("root", "publisher")
    proof: bytes = b""
    certifies: Sequence[str] = ()

    def render(self) -> str:
        text = f"  - name: {self.name}\n    key: {line(self.key)}\n    roles: [{', '.join(self.roles)}]\n"
        if self.certifies:
            text += f"    certifies: [{', '.join(self.certifies)}]\n"
        if self.proof:
            text += "    proof: |\n" + "".join(f"      {one}\n" for one in self.proof.decode().splitlines())
        return text


def manifest_file(domain: str, *entries: Entry, domain_id: str | None = None) -> bytes:
    """The manifest of a domain; without entries it could not be valid."""
    head = f"artifact_type: asl.domain.manifest\nversion: 0.1\ndomain_id: {domain_id or domain}\nkeys:\n"
    return (head + "".join(entry.render() for entry in entries)).encode()


def proof(key: Key, ledger_id: str, domain: str, **signing: Any) -> bytes:
    """A key's consent to belong to a domain."""
    return sshsig(key, f"{ledger_id} {domain}\n".encode(), **{"namespace": "asl.domain.key", **signing})


def record_path(public: bytes) -> str:
    """Where the record of a key stands; `public` is its blob."""
    name = hashlib.sha256(public).hexdigest()
    return f"ledger/certificates/{name[:2]}/{name[2:]}.json"


def record_file(certificate: str, domain: str, salts: Sequence[int] = (), status: str = "active") -> bytes:
    """A certificate record."""
    said = {"certificate": certificate, "domain_id": domain, "salts": list(salts), "status": status}
    return _json(said)


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def document(repo: Path, held: Files, path: str) -> Any:
    """A YAML or JSON document of a tree, every scalar of YAML a string; None where there is none."""
    if path not in held:
        return None
    return yaml.load(read_object(repo, held[path][1]), Loader=yaml.BaseLoader)  # reads JSON as well


# Genesis


def genesis_files(
    people: Mapping[str, Key | Sequence[Key]],
    *,
    witness: str = "you",
    policy: bytes | None = None,
    name: str = "common",
) -> dict[str, Content]:
    """The files of genesis: `people` are domains and their keys, of which the first signs as authority or witness."""
    keys = {domain: [given] if isinstance(given, Key) else list(given) for domain, given in people.items()}
    authorities = {domain: several[0] for domain, several in sorted(keys.items())}
    held: dict[str, Content] = {
        ".gitattributes": ATTRIBUTES,
        "ledger/ledger.yaml": f"artifact_type: asl.common.ledger\nformat: 1\nname: {name}\n".encode(),
        "ledger/policy.yaml": policy or policy_file(authorities),
        "ledger/witness.yaml": witness_file(witness, keys[witness][0], f"{name}@0"),
    }
    for domain, several in keys.items():
        entries = [Entry(f"key-{number}", key) for number, key in enumerate(several, 1)]
        held[f"domains/{domain}/domain.yaml"] = manifest_file(domain, *entries)
        for key in several:
            held[record_path(blob(key))] = record_file(line(key), domain)
    return held


def witness_file(domain: str, key: Key | str, since: str, rotation: str = "") -> bytes:
    """The file that names a witness; `key` may be its id. `rotation` is the artifact key, for all but genesis."""
    text = f"artifact_type: asl.common.witness\nversion: 0.1\ndomain_id: {domain}\n"
    text += f"pubkey_id: {key if isinstance(key, str) else key_id(key)}\nsince: {since}\n"
    return (text + (f"rotation_artifact: {rotation}\n" if rotation else "")).encode()


def genesis(
    repo: Path,
    people: Mapping[str, Key | Sequence[Key]],
    *,
    witness: str = "you",
    policy: bytes | None = None,
    name: str = "common",
    files: Mapping[str, Content | None] | None = None,
    key: Key | None = None,
    seconds: int = START,
    lines: Mapping[str, str | None] | None = None,
    **altered: Any,
) -> str:
    """A genesis commit. `files` alter its tree (None takes one out), the rest is as in `snapshot`."""
    given = people[witness]
    first = given if isinstance(given, Key) else given[0]
    contents: dict[str, Content | None] = {
        **genesis_files(people, witness=witness, policy=policy, name=name),
        **(files or {}),
    }
    root = altered.pop("tree", None) or tree(repo, {path: one for path, one in contents.items() if one is not None})
    who = f"{witness} <{witness}@{name}> {seconds} +0000"
    fields = Fields(
        tree=root,
        parents=[],
        author=who,
        committer=who,
        mergetags=[],
        first=f"{name}@0: genesis",
        lines={
            "Snapshot": f"{name}@0",
            "Content": tree_digest(repo, root),
            "Witness": f"{witness} {key_id(first)}",
        },
    )
    return fields.altered(lines or {}, altered).write(repo, key or first)


# Snapshots


@dataclass
class Fields:
    """All that a snapshot's commit says. `lines` are those of its message's last paragraph, `Ledger: …` and so on."""

    tree: str
    parents: list[str]
    author: str
    committer: str
    mergetags: list[bytes]
    first: str
    lines: dict[str, str]
    message: str = ""
    options: dict[str, Any] = field(default_factory=dict)

    def altered(self, lines: Mapping[str, str | None], given: Mapping[str, Any]) -> Fields:
        """With `lines` in the place of those of the same name (None: without), and `given` in that of fields.

        What of `given` is no field is for `commit`.
        """
        kept = {name: text for name, text in {**self.lines, **lines}.items() if text is not None}
        known = {name: value for name, value in given.items() if name in self.__dataclass_fields__}
        options = {name: value for name, value in given.items() if name not in known}
        return replace(self, lines=kept, options=options, **known)

    def write(self, repo: Path, key: Key | None) -> str:
        trailers = "".join(f"{name}: {value}\n" for name, value in self.lines.items())
        text = self.message or f"{self.first}\n\n{trailers}"
        return commit(
            repo,
            self.tree,
            self.parents,
            text,
            key,
            author=self.author,
            committer=self.committer,
            mergetags=self.mergetags,
            **self.options,
        )


def snapshot(
    repo: Path,
    previous: str,
    proposal: str,
    key: Key | None,
    *,
    endorsements: Sequence[str] = (),
    seconds: int | None = None,
    lines: Mapping[str, str | None] | None = None,
    **altered: Any,
) -> str:
    """The snapshot that accepts `proposal` on the snapshot `previous`, signed by `key`, with every field computed.

    `endorsements` are tag objects, in any order. To make it wrong: `lines` replace lines of its message by name
    (`{"Previous": …}`; None takes one out), and `altered` replaces the tree, parents, author, committer, mergetags (raw
    tags, in this order), first (line) or the whole message, or is for `commit`: before, after, signature, width …
    """
    return fields(repo, previous, proposal, endorsements, seconds).altered(lines or {}, altered).write(repo, key)


def fields(
    repo: Path, previous: str, proposal: str, endorsements: Sequence[str] = (), seconds: int | None = None
) -> Fields:
    """What the snapshot that accepts `proposal` on `previous` says (spec 9)."""
    after = next_files(repo, previous, proposal)
    root = tree_of(repo, after)
    name, _, number = said(repo, previous, "Snapshot").partition("@")
    this = f"{name}@{int(number) + 1}"
    public = signer(read_object(repo, proposal))
    domain = _domain_of(repo, after, public)
    witness = document(repo, files(repo, previous), "ledger/witness.yaml")
    salt = salt_of(repo, previous, proposal)
    if seconds is None:
        seconds = max(when(repo, previous), when(repo, proposal)) + 1
    contents = [read_object(repo, oid) for oid in endorsements]
    tags = {_domain_of(repo, after, signer(content)): content for content in contents}
    certificate = "ssh-ed25519 " + base64.b64encode(public).decode() + "\n"
    command = hashlib.sha256(f"{certificate}{salt}".encode()).hexdigest()
    return Fields(
        tree=root,
        parents=[previous, proposal],
        author=f"{domain} <{domain}@{name}> {when(repo, proposal)} +0000",
        committer=f"{witness['domain_id']} <{witness['domain_id']}@{name}> {seconds} +0000",
        mergetags=[tags[one] for one in sorted(tags)],
        first=f"{this}: " + message(repo, proposal).split("\n")[0],
        lines={
            "Ledger": said(repo, previous, "Ledger") or hash_of(repo, previous),
            "Snapshot": this,
            "Previous": hash_of(repo, previous),
            "Content": tree_digest(repo, root),
            "Proposal": hash_of(repo, proposal),
            "Command": f"{command} {_fingerprint(public)} {salt}",
            "Witness": f"{witness['domain_id']} {witness['pubkey_id']}",
        },
    )


def next_tree(repo: Path, previous: str, proposal: str) -> str:
    """The tree of the snapshot that accepts `proposal` on `previous` (spec 5)."""
    return tree_of(repo, next_files(repo, previous, proposal))


def next_files(repo: Path, previous: str, proposal: str) -> Files:
    """The files of the snapshot that accepts `proposal` on `previous`: change, tree and records of spec 5."""
    base, proposed = files(repo, parents(repo, proposal)[0]), files(repo, proposal)
    before = files(repo, previous)
    after = dict(before)
    for path in base.keys() | proposed.keys():
        if base.get(path) != proposed.get(path):
            if path in proposed:
                after[path] = proposed[path]
            else:
                after.pop(path, None)
    records: dict[str, dict[str, Any]] = {}
    for path in after.keys() | before.keys():
        if re.fullmatch(r"domains/[^/]+/domain\.yaml", path) and before.get(path) != after.get(path):
            records |= _entered_and_left(repo, path, before, after)
    own = record_path(signer(read_object(repo, proposal)))
    domain = said(repo, proposal, "Ledger-Domain")
    if own not in before and own not in records and domain:  # a node's first work
        line_ = "ssh-ed25519 " + base64.b64encode(signer(read_object(repo, proposal))).decode()
        records[own] = json.loads(record_file(line_, domain))
    if own in records or own in before:
        mine = records.get(own) or _record(repo, before, own)
        mine["salts"] = sorted([*mine["salts"], salt_of(repo, previous, proposal)])[-32:]
        records[own] = mine
    for path, value in records.items():
        after[path] = entry(repo, _json(value))
    return after


def salt_of(repo: Path, previous: str, proposal: str) -> int:
    """The salt of `proposal` where `previous` is the newest snapshot (spec 4)."""
    declared = said(repo, proposal, "Ledger-Salt")
    if declared:
        return int(declared)
    base, own = parents(repo, proposal)[0], when(repo, proposal)
    for one in git(repo, "rev-list", "--first-parent", "--parents", previous).decode().splitlines():
        snapshot, *above = one.split()
        if above[1:] == [base]:
            return max(own, int(said(repo, snapshot, "Command").split()[2]) + 1)
    return own


def _entered_and_left(repo: Path, path: str, before: Files, after: Files) -> dict[str, dict[str, Any]]:
    """The records of the keys that enter or leave the manifest at `path`."""
    old, new = (document(repo, held, path) or {"keys": []} for held in (before, after))
    was = {one["key"] for one in old["keys"]}
    now = {one["key"] for one in new["keys"]}
    records: dict[str, dict[str, Any]] = {}
    for certificate in now - was:
        public = base64.b64decode(certificate.split(" ")[1])
        records[record_path(public)] = json.loads(record_file(certificate, new["domain_id"]))
    for certificate in was - now:
        where = record_path(base64.b64decode(certificate.split(" ")[1]))
        records[where] = {**_record(repo, before, where), "status": "revoked"}
    return records


def _record(repo: Path, held: Files, path: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(read_object(repo, held[path][1]))
    return value


def _domain_of(repo: Path, held: Files, public: bytes) -> str:
    """The domain of a key by its record; for one that no record knows, something that sorts and shows."""
    path = record_path(public)
    return str(_record(repo, held, path)["domain_id"]) if path in held else "nobody"


# Rotations

ROTATION = "asl.common.witness-rotation"

Witness = tuple[str, Key | str]
"""A domain, and a key of it or its id."""


@dataclass
class Rotation:
    """All that a rotation artifact says but its endorsements; `old` and `new` are domain and key id."""

    ledger: str
    snapshot: str
    previous_hash: str
    old: tuple[str, str]
    new: tuple[str, str]
    policy_key: str
    threshold: int | str
    number: int | str
    reason: str | None = None
    artifact_type: str = ROTATION
    version: str = "0.1"

    @property
    def endorsed(self) -> list[str]:
        """The eight fields that H is over (spec 8)."""
        return [
            self.artifact_type,
            self.version,
            self.ledger,
            self.snapshot,
            self.previous_hash,
            self.new[0],
            self.new[1],
            self.policy_key,
        ]

    @property
    def hash(self) -> bytes:
        """H, 32 bytes."""
        fields = [text.encode() for text in self.endorsed]
        return hashlib.sha256(b"".join(len(one).to_bytes(8, "big") + one for one in fields)).digest()

    def render(self, entries: Iterable[tuple[str, str, bytes]] = ()) -> bytes:
        """The artifact with these endorsements (domain, key id, armour), in the order given; the draft without."""
        listed = "".join(
            f"    - domain_id: {domain}\n      pubkey_id: {key}\n      signature: |\n"
            + "".join(f"        {one}\n" for one in armour.decode().splitlines())
            for domain, key, armour in entries
        )
        return (
            f"artifact_type: {self.artifact_type}\nversion: {self.version}\ncommon_domain_id: {self.ledger}\n"
            f"previous_snapshot: {{snapshot_id: {self.snapshot}, snapshot_hash: {self.previous_hash}}}\n"
            "rotation:\n"
            f"  old_witness: {{domain_id: {self.old[0]}, pubkey_id: {self.old[1]}}}\n"
            f"  new_witness: {{domain_id: {self.new[0]}, pubkey_id: {self.new[1]}}}\n"
            f"  policy_ref: {{artifact_key: {self.policy_key}}}\n"
            + ("" if self.reason is None else f"  reason: {json.dumps(self.reason, ensure_ascii=False)}\n")
            + f"endorsements:\n  threshold: {self.threshold}\n"
            + (f"  endorsements:\n{listed}" if listed else "  endorsements: []\n")
            + f"created_at_logseq: {self.number}\n"
        ).encode()


def rotation(repo: Path, previous: str, to: Witness, **altered: Any) -> Rotation:
    """The rotation to `to` on the snapshot `previous`, every field computed; `altered` replaces fields by name."""
    held = files(repo, previous)
    old, policy = document(repo, held, "ledger/witness.yaml"), held["ledger/policy.yaml"][1]
    snapshot = said(repo, previous, "Snapshot")
    made = Rotation(
        ledger=said(repo, previous, "Ledger") or hash_of(repo, previous),
        snapshot=snapshot,
        previous_hash=hash_of(repo, previous),
        old=(old["domain_id"], old["pubkey_id"]),
        new=_who(to),
        policy_key=sha256(read_object(repo, policy)),
        threshold=document(repo, held, "ledger/policy.yaml")["witness_policy"]["quorum_threshold"],
        number=int(snapshot.partition("@")[2]),
    )
    return replace(made, **{name: _who(value) if name in ("old", "new") else value for name, value in altered.items()})


def rotation_hash(repo: Path, previous: str, to: Witness, **altered: Any) -> bytes:
    """H of that rotation, 32 bytes."""
    return rotation(repo, previous, to, **altered).hash


def rotation_file(
    repo: Path,
    previous: str,
    to: Witness,
    endorsements: Mapping[str, Key] | None = None,
    *,
    entries: Sequence[tuple[str, str, bytes]] | None = None,
    **altered: Any,
) -> bytes:
    """The artifact of that rotation, endorsed by the keys of these domains, sorted; without any, it is the draft.

    `entries` are endorsements as they shall stand there (see `rotation_entry`): in any order, repeated, by anybody.
    """
    made = rotation(repo, previous, to, **altered)
    if entries is None:
        entries = [rotation_entry(made.hash, domain, key) for domain, key in sorted((endorsements or {}).items())]
    return made.render(entries)


def rotation_entry(digest: bytes, domain: str, key: Key, **signing: Any) -> tuple[str, str, bytes]:
    """An endorsement as it stands in an artifact: domain, key id, armour over H."""
    return domain, key_id(key), rotation_endorsement(digest, key, **signing)


def rotation_endorsement(digest: bytes, key: Key, namespace: str = ROTATION, **signing: Any) -> bytes:
    """The armour over the 32 bytes of H that an authority pushes to `refs/rotations/<H>/<domain>`."""
    return sshsig(key, digest, namespace=namespace, **signing)


def rotating(
    repo: Path,
    previous: str,
    artifact: bytes,
    key: Key | None,
    *,
    to: Witness | None = None,
    path: str = "",
    witness: Content | None = None,
    extra: Mapping[str, Content | None] | None = None,
    seconds: int | None = None,
    lines: Mapping[str, str | None] | None = None,
    **altered: Any,
) -> str:
    """The snapshot that seals `artifact` on the snapshot `previous`, signed by `key`, with every field computed.

    `to` and the endorsing domains are those that the artifact names; where it can't be read, `to` has to be given. To
    make it wrong: `path` is where the artifact stands, `witness` the content of `ledger/witness.yaml`, `extra` changes
    further files (None takes one out); the rest is as in `snapshot`.
    """
    try:
        read = yaml.load(artifact, Loader=yaml.BaseLoader)
        new, listed = read["rotation"]["new_witness"], read["endorsements"]["endorsements"]
        domain, public = _who(to) if to else (new["domain_id"], new["pubkey_id"])
        domains = " ".join(one["domain_id"] for one in listed)
    except (yaml.YAMLError, TypeError, KeyError):
        assert to, "say to whom, where the artifact does not"
        (domain, public), domains = _who(to), "alice james"
    name, _, number = said(repo, previous, "Snapshot").partition("@")
    this, sealed = f"{name}@{int(number) + 1}", sha256(artifact)
    contents: dict[str, Content | None] = {
        path or f"ledger/rotations/{sealed.removeprefix('sha256:')}.yaml": artifact,
        "ledger/witness.yaml": witness_file(domain, public, this, sealed) if witness is None else witness,
        **(extra or {}),
    }
    root = altered.pop("tree", None) or changed(repo, previous, contents)
    who = f"{domain} <{domain}@{name}> {when(repo, previous) + 1 if seconds is None else seconds} +0000"
    return (
        Fields(
            tree=root,
            parents=[previous],
            author=who,
            committer=who,
            mergetags=[],
            first=f"{this}: witness rotates to {domain}",
            lines={
                "Ledger": said(repo, previous, "Ledger") or hash_of(repo, previous),
                "Snapshot": this,
                "Previous": hash_of(repo, previous),
                "Content": tree_digest(repo, root),
                "Witness": f"{domain} {public}",
                "Rotation": sealed,
                "Endorsed": domains,
            },
        )
        .altered(lines or {}, altered)
        .write(repo, key)
    )


def _who(witness: Witness) -> tuple[str, str]:
    domain, key = witness
    return domain, key if isinstance(key, str) else key_id(key)
