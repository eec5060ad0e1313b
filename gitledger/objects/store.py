"""One repository: read objects, write objects, move refs in one transaction (spec 10, Objects; spec 11).

Objects are read from the object directories themselves, through libgit2's object database and not through a
repository: so no configuration, graft, replace ref or extension has a say, and every object is hashed again,
with collision detection, as it is read. What would make git show other objects than these is refused when the
repository is opened (`soundness`).

In a ``pre-receive`` hook the pushed objects are in a quarantine, which `Store.quarantined` reads besides the
repository's own. It writes nothing: refs set there would outlive a push that is refused.

The git program does what it does best: transactions on refs, transport, bundles. It runs in an environment of
which it keeps only what `_KEPT` names.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypeVar

import pygit2

from gitledger.errors import Failed, Malformed, Unsound, Usage
from gitledger.objects import soundness

Change = tuple[str, str | None, str | None]
"""A ref; the object id it gets, or None to delete it; the id it must have now, or None for any (`ABSENT`: none)."""

ABSENT: Final = "0" * 40
"""As the old value of a ref: it must not exist."""

LARGEST: Final = {"commit": 16 << 20, "tag": 1 << 16, "tree": 64 << 20}
"""How many bytes an object that is no blob has at most, by kind (spec 1)."""

STALE_SECONDS: Final = 60
"""A lock on a ref that is older was left by a git that was killed; transactions take less than a second."""

KINDS: Final = {"commit": 1, "tree": 2, "blob": 3, "tag": 4}
_NAMES: Final = {number: kind for kind, number in KINDS.items()}
_OID = re.compile(r"[0-9a-f]{40}")
_LOOSE_HEADER = re.compile(rb"(?:commit|tree|blob|tag) (0|[1-9][0-9]{0,18})\0")
_LOOSE_REF = re.compile(rb"([0-9a-f]{40})\s*")

_KEPT: Final = re.compile(
    # How to reach a remote and whom to ask for a secret.
    r"GIT_(SSH|SSH_COMMAND|SSH_VARIANT|ASKPASS|TERMINAL_PROMPT|PROXY_\w+|SSL_\w+|HTTP_\w+|ALLOW_PROTOCOL|PROTOCOL\w*"
    # Who commits, and when.
    r"|(AUTHOR|COMMITTER)_(NAME|EMAIL|DATE)"
    # Which configuration a person has, where git itself is, and how to look at what it does.
    r"|CONFIG_(GLOBAL|SYSTEM|NOSYSTEM|COUNT|KEY_\d+|VALUE_\d+|PARAMETERS)|EXEC_PATH|TRACE\w*)"
)
_QUARANTINE: Final = ("GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_QUARANTINE_PATH")

# libgit2 keeps objects that it has read, up to 256 MB in a process, and maps packs whole, however little of it is
# wanted again. A line of snapshots is read once, front to back: what is held must not grow with it. Besides, it keeps
# for each pack up to 16 MB of what differences stand on, which is fixed when it is compiled.
pygit2.settings.cache_max_size(1 << 20)
pygit2.settings.mwindow_size = 1 << 20
pygit2.settings.mwindow_mapped_limit = 16 << 20
pygit2.settings.enable_strict_hash_verification(True)

T = TypeVar("T")


class Store:
    """A Git repository, sound when it was opened.

    `git_dir` is its git directory, `common_dir` the one that holds objects and refs (another in a linked work
    tree), `work_tree` the checkout, or None where it is `bare`.
    """

    told: Mapping[str, bytes] = MappingProxyType({})
    """Nothing: what a repository answers is hashed as it is read (`trees.Objects`)."""

    def __init__(
        self,
        git_dir: Path,
        work_tree: Path | None,
        *,
        durable: bool = False,
        writable: bool = True,
        quarantine: Path | None = None,
    ) -> None:
        self.git_dir = git_dir
        self.common_dir = _common_dir(git_dir)
        self.work_tree = work_tree
        self._durable = durable
        self._writable = writable
        own = self.common_dir / "objects"
        self._object_dirs = (own,) if quarantine is None else (quarantine, own)
        self.sound()
        self._odb = pygit2.Odb()
        for number, objects in enumerate(self._object_dirs):
            # Not pygit2.Odb(path), which would follow alternates. Packs first: most objects are in one.
            self._odb.add_backend(pygit2.OdbBackendPack(str(objects)), 9 - 2 * number)
            self._odb.add_backend(pygit2.OdbBackendLoose(str(objects), -1, durable), 8 - 2 * number)

    @classmethod
    def open(cls, path: str | Path, *, durable: bool = False) -> Store:
        """The repository at `path`: bare, or a work tree or a directory in one.

        `durable` says that objects and refs are on the disk when `write` and `update` return, for whoever
        must not forget them (spec 11); it costs milliseconds each. Raises Usage where there is no repository,
        Unsound where there is one that can't be trusted to answer, Failed where it can't be read.
        """
        try:
            return cls(*find(Path(path)), durable=durable)
        except OSError as error:
            raise _unreadable(error) from None

    @classmethod
    def quarantined(cls) -> Store:
        """The repository of the hook that runs, with the objects that are being pushed; it can't be written.

        Raises as `open` does, and Unsound (`namespace`) where git would set other refs than those it names to the hook.
        """
        if os.environ.get("GIT_NAMESPACE"):
            raise Unsound("namespace", "the push goes to a namespace, and a ledger has none", "unset GIT_NAMESPACE")
        try:
            git_dir = Path(os.environ.get("GIT_DIR", ".")).resolve()
            if not _is_git_dir(git_dir):
                raise _no_repository(git_dir)
            incoming = os.environ.get("GIT_QUARANTINE_PATH")  # none where the push brings no objects
            return cls(git_dir, None, writable=False, quarantine=Path(incoming).resolve() if incoming else None)
        except OSError as error:
            raise _unreadable(error) from None

    @property
    def bare(self) -> bool:
        """Whether it has no work tree."""
        return self.work_tree is None

    def sound(self) -> None:
        """Check again that the repository can be trusted to answer. Raises Unsound (spec 10)."""
        soundness.check(self.common_dir, self._object_dirs)

    # Objects

    def read(self, oid: str, kind: str) -> bytes:
        """The content of the object `oid`, a ``commit``, ``tree``, ``blob`` or ``tag``.

        Raises Unsound where it is missing or damaged, Malformed where it is of another kind, or no blob and larger
        than `LARGEST` (spec 1): what others made is read into bounded memory.
        """
        _checked(oid)
        try:
            if kind != "blob":
                _must_fit(kind, self._odb.read_header(oid)[1], oid)
            for objects in self._object_dirs:
                loose = f"{objects}/{oid[:2]}/{oid[2:]}"
                if os.access(loose, os.F_OK):
                    _must_be_whole(loose)
            number, content = self._odb.read(oid)
        except _UNANSWERED as error:
            raise _unanswered(oid, error) from None
        if number != KINDS[kind]:
            raise Malformed("object-kind", f"{oid} stands where a {kind} must be, and is a {_NAMES[number]}")
        return content

    def size(self, oid: str) -> tuple[str, int]:
        """The kind of the object and the bytes of its content, as its header says. Raises Unsound."""
        number, size = self._ask(self._odb.read_header, oid)
        return _NAMES[number], size

    def has(self, oid: str) -> bool:
        """Whether the object is here."""
        return self._ask(self._odb.exists, oid)

    def write(self, kind: str, content: bytes) -> str:
        """Write an object and return its id.

        Raises Malformed where nobody would read it (`LARGEST`), Failed where it can't be written, and in a quarantine.
        """
        self._must_be_writable()
        _must_fit(kind, len(content))
        try:
            return str(self._odb.write(KINDS[kind], content))
        except (pygit2.GitError, OSError) as error:
            raise Failed("object-not-written", f"a {kind} can't be written: {error}", _ROOM) from None

    def write_pack(self, pack: bytes) -> None:
        """Write the objects of a pack, which git hashes again. Raises Failed as `write` does."""
        self._must_be_writable()
        done = self.git("index-pack", "--stdin", input=pack, check=False)
        if done.returncode:
            raise Failed("object-not-written", f"a pack can't be written: {_words(done.stderr)}", _ROOM)

    # Refs

    def refs(self, *prefixes: str) -> dict[str, str]:
        """Every ref below one of `prefixes` (each ends in a slash; none: all), with its object; tags are not peeled.

        Symbolic refs (``refs/remotes/origin/HEAD``) are left out. Raises Unsound for one that is damaged.
        """
        return dict(self.each_ref(*prefixes))

    def each_ref(self, *prefixes: str) -> Iterator[tuple[str, str]]:
        """As `refs`, but one after the other: a long ledger has many tags."""
        done = self.git("for-each-ref", "--format=%(objectname) %(refname) %(symref)", *prefixes)
        if damaged := [line for line in _lines(done.stderr) if "ignoring broken ref" in line]:
            raise Unsound("ref-damaged", damaged[0].removeprefix("warning: ignoring "), "git fsck")
        return listed(done.stdout)

    def resolve(self, ref: str) -> str | None:
        """The object that `ref` (``refs/…``) names now, or None; read from its file, no process.

        Raises Unsound where it is symbolic or damaged, Malformed for what is no name of a ref.
        """
        if not ref.startswith("refs/") or not {"", ".", ".."}.isdisjoint(ref.split("/")) or "\0" in ref:
            raise Malformed("ref-name", f"{ref!r} is not the full name of a ref")
        try:
            raw = (self.common_dir / ref).read_bytes()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return self._packed(ref)
        if match := _LOOSE_REF.fullmatch(raw):
            return match[1].decode()
        if raw.startswith(b"ref:"):
            raise Unsound(
                "symbolic-ref",
                f"{ref} is a symbolic ref",
                f"git -c core.hooksPath=/dev/null symbolic-ref --delete {ref}",
            )
        raise Unsound("ref-damaged", f"{ref} names no object", "git fsck")

    def head(self) -> str:
        """What HEAD is on: the full name of a branch, or an object id where it is detached. Raises Unsound."""
        raw = (self.git_dir / "HEAD").read_bytes()
        target = raw.removeprefix(b"ref:").strip().decode(errors="replace")
        if raw.startswith(b"ref:") or _OID.fullmatch(target):
            return target
        raise Unsound("ref-damaged", "HEAD names neither a branch nor a commit", "git fsck")

    def update(self, changes: Iterable[Change], *, message: str = "gitledger") -> None:
        """Make all `changes` of refs in one transaction, or none; `message` stands in the reflogs.

        Hooks do not run for it: they guard against others. A symbolic ref is set itself, not what it points
        to. Raises Failed (`refs-not-updated`) with git's reason, and in a quarantine.
        """
        self._must_be_writable()
        changes = tuple(changes)
        commands = [command for change in changes for command in _commands(change)]
        # With start, git makes nothing of it unless it gets as far as commit.
        stream = "\0".join(["start", *commands, "prepare", "commit", ""]).encode(errors="surrogateescape")
        options = ["-c", "core.hooksPath=/dev/null"]
        # What is new is written, and then all of it is synced: git would wait for the disk at each. Where something is
        # replaced, git syncs before the old one goes.
        new = self._durable and all(old == ABSENT for _, _, old in changes)
        if self._durable:
            options += ["-c", f"core.fsync={'none' if new else 'all'}"]
        done = self.git(*options, "update-ref", "--no-deref", "-m", message, "--stdin", "-z", input=stream, check=False)
        if done.returncode:
            raise Failed("refs-not-updated", _words(done.stderr), "Look what moved, and do it again.")
        if new:
            self._sync_refs(ref for ref, _, _ in changes)

    def _sync_refs(self, refs: Iterable[str]) -> None:
        """Bring the files of `refs` to disk, and the directories that name them. Raises Failed (`refs-not-synced`)."""
        files = {self.common_dir / ref for ref in refs}
        above: set[Path] = set()
        for file in files:
            directory = file.parent
            while directory not in above and directory != self.common_dir:
                above.add(directory)
                directory = directory.parent
        try:
            for path in (*files, *sorted(above, reverse=True)):
                opened = os.open(path, os.O_RDONLY)
                try:
                    os.fsync(opened)
                finally:
                    os.close(opened)
        except FileNotFoundError:
            return  # git has packed them meanwhile, and synced that
        except OSError as error:
            raise Failed("refs-not-synced", f"{error.filename or 'a ref'}: {error.strerror}", _ROOM) from None

    def clear_stale_locks(self) -> None:
        """Remove the locks on refs that a killed git left: those older than any transaction takes (`STALE_SECONDS`).

        A lock is a file beside what it locks, and nothing says whose it is; git itself only tells a person to remove
        it. Raises Failed where one can't be removed.
        """
        for lock in self.stale_locks():
            try:
                lock.unlink(missing_ok=True)
            except OSError as error:
                raise Failed("stale-lock", f"{lock} was left behind: {error.strerror}", f"rm {lock}") from None

    def stale_locks(self) -> list[Path]:
        """The locks on refs that are older than any transaction takes (`STALE_SECONDS`)."""
        now = time.time()
        below = (Path(above, name) for above, _, files in os.walk(self.common_dir / "refs") for name in files)
        locks = [path for path in below if path.suffix == ".lock"]
        found: list[Path] = []
        for lock in (self.common_dir / "packed-refs.lock", self.git_dir / "HEAD.lock", *locks):
            try:
                if now - lock.lstat().st_mtime > STALE_SECONDS:
                    found.append(lock)
            except OSError:
                continue
        return found

    def _packed(self, ref: str) -> str | None:
        try:
            packed = (self.common_dir / "packed-refs").read_bytes()
        except FileNotFoundError:
            return None
        name = re.escape(ref.encode(errors="surrogateescape"))
        match = re.search(rb"^([0-9a-f]{40}) %s$" % name, packed, re.MULTILINE)
        return match[1].decode() if match else None

    # The git program

    def git(
        self,
        *args: str,
        input: bytes | None = None,
        check: bool = True,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[bytes]:
        """Run ``git args…`` in this repository, at the top of its work tree, and return what came of it.

        `input` is its standard input; `env` is added to its environment. Raises Failed (`git-failed`) with git's own
        words where it fails and `check` is set.
        """
        try:
            done = subprocess.run(
                ["git", *args],
                cwd=self.work_tree or self.git_dir,
                env={**self.environment(), **(env or {})},
                input=b"" if input is None else input,
                capture_output=True,
                check=False,
            )
        except FileNotFoundError:
            raise Failed("no-git", "there is no git program", "Install git 2.39 or newer.") from None
        if check and done.returncode:
            raise Failed("git-failed", f"git {_command(args)}: {_words(done.stderr)}", _hints(done.stderr))
        return done

    def environment(self) -> dict[str, str]:
        """The environment for git: of what begins with GIT_, only what can't lead it to another repository."""
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith("GIT_") or _KEPT.fullmatch(name)
        }
        if not self._writable:
            kept |= {name: os.environ[name] for name in _QUARANTINE if name in os.environ}
        if self.work_tree is None:
            kept["GIT_DIR"] = str(self.git_dir)
        else:
            # Left to find the work tree it stands in, git refuses one that is another user's (safe.directory).
            kept["GIT_CEILING_DIRECTORIES"] = str(self.work_tree.parent)
        return kept | {
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_OPTIONAL_LOCKS": "0",
            "LC_ALL": "C",
        }

    def _must_be_writable(self) -> None:
        if not self._writable:
            raise Failed("quarantine", "nothing is written while a push is being decided")

    def _ask(self, question: Callable[[str], T], oid: str) -> T:
        """Ask the object database; what it can't answer is an error of ours."""
        try:
            return question(_checked(oid))
        except _UNANSWERED as error:
            raise _unanswered(oid, error) from None


