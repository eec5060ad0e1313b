"""Proposals are collected from a host that runs no hooks: a forge, with its forks and pull requests (spec 12).

What is there is asked first and counted, fetched by name into a quarantine, and taken as what a carrier brings
(`taking.py`). A forge has thousands of branches that are no proposals: such a one is told from its commit and its key,
is left, and is not fetched again. What can't be fetched, because the server or whoever pushed it made it so, is parted
from the rest by halves, and keeps nothing else away.

What became of each object id is remembered in `gitledger/collected.json`, so that a scheduled job tells it once;
where what waits came from in `gitledger/collected-from.json`, so that no remote replaces what came from another. What
the ledger decides is looked at again once the ledger has moved.
"""

from __future__ import annotations

import heapq
import re
import time
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Final

from gitledger.errors import LedgerError, Malformed, Refused, Unreachable, Usage
from gitledger.exchange import quarantine, remotes
from gitledger.exchange.quarantine import Beside, Brought, Quarantine
from gitledger.objects.codec import Commit
from gitledger.objects.store import Store
from gitledger.roles import taking
from gitledger.roles.notes import COLLECTED, COLLECTED_FROM
from gitledger.roles.offering import Item
from gitledger.roles.place import Place
from gitledger.rules import queue, rotations
from gitledger.rules.proposal import NAMESPACE
from gitledger.rules.queue import PROPOSAL_REF
from gitledger.signing import sshsig

COLLECT_REFS: Final = 10_000
"""How many refs are fetched in one run, the newest first; the next run goes on."""

COLLECT_BYTES: Final = 1 << 30
"""How many bytes are fetched in one run."""

COLLECT_SECONDS: Final = 900
"""How long a run goes on fetching, in seconds, and then as long looking into what came."""

REMEMBERED: Final = 50_000
"""Of how many objects it is remembered what became of them."""

_PORTION: Final = 500
_VISITED: Final = 100_000  # objects of which a run keeps in mind whether they are of this ledger
_DEEPEST: Final = 10_000  # how much deeper the base of what a member signed is looked for than a line may be long
_REFSPEC = re.compile(r"refs/[^\x00-\x20\x7f~^:?*\[\\]*\*?[^\x00-\x20\x7f~^:?*\[\\]*")
_SSH: Final = b"-----BEGIN SSH SIGNATURE-----"
_JUNK = re.compile(r"[^A-Za-z0-9._-]+")

NO_COMMIT: Final = "no commit"
NOT_SIGNED: Final = "not signed with an SSH key, as a proposal is"
FORGED: Final = "with a signature that does not hold"
NO_DOMAIN: Final = "signed with a key that no domain has"
ELSEWHERE: Final = "on no snapshot of this ledger"
SNAPSHOT: Final = "a snapshot by its message, which gitledger fetch takes"
ODD_NAME: Final = "with a name that is not in UTF-8, or can't be shown: it needs another"
SAME: Final = "the same as another ref there"
UNSENT: Final = "that can't be fetched now, because the remote does not send all of it"
TAKEN, REFUSED, LEFT = "taken", "refused", "left"


