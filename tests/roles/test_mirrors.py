"""Mirrors: a host pushes its snapshots on without holding anybody up, and a clone lives by what is valid of several."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import forge
import pytest
from mirror import NOW, Mirror
from world import World, accepted

from gitledger.errors import Failed, Fork, LedgerError, Malformed, Refused, Unreachable, Usage
from gitledger.roles import consumer, due, mirrors
from gitledger.roles.place import Place

pytestmark = pytest.mark.long

THREE = '[ "$(grep -c refs/tags/)" -le 3 ] || { echo "no more than three tags in a push"; exit 1; }'


def bare(path: Path) -> Path:
    subprocess.run(["git", "init", "-q", "--bare", "--initial-branch=main", str(path)], check=True)
    return path


def hook(path: Path, text: str) -> None:
    file = path / "hooks" / "pre-receive"
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)


def publish(world: World, count: int = 1) -> None:
    """So many snapshots on the host, made as people do."""
    for _ in range(count):
        world.propose(world.alice, {f"domains/alice/{world.now}": "a\n"})
        world.emit()


def until(holds: Callable[[], bool], seconds: float = 30) -> None:
    """Wait for what happens in the background."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.05)


def ours(world: World) -> dict[str, str]:
    """What a mirror of the host is to have."""
    return {ref: oid for ref, oid in world.refs().items() if ref.startswith(("refs/heads/", "refs/tags/"))}


def known(host: Path, name: str = "backup") -> dict[str, object]:
    try:
        said = json.loads((host / "gitledger" / f"mirror-{name}.json").read_text())
    except FileNotFoundError:
        return {}
    assert isinstance(said, dict)
    return said


def in_background(host: Path, name: str = "backup") -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "gitledger.hook", "mirror", name], cwd=host, start_new_session=True
    )


@pytest.fixture
def backup(world: World) -> Path:
    """An empty repository that the host names as its mirror."""
    publish(world)
    path = bare(world.path / "backup.git")
    mirrors.add(world.place(), "backup", str(path))
    return path


@pytest.fixture
def long(tmp_path: Path) -> Mirror:
    """A line of 201 snapshots."""
    made = Mirror(tmp_path / "long.git")
    made.grow(200)
    return made


def hosted(made: Mirror) -> Place:
    """What the forge made, as a host."""
    from gitledger.roles import host

    return host.install(made.path)


# A host pushes


def test_a_mirror_gets_the_branch_and_the_tags_and_nothing_of_the_queue(world: World, backup: Path) -> None:
    world.propose(world.alice, {"domains/alice/waits": "a\n"})
    done = mirrors.push(world.place(), "backup")
    assert world.refs(backup) == ours(world)
    assert (done.lag, done.tags_lag, done.reached.number, done.reached.tags) == (0, 0, 1, 2)


def test_without_tags_it_gets_the_branch_alone(world: World) -> None:
    publish(world)
    path = bare(world.path / "backup.git")
    mirrors.add(world.place(), "backup", str(path), tags=False)
    done = mirrors.push(world.place(), "backup")
    assert world.refs(path) == {"refs/heads/common": world.tip}
    assert (done.lag, done.tags_lag) == (0, 0)


def test_what_else_a_mirror_has_is_left_alone(world: World, backup: Path) -> None:
    other = forge.commit(backup, forge.git(backup, "mktree").decode().strip(), [], "Other\n", None)
    for ref in ("refs/heads/main", "refs/tags/v1", "refs/pull/1/head"):
        forge.set_ref(backup, ref, other)
    mirrors.push(world.place(), "backup")
    assert world.refs(backup) == {
        **ours(world),
        **dict.fromkeys(("refs/heads/main", "refs/tags/v1", "refs/pull/1/head"), other),
    }


def test_what_is_pushed_to_a_host_is_pushed_on_in_the_background(world: World, backup: Path) -> None:
    publish(world)
    until(lambda: known(world.host).get("done") == world.tip)
    assert world.refs(backup) == ours(world)


@pytest.mark.long
def test_a_mirror_that_hangs_holds_up_nobody(world: World, backup: Path) -> None:
    pid = world.path / "pid"
    hook(backup, f"echo $$ >{pid}.new; mv {pid}.new {pid}; exec sleep 30")
    proposal = world.propose(world.alice, {"domains/alice/a": "a\n"}, push=False)
    begun = time.monotonic()
    accepted(world.push(world.alice, world.clone(world.alice), f"{proposal}:refs/proposals/alice/a"))
    world.emit()
    assert time.monotonic() - begun < 10
    until(pid.exists)
    assert "refs/heads/common" not in world.refs(backup)
    with pytest.raises(Failed, match="mirror-busy"):
        mirrors.push(world.place(), "backup")
    os.kill(int(pid.read_text()), signal.SIGKILL)
    until(lambda: known(world.host).get("tries") == 1)


