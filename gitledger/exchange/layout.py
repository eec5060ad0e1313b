"""How a host and a clone are laid out: the configuration and the hooks that Git gets there (spec 2, 10, 11).

Host: `pre-receive` decides whole pushes; `reference-transaction` guards against local writes; `post-receive`
makes tags and clears decided refs; objects and refs are synced to disk before a push is answered.

Clone: fetched refs land apart, under `refs/gitledger/incoming/`; the branch and the tags follow only after
verification, and no stock git command that fetches moves them, nor a checkout that stands at its pin.

None of it is what a verdict relies on: it keeps honest people and their tools from moving by accident what
only verification moves.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, Literal

from gitledger.errors import Failed, Refused, Usage

Role = Literal["host", "clone"]
Pair = tuple[str, str | None]

ALLOWED_SIGNERS: Final = "gitledger/allowed-signers"
"""Where a clone keeps its allowed-signers file, below its git directory."""

_HOOKS: Final[dict[Role, tuple[str, ...]]] = {
    "host": ("pre-receive", "reference-transaction", "post-receive"),
    "clone": ("reference-transaction",),
}
HOOKS_PATH_FILE: Final = "gitledger-hooks.config"

PUSH_BYTES: Final = 1 << 30
"""How many bytes a push may bring to a host, at the least; it is as many as a bundle has."""

HOST_CONFIG: Final[tuple[Pair, ...]] = (
    # Malformed objects are refused by git itself, whatever the user's own configuration says of one direction.
    ("transfer.fsckObjects", "true"),
    ("receive.fsckObjects", "true"),
    ("fetch.fsckObjects", "true"),
    # A host that forgets a snapshot which consumers hold would make an honest witness fork (spec 11).
    ("core.fsync", "all"),
    ("core.fsyncMethod", "fsync"),
    # History that ends at a boundary can't be verified.
    ("receive.shallowUpdate", "false"),
    # The branch moves forward only, and stays. Git asks this of refs/heads/ alone: a proposal may be replaced, and
    # what else may go is for pre-receive to say.
    ("receive.denyNonFastForwards", "true"),
    ("receive.denyDeletes", "true"),
    # Larger files than any policy of ours means go through git without ever being in its memory, and none is compared
    # with others for hours when the host tidies up.
    ("core.bigFileThreshold", "16m"),
    ("pack.windowMemory", "256m"),
    # What is said besides refs and objects is kept in memory, however much it is, and nobody reads it.
    ("receive.advertisePushOptions", "false"),
    # git would ask a hook that is not there for these refs, and refuse them all.
    ("receive.procReceiveRefs", None),
    # A witness publishes many snapshots at once or none.
    ("receive.advertiseAtomic", "true"),
    # What gitledger keeps for itself is nobody else's; 20,000 tags would cost every push 1.35 MB.
    ("transfer.hideRefs", "refs/gitledger"),
    ("receive.hideRefs", "refs/tags"),
    # A bare repository keeps no reflog unless told to. `always` would keep a file for every tag.
    ("core.logAllRefUpdates", "true"),
    # Fifty deleters of packed refs at once fail at the default of one second.
    ("core.packedRefsTimeout", "20000"),
    # Serving a fetch and walking the line stay cheap as the history grows.
    ("repack.writeBitmaps", "true"),
    ("core.commitGraph", "true"),
    ("gc.writeCommitGraph", "true"),
    # Upkeep comes by itself, packs the tags, and leaves alone what a push may be bringing at that moment.
    ("receive.autogc", "true"),
    ("gc.auto", "6700"),
    ("gc.packRefs", "true"),
    ("gc.pruneExpire", "2.weeks.ago"),
    # No object is ever read in place of another (spec 10).
    ("core.useReplaceRefs", "false"),
)
"""What Git is told in every host's repository (spec 11)."""


def push_config(proposal_bytes: int, pending: int) -> tuple[Pair, ...]:
    """What Git is told in a host's repository of how much one push may bring, by the policy's limits (spec 11).

    It is what a domain may have waiting, `pending` proposals of so many bytes; and a gibibyte where that is more.
    """
    most = max(PUSH_BYTES, min(proposal_bytes * pending, (1 << 63) - 1))
    return (("receive.maxInputSize", str(most)),)


