"""What the message of a snapshot says (spec 9), written and read in its one form.

A snapshot's message adds nothing that could not be computed; it lets anyone with stock Git read the number, the
chain of SHA-256 hashes, the proposal, the command id and the witness.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from gitledger.errors import Malformed

_DOMAIN = r"[a-z0-9-]{1,63}"
_NUMBER = r"(?P<number>0|[1-9][0-9]{0,18})"
_DIGEST = r"sha256:[0-9a-f]{64}"
_KEY = r"SHA256:[A-Za-z0-9+/]{43}"
_FORM = re.compile(
    rf"(?P<first>[^\n]+)\n\n"
    rf"(?:Ledger: (?P<ledger_id>{_DIGEST})\n)?"
    rf"Snapshot: (?P<name>{_DOMAIN})@{_NUMBER}\n"
    rf"(?:Previous: (?P<previous>{_DIGEST})\n)?"
    rf"Content: (?P<content>{_DIGEST})\n"
    rf"(?:Proposal: (?P<proposal>{_DIGEST})\n"
    rf"Command: (?P<command>[0-9a-f]{{64}}) (?P<command_key>{_KEY}) (?P<salt>[1-9][0-9]{{0,18}})\n)?"
    rf"Witness: (?P<witness>{_DOMAIN}) (?P<witness_key>{_KEY})\n"
    rf"(?:Rotation: (?P<rotation>{_DIGEST})\nEndorsed: (?P<endorsed>{_DOMAIN}(?: {_DOMAIN})*)\n)?"
)


@dataclass(frozen=True, slots=True)
class Entry:
    """The message of one snapshot, as values.

    `first` is its first line; `ledger_id`, `previous`, `content`, `proposal` and `rotation` are digests;
    `command` is a command id with `command_key` and `salt`. What does not apply is empty (`salt`: 0).
    """

    first: str
    name: str
    number: int
    content: str
    witness: str
    witness_key: str
    ledger_id: str = ""
    previous: str = ""
    proposal: str = ""
    command: str = ""
    command_key: str = ""
    salt: int = 0
    rotation: str = ""
    endorsed: tuple[str, ...] = ()

    @property
    def snapshot(self) -> str:
        """The snapshot name, `common@42`."""
        return f"{self.name}@{self.number}"

    def render(self) -> str:
        """The message, byte for byte as spec 9 has it."""
        lines = [self.first, ""]
        if self.ledger_id:
            lines.append(f"Ledger: {self.ledger_id}")
        lines.append(f"Snapshot: {self.snapshot}")
        if self.previous:
            lines.append(f"Previous: {self.previous}")
        lines.append(f"Content: {self.content}")
        if self.proposal:
            lines.append(f"Proposal: {self.proposal}")
            lines.append(f"Command: {self.command} {self.command_key} {self.salt}")
        lines.append(f"Witness: {self.witness} {self.witness_key}")
        if self.rotation:
            lines.append(f"Rotation: {self.rotation}")
            lines.append(f"Endorsed: {' '.join(self.endorsed)}")
        return "\n".join(lines) + "\n"

    @classmethod
    def parse(cls, message: str) -> Entry:
        """Read a snapshot's message. Raises Malformed (`not-a-snapshot`) where it is not in the form of spec 9."""
        match = _FORM.fullmatch(message)
        if match is None:
            raise Malformed("not-a-snapshot", "the commit's message is not that of a snapshot")
        part = match.groupdict(default="")
        return cls(
            first=part["first"],
            name=part["name"],
            number=int(part["number"]),
            content=part["content"],
            witness=part["witness"],
            witness_key=part["witness_key"],
            ledger_id=part["ledger_id"],
            previous=part["previous"],
            proposal=part["proposal"],
            command=part["command"],
            command_key=part["command_key"],
            salt=int(part["salt"] or 0),
            rotation=part["rotation"],
            endorsed=tuple(part["endorsed"].split()),
        )
