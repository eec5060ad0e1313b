"""`ledger/policy.yaml`: what the document alone decides (spec 3.1)."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitledger.documents.policy import Authority, PathRule, Policy, fill
from gitledger.errors import Failed, LedgerError

TEMPLATES = Path(__file__).parents[2] / "templates"
KEYS = ["SHA256:" + "A" * 42 + last for last in "AEIMQ"]

POLICY = f"""\
artifact_type: asl.common.policy
version: 0.1
revision: 7
witness_policy:
  authorities:
    - {{domain_id: alice, pubkey_id: {KEYS[0]}}}
    - {{domain_id: james, pubkey_id: {KEYS[1]}}}
    - {{domain_id: you, pubkey_id: {KEYS[2]}}}
  quorum_threshold: 2
  rotation_allowed: true
  grace_period: 30d
  revoked: [{KEYS[3]}, {KEYS[4]}]
registration: closed
rekey: quorum
paths:
  - match: standards/**
    proposers: [alice, james]
    endorsements: 3
  - match: "**/*.md"
    proposers: any
limits: {{proposal_bytes: 1, proposal_paths: 2, pending_per_domain: 3, certificate_grace: 24h}}
"""

ONLY_WHAT_MUST_BE = f"""\
artifact_type: asl.common.policy
version: 0.1
revision: 1
witness_policy:
  authorities: [{{domain_id: you, pubkey_id: {KEYS[0]}}}]
  quorum_threshold: 1
  rotation_allowed: false
  grace_period: 0h
