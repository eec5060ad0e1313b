"""Where a signature comes from: a key file, an agent, a security key, the program that Git is told to use.

The key is found as Git finds it: the one that is named, else `user.signingkey` (a path, or a `key::` literal)
with `gpg.format=ssh`, else what `gpg.ssh.defaultKeyCommand` prints. A plain key file is signed with in the
process, one with a passphrase after asking for it once. Agents, security keys and `gpg.ssh.program` are asked
through `ssh-keygen -Y sign`, with the arguments that Git gives it; what they write counts only once it is
canonical (spec 1) and verifies. Statements hold no SSH signature: for them an agent is asked itself (`sign_raw`).

Where a certificate is named, `~/node-cert.pub`, it is signed with its key, and the certificate goes into the
signature, as Git does it (spec 13). One that only lies beside a key is not used: Git would not either.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
from binascii import a2b_base64
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gitledger.errors import Failed, LedgerError, about
from gitledger.signing import sshsig
from gitledger.signing.keys import SK_ED25519, PublicKey, take_string
from gitledger.signing.sshcert import Certificate, is_certificate_text

Ask = Callable[[str], str]

_SSH_KEYGEN = "ssh-keygen"
_TOUCH = b"Confirm user presence"
_SETTINGS = r"^(user\.signingkey|gpg\.(format|ssh\.(program|defaultkeycommand)))$"
_MAKE_ONE = "ssh-keygen -t ed25519 makes a key that can be used"
# In SSH's wire form every key begins with a length below 256, so that its base64 begins with AAAA.
_KEY_LINE = re.compile(r"\S+\s+AAAA")
_PEM = b"-----BEGIN "
_OPENSSH_PEM = b"-----BEGIN OPENSSH PRIVATE KEY-----"
_OPENSSH_MAGIC = b"openssh-key-v1\0"
_KEY_FILE_LIMIT = 65536


class Signer(Protocol):
    """Somebody's key, and the way to sign with it."""

    @property
    def key(self) -> PublicKey:
        """The public key. Knowing it asks for no passphrase and starts nothing."""

    @property
    def certificate(self) -> Certificate | None:
        """The certificate of the key that each signature will hold, or None."""

    def sign(self, message: bytes, namespace: str) -> bytes:
        """Sign a message for a namespace (`git` for commits and tags) and return canonical armour (spec 1).

        Raises Failed: `passphrase-wanted`, `wrong-passphrase`, `key-file-form`, `no-signing-program`,
        `signing-failed`, `wrong-key-signed`; and what `sshsig.parse` and `sshsig.verify` raise, where a
        program wrote something that is no valid signature.
        """

    def private_file(self) -> Path | None:
        """The file that holds the private half, for `ssh-keygen -s`; None where an agent holds it."""

    def sign_raw(self, message: bytes) -> bytes:
        """Sign a message as Ed25519 does, without a namespace, as a statement is signed; returns 64 bytes (spec 14).

        A key file signs, or the agent that holds the key: `ssh-keygen -Y` makes SSH signatures alone. A security key
        can't. Raises Failed: `passphrase-wanted`, `wrong-passphrase`, `key-file-form`, `signing-failed`.
        """


def find(git_dir: Path | None, key: str | None, *, ask: Ask | None, take_certificate: bool = False) -> Signer:
    """Find the signer as Git would, asking and signing nothing yet.

    `git_dir` is the repository whose configuration counts, None for the user's alone. `key` is what the
    person named: a path to a private or public key file, or a public key, with or without `key::`. `ask` is
    called with a prompt and returns the passphrase; None says that there is no terminal. With
    `take_certificate` what is named may be a certificate, as for a proposal, which alone may hold one.

    Raises Failed: `no-key`, `key-file-unreadable`, `key-file-open`, `key-file-form`, `key-files-differ`,
    `git-failed`; and what `PublicKey.from_file_text` and, for a certificate that is taken,
    `Certificate.from_file_text` raise.
    """
    settings = _read_settings(git_dir)
    if key is None:
        key = _configured_key(settings, git_dir)
    program = settings.get("gpg.ssh.program") or _SSH_KEYGEN
    literal = _literal(key)
    if literal is not None:
        public, certificate = _public(literal, take_certificate)
        return _ProgramSigner(public, certificate, program, None)
    return _from_file(_expanded(key), program, ask, take_certificate)