def clone_config(name: str, remote: str = "origin") -> tuple[Pair, ...]:
    """What Git is told in a consumer's clone about a remote of the ledger (spec 10, Consumer).

    `name` is the ledger name, `remote` the name of the remote, whose URL is not set here.
    """
    return (
        # A pattern and first: `git pull` takes the first refspec for what it merges, unless it is a pattern.
        (f"remote.{remote}.fetch", f"+refs/heads/*:refs/gitledger/incoming/{remote}/heads/*"),
        # Tags come from verification alone, by no way of fetching.
        (f"remote.{remote}.fetch", "^refs/tags/*"),
        (f"remote.{remote}.tagOpt", "--no-tags"),
        # What the remote no longer has goes from incoming; `--prune-tags` of the user's own configuration
        # would otherwise take the verified tags with it.
        (f"remote.{remote}.prune", "true"),
        (f"remote.{remote}.pruneTags", "false"),
        # `git pull` finds nothing to merge into the ledger's branch, and never merges or rebases by itself.
        (f"branch.{name}.remote", None),
        (f"branch.{name}.merge", None),
        ("pull.ff", "only"),
        ("transfer.fsckObjects", "true"),
        ("fetch.fsckObjects", "true"),
        # A ledger has no submodules; what an unverified snapshot names is not fetched.
        ("fetch.recurseSubmodules", "false"),
        ("core.useReplaceRefs", "false"),
        # HEAD is detached at the pin on purpose.
        ("advice.detachedHead", "false"),
        # `git log --show-signature` says good signatures by name. Relative to the work tree's root.
        ("gpg.ssh.allowedSignersFile", f".git/{ALLOWED_SIGNERS}"),
    )


def proposer_config(domain: str, remote: str = "origin") -> tuple[Pair, ...]:
    """What Git is told in the clone of someone who proposes for `domain`, so that `git push` proposes (spec 4).

    The signing key is the user's own and is not set here.
    """
    return (
        ("gpg.format", "ssh"),
        # Also for `git rebase`, which drops signatures without a word.
        ("commit.gpgsign", "true"),
        # For branches that follow another; a merge has two parents and is no proposal.
        ("pull.rebase", "true"),
        (f"remote.{remote}.push", f"+refs/heads/{domain}/*:refs/proposals/{domain}/*"),
        # Would push the tags that endorsements are made of.
        ("push.followTags", "false"),
        # Any other adds a header that no proposal has.
        ("i18n.commitEncoding", "UTF-8"),
    )


def data_dir(kind: Literal["hooks", "templates"]) -> Path:
    """The directory of what comes with gitledger: in the installed package, or beside it in a checkout.

    Raises Failed where it is in neither place.
    """
    package = Path(__file__).resolve().parent.parent
    for place in (package / "_data" / kind, package.parent / kind):
        if place.is_dir():
            return place
    raise Failed("installation", f"this gitledger came without its {kind}", "Install it again: pip install gitledger")


def install_hooks(git_dir: Path, *, role: Role, name: str) -> None:
    """Put the hooks of a role into a repository and make sure that Git runs them (spec 11).

    `git_dir` is the git directory, `name` the ledger name. Each hook appears whole or not at all. Git is told
    where they are, so that a `core.hooksPath` of the user's does not switch the guard off.
    Raises Usage where there is no such repository, Refused where a hook of somebody else's is in the way.
    """
    git_dir = _repository(git_dir, role)
    folder = git_dir / "hooks"
    python = _python()
    stubs = {hook: _stub(hook, role, name, python) for hook in _HOOKS[role]}
    for hook in stubs:
        _check_free(folder / hook)
    folder.mkdir(exist_ok=True)
    for hook, text in stubs.items():
        _replace(folder / hook, text, 0o755)
    _tell_hooks_path(git_dir)