@pytest.mark.long
def test_a_push_that_takes_too_long_ends_with_all_that_it_started(world: World, backup: Path, tmp_path: Path) -> None:
    hook(backup, f"echo $$ >{tmp_path}/pid; sleep 60")
    with pytest.raises(Unreachable, match=r"longer than 0\.5 seconds"):
        mirrors.push(world.place(), "backup", seconds=0.5)
    if (tmp_path / "pid").exists():
        until(lambda: not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists(), 5)
    assert "longer than" in str(known(world.host)["error"])


@pytest.mark.long
def test_a_mirror_that_takes_no_more_than_three_tags_in_a_push_gets_them_all(world: World, backup: Path) -> None:
    hook(backup, THREE)
    publish(world, 4)
    until(lambda: known(world.host).get("done") == world.tip)
    assert world.refs(backup) == ours(world) and len(ours(world)) == 7


def test_a_mirror_that_refuses_is_told_in_its_own_words_and_tried_again_after_growing_waits(
    world: World, backup: Path
) -> None:
    hook(backup, "echo quota exceeded; exit 1")
    waits = []
    for at in range(1, 14):
        with pytest.raises(Refused, match="refused-by-remote"):
            mirrors.push(world.place(), "backup", now=1000)
        said = known(world.host)
        assert said["tries"] == at and "quota exceeded" in str(said["error"])
        waits.append(int(str(said["next"])) - 1000)
    assert waits[:4] == [60, 120, 240, 480] and waits[-1] == due.LONGEST_WAIT
    hook(backup, "exit 0")
    standing = mirrors.push(world.place(), "backup")
    assert (standing.reached.error, standing.reached.tries, standing.reached.next, standing.lag) == ("", 0, 0, 0)


@pytest.mark.parametrize(("ahead", "names"), [(60, []), (86_000, []), (90_000, ["backup"]), (1e999, ["backup"])])
def test_a_clock_that_was_ahead_holds_up_a_mirror_no_longer_than_a_failure(
    world: World, backup: Path, ahead: float, names: list[str]
) -> None:
    after = "1e999" if ahead == 1e999 else int(time.time() + ahead)
    (world.host / "gitledger" / "mirror-backup.json").write_text(f'{{"next": {after}}}')
    assert due.mirrors(str(world.host)) == names


def test_a_tag_that_is_wrong_on_a_mirror_holds_up_no_branch(world: World, backup: Path) -> None:
    mirrors.push(world.place(), "backup")
    forge.set_ref(backup, "refs/tags/common@1", world.oid(0))
    with pytest.raises(Refused, match="mirror-differs") as caught:
        publish(world)
        mirrors.push(world.place(), "backup", patience=10)
    assert "git push" in caught.value.mend and "fetch" not in caught.value.mend
    assert int(str(known(world.host)["tags_next"])) > time.time()
    publish(world)
    until(lambda: world.refs(backup)["refs/heads/common"] == world.tip and known(world.host)["branch"] == world.tip)
    assert due.mirrors(str(world.host)) == []
    (standing,) = mirrors.standings(world.place())
    assert standing.lag == 0 and "common@1" in standing.reached.failed[0]
    forge.set_ref(backup, "refs/tags/common@1", None)
    mirrors.push(world.place(), "backup", patience=10)
    assert world.refs(backup) == ours(world) and known(world.host)["done"] == world.tip


def test_a_mirror_that_is_a_host_itself_makes_its_tags_and_all_is_there(world: World, backup: Path) -> None:
    from gitledger.roles import host

    mirrors.push(world.place(), "backup")
    with world.acting(world.you):
        host.install(backup)
    publish(world)
    until(lambda: known(world.host).get("done") == world.tip)
    assert world.refs(backup) == ours(world) and known(world.host)["tags_error"] == ""