_ROOM: Final = "Is there room on the disk, and may you write there?"
_FETCH_AGAIN: Final = "gitledger doctor   (says what is missing or damaged, and what to type)"


_UNANSWERED: Final = (KeyError, pygit2.GitError, ValueError, OSError, MemoryError)


def _checked(oid: str) -> str:
    """`oid`, which is whole: pygit2 would take a shorter one for an abbreviation. Raises Malformed (`object-id`)."""
    if _OID.fullmatch(oid):
        return oid
    raise Malformed("object-id", f"{oid[:80]!r} is not an object id, 40 lower-case hex")


def _must_fit(kind: str, size: int, oid: str = "") -> None:
    """Raise Malformed (`object-too-large`) for an object that is no blob and has more bytes than `LARGEST`."""
    if kind != "blob" and size > LARGEST[kind]:
        named = f"the {kind} {oid}" if oid else f"a {kind}"
        raise Malformed("object-too-large", f"{named} has more than {LARGEST[kind]} bytes", "make it again, smaller")


def _unanswered(oid: str, error: Exception) -> Unsound:
    if isinstance(error, KeyError):
        return Unsound("missing-object", f"the object {oid} is missing", _FETCH_AGAIN)
    return Unsound("damaged-object", f"the object {oid} is damaged: {error}", _FETCH_AGAIN)


