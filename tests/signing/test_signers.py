"""Where a signature comes from: real keys of ssh-keygen, a real agent, real Git, all found as Git finds them."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gitledger.errors import Failed, LedgerError, Malformed, Refused
from gitledger.signing import signers, sshsig
from gitledger.signing.keys import PublicKey
from gitledger.signing.sshcert import Certificate

MESSAGE = b"common@1\n"


def run(*command: str | Path, given: bytes | None = None) -> str:
    return subprocess.run(command, input=given, check=True, capture_output=True).stdout.decode()


def make_key(path: Path, *options: str, passphrase: str = "", kind: str = "ed25519") -> Path:
    run("ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", "", "-f", path, *options)
    return path


def public(path: Path) -> Path:
    return path.with_name(path.name + ".pub")


def no_question(prompt: str) -> str:
    raise AssertionError(f"asked: {prompt}")


def refusal(attempt: Callable[[], object]) -> LedgerError:
    """The error of an attempt: one sentence, in one line, and a way to mend it."""
    with pytest.raises(LedgerError) as caught:
        attempt()
    assert "\n" not in str(caught.value)
    assert caught.value.mend
    return caught.value


def holds(signer: signers.Signer, path: Path, namespace: str = "git") -> None:
    """What the signer signs is canonical and by the key of that file, as we see it and as ssh-keygen does."""
    armour = signer.sign(MESSAGE, namespace)
    signature = sshsig.parse(armour)
    sshsig.verify(signature, MESSAGE, namespace)
    line = " ".join(public(path).read_text().split()[:2])
    assert signature.key.text == signer.key.text == line
    with tempfile.TemporaryDirectory() as name:
        allowed, file = Path(name, "allowed"), Path(name, "signature")
        allowed.write_text(f"alice {line}\n")
        file.write_bytes(armour)
        verify = ("-Y", "verify", "-f", allowed, "-I", "alice", "-n", namespace, "-s", file)
        run("ssh-keygen", *verify, given=MESSAGE)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A person's home with nothing in it, and no agent."""
    place = tmp_path / "home"
    place.mkdir()
    for name in [name for name in os.environ if name.startswith(("GIT_", "SSH_", "XDG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(place))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.chdir(tmp_path)
    return place


@pytest.fixture
def alice(home: Path) -> Path:
    return make_key(home / "alice")


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with tempfile.TemporaryDirectory() as name:  # the path of a socket must be short
        socket = Path(name, "agent")
        process = subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.DEVNULL)
        try:
            until = time.monotonic() + 10
            while not socket.exists() and time.monotonic() < until:
                time.sleep(0.01)
            monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
            yield
        finally:
            process.terminate()
            process.wait()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A work tree whose Git signs with SSH keys and knows nothing more."""
    place = tmp_path / "work"
    run("git", "init", "-q", place)
    for name, value in [("user.name", "alice"), ("user.email", "alice@common"), ("gpg.format", "ssh")]:
        configure(place, name, value)
    return place


def configure(repository: Path, name: str, value: str | Path) -> None:
    run("git", "-C", repository, "config", name, value)


def found(repository: Path, key: str | None = None) -> signers.Signer:
    return signers.find(repository / ".git", key, ask=no_question)


# Plain key files


@pytest.mark.parametrize("named", ["{home}/alice", "{home}/alice.pub", "~/alice", "~/alice.pub", "home/alice"])
def test_a_plain_key_file_signs(home: Path, alice: Path, named: str) -> None:
    signer = signers.find(None, named.format(home=home), ask=no_question)
    holds(signer, alice)
    holds(signer, alice, "asl.domain.key")


def test_a_plain_key_file_signs_without_its_public_half(alice: Path) -> None:
    signer = signers.find(None, str(alice), ask=None)
    line = public(alice).read_text()
    public(alice).unlink()
    assert signers.find(None, str(alice), ask=None).key == signer.key == PublicKey.from_file_text(line)


def test_a_thousand_signatures_with_a_plain_key_file_start_no_process(
    alice: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signer = signers.find(None, str(alice), ask=no_question)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(subprocess, "Popen", None)
    assert len({signer.sign(b"%d" % number, "git") for number in range(1000)}) == 1000


# As Git finds the key


@pytest.mark.parametrize("value", ["{home}/alice", "{home}/alice.pub", "~/alice.pub", "../home/alice.pub"])
def test_the_key_is_the_one_that_git_would_sign_with(repository: Path, home: Path, alice: Path, value: str) -> None:
    configure(repository, "user.signingkey", value.format(home=home))
    holds(found(repository), alice)
    run("git", "-C", repository, "commit", "-q", "-S", "--allow-empty", "-m", "by git")
    head, _, rest = run("git", "-C", repository, "cat-file", "commit", "HEAD").partition("gpgsig ")
    armour, _, message = rest.partition("\n\n")
    signature = sshsig.parse(armour.replace("\n ", "\n").encode() + b"\n")
    sshsig.verify(signature, f"{head}\n{message}".encode(), "git")
    assert signature.key == found(repository).key


def test_the_configuration_of_the_person_counts_without_a_repository(home: Path, alice: Path) -> None:
    run("git", "config", "--global", "gpg.format", "ssh")
    run("git", "config", "--global", "user.signingkey", "~/alice.pub")
    holds(signers.find(None, None, ask=no_question), alice)


def test_a_repository_is_asked_before_the_person(repository: Path, home: Path, alice: Path) -> None:
    james = make_key(home / "james")
    run("git", "config", "--global", "user.signingkey", james)
    configure(repository, "user.signingkey", alice)
    holds(found(repository), alice)


def test_a_named_key_goes_before_the_configuration_and_needs_none(repository: Path, home: Path, alice: Path) -> None:
    james = make_key(home / "james")
    configure(repository, "user.signingkey", alice)
    holds(found(repository, str(james)), james)
    configure(repository, "gpg.format", "openpgp")
    holds(found(repository, str(james)), james)


def test_a_repository_that_the_shell_stands_in_has_no_say(
    repository: Path, home: Path, alice: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(repository, "user.signingkey", alice)
    monkeypatch.chdir(repository)
    assert refusal(lambda: signers.find(None, None, ask=None)).rule == "no-key"


@pytest.mark.parametrize("settings", [{}, {"gpg.format": "openpgp", "user.signingkey": "1234ABCD"}])
def test_where_git_does_not_sign_with_ssh_the_three_settings_are_told(
    repository: Path, settings: dict[str, str]
) -> None:
    configure(repository, "gpg.format", "x509")
    for name, value in settings.items():
        configure(repository, name, value)
    error = refusal(lambda: found(repository))
    assert (type(error), error.rule) == (Failed, "no-key")
    for line in ("gpg.format ssh", "user.signingkey ~/.ssh/id_ed25519.pub", "commit.gpgsign true"):
        assert f"\ngit config {line}" in error.mend


def test_without_a_key_the_settings_are_told(repository: Path) -> None:
    assert refusal(lambda: found(repository)).rule == "no-key"


def test_a_configuration_that_git_cannot_read_is_a_sentence(repository: Path) -> None:
    (repository / ".git/config").write_text("[user\n")
    assert refusal(lambda: found(repository)).rule == "git-failed"


def test_git_verifies_a_commit_that_is_signed_here(repository: Path, alice: Path) -> None:
    configure(repository, "user.signingkey", alice)
    tree = run("git", "-C", repository, "mktree", given=b"").strip()
    head = f"tree {tree}\nauthor a <a@b> 1700000000 +0000\ncommitter a <a@b> 1700000000 +0000\n"
    armour = found(repository).sign(f"{head}\nby hand\n".encode(), "git").decode()
    header = "gpgsig " + armour.rstrip("\n").replace("\n", "\n ") + "\n"
    commit = run(
        *("git", "-C", repository, "hash-object", "-t", "commit", "-w", "--stdin"),
        given=f"{head}{header}\nby hand\n".encode(),
    ).strip()
    allowed = repository / "allowed"
    allowed.write_text("alice " + public(alice).read_text())
    configure(repository, "gpg.ssh.allowedSignersFile", allowed)
    run("git", "-C", repository, "verify-commit", commit)


# Agents


@pytest.mark.usefixtures("agent")
@pytest.mark.parametrize("form", ["{path}", "key::{line}", "{line}", "{line} a comment"])
def test_an_agent_signs_for_a_public_key(alice: Path, form: str) -> None:
    run("ssh-add", "-q", alice)
    alice.unlink()
    line = " ".join(public(alice).read_text().split()[:2])
    holds(signers.find(None, form.format(path=public(alice), line=line), ask=no_question), alice)


@pytest.mark.usefixtures("agent")
def test_an_agent_signs_for_a_literal_of_the_configuration(repository: Path, alice: Path) -> None:
    run("ssh-add", "-q", alice)
    alice.unlink()
    configure(repository, "user.signingkey", "key::" + public(alice).read_text().strip())
    holds(found(repository), alice)


@pytest.mark.usefixtures("agent")
def test_the_default_key_command_names_the_key(repository: Path, alice: Path) -> None:
    run("ssh-add", "-q", alice)
    configure(repository, "gpg.ssh.defaultKeyCommand", "ssh-add -L")
    holds(found(repository), alice)


@pytest.mark.parametrize("command", ["false", "true", "echo nothing", "no-such-program", "'", " "])
def test_a_default_key_command_that_prints_no_key_is_a_sentence(repository: Path, command: str) -> None:
    configure(repository, "gpg.ssh.defaultKeyCommand", command)
    assert refusal(lambda: found(repository)).rule == "no-key"


@pytest.mark.parametrize("running", [True, False])
def test_a_key_that_no_agent_holds_is_a_sentence(alice: Path, running: bool, request: pytest.FixtureRequest) -> None:
    if running:
        request.getfixturevalue("agent")
    alice.unlink()
    for named in (str(public(alice)), public(alice).read_text()):
        signer = signers.find(None, named, ask=no_question)
        error = refusal(lambda signer=signer: signer.sign(MESSAGE, "git"))
        assert (type(error), error.rule) == (Failed, "signing-failed")
        assert "ssh-add" in error.mend


# Passphrases


def test_a_passphrase_is_asked_for_once_and_only_to_sign(home: Path) -> None:
    locked = make_key(home / "locked", passphrase="correct horse")
    asked: list[str] = []

    def ask(prompt: str) -> str:
        asked.append(prompt)
        return "correct horse"

    signer = signers.find(None, str(locked), ask=ask)
    assert signer.key.text in public(locked).read_text()
    assert asked == []
    holds(signer, locked)
    holds(signer, locked)
    assert asked == [f"Passphrase for {locked}: "]


@pytest.mark.parametrize("cipher", ["aes256-ctr", "aes256-gcm@openssh.com"])
@pytest.mark.parametrize("given", ["wrong", ""])
def test_a_wrong_passphrase_is_a_sentence(home: Path, cipher: str, given: str) -> None:
    locked = make_key(home / "locked", "-Z", cipher, passphrase="correct horse")
    signer = signers.find(None, str(locked), ask=lambda _: given)
    assert refusal(lambda: signer.sign(MESSAGE, "git")).rule == "wrong-passphrase"
    holds(signers.find(None, str(locked), ask=lambda _: "correct horse"), locked)


def test_without_a_terminal_a_passphrase_is_left_to_an_agent(home: Path) -> None:
    locked = make_key(home / "locked", passphrase="correct horse")
    error = refusal(lambda: signers.find(None, str(locked), ask=None).sign(MESSAGE, "git"))
    assert error.rule == "passphrase-wanted"
    assert f"ssh-add {locked}" in error.mend


@pytest.mark.usefixtures("agent")
def test_a_key_that_an_agent_has_unlocked_asks_for_no_passphrase(home: Path) -> None:
    locked = make_key(home / "locked", passphrase="")
    run("ssh-add", "-q", locked)
    run("ssh-keygen", "-q", "-p", "-P", "", "-N", "correct horse", "-f", locked)
    for named in (locked, public(locked)):
        holds(signers.find(None, str(named), ask=no_question), locked)


# gpg.ssh.program


def script(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)
    return path


def test_gpg_ssh_program_signs_and_gets_the_arguments_of_git(repository: Path, home: Path, alice: Path) -> None:
    seen = home / "seen"
    program = script(home / "program", f'echo "$@" >>{seen}', 'exec ssh-keygen "$@"')
    configure(repository, "gpg.ssh.program", program)
    configure(repository, "user.signingkey", "~/alice.pub")
    holds(found(repository), alice)
    run("git", "-C", repository, "commit", "-q", "-S", "--allow-empty", "-m", "by git")
    ours, gits = (line.split() for line in seen.read_text().splitlines())
    assert ours[:-1] == gits[:-1] == ["-Y", "sign", "-n", "git", "-f", str(public(alice))]


@pytest.mark.parametrize(
    "rewrite",
    [
        """awk '{ printf "%s\\r\\n", $0 }' $7.sig""",
        "cat $7.sig; echo",
        'printf %s "$(cat $7.sig)"',
        "head -n 1 $7.sig; sed '1d;$d' $7.sig | tr -d '\\n' | fold -w 76; echo; tail -n 1 $7.sig",
    ],
    ids=["CRLF", "blank line", "no newline", "lines of 76"],
)
def test_armour_that_a_program_wraps_in_its_own_way_is_written_anew(
    repository: Path, home: Path, alice: Path, rewrite: str
) -> None:
    lines = ('ssh-keygen "$@"', f"{{ {rewrite}; }} >$7.x", "mv $7.x $7.sig", f"cp $7.sig {home}/written")
    configure(repository, "gpg.ssh.program", script(home / "program", *lines))
    signer = found(repository, str(alice))
    holds(signer, alice)
    with pytest.raises(Malformed, match="signature-armour"):
        sshsig.parse((home / "written").read_bytes())


@pytest.mark.parametrize(
    ("lines", "rule"),
    [
        (["echo sorry >&2", "exit 3"], "signing-failed"),
        (["exit 255"], "signing-failed"),
        (["exit 0"], "signing-failed"),
        (["echo nonsense >$7.sig"], "signature-form"),
        ([": >$7.sig"], "signature-form"),
        (["{ echo x; echo A; echo y; } >$7.sig"], "signing-failed"),
        (["ssh-keygen -Y sign -n git -f $HOME/james $7"], "wrong-key-signed"),
        (["ssh-keygen -Y sign -n file -f $6 $7"], "wrong-namespace"),
        (["ssh-keygen -Y sign -O hashalg=sha256 -n git -f $6 $7"], "signature-hash"),
        (["echo more >>$7", "ssh-keygen -Y sign -n git -f $6 $7"], "bad-signature"),
    ],
)
def test_what_a_program_writes_counts_only_if_it_verifies(
    repository: Path, home: Path, alice: Path, lines: list[str], rule: str
) -> None:
    make_key(home / "james")
    configure(repository, "gpg.ssh.program", script(home / "program", *lines))
    signer = found(repository, str(alice))
    assert refusal(lambda: signer.sign(MESSAGE, "git")).rule == rule


def test_a_program_that_is_not_there_is_a_sentence(repository: Path, alice: Path) -> None:
    configure(repository, "gpg.ssh.program", "no-such-program")
    error = refusal(lambda: found(repository, str(alice)).sign(MESSAGE, "git"))
    assert error.rule == "no-signing-program"


def test_another_ssh_keygen_is_not_started_for_a_plain_key_file(repository: Path, home: Path, alice: Path) -> None:
    configure(repository, "gpg.ssh.program", script(home / "ssh-keygen", "exit 1"))
    holds(found(repository, str(alice)), alice)


def test_nothing_is_left_behind(
    repository: Path, home: Path, alice: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    configure(repository, "gpg.ssh.program", script(home / "program", 'exec ssh-keygen "$@"'))
    found(repository, str(alice)).sign(MESSAGE, "git")
    configure(repository, "gpg.ssh.program", script(home / "program", 'ssh-keygen "$@"; exit 1'))
    refusal(lambda: found(repository, str(alice)).sign(MESSAGE, "git"))
    assert list(place.iterdir()) == []


# Certificates


def certified(path: Path, signer: str = "nodes") -> Path:
    """A certificate of the key in that file, by another key, beside it."""
    ca = path.with_name(signer)
    if not ca.exists():
        make_key(ca)
    run("ssh-keygen", "-q", "-s", ca, "-I", "rescue-1", "-n", "executor@alice", "-z", "7", public(path))
    return path.with_name(path.name + "-cert.pub")


def holds_certificate(signer: signers.Signer, file: Path) -> None:
    """What the signer signs holds the certificate in that file, byte for byte as ssh-keygen writes it."""
    certificate = Certificate.from_file_text(file.read_text())
    signature = sshsig.parse(signer.sign(MESSAGE, "git"), take_certificate=True)
    sshsig.verify(signature, MESSAGE, "git")
    assert (signature.certificate, signature.key) == (signer.certificate, signer.key) == (certificate, certificate.key)


@pytest.mark.parametrize("named", ["{file}", "~/alice-cert.pub"])
def test_a_certificate_that_is_named_goes_into_the_signature(alice: Path, named: str) -> None:
    file = certified(alice)
    signer = signers.find(None, named.format(file=file), ask=no_question, take_certificate=True)
    holds_certificate(signer, file)
    command = ("ssh-keygen", "-Y", "sign", "-n", "git", "-f", file)
    assert signer.sign(MESSAGE, "git").decode() == run(*command, given=MESSAGE)


def test_a_certificate_signs_as_git_does_with_the_same_setting(repository: Path, alice: Path) -> None:
    file = certified(alice)
    configure(repository, "user.signingkey", file)
    holds_certificate(signers.find(repository / ".git", None, ask=no_question, take_certificate=True), file)
    run("git", "-C", repository, "commit", "-q", "-S", "--allow-empty", "-m", "by git")
    _, _, rest = run("git", "-C", repository, "cat-file", "commit", "HEAD").partition("gpgsig ")
    armour = rest.partition("\n\n")[0].replace("\n ", "\n").encode() + b"\n"
    assert sshsig.parse(armour, take_certificate=True).certificate == Certificate.from_file_text(file.read_text())


def test_a_certificate_is_refused_where_none_may_stand(alice: Path) -> None:
    file = certified(alice)
    for named in (str(file), file.read_text()):
        error = refusal(lambda named=named: signers.find(None, named, ask=no_question))
        assert (type(error), error.rule) == (Refused, "certificate-not-taken-here")
    holds(signers.find(None, str(public(alice)), ask=no_question), alice)


def test_a_certificate_that_only_lies_beside_the_key_is_not_used(alice: Path) -> None:
    certified(alice)
    for named in (alice, public(alice)):
        signer = signers.find(None, str(named), ask=no_question, take_certificate=True)
        assert signer.certificate is None
        holds(signer, alice)


@pytest.mark.usefixtures("agent")
@pytest.mark.parametrize("form", ["{path}", "key::{line}", "{line}"])
def test_an_agent_signs_with_a_certificate_that_it_holds(alice: Path, form: str) -> None:
    file = certified(alice)
    run("ssh-add", "-q", alice)
    alice.unlink()
    named = form.format(path=file, line=file.read_text().strip())
    holds_certificate(signers.find(None, named, ask=no_question, take_certificate=True), file)


@pytest.mark.usefixtures("agent")
def test_an_agent_that_holds_the_key_alone_refuses_its_certificate_and_the_mend_says_so(alice: Path) -> None:
    run("ssh-add", "-q", alice)
    file = certified(alice)
    held = alice.rename(alice.with_name("elsewhere"))
    error = refusal(lambda: signers.find(None, str(file), ask=None, take_certificate=True).sign(MESSAGE, "git"))
    assert error.rule == "signing-failed" and "have KEY-cert.pub beside KEY, then ssh-add KEY" in error.mend
    held.rename(alice)
    run("ssh-add", "-q", alice)
    alice.rename(held)
    holds_certificate(signers.find(None, str(file), ask=no_question, take_certificate=True), file)


@pytest.mark.usefixtures("agent")
def test_an_agent_that_holds_the_certificate_of_a_locked_key_asks_for_no_passphrase(home: Path) -> None:
    locked = make_key(home / "locked")
    file = certified(locked)
    run("ssh-add", "-q", locked)
    run("ssh-keygen", "-q", "-p", "-P", "", "-N", "correct horse", "-f", locked)
    holds_certificate(signers.find(None, str(file), ask=no_question, take_certificate=True), file)


def test_a_locked_key_with_a_certificate_asks_for_its_passphrase(home: Path) -> None:
    locked = make_key(home / "locked", passphrase="correct horse")
    file = certified(locked)
    holds_certificate(signers.find(None, str(file), ask=lambda _: "correct horse", take_certificate=True), file)


def test_a_certificate_beside_another_key_is_a_sentence(home: Path, alice: Path) -> None:
    james = make_key(home / "james")
    file = certified(james).rename(home / "alice-cert.pub")
    error = refusal(lambda: signers.find(None, str(file), ask=no_question, take_certificate=True))
    assert error.rule == "key-files-differ"


@pytest.mark.parametrize("written", ["alice.pub", "alice-other-cert.pub"])
def test_a_program_that_leaves_the_certificate_out_or_swaps_it_is_refused(
    repository: Path, home: Path, alice: Path, written: str
) -> None:
    certified(alice, "others").rename(home / "alice-other-cert.pub")
    (home / "alice-other").write_bytes(alice.read_bytes())
    (home / "alice-other").chmod(0o600)
    file = certified(alice)
    configure(repository, "gpg.ssh.program", script(home / "program", 'exec ssh-keygen "$@"'))
    holds_certificate(signers.find(repository / ".git", str(file), ask=no_question, take_certificate=True), file)
    line = f"ssh-keygen -Y sign -n git -f {home / written} $7"
    configure(repository, "gpg.ssh.program", script(home / "program", line))
    signer = signers.find(repository / ".git", str(file), ask=no_question, take_certificate=True)
    assert refusal(lambda: signer.sign(MESSAGE, "git")).rule == "signing-failed"


# Security keys


def string(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def test_a_security_key_goes_through_ssh_keygen(home: Path) -> None:
    kind = b"sk-ssh-ed25519@openssh.com"
    point = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    blob = string(kind) + string(point) + string(b"ssh:")
    file = home / "touch.pub"
    file.write_bytes(kind + b" " + b64encode(blob) + b" a comment\n")
    signer = signers.find(None, str(file), ask=no_question)
    assert signer.key.blob == blob
    error = refusal(lambda: signer.sign(MESSAGE, "git"))  # there is none to touch
    assert error.rule == "signing-failed"
    assert "touch" in error.mend


# Files that are no key


def test_a_missing_file_says_how_to_make_a_key(home: Path) -> None:
    error = refusal(lambda: signers.find(None, "~/nothing", ask=None))
    assert (type(error), error.rule) == (Failed, "no-key")
    assert f"ssh-keygen -t ed25519 -f {home}/nothing" in error.mend


def test_a_missing_public_half_is_never_made_of_a_private_one(home: Path, alice: Path) -> None:
    """`ssh-keygen -f X.pub` would put the private key there."""
    error = refusal(lambda: signers.find(None, str(home / "a b" / "id_ed25519.pub"), ask=None))
    assert error.mend == f"make one: ssh-keygen -t ed25519 -f '{home}/a b/id_ed25519'"
    public(alice).unlink()
    error = refusal(lambda: signers.find(None, str(public(alice)), ask=None))
    assert error.mend == f"write it anew: ssh-keygen -y -f {alice} > {public(alice)}"


def test_the_tilde_of_nobody_is_a_sentence() -> None:
    assert refusal(lambda: signers.find(None, "~no-such-person/key", ask=None)).rule == "no-key"


def test_a_directory_is_no_key(home: Path) -> None:
    assert refusal(lambda: signers.find(None, str(home), ask=None)).rule == "key-file-unreadable"


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o666])
def test_a_private_key_that_others_may_read_is_refused_as_ssh_does(alice: Path, mode: int) -> None:
    alice.chmod(mode)
    for named in (alice, public(alice)):
        error = refusal(lambda named=named: signers.find(None, str(named), ask=None))
        assert (error.rule, error.mend) == ("key-file-open", f"chmod 600 {alice}")
    alice.chmod(0o600)
    holds(signers.find(None, str(alice), ask=None), alice)


@pytest.mark.parametrize("suffix", ["", ".pub"])
@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
def test_a_key_of_another_type_is_refused_with_the_command_that_makes_one(home: Path, kind: str, suffix: str) -> None:
    make_key(home / "old", kind=kind)
    error = refusal(lambda: signers.find(None, f"~/old{suffix}", ask=None))
    assert (type(error), error.rule) == (Refused, "key-type-not-taken")
    assert "ssh-keygen -t ed25519" in error.mend


def test_a_key_in_the_form_of_openssl_is_a_sentence(home: Path) -> None:
    make_key(home / "old", "-m", "PEM", kind="rsa")
    assert refusal(lambda: signers.find(None, "~/old", ask=None)).rule == "key-file-form"


def test_a_public_key_beside_another_private_key_is_refused(home: Path, alice: Path) -> None:
    public(make_key(home / "james")).replace(public(alice))
    error = refusal(lambda: signers.find(None, str(public(alice)), ask=None))
    assert error.rule == "key-files-differ"
    assert "ssh-keygen -y -f" in error.mend


def test_a_private_key_that_is_another_than_it_says_signs_nothing(home: Path, alice: Path) -> None:
    """The public half in front is for everyone to read, and not bound to what follows it."""
    james = make_key(home / "james")
    mine, theirs = (PublicKey.from_file_text(public(path).read_text()).blob for path in (alice, james))
    lines = alice.read_text().splitlines()
    body = b64decode("".join(lines[1:-1]))
    forged = b64encode(body.replace(mine, theirs, 1)).decode()
    alice.write_text("\n".join([lines[0], forged, lines[-1], ""]))
    signer = signers.find(None, str(alice), ask=None)
    assert refusal(lambda: signer.sign(MESSAGE, "git")).rule == "key-file-form"


PEM = "-----BEGIN OPENSSH PRIVATE KEY-----\n{}-----END OPENSSH PRIVATE KEY-----\n"


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        ("", "malformed-key"),
        ("hello\n", "malformed-key"),
        ("\0\1\2", "malformed-key"),
        ("PuTTY-User-Key-File-3: ssh-ed25519\n", "malformed-key"),
        ("ssh-ed25519 AAAA\n", "malformed-key"),
        ("ssh-ed25519 not-base64\n", "malformed-key"),
        (PEM.format(""), "key-file-form"),
        (PEM.format("AAAA\n"), "key-file-form"),
        (PEM.format("b3BlbnNzaC1rZXktdjEA\n"), "key-file-form"),
        (PEM.format("b3BlbnNzaC1rZXktdjEAAAAABG5vbmU=\n"), "key-file-form"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\n", "key-file-form"),
        ("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n", "key-file-form"),
        ("-----BEGIN PGP PRIVATE KEY BLOCK-----\nAAAA\n", "key-file-form"),
    ],
)
def test_a_file_that_is_no_key_is_a_sentence(home: Path, content: str, rule: str) -> None:
    (home / "odd").write_text(content)
    (home / "odd").chmod(0o600)
    assert refusal(lambda: signers.find(None, "~/odd", ask=None)).rule == rule


def test_a_private_key_cut_off_anywhere_is_a_sentence(home: Path, alice: Path) -> None:
    whole = alice.read_bytes()
    for end in range(40, len(whole) - len("-----END OPENSSH PRIVATE KEY-----\n"), 7):
        alice.write_bytes(whole[:end])
        error = refusal(lambda: signers.find(None, str(alice), ask=None).sign(MESSAGE, "git"))
        assert error.rule == "key-file-form"
    alice.write_bytes(whole)
    holds(signers.find(None, str(alice), ask=None), alice)


@pytest.mark.parametrize("named", ["key::", "key::nonsense", "ssh-ed25519 AAAA", "key::ssh-ed25519 AAAAC3"])
def test_a_literal_that_is_no_key_is_malformed(named: str) -> None:
    assert isinstance(refusal(lambda: signers.find(None, named, ask=None)), Malformed)
