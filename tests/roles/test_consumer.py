"""The consumer: what an honest server brings, and that no hostile one moves what is verified (spec 10)."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import forge
import pytest
from mirror import KEYS, NOW, Mirror
from world import World, accepted

from gitledger.errors import Failed, Fork, LedgerError, Malformed, Refused, Unreachable, Unsound, Usage
from gitledger.roles import consumer
from gitledger.roles.place import AHEAD_SECONDS, Place

BRANCH = "refs/heads/common"


@pytest.fixture
def place(mirror: Mirror, tmp_path: Path) -> Place:
    return clone(mirror, tmp_path / "clone")


def clone(mirror: Mirror, path: Path, anchor: str = "", **options: object) -> Place:
    return consumer.clone(str(mirror.path), path, anchor or mirror.anchor, **{"now": NOW, **options})  # type: ignore[arg-type]


def fetch(place: Place, **options: int) -> consumer.FetchReport:
    """A fetch as the next command would do it, which knows only what is on the disk."""
    return consumer.fetch(Place.open(tree_of(place)), now=options.get("now", NOW))


def tree_of(place: Place) -> Path:
    assert place.store.work_tree is not None
    return place.store.work_tree


def git(place: Place, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(["git", *arguments], cwd=tree_of(place), capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, done.stderr
    return done


def standing(place: Place) -> tuple[dict[str, str], str, str]:
    """All that a consumer stands on: the refs that are verified, HEAD, and the note of what is verified."""
    place = Place.open(tree_of(place))
    refs = {ref: oid for ref, oid in place.store.refs().items() if ref.startswith(("refs/heads/", "refs/tags/"))}
    return refs, place.store.head(), (place.directory / "verified.json").read_text()


# Cloning


def test_a_clone_has_every_tag_and_its_checkout_at_the_newest(place: Place, mirror: Mirror) -> None:
    refs, head, _ = standing(place)
    tags = {f"refs/tags/common@{number}": oid for number, oid in enumerate(mirror.snapshots)}
    assert refs == {**tags, BRANCH: mirror.tip}
    assert head == mirror.tip
    assert (tree_of(place) / "domains/alice/3.txt").read_text() == "domains/alice/3.txt, 3\n"
    assert git(place, "status", "--porcelain").stdout == ""
    assert (place.anchor, place.name, place.role) == (mirror.anchor, "common", "clone")
    assert place.verified.number == 3


def test_a_clone_is_laid_out_as_it_should_be(place: Place) -> None:
    from gitledger.exchange import layout

    assert layout.check(place.store.git_dir, role="clone", name="common") == []
    assert (place.directory / "manifest.schema.json").exists()
    assert list(tree_of(place).parent.glob(".*")) == []


def test_a_ledger_of_another_name_is_cloned_under_that_name(tmp_path: Path) -> None:
    mirror = Mirror(tmp_path / "m.git", name="family")
    mirror.grow()
    place = clone(mirror, tmp_path / "clone")
    assert sorted(standing(place)[0]) == ["refs/heads/family", "refs/tags/family@0", "refs/tags/family@1"]


def test_a_relative_address_is_found_from_the_clone(
    mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    place = consumer.clone("mirror.git", Path("deep/er/clone"), mirror.anchor, now=NOW)
    mirror.grow()
    assert fetch(place).after == 4


def test_a_checkout_has_the_bytes_of_the_ledger_whatever_git_is_told(
    mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tmp_path / "gitconfig"
    settings.write_text("[core]\n\tautocrlf = true\n\teol = crlf\n\thooksPath = /nowhere\n[checkout]\n\tguess = true\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    place = clone(mirror, tmp_path / "clone")
    assert (tree_of(place) / "domains/alice/1.txt").read_bytes() == b"domains/alice/1.txt, 1\n"
    assert (tree_of(place) / ".gitattributes").read_bytes() == b"* -text\n"


def test_the_ledger_id_is_shown_before_anything_is_trusted(mirror: Mirror, tmp_path: Path) -> None:
    assert consumer.peek(str(mirror.path)) == mirror.anchor
    assert consumer.peek(str(Mirror(tmp_path / "young.git").path)) == mirror.anchor


def _not_a_digest(mirror: Mirror) -> tuple[str, str]:
    return str(mirror.path), "common"


def _wrong_anchor(mirror: Mirror) -> tuple[str, str]:
    return str(mirror.path), "sha256:" + "0" * 64


def _anchor_of_a_later_snapshot(mirror: Mirror) -> tuple[str, str]:
    return str(mirror.path), forge.hash_of(mirror.path, mirror.snapshots[1])


def _nowhere(mirror: Mirror) -> tuple[str, str]:
    return str(mirror.path) + ".gone", mirror.anchor


def _too_long_for_a_path(mirror: Mirror) -> tuple[str, str]:
    return "x" * 5000, mirror.anchor


def _empty(mirror: Mirror) -> tuple[str, str]:
    mirror.set(BRANCH, None)
    return str(mirror.path), mirror.anchor


def _some_project(mirror: Mirror) -> tuple[str, str]:
    tree = forge.tree(mirror.path, {"README": b"hello\n"})
    mirror.show(forge.commit(mirror.path, tree, [forge.commit(mirror.path, tree)]))
    return str(mirror.path), mirror.anchor


def _forged_in_the_middle(mirror: Mirror) -> tuple[str, str]:
    forged = mirror.snapshot(on=mirror.snapshots[1], key=KEYS / "stranger")
    mirror.show(mirror.snapshot(on=forged, at=9))
    return str(mirror.path), mirror.anchor


def _renamed_branch(mirror: Mirror) -> tuple[str, str]:
    mirror.set(BRANCH, None)
    mirror.set("refs/heads/other", mirror.tip)
    return str(mirror.path), mirror.anchor


@pytest.mark.parametrize(
    ("offer", "rule", "kind"),
    [
        (_not_a_digest, "digest", Malformed),
        (_wrong_anchor, "wrong-anchor", Refused),
        (_anchor_of_a_later_snapshot, "wrong-anchor", Refused),
        (_nowhere, "unreachable", Unreachable),
        (_too_long_for_a_path, "unreachable", Unreachable),
        (_empty, "no-ledger", Refused),
        (_some_project, "no-ledger", Refused),
        (_forged_in_the_middle, "wrong-witness", Refused),
        (_renamed_branch, "branch-name", Refused),
    ],
)
def test_a_clone_that_is_refused_leaves_nothing(
    mirror: Mirror, tmp_path: Path, offer: Callable[[Mirror], tuple[str, str]], rule: str, kind: type[LedgerError]
) -> None:
    address, anchor = offer(mirror)
    with pytest.raises(kind) as refused:
        consumer.clone(address, tmp_path / "clone", anchor, now=NOW)
    assert refused.value.rule == rule
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mirror.git"]


@pytest.mark.parametrize("taken", ["file", "full"])
def test_what_is_there_already_is_left_alone(mirror: Mirror, tmp_path: Path, taken: str) -> None:
    path = tmp_path / "taken"
    if taken == "file":
        path.write_text("mine")
    else:
        path.mkdir()
        (path / "mine").write_text("mine")
    with pytest.raises(Usage):
        clone(mirror, path)
    assert (path if taken == "file" else path / "mine").read_text() == "mine"
    (tmp_path / "empty").mkdir()
    assert clone(mirror, tmp_path / "empty").verified.number == 3


@pytest.mark.parametrize(
    ("named", "number", "rule"),
    [("common@2", 1, "known-differs"), ("other@1", 1, "known-differs"), ("common@4", 3, "older-than-known")],
)
def test_a_line_that_does_not_pass_through_what_is_known_is_refused(
    mirror: Mirror, tmp_path: Path, named: str, number: int, rule: str
) -> None:
    known_hash = forge.hash_of(mirror.path, mirror.snapshots[number])
    with pytest.raises(LedgerError) as refused:
        clone(mirror, tmp_path / "clone", known=(named, known_hash))
    assert (refused.value.rule, refused.value.exit_status) == (rule, 4 if number == 3 else 1)
    assert clone(mirror, tmp_path / "clone", known=(f"common@{number}", known_hash)).verified.number == 3


def test_a_valid_line_that_parted_before_the_known_one_is_refused(mirror: Mirror, tmp_path: Path) -> None:
    known = "common@3", forge.hash_of(mirror.path, mirror.tip)
    parted = mirror.snapshot(on=mirror.snapshots[1], path="domains/alice/other.txt")
    mirror.show(mirror.snapshot(on=parted))
    with pytest.raises(Refused, match="another line"):
        clone(mirror, tmp_path / "refused", known=known)
    assert clone(mirror, tmp_path / "clone").verified.number == 3


def test_a_clone_that_was_killed_leaves_no_clone_and_the_next_one_clears_up(mirror: Mirror, tmp_path: Path) -> None:
    script = (
        "import sys, os, signal; from pathlib import Path; from gitledger.roles import consumer\n"
        "def progress(done, of): os.kill(os.getpid(), signal.SIGKILL)\n"
        "consumer.clone(sys.argv[1], Path(sys.argv[2]), sys.argv[3], now=int(sys.argv[4]), progress=progress)\n"
    )
    command = [sys.executable, "-c", script, str(mirror.path), str(tmp_path / "clone"), mirror.anchor, str(NOW)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert not (tmp_path / "clone").exists()
    assert clone(mirror, tmp_path / "clone").verified.number == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clone", "mirror.git"]


def test_two_clones_into_one_place_do_not_meet(mirror: Mirror, tmp_path: Path) -> None:
    def interrupt(done: int, of: int) -> None:
        with pytest.raises(Refused) as refused:
            clone(mirror, tmp_path / "clone")
        assert refused.value.rule == "being-built"

    assert clone(mirror, tmp_path / "clone", progress=interrupt).verified.number == 3


# Fetching


def test_a_fetch_moves_branch_and_tags_and_leaves_the_checkout(place: Place, mirror: Mirror) -> None:
    mirror.grow(2)
    report = fetch(place)
    assert (report.before, report.after, report.stale, report.ahead) == (3, 5, None, None)
    refs, head, _ = standing(place)
    assert refs == {
        **{f"refs/tags/common@{number}": oid for number, oid in enumerate(mirror.snapshots)},
        BRANCH: mirror.tip,
    }
    assert head == mirror.snapshots[3]
    assert git(place, "status", "--porcelain").stdout == ""
    assert fetch(place).after == fetch(place).before == 5


def test_an_older_state_is_a_stale_mirror_and_moves_nothing(place: Place, mirror: Mirror) -> None:
    before = standing(place)
    mirror.show(mirror.snapshots[1])
    report = fetch(place)
    assert (report.stale, report.after) == (1, 3)
    assert standing(place) == before


def test_what_is_ahead_of_the_clock_waits_and_is_taken_later(place: Place, mirror: Mirror) -> None:
    mirror.grow()
    late = mirror.snapshot(at=3 * AHEAD_SECONDS)
    mirror.show(late)
    report = fetch(place)
    assert (report.after, report.ahead) == (4, ("common@5", forge.START + 3 * AHEAD_SECONDS))
    assert fetch(place, now=NOW + 2 * AHEAD_SECONDS).after == 5


def test_a_clock_that_lags_does_not_refuse_a_clone(mirror: Mirror, tmp_path: Path) -> None:
    mirror.show(mirror.snapshot(at=3 * AHEAD_SECONDS))
    assert clone(mirror, tmp_path / "clone").verified.number == 3


def _stranger(mirror: Mirror) -> str:
    return mirror.snapshot(key=KEYS / "stranger")


def _unsigned(mirror: Mirror) -> str:
    return mirror.snapshot(signature=b"")


def _skipped(mirror: Mirror) -> str:
    return mirror.snapshot(lines={"Snapshot": "common@9"})


def _altered_tree(mirror: Mirror) -> str:
    return mirror.snapshot(tree=forge.changed(mirror.path, mirror.tip, {"domains/alice/evil": b"x"}))


def _some_commit(mirror: Mirror) -> str:
    return forge.commit(mirror.path, forge.tree(mirror.path, {"x": b"x"}), [mirror.tip])


@pytest.mark.parametrize(
    ("attack", "rule"),
    [
        (_stranger, "wrong-witness"),
        (_unsigned, "unsigned"),
        (_skipped, "wrong-number"),
        (_altered_tree, "altered"),
        (_some_commit, "not-a-snapshot"),
    ],
)
def test_what_is_valid_before_an_invalid_snapshot_is_kept(
    place: Place, mirror: Mirror, attack: Callable[[Mirror], str], rule: str
) -> None:
    mirror.grow(2)
    mirror.show(attack(mirror))
    with pytest.raises((Refused, Malformed)) as refused:
        fetch(place)
    assert (refused.value.rule, refused.value.subject) == (rule, "common@6")
    refs, head, note = standing(place)
    assert refs[BRANCH] == mirror.tip
    assert "refs/tags/common@6" not in refs
    assert head == mirror.snapshots[3]
    assert json.loads(note)["number"] == 5
    assert Place.open(tree_of(place)).store.refs("refs/gitledger/incoming/") == {}
    mirror.grow()
    assert fetch(place).after == 6


def test_two_valid_snapshots_of_one_number_are_a_fork(place: Place, mirror: Mirror) -> None:
    before = standing(place)
    other = mirror.snapshot(on=mirror.snapshots[1], path="domains/alice/other.txt")
    mirror.show(mirror.snapshot(on=other))
    with pytest.raises(Fork, match="common@2 was signed twice by you") as fork:
        fetch(place)
    assert mirror.snapshots[2] in fork.value.what
    assert other in fork.value.what
    assert fork.value.exit_status == 3
    assert standing(place) == before


def test_a_line_that_parts_by_a_forgery_is_no_fork(place: Place, mirror: Mirror) -> None:
    before = standing(place)
    forged = mirror.snapshot(on=mirror.snapshots[1], key=KEYS / "stranger")
    mirror.show(mirror.snapshot(on=forged, at=9))
    with pytest.raises(Refused) as refused:
        fetch(place)
    assert (refused.value.rule, refused.value.subject) == ("wrong-witness", "common@2")
    assert standing(place) == before


def test_another_ledger_is_refused(place: Place, mirror: Mirror, tmp_path: Path) -> None:
    before = standing(place)
    other = Mirror(tmp_path / "other.git", seconds=forge.START + 5)
    other.grow(5)
    git(place, "remote", "set-url", "origin", str(other.path))
    with pytest.raises(Refused) as refused:
        fetch(place)
    assert refused.value.rule == "other-ledger"
    assert other.anchor in refused.value.what
    assert standing(place) == before


def test_moved_tags_replace_refs_and_other_branches_of_a_server_move_nothing(place: Place, mirror: Mirror) -> None:
    evil = mirror.snapshot(key=KEYS / "stranger")
    for ref in ("refs/tags/common@1", "refs/tags/common@4", "refs/heads/common@2", f"refs/replace/{mirror.tip}"):
        mirror.set(ref, evil)
    before = standing(place)
    assert fetch(place).after == 3
    assert standing(place) == before


def test_a_server_without_the_branch_or_with_a_symbolic_one_is_refused(place: Place, mirror: Mirror) -> None:
    before = standing(place)
    mirror.set("refs/heads/real", mirror.tip)
    forge.git(mirror.path, "symbolic-ref", BRANCH, "refs/heads/real")
    with pytest.raises(Unsound) as refused:
        fetch(place)
    assert refused.value.rule == "symbolic-branch"
    forge.git(mirror.path, "symbolic-ref", "--delete", BRANCH)
    with pytest.raises(Unreachable) as gone:
        fetch(place)
    assert gone.value.rule == "no-branch-there"
    assert standing(place) == before


def test_a_shallow_server_is_refused(place: Place, mirror: Mirror, tmp_path: Path) -> None:
    mirror.grow(3)
    subprocess.run(
        ["git", "clone", "-q", "--bare", "--depth=1", f"file://{mirror.path}", str(tmp_path / "cut.git")], check=True
    )
    git(place, "remote", "set-url", "origin", str(tmp_path / "cut.git"))
    before = standing(place)
    with pytest.raises(Unsound) as refused:
        fetch(place)
    assert refused.value.rule == "shallow-remote"
    assert standing(place) == before
    git(place, "remote", "set-url", "origin", str(mirror.path))
    assert fetch(place).after == 6


def test_the_queue_comes_with_a_fetch_by_names_in_the_grammar_alone(place: Place, mirror: Mirror) -> None:
    proposal = mirror.proposal({"domains/alice/a": b"a"})
    for ref in (
        "refs/proposals/alice/fix",
        "refs/proposals/Alice/fix",
        "refs/proposals/alice/x.lock2/y",
        "refs/junk/x",
    ):
        mirror.set(ref, proposal)
    tag = forge.endorsement(mirror.path, proposal, KEYS / "james")
    mirror.set(f"refs/endorsements/{proposal}/james", tag)
    fetch(place)
    refs = Place.open(tree_of(place)).queue_refs()
    assert dict(refs) == {"refs/proposals/alice/fix": proposal, f"refs/endorsements/{proposal}/james": tag}
    mirror.set("refs/proposals/alice/fix", None)
    fetch(place)
    assert list(Place.open(tree_of(place)).queue_refs()) == [f"refs/endorsements/{proposal}/james"]


def test_a_malformed_proposal_does_not_keep_the_snapshots_away(place: Place, mirror: Mirror) -> None:
    good = mirror.proposal({"domains/alice/a": b"a"})
    mirror.set("refs/proposals/alice/good", good)
    fetch(place)
    evil = forge.write_object(mirror.path, "commit", forge.read_object(mirror.path, good) + b"\0x")
    mirror.set("refs/proposals/alice/evil", evil)
    mirror.grow()
    report = fetch(place)
    assert report.after == 4
    assert report.queue_error is not None
    assert report.queue_error.rule == "objects-refused"
    assert list(Place.open(tree_of(place)).queue_refs()) == ["refs/proposals/alice/good"]


def test_a_queue_beyond_the_limit_is_left_there(place: Place, mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumer, "QUEUE_LIMIT", 2)
    proposal = mirror.proposal({"domains/alice/a": b"a"})
    for topic in "abc":
        mirror.set(f"refs/proposals/alice/{topic}", proposal)
    mirror.grow()
    report = fetch(place)
    assert (report.left, report.after) == ({"alice": 1}, 4)


def test_a_queue_beyond_the_limit_is_cut_off_in_turn() -> None:
    refs = [f"refs/proposals/alice/{number:04}" for number in range(50)]
    fair = ["refs/proposals/james/x", "refs/proposals/you/x", f"refs/endorsements/{'0' * 40}/you"]
    fair += [f"refs/rotations/{'0' * 64}/draft"]
    unknown = [f"refs/proposals/a{number}/x" for number in range(50)]
    first = consumer._in_turn([*refs, *unknown, *fair], {"alice", "james", "you"})[:6]
    assert first == [fair[3], fair[2], "refs/proposals/a0/x", refs[0], *fair[:2]]
    assert set(consumer._in_turn([*refs, *fair], set())[:5]) == {refs[0], *fair}  # a first fetch knows no domains


def test_a_fetch_on_the_host_is_wrong_usage(world: World) -> None:
    with pytest.raises(Usage) as usage:
        consumer.fetch(world.place())
    assert usage.value.rule == "on-the-host"


def test_when_was_fetched_is_remembered(place: Place) -> None:
    assert abs(consumer.fetched(place)["origin"] - time.time()) < 60
    (place.directory / "fetched.json").write_text("[]")
    assert consumer.fetched(place) == {}


# Interruptions


def test_a_fetch_that_was_killed_keeps_what_it_noted_and_the_next_goes_on(
    place: Place, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror.grow(6)
    script = (
        "import sys, os, signal; from gitledger.roles import ascent, consumer\n"
        "from gitledger.roles.place import Place; from pathlib import Path\nascent.KEEP_EVERY = 2\n"
        "def progress(done, of): done == 5 and os.kill(os.getpid(), signal.SIGKILL)\n"
        "consumer.fetch(Place.open(Path(sys.argv[1])), now=int(sys.argv[2]), progress=progress)\n"
    )
    command = [sys.executable, "-c", script, str(tree_of(place)), str(NOW)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert Place.open(tree_of(place)).verified.number == 7
    assert standing(place)[0][BRANCH] == mirror.snapshots[7]
    assert fetch(place).after == 9


def test_an_interrupted_fetch_keeps_what_it_verified(place: Place, mirror: Mirror) -> None:
    mirror.grow(4)

    def interrupt(done: int, of: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        consumer.fetch(place, now=NOW, progress=interrupt)
    assert Place.open(tree_of(place)).verified.number == 6


def test_refs_that_did_not_follow_are_finished_by_the_next_fetch(place: Place, mirror: Mirror) -> None:
    whole = standing(place)
    forge.set_ref(place.store.git_dir, "refs/tags/common@3", None)
    forge.set_ref(place.store.git_dir, "refs/tags/common@2", None)
    forge.set_ref(place.store.git_dir, BRANCH, mirror.snapshots[1])
    fetch(place)
    assert standing(place) == whole


# Signatures by name


def test_git_log_shows_good_signatures_by_name(world: World, tmp_path: Path) -> None:
    oid = world.propose(world.alice, {"domains/alice/a.txt": "a\n"})
    world.emit()
    place = consumer.clone(str(world.host), tmp_path / "clone", world.anchor, now=world.now)
    shown = git(place, "log", "--first-parent", "--show-signature", "common@1").stdout
    assert shown.count('Good "git" signature for you with ED25519 key') == 2
    assert 'Good "git" signature for alice' in git(place, "log", "-1", "--show-signature", oid).stdout
    below = tree_of(place) / "domains" / "alice"
    done = subprocess.run(["git", "verify-commit", "HEAD"], cwd=below, capture_output=True, text=True, check=True)
    assert 'Good "git" signature for you' in done.stderr


def test_a_revoked_key_stays_known_by_name_for_what_it_signed(world: World, tmp_path: Path) -> None:
    second, ledger_id = world.key("alice-2"), world.anchor
    entries = (forge.Entry("key-1", world.alice.key), forge.Entry("laptop", second, ("publisher",)))
    proof = forge.proof(second, ledger_id, "alice")
    both = forge.manifest_file("alice", entries[0], forge.Entry("laptop", second, ("publisher",), proof))
    place = consumer.clone(str(world.host), tmp_path / "clone", world.anchor, now=world.now)
    for manifest, key in ((both, None), (None, second), (forge.manifest_file("alice", entries[0]), None)):
        change = {"domains/alice/domain.yaml": manifest} if manifest else {"domains/alice/by-laptop.txt": b"x\n"}
        oid = world.propose(world.alice, change, key=key)
        world.emit()
        if key:
            signed = oid
    consumer.fetch(place, now=world.now)
    shown = git(place, "log", "-1", "--show-signature", signed).stdout
    assert 'Good "git" signature for alice/revoked with ED25519 key' in shown
    text = consumer.allowed_signers(Place.open(tree_of(place)).verified)
    assert f'alice namespaces="git,asl.*" {world.alice.pub}\n' in text
    assert f'alice/revoked namespaces="git,asl.*" {forge.line(second)}\n' in text


def test_a_consent_can_be_checked_with_ssh_keygen_and_the_file(world: World, tmp_path: Path) -> None:
    place = consumer.clone(str(world.host), tmp_path / "clone", world.anchor, now=world.now)
    (tmp_path / "proof").write_bytes(forge.proof(world.alice.key, world.anchor, "alice"))
    arguments = [
        "-f",
        ".git/gitledger/allowed-signers",
        "-I",
        "alice",
        "-n",
        "asl.domain.key",
        "-s",
        tmp_path / "proof",
    ]
    subprocess.run(
        ["ssh-keygen", "-Y", "verify", *map(str, arguments)],
        cwd=tree_of(place),
        input=f"{world.anchor} alice\n".encode(),
        check=True,
        capture_output=True,
    )


# Proposing from a clone


def test_a_plain_push_of_a_branch_proposes_it(world: World) -> None:
    alice = world.alice
    path = alice.home / "work"
    consumer.clone(str(world.host), path, world.anchor, domain="alice", now=world.now)
    alice.git(path, "config", "user.signingkey", f"{alice.key}.pub")
    alice.git(path, "switch", "-q", "-c", "alice/fix")
    (path / "domains" / "alice" / "fix.txt").write_text("better\n")
    alice.git(path, "add", "-A")
    alice.git(path, "commit", "-q", "-m", "Fix")
    accepted(alice.git(path, "push", check=False))
    assert world.refs()["refs/proposals/alice/fix"] == alice.output(path, "rev-parse", "HEAD")


def test_a_domain_that_can_not_be_is_refused_before_anything_happens(mirror: Mirror, tmp_path: Path) -> None:
    with pytest.raises(Malformed):
        clone(mirror, tmp_path / "clone", domain="Alice")
    assert not (tmp_path / "clone").exists()


# Pins


def test_a_pin_moves_the_checkout_and_nothing_else(place: Place, mirror: Mirror) -> None:
    refs = standing(place)[0]
    assert consumer.pin(place, "common@1") == "common@1"
    assert standing(place)[:2] == (refs, mirror.snapshots[1])
    assert not (tree_of(place) / "domains/alice/2.txt").exists()
    assert consumer.pin(place, "3") == "common@3"
    git(place, "checkout", "-q", "common@2")


def test_a_pin_that_would_lose_changes_is_refused_in_gits_words(place: Place) -> None:
    (tree_of(place) / "domains/alice/3.txt").write_text("mine\n")
    with pytest.raises(Refused, match=r"domains/alice/3\.txt") as refused:
        consumer.pin(place, "common@1")
    assert refused.value.rule == "local-changes"
    assert (tree_of(place) / "domains/alice/3.txt").read_text() == "mine\n"


@pytest.mark.parametrize("named", ["common@4", "other@1", "common@-1", "common@01", "common", "HEAD", "", "--help"])
def test_a_pin_takes_a_verified_snapshot_alone(place: Place, named: str) -> None:
    before = standing(place)
    with pytest.raises((Refused, Malformed)):
        consumer.pin(place, named)
    assert standing(place) == before


def test_a_moved_tag_does_not_move_the_pin(place: Place, mirror: Mirror) -> None:
    forge.set_ref(place.store.git_dir, "refs/tags/common@1", mirror.snapshots[2])
    consumer.pin(place, "common@1")
    assert standing(place)[1] == mirror.snapshots[1]


# Verifying again


@pytest.mark.parametrize("named", [None, "common@0", "common@1", "3"])
def test_a_snapshot_is_verified_on_the_one_before(place: Place, mirror: Mirror, named: str | None) -> None:
    number = 3 if named is None else int(named.rpartition("@")[2])
    assert consumer.verify(place, named).oid == mirror.snapshots[number]
    assert consumer.verify(place, named, from_genesis=True).oid == mirror.snapshots[number]


def test_the_host_verifies_itself_from_genesis(world: World) -> None:
    world.propose(world.alice, {"domains/alice/a.txt": "a\n"})
    world.emit()
    assert consumer.verify(world.place(), from_genesis=True).number == 1


def test_verifying_from_genesis_shows_progress_and_moves_nothing(place: Place) -> None:
    before, seen = standing(place), []
    consumer.verify(place, from_genesis=True, progress=lambda done, of: seen.append((done, of)))
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert standing(place) == before


def test_a_snapshot_that_was_trusted_wrongly_is_found_from_genesis(place: Place, mirror: Mirror) -> None:
    """Somebody wrote a forged line into the clone's own note: the pin believes it, genesis does not."""
    forged = mirror.snapshot(key=KEYS / "stranger")
    git(place, "fetch", "-q", str(mirror.path), "+refs/heads/common:refs/forged")
    mirror.set("refs/heads/forged", forged)
    git(place, "fetch", "-q", str(mirror.path), "+refs/heads/forged:refs/forged")
    note = {"hash": forge.hash_of(mirror.path, forged), "number": 4, "oid": forged}
    (place.directory / "verified.json").write_text(json.dumps(note))
    for from_genesis in (True, False):
        with pytest.raises(Refused) as refused:
            consumer.verify(Place.open(tree_of(place)), from_genesis=from_genesis)
        assert (refused.value.rule, refused.value.subject) == ("wrong-witness", "common@4")