@pytest.mark.parametrize(("shared", "mode"), [(False, 0o600), (True, 0o660)])
def test_who_may_read_the_addresses_of_mirrors_may_push_as_the_host(world: World, shared: bool, mode: int) -> None:
    from gitledger.roles import host

    if shared:
        world.host.chmod(0o2775)
    before = os.umask(0o022)
    try:
        host.check(world.host)
        (world.host / "gitledger" / "settled").unlink()
        host.install(world.host)
        mirrors.add(world.place(), "backup", "https://you:secret@example.org/common.git")
    finally:
        os.umask(before)
    assert (world.host / "gitledger" / "mirrors.json").stat().st_mode & 0o777 == mode
    for name in ("settled", "ledger.json"):
        assert (world.host / "gitledger" / name).stat().st_mode & 0o777 == (0o664 if shared else 0o644)


def test_a_mirror_that_is_down_waits_its_turn_and_gets_all_with_the_next_push_after_it(
    world: World, backup: Path
) -> None:
    away = backup.rename(backup.with_name("away"))
    with pytest.raises(Unreachable, match="backup does not answer"):
        mirrors.push(world.place(), "backup")
    assert due.mirrors(str(world.host)) == []
    away.rename(backup)
    state = world.host / "gitledger" / "mirror-backup.json"
    state.write_text(json.dumps({**known(world.host), "next": 1}))
    assert due.mirrors(str(world.host)) == ["backup"]
    world.propose(world.alice, {"domains/alice/waits": "a\n"})
    until(lambda: known(world.host).get("done") == world.tip)
    assert world.refs(backup) == ours(world)


def test_a_password_in_an_address_is_not_said(world: World) -> None:
    mirrors.add(world.place(), "backup", "https://you:secret@127.0.0.1:1/common.git")
    with pytest.raises(Unreachable) as caught:
        mirrors.push(world.place(), "backup")
    (standing,) = mirrors.standings(world.place())
    assert "secret" not in f"{caught.value}{caught.value.mend}{standing.reached.error}{standing.mirror.shown}"


def test_a_mirror_with_another_ledger_is_told_of_and_left_as_it_is(world: World, mirror: Mirror) -> None:
    publish(world)
    before = world.refs(mirror.path)
    mirrors.add(world.place(), "backup", str(mirror.path))
    with pytest.raises(Refused, match="mirror-differs"):
        mirrors.push(world.place(), "backup")
    assert world.refs(mirror.path) == before


def test_a_mirror_with_another_line_is_named_with_the_number_where_it_parts(mirror: Mirror, tmp_path: Path) -> None:
    other = tmp_path / "other.git"
    subprocess.run(["git", "clone", "-q", "--bare", str(mirror.path), str(other)], check=True)
    fork = mirror.snapshot("domains/alice/other.txt", on=mirror.snapshots[2])
    subprocess.run(["git", "push", "-q", str(other), f"+{fork}:refs/heads/common"], cwd=mirror.path, check=True)
    subprocess.run(["git", "push", "-q", str(other), f"{fork}:refs/tags/common@3"], cwd=mirror.path, check=True)
    before = forge.git(other, "for-each-ref")
    place = hosted(mirror)
    mirrors.add(place, "other", str(other))
    with pytest.raises(Refused, match=f"other has another common@3, {fork}: a fork, or a lie"):
        mirrors.push(place, "other")
    assert forge.git(other, "for-each-ref") == before


def test_a_mirror_that_has_more_than_the_host_is_not_set_back(mirror: Mirror, tmp_path: Path) -> None:
    more = tmp_path / "more.git"
    place = hosted(mirror)
    mirrors.add(place, "more", str(bare(more)))
    mirrors.push(place, "more")
    later = mirror.snapshot()
    subprocess.run(["git", "push", "-q", str(more), f"{later}:refs/heads/common"], cwd=mirror.path, check=True)
    with pytest.raises(Refused, match="mirror-differs"):
        mirrors.push(place, "more")
    assert forge.git(more, "rev-parse", "common").decode().strip() == later


