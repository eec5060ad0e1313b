"""The host: the bare repository that people push to (spec 2, 11).

`create` founds a ledger in a new one, `install` makes a host of one that holds a ledger already, `check` says what is
missing. What a push may bring is decided in `gate.py`; what follows from it is done in `upkeep.py`.
"""

from __future__ import annotations

import re
import shlex
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gitledger.documents.names import check_ledger_name
from gitledger.errors import Failed, LedgerError, Malformed, Unsound, Usage
from gitledger.exchange import layout
from gitledger.objects.codec import Commit, digest
from gitledger.objects.sharing import share
from gitledger.objects.store import ABSENT, Store
from gitledger.roles import ascent
from gitledger.roles.place import Place, Progress, silent
from gitledger.roles.upkeep import pushes, settle
from gitledger.rules.advance import advance, genesis
from gitledger.rules.entry import Entry
from gitledger.rules.state import Snapshot
from gitledger.signing.keys import PublicKey

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gitledger.signing.signers import Signer

__all__ = [
    "Card",
    "branch_lost",
    "card",
    "check",
    "create",
    "install",
    "must_follow",
    "newest_tagged",
    "no_branch",
    "settle",
    "unmet",
]


@dataclass(frozen=True, slots=True)
class Card:
    """What the founders hand out: the ledger id is the trust anchor (spec 9).

    `witness` and `authorities` are domains with their key ids; `threshold` of the authorities make a quorum.
    """

    name: str
    ledger_id: str
    witness: tuple[str, str]
    authorities: tuple[tuple[str, str], ...]
    threshold: int

    @property
    def may_lose(self) -> int:
        """How many authorities may lose their keys before no quorum can be reached."""
        return len(self.authorities) - self.threshold


def create(
    directory: Path,
    *,
    witness: tuple[str, Signer],
    seconds: int,
    name: str = "common",
    members: Mapping[str, PublicKey] | None = None,
    authorities: Mapping[str, PublicKey] | None = None,
    threshold: int | None = None,
    policy: bytes | None = None,
    template: str | None = None,
) -> Snapshot:
    """Found a ledger in a new bare repository at `directory`, and return its genesis, `name@0` (spec 9).

    `witness` is a domain and who signs for it; `members` and `authorities` are public keys by domain. Without
    `authorities` the witness and all members are; without `threshold` it is the smallest majority. `policy` holds the
    bytes of a policy file; else `template` (`personal`, `group`) is filled in. `seconds` is genesis's time.

    The repository appears whole or not at all. Raises Usage (`directory-taken`, `no-template`,
    `policy-says-otherwise`), Malformed or Refused where the documents do not hold together, Failed.
    """
    from gitledger.roles import founding  # these four are no part of what a hook needs
    from gitledger.roles.draft import beside, init
    from gitledger.roles.founding import Founders
    from gitledger.roles.journal import Journal

    check_ledger_name(name)
    domain, signer = witness
    every = {domain: signer.key, **(members or {})}
    founders = Founders(name, domain, signer, members or {}, every if authorities is None else authorities)
    if policy is None:
        policy = founding.policy_of(founders, template or ("group" if len(every) > 1 else "personal"), threshold)
    elif template is not None:
        raise Usage("policy-and-template", "a policy file and a template are given", "leave one of them out")
    else:
        founding.must_agree(policy, authorities, threshold)
    with beside(directory) as draft:
        init(draft, name, bare=True)
        layout.configure(draft, layout.HOST_CONFIG)
        store = Store.open(draft, durable=True)
        first = founding.found(store, founders, policy, seconds)
        place = Place(store, "host", first.hash, name)
        store.update([(place.branch, first.oid, ABSENT), (place.tag(0), first.oid, ABSENT)], message="genesis")
        layout.configure(draft, pushes(first))
        layout.install_hooks(draft, role="host", name=name)
        place.establish()
        Journal.of(first.hash).published(first)
    layout.install_hooks(directory, role="host", name=name)  # once more: they know the path they are at
    return Place.open(directory).verified


def card(snapshot: Snapshot) -> Card:
    """What a snapshot's state says for the card that the founders hand out."""
    state = snapshot.state
    return Card(
        name=state.name,
        ledger_id=state.ledger_id,
        witness=(state.witness.domain_id, state.witness.pubkey_id),
        authorities=tuple((one.domain_id, one.pubkey_id) for one in state.policy.authorities),
        threshold=state.policy.threshold,
    )


