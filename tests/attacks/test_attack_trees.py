"""Trees: names and modes that mean something else to git, or to some system, than to the ledger (spec 3, Entries).

Alice puts a directory into her domain, and nothing stops her hand: its tree object is written byte by byte. Where git's
own check of pushed objects sees it first, its name for the reason stands in the table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import forge
import pytest
from doors import Doors, Thrown
from world import Templates, World

from gitledger.errors import LedgerError
from gitledger.objects.store import Store
from gitledger.rules import advance

Row = tuple[str, bytes | str, str]
"""Mode, name and object of an entry."""

BOX = "domains/alice/box"
EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
BLOB = "ce013625030ba8dba906f756967f9e9ca394464a"
"""`hello` and a newline."""


def f(name: bytes | str, mode: str = "100644", oid: str = BLOB) -> Row:
    """A file of this name."""
    return mode, name, oid


# rule, entries, what git's own check calls it
TREES: dict[str, tuple[str, list[Row], str]] = {
    # .git
    "git": ("name-git", [f(".git")], "hasDotgit"),
    "git as a directory": ("name-git", [("40000", ".git", "box")], "hasDotgit"),
    "git in capitals": ("name-git", [f(".GIT")], "hasDotgit"),
    "git in some capitals": ("name-git", [f(".gIt")], "hasDotgit"),
    "the short name of git on Windows": ("name-short-form", [f("git~1")], "hasDotgit"),
    "the short name in capitals": ("name-short-form", [f("GIT~1")], "hasDotgit"),
    "git and a space": ("name-end", [f(".git ")], "hasDotgit"),
    "git and a dot": ("name-end", [f(".git.")], "hasDotgit"),
    "git and dots and spaces": ("name-end", [f(".git . .")], "hasDotgit"),
    "git as a stream": ("name-character", [f(".git::$INDEX_ALLOCATION")], "hasDotgit"),
    "git as another stream": ("name-character", [f(".git:x")], "hasDotgit"),
    "git behind a backslash": ("name-character", [f("x\\.git")], "hasDotgit"),
    "git with a zero width non-joiner": ("name-code-point", [f(".g\u200cit")], "hasDotgit"),
    "git behind a byte order mark": ("name-code-point", [f("\ufeff.git")], "hasDotgit"),
    "git from right to left": ("name-code-point", [f(".\u202egit")], "hasDotgit"),
    "gitmodules": ("name-git", [f(".gitmodules")], ""),
    "gitmodules in capitals": ("name-git", [f(".GITMODULES")], ""),
    "gitmodules with a long s": ("name-git", [f(".gitmoduleſ")], ""),
    "gitmodules by its short name": ("name-short-form", [f("GITMOD~1")], ""),
    "gitattributes below the root": ("name-git", [f(".gitattributes")], ""),
    # where one is
    "the directory above": ("name-dots", [f("..")], "hasDotdot"),
    "the directory above as a directory": ("name-dots", [("40000", "..", "box")], "hasDotdot"),
    "the directory itself": ("name-dots", [f(".")], "hasDot"),
    "a path": ("name-slash", [f("a/b")], "fullPathname"),
    "a way up": ("name-slash", [f("../../ledger/policy.yaml")], "fullPathname"),
    # what is no file
    "a symbolic link": ("symbolic-link", [f("link", "120000")], ""),
    "a submodule": ("submodule", [("160000", "module", "tip")], ""),
    "an empty directory": ("empty-directory", [("40000", "empty", EMPTY_TREE)], ""),
    "an empty directory beside a file": ("empty-directory", [f("a"), ("40000", "empty", EMPTY_TREE)], ""),
    "a file that a group may write": ("mode", [f("file", "100664")], ""),
    "a file that nobody else reads": ("mode", [f("file", "100600")], ""),
    "a file with a mode of seven digits": ("mode", [f("file", "0100644")], "zeroPaddedFilemode"),
    "a directory with a mode of six digits": ("mode", [("040000", "d", "box")], "zeroPaddedFilemode"),
    # twins
    "twins in case": ("names-alike", [f("README"), f("readme")], ""),
    "a file and a directory that are twins": ("names-alike", [("40000", "Box", "box"), f("box")], ""),
    "twins in the German sharp s": ("names-alike", [f("STRASSE"), f("straße")], ""),
    "twins in a ligature": ("names-alike", [f("file"), f("ﬁle")], ""),
    "twins in a final sigma": ("names-alike", [f("σας"), f("σασ")], ""),
    "ΐ composed and from its upper case": ("names-alike", [f("\u0390"), f("\u03aa\u0301")], ""),
    "ΐ and the one of the Greek extension": ("name-nfc", [f("\u0390"), f("\u1fd3")], ""),
    "ΐ decomposed": ("name-nfc", [f("\u03b9\u0308\u0301")], ""),
    "é composed and decomposed": ("name-nfc", [f("e\u0301"), f("é")], ""),
    "the sign of the Ångström": ("name-nfc", [f("\u212b")], ""),
    # devices
    "the console": ("name-device", [f("con")], ""),
    "the console with an extension": ("name-device", [f("CON.txt")], ""),
    "a device with spaces": ("name-device", [f("nul  .txt")], ""),
    "a printer": ("name-device", [f("prn")], ""),
    "an auxiliary directory": ("name-device", [("40000", "aux", "box")], ""),
    "a serial port": ("name-device", [f("com1.tar.gz")], ""),
    "a serial port in a superscript": ("name-device", [f("COM¹")], ""),
    "a parallel port": ("name-device", [f("Lpt9")], ""),
    "the console's input": ("name-device", [f("CONIN$")], ""),
    # characters
    "a code point that nobody assigned": ("name-code-point", [f("\u0378")], ""),
    "one that came with Unicode 15.0": ("name-code-point", [f("\U0001fae8")], ""),
    "one that came with Unicode 15.1": ("name-code-point", [f("\u2ffc")], ""),
    "one that came with Unicode 16.0": ("name-code-point", [f("\u1c89")], ""),
    "a letter of nobody's": ("name-code-point", [f("\ue000")], ""),
    "no character": ("name-code-point", [f("\ufffe")], ""),
    "a line feed": ("name-code-point", [f("a\nb")], ""),
    "an escape": ("name-code-point", [f("a\x1b[2J")], ""),
    "a delete": ("name-code-point", [f("a\x7f")], ""),
    "a line separator": ("name-code-point", [f("a\u2028b")], ""),
    "a soft hyphen": ("name-code-point", [f("a\u00adb")], ""),
    "a mark that turns the text": ("name-code-point", [f("txt.\u202eexe")], ""),
    "bytes that are not UTF-8": ("name-utf8", [f(b"\xff")], ""),
    "UTF-8 cut off": ("name-utf8", [f(b"a\xc3")], ""),
    "a slash in two bytes": ("name-utf8", [f(b"a\xc0\xafb")], ""),
    "a surrogate": ("name-utf8", [f(b"\xed\xa0\x80")], ""),
    "a backslash": ("name-character", [f("a\\b")], ""),
    "a colon": ("name-character", [f("a:b")], ""),
    "a star": ("name-character", [f("*")], ""),
    "a name that ends in a dot": ("name-end", [f("a.")], ""),
    "a name that ends in a space": ("name-end", [f("a ")], ""),
    "a short name": ("name-short-form", [f("progra~1")], ""),
    "a name of 256 bytes": ("name-length", [f("n" * 256)], ""),
    # the object itself
    "entries out of order": ("unsorted-tree", [f("b"), f("a")], "treeNotSorted"),
    "a directory sorted as a file": ("unsorted-tree", [("40000", "a", "box"), f("a.b")], "treeNotSorted"),
    "one entry twice": ("duplicate-entry", [f("a"), f("a")], "duplicateEntries"),
    "a file and a directory of one name": (
        "duplicate-entry",
        [f("a"), f("a.b"), ("40000", "a", "box")],
        "duplicateEntries",
    ),
}

# What is nearly the same, and honest.
HONEST = (
    *("a", ".github", "gitignore", ".gitignore", "git-1", ".gitmodule", "gitattributes", "...a", "..a", " a", "a b"),
    *("straße", "ﬁ", "\u0390", "\u03aa", "é", "Å", "σας", "ı", "і", "𝔄", "\u1c88", "\u2ffb", "\U0001fae7", "a\u00ac"),
    *(
        "icon",
        "console",
        "com",
        "com10",
        "com⁴",
        "aux-",
        "nul a.txt",
        "conin",
        "lpt",
        "a~b",
        "n" * 255,
        "é" * 127 + "e",
    ),
)


def box(doors: Doors, entries: Sequence[Row]) -> str:
    """A directory of these entries. `box` for an object is an honest directory, `tip` the newest snapshot."""
    forge.write_object(doors.bench, "blob", b"hello\n")
    forge.write_object(doors.bench, "tree", b"")
    known = {"box": forge.raw_tree(doors.bench, [f("file")]), "tip": doors.tip}
    return forge.raw_tree(doors.bench, [(mode, name, known.get(oid, oid)) for mode, name, oid in entries])


def boxed(doors: Doors, entries: Sequence[Row]) -> str:
    """The newest snapshot's tree, in which alice has a directory of these entries."""
    held = forge.files(doors.bench, doors.tip)
    return forge.tree_of(doors.bench, {**held, BOX: ("40000", box(doors, entries))})


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory, templates: Templates) -> Doors:
    """A ledger in which alice has a file, and shared paths are open to all."""
    world = World(tmp_path_factory.mktemp("trees"), templates)
    world.make_host(paths=["{match: '**', proposers: any}"])
    world.propose(world.alice, {"domains/alice/notes/readme.txt": b"hello\n"})
    world.emit()
    return Doors(world)


