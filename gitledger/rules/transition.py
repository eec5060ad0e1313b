"""The next tree: `apply(state N, proposal)` gives the state of N+1 or a refusal (spec 5).

A pure function, in the order of the spec: change, permit, tree, right, documents, records. What it does not decide is
whether enough endorsements are there: it returns what is demanded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gitledger.documents.certificate import Record
from gitledger.documents.manifest import Manifest, ManifestKey
from gitledger.documents.names import lasting
from gitledger.errors import Malformed, Refused, about
from gitledger.objects.paths import fold
from gitledger.objects.trees import File, Tree
from gitledger.rules import nodes, rights
from gitledger.rules.endorsement import Demand
from gitledger.rules.line import Row
from gitledger.rules.proposal import Permit, Proposal
from gitledger.rules.release import Approval, listed
from gitledger.rules.rights import Changes, Speaker
from gitledger.rules.state import (
    LEDGER,
    POLICY,
    State,
    is_attestation,
    manifest_domain,
    manifest_path,
    publish_domain,
)


@dataclass(frozen=True, slots=True)
class Transition:
    """What accepting `proposal` on a state gives: `after`, the change it makes, who speaks, what it demands.

    `demands` are endorsements, `approvals` releases by `releasers`, names by key id: no other's count. `until` is the
    last second at which a snapshot may accept it, None where there is none.
    """

    proposal: Proposal
    after: State
    changes: Changes
    who: Speaker
    salt: int
    demands: tuple[Demand, ...]
    approvals: tuple[Approval, ...]
    releasers: Mapping[str, str]
    until: int | None

    def must_be_in_time(self, seconds: int) -> None:
        """Raise Refused (`certificate-grace`) where a snapshot of that committer time comes too late (spec 13)."""
        if self.until is not None and seconds > self.until:
            raise Refused(
                "certificate-grace",
                f"its certificate has ended, and the time after it that the policy allows, limits.certificate_grace, "
                f"was over {lasting(seconds - self.until)} ago",
                f"{nodes.anew(self.who.domain, sorted(self.who.roles))}\n{nodes.SIGN_ANEW}",
            )


def apply(before: State, proposal: Proposal) -> Transition:
    """The transition from `before` (state N) by `proposal`.

    Raises Refused, Malformed or Unsound; each names its rule and, where there is one, the path.
    """
    before.must_be_known_format()
    _must_not_be_expired(before, proposal)
    accepted_at, previous_salt = _base(before, proposal)
    # 1. Change
    base = _tree_of(before, proposal.base)
    changes = _change(before, base, proposal)
    # 2. Permit
    _permit(before, base, proposal, accepted_at, changes)
    _limits(before, changes)
    # 3. Tree
    tree = before.tree.apply(_after(changes))
    salt = proposal.salt(previous_salt)
    supposed = before.followed_by(tree, Row(before.number + 1, "", proposal.oid, salt), changed=changes)
    # 4. Right
    who = rights.speaker(before, supposed, proposal, changes)
    needs = rights.needs(before, supposed, who, changes)
    # 5. Documents
    manifests = _documents(before, supposed, changes)
    _content(base, proposal, changes)
    if any(map(is_attestation, changes)):
        from gitledger.rules import attestation  # a hook that decides on no statement does not wait for it

        attestation.must_hold(before, proposal, who, changes)
    # 6. Records
    records = _records(before, proposal, manifests, salt)
    after = supposed.with_records({Record.path_of(key): record for key, record in records.items()})
    approvals = tuple(one for one in needs if isinstance(one, Approval))
    asked = frozenset[str]().union(*(one.keys for one in approvals))
    return Transition(
        proposal=proposal,
        after=after,
        changes=changes,
        who=who,
        salt=salt,
        demands=tuple(one for one in needs if isinstance(one, Demand)),
        approvals=approvals,
        releasers={key: name for key, name in before.publishers(who.domain).items() if key in asked} if asked else {},
        until=None if proposal.certificate is None else nodes.until(before, proposal.certificate),
    )


def check_policy(state: State) -> None:
    """What the policy of `state` needs from the rest of it (spec 3.1). Raises Refused."""
    policy, witness = state.policy, state.witness
    with about(POLICY):
        for authority in policy.authorities:
            state.must_be_active(authority.domain_id, authority.pubkey_id, f"the authority {authority.domain_id}")
        if witness.pubkey_id in policy.revoked:
            raise Refused(
                "witness-revoked",
                "revoked holds the key of the active witness",
                "rotate to another witness first",
            )
        for rule in policy.paths:
            for domain in rule.proposers if rule.proposers != "any" else ():
                if state.manifest(domain) is None:
                    raise Refused(
                        "proposer-unknown",
                        f"the rule {rule.match} names {domain}, which is not registered",
                        "register it first, or take it out of the rule",
                    )
    state.must_be_active(witness.domain_id, witness.pubkey_id, "the witness")


def check_publishing(state: State, domain: str) -> None:
    """The rules of publishing of `domain`, if any, ask for keys that there are: others would be waited for in vain.

    Where a rule names none, all publishers can agree, and with them the node that signed.

    Raises Malformed, or Refused (`publish-key`, `too-many-approvals`).
    """
    rules, names = state.publishing(domain), frozenset(state.publishers(domain).values())
    for rule in rules.rules if rules else ():
        if rule.keys is None:
            rule.must_be_met_by(len(names) + 1, f"{len(names)} publishers of {domain} and a node")
        for name in rule.keys or ():
            if name not in names:
                raise Refused(
                    "publish-key",
                    f"the rule for {rule.match} names {name}, which is no publisher's key of {domain}",
                    f"name some of {listed(names) or 'its publishers (there is none)'}",
                )


def check_policies_path(path: str) -> None:
    """What a domain's `policies` and its rules of publishing are called stands nowhere else below it (spec 7).

    Another spelling, or a directory in their place, would never be read, and nobody told.

    Raises Refused (`policies-path`).
    """
    first, _, rest = path.partition("/")
    top, _, below = rest.partition("/")[2].partition("/")
    if first != "domains" or fold(top) != "policies":
        return
    rules = fold(below.partition("/")[0]) == "publish.yaml"
    if top != "policies" or (rules and below != "publish.yaml"):
        raise Refused(
            "policies-path",
            "it would never be read: a domain's rules of publishing are the file policies/publish.yaml, spelled so",
            "git mv OLD NEW   (or give it another name altogether), then git commit --amend -S --no-edit",
        )


def rebase(newest: State, base: str) -> str:
    """What to type to bring what stands on `base` to the newest snapshot, for a mend.

    It is named by its id, which any fetch brings; its tag is only where it was verified.
    """
    onto = newest.line.last.snapshot or newest.snapshot_name
    return f"git fetch\ngit -c commit.gpgsign=true rebase --onto {onto} {base}"


def _must_not_be_expired(before: State, proposal: Proposal) -> None:
    if proposal.expires is None:
        return
    name, last = proposal.expires
    if name != before.name:
        raise Refused(
            "expires-other-ledger",
            f"Ledger-Expires names {name}, this ledger is {before.name}",
            f"git commit --amend -S   (with Ledger-Expires: {before.name}@N, or without)",
        )
    if before.number + 1 > last:
        raise Refused(
            "expired",
            f"it could be accepted up to {name}@{last}, the next snapshot is {name}@{before.number + 1}",
            "git commit --amend -S   (with a later Ledger-Expires, or none)",
        )


def _base(before: State, proposal: Proposal) -> tuple[int, int]:
    """The number of the snapshot that is the base or accepted it, and the salt of the proposal before (0: none)."""
    row = before.line.snapshot(before.objects, proposal.base)
    if row is not None:
        return row.number, 0
    row = before.line.acceptance(before.objects, proposal.base)
    if row is not None:
        return row.number, row.salt
    raise Refused(
        "base-unknown",
        f"the base {proposal.base} is neither a snapshot of this ledger nor a proposal that one accepted",
        rebase(before, proposal.base),
    )


def _tree_of(before: State, oid: str) -> Tree:
    return Tree.load(before.objects, before.line.commit(before.objects, oid).tree, like=before.tree)


def _change(before: State, base: Tree, proposal: Proposal) -> Changes:
    proposed = Tree.load(before.objects, proposal.commit.tree, like=base)
    limit = before.policy.limits.proposal_paths
    changes = base.changes_to(proposed, limit=limit)
    if not changes:
        raise Refused("no-change", "the proposal changes nothing against its base", "git add PATH && git commit -S")
    return changes


def _content(base: Tree, proposal: Proposal, changes: Changes) -> None:
    """Hold `Ledger-Content` against the proposal's tree. It reads every changed file, so it comes late."""
    if proposal.content and proposal.content != base.apply(_after(changes)).digest:
        raise Refused(
            "content-digest",
            "Ledger-Content is not the tree digest of the proposal's tree",
            "git commit --amend -S   (and take the line out)",
        )


