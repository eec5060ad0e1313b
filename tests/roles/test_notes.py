"""What is remembered beside the refs: whatever a file holds, it is read, or is as none, or a sentence says so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from world import World

from gitledger.errors import Failed
from gitledger.roles import consumer, hold
from gitledger.roles.journal import Journal
from gitledger.roles.notes import CARRIERS, DERIVED, FETCHED, Carriers, Note, must_read, read_note, write_durably
from gitledger.roles.place import Place

DEEP = '{"a":' * 100_000
DAMAGED = [
    *("", "{", "[]", "null", DEEP, '{"a": 1e999}', '{"a": true}', "\ud800"),
    *('{"id": "../up", "others": {}}', '{"id": "", "others": {"a": [1e999, "b"]}}', '{"id": "", "others": []}'),
    '{"id": "", "others": {"a": [-1, "b"]}}',
]


def put(path: Path, text: str) -> None:
    path.write_bytes(text.encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize("note", DERIVED, ids=lambda note: note.name)
def test_a_derived_note_that_is_missing_unreadable_or_damaged_is_as_none(note: Note[object], tmp_path: Path) -> None:
    assert note.read(tmp_path) is None
    for text in DAMAGED:
        put(tmp_path / note.name, text)
        assert note.read(tmp_path) is None, text[:40]
    (tmp_path / note.name).unlink()
    (tmp_path / note.name).mkdir()
    assert note.read(tmp_path) is None


def test_what_is_noted_is_read_again_in_its_order(tmp_path: Path) -> None:
    said = Carriers("0123456789abcdef", {"f" * 16: (7, "sha256:b"), "a" * 16: (3, "sha256:a")})
    CARRIERS.write(tmp_path, said)
    again = CARRIERS.read(tmp_path)
    assert again == said and again is not None and list(again.others) == list(said.others)
    FETCHED.write(tmp_path, {"origin": 7})
    assert FETCHED.read(tmp_path) == {"origin": 7} and read_note(tmp_path / "fetched.json", dict) == {"origin": 7}


def test_what_decides_something_is_told_where_it_is_damaged_and_where_it_can_not_be_read(tmp_path: Path) -> None:
    path, damaged = tmp_path / "it.json", Failed("it-is-damaged", "it is damaged")
    assert must_read(path, dict, damaged) is None
    for text in ("{", DEEP, "[]"):
        put(path, text)
        with pytest.raises(Failed, match="it-is-damaged"):
            must_read(path, dict, damaged)
    path.unlink()
    path.mkdir()
    with pytest.raises(Failed, match="unreadable") as failed:
        must_read(path, dict, damaged)
    assert failed.value.mend.startswith(f"ls -ld {path}")


def test_what_can_not_be_written_is_told_with_a_mend_and_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "taken.json").mkdir()
    (tmp_path / "taken.json" / "inside").touch()
    with pytest.raises(Failed, match="cannot-write") as failed:
        write_durably(tmp_path / "taken.json", "{}")
    assert f"df -h {tmp_path}" in failed.value.mend
    assert [path.name for path in tmp_path.iterdir()] == ["taken.json"]
    with pytest.raises(Failed, match="cannot-write"):
        write_durably(tmp_path / "taken.json" / "inside" / "it.json", "{}")


def test_notes_of_a_place_that_hold_anything_are_a_sentence_or_as_none(world: World) -> None:
    directory = world.host / "gitledger"
    for text in (DEEP, '{"since": 1e999, "until": 1, "witness_since": "a"}', '{"since": 1}'):
        put(directory / "frozen.json", text)
        with pytest.raises(Failed, match="freeze-damaged"):
            hold.frozen(world.place(), world.now)
    for text in DAMAGED:
        put(directory / "fetched.json", text)
        put(directory / "rotations.json", text)
        assert consumer.fetched(world.place()) == {} and hold.held(world.place(), world.now) == ()
    for seconds in (-1, 10**30):
        put(directory / "fetched.json", f'{{"a": {seconds}}}')
        assert consumer.fetched(world.place()) == {}
    with world.acting(world.you):
        journal = Journal.of(world.anchor)
        put(journal.directory / "emitted.json", DEEP)
        with pytest.raises(Failed, match="journal-damaged"):
            _ = journal.last


@pytest.mark.parametrize(
    "text", [pytest.param(DEEP, id="deep"), '{"role": "guest", "anchor": "a", "name": "b"}', '{"role": 1e999}']
)
def test_a_place_whose_ledger_file_holds_anything_is_a_sentence_with_a_mend(world: World, text: str) -> None:
    put(world.host / "gitledger" / "ledger.json", text)
    with pytest.raises(Failed, match="ledger-file-unreadable") as failed:
        Place.open(world.host)
    assert failed.value.mend.startswith(f"gitledger hooks install {world.host}")


def test_a_clone_that_can_not_read_what_it_verified_moves_nothing(world: World, tmp_path: Path) -> None:
    with world.acting(world.alice):
        place = consumer.clone(str(world.host), tmp_path / "clone", world.anchor, now=world.now)
        newest = place.verified
        note = place.directory / "verified.json"
        assert json.loads(note.read_bytes())["oid"] == newest.oid
        note.unlink()
        note.mkdir()
        for move in (lambda: consumer.fetch(Place.of(place.store), now=world.now), lambda: place.advanced(newest)):
            with pytest.raises(Failed, match="unreadable"):
                move()
