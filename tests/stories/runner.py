"""The guides in `docs/`, run as they are written.

A block of the kind `console` is a transcript: `alice$ command` is typed by Alice, lines that begin with `> ` go on with
it, and what follows is the output, exactly. In a block that begins with ```` ```console fails ```` the last command ends
with an exit status that is not 0; every other one ends with 0. The guides are one story, told in the order of `GUIDES`.

    python tests/stories/runner.py

plays it and writes the outputs as they came into the guides.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

from stage import PEOPLE, Stage

DOCS = Path(__file__).parent.parent.parent / "docs"
GUIDES = tuple(DOCS / f"guide-{name}.md" for name in ("host", "proposer", "authority", "witness", "consumer"))

_PROMPT = re.compile(rf"({'|'.join(PEOPLE)})\$ (.*)")
_GOES_ON = "> "


def play(text: str, stage: Stage) -> str:
    """The guide's text with the outputs that came when it was played."""
    played: list[str] = []
    block: list[str] | None = None
    for line in text.splitlines():
        if block is None:
            played.append(line)
            if line in ("```console", "```console fails"):
                block = []
        elif line == "```":
            played += [*_play_block(block, stage, fails=played[-1].endswith(" fails")), line]
            block = None
        else:
            block.append(line)
    return "\n".join(played) + "\n"


def _play_block(lines: list[str], stage: Stage, *, fails: bool) -> Iterator[str]:
    steps = list(_steps(lines))
    for number, (who, typed) in enumerate(steps, 1):
        command = "\n".join(typed)
        status, output = stage.run(who, command)
        if bool(status) != (fails and number == len(steps)):
            raise AssertionError(f"exit status {status} of\n{who}$ {command}\n{output}")
        yield f"{who}$ {typed[0]}"
        yield from (_GOES_ON + line for line in typed[1:])
        yield from output.splitlines()


def _steps(lines: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Who types which lines."""
    who, typed = "", [""]
    prompting = False
    for line in lines:
        match = _PROMPT.fullmatch(line)
        if match:
            if who:
                yield who, typed
            who, typed, prompting = match[1], [match[2]], True
        elif prompting and line.startswith(_GOES_ON):
            typed.append(line.removeprefix(_GOES_ON))
        elif not who:
            raise AssertionError(f"this block begins with no prompt of anybody's: {line}")
        else:
            prompting = False
    if who:
        yield who, typed


def main() -> None:
    """Play the guides and write what came out into them."""
    with tempfile.TemporaryDirectory() as root:
        stage = Stage(Path(root))
        for guide in GUIDES:
            text = guide.read_text(encoding="utf-8")
            played = play(text, stage)
            guide.write_text(played, encoding="utf-8")
            print(f"{guide.name}: {'as it was' if played == text else 'written anew'}")


if __name__ == "__main__":
    main()
