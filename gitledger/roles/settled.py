"""A host's note of the newest snapshot whose consequences are drawn, so that a hook sees at once that nothing is left.

It imports nothing that is not there already, because to import is most of what such a hook would do.
"""

from __future__ import annotations

import os

FILE = "settled"
"""In the host's directory `gitledger`: the commit of that snapshot, in hex."""


def is_settled(git_dir: str) -> bool:
    """Whether nothing is left to do in the repository at `git_dir`. In doubt it is not.

    While a rotation waits, something may be: whether a run before this one noted that it is complete.
    """
    if os.path.isdir(f"{git_dir}/refs/rotations"):  # noqa: PTH112 - as below
        return False
    try:
        branch = _read(f"{git_dir}/HEAD").removeprefix("ref:").strip()
        return _read(f"{git_dir}/{branch}") == _read(f"{git_dir}/gitledger/{FILE}")
    except (OSError, ValueError):
        return False


def _read(path: str) -> str:
    with open(path, encoding="utf-8") as file:  # noqa: PTH123 - pathlib takes longer to import than all of this
        return file.read().strip()
