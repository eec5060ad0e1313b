"""Commits and tags: what stock git writes is read, what it would not write is refused."""

from __future__ import annotations

import hashlib
import re
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from realgit import Repository

from gitledger.errors import Malformed
from gitledger.objects.codec import (
    MAX_SECONDS,
    Commit,
    Ident,
    Tag,
    compose_commit,
    compose_tag,
    digest,
    last_paragraph,
    oid_of,
    paragraphs,
    sign_commit,
)

A, B, C = "a" * 40, "b" * 40, "c" * 40
ALICE = b"Alice <alice@example.org> 1795170991 +0100"
ARMOUR = b"-----BEGIN SSH SIGNATURE-----\nU1NIU0lH\n-----END SSH SIGNATURE-----\n"
GPGSIG = b"gpgsig " + ARMOUR[:-1].replace(b"\n", b"\n ") + b"\n"
TAG = b"object %s\ntype commit\ntag v\ntagger %s\n\ntext\n" % (C.encode(), ALICE)
MERGETAG = b"mergetag " + TAG[:-1].replace(b"\n", b"\n ") + b"\n"


def commit(
    *,
    tree: bytes = b"tree " + A.encode() + b"\n",
    parents: bytes = b"parent " + B.encode() + b"\n",
    author: bytes = b"author " + ALICE + b"\n",
    committer: bytes = b"committer " + ALICE + b"\n",
    mergetag: bytes = b"",
    signature: bytes = GPGSIG,
    message: bytes = b"\nA change\n",
) -> bytes:
    return tree + parents + author + committer + mergetag + signature + message


def tag(
    head: bytes = b"object %s\ntype commit\ntag endorse/x\ntagger %s\n" % (C.encode(), ALICE),
    message: bytes = b"\nEndorse it\n\nEndorses: sha256:00\n",
    signature: bytes = ARMOUR,
) -> bytes:
    return head + message + signature


# What stock git writes


def test_a_commit_signed_by_stock_git_is_read_and_its_signature_covers_the_payload(
    repository: Repository, key: Path, tmp_path: Path
) -> None:
    first = repository.commit("First", "-S")
    oid = repository.commit("Second\n\nLedger-Salt: 7", "-S", file="content\n")
    content = repository.git("cat-file", "commit", oid)
    parsed = Commit.parse(content)
    assert parsed.encode() == content
    assert parsed.parents == (first,)
    assert parsed.tree == repository.text("rev-parse", "HEAD^{tree}")
    assert parsed.author == parsed.committer == Ident("Alice", "alice@example.org", 1795170991, "+0000")
    assert parsed.message == "Second\n\nLedger-Salt: 7\n"
    assert oid_of("commit", content) == oid
    ssh_verifies(key, parsed.payload, parsed.signature, tmp_path)


def test_an_unsigned_commit_is_read_and_says_so(repository: Repository) -> None:
    content = repository.git("cat-file", "commit", repository.commit("First"))
    parsed = Commit.parse(content)
    assert (parsed.signature, parsed.parents, parsed.payload) == (b"", (), content)


def test_a_merge_of_a_signed_tag_is_read_with_its_mergetag(repository: Repository) -> None:
    repository.commit("First")
    repository.git("checkout", "-q", "-b", "side")
    repository.commit("Side")
    repository.git("tag", "-s", "-m", "one", "one")
    repository.git("checkout", "-q", "common")
    repository.git("merge", "-q", "--no-ff", "-S", "-m", "Merge", "one")
    content = repository.git("cat-file", "commit", "HEAD")
    parsed = Commit.parse(content)
    assert parsed.encode() == content
    assert len(parsed.parents) == 2
    assert parsed.mergetags == (repository.git("cat-file", "tag", "one"),)
    assert Tag.parse(parsed.mergetags[0]).object == parsed.parents[1]


