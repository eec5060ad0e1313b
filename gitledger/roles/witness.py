"""The witness: takes what waits in order, numbers it, signs it, refuses what can't be (spec 9, Order).

One snapshot a proposal, one atomic push. What was signed is in the journal before it is pushed, and what an earlier
run signed and did not publish is published first, byte for byte. Whom a quorum has named as the next witness begins
with the seal of that rotation (spec 8); while one waits for another, an honest witness signs nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from gitledger.errors import Fork, LedgerError, Refused
from gitledger.exchange import quarantine, remotes
from gitledger.objects.codec import Commit, Ident, digest, sign_commit
from gitledger.objects.packing import Packing
from gitledger.objects.store import Store
from gitledger.roles import hold, upkeep
from gitledger.roles.consumer import FetchReport
from gitledger.roles.journal import Emitted, Journal
from gitledger.roles.place import Place, Progress, silent
from gitledger.rules import queue, refusal, rotations, snapshot, succession
from gitledger.rules.advance import advance, ancestor, pinned
from gitledger.rules.entry import Entry
from gitledger.rules.proposal import NAMESPACE, Proposal
from gitledger.rules.queue import Queue, Verdict
from gitledger.rules.rotations import Drafted, Rotations
from gitledger.rules.state import Snapshot, State
from gitledger.rules.succession import Succession
from gitledger.rules.support import Support
from gitledger.rules.transition import Transition
from gitledger.signing.signers import Signer


@dataclass(frozen=True, slots=True)
class Superseded:
    """What was signed here as snapshot `number` and the next ones, up to the commit `tip`, and never published.

    Another witness makes that number. `kept` is the file where what was signed here is kept; None while it is planned.
    """

    number: int
    tip: str
    kept: Path | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What an emission now would do: publish `unpublished` again, seal `sealing`, then number, let wait and refuse.

    `newest` is the snapshot that it begins on, `queue` what the `verdicts` are on. `superseded` will never be
    published, because another witness made that number.
    """

    newest: Snapshot
    unpublished: tuple[Snapshot, ...]
    verdicts: tuple[Verdict, ...]
    queue: Queue
    sealing: Drafted | None = None
    superseded: Superseded | None = None

    @property
    def unreadable(self) -> Mapping[str, LedgerError]:
        """The refs that hold no line, with the reason."""
        return self.queue.unreadable

    @property
    def ready(self) -> tuple[Verdict, ...]:
        return tuple(verdict for verdict in self.verdicts if verdict.ready)

    @property
    def waiting(self) -> tuple[Verdict, ...]:
        return tuple(verdict for verdict in self.verdicts if verdict.waits)

    @property
    def refused(self) -> tuple[Verdict, ...]:
        return tuple(verdict for verdict in self.verdicts if not verdict.ready and not verdict.waits)

    @property
    def published(self) -> tuple[str, ...]:
        """The names of the snapshots that it publishes, in their order."""
        name, seals = self.newest.state.name, int(self.sealing is not None)
        numbered = range(self.newest.number + 1, self.newest.number + 1 + seals + len(self.ready))
        return (*(one.name for one in self.unpublished), *(f"{name}@{number}" for number in numbered))


def plan(
    place: Place,
    key_id: str | None = None,
    *,
    remote: str = "origin",
    first_here: bool = False,
    only: Sequence[str] | None = None,
    now: int | None = None,
) -> Plan:
    """What an emission with the key `key_id` would do with the queue as it was last fetched; nothing is signed.

    Without a key it is the present witness's. `only` are oids of proposals: nothing else is taken, but what they stand
    on; None takes all. `now` is this machine's clock, in seconds. Raises what `emit` raises.
    """
    journal = Journal.of(place.anchor)
    begun = _begin(place, journal, key_id, remote=remote, first_here=first_here, now=now)
    waiting = _chosen(begun.newest.state, place, only, remote)
    state = begun.newest.state if begun.sealing is None else _seal(begun.newest, begun.sealing).after
    seconds = begun.newest.next_seconds(int(time.time()) if now is None else now)
    return begun.plan(tuple(_undecided(waiting, state, seconds)), waiting)


