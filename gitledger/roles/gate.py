"""What a push may bring to a host: decided whole, before anything of it is visible (spec 2, 4, 6, 9, 11).

A push may hold snapshots, proposals, endorsements, refusals and rotations at once. Every ref must be in the table of
spec 2 and stand where the pusher thinks it does; then the snapshots are decided, each through `advance`; then the rest,
against the state after them, in the queue as it would be. One refusal refuses the whole push. Nothing is written here:
what is read may be in a quarantine.

Five things are the host's alone, no part of validity: how much may wait, who may replace what, that a snapshot is not
dated more than a day ahead of the host's clock, that the grace of a node's work is not over by it, and what holds the
branch (`hold.py`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from gitledger.errors import Failed, LedgerError, Malformed, Refused, about
from gitledger.objects.codec import Commit, Tag
from gitledger.objects.store import ABSENT, Store
from gitledger.roles import hold
from gitledger.roles.place import AHEAD_SECONDS, Place
from gitledger.rules import endorsement, proposal, queue, refusal, release, rotations, succession
from gitledger.rules.advance import advance
from gitledger.rules.endorsement import Endorsement
from gitledger.rules.entry import Entry
from gitledger.rules.proposal import Proposal
from gitledger.rules.queue import PROPOSAL_REF, REFUSAL_REF, SUPPORT_REF, Queue, Verdict
from gitledger.rules.refusal import Refusal
from gitledger.rules.release import Release
from gitledger.rules.rotations import Drafted, Rotations
from gitledger.rules.state import Snapshot, State
from gitledger.rules.transition import Transition, apply

NOT_IN_TABLE: Final = "ref-not-in-table"
"""The rule of a ref that may not be pushed; whoever says so shows the table."""

TABLE: Final = (
    ("refs/heads/<name of the ledger>", "snapshots, by the witness"),
    ("refs/proposals/<domain>/<topic>", "a proposal, or a line of them"),
    ("refs/endorsements/<proposal oid>/<domain>", "a signed tag by an authority"),
    ("refs/releases/<proposal oid>/<key name>", "a signed tag by a publisher of the domain"),
    ("refs/refusals/<proposal oid>", "a signed tag by the witness or a withdrawer"),
    ("refs/rotations/<H>/draft", "a rotation artifact without endorsements"),
    ("refs/rotations/<H>/<domain>", "an authority's signature over H"),
)
"""What may be pushed (spec 2): refs, and what they take."""

ROTATIONS_LIMIT: Final = 8
"""How many rotations of one snapshot an authority may endorse; honest ones endorse one, or one more to cancel it."""

PUSH_REFS: Final = 10_000
"""How many refs a push brings at most; it is as many as a bundle names."""

_TOPIC_JUNK = re.compile(r"[^a-z0-9._-]+|\.(?=\.)|^[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Update:
    """One line of a push: `ref` goes from the object `old` to `new`; 40 zeros stand for none."""

    old: str
    new: str
    ref: str


@dataclass(frozen=True, slots=True)
class Advanced:
    """Snapshots were accepted, from the one named `first` to the one named `last`."""

    ref: str
    first: str
    last: str


@dataclass(frozen=True, slots=True)
class Queued:
    """A line of proposals was accepted into the queue; `place` of `length` is where its last one stands.

    `verdicts` are what would become of each of the line now, base first; `witness` is the domain who decides it.
    """

    ref: str
    line: tuple[Proposal, ...]
    replaces: bool
    place: int
    length: int
    verdicts: tuple[Verdict, ...]
    witness: str


@dataclass(frozen=True, slots=True)
class Supported:
    """A tag that supports `proposal` was accepted; `verdict` is what would become of it now (None: it is decided)."""

    ref: str
    proposal: Proposal
    support: Release | Endorsement
    verdict: Verdict | None


@dataclass(frozen=True, slots=True)
class Receipted:
    """A refusal or withdrawal of `proposal` was accepted."""

    ref: str
    proposal: Proposal
    refusal: Refusal


@dataclass(frozen=True, slots=True)
class Rotating:
    """Endorsements of a rotation were accepted: how it stands now.

    `until` is the second at which the grace ends in which it holds the branch; 0 where it holds nothing.
    """

    waiting: Drafted
    until: int


Accepted = Advanced | Queued | Supported | Receipted | Rotating


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a push: all of it is `accepted`, or nothing, for each of `refused` (ref and reason)."""

    accepted: tuple[Accepted, ...]
    refused: tuple[tuple[str, LedgerError], ...]


