"""Trees: both ids agree with stock git, changes go there and back, and no tree costs more than it holds."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from realgit import Memory, Repository

from gitledger.errors import LedgerError, Malformed, Refused, Unsound
from gitledger.objects.entries import EXECUTABLE
from gitledger.objects.store import Store
from gitledger.objects.trees import File, Tree

Files = dict[str, tuple[bytes, bool]]

NAMES = st.sampled_from(["a", "a.b", "a-b", "a0", "b", "B", "é", "Ω", "日本"])
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)
CONTENTS = st.tuples(st.sampled_from([b"", b"one\n", b"two\r\n", b"\0\xff"]), st.booleans())


def consistent(files: Files) -> Files:
    """Without files that stand where a directory must be, and without siblings that are alike."""
    folded = {path.lower() for path in files}
    kept: Files = {}
    for path, file in sorted(files.items()):
        above = [part.lower() for part in itertools.accumulate(path.split("/")[:-1], "{}/{}".format)]
        if not folded.intersection(above) and path == path.lower():
            kept[path] = file
    return kept


TREES = st.dictionaries(PATHS, CONTENTS, min_size=1, max_size=8).map(consistent).filter(bool)
REAL = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> tuple[Repository, Repository]:
    """A repository, and one whose ids are SHA-256."""
    directory = tmp_path_factory.mktemp("trees")
    return Repository(directory / "one"), Repository(directory / "two", "--object-format=sha256")


def made(objects: Store | Memory, files: Files) -> Tree:
    """The tree of these files, built by `apply` from nothing."""
    return Tree.empty(objects).apply({path: file_of(*file) for path, file in files.items()})


def file_of(content: bytes, executable: bool = False) -> File:
    return File.of(content, EXECUTABLE) if executable else File.of(content)


# With stock git


@REAL
@given(files=TREES)
def test_both_ids_are_those_of_stock_git(real: tuple[Repository, Repository], files: Files) -> None:
    one, two = real
    store = Store.open(one.path)
    loaded = Tree.load(store, one.grow(files))
    assert loaded.digest == "sha256:" + two.grow(files)
    built = made(store, files)
    assert (built.oid, built.digest) == (loaded.oid, loaded.digest)
    assert {path: file.content(store) for path, file in loaded.files()} == {p: c for p, (c, _) in files.items()}
    loaded.check()


@REAL
@given(old=TREES, new=TREES)
def test_changes_are_those_of_diff_tree_and_applying_them_goes_there(
    real: tuple[Repository, Repository], old: Files, new: Files
) -> None:
    one, _ = real
    store = Store.open(one.path)
    before, after = Tree.load(store, one.grow(old)), Tree.load(store, one.grow(new))
    changes = before.changes_to(after)
    listed = one.git("diff-tree", "-r", "--no-renames", "-z", before.oid, after.oid).decode().split("\0")[:-1]
    expected = {}
    for line, path in zip(listed[::2], listed[1::2], strict=True):
        old_mode, new_mode, old_oid, new_oid, _ = line[1:].split(" ")
        sides = [(old_mode, old_oid), (new_mode, new_oid)]
        expected[path] = tuple(None if m == "000000" else File(int(m, 8), o) for m, o in sides)
    assert changes == expected
    there = before.apply({path: file for path, (_, file) in changes.items()})
    assert there == after
    assert there.digest == after.digest
    back = there.apply({path: file for path, (file, _) in changes.items()})
    assert back == before


@REAL
@given(old=TREES, new=TREES)
def test_what_apply_makes_is_written_so_that_stock_git_finds_it_whole(
    real: tuple[Repository, Repository], old: Files, new: Files
) -> None:
    one, _ = real
    store = Store.open(one.path)
    before = Tree.load(store, one.grow(old))
    added = {path: (b"new " + content, executable) for path, (content, executable) in new.items()}
    target = made(store, added)
    after = before.apply({path: file for path, (_, file) in before.changes_to(target).items()})
    assert after == target
    oid = after.write(store.write)
    assert oid == one.grow(added)
    listed = one.text("ls-tree", "-r", "--name-only", "-z", oid)
    assert listed.rstrip("\0").split("\0") == [path for path, _ in after.files()]
    one.git("fsck", "--strict", "--no-dangling", oid)


# Applying a change


HONEST: Files = {
    "ledger/policy.yaml": (b"p\n", False),
    "domains/alice/domain.yaml": (b"a\n", False),
    "domains/alice/data/one": (b"1\n", False),
    "domains/james/domain.yaml": (b"j\n", False),
    "run": (b"#!\n", True),
}


def paths(tree: Tree) -> list[str]:
    return [path for path, _ in tree.files()]


def test_files_come_sorted_by_path_from_all_the_tree_or_below_a_prefix(memory: Memory) -> None:
    tree = made(memory, {**HONEST, "domains.txt": (b"", False), "domains-x": (b"", False)})
    assert paths(tree) == sorted([*HONEST, "domains.txt", "domains-x"])
    assert [path for path, _ in tree.files("domains/alice")] == [
        "domains/alice/data/one",
        "domains/alice/domain.yaml",
    ]
    assert [path for path, _ in tree.files("run")] == ["run"]
    assert list(tree.files("domains/nobody")) == []


def test_a_path_is_found_where_it_stands(memory: Memory) -> None:
    tree = made(memory, HONEST)
    assert tree.get("run") == file_of(b"#!\n", True)
    assert isinstance(tree.get("domains/alice"), Tree)
    assert tree.read("ledger/policy.yaml") == b"p\n"
    for missing in ("", "domain", "domains/", "run/below", "domains/alice/nothing", "/run"):
        assert tree.get(missing) is None
    assert tree.read("domains/alice") is None


def test_empty_directories_vanish(memory: Memory) -> None:
    tree = made(memory, HONEST).apply({"domains/alice/data/one": None, "domains/alice/domain.yaml": None})
    assert tree.get("domains/alice") is None
    assert tree.apply({"domains/james/domain.yaml": None}).get("domains") is None


def test_removing_what_is_not_there_changes_nothing(memory: Memory) -> None:
    tree = made(memory, HONEST)
    nothing = {"none": None, "domains/none/x": None, "run/x": None, "domains/alice": None, "domains": None}
    assert tree.apply(nothing) is tree
    assert tree.apply({}) is tree


def test_a_file_may_give_way_to_a_directory_and_the_reverse_in_one_change(memory: Memory) -> None:
    tree = made(memory, HONEST)
    turned = tree.apply({"run": None, "run/now": file_of(b"1")})
    assert isinstance(turned.get("run"), Tree)
    assert turned.apply({"run": file_of(b"#!\n", True), "run/now": None}) == tree


@pytest.mark.parametrize(
    ("path", "also"),
    [("run/below", {}), ("domains", {}), ("domains/alice/data", {}), ("new", {"new/below": file_of(b"")})],
)
def test_a_file_where_a_directory_must_be_or_the_reverse_is_refused(
    memory: Memory, path: str, also: dict[str, File]
) -> None:
    with pytest.raises(Refused, match="file-directory-conflict"):
        made(memory, HONEST).apply({path: file_of(b"x"), **also})


@pytest.mark.parametrize(
    ("rule", "path"),
    [
        ("names-alike", "RUN"),
        ("names-alike", "Domains/x"),
        ("names-alike", "domains/alice/Data/one"),
        ("path-length", "/".join(["d" * 254] * 16) + "/" + "f" * 17),
        ("name-length", "d" * 256),
        ("name-empty", "domains//x"),
        ("name-empty", "/x"),
        ("name-dots", "domains/../x"),
    ],
)
def test_a_path_that_may_not_be_is_refused_when_it_is_added(memory: Memory, rule: str, path: str) -> None:
    tree = made(memory, HONEST)
    with pytest.raises(LedgerError, match=rf"\[{rule}\]"):
        tree.apply({path: file_of(b"x")})
    assert tree.apply({"domains/alice/data/" + "d" * 255: file_of(b"x")}) != tree


def test_two_new_siblings_that_are_alike_are_refused_and_a_change_of_case_passes(memory: Memory) -> None:
    tree = made(memory, HONEST)
    with pytest.raises(Refused, match="names-alike") as refused:
        tree.apply({"domains/alice/ΐ": file_of(b"1"), "domains/alice/Ϊ́": file_of(b"2")})
    assert refused.value.subject == "domains/alice"
    assert paths(tree.apply({"run": None, "Run": file_of(b"#!\n", True)}))[0] == "Run"


def test_a_change_of_mode_alone_is_a_change(memory: Memory) -> None:
    tree = made(memory, HONEST)
    other = tree.apply({"run": file_of(b"#!\n")})
    assert tree.changes_to(other) == {"run": (file_of(b"#!\n", True), file_of(b"#!\n"))}


def test_more_changed_paths_than_the_limit_are_refused(memory: Memory) -> None:
    tree = made(memory, HONEST)
    other = tree.apply({f"new/{number}": file_of(b"") for number in range(10)})
    assert len(tree.changes_to(other, limit=10)) == 10
    with pytest.raises(Refused, match="too-many-paths"):
        tree.changes_to(other, limit=9)
    with pytest.raises(Refused, match="too-many-paths"):
        other.changes_to(tree, limit=9)


def test_paths_that_are_spread_over_too_many_directories_are_refused(memory: Memory) -> None:
    tree = made(memory, HONEST)
    deep = "/".join("d" * 100)
    other = tree.apply({f"{number}/{deep}/x": file_of(b"") for number in range(10)})
    assert len(tree.changes_to(other, limit=10)) == 10
    other = other.apply({f"{number}/{deep}/x": file_of(b"") for number in range(10, 11)})
    with pytest.raises(Refused, match=r"more than 1110 directories.*too-many-paths"):
        tree.changes_to(other, limit=11)


# The strict reader

BLOB = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
FILE = ("100644", "file", BLOB)
BAD_TREES: list[tuple[str, list[tuple[str, str | bytes, str]]]] = [
    ("symbolic-link", [("120000", "link", BLOB)]),
    ("submodule", [("160000", "module", BLOB)]),
    ("mode", [("100664", "file", BLOB)]),
    ("mode", [("0100644", "file", BLOB)]),
    ("mode", [("100600", "file", BLOB)]),
    ("mode", [("644", "file", BLOB)]),
    ("mode", [("040000", "directory", BLOB)]),
    ("mode", [("40755", "directory", BLOB)]),
    ("mode", [("0", "file", BLOB)]),
    ("tree-entry", [("", "file", BLOB)]),
    ("tree-entry", [("100648", "file", BLOB)]),
    ("name-end", [("100644 ", "", BLOB)]),
    ("tree-entry", [("100644", "", BLOB)]),
    ("tree-entry", [FILE, ("100644", "short", BLOB[:38])]),
    ("name-dots", [("100644", ".", BLOB)]),
    ("name-dots", [("40000", "..", BLOB)]),
    ("name-git", [("40000", ".git", BLOB)]),
    ("name-git", [("100644", ".GitModules", BLOB)]),
    ("name-slash", [("100644", "a/b", BLOB)]),
    ("name-utf8", [("100644", b"\xff", BLOB)]),
    ("name-nfc", [("100644", "e\u0301", BLOB)]),
    ("name-device", [("100644", "Aux.txt", BLOB)]),
    ("unsorted-tree", [("100644", "b", BLOB), ("100644", "a", BLOB)]),
    ("unsorted-tree", [("40000", "a", BLOB), ("100644", "a.b", BLOB)]),
    ("duplicate-entry", [FILE, FILE]),
    ("duplicate-entry", [("100644", "a", BLOB), ("100644", "a.b", BLOB), ("40000", "a", BLOB)]),
    ("duplicate-entry", [("40000", "a", BLOB), ("40000", "a", BLOB)]),
    ("names-alike", [("100644", "File", BLOB), FILE]),
    ("names-alike", [("40000", "FILE", BLOB), FILE]),
    ("names-alike", [("100644", "strasse", BLOB), ("100644", "straße", BLOB)]),
    ("empty-directory", []),
]


@pytest.mark.parametrize(("rule", "entries"), BAD_TREES)
def test_a_tree_object_in_another_form_is_refused(
    memory: Memory, rule: str, entries: list[tuple[str, str | bytes, str]]
) -> None:
    tree = Tree.load(memory, memory.tree(*entries))
    with pytest.raises(LedgerError) as refused:
        tree.entries  # noqa: B018
    assert refused.value.rule == rule
    above = Tree.load(memory, memory.tree(("40000", "above", memory.tree(*entries))))
    with pytest.raises(LedgerError) as refused:
        made(memory, HONEST).changes_to(above)
    assert (refused.value.rule, refused.value.subject) == (rule, "above")


def test_its_honest_twin_is_read(memory: Memory) -> None:
    memory.put("blob", b"")
    below = memory.tree(FILE)
    entries = [
        ("100644", ".gitattributes", BLOB),
        ("100644", "a.b", BLOB),
        ("40000", "a", below),
        ("100755", "b", BLOB),
    ]
    tree = Tree.load(memory, memory.tree(*entries))
    assert list(tree.entries) == [".gitattributes", "a.b", "a", "b"]
    tree.check()
    assert tree.digest.startswith("sha256:")


def test_attributes_stand_at_the_root_alone_even_in_a_tree_that_is_the_root_elsewhere(memory: Memory) -> None:
    root = memory.tree(("100644", ".gitattributes", BLOB), FILE)
    good = Tree.load(memory, root)
    good.check()
    with pytest.raises(LedgerError, match="git"):
        Tree.load(memory, memory.tree(("40000", "below", root)), like=good).check()


def test_an_empty_directory_is_refused_wherever_it_stands(memory: Memory) -> None:
    tree = Tree.load(memory, memory.tree(("40000", "empty", memory.tree()), FILE))
    for look in (tree.check, lambda: list(tree.files()), lambda: tree.digest):
        with pytest.raises(Malformed, match="empty-directory"):
            look()
    with pytest.raises(Malformed, match="empty-directory"):
        Tree.empty(memory).check()


def test_an_object_of_another_kind_is_no_file_and_no_directory(repository: Repository) -> None:
    commit = repository.commit("First", file="x")
    tree = repository.text("rev-parse", "HEAD^{tree}")
    store = Store.open(repository.path)
    for mode, oid in (("100644", commit), ("100644", tree), ("40000", commit), ("40000", repository.put("blob", b"x"))):
        raw = mode.encode() + b" x\0" + bytes.fromhex(oid)
        odd = Tree.load(store, repository.put("tree", raw))
        with pytest.raises(Malformed, match="object-kind"):
            odd.digest  # noqa: B018
        entry = odd.get("x")
        if isinstance(entry, File):
            with pytest.raises(Malformed, match="object-kind"):
                entry.size(store)
    assert File(0o100644, repository.put("blob", b"four")).size(store) == 4


def test_a_store_that_answers_with_another_id_is_not_believed(memory: Memory) -> None:
    with pytest.raises(Unsound, match="object-id-differs"):
        made(memory, HONEST).write(lambda kind, content: BLOB)


# What it costs


def test_directories_that_are_equal_are_not_read(memory: Memory) -> None:
    oid = made(memory, HONEST).write(memory.put)
    tree = Tree.load(memory, oid)
    other = tree.apply({"domains/alice/data/one": file_of(b"2\n")})
    other.write(memory.put)
    memory.reads.clear()
    Tree.load(memory, oid).changes_to(Tree.load(memory, other.oid))
    unread = {tree.get("ledger"), tree.get("domains/james")}
    assert not {entry.oid for entry in unread if entry is not None}.intersection(memory.reads)
    assert len(memory.reads) == 8


def test_a_tree_like_another_reads_and_hashes_only_what_differs(memory: Memory) -> None:
    first = Tree.load(memory, made(memory, HONEST).write(memory.put))
    assert first.digest
    other = first.apply({"domains/alice/data/one": file_of(b"2\n")})
    oid = other.write(memory.put)
    del other
    memory.reads.clear()
    second = Tree.load(memory, oid, like=first)
    digest = second.digest
    assert sorted(set(memory.reads)) == sorted(memory.reads)
    assert len(memory.reads) == 5  # the root, domains, alice, data and the blob
    assert second.get("ledger") is first.get("ledger")
    assert second.get("domains/alice/domain.yaml") == first.get("domains/alice/domain.yaml")
    assert Tree.load(memory, oid).digest == digest
    assert Tree.load(memory, oid, like=second) is second


def test_only_what_is_new_is_written_and_only_once(memory: Memory) -> None:
    first = Tree.load(memory, made(memory, HONEST).write(memory.put))
    written: list[str] = []

    def write(kind: str, content: bytes) -> str:
        written.append(kind)
        return memory.put(kind, content)

    other = first.apply({"domains/alice/data/one": file_of(b"2\n"), "domains/alice/data/two": file_of(b"2\n")})
    other.write(write)
    assert sorted(written) == ["blob", "blob", "tree", "tree", "tree", "tree"]
    written.clear()
    other.write(write)
    first.write(write)
    assert written == []


def test_trees_that_grow_from_one_another_hold_no_history(memory: Memory) -> None:
    tree = Tree.load(memory, made(memory, HONEST).write(memory.put))
    for number in range(2000):
        changed = made(memory, {**HONEST, "domains/alice/data/one": (b"%d" % number, False)})
        tree = Tree.load(memory, changed.write(memory.put), like=tree)
    depth = 0
    likeness = tree
    while likeness._like is not None:
        likeness, depth = likeness._like, depth + 1
    assert depth <= 1
    assert tree.read("domains/alice/data/one") == b"1999"


def bomb(memory: Memory, levels: int, width: int = 10) -> str:
    """A root of `width ** levels` paths in `levels` small objects."""
    oid = memory.tree(("100644", "file", memory.put("blob", b"")))
    for _ in range(levels):
        oid = memory.tree(*(("40000", str(number), oid) for number in range(width)))
    return oid


@pytest.mark.parametrize(
    "act",
    [
        lambda tree: tree.digest,
        lambda tree: tree.check(),
        lambda tree: list(itertools.islice(tree.files(), 1000)),
        lambda tree: tree.apply({"0/0/0/0/new": file_of(b"x"), "9/9/9": None}),
    ],
)
def test_a_tree_that_unfolds_into_millions_of_paths_costs_what_it_holds(
    memory: Memory, act: Callable[[Tree], object]
) -> None:
    tree = Tree.load(memory, bomb(memory, 40))
    began = time.monotonic()
    act(tree)
    assert time.monotonic() - began < 2


def test_a_change_by_millions_of_paths_is_refused_at_the_limit(memory: Memory) -> None:
    tree = made(memory, HONEST)
    hostile = Tree.load(memory, bomb(memory, 40), like=tree)
    began = time.monotonic()
    with pytest.raises(Refused, match="too-many-paths"):
        tree.changes_to(hostile, limit=1000)
    assert time.monotonic() - began < 2


def chain(memory: Memory, depth: int) -> str:
    oid = memory.tree(("100644", "f", memory.put("blob", b"")))
    for _ in range(depth):
        oid = memory.tree(("40000", "d", oid))
    return oid


def test_the_deepest_tree_that_a_path_allows_is_handled(memory: Memory) -> None:
    deep = Tree.load(memory, chain(memory, 499))
    path = "d/" * 499 + "f"
    deep.check()
    assert paths(deep) == [path]
    empty = Tree.empty(memory)
    changes = empty.changes_to(deep)
    assert list(changes) == [path]
    assert empty.apply({path: changes[path][1]}) == deep
    assert deep.apply({path: None}) == empty
    assert deep.apply({path: file_of(b"new")}).write(memory.put)
    assert deep.digest


@pytest.mark.parametrize("depth", [500, 20_000])
def test_a_deeper_tree_is_refused(memory: Memory, depth: int) -> None:
    deep = Tree.load(memory, chain(memory, depth))
    for act in (deep.check, lambda: paths(deep), lambda: Tree.empty(memory).changes_to(deep)):
        with pytest.raises(Refused, match="path-length"):
            act()
    assert deep.digest  # its ids are what they are


def test_many_of_the_deepest_paths_in_a_small_pack_are_handled(memory: Memory) -> None:
    oid = chain(memory, 490)
    tree = Tree.load(memory, memory.tree(*(("40000", f"{number:03}", oid) for number in range(20))))
    began = time.monotonic()
    changes = Tree.empty(memory).changes_to(tree, limit=1000)
    assert Tree.empty(memory).apply({path: new for path, (_, new) in changes.items()}) == tree
    assert time.monotonic() - began < 20


def test_a_large_directory_takes_a_change_in_a_moment(memory: Memory) -> None:
    tree = made(memory, {f"domains/alice/{number}": (b"", False) for number in range(20_000)})
    assert tree.digest
    began = time.monotonic()
    assert tree.apply({"domains/alice/new": file_of(b"x")}).digest
    assert time.monotonic() - began < 2


def test_the_path_of_a_repository_is_no_part_of_it(repository: Repository, tmp_path: Path) -> None:
    oid = repository.grow(HONEST)
    bare = tmp_path / "bare.git"
    repository.git("clone", "-q", "--bare", ".", str(bare))
    assert Tree.load(Store.open(bare), oid).digest == Tree.load(Store.open(repository.path), oid).digest


def test_what_was_refused_is_not_known_as_read(memory: Memory) -> None:
    tree = Tree.load(memory, made(memory, {"d/a": (b"1\n", False)}).write(memory.put))
    with pytest.raises(Refused, match="names-alike") as held:
        tree.apply({"d/A": file_of(b"2\n")})
    one, two = memory.put("blob", b"1\n"), memory.put("blob", b"2\n")
    oid = memory.tree(("40000", "d", memory.tree(("100644", "A", two), ("100644", "a", one))))
    with pytest.raises(Refused, match="names-alike"):
        tree.changes_to(Tree.load(memory, oid, like=tree))
    assert held.value.subject == "d"
