"""`adopt`, `evidence check`: what a consumer does about a fork, and what anybody can check of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from gitledger.cli import output
from gitledger.cli.commands import Argument, Option
from gitledger.cli.options import At, Json, place_here
from gitledger.errors import Failed, LedgerError, Refused

if TYPE_CHECKING:
    from gitledger.roles.adoption import Move
    from gitledger.roles.evidence import Fork, Misconduct, Proven
    from gitledger.roles.place import Place


def adopt(
    named: Annotated[
        str | None,
        Argument(metavar="[HASH]", help="The snapshot hash of a side, or 8 hex of its beginning, or its commit."),
    ] = None,
    *,
    yes: Annotated[bool, Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: Json = False,
    at: At = None,
) -> None:
    """Go over to the other side of a fork.

    Without HASH, to the side that seals a quorum's rotation, where only one does. Naming the side that you are on
    resolves the fork by staying. On a terminal it asks first.

    --json: fork, chosen (hash), stays, snapshot, left {from, to, count, hash}.
    """
    from gitledger.roles import adoption

    place = place_here()
    with output.progress("Verifying") as meter:
        move = adoption.look(place, named, progress=meter.step)
    if output.interactive() and not yes and not as_json:
        _show(move)
        output.confirm("Stay on this side?" if move.stays else f"Go over to {move.newest.name} of the other side?")
    after = adoption.adopt(place, move)
    first, newest = move.left
    if as_json:
        output.as_json(
            {
                "fork": move.fork.name,
                "chosen": move.chosen.hash,
                "stays": move.stays,
                "snapshot": after.verified.name,
                "left": {"from": first, "to": newest, "count": move.count, "hash": move.left_side.hash},
            }
        )
        return
    name = (after.verified.name, output.HEAD)
    if move.stays:
        output.say(name, f" stays: the fork at {move.fork.name} is resolved. The other side is kept as it was seen.")
        return
    output.say(name, f" is verified: the line goes over to the side of {move.chosen.witness} at {move.fork.name}.")
    output.say(f"Left behind: {_left(move)}. It is kept as {_ref(move)}.")
    output.say("The checkout stays where it is. To move it:")
    output.command(f"gitledger pin {after.verified.name}")


def check(
    file: Annotated[Path, Argument(metavar="FILE", help="An evidence file, as gitledger fetch writes it.")],
    as_json: Json = False,
    at: At = None,
) -> None:
    """Check what an evidence file proves.

    It needs no ledger. In a clone or a host of the ledger that it is about, the base is compared, too.

    --json: kind, ledger_id, base {snapshot, hash, here (verified here, or null)}, sides [{oid, hash, witness, key_id,
    rotates_to, endorsed}], signed_both, endorsed_both, oid, domain, key_id, standing, rule, reason.
    """
    from gitledger.roles import evidence

    proven = evidence.check(_content(file, evidence.LARGEST))
    here = _compared(proven)
    if as_json:
        output.as_json(_as_json(proven, here))
        return
    if isinstance(proven, evidence.Fork):
        _print_fork(proven)
    else:
        _print_misconduct(proven)
    output.heading("What it stands on")
    output.fields([("ledger", proven.ledger_id), ("snapshot", proven.base), ("hash", proven.base_hash)])
    if here:
        output.say((f"That is the {proven.base} that is verified here.", output.GOOD))
    else:
        output.say(
            f"What a file can't prove is that this {proven.base} is of your ledger. Compare the hash with yours:"
        )
        output.command(f"git cat-file commit {proven.base} | sha256sum")


def _show(move: Move) -> None:
    fork = move.fork
    output.say((f"FORK at {fork.name}: ", output.BAD), fork.sentence)
    other = ("there", fork.there) if move.stays else ("to adopt", move.chosen)
    for where, side in (("here", fork.here), other):
        output.fields([(where, f"{side.hash}, up to {side.newest}, by {side.witness}")])
    if not move.stays:
        output.say(f"Left behind would be {_left(move)}.")


def _ref(move: Move) -> str:
    return f"refs/gitledger/foreign/{move.fork.number}/{move.left_side.oid}"


def _left(move: Move) -> str:
    first, newest = move.left
    names = first if first == newest else f"{first} to {newest}"
    return f"{names} ({output.count(move.count, 'snapshot')}) of the side of {move.left_side.witness}"


def _content(file: Path, most: int) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(most + 1)
    except OSError as error:
        raise Failed("file-unreadable", f"{file}: {error.strerror}", f"ls -l {file}") from None


def _compared(proven: Proven) -> bool:
    """Whether the base is verified in the ledger that the command runs in; False where nothing can be compared.

    Raises Refused (`evidence-base-differs`) where that ledger has another snapshot of this number.
    """
    from gitledger.objects.codec import digest

    place = _place_of(proven.ledger_id)
    if place is None or proven.number > place.verified.number:
        return False
    row = place.row(proven.number)
    found = digest(place.store.read(row.snapshot, "commit"))
    if found != proven.base_hash:
        raise Refused(
            "evidence-base-differs",
            f"it stands on a {proven.base} with the hash {proven.base_hash}; the one that is verified here has {found}",
            "it says nothing of the line that you are on; of another line it may: check it outside of this ledger",
        )
    return True


def _place_of(ledger_id: str) -> Place | None:
    """The ledger here, where there is one and it has this id."""
    try:
        place = place_here()
    except LedgerError:
        return None
    return place if place.anchor == ledger_id else None


def _print_fork(proven: Fork) -> None:
    from gitledger.roles.evidence import endorsed_both

    output.say((f"✓ {proven.name} was signed in two ways, ", output.GOOD), f"both valid on {proven.base}.")
    for side in proven.sides:
        output.say()
        rows: list[output.Row] = [
            ("commit", side.oid),
            ("hash", side.hash),
            ("witness", f"{side.witness} {side.key_id}"),
        ]
        if side.rotates_to:
            rows.append(("rotates to", f"{side.rotates_to}, endorsed by {', '.join(side.endorsed)}"))
        output.fields(rows)
    both = endorsed_both(*proven.sides)
    if proven.twice or both:
        output.say()
    if proven.twice:
        output.say((f"{proven.twice[0]} signed both ", output.BAD), f"with the key {proven.twice[1]}.")
    if both:
        output.say((f"{', '.join(both)} endorsed both rotations, ", output.BAD), "to different witnesses.")


def _print_misconduct(proven: Misconduct) -> None:
    who = f"the witness of {proven.base}" if proven.serving else f"a former witness by {proven.base}"
    output.say((f"✓ {proven.domain} signed what is no valid snapshot on {proven.base}.", output.GOOD))
    output.fields(
        [
            ("commit", proven.oid),
            ("signed by", f"{proven.key_id}, {who}"),
            ("invalid", str(proven.fault)),
        ]
    )


def _as_json(proven: Proven, here: bool) -> dict[str, object]:
    from gitledger.roles.evidence import Fork, endorsed_both

    base = {"snapshot": proven.base, "hash": proven.base_hash, "here": here or None}
    said: dict[str, object] = {"ledger_id": proven.ledger_id, "base": base}
    if isinstance(proven, Fork):
        sides = [
            {
                "oid": side.oid,
                "hash": side.hash,
                "witness": side.witness,
                "key_id": side.key_id,
                "rotates_to": side.rotates_to or None,
                "endorsed": list(side.endorsed),
            }
            for side in proven.sides
        ]
        both = list(endorsed_both(*proven.sides))
        twice = proven.twice[0] if proven.twice else None
        return {"kind": "fork", **said, "sides": sides, "signed_both": twice, "endorsed_both": both}
    return {
        "kind": "misconduct",
        **said,
        "oid": proven.oid,
        "domain": proven.domain,
        "key_id": proven.key_id,
        "standing": "witness" if proven.serving else "former",
        "rule": proven.fault.rule,
        "reason": str(proven.fault),
    }
