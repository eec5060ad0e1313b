"""The YAML subset and the JSON records: bytes become plain values in one way only, or are refused (spec 3).

YAML, for what people write: at most 1 MiB of UTF-8 without BOM; no control character but LF, no U+2028,
U+2029, U+FEFF; no directive, ``---`` or ``...``; one document of mappings, sequences and scalars; no tags,
anchors, aliases, merge keys or duplicate keys; nesting at most 16; every key has a value, a string. Block
scalars are ``|`` and a newline. A plain scalar does not end in ``:`` and matches
``[A-Za-z0-9._/][A-Za-z0-9 ._/+=@:*-]*``. Only plain ``true``, ``false`` and ``0|[1-9][0-9]*`` (< 2^63) are
booleans and integers; everything else is a string.

JSON, for what the ledger keeps: sorted keys, no spaces, a final newline; bytes that do not re-encode to
themselves are refused.

The characters are checked first, then PyYAML's events as they come, and values are built last. Always by
PyYAML's own parser: libyaml reads some documents in another way, and whether it is there depends on how
PyYAML was built. What the two read differently is outside the subset: ``?`` for a key, a ``:`` without a
space after it, scalars over several lines, and escapes for characters that the document may not hold.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, NoReturn, TypeVar

import msgspec
import yaml

from gitledger.errors import Malformed

MAX_BYTES: Final = 1 << 20
MAX_DEPTH: Final = 16
MAX_NODES: Final = 50_000
"""How many scalars and collections a document holds at most, so that a hostile one is read in about a second."""
MAX_INTEGER: Final = (1 << 63) - 1

_T = TypeVar("_T")

# Control characters (category Cc) but LF; line and paragraph separators; the byte order mark; surrogates and
# the two non-characters, which YAML itself bars.
_BARRED = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")
_BARRED_MENDS: Final = {
    "\t": "Indent with spaces; in a quoted text a tab can't stand.",
    "\r": "Save the file with Unix line ends: git config core.autocrlf input",
    "\ufeff": "Save the file as UTF-8 without a byte order mark.",
}
_MARKER = re.compile(r"^(?:%|(?:---|\.\.\.)(?=[ \n]|\Z))", re.MULTILINE)
_PLAIN = re.compile(r"[A-Za-z0-9._/][A-Za-z0-9 ._/+=@:*-]*(?<!:)")
_INTEGER = re.compile(r"0|[1-9][0-9]{0,18}")
# What may stand between two scalars; a ? there would announce a key. A comment follows white space.
# The group itself is not possessive: before 3.11.5, Python forgets the end of such a group (gh-106052).
_BETWEEN = re.compile(r"(?:[ \n\[\]{},:-]++|(?<![^ \n])#[^\n]*+)*")
_COLON = re.compile(r" *:(?=[ \n]|\Z)")

_QUOTE: Final = "Put the text in double quotes."
_REWRITTEN: Final = "The ledger writes its records itself: take your change to this file back."


def load_yaml(data: bytes) -> Any:
    """The value that a document of the YAML subset holds: dict, list, str, int or bool (spec 3).

    Raises Malformed, with line and column, for anything outside the subset.
    """
    return _Document(_checked_text(data)).value()


def load_json(data: bytes) -> Any:
    """The value of a JSON record: dict, list, str, int or bool (spec 3).

    Raises Malformed unless `dump_json` gives the same bytes.
    """
    try:
        value = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed("json-syntax", f"this is not JSON: {error}", _REWRITTEN) from None
    _check_record(value, 1)
    if dump_json(value) != data:
        raise Malformed(
            "json-canonical", "the bytes are not the ones that the ledger writes for this value", _REWRITTEN
        )
    return value


def dump_json(value: Any) -> bytes:
    """The one form of a JSON record: sorted keys, no spaces, a final newline, UTF-8 unescaped (spec 3)."""
    return msgspec.json.encode(value, order="sorted") + b"\n"


def convert(value: Any, type: type[_T]) -> _T:
    """A loaded value as a value of `type`, a frozen msgspec.Struct that forbids unknown fields (spec 3).

    Raises Malformed that names the place (``authorities[0].domain_id``) and says what is wrong there.
    """
    try:
        return msgspec.convert(value, type)
    except msgspec.ValidationError as error:
        _refuse_form(str(error))


def _check_record(value: object, depth: int) -> None:
    """Hold a JSON value to what a YAML document can hold: no null, no fraction, no endless nesting."""
    if isinstance(value, dict | list):
        if depth > MAX_DEPTH:
            raise Malformed("json-depth", f"the record is nested deeper than {MAX_DEPTH}", _REWRITTEN)
        for item in value.values() if isinstance(value, dict) else value:
            _check_record(item, depth + 1)
    elif not isinstance(value, str) and not (isinstance(value, int) and 0 <= value <= MAX_INTEGER):
        what = "a value is neither text nor a whole number from 0 to 2^63-1 nor true or false"
        raise Malformed("json-value", what, _REWRITTEN)


def _checked_text(data: bytes) -> str:
    """The document's text, once its size, characters and beginnings of lines are in the subset."""
    if len(data) > MAX_BYTES:
        what = f"the document has {len(data)} bytes, more than {MAX_BYTES}"
        raise Malformed("yaml-size", what, "Shorten it.")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Malformed(
            "yaml-utf8", f"the document is not UTF-8, from byte {error.start} on", "Save the file as UTF-8."
        ) from None
    if barred := _BARRED.search(text):
        what = f"U+{ord(barred[0]):04X} may not stand in a document"
        mend = _BARRED_MENDS.get(barred[0], "Take the character out.")
        raise Malformed("yaml-character", f"{what}, {_place(text, barred.start())}", mend)
    if marker := _MARKER.search(text):
        what = f"a line begins with {marker[0]}, and a file is one document without directives"
        raise Malformed("yaml-marker", f"{what}, {_place(text, marker.start())}", "Take that line out.")
    return text


