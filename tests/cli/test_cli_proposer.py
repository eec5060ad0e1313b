"""`propose`, `proposals`, `withdraw`, as they are typed."""

from __future__ import annotations

from pathlib import Path

import forge
import pytest
from typed import STANDARDS, Clones, at_terminal, told, typed
from world import World


def stage(world: World, clone: Path, path: str = "domains/alice/a", text: str = "a\n") -> None:
    (clone / path).parent.mkdir(parents=True, exist_ok=True)
    (clone / path).write_text(text)
    world.alice.git(clone, "add", path)


def test_what_is_staged_is_proposed_on_a_branch_of_its_own(world: World, clone: Path) -> None:
    stage(world, clone)
    said = typed(world.alice, clone, "propose", "-m", "Fix the thing", "-m", "Because it was broken.").stdout
    oid = world.refs()["refs/proposals/alice/fix-the-thing"]
    assert oid[:12] in said and "domains/alice/a" in said and "The host says:" in said
    assert world.alice.output(clone, "symbolic-ref", "HEAD") == "refs/heads/proposals/fix-the-thing"
    message = world.alice.output(clone, "log", "-1", "--format=%B")
    assert message.startswith("Fix the thing\n\nBecause it was broken.\n\nLedger-Content: sha256:")
    assert world.emit().ready[0].proposal.oid == oid


def test_who_goes_on_proposes_a_line(world: World, clone: Path) -> None:
    stage(world, clone)
    first = told(world.alice, clone, "propose", "-m", "One", "--topic", "line")
    assert (first["ref"], first["branch"], first["domain"]) == ("refs/proposals/alice/line", "proposals/line", "alice")
    assert first["changed"] == [{"path": "domains/alice/a", "change": "new"}]
    stage(world, clone, text="b\n")
    second = told(world.alice, clone, "propose", "-m", "Two")
    assert second["ref"] == first["ref"] and second["changed"][0]["change"] == "changed"
    assert [verdict.proposal.oid for verdict in world.emit().ready] == [first["oid"], second["oid"]]


def test_the_trailers_are_options(world: World, clone: Path) -> None:
    stage(world, clone)
    typed(world.alice, clone, "propose", "-m", "x", "--salt", "77", "--reorder", "never")
    message = world.alice.output(clone, "log", "-1", "--format=%B")
    assert "Ledger-Reorder: never\nLedger-Salt: 77" in message


def test_without_a_push_it_says_what_to_type(world: World, clone: Path) -> None:
    stage(world, clone)
    said = typed(world.alice, clone, "propose", "-m", "Later", "--no-push").stdout
    assert not [ref for ref in world.refs() if ref.startswith("refs/proposals/")]
    (command,) = (line.strip() for line in said.splitlines() if line.startswith("  git push"))
    world.alice.run(clone, "sh", "-ec", command)
    assert "refs/proposals/alice/later" in world.refs()


@pytest.mark.parametrize(
    ("arguments", "path", "end"),
    [
        (("-m", "x"), None, (1, "nothing-staged")),
        (("-m", ""), "domains/alice/a", (2, "no-message")),
        (("-m", "x\x1by"), "domains/alice/a", (1, "summary-control")),
        (("-m", "x" * 201), "domains/alice/a", (1, "summary-too-long")),
        (("-m", "x", "--topic", "A B"), "domains/alice/a", (2, "topic")),
        (("-m", "x", "--reorder", "maybe"), "domains/alice/a", (2, "reorder")),
        (("-m", "x", "--key", "nowhere"), "domains/alice/a", (1, "no-key")),
        (("-m", "x", "--key", "STRANGER"), "domains/alice/a", (1, "unknown-key")),
        (("-m", "x"), "domains/james/a", (1, "other-domains-path")),
        (("-m", "x"), "elsewhere", (1, "path-not-open")),
        (("-m", "x"), "ledger/x", (1, "ledger-path")),
    ],
)
def test_what_is_refused_moves_nothing(
    world: World, clone: Path, arguments: tuple[str, ...], path: str | None, end: tuple[int, str]
) -> None:
    status, rule = end
    if path:
        stage(world, clone, path)
    refs, head = world.refs(clone), world.alice.output(clone, "rev-parse", "HEAD")
    index = world.alice.output(clone, "write-tree")
    filled = [one.replace("STRANGER", str(world.stranger.key)) for one in arguments]
    said = typed(world.alice, clone, "propose", *filled, status=status)
    assert f"[{rule}]" in said.stderr
    assert world.refs(clone) == refs
    assert world.alice.output(clone, "rev-parse", "HEAD") == head
    assert world.alice.output(clone, "write-tree") == index
    assert not [ref for ref in world.refs() if ref.startswith("refs/proposals/")]


def test_what_can_not_be_sent_is_kept_to_be_carried(world: World, clone: Path) -> None:
    world.alice.git(clone, "remote", "set-url", "origin", str(world.path / "nowhere"))
    stage(world, clone)
    done = typed(world.alice, clone, "propose", "-m", "x")
    assert "Not sent, and kept here: origin does not answer" in done.stderr
    assert "gitledger carry out FILE" in done.stdout
    assert world.place(clone).queue_refs() == {"refs/proposals/alice/x": world.oid("HEAD", clone)}


