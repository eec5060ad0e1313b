"""`endorse`: an authority looks at a change or a rotation, and signs; `policy`: who the authorities are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from gitledger.cli import output, rotation
from gitledger.cli.commands import Argument, Option
from gitledger.cli.matter import show_matter
from gitledger.cli.options import REMOTE, At, Json, Key, key_at_hand, place_here, signer_for, waiting
from gitledger.cli.proposer import say_sent
from gitledger.cli.rotation import Besides
from gitledger.errors import Refused

if TYPE_CHECKING:
    from gitledger.documents.policy import Policy
    from gitledger.roles.place import Place
    from gitledger.rules.proposal import Proposal
    from gitledger.rules.rotations import Drafted


def endorse(
    what: Annotated[
        str,
        Argument(
            metavar="PROPOSAL|ROTATION",
            help="A proposal: an object id or its beginning, DOMAIN/TOPIC, or a topic. A rotation: H or its beginning, "
            "at least 8 digits, or the domain it goes to.",
        ),
    ],
    *,
    besides: Besides = None,
    yes: Annotated[bool, Option("--yes", "-y", help="Do not ask.")] = False,
    key: Key = None,
    at: At = None,
) -> None:
    """Look at a proposal or a rotation, and endorse it.

    The endorsement of a proposal is a signed tag, that of a rotation a signature over its H. On a terminal it asks
    before it signs.
    """
    from gitledger.roles import authority, supporting
    from gitledger.rules.rotations import Drafted

    place = place_here()
    signer = signer_for(place, key)
    found = _find(place, what)
    if isinstance(found, Drafted):
        rotation.endorse(place, signer, found, besides=besides or (), ask=not yes)
        return
    matter = supporting.look(place, found)
    domain = authority.must_be_elector(signer, matter)
    show_matter(place, matter)
    if output.interactive() and not yes:
        output.confirm(f"Endorse it as {domain}?")
    sent = authority.endorse(place, signer, matter, remote=REMOTE)
    output.say((f"Endorsed by {domain}: ", output.GOOD), f"{matter.proposal.oid[:12]} {matter.proposal.summary}")
    say_sent(sent)


def policy(key: Key = None, as_json: Json = False, at: At = None) -> None:
    """Who may do what in this ledger.

    The policy of the newest verified snapshot: authorities and quorum, rotation, registration, path rules, limits; the
    key at hand is marked.

    --json: snapshot, revision, witness {domain, key_id}, authorities [{domain, key_id, yours}], threshold, may_lose,
    rotation_allowed, grace_period, revoked, registration, rekey, paths [{match, proposers, endorsements}],
    limits {proposal_bytes, proposal_paths, pending_per_domain, certificate_grace}.
    """
    place = place_here()
    mine = key_at_hand(place, key)
    if as_json:
        output.as_json(_policy_json(place, mine))
    else:
        _print_policy(place, mine)


def _find(place: Place, named: str) -> Proposal | Drafted:
    """What waits under this name. Raises Refused (`not-waiting`, `ambiguous`, `rotation-stale`)."""
    from gitledger.roles import succession

    turned = succession.find(place, named)
    try:
        proposal = waiting(place, named)
    except Refused as error:
        if error.rule != "not-waiting":
            raise
        turned = turned or succession.find_to(place, named)
        if turned is None:
            raise Refused(
                "not-waiting",
                f"no proposal and no rotation {named} waits",
                "gitledger fetch; gitledger proposals; gitledger rotations",
            ) from None
        return turned
    if turned is not None:
        raise Refused(
            "ambiguous",
            f"{named} may be the proposal {proposal.oid} or the rotation {turned.hash}",
            "write more of it",
        )
    return proposal


def _print_policy(place: Place, mine: str | None) -> None:
    from gitledger.cli.changes import rule_said
    from gitledger.roles import host

    snapshot = place.verified
    policy, card = snapshot.state.policy, host.card(snapshot)
    output.say(("The policy", output.HEAD), f" of {snapshot.name}, revision {policy.revision}")
    width = max(len(domain) for domain, _ in (card.witness, *card.authorities))
    rows: list[output.Row] = [("witness", _who(card.witness, width, mine))]
    rows += [("" if number else "authorities", _who(one, width, mine)) for number, one in enumerate(card.authorities)]
    rows.append(("quorum", f"{card.threshold} of {len(card.authorities)}: {card.may_lose or 'none'} may be lost"))
    rows.append(("rotation", "allowed" if policy.rotation_allowed else "not allowed"))
    rows.append(("grace period", policy.witness_policy.grace_period))
    rows += [("" if number else "revoked", one) for number, one in enumerate(policy.revoked or ("no key",))]
    rows += [("registration", policy.registration), ("rekey", policy.rekey)]
    output.fields(rows)
    output.heading("Shared paths")
    for sentence in [rule_said(rule) for rule in policy.paths] or ["none are open"]:
        output.say(sentence, indent=2)
    output.heading("Limits")
    output.fields((name, str(value)) for name, value in _limits(policy).items())


def _policy_json(place: Place, mine: str | None) -> dict[str, object]:
    from gitledger.roles import host

    snapshot = place.verified
    policy, card = snapshot.state.policy, host.card(snapshot)
    domain, key_id = card.witness
    return {
        "snapshot": snapshot.name,
        "revision": policy.revision,
        "witness": {"domain": domain, "key_id": key_id},
        "authorities": [{"domain": name, "key_id": one, "yours": one == mine} for name, one in card.authorities],
        "threshold": card.threshold,
        "may_lose": card.may_lose,
        "rotation_allowed": policy.rotation_allowed,
        "grace_period": policy.witness_policy.grace_period,
        "revoked": list(policy.revoked),
        "registration": policy.registration,
        "rekey": policy.rekey,
        "paths": [
            {
                "match": rule.match,
                "proposers": rule.proposers if rule.proposers == "any" else list(rule.proposers),
                "endorsements": rule.endorsements,
            }
            for rule in policy.paths
        ],
        "limits": _limits(policy),
    }


def _limits(policy: Policy) -> dict[str, object]:
    return {name: getattr(policy.limits, name) for name in policy.limits.__struct_fields__}


def _who(who: tuple[str, str], width: int, mine: str | None) -> tuple[output.Part, ...]:
    domain, key_id = who
    yours = ((" (yours)", output.GOOD),) if key_id == mine else ()
    return (f"{domain.ljust(width)}  ", (key_id, output.DIM), *yours)
