"""How objects travel between repositories: by the git program, and never further than was asked for (spec 10, 11).

A remote may be hostile. So what it has is asked first and counted, and refs are fetched by name, to a place of their
own, with every object checked; no tag, no shallow boundary and no configuration of the repository brings more. What a
remote says to a person is passed on without what a terminal would obey. It is waited for while something moves
(`watched`), and what came of a transfer that failed goes again.
"""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from gitledger.errors import Failed, LedgerError, Refused, Unreachable, Unsound, Usage
from gitledger.exchange import watched
from gitledger.exchange.quarantine import Beside
from gitledger.exchange.watched import Ended
from gitledger.objects.store import Store

REFS_LIMIT: Final = 50_000
"""How many refs of a remote are looked at; tags, one a snapshot, are passed over and do not count."""

STALLED: Final = "stalled"
TOO_MUCH: Final = "too-much-sent"
"""The rules of a remote that was given up: it stood still, or it sent without end. Asked again, it would be as slow."""

Watch = Callable[[str], None]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_ADVERTISED = re.compile(r"([0-9a-f]{40})\t(HEAD|refs/[!-~]+)")
_LISTED = re.compile(r"([0-9a-f]{40})\t(refs/[^\x00-\x20\x7f]+)")
_SYMBOLIC = re.compile(r"ref: (\S+)\t(\S+)")
_LEFT_SECONDS: Final = 3600
"""What arrived half and is older was left by a run that was killed."""

_PROGRESS = re.compile(rb"(remote: )?[A-Z][a-z]+ (objects|deltas): ")
_STATUS = re.compile(r"([ +\-*=!])\t[^\t]*:([^\t:]+)\t(.*)")

# Every one of these has a setting that would bring more than the refs that are named.
_FETCH: Final = (
    *("-c", "fetch.fsckObjects=true"),
    *("fetch", "--atomic", "--no-tags", "--no-prune", "--no-prune-tags", "--no-recurse-submodules"),
    *("--no-write-fetch-head", "--no-show-forced-updates", "--refmap=", "--stdin"),
)
# A pack is one file, which can be held to a size; nothing is tidied in a quarantine.
_ONE_PACK: Final = ("-c", "fetch.unpackLimit=1", "-c", "maintenance.auto=false", "-c", "gc.auto=0")
_PUSH: Final = ("push", "--porcelain", "--no-follow-tags", "--recurse-submodules=no")

_REACH: Final = "Is the address right, and may you read there? git remote -v shows it; try again when it answers."
_ROOM: Final = "Make room on the disk, then again. May you write there?"
_NO_ROOM: Final = ("No space left", "unable to write", "unable to create temporary", "Disk quota exceeded")
_NO_CAUSE: Final = ("warning:", "invalid index-pack output", "index-pack failed", "unpack-objects failed", "From ")
_CUT_OFF: Final = ("early EOF", "hung up", "unexpected disconnect", "Connection reset", "transfer closed", "RPC failed")
_NO_RIGHT: Final = re.compile(
    r"service not enabled|access denied or repository not exported|returned error: 40[13]|Authentication failed"
    r"|could not read Username|[Pp]ermission (to \S+ )?denied|DENIED by|read.only|not allowed to push"
)
"""What git and the servers in use say to who may not push."""

_NO_PUSH: Final = (
    "May you push there? Ask whoever runs it, or name an address that takes pushes: git remote set-url --push NAME URL"
)
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

    def hear(line: str) -> None:
        if match := _SYMBOLIC.fullmatch(line):
            if match[2].startswith("refs/heads/"):
                raise Unsound("symbolic-branch", f"{match[2]} at {remote} is a symbolic ref", _OTHER)
        elif (match := _ADVERTISED.fullmatch(line)) and not match[2].startswith("refs/tags/"):
            found[match[2]] = match[1]
            if len(found) > REFS_LIMIT:
                raise Refused("too-many-refs", f"{remote} has more than {REFS_LIMIT:,} refs", _OTHER)

    _ls_remote(store, remote, hear)
    return found