def _after(changes: Changes) -> dict[str, File | None]:
    return {path: new for path, (_, new) in changes.items()}


def _permit(before: State, base: Tree, proposal: Proposal, accepted_at: int, changes: Changes) -> None:
    if proposal.permit is Permit.NEVER and accepted_at != before.number:
        raise Refused(
            "reorder-never",
            f"Ledger-Reorder is never and the base stands at {before.name}@{accepted_at}, "
            f"the newest snapshot is {before.snapshot_name}",
            rebase(before, proposal.base),
        )
    for path in changes:
        if proposal.permit is Permit.ANY and not path.startswith("ledger/") and manifest_domain(path) is None:
            continue
        if before.tree.get(path) != base.get(path):
            raise Refused(
                "path-changed-since",
                f"{path} was changed since the proposal's base",
                rebase(before, proposal.base),
            )


def _limits(before: State, changes: Changes) -> None:
    if set(changes) == {POLICY}:
        return
    limits = before.policy.limits
    total = sum(new.size(before.objects) for _, new in changes.values() if new is not None)
    if total > limits.proposal_bytes:
        raise Refused(
            "proposal-bytes",
            f"the changed files have {total} bytes together, limits.proposal_bytes is {limits.proposal_bytes}",
            "bring them in several proposals",
        )


