"""`certify run`, `certify replay`: what a command makes of snapshots, signed, and done again by anybody."""

from __future__ import annotations

import shlex
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

from gitledger.cli import output
from gitledger.cli.commands import Argument, Option
from gitledger.cli.options import At, Json, Key, must_be_new, now, place_here, signer_for, write_new
from gitledger.errors import Usage

if TYPE_CHECKING:
    from gitledger.roles.execution import Ran
    from gitledger.roles.place import Place
    from gitledger.roles.receipts import Verified
    from gitledger.roles.sandbox import Sandbox
    from gitledger.roles.statements import Certified

Ledgers = Annotated[
    list[Path] | None,
    Option("--ledger", metavar="DIR", help="A clone or a host of another ledger of an input; may be repeated."),
]
Isolated = Annotated[
    str,
    Option("--isolation", metavar="required|auto|none", help="Whether bubblewrap keeps network and other files away."),
]
Into = Annotated[Path | None, Option("--into", metavar="DIR", help="Copy what came out to a new directory DIR.")]

_NOTHING = "no network, and of this machine its programs alone"
_ANYTHING = "the command could reach the network and read what you may read"


def run(
    command: Annotated[list[str], Argument(metavar="COMMAND", help="What to run, after --, with its arguments.")],
    *,
    inputs: Annotated[
        list[str],
        Option("--input", metavar="common@N[:PATH]", help="It stands at common@N/PATH for the command; repeated."),
    ],
    outputs: Annotated[
        list[str],
        Option("--output", metavar="PATH", help="A file or a directory that the command makes; may be repeated."),
    ],
    to: Annotated[
        str | None, Option("--to", metavar="PATH", help="Stage what came out, too, below PATH of your domain.")
    ] = None,
    into: Into = None,
    receipt: Annotated[
        Path | None, Option("--receipt", metavar="FILE", help="Write the receipt to FILE instead of staging it.")
    ] = None,
    ledgers: Ledgers = None,
    isolation: Isolated = "auto",
    key: Key = None,
    as_json: Json = False,
    at: At = None,
) -> None:
    """Run a command on snapshots, and certify what it makes.

    It runs twice, from verified snapshots alone, and only equal outputs get a receipt, which your key signs as
    executor and which is staged to be proposed. What does not come out is thrown away: name --to or --into.

    Nothing bounds its time, memory, disk and processes but what bounds yours: ulimit, or systemd-run --user --scope.

    --json: domain, isolation, outputs [{path, digest, bytes, executable}], receipt (its digest), staged [path].
    """
    from gitledger.roles import execution, receipts, sandbox, statements

    place = place_here()
    if to is None and into is None:
        raise Usage("where-to", "what comes out would be lost", "--to PATH   (of your domain)   or   --into DIR")
    if receipt is not None:
        must_be_new(receipt)
    signer = signer_for(place, key, take_certificate=True)
    domain = receipts.executor(place, signer, now())
    names = [one.rstrip("/") for one in outputs]
    bound = execution.bind(_places(place, ledgers), command, [one.rstrip("/") for one in inputs], names)
    receipts.must_be_readable(place, bound)
    if to is not None:
        receipts.must_be_placeable(place, domain, to, names)
    box = _sandbox(isolation)
    limits = place.verified.state.policy.limits if to is not None else None
    with (
        sandbox.ended_in_order(),
        _new(into) as kept,
        output.progress("Run") as meter,
        execution.run(bound, box, limits, meter.step) as ran,
    ):
        meter.clear()
        certified = receipts.certify(place, ran, domain, signer, now(), with_outputs=to is not None)
        if kept is not None:
            execution.keep(ran, kept)
        with receipts.staged(place, ran, domain, to) as outputs_staged:
            if receipt is None:
                statements.stage(place, [certified])
            else:
                write_new(receipt, certified.content)
    staged = [*([certified.path] if receipt is None else []), *outputs_staged]
    if as_json:
        output.as_json(_run_json(ran, certified, staged))
        return
    output.say(f"Ran twice, with equal outputs. {_how(box)}")
    _show(ran)
    output.say("Receipt: ", certified.digest)
    _say_kept(into, receipt)
    _say_staged(staged, f" --key {shlex.quote(key)}" if key else "")
    if staged and signer.key.key_id not in place.verified.state.publishers(domain):
        output.say(f"It waits for a publisher of {domain} then: gitledger release")
    if receipt is not None:
        output.say("Whoever proposes it puts it into place with:")
        output.command(f"gitledger certify add {shlex.quote(str(receipt))}")


