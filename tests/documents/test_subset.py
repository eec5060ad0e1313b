"""The YAML subset and JSON records: what is outside them is refused, beside an honest twin that is read."""

from __future__ import annotations

import json
import time
from typing import Any, Literal

import msgspec
import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from gitledger.documents.subset import MAX_NODES, convert, dump_json, load_json, load_yaml
from gitledger.errors import Malformed

LIBYAML = getattr(yaml, "CSafeLoader", None)


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


# rule, the document, an honest document beside it, what that one says
YAML = [
    # bytes
    ("yaml-utf8", b"a: '\xe9'\n", b"a: '\xc3\xa9'\n", {"a": "é"}),
    ("yaml-utf8", b"a: '\xed\xa0\x80'\n", b"a: '\xed\x9f\x80'\n", {"a": "\ud7c0"}),
    ("yaml-utf8", "a: b\n".encode("utf-16"), b"a: b\n", {"a": "b"}),
    ("yaml-character", b"\xef\xbb\xbfa: b\n", b"a: b\n", {"a": "b"}),
    ("yaml-character", b"a: '\xef\xbb\xbf'\n", b"a: '\xef\xbb\xbc'\n", {"a": "\ufefc"}),
    ("yaml-character", b"a:\tb\n", b"a: b\n", {"a": "b"}),
    ("yaml-character", b"a: 'b\tc'\n", b"a: 'b c'\n", {"a": "b c"}),
    ("yaml-character", b"a: b #\t\n", b"a: b #\n", {"a": "b"}),
    ("yaml-character", b"a: b\r\n", b"a: b\n", {"a": "b"}),
    ("yaml-character", b"a: b\rc: d\n", b"a: b\nc: d\n", {"a": "b", "c": "d"}),
    ("yaml-character", b"a: b\xc2\x85", b"a: 'b\xc2\xa0'", {"a": "b\xa0"}),
    ("yaml-character", b"a: b # \xe2\x80\xa8c: d\n", b"a: b # \xe2\x80\xa6\n", {"a": "b"}),
    ("yaml-character", b"a: '\xe2\x80\xa9'\n", b"a: '\xe2\x80\xa7'\n", {"a": "\u2027"}),
    ("yaml-character", b"a: '\x00'\n", b"a: '0'\n", {"a": "0"}),
    ("yaml-character", b"a: '\x1b[2J'\n", b"a: '[2J'\n", {"a": "[2J"}),
    ("yaml-character", b"a: '\x7f'\n", b"a: '~'\n", {"a": "~"}),
    ("yaml-character", b"a: '\xef\xbf\xbf'\n", b"a: '\xef\xbf\xbd'\n", {"a": "\ufffd"}),
    ("yaml-size", b"#" * (1 << 20) + b"\na: b", b"#" * ((1 << 20) - 5) + b"\na: b", {"a": "b"}),
    # documents
    ("yaml-empty", b"", b"{}", {}),
    ("yaml-empty", b"\n# nothing\n", b"\n# nothing\n[]\n", []),
    ("yaml-marker", b"---\na: b\n", b"a: b\n", {"a": "b"}),
    ("yaml-marker", b"--- a\n", b"a\n", "a"),
    ("yaml-marker", b"a: b\n---\nc: d\n", b"a: b\n#---\nc: d\n", {"a": "b", "c": "d"}),
    ("yaml-marker", b"a: b\n...", b"a: b\n", {"a": "b"}),
    ("yaml-marker", b"a: b\n... # end\n", b"...a: b\n", {"...a": "b"}),
    ("yaml-marker", b"%YAML 1.1\na: b\n", b"# %YAML 1.1\na: b\n", {"a": "b"}),
    ("yaml-marker", b"a: |\n  b\n---\n", b"a: |\n  b\n  ---\n", {"a": "b\n---\n"}),
    ("yaml-syntax", b"{a: b}\n{c: d}\n", b"[{a: b},\n{c: d}]\n", [{"a": "b"}, {"c": "d"}]),
    ("yaml-syntax", b"a: b\n]\n", b"a: [b\n]\n", {"a": ["b"]}),
    ("yaml-syntax", b"a: b: c\n", b"a: b:c\n", {"a": "b:c"}),
    ("yaml-plain", b"a: b\n c: d\n", b"a: b\nc: d\n", {"a": "b", "c": "d"}),
    ("yaml-syntax", b'a: "\\UFFFFFFFF"\n', b'a: "\\U0001F600"\n', {"a": "\U0001f600"}),
    ("yaml-syntax", b'a: "\\q"\n', b'a: "\\\\q"\n', {"a": "\\q"}),
    # nodes
    ("yaml-anchor", b"a: &x b\n", b"a: '&x b'\n", {"a": "&x b"}),
    ("yaml-anchor", b"a: &x [b]\n", b"a: [b]\n", {"a": ["b"]}),
    ("yaml-anchor", b"&x a: b\n", b"a: b\n", {"a": "b"}),
    ("yaml-anchor", b"a: *x\n", b"a: '*x'\n", {"a": "*x"}),
    ("yaml-key", b"a: b\n*x : c\n", b"a: b\nx : c\n", {"a": "b", "x": "c"}),
    ("yaml-tag", b"a: !!int '1'\n", b"a: '1'\n", {"a": "1"}),
    ("yaml-tag", b"a: ! b\n", b"a: '! b'\n", {"a": "! b"}),
    ("yaml-tag", b"a: !<x> [b]\n", b"a: [b]\n", {"a": ["b"]}),
    ("yaml-tag", b"!!map {a: b}\n", b"{a: b}\n", {"a": "b"}),
    ("yaml-syntax", b"a: !e!x b\n", b"a: e!x b\n".replace(b"!", b"-"), {"a": "e-x b"}),
    ("yaml-plain", b"<<: {a: b}\n", b"'<<': {a: b}\n", {"<<": {"a": "b"}}),
    ("yaml-duplicate-key", b"a: b\na: c\n", b"a: b\nA: c\n", {"a": "b", "A": "c"}),
    ("yaml-duplicate-key", b"{a: b, 'a': c}", b"{a: b, 'a ': c}", {"a": "b", "a ": "c"}),
    ("yaml-duplicate-key", b'x: {"\\x61": 1, a: 2}', b'x: {"\\x62": 1, a: 2}', {"x": {"b": 1, "a": 2}}),
    ("yaml-depth", nested(17), nested(16), [[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]),
    ("yaml-depth", b"- " * 17 + b"a", b"- " * 16 + b"a", [[[[[[[[[[[[[[[["a"]]]]]]]]]]]]]]]]),
    ("yaml-key", b"1: a\n", b"'1': a\n", {"1": "a"}),
    ("yaml-key", b"true: a\n", b"yes: a\n", {"yes": "a"}),
    ("yaml-key", b"[a]: b\n", b"'[a]': b\n", {"[a]": "b"}),
    ("yaml-key", b"{a: b}: c\n", b"{a: b}\n", {"a": "b"}),
    ("yaml-no-value", b"a:\n", b"a: ''\n", {"a": ""}),
    ("yaml-no-value", b"a:\nb: c\n", b"a: 0\nb: c\n", {"a": 0, "b": "c"}),
    ("yaml-no-value", b"-\n- a\n", b"- []\n- a\n", [[], "a"]),
    ("yaml-no-value", b"{a: , b: c}\n", b"{a: '', b: c}\n", {"a": "", "b": "c"}),
    ("yaml-syntax", b": a\n", b"'': a\n", {"": "a"}),
    ("yaml-colon", b"{a}\n", b"[a]\n", ["a"]),
    ("yaml-indicator", b"? a\n: b\n", b"a: b\n", {"a": "b"}),
    ("yaml-indicator", b"? a\n", b"a\n", "a"),
    ("yaml-colon", b"{a\n: b}", b"{a:\nb}", {"a": "b"}),
    ("yaml-colon", b'{"a":b}', b'{"a": b}', {"a": "b"}),
    ("yaml-indicator", b"{? a: b}\n", b"{a: b}\n", {"a": "b"}),
    ("yaml-indicator", b"{a: b, ? c : d}\n", b"{a: b, c : d}\n", {"a": "b", "c": "d"}),
    ("yaml-key", b"? [a]\n: b\n", b"a: b # ?\n", {"a": "b"}),
    # scalars
    ("yaml-plain", b"a: ~\n", b"a: null\n", {"a": "null"}),
    ("yaml-plain", b"a: -1\n", b"a: 1-\n", {"a": "1-"}),
    ("yaml-plain", b"a: +1\n", b"a: 1+\n", {"a": "1+"}),
    ("yaml-plain", b"a: b!\n", b"a: 'b!'\n", {"a": "b!"}),
    ("yaml-plain", b"a: b#c\n", b"a: b #c\n", {"a": "b"}),
    ("yaml-plain", b"a: b::\n", b"a: b::c\n", {"a": "b::c"}),
    ("yaml-plain", b"a:: b\n", b"a:b: c\n", {"a:b": "c"}),
    ("yaml-plain", "a: é\n".encode(), "a: 'é'\n".encode(), {"a": "é"}),
    ("yaml-plain", "a: １\n".encode(), b"a: 1\n", {"a": 1}),
    ("yaml-plain", b"a: b\n  c\n", b"a: b c\n", {"a": "b c"}),
    ("yaml-plain", b"[a\nb]\n", b"[a,\nb]\n", ["a", "b"]),
    ("yaml-plain", b"a: b?\n", b"a: 'b?'\n", {"a": "b?"}),
    ("yaml-plain", b"a: b(c)\n", b'a: "b(c)"\n', {"a": "b(c)"}),
    ("yaml-quoted", b"a: 'b\n  c'\n", b"a: 'b c'\n", {"a": "b c"}),
    ("yaml-quoted", b'a: "b\n\n  c"\n', b'a: "b\\nc"\n', {"a": "b\nc"}),
    ("yaml-quoted", b'a: "b\\\n  c"\n', b'a: "b\\\\c"\n', {"a": "b\\c"}),
    ("yaml-character", b'a: "\\0"\n', b'a: "0"\n', {"a": "0"}),
    ("yaml-character", b'a: "\\t"\n', b'a: "t"\n', {"a": "t"}),
    ("yaml-character", b'a: "\\r\\n"\n', b'a: "\\n"\n', {"a": "\n"}),
    ("yaml-character", b'a: "\\x1b"\n', b'a: "\\x20"\n', {"a": " "}),
    ("yaml-character", b'a: "\\N"\n', b'a: "\\_"\n', {"a": "\xa0"}),
    ("yaml-character", b'a: "\\L"\n', b"a: 'L'\n", {"a": "L"}),
    ("yaml-character", b'a: "\\uFEFF"\n', b'a: "\\uFEFC"\n', {"a": "\ufefc"}),
    ("yaml-character", b'a: "\\uD800"\n', b'a: "\\uD7FF"\n', {"a": "\ud7ff"}),
    ("yaml-character", b'"\\e": a\n', b'"\\"": a\n', {'"': "a"}),
    ("yaml-block-scalar", b"a: >\n  b\n", b"a: |\n  b\n", {"a": "b\n"}),
    ("yaml-block-scalar", b"a: |-\n  b\n", b"a: |\n  b\n", {"a": "b\n"}),
    ("yaml-block-scalar", b"a: |+\n  b\n\n", b"a: |\n  b\n\n", {"a": "b\n"}),
    ("yaml-block-scalar", b"a: |2\n   b\n", b"a: |\n   b\n", {"a": "b\n"}),
    ("yaml-block-scalar", b"a: | # c\n  b\n", b"a: |\n  # c\n  b\n", {"a": "# c\nb\n"}),
    ("yaml-block-scalar", b"a: | \n  b\n", b"a: |\n  b \n", {"a": "b \n"}),
    ("yaml-block-scalar", b"a: |", b"a: |\n", {"a": ""}),
]

# Found by searching: stock PyYAML reads each with one of its parsers and not, or differently, with the other.
PARSERS_DIFFER = [
    b".\t",
    b"|\t",
    b"a: | \t\n  b\n",
    b"|\n \t[",
    b"\r\xef\xbb\xbf",
    b"\n\xef\xbb\xbf'",
    b"\n\xef\xbb\xbf \na:",
    b"\xc2\x85#c\n\xef\xbb\xbf&a?\n",
    b"?\n\xef\xbb\xbf",
    b"[a:]",
    b"[a:{c: d}]\n",
    b"{a:[b]}",
    b"- {x: y, z:[v]}\n",
    b"[?]",
    b"[?]]",
    b"{x?}",
    b"[a: b, {c?**\t: d}]\n",
    b"!,",
    b"[a: !!]\n]",
    b'"\\ud800"',
    b"%-\n\n\n---",
]


def read_by(data: bytes, loader: Any) -> list[Any] | None:
    """What a stock parser makes of the bytes, or None where it stops."""
    events: list[Any] = []
    try:
        for event in yaml.parse(data, Loader=loader):
            kind = type(event).__name__
            if isinstance(event, yaml.ScalarEvent):
                events.append((kind, event.value, event.style or None, event.anchor, event.tag))
            elif isinstance(event, yaml.NodeEvent):
                events.append((kind, event.anchor, getattr(event, "tag", None)))
            else:
                events.append(kind)
    except (yaml.YAMLError, ValueError, OverflowError):
        return None
    return events


@pytest.mark.parametrize(("rule", "data", "honest", "value"), YAML, ids=lambda value: repr(value)[:40])
def test_yaml_outside_the_subset_is_refused_and_its_honest_twin_is_read(
    rule: str, data: bytes, honest: bytes, value: Any
) -> None:
    with pytest.raises(Malformed) as caught:
        load_yaml(data)
    assert caught.value.rule == rule
    assert caught.value.mend
    assert str(caught.value).isprintable()
    assert load_yaml(honest) == value


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("0", 0),
        ("7", 7),
        ("9223372036854775807", 9223372036854775807),
        ("9223372036854775808", "9223372036854775808"),
        ("1" * 5000, "1" * 5000),
        ("010", "010"),
        ("00", "00"),
        ("0x1F", "0x1F"),
        ("0o7", "0o7"),
        ("1_000", "1_000"),
        ("1e3", "1e3"),
        ("0.1", "0.1"),
        (".inf", ".inf"),
        ("1:30", "1:30"),
        ("2024-01-01", "2024-01-01"),
        ("true", True),
        ("false", False),
        ("True", "True"),
        ("yes", "yes"),
        ("no", "no"),
        ("on", "on"),
        ("null", "null"),
        ("=", None),
        ("'true'", "true"),
        ('"7"', "7"),
        ("'it''s'", "it's"),
        ("SHA256:ab+/=", "SHA256:ab+/="),
        ("a@b", "a@b"),
        ("standards/**", "standards/**"),
        ("ssh-ed25519 AAAA+/", "ssh-ed25519 AAAA+/"),
    ],
)
def test_only_true_false_and_plain_numbers_are_anything_but_strings(source: str, value: Any) -> None:
    if value is None:
        with pytest.raises(Malformed, match="yaml-plain"):
            load_yaml(f"a: {source}\n".encode())
        return
    read = load_yaml(f"a: {source}\n".encode())["a"]
    assert read == value
    assert type(read) is type(value)


