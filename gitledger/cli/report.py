"""What `status` and `show` print, for people and for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitledger.cli import output, standing
from gitledger.cli.standing import Standing

if TYPE_CHECKING:
    from gitledger.ledger import Snapshot
    from gitledger.roles.status import Duty, Offered, Own, Status
    from gitledger.roles.witness import Plan
    from gitledger.rules.queue import Verdict


def print_status(said: Status) -> None:
    """The seed's line, and below it what concerns whoever asks."""
    output.say((f"{said.name.capitalize()}: {said.newest}", output.HEAD), f" (witness: {said.witness[0]})")
    _print_checkout(said)
    for remote in said.remotes:
        _print_remote(said, remote)
    if said.read_only:
        output.say("No key is at hand, so this is read-only. To choose one:")
        output.command("git config user.signingkey ~/.ssh/id_ed25519.pub; git config gpg.format ssh")
    if said.retired:
        output.say(
            ("This machine is no longer the witness. ", output.WAITS),
            f"It emitted with a key that is not the witness's any more; since then {said.witness[0]} is. "
            "It may be switched off.",
        )
    if said.own:
        output.heading(f"Proposals of {said.domain}" if said.domain else "Your proposals")
        standing.show((_own(said.name, one) for one in said.own), mend=True)
    if said.duty is not None:
        _print_duty(said.name, said.duty)


def status_json(said: Status, anchor: str) -> dict[str, object]:
    """The object that `status --json` prints."""
    return {
        "ledger": said.name,
        "ledger_id": anchor,
        "role": said.role,
        "snapshot": said.newest,
        "witness": {"domain": said.witness[0], "key_id": said.witness[1]},
        "pinned": said.pinned or None,
        "branch": said.branch or None,
        "key_id": said.key_id or None,
        "domain": said.domain or None,
        "read_only": said.read_only,
        "proposals": [_own(said.name, one).as_json() for one in said.own],
        "duty": _duty_json(said.name, said.duty),
        "retired": said.retired,
        "remotes": [
            {
                "name": remote.remote,
                "snapshot": None if remote.number is None else f"{said.name}@{remote.number}",
                "stale": remote.stale,
                "fetched": None if remote.seconds is None else output.iso(remote.seconds),
            }
            for remote in said.remotes
        ],
    }


def print_plan(plan: Plan, ledger: str, *, done: bool = False, gap: bool = True) -> None:
    """What an emission publishes again, numbers, leaves waiting and refuses, or has `done` so; what can't be read.

    A `gap` is an empty line before it.
    """
    will = "" if done else "will be "
    if plan.unpublished:
        output.heading(f"Signed before, not known to be published: {will or 'now '}published", gap=gap)
        gap = True
        for snapshot in plan.unpublished:
            output.say((snapshot.name, output.GOOD), f"  {snapshot.entry.first.partition(': ')[2]}", indent=2)
    for title, verdicts in (
        (f"{will}numbered".capitalize(), plan.ready),
        ("Waits for endorsements", plan.waiting),
        (f"{will}refused".capitalize(), plan.refused),
    ):
        if verdicts:
            output.heading(title, gap=gap)
            gap = True
            standing.show((Standing.of(verdict, plan.queue, ledger) for verdict in verdicts), numbered=True)
    if plan.unreadable:
        output.heading("Can't be read, and is left alone", gap=gap)
        for ref, error in plan.unreadable.items():
            output.say((ref.removeprefix("refs/proposals/"), output.BAD), f"  {standing.reason(error)}", indent=2)


def plan_json(plan: Plan, ledger: str) -> dict[str, object]:
    """The object that `emit --json` prints."""

    def standings(verdicts: tuple[Verdict, ...]) -> list[dict[str, object]]:
        return [Standing.of(verdict, plan.queue, ledger).as_json() for verdict in verdicts]

    return {
        "newest": plan.newest.name,
        "unpublished": [snapshot.name for snapshot in plan.unpublished],
        "ready": standings(plan.ready),
        "waiting": standings(plan.waiting),
        "refused": standings(plan.refused),
        "unreadable": [{"ref": ref, "reason": standing.reason(error)} for ref, error in plan.unreadable.items()],
    }


