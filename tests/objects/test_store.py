"""A repository: its objects as they are, whatever else stands beside them, and its refs all or none."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from realgit import Repository

from gitledger.errors import Failed, LedgerError, Malformed, Unsound, Usage
from gitledger.objects.store import ABSENT, Store

BRANCH = "refs/heads/common"


@pytest.fixture
def bare(repository: Repository, tmp_path: Path) -> Repository:
    repository.commit("First", file="content\n")
    bare = Repository(tmp_path / "bare.git", "--bare")
    repository.git("remote", "add", "origin", str(bare.path))
    repository.git("push", "-q", "origin", "common")
    return bare


def loose(repository: Repository, oid: str) -> Path:
    return repository.path / ".git" / "objects" / oid[:2] / oid[2:]


def refused(act: Callable[[], object]) -> LedgerError:
    with pytest.raises(LedgerError) as error:
        act()
    return error.value


# Opening


def test_a_work_tree_a_directory_in_it_and_its_git_directory_are_one_repository(repository: Repository) -> None:
    oid = repository.commit("First", file="content\n")
    below = repository.path / "some" / "directory"
    below.mkdir(parents=True)
    for path in (repository.path, below, repository.path / ".git", str(repository.path)):
        store = Store.open(path)
        assert (store.git_dir, store.work_tree, store.bare) == (repository.path / ".git", repository.path, False)
        assert store.resolve(BRANCH) == oid
        assert store.git("rev-parse", "--show-toplevel").stdout.decode().strip() == str(repository.path)


def test_a_bare_repository_is_opened(bare: Repository) -> None:
    store = Store.open(bare.path)
    assert (store.git_dir, store.common_dir, store.work_tree, store.bare) == (bare.path, bare.path, None, True)
    assert store.head() == BRANCH
    assert store.git("rev-parse", "--is-bare-repository").stdout == b"true\n"


def test_a_linked_work_tree_has_the_objects_and_refs_of_the_main_one(repository: Repository, tmp_path: Path) -> None:
    oid = repository.commit("First", file="content\n")
    repository.git("worktree", "add", "-q", "--detach", str(tmp_path / "linked"))
    store = Store.open(tmp_path / "linked")
    assert store.common_dir == repository.path / ".git"
    assert store.git_dir == repository.path / ".git" / "worktrees" / "linked"
    assert (store.work_tree, store.head(), store.resolve(BRANCH)) == (tmp_path / "linked", oid, oid)
    assert store.has(oid)
    (repository.path / ".git" / "shallow").write_text(f"{oid}\n")
    assert refused(lambda: Store.open(tmp_path / "linked")).rule == "shallow"


def test_a_submodule_is_a_repository_of_its_own(repository: Repository, tmp_path: Path) -> None:
    ledger = Repository(tmp_path / "ledger")
    oid = ledger.commit("First", file="content\n")
    repository.git("-c", "protocol.file.allow=always", "submodule", "add", "-q", str(ledger.path), "ledger")
    store = Store.open(repository.path / "ledger")
    assert store.resolve(BRANCH) == oid
    assert store.git("rev-parse", "--show-toplevel").stdout.decode().strip() == str(repository.path / "ledger")


def test_where_there_is_no_repository_a_sentence_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "almost" / ".git").mkdir(parents=True)
    (tmp_path / "lost").mkdir()
    (tmp_path / "lost" / ".git").write_text("gitdir: /nowhere/at/all\n")
    for name, rule in (("none", "no-directory"), ("file", "no-directory"), ("almost", "no-repository")):
        assert refused(lambda name=name: Store.open(tmp_path / name)).rule == rule
    with pytest.raises(Usage, match="no-repository"):
        Store.open(tmp_path / "lost")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_repository_that_may_not_be_read_is_said_to_be_so(repository: Repository) -> None:
    (repository.path / ".git" / "config").chmod(0)
    with pytest.raises(LedgerError):
        Store.open(repository.path)


# Objects


def test_objects_are_read_loose_and_packed_while_the_store_is_open(repository: Repository) -> None:
    oid = repository.commit("First", file="content\n")
    repository.git("tag", "-a", "-m", "text", "v1")
    named = {"commit": oid, "tree": f"{oid}^{{tree}}", "blob": f"{oid}:file", "tag": "refs/tags/v1"}
    store = Store.open(repository.path)
    for _ in range(2):
        for kind, name in named.items():
            content = repository.git("cat-file", kind, name)
            found = repository.text("rev-parse", name)
            assert store.read(found, kind) == content
            assert store.size(found) == (kind, len(content))
            assert store.has(found)
        repository.git("gc", "-q", "--prune=now")


@pytest.mark.parametrize("durable", [False, True])
def test_objects_written_are_those_that_stock_git_finds(repository: Repository, durable: bool) -> None:
    store = Store.open(repository.path, durable=durable)
    for content in (b"", b"content\n", bytes(range(256)) * 1000):
        oid = store.write("blob", content)
        assert oid == repository.text("hash-object", "--stdin", input=content)
        assert repository.git("cat-file", "blob", oid) == content
    repository.git("fsck", "--strict")


def test_a_missing_object_is_unsound(repository: Repository) -> None:
    store = Store.open(repository.path)
    for ask in (lambda: store.read("0" * 40, "blob"), lambda: store.size("f" * 40)):
        with pytest.raises(Unsound, match="missing-object"):
            ask()
    assert not store.has("0" * 40)


def test_an_object_of_another_kind_is_malformed(repository: Repository) -> None:
    oid = repository.commit("First", file="content\n")
    store = Store.open(repository.path)
    for kind in ("tree", "blob", "tag"):
        with pytest.raises(Malformed, match="object-kind"):
            store.read(oid, kind)


@pytest.mark.parametrize("name", ["", "abcd", "HEAD", BRANCH, "g" * 40, "A" * 40, "0" * 64, "0" * 39 + "\n"])
def test_only_a_whole_object_id_names_an_object(repository: Repository, name: str) -> None:
    oid = repository.commit("First")
    store = Store.open(repository.path)
    for ask in (store.has, store.size, lambda name: store.read(name, "commit")):
        with pytest.raises(Malformed, match="object-id"):
            ask(name)
    with pytest.raises(Malformed, match="object-id"):
        store.read(oid[:20], "commit")


@pytest.mark.parametrize("content", [b"content\n", bytes(range(256)) * 4000], ids=["small", "large"])
@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: zlib.compress(zlib.decompress(raw).replace(b"\n", b"!")),
        lambda raw: zlib.compress(zlib.decompress(raw) + b"x" * 100),
        lambda raw: zlib.compress(zlib.decompress(raw)[:-1]),
        lambda raw: zlib.compress(zlib.decompress(raw).replace(b"blob ", b"blob 9999999")),
        lambda raw: zlib.compress(zlib.decompress(raw).replace(b"blob", b"thing")),
        lambda raw: raw + b"x",
        lambda raw: b"garbage",
        lambda raw: b"",
        *(lambda raw, cut=cut: raw[:cut] for cut in (1, 2, 5, 10, -20, -6, -5, -4, -1)),
    ],
)
def test_a_damaged_object_is_unsound_and_its_twin_is_read(
    repository: Repository, content: bytes, damage: Callable[[bytes], bytes]
) -> None:
    oid = repository.put("blob", content)
    assert Store.open(repository.path).read(oid, "blob") == content
    path = loose(repository, oid)
    path.chmod(0o644)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(Unsound, match="damaged-object"):
        Store.open(repository.path).read(oid, "blob")


def test_an_object_damaged_in_its_pack_is_unsound(repository: Repository) -> None:
    repository.commit("First", file="content\n" * 500)
    oid = repository.text("rev-parse", "HEAD:file")
    repository.git("gc", "-q", "--prune=now")
    (pack,) = (repository.path / ".git" / "objects" / "pack").glob("*.pack")
    listed = repository.text("verify-pack", "-v", str(pack.with_suffix(".idx")))
    offset = next(int(line.split()[4]) for line in listed.splitlines() if line.startswith(oid))
    raw = bytearray(pack.read_bytes())
    raw[offset + 8] ^= 0xFF
    pack.chmod(0o644)
    pack.write_bytes(raw)
    with pytest.raises(Unsound):
        Store.open(repository.path).read(oid, "blob")


def test_an_object_that_can_not_be_written_is_a_failure(repository: Repository) -> None:
    store = Store.open(repository.path)
    shutil.rmtree(repository.path / ".git" / "objects")
    (repository.path / ".git" / "objects").write_text("")
    with pytest.raises(Failed, match="object-not-written"):
        store.write("blob", b"content\n")


def test_what_is_durable_is_synced_before_write_returns(repository: Repository, tmp_path: Path) -> None:
    program = (
        "import sys; from gitledger.objects.store import Store; s = Store.open('.', durable=%s); s.write('blob', b'x')"
    )
    trace = tmp_path / "trace"
    command = ["strace", "-f", "-e", "trace=fsync,fdatasync", "-o", str(trace)]
    if not shutil.which("strace") or subprocess.run([*command, "true"], check=False).returncode:
        pytest.skip("needs strace")
    for durable, synced in ((False, False), (True, True)):
        shutil.rmtree(repository.path / ".git" / "objects" / "c1", ignore_errors=True)
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        subprocess.run(
            [*command, sys.executable, "-c", program % durable], cwd=repository.path, env=environment, check=True
        )
        assert ("sync(" in trace.read_text()) is synced


# Soundness: each beside the repository as it was before, and as it is after the mend


def grafts(repository: Repository) -> None:
    oid = repository.text("rev-parse", "HEAD")
    (repository.path / ".git" / "info" / "grafts").write_text(f"# a comment\n{oid}\n")


def shallow(repository: Repository) -> None:
    (repository.path / ".git" / "shallow").write_text(repository.text("rev-parse", "HEAD") + "\n")


def alternates(repository: Repository) -> None:
    other = Repository(repository.path.parent / "lender")
    (repository.path / ".git" / "objects" / "info" / "alternates").write_text(f"{other.path}/.git/objects\n")


def http_alternates(repository: Repository) -> None:
    (repository.path / ".git" / "objects" / "info" / "http-alternates").write_text("https://example.org/objects\n")


def replace(repository: Repository) -> None:
    repository.git("replace", "HEAD", "HEAD^")


def packed_replace(repository: Repository) -> None:
    replace(repository)
    repository.git("pack-refs", "--all", "--prune")
    assert not any((repository.path / ".git" / "refs").rglob("replace/*"))


def promisor_pack(repository: Repository) -> None:
    repository.git("gc", "-q")
    (pack,) = (repository.path / ".git" / "objects" / "pack").glob("*.pack")
    pack.with_suffix(".promisor").write_text("")


def promisor_remote(repository: Repository) -> None:
    repository.git("config", "remote.origin.promisor", "true")


def partial_clone(repository: Repository) -> None:
    repository.git("config", "extensions.partialClone", "origin")


def symbolic_branch(repository: Repository) -> None:
    repository.git("symbolic-ref", "refs/heads/a/b", "refs/heads/common")


def linked_branch(repository: Repository) -> None:
    (repository.path / ".git" / "refs" / "heads" / "other").symlink_to("common")


def ref_tables(repository: Repository) -> None:
    repository.git("config", "extensions.refStorage", "reftable")


def broken_configuration(repository: Repository) -> None:
    with (repository.path / ".git" / "config").open("a") as config:
        config.write("[core\n")


UNSOUND: list[tuple[str, Callable[[Repository], None]]] = [
    ("grafts", grafts),
    ("shallow", shallow),
    ("alternates", alternates),
    ("alternates", http_alternates),
    ("replace-refs", replace),
    ("replace-refs", packed_replace),
    ("promisor", promisor_pack),
    ("promisor", promisor_remote),
    ("promisor", partial_clone),
    ("symbolic-branch", symbolic_branch),
    ("symbolic-branch", linked_branch),
    ("ref-storage", ref_tables),
    ("configuration", broken_configuration),
]


@pytest.mark.parametrize(("rule", "act"), UNSOUND)
def test_a_repository_that_can_not_be_trusted_to_answer_is_refused(
    repository: Repository, rule: str, act: Callable[[Repository], None]
) -> None:
    repository.commit("First", file="content\n")
    repository.commit("Second")
    store = Store.open(repository.path)
    act(repository)
    for again in (store.sound, lambda: Store.open(repository.path)):
        with pytest.raises(Unsound) as unsound:
            again()
        assert unsound.value.rule == rule
        assert unsound.value.mend


@pytest.mark.parametrize("act", [grafts, alternates, replace, packed_replace, symbolic_branch])
def test_the_mend_that_is_told_mends_it(repository: Repository, act: Callable[[Repository], None]) -> None:
    repository.commit("First", file="content\n")
    repository.commit("Second")
    act(repository)
    mend = refused(lambda: Store.open(repository.path)).mend
    subprocess.run(["sh", "-c", mend], cwd=repository.path, check=True)
    assert Store.open(repository.path).resolve(BRANCH)


def test_a_shallow_clone_and_a_partial_clone_are_refused_and_mended(repository: Repository, tmp_path: Path) -> None:
    repository.commit("First", file="content\n")
    repository.commit("Second")
    repository.git("config", "uploadpack.allowFilter", "true")
    url = f"file://{repository.path}"
    repository.git("clone", "-q", "--depth", "1", url, str(tmp_path / "shallow"))
    mend = refused(lambda: Store.open(tmp_path / "shallow")).mend
    subprocess.run([*mend.split(), "-q"], cwd=tmp_path / "shallow", check=True)
    assert Store.open(tmp_path / "shallow")
    repository.git("clone", "-q", "--filter=blob:none", "--no-checkout", url, str(tmp_path / "partial"))
    assert refused(lambda: Store.open(tmp_path / "partial")).rule == "promisor"


def test_a_repository_of_sha256_is_refused(tmp_path: Path) -> None:
    assert (
        refused(lambda: Store.open(Repository(tmp_path / "x", "--object-format=sha256").path)).rule == "object-format"
    )


def test_empty_files_and_comments_borrow_nothing(repository: Repository) -> None:
    (repository.path / ".git" / "info" / "grafts").write_text("# nothing\n\n")
    (repository.path / ".git" / "objects" / "info" / "alternates").write_text("")
    assert Store.open(repository.path)


def test_a_lock_that_a_transaction_holds_is_no_branch(repository: Repository) -> None:
    repository.commit("First")
    (repository.path / ".git" / "refs" / "heads" / "common.lock").write_text("")
    assert Store.open(repository.path)


def test_configuration_and_environment_change_no_object(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first = repository.commit("First", file="content\n")
    oid = repository.commit("Second")
    content = repository.git("cat-file", "commit", oid)
    other = Repository(tmp_path / "other")
    other.commit("Other", file="other\n")
    forged = other.put("commit", content.replace(f"parent {first}\n".encode(), b""))
    other.git("update-ref", f"refs/replace/{oid}", forged)
    (tmp_path / "grafts").write_text(f"{oid}\n")
    (tmp_path / "shallow").write_text(f"{oid}\n")
    hostile = {
        "GIT_DIR": other.path / ".git",
        "GIT_WORK_TREE": other.path,
        "GIT_COMMON_DIR": other.path / ".git",
        "GIT_INDEX_FILE": tmp_path / "index",
        "GIT_OBJECT_DIRECTORY": other.path / ".git" / "objects",
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": other.path / ".git" / "objects",
        "GIT_GRAFT_FILE": tmp_path / "grafts",
        "GIT_SHALLOW_FILE": tmp_path / "shallow",
        "GIT_REPLACE_REF_BASE": "refs/heads/",
        "GIT_NAMESPACE": "other",
        "GIT_QUARANTINE_PATH": tmp_path,
        "GIT_DEFAULT_HASH": "sha256",
        "GIT_PREFIX": "x/",
    }
    repository.git("config", "core.useReplaceRefs", "true")
    repository.git("config", "core.fsyncObjectFiles", "true")
    for name, value in hostile.items():
        monkeypatch.setenv(name, str(value))
    store = Store.open(repository.path)
    assert store.read(oid, "commit") == content
    assert not store.has(forged)
    assert store.resolve(BRANCH) == oid
    assert store.refs() == {BRANCH: oid}
    assert store.git("rev-parse", "HEAD^").stdout.decode().strip() == first
    assert store.git("status", "--porcelain").stdout == b""
    store.update([("refs/heads/new", oid, ABSENT)])
    for name in hostile:
        monkeypatch.delenv(name)
    assert repository.text("rev-parse", "new") == oid
    assert other.text("for-each-ref", "refs/heads/new") == ""


def test_the_persons_own_settings_reach_git(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "user.name")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "James")
    monkeypatch.setenv("GIT_COMMITTER_EMAIL", "james@example.org")
    said = Store.open(repository.path).git("var", "GIT_COMMITTER_IDENT", env={"GIT_COMMITTER_DATE": "@7 +0000"})
    assert said.stdout == b"James <james@example.org> 7 +0000\n"


# Refs


def test_refs_are_listed_and_resolved_as_stock_git_does_loose_and_packed(repository: Repository) -> None:
    first = repository.commit("First")
    repository.git("tag", "-a", "-m", "text", "common@0")
    repository.git("update-ref", "refs/proposals/alice/fix", first)
    repository.git("symbolic-ref", "refs/remotes/origin/HEAD", BRANCH)
    for pack in (False, True, False):
        if pack:
            repository.git("pack-refs", "--all", "--prune")
        else:
            repository.git("update-ref", BRANCH, repository.commit("Next"))
        store = Store.open(repository.path)
        listed = dict(
            reversed(line.split(" ")) for line in repository.text("show-ref").splitlines() if "origin" not in line
        )
        assert store.refs() == listed
        assert {ref: store.resolve(ref) for ref in listed} == listed
        assert store.refs("refs/proposals/") == {"refs/proposals/alice/fix": first}
        assert store.refs("refs/prop/") == {}
        assert store.resolve("refs/heads") is store.resolve(BRANCH + "/x") is store.resolve("refs/heads/comm") is None


@pytest.mark.parametrize(
    "name", ["HEAD", "heads/common", "refs/../HEAD", "refs//heads", "refs/./x", "refs/", "refs/\0"]
)
def test_only_the_full_name_of_a_ref_is_resolved(repository: Repository, name: str) -> None:
    with pytest.raises(Malformed, match="ref-name"):
        Store.open(repository.path).resolve(name)


@pytest.mark.parametrize(
    ("rule", "content"), [("symbolic-ref", b"ref: refs/heads/common\n"), ("ref-damaged", b"x"), ("ref-damaged", b"")]
)
def test_a_symbolic_or_damaged_ref_is_unsound(repository: Repository, rule: str, content: bytes) -> None:
    repository.commit("First")
    store = Store.open(repository.path)
    path = repository.path / ".git" / "refs" / "tags" / "v1"
    path.write_bytes(content)
    assert refused(lambda: store.resolve("refs/tags/v1")).rule == rule
    if rule == "ref-damaged":
        assert refused(store.refs).rule == rule


@pytest.mark.parametrize("odd", ["a\u2028b", "a\x85b", "a\udcffb"])
def test_a_ref_may_have_any_name_that_git_takes(repository: Repository, odd: str) -> None:
    oid = repository.commit("First")
    store, ref = Store.open(repository.path), f"refs/gitledger/incoming/origin/heads/{odd}"
    repository.git("update-ref", ref, oid)
    assert store.refs("refs/gitledger/incoming/") == {ref: oid}
    repository.git("pack-refs", "--all")
    assert store.resolve(ref) == oid
    store.update([(ref, None, oid)])
    assert store.refs("refs/gitledger/incoming/") == {}


def test_head_is_a_branch_or_a_commit_or_unsound(repository: Repository) -> None:
    oid = repository.commit("First")
    store = Store.open(repository.path)
    assert store.head() == BRANCH
    repository.git("checkout", "-q", "--detach")
    assert store.head() == oid
    (repository.path / ".git" / "HEAD").write_text("nothing\n")
    with pytest.raises(Unsound, match="ref-damaged"):
        store.head()


@pytest.mark.parametrize("durable", [False, True])
def test_refs_move_all_together(repository: Repository, durable: bool) -> None:
    first, second = repository.commit("First"), repository.commit("Second")
    repository.git("update-ref", "refs/tags/gone", first)
    repository.git("update-ref", "refs/tags/any", first)
    store = Store.open(repository.path, durable=durable)
    store.update(
        [
            (BRANCH, first, second),
            ("refs/tags/new", second, ABSENT),
            ("refs/tags/gone", None, first),
            ("refs/tags/any", second, None),
            ("refs/tags/none", None, None),
        ]
    )
    assert store.refs() == {BRANCH: first, "refs/tags/new": second, "refs/tags/any": second}
    store.update([])


@pytest.mark.parametrize(
    "wrong",
    [
        ("refs/tags/new", "1" * 40, None),
        ("refs/tags/there", "0" * 39 + "1", ABSENT),
        ("refs/tags/there", None, "1" * 40),
        ("refs/heads/common/below", None, "1" * 40),
        ("refs/heads/with space", "COMMIT", None),
        ("refs/tags/new2", "COMMIT", None),
    ],
)
def test_where_one_ref_can_not_move_none_does(
    repository: Repository, wrong: tuple[str, str | None, str | None]
) -> None:
    oid = repository.commit("First")
    repository.git("update-ref", "refs/tags/there", oid)
    store = Store.open(repository.path)
    before = store.refs()
    ref, new, old = wrong
    with pytest.raises(Failed, match="refs-not-updated") as failed:
        store.update([("refs/tags/new2", oid, ABSENT), (ref, oid if new == "COMMIT" else new, old)])
    assert len(failed.value.what) > 10
    assert store.refs() == before


def test_a_ref_name_brings_no_command_of_its_own(repository: Repository) -> None:
    oid = repository.commit("First")
    store = Store.open(repository.path)
    with pytest.raises(LedgerError):
        store.update([(f"refs/tags/a\0{oid}\0\0update refs/tags/b", oid, None)])
    with pytest.raises(Failed):
        store.update([("refs/tags/a\nupdate refs/tags/b", oid, None)])
    assert store.refs() == {BRANCH: oid}


def test_hooks_guard_against_others_and_not_against_update(repository: Repository) -> None:
    oid = repository.commit("First")
    hook = repository.path / ".git" / "hooks" / "reference-transaction"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(subprocess.CalledProcessError):
        repository.git("update-ref", "refs/tags/x", oid)
    Store.open(repository.path).update([("refs/tags/x", oid, ABSENT)], message="verified")
    assert repository.text("rev-parse", "refs/tags/x") == oid


def test_a_move_stands_in_the_reflog(repository: Repository) -> None:
    first, second = repository.commit("First"), repository.commit("Second")
    Store.open(repository.path).update([(BRANCH, first, second)], message="verified common@1")
    assert repository.text("reflog", "-1", "--format=%gs", BRANCH) == "verified common@1"


def test_a_symbolic_ref_is_set_itself_and_not_what_it_points_to(repository: Repository) -> None:
    first, second = repository.commit("First"), repository.commit("Second")
    store = Store.open(repository.path)
    store.update([("HEAD", first, second)])
    assert (store.head(), store.resolve(BRANCH)) == (first, second)


# The git program


def test_a_failure_of_git_is_told_in_gits_own_words(repository: Repository) -> None:
    store = Store.open(repository.path)
    with pytest.raises(Failed) as failed:
        store.git("-c", "core.pager=cat", "checkout", "nowhere")
    assert failed.value.what == "git checkout: pathspec 'nowhere' did not match any file(s) known to git"
    with pytest.raises(Failed) as failed:
        store.git("pull")
    assert failed.value.what.startswith("git pull: ")
    assert store.git("checkout", "nowhere", check=False).returncode == 1


def test_what_git_repeats_of_others_can_not_command_a_terminal(repository: Repository) -> None:
    with pytest.raises(Failed) as failed:
        Store.open(repository.path).git("cat-file", "blob", "\x1b[31mred\x07")
    assert failed.value.what.isprintable()


def test_without_git_a_sentence_says_so(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    store = Store.open(repository.path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Failed, match="no-git"):
        store.refs()


# In a hook

HOOK = """\
    #!{python}
    import sys
    sys.path[:0] = {path!r}
    from gitledger.errors import Failed, LedgerError
    from gitledger.objects.store import Store
    try:
        store = Store.quarantined()
        for line in sys.stdin:
            old, new, ref = line.split()
            print("ref", ref, store.resolve(ref), store.git("cat-file", "-t", new, check=False).stdout)
            if store.has(new):
                print("new", store.read(new, "commit").splitlines()[-1].decode())
            if store.has(old):
                print("old", store.read(old, "commit").splitlines()[-1].decode())
        for write in (lambda: store.write("blob", b"written in a hook"), lambda: store.update([(ref, new, None)])):
            try:
                write()
            except Failed as error:
                print(error)
    except LedgerError as error:
        print(error)
        sys.exit(1)