def check(git_dir: Path, *, role: Role, name: str, remote: str = "origin", pushes: Iterable[Pair] = ()) -> list[str]:
    """What a repository lacks of its hooks and configuration, each as a sentence with its mend (spec 11).

    Arguments as in `install_hooks`; `remote` is the remote of a clone, `pushes` the `push_config` of a host. Empty when
    all is as it should be.
    The configuration is judged as Git sees it here, the user's own included.
    Raises Usage where there is no such repository.
    """
    git_dir = _repository(git_dir, role)
    mend = f"run: gitledger hooks install {shlex.quote(str(git_dir))}"
    taken = [shlex.quote(str(path)) for hook in _HOOKS[role] if _taken(path := git_dir / "hooks" / hook)]
    if taken:
        aside = shlex.quote(str(git_dir / "hooks" / "aside"))
        mend = mend.replace("run: ", f"run: mkdir -p {aside} && mv {' '.join(taken)} {aside}/ && ")
    problems = [f"hooks/{hook} {what}; {mend}" for hook, what in _wrong_hooks(git_dir, role, name)]
    pairs = HOST_CONFIG if role == "host" else clone_config(name, remote)
    for said, _, _ in unmet(git_dir, (*pairs, *pushes, ("core.hooksPath", str(git_dir / "hooks")))):
        problems.append(f"{said}; {mend}")
    return problems + _wrong_refs(git_dir, role, name)


def unmet(git_dir: Path, pairs: Iterable[Pair]) -> Iterator[tuple[str, str, list[str]]]:
    """Each key of `pairs` that Git does not act on there: a sentence, the key, and the values that it should have."""
    present = _configuration(git_dir)
    for key, values in _grouped(pairs).items():
        found = present.get(key, [])
        if not _in_force(key, found, values):
            yield f"{key} is {_spoken(found)} and should be {_spoken(values)}", key, values


def pythons(git_dir: Path, *, role: Role, name: str) -> set[str]:
    """The Pythons that run the hooks which are installed, by their paths; arguments as in `install_hooks`.

    Of a hook whose text is another than ours, whatever it names is none.
    """
    texts = {hook: _text(git_dir / "hooks" / hook) for hook in _HOOKS[role]}
    named = {hook: _python_of(text) for hook, text in texts.items()}
    return {python for hook, python in named.items() if python and texts[hook] == _stub(hook, role, name, python)}


def configure(git_dir: Path, pairs: Iterable[Pair]) -> None:
    """Give each key of `pairs` in the repository's own configuration the values it has there, in order.

    `pairs` are `("section.subsection.key", value)`; a key may stand several times, and is taken away with the
    value None. Other values of a key go, except those of `hideRefs`, which an administrator may have added to.
    What already holds is not touched. Starts one process, and one more for each key with values that must go.
    Raises Failed where the file can't be written or another program is writing it.
    """
    present = _configuration(git_dir, "--local")
    text = ""
    for key, values in _grouped(pairs).items():
        found = present.get(key, [])
        if _additive(key):
            text += _rendered(key, [value for value in values if value not in found])
        elif found != values:
            if found:
                _git(git_dir, "config", "--local", "--unset-all", key)
            text += _rendered(key, values)
    if text:
        _append(git_dir / "config", text)


def _tell_hooks_path(git_dir: Path) -> None:
    """Set `core.hooksPath` to this repository's own hooks, so that it outlives a move of the repository.

    An absolute path alone would lead nowhere after a move, and git says nothing where it finds no hooks; a
    relative one is found only from the directories where git runs most of its commands. So the relative one
    stands in the configuration, and the absolute one in a file that is included only where it is true.
    """
    place = re.sub(r"([][*?\\])", r"\\\1", str(git_dir))
    here = [_canonical(f"includeIf.gitdir:{place}{end}.path") for end in ("", "/")]
    present = _configuration(git_dir, "--local")
    former = [key for key, values in present.items() if values == [HOOKS_PATH_FILE] and key not in here]
    _replace(git_dir / HOOKS_PATH_FILE, _rendered("core.hooksPath", [str(git_dir / "hooks")]), 0o644)
    configure(
        git_dir,
        (
            *((key, None) for key in former),
            ("core.hooksPath", "hooks" if _bare(git_dir) else f"{git_dir.name}/hooks"),
            *((key, HOOKS_PATH_FILE) for key in here),
        ),
    )


