"""`advance` on rotation snapshots: who may be the next witness, and what seals it (spec 8).

Artifacts and snapshots are built by the forge, from raw bytes. Each that is refused differs in one thing from the
honest one, which passes; what is refused for another rule than its own is a failure.
"""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import forge
import pytest
from world import KEYS

from gitledger.errors import LedgerError, Refused
from gitledger.objects.store import Store
from gitledger.rules import rotations, succession
from gitledger.rules.advance import advance, genesis, pinned
from gitledger.rules.state import Snapshot

YOU, ALICE, JAMES, STRANGER = (KEYS / name for name in ("you", "alice", "james", "stranger"))
YOU_2, ALICE_2, JAMES_2 = KEYS / "you-2", KEYS / "alice-2", KEYS / "james-2"
FARM, BARRED, GONE = KEYS / "spare-1", KEYS / "spare-2", KEYS / "spare-3"
PEOPLE = {"you": [YOU, YOU_2], "alice": [ALICE, ALICE_2], "james": [JAMES, JAMES_2], "farm": [FARM, BARRED, GONE]}
AUTHORITIES = {"alice": ALICE, "james": JAMES, "you": YOU}
QUORUM = {"alice": ALICE, "james": JAMES}
POLICY, WITNESS = "ledger/policy.yaml", "ledger/witness.yaml"
RULES = ("{match: shared/**, proposers: any}", "{match: standards/**, proposers: any, endorsements: 1}")


class Line:
    """A ledger that the forge lets grow, each snapshot verified on the one before; `line[-1]` is the newest."""

    def __init__(self, repo: Path, line: list[Snapshot]) -> None:
        self.repo, self.line = repo, line

    @classmethod
    def founded(cls, repo: Path, **founding: Any) -> Line:
        """A ledger at genesis, with you as witness."""
        subprocess.run(["git", "init", "-q", "--bare", str(repo)], check=True)
        oid = forge.genesis(repo, **{"people": PEOPLE, **founding})
        return cls(repo, [genesis(Store.open(repo), oid, forge.hash_of(repo, oid))])

    def fork(self) -> Line:
        """The same, to go on from without moving this one."""
        return Line(self.repo, list(self.line))

    @property
    def trusted(self) -> Snapshot:
        return self.line[-1]

    @property
    def tip(self) -> str:
        return self.trusted.oid

    def take(self, oid: str) -> Snapshot:
        """Advance to a snapshot."""
        self.line.append(advance(self.trusted, oid))
        return self.trusted

    def accepting(
        self,
        changes: Mapping[str, forge.Content | None],
        by: forge.Key = ALICE,
        *,
        endorsers: tuple[forge.Key, ...] = (),
        witness: forge.Key = YOU,
        on: str = "",
        **altered: Any,
    ) -> str:
        """The snapshot that accepts a proposal of these changes on the newest snapshot, or on another."""
        tip = on or self.tip
        proposal = forge.proposal(self.repo, tip, changes, by, seconds=forge.when(self.repo, tip) + 1)
        tags = [forge.endorsement(self.repo, proposal, key) for key in endorsers]
        return forge.snapshot(self.repo, tip, proposal, witness, endorsements=tags, **altered)

    def artifact(self, to: forge.Witness = ("james", JAMES), **altered: Any) -> bytes:
        """The artifact of the rotation to `to` on the newest snapshot, by a quorum unless `altered` says by whom."""
        given = {} if "entries" in altered else {"endorsements": QUORUM}
        return forge.rotation_file(self.repo, self.tip, to, **{**given, **altered})

    def sealing(self, artifact: bytes, key: forge.Key | None = JAMES, **altered: Any) -> str:
        """The rotation snapshot that seals an artifact on the newest snapshot."""
        return forge.rotating(self.repo, self.tip, artifact, key, **altered)

    def hash(self, to: forge.Witness = ("james", JAMES), **altered: Any) -> bytes:
        """H of that rotation."""
        return forge.rotation_hash(self.repo, self.tip, to, **altered)

    def policy(self, **altered: Any) -> bytes:
        """The policy that may replace that of the newest snapshot, altered as `forge.policy_file` has it."""
        revision = self.trusted.state.policy.revision + 1
        made = {"authorities": AUTHORITIES, "revoked": [forge.key_id(BARRED)], "paths": RULES, "revision": revision}
        return forge.policy_file(**{**made, **altered})

    def refuses(self, oid: str, rule: str) -> LedgerError:
        """The snapshot is refused for this rule, from genesis on and from a pin alike; returns the error."""
        with pytest.raises(LedgerError) as caught:
            advance(self.trusted, oid)
        assert caught.value.rule == rule, str(caught.value)
        with pytest.raises(LedgerError) as again:
            advance(pinned(Store.open(self.repo), self.tip, self.trusted.hash), oid)
        assert str(again.value) == str(caught.value)
        return caught.value


@pytest.fixture(scope="module")
def at(tmp_path_factory: pytest.TempPathFactory) -> Line:
    """A ledger at common@2. The farm was an authority at genesis, is none now, and took a key out of its manifest."""
    before = forge.policy_file(AUTHORITIES | {"farm": FARM}, threshold=3, paths=RULES)
    line = Line.founded(tmp_path_factory.mktemp("succession") / "ledger.git", policy=before)
    line.take(line.accepting({POLICY: line.policy()}, endorsers=(ALICE, JAMES, YOU)))
    kept = forge.manifest_file("farm", forge.Entry("key-1", FARM), forge.Entry("key-2", BARRED))
    line.take(line.accepting({"domains/farm/domain.yaml": kept}, FARM))
    return line


