"""Snapshots that are not what the rules compose, or not by the witness (spec 9, 10).

Each is signed as it must be unless that is the attack, so that nothing but the rule named stands against it. It is
pushed to the branch of a host, and offered to a consumer whose host let it through. The host looks first whether a push
goes forward from its newest snapshot at all; `at_host` is its rule where that comes before the consumer's.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import forge
import pytest
from doors import Doors
from ground import verified
from world import Templates, World, refused

FIX = "domains/alice/fix.txt"
YOU = "domains/you/domain.yaml"
WITNESS = "ledger/witness.yaml"
RULES = ["{match: shared/**, proposers: any}", "{match: standards/**, proposers: any, endorsements: 1}"]


class Snapshots(Doors):
    """A ledger at common@4. The witness's domain had a key that it revoked, and has one that is no witness yet.

    At common@3 James was made witness by a quorum, at common@4 you again. A rotation to the key that is no witness yet
    is endorsed, and neither pushed nor sealed.
    """

    def __init__(self, world: World) -> None:
        world.make_host(paths=RULES)
        self.former, self.future, self.entering = (world.key(f"spare-{number}") for number in (1, 2, 3))
        super().__init__(world)
        root = self.read(YOU)
        with_future = root + self.entry("future", self.future)
        self.queue(self.proposal(world.you, {YOU: with_future + self.entry("old", self.former)}), "proposals/you/keys")
        self.emit()
        self.queue(self.proposal(world.you, {YOU: with_future}), "proposals/you/keys")
        self.emit()
        self.rotate("james", world.james.key)
        self.rotate("you", world.you.key)
        assert self.trusted.number == 4
        self.plain = self.proposal(world.alice, {FIX: b"better\n"}, "A fix\n")
        self.other = self.proposal(world.james, {"shared/note.txt": b"hello\n"})
        self.standard = self.proposal(world.alice, {"standards/one.txt": b"one\n"})
        self.by_james = self.endorsement(world.james, self.standard)
        self.by_you = self.endorsement(world.you, self.standard)
        self.endorsed = self.rotation("you", self.future)

    def entry(self, name: str, key: forge.Key) -> bytes:
        """A key more in the manifest of the witness's domain, with its consent."""
        proof = forge.proof(key, self.world.anchor, "you")
        return forge.Entry(name, key, ["publisher"], proof).render().encode()

    def rotation(self, domain: str, key: forge.Key, *by: str) -> bytes:
        """The artifact of a rotation to that key on the newest snapshot, endorsed by these, or by a quorum."""
        endorsements = {name: self.world.person(name).key for name in by or ("alice", "james")}
        return forge.rotation_file(self.bench, self.tip, (domain, key), endorsements)

    def sealing(self, artifact: bytes, key: forge.Key, **altered: object) -> str:
        """The rotation snapshot of an artifact, signed by that key."""
        return forge.rotating(self.bench, self.tip, artifact, key, seconds=self.world.tick(), **altered)

    def rotate(self, domain: str, key: forge.Key) -> None:
        """Have a quorum make that key the witness, and the host and a consumer take its first snapshot."""
        self.host_takes(self.sealing(self.rotation(domain, key), key))
        self.trusted = verified(self.world)

    def by(self, key: forge.Key, proposal: str = "", **altered: object) -> str:
        """A snapshot that says what the witness should, signed by another key."""
        return forge.snapshot(self.bench, self.tip, proposal or self.plain, key, **altered)

    def holding(self, changes: dict[str, forge.Content | None], *, said: bool = True) -> str:
        """A snapshot of another tree than that of the rules; `said` if it tells the digest of that tree."""
        tree = forge.changed(self.bench, forge.next_tree(self.bench, self.tip, self.plain), changes)
        lines = {"Content": forge.tree_digest(self.bench, tree)} if said else {}
        return self.snapshot(self.plain, tree=tree, lines=lines)

    def carrying(self, *tags: str) -> str:
        """A snapshot that accepts `standard` and carries these tag objects in this order."""
        return self.snapshot(self.standard, mergetags=[forge.read_object(self.bench, tag) for tag in tags])

    def rewritten(self, snapshot: str, old: str, new: str) -> str:
        """The signed snapshot with the carried tag `old` exchanged for `new`, one of which may be none ('')."""
        given, wanted = (
            forge.folded(b"mergetag", forge.read_object(self.bench, tag)) if tag else b"" for tag in (old, new)
        )
        content = forge.read_object(self.bench, snapshot)
        at = content.index(given) if given else content.index(b"gpgsig ")
        return forge.write_object(self.bench, "commit", content[:at] + wanted + content[at + len(given) :])

    def record(self, key: forge.Key) -> str:
        return forge.record_path(forge.blob(key))