def test_a_tag_signed_by_stock_git_is_read_and_its_signature_covers_the_payload(
    repository: Repository, key: Path, tmp_path: Path
) -> None:
    oid = repository.commit("First")
    repository.git("tag", "-s", "-m", "Endorse fix\n\nEndorses: sha256:00", f"endorse/{oid}", oid)
    content = repository.git("cat-file", "tag", f"endorse/{oid}")
    parsed = Tag.parse(content)
    assert parsed.encode() == content
    assert (parsed.object, parsed.name, parsed.tagger.name) == (oid, f"endorse/{oid}", "Alice")
    assert last_paragraph(parsed.message) == ("Endorses: sha256:00",)
    ssh_verifies(key, parsed.payload, parsed.signature, tmp_path)


def test_an_unsigned_tag_is_read_and_says_so(repository: Repository) -> None:
    repository.commit("First")
    repository.git("tag", "-a", "-m", "text", "v1")
    assert Tag.parse(repository.git("cat-file", "tag", "v1")).signature == b""


@pytest.mark.parametrize(
    ("name", "email"),
    [("Ἀλίκη 李", "alice@example.org"), ("Alice, Jr. of X", ""), ("  Alice (Ltd.)  ", "a b"), ("A", "ä@ö")],
)
def test_whatever_ident_stock_git_writes_is_read(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, name: str, email: str
) -> None:
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", name)
        monkeypatch.setenv(f"GIT_{who}_EMAIL", email)
        monkeypatch.setenv(f"GIT_{who}_DATE", "1795170991 -0930")
    content = repository.git("cat-file", "commit", repository.commit("First"))
    parsed = Commit.parse(content)
    assert parsed.encode() == content
    assert parsed.author.zone == "-0930"


def test_stock_git_shows_the_signatures_of_a_composed_commit_and_of_its_mergetag(
    repository: Repository, key: Path, tmp_path: Path
) -> None:
    snapshot = repository.commit("Snapshot")
    proposal = repository.commit("Proposal", "-S")
    repository.git("tag", "-s", "-m", "Endorse\n\nEndorses: sha256:00", "endorse/it", proposal)
    endorsement = repository.git("cat-file", "tag", "endorse/it")
    witness = Ident("alice", "alice@common", 1795170999, "+0000")
    payload = compose_commit(
        tree=repository.text("rev-parse", "HEAD^{tree}"),
        parents=(snapshot, proposal),
        author=witness,
        committer=witness,
        mergetags=(endorsement,),
        message="common@1: Proposal\n",
    )
    content = sign_commit(payload, ssh_signs(key, payload, tmp_path))
    oid = repository.text("hash-object", "-t", "commit", "-w", "--stdin", input=content)  # fsck's checks included
    repository.git("verify-commit", oid)
    repository.git("fsck", "--strict")
    shown = repository.text("log", "-1", "--show-signature", oid)
    assert shown.count('Good "git" signature for alice') == 2
    assert "merged tag 'endorse/it'" in shown
    assert Commit.parse(content).encode() == content
    assert Tag.parse(Commit.parse(content).mergetags[0]).encode() == endorsement


def test_a_composed_tag_is_the_one_that_stock_git_makes(repository: Repository) -> None:
    oid = repository.commit("First")
    repository.git("tag", "-a", "-m", "Refuse\n\nRefuses: sha256:00", "refused/x", oid)
    tagger = Ident("Alice", "alice@example.org", 1795170991, "+0000")
    composed = compose_tag(object=oid, name="refused/x", tagger=tagger, message="Refuse\n\nRefuses: sha256:00\n")
    assert composed == repository.git("cat-file", "tag", "refused/x")


@pytest.mark.parametrize("kind", ["commit", "tag", "blob"])
def test_ids_and_digests_are_those_of_stock_tools(repository: Repository, kind: str) -> None:
    content = commit() if kind == "commit" else TAG
    assert oid_of(kind, content) == repository.put(kind, content)
    summed = subprocess.run(["sha256sum"], input=content, capture_output=True, check=True).stdout
    assert digest(content) == "sha256:" + summed[:64].decode() == "sha256:" + hashlib.sha256(content).hexdigest()


# What is refused