@dataclass(frozen=True)
class Attack:
    name: str
    rule: str
    forge: Callable[[Line], str]


def artifact(
    name: str, rule: str, to: forge.Witness = ("james", JAMES), key: forge.Key = JAMES, **altered: Any
) -> Attack:
    """An artifact with fields replaced and endorsed as it says, sealed by its new witness."""
    computed = {name: value for name, value in altered.items() if callable(value)}

    def build(at: Line) -> str:
        given = {**altered, **{name: value(at) for name, value in computed.items()}}
        return at.sealing(at.artifact(to, **given), key, to=to)

    return Attack(name, rule, build)


def entries(*signers: tuple[str, forge.Key], **signing: Any) -> Callable[[Line], list[tuple[str, str, bytes]]]:
    """Endorsements of the honest rotation as they stand in an artifact, in this order."""
    return lambda at: [forge.rotation_entry(at.hash(), domain, key, **signing) for domain, key in signers]


def said(domain: str, key: forge.Key, signer: forge.Key) -> Callable[[Line], list[tuple[str, str, bytes]]]:
    """Endorsements by alice, and by `signer` under the name of another."""
    return lambda at: [
        forge.rotation_entry(at.hash(), "alice", ALICE),
        (domain, forge.key_id(key), forge.rotation_endorsement(at.hash(), signer)),
    ]


def over(message: Callable[[Line], bytes]) -> Callable[[Line], list[tuple[str, str, bytes]]]:
    """Endorsements by a quorum that signed something else than the 32 bytes of H."""
    return lambda at: [forge.rotation_entry(message(at), domain, key) for domain, key in QUORUM.items()]


def naive(at: Line) -> bytes:
    """What a hand that does not frame the fields would have signed."""
    return hashlib.sha256("".join(forge.rotation(at.repo, at.tip, ("james", JAMES)).endorsed).encode()).digest()


def number(number: int) -> Callable[[Line], str]:
    return lambda at: forge.hash_of(at.repo, at.line[number].oid)


def rewritten(change: Callable[[bytes], bytes]) -> Callable[[Line], str]:
    """The honest artifact, other bytes in it, sealed under the name that these have."""
    return lambda at: at.sealing(_changed(at.artifact(), change), to=("james", JAMES))


def snapshot(**altered: Any) -> Callable[[Line], str]:
    """The honest artifact, in a snapshot that is altered."""
    computed = {name: value for name, value in altered.items() if callable(value)}
    return lambda at: at.sealing(at.artifact(), **{**altered, **{name: one(at) for name, one in computed.items()}})


def lines(**replaced: Any) -> Callable[[Line], str]:
    return lambda at: at.sealing(
        at.artifact(), lines={name: one(at) if callable(one) else one for name, one in replaced.items()}
    )


def elsewhere(path: str) -> Callable[[Line], str]:
    return snapshot(path=path)


def shifted(at: Line) -> str:
    """The last character of one field moved to the next: the same bytes in a row, endorsed as the honest one is."""
    honest = forge.rotation(at.repo, at.tip, ("james", JAMES))
    fields = {"snapshot": honest.snapshot + "s", "previous_hash": honest.previous_hash[1:]}
    made = forge.rotation(at.repo, at.tip, ("james", JAMES), **fields)
    assert "".join(made.endorsed) == "".join(honest.endorsed)
    return at.sealing(made.render(entries(*QUORUM.items())(at)))


def second_shift(at: Line) -> str:
    """The domain of the new witness takes a letter of its key's id."""
    honest = forge.rotation(at.repo, at.tip, ("james", JAMES))
    made = forge.rotation(at.repo, at.tip, ("jamesS", forge.key_id(JAMES)[1:]))
    assert "".join(made.endorsed) == "".join(honest.endorsed)
    return at.sealing(made.render(entries(*QUORUM.items())(at)), to=("james", JAMES))


def beside(at: Line) -> str:
    """The honest artifact stands where it should, and the message names another that the tree has not."""
    return at.sealing(at.artifact(), lines={"Rotation": forge.sha256(at.artifact(reason="another"))})


def wrongly_named(at: Line) -> str:
    """The artifact stands under the name of another, and the message says that name."""
    other = forge.sha256(at.artifact(reason="another"))
    path = f"ledger/rotations/{other.removeprefix('sha256:')}.yaml"
    serving = forge.witness_file("james", JAMES, "common@3", other)
    return at.sealing(at.artifact(), path=path, witness=serving, lines={"Rotation": other})


def of_another_ledger(at: Line) -> str:
    """A whole rotation of a ledger with the same people, the same policy and another genesis."""
    other = forge.genesis(at.repo, people=PEOPLE, seconds=forge.START + 1)
    return at.sealing(forge.rotation_file(at.repo, other, ("james", JAMES), QUORUM))


def stale(at: Line) -> str:
    """A rotation that a quorum endorsed on common@1, and that nobody sealed there."""
    return at.sealing(forge.rotation_file(at.repo, at.line[1].oid, ("james", JAMES), QUORUM))


def large(at: Line) -> str:
    return at.sealing(at.artifact() + b"#" * (1 << 20) + b"\n")


