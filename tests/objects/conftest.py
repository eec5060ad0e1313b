"""Real repositories, made by stock git, for the tests of the ground floor."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from realgit import Memory, Repository

SECONDS = 1_795_170_991


@pytest.fixture(scope="session")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SSH key of Alice's, and beside it an allowed-signers file that names her."""
    directory = tmp_path_factory.mktemp("keys")
    key = directory / "alice"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(key)], check=True)
    public = key.with_suffix(".pub").read_text()
    (directory / "signers").write_text(f"alice {public}")
    return key


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory, key: Path) -> None:
    """Git as it is on a fresh machine of Alice, at a fixed time."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    home = tmp_path_factory.mktemp("home")
    (home / ".gitconfig").write_text(
        f"[user]\n\tname = Alice\n\temail = alice@example.org\n\tsigningkey = {key}.pub\n"
        f'[gpg]\n\tformat = ssh\n[gpg "ssh"]\n\tallowedSignersFile = {key.parent / "signers"}\n'
        "[protocol]\n\tversion = 2\n[init]\n\tdefaultBranch = common\n"
    )
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "none"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_DATE", f"{SECONDS} +0000")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "repository")


@pytest.fixture
def memory() -> Memory:
    return Memory()