@dataclass(frozen=True)
class Attack:
    name: str
    rule: str
    forge: Callable[[Snapshots], str]
    at_host: str = ""


def saying(name: str, value: Callable[[Snapshots], str] | str | None) -> Callable[[Snapshots], str]:
    """A snapshot with another value in the line `name` of its message, or without that line."""
    return lambda at: at.snapshot(at.plain, lines={name: value(at) if callable(value) else value})


def written(change: Callable[[str], str]) -> Callable[[Snapshots], str]:
    """A snapshot whose message was changed as a whole before it was signed."""
    return lambda at: at.snapshot(at.plain, message=change(forge.message(at.bench, at.snapshot(at.plain))))


def called(name: str) -> Callable[[Snapshots], str]:
    """A snapshot that calls itself by another name throughout."""
    return lambda at: at.snapshot(at.plain, first=f"{name}: A fix", lines={"Snapshot": name})


def standing_on(*parents: Callable[[Snapshots], str]) -> Callable[[Snapshots], str]:
    return lambda at: at.snapshot(at.plain, parents=[parent(at) for parent in parents])


def tip(at: Snapshots) -> str:
    return at.tip


def one_before(at: Snapshots) -> str:
    return at.number(3)


def plain(at: Snapshots) -> str:
    return at.plain


def other(at: Snapshots) -> str:
    return at.other


def fork(at: Snapshots) -> str:
    """A second common@4, on the same common@3, by the witness of now."""
    late = at.proposal(at.world.alice, {FIX: b"late\n"}, base=at.number(3))
    return forge.snapshot(at.bench, at.number(3), late, at.world.you.key)


TREES = [
    Attack("with a file that nobody proposed", "altered", lambda at: at.holding({"shared/extra.txt": b"extra\n"})),
    Attack(
        "with a file that nobody proposed, and the digest of the tree without it",
        "altered",
        lambda at: at.holding({"shared/extra.txt": b"extra\n"}, said=False),
    ),
    Attack("with other bytes in the file proposed", "altered", lambda at: at.holding({FIX: b"worse\n"})),
    Attack("without the file proposed", "altered", lambda at: at.holding({FIX: None})),
    Attack("with the file proposed made executable", "altered", lambda at: at.holding({FIX: ("100755", b"better\n")})),
    Attack("without a file of another domain", "altered", lambda at: at.holding({"domains/james/domain.yaml": None})),
    Attack(
        "whose record of the proposer's key has no salt",
        "altered",
        lambda at: at.holding({at.record(at.world.alice.key): at.read(at.record(at.world.alice.key))}),
    ),
    Attack(
        "that names another witness in its tree",
        "altered",
        lambda at: at.holding({WITNESS: forge.witness_file("james", at.world.james.key, "common@5")}),
    ),
    Attack(
        "with another policy",
        "altered",
        lambda at: at.holding({"ledger/policy.yaml": at.read("ledger/policy.yaml").replace(b"old: 2", b"old: 3")}),
    ),
    Attack(
        "with the tree of the snapshot before",
        "altered",
        lambda at: at.snapshot(at.plain, tree=f"{at.trusted.commit.tree}"),
    ),
    Attack("with the digest of another tree", "altered", saying("Content", lambda at: at.trusted.entry.content)),
]