def test_a_document_as_people_write_it_is_read() -> None:
    document = b"""\
# yaml-language-server: $schema=policy.schema.json   (what? a comment)
artifact_type: asl.common.policy
version: 0.1
keys:
  - {name: root,   key: ssh-ed25519 AAAA, roles: [root]}   # aligned
  - name: laptop
    roles:
    - publisher
    proof: |
      -----BEGIN SSH SIGNATURE-----

      U1NI
      -----END SSH SIGNATURE-----
  # a comment after a block
  - name : 'third'
paths: [
  {match: "standards/**",
   endorsements: 2},
]
revoked: []
limits: {}
"""
    assert load_yaml(document) == {
        "artifact_type": "asl.common.policy",
        "version": "0.1",
        "keys": [
            {"name": "root", "key": "ssh-ed25519 AAAA", "roles": ["root"]},
            {
                "name": "laptop",
                "roles": ["publisher"],
                "proof": "-----BEGIN SSH SIGNATURE-----\n\nU1NI\n-----END SSH SIGNATURE-----\n",
            },
            {"name": "third"},
        ],
        "paths": [{"match": "standards/**", "endorsements": 2}],
        "revoked": [],
        "limits": {},
    }


def test_an_error_names_line_and_column() -> None:
    with pytest.raises(Malformed, match="line 3, column 6"):
        load_yaml(b"a: b\nc:\n  d: !x e\n")
    with pytest.raises(Malformed, match="line 2, column 3"):
        load_yaml(b"a: b\nc \t: d\n")


