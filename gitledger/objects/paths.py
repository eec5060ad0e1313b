"""Which names a tree may hold (spec 3, Entries).

A component of a path is valid UTF-8 in NFC, at most 255 bytes; its code points are assigned in Unicode 14.0
and of no category Cc, Cf, Cs, Co, Zl or Zp, and none of ``\\ : * ? " < > |``; it is not empty, ``.`` or
``..``, does not end in a dot or a space, holds no ``~`` before a digit; before its first dot, spaces at the
end taken off, it is not the name of a device; and it is not ``.git``, ``.gitmodules`` or, below the root,
``.gitattributes``; all of this compared after case folding. No two siblings are equal under `fold`. A path
is at most 1,000 bytes.

So a checkout has the same files on every system, and no name means something else to git than to us.
The verdict depends on no version of Python: see `unicode14`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from itertools import pairwise
from typing import Final

from gitledger.errors import Malformed, Refused
from gitledger.objects import unicode14

MAX_COMPONENT: Final = 255
MAX_PATH: Final = 1000
"""Systems take 1,024 (macOS) or 4,096 bytes (Linux) with a zero at the end: what is numbered can be checked out."""


_FORBIDDEN = re.compile(r'[\\:*?"<>|]')
_SHORT_NAME = re.compile(r"~[0-9]")
_DEVICES: Final = frozenset(
    ["con", "prn", "aux", "nul", "conin$", "conout$"]
    + [device + number for device in ("com", "lpt") for number in "0123456789¹²³"]
)
_RENAME = "Rename it and commit again: git mv OLD NEW && git commit --amend -S --no-edit"


@lru_cache(maxsize=1 << 14)
def check_component(raw: bytes, *, root: bool) -> str:
    """The name that one entry of a tree has, once it keeps every rule of spec 3, Entries.

    `raw` is the entry's name as it stands in the tree object; `root` says that the entry is in the root tree.
    Raises Malformed for bytes that are no name at all, Refused for a name that is forbidden.
    """
    name = _decode(raw)
    _check_code_points(name)
    _check_characters(name)
    _check_ends(name)
    folded = fold(name)
    _check_devices(name, folded)
    _check_git(name, folded, root=root)
    return name


def fold(name: str) -> str:
    """NFC(full case folding(NFC(name))) (spec 3, Entries).

    Two siblings for which this is equal are one file to some system.
    """
    if name.isascii():
        return name.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def check_path(path: str) -> None:
    """Check a path from the root of a tree, with ``/`` between its components (spec 3, Entries).

    Raises Malformed or Refused as `check_component` does, and Refused for more than 1,000 bytes of UTF-8.
    """
    raw = path.encode("utf-8", "surrogatepass")
    if len(raw) > MAX_PATH:
        raise Refused(
            "path-length",
            f"the path {_shown(path)} has {len(raw)} bytes, more than {MAX_PATH}",
            "Choose shorter names or fewer directories.",
        )
    for depth, component in enumerate(raw.split(b"/")):
        check_component(component, root=depth == 0)


def check_together(paths: Iterable[str]) -> None:
    """Check that one tree can hold a file at each of these paths, which keep the rules each (spec 3, Entries).

    Raises Refused (`names-alike`, `file-directory-conflict`).
    """
    # In this order all below one directory follow one another, under whatever spelling.
    ordered = sorted((fold(path).split("/"), path.split("/")) for path in set(paths))
    for (one, path), (other, beside) in pairwise(ordered):
        shared = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), len(one))
        named = f"{_shown('/'.join(path))} and {_shown('/'.join(beside))}"
        if path[:shared] != beside[:shared]:
            raise Refused("names-alike", f"{named} are one name on some systems", "give one of them another name")
        if shared == len(one):
            mend = "give one of them another name"
            raise Refused("file-directory-conflict", f"of {named}, the first is a file and a directory at once", mend)


def _decode(raw: bytes) -> str:
    """The bytes as text: not empty, UTF-8, short enough, one component."""
    if not raw:
        raise Malformed("name-empty", "a name is empty", "Take // and a / at either end out of the path.")
    if len(raw) > MAX_COMPONENT:
        what = f"the name {_shown(raw)} has {len(raw)} bytes, more than {MAX_COMPONENT}"
        raise Refused("name-length", what, _RENAME)
    try:
        name = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        what = f"the name {_shown(raw)} is not UTF-8, from byte {error.start} on"
        raise Malformed("name-utf8", what, _RENAME) from None
    if "/" in name:
        raise Malformed("name-slash", f"the name {_shown(name)} holds a slash", _RENAME)
    return name


def _check_code_points(name: str) -> None:
    if name.isascii() and name.isprintable():
        return
    # Before the normal form: how an unassigned code point normalises depends on the version of Unicode.
    for character in name:
        if not unicode14.allowed(ord(character)):
            raise Refused(
                "name-code-point",
                f"the name {_shown(name)} holds U+{ord(character):04X}, "
                "a control or format character or one that Unicode 14.0 does not assign",
                _RENAME,
            )
    if not unicodedata.is_normalized("NFC", name):
        raise Malformed(
            "name-nfc",
            f"the name {_shown(name)} is not in Unicode's normal form NFC",
            "Rename it to the composed form; git config core.precomposeUnicode true keeps it so on macOS.",
        )


def _check_characters(name: str) -> None:
    if found := _FORBIDDEN.search(name):
        raise Refused(
            "name-character",
            f"the name {_shown(name)} holds {found[0]}, which some systems forbid or read as something else",
            _RENAME,
        )
    if _SHORT_NAME.search(name):
        raise Refused(
            "name-short-form",
            f"the name {_shown(name)} holds ~ before a digit, which is another file's short name on Windows",
            _RENAME,
        )


def _check_ends(name: str) -> None:
    if name in {".", ".."}:
        raise Malformed("name-dots", f"the name {name} means a directory itself or the one above", _RENAME)
    if name.endswith((".", " ")):
        what = f"the name {_shown(name)} ends in a dot or a space, which Windows takes off"
        raise Refused("name-end", what, _RENAME)


def _check_devices(name: str, folded: str) -> None:
    stem = folded.partition(".")[0].rstrip(" ")
    if stem in _DEVICES:
        raise Refused("name-device", f"the name {_shown(name)} is the device {stem} on Windows", _RENAME)


def _check_git(name: str, folded: str, *, root: bool) -> None:
    if folded in {".git", ".gitmodules"} or (folded == ".gitattributes" and not root):
        raise Refused("name-git", f"the name {_shown(name)} is {folded}, which git itself reads", _RENAME)


def _shown(name: str | bytes) -> str:
    """The name for a message: quoted, nothing in it that a terminal obeys, and not too long."""
    return ascii(name[:60]) + ("…" if len(name) > 60 else "")
