"""What keeps git from reading a repository that holds a ledger, each with what mends it; asked before all else.

HEAD, the configuration, packed refs, a shallow boundary, the index: where one of them is damaged, whatever git says of
the rest is beside the point.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

from gitledger.roles.machine import Finding, wrong
from gitledger.roles.notes import read_note
from gitledger.roles.place import Said, Verified

_HEAD = re.compile(rb"(ref:\s*refs/\S+|[0-9a-f]{40})\s*")
_PACKED = re.compile(rb"((# pack-refs.*|[0-9a-f]{40} refs/.+|\^[0-9a-f]{40})\n)*")
_KEPT = r"^(# pack-refs|[0-9a-f]{40} refs/|\^[0-9a-f]{40}$)"


def headless(directory: Path) -> Path | None:
    """The git directory at `directory` that holds a ledger and has lost its HEAD, so that git takes it for none."""
    for one in (directory, directory / ".git"):
        if (one / "gitledger" / "ledger.json").is_file() and not (one / "HEAD").exists():
            return one.resolve()
    return None


def findings(git_dir: Path) -> Iterator[Finding]:
    """What is damaged of the files by which git reads the repository at `git_dir`."""
    said = read_note(git_dir / "gitledger" / "ledger.json", Said)
    if said is None:
        yield from _own_directory(git_dir)
        return
    where = shlex.quote(str(git_dir))
    renewed = f"gitledger hooks install {where}"
    yield from _head(git_dir, said)
    yield from _config(git_dir, said.role == "host", renewed)
    yield from _packed(git_dir, renewed if said.role == "host" else "gitledger fetch")
    yield from _shallow(git_dir, f"CLONE {said.name}   (CLONE: one that has it)" if said.role == "host" else "origin")
    if said.role == "clone":
        yield from _index(git_dir)


def _own_directory(git_dir: Path) -> Iterator[Finding]:
    """Our own directory, gone or a file, where hooks of ours say that there was one."""
    own, where = git_dir / "gitledger", shlex.quote(str(git_dir))
    hooks = [path for path in (git_dir / "hooks").glob("*") if path.is_file()]
    if own.is_dir() or not any(b"# gitledger " in path.read_bytes() for path in hooks):
        return
    what, first = (f"{own} is no directory", f"rm {where}/gitledger\n") if own.exists() else (f"{own} is gone", "")
    if (git_dir / "hooks" / "pre-receive").exists():
        mend = f"{first}gitledger hooks install {where}   (and compare the ledger id that it prints)"
    else:
        mend = f"{first}gitledger clone URL DIR --anchor sha256:…   (URL is what git remote get-url origin says)"
    yield wrong("setup", f"{what}, in which it stood what this repository is", mend)


def _head(git_dir: Path, said: Said) -> Iterator[Finding]:
    head, where = git_dir / "HEAD", shlex.quote(str(git_dir / "HEAD"))
    if head.is_file() and _HEAD.fullmatch(head.read_bytes()):
        return
    verified = read_note(git_dir / "gitledger" / "verified.json", Verified)
    on = verified.oid if said.role == "clone" and verified else f"ref: refs/heads/{said.name}"
    yield wrong("setup", f"{head} is missing or damaged, and git takes this for no repository", f"echo {on!r} >{where}")


def _config(git_dir: Path, host: bool, renewed: str) -> Iterator[Finding]:
    path = git_dir / "config"
    file = f"git config --file {shlex.quote(str(path))}"
    listed = _git("config", "--file", str(path), "--list")
    if path.exists() and listed.returncode:
        aside = f"mv {shlex.quote(str(path))} {shlex.quote(f'{path}.damaged')}\n"
        what = f"{path} is damaged: {listed.stderr.decode(errors='replace').strip()}"
    elif not listed.stdout:
        aside, what = "", f"{path} is lost"
    elif host and _git("config", "--file", str(path), "--bool", "core.bare").stdout != b"true\n":
        aside, what = "", "core.bare is not 'true', and a host has no work tree"
    else:
        return
    if host:
        yield wrong("setup", what, f"{aside}{file} core.bare true\n{renewed}")
    else:
        address = f"{file} remote.origin.url URL   (URL: the host's address)"
        yield wrong("setup", what, f"{aside}{file} core.bare false\n{address}\n{renewed}")


def _packed(git_dir: Path, then: str) -> Iterator[Finding]:
    path = git_dir / "packed-refs"
    raw = path.read_bytes() if path.is_file() else b""
    if _PACKED.fullmatch(raw):
        return
    where, whole = shlex.quote(str(path)), shlex.quote(f"{path}.whole")
    cut = "" if raw.endswith(b"\n") else f"sed -i '$d' {where}   (its last line is cut short)\n"
    mend = f"{cut}grep -aE '{_KEPT}' {where} >{whole} || true\nmv {whole} {where}\n{then}"
    yield wrong("refs", f"{path} is damaged: git reads no ref any more", mend)


def _shallow(git_dir: Path, remote: str) -> Iterator[Finding]:
    path = git_dir / "shallow"
    if not path.exists():
        return
    mend = f"git --git-dir={shlex.quote(str(git_dir))} fetch --unshallow {remote}"
    if all(_has_parents(git_dir, oid) for oid in path.read_text(errors="replace").split()):
        mend = f"rm {shlex.quote(str(path))}   (what lies below is here)"
    yield wrong("ledger", "the repository is shallow: its history is cut off", mend)


def _has_parents(git_dir: Path, oid: str) -> bool:
    said = _git(f"--git-dir={git_dir}", "cat-file", "commit", oid)
    parents = re.findall(rb"^parent ([0-9a-f]{40})$", said.stdout.partition(b"\n\n")[0], re.MULTILINE)
    asked = (_git(f"--git-dir={git_dir}", "cat-file", "-e", parent.decode()).returncode for parent in parents)
    return said.returncode == 0 and not any(asked)


def _index(git_dir: Path) -> Iterator[Finding]:
    path = git_dir / "index"
    if path.exists() and _git(f"--git-dir={git_dir}", "ls-files", "-z").returncode:
        top = shlex.quote(str(git_dir.parent))
        mend = f"rm {shlex.quote(str(path))} && git -C {top} reset -q"
        yield wrong("setup", f"{path} is damaged: git does not know what is checked out", mend)


def _git(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["git", *arguments], capture_output=True, check=False)