def snapshots(store: Store, remote: str, name: str, most: int) -> dict[str, str]:
    """What the remote has of the ledger `name`: its branch and its tags, object ids by full ref name.

    `most` is how many snapshots there may be. Raises Unreachable with git's own words, Refused (`too-many-refs`).
    """
    branch, tags = f"refs/heads/{name}", f"refs/tags/{name}@"
    found: dict[str, str] = {}

    def hear(line: str) -> None:
        match = _ADVERTISED.fullmatch(line)
        if match and (match[2] == branch or (match[2].startswith(tags) and not match[2].endswith("^{}"))):
            found[match[2]] = match[1]
            if len(found) > most + REFS_LIMIT:
                raise Refused("too-many-refs", f"{remote} has more than {most + REFS_LIMIT:,} refs", _OTHER)

    _ls_remote(store, remote, hear, branch, f"{tags}*")
    return found


def fetch(store: Store, remote: str, refs: Mapping[str, str], *, into: str, watch: Watch | None = None) -> None:
    """Make the refs below `into` (`refs/…/`) those of `refs`, full names and object ids that `advertised` gave.

    `refs/heads/common` becomes `<into>heads/common`. What is here already is not asked for, and refs below `into` that
    are not in `refs` go. `watch` is called with each line of git's progress. All refs arrive, or none.

    Raises Unreachable with git's own words (`ref-vanished`: the remote has changed meanwhile, ask again; `stalled`),
    Refused (`objects-refused`) where git finds an object malformed, or `too-much-sent`; Failed (`no-room`), Unsound
    (`shallow-remote`) where history is cut off there.
    """
    have = store.refs(into)
    kept = {into + ref.removeprefix("refs/"): ref for ref in refs}
    if gone := [(ref, None, oid) for ref, oid in have.items() if ref not in kept]:
        store.update(gone)
    missing = {here: ref for here, ref in kept.items() if have.get(here) != refs[ref]}
    if not missing:
        return
    asked = "".join(f"+{ref}:{here}\n" for here, ref in missing.items()).encode()
    how = "--quiet" if watch is None else "--progress"
    with _nothing_left(store):
        objects = store.common_dir / "objects"
        _must_have_come(remote, _transfer(store, (*_FETCH, how, "--", remote), asked, objects, watch=watch))
    store.sound()
    now = store.refs(into)
    # Git leaves out what would bring a shallow boundary, says so in a warning, and calls it a success.
    if left := [ref for here, ref in missing.items() if now.get(here) == have.get(here)]:
        raise Unsound("shallow-remote", f"the history of {left[0]} is cut off at {remote}: it is shallow", _OTHER)


def listed(store: Store, remote: str, hear: Callable[[str, str], None], *patterns: str) -> None:
    """Call `hear` with name and object id of each ref of the remote that matches a pattern of `git ls-remote`.

    They are as many as the remote likes: who hears them keeps what is bounded. A name that is not in UTF-8 has U+FFFD
    where it is not, and can't be asked for. Raises Unreachable, Refused.
    """

    def split(line: str) -> None:
        if match := _LISTED.fullmatch(line):
            hear(match[2], match[1])

    _ls_remote(store, remote, split, *patterns)


def bring(store: Beside, remote: str, refs: Iterable[str], *, seconds: float, most: int) -> None:
    """Fetch what `refs`, full names at the remote, hold into the quarantine of `store`; no ref is set.

    It may take so many `seconds` and bring at `most` so many bytes. Raises what `fetch` raises. What the remote cut off
    is not there afterwards.
    """
    asked = "".join(f"{ref}\n" for ref in refs).encode()
    arguments = (*_ONE_PACK, *_FETCH, "--quiet", "--", remote)
    try:
        _must_have_come(remote, _transfer(store, arguments, asked, store.arriving, seconds=seconds, most=most))
    finally:
        _remove(_halves(store.arriving))


