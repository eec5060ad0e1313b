"""The doctor finds what is broken in a real repository, and what it says mends it, typed as it stands there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import forge
import pytest
from mirror import Mirror
from world import World

from gitledger.errors import Fork
from gitledger.roles import consumer, doctor, mirrors
from gitledger.roles.doctor import Report
from gitledger.roles.journal import Journal
from gitledger.roles.machine import Finding, clock
from gitledger.roles.memory import Memory
from gitledger.roles.notes import DERIVED

pytestmark = pytest.mark.long

OLD = 3600


@pytest.fixture
def host(world: World) -> Path:
    """A host with two snapshots, of which its witness is you."""
    world.propose(world.alice, {"domains/alice/a": "a\n"})
    world.emit()
    return world.host


@pytest.fixture
def clone(world: World, host: Path) -> Path:
    """Alice's clone, which she proposes and signs in."""
    path = world.alice.home / "doctored"
    with world.acting(world.alice):
        consumer.clone(str(host), path, world.anchor, domain="alice", now=world.now)
    world.alice.git(path, "config", "user.signingkey", f"{world.alice.key}.pub")
    return path


def examine(world: World, path: Path, **how: object) -> Report:
    person = world.you if path == world.host else world.alice
    with world.acting(person):
        return doctor.examine(path, **{"now": world.now, **how})  # type: ignore[arg-type]


def wrongs(report: Report) -> list[Finding]:
    """What is wrong, but for the room on the disk of whoever runs the tests."""
    return [one for one in report.findings if one.severity == "wrong" and one.area != "disk"]


def notes(report: Report) -> list[Finding]:
    return [one for one in report.findings if one.severity == "note" and one.area != "disk"]


def type_it(world: World, path: Path, mend: str) -> None:
    """Type the lines of a mend, without the remarks at their ends, in the repository."""
    person = world.you if path == world.host else world.alice
    bin_ = world.path / "bin"
    bin_.mkdir(exist_ok=True)
    (bin_ / "gitledger").write_text(f'#!/bin/sh\nexec "{sys.executable}" -P -m gitledger "$@"\n')
    (bin_ / "sudo").write_text('#!/bin/sh\nexec "$@"\n')
    for program in bin_.iterdir():
        program.chmod(0o755)
    for line in mend.splitlines():
        command = line.partition("   (")[0]
        done = person.run(path, "sh", "-c", command, check=False, PATH=f"{bin_}:{os.environ['PATH']}")
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"


def heals(world: World, path: Path, area: str, said: str, **how: object) -> Finding:
    """Something is wrong, and typing what is said mends it; what it was."""
    found = wrongs(examine(world, path, **how))
    assert [one.area for one in found if area == one.area and said in one.sentence], found
    for mend in dict.fromkeys(one.mend for one in found):
        assert mend, found
        type_it(world, path, mend)
    assert wrongs(examine(world, path, **how)) == []
    return next(one for one in found if area == one.area and said in one.sentence)


def test_in_a_sound_host_and_a_sound_clone_nothing_is_wrong(world: World, host: Path, clone: Path) -> None:
    for path, role in ((host, "host"), (clone, "clone")):
        for full in (False, True):
            report = examine(world, path, full=full)
            assert report.role == role and report.wrong == 0
            assert wrongs(report) == [] and all(len(one.sentence) < 120 for one in report.findings)


def test_nothing_is_written(world: World, host: Path, clone: Path) -> None:
    def all_of(path: Path) -> dict[str, tuple[int, int]]:
        every = (Path(above, name) for above, _, files in os.walk(path) for name in files)
        return {str(one): (one.lstat().st_mtime_ns, one.lstat().st_size) for one in every}

    for path in (host, clone):
        before = all_of(world.path)
        examine(world, path, full=True)
        assert all_of(world.path) == before


