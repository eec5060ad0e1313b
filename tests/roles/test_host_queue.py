"""The queue on a host: replacing, limits, domains not yet registered, endorsements, refusals (spec 4, 6, 9)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import forge
import pytest
from spoken import mends, pushed, said, type_mends
from world import Done, Person, World, accepted, refused

NOTE = {"shared/note.txt": b"hello\n"}
ENDORSED = ["{match: standards/**, proposers: any, endorsements: 1}", "{match: shared/**, proposers: any}"]


def registration(world: World, domain: str, *keys: tuple[str, Path, str]) -> dict[str, bytes]:
    """The manifest of a new domain; `keys` are name, file and roles. Each but the first brings its proof."""
    entries = [
        forge.Entry(name, key, roles.split(), proof=forge.proof(key, world.anchor, domain) if place else None)
        for place, (name, key, roles) in enumerate(keys)
    ]
    return {f"domains/{domain}/domain.yaml": forge.manifest_file(domain, *entries)}


# Replacing


def test_a_ref_is_replaced_by_who_goes_on(world: World) -> None:
    first = world.propose(world.alice, NOTE)
    second = world.propose(world.alice, {"shared/note.txt": b"better\n"})
    assert "refs/proposals/alice/t replaced:" in said(second.push)
    assert world.refs()["refs/proposals/alice/t"] == second != first


def test_an_older_tip_does_not_come_back(world: World) -> None:
    first = world.propose(world.alice, NOTE)
    world.propose(world.alice, {"shared/note.txt": b"better\n"})
    path = world.clone(world.alice)
    done = refused(world.push(world.stranger, path, f"+{first}:refs/proposals/alice/t"), "replaces-newer")
    world.alice.git(path, "checkout", "-q", "--detach", first)
    type_mends(world.alice, path, done)
    accepted(world.push(world.alice, path, "+HEAD:refs/proposals/alice/t"))


def test_of_two_versions_of_one_second_the_first_stays(world: World) -> None:
    """The first one there: else anybody could bring back, for ever, what was replaced."""
    first = world.propose(world.alice, NOTE)
    path = world.clone(world.alice)
    same = {"GIT_COMMITTER_DATE": f"{committed(path, first)} +0000"}
    world.alice.git(path, "commit", "-q", "-S", "--amend", "-m", "Another version", **same)
    amended = world.oid("HEAD", path)
    done = refused(world.push(world.stranger, path, f"+{amended}:refs/proposals/alice/t"), "replaces-newer")
    assert "in the same second as" in said(done)
    type_mends(world.alice, path, done)
    accepted(world.push(world.alice, path, "+HEAD:refs/proposals/alice/t"))


def test_a_line_goes_on_within_a_second_and_not_back(world: World) -> None:
    first = world.propose(world.alice, NOTE)
    path = world.clone(world.alice)
    same = {"GIT_COMMITTER_DATE": f"{committed(path, first)} +0000"}
    (path / "shared" / "more.txt").write_text("more\n")
    world.alice.git(path, "add", "-A")
    world.alice.git(path, "commit", "-q", "-S", "-m", "More", **same)
    accepted(world.push(world.alice, path, "HEAD:refs/proposals/alice/t"))
    refused(world.push(world.stranger, path, f"+{first}:refs/proposals/alice/t"), "replaces-newer")


def committed(repository: Path, oid: str) -> int:
    """When it was committed, in seconds."""
    return int(forge.git(repository / ".git", "show", "-s", "--format=%ct", oid))


def test_nobody_replaces_a_proposal_of_another_domain(world: World) -> None:
    world.propose(world.alice, NOTE)
    other = world.propose(world.james, {"shared/james.txt": b"mine\n"}, domain="alice", check=False)
    refused(pushed(other), "ref-domain")


# Limits


def test_no_more_wait_than_the_policy_allows(world: World) -> None:
    world.make_host(limits="pending_per_domain: 2")
    world.propose(world.alice, {"shared/a.txt": b"a\n"}, topic="a")
    world.propose(world.alice, {"shared/b.txt": b"b\n"}, topic="b")
    third = world.propose(world.alice, {"shared/c.txt": b"c\n"}, topic="c", check=False)
    refused(pushed(third), "too-many-pending")
    world.propose(world.james, {"shared/c.txt": b"c\n"}, topic="c")
    world.propose(world.alice, {"shared/c.txt": b"c\n"}, topic="b")  # one replaced is none more
    world.emit()
    world.propose(world.alice, {"shared/d.txt": b"d\n"}, topic="d")


def test_a_line_counts_with_each_of_its_commits(world: World) -> None:
    world.make_host(limits="pending_per_domain: 2")
    first = world.propose(world.alice, {"shared/a.txt": b"a\n"}, push=False)
    second = world.propose(world.alice, {"shared/b.txt": b"b\n"}, base=first)
    third = world.propose(world.alice, {"shared/c.txt": b"c\n"}, base=second, check=False)
    refused(pushed(third), "too-many-pending")
    world.propose(world.alice, {"shared/b.txt": b"other\n"}, base=first)


def test_what_stands_on_two_topics_counts_once(world: World) -> None:
    world.make_host(limits="pending_per_domain: 2")
    first = world.propose(world.alice, {"shared/a.txt": b"a\n"}, topic="a")
    world.propose(world.alice, {"shared/b.txt": b"b\n"}, base=first, topic="b")


def test_nobody_gives_a_line_a_second_name(world: World) -> None:
    """Anybody could, without a key, and fill the queue of whoever signed it."""
    proposal = world.propose(world.alice, NOTE, topic="a")
    other = world.propose(world.alice, {"shared/b.txt": b"b\n"}, topic="b")
    path = world.clone(world.alice)
    copies = [f"{proposal}:refs/proposals/alice/z{number}" for number in range(20)]
    assert "refs/proposals/alice/a" in said(refused(world.push(world.stranger, path, *copies), "proposed-already"))
    refused(world.push(world.stranger, path, copies[0]), "proposed-already")
    refused(world.push(world.stranger, path, f"+{other}:refs/proposals/alice/a"), "proposed-already")
    third = world.propose(world.alice, {"shared/c.txt": b"c\n"}, push=False)
    both = [f"{third}:refs/proposals/alice/c", f"{third}:refs/proposals/alice/d"]
    refused(world.push(world.alice, path, *both), "proposed-already")
    accepted(world.push(world.alice, path, both[0]))


# Domains not yet registered


def test_all_domains_not_yet_registered_count_as_one(world: World) -> None:
    world.make_host(limits="pending_per_domain: 1", registration="open")
    for number, domain in enumerate(("north", "south"), start=1):
        key = world.key(f"spare-{number}")
        changes = registration(world, domain, ("root", key, "root publisher"))
        proposal = world.propose(world.stranger, changes, domain=domain, key=key, check=False)
        if domain == "north":
            accepted(pushed(proposal))
        else:
            assert "2 registrations" in said(refused(pushed(proposal), "too-many-pending"))
    world.propose(world.alice, NOTE)


def test_a_new_domain_waits_for_an_endorsement_and_brings_its_files_in_a_line(world: World) -> None:
    key = world.key("spare-1")
    manifest = world.propose(
        world.stranger, registration(world, "north", ("root", key, "root publisher")), domain="north", key=key
    )
    assert "registration of a domain: 1 more of alice, james, you" in said(manifest.push)
    files = {"domains/north/a.txt": b"a\n"}
    line = world.propose(world.stranger, files, domain="north", key=key, base=manifest)
    assert f"{manifest[:12]} (A change) lacks endorsements" in said(line.push)
    world.endorse(world.james, manifest)
    assert [one.proposal.oid for one in world.emit().ready] == [manifest, line]


def test_before_it_is_registered_only_the_same_key_replaces(world: World) -> None:
    mine, other = world.key("spare-1"), world.key("spare-2")
    for key in (mine, other):
        changes = registration(world, "north", ("root", key, "root"))
        proposal = world.propose(world.stranger, changes, domain="north", key=key, check=False)
        if key == mine:
            accepted(pushed(proposal))
        else:
            assert "choose another topic" in said(refused(pushed(proposal), "replaces-another-key"))
    world.propose(world.stranger, changes, domain="north", key=other, topic="other")
    world.propose(world.stranger, registration(world, "north", ("root", mine, "root")), domain="north", key=mine)


def test_before_it_is_registered_the_tip_is_signed_by_a_root(world: World) -> None:
    root, publisher = world.key("spare-1"), world.key("spare-2")
    changes = registration(world, "north", ("root", root, "root"), ("laptop", publisher, "publisher"))
    manifest = world.propose(world.stranger, changes, domain="north", key=root)
    files = {"domains/north/a.txt": b"a\n"}
    line = world.propose(world.stranger, files, domain="north", key=publisher, base=manifest, check=False)
    refused(pushed(line), "registration-key")


# Endorsements


def endorsed(world: World) -> str:
    world.make_host(paths=ENDORSED)
    return world.propose(world.alice, {"standards/one.txt": b"one\n"})


def test_an_endorsement_is_told_what_is_left_to_do(world: World) -> None:
    world.make_host(paths=["{match: standards/**, proposers: any, endorsements: 2}"])
    proposal = world.propose(world.alice, {"standards/one.txt": b"one\n"})
    first = world.endorse(world.james, proposal)
    assert "james endorses" in said(first.push) and "1 more of alice, you" in said(first.push)
    second = world.endorse(world.you, proposal)
    assert "as things stand it becomes common@1" in said(second.push)


def test_an_endorsement_may_come_with_its_proposal(world: World) -> None:
    world.make_host(paths=ENDORSED)
    proposal = world.propose(world.alice, {"standards/one.txt": b"one\n"}, push=False)
    tag = world.endorse(world.alice, proposal, push=False)
    refspecs = (f"{proposal}:refs/proposals/alice/t", f"{tag}:refs/endorsements/{proposal}/alice")
    refused(world.push(world.alice, world.clone(world.alice), refspecs[1]), "not-waiting")
    accepted(world.push(world.alice, world.clone(world.alice), *refspecs))
    assert [one.proposal.oid for one in world.emit().ready] == [proposal]


def test_an_endorsement_of_an_inner_proposal_of_a_line_counts(world: World) -> None:
    world.make_host(paths=ENDORSED)
    first = world.propose(world.alice, {"standards/one.txt": b"one\n"}, push=False)
    second = world.propose(world.alice, NOTE, base=first)
    world.endorse(world.james, first)
    assert [one.proposal.oid for one in world.emit().ready] == [first, second]


def test_endorsements_that_do_not_count_are_refused(world: World) -> None:
    proposal = endorsed(world)
    other = world.propose(world.alice, NOTE, topic="other")
    bench = world.bench(world.james)

    def offer(tag: str, about: str = proposal, domain: str = "james") -> Done:
        return world.offer(tag, f"refs/endorsements/{about}/{domain}", by=world.james)

    by_james = forge.endorsement(bench, proposal, world.james.key)
    refused(offer(forge.endorsement(bench, proposal, world.stranger.key)), "endorsement-does-not-count")
    refused(offer(by_james, about=other), "tag-object")
    refused(
        offer(forge.endorsement(bench, proposal, world.james.key, hash=forge.hash_of(bench, other))),
        "tag-proposal-hash",
    )
    refused(offer(forge.endorsement(bench, proposal, None)), "unsigned")
    refused(offer(proposal), "object-kind")
    refused(offer(by_james, about="0" * 39 + "1"), "not-waiting")
    wrong = refused(offer(by_james, domain="alice"), "endorsement-domain")
    assert mends(wrong) == [f"git push origin {by_james}:refs/endorsements/{proposal}/james"]
    accepted(offer(by_james))


def test_an_older_endorsement_does_not_come_back(world: World) -> None:
    proposal = endorsed(world)
    first = world.endorse(world.james, proposal)
    world.endorse(world.james, proposal)
    ref = f"+{first}:refs/endorsements/{proposal}/james"
    refused(world.push(world.james, world.clone(world.james), ref), "replaces-newer")


def test_endorsing_what_went_stale_says_that_there_is_nothing_to_endorse(world: World) -> None:
    proposal = endorsed(world)
    quick = world.propose(world.james, {"standards/one.txt": b"first\n"})
    world.endorse(world.james, quick)
    world.emit(quick)
    tag = world.endorse(world.you, proposal, check=False)
    refused(pushed(tag), "path-changed-since")


# Refusals and withdrawals


def receipt(world: World, person: Person, tag: str, about: str) -> Done:
    return world.offer(tag, f"refs/refusals/{about}", by=person)


def test_a_refusal_by_the_witness_clears_the_proposal_and_stays_as_its_receipt(world: World) -> None:
    proposal = endorsed(world)
    world.endorse(world.james, proposal)
    bench = world.bench(world.you)
    tag = forge.refusal(bench, proposal, world.you.key, at="common@0", reason="not-now Not now")
    done = accepted(receipt(world, world.you, tag, proposal))
    assert f"{proposal[:12]} (A change) is refused: refs/refusals/{proposal}" in said(done)
    assert [ref for ref in world.refs() if ref.startswith(("refs/p", "refs/e", "refs/r"))] == [
        f"refs/refusals/{proposal}"
    ]


def test_the_receipt_is_read_as_the_proposer_was_told(world: World) -> None:
    proposal = world.propose(world.alice, NOTE)
    command = next(line for line in mends(pushed(proposal)) if line.startswith("git fetch"))
    tag = forge.refusal(world.bench(world.you), proposal, world.you.key, at="common@0", reason="not-now Not now")
    accepted(receipt(world, world.you, tag, proposal))
    assert "Reason: not-now Not now" in world.alice.run(world.clone(world.alice), "sh", "-c", command).stdout


def test_what_is_decided_does_not_come_back_under_another_topic(world: World) -> None:
    proposal = world.propose(world.alice, NOTE)
    tag = forge.refusal(world.bench(world.you), proposal, world.you.key, at="common@0", reason="not-now Not now")
    accepted(receipt(world, world.you, tag, proposal))
    path = world.clone(world.alice)
    done = refused(world.push(world.alice, path, f"{proposal}:refs/proposals/alice/again"), "not-now")
    world.alice.git(path, "checkout", "-q", "--detach", proposal)
    type_mends(world.alice, path, done)
    accepted(world.push(world.alice, path, "HEAD:refs/proposals/alice/again"))


def test_who_proposed_withdraws(world: World) -> None:
    proposal = world.propose(world.alice, NOTE)
    bench = world.bench(world.alice)
    tag = forge.withdrawal(bench, proposal, world.alice.key)
    assert "is withdrawn" in said(accepted(receipt(world, world.alice, tag, proposal)))
    assert "refs/proposals/alice/t" not in world.refs()


def test_nobody_else_refuses_or_withdraws(world: World) -> None:
    proposal = world.propose(world.alice, NOTE)
    other = world.propose(world.alice, {"shared/b.txt": b"b\n"}, topic="b")
    bench = world.bench(world.james)
    saying = {"at": "common@0", "reason": "not-now Not now"}

    def offer(tag: str, about: str = proposal) -> Done:
        return receipt(world, world.james, tag, about)

    refused(offer(forge.refusal(bench, proposal, world.james.key, **saying)), "refusal-key")
    refused(offer(forge.withdrawal(bench, proposal, world.james.key)), "withdrawal-key")
    refused(offer(forge.withdrawal(bench, proposal, world.you.key)), "withdrawal-key")
    refused(offer(forge.refusal(bench, other, world.you.key, **saying)), "tag-object")
    refused(offer(forge.refusal(bench, other, world.you.key, **saying), about="0" * 39 + "1"), "not-waiting")
    refused(offer(forge.endorsement(bench, proposal, world.you.key)), "tag-object")
    accepted(offer(forge.refusal(bench, proposal, world.you.key, **saying)))


def waiting(world: World) -> Sequence[str]:
    return [ref for ref in world.refs() if ref.startswith("refs/proposals/")]


def test_a_line_stays_until_all_of_it_is_decided(world: World) -> None:
    first = world.propose(world.alice, NOTE, push=False)
    second = world.propose(world.alice, {"shared/b.txt": b"b\n"}, base=first)
    bench = world.bench(world.you)
    accepted(world.offer(forge.snapshot(bench, world.tip, first, world.you.key), by=world.you))
    assert waiting(world) == ["refs/proposals/alice/t"]
    accepted(receipt(world, world.alice, forge.withdrawal(world.bench(world.alice), second, world.alice.key), second))
    assert waiting(world) == []


@pytest.mark.parametrize("path", ["README", "domains.md", "policies", "policies/publish.yaml"])
def test_a_file_outside_of_all_domains_is_taken_where_the_policy_opens_its_path(world: World, path: str) -> None:
    world.make_host(paths=["{match: '**', proposers: any}"])
    proposal = world.propose(world.alice, {path: b"for all\n"})
    assert [verdict.proposal.oid for verdict in world.emit().ready] == [proposal]
