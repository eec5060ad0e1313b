"""What a machine must have before any ledger on it can work: programs, a clock, room, a key; told, never changed.

`doctor.py` asks all of it, and beyond that the repository. Nothing is written, and nobody is asked over a network.
"""

from __future__ import annotations

import os
import platform
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from gitledger.errors import LedgerError
from gitledger.roles.place import AHEAD_SECONDS

if TYPE_CHECKING:
    from gitledger.signing.signers import Signer

Severity = Literal["fine", "note", "wrong"]

GIT: Final = (2, 39)
"""The oldest git that this is tested with."""

OPENSSH: Final = (8, 2)
"""The oldest OpenSSH whose `ssh-keygen -Y sign` signs with every key that is taken, security keys included."""

NAMESPACE: Final = "gitledger.doctor"
"""What a signature that is only a trial is made for; no rule takes it for anything."""

_OLDEST: Final = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())
_DRIFT: Final = 300
_MIB: Final = 1 << 20
_INSTALL_SSH: Final = "sudo apt install openssh-client"
_SET_CLOCK: Final = "sudo timedatectl set-ntp true   (or, without a network: sudo date -s '…')"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found in an `area`: a `sentence` without a full stop, and the `mend`, empty where there is none.

    `wrong` is what will fail or deceive; a `note` is what a person should know; `fine` is as it should be.
    """

    area: str
    severity: Severity
    sentence: str
    mend: str = ""


def fine(area: str, sentence: str) -> Finding:
    return Finding(area, "fine", sentence)


def note(area: str, sentence: str, mend: str = "") -> Finding:
    return Finding(area, "note", sentence, mend)


def wrong(area: str, sentence: str, mend: str = "") -> Finding:
    return Finding(area, "wrong", sentence, mend)


def error_of(area: str, error: LedgerError) -> Finding:
    """An error as a finding."""
    return wrong(area, f"{error.subject}: {error.what}" if error.subject else error.what, error.mend)


def look(area: str, ask: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """What `ask` finds; an error, or a file that can't be read, is a finding too."""
    try:
        yield from ask()
    except LedgerError as error:
        yield error_of(area, error)
    except OSError as error:
        where = shlex.quote(str(error.filename)) if error.filename else ""
        yield wrong(area, f"{error.filename or area}: {error.strerror or error}", f"ls -ld {where}" if where else "")


def programs() -> Iterator[Finding]:
    """git, Python with what is imported from elsewhere, OpenSSH."""
    from pygit2 import LIBGIT2_VERSION

    yield _program("git", ("git", "version"), r"git version (\d+)\.(\d+)\S*", GIT, "sudo apt install git")
    yield fine("python", f"Python {platform.python_version()}, gitledger {version('gitledger')}")
    yield fine("libgit2", f"libgit2 {LIBGIT2_VERSION}, pygit2 {version('pygit2')}")
    yield _program("openssh", ("ssh", "-V"), r"OpenSSH\D*(\d+)\.(\d+)\w*", OPENSSH, _INSTALL_SSH)
    if shutil.which("ssh-keygen") is None:
        yield wrong("openssh", "there is no ssh-keygen: no agent and no security key signs", _INSTALL_SSH)


def _program(area: str, command: tuple[str, ...], form: str, oldest: tuple[int, int], mend: str) -> Finding:
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    except OSError as error:
        return wrong(area, f"{command[0]} can't be run: {error.strerror}", mend)
    match = re.search(form, done.stdout + done.stderr)
    if match is None:
        return note(area, f"{' '.join(command)} says nothing that is understood", " ".join(command))
    if (int(match[1]), int(match[2])) < oldest:
        return wrong(area, f"{match[0]} is older than {oldest[0]}.{oldest[1]}, the oldest that will do", mend)
    return fine(area, match[0])


def clock(now: int, newest: tuple[str, int] | None = None) -> Iterator[Finding]:
    """This machine's clock at `now`, beside the name and the seconds of the `newest` snapshot."""
    said = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d %H:%M UTC")
    ahead = newest[1] - now if newest else 0
    if now < _OLDEST:
        yield wrong("clock", f"the clock says {said}, which is past", _SET_CLOCK)
    elif newest and ahead > _DRIFT:
        dated = datetime.fromtimestamp(newest[1], UTC).strftime("%Y-%m-%d %H:%M UTC")
        sentence = f"{newest[0]} is dated {dated}, and the clock says {said}: it is slow, or the witness's was fast"
        yield (wrong if ahead > AHEAD_SECONDS else note)("clock", sentence, _SET_CLOCK)
    else:
        yield fine("clock", said)


def room(path: Path, needed: int = 0) -> Finding:
    """Space and inodes of the file system at `path`, which holds objects of `needed` bytes."""
    usage, inodes = shutil.disk_usage(path), os.statvfs(path)
    free = usage.free // _MIB
    mend = f"df -h {shlex.quote(str(path))}   (make room there)"
    if usage.free < 100 * _MIB:
        return wrong("disk", f"{path} has {free:,} MiB left: the next push or fetch may fail", mend)
    if inodes.f_files and inodes.f_favail < 1000:
        mend = f"df -i {shlex.quote(str(path))}   (files must go there; git gc packs many into one)"
        return wrong("disk", f"{path} has room for {inodes.f_favail} files more", mend)
    if usage.free < 1024 * _MIB:
        return note("disk", f"{path} has {free:,} MiB left", mend)
    if usage.free < 2 * needed:
        return note("disk", f"{path} has {free:,} MiB left, less than twice what the objects take", mend)
    return fine("disk", f"{usage.free // (1024 * _MIB):,} GiB free")


def key(find: Callable[[], Signer], *, named: bool, sign: bool, expected: bool) -> Iterator[Finding]:
    """The key that `find` finds, and whether it signs; it was `named` by a person, or is `expected` here.

    What is signed is a text of no meaning, in a namespace of its own. Without `sign` nothing is.
    """
    from gitledger.signing import sshsig

    try:
        signer = find()
    except LedgerError as error:
        if error.rule != "no-key" or named:
            yield error_of("key", error)
        elif expected:
            yield note("key", f"no key is at hand to propose with: {error.what}", error.mend)
        else:
            yield fine("key", "no key is set up; to read, none is needed")
        return
    said = f"{signer.key.key_id}"
    if not sign:
        yield fine("key", f"{said} (not asked to sign)")
        return
    trial = b"gitledger doctor: this signature means nothing\n"
    try:
        sshsig.verify(sshsig.parse(signer.sign(trial, NAMESPACE), take_certificate=True), trial, NAMESPACE)
    except LedgerError as error:
        yield (note if error.rule == "passphrase-wanted" else wrong)("key", error.what, error.mend)
        return
    yield fine("key", f"{said} signs")
