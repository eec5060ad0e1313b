"""What `status` and `show` print, for people and for programs."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Final

from gitledger.cli import output, standing
from gitledger.cli.standing import Standing

if TYPE_CHECKING:
    from gitledger.documents.rotation import Rotation, WitnessKey
    from gitledger.ledger import Snapshot
    from gitledger.roles.foreign import KnownFork
    from gitledger.roles.mirrors import Standing as Mirrored
    from gitledger.roles.offering import Item
    from gitledger.roles.status import Duty, Offered, Own, Quiet, Status, Turn
    from gitledger.roles.witness import Plan
    from gitledger.rules.queue import Verdict
    from gitledger.rules.rotations import Drafted

_SHORT: Final = 12
_STYLES: Final = {
    "taken": output.GOOD,
    "there": output.DIM,
    "refused": output.BAD,
    "left": output.WAITS,
    "replaced": output.WAITS,
}
_WORDS: Final = {
    "taken": "taken",
    "there": "there already",
    "refused": "refused",
    "left": "left alone",
    "replaced": "replaced",
}


def say_item(item: Item, source: str = "") -> None:
    """What became of a ref, and `source`, where that is another: the one that it comes from."""
    origin = f"  from {source}" if source not in ("", item.ref) else ""
    output.say((_WORDS[item.outcome], _STYLES[item.outcome]), f"  {item.ref}{origin}")
    say_why(item)


def say_why(item: Item) -> None:
    """Why, or what the host said, line by line; nothing where nothing was said."""
    if item.said:
        output.verbatim("\n".join(f"  {line}" for line in item.said.splitlines()), lambda line: output.DIM)


def was(number: int) -> str:
    """The verb of so many that something was done to."""
    return "was" if number == 1 else "were"


def item_json(item: Item) -> dict[str, object]:
    """What became of a ref, for programs."""
    return {"ref": item.ref, "outcome": item.outcome, "said": item.said}


def print_status(said: Status) -> None:
    """The seed's line, and below it what concerns whoever asks."""
    output.say((f"{said.name.capitalize()}: {said.newest}", output.HEAD), f" (witness: {said.witness[0]})")
    _print_succession(said)
    _print_checkout(said)
    for remote in said.remotes:
        _print_remote(said, remote)
    for mirror in said.mirrors:
        print_mirror(said.name, mirror)
    if said.kept:
        named = ", ".join(ref.removeprefix("refs/").removeprefix("proposals/") for ref in said.kept)
        output.say(("Kept here until the host answers: ", output.WAITS), named)
        output.command("gitledger fetch   (sends it)")
    for ref, rule in sorted(said.refused.items()):
        name = ref.removeprefix("refs/").removeprefix("proposals/")
        output.say(("Kept here, and refused by the host: ", output.BAD), f"{name} [{rule}]. To keep it no more:")
        output.command(f"gitledger withdraw {name}")
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
        _print_duty(said, said.duty)


def status_json(said: Status, anchor: str) -> dict[str, object]:
    """The object that `status --json` prints."""
    return {
        "ledger": said.name,
        "ledger_id": anchor,
        "role": said.role,
        "snapshot": said.newest,
        "witness": {"domain": said.witness[0], "key_id": said.witness[1]},
        "rotated": said.rotated or None,
        "forks": [fork_json(fork) for fork in said.forks],
        "frozen": {"since": output.iso(said.frozen.since), "until": output.iso(said.frozen.until)}
        if said.frozen
        else None,
        "rotations": [_turn_json(turn) for turn in said.rotations],
        "quiet": {"seconds": said.quiet.seconds, "grace": said.quiet.grace, "may_rotate": said.quiet.may_rotate}
        if said.quiet
        else None,
        "pinned": said.pinned or None,
        "branch": said.branch or None,
        "beside": said.beside or None,
        "key_id": said.key_id or None,
        "domain": said.domain or None,
        "read_only": said.read_only,
        "kept": list(said.kept),
        "refused": [{"ref": ref, "rule": rule} for ref, rule in sorted(said.refused.items())],
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
        "mirrors": [mirror_json(said.name, one) for one in said.mirrors],
    }


