"""How a carrier's file is written and read: a Git bundle, in a quarantine (spec 12).

A bundle is a few lines (what it builds on, which refs it holds) and a pack. Whoever wrote it may be hostile, and the
stick may be broken: so the lines are read by a strict parser of our own, and the pack is indexed by git in strict mode
in a repository of its own, which borrows our objects and is thrown away. No ref of a bundle becomes one of ours by
reading it.
"""

from __future__ import annotations

import os
import re
import shlex
import stat
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, Final

from gitledger.errors import Failed, Malformed, Refused, Unsound, Usage, about
from gitledger.exchange import quarantine
from gitledger.exchange.quarantine import Beside, Brought
from gitledger.exchange.remotes import words
from gitledger.exchange.watched import MEMORY_BYTES, limited
from gitledger.objects.store import Store

BUNDLE_BYTES: Final = 1 << 30
"""How many bytes a bundle has at most."""

BUNDLE_REFS: Final = 10_000
"""How many refs, and how many commits that it builds on, a bundle names at most."""

BUNDLE_LINE: Final = 4096
"""How many bytes a line of its header has at most."""

BUNDLE_SECONDS: Final = 1800
"""How long git may unpack a bundle, in seconds: an object is a few bytes that say how to make it of another."""

_SIGNATURES: Final = {b"# v2 git bundle\n": 2, b"# v3 git bundle\n": 3}
_SHA1: Final = "@object-format=sha1"
_BUILDS_ON = re.compile(r"-([0-9a-f]{40})(?: (.*))?")
_HOLDS = re.compile(r"([0-9a-f]{40}) (HEAD|refs/(?:[^\x00-\x20\x7f~^:?*\[\\]|\\x[89a-f][0-9a-f])+)")
_NO_REF = re.compile(r"//|/\.|\.\.|@\{|\.lock(/|$)|[/.]$")
_AGAIN: Final = "have it carried again, on another stick if need be"


@dataclass(frozen=True, slots=True)
class Header:
    """What a bundle says of itself: the commits that it builds on, each with a comment, and the refs that it holds.

    Both are by object id and nobody's word yet. `pack` is where its pack begins, in bytes.
    """

    builds_on: Mapping[str, str]
    refs: Mapping[str, str]
    pack: int


@dataclass(frozen=True, slots=True)
class Carried(Brought):
    """A bundle in quarantine, and what it says of itself."""

    header: Header


def write(
    path: Path,
    refs: Mapping[str, str],
    *,
    notes: Mapping[str, bytes],
    without: Sequence[str],
    own: Store,
    directory: Path,
) -> Header:
    """Write a bundle that holds `refs` (full names and object ids), built on the commits `without`, to the file `path`.

    `notes` are texts that it holds besides, each as a blob under a ref, which `own` never gets.
    A ref that those commits hold already is left out, as they are what the other side has; the header that was written
    is returned. The file is on the disk, whole, when this returns. `directory` is where the quarantine stands. Raises
    Usage (`no-directory`), Refused (`file-taken`) where there is a file that is no bundle, Failed.
    """
    _must_be_free(path)
    draft = path.with_name(_draft_name(directory))
    with quarantine.opened(directory, own) as store:
        refs = {**refs, **{ref: store.write("blob", text) for ref, text in notes.items()}}
        store.update([(ref, oid, None) for ref, oid in refs.items()])
        asked = "".join(f"{line}\n" for line in (*refs, *(f"^{oid}" for oid in without))).encode()
        lock = draft.with_name(f"{draft.name}.lock")
        lock.unlink(missing_ok=True)  # of a run that was killed
        try:
            store.git("bundle", "create", "--quiet", "--version=2", str(draft.resolve()), "--stdin", input=asked)
            with draft.open("rb") as file:
                header = read_header(file)
                os.fsync(file.fileno())
                if os.fstat(file.fileno()).st_size > BUNDLE_BYTES:
                    raise _too_large()
            for ref in refs.keys() - header.refs.keys():  # git leaves them out without a word that could be relied on
                _must_be_held(store, ref, refs[ref], without)
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
            lock.unlink(missing_ok=True)
    at = os.open(path.resolve().parent, os.O_RDONLY)
    try:
        os.fsync(at)
    finally:
        os.close(at)
    return header