MESSAGES = [
    Attack("with another first line", "altered", lambda at: at.snapshot(at.plain, first="common@5: Another fix")),
    Attack("whose first line has another number", "altered", lambda at: at.snapshot(at.plain, first="common@6: A fix")),
    Attack("with another ledger's id", "altered", saying("Ledger", "sha256:" + "ab" * 32)),
    Attack("without the ledger id", "altered", saying("Ledger", None)),
    Attack("with another hash before it", "altered", saying("Previous", "sha256:" + "ab" * 32)),
    Attack(
        "with the hash of an older snapshot",
        "altered",
        saying("Previous", lambda at: forge.hash_of(at.bench, at.number(1))),
    ),
    Attack("without the hash before it", "altered", saying("Previous", None)),
    Attack(
        "with the hash of another proposal", "altered", saying("Proposal", lambda at: forge.hash_of(at.bench, at.other))
    ),
    Attack(
        "with another command id",
        "altered",
        saying("Command", lambda at: f"{64 * '0'} {at.world.alice.key_id} {forge.salt_of(at.bench, at.tip, at.plain)}"),
    ),
    Attack("with another salt", "altered", written(lambda text: _again(text, r"(Command: .*)\d\n", r"\g<1>99\n"))),
    Attack(
        "with another witness in its message",
        "wrong-witness",
        saying("Witness", lambda at: f"james {at.world.james.key_id}"),
    ),
    Attack("without the digest of its tree", "not-a-snapshot", saying("Content", None)),
    Attack("without its proposal's hash", "not-a-snapshot", saying("Proposal", None)),
    Attack("without its witness", "not-a-snapshot", saying("Witness", None)),
    Attack("with a line more", "not-a-snapshot", written(lambda text: text + "Note: hello\n")),
    Attack("with an empty line more", "not-a-snapshot", written(lambda text: text + "\n")),
    Attack(
        "with its lines in another order", "not-a-snapshot", written(lambda text: "\n".join(_swapped(text.split("\n"))))
    ),
    Attack("with a space at the end of a line", "not-a-snapshot", written(lambda text: text[:-1] + " \n")),
    Attack("with CR LF in its message", "not-a-snapshot", written(lambda text: text.replace("\n", "\r\n"))),
    Attack("without the last newline", "not-a-snapshot", written(lambda text: text[:-1])),
    Attack(
        "with another author",
        "altered",
        lambda at: at.snapshot(at.plain, author=_author(at, "james")),
    ),
    Attack(
        "with another time of its author",
        "altered",
        lambda at: at.snapshot(at.plain, author=_author(at, "alice", 1)),
    ),
    Attack("with another committer", "altered", lambda at: at.snapshot(at.plain, committer=_committer(at, "james"))),
    Attack(
        "in another time zone", "altered", lambda at: at.snapshot(at.plain, committer=_committer(at, "you", "+0100"))
    ),
]

