"""The guards on the side of git: what stock git can do to a host and to a clone, command by command.

Everything here is stock git against the hooks as they are installed. Where `pre-receive` would decide, a script
that lets everything pass stands in its place: what is refused here is refused by configuration and guard alone.
"""

from __future__ import annotations

import http.server
import os
import shutil
import subprocess
import sys
import threading
import venv
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gitledger.errors import Failed, Refused, Usage
from gitledger.exchange import layout

pytestmark = pytest.mark.long

UNGUARDED = ("-c", "core.hooksPath=/dev/null")  # how gitledger's own transactions run
LEDGER_REFS = ("refs/heads", "refs/tags", "refs/common*", "refs/common@*")
PERMISSIVE = "#!/bin/sh\n# gitledger stands aside\nexit 0\n"
BACKEND = Path(subprocess.check_output(["git", "--exec-path"], text=True).strip()) / "git-http-backend"


@pytest.fixture(autouse=True)
def a_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user with a name and nothing else; returns the user's own configuration file."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    own = tmp_path / "own.config"
    own.write_text("[user]\n\tname = alice\n\temail = alice@example.org\n[init]\n\tdefaultBranch = main\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(own))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("HOME", str(tmp_path))
    return own


def run(where: Path, *arguments: str, **kept: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["git", *arguments], cwd=where, env={**os.environ, **kept}, capture_output=True, text=True, check=False
    )


def git(where: Path, *arguments: str, **kept: str) -> str:
    done = run(where, *arguments, **kept)
    assert done.returncode == 0, f"git {arguments} in {where}: {done.stderr}"
    return done.stdout.strip()


def commit(where: Path, text: str) -> str:
    (where / "f").write_text(text)
    git(where, "add", "f")
    git(where, "commit", "-qm", text)
    return git(where, "rev-parse", "HEAD")


def a_malformed_commit(where: Path) -> str:
    """A commit with an ident that git fsck calls malformed, on the tree of common@0."""
    content = (
        f"tree {git(where, 'rev-parse', 'common@0^{tree}')}\nauthor a <a> 1 +0000\ncommitter a <a>> 1 +0000\n\nx\n"
    )
    hashing = ["git", "hash-object", "-t", "commit", "-w", "--literally", "--stdin"]
    return subprocess.check_output(hashing, cwd=where, input=content, text=True).strip()


def a_line(where: Path) -> Path:
    """A work tree with common@0 to common@3 on the branch common."""
    git(where, "init", "-qb", "common", "line")
    line = where / "line"
    for number in range(4):
        commit(line, str(number))
        git(line, "tag", f"common@{number}")
    return line


def a_clone(where: Path, line: Path) -> Path:
    """A consumer's clone: verified up to common@2, pinned at common@1, guarded."""
    git(where, "init", "-q", "clone")
    clone = where / "clone"
    git(clone, "remote", "add", "origin", "../server")
    layout.configure(clone / ".git", layout.clone_config("common"))
    git(clone, *UNGUARDED, "fetch", "-q", "origin")
    for ref in ("refs/tags/common@0", "refs/tags/common@1", "refs/tags/common@2"):
        git(clone, *UNGUARDED, "update-ref", ref, git(line, "rev-parse", ref))
    git(clone, *UNGUARDED, "update-ref", "refs/heads/common", "refs/tags/common@2")
    git(clone, *UNGUARDED, "checkout", "-q", "--detach", "common@1")
    layout.install_hooks(clone / ".git", role="clone", name="common")
    return clone


def honest(server: Path, line: Path) -> None:
    """Has one snapshot more than the clone."""


def gone(server: Path, line: Path) -> None:
    """Has lost everything but an old branch of another name."""
    git(server, "update-ref", "refs/heads/other", "common@0")
    for ref in git(server, "for-each-ref", "--format=%(refname)", "refs/heads/common", "refs/tags").split():
        git(server, "update-ref", "-d", ref)


def behind(server: Path, line: Path) -> None:
    """Has moved its branch back."""
    git(server, "update-ref", "refs/heads/common", "common@0")


FORGED = (
    *("refs/heads/common", "refs/heads/other", "refs/heads/common@1", "refs/tags/common@1", "refs/tags/common@2"),
    *("refs/tags/common@9", "refs/tags/common@9x", "refs/tags/evil", "refs/tags/common", "refs/common"),
    *("refs/common@1", "refs/gitledger/foreign/x", "refs/heads/COMMON", "refs/Tags/Common@1"),
)


def forked(server: Path, line: Path) -> None:
    """Has a line of its own from common@0, under every name that might be taken for the ledger's."""
    git(line, "checkout", "-q", "-b", "evil", "common@0")
    forge(server, line)


def forged_ahead(server: Path, line: Path) -> None:
    """Has a forged snapshot after the newest one, to which everything fast-forwards."""
    git(line, "checkout", "-q", "-b", "evil", "common@3")
    forge(server, line)


def forge(server: Path, line: Path) -> None:
    evil = commit(line, "evil")
    git(line, "push", "-q", "../server", "evil:refs/heads/evil")
    for ref in FORGED:
        git(server, "update-ref", ref, evil)


SERVERS = (honest, gone, behind, forked, forged_ahead)


@pytest.fixture(params=SERVERS, ids=lambda change: change.__name__)
def clone(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A clone, and beside it the server that it came from, which has become what the parameter says."""
    return a_clone_of(tmp_path, request.param)


def a_clone_of(where: Path, change: Callable[[Path, Path], None]) -> Path:
    line = a_line(where)
    git(where, "clone", "-q", "--bare", "line", "server")
    clone = a_clone(where, line)
    change(where / "server", line)
    return clone


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A host at common@2, with its tags, some of its refs packed; its pre-receive lets everything pass."""
    line = a_line(tmp_path)
    git(tmp_path, "init", "-q", "--bare", "-b", "common", "host")
    host = tmp_path / "host"
    git(line, "push", "-q", "../host", "common@2:refs/heads/common", "common@0", "common@1")
    git(host, "pack-refs", "--all")
    git(line, "push", "-q", "../host", "common@2")
    layout.configure(host, layout.HOST_CONFIG)
    layout.install_hooks(host, role="host", name="common")
    for hook in ("pre-receive", "post-receive"):
        (host / "hooks" / hook).write_text(PERMISSIVE)
    return host


def verified(where: Path) -> dict[str, str]:
    """What must not move: every ref that is the ledger's or could be taken for it, HEAD, and the checkout."""
    shown = git(where, "for-each-ref", "--format=%(refname) %(objectname)%(symref)", *LEDGER_REFS).splitlines()
    state = {line.split(" ")[0]: line for line in shown if "common" in line.lower()}
    head = Path(git(where, "rev-parse", "--absolute-git-dir")) / "HEAD"
    state["HEAD"] = head.read_text()
    if git(where, "rev-parse", "--is-bare-repository") == "false":
        state["checkout"] = git(where, "status", "--porcelain", "--untracked-files=no")
    return state


# Consumer: fetching and pulling.

TAKES = 0  # it takes what it may take, and that lands apart
NOTHING = 1  # git itself finds nothing to merge
GUARDED = 128  # the guard refuses, and nothing of the transaction is done

FETCHING = {
    # Land under refs/gitledger/incoming/; tags are not taken.
    "fetch": TAKES,
    "fetch --all": TAKES,
    "fetch origin": TAKES,
    "fetch --multiple origin": TAKES,
    "fetch --tags": TAKES,
    "fetch --prune --prune-tags": TAKES,
    "remote update": TAKES,
    "remote update --prune": TAKES,
    "remote prune origin": TAKES,
    # Nothing but FETCH_HEAD.
    "fetch origin common": TAKES,
    "fetch ../server": TAKES,
    "fetch ../server common": TAKES,
    # What stands already may be fetched once more.
    "fetch origin tag common@1": TAKES,
    "fetch -f origin tag common@1": TAKES,
    "fetch origin tag common@3": GUARDED,
    # Written where a verified ref stands.
    "fetch origin common:common": GUARDED,
    "fetch -u origin +common:common": GUARDED,
    "fetch origin +refs/*:refs/*": GUARDED,
    "fetch --atomic origin +refs/*:refs/*": GUARDED,
    "fetch -f origin refs/heads/*:refs/heads/*": GUARDED,
    "fetch --prune origin +refs/heads/*:refs/heads/*": GUARDED,
    "fetch -f origin refs/tags/*:refs/tags/*": GUARDED,
    "fetch --tags ../server": GUARDED,
    # HEAD is on no branch, and no branch has a counterpart.
    "pull": NOTHING,
    "pull origin": NOTHING,
    "pull --tags": NOTHING,
    "pull --rebase": NOTHING,
    # Would move the checkout; refused before anything of it is touched.
    "pull origin common": GUARDED,
    "pull --ff-only ../server common": GUARDED,
    "pull --no-ff --no-rebase origin common": GUARDED,
    "pull --rebase origin common": GUARDED,
    # Fetches first, with the guard, and gives up.
    "pull --tags origin common": NOTHING,
}


def each_on_a_copy(clone: Path, commands: list[str]) -> Iterator[tuple[str, Path]]:
    for number, command in enumerate(commands):
        copy = clone.with_name(f"copy{number}")
        shutil.copytree(clone, copy, symlinks=True)
        layout.install_hooks(copy / ".git", role="clone", name="common")
        yield command, copy


def test_no_stock_command_that_fetches_moves_what_is_verified(clone: Path) -> None:
    before = verified(clone)
    for command, copy in each_on_a_copy(clone, list(FETCHING)):
        run(copy, *command.split())
        if (copy / ".git" / "rebase-merge").exists():  # `pull --rebase` on a fork: HEAD stays, files wait
            assert git(copy, "rev-parse", "HEAD") == git(copy, "rev-parse", "refs/tags/common@1")
            git(copy, "rebase", "--abort")
        assert verified(copy) == before, command


def test_with_an_honest_server_each_does_what_is_said_of_it(tmp_path: Path) -> None:
    clone = a_clone_of(tmp_path, honest)
    for command, copy in each_on_a_copy(clone, list(FETCHING)):
        done = run(copy, *command.split())
        assert done.returncode == FETCHING[command], f"{command}: {done.stderr}"
        if FETCHING[command] == GUARDED:
            assert "gitledger fetch" in done.stderr, command


def test_without_the_guard_the_same_commands_do_move(tmp_path: Path) -> None:
    clone = a_clone_of(tmp_path, forged_ahead)
    (clone / ".git" / "hooks" / "reference-transaction").unlink()
    before = verified(clone)
    guarded = [command for command in FETCHING if FETCHING[command] == GUARDED]
    for number, command in enumerate(guarded):
        copy = clone.with_name(f"copy{number}")
        shutil.copytree(clone, copy, symlinks=True)
        run(copy, *command.split())
        if "tag common@3" not in command and "--atomic" not in command:
            assert verified(copy) != before, command


def test_a_user_who_fetches_and_rebases_by_habit_moves_nothing_either(clone: Path, a_user: Path) -> None:
    a_user.write_text(
        a_user.read_text() + "[fetch]\n\tprune = true\n\tpruneTags = true\n\tfsckObjects = false\n"
        "[pull]\n\trebase = true\n\tff = true\n[remote]\n\tpushDefault = origin\n"
        '[remote "origin"]\n\tfetch = +refs/tags/*:refs/tags/*\n\ttagOpt = --tags\n'
    )
    before = verified(clone)
    for command, copy in each_on_a_copy(clone, ["fetch", "fetch --all", "pull", "pull origin common"]):
        run(copy, *command.split())
        assert verified(copy) == before, command


def test_objects_that_git_calls_malformed_are_not_fetched(tmp_path: Path, a_user: Path) -> None:
    clone = a_clone_of(tmp_path, honest)
    server = tmp_path / "server"
    git(server, "update-ref", "refs/heads/bad", a_malformed_commit(server))
    a_user.write_text(a_user.read_text() + "[fetch]\n\tfsckObjects = false\n")
    assert run(clone, "fetch", "origin").returncode != 0
    git(server, "update-ref", "-d", "refs/heads/bad")
    assert run(clone, "fetch", "origin").returncode == 0


# Consumer: what people do besides.


def test_a_consumer_works_as_in_any_clone(tmp_path: Path) -> None:
    clone = a_clone_of(tmp_path, honest)
    before = verified(clone)
    for command in (
        "checkout -q common@2",
        "checkout -q common@1",
        "branch alice/fix common@2",
        "checkout -q alice/fix",
        "commit -q --allow-empty -m mine",
        "tag mine",
        "tag endorse/1 HEAD",
        "tag -d mine",
        "rebase -q --force-rebase common@1",
        "rebase -q common",
        "commit -q --amend --allow-empty -m again",
        "reset -q --hard HEAD",
        "branch -m alice/fix alice/mend",
        "branch common-mine",
        "checkout -q -b alice/other common",
        "branch -D alice/mend common-mine",
        "notes add -m note common@1",
        "pull -q --rebase origin common",
        "checkout -q common@1",
        "commit -q --allow-empty -m loose",
        "bisect start common@2 common@0",
        "bisect reset",
        "reset -q --hard common@1",
    ):
        git(clone, *command.split())
    (clone / "f").write_text("mine")
    for command in ("stash", "stash pop", "checkout -q -f common@1", "worktree add -q ../more common@0"):
        git(clone, *command.split())
    assert verified(clone) == before


UPKEEP = (
    *("gc", "gc --prune=now", "pack-refs --all", "pack-refs --all --prune", "pack-refs --all --no-prune"),
    *("repack -ad", "prune", "reflog expire --all", "fsck", "maintenance run", "maintenance run --task=pack-refs"),
)


@pytest.mark.parametrize("command", UPKEEP)
def test_upkeep_goes_on_in_a_clone_and_moves_nothing(tmp_path: Path, command: str) -> None:
    clone = a_clone_of(tmp_path, honest)
    before = verified(clone)
    git(clone, *command.split())
    git(clone, *command.split())
    assert verified(clone) == before
    packed = (clone / ".git" / "packed-refs").exists()
    if packed and "--no-prune" not in command:
        assert not (clone / ".git" / "refs" / "tags" / "common@1").exists()


def test_commits_on_the_ledger_s_own_branch_are_refused(tmp_path: Path) -> None:
    clone = a_clone_of(tmp_path, honest)
    git(clone, "checkout", "-q", "common")
    assert "moves only by gitledger" in run(clone, "commit", "--allow-empty", "-m", "mine").stderr
    assert "nobody has verified" in run(clone, "pull", "origin", "common").stderr
    assert git(clone, "status", "--porcelain") == ""
    assert git(clone, "rev-parse", "common") == git(clone, "rev-parse", "common@2")


def test_names_that_git_would_read_in_place_of_the_ledger_s_are_refused(tmp_path: Path) -> None:
    clone = a_clone_of(tmp_path, honest)
    before = verified(clone)
    for command in (
        *("branch common@1", "branch common@7", "tag common", "tag common@7", "tag common@7/x", "branch COMMON"),
        *("update-ref refs/common HEAD", "update-ref refs/common@1 HEAD", "update-ref refs/Tags/Common@1 HEAD"),
    ):
        assert "gitledger" in run(clone, *command.split()).stderr, command
    assert verified(clone) == before
    git(clone, "branch", "uncommon")
    git(clone, "tag", "common-sense")


def test_a_push_into_a_clone_is_no_way_round(tmp_path: Path) -> None:
    clone = a_clone_of(tmp_path, honest)
    before = verified(clone)
    line = tmp_path / "line"
    for refspec in ("common:refs/heads/common", ":refs/heads/common", "common@3", ":refs/tags/common@1"):
        assert run(line, "push", "../clone", refspec).returncode != 0
    assert verified(clone) == before
    git(line, "push", "../clone", "common:refs/heads/alice/fix")


def test_a_plain_push_proposes(tmp_path: Path, host: Path) -> None:
    git(tmp_path, "clone", "-q", "host", "mine")
    mine = tmp_path / "mine"
    layout.configure(mine / ".git", layout.proposer_config("alice"))
    layout.configure(mine / ".git", [("commit.gpgsign", "false")])
    git(mine, "checkout", "-q", "-b", "alice/fix")
    git(mine, "tag", "-a", "-m", "Endorse", "endorse/1")
    git(mine, "commit", "-q", "--allow-empty", "-m", "one")
    git(mine, "push", "-q")
    git(mine, "commit", "-q", "--amend", "--allow-empty", "-m", "two")
    git(mine, "push", "-q")
    assert git(host, "rev-parse", "refs/proposals/alice/fix") == git(mine, "rev-parse", "HEAD")
    assert "refs/tags/endorse/1" not in git(host, "for-each-ref")


# Changes and deletions, with the ref loose, packed, or both.

# `git branch -C`, and `-m` to a name that is free, write a branch without asking any hook, as `git symbolic-ref`
# does before git 2.46: verification finds those.
LOCAL_WRITES = (
    "branch -D common",
    "branch -f common common@0",
    "branch -m common other",
    "branch -M alice/x common",
    "tag -d common@1",
    "tag -f common@1 common@0",
    "tag -a -m forged -f common@1 common@0",
    "tag common@3 common@0",
    "update-ref refs/heads/common common@0",
    "update-ref refs/heads/common common@0 common@2",
    "update-ref -d refs/heads/common",
    "update-ref -d refs/heads/common common@2",
    "update-ref --no-deref -d refs/heads/common",
    "update-ref -d refs/tags/common@1",
    "update-ref -d refs/tags/common@1 common@1",
)
SHAPES = ("loose", "packed", "both", "stale")


def shape(where: Path, how: str) -> None:
    """Bring the refs into one of the shapes in which git may keep them, without changing what they say."""
    git(where, *UNGUARDED, "branch", "alice/x", "common@0")
    refs = ("refs/heads/common", "refs/tags/common@1")
    values = {ref: git(where, "rev-parse", ref) for ref in refs}
    if how == "stale":
        for ref in refs:
            git(where, *UNGUARDED, "update-ref", ref, "common@0")
    if how != "loose":
        git(where, *UNGUARDED, "pack-refs", "--all")
    for ref, value in values.items():
        if how == "both":
            git(where, *UNGUARDED, "pack-refs", "--all")
            loose = Path(git(where, "rev-parse", "--absolute-git-dir")) / ref
            loose.parent.mkdir(parents=True, exist_ok=True)
            loose.write_text(f"{value}\n")
        elif how == "loose":
            git(where, *UNGUARDED, "update-ref", "-d", ref)
            git(where, *UNGUARDED, "update-ref", ref, value)
        elif how == "stale":
            git(where, *UNGUARDED, "update-ref", ref, value)


@pytest.mark.parametrize("how", SHAPES)
@pytest.mark.parametrize("role", ["host", "clone"])
def test_local_writes_are_refused_however_the_ref_is_kept(
    tmp_path: Path, role: str, how: str, request: pytest.FixtureRequest
) -> None:
    where: Path = request.getfixturevalue("host") if role == "host" else a_clone_of(tmp_path, honest)
    shape(where, how)
    before = verified(where)
    for command in LOCAL_WRITES:
        git(where, *UNGUARDED, "branch", "-f", "alice/x", "common@0")  # `branch -M` deletes it before it is refused
        done = run(where, *command.split())
        assert "gitledger: " in done.stderr, f"{command}: {done.stderr}"
        assert verified(where) == before, command
    git(where, "pack-refs", "--all")
    assert verified(where) == before
    for command in LOCAL_WRITES[-2:]:
        assert run(where, *command.split()).returncode != 0
    assert verified(where) == before


# Host: pushes pass on every road, local writes do not.


def over_ssh(tmp_path: Path, command: str) -> dict[str, str]:
    """What stands for ssh: runs on the host's side what sshd would, through a shell."""
    script = tmp_path / f"ssh-{command.replace(' ', '-').replace('=', '-')}"
    script.write_text(
        f'#!/bin/sh\nshift\nset -- "$(echo "$*" | sed "s/^git-receive-pack/{command}/")"\nexec sh -c "$1"\n'
    )
    script.chmod(0o755)
    return {"GIT_SSH": str(script), "GIT_SSH_VARIANT": "simple"}


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """The directory of the test served by git http-backend, for pushes too."""

    class Backend(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path, _, query = self.path.partition("?")
            done = subprocess.run(
                [BACKEND],
                input=self.rfile.read(int(self.headers.get("Content-Length", 0))),
                env={
                    **os.environ,
                    "GIT_PROJECT_ROOT": str(tmp_path),
                    "GIT_HTTP_EXPORT_ALL": "1",
                    "REMOTE_USER": "alice",
                    "REMOTE_ADDR": "127.0.0.1",
                    "REQUEST_METHOD": self.command,
                    "PATH_INFO": path,
                    "QUERY_STRING": query,
                    "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                    "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
                },
                capture_output=True,
                check=True,
            ).stdout
            self.wfile.write(b"HTTP/1.0 200 OK\r\n" + done)

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Backend) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def push_and_look(line: Path, host: Path, url: str, *options: str, **kept: str) -> None:
    pushed = run(line, "push", *options, url, "common@3:refs/heads/common", **kept)
    assert git(host, "rev-parse", "common") == git(line, "rev-parse", "common@3"), pushed.stderr
    assert pushed.returncode == 0


def test_a_push_that_pre_receive_takes_moves_the_branch_by_path(tmp_path: Path, host: Path) -> None:
    push_and_look(tmp_path / "line", host, "../host")
    assert "common@{0}: push" in git(host, "reflog", "common")


@pytest.mark.parametrize(
    "command", ["git-receive-pack", "git receive-pack", "git -c core.bare=true --no-pager receive-pack"]
)
def test_a_push_that_pre_receive_takes_moves_the_branch_by_ssh(tmp_path: Path, host: Path, command: str) -> None:
    push_and_look(tmp_path / "line", host, f"ssh://host{host}", **over_ssh(tmp_path, command))


@pytest.mark.skipif(
    not (BACKEND.exists() and BACKEND.with_name("git-remote-http").exists()), reason="this git came without http"
)
def test_a_push_that_pre_receive_takes_moves_the_branch_by_http(tmp_path: Path, host: Path, web: str) -> None:
    git(host, "config", "http.receivepack", "true")
    push_and_look(tmp_path / "line", host, f"{web}/host")


def test_a_push_is_known_where_there_is_no_proc(tmp_path: Path, host: Path) -> None:
    guard = host / "hooks" / "reference-transaction"
    guard.write_text(guard.read_text().replace("/proc/", "/no-such-place/"))
    assert "gitledger: " in run(host, "branch", "-f", "common", "common@0").stderr
    push_and_look(tmp_path / "line", host, "../host")


def test_a_push_moves_several_refs_at_once_or_none(tmp_path: Path, host: Path) -> None:
    line = tmp_path / "line"
    many = [f"common@0:refs/proposals/alice/{number}" for number in range(500)]
    git(line, "push", "--atomic", "../host", "common@3:refs/heads/common", "common@0:refs/proposals/alice/fix", *many)
    assert git(host, "rev-parse", "refs/proposals/alice/fix") == git(line, "rev-parse", "common@0")


def test_a_mirror_push_writes_no_tag_and_does_not_move_the_branch_back(tmp_path: Path, host: Path) -> None:
    line = tmp_path / "line"
    git(line, "tag", "-f", "common@1", "common@0")
    git(line, "checkout", "-q", "--detach", "common@0")
    git(line, "branch", "-f", "common", "common@0")
    before = verified(host)
    mirrored = run(line, "push", "--mirror", "../host")
    assert mirrored.returncode != 0
    assert "common@3 (deny updating a hidden ref)" in mirrored.stderr
    assert verified(host) == before


def test_nothing_local_makes_a_branch_or_a_tag_on_a_host(host: Path) -> None:
    before = git(host, "for-each-ref")
    for command in (
        "branch other",
        "tag mine",
        "tag common@9",
        "fetch ../line +refs/*:refs/*",
        "update-ref HEAD common@0",
    ):
        done = run(host, *command.split())
        assert "gitledger: " in done.stderr, command
        assert "on a host" in done.stderr, command
    assert git(host, "for-each-ref") == before
    git(host, *UNGUARDED, "update-ref", "refs/tags/common@9", "common@2")
    git(host, "update-ref", "refs/gitledger/journal", "common@2")


@pytest.mark.parametrize("command", UPKEEP)
def test_upkeep_goes_on_on_a_host_and_moves_nothing(host: Path, command: str) -> None:
    before = verified(host)
    git(host, *command.split())
    git(host, *command.split())
    assert verified(host) == before


def test_a_head_that_was_turned_away_is_found_and_can_be_turned_back(host: Path) -> None:
    turned = run(host, "symbolic-ref", "HEAD", "refs/heads/other")
    if turned.returncode:  # git 2.46 asks the hook
        assert "gitledger: " in turned.stderr
        git(host, *UNGUARDED, "symbolic-ref", "HEAD", "refs/heads/other")
    problems = layout.check(host, role="host", name="common")
    assert any("HEAD" in problem for problem in problems)
    git(host, "symbolic-ref", "HEAD", "refs/heads/common")
    assert not any("HEAD" in problem for problem in layout.check(host, role="host", name="common"))


def test_a_branch_that_is_a_symbolic_ref_is_found(host: Path) -> None:
    git(host, *UNGUARDED, "symbolic-ref", "refs/heads/common", "refs/heads/other")
    assert any("symbolic ref" in problem for problem in layout.check(host, role="host", name="common"))


# Host: what its configuration does.


def test_a_host_keeps_its_tags_and_its_own_refs_out_of_what_a_push_is_told(host: Path) -> None:
    git(host, "update-ref", "refs/gitledger/journal", "common@2")
    told = git(host.parent, "receive-pack", "--http-backend-info-refs", "host")
    assert "refs/heads/common" in told
    assert "refs/tags/" not in told
    assert "atomic" in told
    served = git(host.parent, "ls-remote", "host")
    assert "refs/tags/common@2" in served
    assert "refs/gitledger" not in told + served


def test_a_host_takes_no_malformed_object_and_no_shallow_history(tmp_path: Path, host: Path, a_user: Path) -> None:
    a_user.write_text(a_user.read_text() + "[receive]\n\tfsckObjects = false\n\tshallowUpdate = true\n")
    line = tmp_path / "line"
    assert "fsck" in run(line, "push", "../host", f"{a_malformed_commit(line)}:refs/proposals/alice/bad").stderr
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{line}", "shallow")
    assert "shallow" in run(tmp_path / "shallow", "push", "../host", "HEAD:refs/proposals/alice/x").stderr
    git(line, "push", "../host", "common:refs/proposals/alice/x")


def test_on_a_host_the_branch_moves_forward_only_and_a_proposal_is_replaced(tmp_path: Path, host: Path) -> None:
    line = tmp_path / "line"
    git(line, "push", "../host", "common@1:refs/proposals/alice/fix")
    git(line, "push", "../host", "+common@0:refs/proposals/alice/fix")
    assert "non-fast-forward" in run(line, "push", "../host", "+common@0:refs/heads/common").stderr
    assert "deletion" in run(line, "push", "../host", ":refs/heads/common").stderr
    assert git(host, "rev-parse", "common") == git(line, "rev-parse", "common@2")
    git(line, "push", "../host", "common@3:refs/heads/common")


# Installing and checking.


def test_a_hook_path_of_the_user_s_own_switches_no_guard_off(tmp_path: Path, host: Path, a_user: Path) -> None:
    (tmp_path / "mine").mkdir()
    clone = a_clone_of(tmp_path / "mine", honest)
    a_user.write_text(a_user.read_text() + f"[core]\n\thooksPath = {tmp_path / 'nowhere'}\n")
    for where in (host, clone):
        assert "gitledger: " in run(where, "branch", "-f", "common", "common@0").stderr
    assert layout.check(clone / ".git", role="clone", name="common") == []


@pytest.mark.parametrize("name", ["moved", "with space [1]*?", "back\\slash", 'quo"te'])
def test_a_guard_goes_where_the_repository_goes(tmp_path: Path, host: Path, a_user: Path, name: str) -> None:
    (tmp_path / "mine").mkdir()
    clone = a_clone_of(tmp_path / "mine", honest)
    a_user.write_text(a_user.read_text() + f"[core]\n\thooksPath = {tmp_path / 'nowhere'}\n")
    host = host.rename(tmp_path / f"host {name}")
    clone = clone.rename(tmp_path / f"clone {name}")
    for git_dir, where, role in ((host, host, "host"), (clone / ".git", clone, "clone")):
        assert "gitledger: " in run(where, "branch", "-f", "common", "common@0").stderr
        assert any("core.hookspath" in problem for problem in layout.check(git_dir, role=role, name="common"))
        for hook in ("pre-receive", "post-receive"):
            (git_dir / "hooks" / hook).unlink(missing_ok=True)
        layout.install_hooks(git_dir, role=role, name="common")
        problems = layout.check(git_dir, role=role, name="common")
        assert problems == []
        elsewhere = run(tmp_path, f"--git-dir={git_dir}", "branch", "-f", "common", "common@0")
        assert "gitledger: " in elsewhere.stderr
    git(clone, "worktree", "add", "-q", "--detach", "../work", "common@0")
    for command in ("branch -f common common@0", f"pull {tmp_path / 'mine' / 'server'} common"):
        assert "gitledger: " in run(tmp_path / "work", *command.split()).stderr


def test_hooks_are_whole_executable_and_the_same_when_installed_again(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "--bare", "-b", "common", "--template=", "host")
    host = tmp_path / "host"
    for _ in range(2):
        layout.install_hooks(host, role="host", name="common")
        layout.configure(host, layout.HOST_CONFIG)
        assert layout.check(host, role="host", name="common") == []
        texts = {hook.name: hook.read_text() for hook in (host / "hooks").iterdir()}
        assert sorted(texts) == ["post-receive", "pre-receive", "reference-transaction"]
        assert not any("@" + mark + "@" in text for text in texts.values() for mark in ("PYTHON", "ROLE", "NAME"))
        assert all(os.access(host / "hooks" / name, os.X_OK) for name in texts)
        written = (host / "config").read_bytes()
    layout.configure(host, layout.HOST_CONFIG)
    assert (host / "config").read_bytes() == written


def test_hooks_are_found_in_an_installed_package_and_in_a_checkout(tmp_path: Path) -> None:
    package = Path(layout.__file__).parent.parent
    shutil.copytree(package, tmp_path / "site" / "gitledger")
    hooks = tmp_path / "site" / "gitledger" / "_data" / "hooks"
    shutil.copytree(layout.data_dir("hooks"), hooks, dirs_exist_ok=True)
    shutil.copytree(package, tmp_path / "checkout" / "gitledger", ignore=shutil.ignore_patterns("_data"))
    shutil.copytree(layout.data_dir("hooks"), tmp_path / "checkout" / "hooks")
    for place, found in (("site", "site/gitledger/_data/hooks"), ("checkout", "checkout/hooks")):
        code = "from gitledger.exchange.layout import data_dir; print(data_dir('hooks'))"
        shown = subprocess.check_output(
            [sys.executable, "-P", "-c", code], env={**os.environ, "PYTHONPATH": str(tmp_path / place)}, text=True
        )
        assert Path(shown.strip()) == (tmp_path / found).resolve()


def test_another_program_s_hook_is_not_written_over(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "--bare", "host")
    taken = tmp_path / "host" / "hooks" / "post-receive"
    taken.write_text("#!/bin/sh\nmail\n")
    with pytest.raises(Refused, match="hook-taken"):
        layout.install_hooks(tmp_path / "host", role="host", name="common")
    assert taken.read_text() == "#!/bin/sh\nmail\n"
    assert not (tmp_path / "host" / "hooks" / "pre-receive").exists()


def test_what_is_no_repository_and_what_cannot_be_a_host_is_told_apart(tmp_path: Path) -> None:
    with pytest.raises(Usage, match="not-a-repository"):
        layout.install_hooks(tmp_path, role="host", name="common")
    git(tmp_path, "init", "-q", "work")
    with pytest.raises(Usage, match="host-not-bare"):
        layout.check(tmp_path / "work" / ".git", role="host", name="common")


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda host: (host / "hooks" / "pre-receive").unlink(), "hooks/pre-receive is missing"),
        (lambda host: (host / "hooks" / "post-receive").chmod(0o644), "not executable"),
        (lambda host: (host / "hooks" / "reference-transaction").write_text("#!/bin/sh\n"), "is not the hook"),
        (lambda host: git(host, "config", "core.fsync", "none"), "core.fsync is 'none' and should be 'all'"),
        (lambda host: git(host, "config", "--unset", "receive.hideRefs"), "receive.hiderefs is not set"),
        (lambda host: (host / "gitledger-hooks.config").unlink(), "core.hookspath is 'hooks'"),
    ],
)
def test_what_is_missing_is_said_with_its_mend_and_mended_by_it(
    tmp_path: Path, harm: Callable[[Path], object], said: str
) -> None:
    git(tmp_path, "init", "-q", "--bare", "-b", "common", "host")
    host = tmp_path / "host"
    layout.install_hooks(host, role="host", name="common")
    layout.configure(host, layout.HOST_CONFIG)
    harm(host)
    problems = layout.check(host, role="host", name="common")
    assert len(problems) == 1
    assert said in problems[0]
    assert f"gitledger hooks install {host}" in problems[0]
    (host / "hooks" / "reference-transaction").unlink()
    layout.install_hooks(host, role="host", name="common")
    layout.configure(host, layout.HOST_CONFIG)
    assert layout.check(host, role="host", name="common") == []


