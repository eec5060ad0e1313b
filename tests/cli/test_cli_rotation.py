"""`rotate`, `endorse`, `rotations`: a quorum names another witness, with the program and without it."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import forge
import pytest
from typed import Clones, at_terminal, program, told, typed
from world import MEMBERS, Done, Person, World, accepted


@pytest.fixture
def alice(world: World, clone_of: Clones) -> Path:
    """Alice's clone of a ledger whose quorum is two of alice, james and you."""
    world.make_host()
    return clone_of(world.alice)


@pytest.fixture
def james(world: World, alice: Path, clone_of: Clones) -> Path:
    """James's clone of the same."""
    return clone_of(world.james)


def rotations_of(world: World) -> set[str]:
    """The refs of rotations on the host, with H cut to eight digits."""
    refs = (ref.removeprefix("refs/rotations/") for ref in world.refs() if ref.startswith("refs/rotations/"))
    return {f"{ref[:8]}/{ref.partition('/')[2]}" for ref in refs}


def the_hash(world: World) -> str:
    """H of the only rotation on the host."""
    (found,) = {ref.split("/")[2] for ref in world.refs() if ref.startswith("refs/rotations/")}
    return found


# rotate, endorse


def test_one_drafts_another_endorses_and_the_rotation_is_complete(world: World, alice: Path, james: Path) -> None:
    drafted = typed(world.alice, alice, "rotate", "--to", "james", "--reason", "stepping back").stdout
    named = the_hash(world)
    groups = " ".join(re.findall("....", named))
    shown = " ".join(drafted.split())
    for part in (
        f"leaves you {world.you.key_id}",
        f"comes james {world.james.key_id}",
        f"on common@0 {world.anchor}",
        f"H {groups}",
        "reason stepping back (which nobody endorsed)",
        "missing 2 of alice, james, you",
        "It needs 1 more of james, you: gitledger endorse " + named[:12],
    ):
        assert part in shown
    assert rotations_of(world) == {f"{named[:8]}/draft", f"{named[:8]}/alice"}
    typed(world.james, james, "fetch")
    endorsed = typed(world.james, james, "endorse", named[:8]).stdout
    assert "endorsed  1 of 2 by alice" in endorsed and "reason" in endorsed
    assert "It is complete: james seals it" in endorsed
    assert rotations_of(world) == {f"{named[:8]}/{last}" for last in ("draft", "alice", "james")}


def test_what_is_drafted_already_is_endorsed_and_keeps_its_reason(world: World, alice: Path, james: Path) -> None:
    typed(world.alice, alice, "rotate", "--to", "james", "--reason", "first")
    draft = world.refs()[f"refs/rotations/{the_hash(world)}/draft"]
    said = typed(world.james, james, "rotate", "--to", "james", "--reason", "second").stdout
    assert "reason    first (which nobody endorsed)" in said and "its reason stays" in said and "complete" in said
    assert world.refs()[f"refs/rotations/{the_hash(world)}/draft"] == draft


def test_the_same_again_changes_nothing_and_is_fine(world: World, alice: Path) -> None:
    typed(world.alice, alice, "rotate", "--to", "james")
    before = world.refs()
    typed(world.alice, alice, "rotate", "--to", "james")
    typed(world.alice, alice, "endorse", the_hash(world))
    assert world.refs() == before


def test_a_rotation_is_named_by_the_domain_it_goes_to_too(world: World, alice: Path, james: Path) -> None:
    typed(world.alice, alice, "rotate", "--to", "james")
    typed(world.james, james, "fetch")
    assert "complete" in typed(world.james, james, "endorse", "james").stdout
    assert "[not-waiting]" in typed(world.james, james, "endorse", "you", status=1).stderr
    assert "[not-waiting]" in typed(world.james, james, "endorse", the_hash(world)[:7], status=1).stderr


def test_a_proposal_with_that_topic_comes_first(world: World, alice: Path, james: Path) -> None:
    typed(world.alice, alice, "rotate", "--to", "james")
    world.propose(world.alice, {"shared/a": "a\n"}, topic="james")
    typed(world.james, james, "fetch")
    typed(world.james, james, "endorse", "james")
    assert rotations_of(world) == {f"{the_hash(world)[:8]}/{last}" for last in ("draft", "alice")}