def test_on_the_host_nothing_is_staged(world: World) -> None:
    key = str(world.alice.key)
    assert "[no-work-tree]" in typed(world.alice, world.host, "propose", "-m", "x", "--key", key, status=2).stderr


def test_a_passphrase_is_asked_for_once_and_not_shown(world: World, clone: Path) -> None:
    world.alice.run(world.path, "ssh-keygen", "-q", "-p", "-P", "", "-N", "secret words", "-f", str(world.alice.key))
    stage(world, clone)
    assert "[passphrase-wanted]" in typed(world.alice, clone, "propose", "-m", "x", status=1).stderr
    arguments = (world.alice, clone, "propose", "-m", "x")
    assert "[wrong-passphrase]" in at_terminal(*arguments, answers=[("Passphrase for", "wrong\n")]).text
    shown = at_terminal(*arguments, answers=[("Passphrase for", "secret words\n")])
    assert shown.status == 0 and "secret" not in shown.text and shown.text.count("Passphrase") == 1


def test_the_queue_says_what_each_still_needs(world: World, clone_of: Clones) -> None:
    world.make_host(paths=("{match: shared/**, proposers: any}", *STANDARDS))
    clone = clone_of(world.alice)
    late = world.propose(world.alice, {"shared/x": "alice\n"}, "Too late", topic="late", base=0)
    world.propose(world.james, {"shared/x": "james\n"}, topic="first", base=0)
    world.emit(world.refs()["refs/proposals/james/first"])
    waits = world.propose(world.james, {"standards/x": "x\n"}, "Agree", topic="agree")
    ready = world.propose(world.alice, {"domains/alice/x": "x\n"}, "Mine", topic="mine")
    typed(world.alice, clone, "fetch")
    for where in (clone, world.host):
        said = told(world.alice, where, "proposals")
        assert bool(said["fetched"]) == (where == clone)
        assert [(one["oid"], one["standing"], one["needs"]) for one in said["proposals"]] == [
            (late, "refused", "a new base"),
            (waits, "waits", "endorsements"),
            (ready, "ready", "nothing"),
        ]
        shown = typed(world.alice, where, "proposals").stdout
        assert "1 more of alice, james, you" in shown and "rebase" in shown and "becomes common@2" in shown
    assert "3 proposals on common@1, as fetched" in typed(world.alice, clone, "proposals").stdout


def test_an_empty_queue_is_said(world: World) -> None:
    assert typed(world.alice, world.host, "proposals").stdout == "0 proposals on common@0\n"
    assert told(world.alice, world.host, "proposals")["proposals"] == []


def test_ones_own_proposal_is_known_without_a_fetch(world: World, clone: Path) -> None:
    stage(world, clone)
    typed(world.alice, clone, "propose", "-m", "Mine")
    assert told(world.alice, clone, "status")["proposals"][0]["ref"] == "refs/proposals/alice/mine"


def test_who_proposed_withdraws_and_nobody_else(world: World, clone_of: Clones) -> None:
    oid = world.propose(world.alice, {"domains/alice/a": "a\n"}, topic="a")
    for person in (world.alice, world.james):
        typed(person, clone_of(person), "fetch")
    refused = typed(world.james, clone_of(world.james), "withdraw", "a", status=1)
    assert "[withdrawal-key]" in refused.stderr
    for named, rule in (("nothing", "not-waiting"), (oid[:3], "not-waiting")):
        assert f"[{rule}]" in typed(world.alice, clone_of(world.alice), "withdraw", named, status=1).stderr
    assert oid[:12] in typed(world.alice, clone_of(world.alice), "withdraw", "alice/a").stdout
    assert "refs/proposals/alice/a" not in world.refs()
    assert f"refs/refusals/{oid}" in world.refs()


def test_an_ambiguous_name_is_said(world: World, clone: Path) -> None:
    world.propose(world.alice, {"domains/alice/a": "a\n"}, topic="same")
    world.propose(world.james, {"domains/james/a": "a\n"}, topic="same")
    typed(world.alice, clone, "fetch")
    assert "[ambiguous]" in typed(world.alice, clone, "withdraw", "same", status=1).stderr
    typed(world.alice, clone, "withdraw", "alice/same")


def test_an_unreadable_line_is_named_and_hides_nothing(world: World, clone: Path) -> None:
    good = world.propose(world.alice, {"domains/alice/a": "a\n"}, topic="good")
    forge.set_ref(
        world.host, "refs/proposals/alice/bad", forge.commit(world.host, world.oid("HEAD^{tree}"), [], "x\n", None)
    )
    said = told(world.alice, world.host, "proposals")
    assert [one["oid"] for one in said["proposals"]] == [good]
    assert [one["ref"] for one in said["unreadable"]] == ["refs/proposals/alice/bad"]
    assert "alice/bad can't be read" in typed(world.alice, world.host, "proposals").stdout
