"""The consumer: keeps an anchor and a verified snapshot, and lets nothing else move what it stands on (spec 10).

Fetched refs land apart, under `refs/gitledger/incoming/`; the branch and the tags follow only after `advance`. HEAD is
detached at the pin and moves only when told to. An anchor proves a line, not the newest, so a first fetch may name a
recent snapshot and its hash, too. What does not descend from the verified snapshot never replaces it:

    an older snapshot of the same line         a stale mirror: says so, stays
    dated more than a day ahead of the clock   waits, says so; no verdict
    two valid snapshots on one previous        a fork: keeps both and the evidence, stays (`foreign.py`)
    invalid, and signed by a witness           refused, and kept as a proof of misconduct
    anything else that is invalid              refused, under no ref; what is valid before it is kept

A consumer may name several mirrors. Each is asked in turn, and what is valid of what it has is taken; the queue comes
from origin alone, which is the host.
"""

from __future__ import annotations

import shlex
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from gitledger.documents.certificate import Record
from gitledger.documents.names import SnapshotName, check_digest, check_domain
from gitledger.errors import Failed, Fork, LedgerError, Malformed, Refused, Unreachable, Unsound, Usage
from gitledger.exchange import layout, remotes
from gitledger.exchange.remotes import Watch
from gitledger.objects.codec import Commit, digest
from gitledger.objects.store import Store
from gitledger.roles import ascent
from gitledger.roles.notes import FETCHED, write_durably
from gitledger.roles.place import INCOMING, Place, Progress, silent
from gitledger.rules import queue, rotations
from gitledger.rules.advance import advance, ancestor, genesis
from gitledger.rules.entry import Entry
from gitledger.rules.state import Snapshot

if TYPE_CHECKING:
    from gitledger.roles.offering import Item

QUEUE_LIMIT: Final = 10_000
"""How many refs of its queue are fetched from a remote; what it has beyond is left there, of each domain alike."""

_SENTENCE: Final = 400
_TRIES: Final = 3
ORIGIN: Final = "origin"
"""The remote that a clone was made from: the host, which has the queue."""

_OF_REMOTE: Final = ("shallow-remote", "symbolic-branch")
"""What is unsound at a remote, and not here."""

_PEEKED: Final = "refs/gitledger/peeked"