@pytest.fixture(scope="module")
def thrown(doors: Doors) -> Thrown:
    """Those of the table TREES that git lets pass, in one push."""
    table = Thrown(doors)
    for name, (_, entries, git) in TREES.items():
        if not git:
            table.propose(name, doors.proposed(doors.world.alice, boxed(doors, entries)))
    return table


@pytest.mark.parametrize("name", [name for name, (_, _, git) in TREES.items() if not git])
def test_no_directory_holds(thrown: Thrown, name: str) -> None:
    thrown.refused(name, TREES[name][0])


@pytest.mark.parametrize("name", [name for name, (_, _, git) in TREES.items() if git])
def test_git_stops_a_directory_that_holds(doors: Doors, name: str) -> None:
    _, entries, git = TREES[name]
    proposal = doors.proposed(doors.world.alice, boxed(doors, entries))
    doors.git_refuses(proposal, git, "refs/proposals/alice/box")


@pytest.fixture(scope="module")
def unchecked(doors: Doors) -> Thrown:
    """The others, in one push, at a host whose git checks nothing."""
    settings = "-c transfer.fsckObjects=false -c receive.fsckObjects=false"
    table = Thrown(doors, f"--receive-pack=git {settings} receive-pack")
    for name, (_, entries, git) in TREES.items():
        if git:
            table.propose(name, doors.proposed(doors.world.alice, boxed(doors, entries)))
    return table