def _documents(before: State, after: State, changes: Changes) -> dict[str, Manifest]:
    """Check every document that the change touches; returns the changed manifests by domain."""
    manifests: dict[str, Manifest] = {}
    for path, (_, new) in changes.items():
        domain = manifest_domain(path)
        if path in (POLICY, LEDGER) or domain is not None:
            with about(path):
                if new is None:
                    raise Refused("document-deleted", "this document is never deleted", "restore it")
                if path == POLICY:
                    _policy(before, after)
                elif path == LEDGER:
                    _ledger(before, after)
                elif domain is not None:
                    manifests[domain] = _manifest(after, domain)
        elif new is not None:
            with about(path):
                check_policies_path(path)
                if (domain := publish_domain(path)) is not None:
                    check_publishing(after, domain)
    for key_id, whose in _named(before) if manifests else ():
        record = before.record(key_id)
        manifest = manifests.get(record.domain_id) if record else None
        if record and manifest and manifest.key(key_id) is None:
            raise Refused(
                "named-key",
                f"{key_id} can't be taken out of {manifest_path(record.domain_id)}: {whose} names it",
                "rotate the witness or change the policy first, in a proposal of its own",
            )
    return manifests


def _policy(before: State, after: State) -> None:
    old, new = before.policy, after.policy
    if new.revision != old.revision + 1:
        raise Refused(
            "policy-revision",
            f"the revision is {new.revision}, after {old.revision} comes {old.revision + 1}",
            f"write revision: {old.revision + 1}",
        )
    check_policy(after)


def _ledger(before: State, after: State) -> None:
    old, new = before.ledger, after.ledger
    raised = (before.tree.read(LEDGER) or b"").replace(b"format: %d" % old.format, b"format: %d" % new.format, 1)
    if new.format <= old.format or after.tree.read(LEDGER) != raised:
        raise Refused(
            "ledger-file",
            "nothing in it changes but the number of `format`, upwards",
            f"write format: {old.format + 1}",
        )


def _manifest(after: State, domain: str) -> Manifest:
    manifest = after.manifest(domain)
    if manifest is None or manifest.domain_id != domain:
        raise Refused("manifest-domain", f"domain_id must be {domain}, as in its path", f"write domain_id: {domain}")
    return manifest


def _named(before: State) -> list[tuple[str, str]]:
    named = [(authority.pubkey_id, "the policy") for authority in before.policy.authorities]
    return [(before.witness.pubkey_id, "ledger/witness.yaml"), *named]


def _records(before: State, proposal: Proposal, manifests: dict[str, Manifest], salt: int) -> dict[str, Record]:
    """The certificate records that change, by key id (spec 3.4)."""
    records: dict[str, Record] = {}
    signer = proposal.key.key_id
    if proposal.certificate is not None and before.record(signer) is None:
        records[signer] = Record.made(proposal.key, proposal.domain)  # a node's, at first use (spec 13)
    for domain, manifest in manifests.items():
        with about(manifest_path(domain)):
            old = before.manifest(domain)
            for key in manifest.keys:
                if old is None or old.key(key.key_id) is None:
                    _must_consent(before, domain, key, proposal)
                    records[key.key_id] = _entering(before, domain, key, records)
            for key in old.keys if old else ():
                if manifest.key(key.key_id) is None:
                    record = before.record(key.key_id)
                    if record is None:
                        raise Malformed("record-missing", f"{key.key_id} has no certificate record")
                    records[key.key_id] = record.revoked()
    record = records.get(signer) or before.record(signer)
    if record is None:
        raise Refused("unknown-key", f"{signer} is no key of any domain in {before.snapshot_name}")
    records[signer] = record.with_salt(salt)
    return records


def _entering(before: State, domain: str, key: ManifestKey, records: dict[str, Record]) -> Record:
    """The record of a key that enters the manifest of `domain`; a node's that served it has one (spec 13)."""
    record = records.get(key.key_id) or before.record(key.key_id)
    if record is None:
        return Record.made(key.public, domain)
    if record.status == "active" and record.domain_id == domain:
        return record
    if record.status != "active":
        raise Refused(
            "revoked-key", f"{key.key_id} is revoked, which is final", "make a new key: ssh-keygen -t ed25519"
        )
    raise Refused(
        "key-of-another-domain",
        f"{key.key_id} belongs to {record.domain_id}, and a key belongs to one domain for ever",
        "make a new key: ssh-keygen -t ed25519",
    )


def _must_consent(before: State, domain: str, key: ManifestKey, proposal: Proposal) -> None:
    if key.key_id != proposal.key.key_id:
        key.verify_proof(before.ledger_id, domain)
