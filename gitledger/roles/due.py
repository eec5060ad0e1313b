"""Which mirrors of a host wait for a push, and the start of that push in the background (spec 11).

It imports nothing but what a hook can afford to: most pushes to a host leave nothing to do here.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Final

LISTED = "mirrors.json"
"""In the host's directory `gitledger`: the mirrors. What is known of each stands in `mirror-<name>.json`."""

LONGEST_WAIT: Final = 86_400
"""How long a failure waits for the next try at the most, in seconds."""

_started: list[object] = []


def mirrors(git_dir: str) -> list[str]:
    """The names of the mirrors of the host at `git_dir` that lack its newest snapshot and may be tried now."""
    where = f"{git_dir}/gitledger"
    if not os.path.exists(f"{where}/{LISTED}"):  # noqa: PTH110 - as in `settled`
        return []
    from gitledger.roles.settled import FILE

    newest = _text(f"{where}/{FILE}").strip()
    listed = _read(f"{where}/{LISTED}").get("mirrors")
    names = [str(one.get("name")) for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    return [name for name in names if _is_due(_read(f"{where}/mirror-{name}.json"), newest)]


def start(git_dir: str, names: list[str]) -> None:
    """Push to each of the mirrors `names` in a process that outlives this one and holds up nobody.

    It has a session of its own and none of this one's pipes, or git would wait for it before it answers a pusher. An
    agent that a pusher forwarded is not asked for a key: the host pushes as itself, whoever it was that pushed here.
    """
    if not names:
        return
    import subprocess

    environment = dict(os.environ)
    if "SSH_CONNECTION" in environment:
        environment.pop("SSH_AUTH_SOCK", None)
    for name in names:
        process = subprocess.Popen(
            [sys.executable, "-E", "-P", "-m", "gitledger.hook", "mirror", name],
            cwd=git_dir,
            env={**environment, "GIT_DIR": "."},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        _started.append(process)  # nobody waits for it, and nothing is said of that


def _is_due(known: dict[str, object], newest: str) -> bool:
    """Tags that fail hold up no branch. A try noted for later than any failure waits was noted by a clock ahead."""
    if known.get("done") == newest or waits(known.get("next", 0), time.time()):
        return False
    return known.get("branch") != newest or not waits(known.get("tags_next", 0), time.time())


def waits(after: object, now: float) -> bool:
    """Whether what failed is not yet to be tried again at `now`, where `after` was noted for it."""
    return isinstance(after, int) and now < after <= now + LONGEST_WAIT


def _read(path: str) -> dict[str, object]:
    """The object in a file; nothing where there is none, or it is damaged."""
    import json

    try:
        said = json.loads(_text(path))
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123 - as in `settled`
            return file.read()
    except (OSError, ValueError):
        return ""