ENDORSEMENTS = [
    Attack("without the endorsement it needs", "endorsements-missing", lambda at: at.carrying()),
    Attack(
        "from which the endorsement was cut after it was signed",
        "endorsements-missing",
        lambda at: at.rewritten(at.carrying(at.by_james), at.by_james, ""),
    ),
    Attack(
        "from which one of two endorsements was cut after it was signed",
        "bad-signature",
        lambda at: at.rewritten(at.carrying(at.by_james, at.by_you), at.by_you, ""),
    ),
    Attack(
        "to which an endorsement was added after it was signed",
        "bad-signature",
        lambda at: at.rewritten(at.carrying(at.by_james), "", at.by_you),
    ),
    Attack(
        "whose endorsement was exchanged after it was signed",
        "bad-signature",
        lambda at: at.rewritten(at.carrying(at.by_james), at.by_james, at.by_you),
    ),
    Attack(
        "with the endorsement of another proposal",
        "tag-object",
        lambda at: at.carrying(at.endorsement(at.world.james, at.plain)),
    ),
    Attack(
        "with an endorsement more, by a stranger",
        "endorsement-does-not-count",
        lambda at: at.carrying(at.by_james, at.endorsement(at.world.stranger, at.standard)),
    ),
    Attack(
        "with an endorsement more, by a key that is no authority's",
        "endorsement-does-not-count",
        lambda at: at.carrying(at.by_james, at.endorsement(at.world.you, at.standard, key=at.future)),
    ),
    Attack("with one endorsement twice", "endorsement-order", lambda at: at.carrying(at.by_james, at.by_james)),
    Attack(
        "with two endorsements by one domain",
        "endorsement-order",
        lambda at: at.carrying(at.by_james, at.endorsement(at.world.james, at.standard)),
    ),
    Attack("with its endorsements out of order", "endorsement-order", lambda at: at.carrying(at.by_you, at.by_james)),
    Attack(
        "with a refusal in the place of an endorsement",
        "tag-object",
        lambda at: at.carrying(forge.refusal(at.bench, at.standard, at.world.james.key, at="common@4", reason="no so")),
    ),
    Attack(
        "with an endorsement in other armour",
        "signature-armour",
        lambda at: at.carrying(at.endorsement(at.world.james, at.standard, width=64)),
    ),
    Attack(
        "with an endorsement nobody signed",
        "unsigned",
        lambda at: at.carrying(at.endorsement(at.world.james, at.standard, signature=b"")),
    ),
]

NUMBERS = [
    Attack("that skips a number", "wrong-number", called("common@6")),
    Attack("that repeats the number before it", "wrong-number", called("common@4"), at_host="not-forward"),
    Attack("that goes back to an older number", "wrong-number", called("common@3"), at_host="not-forward"),
    Attack("whose number has a leading zero", "not-a-snapshot", called("common@05")),
    Attack("whose number is 2^63", "wrong-number", called(f"common@{1 << 63}")),
    Attack("that is a proposal", "not-a-snapshot", plain),
    Attack("of another ledger's name", "wrong-number", called("other@5")),
    Attack("beside the newest, on the one before", "wrong-parent", fork, at_host="not-forward"),
]

PARENTS = [
    Attack("on an older snapshot", "wrong-parent", standing_on(one_before, plain), at_host="not-forward"),
    Attack("on another common@4", "wrong-parent", standing_on(fork, plain), at_host="not-forward"),
    Attack("with its parents swapped", "wrong-parent", standing_on(plain, tip), at_host="not-a-snapshot"),
    Attack("on its proposal alone", "wrong-parent", standing_on(plain), at_host="not-a-snapshot"),
    Attack("without a parent", "wrong-parent", standing_on(), at_host="not-forward"),
    Attack("without its proposal", "wrong-parents", standing_on(tip)),
    Attack("on another proposal than it says", "altered", standing_on(tip, other)),
    Attack("of two proposals at once", "wrong-parents", standing_on(tip, plain, other)),
    Attack(
        "with the change of a second proposal",
        "altered",
        lambda at: at.holding({"shared/note.txt": b"hello\n"}),
    ),
    Attack(
        "of a proposal on one that nobody accepted",
        "base-unknown",
        lambda at: at.snapshot(at.proposal(at.world.alice, {FIX: b"best\n"}, base=at.plain)),
    ),
]

TIMES = [
    Attack(
        "a second before the one it follows",
        "time-backwards",
        lambda at: at.snapshot(at.plain, seconds=at.trusted.seconds - 1),
    ),
    Attack("in 1970", "time-backwards", lambda at: at.snapshot(at.plain, seconds=0)),
]

