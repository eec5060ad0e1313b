"""What waits on a forge is collected as if it had been pushed; what is no proposal costs little (spec 12)."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import forge
import pytest
from world import Person, World

from gitledger.errors import LedgerError, Refused, Unreachable, Usage
from gitledger.roles import collecting, consumer, taking
from gitledger.roles.collecting import Collected

PULLS = "refs/pull/*/head"


class Forge:
    """A bare repository without hooks, a mirror of the ledger, to which pull requests are opened by a plain push."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.path = world.path / "forge.git"
        world.stranger.git(world.path, "clone", "-q", "--mirror", str(world.host), str(self.path))

    def pull(self, number: int, oid: str, by: Person) -> None:
        by.git(self.world.clone(by), "push", "-q", str(self.path), f"+{oid}:refs/pull/{number}/head")

    def change(self, by: Person, number: int, path: str = "", **how: object) -> str:
        """A change of their own domain, as a pull request."""
        oid = self.world.commit(by, {path or f"domains/{by.name}/{number}": f"{number}\n"}, **how)  # type: ignore[arg-type]
        self.pull(number, oid, by)
        return oid


@pytest.fixture
def there(world: World) -> Forge:
    return Forge(world)


@pytest.fixture(params=["host", "clone"])
def where(request: pytest.FixtureRequest, world: World) -> Path:
    return world.host if request.param == "host" else clone_for(world)


def clone_for(world: World) -> Path:
    path = world.james.home / "ledger"
    with world.acting(world.james):
        consumer.clone(str(world.host), path, world.anchor, now=world.now)
    return path


def collect(world: World, where: Path, remote: Path | str, *refspecs: str) -> Collected:
    return collecting.collect(world.place(where), str(remote), refspecs or (PULLS,), world.tick())


def outcomes(done: Collected) -> dict[str, tuple[str, str]]:
    return {source: (item.ref, item.outcome) for source, item in done.items}


def counts(done: Collected) -> dict[str, int]:
    return {why: len(refs) for why, refs in done.left.items()}


def is_clean(world: World, where: Path) -> bool:
    fsck = subprocess.run(["git", "-C", where, "fsck", "--strict"], capture_output=True, check=False).returncode
    return fsck == 0 and not (world.place(where).directory / "carrying").exists()


def test_pull_requests_that_are_proposals_join_the_queue_and_are_told_once(
    world: World, there: Forge, where: Path
) -> None:
    one, two = there.change(world.alice, 7), there.change(world.james, 12)
    there.change(world.stranger, 9, sign=False)
    done = collect(world, where, there.path)
    assert outcomes(done) == {
        "refs/pull/7/head": ("refs/proposals/alice/pull-7", "taken"),
        "refs/pull/12/head": ("refs/proposals/james/pull-12", "taken"),
    }
    assert counts(done) == {collecting.NOT_SIGNED: 1}
    queue = {"refs/proposals/alice/pull-7": one, "refs/proposals/james/pull-12": two}
    assert world.place(where).queue_refs() == queue
    again = collect(world, where, there.path)
    assert (again.items, again.left, again.known, again.later) == ((), {}, 3, 0)
    assert world.place(where).queue_refs() == queue
    assert is_clean(world, where)


def test_a_later_version_of_a_pull_request_replaces_the_one_before(world: World, there: Forge, where: Path) -> None:
    there.change(world.alice, 7)
    collect(world, where, there.path)
    world.tick(60)
    later = there.change(world.alice, 7, "domains/alice/other")
    assert outcomes(collect(world, where, there.path)) == {"refs/pull/7/head": ("refs/proposals/alice/pull-7", "taken")}
    assert world.place(where).queue_refs() == {"refs/proposals/alice/pull-7": later}


@pytest.mark.long
def test_what_was_numbered_is_known_without_a_memory(world: World, there: Forge) -> None:
    oid = there.change(world.alice, 7)
    collect(world, world.host, there.path)
    world.emit(oid)
    (world.host / "gitledger" / "collected.json").unlink()
    again = collect(world, world.host, there.path)
    assert (again.items, again.known) == ((), 1)


