"""`clone`, `fetch`, `status`, `verify`, `log`, `show`, `pin`, `allowed-signers`: whoever reads and verifies."""

from __future__ import annotations

import sys
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from gitledger.cli import output
from gitledger.cli.commands import Argument, Option
from gitledger.cli.options import REMOTE, At, Json, Key, key_at_hand, place_here
from gitledger.cli.proposer import say_delivered
from gitledger.errors import Refused, Unreachable, Usage

if TYPE_CHECKING:
    from gitledger.ledger import Snapshot
    from gitledger.roles.consumer import FetchReport, Round
    from gitledger.roles.offering import Item
    from gitledger.roles.place import Place

Named = Annotated[str, Argument(metavar="SNAPSHOT", help="As common@42, or 42.")]


def clone(
    url: Annotated[str, Argument(metavar="URL", help="Where the ledger is: an address or a directory.")],
    directory: Annotated[Path, Argument(metavar="DIR", help="The clone to make.")],
    *,
    anchor: Annotated[
        str | None, Option("--anchor", metavar="sha256:…", help="The ledger id that the founders gave out.")
    ] = None,
    known: Annotated[
        str | None,
        Option(
            "--known", metavar="SNAPSHOT=HASH", help="A recent snapshot: common@41=sha256:…; the line must hold it."
        ),
    ] = None,
    as_domain: Annotated[
        str | None,
        Option("--as", metavar="DOMAIN", help="Your domain: git push of DOMAIN/TOPIC proposes."),
    ] = None,
    as_json: Json = False,
    at: At = None,
) -> None:
    """Make a verified clone of a ledger.

    It is verified from the anchor on, and its newest snapshot is checked out.

    Without --anchor it shows the ledger id that it finds, and takes the one that you were given from the terminal.

    --json: ledger, ledger_id, directory, snapshot, hash.
    """
    from gitledger.roles import consumer

    passed = _known(known)
    anchor = anchor or _typed_anchor(url)
    with output.progress("Verifying") as meter:
        place = consumer.clone(
            url, directory, anchor, known=passed, domain=as_domain, progress=meter.step, watch=meter.watch
        )
    newest = place.verified
    say_unknown_format(place)
    if as_json:
        output.as_json(
            {
                "ledger": place.name,
                "ledger_id": place.anchor,
                "directory": str(directory.resolve()),
                "snapshot": newest.name,
                "hash": newest.hash,
            }
        )
        return
    snapshots = output.count(newest.number + 1, "snapshot")
    output.say(
        (newest.name, output.HEAD), f" is verified from genesis on ({snapshots}) and checked out in {directory}."
    )
    if passed is None:
        output.say(
            "The anchor proves this line, not that it is the newest or the only one: keys long retired could have "
            "forked the past. A recent snapshot from somebody who verified it would prove more: "
            f"--known {place.name}@N=sha256:…"
        )
    if as_domain:
        output.say(f"You propose for {as_domain}:")
        output.command(f"git switch -c {as_domain}/TOPIC; git commit; git push")


def fetch(
    name: Annotated[str | None, Argument(metavar="[NAME]", help="The remote; without it, all.")] = None,
    as_json: Json = False,
    at: At = None,
) -> None:
    """Fetch, verify and advance.

    From every remote that holds the ledger, origin first; the queue comes from origin alone. What was kept here because
    the host did not answer is sent to it. The checkout stays where it is. Exit status 3 where one showed a fork, 0
    where one was good, 1 where none was and one lied, 4 where all were stale or unreachable.

    --json: ledger, before, after, remote, stale (the remote's newest, or null), ahead {snapshot, time} or null,
    queue {left, of {domain: number}, error}, remotes [{name, standing, snapshot, behind, error}], sent [{ref, outcome,
    said}]; `replaced` is what was kept here and gave way to another on the host. With several remotes the keys before
    `remotes` are origin's.
    """
    from gitledger.roles import consumer

    place = place_here()
    known = consumer.sources(place) if place.role == "clone" else ()
    if name is not None and known and name not in known:
        raise Usage("no-such-remote", f"there is no remote {name[:80]}", "gitledger mirror status   (names them)")
    if name is None and len(known) > 1:
        _fetch_all(place, as_json)
        return
    report = bring_in(place, name or next(iter(known), REMOTE))
    say_unknown_format(report.place)
    sent = (*report.replaced, *(_deliver(report.place) if report.remote == REMOTE else ()))
    if as_json:
        output.as_json(_report_json(report) | _sent_json(sent))
    else:
        say_fetched(report)
        say_delivered(sent)
        _say_pinned(report.place)
    report.must_not_be_stale()