@dataclass(frozen=True, slots=True)
class Collected:
    """What came of collecting: `items` are new, each with the ref there that it comes from.

    `left` are the refs that are no proposals, by the reason; `known` counts what an earlier run told, or the ledger
    has, `later` what the next run looks at.
    """

    place: Place
    items: tuple[tuple[str, Item], ...]
    left: Mapping[str, tuple[str, ...]]
    known: int
    later: int

    @property
    def refused(self) -> tuple[Item, ...]:
        return tuple(item for _, item in self.items if item.outcome == "refused")


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What became of an object: `at` is the hash of the snapshot on which it was judged, empty where it is for good."""

    outcome: str
    at: str = ""


@dataclass(slots=True)
class _Run:
    """A run, as far as it has come. `refs` are those that are new, by name there.

    `sources` says where what waits here was collected, by its ref here.
    """

    place: Place
    remote: str
    memory: dict[str, _Verdict]
    sources: dict[str, str]
    refs: dict[str, str] = field(default_factory=dict)
    items: list[tuple[str, Item]] = field(default_factory=list)
    left: dict[str, list[str]] = field(default_factory=dict)
    known: int = 0
    later: int = 0

    def leave(self, ref: str, oid: str, why: str) -> None:
        self.left.setdefault(why, []).append(ref)
        self.memory[oid] = _Verdict(LEFT, self.place.verified.hash if why in (NO_DOMAIN, ELSEWHERE) else "")

    def tell(self, ref: str, oid: str, item: Item, *, for_good: bool = False) -> None:
        """Note what became of `oid`, and tell it where that is new."""
        before = self.memory.get(oid)
        if item.outcome == "there" or (before is not None and before.outcome == item.outcome):
            self.known += 1
        else:
            self.items.append((ref, item))
        outcome = TAKEN if item.outcome == "there" else item.outcome
        self.memory[oid] = _Verdict(outcome, "" if for_good or outcome == TAKEN else self.place.verified.hash)


def collect(place: Place, remote: str, refspecs: Sequence[str], now: int) -> Collected:
    """Collect what waits at `remote` under `refspecs`, at `now`, in seconds: a host takes it, or a clone keeps it.

    `remote` is the name of a remote or an address; a refspec is a full ref, or a pattern with one `*`. Raises Usage
    (`collect-refspec`), Unreachable where nothing could be fetched, Refused (`being-carried`), and what is wrong here.
    """
    patterns = [_pattern(refspec) for refspec in refspecs]
    taking.prepare(place)
    place = Place.of(place.store)
    with quarantine.opened(place.directory, place.store) as inside:  # no other run comes between
        run = _Run(place, _address(place, remote), _remembered(place), _sources(place))
        try:
            _ask(run, refspecs, patterns)
            _fetch(run, inside)
            objects = Beside(place.store, inside)
            _leave_unsent(run, objects)
            _take(run, Brought(_candidates(run, objects), objects, inside), now)
        except BaseException:
            for _, item in run.items:  # nobody is told of it now
                run.memory.pop(item.oid, None)
            raise
        finally:
            _remember(place, run.memory)
            COLLECTED_FROM.write(place.directory, _waiting(place, run.sources))
    left = {why: tuple(refs) for why, refs in run.left.items() if refs}
    return Collected(Place.of(place.store), tuple(run.items), left, run.known, run.later)


# 1. Ask


def _pattern(refspec: str) -> re.Pattern[str]:
    if not _REFSPEC.fullmatch(refspec) or ".." in refspec or "//" in refspec:
        raise Usage(
            "collect-refspec",
            f"{refspec[:80]!r} is no full ref, nor a pattern of them with one *; what is found there is named here",
            "gitledger collect REMOTE 'refs/pull/*/head'   or 'refs/heads/*'",
        )
    return re.compile(re.escape(refspec).replace(r"\*", "(.+)"))


def _address(place: Place, remote: str) -> str:
    """The name of a remote, or an address; a path as git will find it from the top of the repository."""
    named = place.store.git("config", f"remote.{remote}.url", check=False).returncode == 0
    return remote if named or not Path(remote).exists() else str(Path(remote).resolve())


def _ask(run: _Run, refspecs: Sequence[str], patterns: Sequence[re.Pattern[str]]) -> None:
    """Note what is new there, in bounded memory: what was never looked at first, the newest before the older."""
    newest = run.place.verified
    waiting = set(run.place.queue_refs().values())
    heap: list[tuple[tuple[bool, list[tuple[int, str]]], str, str]] = []
    is_ours = lru_cache(_VISITED)(partial(_is_ours, run.place))  # many refs may have one object

    odd = run.left.setdefault(ODD_NAME, [])

    def is_known(oid: str) -> bool:
        verdict = run.memory.get(oid)
        if verdict is not None and (not verdict.at or (verdict.outcome == LEFT and verdict.at == newest.hash)):
            return True
        return oid in waiting or is_ours(oid)

    def hear(ref: str, oid: str) -> None:
        if ref.endswith("^{}") or not any(pattern.fullmatch(ref) for pattern in patterns):
            return
        if ref == run.place.branch and is_ours(oid):
            return
        if not ref.isprintable() or "\ufffd" in ref:
            if len(odd) < COLLECT_REFS:
                odd.append("".join(c if c.isprintable() else "\ufffd" for c in ref))
            else:
                run.later += 1
            return
        if is_known(oid):
            run.known += 1
            return
        entry = ((oid not in run.memory, _age(ref)), ref, oid)
        if len(heap) < COLLECT_REFS:
            heapq.heappush(heap, entry)
        else:
            run.later += 1
            heapq.heappushpop(heap, entry)

    remotes.listed(run.place.store, run.remote, hear, *refspecs)
    once: dict[str, str] = {}
    for (is_new, _), ref, oid in sorted(heap):  # the oldest ref names it: anybody could have made the others
        if once.setdefault(oid, ref) != ref and is_new:
            run.left.setdefault(SAME, []).append(ref)
    run.refs = {ref: oid for oid, ref in reversed(once.items())}


def _is_ours(place: Place, oid: str) -> bool:
    """Whether `oid` is a snapshot, or a proposal that one accepted."""
    line = place.verified.state.line
    if not place.store.has(oid):
        return False
    try:
        return line.snapshot(place.store, oid) is not None or line.acceptance(place.store, oid) is not None
    except LedgerError:
        return False


def _age(ref: str) -> list[tuple[int, str]]:
    """Sorts refs as people count: refs/pull/9/head is older than refs/pull/10/head."""
    return [(int(part), "") if part.isdecimal() and len(part) < 19 else (-1, part) for part in ref.split("/")]


# 2. Fetch


def _fetch(run: _Run, inside: Quarantine) -> None:
    """Fetch what is new, in portions; one that fails is halved until it is a single ref, which is told.

    Raises Unreachable where nothing came.
    """
    objects, refs = Beside(run.place.store, inside), list(run.refs)
    portions = [refs[at : at + _PORTION] for at in range(0, len(refs), _PORTION)][::-1]
    ends, came = time.monotonic() + COLLECT_SECONDS, False
    silent: LedgerError | None = None
    while portions:
        portion = portions.pop()
        seconds, room = ends - time.monotonic(), COLLECT_BYTES - _bytes(inside)
        if seconds <= 0 or room <= 0:
            _drop(run, portion)
            continue
        try:
            remotes.bring(objects, run.remote, portion, seconds=seconds, most=room)
            came = True
        except (Refused, Malformed, Unreachable) as error:
            if error.rule == remotes.STALLED:
                _drop(run, portion)
                silent = error
            elif len(portion) > 1:
                half = len(portion) // 2
                portions += [portion[half:], portion[:half]]
            else:
                silent = error if isinstance(error, Unreachable) else silent
                _broken(run, portion[0], error, whole=room == COLLECT_BYTES)
    if silent is not None and not came:
        raise silent


def _broken(run: _Run, ref: str, error: LedgerError, *, whole: bool) -> None:
    """One ref that can't be fetched: for good where its objects are what is wrong with it."""
    oid = run.refs.pop(ref)
    if isinstance(error, Unreachable):
        run.left.setdefault(UNSENT, []).append(ref)
        return
    if error.rule == remotes.TOO_MUCH and not whole:
        run.later += 1
        return
    run.tell(ref, oid, Item(ref, "refused", f"{error}", oid), for_good=True)