def decide(place: Place, updates: Sequence[Update], now: int, waiting: Mapping[str, str] | None = None) -> Decision:
    """Decide a push to the host `place` at `now`, in seconds on its clock; a clone asks what a host would decide.

    `waiting` is what waits there (None: what waits in `place`). Raises Unsound or Failed where the place itself can't
    be relied on; what is wrong with the push is in the Decision.
    """
    trusted = place.verified
    if trusted.state.ledger_id != place.anchor:
        raise Failed(
            "other-ledger",
            f"{place.branch} holds the ledger {trusted.state.ledger_id}, this host was made for {place.anchor}",
            "restore the branch from a mirror or a clone",
        )
    if len(updates) > PUSH_REFS:
        return Decision((), ((updates[0].ref, _too_many_refs(len(updates))),))
    push = _Push(place, updates, now, place.queue_refs() if waiting is None else waiting)
    times = Counter(update.ref for update in updates)
    push.each(updates, lambda update: _must_be_in_table(place, trusted.state, update, times[update.ref]))
    snapshots = [update for update in push.sound if update.ref == place.branch]
    push.each(snapshots, lambda update: push.advance(update, trusted))
    if not push.refused:
        push.rotate(push.newest or trusted)
        push.enter(push.newest or trusted)
    return push.decision()


