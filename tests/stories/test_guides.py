"""The guides are true: whoever types what they say sees what they show."""

from __future__ import annotations

import difflib
from pathlib import Path

import pytest
from runner import GUIDES, play
from stage import Stage


def test_the_guides_play_as_they_are_written(tmp_path: Path) -> None:
    stage = Stage(tmp_path / "world")
    for guide in GUIDES:
        written = guide.read_text(encoding="utf-8")
        played = play(written, stage)
        difference = difflib.unified_diff(
            written.splitlines(), played.splitlines(), f"docs/{guide.name}", "as played", lineterm="", n=1
        )
        assert played == written, "\n".join(difference)


def test_a_command_that_fails_where_it_should_not_is_noticed(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    with pytest.raises(AssertionError, match="exit status 1"):
        play("```console\nalice$ false\n```\n", stage)


def test_a_command_that_passes_where_it_should_be_refused_is_noticed(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    with pytest.raises(AssertionError, match="exit status 0"):
        play("```console fails\nalice$ true\n```\n", stage)


def test_an_output_that_is_not_as_written_is_noticed(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    text = "# A guide\n\n```console\nalice$ echo one \\\n> two\none\n```\n"
    assert play(text, stage) == text.replace("\none\n```", "\none two\n```")
