"""What the commands have in common of speaking and asking.

Results go to standard output, everything else to standard error. Whatever comes from a ledger or a remote is shown
without what a terminal would obey: no markup is interpreted, control characters and the marks that reorder text are
shown by their number. Lines are wrapped at words to the terminal's width and in a pipe not at all; a word that is
longer than a line (a hash, a command to type) is left whole, so that it can be copied.
"""

from __future__ import annotations

import json
import os
import sys
import textwrap
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache, cached_property
from itertools import groupby
from typing import TYPE_CHECKING, Final, TextIO

from gitledger.errors import Failed, LedgerError, Refused

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bar

Part = str | tuple[str, str]
"""A piece of a line: text, or text and its style."""

Row = tuple[str, Sequence[Part] | str]
"""A label and its value."""

GOOD: Final = "green"
WAITS: Final = "yellow"
BAD: Final = "red"
DIM: Final = "dim"
HEAD: Final = "bold"
COMMAND: Final = "cyan"

_UNBOUNDED: Final = 100_000
_NARROW: Final = 60
_JOINERS: Final = "\u200c\u200d"
_PATIENCE: Final = 0.4


# Lines


def say(*parts: Part, indent: int = 0, hang: int = 2, style: str = "") -> None:
    """Print a paragraph to standard output, wrapped; lines after its first are `hang` further in than `indent`."""
    _paragraph(_console(), parts, indent, hang, style)


def note(*parts: Part, indent: int = 0, hang: int = 2, style: str = "") -> None:
    """As `say`, to standard error."""
    _paragraph(_console(error=True), parts, indent, hang, style)


def heading(text: str, *, gap: bool = True) -> None:
    """A heading, after an empty line where there is a `gap`."""
    if gap:
        say()
    say(text, style=HEAD)


def command(text: str, *, indent: int = 2, error: bool = False) -> None:
    """Lines to type: indented, never wrapped."""
    for line in text.splitlines():
        _write(_console(error=error), [(" " * indent, ""), (line, COMMAND)])


def verbatim(text: str, style: Callable[[str], str] = lambda line: "") -> None:
    """Lines of another program or of a file, one by one as they are, each in the style that `style` gives it."""
    for line in text.split("\n"):
        _write(_console(), [(line.expandtabs(8), style(line))])


def fields(rows: Iterable[Row], *, indent: int = 2) -> None:
    """Labels and values, aligned; a value stands below its label where it or the terminal is too wide or narrow."""
    from rich.cells import cell_len

    listed = [(label, (value,) if isinstance(value, str) else tuple(value)) for label, value in rows]
    width = max((len(label) for label, _ in listed), default=0) + 2
    room = width_of() - indent - width
    for label, value in listed:
        words = [word for part in value for word in _part(part)[0].split()]
        if width_of() < _NARROW or any(cell_len(word) > room for word in words):
            if label:
                say(label, indent=indent, style=DIM)
            say(*value, indent=indent + 2)
        else:
            _paragraph(_console(), [(label.ljust(width), DIM), *value], indent, width, "", whole=1)


def columns(row: Sequence[Part], *, widths: Sequence[int], indent: int = 0) -> None:
    """One line of a table: every cell but the last padded to its width, the last cut to what is left of the line."""
    from rich.cells import cell_len, set_cell_size

    pieces = [_part(cell) for cell in row]
    line: list[tuple[str, str]] = [(" " * indent, "")]
    for (text, style), width in zip(pieces[:-1], widths, strict=True):
        line.append((text + " " * max(0, width - cell_len(text)) + "  ", style))
    text, style = pieces[-1]
    room = width_of() - sum(cell_len(cell) for cell, _ in line)
    if room > 0 and cell_len(text) > room:
        text = set_cell_size(text, room - 1).rstrip() + "…"
    _write(_console(), [*line, (text, style)])


def fits(widths: Iterable[int], *, rest: int) -> bool:
    """Whether columns of these widths leave `rest` characters of the line to the last one."""
    return width_of() >= sum(width + 2 for width in widths) + rest


def as_json(said: object) -> None:
    """Print one JSON object, all in ASCII; on a terminal over several lines."""
    sys.stdout.write(json.dumps(said, indent=2 if sys.stdout.isatty() else None) + "\n")


