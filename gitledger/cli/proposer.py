"""`propose`, `proposals`, `withdraw`: bringing things to the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from gitledger.cli import output, report, standing
from gitledger.cli.commands import Option
from gitledger.cli.options import REMOTE, At, Json, Key, Waiting, place_here, signer_for, waiting
from gitledger.cli.standing import Standing
from gitledger.errors import Usage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gitledger.objects.trees import File
    from gitledger.roles.offering import Item
    from gitledger.roles.place import Place
    from gitledger.roles.proposer import Proposed
    from gitledger.roles.sending import Sent
    from gitledger.rules.proposal import Permit
    from gitledger.signing.signers import Signer


def propose(
    message: Annotated[
        list[str], Option("-m", "--message", metavar="MESSAGE", help="What and why; each -m is a paragraph.")
    ],
    *,
    topic: Annotated[
        str | None, Option("--topic", metavar="T", help="What to call it; else made of the message.")
    ] = None,
    reorder: Annotated[
        str | None,
        Option(
            "--reorder",
            metavar="never|unchanged|any",
            help="What may have happened since its base: nothing, nothing to the paths it touches, or anything.",
        ),
    ] = None,
    salt: Annotated[
        int | None, Option("--salt", metavar="N", min=1, help="Versions of one proposal share a salt.")
    ] = None,
    no_push: Annotated[bool, Option("--no-push", help="Commit, and leave it to you to push.")] = False,
    key: Key = None,
    as_json: Json = False,
    at: At = None,
) -> None:
    """Propose what is staged.

    It becomes a signed commit on a branch of its own, and is pushed.

    --json: oid, ref, branch, domain, summary, changed [{path, change}], pushed, said, kept (why the host could not be
    reached; it waits here to be carried; or null).
    """
    place = place_here()
    permit = _permit(reorder)
    text = "\n\n".join(message)
    signer = signer_for(place, key, take_certificate=True)
    done = make(place, signer, text, topic=topic, permit=permit, salt=salt, push=not no_push)
    if as_json:
        changed = [{"path": path, "change": word} for path, word in _changes(done)]
        output.as_json(
            {
                "oid": done.proposal.oid,
                "ref": done.ref,
                "branch": done.branch,
                "domain": done.transition.who.domain,
                "summary": done.proposal.summary,
                "changed": changed,
                "pushed": not no_push and done.sent.kept is None,
                **sent_json(done.sent),
            }
        )
        return
    say_proposed(done, pushed=not no_push)


def proposals(as_json: Json = False, at: At = None) -> None:
    """The queue, and what each still needs.

    In the order of the witness; in a clone, as it was last fetched.

    --json: ledger, fetched (or null), proposals [{oid, ref, summary, standing: ready | waits | refused | withdrawn,
    needs: nothing | endorsements | a release | a new base | a change, snapshot, rule,
    reason, mend}], unreadable [{ref, reason}].
    """
    import time

    from gitledger.rules import queue

    place = place_here()
    state, seconds = place.verified.state, place.verified.next_seconds(int(time.time()))
    read = queue.read(state, place.queue_refs())
    found = [Standing.of(verdict, read, place.name) for verdict in queue.decide(state, read, seconds)]
    fetched = _fetched(place)
    if as_json:
        output.as_json(
            {
                "ledger": place.name,
                "fetched": None if fetched is None else output.iso(fetched),
                "proposals": [one.as_json() for one in found],
                "unreadable": [{"ref": r, "reason": standing.reason(error)} for r, error in read.unreadable.items()],
            }
        )
        return
    when = f", as fetched {output.when(fetched)}" if fetched is not None else ""
    output.say(f"{output.count(len(found), 'proposal')} on {place.verified.name}{when}")
    if found:
        output.say()
        standing.show(found, mend=True)
    for ref, error in read.unreadable.items():
        output.say((ref.removeprefix("refs/proposals/"), output.BAD), f" can't be read: {standing.reason(error)}")


def withdraw(proposal: Waiting, key: Key = None, at: At = None) -> None:
    """Take back a proposal of your domain.

    What is kept here alone, because the host did not answer or refused it, is kept no more: a proposal with what was
    kept for it, or an endorsement or a rotation by the ref that `gitledger status` names.
    """
    from gitledger.roles import proposer, sending

    place = place_here()
    if gone := sending.forget(place, proposal, REMOTE):
        for ref in gone:
            output.say("Kept here no more: ", (ref.removeprefix("refs/"), output.HEAD))
        output.say(
            "What is committed on top of it would propose it again. Where it was carried out in a file, the host may "
            "have it yet: then withdraw it once it is there."
        )
        return
    one = waiting(place, proposal)
    sent = proposer.withdraw(place, signer_for(place, key), one)
    output.say(f"Withdrawn: {one.oid[:12]} {one.summary}")
    say_sent(sent)


def make(
    place: Place,
    signer: Signer,
    message: str,
    *,
    topic: str | None = None,
    permit: Permit | None = None,
    salt: int | None = None,
    push: bool = True,
) -> Proposed:
    """Propose what is staged."""
    from gitledger.roles import proposer

    return proposer.propose(place, signer, message, topic=topic, permit=permit, salt=salt, push=push, remote=REMOTE)


def say_proposed(done: Proposed, *, pushed: bool = True) -> None:
    """What was proposed, and what the host says to it."""
    one = done.proposal
    where = done.ref.removeprefix("refs/proposals/")
    done_so = "is proposed" if pushed and done.sent.kept is None else "is committed"
    output.say((where, output.HEAD), f" {done_so}: {one.oid[:12]} {one.summary}")
    for path, word in _changes(done):
        output.columns([(word, output.DIM), path], widths=(len("changed"),), indent=2)
    output.say((f"It is on your branch {done.branch}.", output.DIM))
    if not pushed:
        output.say("To propose it:")
        output.command(f"git push {REMOTE} {done.branch}:{done.ref}")
    say_sent(done.sent)


def say_sent(sent: Sent) -> None:
    """The host's own lines, apart from ours; or that it could not be reached, and how to carry what is kept."""
    say_delivered(sent.besides)
    if sent.kept is not None:
        output.note(("Not sent, and kept here: ", output.WAITS), standing.reason(sent.kept))
        output.say("It goes with the next gitledger fetch that reaches the host. To carry it there:")
        output.command("gitledger carry out FILE")
    elif sent.said:
        output.say("The host says:")
        output.verbatim("\n".join(f"  {line}" for line in sent.said.splitlines()), lambda line: output.DIM)


