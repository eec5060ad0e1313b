"""Where a command is run so that what it makes comes from what it was given (spec 14, Execution receipt).

A room is three empty directories: `work`, where the command begins, `home` and `tmp`. It gets nothing of the caller's
environment, no terminal and no input; locale, time zone, umask and SOURCE_DATE_EPOCH are the same everywhere. With
bubblewrap it sees besides these only the programs of the machine, read-only, and has no network, one user name, and
process ids of its own, all of which end with it. Without, it may do whatever the caller may.

A room is locked for as long as somebody is in it. What a run that was killed has left, the next takes away.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from gitledger.documents.names import as_typed
from gitledger.documents.statement import Isolation
from gitledger.errors import Failed

Wanted = Literal["required", "auto", "none"]

_ALWAYS: Final = {"LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "PATH": "/usr/local/bin:/usr/bin:/bin", "TZ": "UTC"}
_UMASK: Final = 0o022

_PROGRAMS: Final = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_LINKS: Final = ("/etc/alternatives", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d")
"""What of /etc programs need to be found and to find their libraries."""

_USER: Final = 1000
_NAMES: Final = {"passwd": f"user:x:{_USER}:{_USER}::/home:/bin/sh\n", "group": f"user:x:{_USER}:\n"}

# The command is the first process of its own, so that all others are gone when it has ended.
_APART: Final = (
    *("--unshare-all", "--unshare-user", "--uid", str(_USER), "--gid", str(_USER), "--hostname", "localhost"),
    *("--cap-drop", "ALL", "--as-pid-1", "--die-with-parent", "--new-session"),
)

_LAST_WORDS: Final = 20
_LAST_BYTES: Final = 4096
_LONGEST_NAME: Final = 80
_FULL: Final = 1 << 16
_TRIES: Final = 50


@dataclass(frozen=True, slots=True)
class Sandbox:
    """How commands are run here: with the program `bubblewrap`, or without it, for the reason `why`."""

    bubblewrap: str = ""
    why: str = ""

    @property
    def isolation(self) -> Isolation:
        """What a receipt says of it."""
        return "bubblewrap" if self.bubblewrap else "none"

    def run(self, command: Sequence[str], room: Path, epoch: int) -> None:
        """Run `command` in `room`, and return when it has ended well; `epoch` is its SOURCE_DATE_EPOCH.

        Raises Failed (`command-failed`) with its status and its last words, (`command-not-run`) where there is none,
        (`no-room`) where it failed on a full disk.
        """
        work, home, tmp = ("/work", "/home", "/tmp") if self.bubblewrap else (str(room / each) for each in _ROOMS)
        own = {"HOME": home, "PWD": work, "TMPDIR": tmp, "SOURCE_DATE_EPOCH": str(epoch)}
        arguments = [*self._outer(room), *command]
        with (room / "said").open("w+b") as said:
            try:
                process = subprocess.Popen(
                    arguments,
                    cwd=room / "work",
                    env=_ALWAYS | own,
                    stdin=subprocess.DEVNULL,
                    stdout=said,
                    stderr=said,
                    start_new_session=True,
                    umask=_UMASK,
                )
            except (OSError, ValueError) as error:
                raise Failed("command-not-run", f"{_named(command)} can't be run: {error}", _SEE_PATH) from None
            try:
                status = process.wait()
            finally:
                _end(process)
            if status:
                _must_have_room(room)
                raise _failed(_named(command), status, said.seek(0, os.SEEK_END), room / "said")

    def _outer(self, room: Path) -> list[str]:
        """What stands before the command."""
        if not self.bubblewrap:
            return []
        arguments = [self.bubblewrap, *_APART, "--proc", "/proc", "--dev", "/dev"]
        for path in _PROGRAMS:
            if Path(path).is_symlink():
                arguments += ["--symlink", str(Path(path).readlink()), path]
            elif Path(path).exists():
                arguments += ["--ro-bind", path, path]
        for path in _LINKS:
            arguments += ["--ro-bind-try", path, path]
        for name in _NAMES:
            arguments += ["--ro-bind", str(room / name), f"/etc/{name}"]
        for name in _ROOMS:
            arguments += ["--bind", str(room / name), f"/{name}"]
        return [*arguments, "--chdir", "/work", "--"]


_ROOMS: Final = ("work", "home", "tmp")
_PREFIX: Final = "gitledger-run-"
_SEE_PATH: Final = f"name a program in {_ALWAYS['PATH']}, or bring it as an input and name it by its path there"


def find(wanted: Wanted) -> Sandbox:
    """The sandbox of this machine: with bubblewrap where it is wanted, installed and works.

    Raises Failed (`no-isolation`) where it is required and does not.
    """
    if wanted == "none":
        return Sandbox(why="as it was asked for")
    program = shutil.which("bwrap")
    if program is None:
        why = "bubblewrap is not installed"
    else:
        found = Sandbox(bubblewrap=program)
        try:
            with room() as directory:
                found.run(["true"], directory, 0)
            return found
        except Failed as error:
            why = "bubblewrap does not work here: " + error.what.rpartition("\n")[2].strip()
    if wanted == "required":
        raise Failed(
            "no-isolation",
            why,
            "sudo apt install bubblewrap, or with all that you may do yourself: --isolation none",
        )
    return Sandbox(why=why)


@contextmanager
def room() -> Iterator[Path]:
    """A directory for one run, with `work`, `home` and `tmp`; it is gone afterwards, whatever is in it."""
    _clear()
    directory, lock = _locked()
    try:
        for name in _ROOMS:
            (directory / name).mkdir()
            (directory / name).chmod(0o755)
        for name, text in _NAMES.items():
            (directory / name).write_text(text, encoding="ascii")
            (directory / name).chmod(0o644)
        yield directory
    finally:
        _remove(directory)
        os.close(lock)


@contextmanager
def ended_in_order() -> Iterator[None]:
    """SIGTERM and SIGHUP end what is in the block as Ctrl-C does, so that nothing of it stays; to be used once.

    Where one of them is ignored, as under nohup, it stays so.
    """

    def end(number: int, frame: object) -> None:
        for each in before:  # what is in the block is cleared away without another interruption
            signal.signal(each, signal.SIG_IGN)
        raise SystemExit(128 + number)

    before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGHUP)}
    for each, how in before.items():
        if how is not signal.SIG_IGN:
            signal.signal(each, end)
    try:
        yield
    finally:
        for each, how in before.items():
            signal.signal(each, how)


def _locked() -> tuple[Path, int]:
    """A new directory, and the lock that says that somebody is in it."""
    while True:
        directory = Path(tempfile.mkdtemp(prefix=_PREFIX))
        with suppress(FileNotFoundError):
            lock = os.open(directory, os.O_RDONLY)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if directory.exists():  # before it was locked, another run may have taken it for one that was left
                return directory, lock
            os.close(lock)


def _clear() -> None:
    """Take away this user's rooms in which nobody is."""
    for left in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):  # somebody is in it, it goes just now, or it is another user's
            lock = os.open(left, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(lock).st_uid == os.geteuid():
                    _remove(left)
            finally:
                os.close(lock)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Nothing of it goes on: bubblewrap takes all with it, and else what is in its session is ended."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _remove(directory: Path) -> None:
    """Remove it with directories that nobody may enter; what is being ended may write a moment longer."""
    for _ in range(_TRIES):
        for above, names, _files in os.walk(directory):
            for name in names:
                if not (Path(above) / name).is_symlink():
                    (Path(above) / name).chmod(0o700)
        shutil.rmtree(directory, ignore_errors=True)
        if not directory.exists():
            return
        time.sleep(0.1)


def no_room(room: Path) -> Failed:
    """The disk is full on which commands are run."""
    return Failed(
        "no-room",
        f"the disk is full on which the command is run, that of {room.parent}",
        "make room there, or have it run on another: TMPDIR=DIR gitledger …",
    )


def _must_have_room(room: Path) -> None:
    said = os.statvfs(room)
    if said.f_bavail * said.f_frsize < _FULL or (said.f_files and not said.f_favail):
        raise no_room(room)


def _named(command: Sequence[str]) -> str:
    """The program, as it was typed."""
    return as_typed([command[0][:_LONGEST_NAME]])


def _failed(name: str, status: int, size: int, said: Path) -> Failed:
    how = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
    with said.open("rb") as file:
        file.seek(max(0, size - _LAST_BYTES))
        words = file.read().decode("utf-8", "replace").strip().splitlines()[-_LAST_WORDS:]
    return Failed(
        "command-failed",
        "\n".join([f"{name} {how}" + ("; it said last" if words else " and said nothing"), *words]),
        "correct the command; it has nothing on its standard input, and with bubblewrap no network",
    )