ZERO = b"0" * 40
BAD_COMMITS: list[tuple[str, bytes]] = [
    ("header-repeated", commit(signature=GPGSIG + GPGSIG)),
    ("header-unknown", commit(signature=GPGSIG + GPGSIG.replace(b"gpgsig", b"gpgsig-sha256"))),
    ("header-unknown", commit(signature=GPGSIG.replace(b"gpgsig", b"gpgsig-sha256"))),
    ("header-unknown", commit(signature=b"HG:extra x\n" + GPGSIG)),
    ("header-unknown", commit(tree=b"Tree " + ZERO + b"\n")),
    ("header-unknown", commit(tree=b"\ttree " + ZERO + b"\n")),
    ("header-unknown", b"\n" + commit()),
    ("header-repeated", commit(tree=2 * (b"tree " + ZERO + b"\n"))),
    ("header-repeated", commit(author=2 * (b"author " + ALICE + b"\n"))),
    ("header-repeated", commit(committer=2 * (b"committer " + ALICE + b"\n"))),
    ("header-misplaced", commit(tree=b"", parents=b"parent " + ZERO + b"\ntree " + ZERO + b"\n")),
    ("header-misplaced", commit(parents=b"", author=b"author " + ALICE + b"\nparent " + ZERO + b"\n")),
    ("header-misplaced", commit(author=b"", committer=b"committer " + ALICE + b"\nauthor " + ALICE + b"\n")),
    ("header-misplaced", commit(mergetag=GPGSIG, signature=MERGETAG)),
    ("header-misplaced", commit(mergetag=b"parent " + ZERO + b"\n")),
    ("header-missing", commit(tree=b"")),
    ("header-missing", commit(author=b"")),
    ("header-missing", commit(committer=b"")),
    ("header-empty", commit(tree=b"tree\n")),
    ("header-empty", commit(signature=b"gpgsig\n")),
    ("header-continued", commit(tree=b"tree " + ZERO + b"\n more\n")),
    ("header-continued", commit(committer=b"committer " + ALICE + b"\n more\n")),
    ("header-continued", b" " + commit()),
    ("encoding-header", commit(mergetag=b"encoding ISO-8859-1\n", message=b"\nGr\xfcn\n")),
    ("encoding-header", commit(signature=GPGSIG + b"encoding UTF-8\n")),
    ("not-utf-8", commit(message=b"\nGr\xfcn\n")),
    ("not-utf-8", commit(message=b"\nsurrogate \xed\xa0\x80\n")),
    ("not-utf-8", commit(author=b"author Gr\xfcn <a> 1 +0000\n")),
    ("not-utf-8", commit(mergetag=MERGETAG.replace(b"text", b"\xff"))),
    ("not-utf-8", commit(signature=GPGSIG.replace(b"U1NI", b"\xff"))),
    ("nul", commit(message=b"\nA change\n\0hidden\n")),
    ("nul", commit(author=b"author Alice\0 <a> 1 +0000\n")),
    ("no-empty-line", commit(message=b"")),
    ("no-empty-line", b""),
    ("object-id", commit(tree=b"tree " + b"A" * 40 + b"\n")),
    ("object-id", commit(tree=b"tree " + b"0" * 39 + b"\n")),
    ("object-id", commit(tree=b"tree " + b"0" * 64 + b"\n")),
    ("object-id", commit(tree=b"tree  " + b"0" * 40 + b"\n")),
    ("object-id", commit(parents=b"parent " + b"0" * 40 + b" \n")),
    ("not-an-ssh-signature", commit(signature=GPGSIG.replace(b"SSH", b"PGP"))),
    ("not-an-ssh-signature", commit(signature=GPGSIG.replace(b"SSH SIGNATURE", b"SIGNED MESSAGE"))),
    ("not-an-ssh-signature", commit(signature=b"gpgsig \n " + GPGSIG[7:])),
    ("not-an-ssh-signature", commit(signature=b"gpgsig -----BEGIN SSH SIGNATURE-----\r\n x\n")),
    ("not-an-ssh-signature", commit(signature=b"gpgsig  " + GPGSIG[7:])),
]


@pytest.mark.parametrize(("rule", "content"), BAD_COMMITS, ids=lambda value: value if isinstance(value, str) else "")
def test_a_commit_in_another_form_is_refused(rule: str, content: bytes) -> None:
    with pytest.raises(Malformed) as refused:
        Commit.parse(content)
    assert refused.value.rule == rule
    assert refused.value.mend


