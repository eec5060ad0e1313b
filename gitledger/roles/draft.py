"""A repository that is built beside the place where it will stand, and renamed: it appears whole or not at all.

What a run that was killed has left beside, the next run for the same place takes away.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gitledger.errors import Failed, Refused, Usage
from gitledger.roles.notes import sync_directory


@contextmanager
def beside(directory: Path) -> Iterator[Path]:
    """An empty directory to build in; it becomes `directory` when the block ends without an error, else it goes.

    Raises Usage (`directory-taken`) where `directory` is there and not empty, Refused (`being-built`) while another
    run builds for it, Failed where nothing can be written there.
    """
    directory = directory.resolve()
    _must_be_free(directory)
    draft = directory.with_name(f".{directory.name}.gitledger")
    try:
        draft.mkdir(parents=True, exist_ok=True)
        lock = os.open(draft, os.O_RDONLY)
    except OSError as error:
        raise Failed("cannot-write", f"{draft} can't be made: {error.strerror}", "May you write there?") from None
    try:
        _must_be_alone(lock, directory)
        _clear(draft)
        try:
            yield draft
            _must_be_free(directory)
            draft.replace(directory)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
        sync_directory(directory.parent)
    finally:
        os.close(lock)


def init(directory: Path, branch: str, *, bare: bool) -> None:
    """An empty repository in `directory` with HEAD on `branch`: nothing of the user's templates, ids SHA-1, refs files.

    Raises Failed with git's own words.
    """
    kept = ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM", "GIT_EXEC_PATH")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_") or key in kept}
    shape = ("--bare",) if bare else ()
    try:
        done = subprocess.run(
            ["git", "init", "--quiet", *shape, "--template=", "--object-format=sha1", f"--initial-branch={branch}"],
            cwd=directory,
            env={**environment, "GIT_DEFAULT_REF_FORMAT": "files", "LC_ALL": "C"},
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
    except FileNotFoundError:
        raise Failed("no-git", "there is no git program", "Install git 2.39 or newer.") from None
    if done.returncode:
        raise Failed("git-failed", f"git init: {done.stderr.strip()}")


def _must_be_free(directory: Path) -> None:
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise Usage("directory-taken", f"{directory} is there already and not empty", "name another directory")


def _must_be_alone(lock: int, directory: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Refused("being-built", f"another run is making {directory}", "wait until it is done") from None


def _clear(draft: Path) -> None:
    """Take away what a run that was killed has left."""
    for left in draft.iterdir():
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left)
        else:
            left.unlink()
