"""`domains/<domain>/domain.yaml`: which keys a domain has, and what each may do (spec 3.2).

Roles: `root` changes this manifest; `publisher` publishes for the domain; `producer` and `executor` make
things that a publisher publishes; `auditor` verifies and never writes. A key may hold several, except that
`auditor` stands alone. Key names are unique, and so are keys. At least one key is root.

A key enters a manifest only with its consent: it signs the proposal, or its entry holds `proof`, an SSH
signature by it, namespace `asl.domain.key`, over `<ledger id> <domain id>` and a newline. Here `proof` must
have the form of such a signature; which ledger it is for is known to `rules/`, which calls `verify_proof`.

A key may say in `certifies` which roles it hands out to nodes by OpenSSH certificates, never `root` or `auditor`;
`revoked_serials` are those of certificates that count no more, whichever of the domain's keys signed them
(spec 13). Serials are from 1 to 2^63-1, as the YAML subset's integers go.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta

from gitledger.documents import subset
from gitledger.documents.names import LARGEST_NUMBER, DomainId, check_domain, check_key_name, must_differ
from gitledger.errors import LedgerError, Refused
from gitledger.signing import sshsig
from gitledger.signing.keys import PublicKey

PROOF_NAMESPACE: Final = "asl.domain.key"

SCHEMA_LINE: Final = "# yaml-language-server: $schema=../../.git/gitledger/manifest.schema.json"
"""The first line of a manifest: an editor finds the schema in the clone's own git directory."""

Role: TypeAlias = Literal["root", "publisher", "producer", "executor", "auditor"]
Serial: TypeAlias = Annotated[int, Meta(ge=1, le=LARGEST_NUMBER)]

MAKERS: Final = frozenset[str]({"publisher", "producer", "executor"})
"""The roles that propose below the domain's own directory (spec 7); all but a publisher wait for a release."""


def proof_message(ledger_id: str, domain_id: str) -> bytes:
    """What a key signs to consent to a domain: `<ledger id> <domain id>` and a newline (spec 3.2).

    printf '%s %s\\n' LEDGER_ID DOMAIN | ssh-keygen -Y sign -n asl.domain.key -f KEY
    """
    return f"{ledger_id} {domain_id}\n".encode()


class ManifestKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    """One key of a domain."""

    name: Annotated[DomainId, Meta(description="What the domain calls it, such as laptop; unique")]
    key: Annotated[str, Meta(description="The public key line without its comment: ssh-ed25519 AAAA…")]
    roles: Annotated[
        tuple[Role, ...],
        Meta(
            min_length=1,
            description="root changes this manifest, publisher publishes, producer and executor make things "
            "that a publisher publishes; auditor verifies, never writes and stands alone",
        ),
    ]
    certifies: Annotated[
        tuple[Role, ...],
        Meta(
            min_length=1,
            description="The roles that it may hand out to nodes by OpenSSH certificates; never root or auditor",
        ),
    ] = ()
    proof: Annotated[
        str | None,
        Meta(
            description="The key's consent, where it does not sign the proposal itself: its SSH signature, "
            "namespace asl.domain.key, over the ledger id, a space, the domain id and a newline"
        ),
    ] = None

    def __post_init__(self) -> None:
        check_key_name(self.name)
        with _naming(self.name):
            public = self.public
            must_differ("role-twice", "roles", self.roles)
            _check_certifies(self.certifies)
            if "auditor" in self.roles and (len(self.roles) > 1 or self.certifies):
                raise Refused(
                    "auditor-alone",
                    "auditor stands alone: who verifies never writes",
                    "give the other roles to another key",
                )
            if self.proof is not None:
                _check_proof_form(self.proof, public)

    @cached_property
    def public(self) -> PublicKey:
        """The key itself."""
        return PublicKey.parse(self.key)

    @cached_property
    def key_id(self) -> str:
        """Its key id, `SHA256:…`."""
        return self.public.key_id

    def verify_proof(self, ledger_id: str, domain_id: str) -> None:
        """Verify that this key consents to `domain_id` in the ledger `ledger_id`, a digest (spec 3.2).

        Raises Refused (`key-without-proof`) where there is no proof, and what `sshsig.verify` raises for a
        wrong one.
        """
        with _naming(self.name):
            if self.proof is None:
                raise Refused(
                    "key-without-proof",
                    "the key enters the manifest without its consent",
                    "sign the proposal with it, or add as its proof what this prints:\n"
                    f"printf '%s %s\\n' {ledger_id} {domain_id} |"
                    f" ssh-keygen -Y sign -n {PROOF_NAMESPACE} -f KEY",
                )
            signature = sshsig.parse(self.proof.encode())
            sshsig.verify(signature, proof_message(ledger_id, domain_id), PROOF_NAMESPACE)


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    """Which keys a domain has, and what each may do."""

    artifact_type: Literal["asl.domain.manifest"]
    version: Literal["0.1"]
    domain_id: Annotated[DomainId, Meta(description="The domain, as in the path domains/<domain>/domain.yaml")]
    keys: Annotated[tuple[ManifestKey, ...], Meta(description="Its keys; at least one is root")]
    revoked_serials: Annotated[
        tuple[Serial, ...],
        Meta(description="The serials of certificates, by any of its keys, that count no more"),
    ] = ()

    def __post_init__(self) -> None:
        check_domain(self.domain_id)
        must_differ("key-name-twice", "keys", (key.name for key in self.keys))
        must_differ("key-twice", "keys", (key.key for key in self.keys))
        must_differ("serial-twice", "revoked_serials", map(str, self.revoked_serials))
        if not any("root" in key.roles for key in self.keys):
            raise Refused(
                "no-root",
                f"no key of {self.domain_id} is root, so that nobody could change its manifest",
                "give one key the role root",
            )

    @classmethod
    def parse(cls, data: bytes) -> Manifest:
        """Read a manifest from the bytes of `domain.yaml`.

        Raises Malformed for what has not the form, Refused for what the form allows and spec 3.2 does not:
        `auditor-alone`, `certifies-root`, `key-name-twice`, `key-twice`, `no-root`, `role-twice`, `serial-twice`,
        and what `PublicKey.parse` refuses.
        """
        return subset.convert(subset.load_yaml(data), cls)

    @classmethod
    def of(cls, domain_id: str, keys: tuple[ManifestKey, ...], revoked_serials: tuple[int, ...] = ()) -> Manifest:
        """The manifest of `domain_id` with these keys and revoked serials. Raises what `parse` raises."""
        return cls(
            artifact_type="asl.domain.manifest",
            version="0.1",
            domain_id=domain_id,
            keys=keys,
            revoked_serials=revoked_serials,
        )

    def key(self, key_id: str) -> ManifestKey | None:
        """The entry of the key with this key id, None where the domain has no such key."""
        return self._by_id.get(key_id)

    @cached_property
    def _by_id(self) -> dict[str, ManifestKey]:
        return {key.key_id: key for key in self.keys}

    def roles_of(self, key_id: str) -> frozenset[str]:
        """What the key with this key id may do for the domain; nothing where it is none of its keys."""
        entry = self.key(key_id)
        return frozenset(entry.roles) if entry else frozenset()

    def render(self) -> str:
        """The text of `domain.yaml`, in the layout of spec 3.2. `parse` reads the same manifest from it."""
        lines = [
            SCHEMA_LINE,
            f"artifact_type: {self.artifact_type}",
            f"version: {self.version}",
            f"domain_id: {self.domain_id}",
            "keys:",
        ]
        for key in self.keys:
            lines += _entry_lines(key)
        if self.revoked_serials:
            lines.append(f"revoked_serials: [{', '.join(map(str, self.revoked_serials))}]")
        return "\n".join(lines) + "\n"


@contextmanager
def _naming(name: str) -> Iterator[None]:
    """Say of which key an error speaks; its subject is left for the manifest's path, which the caller knows."""
    try:
        yield
    except LedgerError as error:
        raise type(error)(error.rule, f"the key {name}: {error.what}", error.mend) from error


def _entry_lines(key: ManifestKey) -> list[str]:
    said = [f"name: {key.name}", f"key: {key.key}", f"roles: [{', '.join(key.roles)}]"]
    if key.certifies:
        said.append(f"certifies: [{', '.join(key.certifies)}]")
    if key.proof is None:
        return [f"  - {{{', '.join(said)}}}"]
    return [
        f"  - {said[0]}",
        *(f"    {line}" for line in said[1:]),
        "    proof: |",
        *(f"      {line}" for line in key.proof.splitlines()),
    ]


def _check_certifies(roles: tuple[Role, ...]) -> None:
    must_differ("role-twice", "certifies", roles)
    if "root" in roles or "auditor" in roles:
        raise Refused(
            "certifies-root",
            "root and auditor are not handed out by certificate",
            "leave them out of certifies; who is to be root or auditor gets a key of its own in the manifest",
        )


def _check_proof_form(proof: str, public: PublicKey) -> None:
    signature = sshsig.parse(proof.encode())
    if signature.key != public:
        raise Refused("proof-by-another-key", "its proof is by another key", "sign the proof with this key")
    if signature.namespace != PROOF_NAMESPACE:
        raise Refused(
            "wrong-namespace",
            f"its proof is a signature for another purpose than {PROOF_NAMESPACE}",
            f"make it with ssh-keygen -Y sign -n {PROOF_NAMESPACE}",
        )
