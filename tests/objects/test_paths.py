"""Names of a tree: every clause of spec 3, Entries, each refusal beside an honest name that passes."""

from __future__ import annotations

import hashlib
import subprocess
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitledger.errors import LedgerError, Malformed
from gitledger.objects import unicode14
from gitledger.objects.paths import check_component, check_path, check_together, fold

# rule, the raw name, an honest name that differs from it as little as may be
REFUSED = [
    ("name-empty", b"", b"a"),
    ("name-utf8", b"caf\xe9", b"caf\xc3\xa9"),
    ("name-utf8", b"\xc0\xaf", b"\xc3\xaf"),  # an overlong slash
    ("name-utf8", b"\xed\xa0\x80", b"\xed\x9f\x80"),  # a surrogate
    ("name-utf8", b"a\xf4\x90\x80\x80", b"a\xf0\x90\x80\x80"),  # above U+10FFFF
    ("name-nfc", b"cafe\xcc\x81", b"caf\xc3\xa9"),
    ("name-nfc", b"\xe1\xbf\x93", b"\xce\x90"),  # the iota with dialytika and tonos, written two ways
    ("name-nfc", b"\xe2\x84\xaa", b"K"),  # the Kelvin sign
    ("name-nfc", b"a\xcc\xa7\xcc\x81\xcc\xa3", b"\xe1\xba\xa1\xcc\xa7\xcc\x81"),
    ("name-length", b"a" * 256, b"a" * 255),
    ("name-length", b"\xc3\xa9" * 128, b"\xc3\xa9" * 127 + b"e"),
    ("name-slash", b"a/b", b"a-b"),
    ("name-code-point", b"a\x00b", b"a0b"),
    ("name-code-point", b"a\nb", b"a b"),
    ("name-code-point", b"a\x7f", b"a~"),
    ("name-code-point", b"a\xc2\x85", b"a\xc2\xa1"),  # NEL, Cc
    ("name-code-point", b"a\xc2\xad", b"a\xc2\xac"),  # soft hyphen, Cf
    ("name-code-point", b"a\xe2\x80\xaeb", b"a\xe2\x80\x90b"),  # right-to-left override, Cf
    ("name-code-point", b"a\xe2\x80\xa8b", b"a\xe2\x80\xa6b"),  # line separator, Zl
    ("name-code-point", b"a\xe2\x80\xa9b", b"a\xe2\x80\xa6b"),  # paragraph separator, Zp
    ("name-code-point", b"a\xee\x80\x80", b"a\xef\xac\x80"),  # private use, Co
    ("name-code-point", b"\xef\xbf\xbe", b"\xef\xbf\xbd"),  # a non-character
    ("name-code-point", b"\xcd\xb8", b"\xcd\xb7"),  # never assigned so far
    ("name-code-point", b"\xf0\x9f\xab\xa8", b"\xf0\x9f\xab\xa7"),  # U+1FAE8 came with Unicode 15.0
    ("name-code-point", b"\xe2\xbf\xbc", b"\xe2\xbf\xbb"),  # U+2FFC came with 15.1
    ("name-code-point", b"\xe1\xb2\x89", b"\xe1\xb2\x88"),  # U+1C89 came with 16.0, with a lower case
    *[("name-character", b"a" + bytes([c]) + b"b", b"a_b") for c in b'\\:*?"<>|'],
    ("name-dots", b".", b".a"),
    ("name-dots", b"..", b"..a"),
    ("name-end", b"a.", b"a.b"),
    ("name-end", b"a ", b" a"),
    ("name-end", b"...", b"...a"),
    ("name-short-form", b"progra~1", b"progra~a"),
    ("name-short-form", b"a~0", b"a~~"),
    ("name-device", b"con", b"con-"),
    ("name-device", b"CON", b"ICON"),
    ("name-device", b"Prn.txt", b"Prnt.txt"),
    ("name-device", b"aux.tar.gz", b"tar.aux.gz"),
    ("name-device", b"nul  .txt", b"nul a.txt"),
    ("name-device", b"conin$", b"conin"),
    ("name-device", b"CONOUT$.log", b"CONOUT.log"),
    ("name-device", b"com0", b"com"),
    ("name-device", b"Com9.h", b"Com10.h"),
    ("name-device", b"lpt1", b"lpt"),
    ("name-device", "com¹".encode(), "com⁴".encode()),
    ("name-device", "LPT².txt".encode(), "LPT⁵.txt".encode()),
    ("name-device", "lpt³".encode(), b"lpt-3"),
    ("name-git", b".git", b".github"),
    ("name-git", b".GiT", b"git"),
    ("name-git", b".gitmodules", b".gitmodule"),
    ("name-git", b".GITMODULES", b"gitmodules"),
    ("name-git", ".gitmoduleſ".encode(), b".gitignore"),  # the long s folds to s
    ("name-git", b".gitattributes", b"gitattributes"),
    ("name-git", ".gitAttributeſ".encode(), b".gitkeep"),
]