class _Push:
    """A push while it is being decided: what was refused so far, and the queue as it would be."""

    def __init__(self, place: Place, updates: Sequence[Update], now: int, present: Mapping[str, str]) -> None:
        self.place = place
        self.present = present
        self.now = now
        self.store = place.store
        self.updates = updates
        self.refused: list[tuple[str, LedgerError]] = []
        self.accepted: list[Accepted] = []
        self.supported: list[tuple[str, Proposal, Release | Endorsement]] = []
        self.newest: Snapshot | None = None
        self.state: State
        self.seconds: int  # what the next snapshots would be dated
        self.waiting: Queue
        self.proposals: Mapping[str, Proposal]

    @property
    def sound(self) -> list[Update]:
        """The updates that nothing was said against yet."""
        bad = {ref for ref, _ in self.refused}
        return [update for update in self.updates if update.ref not in bad]

    def each(self, updates: Sequence[Update], check: Callable[[Update], object]) -> None:
        """Check each and go on, so that the pusher hears of everything that is wrong at once."""
        for update in updates:
            try:
                check(update)
            except LedgerError as error:
                if error.rule == "missing-object":
                    error.mend = (
                        "git fetch --unshallow   (a shallow clone lacks what the host has not seen), push again"
                    )
                self.refused.append((update.ref, error))

    def decision(self) -> Decision:
        return Decision((), tuple(self.refused)) if self.refused else Decision(tuple(self.accepted), ())

    def advance(self, update: Update, trusted: Snapshot) -> None:
        """Snapshots, one or many: from the newest one forward by first parents, each through `advance`."""
        newest = trusted
        for oid in _descent(self.store, trusted, update.new):
            newest = advance(newest, oid)
            if newest.number == trusted.number + 1 and not newest.entry.rotation:
                hold.must_be_free(self.place, self.now)
            if newest.seconds > self.now + AHEAD_SECONDS:
                raise Refused(
                    "ahead-of-clock",
                    f"{newest.name} is dated more than a day ahead of this host's clock, and no later snapshot could "
                    "be dated before it",
                    "set the clock of the machine that emits (or this host's), then emit again",
                )
        self.newest = newest
        self.accepted.append(Advanced(update.ref, f"{newest.state.name}@{trusted.number + 1}", newest.name))

    def rotate(self, newest: Snapshot) -> None:
        """Drafts and endorsements of rotations on `newest`, those that are here and those that are pushed (spec 8)."""
        updates = [update for update in self.updates if rotations.is_ref(update.ref)]
        if not updates:
            return
        after = {**self.present, **{update.ref: update.new for update in updates}}
        found = rotations.read(newest, after)
        self.each(updates, lambda update: _must_rotate(update, newest, after, found))
        pushed = {update.ref.split("/")[2] for update in updates}
        for one in found.waiting:
            if one.hash in pushed:
                until = hold.until(self.place, one, self.now) if one.complete else 0
                self.accepted.append(Rotating(one, until if until > self.now else 0))

    def enter(self, newest: Snapshot) -> None:
        """What goes to the queue, against `newest`."""
        updates = [update for update in self.updates if queue.is_ref(update.ref)]
        if not updates:
            return
        pushed = {form: [each for each in updates if form.fullmatch(each.ref)] for form in queue.REFS}
        proposals = pushed[PROPOSAL_REF]
        self.state = state = newest.state
        self.seconds = newest.next_seconds(self.now)
        self.waiting = queue.read(state, {**self.present, **{update.ref: update.new for update in proposals}})
        self.proposals = self.waiting.proposals
        self.each(proposals, self.propose)
        self.each(pushed[SUPPORT_REF], self.support)
        self.each(pushed[REFUSAL_REF], self.settle)
        if not self.refused:
            after = {**self.present, **{update.ref: update.new for update in updates}}
            self.outlook(proposals, self.waiting if proposals == updates else queue.read(state, after))

    def propose(self, update: Update) -> None:
        """A line of proposals: each by the ref's domain, each possible now on what it stands on (spec 4)."""
        domain = update.ref.split("/")[2]
        _must_be_a(self.store, update, "commit")
        if (error := self.waiting.unreadable.get(update.ref)) is not None:
            raise error
        line = self.waiting.lines[update.ref]
        if not line:
            raise Refused(
                "nothing-proposed",
                f"{update.new} is a snapshot, or a proposal that one accepted already",
                f"git branch -D {update.ref.removeprefix('refs/proposals/')}   "
                "(it is in: the branch has done its work; or commit something on it)\nthen push again",
            )
        self.must_be_few(domain)  # before any of it is looked into: however many come, each costs little
        self.must_be_once(update)
        for transition in self.transitions(line):
            _must_be_of(transition, domain, update)
            with about(f"commit {transition.proposal.oid[:12]} ({transition.proposal.summary})"):
                transition.must_be_in_time(self.seconds)
        if self.state.manifest(domain) is None:
            _must_be_root(line[-1], transition.after, domain)
        if update.old != ABSENT:
            self.must_replace(update, line, domain)

    def transitions(self, line: Sequence[Proposal]) -> Iterator[Transition]:
        """The transitions of a line, one after the other, on the state after the pushed snapshots."""
        state = self.state
        for one in line:
            with about(f"commit {one.oid[:12]} ({one.summary})"):
                self.must_be_undecided(one)
                transition = apply(state, one)
            state = transition.after
            yield transition

    def must_be_undecided(self, one: Proposal) -> None:
        """What has its receipt stays decided for as long as the receipt is kept."""
        receipt = self.waiting.decided.get(one.oid)
        if receipt is not None:
            said = queue.receipt(receipt)
            raise Refused(
                said.rule,
                f"{said.what}; refs/refusals/{one.oid} says so",
                "git commit --amend -S --no-edit   (once it is changed, it is another proposal)",
            )

    def must_be_once(self, update: Update) -> None:
        """A line has one ref: copies would serve nobody, and anybody could push them in the name of who signed it."""
        others = [ref for ref in self.tips[update.new] if ref != update.ref]
        if others:
            raise Refused(
                "proposed-already",
                f"{update.new[:12]} is proposed as {others[0]}, and needs no second name",
                "gitledger proposals   (says how it stands)",
            )

    @cached_property
    def tips(self) -> Mapping[str, list[str]]:
        """The refs of proposals as they would be, by the commit that they name."""
        pushed = {update.ref: update.new for update in self.updates}
        found: dict[str, list[str]] = {}
        for ref, oid in {**self.present, **pushed}.items():
            if PROPOSAL_REF.fullmatch(ref):
                found.setdefault(oid, []).append(ref)
        return found

    def must_replace(self, update: Update, line: Sequence[Proposal], domain: str) -> None:
        """A ref is replaced by a later tip of the same domain; before it is registered, by the same key.

        What a root key signed is replaced by one: it may be what takes a stolen publisher's key out.

        Of one second is a tip that goes on from what is there: else of two versions of a second anybody could bring the
        first one back.
        """
        before, tip = Commit.parse(self.store.read(update.old, "commit")), line[-1]
        seconds = before.committer.seconds
        if tip.seconds < seconds or (tip.seconds == seconds and all(one.base != update.old for one in line)):
            mend = "git commit --amend -S --no-edit   (dates it anew; another topic would do as well)"
            if seconds > self.now:  # to date it anew would not do
                other = f"refs/proposals/{domain}/{update.ref.rpartition('/')[2][:98]}-2"
                mend = f"git push origin {tip.oid}:{other}   (another topic: what is there is dated in the future)"
            when = "later than" if tip.seconds < seconds else "in the same second as"
            raise Refused("replaces-newer", f"what is on {update.ref} was committed {when} {tip.oid[:12]}", mend)
        replaced = proposal.read(self.store, update.old).key
        if self.state.manifest(domain) is None and replaced != tip.key:
            raise Refused(
                "replaces-another-key",
                f"{domain} is not registered, and {update.ref} was made with another key, which alone may replace it",
                f"choose another topic: git push origin {tip.oid}:refs/proposals/{domain}/<topic>",
            )
        roots = self.state.holders(domain, "root")
        if replaced.key_id in roots and tip.key.key_id not in roots:
            raise Refused(
                "replaces-root",
                f"a root key of {domain} signed what is on {update.ref}, and a root key alone replaces it",
                f"choose another topic: git push origin {tip.oid}:refs/proposals/{domain}/<topic>",
            )

    def must_be_few(self, domain: str) -> None:
        """`pending_per_domain`; all domains that are not registered count as one (spec 4)."""
        limit = self.state.policy.limits.pending_per_domain
        registered = domain in self.pending
        counted = self.pending[domain if registered else ""]
        if counted > limit:
            whose = f"{counted} proposals of {domain}" if registered else f"{counted} registrations"
            raise Refused(
                "too-many-pending",
                f"{whose} would wait; limits.pending_per_domain of the policy is {limit}",
                "wait until some are numbered, replace one (push to its topic), or take one back: "
                "gitledger withdraw PROPOSAL",
            )

    @cached_property
    def pending(self) -> Mapping[str, int]:
        """How many proposals would wait, by domain; under no name, those of all that are not registered."""
        by_domain: dict[str, set[str]] = {}
        for ref, line in self.waiting.lines.items():
            undecided = (one.oid for one in line if one.oid not in self.waiting.decided)
            by_domain.setdefault(ref.split("/")[2], set()).update(undecided)
        counted = {domain: oids for domain, oids in by_domain.items() if self.state.manifest(domain) is not None}
        others = set().union(*(oids for domain, oids in by_domain.items() if domain not in counted))
        return {"": len(others)} | {domain: len(oids) for domain, oids in counted.items()}

    def waiting_proposal(self, oid: str) -> Proposal:
        one = self.proposals.get(oid)
        if one is None:
            raise Refused(
                "not-waiting",
                f"no proposal {oid} waits here",
                "gitledger proposals lists those that do; one that is new is pushed before, or together with this",
            )
        self.must_be_undecided(one)
        return one

    def support(self, update: Update) -> None:
        """A release or an endorsement of a proposal that waits, by whom the ref names (spec 6, 13)."""
        _, kind, oid, by = update.ref.split("/")
        one = self.waiting_proposal(oid)
        _must_be_a(self.store, update, "tag")
        content = self.store.read(update.new, "tag")
        *before, transition = self.transitions(self.up_to(one))
        found: Release | Endorsement
        if kind == "releases":
            found = release.read(content, one, transition.releasers)
            verb, rule, whose = "release", "release-key", found.name
        else:
            policy = (before[-1].after if before else self.state).policy
            found = endorsement.read(content, one, endorsement.who(transition.demands, policy))
            verb, rule, whose = "endorse", "endorsement-domain", found.domain
        if whose != by:
            raise Refused(
                rule,
                f"the key is {whose}'s, the ref names {by}",
                f"git push origin {update.new}:refs/{kind}/{oid}/{whose}",
            )
        if update.old != ABSENT and _tagged(content) < _tagged(self.store.read(update.old, "tag")):
            raise Refused(
                "replaces-newer",
                f"what is on {update.ref} was made later than this",
                f"gitledger proposals   (the later one counts)\ngitledger {verb} {oid[:12]}   (makes one anew)",
            )
        self.supported.append((update.ref, one, found))

    def up_to(self, one: Proposal) -> tuple[Proposal, ...]:
        """The line that `one` stands in, up to itself."""
        line = self.waiting.lines[self.waiting.refs(one.oid)[0]]
        return line[: [each.oid for each in line].index(one.oid) + 1]

    def settle(self, update: Update) -> None:
        """A refusal or withdrawal of a proposal that waits (spec 9)."""
        one = self.waiting_proposal(update.ref.split("/")[2])
        _must_be_a(self.store, update, "tag")
        serves = self.state.witness.since_name.number
        receipt = refusal.read(self.store.read(update.new, "tag"), one, self.state, since=serves)
        self.accepted.append(Receipted(update.ref, one, receipt))

    def outlook(self, proposals: Sequence[Update], after: Queue) -> None:
        """Play the order of the witness over the whole queue, to say where what was pushed stands (spec 9)."""
        if not proposals and not self.supported:
            return
        decided = queue.decide(self.state, after, self.seconds)
        verdicts = [each for each in decided if each.proposal.oid not in after.decided]
        places = {verdict.proposal.oid: place for place, verdict in enumerate(verdicts)}
        for update in proposals:
            line = after.lines[update.ref]
            stands = [places[one.oid] for one in line if one.oid in places]
            self.accepted.append(
                Queued(
                    ref=update.ref,
                    line=line,
                    replaces=update.old != ABSENT,
                    place=max(stands, default=-1) + 1,
                    length=len(verdicts),
                    verdicts=tuple(verdicts[place] for place in stands),
                    witness=self.state.witness.domain_id,
                )
            )
        for ref, one, found in self.supported:
            verdict = verdicts[places[one.oid]] if one.oid in places else None
            self.accepted.append(Supported(ref, one, found, verdict))


