"""Commits that are not in their one form, or not signed as they must be (spec 1, 4, 9).

Each is thrown twice: as Alice's proposal and as the witness's snapshot. Both are built by `build`, of which an attack
changes one step: what is signed, how it is signed, or how the signature is carried. Many of them need no key: anyone
can make them of an honest commit, of which they change nothing but the id.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import forge
import pytest
from doors import Doors
from world import Templates, World

Step = Callable[[bytes], bytes]
PROPOSAL = "proposal"
SNAPSHOT = "snapshot"


def same(content: bytes) -> bytes:
    return content


def carried(payload: bytes, armour: bytes) -> bytes:
    """The signature where git puts it: the last header."""
    head, _, message = payload.partition(b"\n\n")
    return head + b"\n" + forge.folded(b"gpgsig", armour) + b"\n" + message


@dataclass(frozen=True)
class Attack:
    """One step of making a commit, done otherwise.

    `says` changes what is signed, `sign` makes the armour, `carry` puts the two together, and `then` changes what came
    of it. `rule` refuses it, or `on_snapshot` where that is another for a snapshot. `git` is what git's own check of
    pushed objects calls it, where that sees it first; with `only_proposal` a snapshot may be so.
    """

    name: str
    rule: str
    says: Step = same
    sign: Callable[[forge.Key, bytes], bytes] = forge.sshsig
    carry: Callable[[bytes, bytes], bytes] = carried
    then: Step = same
    git: str = ""
    on_snapshot: str = ""
    only_proposal: bool = False


HONEST = Attack("nothing is done otherwise", "")


def build(attack: Attack, payload: bytes, key: forge.Key) -> bytes:
    """The commit that says `payload`, signed by `key`, but for what the attack does otherwise."""
    said = attack.says(payload)
    return attack.then(attack.carry(said, attack.sign(key, said)))


# Steps


def replaced(old: bytes, new: bytes) -> Step:
    """The first `old` becomes `new`; there must be one."""

    def step(content: bytes) -> bytes:
        assert old in content
        return content.replace(old, new, 1)

    return step


def put(line: bytes, *, after: bytes) -> Step:
    """A header line more, after the last header of that name."""

    def step(content: bytes) -> bytes:
        head, _, message = content.partition(b"\n\n")
        lines = head.split(b"\n")
        at = max(number for number, one in enumerate(lines) if one.startswith(after + b" "))
        return b"\n".join([*lines[: at + 1], line, *lines[at + 1 :]]) + b"\n\n" + message

    return step


def moved(name: bytes, *, after: bytes) -> Step:
    """The (first) header `name` stands after another one."""

    def step(content: bytes) -> bytes:
        found = re.search(rb"^%s .*\n" % name, content, re.MULTILINE)
        assert found
        return put(found[0][:-1], after=after)(content.replace(found[0], b"", 1))

    return step


def again(name: bytes) -> Step:
    """The (first) header `name` stands twice, one right after the other."""

    def step(content: bytes) -> bytes:
        found = re.search(rb"^%s .*\n" % name, content, re.MULTILINE)
        assert found
        return content.replace(found[0], found[0] * 2, 1)

    return step


def signed(**options: object) -> Callable[[forge.Key, bytes], bytes]:
    """A signature made with these options of `forge.sshsig`."""
    return lambda key, message: forge.sshsig(key, message, **options)


def armour(change: Step) -> Callable[[forge.Key, bytes], bytes]:
    """The honest signature in another armour."""
    return lambda key, message: change(forge.sshsig(key, message))


def spare_bits(text: bytes) -> bytes:
    """The same bytes in other base64: the last character before the padding has bits that mean nothing."""
    found = re.search(rb"(.)(=+\n-----END)", text)
    assert found
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    other = alphabet[alphabet.index(found[1]) + 1 : alphabet.index(found[1]) + 2]
    changed = text.replace(found[0], other + found[2])
    assert _bytes_of(changed) == _bytes_of(text)
    return changed


def with_bytes(change: Step) -> Step:
    """The armour in its canonical lines, around other bytes."""
    return lambda text: forge.armour(change(_bytes_of(text)))


def _bytes_of(text: bytes) -> bytes:
    return base64.b64decode(b"".join(text.splitlines()[1:-1]))


def behind(header: bytes) -> Callable[[bytes, bytes], bytes]:
    """The signature after that header, before what follows it."""
    return lambda payload, text: put(forge.folded(b"gpgsig", text)[:-1], after=header)(payload)


def in_first_paragraph(payload: bytes, text: bytes) -> bytes:
    head, _, message = payload.partition(b"\n\n")
    return head + b"\n\n" + forge.folded(b"gpgsig", text) + b"\n" + message


def in_last_paragraph(payload: bytes, text: bytes) -> bytes:
    return payload + b"\n" + forge.folded(b"gpgsig", text)


def twice(first: Step, second: Step) -> Callable[[bytes, bytes], bytes]:
    """Two gpgsig headers, with the armour that each step makes of the honest one."""
    return lambda payload, text: carried(carried(payload, first(text)), second(text))


def other_armour(text: bytes) -> bytes:
    """A stranger's signature over other bytes."""
    return forge.sshsig(forge.Ed25519PrivateKey.from_private_bytes(b"s" * 32), text)


