"""Who one is in a ledger: the key that would sign, its domain and roles, and what it may do (spec 7, 13).

It is told of the newest verified snapshot, and of this machine's clock where a certificate is meant. What holds is
decided by the rules when something is proposed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gitledger.documents.certificate import Record
from gitledger.documents.manifest import MAKERS
from gitledger.errors import LedgerError
from gitledger.roles.acting import acting
from gitledger.roles.place import Place
from gitledger.rules import endorsement, nodes
from gitledger.rules.release import listed
from gitledger.rules.state import POLICY, State, manifest_path, publish_path
from gitledger.signing import signers
from gitledger.signing.signers import Signer
from gitledger.signing.sshcert import Certificate


@dataclass(frozen=True, slots=True)
class Grant:
    """What a certificate is good for at a domain: `roles`, sorted; or `error`, why it counts for nothing there.

    `domain` is empty where its principals name none.
    """

    domain: str
    roles: tuple[str, ...]
    error: LedgerError | None


@dataclass(frozen=True, slots=True)
class Presented:
    """The certificate that goes into each proposal, and what it is good for.

    `until` is the last second at which a snapshot may take one.
    """

    certificate: Certificate
    grants: tuple[Grant, ...]
    until: int


@dataclass(frozen=True, slots=True)
class Who:
    """Whoever signs with the key `key_id`, which is `held` somewhere, in words.

    `domain` is empty for a key that this ledger does not know; `name` is what the manifest calls the key, empty where
    it does not stand there; `roles` are sorted. `record` is its certificate record, None before its first use. `may`
    says, a sentence each, what the key may do here.
    """

    key_id: str
    held: str
    domain: str
    name: str
    roles: tuple[str, ...]
    record: Record | None
    authority: bool
    witness: bool
    presented: Presented | None
    may: tuple[str, ...]


def who(place: Place, signer: Signer, now: int) -> Who:
    """Who one is with this signer, at `now`, in seconds on this machine's clock."""
    state, key_id = place.verified.state, signer.key.key_id
    presented = _presented(state, signer.certificate, now) if signer.certificate else None
    try:
        domain, roles = acting(state, signer, now)
    except LedgerError:  # of a certificate that counts for nothing: what is presented says why
        domain, roles = presented.grants[0].domain if presented else "", frozenset()
    manifest = state.manifest(domain) if domain else None
    entry = manifest.key(key_id) if manifest else None
    return Who(
        key_id=key_id,
        held=signers.held(signer),
        domain=domain,
        name=entry.name if entry else "",
        roles=tuple(sorted(roles)),
        record=state.record(key_id),
        authority=any(key_id == authority for _, authority in endorsement.electors(state.policy)),
        witness=state.witness.pubkey_id == key_id,
        presented=presented,
        may=tuple(_may(state, key_id, domain, roles) if domain else _register(state)),
    )


def grants(state: State, certificate: Certificate, now: int) -> tuple[Grant, ...]:
    """What the certificate is good for in a proposal that is committed at `now`, by domain."""
    try:
        domains = sorted({domain for _, domain in certificate.grants})
    except LedgerError as error:
        return (Grant("", (), error),)
    return tuple(_grant(state, certificate, domain, now) for domain in domains)


def _grant(state: State, certificate: Certificate, domain: str, now: int) -> Grant:
    try:
        return Grant(domain, tuple(sorted(nodes.granted(state, certificate, domain, now))), None)
    except LedgerError as error:
        return Grant(domain, (), error)


def _presented(state: State, certificate: Certificate, now: int) -> Presented:
    return Presented(certificate, grants(state, certificate, now), nodes.until(state, certificate))


def _register(state: State) -> Iterator[str]:
    by = {"open": "", "endorsed": ", endorsed by 1", "closed": ", endorsed by a quorum"}
    yield f"propose a domain of your own{by[state.policy.registration]}"


def _may(state: State, key_id: str, domain: str, roles: frozenset[str]) -> Iterator[str]:
    """What the key may do, a sentence each; nothing where it has no role."""
    if "root" in roles:
        yield f"change {manifest_path(domain)} and {publish_path(domain)}"
        yield f"withdraw what root keys of {domain} propose"
    yield from _below(state, key_id, domain, roles)
    if "publisher" in roles:
        yield from _shared(state, domain)
    if key_id in state.publishers(domain):
        yield f"release what other keys of {domain} propose, where that is asked for"
        yield f"withdraw what keys of {domain} propose that are not root"
    yield from _states(roles)
    for elector, authority in endorsement.electors(state.policy):
        if authority == key_id:
            yield f"endorse proposals and rotations, for {elector}"
    if state.witness.pubkey_id == key_id:
        yield "emit snapshots, and refuse proposals"


def _below(state: State, key_id: str, domain: str, roles: frozenset[str]) -> Iterator[str]:
    """What stands below the domain's own directory, and whose releases it needs."""
    publishers = state.publishers(domain)
    if "publisher" in roles:
        yield f"publish below domains/{domain}/"
    elif not roles.isdisjoint(MAKERS):
        others = listed(publishers.values(), " or ") or "a publisher (there is none)"
        yield f"propose below domains/{domain}/, where each proposal waits until {others} releases it"
    else:
        return
    rules = state.publishing(domain)
    for rule in rules.rules if rules else ():
        names = listed(name for name in publishers.values() if rule.keys is None or name in rule.keys)
        yield f"… but domains/{domain}/{rule.match} needs {rule.approvals} of the keys {names or '(none)'}"


def _shared(state: State, domain: str) -> Iterator[str]:
    for rule in state.policy.paths:
        if rule.admits(domain):
            needs = f", endorsed by {rule.endorsements}" if rule.endorsements else ""
            yield f"propose changes of {rule.match}{needs}"
    if state.policy.authority(domain) is not None:
        yield f"propose changes of {POLICY}, endorsed by a quorum"


def _states(roles: frozenset[str]) -> Iterator[str]:
    """Which statements it may sign (spec 14)."""
    if "executor" in roles:
        yield "sign execution receipts"
    if "publisher" in roles:
        yield "sign statements, but execution receipts and audits"
    elif "producer" in roles:
        yield "sign which artifact belongs to which path"
    if "auditor" in roles:
        yield "sign what it audited; an auditor proposes nothing"
