"""What is kept until the host answers: sent, refused, replaced, forgotten; and a host that lets nobody push."""

from __future__ import annotations

from pathlib import Path

from typed import STANDARDS, Clones, told, typed
from world import Person, World

from gitledger.roles import consumer


def go(world: World, clone: Path, where: str) -> None:
    """Let origin be nowhere, or the host."""
    url = str(world.host) if where == "online" else str(clone.parent / "nowhere.git")
    world.alice.git(clone, "remote", "set-url", "origin", url)


def proposed(person: Person, clone: Path, path: str, topic: str) -> str:
    (clone / path).parent.mkdir(parents=True, exist_ok=True)
    (clone / path).write_text(f"{topic} by {clone.name}\n")
    person.git(clone, "add", path)
    oid: str = told(person, clone, "propose", "-m", "Better", "--topic", topic)["oid"]
    return oid


def overtaken(world: World, clone: Path) -> str:
    """A proposal that is kept and that the host refuses: the file is another one by now."""
    go(world, clone, "offline")
    oid = proposed(world.alice, clone, "domains/alice/a.txt", "late")
    go(world, clone, "online")
    world.propose(world.alice, {"domains/alice/a.txt": "first\n"}, topic="first")
    world.emit()
    return oid


def test_what_the_host_refused_is_told_once_and_forgotten_by_withdraw(world: World, clone: Path) -> None:
    overtaken(world, clone)
    done = typed(world.alice, clone, "fetch")
    assert "Kept here, and refused by the host: alice/late" in done.stderr
    assert "gitledger withdraw alice/late" in done.stdout
    again = typed(world.alice, clone, "fetch")
    assert "alice/late" not in again.stderr + again.stdout
    said = told(world.alice, clone, "status")
    assert (said["kept"], [one["ref"] for one in said["refused"]]) == ([], ["refs/proposals/alice/late"])
    shown = " ".join(typed(world.alice, clone, "status").stdout.split())
    assert f"refused by the host: alice/late [{said['refused'][0]['rule']}]" in shown
    assert "until the host answers" not in shown
    typed(world.alice, clone, "withdraw", "alice/late")
    assert told(world.alice, clone, "status")["refused"] == []
    assert world.place(clone).carried() == {}


def test_what_is_proposed_anew_in_its_place_is_sent(world: World, clone: Path) -> None:
    overtaken(world, clone)
    typed(world.alice, clone, "fetch")
    world.alice.git(clone, "checkout", "-q", "-f", "--detach", "refs/tags/common@1")
    world.alice.git(clone, "branch", "-D", "proposals/late")
    go(world, clone, "offline")
    oid = proposed(world.alice, clone, "domains/alice/a.txt", "late")
    go(world, clone, "online")
    sent = told(world.alice, clone, "fetch")["sent"]
    assert [(one["ref"], one["outcome"]) for one in sent] == [("refs/proposals/alice/late", "taken")]
    assert world.refs()["refs/proposals/alice/late"] == oid


def test_what_may_pass_is_sent_again(world: World, clone_of: Clones) -> None:
    world.make_host(limits="pending_per_domain: 1")
    clone = clone_of(world.alice)
    go(world, clone, "offline")
    oid = proposed(world.alice, clone, "domains/alice/b.txt", "late")
    go(world, clone, "online")
    world.propose(world.alice, {"domains/alice/a.txt": "first\n"}, topic="first")
    assert told(world.alice, clone, "fetch")["sent"][0]["outcome"] == "refused"
    assert told(world.alice, clone, "status")["kept"] == ["refs/proposals/alice/late"]
    world.emit()
    assert told(world.alice, clone, "fetch")["sent"][0]["outcome"] == "taken"
    assert world.refs()["refs/proposals/alice/late"] == oid


def test_a_line_that_was_never_sent_is_withdrawn_from_its_end(world: World, clone: Path) -> None:
    go(world, clone, "offline")
    first = proposed(world.alice, clone, "domains/alice/a.txt", "line")
    proposed(world.alice, clone, "domains/alice/b.txt", "line")
    typed(world.alice, clone, "withdraw", "line")
    assert world.place(clone).carried() == {"refs/proposals/alice/line": first}
    typed(world.alice, clone, "withdraw", first[:12])
    assert world.place(clone).carried() == {}
    assert "[not-waiting]" in typed(world.alice, clone, "withdraw", first[:12], status=1).stderr


def test_endorsements_kept_for_it_go_with_it(world: World, clone_of: Clones) -> None:
    world.make_host(paths=STANDARDS)
    clone = clone_of(world.alice)
    go(world, clone, "offline")
    oid = proposed(world.alice, clone, "standards/a.txt", "rule")
    typed(world.alice, clone, "endorse", oid[:12], "--yes")
    assert len(world.place(clone).carried()) == 2
    typed(world.alice, clone, "withdraw", "alice/rule")
    assert world.place(clone).carried() == {}


def test_what_gives_way_to_another_clone_is_told(world: World, clone: Path) -> None:
    other = clone.parent / "other"
    with world.acting(world.alice):
        consumer.clone(str(world.host), other, world.anchor, domain="alice", now=world.now)
    world.alice.git(other, "config", "user.signingkey", f"{world.alice.key}.pub")
    for each in (clone, other):
        go(world, each, "offline")
    mine = proposed(world.alice, clone, "domains/alice/a.txt", "notes")
    proposed(world.alice, other, "domains/alice/b.txt", "notes")
    for each in (clone, other):
        go(world, each, "online")
    assert [one["outcome"] for one in told(world.alice, other, "fetch")["sent"]] == ["taken"]
    done = typed(world.alice, clone, "fetch")
    assert "Kept here no more: alice/notes" in done.stderr
    again = next(line for line in done.stdout.splitlines() if "git push origin" in line).partition("   (")[0].split()
    assert world.place(clone).carried() == {}
    world.alice.run(clone, *again)
    assert world.refs()["refs/proposals/alice/notes-2"] == mine
