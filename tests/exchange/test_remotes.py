"""How objects travel: what a remote has is counted first and fetched by name, whatever else it offers (spec 10)."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import forge
import pytest
from mirror import Mirror

from gitledger.errors import Refused, Unreachable, Unsound, Usage
from gitledger.exchange import remotes, watched
from gitledger.objects.store import Store

INTO = "refs/gitledger/incoming/origin/"
TOPIC = "refs/proposals/alice/fix"


@pytest.fixture
def store(tmp_path: Path, mirror: Mirror) -> Store:
    path = tmp_path / "clone"
    git(tmp_path, "init", "-q", str(path))
    git(path, "remote", "add", "origin", str(mirror.path))
    return Store.open(path)


def git(cwd: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=cwd, check=True, capture_output=True, text=True).stdout


def fetch_all(store: Store) -> None:
    offered = remotes.advertised(store, "origin")
    remotes.fetch(store, "origin", {ref: oid for ref, oid in offered.items() if ref != "HEAD"}, into=INTO)


def hook(mirror: Mirror, text: str) -> None:
    path = mirror.path / "hooks" / "pre-receive"
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_what_a_remote_has_is_told_without_its_tags(store: Store, mirror: Mirror) -> None:
    mirror.set("refs/tags/common@0", mirror.snapshots[0])
    mirror.set(TOPIC, mirror.proposal({"domains/alice/a": b"a"}))
    offered = remotes.advertised(store, "origin")
    assert sorted(offered) == ["HEAD", "refs/heads/common", TOPIC]
    assert offered["refs/heads/common"] == offered["HEAD"] == mirror.tip


def test_tags_do_not_count_towards_the_refs_that_are_looked_at(
    store: Store, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remotes, "REFS_LIMIT", 3)
    for number in range(5):
        mirror.set(f"refs/tags/common@{number}", mirror.tip)
    assert len(remotes.advertised(store, "origin")) == 2
    for number in range(5):
        mirror.set(f"refs/junk/{number}", mirror.tip)
    with pytest.raises(Refused, match="more than 3 refs") as refused:
        remotes.advertised(store, "origin")
    assert refused.value.rule == "too-many-refs"


def test_a_branch_that_is_a_symbolic_ref_there_is_refused(store: Store, mirror: Mirror) -> None:
    git(mirror.path, "symbolic-ref", "refs/heads/other", "refs/heads/common")
    with pytest.raises(Unsound) as refused:
        remotes.advertised(store, "origin")
    assert refused.value.rule == "symbolic-branch"


@pytest.mark.parametrize("address", ["nowhere", "/nowhere/at/all.git", "--upload-pack=touch pwned", "ext::touch pwned"])
def test_a_remote_that_does_not_answer_is_a_sentence_with_gits_words(store: Store, address: str) -> None:
    with pytest.raises(Unreachable) as unreachable:
        remotes.advertised(store, address)
    assert unreachable.value.exit_status == 4
    assert "does not answer: " in unreachable.value.what
    assert "\n" not in unreachable.value.what
    assert not list(Path(str(store.work_tree)).glob("pwned"))


def silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: int = 60) -> Path:
    """What git takes for ssh, and says nothing; the file that it writes its process id to."""
    script, pid = tmp_path / "silent", tmp_path / "silent.pid"
    script.write_text(f"#!/bin/sh\necho $$ >{pid}\nexec sleep {seconds}\n")
    script.chmod(0o755)
    monkeypatch.setenv("GIT_SSH", str(script))
    return pid


def is_gone(pid: Path) -> bool:
    """Whether the process ends, which takes it a moment; it may have no parent that takes note of that."""
    for _ in range(100):
        try:
            if Path(f"/proc/{pid.read_text().strip()}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.02)
    return False


@pytest.mark.long
def test_a_remote_that_says_nothing_is_given_up(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pid = silent(tmp_path, monkeypatch)
    monkeypatch.setattr(watched, "SILENT_SECONDS", 2)
    with pytest.raises(Unreachable, match="nothing came for 2 seconds") as given_up:
        remotes.advertised(store, "ssh://silent/ledger.git")
    assert (given_up.value.rule, given_up.value.exit_status) == ("stalled", 4)
    assert is_gone(pid)


LONG = pytest.mark.long


@pytest.mark.parametrize("what", ["fetch", pytest.param("fetch_alone", marks=LONG), pytest.param("push", marks=LONG)])
def test_no_transfer_waits_for_ever(
    store: Store, tmp_path: Path, mirror: Mirror, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    fetch_all(store)
    pid = silent(tmp_path, monkeypatch)
    monkeypatch.setattr(watched, "SILENT_SECONDS", 1)
    oid = mirror.tip
    ask: dict[str, Callable[[], object]] = {
        "fetch": lambda: remotes.fetch(store, "ssh://silent/x", {TOPIC: oid}, into=INTO),
        "fetch_alone": lambda: remotes.fetch_alone(store, "ssh://silent/x", TOPIC, into="refs/gitledger/peeked"),
        "push": lambda: remotes.push(store, "ssh://silent/x", {TOPIC: oid}),
    }
    with pytest.raises(Unreachable, match="nothing came"):
        ask[what]()
    assert is_gone(pid)


AT_A_TERMINAL = """
import fcntl, sys, termios
from gitledger.exchange import remotes
from gitledger.objects.store import Store
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
remotes.advertised(Store.open(sys.argv[1]), "ssh://asks/ledger.git")
"""


@pytest.mark.parametrize("typed", ["secret\n", "\x03"])
def test_at_a_terminal_a_passphrase_is_asked_for_and_ctrl_c_ends_it_all(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: str
) -> None:
    """Who reads a terminal from another process group than the one in front is stopped, and waits for ever."""
    ssh, pid, secret = tmp_path / "asks", tmp_path / "asks.pid", tmp_path / "secret"
    asks = ("exec </dev/tty", "printf Passphrase: >/dev/tty", "read it", f"echo $it >{secret}", "exit 1")
    ssh.write_text("\n".join(("#!/bin/sh", f"echo $$ >{pid}", *asks, "")))
    ssh.chmod(0o755)
    monkeypatch.setenv("GIT_SSH_VARIANT", "ssh")
    monkeypatch.setenv("GIT_SSH", str(ssh))
    master, slave = pty.openpty()
    command = [sys.executable, "-c", AT_A_TERMINAL, str(store.work_tree)]
    with subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True) as process:
        os.close(slave)
        said = b""
        while b"Passphrase:" not in said and process.poll() is None:
            said += os.read(master, 1024)
        os.write(master, typed.encode())
        with suppress(OSError):
            while chunk := os.read(master, 1024):
                said += chunk
    os.close(master)
    assert process.returncode
    if typed == "\x03":
        assert b"KeyboardInterrupt" in said and not secret.exists()
    else:
        assert secret.read_text() == typed and b"[unreachable]" in said
    assert is_gone(pid)


def test_refs_land_apart_and_nothing_else_comes(store: Store, mirror: Mirror) -> None:
    mirror.set("refs/tags/common@1", mirror.tip)
    mirror.set("refs/heads/other", mirror.tip)
    offered = remotes.advertised(store, "origin")
    remotes.fetch(store, "origin", {"refs/heads/common": offered["refs/heads/common"]}, into=INTO)
    assert store.refs() == {f"{INTO}heads/common": mirror.tip}
    assert not (store.git_dir / "FETCH_HEAD").exists()


def test_settings_of_the_repository_bring_nothing_more(store: Store, mirror: Mirror) -> None:
    mirror.set("refs/tags/common@1", mirror.tip)
    mirror.set("refs/heads/other", mirror.tip)
    git(store.git_dir, "update-ref", "refs/tags/mine", git(store.git_dir, "hash-object", "-w", "/dev/null").strip())
    for setting in (
        "remote.origin.fetch=+refs/*:refs/*",
        "remote.origin.tagOpt=--tags",
        "remote.origin.prune=true",
        "remote.origin.pruneTags=true",
        "fetch.pruneTags=true",
        "fetch.fsckObjects=false",
    ):
        git(store.git_dir, "config", *setting.split("=", 1))
    remotes.fetch(store, "origin", {"refs/heads/common": mirror.tip}, into=INTO)
    assert sorted(store.refs()) == [f"{INTO}heads/common", "refs/tags/mine"]


def test_what_the_remote_no_longer_has_goes_and_what_is_here_is_not_asked_for(store: Store, mirror: Mirror) -> None:
    mirror.set(TOPIC, mirror.proposal({"domains/alice/a": b"a"}))
    fetch_all(store)
    assert f"{INTO}proposals/alice/fix" in store.refs()
    mirror.set(TOPIC, None)
    offered = remotes.advertised(store, "origin")
    git(store.git_dir, "config", "remote.origin.url", "/nowhere")
    remotes.fetch(store, "origin", {"refs/heads/common": offered["refs/heads/common"]}, into=INTO)
    assert store.refs(INTO) == {f"{INTO}heads/common": mirror.tip}


def test_a_name_that_is_taken_by_a_directory_of_old_refs_is_free_again(store: Store, mirror: Mirror) -> None:
    mirror.set("refs/heads/common", None)
    mirror.set("refs/heads/common/x", mirror.tip)
    remotes.fetch(store, "origin", {"refs/heads/common/x": mirror.tip}, into=INTO)
    mirror.set("refs/heads/common/x", None)
    mirror.set("refs/heads/common", mirror.tip)
    remotes.fetch(store, "origin", {"refs/heads/common": mirror.tip}, into=INTO)
    assert store.refs(INTO) == {f"{INTO}heads/common": mirror.tip}


def test_a_ref_that_vanished_meanwhile_is_told_apart_and_nothing_comes(store: Store, mirror: Mirror) -> None:
    refs = {"refs/heads/common": mirror.tip, TOPIC: mirror.tip}
    with pytest.raises(Unreachable) as vanished:
        remotes.fetch(store, "origin", refs, into=INTO)
    assert vanished.value.rule == "ref-vanished"
    assert store.refs() == {}


def _nul(mirror: Mirror) -> str:
    return forge.write_object(mirror.path, "commit", forge.read_object(mirror.path, mirror.tip) + b"\0hidden")


def _dot_git(mirror: Mirror) -> str:
    blob = forge.write_object(mirror.path, "blob", b"x")
    tree = forge.raw_tree(mirror.path, [("40000", ".git", forge.raw_tree(mirror.path, [("100644", "config", blob)]))])
    return forge.commit(mirror.path, tree, [mirror.tip])


@pytest.mark.parametrize("make", [_nul, _dot_git])
def test_what_git_finds_malformed_does_not_come(store: Store, mirror: Mirror, make: Callable[[Mirror], str]) -> None:
    bad = make(mirror)
    mirror.set(TOPIC, bad)
    with pytest.raises(Refused) as refused:
        remotes.fetch(store, "origin", {"refs/heads/common": mirror.tip, TOPIC: bad}, into=INTO)
    assert refused.value.rule == "objects-refused"
    assert store.refs() == {}


def test_history_that_is_cut_off_is_refused(store: Store, mirror: Mirror, tmp_path: Path) -> None:
    shallow = tmp_path / "shallow.git"
    git(tmp_path, "clone", "-q", "--bare", "--depth=1", f"file://{mirror.path}", str(shallow))
    with pytest.raises(Unsound) as refused:
        remotes.fetch(store, str(shallow), {"refs/heads/common": mirror.tip}, into=INTO)
    assert refused.value.rule == "shallow-remote"
    assert store.refs() == {}
    remotes.fetch(store, "origin", {"refs/heads/common": mirror.tip}, into=INTO)


def test_replace_refs_of_a_remote_replace_nothing(store: Store, mirror: Mirror) -> None:
    mirror.set(f"refs/replace/{mirror.tip}", mirror.snapshots[0])
    remotes.fetch(store, "origin", {"refs/heads/common": mirror.tip}, into=INTO)
    assert store.read(mirror.tip, "commit") == forge.read_object(mirror.path, mirror.tip)
    assert list(store.refs()) == [f"{INTO}heads/common"]


def test_a_commit_can_be_fetched_without_its_history(store: Store, mirror: Mirror) -> None:
    content = remotes.fetch_alone(store, "origin", "refs/heads/common", into="refs/gitledger/peeked")
    assert content == forge.read_object(mirror.path, mirror.tip)
    assert not store.has(mirror.snapshots[0])


@pytest.mark.parametrize("name", ["", "-x", "a/b", "..", "a..b", "a.lock", "x y", "a\n", "é"])
def test_a_name_that_no_ref_can_have_names_no_remote(name: str) -> None:
    with pytest.raises(Usage):
        remotes.check_name(name)
    assert remotes.check_name("mirror-2.example_org") == "mirror-2.example_org"


def test_a_push_tells_what_the_host_said_and_what_came_of_each_ref(store: Store, mirror: Mirror) -> None:
    fetch_all(store)
    hook(mirror, "printf 'Taken: \\033[31malice/fix\\n    third in the queue\\n' >&2")
    done = remotes.push(store, "origin", {TOPIC: mirror.snapshots[1], "refs/heads/common": mirror.tip})
    assert done.said == "Taken:  [31malice/fix\n    third in the queue"
    assert done.refs == {TOPIC: "[new reference]", "refs/heads/common": "[up to date]"}
    assert git(mirror.path, "rev-parse", TOPIC).strip() == mirror.snapshots[1]


def test_a_push_that_the_host_refuses_says_why_in_its_words_and_moves_nothing(store: Store, mirror: Mirror) -> None:
    fetch_all(store)
    hook(mirror, "echo 'the commit is not signed [unsigned]' >&2; echo '    git commit -S' >&2; exit 1")
    refs = {TOPIC: mirror.tip, "refs/proposals/alice/other": mirror.tip}
    with pytest.raises(Refused) as refused:
        remotes.push(store, "origin", refs)
    assert refused.value.rule == "refused-by-remote"
    assert refused.value.mend == "the commit is not signed [unsigned]\n    git commit -S"
    assert TOPIC not in git(mirror.path, "for-each-ref")


def test_a_ref_that_is_ahead_there_is_replaced_only_by_force(store: Store, mirror: Mirror) -> None:
    fetch_all(store)
    mirror.set(TOPIC, mirror.tip)
    with pytest.raises(Refused) as refused:
        remotes.push(store, "origin", {TOPIC: mirror.snapshots[1], "refs/proposals/alice/new": mirror.tip})
    assert refused.value.rule == "remote-moved"
    assert "refs/proposals/alice/new" not in git(mirror.path, "for-each-ref")
    assert (
        remotes.push(store, "origin", {TOPIC: mirror.snapshots[1]}, force=True).refs[TOPIC].endswith("(forced update)")
    )


def test_a_push_of_more_than_the_host_takes_is_told_with_the_limit(store: Store, mirror: Mirror) -> None:
    fetch_all(store)
    git(mirror.path, "config", "receive.maxInputSize", "1000")
    blob = store.write("blob", os.urandom(5000))
    with pytest.raises(Refused, match=r"receive\.maxInputSize.*\[push-too-large\]"):
        remotes.push(store, "origin", {"refs/proposals/alice/large": blob})


def test_local_tags_do_not_travel_with_a_push(store: Store, mirror: Mirror) -> None:
    fetch_all(store)
    git(store.git_dir, "config", "push.followTags", "true")
    git(store.git_dir, "-c", "user.name=a", "-c", "user.email=a", "tag", "-a", "-m", "mine", "mine", mirror.tip)
    remotes.push(store, "origin", {TOPIC: mirror.tip})
    assert "refs/tags/mine" not in git(mirror.path, "for-each-ref")


def test_a_push_to_nowhere_is_unreachable(store: Store, mirror: Mirror) -> None:
    fetch_all(store)
    with pytest.raises(Unreachable):
        remotes.push(store, "/nowhere/at/all.git", {TOPIC: mirror.tip})
