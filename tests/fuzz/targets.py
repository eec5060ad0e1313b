"""What is fuzzed: for each target the function that takes any bytes, and the property that it holds them to.

One property is everybody's: nothing but a LedgerError comes out, whose rule is in kebab-case and whose sentence is not
too long for a person. Whatever else a target promises of what it takes stands in its docstring. A function raises
AssertionError for a broken property, and any other error that escapes it is a finding, too.
"""

from __future__ import annotations

import io
import json
import re
import sys
from binascii import a2b_base64
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Any
from unittest.mock import patch

import yaml
from notarised import ALICE, JAMES, forge, ground

from gitledger import hook
from gitledger.documents import subset
from gitledger.documents.certificate import Record
from gitledger.documents.ledgerfile import LedgerFile
from gitledger.documents.manifest import Manifest
from gitledger.documents.names import SnapshotName, check_digest, check_domain, check_key_id, seconds_of
from gitledger.documents.policy import Policy
from gitledger.documents.rotation import Rotation
from gitledger.documents.statement import Receipt, Statement
from gitledger.documents.witness import Witness
from gitledger.errors import LedgerError, Refused
from gitledger.exchange import bundles, remotes, watched
from gitledger.objects import codec, entries, paths, store
from gitledger.objects.codec import Commit, Tag
from gitledger.roles import carrier, gate
from gitledger.roles.evidence import Evidence
from gitledger.roles.evidence import check as check_evidence
from gitledger.rules import attestation, endorsement, nodes, proposal, refusal, rotations, snapshot, succession
from gitledger.rules.advance import advance
from gitledger.rules.entry import Entry
from gitledger.rules.support import NOTHING
from gitledger.rules.transition import apply
from gitledger.signing import dsse, sshsig
from gitledger.signing.keys import PublicKey
from gitledger.signing.sshcert import Certificate

Target = Callable[[bytes], None]

TARGETS: dict[str, Target] = {}
"""Every target by its name, which is that of its directory in `corpus`."""

LONGEST = 4000
"""How many characters an error has at most."""

_RULE = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_PRINTABLE_REF = re.compile(r"(HEAD|refs/[!-~]+)")


def target(function: Target) -> Target:
    """Put a function into the table under its name, with hyphens."""
    TARGETS[function.__name__.strip("_").replace("_", "-")] = function
    return function


def run(name: str, data: bytes) -> bool:
    """Hold `data` to the property of the target `name`; returns whether it was taken. Raises where it is broken."""
    try:
        TARGETS[name](data)
    except LedgerError as error:
        assert _RULE.fullmatch(error.rule), error.rule
        assert error.what, f"{error.rule} says nothing"
        assert len(str(error)) <= LONGEST, f"{error.rule} says {len(str(error))} characters"
        return False
    return True


def text(data: bytes) -> str:
    """Bytes as the text that a caller would have: what is no UTF-8 has become U+FFFD."""
    return data.decode("utf-8", "replace")


# Objects


@target
def commit(data: bytes) -> None:
    """A commit encodes to the bytes that it was read from, signed and unsigned."""
    read = Commit.parse(data)
    assert read.encode() == data
    assert Commit.parse(read.payload).encode() == read.payload
    assert not read.signature or codec.sign_commit(read.payload, read.signature) == data


@target
def tag(data: bytes) -> None:
    """A tag encodes to the bytes that it was read from; what is signed has no signature in it."""
    read = Tag.parse(data)
    assert read.encode() == data
    assert Tag.parse(read.payload).signature == b""


@target
def tree(data: bytes) -> None:
    """The entries of a tree, written again, are its bytes; no two have one name on some system."""
    for root in (True, False):
        with suppress(LedgerError) if root else nullcontext():
            found = list(entries.read(data, root=root))
            assert data == b"".join(
                entries.MODE_TEXT[mode] + name.encode() + b"\0" + bytes.fromhex(oid) for name, mode, oid in found
            )
            assert len({paths.fold(name) for name, _, _ in found}) == len(found)


@target
def path(data: bytes) -> None:
    """A path's names are their own normal form, folding them is done in one step, and each may stand alone."""
    named = text(data)
    paths.check_path(named)
    for depth, name in enumerate(named.split("/")):
        assert paths.check_component(name.encode(), root=depth == 0) == name
        assert paths.fold(paths.fold(name)) == paths.fold(name)


