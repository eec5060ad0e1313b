"""Real keys, and signatures by them, made with ssh-keygen."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The private key file of a name, made at first use; the public one has the suffix `.pub`."""
    directory = tmp_path_factory.mktemp("keys")

    def make(name: str) -> Path:
        path: Path = directory / name
        if not path.exists():
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", path], check=True)
        return path

    return make


@pytest.fixture(scope="session")
def key_line(key_file: Callable[[str], Path]) -> Callable[[str], str]:
    """The public key line of a name, as documents hold it."""
    return lambda name: " ".join(key_file(name).with_suffix(".pub").read_text().split()[:2])


@pytest.fixture(scope="session")
def sign(key_file: Callable[[str], Path]) -> Callable[[str, bytes, str], str]:
    """The armour that `ssh-keygen -Y sign` makes with the key of a name, over a message, for a namespace."""

    def make(name: str, message: bytes, namespace: str) -> str:
        command = ["ssh-keygen", "-q", "-Y", "sign", "-n", namespace, "-f", str(key_file(name))]
        return subprocess.run(command, input=message, stdout=subprocess.PIPE, check=True).stdout.decode()

    return make
