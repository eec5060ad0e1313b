"""`domains/<domain>/policies/publish.yaml`: who publishes where in a domain, and how many must agree (spec 13).

It narrows what every publisher may do: of the paths that a rule matches, only the keys that it names publish, and
`approvals` publishers in all must have signed the proposal or released it. Every rule that matches must be met; where
none matches, one publisher is enough. Paths are those within the domain, patterns as in the policy (`patterns.py`).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from gitledger.documents import patterns, subset
from gitledger.documents.names import DomainId, check_key_name, must_differ, shown
from gitledger.errors import Refused

SCHEMA_LINE: Final = "# yaml-language-server: $schema=../../../.git/gitledger/publish.schema.json"
"""The first line of such a document: an editor finds the schema in the clone's own git directory."""

RULES: Final = 100
"""How many rules there are at most: whoever verifies holds what the domain publishes against each of them."""


class PublishRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who publishes what matches, and how many publishers must agree."""

    match: Annotated[
        str,
        Meta(description="Paths within the domain; * and ? stay within a component, ** is any number: releases/**"),
    ]
    keys: Annotated[
        tuple[DomainId, ...] | None,
        Meta(description="The names of the publishers' keys that count here; every publisher's where it is left out"),
    ] = None
    approvals: Annotated[
        int, Meta(ge=1, description="How many publishers in all must have signed or released; 1 if left out")
    ] = 1

    def __post_init__(self) -> None:
        patterns.check(self.match)
        for name in self.keys or ():
            check_key_name(name)
        must_differ("key-name-twice", "keys", self.keys or ())
        if self.keys == ():
            raise Refused(
                "too-many-approvals",
                f"the rule for {shown(self.match)} names no key, so nobody could ever meet it",
                "name keys that publish, or leave keys out, which means every publisher's",
            )
        if self.keys is not None:
            self.must_be_met_by(len(self.keys), f"{len(self.keys)} keys")

    def must_be_met_by(self, most: int, whom: str) -> None:
        """Raise Refused (`too-many-approvals`) where `most` who can approve, `whom` in words, are too few."""
        if most < self.approvals:
            raise Refused(
                "too-many-approvals",
                f"the rule for {shown(self.match)} asks for {self.approvals} approvals of {whom}, "
                "so nobody could ever meet it",
                f"set its approvals to at most {most}, or have more keys that publish",
            )

    def matches(self, path: str) -> bool:
        """Whether this rule speaks of `path`, which is within the domain."""
        return patterns.matches(self.match, path)


class Publish(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who publishes where in a domain."""

    artifact_type: Literal["asl.domain.publish"]
    version: Literal["0.1"]
    rules: Annotated[
        tuple[PublishRule, ...], Meta(max_length=RULES, description="Every rule that matches a path must be met")
    ]

    @classmethod
    def parse(cls, data: bytes) -> Publish:
        """Read the document from its bytes.

        Raises Malformed for what has not the form, Refused for what the form allows and spec 13 does not:
        `too-many-approvals`, `key-name-twice`.
        """
        return subset.convert(subset.load_yaml(data), cls)

    def rules_for(self, paths: Collection[str]) -> tuple[PublishRule, ...]:
        """Every rule that matches one of `paths`, which are within the domain."""
        return tuple(rule for rule in self.rules if any(rule.matches(path) for path in paths))
