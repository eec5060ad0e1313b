"""Rules of publishing: the form that a domain gives them (spec 13)."""

from __future__ import annotations

import pytest

from gitledger.documents.publish import RULES, Publish
from gitledger.errors import Malformed, Refused


def written(rules: int) -> bytes:
    lines = "".join(f"  - {{match: made/{number}/**}}\n" for number in range(rules))
    return f"artifact_type: asl.domain.publish\nversion: 0.1\nrules:\n{lines}".encode()


def test_every_rule_that_matches_one_of_the_paths_is_told_once() -> None:
    read = Publish.parse(written(3))
    paths = ("made/2/a", "made/2/b", "made/0/a", "other/1/a")
    assert [rule.match for rule in read.rules_for(paths)] == ["made/0/**", "made/2/**"]
    assert read.rules_for(()) == ()


def test_there_are_so_many_rules_and_not_one_more() -> None:
    assert len(Publish.parse(written(RULES)).rules) == RULES
    with pytest.raises(Malformed) as caught:
        Publish.parse(written(RULES + 1))
    assert caught.value.rule == "document-form" and "100" in caught.value.what


def test_a_rule_that_names_no_key_is_told_to_name_one_or_leave_keys_out() -> None:
    with pytest.raises(Refused) as caught:
        Publish.parse(written(1).replace(b"}", b", keys: []}"))
    assert caught.value.rule == "too-many-approvals" and "leave keys out" in caught.value.mend
