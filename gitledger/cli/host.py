"""`init`, `hooks` and `host`: the repository that people push to."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from gitledger.cli import output
from gitledger.cli.commands import Argument, Option
from gitledger.cli.options import At, Json, Key, bytes_of, keys_by_domain, now, place_here, signer_for
from gitledger.errors import Malformed, Refused, Usage

if TYPE_CHECKING:
    from gitledger.roles.host import Card
    from gitledger.rules.state import Snapshot


def init(
    directory: Annotated[Path, Argument(metavar="DIR", help="The bare repository to make.")],
    *,
    domain: Annotated[str, Option("--domain", metavar="D", help="Your domain: the witness.")],
    key: Key = None,
    name: Annotated[str, Option("--name", metavar="N", help="The ledger's name.")] = "common",
    template: Annotated[
        str | None, Option("--template", metavar="personal|group", help="The policy to start from.")
    ] = None,
    policy: Annotated[Path | None, Option("--policy", metavar="FILE", help="A policy of your own.")] = None,
    member: Annotated[
        list[str] | None,
        Option("--member", metavar="D=PUBKEY", help="A domain that is registered from the start."),
    ] = None,
    authority: Annotated[
        list[str] | None,
        Option("--authority", metavar="D=PUBKEY", help="Whose endorsement counts; without any, every member's."),
    ] = None,
    threshold: Annotated[
        int | None, Option("--threshold", metavar="K", help="How many make a quorum: the smallest majority.")
    ] = None,
    as_json: Json = False,
    at: At = None,
) -> None:
    """Found a ledger in a new bare repository.

    It prints the card to hand out.

    PUBKEY is a file or a line. Members and authorities get manifests with that key as root and publisher.

    --json: ledger, ledger_id, directory, snapshot, oid, witness {domain, key_id}, authorities [{domain, key_id}],
    threshold, may_lose.
    """
    from gitledger.roles import host

    members = keys_by_domain(member or [], "--member")
    authorities = keys_by_domain(authority or [], "--authority") if authority else None
    genesis = host.create(
        directory,
        witness=(domain, signer_for(None, key)),
        seconds=now(),
        name=name,
        members=members,
        authorities=authorities,
        threshold=threshold,
        policy=bytes_of(policy.expanduser()) if policy else None,
        template=template,
    )
    card = host.card(genesis)
    where = directory.resolve()
    if as_json:
        output.as_json(_card_json(card, genesis, where))
        return
    _print_card(card, genesis, where, key)


def install(
    directory: Annotated[Path, Argument(metavar="DIR", help="A bare repository that holds a ledger.")],
    as_json: Json = False,
    at: At = None,
) -> None:
    """Make an existing bare repository a host.

    The ledger in it is verified from genesis, unless it is a host already; Git is set up, the hooks are put in.
    Again, it renews them. In a clone, it renews the guard and the settings.

    --json: ledger, ledger_id, directory, snapshot.
    """
    from gitledger.roles import host

    with output.progress("Verifying from genesis") as meter:
        place = host.install(directory, progress=meter.step)
    newest = place.verified.name
    if place.role == "clone" and not as_json:
        output.say(f"The guard and the settings of the clone {directory} are as they should be.")
        return
    if as_json:
        where = str(directory.resolve())
        output.as_json({"ledger": place.name, "ledger_id": place.anchor, "directory": where, "snapshot": newest})
        return
    output.say(f"{directory} is set up as a host; its newest snapshot is {newest}.")
    output.say()
    output.fields([("ledger id", place.anchor)])
    output.say()
    output.say("Compare the ledger id with what the founders gave out.")


def check(
    directory: Annotated[Path, Argument(metavar="DIR", help="A host.")], as_json: Json = False, at: At = None
) -> None:
    """Say what a host lacks.

    Hooks, settings, tags, each with what mends it. Exit status 1 where it lacks anything.

    --json: directory, problems [sentence].
    """
    from gitledger.roles import host

    problems = host.check(directory)
    if as_json:
        output.as_json({"directory": str(directory.resolve()), "problems": problems})
    elif not problems:
        output.say(("✓ ", output.GOOD), f"{directory} lacks nothing.")
    if not problems:
        return
    if not as_json:
        for problem in problems:
            what, _, mend = problem.rpartition("; ")
            output.say(("✗ ", output.BAD), what or mend)
            if what:
                output.command(mend.removeprefix("run: "), indent=4)
    raise Refused("host-lacks", f"{directory} lacks {output.count(len(problems), 'thing')}")


def freeze(
    period: Annotated[str, Option("--for", metavar="DURATION", help="How long, such as 7d or 24h.")],
    as_json: Json = False,
    at: At = None,
) -> None:
    """Hold the branch, while a rotation is endorsed.

    Until then no snapshot is taken but the seal of a rotation; proposals and endorsements are, as always. It ends by
    itself, with the seal of a rotation, or with `gitledger host thaw`.

    --json: snapshot, since, until.
    """
    from gitledger.documents.names import seconds_of
    from gitledger.roles import hold

    place = place_here()
    try:
        seconds = seconds_of(period)
    except Malformed as error:
        raise Usage(error.rule, error.what, "gitledger host freeze --for 7d") from None
    made = hold.freeze(place, seconds, int(time.time()))
    newest = place.verified.name
    if as_json:
        output.as_json({"snapshot": newest, "since": output.iso(made.since), "until": output.iso(made.until)})
        return
    output.say((f"Frozen at {newest}", output.WAITS), f" until {output.when(made.until)}. To end it:")
    output.command("gitledger host thaw")


def thaw(as_json: Json = False, at: At = None) -> None:
    """End a freeze: the witness may emit again.

    --json: thawed.
    """
    from gitledger.roles import hold

    thawed = hold.thaw(place_here())
    if as_json:
        output.as_json({"thawed": thawed})
    else:
        output.say("The witness may emit again." if thawed else "Nothing was frozen.")


def _print_card(card: Card, genesis: Snapshot, where: Path, key: str | None) -> None:
    output.say((genesis.name, output.HEAD), f" is founded in {where}.")
    output.say()
    width = max(len(domain) for domain, _ in (card.witness, *card.authorities))
    rows: list[output.Row] = [("ledger id", card.ledger_id), ("witness", _who(card.witness, width))]
    for number, authority in enumerate(card.authorities):
        rows.append(("" if number else "authorities", _who(authority, width)))
    rows.append(("quorum", f"{card.threshold} of {len(card.authorities)}: {_may_lose(card)}"))
    output.fields(rows)
    output.say()
    output.say("Hand out the ledger id: it is the anchor by which everybody knows this ledger.")
    address = shlex.quote(str(where))
    output.command(f"gitledger clone {address} DIR --anchor {card.ledger_id}")
    output.say("Number what people propose, as the witness:")
    signing = f" --key {shlex.quote(_absolute(key))}" if key else ""
    output.command(f"gitledger -C {address} emit{signing}")


def _who(who: tuple[str, str], width: int) -> tuple[output.Part, ...]:
    domain, key_id = who
    return (f"{domain.ljust(width)}  ", (key_id, output.DIM))


def _absolute(key: str) -> str:
    path = Path(key).expanduser()
    return str(path.absolute()) if path.exists() else key


def _may_lose(card: Card) -> str:
    if card.may_lose == 0:
        return "you may lose none of their keys"
    return f"you may lose {card.may_lose}"


def _card_json(card: Card, genesis: Snapshot, where: Path) -> dict[str, object]:
    return {
        "ledger": card.name,
        "ledger_id": card.ledger_id,
        "directory": str(where),
        "snapshot": genesis.name,
        "oid": genesis.oid,
        "witness": _who_json(card.witness),
        "authorities": [_who_json(authority) for authority in card.authorities],
        "threshold": card.threshold,
        "may_lose": card.may_lose,
    }


def _who_json(who: tuple[str, str]) -> dict[str, str]:
    domain, key_id = who
    return {"domain": domain, "key_id": key_id}