@pytest.mark.parametrize("name", [name for name, (_, _, git) in TREES.items() if git])
def test_where_git_checks_nothing_still_no_directory_holds(unchecked: Thrown, name: str) -> None:
    unchecked.refused(name, TREES[name][0])


@dataclass(frozen=True)
class Founding:
    """A genesis of which only the tree is not settled."""

    doors: Doors
    people: Mapping[str, Path]
    files: forge.Files

    def looked_at(self, entries: Sequence[Row]) -> None:
        """A consumer's look at it, when alice has a directory of these entries."""
        tree = forge.tree_of(self.doors.bench, {**self.files, BOX: ("40000", box(self.doors, entries))})
        oid = forge.genesis(self.doors.bench, self.people, tree=tree)
        advance.genesis(Store.open(self.doors.bench), oid, forge.hash_of(self.doors.bench, oid))


@pytest.fixture(scope="module")
def founding(doors: Doors) -> Founding:
    people = {one: doors.world.key(one) for one in ("you", "alice", "james")}
    return Founding(doors, people, forge.files(doors.bench, forge.genesis(doors.bench, people)))


@pytest.mark.parametrize("name", TREES)
def test_no_ledger_begins_with_a_directory_that_holds(founding: Founding, name: str) -> None:
    rule, entries, _ = TREES[name]
    with pytest.raises(LedgerError) as caught:
        founding.looked_at(entries)
    assert caught.value.rule == rule


def test_what_is_nearly_the_same_and_honest_is_accepted(doors: Doors, founding: Founding) -> None:
    entries = [*(f(name) for name in HONEST), ("40000", "box", "box"), f("run", "100755")]
    entries.sort(key=lambda row: str(row[1]).encode())
    proposal = doors.proposed(doors.world.alice, boxed(doors, entries))
    doors.host_takes(proposal, "refs/proposals/alice/honest")
    doors.consumer_takes(doors.snapshot(proposal))
    founding.looked_at(entries)


