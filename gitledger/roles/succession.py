"""The authority's side of a rotation: drafting it, endorsing it, and how all of them stand (spec 8).

A draft and its endorsements are blobs under `refs/rotations/<H>/`. The host takes a draft only together with an
endorsement, so both are pushed at once. What an authority endorses is remembered on its machine before it is signed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gitledger.documents.manifest import ManifestKey
from gitledger.documents.names import check_domain
from gitledger.documents.rotation import NAMESPACE, REASON_CHARACTERS, Rotation
from gitledger.errors import LedgerError, Refused, Usage
from gitledger.roles import hold
from gitledger.roles.memory import Memory, Remembered
from gitledger.roles.place import Place
from gitledger.roles.sending import Sent, send
from gitledger.rules import endorsement, rotations, succession
from gitledger.rules.rotations import Drafted, Rotations
from gitledger.rules.state import State
from gitledger.signing.signers import Signer

_NAMED: Final = re.compile(r"[0-9a-f]{8,64}")


@dataclass(frozen=True, slots=True)
class Endorsing:
    """A rotation as it stands once it is endorsed, and what came of sending that."""

    waiting: Drafted
    sent: Sent


@dataclass(frozen=True, slots=True)
class Sealed:
    """A rotation that was sealed: by the snapshot `name`."""

    rotation: Rotation
    name: str


@dataclass(frozen=True, slots=True)
class Both:
    """The authority `domain` endorsed different rotations on the snapshot `name`: each is H in hex."""

    domain: str
    name: str
    rotations: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Standing:
    """How all rotations stand: those that wait, on which the host holds the branch `until` (by H, in seconds since
    1970), those that were sealed, oldest first, and who endorsed more than one on one snapshot.

    `unreadable` are refs that hold nothing that counts, with the reason.
    """

    waiting: tuple[Drafted, ...]
    until: Mapping[str, int]
    sealed: tuple[Sealed, ...]
    both: tuple[Both, ...]
    unreadable: Mapping[str, LedgerError]


def draft(place: Place, domain: str, key_id: str | None = None, reason: str | None = None) -> Drafted:
    """The rotation to `domain` on the newest verified snapshot; where it is drafted already, that one with its reason.

    `key_id` is the new witness's key; without it, the only one that `domain` could serve with. `reason` is one line of
    at most 1,000 characters. Raises Usage (`which-key`, `reason`), Refused where no quorum could make it valid.
    """
    _check_reason(reason)
    check_domain(domain)
    newest = place.verified
    rotation = succession.draft(newest, domain, key_id or _only_key(newest.state, domain), reason)
    there = (one for one in read(place).waiting if one.rotation.digest == rotation.digest)
    return next(there, Drafted(rotation, (), newest, stale=False))


def read(place: Place) -> Rotations:
    """The rotations that wait: on the host, or as last fetched."""
    return rotations.read(place.verified, place.rotation_refs())


def find(place: Place, named: str) -> Drafted | None:
    """The waiting rotation that `named` means: H or its beginning, at least 8 hex digits; None where it means none.

    Raises Refused: `ambiguous`, `rotation-stale`, and what is wrong with one that can't be read.
    """
    if not _NAMED.fullmatch(named):
        return None
    found = read(place)
    one = _the_one([one for one in found.waiting if one.hash.startswith(named)], named)
    for ref, error in found.unreadable.items() if one is None else ():
        match = rotations.DRAFT_REF.fullmatch(ref)
        if match and match["rotation"].startswith(named):
            error.subject = error.subject or ref
            raise error
    return one


def find_to(place: Place, domain: str) -> Drafted | None:
    """The waiting rotation to `domain`, None where there is none. Raises Refused (`ambiguous`)."""
    return _the_one([one for one in read(place).waiting if one.new[0] == domain and not one.stale], domain)


def must_be_elector(signer: Signer, waiting: Drafted) -> str:
    """The domain that the signer's key endorses for. Raises Refused (`endorsement-does-not-count`) where it is none."""
    return endorsement.elector(signer.key.key_id, endorsement.electors(waiting.on.state.policy))


def must_agree(place: Place, domain: str, waiting: Drafted, besides: Sequence[str] = ()) -> None:
    """Raise what `endorse` would raise for what the authority `domain` endorsed before."""
    new = Remembered.of(waiting.rotation, domain, None)
    Memory.of(place.anchor).must_agree(new, besides, _seen(place, domain))


