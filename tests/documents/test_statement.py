"""Statements (spec 14): what each says has one form; in-toto's own bindings read it; nothing else is one of ours.

The statements are written down as values and put into bytes by the standard library.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st
from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement as OtherStatement

from gitledger.documents.names import SnapshotName
from gitledger.documents.statement import (
    Audit,
    Descriptor,
    External,
    Internal,
    LocatedAt,
    Receipt,
    Reference,
    Represents,
    Said,
    Statement,
)
from gitledger.errors import LedgerError, Malformed

Value = dict[str, Any]

LEDGER, HASH, FILE, OTHER = ("sha256:" + letter * 64 for letter in "abcd")


def about(name: str, digest: str) -> Value:
    return {"digest": {"sha256": digest.removeprefix("sha256:")}, "name": name}


def stated(type_: str, predicate: Value, *subjects: Value) -> Value:
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "predicate": predicate,
        "predicateType": type_,
        "subject": list(subjects),
    }


SNAPSHOT = about("common@42", HASH)
REPRESENTS = stated("urn:gitledger:represents:1", {"as_of": 7, "ledger": LEDGER, "represents": "/home"}, SNAPSHOT)
LOCATED = stated("urn:gitledger:located-at:1", {"path": "/home/alice/thesis.pdf"}, about("thesis", FILE))
LOCATED_IN = stated(
    "urn:gitledger:located-at:1",
    {"path": "standards/thesis.pdf", "snapshot": {"hash": HASH, "ledger": LEDGER, "name": "common@42"}},
    about("thesis", FILE),
)
AUDIT = stated(
    "urn:gitledger:audit:1", {"checked": ["every receipt replayed"], "found": [], "ledger": LEDGER}, SNAPSHOT
)
RECEIPT = stated(
    "https://slsa.dev/provenance/v1",
    {
        "buildDefinition": {
            "buildType": "urn:gitledger:execution:1",
            "externalParameters": {
                "command": ["make", "-C", "", "all"],
                "inputs": ["common@42:src", "common@42:Makefile", "alice@7"],
                "ledgers": {"alice": OTHER, "common": LEDGER},
                "outputs": ["out", "log.txt"],
            },
            "internalParameters": {
                "isolation": "bubblewrap",
                "locale": "C.UTF-8",
                "runs": 2,
                "source_date_epoch": 1795170991,
                "timezone": "UTC",
                "umask": "0022",
            },
            "resolvedDependencies": [
                about("alice@7", OTHER),
                about("common@42", HASH),
                about("common@42:Makefile", FILE),
                about("common@42:src/a.c", FILE),
                about("common@42:src/b/c.c", OTHER),
            ],
        },
        "runDetails": {"builder": {"id": "urn:gitledger:executor:alice"}},
    },
    about("log.txt", FILE),
    about("out/a", FILE),
    about("out/b/c", OTHER),
)
FOREIGN = stated("https://spdx.dev/Document", {"SPDXID": "x", "weight": 0.5, "none": None}, SNAPSHOT)
HONEST = {
    "represents": REPRESENTS,
    "located-at": LOCATED,
    "located-at in a snapshot": LOCATED_IN,
    "audit": AUDIT,
    "receipt": RECEIPT,
    "foreign": FOREIGN,
}

MADE = Receipt.of(
    "alice",
    External(
        command=("make", "-C", "", "all"),
        ledgers={"common": LEDGER, "alice": OTHER},
        inputs=("common@42:src", "common@42:Makefile", "alice@7"),
        outputs=("out", "log.txt"),
    ),
    Internal.of("bubblewrap", 1795170991),
    {
        "common@42:src/b/c.c": OTHER,
        "common@42": HASH,
        "alice@7": OTHER,
        "common@42:Makefile": FILE,
        "common@42:src/a.c": FILE,
    },
)
SAID: dict[str, tuple[Said, Value]] = {
    "represents": (Represents(ledger=LEDGER, represents="/home", as_of=7), REPRESENTS),
    "located-at": (LocatedAt(path="/home/alice/thesis.pdf"), LOCATED),
    "located-at in a snapshot": (
        LocatedAt(path="standards/thesis.pdf", snapshot=Reference(ledger=LEDGER, name="common@42", hash=HASH)),
        LOCATED_IN,
    ),
    "audit": (Audit(ledger=LEDGER, checked=("every receipt replayed",), found=()), AUDIT),
    "receipt": (MADE, RECEIPT),
}


def written(value: object) -> bytes:
    return json.dumps(value, indent=1).encode()


def canonical(value: Value) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def refusal(value: object) -> LedgerError:
    with pytest.raises(LedgerError) as caught:
        Statement.parse(written(value))
    assert caught.value.mend
    assert str(caught.value).isprintable()
    return caught.value


# What is honest passes


@pytest.mark.parametrize(("said", "value"), SAID.values(), ids=SAID.keys())
def test_what_is_said_is_composed_in_one_form_and_read_back(said: Said, value: Value) -> None:
    subjects = [Descriptor.of(each["name"], "sha256:" + each["digest"]["sha256"]) for each in value["subject"]]
    made = Statement.saying(said, reversed(subjects))
    assert made.encode() == canonical(value)
    assert Statement.parse(written(value)) == made
    assert made.said == said
    assert [each.sha256 for each in made.subject] == [each.sha256 for each in subjects]


def test_a_receipt_tells_its_inputs_by_snapshot_and_path() -> None:
    receipt = Statement.parse(written(RECEIPT)).said
    assert isinstance(receipt, Receipt)
    common, alice = SnapshotName("common", 42), SnapshotName("alice", 7)
    assert receipt.domain == "alice"
    assert receipt.snapshots == {common: HASH, alice: OTHER}
    assert receipt.files == {(common, "Makefile"): FILE, (common, "src/a.c"): FILE, (common, "src/b/c.c"): OTHER}
    assert receipt.external.command == ("make", "-C", "", "all")
    assert receipt.internal.isolation == "bubblewrap"


@pytest.mark.parametrize(
    ("name", "roles"),
    [
        ("receipt", ("executor",)),
        ("represents", ("publisher",)),
        ("located-at", ("producer", "publisher")),
        ("audit", ("auditor",)),
        ("foreign", ("publisher",)),
    ],
)
def test_each_kind_is_signed_by_its_roles(name: str, roles: tuple[str, ...]) -> None:
    assert Statement.parse(written(HONEST[name])).signed_by == roles


FOREIGN_TWINS = {
    "provenance of another build type": stated(
        "https://slsa.dev/provenance/v1",
        {"buildDefinition": {"buildType": "https://example.com/build/1", "anything": [1]}},
        SNAPSHOT,
    ),
    "provenance of no build type": stated("https://slsa.dev/provenance/v1", {"buildDefinition": []}, SNAPSHOT),
    "a build type that is no text": stated(
        "https://slsa.dev/provenance/v1", {"buildDefinition": {"buildType": 1}}, SNAPSHOT
    ),
    "an empty predicate": stated("urn:example:1", {}, SNAPSHOT),
    "other digests beside": stated("urn:example:1", {}, {"digest": SNAPSHOT["digest"] | {"gitCommit": "ab" * 20}}),
    "all that in-toto gives a subject": stated(
        "urn:example:1",
        {},
        SNAPSHOT
        | {"uri": "pkg:a", "content": "", "downloadLocation": "b:c", "mediaType": "d/e", "annotations": {"f": [None]}},
    ),
}


@pytest.mark.parametrize("value", FOREIGN_TWINS.values(), ids=FOREIGN_TWINS.keys())
def test_a_predicate_of_others_is_left_as_it_is(value: Value) -> None:
    read = Statement.parse(written(value))
    assert read.said is None
    assert read.predicate == value["predicate"]
    assert read.signed_by == ("publisher",)
    assert read.encode() == canonical(value)


@pytest.mark.parametrize("value", HONEST.values(), ids=HONEST.keys())
def test_the_bindings_of_in_toto_read_every_statement(value: Value) -> None:
    data = Statement.parse(written(value)).encode()
    message = json_format.Parse(data, statement_pb2.Statement())
    OtherStatement.copy_from_pb(message).validate()
    assert message.predicate_type == value["predicateType"]
    assert [each.digest["sha256"] for each in message.subject] == [
        each["digest"]["sha256"] for each in value["subject"]
    ]
    assert Statement.parse(json_format.MessageToJson(message).encode()).encode() == data


def test_the_bindings_of_in_toto_read_a_receipt_as_provenance_and_lose_nothing() -> None:
    predicate = json.loads(Statement.parse(written(RECEIPT)).encode())["predicate"]
    message = json_format.ParseDict(predicate, provenance_pb2.Provenance())
    assert message.build_definition.build_type == "urn:gitledger:execution:1"
    assert message.run_details.builder.id == "urn:gitledger:executor:alice"
    assert [each.name for each in message.build_definition.resolved_dependencies][:2] == ["alice@7", "common@42"]
    assert json_format.MessageToDict(message) == predicate


# What is not in its form is Malformed


def bent(value: Value, change: Callable[[Any], Any]) -> Value:
    twin = copy.deepcopy(value)
    change(twin)
    return twin


def put(value: Value, place: str, new: object) -> Value:
    """The statement with what stands at `place` (keys and numbers, a slash between) put in or replaced."""
    twin = copy.deepcopy(value)
    *way, last = [int(step) if step.isdigit() else step for step in place.split("/")]
    at: Any = twin
    for step in way:
        at = at[step]
    at[last] = new
    return twin


def without(value: Value, *keys: str) -> Value:
    return {key: kept for key, kept in value.items() if key not in keys}


ASKED = "predicate/buildDefinition/externalParameters"
RUN = "predicate/buildDefinition/internalParameters"
BOUND = "predicate/buildDefinition/resolvedDependencies"
INPUTS = RECEIPT["predicate"]["buildDefinition"]["externalParameters"]["inputs"]
DEPENDENCIES = RECEIPT["predicate"]["buildDefinition"]["resolvedDependencies"]
RAN = RECEIPT["predicate"]["buildDefinition"]["internalParameters"]

MALFORMED: dict[str, tuple[object, str]] = {
    "a list": ([], "document-form"),
    "no type": (without(AUDIT, "_type"), "missing-key"),
    "another type": (put(AUDIT, "_type", "https://in-toto.io/Statement/v0.1"), "document-form"),
    "a type that a terminal would obey": (put(AUDIT, "_type", "\x1b[2J"), "document-form"),
    "no subject": (put(FOREIGN, "subject", []), "document-form"),
    "no predicate": (without(FOREIGN, "predicate"), "missing-key"),
    "a predicate that is a list": (put(FOREIGN, "predicate", []), "document-form"),
    "an unknown key": (put(FOREIGN, "Subject", [SNAPSHOT]), "unknown-field"),
    "an unknown key of a subject": (put(FOREIGN, "subject/0/Digest", {}), "unknown-field"),
    "no digest": (put(FOREIGN, "subject/0", {"name": "x"}), "missing-key"),
    "no SHA-256": (put(FOREIGN, "subject/0/digest", {"sha1": "a" * 40}), "statement-sha256"),
    "no SHA-256 in the second": (
        put(FOREIGN, "subject", [SNAPSHOT, {"name": "x\x1b", "digest": {}}]),
        "statement-sha256",
    ),
    "a SHA-256 in capitals": (put(FOREIGN, "subject/0/digest/sha256", "A" * 64), "statement-sha256"),
    "a SHA-256 that is short": (put(FOREIGN, "subject/0/digest/sha256", "a" * 63), "statement-sha256"),
    "a SHA-256 with a newline": (put(FOREIGN, "subject/0/digest/sha256", "a" * 64 + "\n"), "statement-sha256"),
    "a SHA-256 with its prefix": (put(FOREIGN, "subject/0/digest/sha256", HASH), "statement-sha256"),
    "a digest that is no text": (put(FOREIGN, "subject/0/digest/sha512", 1), "document-form"),
    "a name that is null": (put(FOREIGN, "subject/0/name", None), "document-form"),
    "a predicate type that is no URI": (put(FOREIGN, "predicateType", "audit"), "statement-type"),
    "a predicate type with a space": (put(FOREIGN, "predicateType", "urn:a b"), "statement-type"),
    "a type of ours that is to come": (put(AUDIT, "predicateType", "urn:gitledger:audit:2"), "statement-type"),
    "a type of ours in capitals": (put(AUDIT, "predicateType", "URN:gitledger:audit:1"), "statement-type"),
    "an execution that is to come": (
        put(RECEIPT, "predicate/buildDefinition/buildType", "urn:gitledger:execution:2"),
        "statement-type",
    ),
    "a build type as predicate type": (put(RECEIPT, "predicateType", "urn:gitledger:execution:1"), "statement-type"),
    # represents
    "a snapshot of no ledger": (put(REPRESENTS, "predicate/ledger", "common"), "digest"),
    "a number below zero": (put(REPRESENTS, "predicate/as_of", -1), "document-form"),
    "a number that doubles do not hold": (put(REPRESENTS, "predicate/as_of", 2**53), "document-form"),
    "a number with a fraction": (put(REPRESENTS, "predicate/as_of", 7.5), "document-form"),
    "true for a number": (put(REPRESENTS, "predicate/as_of", True), "document-form"),
    "no thing": (put(REPRESENTS, "predicate/represents", ""), "document-form"),
    "a predicate with more": (put(REPRESENTS, "predicate/until", 8), "unknown-field"),
    "a predicate with less": (put(REPRESENTS, "predicate", without(REPRESENTS["predicate"], "as_of")), "missing-key"),
    "two snapshots": (put(REPRESENTS, "subject", [SNAPSHOT, about("common@43", OTHER)]), "statement-form"),
    "a subject that is no snapshot": (put(REPRESENTS, "subject/0/name", "common"), "snapshot-name"),
    "a subject without a name": (put(REPRESENTS, "subject/0", without(SNAPSHOT, "name")), "statement-form"),
    "a subject with something empty": (put(REPRESENTS, "subject/0/uri", ""), "statement-form"),
    "a subject with no annotations": (put(REPRESENTS, "subject/0/annotations", {}), "statement-form"),
    "a subject with more": (put(REPRESENTS, "subject/0/uri", "a:b"), "statement-form"),
    "a subject with another digest": (put(REPRESENTS, "subject/0/digest/sha1", "a" * 40), "statement-form"),
    # located-at
    "two artifacts": (put(LOCATED, "subject", [SNAPSHOT, SNAPSHOT]), "statement-form"),
    "an artifact without a name": (put(LOCATED, "subject/0", without(SNAPSHOT, "name")), "statement-form"),
    "an artifact with an empty name": (put(LOCATED, "subject/0/name", ""), "statement-form"),
    "an empty path": (put(LOCATED, "predicate/path", ""), "document-form"),
    "a path with a NUL": (put(LOCATED, "predicate/path", "/home\0"), "statement-form"),
    "a path without end": (put(LOCATED, "predicate/path", "/a" * 3000), "statement-form"),
    "a snapshot that is null": (put(LOCATED, "predicate/snapshot", None), "document-form"),
    "a snapshot without its hash": (put(LOCATED_IN, "predicate/snapshot", {"name": "common@42"}), "missing-key"),
    "a path of a machine in a snapshot": (put(LOCATED_IN, "predicate/path", "/home/alice"), "statement-form"),
    "a path that climbs": (put(LOCATED_IN, "predicate/path", "standards/../ledger"), "statement-form"),
    # audit
    "nothing checked": (put(AUDIT, "predicate/checked", []), "document-form"),
    "nothing said of what was found": (put(AUDIT, "predicate", without(AUDIT["predicate"], "found")), "missing-key"),
    "an empty finding": (put(AUDIT, "predicate/found", [""]), "document-form"),
    # receipt
    "no builder": (put(RECEIPT, "predicate/runDetails", {}), "missing-key"),
    "a builder of another kind": (put(RECEIPT, "predicate/runDetails/builder/id", "https://a.b"), "statement-form"),
    "a builder of no domain": (put(RECEIPT, "predicate/runDetails/builder/id", "urn:gitledger:executor:"), "domain-id"),
    "a time": (put(RECEIPT, "predicate/runDetails/metadata", {}), "unknown-field"),
    "no command": (put(RECEIPT, f"{ASKED}/command", []), "document-form"),
    "an empty command": (put(RECEIPT, f"{ASKED}/command", [""]), "statement-form"),
    "a NUL in the command": (put(RECEIPT, f"{ASKED}/command", ["make", "\0"]), "statement-form"),
    "no input": (put(RECEIPT, f"{ASKED}/inputs", []), "document-form"),
    "an input twice": (put(RECEIPT, f"{ASKED}/inputs", [*INPUTS, "common@42:src"]), "statement-form"),
    "an output twice": (put(RECEIPT, f"{ASKED}/outputs", ["out", "log.txt", "out"]), "statement-form"),
    "an input file that climbs": (put(RECEIPT, f"{BOUND}/4/name", "common@42:src/../x"), "statement-form"),
    "an input of no snapshot": (put(RECEIPT, f"{ASKED}/inputs/1", "Makefile"), "snapshot-name"),
    "an input with an empty path": (put(RECEIPT, f"{ASKED}/inputs/1", "common@42:"), "statement-form"),
    "an input that climbs": (put(RECEIPT, f"{ASKED}/inputs/1", "common@42:../x"), "statement-form"),
    "an input that is not bound": (put(RECEIPT, f"{ASKED}/inputs/1", "common@42:make"), "statement-form"),
    "an input of a snapshot that is not bound": (put(RECEIPT, f"{ASKED}/inputs/2", "alice@8"), "statement-form"),
    "an input of an unknown ledger": (put(RECEIPT, f"{ASKED}/ledgers", {"alice": OTHER}), "statement-form"),
    "a ledger of no input": (put(RECEIPT, f"{ASKED}/ledgers/james", OTHER), "statement-form"),
    "a ledger by no digest": (put(RECEIPT, f"{ASKED}/ledgers/alice", "alice"), "digest"),
    "no output": (put(RECEIPT, f"{ASKED}/outputs", []), "document-form"),
    "an output that is absolute": (put(RECEIPT, f"{ASKED}/outputs/0", "/out"), "statement-form"),
    "an output without a file": (put(RECEIPT, f"{ASKED}/outputs", ["out", "log.txt", "x"]), "statement-form"),
    "a file that is no output": (put(RECEIPT, "subject/0/name", "log"), "statement-form"),
    "a file beside an output": (put(RECEIPT, "subject/1/name", "outside"), "statement-form"),
    "a file that is a directory": (put(RECEIPT, "subject/1/name", "out/b"), "statement-form"),
    "a file like another": (put(RECEIPT, "subject/1/name", "out/b/C"), "statement-form"),
    "a file below a directory like another": (put(RECEIPT, "subject/1/name", "out/B/d"), "statement-form"),
    "an input file that is a directory": (
        put(RECEIPT, BOUND, [*DEPENDENCIES, about("common@42:Makefile/x", FILE)]),
        "statement-form",
    ),
    "a first snapshot that is not its ledger": (put(REPRESENTS, "subject/0/name", "common@0"), "statement-form"),
    "a first snapshot that is not its ledger, audited": (put(AUDIT, "subject/0/name", "common@0"), "statement-form"),
    "a first snapshot that is not its ledger, of a path": (
        put(LOCATED_IN, "predicate/snapshot/name", "common@0"),
        "statement-form",
    ),
    "a file twice": (put(RECEIPT, "subject/1/name", "out/b/c"), "statement-form"),
    "a file that climbs": (put(RECEIPT, "subject/1/name", "out/../a"), "statement-form"),
    "a file without a name": (put(RECEIPT, "subject/0", without(about("", FILE), "name")), "statement-form"),
    "a file with more": (put(RECEIPT, "subject/0/mediaType", "text/plain"), "statement-form"),
    "a snapshot left out": (put(RECEIPT, BOUND, DEPENDENCIES[1:]), "statement-form"),
    "a file left out": (put(RECEIPT, BOUND, DEPENDENCIES[:2] + DEPENDENCIES[3:]), "statement-form"),
    "a file of no input": (put(RECEIPT, BOUND, [*DEPENDENCIES, about("common@42:x", FILE)]), "statement-form"),
    "a snapshot of no input": (put(RECEIPT, BOUND, [*DEPENDENCIES, about("common@43", FILE)]), "statement-form"),
    "a file of another snapshot": (put(RECEIPT, f"{BOUND}/2/name", "common@43:Makefile"), "statement-form"),
    "a file under an input that is a whole snapshot": (
        put(RECEIPT, BOUND, [*DEPENDENCIES, about("alice@7:x", FILE)]),
        "statement-form",
    ),
    "two digests for one input": (put(RECEIPT, BOUND, [*DEPENDENCIES, about("common@42", FILE)]), "statement-form"),
    "an input without SHA-256": (put(RECEIPT, f"{BOUND}/2/digest", {"gitBlob": "a" * 40}), "statement-sha256"),
    "an input with something empty": (put(RECEIPT, f"{BOUND}/2/mediaType", ""), "statement-form"),
    **{
        f"nothing said of its {name}": (put(RECEIPT, RUN, without(RAN, name)), "missing-key")
        for name in ("isolation", "source_date_epoch", "locale", "timezone", "umask", "runs")
    },
    "run once": (put(RECEIPT, f"{RUN}/runs", 1), "document-form"),
    "an isolation of its own": (put(RECEIPT, f"{RUN}/isolation", "docker\x1b[2J"), "document-form"),
    "another umask": (put(RECEIPT, f"{RUN}/umask", "0077"), "document-form"),
    "a date before all": (put(RECEIPT, f"{RUN}/source_date_epoch", -1), "document-form"),
}


@pytest.mark.parametrize(("value", "rule"), MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_statement_is_refused_and_its_twin_is_not(value: object, rule: str) -> None:
    error = refusal(value)
    assert isinstance(error, Malformed)
    assert error.rule == rule


@pytest.mark.parametrize("value", HONEST.values(), ids=HONEST.keys())
def test_the_honest_twins_of_all_these_pass(value: Value) -> None:
    Statement.parse(written(value))


@pytest.mark.parametrize("output", ["common@42", "common@42/src", "alice@7/x/y", "Common@42/x"])
def test_no_output_stands_among_the_inputs(output: str) -> None:
    """A run refuses to make them, and so nobody could replay such a receipt."""

    def made(output: str) -> Value:
        return put(put(RECEIPT, f"{ASKED}/outputs", [output]), "subject", [about(f"{output}/a", FILE)])

    error = refusal(made(output))
    assert (error.rule, "stands where the inputs stand" in error.what) == ("statement-form", True)
    Statement.parse(written(made(output.replace("@", "@1"))))


def test_a_receipt_is_not_made_of_an_input_that_is_not_bound() -> None:
    with pytest.raises(Malformed) as caught:
        Receipt.of("alice", MADE.external, MADE.internal, {"common@42": HASH, "alice@7": OTHER})
    assert caught.value.rule == "statement-form"


def test_a_word_that_is_not_unicode_makes_no_statement() -> None:
    said = LocatedAt(path="/home/\udcff")
    with pytest.raises(Malformed) as caught:
        Statement.saying(said, [Descriptor.of("x", FILE)])
    assert caught.value.rule == "json-text"


def test_what_has_a_thousand_levels_is_read_in_moderate_time() -> None:
    path = "/".join("a" * 500)
    names = [f"{path[:-4]}/{number}" for number in range(300)]
    twin = put(RECEIPT, "subject", [about(name, FILE) for name in names])
    twin = put(twin, f"{ASKED}/outputs", ["a"])
    assert len(Statement.parse(written(twin)).subject) == 300


# The places of a receipt, each a way of keys and numbers down to it.
def ways(value: object, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [way] * bool(way) + [deeper for key, item in inner for deeper in ways(item, (*way, key))]


PLACES = [(name, way) for name, value in HONEST.items() for way in ways(value)]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@given(place=st.sampled_from(PLACES), value=JSON)
def test_no_value_in_any_place_raises_anything_but_ours(place: tuple[str, tuple[Any, ...]], value: Any) -> None:
    name, (*way, last) = place
    twin: Any = copy.deepcopy(HONEST[name])
    at = twin
    for step in way:
        at = at[step]
    at[last] = value
    try:
        read = Statement.parse(written(twin))
    except LedgerError:
        return
    assert json.loads(read.encode()) is not None
    assert Statement.parse(read.encode()) == read


@given(st.binary(max_size=60))
def test_no_bytes_raise_anything_but_ours(data: bytes) -> None:
    with pytest.raises(LedgerError):
        Statement.parse(data)