@pytest.mark.parametrize(("answer", "status"), [("y\n", 0), ("n\n", 1), ("\x04", 1)])
def test_at_a_terminal_nothing_is_signed_unasked(world: World, alice: Path, answer: str, status: int) -> None:
    asked = [("Endorse it as alice? [y/N]", answer)]
    shown = at_terminal(world.alice, alice, "rotate", "--to", "james", answers=asked)
    assert shown.status == status
    assert bool(rotations_of(world)) == (status == 0)
    remembered = list((world.alice.home / ".local" / "state").rglob("endorsed.json"))
    assert bool(remembered) == (status == 0)


@pytest.mark.long
def test_a_stale_rotation_is_not_endorsed(world: World, alice: Path, james: Path) -> None:
    typed(world.alice, alice, "rotate", "--to", "james")
    named = the_hash(world)
    typed(world.james, james, "fetch")
    refs = {ref: oid for ref, oid in world.refs().items() if "rotations" in ref}
    world.propose(world.alice, {"shared/a": "a\n"})
    world.emit()
    typed(world.james, james, "fetch")
    for ref, oid in refs.items():  # the host has dropped it; a mirror may not have
        forge.git(james / ".git", "update-ref", ref.replace("refs/", "refs/gitledger/incoming/origin/"), oid)
    said = typed(world.james, james, "endorse", named[:12], status=1).stderr
    assert "[rotation-stale]" in said and "gitledger rotate --to james" in said
    assert told(world.james, james, "rotations")["rotations"][0]["standing"] == "stale"
    assert "nobody can seal it" in typed(world.james, james, "rotations").stdout


def test_which_key_is_asked_where_a_domain_has_several(world: World, alice: Path) -> None:
    second = world.key("spare-1")
    entries = (
        forge.Entry("root", world.james.key),
        forge.Entry("ci", second, ("publisher",), proof=forge.proof(second, world.anchor, "james")),
    )
    world.propose(world.james, {"domains/james/domain.yaml": forge.manifest_file("james", *entries)})
    world.emit()
    said = typed(world.alice, alice, "rotate", "--to", "james", status=2).stderr
    assert "[which-key]" in said
    (command,) = re.findall(rf"gitledger (rotate --to james --key-id {re.escape(forge.key_id(second))})", said)
    typed(world.alice, alice, *command.split(" "))
    assert told(world.alice, alice, "rotations")["rotations"][0]["to"] == {
        "domain": "james",
        "key_id": forge.key_id(second),
    }


def test_who_can_not_be_witness_is_not_drafted(world: World, clone_of: Clones) -> None:
    who = {one: world.person(one).key for one in MEMBERS}
    world.make_host(forge.policy_file(who, revoked=[world.james.key_id]))
    alice = clone_of(world.alice)
    for arguments, rule in (
        (("stranger",), "no-such-domain"),
        (("No Domain",), "domain-id"),
        (("james",), "new-witness-revoked"),
        (("alice", "--key-id", world.stranger.key_id), "key-not-active"),
        (("alice", "--key", str(world.stranger.key)), "endorsement-does-not-count"),
    ):
        done = typed(world.alice, alice, "rotate", "--to", *arguments, status=1)
        assert f"[{rule}]" in done.stderr and done.stdout == ""
    assert not rotations_of(world)


@pytest.mark.parametrize("reason", ["", " ", "a\nb", "a\x1b[2J", "x" * 1001, "\u202egnp"])
def test_a_reason_is_one_line_that_can_be_shown(world: World, alice: Path, reason: str) -> None:
    assert "[reason]" in typed(world.alice, alice, "rotate", "--to", "james", "--reason", reason, status=2).stderr
    typed(world.alice, alice, "rotate", "--to", "james", "--reason", "x" * 1000)


def test_where_nobody_answers_it_goes_on_with_what_is_there_and_says_so(world: World, alice: Path) -> None:
    world.alice.git(alice, "remote", "set-url", "origin", str(world.path / "nowhere"))
    done = typed(world.alice, alice, "rotate", "--to", "james")
    assert "Not fetched: " in done.stderr and "common@0" in done.stderr
    assert "Not sent, and kept here: " in done.stderr and "gitledger carry out FILE" in done.stdout
    page = typed(world.alice, alice, "rotate", "--to", "james", "--worksheet")
    assert "Not fetched: " in page.stderr and page.stdout.startswith("ROTATION OF THE WITNESS TO james, ON common@0\n")


def test_json_says_what_was_endorsed(world: World, alice: Path) -> None:
    said = told(world.alice, alice, "rotate", "--to", "james", "--reason", "why not")
    assert said["rotation"] == the_hash(world) and said["standing"] == "pending"
    assert said["endorsed_by"] == ["alice"] and said["missing"] == 1 and said["missing_of"] == ["james", "you"]
    assert said["reason"] == "why not" and said["on"] == {"snapshot": "common@0", "hash": world.anchor}


