"""How a function becomes a command: its signature says what may be typed, its docstring is the help.

Each parameter is `Annotated` with an `Option` or an `Argument`; its type is str, Path, int or bool, one of them or
None, or a list of them, which may be repeated. Without a default it is required. A command's module is imported when
it is called, or when a help lists it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Final, TypeAlias, get_args, get_origin, get_type_hints

import click

from gitledger.errors import Usage

Function: TypeAlias = Callable[..., None]
Callback: TypeAlias = Callable[[click.Context, click.Parameter, Any], Any]

_NAMES_A_FILE: Final = ("at", "key", "url")


class Option:
    """What is typed by name: `Option("-n", "--number", metavar="N", help="…")`; a bool is a flag."""

    def __init__(
        self,
        *names: str,
        help: str,
        metavar: str | None = None,
        min: int | None = None,
        callback: Callback | None = None,
        is_eager: bool = False,
    ) -> None:
        self.names: Final = names
        self.help: Final = help
        self.metavar: Final = metavar
        self.min: Final = min
        self.callback: Final = callback
        self.is_eager: Final = is_eager


@dataclass(frozen=True, kw_only=True)
class Argument:
    """What is typed by its place."""

    metavar: str
    help: str


class NoCommand(click.UsageError):
    """A group was named and no command in it: its help is what one wants."""


class Group(click.Group):
    """Commands by name, in the order of the help: a function as `module:function` of this package, or a group.

    `begin` has the options that stand before the command.
    """

    def __init__(
        self, name: str, help: str, begin: Function, table: Mapping[str, str | Group], *, epilog: str | None = None
    ) -> None:
        super().__init__(
            name,
            help=help,
            epilog=epilog,
            params=_parameters(begin),
            callback=_checked(begin),
            context_settings={"help_option_names": ["-h", "--help"]},
        )
        self._table = table

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of the help."""
        return list(self._table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, imported now; None where there is none."""
        found = self._table.get(cmd_name)
        if not isinstance(found, str):
            return found
        if cmd_name not in self.commands:
            module, _, function = found.partition(":")
            self.commands[cmd_name] = _command(cmd_name, getattr(import_module(f"{__package__}.{module}"), function))
        return self.commands[cmd_name]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click, which would show the help as if that had been asked for. Raises NoCommand."""
        if not args and not ctx.resilient_parsing:
            raise NoCommand("Missing command.", ctx)
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click, and names what may have been meant, of all commands and not only of those imported."""
        named = args[0]
        if named not in self._table and not named.startswith("-") and not ctx.resilient_parsing:
            near = ", ".join(repr(name) for name in get_close_matches(named, self._table))
            ctx.fail(f"No such command {named!r}." + (f" Did you mean {near}?" if near else ""))
        return super().resolve_command(ctx, args)


class _Command(click.Command):
    """A command whose help explains its arguments, too."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        parameters = self.get_params(ctx)
        for title, rows in (
            ("Arguments", [one.get_help_record(ctx) for one in parameters if isinstance(one, _Argument)]),
            ("Options", [one.get_help_record(ctx) for one in parameters if not isinstance(one, _Argument)]),
        ):
            if rows:
                with formatter.section(title):
                    formatter.write_dl([row for row in rows if row is not None])


class _Argument(click.Argument):
    """An argument that has a line in the help: `{NAME}` where it is required, `[NAME]` where it is not."""

    def __init__(self, name: str, said: Argument, kind: type, several: bool, how: dict[str, Any]) -> None:
        super().__init__([name], type=_type(kind), metavar=said.metavar, nargs=-1 if several else 1, **how)
        shown = "path" if kind is Path else kind.__name__
        shown = f"list[{shown}]" if several else shown
        self._row = f"{said.metavar} <{shown}>", said.help + ("  [required]" if self.required else "")

    def get_help_record(self, ctx: click.Context) -> tuple[str, str]:
        return self._row

    def get_usage_pieces(self, ctx: click.Context) -> list[str]:
        name = f"{{{self.metavar}}}" if self.required else f"[{self.metavar}]"
        return [name if self.nargs == 1 else f"{name}..."]


class _Number(click.types.IntParamType):
    """A whole number, of at least `least`."""

    def __init__(self, least: int | None) -> None:
        self._least = least

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            number = int(value)
        except ValueError:
            self.fail("Input should be a valid integer, unable to parse string as an integer", param, ctx)
        if self._least is not None and number < self._least:
            self.fail(f"Input should be greater than or equal to {self._least}", param, ctx)
        return number


def _command(name: str, function: Function) -> click.Command:
    return _Command(name, params=_parameters(function), callback=_checked(function), help=inspect.getdoc(function))


def _parameters(function: Function) -> list[click.Parameter]:
    hints = get_type_hints(function, include_extras=True)
    return [_parameter(name, hints[name], one.default) for name, one in inspect.signature(function).parameters.items()]


def _parameter(name: str, annotation: Any, default: Any) -> click.Parameter:
    annotated, said = get_args(annotation)
    kinds = get_args(annotated) if isinstance(annotated, UnionType) else (annotated,)
    (kind,) = (one for one in kinds if one is not NoneType)
    several = get_origin(kind) is list
    if several:
        (kind,) = get_args(kind)
    required = default is inspect.Parameter.empty
    how: dict[str, Any] = {"required": required}
    if not required and not several:
        how["default"] = default
    if isinstance(said, Argument):
        return _Argument(name, said, kind, several, how)
    return click.Option(
        [name, *said.names],
        help=said.help if said.min is None else f"{said.help}  [x>={said.min}]",
        metavar=said.metavar,
        callback=said.callback,
        is_eager=said.is_eager,
        show_default=not required and default is not None,
        **({"is_flag": True} if kind is bool else {"type": _type(kind, said.min), "multiple": several}),
        **how,
    )


def _type(kind: type, least: int | None = None) -> click.ParamType[Any]:
    if kind is Path:
        return click.Path(path_type=Path)
    return _Number(least) if kind is int else click.STRING


def _checked(function: Function) -> Function:
    """The function, which refuses text that is not UTF-8; where a file is named, any bytes may stand."""

    def called(**arguments: Any) -> None:
        for name, value in arguments.items():
            if isinstance(value, tuple):
                arguments[name] = list(value) or None
            texts = value if isinstance(value, tuple) else (value,)
            if name not in _NAMES_A_FILE and any(isinstance(text, str) and _is_foreign(text) for text in texts):
                raise Usage("not-utf-8", f"{name.replace('_', '-')} is not in UTF-8", "write it in UTF-8")
        function(**arguments)

    return called


def _is_foreign(text: str) -> bool:
    """Whether it holds bytes that Python could not read as UTF-8."""
    return any("\ud800" <= character <= "\udfff" for character in text)