def held(signer: Signer) -> str:
    """Where the private half of the key is, as far as it is known before it signs: a file, an agent, a security key."""
    if isinstance(signer, _FileSigner):
        return f"the key file {signer.path}" + (", which has a passphrase" if signer.encrypted else "")
    if signer.key.type == SK_ED25519:
        return "a security key"
    program = signer.program if isinstance(signer, _ProgramSigner) else _SSH_KEYGEN
    return "an agent" if Path(program).name == _SSH_KEYGEN else f"the program {program}"


@dataclass(frozen=True)
class _FileSigner:
    """A key file in OpenSSH's form, signed with in the process; it is unlocked at the first signature."""

    key: PublicKey
    certificate: Certificate | None
    path: Path
    encrypted: bool
    data: bytes = field(repr=False)
    ask: Ask | None = field(repr=False)

    def sign(self, message: bytes, namespace: str) -> bytes:
        return sshsig.sign(self._private, message, namespace, self.certificate)

    def private_file(self) -> Path | None:
        return self.path

    def sign_raw(self, message: bytes) -> bytes:
        return self._private.sign(message)

    @cached_property
    def _private(self) -> Ed25519PrivateKey:
        from cryptography.hazmat.primitives.serialization import load_ssh_private_key

        password = self._passphrase() if self.encrypted else None
        try:
            private = load_ssh_private_key(self.data, password)
        except UnsupportedAlgorithm:
            raise _unusable(
                self.path, "is locked in a way that only OpenSSH can unlock", _use_agent(self.path)
            ) from None
        except (ValueError, TypeError, InvalidTag):
            if self.encrypted:
                raise Failed("wrong-passphrase", f"this is not the passphrase of {self.path}", "try again") from None
            raise _unusable(self.path, "is damaged", _MAKE_ONE) from None
        if not isinstance(private, Ed25519PrivateKey) or private.public_key().public_bytes_raw() != self.key.point:
            raise _unusable(self.path, "holds another key than it says", _MAKE_ONE)
        return private

    def _passphrase(self) -> bytes:
        if self.ask is None:
            raise Failed(
                "passphrase-wanted",
                f"the key {self.path} has a passphrase, and there is no terminal to ask for it",
                _use_agent(self.path),
            )
        return os.fsencode(self.ask(f"Passphrase for {self.path}: "))


@dataclass(frozen=True)
class _ProgramSigner:
    """A key that only ssh-keygen, or the program in `gpg.ssh.program`, can sign with.

    Without a file the key itself, or its certificate, is handed over, and the agent holds its private half.
    """

    key: PublicKey
    certificate: Certificate | None
    program: str
    path: Path | None

    def sign(self, message: bytes, namespace: str) -> bytes:
        with tempfile.TemporaryDirectory(prefix="gitledger-") as name:
            place = Path(name)
            (place / "message").write_bytes(message)
            key_file, by_agent = self.path, []
            if key_file is None:
                key_file, by_agent = place / "key", ["-U"]
                key_file.write_text((self.certificate or self.key).text + "\n")
            self._run(["-Y", "sign", "-n", namespace, "-f", str(key_file), *by_agent, str(place / "message")])
            try:
                written = (place / "message.sig").read_bytes()
            except OSError:
                raise self._failed("it wrote none") from None
        return self._checked(written, message, namespace)

    def sign_raw(self, message: bytes) -> bytes:
        from gitledger.signing import agent

        try:
            return agent.sign(self.key, message)
        except OSError as error:
            raise Failed(
                "signing-failed",
                f"no agent signed with the key {self.key.key_id}: {error}",
                'put it into an agent, which signs statements, too: eval "$(ssh-agent)" && ssh-add KEY',
            ) from None

    def private_file(self) -> Path | None:
        if self.path is None or _agent_holds(self.key):
            return None
        private = self.path.with_name(self.path.name.removesuffix(".pub"))
        return private if private.exists() else None

    def _run(self, arguments: list[str]) -> None:
        """Run the program. That a security key waits to be touched reaches the person at once."""
        touched, ours = self.key.type == SK_ED25519, Path(self.program).name == _SSH_KEYGEN
        command = [self.program, *(["-q"] if touched and ours else []), *arguments]
        try:
            running = subprocess.Popen(
                command, stdout=subprocess.DEVNULL, stderr=None if touched and not ours else subprocess.PIPE
            )
        except OSError as error:
            raise Failed(
                "no-signing-program",
                f"{self.program} can't be run: {error.strerror}",
                "install OpenSSH, or correct gpg.ssh.program",
            ) from None
        said = b""
        with running:
            for line in running.stderr or ():
                if line.startswith(_TOUCH):
                    print(line.decode("utf-8", "replace"), end="", file=sys.stderr, flush=True)
                else:
                    said += line
        if running.returncode:
            why = _last_line(said).replace(f" {arguments[-1]}", "")  # a file of ours, which is gone by then
            raise self._failed(why or f"it ended with status {running.returncode}")

    def _checked(self, written: bytes, message: bytes, namespace: str) -> bytes:
        """Programs wrap lines as they please, so write the armour anew, and take it only if it verifies."""
        lines = written.replace(b"\r", b"").strip().split(b"\n")
        try:
            armour = sshsig.armoured(a2b_base64(b"".join(lines[1:-1])))
        except ValueError:
            raise self._failed("what it wrote is no signature") from None
        with about(self.program):
            signature = sshsig.parse(armour, take_certificate=self.certificate is not None)
            if signature.key != self.key:
                raise Failed(
                    "wrong-key-signed",
                    f"it signed with {signature.key.key_id} and was asked for {self.key.key_id}",
                    "correct user.signingkey, or name the key with --key",
                )
            if signature.certificate != self.certificate:
                raise self._failed("the certificate in it is not the one that was named")
            sshsig.verify(signature, message, namespace)
        return armour

    def _failed(self, why: str) -> Failed:
        if self.key.type == SK_ED25519:
            mend = "plug the security key in, and touch it when it blinks"
        elif self.certificate is not None:
            mend = "an agent takes a certificate with its key: have KEY-cert.pub beside KEY, then ssh-add KEY"
        else:
            mend = "see with ssh-add -L whether an agent holds the key, and add it with ssh-add"
        return Failed("signing-failed", f"{self.program} made no signature with the key {self.key.key_id}: {why}", mend)