def failure(error: LedgerError) -> None:
    """Say an error: the sentence with the name of its rule, and below it what mends it."""
    subject = f"{error.subject}: " if error.subject else ""
    console = _console(error=True)
    first, *more = error.what.split("\n")
    _paragraph(console, [("gitledger:", f"bold {BAD}"), f" {subject}{first} ", (f"[{error.rule}]", DIM)], 0, 2, "")
    for line in more:
        note(line, indent=2)
    command(error.mend, error=True)


def remark(error: LedgerError) -> None:
    """Say an error that stops nothing, and what mends it, in one line on standard error."""
    note(("gitledger:", f"bold {WAITS}"), f" {error}; {error.mend}")


def plain(text: str) -> str:
    """`text` without anything that a terminal obeys: such characters are shown by their number."""
    return "".join(_shown(character) for character in text)


def when(seconds: int) -> str:
    """A time for a person, in the zone of this machine: `2026-11-20 14:05`."""
    try:
        return datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M")
    except (OverflowError, ValueError):  # the last hours of the year 9999, east of Greenwich
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")


def iso(seconds: int) -> str:
    """A time for a program: `2026-11-20T13:05:00Z`."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def count(number: int, one: str, several: str = "") -> str:
    """`1 snapshot`, `3 snapshots`."""
    return f"{number:,} {one if number == 1 else several or one + 's'}"


def width_of() -> int:
    """How many characters a line may have: the terminal's, else `COLUMNS`, else as many as one likes."""
    return _console().width


# Asking


def interactive() -> bool:
    """Whether a person sits at a terminal and can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def confirm(question: str) -> None:
    """Ask, on a terminal. Raises Refused (`not-confirmed`) unless the answer is yes."""
    if answer(f"{question} [y/N] ").strip().lower() not in ("y", "yes"):
        raise Refused("not-confirmed", "nothing was done")


def answer(question: str) -> str:
    """What a person types, without the newline. Raises Refused (`not-confirmed`) at the end of the input."""
    sys.stdout.flush()
    sys.stderr.write(plain(question))
    sys.stderr.flush()
    typed = sys.stdin.readline()
    if not typed:
        sys.stderr.write("\n")
        raise Refused("not-confirmed", "nothing was done")
    return typed.rstrip("\n")


def passphrase() -> Callable[[str], str] | None:
    """How a passphrase is asked for: hidden, on a terminal, or by `SSH_ASKPASS` as OpenSSH does; else None."""
    program = _askpass()
    if program is None and not interactive():
        return None

    def ask(prompt: str) -> str:
        from getpass import getpass

        return _asked(program, prompt) if program else getpass(plain(prompt), stream=sys.stderr)

    return ask


def _askpass() -> str | None:
    """The program that OpenSSH would ask by (ssh(1), SSH_ASKPASS_REQUIRE), None where it would not."""
    program, require = os.environ.get("SSH_ASKPASS"), os.environ.get("SSH_ASKPASS_REQUIRE")
    window = bool(os.environ.get("DISPLAY")) and require != "never"
    if require == "force" or (window and (require == "prefer" or not interactive())):
        return program or None
    return None


def _asked(program: str, prompt: str) -> str:
    """What a program that was asked for a passphrase prints, up to the end of its line."""
    import shlex
    import subprocess

    mend = f"see what it prints: {shlex.quote(program)} Passphrase"
    try:
        told = subprocess.run([program, plain(prompt)], stdout=subprocess.PIPE, check=False)
    except OSError as error:
        raise Failed("no-passphrase", f"SSH_ASKPASS, {program}, can't be run: {error.strerror}", mend) from None
    if told.returncode:
        raise Failed("no-passphrase", f"SSH_ASKPASS, {program}, ended with status {told.returncode}", mend)
    return os.fsdecode(told.stdout.partition(b"\n")[0].rstrip(b"\r"))


# Long work


class Meter:
    """How far work has come, shown on standard error where that is a terminal, and gone when the work is done."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._begun = time.monotonic()
        self._bar: Bar | None = None
        self._watching = False
        self.watch = self._watch if sys.stderr.isatty() else None

    def step(self, done: int, of: int) -> None:
        """So much is done; a bar appears once it takes a while."""
        if self._bar is None:
            if self.watch is None or time.monotonic() - self._begun < _PATIENCE or done == of:
                return
            self.clear()
            self._bar = _bar(self._what)
            self._bar.start()
        rate = f"{done / (time.monotonic() - self._begun):,.0f}/s"
        self._bar.update(self._bar.task_ids[0], completed=done, total=of, rate=rate)

    def clear(self) -> None:
        """Leave no trace on the terminal."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        if self._watching:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._watching = False

    def _watch(self, line: str) -> None:
        """A line of git's progress stands in the place of the one before."""
        if time.monotonic() - self._begun >= _PATIENCE:
            sys.stderr.write("\r\x1b[K" + plain(line)[: _console(error=True).width - 1])
            sys.stderr.flush()
            self._watching = True