def in_256(payload: bytes, text: bytes) -> bytes:
    return carried(payload, text).replace(b"\ngpgsig ", b"\ngpgsig-sha256 ", 1)


def beside_256(payload: bytes, text: bytes) -> bytes:
    head, blank, message = carried(payload, text).partition(b"\n\n")
    return head + b"\n" + forge.folded(b"gpgsig-sha256", text)[:-1] + blank + message


ATTACKS = [
    # Another commit id without a key
    Attack("a second gpgsig like the first", "header-repeated", carry=twice(same, same)),
    Attack("a stranger's gpgsig after the good one", "header-repeated", carry=twice(same, other_armour)),
    Attack("a stranger's gpgsig before the good one", "header-repeated", carry=twice(other_armour, same)),
    Attack("gpgsig-sha256 beside gpgsig", "header-unknown", carry=beside_256),
    Attack("gpgsig-sha256 in the place of gpgsig", "header-unknown", carry=in_256),
    Attack("armour wrapped at 64", "signature-armour", sign=signed(width=64)),
    Attack("armour wrapped at 76", "signature-armour", sign=signed(width=76)),
    Attack("armour in one line", "signature-armour", sign=signed(width=1000)),
    Attack("text after the armour", "signature-armour", sign=signed(after=b"and more\n")),
    Attack("an empty line after the armour", "signature-armour", sign=signed(after=b"\n")),
    Attack("a second armour after the first", "signature-armour", sign=armour(lambda text: text * 2)),
    Attack("text before the armour", "not-an-ssh-signature", sign=armour(lambda text: b"so:\n" + text)),
    Attack("a space at the end of a line of armour", "signature-armour", sign=armour(replaced(b"=\n", b"= \n"))),
    Attack(
        "CR LF in the armour",
        "signature-armour",
        sign=armour(lambda text: text.replace(b"\n", b"\r\n").replace(b"SIGNATURE-----\r\n", b"SIGNATURE-----\n")),
    ),
    Attack("CR LF after the armour's first line", "not-an-ssh-signature", sign=armour(replaced(b"--\n", b"--\r\n"))),
    Attack("armour in base64 with spare bits", "signature-armour", sign=armour(spare_bits)),
    Attack("armour without its padding", "signature-armour", sign=armour(replaced(b"=\n", b"\n"))),
    Attack("bytes after the signature in its armour", "signature-form", sign=armour(with_bytes(lambda b: b + b"\0"))),
    Attack("the signature S + L", "non-canonical-scalar", sign=signed(twist=forge.plus_order)),
    Attack(
        "text after NUL, added to a signed commit",
        "nul",
        then=lambda content: content + b"\0hidden\n",
        git="nulInCommit",
    ),
    Attack("text after NUL, signed", "nul", says=lambda payload: payload + b"\0hidden\n", git="nulInCommit"),
    Attack("NUL in the author's name", "nul", says=replaced(b"author ", b"author A\0"), git="nulInHeader"),
    Attack(
        "gpgsig in the message's first paragraph", "unsigned", carry=in_first_paragraph, on_snapshot="not-a-snapshot"
    ),
    Attack("gpgsig in the message's last paragraph", "unsigned", carry=in_last_paragraph, on_snapshot="not-a-snapshot"),
    # A signature of something else
    Attack("no signature", "unsigned", carry=lambda payload, text: payload),
    Attack("a signature for another purpose", "wrong-namespace", sign=signed(namespace="file")),
    Attack("a signature that hashes with sha256", "signature-hash", sign=signed(hash="sha256")),
    Attack("a signature over other bytes", "bad-signature", sign=lambda key, message: forge.sshsig(key, b"other")),
    Attack(
        "a time changed after it was signed",
        "bad-signature",
        then=lambda content: re.sub(rb"(\ncommitter .*)\d (\+0000)", rb"\g<1>9 \2", content, count=1),
    ),
    Attack(
        "an X.509 signature",
        "not-an-ssh-signature",
        sign=armour(lambda text: text.replace(b"SSH SIGNATURE", b"SIGNED MESSAGE")),
    ),
    # Headers
    Attack("an unknown header before gpgsig", "header-unknown", says=put(b"note hello", after=b"committer")),
    Attack(
        "an unknown header after gpgsig",
        "header-unknown",
        says=put(b"note hello", after=b"committer"),
        carry=behind(b"committer"),
    ),
    Attack("a header unknown by its case", "header-unknown", says=put(b"Parent " + b"0" * 40, after=b"committer")),
    Attack("a header without a value", "header-unknown", says=put(b"note", after=b"committer")),
    Attack(
        "gpgsig without a value",
        "header-empty",
        carry=lambda payload, text: put(b"gpgsig", after=b"committer")(payload),
    ),
    Attack("a continued committer", "header-continued", says=put(b" and more", after=b"committer")),
    Attack("tree twice", "header-repeated", says=again(b"tree"), git="missingAuthor"),
    Attack("author twice", "header-repeated", says=again(b"author"), git="multipleAuthors"),
    Attack("committer twice", "header-repeated", says=again(b"committer")),
    Attack(
        "parent after the author", "header-misplaced", says=moved(b"parent", after=b"author"), git="missingCommitter"
    ),
    Attack("parent after the committer", "header-misplaced", says=put(b"parent " + b"0" * 40, after=b"committer")),
    Attack(
        "author after the committer", "header-misplaced", says=moved(b"author", after=b"committer"), git="missingAuthor"
    ),
    Attack("gpgsig before the author", "header-misplaced", carry=behind(b"parent"), git="missingAuthor"),
    Attack("gpgsig before the committer", "header-misplaced", carry=behind(b"author"), git="missingCommitter"),
    Attack("no author", "header-missing", says=lambda p: re.sub(rb"\nauthor .*", b"", p, count=1), git="missingAuthor"),
    Attack(
        "no committer",
        "header-missing",
        says=lambda p: re.sub(rb"\ncommitter .*", b"", p, count=1),
        git="missingCommitter",
    ),
    Attack("no empty line after the headers", "no-empty-line", then=lambda c: c.partition(b"\n\n")[0] + b"\n"),
    Attack("encoding where git puts it", "encoding-header", says=put(b"encoding ISO-8859-1", after=b"committer")),
    Attack("encoding that says UTF-8", "encoding-header", says=put(b"encoding UTF-8", after=b"committer")),
    Attack(
        "encoding after gpgsig",
        "encoding-header",
        says=put(b"encoding ISO-8859-1", after=b"committer"),
        carry=behind(b"committer"),
    ),
    Attack(
        "a tag carried along",
        "proposal-headers",
        says=put(forge.folded(b"mergetag", b"object " + b"0" * 40 + b"\n")[:-1], after=b"committer"),
        only_proposal=True,
    ),
    Attack(
        "upper case in an object id",
        "object-id",
        says=lambda p: re.sub(rb"^tree .*", lambda m: b"tree " + m[0][5:].upper(), p),
    ),
    # Names and times
    Attack(
        "a newline in the author's name",
        "header-unknown",
        says=replaced(b"author ", b"author Al\n"),
        git="missingEmail",
    ),
    Attack(
        "a newline and a space in the author's name",
        "header-continued",
        says=replaced(b"author ", b"author Al\n "),
        git="missingEmail",
    ),
    Attack(
        "a newline in the committer's name",
        "header-unknown",
        says=replaced(b"committer ", b"committer Al\n"),
        git="missingEmail",
    ),
    Attack("a carriage return in the author's name", "ident-name", says=replaced(b"author ", b"author A\r")),
    Attack("an escape in the committer's name", "ident-name", says=replaced(b"committer ", b"committer A\x1b[2J")),
    Attack("NEL in the author's name", "ident-name", says=replaced(b"author ", b"author A\xc2\x85")),
    Attack("two spaces before the author's name", "ident-name", says=replaced(b"author ", b"author  ")),
    Attack("no author's name", "ident-name", says=lambda p: re.sub(rb"\nauthor [^<]*<", b"\nauthor  <", p, count=1)),
    Attack("a name without bounds", "ident", says=replaced(b"author ", b"author a > b "), git="badName"),
    Attack(
        "a time with a leading zero",
        "ident",
        says=lambda p: re.sub(rb"(\nauthor .*> )", rb"\g<1>0", p, count=1),
        git="zeroPaddedDate",
    ),
    Attack(
        "a time after the year 9999",
        "ident-time",
        says=lambda p: re.sub(rb"(\nauthor .*> )\d+", rb"\g<1>253402300800", p, count=1),
    ),
    # Text
    Attack("bad UTF-8 in the message", "not-utf-8", says=lambda payload: payload + b"\xff\n"),
    Attack("a surrogate in the message", "not-utf-8", says=lambda payload: payload + b"\xed\xa0\x80\n"),
    Attack("bad UTF-8 in the author's name", "not-utf-8", says=replaced(b"author ", b"author \xc0\xaf")),
]


