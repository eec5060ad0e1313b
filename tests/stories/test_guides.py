"""The guides are true: whoever types what they say sees what they show."""

from __future__ import annotations

import difflib
from contextlib import closing
from pathlib import Path

import pytest
from runner import STORIES, Play
from stage import Stage

ONE, OTHER = "1" * 40, "2" * 40


@pytest.mark.long
@pytest.mark.parametrize("story", STORIES, ids=lambda story: story[0].stem)
def test_the_guides_play_as_they_are_written(tmp_path: Path, story: tuple[Path, ...]) -> None:
    with closing(Stage(tmp_path / "world")) as stage:
        play = Play(stage)
        for guide in story:
            written = guide.read_text(encoding="utf-8")
            played = play.guide(written)
            difference = difflib.unified_diff(
                written.splitlines(), played.splitlines(), f"docs/{guide.name}", "as played", lineterm="", n=1
            )
            assert played == written, "\n".join(difference)


@pytest.mark.long
def test_an_agent_that_a_guide_leaves_running_is_ended(tmp_path: Path) -> None:
    with closing(Stage(tmp_path)) as stage:
        stage.run("alice", 'eval "$(ssh-agent)"')
        assert stage.run("alice", "ssh-add -l") == (1, "The agent has no identities.\n")
    assert stage.run("alice", "ssh-add -l")[0] == 2


@pytest.mark.parametrize(
    ("kind", "command", "status"),
    [("console", "false", 1), ("console fails", "true", 0), ("console fails", "false\nalice$ true", 1)],
)
def test_a_command_that_ends_otherwise_than_written_is_noticed(
    tmp_path: Path, kind: str, command: str, status: int
) -> None:
    with pytest.raises(AssertionError, match=f"exit status {status} of"):
        Play(Stage(tmp_path)).guide(f"```{kind}\nalice$ {command}\n```\n")


def test_an_output_that_is_not_as_written_is_noticed(tmp_path: Path) -> None:
    text = "# A guide\n\n```console\nalice$ echo one \\\n> two\none\n```\n"
    assert Play(Stage(tmp_path)).guide(text) == text.replace("\none\n```", "\none two\n```")


def test_a_hash_that_changed_is_followed_into_the_commands(tmp_path: Path) -> None:
    text = f"```console\nalice$ printf '{OTHER[:20]}'; echo '{OTHER[20:]}'\n{ONE}\nalice$ echo {ONE}\n{ONE}\n```\n"
    assert Play(Stage(tmp_path)).guide(text) == text.replace(ONE, OTHER)


def test_everybody_goes_on_where_they_were(tmp_path: Path) -> None:
    text = "```console\nalice$ mkdir here\nalice$ cd here\njames$ pwd\n/home/james\nalice$ pwd\n/home/alice/here\n```\n"
    assert Play(Stage(tmp_path)).guide(text) == text
