"""Whether a host, a witness or a consumer is as it should be, each finding with its mend; nothing is changed.

It asks the machine (`machine.py`), the repository (who owns and may write it, its hooks and settings, locks, room) and
the ledger in it: what is verified, and the branch, the tags and the notes that follow from it. What is right is decided
where it is decided otherwise: `layout.check`, `host.must_follow`, `advance`. No remote is asked.
"""

from __future__ import annotations

import grp
import os
import pwd
import re
import shlex
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Final

from gitledger.errors import LedgerError, Unsound
from gitledger.exchange import layout, remotes
from gitledger.exchange.remotes import REFS_LIMIT
from gitledger.objects.store import STALE_SECONDS, Store, find
from gitledger.roles import ascent, consumer, foreign, granting, hold, host, mirrors, notes, unreadable, whoami
from gitledger.roles.journal import Journal
from gitledger.roles.machine import Finding, clock, error_of, fine, key, look, note, programs, room, wrong
from gitledger.roles.memory import Memory
from gitledger.roles.place import Place, Progress, silent
from gitledger.rules import rotations
from gitledger.rules.advance import genesis
from gitledger.signing import signers
from gitledger.signing.signers import Ask
from gitledger.signing.sshcert import Certificate

FSCK_SECONDS: Final = 60
"""How long `git fsck` may take where nobody asked for everything."""

_LOOSE_LIMIT: Final = 1000
_OTHERS: Final = ("update", "proc-receive", "push-to-checkout", "post-update")
_OF_A_MIRROR: Final = "mirror-*.json"
_ASK_SECONDS: Final = 10
_LOOSE_OBJECT = re.compile(r"(?:objects/|object )([0-9a-f]{2})/?([0-9a-f]{38})\b")
_PACK = re.compile(r"objects/pack/(pack-[0-9a-f]{40})\.(?:pack|idx)\b")
_PROPOSES = re.compile(r"\+refs/heads/([^/]+)/\*:refs/proposals/\1/\*")
_VERSION = "import importlib.metadata; print(importlib.metadata.version('gitledger'))"


