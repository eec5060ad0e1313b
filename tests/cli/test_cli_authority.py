"""`endorse`, `policy`: the change is shown before it is signed, and what it means, and nothing is signed unasked."""

from __future__ import annotations

from pathlib import Path

import forge
import pytest
from typed import STANDARDS, Clones, at_terminal, told, typed
from world import World


@pytest.fixture
def james(world: World, clone_of: Clones) -> Path:
    """James's clone of a ledger in which standards need one endorsement."""
    world.make_host(paths=STANDARDS, registration="endorsed")
    return clone_of(world.james)


def test_the_change_is_shown_and_signed(world: World, james: Path) -> None:
    oid = world.propose(world.alice, {"standards/a": "first\nsecond\n"}, "Agree\n\nOn this.", topic="agree")
    typed(world.james, james, "fetch")
    said = typed(world.james, james, "endorse", "agree").stdout
    for part in ("Agree", "On this.", "+first", "+second", "1 of alice, james, you", forge.hash_of(world.host, oid)):
        assert part in said
    assert f"refs/endorsements/{oid}/james" in world.refs()
    assert "endorsed by  james" in typed(world.james, james, "endorse", oid[:8]).stdout
    assert [verdict.proposal.oid for verdict in world.emit().ready] == [oid]


@pytest.mark.parametrize(("answer", "status"), [("y\n", 0), ("yes\n", 0), ("n\n", 1), ("\n", 1), ("\x04", 1)])
def test_at_a_terminal_it_asks_before_it_signs(world: World, james: Path, answer: str, status: int) -> None:
    oid = world.propose(world.alice, {"standards/a": "a\n"}, topic="agree")
    typed(world.james, james, "fetch")
    shown = at_terminal(world.james, james, "endorse", "agree", answers=[("Endorse it as james? [y/N]", answer)])
    assert shown.status == status
    assert (f"refs/endorsements/{oid}/james" in world.refs()) == (status == 0)


def test_with_yes_it_does_not_ask(world: World, james: Path) -> None:
    world.propose(world.alice, {"standards/a": "a\n"}, topic="agree")
    typed(world.james, james, "fetch")
    assert at_terminal(world.james, james, "endorse", "agree", "--yes").status == 0


def test_a_change_of_the_policy_is_said_in_sentences(world: World, james: Path) -> None:
    who = {one.domain: one.key for one in (world.alice, world.james)}
    policy = forge.policy_file(who, threshold=2, revision=2, registration="open", limits="proposal_paths: 5")
    world.propose(world.alice, {"ledger/policy.yaml": policy}, topic="policy")
    typed(world.james, james, "fetch")
    said = typed(world.james, james, "endorse", "policy").stdout
    for sentence in (
        f"you is no authority any more with {world.you.key_id}",
        "the quorum was 2 of 3 and becomes 2 of 2",
        "registration was endorsed and becomes open",
        "the limit proposal_paths was 1000 and becomes 5",
        "shared/** is open to any domain, endorsed by 0, from now on",
        "no more: standards/** is open to any domain, endorsed by 1",
    ):
        assert f"- {sentence}" in said


def test_a_change_of_a_manifest_is_said_in_sentences(world: World, james: Path) -> None:
    entries = (
        forge.Entry("stranger", world.stranger.key),
        forge.Entry(
            "ci", world.key("spare-1"), ("auditor",), proof=forge.proof(world.key("spare-1"), world.anchor, "stranger")
        ),
    )
    oid = world.propose(
        world.stranger, {"domains/stranger/domain.yaml": forge.manifest_file("stranger", *entries)}, topic="new"
    )
    typed(world.james, james, "fetch")
    said = typed(world.james, james, "endorse", oid[:12]).stdout
    assert "- the domain stranger is registered" in said
    assert f"- stranger gets the key stranger {world.stranger.key_id} as root, publisher" in said
    assert f"- stranger gets the key ci {forge.key_id(world.key('spare-1'))} as auditor" in said


def test_who_is_no_authority_is_told_before_anything_is_shown(world: World, james: Path) -> None:
    world.propose(world.alice, {"standards/a": "a\n"}, topic="agree")
    typed(world.james, james, "fetch")
    said = typed(world.james, james, "endorse", "agree", "--key", str(world.stranger.key), status=1)
    assert "[endorsement-does-not-count]" in said.stderr and said.stdout == ""
    assert "[no-key]" in typed(world.james, james, "endorse", "agree", "--key", "nowhere", status=1).stderr
    assert "[not-waiting]" in typed(world.james, james, "endorse", "nothing", status=1).stderr


def test_what_can_not_be_sent_is_kept_to_be_carried(world: World, james: Path) -> None:
    world.propose(world.alice, {"standards/a": "a\n"}, topic="agree")
    typed(world.james, james, "fetch")
    world.james.git(james, "remote", "set-url", "origin", str(world.path / "nowhere"))
    done = typed(world.james, james, "endorse", "agree")
    assert "Not sent, and kept here: origin does not answer" in done.stderr
    assert "gitledger carry out FILE" in done.stdout
    assert any(ref.startswith("refs/endorsements/") for ref in world.place(james).queue_refs())


def test_the_policy_says_who_the_authorities_are_and_how_many_may_be_lost(world: World, clone_of: Clones) -> None:
    world.make_host()
    alice = clone_of(world.alice)
    said = " ".join(typed(world.alice, alice, "policy").stdout.split())
    for part in (
        "The policy of common@0, revision 1",
        f"alice {world.alice.key_id} (yours)",
        "quorum 2 of 3: 1 may be lost",
        "rotation allowed",
        "grace period 36500d",
        "revoked no key",
        "shared/** is open to any domain, endorsed by 0",
        "pending_per_domain 100",
    ):
        assert part in said
    found = told(world.alice, alice, "policy")
    assert found["threshold"] == 2 and found["may_lose"] == 1 and found["rotation_allowed"] is True
    assert [one["domain"] for one in found["authorities"] if one["yours"]] == ["alice"]
    assert found["paths"] == [{"match": "shared/**", "proposers": "any", "endorsements": 0}]


def test_a_policy_says_who_is_revoked_what_is_closed_and_that_none_may_be_lost(world: World, clone_of: Clones) -> None:
    who = {"alice": world.alice.key}
    rules = ("{match: standards/**, proposers: [], endorsements: 1}",)
    world.make_host(forge.policy_file(who, revoked=[world.james.key_id], paths=rules, registration="closed"))
    james = clone_of(world.james)
    said = " ".join(typed(world.james, james, "policy").stdout.split())
    assert "quorum 1 of 1: none may be lost" in said and f"revoked {world.james.key_id}" in said
    assert "standards/** is closed" in said and "registration closed" in said and "(yours)" not in said
    found = told(world.james, james, "policy")
    assert found["revoked"] == [world.james.key_id] and found["paths"][0]["proposers"] == [] and found["may_lose"] == 0
