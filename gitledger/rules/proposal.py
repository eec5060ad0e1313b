"""A commit that became a proposal: its form, its trailers and its signature (spec 4).

Nothing here knows a snapshot. Whether the proposal is possible now is decided by `rules/transition.py`.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum

from gitledger.documents.names import SnapshotName, check_digest, check_domain
from gitledger.errors import Malformed, Refused
from gitledger.objects.codec import AMEND, SIGN_WITH_SSH, Commit, digest, last_paragraph
from gitledger.objects.trees import Objects
from gitledger.signing import sshsig
from gitledger.signing.keys import PublicKey
from gitledger.signing.sshcert import Certificate

NAMESPACE = "git"
SUMMARY_CHARACTERS = 200
SALT_LIMIT = 1 << 63
PROPOSAL_BYTES = 1 << 20

_REWORD = "git commit --amend -S"
_TRAILER = re.compile(r"Ledger-([A-Za-z]+): (.*)")
_SALT = re.compile(r"[1-9][0-9]{0,18}")


class Permit(StrEnum):
    """What may have happened since the base (spec 4, `Ledger-Reorder`)."""

    NEVER = "never"
    UNCHANGED = "unchanged"
    ANY = "any"


@dataclass(frozen=True, slots=True)
class Proposal:
    """A signed commit with one parent. `hash` is the proposal hash, `key` made its signature.

    `certificate` is what the signature holds in place of the key, or None; the signature does not cover it (spec 13).
    `declared_salt` is 0 where no trailer gives one; `expires` is a snapshot name or None;
    `content` a tree digest and `domain` a domain id, each empty where no trailer gives one.
    """

    oid: str
    hash: str
    commit: Commit
    key: PublicKey
    certificate: Certificate | None
    declared_salt: int
    permit: Permit
    expires: SnapshotName | None
    content: str
    domain: str

    @property
    def base(self) -> str:
        """The commit it stands on."""
        return self.commit.parents[0]

    @property
    def summary(self) -> str:
        """The first line of the message."""
        return self.commit.message.split("\n", 1)[0]

    @property
    def seconds(self) -> int:
        """The committer time, in seconds since 1970."""
        return self.commit.committer.seconds

    def salt(self, previous: int) -> int:
        """The salt: declared, or the committer time, or one more than that of the proposal before (0: none)."""
        salt = self.declared_salt or (max(self.seconds, previous + 1) if previous else self.seconds)
        if not 0 < salt < SALT_LIMIT:
            raise Refused("salt-range", f"the salt {salt} is not between 1 and 2^63", "set Ledger-Salt in the message")
        return salt


def read(objects: Objects, oid: str) -> Proposal:
    """Read the commit `oid` as a proposal and verify its signature.

    Raises Malformed for what has not the form of a proposal, Refused where the signature is missing or wrong.
    """
    content = objects.read(oid, "commit")
    if len(content) > PROPOSAL_BYTES:
        raise Malformed("proposal-too-large", f"the commit has {len(content)} bytes, 1 MiB are allowed", _REWORD)
    commit = Commit.parse(content)
    must_have_base(commit)
    if commit.mergetags:
        raise Malformed(
            "proposal-headers", "a proposal has no mergetag header", "git reset --soft HEAD^ && git commit -S"
        )
    _must_have_summary(commit.message)
    trailers = _trailers(commit.message)
    if not commit.signature:
        raise Refused("unsigned", "the commit is not signed", SIGN_WITH_SSH + AMEND)
    signature = sshsig.parse(commit.signature, take_certificate=True)
    sshsig.verify(signature, commit.payload, NAMESPACE)
    return Proposal(
        oid=oid,
        hash=digest(content),
        commit=commit,
        key=signature.key,
        certificate=signature.certificate,
        declared_salt=_salt(trailers.get("Salt")),
        permit=_permit(trailers.get("Reorder")),
        expires=SnapshotName.parse(trailers["Expires"]) if "Expires" in trailers else None,
        content=check_digest(trailers["Content"]) if "Content" in trailers else "",
        domain=check_domain(trailers["Domain"]) if "Domain" in trailers else "",
    )


def must_have_base(commit: Commit, newest: str = "SNAPSHOT") -> None:
    """Raise Malformed (`proposal-parents`) unless the commit has exactly one parent; `newest` is for the mend."""
    if len(commit.parents) != 1:
        raise Malformed(
            "proposal-parents",
            f"a proposal has exactly one parent, its base; this commit has {len(commit.parents)}",
            f"git -c commit.gpgsign=true rebase {newest}   (a merge that git pull made goes away)",
        )


def _must_have_summary(message: str) -> None:
    first = message.split("\n", 1)[0]
    if not first:
        raise Malformed("summary-empty", "the message's first line is empty", _REWORD)
    if len(first) > SUMMARY_CHARACTERS:
        raise Malformed(
            "summary-too-long",
            f"the message's first line has {len(first)} characters, 200 are allowed",
            _REWORD + "   (a short first line, an empty line, then the rest)",
        )
    if any(unicodedata.category(character) == "Cc" for character in first):
        raise Malformed("summary-control", "the message's first line holds a control character", _REWORD)


def _trailers(message: str) -> dict[str, str]:
    """The `Ledger-` lines of the last paragraph, by name. Any other line that begins so is refused."""
    found: dict[str, str] = {}
    lines = last_paragraph(message)
    for line in lines:
        if not line.startswith("Ledger-"):
            continue
        match = _TRAILER.fullmatch(line)
        name = match[1] if match else ""
        if match is None or name not in ("Salt", "Reorder", "Expires", "Content", "Domain"):
            raise Malformed(
                "trailer-unknown",
                f"unknown trailer {line[:80]!r}",
                "the trailers are Ledger-Salt, -Reorder, -Expires, -Content and -Domain, as in `Ledger-Salt: 42`",
            )
        if name in found:
            raise Malformed("trailer-repeated", f"the trailer Ledger-{name} stands twice", _REWORD)
        found[name] = match[2]
    lines_like_trailers = sum(line.lower().startswith("ledger-") for line in message.split("\n"))
    if lines_like_trailers != len(found):
        raise Malformed(
            "trailer-place",
            "a line that begins with `Ledger-` stands outside the last paragraph of the message, or in other case",
            _REWORD + "   (trailers stand together in the last paragraph, after an empty line)",
        )
    return found


def _salt(value: str | None) -> int:
    if value is None:
        return 0
    if not _SALT.fullmatch(value) or int(value) >= SALT_LIMIT:
        raise Malformed("trailer-value", f"Ledger-Salt is {value[:80]!r}, not a number from 1 to 2^63 - 1", _REWORD)
    return int(value)


def _permit(value: str | None) -> Permit:
    if value is None:
        return Permit.UNCHANGED
    try:
        return Permit(value)
    except ValueError:
        what = f"Ledger-Reorder is {value[:80]!r}, not never, unchanged or any"
        raise Malformed("trailer-value", what, _REWORD) from None