@pytest.mark.parametrize("damage", ["", "[]", "{}", "{", None])
def test_a_damaged_note_is_mended_from_genesis_alone(place: Place, damage: str | None) -> None:
    whole = standing(place)
    note = place.directory / "verified.json"
    note.unlink()
    if damage is not None:
        note.write_text(damage)
    with pytest.raises(Failed, match="missing or damaged") as failed:
        fetch(place)
    assert failed.value.mend == "gitledger verify --from-genesis"
    assert consumer.verify(Place.open(tree_of(place)), from_genesis=True).number == 3
    assert standing(place) == whole
    assert fetch(place).after == 3


def test_a_tag_that_moved_is_found_and_the_mend_mends_it(place: Place, mirror: Mirror) -> None:
    forge.set_ref(place.store.git_dir, "refs/tags/common@1", mirror.snapshots[2])
    with pytest.raises(Unsound, match="refs/tags/common@1 is not") as found:
        consumer.verify(place, from_genesis=True)
    subprocess.run(found.value.mend.split(), cwd=tree_of(place), check=True)
    assert consumer.verify(place, from_genesis=True).number == 3


def test_a_clone_can_be_moved_and_stays_guarded(place: Place, mirror: Mirror, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    shutil.move(tree_of(place), moved)
    mirror.grow()
    assert consumer.fetch(Place.open(moved), now=NOW).after == 4
    done = subprocess.run(
        ["git", "update-ref", BRANCH, mirror.snapshots[0]], cwd=moved, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert Place.open(moved).store.resolve(BRANCH) == mirror.tip
