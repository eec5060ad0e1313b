"""Commits and tags: raw bytes to values and back, strictly (spec 4, 6, 9).

A commit is UTF-8 without NUL: the headers tree, parent, author, committer, mergetag, gpgsig in this order and
no others, an empty line, the message. A tag is exactly the lines object, ``type commit``, tag, tagger; an
empty line, a message, and the signature at its end, no line before which begins with ``-----BEGIN ``. An
ident is ``<name> <<email>> <seconds> ±hhmm``.

What parses encodes to the same bytes, so no two byte strings are one value. How many parents and mergetags
there may be, and whether the signature must be there and verify, is for the rules. Git's own readers are not
asked: some take a signature from the body of a message, stop at NUL, or let grafts change parents.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import Final

from gitledger.errors import Malformed

MAX_SECONDS: Final = 253402300799
"""The last second of the year 9999, the greatest time (spec 1)."""

_OID = re.compile(rb"[0-9a-f]{40}")
_IDENT = re.compile(rb"([^<>]*) <([^<>]*)> (0|[1-9][0-9]*) ([+-][0-9]{4})")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_BLANK = re.compile(r"[ \t]*")
_ARMOUR = re.compile(rb"^-----BEGIN ", re.MULTILINE)
_SSH_ARMOUR: Final = b"-----BEGIN SSH SIGNATURE-----\n"

_COMMIT_HEADERS: Final = (b"tree", b"parent", b"author", b"committer", b"mergetag", b"gpgsig")
_TAG_HEADERS: Final = (b"object", b"type", b"tag", b"tagger")
_REPEATABLE: Final = frozenset({b"parent", b"mergetag"})
_FOLDED: Final = frozenset({b"mergetag", b"gpgsig"})

AMEND: Final = "git commit --amend -S --no-edit"
_TAG_AGAIN: Final = "git tag -f -s <name> <commit>"
_AGAIN: Final = f"Make it again with stock git.\nA commit: git reset --soft HEAD^ && git commit -S\nA tag: {_TAG_AGAIN}"
_IN_UTF8: Final = f"git config i18n.commitEncoding UTF-8\n{AMEND}"
SIGN_WITH_SSH: Final = (
    "git config gpg.format ssh\ngit config user.signingkey ~/.ssh/id_ed25519.pub\ngit config commit.gpgsign true\n"
)


@dataclass(frozen=True, slots=True)
class Ident:
    """Who and when: name, address, seconds since 1970, zone ``±hhmm``. Claims that nothing relies on."""

    name: str
    email: str
    seconds: int
    zone: str

    @classmethod
    def parse(cls, line: bytes) -> Ident:
        """The ident in `line`, without the header's name and without newline (spec 4).

        The name is not empty and has no space at either end, as git writes it; the address may be empty.
        Neither holds ``<``, ``>`` or a control character. Raises Malformed.
        """
        match = _IDENT.fullmatch(line)
        if match is None:
            _must_be_utf8(line)
            raise Malformed("ident", f"{_shown(line)} is not `name <address> seconds ±hhmm`", _AGAIN)
        seconds = match[3]
        try:
            name, email = match[1].decode(), match[2].decode()
        except UnicodeDecodeError:
            _must_be_utf8(line)
            raise
        if not name or name != name.strip(" ") or _CONTROL.search(name) or _CONTROL.search(email):
            raise Malformed(
                "ident-name",
                f"{_shown(line)} has no name, a space around it, or a control character in it",
                f"git config user.name <your name>\n{AMEND} --reset-author",
            )
        if len(seconds) > len(str(MAX_SECONDS)) or int(seconds) > MAX_SECONDS:
            raise Malformed("ident-time", f"the time {_shown(seconds)} is after the year 9999", f"{AMEND} --date=now")
        return cls(name, email, int(seconds), match[4].decode())

    def encode(self) -> bytes:
        """The ident as it stands in a header, without newline."""
        return f"{self.name} <{self.email}> {self.seconds} {self.zone}".encode()


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit whose form holds (spec 4, 9).

    `tree` and `parents` are object ids. `mergetags` are whole tag objects, each ending in a newline.
    `signature` is the armour without the indentation of the header, or empty where the commit is unsigned.
    """

    tree: str
    parents: tuple[str, ...]
    author: Ident
    committer: Ident
    mergetags: tuple[bytes, ...]
    signature: bytes
    message: str
    payload: bytes = field(init=False, repr=False, compare=False)
    """What is signed: the content without its gpgsig header."""

    def __post_init__(self) -> None:
        payload = compose_commit(
            tree=self.tree,
            parents=self.parents,
            author=self.author,
            committer=self.committer,
            mergetags=self.mergetags,
            message=self.message,
        )
        object.__setattr__(self, "payload", payload)

    @classmethod
    def parse(cls, content: bytes) -> Commit:
        """The commit whose content is `content`, without the ``commit <size>`` that git stores before it.

        Raises Malformed: `not-an-ssh-signature` for OpenPGP and X.509, `encoding-header` for a message that
        git was told to write in another encoding, and others.
        """
        head, message = _split(content)
        headers = _headers(head, _COMMIT_HEADERS)
        _must_be_utf8(content)
        signature = headers[b"gpgsig"][0] + b"\n" if b"gpgsig" in headers else b""
        if signature:
            _must_be_ssh(signature, AMEND)
        commit = cls(
            tree=_oid(_one(headers, b"tree")),
            parents=tuple(_oid(parent) for parent in headers.get(b"parent", ())),
            author=Ident.parse(_one(headers, b"author")),
            committer=Ident.parse(_one(headers, b"committer")),
            mergetags=tuple(tag + b"\n" for tag in headers.get(b"mergetag", ())),
            signature=signature,
            message=message.decode(),
        )
        _must_encode_to(content, commit.encode())
        return commit

    def encode(self) -> bytes:
        """The object's content, signature included."""
        return sign_commit(self.payload, self.signature) if self.signature else self.payload


