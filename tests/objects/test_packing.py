"""Objects that are written together come to the repository whole, as git reads them, or not at all."""

from __future__ import annotations

import hashlib
import random
import subprocess
from pathlib import Path

import pytest

from gitledger.errors import Failed, Malformed, Unsound
from gitledger.objects import packing
from gitledger.objects import store as store_module
from gitledger.objects.packing import Packing
from gitledger.objects.store import Store

ENTRIES = 300
"""A directory of so many entries is a large one."""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    subprocess.run(["git", "init", "--quiet", "--bare", tmp_path / "one.git"], check=True)
    return Store.open(tmp_path / "one.git")


def named(kind: str, content: bytes) -> str:
    return hashlib.sha1(b"%s %d\0" % (kind.encode(), len(content)) + content).hexdigest()


def directories(count: int) -> list[bytes]:
    """Directories of which each differs from the one before in an entry: a new one, another one, one that is gone."""
    chance = random.Random(1)
    entries = {f"entry-{number:05}": chance.randbytes(20) for number in range(ENTRIES)}
    found = []
    for number in range(count):
        name = chance.choice(sorted(entries))
        if number % 3 == 0:
            name = f"{chance.choice(['a', 'entry-1', 'z'])}{number:05}"
        entries[name] = chance.randbytes(20)
        if number % 7 == 0:
            del entries[max(entries)]
        found.append(b"".join(b"100644 %s\0%s" % (name.encode(), oid) for name, oid in sorted(entries.items())))
    return found


def as_git_has_them(store: Store, wanted: list[tuple[str, bytes]]) -> bool:
    """Whether stock git reads these objects in the repository, each by its name."""
    asked = "".join(f"{named(kind, content)}\n" for kind, content in wanted).encode()
    said = subprocess.run(
        ["git", "cat-file", "--batch"], cwd=store.git_dir, input=asked, capture_output=True, check=True
    )
    each = (f"{named(kind, content)} {kind} {len(content)}\n".encode() + content + b"\n" for kind, content in wanted)
    return said.stdout == b"".join(each)


def packs(store: Store) -> list[Path]:
    return sorted(store.git_dir.glob("objects/pack/*.pack"))


def test_what_is_held_is_read_as_it_will_be_and_nobody_else_sees_it(store: Store) -> None:
    held = Packing(store, store)
    oid = held.write("blob", b"held\n")
    assert oid == named("blob", b"held\n")
    assert held.read(oid, "blob") == b"held\n" and held.size(oid) == ("blob", 5)
    with pytest.raises(Malformed, match="object-kind"):
        held.read(oid, "tree")
    assert not store.has(oid)
    held.flush()
    assert store.read(oid, "blob") == held.read(oid, "blob") == b"held\n"
    assert held.size(oid) == ("blob", 5)
    with pytest.raises(Unsound, match="missing-object"):
        held.read("1" * 40, "blob")


def test_few_objects_are_files_of_their_own_and_many_are_one_pack(store: Store) -> None:
    few = [("blob", b"%d\n" % number) for number in range(packing.LOOSE - 1)]
    many = [("blob", b"of many: %d\n" % number) for number in range(packing.LOOSE)]
    for wanted, expected in ((few, 0), (many, 1)):
        held = Packing(store, store)
        for kind, content in wanted:
            held.write(kind, content)
        held.flush()
        assert as_git_has_them(store, wanted)
        assert len(packs(store)) == expected
    held.flush()
    assert len(packs(store)) == 1


def test_objects_of_any_kind_and_size_are_in_a_pack_what_they_were(store: Store) -> None:
    chance = random.Random(2)
    sizes = (0, 1, 15, 16, 127, 128, packing.LARGE - 1, packing.LARGE, 2047, 2048, 0xFFFF, 300_000)
    wanted = [("blob", chance.randbytes(size)) for size in sizes]
    person = b"alice <alice@example.org> 1700000000 +0000"
    empty = named("tree", b"")
    wanted += [("tree", b""), ("commit", b"tree %s\nauthor %s\ncommitter %s\n\nx\n" % (empty.encode(), person, person))]
    wanted += [("tag", b"object %s\ntype tree\ntag t\ntagger %s\n\nx\n" % (empty.encode(), person))]
    for number, content in enumerate(directories(130)):
        wanted += [("tree", content), ("blob", b"%d\n" % number)]
    held = Packing(store, store)
    assert [held.write(kind, content) for kind, content in wanted] == [named(*one) for one in wanted]
    held.flush()
    assert as_git_has_them(store, wanted)
    assert all(store.read(named(kind, content), kind) == content for kind, content in wanted)
    (pack,) = packs(store)
    small = sum(len(content) < packing.LARGE for _, content in wanted)
    index = pack.with_suffix(".idx").read_bytes()
    listed = subprocess.run(["git", "show-index"], input=index, capture_output=True, check=True)
    assert len(listed.stdout.splitlines()) == small
    subprocess.run(["git", "fsck", "--strict"], cwd=store.git_dir, check=True, capture_output=True)


