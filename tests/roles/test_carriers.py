"""What goes by stick arrives as if it had been pushed or fetched; what is wrong with it moves nothing (spec 12)."""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import forge
import pytest
from mirror import Mirror
from world import Person, World

from gitledger.errors import Fork, LedgerError, Unsound
from gitledger.exchange import quarantine
from gitledger.roles import authority, carrier, consumer, offering, proposer, succession, supporting, taking
from gitledger.roles.carrier import Taken
from gitledger.rules import proposal
from gitledger.rules.queue import Queue

STANDARDS = ("{match: standards/**, proposers: any, endorsements: 1}",)


@pytest.fixture
def open_world(world: World) -> World:
    """A ledger whose standards need one endorsement."""
    world.make_host(paths=STANDARDS)
    return world


def clone_for(world: World, person: Person) -> Path:
    path = person.home / "ledger"
    with world.acting(person):
        consumer.clone(str(world.host), path, world.anchor, domain=person.domain, now=world.now)
    person.git(path, "config", "user.signingkey", f"{person.key}.pub")
    return path


def cut_off(person: Person, clone: Path) -> None:
    """From here on the clone can't reach its host."""
    person.git(clone, "remote", "set-url", "origin", str(person.home / "nowhere.git"))


def out(world: World, where: Path, stick: Path, **how: object) -> carrier.Out:
    return carrier.out(world.place(where), stick, world.tick(), **how)  # type: ignore[arg-type]


def take(world: World, where: Path, stick: Path) -> Taken:
    return carrier.take(world.place(where), stick, world.tick())


def outcomes(done: Taken) -> dict[str, str]:
    return {item.ref: item.outcome for item in done.items}


def state_of(world: World, where: Path) -> tuple[object, ...]:
    """What must not move: refs, what is verified, and what lies about in the ledger's directory."""
    place = world.place(where)
    directory = sorted(path.name for path in place.directory.iterdir() if not path.name.endswith(".lock"))
    return world.refs(where), place.verified.oid, [name for name in directory if name != "carried.json"]


def is_sound(where: Path) -> bool:
    return subprocess.run(["git", "-C", where, "fsck", "--strict"], capture_output=True, check=False).returncode == 0


@pytest.mark.long
def test_a_witness_that_is_never_online_is_served_by_sticks(open_world: World, tmp_path: Path) -> None:
    world = open_world
    stick = tmp_path / "stick"
    stick.mkdir()
    alice, james, reader = (clone_for(world, one) for one in (world.alice, world.james, world.stranger))
    for person, clone in ((world.alice, alice), (world.james, james), (world.stranger, reader)):
        cut_off(person, clone)

    # Alice proposes; it is kept, and carried to James, who endorses it
    (alice / "standards").mkdir()
    (alice / "standards" / "one.txt").write_text("one\n")
    world.alice.git(alice, "add", "standards")
    with world.acting(world.alice):
        done = proposer.propose(world.place(alice), world.alice.signer(), "One", topic="one")
    assert done.sent.kept is not None and done.sent.kept.rule == "unreachable"
    assert done.ref in world.place(alice).queue_refs()
    assert out(world, alice, stick / "alice").refs.keys() == {"refs/heads/common", done.ref}
    assert outcomes(take(world, james, stick / "alice"))[done.ref] == "taken"
    with world.acting(world.james):
        place = world.place(james)
        matter = supporting.look(place, proposer.find(place, "one"))
        assert authority.endorse(place, world.james.signer(), matter).kept
    endorsed = f"refs/endorsements/{done.proposal.oid}/james"
    assert set(out(world, james, stick / "james", to="witness").refs) == {done.ref, endorsed}

    # the witness takes it in, emits, and carries out
    came = take(world, world.host, stick / "james")
    assert outcomes(came) == {done.ref: "taken", endorsed: "taken"}
    assert came.items[0].said.startswith("refs/proposals/alice/one accepted")
    world.emit()
    assert world.snapshots() == ["common@0", "common@1"]
    first = out(world, world.host, stick / "you", to="consumer")
    assert (first.since, first.snapshots) == ("common@0", 1)
    for clone in (alice, james, reader):
        there = take(world, clone, stick / "you")
        assert (there.before, there.place.verified.oid) == (0, world.oid(1))
        assert is_sound(clone)
    assert out(world, alice, stick / "none").refs == {}  # what was decided waits no more

    # the second round carries what is new
    assert outcomes(take(world, world.host, stick / "none")) == {}
    take(world, world.host, out_of(world, james, stick / "james-2"))
    take(world, world.host, out_of(world, reader, stick / "reader-2"))
    world.propose(world.you, {"domains/you/two.txt": "two\n"}, topic="two")
    world.emit()
    second = out(world, world.host, stick / "you-2")
    assert (second.since, second.snapshots) == ("common@1", 1)
    assert (stick / "you-2").read_bytes().startswith(b"# v2 git bundle\n-" + world.oid(1).encode())
    for clone in (alice, james, reader):
        assert take(world, clone, stick / "you-2").place.verified.number == 2
    assert is_sound(world.host)