@target
def message(data: bytes) -> None:
    """A snapshot's message has one form; paragraphs lose no line that holds anything."""
    said = text(data)
    kept = [line for line in said.split("\n") if line.strip(" \t")]
    assert [line for paragraph in codec.paragraphs(said) for line in paragraph] == kept
    assert Entry.parse(said).render() == said


# Signatures and keys


@target
def signature(data: bytes) -> None:
    """Armour that is read is the one that encodes it; no mutation of a signature verifies for other bytes."""
    read = sshsig.parse(data)
    assert sshsig.encode(read) == data
    assert sshsig.parse(sshsig.encode(read)) == read
    sshsig.verify(read, b"nothing that anybody signed", read.namespace)
    raise AssertionError("it verifies")


@target
def signature_blob(data: bytes) -> None:
    """The bytes within the armour have one reading: what is read encodes to the same armour."""
    armour = sshsig.armoured(data)
    signature(armour)


@target
def certificate(data: bytes) -> None:
    """A certificate's bytes have one reading, as a file and in a signature, where a caller asks for one."""
    read = Certificate(data)
    assert read.blob == data
    assert Certificate.from_file_text(read.text) == read
    armour = forge.sshsig(ALICE, b"something", public=data)
    signed = sshsig.parse(armour, take_certificate=True)
    assert signed.certificate == read and signed.key == read.key
    assert sshsig.encode(signed) == armour
    try:
        sshsig.parse(armour)
    except Refused:
        return
    raise AssertionError("it is taken where a plain key is wanted")


@target
def certified(data: bytes) -> None:
    """What alice certifies (hers is the signature over the input) is hers, and no role where no manifest certifies."""
    read = Certificate(data + forge.ssh_string(forge.ssh_string(b"ssh-ed25519") + _raw(data)))
    assert read.signer.blob == forge.blob(ALICE)
    state = ground().snapshot(4).state
    try:
        nodes.granted(state, read, "alice", max(read.valid_after, 1))
    except Refused:
        read.grants  # noqa: B018 - raises nothing but what every target may
        return
    raise AssertionError("it gives roles")


@target
def public_key(data: bytes) -> None:
    """A public key line is the one of its key, by whichever way it is read."""
    line = text(data)
    whole = PublicKey.from_file_text(line)
    assert PublicKey.from_file_text(whole.certificate) == whole
    read = PublicKey.parse(line)
    assert read.text == line
    assert read == whole == PublicKey.from_blob(read.blob) == PublicKey.from_blob(a2b_base64(line.split(" ")[1]))
    assert Record.path_of(read.key_id) == f"ledger/certificates/{read.blob_digest[:2]}/{read.blob_digest[2:]}.json"


# Documents


@target
def _yaml(data: bytes) -> None:
    """libyaml reads the same, and the value written as JSON, which is within the subset, is read as the same value."""
    value = subset.load_yaml(data)
    loader = getattr(yaml, "CSafeLoader", None)
    if loader is not None:
        assert _as_text(value) == _events(yaml.parse(data.decode(), Loader=loader))
    if max((len(json.dumps(key)) for key in _keys(value)), default=0) < 1000:  # YAML's own bound of a key
        again = subset.load_yaml(json.dumps(value, ensure_ascii=False).encode())
        assert (again, repr(again)) == (value, repr(value))


@target
def _json(data: bytes) -> None:
    """A record is the bytes that the ledger writes for its value."""
    assert subset.dump_json(subset.load_json(data)) == data


@target
def names(data: bytes) -> None:
    """A name that is taken is in its one form."""
    said = text(data)
    for check in (check_domain, check_digest, check_key_id, _snapshot_name, _duration):
        try:
            assert check(said) == said
        except LedgerError as error:
            assert error.rule


@target
def policy(data: bytes) -> None:
    """A policy's quorums share a member, and its rules answer for any path."""
    read = Policy.parse(data)
    assert len(read.authorities) >= read.threshold > len(read.authorities) / 2
    assert not read.rules_for("ledger/policy.yaml")
    assert read.grace_seconds >= 0
    for rule in read.paths:
        rule.matches("standards/" + "a/" * 400 + "b")


@target
def manifest(data: bytes) -> None:
    """A manifest that is rendered reads as the same."""
    read = Manifest.parse(data)
    assert Manifest.parse(read.render().encode()) == read
    for key in read.keys:
        assert read.key(key.key_id) == key


