"""Trees are values: read, compared, changed, and known by both their ids (spec 1, 3, 5).

A tree is an immutable mapping of names to files and directories. It knows the object id that git gives it
and, when asked, the id that the same tree has in a SHA-256 repository (the tree digest). It reads a directory
when somebody looks into it and no sooner, and what has been read has been checked against spec 3, Entries:
regular files and directories that are not empty, names that mean the same everywhere, sorted, no two siblings
alike.

Applying a change makes new directories from the change up to the root and shares all others, with everything
that is known of them. Nothing here recurses: how deep a tree is was chosen by whoever made it. Directories
with one id are one object however often they occur, so a small pack that unfolds into millions of paths costs
what is in the pack; only what walks over paths (`files`, `changes_to`) meets their number, and `changes_to`
takes a limit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Final, NoReturn, Protocol
from weakref import WeakValueDictionary

from gitledger.errors import Malformed, Refused, Unsound, about
from gitledger.objects.codec import oid_of
from gitledger.objects.entries import DIRECTORY, MODE_TEXT, REGULAR, STOCK_TREE, must_be_distinct, parse
from gitledger.objects.paths import MAX_COMPONENT, MAX_PATH, check_path

_LONGEST_ENTRY: Final = len("100644 ") + MAX_COMPONENT + len("\0") + 20
"""How many bytes one entry of a tree object has at most: mode, name and id."""


class Objects(Protocol):
    """Where objects are read from; `Store` is one."""

    def read(self, oid: str, kind: str) -> bytes:
        """The content of the ``commit``, ``tree``, ``blob`` or ``tag`` with this id. Raises Unsound, Malformed."""

    def size(self, oid: str) -> tuple[str, int]:
        """The kind of the object and the bytes of its content, without reading it. Raises Unsound."""

    @property
    def told(self) -> Mapping[str, bytes]:
        """The 32 bytes of the SHA-256 id, by object id, of what is not here to be hashed; a repository tells none."""


class File:
    """A regular file: `mode` (0o100644 or 0o100755) and `oid`, the id of its blob. Equal where both are equal."""

    __slots__ = ("_content", "_id256", "mode", "oid")

    def __init__(self, mode: int, oid: str, id256: bytes = b"") -> None:
        self.mode = mode
        self.oid = oid
        self._content: bytes | None = None
        self._id256 = id256

    @classmethod
    def of(cls, content: bytes, mode: int = REGULAR) -> File:
        """A file with new content, which it keeps until `Tree.write` has written it."""
        file = cls(mode, oid_of("blob", content))
        file._content = content
        return file

    def content(self, objects: Objects) -> bytes:
        """Its bytes. Raises Unsound where the blob is missing or damaged, Malformed where it is no blob."""
        return objects.read(self.oid, "blob") if self._content is None else self._content

    def size(self, objects: Objects) -> int:
        """How many bytes it has, without reading them. Raises as `content` does."""
        if self._content is not None:
            return len(self._content)
        kind, size = objects.size(self.oid)
        if kind != "blob":
            raise Malformed("object-kind", f"{self.oid} stands where a file must be, and is a {kind}")
        return size

    def id256(self, objects: Objects) -> bytes:
        """The 32 bytes of the id that its blob has in a SHA-256 repository; computed once. Raises as `content`."""
        if not self._id256:
            self._id256 = _id256("blob", self.content(objects))
        return self._id256

    def store(self, write: Callable[[str, bytes], str]) -> None:
        """Write the content of a new file, once; see `Tree.write`."""
        if self._content is not None:
            _must_be(self.oid, write("blob", self._content))
            self._content = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, File) and self.oid == other.oid and self.mode == other.mode

    def __hash__(self) -> int:
        return hash((self.mode, self.oid))

    def __repr__(self) -> str:
        return f"File({self.mode:o}, {self.oid})"


class Tree:
    """A directory and all below it; `oid` is its object id. Equal where the ids are equal.

    Made by `Tree.load`, `Tree.empty` and `apply`.
    """

    __slots__ = ("__weakref__", "_entries", "_id256", "_like", "_root", "_shelf", "_stored", "oid")

    mode: Final = DIRECTORY

    def __init__(self, shelf: _Shelf, oid: str, *, root: bool) -> None:
        self.oid = oid
        self._shelf = shelf
        self._root = root
        self._entries: dict[str, File | Tree] | None = None
        self._like: Tree | None = None
        self._id256 = b""
        self._stored = True

    @classmethod
    def load(cls, objects: Objects, oid: str, *, like: Tree | None = None) -> Tree:
        """The root tree `oid`, read when looked into.

        `like` is a tree that it resembles: what both have in one place is shared, so that it is neither read
        nor hashed again.
        """
        if like is not None and like._root and like.oid == oid:
            return like
        shelf = like._shelf if like is not None and like._shelf.objects is objects else _Shelf(objects)
        tree = cls(shelf, oid, root=True)
        tree._like = _read_of(like)
        return tree

    @classmethod
    def empty(cls, objects: Objects) -> Tree:
        """The root tree without entries, to begin a ledger with. No snapshot may have it."""
        return _Shelf(objects).made({}, root=True)

    @property
    def entries(self) -> Mapping[str, File | Tree]:
        """What is in the directory, by name, in git's order.

        Raises Malformed or Refused for what spec 3, Entries, does not allow in it, Unsound for a missing
        object.
        """
        return MappingProxyType(self._read())

    @property
    def digest(self) -> str:
        """The tree digest (spec 1): ``sha256:`` and the id that the same tree has in a SHA-256 repository.

        What was hashed once is remembered, here and in every tree that shares it. Raises as `entries` does.
        """
        objects = self._shelf.objects
        for tree in self._upwards(lambda tree: bool(tree._id256)):
            raw = _encode(tree._read(), lambda e: e._id256 if isinstance(e, Tree) else e.id256(objects))
            tree._id256 = _id256("tree", raw)
        return "sha256:" + self._id256.hex()

    def ids(self) -> dict[str, bytes]:
        """The 32 bytes of the SHA-256 id, by object id, of this directory and all below. Raises as `entries` does."""
        objects = self._shelf.objects
        found: dict[str, bytes] = {}
        stack = [self]
        while stack:
            tree = stack.pop()
            found[tree.oid] = bytes.fromhex(tree.digest.removeprefix("sha256:"))
            for entry in tree._read().values():
                if isinstance(entry, File):
                    found[entry.oid] = entry.id256(objects)
                elif entry.oid not in found:
                    stack.append(entry)
        return found

    def get(self, path: str) -> File | Tree | None:
        """What stands at `path`, or None."""
        entry: File | Tree | None = self
        for name in path.split("/"):
            if not isinstance(entry, Tree):
                return None
            entry = entry._read().get(name)
        return entry

    def read(self, path: str) -> bytes | None:
        """The bytes of the file at `path`, or None where there is no file."""
        entry = self.get(path)
        return entry.content(self._shelf.objects) if isinstance(entry, File) else None

    def files(self, prefix: str = "") -> Iterator[tuple[str, File]]:
        """Every file at or below the path `prefix` (empty: all), with its path from the root, sorted by path.

        Raises Refused (`path-length`) instead of following a path of more than 1,000 bytes.
        """
        start = self.get(prefix) if prefix else self
        if isinstance(start, File):
            yield prefix, start
        stack = [(prefix and prefix + "/", iter(start._read().items()))] if isinstance(start, Tree) else []
        while stack:
            above, items = stack[-1]
            for name, entry in items:
                path = above + name
                _must_be_short(path)
                if isinstance(entry, Tree):
                    stack.append((path + "/", iter(entry._read().items())))
                    break
                yield path, entry
            else:
                stack.pop()

    def changes_to(self, other: Tree, *, limit: int | None = None) -> dict[str, tuple[File | None, File | None]]:
        """The paths at which `other` has another file, with the file here and there (None: no file); sorted.

        Directories with equal ids are not looked into. Raises Refused (`too-many-paths`) beyond `limit`
        paths, or ten times as many directories and a thousand, and what `entries` raises for directories
        that only one has.
        """
        directories = 0
        changes: dict[str, tuple[File | None, File | None]] = {}
        stack: list[tuple[str, Tree | None, Tree | None]] = [("", self, other)]
        while stack:
            above, old, new = stack.pop()
            directories += 1
            if limit is not None and directories > 10 * limit + 1000:
                _too_many_directories(limit)
            if limit is not None and new is not None and new._least() > limit + (len(old._read()) if old else 0):
                _too_many(limit)  # said before a directory of millions is read
            for name, before, after in _differing(above, old, new):
                path = above + name
                _must_be_short(path)
                if isinstance(before, File) or isinstance(after, File):
                    changes[path] = (_file(before), _file(after))
                if isinstance(before, Tree) or isinstance(after, Tree):
                    stack.append((path + "/", _directory(before), _directory(after)))
                # No directory is empty, so each that is still to be looked into holds a path that differs.
                if limit is not None and len(changes) + len(stack) > limit:
                    _too_many(limit)
        return dict(sorted(changes.items()))

    def apply(self, changes: Mapping[str, File | None]) -> Tree:
        """This tree with `changes` made (None: no file at that path); directories left empty vanish (spec 5).

        Raises Refused (`file-directory-conflict`) where a file stands in the way of a directory or the
        reverse, and what `paths` raises for a name, a path or two siblings that may not be.
        """
        tree = self
        removed = [path for path, file in changes.items() if file is None]
        added = [(path, file) for path, file in changes.items() if file is not None]
        if removed:
            spine = _Spine(tree._shelf, tree._read())
            for path in sorted(removed, key=_in_one_go):
                spine.remove(path)
            tree = spine.close()
        if added:
            spine = _Spine(tree._shelf, tree._read())
            for path, file in sorted(added, key=lambda item: _in_one_go(item[0])):
                spine.add(path, file)
            tree = spine.close()
        return self if tree == self else tree

    def write(self, write: Callable[[str, bytes], str]) -> str:
        """Write what `apply` made and no store holds yet, the lower first, with `write(kind, content) -> oid`.

        `write` writes to the repository that the tree is read from. Returns the tree's id. Raises Unsound
        (`object-id-differs`) where an object gets another id than it must have.
        """
        for tree in self._upwards(lambda tree: tree._stored):
            for entry in tree._read().values():
                if isinstance(entry, File):
                    entry.store(write)
            _must_be(tree.oid, write("tree", _encode(tree._read(), _id160)))
            tree._stored = True
        return self.oid

    def check(self) -> None:
        """Check the whole tree against spec 3, Entries, for a tree that follows from no other: genesis.

        Raises Malformed or Refused; `empty-directory` for a root without entries as well.
        """
        longest: dict[str, int] = {}
        for tree in self._upwards(lambda tree: tree.oid in longest):
            if not tree._read():
                _empty(tree.oid)
            longest[tree.oid] = max(
                len(name.encode()) + (1 + longest[entry.oid] if isinstance(entry, Tree) else 0)
                for name, entry in tree._read().items()
            )
        if longest[self.oid] > MAX_PATH:
            _too_long(longest[self.oid])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tree) and self.oid == other.oid

    def __hash__(self) -> int:
        return hash(self.oid)

    def __repr__(self) -> str:
        return f"Tree({self.oid})"

    def _least(self) -> int:
        """How many entries it has at the least, by the size of its object; one that has been read tells nothing."""
        return 0 if self._entries is not None else self._shelf.objects.size(self.oid)[1] // _LONGEST_ENTRY

    def _read(self) -> dict[str, File | Tree]:
        if self._entries is None:
            known = self._like._read() if self._like is not None else {}
            raw = self._shelf.objects.read(self.oid, "tree")
            if not raw:
                _empty(self.oid)
            self._entries = {
                name: self._shelf.entry(mode, oid, known.get(name)) for name, mode, oid in parse(raw, root=self._root)
            }
            self._like = None
        return self._entries

    def _upwards(self, done: Callable[[Tree], bool]) -> Iterator[Tree]:
        """The trees that are not done, this one last, each after those in it; whoever gets one makes it done."""
        stack = [self]
        while stack:
            tree = stack[-1]
            if done(tree):
                stack.pop()
            elif waiting := [e for e in tree._read().values() if isinstance(e, Tree) and not done(e)]:
                stack += waiting
            else:
                yield stack.pop()


class _Shelf:
    """Where the trees of one repository stand while somebody holds them: one object for one directory."""

    __slots__ = ("_trees", "objects")

    def __init__(self, objects: Objects) -> None:
        self.objects = objects
        self._trees: WeakValueDictionary[str, Tree] = WeakValueDictionary()

    def entry(self, mode: int, oid: str, known: File | Tree | None) -> File | Tree:
        """The entry with this mode and id, which is `known` where that has both."""
        if known is not None and known.oid == oid and known.mode == mode:
            return known
        told = self.objects.told.get(oid, b"")
        if mode != DIRECTORY:
            return File(mode, oid, told)
        tree = self._trees.get(oid)
        if tree is None:
            self._trees[oid] = tree = Tree(self, oid, root=False)
            tree._like = _read_of(_directory(known))
            tree._id256 = told
        return tree

    def made(self, entries: dict[str, File | Tree], *, root: bool) -> Tree:
        """The tree that has these entries, whose names have been checked."""
        entries = dict(sorted(entries.items(), key=_git_order))
        oid = oid_of("tree", _encode(entries, _id160))
        tree = None if root else self._trees.get(oid)
        if tree is None:
            tree = Tree(self, oid, root=root)
            tree._entries, tree._stored = entries, False
            if not root:
                self._trees[oid] = tree
        return tree


class _Spine:
    """The directories from the root to the path that is being changed, open; those left behind become trees.

    Paths come in the order of `_in_one_go`, so that each directory is opened once.
    """

    def __init__(self, shelf: _Shelf, root: Mapping[str, File | Tree]) -> None:
        self._shelf = shelf
        self._path: list[str] = []
        self._open: list[dict[str, File | Tree]] = [dict(root)]
        self._grown = [False]

    def remove(self, path: str) -> None:
        """Take the file at `path` away, if there is one."""
        *directory, name = path.split("/")
        if self._enter(directory) and isinstance(self._open[-1].get(name), File):
            del self._open[-1][name]

    def add(self, path: str, file: File) -> None:
        """Put a file at `path`, in directories that are made where they are missing."""
        check_path(path)
        *directory, name = path.split("/")
        if not self._enter(directory, make=True):
            _conflict(path, "/".join(directory[: len(self._path) + 1]), "a file")
        there = self._open[-1].get(name)
        if isinstance(there, Tree):
            _conflict(path, path, "a directory")
        self._grown[-1] |= there is None
        self._open[-1][name] = file

    def close(self) -> Tree:
        """The tree that came of it."""
        while self._path:
            self._leave()
        return self._shelf.made(self._checked(), root=True)

    def _enter(self, directory: list[str], *, make: bool = False) -> bool:
        """Open `directory`; False where a file, or without `make` nothing, stands in the way."""
        shared = 0
        for ours, theirs in zip(self._path, directory, strict=False):
            if ours != theirs:
                break
            shared += 1
        while len(self._path) > shared:
            self._leave()
        for name in directory[shared:]:
            there = self._open[-1].get(name)
            if isinstance(there, File) or (there is None and not make):
                return False
            self._grown[-1] |= there is None
            self._path.append(name)
            self._open.append({} if there is None else dict(there._read()))
            self._grown.append(False)
        return True

    def _leave(self) -> None:
        entries = self._checked()
        name = self._path.pop()
        if entries:
            self._open[-1][name] = self._shelf.made(entries, root=False)
        else:
            self._open[-1].pop(name, None)

    def _checked(self) -> dict[str, File | Tree]:
        """The entries of the innermost directory, which is open no more."""
        entries = self._open.pop()
        if self._grown.pop() and len(entries) > 1:
            with about("/".join(self._path)):
                must_be_distinct(entries)
        return entries


def _differing(
    above: str, old: Tree | None, new: Tree | None
) -> Iterator[tuple[str, File | Tree | None, File | Tree | None]]:
    """The names at which two directories differ, each missing one being empty, with what stands there."""
    with about(above[:-1]):
        ours = old._read() if old is not None else {}
        theirs = new._read() if new is not None else {}
    for name, before in ours.items():
        after = theirs.get(name)
        if after is not before and after != before:
            yield name, before, after
    for name, after in theirs.items():
        if name not in ours:
            yield name, None, after


def _file(entry: File | Tree | None) -> File | None:
    return entry if isinstance(entry, File) else None


def _directory(entry: File | Tree | None) -> Tree | None:
    return entry if isinstance(entry, Tree) else None


def _read_of(tree: Tree | None) -> Tree | None:
    """`tree`, or what it is like itself as long as it has not been read: so no chain of likenesses grows."""
    return tree if tree is None or tree._entries is not None else tree._like


def _encode(entries: Mapping[str, File | Tree], raw_id: Callable[[File | Tree], bytes]) -> bytes:
    return b"".join([MODE_TEXT[entry.mode] + name.encode() + b"\0" + raw_id(entry) for name, entry in entries.items()])


def _id160(entry: File | Tree) -> bytes:
    return bytes.fromhex(entry.oid)


def _id256(kind: str, content: bytes) -> bytes:
    return hashlib.sha256(f"{kind} {len(content)}\0".encode() + content).digest()


def _git_order(item: tuple[str, File | Tree]) -> bytes:
    name, entry = item
    return name.encode() + b"/" if isinstance(entry, Tree) else name.encode()


def _in_one_go(path: str) -> str:
    """A key that sorts paths so that all below one directory follow one another."""
    return path.replace("/", "\0")


def _must_be(oid: str, written: str) -> None:
    if oid != written:
        raise Unsound("object-id-differs", f"the object {oid} was written as {written}")


def _must_be_short(path: str) -> None:
    if len(path.encode()) > MAX_PATH:
        _too_long(len(path.encode()))


def _too_long(length: int) -> NoReturn:
    raise Refused(
        "path-length",
        f"a path in the tree has {length} bytes or more, {MAX_PATH} are allowed",
        "Choose shorter names or fewer directories.",
    )


def _too_many(limit: int) -> NoReturn:
    raise Refused(
        "too-many-paths",
        f"it changes more than {limit} paths, the policy's limits.proposal_paths",
        "Bring them in several proposals.",
    )


def _too_many_directories(limit: int) -> NoReturn:
    raise Refused(
        "too-many-paths",
        f"what it changes is spread over more than {10 * limit + 1000} directories, ten times the policy's "
        "limits.proposal_paths and a thousand",
        "Bring it in several proposals, or in a flatter tree.",
    )


def _empty(oid: str) -> NoReturn:
    raise Malformed("empty-directory", f"the tree {oid} has no entries", STOCK_TREE)


def _conflict(path: str, place: str, what: str) -> NoReturn:
    raise Refused(
        "file-directory-conflict",
        f"{path} can't be put there: {place} is {what}",
        "Rebase on the newest snapshot, and choose another name.",
    )
