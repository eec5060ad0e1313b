"""What strangers may send to a host costs it bounded memory and time, and is refused by the limit's name (limits.md).

Each is a push that is larger inside than outside, as git's own `receive-pack` takes it: git's memory and the hook's are
measured together, and nothing of it stays but garbage that git's upkeep takes away.
"""

from __future__ import annotations

import hashlib
import re
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import forge
import pytest
from bombs import MIB, ZERO, Ran, copies, packed, proposing, raw_entries, receive, tree_bytes
from world import World

pytestmark = pytest.mark.long

REF = "refs/proposals/alice/t"
PEAK = 160
"""How many MiB a process may have at most; Python with the hook's modules has 45."""

SECONDS = 60
"""How long anything may take; the slowest takes a tenth of it, on a machine that does nothing else."""


@dataclass(frozen=True)
class Aim:
    """What is shot at: a host, alice's key, and where the pack is written."""

    world: World
    pack: Path

    @property
    def host(self) -> Path:
        return self.world.host

    @property
    def key(self) -> Path:
        return self.world.alice.key

    @property
    def head(self) -> str:
        return self.world.tip

    def header(self, *parents: str) -> bytes:
        tree, who = forge.git(self.host, "rev-parse", "HEAD^{tree}").decode().strip(), forge.ident("someone")
        lines = "".join(f"parent {one}\n" for one in parents)
        return f"tree {tree}\n{lines}author {who}\ncommitter {who}\n\n".encode()

    def push(self, *updates: tuple[str, str], memory: int = 0) -> Ran:
        return receive(self.host, [(ZERO, oid, ref) for oid, ref in updates], self.pack, memory=memory)


@pytest.fixture
def aim(world: World, tmp_path: Path) -> Aim:
    return Aim(world, tmp_path / "bomb.pack")


def refused(ran: Ran, rule: str, peak: float = PEAK) -> None:
    """Assert that it was refused for this rule, in bounded memory and time."""
    assert f"[{rule}]" in re.sub(r"\s+", " ", ran.said), ran.said[-2000:]
    assert "Traceback" not in ran.said
    assert "internal error" not in ran.said
    assert "\nok refs/" not in re.sub(r"[0-9a-f]{4}(?=ok )", "", ran.said)
    assert ran.peak < peak, f"{ran.peak:.0f} MiB"
    assert ran.seconds < SECONDS, f"{ran.seconds:.0f} s"


# What one proposal holds


def zeros(aim: Aim, size: int) -> str:
    with packed(aim.pack, 5) as pack:
        return proposing(pack, aim.host, (b"100644", b"zero", pack.zeros(size * MIB)), aim.key)


def wide(aim: Aim, entries: int) -> str:
    with packed(aim.pack, 6) as pack:
        blob = bytes.fromhex(pack.add("blob", b"1\n"))
        many = pack.add("tree", tree_bytes((b"100644", b"%07d" % each, blob) for each in range(entries)))
        return proposing(pack, aim.host, (b"40000", b"many", many), aim.key)


def unfolding(aim: Aim, times: int) -> str:
    """Two trees that are `times` × `times` paths."""
    with packed(aim.pack, 7) as pack:
        entry = (b"100644", bytes.fromhex(pack.add("blob", b"1\n")))
        for _ in range(2):
            tree = pack.add("tree", tree_bytes((entry[0], b"%04d" % each, entry[1]) for each in range(times)))
            entry = (b"40000", bytes.fromhex(tree))
        return proposing(pack, aim.host, (b"40000", b"many", tree), aim.key)


def deep(aim: Aim, levels: int) -> str:
    with packed(aim.pack, levels + 5) as pack:
        entry = (b"100644", b"a", bytes.fromhex(pack.add("blob", b"1\n")))
        for _ in range(levels):
            entry = (b"40000", b"a", bytes.fromhex(pack.add("tree", tree_bytes([entry]))))
        return proposing(pack, aim.host, (b"40000", b"a", entry[2].hex()), aim.key)


def talkative(aim: Aim, size: int) -> str:
    """A commit with a message of so many MiB."""
    with packed(aim.pack, 1) as pack:
        head = aim.header(aim.head)
        pieces = (head, *[b"x" * MIB] * size)
        return pack.stream("commit", pieces, len(head) + size * MIB)


def merging(aim: Aim, parents: int) -> str:
    head = aim.header(aim.head)
    with packed(aim.pack, parents + 1) as pack:
        every = [pack.add("commit", head + b"%d\n" % each) for each in range(parents)]
        return pack.add("commit", aim.header(*every) + b"x\n")


def line(aim: Aim, commits: int) -> str:
    with packed(aim.pack, commits) as pack:
        oid = aim.head
        tree, who = forge.git(aim.host, "rev-parse", "HEAD^{tree}").decode().strip(), forge.ident("someone")
        for each in range(commits):
            raw = f"tree {tree}\nparent {oid}\nauthor {who}\ncommitter {who}\n\n{each}\n"
            oid = pack.add("commit", raw.encode())
        return oid


