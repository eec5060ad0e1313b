"""What documents name things by: domain ids, snapshot names, digests, key ids, durations (spec 1, 3.1).

Each has one form. `check_…` returns the text that it was given, or raises Malformed with the form in a
sentence and an example. The annotated types beside them carry the same form into the JSON Schemas, where an
editor reads it.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from typing import Annotated, Final, NamedTuple, TypeAlias

import msgspec

from gitledger.errors import Malformed, Refused

LARGEST_NUMBER: Final = (1 << 63) - 1
LONGEST_SECONDS: Final = 253402300799
"""The greatest time that a ledger can say (spec 1), so no duration is longer."""

_DOMAIN: Final = (
    r"(?!(?:any|draft|true|false|con|prn|aux|nul|(?:com|lpt)[0-9]|[0-9]+)$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
)
_NUMBER: Final = r"(?:0|[1-9][0-9]{0,18})"
_DIGEST: Final = r"sha256:[0-9a-f]{64}"
# 43 characters hold 258 bits, a SHA-256 has 256: the last character's two lowest bits are zero.
_KEY_ID: Final = r"SHA256:[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]"
_DURATION: Final = r"(0|[1-9][0-9]{0,18})([dh])"

_SECONDS: Final = {"d": 86400, "h": 3600}
_UNITS: Final = (("years", 31_557_600), ("days", 86_400), ("hours", 3_600), ("minutes", 60))

_ESCAPES: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "'": "\\'", "\\": "\\\\"}


def _formed(pattern: str) -> msgspec.Meta:
    """The pattern for the schema alone: at run time a `check_…` says in words what is wrong."""
    return msgspec.Meta(extra_json_schema={"pattern": f"^(?:{pattern})$"})


DomainId: TypeAlias = Annotated[str, _formed(_DOMAIN)]
KeyId: TypeAlias = Annotated[str, _formed(_KEY_ID)]
Duration: TypeAlias = Annotated[str, _formed(_DURATION)]


def shown(text: str) -> str:
    """A text for a message: quoted, nothing in it that a terminal obeys, and not too long."""
    return ascii(text[:80]) + ("…" if len(text) > 80 else "")


def as_typed(words: Iterable[str]) -> str:
    """Words of a command as bash and zsh read them, on one line: what is not printable is an escape in $'…'."""
    return " ".join(shlex.quote(word) if word.isprintable() else _escaped(word) for word in words)


def check_domain(text: str) -> str:
    """Return `text` if it is a domain id, such as `alice` (spec 1). Raises Malformed (`domain-id`)."""
    return _domain_like(text, "domain-id", "domain id", "alice")


def check_ledger_name(text: str) -> str:
    """Return `text` if it is a ledger name, such as `common` (spec 1). Raises Malformed (`ledger-name`)."""
    return _domain_like(text, "ledger-name", "ledger name", "common")


def check_key_name(text: str) -> str:
    """Return `text` if it may name a key, such as `laptop` (spec 3.2). Raises Malformed (`key-name`)."""
    return _domain_like(text, "key-name", "key name", "laptop")


def check_digest(text: str) -> str:
    """Return `text` if it is a digest, `sha256:<64 hex>` (spec 1). Raises Malformed (`digest`)."""
    if re.fullmatch(_DIGEST, text) is None:
        raise Malformed(
            "digest",
            f"{shown(text)} is no digest",
            "write sha256: and 64 lower-case hex digits, as sha256sum prints them",
        )
    return text


def digest_of_text(text: str) -> str | None:
    """The digest that a person means by `text`, with `sha256:` before it or without; None where it is none."""
    match = re.fullmatch(r"(?:sha256:)?([0-9a-f]{64})", text)
    return match and f"sha256:{match[1]}"


def check_key_id(text: str) -> str:
    """Return `text` if it is a key id, `SHA256:…` (spec 1). Raises Malformed (`key-id`)."""
    if re.fullmatch(_KEY_ID, text) is None:
        raise Malformed(
            "key-id", f"{shown(text)} is no key id", "copy SHA256:… from what `ssh-keygen -lf KEY.pub` prints"
        )
    return text


def seconds_of(duration: str) -> int:
    """The seconds of a duration: a whole number and `d` or `h`, such as `30d` or `24h` (spec 3.1).

    Raises Malformed (`duration`), for one above 253402300799 seconds too.
    """
    match = re.fullmatch(_DURATION, duration)
    seconds = int(match[1]) * _SECONDS[match[2]] if match else LONGEST_SECONDS + 1
    if seconds > LONGEST_SECONDS:
        raise Malformed(
            "duration",
            f"{shown(duration)} is no duration",
            "write a whole number and d or h, such as 30d or 24h",
        )
    return seconds


def lasting(seconds: int) -> str:
    """How long so many seconds are, for a message, in whole ones of the largest unit that gives a few: `41 days`."""
    for unit, length in _UNITS:
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}"
    return "a second" if seconds == 1 else f"{seconds} seconds"


class SnapshotName(NamedTuple):
    """`common@42`: the ledger's name and the number of a snapshot (spec 1)."""

    ledger: str
    number: int

    @classmethod
    def parse(cls, text: str) -> SnapshotName:
        """Read a snapshot name. Raises Malformed (`snapshot-name`)."""
        ledger, _, number = text.partition("@")
        formed = re.fullmatch(_DOMAIN, ledger) and re.fullmatch(_NUMBER, number)
        if not formed or int(number) > LARGEST_NUMBER:
            raise Malformed(
                "snapshot-name",
                f"{shown(text)} is no snapshot name",
                "write the ledger's name, @ and the number without a leading zero, such as common@42",
            )
        return cls(ledger, int(number))

    def __str__(self) -> str:
        return f"{self.ledger}@{self.number}"


def must_differ(rule: str, where: str, values: Iterable[str]) -> None:
    """Raise Refused with the name `rule` if one value stands twice among those of `where`."""
    seen: set[str] = set()
    for value in values:
        if value in seen:
            raise Refused(rule, f"{where} names {value} twice", "name it once")
        seen.add(value)


def _escaped(word: str) -> str:
    return "$'" + "".join(_ESCAPES.get(each) or (each if each.isprintable() else _code(each)) for each in word) + "'"


def _code(character: str) -> str:
    """A character by its number; a byte that was no UTF-8, and which Python keeps in its own way, by that byte."""
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _domain_like(text: str, rule: str, what: str, example: str) -> str:
    if re.fullmatch(_DOMAIN, text) is None:
        raise Malformed(
            rule,
            f"{shown(text)} is no {what}",
            "write 1 to 63 lower-case letters, digits and inner hyphens; not digits alone, "
            f"and not any, draft, true, false or a device's name such as con: {example}, for example",
        )
    return text
