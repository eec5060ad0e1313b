"""`clone`, `fetch`, `status`, `verify`, `log`, `show`, `pin`, `allowed-signers`, as they are typed."""

from __future__ import annotations

from pathlib import Path

import forge
import pytest
from mirror import Mirror
from typed import STANDARDS, Clones, at_terminal, told, typed
from world import World


def publish(world: World, number: int = 1) -> None:
    """Alice proposes, and the witness emits."""
    for _ in range(number):
        made = world.now
        world.propose(world.alice, {f"domains/alice/{made}": "a\n"}, f"Add {made}")
        world.emit()


def test_a_clone_stands_at_the_newest_snapshot(world: World) -> None:
    publish(world)
    said = typed(world.james, world.path, "clone", str(world.host), "copy", "--anchor", world.anchor)
    assert "common@1 is verified from genesis on (2 snapshots)" in said.stdout
    assert world.james.output(world.path / "copy", "rev-parse", "HEAD") == world.tip
    again = told(world.james, world.path, "clone", str(world.host), "again", "--anchor", world.anchor, "--as", "james")
    assert again == {
        "ledger": "common",
        "ledger_id": world.anchor,
        "directory": str(world.path / "again"),
        "snapshot": "common@1",
        "hash": forge.hash_of(world.host, world.tip),
    }


def test_with_as_a_plain_git_push_proposes(world: World) -> None:
    typed(world.alice, world.path, "clone", str(world.host), "copy", "--anchor", world.anchor, "--as", "alice")
    copy = world.path / "copy"
    world.alice.git(copy, "config", "user.signingkey", f"{world.alice.key}.pub")
    world.alice.git(copy, "switch", "-q", "-c", "alice/fix")
    (copy / "domains" / "alice" / "a").write_text("a\n")
    world.alice.git(copy, "add", ".")
    world.alice.git(copy, "commit", "-q", "-m", "Fix")
    world.alice.git(copy, "push", "-q")
    assert "refs/proposals/alice/fix" in world.refs()


@pytest.mark.parametrize(
    ("arguments", "status", "rule"),
    [
        (("nowhere.git", "copy", "--anchor", "ANCHOR"), 4, "unreachable"),
        (("common.git", "copy", "--anchor", f"sha256:{'0' * 64}"), 1, "wrong-anchor"),
        (("common.git", "copy", "--anchor", "0"), 1, "digest"),
        (("common.git", "copy"), 2, "anchor-wanted"),
        (("common.git", "common.git", "--anchor", "ANCHOR"), 2, "directory-taken"),
        (("common.git", "copy", "--anchor", "ANCHOR", "--as", "123"), 1, "domain-id"),
        (("common.git", "copy", "--anchor", "ANCHOR", "--known", "common@0"), 2, "known"),
        (("common.git", "copy", "--anchor", "ANCHOR", "--known", f"common@0=sha256:{'0' * 64}"), 1, "known-differs"),
        (("common.git", "copy", "--anchor", "ANCHOR", "--known", f"common@9=sha256:{'0' * 64}"), 4, "older-than-known"),
        (("plain.git", "copy", "--anchor", "ANCHOR"), 1, "no-ledger"),
    ],
)
def test_what_can_not_be_cloned_leaves_nothing(
    world: World, arguments: tuple[str, ...], status: int, rule: str
) -> None:
    anchor = world.anchor
    world.james.git(world.path, "init", "-q", "--bare", "plain.git")
    before = sorted(world.path.iterdir())
    filled = [one.replace("ANCHOR", anchor) for one in arguments]
    said = typed(world.james, world.path, "clone", *filled, status=status)
    assert f"[{rule}]" in said.stderr
    assert sorted(world.path.iterdir()) == before


def test_a_known_snapshot_is_taken_with_its_hash(world: World) -> None:
    publish(world)
    known = f"common@1={forge.hash_of(world.host, world.tip)}"
    typed(world.james, world.path, "clone", "common.git", "copy", "--anchor", world.anchor, "--known", known)


def test_without_an_anchor_the_id_is_shown_and_taken_typed(world: World) -> None:
    anchor = world.anchor
    for answer in (anchor, anchor.removeprefix("sha256:")):
        shown = at_terminal(
            world.james, world.path, "clone", "common.git", f"copy-{len(answer)}", answers=[("given: ", f"{answer}\n")]
        )
        assert shown.status == 0
        assert anchor in shown.text.split("given: ")[0]
        assert (world.path / f"copy-{len(answer)}" / "ledger").is_dir()


@pytest.mark.parametrize("answer", ["y\n", "\n", "\x04", f"sha256:{'0' * 64}\n"])
def test_nothing_else_than_the_id_is_taken_for_it(world: World, answer: str) -> None:
    world.make_host()
    shown = at_terminal(world.james, world.path, "clone", "common.git", "copy", answers=[("given: ", answer)])
    assert shown.status == 1
    assert not (world.path / "copy").exists()