@dataclass(frozen=True, slots=True)
class FetchReport:
    """What a fetch from `remote` did: `place` is as it stands now, `before` the number that was verified before.

    `stale` is the newest number that the remote has where that is older than what is verified here (exit status 4);
    `ahead` the first snapshot that waits because it is dated more than a day ahead of this clock, by name and committer
    seconds. `left` counts the refs of the queue beyond `QUEUE_LIMIT` by domain, `queue_error` says why the queue did
    not come. `replaced` are the proposals kept here that gave way to others on the host.
    """

    place: Place
    remote: str
    before: int
    stale: int | None = None
    ahead: tuple[str, int] | None = None
    left: Mapping[str, int] = field(default_factory=dict)
    queue_error: LedgerError | None = None
    replaced: tuple[Item, ...] = ()

    @property
    def after(self) -> int:
        """The number that is verified now."""
        return self.place.verified.number

    def must_not_be_stale(self) -> None:
        """Raise Unreachable (`stale`) where the remote has less than is verified here."""
        if self.stale is not None:
            raise Unreachable(
                "stale",
                f"{self.remote} is stale: its newest is {self.place.name}@{self.stale}, and "
                f"{self.place.verified.name} is verified here, which stays",
                "fetch from another mirror, or wait until this one has caught up",
            )


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of asking one of several remotes: `report` where it was taken, else `error`.

    `number` is the newest that it has on the verified line; None where it has none, or one that waits, dated ahead.
    """

    remote: str
    standing: Literal["good", "stale", "forked", "refused", "unreachable"]
    number: int | None = None
    report: FetchReport | None = None
    error: LedgerError | None = None


@dataclass(frozen=True, slots=True)
class Round:
    """What a fetch from several remotes did, origin first: `place` is as it stands now, `before` the number before."""

    place: Place
    before: int
    answers: tuple[Answer, ...]

    @property
    def after(self) -> int:
        """The number that is verified now."""
        return self.place.verified.number

    def standing(self, standing: str) -> tuple[Answer, ...]:
        """The answers of that standing."""
        return tuple(one for one in self.answers if one.standing == standing)

    def must_be_good(self) -> None:
        """Raise what stands in the way of relying on it, the first that there is.

        A fork; where no remote has what is verified here, what is wrong with one that lied, else Unreachable
        (`none-good`).
        """
        self._raise("forked")
        if self.standing("good"):
            return
        self._raise("refused")
        stale, silent = (len(self.standing(one)) for one in ("stale", "unreachable"))
        raise Unreachable(
            "none-good",
            f"no remote has {self.place.verified.name}, which is verified here and stays: {stale} stale, {silent} "
            "unreachable",
            "gitledger mirror add NAME URL   (names another)",
        )

    def must_all_answer(self) -> None:
        """Raise for a fork, for a remote that lied, for one that does not answer, in this order."""
        self._raise("forked")
        self._raise("refused")
        self._raise("unreachable")

    def _raise(self, standing: str) -> None:
        for one in self.standing(standing):
            if one.error is not None:
                one.error.subject = f"{one.remote}, {one.error.subject}" if one.error.subject else one.remote
                raise one.error


@dataclass(frozen=True, slots=True)
class _Offer:
    """What was fetched: the newest commit of the branch, and what came of the queue."""

    tip: str
    left: Mapping[str, int]
    queue_error: LedgerError | None


def clone(
    url: str,
    directory: Path,
    anchor: str,
    *,
    known: tuple[str, str] | None = None,
    domain: str | None = None,
    progress: Progress = silent,
    now: int | None = None,
    watch: Watch | None = None,
) -> Place:
    """A verified clone in `directory` of the ledger at `url`, whose id must be `anchor`, `sha256:…`.

    `known` is a recent snapshot name and its hash, which the line must pass through. `domain` also sets Git up so that
    `git push` of a branch `<domain>/<topic>` proposes it. `now` are the seconds on the clock (None: this machine's);
    `watch` is called with each line of git's progress. The checkout is detached at the newest verified snapshot.

    The clone appears whole or not at all. Raises Usage, Unreachable (`older-than-known`, too), Refused (`wrong-anchor`,
    `no-ledger`, `known-differs`), and what `advance` raises for an invalid snapshot.
    """
    from gitledger.roles import draft

    check_digest(anchor)
    through = None if known is None else (SnapshotName.parse(known[0]), check_digest(known[1]))
    if domain is not None:
        check_domain(domain)
    with draft.beside(directory) as where:
        draft.init(where, "unborn", bare=False)
        store = Store.open(where)
        layout.configure(store.git_dir, [(f"remote.{ORIGIN}.url", _address(url))])
        name = _ledger_name(remotes.advertised(store, ORIGIN), url)
        proposer = layout.proposer_config(domain) if domain else ()
        layout.configure(store.git_dir, (*layout.clone_config(name), *proposer))
        place = Place(store, "clone", anchor, name)
        place = _verify_first(place, _collect(place, ORIGIN, watch=watch).tip, through, progress, now)
        _copy_schemas(place)
        layout.install_hooks(store.git_dir, role="clone", name=name)
        _check_out(store, place.verified.oid, "name another DIR, where there is room and such names can be")
        place.establish()
    git_dir = directory.resolve() / ".git"
    layout.install_hooks(git_dir, role="clone", name=name)  # once more: they know the path they are at
    return Place.open(directory)


def peek(url: str) -> str:
    """The ledger id that the ledger at `url` says it has: to compare with what its founders gave out.

    It proves nothing; `clone` with it as anchor does. Raises Unreachable, Refused (`no-ledger`).
    """
    from gitledger.roles import draft

    with tempfile.TemporaryDirectory() as where:
        draft.init(Path(where), "unborn", bare=True)
        store = Store.open(where)
        address = _address(url)
        name = _ledger_name(remotes.advertised(store, address), url)
        content = remotes.fetch_alone(store, address, f"refs/heads/{name}", into=_PEEKED)
        return _entry(content, url).ledger_id or digest(content)


def fetch(
    place: Place,
    remote: str = ORIGIN,
    *,
    progress: Progress = silent,
    now: int | None = None,
    watch: Watch | None = None,
) -> FetchReport:
    """Fetch from `remote`, verify what is new, let branch and tags follow; the checkout stays where it is.

    `now` and `watch` as in `clone`. Raises Fork, Refused or Malformed for a line that does not lead on from what is
    verified here: all that is valid before it is kept, and the error names the first that is not. Raises Unreachable
    and Unsound as `remotes.fetch` does, Usage on a host.
    """
    from gitledger.roles import foreign, hold, sending  # whoever only reads or verifies does not wait for them

    if place.role == "host":
        raise Usage(
            "on-the-host", "this is the host: others fetch from it", "fetch in a clone: gitledger -C CLONE fetch"
        )
    place.store.clear_stale_locks()
    settle(place)
    offer = _collect(place, remote, watch=watch)
    store, verified = place.store, place.verified
    row = verified.state.line.snapshot(store, offer.tip)
    if row is not None:
        hold.note(place, _clock(now))
        replaced = sending.tidy(place, _clock(now))
        stale = row.number if row.number < verified.number else None
        return FetchReport(place, remote, verified.number, stale, None, offer.left, offer.queue_error, replaced)
    try:
        ahead = foreign.follow(place, offer.tip, remote, progress=progress, now=_clock(now))
    except (Fork, Refused, Malformed):
        store.update([(_incoming(place, remote), None, None)])
        raise
    finally:
        settle(Place.of(store))
    hold.note(Place.of(store), _clock(now))
    replaced = sending.tidy(Place.of(store), _clock(now))
    waiting = (ahead.name, ahead.seconds) if ahead else None
    return FetchReport(Place.of(store), remote, verified.number, None, waiting, offer.left, offer.queue_error, replaced)


def sources(place: Place) -> tuple[str, ...]:
    """The remotes of the clone `place` that the ledger is fetched from, origin first."""
    listed = place.store.git("config", "--null", "--get-regexp", r"^remote\..*\.fetch$", check=False).stdout
    found: set[str] = set()
    for entry in listed.decode(errors="replace").split("\0"):
        key, _, refspec = entry.partition("\n")
        name = key.removeprefix("remote.").removesuffix(".fetch")
        if refspec == f"+refs/heads/*:{INCOMING}{name}/heads/*":
            found.add(name)
    return tuple(sorted(found, key=lambda name: (name != ORIGIN, name)))


def fetch_all(
    place: Place, *, progress: Progress = silent, now: int | None = None, watch: Watch | None = None
) -> Round:
    """Fetch from every remote of the ledger, one after the other; what one of them gets wrong stops no other.

    Arguments as in `fetch`. What a remote answers, and that it does not, is in the result. Raises Usage on a host, and
    what is wrong here: Unsound, Failed.
    """
    before = place.verified.number
    came: dict[str, FetchReport | LedgerError] = {}
    for remote in sources(place) or (ORIGIN,):
        try:
            came[remote] = fetch(Place.of(place.store), remote, progress=progress, now=now, watch=watch)
        except (Fork, Refused, Malformed, Unreachable) as error:
            came[remote] = error
        except Unsound as error:
            if error.rule not in _OF_REMOTE:
                raise
            came[remote] = error
    place = Place.of(place.store)
    return Round(place, before, tuple(_answer(place, remote, what) for remote, what in came.items()))


def _answer(place: Place, remote: str, came: FetchReport | LedgerError) -> Answer:
    """What is stale shows only at the end: a later remote may have had more than an earlier one."""
    if isinstance(came, Fork):
        return Answer(remote, "forked", error=came)
    if isinstance(came, Unreachable):
        return Answer(remote, "unreachable", error=came)
    if isinstance(came, LedgerError):
        return Answer(remote, "refused", error=came)
    tip, newest = place.store.resolve(_incoming(place, remote)), place.verified
    row = None if tip is None else newest.state.line.snapshot(place.store, tip)
    number = None if row is None else row.number
    return Answer(remote, "stale" if number is not None and number < newest.number else "good", number, came)


def fetched(place: Place) -> dict[str, int]:
    """When each remote was last fetched from, in seconds since 1970. Empty where that is not known."""
    return FETCHED.read(place.directory) or {}


def settle(place: Place) -> None:
    """Finish what was interrupted: branch, tags and the allowed-signers file follow the verified snapshot."""
    place.settle()
    text = allowed_signers(place.verified)
    path = place.store.git_dir / layout.ALLOWED_SIGNERS
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        write_durably(path, text)


def allowed_signers(snapshot: Snapshot) -> str:
    """The allowed-signers file of a snapshot: every key of its records, by domain, for ssh-keygen and git.

    Revoked keys stay, as `<domain>/revoked`, which is no domain id: what they signed while they held goes on to show
    a good signature by name in `git log --show-signature`. A node's shows its roles, as the key that certifies them has
    them in this snapshot; what it signs without its certificate is `<domain>/node`'s, which is none either. It grants
    nothing, and knows no serials; `verify` decides what is valid.
    """
    state = snapshot.state
    lines = [f"# {state.name}: keys by domain"]
    for _, file in state.tree.files("ledger/certificates"):
        record = Record.parse(file.content(state.objects))
        manifest = state.manifest(record.domain_id)
        entry = manifest.key(record.public.key_id) if manifest else None
        who = record.domain_id if entry else f"{record.domain_id}/{'node' if record.status == 'active' else 'revoked'}"
        lines.append(f'{who} namespaces="git,asl.*" {record.certificate}')
        if entry and entry.certifies:
            roles = ",".join(f"{role}@{record.domain_id}" for role in entry.certifies)
            lines.append(f'{roles} cert-authority,namespaces="git" {record.certificate}')
    return "\n".join((lines[0], *sorted(lines[1:]))) + "\n"


def pin(place: Place, named: str) -> str:
    """Detach the checkout at the snapshot `named`, `common@42`; returns its full name.

    Raises Refused (`local-changes`) with git's own words where changes would be lost; Failed (`checkout-failed`) where
    git fails otherwise, with the checkout back where it was, or saying that it is not; what `Place.row` raises, Usage.
    """
    row = place.row(named)
    if place.store.work_tree is None:
        raise Usage("no-work-tree", f"{place.store.git_dir} is bare: there is no checkout to move", "work in a clone")
    name = f"{place.name}@{row.number}"
    store, before = place.store, place.store.head()
    clean = store.git("diff-index", "--quiet", "HEAD", "--", check=False).returncode == 0
    try:
        _check_out(store, row.snapshot, f"git show {name}:PATH   (reads a file of it without a checkout)")
    except Failed as error:
        if store.head() != before:
            back = (before.removeprefix("refs/heads/"),) if before.startswith("refs/") else ("--detach", before)
            store.git("checkout", "--quiet", *(("--force",) if clean else ()), *back, "--", check=False)
        stays = store.head() == before
        error.what += "; the checkout stays where it was" if stays else f"; HEAD is at {name} with files missing"
        raise
    return name


def _check_out(store: Store, oid: str, mend: str) -> None:
    """Detach the checkout at the commit `oid`. git moves HEAD and exits with 0 where it could not write a file.

    Raises Refused (`local-changes`), Failed (`checkout-failed`), which ends in `mend`.
    """
    done = store.git("checkout", "--quiet", "--detach", oid, check=False)
    said = [line.strip() for line in remotes.words(done.stderr)]
    errors = [line for line in said if line.startswith(("error: ", "fatal: "))]
    if not (done.returncode or errors):
        return
    told = " ".join(line.removeprefix("error: ").removeprefix("fatal: ") for line in said)
    if "would be overwritten by checkout" in told or "would be removed by checkout" in told:
        raise Refused(
            "local-changes",
            " ".join(line.removeprefix("error: ") for line in said[:-2] or said),
            f"git stash{' -u' if 'untracked' in told else ''}   (or commit on a branch of your own), then again",
        )
    told = told if len(told) <= _SENTENCE else f"{told[: _SENTENCE // 2]} … {told[-_SENTENCE // 2 :]}"
    raise Failed("checkout-failed", f"git can't check it out: {told or 'it says nothing'}", mend)


def verify(
    place: Place,
    named: str | None = None,
    *,
    from_genesis: bool = False,
    jobs: int | None = None,
    progress: Progress = silent,
) -> Snapshot:
    """Verify the snapshot `named` (None: the newest verified) on the one before it, or all up to it from genesis.

    From genesis it starts at the anchor alone and compares every tag; it repairs nothing but a damaged note of what is
    verified, and tags that are missing; `jobs` processes share that (None: as many as this machine runs at once).
    Raises what `advance` and `genesis` raise, Unsound (`tag-differs`).
    """
    if from_genesis:
        return _verify_all(place, named, jobs, progress)
    number = place.verified.number if named is None else place.row(named).number
    oid = place.row(number).snapshot
    if number == 0:
        return genesis(place.store, oid, place.anchor)
    return advance(ancestor(place.verified, number - 1), oid)


def _verify_first(
    place: Place, tip: str, through: tuple[SnapshotName, str] | None, progress: Progress, now: int | None
) -> Place:
    """The place once the line up to `tip` is verified from genesis on, as far as this clock allows."""
    from gitledger.roles import segments

    path = ascent.Path(place.store, tip)
    _entry(place.store.read(path[0], "commit"), ORIGIN)
    first = genesis(place.store, path[0], place.anchor)
    if first.state.name != place.name:
        raise Refused(
            "branch-name", f"the ledger {first.state.name} stands on the branch {place.branch}", ascent.ELSEWHERE
        )
    if through is not None:
        _must_pass_through(place, path, *through)
    newest, _ = segments.climb(first, path, start=1, progress=progress, now=_clock(now))
    place = place.advanced(newest)
    settle(place)
    return place


def _must_pass_through(place: Place, path: ascent.Path, known: SnapshotName, known_hash: str) -> None:
    """The place of a commit above genesis is its number, or `advance` refuses it."""
    if known.ledger != place.name:
        raise Refused(
            "known-differs", f"the ledger is {place.name}, and {known} is named as known", "compare the address"
        )
    if known.number >= len(path):
        raise Unreachable(
            "older-than-known",
            f"the newest snapshot there is {place.name}@{len(path) - 1}, and {known} is known: it is stale",
            "clone from another mirror",
        )
    found = digest(place.store.read(path[known.number], "commit"))
    if found != known_hash:
        raise Refused(
            "known-differs",
            f"{known} there has the hash {found}, the one that is known has {known_hash}: another line",
            ascent.ELSEWHERE,
        )


def _verify_all(place: Place, named: str | None, jobs: int | None, progress: Progress) -> Snapshot:
    from gitledger.roles import segments

    try:
        tip, damaged = place.verified.oid, False
    except Failed as error:
        found = place.store.resolve(place.branch)
        if error.rule != "nothing-verified" or found is None:
            raise
        tip, damaged = found, True
    path = ascent.Path(place.store, tip)
    first = genesis(place.store, path[0], place.anchor)
    end = len(path) if named is None or damaged else place.row(named).number + 1
    reached, _ = segments.climb(first, path, start=1, end=end, jobs=jobs, progress=progress)
    if damaged:
        place.advanced(reached)
    place.settle("missing")
    tags_must_agree(place, path, end)
    return reached


def tags_must_agree(place: Place, path: ascent.Path, end: int) -> None:
    """The tags below `end` are those that `path`, the verified line, gives. Raises Unsound (`tag-differs`)."""
    tags, _ = place.tagged(end - 1)
    for number in range(end):
        if tags[number] != path[number]:
            raise Unsound(
                "tag-differs",
                f"{place.tag(number)} is not {path[number]}, which is verified as {place.name}@{number}",
                f"gitledger hooks install {shlex.quote(str(place.store.git_dir))}"
                if place.role == "host"
                else f"git -c core.hooksPath=/dev/null update-ref {place.tag(number)} {path[number]}",
            )


def _collect(place: Place, remote: str, *, watch: Watch | None) -> _Offer:
    """Fetch the branch of `remote` and, where it is origin, its queue, by name; without that where git refuses it."""
    store, into = place.store, f"{INCOMING}{remotes.check_name(remote)}/"
    for tries_left in reversed(range(_TRIES)):
        offered = remotes.advertised(store, remote)
        if place.branch not in offered:
            raise Unreachable("no-branch-there", f"{remote} has no {place.branch}", "git remote -v shows its address")
        domains = _domains(place)
        waiting = _in_turn((ref for ref in offered if remote == ORIGIN and _queued(ref)), domains)
        refs = {ref: offered[ref] for ref in (place.branch, *waiting[:QUEUE_LIMIT])}
        failed: LedgerError | None = None
        try:
            remotes.fetch(store, remote, refs, into=into, watch=watch)
        except (Refused, Unreachable, Unsound) as error:
            if error.rule == "ref-vanished" and tries_left:
                continue
            if error.rule in (remotes.STALLED, remotes.TOO_MUCH):
                raise
            # What is wrong with somebody's proposal must not keep the snapshots away.
            _fetch_without_new(store, remote, refs, place.branch, into)
            failed = error
        break
    FETCHED.write(place.directory, fetched(place) | {remote: int(time.time())})
    tip = store.resolve(_incoming(place, remote))
    assert tip is not None
    return _Offer(tip, Counter(_whose(ref, domains) for ref in waiting[QUEUE_LIMIT:]), failed)


def _in_turn(refs: Iterable[str], domains: Set[str]) -> list[str]:
    """The `refs` of a queue in the order in which they are fetched: one of each domain in turn, by their names.

    Rotations come first: no flood of proposals keeps them away.
    """
    ranks: Counter[tuple[str, str]] = Counter()
    turns: list[tuple[int, str]] = []
    for ref in sorted(refs):
        if rotations.is_ref(ref):
            turns.append((-1, ref))
            continue
        line = (ref.split("/")[1], _whose(ref, domains))
        turns.append((ranks[line], ref))
        ranks[line] += 1
    return [ref for _, ref in sorted(turns)]


def _whose(ref: str, domains: Set[str]) -> str:
    """The domain that a ref of the queue is of; empty for all together that are not among `domains`, and for refusals.

    Where no `domains` are known, each that is named is one.
    """
    parts = ref.split("/")
    if parts[1] == "refusals":
        return ""
    domain = parts[2] if parts[1] == "proposals" else parts[-1]
    return domain if domain in domains or not domains else ""


def _domains(place: Place) -> Set[str]:
    """The domains that are registered, as far as that is verified here: in a first fetch, none are."""
    try:
        return set(place.verified.state.domains())
    except Failed:
        return set()


def _fetch_without_new(store: Store, remote: str, refs: Mapping[str, str], branch: str, into: str) -> None:
    """Fetch the branch and the rotations; where that fails, too, the branch alone. Of the rest, what is here stays."""
    have = store.refs(into)
    there = {ref: oid for ref, oid in refs.items() if have.get(into + ref.removeprefix("refs/")) == oid}
    wanted = {ref: oid for ref, oid in refs.items() if ref == branch or rotations.is_ref(ref)}
    try:
        remotes.fetch(store, remote, there | wanted, into=into)
    except (Refused, Unreachable, Unsound):
        remotes.fetch(store, remote, there | {branch: refs[branch]}, into=into)


def _queued(ref: str) -> bool:
    return rotations.is_ref(ref) or queue.is_ref(ref)


def _incoming(place: Place, remote: str) -> str:
    """Where the branch of `remote` lands."""
    return f"{INCOMING}{remote}/heads/{place.name}"


def _ledger_name(offered: Mapping[str, str], url: str) -> str:
    """The name of the ledger there: its one branch, or the one that HEAD is on where there are others."""
    heads = {ref.removeprefix("refs/heads/"): oid for ref, oid in offered.items() if ref.startswith("refs/heads/")}
    likely = [name for name, oid in heads.items() if oid == offered.get("HEAD")] or list(heads)
    if len(likely) == 1:
        return likely[0]
    if "common" in likely:
        return "common"
    raise Refused("no-ledger", f"{url} is no ledger: it has {len(heads)} branches", "compare the address")


def _entry(content: bytes, url: str) -> Entry:
    try:
        return Entry.parse(Commit.parse(content).message)
    except Malformed as error:
        raise Refused(
            "no-ledger", f"{url} is no ledger: a commit there is no snapshot", "compare the address"
        ) from error


def _address(url: str) -> str:
    """A path as git will find it from the clone; any other address as it is."""
    try:
        return str(Path(url).resolve(strict=True))
    except OSError:
        return url


def _copy_schemas(place: Place) -> None:
    """Put the schemas where the manifests name them, so that editors complete and check."""
    place.directory.mkdir(exist_ok=True)
    for schema in layout.data_dir("templates").glob("*.schema.json"):
        shutil.copyfile(schema, place.directory / schema.name)


def _clock(now: int | None) -> int:
    return int(time.time()) if now is None else now
