"""Refs: what may be pushed where, and what may be moved and taken away (spec 2, 10, 11)."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass

import forge
import pytest
from doors import Doors
from world import ZERO, Templates, World, accepted, refused

pytestmark = pytest.mark.long

BRANCH = "refs/heads/common"
ABSENT_OID = "0" * 39 + "1"


@dataclass
class Full:
    """A host at common@1 with a proposal that waits, its endorsement, and the receipt of a withdrawn one."""

    doors: Doors
    proposal: str
    endorsement: str
    withdrawn: str
    receipt: str

    @property
    def refs(self) -> dict[str, str]:
        """The refs of the queue."""
        return {
            "refs/proposals/alice/waits": self.proposal,
            f"refs/endorsements/{self.proposal}/james": self.endorsement,
            f"refs/refusals/{self.withdrawn}": self.receipt,
        }


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory, templates: Templates) -> Full:
    world = World(tmp_path_factory.mktemp("refs"), templates)
    world.make_host(paths=["{match: standards/**, proposers: any, endorsements: 2}"])
    world.propose(world.alice, {"domains/alice/one.txt": b"one\n"})
    world.emit()
    doors = Doors(world)
    waits = doors.proposal(world.alice, {"standards/one.txt": b"one\n"})
    withdrawn = doors.proposal(world.alice, {"domains/alice/two.txt": b"two\n"})
    endorsement = doors.endorsement(world.james, waits)
    receipt = forge.withdrawal(doors.bench, withdrawn, world.alice.key, tagger=world.alice.ident)
    full = Full(doors, waits, endorsement, withdrawn, receipt)
    both = {"refs/proposals/alice/withdrawn": withdrawn, **full.refs}
    accepted(doors.pushed(both))
    assert full.refs.items() <= world.refs().items()
    return full


@pytest.fixture(scope="module")
def doors(full: Full) -> Doors:
    return full.doors


def fixed(doors: Doors) -> str:
    """An honest proposal; each is another one."""
    return doors.proposal(doors.world.alice, {"domains/alice/fix.txt": b"better\n"})


def receive(doors: Doors, *commands: tuple[str, str, str], wants: str = "") -> str:
    """Speak the protocol of `git push` by hand, as no git client would; returns all that was said."""

    def line(text: str) -> bytes:
        return f"{len(text.encode()) + 4:04x}{text}".encode()

    lines = [f"{old} {new} {ref}" + ("" if at else "\0report-status") for at, (old, new, ref) in enumerate(commands)]
    given = f"{wants}\n^{doors.tip}\n".encode() if wants else b""
    pack = forge.git(doors.bench, "pack-objects", "--revs", "--stdout", "-q", input=given)
    done = subprocess.run(
        ["git", "receive-pack", str(doors.world.host)],
        env=doors.world.stranger.env(),
        input=b"".join(map(line, lines)) + b"0000" + pack,
        capture_output=True,
        check=False,
    )
    return (done.stdout.partition(b"0000")[2] + done.stderr).decode()


# Everything outside the table

OUTSIDE = {
    "another branch": "refs/heads/main",
    "a branch that is called almost as the ledger": "refs/heads/Common",
    "a branch below the ledger's": "refs/heads/common/x",
    "a branch that looks like a snapshot": "refs/heads/common@1",
    "a ref that git reads as the ledger's": "refs/common",
    "a ref that git reads as a snapshot": "refs/common@1",
    "notes": "refs/notes/commits",
    "a stash": "refs/stash",
    "a replacement": f"refs/replace/{ABSENT_OID}",
    "a remote's branch": "refs/remotes/origin/common",
    "a pull request": "refs/pull/1/head",
    "for review": "refs/for/common",
    "a proposal without a topic": "refs/proposals/alice",
    "a proposal of two topics": "refs/proposals/alice/a/b",
    "a proposal of a domain in capitals": "refs/proposals/Alice/t",
    "a proposal of a domain that ends in a hyphen": "refs/proposals/alice-/t",
    "a proposal of a domain of 64 characters": f"refs/proposals/{'a' * 64}/t",
    "a topic in capitals": "refs/proposals/alice/Fix",
    "a topic that begins with a hyphen": "refs/proposals/alice/-t",
    "a topic that begins with an underscore": "refs/proposals/alice/_t",
    "a topic with an at sign": "refs/proposals/alice/t@1",
    "a topic in Cyrillic": "refs/proposals/alice/т",
    "a topic of 101 characters": f"refs/proposals/alice/{'t' * 101}",
    "an endorsement without a domain": f"refs/endorsements/{ABSENT_OID}",
    "an endorsement of something shorter": f"refs/endorsements/{ABSENT_OID[1:]}/alice",
    "an endorsement in capitals": f"refs/endorsements/{'A' * 40}/alice",
    "an endorsement of a sha256": f"refs/endorsements/{'a' * 64}/alice",
    "an endorsement by capitals": f"refs/endorsements/{ABSENT_OID}/Alice",
    "an endorsement by two": f"refs/endorsements/{ABSENT_OID}/alice/james",
    "a refusal by somebody": f"refs/refusals/{ABSENT_OID}/you",
    "a refusal of a name": "refs/refusals/fix",
    "a rotation without a part": f"refs/rotations/{'a' * 64}",
    "a rotation of something shorter": f"refs/rotations/{'a' * 40}/draft",
    "a rotation in capitals": f"refs/rotations/{'A' * 64}/draft",
    "a rotation's endorsement by capitals": f"refs/rotations/{'a' * 64}/Alice",
    "a rotation's draft in two parts": f"refs/rotations/{'a' * 64}/draft/alice",
    "a ref of nobody": "refs/x",
}


@pytest.fixture(scope="module")
def outside(doors: Doors) -> dict[str, str]:
    """What the host says of the table OUTSIDE, in one push of an honest proposal."""
    oid = fixed(doors)
    return doors.verdicts(dict.fromkeys((*OUTSIDE.values(), "refs/proposals/alice/fix"), oid))


@pytest.mark.parametrize("name", OUTSIDE)
def test_outside_the_table_is(outside: dict[str, str], name: str) -> None:
    assert "[ref-not-in-table]" in outside[OUTSIDE[name]]


def test_inside_the_table_a_proposal_has_nothing_said_against_it(outside: dict[str, str]) -> None:
    assert "refs/proposals/alice/fix" not in outside


@pytest.mark.parametrize("topic", ["a", "0", "t" * 100, "fix-1.2_3", "a.lock.b", "x-"])
def test_a_topic_may_be(doors: Doors, topic: str) -> None:
    doors.host_takes(fixed(doors), f"refs/proposals/alice/{topic}")


def test_a_refusal_shows_the_table(doors: Doors) -> None:
    said = doors.world.offer(fixed(doors), "refs/heads/main").stderr
    for ref in (
        "refs/heads/<name of the ledger>",
        "refs/proposals/<domain>/<topic>",
        "refs/endorsements/<proposal oid>/<domain>",
        "refs/refusals/<proposal oid>",
    ):
        assert ref in said


UNSPEAKABLE = {
    "a topic with two dots": "refs/proposals/alice/a..b",
    "a topic that is a lock": "refs/proposals/alice/x.lock",
    "a topic that ends in a dot": "refs/proposals/alice/x.",
    "a topic that begins with a dot": "refs/proposals/alice/.x",
    "a topic that is empty": "refs/proposals/alice/",
    "a domain that is empty": "refs/proposals//t",
    "a way up": "refs/proposals/alice/../../heads/common",
    "a way out": "refs/../../common.git/config",
    "HEAD": "HEAD",
    "a file of git": "config",
    "a branch without refs": "heads/common",
    "the ledger with a space": "refs/heads/common ",
    "the ledger with a carriage return": "refs/heads/common\r",
    "the ledger in the past": "refs/heads/common@{1}",
    "what a terminal obeys": "refs/proposals/alice/t\x1b[2J",
    "a second line of its own": f"refs/proposals/alice/t\n{ZERO} {ABSENT_OID} {BRANCH}",
}


@pytest.mark.parametrize("ref", UNSPEAKABLE.values(), ids=UNSPEAKABLE)
def test_what_no_git_would_push_is_refused_as_well(doors: Doors, ref: str) -> None:
    before = doors.world.refs()
    oid = fixed(doors)
    said = receive(doors, (ZERO, oid, ref), wants=oid)
    assert "pre-receive hook declined" in said
    assert "refused" in said
    assert "\x1b" not in said.replace(ref, "")
    assert doors.world.refs() == before
    doors.nothing_is_left()


def test_a_ref_that_reads_as_two_honest_ones_is_neither(world: World) -> None:
    """The hook reads two lines where git has one ref, which has no name that git would set."""
    doors = Doors(world)
    before = world.refs()
    one, two = fixed(doors), fixed(doors)
    ref = f"refs/proposals/alice/one\n{ZERO} {two} refs/proposals/alice/two"
    assert "funny refname" in receive(doors, (ZERO, one, ref), wants=f"{one}\n{two}")
    assert world.refs() == before


def test_what_is_spoken_by_hand_is_taken_where_it_is_honest(doors: Doors) -> None:
    oid = fixed(doors)
    assert "ok refs/proposals/alice/by-hand" in receive(doors, (ZERO, oid, "refs/proposals/alice/by-hand"), wants=oid)
    assert doors.world.refs()["refs/proposals/alice/by-hand"] == oid


def test_a_ref_is_pushed_once_and_from_where_it_stands(full: Full) -> None:
    doors, ref, (one, two) = full.doors, "refs/proposals/alice/twice", (fixed(full.doors), fixed(full.doors))
    before = doors.world.refs()
    assert "[ref-twice]" in receive(doors, (ZERO, one, ref), (ZERO, two, ref), wants=f"{one}\n{two}")
    waits = "refs/proposals/alice/waits"
    for old in (ZERO, one, two):
        assert "[ref-moved]" in receive(doors, (old, two, waits), wants=two)
    assert doors.world.refs() == before
    assert f"ok {ref}" in receive(doors, (ZERO, one, ref), wants=one)


# Tags, and what the host keeps for itself

HIDDEN: dict[str, Callable[[Doors], tuple[str, str]]] = {
    "a tag of the next snapshot": lambda doors: (fixed(doors), "refs/tags/common@2"),
    "a tag that is moved": lambda doors: (doors.world.oid(0), "refs/tags/common@1"),
    "a tag that is deleted": lambda doors: ("", "refs/tags/common@1"),
    "a tag of its own name": lambda doors: (fixed(doors), "refs/tags/v1"),
    "a tag object": lambda doors: (doors.endorsement(doors.world.james, fixed(doors)), "refs/tags/common@3"),
}


@pytest.mark.parametrize("name", HIDDEN)
def test_a_tag_is_never_pushed(doors: Doors, name: str) -> None:
    oid, ref = HIDDEN[name](doors)
    assert "a hidden ref" in doors.host_refuses(oid, "ref-not-in-table", ref).stderr


@pytest.mark.parametrize("name", HIDDEN)
def test_a_tag_is_not_pushed_either_where_the_pusher_has_git_hide_none(doors: Doors, name: str) -> None:
    oid, ref = HIDDEN[name](doors)
    shown = "--receive-pack=git -c receive.hideRefs=!refs/tags receive-pack"
    refused(doors.world.push(doors.world.you, doors.bench, f"+{oid}:{ref}", options=[shown]), "ref-not-in-table")


def test_what_the_host_keeps_for_itself_is_nobody_else_s(doors: Doors) -> None:
    doors.host_refuses(fixed(doors), "ref-not-in-table", "refs/gitledger/incoming/x")


@pytest.mark.parametrize("how", ["--tags", "--follow-tags", "--mirror"])
def test_a_push_that_drags_tags_along_is_refused_whole(world: World, how: str) -> None:
    doors = Doors(world)
    oid = fixed(doors)
    forge.set_ref(doors.bench, "refs/proposals/alice/along", oid)
    tag = forge.tag(doors.bench, oid, "mine", "Mine\n", world.alice.key)
    forge.set_ref(doors.bench, "refs/tags/mine", tag)
    refspecs = [] if how == "--mirror" else ["refs/proposals/alice/along"]
    refused(world.push(world.alice, doors.bench, *refspecs, options=[how]), "ref-not-in-table")
    accepted(world.push(world.alice, doors.bench, "refs/proposals/alice/along"))


# What stands stays


@pytest.mark.parametrize("what", ["the branch", "a proposal", "an endorsement", "a receipt"])
def test_nothing_goes_by_a_push(full: Full, what: str) -> None:
    refs = dict(zip(("a proposal", "an endorsement", "a receipt"), full.refs, strict=True))
    full.doors.host_refuses("", "deletion", refs.get(what, BRANCH))


MOVES: dict[str, tuple[str, Callable[[Full], str]]] = {
    "back to an older snapshot": ("not-forward", lambda full: full.doors.world.oid(0)),
    "to a proposal": ("not-a-snapshot", lambda full: full.proposal),
    "to the proposal that it accepted": (
        "not-a-snapshot",
        lambda full: forge.parents(full.doors.bench, full.doors.tip)[1],
    ),
    "to another genesis": (
        "not-forward",
        lambda full: forge.genesis(full.doors.bench, {"you": full.doors.world.you.key}),
    ),
    "to a snapshot of another line": (
        "not-forward",
        lambda full: forge.snapshot(full.doors.bench, full.doors.world.oid(0), full.proposal, full.doors.world.you.key),
    ),
}


@pytest.mark.parametrize("name", MOVES)
def test_the_branch_does_not_move(full: Full, name: str) -> None:
    rule, oid = MOVES[name]
    full.doors.host_refuses(oid(full), rule)


def test_the_branch_moves_forward(world: World) -> None:
    doors = Doors(world)
    doors.host_refuses(fixed(doors), "not-a-snapshot")
    doors.host_takes(doors.snapshot(fixed(doors)))
    assert world.snapshots() == ["common@0", "common@1"]


KINDS: dict[str, tuple[str, Callable[[Full], str]]] = {
    "a tag for a proposal": ("refs/proposals/alice/kind", lambda full: full.endorsement),
    "a tree for a proposal": ("refs/proposals/alice/kind", lambda full: f"{full.proposal}^{{tree}}"),
    "a blob for a proposal": ("refs/proposals/alice/kind", lambda full: f"{full.proposal}:.gitattributes"),
    "a commit for an endorsement": ("refs/endorsements/{}/alice", lambda full: full.proposal),
    "a tree for an endorsement": ("refs/endorsements/{}/alice", lambda full: f"{full.proposal}^{{tree}}"),
    "a commit for a receipt": ("refs/refusals/{}", lambda full: full.proposal),
    "a tag for a snapshot": (BRANCH, lambda full: full.endorsement),
    "a tree for a snapshot": (BRANCH, lambda full: f"{full.proposal}^{{tree}}"),
}


@pytest.mark.parametrize("name", KINDS)
def test_a_ref_does_not_take(full: Full, name: str) -> None:
    ref, what = KINDS[name]
    oid = forge.git(full.doors.bench, "rev-parse", what(full)).decode().strip()
    full.doors.host_refuses(oid, "object-kind", ref.format(full.proposal))


# Symbolic refs


def test_a_host_whose_branch_is_a_symbolic_ref_takes_nothing(world: World) -> None:
    doors = Doors(world)
    branch = world.host / BRANCH
    there = branch.read_text()
    branch.with_name("other").write_text(there)
    branch.write_text("ref: refs/heads/other\n")
    proposal = fixed(doors)
    doors.host_refuses(proposal, "symbolic-branch", "refs/proposals/alice/fix")
    doors.host_refuses(doors.snapshot(proposal), "symbolic-branch")
    assert branch.read_text() == "ref: refs/heads/other\n"
    branch.write_text(there)
    branch.with_name("other").unlink()
    doors.host_takes(proposal, "refs/proposals/alice/fix")


def test_a_push_does_not_reach_the_branch_by_a_symbolic_ref(world: World) -> None:
    doors = Doors(world)
    link = world.host / "refs" / "proposals" / "alice" / "fix"
    link.parent.mkdir(parents=True)
    link.write_text(f"ref: {BRANCH}\n")
    doors.host_refuses(fixed(doors), "symbolic-ref", "refs/proposals/alice/fix")
    assert world.tip == world.oid(0)
    link.unlink()
    doors.host_takes(fixed(doors), "refs/proposals/alice/fix")
