"""Mirrors: where a host pushes its snapshots on, and where a clone takes them from besides its host (spec 10, 11).

A host's mirror is any Git host. It is given the branch first and alone, then the tags, oldest first, in portions that
forges take; the queue stays here. What is there is never deleted and never forced: a mirror that has another line is
told of, and left as it is. A failed push is tried again after a wait that grows, by the next hook that runs, by
`status` or by hand: nothing stays running. Tags that fail wait by themselves, and the branch goes on. What came of it
is kept in `gitledger/mirror-<name>.json`.

A clone's mirror is a remote of Git, laid out as origin is, so that nothing of it moves what is verified.
"""

from __future__ import annotations

import fcntl
import re
import shlex
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from gitledger.errors import Failed, LedgerError, Refused, Unreachable, Usage
from gitledger.exchange import layout, remotes
from gitledger.objects.sharing import is_shared
from gitledger.roles import consumer, due
from gitledger.roles.notes import must_read, read_note, write_durably
from gitledger.roles.place import CARRIED, INCOMING, Place, Progress, silent
from gitledger.rules.state import Snapshot

PORTION: Final = 3
"""How many tags go in a push: some forges let no events follow where there are more."""

PUSH_SECONDS: Final = 1800
"""How long one push in the background may take, in seconds."""

FIRST_WAIT: Final = 60
"""How long the first failure waits for the next try, in seconds: each waits twice as long as the one before."""

_BUSY_SECONDS: Final = 30
_SAID: Final = 400


