"""Proposals are collected from a host that runs no hooks: a forge, with its forks and pull requests (spec 12).

What is there is asked first and counted, fetched by name into a quarantine, and taken as what a carrier brings
(`taking.py`). A forge has thousands of branches that are no proposals: such a one is told from its commit and its key,
is left, and is not fetched again. What can't be fetched, because the server or whoever pushed it made it so, is parted
from the rest by halves, and keeps nothing else away.

What became of each object id is remembered in `gitledger/collected.json`, so that a scheduled job tells it once. What
the ledger decides is looked at again once the ledger has moved.
"""

from __future__ import annotations

import heapq
import json
import re
import resource
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gitledger.errors import Failed, LedgerError, Malformed, Refused, Unreachable, Usage
from gitledger.exchange import quarantine, remotes
from gitledger.exchange.quarantine import Beside, Brought, Quarantine
from gitledger.objects.codec import Commit
from gitledger.objects.store import Store
from gitledger.roles import taking
from gitledger.roles.offering import Item
from gitledger.roles.place import Place, write_durably
from gitledger.rules import queue, rotations
from gitledger.rules.queue import PROPOSAL_REF
from gitledger.signing import sshsig

COLLECT_REFS: Final = 10_000
"""How many refs are fetched in one run, the newest first; the next run goes on."""

COLLECT_PROPOSALS: Final = 1_000
"""How many of them are judged in one run: those that a key of the ledger signed, or that register a domain."""

COLLECT_BYTES: Final = 1 << 30
"""How many bytes are fetched in one run."""

COLLECT_SECONDS: Final = 900
"""How long a run goes on fetching, in seconds."""

REMEMBERED: Final = 50_000
"""Of how many objects it is remembered what became of them."""

_PORTION: Final = 500
_FILE: Final = "collected.json"
_REFSPEC = re.compile(r"refs/[A-Za-z0-9._/+=@,%-]*\*?[A-Za-z0-9._/+=@,%-]*")
_SSH: Final = b"-----BEGIN SSH SIGNATURE-----"
_JUNK = re.compile(r"[^A-Za-z0-9._-]+")

NO_COMMIT: Final = "no commit"
NOT_SIGNED: Final = "not signed with an SSH key, as a proposal is"
NO_DOMAIN: Final = "signed with a key that no domain has"
ELSEWHERE: Final = "on no snapshot of this ledger"
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
    """A run, as far as it has come. `refs` are those that are new, by name there."""

    place: Place
    remote: str
    memory: dict[str, _Verdict]
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
    run = _Run(place, _address(place, remote), _remembered(place))
    with quarantine.opened(place.directory, place.store) as inside:
        _ask(run, refspecs, patterns)
        _fetch(run, inside)
        objects = Beside(place.store, inside)
        _drop(run, [ref for ref, oid in run.refs.items() if not objects.has(oid)])  # moved there since, or cut off
        _take(run, Brought(_candidates(run, objects), objects, inside), now)
    _remember(place, run.memory)
    left = {why: tuple(refs) for why, refs in run.left.items()}
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

    def is_known(oid: str) -> bool:
        verdict = run.memory.get(oid)
        if verdict is not None and (not verdict.at or (verdict.outcome == LEFT and verdict.at == newest.hash)):
            return True
        return oid in waiting or _is_ours(run.place, oid)

    def hear(ref: str, oid: str) -> None:
        if not any(pattern.fullmatch(ref) for pattern in patterns) or ref == run.place.branch:
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
    once = {oid: ref for _, ref, oid in sorted(heap)}
    run.known += len(heap) - len(once)
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
            with _at_most(room):
                remotes.bring(objects, run.remote, portion, seconds=seconds)
            came = True
        except LedgerError as error:
            full = _is_full(inside, room)
            if not (full or isinstance(error, (Refused, Malformed, Unreachable))):
                raise
            if error.rule == remotes.STALLED:
                _drop(run, portion)
                silent = error
            elif len(portion) > 1:
                half = len(portion) // 2
                portions += [portion[half:], portion[:half]]
            else:
                silent = error if isinstance(error, Unreachable) else silent
                _broken(run, portion[0], _too_much() if full else error, whole=room == COLLECT_BYTES)
    if silent is not None and not came:
        raise silent


def _broken(run: _Run, ref: str, error: LedgerError, *, whole: bool) -> None:
    """One ref that can't be fetched: for good where its objects are what is wrong with it."""
    oid = run.refs.pop(ref)
    if isinstance(error, Unreachable) or (error.rule == remotes.TOO_MUCH and not whole):
        run.later += 1
        return
    run.tell(ref, oid, Item(ref, "refused", f"{error}", oid), for_good=True)


def _too_much() -> Refused:
    return Refused(remotes.TOO_MUCH, f"it brings more than {COLLECT_BYTES >> 20:,} MiB")


