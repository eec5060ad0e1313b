"""How objects travel between repositories: by the git program, and never further than was asked for (spec 10, 11).

A remote may be hostile. So what it has is asked first and counted, and refs are fetched by name, to a place of their
own, with every object checked; no tag, no shallow boundary and no configuration of the repository brings more. What a
remote says to a person is passed on without what a terminal would obey.
"""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Final

from gitledger.errors import Failed, LedgerError, Refused, Unreachable, Unsound, Usage
from gitledger.objects.store import Store

REFS_LIMIT: Final = 50_000
"""How many refs of a remote are looked at; tags, one a snapshot, are passed over and do not count."""

SECONDS_LIMIT: Final = 120
"""How long a remote may take to say what it has, in seconds."""

Watch = Callable[[str], None]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_ADVERTISED = re.compile(r"([0-9a-f]{40})\t(HEAD|refs/[!-~]+)")
_SYMBOLIC = re.compile(r"ref: (\S+)\t(\S+)")
_LINE_END = re.compile(rb"[\r\n]")
_PROGRESS = re.compile(rb"(remote: )?[A-Z][a-z]+ (objects|deltas): ")
_STATUS = re.compile(r"([ +\-*=!])\t[^\t]*:([^\t:]+)\t(.*)")

# Every one of these has a setting that would bring more than the refs that are named.
_FETCH: Final = (
    *("-c", "fetch.fsckObjects=true"),
    *("fetch", "--atomic", "--no-tags", "--no-prune", "--no-prune-tags", "--no-recurse-submodules"),
    *("--no-write-fetch-head", "--no-show-forced-updates", "--refmap=", "--stdin"),
)
_PUSH: Final = ("push", "--porcelain", "--no-follow-tags", "--recurse-submodules=no")

_REACH: Final = "Is the address right, and may you read there? git remote -v shows it; try again when it answers."
_OTHER: Final = "Fetch from another mirror, and tell whoever runs this one."


@dataclass(frozen=True, slots=True)
class PushResult:
    """What came of a push: `said` holds the remote's own lines, `refs` git's word on each ref."""

    said: str
    refs: Mapping[str, str]


def advertised(store: Store, remote: str) -> dict[str, str]:
    """What the remote has: object ids by full ref name, and `HEAD`; tags are left out.

    `remote` is the name of a remote or an address. Raises Unreachable with git's own words, Refused
    (`too-many-refs`), Unsound (`symbolic-branch`) where a branch there is a symbolic ref.
    """
    found: dict[str, str] = {}
    for line in _ls_remote(store, remote):
        if match := _SYMBOLIC.fullmatch(line):
            if match[2].startswith("refs/heads/"):
                raise Unsound("symbolic-branch", f"{match[2]} at {remote} is a symbolic ref", _OTHER)
        elif (match := _ADVERTISED.fullmatch(line)) and not match[2].startswith("refs/tags/"):
            found[match[2]] = match[1]
            if len(found) > REFS_LIMIT:
                raise Refused("too-many-refs", f"{remote} has more than {REFS_LIMIT:,} refs", _OTHER)
    return found


def snapshots(store: Store, remote: str, name: str, most: int) -> dict[str, str]:
    """What the remote has of the ledger `name`: its branch and its tags, object ids by full ref name.

    `most` is how many snapshots there may be. Raises Unreachable with git's own words, Refused (`too-many-refs`).
    """
    branch, tags = f"refs/heads/{name}", f"refs/tags/{name}@"
    found: dict[str, str] = {}
    for line in _ls_remote(store, remote, branch, f"{tags}*"):
        match = _ADVERTISED.fullmatch(line)
        if match and (match[2] == branch or (match[2].startswith(tags) and not match[2].endswith("^{}"))):
            found[match[2]] = match[1]
            if len(found) > most + REFS_LIMIT:
                raise Refused("too-many-refs", f"{remote} has more than {most + REFS_LIMIT:,} refs", _OTHER)
    return found


