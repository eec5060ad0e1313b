"""`collect`: proposals from a host that runs no hooks."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Final

from gitledger.cli import output, report
from gitledger.cli.commands import Argument
from gitledger.cli.options import At, Json, place_here
from gitledger.errors import Refused

if TYPE_CHECKING:
    from gitledger.roles.collecting import Collected

_SHOWN: Final = 20
_EXAMPLES: Final = 3


def collect(
    remote: Annotated[str, Argument(metavar="REMOTE", help="The name of a remote, or an address.")],
    refspecs: Annotated[
        list[str],
        Argument(metavar="REFSPEC…", help="Full refs there, or patterns with one *: 'refs/pull/*/head'."),
    ],
    as_json: Json = False,
    at: At = None,
) -> None:
    """Collect proposals from a forge.

    From its branches and pull requests, which run no hook of a ledger. A signed commit on a snapshot is a proposal for
    the domain of its key: refs/pull/7/head of alice becomes alice/pull-7. On a host, its hooks decide; in a clone it is
    kept as what was carried in is, and goes to the host with the next fetch. What is no proposal is left; what was told
    once is not told again. What is refused keeps nothing else away, and makes the exit status 1.

    --json: remote, refs [{from, ref, outcome: taken | refused, said}], left [{reason, count, refs: the first 3}],
    known, later.
    """
    from gitledger.roles import collecting

    done = collecting.collect(place_here(), remote, refspecs, int(time.time()))
    if as_json:
        output.as_json({"remote": remote, **_json(done)})
    else:
        _show(done)
    if done.refused:
        raise Refused(
            "collected-in-part",
            f"{len(done.refused)} of {output.count(len(done.items), 'ref')} {report.was(len(done.refused))} refused, "
            "as said above",
            "what was taken stays; the rest is looked at again in the next run, and told no more",
        )


def _show(done: Collected) -> None:
    for source, item in done.items[:_SHOWN]:
        report.say_item(item, source)
    if len(done.items) > _SHOWN:
        output.say(f"and {len(done.items) - _SHOWN} more: gitledger proposals")
    for reason, refs in sorted(done.left.items()):
        examples = ", ".join(refs[:_EXAMPLES]) + (", …" if len(refs) > _EXAMPLES else "")
        output.say(("left alone", output.WAITS), f"  {output.count(len(refs), 'ref')} {reason}: {examples}")
    if done.known:
        output.say((f"{output.count(done.known, 'ref')} there {report.was(done.known)} known before.", output.DIM))
    if done.later:
        output.note(
            (f"{output.count(done.later, 'ref')} there {report.was(done.later)} left to the next run.", output.WAITS)
        )
    if not (done.items or done.left or done.known or done.later):
        output.say("Nothing is there.")
    if done.place.role == "clone" and done.place.carried():
        output.say(
            "What is kept here goes to the host with the next gitledger fetch that reaches it. To carry it there:"
        )
        output.command("gitledger carry out FILE")


def _json(done: Collected) -> dict[str, object]:
    return {
        "refs": [{"from": source, **report.item_json(item)} for source, item in done.items],
        "left": [
            {"reason": reason, "count": len(refs), "refs": list(refs[:_EXAMPLES])}
            for reason, refs in sorted(done.left.items())
        ],
        "known": done.known,
        "later": done.later,
    }
