"""`rotate`, `rotations`: a quorum names another witness, and how that stands."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

from gitledger.cli import output, report, standing
from gitledger.cli.commands import Option
from gitledger.cli.options import REMOTE, At, Json, Key, now, place_here, signer_for
from gitledger.cli.proposer import say_sent, sent_json
from gitledger.errors import Unreachable, Usage

if TYPE_CHECKING:
    from gitledger.documents.rotation import WitnessKey
    from gitledger.roles.place import Place
    from gitledger.roles.succession import Sealed, Standing
    from gitledger.rules.rotations import Drafted
    from gitledger.signing.signers import Signer

_SHORT: Final = 12
_LOGIN: Final = re.compile(r"\A(https?://)[^/@]*@")

Besides: TypeAlias = Annotated[
    list[str] | None,
    Option(
        "--besides",
        metavar="H",
        help="You endorsed this rotation on the same snapshot, and mean to endorse another besides; may be repeated.",
    ),
]


def rotate(
    domain: Annotated[str, Option("--to", metavar="DOMAIN", help="Who is to be the witness.")],
    *,
    key_id: Annotated[
        str | None, Option("--key-id", metavar="ID", help="With which of its keys, where it has several.")
    ] = None,
    reason: Annotated[
        str | None, Option("--reason", metavar="TEXT", help="One line for people; nobody endorses it.")
    ] = None,
    worksheet: Annotated[
        bool,
        Option("--worksheet", help="Print a page for an authority with ssh-keygen alone; sign and push nothing."),
    ] = False,
    besides: Besides = None,
    yes: Annotated[bool, Option("--yes", "-y", help="Do not ask.")] = False,
    key: Key = None,
    as_json: Json = False,
    at: At = None,
) -> None:
    """Name another witness, with other authorities.

    It drafts a rotation on the newest snapshot, and endorses it. In a clone it fetches first. Where the same is drafted
    already, that one is endorsed. On a terminal it shows what is endorsed, and asks (not with --json).

    Where the host can't be reached, it is kept here to be carried.

    --json: as in `rotations`, for this one; said, kept (or null).
    """
    from gitledger.roles import succession

    if worksheet and as_json:
        raise Usage("worksheet-json", "a worksheet is a page for people", "leave out --json, or --worksheet")
    place = place_here()
    signer = None if worksheet else signer_for(place, key)
    place = _freshened(place)
    waiting = succession.draft(place, domain, key_id, reason)
    if signer is None:
        _print_worksheet(place, waiting)
        return
    endorse(place, signer, waiting, reason=reason, besides=besides or (), ask=not yes, as_json=as_json)


def rotations(as_json: Json = False, at: At = None) -> None:
    """Which rotations of the witness wait, or were sealed.

    In a clone, as last fetched.

    --json: ledger, rotations [{rotation, standing: pending | complete | stale | sealed, from {domain, key_id},
    to {domain, key_id}, on {snapshot, hash}, reason, threshold, endorsed_by, missing, missing_of, until, sealed_by}],
    endorsed_both [{domain, snapshot, rotations}], unreadable [{ref, reason}].
    """
    from gitledger.roles import succession

    place = place_here()
    found = succession.standing(place, int(time.time()))
    if as_json:
        output.as_json(_standing_json(place, found))
        return
    if not found.waiting:
        output.say("No rotation waits.")
    for number, one in enumerate(found.waiting):
        if number:
            output.say()
        _show_listed(place, one, found)
    for both in found.both:
        output.say()
        output.say(
            (f"{both.domain} endorsed {len(both.rotations)} rotations on {both.name}: ", output.BAD),
            ", ".join(one[:_SHORT] for one in both.rotations),
        )
    if found.sealed:
        output.heading("Sealed")
        for sealed in reversed(found.sealed):
            _show_sealed(sealed)
    if found.unreadable:
        output.heading("Can't be read, and is left alone")
        for ref, error in found.unreadable.items():
            output.say((ref.removeprefix("refs/rotations/"), output.BAD), f"  {standing.reason(error)}", indent=2)


def endorse(
    place: Place,
    signer: Signer,
    waiting: Drafted,
    *,
    reason: str | None = None,
    besides: Sequence[str] = (),
    ask: bool = True,
    as_json: bool = False,
) -> None:
    """Show a rotation, ask on a terminal, endorse it. `reason` is what a new draft of it was to say."""
    from gitledger.roles import succession

    domain = succession.must_be_elector(signer, waiting)
    succession.must_agree(place, domain, waiting, besides)
    if not as_json:
        _show(waiting)
        if reason not in (None, waiting.rotation.rotation.reason):
            output.say(("It is drafted already, and its reason stays.", output.WAITS))
        if ask and output.interactive():
            output.confirm(f"Endorse it as {domain}?")
    done = succession.endorse(place, signer, waiting, now(), besides=besides, remote=REMOTE)
    if as_json:
        output.as_json({**report.drafted_json(done.waiting), **sent_json(done.sent)})
        return
    name = f"rotation to {waiting.new[0]} on {waiting.on.name}, {waiting.hash[:_SHORT]}"
    output.say((f"Endorsed by {domain}: ", output.GOOD), name)
    _say_missing(done.waiting)
    say_sent(done.sent)


def _freshened(place: Place) -> Place:
    """A clone fetches, and goes on with what it has where nobody answers; a host finishes what it decided."""
    if place.role == "host":
        from gitledger.roles import host

        host.settle(place, int(time.time()))
        return place
    from gitledger.cli.consumer import bring_in

    try:
        fetched = bring_in(place)
    except Unreachable as error:
        output.note(
            ("Not fetched: ", output.WAITS),
            f"{standing.reason(error)}. It goes on with what is here, {place.verified.name}.",
        )
        return place
    newest = fetched.place.verified.name
    if fetched.stale is not None:
        older = f"{place.name}@{fetched.stale}"
        output.note(("It is stale: ", output.WAITS), f"{REMOTE} has {older}, and {newest} is verified here.")
    if fetched.ahead is not None:
        name, seconds = fetched.ahead
        output.note((f"{name} waits: ", output.WAITS), f"it is dated {output.when(seconds)}, ahead of this clock.")
    if fetched.queue_error is not None:
        output.note(("The queue was not fetched: ", output.WAITS), str(fetched.queue_error))
    return fetched.place


def _print_worksheet(place: Place, waiting: Drafted) -> None:
    """The page, and nothing else."""
    from gitledger.cli.worksheet import page
    from gitledger.roles import succession

    drafted = succession.drafted(place, waiting, remote=REMOTE)
    content = place.store.read(drafted, "blob") if drafted else None
    sys.stdout.write(page(waiting, content, _address(place)))


def _address(place: Place) -> str:
    """Where the host is, for whoever pushes from somewhere else; a name and a password in it are nobody else's."""
    if place.role == "host":
        return str(place.store.git_dir)
    told = place.store.git("remote", "get-url", "--push", REMOTE, check=False)
    if told.returncode:
        raise Usage("no-remote", f"there is no remote {REMOTE} to push to", f"git remote add {REMOTE} URL")
    return _LOGIN.sub(r"\1", told.stdout.decode("utf-8", "replace").strip())


