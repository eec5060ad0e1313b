"""The forge and the rules were written apart from one spec: what the one builds, the other accepts, byte for byte.

First the forge is held against stock git and ssh-keygen; then ledgers that it builds alone go through `genesis` and
`advance`; then each thing that a snapshot says is altered, one at a time, beside the honest twin that passes.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import forge
import pytest
from forge import Entry
from world import KEYS, World

from gitledger.errors import LedgerError, Wanting
from gitledger.objects.store import Store
from gitledger.rules import advance
from gitledger.rules.state import Snapshot

YOU, ALICE, JAMES, STRANGER = KEYS / "you", KEYS / "alice", KEYS / "james", KEYS / "stranger"
SPARE = [KEYS / f"spare-{number}" for number in range(1, 10)]
PEOPLE = {"you": YOU, "alice": ALICE, "james": JAMES}


class Grown:
    """A ledger in a bare repository that the forge lets grow; `trusted` is what the rules say of it."""

    def __init__(self, repo: Path, **founding: Any) -> None:
        subprocess.run(["git", "init", "-q", "--bare", str(repo)], check=True)
        self.repo = repo
        tip = forge.genesis(repo, **{"people": PEOPLE, **founding})
        self.ledger_id = forge.hash_of(repo, tip)
        self.line: list[Snapshot] = [advance.genesis(Store.open(repo), tip, self.ledger_id)]

    @property
    def trusted(self) -> Snapshot:
        return self.line[-1]

    @property
    def tip(self) -> str:
        return self.trusted.oid

    def propose(self, changes: dict[str, forge.Content | None], key: forge.Key = ALICE, **how: Any) -> str:
        seconds = how.pop("seconds", forge.when(self.repo, self.tip) + 1)
        return forge.proposal(self.repo, how.pop("base", self.tip), changes, key, seconds=seconds, **how)

    def endorse(self, proposal: str, *keys: forge.Key) -> list[str]:
        return [forge.endorsement(self.repo, proposal, key) for key in keys]

    def accept(self, proposal: str, *endorsers: forge.Key, **altered: Any) -> Snapshot:
        endorsements = self.endorse(proposal, *endorsers)
        oid = forge.snapshot(self.repo, self.tip, proposal, YOU, endorsements=endorsements, **altered)
        self.line.append(advance.advance(self.trusted, oid))
        return self.trusted

    def refuses(self, rule: str, proposal: str, *endorsers: forge.Key, **altered: Any) -> LedgerError:
        before = len(self.line)
        with pytest.raises(LedgerError) as caught:
            self.accept(proposal, *endorsers, **altered)
        assert caught.value.rule == rule, str(caught.value)
        assert len(self.line) == before
        return caught.value

    def file(self, path: str) -> bytes:
        content = self.trusted.state.tree.read(path)
        assert content is not None
        return content

    def record(self, key: forge.Key) -> Any:
        held = forge.files(self.repo, self.tip)
        return forge.document(self.repo, held, forge.record_path(forge.blob(key)))


@pytest.fixture
def grown(tmp_path: Path) -> Callable[..., Grown]:
    def make(**founding: Any) -> Grown:
        return Grown(tmp_path / "ledger.git", **founding)

    return make


# The forge against stock tools


def test_a_signature_is_what_ssh_keygen_writes(world: World) -> None:
    command = ["ssh-keygen", "-q", "-Y", "sign", "-n", "git", "-f", str(world.alice.key)]
    for message in (b"", b"hello\n", bytes(range(256)) * 40):
        done = subprocess.run(command, input=message, stdout=subprocess.PIPE, check=True)
        assert forge.sshsig(ALICE, message) == done.stdout


def test_the_forge_has_nothing_of_gitledger() -> None:
    code = "import sys, forge; print([name for name in sys.modules if name.startswith('gitledger')])"
    command = [sys.executable, "-P", "-c", f"import sys; sys.path.insert(0, {str(KEYS.parent)!r}); {code}"]
    assert subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout == "[]\n"


def test_key_ids_are_what_ssh_keygen_prints() -> None:
    printed = subprocess.run(["ssh-keygen", "-lf", str(ALICE) + ".pub"], stdout=subprocess.PIPE, text=True, check=True)
    assert printed.stdout.split()[1] == forge.key_id(ALICE)
    assert (KEYS / "alice.pub").read_text().rsplit(" ", 1)[0] == forge.line(ALICE)


def test_trees_are_what_git_writes_and_their_digest_what_a_sha256_repository_says(tmp_path: Path) -> None:
    contents: dict[str, forge.Content] = {
        "a/b/c": b"1",
        "a.txt": b"2",
        "a-b": b"3",
        "a0": ("100755", b"4"),
        "é/x": b"",
        ".gitattributes": forge.ATTRIBUTES,
    }
    ids = []
    for kind in ("sha1", "sha256"):
        work = tmp_path / kind
        subprocess.run(["git", "init", "-q", f"--object-format={kind}", str(work)], check=True)
        for path, content in contents.items():
            (work / path).parent.mkdir(parents=True, exist_ok=True)
            (work / path).write_bytes(content if isinstance(content, bytes) else b"4")
        (work / "a0").chmod(0o755)
        subprocess.run(["git", "add", "-A"], cwd=work, check=True)
        ids.append(forge.git(work / ".git", "write-tree").decode().strip())
    repo = tmp_path / "sha1" / ".git"
    assert forge.tree(repo, contents) == ids[0]
    assert forge.tree_digest(repo, ids[0]) == "sha256:" + ids[1]


def test_commits_and_tags_verify_with_git(world: World) -> None:
    repo = world.clone(world.alice) / ".git"
    signers = world.path / "signers"
    signers.write_text(f"alice {world.alice.pub}\n")
    oid = forge.proposal(repo, world.tip, {"domains/alice/x": b"x"}, ALICE)
    tag = forge.endorsement(repo, oid, ALICE)
    for command in (("verify-commit", oid), ("verify-tag", tag), ("fsck", "--strict")):
        world.alice.git(repo.parent, "-c", f"gpg.ssh.allowedSignersFile={signers}", *command)


# What the forge builds, the rules accept


def test_a_file_is_published_changed_moved_made_executable_and_taken_away(grown: Callable[..., Grown]) -> None:
    ledger = grown()
    ledger.accept(ledger.propose({"domains/alice/a": b"1", "domains/alice/deep/er/b": b"2"}))
    ledger.accept(ledger.propose({"domains/alice/a": ("100755", b"1")}))
    ledger.accept(ledger.propose({"domains/alice/a": None, "domains/alice/a/now/a/directory": b"3"}))
    ledger.accept(ledger.propose({"domains/alice/deep/er/b": None}))
    assert ledger.trusted.number == 4
    assert ledger.trusted.state.tree.get("domains/alice/deep") is None


def test_shared_paths_take_the_endorsements_that_the_strictest_rule_asks(grown: Callable[..., Grown]) -> None:
    rules = [
        "{match: standards/**, proposers: any, endorsements: 1}",
        '{match: "**/law.txt", proposers: [alice], endorsements: 2}',
    ]
    ledger = grown(policy=forge.policy_file(PEOPLE, paths=rules))
    proposal = ledger.propose({"standards/law.txt": b"law"})
    assert isinstance(ledger.refuses("endorsements-missing", proposal, JAMES), Wanting)
    ledger.accept(proposal, JAMES, YOU)
    ledger.accept(ledger.propose({"standards/note.txt": b"note"}, JAMES), ALICE)
    ledger.refuses("proposer-not-admitted", ledger.propose({"standards/law.txt": b"new"}, JAMES), ALICE, YOU)
    ledger.refuses("path-not-open", ledger.propose({"elsewhere.txt": b"x"}), JAMES, YOU)


@pytest.mark.parametrize(("registration", "endorsers"), [("open", 0), ("endorsed", 1), ("closed", 2)])
def test_a_domain_registers_itself(grown: Callable[..., Grown], registration: str, endorsers: int) -> None:
    ledger = grown(policy=forge.policy_file(PEOPLE, registration=registration))
    manifest = forge.manifest_file("newcomer", Entry("root", SPARE[0]))
    proposal = ledger.propose({"domains/newcomer/domain.yaml": manifest}, SPARE[0])
    among = [ALICE, JAMES][:endorsers]
    if endorsers:
        ledger.refuses("endorsements-missing", proposal, *among[1:])
    ledger.accept(proposal, *among)
    assert ledger.record(SPARE[0])["domain_id"] == "newcomer"
    ledger.accept(ledger.propose({"domains/newcomer/first": b"1"}, SPARE[0]))
    assert len(ledger.record(SPARE[0])["salts"]) == 2


def test_keys_enter_with_their_consent_and_leave_for_ever(grown: Callable[..., Grown]) -> None:
    ledger = grown()
    path = "domains/alice/domain.yaml"
    laptop, proof = SPARE[0], forge.proof(SPARE[0], ledger.ledger_id, "alice")
    root = Entry("root", ALICE)
    without = forge.manifest_file("alice", root, Entry("laptop", laptop, ["publisher"]))
    with_proof = forge.manifest_file("alice", root, Entry("laptop", laptop, ["publisher"], proof))
    ledger.refuses("key-without-proof", ledger.propose({path: without}))
    ledger.accept(ledger.propose({path: with_proof}))
    ledger.accept(ledger.propose({"domains/alice/by-laptop": b"x"}, laptop))
    ledger.refuses("role-missing", ledger.propose({path: forge.manifest_file("alice", root)}, laptop))
    ledger.accept(ledger.propose({path: forge.manifest_file("alice", root)}))
    assert ledger.record(laptop)["status"] == "revoked"
    ledger.refuses("revoked-key", ledger.propose({"domains/alice/late": b"x"}, laptop))
    ledger.refuses("revoked-key", ledger.propose({path: with_proof}))


def test_a_lost_root_is_replaced_by_a_quorum_where_the_policy_says_so(grown: Callable[..., Grown]) -> None:
    members = {"you": YOU, "alice": ALICE, "james": JAMES, "lost": SPARE[0]}
    policy = forge.policy_file(PEOPLE, rekey="quorum")
    ledger = grown(people=members, policy=policy)
    proof = forge.proof(SPARE[1], ledger.ledger_id, "lost")
    manifest = forge.manifest_file("lost", Entry("root", SPARE[1], proof=proof))
    proposal = ledger.propose({"domains/lost/domain.yaml": manifest})
    ledger.refuses("endorsements-missing", proposal, JAMES)
    ledger.accept(proposal, JAMES, YOU)
    assert ledger.record(SPARE[0])["status"] == "revoked"
    assert ledger.record(SPARE[1])["domain_id"] == "lost"


def test_a_policy_changes_by_the_old_quorum_and_the_new(grown: Callable[..., Grown]) -> None:
    ledger = grown(people={**PEOPLE, "dana": SPARE[0]}, policy=forge.policy_file(PEOPLE))
    entering = {**PEOPLE, "dana": SPARE[0]}
    proposal = ledger.propose({"ledger/policy.yaml": forge.policy_file(entering, revision=2)})
    ledger.refuses("endorsements-missing", proposal, ALICE, JAMES, YOU)  # dana enters, and says nothing
    ledger.refuses("endorsements-missing", proposal, ALICE, SPARE[0])
    ledger.accept(proposal, ALICE, JAMES, SPARE[0])
    assert len(ledger.trusted.state.policy.authorities) == 4
    smaller = forge.policy_file({"alice": ALICE, "dana": SPARE[0]}, revision=3)
    ledger.accept(ledger.propose({"ledger/policy.yaml": smaller}), ALICE, SPARE[0], YOU)
    assert ledger.trusted.state.policy.threshold == 2


def test_an_authority_changes_its_key_and_signs_with_either(grown: Callable[..., Grown]) -> None:
    ledger = grown(people={**PEOPLE, "alice": [ALICE, SPARE[0]]}, policy=forge.policy_file(PEOPLE))
    turned = forge.policy_file({**PEOPLE, "alice": SPARE[0]}, revision=2)
    with_new_key = ledger.propose({"ledger/policy.yaml": turned}, JAMES)
    ledger.refuses("endorsements-missing", with_new_key, SPARE[0], JAMES)  # the old quorum counts old keys
    ledger.accept(with_new_key, SPARE[0], JAMES, YOU)
    ledger.refuses("endorsement-does-not-count", ledger.propose({"shared/x": b"x"}), ALICE)


def test_the_salts_on_record_are_the_32_greatest(grown: Callable[..., Grown]) -> None:
    ledger = grown()
    for salt in range(100, 140):
        ledger.accept(ledger.propose({"domains/alice/n": b"%d" % salt}, message=f"n\n\nLedger-Salt: {salt}\n"))
    assert ledger.record(ALICE)["salts"] == [str(salt) for salt in range(108, 140)]
    for salt, rule in ((139, "salt-used"), (108, "salt-used"), (107, "salt-below-window"), (5, "salt-below-window")):
        ledger.refuses(rule, ledger.propose({"domains/alice/n": b"x"}, message=f"n\n\nLedger-Salt: {salt}\n"))
    ledger.accept(ledger.propose({"domains/alice/n": b"last"}))


def test_a_line_is_accepted_in_its_order(grown: Callable[..., Grown]) -> None:
    ledger = grown()
    first = ledger.propose({"domains/alice/n": b"1"})
    second = forge.proposal(
        ledger.repo, first, {"domains/alice/n": b"2"}, ALICE, seconds=forge.when(ledger.repo, first)
    )
    third = forge.proposal(ledger.repo, second, {"domains/alice/n": None}, ALICE, seconds=forge.START)
    between = ledger.propose({"domains/james/n": b"1"}, JAMES)
    ledger.refuses("base-unknown", second)
    ledger.accept(first)
    ledger.accept(between)
    ledger.accept(second)
    ledger.accept(third)
    salts = [int(salt) for salt in ledger.record(ALICE)["salts"]]
    assert salts == [salts[0], salts[0] + 1, salts[0] + 2]


def test_a_permit_says_what_may_have_happened_since_the_base(grown: Callable[..., Grown]) -> None:
    def on_genesis(content: bytes, permit: str, seconds: int) -> str:
        changes: dict[str, forge.Content | None] = {"shared/one": content}
        base, text = ledger.line[0].oid, f"One\n\nLedger-Reorder: {permit}\n"
        return ledger.propose(changes, JAMES, base=base, message=text, seconds=forge.START + seconds)

    ledger = grown()
    ledger.accept(ledger.propose({"domains/alice/other": b"x"}))
    ledger.refuses("reorder-never", on_genesis(b"never", "never", 10))
    ledger.accept(on_genesis(b"unchanged", "unchanged", 11))
    ledger.refuses("path-changed-since", on_genesis(b"again", "unchanged", 12))
    ledger.accept(on_genesis(b"any", "any", 13))
    assert ledger.file("shared/one") == b"any"


def test_the_trailers_of_a_proposal_are_taken_at_their_word(grown: Callable[..., Grown]) -> None:
    ledger = grown()
    changes: dict[str, forge.Content | None] = {"domains/alice/n": b"1"}
    digest = forge.tree_digest(ledger.repo, forge.changed(ledger.repo, ledger.tip, changes))
    wrong = "sha256:" + 64 * "0"
    for trailer, rule in (
        (f"Ledger-Content: {wrong}", "content-digest"),
        ("Ledger-Domain: james", "other-domain"),
        ("Ledger-Expires: common@0", "expired"),
    ):
        ledger.refuses(rule, ledger.propose(changes, message=f"n\n\n{trailer}\n"))
    trailers = f"Ledger-Content: {digest}\nLedger-Domain: alice\nLedger-Expires: common@1"
    ledger.accept(ledger.propose(changes, message=f"n\n\n{trailers}\n"))


def test_every_pin_gives_the_same_verdict(grown: Callable[..., Grown]) -> None:
    ledger = grown()
    proposals = [ledger.propose({"domains/alice/1": b"1"})]
    for number in range(2, 6):
        base, changes = proposals[-1], {f"domains/alice/{number}": b"x"}
        proposals.append(forge.proposal(ledger.repo, base, changes, ALICE))
    for proposal in proposals:
        ledger.accept(proposal)
    for start in ledger.line:
        reached = advance.pinned(Store.open(ledger.repo), start.oid, start.hash)
        for following in ledger.line[start.number + 1 :]:
            reached = advance.advance(reached, following.oid)
            assert (reached.hash, reached.state.tree.digest) == (following.hash, following.state.tree.digest)
        assert reached.state.line.row(reached.state.objects, 0).snapshot == ledger.line[0].oid


# Altered in one thing


ALTERED: list[tuple[str, dict[str, Any]]] = [
    ("altered", {"author": "alice <alice@common> 1795170003 +0000"}),
    ("altered", {"author": "james <james@common> 1795170001 +0000"}),
    ("altered", {"committer": "you <you@common> 1795170009 +0100"}),
    ("altered", {"committer": "alice <alice@common> 1795170009 +0000"}),
    ("time-backwards", {"seconds": forge.START - 1}),
    ("altered", {"first": "common@1: Something else"}),
    ("altered", {"lines": {"Ledger": "sha256:" + 64 * "0"}}),
    ("not-a-snapshot", {"lines": {"Snapshot": None}}),
    ("wrong-number", {"lines": {"Snapshot": "common@2"}}),
    ("wrong-number", {"lines": {"Snapshot": "other@1"}}),
    ("altered", {"lines": {"Previous": "sha256:" + 64 * "0"}}),
    ("altered", {"lines": {"Content": "sha256:" + 64 * "0"}}),
    ("altered", {"lines": {"Proposal": "sha256:" + 64 * "0"}}),
    ("altered", {"lines": {"Command": 64 * "0" + f" {forge.key_id(ALICE)} 1795170001"}}),
    ("wrong-witness", {"lines": {"Witness": f"alice {forge.key_id(ALICE)}"}}),
    ("not-a-snapshot", {"message": "common@1: A change\n\nand no more\n"}),
    ("header-unknown", {"before": b"note x\n"}),
    ("header-unknown", {"after": b"note x\n"}),
    ("encoding-header", {"before": b"encoding UTF-8\n"}),
    ("header-unknown", {"after": b"gpgsig-sha256 x\n"}),
    ("signature-armour", {"width": 76}),
    ("signature-armour", {"signature": forge.sshsig(YOU, b"") + b"more\n"}),
    ("bad-signature", {"signature": forge.sshsig(YOU, b"another commit")}),
    ("non-canonical-scalar", {"twist": forge.plus_order}),
    ("wrong-namespace", {"namespace": "file"}),
    ("signature-hash", {"hash": "sha256"}),
]


@pytest.mark.parametrize(("rule", "altered"), ALTERED)
def test_a_snapshot_altered_in_one_thing_is_refused(
    grown: Callable[..., Grown], rule: str, altered: dict[str, Any]
) -> None:
    ledger = grown()
    proposal = ledger.propose({"domains/alice/n": b"1"})
    ledger.refuses(rule, proposal, **altered)
    ledger.accept(proposal)


def test_a_snapshot_with_another_tree_parent_or_key_is_refused(grown: Callable[..., Grown]) -> None:
    ledger = grown()
    repo, proposal = ledger.repo, ledger.propose({"domains/alice/n": b"1"})
    tree = forge.next_tree(repo, ledger.tip, proposal)
    foisted = forge.changed(repo, tree, {"domains/alice/more": b"x"})
    ledger.refuses("altered", proposal, tree=foisted, lines={"Content": forge.tree_digest(repo, foisted)})
    ledger.refuses("altered", proposal, tree=forge.changed(repo, ledger.tip, {"domains/alice/n": b"1"}))
    other = ledger.propose({"domains/james/n": b"1"}, JAMES)
    ledger.refuses("wrong-parents", proposal, parents=[ledger.tip, proposal, other])
    ledger.refuses("wrong-parents", proposal, parents=[ledger.tip])
    ledger.refuses("wrong-parent", proposal, parents=[proposal, ledger.tip])
    ledger.refuses("altered", proposal, parents=[ledger.tip, other])
    for key, rule in ((None, "unsigned"), (ALICE, "wrong-witness"), (STRANGER, "wrong-witness")):
        oid = forge.snapshot(repo, ledger.tip, proposal, key)
        with pytest.raises(LedgerError) as caught:
            advance.advance(ledger.trusted, oid)
        assert caught.value.rule == rule
    ledger.accept(proposal)


def test_mergetags_are_exactly_the_endorsements_that_count(grown: Callable[..., Grown]) -> None:
    rules = ["{match: standards/**, proposers: any, endorsements: 1}"]
    ledger = grown(policy=forge.policy_file(PEOPLE, paths=rules))
    proposal = ledger.propose({"standards/x": b"x"})
    other = ledger.propose({"standards/y": b"y"}, JAMES)
    tag = {
        name: forge.read_object(ledger.repo, forge.endorsement(ledger.repo, proposal, KEYS / name))
        for name in ("alice", "james", "stranger")
    }
    of_other = forge.read_object(ledger.repo, forge.endorsement(ledger.repo, other, ALICE))
    ledger.refuses("endorsements-missing", proposal, mergetags=[])
    ledger.refuses("endorsement-order", proposal, mergetags=[tag["james"], tag["alice"]])
    ledger.refuses("endorsement-order", proposal, mergetags=[tag["alice"], tag["alice"]])
    ledger.refuses("endorsement-does-not-count", proposal, mergetags=[tag["alice"], tag["stranger"]])
    ledger.refuses("tag-object", proposal, mergetags=[of_other])
    ledger.accept(proposal, mergetags=[tag["alice"], tag["james"]])


RECORD = forge.record_path(forge.blob(ALICE))
GENESIS: list[tuple[str, dict[str, Any]]] = [
    ("attributes", {"files": {".gitattributes": b"* text\n"}}),
    ("attributes", {"files": {".gitattributes": ("100755", forge.ATTRIBUTES)}}),
    ("genesis-ledger", {"files": {"ledger/more.txt": b"x"}}),
    (
        "genesis-record",
        {"files": {RECORD: forge.record_file(forge.line(ALICE), "james")}},
    ),
    ("manifest-domain", {"files": {"domains/alice/domain.yaml": forge.manifest_file("james", Entry("k", ALICE))}}),
    ("key-not-active", {"files": {"ledger/witness.yaml": forge.witness_file("you", STRANGER, "common@0")}}),
    ("first-witness", {"files": {"ledger/witness.yaml": forge.witness_file("you", YOU, "other@0")}}),
    ("wrong-parent", {"parents": [40 * "0"]}),
    ("altered", {"first": "common@0: Genesis"}),
    ("altered", {"author": "alice <alice@common> 1795170000 +0000"}),
    ("wrong-witness", {"key": ALICE}),
    ("quorum-threshold", {"policy": forge.policy_file(PEOPLE, threshold=1)}),
    ("key-not-active", {"policy": forge.policy_file({**PEOPLE, "alice": STRANGER})}),
]


@pytest.mark.parametrize(("rule", "altered"), GENESIS)
def test_a_genesis_that_does_not_hold_together_is_refused(tmp_path: Path, rule: str, altered: dict[str, Any]) -> None:
    with pytest.raises(LedgerError) as caught:
        Grown(tmp_path / "ledger.git", **altered)
    assert caught.value.rule == rule, str(caught.value)
    assert Grown(tmp_path / "twin.git").trusted.name == "common@0"


def test_another_anchor_is_another_ledger(grown: Callable[..., Grown]) -> None:
    ledger = grown()
    with pytest.raises(LedgerError) as caught:
        advance.genesis(Store.open(ledger.repo), ledger.tip, "sha256:" + 64 * "0")
    assert caught.value.rule == "wrong-anchor"
