"""The guides in `docs/`, run as they are written.

A block of the kind `console` is a transcript: `alice$ command` is typed by Alice, lines that begin with `> ` go on
with it, and what follows is the output, exactly. Where the block is of the kind `console fails`, its last command ends
with an exit status that is not 0; every other one ends with 0. The guides of a story, in the order of `STORIES`, are
played in one world, each where the one before it ended.

    python tests/stories/runner.py [NAME…]

plays them, or the stories with `guide-NAME.md`, and writes the outputs as they came into the guides. Where a hash comes
out another than it was, the commands that follow get the new one.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

from stage import PEOPLE, Stage  # noqa: E402

DOCS = Path(__file__).parent.parent.parent / "docs"
_STORIES = (
    ("host", "proposer", "authority", "witness", "consumer", "succession", "carriers", "forges"),
    ("keys",),
    ("nodes",),
    ("receipts",),
)
STORIES = tuple(tuple(DOCS / f"guide-{name}.md" for name in story) for story in _STORIES)

_KINDS = ("```console", "```console fails")
_PROMPT = re.compile(rf"({'|'.join(PEOPLE)})\$ (.*)")
_GOES_ON = "> "
_HASH = re.compile(r"[0-9a-f]{40,64}")
_DRAWN = re.compile(r"\b[0-9a-f]{7,64}\b")
_CERTIFIES = "gitledger node grant"


class Step(NamedTuple):
    """One command of a transcript: who types which lines, and the output as it is written."""

    who: str
    typed: list[str]
    output: list[str]


@dataclass
class Play:
    """The story as far as it was played on `stage`. `renamed` are hashes that came out otherwise than written.

    `drawn` says that a certificate was made, in which OpenSSH puts something drawn by lot: the hashes of what is signed
    with it, and of all that follows, are others each time.
    """

    stage: Stage
    renamed: dict[str, str] = field(default_factory=dict)
    drawn: bool = False

    def guide(self, text: str) -> str:
        """Play a guide; its text, with the outputs that came."""
        played: list[str] = []
        block: list[str] | None = None
        for line in text.splitlines():
            if block is None:
                played.append(line)
                block = [] if line in _KINDS else None
            elif line == "```":
                played += [*self._block(block, fails=played[-1] == _KINDS[1]), line]
                block = None
            else:
                block.append(line)
        return "\n".join(played) + "\n"

    def _block(self, lines: list[str], *, fails: bool) -> Iterator[str]:
        steps = list(_steps(lines))
        for step in steps:
            command = _HASH.sub(lambda match: self.renamed.get(match[0], match[0]), "\n".join(step.typed))
            status, output = self.stage.run(step.who, command)
            if bool(status) != (fails and step is steps[-1]):
                raise AssertionError(f"exit status {status} of\n{step.who}$ {command}\n{output}")
            self._compare_hashes("\n".join(step.output), output)
            self.drawn = self.drawn or _CERTIFIES in command
            first, *others = command.split("\n")
            yield f"{step.who}$ {first}"
            yield from (f"{_GOES_ON}{line}".rstrip() for line in others)
            lines = output.splitlines()
            yield from _as_written(step.output, lines) if self.drawn else lines

    def _compare_hashes(self, written: str, came: str) -> None:
        before, now = _HASH.findall(written), _HASH.findall(came)
        if len(before) == len(now):
            self.renamed |= {old: new for old, new in zip(before, now, strict=True) if old != new}


def _as_written(written: Sequence[str], came: Sequence[str]) -> Iterator[str]:
    """The lines that came; where one differs from what is written in nothing but hashes, it is as written."""
    for old, new in zip_longest(written, came):
        if new is not None:
            yield old if old is not None and _DRAWN.sub("", old) == _DRAWN.sub("", new) else new


def _steps(lines: Iterable[str]) -> Iterator[Step]:
    """The commands of a block."""
    step: Step | None = None
    for line in lines:
        match = _PROMPT.fullmatch(line)
        if match:
            if step:
                yield step
            step = Step(match[1], [match[2]], [])
        elif step is None:
            raise AssertionError(f"this block begins with no prompt of anybody's: {line}")
        elif not step.output and f"{line} ".startswith(_GOES_ON):
            step.typed.append(line.removeprefix(_GOES_ON.rstrip()).removeprefix(" "))
        else:
            step.output.append(line)
    if step:
        yield step


def main() -> None:
    """Play the guides and write what came out into them: all, or the stories with a guide that is named."""
    wanted = {f"guide-{name}.md" for name in sys.argv[1:]}
    for story in STORIES:
        if wanted and wanted.isdisjoint(guide.name for guide in story):
            continue
        with tempfile.TemporaryDirectory() as root, closing(Stage(Path(root))) as stage:
            play = Play(stage)
            for guide in story:
                text = guide.read_text(encoding="utf-8")
                played = play.guide(text)
                guide.write_text(played, encoding="utf-8")
                print(f"{guide.name}: {'as it was' if played == text else 'written anew'}")


if __name__ == "__main__":
    main()