def test_a_tag_that_was_moved_there_is_told_and_what_is_missing_comes_all_the_same(
    mirror: Mirror, tmp_path: Path
) -> None:
    moved = bare(tmp_path / "moved.git")
    place = hosted(mirror)
    mirrors.add(place, "moved", str(moved))
    mirrors.push(place, "moved")
    forge.set_ref(moved, "refs/tags/common@1", mirror.snapshots[2])
    forge.set_ref(moved, "refs/tags/common@2", None)
    with pytest.raises(Refused, match="has another common@1"):
        mirrors.push(place, "moved")
    refs = forge.git(moved, "for-each-ref", "--format=%(refname) %(objectname)").decode()
    assert f"common@2 {mirror.snapshots[2]}" in refs and f"common@1 {mirror.snapshots[2]}" in refs


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"mirrors": 1}',
        '{"mirrors": [1]}',
        '{"mirrors": [{}]}',
        pytest.param('{"x":' * 50_000, id="deep"),
    ],
)
def test_damaged_notes_hold_up_no_push(world: World, backup: Path, text: str) -> None:
    (world.host / "gitledger" / "mirrors.json").write_text(text)
    assert world.propose(world.alice, {"domains/alice/waits": "a\n"}).push is not None
    with pytest.raises(Failed, match="mirrors-unreadable"):
        mirrors.push(world.place(), "backup")
    mirrors_file = world.host / "gitledger" / "mirrors.json"
    mirrors_file.unlink()
    mirrors.add(world.place(), "backup", str(backup))
    (world.host / "gitledger" / "mirror-backup.json").write_text(text)
    assert mirrors.push(world.place(), "backup").lag == 0


@pytest.mark.long
def test_two_hundred_snapshots_go_to_an_empty_mirror_whatever_kills_the_push(long: Mirror, tmp_path: Path) -> None:
    place = hosted(long)
    path = bare(tmp_path / "backup.git")
    hook(path, THREE)
    mirrors.add(place, "backup", str(path))
    for tags in (4, 40):
        process = in_background(long.path)
        until(lambda tags=tags: int(str(known(long.path).get("tags", 0))) >= tags)  # type: ignore[misc]
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert due.mirrors(str(long.path)) == ["backup"]
    two = [in_background(long.path), in_background(long.path)]
    assert [each.wait(60) for each in two] == [0, 0]
    tags = {f"refs/tags/common@{number}": oid for number, oid in enumerate(long.snapshots)}
    listed = forge.git(path, "for-each-ref", "--format=%(refname) %(objectname)").decode().splitlines()
    assert dict(line.split(" ") for line in listed) == {**tags, "refs/heads/common": long.tip}
    assert due.mirrors(str(long.path)) == [] and known(long.path)["error"] == ""


def test_a_mirror_is_named_once_by_a_name_that_can_be_one_and_is_not_the_host_itself(
    world: World, backup: Path
) -> None:
    place = world.place()
    for name, url, rule in (
        ("backup", "elsewhere", "mirror-exists"),
        ("BACKUP", "elsewhere", "mirror-exists"),
        ("../x", "elsewhere", "remote-name"),
        ("x", "", "mirror-url"),
        ("x", "a\nb", "mirror-url"),
        ("x", str(world.host), "mirror-itself"),
    ):
        with pytest.raises(Usage, match=rule):
            mirrors.add(place, name, url)
    mirrors.push(place, "backup")
    mirrors.remove(place, "backup")
    assert mirrors.standings(place) == () and world.refs(backup) == ours(world)
    with pytest.raises(Usage, match="no-such-mirror"):
        mirrors.push(place, "backup")


# A clone takes from several


@pytest.fixture
def place(mirror: Mirror, tmp_path: Path) -> Place:
    """A clone of the mirror, up to common@3."""
    return consumer.clone(str(mirror.path), tmp_path / "clone", mirror.anchor, now=NOW)


def named(place: Place, mirror: Mirror, tmp_path: Path, name: str) -> Path:
    """A copy of the mirror as it is now, which the clone fetches from, too."""
    path = tmp_path / f"{name}.git"
    subprocess.run(["git", "clone", "-q", "--bare", str(mirror.path), str(path)], check=True)
    mirrors.add(place, name, str(path))
    return path


def show(mirror: Mirror, path: Path, oid: str) -> None:
    subprocess.run(["git", "push", "-q", str(path), f"+{oid}:refs/heads/common"], cwd=mirror.path, check=True)


def fetch_all(place: Place) -> consumer.Round:
    return consumer.fetch_all(Place.of(place.store), now=NOW)


def standings(done: consumer.Round) -> dict[str, str]:
    return {one.remote: one.standing for one in done.answers}


def test_a_clone_goes_on_with_the_good_one_and_names_every_other(place: Place, mirror: Mirror, tmp_path: Path) -> None:
    named(place, mirror, tmp_path, "lags")
    down = named(place, mirror, tmp_path, "down")
    lies = named(place, mirror, tmp_path, "lies")
    other = Mirror(tmp_path / "other.git", name="common", seconds=forge.START - 5)
    mirrors.add(place, "other", str(other.path))
    mirror.grow(2)
    down.rename(tmp_path / "away")
    show(mirror, lies, mirror.proposal({"domains/alice/x": b"x"}))
    done = fetch_all(place)
    assert standings(done) == {
        "origin": "good",
        "down": "unreachable",
        "lags": "stale",
        "lies": "refused",
        "other": "refused",
    }
    assert (done.before, done.after) == (3, 5)
    assert [one.number for one in done.standing("stale")] == [3]
    done.must_be_good()
    with pytest.raises(LedgerError, match="lies"):
        done.must_all_answer()