def out_of(world: World, where: Path, stick: Path) -> Path:
    out(world, where, stick)
    return stick


def test_a_rotation_is_carried_and_sealed(world: World, tmp_path: Path) -> None:
    clone = clone_for(world, world.alice)
    other = clone_for(world, world.james)
    for person, where in ((world.alice, clone), (world.james, other)):
        cut_off(person, where)
    with world.acting(world.alice):
        place = world.place(clone)
        done = succession.endorse(place, world.alice.signer(), succession.draft(place, "james"), world.now)
    assert done.sent.kept
    out(world, clone, tmp_path / "a")
    taken = outcomes(take(world, other, tmp_path / "a"))
    assert [taken[f"refs/rotations/{done.waiting.hash}/{name}"] for name in ("draft", "alice")] == ["taken", "taken"]
    with world.acting(world.james):
        place = world.place(other)
        waiting = succession.find_to(place, "james")
        assert waiting is not None
        assert succession.endorse(place, world.james.signer(), waiting, world.now).waiting.complete
    out(world, other, tmp_path / "b", to="witness")
    assert set(outcomes(take(world, world.host, tmp_path / "b")).values()) == {"taken"}
    world.emit(by=world.james)
    assert world.place().verified.state.witness.domain_id == "james"


def test_one_refusal_keeps_nothing_else_away(world: World, tmp_path: Path) -> None:
    good = world.propose(world.alice, {"domains/alice/a": "a\n"}, push=False)
    bad = world.commit(world.alice, {"domains/james/a": "a\n"})
    tag = world.endorse(world.james, world.propose(world.james, {"domains/james/x": "x\n"}, topic="x"), push=False)
    bench = world.clone(world.alice)
    refs = {"refs/proposals/alice/good": good, "refs/proposals/alice/bad": bad}
    forge.git(bench / ".git", "fetch", "-q", str(world.clone(world.james)), f"{tag}:refs/endorsements/{bad}/james")
    for ref, oid in refs.items():
        world.alice.git(bench, "update-ref", ref, oid)
    world.alice.git(bench, "bundle", "create", str(tmp_path / "b"), *refs, f"refs/endorsements/{bad}/james")
    done = take(world, world.host, tmp_path / "b")
    assert outcomes(done) == {
        "refs/proposals/alice/good": "taken",
        "refs/proposals/alice/bad": "refused",
        f"refs/endorsements/{bad}/james": "refused",
    }
    assert all("[" in item.said for item in done.refused)
    again = take(world, world.host, tmp_path / "b")
    assert outcomes(again)["refs/proposals/alice/good"] == "there"


def test_what_stock_git_made_of_ordinary_branches_is_proposed(world: World, tmp_path: Path) -> None:
    oid = world.commit(world.alice, {"domains/alice/a": "a\n"})
    bench = world.clone(world.alice)
    world.alice.git(bench, "branch", "Feature/Fix_it", oid)
    world.alice.git(bench, "bundle", "create", str(tmp_path / "b"), "Feature/Fix_it", "HEAD", "^origin/common")
    other = clone_for(world, world.james)
    for where in (other, world.host):
        done = take(world, where, tmp_path / "b")
        assert (done.record, outcomes(done)) == (None, {"refs/proposals/alice/fix_it": "taken"})
        assert world.place(where).queue_refs() == {"refs/proposals/alice/fix_it": oid}
    nobody = world.commit(world.stranger, {"domains/alice/b": "b\n"})
    bench = world.clone(world.stranger)
    world.stranger.git(bench, "branch", "mine", nobody)
    world.stranger.git(bench, "bundle", "create", str(tmp_path / "c"), "mine")
    assert outcomes(take(world, world.host, tmp_path / "c")) == {"refs/heads/mine": "refused"}