def print_snapshot(one: Snapshot) -> None:
    """All about one snapshot, and how stock git shows it."""
    output.say((one.name, output.HEAD), f"  {one.summary}")
    output.say()
    rows: list[output.Row] = [("date", output.when(int(one.time.timestamp())))]
    if one.proposer is not None:
        rows.append(("proposer", one.proposer))
        rows.append(("endorsed by", ", ".join(one.endorsers) or "nobody: it needed none"))
    rows.append(("witness", (f"{one.witness}  ", (one.witness_key, output.DIM))))
    rows.append(("commit", one.oid))
    rows.append(("hash", one.hash))
    if one.previous is not None:
        rows.append(("previous", one.previous))
    rows.append(("content", one.content))
    if one.proposal_oid is not None and one.proposal is not None and one.command_id is not None:
        rows.append(("proposal", one.proposal_oid))
        rows.append(("", one.proposal))
        rows.append(("command", one.command_id))
    output.fields(rows)
    if body := one.message.partition("\n")[2].strip():
        output.say()
        for line in body.split("\n"):
            output.say(line, indent=4, hang=0)
    output.heading(f"{output.count(len(one.changed), 'changed path')}")
    for path in one.changed:
        output.say(path, indent=2)
    output.heading("With stock git")
    output.command(f"git show --stat {one.name}")
    if one.number:
        output.command(f"git diff {one.ledger}@{one.number - 1} {one.name}")
    output.command(f"git verify-commit {one.name}")
    output.command(f"git cat-file commit {one.name} | sha256sum")


def snapshot_json(one: Snapshot) -> dict[str, object]:
    """The object that `show --json` prints."""
    return {
        "snapshot": one.name,
        "number": one.number,
        "oid": one.oid,
        "hash": one.hash,
        "time": output.iso(int(one.time.timestamp())),
        "summary": one.summary,
        "message": one.message,
        "proposer": one.proposer,
        "proposal": {"oid": one.proposal_oid, "hash": one.proposal} if one.proposal else None,
        "command": {"id": one.command_id, "key_id": one.command_key, "salt": one.salt} if one.command_id else None,
        "endorsers": list(one.endorsers),
        "witness": {"domain": one.witness, "key_id": one.witness_key},
        "previous": one.previous,
        "content": one.content,
        "changed": list(one.changed),
    }


def _print_checkout(said: Status) -> None:
    if said.role == "host":
        output.say("This is the host.")
    elif said.behind:
        output.say(f"Pinned at {said.pinned}. To move the checkout to the newest verified:")
        output.command(f"gitledger pin {said.newest}")
    elif said.pinned:
        output.say(f"Pinned at {said.pinned}, the newest verified.")
    elif said.branch:
        output.say(f"On your branch {said.branch}.")
    else:
        output.say("The checkout is at a commit that is no snapshot. To pin it:")
        output.command(f"gitledger pin {said.newest}")


def _print_remote(said: Status, remote: Offered) -> None:
    when = f", fetched {output.when(remote.seconds)}" if remote.seconds is not None else ""
    if remote.stale:
        output.say((f"{remote.remote} is stale: ", output.WAITS), f"it had {said.name}@{remote.number}{when}.")
    elif remote.number is None:
        output.say((f"{remote.remote} offers what is not verified here{when}:", output.WAITS))
        output.command("gitledger fetch")
    elif when:
        output.say((f"{remote.remote}{when}.", output.DIM))


def _print_duty(ledger: str, duty: Duty) -> None:
    if duty.error is not None:
        output.heading("You are the witness, and can't emit")
        output.say(standing.reason(duty.error), indent=2)
        output.command(duty.error.mend, indent=4)
        return
    plan = duty.plan
    if plan is None or not (plan.unpublished or plan.verdicts or plan.unreadable):
        output.heading("You are the witness: nothing waits")
        return
    output.heading("You are the witness")
    print_plan(plan, ledger)
    if plan.unpublished or plan.ready or plan.refused:
        output.say()
        output.command("gitledger emit")


def _duty_json(ledger: str, duty: Duty | None) -> dict[str, object] | None:
    if duty is None:
        return None
    error = standing.reason(duty.error) if duty.error else None
    return {**(plan_json(duty.plan, ledger) if duty.plan else {}), "error": error}


def _own(ledger: str, own: Own) -> Standing:
    one = own.proposal
    name = f"{ledger}@{own.number}" if own.error is None else ""
    return Standing(one.oid if one else "", own.ref, one.summary if one else "", name, own.error)