def test_a_clone_on_the_ledger_s_branch_and_a_name_in_its_place_are_found(tmp_path: Path) -> None:
    clone = a_clone_of(tmp_path, honest)
    assert layout.check(clone / ".git", role="clone", name="common") == []
    git(clone, "checkout", "-q", "common")
    git(clone, *UNGUARDED, "branch", "common@1")
    git(clone, "config", "branch.common.merge", "refs/heads/common")
    merging, on_branch, in_place = layout.check(clone / ".git", role="clone", name="common")
    assert "branch.common.merge is 'refs/heads/common' and should be not set" in merging
    assert "checkout --detach" in on_branch
    assert "refs/heads/common@1" in in_place


# The configuration file.


def test_values_are_read_by_git_as_they_were_given(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "repo")
    config = tmp_path / "repo" / ".git" / "config"
    config.write_text(config.read_text().rstrip("\n"))
    odd = 'a "b" \\c # d; e\ttab\nline '
    pairs = [("x.y.z", odd), ('x.a.b "q"\\.z', "1"), ("x.y.many", "1"), ("x.y.many", "2"), ("x.plain", "^refs/*:q")]
    layout.configure(tmp_path / "repo" / ".git", pairs)
    for key in ("x.y.z", 'x.a.b "q"\\.z', "x.plain"):
        assert git(tmp_path / "repo", "config", "-z", key) == dict(pairs)[key] + "\0"
    assert git(tmp_path / "repo", "config", "--get-all", "x.y.many").split() == ["1", "2"]