def a_directory(at: Line) -> str:
    content = at.artifact()
    return at.sealing(content, path=f"{succession.path_of(forge.sha256(content))}/x")


def as_a_proposal(at: Line) -> str:
    """The tree of a rotation, in a snapshot that accepts a proposal for it."""
    sealed = at.sealing(at.artifact())
    tree = forge.git(at.repo, "rev-parse", f"{sealed}^{{tree}}").decode().strip()
    return at.accepting({"domains/alice/x": b"x"}, tree=tree, lines={"Content": forge.tree_digest(at.repo, tree)})


def alongside(at: Line) -> str:
    """A proposal in two of the places that a normal snapshot has for it: the second parent and two lines."""
    proposal = forge.proposal(at.repo, at.tip, {"domains/alice/x": b"x"}, ALICE)
    normal = forge.snapshot(at.repo, at.tip, proposal, YOU)
    said = {name: forge.said(at.repo, normal, name) for name in ("Proposal", "Command")}
    return at.sealing(at.artifact(), message=_with(forge.message(at.repo, at.sealing(at.artifact())), said))


def a_tag(at: Line) -> bytes:
    proposal = forge.proposal(at.repo, at.tip, {"domains/alice/x": b"x"}, ALICE)
    return forge.read_object(at.repo, forge.endorsement(at.repo, proposal, JAMES))


def who(domain: str, later: int = 1) -> Callable[[Line], str]:
    return lambda at: f"{domain} <{domain}@common> {at.trusted.seconds + later} +0000"


def _changed(content: bytes, change: Callable[[bytes], bytes]) -> bytes:
    changed = change(content)
    assert changed != content
    return changed


def _with(message: str, said: Mapping[str, str]) -> str:
    head, _, rest = message.partition("Witness: ")
    return head + "".join(f"{name}: {text}\n" for name, text in said.items()) + "Witness: " + rest


JAMES_ID = forge.key_id(JAMES)
OTHER = "sha256:" + "ab" * 32

ENDORSEMENTS = [
    artifact("by one of the two that it takes", "quorum-missing", endorsements={"alice": ALICE}),
    Attack("by nobody", "quorum-missing", lambda at: at.sealing(at.artifact(entries=[]), lines={"Endorsed": "alice"})),
    artifact("out of order", "endorsement-order", entries=entries(("james", JAMES), ("alice", ALICE))),
    artifact("by one authority twice", "endorsement-order", entries=entries(("alice", ALICE), ("alice", ALICE))),
    artifact(
        "by a quorum, of which one twice",
        "endorsement-order",
        entries=entries(("alice", ALICE), ("alice", ALICE), ("james", JAMES)),
    ),
    artifact("for git", "wrong-namespace", entries=entries(*QUORUM.items(), namespace="git")),
    artifact("for a key's consent", "wrong-namespace", entries=entries(*QUORUM.items(), namespace="asl.domain.key")),
    artifact("for no namespace", "signature-form", entries=entries(*QUORUM.items(), namespace="")),
    artifact("over H in hex", "bad-signature", entries=over(lambda at: at.hash().hex().encode())),
    artifact("over the fields without their lengths", "bad-signature", entries=over(naive)),
    artifact("over another rotation", "bad-signature", entries=over(lambda at: at.hash(("alice", ALICE)))),
    artifact("over the same on the snapshot before", "bad-signature", entries=over(
        lambda at: forge.rotation_hash(at.repo, at.line[1].oid, ("james", JAMES))
    )),
    artifact("with a scalar beyond the order", "non-canonical-scalar", entries=entries(
        *QUORUM.items(), twist=forge.plus_order
    )),
    artifact("hashed with sha256", "signature-hash", entries=entries(*QUORUM.items(), hash="sha256")),
    artifact("in lines of 64", "signature-armour", entries=entries(*QUORUM.items(), width=64)),
    artifact("with a line behind the armour", "signature-armour", entries=entries(*QUORUM.items(), after=b"x\n")),
    artifact(
        "by an authority of the policy before",
        "endorsement-does-not-count",
        entries=entries(("alice", ALICE), ("farm", FARM)),
    ),
    artifact(
        "by a quorum, and an authority of the policy before",
        "endorsement-does-not-count",
        entries=entries(("alice", ALICE), ("farm", FARM), ("james", JAMES)),
    ),
    artifact(
        "by a quorum, and a stranger",
        "endorsement-does-not-count",
        entries=entries(*QUORUM.items(), ("stranger", STRANGER)),
    ),
    artifact(
        "by another key of an authority's domain",
        "endorsement-does-not-count",
        entries=entries(("alice", ALICE_2), ("james", JAMES)),
    ),
    artifact("under another domain than the key's", "endorsement-key", entries=said("you", JAMES, JAMES)),
    artifact("under another key of the domain", "endorsement-key", entries=said("james", JAMES_2, JAMES)),
    artifact("under another authority's name and key", "endorsement-key", entries=said("you", YOU, JAMES)),
    Attack(
        "by the new witness, who is no authority",
        "endorsement-does-not-count",
        lambda at: at.sealing(at.artifact(("farm", FARM), endorsements={"alice": ALICE, "farm": FARM}), FARM),
    ),
]  # fmt: skip

