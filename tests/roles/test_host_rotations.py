"""What a host takes of rotations, what holds its branch, and what it clears (spec 2, 8, 11)."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import forge
import pytest
from world import Done, Person, Rotated, World, accepted, refused

from gitledger.roles import gate, hold, host
from gitledger.rules import rotations

GRACE = 36500 * 86400  # that of the policy in these tests
FILE = {"shared/a.txt": b"a\n"}


def waiting(world: World) -> list[str]:
    """The last parts of the refs of every rotation that the host keeps."""
    return sorted(ref.rpartition("/")[2] for ref in world.refs() if ref.startswith("refs/rotations/"))


def push(world: World, made: Rotated, *, by: Person | None = None, without: str = "") -> Done:
    """Push what was made for a rotation."""
    refs = [f"+{oid}:{ref}" for ref, oid in made.refs.items() if not ref.endswith(f"/{without}")]
    return world.push(by or world.alice, made.clone, *refs)


def blob(world: World, content: bytes) -> str:
    return forge.write_object(world.clone(world.alice) / ".git", "blob", content)


def offer(world: World, ref: str, content: bytes) -> Done:
    """Push a blob with this content to a ref."""
    return world.push(world.alice, world.clone(world.alice), f"+{blob(world, content)}:{ref}")


def seal(world: World, made: Rotated, to: Person, *, on: str | None = None) -> str:
    """The snapshot by which `to` seals what was made, built on the bench."""
    bench, keys = world.bench(), {name: world.person(name).key for name in made.signatures}
    previous = on or world.tip
    return forge.rotating(bench, previous, forge.rotation_file(bench, previous, (to.domain, to.key), keys), to.key)


def next_snapshot(world: World, witness: Person, *, on: str | None = None, name: str = "a") -> str:
    """A plain snapshot that `witness` signs, built on the bench."""
    bench = world.bench()
    previous = on or world.tip
    proposal = forge.proposal(bench, previous, {f"shared/{name}.txt": b"x\n"}, world.alice.key)
    return forge.snapshot(bench, previous, proposal, witness.key)


def age(world: World, seconds: int) -> None:
    """Let the host have seen the complete rotations that long ago."""
    file = world.host / "gitledger" / "rotations.json"
    said = json.loads(file.read_text())
    file.write_text(json.dumps({rotation: seen - seconds for rotation, seen in said.items()}))


# What is taken


def test_a_draft_comes_with_an_endorsement_and_others_follow_one_by_one(world: World) -> None:
    done = world.rotate(world.james, [world.alice]).push
    assert done is not None and "it lacks 1 more of james, you" in done.stderr
    assert waiting(world) == ["alice", "draft"]
    done = world.rotate(world.james, [world.james], draft=False).push
    assert done is not None and "it is complete: james seals it" in done.stderr
    assert waiting(world) == ["alice", "draft", "james"]


def test_a_whole_quorum_comes_in_one_push(world: World) -> None:
    world.rotate(world.james, [world.alice, world.james, world.you])
    assert waiting(world) == ["alice", "draft", "james", "you"]


def test_anybody_carries_what_authorities_signed(world: World) -> None:
    made = world.rotate(world.james, [world.alice], push=False)
    clone = world.clone(world.stranger)
    refs = [
        f"{world.stranger.git(clone, 'hash-object', '-w', '--stdin', input=text.decode()).stdout.strip()}:{ref}"
        for ref, text in zip(made.refs, [made.draft, *made.signatures.values()], strict=True)
    ]
    accepted(world.push(world.stranger, clone, *refs))


def test_a_draft_alone_is_refused(world: World) -> None:
    made = world.rotate(world.james, [world.alice], push=False)
    refused(push(world, made, without="alice"), "draft-alone")


def test_an_endorsement_without_a_draft_is_refused(world: World) -> None:
    made = world.rotate(world.james, [world.alice], push=False)
    refused(push(world, made, without="draft"), "no-draft")


def test_a_draft_is_never_replaced(world: World) -> None:
    made = world.rotate(world.james, [world.alice], reason="stepping back")
    other = world.rotate(world.james, [world.alice], push=False, reason="another")
    assert made.hash == other.hash
    refused(push(world, other, without="alice"), "draft-there")


def test_a_ref_that_is_no_h_of_its_draft_is_refused(world: World) -> None:
    made = world.rotate(world.james, [world.alice], push=False)
    wrong = "ab" * 32
    refs = [f"+{oid}:{ref.replace(made.hash, wrong)}" for ref, oid in made.refs.items()]
    refused(world.push(world.alice, made.clone, *refs), "rotation-name")


def test_a_draft_that_holds_endorsements_is_refused(world: World) -> None:
    made = world.rotate(world.james, [world.alice], push=False)
    whole = forge.rotation_file(world.host, world.tip, ("james", world.james.key), {"alice": world.alice.key})
    refs = {ref: oid if not ref.endswith("/draft") else blob(world, whole) for ref, oid in made.refs.items()}
    refused(world.push(world.alice, made.clone, *(f"+{oid}:{ref}" for ref, oid in refs.items())), "draft-endorsed")


@pytest.mark.parametrize(
    ("altered", "rule"),
    [
        ({"ledger": "sha256:" + "ab" * 32}, "rotation-ledger"),
        ({"previous_hash": "sha256:" + "ab" * 32}, "rotation-previous"),
        ({"snapshot": "common@7"}, "rotation-previous"),
        ({"number": 7}, "rotation-logseq"),
        ({"threshold": 1}, "rotation-threshold"),
        ({"policy_key": "sha256:" + "ab" * 32}, "rotation-policy"),
        ({"old": ("alice", forge.key_id(Path(__file__).parents[1] / "keys" / "alice"))}, "rotation-old-witness"),
        ({"new": ("nobody", forge.key_id(Path(__file__).parents[1] / "keys" / "james"))}, "key-not-active"),
    ],
)
def test_a_draft_that_no_quorum_could_make_valid_is_refused(
    world: World, altered: dict[str, object], rule: str
) -> None:
    made = world.rotate(world.james, [world.alice], push=False, **altered)
    refused(push(world, made), rule)


def test_a_signature_by_nobody_of_the_quorum_is_refused(world: World) -> None:
    made = world.rotate(world.james, [world.stranger], push=False)
    refused(push(world, made), "endorsement-does-not-count")


def test_a_signature_under_another_domain_is_refused(world: World) -> None:
    world.rotate(world.james, [world.alice])
    made = world.rotate(world.james, [world.james], push=False, draft=False)
    (ref, oid), *_ = made.refs.items()
    refused(world.push(world.james, made.clone, f"{oid}:{ref.replace('/james', '/you')}"), "endorsement-domain")


def test_a_signature_in_the_namespace_of_commits_is_refused(world: World) -> None:
    made = world.rotate(world.james, [world.alice])
    armour = forge.sshsig(world.james.key, bytes.fromhex(made.hash), namespace="git")
    refused(offer(world, f"refs/rotations/{made.hash}/james", armour), "wrong-namespace")


@pytest.mark.parametrize("content", [b"", b"hello\n", b"x" * 5000])
def test_junk_for_a_signature_is_refused_and_spoils_nothing(world: World, content: bytes) -> None:
    made = world.rotate(world.james, [world.alice])
    done = offer(world, f"refs/rotations/{made.hash}/james", content)
    assert done.returncode and done.before == done.after and "Traceback" not in done.stderr
    made = replace(
        made, signatures={**made.signatures, **world.rotate(world.james, [world.james], draft=False).signatures}
    )
    accepted(world.offer(seal(world, made, world.james)))


def test_no_ref_of_a_rotation_goes_by_a_push(world: World) -> None:
    made = world.rotate(world.james, [world.alice])
    refused(world.push(world.alice, made.clone, f":refs/rotations/{made.hash}/draft"), "deletion")


def test_an_authority_endorses_a_bounded_number_of_rotations(world: World) -> None:
    spares = [f"spare-{number}" for number in range(1, 10)]
    assert len(spares) == gate.ROTATIONS_LIMIT + 1
    world.make_host(members=("you", "alice", "james", *spares), authorities=("you", "alice", "james"))
    *few, last = (world.person(name) for name in spares)
    for person in few:
        world.rotate(person, [world.alice])
    refused(push(world, world.rotate(last, [world.alice], push=False)), "too-many-rotations")
    world.rotate(last, [world.james])


# What holds the branch


def test_while_a_complete_rotation_waits_only_its_new_witness_may_emit(world: World) -> None:
    made = world.rotate(world.james, [world.alice, world.james])
    refused(world.offer(next_snapshot(world, world.you)), "rotation-waits")
    accepted(world.offer(seal(world, made, world.james)))
    accepted(world.offer(next_snapshot(world, world.james)))
    assert world.snapshots() == ["common@0", "common@1", "common@2"]
    assert waiting(world) == []


def test_a_rotation_that_lacks_endorsements_holds_nothing(world: World) -> None:
    world.rotate(world.james, [world.alice])
    accepted(world.offer(next_snapshot(world, world.you)))


def test_what_comes_after_the_seal_or_with_it_is_told_that_it_is_sealed(world: World) -> None:
    made = world.rotate(world.james, [world.alice, world.james])
    accepted(world.offer(seal(world, made, world.james)))
    late = world.rotate(world.james, [world.you], on=0, push=False)
    refused(push(world, late), "rotation-sealed")


def test_after_the_grace_period_the_old_witness_may_emit_again_and_the_rotation_is_stale(world: World) -> None:
    made = world.rotate(world.james, [world.alice, world.james])
    age(world, GRACE - 60)
    refused(world.offer(next_snapshot(world, world.you)), "rotation-waits")
    late = seal(world, made, world.james)
    age(world, 120)
    accepted(world.offer(next_snapshot(world, world.you)))
    refused(world.offer(late), "not-forward")
    refused(push(world, world.rotate(world.james, [world.you], on=0, push=False, draft=False)), "rotation-previous")


def test_grace_counts_from_when_the_host_saw_it_complete_and_no_push_begins_it_anew(world: World) -> None:
    world.rotate(world.james, [world.alice, world.james])
    age(world, GRACE + 1)
    world.rotate(world.james, [world.you], draft=False)
    accepted(world.offer(next_snapshot(world, world.you)))


def test_a_hook_that_was_killed_before_it_noted_it_only_puts_the_grace_off(world: World) -> None:
    hook, away = world.host / "hooks" / "post-receive", world.host / "hooks" / "away"
    hook.rename(away)
    made = world.rotate(world.james, [world.alice, world.james])
    away.rename(hook)
    noted = world.host / "gitledger" / "rotations.json"
    refused(world.offer(next_snapshot(world, world.you)), "rotation-waits")
    assert not noted.exists() or made.hash not in noted.read_text()
    world.propose(world.alice, FILE)
    assert made.hash in noted.read_text()


def test_one_more_endorsement_of_what_is_complete_tells_the_same_end(world: World) -> None:
    world.rotate(world.james, [world.alice, world.james])
    age(world, GRACE - 3600)
    done = world.rotate(world.james, [world.you], draft=False).push
    assert done is not None and time.strftime("%Y", time.gmtime()) in done.stderr.partition("until")[2][:6]


def test_a_draft_on_the_newest_snapshot_is_read_however_many_stale_ones_there_are(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        world.rotate(world.james, [world.alice])
        accepted(world.offer(next_snapshot(world, world.you, name=f"{number}")))
    made = world.rotate(world.james, [world.alice])
    monkeypatch.setattr(rotations, "LIMIT", 1)
    found = rotations.read(world.place().verified, world.place().queue_refs())
    assert [one.hash for one in found.waiting] == [made.hash]
    assert {error.rule for error in found.unreadable.values()} == {"too-many-rotations"}


def test_after_the_grace_period_the_new_witness_may_still_be_the_first(world: World) -> None:
    made = world.rotate(world.james, [world.alice, world.james])
    age(world, GRACE + 1)
    accepted(world.offer(seal(world, made, world.james)))
    assert b"domain_id: james" in world.read("ledger/witness.yaml")


def test_the_old_witness_is_refused_after_the_seal_with_the_snapshot_that_sealed_it(world: World) -> None:
    made = world.rotate(world.james, [world.alice, world.james])
    sibling = next_snapshot(world, world.you)
    accepted(world.offer(seal(world, made, world.james)))
    done = refused(world.offer(sibling), "not-forward")
    assert "common@1 sealed the rotation to james" in " ".join(done.stderr.replace("remote:", "").split())
    bench = world.bench()
    proposal = forge.proposal(bench, world.tip, FILE, world.alice.key)
    on_top = forge.snapshot(
        bench,
        world.tip,
        proposal,
        world.you.key,
        committer=f"you <you@common> {world.tick() + 100} +0000",
        lines={"Witness": f"you {world.you.key_id}"},
    )
    done = refused(world.offer(on_top), "wrong-witness")
    assert "which common@1 sealed" in " ".join(done.stderr.replace("remote:", "").split())


def test_of_two_complete_rotations_the_first_to_be_sealed_wins(world: World) -> None:
    first = world.rotate(world.james, [world.alice, world.james])
    second = world.rotate(world.alice, [world.alice, world.you])
    late = seal(world, first, world.james)
    accepted(world.offer(seal(world, second, world.alice)))
    refused(world.offer(late), "not-forward")
    assert waiting(world) == ["alice", "draft", "james"]  # stale now, and kept for the grace period


def test_a_rotation_to_the_present_witness_cancels_another(world: World) -> None:
    to_james = world.rotate(world.james, [world.alice, world.james])
    late = seal(world, to_james, world.james)
    back = world.rotate(world.you, [world.alice, world.you])
    refused(world.offer(next_snapshot(world, world.you)), "rotation-waits")
    accepted(world.offer(seal(world, back, world.you)))
    refused(world.offer(late), "not-forward")
    accepted(world.offer(next_snapshot(world, world.you)))


def test_the_endorsement_that_completes_it_and_a_snapshot_in_one_push_do_not_both_pass(world: World) -> None:
    made = world.rotate(world.james, [world.alice, world.james], push=False)
    snapshot = next_snapshot(world, world.you)
    bench = world.stranger.home / "bench-common.git"
    blobs = {
        ref: forge.write_object(bench, "blob", text)
        for ref, text in zip(made.refs, [made.draft, *made.signatures.values()], strict=True)
    }
    done = world.push(
        world.stranger, bench, f"{snapshot}:refs/heads/common", *(f"{oid}:{ref}" for ref, oid in blobs.items())
    )
    refused(done, "rotation-previous")


# Freezing


def test_a_frozen_host_takes_no_snapshot_but_the_seal_of_a_rotation(world: World) -> None:
    hold.freeze(world.place(), 7 * 86400, int(time.time()))
    snapshot = next_snapshot(world, world.you)
    refused(world.offer(snapshot), "frozen")
    world.propose(world.alice, FILE)
    made = world.rotate(world.james, [world.alice, world.james])
    accepted(world.offer(seal(world, made, world.james)))
    assert hold.frozen(world.place(), int(time.time())) is None
    accepted(world.offer(next_snapshot(world, world.james, name="b")))


def test_a_freeze_ends_by_itself_and_by_thawing(world: World) -> None:
    now = int(time.time())
    hold.freeze(world.place(), 60, now - 61)
    accepted(world.offer(next_snapshot(world, world.you)))
    hold.freeze(world.place(), 60, now)
    snapshot = next_snapshot(world, world.you, name="b")
    refused(world.offer(snapshot), "frozen")
    assert hold.thaw(world.place()) and not hold.thaw(world.place())
    accepted(world.offer(snapshot))


def test_a_snapshot_that_came_in_at_that_moment_does_not_end_a_freeze(world: World) -> None:
    snapshot = next_snapshot(world, world.you)
    place = world.place()
    assert place.verified.name == "common@0"
    accepted(world.offer(snapshot))
    hold.freeze(place, 60, int(time.time()))
    refused(world.offer(next_snapshot(world, world.you, name="b")), "frozen")


def test_a_freeze_lasts_no_longer_than_a_time_can_be(world: World) -> None:
    made = hold.freeze(world.place(), 10**15, int(time.time()))
    assert made.until == 253402300799
    done = refused(world.offer(next_snapshot(world, world.you)), "frozen")
    assert "9999-12-31 23:59 UTC" in done.stderr


def test_a_freeze_that_cannot_be_read_holds(world: World) -> None:
    hold.freeze(world.place(), 60, int(time.time()))
    (world.host / "gitledger" / "frozen.json").write_text("?")
    refused(world.offer(next_snapshot(world, world.you)), "freeze-damaged")


# What is cleared


def test_a_stale_rotation_goes_after_the_grace_period(world: World) -> None:
    world.rotate(world.james, [world.alice])
    accepted(world.offer(next_snapshot(world, world.you)))
    newest = forge.when(world.host, world.tip)
    host.settle(world.place(), newest + GRACE)
    assert waiting(world) == ["alice", "draft"]
    host.settle(world.place(), newest + GRACE + 1)
    assert waiting(world) == []


def test_what_the_host_noted_of_older_snapshots_goes(world: World) -> None:
    made = world.rotate(world.james, [world.alice, world.james])
    noted = world.host / "gitledger" / "rotations.json"
    assert list(json.loads(noted.read_text())) == [made.hash]
    accepted(world.offer(seal(world, made, world.james)))
    assert json.loads(noted.read_text()) == {}


def test_a_receipt_of_the_former_witness_stays_a_receipt(world: World) -> None:
    good = world.propose(world.alice, FILE, topic="good")
    bench = world.bench()
    tag = forge.refusal(bench, good, world.you.key, at="common@0", reason="no-such-thing it is not wanted")
    accepted(world.offer(tag, f"refs/refusals/{good}"))
    made = world.rotate(world.james, [world.alice, world.james])
    accepted(world.offer(seal(world, made, world.james)))
    assert f"refs/refusals/{good}" in world.refs()
    again = world.push(world.alice, world.clone(world.alice), f"{good}:refs/proposals/alice/again")
    refused(again, "no-such-thing")


def test_a_former_witness_refuses_nothing_any_more(world: World) -> None:
    made = world.rotate(world.james, [world.alice, world.james])
    proposal = world.propose(world.alice, FILE)
    accepted(world.offer(seal(world, made, world.james)))
    bench = world.bench()
    for at in ("common@0", "common@1"):
        tag = forge.refusal(bench, proposal, world.you.key, at=at, reason="no-such-thing it is not wanted")
        refused(world.offer(tag, f"refs/refusals/{proposal}"), "refusal-key")
    tag = forge.refusal(bench, proposal, world.james.key, at="common@1", reason="no-such-thing it is not wanted")
    accepted(world.offer(tag, f"refs/refusals/{proposal}"))