def replay(
    statement: Annotated[
        str, Argument(metavar="STATEMENT", help="A file, the digest of an attestation, or its path in the ledger.")
    ],
    *,
    into: Into = None,
    ledgers: Ledgers = None,
    isolation: Isolated = "required",
    as_json: Json = False,
    at: At = None,
) -> None:
    """Run what a receipt says once more, here, and compare.

    The exit status is 0 where all outputs are equal, and 1 with the list where they are not. The command is somebody
    else's: without bubblewrap it may do what you may, and runs only if you say --isolation none. Nothing bounds its
    time, memory, disk and processes but what bounds yours: ulimit, or systemd-run --user --scope.

    --json: receipt, domain, signers, attestation (its path in the newest verified snapshot, or null), isolation {then,
    here}, outputs [{path, digest, bytes}].
    """
    from gitledger.roles import execution, receipts, sandbox

    place = place_here()
    verified = receipts.read(place, statement)
    bound = receipts.bind_again(_places(place, ledgers), verified.receipt)
    box = _sandbox(isolation)
    if not as_json:
        _say_replay(place, verified, box)
    with sandbox.ended_in_order(), _new(into) as kept, execution.run_once(bound, box) as ran:
        if kept is not None:
            execution.keep(ran, kept)
    if not as_json:
        _say_kept(into, None)
    receipts.must_be_equal(verified, ran)
    if as_json:
        output.as_json(_replay_json(verified, ran))
        return
    output.say("All outputs are equal:", style=output.GOOD)
    _show(ran)


def _places(place: Place, ledgers: list[Path] | None) -> list[Place]:
    from gitledger.roles import statements

    return [place, *(statements.ledger_at(each.expanduser()) for each in ledgers or [])]


def _sandbox(isolation: str) -> Sandbox:
    from gitledger.roles import sandbox

    for wanted in get_args(sandbox.Wanted):
        if isolation == wanted:
            return sandbox.find(wanted)
    raise Usage("isolation", f"--isolation is required, auto or none, not {isolation}", "--isolation required")


def _new(into: Path | None) -> AbstractContextManager[Path | None]:
    """A directory that becomes `into` when the block ends well; None where there is to be none."""
    from gitledger.roles import draft

    return nullcontext() if into is None else draft.beside(into.expanduser())


def _run_json(ran: Ran, certified: Certified, staged: list[str]) -> dict[str, object]:
    listed = [
        {"path": path, "digest": one.digest, "bytes": one.size, "executable": one.executable}
        for path, one in ran.outputs.items()
    ]
    return {
        "domain": certified.domain,
        "isolation": ran.sandbox.isolation,
        "outputs": listed,
        "receipt": certified.digest,
        "staged": staged,
    }


def _replay_json(verified: Verified, ran: Ran) -> dict[str, object]:
    return {
        "receipt": verified.digest,
        "domain": verified.receipt.domain,
        "signers": list(verified.signers),
        "attestation": verified.path,
        "isolation": {"then": verified.receipt.internal.isolation, "here": ran.sandbox.isolation},
        "outputs": [{"path": path, "digest": one.digest, "bytes": one.size} for path, one in ran.outputs.items()],
    }


def _how(box: Sandbox) -> str:
    if box.isolation == "bubblewrap":
        return f"In bubblewrap: {_NOTHING}."
    return f"Without isolation, {box.why}: {_ANYTHING}."


def _show(ran: Ran) -> None:
    for path, one in ran.outputs.items():
        said = f"{one.digest}  {output.count(one.size, 'byte')}"
        if output.fits((len(path),), rest=2 + len(said)):
            output.say(path, "  ", (said, output.DIM), indent=2)
        else:
            output.say(path, indent=2)
            output.say((said, output.DIM), indent=4)


def _say_kept(into: Path | None, receipt: Path | None) -> None:
    if into is not None:
        output.say(f"What came out is in {into}")
    if receipt is not None:
        output.say(f"The receipt is in {receipt}")


def _say_staged(staged: list[str], by: str) -> None:
    for path in staged:
        output.say(f"Staged: {path}")
    if staged:
        output.say("To propose it:")
        output.command(f'gitledger propose -m "MESSAGE"{by}')


def _say_replay(place: Place, verified: Verified, box: Sandbox) -> None:
    from gitledger.documents.names import as_typed

    said = verified.receipt
    output.say(("Receipt ", output.HEAD), verified.digest)
    stands = f"it stands in {place.verified.name}" if verified.path else f"it does not stand in {place.verified.name}"
    output.fields(
        [
            ("executor", f"{said.domain}, {', '.join(verified.signers)}"),
            ("inputs", ", ".join(said.external.inputs)),
            ("standing", stands),
            ("then", f"isolation {said.internal.isolation}"),
            ("here", f"isolation {box.isolation}" + (f", {box.why}" if box.why else "")),
        ]
    )
    output.say("It runs:")
    output.command(as_typed(said.external.command))