def tags(aim: Aim, length: int) -> str:
    """A tag on a tag on a tag …, and on the newest snapshot at last."""
    with packed(aim.pack, length) as pack:
        oid, kind, who = aim.head, "commit", forge.ident("someone")
        for each in range(length):
            oid, kind = pack.add("tag", f"object {oid}\ntype {kind}\ntag {each}\ntagger {who}\n\nx\n".encode()), "tag"
        return oid


BOMBS: dict[Callable[[Aim, int], str], tuple[int, int, str]] = {
    zeros: (64, 2048, "proposal-bytes"),
    wide: (100_000, 1_000_000, "too-many-paths"),
    unfolding: (100, 1000, "too-many-paths"),
    deep: (10_000, 100_000, "path-length"),
    talkative: (17, 100, "object-too-large"),
    merging: (10_000, 50_000, "proposal-parents"),
    line: (10_000, 100_000, "too-many-pending"),
    tags: (1000, 10_000, "object-kind"),
}
"""Each with a size that is too large, one that is far too large, and the rule that refuses both."""


@pytest.mark.parametrize("bomb", BOMBS, ids=lambda bomb: bomb.__name__)
def test_what_is_too_large_is_refused_in_bounded_memory(aim: Aim, bomb: Callable[[Aim, int], str]) -> None:
    size, _, rule = BOMBS[bomb]
    before = aim.world.refs()
    refused(aim.push((bomb(aim, size), REF)), rule)
    assert aim.world.refs() == before


@pytest.mark.parametrize("bomb", BOMBS, ids=lambda bomb: bomb.__name__)
def test_what_is_far_too_large_takes_hardly_more(aim: Aim, bomb: Callable[[Aim, int], str]) -> None:
    _, size, rule = BOMBS[bomb]
    refused(aim.push((bomb(aim, size), REF)), rule)


# What git itself takes to unpack: bounded by what the server gives a process


def repeating(aim: Aim, times: int) -> str:
    """A blob of `times` × 15 MiB, as a few bytes that say how to make it of another; it needs all of it in memory."""
    base = 15 * MIB
    piece, named = bytes(base), hashlib.sha1(f"blob {base * times}\0".encode())
    for _ in range(times):
        named.update(piece)
    with packed(aim.pack, 6) as pack:
        pack.delta(pack.zeros(base), copies(base, times))
        return proposing(pack, aim.host, (b"100644", b"big", named.hexdigest()), aim.key)


@pytest.mark.parametrize(("bomb", "size"), [(repeating, 40), (talkative, 400)], ids=["repeating", "talkative"])
def test_what_unfolds_in_the_memory_of_git_is_held_by_the_limit_of_the_server(
    aim: Aim, bomb: Callable[[Aim, int], str], size: int
) -> None:
    ran = aim.push((bomb(aim, size), REF), memory=256)
    assert "Out of memory" in ran.said
    assert f"ng {REF} unpacker error" in ran.said
    assert ran.peak < 256 + PEAK


def test_an_honest_push_goes_through_below_that_limit(aim: Aim) -> None:
    with packed(aim.pack, 5) as pack:
        oid = proposing(pack, aim.host, (b"100644", b"fix", pack.add("blob", bytes(9 * MIB))), aim.key)
    assert f"ok {REF}" in aim.push((oid, REF), memory=256).said


def test_a_pack_that_says_it_holds_four_billion_objects_is_refused_at_once(aim: Aim) -> None:
    aim.pack.write_bytes(struct.pack(">4sII", b"PACK", 2, 2**32 - 1) + bytes(100))
    ran = aim.push((aim.head, REF))
    assert f"ng {REF} unpacker error" in ran.said
    assert ran.peak < PEAK


def test_objects_that_nothing_names_cost_what_the_pack_has_and_are_nobody_s(aim: Aim) -> None:
    with packed(aim.pack, 10**6 + 5) as pack:
        for each in range(10**6):
            pack.add("blob", b"useless %d" % each)
        oid = proposing(pack, aim.host, (b"100644", b"fix", pack.add("blob", b"1\n")), aim.key)
    ran = aim.push((oid, REF))
    assert f"ok {REF}" in ran.said
    assert ran.peak < 2 * PEAK
    aim.world.emit()
    assert len(aim.world.snapshots()) == 2


# How much comes in one push


@pytest.mark.parametrize(
    "name", ["refs/proposals/alice/t{}", "refs/junk/t{}", "refs/proposals/alice/" + "t" * 900 + "{}"]
)
def test_more_refs_than_are_looked_at_come_in_vain(aim: Aim, name: str) -> None:
    with packed(aim.pack, 0):
        pass
    before, head = aim.world.refs(), aim.head
    refused(aim.push(*((head, name.format(each)) for each in range(50_000))), "too-many-refs")
    assert aim.world.refs() == before


