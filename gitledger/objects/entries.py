"""Tree objects as Git stores them: read strictly, entry by entry (spec 3, Entries).

Regular files and directories only, in git's order, each name once, and no two siblings that are one name on some
systems. What a name may be is decided in `paths`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from gitledger.errors import Malformed, Refused
from gitledger.objects.paths import check_component, fold

REGULAR: Final = 0o100644
EXECUTABLE: Final = 0o100755
DIRECTORY: Final = 0o40000

MODE_TEXT: Final = {REGULAR: b"100644 ", EXECUTABLE: b"100755 ", DIRECTORY: b"40000 "}
"""How an entry begins in a tree object, by mode."""

STOCK_TREE: Final = "Make the tree with stock git: git add, then git commit -S"

_MODES: Final = {text.strip(): mode for mode, text in MODE_TEXT.items()}
_ENTRY = re.compile(rb"([0-7]+) ([^\0]+)\0(.{20})", re.DOTALL)


def parse(raw: bytes, *, root: bool) -> Iterator[tuple[str, int, str]]:
    """Name, mode and object id of each entry of the tree object `raw`; `root` says that it is the root tree.

    Raises Malformed for what git would not write or what stands twice, Refused for a name, a mode or two siblings that
    may not be.
    """
    folded: dict[str, str] = {}
    before = b""
    at = 0
    while at < len(raw):
        match = _ENTRY.match(raw, at)
        if match is None:
            raise Malformed("tree-entry", f"the tree object has no entry at byte {at}")
        mode = _mode(match[1], match[2])
        name = check_component(match[2], root=root)
        _must_be_new(name, folded)
        place = match[2] + b"/" if mode == DIRECTORY else match[2]
        if place <= before:
            raise Malformed("unsorted-tree", f"the entry {name} of a tree stands out of order", STOCK_TREE)
        yield name, mode, match[3].hex()
        before, at = place, match.end()


def _mode(raw: bytes, name: bytes) -> int:
    if raw in _MODES:
        return _MODES[raw]
    shown = repr(name[:80].decode("utf-8", "replace"))
    if raw == b"120000":
        raise Refused(
            "symbolic-link", f"{shown} is a symbolic link", "Put a copy of the file in its place, and commit again."
        )
    if raw == b"160000":
        raise Refused("submodule", f"{shown} is a submodule", "git rm --cached it, and commit its files or nothing.")
    raise Malformed(
        "mode",
        f"{shown} has the mode {raw[:12].decode()}; a file has 100644 or 100755, a directory 40000",
        STOCK_TREE,
    )


def _must_be_new(name: str, folded: dict[str, str]) -> None:
    key = fold(name)
    if key not in folded:
        folded[key] = name
    elif folded[key] == name:
        raise Malformed("duplicate-entry", f"the entry {name} of a tree stands twice", STOCK_TREE)
    else:
        raise Refused(
            "names-alike",
            f"{folded[key]} and {name} stand in one directory, and are one name on some systems",
            "git mv one of them to a name that differs in more than case, then git commit --amend -S --no-edit",
        )


def must_be_distinct(names: Iterable[str]) -> None:
    """Raise Refused (`names-alike`) where two of these siblings are one name on some systems."""
    folded: dict[str, str] = {}
    for name in names:
        _must_be_new(name, folded)