def test_configuring_replaces_removes_and_leaves_alone(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "repo")
    repo = tmp_path / "repo"
    git(repo, "remote", "add", "origin", "elsewhere")
    git(repo, "config", "branch.common.merge", "refs/heads/common")
    git(repo, "config", "transfer.hideRefs", "refs/secret")
    layout.configure(repo / ".git", layout.clone_config("common"))
    layout.configure(repo / ".git", layout.HOST_CONFIG)
    assert git(repo, "config", "--get-all", "remote.origin.fetch").splitlines() == [
        "+refs/heads/*:refs/gitledger/incoming/origin/heads/*",
        "^refs/tags/*",
    ]
    assert run(repo, "config", "branch.common.merge").returncode == 1
    assert git(repo, "config", "remote.origin.url") == "elsewhere"
    assert git(repo, "config", "--get-all", "transfer.hideRefs").split() == ["refs/secret", "refs/gitledger"]


def test_a_configuration_that_another_program_writes_is_left_alone(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "repo")
    git_dir = tmp_path / "repo" / ".git"
    before = (git_dir / "config").read_bytes()
    (git_dir / "config.lock").touch()
    with pytest.raises(Failed, match="cannot-write"):
        layout.configure(git_dir, layout.HOST_CONFIG)
    assert (git_dir / "config").read_bytes() == before
    (git_dir / "config.lock").unlink()
    layout.configure(git_dir, layout.HOST_CONFIG)


