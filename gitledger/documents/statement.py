"""Statements: what is certified, and what each says (spec 14; in-toto Statement v1, SLSA provenance v1).

    {"_type": "https://in-toto.io/Statement/v1", "predicate": {…}, "predicateType": "urn:gitledger:audit:1",
     "subject": [{"digest": {"sha256": "<64 hex>"}, "name": "common@42"}]}

A subject is what the statement is about, always by SHA-256: of a snapshot, that is its hash. Four kinds are read in
full, and each has one form: the execution receipt, `Represents`, `LocatedAt` and `Audit`. What has the type of one and
not its form is Malformed, and so is any other `urn:gitledger:…`, which later software may know. Every other predicate
is left to its readers.

No statement says when it was made: a clock proves nothing, and the snapshot that holds it says since when it stood.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from functools import cached_property
from typing import Annotated, Any, ClassVar, Final, Literal, NoReturn, TypeAlias

import msgspec
from msgspec import UNSET, Meta, UnsetType

from gitledger.documents import subset
from gitledger.documents.manifest import Role
from gitledger.documents.names import (
    LONGEST_SECONDS,
    SnapshotName,
    check_digest,
    check_domain,
    check_ledger_name,
    shown,
)
from gitledger.errors import LedgerError, Malformed
from gitledger.objects.paths import check_path, check_together, fold
from gitledger.signing import dsse

TYPE: Final = "https://in-toto.io/Statement/v1"
PROVENANCE: Final = "https://slsa.dev/provenance/v1"
EXECUTION: Final = "urn:gitledger:execution:1"

_OURS: Final = "urn:gitledger:"
_EXECUTOR: Final = "urn:gitledger:executor:"
_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!-~]+")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_LONGEST_PATH: Final = 4096

_CERTIFY: Final = "make the statement again: gitledger certify"

Text: TypeAlias = Annotated[str, Meta(min_length=1)]
Isolation: TypeAlias = Literal["bubblewrap", "none"]


class Descriptor(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, rename="camel"
):
    """in-toto's ResourceDescriptor, where it has to have a SHA-256; statements of ours have a name and that alone."""

    digest: dict[str, str]
    name: str = ""
    uri: str | UnsetType = UNSET
    content: str | UnsetType = UNSET
    download_location: str | UnsetType = UNSET
    media_type: str | UnsetType = UNSET
    annotations: dict[str, Any] | UnsetType = UNSET

    def __post_init__(self) -> None:
        if not _SHA256.fullmatch(self.digest.get("sha256", "")):
            raise Malformed(
                "statement-sha256",
                f"{shown(self.name)} has no sha256 of 64 lower-case hex digits among its digests",
                "name every subject by the SHA-256 that sha256sum prints",
            )

    @classmethod
    def of(cls, name: str, digest: str) -> Descriptor:
        """What has this name and this digest (`sha256:…`). Raises Malformed (`digest`)."""
        return cls(name=name, digest={"sha256": check_digest(digest).removeprefix("sha256:")})

    @property
    def sha256(self) -> str:
        """Its digest, `sha256:…`: an artifact key, or a snapshot hash."""
        return "sha256:" + self.digest["sha256"]