def _repository(git_dir: Path, role: Role) -> Path:
    """The git directory as an absolute path; raises Usage where it is none, or none that can be a host."""
    git_dir = git_dir.resolve()
    if not ((git_dir / "HEAD").is_file() and (git_dir / "objects").is_dir()):
        raise Usage("not-a-repository", f"{git_dir} is not a git directory", "Name a repository, as in: git -C DIR")
    if role == "host" and not _bare(git_dir):
        raise Usage(
            "host-not-bare",
            f"{git_dir} has a work tree, which a host has not",
            "Host a bare repository: git clone --bare",
        )
    return git_dir


def _bare(git_dir: Path) -> bool:
    return _configuration(git_dir, "--local").get("core.bare") == ["true"]


def _python() -> str:
    """The Python that runs the hooks: the one that runs now, by the path that makes it find gitledger."""
    if not sys.executable:
        raise Failed("no-python", "this program does not know which Python runs it", "Run gitledger from a shell")
    return sys.executable


def _stub(hook: str, role: Role, name: str, python: str) -> str:
    """A hook's text for one repository."""
    text = (data_dir("hooks") / hook).read_text(encoding="utf-8")
    for mark, value in {"@PYTHON@": python, "@ROLE@": role, "@NAME@": name}.items():
        text = text.replace(mark, shlex.quote(value))
    return text


def _check_free(path: Path) -> None:
    """Raise Refused where a hook stands that gitledger did not write."""
    if _taken(path):
        aside = f"{shlex.quote(str(path))} {shlex.quote(f'{path}.aside')}"
        raise Refused(
            "hook-taken",
            f"{path} is a hook of another program",
            f"mv {aside}\ngitledger hooks install {shlex.quote(str(path.parent.parent))}",
        )


def _taken(path: Path) -> bool:
    """Whether there is something where a hook goes that gitledger did not write."""
    if path.is_symlink() or not path.exists():
        return path.is_symlink()
    return not path.is_file() or b"# gitledger " not in path.read_bytes()


def _wrong_hooks(git_dir: Path, role: Role, name: str) -> Iterator[tuple[str, str]]:
    """Each hook that would not do its work, and why."""
    for hook in _HOOKS[role]:
        path = git_dir / "hooks" / hook
        if not path.is_file():
            yield hook, "is no file" if path.is_symlink() or path.exists() else "is missing"
            continue
        text = _text(path)
        python = _python_of(text)
        if text != _stub(hook, role, name, python):
            yield hook, "is not the hook of this gitledger and ledger"
        elif not os.access(path, os.X_OK):
            yield hook, "is not executable, so git passes it by"
        elif python and not os.access(python, os.X_OK):
            yield hook, f"needs {python}, which is gone"


def _text(hook: Path) -> str:
    return hook.read_text(encoding="utf-8", errors="replace") if hook.is_file() else ""


def _python_of(stub: str) -> str:
    """The Python that a hook's text names; empty where it needs none, or names it in no way of ours."""
    line = re.search(r"^python=(.*)$", stub, re.MULTILINE)
    try:
        return "".join(shlex.split(line[1])) if line else ""
    except ValueError:  # a quotation that does not end
        return ""


def _wrong_refs(git_dir: Path, role: Role, name: str) -> list[str]:
    """What was written past the guard: git asks no hook for `branch -C`, nor before 2.46 for `symbolic-ref`."""
    branch = f"refs/heads/{name}"
    unguarded = f"git --git-dir={shlex.quote(str(git_dir))} -c core.hooksPath=/dev/null"
    problems = []
    head = (git_dir / "HEAD").read_text(encoding="utf-8", errors="replace").strip()
    if role == "host" and head != f"ref: {branch}":
        problems.append(f"HEAD is not {branch}; run: {unguarded} symbolic-ref HEAD {branch}")
    if role == "clone" and head == f"ref: {branch}":
        problems.append(f"the checkout is on {branch} itself, which moves; run: git checkout --detach")
    loose = git_dir / branch
    if loose.is_file() and loose.read_bytes().startswith(b"ref:"):
        newest = f"$({unguarded} tag -l '{name}@*' --sort=-v:refname | head -n 1)"
        mend = f'{unguarded} symbolic-ref --delete {branch} && {unguarded} update-ref {branch} "{newest}"'
        problems.append(f"{branch} is a symbolic ref; run: {mend}")
    places = (f"refs/{name}", f"refs/{name}@*", f"{branch}@*", f"refs/tags/{name}")
    for ref in _git(git_dir, "for-each-ref", "--format=%(refname)", *places).split():
        problems.append(f"{ref} is read where the ledger's is meant; run: {unguarded} update-ref -d {ref}")
    return problems