# What git itself refuses with core.protectHFS and core.protectNTFS, as raw bytes.
DISGUISES_OF_GIT = [
    b".git",
    b".GIT",
    b".gIt",
    b"git~1",
    b"GIT~1",
    b".git ",
    b".git.",
    b".git . .",
    b".git::$INDEX_ALLOCATION",
    b".git:stream",
    b".git\\config",
    b"..\\.git",
    b".g\xe2\x80\x8cit",
    b".git\xe2\x80\x8d",
    b"\xef\xbb\xbf.git",
    b".gi\xe2\x81\xaat",
    b".\xe2\x80\xaegit",
]


@pytest.mark.parametrize(("rule", "raw", "honest"), REFUSED, ids=lambda value: repr(value)[:40])
def test_a_forbidden_name_is_refused_beside_its_honest_twin(rule: str, raw: bytes, honest: bytes) -> None:
    with pytest.raises(LedgerError) as caught:
        check_component(raw, root=False)
    assert caught.value.rule == rule
    assert caught.value.mend
    assert str(caught.value).isprintable()
    assert check_component(honest, root=False).encode() == honest


def test_git_attributes_stand_in_the_root_alone() -> None:
    assert check_component(b".gitattributes", root=True) == ".gitattributes"
    with pytest.raises(LedgerError, match="name-git"):
        check_component(b".gitattributes", root=False)
    with pytest.raises(LedgerError, match="name-git"):
        check_component(b".gitmodules", root=True)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("names")
    subprocess.run(["git", "init", "-q", path], check=True)
    return path


def git_takes(repository: Path, name: bytes) -> bool:
    """Whether stock git lets a file of this name into its index, guarding for macOS and Windows."""
    protect = ["-c", "core.protectHFS=true", "-c", "core.protectNTFS=true"]
    blob = b"e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
    done = subprocess.run(
        ["git", "-C", repository, *protect, "update-index", "-z", "--index-info"],
        input=b"100644 " + blob + b"\t" + name + b"\0",
        capture_output=True,
        check=False,
    )
    return done.returncode == 0 and b"gnoring path" not in done.stderr


@pytest.mark.parametrize("name", DISGUISES_OF_GIT, ids=repr)
def test_every_disguise_of_git_that_git_refuses_is_refused(repository: Path, name: bytes) -> None:
    assert not git_takes(repository, name)
    with pytest.raises(LedgerError):
        check_component(name, root=True)


@pytest.mark.parametrize("name", [b".gitignore", b"git-1", b"dot.git.txt", "größe.txt".encode()], ids=repr)
def test_honest_names_pass_here_and_in_git(repository: Path, name: bytes) -> None:
    assert git_takes(repository, name)
    assert check_component(name, root=True).encode() == name


