"""`gitledger`: the commands, a file per role. They print, ask and exit; no rule is decided here.

Exit status: 0 done; 1 refused or invalid, with the reason on standard error; 2 wrong usage; 3 a fork was seen;
4 unreachable or stale. Whatever happens, a person reads a sentence and never a traceback.
"""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Final, NoReturn, TextIO

import click

from gitledger.cli import output
from gitledger.cli.commands import Group, NoCommand, Option
from gitledger.cli.options import At
from gitledger.errors import LedgerError, Usage

INTERRUPTED: Final = 130

_COMPLETE: Final = "_GITLEDGER_COMPLETE"
"""Where a shell that asks for completions says so; what it evaluates is from `--show-completion`."""


def _version(context: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"gitledger {version('gitledger')}")
        context.exit()


def _completion(context: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        from click.shell_completion import get_completion_class

        shell = Path(os.environ.get("SHELL", "")).name
        completion = get_completion_class(shell)
        if completion is None:
            said = f"there is no completion for {shell or 'a shell that SHELL does not name'}"
            raise Usage("no-completion", said, "SHELL=bash gitledger --show-completion   (or zsh, or fish)")
        click.echo(completion(app, {}, "gitledger", _COMPLETE).source())
        context.exit()


def _begin(
    at: At = None,
    version: Annotated[bool, Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
    completion: Annotated[
        bool,
        Option(
            "--show-completion",
            callback=_completion,
            is_eager=True,
            help="Print what completes commands in your shell, for its start-up file.",
        ),
    ] = False,
) -> None:
    """What stands before a command."""


def _begin_group(at: At = None) -> None:
    """What stands between a group of commands and the command."""


app = Group(
    "gitledger",
    "A notarised ledger in a bare Git repository.",
    _begin,
    {
        "init": "host:init",
        "clone": "consumer:clone",
        "fetch": "consumer:fetch",
        "status": "consumer:status",
        "verify": "consumer:verify",
        "log": "consumer:log",
        "show": "consumer:show",
        "pin": "consumer:pin",
        "allowed-signers": "consumer:allowed_signers",
        "propose": "proposer:propose",
        "proposals": "proposer:proposals",
        "withdraw": "proposer:withdraw",
        "endorse": "authority:endorse",
        "release": "publisher:release",
        "policy": "authority:policy",
        "rotate": "rotation:rotate",
        "rotations": "rotation:rotations",
        "emit": "witness:emit",
        "demo": "demo:demo",
        "adopt": "foreign:adopt",
        "doctor": "doctor:doctor",
        "collect": "collect:collect",
        "whoami": "whoami:whoami",
        "attestations": "attestations:attestations",
        "trace": "attestations:trace",
        "domain": Group(
            "domain",
            "Who you are: the domain and its keys.",
            _begin_group,
            {
                "new": "domain:new",
                "add-key": "domain:add_key",
                "revoke-key": "domain:revoke_key",
                "show": "domain:show",
                "prove": "domain:prove",
                "export": "export:export",
            },
        ),
        "hooks": Group(
            "hooks",
            "Make a bare repository a host, or see what it lacks.",
            _begin_group,
            {"install": "host:install", "check": "host:check"},
        ),
        "evidence": Group(
            "evidence",
            "What proves a fork or a misconduct.",
            _begin_group,
            {"check": "foreign:check"},
        ),
        "host": Group(
            "host",
            "Hold what people push to, for a while.",
            _begin_group,
            {"freeze": "host:freeze", "thaw": "host:thaw"},
        ),
        "carry": Group(
            "carry",
            "The ledger in a file, where no network goes.",
            _begin_group,
            {"out": "carry:out", "in": "carry:take", "inspect": "carry:inspect"},
        ),
        "certify": Group(
            "certify",
            "What your domain states, signed and for anybody to check.",
            _begin_group,
            {
                "snapshot": "certify:snapshot",
                "path": "certify:path",
                "audit": "certify:audit",
                "add": "certify:add",
                "run": "execution:run",
                "replay": "execution:replay",
            },
        ),
        "node": Group(
            "node",
            "Machines that act for a domain for a while.",
            _begin_group,
            {"grant": "node:grant", "list": "node:listed", "revoke": "node:revoke"},
        ),
        "mirror": Group(
            "mirror",
            "Where snapshots are pushed on to, and fetched from.",
            _begin_group,
            {
                "add": "mirror:add",
                "push": "mirror:push",
                "status": "mirror:status",
                "remove": "mirror:remove",
                "watch": "mirror:watch",
            },
        ),
    },
    epilog="Exit status: 0 done, 1 refused or invalid, 2 wrong usage, 3 a fork was seen, 4 unreachable or stale.",
)


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
        return _called()
    except LedgerError as error:
        output.failure(error)
        return error.exit_status
    except (KeyboardInterrupt, EOFError):
        sys.stderr.write("\n" if sys.stderr.isatty() else "")
        output.note("gitledger: interrupted")
        return INTERRUPTED
    except OSError as error:
        if not isinstance(error, BrokenPipeError):
            output.failure(_outside(error))
        return 1
    except click.UsageError as error:
        return _wrong_usage(error)
    except Exception as error:
        output.failure(_internal(error))
        return 1


def _called() -> int:
    """What click's own `main` does, which would speak of interruptions in its own way."""
    if asked := os.environ.get(_COMPLETE):
        from click.shell_completion import shell_complete

        return shell_complete(app, {}, "gitledger", _COMPLETE, asked)
    try:
        with app.make_context("gitledger", sys.argv[1:]) as context:
            app.invoke(context)
    except click.exceptions.Exit as ended:
        return ended.exit_code
    return 0


def _wrong_usage(error: click.UsageError) -> int:
    """What the parser says, in one line, and where to read more."""
    if isinstance(error, NoCommand) and error.ctx is not None:
        click.echo(error.ctx.get_help())
        return 2
    said = error.format_message().rstrip(".")
    named = error.ctx.command_path if error.ctx is not None else "gitledger"
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