# The Python that decides.


@pytest.fixture
def installed(tmp_path: Path, host: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Python of its own with a gitledger that only says so; its hooks are installed in the host."""
    place = tmp_path / "a python's place"
    venv.create(place, symlinks=True, with_pip=False)
    package = next(place.glob("lib/python*/site-packages")) / "gitledger"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "hook.py").write_text(
        "import sys\ndef run(arguments):\n    print('the installed one:', *arguments, sys.stdin.read())\n"
        "if __name__ == '__main__':\n    run(sys.argv[1:])\n"
    )
    monkeypatch.setattr(sys, "executable", str(place / "bin" / "python"))
    layout.install_hooks(host, role="host", name="common")
    return place


def test_the_python_that_installed_the_hooks_decides(tmp_path: Path, host: Path, installed: Path) -> None:
    pushed = run(tmp_path / "line", "push", "../host", "common@3:refs/heads/common").stderr
    assert "the installed one: pre-receive" in pushed
    assert "the installed one: post-receive" in pushed
    assert git(tmp_path / "line", "rev-parse", "common@3") in pushed


def test_no_file_in_the_repository_and_no_variable_comes_before_it(tmp_path: Path, host: Path, installed: Path) -> None:
    hostile = tmp_path / "hostile" / "gitledger"
    for package in (hostile, host / "gitledger"):
        package.mkdir(parents=True)
        (package / "__init__.py").write_text("print('hostile')\n")
        (package / "hook.py").write_text("print('hostile')\n")
    for module in ("gitledger", "runpy", "importlib", "sitecustomize"):
        (host / f"{module}.py").write_text("print('hostile')\n")
    pushed = run(
        tmp_path / "line",
        *("push", "../host", "common@3:refs/heads/common"),
        PYTHONPATH=str(hostile.parent),
        PYTHONSTARTUP=str(hostile / "hook.py"),
        PYTHONHOME=str(hostile),
    ).stderr
    assert "the installed one: pre-receive" in pushed
    assert "hostile" not in pushed


@pytest.mark.parametrize("lost", ["bin/python", "lib/python*/site-packages/gitledger"])
def test_where_the_python_or_its_gitledger_is_gone_nothing_is_accepted(
    tmp_path: Path, host: Path, installed: Path, lost: str
) -> None:
    before = verified(host)
    gone = next(installed.glob(lost))
    gone.rename(installed / "away")
    pushed = run(tmp_path / "line", "push", "../host", "common@3:refs/heads/common")
    assert pushed.returncode != 0
    assert "hooks install" in pushed.stderr
    assert verified(host) == before
    if lost == "bin/python":
        problems = layout.check(host, role="host", name="common")
        assert len([problem for problem in problems if "which is gone" in problem]) == 2
    (installed / "away").rename(gone)
    assert run(tmp_path / "line", "push", "../host", "common@3:refs/heads/common").returncode == 0