@pytest.mark.parametrize("data", PARSERS_DIFFER, ids=repr)
def test_a_document_on_which_the_two_parsers_differ_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        load_yaml(data)
    if LIBYAML is not None:
        assert read_by(data, yaml.SafeLoader) != read_by(data, LIBYAML)


PIECES = [
    *"ab10/.:*-?!&<%|>#,[]{}'\"\\é \n\t\r\ufeff\x85\u2028",
    *("true", "010", "::", "--", "---", "...", "!!", "&a", "*a", "<<", "|-", "[]", "{}", "x?", "SHA256:a+/="),
    *("'a'", '"b"', "'é'", '"\\n"', '"\\ud800"', "  ", "\n ", "\n  ", "\n\n", ": ", ":\n", " :"),
    *(", ", "- ", "? ", "| ", "|\n", "|\n  t\n", " #c\n", "a: b\n", "{a: ", "[a, "),
    *("k" * 1024, "'" + "q" * 1022),
]


@pytest.mark.skipif(LIBYAML is None, reason="PyYAML was built without libyaml here")
@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
@example("a" * 1024 + ": b")
@example("'" + "a" * 1022 + "': b")
@example("{" + "a" * 1025 + ": b}")
def test_what_is_accepted_both_parsers_read_alike(text: str) -> None:
    data = text.encode()
    try:
        load_yaml(data)
    except Malformed:
        return
    assert read_by(data, yaml.SafeLoader) == read_by(data, LIBYAML)