def _must_rotate(update: Update, newest: Snapshot, refs: Mapping[str, str], found: Rotations) -> None:
    """A draft that comes with an endorsement, or an endorsement of a rotation that is drafted, on `newest` (spec 2, 8).

    `refs` are those of the queue as they would be, `found` the rotations that they hold.
    """
    above, _, last = update.ref.rpartition("/")
    named = above.rpartition("/")[2]
    if f"{above}/draft" not in refs:
        raise Refused(
            "no-draft",
            f"no rotation {named} is drafted here",
            f"push its draft together with the endorsement: git push origin DRAFT:{above}/draft SIGNATURE:{update.ref}",
        )
    for number, _, sealed in rotations.sealed(newest.state):
        if sealed.digest.hex() == named:
            name = f"{newest.state.name}@{number}"
            raise Refused("rotation-sealed", f"{name} seals it: nothing is left to endorse", f"gitledger show {name}")
    rotation = rotations.read_draft(newest.state.objects, refs[f"{above}/draft"])
    rotations.must_be_named(rotation, named)
    succession.must_be_possible(newest, rotation)
    if last == "draft":
        _must_be_first_draft(update, found, named)
        return
    one = rotations.read_endorsement(newest, rotation, update.new)
    if one.domain_id != last:
        raise Refused(
            "endorsement-domain",
            f"the key is {one.domain_id}'s, the ref names {last}",
            f"git push origin {update.new}:{above}/{one.domain_id}",
        )
    if sum(_endorses(other, last) for other in found.waiting) > ROTATIONS_LIMIT:
        raise Refused(
            "too-many-rotations",
            f"{last} would endorse more than {ROTATIONS_LIMIT} rotations on {newest.name}",
            "endorse the one that shall be: gitledger rotations",
        )