def test_what_a_later_remote_has_shows_that_an_earlier_one_is_stale(
    place: Place, mirror: Mirror, tmp_path: Path
) -> None:
    ahead = named(place, mirror, tmp_path, "ahead")
    show(mirror, ahead, mirror.snapshot())
    done = fetch_all(place)
    assert standings(done) == {"origin": "stale", "ahead": "good"} and done.after == 4


def test_a_fork_at_one_is_raised_whoever_is_good(place: Place, mirror: Mirror, tmp_path: Path) -> None:
    forked = named(place, mirror, tmp_path, "forked")
    show(mirror, forked, mirror.snapshot("domains/alice/other.txt", on=mirror.snapshots[2]))
    mirror.grow()
    done = fetch_all(place)
    assert standings(done) == {"origin": "good", "forked": "forked"} and done.after == 4
    for judged in (done.must_be_good, done.must_all_answer):
        with pytest.raises(Fork, match="common@3"):
            judged()


def test_where_none_is_good_it_says_so(place: Place, mirror: Mirror, tmp_path: Path) -> None:
    lags = named(place, mirror, tmp_path, "lags")
    mirror.grow()
    fetch_all(place)
    away = mirror.path.rename(tmp_path / "away")
    with pytest.raises(Unreachable, match="1 stale, 1 unreachable"):
        fetch_all(place).must_be_good()
    away.rename(mirror.path)
    show(mirror, lags, mirror.proposal({"domains/alice/x": b"x"}))
    mirror.path.rename(away)
    with pytest.raises(Malformed, match="not-a-snapshot"):
        fetch_all(place).must_be_good()


def test_the_queue_comes_from_the_host_alone(place: Place, mirror: Mirror, tmp_path: Path) -> None:
    path = named(place, mirror, tmp_path, "copy")
    ours, theirs = (mirror.proposal({"domains/alice/x": text}) for text in (b"x", b"y"))
    mirror.set("refs/proposals/alice/x", ours)
    subprocess.run(["git", "push", "-q", str(path), f"{theirs}:refs/proposals/alice/y"], cwd=mirror.path, check=True)
    fetch_all(place)
    assert place.queue_refs() == {"refs/proposals/alice/x": ours}
    assert place.queue_refs("copy") == {}


def test_stock_git_moves_nothing_from_a_mirror_either(place: Place, mirror: Mirror, tmp_path: Path) -> None:
    path = named(place, mirror, tmp_path, "copy")
    show(mirror, path, mirror.snapshot())
    before = {ref: oid for ref, oid in place.store.refs().items() if ref.startswith(("refs/heads/", "refs/tags/"))}
    for command in (("fetch", "copy"), ("fetch", "--all"), ("fetch", "--tags", "copy"), ("remote", "update")):
        place.store.git(*command, check=False)
        after = {ref: oid for ref, oid in place.store.refs().items() if ref.startswith(("refs/heads/", "refs/tags/"))}
        assert after == before


def test_a_mirror_of_a_clone_goes_without_a_trace_and_origin_stays(
    place: Place, mirror: Mirror, tmp_path: Path
) -> None:
    before = (place.store.git_dir / "config").read_text()
    named(place, mirror, tmp_path, "copy")
    assert consumer.sources(place) == ("origin", "copy")
    fetch_all(place)
    mirrors.remove(place, "copy")
    assert (place.store.git_dir / "config").read_text() == before
    assert place.store.refs("refs/gitledger/incoming/copy/") == {}
    refusals: tuple[tuple[Callable[[], object], str], ...] = (
        (lambda: mirrors.remove(place, "origin"), "mirror-origin"),
        (lambda: mirrors.remove(place, "copy"), "no-such-mirror"),
        (lambda: mirrors.add(place, "origin", "x"), "mirror-exists"),
        (lambda: mirrors.add(place, "x", "x", tags=False), "mirror-tags"),
        (lambda: mirrors.push(place, "origin"), "not-a-host"),
    )
    for attempt, rule in refusals:
        with pytest.raises(LedgerError, match=rule):
            attempt()
