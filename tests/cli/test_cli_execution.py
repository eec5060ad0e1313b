"""`certify run`, `certify replay`, as they are typed: equal outputs alone get a receipt, and anybody repeats it."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import forge
import pytest
import servers
from forge import Entry
from typed import GITLEDGER, Clones, told, typed
from world import Done, World

pytestmark = pytest.mark.long

TAR = (
    "tar",
    "--sort=name",
    "--owner=0",
    "--group=0",
    "--numeric-owner",
    "-cf",
    "home.tar",
    "-C",
    "common@2",
    "domains",
)
HOME = "domains/alice/home"
FILES = {f"{HOME}/notes.txt": "Ropes\n", f"{HOME}/bin/hello": "#!/bin/sh\necho hello\n", f"{HOME}/ä b": "b\n"}


def has_an_executor(world: World) -> None:
    """Alice has a key that runs things, and some files; they stand in common@2."""
    runner = world.key("alice-2")
    entries = (
        Entry("laptop", world.alice.key),
        Entry("runner", runner, ("executor",), forge.proof(runner, world.anchor, "alice")),
    )
    world.propose(world.alice, {"domains/alice/domain.yaml": forge.manifest_file("alice", *entries)}, topic="runner")
    world.emit()
    world.propose(world.alice, FILES, topic="home")
    world.emit()


@pytest.fixture
def here(world: World, clone_of: Clones) -> Path:
    """Alice's clone, at common@2."""
    world.begin(has_an_executor)
    return clone_of(world.alice)


def ran(world: World, here: Path, *command: str, status: int = 0, given: tuple[str, ...] = (), **how: Any) -> Done:
    """`certify run` of `command`, by Alice's executor, from her files to the file `out`."""
    where = given if "--output" in given else ("--output", "out", *given)
    where = where if {"--to", "--into"} & set(where) else (*where, "--to", "made")
    where = where if "--input" in where else ("--input", f"common@2:{HOME}", *where)
    where = where if "--isolation" in where else (*where, "--isolation", "none")
    key = ("--key", str(world.key("alice-2")))
    return typed(world.alice, here, "certify", "run", *where, *key, "--", *command, status=status, **how)


def script(world: World, here: Path, text: str, **how: Any) -> Done:
    return ran(world, here, "sh", "-c", text, **how)


def unchanged(world: World, here: Path) -> None:
    """Nothing is staged, nothing was written."""
    assert world.alice.output(here, "status", "--porcelain", "--ignored") == ""


def statement(envelope: bytes) -> dict[str, Any]:
    said = json.loads(base64.b64decode(json.loads(envelope)["payload"]))
    assert isinstance(said, dict)
    return said


def staged(world: World, here: Path) -> list[str]:
    return world.alice.output(here, "-c", "core.quotePath=false", "diff", "--cached", "--name-only").splitlines()


def accepted(world: World, here: Path) -> bytes:
    """What is staged is proposed by the executor, released by the publisher, numbered and fetched; its receipt."""
    (path,) = [each for each in staged(world, here) if "/attestations/" in each]
    typed(world.alice, here, "propose", "-m", "Made", "--topic", "made", "--key", str(world.key("alice-2")))
    typed(world.alice, here, "release", "made")
    world.emit()
    typed(world.alice, here, "fetch")
    return world.read(path)


def test_what_came_out_twice_alike_gets_a_receipt(world: World, here: Path) -> None:
    said = script(world, here, f"cat common@2/{HOME}/notes.txt >out").stdout
    receipt, out = staged(world, here)
    assert out == "domains/alice/made/out"
    assert (here / out).read_text() == "Ropes\n"
    envelope = (here / receipt).read_bytes()
    name = hashlib.sha256(envelope).hexdigest()
    assert receipt == f"domains/alice/attestations/{name[:2]}/{name[2:]}.json"
    digest = hashlib.sha256(b"Ropes\n").hexdigest()
    assert name in said and digest in said and "Without isolation" in said and "gitledger propose" in said
    found = statement(envelope)
    assert found["subject"] == [{"digest": {"sha256": digest}, "name": "out"}]
    definition = found["predicate"]["buildDefinition"]
    assert definition["externalParameters"] == {
        "command": ["sh", "-c", f"cat common@2/{HOME}/notes.txt >out"],
        "inputs": [f"common@2:{HOME}"],
        "ledgers": {"common": world.anchor},
        "outputs": ["out"],
    }
    commit = forge.git(world.host, "cat-file", "commit", world.oid(2))
    assert definition["internalParameters"]["source_date_epoch"] == int(commit.split(b"committer")[1].split()[2])
    bound = {one["name"]: one["digest"]["sha256"] for one in definition["resolvedDependencies"]}
    assert bound == {"common@2": hashlib.sha256(commit).hexdigest()} | {
        f"common@2:{path}": hashlib.sha256(text.encode()).hexdigest() for path, text in FILES.items()
    }