@dataclass(frozen=True, slots=True)
class Report:
    """What was looked at, and the findings in the order of the areas.

    `directory` is the git directory, None outside of any; `role` is `host`, `clone`, or empty where no ledger is.
    """

    directory: Path | None
    role: str
    findings: tuple[Finding, ...]

    @property
    def wrong(self) -> int:
        """How many things are wrong."""
        return sum(one.severity == "wrong" for one in self.findings)


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be looked at: whose `key`, whether it is to `sign`, whether all is verified (`full`), at `now`."""

    key: str | None = None
    sign: bool = True
    full: bool = False
    now: int = 0
    ask: Ask | None = None
    progress: Progress = silent


def examine(
    directory: Path,
    key: str | None = None,
    *,
    sign: bool = True,
    full: bool = False,
    now: int | None = None,
    ask: Ask | None = None,
    progress: Progress = silent,
) -> Report:
    """Look at this machine, and at the repository that `directory` is in, where it is in one.

    `key` is the key to sign with, as git finds it where it is None; with `sign` it signs a text of no meaning, and
    `ask` asks for a passphrase. `full` verifies every snapshot and object. `now` is the clock (None: this machine's).
    """
    asked = Asked(key, sign, full, int(time.time()) if now is None else now, ask, progress)
    found = list(look("machine", programs))
    git_dir: Path | None
    try:
        git_dir, _ = find(directory)
    except LedgerError:
        git_dir = unreadable.headless(directory)
    if shutil.which("git") is None:  # everything below asks it
        found += chain(clock(asked.now), look("disk", lambda: [room(git_dir or directory)]))
        return Report(git_dir, "", tuple(found))
    if git_dir is None:
        found += chain(clock(asked.now), look("disk", lambda: [room(directory)]), _key(None, None, asked))
        return Report(None, "", tuple(found))
    if said := _dubious(git_dir):
        owner = _user(git_dir.stat().st_uid)
        whose = f"{git_dir} is {owner}'s, and git works in it for nobody else who has not said that it is safe"
        return Report(git_dir, "", (*found, *clock(asked.now), wrong("owner", whose, f"{said}   (or work as {owner})")))
    found += _repository(git_dir)
    if damaged := list(look("setup", lambda: unreadable.findings(git_dir))):
        rest = note("ledger", "not looked at before git can read the repository")
        return Report(git_dir, "", (*found, *clock(asked.now), *damaged, rest))
    try:
        place = Place.open(git_dir)
    except LedgerError as error:
        if error.rule == "not-a-ledger":
            unknown = note("ledger", "there is no ledger in this repository", error.mend)
        else:
            unknown = error_of("ledger", error)
        found += (*clock(asked.now), *_key(git_dir, None, asked), unknown)
        return Report(git_dir, "", tuple(found))
    return Report(git_dir, place.role, (*found, *_place(place, asked)))


def _repository(git_dir: Path) -> Iterator[Finding]:
    """What the file system says: who owns it, who may write, what was left behind, how much room there is."""
    problems = list(chain(look("owner", lambda: _owner(git_dir)), look("owner", lambda: _writable(git_dir))))
    yield from problems or [fine("owner", "nobody else owns or may change it")]
    yield from look("disk", lambda: [room(git_dir, _size(git_dir / "objects"))])


def _owner(git_dir: Path) -> Iterator[Finding]:
    if _is_shared(git_dir):
        yield from _group_lacks(git_dir)
        return
    owner = git_dir.stat().st_uid
    for above, directories, files in os.walk(git_dir):
        for name in (*directories, *files):
            path = Path(above, name)
            if path.lstat().st_uid != owner:
                who = shlex.quote(_user(owner))
                mend = f"sudo chown -R {who} {shlex.quote(str(git_dir))}"
                yield wrong("owner", f"{path} is not {who}'s, as the repository is: {who} may be unable to write", mend)
                return


def _group_lacks(git_dir: Path) -> Iterator[Finding]:
    """What of a repository that is shared (core.sharedRepository) not everybody in its group may write."""
    group, grown = git_dir.stat().st_gid, (git_dir / "gitledger", git_dir / "logs")
    name, where = shlex.quote(_group(group)), shlex.quote(str(git_dir))
    mend = (
        f"sudo chgrp -R {name} {where}\nsudo chmod -R g+rwX {where}\nsudo find {where} -type d -exec chmod g+s {{}} +"
    )
    for above, _, files in os.walk(git_dir):
        for path in (Path(above), *(Path(above, file) for file in files)):
            status = path.lstat()
            if status.st_gid != group:
                yield wrong("owner", f"{path} is not of the group {name}, which shares the repository", mend)
                return
            wanted = 0  # git puts most files in place of others; some it appends to, and so do we
            if stat.S_ISDIR(status.st_mode):
                wanted = stat.S_IWGRP | stat.S_ISGID
            elif any(one in path.parents for one in grown):
                wanted = stat.S_IWGRP
            if (status.st_mode & wanted) != wanted:
                yield wrong("owner", f"{path} can't be changed by the group {name}, which shares the repository", mend)
                return


def _is_shared(git_dir: Path) -> bool:
    return _setting(git_dir, "core.sharedRepository") not in ("", "umask", "false", "0")


def _dubious(git_dir: Path) -> str:
    """The command by which git wants to be told that a repository of somebody else's is safe; empty where it isn't."""
    kept = ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM")
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_") or name in kept}
    top = git_dir.parent if git_dir.name == ".git" else git_dir
    command = ["git", "-C", str(top), "rev-parse", "--git-dir"]
    done = subprocess.run(command, env={**env, "LC_ALL": "C"}, capture_output=True, check=False)
    lines = (line.strip() for line in remotes.words(done.stderr))
    return next((line for line in lines if line.startswith("git config --global --add safe.directory")), "")


def _writable(git_dir: Path) -> Iterator[Finding]:
    """Whoever may write hooks or settings runs what they like as whoever pushes; who may write notes moves trust."""
    shared, group = _is_shared(git_dir), _group(git_dir.stat().st_gid)
    if shared:
        yield note("owner", f"it is shared: whoever is in the group {group} may change its hooks and settings, too")
    inside = (*(git_dir / "hooks").glob("*"), *(git_dir / "gitledger").glob("*.json"))
    places = (git_dir, *(git_dir / name for name in ("config", "hooks", "gitledger", layout.HOOKS_PATH_FILE)), *inside)
    for path in (one for one in places if one.exists() and not one.name.endswith(".sample")):
        status = path.stat()
        where = shlex.quote(str(path))
        if status.st_mode & stat.S_IWOTH:
            yield wrong("owner", f"{path} can be changed by everybody", f"chmod o-w {where}")
        if status.st_mode & stat.S_IWGRP and not shared and not _private(status):
            yield wrong("owner", f"{path} can be changed by the group {_group(status.st_gid)}", f"chmod g-w {where}")


def _place(place: Place, asked: Asked) -> Iterator[Finding]:
    """What there is to find in a ledger's repository, the ledger in it last."""
    store = place.store
    newest: tuple[str, int] | None = None
    with suppress(LedgerError):  # said below
        newest = place.verified.name, place.verified.seconds
    yield from clock(asked.now, newest)
    yield from look("disk", lambda: _state_room(place))
    yield from look("setup", lambda: _setup(place))
    yield from look("locks", lambda: _locks(store))
    if place.role == "host" and host.branch_lost(place):
        yield from look("ledger", lambda: _lost(place, asked))
        return
    yield from look("refs", lambda: _ref_count(store))
    yield from (objects := list(look("objects", lambda: _fsck(place, asked))))
    whole = not any(one.severity == "wrong" for one in objects)
    yield from _key(store.git_dir, place if newest and whole else None, asked)
    if not whole:
        yield note("ledger", "not looked at before the objects are whole")
    elif newest is None:
        yield from look("ledger", lambda: iter([fine("ledger", place.verified.name)]))
    else:
        yield from look("ledger", lambda: _ledger(place, asked))
        yield from look("journal", lambda: _journal(place))
        yield from look("state", lambda: _state(place, asked.now))
    yield from look("notes", lambda: _notes(place))


def _lost(place: Place, asked: Asked) -> Iterator[Finding]:
    """The branch of a host that is gone, or names nothing that is here; the newest tag that is valid brings it back."""
    error = host.no_branch(place)
    tagged = host.newest_tagged(place, None, asked.progress)
    if tagged is None:
        yield error_of("ledger", error)
    else:
        mend = f"gitledger hooks install {shlex.quote(str(place.store.git_dir))}"
        yield wrong("ledger", f"{place.branch} is lost; {tagged.name} is the newest tag that is valid", mend)


def _key(git_dir: Path | None, place: Place | None, asked: Asked) -> Iterator[Finding]:
    wanted = bool(git_dir and (_domain(git_dir) or _setting(git_dir, "user.signingkey")))
    found: list[Finding] = []
    who = ""

    def signer() -> signers.Signer:
        nonlocal who
        one = signers.find(git_dir, asked.key, ask=asked.ask, take_certificate=True)
        record = place.verified.state.record(one.key.key_id) if place else None
        if place is not None and one.certificate is not None:
            who = f", with the certificate {one.certificate.identity} of {', '.join(one.certificate.principals)}"
            found.extend(_certified(place, one.certificate, asked.now))
        elif record is not None:
            who = f", of {record.domain_id}"
            if record.status != "active":
                said = f"the key {one.key.key_id} is revoked"
                found.append(wrong("key", said, "git config user.signingkey FILE.pub"))
        elif place is not None:
            who = ", which this ledger does not know"
        return one

    for one in key(signer, named=asked.key is not None, sign=asked.sign, expected=wanted):
        yield Finding(one.area, one.severity, one.sentence + (who if one.severity == "fine" else ""), one.mend)
    yield from found
    if git_dir is not None and (domain := _domain(git_dir)) is not None:
        for said, name, values in layout.unmet(git_dir, layout.proposer_config(domain)):
            yield note("key", f"you propose for {domain}, and {said}", f"git config {name} {shlex.quote(values[-1])}")


def _certified(place: Place, certificate: Certificate, now: int) -> Iterator[Finding]:
    """What keeps a proposal from counting that is signed with the certificate now."""
    grants = whoami.grants(place.verified.state, certificate, now)
    if not any(one.error is None for one in grants):
        for one in grants:
            if one.error is not None:
                said = f"a proposal that is signed with this certificate is refused: {one.error.what}"
                yield wrong("key", said, one.error.mend)


def _setup(place: Place) -> Iterator[Finding]:
    """Hooks and settings, and the Python that runs the hooks."""
    problems = [wrong("setup", *_parted(said)) for said in host.unmet(place)]
    problems += _pythons(place)
    problems += _unborn(place)
    yield from problems or [fine("setup", "hooks and settings")]
    for hook in _OTHERS if place.role == "host" else ():
        path = place.store.git_dir / "hooks" / hook
        if os.access(path, os.X_OK) and path.is_file():
            mend = f"mv {shlex.quote(str(path))} {shlex.quote(f'{path}.aside')}   (if nobody wants it)"
            yield note("setup", f"hooks/{hook} is not gitledger's, and git runs it with pushes, too", mend)


def _unborn(place: Place) -> Iterator[Finding]:
    """The checkout of a clone on a branch that has no commit: everything there counts as new."""
    store = place.store
    if store.work_tree is not None and (head := store.head()).startswith("refs/") and store.resolve(head) is None:
        mend = f"git -C {shlex.quote(str(store.work_tree))} checkout -q --detach {place.name}"
        yield wrong("setup", f"the checkout is on {head}, which has no commit yet", mend)


def _parted(said: str) -> tuple[str, str]:
    """A sentence with its mend, apart."""
    what, _, mend = said.rpartition("; ")
    return what, mend.removeprefix("run: ")


def _pythons(place: Place) -> Iterator[Finding]:
    """Whether the hooks run this gitledger. No other Python is run to find out: anybody may have written the hooks."""
    git_dir = place.store.git_dir
    mend = f"gitledger hooks install {shlex.quote(str(git_dir))}"
    ours = version("gitledger")
    for python in sorted(layout.pythons(git_dir, role=place.role, name=place.name)):
        if python != sys.executable:
            what = f"the hooks run {python}, and this is {sys.executable}: which gitledger that has was not asked"
            yield note("setup", what, f"{mend}   (has them run this one)")
        elif (theirs := _version()) != ours:
            has = f"gitledger {theirs}" if theirs else "no gitledger"
            yield wrong("setup", f"the hooks run {python}, which has {has} for them, and this is {ours}", mend)


def _locks(store: Store) -> Iterator[Finding]:
    """Locks that a killed git left; git waits for none of them, and refuses."""
    others = [*store.git_dir.glob("*.lock"), *store.common_dir.glob("*.lock")]
    old = [path for path in others if time.time() - path.lstat().st_mtime > STALE_SECONDS]
    stale = sorted({*store.stale_locks(), *old})
    for lock in stale:
        mend = f"rm -f {shlex.quote(str(lock))}   (where no git is running there)"
        yield wrong("locks", f"{lock} was left behind by a git that was killed", mend)
    if not stale:
        yield fine("locks", "none left behind")


def _ref_count(store: Store) -> Iterator[Finding]:
    loose = sum(len(files) for _, _, files in os.walk(store.common_dir / "refs"))
    every = store.refs()
    counted = sum(not ref.startswith("refs/tags/") for ref in every)
    if loose > _LOOSE_LIMIT:
        where = shlex.quote(str(store.git_dir))
        yield note("refs", f"{loose:,} refs are files of their own", f"git --git-dir={where} pack-refs --all")
    if counted > REFS_LIMIT:
        yield note("refs", f"{counted:,} refs besides tags: whoever fetches from here refuses more than {REFS_LIMIT:,}")
    if loose <= _LOOSE_LIMIT and counted <= REFS_LIMIT:
        yield fine("refs", f"{len(every):,}")


def _fsck(place: Place, asked: Asked) -> Iterator[Finding]:
    """What git itself says of the objects."""
    how = ("--strict",) if asked.full else ("--connectivity-only",)
    command = ["git", "fsck", *how, "--no-dangling", "--no-progress"]
    store = place.store
    try:
        done = subprocess.run(
            command,
            cwd=store.work_tree or store.git_dir,
            env=store.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=None if asked.full else FSCK_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        yield note("objects", f"git fsck takes longer than {FSCK_SECONDS} seconds and was left out", " ".join(command))
        return
    if done.returncode == 0:
        yield fine("objects", "git fsck finds nothing" if asked.full else "connected")
        return
    said = remotes.words(done.stderr + b"\n" + done.stdout)
    loud = [line for line in said if line.startswith(("error: ", "missing ", "fatal: "))]
    first = next(iter((*loud, *said)), "it failed without a word")
    what = first.removeprefix("error: ").removeprefix("fatal: ")
    yield wrong("objects", f"git fsck: {what}", _again(place, "\n".join(said)))


def _again(place: Place, said: str) -> str:
    """The commands that bring objects anew, after the files that `said` names as damaged have gone."""
    objects = place.store.common_dir / "objects"
    where = shlex.quote(str(place.store.git_dir))
    named = {objects / match[1] / match[2] for match in _LOOSE_OBJECT.finditer(said)}
    gone = [f"rm -f {shlex.quote(str(path))}" for path in sorted(named) if path.exists()]
    packs = [objects / "pack" / name for name in sorted({match[1] for match in _PACK.finditer(said)})]
    for pack in (one for one in packs if one.with_suffix(".pack").exists()):
        aside = shlex.quote(str(place.directory / "damaged"))
        gone += (
            f"mkdir -p {aside} && mv {shlex.quote(str(pack))}.* {aside}/",
            f"git --git-dir={where} unpack-objects -r -q <{aside}/{pack.name}.pack || true   (what of it is whole)",
        )
    if place.role == "clone":
        return "\n".join((*gone, "git fetch --refetch origin"))
    return "\n".join((*gone, f"git --git-dir={where} fetch --refetch CLONE {place.name}   (CLONE: one that has it)"))


def _ledger(place: Place, asked: Asked) -> Iterator[Finding]:
    """The newest snapshot on the one before it, or all from genesis; then whether branch and tags follow from it."""
    newest = place.verified
    try:
        if asked.full:
            path = ascent.Path(place.store, newest.oid)
            ascent.climb(genesis(place.store, path[0], place.anchor), path, start=1, progress=asked.progress)
        else:
            consumer.verify(place)
            path = ascent.Path(place.store, newest.oid)
    except Unsound as error:
        lost = error.rule in ("missing-object", "damaged-object")
        mend = _again(place, error.what) if lost else error.mend
        if error.rule == "damaged-object" and "rm -f" not in mend:  # it is in a pack, and git knows in which
            mend = "gitledger doctor --full   (names the pack)"
        yield wrong("ledger", error.what, mend)
        return
    said = "every snapshot is valid, from genesis on" if asked.full else "the newest snapshot is valid"
    yield fine("ledger", f"{newest.name}: {said}")
    problems = list(_refs(place, path))
    yield from problems or [fine("ledger", "branch and tags follow it")]


def _refs(place: Place, path: ascent.Path) -> Iterator[Finding]:
    """Branch and tags beside the line."""
    newest = place.verified
    try:
        if place.role == "host":
            host.must_follow(place, newest)
        consumer.tags_must_agree(place, path, newest.number + 1)
    except LedgerError as error:
        yield error_of("ledger", error)
    if place.role == "host":
        return
    mend = "gitledger verify --from-genesis"
    stands = place.store.resolve(place.branch)
    if stands != newest.oid:
        yield wrong("ledger", f"{place.branch} is {stands or 'gone'}, and {newest.name} is verified here", mend)
    named = (ref.removeprefix(f"refs/tags/{place.name}@") for ref in place.store.refs("refs/tags/"))
    above = [number for number in named if number.isdecimal() and int(number) > newest.number]
    if above:
        yield wrong("ledger", f"{place.name}@{above[0]} is tagged, and is not verified here", mend)


def _journal(place: Place) -> Iterator[Finding]:
    """What this machine has signed as the witness, and endorsed as an authority."""
    journal, newest = Journal.of(place.anchor), place.verified
    last = journal.last
    if last is not None and last.number > newest.number and place.role == "host":
        tagged = host.newest_tagged(place, newest)
        where = shlex.quote(str(place.store.git_dir))
        mend = f"gitledger hooks install {where}"
        if tagged is None:
            mend = f"git push {where} {place.name}   (in a clone that has it)"
        yield wrong("journal", f"this machine published {place.name}@{last.number}, and here it is {newest.name}", mend)
    elif last is not None and last.number > newest.number:
        sentence = f"this machine published {place.name}@{last.number}, and here it is {newest.name}"
        yield note("journal", sentence, "gitledger fetch")
    elif last is not None and newest.state.line.row(place.store, last.number).snapshot != last.oid:
        sentence = f"this machine published another {place.name}@{last.number} than stands here: a fork"
        yield wrong("journal", sentence, f"git show {last.oid}; gitledger status")
    else:
        yield fine("journal", f"emitted up to {place.name}@{last.number}" if last else "never emitted on this machine")
    fits = journal.fits(place.store)
    if fits is False:
        sentence = "what was signed here and is not yet published does not fit on what is here"
        yield wrong("journal", sentence, "gitledger fetch" if place.role == "clone" else "gitledger emit")
    elif fits:
        yield note("journal", "something was signed here and is not yet published", "gitledger emit")
    if endorsed := Memory.of(place.anchor).read():
        yield fine("journal", f"{len(endorsed)} rotation{'s' if len(endorsed) > 1 else ''} endorsed on this machine")


def _state(place: Place, now: int) -> Iterator[Finding]:
    """What holds the branch, or waits for somebody."""
    ice = hold.frozen(place, now) if place.role == "host" else None
    if ice is not None:
        yield note("state", f"the branch is frozen until {hold.when(ice.until)}", "gitledger host thaw")
    for fork in foreign.forks(place) if place.role == "clone" else ():
        yield wrong("state", f"FORK at {fork.name}, {fork.sentence}", "gitledger status")
    for one in rotations.read(place.verified, place.rotation_refs()).waiting:
        if not one.stale:
            yield note("state", f"a rotation to {one.new[0]} waits, {one.standing}", "gitledger rotations")


def _notes(place: Place) -> Iterator[Finding]:
    """Whether what is remembered beside the refs can be read; who reads the others has said so already."""
    if place.role == "host":
        mirrors.listed(place)  # raises with its own mend where it can't be read
    granting.remembered(place)  # and so does this
    said: dict[Path, object] = {place.directory / one.name: one.read(place.directory) for one in notes.DERIVED}
    for path in sorted(place.directory.glob(_OF_A_MIRROR)):
        said[path] = notes.read_note(path, mirrors.Reached)
    for path, what in said.items():
        if what is None and path.exists():
            yield wrong("notes", f"{path} can't be read", f"rm {shlex.quote(str(path))}   (it is noted anew)")


def _state_room(place: Place) -> Iterator[Finding]:
    """The room for the journal, where it is on another file system than the repository."""
    path = Journal.of(place.anchor).directory
    if path.exists() and path.stat().st_dev != place.store.git_dir.stat().st_dev:
        yield room(path)


def _version() -> str:
    """The version of gitledger that this Python finds as the hooks start it; empty where it finds none."""
    command = [sys.executable, "-E", "-P", "-c", _VERSION]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_ASK_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()


def _domain(git_dir: Path) -> str | None:
    """The domain that a clone proposes for with a plain `git push`."""
    match = _PROPOSES.fullmatch(_setting(git_dir, "remote.origin.push"))
    return match[1] if match else None


def _setting(git_dir: Path, name: str) -> str:
    """A setting of the repository; empty where it has none."""
    command = ["git", f"--git-dir={git_dir}", "config", "--get", name]
    return subprocess.run(command, capture_output=True, text=True, errors="replace", check=False).stdout.strip()


def _size(directory: Path) -> int:
    """The bytes of the files below a directory; what vanishes meanwhile counts nothing."""
    size = 0
    for above, _, files in os.walk(directory):
        for name in files:
            try:
                size += Path(above, name).lstat().st_size
            except OSError:
                continue
    return size


def _private(status: os.stat_result) -> bool:
    """Whether the group is the owner's own, with nobody else in it, as Debian makes one for each user."""
    try:
        group, user = grp.getgrgid(status.st_gid), pwd.getpwuid(status.st_uid)
    except KeyError:
        return False
    return group.gr_gid == user.pw_gid and set(group.gr_mem) <= {user.pw_name}


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