def fetch_alone(store: Store, remote: str, ref: str, *, into: str) -> bytes:
    """The commit that `ref` of the remote names, without its history; the ref `into` is set to it.

    For a repository that is thrown away: afterwards it is shallow. Raises Unreachable.
    """
    asked = ("fetch", "--quiet", "--depth=1", "--no-tags", "--no-write-fetch-head")
    done = _run(store, (*asked, "--", remote, f"+{ref}:{into}"))
    _must_have_come(remote, done)
    oid = store.resolve(into)
    if oid is None:
        raise _unreachable(remote, words(done.said))
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

    `force` also replaces what is no ancestor. It may take so many `seconds` (None: as long as something moves). Raises
    Refused (`refused-by-remote`) with the words of the remote as its mend, `push-too-large`, `remote-moved` where a ref
    there is ahead, Unreachable where there is no answer, or it lets nobody push, or not this user (`no-right-to-push`).
    """
    specs = [f"{'+' if force else ''}{oid}:{ref}" for ref, oid in refs.items()]
    atomically = ("--atomic",) if atomic else ()
    asked = (*_PUSH, *atomically, "--", remote, *specs)
    out: list[bytes] = []
    done = _run(store, asked, hear=out.append, seconds=seconds)
    lines = words(done.said)
    said = [line.removeprefix("remote:").removeprefix(" ") for line in lines if line.startswith("remote:")]
    status = {match[2]: (match[1], match[3]) for line in words(b"\n".join(out)) if (match := _STATUS.fullmatch(line))}
    refused = {ref: why for ref, (flag, why) in status.items() if flag == "!"}
    if refused:
        raise _not_pushed(refused, said)
    _must_have_ended(remote, done)
    if done.status:
        raise _not_let(remote, [line for line in lines if not line.startswith("remote:")] + said)
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


def _run(
    store: Store,
    arguments: tuple[str, ...],
    given: bytes = b"",
    *,
    hear: watched.Hear = len,
    watch: Watch | None = None,
    seconds: float | None = None,
    most: int = watched.ARRIVING_BYTES,
) -> Ended:
    """Run git, watched; its progress goes to `watch`, line by line, as it comes."""

    def is_progress(line: bytes) -> bool:
        if watch is None or not _PROGRESS.match(line):
            return False
        watch(line.decode(errors="replace").strip())
        return True

    return watched.run(
        store, arguments, given=given, hear=hear, watch=is_progress, env=_manners(), seconds=seconds, most=most
    )


def _transfer(
    store: Store,
    arguments: tuple[str, ...],
    asked: bytes,
    objects: Path,
    *,
    watch: Watch | None = None,
    seconds: float | None = None,
    most: int = watched.ARRIVING_BYTES,
) -> Ended:
    """Run a git that writes what arrives below `objects`, at `most` so many bytes of it."""
    done = _run(store, arguments, asked, watch=watch, seconds=seconds, most=most)
    held = watched.file_bytes(most)
    if done.status and _largest(objects) >= held:  # git does not say that the system ended it
        return replace(done, too_much=f"it sends more than {held:,} bytes")
    return done


def _ls_remote(store: Store, remote: str, hear: Callable[[str], None], *patterns: str) -> None:
    """Call `hear` with each line of `git ls-remote`; where it raises, git ends."""
    asked = ("ls-remote", "--quiet", "--symref", "--", remote, *patterns)
    done = _run(store, asked, hear=lambda line: hear(line.decode(errors="replace")))
    _must_have_ended(remote, done)
    if "Out of memory" in (said := done.said.decode(errors="replace")):
        raise Refused("too-many-refs", f"{remote} has more refs than fit in memory", _OTHER)
    if done.status:
        raise _unreachable(remote, words(said.encode()))


@contextmanager
def _nothing_left(store: Store) -> Iterator[None]:
    """What has arrived half by the end of a block that raises is taken away, and what a killed run had left, before it.

    Nothing of a file says whose it is: it goes where no other gitledger is fetching, and was not there before.
    """
    objects = store.common_dir / "objects"
    where = objects / "pack"
    where.mkdir(exist_ok=True)
    lock = os.open(where, os.O_RDONLY)
    try:
        if _held(lock, fcntl.LOCK_EX):
            _remove([half for half in _halves(objects) if time.time() - _changed(half) > _LEFT_SECONDS])
        _held(lock, fcntl.LOCK_SH)
        before = set(_halves(objects))
        try:
            yield
        except BaseException:
            if _held(lock, fcntl.LOCK_EX):
                _remove([half for half in _halves(objects) if half not in before])
            raise
    finally:
        os.close(lock)


def _held(lock: int, how: int) -> bool:
    """Whether the lock could be had at once; where the file system has none, it could not."""
    with suppress(OSError):
        fcntl.flock(lock, how | fcntl.LOCK_NB)
        return True
    return False


def _halves(objects: Path) -> list[Path]:
    """What git writes objects to until they are whole, and what says that a pack is being fetched."""
    keeps = [keep for keep in objects.glob("pack/pack-*.keep") if _text(keep).startswith(b"fetch-pack ")]
    return [*objects.glob("pack/tmp_*"), *objects.glob("??/tmp_obj_*"), *keeps]


def _text(path: Path) -> bytes:
    with suppress(OSError):
        return path.read_bytes()
    return b""


def _largest(objects: Path) -> int:
    """How many bytes the largest of what has arrived half has."""
    sizes = [0]
    for half in _halves(objects):
        with suppress(OSError):
            sizes.append(half.stat().st_size)
    return max(sizes)


def _changed(path: Path) -> float:
    try:
        return path.lstat().st_mtime
    except OSError:
        return time.time()


def _remove(paths: list[Path]) -> None:
    for path in paths:
        with suppress(OSError):
            path.unlink()


def _manners() -> dict[str, str]:
    """Who sits at no terminal is asked nothing there."""
    return {} if os.isatty(0) else {"GIT_TERMINAL_PROMPT": os.environ.get("GIT_TERMINAL_PROMPT", "0")}


def _unreachable(remote: str, said: list[str]) -> Unreachable:
    told = [line.removeprefix("fatal: ").removeprefix("error: ").rstrip(".") for line in said]
    return Unreachable("unreachable", f"{remote} does not answer: {'; '.join(told[:2]) or 'git says nothing'}", _REACH)


def _not_let(remote: str, said: list[str]) -> Unreachable:
    """Why a push did not get as far as to be decided."""
    error = _unreachable(remote, said)
    why = next((line for line in said if _NO_RIGHT.search(line)), None)
    if why is None:
        return error
    told = why.removeprefix("fatal: ").removeprefix("error: ").rstrip(".")
    return Unreachable("no-right-to-push", f"{remote} lets nobody push, or not you: {told}", _NO_PUSH)


def _must_have_ended(remote: str, done: Ended) -> None:
    """Raise Unreachable (`stalled`), Refused (`too-much-sent`) where the remote was given up."""
    if done.too_late:
        raise Unreachable(STALLED, f"{remote} does not answer: {done.too_late}", _REACH)
    if done.too_much:
        raise Refused(TOO_MUCH, f"{remote} is given up: {done.too_much}", _OTHER)


def _must_have_come(remote: str, done: Ended) -> None:
    _must_have_ended(remote, done)
    if done.status:
        raise _not_fetched(remote, words(done.said))


def _not_fetched(remote: str, said: list[str]) -> LedgerError:
    told = " ".join(said)
    if "couldn't find remote ref" in told:
        return Unreachable("ref-vanished", f"what {remote} has is changing: {said[-1]}", "Try again.")
    if full := [line for line in said if any(sign in line for sign in _NO_ROOM)]:
        return Failed("no-room", f"what {remote} sends can't be written here: {full[0]}", _ROOM)
    if any(sign in told for sign in _CUT_OFF):
        return _unreachable(remote, said)
    if "fsck" in told or "index-pack" in told or "unpack-objects" in told:
        causes = [line for line in said if not any(sign in line for sign in _NO_CAUSE)]
        if not causes:
            return Failed("no-room", f"what {remote} sends can't be kept here: {said[-1]}", _ROOM)
        why = next((line for line in causes if "fsck" in line or line.startswith("error:")), causes[0])
        return Refused("objects-refused", f"{remote} sends what git finds malformed: {why}", _OTHER)
    return _unreachable(remote, said)


def _not_pushed(refused: Mapping[str, str], said: list[str]) -> LedgerError:
    ref, why = next(((ref, why) for ref, why in refused.items() if "atomic" not in why), next(iter(refused.items())))
    if any("pack exceeds maximum allowed size" in line for line in said):
        return Refused(
            "push-too-large",
            f"more comes at once than is taken there (receive.maxInputSize): {ref}",
            "push it in several portions: limits.proposal_bytes and pending_per_domain say how much is taken",
        )
    if said:
        told = said if "hook declined" in why else [f"{why}:", *said]  # else git refuses what hooks may have let pass
        return Refused("refused-by-remote", f"{ref} is refused there", "\n".join(told))
    if "fetch first" in why or "non-fast-forward" in why or "stale info" in why:
        return Refused("remote-moved", f"{ref} has moved there: {why}", "gitledger fetch, then again")
    return Failed("not-pushed", f"{ref} could not be set there: {why}", _REACH)