def test_what_was_withdrawn_is_not_collected_again(world: World, there: Forge) -> None:
    there.change(world.alice, 7)
    collect(world, world.host, there.path)
    forge.git(world.host, "-c", "core.hooksPath=/dev/null", "update-ref", "-d", "refs/proposals/alice/pull-7")
    again = collect(world, world.host, there.path)
    assert (again.items, again.known) == ((), 1)


def test_one_that_is_refused_is_said_with_the_reason_and_keeps_no_other_away(
    world: World, there: Forge, where: Path
) -> None:
    there.change(world.alice, 1, "domains/james/mine")
    good = there.change(world.alice, 2)
    done = collect(world, where, there.path)
    assert outcomes(done) == {
        "refs/pull/1/head": ("refs/proposals/alice/pull-1", "refused"),
        "refs/pull/2/head": ("refs/proposals/alice/pull-2", "taken"),
    }
    assert "[other-domains-path]" in " ".join(done.refused[0].said.split())
    assert world.place(where).queue_refs() == {"refs/proposals/alice/pull-2": good}
    again = collect(world, where, there.path)
    assert (again.items, again.known) == ((), 2)


@pytest.mark.long
def test_a_line_and_a_merge_of_a_member_are_judged_and_unrelated_history_is_left(
    world: World, there: Forge, where: Path
) -> None:
    first = world.commit(world.alice, {"domains/alice/a": "a\n"})
    second = world.commit(world.alice, {"domains/alice/b": "b\n"}, base=first)
    there.pull(1, second, world.alice)
    clone = world.clone(world.alice)
    merge = world.alice.output(
        clone, "commit-tree", "-S", "-p", second, "-p", world.tip, "-m", "Merge", f"{second}^{{tree}}"
    )
    there.pull(2, merge, world.alice)
    elsewhere = world.alice.output(clone, "commit-tree", "-S", "-m", "Root", f"{second}^{{tree}}")
    there.pull(3, elsewhere, world.alice)
    done = collect(world, where, there.path)
    assert outcomes(done)["refs/pull/1/head"] == ("refs/proposals/alice/pull-1", "taken")
    assert outcomes(done)["refs/pull/2/head"][1] == "refused"
    assert counts(done) == {collecting.ELSEWHERE: 1}


def test_who_is_no_member_is_left_and_a_registration_is_taken_for_the_domain_that_it_makes(
    world: World, there: Forge, where: Path
) -> None:
    there.change(world.stranger, 1)
    key = (world.stranger.key.with_suffix(".pub")).read_text().rsplit(" ", 1)[0].strip()
    manifest = (
        "artifact_type: asl.domain.manifest\nversion: 0.1\ndomain_id: boats\n"
        f"keys:\n  - {{name: root, key: {' '.join(key.split()[:2])}, roles: [root, publisher]}}\n"
    )
    oid = world.commit(world.stranger, {"domains/boats/domain.yaml": manifest})
    there.pull(2, oid, world.stranger)
    done = collect(world, where, there.path)
    assert counts(done) == {collecting.NO_DOMAIN: 1}
    assert outcomes(done) == {"refs/pull/2/head": ("refs/proposals/boats/pull-2", "taken")}


@pytest.mark.long
def test_whose_key_no_domain_has_is_looked_at_again_once_the_ledger_has_moved(world: World, there: Forge) -> None:
    there.change(world.stranger, 1)
    assert counts(collect(world, world.host, there.path)) == {collecting.NO_DOMAIN: 1}
    assert collect(world, world.host, there.path).known == 1
    world.propose(world.you, {"domains/you/a": "a\n"})
    world.emit()
    assert counts(collect(world, world.host, there.path)) == {collecting.NO_DOMAIN: 1}