def test_fetch_says_what_is_new_and_how_to_move_there(world: World, clone: Path) -> None:
    assert "common@0 is still the newest" in typed(world.alice, clone, "fetch").stdout
    publish(world, 2)
    said = typed(world.alice, clone, "fetch").stdout
    assert "common@2 is verified: 2 new snapshots since common@0" in said
    assert said.rstrip().endswith("gitledger pin common@2")
    assert "The checkout is at common@2" in typed(world.alice, clone, "pin", "common@2").stdout
    assert world.alice.output(clone, "rev-parse", "HEAD") == world.tip
    assert told(world.alice, clone, "pin", "1") == {"snapshot": "common@1"}
    assert told(world.alice, clone, "fetch") == {
        "ledger": "common",
        "before": "common@2",
        "after": "common@2",
        "remote": "origin",
        "stale": None,
        "ahead": None,
        "queue": {"left": 0, "of": {}, "error": None},
        "remotes": [
            {"name": "origin", "standing": "good", "snapshot": "common@2", "behind": 0, "error": None},
        ],
        "sent": [],
    }


def test_a_remote_that_does_not_answer_is_exit_status_4(world: World, clone: Path) -> None:
    world.alice.git(clone, "remote", "set-url", "origin", str(world.path / "nowhere"))
    for command in (("fetch",), ("fetch", "--json")):
        said = typed(world.alice, clone, *command, status=4)
        assert "[unreachable]" in said.stderr and said.stdout == ""


def test_a_stale_mirror_is_exit_status_4_and_moves_nothing(world: World, clone: Path) -> None:
    stale = world.bench(world.james)
    publish(world)
    typed(world.alice, clone, "fetch")
    world.alice.git(clone, "remote", "set-url", "origin", str(stale))
    said = typed(world.alice, clone, "fetch", status=4)
    assert "[stale]" in said.stderr and "common@0" in said.stderr
    assert told(world.alice, clone, "fetch", status=4)["stale"] == "common@0"
    assert "origin is stale" in typed(world.alice, clone, "status").stdout
    assert world.oid("common", clone) == world.tip


def test_a_fork_is_exit_status_3_and_an_invalid_snapshot_1(world: World, tmp_path: Path) -> None:
    mirror = Mirror(tmp_path / "mirror.git")
    typed(world.james, tmp_path, "clone", "mirror.git", "copy", "--anchor", mirror.anchor)
    ours, theirs = mirror.snapshot("domains/alice/x"), mirror.snapshot("domains/alice/y")
    bad = mirror.snapshot("domains/alice/z", key=world.stranger.key)
    mirror.show(bad)
    assert "[wrong-witness]" in typed(world.james, tmp_path, "-C", "copy", "fetch", status=1).stderr
    mirror.show(ours)
    typed(world.james, tmp_path, "-C", "copy", "fetch")
    mirror.show(theirs)
    assert "[fork]" in typed(world.james, tmp_path, "-C", "copy", "fetch", status=3).stderr
    assert world.oid("common", tmp_path / "copy") == ours


def test_status_begins_with_the_ledgers_name_its_newest_snapshot_and_the_witness(world: World, clone: Path) -> None:
    for where in (world.host, clone):
        assert typed(world.alice, where, "status").stdout.splitlines()[0] == "Common: common@0 (witness: you)"
    other = world.make_host(name="ours")
    assert typed(world.alice, other, "status").stdout.splitlines()[0] == "Ours: ours@0 (witness: you)"


def test_status_says_what_concerns_who_asks(world: World, clone_of: Clones) -> None:
    world.make_host(paths=("{match: shared/**, proposers: any}", *STANDARDS))
    clone = clone_of(world.alice)
    late = world.propose(world.alice, {"shared/x": "alice\n"}, "Too late", topic="late", base=0)
    world.propose(world.james, {"shared/x": "james\n"}, "First", topic="first", base=0)
    world.emit(world.refs()["refs/proposals/james/first"])
    world.propose(world.alice, {"standards/x": "x\n"}, "Agree", topic="agree")
    typed(world.alice, clone, "fetch")
    said = typed(world.alice, clone, "status").stdout
    assert "Pinned at common@0" in said and "gitledger pin common@1" in said
    assert "Too late" in said and "rebase" in said
    assert "1 more of alice, james, you" in said
    assert "First" not in said and "witness" not in said.partition("\n")[2]
    read_only = typed(world.stranger, world.host, "status").stdout
    assert "read-only" in read_only
    witness = typed(world.you, world.host, "status", "--key", str(world.you.key)).stdout
    assert "You are the witness" in witness and late[:12] in witness


