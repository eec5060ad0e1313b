"""Raw Ed25519, as statements are signed: by a key file or an agent; and agents that answer nonsense (spec 14)."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import forge
import pytest
from world import place_key

from gitledger.errors import Failed, LedgerError, Refused
from gitledger.signing import dsse, signers
from gitledger.signing.keys import PublicKey

PAYLOAD = b'{"_type":"https://in-toto.io/Statement/v1"}\n'


@pytest.fixture
def alice(tmp_path: Path) -> Path:
    return place_key("alice", tmp_path / "alice")


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    path = tmp_path / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(path)], stdout=subprocess.DEVNULL)
    try:
        while not path.exists():
            assert process.poll() is None
        monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
        yield
    finally:
        process.terminate()
        process.wait()


def signed(named: str) -> bytes:
    """A statement signed by whoever is named, as the bytes of its envelope."""
    signer = signers.find(None, named, ask=None)
    return dsse.sign(PAYLOAD, signer.key, signer.sign_raw).encode()


def refusal(named: str) -> LedgerError:
    with pytest.raises(LedgerError) as caught:
        signed(named)
    assert caught.value.mend
    return caught.value


def test_a_key_file_signs_a_statement(alice: Path) -> None:
    envelope = dsse.Envelope.parse(signed(str(alice)))
    key = PublicKey.parse(forge.line(alice))
    dsse.verify(envelope, {key.key_id: key})


@pytest.mark.usefixtures("agent")
def test_an_agent_signs_the_same_bytes_as_the_file(alice: Path) -> None:
    by_file = signed(str(alice))
    subprocess.run(["ssh-add", "-q", str(alice)], check=True)
    line = forge.line(alice)
    alice.unlink()
    for named in (f"{alice}.pub", line, f"key::{line}"):
        assert signed(named) == by_file


@pytest.mark.usefixtures("agent")
def test_a_key_that_the_agent_does_not_hold_is_a_sentence(alice: Path) -> None:
    alice.unlink()
    error = refusal(f"{alice}.pub")
    assert isinstance(error, Failed) and error.rule == "signing-failed"
    assert "ssh-add" in error.mend


@pytest.mark.parametrize("path", ["", "nowhere", "alice.pub"])
def test_without_an_agent_it_is_a_sentence(alice: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    alice.unlink()
    monkeypatch.setenv("SSH_AUTH_SOCK", path and str(alice.parent / path))
    assert refusal(f"{alice}.pub").rule == "signing-failed"


def test_a_security_key_signs_no_statement_and_is_not_asked(tmp_path: Path) -> None:
    kind, point = b"sk-ssh-ed25519@openssh.com", forge.private(place_key("alice", tmp_path / "key")).public_key()
    blob = b"".join(forge.ssh_string(part) for part in (kind, point.public_bytes_raw(), b"ssh:"))
    key = PublicKey.from_blob(blob)
    (tmp_path / "touch.pub").write_text(key.text + "\n")
    error = refusal(str(tmp_path / "touch.pub"))
    assert isinstance(error, Refused) and error.rule == "security-key-statement"


ANSWERS = {
    "nothing": (b"", "signing-failed"),
    "half a length": (b"\0\0", "signing-failed"),
    "less than it says": (b"\0\0\0\x09\x0e", "signing-failed"),
    "far too much": (b"\x7f\xff\xff\xff\x0e", "signing-failed"),
    "no": (b"\0\0\0\x01\x05", "signing-failed"),
    "an empty answer": (b"\0\0\0\0", "signing-failed"),
    "no signature": (b"\0\0\0\x06\x0e\0\0\0\x01x", "signing-failed"),
    "an RSA signature": (
        forge.ssh_string(b"\x0e" + forge.ssh_string(forge.ssh_string(b"ssh-rsa") + forge.ssh_string(b"x" * 64))),
        "signing-failed",
    ),
    "a signature and more": (
        forge.ssh_string(
            b"\x0e" + forge.ssh_string(forge.ssh_string(b"ssh-ed25519") + forge.ssh_string(b"x" * 64)) + b"y"
        ),
        "signing-failed",
    ),
    "a signature of something else": (
        forge.ssh_string(b"\x0e" + forge.ssh_string(forge.ssh_string(b"ssh-ed25519") + forge.ssh_string(b"x" * 64))),
        "non-canonical-scalar",
    ),
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_an_agent_that_answers_nonsense_signs_nothing(
    alice: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    raw, rule = ANSWERS[answer]
    alice.unlink()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(str(tmp_path / "hostile"))
        listening.listen()
        monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "hostile"))

        def serve() -> None:
            talk, _ = listening.accept()
            with talk:
                talk.recv(65536)
                talk.sendall(raw)

        serving = threading.Thread(target=serve)
        serving.start()
        assert refusal(f"{alice}.pub").rule == rule
        serving.join()