def test_branches_of_a_fork_are_collected_by_their_names_and_its_snapshots_are_not(
    world: World, there: Forge, where: Path
) -> None:
    clone = world.clone(world.alice)
    one, two = (world.commit(world.alice, {f"domains/alice/{name}": "x\n"}) for name in "ab")
    world.alice.git(
        clone, "push", "-q", str(there.path), f"{one}:refs/heads/alice/Fix_it", f"{two}:refs/proposals/alice/x"
    )
    done = collect(world, where, there.path, "refs/heads/*", "refs/proposals/*")
    assert outcomes(done) == {
        "refs/heads/alice/Fix_it": ("refs/proposals/alice/fix_it", "taken"),
        "refs/proposals/alice/x": ("refs/proposals/alice/x", "taken"),
    }
    assert world.place(where).verified.number == 0


def test_endorsements_come_with_their_proposal(world: World, there: Forge, where: Path) -> None:
    oid = world.propose(world.alice, {"domains/alice/a": "a\n"}, push=False)
    there.pull(3, oid, world.alice)
    world.james.git(world.clone(world.james), "fetch", "-q", str(there.path), oid)
    tag = world.endorse(world.james, oid, push=False)
    ref = f"refs/endorsements/{oid}/james"
    world.james.git(world.clone(world.james), "push", "-q", str(there.path), f"{tag}:{ref}")
    done = collect(world, where, there.path, PULLS, "refs/endorsements/*")
    assert {outcome for _, outcome in outcomes(done).values()} == {"taken"}
    assert set(world.place(where).queue_refs()) == {"refs/proposals/alice/pull-3", ref}


@pytest.mark.long
def test_one_that_can_not_be_fetched_keeps_no_other_away(world: World, there: Forge, where: Path) -> None:
    """One whose objects git refuses, and one whose objects the server lacks."""
    good = [there.change(world.alice, number) for number in (1, 2, 5, 6)]
    tree = forge.git(
        there.path, "hash-object", "-t", "tree", "--literally", "-w", "--stdin", input=b"100644 .git\0" + b"\1" * 20
    )
    text = b"tree %s\nauthor a <a@b> 1 +0000\ncommitter a <a@b> 1 +0000\n\nx\n" % tree.strip()
    bad = (
        forge.git(there.path, "hash-object", "-t", "commit", "--literally", "-w", "--stdin", input=text)
        .decode()
        .strip()
    )
    forge.git(there.path, "update-ref", "refs/pull/3/head", bad)
    gone = there.change(world.james, 4)
    blob = forge.git(there.path, "rev-parse", f"{gone}:domains/james/4").decode().strip()
    (there.path / "objects" / blob[:2] / blob[2:]).unlink()
    done = collect(world, where, there.path)
    taken = {source for source, (_, outcome) in outcomes(done).items() if outcome == "taken"}
    assert taken == {f"refs/pull/{number}/head" for number in (1, 2, 5, 6)}
    assert sorted(world.place(where).queue_refs().values()) == sorted(good)
    assert is_clean(world, where)


def test_one_that_is_too_large_keeps_no_other_away(
    world: World, there: Forge, where: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collecting, "COLLECT_BYTES", 100_000)
    there.change(world.alice, 1)
    clone = world.clone(world.james)
    big = clone / "big"
    big.write_bytes(random.Random(4).randbytes(400_000))
    world.james.git(clone, "add", "big")
    world.james.git(clone, "commit", "-q", "-S", "-m", "Big")
    there.pull(2, world.james.output(clone, "rev-parse", "HEAD"), world.james)
    done = collect(world, where, there.path)
    assert outcomes(done)["refs/pull/1/head"][1] == "taken"
    assert outcomes(done)["refs/pull/2/head"][1] == "refused" and done.refused[0].said.endswith("[too-much-sent]")
    assert is_clean(world, where)


@pytest.mark.long
def test_so_many_are_fetched_in_a_run_the_newest_first_and_the_next_goes_on(
    world: World, there: Forge, where: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collecting, "COLLECT_REFS", 2)
    there.change(world.alice, 2)
    for number in (9, 10, 11):
        there.change(world.stranger, number, sign=False)
    first = collect(world, where, there.path)
    assert (first.left, first.later) == ({collecting.NOT_SIGNED: ("refs/pull/11/head", "refs/pull/10/head")}, 2)
    second = collect(world, where, there.path)
    assert (second.known, second.later) == (2, 0)
    assert outcomes(second)["refs/pull/2/head"][1] == "taken"


