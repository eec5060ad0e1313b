"""`doctor`: what is wrong on this machine and in this repository, each with what mends it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from gitledger.cli import output
from gitledger.cli.commands import Option
from gitledger.cli.options import At, Json, Key
from gitledger.errors import Refused

if TYPE_CHECKING:
    from gitledger.roles.machine import Finding

_MARKS: Final = {"fine": ("✓ ", output.GOOD), "note": ("! ", output.WAITS), "wrong": ("✗ ", output.BAD)}
_AREA: Final = 8


def doctor(
    key: Key = None,
    sign: Annotated[bool, Option("--sign/--no-sign", help="Whether the key signs a trial.")] = True,
    full: Annotated[bool, Option("--full", help="Verify every snapshot and every object.")] = False,
    as_json: Json = False,
    at: At = None,
) -> None:
    """Say what is wrong, and what mends it.

    In a host or a clone: programs, owners, hooks, settings, clock, key, room, objects, ledger, notes. Elsewhere: the
    machine alone. Nothing is changed, and no remote is asked. Exit status 1 where anything is wrong.

    --json: directory, role, wrong, findings [{area, severity, sentence, mend}].
    """
    from gitledger.roles.doctor import examine

    with output.progress("Verifying from genesis") as meter:
        report = examine(Path.cwd(), key, sign=sign, full=full, ask=output.passphrase(), progress=meter.step)
    if as_json:
        output.as_json(
            {
                "directory": str(report.directory) if report.directory else None,
                "role": report.role,
                "wrong": report.wrong,
                "findings": [_as_json(one) for one in report.findings],
            }
        )
    else:
        for one in report.findings:
            _say(one)
    if report.wrong:
        what = report.directory or "this machine"
        raise Refused("doctor", f"{output.count(report.wrong, 'thing')} wrong with {what}")


def _say(one: Finding) -> None:
    output.say(_MARKS[one.severity], (one.area.ljust(_AREA), output.DIM), f" {one.sentence}", hang=4)
    if one.mend:
        output.command(one.mend, indent=4)


def _as_json(one: Finding) -> dict[str, str]:
    return {"area": one.area, "severity": one.severity, "sentence": one.sentence, "mend": one.mend}