SIGNERS = [
    Attack("by the former witness", "wrong-witness", lambda at: at.by(at.world.james.key)),
    Attack(
        "by the former witness, who calls himself the witness",
        "wrong-witness",
        lambda at: at.by(
            at.world.james.key,
            committer=_committer(at, "james"),
            lines={"Witness": f"james {at.world.james.key_id}"},
        ),
    ),
    Attack("by the future witness, who has not sealed it", "wrong-witness", lambda at: at.by(at.future)),
    Attack(
        "by the future witness, who has not sealed it and calls himself the witness",
        "wrong-witness",
        lambda at: at.by(at.future, lines={"Witness": f"you {forge.key_id(at.future)}"}),
    ),
    Attack("by a former key of the witness's domain", "wrong-witness", lambda at: at.by(at.former)),
    Attack("by an authority", "wrong-witness", lambda at: at.by(at.world.alice.key, at.other)),
    Attack("by the proposer", "wrong-witness", lambda at: at.by(at.world.alice.key)),
    Attack("by a stranger", "wrong-witness", lambda at: at.by(at.world.stranger.key)),
    Attack(
        "by a stranger who names the witness's key",
        "bad-signature",
        lambda at: at.by(at.world.stranger.key, public=forge.blob(at.world.you.key)),
    ),
    Attack(
        "by an authority who calls himself the witness",
        "wrong-witness",
        lambda at: at.by(
            at.world.alice.key,
            committer=_committer(at, "alice"),
            lines={"Witness": f"alice {at.world.alice.key_id}"},
        ),
    ),
    Attack(
        "by the key that it brings into the witness's domain",
        "wrong-witness",
        lambda at: at.by(
            at.entering, at.proposal(at.world.you, {YOU: at.read(YOU) + at.entry("entering", at.entering)})
        ),
    ),
    Attack(
        "by the witness that its proposal names", "ledger-path", lambda at: at.by(at.world.james.key, _usurping(at))
    ),
    Attack("by the witness, of a proposal that names another", "ledger-path", lambda at: at.snapshot(_usurping(at))),
    Attack(
        "with the signature of another one",
        "bad-signature",
        lambda at: at.snapshot(at.plain, seconds=at.world.now, signature=_signature(at, at.snapshot(at.plain))),
    ),
]

ROTATIONS = [
    Attack("that seals what one authority endorsed", "quorum-missing", lambda at: at.sealing(
        at.rotation("you", at.future, "alice"), at.future
    )),
    Attack("that seals a rotation for the new witness, by the old", "wrong-witness", lambda at: at.sealing(
        at.endorsed, at.world.you.key
    )),
    Attack("that seals a rotation and brings a file", "altered", lambda at: at.sealing(
        at.endorsed, at.future, extra={"shared/note.txt": b"hello\n"}
    )),
    Attack("that seals a rotation and accepts a proposal", "wrong-parents", lambda at: at.sealing(
        at.endorsed, at.future, parents=[at.tip, at.plain]
    )),
    Attack("that seals a rotation again", "rotation-previous", lambda at: at.sealing(
        at.read(_sealed(at)), at.world.you.key
    )),
    Attack("that seals a rotation to a key taken out of its manifest", "key-not-active", lambda at: at.sealing(
        at.rotation("you", at.former), at.former
    )),
]  # fmt: skip


def _sealed(at: Snapshots) -> str:
    """Where the rotation that made the witness of now stands."""
    key = forge.document(at.bench, forge.files(at.bench, at.tip), WITNESS)["rotation_artifact"]
    return f"ledger/rotations/{key.removeprefix('sha256:')}.yaml"


def _again(text: str, pattern: str, by: str) -> str:
    changed = re.sub(pattern, by, text)
    assert changed != text
    return changed


def _swapped(lines: list[str]) -> list[str]:
    return [*lines[:2], lines[3], lines[2], *lines[4:]]


def _committer(at: Snapshots, domain: str, zone: str = "+0000") -> str:
    return f"{domain} <{domain}@common> {at.world.now} {zone}"


