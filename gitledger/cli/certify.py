"""`certify`: a domain states something, signs it, and brings the envelope to where it is proposed from (spec 14)."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from gitledger.cli import output
from gitledger.cli.attestations import said_of, statement_json
from gitledger.cli.commands import Argument, Option
from gitledger.cli.options import At, Json, Key, now, place_here, signer_for, write_new
from gitledger.errors import Failed, Usage

if TYPE_CHECKING:
    from gitledger.documents.statement import Statement
    from gitledger.roles.place import Place
    from gitledger.roles.statements import Certified
    from gitledger.signing.signers import Signer

Named = Annotated[str, Argument(metavar="SNAPSHOT", help="As common@42, or 42.")]
Elsewhere = Annotated[
    Path | None,
    Option("--ledger", metavar="DIR", help="Of another ledger: a clone or a host of it, which is verified."),
]
Output = Annotated[
    Path | None,
    Option("--output", metavar="FILE", help="Write the envelope there, and stage nothing."),
]


def snapshot(
    snapshot: Named,
    *,
    represents: Annotated[
        str, Option("--represents", metavar="THING", help="What the snapshot represents, such as /home.")
    ],
    as_of: Annotated[
        int | None,
        Option("--as-of", metavar="N", min=0, help="The number in THING's own count; else that of the snapshot."),
    ] = None,
    ledger: Elsewhere = None,
    output_file: Output = None,
    key: Key = None,
    as_json: Json = False,
    at: At = None,
) -> None:
    """State that a snapshot represents something.

    A publisher signs it. With --ledger it is a snapshot of another ledger, such as alice@42 of your domain's own, which
    is bound here by name and hash.

    --json: digest, domain, path, file (where it was written), staged, signers [{key_id, roles}], type, subjects [{name,
    digest}], statement.
    """
    from gitledger.roles import statements

    place = place_here()
    about = _ledger(place, ledger)
    statement = statements.represents(about, snapshot, represents, as_of)
    _bring(place, [statement], key, output_file, as_json)


def path(
    file: Annotated[list[Path], Argument(metavar="FILE", help="A file here; with --in, its path in the snapshot.")],
    *,
    snapshot: Annotated[
        str | None, Option("--in", metavar="SNAPSHOT", help="The path is one of this snapshot, as common@42.")
    ] = None,
    ledger: Elsewhere = None,
    output_file: Output = None,
    key: Key = None,
    as_json: Json = False,
    at: At = None,
) -> None:
    """State that an artifact stands at a path.

    A publisher or a producer signs it: of each FILE that its bytes stand there, on this machine or, with --in, in a
    snapshot.

    --json: as of `certify snapshot`; of several files, statements [{the same}].
    """
    from gitledger.roles import statements

    place = place_here()
    if snapshot is None:
        if ledger is not None:
            raise Usage("snapshot-wanted", "--ledger is for a path of a snapshot", "--in alice@42 --ledger DIR")
        made = [statements.located(each) for each in file]
    else:
        about = _ledger(place, ledger)
        made = [statements.located_in(about, snapshot, str(each)) for each in file]
    _bring(place, made, key, output_file, as_json)


def audit(
    snapshot: Named,
    *,
    checked: Annotated[
        list[str], Option("--checked", metavar="TEXT", help="What was checked, a sentence; may be repeated.")
    ],
    found: Annotated[
        list[str] | None,
        Option("--found", metavar="TEXT", help="What was found, a sentence; without any, all that was checked holds."),
    ] = None,
    ledger: Elsewhere = None,
    output_file: Output = None,
    key: Key = None,
    as_json: Json = False,
    at: At = None,
) -> None:
    """State what you checked of a snapshot, and found.

    An auditor signs it and never writes: with --output it is a file, which a publisher of the domain takes with
    `gitledger certify add` and proposes.

    --json: as of `certify snapshot`.
    """
    from gitledger.roles import statements

    place = place_here()
    statement = statements.audited(_ledger(place, ledger), snapshot, checked, found or ())
    _bring(place, [statement], key, output_file, as_json)


def add(
    file: Annotated[Path, Argument(metavar="FILE", help="A DSSE envelope that holds an in-toto statement.")],
    key: Key = None,
    as_json: Json = False,
    at: At = None,
) -> None:
    """Stage an envelope that anybody made.

    It is held to the rules, and put at its path below domains/DOMAIN/attestations of whoever signed it.

    --json: as of `certify snapshot`.
    """
    from gitledger.roles import statements

    place = place_here()
    certified = statements.checked(place, statements.envelope_in(file), _node_at_hand(place, key), now())
    statements.stage(place, [certified])
    if as_json:
        output.as_json(certified_json(certified, None))
    else:
        say_certified([certified], None)


def say_certified(made: list[Certified], file: Path | None) -> None:
    """What was signed and by whom, where it is, and what to type next."""
    from gitledger.documents.manifest import MAKERS

    for certified in made:
        output.say(("✓ ", output.GOOD), said_of(certified.statement))
        signed = [f"{key_id} ({', '.join(sorted(roles))})" for key_id, (_, roles) in certified.signers.items()]
        output.fields(
            [
                ("envelope", certified.digest),
                ("written to" if file else "staged", str(file) if file else certified.path),
                ("signed by", " and ".join(signed)),
            ]
        )
    first = made[0]
    them = "it" if len(made) == 1 else "them"
    signing = {role for _, roles in first.signers.values() for role in roles}
    if file is not None:
        output.say(f"A publisher of {first.domain} takes and proposes it:")
        output.command(f"gitledger certify add {shlex.quote(str(file))}")
    elif signing & MAKERS:
        output.say(f"To propose {them}:")
    else:  # an auditor's
        output.say(f"A publisher of {first.domain} proposes {them}:")
    output.command(f'gitledger propose -m "Certify {_short(made)}"')


def certified_json(certified: Certified, file: Path | None) -> dict[str, object]:
    """An envelope that was made or taken here, for programs."""
    return {
        "digest": certified.digest,
        "domain": certified.domain,
        "path": certified.path,
        "file": None if file is None else str(file),
        "staged": file is None,
        "signers": [{"key_id": key_id, "roles": sorted(roles)} for key_id, (_, roles) in certified.signers.items()],
        **statement_json(certified.statement),
    }


def _bring(place: Place, made: list[Statement], key: str | None, file: Path | None, as_json: bool) -> None:
    from gitledger.roles import statements

    if file is not None and len(made) > 1:
        raise Usage("one-output", f"--output is one file, and these are {len(made)} statements", "name one FILE")
    signer = signer_for(place, key, take_certificate=True)
    certified = [statements.checked(place, statements.sign(each, signer), signer, now()) for each in made]
    if file is None:
        statements.stage(place, certified)
    else:
        write_new(file, certified[0].content)
    if as_json:
        told = [certified_json(each, file) for each in certified]
        output.as_json(told[0] if len(told) == 1 else {"statements": told})
    else:
        say_certified(certified, file)


def _ledger(place: Place, directory: Path | None) -> Place:
    """The ledger that a statement is about: this one, or the one at `directory`."""
    from gitledger.roles import statements

    if directory is None:
        return place
    if "://" in str(directory) or not directory.expanduser().is_dir():
        raise Usage(
            "no-directory",
            f"--ledger {directory} is no directory",
            "clone that ledger first: gitledger clone URL DIR --anchor sha256:…   (the anchor says which one it is)",
        )
    with output.progress("Verifying") as meter:
        return statements.ledger_at(directory.expanduser(), meter.step)


def _node_at_hand(place: Place, key: str | None) -> Signer | None:
    """Who is about to propose it, where that can be known: a node's certificate says what it may sign."""
    try:
        return signer_for(place, key, take_certificate=True)
    except Failed:
        if key is not None:
            raise
        return None


def _short(made: list[Certified]) -> str:
    """What they are about, in a few words for a message: no quote, and nothing that a shell would obey."""
    name = made[0].statement.subject[0].name
    plain = all(character.isalnum() or character in "@._-/ " for character in name)
    named = name if name and plain and len(name) <= 60 else made[0].digest[:19]
    return named if len(made) == 1 else f"{named} and {len(made) - 1} more"