def status(key: Key = None, as_json: Json = False, at: At = None) -> None:
    """How the ledger stands for you.

    In a clone it is told as it was last fetched. On a host, a push to a mirror that has waited long enough is tried.

    --json: ledger, ledger_id, role, snapshot, witness {domain, key_id}, rotated, forks [{snapshot, said, here {hash,
    newest, witness, rotates_to}, there {the same}, remote, seen, evidence}], frozen {since, until} or null,
    rotations [{as of `rotations`, yours_missing, yours_to_seal}], quiet {seconds, grace, may_rotate} or null, pinned,
    branch, key_id, domain, read_only, kept [ref], refused [{ref, rule}] (kept, and refused by the host),
    proposals [as of `proposals`], duty {as of `emit`, error} or null, retired, remotes [{name, snapshot, stale,
    fetched}], mirrors [as of `mirror status`].
    """
    from gitledger.cli import report
    from gitledger.roles import mirrors
    from gitledger.roles.status import status as status_of

    place = place_here()
    say_unknown_format(place)
    said = status_of(place, key_at_hand(place, key))
    if as_json:
        output.as_json(report.status_json(said, place.anchor))
    else:
        report.print_status(said)
    mirrors.retry(place)


def verify(
    snapshot: Annotated[
        str | None, Argument(metavar="SNAPSHOT", help="As common@42, or 42; without it, the newest.")
    ] = None,
    from_genesis: Annotated[
        bool, Option("--from-genesis", help="Verify every snapshot up to it, from the anchor on.")
    ] = False,
    jobs: Annotated[
        int | None,
        Option("--jobs", metavar="N", min=1, help="Processes to share it; as many as the machine runs."),
    ] = None,
    as_json: Json = False,
    at: At = None,
) -> None:
    """Verify a snapshot, or all from genesis.

    One alone is verified on the snapshot before it.

    --json: snapshot, hash, oid, witness, from_genesis.
    """
    from gitledger.roles import consumer

    place = place_here()
    with output.progress("Verifying from genesis") as meter:
        found = consumer.verify(place, snapshot, from_genesis=from_genesis, jobs=jobs, progress=meter.step)
    say_unknown_format(place)
    if as_json:
        output.as_json(
            {
                "snapshot": found.name,
                "hash": found.hash,
                "oid": found.oid,
                "witness": found.entry.witness,
                "from_genesis": from_genesis,
            }
        )
        return
    how = f"signed by the witness {found.entry.witness}"
    if from_genesis and found.number:
        how = f"and so is every snapshot before it, from genesis on ({output.count(found.number + 1, 'snapshot')})"
    output.say(("✓ ", output.GOOD), (found.name, output.HEAD), f" is valid, {how}.")
    output.fields([("hash", found.hash)])


def log(
    limit: Annotated[int | None, Option("-n", "--number", metavar="N", min=0, help="Only the newest N.")] = None,
    as_json: Json = False,
    at: At = None,
) -> None:
    """The snapshots, newest first.

    Each on a line: name, date, proposer, first line of its message. Rotations of the witness and new keys by a quorum
    are marked.

    --json: ledger, snapshots [{number, snapshot, oid, time, proposer, summary, rotation [as of `show`], rekeyed}].
    """
    from gitledger.cli import report
    from gitledger.ledger import Ledger

    place = place_here()
    ledger = Ledger(place)
    snapshots = islice(reversed(ledger), limit)
    if as_json:
        output.as_json({"ledger": ledger.name, "snapshots": [_brief(snapshot) for snapshot in snapshots]})
        return
    widths = (len(ledger.current.name), 16, max(len(domain) for domain in place.verified.state.domains()))
    roomy = output.fits(widths, rest=16)
    for one in snapshots:
        name = (one.name.ljust(widths[0]), output.HEAD)
        date = output.when(int(one.time.timestamp()))
        who = one.proposer or one.witness
        marked = report.mark(one)
        said = (marked, output.WAITS) if marked else one.summary
        if roomy:
            output.columns([name, (date, output.DIM), who, said], widths=widths)
        else:
            output.columns([name, (date[:10], output.DIM), said], widths=(widths[0], 10))


def show(snapshot: Named, as_json: Json = False, at: At = None) -> None:
    """All about one snapshot.

    It ends with the commands by which stock git shows the same.

    --json: snapshot, number, oid, hash, time, summary, message, proposer, proposal {oid, hash}, command {id, key_id,
    salt}, releasers, endorsers, rotation {artifact, path, and as of `rotations`} or null, rekeyed, witness {domain,
    key_id}, previous, content, changed.
    """
    from gitledger.cli import report
    from gitledger.ledger import Ledger

    found = Ledger(place_here())[snapshot]
    if as_json:
        output.as_json(report.snapshot_json(found))
    else:
        report.print_snapshot(found)