def test_as_many_refs_as_are_looked_at_are_decided_one_by_one(aim: Aim) -> None:
    with packed(aim.pack, 0):
        pass
    head = aim.head
    ran = aim.push(*((head, f"refs/proposals/alice/t{each}") for each in range(10_000)))
    refused(ran, "nothing-proposed")
    assert "too-many-refs" not in ran.said


def test_registrations_by_the_thousand_count_as_one_domain(aim: Aim) -> None:
    key, head = aim.world.stranger.key, aim.head
    who = forge.ident("someone", forge.START + 1000)
    root, domains = (
        raw_entries(forge.read_object(aim.host, aim.world.oid(tree))) for tree in ("HEAD^{tree}", "HEAD:domains")
    )
    refs: list[tuple[str, str]] = []
    with packed(aim.pack, 5 * 1000) as pack:
        for domain in (f"d{each}" for each in range(1000)):
            blob = pack.add("blob", forge.manifest_file(domain, forge.Entry("root", key, ("root",))))
            oid = pack.add("tree", tree_bytes([(b"100644", b"domain.yaml", bytes.fromhex(blob))]))
            oid = pack.add("tree", tree_bytes([*domains, (b"40000", domain.encode(), bytes.fromhex(oid))]))
            rest = [entry for entry in root if entry[1] != b"domains"]
            oid = pack.add("tree", tree_bytes([*rest, (b"40000", b"domains", bytes.fromhex(oid))]))
            made = forge.commit_content(oid, [head], "Register\n", key, author=who, committer=who)
            refs.append((pack.add("commit", made), f"refs/proposals/{domain}/t"))
    refused(aim.push(*refs), "too-many-pending")
    assert not any(ref.startswith("refs/proposals/") for ref in aim.world.refs())


def test_what_is_said_besides_refs_and_objects_is_not_taken(aim: Aim) -> None:
    forge.git(aim.host, "config", "--global", "receive.advertisePushOptions", "true")
    try:
        ran = receive(aim.host, [(ZERO, aim.head, REF)], None, options=["x" * 60_000] * 2000)
    finally:
        forge.git(aim.host, "config", "--global", "--unset", "receive.advertisePushOptions")
    assert "push-options" not in ran.said
    assert f"ng {REF} unpacker error" in ran.said
    assert ran.peak < PEAK


# What the policy says, git is told


def bound(host: Path) -> int:
    return int(forge.git(host, "config", "--local", "receive.maxInputSize"))


def test_a_push_of_more_than_it_may_bring_ends_where_that_is_reached(aim: Aim) -> None:
    assert bound(aim.host) == 1 << 30
    forge.git(aim.host, "config", "receive.maxInputSize", str(MIB))
    with packed(aim.pack, 2) as pack:
        pack.add("blob", hashlib.shake_128(b"").digest(2 * MIB))
        oid = pack.add("commit", aim.header(aim.head) + b"x\n")
    ran = aim.push((oid, REF))
    assert "pack exceeds maximum allowed size" in ran.said
    assert not list(aim.host.glob("objects/**/tmp_*"))


def test_a_policy_that_takes_more_lets_more_in(world: World) -> None:
    host = world.make_host(members=("you",), limits="proposal_bytes: 100000000, pending_per_domain: 20")
    assert bound(host) == 2_000_000_000
    more = forge.policy_file({"you": world.you.key}, revision=2, limits="proposal_bytes: 100000000")
    world.endorse(world.you, world.propose(world.you, {"ledger/policy.yaml": more}))
    world.emit()
    assert bound(host) == 10_000_000_000


def test_a_host_of_an_earlier_release_gets_the_bound_with_its_next_snapshot(world: World) -> None:
    forge.git(world.host, "config", "--unset", "receive.maxInputSize")
    world.propose(world.alice, {"domains/alice/fix": b"1\n"})
    world.emit()
    assert bound(world.host) == 1 << 30


# What waits


def test_pushes_of_one_moment_may_exceed_together_and_none_does_alone(world: World) -> None:
    """`pending_per_domain` is counted push by push: how far it is exceeded is bounded by how many come at a time."""
    world.make_host(limits="pending_per_domain: 2")
    clone = world.clone(world.alice)
    made = [
        world.propose(world.alice, {f"domains/alice/{each}": b"1\n"}, topic=f"t{each}", push=False) for each in range(4)
    ]
    pushes = [
        threading.Thread(target=world.push, args=(world.alice, clone, f"{oid}:refs/proposals/alice/t{each}"))
        for each, oid in enumerate(made)
    ]
    for push in pushes:
        push.start()
    for push in pushes:
        push.join()
    waiting = [ref for ref in world.refs() if ref.startswith("refs/proposals/alice/")]
    assert 2 <= len(waiting) <= 4
    late = world.propose(world.alice, {"domains/alice/late": b"1\n"}, topic="late", check=False)
    assert late.push is not None
    assert "[too-many-pending]" in late.push.stderr
    assert f"{len(waiting) + 1} proposals of alice" in re.sub(r"\s+(remote:)?\s*", " ", late.push.stderr)
    world.emit()
    assert len(world.snapshots()) == 1 + len(waiting)
