"""Who may change which path (spec 7).

Domains, keys, roles and policy are those of snapshot N, never of the base and never of the proposal itself; only the
manifest that registers a domain speaks for itself. What needs endorsements is returned as demands, so that a
proposal which lacks nothing else can wait for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gitledger.errors import Refused, about
from gitledger.objects.trees import File
from gitledger.rules import endorsement
from gitledger.rules.endorsement import Demand
from gitledger.rules.proposal import Proposal
from gitledger.rules.state import ATTRIBUTES, LEDGER, POLICY, State, manifest_domain, manifest_path

Changes = Mapping[str, tuple[File | None, File | None]]


@dataclass(frozen=True, slots=True)
class Speaker:
    """Who proposes: a domain, and what its key may do for it in N."""

    domain: str
    key_id: str
    roles: frozenset[str]


def speaker(before: State, after: State, proposal: Proposal, changes: Changes) -> Speaker:
    """The domain that the proposal's key speaks for. For a new domain, the one that its manifest registers.

    Raises Refused: `unknown-key`, `revoked-key`, `other-domain`, `registration-alone`, `registration-key`.
    """
    key_id = proposal.key.key_id
    record = before.record(key_id)
    if record is None:
        domain = _registered(before, after, key_id, changes)
        roles = frozenset({"root"})
    else:
        if record.status != "active":
            raise Refused(
                "revoked-key",
                f"{key_id} of {record.domain_id} is revoked, which is final",
                f"sign with another key of {record.domain_id}: gitledger domain show {record.domain_id}",
            )
        domain = record.domain_id
        roles = before.roles(key_id)
    if proposal.domain and proposal.domain != domain:
        raise Refused(
            "other-domain",
            f"Ledger-Domain says {proposal.domain}, the key {key_id} is {domain}'s",
            f"take the line out, or write Ledger-Domain: {domain}",
        )
    return Speaker(domain, key_id, roles)


def demands(before: State, after: State, who: Speaker, changes: Changes) -> tuple[Demand, ...]:
    """The endorsements that the change needs. `after` is the state with the change applied.

    Raises Refused, with the path as its subject, for each path that `who` may not change.
    """
    needed: list[Demand] = []
    for path in changes:
        with about(path):
            needed.extend(_needed(path, before, after, who, changes))
    return tuple(dict.fromkeys(needed))


def _needed(path: str, before: State, after: State, who: Speaker, changes: Changes) -> list[Demand]:
    if path in (POLICY, LEDGER):
        return _constitution(path, before, after, who)
    if path.startswith("ledger/") or path == ATTRIBUTES:
        raise Refused("ledger-path", "nobody changes this: the rules write it", "leave it as it is in the base")
    if path.startswith("domains/"):
        return _domain(path, before, who, changes)
    return _shared(path, before, who)


def _constitution(path: str, before: State, after: State, who: Speaker) -> list[Demand]:
    old = before.policy
    _must_have("publisher", before, who)
    if old.authority(who.domain) is None:
        raise Refused(
            "not-an-authority",
            f"{who.domain} is no authority, and only an authority's domain proposes a change of {path}",
            f"ask one of {', '.join(authority.domain_id for authority in old.authorities)} to propose it",
        )
    return [
        endorsement.quorum(old, "the quorum in force"),
        endorsement.new_quorum(old, after.policy, "the quorum of the new policy"),
    ]


def _domain(path: str, before: State, who: Speaker, changes: Changes) -> list[Demand]:
    domain = path.split("/")[1]
    manifest = before.manifest(domain)
    if manifest is None:
        if path == manifest_path(domain) and who.domain == domain:
            return _registration(before)
        raise Refused(
            "domain-not-registered",
            f"no domain {domain} is registered",
            f"gitledger domain new {domain}   (a domain's manifest comes first, alone)",
        )
    if path != manifest_path(domain):
        if who.domain != domain:
            raise Refused(
                "other-domains-path",
                f"this path is {domain}'s, the proposal is {who.domain}'s",
                f"put it below domains/{who.domain}/, or sign with {' or '.join(before.holders(domain, 'publisher'))}",
            )
        if path.startswith((f"domains/{domain}/attestations/", f"domains/{domain}/policies/publish.yaml")):
            raise Refused(
                "reserved-path",
                "what stands here has rules of its own (spec 13, 14) that this gitledger does not know yet",
                "put it elsewhere below the domain",
            )
        _must_have("publisher", before, who)
        return []
    if who.domain == domain and "root" in who.roles:
        return []
    if before.policy.rekey == "quorum" and len(changes) == 1 and before.policy.authority(who.domain) is not None:
        _must_have("publisher", before, who)
        return [endorsement.quorum(before.policy, f"new keys for {domain}")]
    raise _lacks("root", domain, before, who)


def _registration(before: State) -> list[Demand]:
    policy = before.policy
    if policy.registration == "open":
        return []
    if policy.registration == "endorsed":
        return [endorsement.some(policy, 1, "registration of a domain")]
    return [endorsement.quorum(policy, "registration of a domain")]


def _shared(path: str, before: State, who: Speaker) -> list[Demand]:
    rules = before.policy.rules_for(path)
    if not rules:
        raise Refused(
            "path-not-open",
            "no rule of the policy opens this path",
            f"put it below domains/{who.domain}/, or have ledger/policy.yaml open it under `paths`",
        )
    for rule in rules:
        if not rule.admits(who.domain):
            raise Refused(
                "proposer-not-admitted",
                f"the rule {rule.match} of the policy does not admit {who.domain}",
                "ask a domain that it names to propose it",
            )
    _must_have("publisher", before, who)
    strictest = max(rules, key=lambda rule: rule.endorsements)
    if strictest.endorsements == 0:
        return []
    return [endorsement.some(before.policy, strictest.endorsements, f"the rule {strictest.match}")]


def _registered(before: State, after: State, key_id: str, changes: Changes) -> str:
    """The domain that a proposal by an unknown key registers: its manifest, alone, signed by its root."""
    founded = [one for path, (old, _) in changes.items() if old is None and (one := manifest_domain(path)) is not None]
    if founded and len(changes) > 1:
        raise Refused(
            "registration-alone",
            "the proposal that registers a domain changes nothing but its manifest",
            "bring the files in a second commit",
        )
    for domain in founded:
        manifest = after.manifest(domain)
        if before.manifest(domain) is None and manifest is not None:
            if "root" not in manifest.roles_of(key_id):
                raise Refused(
                    "registration-key",
                    f"a new domain is proposed by a root key that its manifest declares; {key_id} is none",
                    "sign with the root key, or give this key the role root",
                )
            return domain
    raise Refused(
        "unknown-key",
        f"{key_id} is no key of any domain in {before.snapshot_name}",
        "gitledger domain new DOMAIN registers one; git config user.signingkey chooses another key",
    )


def _must_have(role: str, before: State, who: Speaker) -> None:
    if role not in who.roles:
        raise _lacks(role, who.domain, before, who)


def _lacks(role: str, domain: str, before: State, who: Speaker) -> Refused:
    return Refused(
        "role-missing",
        f"this needs the role {role} of {domain}; {who.key_id} of {who.domain} has "
        + (", ".join(sorted(who.roles)) or "no role"),
        f"sign with {' or '.join(before.holders(domain, role)) or 'a key that has it (none does)'}",
    )