@target
def witness(data: bytes) -> None:
    """A witness that is rendered reads as the same, and renders the same again."""
    read = Witness.parse(data)
    assert Witness.parse(read.render().encode()) == read


@target
def ledger_file(data: bytes) -> None:
    """A ledger file that is rendered reads as the same."""
    read = LedgerFile.parse(data)
    assert LedgerFile.parse(read.render().encode()) == read


@target
def record(data: bytes) -> None:
    """A certificate record encodes to its bytes; a salt that it takes is never fresh again."""
    read = Record.parse(data)
    assert read.encode() == data
    salt = max(read.salts, default=0) + 1
    after = read.with_salt(salt)
    assert Record.parse(after.encode()) == after
    assert salt in after.salts


@target
def rotation(data: bytes) -> None:
    """A rotation that is rendered says the same, as far as its signatures are in their one form, and so has the same H.

    As a draft and as what a snapshot seals, it is judged against the ledger.
    """
    read = Rotation.parse(data)
    if all(_is_armour(one.signature) for one in read.endorsements.endorsements):
        again = Rotation.parse(read.render().encode())
        assert again == read
        assert again.digest == read.digest
    refs = {f"refs/rotations/{read.digest.hex()}/draft": "", f"refs/rotations/{read.digest.hex()}/alice": ""}
    held = ground().store
    with held.moment():
        oid = held.add("blob", data)
        found = rotations.read(ground().snapshot(4), dict.fromkeys(refs, oid))
        assert len(found.waiting) <= 1
        _seal(min(read.created_at_logseq, 4), data)


@target
def envelope(data: bytes) -> None:
    """An envelope that is written again reads as the same; nobody signed anything that was changed."""
    read = dsse.Envelope.parse(data)
    again = dsse.Envelope.parse(read.encode())
    assert again == read
    assert again.encode() == read.encode()
    assert len(data) <= dsse.LARGEST
    dsse.verify(read, {key.key_id: key for key in (PublicKey.parse(forge.line(key)) for key in (ALICE, JAMES))})


@target
def statement(data: bytes) -> None:
    """A statement has one form of bytes that reads as the same; what it says covers all that it names."""
    read = Statement.parse(data)
    assert Statement.parse(read.encode()) == read
    assert Statement.parse(read.encode()).encode() == read.encode()
    assert read.signed_by and read.subject
    if isinstance(read.said, Receipt):
        bound = read.said.build_definition.resolved_dependencies
        assert len(bound) == len(read.said.snapshots) + len(read.said.files)
        assert {name.ledger for name in read.said.snapshots} == read.said.external.ledgers.keys()


@target
def attested(data: bytes) -> None:
    """A statement that alice signed, in any role, is true of common@4 or refused, however often it is asked."""
    key, state = PublicKey.parse(forge.line(ALICE)), ground().snapshot(4).state
    content = dsse.sign(data, key, forge.private(ALICE).sign).encode()
    signers = {key.key_id: (key, frozenset({"publisher", "producer", "executor", "auditor"}))}
    held = attestation.taken(state, "alice", content, signers)
    assert attestation.taken(state, "alice", content, signers) == held


# Artifacts, signed by whom they must be: what is fuzzed is what was signed


@target
def proposed(data: bytes) -> None:
    """A proposal by alice is the commit that was signed, and gives the same tree whenever it is applied."""
    held = ground().store
    with held.moment():
        oid = held.add("commit", _signed(data))
        read = proposal.read(held, oid)
        assert read.commit.payload == data
        after = apply(ground().snapshot(4).state, read)
        assert apply(ground().snapshot(4).state, read).after.tree.oid == after.after.tree.oid
        after.after.tree.check()


@target
def proposed_file(data: bytes) -> None:
    """A file (its path, a newline, its content) that a proposal by alice sets is accepted as it stands, or refused."""
    where, _, content = data.partition(b"\n")
    named = text(where)
    held, trusted = ground().store, ground().snapshot(4)
    paths.check_path(named)
    with held.moment():
        try:
            root = held.with_file(trusted.state.tree.oid, named, content)
        except (KeyError, LedgerError):
            return
        seconds = trusted.seconds + 1
        who = f"alice <alice> {seconds} +0000"
        payload = f"tree {root}\nparent {trusted.oid}\nauthor {who}\ncommitter {who}\n\nA file\n"
        read = proposal.read(held, held.add("commit", _signed(payload.encode())))
        after = apply(trusted.state, read).after
        assert after.tree.read(named) == content
        after.policy.rules_for(named)