def _is_full(inside: Quarantine, room: int) -> bool:
    """Whether a fetch ended because what it wrote came to `room` bytes: the system stops at the last block of 512."""
    halves = (inside.git_dir / "objects" / "pack").glob("tmp_*")
    return any(half.stat().st_size > room - 1024 for half in halves)


def _drop(run: _Run, refs: Sequence[str]) -> None:
    """Leave `refs` to the next run."""
    for ref in refs:
        del run.refs[ref]
    run.later += len(refs)


def _bytes(inside: Quarantine) -> int:
    """How many bytes are in quarantine; what a fetch that failed has left goes first."""
    pack = inside.git_dir / "objects" / "pack"
    for half in pack.glob("tmp_*"):
        half.unlink()
    return sum(path.stat().st_size for path in pack.iterdir())


@contextmanager
def _at_most(most: int) -> Iterator[None]:
    """Hold each file that git writes to `most` bytes: a pack is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    if soft == resource.RLIM_INFINITY or most < soft:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


# 3. Tell what is a proposal from what is none


def _candidates(run: _Run, objects: Store) -> dict[str, str]:
    """What of the refs may be taken, by the name under which it is; what is no proposal is left."""
    view = Place(objects, run.place.role, run.place.anchor, run.place.name)
    found: dict[str, str] = {}
    for ref, oid in list(run.refs.items()):
        if why := _ordinary(view, ref, oid):
            run.leave(ref, oid, why)
            del run.refs[ref]
        elif len(found) == COLLECT_PROPOSALS:
            _drop(run, [ref])
        elif (name := _named(ref)) in found:
            again = Item(ref, "refused", f"another ref there would have the name {name.removeprefix('refs/heads/')}")
            run.tell(ref, oid, again)
            del run.refs[ref]
        else:
            found[name] = oid
    return dict(reversed(found.items()))  # what came first is taken first


def _named(ref: str) -> str:
    """What a ref is called here: refs/pull/7/head is pull-7; what is in the table of spec 2 keeps its name."""
    if ref.startswith("refs/heads/") or queue.is_ref(ref) or rotations.is_ref(ref):
        return ref
    return "refs/heads/" + _JUNK.sub("-", ref.removeprefix("refs/").removesuffix("/head"))


def _ordinary(view: Place, ref: str, oid: str) -> str:
    """Why `oid` is no proposal of this ledger, in a few words; empty where it may be one.

    Who has a key of the ledger hears from the rules what is wrong with a proposal; everybody else is left alone.
    """
    if (queue.is_ref(ref) and not PROPOSAL_REF.fullmatch(ref)) or rotations.is_ref(ref):
        return ""
    try:
        commit = Commit.parse(view.store.read(oid, "commit"))
    except LedgerError:
        return NO_COMMIT
    try:
        if not commit.signature.startswith(_SSH):
            return NOT_SIGNED
        key = sshsig.parse(commit.signature).key
        domain = view.verified.state.record(key.key_id)
    except LedgerError:
        return NOT_SIGNED
    if domain is not None:
        return "" if _stands_here(view, commit) else ELSEWHERE
    return "" if taking.registers(view, oid) else NO_DOMAIN


def _stands_here(view: Place, commit: Commit) -> bool:
    """Whether its first parents lead to this ledger, as far down as a line may be long."""
    state = view.verified.state
    for _ in range(state.number + state.policy.limits.pending_per_domain):
        if not commit.parents:
            return False
        base = commit.parents[0]
        try:
            if state.line.found(base) is not None or state.line.snapshot(view.store, base) is not None:
                return True
            commit = Commit.parse(view.store.read(base, "commit"))
        except LedgerError:
            return False
    return False


# 4. Take


def _take(run: _Run, brought: Brought, now: int) -> None:
    came_from = {oid: ref for ref, oid in run.refs.items()}
    for item in taking.take(run.place, brought, now) if brought.refs else ():
        run.tell(came_from[item.oid], item.oid, item)


# What is remembered


def _remembered(place: Place) -> dict[str, _Verdict]:
    """What became of what was looked at before, by object id. A damaged note is as none: more is looked at again."""
    try:
        said = json.loads((place.directory / _FILE).read_bytes())
        return {str(oid): _Verdict(str(outcome), str(at)) for oid, (outcome, at) in said.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def _remember(place: Place, memory: Mapping[str, _Verdict]) -> None:
    kept = list(memory.items())[-REMEMBERED:]
    try:
        text = json.dumps({oid: (verdict.outcome, verdict.at) for oid, verdict in kept}) + "\n"
        write_durably(place.directory / _FILE, text)
    except OSError as error:
        raise Failed("not-remembered", f"{place.directory}/{_FILE} can't be written: {error.strerror}") from None
