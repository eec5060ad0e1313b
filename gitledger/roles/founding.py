"""Founding a ledger: the tree of genesis and its commit (spec 9, Genesis).

Genesis declares itself: its tree is complete and valid by section 3, with a record without salts for every key and
nothing else under `ledger/`, signed by the key that its `witness.yaml` names. Members and authorities get manifests
with their key as root and publisher; the policy is a template filled in, or a file that the founders wrote.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gitledger.documents.certificate import Record
from gitledger.documents.ledgerfile import LedgerFile
from gitledger.documents.manifest import Manifest, ManifestKey
from gitledger.documents.policy import Authority, Policy, fill
from gitledger.documents.witness import Witness
from gitledger.errors import Refused, Usage, about
from gitledger.exchange.layout import data_dir
from gitledger.objects.codec import digest, sign_commit
from gitledger.objects.store import Store
from gitledger.objects.trees import File, Tree
from gitledger.rules import advance, snapshot
from gitledger.rules.line import Line, Row
from gitledger.rules.proposal import NAMESPACE
from gitledger.rules.state import ATTRIBUTES, LEDGER, POLICY, WITNESS, Snapshot, State, manifest_path
from gitledger.signing.keys import PublicKey
from gitledger.signing.signers import Signer

TEMPLATES: Final = ("personal", "group")
_KEY_NAMES: Final = ("first", "second", "third")

Keys = Mapping[str, PublicKey]


@dataclass(frozen=True, slots=True)
class Founders:
    """Who founds a ledger: its `name`, the domain of the `witness` with its signer, and by domain the keys of the
    `members` and of the `authorities`. Whoever is witness or authority is a member."""

    name: str
    witness: str
    signer: Signer
    members: Keys
    authorities: Keys

    def keys(self) -> dict[str, tuple[PublicKey, ...]]:
        """The keys of every domain: the witness's, the member's, the authority's, each once."""
        found: dict[str, dict[PublicKey, None]] = {}
        for keys in ({self.witness: self.signer.key}, self.members, self.authorities):
            for domain, key in keys.items():
                found.setdefault(domain, {})[key] = None
        return {domain: tuple(keys) for domain, keys in sorted(found.items())}


def policy_of(founders: Founders, template: str, threshold: int | None) -> bytes:
    """The policy that a template gives: the authorities of `founders`, and the smallest majority or `threshold`.

    Raises Usage (`no-template`), and what `documents.policy.fill` raises.
    """
    if template not in TEMPLATES:
        raise Usage("no-template", f"there is no template {template!r}", f"--template {' or '.join(TEMPLATES)}")
    text = (data_dir("templates") / f"{template}.yaml").read_text(encoding="utf-8")
    authorities = [
        Authority(domain_id=domain, pubkey_id=key.key_id) for domain, key in sorted(founders.authorities.items())
    ]
    return fill(text, authorities, len(authorities) // 2 + 1 if threshold is None else threshold).encode()


def must_agree(policy: bytes, authorities: Keys | None, threshold: int | None) -> None:
    """Refuse authorities or a threshold named beside a policy file that says otherwise (`policy-says-otherwise`)."""
    with about(POLICY):
        said = Policy.parse(policy)
    named = None if authorities is None else {domain: key.key_id for domain, key in authorities.items()}
    if (named is not None and named != {one.domain_id: one.pubkey_id for one in said.authorities}) or (
        threshold is not None and threshold != said.threshold
    ):
        raise Usage(
            "policy-says-otherwise",
            "the policy file names other authorities, or another threshold, than the options do",
            "leave --authority and --threshold out, or the policy file; what it names as authorities, give as --member",
        )


def found(store: Store, founders: Founders, policy: bytes, seconds: int) -> Snapshot:
    """Write genesis to `store`, signed by the witness at `seconds`, and verify it as every consumer will.

    Raises Malformed or Refused where the documents do not hold together; no ref is moved.
    """
    tree = Tree.empty(store).apply({path: File.of(content) for path, content in _files(founders, policy).items()})
    tree.write(store.write)
    state = State(store, "", founders.name, 0, tree, Line.ending(Row(0, "", "", 0)))
    payload = snapshot.founding(state, seconds)
    content = sign_commit(payload, founders.signer.sign(payload, NAMESPACE))
    return advance.genesis(store, store.write("commit", content), digest(content))


def _files(founders: Founders, policy: bytes) -> dict[str, bytes]:
    """Every file of genesis by path."""
    since = f"{founders.name}@0"
    files = {
        ATTRIBUTES: advance.ATTRIBUTES_CONTENT,
        LEDGER: LedgerFile.named(founders.name).render().encode(),
        POLICY: policy,
        WITNESS: Witness.serving(founders.witness, founders.signer.key.key_id, since).render().encode(),
    }
    for domain, keys in founders.keys().items():
        files[manifest_path(domain)] = _manifest(domain, keys).render().encode()
        for key in keys:
            if Record.path_of(key.key_id) in files:
                raise Refused(
                    "key-of-another-domain",
                    f"{key.key_id} is given for {domain} and for another domain, and a key belongs to one for ever",
                    "give each domain a key of its own: ssh-keygen -t ed25519",
                )
            files[Record.path_of(key.key_id)] = Record.made(key, domain).encode()
    return files


def _manifest(domain: str, keys: tuple[PublicKey, ...]) -> Manifest:
    entries = (
        ManifestKey(name=name, key=key.text, roles=("root", "publisher"))
        for name, key in zip(_KEY_NAMES, keys, strict=False)
    )
    return Manifest.of(domain, tuple(entries))