"""


def hooked(bare: Repository, name: str = "pre-receive") -> None:
    path = bare.path / "hooks" / name
    path.write_text(textwrap.dedent(HOOK).format(python=sys.executable, path=[str(p) for p in sys.path if p]))
    path.chmod(0o755)


def push(repository: Repository, *refspecs: str) -> subprocess.CompletedProcess[str]:
    command = ["git", "push", "origin", *refspecs]
    return subprocess.run(command, cwd=repository.path, capture_output=True, text=True, check=False)


def test_a_hook_reads_what_is_pushed_and_what_was_there_and_writes_nothing(
    repository: Repository, bare: Repository
) -> None:
    hooked(bare)
    old = repository.text("rev-parse", "HEAD")
    repository.commit("Second")
    pushed = push(repository, "common")
    assert pushed.returncode == 0, pushed.stderr
    assert f"remote: ref refs/heads/common {old} b'commit\\n'" in pushed.stderr
    assert "remote: new Second" in pushed.stderr
    assert "remote: old First" in pushed.stderr
    assert pushed.stderr.count("[quarantine]") == 2
    written = repository.text("hash-object", "--stdin", input=b"written in a hook")
    assert not Store.open(bare.path).has(written)


def test_a_push_without_objects_is_read_as_well(repository: Repository, bare: Repository) -> None:
    hooked(bare)
    assert push(repository, "common:refs/heads/other").returncode == 0
    pushed = push(repository, ":refs/heads/other")
    assert pushed.returncode == 0, pushed.stderr
    assert "old First" in pushed.stderr
    assert pushed.stderr.count("[quarantine]") == 2


def test_a_hook_refuses_a_host_that_borrows_objects(repository: Repository, bare: Repository) -> None:
    hooked(bare)
    repository.commit("Second")
    alternates = bare.path / "objects" / "info" / "alternates"
    alternates.write_text(f"{repository.path}/.git/objects\n")
    pushed = push(repository, "common")
    assert pushed.returncode != 0
    assert "[alternates]" in pushed.stderr
    alternates.unlink()
    assert push(repository, "common").returncode == 0


def test_after_the_push_the_repository_is_open_for_writing(repository: Repository, bare: Repository) -> None:
    store = Store.open(bare.path)
    repository.commit("Second")
    assert push(repository, "common").returncode == 0
    oid = repository.text("rev-parse", "HEAD")
    assert store.read(oid, "commit").endswith(b"\nSecond\n")
    store.update([("refs/tags/common@1", oid, ABSENT)])
    assert bare.text("rev-parse", "refs/tags/common@1") == oid
