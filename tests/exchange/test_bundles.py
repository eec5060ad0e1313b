"""A carrier's file is written whole, and read strictly, whatever is in it (spec 12)."""

from __future__ import annotations

import io
import os
import subprocess
from pathlib import Path

import forge
import pytest
from mirror import Mirror

from gitledger.errors import Failed, LedgerError, Malformed, Refused, Unsound, Usage
from gitledger.exchange import bundles
from gitledger.objects.store import Store

ONE, TWO = b"1" * 40, b"2" * 40
V2, V3 = b"# v2 git bundle\n", b"# v3 git bundle\n"


def header(raw: bytes) -> bundles.Header:
    return bundles.read_header(io.BytesIO(raw))


def test_a_header_says_what_it_builds_on_what_it_holds_and_where_the_pack_begins() -> None:
    raw = V2 + b"-%s common@3: x: y\n%s refs/heads/common\n\nPACK" % (ONE, TWO)
    found = header(raw)
    assert found.builds_on == {ONE.decode(): "common@3: x: y"}
    assert found.refs == {"refs/heads/common": TWO.decode()}
    assert raw[found.pack :] == b"PACK"
    assert header(V3 + b"@object-format=sha1\n%s HEAD\n\n" % TWO).refs == {"HEAD": TWO.decode()}
    assert header(V2 + b"-%s\n%s refs/heads/gr\xc3\xb6\xc3\x9fe\n\n" % (ONE, TWO)).refs


@pytest.mark.parametrize(
    ("raw", "rule"),
    [
        (b"", "not-a-bundle"),
        (b"# v4 git bundle\n", "not-a-bundle"),
        (b"PACK", "not-a-bundle"),
        (V2, "bundle-header"),
        (V2 + b"\n", "bundle-header"),
        (V2 + b"%s refs/heads/a" % ONE, "bundle-header"),
        (V2 + b"%s refs/heads/a\n" % ONE, "bundle-header"),
        (V2 + b"%s refs/heads/a\n%s refs/heads/a\n\n" % (ONE, TWO), "bundle-header"),
        (V2 + b"%s refs/heads/a\n-%s\n\n" % (ONE, TWO), "bundle-header"),
        (V2 + b"%s  refs/heads/a\n\n" % ONE, "bundle-header"),
        (V2 + b"%s refs/heads/a\r\n\n" % ONE, "bundle-header"),
        (V2 + b"%s heads/a\n\n" % ONE, "bundle-header"),
        (V2 + b"%s0 refs/heads/a\n\n" % ONE, "bundle-header"),
        (V2 + b"@object-format=sha1\n%s refs/heads/a\n\n" % ONE, "bundle-header"),
        (V3 + b"@object-format=sha256\n%s refs/heads/a\n\n" % ONE, "object-format"),
        (V3 + b"@filter=blob:none\n%s refs/heads/a\n\n" % ONE, "promisor"),
        (V2 + b"-%s %s\n" % (ONE, b"x" * 5000), "bundle-line"),
        (V2 + b"".join(b"-%040d\n" % number for number in range(10_001)), "bundle-refs"),
        *(
            (V2 + b"%s refs/heads/%s\n\n" % (ONE, name), "bundle-header")
            for name in (b"../x", b"a..b", b".a", b"a/.b", b"a.lock", b"a.lock/b", b"a/", b"a.", b"a//b", b"a@{b")
        ),
        *(
            (V2 + b"%s refs/heads/a%sb\n\n" % (ONE, odd), "bundle-header")
            for odd in (b"~", b"^", b":", b"?", b"*", b"[")
        ),
    ],
)
def test_what_is_no_header_is_refused(raw: bytes, rule: str) -> None:
    with pytest.raises(LedgerError) as caught:
        header(raw)
    assert caught.value.rule == rule
    assert caught.value.mend


@pytest.fixture
def mirror(tmp_path: Path) -> Mirror:
    made = Mirror(tmp_path / "m.git")
    made.grow(2)
    return made


def write(mirror: Mirror, path: Path, *without: str, refs: dict[str, str] | None = None) -> bundles.Header:
    store = Store.open(mirror.path)
    refs = {mirror.branch: mirror.tip} if refs is None else refs
    notes = {"refs/notes/word": b"a word\n"}
    return bundles.write(path, refs, notes=notes, without=without, own=store, directory=mirror.path / "gitledger")


