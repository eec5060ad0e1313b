"""`emit`: the witness numbers what is ready."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

from gitledger.cli import output, report
from gitledger.cli.commands import Argument, Option
from gitledger.cli.options import At, Json, Key, key_at_hand, now, place_here, signer_for, waiting

if TYPE_CHECKING:
    from gitledger.roles.place import Place
    from gitledger.roles.witness import Plan


def emit(
    proposals: Annotated[
        list[str] | None,
        Argument(metavar="[PROPOSAL]...", help="Take these alone, and what they stand on; without any, all."),
    ] = None,
    *,
    dry_run: Annotated[bool, Option("--dry-run", help="Only tell; sign nothing.")] = False,
    first_here: Annotated[
        bool, Option("--first-here", help="No other machine holds a signed snapshot that is not published.")
    ] = False,
    yes: Annotated[bool, Option("--yes", "-y", help="Do not ask.")] = False,
    key: Key = None,
    as_json: Json = False,
    at: At = None,
) -> None:
    """Number what is ready, as the witness.

    One snapshot a proposal; what can't become valid any more is refused, the rest waits. Whom a quorum has named as
    the next witness seals that rotation first, and goes on with the queue.
    In a clone it fetches first. On a terminal it tells what it will do, and asks (not with --json).

    --json: newest, and as they stood before: superseded {number, kept} or null, unpublished, sealing {snapshot, and
    as of `rotations`} or null, ready, waiting, refused [as of `proposals`], unreadable [{ref, reason}].
    """
    from gitledger.roles import witness

    place = _freshened(place_here())
    only = [waiting(place, named).oid for named in proposals] if proposals else None
    if dry_run:
        key_id = key_at_hand(place, key)
        mine = key_id if key_id and witness.may_emit(place, key_id) else None
        _tell(place, witness.plan(place, mine, first_here=True, only=only), as_json)
        return
    signer = signer_for(place, key)
    plan = witness.plan(place, signer.key.key_id, first_here=first_here, only=only)
    if not (plan.published or plan.refused or plan.superseded):
        _tell(place, plan, as_json)
        return
    seconds = now()
    asked = output.interactive() and not yes and not as_json and bool(plan.published or plan.refused)
    if asked:
        _ask(place, plan, seconds)
        only = [verdict.proposal.oid for verdict in (*plan.ready, *plan.refused)]
    with output.progress("Emitting") as meter:
        done = witness.emit(place, signer, seconds, first_here=first_here, only=only, progress=meter.step)
    if as_json:
        output.as_json(report.plan_json(done, place.name))
        return
    if not asked:
        report.print_plan(done, place.name, done=True, gap=False)
        output.say()
    _say_published(place, done)


def _freshened(place: Place) -> Place:
    """A clone fetches; a host draws the consequences of what it decided."""
    if place.role == "host":
        from gitledger.roles import host

        host.settle(place, int(time.time()))
        return place
    from gitledger.cli import consumer
    from gitledger.roles import witness

    fetched = consumer.bring_in(place)
    witness.must_be_current(fetched)
    if fetched.queue_error is not None:
        output.note(("The queue was not fetched: ", output.WAITS), str(fetched.queue_error))
    return fetched.place


def _tell(place: Place, plan: Plan, as_json: bool) -> None:
    """What an emission would do."""
    if as_json:
        output.as_json(report.plan_json(plan, place.name))
    elif plan.published or plan.verdicts or plan.unreadable or plan.superseded:
        report.print_plan(plan, place.name, gap=False)
    else:
        output.say(f"Nothing waits: {place.verified.name} stays the newest.")


def _ask(place: Place, plan: Plan, seconds: int) -> None:
    """Show the clock and the plan, and take a yes."""
    last = plan.newest
    output.fields(
        [("this clock says", output.when(seconds)), (f"{last.name} is of", output.when(last.seconds))], indent=0
    )
    if seconds < last.seconds:
        output.say((f"This clock is behind: the new snapshots will be dated as {last.name} is.", output.WAITS))
    report.print_plan(plan, place.name)
    output.say()
    output.say("Numbers are for ever: what is published can't be taken back.")
    output.confirm("Emit?")


def _say_published(place: Place, done: Plan) -> None:
    if names := done.published:
        span = names[0] if len(names) == 1 else f"{names[0]} … {names[-1]}"
        output.say((span, output.HEAD), " published.")
    if done.sealing is not None:
        output.say(f"The witness is {done.sealing.new[0]} now.")
    if done.refused:
        output.say(f"{output.count(len(done.refused), 'proposal')} refused, each with a signed receipt.")
