"""`domain export`: a domain's identity, keys, policies and attestations as plain files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from gitledger.cli import output
from gitledger.cli.commands import Argument, Option
from gitledger.cli.domain import domain_of
from gitledger.cli.options import At, Json, Key, place_here
from gitledger.errors import Usage


def export(
    named: Annotated[
        list[str], Argument(metavar="[DOMAIN] DIR", help="DIR is made; DOMAIN may be left out where your key has one.")
    ],
    *,
    of: Annotated[
        str | None, Option("--at", metavar="SNAPSHOT", help="As of this verified snapshot, and not the newest.")
    ] = None,
    key: Key = None,
    as_json: Json = False,
    at: At = None,
) -> None:
    """Write a domain to a directory, for machines that hold no ledger.

    domain.id, domain.pubkey (its first root key), domain.yaml (its manifest), authorities/ (every key), policies/ and
    attestations/, of one verified snapshot, which the file snapshot names. Nobody needs the clone after.

    --json: domain, directory, snapshot, hash, ledger_id, files [path].
    """
    from gitledger.roles import export as role

    place = place_here()
    if len(named) not in (1, 2):
        raise Usage("arguments", f"[DOMAIN] DIR are wanted, and there are {len(named)} arguments", "--help says more")
    domain = domain_of(place, named[0] if len(named) == 2 else None, key)
    directory = Path(named[-1]).expanduser()
    done = role.export(place, domain, directory, of)
    if as_json:
        output.as_json(
            {
                "domain": done.domain,
                "directory": str(directory),
                "snapshot": done.snapshot.name,
                "hash": done.snapshot.hash,
                "ledger_id": place.anchor,
                "files": list(done.files),
            }
        )
        return
    output.say(f"{done.domain} as of {done.snapshot.name} is in ", (str(directory), output.HEAD), ":")
    for path in done.files:
        output.say(path, indent=2)