def test_it_is_proposed_released_and_numbered_and_replayed_from_there(world: World, here: Path) -> None:
    said = json.loads(script(world, here, f"cat common@2/{HOME}/* 2>/dev/null >out; true", given=("--json",)).stdout)
    receipt = said["receipt"]
    envelope = accepted(world, here)
    assert world.snapshots()[-1] == "common@3" and f"sha256:{hashlib.sha256(envelope).hexdigest()}" == receipt
    path = said["staged"][0]
    kept = world.path / "receipt.json"
    kept.write_bytes(envelope)
    for named in (receipt, receipt.removeprefix("sha256:"), path, str(kept)):
        again = told(world.alice, here, "certify", "replay", named, "--isolation", "none")
        assert again["attestation"] == path and again["receipt"] == receipt
        assert again["isolation"] == {"then": "none", "here": "none"}
        assert [one["digest"] for one in again["outputs"]] == [one["digest"] for one in said["outputs"]]
    shown = typed(world.alice, here, "certify", "replay", receipt, "--isolation", "none").stdout
    assert "All outputs are equal" in shown and "it stands in common@3" in shown


def test_a_receipt_outlives_the_key_that_signed_it(world: World, here: Path) -> None:
    script(world, here, "echo a >out")
    accepted(world, here)
    manifest = forge.manifest_file("alice", Entry("laptop", world.alice.key))
    world.propose(world.alice, {"domains/alice/domain.yaml": manifest}, topic="lost")
    world.emit()
    typed(world.alice, here, "fetch")
    again = told(world.alice, here, "certify", "replay", attestation_of(world), "--isolation", "none")
    assert again["signers"] == [forge.key_id(world.key("alice-2"))] and again["attestation"]
    arguments = ("--input", "common@2", "--output", "out", "--to", "x", "--key", str(world.key("alice-2")))
    refused = typed(world.alice, here, "certify", "run", *arguments, "--", "touch", "out", status=1)
    assert "[not-an-executor]" in refused.stderr