class Mirror(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A mirror of a host, by its `name`; `tags` says whether it gets them."""

    name: str
    url: str
    tags: bool = True

    @property
    def shown(self) -> str:
        """Its address, without a password."""
        return shown(self.url)


class _Listed(msgspec.Struct, frozen=True):
    """The mirrors of a host, as they are noted."""

    mirrors: tuple[Mirror, ...]


class Reached(msgspec.Struct, frozen=True):
    """How far the pushes to a mirror came: the newest number there (None: nothing) and how many tags.

    `branch` is the commit to which the branch was last brought, `done` that of the newest snapshot all of which is
    there. `error` is what failed last, after so many `tries`, and `next` the second from which on it is tried again;
    `tags_error`, `tags_tries` and `tags_next` are the same of tags that fail. `seconds` is when it was last tried.
    """

    number: int | None = None
    tags: int = 0
    done: str = ""
    error: str = ""
    tries: int = 0
    next: int = 0
    seconds: int = 0
    branch: str = ""
    tags_error: str = ""
    tags_tries: int = 0
    tags_next: int = 0

    @property
    def failed(self) -> tuple[str, int, int]:
        """What failed last, after how many tries, and when it is tried again: of the branch, and else of the tags."""
        if self.error:
            return self.error, self.tries, self.next
        return self.tags_error, self.tags_tries, self.tags_next


@dataclass(frozen=True, slots=True)
class Standing:
    """How a mirror stands, on a host whose newest snapshot has the number `newest`, as the last push found it."""

    mirror: Mirror
    reached: Reached
    newest: int

    @property
    def lag(self) -> int:
        """How many snapshots it lacks."""
        return self.newest - (-1 if self.reached.number is None else self.reached.number)

    @property
    def tags_lag(self) -> int:
        """How many tags it lacks, of those that it is to have."""
        return max(0, self.newest + 1 - self.reached.tags) if self.mirror.tags else 0


def add(place: Place, name: str, url: str, *, tags: bool = True) -> None:
    """Name `url` as a mirror: of a host, which pushes to it from now on; of a clone, which fetches from it, too.

    Raises Usage: `remote-name`, `mirror-exists`, `mirror-url`, `mirror-itself`, `mirror-tags`.
    """
    remotes.check_name(name)
    address = _address(url)
    if place.role == "clone":
        if f"{INCOMING}{name}/" == CARRIED:
            raise Usage("remote-name", f"{name} is where carried files land", "give the mirror another name")
        _add_remote(place, name, address, tags)
        return
    if Path(address) == place.store.git_dir:
        raise Usage("mirror-itself", f"{url} is this host itself", "name the repository that is to be its mirror")
    with _locked(place, "mirrors"):
        there = listed(place)
        if any(one.name.casefold() == name.casefold() for one in there):
            raise Usage("mirror-exists", f"there is a mirror {name} already", f"gitledger mirror remove {name}")
        _state(place, name).unlink(missing_ok=True)
        _list(place, (*there, Mirror(name, address, tags)))


def remove(place: Place, name: str) -> None:
    """Forget the mirror `name`; what it has, it keeps. Raises Usage (`no-such-mirror`, `mirror-origin`)."""
    if place.role == "clone":
        _remove_remote(place, name)
        return
    with _locked(place, "mirrors"):
        there = listed(place)
        gone = find(place, name)
        _list(place, tuple(one for one in there if one != gone))
        _state(place, name).unlink(missing_ok=True)


def listed(place: Place) -> tuple[Mirror, ...]:
    """The mirrors of the host `place`, in the order they were named. Raises Failed (`mirrors-unreadable`)."""
    path = place.directory / due.LISTED
    mend = f"rm {shlex.quote(str(path))}   (and name them again: gitledger mirror add NAME URL)"
    said = must_read(path, _Listed, Failed("mirrors-unreadable", f"{path} is damaged", mend))
    return said.mirrors if said else ()


def find(place: Place, name: str) -> Mirror:
    """The mirror `name` of the host `place`. Raises Usage (`no-such-mirror`), and what `listed` raises."""
    found = next((one for one in listed(place) if one.name == name), None)
    if found is None:
        raise Usage("no-such-mirror", f"there is no mirror {name[:80]}", "gitledger mirror status   (names them)")
    return found


def standings(place: Place) -> tuple[Standing, ...]:
    """How the mirrors of the host `place` stand, as the last pushes found them; none in a clone."""
    if place.role != "host":
        return ()
    return tuple(Standing(one, _reached(place, one.name), place.verified.number) for one in listed(place))


def retry(place: Place) -> None:
    """Start in the background what waits for a push to a mirror of the host `place`, and has waited long enough."""
    if place.role == "host" and (names := due.mirrors(str(place.store.git_dir))):
        due.start(str(place.store.git_dir), names)


def run(place: Place, name: str) -> None:
    """Push to the mirror `name` until it has all that came meanwhile; what fails is noted, for the next try."""
    while True:
        newest = place.store.resolve(place.branch)
        with suppress(LedgerError):
            push(place, name, seconds=PUSH_SECONDS, by_itself=True)
        # Whoever came while this one was at work found it so, and went away.
        if place.store.resolve(place.branch) == newest:
            return


def push(
    place: Place,
    name: str,
    *,
    now: int | None = None,
    seconds: float | None = None,
    patience: float = 0,
    by_itself: bool = False,
    progress: Progress = silent,
) -> Standing:
    """Push to the mirror `name` what it lacks, and note what came of it; how it stands then.

    `now` are the seconds on the clock, `seconds` how long one push may take, `patience` how long to wait for a push
    to this mirror that is under way. `by_itself`, tags that failed wait their turn. `progress` is told of portions of
    tags.

    Raises Usage (`not-a-host`, `no-such-mirror`), Failed (`mirror-busy`), Unreachable, Refused (`refused-by-remote`
    with the mirror's own words; `mirror-differs` where it has another line, or other tags).
    """
    if place.role != "host":
        raise Usage("not-a-host", "this is a clone, and its host pushes to mirrors", "gitledger fetch")
    mirror = find(place, name)
    with _locked(place, f"mirror-{name}", patience):
        while True:
            place = Place.of(place.store)  # reads `verified` anew
            at = int(time.time()) if now is None else now
            work = _Push(place, mirror, _reached(place, name), seconds, progress, at)
            work.bring_branch()
            if not (by_itself and due.waits(work.reached.tags_next, at)):
                work.bring_tags()
            if place.store.resolve(place.branch) == place.verified.oid:
                return Standing(mirror, work.reached, place.verified.number)


@dataclass(slots=True)
class _Push:
    """One run to one mirror: `reached` is what is known of it, and is noted after every push that it took."""

    place: Place
    mirror: Mirror
    reached: Reached
    seconds: float | None
    progress: Progress
    now: int
    there: Mapping[str, str] = field(default_factory=dict)

    def bring_branch(self) -> None:
        """The branch, first and alone."""
        place, newest = self.place, self.place.verified
        try:
            self._look()
            _must_be_this_line(place, self.mirror, self.there)
            if self.there.get(place.branch) != newest.oid:
                self._push({place.branch: newest.oid})
        except LedgerError as error:
            _name(error, self.mirror)
            tries = self.reached.tries + 1
            self._note(error=_words(error), tries=tries, next=self.now + _wait(tries), seconds=self.now)
            raise
        self._note(number=newest.number, branch=newest.oid, error="", tries=0, next=0, seconds=self.now)

    def bring_tags(self) -> None:
        """The tags, oldest first, in portions."""
        try:
            if self.mirror.tags:
                self._bring_tags()
        except LedgerError as error:
            _name(error, self.mirror)
            tries = self.reached.tags_tries + 1
            self._note(tags_error=_words(error), tags_tries=tries, tags_next=self.now + _wait(tries))
            raise
        self._note(done=self.place.verified.oid, tags_error="", tags_tries=0, tags_next=0)

    def _bring_tags(self) -> None:
        place, newest = self.place, self.place.verified
        line = newest.state.line
        tags = {place.tag(each): line.row(place.store, each).snapshot for each in range(newest.number + 1)}
        missing = [tag for tag in tags if tag not in self.there]
        have = len(tags) - len(missing)
        self._note(tags=have)
        for start in range(0, len(missing), PORTION):
            portion = missing[start : start + PORTION]
            try:
                self._push({tag: tags[tag] for tag in portion})
            except Refused:
                self._look()  # a mirror that is a host itself makes them, and takes none
                if not set(missing) <= set(self.there):
                    raise
                self._note(tags=len(tags))
                break
            have += len(portion)
            self._note(tags=have)
            self.progress(start + len(portion), len(missing))
        for tag, oid in tags.items():
            if self.there.get(tag, oid) != oid:
                raise _moved(self.mirror, tag, self.there[tag])

    def _look(self) -> None:
        place = self.place
        self.there = remotes.snapshots(place.store, self.mirror.url, place.name, place.verified.number + 1)

    def _push(self, refs: Mapping[str, str]) -> None:
        remotes.push(self.place.store, self.mirror.url, refs, atomic=False, seconds=self.seconds)

    def _note(self, **what: object) -> None:
        after = msgspec.structs.replace(self.reached, **what)
        if after != self.reached and any(one == self.mirror for one in listed(self.place)):
            write_durably(_state(self.place, self.mirror.name), msgspec.json.encode(after).decode() + "\n")
        self.reached = after


def _wait(tries: int) -> int:
    return min(FIRST_WAIT << min(tries - 1, 20), due.LONGEST_WAIT)


def _must_be_this_line(place: Place, mirror: Mirror, there: Mapping[str, str]) -> None:
    """Raise Refused (`mirror-differs`) where the branch there is not on the line of this host."""
    oid, newest = there.get(place.branch), place.verified
    if oid is None or (place.store.has(oid) and newest.state.line.snapshot(place.store, oid) is not None):
        return
    numbers = sorted(_numbers(place, there))
    other = next((each for each in numbers if each <= newest.number and _is_other(place, newest, each, there)), None)
    if other is not None:
        what = f"has another {place.name}@{other}, {there[place.tag(other)]}: a fork, or a lie"
    elif numbers and numbers[-1] > newest.number:
        what = f"has {place.name}@{numbers[-1]}, and the newest here is {newest.name}: this host has lost snapshots, "
        what += "or it is a fork, or a lie"
    else:
        what = f"has {oid} as its newest, which this host has not: a fork, a lie, or snapshots that this host has lost"
    raise _differs(mirror, what)


def _numbers(place: Place, there: Mapping[str, str]) -> Iterator[int]:
    """The numbers of the snapshots that have tags there."""
    form = re.compile(re.escape(place.tag(0)[:-1]) + r"(0|[1-9][0-9]{0,18})")
    return (int(match[1]) for ref in there if (match := form.fullmatch(ref)))


def _is_other(place: Place, newest: Snapshot, number: int, there: Mapping[str, str]) -> bool:
    return newest.state.line.row(place.store, number).snapshot != there[place.tag(number)]


def _differs(mirror: Mirror, what: str) -> Refused:
    return Refused(
        "mirror-differs",
        f"{mirror.name} {what}; nothing is forced there",
        f"in a clone, which finds out and proves it:\n"
        f"gitledger mirror add {mirror.name} {mirror.shown}\ngitledger fetch {mirror.name}",
    )


def _moved(mirror: Mirror, tag: str, oid: str) -> Refused:
    """No clone of ours finds out: none takes tags from anywhere. Who reads the mirror with git alone is deceived."""
    where = shlex.quote(mirror.shown)
    return Refused(
        "mirror-differs",
        f"{mirror.name} has another {tag.removeprefix('refs/tags/')}, {oid}: it was moved; nothing is forced there",
        f"git push {where} :{tag}   (where whoever has the mirror wants it set right)\n"
        f"gitledger mirror push {mirror.name}",
    )


def _name(error: LedgerError, mirror: Mirror) -> None:
    """Name the mirror in what git says of its address, which may hold a password, and say what mends it here."""
    error.what = error.what.replace(mirror.url, mirror.name)
    again = f"gitledger mirror push {mirror.name}"
    if isinstance(error, Unreachable) or error.rule == "not-pushed":
        error.mend = f"gitledger mirror status   (shows the address; may this user write there?)\n{again}"
    elif error.rule == "remote-moved":
        error.mend = again


def _words(error: LedgerError) -> str:
    """An error in a line, with the words of the mirror where it refused."""
    said = f"{error.what}: {' '.join(error.mend.split())}" if error.rule == "refused-by-remote" else error.what
    said = f"{said} [{error.rule}]"
    return said if len(said) <= _SAID else f"{said[: _SAID // 2]} … {said[-_SAID // 2 :]}"


def shown(url: str) -> str:
    """An address without the password that it may hold."""
    return re.sub(r"(://[^/@:]*):[^/@]*@", r"\1:…@", url)


def _address(url: str) -> str:
    """A path as git will find it from anywhere; any other address as it is. Raises Usage (`mirror-url`)."""
    if not url or not url.isprintable():
        raise Usage("mirror-url", f"{url[:80]!r} is no address", "gitledger mirror add NAME URL")
    if Path(url).exists() or not ("://" in url or ":" in url.partition("/")[0]):
        return str(Path(url).resolve())
    return url


def _state(place: Place, name: str) -> Path:
    return place.directory / f"mirror-{name}.json"


def _reached(place: Place, name: str) -> Reached:
    """What is known of a mirror; what can't be read is found out again by the next push."""
    return read_note(_state(place, name), Reached) or Reached()


def _list(place: Place, there: tuple[Mirror, ...]) -> None:
    path = place.directory / due.LISTED
    if there:  # an address may hold a password
        mode = 0o660 if is_shared(place.store.git_dir) else 0o600
        write_durably(path, msgspec.json.encode(_Listed(there)).decode() + "\n", mode=mode)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def _locked(place: Place, what: str, patience: float = _BUSY_SECONDS) -> Iterator[None]:
    """Hold `what` alone; whoever comes second waits for so long. Raises Failed (`mirror-busy`)."""
    until = time.monotonic() + patience
    with (place.directory / f"{what}.lock").open("w") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= until:
                    raise Failed(
                        "mirror-busy", "another push is under way", "gitledger mirror status   (tells how far it is)"
                    ) from None
                time.sleep(0.1)
        yield


# A clone


def _add_remote(place: Place, name: str, address: str, tags: bool) -> None:
    if not tags:
        raise Usage("mirror-tags", "a clone takes no tags from anywhere", f"gitledger mirror add {name} URL")
    if place.store.git("config", "--get-regexp", rf"^remote\.{re.escape(name)}\.", check=False).stdout:
        raise Usage("mirror-exists", f"there is a remote {name} already", "git remote -v   (names them)")
    url = (f"remote.{name}.url", address)
    layout.configure(place.store.git_dir, (url, *layout.clone_config(place.name, name)))


def _remove_remote(place: Place, name: str) -> None:
    if name == consumer.ORIGIN:
        raise Usage("mirror-origin", "origin is the host, which has the queue", "git remote set-url origin URL")
    if name not in consumer.sources(place):
        raise Usage("no-such-mirror", f"there is no mirror {name[:80]}", "gitledger mirror status   (names them)")
    store = place.store
    store.git("config", "--local", "--remove-section", f"remote.{name}")
    store.update([(ref, None, oid) for ref, oid in store.refs(f"{INCOMING}{name}/").items()])
