"""Commands as a person types them: `gitledger …` in a pipe, or at a terminal that answers what it asks."""

from __future__ import annotations

import fcntl
import io
import json
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from world import Done, Person

from gitledger import cli
from gitledger.cli import output

Answer = tuple[str, str | Callable[[], str]]
"""What is waited for on the terminal, and what is typed then."""

Clones = Callable[[Person], Path]
STANDARDS = ("{match: standards/**, proposers: any, endorsements: 1}",)
GITLEDGER = (sys.executable, "-P", "-m", "gitledger")
_SECONDS = 60
_TAKE_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execvp(sys.argv[1], sys.argv[1:])"
)


def typed(person: Person, cwd: Path, *arguments: str, status: int = 0, input: str = "", **more: str) -> Done:
    """Run `gitledger arguments…` as `person` in a pipe; assert its exit status, and that nobody sees a traceback.

    It runs in this process, where it need not import everything anew; `program` runs the program itself.
    """
    return _judged(run_here(person, cwd, *arguments, input=input, **more), status)


def run_here(person: Person, cwd: Path, *arguments: str, input: str = "", **more: str) -> Done:
    """As `typed`, and nothing is asserted."""
    person.world.tick()
    out, err = io.StringIO(), io.StringIO()
    output._console.cache_clear()
    with (
        mock.patch.dict(os.environ, person.env(**more), clear=True),
        mock.patch.multiple(sys, argv=["gitledger", *arguments], stdin=io.StringIO(input), stdout=out, stderr=err),
        chdir(cwd),
        pytest.raises(SystemExit) as ended,
    ):
        cli.main()
    output._console.cache_clear()
    assert isinstance(ended.value.code, int)
    return Done(arguments, ended.value.code, out.getvalue(), err.getvalue())


def program(person: Person, cwd: Path, *arguments: str, status: int = 0, **more: str) -> Done:
    """As `typed`, in a process of its own."""
    return _judged(person.run(cwd, *GITLEDGER, *arguments, check=False, **more), status)


def _judged(done: Done, status: int) -> Done:
    assert done.returncode == status, f"status {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr and "internal error" not in done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    assert not status or done.stderr, "no reason on standard error"
    return done


def told(person: Person, cwd: Path, *arguments: str, **how: Any) -> dict[str, Any]:
    """The one object that `gitledger arguments… --json` prints, and nothing else on standard output."""
    said = json.loads(typed(person, cwd, *arguments, "--json", **how).stdout)
    assert isinstance(said, dict)
    return said


@dataclass(frozen=True)
class Screen:
    """What a terminal showed, and how the command ended."""

    text: str
    status: int


def at_terminal(
    person: Person,
    cwd: Path,
    *arguments: str,
    answers: Sequence[Answer] = (),
    columns: int = 80,
    command: Sequence[str] = GITLEDGER,
    env: Mapping[str, str] | None = None,
) -> Screen:
    """Run it at a terminal so wide; each of `answers` is typed once the text before it has appeared."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    person.world.tick()
    process = subprocess.Popen(
        [sys.executable, "-c", _TAKE_TERMINAL, *command, *arguments],
        cwd=cwd,
        env=person.env(TERM="xterm-256color", **(env or {})),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        text = _converse(ours, list(answers))
        return Screen(text, process.wait(_SECONDS))
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def _converse(terminal: int, answers: list[Answer]) -> str:
    shown, seen, until = b"", 0, time.monotonic() + _SECONDS
    while time.monotonic() < until:
        if not select.select([terminal], [], [], 0.1)[0]:
            continue
        try:
            chunk = os.read(terminal, 65536)
        except OSError:  # the last process that had it has ended
            break
        if not chunk:
            break
        shown += chunk
        if answers and answers[0][0].encode() in shown[seen:]:
            seen = len(shown)
            answer = answers.pop(0)[1]
            os.write(terminal, (answer if isinstance(answer, str) else answer()).encode())
    assert not answers, f"never asked {answers[0][0]!r}:\n{shown.decode()}"
    return shown.decode().replace("\r\n", "\n")
