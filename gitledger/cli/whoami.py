"""`whoami`: which key would sign here, and what it may do in this ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gitledger.cli import output, standing
from gitledger.cli.options import At, Json, Key, now, place_here, signer_for
from gitledger.errors import Failed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gitledger.documents.certificate import Record
    from gitledger.roles.place import Place
    from gitledger.roles.whoami import Grant, Presented, Who

_LAST_SECOND: Final = 253_402_300_799
"""Of the year 9999: what ends later has no end."""


def whoami(key: Key = None, as_json: Json = False, at: At = None) -> None:
    """Which key would sign, and what it may do.

    Its domain and roles in the newest verified snapshot, and of a certificate how long it holds.

    --json: snapshot, key_id, held, domain, name, roles, record {status, salts}, authority, witness, certificate
    {serial, identity, principals, from, to, until, grants [{domain, roles, rule, reason, mend}]}, may [sentence]; null
    is what there is not.
    """
    place = place_here()
    said, why = _who(place, key)
    if as_json:
        output.as_json({"snapshot": place.verified.name, **_json(said)})
    elif said is None:
        output.say("No key is at hand, so this is read-only", f": {why.what}." if why else ".")
        output.command(why.mend if why else "")
    else:
        _print(place, said)


def _who(place: Place, key: str | None) -> tuple[Who | None, Failed | None]:
    """Who one is; or, where no key was named and git knows none, why."""
    from gitledger.roles import whoami as role

    try:
        return role.who(place, signer_for(place, key, take_certificate=True), now()), None
    except Failed as error:
        if key is not None or error.rule != "no-key":
            raise
        return None, error


def _print(place: Place, said: Who) -> None:
    output.fields(_rows(said), indent=0)
    output.heading(f"What it may do, as of {place.verified.name}")
    for sentence in said.may or ("nothing",):
        output.say(sentence, indent=2)
    for grant in said.presented.grants if said.presented else ():
        if grant.error is not None:
            output.heading(f"A proposal for {grant.domain or 'a domain'} with its certificate is refused")
            output.say(standing.reason(grant.error), indent=2)
            output.command(grant.error.mend, indent=4)
    if not said.domain:
        output.say()
        output.say(f"{place.name} does not know this key. To begin a domain with it:")
        output.command("gitledger domain new DOMAIN --propose")
    elif said.presented is None and not said.name and said.record is not None and said.record.status == "active":
        output.say()
        output.say(f"It is a node's key, and acts for {said.domain} with a certificate alone. To sign with that:")
        output.command("git config user.signingkey KEY-cert.pub")


def _rows(said: Who) -> Iterator[output.Row]:
    yield "key", said.key_id
    yield "held by", said.held
    if said.domain:
        yield "domain", f"{said.domain}, as {said.name}" if said.name else said.domain
        yield "roles", ", ".join(said.roles) or "none"
    if said.authority or said.witness:
        yield "besides", " and ".join([*["an authority"] * said.authority, *["the witness"] * said.witness])
    if said.record is not None:
        yield "record", _recorded(said.record)
    if said.presented is not None:
        yield from _certificate_rows(said.presented)


def _recorded(record: Record) -> str:
    used = f"salts up to {record.salts[-1]} are used" if record.salts else "no salt is used"
    return f"{record.status}{', which is final' if record.status == 'revoked' else ''}; {used}"


def _certificate_rows(presented: Presented) -> Iterator[output.Row]:
    one = presented.certificate
    yield "certificate", f"{one.identity or '(without a name)'}, serial {one.serial}"
    yield "", ", ".join(one.principals) or "no principals"
    ends = f"until {output.when(one.valid_before)}" if one.valid_before <= _LAST_SECOND else "without an end"
    begins = f"from {output.when(one.valid_after)} " if one.valid_after <= _LAST_SECOND else "from no time on "
    yield "holds", (begins if one.valid_after else "") + ends
    if presented.until <= _LAST_SECOND:
        yield "accepted", f"up to {output.when(presented.until)}, by the policy's certificate_grace"


def _json(said: Who | None) -> dict[str, object]:
    names = ("key_id", "held", "domain", "name", "roles", "record", "authority", "witness", "certificate", "may")
    if said is None:
        return dict.fromkeys(names)
    record = said.record
    values = (
        said.key_id,
        said.held,
        said.domain or None,
        said.name or None,
        list(said.roles),
        {"status": record.status, "salts": list(record.salts)} if record else None,
        said.authority,
        said.witness,
        _presented_json(said.presented) if said.presented else None,
        list(said.may),
    )
    return dict(zip(names, values, strict=True))


def _presented_json(presented: Presented) -> dict[str, object]:
    one = presented.certificate
    return {
        "serial": one.serial,
        "identity": one.identity,
        "principals": list(one.principals),
        "from": _iso(one.valid_after),
        "to": _iso(one.valid_before),
        "until": _iso(presented.until),
        "grants": [_grant_json(grant) for grant in presented.grants],
    }


def _grant_json(grant: Grant) -> dict[str, object]:
    error = grant.error
    return {
        "domain": grant.domain or None,
        "roles": list(grant.roles),
        "rule": error.rule if error else None,
        "reason": standing.reason(error) if error else None,
        "mend": error.mend if error else None,
    }


def _iso(seconds: int) -> str | None:
    return output.iso(seconds) if seconds <= _LAST_SECOND else None
