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
    try:
        packed = _read(f"{git_dir}/packed-refs")
    except (OSError, ValueError):
        packed = ""
    if " refs/rotations/" in packed or any(files for _, _, files in os.walk(f"{git_dir}/refs/rotations")):
        return False
    try:
        branch = _read(f"{git_dir}/HEAD").removeprefix("ref:").strip()
        return _oid(git_dir, branch, packed) == _read(f"{git_dir}/gitledger/{FILE}")
    except (OSError, ValueError):
        return False


def _oid(git_dir: str, ref: str, packed: str) -> str:
    """The object that `ref` names: its file says, or else the file of those that git has packed."""
    try:
        return _read(f"{git_dir}/{ref}")
    except FileNotFoundError:
        end = packed.index(f" {ref}\n")
        return packed[end - 40 : end]


def _read(path: str) -> str:
    with open(path, encoding="utf-8") as file:  # noqa: PTH123 - pathlib takes longer to import than all of this
        return file.read().strip()
