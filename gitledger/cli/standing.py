"""How a proposal stands, in words: ready, waits, refused; what it still needs; and the same for programs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from gitledger.cli import output
from gitledger.errors import LedgerError, Wanting

if TYPE_CHECKING:
    from gitledger.rules.queue import Queue, Verdict

_STYLES: Final = {"ready": output.GOOD, "waits": output.WAITS, "refused": output.BAD, "withdrawn": output.DIM}
_NEW_BASE: Final = ("path-changed-since", "reorder-never", "base-unknown", "base-refused", "file-conflict")
_SHORT: Final = 12


@dataclass(frozen=True, slots=True)
class Standing:
    """A proposal in the queue, for a person: `where` is `domain/topic`; `snapshot` the name that a ready one gets."""

    oid: str
    ref: str
    summary: str
    snapshot: str
    error: LedgerError | None

    @classmethod
    def of(cls, verdict: Verdict, queue: Queue, ledger: str) -> Standing:
        """How the witness's verdict on a proposal reads."""
        one = verdict.proposal
        refs = queue.refs(one.oid)
        name = f"{ledger}@{verdict.number}" if verdict.ready else ""
        return cls(one.oid, refs[0] if refs else "", one.summary, name, verdict.error)

    @property
    def where(self) -> str:
        return self.ref.removeprefix("refs/proposals/")

    @property
    def word(self) -> str:
        """`ready`, `waits`, `withdrawn` or `refused`."""
        if self.error is None:
            return "ready"
        if isinstance(self.error, Wanting):
            return "waits"
        return "withdrawn" if self.error.rule == "withdrawn" else "refused"

    @property
    def needs(self) -> str:
        """What is still to be done for it: `nothing`, `endorsements`, `a release`, `a new base` or `a change`."""
        if self.error is None or self.word == "withdrawn":
            return "nothing"
        if isinstance(self.error, Wanting):
            return "a release" if self.error.rule == "release-missing" else "endorsements"
        return "a new base" if self.error.rule in _NEW_BASE else "a change"

    def as_json(self) -> dict[str, object]:
        """For `--json`; where there is no reason, `rule`, `reason` and `mend` are null."""
        error = self.error
        return {
            "oid": self.oid,
            "ref": self.ref,
            "summary": self.summary,
            "standing": self.word,
            "needs": self.needs,
            "snapshot": self.snapshot or None,
            "rule": error.rule if error else None,
            "reason": reason(error) if error else None,
            "mend": error.mend if error else None,
        }


def show(standings: Iterable[Standing], *, mend: bool = False, numbered: bool = False, indent: int = 2) -> None:
    """Print each with its reason; with what mends it, too, where the reader is the one to do so.

    Where they are `numbered`, a ready one begins with its snapshot name.
    """
    listed = list(standings)
    heads = [list(_head(one, numbered)) for one in listed]
    widths = [max((len(head[column][0]) for head in heads), default=0) for column in range(3)]
    for one, head in zip(listed, heads, strict=True):
        if output.fits(widths, rest=indent + 16):
            output.columns([*head, one.summary], widths=widths, indent=indent)
        else:
            output.columns([*head[:2], head[2]], widths=widths[:2], indent=indent)
            output.say(one.summary, indent=indent + 2)
        if one.error is None and not numbered:
            output.say((f"becomes {one.snapshot}, as things stand", output.DIM), indent=indent + 2, hang=0)
        if one.error is not None:
            output.say((reason(one.error), output.DIM), indent=indent + 2, hang=0)
            if mend and one.error.mend:
                output.command(one.error.mend.replace("PROPOSAL", one.oid[:_SHORT]), indent=indent + 4)


def reason(error: LedgerError) -> str:
    """The sentence of an error with its place, without the name of the rule."""
    return f"{error.subject}: {error.what}" if error.subject else error.what


def _head(one: Standing, numbered: bool) -> Iterator[tuple[str, str]]:
    yield (one.snapshot if numbered else "") or one.word, _STYLES[one.word]
    yield one.oid[:_SHORT], ""
    yield one.where, ""