# What a person reads


def _show(waiting: Drafted) -> None:
    """What is endorsed: who leaves, who comes, on which snapshot, H."""
    change, on = waiting.rotation.rotation, waiting.on
    first, second = output.grouped(waiting.hash)
    cancels = change.old_witness == change.new_witness
    output.say((f"Rotation of the witness to {waiting.new[0]}", output.HEAD), f" on {on.name}")
    rows: list[output.Row] = [
        ("leaves", _who(change.old_witness)),
        ("comes", _who(change.new_witness)),
        ("on", (on.name,)),
        ("", (on.hash,)),
        ("H", (first,)),
        ("", (second,)),
        *_endorsements(waiting),
    ]
    if change.reason is not None:
        rows.append(("reason", (change.reason, (" (which nobody endorsed)", output.DIM))))
    output.fields(rows)
    if cancels:
        output.say("It is to the witness that serves, and cancels any other that waits on this snapshot.")
    output.say()


def _show_listed(place: Place, waiting: Drafted, found: Standing) -> None:
    word = waiting.standing
    style = {"complete": output.GOOD, "pending": output.WAITS}.get(word, output.DIM)
    output.say(
        (word, style), f"  {waiting.hash[:_SHORT]}  to ", (waiting.new[0], output.HEAD), f" on {waiting.on.name}"
    )
    output.fields([("key", ((waiting.new[1], output.DIM),)), *_endorsements(waiting)])
    if waiting.stale:
        output.say((f"{waiting.on.name} is not the newest any more: nobody can seal it.", output.DIM), indent=2)
    elif word == "pending":
        output.command(f"gitledger endorse {waiting.hash[:_SHORT]}", indent=4)
    elif waiting.hash in found.until:
        until = output.when(found.until[waiting.hash])
        seen = "" if place.role == "host" else " (as first seen here)"
        output.say(f"The host takes nothing but a seal until {until}{seen}; {waiting.new[0]} makes it:", indent=2)
        output.command("gitledger emit", indent=4)
    else:
        output.say(
            f"Its grace period is over: the old witness may emit, and {waiting.new[0]} may still seal it:", indent=2
        )
        output.command("gitledger emit", indent=4)


def _show_sealed(one: Sealed) -> None:
    change = one.rotation.rotation
    old, new = change.old_witness.domain_id, change.new_witness.domain_id
    on = one.rotation.previous_snapshot.snapshot_id
    endorsed = ", ".join(each.domain_id for each in one.rotation.endorsements.endorsements)
    output.say(
        (one.name, output.HEAD),
        f"  {one.rotation.digest.hex()[:_SHORT]}  from {old} to {new} on {on}, endorsed by {endorsed}",
        indent=2,
    )


def _endorsements(waiting: Drafted) -> list[output.Row]:
    have, threshold = waiting.endorsements, waiting.rotation.endorsements.threshold
    by = f" by {', '.join(one.domain_id for one in have)}" if have else ""
    lack, among = waiting.missing
    rows: list[output.Row] = [("endorsed", f"{len(have)} of {threshold}{by}")]
    return [*rows, ("missing", f"{lack} of {', '.join(among)}")] if lack else rows


def _say_missing(waiting: Drafted) -> None:
    lack, among = waiting.missing
    if lack:
        output.say(f"It needs {lack} more of {', '.join(among)}:")
        output.command(f"gitledger endorse {waiting.hash[:_SHORT]}")
    else:
        output.say(f"It is complete: {waiting.new[0]} seals it with the next snapshot.")
        output.command("gitledger emit")


def _who(witness: WitnessKey) -> tuple[output.Part, ...]:
    return (f"{witness.domain_id}  ", (witness.pubkey_id, output.DIM))


# What a program reads


def _standing_json(place: Place, found: Standing) -> dict[str, object]:
    waiting = (report.drafted_json(one, found.until.get(one.hash, 0)) for one in found.waiting)
    sealed = (report.sealed_json(one.rotation, one.name) for one in found.sealed)
    return {
        "ledger": place.name,
        "rotations": [*waiting, *sealed],
        "endorsed_both": [
            {"domain": one.domain, "snapshot": one.name, "rotations": list(one.rotations)} for one in found.both
        ],
        "unreadable": [{"ref": ref, "reason": standing.reason(error)} for ref, error in found.unreadable.items()],
    }