"""


def replaced(old: str, new: str) -> bytes:
    assert POLICY.count(old) == 1, old
    return POLICY.replace(old, new).encode()


def test_a_policy_says_what_its_document_says() -> None:
    policy = Policy.parse(POLICY.encode())
    assert policy.revision == 7
    assert [authority.domain_id for authority in policy.authorities] == ["alice", "james", "you"]
    assert policy.threshold == 2
    assert policy.rotation_allowed is True
    assert policy.grace_seconds == 30 * 86400
    assert policy.revoked == (KEYS[3], KEYS[4])
    assert (policy.registration, policy.rekey) == ("closed", "quorum")
    assert policy.paths[0] == PathRule(match="standards/**", proposers=("alice", "james"), endorsements=3)
    assert policy.paths[1].proposers == "any"
    assert (policy.limits.proposal_bytes, policy.limits.proposal_paths) == (1, 2)
    assert (policy.limits.pending_per_domain, policy.limits.certificate_grace) == (3, "24h")


def test_what_is_left_out_has_the_values_that_the_spec_shows() -> None:
    policy = Policy.parse(ONLY_WHAT_MUST_BE.encode())
    assert (policy.registration, policy.rekey, policy.paths, policy.revoked) == ("endorsed", "never", (), ())
    assert (policy.limits.proposal_bytes, policy.limits.proposal_paths) == (10485760, 1000)
    assert (policy.limits.pending_per_domain, policy.limits.certificate_grace) == (100, "0d")


def test_a_limit_that_is_left_out_has_its_value_beside_one_that_is_given() -> None:
    policy = Policy.parse(f"{ONLY_WHAT_MUST_BE}limits: {{proposal_paths: 5}}\n".encode())
    assert (policy.limits.proposal_bytes, policy.limits.proposal_paths) == (10485760, 5)


def test_an_authority_is_found_by_its_domain_and_a_stranger_is_none() -> None:
    policy = Policy.parse(POLICY.encode())
    assert policy.authority("james") == KEYS[1]
    assert policy.authority("stranger") is None


@pytest.mark.parametrize("name", ["revision", "rotation_allowed", "grace_period", "quorum_threshold", "version"])
def test_a_policy_without_a_line_that_it_must_have_is_refused(name: str) -> None:
    without = re.sub(rf"(?m)^ *{name}: .*\n", "", ONLY_WHAT_MUST_BE)
    with pytest.raises(LedgerError, match=name):
        Policy.parse(without.encode())


MALFORMED = {
    "another document": ("asl.common.policy", "asl.common.witness"),
    "another version": ("version: 0.1", "version: 0.2"),
    "an unknown key": ("rekey: quorum", "rekey: quorum\nextra: 1"),
    "an unknown key below": ("  quorum_threshold: 2", "  quorum_threshold: 2\n  quorum: 2"),
    "a revision that is text": ("revision: 7", 'revision: "7"'),
    "a revision below zero": ("revision: 7", "revision: -7"),
    "a revision with a leading zero": ("revision: 7", "revision: 07"),
    "a threshold that is true": ("quorum_threshold: 2", "quorum_threshold: true"),
    "a threshold that is text": ("quorum_threshold: 2", "quorum_threshold: 2 of 3"),
    "rotation_allowed that is yes": ("rotation_allowed: true", "rotation_allowed: yes"),
    "a grace period without unit": ("grace_period: 30d", "grace_period: 30"),
    "a grace period in weeks": ("grace_period: 30d", "grace_period: 4w"),
    "a grace period with a leading zero": ("grace_period: 30d", "grace_period: 030d"),
    "a grace period with a space": ("grace_period: 30d", "grace_period: 30 d"),
    "a grace period with a newline": ("grace_period: 30d", "grace_period: |\n    30d"),
    "a grace period in Arabic digits": ("grace_period: 30d", 'grace_period: "٣d"'),
    "a grace period beyond all times": ("grace_period: 30d", "grace_period: 2932897d"),
    "a domain of digits": ("domain_id: alice", 'domain_id: "123"'),
    "a domain called true": ("domain_id: alice", 'domain_id: "true"'),
    "a domain called any": ("domain_id: alice", "domain_id: any"),
    "a domain in capitals": ("domain_id: alice", "domain_id: Alice"),
    "a key id that is a digest": (KEYS[0], "sha256:" + "0" * 64),
    "a key id that is cut": (KEYS[0], KEYS[0][:-1]),
    "a key id of more than 256 bits": (KEYS[0], KEYS[0][:-1] + "B"),
    "a revoked key that is no key id": (f", {KEYS[4]}]", ", laptop]"),
    "an unknown registration": ("registration: closed", "registration: invited"),
    "an unknown rekey": ("rekey: quorum", "rekey: true"),
    "proposers that are one domain": ("proposers: any", "proposers: alice"),
    "any within a list": ("proposers: [alice, james]", "proposers: [alice, any]"),
    "a proposer that is no domain": ("proposers: [alice, james]", "proposers: [Alice]"),
    "endorsements below zero": ("endorsements: 3", "endorsements: -1"),
    "a limit of zero bytes": ("proposal_bytes: 1", "proposal_bytes: 0"),
    "a limit of zero paths": ("proposal_paths: 2", "proposal_paths: 0"),
    "a queue of nothing": ("pending_per_domain: 3", "pending_per_domain: 0"),
    "a limit beyond all numbers": ("proposal_bytes: 1", "proposal_bytes: 9223372036854775808"),
    "a certificate grace that is a number": ("certificate_grace: 24h", "certificate_grace: 24"),
    "a pattern with half a character": ('"**/*.md"', '"\\ud800"'),
    "an unknown limit": ("proposal_paths: 2", "paths: 2"),
}


@pytest.mark.parametrize(("old", "new"), MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_policy_is_refused_and_its_twin_is_not(old: str, new: str) -> None:
    Policy.parse(POLICY.encode())
    with pytest.raises(LedgerError):
        Policy.parse(replaced(old, new))


REFUSED = {
    "a domain twice": ("domain_id: james", "domain_id: alice", "authority-twice"),
    "a key twice": (KEYS[1], KEYS[0], "authority-twice"),
    "threshold 0": ("quorum_threshold: 2", "quorum_threshold: 0", "document-form"),
    "1 of 3": ("quorum_threshold: 2", "quorum_threshold: 1", "quorum-threshold"),
    "4 of 3": ("quorum_threshold: 2", "quorum_threshold: 4", "quorum-threshold"),
    "a key revoked twice": (KEYS[4], KEYS[3], "revoked-twice"),
    "more endorsements than authorities": ("endorsements: 3", "endorsements: 4", "too-many-endorsements"),
}


@pytest.mark.parametrize(("old", "new", "rule"), REFUSED.values(), ids=REFUSED.keys())
def test_a_policy_that_breaks_a_rule_is_refused_by_its_name(old: str, new: str, rule: str) -> None:
    with pytest.raises(LedgerError) as caught:
        Policy.parse(replaced(old, new))
    assert caught.value.rule == rule


@pytest.mark.parametrize("members", [1, 2, 3, 4, 5])
def test_a_quorum_is_more_than_half_and_at_most_all(members: int) -> None:
    authorities = [Authority(domain_id=f"d{n}", pubkey_id=KEYS[n]) for n in range(members)]
    template = (TEMPLATES / "group.yaml").read_text()
    for threshold in range(members + 2):
        if members < 2 * threshold and threshold <= members:
            assert Policy.parse(fill(template, authorities, threshold).encode()).threshold == threshold
        else:
            with pytest.raises(LedgerError):
                fill(template, authorities, threshold)


def test_two_of_four_is_no_quorum_and_three_of_four_is() -> None:
    four = POLICY.replace("  quorum_threshold", f"    - {{domain_id: carol, pubkey_id: {KEYS[4]}}}\n  quorum_threshold")
    with pytest.raises(LedgerError, match="more than half"):
        Policy.parse(four.encode())
    assert Policy.parse(four.replace("threshold: 2", "threshold: 3").encode()).threshold == 3


def test_no_authorities_are_no_policy() -> None:
    with pytest.raises(LedgerError):
        Policy.parse(re.sub(r"authorities: \[.*\]", "authorities: []", ONLY_WHAT_MUST_BE).encode())


@pytest.mark.parametrize(
    ("pattern", "matched", "not_matched"),
    [
        (
            "standards/**",
            ["standards/a", "standards/a/b/c"],
            ["standards", "standardsx/a", "Standards/a", "x/standards/a"],
        ),
        ("standards/*", ["standards/a", "standards/.a"], ["standards/a/b", "standards"]),
        ("**/readme.md", ["readme.md", "a/readme.md", "a/b/readme.md"], ["readme.md/a", "areadme.md"]),
        ("a/**/z", ["a/z", "a/b/z", "a/b/c/z"], ["a", "z", "a/zz", "a/b/z/c"]),
        ("**", ["a", "a/b"], []),
        ("**/**", ["a", "a/b"], []),
        ("a?c", ["abc", "aéc"], ["ac", "abbc", "a/c"]),
        ("*.md", [".md", "a.md", "a.md.md"], ["a/b.md", "a.mdx"]),
        ("a**b", ["ab", "axxb"], ["a/b", "ax/xb"]),
        ("a*b*c", ["abc", "abbcc", "axbxbxc"], ["acb", "abcd"]),
        ("[ab]+(c)", ["[ab]+(c)"], ["a", "b", "ac", "aac"]),
        ("a.b", ["a.b"], ["axb"]),
    ],
)
def test_a_pattern_matches_what_the_spec_says(pattern: str, matched: list[str], not_matched: list[str]) -> None:
    rule = PathRule(match=pattern, proposers="any")
    assert [path for path in matched if not rule.matches(path)] == []
    assert [path for path in not_matched if rule.matches(path)] == []


@pytest.mark.parametrize("pattern", ["**", "*/**", "**/domain.yaml", "??????/*", "l*/policy.yaml", "d*/**"])
def test_no_wildcard_opens_the_records_or_the_domains(pattern: str) -> None:
    rule = PathRule(match=pattern, proposers="any")
    for path in ("ledger/policy.yaml", "ledger/x/y", "domains/alice/domain.yaml", "domains/alice/x"):
        assert not rule.matches(path)


def test_a_wildcard_opens_what_only_resembles_them() -> None:
    rule = PathRule(match="**", proposers="any")
    assert rule.matches("ledgers/policy.yaml")
    assert rule.matches("x/ledger/policy.yaml")
    assert rule.matches("x/domains/alice/domain.yaml")


@pytest.mark.parametrize(
    "pattern",
    [
        "ledger/**", "domains/alice/**", "ledger", "domains",
        "", "/", "/standards/**", "standards/", "standards//a", "./standards", "../x", "a/../b", "a/.",
        "a\\b", "a:b", 'a"b', "a<b", "a|b", "a\nb", "a\x7fb",
        "standards/e\u0301", "a/\u200b", "a/\u0378", ".git/**", "a/.git*s/.GIT", "a/con/*", "a/x.", "*/b ",
        "x" * 256,
    ],
)  # fmt: skip
def test_a_pattern_that_could_match_nothing_is_refused(pattern: str) -> None:
    PathRule(match="standards/**", proposers="any")
    with pytest.raises(LedgerError) as caught:
        PathRule(match=pattern, proposers="any")
    assert caught.value.rule == "match-pattern"


@given(
    st.lists(st.sampled_from(["**", "*", "?", "a", "b", "a*", "*b", "?*a", "a**b", "*a*b*"]), min_size=1, max_size=5),
    st.lists(st.text("ab", min_size=1, max_size=4), min_size=1, max_size=5),
)
def test_matching_agrees_with_regular_expressions(pattern: list[str], path: list[str]) -> None:
    expression = ""
    for place, part in enumerate(pattern):
        last = place == len(pattern) - 1
        if part == "**":
            expression += "[^/]+(?:/[^/]+)*" if last else "(?:[^/]+/)*"
        else:
            expression += part.replace("*", "[^/]*").replace("?", "[^/]") + ("" if last else "/")
    expected = re.fullmatch(expression, "/".join(path)) is not None
    assert PathRule(match="/".join(pattern), proposers="any").matches("/".join(path)) == expected


def test_a_pattern_made_to_be_slow_is_not() -> None:
    rules = [
        PathRule(match="*a" * 100 + "b", proposers="any"),
        PathRule(match="**/a/" * 200 + "b", proposers="any"),
    ]
    began = time.process_time()
    assert not rules[0].matches("a" * 255)
    assert not rules[1].matches("/".join("a" * 2000))
    assert time.process_time() - began < 0.2


def test_every_rule_that_matches_is_told_in_the_order_of_the_policy() -> None:
    policy = Policy.parse(POLICY.encode())
    assert [rule.match for rule in policy.rules_for("standards/a.md")] == ["standards/**", "**/*.md"]
    assert [rule.match for rule in policy.rules_for("standards/a.txt")] == ["standards/**"]
    assert policy.rules_for("a.txt") == ()
    assert policy.rules_for("domains/alice/a.md") == ()


def test_a_rule_admits_whom_it_names_and_any_admits_all() -> None:
    policy = Policy.parse(POLICY.encode())
    assert policy.paths[0].admits("alice")
    assert not policy.paths[0].admits("you")
    assert policy.paths[1].admits("you")


def test_a_rule_without_proposers_closes_what_it_matches() -> None:
    policy = Policy.parse(replaced("proposers: [alice, james]", "proposers: []"))
    assert not policy.paths[0].admits("alice")


@pytest.mark.parametrize("name", ["personal.yaml", "group.yaml"])
def test_a_template_is_a_policy_and_stays_one_when_filled(name: str) -> None:
    template = (TEMPLATES / name).read_text()
    Policy.parse(template.encode())
    authorities = [Authority(domain_id=f"d{n}", pubkey_id=key) for n, key in enumerate(KEYS)]
    text = fill(template, authorities, 4)
    policy = Policy.parse(text.encode())
    assert policy.authorities == tuple(authorities)
    assert policy.threshold == 4
    assert policy.revision == 1
    assert text.splitlines()[0] == "# yaml-language-server: $schema=../.git/gitledger/policy.schema.json"
    comments = [line.partition("#")[2] for line in template.splitlines()[1:] if "#" in line]
    assert all(comment in text for comment in comments)


def test_filling_a_text_that_has_no_place_for_authorities_says_so() -> None:
    with pytest.raises(Failed, match="no place"):
        fill(ONLY_WHAT_MUST_BE, [Authority(domain_id="you", pubkey_id=KEYS[0])], 1)


def test_a_policy_is_frozen() -> None:
    policy = Policy.parse(POLICY.encode())
    with pytest.raises(AttributeError):
        policy.revision = 8  # type: ignore[misc]