def _leave_unsent(run: _Run, objects: Store) -> None:
    """What did not come though it was asked for: it has moved there since, or is cut off."""
    unsent = [ref for ref, oid in run.refs.items() if not objects.has(oid)]
    for ref in unsent:
        del run.refs[ref]
    run.left.setdefault(UNSENT, []).extend(unsent)


def _drop(run: _Run, refs: Sequence[str]) -> None:
    """Leave `refs` to the next run."""
    for ref in refs:
        del run.refs[ref]
    run.later += len(refs)


def _bytes(inside: Quarantine) -> int:
    """How many bytes are in quarantine."""
    return sum(path.stat().st_size for path in (inside.git_dir / "objects" / "pack").iterdir())


# 3. Tell what is a proposal from what is none


def _candidates(run: _Run, objects: Store) -> dict[str, str]:
    """What of the refs may be taken, by the name under which it is; what is no proposal is left.

    Who has a key of the ledger comes first. What there is no room or no time for is left to the next run, which does
    not look again at what this one has found out.
    """
    view = run.place.through(objects)
    look = _Look(view, time.monotonic() + COLLECT_SECONDS)
    said: dict[str, str] = {}
    for ref, oid in run.refs.items():
        if not look.is_over():
            said[ref] = "" if _is_about_another(ref) else _signed(view, oid)
    _drop(run, [ref for ref in run.refs if ref not in said])
    found: dict[str, str] = {}
    for ref in sorted(said, key=lambda ref: (said[ref] == NO_DOMAIN, _is_about_another(ref))):
        oid, why = run.refs[ref], look.into(ref, run.refs[ref], said[ref], room=len(found) < taking.JUDGED_REFS)
        if why is None:
            _drop(run, [ref])
        elif why:
            run.leave(ref, oid, why)
            del run.refs[ref]
        else:
            found[_free(run, view, ref, found)] = ref
    names = {ref: name for name, ref in found.items()}
    return {names[ref]: oid for ref, oid in reversed(run.refs.items())}  # what came first is taken first