def emit(
    place: Place,
    signer: Signer,
    seconds: int,
    *,
    remote: str = "origin",
    first_here: bool = False,
    only: Sequence[str] | None = None,
    now: int | None = None,
    progress: Progress = silent,
) -> Plan:
    """Emit all that is ready, dated `seconds`, and return what was done.

    The queue is taken as it was last fetched; `only` and `now` are as in `plan`. A complete rotation to the signer's
    key is sealed before all else. Raises Refused (`not-the-witness`, `first-here`, `host-forgot`; `rotation-waits`,
    `frozen` before anything is signed), Fork where the line holds another snapshot by a key that signed one here, and
    what the host refuses.
    """
    journal = Journal.of(place.anchor)
    with journal.locked():
        if (known := _published(place, journal)) is not None:
            journal.published(known)
        begun = _begin(place, journal, signer.key.key_id, remote=remote, first_here=first_here, now=now)
        begun = begun.settled(journal)
        if not begun.unpublished:
            begun.newest.state.must_be_known_format()
        waiting = _chosen(begun.newest.state, place, only, remote)
        with _workshop(place) as writing:
            newest = pinned(writing, begun.newest.oid, begun.newest.hash)
            emission = _Emission(writing, newest, signer, seconds, progress)
            if begun.sealing is not None:
                emission.seal(begun.sealing)
            done = begun.plan(tuple(emission.play(waiting)), waiting)
            repository = writing.flush()
            tip = emission.newest
            updates = {f"refs/refusals/{oid}": tag for oid, tag in emission.refusals.items()}
            if tip.oid != place.verified.oid:
                journal.keep(repository, place.verified, tip)
                updates[place.branch] = tip.oid
            if updates:
                remotes.push(repository, place.remote(remote), updates, atomic=True)
            elif place.role == "host":  # no hook runs that would finish what a killed one has left
                upkeep.settle(Place.of(Store.open(place.store.git_dir, durable=True)), int(time.time()))
        journal.published(tip)
        if place.role == "clone":
            place.advanced(tip)
    return done


def must_be_current(report: FetchReport) -> None:
    """Raise unless the clone knows every snapshot that the host has, and no more: else a number could be signed twice.

    Raises Unreachable (`stale`), Refused (`behind`) where a snapshot waits because it is dated ahead of this clock.
    """
    report.must_not_be_stale()
    if report.ahead is not None:
        name, _ = report.ahead
        raise Refused(
            "behind",
            f"the host has {name}, which is dated more than a day ahead of this clock and waits here",
            "set this machine's clock, then again",
        )


def may_emit(place: Place, key_id: str, remote: str = "origin") -> bool:
    """Whether the next snapshot may be by this key: the witness's, or one that a complete rotation names."""
    witness = place.verified.state.witness
    return key_id == witness.pubkey_id or _rotations(place, remote).to(key_id) is not None


@dataclass(frozen=True, slots=True)
class _Begun:
    """What comes before the queue: what is published again, and what is sealed on `newest`; never both."""

    newest: Snapshot
    unpublished: tuple[Snapshot, ...]
    sealing: Drafted | None
    superseded: Superseded | None

    def plan(self, verdicts: tuple[Verdict, ...], waiting: Queue) -> Plan:
        return Plan(self.newest, self.unpublished, verdicts, waiting, self.sealing, self.superseded)

    def settled(self, journal: Journal) -> _Begun:
        """The same once what was superseded has left the way of what is signed next."""
        if self.superseded is None:
            return self
        kept = journal.set_aside(self.superseded.number, self.superseded.tip)
        return replace(self, superseded=replace(self.superseded, kept=kept))


def _begin(
    place: Place, journal: Journal, key_id: str | None, *, remote: str, first_here: bool, now: int | None
) -> _Begun:
    """See that the key `key_id` may emit now, and what it begins with."""
    unpublished, superseded = _unpublished(place, journal)
    waiting = _rotations(place, remote)
    sealing = waiting.to(key_id) if key_id else None
    if sealing is not None and unpublished:
        if unpublished[0].entry.witness_key == key_id:
            sealing = None  # it would be a second snapshot of that number by this key
        else:  # what another key signed here, and nobody has seen, gives way to the quorum
            superseded, unpublished = Superseded(unpublished[0].number, unpublished[-1].oid), ()
    newest = unpublished[-1] if unpublished else place.verified
    if key_id is not None and sealing is None:
        _must_be_witness(newest.state, key_id, waiting)
    if sealing is None or not _is_new(key_id, place.verified.state, journal.last):
        _must_be_first(place, journal.last, first_here or bool(unpublished) or _published(place, journal) is not None)
    if sealing is None and not (unpublished and unpublished[0].entry.rotation):
        _must_be_free(place, unpublished, now)
    return _Begun(newest, unpublished, sealing, superseded)


def _is_new(key_id: str | None, state: State, last: Emitted | None) -> bool:
    """Whether what this key seals is the first that it signs: nobody else has the right of a witness to come."""
    return key_id != state.witness.pubkey_id and (last is None or last.key != key_id)


def _must_be_free(place: Place, unpublished: tuple[Snapshot, ...], now: int | None) -> None:
    """Raise Refused (`rotation-waits`, `frozen`) where only the seal of a rotation may be emitted."""
    clock = int(time.time()) if now is None else now
    try:
        hold.must_be_free(place, clock)
    except Refused as error:
        if unpublished:
            error.what += f"; {unpublished[0].name} was signed here before that, and is kept as it is"
            error.mend = "wait until then; the quorum may also rotate to another key"
        raise


