"""What a change of a policy or of a manifest means, in sentences: for whoever is asked to endorse it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from gitledger.documents.manifest import Manifest
from gitledger.documents.policy import Policy
from gitledger.rules.state import POLICY

if TYPE_CHECKING:
    from gitledger.documents.manifest import ManifestKey
    from gitledger.documents.policy import PathRule
    from gitledger.objects.trees import File, Objects
    from gitledger.rules.rights import Changes

_MANIFEST: Final = re.compile(r"domains/[^/]+/domain\.yaml")


def described(changes: Changes, objects: Objects) -> Iterator[str]:
    """A sentence for each thing that `changes` does to the policy and to manifests; nothing of other files."""
    for path, (old, new) in changes.items():
        if path == POLICY and old is not None and new is not None:
            yield from _policy(Policy.parse(old.content(objects)), Policy.parse(new.content(objects)))
        elif new is not None and _MANIFEST.fullmatch(path):
            yield from _manifest(_keys(old, objects), Manifest.parse(new.content(objects)))


def _keys(file: File | None, objects: Objects) -> Mapping[str, ManifestKey]:
    if file is None:
        return {}
    return {key.key_id: key for key in Manifest.parse(file.content(objects)).keys}


def _manifest(before: Mapping[str, ManifestKey], after: Manifest) -> Iterator[str]:
    domain = after.domain_id
    if not before:
        yield f"the domain {domain} is registered"
    for key in after.keys:
        old = before.get(key.key_id)
        roles = ", ".join(key.roles)
        if old is None:
            yield f"{domain} gets the key {key.name} {key.key_id} as {roles}"
        elif set(old.roles) != set(key.roles):
            yield f"{domain}'s key {key.name} was {', '.join(old.roles)} and becomes {roles}"
        elif old.name != key.name:
            yield f"{domain}'s key {old.name} is called {key.name}"
    for key_id, key in before.items():
        if after.key(key_id) is None:
            yield f"{domain} loses the key {key.name} {key_id}, for ever"


def _policy(old: Policy, new: Policy) -> Iterator[str]:
    yield from _authorities(old, new)
    for key_id in (one for one in new.revoked if one not in old.revoked):
        yield f"{key_id} may never be witness again"
    for key_id in (one for one in old.revoked if one not in new.revoked):
        yield f"{key_id} may be witness again"
    for what, was, becomes in (
        ("registration", old.registration, new.registration),
        ("rekey", old.rekey, new.rekey),
        ("rotation", _allowed(old), _allowed(new)),
        ("the grace period", old.witness_policy.grace_period, new.witness_policy.grace_period),
        *((f"the limit {name}", getattr(old.limits, name), getattr(new.limits, name)) for name in _limits(new)),
    ):
        if was != becomes:
            yield f"{what} was {was} and becomes {becomes}"
    before, after = _rules(old), _rules(new)
    for rule in (one for one in after if one not in before):
        yield f"{rule}, from now on"
    for rule in (one for one in before if one not in after):
        yield f"no more: {rule}"


def _authorities(old: Policy, new: Policy) -> Iterator[str]:
    before, after = ({one.domain_id: one.pubkey_id for one in policy.authorities} for policy in (old, new))
    for domain, key_id in sorted(after.items()):
        if domain not in before:
            yield f"{domain} becomes an authority with {key_id}"
        elif before[domain] != key_id:
            yield f"{domain} is an authority with {key_id} from now on, and no more with {before[domain]}"
    for domain in sorted(before.keys() - after.keys()):
        yield f"{domain} is no authority any more with {before[domain]}"
    was, becomes = (f"{policy.threshold} of {len(policy.authorities)}" for policy in (old, new))
    if was != becomes:
        yield f"the quorum was {was} and becomes {becomes}"


def _limits(policy: Policy) -> tuple[str, ...]:
    return policy.limits.__struct_fields__


def _allowed(policy: Policy) -> str:
    return "allowed" if policy.rotation_allowed else "not allowed"


def _rules(policy: Policy) -> list[str]:
    return [rule_said(rule) for rule in policy.paths]


def rule_said(rule: PathRule) -> str:
    """What a rule for shared paths says, in a sentence."""
    if not rule.proposers:
        return f"{rule.match} is closed"
    whom = "any domain" if rule.proposers == "any" else ", ".join(rule.proposers)
    return f"{rule.match} is open to {whom}, endorsed by {rule.endorsements}"