def _draft_name(directory: Path) -> str:
    """What a bundle is called until it is whole: as no file of anybody, and again so after a run that was killed."""
    return f".gitledger-{sha256(os.fsencode(directory.resolve())).hexdigest()[:32]}.new"


@contextmanager
def opened(path: Path) -> Iterator[tuple[BinaryIO, Header]]:
    """The file at `path`, and what its header says. Raises Usage (`no-file`), Refused or Malformed."""
    with about(str(path)):
        try:
            file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb")
        except OSError as error:
            raise Usage("no-file", f"it can't be read: {error.strerror}", f"ls -l {shlex.quote(str(path))}") from None
        with file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise Usage("no-file", "it is no file", "name the file that gitledger carry out wrote")
            if found.st_size > BUNDLE_BYTES:
                raise _too_large()
            yield file, read_header(file)


def read_header(file: BinaryIO) -> Header:
    """The header of the bundle `file`, read strictly.

    Raises Malformed (`not-a-bundle`, `bundle-header`), Refused (`bundle-line`, `bundle-refs`), Unsound (`promisor`,
    `object-format`) for what is cut off on purpose, or of another kind.
    """
    version = _SIGNATURES.get(file.readline(32))
    if version is None:
        raise Malformed(
            "not-a-bundle", "it is no Git bundle", "gitledger carry out FILE   makes one; so does git bundle"
        )
    builds_on: dict[str, str] = {}
    refs: dict[str, str] = {}
    while (line := _line(file)) != "":
        if version == 3 and line.startswith("@") and not builds_on and not refs:
            _must_be_known(line)
        elif (match := _BUILDS_ON.fullmatch(line)) and not refs:
            builds_on[match[1]] = match[2] or ""
        elif (match := _HOLDS.fullmatch(line)) and not _NO_REF.search(match[2]) and match[2] not in refs:
            refs[match[2]] = match[1]
        else:
            raise Malformed("bundle-header", f"its header has the line {line[:80]!r}", _AGAIN)
        if max(len(builds_on), len(refs)) > BUNDLE_REFS:
            raise Refused("bundle-refs", f"it names more than {BUNDLE_REFS:,} refs, and no more are read", _AGAIN)
    if not refs:
        raise Malformed("bundle-header", "it names no refs", _AGAIN)
    return Header(builds_on, refs, file.tell())


@contextmanager
def quarantined(path: Path, own: Store | None, directory: Path) -> Iterator[Carried]:
    """The bundle at `path`, its pack checked and indexed in a quarantine below `directory` that goes with the block.

    `own` is the repository whose objects it may build on, None for none. What a run that was killed has left there goes
    first. Raises as `opened` does, Unsound (`bundle-builds-on`, `missing-object`, `replace-refs`), Malformed
    (`bundle-damaged`), Refused (`being-carried`, `bundle-too-large`, `bundle-memory`, `bundle-time`).
    """
    with opened(path) as (file, header), quarantine.opened(directory, own) as inside:
        with about(str(path)):
            if any(ref.startswith("refs/replace/") for ref in header.refs):
                raise Unsound(
                    "replace-refs", "it holds replace refs, which stand other objects in for those named", _AGAIN
                )
            _must_build_on_ours(header, own)
            _index(file, header, inside)
            both = inside if own is None else Beside(own, inside)
            for ref, oid in header.refs.items():
                if not both.has(oid):
                    raise Unsound("missing-object", f"{ref} is {oid} there, which it does not hold", _AGAIN)
        yield Carried(header.refs, both, inside, header)


