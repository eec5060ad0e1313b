"""Objects that are written together come to the repository whole, as git reads them, or not at all."""

from __future__ import annotations

import hashlib
import random
import subprocess
from pathlib import Path

import pytest

from gitledger.errors import Failed, Malformed, Unsound
from gitledger.objects import packing
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
    sizes = (0, 1, 15, 16, 127, 128, 2047, 2048, 0xFFFF, 0x10000, 300_000)
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
    assert len(packs(store)) == 1
    subprocess.run(["git", "fsck", "--strict"], cwd=store.git_dir, check=True, capture_output=True)


def test_a_large_directory_costs_what_is_new_of_it_and_the_chain_stays_short(store: Store) -> None:
    wanted = [("tree", content) for content in directories(200)]
    whole = sum(len(content) for _, content in wanted)
    held = Packing(store, store)
    for kind, content in wanted:
        held.write(kind, content)
    held.flush()
    (pack,) = packs(store)
    assert pack.stat().st_size < whole / 4
    said = subprocess.run(
        ["git", "verify-pack", "--verbose", pack], cwd=store.git_dir, check=True, capture_output=True, text=True
    )
    chains = [int(line.split()[3][:-1]) for line in said.stdout.splitlines() if line.startswith("chain length")]
    assert 1 < max(chains) <= 50


def test_memory_stays_bounded_because_a_pack_is_written_before_the_end(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "HELD_BYTES", 100_000)
    wanted = [("blob", b"%06d" % number + b"x" * 994) for number in range(350)]
    held = Packing(store, store)
    for kind, content in wanted:
        held.write(kind, content)
    assert len(packs(store)) == 3
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
    assert caught.value.mend
    where.unlink()
    where.mkdir()
    held.flush()
    assert len(packs(store)) == 1