@target
def endorsed(data: bytes) -> None:
    """A tag that alice signed endorses what it names and nothing else."""
    held = ground().store
    with held.moment():
        content = data + forge.sshsig(ALICE, data)
        one = ground().proposed
        read = endorsement.read(content, one, endorsement.electors(ground().snapshot(4).state.policy))
        assert read.domain == "alice"
        assert Tag.parse(content).object == one.oid
        assert one.hash.encode() in content


@target
def decided(data: bytes) -> None:
    """A tag that the witness or the proposer signed decides what it names and nothing else."""
    one, state = ground().proposed, ground().snapshot(4).state
    for key in (JAMES, ALICE):
        content = data + forge.sshsig(key, data)
        try:
            read = refusal.read(content, one, state)
        except LedgerError as error:
            assert _RULE.fullmatch(error.rule)
            continue
        assert read.proposal == one.oid
        assert (read.verb == "refused") == (key == JAMES)
        assert one.hash.encode() in content


@target
def emitted(data: bytes) -> None:
    """What the witness signed is a snapshot only in the one form that the rules compose."""
    held, trusted = ground().store, ground().snapshot(4)
    with held.moment():
        oid = held.add("commit", _signed(data, JAMES))
        after = advance(trusted, oid)
        assert after.number == 5
        assert after.commit.payload == data
        one = proposal.read(held, after.commit.parents[1])
        composed = snapshot.accepting(trusted, apply(trusted.state, one), NOTHING, after.seconds)
        assert after.commit.mergetags or composed == data


@target
def evidence(data: bytes) -> None:
    """An evidence file encodes to its bytes, and proves the same whenever it is read."""
    assert Evidence.parse(data).encode() == data
    proven = check_evidence(data)
    assert repr(check_evidence(data)) == repr(proven)


# What comes from elsewhere


@target
def bundle(data: bytes) -> None:
    """A bundle's header names refs as git could hold them, and written again, it is read as the same."""
    file = io.BytesIO(data)
    read = bundles.read_header(file)
    assert read.refs
    assert data[: read.pack].endswith(b"\n\n")
    for ref in (re.sub(r"\\x[89a-f][0-9a-f]", "_", ref) for ref in read.refs):  # a byte that is not in UTF-8
        assert not any(part.startswith(".") or part.endswith(".lock") or not part for part in ref.split("/")), ref
        assert not re.search(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|\.$", ref), ref
    lines = [f"-{oid} {comment}\n" for oid, comment in read.builds_on.items()]
    lines += [f"{oid} {ref}\n" for ref, oid in read.refs.items()]
    again = bundles.read_header(io.BytesIO(("# v2 git bundle\n" + "".join(lines) + "\n").encode()))
    assert (again.refs, again.builds_on) == (read.refs, read.builds_on)


@target
def carried(data: bytes) -> None:
    """The record in a bundle encodes to its bytes."""
    subset.convert(subset.load_json(data), carrier.Record)


@target
def ls_remote(data: bytes) -> None:
    """Of what a remote says it has, only full names in printable ASCII and whole object ids are passed on."""
    held = ground().store
    with _git_prints(data, b"", 0):
        snapshots = remotes.snapshots(held, "origin", "common", 4)
        for found in (snapshots, remotes.advertised(held, "origin")):
            assert all(_PRINTABLE_REF.fullmatch(ref) for ref in found)
            assert all(re.fullmatch(r"[0-9a-f]{40}", oid) for oid in found.values())


@target
def for_each_ref(data: bytes) -> None:
    """What git lists is one ref a line, whatever bytes its name has, and the name gives the same bytes again."""
    rows = [row for row in data.split(b"\n") if re.fullmatch(rb"[0-9a-f]{40} refs/[^\0- ]+ ", row)]
    found = store.listed(b"\n".join((*rows, b"")))
    assert {ref.encode(errors="surrogateescape") for ref, _ in found} == {row.split(b" ")[1] for row in rows}


@target
def said_by_git(data: bytes) -> None:
    """What git said (its output, a NUL, its errors) is passed on without what a terminal would obey."""
    held = ground().store
    out, _, errors = data.partition(b"\0")
    for lines in (remotes.words(data), store._lines(data)):
        assert all(line.replace("\t", " ").isprintable() and line for line in lines)
    assert store._words(data).isprintable()
    asked = (
        lambda: remotes.advertised(held, "origin"),
        lambda: remotes.push(held, "origin", {"refs/heads/common": ground().line[0]}),
        lambda: remotes.fetch_alone(held, "origin", "refs/heads/common", into="refs/heads/common"),
    )
    for ask in asked:
        for status in (0, 128):
            with suppress(LedgerError), _git_prints(out, errors, status):
                ask()


@target
def pushed(data: bytes) -> None:
    """A push of any lines is decided: all of it is accepted, or something is refused, in sentences.

    In it, `@N` stands for the id of snapshot N and `@w` for that of what waits.
    """
    there = ground()
    for number, oid in enumerate(there.line):
        data = data.replace(b"@%d " % number, oid.encode() + b" ")
    given = data.replace(b"@w ", there.waiting.encode() + b" ").replace(b"@- ", b"0" * 40 + b" ")
    with patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(given))):
        updates = [gate.Update(*line) for line in hook._pushed()]
    decision = gate.decide(there.place(), updates, there.snapshot(4).seconds + 100)
    assert decision.refused or len(decision.accepted) == len({update.ref for update in updates})
    lines = [line for one in decision.accepted for line in hook._accepted(one)]
    lines += hook._refused(decision.refused, updates) if decision.refused else ()
    assert all(isinstance(line, str) for line in lines)