def _place(text: str, index: int) -> str:
    line_start = text.rfind("\n", 0, index) + 1
    return f"line {text.count(chr(10), 0, index) + 1}, column {index - line_start + 1}"


def _index(mark: Any) -> int:
    """Where a mark points into the text: PyYAML's own parser, given text, always says."""
    index: int = mark.index
    return index


class _Document:
    """One pass over the events of a checked text, that builds its value."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._events = self._stream()
        self._read = 0  # where the last scalar ended: all before this index is accounted for

    def value(self) -> Any:
        """The value of the one document, or Malformed."""
        next(self._events)  # the stream starts
        if isinstance(next(self._events), yaml.StreamEndEvent):
            self._refuse("yaml-empty", "the document holds nothing", 0, "Write at least {} into it.")
        value = self._node(next(self._events), 1)
        next(self._events)  # the document ends
        # No second document: the parser wants --- before it, and that is refused already.
        next(self._events)
        self._account_for(len(self._text))
        return value

    def _stream(self) -> Iterator[yaml.Event]:
        try:
            nodes = 0
            for event in yaml.parse(self._text, Loader=yaml.SafeLoader):
                nodes += isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent)
                if nodes > MAX_NODES:
                    what = f"the document holds more than {MAX_NODES} values and keys"
                    self._refuse("yaml-nodes", what, _index(event.start_mark), "Shorten it.")
                yield event
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            index = _index(mark) if mark else self._read
            self._refuse("yaml-syntax", error.problem or "this is not YAML", index, "Correct it.")
        except (yaml.YAMLError, ValueError, OverflowError) as error:
            # PyYAML lets chr() fail on "\UFFFFFFFF".
            self._refuse("yaml-syntax", f"this is not YAML: {error}", self._read, "Correct it.")

    def _node(self, event: yaml.Event, depth: int) -> Any:
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event)
        start = _index(event.start_mark)
        if not isinstance(event, yaml.CollectionStartEvent):
            self._refuse("yaml-anchor", "an alias stands here", start, "Write the value out.")
        self._check_bare(event)
        if depth > MAX_DEPTH:
            self._refuse("yaml-depth", f"this is nested deeper than {MAX_DEPTH}", start, "Flatten it.")
        return self._sequence(depth) if isinstance(event, yaml.SequenceStartEvent) else self._mapping(depth)

    def _sequence(self, depth: int) -> list[Any]:
        items = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self._node(event, depth + 1))
        return items

    def _mapping(self, depth: int) -> dict[str, Any]:
        items: dict[str, Any] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._key(event)
            if key in items:
                what = f"the key {_shown(key)} stands twice in one mapping"
                self._refuse("yaml-duplicate-key", what, _index(event.start_mark), "Keep one of them.")
            items[key] = self._node(next(self._events), depth + 1)
        return items

    def _key(self, event: yaml.Event) -> str:
        key = self._scalar(event) if isinstance(event, yaml.ScalarEvent) else None
        if not isinstance(key, str):
            self._refuse("yaml-key", "a key must be a string", _index(event.start_mark), _QUOTE)
        if not _COLON.match(self._text, _index(event.end_mark)):
            what = "after a key there must be a : and a space or a new line"
            self._refuse("yaml-colon", what, _index(event.end_mark), "Write it as key: value")
        return key

    def _scalar(self, event: yaml.ScalarEvent) -> str | int | bool:
        self._check_bare(event)
        start, end = _index(event.start_mark), _index(event.end_mark)
        self._account_for(start)
        self._read = end
        source = self._text[start:end]
        if event.style in {"|", ">"}:
            if not source.startswith("|\n"):
                what = "a text in several lines begins with | and a new line, and nothing between them"
                self._refuse("yaml-block-scalar", what, start, "Write | alone.")
            return event.value
        if event.style:
            self._check_quoted(event.value, source, start)
            return event.value
        return self._plain(source, start)

    def _check_quoted(self, value: str, source: str, start: int) -> None:
        if "\n" in source:
            what = "a quoted text goes over several lines"
            self._refuse("yaml-quoted", what, start, "Write it in one line, or after | and a new line.")
        if barred := _BARRED.search(value):
            what = f"an escape stands for U+{ord(barred[0]):04X}, which may not stand in a document"
            self._refuse("yaml-character", what, start, "Take the escape out.")

    def _plain(self, source: str, start: int) -> str | int | bool:
        """What a scalar without quotes means, judged by its source: folded lines never get this far."""
        if not source:
            self._refuse("yaml-no-value", "a value is missing", start, 'Write one; "" is an empty text.')
        if not _PLAIN.fullmatch(source):
            self._refuse("yaml-plain", f"{_shown(source)} can't stand without quotes", start, _QUOTE)
        if source in ("true", "false"):
            return source == "true"
        if _INTEGER.fullmatch(source) and int(source) <= MAX_INTEGER:
            return int(source)
        return source

    def _check_bare(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent) -> None:
        start = _index(event.start_mark)
        if event.anchor is not None:
            self._refuse("yaml-anchor", "an anchor stands here", start, "Take it out.")
        if event.tag is not None:
            self._refuse("yaml-tag", "a tag stands here", start, "Take it out.")

    def _account_for(self, index: int) -> None:
        """From the last scalar to here, the text holds only brackets, dashes, colons, space and comments."""
        found = _BETWEEN.match(self._text, self._read, index)
        if found and found.end() < index:
            what = f"{self._text[found.end()]!r} stands where only a value may"
            self._refuse("yaml-indicator", what, found.end(), f"Write it as key: value. {_QUOTE}")

    def _refuse(self, rule: str, what: str, index: int, mend: str) -> NoReturn:
        raise Malformed(rule, f"{what}, {_place(self._text, index)}", mend)


# How msgspec names the types of values, and how we do.
_TYPES: Final = {
    "str": "text",
    "int": "a whole number",
    "bool": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "nothing",
}
_FORM = re.compile(r"(?P<what>.*?)(?: - at `(?:key` in `)?\$\.?(?P<place>[a-zA-Z0-9_.\[\]]*)`)?", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*)`")


def _refuse_form(message: str) -> NoReturn:
    """Say in plain words what msgspec says as ``Expected `str`, got `int` - at `$.keys[0].name` ``."""
    parts = _FORM.fullmatch(message)
    what, place = (parts["what"], parts["place"]) if parts else (message, "")
    at = f"{place}: " if place else ""
    if found := _UNKNOWN.fullmatch(what):
        mend = "Correct its spelling or take it out."
        raise Malformed("unknown-field", f"{at}the key {_shown(found[1])} is unknown", mend)
    if found := _MISSING.fullmatch(what):
        raise Malformed("missing-key", f"{at}the key {_shown(found[1])} is missing", "Add it.")
    words = re.sub(r"`([a-z |]+)`", lambda found: _in_words(found[1]), what[:200])
    words = words.replace("Invalid enum value", "Not one of the values allowed here:")
    raise Malformed("document-form", f"{at}{words[:1].lower()}{words[1:]}", "Correct the value.")


def _in_words(types: str) -> str:
    return " or ".join(_TYPES.get(name, name) for name in types.split(" | "))


def _shown(text: str) -> str:
    """Text of the document for a message: quoted, nothing in it that a terminal obeys, and not too long."""
    return ascii(text[:40]) + ("…" if len(text) > 40 else "")