def _must_be_whole(path: str) -> None:
    """Raise ValueError for a loose object that is not what its header says, as a crash leaves one.

    libgit2 up to 1.9 never returns from one that is cut short, and writes past its buffer for one that is longer
    than it says (its issues 7342 and 7177).
    """
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - a Path costs more than the rest of it
            raw = file.read()
    except FileNotFoundError:
        return
    stream = zlib.decompressobj()
    try:
        data = stream.decompress(raw, 1 << 16)
        header = _LOOSE_HEADER.match(data)
        size = len(data) - (header.end() if header else 0)
        while data and not stream.eof:
            data = stream.decompress(stream.unconsumed_tail, 1 << 20)
            size += len(data)
    except zlib.error as error:
        raise ValueError(f"{path}: {error}") from None
    if header is None or int(header[1]) != size or not stream.eof or stream.unused_data:
        raise ValueError(f"{path} is cut short or too long")


def find(start: Path) -> tuple[Path, Path | None]:
    """The git directory and the work tree that `start` is in. Raises Usage where it is in none."""
    start = start.resolve()
    if not start.is_dir():
        raise Usage("no-directory", f"{start} is not a directory", "Name one with -C.")
    if _is_git_dir(start):
        return start, start.parent if start.name == ".git" else None
    for directory in (start, *start.parents):
        dot_git = directory / ".git"
        git_dir = dot_git if dot_git.is_dir() else _linked(dot_git)
        if git_dir is not None and _is_git_dir(git_dir):
            return git_dir, directory
    raise _no_repository(start)