def test_stock_git_reads_what_is_carried_out(world: World, tmp_path: Path) -> None:
    oid = world.propose(world.alice, {"domains/alice/a": "a\n"})
    world.propose(world.james, {"domains/james/a": "a\n"}, topic="u")
    world.emit(oid)
    out(world, world.host, tmp_path / "b")
    plain = tmp_path / "plain"
    world.stranger.git(tmp_path, "init", "-q", "plain")
    world.stranger.git(plain, "bundle", "verify", str(tmp_path / "b"))
    world.stranger.git(plain, "fetch", str(tmp_path / "b"), "refs/heads/*:refs/x/*", "refs/proposals/*:refs/p/*")
    assert world.stranger.output(plain, "rev-parse", "refs/x/common") == world.tip
    assert world.stranger.output(plain, "for-each-ref", "--format=%(refname)", "refs/p") == "refs/p/james/u"
    out(world, world.host, tmp_path / "later", since="common@1")
    failed = world.stranger.git(tmp_path / "plain", "bundle", "verify", str(tmp_path / "later"))
    assert "requires this ref" in failed.stdout


def test_a_fork_on_a_stick_is_seen_kept_and_not_followed(world: World, tmp_path: Path) -> None:
    mirror = Mirror(tmp_path / "m.git")
    mirror.grow()
    with world.acting(world.alice):
        consumer.clone(str(mirror.path), tmp_path / "clone", mirror.anchor, now=world.now + 9999)
    ours = mirror.tip
    theirs = mirror.snapshot("domains/alice/other.txt", on=mirror.snapshots[0])
    forge.git(mirror.path, "update-ref", "refs/heads/common", theirs)
    world.stranger.git(mirror.path, "bundle", "create", str(tmp_path / "b"), "refs/heads/common")
    before = world.place(tmp_path / "clone").queue_refs()
    with world.acting(world.alice), pytest.raises(Fork, match="signed twice"):
        carrier.take(world.place(tmp_path / "clone"), tmp_path / "b", world.now + 9999)
    place = world.place(tmp_path / "clone")
    assert (place.verified.oid, place.queue_refs()) == (ours, before)
    assert any(ref.startswith("refs/gitledger/foreign/1/") for ref in world.refs(tmp_path / "clone"))
    assert not any("carried" in ref for ref in world.refs(tmp_path / "clone"))


def test_a_later_version_that_is_kept_counts_before_an_older_one_of_the_host(world: World, tmp_path: Path) -> None:
    world.propose(world.alice, {"domains/alice/a": "a\n"}, topic="a")
    clone = clone_for(world, world.alice)
    later = world.propose(world.alice, {"domains/alice/a": "b\n"}, topic="a", push=False)
    bench = world.clone(world.alice)
    world.alice.git(bench, "update-ref", "refs/proposals/alice/a", later)
    world.alice.git(bench, "bundle", "create", str(tmp_path / "b"), "refs/proposals/alice/a", "^origin/common")
    assert outcomes(take(world, clone, tmp_path / "b")) == {"refs/proposals/alice/a": "taken"}
    assert world.place(clone).queue_refs() == {"refs/proposals/alice/a": later}


# Faults


@pytest.fixture(params=["host", "clone"])
def where(request: pytest.FixtureRequest, world: World) -> Path:
    return world.host if request.param == "host" else clone_for(world, world.james)


Spoilt = Callable[[World, Path], str]


def cut(world: World, stick: Path) -> str:
    stick.write_bytes(stick.read_bytes()[:-30])
    return "bundle-damaged"


def cut_in_the_header(world: World, stick: Path) -> str:
    stick.write_bytes(stick.read_bytes()[:40])
    return "bundle-header"


def empty(world: World, stick: Path) -> str:
    stick.write_bytes(b"")
    return "not-a-bundle"


def junk_behind(world: World, stick: Path) -> str:
    stick.write_bytes(stick.read_bytes() + b"more")
    return "bundle-damaged"