class Represents(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A snapshot, the one subject, represents a thing as of a number (spec 14).

    `ledger` is the ledger id of the snapshot; `represents` the thing, such as `/home`; `as_of` the number in the
    thing's own count, the snapshot's where it has none.
    """

    signed_by: ClassVar[tuple[Role, ...]] = ("publisher",)
    type: ClassVar[str] = "urn:gitledger:represents:1"

    ledger: str
    represents: Text
    as_of: Annotated[int, Meta(ge=0, le=dsse.LARGEST_EXACT)]

    def __post_init__(self) -> None:
        check_digest(self.ledger)

    def check_subjects(self, subjects: tuple[Descriptor, ...]) -> None:
        """Check that the subject is one snapshot, by name and hash."""
        _check_snapshot(subjects, self.ledger)


class Reference(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A snapshot that a statement names: ledger id, name, hash."""

    ledger: str
    name: str
    hash: str

    def __post_init__(self) -> None:
        check_digest(self.ledger)
        check_digest(self.hash)
        _check_first(self.name, self.hash, self.ledger)


class LocatedAt(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """An artifact, the one subject, corresponds to a path (spec 14).

    With `snapshot`, `path` is one of its tree; without, one of a machine, and nobody but the signer says which.
    """

    signed_by: ClassVar[tuple[Role, ...]] = ("producer", "publisher")
    type: ClassVar[str] = "urn:gitledger:located-at:1"

    path: Text
    snapshot: Reference | UnsetType = UNSET

    def __post_init__(self) -> None:
        if self.snapshot is not UNSET:
            _check_path(self.path)
        elif "\0" in self.path or len(self.path) > _LONGEST_PATH:
            _refuse(f"{shown(self.path)} is no path of a machine")

    def check_subjects(self, subjects: tuple[Descriptor, ...]) -> None:
        """Check that the subject is one artifact, under any name."""
        _check_one(subjects)


class Audit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an auditor checked of a snapshot, the one subject, and what was found (spec 14).

    `ledger` is its ledger id; `checked` and `found` are sentences. Nothing found: all that was checked holds.
    """

    signed_by: ClassVar[tuple[Role, ...]] = ("auditor",)
    type: ClassVar[str] = "urn:gitledger:audit:1"

    ledger: str
    checked: Annotated[tuple[Text, ...], Meta(min_length=1)]
    found: tuple[Text, ...]

    def __post_init__(self) -> None:
        check_digest(self.ledger)

    def check_subjects(self, subjects: tuple[Descriptor, ...]) -> None:
        """Check that the subject is one snapshot, by name and hash."""
        _check_snapshot(subjects, self.ledger)


class External(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was asked for: the command with its arguments, `common@N` or `common@N:PATH` each, `PATH` each.

    `ledgers` says by ledger id which ledger each name before an `@` means. A path is one once a file was found there.
    """

    command: Annotated[tuple[str, ...], Meta(min_length=1)]
    ledgers: dict[str, str]
    inputs: Annotated[tuple[str, ...], Meta(min_length=1)]
    outputs: Annotated[tuple[str, ...], Meta(min_length=1)]

    def __post_init__(self) -> None:
        if not self.command[0] or any("\0" in word for word in self.command):
            _refuse("the command has no name, or a word of it holds a NUL")
        for name, ledger_id in self.ledgers.items():
            check_ledger_name(name)
            check_digest(ledger_id)
        named = {SnapshotName.parse(each.partition(":")[0]) for each in self.inputs}
        if {name.ledger for name in named} != self.ledgers.keys():
            _refuse("ledgers does not name exactly the ledgers of the inputs")
        _check_unique(self.inputs)
        _check_unique(self.outputs)
        if among := [output for output in self.outputs if stands_among(output, self.inputs)]:
            _refuse(f"the output {shown(among[0])} stands where the inputs stand")


class Internal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How it was run. `source_date_epoch` is in seconds; `runs` is how often, each with equal outputs."""

    isolation: Isolation
    source_date_epoch: Annotated[int, Meta(ge=0, le=LONGEST_SECONDS)]
    locale: Literal["C.UTF-8"]
    timezone: Literal["UTC"]
    umask: Literal["0022"]
    runs: Literal[2]

    @classmethod
    def of(cls, isolation: Isolation, epoch: int) -> Internal:
        """The one way in which things are run, with what differs."""
        return cls(isolation=isolation, source_date_epoch=epoch, locale="C.UTF-8", timezone="UTC", umask="0022", runs=2)


class Definition(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """SLSA's buildDefinition: what was asked for, how it was run, and each input with its SHA-256."""

    build_type: Literal["urn:gitledger:execution:1"]
    external_parameters: External
    internal_parameters: Internal
    resolved_dependencies: tuple[Descriptor, ...]

    def __post_init__(self) -> None:
        """Each input is bound: its snapshot by hash and, where it has a path, each file there by digest."""
        inputs = self.external_parameters.inputs
        bound = _names(self.resolved_dependencies)
        snapshots = {name for name in bound if ":" not in name}
        if snapshots != {name.partition(":")[0] for name in inputs}:
            _refuse("resolvedDependencies does not hold exactly the snapshots of the inputs")
        for each in self.resolved_dependencies:
            if each.name in snapshots:
                _check_first(each.name, each.sha256, self.external_parameters.ledgers[each.name.partition("@")[0]])
        files = [name for name in bound if name not in snapshots]
        for name in files:
            _check_path(name.partition(":")[2])
        _check_together(name.replace(":", "/", 1) for name in files)
        _check_covered(files, {name for name in inputs if ":" in name}, "input")


class Builder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who ran it: `urn:gitledger:executor:` and the domain. Which key of it, the signature says."""

    id: str

    def __post_init__(self) -> None:
        if not self.id.startswith(_EXECUTOR):
            _refuse(f"the builder's id is not {_EXECUTOR} and a domain id")
        check_domain(self.id.removeprefix(_EXECUTOR))


class Run(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """SLSA's runDetails, the builder alone."""

    builder: Builder


class Receipt(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """An execution receipt: the subjects came from these inputs by this command (spec 14).

    `resolved` of `of` gives the digest by name: of each input's snapshot, `common@42`, its hash; of each file at an
    input's path or below it, `common@42:PATH`, its artifact key. The subjects are the files at each output or below.
    """

    signed_by: ClassVar[tuple[Role, ...]] = ("executor",)
    type: ClassVar[str] = PROVENANCE

    build_definition: Definition
    run_details: Run

    @classmethod
    def of(cls, domain: str, external: External, internal: Internal, resolved: dict[str, str]) -> Receipt:
        """The receipt of an executor of `domain`. Raises Malformed where an input is not bound by `resolved`."""
        definition = Definition(
            build_type=EXECUTION,
            external_parameters=external,
            internal_parameters=internal,
            resolved_dependencies=tuple(Descriptor.of(name, resolved[name]) for name in sorted(resolved)),
        )
        return cls(build_definition=definition, run_details=Run(builder=Builder(id=_EXECUTOR + domain)))

    @property
    def domain(self) -> str:
        """The domain whose executor ran it."""
        return self.run_details.builder.id.removeprefix(_EXECUTOR)

    @property
    def external(self) -> External:
        """What was asked for."""
        return self.build_definition.external_parameters

    @property
    def internal(self) -> Internal:
        """How it was run."""
        return self.build_definition.internal_parameters

    @property
    def snapshots(self) -> dict[SnapshotName, str]:
        """The hash of each snapshot that an input names."""
        bound = self.build_definition.resolved_dependencies
        return {SnapshotName.parse(each.name): each.sha256 for each in bound if ":" not in each.name}

    @property
    def files(self) -> dict[tuple[SnapshotName, str], str]:
        """The artifact key of each input file, by snapshot and path."""
        split = [(each.name.partition(":"), each.sha256) for each in self.build_definition.resolved_dependencies]
        return {(SnapshotName.parse(name), path): digest for (name, colon, path), digest in split if colon}

    def check_subjects(self, subjects: tuple[Descriptor, ...]) -> None:
        """Check that the subjects are files at the outputs or below them, and that no output is without."""
        made = _names(subjects)
        for name in made:
            _check_path(name)
        _check_together(made)
        _check_covered(made, set(self.external.outputs), "output")


Said: TypeAlias = Receipt | Represents | LocatedAt | Audit

_FORMS: Final[dict[str, type[Said]]] = {form.type: form for form in (Represents, LocatedAt, Audit)}


class Statement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    """An in-toto Statement v1: `subject`, at least one, `predicate_type` and `predicate`, as JSON has it (spec 14)."""

    type_: Literal["https://in-toto.io/Statement/v1"] = msgspec.field(name="_type")
    subject: Annotated[tuple[Descriptor, ...], Meta(min_length=1)]
    predicate_type: str = msgspec.field(name="predicateType")
    predicate: dict[str, Any]

    def __post_init__(self) -> None:
        if not _URI.fullmatch(self.predicate_type):
            raise Malformed("statement-type", f"the predicate type {shown(self.predicate_type)} is no URI", _CERTIFY)
        self.said  # noqa: B018  a statement of ours that is not in its form is none

    @classmethod
    def parse(cls, payload: bytes) -> Statement:
        """Read a statement from the payload of its envelope.

        Raises Malformed: what `dsse.load` raises, `unknown-field`, `missing-key` and `document-form` for its form,
        `statement-…` for what it says, and what names of domains, snapshots and digests raise.
        """
        return subset.convert(dsse.load(payload), cls)

    @classmethod
    def saying(cls, said: Said, subjects: Iterable[Descriptor]) -> Statement:
        """The statement that says `said` about the subjects, which are put in order. Raises what `parse` raises."""
        ordered = sorted(subjects, key=lambda each: each.name)
        return cls.parse(_dump({"_type": TYPE, "subject": ordered, "predicateType": said.type, "predicate": said}))

    @cached_property
    def said(self) -> Said | None:
        """What it says, where gitledger reads it in full; None for any other predicate."""
        form = self._form()
        if form is None:
            return None
        said = subset.convert(self.predicate, form)
        said.check_subjects(self.subject)
        return said

    @property
    def signed_by(self) -> tuple[Role, ...]:
        """The roles of which a key that signs it has one (spec 14)."""
        return self.said.signed_by if self.said else ("publisher",)

    def encode(self) -> bytes:
        """Its bytes, always the same: sorted keys, no spaces, a final newline."""
        return _dump(self)

    def _form(self) -> type[Said] | None:
        kind = self.predicate_type
        if kind == PROVENANCE:
            definition = self.predicate.get("buildDefinition")
            build_type = definition.get("buildType") if isinstance(definition, dict) else None
            kind = build_type if isinstance(build_type, str) else kind
            if kind == EXECUTION:
                return Receipt
        elif kind in _FORMS:
            return _FORMS[kind]
        if kind.lower().startswith(_OURS):
            raise Malformed(
                "statement-type",
                f"{shown(kind)} is a statement that this gitledger does not know",
                "correct the type, or let a newer gitledger read it",
            )
        return None


def stands_among(output: str, inputs: Iterable[str]) -> bool:
    """Whether `output` is, on some system, the name at which one of the `inputs` stands, or is below it."""
    return fold(output.partition("/")[0]) in {each.partition(":")[0] for each in inputs}


def _dump(value: object) -> bytes:
    try:
        return subset.dump_json(value)
    except UnicodeEncodeError:
        raise Malformed("json-text", "a name or a word of the statement is not UTF-8", "give it another") from None


def _check_one(subjects: tuple[Descriptor, ...]) -> Descriptor:
    if len(subjects) != 1:
        _refuse("a statement of this type has one subject")
    (subject,) = subjects
    if not subject.name or subject != Descriptor.of(subject.name, subject.sha256):
        _refuse("what is named has a name and its sha256, and nothing else")
    return subject


def _check_snapshot(subjects: tuple[Descriptor, ...], ledger_id: str) -> None:
    subject = _check_one(subjects)
    _check_first(subject.name, subject.sha256, ledger_id)


def _check_first(name: str, snapshot_hash: str, ledger_id: str) -> None:
    """The name is one of a snapshot; that of number 0 has the ledger id for its hash (spec 1)."""
    if SnapshotName.parse(name).number == 0 and snapshot_hash != ledger_id:
        _refuse(f"{name} is said to have the hash {snapshot_hash}, and the ledger id, which that is, to be {ledger_id}")


def _names(descriptors: tuple[Descriptor, ...]) -> list[str]:
    """Their names, each once; they have nothing else but a sha256."""
    for each in descriptors:
        _check_one((each,))
    names = [each.name for each in descriptors]
    _check_unique(names)
    return names


def _check_unique(names: Collection[str]) -> None:
    if len(set(names)) < len(names):
        _refuse("a name stands twice where each stands once")


def _check_path(path: str) -> None:
    try:
        check_path(path)
    except LedgerError as error:
        _refuse(f"{shown(path)} can't be a path of a ledger: {error.what}")


def _check_together(paths: Iterable[str]) -> None:
    try:
        check_together(paths)
    except LedgerError as error:
        _refuse(error.what)


def _check_covered(found: Iterable[str], asked: Collection[str], what: str) -> None:
    """Each file found stands at a path that was asked for or below it, and at each stands one."""
    met: set[str] = set()
    for name in found:
        above = [path for path in _upwards(name) if path in asked]
        if not above:
            _refuse(f"{shown(name)} stands at no {what}, nor below one")
        met.update(above)
    if missing := set(asked) - met:
        _refuse(f"the {what} {shown(min(missing))} has no file")


def _upwards(name: str) -> Iterator[str]:
    """`a/b/c`, `a/b`, `a`."""
    while name:
        yield name
        name = name.rpartition("/")[0]


def _refuse(what: str) -> NoReturn:
    raise Malformed("statement-form", what, _CERTIFY)
