"""What makes a repository's answers another's: refused in a ledger and in what is imported (spec 10, Objects).

Grafts, replace refs, shallow boundaries, alternates (other than a quarantine's) and promisor packs are
refused, and so is a branch that is a symbolic ref, because with each of them stock git shows another history
than the one that is verified, or objects that are not here. Object ids must be SHA-1, and refs must be files,
which is what `Store` reads.

All of it is read from the files themselves: no process, no configuration but the repository's own.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import pygit2

from gitledger.errors import Unsound

_PROMISORS: Final = (".promisor", ".partialclonefilter")


def check(common_dir: Path, object_dirs: Iterable[Path]) -> None:
    """Refuse a repository that can't be trusted to answer.

    `common_dir` is its git directory (the main one of a linked work tree), `object_dirs` are all directories
    that objects are read from. Raises Unsound, with the command that mends it.
    """
    _check_configuration(common_dir / "config")
    if _says_something(common_dir / "info" / "grafts"):
        raise Unsound(
            "grafts",
            "grafts put other parents in the place of a commit's own",
            f"rm {common_dir / 'info' / 'grafts'}",
        )
    if (common_dir / "shallow").exists():
        raise Unsound("shallow", "the repository is shallow: its history is cut off", "git fetch --unshallow")
    for objects in object_dirs:
        _check_objects(objects)
    _check_refs(common_dir)


def _check_configuration(path: Path) -> None:
    """The format of the repository, which git as well takes from this one file."""
    try:
        values = {entry.name.lower(): entry.value or "" for entry in pygit2.Config(str(path))}
    except (pygit2.GitError, ValueError, OSError) as error:
        raise Unsound("configuration", f"{path} can't be read: {error}", f"Mend {path}.") from None
    if values.get("extensions.objectformat", "sha1").lower() != "sha1":
        raise Unsound(
            "object-format",
            "the repository's object ids are not SHA-1, a ledger's are",
            "git init --object-format=sha1 a new one, or clone the ledger again",
        )
    if values.get("extensions.refstorage", "files").lower() != "files":
        raise Unsound("ref-storage", "the repository's refs are not files", "git refs migrate --ref-format=files")
    if "extensions.partialclone" in values or any(
        name.startswith("remote.") and name.endswith(_PROMISORS) for name in values
    ):
        raise _promisor()


def _check_objects(objects: Path) -> None:
    for name in ("alternates", "http-alternates"):
        if _says_something(objects / "info" / name):
            raise Unsound(
                "alternates",
                "objects are borrowed from another repository, which may lose or change them",
                f"git repack -a -d && rm {objects / 'info' / name}",
            )
    if next((objects / "pack").glob("*.promisor"), None) is not None:
        raise _promisor()


def _check_refs(common_dir: Path) -> None:
    if next(_files_below(common_dir / "refs" / "replace"), None) is not None or (
        b" refs/replace/" in _content(common_dir / "packed-refs")
    ):
        raise Unsound(
            "replace-refs",
            "replace refs put other objects in the place of those named",
            "git replace -d $(git replace -l)",
        )
    for path in _files_below(common_dir / "refs" / "heads"):
        if path.is_symlink() or _content(path).startswith(b"ref:"):
            ref = path.relative_to(common_dir).as_posix()
            raise Unsound("symbolic-branch", f"{ref} is a symbolic ref", _made_plain(common_dir, ref))


def _made_plain(common_dir: Path, ref: str) -> str:
    """The commands that take a symbolic branch away and, where it is a ledger's, set it to its newest tag."""
    past_guard, name = "git -c core.hooksPath=/dev/null", ref.removeprefix("refs/heads/")
    commands = [f"{past_guard} symbolic-ref --delete {shlex.quote(ref)}"]
    tags = f"refs/tags/{name}@"
    loose = any(path.relative_to(common_dir).as_posix().startswith(tags) for path in _files_below(common_dir / "refs"))
    if loose or f" {tags}".encode() in _content(common_dir / "packed-refs"):
        newest = f"$(git tag -l {shlex.quote(name + '@*')} --sort=-v:refname | head -n 1)"
        commands.append(f'{past_guard} update-ref {shlex.quote(ref)} "{newest}"')
    return "\n".join(commands)


def _files_below(directory: Path) -> Iterator[Path]:
    """Files and symbolic links; what vanishes meanwhile was never there."""
    for above, directories, files in os.walk(directory):
        for name in files:
            yield Path(above, name)
        for name in directories:
            if (link := Path(above, name)).is_symlink():
                yield link


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return b""


def _says_something(path: Path) -> bool:
    """Whether the file has a line that is neither empty nor a comment."""
    lines = _content(path).splitlines()
    return any(line.strip() and not line.startswith(b"#") for line in lines)


def _promisor() -> Unsound:
    return Unsound(
        "promisor", "the repository is a partial clone: objects are missing from it", "Clone it again without --filter."
    )
