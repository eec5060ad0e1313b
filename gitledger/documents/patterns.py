"""Patterns of paths: what `match` says in a policy, and in a domain's rules of publishing (spec 3.1, 13).

`*` is any run of characters but `/`, `?` one character but `/`, and `**` as a whole component any number of components
(at the end, at least one); nothing else is special. A component that no path can have is refused: such a rule would
protect nothing.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import lru_cache
from typing import Final

from gitledger.documents.names import shown
from gitledger.errors import LedgerError, Malformed
from gitledger.objects.paths import check_component

_COMPONENTS: Final = "(?:[^/]+/)*?"


def check(pattern: str, *, closed: Collection[str] = ()) -> None:
    """Raise Malformed (`match-pattern`) where no path could match, or its first component is one of `closed`.

    Each component must be able to name something (spec 3, Entries), once its wildcards are a letter: q, which composes
    with no mark and is in no name that is forbidden.
    """
    for place, component in enumerate(pattern.split("/")):
        if place == 0 and component in closed:
            raise Malformed(
                "match-pattern",
                f"the rule for {shown(pattern)} would open {component}/, whose rights are fixed",
                f"open another directory: the first component of match is not {' or '.join(sorted(closed))}",
            )
        try:
            check_component(component.replace("*", "q").replace("?", "q").encode(), root=place == 0)
        except LedgerError as error:
            raise Malformed(
                "match-pattern",
                f"the rule for {shown(pattern)} could match no path: {error.what}",
                "write match as paths are, with / between components and none at either end: standards/**",
            ) from None


def matches(pattern: str, path: str) -> bool:
    """Whether `pattern` names `path`. It takes no more than length times length steps, however both were chosen."""
    return _compiled(pattern).fullmatch(f"{path}/") is not None


@lru_cache(4096)
def _compiled(pattern: str) -> re.Pattern[str]:
    """The pattern as a regular expression for a path with / after each component.

    What stands between two wildcards is taken where it is found first, and never elsewhere: to widen the last wildcard
    alone is enough. So each such part is an atomic group, which is not entered again.
    """
    parts = pattern.split("/")
    if parts[-1] == "**":
        parts.append("*")  # at the end, at least one
    runs = [""]
    for part in parts:
        if part == "**":
            runs.append("")
        else:
            runs[-1] += _component(part)
    first, *others = runs
    between = "".join(f"(?>{_COMPONENTS}{run})" for run in others[:-1])
    return re.compile(first + between + "".join(_COMPONENTS + run for run in others[-1:]))


def _component(part: str) -> str:
    first, *others = ("".join("[^/]" if one == "?" else re.escape(one) for one in text) for text in part.split("*"))
    between = "".join(f"(?>[^/]*?{text})" for text in others[:-1])
    return f"(?>{first}{between}" + "".join(f"[^/]*{text}" for text in others[-1:]) + "/)"