def test_status_as_json_is_for_programs(world: World, clone: Path) -> None:
    oid = world.propose(world.alice, {"domains/alice/a": "a\n"}, "Add a", topic="a")
    typed(world.alice, clone, "fetch")
    said = told(world.alice, clone, "status")
    assert said["remotes"][0].pop("fetched")
    ready = {
        "oid": str(oid),
        "ref": "refs/proposals/alice/a",
        "summary": "Add a",
        "standing": "ready",
        "needs": "nothing",
        "snapshot": "common@1",
        "rule": None,
        "reason": None,
        "mend": None,
    }
    assert said == {
        "ledger": "common",
        "ledger_id": world.anchor,
        "role": "clone",
        "snapshot": "common@0",
        "witness": {"domain": "you", "key_id": world.you.key_id},
        "rotated": None,
        "forks": [],
        "frozen": None,
        "rotations": [],
        "quiet": None,
        "pinned": "common@0",
        "branch": None,
        "beside": None,
        "key_id": world.alice.key_id,
        "domain": "alice",
        "read_only": False,
        "kept": [],
        "refused": [],
        "proposals": [ready],
        "duty": None,
        "retired": False,
        "remotes": [{"name": "origin", "snapshot": "common@0", "stale": False}],
        "mirrors": [],
    }
    duty = told(world.you, world.host, "status", "--key", str(world.you.key))["duty"]
    assert duty["ready"] == [ready] and duty["error"] is None


def test_verify_verifies_one_or_all(world: World, clone: Path) -> None:
    publish(world, 2)
    typed(world.alice, clone, "fetch")
    assert "common@2 is valid" in typed(world.alice, clone, "verify").stdout
    assert "common@1 is valid" in typed(world.alice, clone, "verify", "1").stdout
    assert "(3 snapshots)" in typed(world.alice, clone, "verify", "--from-genesis").stdout
    assert told(world.alice, clone, "verify", "common@1", "--from-genesis") == {
        "snapshot": "common@1",
        "hash": forge.hash_of(world.host, world.oid(1)),
        "oid": world.oid(1),
        "witness": "you",
        "from_genesis": True,
    }
    for named in ("common@9", "other@1", "x", "-1", "01"):
        typed(world.alice, clone, "verify", "--", named, status=1)


def test_log_is_newest_first_a_line_each(world: World, clone: Path) -> None:
    publish(world, 2)
    typed(world.alice, clone, "fetch")
    lines = typed(world.alice, clone, "log").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["common@2", "common@1", "common@0"]
    assert [line.split()[3] for line in lines] == ["alice", "alice", "you"]
    assert typed(world.alice, clone, "log", "-n", "1").stdout.splitlines() == lines[:1]
    said = told(world.alice, clone, "log")["snapshots"]
    assert [one["number"] for one in said] == [2, 1, 0]
    assert said[0] == {
        "number": 2,
        "snapshot": "common@2",
        "oid": world.tip,
        "time": said[0]["time"],
        "proposer": "alice",
        "summary": lines[0].split("  ")[-1],
        "rotation": None,
        "rekeyed": None,
    }


def test_show_tells_all_about_one(world: World, clone_of: Clones) -> None:
    world.make_host(paths=STANDARDS)
    clone = clone_of(world.alice)
    oid = world.propose(world.alice, {"standards/a": "a\n"}, "Agree\n\nOn everything.")
    world.endorse(world.james, oid)
    world.emit()
    typed(world.alice, clone, "fetch")
    said = told(world.alice, clone, "show", "common@1")
    assert said["proposal"] == {"oid": str(oid), "hash": forge.hash_of(world.host, oid)}
    assert (said["proposer"], said["endorsers"], said["changed"]) == ("alice", ["james"], ["standards/a"])
    assert said["previous"] == forge.hash_of(world.host, world.oid(0))
    assert said["command"]["key_id"] == world.alice.key_id
    shown = typed(world.alice, clone, "show", "1").stdout
    for value in (said["hash"], said["content"], said["command"]["id"], str(oid), "On everything.", "standards/a"):
        assert value in shown
    mends = [line.strip() for line in shown.split("With stock git")[1].splitlines() if line.strip()]
    for command in mends:
        assert world.alice.run(clone, "sh", "-ec", command).stdout or "verify-commit" in command
    assert "genesis" in typed(world.alice, clone, "show", "0").stdout
    assert told(world.alice, clone, "show", "0")["proposal"] is None


def test_a_pin_keeps_what_would_be_lost(world: World, clone: Path) -> None:
    world.propose(world.alice, {"domains/alice/domain.yaml.txt": "theirs\n"})
    world.emit()
    typed(world.alice, clone, "fetch")
    mine = clone / "domains" / "alice" / "domain.yaml.txt"
    mine.write_text("mine\n")
    assert "[local-changes]" in typed(world.alice, clone, "pin", "1", status=1).stderr
    assert mine.read_text() == "mine\n"
    assert "[no-work-tree]" in typed(world.alice, world.host, "pin", "1", status=2).stderr


def test_allowed_signers_is_a_file_that_ssh_keygen_takes(world: World, clone: Path) -> None:
    said = typed(world.alice, clone, "allowed-signers").stdout
    assert world.alice.pub in said
    (world.path / "signers").write_text(said)
    signature = forge.sshsig(world.alice.key, b"message").decode()
    (world.path / "signature").write_text(signature)
    find = ("ssh-keygen", "-Y", "find-principals", "-f", "signers", "-s", "signature")
    assert world.alice.run(world.path, *find).stdout.strip() == "alice"
