"""`ledger/policy.yaml`: the Common policy artifact, who may do what in a ledger (spec 3.1).

Two quorums must share a member, so `2 × quorum_threshold > number of authorities`, or the policy is refused.
The authorities are distinct domains with distinct keys. `revoked`, `registration`, `rekey`, `paths`, `limits`
and each of the limits may be left out.

Shared paths are opened by rules; every rule that matches must be met, and where none matches the path is
closed. In `match`, `*` is any run of characters but `/`, `?` one character but `/`, and `**` as a whole
component any number of components (at the end, at least one); nothing else is special. Its first component is
not `ledger` or `domains`, and what it matches there does not count. A component that no path can have is
refused: such a rule would protect nothing.

Here stands what the document alone decides. That an authority's key is registered and active, that the
revision is one more, that the active witness is not revoked: that is `rules/`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta

from gitledger.documents import patterns, subset
from gitledger.documents.names import (
    DomainId,
    Duration,
    KeyId,
    check_domain,
    check_key_id,
    must_differ,
    seconds_of,
    shown,
)
from gitledger.errors import Failed, Malformed, Refused

OWN: Final = frozenset({"ledger", "domains"})
"""The first components that no path rule opens: the ledger's records, and what each domain publishes."""

SCHEMA_LINE: Final = "# yaml-language-server: $schema=../.git/gitledger/policy.schema.json"
"""The first line of a policy in a ledger: an editor finds the schema in the clone's own git directory."""

AtLeastOne: TypeAlias = Annotated[int, Meta(ge=1)]