# An authority's own memory


@pytest.mark.long
def test_a_second_rotation_on_the_same_snapshot_is_refused_in_every_clone(
    world: World, alice: Path, tmp_path: Path
) -> None:
    typed(world.alice, alice, "rotate", "--to", "james")
    first = the_hash(world)
    shutil.copytree(alice, tmp_path / "other")
    for clone in (alice, tmp_path / "other"):
        said = typed(world.alice, clone, "rotate", "--to", "you", status=1).stderr
        for part in ("[endorsed-another]", "to james on 2026-11-20", first, f"--besides {first[:12]}", "split"):
            assert part in said
    assert rotations_of(world) == {f"{first[:8]}/{last}" for last in ("draft", "alice")}
    (option,) = re.findall("--besides ([0-9a-f]+)", said)
    typed(world.alice, alice, "rotate", "--to", "you", "--besides", option)
    assert len(rotations_of(world)) == 4
    third = typed(world.alice, alice, "rotate", "--to", "alice", "--besides", option, status=1).stderr
    named = re.findall("--besides [0-9a-f]+", third)
    assert len(named) == 2 and f"--besides {option}" in named
    typed(world.alice, alice, "rotate", "--to", "alice", *" ".join(named).split())


@pytest.mark.long
def test_endorse_remembers_as_rotate_does(world: World, alice: Path, james: Path) -> None:
    typed(world.alice, alice, "rotate", "--to", "james")
    typed(world.james, james, "rotate", "--to", "alice")
    typed(world.alice, alice, "fetch")
    said = typed(world.alice, alice, "endorse", "alice", status=1).stderr
    assert "[endorsed-another]" in said
    (option,) = re.findall("--besides ([0-9a-f]+)", said)
    assert "[besides]" in typed(world.alice, alice, "endorse", "alice", "--besides", option[:7], status=2).stderr
    typed(world.alice, alice, "endorse", "alice", "--besides", option[:8])


def test_it_remembers_before_it_signs_and_whatever_the_host_says(world: World, alice: Path) -> None:
    world.alice.git(alice, "remote", "set-url", "origin", str(world.path / "nowhere"))
    assert "Not sent" in typed(world.alice, alice, "rotate", "--to", "james").stderr
    world.alice.git(alice, "remote", "set-url", "origin", str(world.host))
    assert "[endorsed-another]" in typed(world.alice, alice, "rotate", "--to", "you", status=1).stderr
    typed(world.alice, alice, "rotate", "--to", "james")


def test_what_was_endorsed_on_another_machine_counts_as_the_host_has_it(world: World, alice: Path) -> None:
    typed(world.alice, alice, "rotate", "--to", "james")
    elsewhere = str(world.path / "another-machine")
    said = typed(world.alice, alice, "rotate", "--to", "you", status=1, XDG_STATE_HOME=elsewhere).stderr
    assert "[endorsed-another]" in said and "from another machine" in said


@pytest.mark.long
def test_on_the_next_snapshot_an_authority_is_free_again(world: World, alice: Path) -> None:
    typed(world.alice, alice, "rotate", "--to", "james")
    world.propose(world.alice, {"shared/a": "a\n"})
    world.emit()
    typed(world.alice, alice, "rotate", "--to", "you")


def test_a_damaged_memory_stops_everything(world: World, alice: Path) -> None:
    typed(world.alice, alice, "rotate", "--to", "james")
    (file,) = (world.alice.home / ".local" / "state").rglob("endorsed.json")
    assert json.loads(file.read_bytes())[0]["rotation"] == the_hash(world)
    file.write_bytes(b'[{"rotation":')
    said = typed(world.alice, alice, "rotate", "--to", "james", status=1).stderr
    assert "[memory-damaged]" in said and str(file) in said


# The worksheet


def commands(page: str) -> str:
    """What the page says to type: everything that is no title, no row of what is decided and no sentence."""
    body = page[page.index("\n1. ") :]
    blocks = [block for block in body.split("\n\n") if not re.match(r"\n?[1-5]\. |\(", block)]
    return "\n".join(blocks) + "\n"


def type_page(person: Person, page: str, shell: str = "sh") -> Done:
    """Type the commands of the page, in a directory that is no repository, with stock tools alone."""
    (person.home / "desk").mkdir(exist_ok=True)
    return person.run(person.home / "desk", shell, "-eu", input=commands(page), check=False)


