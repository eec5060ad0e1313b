"""`carry out`, `carry in`, `carry inspect`: the ledger on a stick, where no network goes."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, cast

from gitledger.cli import output, report
from gitledger.cli.commands import Argument, Option
from gitledger.cli.options import At, Json, place_here
from gitledger.errors import LedgerError, Refused, Usage

if TYPE_CHECKING:
    from gitledger.roles.carrier import For, Inspected, Record, Taken
    from gitledger.roles.place import Place

_TO: Final = ("consumer", "witness", "authority")

File = Annotated[Path, Argument(metavar="FILE", help="The file on the stick: a Git bundle.")]


def out(
    file: File,
    *,
    to: Annotated[
        str | None,
        Option(
            "--for",
            metavar="consumer|witness|authority",
            help="Who it is for: snapshots, what waits, or both, as without it.",
        ),
    ] = None,
    since: Annotated[
        str | None,
        Option("--since", metavar="SNAPSHOT", help="What they have; else what the last carry in told, or nothing."),
    ] = None,
    as_json: Json = False,
    at: At = None,
) -> None:
    """Write to a file what the other side lacks.

    It is a Git bundle, and stock git reads it, too. What waits in a clone is what was last fetched, carried in, or
    signed here while the host could not be reached.

    --json: file, for (or null), since (or null), snapshot, snapshots, refs [ref].
    """
    from gitledger.roles import carrier

    if to is not None and to not in _TO:
        raise Usage("carry-for", f"--for is {', '.join(_TO[:-1])} or {_TO[-1]}, not {to}", "--for witness")
    done = carrier.out(place_here(), file, int(time.time()), to=cast("For | None", to), since=since)
    if as_json:
        output.as_json(
            {
                "file": str(file),
                "for": to,
                "since": done.since,
                "snapshot": done.newest,
                "snapshots": done.snapshots,
                "refs": sorted(done.refs),
            }
        )
        return
    since_said = f"since {done.since}" if done.since else "from genesis on"
    output.say((str(file), output.HEAD), f" is written, with what is new {since_said}:")
    if done.snapshots:
        output.say(f"{output.count(done.snapshots, 'snapshot')}, up to {done.newest}", indent=2)
    for line in _counted(done.refs):
        output.say(line, indent=2)
    if not done.refs:
        output.say(f"nothing but word that {done.newest} is the newest here", indent=2)
    output.say("They take it in with")
    output.command(f"gitledger carry in {file.name}")


def take(file: File, as_json: Json = False, at: At = None) -> None:
    """Take in what a file brings.

    On a host, it is pushed to it, and its hooks decide; in a clone, snapshots are verified as in a fetch, and what
    waits is kept apart, for endorse and carry out. What is refused keeps nothing else away, and makes the exit status
    1; a fork makes it 3.

    --json: from {place, role, snapshot} or null, before, after, ahead {snapshot, time} or null,
    refs [{ref, outcome: taken | there | refused | left, said}].
    """
    from gitledger.roles import carrier

    place = place_here()
    with output.progress("Verifying") as meter:
        done = carrier.take(place, file, int(time.time()), progress=meter.step)
    if as_json:
        output.as_json(_taken_json(done))
    else:
        _show_taken(done)
    if done.refused:
        raise Refused(
            "carried-in-part",
            f"{len(done.refused)} of {output.count(len(done.items), 'ref')} of it {report.was(len(done.refused))} "
            "refused, as said above",
            "what was taken stays; the same file may be taken in again",
        )


def inspect(file: File, as_json: Json = False, at: At = None) -> None:
    """Tell what is in a file, without taking it.

    Nothing of it is verified by that. What is damaged makes the exit status 1; what builds on something else does not.

    --json: ledger_id, from {place, role, snapshot}, since (each null where the file says nothing), builds_on,
    snapshots {from, to} or null, proposals [{ref, summaries}], releases, endorsements, rotations, refusals, others
    [ref], unread.
    """
    from gitledger.roles import carrier

    found = carrier.inspect(file, _place_if_any())
    if as_json:
        output.as_json(_inspected_json(found))
    else:
        _show_inspected(file, found)
    if found.unread is not None and found.unread.rule == "bundle-damaged":
        raise found.unread


def _place_if_any() -> Place | None:
    try:
        return place_here()
    except LedgerError:
        return None


def _show_taken(done: Taken) -> None:
    from gitledger.cli.consumer import say_newest

    name, before, after = done.place.name, done.before, done.place.verified.number
    for item in done.items:
        report.say_item(item)
    if done.ahead is not None:
        output.note(
            (f"{done.ahead[0]} waits: ", output.WAITS),
            f"it is dated {output.when(done.ahead[1])}, more than a day ahead of this machine's clock",
        )
    say_newest(name, before, after)


def _show_inspected(file: Path, found: Inspected) -> None:
    output.say((str(file), output.HEAD), " says that it holds the following. Nothing of it is verified.")
    record = found.record
    rows: list[output.Row] = []
    if record is not None:
        rows += [("ledger", record.ledger_id), ("from", f"a {record.role}, {record.place}, at {record.snapshot}")]
    if found.builds_on:
        rows.append(("builds on", ", ".join(found.builds_on)))
    if found.snapshots is not None:
        first, last = found.snapshots
        rows.append(("snapshots", first if first == last else f"{first} to {last}"))
    for ref, summaries in found.proposals.items():
        said = "; ".join(summaries)
        rows.append(("proposal", f"{ref.removeprefix('refs/proposals/')}{f'  {said}' if said else ''}"))
    for label, refs in (
        ("release", found.releases),
        ("endorsement", found.endorsements),
        ("rotation", found.rotations),
        ("refusal", found.refusals),
        ("left alone", found.others),
    ):
        rows += [(label, ref) for ref in refs]
    output.fields(rows)
    if found.unread is not None and found.unread.rule != "bundle-damaged":
        output.remark(found.unread)


def _counted(refs: Iterable[str]) -> list[str]:
    """How many there are of each kind of what waits."""
    listed = [ref.split("/") for ref in refs]
    named = [parts[1] for parts in listed]
    rotations = len({parts[2] for parts in listed if parts[1] == "rotations"})
    kinds = (
        (named.count("proposals"), "proposal"),
        (named.count("releases"), "release"),
        (named.count("endorsements"), "endorsement"),
        (rotations, "rotation"),
        (named.count("refusals"), "refusal"),
    )
    return [output.count(number, one) for number, one in kinds if number]


def _from_json(record: Record | None) -> dict[str, object] | None:
    return None if record is None else {"place": record.place, "role": record.role, "snapshot": record.snapshot}


def _taken_json(done: Taken) -> dict[str, object]:
    name, ahead = done.place.name, done.ahead
    return {
        "from": _from_json(done.record),
        "before": f"{name}@{done.before}",
        "after": done.place.verified.name,
        "ahead": {"snapshot": ahead[0], "time": output.iso(ahead[1])} if ahead else None,
        "refs": [report.item_json(item) for item in done.items],
    }


def _inspected_json(found: Inspected) -> dict[str, object]:
    record = found.record
    return {
        "ledger_id": record and record.ledger_id,
        "from": _from_json(record),
        "since": (record and record.since) or None,
        "builds_on": list(found.builds_on),
        "snapshots": found.snapshots and dict(zip(("from", "to"), found.snapshots, strict=True)),
        "proposals": [{"ref": ref, "summaries": list(said)} for ref, said in found.proposals.items()],
        "releases": list(found.releases),
        "endorsements": list(found.endorsements),
        "rotations": list(found.rotations),
        "refusals": list(found.refusals),
        "others": list(found.others),
        "unread": str(found.unread) if found.unread else None,
    }