class Commits(Doors):
    """A ledger on which a proposal of Alice's waits, and what she and the witness sign next."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.waiting = self.proposal(world.alice, {"domains/alice/fix.txt": b"better\n"})
        self.host_takes(self.waiting, "refs/proposals/alice/fix")
        self.keys = {PROPOSAL: world.alice.key, SNAPSHOT: world.you.key}
        self.payloads = {
            PROPOSAL: self.unsigned(self.proposal(world.alice, {"domains/alice/attack.txt": b"worse\n"})),
            SNAPSHOT: self.unsigned(self.snapshot(self.waiting)),
        }

    def unsigned(self, oid: str) -> bytes:
        """What a commit says, without its signature."""
        return re.sub(rb"gpgsig .*\n( .*\n)+", b"", forge.read_object(self.bench, oid), count=1)

    def make(self, carrier: str, attack: Attack) -> str:
        """The proposal or snapshot with the attack in it."""
        return forge.write_object(self.bench, "commit", build(attack, self.payloads[carrier], self.keys[carrier]))

    def accepts(self, proposal: str) -> str:
        """A snapshot in which the witness accepts a proposal, well formed or not."""
        hash = {"Proposal": forge.hash_of(self.bench, proposal)}
        return self.snapshot(self.waiting, parents=[self.tip, proposal], lines=hash)

    @cached_property
    def thrown(self) -> dict[str, str]:
        """What the host says of every attack that comes to its hook as a proposal, by ref."""
        proposals = {ref_of(each): self.make(PROPOSAL, each) for each in ATTACKS if not each.git}
        return self.verdicts(proposals)


def ref_of(attack: Attack) -> str:
    """Where the attack is pushed as a proposal."""
    return f"refs/proposals/alice/attack-{ATTACKS.index(attack)}"


@pytest.fixture(scope="module")
def commits(tmp_path_factory: pytest.TempPathFactory, templates: Templates) -> Commits:
    return Commits(World(tmp_path_factory.mktemp("commits"), templates))


def test_the_honest_twins_are_taken(world: World) -> None:
    commits = Commits(world)
    proposal, snapshot = (commits.make(carrier, HONEST) for carrier in (PROPOSAL, SNAPSHOT))
    commits.consumer_takes(commits.snapshot(proposal))
    commits.host_takes(proposal, "refs/proposals/alice/honest")
    commits.consumer_takes(snapshot)
    commits.host_takes(snapshot)
    assert world.tip == snapshot


@pytest.mark.parametrize("attack", [pytest.param(each, id=each.name) for each in ATTACKS])
def test_a_proposal_in_another_form_is_refused(commits: Commits, attack: Attack) -> None:
    oid = commits.make(PROPOSAL, attack)
    if attack.git:
        commits.git_refuses(oid, attack.git, ref_of(attack))
    else:
        assert f"[{attack.rule}]" in commits.thrown.get(ref_of(attack), "accepted")
    commits.consumer_refuses(commits.accepts(oid), attack.rule)


@pytest.mark.parametrize("attack", [pytest.param(each, id=each.name) for each in ATTACKS if not each.only_proposal])
def test_a_snapshot_in_another_form_is_refused(commits: Commits, attack: Attack) -> None:
    oid, rule = commits.make(SNAPSHOT, attack), attack.on_snapshot or attack.rule
    if attack.git:
        commits.git_refuses(oid, attack.git)
    else:
        commits.host_refuses(oid, rule)
    commits.consumer_refuses(oid, rule)