def _must_be_first_draft(update: Update, found: Rotations, named: str) -> None:
    if update.old != ABSENT:
        raise Refused(
            "draft-there",
            "the rotation is drafted already, and its draft stays: the reason in it is endorsed by nobody",
            f"gitledger fetch; gitledger endorse {named[:12]}   (pushes the endorsement alone)",
        )
    if not any(one.hash == named and one.endorsements for one in found.waiting):
        raise Refused(
            "draft-alone",
            "a draft is taken only with a valid endorsement in the same push",
            f"git push origin DRAFT:{update.ref} SIGNATURE:refs/rotations/{named}/<domain>",
        )


def _endorses(waiting: Drafted, domain: str) -> bool:
    return not waiting.stale and any(one.domain_id == domain for one in waiting.endorsements)


def _too_many_refs(refs: int) -> Refused:
    return Refused(
        "too-many-refs",
        f"{refs:,} refs come in one push, at most {PUSH_REFS:,} are looked at",
        "push them in several portions: git push origin <ref> <ref> …",
    )


def _must_be_in_table(place: Place, state: State, update: Update, times: int) -> None:
    """The ref is one that may be pushed, once of so many `times`, from where it stands, and not away (spec 2)."""
    ref = update.ref
    if not (ref == place.branch or queue.is_ref(ref) or rotations.is_ref(ref)):
        raise _outside(place, state, update)
    if update.new == ABSENT:
        withdraw = f"gitledger withdraw {update.old}   (takes a proposal back)" if PROPOSAL_REF.fullmatch(ref) else ""
        if place.store.resolve(ref) is None:
            raise Refused("deletion", "there is no such ref here, and nothing goes by a push", "gitledger proposals")
        raise Refused("deletion", "nothing goes by a push: the host clears what is decided", withdraw)
    if times > 1:
        raise Refused("ref-twice", "it stands twice in the push", "push it once")
    if (place.store.resolve(ref) or ABSENT) != update.old:
        raise Refused("ref-moved", "somebody else moved it meanwhile", "git fetch, look, and push again")