def _named(ref: str) -> str:
    """What a ref is called here: refs/pull/7/head is pull-7; what is in the table of spec 2 keeps its name."""
    if ref.startswith("refs/heads/") or queue.is_ref(ref) or rotations.is_ref(ref):
        return ref
    return "refs/heads/" + _JUNK.sub("-", ref.removeprefix("refs/").removesuffix("/head"))


def _free(run: _Run, view: Place, ref: str, found: Container[str]) -> str:
    """What `ref` is taken as: by its name, which has a number where that is of something else that waits.

    A later version replaces what came from the same ref of the same remote.
    """
    name = _named(ref)
    if not name.startswith("refs/heads/"):
        return name
    source = f"{run.remote} {ref}"
    proposed = taking.proposed_as(view, name, run.refs[ref])
    name = free = proposed if PROPOSAL_REF.fullmatch(proposed) else name
    number = 1
    while free in found or (free != ref and free in run.refs) or run.sources.get(free, source) != source:
        number += 1
        free = f"{name[: name.rindex('/') + 90]}-{number}"
    run.sources[free] = source
    return free


def _is_about_another(ref: str) -> bool:
    """Whether it would be an endorsement, a refusal, or of a rotation; the rules say what is wrong with it."""
    return (queue.is_ref(ref) and not PROPOSAL_REF.fullmatch(ref)) or rotations.is_ref(ref)


def _signed(view: Place, oid: str) -> str:
    """Why `oid` is no proposal, as far as the signature tells: empty where a key of the ledger made it.

    Whose key it is counts once the signature is verified: anyone writes a key beside what it did not sign.
    """
    try:
        commit = Commit.parse(view.store.read(oid, "commit"))
    except LedgerError:
        return NO_COMMIT
    if taking.calls_itself_snapshot(commit):
        return SNAPSHOT
    if not commit.signature.startswith(_SSH):
        return NOT_SIGNED
    try:
        signature = sshsig.parse(commit.signature, take_certificate=True)
    except LedgerError:
        return NOT_SIGNED
    try:
        sshsig.verify(signature, commit.payload, NAMESPACE)
    except LedgerError:
        return FORGED
    keys = (signature.key, *((signature.certificate.signer,) if signature.certificate else ()))  # a node's first work
    return "" if any(view.verified.state.record(key.key_id) for key in keys) else NO_DOMAIN