def install(directory: Path, *, progress: Progress = silent) -> Place:
    """Make the bare repository at `directory`, which holds a ledger, its host; again, to renew hooks and settings.

    In a clone that gitledger made, it renews the guard and the settings of that; `Place.role` says which it is.
    What it holds is verified from genesis on before it becomes a host; its ledger id, `Place.anchor`, is for the person
    to compare. The branch of a host that is lost, or below a tag that stands on it, comes to the newest tag that is
    valid. Raises Usage or Unsound where it holds no ledger, or refs that do not follow from it, what `advance` raises
    for the first invalid snapshot, Failed (`no-branch`), and what `layout.install_hooks` raises.
    """
    store = Store.open(directory, durable=True)
    share(store.git_dir)
    if not store.bare and (clone := _clone_of_ours(store)) is not None:
        layout.configure(store.git_dir, layout.clone_config(clone.name))
        layout.install_hooks(store.git_dir, role="clone", name=clone.name)
        return clone
    if not store.bare:
        raise Usage("host-not-bare", f"{directory} has a work tree, which a host has not", "git clone --bare makes one")
    try:
        place = Place.of(store)
    except LedgerError:
        place = _recognise(store, progress)
    _put_forward(place, progress)
    layout.configure(store.git_dir, layout.HOST_CONFIG)
    layout.install_hooks(store.git_dir, role="host", name=place.name)
    if store.head() != place.branch:
        store.git("-c", "core.hooksPath=/dev/null", "symbolic-ref", "HEAD", place.branch)
    place.establish()
    settle(place, int(time.time()), "all")
    return place


def check(directory: Path) -> list[str]:
    """What the host at `directory` lacks, each a sentence with its mend; first finishes what a hook left (spec 11)."""
    place = Place.open(directory)
    share(place.store.git_dir)
    if place.role != "host":
        raise Usage("not-a-host", f"{directory} is a consumer's clone", "name the bare repository")
    problems: list[str] = []
    try:
        settle(place, int(time.time()), "missing")
        must_follow(place, place.verified)
    except LedgerError as error:
        problems.append(f"{error}; {error.mend}" if error.mend else str(error))
    return problems + unmet(place)


def unmet(place: Place) -> list[str]:
    """What the host or the clone `place` lacks of its hooks and settings, each a sentence with its mend."""
    bounds: tuple[layout.Pair, ...] = ()
    if place.role == "host":
        with suppress(LedgerError):  # what is wrong with the ledger is told where it is verified
            bounds = pushes(place.verified)
    return layout.check(place.store.git_dir, role=place.role, name=place.name, pushes=bounds)


def newest_tagged(place: Place, above: Snapshot | None, progress: Progress = silent) -> Snapshot | None:
    """The newest snapshot that has a tag and is valid: on `above`, or from the anchor on where that is None."""
    numbers = (ref.removeprefix(place.tag(0)[:-1]) for ref in place.store.refs("refs/tags/"))
    for number in sorted((int(each) for each in numbers if re.fullmatch("0|[1-9][0-9]{0,18}", each)), reverse=True):
        if above is not None and number <= above.number:
            return None
        oid = place.store.resolve(place.tag(number)) or ""
        with suppress(LedgerError):
            path = ascent.Path(place.store, oid, above.oid if above else "")
            if above is None:
                trusted = genesis(place.store, path[0], place.anchor)
                reached, _ = ascent.climb(trusted, path, start=1, progress=progress)
            elif path.led:
                reached, _ = ascent.climb(above, path, progress=progress)
            else:
                continue
            if reached.number == number:
                return reached
    return None


def _put_forward(place: Place, progress: Progress) -> None:
    """Bring the branch to the newest tag that is valid, where it is lost, or below that tag. Raises Failed."""
    above = None if (lost := branch_lost(place)) else place.verified
    newest = newest_tagged(place, above, progress)
    if newest is None and lost:
        raise no_branch(place)
    if newest is not None:
        if lost:  # what git takes for no ref, it can't move either
            (place.store.common_dir / place.branch).unlink(missing_ok=True)
        place.store.update([(place.branch, newest.oid, None)], message="put forward again")


