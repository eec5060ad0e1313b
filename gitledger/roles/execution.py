"""The executor: runs a command on what snapshots hold, twice (spec 14, Execution receipt).

An input `common@42:PATH` stands at `common@42/PATH` of the working directory, and `common@42`, the whole snapshot, at
`common@42/`; outputs stand beside them. Every file has mode 644 or 755 and the time of SOURCE_DATE_EPOCH, which is the
committer time of the newest input snapshot.

The command runs twice, in two fresh directories (`sandbox.py`), and both must make the same files: names, bytes and the
bit that makes them executable. Only then is there something to certify. A replay is one more run, elsewhere or later,
held against the receipt.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from gitledger.documents.names import SnapshotName, shown
from gitledger.documents.policy import Limits
from gitledger.documents.statement import External, stands_among
from gitledger.errors import Failed, LedgerError, Malformed, Refused, Usage, about
from gitledger.objects.codec import Commit, digest
from gitledger.objects.entries import EXECUTABLE
from gitledger.objects.paths import check_path, check_together
from gitledger.objects.store import Store
from gitledger.objects.trees import File, Tree
from gitledger.roles import sandbox
from gitledger.roles.place import Place, Progress, silent
from gitledger.roles.sandbox import Sandbox
from gitledger.signing import dsse

_NAMED_SO: Final = 100
"""About how many bytes of a receipt a file takes beside its name."""

_LISTED: Final = 20
_CHUNK: Final = 1 << 20


class Output(NamedTuple):
    """A file that came out: its digest (`sha256:…`), how many bytes it has, and whether it is executable."""

    digest: str
    size: int
    executable: bool


@dataclass(frozen=True)
class Bound:
    """What is to be run, each input found in a verified snapshot.

    `epoch` is in seconds; `resolved` has the digests of snapshots and files as a receipt names them; `files` what is
    checked out, by path in the working directory.
    """

    external: External
    epoch: int
    resolved: Mapping[str, str]
    files: Mapping[str, tuple[Store, File]]


@dataclass(frozen=True)
class Ran:
    """What came of it: `outputs` by path in the directory `work`."""

    bound: Bound
    sandbox: Sandbox
    outputs: Mapping[str, Output]
    work: Path


def bind(places: Iterable[Place], command: Sequence[str], inputs: Sequence[str], outputs: Sequence[str]) -> Bound:
    """Find each input in the ledgers at `places`, and check where outputs will stand.

    Raises Usage (`ledger-twice`), Refused (`no-such-ledger`, `no-such-snapshot`, `no-such-file`, `output-among-inputs`,
    `receipt-size`), Malformed.
    """
    ledgers = _by_name(places)
    resolved: dict[str, str] = {}
    files: dict[str, tuple[Store, File]] = {}
    epoch, used = 0, {}
    for given in inputs:
        named, colon, path = given.partition(":")
        with about(f"the input {given}"):
            name = SnapshotName.parse(named)
            place = used[name.ledger] = _ledger(ledgers, name)
            content = place.store.read(place.row(named).snapshot, "commit")
            commit = Commit.parse(content)
            epoch = max(epoch, commit.committer.seconds)
            resolved[named] = digest(content)
            found = _found(place, commit, path, whole=not colon)
        for at, file in found.items():
            files[f"{named}/{at}"] = place.store, file
            if colon:
                resolved[f"{named}:{at}"] = digest(file.content(place.store))
    _must_be_short(resolved)
    for output in outputs:
        _must_stand_beside(output, inputs)
    external = External(
        command=tuple(command),
        ledgers={name: place.anchor for name, place in used.items()},
        inputs=tuple(inputs),
        outputs=tuple(outputs),
    )
    return Bound(external, epoch, resolved, files)


def _by_name(places: Iterable[Place]) -> dict[str, Place]:
    found: dict[str, Place] = {}
    for place in places:
        if found.setdefault(place.name, place).anchor != place.anchor:
            raise Usage(
                "ledger-twice",
                f"two of the ledgers are called {place.name}, and an input is of one",
                "name one of them",
            )
    return found


def _ledger(ledgers: Mapping[str, Place], name: SnapshotName) -> Place:
    try:
        return ledgers[name.ledger]
    except KeyError:
        raise Refused(
            "no-such-ledger", f"no ledger {name.ledger} is at hand", "--ledger DIR   (a clone or a host of it)"
        ) from None


def _found(place: Place, commit: Commit, path: str, *, whole: bool) -> dict[str, File]:
    """The files at `path` of the snapshot or below it."""
    if not whole:
        check_path(path)
    found = dict(Tree.load(place.store, commit.tree).files(path))
    if not found:
        raise Refused(
            "no-such-file",
            "the snapshot has no such file or directory",
            f"git -C {place.store.work_tree or place.store.git_dir} ls-tree -r --name-only {commit.tree}",
        )
    return found


def _must_be_short(names: Iterable[str]) -> None:
    """A receipt names them all, and has at most 1 MiB in base64."""
    if sum(len(name.encode()) + _NAMED_SO for name in names) > dsse.LARGEST * 3 // 4:
        raise Refused(
            "receipt-size",
            "there are more files than a receipt, of at most 1 MiB, can name",
            "name a whole snapshot as input, common@N without a path, and have the command pack what it makes (tar)",
        )


def _must_stand_beside(output: str, inputs: Iterable[str]) -> None:
    with about(f"the output {shown(output)}"):
        check_path(output)
        if stands_among(output, inputs):
            raise Refused(
                "output-among-inputs",
                "there the inputs stand",
                "have it written beside them: --output out, for example",
            )


# What comes of it


@contextmanager
def run(bound: Bound, box: Sandbox, limits: Limits | None = None, progress: Progress = silent) -> Iterator[Ran]:
    """Run it twice; what came out stands in the first run's directory until the block ends.

    `limits` are those of the ledger that the outputs are for. Raises Failed (`command-failed` and its like), Refused
    (`output-missing`, `output-kind`, `outputs-differ`, `outputs-too-large`), and what `check_path` raises for a name
    that no ledger may hold.
    """
    with sandbox.room() as first, sandbox.room() as second:
        progress(0, 2)
        made = _once(bound, box, first, limits)
        progress(1, 2)
        again = _once(bound, box, second, limits)
        progress(2, 2)
        if made != again:
            rooms = first / "work", second / "work"
            raise Refused(
                "outputs-differ",
                "two runs made different outputs, so there is nothing to certify\n"
                + told([_difference(path, made.get(path), again.get(path), rooms) for path in sorted(made | again)]),
                "take out of the command what differs: the time (SOURCE_DATE_EPOCH is set), process ids, chance, the\n"
                "order of directories, the path of the working directory",
            )
        yield Ran(bound, box, made, first / "work")


@contextmanager
def run_once(bound: Bound, box: Sandbox) -> Iterator[Ran]:
    """As `run`, for a replay: what it is held against is the receipt, and the command is not the caller's to mend."""
    with sandbox.room() as only:
        try:
            made = _once(bound, box, only)
        except LedgerError as error:
            if error.rule != "no-room":
                error.mend = _REPLAY
            raise
        yield Ran(bound, box, made, only / "work")