def gaps(world: World, stick: Path) -> str:
    """It builds on a snapshot that nobody here has."""
    bench = world.bench()
    world.stranger.git(bench, "commit-tree", "-m", "common@1: x", f"{world.tip}^{{tree}}")
    one = world.stranger.output(bench, "commit-tree", "-m", "common@7: x", f"{world.tip}^{{tree}}")
    two = world.stranger.output(bench, "commit-tree", "-p", one, "-m", "common@8: x", f"{world.tip}^{{tree}}")
    world.stranger.git(bench, "update-ref", "refs/heads/more", two)
    world.stranger.git(bench, "bundle", "create", str(stick), "refs/heads/more", f"^{one}")
    return "bundle-builds-on"


def shallow(world: World, stick: Path) -> str:
    cut_off = stick.with_name("shallow")
    oid = world.propose(world.alice, {"domains/alice/q": "q\n"}, topic="q", push=False)
    following = world.commit(world.alice, {"domains/alice/r": "r\n"}, base=oid)
    world.alice.git(world.clone(world.alice), "branch", "-f", "deep", following)
    source = f"file://{world.clone(world.alice)}"
    world.alice.git(stick.parent, "clone", "-q", "--depth=1", "-b", "deep", source, str(cut_off))
    world.alice.git(cut_off, "bundle", "create", str(stick), "deep")
    return "bundle-damaged"


def replaced(world: World, stick: Path) -> str:
    bench = world.bench()
    world.stranger.git(bench, "update-ref", f"refs/replace/{world.tip}", world.refs()["refs/proposals/alice/t"])
    world.stranger.git(bench, "bundle", "create", str(stick), "--all", GIT_NO_REPLACE_OBJECTS="1")
    return "replace-refs"


def odd_names(world: World, stick: Path) -> str:
    raw = stick.read_bytes()
    stick.write_bytes(raw.replace(b" refs/proposals/alice/t\n", b" refs/proposals/../t\n"))
    return "bundle-header"


def another_topic(world: World, stick: Path) -> str:
    raw = stick.read_bytes()
    stick.write_bytes(raw.replace(b" refs/proposals/alice/t\n", b" refs/proposals/alice/u\n"))
    return "carrier-record"


def many_refs(world: World, stick: Path) -> str:
    tip = world.tip.encode()
    lines = b"".join(b"%s refs/proposals/alice/t%d\n" % (tip, number) for number in range(100_000))
    stick.write_bytes(b"# v2 git bundle\n" + lines + b"\n")
    return "bundle-refs"


def long_line(world: World, stick: Path) -> str:
    stick.write_bytes(b"# v2 git bundle\n" + b"a" * 10_000_000)
    return "bundle-line"


def filtered(world: World, stick: Path) -> str:
    stick.write_bytes(b"# v3 git bundle\n@object-format=sha1\n@filter=blob:none\n" + stick.read_bytes()[16:])
    return "promisor"


def sha256(world: World, stick: Path) -> str:
    stick.write_bytes(b"# v3 git bundle\n@object-format=sha256\n" + stick.read_bytes()[16:])
    return "object-format"


def nothing_of_it(world: World, stick: Path) -> str:
    raw = stick.read_bytes()
    oid = world.refs()["refs/proposals/alice/t"].encode()
    stick.write_bytes(raw.replace(oid, b"1" * 40))
    return "missing-object"


def another_ledger(world: World, stick: Path) -> str:
    other = world.make_host(threshold=3, name="other")
    carrier.out(world.place(other), stick, world.now)
    return "other-ledger"


@pytest.mark.parametrize(
    "spoil",
    [
        *(cut, cut_in_the_header, empty, junk_behind, gaps, shallow, replaced, odd_names, another_topic, many_refs),
        *(long_line, filtered, sha256, nothing_of_it, another_ledger),
    ],
)
def test_what_is_wrong_with_a_bundle_is_a_sentence_and_moves_nothing(
    world: World, where: Path, spoil: Spoilt, tmp_path: Path
) -> None:
    world.propose(world.alice, {"domains/alice/a": "a\n"})
    out(world, world.host, tmp_path / "b")
    rule = spoil(world, tmp_path / "b")
    before = state_of(world, where)
    with pytest.raises(LedgerError) as caught:
        take(world, where, tmp_path / "b")
    assert caught.value.rule == rule, str(caught.value)
    assert caught.value.mend
    assert state_of(world, where) == before
    assert is_sound(where)


