"""A repository that holds a ledger, and what it remembers of trust (spec 10, Consumer; spec 11).

A *host* is the bare repository that people push to: its branch is what its hooks let through. A *clone* is a
consumer's repository: it keeps the anchor it was given and the snapshot that it verified in files of its own git
directory, and its branch and tags follow that. Whatever was interrupted between the two, `settle` finishes.
"""

from __future__ import annotations

import fcntl
import json
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, Literal

import msgspec

from gitledger.documents.names import SnapshotName
from gitledger.errors import Failed, LedgerError, Refused, Usage
from gitledger.objects.codec import Commit, digest
from gitledger.objects.store import ABSENT, Store
from gitledger.roles.notes import must_read, write_durably
from gitledger.rules.advance import pinned
from gitledger.rules.line import Row
from gitledger.rules.state import Snapshot

INCOMING = "refs/gitledger/incoming/"
CARRIED = f"{INCOMING}carried/"
"""Where a clone keeps what was carried in, and what was signed here while the host could not be reached (spec 12)."""

ROTATIONS = "refs/rotations/"
QUEUES = ("refs/proposals/", "refs/endorsements/", "refs/releases/", "refs/refusals/", ROTATIONS)

_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")

AHEAD_SECONDS: Final = 86_400
"""How far ahead of a clock a snapshot may be dated before the host refuses it and a consumer waits (spec 8, 10)."""

Progress = Callable[[int, int], None]
"""Called with how many are done, and of how many."""

Role = Literal["host", "clone"]
Looked = Literal["newest", "missing", "all"]


class Said(msgspec.Struct, frozen=True):
    """What a place noted of itself when it was established."""

    role: Role
    anchor: str
    name: str


class Verified(msgspec.Struct, frozen=True):
    """What a clone noted of its newest verified snapshot."""

    oid: str
    hash: str


class _Ids:
    """Object ids by number, 20 bytes each; empty where there is none."""

    def __init__(self, count: int) -> None:
        self._ids = bytearray(20 * count)

    def __getitem__(self, number: int) -> str:
        found = self._ids[20 * number : 20 * (number + 1)]
        return found.hex() if any(found) else ""

    def __setitem__(self, number: int, oid: str) -> None:
        self._ids[20 * number : 20 * (number + 1)] = bytes.fromhex(oid)