@contextmanager
def progress(what: str) -> Iterator[Meter]:
    """A meter for work that may be long; `what` names it."""
    meter = Meter(what)
    try:
        yield meter
    finally:
        meter.clear()


def _bar(what: str) -> Bar:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    rate = TextColumn("{task.fields[rate]}")
    console = _console(error=True)
    bars = (BarColumn(None),) if console.width >= _NARROW else ()
    shape = (TextColumn("{task.description}"), *bars, MofNCompleteColumn(), rate, TimeRemainingColumn())
    bar = Progress(*shape, console=console.rich, transient=True)
    bar.add_task(what, rate="")
    return bar


class _Console:
    """Where lines go: a terminal by way of rich, which knows its width and colours; else plain text, without rich."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.terminal = stream.isatty()

    @cached_property
    def rich(self) -> Console:
        from rich.console import Console

        return Console(file=self.stream, markup=False, emoji=False, highlight=False)

    @cached_property
    def width(self) -> int:
        return self.rich.width if self.terminal else _columns()

    def print(self, runs: Iterable[tuple[str, str]]) -> None:
        """One line of texts and their styles, without the spaces at its end."""
        if not self.terminal:
            self.stream.write("".join(text for text, _ in runs).rstrip() + "\n")
            self.stream.flush()
            return
        from rich.text import Text

        line = Text()
        for text, style in runs:
            line.append(text, style or None)
        line.rstrip()
        self.rich.print(line, soft_wrap=True)


@cache
def _console(*, error: bool = False) -> _Console:
    return _Console(sys.stderr if error else sys.stdout)


def _columns() -> int:
    said = os.environ.get("COLUMNS", "")
    return int(said) if said.isascii() and said.isdigit() and int(said) > 0 else _UNBOUNDED


def _paragraph(console: _Console, parts: Iterable[Part], indent: int, hang: int, style: str, *, whole: int = 0) -> None:
    """Print `parts`, wrapped at spaces; the first `whole` of them are not broken."""
    from rich.cells import cell_len

    line: list[tuple[str, str]] = [(" " * indent, "")]
    used = bare = indent
    for number, part in enumerate(parts):
        text, own = _part(part)
        for word in (text,) if number < whole else _words(text):
            size = cell_len(word)
            if used + cell_len(word.rstrip()) > console.width and used > bare and not word.isspace():
                _write(console, line)
                bare = indent + hang
                line, used = [(" " * bare, "")], bare
            line.append((word, own or style))
            used += size
    _write(console, line)


def _words(text: str) -> Iterator[str]:
    """The words of `text`, each with the spaces after it."""
    word = ""
    for character in text:
        if word.endswith(" ") and character != " ":
            yield word
            word = ""
        word += character
    if word:
        yield word


def _write(console: _Console, pieces: Sequence[tuple[str, str]]) -> None:
    """One line, whatever its length; nothing in it is interpreted, and no space is left at its end."""
    runs = groupby(pieces, key=lambda piece: piece[1])
    console.print((plain("".join(text for text, _ in run)), style) for style, run in runs)


def _part(part: Part) -> tuple[str, str]:
    text, style = (part, "") if isinstance(part, str) else part
    return plain(text.replace("\n", " ")), style


def _shown(character: str) -> str:
    if character.isprintable() or character in _JOINERS:
        return character
    if character.isspace() and not character.isascii() and character not in "\u2028\u2029\x85":
        return " "
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def grouped(rotation: str) -> tuple[str, str]:
    """H, in hex, in two lines of groups of four, to be read aloud."""
    groups = textwrap.wrap(rotation, 4)
    return " ".join(groups[:8]), " ".join(groups[8:])