@pytest.mark.long
def test_thousands_of_ordinary_pull_requests_cost_seconds_and_then_nothing(world: World, there: Forge) -> None:
    base = world.tip
    stream = "".join(
        f"commit refs/pull/{number}/head\ncommitter a <a@b> {number} +0000\ndata 2\nx\n"
        f"from {base}\nM 100644 inline f\ndata 6\n{number:05}\n\n"
        for number in range(1, 5001)
    )
    forge.git(there.path, "fast-import", "--quiet", input=stream.encode())
    there.change(world.alice, 2500)
    done = collect(world, world.host, there.path)
    assert counts(done) == {collecting.NOT_SIGNED: 4999}
    assert outcomes(done) == {"refs/pull/2500/head": ("refs/proposals/alice/pull-2500", "taken")}
    again = collect(world, world.host, there.path)
    assert (again.items, again.known, again.left) == ((), 5000, {})


def test_what_a_killed_run_left_goes_and_nothing_is_lost(world: World, there: Forge, where: Path) -> None:
    there.change(world.alice, 1)
    left = world.place(where).directory / "carrying" / "objects"
    left.mkdir(parents=True)
    (left / "junk").write_bytes(b"junk")
    (world.place(where).directory / "collected.json").write_bytes(b'{"half')
    assert outcomes(collect(world, where, there.path))["refs/pull/1/head"][1] == "taken"
    assert is_clean(world, where)


def test_a_forge_that_does_not_answer_is_said(world: World, where: Path) -> None:
    with pytest.raises(Unreachable):
        collect(world, where, world.path / "nowhere.git")
    assert is_clean(world, where)


@pytest.mark.parametrize(
    "refspec",
    [
        "pull/7/head",
        "refs/*/x/*",
        "+refs/pull/*/head",
        "refs/pull/7/head:refs/heads/common",
        "refs/../x",
        "",
        "refs/[a]",
    ],
)
def test_a_refspec_is_a_full_ref_or_a_pattern_with_one_star(world: World, refspec: str) -> None:
    with pytest.raises(Usage, match="collect-refspec"):
        collect(world, world.host, world.host, refspec)


def test_no_ref_of_a_clone_but_those_that_are_kept_moves(world: World, there: Forge) -> None:
    clone = clone_for(world)
    before = world.refs(clone)
    there.change(world.alice, 1)
    forge.git(there.path, "update-ref", "refs/pull/2/head", "refs/pull/1/head")
    forge.git(there.path, "tag", "common@1", "refs/pull/1/head")
    collect(world, clone, there.path)
    new = {ref for ref in world.refs(clone) if ref not in before}
    assert all(ref.startswith("refs/gitledger/incoming/carried/proposals/alice/") for ref in new) and len(new) == 1
    assert not (clone / ".git" / "FETCH_HEAD").exists()


def test_only_one_collects_at_a_time(world: World, there: Forge) -> None:
    from gitledger.exchange import quarantine

    place = world.place()
    with quarantine.opened(place.directory, place.store), pytest.raises(LedgerError, match="being-carried"):
        collect(world, world.host, there.path)


def test_a_key_counts_for_nothing_beside_a_commit_that_it_did_not_sign(world: World, there: Forge) -> None:
    """Whoever copies a member's signature is told from it at once, however long the line is that it ends."""
    oid = there.change(world.alice, 1)
    content = forge.git(there.path, "cat-file", "commit", oid).replace(b"\n\n", b"\n\nNot ", 1)
    copied = forge.git(there.path, "hash-object", "-t", "commit", "-w", "--stdin", input=content).decode().strip()
    forge.git(there.path, "update-ref", "refs/pull/2/head", copied)
    done = collect(world, world.host, there.path)
    assert done.left == {collecting.FORGED: ("refs/pull/2/head",)}
    assert outcomes(done) == {"refs/pull/1/head": ("refs/proposals/alice/pull-1", "taken")}


