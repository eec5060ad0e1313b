"""What was signed in a clone goes to the host, or is kept here where the host can't be reached (spec 12).

What is kept waits under `refs/gitledger/incoming/carried/`, counts in the queue as this place sees it, and goes into
the next file that `gitledger carry out` writes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gitledger.errors import LedgerError, Unreachable
from gitledger.exchange import remotes
from gitledger.roles.place import Place


@dataclass(frozen=True, slots=True)
class Sent:
    """What the host said; or `kept`, why it could not be asked, where all of it is kept here to be carried."""

    said: str
    kept: LedgerError | None = None


def send(place: Place, refs: Mapping[str, str], *, remote: str, force: bool = False) -> Sent:
    """Push `refs`, full names on the host and object ids; a clone keeps them where the host can't be reached.

    Raises what `remotes.push` raises otherwise.
    """
    try:
        said = remotes.push(place.store, place.remote(remote), refs, force=force).said
    except Unreachable as error:
        if place.role == "host":
            raise
        place.keep(refs)
        return Sent("", error)
    place.pushed(refs, remote)
    return Sent(said)