def test_outside_of_any_repository_the_machine_is_looked_at(world: World, tmp_path: Path) -> None:
    report = examine(world, tmp_path)
    assert (report.directory, report.role) == (None, "")
    assert {one.area for one in report.findings} >= {"git", "python", "openssh", "libgit2", "clock", "disk", "key"}


def test_in_a_repository_without_a_ledger_it_says_so(world: World, tmp_path: Path) -> None:
    world.alice.git(tmp_path, "init", "-q", "plain")
    (said,) = (one for one in examine(world, tmp_path / "plain").findings if one.area == "ledger")
    assert said.severity == "note" and "no ledger" in said.sentence


# The machine


@pytest.mark.parametrize(
    ("name", "prints"),
    [("git", "git version 2.30.2"), ("ssh", "OpenSSH_7.9p1 Debian-10, OpenSSL 1.1.1")],
)
def test_a_program_that_is_too_old_is_named(
    world: World, tmp_path: Path, name: str, prints: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    area = "openssh" if name == "ssh" else name
    (tmp_path / "old").mkdir()
    program = tmp_path / "old" / name
    program.write_text(f"#!/bin/sh\necho '{prints}' >&2\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    (said,) = (one for one in examine(world, tmp_path, sign=False).findings if one.area == area)
    assert said.severity == "wrong" and "older than" in said.sentence and said.mend


def test_programs_that_are_not_there_are_named(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "none").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "none"))
    said = {one.area: one for one in wrongs(examine(world, tmp_path)) if one.area in ("git", "openssh")}
    assert set(said) == {"git", "openssh"} and all("apt install" in one.mend for one in said.values())