@pytest.mark.parametrize(
    "content",
    [
        commit(),
        commit(signature=b""),
        commit(parents=b""),
        commit(parents=2 * (b"parent " + ZERO + b"\n")),
        commit(mergetag=MERGETAG),
        commit(mergetag=MERGETAG + MERGETAG),
        commit(message=b"\n"),
        commit(message=b"\nno newline at the end"),
        commit(message=b"\n\n\nGr\xc3\xbcn\r\n\n"),
        commit(message=b"\n" + GPGSIG + ARMOUR + b"tree " + ZERO + b"\n\n"),
    ],
)
def test_its_honest_twin_is_read_and_a_signature_in_the_message_is_none(content: bytes) -> None:
    parsed = Commit.parse(content)
    assert parsed.encode() == content
    assert parsed.payload == content.split(b"\n\n", 1)[0].split(b"\ngpgsig")[0] + b"\n\n" + parsed.message.encode()
    assert parsed.signature == (ARMOUR if b"gpgsig" in content.split(b"\n\n")[0] else b"")


def test_an_openpgp_signature_is_mended_by_three_lines_of_configuration_and_an_amend() -> None:
    with pytest.raises(Malformed) as refused:
        Commit.parse(commit(signature=GPGSIG.replace(b"SSH", b"PGP")))
    assert refused.value.mend.splitlines() == [
        "git config gpg.format ssh",
        "git config user.signingkey ~/.ssh/id_ed25519.pub",
        "git config commit.gpgsign true",
        "git commit --amend -S --no-edit",
    ]


def test_the_mend_of_an_encoding_header_mends_it(repository: Repository) -> None:
    repository.git("config", "i18n.commitEncoding", "ISO-8859-1")
    (repository.path / "message").write_bytes(b"Gr\xfcn\n")
    repository.git("add", "message")
    repository.git("commit", "-q", "-S", "-F", "message")
    with pytest.raises(Malformed, match="encoding-header") as refused:
        Commit.parse(repository.git("cat-file", "commit", "HEAD"))
    for line in refused.value.mend.splitlines():
        repository.git(*line.split()[1:])
    assert Commit.parse(repository.git("cat-file", "commit", "HEAD")).message == "Grün\n"


BAD_IDENTS: list[tuple[str, bytes]] = [
    ("ident", b"Alice alice@example.org 1 +0000"),
    ("ident", b"Alice<alice> 1 +0000"),
    ("ident", b"Alice <alice>1 +0000"),
    ("ident", b"Alice <al<ice> 1 +0000"),
    ("ident", b"Alice <ali>ce> 1 +0000"),
    ("ident", b"Ali>ce <alice> 1 +0000"),
    ("ident", b"<alice> 1 +0000"),
    ("ident", b"Alice <alice> 01 +0000"),
    ("ident", b"Alice <alice> -1 +0000"),
    ("ident", b"Alice <alice> +1 +0000"),
    ("ident", b"Alice <alice>  1 +0000"),
    ("ident", b"Alice <alice> 1  +0000"),
    ("ident", b"Alice <alice> 1_0 +0000"),
    ("ident", "Alice <alice> ١ +0000".encode()),
    ("ident", b"Alice <alice> 1 0000"),
    ("ident", b"Alice <alice> 1 +000"),
    ("ident", b"Alice <alice> 1 +00000"),
    ("ident", b"Alice <alice> 1 +0000 "),
    ("ident", b"Alice <alice> 1"),
    ("ident", b"Alice <alice> 1 +0000\n"),
    ("ident-name", b" <alice> 1 +0000"),
    ("ident-name", b"Ali\nce <alice> 1 +0000"),
    ("ident-name", b"Ali\tce <alice> 1 +0000"),
    ("ident-name", b"Ali\x1b[31mce <alice> 1 +0000"),
    ("ident-name", b"Ali\x7fce <alice> 1 +0000"),
    ("ident-name", "Ali\x85ce <alice> 1 +0000".encode()),
    ("ident-name", b"Alice <ali\rce> 1 +0000"),
    ("ident-name", b" Alice <alice> 1 +0000"),
    ("ident-name", b"Alice  <alice> 1 +0000"),
    ("ident-time", b"Alice <alice> 253402300800 +0000"),
    ("ident-time", b"Alice <alice> " + b"9" * 5000 + b" +0000"),
    ("not-utf-8", b"Ali\xffce <alice> 1 +0000"),
]


