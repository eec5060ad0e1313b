"""Where commands are run: what they see, what they can't reach, and that nothing of them goes on."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import servers

from gitledger.errors import Failed
from gitledger.roles import sandbox
from gitledger.roles.sandbox import Sandbox

BARE = Sandbox(why="a test")
STOCK = ("--ro-bind", "/", "/", "--proc", "/proc", "--unshare-all", "--unshare-user", "true")


def bubblewrap_works() -> bool:
    """By the program itself: a machine may have it and bar user namespaces."""
    return subprocess.run([servers.need("bwrap"), *STOCK], capture_output=True, check=False).returncode == 0


@pytest.fixture
def apart() -> Sandbox:
    if not bubblewrap_works():
        pytest.skip("user namespaces are barred here")
    return sandbox.find("required")


def said(box: Sandbox, script: str, *, epoch: int = 77) -> str:
    """What a shell script prints into the file `out`."""
    with sandbox.room() as room:
        box.run(["sh", "-c", f"({script}) >out 2>&1"], room, epoch)
        return (room / "work" / "out").read_text()


@pytest.mark.servers
def test_bubblewrap_is_used_where_it_works() -> None:
    assert sandbox.find("auto").isolation == ("bubblewrap" if bubblewrap_works() else "none")


def test_where_there_is_no_bubblewrap_that_is_told_or_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert sandbox.find("auto") == Sandbox(why="bubblewrap is not installed")
    with pytest.raises(Failed, match=r"\[no-isolation\]"):
        sandbox.find("required")
    (tmp_path / "bwrap").write_text("#!/bin/sh\necho bwrap: No permissions to create new namespace >&2\nexit 1\n")
    (tmp_path / "bwrap").chmod(0o755)
    assert sandbox.find("auto").why.endswith("No permissions to create new namespace")
    with pytest.raises(Failed, match=r"\[no-isolation\]"):
        sandbox.find("required")


def test_the_environment_is_the_same_for_everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GITLEDGER_X", "SSH_AUTH_SOCK", "LD_PRELOAD", "PYTHONPATH", "USER", "LANGUAGE"):
        monkeypatch.setenv(name, "leak")
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    monkeypatch.setenv("LC_ALL", "C")
    old = os.umask(0o077)
    try:
        lines = dict(line.split("=", 1) for line in said(BARE, "umask | sed s/^/UMASK=/; env").splitlines())
    finally:
        os.umask(old)
    room = lines["PWD"].removesuffix("/work")
    assert lines.pop("UMASK") == "0022"
    lines.pop("_", None)
    lines.pop("SHLVL", None)
    lines.pop("OLDPWD", None)
    assert lines == {
        "HOME": f"{room}/home",
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "PWD": f"{room}/work",
        "SOURCE_DATE_EPOCH": "77",
        "TMPDIR": f"{room}/tmp",
        "TZ": "UTC",
    }


def test_there_is_no_input_and_no_terminal() -> None:
    assert said(BARE, "cat; test -t 0 || echo none; (echo x >/dev/tty) 2>/dev/null || echo none") == "none\nnone\n"


def test_a_command_that_fails_is_told_with_its_last_words() -> None:
    for script, told in (
        ("echo first; echo last >&2; exit 3", "sh ended with status 3; it said last\nfirst\nlast"),
        ("exit 1", "sh ended with status 1 and said nothing"),
        ("kill -9 $$", "sh was ended by signal 9 and said nothing"),
    ):
        with sandbox.room() as room, pytest.raises(Failed) as failed:
            BARE.run(["sh", "-c", script], room, 0)
        assert (failed.value.rule, failed.value.what) == ("command-failed", told)
    with sandbox.room() as room, pytest.raises(Failed, match=r"\[command-not-run\]"):
        BARE.run(["no-such-program"], room, 0)


def test_a_command_that_fails_on_a_full_disk_is_told_which(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with sandbox.room() as room:
        free = os.statvfs(room)
        monkeypatch.setattr(sandbox, "_FULL", free.f_bavail * free.f_frsize * 2)
        BARE.run(["true"], room, 0)
        with pytest.raises(Failed, match=r"\[no-room\]") as failed:
            BARE.run(["false"], room, 0)
    assert str(tmp_path) in failed.value.what and "TMPDIR" in failed.value.mend


def test_the_words_of_a_command_are_its_own_and_no_shell_s() -> None:
    with sandbox.room() as room:
        BARE.run(["cp", "/dev/null", "$(touch x); *"], room, 0)
        assert [each.name for each in (room / "work").iterdir()] == ["$(touch x); *"]


def test_what_a_command_leaves_running_is_ended_and_nobody_waits_for_it() -> None:
    begun = time.monotonic()
    with sandbox.room() as room:
        BARE.run(["sh", "-c", "sleep 60 & echo $! >pid"], room, 0)
        pid = int((room / "work" / "pid").read_text())
    assert time.monotonic() - begun < 30
    while _alive(pid) and time.monotonic() - begun < 30:
        time.sleep(0.01)
    assert not _alive(pid)


def test_directories_that_nobody_may_enter_are_removed_too() -> None:
    with sandbox.room() as room:
        BARE.run(["sh", "-c", "mkdir -p a/b; ln -s /etc a/l; touch a/b/c; chmod 0 a/b a"], room, 0)
    assert not room.exists()


def test_an_interruption_ends_the_command_and_leaves_nothing(tmp_path: Path) -> None:
    script = (
        "from gitledger.roles import sandbox\nimport sys\n"
        "box = sandbox.find(sys.argv[1])\n"
        "with sandbox.room() as room:\n"
        "    box.run(['sh', '-c', 'touch begun; sleep 60; touch ended'], room, 0)\n"
    )
    for isolation in ("none", "auto"):
        process = subprocess.Popen(
            [sys.executable, "-c", script, isolation],
            env={**os.environ, "TMPDIR": str(tmp_path)},
            stderr=subprocess.DEVNULL,
        )
        while not list(tmp_path.glob("*/work/begun")):
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) != 0
        assert list(tmp_path.iterdir()) == []


def test_the_room_of_a_run_that_was_killed_is_taken_away_and_no_other(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script = "from gitledger.roles import sandbox\nwith sandbox.room() as room:\n    input()\n"
    rooms: list[Path] = []
    processes = []
    for _ in range(2):
        process = subprocess.Popen(
            [sys.executable, "-c", script], env={**os.environ, "TMPDIR": str(tmp_path)}, stdin=subprocess.PIPE
        )
        processes.append(process)
        while not (made := [one for one in tmp_path.glob("*/passwd") if one.parent not in rooms]):
            assert process.poll() is None
            time.sleep(0.05)
        rooms.append(made[0].parent)
    killed, alive = processes
    killed.kill()
    killed.communicate()
    monkeypatch.setattr(sandbox.tempfile, "tempdir", str(tmp_path))
    (tmp_path / "gitledger-run-link").symlink_to(rooms[1])
    with sandbox.room() as room:
        assert {one.name for one in tmp_path.iterdir()} == {room.name, rooms[1].name, "gitledger-run-link"}
    assert (rooms[1] / "passwd").exists()
    alive.communicate(b"\n", timeout=30)
    assert not rooms[1].exists()


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with sandbox.ended_in_order():
            os.kill(os.getpid(), signal.SIGHUP)
        with pytest.raises(SystemExit) as ended, sandbox.ended_in_order():
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(10)
        assert ended.value.code == 128 + signal.SIGTERM
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, before)


def test_apart_a_command_has_one_name_and_one_place_everywhere(apart: Sandbox) -> None:
    script = "id -un; id -u; id -gn; pwd; echo $HOME $TMPDIR $PWD; hostname; tty; ls -A /home /tmp"
    assert said(apart, script).splitlines() == [
        *("user", "1000", "user", "/work", "/home /tmp /work", "localhost", "not a tty", "/home:", "", "/tmp:")
    ]


def test_apart_a_command_sees_no_file_of_this_machine_and_writes_none(
    apart: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret\n")
    secret.chmod(0o644)
    assert said(BARE, f"cat {secret}") == "secret\n"
    assert "secret\n" not in said(apart, f"cat {secret} /etc/shadow /root/.ssh/* || true")
    assert said(apart, "ls -A /etc").split() == [
        each
        for each in sorted(("alternatives", "group", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "passwd"))
        if each in ("group", "passwd") or Path("/etc", each).exists()
    ]
    assert "Read-only" in said(apart, "touch /usr/bin/x || true")


def test_apart_a_command_reaches_no_network(apart: Sandbox) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        script = f"bash -c 'exec 3<>/dev/tcp/127.0.0.1/{server.getsockname()[1]}' && echo reached || true"
        assert said(BARE, script) == "reached\n"
        assert "reached" not in said(apart, script)


def test_apart_nothing_outlives_the_command(apart: Sandbox) -> None:
    script = "setsid sh -c 'while :; do date +%N >>tick; done' & sleep 0.2; test -s tick"
    with sandbox.room() as room:
        apart.run(["sh", "-c", script], room, 0)
        tick = (room / "work" / "tick").stat().st_mtime_ns
        time.sleep(0.2)
        assert (room / "work" / "tick").stat().st_mtime_ns == tick


def test_apart_a_command_has_no_rights_over_the_machine(apart: Sandbox) -> None:
    assert "CapEff:\t0000000000000000" in said(apart, "cat /proc/self/status")
    assert said(apart, "ls -d /proc/[0-9]* | wc -l").strip() in ("2", "3", "4")


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