VALUES = st.recursive(
    st.booleans() | st.integers(0, (1 << 63) - 1) | st.text(st.characters(codec="utf-8"), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(VALUES)
def test_a_record_reads_back_and_is_what_other_tools_write(value: Any) -> None:
    written = dump_json(value)
    # Its bytes are those of Python's own encoder, which `jq -cS` agrees with.
    assert json.loads(written) == value
    assert load_json(written) == value


@pytest.mark.parametrize(
    "data",
    [
        b"[" * 100_000,
        b"[\n" * 100_000,
        b"{a: " * 100_000,
        b"- " * 100_000,
        b"? " * 100_000,
        b"".join(b" " * depth + b"a:\n" for depth in range(1400)),
        b"a: " + b"[" * 100_000 + b"]" * 100_000,
        b"-\n" * 300_000,
        b"'" * 300_001,
    ],
    ids=lambda data: repr(data[:12]),
)
def test_hostile_nesting_is_refused_at_once(data: bytes) -> None:
    began = time.process_time()
    with pytest.raises(Malformed):
        load_yaml(data)
    assert time.process_time() - began < 5


JSON = [
    ("json-syntax", b"", b"{}\n"),
    ("json-syntax", b"{", b"{}\n"),
    ("json-syntax", b"\xef\xbb\xbf{}\n", b"{}\n"),
    ("json-syntax", b"{} {}\n", b"[{},{}]\n"),
    ("json-syntax", b'"\xff"\n', b'"\xc3\xbf"\n'),
    ("json-syntax", b'"\\ud800"\n', b'"\\\\ud800"\n'),
    ("json-syntax", b"[NaN]\n", b'["NaN"]\n'),
    ("json-syntax", b"[01]\n", b"[1]\n"),
    ("json-syntax", b"[" * 100_000, nested(16) + b"\n"),
    ("json-depth", nested(17) + b"\n", nested(16) + b"\n"),
    ("json-value", b"null\n", b'"null"\n'),
    ("json-value", b'{"a":1.5}\n', b'{"a":1}\n'),
    ("json-value", b'{"a":-1}\n', b'{"a":0}\n'),
    ("json-value", b"[9223372036854775808]\n", b"[9223372036854775807]\n"),
    ("json-value", b"[" + b"9" * 400 + b"]\n", b"[" + b"9" * 18 + b"]\n"),
    ("json-canonical", b"{}", b"{}\n"),
    ("json-canonical", b"{}\n\n", b"{}\n"),
    ("json-canonical", b"{ }\n", b"{}\n"),
    ("json-canonical", b'{"a": 1}\n', b'{"a":1}\n'),
    ("json-canonical", b'{"b":1,"a":2}\n', b'{"a":2,"b":1}\n'),
    ("json-canonical", b'{"a":1,"a":2}\n', b'{"a":2}\n'),
    ("json-canonical", b'{"a":2,"a":2}\n', b'{"a":2}\n'),
    ("json-canonical", b'["\\u0061"]\n', b'["a"]\n'),
    ("json-canonical", b'["\\u00e9"]\n', b'["\xc3\xa9"]\n'),
    ("json-canonical", b'["\\/"]\n', b'["/"]\n'),
    ("json-canonical", b"[1]\r\n", b"[1]\n"),
]


@pytest.mark.parametrize(("rule", "data", "honest"), JSON, ids=lambda value: repr(value)[:40])
def test_json_that_the_ledger_would_not_write_is_refused(rule: str, data: bytes, honest: bytes) -> None:
    with pytest.raises(Malformed) as caught:
        load_json(data)
    assert caught.value.rule == rule
    assert str(caught.value).isprintable()
    assert dump_json(load_json(honest)) == honest


class Key(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    roles: tuple[Literal["root", "publisher"], ...] = ()
    weight: int = 0


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    keys: tuple[Key, ...]
    sealed: bool = False


def test_a_loaded_value_becomes_a_typed_one() -> None:
    value = load_yaml(b"keys: [{name: root, roles: [root], weight: 2}]\nsealed: true\n")
    assert convert(value, Manifest) == Manifest((Key("root", ("root",), 2),), sealed=True)


@pytest.mark.parametrize(
    ("data", "rule", "what"),
    [
        (b"[]", "document-form", "expected a mapping, got a list"),
        (b"{}", "missing-key", "the key 'keys' is missing"),
        (b"keys: {}", "document-form", "keys: expected a list, got a mapping"),
        (b"keys: [{roles: []}]", "missing-key", "keys[0]: the key 'name' is missing"),
        (b"keys: [{name: 1}]", "document-form", "keys[0].name: expected text, got a whole number"),
        (b"keys: [{name: a, weight: '1'}]", "document-form", "weight: expected a whole number, got text"),
        (b"keys: []\nsealed: 1", "document-form", "sealed: expected true or false, got a whole number"),
        (b"keys: []\nsealed: yes", "document-form", "sealed: expected true or false, got text"),
        (b"keys: [{name: a, roles: [x]}]", "document-form", "roles[0]: not one of the values"),
        (b"keys: []\nseal: 1", "unknown-field", "the key 'seal' is unknown"),
        (b"keys: [{name: a, Name: b}]", "unknown-field", "keys[0]: the key 'Name' is unknown"),
        (b'keys: []\n"x` - at `$.y\\n": 1', "unknown-field", "is unknown"),
    ],
)
def test_a_value_of_another_type_is_refused_in_plain_words(data: bytes, rule: str, what: str) -> None:
    with pytest.raises(Malformed) as caught:
        convert(load_yaml(data), Manifest)
    assert caught.value.rule == rule
    assert what in str(caught.value)
    assert str(caught.value).isprintable()
    assert caught.value.mend


def test_a_document_of_too_many_nodes_is_refused_and_one_of_just_enough_is_not() -> None:
    assert len(load_yaml(b"[" + b"a," * (MAX_NODES - 1) + b"]")) == MAX_NODES - 1
    with pytest.raises(Malformed) as refused:
        load_yaml(b"[" + b"a," * MAX_NODES + b"]")
    assert refused.value.rule == "yaml-nodes"
