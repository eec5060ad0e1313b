"""Drawing the consequences of what a host decided (spec 4, In the queue; spec 9, Refusal; spec 11).

Tags are made from the branch. The host removes a proposal's ref, with its releases and endorsements, once all its line
is decided: accepted, refused or withdrawn. A receipt is kept for the grace period, then dropped. A sealed rotation goes
at once, a stale one after the grace period. A run may be killed or never come at all, so each does whatever is left;
any number of them may run at a time.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Final

from gitledger.errors import Failed, LedgerError
from gitledger.exchange import layout
from gitledger.objects.codec import Commit, Tag
from gitledger.roles import hold, settled
from gitledger.roles.notes import write_durably
from gitledger.roles.place import Place
from gitledger.rules import queue, rotations
from gitledger.rules.queue import REFUSAL_REF, SUPPORT_REF

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gitledger.objects.store import Store
    from gitledger.roles.place import Looked
    from gitledger.rules.queue import Queue
    from gitledger.rules.state import Snapshot, State

_ORPHANED: Final = 86400
"""How many seconds what supports a proposal is kept whose proposal is not here: a push may bring it a moment before."""

_TRIES: Final = 5


def settle(place: Place, now: int, tags: Looked = "newest") -> None:
    """Make the tags that are missing on the host `place`, and clear what is decided, at `now` in seconds.

    `tags` is as in `Place.settle`. Locks on refs that a killed git left are taken away first.

    Raises Unsound or Failed where the host can't be relied on, or can't be written.
    """
    place = place.through(place.store)
    newest = place.verified
    place.store.clear_stale_locks()
    _make_tags(place, tags)
    _bound_pushes(newest, place.store)
    refs = place.queue_refs()
    _remove(place.store, over(newest, refs, now))
    hold.note(place, now)
    write_durably(place.directory / settled.FILE, newest.oid + "\n")


def over(newest: Snapshot, refs: Mapping[str, str], now: int) -> dict[str, str]:
    """Those of the queue's `refs` that have nothing to wait for at `now`, with the objects they name."""
    return _decided(newest.state, refs, now) | _succeeded(newest, refs, now)


def pushes(newest: Snapshot) -> tuple[layout.Pair, ...]:
    """What Git is told on a host of how much a push may bring, by the policy of the `newest` snapshot (spec 11)."""
    limits = newest.state.policy.limits
    return layout.push_config(limits.proposal_bytes, limits.pending_per_domain)


def _bound_pushes(newest: Snapshot, store: Store) -> None:
    """What the policy takes, Git must let in. Whoever finds the file locked leaves it to the next run."""
    if any(layout.unmet(store.git_dir, pushes(newest))):
        with contextlib.suppress(Failed):
            layout.configure(store.git_dir, pushes(newest))


def _make_tags(place: Place, tags: Looked) -> None:
    """Another hook may be making the same tags, which are there at the next look; a killed one may have left locks."""
    for tried in range(1, _TRIES + 1):
        try:
            place.settle(tags)
        except Failed:
            if tried == _TRIES:
                raise
            place.store.clear_stale_locks()
            time.sleep(0.05 * tried)
        else:
            return


def _decided(state: State, refs: Mapping[str, str], now: int) -> dict[str, str]:
    """Those of `refs` that have nothing to wait for, with the objects they name."""
    waiting = queue.read(state, refs)
    gone = {ref for ref, line in waiting.lines.items() if all(one.oid in waiting.decided for one in line)}
    kept = {one.oid for ref, line in waiting.lines.items() if ref not in gone for one in line}
    grace = state.policy.grace_seconds
    for ref, tag in refs.items():
        if (match := SUPPORT_REF.fullmatch(ref)) is not None:
            over = _is_over(state, waiting, tag, match["proposal"], now)
        elif (match := REFUSAL_REF.fullmatch(ref)) is not None:
            over = _is_older(state, tag, now - grace)
        else:
            continue
        if over and match["proposal"] not in kept:
            gone.add(ref)
    return {ref: refs[ref] for ref in sorted(gone)}


def _succeeded(newest: Snapshot, refs: Mapping[str, str], now: int) -> dict[str, str]:
    """Those of `refs` that hold a rotation which was sealed, or has been stale for the grace period."""
    waiting = {ref: oid for ref, oid in refs.items() if ref.startswith("refs/rotations/")}
    if not waiting:
        return {}
    state = newest.state
    sealed = {rotation.digest.hex() for _, _, rotation in rotations.sealed(state)}
    gone = set(sealed)
    for one in rotations.read(newest, waiting).waiting:
        if one.stale:
            after = state.line.row(state.objects, one.on.number + 1).snapshot
            since = Commit.parse(state.objects.read(after, "commit")).committer.seconds
            if since < now - state.policy.grace_seconds:
                gone.add(one.hash)
    return {ref: oid for ref, oid in waiting.items() if ref.split("/")[2] in gone}


def _is_over(state: State, waiting: Queue, tag: str, proposal: str, now: int) -> bool:
    """Whether the proposal that a tag supports is decided, or was replaced some time ago."""
    if proposal in waiting.proposals:
        return True
    try:
        if state.line.acceptance(state.objects, proposal) is not None:
            return True
    except LedgerError:
        return False
    return not waiting.unreadable and _is_older(state, tag, now - _ORPHANED)


def _is_older(state: State, tag: str, seconds: int) -> bool:
    """Whether the tag was made before `seconds`. What can't be read is left alone."""
    try:
        return Tag.parse(state.objects.read(tag, "tag")).tagger.seconds < seconds
    except LedgerError:
        return False


def _remove(store: Store, refs: Mapping[str, str]) -> None:
    """Remove `refs` that still name these objects. What somebody else moved or removed meanwhile is theirs."""
    if not refs:
        return
    try:
        store.update([(ref, None, oid) for ref, oid in refs.items()])
    except Failed:
        store.clear_stale_locks()
        for ref, oid in refs.items():
            try:
                store.update([(ref, None, oid)])
            except Failed:
                continue