def _from_file(path: Path, program: str, ask: Ask | None, take_certificate: bool) -> Signer:
    """Decide by what the file holds, and by what lies beside it, who signs."""
    data = _read(path)
    public, certificate, private_path = None, None, path
    if not data.startswith(_PEM):
        with about(str(path)):
            public, certificate = _public(data.decode("utf-8", "replace"), take_certificate)
        private_path = path.with_name(path.name.removesuffix("-cert.pub" if certificate else ".pub"))
        if private_path == path or not private_path.exists():
            return _ProgramSigner(public, certificate, program, path)
        data = _read(private_path)
    key, encrypted = _outside(private_path, data)
    if public not in (None, key):
        raise Failed(
            "key-files-differ",
            f"{path} and {private_path} are two different keys",
            "name the certificate of this key"
            if certificate
            else "write the public one anew: "
            f"ssh-keygen -y -f {shlex.quote(str(private_path))} > {shlex.quote(str(path))}",
        )
    if Path(program).name != _SSH_KEYGEN or key.type == SK_ED25519 or (encrypted and _agent_holds(certificate or key)):
        return _ProgramSigner(key, certificate, program, path)
    _check_private(private_path)
    return _FileSigner(key, certificate, private_path, encrypted, data, ask)


def _public(text: str, take_certificate: bool) -> tuple[PublicKey, Certificate | None]:
    """Read the public key that was named, and its certificate if it is that which was named."""
    if take_certificate and is_certificate_text(text):
        certificate = Certificate.from_file_text(text)
        return certificate.key, certificate
    return PublicKey.from_file_text(text), None


def _outside(path: Path, data: bytes) -> tuple[PublicKey, bool]:
    """Read what a private key file says to everyone: its public key, and whether it has a passphrase.

    The form is OpenSSH's PROTOCOL.key: magic, cipher, kdf, its options, the number of keys, the public key.
    """
    if not data.startswith(_OPENSSH_PEM):
        raise _unusable(path, "is not in OpenSSH's own form, as Ed25519 keys are", _MAKE_ONE)
    try:
        body = a2b_base64(data[len(_OPENSSH_PEM) :].partition(b"-----END")[0])
        cipher, at = take_string(body, len(_OPENSSH_MAGIC))
        _, at = take_string(body, at)
        _, at = take_string(body, at)
        blob, _ = take_string(body, at + 4)
    except (ValueError, LedgerError):
        body = b""
    if not body.startswith(_OPENSSH_MAGIC):
        raise _unusable(path, "is damaged", _MAKE_ONE)
    with about(str(path)):
        return PublicKey.from_blob(blob), cipher != b"none"


def _check_private(path: Path) -> None:
    """Refuse a private key that others may read, as OpenSSH does, so that both say the same of one file."""
    status = path.stat()
    if status.st_uid == os.getuid() and status.st_mode & 0o077:
        raise Failed(
            "key-file-open", f"the private key {path} can be read by others", f"chmod 600 {shlex.quote(str(path))}"
        )


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_KEY_FILE_LIMIT)
    except FileNotFoundError:
        raise Failed("no-key", f"there is no key file {path}", _how_to_have(path)) from None
    except OSError as error:
        raise Failed(
            "key-file-unreadable",
            f"the key file {path} can't be read: {error.strerror}",
            f"look at it: ls -l {shlex.quote(str(path))}",
        ) from None