def test_a_large_directory_is_sent_as_what_is_new_wherever_that_stands(store: Store, tmp_path: Path) -> None:
    chance = random.Random(3)
    entries = {b"entry-%05d" % number: chance.randbytes(20) for number in range(3000)}
    held, wanted, tip = Packing(store, store), [], ""
    for number in range(40):
        for place in (chance.randrange(100), chance.randrange(2900, 3000)):
            entries[b"entry-%05d" % place] = chance.randbytes(20)
        directory = b"".join(b"100644 %s\0%s" % entry for entry in sorted(entries.items()))
        above = b"40000 domains\0" + bytes.fromhex(named("tree", directory))
        lines = [f"tree {named('tree', above)}"] + [f"parent {tip}"] * bool(tip)
        lines += [f"{who} alice <alice@example.org> {1700000000 + number} +0000" for who in ("author", "committer")]
        commit = "\n".join([*lines, "", "x\n"]).encode()
        wanted += [("tree", directory), ("tree", above), ("commit", commit)]
        tip = [held.write(*one) for one in wanted[-3:]][-1]
    assert held.flush() is store
    assert as_git_has_them(store, wanted)
    other = tmp_path / "other.git"
    subprocess.run(["git", "init", "--quiet", "--bare", other], check=True)
    asked = "".join(f"{named(*one)}\n" for one in wanted).encode()
    sent = subprocess.run(
        ["git", "pack-objects", "--quiet", "--stdout"], cwd=store.git_dir, input=asked, capture_output=True, check=True
    )
    assert len(sent.stdout) * 10 < sum(len(content) for _, content in wanted)
    subprocess.run(["git", "index-pack", "--stdin"], cwd=other, input=sent.stdout, capture_output=True, check=True)
    assert as_git_has_them(Store.open(other), wanted)


def test_what_is_too_large_to_be_read_is_not_written(store: Store) -> None:
    held = Packing(store, store)
    for kind in ("tag", "commit"):
        largest = store_module.LARGEST[kind]
        oid = held.write(kind, b"x" * largest)
        assert len(held.read(oid, kind)) == largest
        for write in (held.write, store.write):
            with pytest.raises(Malformed, match="object-too-large"):
                write(kind, b"x" * (largest + 1))
    assert held.size(held.write("blob", b"x" * (17 << 20))) == ("blob", 17 << 20)


def test_memory_stays_bounded_because_a_pack_is_written_before_the_end(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "HELD_BYTES", 50_000)  # which fewer objects reach than would be packed at the end
    wanted = [("blob", b"%06d" % number + b"x" * 994) for number in range(120)]
    held = Packing(store, store)
    for kind, content in wanted:
        held.write(kind, content)
    assert len(packs(store)) == 3
    assert not list(store.git_dir.glob("objects/??/*"))
    assert held.read(named(*wanted[0]), "blob") == wanted[0][1]
    assert held.read(named(*wanted[-1]), "blob") == wanted[-1][1]
    held.flush()
    assert as_git_has_them(store, wanted)


def test_a_pack_that_cannot_be_written_is_a_sentence(store: Store) -> None:
    held = Packing(store, store)
    for number in range(packing.LOOSE):
        held.write("blob", b"%d\n" % number)
    where = store.git_dir / "objects/pack"
    where.rmdir()
    where.write_text("a file where packs go")
    with pytest.raises(Failed, match="object-not-written") as caught:
        held.flush()
    assert caught.value.mend and "\n" not in caught.value.what
    where.unlink()
    where.mkdir()
    held.flush()
    assert len(packs(store)) == 1