ARTIFACTS = [
    artifact("of another ledger", "rotation-ledger", ledger=OTHER),
    Attack("of another ledger, as it stood there", "rotation-ledger", of_another_ledger),
    Attack("of the snapshot before", "rotation-previous", stale),
    artifact("on the number before", "rotation-previous", snapshot="common@1"),
    artifact("on the number to come", "rotation-previous", snapshot="common@3"),
    artifact("on a ledger of another name", "rotation-previous", snapshot="other@2"),
    artifact("on another hash", "rotation-previous", previous_hash=OTHER),
    artifact("on the hash before", "rotation-previous", previous_hash=number(1)),
    artifact("created one before", "rotation-logseq", number=1),
    artifact("created one later", "rotation-logseq", number=3),
    artifact("that another leaves", "rotation-old-witness", old=("alice", ALICE)),
    artifact("that another key of the witness leaves", "rotation-old-witness", old=("you", YOU_2)),
    artifact("that the witness's key leaves under another domain", "rotation-old-witness", old=("james", YOU)),
    artifact("under another policy", "rotation-policy", policy_key=OTHER),
    artifact(
        "under the policy before",
        "rotation-policy",
        policy_key=lambda at: forge.sha256(
            forge.git(at.repo, "cat-file", "blob", f"{at.line[0].oid}:ledger/policy.yaml")
        ),
    ),
    artifact("with a threshold of 1", "rotation-threshold", threshold=1),
    artifact("with a threshold of 1 that is met", "rotation-threshold", threshold=1, endorsements={"you": YOU}),
    artifact("with a threshold of 3", "rotation-threshold", threshold=3, endorsements=AUTHORITIES),
    artifact("to a key that is revoked in the policy", "new-witness-revoked", to=("farm", BARRED), key=BARRED),
    artifact("to a domain that is not registered", "key-not-active", to=("stranger", STRANGER), key=STRANGER),
    artifact("to a key of another domain", "key-not-active", to=("james", ALICE), key=ALICE),
    artifact("to a key that was taken out of its manifest", "key-not-active", to=("farm", GONE), key=GONE),
    Attack("whose fields are shifted", "snapshot-name", shifted),
    Attack("whose new witness is shifted", "domain-id", second_shift),
    Attack("with an unknown key", "unknown-field", rewritten(lambda text: text + b"note: x\n")),
    Attack("with a byte behind it", "yaml-character", rewritten(lambda text: text + b"\0")),
    Attack("with a second document behind it", "yaml-marker", rewritten(lambda text: text + b"---\na: b\n")),
    Attack("that is no document", "yaml-key", rewritten(lambda text: b"{[" + text)),
    Attack("of another type", "document-form", rewritten(lambda text: text.replace(b"witness-rotation", b"witness"))),
    Attack("that is larger than a document may be", "document-too-large", large),
    Attack("named wrongly", "artifact-name", wrongly_named),
    Attack("that its tree has not", "artifact-missing", beside),
    Attack("in another place", "artifact-missing", elsewhere("ledger/rotation.yaml")),
    Attack("that is a directory", "artifact-missing", a_directory),
]  # fmt: skip

TREES = [
    Attack("with a file more", "altered", snapshot(extra={"shared/x": b"x"})),
    Attack("with a file of its new witness more", "altered", snapshot(extra={"domains/james/x": b"x"})),
    Attack("with a second artifact", "altered", snapshot(extra={f"ledger/rotations/{64 * 'a'}.yaml": b"a: b\n"})),
    Attack("without a file", "altered", snapshot(extra={"domains/farm/domain.yaml": None})),
    Attack("with another policy", "altered", lambda at: at.sealing(at.artifact(), extra={POLICY: at.policy()})),
    Attack(
        "with a salt on the new witness's record",
        "altered",
        snapshot(extra={forge.record_path(forge.blob(JAMES)): forge.record_file(forge.line(JAMES), "james", [7])}),
    ),
    Attack(
        "whose artifact is executable",
        "altered",
        lambda at: at.sealing(
            at.artifact(),
            extra={succession.path_of(forge.sha256(at.artifact())): ("100755", at.artifact())},
        ),
    ),
    Attack(
        "whose witness.yaml has its lines in another order",
        "altered",
        lambda at: at.sealing(
            at.artifact(),
            witness=b"\n".join(reversed(_serving(at).splitlines())) + b"\n",
        ),
    ),
    Attack("whose witness.yaml has a comment", "altered", lambda at: at.sealing(
        at.artifact(), witness=_serving(at) + b"# new\n"
    )),
    Attack("whose witness.yaml has a text in quotes", "altered", lambda at: at.sealing(
        at.artifact(), witness=_serving(at).replace(b" james", b' "james"')
    )),
    Attack("whose witness.yaml is that of before", "altered", snapshot(
        witness=forge.witness_file("you", YOU, "common@0")
    )),
    Attack("whose witness.yaml names another", "altered", lambda at: at.sealing(
        at.artifact(), witness=_serving(at, "alice", ALICE)
    )),
    Attack("whose witness.yaml serves since before", "altered", lambda at: at.sealing(
        at.artifact(), witness=_serving(at).replace(b"common@3", b"common@2")
    )),
    Attack("whose witness.yaml names another artifact", "altered", snapshot(
        witness=forge.witness_file("james", JAMES, "common@3", OTHER)
    )),
    Attack("whose witness.yaml is executable", "altered", lambda at: at.sealing(
        at.artifact(), witness=("100755", _serving(at))
    )),
    Attack("with the digest of the tree before", "altered", lines(Content=lambda at: at.trusted.entry.content)),
]  # fmt: skip