@pytest.mark.parametrize(("rule", "line"), BAD_IDENTS)
def test_an_ident_in_another_form_is_refused(rule: str, line: bytes) -> None:
    with pytest.raises(Malformed) as refused:
        Ident.parse(line)
    assert refused.value.rule == rule


@pytest.mark.parametrize(
    "line",
    [b"Alice <alice> 0 +0000", b"A <> 1 -0000", b"A. B, C <a b> 253402300799 +9999", "ὴ 李 <ä> 7 +0545".encode()],
)
def test_its_honest_twin_is_read_and_stock_git_takes_it(repository: Repository, line: bytes) -> None:
    assert Ident.parse(line).encode() == line
    content = commit(tree=b"tree " + b"4b825dc642cb6eb9a060e54bf8d69288fbee4904\n", parents=b"", signature=b"")
    repository.git("hash-object", "-t", "commit", "--stdin", input=content.replace(ALICE, line))
    assert Ident.parse(line).seconds <= MAX_SECONDS


TAG_HEAD = tag(message=b"", signature=b"")
BAD_TAGS: list[tuple[str, bytes]] = [
    ("tag-type", tag(TAG_HEAD.replace(b"type commit", b"type tree"))),
    ("tag-type", tag(TAG_HEAD.replace(b"type commit", b"type Commit"))),
    ("header-missing", tag(TAG_HEAD.replace(b"tagger " + ALICE + b"\n", b""))),
    ("header-missing", tag(TAG_HEAD.replace(b"type commit\n", b""))),
    ("header-missing", tag(TAG_HEAD.replace(b"tag endorse/x\n", b""))),
    ("header-missing", tag(TAG_HEAD[TAG_HEAD.index(b"type") :])),
    ("header-repeated", tag(TAG_HEAD.replace(b"tag endorse/x\n", b"tag endorse/x\ntag endorse/y\n"))),
    ("header-misplaced", tag(b"type commit\n" + TAG_HEAD.replace(b"type commit\n", b""))),
    ("header-unknown", tag(TAG_HEAD + b"gpgsig x\n")),
    ("header-unknown", tag(TAG_HEAD + GPGSIG)),
    ("encoding-header", tag(TAG_HEAD + b"encoding UTF-8\n")),
    ("header-continued", tag(TAG_HEAD.replace(b"endorse/x", b"endorse/x\n y"))),
    ("tag-name", tag(TAG_HEAD.replace(b"endorse/x", b""))),
    ("tag-name", tag(TAG_HEAD.replace(b"endorse/x", b"endorse/\x07"))),
    ("object-id", tag(TAG_HEAD.replace(C.encode(), b"C" * 40))),
    ("ident", tag(TAG_HEAD.replace(b"+0100", b"+01:00"))),
    ("no-empty-line", TAG_HEAD),
    ("nul", tag(message=b"\ntext\0\n")),
    ("not-utf-8", tag(message=b"\nGr\xfcn\n")),
    ("not-utf-8", tag(signature=ARMOUR.replace(b"U1NI", b"\xff"))),
    ("tag-armour", tag(message=b"\ntext\n" + ARMOUR)),
    ("tag-armour", tag(message=b"\n-----BEGIN \ntext\n")),
    ("tag-armour", tag(message=b"\n-----BEGIN PGP SIGNATURE-----\ntext\n")),
    ("tag-armour", tag(signature=ARMOUR + ARMOUR.replace(b"SSH", b"PGP"))),
    ("not-an-ssh-signature", tag(signature=ARMOUR.replace(b"SSH", b"PGP"))),
    ("not-an-ssh-signature", tag(signature=b"-----BEGIN SSH SIGNATURE----- \nx\n")),
]