def test_a_replay_that_makes_something_else_says_what(world: World, here: Path, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    script(world, here, f"mkdir out; echo a >out/a; cat {flag} >out/b 2>/dev/null || echo b >out/b")
    (receipt, *_) = staged(world, here)
    typed(world.alice, here, "certify", "replay", receipt, "--isolation", "none")
    flag.write_text("other\n")
    kept = world.path / "kept"
    arguments = ("certify", "replay", receipt, "--isolation", "none", "--into", str(kept))
    refused = typed(world.alice, here, *arguments, status=1)
    assert "[replay-differs]" in refused.stderr and "1 of 2 outputs" in refused.stderr
    then = hashlib.sha256(b"b\n").hexdigest()
    assert f"out/b: sha256:{then} then" in refused.stderr
    assert "out/a" not in refused.stderr
    assert (kept / "out" / "b").read_text() == "other\n"


def test_what_is_not_made_for_the_ledger_is_kept_beside_it(world: World, here: Path, tmp_path: Path) -> None:
    into, receipt = tmp_path / "into", tmp_path / "receipt.json"
    command = f"mkdir -p out/bin; cp common@2/{HOME}/bin/hello out/bin; chmod 755 out/bin/hello; echo a >out/a"
    script(world, here, command, given=("--into", str(into), "--receipt", str(receipt)))
    unchanged(world, here)
    assert (into / "out/bin/hello").stat().st_mode & 0o777 == 0o755
    assert (into / "out/a").stat().st_mode & 0o777 == 0o644
    assert [one["name"] for one in statement(receipt.read_bytes())["subject"]] == ["out/a", "out/bin/hello"]
    typed(world.alice, here, "certify", "add", str(receipt))
    assert len(staged(world, here)) == 1
    for again in (("--into", str(into)), ("--into", str(into / "other"), "--receipt", str(receipt))):
        refused = script(world, here, "echo x >out; false", given=again, status=2)
        assert "taken]" in refused.stderr


@pytest.mark.parametrize(
    ("text", "rule", "told_so"),
    [
        ("date +%N >out", "outputs-differ", "out: "),
        ("echo $$ >out", "outputs-differ", "the first to differ is byte"),
        ("head -c 100 /dev/urandom >out", "outputs-differ", "out: 100 bytes, the first to differ is byte"),
        ("pwd >out", "outputs-differ", "out: "),
        ("mkdir out; touch out/a out/$$", "outputs-differ", "made by the first run alone"),
        ("touch out; exit 1", "command-failed", "sh ended with status 1 and said nothing"),
        ("echo sorry; exit 7", "command-failed", "sh ended with status 7; it said last"),
        ("true", "output-missing", "the command made no out"),
        ("mkdir -p out/a", "output-missing", "the directory out has no file in it"),
        ("ln -s /etc/passwd out", "output-kind", "is a symbolic link"),
        ("mkdir out; echo a >out/a; ln -s a out/b", "output-kind", "is a symbolic link"),
        ("mkfifo out", "output-kind", "is no regular file"),
        ("mkdir out; echo a >out/a; mkfifo out/b", "output-kind", "is no regular file"),
        ("echo a >out; chmod 4755 out", "output-kind", "setuid"),
        ("mkdir out; echo a >out/aux.txt", "name-device", "aux"),
        ("mkdir out; echo a >out/$(printf '\\377')", "name-utf8", "b'out/\\xff' is not UTF-8"),
        ("mkdir out; echo a >out/x; echo b >out/X", "names-alike", "'out/X' and 'out/x'"),
        ("mkdir out; echo a >out/$(printf 'a\\nb')", "name-code-point", "U+000A"),
        ("mkdir -p out/.git; echo a >out/.git/config", "name-git", ".git"),
        ("truncate -s 1T out", "outputs-too-large", "1 outputs of 1,099,511,627,776 bytes"),
        ("mkdir out; for n in $(seq 1000); do echo $n >out/$n; done", "outputs-too-large", "1,000 outputs"),
    ],
)
def test_without_two_equal_sound_outputs_there_is_no_receipt(
    world: World, here: Path, text: str, rule: str, told_so: str
) -> None:
    refused = script(world, here, text, status=1)
    assert f"[{rule}]" in refused.stderr and told_so in refused.stderr
    assert refused.stdout == ""
    unchanged(world, here)


def test_the_order_of_a_directory_may_not_show(world: World, here: Path) -> None:
    """Names that are made in another order in either run: `ls -U` tells, `ls` does not."""
    made = "mkdir d; for n in $(seq 200 | shuf); do touch d/$n; done; "
    script(world, here, f"{made} ls d >out")
    world.alice.git(here, "reset", "-q", "--hard")
    made = "mkdir d; for n in $(seq 200 | shuf); do touch d/$n; done; "
    refused = script(world, here, f"{made} find d -printf '%f %i\\n' >out", status=1)
    assert "[outputs-differ]" in refused.stderr
    unchanged(world, here)


@pytest.mark.servers
def test_apart_it_comes_out_as_without_and_the_receipt_says_which(world: World, here: Path) -> None:
    done = subprocess.run(
        [servers.need("bwrap"), "--ro-bind", "/", "/", "--proc", "/proc", "--unshare-all", "--unshare-user", "true"],
        check=False,
    )
    text = f"cat common@2/{HOME}/notes.txt >out; cat {world.alice.key} >>out 2>/dev/null; sort -o out out"
    arguments = {"given": ("--isolation", "required", "--json")}
    if done.returncode:
        assert "[no-isolation]" in script(world, here, text, status=1, **arguments).stderr
        return
    said = json.loads(script(world, here, text, **arguments).stdout)
    digest = f"sha256:{hashlib.sha256(b'Ropes' + bytes([10])).hexdigest()}"
    assert (said["isolation"], said["outputs"][0]["digest"]) == ("bubblewrap", digest)
    receipt = (here / said["staged"][0]).read_bytes()
    internal = statement(receipt)["predicate"]["buildDefinition"]["internalParameters"]
    assert internal["isolation"] == "bubblewrap"
    refused = typed(world.alice, here, "certify", "replay", said["staged"][0], "--isolation", "none", status=1)
    assert "[replay-differs]" in refused.stderr and "isolation bubblewrap" in refused.stdout
    typed(world.alice, here, "certify", "replay", said["staged"][0])


def test_executable_in_one_run_alone_is_a_difference(world: World, here: Path, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    refused = script(world, here, f"echo a >out; test -e {flag} || chmod 755 out; touch {flag}", status=1)
    assert "out: executable in the first run alone" in refused.stderr


@pytest.mark.parametrize(
    ("given", "rule", "status"),
    [
        (("--output", "../x"), "name-dots", 1),
        (("--output", "/etc/x"), "name-empty", 1),
        (("--output", "a//b"), "name-empty", 1),
        (("--output", "common@2/x"), "output-among-inputs", 1),
        (("--output", "common@2"), "output-among-inputs", 1),
        (("--output", "Common@2/x"), "output-among-inputs", 1),
        (("--output", "a", "--output", "a"), "statement-form", 1),
        (("--input", "common@2:../x"), "name-dots", 1),
        (("--input", "common@2:/etc"), "name-empty", 1),
        (("--input", "common@2:nothing"), "no-such-file", 1),
        (("--input", "common@2:"), "name-empty", 1),
        (("--input", "common@9"), "no-such-snapshot", 1),
        (("--input", "alice@2"), "no-such-ledger", 1),
        (("--input", "common"), "snapshot-name", 1),
        (("--isolation", "maybe"), "isolation", 2),
        (("--to", "../../james"), "name-dots", 1),
        (("--to", "attestations/../.."), "name-dots", 1),
    ],
)
def test_what_is_asked_wrongly_is_said(
    world: World, here: Path, given: tuple[str, ...], rule: str, status: int
) -> None:
    refused = script(world, here, "mkdir -p a; echo x >out; echo x >a/b", given=given, status=status)
    assert f"[{rule}]" in refused.stderr
    unchanged(world, here)


def test_an_output_behind_a_link_is_not_read(world: World, here: Path, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("secret\n")
    refused = script(world, here, f"ln -s {tmp_path} out", given=("--output", "out/x"), status=1)
    assert "[output-kind]" in refused.stderr
    script(world, here, "mkdir out; echo fine >out/x", given=("--output", "out/x"))


def test_where_to_has_to_be_said(world: World, here: Path) -> None:
    key = ("--key", str(world.key("alice-2")))
    arguments = ("certify", "run", "--input", "common@2", "--output", "out", *key, "--", "touch", "out")
    assert "[where-to]" in typed(world.alice, here, *arguments, status=2).stderr


def test_only_an_executor_s_key_signs(world: World, here: Path) -> None:
    arguments = ("--input", "common@2", "--output", "out", "--to", "x", "--isolation", "none", "--", "touch", "out")
    refused = typed(world.alice, here, "certify", "run", *arguments, status=1)
    assert "[not-an-executor]" in refused.stderr and forge.key_id(world.key("alice-2")) in refused.stderr
    key = str(world.stranger.key)
    assert "[not-an-executor]" in typed(world.alice, here, "certify", "run", "--key", key, *arguments, status=1).stderr
    unchanged(world, here)


def test_a_security_key_signs_no_receipt_and_nothing_is_run_for_it(world: World, here: Path) -> None:
    public = world.path / "token.pub"
    point = base64.b64decode(world.stranger.pub.split()[1])[-32:]
    parts = (b"sk-ssh-ed25519@openssh.com", point, b"ssh:")
    blob = b"".join(len(one).to_bytes(4, "big") + one for one in parts)
    public.write_text(f"sk-ssh-ed25519@openssh.com {base64.b64encode(blob).decode()}\n")
    arguments = ("--input", "common@2", "--output", "out", "--to", "x", "--key", str(public))
    refused = typed(world.alice, here, "certify", "run", *arguments, "--", "sleep", "60", status=1)
    assert "[security-key-statement]" in refused.stderr


def test_a_node_s_receipt_goes_with_the_node_s_proposal(world: World, clone_of: Clones) -> None:
    entries = (Entry("laptop", world.alice.key, certifies=("executor",)),)
    world.propose(world.alice, {"domains/alice/domain.yaml": forge.manifest_file("alice", *entries)}, topic="nodes")
    world.emit()
    world.propose(world.alice, FILES, topic="home")
    world.emit()
    here = clone_of(world.alice)
    node = world.key("spare-1")
    since, until = (time.strftime("%Y%m%d%H%M%S", time.gmtime(at)) for at in (world.now - 60, forge.FAR))
    said = ("-I", "rescue-1", "-n", "executor@alice", "-z", "7", "-V", f"{since}:{until}")
    world.alice.run(world.path, "ssh-keygen", "-q", "-s", str(world.alice.key), *said, f"{node}.pub", TZ="UTC")
    key = ("--key", f"{node}-cert.pub")
    run = ("certify", "run", "--input", "common@2", "--output", "out", "--to", "made", *key, "--", "touch", "out")
    typed(world.alice, here, *run)
    typed(world.alice, here, "propose", "-m", "Made", "--topic", "made", *key)
    typed(world.alice, here, "release", "made")
    world.emit()
    typed(world.alice, here, "fetch")
    typed(world.alice, here, "certify", "replay", attestation_of(world), "--isolation", "none")


def test_a_node_acts_for_the_domain_that_certified_it_whatever_it_is_named_for(world: World, here: Path) -> None:
    """Principals at two domains, of which the first in order is nobody's: all that it does is for Alice."""
    entries = (Entry("laptop", world.alice.key, certifies=("executor",)), Entry("runner", world.key("alice-2")))
    manifest = {"domains/alice/domain.yaml": forge.manifest_file("alice", *entries)}
    world.propose(world.alice, manifest, topic="certifies")
    world.emit()
    typed(world.alice, here, "fetch")
    node = world.key("spare-1")
    blob = forge.certificate(node, world.alice.key, ["executor@aaron", "executor@alice"])
    file = node.with_name(f"{node.name}-cert.pub")
    file.write_text(f"{forge.CERTIFICATE.decode()} {base64.b64encode(blob).decode()}\n")
    key = ("--key", str(file))
    said = told(world.alice, here, "whoami", *key)
    assert (said["domain"], said["roles"]) == ("alice", ["executor"])
    run = ("certify", "run", "--input", "common@2", "--output", "out", "--to", "made", "--isolation", "none")
    made = json.loads(typed(world.alice, here, *run, *key, "--json", "--", "touch", "out").stdout)
    assert made["domain"] == "alice"
    typed(world.alice, here, "propose", "-m", "Made", "--topic", "made", *key)
    assert "Ledger-Domain: alice" in world.alice.output(here, "log", "-1", "--format=%B")


def test_a_receipt_that_stands_already_is_refused_and_its_outputs_are_not_staged(world: World, here: Path) -> None:
    script(world, here, "echo a >out")
    accepted(world, here)
    world.alice.git(here, "checkout", "-q", "--detach", "common")
    refused = script(world, here, "echo a >out", given=("--to", "again"), status=1)
    assert "[attestation-stands]" in refused.stderr
    unchanged(world, here)


def test_where_the_receipt_can_t_be_written_nothing_is_staged_or_kept(world: World, here: Path, tmp_path: Path) -> None:
    into = tmp_path / "into"
    given = ("--to", "made", "--into", str(into), "--receipt", str(tmp_path / "nowhere" / "receipt.json"))
    refused = script(world, here, "echo a >out", given=given, status=1)
    assert "[cannot-write]" in refused.stderr
    assert not into.exists()
    unchanged(world, here)


def test_what_stood_where_outputs_go_is_put_back_as_it_was(world: World, here: Path) -> None:
    """The second of two outputs can't be put where a directory is: the first, of other bytes and mode, stays."""
    hello, other = here / HOME / "bin" / "hello", here / HOME / "bin" / "other"
    other.mkdir()
    hello.chmod(0o640)
    before = world.alice.output(here, "ls-files", "--stage")
    run = ("mkdir bin; echo a >bin/hello; echo b >bin/other",)
    given = ("--output", "bin", "--to", "home")
    assert "[not-a-file]" in script(world, here, *run, given=given, status=1).stderr
    assert hello.read_text() == FILES[f"{HOME}/bin/hello"]
    assert hello.stat().st_mode & 0o777 == 0o640
    assert world.alice.output(here, "ls-files", "--stage") == before
    other.rmdir()
    script(world, here, *run, given=given)
    assert hello.read_text() == "a\n"


@pytest.mark.parametrize("how", ["new", "ignored", "changed", "staged"])
def test_what_the_ledger_has_not_is_not_written_over(world: World, here: Path, how: str) -> None:
    file = here / HOME / ("notes.txt" if how == "changed" else "own.txt")
    file.write_text("mine\n")
    if how == "ignored":
        (here / ".git" / "info").mkdir(exist_ok=True)
        (here / ".git" / "info" / "exclude").write_text("own.txt\n")
    if how == "staged":
        world.alice.git(here, "add", f"{HOME}/own.txt")
    before = world.alice.output(here, "status", "--porcelain", "--ignored")
    as_file = ("sh", "-c", f"echo ran >>{world.path}/ran; echo made >{file.name}")
    named = ("--output", file.name, "--to", "home")
    assert "[file-taken]" in ran(world, here, *as_file, given=named, status=2).stderr
    assert not (world.path / "ran").exists()
    assert file.read_text() == "mine\n"
    assert world.alice.output(here, "status", "--porcelain", "--ignored") == before
    file.rename(world.path / "elsewhere")
    (here / ".git" / "info" / "exclude").unlink(missing_ok=True)
    world.alice.git(here, "reset", "-q", "--hard")
    ran(world, here, *as_file, given=named)
    assert file.read_text() == "made\n"


def test_what_stands_below_a_directory_that_came_out_is_not_written_over(world: World, here: Path) -> None:
    file = here / HOME / "bin" / "own"
    file.write_text("mine\n")
    given = ("--output", "bin", "--to", "home")
    assert "[file-taken]" in script(world, here, "mkdir bin; echo made >bin/own", given=given, status=2).stderr
    assert file.read_text() == "mine\n"


@pytest.mark.parametrize("to", ["attestations", "Attestations/ab", "policies/x", "domains/alice/POLICIES"])
def test_outputs_have_no_place_where_the_host_takes_none(world: World, here: Path, tmp_path: Path, to: str) -> None:
    refused = script(world, here, f"touch {tmp_path}/ran out", given=("--to", to), status=1)
    assert "[output-place]" in refused.stderr
    assert not (tmp_path / "ran").exists()
    unchanged(world, here)


def test_the_command_that_a_replay_shows_is_the_one_that_runs(world: World, here: Path) -> None:
    text = "echo a >out\n: '\x1b[2J\u202e'"
    script(world, here, text)
    (receipt, _) = staged(world, here)
    shown = typed(world.alice, here, "certify", "replay", receipt, "--isolation", "none").stdout
    line = "  sh -c $'echo a >out\\n: \\'\\x1b[2J\\u202e\\''"
    assert line in shown.splitlines()
    told_so = subprocess.run(["bash", "-c", f"printf '%s\\n' {line}"], capture_output=True, check=True).stdout
    assert text in told_so.decode()
    accepted(world, here)
    assert line.strip() in typed(world.alice, here, "trace", receipt.replace("/", "")[-69:-5]).stdout


def test_a_replay_that_fails_tells_the_replayer_nothing_to_correct(world: World, here: Path, tmp_path: Path) -> None:
    script(world, here, f"test -e {tmp_path}/fail && exit 1; test -e {tmp_path}/none || touch out")
    (receipt, _) = staged(world, here)
    for flag, rule in (("none", "output-missing"), ("fail", "command-failed")):
        (tmp_path / flag).touch()
        refused = typed(world.alice, here, "certify", "replay", receipt, "--isolation", "none", status=1).stderr
        assert f"[{rule}]" in refused and "--output" not in refused and "correct the command" not in refused


def test_a_copy_that_fails_before_it_begins_takes_nothing_with_it(world: World, here: Path) -> None:
    """The output is gone when it is to be copied, as something that a command left running may have it."""
    from gitledger.roles import receipts
    from gitledger.roles.execution import Bound, Output, Ran
    from gitledger.roles.place import Place
    from gitledger.roles.sandbox import Sandbox

    place = Place.open(here)
    file = here / HOME / "bin" / "hello"
    file.chmod(0o640)
    before = file.read_bytes()
    (world.path / "work").mkdir()
    bound = Bound(None, 0, {}, {})  # type: ignore[arg-type]
    for to in ("home/bin", "a/b/c/d"):
        ran_so = Ran(bound, Sandbox(), {"hello": Output("sha256:", 0, False)}, world.path / "work")
        with pytest.raises(FileNotFoundError), receipts.staged(place, ran_so, "alice", to):
            pass
    assert (file.read_bytes(), file.stat().st_mode & 0o777) == (before, 0o640)
    assert not (here / "domains" / "alice" / "a").exists()
    file.chmod(0o644)
    unchanged(world, here)


def test_what_is_read_and_what_comes_out_fit_one_proposal_together(world: World, clone_of: Clones) -> None:
    world.make_host(limits="proposal_bytes: 70000")
    has_an_executor(world)
    world.propose(world.alice, {f"{HOME}/large": "large\n" * 7000}, topic="large")
    world.emit()
    here = clone_of(world.alice)
    given = ("--input", f"common@3:{HOME}/large")
    copy = f"cp common@3/{HOME}/large out"
    assert "[statement-bytes]" in script(world, here, copy, given=given, status=1).stderr
    unchanged(world, here)
    script(world, here, copy, given=(*given, "--into", str(world.path / "into")))
    script(world, here, f"wc -c <common@3/{HOME}/large >out", given=given)


def test_what_a_command_does_to_its_inputs_does_no_harm(world: World, here: Path) -> None:
    before = world.refs(here), world.alice.output(here, "status", "--porcelain")
    text = f"cp common@2/{HOME}/notes.txt out; echo more >>common@2/{HOME}/notes.txt; rm -r common@2"
    script(world, here, text, given=("--into", str(world.path / "into"), "--receipt", str(world.path / "r.json")))
    assert (world.refs(here), world.alice.output(here, "status", "--porcelain")) == before
    assert (world.path / "into" / "out").read_text() == "Ropes\n"


def test_inputs_have_the_modes_and_times_that_the_snapshot_gives_them(world: World, here: Path) -> None:
    old = os.umask(0o077)
    try:
        script(world, here, "find common@2 -printf '%p %m %T@\\n' | sort >out")
    finally:
        os.umask(old)
    (_, out) = staged(world, here)
    lines = [line.rsplit(" ", 2) for line in (here / out).read_text().splitlines()]
    assert {(mode, time_.partition(".")[0]) for _, mode, time_ in lines} == {
        (mode, str(int(forge.git(world.host, "log", "-1", "--format=%ct", world.oid(2))))) for mode in ("644", "755")
    }


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interruption_leaves_nothing(world: World, here: Path, tmp_path: Path, number: signal.Signals) -> None:
    rooms = tmp_path / "rooms"
    rooms.mkdir()
    for isolation in ("none", "auto"):
        arguments = ("--input", "common@2", "--output", "out", "--to", "x", "--isolation", isolation)
        key = ("--key", str(world.key("alice-2")))
        process = subprocess.Popen(
            [*GITLEDGER, "certify", "run", *arguments, *key, "--", "sh", "-c", "touch begun; sleep 60"],
            cwd=here,
            env=world.alice.env(TMPDIR=str(rooms)),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        while not list(rooms.glob("*/work/begun")):
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(number)
        assert ("interrupted" in process.communicate(timeout=30)[1]) is (number == signal.SIGINT)
        assert process.returncode == 128 + number
        assert list(rooms.iterdir()) == []
        unchanged(world, here)


DEFINITION = ("predicate", "buildDefinition")
BOUND = (*DEFINITION, "resolvedDependencies")


@pytest.mark.parametrize(
    ("at", "value", "rule"),
    [
        (("subject", 0, "digest", "sha256"), "0" * 64, "replay-differs"),
        ((*DEFINITION, "internalParameters", "source_date_epoch"), 1, "receipt-inputs"),
        ((*BOUND, 0, "digest", "sha256"), "0" * 64, "receipt-inputs"),
        ((*BOUND, 1, "digest", "sha256"), "0" * 64, "receipt-inputs"),
        ((*BOUND, 1, "name"), f"common@2:{HOME}/other", "receipt-inputs"),
        ((*DEFINITION, "externalParameters", "ledgers", "common"), f"sha256:{'0' * 64}", "no-such-ledger"),
        (("predicate", "runDetails", "builder", "id"), "urn:gitledger:executor:james", "receipt-domain"),
        (None, None, "bad-signature"),
    ],
)
def test_a_receipt_that_says_what_is_not_so_is_found_out(
    world: World, here: Path, at: Any, value: Any, rule: str
) -> None:
    """Signed with the executor's own key by cryptography alone: it is the replay that tells."""
    kept = world.path / "receipt.json"
    script(world, here, "echo a >out", given=("--receipt", str(kept), "--into", str(world.path / "into")))
    typed(world.alice, here, "certify", "replay", str(kept), "--isolation", "none")
    whole, said = json.loads(kept.read_text()), statement(kept.read_bytes())
    if at is not None:
        inner = said
        for each in at[:-1]:
            inner = inner[each]
        inner[at[-1]] = value
    payload = json.dumps(said).encode()
    whole["payload"] = base64.b64encode(payload).decode()
    if at is not None:
        covered = b"DSSEv1 28 application/vnd.in-toto+json %d %b" % (len(payload), payload)
        signature = forge.private(world.key("alice-2")).sign(covered)
        whole["signatures"][0]["sig"] = base64.b64encode(signature).decode()
    kept.write_text(json.dumps(whole))
    refused = typed(world.alice, here, "certify", "replay", str(kept), "--isolation", "none", status=1)
    assert f"[{rule}]" in refused.stderr


def test_somebody_else_s_command_is_not_run_without_isolation_unless_one_says_so(
    world: World, here: Path, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    script(world, here, f"touch out {mark}")
    (receipt, _) = staged(world, here)
    mark.unlink()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "git").symlink_to(shutil.which("git") or "")
    refused = typed(world.alice, here, "certify", "replay", receipt, status=1, PATH=str(tmp_path / "bin"))
    assert "[no-isolation]" in refused.stderr and not mark.exists()
    typed(world.alice, here, "certify", "replay", receipt, "--isolation", "none")
    assert mark.exists()


def test_what_is_no_receipt_is_not_replayed(world: World, here: Path) -> None:
    for named, rule in (("nothing", "no-such-receipt"), ("sha256:" + "0" * 64, "no-such-receipt"), (HOME, "")):
        refused = typed(world.alice, here, "certify", "replay", named, status=1)
        assert f"[{rule or 'no-such-receipt'}]" in refused.stderr
    assert "[json-syntax]" in typed(world.alice, here, "certify", "replay", f"{HOME}/notes.txt", status=1).stderr
    typed(world.alice, here, "certify", "snapshot", "2", "--represents", "/home")
    (receipt,) = staged(world, here)
    assert "[not-a-receipt]" in typed(world.alice, here, "certify", "replay", receipt, status=1).stderr


def test_inputs_of_one_s_own_ledger_are_bound_by_its_id(world: World, here: Path, tmp_path: Path) -> None:
    world.make_host(members=("alice", "you"), name="alice")
    other = tmp_path / "alice"
    with world.acting(world.alice):
        from gitledger.roles import consumer

        host = world.path / "alice.git"
        anchor = forge.hash_of(host, forge.git(host, "rev-parse", "HEAD").decode().strip())
        consumer.clone(str(host), other, anchor, domain="alice", now=world.now)
    given = ("--input", "alice@0", "--input", f"common@2:{HOME}", "--ledger", str(other))
    script(world, here, "cat alice@0/domains/alice/domain.yaml >out", given=given)
    receipt, out = staged(world, here)
    assert "domain_id: alice" in (here / out).read_text()
    external = statement((here / receipt).read_bytes())["predicate"]["buildDefinition"]["externalParameters"]
    assert external["ledgers"] == {"alice": anchor, "common": world.anchor}
    assert "[no-such-ledger]" in typed(world.alice, here, "certify", "replay", receipt, status=1).stderr
    typed(world.alice, here, "certify", "replay", receipt, "--ledger", str(other), "--isolation", "none")


@pytest.mark.long
@pytest.mark.parametrize("isolation", ["auto", "none"])
def test_somebody_else_elsewhere_gets_the_same_digests(world: World, here: Path, isolation: str) -> None:
    """Another user name, home, time zone, locale and umask; where these tests are root's, another user, too."""
    given = ("--input", "common@2", "--output", "home.tar", "--isolation", isolation)
    ran(world, here, *TAR, given=given)
    accepted(world, here)
    receipt = hashlib.sha256(world.read(attestation_of(world))).hexdigest()
    machine = Path(tempfile.mkdtemp(prefix="elsewhere-"))
    try:
        (machine / "home").mkdir()
        (machine / "tmp").mkdir()
        shutil.copytree(world.host, machine / "common.git")
        as_whom: list[str] = []
        if os.geteuid() == 0 and (bubblewrap := shutil.which("bwrap")):
            subprocess.run(["chown", "-R", "12345:12345", str(machine)], check=True)
            as_whom = another_user(bubblewrap)
        env = {
            "PATH": os.environ["PATH"],
            "HOME": str(machine / "home"),
            "USER": "somebody",
            "TMPDIR": str(machine / "tmp"),
            "TZ": "Pacific/Auckland",
            "LC_ALL": "C",
            "LANG": "de_DE.UTF-8",
            "PYTHONUTF8": "1",
        }
        program = f"'{sys.executable}' -P -m gitledger"
        script = (
            f"umask 077; {program} clone common.git clone --anchor {world.anchor} >&2 && "
            f"{program} -C clone certify replay {receipt} --isolation {isolation} --json"
        )
        command = [*as_whom, "sh", "-c", script]
        done = subprocess.run(command, cwd=machine, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        tar = hashlib.sha256((here / "domains/alice/made/home.tar").read_bytes()).hexdigest()
        said = json.loads(done.stdout)
        assert said["isolation"]["then"] == said["isolation"]["here"]
        assert said["outputs"] == [
            {
                "path": "home.tar",
                "digest": f"sha256:{tar}",
                "bytes": (here / "domains/alice/made/home.tar").stat().st_size,
            }
        ]
        assert list((machine / "tmp").iterdir()) == []
    finally:
        shutil.rmtree(machine)


def another_user(bubblewrap: str) -> list[str]:
    """What makes root the user 12345, who finds Python and gitledger even if root's home is closed to all."""
    home = Path(pwd.getpwuid(0).pw_dir)
    arguments = [bubblewrap, "--dev-bind", "/", "/", "--tmpfs", str(home), "--cap-add", "ALL"]
    for path in (Path(sys.base_prefix).resolve(), Path(sys.prefix), Path(__file__).parents[2]):
        for above in reversed(path.parents):
            arguments += ["--dir", str(above)] if home in above.parents else []
        arguments += ["--ro-bind", str(path), str(path)]
    arguments += ["setpriv", "--reuid", "12345", "--regid", "12345", "--clear-groups"]
    return [*arguments, "--inh-caps=-all", "--bounding-set=-all"]


def attestation_of(world: World) -> str:
    """The path of the one attestation in the newest snapshot."""
    listed = forge.git(world.host, "ls-tree", "-r", "--name-only", "HEAD").decode().splitlines()
    (path,) = [each for each in listed if "/attestations/" in each]
    return path