def no_branch(place: Place) -> Failed:
    """That the branch is lost, and no tag leads from the anchor on."""
    where = shlex.quote(str(place.store.git_dir))
    return Failed(
        "no-branch",
        f"{place.branch} is lost, and there is no tag that leads from {place.anchor} on",
        f"rm -f {where}/{place.branch}\n"
        f"git --git-dir={where} -c core.hooksPath=/dev/null fetch CLONE {place.branch}:{place.branch}"
        "   (CLONE: one that has it, or a mirror)\n"
        f"gitledger hooks install {where}\ngitledger -C {where} doctor --full",
    )


def branch_lost(place: Place) -> bool:
    """Whether the branch is gone, or names no commit that is here."""
    try:
        oid = place.store.resolve(place.branch)
    except Unsound as error:
        if error.rule != "ref-damaged":
            raise
        return True
    return oid is None or not place.store.has(oid)


def _clone_of_ours(store: Store) -> Place | None:
    try:
        place = Place.of(store)
    except LedgerError:
        return None
    return place if place.role == "clone" else None


def _recognise(store: Store, progress: Progress) -> Place:
    """The ledger in a bare repository that is no host yet, verified from its genesis to its newest snapshot."""
    name, oids = _line(store)
    trusted = genesis(store, oids[-1], digest(store.read(oids[-1], "commit")))
    for done, oid in enumerate(reversed(oids[:-1]), start=1):
        trusted = advance(trusted, oid)
        progress(done, len(oids) - 1)
    place = Place(store, "host", trusted.state.ledger_id, name)
    must_follow(place, trusted)
    return place


def _line(store: Store) -> tuple[str, list[str]]:
    """The name of the ledger in `store`, and its snapshots as they say of themselves, newest first."""
    heads = {ref.removeprefix("refs/heads/"): oid for ref, oid in store.refs("refs/heads/").items()}
    names = [name for name, oid in heads.items() if _says(store, oid, name)]
    if len(names) != 1:
        raise Usage(
            "no-ledger-here",
            f"{store.git_dir} has {len(names) or 'no'} branches whose newest commit is a snapshot of that name",
            "gitledger init DIR founds a ledger; git clone --bare copies one",
        )
    oids = [heads[names[0]]]
    while parents := Commit.parse(store.read(oids[-1], "commit")).parents:
        oids.append(parents[0])
    return names[0], oids


def _says(store: Store, oid: str, name: str) -> bool:
    """Whether the commit calls itself a snapshot of the ledger `name`."""
    try:
        return Entry.parse(Commit.parse(store.read(oid, "commit")).message).name == name
    except Malformed:
        return False


def must_follow(place: Place, newest: Snapshot) -> None:
    """Branches and tags are those that the line gives, and no others (spec 2). Raises Unsound (`stray-ref`)."""
    for ref in place.store.refs("refs/heads/"):
        if ref != place.branch:
            raise _stray(place, ref, "is a branch besides the ledger's")
    for ref, oid in place.store.refs("refs/tags/").items():
        match = re.fullmatch(rf"refs/tags/{place.name}@(0|[1-9][0-9]{{0,18}})", ref)
        if match is not None and int(match[1]) > newest.number:
            if (tagged := newest_tagged(place, newest)) is not None:
                what = f"{place.branch} went back to {newest.name}: {tagged.name}, which is tagged, stands on it"
                raise Unsound("branch-went-back", what, _forward(place, tagged))
            raise _stray(place, ref, f"is above the branch, {newest.name}, and does not stand on it")
        if match is None:
            raise _stray(place, ref, "is no snapshot of this ledger")
        if newest.state.line.row(place.store, int(match[1])).snapshot != oid:
            raise _stray(place, ref, "names another commit than the line does", remade=True)


def _forward(place: Place, tagged: Snapshot) -> str:
    where = shlex.quote(str(place.store.git_dir))
    if (place.directory / "ledger.json").exists():
        return f"gitledger hooks install {where}"
    return f"git -C {where} update-ref {place.branch} {tagged.oid}"


def _stray(place: Place, ref: str, what: str, *, remade: bool = False) -> Unsound:
    """`remade` says that `install` sets it right, on a host; in what is to become one nothing is moved."""
    where = shlex.quote(str(place.store.git_dir))
    mend = f"git -C {where} -c core.hooksPath=/dev/null update-ref -d {shlex.quote(ref)}"
    if remade and (place.directory / "ledger.json").exists():
        mend = f"gitledger hooks install {where}"
    return Unsound("stray-ref", f"{ref} {what}", mend)