def worksheet(world: World, cwd: Path, *arguments: str) -> str:
    """The page for a rotation to James, which needs no key."""
    keyless = world.person("stranger")
    done = typed(keyless, cwd, "rotate", "--to", "james", "--worksheet", *arguments)
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize("shell", ["sh", "dash", "bash"])
def test_the_commands_of_the_worksheet_work_as_they_stand(world: World, alice: Path, shell: str) -> None:
    if not shutil.which(shell):
        pytest.skip(f"no {shell} here")
    page = worksheet(world, alice, "--reason", 'it\'s "quiet"; $(touch pwned) `x` \\ 100% für immer')
    assert not rotations_of(world)
    typed_in = type_page(world.alice, page, shell)
    assert typed_in.returncode == 0, typed_in.stderr
    (found,) = re.findall("^(?:[0-9a-f]{4} ){15}[0-9a-f]{4}", typed_in.stdout, re.MULTILINE)
    aloud = re.findall("(?:[0-9a-f]{4} ){7}[0-9a-f]{4}", page)
    assert found == " ".join(aloud[:2]) and found.replace(" ", "") == the_hash(world)
    assert rotations_of(world) == {f"{the_hash(world)[:8]}/{last}" for last in ("draft", "alice")}
    assert not list(world.alice.home.rglob("pwned"))


def test_two_worksheets_make_a_quorum(world: World, alice: Path) -> None:
    assert type_page(world.alice, worksheet(world, alice, "--reason", "first")).returncode == 0
    draft = world.refs()[f"refs/rotations/{the_hash(world)}/draft"]
    second = worksheet(world, alice, "--reason", "second")
    assert "endorsed by alice" in second and "first (which nobody endorsed)" in second and "second" not in second
    done = type_page(world.you, second)
    assert done.returncode == 0, done.stderr
    assert world.refs()[f"refs/rotations/{the_hash(world)}/draft"] == draft
    typed(world.alice, alice, "fetch")
    (one,) = told(world.alice, alice, "rotations")["rotations"]
    assert one["standing"] == "complete" and one["endorsed_by"] == ["alice", "you"]


def test_the_worksheet_fits_a_page_and_marks_what_is_read_aloud(world: World, alice: Path) -> None:
    page = worksheet(world, alice, "--reason", "word " * 60)
    for line in page.splitlines():
        assert len(line) <= 78 or re.search(r"sha256:[0-9a-f]{64}|SHA256:|reason: |^git push ", line), line
        assert line.isprintable()
    aloud = " ".join(line for line in page.splitlines() if line.startswith("=> "))
    for part in (f"james  {world.james.key_id}", "common@0", world.anchor):
        assert part in aloud
    assert len(re.findall(r"\b[0-9a-f]{4}\b", aloud.replace(world.anchor, ""))) == 16


@pytest.mark.parametrize(
    ("reason", "carried"),
    [
        ("|\n    END\n    touch pwned\n    END_", True),
        ('"$(touch pwned)"', True),
        ('"`touch pwned`"   # \u202etouch pwned', False),
        ('"no newline at the end of the draft"', False),
    ],
)
def test_a_draft_by_somebody_hostile_runs_nothing_from_the_page(
    world: World, alice: Path, reason: str, carried: bool
) -> None:
    first = worksheet(world, alice, "--reason", "REASON")
    named = "".join(re.findall("(?:[0-9a-f]{4} ){7}[0-9a-f]{4}", first)).replace(" ", "")
    draft = first[first.index("artifact_type: ") : first.index("END\n}\ndraft >draft")].replace('"REASON"', reason)
    draft = draft.removesuffix("\n") if "newline" in reason else draft
    signed = forge.sshsig(world.alice.key, bytes.fromhex(named), namespace="asl.common.witness-rotation")
    refs = (("draft", draft.encode()), ("alice", signed))
    blobs = [(forge.write_object(alice / ".git", "blob", content), last) for last, content in refs]
    accepted(world.push(world.alice, alice, *(f"{oid}:refs/rotations/{named}/{last}" for oid, last in blobs)))
    page = worksheet(world, alice)
    assert ("\ndraft >draft\n" in page) == carried and "\u202e" not in page
    done = type_page(world.you, page)
    assert done.returncode == 0, done.stderr
    assert rotations_of(world) == {f"{named[:8]}/{last}" for last in ("draft", "alice", "you")}
    assert not list(world.path.rglob("pwned"))