def _linked(dot_git: Path) -> Path | None:
    """The git directory that a ``.git`` file names (linked work trees, submodules)."""
    try:
        text = dot_git.read_text(errors="surrogateescape")
    except FileNotFoundError:
        return None
    return (dot_git.parent / text.removeprefix("gitdir:").strip()).resolve() if text.startswith("gitdir:") else None


def _common_dir(git_dir: Path) -> Path:
    try:
        named = (git_dir / "commondir").read_text(errors="surrogateescape").strip()
    except FileNotFoundError:
        return git_dir
    return (git_dir / named).resolve()


def _is_git_dir(path: Path) -> bool:
    common = _common_dir(path)
    return (path / "HEAD").is_file() and (common / "objects").is_dir() and (common / "refs").is_dir()


def listed(printed: bytes) -> Iterator[tuple[str, str]]:
    """The refs that git prints, a line `<object id> <ref> <target>` each; a symbolic one has a target, and is left out.

    A name may hold any bytes above 127, line ends of Unicode among them: what is no UTF-8 is in it as Python has file
    names, so that git knows it again.
    """
    for line in io.BytesIO(printed):
        oid, ref, symbolic = line.decode(errors="surrogateescape").removesuffix("\n").split(" ")
        if not symbolic:
            yield ref, oid


