"""Signed tags on a proposal: endorsements, refusals and withdrawals share one form (spec 6, 9).

object <proposal oid>
type commit
tag <verb>/<proposal oid>
tagger …

<message whose last paragraph holds `<Word>: <proposal hash>` once>
<SSH signature, namespace git>
"""

from __future__ import annotations

from dataclasses import dataclass

from gitledger.errors import Malformed, Refused
from gitledger.objects.codec import SIGN_WITH_SSH, Ident, Tag, compose_tag, last_paragraph
from gitledger.rules.proposal import NAMESPACE, Proposal
from gitledger.signing import sshsig
from gitledger.signing.keys import PublicKey


@dataclass(frozen=True, slots=True)
class SignedTag:
    """A tag whose form and signature hold. Whether its `key` may say what it says is decided elsewhere.

    `content` is the raw tag object, `lines` the last paragraph of its message, `proposal` the oid it is about.
    """

    content: bytes
    proposal: str
    key: PublicKey
    tagger: Ident
    lines: tuple[str, ...]

    def value(self, word: str) -> str:
        """The value of the one line `<word>: <value>`. Raises Malformed where there is none, or more."""
        values = [line.removeprefix(f"{word}: ") for line in self.lines if line.startswith(f"{word}:")]
        if len(values) != 1:
            raise Malformed("tag-trailer", f"the last paragraph of the tag's message has not one line `{word}: …`")
        return values[0]


def read(content: bytes, proposal: Proposal, verb: str, word: str) -> SignedTag:
    """Read a tag `<verb>/<proposal oid>` that says `<word>: <proposal hash>` of `proposal`.

    Raises Malformed for another form, Refused where it is about something else or its signature does not hold.
    """
    tag = Tag.parse(content)
    if tag.object != proposal.oid or tag.name != f"{verb}/{proposal.oid}":
        raise Refused(
            "tag-object",
            f"the tag {tag.name[:80]!r} on {tag.object} is not {verb}/{proposal.oid} on that proposal",
            f"git tag -s -m '{word}: {proposal.hash}' {verb}/{proposal.oid} {proposal.oid}",
        )
    signed = _signed(content, tag)
    if signed.value(word) != proposal.hash:
        raise Refused(
            "tag-proposal-hash",
            f"the tag says another hash than the proposal's, {proposal.hash}",
            f"git cat-file commit {proposal.oid} | sha256sum",
        )
    return signed


def compose(proposal: Proposal, verb: str, subject: str, lines: tuple[str, ...], tagger: Ident) -> bytes:
    """The bytes of such a tag that are to be signed; its signature is appended to them."""
    message = "\n".join((subject, "", *lines, ""))
    return compose_tag(object=proposal.oid, name=f"{verb}/{proposal.oid}", tagger=tagger, message=message)


def _signed(content: bytes, tag: Tag) -> SignedTag:
    if not tag.signature:
        raise Refused(
            "unsigned", f"the tag {tag.name} is not signed", f"{SIGN_WITH_SSH}git tag -f -s {tag.name} {tag.object}"
        )
    signature = sshsig.parse(tag.signature)
    sshsig.verify(signature, tag.payload, NAMESPACE)
    return SignedTag(content, tag.object, signature.key, tag.tagger, last_paragraph(tag.message, first_too=True))