@pytest.mark.parametrize(("rule", "content"), BAD_TAGS, ids=lambda value: value if isinstance(value, str) else "")
def test_a_tag_in_another_form_is_refused(rule: str, content: bytes) -> None:
    with pytest.raises(Malformed) as refused:
        Tag.parse(content)
    assert refused.value.rule == rule
    assert refused.value.mend


@pytest.mark.parametrize(
    "content",
    [
        tag(),
        tag(signature=b""),
        tag(message=b"\n"),
        tag(message=b"\nindented:\n -----BEGIN SSH SIGNATURE-----\n"),
        tag(message=b"\n-----END SSH SIGNATURE-----\n"),
        tag(message=b"\ntext -----BEGIN SSH SIGNATURE-----\n"),
    ],
)
def test_its_honest_twin_tag_is_read(content: bytes) -> None:
    assert Tag.parse(content).encode() == content


@given(st.data())
def test_bytes_either_encode_to_themselves_or_are_malformed(data: st.DataObject) -> None:
    honest = data.draw(st.sampled_from([commit(mergetag=MERGETAG), tag()]))
    start = data.draw(st.integers(0, len(honest)))
    end = data.draw(st.integers(start, min(len(honest), start + 8)))
    other = data.draw(
        st.sampled_from([b"", b"\n", b" ", b"\n ", b"\n\n", b"<", b"tree ", GPGSIG]) | st.binary(max_size=4)
    )
    content = honest[:start] + other + honest[end:]
    for form in (Commit, Tag):
        try:
            assert form.parse(content).encode() == content
        except Malformed as refused:
            assert re.fullmatch("[a-z0-9-]+", refused.rule)


def test_a_header_of_a_million_lines_takes_no_more_than_its_size() -> None:
    content = commit(signature=GPGSIG + b" \n" * 1_000_000)
    began = time.monotonic()
    assert Commit.parse(content).encode() == content
    assert time.monotonic() - began < 5


# Paragraphs


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("", ()),
        ("\n \n\t\n", ()),
        ("one", (("one",),)),
        ("one\ntwo\n", (("one", "two"),)),
        ("one\n\ntwo\nthree\n", (("one",), ("two", "three"))),
        ("one\n \t \ntwo\n\n\n", (("one",), ("two",))),
        ("\n\none\n\ntwo", (("one",), ("two",))),
        ("one\n\r\ntwo", (("one", "\r", "two"),)),
        ("one\n\u2028\ntwo\x0bthree\x85four", (("one", "\u2028", "two\x0bthree\x85four"),)),
        ("one\n\xa0\ntwo", (("one", "\xa0", "two"),)),
    ],
)
def test_only_lines_of_spaces_and_tabs_part_paragraphs(message: str, expected: tuple[tuple[str, ...], ...]) -> None:
    assert paragraphs(message) == expected


def test_trailers_stand_in_the_last_paragraph_where_that_is_not_the_first() -> None:
    assert last_paragraph("first\n\nLedger-Salt: 1\nother\n") == ("Ledger-Salt: 1", "other")
    assert last_paragraph("Ledger-Salt: 1\n") == ()
    assert last_paragraph("\n\nLedger-Salt: 1\n") == ()
    assert last_paragraph("Endorses: it\n", first_too=True) == ("Endorses: it",)
    assert last_paragraph("", first_too=True) == ()


def ssh_signs(key: Path, payload: bytes, directory: Path) -> bytes:
    command = ["ssh-keygen", "-q", "-Y", "sign", "-n", "git", "-f", str(key)]
    return subprocess.run(command, input=payload, capture_output=True, check=True, cwd=directory).stdout


def ssh_verifies(key: Path, payload: bytes, armour: bytes, directory: Path) -> None:
    (directory / "signature").write_bytes(armour)
    command = ["ssh-keygen", "-Y", "verify", "-n", "git", "-I", "alice", "-f", str(key.parent / "signers")]
    subprocess.run([*command, "-s", str(directory / "signature")], input=payload, check=True, capture_output=True)