@given(st.binary(max_size=20) | st.text(max_size=12).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_their_own_name_or_an_error_of_ours(raw: bytes) -> None:
    try:
        name = check_component(raw, root=False)
    except LedgerError as error:
        assert error.mend
        assert str(error).isprintable()
    else:
        assert name.encode() == raw


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("README", "readme"),
        ("straße", "STRASSE"),
        ("ﬁle", "file"),
        ("Σίσυφος", "ΣΊΣΥΦΟΣ"),
        ("\u0390", "\u1fd3"),
        ("\u0390", "\u03aa\u0301"),
        ("\u1e9e", "ss"),
        ("İ", "i\u0307"),
        ("Ꭰ", "ꭰ"),
        ("é", "e\u0301"),
        ("\u212b", "å"),
    ],
)
def test_twins_under_folding_fold_to_one_name(one: str, other: str) -> None:
    assert fold(one) == fold(other)


@pytest.mark.parametrize(("one", "other"), [("a", "b"), ("ı", "i"), ("e", "é"), ("①", "1"), ("a", "а")])
def test_different_names_stay_different_under_folding(one: str, other: str) -> None:
    assert fold(one) != fold(other)


NAMEABLE = [chr(code) for code in range(0x110000) if unicode14.allowed(code)]


@given(st.text(st.sampled_from(NAMEABLE), max_size=8))
def test_folding_twice_is_folding_once(name: str) -> None:
    assert fold(fold(name)) == fold(name)


def test_folding_and_the_normal_form_are_the_same_on_every_python() -> None:
    said = hashlib.sha256()
    for character in NAMEABLE:
        said.update(f"{fold(character)}\0{unicodedata.normalize('NFC', character)}\n".encode())
    assert said.hexdigest() == "25f0b93a594e89b3ecfde6e9c65afb20b4469f252ea550f6225adbe7b354ffe5"


@pytest.mark.skipif(unicodedata.unidata_version != "14.0.0", reason="this Python has another Unicode")
def test_the_table_is_what_unicode_14_says() -> None:
    refused = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp", "Cn"}
    derived = [unicodedata.category(chr(code)) not in refused for code in range(0x110000)]
    assert [unicode14.allowed(code) for code in range(0x110000)] == derived


def test_a_path_is_checked_component_by_component() -> None:
    check_path("domains/alice/domain.yaml")
    check_path(".gitattributes")
    for path, rule in [
        ("", "name-empty"),
        ("/a", "name-empty"),
        ("a//b", "name-empty"),
        ("a/", "name-empty"),
        ("a/../b", "name-dots"),
        ("./a", "name-dots"),
        ("a/.git/config", "name-git"),
        ("domains/.gitattributes", "name-git"),
        ("a/\udc80", "name-utf8"),
    ]:
        with pytest.raises(LedgerError) as caught:
            check_path(path)
        assert caught.value.rule == rule, path


def test_a_path_has_at_most_1000_bytes() -> None:
    path = "/".join(["a" * 249] * 4)
    assert len(path) == 999
    check_path(path)
    check_path("b/" + path[1:])
    with pytest.raises(LedgerError, match="path-length"):
        check_path("bc/" + path[1:])
    with pytest.raises(LedgerError, match="path-length"):
        check_path("é" * 501)


@pytest.mark.parametrize(
    ("paths", "rule"),
    [
        (["out.tar", "out.tar/x"], "file-directory-conflict"),
        (["a", "a-b", "a.b", "a/b"], "file-directory-conflict"),
        (["A", "a/b"], "names-alike"),
        (["o/x", "o/X"], "names-alike"),
        (["o/x", "o-p", "O/y"], "names-alike"),
        (["a/straße/x", "a/STRASSE/y"], "names-alike"),
    ],
)
def test_no_tree_holds_what_is_one_name_or_a_file_and_a_directory(paths: list[str], rule: str) -> None:
    for given_so in (paths, paths[::-1]):
        with pytest.raises(LedgerError) as caught:
            check_together(given_so)
        assert caught.value.rule == rule
    check_together([f"{number}/{path}" for number, path in enumerate(paths)])
    check_together(["out.tar", "out.tar.gz", "out/x", "out/y/x", "out-x"])


def test_bytes_that_are_no_name_and_names_that_are_forbidden_are_told_apart() -> None:
    with pytest.raises(Malformed):
        check_component(b"\xff", root=False)
    with pytest.raises(LedgerError) as caught:
        check_component(b"con", root=False)
    assert not isinstance(caught.value, Malformed)
