"""A repository that several users of a machine write, as `git init --shared` makes one."""

from __future__ import annotations

import os
import stat


def share(git_dir: str | os.PathLike[str]) -> None:
    """Let what this process makes from now on be the group's, too, where the repository is shared with a group.

    Git does so with its own files (core.sharedRepository), whatever the umask says; what is shared shows in the mode of
    the directory, and the group of what is made there comes from its set-group-ID bit.
    """
    if is_shared(git_dir):
        os.umask(os.umask(0o077) & ~0o070)


def is_shared(git_dir: str | os.PathLike[str]) -> bool:
    """Whether the repository is shared with a group."""
    return bool(os.stat(git_dir).st_mode & stat.S_IWGRP)  # noqa: PTH116 - a hook imports no pathlib