COMMITS = [
    Attack("with a proposal for a second parent", "wrong-parents", snapshot(
        parents=lambda at: [at.tip, forge.proposal(at.repo, at.tip, {"shared/x": b"x"}, ALICE)]
    )),
    Attack("with the snapshot before for a second parent", "wrong-parents", snapshot(
        parents=lambda at: [at.tip, at.line[1].oid]
    )),
    Attack("on the snapshot before", "wrong-parent", snapshot(parents=lambda at: [at.line[1].oid])),
    Attack("without parent", "wrong-parent", snapshot(parents=[])),
    Attack("with an endorsement of a proposal", "altered", lambda at: at.sealing(
        at.artifact(), mergetags=[a_tag(at)]
    )),
    Attack("with the lines of a proposal", "altered", alongside),
    Attack("that calls itself the number after", "wrong-number", lines(Snapshot="common@4")),
    Attack("that calls itself the number before", "wrong-number", lines(Snapshot="common@2")),
    Attack("with another first line", "altered", snapshot(first="common@3: witness rotates to alice")),
    Attack("with another ledger", "altered", lines(Ledger=OTHER)),
    Attack("with another hash before it", "altered", lines(Previous=OTHER)),
    Attack("that names the old witness", "altered", lines(Witness=f"you {forge.key_id(YOU)}")),
    Attack("that names another key of the new witness", "altered", lines(Witness=f"james {forge.key_id(JAMES_2)}")),
    Attack("that names an authority too many as endorser", "altered", lines(Endorsed="alice james you")),
    Attack("that names an endorser too few", "altered", lines(Endorsed="alice")),
    Attack("that names its endorsers in another order", "altered", lines(Endorsed="james alice")),
    Attack("that names its endorsers with two spaces", "not-a-snapshot", lines(Endorsed="alice  james")),
    Attack("without its endorsers", "not-a-snapshot", lines(Endorsed=None)),
    Attack("without its rotation", "not-a-snapshot", lines(Rotation=None)),
    Attack("that says of no rotation that it is one", "wrong-parents", lines(Rotation=None, Endorsed=None)),
    Attack("that comes as a proposal", "altered", as_a_proposal),
    Attack("with another author", "altered", snapshot(author=who("you"))),
    Attack("with another time of its author", "altered", snapshot(author=who("james", 2))),
    Attack("with the old witness as committer", "altered", snapshot(author=who("you"), committer=who("you"))),
    Attack("dated before the snapshot it follows", "time-backwards", snapshot(seconds=forge.START)),
]  # fmt: skip

SIGNERS = [
    Attack("by the old witness", "wrong-witness", snapshot(key=YOU)),
    Attack("by a stranger", "wrong-witness", snapshot(key=STRANGER)),
    Attack("by another key of the new witness's domain", "wrong-witness", snapshot(key=JAMES_2)),
    Attack("by an authority who endorsed it", "wrong-witness", snapshot(key=ALICE)),
    Attack("by nobody", "unsigned", snapshot(key=None)),
    Attack("for another namespace", "wrong-namespace", snapshot(namespace=forge.ROTATION)),
    Attack("by a stranger who names the new witness's key", "bad-signature", snapshot(
        key=STRANGER, public=forge.blob(JAMES)
    )),
]  # fmt: skip


def _serving(at: Line, domain: str = "james", key: forge.Key = JAMES) -> bytes:
    """`ledger/witness.yaml` as the honest rotation writes it."""
    return forge.witness_file(domain, key, "common@3", forge.sha256(at.artifact()))


def _cases(attacks: list[Attack]) -> list[Any]:
    return [pytest.param(each, id=each.name) for each in attacks]


@pytest.mark.parametrize("attack", _cases(ENDORSEMENTS))
def test_a_rotation_is_refused_that_is_endorsed(at: Line, attack: Attack) -> None:
    at.refuses(attack.forge(at), attack.rule)


@pytest.mark.parametrize("attack", _cases(ARTIFACTS))
def test_an_artifact_is_refused(at: Line, attack: Attack) -> None:
    error = at.refuses(attack.forge(at), attack.rule)
    assert error.subject


@pytest.mark.parametrize("attack", _cases(TREES))
def test_a_rotation_snapshot_is_refused_of_a_tree(at: Line, attack: Attack) -> None:
    at.refuses(attack.forge(at), attack.rule)


@pytest.mark.parametrize("attack", _cases(COMMITS))
def test_a_rotation_snapshot_is_refused(at: Line, attack: Attack) -> None:
    at.refuses(attack.forge(at), attack.rule)


@pytest.mark.parametrize("attack", _cases(SIGNERS))
def test_a_rotation_snapshot_is_refused_that_is_signed(at: Line, attack: Attack) -> None:
    at.refuses(attack.forge(at), attack.rule)


def test_no_rotation_is_possible_where_the_policy_does_not_allow_it(at: Line) -> None:
    line = at.fork()
    line.take(line.accepting({POLICY: line.policy(rotation_allowed=False)}, endorsers=(ALICE, JAMES)))
    line.refuses(line.sealing(line.artifact()), "rotation-not-allowed")
    line.take(line.accepting({POLICY: line.policy()}, endorsers=(ALICE, JAMES)))
    line.take(line.sealing(line.artifact()))


# Honest ones

