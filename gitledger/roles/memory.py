"""Which rotations an authority endorsed on this machine (spec 8): two on one snapshot can split the ledger's readers.

Kept per ledger, not per clone, beside the witness's journal, in `$XDG_STATE_HOME/gitledger/<ledger id in hex>/`:

    endorsed.json      the rotations that were endorsed here: H, snapshot, new witness, by whom and when

A rotation is written there, synced to disk, before its signature is made, so that no crash and no other clone forgets
it. A second one on the same snapshot, to another witness key, is refused unless the first is named.
"""

from __future__ import annotations

import fcntl
import re
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from gitledger.documents.names import LONGEST_SECONDS, check_digest, check_key_id
from gitledger.documents.rotation import Rotation
from gitledger.errors import Failed, LedgerError, Refused, Usage
from gitledger.roles.journal import Journal
from gitledger.roles.notes import write_durably

_BESIDES: Final = re.compile(r"[0-9a-f]{8,64}")
_SHORT: Final = 12


class Remembered(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rotation that the authority `by` endorsed at `seconds` since 1970 (None: not here, and not known when).

    `rotation` is H in hex, `snapshot` and `snapshot_hash` what it follows on, `domain` and `key_id` the new witness.
    """

    rotation: str
    snapshot: str
    snapshot_hash: str
    domain: str
    key_id: str
    by: str
    seconds: Annotated[int, Meta(ge=0, le=LONGEST_SECONDS)] | None

    def __post_init__(self) -> None:
        check_digest(f"sha256:{self.rotation}")
        check_digest(self.snapshot_hash)
        check_key_id(self.key_id)

    @classmethod
    def of(cls, rotation: Rotation, by: str, seconds: int | None) -> Remembered:
        """What is remembered of `rotation`, endorsed by the domain `by`."""
        previous, new = rotation.previous_snapshot, rotation.rotation.new_witness
        return cls(
            rotation=rotation.digest.hex(),
            snapshot=previous.snapshot_id,
            snapshot_hash=previous.snapshot_hash,
            domain=new.domain_id,
            key_id=new.pubkey_id,
            by=by,
            seconds=seconds,
        )


@dataclass(frozen=True, slots=True)
class Memory:
    """What was endorsed for one ledger on this machine, in `directory`."""

    directory: Path

    @classmethod
    def of(cls, anchor: str) -> Memory:
        """The memory for the ledger whose id is `anchor`."""
        return cls(Journal.of(anchor).directory)

    def must_agree(self, new: Remembered, besides: Sequence[str] = (), seen: Sequence[Remembered] = ()) -> None:
        """Raise Refused (`endorsed-another`) where the same authority endorsed another rotation on the same snapshot.

        `besides` names those that it means to endorse `new` besides, by H or a beginning of at least 8 hex digits, else
        Usage (`besides`) is raised. `seen` were endorsed elsewhere, as the host says. Raises Failed if damaged.
        """
        for named in besides:
            if not _BESIDES.fullmatch(named):
                raise Usage(
                    "besides",
                    f"--besides {shlex.quote(named)} is not the beginning of an H",
                    "write 8 to 64 lower-case hex digits of it, as gitledger rotations shows them",
                )
        known = {(one.rotation, one.by): one for one in (*seen, *self.read())}
        earlier = [one for one in known.values() if _contradicts(one, new)]
        if any(not one.rotation.startswith(tuple(besides)) for one in earlier):
            raise _endorsed_another(new, earlier)

    def keep(self, new: Remembered, besides: Sequence[str] = (), seen: Sequence[Remembered] = ()) -> None:
        """Remember `new`, on the disk when this returns; nothing where it raises what `must_agree` raises."""
        with self._locked():
            self.must_agree(new, besides, seen)
            known = self.read()
            if not any((one.rotation, one.by) == (new.rotation, new.by) for one in known):
                write_durably(self._file, msgspec.json.encode((*known, new)).decode() + "\n")

    @property
    def _file(self) -> Path:
        return self.directory / "endorsed.json"

    def read(self) -> tuple[Remembered, ...]:
        """What is remembered. Raises Failed (`memory-damaged`)."""
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=tuple[Remembered, ...])
        except FileNotFoundError:
            if not self._file.is_symlink():
                return ()
            raise self._damaged() from None
        except (msgspec.MsgspecError, LedgerError, ValueError):
            raise self._damaged() from None

    def _damaged(self) -> Failed:
        return Failed(
            "memory-damaged",
            f"{self._file} can't be read, so nobody knows which rotations were endorsed on this machine",
            "restore it from a backup; if it is lost, look at gitledger rotations, and move it away",
        )

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the memory alone; whoever comes second waits, for no longer than a file takes to be written."""
        self.directory.mkdir(parents=True, exist_ok=True)
        with (self.directory / "endorsed.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _contradicts(one: Remembered, new: Remembered) -> bool:
    """Whether both are by one authority, on one snapshot, and to different keys."""
    return (one.by, one.snapshot_hash) == (new.by, new.snapshot_hash) and one.key_id != new.key_id


def _endorsed_another(new: Remembered, earlier: Sequence[Remembered]) -> Refused:
    said = "; ".join(f"to {one.domain} {_when(one.seconds)}, H {one.rotation}" for one in earlier)
    named = " ".join(f"--besides {one.rotation[:_SHORT]}" for one in earlier)
    return Refused(
        "endorsed-another",
        f"{new.by} endorsed another rotation on {new.snapshot} already: {said}; to endorse both can split the ledger's "
        "readers, and the two signatures prove who did it",
        f"only if you mean to, the same command again with: {named}",
    )


def _when(seconds: int | None) -> str:
    """A time for a sentence, in UTC."""
    if seconds is None:
        return "from another machine"
    return datetime.fromtimestamp(seconds, UTC).strftime("on %Y-%m-%d at %H:%M UTC")