def print_plan(plan: Plan, ledger: str, *, done: bool = False, gap: bool = True) -> None:
    """What an emission publishes again, seals, numbers, leaves waiting and refuses, or has `done` so.

    A `gap` is an empty line before it.
    """
    will = "" if done else "will be "
    if plan.superseded is not None:
        output.heading("Signed here, and superseded", gap=gap)
        gap = True
        kept = f"it is kept in {plan.superseded.kept}" if plan.superseded.kept else "it will be kept"
        output.say(
            (f"{ledger}@{plan.superseded.number}", output.WAITS),
            f"  never published, and now another witness's number: {kept}",
            indent=2,
        )
    if plan.unpublished:
        output.heading(f"Signed before, not known to be published: {will or 'now '}published", gap=gap)
        gap = True
        for snapshot in plan.unpublished:
            output.say((snapshot.name, output.GOOD), f"  {snapshot.entry.first.partition(': ')[2]}", indent=2)
    if plan.sealing is not None:
        output.heading(f"{will}sealed".capitalize(), gap=gap)
        gap = True
        output.say(
            (f"{ledger}@{plan.newest.number + 1}", output.GOOD),
            f"  witness rotates from {plan.sealing.rotation.rotation.old_witness.domain_id} to "
            f"{plan.sealing.new[0]}, by {_listed(_endorsers(plan.sealing))}",
            indent=2,
        )
    for title, verdicts in (
        (f"{will}numbered".capitalize(), plan.ready),
        (_waits_for(plan.waiting), plan.waiting),
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


def _waits_for(verdicts: tuple[Verdict, ...]) -> str:
    released = any(one.error is not None and one.error.rule == "release-missing" for one in verdicts)
    return "Waits for releases or endorsements" if released else "Waits for endorsements"


def plan_json(plan: Plan, ledger: str) -> dict[str, object]:
    """The object that `emit --json` prints."""

    def standings(verdicts: tuple[Verdict, ...]) -> list[dict[str, object]]:
        return [Standing.of(verdict, plan.queue, ledger).as_json() for verdict in verdicts]

    return {
        "newest": plan.newest.name,
        "superseded": {"number": plan.superseded.number, "kept": str(plan.superseded.kept or "") or None}
        if plan.superseded
        else None,
        "unpublished": [snapshot.name for snapshot in plan.unpublished],
        "sealing": {**drafted_json(plan.sealing), "snapshot": f"{ledger}@{plan.newest.number + 1}"}
        if plan.sealing
        else None,
        "ready": standings(plan.ready),
        "waiting": standings(plan.waiting),
        "refused": standings(plan.refused),
        "unreadable": [{"ref": ref, "reason": standing.reason(error)} for ref, error in plan.unreadable.items()],
    }


def drafted_json(one: Drafted, until: int = 0) -> dict[str, object]:
    """A rotation that waits, in every `--json` that tells one; it holds the branch `until`, in seconds (0: not)."""
    lack, among = one.missing
    return {
        "standing": one.standing,
        **_rotation_json(one.rotation.endorsed(one.endorsements)),
        "missing": lack,
        "missing_of": list(among),
        "until": output.iso(until) if until else None,
        "sealed_by": None,
    }


def sealed_json(rotation: Rotation, name: str) -> dict[str, object]:
    """A rotation that the snapshot `name` sealed, with the same keys."""
    rest: dict[str, object] = {"missing": 0, "missing_of": [], "until": None, "sealed_by": name}
    return {"standing": "sealed", **_rotation_json(rotation), **rest}


def _rotation_json(rotation: Rotation) -> dict[str, object]:
    change, previous = rotation.rotation, rotation.previous_snapshot
    return {
        "rotation": rotation.digest.hex(),
        "from": _who_json(change.old_witness),
        "to": _who_json(change.new_witness),
        "on": {"snapshot": previous.snapshot_id, "hash": previous.snapshot_hash},
        "reason": change.reason,
        "threshold": rotation.endorsements.threshold,
        "endorsed_by": [one.domain_id for one in rotation.endorsements.endorsements],
    }


def _who_json(witness: WitnessKey) -> dict[str, str]:
    return {"domain": witness.domain_id, "key_id": witness.pubkey_id}


def mark(one: Snapshot) -> str:
    """What sets a snapshot off from the others in the log: a rotation, new keys by a quorum; else empty."""
    if one.rotation is not None:
        return f"witness rotates to {one.witness}, by {_listed(one.endorsers)}"
    return f"new keys for {one.rekeyed}, by quorum" if one.rekeyed is not None else ""


def print_snapshot(one: Snapshot) -> None:
    """All about one snapshot, and how stock git shows it."""
    output.say((one.name, output.HEAD), f"  {one.summary}")
    if one.rotation is None and (marked := mark(one)):
        output.say((marked, output.WAITS), indent=2)
    output.say()
    rows: list[output.Row] = [("date", output.when(int(one.time.timestamp())))]
    if one.proposer is not None:
        rows.append(("proposer", one.proposer))
        if one.releasers:
            rows.append(("released by", ", ".join(one.releasers)))
        rows.append(("endorsed by", ", ".join(one.endorsers) or "nobody: it needed none"))
    rows += _rotation_rows(one)
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
    if one.rotation_path is not None:
        output.command(f"git show {one.name}:{one.rotation_path}")
        output.command(f"git show {one.name}:{one.rotation_path} | sha256sum")


def _rotation_rows(one: Snapshot) -> list[output.Row]:
    """Who left, who came, by whom; the artifact that says so."""
    artifact = one.artifact
    if artifact is None or one.rotation is None or one.rotation_path is None:
        return []
    old, new = artifact.rotation.old_witness, artifact.rotation.new_witness
    reason = artifact.rotation.reason
    return [
        ("leaves", (f"{old.domain_id}  ", (old.pubkey_id, output.DIM))),
        ("comes", (f"{new.domain_id}  ", (new.pubkey_id, output.DIM))),
        ("endorsed by", ", ".join(one.endorsers)),
        ("reason", f"{reason} (endorsed by nobody)" if reason is not None else "none is given"),
        ("rotation", one.rotation),
        ("", one.rotation_path),
        ("H", artifact.digest.hex()),
    ]


def seal_json(one: Snapshot) -> dict[str, object] | None:
    """The rotation that a snapshot seals, in `show --json` and `log --json`; null for every other snapshot."""
    if one.artifact is None:
        return None
    return {**sealed_json(one.artifact, one.name), "artifact": one.rotation, "path": one.rotation_path}


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
        "releasers": list(one.releasers),
        "endorsers": list(one.endorsers),
        "rotation": seal_json(one),
        "rekeyed": one.rekeyed,
        "witness": {"domain": one.witness, "key_id": one.witness_key},
        "previous": one.previous,
        "content": one.content,
        "changed": list(one.changed),
    }


