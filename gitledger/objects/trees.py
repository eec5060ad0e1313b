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
from typing import Final, NoReturn, Protocol
from weakref import WeakValueDictionary

from gitledger.errors import Malformed, Refused, Unsound, about
from gitledger.objects.codec import oid_of
from gitledger.objects.entries import (
    DIRECTORY,
    ID256,
    LONGER,
    REGULAR,
    STOCK_TREE,
    Listing,
    must_be_distinct,
    read,
)
from gitledger.objects.paths import MAX_COMPONENT, MAX_PATH, check_path, fold

_ROOTS: Final = 8
"""How many root trees are held because somebody may ask for them again."""

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

    __slots__ = (
        "__weakref__",
        "_held",
        "_id256",
        "_like",
        "_listing",
        "_origin",
        "_raw",
        "_raw256",
        "_root",
        "_shelf",
        "_stored",
        "oid",
    )

    mode: Final = DIRECTORY

    def __init__(self, shelf: _Shelf, oid: str, *, root: bool) -> None:
        self.oid = oid
        self._shelf = shelf
        self._root = root
        self._listing: Listing | None = None
        self._raw = b""
        self._like: Tree | None = None
        # What stands in it and was looked into or made: so it stays one object, and is hashed once.
        self._held: dict[str, File | Tree] = {}
        self._raw256 = b""
        self._id256 = b""
        # The listing that it came from with that one's SHA-256 form, and the names of what has changed since.
        self._origin: tuple[Listing, bytes, frozenset[str]] | None = None
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
        tree = shelf.root(oid)
        if tree._listing is None and tree._like is None:
            tree._resemble(like)
        return tree

    @classmethod
    def empty(cls, objects: Objects) -> Tree:
        """The root tree without entries, to begin a ledger with. No snapshot may have it."""
        return _nothing(_Shelf(objects), root=True)

    @property
    def entries(self) -> Mapping[str, File | Tree]:
        """What is in the directory, by name, in git's order.

        Raises Malformed or Refused for what spec 3, Entries, does not allow in it, Unsound for a missing
        object.
        """
        names = self._read().names
        return {name: self._held.get(name) or self._child(at, name) for at, name in enumerate(names)}

    @property
    def digest(self) -> str:
        """The tree digest (spec 1): ``sha256:`` and the id that the same tree has in a SHA-256 repository.

        What was hashed once is remembered, here and in every tree that shares it. Raises as `entries` does.
        """
        for tree in self._upwards(lambda tree: bool(tree._id256), Tree._unhashed):
            tree._hash()
        return "sha256:" + self._id256.hex()

    def ids(self) -> dict[str, bytes]:
        """The 32 bytes of the SHA-256 id, by object id, of this directory and all below. Raises as `entries` does."""
        objects = self._shelf.objects
        found: dict[str, bytes] = {}
        stack = [self]
        while stack:
            tree = stack.pop()
            found[tree.oid] = bytes.fromhex(tree.digest.removeprefix("sha256:"))
            for entry in tree.entries.values():
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
            entry = entry._named(name)
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
        stack = [(prefix and prefix + "/", iter(start.entries.items()))] if isinstance(start, Tree) else []
        while stack:
            above, items = stack[-1]
            for name, entry in items:
                path = above + name
                _must_be_short(path)
                if isinstance(entry, Tree):
                    stack.append((path + "/", iter(entry.entries.items())))
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
        return dict(sorted(changes.items())) if len(changes) > 1 else changes

    def apply(self, changes: Mapping[str, File | None]) -> Tree:
        """This tree with `changes` made (None: no file at that path); directories left empty vanish (spec 5).

        Raises Refused (`file-directory-conflict`) where a file stands in the way of a directory or the
        reverse, and what `paths` raises for a name, a path or two siblings that may not be.
        """
        tree = self
        removed = [path for path, file in changes.items() if file is None]
        added = [(path, file) for path, file in changes.items() if file is not None]
        if removed:
            spine = _Spine(tree)
            for path in sorted(removed, key=_in_one_go):
                spine.remove(path)
            tree = spine.close()
        if added:
            spine = _Spine(tree)
            for path, file in sorted(added, key=lambda item: _in_one_go(item[0])):
                spine.add(path, file)
            tree = spine.close()
        return self if tree == self else tree

    def write(self, write: Callable[[str, bytes], str]) -> str:
        """Write what `apply` made and no store holds yet, the lower first, with `write(kind, content) -> oid`.

        `write` writes to the repository that the tree is read from. Returns the tree's id. Raises Unsound
        (`object-id-differs`) where an object gets another id than it must have.
        """
        for tree in self._upwards(lambda tree: tree._stored, Tree._directories_held):
            for entry in tree._held.values():
                if isinstance(entry, File):
                    entry.store(write)
            _must_be(tree.oid, write("tree", tree._read().raw))
            tree._stored = True
        return self.oid

    def check(self) -> None:
        """Check the whole tree against spec 3, Entries, for a tree that follows from no other: genesis.

        Raises Malformed or Refused; `empty-directory` for a root without entries as well.
        """
        longest: dict[str, int] = {}
        for tree in self._upwards(lambda tree: tree.oid in longest, Tree._directories):
            if not len(tree._read()):
                _empty(tree.oid)
            longest[tree.oid] = max(
                len(entry.name.encode()) + (1 + longest[entry.oid] if entry.mode == DIRECTORY else 0)
                for entry in tree._read()
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
        """How many entries it has at the least, by the length of its object; one that has been read tells nothing."""
        return 0 if self._listing is not None else len(self._fetched()) // _LONGEST_ENTRY

    def _fetched(self) -> bytes:
        """The tree object, until it is read."""
        if not self._raw:
            self._raw = self._shelf.objects.read(self.oid, "tree")
        return self._raw

    def _read(self) -> Listing:
        if self._listing is None:
            known = self._like._read() if self._like is not None else None
            raw = self._fetched()
            if not raw:
                _empty(self.oid)
            self._listing, self._raw = read(raw, root=self._root, like=known), b""
        return self._listing

    def _named(self, name: str) -> File | Tree | None:
        """The entry `name`, or None."""
        held = self._held.get(name)
        if held is not None:
            return held
        at = self._read().place(name)
        return None if at < 0 else self._child(at, name)

    def _child(self, at: int, name: str) -> File | Tree:
        """The entry `name`, at the place `at`, which is not held yet."""
        listing = self._read()
        mode, oid = listing.mode_and_oid(at)
        shelf = self._shelf
        if self._raw256:
            end = listing.starts[at + 1] + (at + 1) * LONGER
            id256 = self._raw256[end - ID256 : end]
        else:
            id256 = shelf.objects.told.get(oid, b"")
        if mode != DIRECTORY:
            return File(mode, oid, id256)
        tree = shelf.directory(oid)
        if not tree._id256:
            tree._id256 = id256
        if tree._listing is None and tree._like is None and self._like is not None:
            tree._resemble(_directory(self._like._named(name)))
        self._held[name] = tree
        return tree

    def _resemble(self, other: Tree | None) -> None:
        """Remember that `other` is like this one, or what that is like itself as long as it has not been read."""
        like = other if other is None or other._listing is not None else other._like
        self._like = like
        if like is not None and like._like is not None:
            like._like._like = None  # so no chain of likenesses grows

    def _directories(self) -> list[Tree]:
        """The directories in it."""
        return [entry for entry in self.entries.values() if isinstance(entry, Tree)]

    def _directories_held(self) -> list[Tree]:
        """The directories in it that `apply` may have made."""
        return [entry for entry in self._held.values() if isinstance(entry, Tree)]

    def _unhashed(self) -> list[Tree]:
        """The directories in it whose SHA-256 id the listing that it came from does not give."""
        like = self._like
        if self._origin is None and like is not None and like._raw256:
            known = like._read()
            self._origin = (known, like._raw256, frozenset(known.differing(self._read())))
        if self._origin is None:
            return self._directories()
        changed = map(self._named, self._origin[2])
        return [entry for entry in changed if isinstance(entry, Tree)]

    def _hash(self) -> None:
        """Hash it as a SHA-256 repository would, once all in it are hashed."""
        objects = self._shelf.objects
        if self._origin is None:
            self._raw256 = self._read().with_ids(_hashed(entry, objects) for entry in self.entries.values())
        else:
            listing, raw, changed = self._origin
            self._origin = None
            now = ((name, self._named(name)) for name in changed)
            self._raw256 = listing.spliced(
                raw, {name: None if entry is None else (entry.mode, _hashed(entry, objects)) for name, entry in now}
            )
        self._id256 = _id256("tree", self._raw256)

    def _changed(self, changes: Mapping[str, File | Tree | None], path: list[str]) -> Tree:
        """This directory, at `path`, with `changes` (None: it goes) of what stands in it.

        Raises Refused (`names-alike`) before anything of it is on the shelf, where nobody would ask again.
        """
        listing = self._read()
        now = listing.changed(
            {n: None if entry is None else (entry.mode, bytes.fromhex(entry.oid)) for n, entry in changes.items()}
        )
        if now.keys is not listing.keys:
            came = [name for name, entry in changes.items() if entry is not None and listing.place(name) < 0]
            folded = {fold(name) for name in came}
            if len(folded) < len(came) or not listing.folded.isdisjoint(folded):
                with about("/".join(path)):
                    must_be_distinct(now.names)
        return self._become(now, changes)

    def _become(self, now: Listing, changes: Mapping[str, File | Tree | None]) -> Tree:
        """The directory that has the listing `now`, once `changes` are made."""
        oid = oid_of("tree", now.raw)
        tree = Tree(self._shelf, oid, root=True) if self._root else self._shelf.directory(oid)
        if tree._listing is None:
            tree._listing, tree._stored = now, False
            tree._held = held = self._held.copy()
            for name, entry in changes.items():
                if entry is not None:
                    held[name] = entry
                else:
                    held.pop(name, None)
        if not tree._id256 and tree._origin is None:
            if self._raw256:
                tree._origin = (self._read(), self._raw256, frozenset(changes))
            elif self._origin is not None:
                first, raw, changed = self._origin
                tree._origin = (first, raw, changed.union(changes))
        return tree

    def _upwards(self, done: Callable[[Tree], bool], below: Callable[[Tree], list[Tree]]) -> Iterator[Tree]:
        """The trees that are not done, this one last, each after those `below` it; whoever gets one makes it done."""
        stack = [self]
        while stack:
            tree = stack[-1]
            if done(tree):
                stack.pop()
            elif waiting := [inner for inner in below(tree) if not done(inner)]:
                stack += waiting
            else:
                yield stack.pop()


class _Shelf:
    """Where the trees of one repository stand while somebody holds them: one object for one directory.

    The roots that were asked for last are held here: many proposals stand on few bases.
    """

    __slots__ = ("_roots", "_trees", "objects")

    def __init__(self, objects: Objects) -> None:
        self.objects = objects
        self._roots: dict[str, Tree] = {}
        self._trees: WeakValueDictionary[str, Tree] = WeakValueDictionary()

    def root(self, oid: str) -> Tree:
        """The root tree with this id, as it is read from the repository."""
        tree = self._roots.pop(oid, None) or Tree(self, oid, root=True)
        if len(self._roots) >= _ROOTS:
            del self._roots[next(iter(self._roots))]
        self._roots[oid] = tree
        return tree

    def directory(self, oid: str) -> Tree:
        """The directory with this id, which is no root."""
        tree = self._trees.get(oid)
        if tree is None:
            self._trees[oid] = tree = Tree(self, oid, root=False)
        return tree


class _Opened:
    """A directory that is open, and what changes in it (None: it goes)."""

    __slots__ = ("changes", "tree")

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.changes: dict[str, File | Tree | None] = {}

    def get(self, name: str) -> File | Tree | None:
        """What stands there as `name` now."""
        return self.changes[name] if name in self.changes else self.tree._named(name)

    def closed(self, path: list[str], *, root: bool) -> Tree | None:
        """The directory at `path` that came of it; None where nothing is left, unless it is the root."""
        listing = self.tree._read()
        if None in self.changes.values():
            left = len(listing) + sum(
                (entry is not None) - (listing.place(name) >= 0) for name, entry in self.changes.items()
            )
            if not left and not root:
                return None
        return self.tree._changed(self.changes, path)


class _Spine:
    """The directories from the root to the path that is being changed, open; those left behind become trees.

    Paths come in the order of `_in_one_go`, so that each directory is opened once.
    """

    def __init__(self, root: Tree) -> None:
        self._path: list[str] = []
        self._open = [_Opened(root)]

    def remove(self, path: str) -> None:
        """Take the file at `path` away, if there is one."""
        *directory, name = path.split("/")
        if self._enter(directory) and isinstance(self._open[-1].get(name), File):
            self._open[-1].changes[name] = None

    def add(self, path: str, file: File) -> None:
        """Put a file at `path`, in directories that are made where they are missing."""
        check_path(path)
        *directory, name = path.split("/")
        if not self._enter(directory, make=True):
            _conflict(path, "/".join(directory[: len(self._path) + 1]), "a file")
        there = self._open[-1].get(name)
        if isinstance(there, Tree):
            _conflict(path, path, "a directory")
        self._open[-1].changes[name] = file

    def close(self) -> Tree:
        """The tree that came of it."""
        while self._path:
            self._leave()
        root = self._open.pop().closed([], root=True)
        assert root is not None
        return root

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
            self._path.append(name)
            self._open.append(_Opened(_nothing(self._open[0].tree._shelf) if there is None else there))
        return True

    def _leave(self) -> None:
        made = self._open.pop().closed(self._path, root=False)
        self._open[-1].changes[self._path.pop()] = made


_EMPTY: Final = Listing(b"", [], [0])


def _nothing(shelf: _Shelf, *, root: bool = False) -> Tree:
    """A directory without entries, to begin with; it is on no shelf, as no store may hold one."""
    tree = Tree(shelf, oid_of("tree", b""), root=root)
    tree._listing, tree._stored = _EMPTY, False
    return tree


def _differing(
    above: str, old: Tree | None, new: Tree | None
) -> Iterator[tuple[str, File | Tree | None, File | Tree | None]]:
    """The names at which two directories differ, each missing one being empty, with what stands there."""
    with about(above[:-1]):
        ours = old._read() if old is not None else _EMPTY
        theirs = new._read() if new is not None else _EMPTY
    for name in ours.differing(theirs):
        before = old._named(name) if old is not None else None
        after = new._named(name) if new is not None else None
        if before != after:
            yield name, before, after


def _file(entry: File | Tree | None) -> File | None:
    return entry if isinstance(entry, File) else None


def _directory(entry: File | Tree | None) -> Tree | None:
    return entry if isinstance(entry, Tree) else None


def _hashed(entry: File | Tree, objects: Objects) -> bytes:
    """The 32 bytes of the SHA-256 id of a file, or of a directory that is hashed."""
    return entry._id256 if isinstance(entry, Tree) else entry.id256(objects)


def _id256(kind: str, content: bytes) -> bytes:
    return hashlib.sha256(f"{kind} {len(content)}\0".encode() + content).digest()


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