def endorse(
    place: Place,
    signer: Signer,
    waiting: Drafted,
    seconds: int,
    *,
    besides: Sequence[str] = (),
    remote: str = "origin",
) -> Endorsing:
    """Remember, sign and push the endorsement of `waiting`, with its draft where the host has none.

    `seconds` is this machine's time; `besides` names each other rotation on the same snapshot that the same authority
    endorsed, by H or its beginning. Raises Refused (`endorsement-does-not-count`, `rotation-stale`,
    `endorsed-another`), Usage (`besides`), and what the host refuses.
    """
    _must_be_current(waiting)
    domain = must_be_elector(signer, waiting)
    new = Remembered.of(waiting.rotation, domain, seconds)
    Memory.of(place.anchor).keep(new, besides, _seen(place, domain))
    below = f"refs/rotations/{waiting.hash}/"
    draft_oid = drafted(place, waiting, remote=remote) or place.store.write("blob", waiting.rotation.render().encode())
    signed = place.rotation_refs(remote).get(below + domain)
    if signed is None or all(one.domain_id != domain for one in waiting.endorsements):
        signed = place.store.write("blob", signer.sign(waiting.rotation.digest, NAMESPACE))
    refs = {f"{below}draft": draft_oid, below + domain: signed}
    sent = send(place, refs, remote=remote, force=True)
    mine = succession.endorsed(waiting.on, waiting.rotation, place.store.read(signed, "blob"))
    counted = {**{one.domain_id: one for one in waiting.endorsements}, domain: mine}
    after = Drafted(waiting.rotation, tuple(counted[one] for one in sorted(counted)), waiting.on, stale=False)
    return Endorsing(after, sent)


def drafted(place: Place, waiting: Drafted, *, remote: str = "origin") -> str | None:
    """The blob with the draft of `waiting` on the host, None where the host has none that can be read."""
    if all(one.hash != waiting.hash for one in read(place).waiting):
        return None
    return place.rotation_refs(remote).get(f"refs/rotations/{waiting.hash}/draft")


def standing(place: Place, now: int) -> Standing:
    """How all rotations stand at `now`, in seconds since 1970."""
    state, found = place.verified.state, read(place)
    sealed = tuple(Sealed(rotation, f"{state.name}@{number}") for number, _, rotation in rotations.sealed(state))
    done = {one.rotation.digest for one in sealed}
    waiting = tuple(one for one in found.waiting if one.rotation.digest not in done)
    until = {one.hash: end for one, end in hold.held(place, now)}
    endorsed = [one.rotation.endorsed(one.endorsements) for one in found.waiting]
    return Standing(waiting, until, sealed, _both([*endorsed, *(one.rotation for one in sealed)]), found.unreadable)


def _both(endorsed: Sequence[Rotation]) -> tuple[Both, ...]:
    found: dict[tuple[str, str], dict[str, str]] = {}
    for rotation in endorsed:
        previous = rotation.previous_snapshot
        for one in rotation.endorsements.endorsements:
            on = found.setdefault((one.domain_id, previous.snapshot_hash), {})
            on[rotation.digest.hex()] = previous.snapshot_id
    return tuple(
        Both(domain, next(iter(on.values())), tuple(sorted(on))) for (domain, _), on in found.items() if len(on) > 1
    )


def _seen(place: Place, domain: str) -> list[Remembered]:
    """What the queue says that the authority `domain` endorsed, perhaps on another machine."""
    return [
        Remembered.of(one.rotation, domain, None)
        for one in read(place).waiting
        if any(each.domain_id == domain for each in one.endorsements)
    ]


def _the_one(found: Sequence[Drafted], named: str) -> Drafted | None:
    if not found:
        return None
    if len(found) > 1:
        several = ", ".join(sorted(one.hash[:12] for one in found))
        raise Refused("ambiguous", f"{named} may be any of the rotations {several}", "write H, or more of it")
    _must_be_current(found[0])
    return found[0]


def _must_be_current(waiting: Drafted) -> None:
    if waiting.stale:
        raise Refused(
            "rotation-stale",
            f"the rotation {waiting.hash[:12]} follows on {waiting.on.name}, which is not the newest any more: nobody "
            "can seal it",
            f"draft it anew on the newest snapshot: gitledger rotate --to {waiting.new[0]}",
        )


def _only_key(state: State, domain: str) -> str:
    """The key that `domain` would serve with, where there is no choice. Raises Refused, Usage (`which-key`)."""
    manifest = state.manifest(domain)
    if manifest is None:
        raise Refused(
            "no-such-domain",
            f"no domain {domain} is registered in {state.snapshot_name}",
            f"name one of {', '.join(state.domains())}",
        )
    able = [key for key in manifest.keys if key.key_id not in state.policy.revoked]
    if not able:
        raise Refused(
            "new-witness-revoked",
            f"every key of {domain} stands in the policy's revoked: none may ever be witness",
            "name another domain",
        )
    if len(able) > 1:
        raise Usage(
            "which-key",
            f"{domain} has {len(able)} keys, and one of them is to be the witness's",
            "\n".join(_choice(domain, key) for key in able),
        )
    return able[0].key_id


def _choice(domain: str, key: ManifestKey) -> str:
    return f"gitledger rotate --to {domain} --key-id {key.key_id}   ({key.name}: {', '.join(key.roles)})"


def _check_reason(reason: str | None) -> None:
    if reason is not None and not (reason.strip() and len(reason) <= REASON_CHARACTERS and reason.isprintable()):
        raise Usage(
            "reason",
            "a reason is one line of at most 1,000 characters, each of which can be shown",
            '--reason "stepping back"',
        )
