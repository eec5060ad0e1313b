"""Words of a command, shown so that they can be typed."""

from __future__ import annotations

import subprocess

import pytest

from gitledger.documents.names import as_typed, lasting


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["tar", "-cf", "a b.tar", "it's"], "tar -cf 'a b.tar' 'it'\"'\"'s'"),
        (["sh", "-c", "a\nb\tc\r"], r"sh -c $'a\nb\tc\r'"),
        (["it's\\\n"], r"$'it\'s\\\n'"),
        (["\x1b[2J\x7f"], r"$'\x1b[2J\x7f'"),
        (["\x9b\u202e\u2028\u200d\xa0", "ä"], r"$'\u009b\u202e\u2028\u200d\u00a0' 'ä'"),
        (["\U000e0001\udcff"], r"$'\U000e0001\xff'"),
        ([""], "''"),
    ],
)
def test_a_command_is_shown_so_that_a_shell_reads_it_as_it_is(words: list[str], shown: str) -> None:
    assert as_typed(words) == shown
    assert shown.isprintable()
    said = subprocess.run(
        ["bash", "-c", f"printf '%s\\0' {shown}"], env={"LC_ALL": "C.UTF-8"}, capture_output=True, check=True
    )
    assert said.stdout == "".join(f"{word}\0" for word in words).encode("utf-8", "surrogateescape")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 seconds"),
        (1, "a second"),
        (119, "119 seconds"),
        (120, "2 minutes"),
        (7_199, "119 minutes"),
        (7_200, "2 hours"),
        (41 * 86_400 + 5, "41 days"),
        (9_000_000_000, "285 years"),
    ],
)
def test_how_long_something_is_fits_in_a_sentence(seconds: int, words: str) -> None:
    assert lasting(seconds) == words
