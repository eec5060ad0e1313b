"""What is remembered beside the refs: small JSON files, each written whole, and read in one of two ways (spec 10, 11).

`must_read` is for what decides something: where that is damaged, somebody has to know. A `Note` can be found out or
drawn up again, so that a damaged one is as none; `DERIVED` are all of them in the directory `gitledger` but for those
of mirrors (`mirrors.py`) and of nodes (`granting.py`), and the doctor names those that are damaged.
"""

from __future__ import annotations

import os
import shlex
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Generic, TypeVar

import msgspec

from gitledger.documents.names import LONGEST_SECONDS
from gitledger.errors import Failed, LedgerError, cannot_write

T = TypeVar("T")

Seconds = Annotated[int, msgspec.Meta(ge=0, le=LONGEST_SECONDS)]
"""A time that has a date: in seconds since 1970."""


@dataclass(frozen=True, slots=True)
class Note(Generic[T]):
    """The note in the file `name` of the directory `gitledger`, and the form that its JSON has."""

    name: str
    form: type[T]

    def read(self, directory: Path) -> T | None:
        """What it says; None where there is none, or it can't be read."""
        return read_note(directory / self.name, self.form)

    def write(self, directory: Path, said: T) -> None:
        """Replace it. Raises Failed (`cannot-write`)."""
        write_durably(directory / self.name, msgspec.json.encode(said).decode() + "\n")


class Carriers(msgspec.Struct, frozen=True):
    """What this place is called in bundles (empty: nothing yet), and the newest of `others`, by what they are called.

    Of each it is the number and the hash of the newest snapshot that it told that it has.
    """

    id: Annotated[str, msgspec.Meta(pattern="^([0-9a-f]{16})?$")]
    others: dict[str, tuple[Annotated[int, msgspec.Meta(ge=0)], str]]


ROTATIONS: Final = Note("rotations.json", dict[str, int])
"""When complete rotations were first seen, in seconds, by H."""

FETCHED: Final = Note("fetched.json", dict[str, Seconds])
"""When each remote was last fetched from."""

CARRIERS: Final = Note("carried.json", Carriers)

COLLECTED: Final = Note("collected.json", dict[str, tuple[str, str]])
"""What became of each object id, and the hash of the snapshot on which it was judged (empty: for good)."""

COLLECTED_FROM: Final = Note("collected-from.json", dict[str, str])
"""Where what waits was collected, by its ref: the remote, and the ref there."""

REFUSED: Final = Note("refused.json", dict[str, tuple[str, str]])
"""Which object that is kept for a ref the host refused, and the rule by which."""

DERIVED: Final = (ROTATIONS, FETCHED, CARRIERS, COLLECTED, COLLECTED_FROM, REFUSED)


def read_note(path: Path, form: type[T]) -> T | None:
    """What the note at `path` says, which has that `form`; None where there is none, or it can't be read."""
    try:
        return must_read(path, form, Failed("note-damaged", f"{path} is damaged"))
    except Failed:
        return None


def must_read(path: Path, form: type[T], damaged: LedgerError) -> T | None:
    """What the file at `path` says, which has that `form`; None where there is none.

    Raises `damaged` where it is not of that form, Failed (`unreadable`) where this user can't read it.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=form)
    except FileNotFoundError:
        return None
    except OSError as error:
        mend = f"ls -ld {shlex.quote(str(path))}   (whoever runs gitledger here must be able to read it)"
        raise Failed("unreadable", f"{path} can't be read: {error.strerror}", mend) from None
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise damaged from None


def write_durably(path: Path, text: str, *, mode: int = 0o666) -> None:
    """Replace the file at `path` by `text` so that after a crash it holds the old text or the new, whole.

    `mode` is as for open(2): what the umask takes away is taken away. Raises Failed (`cannot-write`).
    """
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        sync_directory(path.parent)
    except OSError as error:
        with suppress(OSError):
            draft.unlink()
        raise cannot_write(path, path.parent, error) from error


def sync_directory(path: Path) -> None:
    """Bring the names in the directory at `path` to disk."""
    directory = os.open(path, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