def test_what_is_written_is_read_by_git_and_by_us(mirror: Mirror, tmp_path: Path) -> None:
    said = write(mirror, tmp_path / "b", mirror.snapshots[0])
    assert set(said.builds_on) == {mirror.snapshots[0]}
    assert forge.git(mirror.path, "bundle", "verify", str(tmp_path / "b"))
    with bundles.quarantined(tmp_path / "b", Store.open(mirror.path), tmp_path / "q") as carried:
        assert carried.header == said
        assert carried.objects.read(said.refs["refs/notes/word"], "blob") == b"a word\n"
        assert carried.repository.refs() == {}
        assert (tmp_path / "q" / "carrying").is_dir()
    assert not (tmp_path / "q" / "carrying").exists()
    assert "refs/notes/word" not in Store.open(mirror.path).refs()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["b", "m.git", "q"]


def test_a_ref_that_the_other_side_has_is_left_out(mirror: Mirror, tmp_path: Path) -> None:
    refs = {"refs/heads/common": mirror.tip, "refs/proposals/alice/t": mirror.snapshots[1]}
    assert write(mirror, tmp_path / "b", mirror.tip, refs=refs).refs.keys() == {"refs/notes/word"}


def test_only_a_bundle_is_written_over(mirror: Mirror, tmp_path: Path) -> None:
    write(mirror, tmp_path / "b")
    write(mirror, tmp_path / "b", mirror.tip)
    (tmp_path / "b").write_text("a letter\n")
    with pytest.raises(Refused, match="file-taken"):
        write(mirror, tmp_path / "b")
    assert (tmp_path / "b").read_text() == "a letter\n"


def test_no_file_of_anybody_is_taken_for_a_draft(mirror: Mirror, tmp_path: Path) -> None:
    for name in ("b.new", "b.new.lock"):
        (tmp_path / name).write_text("a letter\n")
    write(mirror, tmp_path / "b")
    assert [(tmp_path / name).read_text() for name in ("b.new", "b.new.lock")] == ["a letter\n"] * 2


def test_a_place_where_nothing_can_be_written_is_said(mirror: Mirror, tmp_path: Path) -> None:
    write(mirror, tmp_path / "b")
    (tmp_path / "q").write_text("no directory\n")
    with pytest.raises(Failed, match="cannot-write"), bundles.quarantined(tmp_path / "b", None, tmp_path / "q"):
        pass


def test_what_can_not_be_written_leaves_what_was_there(mirror: Mirror, tmp_path: Path) -> None:
    write(mirror, tmp_path / "b")
    before = (tmp_path / "b").read_bytes()
    with pytest.raises(Failed):
        write(mirror, tmp_path / "b", "3" * 40)
    assert (tmp_path / "b").read_bytes() == before
    with pytest.raises(Usage):
        write(mirror, tmp_path / "nowhere" / "b")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["b", "m.git"]
    assert not (mirror.path / "gitledger" / "carrying").exists()


def test_what_is_no_file_is_wrong_usage(mirror: Mirror, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, tmp_path / "none"):
        with pytest.raises(Usage, match="no-file"), bundles.opened(path):
            pass


def test_objects_that_git_finds_malformed_are_refused(mirror: Mirror, tmp_path: Path) -> None:
    tree = forge.git(mirror.path, "rev-parse", f"{mirror.tip}^{{tree}}").decode().strip()
    raw = f"tree {tree}\nauthor nobody\ncommitter nobody\n\nx\n".encode()
    odd = subprocess.run(
        ["git", "-C", mirror.path, "hash-object", "-t", "commit", "-w", "--literally", "--stdin"],
        input=raw,
        capture_output=True,
        check=True,
    ).stdout.decode()
    forge.set_ref(mirror.path, "refs/heads/odd", odd.strip())
    forge.git(mirror.path, "bundle", "create", str(tmp_path / "b"), "refs/heads/odd")
    with (
        pytest.raises(Malformed, match="bundle-damaged"),
        bundles.quarantined(tmp_path / "b", Store.open(mirror.path), tmp_path / "q"),
    ):
        pass
    assert not (tmp_path / "q" / "carrying").exists()


def test_two_do_not_carry_at_once(mirror: Mirror, tmp_path: Path) -> None:
    write(mirror, tmp_path / "b")
    with (
        bundles.quarantined(tmp_path / "b", None, tmp_path / "q"),
        pytest.raises(Refused, match="being-carried"),
        bundles.quarantined(tmp_path / "b", None, tmp_path / "q"),
    ):
        pass


def test_without_a_repository_only_what_builds_on_nothing_can_be_read(mirror: Mirror, tmp_path: Path) -> None:
    write(mirror, tmp_path / "b")
    with bundles.quarantined(tmp_path / "b", None, tmp_path / "q") as carried:
        assert carried.objects.has(mirror.snapshots[0])
    write(mirror, tmp_path / "b", mirror.snapshots[1])
    with (
        pytest.raises(Unsound, match=r"builds on common@1, which is not here"),
        bundles.quarantined(tmp_path / "b", None, tmp_path / "q"),
    ):
        pass