def _rotations(place: Place, remote: str) -> Rotations:
    return rotations.read(place.verified, place.rotation_refs(remote))


def _seal(newest: Snapshot, waiting: Drafted) -> Succession:
    content = waiting.artifact
    return succession.seal(newest, digest(content), content)


def _must_be_witness(state: State, key_id: str, waiting: Rotations) -> None:
    """Raise Refused (`not-the-witness`) unless `key_id` is the witness's of `state`; a rotation to it is named."""
    witness = state.witness
    if key_id == witness.pubkey_id:
        return
    said = (
        f"the witness of {state.name} is {witness.domain_id} with {witness.pubkey_id}, since {witness.since}; "
        f"this key is {key_id}"
    )
    for one in waiting.waiting:
        if one.new[1] == key_id and not one.stale:
            lack, among = one.missing
            raise Refused(
                "not-the-witness",
                f"{said}; the rotation to it on {one.on.name} lacks {lack} more endorsement{'s' * (lack > 1)} "
                f"of {', '.join(among)}",
                f"gitledger endorse {one.hash[:12]}   (by them), then again",
            )
    raise Refused(
        "not-the-witness",
        said,
        "sign with the witness's key (--key), or leave it to the witness: proposals wait as long as they must",
    )


@contextmanager
def _workshop(place: Place) -> Iterator[Packing]:
    """What an emission writes with; it pushes from the repository where that comes.

    In a clone it is the clone. On a host it is a quarantine: what is pushed from there comes to disk as from anybody
    (spec 11), and what is refused leaves nothing.
    """
    if place.role == "clone":
        yield Packing(place.store, place.store)
        return
    with quarantine.opened(place.directory, place.store, "emitting") as inside:
        yield Packing(quarantine.Beside(place.store, inside), inside)


class _Emission:
    """One run: the newest snapshot, and the refusals that were signed."""

    def __init__(self, store: Packing, newest: Snapshot, signer: Signer, seconds: int, progress: Progress) -> None:
        self.store = store
        self.newest = newest
        self.signer = signer
        self.seconds = newest.next_seconds(seconds)
        self.progress = progress
        self.refusals: dict[str, str] = {}

    def seal(self, waiting: Drafted) -> None:
        """Seal a rotation to the signer, who is the witness from there on (spec 8)."""
        sealed = _seal(self.newest, waiting)
        self.sign(snapshot.rotating(self.newest, sealed, self.seconds), sealed.after)

    def play(self, waiting: Queue) -> list[Verdict]:
        """Number what is ready and sign a receipt for what is refused."""
        total = len(waiting.proposals)
        verdicts: list[Verdict] = []
        for verdict in _undecided(waiting, self.newest.state, self.seconds, self.accept):
            verdicts.append(verdict)
            self.progress(len(verdicts), total)
        for verdict in verdicts:
            if verdict.error is not None and not verdict.waits:
                self.refusals[verdict.proposal.oid] = self.refuse(verdict.proposal, verdict.error)
        return verdicts

    def accept(self, transition: Transition, support: Support) -> State:
        self.sign(snapshot.accepting(self.newest, transition, support, self.seconds), transition.after)
        return self.newest.state

    def sign(self, payload: bytes, after: State) -> None:
        """Sign `payload` as the next snapshot, whose state is `after`, and go through the door with it."""
        store = self.store
        after.tree.write(store.write)
        oid = store.write("commit", sign_commit(payload, self.signer.sign(payload, NAMESPACE)))
        self.newest = advance(self.newest, oid)

    def refuse(self, proposal: Proposal, error: LedgerError) -> str:
        state = self.newest.state
        domain = state.witness.domain_id
        tagger = Ident(domain, f"{domain}@{state.name}", self.seconds, "+0000")
        payload = refusal.refuse(proposal, state.snapshot_name, error, tagger)
        return self.store.write("tag", payload + self.signer.sign(payload, NAMESPACE))


def _undecided(waiting: Queue, state: State, seconds: int, accept: queue.Accept = queue.suppose) -> Iterator[Verdict]:
    """The verdicts on what has no receipt yet, each as its turn comes."""
    verdicts = queue.decide(state, waiting, seconds, accept)
    return (verdict for verdict in verdicts if verdict.proposal.oid not in waiting.decided)


