"""Who may change which path (spec 7, 13).

Domains, keys, roles and policy are those of snapshot N, never of the base and never of the proposal itself; only the
manifest that registers a domain speaks for itself. What needs endorsements or releases is returned, so that a
proposal which lacks nothing else can wait for them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gitledger.documents.manifest import MAKERS
from gitledger.documents.publish import PublishRule
from gitledger.errors import Refused, about
from gitledger.objects.paths import fold
from gitledger.objects.trees import File
from gitledger.rules import endorsement, nodes
from gitledger.rules.endorsement import Demand
from gitledger.rules.proposal import Proposal
from gitledger.rules.release import Approval
from gitledger.rules.state import ATTRIBUTES, LEDGER, POLICY, State, manifest_domain, manifest_path, publish_path

Changes = Mapping[str, tuple[File | None, File | None]]
Need = Demand | Approval

MATCHING: Final = 100_000_000
"""The characters of a domain's rules times those of the paths that a proposal publishes: about a second's work."""


@dataclass(frozen=True, slots=True)
class Speaker:
    """Who proposes: a domain, and what its key may do for it in N."""

    domain: str
    key_id: str
    roles: frozenset[str]


def speaker(before: State, after: State, proposal: Proposal, changes: Changes) -> Speaker:
    """The domain that the proposal's key speaks for. For a new domain, the one that its manifest registers.

    A node speaks for the domain that certified it (`nodes`).

    Raises Refused: `unknown-key`, `revoked-key`, `other-domain`, `registration-alone`, `registration-key`.
    """
    key_id = proposal.key.key_id
    if proposal.certificate is not None:
        return Speaker(proposal.domain, key_id, nodes.roles(before, proposal, proposal.certificate))
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


def needs(before: State, after: State, who: Speaker, changes: Changes) -> tuple[Need, ...]:
    """The endorsements and releases that the change needs. `after` is the state with the change applied.

    Raises Refused, with the path as its subject, for each path that `who` may not change.
    """
    demands: list[Demand] = []
    for path in changes:
        with about(path):
            demands.extend(_demands(path, before, after, who, changes))
    published = [within for path in changes if (within := _published(path))]
    return (*dict.fromkeys(demands), *_approvals(before, who, published))


def _demands(path: str, before: State, after: State, who: Speaker, changes: Changes) -> list[Demand]:
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
                f"put it below domains/{who.domain}/, or sign with {_those_with('publisher', domain, before)}",
            )
        if not _published(path):
            # Whom they narrow may not loosen these rules, nor put another spelling in their way.
            _must_have("root", before, who)
        elif who.roles.isdisjoint(MAKERS):
            raise _lacks("publisher", domain, before, who)
        return []
    if who.domain == domain and "root" in who.roles:
        return []
    if before.policy.rekey == "quorum" and len(changes) == 1 and before.policy.authority(who.domain) is not None:
        _must_have("publisher", before, who)
        return [endorsement.quorum(before.policy, f"new keys for {domain}")]
    raise _lacks("root", domain, before, who)


def _published(path: str) -> str:
    """`path` within its domain where a domain publishes it; empty elsewhere, as for what is root's."""
    first, _, rest = path.partition("/")
    within = rest.partition("/")[2]
    roots = manifest_domain(path) is not None or fold(within.partition("/")[0]) == "policies"
    return within if first == "domains" and not roots else ""


def _approvals(before: State, who: Speaker, published: Sequence[str]) -> list[Approval]:
    """Who must have signed or released what `who` publishes at these paths, which are within the domain (spec 13).

    Raises Refused (`too-much-matching`).
    """
    if not published:
        return []
    rules = before.publishing(who.domain)
    _must_be_few(rules.rules if rules else (), published)
    names = before.publishers(who.domain)
    others = frozenset(names) - {who.key_id}
    publishes = "publisher" in who.roles
    approvals: list[Approval] = []
    if not publishes:
        maker = " or ".join(sorted(who.roles & MAKERS))
        why = f"what {'an' if maker.startswith('e') else 'a'} {maker} makes"
        approvals.append(Approval(why, 1, others, signed=False, path=manifest_path(who.domain)))
    ids = {name: key_id for key_id, name in names.items()}
    for rule in rules.rules_for(published) if rules else ():
        named = None if rule.keys is None else {ids[name] for name in rule.keys if name in ids}
        approvals.append(
            Approval(
                f"the rule {rule.match} of {who.domain}",
                rule.approvals,
                others if named is None else others & named,
                signed=publishes and (named is None or who.key_id in named),
                path=publish_path(who.domain),
            )
        )
    return approvals


def _must_be_few(rules: Sequence[PublishRule], published: Sequence[str]) -> None:
    """Raise Refused (`too-much-matching`) where to hold all rules against all paths would keep everybody busy."""
    matches, paths = sum(len(rule.match) for rule in rules), sum(map(len, published))
    if matches * paths > MATCHING:
        raise Refused(
            "too-much-matching",
            f"the paths it changes have {paths:,} characters and the rules of publishing {matches:,}; "
            f"their product is at most {MATCHING:,}",
            "bring them in several proposals",
        )


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
        f"sign with {_those_with(role, domain, before)}",
    )


def _those_with(role: str, domain: str, before: State) -> str:
    """The keys of `domain` that have `role`, by name and key id."""
    manifest = before.manifest(domain)
    having = [f"{key.name} ({key.key_id})" for key in manifest.keys if role in key.roles] if manifest else []
    return " or ".join(having) or f"a key that has the role {role} (none does)"
