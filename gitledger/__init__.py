"""gitledger: a notarised ledger in a bare Git repository, for programs.

`Ledger.open(path)` maps `common@N` to snapshots; every error is a `LedgerError`. See `gitledger.ledger`.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as in `typing`, which a hook has no time to import
if TYPE_CHECKING:
    from gitledger.errors import (
        Failed,
        Fork,
        LedgerError,
        Malformed,
        Refused,
        Unreachable,
        Unsound,
        Usage,
        Wanting,
    )
    from gitledger.ledger import Ledger, Snapshot

__all__ = [
    "Failed",
    "Fork",
    "Ledger",
    "LedgerError",
    "Malformed",
    "Refused",
    "Snapshot",
    "Unreachable",
    "Unsound",
    "Usage",
    "Wanting",
]


def __getattr__(name: str) -> object:
    """Import what is asked for when it is asked for: a hook that imports one module does not wait for the rest."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    module = import_module("gitledger.ledger" if name in ("Ledger", "Snapshot") else "gitledger.errors")
    found: object = getattr(module, name)
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
