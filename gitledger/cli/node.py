"""`node`: machines that act for a domain for a while, by a certificate of one of its keys."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from gitledger.cli import domain, output
from gitledger.cli.commands import Argument, Option
from gitledger.cli.options import At, Json, Key, Propose, key_at_hand, now, place_here, signer_for, text_of

if TYPE_CHECKING:
    from gitledger.roles.granting import Issued, Node
    from gitledger.rules.state import State


def grant(
    node: Annotated[Path, Argument(metavar="NODE.pub", help="The node's public key, a file.")],
    *,
    roles: Annotated[
        str, Option("--roles", metavar="ROLES", help="What it may do for the domain: executor,publisher, for example.")
    ],
    duration: Annotated[str, Option("--for", metavar="DURATION", help="For how long: 8h, or 2d.")],
    name: Annotated[
        str | None, Option("--name", metavar="NAME", help="What to call the node; else what its file is called.")
    ] = None,
    serial: Annotated[
        int | None, Option("--serial", metavar="N", min=1, help="By which it can be revoked; else one at random.")
    ] = None,
    key: Key = None,
    as_json: Json = False,
    at: At = None,
) -> None:
    """Certify the key of a node.

    The key that signs must have `certifies` in its domain's manifest. The certificate is written beside NODE.pub.

    --json: serial, name, key_id, domain, roles, by, after, before (the certificate's end), until (when a snapshot may
    accept its work at the latest), file, certificate, earlier [serial] (what else its key has that counts).
    """
    from gitledger.documents.names import LONGEST_SECONDS, seconds_of
    from gitledger.roles import granting
    from gitledger.roles.notes import write_durably
    from gitledger.signing.keys import PublicKey

    place, seconds = place_here(), now()
    public = PublicKey.from_file_text(text_of(node.expanduser()))
    plain = node.name.removesuffix(".pub")
    file = node.expanduser().with_name(f"{plain}-cert.pub")
    issued, certificate = granting.grant(
        place,
        signer_for(place, key),
        public,
        name=plain if name is None else name,
        roles=domain.roles_of(roles.split(",")),
        seconds=seconds_of(duration),
        now=seconds,
        serial=serial,
    )
    before = granting.earlier(place, issued, file, seconds)
    write_durably(file, f"{certificate.text} {issued.name}\n")
    state = place.verified.state
    if as_json:
        written = {"file": str(file), "certificate": certificate.text, "earlier": [one.serial for one in before]}
        output.as_json({**_issued_json(issued, granting.until(state, issued)), **written})
        return
    _print_issued(state, issued, file)
    for one in before:
        ends = "without an end" if one.until > LONGEST_SECONDS else f"until {output.when(one.until)}"
        output.say(("This key has another certificate, ", output.WAITS), f"serial {one.serial}, which counts {ends}.")
        output.say("To revoke that one:")
        output.command(f"gitledger node revoke {one.serial}")


def listed(
    named: Annotated[
        str | None, Argument(metavar="DOMAIN", help="Else your key's, or where it has none, every one.")
    ] = None,
    key: Key = None,
    as_json: Json = False,
    at: At = None,
) -> None:
    """The nodes of a domain.

    Those that were certified here, and those whose work is in the newest verified snapshot.

    --json: snapshot, nodes [{domain, key_id, serial, name, roles, by, after, before, until, revoked, in_ledger}]; of a
    node that was certified elsewhere, all from serial to until is null.
    """
    from gitledger.roles import granting

    place = place_here()
    if named:
        domain.registered(place.verified.state, named)
    own = () if named else domain.own(place, key_at_hand(place, key))
    found = granting.found(place, named or next(iter(own), None))
    if as_json:
        output.as_json({"snapshot": place.verified.name, "nodes": [_node_json(one) for one in found]})
        return
    if not found:
        output.say("No node is known here. To certify one:")
        output.command("gitledger node grant NODE.pub --roles executor,publisher --for 8h")
    seconds = now()
    for number, one in enumerate(found):
        if number:
            output.say()
        _print_node(one, seconds)


def revoke(
    named: Annotated[str, Argument(metavar="SERIAL|NAME|NODE-cert.pub", help="Which certificate.")],
    given: Annotated[
        str | None, Option("--domain", metavar="DOMAIN", help="Whose it is; else the domain of your key.")
    ] = None,
    key: Key = None,
    propose: Propose = False,
    at: At = None,
) -> None:
    """Revoke a node's certificate.

    Its serial enters the domain's manifest, which a root key proposes. What it signed and no snapshot has accepted is
    refused from then on; what is in the ledger stays.
    """
    from gitledger.roles import granting, proposer

    place = place_here()
    whose = domain.domain_of(place, given, key)
    serial = granting.serial_of(place, whose, named)
    manifest = proposer.without_serial(domain.checked_out(place, whose), serial)
    if not granting.is_known(place, whose, serial) and granting.is_serial(named):
        output.say((f"No certificate with the serial {serial} was made here", output.WAITS), ": look at it once more.")
        output.command("gitledger node list; ssh-keygen -Lf NODE-cert.pub")
    domain.bring(place, manifest, f"Revoke {whose}'s certificate {serial}", key, propose=propose)


def _print_issued(state: State, issued: Issued, file: Path) -> None:
    from gitledger.roles import granting

    grace = state.policy.limits.certificate_grace
    output.say("Certified: ", (issued.name, output.HEAD), f", serial {issued.serial}")
    output.fields(
        [
            ("key", issued.key_id),
            ("acts as", f"{', '.join(issued.roles)} of {issued.domain}"),
            ("signs", f"{output.when(issued.after)} to {output.when(issued.before)}"),
            ("accepted", f"until {output.when(granting.until(state, issued))}: certificate_grace is {grace}"),
            ("certificate", str(file)),
        ]
    )
    if "publisher" not in issued.roles:
        names = ", ".join(sorted(state.publishers(issued.domain).values())) or "a publisher (there is none)"
        output.say(f"What it proposes waits for a release by {names}.")
    output.say("On the node, beside its private key:")
    output.command(
        f"git config gpg.format ssh\ngit config user.signingkey ~/.ssh/{file.name}\ngit config commit.gpgsign true"
    )
    output.say("Each commit says for whom it is, as its last paragraph; gitledger propose writes that itself:")
    output.command(f"git commit -S -m MESSAGE --trailer 'Ledger-Domain: {issued.domain}'")
    output.say("To take it back:")
    output.command(f"gitledger node revoke {issued.serial}")


def _print_node(one: Node, seconds: int) -> None:
    issued = one.issued
    if issued is None:
        output.say((one.key_id, output.HEAD), f"  of {one.domain}")
        output.say("in the ledger; certified elsewhere, so that its serial is not known here", indent=2)
        return
    standing, style = _standing(one, seconds)
    output.say((issued.name, output.HEAD), f"  of {one.domain}  ", (standing, style))
    output.fields(
        [
            ("serial", f"{issued.serial}"),
            ("key", f"{one.key_id}, {'in the ledger' if one.recorded else 'not in the ledger yet'}"),
            ("acts as", ", ".join(issued.roles)),
            ("signs", f"{output.when(issued.after)} to {output.when(issued.before)}"),
            ("accepted", f"until {output.when(one.until or 0)}"),
        ]
    )


def _standing(one: Node, seconds: int) -> tuple[str, str]:
    if one.revoked:
        return "revoked", output.BAD
    if one.issued is not None and seconds < one.issued.before:
        return "may sign", output.GOOD
    if one.until is not None and seconds <= one.until:
        return "over, and its work may still be accepted", output.WAITS
    return "over", output.DIM


def _node_json(one: Node) -> dict[str, object]:
    blank = dict.fromkeys(("serial", "name", "roles", "by", "after", "before", "until"))
    said = _issued_json(one.issued, one.until or 0) if one.issued else blank
    return {**said, "domain": one.domain, "key_id": one.key_id, "revoked": one.revoked, "in_ledger": one.recorded}


def _issued_json(issued: Issued, until: int) -> dict[str, object]:
    times = {"after": issued.after, "before": issued.before, "until": until}
    return {
        "serial": issued.serial,
        "name": issued.name,
        "key_id": issued.key_id,
        "domain": issued.domain,
        "roles": list(issued.roles),
        "by": issued.by,
        **{name: output.iso(seconds) for name, seconds in times.items()},
    }