# What only the whole tree shows


NOTES = "domains/alice/notes"

PATHS: dict[str, tuple[str, dict[str, forge.Content | None]]] = {
    "a twin of a file that is there": ("names-alike", {f"{NOTES}/README.txt": b"mine\n"}),
    "a twin of a directory that is there": ("names-alike", {"domains/alice/Notes/other.txt": b"mine\n"}),
    "a twin of a domain": ("names-alike", {"domains/Alice/domain.yaml": b"mine\n"}),
    "a twin of the ledger's own directory": ("names-alike", {"Ledger/policy.yaml": b"mine\n"}),
    "a twin of the ledger's attributes": ("names-alike", {".GitAttributes": b"* text\n"}),
    "modules at the root": ("name-git", {".gitmodules": b"[submodule]\n"}),
    "attributes of a domain": ("name-git", {"domains/alice/.gitattributes": b"* filter=x\n"}),
    "attributes at the root that are others": ("ledger-path", {".gitattributes": b"* text\n"}),
    "no attributes": ("ledger-path", {".gitattributes": None}),
    "attributes that are executable": ("ledger-path", {".gitattributes": ("100755", forge.ATTRIBUTES)}),
    "a path of more than 1000 bytes": ("path-length", {"/".join([f"{NOTES}/x", *["d" * 250] * 4]): b"deep\n"}),
    "a manifest that is executable": (
        "document-mode",
        {"domains/alice/domain.yaml": ("100755", forge.manifest_file("alice"))},
    ),
    "a file in the place of a domain": ("domain-not-registered", {"domains/newcomer": b"mine\n"}),
}


@pytest.fixture(scope="module")
def pathed(doors: Doors) -> Thrown:
    """The table PATHS, in one push."""
    table = Thrown(doors)
    for name, (_, changes) in PATHS.items():
        table.propose(name, doors.proposal(doors.world.alice, changes))
    return table


@pytest.mark.parametrize("name", PATHS)
def test_no_proposal_brings(pathed: Thrown, name: str) -> None:
    pathed.refused(name, PATHS[name][0])


ANYWHEN = "Ledger-Reorder: any\n"

CONFLICTS: dict[str, tuple[dict[str, forge.Content | None], dict[str, forge.Content | None]]] = {
    "a file where a directory is": ({"shared/a/b": b"one\n"}, {"shared/a": b"two\n"}),
    "a directory where a file is": ({"shared/a": b"one\n"}, {"shared/a/b": b"two\n"}),
    "a twin of what came meanwhile": ({"shared/A": b"one\n"}, {"shared/a": b"two\n"}),
}


@pytest.mark.parametrize("name", CONFLICTS)
def test_two_honest_changes_do_not_become(world: World, name: str) -> None:
    """Each is valid on the base of both; the second is not on the first."""
    first, second = CONFLICTS[name]
    rule = "names-alike" if "twin" in name else "file-directory-conflict"
    doors = Doors(world)
    one, other = doors.proposal(world.alice, first), doors.proposal(world.james, second, "A change\n\n" + ANYWHEN)
    doors.consumer_takes(doors.snapshot(other))
    doors.queue(one, "proposals/alice/first")
    doors.emit()
    doors.host_refuses(other, rule, "refs/proposals/james/second")
    doors.consumer_refuses(doors.waved_through(other), rule)


def test_what_no_git_would_push_is_no_tree(doors: Doors) -> None:
    """Objects that are missing, of another kind or cut off: a consumer's repository may hold them all the same."""
    for rule, entry in (
        ("missing-object", ("40000", "missing", "1" * 40)),
        ("missing-object", f("missing", oid="1" * 40)),
        ("missing-object", f("null", oid="0" * 40)),
        ("object-kind", f("directory", oid=EMPTY_TREE)),
        ("object-kind", ("40000", "file", BLOB)),
        ("object-kind", ("40000", "commit", doors.tip)),
        ("tree-entry", f("")),
        ("tree-entry", f("cut off", oid=BLOB[:38])),
    ):
        proposal = doors.proposed(doors.world.alice, boxed(doors, [entry]))
        doors.consumer_refuses(doors.waved_through(proposal), rule)
        done = doors.world.offer(proposal, "refs/proposals/alice/box")
        assert done.returncode and done.before == done.after