def test_in_a_repository_without_git_only_the_machine_is_looked_at(
    world: World, host: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (world.path / "none").mkdir()
    monkeypatch.setenv("PATH", str(world.path / "none"))
    report = examine(world, host)
    assert report.directory == host and {one.area for one in report.findings} == {
        *("git", "python", "libgit2", "openssh", "clock", "disk")
    }


@pytest.mark.parametrize(
    ("now", "severity"),
    [(0, "fine"), (-60, "fine"), (-3600, "note"), (-86_401, "wrong"), (86_400 * 3650, "fine")],
)
def test_a_clock_behind_the_newest_snapshot_is_named(now: int, severity: str) -> None:
    newest = "common@7", 1_795_170_000
    (said,) = clock(newest[1] + now, newest)
    assert said.severity == severity and (severity == "fine" or "common@7" in said.sentence)


def test_a_clock_without_a_battery_is_named(world: World, clone: Path) -> None:
    (said,) = (one for one in wrongs(examine(world, clone, now=1_000_000)) if one.area == "clock")
    assert "1970" in said.sentence and "date" in said.mend


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """A small file system of its own, and how it is made larger or smaller."""
    path = tmp_path / "small"
    path.mkdir()

    def mounted(options: str) -> Path:
        how = f"remount,{options}" if path.is_mount() else options
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", how, "none", str(path)], capture_output=True, check=False)
        if done.returncode:
            pytest.skip("needs to mount a tmpfs")
        return path

    yield mounted
    if path.is_mount():
        subprocess.run(["umount", "-l", str(path)], check=True)


def test_a_disk_that_is_nearly_full_is_named(world: World, clone: Path, small: Callable[[str], Path]) -> None:
    place = Path(shutil.move(clone, small("size=64m"))).resolve()

    def said() -> Finding:
        return next(one for one in examine(world, place).findings if one.area == "disk")

    assert said().severity == "wrong" and str(place) in said().mend
    small("size=500m")
    assert said().severity == "note"
    small("size=4g")
    assert said().severity == "fine"
    small("nr_inodes=900")
    assert said().severity == "wrong" and "files" in said().sentence


# The key


def test_whose_key_it_is_and_that_it_signs_is_said(world: World, clone: Path) -> None:
    (said,) = (one for one in examine(world, clone).findings if one.area == "key")
    assert said.severity == "fine" and world.alice.key_id in said.sentence and "of alice" in said.sentence


def test_a_key_that_others_can_read_is_wrong(world: World, clone: Path) -> None:
    world.alice.key.chmod(0o644)
    heals(world, clone, "key", "can be read by others")


def test_a_named_key_that_is_not_there_is_wrong_and_without_one_a_reader_needs_none(world: World, clone: Path) -> None:
    (said,) = wrongs(examine(world, clone, key=str(world.path / "nowhere")))
    assert "no key file" in said.sentence
    world.alice.git(clone, "config", "--unset", "user.signingkey")
    assert [one.area for one in notes(examine(world, clone))] == ["key"]
    world.alice.git(clone, "config", "--unset-all", "remote.origin.push")
    assert notes(examine(world, clone)) == wrongs(examine(world, clone)) == []


def test_a_key_whose_agent_has_gone_is_found_by_a_trial_and_not_without_one(world: World, clone: Path) -> None:
    public = world.path / "elsewhere.pub"
    public.write_text(world.alice.pub + "\n")
    world.alice.git(clone, "config", "user.signingkey", str(public))
    (said,) = wrongs(examine(world, clone))
    assert said.area == "key" and "ssh-add" in said.mend
    assert wrongs(examine(world, clone, sign=False)) == []


def test_settings_without_which_a_push_proposes_nothing_are_noted(world: World, clone: Path) -> None:
    world.alice.git(clone, "config", "commit.gpgsign", "false")
    (said,) = notes(examine(world, clone))
    assert "commit.gpgsign" in said.sentence
    type_it(world, clone, said.mend)
    assert notes(examine(world, clone)) == []


# The repository


@pytest.mark.parametrize("path", ["config", "hooks", "hooks/pre-receive", "gitledger/ledger.json", ""])
def test_what_everybody_may_change_is_wrong(world: World, host: Path, path: str) -> None:
    (host / path).chmod((host / path).stat().st_mode | 0o002)
    heals(world, host, "owner", "by everybody")


def test_what_a_group_may_change_is_wrong_unless_the_repository_is_shared(world: World, host: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("needs to give a file to another group")
    os.chown(host / "config", -1, 1)
    (host / "config").chmod(0o664)
    heals(world, host, "owner", "by the group")


def test_a_shared_repository_that_its_group_can_not_write_is_mended(world: World, host: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("needs to give a repository to a group")
    world.you.git(host, "config", "core.sharedRepository", "group")
    os.chown(host, -1, 1)
    (said,) = (one for one in wrongs(examine(world, host)) if one.area == "owner")
    assert "which shares the repository" in said.sentence
    type_it(world, host, said.mend.replace("sudo ", ""))
    assert wrongs(examine(world, host)) == [] and len(notes(examine(world, host))) == 1
    (host / "gitledger" / "ledger.json").chmod(0o644)
    assert "ledger.json can't be changed" in wrongs(examine(world, host))[0].sentence


def test_in_a_shared_repository_too_nothing_may_be_changed_by_everybody(world: World, host: Path) -> None:
    world.you.git(host, "config", "core.sharedRepository", "group")
    subprocess.run(["chmod", "-R", "g+rwX", str(host)], check=True)
    subprocess.run(["find", str(host), "-type", "d", "-exec", "chmod", "g+s", "{}", "+"], check=True)
    for path in ("hooks/pre-receive", "gitledger/ledger.json"):
        (host / path).chmod(0o777)
    found = [one for one in examine(world, host).findings if one.area == "owner"]
    assert [one.severity for one in found] == ["note", "wrong", "wrong"]
    heals(world, host, "owner", "by everybody")


def test_files_of_somebody_else_in_a_repository_are_wrong(world: World, host: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("needs to give a file to another user")
    os.chown(host / "refs" / "heads", 65534, -1)
    heals(world, host, "owner", "refs/heads is not root's")


def test_a_repository_of_somebody_else_is_told_with_git_s_own_mend(world: World, clone: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("needs to give a repository to another user")
    subprocess.run(["chown", "-R", "65534", str(clone)], check=True)
    heals(world, clone, "owner", "for nobody else")


@pytest.mark.parametrize(
    "broken",
    ["rm hooks/pre-receive", "chmod -x hooks/post-receive", "echo '# mine' >>hooks/reference-transaction"],
)
def test_hooks_of_a_host_that_would_not_run_are_wrong(world: World, host: Path, broken: str) -> None:
    world.you.run(host, "sh", "-c", broken)
    heals(world, host, "setup", "hooks/")


@pytest.mark.parametrize(
    "setting", ["core.fsync none", "receive.denyDeletes false", "transfer.fsckObjects false", "receive.maxInputSize 5"]
)
def test_settings_of_a_host_that_are_others_are_wrong(world: World, host: Path, setting: str) -> None:
    world.you.git(host, "config", *setting.split())
    heals(world, host, "setup", setting.partition(" ")[0].lower())


def test_a_host_that_was_moved_is_mended(world: World, host: Path) -> None:
    moved = Path(shutil.move(host, host.with_name("moved.git")))
    with world.acting(world.you):
        said = wrongs(doctor.examine(moved, now=world.now))
    assert said and {one.area for one in said} == {"setup"}
    type_it(world, moved, said[0].mend)
    assert wrongs(examine(world, moved)) == []


@pytest.mark.parametrize(
    ("broken", "area", "said"),
    [
        (": >HEAD", "setup", "HEAD is missing or damaged"),
        ("rm HEAD", "setup", "HEAD is missing or damaged"),
        ("echo garbage >HEAD", "setup", "HEAD is missing or damaged"),
        ("rm config", "setup", "config is lost"),
        (": >config", "setup", "config is lost"),
        ("echo '[[[' >>config", "setup", "config is damaged"),
        ("git config core.bare false", "setup", "core.bare"),
        ("git pack-refs --all; echo garbage >>packed-refs", "refs", "packed-refs is damaged"),
        ("git pack-refs --all; printf 'abc' >>packed-refs", "refs", "packed-refs is damaged"),
        ("git rev-parse common@1 >shallow", "ledger", "shallow"),
        ("rm -r gitledger", "setup", "gitledger is gone"),
        ("rm -r gitledger; touch gitledger", "setup", "gitledger is no directory"),
        ("git config receive.procReceiveRefs refs/proposals", "setup", "procreceiverefs"),
        ("echo >hooks/pre-receive; echo '# mine' >hooks/post-receive", "setup", "hooks/pre-receive"),
        ("rm hooks/post-receive; ln -s /nonexistent hooks/post-receive", "setup", "hooks/post-receive is no file"),
        ("rm hooks/post-receive; mkdir hooks/post-receive", "setup", "hooks/post-receive is no file"),
    ],
)
def test_what_keeps_git_from_a_host_is_mended(world: World, host: Path, broken: str, area: str, said: str) -> None:
    world.you.run(host, "sh", "-c", broken)
    heals(world, host, area, said)
    assert world.you.run(host, sys.executable, "-P", "-m", "gitledger", "hooks", "check", ".").returncode == 0


@pytest.mark.parametrize(
    "broken", ["rm refs/heads/common", "printf '%040d\\n' 0 >refs/heads/common", ": >refs/heads/common"]
)
def test_a_branch_that_is_lost_on_a_host_comes_back_from_the_newest_tag(world: World, host: Path, broken: str) -> None:
    tip = world.tip
    world.you.run(host, "sh", "-c", broken)
    forge.set_ref(host, "refs/tags/common@7", tip)  # whose number is another is none to go by
    with world.acting(world.you):
        (said,) = (one for one in wrongs(doctor.examine(host, now=world.now)) if one.area == "ledger")
    assert "common@1" in said.sentence
    forge.set_ref(host, "refs/tags/common@7", None)
    heals(world, host, "ledger", "is lost")
    assert world.tip == tip


def test_a_branch_and_tags_that_are_lost_come_from_a_clone(world: World, host: Path, clone: Path) -> None:
    tip = world.tip
    for ref in list(world.refs()):
        forge.set_ref(host, ref, None)
    (said,) = (one for one in wrongs(examine(world, host)) if one.area == "ledger")
    type_it(world, host, said.mend.replace("CLONE", str(clone)))
    assert world.tip == tip and wrongs(examine(world, host, full=True)) == []


def test_a_branch_that_went_back_is_put_forward_and_nothing_is_deleted(world: World, host: Path) -> None:
    tip, refs = world.tip, world.refs()
    forge.set_ref(host, "refs/heads/common", world.oid(0))
    for one in wrongs(examine(world, host)):
        assert "-d" not in one.mend
    heals(world, host, "ledger", "went back to common@0")
    assert (world.tip, world.refs()) == (tip, refs)


def test_hooks_of_others_that_git_runs_with_pushes_are_noted(world: World, host: Path) -> None:
    (host / "hooks" / "update").write_text("#!/bin/sh\nexit 1\n")
    assert notes(examine(world, host)) == []
    (host / "hooks" / "update").chmod(0o755)
    (said,) = notes(examine(world, host))
    assert "hooks/update" in said.sentence
    type_it(world, host, said.mend)
    assert notes(examine(world, host)) == []


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ("echo zz >.git/index", "index is damaged"),
        (": >.git/HEAD", "HEAD is missing or damaged"),
        ("git symbolic-ref HEAD refs/heads/nothing", "has no commit"),
        ("git rev-parse HEAD >.git/shallow", "shallow"),
    ],
)
def test_what_keeps_git_from_a_clone_is_mended(world: World, clone: Path, broken: str, said: str) -> None:
    world.alice.run(clone, "sh", "-c", broken)
    found = wrongs(examine(world, clone))
    heals(world, clone, found[0].area, said)
    assert world.alice.output(clone, "status", "--porcelain") == ""


def test_a_key_that_is_set_up_and_is_not_there_is_noted(world: World, clone: Path) -> None:
    world.alice.git(clone, "config", "--unset-all", "remote.origin.push")
    world.alice.git(clone, "config", "user.signingkey", "/nonexistent.pub")
    (said,) = notes(examine(world, clone))
    assert said.area == "key" and "/nonexistent.pub" in said.sentence


def test_the_guard_and_the_settings_of_a_clone_are_mended_without_the_host(
    world: World, host: Path, clone: Path
) -> None:
    shutil.rmtree(host)
    (clone / ".git" / "hooks" / "reference-transaction").unlink()
    world.alice.git(clone, "config", "--unset-all", "remote.origin.fetch")
    heals(world, clone, "setup", "reference-transaction is missing")


def run_by(host: Path, python: Path, more: str = "") -> None:
    """Have the hooks of the host run another Python."""
    for hook in ("pre-receive", "post-receive"):
        path = host / "hooks" / hook
        path.write_text(path.read_text().replace(f"python={sys.executable}", f"python={python}") + more)


@pytest.mark.parametrize("more", ["", "# mine\n"])
def test_a_program_that_hooks_name_is_told_and_never_run(world: World, host: Path, more: str) -> None:
    other, trace = world.path / "other-python", world.path / "it-was-run"
    other.write_text(f"#!/bin/sh\ntouch {trace}\n")
    other.chmod(0o755)
    run_by(host, other, more)
    (said,) = (one for one in examine(world, host).findings if one.area == "setup" and "hooks/post" not in one.sentence)
    assert (said.severity, str(other) in said.sentence) == (("wrong", False) if more else ("note", True))
    assert not trace.exists()
    type_it(world, host, said.mend)
    assert [one.severity for one in examine(world, host).findings if one.area == "setup"] == ["fine"]


def test_a_python_that_starts_hooks_without_gitledger_is_wrong(
    world: World, host: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = world.path / "other-python"
    other.write_text("#!/bin/sh\nexit 1\n")
    other.chmod(0o755)
    run_by(host, other)
    monkeypatch.setattr(sys, "executable", str(other))
    (said,) = wrongs(examine(world, host))
    assert said.area == "setup" and "no gitledger" in said.sentence


@pytest.mark.parametrize("lock", ["packed-refs.lock", "HEAD.lock", "config.lock", "refs/heads/common.lock"])
def test_locks_that_a_killed_git_left_are_wrong_and_new_ones_are_not(world: World, host: Path, lock: str) -> None:
    (host / lock).touch()
    assert wrongs(examine(world, host)) == []
    os.utime(host / lock, (time.time() - OLD, time.time() - OLD))
    heals(world, host, "locks", lock)


def test_many_loose_refs_are_noted(world: World, host: Path) -> None:
    places = host / "refs" / "refusals"
    places.mkdir(exist_ok=True)
    for number in range(1001):
        (places / f"{number:040x}").write_text(f"{world.tip}\n")
    (said,) = (one for one in notes(examine(world, host)) if one.area == "refs")
    type_it(world, host, said.mend)
    assert not [one for one in notes(examine(world, host)) if one.area == "refs"]


# The ledger


def _break(path: Path) -> None:
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:7])


def _loose(git_dir: Path, oid: str) -> Path:
    """The file of an object, unpacked where it was in a pack."""
    packs = git_dir / "objects" / "pack"
    away = git_dir.parent / f"{git_dir.name}-packs"
    if any(packs.glob("*.pack")):
        packs.rename(away)
        packs.mkdir()
        for pack in away.glob("*.pack"):
            with pack.open("rb") as given:
                command = ["git", f"--git-dir={git_dir}", "unpack-objects", "-q"]
                subprocess.run(command, stdin=given, check=True)
    return git_dir / "objects" / oid[:2] / oid[2:]


@pytest.mark.parametrize("how", ["gone", "cut short"])
def test_an_object_that_is_gone_or_cut_short_is_mended(world: World, clone: Path, how: str) -> None:
    path = _loose(clone / ".git", world.oid("common^{tree}"))
    _break(path) if how == "cut short" else path.unlink()
    heals(world, clone, "objects", "git fsck")


def _damaged_pack(world: World, path: Path, git_dir: Path) -> None:
    """All that is there in one pack, of which some bytes in the middle are others."""
    world.alice.git(path, "gc", "-q", "--prune=now")
    (pack,) = (git_dir / "objects" / "pack").glob("*.pack")
    pack.chmod(0o644)
    content = bytearray(pack.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 8] = b"damaged!"
    pack.write_bytes(content)


def test_a_damaged_pack_of_a_clone_is_set_aside_and_what_was_in_it_comes_anew(world: World, clone: Path) -> None:
    _damaged_pack(world, clone, clone / ".git")
    for mend in [one.mend for one in wrongs(examine(world, clone, full=True)) if one.area == "objects"]:
        assert "mv " in mend
        type_it(world, clone, mend)
    assert wrongs(examine(world, clone, full=True)) == []


def test_a_damaged_pack_of_a_host_is_set_aside_and_what_was_in_it_comes_from_a_clone(
    world: World, host: Path, clone: Path
) -> None:
    _damaged_pack(world, host, host)
    (said,) = (one for one in wrongs(examine(world, host, full=True)) if one.area == "objects")
    assert "mv " in said.mend
    type_it(world, host, said.mend.replace("CLONE", str(clone)))
    assert wrongs(examine(world, host, full=True)) == []


def test_a_file_that_is_cut_short_is_found_in_verifying(world: World, clone: Path) -> None:
    _break(_loose(clone / ".git", world.oid("common:ledger/policy.yaml")))
    heals(world, clone, "ledger", "is damaged")


def test_a_file_of_long_ago_that_is_cut_short_is_found_where_all_is_looked_at(world: World, clone: Path) -> None:
    old = world.oid("common:domains/alice/a")
    for number in (2, 3):
        world.propose(world.alice, {"domains/alice/a": f"{number}\n"})
        world.emit()
    with world.acting(world.alice):
        consumer.fetch(world.place(clone), now=world.now)
    _break(_loose(clone / ".git", old))
    assert wrongs(examine(world, clone)) == []
    heals(world, clone, "objects", "git fsck", full=True)


def test_a_host_gets_an_object_back_from_a_clone(world: World, host: Path, clone: Path) -> None:
    path = _loose(host, world.oid("common^{tree}"))
    _break(path)
    (said,) = (one for one in wrongs(examine(world, host)) if one.area == "objects")
    type_it(world, host, said.mend.replace("CLONE", str(clone)))
    assert wrongs(examine(world, host)) == []


def test_a_tag_that_is_gone_is_made_again(world: World, host: Path, clone: Path) -> None:
    for path, git_dir in ((host, host), (clone, clone / ".git")):
        world.alice.git(git_dir, "-c", "core.hooksPath=/dev/null", "tag", "-d", "common@1")
        heals(world, path, "ledger", "refs/tags/common@1")


def test_a_tag_that_names_another_commit_is_set_right(world: World, host: Path, clone: Path) -> None:
    for path, git_dir in ((host, host), (clone, clone / ".git")):
        past = "-c", "core.hooksPath=/dev/null"
        world.alice.git(git_dir, *past, "update-ref", "refs/tags/common@0", world.tip)
        heals(world, path, "ledger", "refs/tags/common@0")


def test_a_branch_or_a_tag_past_what_is_verified_is_set_right(world: World, clone: Path) -> None:
    past = "-c", "core.hooksPath=/dev/null"
    for ref in ("refs/heads/common", "refs/tags/common@9"):
        world.alice.git(clone, *past, "update-ref", ref, world.oid(0))
        heals(world, clone, "ledger", "verified here")


def test_a_host_that_lost_a_snapshot_is_told_what_its_witness_published(world: World, host: Path, clone: Path) -> None:
    past = "-c", "core.hooksPath=/dev/null"
    world.you.git(host, *past, "update-ref", "-d", "refs/tags/common@1")
    world.you.git(host, *past, "update-ref", "refs/heads/common", world.oid(0))
    (said,) = (one for one in wrongs(examine(world, host)) if one.area == "journal")
    type_it(world, clone, said.mend)
    assert wrongs(examine(world, host)) == []


def test_a_note_of_what_is_verified_that_is_damaged_is_written_anew(world: World, clone: Path) -> None:
    (clone / ".git" / "gitledger" / "verified.json").write_text("{")
    heals(world, clone, "ledger", "verified.json")


@pytest.mark.parametrize("name", ["verified.json", "ledger.json"])
def test_what_can_not_be_read_of_a_place_is_told_with_a_mend(world: World, clone: Path, name: str) -> None:
    path = clone / ".git" / "gitledger" / name
    path.unlink()
    path.mkdir()
    said = [one for one in wrongs(examine(world, clone)) if one.area == "ledger"]
    assert [f"{path} can't be read: Is a directory" in one.sentence for one in said] == [True]
    assert said[0].mend.startswith(f"ls -ld {path}")


def test_a_place_that_forgot_what_it_is_can_be_made_again(world: World, host: Path) -> None:
    (host / "gitledger" / "ledger.json").write_text("[]")
    heals(world, host, "ledger", "ledger.json")


@pytest.mark.parametrize("name", [one.name for one in DERIVED])
def test_a_note_that_is_damaged_is_wrong(world: World, clone: Path, name: str) -> None:
    (clone / ".git" / "gitledger" / name).write_text('{"others": 1e999}')
    heals(world, clone, "notes", name)


@pytest.mark.parametrize("name", ["mirrors.json", "mirror-hub.json"])
def test_a_note_of_mirrors_that_is_damaged_is_wrong(world: World, host: Path, name: str) -> None:
    with world.acting(world.you):
        mirrors.add(world.place(host), "hub", "ssh://git@ledger.invalid/common.git")
    (host / "gitledger" / name).write_text("nonsense")
    heals(world, host, "notes", name)


def test_a_freeze_that_is_damaged_is_wrong_and_one_in_force_is_noted(world: World, host: Path) -> None:
    (host / "gitledger" / "frozen.json").write_text("nonsense")
    heals(world, host, "state", "frozen.json")
    end = world.now + 86_400
    said = {"since": world.now, "until": end, "witness_since": "common@0"}
    (host / "gitledger" / "frozen.json").write_text(json.dumps(said))
    (found,) = (one for one in notes(examine(world, host)) if one.area == "state")
    assert "frozen until" in found.sentence
    type_it(world, host, found.mend)
    assert notes(examine(world, host)) == []


def test_a_rotation_that_waits_is_noted(world: World, host: Path) -> None:
    world.rotate(world.james, [world.alice])
    (found,) = (one for one in notes(examine(world, host)) if one.area == "state")
    assert "to james waits, pending" in found.sentence


def test_a_journal_and_a_memory_that_are_damaged_are_wrong(world: World, host: Path) -> None:
    with world.acting(world.you):
        journal, memory = Journal.of(world.anchor).directory, Memory.of(world.anchor).directory
    for path in (journal / "emitted.json", memory / "endorsed.json"):
        kept = path.read_bytes() if path.exists() else None
        path.write_text("nonsense")
        (said,) = wrongs(examine(world, host))
        assert said.area == "journal" and str(path) in said.sentence and "backup" in said.mend
        path.unlink() if kept is None else path.write_bytes(kept)
        assert wrongs(examine(world, host)) == []


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ("echo $(git rev-parse HEAD) >.git/info/grafts", "grafts"),
        ("git replace HEAD^{tree} HEAD~1^{tree}", "replace refs"),
        ("git rev-parse HEAD >.git/shallow", "shallow"),
        (
            "git clone -q --bare . ../other.git && echo ../../../other.git/objects >.git/objects/info/alternates",
            "borrow",
        ),
    ],
)
def test_what_makes_the_answers_another_s_is_wrong(world: World, clone: Path, broken: str, said: str) -> None:
    world.alice.run(clone, "sh", "-c", f"mkdir -p .git/info .git/objects/info && {broken}")
    heals(world, clone, "ledger", said)


def test_a_note_of_forks_that_is_damaged_is_wrong(world: World, clone: Path) -> None:
    (clone / ".git" / "gitledger" / "forks.json").write_text("nonsense")
    (said,) = wrongs(examine(world, clone))
    assert said.area == "state" and "forks.json" in said.sentence
    type_it(world, clone, said.mend)
    assert wrongs(examine(world, clone)) == []


def test_a_fork_that_nobody_resolved_is_wrong(world: World, mirror: Mirror, tmp_path: Path) -> None:
    path, now = tmp_path / "forked", forge.START + 1000
    with world.acting(world.alice):
        place = consumer.clone(str(mirror.path), path, mirror.anchor, now=now)
        mirror.show(mirror.snapshot("domains/alice/other.txt", on=mirror.snapshots[2]))
        with pytest.raises(Fork):
            consumer.fetch(place, now=now)
        (said,) = wrongs(doctor.examine(path, now=now))
    assert said.area == "state" and said.sentence.startswith("FORK at common@3") and said.mend == "gitledger status"
