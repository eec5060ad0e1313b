"""`ledger/ledger.yaml`: what a ledger is called and which format it has (spec 3).

    artifact_type: asl.common.ledger
    format: 1
    name: common

Nothing in it ever changes but `format`, upwards (spec 7). So every format has these three lines, and software
reads here that a ledger has gone on in a format that it does not know: this module reads any format, `rules/`
stops there.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

from gitledger.documents import subset
from gitledger.documents.names import check_ledger_name

FORMAT: Final = 1
"""The format of the ledger that this software knows."""


class LedgerFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A ledger's `name`, and its `format`, at least 1 (spec 3)."""

    artifact_type: Literal["asl.common.ledger"]
    format: Annotated[int, msgspec.Meta(ge=1)]
    name: str

    def __post_init__(self) -> None:
        check_ledger_name(self.name)

    @classmethod
    def parse(cls, data: bytes) -> LedgerFile:
        """Read `ledger/ledger.yaml` from its bytes. Raises Malformed for what has not the form (spec 3)."""
        return subset.convert(subset.load_yaml(data), cls)

    @classmethod
    def named(cls, name: str) -> LedgerFile:
        """The file of a new ledger called `name`. Raises Malformed (`ledger-name`)."""
        return cls(artifact_type="asl.common.ledger", format=FORMAT, name=name)

    def render(self) -> str:
        """The three lines of the file, as genesis writes them."""
        return f"artifact_type: {self.artifact_type}\nformat: {self.format}\nname: {self.name}\n"