def _author(at: Snapshots, domain: str, later: int = 0) -> str:
    return f"{domain} <{domain}@common> {forge.when(at.bench, at.plain) + later} +0000"


def _usurping(at: Snapshots) -> str:
    """A proposal by James that makes him the witness."""
    return at.proposal(at.world.james, {WITNESS: forge.witness_file("james", at.world.james.key, "common@5")})


def _signature(at: Snapshots, snapshot: str) -> bytes:
    """The armour of a signed snapshot."""
    header = forge.read_object(at.bench, snapshot).partition(b"\ngpgsig ")[2].partition(b"\n\n")[0]
    return header.replace(b"\n ", b"\n") + b"\n"


ATTACKS = [*TREES, *MESSAGES, *ENDORSEMENTS, *NUMBERS, *PARENTS, *TIMES, *SIGNERS, *ROTATIONS]


def _endorsed(at: Snapshots) -> str:
    proposal = at.proposal(at.world.alice, {"standards/two.txt": b"two\n"})
    return at.snapshot(proposal, [at.endorsement(at.world.james, proposal)])


TWINS: dict[str, Callable[[Snapshots], str]] = {
    "of one proposal": lambda at: at.snapshot(at.plain),
    "in the same second as the one before": lambda at: at.snapshot(at.other, seconds=at.trusted.seconds),
    "with the endorsement it needs": _endorsed,
    "with an endorsement more than it needs": lambda at: at.carrying(at.by_james, at.by_you),
    "that seals a rotation to the witness that serves": lambda at: at.sealing(
        at.rotation("you", at.world.you.key), at.world.you.key
    ),
}


@pytest.fixture(scope="module")
def snapshots(tmp_path_factory: pytest.TempPathFactory, templates: Templates) -> Snapshots:
    return Snapshots(World(tmp_path_factory.mktemp("snapshots"), templates))


@pytest.mark.parametrize("attack", [pytest.param(each, id=each.name) for each in ATTACKS])
def test_a_snapshot_is_refused(snapshots: Snapshots, attack: Attack) -> None:
    oid = attack.forge(snapshots)
    snapshots.host_refuses(oid, attack.at_host or attack.rule)
    snapshots.consumer_refuses(oid, attack.rule)


@pytest.mark.parametrize("twin", TWINS.values(), ids=TWINS)
def test_its_honest_twin_is_taken_by_a_consumer(snapshots: Snapshots, twin: Callable[[Snapshots], str]) -> None:
    snapshots.consumer_takes(twin(snapshots))


def test_a_push_of_two_is_refused_whole_for_the_second(snapshots: Snapshots) -> None:
    first = snapshots.snapshot(snapshots.plain)
    wrong = {"Previous": forge.hash_of(snapshots.bench, snapshots.tip)}
    second = forge.snapshot(snapshots.bench, first, snapshots.other, snapshots.world.you.key, lines=wrong)
    snapshots.host_refuses(second, "altered")


def test_a_good_snapshot_is_refused_beside_a_bad_proposal(snapshots: Snapshots) -> None:
    good = snapshots.snapshot(snapshots.plain)
    bad = snapshots.proposal(snapshots.world.stranger, {"shared/note.txt": b"mine\n"})
    done = snapshots.pushed({"refs/heads/common": good, "refs/proposals/alice/bad": bad})
    refused(done, "unknown-key")


def test_the_host_takes_every_honest_twin_and_two_in_one_push(world: World) -> None:
    at = Snapshots(world)
    for twin in TWINS.values():
        at.host_takes(twin(at))
        at.trusted = verified(world)
    first = at.snapshot(at.proposal(world.alice, {FIX: b"best\n"}))
    second = forge.snapshot(at.bench, first, at.proposal(world.james, {"shared/two.txt": b"two\n"}), world.you.key)
    at.host_takes(second)
    assert world.snapshots() == [f"common@{number}" for number in range(12)]