HONEST: dict[str, tuple[tuple[str, Path], Callable[[Line], bytes]]] = {
    "by the new witness and another": (("james", JAMES), lambda at: at.artifact()),
    "by all": (("james", JAMES), lambda at: at.artifact(endorsements=AUTHORITIES)),
    "with the old witness": (("james", JAMES), lambda at: at.artifact(endorsements={"james": JAMES, "you": YOU})),
    "without the new witness": (("james", JAMES), lambda at: at.artifact(endorsements={"alice": ALICE, "you": YOU})),
    "to another key of an authority": (("alice", ALICE_2), lambda at: at.artifact(("alice", ALICE_2))),
    "to a domain that is no authority": (("farm", FARM), lambda at: at.artifact(("farm", FARM))),
    "to another key of the witness": (("you", YOU_2), lambda at: at.artifact(("you", YOU_2))),
    "to the witness that serves": (("you", YOU), lambda at: at.artifact(("you", YOU))),
    "for a reason": (("james", JAMES), lambda at: at.artifact(reason='"you" is off\nsince Monday: {a: b} # x')),
    "in another layout": (
        ("james", JAMES),
        lambda at: b"# by hand\n" + at.artifact().replace(b"version: 0.1", b'version:   "0.1"'),
    ),
}


@pytest.mark.parametrize(("to", "artifact"), HONEST.values(), ids=HONEST)
def test_a_quorum_makes_another_witness_who_goes_on(
    at: Line, to: tuple[str, Path], artifact: Callable[[Line], bytes]
) -> None:
    line, (domain, key) = at.fork(), to
    content = artifact(line)
    sealed = line.take(line.sealing(content, key))
    witness = sealed.state.witness
    assert (witness.domain_id, witness.pubkey_id) == (domain, forge.key_id(key))
    assert (witness.since, witness.rotation_artifact) == ("common@3", forge.sha256(content))
    assert forge.git(line.repo, "cat-file", "blob", f"{line.tip}:ledger/rotations/{forge.sha256(content)[7:]}.yaml")
    changed = forge.git(line.repo, "diff", "--name-status", f"{line.line[2].oid}", line.tip).decode().split("\n")
    assert [one[0] for one in changed if one] == ["A", "M"]
    assert line.take(line.accepting({"shared/x": b"x"}, witness=key)).name == "common@4"
    assert [(number, rotation.digest) for number, _, rotation in rotations.sealed(line.trusted.state)] == [
        (3, at.hash(to))
    ]


def test_a_rotation_may_be_dated_as_the_snapshot_it_follows(at: Line) -> None:
    line = at.fork()
    line.take(line.sealing(line.artifact(), seconds=line.trusted.seconds))


def test_the_old_witness_is_refused_from_then_on_and_told_what_sealed_it(at: Line) -> None:
    line = at.fork()
    before = line.accepting({"shared/x": b"x"})
    advance(line.trusted, before)
    line.take(line.sealing(line.artifact()))
    line.refuses(before, "wrong-parent")
    error = line.refuses(line.accepting({"shared/x": b"x"}, witness=YOU), "wrong-witness")
    assert "common@3 sealed" in str(error)
    calls_itself = {"lines": {"Witness": f"you {forge.key_id(YOU)}"}, "committer": who("you", 2)(line)}
    error = line.refuses(line.accepting({"shared/x": b"x"}, witness=YOU, **calls_itself), "wrong-witness")
    assert "common@3 sealed" in str(error)
    line.take(line.accepting({"shared/x": b"x"}, witness=JAMES))
    line.refuses(line.accepting({"shared/y": b"y"}, witness=YOU), "wrong-witness")


def test_a_sealed_rotation_is_no_rotation_any_more(at: Line) -> None:
    line = at.fork()
    there, back = line.artifact(), line.artifact(("alice", ALICE))
    line.take(line.sealing(there))
    line.refuses(line.sealing(there), "rotation-previous")
    line.refuses(line.sealing(back, ALICE), "rotation-previous")
    line.take(line.sealing(line.artifact(("you", YOU), old=("james", JAMES)), YOU))
    assert [number for number, _, _ in rotations.sealed(line.trusted.state)] == [3, 4]
    line.take(line.accepting({"shared/x": b"x"}, witness=YOU))


def test_the_witness_that_serves_cancels_another_rotation_by_sealing_its_own(at: Line) -> None:
    line = at.fork()
    waiting = line.artifact()
    line.take(line.sealing(line.artifact(("you", YOU)), YOU))
    line.refuses(line.sealing(waiting), "rotation-previous")
    line.take(line.accepting({"shared/x": b"x"}, witness=YOU))


def test_whoever_seals_first_wins_and_the_other_is_no_successor(at: Line) -> None:
    one, other = at.fork(), at.fork()
    sealed = [
        line.sealing(line.artifact(to), to[1]) for line, to in ((one, ("james", JAMES)), (other, ("alice", ALICE)))
    ]
    for line, taken, left in ((one, *sealed), (other, *reversed(sealed))):
        line.take(taken)
        line.refuses(left, "wrong-parent")


# Every kind of seal, then a normal snapshot

SEALS: dict[str, tuple[tuple[str, Path], dict[str, Path]]] = {
    "k of n": (("james", JAMES), QUORUM),
    "n of n": (("alice", ALICE_2), AUTHORITIES),
    "to nobody's authority": (("farm", FARM), QUORUM),
    "to itself": (("you", YOU), QUORUM),
}