def fetch(store: Store, remote: str, refs: Mapping[str, str], *, into: str, watch: Watch | None = None) -> None:
    """Make the refs below `into` (`refs/…/`) those of `refs`, full names and object ids that `advertised` gave.

    `refs/heads/common` becomes `<into>heads/common`. What is here already is not asked for, and refs below `into` that
    are not in `refs` go. `watch` is called with each line of git's progress. All refs arrive, or none.

    Raises Unreachable with git's own words (`ref-vanished`: the remote has changed meanwhile, ask again), Refused
    (`objects-refused`) where git finds an object malformed, Unsound (`shallow-remote`) where history is cut off there.
    """
    have = store.refs(into)
    kept = {into + ref.removeprefix("refs/"): ref for ref in refs}
    if gone := [(ref, None, oid) for ref, oid in have.items() if ref not in kept]:
        store.update(gone)
    missing = {here: ref for here, ref in kept.items() if have.get(here) != refs[ref]}
    if not missing:
        return
    asked = "".join(f"+{ref}:{here}\n" for here, ref in missing.items()).encode()
    status, said = _run(store, [*_FETCH, "--quiet" if watch is None else "--progress", "--", remote], asked, watch)
    if status:
        raise _not_fetched(remote, words(said))
    store.sound()
    now = store.refs(into)
    # Git leaves out what would bring a shallow boundary, says so in a warning, and calls it a success.
    if left := [ref for here, ref in missing.items() if now.get(here) == have.get(here)]:
        raise Unsound("shallow-remote", f"the history of {left[0]} is cut off at {remote}: it is shallow", _OTHER)


def fetch_alone(store: Store, remote: str, ref: str, *, into: str) -> bytes:
    """The commit that `ref` of the remote names, without its history; the ref `into` is set to it.

    For a repository that is thrown away: afterwards it is shallow. Raises Unreachable.
    """
    asked = ("fetch", "--quiet", "--depth=1", "--no-tags", "--no-write-fetch-head")
    done = store.git(*asked, "--", remote, f"+{ref}:{into}", check=False, env=_manners())
    oid = store.resolve(into)
    if done.returncode or oid is None:
        raise _not_fetched(remote, words(done.stderr))
    return store.read(oid, "commit")


def push(
    store: Store,
    remote: str,
    refs: Mapping[str, str],
    *,
    force: bool = False,
    atomic: bool = True,
    seconds: float | None = None,
) -> PushResult:
    """Set `refs` (full ref name there to object id here) at the remote, all of them or, where `atomic`, none.

    `force` also replaces what is no ancestor. It may take so many `seconds` (None: as long as it takes). Raises Refused
    (`refused-by-remote`) with the words of the remote as its mend, Refused (`remote-moved`) where a ref there is ahead,
    Unreachable where there is no answer.
    """
    specs = [f"{'+' if force else ''}{oid}:{ref}" for ref, oid in refs.items()]
    atomically = ("--atomic",) if atomic else ()
    asked = (*_PUSH, *atomically, "--", remote, *specs)
    done = _within(store, asked, remote, seconds) if seconds else store.git(*asked, check=False, env=_manners())
    lines = words(done.stderr)
    said = [line.removeprefix("remote:").removeprefix(" ") for line in lines if line.startswith("remote:")]
    status = {match[2]: (match[1], match[3]) for line in words(done.stdout) if (match := _STATUS.fullmatch(line))}
    refused = {ref: why for ref, (flag, why) in status.items() if flag == "!"}
    if refused:
        raise _not_pushed(refused, said)
    if done.returncode:
        raise _unreachable(remote, [line for line in lines if not line.startswith("remote:")] + said)
    return PushResult("\n".join(said), {ref: why for ref, (_, why) in status.items()})


def words(stderr: bytes | None) -> list[str]:
    """The lines that a program printed, without what a terminal would obey and without spaces at their end."""
    text = (stderr or b"").decode(errors="replace")
    lines = ("".join(c if c.isprintable() or c == "\t" else " " for c in line).rstrip() for line in text.split("\n"))
    return [line for line in lines if line]


def check_name(remote: str) -> str:
    """Return `remote` if refs can be named after it: letters, digits, `.-_`. Raises Usage (`remote-name`)."""
    if not _NAME.fullmatch(remote) or ".." in remote or remote.endswith((".", ".lock")):
        raise Usage("remote-name", f"{remote[:80]!r} is no name for a remote", "git remote lists them")
    return remote