class Authority(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One member of the quorum."""

    domain_id: Annotated[DomainId, Meta(description="A registered domain")]
    pubkey_id: Annotated[KeyId, Meta(description="The key id of an active key of it: ssh-keygen -lf KEY.pub")]

    def __post_init__(self) -> None:
        check_domain(self.domain_id)
        check_key_id(self.pubkey_id)


class WitnessPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who the quorum is, and how the witness may change."""

    authorities: Annotated[
        tuple[Authority, ...], Meta(min_length=1, description="The quorum: distinct domains, distinct keys")
    ]
    quorum_threshold: Annotated[AtLeastOne, Meta(description="More than half of the authorities")]
    rotation_allowed: Annotated[bool, Meta(description="Whether a quorum may name another witness")]
    grace_period: Annotated[
        Duration,
        Meta(
            description="How long a complete rotation waits to be sealed, such as 30d or 24h; silence is measured by it"
        ),
    ]
    revoked: Annotated[tuple[KeyId, ...], Meta(description="Key ids that may never be witness (again)")] = ()

    def __post_init__(self) -> None:
        must_differ("authority-twice", "authorities", (a.domain_id for a in self.authorities))
        must_differ("authority-twice", "authorities", (a.pubkey_id for a in self.authorities))
        members, threshold = len(self.authorities), self.quorum_threshold
        if not members < 2 * threshold <= 2 * members:
            raise Refused(
                "quorum-threshold",
                f"a quorum of {threshold} of {members}: it must be more than half of the authorities, so "
                "that two quorums share a member, and not more than there are",
                f"set quorum_threshold to {members // 2 + 1}" + (f" up to {members}" if members > 2 else ""),
            )
        seconds_of(self.grace_period)
        for key_id in self.revoked:
            check_key_id(key_id)
        must_differ("revoked-twice", "revoked", self.revoked)


class PathRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who may change the shared paths that match, and how many authorities must endorse it."""

    match: Annotated[
        str,
        Meta(description="* and ? stay within a component, ** is any number of components: standards/**"),
    ]
    proposers: Annotated[Literal["any"] | tuple[DomainId, ...], Meta(description="Registered domains, or: any")]
    endorsements: Annotated[
        int, Meta(ge=0, description="How many authorities must endorse; 0 if left out, at most all of them")
    ] = 0

    def __post_init__(self) -> None:
        patterns.check(self.match, closed=OWN)
        for domain in self.proposers if self.proposers != "any" else ():
            if domain == "any":
                raise Malformed("proposers-any", "`any` is not one of a list", "write proposers: any")
            check_domain(domain)

    def matches(self, path: str) -> bool:
        """Whether this rule speaks of `path`; never of one below `ledger/` or `domains/` (spec 3.1)."""
        return path.partition("/")[0] not in OWN and patterns.matches(self.match, path)

    def admits(self, domain: str) -> bool:
        """Whether a publisher of the registered domain `domain` may propose what this rule matches."""
        return self.proposers == "any" or domain in self.proposers


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bounds that keep a ledger usable for all."""

    proposal_bytes: Annotated[
        AtLeastOne, Meta(description="How large the files that a proposal changes may be, together")
    ] = 10485760
    proposal_paths: Annotated[AtLeastOne, Meta(description="How many paths a proposal may change")] = 1000
    pending_per_domain: Annotated[
        AtLeastOne, Meta(description="How many proposals of a domain may wait in the queue of a host")
    ] = 100
    certificate_grace: Annotated[
        Duration,
        Meta(description="How long after its end a certificate's work may still be accepted. 0d or 24h"),
    ] = "0d"

    def __post_init__(self) -> None:
        seconds_of(self.certificate_grace)


class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who may do what in this ledger, for everyone to read."""

    artifact_type: Literal["asl.common.policy"]
    version: Literal["0.1"]
    revision: Annotated[int, Meta(ge=0, description="One more than in the policy it replaces")]
    witness_policy: WitnessPolicy
    registration: Annotated[
        Literal["open", "endorsed", "closed"],
        Meta(description="Who may add a domain: anyone, with one endorsement, or with a quorum"),
    ] = "endorsed"
    rekey: Annotated[Literal["never", "quorum"], Meta(description="Whether a quorum may give a domain new keys")] = (
        "never"
    )
    paths: Annotated[
        tuple[PathRule, ...],
        Meta(description="Shared paths; every rule that matches must be met; none matching: refused"),
    ] = ()
    limits: Limits = Limits()

    def __post_init__(self) -> None:
        members = len(self.authorities)
        for rule in self.paths:
            if rule.endorsements > members:
                raise Refused(
                    "too-many-endorsements",
                    f"the rule for {shown(rule.match)} asks for {rule.endorsements} endorsements of "
                    f"{members} authorities, so nobody could ever meet it",
                    f"set its endorsements to at most {members}",
                )

    @classmethod
    def parse(cls, data: bytes) -> Policy:
        """Read `ledger/policy.yaml` from its bytes.

        Raises Malformed for what has not the form, Refused for what the form allows and spec 3.1 does not:
        `authority-twice`, `quorum-threshold`, `revoked-twice`, `too-many-endorsements`.
        """
        return subset.convert(subset.load_yaml(data), cls)

    @property
    def authorities(self) -> tuple[Authority, ...]:
        """The members of the quorum."""
        return self.witness_policy.authorities

    @property
    def threshold(self) -> int:
        """How many authorities make a quorum."""
        return self.witness_policy.quorum_threshold

    @property
    def rotation_allowed(self) -> bool:
        """Whether a quorum may name another witness."""
        return self.witness_policy.rotation_allowed

    @property
    def grace_seconds(self) -> int:
        """The grace period in seconds."""
        return seconds_of(self.witness_policy.grace_period)

    @property
    def certificate_grace_seconds(self) -> int:
        """How many seconds after its end a certificate's work may still be accepted (spec 13)."""
        return seconds_of(self.limits.certificate_grace)

    @property
    def revoked(self) -> tuple[str, ...]:
        """Key ids that may never be witness (again)."""
        return self.witness_policy.revoked

    def authority(self, domain: str) -> str | None:
        """The key id with which `domain` endorses, None where it is no authority."""
        return next((a.pubkey_id for a in self.authorities if a.domain_id == domain), None)

    def rules_for(self, path: str) -> tuple[PathRule, ...]:
        """Every rule that matches `path`, in the order of the policy; none: the path is closed (spec 3.1)."""
        return tuple(rule for rule in self.paths if rule.matches(path))


def fill(template: str, authorities: Sequence[Authority], threshold: int) -> str:
    """The text of a policy made from a template: all its words, with these authorities and this threshold.

    `template` has the authorities as a block sequence below `  authorities:` and a line `  quorum_threshold:
    N`, as templates/*.yaml have; a first line that names the schema then names the one in a clone. Raises
    Failed (`template-form`) for another template, and what `Policy.parse` raises for the policy that comes
    out.
    """
    members = "".join(f"    - {{domain_id: {a.domain_id}, pubkey_id: {a.pubkey_id}}}\n" for a in authorities)
    text, found = re.subn(r"(?m)^(  authorities:.*\n)(?:    .*\n)+", lambda m: m[1] + members, template)
    text, lines = re.subn(r"(?m)^(  quorum_threshold: )[0-9]+", rf"\g<1>{threshold}", text)
    if (found, lines) != (1, 1):
        raise Failed(
            "template-form",
            "the template has no place for the authorities and the threshold",
            "write `  authorities:`, one line `    - {…}` a member, and `  quorum_threshold: 1`",
        )
    text = re.sub(r"\A# yaml-language-server: .*", SCHEMA_LINE, text)
    Policy.parse(text.encode())
    return text