def pin(snapshot: Named, as_json: Json = False, at: At = None) -> None:
    """Move the checkout to a verified snapshot.

    --json: snapshot.
    """
    from gitledger.roles import consumer

    name = consumer.pin(place_here(), snapshot)
    if as_json:
        output.as_json({"snapshot": name})
    else:
        output.say("The checkout is at ", (name, output.HEAD), ".")


def allowed_signers(at: At = None) -> None:
    """Print the allowed-signers file.

    It names the keys of the newest verified snapshot by domain, for git and ssh-keygen.
    """
    from gitledger.roles import consumer

    sys.stdout.write(consumer.allowed_signers(place_here().verified))


def say_unknown_format(place: Place) -> None:
    """Say it where the newest verified snapshot has a format that this software does not know (spec 7)."""
    try:
        place.verified.state.must_be_known_format()
    except Refused as error:
        output.remark(error)


def bring_in(place: Place, remote: str = REMOTE) -> FetchReport:
    """Fetch from `remote` into the clone `place`, with progress on a terminal."""
    from gitledger.roles import consumer

    with output.progress("Verifying") as meter:
        return consumer.fetch(place, remote, progress=meter.step, watch=meter.watch)


def bring_in_all(place: Place) -> Round:
    """Fetch from all remotes into the clone `place`, with progress on a terminal."""
    from gitledger.roles import consumer

    with output.progress("Verifying") as meter:
        return consumer.fetch_all(place, progress=meter.step, watch=meter.watch)


def _fetch_all(place: Place, as_json: bool) -> None:
    done = bring_in_all(place)
    say_unknown_format(done.place)
    answered = any(one.remote == REMOTE and one.standing in ("good", "stale") for one in done.answers)
    replaced = [item for one in done.answers if one.report is not None for item in one.report.replaced]
    sent = (*replaced, *(_deliver(done.place) if answered else ()))
    if as_json:
        output.as_json(_round_json(done) | _sent_json(sent))
    else:
        say_newest(place.name, done.before, done.after)
        say_answers(done)
        say_delivered(sent)
        _say_pinned(done.place)
    done.must_be_good()


def _deliver(place: Place) -> tuple[Item, ...]:
    """Send what is kept here; a host that only lets people read answers a fetch, and nothing is lost by it."""
    from gitledger.roles import sending

    try:
        return sending.deliver(place, REMOTE)
    except Unreachable as error:
        output.note(("Not sent, and still kept here: ", output.WAITS), error.what)
        return ()


def _sent_json(items: tuple[Item, ...]) -> dict[str, object]:
    from gitledger.cli import report

    return {"sent": [report.item_json(item) for item in items]}


def _say_pinned(place: Place) -> None:
    from gitledger.roles.status import checkout

    pinned, _ = checkout(place)
    newest = place.verified.name
    if pinned and pinned != newest:
        output.say(f"The checkout stays at {pinned}. To move it:")
        output.command(f"gitledger pin {newest}")


def say_answers(done: Round) -> None:
    """A line on each remote: what it has, by how much it lags, what is wrong with it."""
    name, width = done.place.name, max(len(one.remote) for one in done.answers)
    for one in done.answers:
        label = f"{one.remote.ljust(width)}  "
        if one.error is not None:
            what = "FORK" if one.standing == "forked" else one.standing
            style = output.WAITS if one.standing == "unreachable" else output.BAD
            output.say(label, (f"{what}: ", style), str(one.error))
        elif one.number is None:
            output.say(label, "nothing that is verified here")
        elif one.standing == "stale":
            behind = output.count(done.after - one.number, "snapshot")
            output.say(label, f"{name}@{one.number}, ", (f"stale by {behind}", output.WAITS))
        else:
            output.say(label, f"{name}@{one.number}")
    for one in done.answers:
        if one.report is not None:
            _say_left(one.report)


def say_newest(name: str, before: int, after: int) -> None:
    """What is the newest verified number now, and how many came since the one `before`."""
    if after > before:
        new = output.count(after - before, "new snapshot")
        output.say((f"{name}@{after}", output.HEAD), f" is verified: {new} since {name}@{before}.")
    else:
        output.say((f"{name}@{after}", output.HEAD), " is still the newest.")


def say_fetched(report: FetchReport) -> None:
    """What a fetch brought, and what it left."""
    if report.after > report.before or (report.stale is None and report.ahead is None):
        say_newest(report.place.name, report.before, report.after)
    _say_left(report)