def _line(file: BinaryIO) -> str:
    raw = file.readline(BUNDLE_LINE + 1)
    if len(raw) > BUNDLE_LINE:
        raise Refused("bundle-line", f"its header has a line of more than {BUNDLE_LINE:,} bytes", _AGAIN)
    line = raw.decode(errors="backslashreplace")  # what is not in UTF-8 stays readable: no ref has a backslash
    if not line.endswith("\n"):
        raise Malformed("bundle-header", "it ends in the middle of its header", _AGAIN)
    return line[:-1]


def _must_be_known(capability: str) -> None:
    if capability.startswith("@filter="):
        raise Unsound("promisor", "it is made with a filter: objects are missing from it", "git bundle create, without")
    if capability != _SHA1:
        raise Unsound("object-format", f"it says {capability[:80]}, and a ledger's ids are SHA-1", _AGAIN)


def _must_build_on_ours(header: Header, own: Store | None) -> None:
    """Raise Unsound (`bundle-builds-on`) where it builds on a commit that is not here, named as its comment has it."""
    for oid, comment in header.builds_on.items():
        if own is None or not own.has(oid):
            named = re.match(r"([a-z0-9-]+@[0-9]+): ", comment)
            raise Unsound(
                "bundle-builds-on",
                f"it builds on {named[1] if named else f'the commit {oid}'}, which is not here",
                "take in what came before it first, or have more carried: gitledger carry out FILE --since SNAPSHOT",
            )


def _index(file: BinaryIO, header: Header, inside: Store) -> None:
    """Have git check and index the pack. It must end where the file ends, which git sees in a file as its input."""
    os.lseek(file.fileno(), header.pack, os.SEEK_SET)
    # Each thread has objects of its own in memory, and the memory of all is bounded.
    asked = ("index-pack", "--stdin", "--strict", "--fix-thin", "--threads=2", f"--max-input-size={BUNDLE_BYTES}")
    try:
        done = subprocess.run(
            limited("-c", "core.bigFileThreshold=16m", *asked),
            cwd=inside.git_dir,
            env=inside.environment(),
            stdin=file,
            capture_output=True,
            check=False,
            timeout=BUNDLE_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise Refused("bundle-time", f"it takes more than {BUNDLE_SECONDS:,} seconds to unpack", _AGAIN) from None
    if done.returncode == 0:
        return
    told = [line.removeprefix("fatal: ").removeprefix("error: ") for line in words(done.stderr)]
    said = "; ".join(told[-2:])[:400] or "git says nothing"
    if "exceeds maximum allowed size" in said:
        raise _too_large()
    if "Out of memory" in said:
        raise Refused("bundle-memory", f"an object in it takes more than {MEMORY_BYTES >> 30} GiB to unpack", _AGAIN)
    if "No space left" in said or "unable to write" in said or "unable to create" in said:
        raise Failed("no-room", f"its pack can't be unpacked here: {said}", "make room, then again")
    raise Malformed("bundle-damaged", f"its pack is not what it should be: {said}", _AGAIN)


def _must_be_free(path: Path) -> None:
    """A stick is written again and again; what is no bundle stays."""
    if not path.parent.is_dir():
        raise Usage("no-directory", f"{path.parent} is not a directory", f"mkdir -p {shlex.quote(str(path.parent))}")
    if not path.exists() and not path.is_symlink():
        return
    try:
        with opened(path):
            return
    except (Malformed, Usage):
        raise Refused("file-taken", f"{path} is there already, and is no bundle", "name another file") from None
    except (Refused, Unsound):
        return


def _must_be_held(store: Store, ref: str, oid: str, without: Sequence[str]) -> None:
    """Raise Failed unless the other side has `oid` below the commits `without`."""
    commit = f"{oid}^{{commit}}"
    if any(not store.git("merge-base", "--is-ancestor", commit, one, check=False).returncode for one in without):
        return
    raise Failed("bundle-incomplete", f"git left {ref} out of the bundle", "gitledger carry out FILE, once more")


def _too_large() -> Refused:
    return Refused(
        "bundle-too-large",
        f"it is larger than a bundle may be, {BUNDLE_BYTES >> 30} GiB",
        "have less carried at a time: gitledger carry out FILE --since SNAPSHOT",
    )