@dataclass(frozen=True)
class Place:
    """A host or a clone. `anchor` is the ledger id, `name` the ledger's name, `store` its objects and refs."""

    store: Store
    role: Role
    anchor: str
    name: str

    @classmethod
    def open(cls, path: Path) -> Place:
        """The ledger in the repository at `path` or above it. Raises Usage (`not-a-ledger`), Unsound."""
        return cls.of(Store.open(path))

    @classmethod
    def of(cls, store: Store) -> Place:
        """The ledger in the repository of `store`.

        Raises Usage (`not-a-ledger`), Failed (`ledger-file-unreadable`, `unreadable`).
        """
        path = store.git_dir / "gitledger" / "ledger.json"
        mend = "gitledger clone URL DIR --anchor sha256:…   (URL is what git remote get-url origin says)"
        if store.bare:
            where = shlex.quote(str(store.git_dir))
            mend = f"gitledger hooks install {where}   (and compare the ledger id that it prints)"
        said = must_read(path, Said, Failed("ledger-file-unreadable", f"{path} is damaged", mend))
        if said is None:
            raise Usage(
                "not-a-ledger",
                f"{store.git_dir} holds no ledger",
                "gitledger clone URL DIR --anchor sha256:…   or   gitledger init DIR …",
            )
        return cls(store, said.role, said.anchor, said.name)

    def through(self, store: Store) -> Place:
        """This place as it is seen through `store`; what is verified is read anew."""
        return Place(store, self.role, self.anchor, self.name)

    def establish(self) -> None:
        """Write down what this place is. Everything else of it must be there before."""
        said = {"anchor": self.anchor, "name": self.name, "role": self.role}
        write_durably(self.directory / "ledger.json", json.dumps(said, sort_keys=True) + "\n")

    @property
    def directory(self) -> Path:
        """Where the ledger's own files stand in the git directory."""
        return self.store.git_dir / "gitledger"

    @property
    def branch(self) -> str:
        """The branch that holds the snapshots, as a full ref name."""
        return f"refs/heads/{self.name}"

    def tag(self, number: int) -> str:
        """The tag of a snapshot, as a full ref name."""
        return f"refs/tags/{self.name}@{number}"

    @cached_property
    def verified(self) -> Snapshot:
        """The newest snapshot that is verified here.

        Raises Failed where this place has none (`no-branch`, `nothing-verified`), or this user can't read which it is
        (`unreadable`).
        """
        if self.role == "host":
            oid = self.store.resolve(self.branch)
            if oid is None:
                where = shlex.quote(str(self.store.git_dir))
                mend = f"gitledger hooks install {where}   (restores the host from its newest tag)"
                raise Failed("no-branch", f"{self.branch} is missing", mend)
            return pinned(self.store, oid, digest(self.store.read(oid, "commit")))
        path = self.directory / "verified.json"
        lost = Failed("nothing-verified", f"{path} is missing or damaged", "gitledger verify --from-genesis")
        said = must_read(path, Verified, lost)
        if said is None:
            raise lost
        return pinned(self.store, said.oid, said.hash)

    def row(self, named: str | int) -> Row:
        """The row of the verified snapshot that `named` means: `common@42`, `42` or the number.

        Raises Malformed (`snapshot-name`), Refused (`no-such-snapshot`) where the verified line does not have it.
        """
        text = str(named)
        ledger, number = SnapshotName.parse(text if "@" in text else f"{self.name}@{text}")
        newest = self.verified
        if ledger != self.name:
            raise Refused("no-such-snapshot", f"this ledger is {self.name}, not {ledger}", "gitledger log")
        if number > newest.number:
            raise Refused(
                "no-such-snapshot",
                f"{self.name}@{number} is not verified here; the newest is {newest.name}",
                "gitledger fetch",
            )
        return newest.state.line.row(self.store, number)

    def advanced(self, snapshot: Snapshot, *, leaving: str = "") -> Place:
        """This place once `snapshot`, which `advance` reached, is remembered and the refs moved.

        What another command has verified meanwhile stands: where it is on another line than `snapshot`, this raises
        Failed (`moved-meanwhile`), and where it is further up the same one, nothing moves. `leaving` is the commit
        that may be left for another line, on purpose.
        """
        said = {"hash": snapshot.hash, "number": snapshot.number, "oid": snapshot.oid}
        with self._locked():
            place = self.through(self.store)
            if not place._is_ahead(snapshot, leaving):
                write_durably(self.directory / "verified.json", json.dumps(said, sort_keys=True) + "\n")
                place = self.through(self.store)
            place.settle()
        return place

    def _is_ahead(self, snapshot: Snapshot, leaving: str) -> bool:
        """Whether what is verified here now is above `snapshot` on its line. Raises Failed (`moved-meanwhile`)."""
        try:
            stands = self.verified
        except Failed as error:
            if error.rule == "unreadable":
                raise
            return False  # nothing is remembered yet, or it is damaged and is being mended
        if stands.oid == leaving or snapshot.state.line.snapshot(self.store, stands.oid) is not None:
            return False
        if stands.state.line.snapshot(self.store, snapshot.oid) is not None:
            return True
        raise Failed(
            "moved-meanwhile",
            f"another command has verified {stands.name}, {stands.oid}, meanwhile, and {snapshot.name} is not on its "
            "line",
            "gitledger status, then again",
        )

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold what is remembered here alone; whoever comes second waits."""
        self.directory.mkdir(exist_ok=True)
        with (self.directory / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def settle(self, tags: Looked = "newest") -> None:
        """Make branch and tags follow the verified snapshot, in one transaction; finishes what was interrupted.

        `tags` says how far that goes: down from the `newest` to one that is right, which is all that an interruption
        leaves; all that are `missing`; or `all`, those that name another commit than the line does as well.
        """
        snapshot = self.verified
        head = self.store.resolve(self.branch)
        if tags == "newest" and head == self.store.resolve(self.tag(snapshot.number)) == snapshot.oid:
            return
        present, above = self.tagged(snapshot.number)
        missing: list[tuple[str, str | None, str | None]] = []
        for number in range(snapshot.number, -1, -1):
            row = snapshot.state.line.row(self.store, number)
            found = present[number]
            if found == row.snapshot and tags == "newest":
                break
            if not found or (found != row.snapshot and tags != "missing"):
                new = not found and self.role == "host"  # there, who comes second tries again
                missing.append((self.tag(number), row.snapshot, ABSENT if new else None))
        missing.reverse()  # oldest first: whatever a crash leaves undone is above what is done
        missing += [(ref, None, oid) for ref, oid in above.items()]
        if head != snapshot.oid:
            missing.append((self.branch, snapshot.oid, None))
        if missing:
            self.store.update(missing)

    def tagged(self, newest: int) -> tuple[_Ids, dict[str, str]]:
        """What the tags of snapshots up to `newest` name, by number; and the tags of later ones.

        Only a clone that adopted a shorter side has such.
        """
        present, above = _Ids(newest + 1), {}
        for ref, oid in self.store.each_ref("refs/tags/"):
            named = ref.removeprefix(f"refs/tags/{self.name}@")
            number = int(named) if _NUMBER.fullmatch(named) else -1
            if 0 <= number <= newest:
                present[number] = oid
            elif number > newest and self.role == "clone":
                above[ref] = oid
        return present, above

    def remote(self, name: str) -> str:
        """Where a push from here goes: a clone's remote, or the host itself, whose hooks decide there, too."""
        return name if self.role == "clone" else str(self.store.git_dir)

    def pushed(self, refs: Mapping[str, str], remote: str = "origin") -> None:
        """Note in a clone what the host has taken of its queue, as git notes where a remote's branch stands."""
        if self.role == "clone":
            kept = f"{INCOMING}{remote}/"
            self.store.update([(kept + ref.removeprefix("refs/"), oid, None) for ref, oid in refs.items()])

    def keep(self, refs: Mapping[str, str]) -> None:
        """Keep in a clone what is to be carried to the host, under the names that it has there."""
        self.store.update([(CARRIED + ref.removeprefix("refs/"), oid, None) for ref, oid in refs.items()])

    def drop(self, refs: Mapping[str, str]) -> None:
        """Keep `refs` no more, which name these objects. Raises Failed where one of them has another by now."""
        self.store.update([(CARRIED + ref.removeprefix("refs/"), None, oid) for ref, oid in refs.items()])

    def queue_refs(self, remote: str = "origin", queues: tuple[str, ...] = QUEUES) -> Mapping[str, str]:
        """What waits in `queues`, as the host names it: proposals, releases, endorsements, refusals, rotations.

        Its own; in a clone what came from `remote`, and what was carried in or kept here.
        """
        if self.role == "host":
            return self.store.refs(*queues)
        return self.merged(self._queue_below(CARRIED, queues), self.on_host(remote, queues))

    def rotation_refs(self, remote: str = "origin") -> Mapping[str, str]:
        """Those of `queue_refs` that are of rotations."""
        return self.queue_refs(remote, (ROTATIONS,))

    def on_host(self, remote: str, queues: tuple[str, ...] = QUEUES) -> dict[str, str]:
        """What waited at `remote` when it was last fetched from or pushed to, as it names it."""
        return self._queue_below(f"{INCOMING}{remote}/", queues)

    def carried(self) -> Mapping[str, str]:
        """What waits in a clone because it was carried in or kept here, as the host names it."""
        return self._queue_below(CARRIED)

    def merged(self, refs: Mapping[str, str], others: Mapping[str, str]) -> dict[str, str]:
        """Both; of a ref that both have, the proposal that was committed last, and else what the `others` have.

        It is how a host lets proposals be replaced (spec 4). Of two endorsements of one thing by one domain, or two
        releases by one key, either will do.
        """
        found = {**refs, **others}
        for ref in refs.keys() & others.keys():
            if ref.startswith("refs/proposals/") and self._committed(refs[ref]) > self._committed(others[ref]):
                found[ref] = refs[ref]
        return found

    def _committed(self, oid: str) -> int:
        """When a proposal was committed, in seconds; what is none is older than any that is."""
        try:
            return Commit.parse(self.store.read(oid, "commit")).committer.seconds
        except LedgerError:
            return -1

    def has_accepted(self, oid: str) -> bool:
        """Whether a snapshot has accepted the proposal `oid`, as far as that can be read here."""
        try:
            return self.verified.state.line.acceptance(self.store, oid) is not None
        except LedgerError:
            return False

    def _queue_below(self, prefix: str, queues: tuple[str, ...] = QUEUES) -> dict[str, str]:
        below = self.store.refs(*(prefix + queue.removeprefix("refs/") for queue in queues))
        return {"refs/" + ref.removeprefix(prefix): oid for ref, oid in below.items()}


def silent(done: int, of: int) -> None:
    """The progress of whoever shows none."""