def test_shasum_does_where_there_is_no_sha256sum(world: World, alice: Path) -> None:
    needed = ("sh", "git", "ssh-keygen", "cut", "sed", "cat", "shasum", "perl")
    if not all(shutil.which(tool) for tool in needed):
        pytest.skip("no shasum here")
    tools = world.path / "tools"
    tools.mkdir()
    for tool in needed:
        (tools / tool).symlink_to(str(shutil.which(tool)))
    page = worksheet(world, alice)
    computed = commands(page[: page.index("\n3. ")])
    done = world.alice.run(world.path, "sh", "-eu", input=computed, PATH=str(tools))
    assert " ".join(re.findall("(?:[0-9a-f]{4} ){7}[0-9a-f]{4}", page)) == done.stdout.strip()


def test_a_worksheet_gives_nobody_a_password(world: World, alice: Path) -> None:
    world.alice.git(alice, "remote", "set-url", "--push", "origin", "https://alice:secret@example.org/common.git")
    page = worksheet(world, alice)
    assert "git push https://example.org/common.git \\\n" in page and "secret" not in page
    world.alice.git(alice, "remote", "set-url", "--push", "origin", "git@example.org:a b.git")
    assert "git push 'git@example.org:a b.git' \\\n" in worksheet(world, alice)


def test_a_worksheet_is_no_json(world: World, alice: Path) -> None:
    assert (
        "[worksheet-json]"
        in typed(world.alice, alice, "rotate", "--to", "james", "--worksheet", "--json", status=2).stderr
    )


# rotations


def test_without_rotations_it_says_so(world: World, alice: Path) -> None:
    assert typed(world.alice, alice, "rotations").stdout == "No rotation waits.\n"
    assert told(world.alice, alice, "rotations") == {
        "ledger": "common",
        "rotations": [],
        "endorsed_both": [],
        "unreadable": [],
    }


def test_it_lists_who_endorsed_who_is_missing_and_who_endorsed_both(world: World, alice: Path, james: Path) -> None:
    typed(world.alice, alice, "rotate", "--to", "james")
    first = the_hash(world)
    typed(world.james, james, "rotate", "--to", "james")
    typed(world.alice, alice, "rotate", "--to", "you", "--besides", first)
    said = typed(world.alice, alice, "rotations").stdout
    assert f"complete  {first[:12]}  to james on common@0" in said
    assert "endorsed  2 of 2 by alice, james" in said
    assert "endorsed  1 of 2 by alice" in said and "missing   1 of james, you" in said
    assert "alice endorsed 2 rotations on common@0: " in said
    found = told(world.alice, alice, "rotations")
    assert {one["standing"] for one in found["rotations"]} == {"complete", "pending"}
    (both,) = found["endorsed_both"]
    assert both["domain"] == "alice" and len(both["rotations"]) == 2 and first in both["rotations"]
    on_host = told(world.you, world.host, "rotations")["rotations"]
    (complete,) = [one for one in on_host if one["standing"] == "complete"]
    assert re.fullmatch(r"2\d{3}-.*Z", complete["until"])


def test_the_program_itself_prints_the_page(world: World, alice: Path) -> None:
    assert program(world.alice, alice, "rotate", "--to", "james", "--worksheet").stdout == worksheet(world, alice)


def test_a_sealed_rotation_is_shown_with_its_snapshot(world: World, alice: Path, james: Path) -> None:
    typed(world.alice, alice, "rotate", "--to", "james", "--reason", "stepping back")
    named = the_hash(world)
    typed(world.james, james, "rotate", "--to", "james")
    typed(world.alice, alice, "rotate", "--to", "you", "--besides", named)
    keys = {"alice": world.alice.key, "james": world.james.key}
    artifact = forge.rotation_file(world.bench(), world.tip, ("james", world.james.key), keys)
    accepted(world.offer(forge.rotating(world.bench(), world.tip, artifact, world.james.key)))
    typed(world.alice, alice, "fetch")
    said = typed(world.alice, alice, "rotations").stdout
    assert f"common@1  {named[:12]}  from you to james on common@0, endorsed by alice, james" in said
    (sealed,) = (one for one in told(world.alice, alice, "rotations")["rotations"] if one["standing"] == "sealed")
    assert sealed["rotation"] == named and sealed["sealed_by"] == "common@1" and sealed["missing"] == 0
    assert told(world.alice, alice, "policy")["witness"] == {"domain": "james", "key_id": world.james.key_id}