def test_strangers_are_looked_into_so_many_in_a_run_and_after_members(
    world: World, there: Forge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(taking, "JUDGED_REFS", 1)
    there.change(world.alice, 1)
    for number in (2, 3):
        there.change(world.stranger, number)
    first = collect(world, world.host, there.path)
    assert outcomes(first) == {"refs/pull/1/head": ("refs/proposals/alice/pull-1", "taken")}
    assert (first.left, first.later) == ({}, 2)
    second = collect(world, world.host, there.path)
    assert (second.left, second.later) == ({collecting.NO_DOMAIN: ("refs/pull/3/head",)}, 1)
    third = collect(world, world.host, there.path)
    assert (third.left, third.later) == ({collecting.NO_DOMAIN: ("refs/pull/2/head",)}, 0)


def test_what_there_is_no_time_to_look_into_is_left_to_the_next_run(world: World) -> None:
    oid = world.propose(world.alice, {"domains/alice/a": "a\n"})
    place = world.place()
    assert collecting._Look(place, float("inf")).into("refs/pull/1/head", oid, "", room=True) == ""
    assert collecting._Look(place, 0.0).into("refs/pull/1/head", oid, "", room=True) is None


def test_a_long_line_beside_a_proposal_does_not_hide_where_it_stands(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What leads too far down says nothing of the commits that it passes."""
    good = world.propose(world.alice, {"domains/alice/a": "a\n"})
    place = world.place()
    top = good
    tree = forge.git(world.host, "rev-parse", f"{good}^{{tree}}").decode().strip()
    for _ in range(place.verified.state.policy.limits.pending_per_domain):
        top = forge.commit(world.host, tree, [top], "Up\n", None)
    look = collecting._Look(place, float("inf"))
    monkeypatch.setattr(collecting, "_DEEPEST", 0)
    assert look.into("refs/pull/2/head", top, "", room=True) == collecting.ELSEWHERE
    assert look.into("refs/pull/1/head", good, "", room=True) == ""


def test_what_the_host_s_git_can_not_set_keeps_nothing_else_away(world: World, there: Forge) -> None:
    forge.git(world.host, "config", "receive.hideRefs", "refs/proposals/alice")
    there.change(world.alice, 1)
    there.change(world.james, 2)
    done = collect(world, world.host, there.path)
    assert {source: outcome for source, (_, outcome) in outcomes(done).items()} == {
        "refs/pull/1/head": "refused",
        "refs/pull/2/head": "taken",
    }
    assert "hidden" in done.refused[0].said


def test_a_run_that_fails_remembers_what_it_left_and_tells_the_rest_the_next_time(
    world: World, there: Forge, monkeypatch: pytest.MonkeyPatch
) -> None:
    there.change(world.stranger, 1, sign=False)
    there.change(world.alice, 2)
    clone = clone_for(world)
    with monkeypatch.context() as patched, pytest.raises(Refused, match="too-many-carried"):
        patched.setattr(consumer, "QUEUE_LIMIT", 0)
        collect(world, clone, there.path)
    again = collect(world, clone, there.path)
    assert (again.known, again.left) == (1, {})
    assert outcomes(again) == {"refs/pull/2/head": ("refs/proposals/alice/pull-2", "taken")}


@pytest.mark.long
def test_a_branch_named_as_the_ledger_that_holds_no_snapshot_holds_proposals(world: World, where: Path) -> None:
    there = Forge(world)
    oid = world.commit(world.alice, {"domains/alice/a": "a\n"})
    world.alice.git(world.clone(world.alice), "push", "-q", str(there.path), f"+{oid}:refs/heads/common")
    done = collect(world, where, there.path, "refs/heads/*")
    assert outcomes(done) == {"refs/heads/common": ("refs/proposals/alice/common", "taken")}
    assert world.place(where).verified.number == 0


@pytest.mark.long
def test_two_forges_do_not_replace_what_came_from_each_other(world: World, there: Forge, where: Path) -> None:
    one = there.change(world.alice, 7)
    other = world.path / "other.git"
    world.stranger.git(world.path, "clone", "-q", "--mirror", str(there.path), str(other))
    world.tick(60)
    two = world.commit(world.alice, {"domains/alice/two": "2\n"})
    push = ("push", "-q", str(other))
    world.alice.git(world.clone(world.alice), *push, f"+{two}:refs/pull/7/head")
    collect(world, where, there.path)
    assert outcomes(collect(world, where, other)) == {"refs/pull/7/head": ("refs/proposals/alice/pull-7-2", "taken")}
    assert world.place(where).queue_refs() == {"refs/proposals/alice/pull-7": one, "refs/proposals/alice/pull-7-2": two}
    world.tick(60)
    three = world.commit(world.alice, {"domains/alice/three": "3\n"})
    world.alice.git(world.clone(world.alice), *push, f"+{three}:refs/pull/7/head")
    collect(world, where, other)
    assert world.place(where).queue_refs()["refs/proposals/alice/pull-7-2"] == three


def test_a_copy_of_a_pull_request_does_not_name_it(world: World, there: Forge) -> None:
    oid = there.change(world.alice, 1)
    there.pull(3, oid, world.alice)
    done = collect(world, world.host, there.path)
    assert outcomes(done) == {"refs/pull/1/head": ("refs/proposals/alice/pull-1", "taken")}
    assert (done.left, done.known) == ({collecting.SAME: ("refs/pull/3/head",)}, 0)
    assert collect(world, world.host, there.path).known == 2
    assert world.place().queue_refs() == {"refs/proposals/alice/pull-1": oid}


def test_a_branch_of_any_name_is_taken_or_left_with_a_sentence(world: World, there: Forge) -> None:
    names = ("gr\u00fc\u00dfe", "\u0436")
    oids = [world.commit(world.alice, {f"domains/alice/{number}": "x\n"}) for number in (1, 2, 3)]
    for name, oid in zip((*names, "x"), oids, strict=True):
        world.alice.git(world.clone(world.alice), "push", "-q", str(there.path), f"{oid}:refs/heads/{name}")
    packed = there.path / "refs" / "heads"
    (packed / "x").rename(packed / "caf\udce9")
    done = collect(world, world.host, there.path, "refs/heads/*")
    assert outcomes(done) == {
        f"refs/heads/{names[0]}": ("refs/proposals/alice/gre", "taken"),
        f"refs/heads/{names[1]}": ("refs/proposals/alice/change", "taken"),
    }
    assert done.left == {collecting.ODD_NAME: ("refs/heads/caf\ufffd",)}


@pytest.mark.long
def test_why_a_member_s_commit_is_not_taken_is_said_as_it_is(world: World, there: Forge) -> None:
    base, key = world.tip, world.alice.key

    def pull(number: int, **how: object) -> None:
        oid = forge.proposal(there.path, base, {"domains/alice/a": b"x"}, key, seconds=world.now, **how)  # type: ignore[arg-type]
        at = there.path / "refs" / "pull" / str(number)
        at.mkdir(parents=True)
        (at / "head").write_text(f"{oid}\n")

    pull(1)
    pull(2, parents=[base, base])
    pull(3, message="\x1b[31mRed\n")
    pull(4, tree="d" * 40)
    done = collect(world, world.host, there.path)
    said = {source: item.said for source, item in done.items if item.outcome == "refused"}
    assert said.keys() == {"refs/pull/2/head", "refs/pull/3/head"}
    assert "[proposal-parents]" in said["refs/pull/2/head"]
    assert "[summary-control]" in said["refs/pull/3/head"]
    assert (done.left, done.later) == ({collecting.UNSENT: ("refs/pull/4/head",)}, 0)


def test_a_line_that_is_too_long_is_of_this_ledger(world: World) -> None:
    good = world.propose(world.alice, {"domains/alice/a": "a\n"})
    place, top = world.place(), good
    tree = forge.git(world.host, "rev-parse", f"{good}^{{tree}}").decode().strip()
    for _ in range(place.verified.state.policy.limits.pending_per_domain + 5):
        top = forge.commit(world.host, tree, [top], "Up\n", None)
    assert collecting._Look(place, float("inf")).into("refs/pull/2/head", top, "", room=True) == ""