def _print_succession(said: Status) -> None:
    """What concerns the witness itself: how it came, forks, a freeze, rotations that wait, its silence."""
    if said.rotated:
        output.say(f"Note: witness rotated at {said.rotated}")
    for fork in said.forks:
        _print_fork(fork)
    if said.frozen is not None:
        since, until = output.when(said.frozen.since), output.when(said.frozen.until)
        output.say((f"Frozen since {since}, until {until}", output.WAITS))
    for turn in said.rotations:
        _print_turn(turn)
    if said.quiet is not None:
        _print_quiet(said.quiet)


def _print_fork(fork: KnownFork) -> None:
    output.say((f"FORK at {fork.name}: ", output.BAD), fork.sentence)
    if fork.evidence is not None:
        output.command(f"gitledger evidence check {shlex.quote(str(fork.evidence))}")
    output.command(f"gitledger adopt {fork.here.hash}   (stays on the side of {fork.here.newest})")
    output.command(f"gitledger adopt {fork.there.hash}   (moves to the side of {fork.there.newest})")


def _print_turn(turn: Turn) -> None:
    to, on = turn.waiting.new[0], turn.waiting.on.name
    have, wanted = turn.count
    how = f"complete, {to} may seal it" if turn.waiting.complete else f"{have} of {wanted}"
    output.say((f"Rotation to {to} on {on}: ", output.WAITS), how, ", yours missing" if turn.yours else "")
    if turn.yours:
        output.command(f"gitledger endorse {turn.waiting.hash[:_SHORT]}")
    if turn.seals:
        output.command("gitledger emit")


