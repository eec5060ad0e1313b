"""What is remembered of documents is bounded by the bytes that were parsed, whatever their number."""

from __future__ import annotations

import pytest

from gitledger.errors import Malformed
from gitledger.objects.trees import File
from gitledger.rules.state import _Parsed


class Parser:
    """Gives the length of what it parses, and knows how often it was asked."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []

    def __call__(self, content: bytes) -> int:
        self.asked.append(content)
        return len(content)


def get(known: _Parsed, parse: Parser, content: bytes) -> int:
    return known.get(parse, File.of(content), None)  # type: ignore[arg-type]  # a new file is asked of no repository


def test_what_was_parsed_is_known_until_others_fill_the_memory_and_the_oldest_goes_first() -> None:
    known, parse = _Parsed(1000), Parser()
    first, second, third = (letter * 400 for letter in (b"a", b"b", b"c"))
    for content in (first, second, first, second):
        assert get(known, parse, content) == 400
    assert parse.asked == [first, second]
    get(known, parse, third)
    get(known, parse, second)
    assert parse.asked == [first, second, third]
    get(known, parse, first)
    assert parse.asked == [first, second, third, first]


def test_what_is_known_and_comes_again_displaces_nothing() -> None:
    known, parse = _Parsed(1000), Parser()
    contents = [letter * 450 for letter in (b"a", b"b")]
    for content in contents:
        get(known, parse, content)
    for _ in range(5):
        known.put((parse, File.of(contents[1]).oid), 450, 450)
    for content in contents:
        get(known, parse, content)
    assert parse.asked == contents


def test_what_is_dropped_makes_room() -> None:
    known, parse = _Parsed(1000), Parser()
    for number in range(50):
        key = (parse, f"{number:040x}")
        known.put(key, number, 600)
        known.drop(key)
        known.drop(key)
    get(known, parse, b"a" * 500)
    get(known, parse, b"b" * 500)
    get(known, parse, b"a" * 500)
    assert len(parse.asked) == 2


def test_a_document_is_too_large_whether_or_not_it_is_known() -> None:
    known, parse = _Parsed(8 << 20), Parser()
    assert get(known, parse, b"x" * (1 << 20)) == 1 << 20
    known.put((parse, File.of(b"y" * ((1 << 20) + 1)).oid), 0, 1)
    for letter in (b"x", b"y"):
        with pytest.raises(Malformed, match="document-too-large"):
            get(known, parse, letter * ((1 << 20) + 1))