def _canonical(key: str) -> str:
    """A key as git lists it: section and name in lower case, what is between them as it is."""
    section, _, rest = key.partition(".")
    middle, dot, last = rest.rpartition(".")
    return f"{section.lower()}.{middle}{dot}{last.lower()}"


def _additive(key: str) -> bool:
    return key.endswith(".hiderefs")


def _in_force(key: str, found: list[str], values: list[str]) -> bool:
    """Whether git acts on these values; of what the user's own configuration and this one say, the last counts."""
    if _additive(key):
        return set(values) <= set(found)
    return (found[-len(values) :] if values else found) == values


def _grouped(pairs: Iterable[Pair]) -> dict[str, list[str]]:
    """Each key, as git lists it, with all its values in order; with none where it is to be absent."""
    groups: dict[str, list[str]] = {}
    for key, value in pairs:
        values = groups.setdefault(_canonical(key), [])
        if value is not None:
            values.append(value)
    return groups


def _configuration(git_dir: Path, *scope: str) -> dict[str, list[str]]:
    """What git reads there, by key, in one process."""
    groups: dict[str, list[str]] = {}
    for entry in _git(git_dir, "config", *scope, "--list", "-z").split("\0")[:-1]:
        key, _, value = entry.partition("\n")
        groups.setdefault(key, []).append(value)
    return groups


def _rendered(key: str, values: Iterable[str]) -> str:
    """The lines of a configuration file that give a key these values."""
    section, _, rest = key.partition(".")
    middle, _, last = rest.rpartition(".")
    if "\n" in middle:
        raise Failed("config-key", f"{middle!r} can't stand in git's configuration", "Use a path without a line break")
    quoted = middle.replace("\\", "\\\\").replace('"', '\\"')
    head = f'[{section} "{quoted}"]' if middle else f"[{section}]"
    return "".join(f"{head}\n\t{last} = {_quoted(value)}\n" for value in values)


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return escaped if re.fullmatch(r"[\w./:+^*@=-]+", value) else f'"{escaped}"'


def _spoken(values: list[str]) -> str:
    return " and ".join(repr(value) for value in values) or "not set"


def _append(path: Path, text: str) -> None:
    """Add lines to a configuration file, under git's own lock."""
    path = path.resolve()
    lock = path.with_name(f"{path.name}.lock")
    old = path.read_text(encoding="utf-8", errors="surrogateescape")
    gap = "" if old.endswith("\n") or not old else "\n"
    _write_new(lock, f"{old}{gap}{text}", path.stat().st_mode & 0o777)
    lock.replace(path)


def _replace(path: Path, text: str, mode: int) -> None:
    """Write a file that appears whole or not at all."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)
    _write_new(beside, text, mode)
    beside.replace(path)


def _write_new(path: Path, text: str, mode: int) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except OSError as error:
        raise Failed(
            "cannot-write",
            f"{path} can't be written: {error.strerror}",
            "Where no other git is running there, remove it and try again"
            if isinstance(error, FileExistsError)
            else "",
        ) from error
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
            os.fchmod(descriptor, mode)
            file.write(text)
            file.flush()
            os.fsync(descriptor)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise Failed("cannot-write", f"{path} can't be written: {error.strerror}", "") from error


def _git(git_dir: Path, *arguments: str) -> str:
    """Run git in a repository, by the user's configuration files and nothing else of the environment.

    Raises Failed with git's own words.
    """
    kept = ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_") or key in kept}
    done = subprocess.run(
        ["git", f"--git-dir={git_dir}", *arguments],
        env={**environment, "LC_ALL": "C"},
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
        check=False,
    )
    if done.returncode:
        raise Failed("git-failed", f"git {arguments[0]} in {git_dir}: {done.stderr.strip()}", "")
    return done.stdout