@dataclass(frozen=True, slots=True)
class Tag:
    """An annotated tag on a commit whose form holds (spec 6).

    `object` is the commit's id, `name` what stands after ``tag``. `message` ends where the signature begins;
    `signature` is the armour, or empty where the tag is unsigned.
    """

    object: str
    name: str
    tagger: Ident
    message: str
    signature: bytes

    @classmethod
    def parse(cls, content: bytes) -> Tag:
        """The tag whose content is `content`, without git's ``tag <size>`` before it. Raises Malformed."""
        head, body = _split(content)
        headers = _headers(head, _TAG_HEADERS)
        _must_be_utf8(content)
        if (kind := _one(headers, b"type")) != b"commit":
            raise Malformed("tag-type", f"the tag is on a {_shown(kind)}, not on a commit", _TAG_AGAIN)
        message, signature = _part_signature(body)
        tag = cls(
            object=_oid(_one(headers, b"object")),
            name=_tag_name(_one(headers, b"tag")),
            tagger=Ident.parse(_one(headers, b"tagger")),
            message=message.decode(),
            signature=signature,
        )
        _must_encode_to(content, tag.encode())
        return tag

    @property
    def payload(self) -> bytes:
        """What is signed: the content without the signature at its end."""
        return compose_tag(object=self.object, name=self.name, tagger=self.tagger, message=self.message)

    def encode(self) -> bytes:
        """The object's content, signature included."""
        return self.payload + self.signature


def compose_commit(
    *,
    tree: str,
    parents: tuple[str, ...],
    author: Ident,
    committer: Ident,
    mergetags: tuple[bytes, ...],
    message: str,
) -> bytes:
    """The content of an unsigned commit, which is what a signer signs; arguments as in `Commit`."""
    lines = [f"tree {tree}\n".encode()]
    lines += [f"parent {parent}\n".encode() for parent in parents]
    lines += [b"author ", author.encode(), b"\ncommitter ", committer.encode(), b"\n"]
    lines += [_folded(b"mergetag", tag) for tag in mergetags]
    lines += [b"\n", message.encode()]
    return b"".join(lines)


def sign_commit(payload: bytes, armour: bytes) -> bytes:
    """The content of the commit `payload` with `armour`, its last newline included, as its gpgsig header."""
    end = payload.index(b"\n\n") + 1
    return payload[:end] + _folded(b"gpgsig", armour) + payload[end:]


def compose_tag(*, object: str, name: str, tagger: Ident, message: str) -> bytes:
    """The content of an unsigned tag on a commit. A signer signs it, and the armour is appended to it."""
    head = f"object {object}\ntype commit\ntag {name}\ntagger ".encode()
    return head + tagger.encode() + b"\n\n" + message.encode()


def paragraphs(message: str) -> tuple[tuple[str, ...], ...]:
    """The lines of each paragraph of a message; lines of spaces and tabs alone part paragraphs (spec 4).

    Lines end in LF and in nothing else, whatever else looks like the end of a line.
    """
    found: list[tuple[str, ...]] = []
    lines: list[str] = []
    for line in (*message.split("\n"), ""):
        if not _BLANK.fullmatch(line):
            lines.append(line)
        elif lines:
            found.append(tuple(lines))
            lines = []
    return tuple(found)


def last_paragraph(message: str, *, first_too: bool = False) -> tuple[str, ...]:
    """The lines of the last paragraph, where trailers stand (spec 4, 6).

    Empty where it is also the first, unless `first_too` says that a message of one paragraph may hold them.
    """
    every = paragraphs(message)
    return every[-1] if len(every) > (0 if first_too else 1) else ()


def oid_of(kind: str, content: bytes) -> str:
    """The object id, 40 hex, that git gives `content` as a ``commit``, ``tree``, ``blob`` or ``tag``.

    Plain SHA-1, to name what we make. What others made comes through the store, which hashes it with
    collision detection (spec 1).
    """
    header = f"{kind} {len(content)}\0".encode()
    return hashlib.sha1(header + content, usedforsecurity=False).hexdigest()


