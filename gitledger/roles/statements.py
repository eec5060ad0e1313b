"""Certifying: statements are made of what is verified here, signed, and put where they belong (spec 14).

What is made, and what anybody else made, is held to what a proposal with it will be held to, before it is staged. What
a statement says of another ledger is read in a clone or a host of that ledger; from a host all of it is verified
first, because only a clone remembers what it verified.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

from gitledger.documents.statement import Audit, Descriptor, LocatedAt, Reference, Represents, Statement
from gitledger.errors import Failed, Refused, about
from gitledger.objects.codec import digest
from gitledger.objects.trees import File
from gitledger.roles import consumer, proposer
from gitledger.roles.acting import acting, domain_of
from gitledger.roles.place import Place, Progress, silent
from gitledger.rules import attestation
from gitledger.rules.advance import ancestor
from gitledger.rules.attestation import Signers
from gitledger.rules.state import Snapshot, State
from gitledger.signing import dsse
from gitledger.signing.signers import Signer


@dataclass(frozen=True, slots=True)
class Certified:
    """An envelope that `domain` may propose: its bytes, the statement in it, and who signed with which roles."""

    domain: str
    content: bytes
    statement: Statement
    signers: Signers

    @property
    def path(self) -> str:
        """Where it stands in the tree."""
        return attestation.path_of(self.domain, self.content)

    @property
    def digest(self) -> str:
        """The digest of its bytes, `sha256:…`, which is its name."""
        return digest(self.content)


# What is stated


def ledger_at(path: Path, progress: Progress = silent) -> Place:
    """The ledger in a clone or a host at `path`, all of it verified. Raises Usage where there is none."""
    place = Place.open(path)
    if place.role == "host":
        consumer.verify(place, from_genesis=True, jobs=None, progress=progress)
    return place


def represents(place: Place, named: str, thing: str, as_of: int | None = None) -> Statement:
    """That a snapshot of `place` represents `thing` as of a number, the snapshot's own where none is given."""
    snapshot = snapshot_of(place, named)
    count = snapshot.number if as_of is None else as_of
    said = Represents(ledger=place.anchor, represents=thing, as_of=count)
    return Statement.saying(said, [Descriptor.of(snapshot.name, snapshot.hash)])


def audited(place: Place, named: str, checked: Sequence[str], found: Sequence[str]) -> Statement:
    """What was checked of a snapshot of `place`, and what was found, in sentences."""
    snapshot = snapshot_of(place, named)
    said = Audit(ledger=place.anchor, checked=tuple(checked), found=tuple(found))
    return Statement.saying(said, [Descriptor.of(snapshot.name, snapshot.hash)])


def located_in(place: Place, named: str, path: str) -> Statement:
    """That the file at `path` of a snapshot of `place` stands there. Raises Refused (`no-such-file`)."""
    snapshot = snapshot_of(place, named)
    reference = Reference(ledger=place.anchor, name=snapshot.name, hash=snapshot.hash)
    return _located(path, file_digest(snapshot, path), LocatedAt(path=path, snapshot=reference))


def located(file: Path) -> Statement:
    """That the file of this machine stands at its path. Raises Failed (`file-unreadable`)."""
    path = str(file.expanduser().absolute())
    return _located(path, digest_of_file(file), LocatedAt(path=path))


def snapshot_of(place: Place, named: str | int) -> Snapshot:
    """The verified snapshot that `named` means. Raises what `Place.row` raises."""
    return ancestor(place.verified, place.row(named).number)


def file_digest(snapshot: Snapshot, path: str) -> str:
    """The artifact key of the file at `path` of the snapshot. Raises Refused (`no-such-file`)."""
    file = snapshot.state.tree.get(path)
    if not isinstance(file, File):
        mend = f"git ls-tree -r --name-only {snapshot.oid}"
        raise Refused("no-such-file", f"{snapshot.name} has no file {path}", mend)
    return digest(file.content(snapshot.state.objects))