def _say_left(report: FetchReport) -> None:
    """What waits of what a remote has, and what stays there."""
    if report.ahead is not None:
        waits, seconds = report.ahead
        other = "" if int(waits.rpartition("@")[2]) > report.after else ", and on another line than this one"
        output.note(
            (f"{waits} waits: ", output.WAITS),
            f"it is dated {output.when(seconds)}, more than a day ahead of this machine's clock{other}",
        )
    if report.left:
        whose = [f"{domain or 'others'} ({number:,})" for domain, number in report.left.items()]
        more = f" and {len(whose) - 8} more" if len(whose) > 8 else ""
        left = output.count(sum(report.left.values()), "ref")
        output.note(
            f"{left} of the queue at {report.remote} were too many and stay there: {', '.join(whose[:8])}{more}"
        )
    if report.queue_error is not None:
        output.note(("The queue was not fetched: ", output.WAITS), str(report.queue_error))


def _report_json(report: FetchReport) -> dict[str, object]:
    name, ahead = report.place.name, report.ahead
    return {
        "ledger": name,
        "before": f"{name}@{report.before}",
        "after": f"{name}@{report.after}",
        "remote": report.remote,
        "stale": None if report.stale is None else f"{name}@{report.stale}",
        "ahead": {"snapshot": ahead[0], "time": output.iso(ahead[1])} if ahead else None,
        "queue": _queue_json(report),
        "remotes": [
            {
                "name": report.remote,
                "standing": "good" if report.stale is None else "stale",
                "snapshot": _there(report),
                "behind": 0 if report.stale is None else report.after - report.stale,
                "error": None,
            }
        ],
    }


def _queue_json(report: FetchReport | None) -> dict[str, object]:
    """What came of the queue; of all that is of no registered domain `of` has one number, under no name."""
    left, error = (report.left, report.queue_error) if report else ({}, None)
    return {"left": sum(left.values()), "of": dict(left), "error": str(error) if error else None}


def _there(report: FetchReport) -> str | None:
    """The newest snapshot that the remote has on the verified line, by name."""
    if report.ahead is not None:
        return None
    return f"{report.place.name}@{report.after if report.stale is None else report.stale}"


def _round_json(done: Round) -> dict[str, object]:
    first, name = done.answers[0], done.place.name
    stale, ahead = first.standing == "stale", first.report.ahead if first.report else None
    return {
        "ledger": name,
        "before": f"{name}@{done.before}",
        "after": f"{name}@{done.after}",
        "remote": first.remote,
        "stale": f"{name}@{first.number}" if stale else None,
        "ahead": {"snapshot": ahead[0], "time": output.iso(ahead[1])} if ahead else None,
        "queue": _queue_json(first.report),
        "remotes": answers_json(done),
    }


def answers_json(done: Round) -> list[dict[str, object]]:
    """What came of each remote, for programs."""
    return [
        {
            "name": one.remote,
            "standing": one.standing,
            "snapshot": None if one.number is None else f"{done.place.name}@{one.number}",
            "behind": None if one.number is None else done.after - one.number,
            "error": str(one.error) if one.error else None,
        }
        for one in done.answers
    ]


def _brief(snapshot: Snapshot) -> dict[str, object]:
    from gitledger.cli import report

    return {
        "number": snapshot.number,
        "snapshot": snapshot.name,
        "oid": snapshot.oid,
        "time": output.iso(int(snapshot.time.timestamp())),
        "proposer": snapshot.proposer,
        "summary": snapshot.summary,
        "rotation": report.seal_json(snapshot),
        "rekeyed": snapshot.rekeyed,
    }


def _known(said: str | None) -> tuple[str, str] | None:
    if said is None:
        return None
    name, equals, digest = said.partition("=")
    if not equals:
        raise Usage("known", f"--known {said} is not SNAPSHOT=HASH", "--known common@41=sha256:…")
    return name, digest


def _typed_anchor(url: str) -> str:
    """The anchor that a person was given, compared with what the ledger at `url` says, and typed; never taken from it.

    Raises Usage (`anchor-wanted`) where nobody can be asked, Refused (`wrong-anchor`) where the two differ.
    """
    from gitledger.roles import consumer

    if not output.interactive():
        raise Usage(
            "anchor-wanted",
            "without an anchor nothing can be verified, and there is no terminal to ask for it",
            f"gitledger clone {url} DIR --anchor sha256:…   (the ledger id, as the founders gave it out)",
        )
    found = consumer.peek(url)
    output.note("The ledger there says that its id is")
    output.note((found, output.HEAD), indent=2)
    output.note(
        "Anybody could say so. Compare it with the id that the founders gave you, by another way than this one."
    )
    typed = output.answer("The id that you were given: ").strip()
    if not typed.startswith("sha256:"):
        typed = f"sha256:{typed}"
    if typed != found:
        raise Refused(
            "wrong-anchor",
            "that is not the id of the ledger there: it is another ledger, or there is a slip in what was typed",
            "ask the founders; nothing was cloned",
        )
    return typed