def _commands(change: Change) -> tuple[str, ...]:
    """What ``git update-ref --stdin -z`` reads for one change; an empty old value is any."""
    ref, new, old = change
    if "\0" in ref:
        raise Malformed("ref-name", f"{ref!r} is not the name of a ref")
    return (f"delete {ref}", old or "") if new is None else (f"update {ref}", new, old or "")


def _command(args: tuple[str, ...]) -> str:
    """The subcommand among git's arguments, for a message."""
    rest = iter(args)
    for arg in rest:
        if arg in {"-c", "-C"}:
            next(rest, None)
        elif not arg.startswith("-"):
            return arg
    return ""


def _words(stderr: bytes | None) -> str:
    """What git said went wrong, as one sentence that a terminal can show: its error, and the line before it."""
    lines = [line for line in _lines(stderr) if not line.startswith("hint:")]
    last = next((n for n, line in enumerate(lines) if line.startswith(("fatal: ", "error: "))), len(lines) - 1)
    said = [line.removeprefix("fatal: ").removeprefix("error: ").rstrip(".") for line in lines[: last + 1]]
    return "; ".join(said[-2:]) or "it failed without a word"


def _hints(stderr: bytes | None) -> str:
    return "\n".join(line.removeprefix("hint:").strip() for line in _lines(stderr) if line.startswith("hint:"))


def _lines(stderr: bytes | None) -> list[str]:
    text = (stderr or b"").decode(errors="replace")
    lines = ("".join(c if c.isprintable() else " " for c in line).strip() for line in text.split("\n"))
    return [line for line in lines if line]


def _unreadable(error: OSError) -> Failed:
    return Failed("unreadable", f"{error.filename} can't be read: {error.strerror}", "May you read it?")


def _no_repository(path: Path) -> Usage:
    return Usage("no-repository", f"{path} is not in a Git repository", "Name one with -C, or clone one.")
