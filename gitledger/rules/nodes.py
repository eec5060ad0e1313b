"""What a node may do that acts for a domain by an OpenSSH certificate (spec 13).

A proposal names its domain in `Ledger-Domain`, because an SSH signature does not cover the certificate that it comes
in. Then nobody else's certificate of the same key makes it anything but refused. Which keys certify which roles, and
which serials are revoked, is what the domain's manifest of snapshot N says.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from gitledger.documents.manifest import Manifest, ManifestKey
from gitledger.documents.names import LARGEST_NUMBER, lasting
from gitledger.errors import Refused
from gitledger.rules.proposal import Proposal
from gitledger.rules.state import State, manifest_path
from gitledger.signing.sshcert import Certificate

SIGN_ANEW: Final = "git commit --amend -S --no-edit   (on the node, with the new certificate)"


def anew(domain: str, roles: Iterable[str]) -> str:
    """What to type to have a node certified again for these roles, for a mend."""
    named = ",".join(roles) or "ROLES"
    return f"gitledger node grant NODE.pub --roles {named} --for 8h   (where {domain} has a key that certifies)"


def roles(before: State, proposal: Proposal, certificate: Certificate) -> frozenset[str]:
    """What the proposal's key may do for the domain that the proposal names, by the certificate that it came in.

    Raises Refused, each with the rule that the certificate breaks.
    """
    if not proposal.domain:
        raise Refused(
            "certificate-domain",
            "the proposal is signed with a certificate, and its message does not say for which domain",
            "git commit --amend -S   (with Ledger-Domain: DOMAIN as a trailer)",
        )
    return granted(before, certificate, proposal.domain, proposal.seconds)


def granted(before: State, certificate: Certificate, domain: str, seconds: int) -> frozenset[str]:
    """What the key of the certificate may do for `domain` in a proposal that is committed at `seconds`.

    Raises Refused, each with the rule that the certificate breaks.
    """
    manifest = before.manifest(domain)
    if manifest is None:
        raise Refused("domain-not-registered", f"no domain {domain} is registered", "name the domain that certified it")
    must_be_a_node(before, certificate.key.key_id, manifest)
    signer = certifier(certificate.signer.key_id, manifest)
    _must_count(certificate, manifest)
    _must_be_in_time(certificate, seconds, domain)
    found = frozenset(role for role, at in certificate.grants if at == domain).intersection(signer.certifies)
    if not found:
        raise Refused(
            "certificate-roles",
            f"none of its principals, {', '.join(certificate.principals)}, is a role at {manifest.domain_id} that the "
            f"key {signer.name} certifies: {', '.join(f'{role}@{manifest.domain_id}' for role in signer.certifies)}",
            anew(domain, signer.certifies),
        )
    return found


def until(before: State, certificate: Certificate) -> int:
    """The last second at which a snapshot may accept what was signed with the certificate."""
    return certificate.valid_before + before.policy.certificate_grace_seconds


def must_be_a_node(before: State, key_id: str, manifest: Manifest) -> None:
    """A key that stands in a manifest signs without a certificate, and a node serves one domain for ever.

    Raises Refused: `key-of-another-domain`, `revoked-key`, `certificate-of-a-member`.
    """
    record = before.record(key_id)
    if record is None:
        return
    if record.domain_id != manifest.domain_id:
        raise Refused(
            "key-of-another-domain",
            f"{key_id} belongs to {record.domain_id}, and a key belongs to one domain for ever",
            "make a new key for this domain, and have it certified: ssh-keygen -t ed25519",
        )
    if record.status != "active":
        raise Refused("revoked-key", f"{key_id} is revoked, which is final", "make a new key")
    if (entry := manifest.key(key_id)) is not None:
        raise Refused(
            "certificate-of-a-member",
            f"the key stands in {manifest_path(manifest.domain_id)} as {entry.name}, and signs without a certificate",
            "git config user.signingkey KEY.pub   (and not KEY-cert.pub), then git commit --amend -S",
        )


def certifier(key_id: str, manifest: Manifest) -> ManifestKey:
    """The entry of the key that signs a certificate, which must certify for the domain.

    Raises Refused (`certificate-signer`).
    """
    entry = manifest.key(key_id)
    if entry is None or not entry.certifies:
        certifying = [key.name for key in manifest.keys if key.certifies]
        raise Refused(
            "certificate-signer",
            f"the certificate is signed by {key_id}, which "
            + (f"certifies nothing for {manifest.domain_id}" if entry else f"is no key of {manifest.domain_id}"),
            f"have it certified by a key that may: {' or '.join(certifying) or 'none does yet'}",
        )
    return entry


def _must_count(certificate: Certificate, manifest: Manifest) -> None:
    if certificate.kind != "user":
        raise Refused("certificate-kind", "it is a certificate for a host", "certify the key without ssh-keygen -h")
    if certificate.critical:
        raise Refused(
            "certificate-critical",
            f"it has critical options, {', '.join(certificate.critical)}, that mean nothing here",
            "certify the key again, without ssh-keygen -O force-command, -O source-address and their like",
        )
    if not 0 < certificate.serial <= LARGEST_NUMBER:
        raise Refused(
            "certificate-serial",
            f"its serial is {certificate.serial}, which could never be revoked",
            "certify the key again, with a serial from 1 to 2^63-1: ssh-keygen -z SERIAL",
        )
    if certificate.serial in manifest.revoked_serials:
        raise Refused(
            "certificate-revoked",
            f"its serial {certificate.serial} is revoked by {manifest.domain_id}",
            anew(manifest.domain_id, _claimed(certificate, manifest.domain_id)),
        )


def _must_be_in_time(certificate: Certificate, seconds: int, domain: str) -> None:
    again = f"{anew(domain, _claimed(certificate, domain))}\n{SIGN_ANEW}"
    if seconds < certificate.valid_after:
        raise Refused(
            "certificate-not-yet",
            f"it was committed {lasting(certificate.valid_after - seconds)} before its certificate begins to hold",
            f"set the node's clock, or where that is right, have the key certified from now on:\n{again}",
        )
    if seconds >= certificate.valid_before:
        after = seconds - certificate.valid_before
        raise Refused(
            "certificate-expired",
            f"it was committed {lasting(after)} after its certificate's end"
            if after
            else "it was committed in the very second in which its certificate ended",
            again,
        )


def _claimed(certificate: Certificate, domain: str) -> list[str]:
    """The roles at `domain` that the certificate names."""
    return [role for role, at in certificate.grants if at == domain]
