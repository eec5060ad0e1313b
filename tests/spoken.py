"""What a host says to who pushes, and doing what it says."""

from __future__ import annotations

import re
from pathlib import Path

from world import Done, Person, World


def said(done: Done | None) -> str:
    """What the host said, in one line."""
    assert done
    lines = [line.removeprefix("remote:").strip() for line in done.stderr.splitlines() if line.startswith("remote:")]
    return " ".join(lines)


def mends(done: Done) -> list[str]:
    """The commands that a refusal tells to type, without the remarks behind them."""
    lines = [line.removeprefix("remote:").rstrip() for line in done.stderr.splitlines()]
    return [re.sub(r"   \(.*\)$", "", line).strip() for line in lines if re.match(r" {5}\S", line)]


def type_mends(person: Person, cwd: Path, done: Done) -> None:
    """Type them in a shell, as they stand."""
    assert mends(done), f"no mend in:\n{done.stderr}"
    for command in mends(done):
        person.run(cwd, "sh", "-ec", command)


def push_head(world: World, person: Person, topic: str = "t", clone: Path | None = None) -> Done:
    """Push HEAD as a proposal, over what is there."""
    path = clone or world.clone(person)
    return world.push(person, path, f"+HEAD:refs/proposals/{person.domain}/{topic}")


def pushed(proposed: object) -> Done:
    """The push that brought what was proposed or endorsed."""
    done = getattr(proposed, "push", None)
    assert isinstance(done, Done)
    return done
