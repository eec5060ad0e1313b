"""`endorse`: an authority looks at a change and signs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from gitledger.cli import output
from gitledger.cli.options import REMOTE, At, Key, Waiting, place_here, signer_for, waiting
from gitledger.cli.proposer import say_host

if TYPE_CHECKING:
    from gitledger.roles.authority import Matter
    from gitledger.roles.place import Place

# No program, filter or colour of anybody's configuration stands between a change and whoever endorses it.
_DIFF: Final = ("diff", "--no-color", "--no-ext-diff", "--no-textconv", "--no-renames", "--stat=78", "--patch")


def endorse(
    proposal: Waiting,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    key: Key = None,
    at: At = None,
) -> None:
    """Show a proposal's change, and endorse it.

    The endorsement is a signed tag. On a terminal it asks before it signs.
    """
    from gitledger.roles import authority

    place = place_here()
    signer = signer_for(place, key)
    matter = authority.look(place, waiting(place, proposal))
    domain = authority.must_be_elector(place, signer, matter)
    _show(place, matter)
    if output.interactive() and not yes:
        output.confirm(f"Endorse it as {domain}?")
    said = authority.endorse(place, signer, matter, remote=REMOTE)
    output.say((f"Endorsed by {domain}: ", output.GOOD), f"{matter.proposal.oid[:12]} {matter.proposal.summary}")
    say_host(said)


def _show(place: Place, matter: Matter) -> None:
    from gitledger.cli.changes import described

    one = matter.proposal
    first, _, body = one.commit.message.partition("\n")
    output.say((first, output.HEAD))
    output.fields(
        [
            ("proposed by", (f"{matter.transition.who.domain}  ", (one.key.key_id, output.DIM))),
            ("date", output.when(one.seconds)),
            ("proposal", one.oid),
            ("", (one.hash,)),
            ("endorsed by", ", ".join(each.domain for each in matter.endorsements) or "nobody yet"),
            *(
                ("" if number else "still needs", f"{lack} of {', '.join(among)}, for {demand.why}")
                for number, (demand, lack, among) in enumerate(matter.missing)
            ),
        ]
    )
    if body.strip():
        output.say()
        output.verbatim("\n".join(f"    {line}" for line in body.strip().split("\n")))
    means = list(described(matter.transition.changes, place.store))
    if means:
        output.heading("What it means")
        for sentence in means:
            output.say(f"- {sentence}", indent=2)
    output.heading("The change")
    diff = place.store.git(*_DIFF, one.base, one.oid, "--").stdout.decode(errors="replace")
    output.verbatim(diff.rstrip("\n"), _style)
    output.say()


def _style(line: str) -> str:
    if line.startswith(("diff ", "index ", "--- ", "+++ ", "new file", "deleted file")):
        return output.HEAD
    if line.startswith("@@"):
        return output.COMMAND
    return {"+": output.GOOD, "-": output.BAD}.get(line[:1], "")