def _run(store: Store, arguments: list[str], given: bytes, watch: Watch | None) -> tuple[int, bytes]:
    """Run git, and return its exit status and what it said; its progress goes to `watch`, line by line, as it comes."""
    if watch is None:
        done = store.git(*arguments, input=given, check=False, env=_manners())
        return done.returncode, done.stderr
    said, rest = [], b""
    with tempfile.TemporaryFile() as asked:
        asked.write(given)
        asked.seek(0)
        with subprocess.Popen(
            ["git", *arguments],
            cwd=store.work_tree or store.git_dir,
            env={**store.environment(), **_manners()},
            stdin=asked,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        ) as process:
            assert isinstance(process.stderr, io.BufferedReader)
            while chunk := process.stderr.read1():
                *lines, rest = _LINE_END.split(rest + chunk)
                for line in lines:
                    if _PROGRESS.match(line):
                        watch(line.decode(errors="replace").strip())
                    else:
                        said.append(line)
    return process.returncode, b"\n".join((*said, rest))


def _within(
    store: Store, arguments: tuple[str, ...], remote: str, seconds: float
) -> subprocess.CompletedProcess[bytes]:
    """Run git for at most so many `seconds`; then it ends, with all that it started. Raises Unreachable."""
    with subprocess.Popen(
        ["git", *arguments],
        cwd=store.work_tree or store.git_dir,
        env={**store.environment(), **_manners()},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        process_group=0,
    ) as process:
        try:
            said, errors = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            # What git started holds its pipes, and would be waited for.
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            raise _unreachable(remote, [f"it took longer than {seconds:g} seconds"]) from None
    return subprocess.CompletedProcess(arguments, process.returncode, said, errors)


def _ls_remote(store: Store, remote: str, *patterns: str) -> Iterator[str]:
    """The lines of `git ls-remote`, as they come; whoever stops reading stops it."""
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            ["git", "ls-remote", "--quiet", "--symref", "--", remote, *patterns],
            cwd=store.work_tree or store.git_dir,
            env={**store.environment(), **_manners()},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
        )
        late = threading.Timer(SECONDS_LIMIT, process.kill)
        late.start()
        try:
            assert process.stdout is not None
            for line in process.stdout:
                yield line.decode(errors="replace").rstrip("\n")
            _must_have_answered(process, remote, errors)
        finally:
            late.cancel()
            process.kill()
            process.stdout.close() if process.stdout else None
            process.wait()


def _must_have_answered(process: subprocess.Popen[bytes], remote: str, errors: IO[bytes]) -> None:
    if process.wait() == 0:
        return
    errors.seek(0)
    said = words(errors.read(65536))
    raise _unreachable(remote, said or [f"it took longer than {SECONDS_LIMIT} seconds"])


def _manners() -> dict[str, str]:
    """Who sits at no terminal is asked nothing there."""
    return {} if os.isatty(0) else {"GIT_TERMINAL_PROMPT": os.environ.get("GIT_TERMINAL_PROMPT", "0")}


def _unreachable(remote: str, said: list[str]) -> Unreachable:
    told = [line.removeprefix("fatal: ").removeprefix("error: ").rstrip(".") for line in said]
    return Unreachable("unreachable", f"{remote} does not answer: {'; '.join(told[:2]) or 'git says nothing'}", _REACH)


def _not_fetched(remote: str, said: list[str]) -> LedgerError:
    told = " ".join(said)
    if "couldn't find remote ref" in told:
        return Unreachable("ref-vanished", f"what {remote} has is changing: {said[-1]}", "Try again.")
    if "fsck" in told or "index-pack" in told or "unpack-objects" in told:
        why = next((line for line in said if "fsck" in line or line.startswith("error:")), said[0])
        return Refused("objects-refused", f"{remote} sends what git finds malformed: {why}", _OTHER)
    return _unreachable(remote, said)


def _not_pushed(refused: Mapping[str, str], said: list[str]) -> LedgerError:
    ref, why = next(((ref, why) for ref, why in refused.items() if "atomic" not in why), next(iter(refused.items())))
    if said:
        return Refused("refused-by-remote", f"{ref} is refused there", "\n".join(said))
    if "fetch first" in why or "non-fast-forward" in why or "stale info" in why:
        return Refused("remote-moved", f"{ref} has moved there: {why}", "gitledger fetch, then again")
    return Failed("not-pushed", f"{ref} could not be set there: {why}", _REACH)
