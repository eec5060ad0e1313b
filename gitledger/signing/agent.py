"""A raw Ed25519 signature by the SSH agent that `SSH_AUTH_SOCK` names (spec 14; draft-ietf-sshm-ssh-agent).

One request: sign this, with this key. It is asked for over the socket because no program of OpenSSH asks for a
signature that is not wrapped as an SSH signature. Whoever calls checks what comes back.
"""

from __future__ import annotations

import os
import socket
from typing import Final

from gitledger.signing.keys import ED25519, PublicKey, ssh_string

_SIGN_REQUEST: Final = b"\x0d"
_SIGN_RESPONSE: Final = b"\x0e"
_NO_FLAGS: Final = bytes(4)
_LONGEST_ANSWER: Final = 1024
_SECONDS: Final = 120
"""How long the agent may ask its person, who has to confirm some keys."""


def sign(key: PublicKey, message: bytes) -> bytes:
    """The 64 bytes that the agent signs `message` with. Raises OSError, with a sentence, where it signs nothing."""
    answer = _asked(_SIGN_REQUEST + ssh_string(key.blob) + ssh_string(message) + _NO_FLAGS)
    if answer[:1] != _SIGN_RESPONSE:
        raise OSError("the agent does not hold it, or was told not to sign")
    raw = answer[-64:]
    if answer[1:] != ssh_string(ssh_string(ED25519.encode()) + ssh_string(raw)):
        raise OSError("the agent's answer is no Ed25519 signature")
    return raw


def _asked(request: bytes) -> bytes:
    path = os.environ.get("SSH_AUTH_SOCK")
    if not path:
        raise OSError("SSH_AUTH_SOCK names none")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as talk:
        talk.settimeout(_SECONDS)
        talk.connect(path)
        talk.sendall(ssh_string(request))
        length = int.from_bytes(_received(talk, 4), "big")
        if length > _LONGEST_ANSWER:
            raise OSError("the agent's answer is too long for a signature")
        return _received(talk, length)


def _received(talk: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        more = talk.recv(length - len(data))
        if not more:
            raise OSError("the agent hung up")
        data += more
    return data