def test_a_bundle_that_is_as_it_should_be_is_taken(world: World, where: Path, tmp_path: Path) -> None:
    """The honest twin of all that are spoilt."""
    world.propose(world.alice, {"domains/alice/a": "a\n"})
    out(world, world.host, tmp_path / "b")
    assert set(outcomes(take(world, where, tmp_path / "b")).values()) <= {"taken", "there"}
    assert is_sound(where)


def test_what_is_too_large_is_told_with_its_limit(
    world: World, where: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / "b").open("wb") as file:
        file.truncate((1 << 30) + 1)
    with pytest.raises(LedgerError, match="larger than a bundle may be, 1 GiB") as caught:
        take(world, where, tmp_path / "b")
    assert caught.value.rule == "bundle-too-large"


def test_an_older_one_says_so_and_moves_nothing(world: World, where: Path, tmp_path: Path) -> None:
    out(world, world.host, tmp_path / "old")
    world.propose(world.alice, {"domains/alice/a": "a\n"})
    world.emit()
    out(world, world.host, tmp_path / "new")
    take(world, where, tmp_path / "new")
    before = state_of(world, where)
    done = take(world, where, tmp_path / "old")
    assert [(item.outcome, item.said) for item in done.items] == [
        ("there", "it ends in common@0; common@1 is verified here")
    ]
    assert state_of(world, where) == before


def test_tags_and_other_refs_are_left_alone(world: World, where: Path, tmp_path: Path) -> None:
    bench = world.bench()
    for ref in ("refs/tags/common@9", "refs/notes/x", "refs/gitledger/incoming/origin/heads/common"):
        world.stranger.git(bench, "update-ref", ref, world.tip)
    world.stranger.git(bench, "bundle", "create", str(tmp_path / "b"), "--all")
    before = state_of(world, where)
    assert set(outcomes(take(world, where, tmp_path / "b")).values()) <= {"left", "there"}
    assert state_of(world, where) == before


def test_a_snapshot_that_is_forged_moves_neither_host_nor_clone(world: World, where: Path, tmp_path: Path) -> None:
    bench = world.bench()
    proposal = world.propose(world.alice, {"domains/alice/a": "a\n"})
    world.bench()
    forged = forge.snapshot(bench, world.tip, proposal, world.key("spare-1"), seconds=world.now)
    forge.set_ref(bench, "refs/heads/common", forged)
    world.stranger.git(bench, "bundle", "create", str(tmp_path / "b"), "refs/heads/common")
    before = state_of(world, where)
    if where == world.host:
        done = take(world, where, tmp_path / "b")
        assert [item.outcome for item in done.items] == ["refused"]
        assert "[" in done.items[0].said
    else:
        with pytest.raises(LedgerError):
            take(world, where, tmp_path / "b")
    assert state_of(world, where) == before
    assert is_sound(where)


@pytest.mark.long
def test_a_bit_that_flipped_anywhere_moves_nothing_that_is_not_as_it_was_signed(
    world: World, where: Path, tmp_path: Path
) -> None:
    world.propose(world.alice, {"domains/alice/a": "a\n"})
    out(world, world.host, tmp_path / "b")
    raw = (tmp_path / "b").read_bytes()
    seed = 12
    dice = random.Random(seed)
    before = state_of(world, where)
    for at in [dice.randrange(len(raw)) for _ in range(40)]:
        flipped = bytearray(raw)
        flipped[at] ^= 1 << dice.randrange(8)
        (tmp_path / "b").write_bytes(flipped)
        with pytest.raises(LedgerError) as caught:
            take(world, where, tmp_path / "b")
        assert caught.value.rule not in ("internal-error",), (seed, at)
        assert state_of(world, where) == before, (seed, at)
    assert is_sound(where)


def test_what_a_killed_run_has_left_goes_with_the_next(world: World, where: Path, tmp_path: Path) -> None:
    left = world.place(where).directory / "carrying"
    (left / "objects" / "pack").mkdir(parents=True)
    (left / "objects" / "pack" / "tmp_pack_x").write_bytes(b"half")
    out(world, world.host, tmp_path / "b")
    take(world, where, tmp_path / "b")
    assert not left.exists()