@dataclass(slots=True)
class _Look:
    """Looks into what is signed, as long as it is not over. `stands` says of commits whether they lead to the ledger.

    Members hear from the rules what is wrong with a proposal; of strangers, only so many are looked into that might
    register a domain.
    """

    view: Place
    ends: float
    stands: dict[str, bool] = field(default_factory=dict)
    strangers: int = 0

    def is_over(self) -> bool:
        return time.monotonic() > self.ends

    def into(self, ref: str, oid: str, why: str, *, room: bool) -> str | None:
        """Why `oid` is no proposal of this ledger, where `why` was so far; empty: it may be one; None: no time left."""
        if why not in ("", NO_DOMAIN):
            return why
        if not room or self.is_over() or self.strangers == taking.JUDGED_REFS:
            return None
        if _is_about_another(ref):
            return ""
        stands = self._stands_here(oid, 0 if why else _DEEPEST)
        if stands is None:
            return None
        if not why:
            return "" if stands else ELSEWHERE
        self.strangers += stands
        return "" if stands and taking.registers(self.view, oid) else NO_DOMAIN

    def _stands_here(self, oid: str, deeper: int) -> bool | None:
        """Whether its first parents lead to this ledger, so much `deeper` as a line may be long; None: no time left."""
        state = self.view.verified.state
        passed: list[str] = []
        for _ in range(state.number + state.policy.limits.pending_per_domain + deeper):
            if self.is_over():
                return None
            oid = self._base(oid)
            if not oid or oid in self.stands or self._is_ours(oid):
                stands = bool(oid) and self.stands.get(oid, True)
                if len(self.stands) < _VISITED:
                    self.stands.update(dict.fromkeys(passed, stands))
                return stands
            passed.append(oid)
        return False  # which says nothing of what it stands on

    def _base(self, oid: str) -> str:
        """Its first parent; empty where it has none that can be read."""
        try:
            parents = Commit.parse(self.view.store.read(oid, "commit")).parents
        except LedgerError:
            return ""
        return parents[0] if parents else ""

    def _is_ours(self, oid: str) -> bool:
        """Whether `oid` is a snapshot, or a proposal that is known to be accepted."""
        line = self.view.verified.state.line
        try:
            return line.found(oid) is not None or line.snapshot(self.view.store, oid) is not None
        except LedgerError:
            return False


# 4. Take


def _take(run: _Run, brought: Brought, now: int) -> None:
    came_from = {oid: ref for ref, oid in run.refs.items()}
    for item in taking.take(run.place, brought, now) if brought.refs else ():
        run.tell(came_from[item.oid], item.oid, item)


# What is remembered


def _remembered(place: Place) -> dict[str, _Verdict]:
    """What became of what was looked at before, by object id. A damaged note is as none: more is looked at again."""
    return {oid: _Verdict(*said) for oid, said in (COLLECTED.read(place.directory) or {}).items()}


def _sources(place: Place) -> dict[str, str]:
    """Where what waits was collected. A damaged note is as none: of two remotes, the later may replace the earlier."""
    return _waiting(place, COLLECTED_FROM.read(place.directory) or {})


def _waiting(place: Place, sources: Mapping[str, str]) -> dict[str, str]:
    waiting = place.queue_refs()
    return {ref: source for ref, source in sources.items() if ref in waiting}


def _remember(place: Place, memory: Mapping[str, _Verdict]) -> None:
    kept = list(memory.items())[-REMEMBERED:]
    COLLECTED.write(place.directory, {oid: (verdict.outcome, verdict.at) for oid, verdict in kept})