def say_delivered(items: Sequence[Item]) -> None:
    """What became of that which had been kept here until the host answered."""
    for item in items:
        name = item.ref.removeprefix("refs/").removeprefix("proposals/")
        if item.outcome == "taken":
            output.say(("Sent, as it was kept here: ", output.GOOD), name)
            continue
        if item.outcome in ("replaced", "there"):
            output.note((f"Kept here no more: {name}", output.WAITS))
            report.say_why(item)
            continue
        output.note((f"Kept here, and refused by the host: {name}", output.BAD))
        report.say_why(item)
        output.say("To keep it no more:")
        output.command(f"gitledger withdraw {name}")


def sent_json(sent: Sent) -> dict[str, object]:
    """What came of sending it, for a program."""
    return {"said": sent.said, "kept": None if sent.kept is None else str(sent.kept)}


def _changes(done: Proposed) -> list[tuple[str, str]]:
    return [(path, _word(*pair)) for path, pair in done.transition.changes.items()]


def _word(old: File | None, new: File | None) -> str:
    return "new" if old is None else "gone" if new is None else "changed"


def _permit(said: str | None) -> Permit | None:
    from gitledger.rules.proposal import Permit

    if said is None:
        return None
    try:
        return Permit(said)
    except ValueError:
        raise Usage("reorder", f"--reorder is never, unchanged or any, not {said}", "--reorder unchanged") from None


def _fetched(place: Place) -> int | None:
    if place.role == "host":
        return None
    from gitledger.roles import consumer

    return consumer.fetched(place).get(REMOTE)
