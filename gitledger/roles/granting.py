"""Granting: a domain's key certifies the key of a machine for a while, and tells which it certified (spec 13).

`ssh-keygen -s` makes the certificate, so that the domain's key may live in a file, an agent or a security key. What
could never count is refused before anything is signed. What was certified is remembered beside the refs, in

    nodes.json         serial, name, key, domain, roles and validity of each certificate that was made here

because no ledger says it: a node has a record once a snapshot accepts what it signed, and the certificate stands in its
signatures alone. It is needed to revoke a node by its name; the serial does as well.
"""

from __future__ import annotations

import os
import secrets
import shlex
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, NamedTuple

import msgspec
from msgspec import Meta

from gitledger.documents.certificate import Record
from gitledger.documents.manifest import Manifest, Role, Serial
from gitledger.documents.names import LARGEST_NUMBER, LONGEST_SECONDS, check_domain, check_key_id
from gitledger.errors import Failed, LedgerError, Refused, Usage
from gitledger.roles.notes import Seconds, must_read, write_durably
from gitledger.roles.place import Place
from gitledger.rules import nodes
from gitledger.rules.state import State
from gitledger.signing.keys import SK_ED25519, PublicKey
from gitledger.signing.signers import Signer
from gitledger.signing.sshcert import Certificate

EARLIER: Final = 60
"""By how many seconds a certificate holds before it is made, as with ssh-keygen: clocks differ."""

_LONGEST_NAME: Final = 100


