"""What comes from a ledger or a remote is shown, and never obeyed; lines fit, and what is to be copied stays whole."""

from __future__ import annotations

import io
import sys
import unicodedata
from collections.abc import Iterator

import forge
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typed import STANDARDS, Clones, at_terminal, typed
from world import World

from gitledger.cli import output
from gitledger.errors import Refused

HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202eevil\u2028[bold red]not markup[/]"


@pytest.fixture(autouse=True)
def fresh_streams() -> Iterator[None]:
    output._console.cache_clear()
    yield
    output._console.cache_clear()


def printed(monkeypatch: pytest.MonkeyPatch, columns: int) -> io.StringIO:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setenv("COLUMNS", str(columns))
    output._console.cache_clear()
    return stream


@given(st.text())
def test_nothing_that_a_terminal_obeys_is_left_in_a_text(text: str) -> None:
    shown = output.plain(text)
    assert all(unicodedata.category(c)[0] != "C" or c in "\u200c\u200d" for c in shown)
    assert not {"\u2028", "\u2029"} & set(shown)


def test_ordinary_text_is_shown_as_it_is() -> None:
    for text in ("Grüße", "世界", "می‌خواهم", "a [bold]b[/] :smile:", "👩‍💻"):
        assert output.plain(text) == text


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_a_paragraph_fits_the_width(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    stream = printed(monkeypatch, columns)
    styled = "styled and not styled, ", "bold"
    output.say("a paragraph of words, 世界 included, ", styled, "that goes on " * 20, indent=4)
    lines = stream.getvalue().splitlines()
    assert len(lines) > 1
    assert all(len(line) <= columns for line in lines)
    assert all(line.startswith("    ") and line == line.rstrip() for line in lines)


def test_what_is_longer_than_the_line_stays_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = printed(monkeypatch, 40)
    digest = f"sha256:{'0' * 64}"
    output.fields([("hash", digest), ("name", "common@0")])
    output.command(f"gitledger clone URL DIR --anchor {digest}")
    assert stream.getvalue().count(digest) == 2


def test_a_table_row_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = printed(monkeypatch, 40)
    output.columns(["common@1", "alice", "a summary that is much too long for so narrow a terminal"], widths=(8, 5))
    (line,) = stream.getvalue().splitlines()
    assert len(line) <= 40 and line.endswith("…")


def test_in_a_pipe_nothing_is_wrapped(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = printed(monkeypatch, 40)
    monkeypatch.delenv("COLUMNS")
    output._console.cache_clear()
    output.say("word " * 200)
    assert len(stream.getvalue().splitlines()) == 1


def test_an_error_is_a_sentence_with_its_place_its_rule_and_its_mend(capsys: pytest.CaptureFixture[str]) -> None:
    error = Refused("some-rule", "it is not so", "git this\ngit that")
    error.subject = "common@1"
    output.failure(error)
    assert capsys.readouterr().err == "gitledger: common@1: it is not so [some-rule]\n  git this\n  git that\n"


def test_times_at_the_end_of_time_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert output.iso(253402300799) == "9999-12-31T23:59:59Z"
    assert output.when(253402300799).startswith("9999-12-31")


def test_a_hostile_message_is_shown_in_log_show_and_endorse_without_being_obeyed(
    world: World, clone_of: Clones
) -> None:
    world.make_host(paths=STANDARDS)
    clone = clone_of(world.alice)
    bench = world.bench(world.alice)
    tree = forge.changed(bench, world.tip, {"standards/x": f"{HOSTILE}\n".encode()})
    message = f"\u202eSummary [red]x[/]\n\n{HOSTILE}\n"
    who = forge.ident("alice", world.tick(), email="a@b")
    oid = forge.commit(bench, tree, [world.tip], message, world.alice.key, author=who, committer=who)
    assert world.offer(oid, "refs/proposals/alice/hostile", by=world.alice).returncode == 0
    typed(world.alice, clone, "fetch")
    endorsed = typed(world.alice, clone, "endorse", "hostile", "--key", str(world.alice.key))
    world.emit()
    typed(world.alice, clone, "fetch")
    for said in (endorsed, typed(world.alice, clone, "log"), typed(world.alice, clone, "show", "1")):
        assert not {"\x1b", "\x07", "\x9b", "\u202e", "\u2028"} & set(said.stdout)
        assert "\\u202eSummary [red]x[/]" in said.stdout
    assert "\\x1b]0;owned\\x07" in endorsed.stdout


def test_colours_are_for_terminals_and_for_who_wants_them(world: World) -> None:
    arguments = ("-C", str(world.host), "status")
    assert "\x1b[1m" in at_terminal(world.alice, world.path, *arguments).text
    assert "\x1b[3" not in at_terminal(world.alice, world.path, *arguments, env={"NO_COLOR": "1"}).text
    assert "\x1b" not in typed(world.alice, world.path, *arguments).stdout


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_reports_fit_every_terminal(world: World, clone_of: Clones, columns: int) -> None:
    world.make_host(paths=STANDARDS)
    clone = clone_of(world.alice)
    summary = "A summary that is long enough to be cut " * 4
    world.propose(world.alice, {"domains/alice/a": "a\n"}, summary, topic="long-" * 10)
    world.propose(world.alice, {"standards/a": "a\n"}, "Another", topic="b")
    typed(world.alice, clone, "fetch")
    for command in (("log",), ("proposals",), ("status",), ("domain", "show", "alice")):
        said = typed(world.alice, clone, *command, COLUMNS=str(columns)).stdout
        for line in said.splitlines():
            long_words = [word for word in line.split() if len(word) > columns - 8]
            assert len(line) <= columns or long_words or line.startswith("      "), line