@pytest.mark.parametrize(("to", "by"), SEALS.values(), ids=SEALS)
def test_after_a_seal_everything_goes_on_as_before(at: Line, to: tuple[str, Path], by: dict[str, Path]) -> None:
    line, key = at.fork(), to[1]
    line.take(line.sealing(line.artifact(to, endorsements=by), key))
    line.take(line.accepting({"domains/alice/x": b"x"}, witness=key))
    line.take(line.accepting({"standards/x": b"x"}, endorsers=(JAMES,), witness=key))
    line.take(line.accepting({POLICY: line.policy(revoked=[])}, endorsers=(ALICE, JAMES), witness=key))
    line.take(line.sealing(line.artifact(("farm", BARRED), endorsements=by), BARRED))
    line.take(line.accepting({"domains/alice/x": None}, witness=BARRED))
    assert line.trusted.name == "common@8"


def test_a_witness_that_is_no_authority_witnesses_and_endorses_nothing(at: Line) -> None:
    line = at.fork()
    line.take(line.sealing(line.artifact(("farm", FARM)), FARM))
    only = {"alice": ALICE, "farm": FARM}
    line.refuses(line.sealing(line.artifact(endorsements=only)), "endorsement-does-not-count")
    line.refuses(line.accepting({"standards/x": b"x"}, endorsers=(FARM,), witness=FARM), "endorsement-does-not-count")
    line.refuses(line.accepting({"standards/x": b"x"}, witness=FARM), "endorsements-missing")


def test_the_key_of_a_witness_that_serves_can_not_be_taken_out_and_one_that_left_can(at: Line) -> None:
    line = at.fork()
    line.take(line.sealing(line.artifact(("farm", FARM)), FARM))
    without = forge.manifest_file("farm", forge.Entry("key-2", BARRED))
    line.refuses(line.accepting({"domains/farm/domain.yaml": without}, FARM, witness=FARM), "named-key")
    line.take(line.sealing(line.artifact()))
    line.take(line.accepting({"domains/farm/domain.yaml": without}, FARM, witness=JAMES))


# A tighter policy binds the next snapshot


def test_a_higher_threshold_binds_the_next_rotation(at: Line) -> None:
    line = at.fork()
    before = line.artifact()
    line.take(line.accepting({POLICY: line.policy(threshold=3)}, endorsers=(ALICE, JAMES, YOU)))
    line.refuses(line.sealing(before), "rotation-previous")
    line.refuses(line.sealing(line.artifact(threshold=2)), "rotation-threshold")
    line.refuses(line.sealing(line.artifact()), "quorum-missing")
    line.take(line.sealing(line.artifact(endorsements=AUTHORITIES)))


def test_an_authority_that_left_binds_nobody_any_more_and_one_that_came_does(at: Line) -> None:
    line = at.fork()
    now = {"alice": ALICE, "farm": FARM, "you": YOU}
    line.take(line.accepting({POLICY: line.policy(authorities=now)}, endorsers=(ALICE, FARM, JAMES)))
    line.refuses(line.sealing(line.artifact()), "endorsement-does-not-count")
    line.take(line.sealing(line.artifact(endorsements={"alice": ALICE, "farm": FARM})))


def test_an_authority_with_a_new_key_endorses_with_that_one(at: Line) -> None:
    line = at.fork()
    now = {**AUTHORITIES, "alice": ALICE_2}
    line.take(line.accepting({POLICY: line.policy(authorities=now)}, endorsers=(ALICE, JAMES)))
    line.refuses(line.sealing(line.artifact()), "endorsement-does-not-count")
    line.take(line.sealing(line.artifact(endorsements={"alice": ALICE_2, "james": JAMES})))


def test_a_key_revoked_by_the_newest_policy_is_no_witness_any_more(at: Line) -> None:
    line = at.fork()
    revoked = [forge.key_id(BARRED), forge.key_id(JAMES_2)]
    advance(line.trusted, line.sealing(line.artifact(("james", JAMES_2)), JAMES_2))
    line.take(line.accepting({POLICY: line.policy(revoked=revoked)}, endorsers=(ALICE, JAMES)))
    line.refuses(line.sealing(line.artifact(("james", JAMES_2)), JAMES_2), "new-witness-revoked")


def test_a_path_that_a_policy_closes_is_closed_for_the_next_proposal(at: Line) -> None:
    line = at.fork()
    open_now = {"shared/x": b"x"}
    shelved = forge.proposal(line.repo, line.tip, open_now, ALICE)
    tight = line.policy(paths=("{match: shared/**, proposers: any, endorsements: 2}",))
    line.take(line.accepting({POLICY: tight}, JAMES, endorsers=(ALICE, JAMES)))
    line.refuses(line.accepting(open_now), "endorsements-missing")
    line.refuses(forge.snapshot(line.repo, line.tip, shelved, YOU), "endorsements-missing")
    line.take(line.accepting(open_now, endorsers=(ALICE, JAMES)))


# An invalid one in between


def _unendorsed(at: Line) -> str:
    return at.sealing(at.artifact(endorsements={"james": JAMES}))


def _by_the_wrong_key(at: Line) -> str:
    return at.sealing(at.artifact(), JAMES_2)


def _with_a_file_more(at: Line) -> str:
    return at.sealing(at.artifact(), extra={"shared/x": b"x"})


INVALID = {"quorum-missing": _unendorsed, "wrong-witness": _by_the_wrong_key, "altered": _with_a_file_more}


