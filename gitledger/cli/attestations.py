"""`attestations`, `trace`: what is certified in a verified snapshot, and where something comes from (spec 14)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from gitledger.cli import output
from gitledger.cli.commands import Argument, Option
from gitledger.cli.options import At, Json, place_here
from gitledger.errors import Usage

if TYPE_CHECKING:
    from gitledger.documents.statement import Statement
    from gitledger.roles.tracing import Attestation, Attestations, Link, Named, Signatory, Thing

_Wanted = "sha256:…, a snapshot as common@42, common@42:PATH, or a file."
_MOST_THINGS: Final = 12
"""How many things of one receipt are listed that lead no further."""

_In = Annotated[
    str | None, Option("--in", metavar="SNAPSHOT", help="As this verified snapshot has them; else the newest.")
]


def attestations(
    digest: Annotated[str | None, Argument(metavar="DIGEST", help=_Wanted)] = None,
    *,
    snapshot: _In = None,
    as_json: Json = False,
    at: At = None,
) -> None:
    """What is certified in a verified snapshot.

    By domain and type: what it is about, who signed it in which role, and since which snapshot it stands. With DIGEST,
    only what is about that, names it, or is it.

    --json: snapshot, attestations [{digest, domain, path, since, type, subjects [{name, digest}], signers [{key_id,
    name, roles, node, revoked}], statement}].
    """
    from gitledger.roles.tracing import Attestations

    found = Attestations(place_here(), snapshot)
    held = found.held if digest is None else found.naming(found.digest_of(digest).digest)
    ordered = sorted(held, key=lambda one: (one.domain, one.statement.predicate_type, one.since, one.path))
    if as_json:
        output.as_json(
            {
                "snapshot": found.snapshot.name,
                "attestations": [_held_json(found, one) for one in ordered],
            }
        )
        return
    output.say(f"{output.count(len(ordered), 'attestation')} in {found.snapshot.name}")
    for one in ordered:
        output.say()
        output.say((said_of(one.statement), output.HEAD))
        output.fields(
            [
                *_subjects(one),
                ("certified by", f"{one.domain}, in {one.came_in}"),
                ("signed by", _signers(found.signed(one))),
                ("envelope", one.digest),
            ]
        )


def trace(
    digest: Annotated[str, Argument(metavar="DIGEST", help=_Wanted)],
    *,
    ledger: Annotated[
        list[Path] | None,
        Option("--ledger", metavar="DIR", help="A clone or a host of another ledger, to check against it; repeatable."),
    ] = None,
    snapshot: _In = None,
    as_json: Json = False,
    at: At = None,
) -> None:
    """Where something comes from, and what came of it.

    It goes from an execution receipt to who signed it, to the snapshot that holds it and to its inputs, and from each
    input on; and so the other way. What is named of other ledgers is checked where --ledger has them.

    --json: snapshot, trace: a thing {name, digest, ledger, standing: holds | differs | not at hand | null, itself,
    said, came_from, went_into, further}; the last are links {digest, domain, path, since, type, signers, authoritative
    (null for what is no receipt), differs, unchecked, again, statement (once), sources, results [things]}.
    """
    from gitledger.roles import statements
    from gitledger.roles.tracing import Attestations, Ledgers
    from gitledger.roles.tracing import trace as walk

    place = place_here()
    others = []
    for directory in ledger or ():
        if not directory.expanduser().is_dir():
            raise Usage("no-directory", f"--ledger {directory} is no directory", "clone that ledger first")
        with output.progress("Verifying") as meter:
            others.append(statements.ledger_at(directory.expanduser(), meter.step))
    found = Attestations(place, snapshot)
    thing = walk(found, found.digest_of(digest), Ledgers(place, *others))
    if as_json:
        output.as_json({"snapshot": found.snapshot.name, "trace": _thing_json(thing)})
        return
    _Tree().root(thing)


def said_of(statement: Statement) -> str:
    """What a statement says, in a sentence without its full stop."""
    from gitledger.documents.statement import Audit, LocatedAt, Receipt, Represents

    said, first = statement.said, statement.subject[0]
    name = first.name or first.sha256
    if isinstance(said, Represents):
        return f"{name} represents {said.represents} as of {said.as_of}"
    if isinstance(said, Audit):
        found = output.count(len(said.found), "finding") if said.found else "all of it holds"
        return f"{name} was audited: {output.count(len(said.checked), 'check')}, {found}"
    if isinstance(said, LocatedAt):
        return f"{name} is at {said.path}" + (f" in {said.snapshot.name}" if said.snapshot else "")
    more = f" and {len(statement.subject) - 1} more" if len(statement.subject) > 1 else ""
    if isinstance(said, Receipt):
        return f"{name}{more} came of {_command(said.external.command)}"
    return f"{name}{more}: {statement.predicate_type}"


def statement_json(statement: Statement) -> dict[str, object]:
    """A statement for programs: its type and subjects at hand, and all of it."""
    return {
        "type": statement.predicate_type,
        "subjects": [{"name": each.name, "digest": each.sha256} for each in statement.subject],
        "statement": _whole(statement),
    }


class _Tree:
    """A walk as a person reads it, each level further in."""

    def root(self, thing: Thing) -> None:
        """The thing that was asked for, what it is, and what leads there and away."""
        self._name(thing, 0, head=True)
        if thing.itself is not None:
            self._link("is", thing.itself, 2)
        self._around(thing, 2)

    def _around(self, thing: Thing, indent: int) -> None:
        for link in thing.said:
            self._link("·", link, indent)
        for link in thing.came_from:
            self._link("←", link, indent)
        for link in thing.went_into:
            self._link("→", link, indent)
        if thing.further:
            output.say(("and further: ", output.DIM), f"gitledger trace {thing.named.digest}", indent=indent)

    def _name(self, thing: Thing, indent: int, *, head: bool = False) -> None:
        standing = {"holds": (" ✓", output.GOOD), "differs": (" ✗ differs", output.BAD)}.get(
            thing.standing or "", (" (not at hand)", output.WAITS) if thing.standing else ("", "")
        )
        name = thing.named.name
        if name:
            output.say((name, output.HEAD if head else ""), standing, indent=indent)
        output.say((thing.named.digest, output.DIM), "" if name else standing, indent=indent + 2 * bool(name))

    def _link(self, mark: str, link: Link, indent: int) -> None:
        held = link.held
        output.say((f"{mark} ", output.COMMAND), said_of(held.statement), indent=indent)
        inner = indent + 2
        if link.again:
            output.say((f"as above, {held.digest}", output.DIM), indent=inner)
            return
        output.fields(self._facts(link), indent=inner)
        self._things("from", link.sources, inner)
        self._things("gave", link.results, inner)

    def _facts(self, link: Link) -> list[output.Row]:
        held = link.held
        rows: list[output.Row] = [
            ("signed by", _signers(link.signed)),
            ("stands in", f"{held.came_in}, of {held.domain}"),
            ("envelope", (((held.digest), output.DIM),)),
        ]
        if held.receipt is not None:
            isolation = held.receipt.internal.isolation
            rows.append(("run", f"twice, with equal outputs; isolation: {isolation}"))
        if link.differs:
            rows.append(("differs", ((f"{', '.join(link.differs)}: that ledger has another", output.BAD),)))
        if link.unchecked:
            rows.append(
                ("not checked", ((f"{', '.join(link.unchecked)}: gitledger trace --ledger DIR", output.WAITS),))
            )
        if held.receipt is not None:
            verdict = ("yes", output.GOOD) if link.authoritative else ("no: an input is not what it says", output.BAD)
            rows.append(("authoritative", (verdict,)))
        return rows

    def _things(self, label: str, things: Sequence[Thing], indent: int) -> None:
        if not things:
            return
        output.say((label, output.DIM), indent=indent)
        leading = [thing for thing in things if _leads(thing)]
        plain = [thing for thing in things if not _leads(thing)]
        for thing in (*leading, *plain[:_MOST_THINGS]):
            self._name(thing, indent + 2)
            self._around(thing, indent + 4)
        if len(plain) > _MOST_THINGS:
            output.say((f"and {len(plain) - _MOST_THINGS:,} more (--json has them all)", output.DIM), indent=indent + 2)


def _leads(thing: Thing) -> bool:
    return bool(thing.said or thing.came_from or thing.went_into or thing.further or thing.standing == "differs")


def _subjects(held: Attestation) -> Iterable[output.Row]:
    label = "about"
    for named in held.subjects[:_MOST_THINGS]:
        yield label, f"{named.name} {named.digest}" if named.name else named.digest
        label = ""
    if len(held.subjects) > _MOST_THINGS:
        yield "", f"and {len(held.subjects) - _MOST_THINGS:,} more"


def _signers(signed: Iterable[Signatory]) -> str:
    return " and ".join(
        f"{one.key_id} ({'node ' if one.node else ''}{one.name or '?'}: {', '.join(one.roles) or 'no role'}"
        f"{'; revoked since' if one.revoked else ''})"
        for one in signed
    )


def _command(words: Sequence[str]) -> str:
    from gitledger.documents.names import as_typed

    text = as_typed(words)
    return text if len(text) <= 120 else text[:119] + "…"


def _held_json(found: Attestations, held: Attestation) -> dict[str, object]:
    return _brief(held, found.signed(held)) | statement_json(held.statement)


def _brief(held: Attestation, signed: Iterable[Signatory]) -> dict[str, object]:
    return {
        "digest": held.digest,
        "domain": held.domain,
        "path": held.path,
        "since": held.came_in,
        "signers": [
            {"key_id": one.key_id, "name": one.name, "roles": list(one.roles), "node": one.node, "revoked": one.revoked}
            for one in signed
        ],
    }


def _thing_json(thing: Thing) -> dict[str, object]:
    named: Named = thing.named
    return {
        "name": named.name or None,
        "digest": named.digest,
        "ledger": named.ledger or None,
        "standing": thing.standing,
        "itself": None if thing.itself is None else _link_json(thing.itself),
        "said": [_link_json(link) for link in thing.said],
        "came_from": [_link_json(link) for link in thing.came_from],
        "went_into": [_link_json(link) for link in thing.went_into],
        "further": thing.further,
    }


def _link_json(link: Link) -> dict[str, object]:
    held = link.held
    told = statement_json(held.statement)
    return {
        **_brief(held, link.signed),
        "type": told["type"],
        "authoritative": link.authoritative if held.receipt is not None else None,
        "differs": list(link.differs),
        "unchecked": list(link.unchecked),
        "again": link.again,
        "statement": None if link.again else told["statement"],
        "sources": [_thing_json(thing) for thing in link.sources],
        "results": [_thing_json(thing) for thing in link.results],
    }


def _whole(statement: Statement) -> Any:
    return json.loads(statement.encode())
