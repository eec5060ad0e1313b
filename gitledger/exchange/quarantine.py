"""Where what came from elsewhere is looked at before it is ours: a repository that is thrown away (spec 12).

It borrows our objects, holds what was brought beside them, and goes whatever happens; what a run that was killed has
left there goes with the next.
"""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gitledger.errors import Refused, cannot_write
from gitledger.objects import soundness
from gitledger.objects.store import Store

_DIRECTORY: Final = "carrying"


@dataclass(frozen=True, slots=True)
class Brought:
    """What is in quarantine: `refs` as they were named there, by full name and object id, and nobody's word yet.

    `objects` reads what was brought, and what we have; `repository` holds what was brought.
    """

    refs: Mapping[str, str]
    objects: Store
    repository: Store


class Quarantine(Store):
    """A store of objects in quarantine. They are borrowed on purpose there; all else must be as anywhere."""

    def sound(self) -> None:
        soundness.check(self.common_dir, ())


class Beside(Quarantine):
    """Our repository, with its configuration, where what is `inside` a quarantine can be read besides its own objects.

    No ref is written by it, and what the git program writes of objects goes to the quarantine, `arriving`.
    """

    def __init__(self, own: Store, inside: Quarantine) -> None:
        self.arriving = inside.git_dir / "objects"
        super().__init__(own.git_dir, own.work_tree, writable=False, quarantine=self.arriving)

    def environment(self) -> dict[str, str]:
        own = str(self.common_dir / "objects")
        arriving = {"GIT_OBJECT_DIRECTORY": str(self.arriving), "GIT_ALTERNATE_OBJECT_DIRECTORIES": own}
        return super().environment() | arriving


@contextmanager
def opened(directory: Path, own: Store | None, name: str = _DIRECTORY) -> Iterator[Quarantine]:
    """A bare repository of its own, `name` below `directory`, which borrows the objects of `own`, until the block ends.

    Raises Refused (`being-carried`) where another run has it, Failed (`cannot-write`).
    """
    where = directory / name
    with _written(directory):
        directory.mkdir(parents=True, exist_ok=True)
        lock = (directory / f"{name}.lock").open("w")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused("being-carried", f"another run is at work in {where}", "wait until it is done") from None
        shutil.rmtree(where, ignore_errors=True)  # what a run that was killed has left
        try:
            with _written(directory):
                _make(where, own)
            yield Quarantine(where, None)
        finally:
            shutil.rmtree(where, ignore_errors=True)


def _make(where: Path, own: Store | None) -> None:
    for below in ("objects/info", "objects/pack", "refs"):
        (where / below).mkdir(parents=True)
    (where / "HEAD").write_text("ref: refs/heads/unborn\n")
    # What is thrown away need not come to the disk. Git in `Beside` has the configuration of ours, and syncs as there.
    (where / "config").write_text("[core]\n\trepositoryformatversion = 0\n\tbare = true\n\tfsync = none\n")
    if own is not None:
        (where / "objects/info/alternates").write_text(f"{own.common_dir / 'objects'}\n")


@contextmanager
def _written(directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise cannot_write(directory, directory, error) from None