def _once(bound: Bound, box: Sandbox, room: Path, limits: Limits | None = None) -> dict[str, Output]:
    work = room / "work"
    try:
        _check_out(bound, work)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise sandbox.no_room(room) from None
        raise
    box.run(bound.external.command, room, bound.epoch)
    paths = sorted({path for output in bound.external.outputs for path in _below(work, output)})
    with about("the outputs"):
        check_together(paths)
    _must_be_short((*bound.resolved, *paths))
    if limits is not None:
        _must_fit(limits, [(work / path).lstat().st_size for path in paths])
    return {path: _read(work, path) for path in paths}


def _must_fit(limits: Limits, sizes: Sequence[int]) -> None:
    if sum(sizes) > limits.proposal_bytes or len(sizes) >= limits.proposal_paths:
        raise Refused(
            "outputs-too-large",
            f"{len(sizes):,} outputs of {sum(sizes):,} bytes are more than one proposal may bring beside the receipt: "
            f"{limits.proposal_paths:,} paths of {limits.proposal_bytes:,} bytes together",
            "--into DIR instead of --to   (the receipt is proposed, the outputs are kept elsewhere)",
        )


def _check_out(bound: Bound, work: Path) -> None:
    """The inputs, with modes and times that depend on nothing here."""
    for path, (store, file) in bound.files.items():
        target = work / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.content(store))
        target.chmod(0o755 if file.mode == EXECUTABLE else 0o644)
    for above, _, names in os.walk(work, topdown=False):
        Path(above).chmod(0o755)
        for each in (*(Path(above) / name for name in names), Path(above)):
            os.utime(each, (bound.epoch, bound.epoch))


def _below(work: Path, output: str) -> Iterator[str]:
    """The path of each file at `output` or below it; no link is followed. Raises Refused, Malformed."""
    for at in range(1, output.count("/") + 1):
        above = "/".join(output.split("/")[:at])
        if not stat.S_ISDIR(_look(work, above, output).st_mode):
            raise _no_output(above, "is no directory")
    stack, empty = [output], True
    while stack:
        path = stack.pop()
        _must_be_a_path(path)
        mode = _look(work, path, output).st_mode
        if stat.S_ISDIR(mode):
            stack += [f"{path}/{name}" for name in _names(work, path)]
        elif not stat.S_ISREG(mode):
            raise _no_output(path, "is a symbolic link" if stat.S_ISLNK(mode) else "is no regular file")
        elif mode & 0o7000:
            raise _no_output(path, "has a bit beside those that let it be read, written and run (setuid)")
        else:
            empty = False
            yield path
    if empty:
        raise Refused("output-missing", f"the directory {output} has no file in it", _NAME_WHAT)