@pytest.mark.parametrize(("rule", "bad"), INVALID.items(), ids=INVALID)
def test_after_an_invalid_rotation_everything_is_invalid_from_every_pin(
    at: Line, rule: str, bad: Callable[[Line], str]
) -> None:
    """What comes after it looks healed: a later quorum even gives the witness back, by an honest rotation."""
    oids = [bad(at)]
    repo, healed = at.repo, {"alice": ALICE, "james": JAMES, "you": YOU}
    proposal = forge.proposal(repo, oids[-1], {"shared/x": b"y"}, ALICE)
    oids.append(forge.snapshot(repo, oids[-1], proposal, JAMES))
    back = forge.rotation_file(repo, oids[-1], ("you", YOU), healed)
    oids.append(forge.rotating(repo, oids[-1], back, YOU))
    oids.append(forge.snapshot(repo, oids[-1], forge.proposal(repo, oids[-1], {"shared/x": b"z"}, ALICE), YOU))
    for pin in at.line:
        trusted = pinned(Store.open(repo), pin.oid, pin.hash)
        with pytest.raises(LedgerError) as caught:
            for oid in [one.oid for one in at.line[pin.number + 1 :]] + oids:
                trusted = advance(trusted, oid)
        assert (caught.value.rule, trusted.oid) == (rule, at.tip)
        for oid in oids[1:]:
            with pytest.raises(Refused) as skipped:
                advance(trusted, oid)
            assert skipped.value.rule == "wrong-parent"


def test_the_verdict_on_a_line_with_rotations_is_the_same_from_every_pin(at: Line) -> None:
    line = at.fork()
    line.take(line.sealing(line.artifact()))
    line.take(line.accepting({"shared/x": b"x"}, witness=JAMES))
    line.take(line.sealing(line.artifact(("farm", FARM)), FARM))
    line.take(line.accepting({"shared/x": b"y"}, witness=FARM))
    for pin in line.line:
        trusted = pinned(Store.open(line.repo), pin.oid, pin.hash)
        for one in line.line[pin.number + 1 :]:
            trusted = advance(trusted, one.oid)
        assert (trusted.hash, trusted.state.witness) == (line.trusted.hash, line.trusted.state.witness)


# What waits


def refs(at: Line, artifact: forge.Rotation, signatures: Mapping[str, bytes]) -> dict[str, str]:
    """The refs that a draft and signatures are pushed to."""
    under = f"refs/rotations/{artifact.hash.hex()}/"
    blobs = {"draft": artifact.render(), **signatures}
    return {under + name: forge.write_object(at.repo, "blob", content) for name, content in blobs.items()}


def test_what_waits_is_complete_with_a_quorum_whatever_junk_lies_beside_it(at: Line) -> None:
    made = forge.rotation(at.repo, at.tip, ("james", JAMES))
    good = {domain: forge.rotation_endorsement(made.hash, key) for domain, key in QUORUM.items()}
    junk = {
        "you": forge.rotation_endorsement(made.hash, YOU, "git"),
        "farm": forge.rotation_endorsement(made.hash, FARM),
        "stranger": b"nothing\n",
        "alice-2": good["alice"],
    }
    other = {"refs/rotations/" + 64 * "0" + "/draft": forge.write_object(at.repo, "blob", made.render())}
    found = rotations.read(at.trusted, refs(at, made, good | junk) | other)
    (waiting,) = found.waiting
    assert waiting.complete and not waiting.stale
    assert waiting.artifact == made.render(entries(*QUORUM.items())(at))
    assert {ref.rpartition("/")[2]: error.rule for ref, error in found.unreadable.items()} == {
        "you": "wrong-namespace",
        "farm": "endorsement-does-not-count",
        "stranger": "signature-armour",
        "draft": "rotation-name",
    }
    at.fork().take(at.sealing(waiting.artifact))


@pytest.mark.parametrize(
    ("by", "missing"),
    [({}, (2, ("alice", "james", "you"))), ({"james": JAMES}, (1, ("alice", "you"))), (QUORUM, (0, ()))],
)
def test_what_waits_says_whose_signature_it_lacks(
    at: Line, by: Mapping[str, Path], missing: tuple[int, tuple[str, ...]]
) -> None:
    made = forge.rotation(at.repo, at.tip, ("james", JAMES))
    signed = {domain: forge.rotation_endorsement(made.hash, key) for domain, key in by.items()}
    (waiting,) = rotations.read(at.trusted, refs(at, made, signed)).waiting
    assert waiting.missing == missing
    assert waiting.hash == made.hash.hex()


def test_what_waits_is_stale_when_another_snapshot_came(at: Line) -> None:
    line = at.fork()
    made = forge.rotation(at.repo, at.tip, ("james", JAMES))
    held = refs(at, made, {domain: forge.rotation_endorsement(made.hash, key) for domain, key in QUORUM.items()})
    line.take(line.accepting({"shared/x": b"x"}))
    found = rotations.read(line.trusted, held)
    assert [one.stale for one in found.waiting] == [True]
    assert found.complete == ()


def test_a_draft_of_ours_is_what_the_forge_drafts(at: Line) -> None:
    for reason in (None, 'said "no"\nand left'):
        drafted = succession.draft(at.trusted, "james", JAMES_ID, reason)
        made = forge.rotation(at.repo, at.tip, ("james", JAMES), reason=reason)
        assert drafted.render().encode() == made.render()
        assert drafted.digest == made.hash