class Issued(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A certificate that was made here: for the key `key_id` of the node `name`, by the key `by` of `domain`.

    It holds from the second `after` and up to the second `before`, in seconds since 1970.
    """

    serial: Serial
    name: str
    key_id: str
    domain: str
    roles: tuple[Role, ...]
    by: str
    after: Seconds
    before: Annotated[int, Meta(ge=1, le=LONGEST_SECONDS)]

    def __post_init__(self) -> None:
        check_key_id(self.key_id)
        check_key_id(self.by)
        check_domain(self.domain)


@dataclass(frozen=True, slots=True)
class Node:
    """A node as it stands: by what was `issued` here (None: by its record alone), and by the newest snapshot.

    `until` is the last second at which a snapshot may accept its work, `revoked` says whether its serial is, and
    `recorded` whether a snapshot has accepted something that its key signed.
    """

    domain: str
    key_id: str
    issued: Issued | None
    until: int | None
    revoked: bool
    recorded: bool


class Earlier(NamedTuple):
    """Another certificate of a node: its work counts up to the second `until`."""

    serial: int
    until: int


def grant(
    place: Place,
    signer: Signer,
    node: PublicKey,
    *,
    name: str,
    roles: Sequence[Role],
    seconds: int,
    now: int,
    serial: int | None = None,
) -> tuple[Issued, Certificate]:
    """Certify the key `node` for `roles` of the signer's domain, for so many `seconds` from `now` on.

    Without `serial` it is one that nobody has. What is issued is remembered before it is returned.

    Raises Usage (`node-name`, `node-duration`), Refused (each for what would make all work by the certificate refused),
    Failed.
    """
    if not 0 < len(name) <= _LONGEST_NAME or not name.isprintable():
        raise Usage("node-name", "a node's name is 1 to 100 printable characters", "--name rescue-1")
    if is_serial(name):
        raise Usage("node-name", f"a node named {name} could not be told from the serial {name}", "--name rescue-1")
    if seconds == 0:
        raise Usage("node-duration", "a certificate that holds for no time is good for nothing", "--for 8h")
    if now + seconds > LONGEST_SECONDS:
        raise Usage("node-duration", "a certificate ends in the year 9999 at the latest", "--for 8h")
    state = place.verified.state
    manifest = _must_certify(state, signer.key.key_id, node, roles)
    before = remembered(place)
    issued = Issued(
        serial=_fresh(manifest, before) if serial is None else _checked(serial, manifest, before),
        name=name,
        key_id=node.key_id,
        domain=manifest.domain_id,
        roles=tuple(roles),
        by=signer.key.key_id,
        after=max(0, now - EARLIER),
        before=now + seconds,
    )
    certificate = _certified(signer, node, issued)
    nodes.granted(state, certificate, issued.domain, now)
    write_durably(_path(place), msgspec.json.encode((*before, issued)).decode() + "\n")
    return issued, certificate


def remembered(place: Place) -> tuple[Issued, ...]:
    """What was issued here, in its order. Raises Failed (`nodes-damaged`)."""
    path = _path(place)
    damaged = Failed(
        "nodes-damaged",
        f"{path}, which says which nodes were certified here, can't be read",
        f"mv {shlex.quote(str(path))} {shlex.quote(str(path))}.damaged   (serials then have to be known otherwise)",
    )
    return must_read(path, tuple[Issued, ...], damaged) or ()


def found(place: Place, domain: str | None = None) -> tuple[Node, ...]:
    """The nodes of `domain` (None: of all): those that were certified here, then those that the ledger alone knows."""
    state = place.verified.state
    issued = [one for one in remembered(place) if domain in (None, one.domain)]
    listed = [_node(state, one) for one in issued]
    known = {one.key_id for one in issued}
    for record in _recorded(state):
        if record.public.key_id not in known and domain in (None, record.domain_id):
            listed.append(Node(record.domain_id, record.public.key_id, None, None, revoked=False, recorded=True))
    return tuple(listed)


def earlier(place: Place, issued: Issued, file: Path, now: int) -> tuple[Earlier, ...]:
    """What gives the node rights in its domain besides what was `issued`, at `now`: made here, or found in `file`."""
    state = place.verified.state
    found = {
        one.serial: until(state, one)
        for one in remembered(place)
        if (one.key_id, one.domain) == (issued.key_id, issued.domain)
    }
    with suppress(OSError, LedgerError):  # there is none, or one that counts for nothing
        there = _of_domain(state, issued.domain, file)
        if there.key.key_id == issued.key_id and _in_range(there.serial):
            found.setdefault(there.serial, nodes.until(state, there))
    manifest = state.manifest(issued.domain)
    over = {issued.serial, *(manifest.revoked_serials if manifest else ())}
    return tuple(Earlier(serial, last) for serial, last in found.items() if last >= now and serial not in over)


def is_serial(named: str) -> bool:
    """Whether `named` is a number, as a serial is."""
    return named.isdecimal() and named.isascii()


def serial_of(place: Place, domain: str, named: str) -> int:
    """The serial that `named` means: itself, a certificate's file, or the name of a node that was certified here.

    Raises Refused (`no-such-node`, `ambiguous`, `other-domain`), and what `Certificate` raises.
    """
    state = place.verified.state
    manifest = state.manifest(domain)
    revoked = manifest.revoked_serials if manifest else ()
    serials = {one.serial for one in remembered(place) if (one.name, one.domain) == (named, domain)} - set(revoked)
    if is_serial(named):
        serial = _in_range(int(named))
        if serials - {serial}:
            raise Refused(
                "ambiguous",
                f"{named} is a serial, and the name of a node with the serial {', '.join(map(str, sorted(serials)))}",
                "name the file of its certificate: gitledger node revoke NODE-cert.pub",
            )
        return serial
    path = Path(named).expanduser()
    if named.endswith("-cert.pub") and path.is_file():
        return _in_range(_of_domain(state, domain, path).serial)
    if not serials:
        raise Refused(
            "no-such-node",
            f"no certificate of {domain} for a node {named} was made here, or it is revoked",
            "gitledger node list   (a serial, or the file NODE-cert.pub, can be named as well)",
        )
    if len(serials) > 1:
        raise Refused(
            "ambiguous", f"{named} has the serials {', '.join(map(str, sorted(serials)))}", "name one serial at a time"
        )
    return serials.pop()


def is_known(place: Place, domain: str, serial: int) -> bool:
    """Whether a certificate of `domain` with that serial was made here."""
    return any((one.serial, one.domain) == (serial, domain) for one in remembered(place))


def _of_domain(state: State, domain: str, path: Path) -> Certificate:
    """The certificate in a file, once it is for `domain` and a key that is or was the domain's signed it."""
    certificate = Certificate.from_file_text(path.read_text(encoding="utf-8", errors="replace"))
    if domain not in {at for _, at in certificate.grants}:
        raise Refused("other-domain", f"{path.name} is not for {domain}", "name the domain that certified it")
    by = state.record(certificate.signer.key_id)
    if by is None or by.domain_id != domain:
        raise Refused(
            "certificate-signer",
            f"{path.name} is signed by {certificate.signer.key_id}, which is no key of {domain}, so it counts for "
            "nothing there",
            "leave it: to revoke its serial would revoke another certificate, if any",
        )
    return certificate


def until(state: State, issued: Issued) -> int:
    """The last second at which a snapshot may accept what was signed by the certificate."""
    return issued.before + state.policy.certificate_grace_seconds


def _must_certify(state: State, key_id: str, node: PublicKey, roles: Sequence[Role]) -> Manifest:
    """The manifest in which the key `key_id` may certify `node` for `roles`. Raises Refused."""
    record = state.record(key_id)
    manifest = state.manifest(record.domain_id) if record else None
    if manifest is None:
        raise Refused(
            "unknown-key",
            f"{key_id} is no key of any domain in {state.snapshot_name}",
            "name the key that certifies for your domain: --key KEY",
        )
    entry = nodes.certifier(key_id, manifest)
    nodes.must_be_a_node(state, node.key_id, manifest)
    for role in roles:
        if role not in entry.certifies:
            raise Refused(
                "certificate-roles",
                f"the key {entry.name} of {manifest.domain_id} certifies {', '.join(entry.certifies)}, not {role}",
                f"--roles {','.join(entry.certifies)}   (or have root let it certify {role}, in `certifies`)",
            )
    return manifest


def _node(state: State, one: Issued) -> Node:
    manifest = state.manifest(one.domain)
    revoked = manifest is not None and one.serial in manifest.revoked_serials
    recorded = state.record(one.key_id) is not None
    return Node(one.domain, one.key_id, one, until(state, one), revoked=revoked, recorded=recorded)


def _recorded(state: State) -> Iterator[Record]:
    """The records of active keys that stand in no manifest: those of nodes."""
    for _, file in state.tree.files("ledger/certificates"):
        record = Record.parse(file.content(state.objects))
        manifest = state.manifest(record.domain_id)
        if record.status == "active" and (manifest is None or manifest.key(record.public.key_id) is None):
            yield record


def _fresh(manifest: Manifest, before: Sequence[Issued]) -> int:
    taken = {*manifest.revoked_serials, *(one.serial for one in before)}
    while (serial := secrets.randbelow(LARGEST_NUMBER) + 1) in taken:
        pass
    return serial


def _checked(serial: int, manifest: Manifest, before: Sequence[Issued]) -> int:
    if serial in manifest.revoked_serials:
        raise Refused(
            "certificate-revoked", f"{manifest.domain_id} revokes the serial {serial}", "leave --serial out, or another"
        )
    if any((one.serial, one.domain) == (serial, manifest.domain_id) for one in before):
        raise Refused(
            "serial-twice",
            f"a certificate with the serial {serial} was made here already, and both would be revoked together",
            "leave --serial out, or give another",
        )
    return _in_range(serial)


def _in_range(serial: int) -> int:
    if not 0 < serial <= LARGEST_NUMBER:
        raise Refused(
            "certificate-serial", f"the serial {serial} can't be revoked", "a serial is from 1 to 9223372036854775807"
        )
    return serial


def _certified(signer: Signer, node: PublicKey, issued: Issued) -> Certificate:
    """Have ssh-keygen certify the key, without any of the permissions that it gives for logins."""
    with tempfile.TemporaryDirectory(prefix="gitledger-") as name:
        here = Path(name)
        (here / "node.pub").write_text(f"{node.text}\n")
        by, agent = signer.private_file(), []
        if by is None:
            by, agent = here / "signer.pub", ["-U"]
            by.write_text(f"{signer.key.text}\n")
        said = ["-I", issued.name, "-z", str(issued.serial), "-O", "clear"]
        said += ["-n", ",".join(f"{role}@{issued.domain}" for role in issued.roles)]
        said += ["-V", f"{_moment(issued.after)}:{_moment(issued.before)}"]
        _run(signer, ["ssh-keygen", "-q", *agent, "-s", str(by), *said, str(here / "node.pub")])
        return Certificate.from_file_text((here / "node-cert.pub").read_text())


def _run(signer: Signer, command: Sequence[str]) -> None:
    """Run ssh-keygen in UTC. What it asks, it asks on the terminal; a security key says when it waits to be touched."""
    stderr = None if signer.key.type == SK_ED25519 else subprocess.PIPE
    try:
        done = subprocess.run(
            command,
            env={**os.environ, "TZ": "UTC"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            check=False,
        )
    except OSError as error:
        raise Failed("no-signing-program", f"ssh-keygen can't be run: {error.strerror}", "install OpenSSH") from None
    if done.returncode:
        lines = (done.stderr or b"").decode("utf-8", "replace").strip().splitlines()
        raise Failed(
            "signing-failed",
            f"ssh-keygen made no certificate with the key {signer.key.key_id}: "
            + (lines[-1].strip() if lines else f"it ended with status {done.returncode}"),
            "see with ssh-add -L whether an agent holds the key, and add it with ssh-add",
        )


def _moment(seconds: int) -> str:
    return time.strftime("%Y%m%d%H%M%S", time.gmtime(seconds))


def _path(place: Place) -> Path:
    return place.directory / "nodes.json"