def _must_be_a_path(path: str) -> None:
    """Check the name of what the command made. Raises as `check_path`."""
    try:
        path.encode()
    except UnicodeEncodeError:  # bytes that are none, in the way in which Python keeps them
        raise Malformed("name-utf8", f"the name {os.fsencode(path)[:60]!a} is not UTF-8", _OTHER_NAME) from None
    try:
        check_path(path)
    except LedgerError as error:
        error.mend = _OTHER_NAME
        raise


def _look(work: Path, path: str, output: str) -> os.stat_result:
    try:
        return (work / path).lstat()
    except FileNotFoundError:
        raise Refused("output-missing", f"the command made no {output}", _NAME_WHAT) from None
    except OSError as error:
        raise _no_output(path, f"can't be read: {error.strerror}") from None


def _names(work: Path, path: str) -> list[str]:
    try:
        return [each.name for each in (work / path).iterdir()]
    except OSError as error:
        raise _no_output(path, f"can't be read: {error.strerror}") from None


def _read(work: Path, path: str) -> Output:
    try:
        with open(work / path, "rb", opener=_unfollowed) as file:
            said = os.fstat(file.fileno())
            hashed = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _no_output(path, f"can't be read: {error.strerror}") from None
    return Output(f"sha256:{hashed}", said.st_size, bool(said.st_mode & 0o100))


def _unfollowed(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def _no_output(path: str, why: str) -> Refused:
    return Refused(
        "output-kind", f"the output {shown(path)} {why}", "have the command make files that can be read, alone"
    )


_OTHER_NAME: Final = "have the command give it another name, or name with --output what the ledger is to have alone"
_REPLAY: Final = (
    "it is the receipt's command, and did this here: look for what it needs of a machine (programs, their versions)"
)
_NAME_WHAT: Final = "name with --output what it makes, by the path from the working directory"


def _difference(path: str, one: Output | None, other: Output | None, rooms: tuple[Path, Path]) -> str:
    """How two runs differ in one path; empty where they do not."""
    if one == other:
        return ""
    if one is None or other is None:
        return f"{path}: made by the {'first' if one else 'second'} run alone"
    if one.digest == other.digest:
        return f"{path}: executable in the {'first' if one.executable else 'second'} run alone"
    sizes = f"{one.size:,} bytes" if one.size == other.size else f"{one.size:,} and {other.size:,} bytes"
    return f"{path}: {sizes}, the first to differ is byte {_first_difference(path, rooms):,}"


def _first_difference(path: str, rooms: tuple[Path, Path]) -> int:
    """The first byte that differs, counted from 1, as `cmp` does."""
    at = 0
    with (
        open(rooms[0] / path, "rb", opener=_unfollowed) as one,
        open(rooms[1] / path, "rb", opener=_unfollowed) as other,
    ):
        while True:
            first, second = one.read(_CHUNK), other.read(_CHUNK)
            if first != second or not first:
                break
            at += len(first)
    same = next((n for n, pair in enumerate(zip(first, second, strict=False)) if pair[0] != pair[1]), None)
    return at + 1 + (min(len(first), len(second)) if same is None else same)


def told(differences: Iterable[str]) -> str:
    """The first of them, a line each, and how many there are beside."""
    found = [each for each in differences if each]
    more = [f"and {len(found) - _LISTED:,} more"] if len(found) > _LISTED else []
    return "\n".join([*found[:_LISTED], *more])


def keep(ran: Ran, directory: Path) -> None:
    """Copy all that came out to `directory`, which is empty. Raises as `copy`."""
    for path in ran.outputs:
        copy(ran, path, directory / path)


def copy(ran: Ran, path: str, target: Path) -> None:
    """Copy one output to `target`, which is not there yet. Raises Failed (`output-changed`)."""
    target.parent.mkdir(parents=True, exist_ok=True)
    hashed = hashlib.sha256()
    with open(ran.work / path, "rb", opener=_unfollowed) as source, target.open("xb") as copied:
        while chunk := source.read(_CHUNK):
            hashed.update(chunk)
            copied.write(chunk)
    if hashed.hexdigest() != ran.outputs[path].digest.removeprefix("sha256:"):
        raise Failed(
            "output-changed",
            f"{path} was changed after the command had ended, by something that it left running",
            "install bubblewrap, which ends all that a command starts, or have the command wait for it",
        )
    target.chmod(0o755 if ran.outputs[path].executable else 0o644)
