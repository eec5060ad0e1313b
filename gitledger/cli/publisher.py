"""`release`: a publisher looks at what others of the domain propose, and signs."""

from __future__ import annotations

from typing import Annotated

from gitledger.cli import output
from gitledger.cli.commands import Option
from gitledger.cli.matter import show_matter
from gitledger.cli.options import REMOTE, At, Key, Waiting, place_here, signer_for, waiting
from gitledger.cli.proposer import say_sent


def release(
    proposal: Waiting,
    *,
    yes: Annotated[bool, Option("--yes", "-y", help="Do not ask.")] = False,
    key: Key = None,
    at: At = None,
) -> None:
    """Look at what your domain would publish, and release it.

    What a producer or an executor proposes needs it, and what policies/publish.yaml asks for. It is a signed tag by a
    publisher of the domain who did not sign the proposal. On a terminal it asks before it signs.
    """
    from gitledger.roles import publisher, supporting

    place = place_here()
    signer = signer_for(place, key)
    matter = supporting.look(place, waiting(place, proposal))
    name = publisher.must_be_publisher(signer, matter)
    show_matter(place, matter)
    if output.interactive() and not yes:
        output.confirm(f"Release it as {name} of {matter.transition.who.domain}?")
    sent = publisher.release(place, signer, matter, remote=REMOTE)
    one = matter.proposal
    output.say((f"Released by {name}: ", output.GOOD), f"{one.oid[:12]} {one.summary}")
    say_sent(sent)