@contextmanager
def _git_prints(out: bytes, errors: bytes, status: int) -> Iterator[None]:
    """In the block, git prints this wherever a remote would be asked."""

    def run(*_: Any, hear: Callable[[bytes], object], **__: Any) -> watched.Ended:
        for line in out.split(b"\n"):
            hear(line)
        return watched.Ended(status, errors)

    with patch.object(watched, "run", run):
        yield


def _seal(number: int, data: bytes) -> None:
    """Seal the artifact on common@`number`; what is refused is refused in a sentence."""
    on = ground().snapshot(number)
    try:
        sealed = succession.seal(on, codec.digest(data), data)
    except LedgerError as error:
        assert _RULE.fullmatch(error.rule)
    else:
        assert sealed.after.number == number + 1


def _raw(data: bytes) -> bytes:
    """The string that holds alice's Ed25519 signature of these bytes."""
    return forge.ssh_string(forge.private(ALICE).sign(data))


def _signed(payload: bytes, key: Any = ALICE) -> bytes:
    """The commit `payload` with a signature by `key`; it is unsigned where it is no commit."""
    if b"\n\n" not in payload:
        return payload
    return codec.sign_commit(payload, forge.sshsig(key, payload))


def _snapshot_name(said: str) -> str:
    return str(SnapshotName.parse(said))


def _duration(said: str) -> str:
    return f"{seconds_of(said) // (86400 if said.endswith('d') else 3600)}{said[-1:]}"


def _is_armour(said: str) -> bool:
    try:
        sshsig.parse(said.encode())
    except LedgerError:
        return False
    return True


def _as_text(value: Any) -> Any:
    """A value with every scalar as the text that stands for it."""
    if isinstance(value, dict):
        return {key: _as_text(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_as_text(item) for item in value]
    return value if isinstance(value, str) else str(value).lower()


def _events(stream: Any) -> Any:
    """The value of a stream of YAML events, with every scalar as text."""

    def node(event: Any) -> Any:
        if isinstance(event, yaml.ScalarEvent):
            return event.value
        if isinstance(event, yaml.SequenceStartEvent):
            return list(iter(lambda: node(next(wanted)), yaml.SequenceEndEvent))
        if isinstance(event, yaml.MappingStartEvent):
            return {key: node(next(wanted)) for key in iter(lambda: node(next(wanted)), yaml.MappingEndEvent)}
        return type(event)

    wanted = (one for one in stream if not isinstance(one, yaml.StreamStartEvent | yaml.DocumentStartEvent))
    return node(next(wanted))


def _keys(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [*value, *(key for item in value.values() for key in _keys(item))]
    return [key for item in value for key in _keys(item)] if isinstance(value, list) else []