def digest_of_file(file: Path) -> str:
    """The artifact key of a regular file of this machine, of any size. Raises Failed (`file-unreadable`)."""
    try:
        with _opened(file) as opened:
            return "sha256:" + hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise Failed("file-unreadable", f"{file}: {error.strerror}", f"ls -l {file}") from None


def envelope_in(file: Path) -> bytes:
    """The bytes of a regular file, as many as an envelope has and one. Raises Failed (`file-unreadable`)."""
    try:
        with _opened(file) as opened:
            return opened.read(dsse.LARGEST + 1)
    except OSError as error:
        raise Failed("file-unreadable", f"{file}: {error.strerror}", f"ls -l {file}") from None


def _opened(file: Path) -> BufferedReader:
    """The file, opened without waiting for anybody. Raises OSError, Failed (`file-unreadable`) for a pipe or device."""
    opened = open(file.expanduser(), "rb", opener=lambda path, flags: os.open(path, flags | os.O_NONBLOCK))  # noqa: SIM115
    if stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
        return opened
    opened.close()
    raise Failed("file-unreadable", f"{file} is no regular file", "write what comes out of it to a file first")


def _located(path: str, artifact: str, said: LocatedAt) -> Statement:
    return Statement.saying(said, [Descriptor.of(path.rpartition("/")[2], artifact)])


# How it is signed, and where it goes


def sign(statement: Statement, signer: Signer) -> bytes:
    """The envelope of a statement, signed. Raises Refused (`security-key-statement`), and what `sign_raw` raises."""
    return dsse.sign(statement.encode(), signer.key, signer.sign_raw).encode()


def checked(place: Place, content: bytes, signer: Signer | None = None, seconds: int = 0, beside: int = 0) -> Certified:
    """The envelope `content`, held to what a proposal with it will be held to on the newest verified snapshot.

    It is certified by the domain of the keys that signed it. A node is known by the certificate of `signer`, who is
    about to propose it at `seconds`, with so many bytes `beside` it. Raises Malformed or Refused.
    """
    state = place.verified.state
    envelope = dsse.Envelope.parse(content)
    key_ids = [signature.key_id for signature in envelope.signatures]
    node = signer if signer is not None and signer.certificate and signer.key.key_id in key_ids else None
    domain = _domain(state, key_ids, node)
    signers = dict(attestation.members(state, domain))
    if node is not None:
        signers[node.key.key_id] = node.key, acting(state, node, seconds).roles
    statement = attestation.taken(state, domain, content, signers, beside)
    return Certified(domain, content, statement, {key_id: signers[key_id] for key_id in key_ids})


def stage(place: Place, made: Sequence[Certified]) -> None:
    """Put each at its path in the checkout, and stage it. Raises Refused (`attestation-stands`), Failed, Usage."""
    newest = place.verified
    for certified in made:
        with about(certified.path):
            if newest.state.tree.get(certified.path) is not None:
                mend = f"gitledger attestations {certified.digest}"
                raise Refused("attestation-stands", f"it stands in {newest.name} already", mend)
    for certified in made:
        proposer.stage(place, certified.path, certified.content.decode())


def _domain(state: State, key_ids: Sequence[str], node: Signer | None) -> str:
    """The one domain of the keys; of the node that is about to propose, the one for which it acts."""
    others = [key_id for key_id in key_ids if node is None or key_id != node.key.key_id]
    domains = {record.domain_id for key_id in others if (record := state.record(key_id)) is not None}
    if node is not None:
        domains.add(domain_of(state, node))
    if len(domains) == 1:
        return domains.pop()
    if not domains:
        raise Refused(
            "unknown-signer",
            f"{' and '.join(key_ids)} signed it, and no domain has such a key",
            "have it signed by a key that stands in a domain's manifest: gitledger domain show",
        )
    raise Refused(
        "other-domain",
        f"keys of {' and '.join(sorted(domains))} signed it, and a statement is one domain's",
        "have each domain sign an envelope of its own",
    )