def _how_to_have(path: Path) -> str:
    """What makes the key file `path`. `ssh-keygen -f` names the private half, and a `.pub` is written beside it."""
    private = path.with_suffix("") if path.suffix == ".pub" else path
    if private != path and private.exists():
        return f"write it anew: ssh-keygen -y -f {shlex.quote(str(private))} > {shlex.quote(str(path))}"
    return f"make one: ssh-keygen -t ed25519 -f {shlex.quote(str(private))}"


def _read_settings(git_dir: Path | None) -> dict[str, str]:
    """Read Git's settings about signing, in one process. The last of several values counts, as for Git."""
    command = ["git", f"--git-dir={git_dir or os.devnull}", "config", "--null", "--get-regexp", _SETTINGS]
    try:
        done = subprocess.run(command, capture_output=True, check=False)
    except OSError as error:
        raise Failed("git-failed", f"git can't be run: {error.strerror}", "install Git") from None
    if done.returncode not in (0, 1):  # 1 says that there is none
        raise Failed("git-failed", f"git config failed: {_last_line(done.stderr)}", "correct Git's configuration")
    entries = (entry.partition("\n") for entry in os.fsdecode(done.stdout).split("\0") if entry)
    return {name: value for name, _, value in entries}


def _configured_key(settings: dict[str, str], git_dir: Path | None) -> str:
    """The key that Git would sign with: a literal, or a path, from the top of the work tree."""
    scope = "git config --global" if git_dir is None else "git config"
    mend = (
        "name your key with --key, or tell Git about it:\n"
        f"{scope} gpg.format ssh\n"
        f"{scope} user.signingkey ~/.ssh/id_ed25519.pub\n"
        f"{scope} commit.gpgsign true"
    )
    if settings.get("gpg.format") != "ssh":
        raise Failed("no-key", "Git is not set up to sign with an SSH key", mend)
    key = settings.get("user.signingkey")
    if key:
        top = git_dir.parent if git_dir and git_dir.name == ".git" else git_dir or Path()
        return key if _literal(key) is not None else str(top / _expanded(key))
    command = settings.get("gpg.ssh.defaultkeycommand")
    if not command:
        raise Failed("no-key", "Git signs with SSH keys here, and is not told which", mend)
    return _default_key(command, mend)


def _default_key(command: str, mend: str) -> str:
    """Run `gpg.ssh.defaultKeyCommand` (such as `ssh-add -L`); the first line that it prints is the key."""
    try:
        done = subprocess.run(shlex.split(command), capture_output=True, check=False)
        status, printed = done.returncode, done.stdout.decode("utf-8", "replace")
    except (OSError, ValueError, IndexError):
        status, printed = 1, ""
    line = printed.partition("\n")[0]
    if status or _literal(line) is None:
        raise Failed("no-key", f"gpg.ssh.defaultKeyCommand, {command!r}, prints no key", mend)
    return line


def _expanded(path: str) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError:  # a ~name that nobody has: then it is the name of a file
        return Path(path)


def _literal(key: str) -> str | None:
    """The public key, if that and no path is what was named."""
    if key.startswith("key::"):
        return key.removeprefix("key::")
    return key if _KEY_LINE.match(key) else None


def _agent_holds(key: PublicKey | Certificate) -> bool:
    """Whether an agent has unlocked the key already, so that nobody need be asked for its passphrase.

    It signs with a certificate only where `ssh-add` found that, too, beside the key.
    """
    if not os.environ.get("SSH_AUTH_SOCK"):
        return False
    try:
        done = subprocess.run(["ssh-add", "-L"], capture_output=True, check=False)
    except OSError:
        return False
    held = done.stdout.decode("utf-8", "replace").splitlines()
    return key.text in (" ".join(line.split()[:2]) for line in held)


def _unusable(path: Path, why: str, mend: str) -> Failed:
    return Failed("key-file-form", f"the key file {path} {why}", mend)


def _use_agent(path: Path) -> str:
    return f'put it into an agent first: eval "$(ssh-agent)" && ssh-add {shlex.quote(str(path))}'


def _last_line(output: bytes) -> str:
    lines = output.decode("utf-8", "replace").strip().splitlines()
    return lines[-1].strip() if lines else ""