def _chosen(state: State, place: Place, only: Sequence[str] | None, remote: str) -> Queue:
    waiting = queue.read(state, place.queue_refs(remote))
    if only is None:
        return waiting
    proposals = waiting.proposals
    wanted: set[str] = set()
    for oid in only:
        if oid not in proposals:
            raise Refused("not-waiting", f"no proposal {oid} waits", "gitledger proposals lists those that do")
        needed: Proposal | None = proposals[oid]
        while needed is not None:
            wanted.add(needed.oid)
            needed = proposals.get(needed.base)
    lines = {ref: tuple(one for one in line if one.oid in wanted) for ref, line in waiting.lines.items()}
    return Queue(lines, waiting.support, waiting.decided, waiting.unreadable)


def _must_be_first(place: Place, last: Emitted | None, first_here: bool) -> None:
    """No number may be signed twice: this machine knows what it signed, or somebody says that it is the first."""
    verified = place.verified
    if last is None:
        if first_here:
            return
        raise Refused(
            "first-here",
            f"this machine has never emitted for {place.name}; another one may hold a signed "
            f"{place.name}@{verified.number + 1} that is not published yet, and two of one number are a fork",
            "make sure that no other machine does, then: gitledger emit --first-here",
        )
    parted = _parted(verified.state, last)
    if parted is not None:
        _must_be_by_another(place.store, verified, parted, last)
        return
    if last.number > verified.number:
        raise Refused(
            "host-forgot",
            f"this machine published {place.name}@{last.number}, and the host's newest is {verified.name}: "
            "it lost snapshots that consumers may hold",
            f"push them back from a clone that has them: git push HOST {place.branch}",
        )
    row = verified.state.line.row(place.store, last.number)
    if row.snapshot != last.oid:
        _must_be_by_another(place.store, verified, last.number, last)


def _parted(state: State, last: Emitted) -> int | None:
    """The first number at which a rotation shows that the line of `state` is not the one that `last` was signed on.

    It is the seal that made the key of `last` the witness, where the line has another snapshot there; or a seal since.
    None where no rotation shows it.
    """
    seals = {number: one.rotation.new_witness.pubkey_id for number, _, one in rotations.sealed(state)}
    if last.since and last.since <= state.number and seals.get(last.since) != last.key:
        return last.since
    return next((number for number in sorted(seals) if last.since < number <= last.number), None)


def _must_be_by_another(store: Store, verified: Snapshot, number: int, last: Emitted) -> None:
    """Raise Fork where snapshot `number` of the line is by the key that signed another line here.

    By another key it is no fault of this machine: the authorities have rotated, or a reader has changed sides.
    """
    found = verified.state.line.row(store, number).snapshot
    if _said(store, found).witness_key == last.key:
        name = verified.state.name
        raise Fork(
            "fork",
            f"this machine signed {name}@{last.number} as {last.oid}, on another line than the one that has {found} "
            f"as {name}@{number}, by the same key",
            "somebody else signs with the witness's key: the authorities must rotate the witness",
        )


def _unpublished(place: Place, journal: Journal) -> tuple[tuple[Snapshot, ...], Superseded | None]:
    """The snapshots that an earlier run signed and perhaps did not publish, beyond the newest published one.

    Where the line has another witness's snapshots in their place, they are superseded instead.
    """
    store, newest = place.store, place.verified
    tip = journal.pending(store)
    if tip is None:
        return (), None
    signed: list[str] = []
    above = tip
    while newest.state.line.snapshot(store, above) is None:
        signed.append(above)
        commit = Commit.parse(store.read(above, "commit"))
        if not commit.parents:
            break
        above = commit.parents[0]
    if above == newest.oid:
        found = [newest]
        for oid in reversed(signed):
            found.append(advance(found[-1], oid))
        return tuple(found[1:]), None
    if not signed:
        return (), None  # published after all, and more since
    return (), _superseded(place, tip, signed[-1])


def _published(place: Place, journal: Journal) -> Snapshot | None:
    """The snapshot that an earlier run signed last, where it was published before that run could note it."""
    tip = journal.pending(place.store)
    row = place.verified.state.line.snapshot(place.store, tip) if tip else None
    return None if row is None else ancestor(place.verified, row.number)


def _superseded(place: Place, tip: str, first: str) -> Superseded:
    """What was signed here, from the commit `first` to `tip`, where the line has another snapshot in its place."""
    store, newest = place.store, place.verified
    said = _said(store, first)
    there = newest.state.line.row(store, said.number).snapshot
    if _said(store, there).witness_key == said.witness_key:
        raise Fork(
            "fork",
            f"this machine signed {said.snapshot} as {first}, the ledger has {there}, by the same key",
            "the ledger went on without it: compare the two with git log, and have the authorities decide;\n"
            "if nobody ever saw what was signed here: mv ~/.local/state/gitledger/*/pending.bundle ELSEWHERE",
        )
    return Superseded(said.number, tip)


def _said(store: Store, oid: str) -> Entry:
    """What the snapshot commit `oid` says."""
    return Entry.parse(Commit.parse(store.read(oid, "commit")).message)