def _outside(place: Place, state: State, update: Update) -> Refused:
    """The refusal of a ref that is not in the table, with the refspec that proposes what it brings."""
    if update.ref.startswith("refs/tags/"):
        return Refused(
            NOT_IN_TABLE,
            "tags are made by the host, from what it verified, and never pushed",
            "git config push.followTags false   (and push without --tags and --follow-tags)",
        )
    mend = ""
    if update.new != ABSENT and place.store.size(update.new)[0] == "commit":
        mend = f"git push origin {update.new}:{proposal_ref(place.store, state, update)}   (proposes it)"
    return Refused(NOT_IN_TABLE, "this ref is not in the table of what may be pushed", mend)


def proposal_ref(store: Store, state: State, update: Update) -> str:
    """Where the commit that was pushed to another ref would be proposed, as far as it tells."""
    topic = _TOPIC_JUNK.sub("", update.ref.rpartition("/")[2].lower())[:100]
    try:
        one = proposal.read(store, update.new)
        record = state.record(one.key.key_id)
        domain = record.domain_id if record else one.domain if one.certificate else ""
    except LedgerError:
        domain = ""
    ref = f"refs/proposals/{domain or '<domain>'}/{topic or 'change'}"
    return ref if not domain or PROPOSAL_REF.fullmatch(ref) else f"refs/proposals/{domain}/change"


def _descent(store: Store, trusted: Snapshot, tip: str) -> list[str]:
    """The commits after `trusted` up to `tip`, by first parents. Raises Refused where `tip` is not ahead of it."""
    oids: list[str] = []
    oid = tip
    while oid != trusted.oid:
        commit = Commit.parse(store.read(oid, "commit"))
        number = _number(commit, trusted, oid, tip)
        if number <= trusted.number or not commit.parents:
            witness = trusted.state.witness
            sealed = (
                f"; {witness.since} sealed the rotation to {witness.domain_id}" if witness.rotation_artifact else ""
            )
            raise Refused(
                "not-forward",
                f"{tip} does not descend from the newest snapshot here, {trusted.name}, {trusted.oid}{sealed}",
                "the branch moves forward only: fetch, and go on from there",
            )
        oids.append(oid)
        oid = commit.parents[0]
    oids.reverse()
    return oids


def _number(commit: Commit, trusted: Snapshot, oid: str, tip: str) -> int:
    try:
        return Entry.parse(commit.message).number
    except Malformed:
        raise Refused(
            "not-a-snapshot",
            f"{oid} is no snapshot, and nothing else comes to the branch {trusted.state.name}: the witness "
            f"{trusted.state.witness.domain_id} makes snapshots of proposals",
            f"git push origin {tip}:refs/proposals/<domain>/<topic>   (proposes it)",
        ) from None


def _must_be_a(store: Store, update: Update, kind: str) -> None:
    found, _ = store.size(update.new)
    if found == kind:
        return
    mend = f"git push origin {update.new}^{{commit}}:{update.ref}"
    if kind == "tag":
        mend = "git tag -s   makes a signed tag; gitledger endorse and gitledger withdraw make the right one"
    raise Refused("object-kind", f"it names a {found}; this ref takes a {kind}", mend)


def _must_be_of(transition: Transition, domain: str, update: Update) -> None:
    who, one = transition.who.domain, transition.proposal
    if who != domain:
        topic = update.ref.split("/")[3]
        raise Refused(
            "ref-domain",
            f"commit {one.oid[:12]} ({one.summary}) is {who}'s, the ref is for {domain}",
            f"git push origin {one.oid}:refs/proposals/{who}/{topic}",
        )


def _must_be_root(tip: Proposal, after: State, domain: str) -> None:
    manifest = after.manifest(domain)
    if manifest is None or "root" not in manifest.roles_of(tip.key.key_id):
        raise Refused(
            "registration-key",
            f"{domain} is not registered: until it is, the last commit of its line is signed by a root key of its "
            f"manifest, and {tip.key.key_id} is none",
            "sign with the root key: git commit --amend -S --no-edit",
        )


def _tagged(content: bytes) -> int:
    """When a tag was made, in seconds."""
    return Tag.parse(content).tagger.seconds
