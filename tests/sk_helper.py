"""A FIDO token in software: what OpenSSH starts, in the place of its `ssh-sk-helper`, to reach a token.

    SSH_SK_HELPER=tests/sk_helper.py ssh-keygen -t ed25519-sk -f KEY

All else is OpenSSH's own: key files, `ssh-keygen -Y sign`, the agent. The handle of a key is the seed that it is made
of, so the token remembers nothing. `SK_SEED` gives the seed of a new key; without it, it is random. Where `SK_ABSENT`
is set, no token is plugged in. The protocol is that of OpenSSH's ssh-sk-client.c, its version whatever the client's is.
"""

from __future__ import annotations

import hashlib
import os
import sys
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ERROR, SIGN, ENROLL = 0, 1, 2
DEVICE_NOT_FOUND = 60  # SSH_ERR_DEVICE_NOT_FOUND of ssherr.h
PRESENT = 1
KIND = b"sk-ssh-ed25519@openssh.com"


@dataclass
class Reader:
    """What is left of a message."""

    data: bytes

    def take(self, size: int) -> bytes:
        """The next bytes."""
        taken, self.data = self.data[:size], self.data[size:]
        return taken

    def number(self) -> int:
        """The next four bytes, as a number."""
        return int.from_bytes(self.take(4), "big")

    def string(self) -> bytes:
        """A string with its length before it."""
        return self.take(self.number())


def number(value: int) -> bytes:
    """A number in four bytes."""
    return value.to_bytes(4, "big")


def string(data: bytes) -> bytes:
    """A string with its length before it."""
    return number(len(data)) + data


def enroll(request: Reader) -> bytes:
    """A new key: its private half, where the handle is the seed, and no attestation."""
    request.string(), request.string()  # provider, device
    application = request.string()
    request.string()  # user
    flags = request.take(1)
    seed = hashlib.sha256(os.environ.get("SK_SEED", "").encode() or os.urandom(32)).digest()
    point = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    key = string(KIND) + string(point) + string(application) + flags + string(seed) + string(b"")
    return string(key) + string(b"")


def sign(request: Reader) -> bytes:
    """The signature of a message, by somebody who is present (PROTOCOL.u2f)."""
    key = Reader(request.string())
    request.string()  # provider
    message = request.string()
    key.string(), key.string()  # type, point
    application = key.string()
    key.take(1)  # flags
    counter = bytes([PRESENT]) + number(1)
    signed = hashlib.sha256(application).digest() + counter + hashlib.sha256(message).digest()
    signature = Ed25519PrivateKey.from_private_bytes(key.string()).sign(signed)
    return string(string(KIND) + string(signature) + counter)


def main() -> None:
    """Answer one request."""
    request = Reader(sys.stdin.buffer.read(4))
    request = Reader(sys.stdin.buffer.read(request.number()))
    version, kind = request.take(1), request.number()
    request.take(5)  # how to log
    if os.environ.get("SK_ABSENT"):
        answer = number(ERROR) + number(DEVICE_NOT_FOUND)
    else:
        answer = number(kind) + {SIGN: sign, ENROLL: enroll}[kind](request)
    sys.stdout.buffer.write(string(version + answer))


if __name__ == "__main__":
    main()