def digest(content: bytes) -> str:
    """The digest of bytes: ``sha256:`` and 64 hex (spec 1)."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


def _split(content: bytes) -> tuple[bytes, bytes]:
    """The headers, without the last one's newline, and what follows the empty line after them."""
    if b"\0" in content:
        raise Malformed("nul", "the object holds a NUL byte, after which git shows nothing", _AGAIN)
    head, blank, body = content.partition(b"\n\n")
    if not blank:
        raise Malformed("no-empty-line", "no empty line ends the headers", _AGAIN)
    return head, body


def _headers(head: bytes, known: tuple[bytes, ...]) -> dict[bytes, list[bytes]]:
    """The values of each header, in order; a line that continues one is joined to it without its first space."""
    values: dict[bytes, list[list[bytes]]] = {}
    name, place = b"", -1
    for line in head.split(b"\n"):
        if line.startswith(b" "):
            if name not in _FOLDED:
                raise Malformed("header-continued", f"{_shown(line)} continues no header that may be", _AGAIN)
            values[name][-1].append(line[1:])
            continue
        name, space, value = line.partition(b" ")
        place = _place(name, place, known)
        if not space:
            raise Malformed("header-empty", f"the header {_shown(name)} has no value", _AGAIN)
        values.setdefault(name, []).append([value])
    return {name: [b"\n".join(lines) for lines in several] for name, several in values.items()}


def _place(name: bytes, before: int, known: tuple[bytes, ...]) -> int:
    """Where `name` stands among the headers known; it comes after one that stands at the place `before`."""
    if name == b"encoding":
        raise Malformed("encoding-header", "the commit's message is in another encoding than UTF-8", _IN_UTF8)
    if name not in known:
        raise Malformed("header-unknown", f"the header {_shown(name)} is none that may be", _AGAIN)
    place = known.index(name)
    if place == before and name not in _REPEATABLE:
        raise Malformed("header-repeated", f"the header {name.decode()} stands twice", _AGAIN)
    if place < before:
        raise Malformed("header-misplaced", f"{name.decode()} stands after {known[before].decode()}", _AGAIN)
    return place


def _one(headers: dict[bytes, list[bytes]], name: bytes) -> bytes:
    if name not in headers:
        raise Malformed("header-missing", f"the header {name.decode()} is missing", _AGAIN)
    return headers[name][0]


def _part_signature(body: bytes) -> tuple[bytes, bytes]:
    """The message and the armour of a tag. Git takes the last armour in it, so there must not be two."""
    starts = [match.start() for match in _ARMOUR.finditer(body)]
    if not starts:
        return body, b""
    if len(starts) > 1:
        raise Malformed("tag-armour", "a line before the signature begins with `-----BEGIN `", _TAG_AGAIN)
    message, signature = body[: starts[0]], body[starts[0] :]
    _must_be_ssh(signature, _TAG_AGAIN)
    return message, signature


def _must_be_ssh(signature: bytes, again: str) -> None:
    """Only the first line is looked at: what stands between it and the last is for `signing.sshsig`."""
    if not signature.startswith(_SSH_ARMOUR):
        begin = _shown(signature.partition(b"\n")[0])
        raise Malformed(
            "not-an-ssh-signature", f"the signature begins with {begin}, it is not SSH's", SIGN_WITH_SSH + again
        )


def _tag_name(value: bytes) -> str:
    name = value.decode()
    if not name or _CONTROL.search(name):
        raise Malformed("tag-name", f"{_shown(value)} is no name for a tag", _TAG_AGAIN)
    return name


def _oid(value: bytes) -> str:
    if not _OID.fullmatch(value):
        raise Malformed("object-id", f"{_shown(value)} is not an object id, 40 lower-case hex", _AGAIN)
    return value.decode()


def _must_be_utf8(content: bytes) -> None:
    try:
        content.decode()
    except UnicodeDecodeError as error:
        place = _shown(content[max(0, error.start - 20) : error.end + 20])
        raise Malformed("not-utf-8", f"byte {error.start} of it, in {place}, is not UTF-8", _IN_UTF8) from None


def _folded(name: bytes, value: bytes) -> bytes:
    """A header of several lines; `value` ends in a newline."""
    return name + b" " + value[:-1].replace(b"\n", b"\n ") + b"\n"


def _must_encode_to(content: bytes, encoded: bytes) -> None:
    """The belt to the braces above: no two byte strings parse to one value."""
    if content != encoded:
        raise Malformed("not-canonical", "its bytes are not the one form of what they say", _AGAIN)


def _shown(value: bytes) -> str:
    """Bytes for a message: quoted, on one line, and not too long."""
    return repr(value[:80].decode("utf-8", "replace")) + ("…" if len(value) > 80 else "")
