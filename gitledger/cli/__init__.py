"""`gitledger`: the commands, a file per role. They print, ask and exit; no rule is decided here.

Exit status: 0 done; 1 refused or invalid, with the reason on standard error; 2 wrong usage; 3 a fork was seen;
4 unreachable or stale. Whatever happens, a person reads a sentence and never a traceback.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import wraps
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Final, NoReturn, TextIO

import typer

from gitledger.cli import (
    authority,
    carry,
    collect,
    consumer,
    doctor,
    domain,
    foreign,
    host,
    mirror,
    output,
    proposer,
    rotation,
    witness,
)
from gitledger.cli.options import At
from gitledger.errors import LedgerError, Usage

INTERRUPTED: Final = 130

_SETTINGS: Final = {"help_option_names": ["-h", "--help"]}
_NAMES_A_FILE: Final = ("at", "key", "url")

app = typer.Typer(
    name="gitledger",
    help="A notarised ledger in a bare Git repository.",
    epilog="Exit status: 0 done, 1 refused or invalid, 2 wrong usage, 3 a fork was seen, 4 unreachable or stale.",
    no_args_is_help=True,
    context_settings=_SETTINGS,
    rich_markup_mode=None,
)
_domain = typer.Typer(name="domain", help="Who you are: the domain and its keys.", no_args_is_help=True)
_host = typer.Typer(name="host", help="Hold what people push to, for a while.", no_args_is_help=True)
_hooks = typer.Typer(name="hooks", help="Make a bare repository a host, or see what it lacks.", no_args_is_help=True)
_mirror = typer.Typer(name="mirror", help="Where snapshots are pushed on to, and fetched from.", no_args_is_help=True)
_carry = typer.Typer(name="carry", help="The ledger in a file, where no network goes.", no_args_is_help=True)
_evidence = typer.Typer(name="evidence", help="What proves a fork or a misconduct.", no_args_is_help=True)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"gitledger {version('gitledger')}")
        raise typer.Exit


@app.callback()
def _begin(
    at: At = None,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    """A notarised ledger in a bare Git repository."""


@_domain.callback()
@_hooks.callback()
@_evidence.callback()
@_host.callback()
@_carry.callback()
@_mirror.callback()
def _begin_group(at: At = None) -> None:
    """What stands between a group of commands and the command."""


def demo(
    directory: Annotated[Path | None, typer.Argument(metavar="[DIR]", help="Where it plays: a new directory.")] = None,
    at: At = None,
) -> None:
    """Play the scene of Alice and James.

    With real repositories and stock git, shown as they run; the repositories are left to be looked at.
    """
    from gitledger.cli.demo import demo as play

    play(directory)


def _in_unicode(command: Callable[..., None]) -> Callable[..., None]:
    """The command, which refuses text that is not UTF-8; where a file is named, any bytes may stand."""

    @wraps(command)
    def checked(**arguments: object) -> None:
        for name, value in arguments.items():
            texts = value if isinstance(value, list) else [value]
            if name not in _NAMES_A_FILE and any(isinstance(text, str) and _is_foreign(text) for text in texts):
                raise Usage("not-utf-8", f"{name.replace('_', '-')} is not in UTF-8", "write it in UTF-8")
        command(**arguments)

    return checked


def _is_foreign(text: str) -> bool:
    """Whether it holds bytes that Python could not read as UTF-8."""
    return any("\ud800" <= character <= "\udfff" for character in text)


for _group, _commands in (
    (app, (host.init, consumer.clone, consumer.fetch, consumer.status, consumer.verify, consumer.log, consumer.show)),
    (app, (consumer.pin, consumer.allowed_signers, proposer.propose, proposer.proposals, proposer.withdraw)),
    (app, (authority.endorse, authority.policy, rotation.rotate, rotation.rotations, witness.emit, demo)),
    (_domain, (domain.new, domain.add_key, domain.revoke_key, domain.show, domain.prove)),
    (_hooks, (host.install, host.check)),
    (app, (foreign.adopt, doctor.doctor)),
    (_evidence, (foreign.check,)),
    (_host, (host.freeze, host.thaw)),
    (app, (collect.collect,)),
    (_carry, (carry.out, carry.take, carry.inspect)),
    (_mirror, (mirror.add, mirror.push, mirror.status, mirror.remove, mirror.watch)),
):
    for _command in _commands:
        _group.command(context_settings=_SETTINGS)(_in_unicode(_command))
app.add_typer(_domain)
app.add_typer(_hooks)
app.add_typer(_evidence)
app.add_typer(_host)
app.add_typer(_carry)
app.add_typer(_mirror)

_UsageError: type[Exception] = next(
    base for base in typer.BadParameter.__mro__ if issubclass(base, Exception) and base.__name__ == "ClickException"
)
"""What the parser of the arguments raises; where it comes from differs between versions of typer."""


def main() -> NoReturn:
    """Run the command that the arguments name, and exit."""
    sys.stdin = sys.stdin or Path(os.devnull).open(encoding="utf-8")  # noqa: SIM115 - for as long as the process lives
    sys.stdout, sys.stderr = (_writable(stream) for stream in (sys.stdout, sys.stderr))
    status = _run()
    try:
        sys.stdout.flush()
    except OSError as error:  # at the end of the process it would be tried again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            output.failure(_outside(error))
        status = status or 1
    sys.exit(status)


def _writable(stream: TextIO | None) -> TextIO:
    """The stream, for any text whatever its encoding; nothing where it is closed."""
    if stream is None:
        return Path(os.devnull).open("w", encoding="utf-8")
    if isinstance(stream, TextIOWrapper):
        stream.reconfigure(errors="replace")
    return stream


def _run() -> int:
    try:
        command = typer.main.get_command(app)
        status = command.main(prog_name="gitledger", standalone_mode=False)
    except LedgerError as error:
        output.failure(error)
        return error.exit_status
    except (KeyboardInterrupt, typer.Abort):
        status = INTERRUPTED
    except BrokenPipeError:
        return 1
    except OSError as error:
        output.failure(_outside(error))
        return 1
    except _UsageError as error:
        return _wrong_usage(error)
    except Exception as error:
        output.failure(_internal(error))
        return 1
    if status == INTERRUPTED:
        sys.stderr.write("\n" if sys.stderr.isatty() else "")
        output.note("gitledger: interrupted")
    return status if isinstance(status, int) else 0


def _wrong_usage(error: Exception) -> int:
    """What the parser says, in one line, and where to read more."""
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError" and context is not None:
        typer.echo(context.get_help())
        return 2
    said = str(getattr(error, "format_message", lambda: error)()).rstrip(".")
    named = context.command_path if context is not None else "gitledger"
    output.failure(LedgerError("usage", said[:1].lower() + said[1:], f"{named} --help"))
    return 2


def _outside(error: OSError) -> LedgerError:
    """A file that can't be read or written, a full disk: the system's own words."""
    where = f"{error.filename}: " if error.filename else ""
    return LedgerError(
        "system", f"{where}{error.strerror or error}", "is there room, and may you read and write there?"
    )


def _internal(error: Exception) -> LedgerError:
    said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    at = f" (in {place.tb_frame.f_code.co_name}, line {place.tb_lineno})" if place is not None else ""
    return LedgerError("internal-error", f"internal error: {said}{at}; please report it")