def _print_quiet(quiet: Quiet) -> None:
    silent, grace, unit = quiet.told
    told = f"Quiet for {silent} {unit[: -(silent == 1) or None]} (grace {grace}): "
    may = "authorities may rotate" if quiet.may_rotate else "the policy allows no rotation"
    output.say((told, output.WAITS), f"perhaps just off; {may}")
    if quiet.may_rotate and quiet.yours:
        output.command("gitledger rotate --to DOMAIN")


def _turn_json(turn: Turn) -> dict[str, object]:
    return {**drafted_json(turn.waiting, turn.until), "yours_missing": turn.yours, "yours_to_seal": turn.seals}


def fork_json(fork: KnownFork) -> dict[str, object]:
    """A fork that is kept, for programs."""
    here, there = (
        {"hash": side.hash, "newest": side.newest, "witness": side.witness, "rotates_to": side.rotates_to or None}
        for side in (fork.here, fork.there)
    )
    return {
        "snapshot": fork.name,
        "said": fork.sentence,
        "here": here,
        "there": there,
        "remote": fork.remote,
        "seen": output.iso(fork.seconds),
        "evidence": str(fork.evidence) if fork.evidence else None,
    }


def _endorsers(waiting: Drafted) -> tuple[str, ...]:
    return tuple(one.domain_id for one in waiting.endorsements)


def _listed(domains: tuple[str, ...]) -> str:
    """`alice`, `alice and james`, `alice, james and you`."""
    *others, last = domains
    return f"{', '.join(others)} and {last}" if others else last


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
        where = f"at {said.beside} of another side of a fork" if said.beside else "at a commit that is no snapshot"
        output.say(f"The checkout is {where}. To pin it:")
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


def print_mirror(ledger: str, one: Mirrored) -> None:
    """A line on a mirror of the host, and below it what the last push to it ran into."""
    name, reached = one.mirror.name, one.reached
    number = "nothing yet" if reached.number is None else f"{ledger}@{reached.number}"
    tags = f" and {output.count(reached.tags, 'tag')}" if one.mirror.tags and reached.number is not None else ""
    if one.lag or one.tags_lag:
        behind = [output.count(one.lag, "snapshot")] if one.lag else []
        behind += [output.count(one.tags_lag, "tag")] if one.tags_lag else []
        output.say((f"Mirror {name} lacks {' and '.join(behind)}: ", output.WAITS), f"it has {number}{tags}.")
    else:
        output.say((f"Mirror {name} has {number}{tags}.", output.DIM))
    error, tries, after = reached.failed
    if error:
        output.say((error, output.BAD), indent=2)
        counted, when = output.count(tries, "try", "tries"), output.when(after)
        output.say(f"{counted}; again after {when}, with the next push to this host, or now:", indent=2)
        output.command(f"gitledger mirror push {name}", indent=4)


def mirror_json(ledger: str, one: Mirrored) -> dict[str, object]:
    """A mirror of the host, for programs."""
    reached = one.reached
    error, tries, after = reached.failed
    return {
        "name": one.mirror.name,
        "url": one.mirror.shown,
        "snapshot": None if reached.number is None else f"{ledger}@{reached.number}",
        "behind": one.lag,
        "tags": reached.tags if one.mirror.tags else None,
        "tags_behind": one.tags_lag,
        "error": error or None,
        "tries": tries,
        "next": output.iso(after) if after else None,
        "tried": output.iso(reached.seconds) if reached.seconds else None,
    }


def _print_duty(said: Status, duty: Duty) -> None:
    who = "You are the witness" if said.key_id == said.witness[1] else "You are to be the witness"
    if duty.error is not None:
        output.heading(f"{who}, and can't emit")
        output.say(standing.reason(duty.error), indent=2)
        output.command(duty.error.mend, indent=4)
        return
    plan = duty.plan
    if plan is None or not (plan.published or plan.verdicts or plan.unreadable or plan.superseded):
        output.heading(f"{who}: nothing waits")
        return
    output.heading(who)
    print_plan(plan, said.name)
    if plan.published or plan.refused or plan.superseded:
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
