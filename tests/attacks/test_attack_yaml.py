"""YAML: documents that say one thing to one reader and another to the next (spec 3, YAML subset).

Alice proposes her manifest, or a policy, with one edit in it. The honest twin of each attack is an edit as small at the
same place.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import forge
import pytest
import yaml
from doors import Doors, Thrown
from world import Templates, World, accepted

LIBYAML = getattr(yaml, "CSafeLoader", None)

MANIFEST = "domains/alice/domain.yaml"
POLICY = "ledger/policy.yaml"

Edit = tuple[bytes, bytes]
"""Bytes that stand in the honest document, and what stands there instead."""

ALICE = b"domain_id: alice\n"
ROLES = b"roles: [root, publisher]}"
START = b"artifact_type:"


def at_end(text: bytes) -> Edit:
    """An edit after the last line, which is that of a proof."""
    return b"  # the end\n", b"  # the end\n" + text


# rule, the edit, an honest edit beside it
MANIFESTS: dict[str, tuple[str, Edit, Edit]] = {
    # duplicates
    "a key twice": ("yaml-duplicate-key", at_end(ALICE), at_end(b"#" + ALICE)),
    "a key twice, once in quotes": ("yaml-duplicate-key", at_end(b'"domain_id": james\n'), at_end(b'#"domain_id"\n')),
    "a key twice, once by an escape": (
        "yaml-duplicate-key",
        at_end(b'"domain_i\\x64": james\n'),
        (ALICE, b'"domain_i\\x64": alice\n'),
    ),
    "a key of a key twice": (
        "yaml-duplicate-key",
        (ROLES, b"roles: [root, publisher], roles: [auditor]}"),
        (ROLES, b"roles: [root, publisher], }"),
    ),
    # what refers to something else
    "an anchor": ("yaml-anchor", (ALICE, b"domain_id: &a alice\n"), (ALICE, b"domain_id: 'alice'\n")),
    "an anchor on a key": ("yaml-anchor", (ALICE, b"&a domain_id: alice\n"), (ALICE, b"'domain_id': alice\n")),
    "an alias": ("yaml-anchor", (ALICE, b"domain_id: *a\n"), (ALICE, b'domain_id: "alice"\n')),
    "a merge key": ("yaml-plain", (ALICE, b"<<: {domain_id: alice}\n"), (ALICE, b"domain_id:  alice\n")),
    "a merge key in quotes": ("unknown-field", at_end(b'"<<": {domain_id: james}\n'), at_end(b"#<<:\n")),
    # tags
    "a tag": ("yaml-tag", (ALICE, b"domain_id: !!str alice\n"), (ALICE, b"domain_id: alice # !!str\n")),
    "a tag that is only its mark": ("yaml-tag", (ALICE, b"domain_id: ! alice\n"), (ALICE, b"domain_id: alice #!\n")),
    "a tag that calls a function": (
        "yaml-tag",
        (ALICE, b'domain_id: !!python/object/apply:os.system ["true"]\n'),
        (ALICE, b"domain_id: alice # python/object/apply\n"),
    ),
    "a tag on the whole": ("yaml-tag", (START, b"!!map\nartifact_type:"), (START, b"# !!map\nartifact_type:")),
    # depth and size
    "seventeen sequences one in another": ("yaml-depth", at_end(b"x: " + b"[" * 17 + b"]" * 17), at_end(b"#" * 17)),
    "a hundred thousand of them": ("yaml-depth", at_end(b"x: " + b"[" * 100_000), at_end(b"#" * 100_000)),
    "sixty thousand values": ("yaml-nodes", at_end(b"x: [" + b"a," * 60_000 + b"]"), at_end(b"#" * 120_000)),
    "more than a mebibyte": ("document-too-large", at_end(b"#" * (1 << 20)), at_end(b"#" * (1 << 19))),
    # characters
    "a tab after a colon": ("yaml-character", (ALICE, b"domain_id:\talice\n"), (ALICE, b"domain_id: alice \n")),
    "a tab for indentation": ("yaml-character", (b"keys:\n  -", b"keys:\n\t-"), (b"keys:\n  -", b"keys:\n\n  -")),
    "a tab in a comment": ("yaml-character", at_end(b"#\t\n"), at_end(b"# \n")),
    "Windows line ends": ("yaml-character", (ALICE, b"domain_id: alice\r\n"), (ALICE, b"domain_id: alice\n\n")),
    "a byte order mark": ("yaml-character", (START, b"\xef\xbb\xbf" + START), (START, b"\n" + START)),
    "a byte order mark in the middle": ("yaml-character", (ALICE, b"\xef\xbb\xbf" + ALICE), (ALICE, b"# " + ALICE * 2)),
    "a next line": ("yaml-character", (ALICE, b"domain_id: alice\xc2\x85"), (ALICE, b"domain_id: alice #\xc2\xa0\n")),
    "a line separator": (
        "yaml-character",
        (ALICE, b"domain_id: alice # \xe2\x80\xa8x: y\n"),
        (ALICE, b"domain_id: alice # \xe2\x80\xa6x: y\n"),
    ),
    "a NUL": ("yaml-character", at_end(b"#\x00\n"), at_end(b"#0\n")),
    "an escape that is a NUL": (
        "yaml-character",
        (ALICE, b'domain_id: "alice\\0"\n'),
        (ALICE, b'domain_id: "ali\\x63e"\n'),
    ),
    "what a terminal obeys": ("yaml-character", at_end(b"# \x1b[2J\n"), at_end(b"# [2J\n")),
    "bytes that are not UTF-8": ("yaml-utf8", at_end(b"# \xe9\n"), at_end(b"# \xc3\xa9\n")),
    # documents
    "a marker of a document": ("yaml-marker", (START, b"---\n" + START), (START, b"# ---\n" + START)),
    "a second document": ("yaml-marker", at_end(b"---\ndomain_id: james\n"), at_end(b"# ---\n")),
    "an end of the document": ("yaml-marker", at_end(b"...\n"), at_end(b"# ...\n")),
    "a directive": ("yaml-marker", (START, b"%YAML 1.1\n" + START), (START, b"#%YAML 1.1\n" + START)),
    "a second document without a marker": ("yaml-syntax", at_end(b"{}\n"), at_end(b"# {}\n")),
    # keys and values
    "a key that a question mark announces": (
        "yaml-indicator",
        (ALICE, b"? domain_id\n: alice\n"),
        (ALICE, b"domain_id : alice\n"),
    ),
    "a key that is a number": ("yaml-key", at_end(b"1: x\n"), at_end(b"# 1: x\n")),
    "a key that is true": ("yaml-key", at_end(b"true: x\n"), at_end(b"# true: x\n")),
    "a key that nobody knows": ("unknown-field", at_end(b"comment: x\n"), at_end(b"# comment: x\n")),
    "a key in capitals": ("unknown-field", at_end(b"Domain_id: james\n"), at_end(b"# Domain_id: james\n")),
    "a key without a value": ("yaml-no-value", (ALICE, b"domain_id:\n"), (ALICE, b"domain_id:\n  alice\n")),
    "a value over two lines": (
        "yaml-plain",
        (ALICE, b"domain_id: ali\n  ce\n"),
        (ALICE, b"domain_id:\n  # ali\n  alice\n"),
    ),
    "a value in quotes over two lines": (
        "yaml-quoted",
        (ALICE, b'domain_id: "ali\\\n  ce"\n'),
        (ALICE, b'domain_id: "alice" #\n'),
    ),
    "a folded proof": ("yaml-block-scalar", (b"proof: |\n", b"proof: >\n"), (b"proof: |\n", b"proof : |\n")),
    "a proof without its last line end": (
        "yaml-block-scalar",
        (b"proof: |\n", b"proof: |-\n"),
        (b"proof: |\n", b"proof:  |\n"),
    ),
    "a value that is nothing": ("yaml-plain", (ALICE, b"domain_id: ~\n"), (ALICE, b"domain_id: 'alice' # ~\n")),
    "null": ("manifest-domain", (ALICE, b"domain_id: null\n"), (ALICE, b"domain_id: alice # null\n")),
    "a version of two digits": (
        "document-form",
        (b"version: 0.1\n", b"version: 0.10\n"),
        (b"version: 0.1\n", b'version: "0.1"\n'),
    ),
    "no for the roles": ("document-form", (ROLES, b"roles: no}"), (ROLES, b'"roles": [root, publisher]}')),
}

TRUE = b"rotation_allowed: true"
TWO = b"quorum_threshold: 2"
REVISION = b"revision: 2"

POLICIES: dict[str, tuple[str, Edit, Edit]] = {
    "no for false": ("document-form", (TRUE, b"rotation_allowed: no"), (TRUE, b"rotation_allowed: false")),
    "yes for true": ("document-form", (TRUE, b"rotation_allowed: yes"), (TRUE, b"rotation_allowed: true # yes")),
    "True for true": ("document-form", (TRUE, b"rotation_allowed: True"), (TRUE, b"rotation_allowed:  true")),
    "1 for true": ("document-form", (TRUE, b"rotation_allowed: 1"), (TRUE, b"rotation_allowed: true # 1")),
    "true for 1": ("document-form", (REVISION, b"revision: true"), (REVISION, b"revision: 2 # true")),
    "an octal number": ("document-form", (TWO, b"quorum_threshold: 02"), (TWO, b"quorum_threshold: 3")),
    "010": ("document-form", (REVISION, b"revision: 010"), (REVISION, b"revision:  2")),
    "a hexadecimal number": ("document-form", (TWO, b"quorum_threshold: 0x2"), (TWO, b"quorum_threshold:  2")),
    "a binary number": ("document-form", (TWO, b"quorum_threshold: 0b10"), (TWO, b"quorum_threshold:  3")),
    "a number with an underscore": ("document-form", (TWO, b"quorum_threshold: 2_"), (TWO, b"quorum_threshold: 2 #_")),
    "a number in base sixty": ("document-form", (TWO, b"quorum_threshold: 0:2"), (TWO, b"quorum_threshold: 2 #0")),
    "a number with a fraction": ("document-form", (TWO, b"quorum_threshold: 2.0"), (TWO, b"quorum_threshold: 2 #.0")),
    "a number with an exponent": ("document-form", (TWO, b"quorum_threshold: 2e0"), (TWO, b"quorum_threshold: 2 #e0")),
    "a number with a sign": ("yaml-plain", (TWO, b"quorum_threshold: +2"), (TWO, b"quorum_threshold: 2 #+")),
    "a number in full width": (
        "yaml-plain",
        (TWO, "quorum_threshold: ２".encode()),
        (TWO, "quorum_threshold: 2 #２".encode()),
    ),
    "a number that wraps": ("document-form", (TWO, b"quorum_threshold: 18446744073709551618"), (TWO, TWO + b" #1")),
}

# Edits after which PyYAML's own parser and libyaml read another document, or one of the two reads none.
DIFFERING: dict[str, Edit] = {
    "a tab in a key": (START, b"artifact_\ttype:"),
    "a tab in a value": (ALICE, b"domain_id: ali\t#ce\n"),
    "a tab before a comment": (ALICE, b"domain_id:\t# alice\n  alice\n"),
    "a tab after the mark of a block": (b"proof: |\n", b"proof: |\t\n"),
    "a tab at the begin of a block": (b"\n      -----BEGIN", b"\n     \t -----BEGIN"),
    "a tab on a line of a flow": (b"{name: first", b"{\n\tname: first"),
    "a question mark in a key": (b"{name: first", b"{n?ame: first"),
    "a question mark in a value": (b"name: first,", b"name: f?irst,"),
    "a question mark at the end": (b"name: first,", b"name: first ?,"),
    "a colon without a space": (b"roles: [root", b"roles:[root"),
    "a colon twice": (b"roles: [root", b"roles::[root"),
    "a colon before a bracket": (b"publisher]}", b"publisher:]}"),
    "a colon before a comma": (b"{name: first,", b"{name:, first,"),
    "a tag before a comma": (b"name: first,", b"name: !,"),
    "a tag of two marks": (b"name: first,", b"name: !!first,"),
    "a surrogate": (b"name: first,", b'name: "\\ud800",'),
    "a mark at the begin of a line": (ALICE, b"\xef\xbb\xbf" + ALICE),
    "a mark for indentation": (b"keys:\n  -", b"keys:\n\xef\xbb\xbf -"),
    "a mark on the second line": (START, b"\n\xef\xbb\xbf" + START),
    "a mark in a flow": (b"{name: first", b"{\n\xef\xbb\xbfname: first"),
    "a comment right after the mark of a block": (b"proof: |\n", b"proof: |#\n"),
}


def edited(content: bytes, edit: Edit) -> bytes:
    """The document with an edit, whose place is where it says."""
    assert content.count(edit[0]) == 1, edit
    return content.replace(*edit)


def manifest(doors: Doors) -> bytes:
    """A manifest of alice that is new: her first key in a flow, and a second one with its proof in a block."""
    world, second = doors.world, doors.world.key("alice-2")
    entry = forge.Entry("laptop", second, ["publisher"], forge.proof(second, world.anchor, "alice"))
    first = f"  - {{name: first, key: {world.alice.pub}, roles: [root, publisher]}}\n"
    return forge.manifest_file("alice") + first.encode() + entry.render().encode() + b"  # the end\n"


def policy(doors: Doors) -> bytes:
    """A second policy."""
    world = doors.world
    return forge.policy_file({one.domain: one.key for one in (world.you, world.alice, world.james)}, revision=2)


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory, templates: Templates) -> Doors:
    world = World(tmp_path_factory.mktemp("yaml"), templates)
    world.make_host(limits="pending_per_domain: 1000")
    return Doors(world)


TABLES: tuple[tuple[str, dict[str, tuple[str, Edit, Edit]], Callable[[Doors], bytes]], ...] = (
    (MANIFEST, MANIFESTS, manifest),
    (POLICY, POLICIES, policy),
)
ATTACKS = {name: rule for _, table, _ in TABLES for name, (rule, _, _) in table.items()}


def proposals(doors: Doors, which: int) -> dict[str, str]:
    """A proposal for each attack (`which` is 1) or for each honest twin (2), by name."""
    return {
        name: doors.proposal(doors.world.alice, {path: edited(honest(doors), row[which])})
        for path, table, honest in TABLES
        for name, row in table.items()
    }


@pytest.fixture(scope="module")
def thrown(doors: Doors) -> Thrown:
    """All attacks of these tables, in one push."""
    table = Thrown(doors)
    for name, proposal in proposals(doors, 1).items():
        table.propose(name, proposal)
    for name, edit in DIFFERING.items():
        table.propose(name, doors.proposal(doors.world.alice, {MANIFEST: edited(manifest(doors), edit)}))
    return table


@pytest.mark.parametrize("name", ATTACKS)
def test_no_document_has(thrown: Thrown, name: str) -> None:
    thrown.refused(name, ATTACKS[name])


def test_what_differs_no_more_than_that_and_is_honest_is_accepted(doors: Doors) -> None:
    twins = proposals(doors, 2)
    accepted(doors.pushed({f"refs/proposals/alice/twin-{at}": oid for at, oid in enumerate(twins.values())}))
    for name, oid in twins.items():
        authorities = (doors.world.alice, doors.world.james, doors.world.you) if name in POLICIES else ()
        doors.consumer_takes(doors.snapshot(oid, [doors.endorsement(one, oid) for one in authorities]))


SAYS = ("value", "style", "anchor", "tag")


def read_by(data: bytes, loader: Any) -> list[Any] | None:
    """What a stock parser makes of a document, or None where it stops."""
    try:
        return [
            (
                type(event).__name__,
                *(getattr(event, name, None) or None for name in ("value", "style", "anchor", "tag")),
            )
            for event in yaml.parse(data, Loader=loader)
        ]
    except (yaml.YAMLError, ValueError, OverflowError):
        return None


@pytest.mark.parametrize("name", DIFFERING)
def test_no_document_is_two_documents_to_two_parsers_by(doors: Doors, thrown: Thrown, name: str) -> None:
    rule = thrown.rule(name)
    assert rule.startswith("yaml-")
    thrown.refused(name, rule)
    if LIBYAML is not None:
        data = edited(manifest(doors), DIFFERING[name])
        assert read_by(data, yaml.SafeLoader) != read_by(data, LIBYAML)


def test_a_document_that_is_json_as_well_is_accepted_as_what_it_says(doors: Doors) -> None:
    said = yaml.safe_load(manifest(doors))
    content = json.dumps({**said, "version": "0.1"}, indent=1).encode()
    proposal = doors.proposal(doors.world.alice, {MANIFEST: content})
    doors.host_takes(proposal, "refs/proposals/alice/json")
    doors.consumer_takes(doors.snapshot(proposal))
