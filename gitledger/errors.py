"""One tree of errors, by cause. Each says what was refused, which rule, and what to do about it.

An error is a sentence to a person: `str(error)` is what is wrong and where, `error.rule` the stable
kebab-case name of the rule, `error.mend` what to do next. Whoever knows more about the place than the one
who raised (the ref, the snapshot, the path) adds it with `about`.
"""

from __future__ import annotations


class LedgerError(Exception):
    """The base of every error that gitledger raises.

    `rule` is a kebab-case name that never changes its meaning; `what` one sentence without a full stop;
    `mend` what to type or do, possibly several lines, or empty where nothing mends it.
    """

    exit_status = 1

    def __init__(self, rule: str, what: str, mend: str = "") -> None:
        super().__init__(rule, what, mend)
        self.rule = rule
        self.what = what
        self.mend = mend
        self.subject = ""

    def __str__(self) -> str:
        return f"{self.subject}: {self.what} [{self.rule}]" if self.subject else f"{self.what} [{self.rule}]"


class Malformed(LedgerError):
    """Bytes that are not in the one form that the spec gives them."""


class Refused(LedgerError):
    """Well formed, and forbidden by a rule."""


class Wanting(Refused):
    """A proposal that lacks nothing but endorsements or releases: it waits (spec 9, 13)."""


class Unsound(LedgerError):
    """A repository that can't be trusted to answer: grafts, shallow, alternates, a missing object (spec 10)."""


class Failed(LedgerError):
    """Something outside the rules went wrong: a program, a file, a key that is not at hand."""


class Usage(LedgerError):
    """The command was used wrongly."""

    exit_status = 2


class Fork(LedgerError):
    """Two valid snapshots of one number, or a line that does not descend from what was verified (spec 10)."""

    exit_status = 3


class Unreachable(LedgerError):
    """A remote does not answer, or answers with less than is already verified."""

    exit_status = 4


def cannot_write(what: object, directory: object, error: OSError) -> Failed:
    """That `what` can't be written in `directory`, for the reason that the system gives."""
    import shlex  # a hook that refuses nothing does not wait for it

    where = shlex.quote(str(directory))
    mend = f"df -h {where}   (is there room?)\nls -ld {where}   (may you write there?)"
    return Failed("cannot-write", f"{what} can't be written: {error.strerror}", mend)


class about:
    """Name the place (a ref, a snapshot, a path) in every error that passes and has none yet."""

    __slots__ = ("_subject",)

    def __init__(self, subject: str) -> None:
        self._subject = subject

    def __enter__(self) -> None:
        """Nothing is done before."""

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, LedgerError):
            error.subject = error.subject or self._subject