def test_inspecting_takes_nothing(world: World, where: Path, tmp_path: Path) -> None:
    oid = world.propose(world.alice, {"domains/alice/a": "a\n"}, "Better")
    world.endorse(world.james, oid, check=False)
    out(world, world.host, tmp_path / "b")
    before = state_of(world, where)
    for place in (world.place(where), None):
        found = carrier.inspect(tmp_path / "b", place)
        assert found.unread is None and found.record is not None
        assert found.snapshots == ("common@0", "common@0")
        assert found.proposals == {"refs/proposals/alice/t": ("Better",)}
    assert state_of(world, where) == before
    world.emit()
    out(world, world.host, tmp_path / "later", since="0")
    assert carrier.inspect(tmp_path / "later", world.place(where)).snapshots == ("common@1", "common@1")
    beside = carrier.inspect(tmp_path / "later", None)
    assert isinstance(beside.unread, Unsound) and beside.builds_on == ("common@0",)


def test_who_can_not_write_there_may_inspect(world: World, tmp_path: Path) -> None:
    out(world, world.host, tmp_path / "b")
    place = world.place()
    with quarantine.opened(place.directory, place.store):  # nobody else may
        assert carrier.inspect(tmp_path / "b", place).unread is None


def test_names_are_looked_for_in_so_many_commits(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "ab":
        world.propose(world.alice, {f"domains/alice/{name}": "a\n"}, name, topic=name)
    out(world, world.host, tmp_path / "b", to="witness")
    assert len([said for said in carrier.inspect(tmp_path / "b", world.place()).proposals.values() if said]) == 2
    monkeypatch.setattr(carrier, "INSPECTED_COMMITS", 2)
    found = carrier.inspect(tmp_path / "b", world.place())
    assert found.unread is not None and found.unread.rule == "bundle-commits"
    assert len(found.proposals) == 2


def test_so_many_refs_are_judged_in_a_run_and_the_next_goes_on(
    world: World, where: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(taking, "JUDGED_REFS", 2)
    bench = world.clone(world.alice)
    refs = [f"refs/proposals/alice/{name}" for name in "abc"]
    for ref in refs:
        world.alice.git(bench, "update-ref", ref, world.commit(world.alice, {f"domains/alice/{ref[-1]}": "a\n"}))
    world.alice.git(bench, "bundle", "create", str(tmp_path / "b"), *refs)
    first, second = take(world, where, tmp_path / "b"), take(world, where, tmp_path / "b")
    assert sorted(outcomes(first).values()) == ["left", "taken", "taken"] and not first.refused
    assert sorted(outcomes(second).values()) == ["taken", "there", "there"]


def test_thousands_of_endorsements_find_their_proposals_in_no_time(world: World) -> None:
    one = proposal.read(world.place().store, world.propose(world.alice, {"domains/alice/a": "a\n"}))
    oids = [f"{number:040x}" for number in range(5000)]
    waiting = Queue({f"refs/proposals/alice/t{oid}": (replace(one, oid=oid),) for oid in oids}, {}, {})
    meant = dict.fromkeys([*waiting.lines, *(f"refs/endorsements/{oid}/james" for oid in oids)], one.oid)
    began = time.monotonic()
    groups = list(offering.groups(meant, waiting))
    assert time.monotonic() - began < 2
    assert len(groups) == 5000 and all(len(group) == 2 for group in groups)


def test_what_git_can_not_set_on_a_host_is_told_and_keeps_nothing_else_away(world: World, tmp_path: Path) -> None:
    refs = {
        f"refs/proposals/alice/{name}": world.commit(world.alice, {f"domains/alice/{name}": "a\n"}) for name in "ab"
    }
    world.alice.git(tmp_path, "clone", "-q", "--bare", str(world.host), "plain.git")
    world.alice.git(tmp_path / "plain.git", "config", "receive.hideRefs", "refs/proposals/alice/a")
    bench = world.place(world.host).store.open(world.clone(world.alice))
    items = offering.pushed(bench, str(tmp_path / "plain.git"), refs)
    assert {item.ref: item.outcome for item in items} == dict(zip(refs, ("refused", "taken"), strict=True))
    assert "hidden" in items[0].said


@pytest.mark.long
def test_two_who_drafted_one_rotation_by_themselves_endorse_it_both(world: World, tmp_path: Path) -> None:
    for person, reason in ((world.alice, "Because"), (world.james, "For this")):
        clone = clone_for(world, person)
        cut_off(person, clone)
        with world.acting(person):
            place = world.place(clone)
            done = succession.endorse(
                place, person.signer(), succession.draft(place, "james", reason=reason), world.now
            )
        out(world, clone, tmp_path / person.name)
    above = f"refs/rotations/{done.waiting.hash}"
    came = [outcomes(take(world, world.host, tmp_path / name)) for name in ("alice", "james")]
    assert (came[0][f"{above}/draft"], came[0][f"{above}/alice"]) == ("taken", "taken")
    assert (came[1][f"{above}/draft"], came[1][f"{above}/james"]) == ("there", "taken")
    assert {f"{above}/alice", f"{above}/james"} <= world.place().queue_refs().keys()


def test_a_fork_on_a_stick_is_proved_on_a_host_whose_branch_stays(world: World, tmp_path: Path) -> None:
    base = world.tip
    world.propose(world.alice, {"domains/alice/a": "a\n"})
    world.emit()
    copy = tmp_path / "copy.git"
    world.stranger.git(tmp_path, "clone", "-q", "--bare", str(world.host), str(copy))
    other = forge.proposal(copy, base, {"domains/alice/b": b"b\n"}, world.alice.key, seconds=world.now)
    forked = forge.snapshot(copy, base, other, world.you.key, seconds=world.now)
    world.stranger.git(copy, "update-ref", "refs/heads/common", forked)
    world.stranger.git(copy, "bundle", "create", str(tmp_path / "b"), "refs/heads/common")
    ours = world.tip
    with pytest.raises(Fork, match="signed twice"):
        take(world, world.host, tmp_path / "b")
    assert world.tip == ours
    assert list((world.host / "gitledger" / "evidence").iterdir())


@pytest.mark.parametrize("kind", ["tree", "proposals"])
def test_a_branch_named_as_the_ledger_may_hold_anything(world: World, where: Path, tmp_path: Path, kind: str) -> None:
    first, second = (world.commit(world.alice, {f"domains/alice/{name}": "a\n"}) for name in "ab")
    bench = world.clone(world.alice)
    named = first if kind == "proposals" else world.alice.output(bench, "rev-parse", f"{first}^{{tree}}")
    copy = tmp_path / "copy.git"
    world.alice.git(tmp_path, "clone", "-q", "--bare", str(bench), str(copy))
    world.alice.git(copy, "fetch", "-q", str(bench), first, second)
    (copy / "packed-refs").unlink(missing_ok=True)
    for ref, oid in (("common", named), ("more", second)):
        (copy / "refs" / "heads" / ref).write_text(f"{oid}\n")
    world.alice.git(copy, "bundle", "create", str(tmp_path / "b"), "refs/heads/common", "refs/heads/more")
    came = {item.ref: item.outcome for item in take(world, where, tmp_path / "b").items}
    assert came.pop("refs/proposals/alice/more") == "taken"
    assert came == ({"refs/heads/common": "refused"} if kind == "tree" else {"refs/proposals/alice/common": "taken"})


def test_a_name_that_is_not_in_utf_8_keeps_nothing_else_away(world: World, where: Path, tmp_path: Path) -> None:
    one, two = (world.commit(world.alice, {f"domains/alice/{name}": "a\n"}) for name in "ab")
    bench = world.clone(world.alice)
    for name, oid in (("one", one), ("cafe", two)):
        world.alice.git(bench, "branch", name, oid)
    world.alice.git(bench, "bundle", "create", str(tmp_path / "b"), "one", "cafe")
    raw = (tmp_path / "b").read_bytes()
    (tmp_path / "b").write_bytes(raw.replace(b"refs/heads/cafe\n", b"refs/heads/caf\xe9\n"))
    assert outcomes(take(world, where, tmp_path / "b")) == {
        "refs/proposals/alice/one": "taken",
        "refs/proposals/alice/cafxe9": "taken",
    }
