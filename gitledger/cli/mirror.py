"""`mirror`: where a host pushes its snapshots on, and where a clone takes them from besides its host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from gitledger.cli import output
from gitledger.cli.commands import Argument, Option
from gitledger.cli.options import At, Json, place_here
from gitledger.errors import LedgerError, Usage

if TYPE_CHECKING:
    from gitledger.roles.mirrors import Standing
    from gitledger.roles.place import Place

Name = Annotated[str, Argument(metavar="NAME", help="What it is called here.")]

_PATIENCE = 30


def add(
    name: Name,
    url: Annotated[str, Argument(metavar="URL", help="An address or a directory.")],
    no_tags: Annotated[bool, Option("--no-tags", help="Push the branch alone.")] = False,
    as_json: Json = False,
    at: At = None,
) -> None:
    """Name a mirror.

    A host pushes its snapshots to it from now on, with their tags; a clone fetches from it, too.

    --json: name, url, tags.
    """
    from gitledger.roles import mirrors

    place = place_here()
    mirrors.add(place, name, url, tags=not no_tags)
    if as_json:
        output.as_json({"name": name, "url": mirrors.shown(url), "tags": place.role == "host" and not no_tags})
        return
    if place.role == "host":
        output.say((name, output.HEAD), " is a mirror of this host: what comes is pushed there. To begin now:")
        output.command(f"gitledger mirror push {name}")
    else:
        output.say((name, output.HEAD), " is a mirror that this clone takes snapshots from, as far as they are valid:")
        output.command("gitledger fetch")


def push(
    name: Annotated[str | None, Argument(metavar="[NAME]", help="The mirror; without it, all.")] = None,
    as_json: Json = False,
    at: At = None,
) -> None:
    """Push to the mirrors, now.

    Nothing there is deleted or forced. It is the host that pushes; one that failed does not wait for its turn here.

    --json: mirrors [as of `mirror status`].
    """
    from gitledger.roles import mirrors

    place = place_here()
    _must_be_host(place)
    names = [name] if name is not None else [one.name for one in mirrors.listed(place)]
    errors: list[LedgerError] = []
    for each in names:
        try:
            _push(place, each)
        except LedgerError as error:
            error.subject = error.subject or f"mirror {each}"
            errors.append(error)
    _show(place, [one for one in mirrors.standings(place) if one.mirror.name in names], as_json)
    for other in errors[1:]:
        output.failure(other)
    if errors:
        raise errors[0]


def status(as_json: Json = False, at: At = None) -> None:
    """How the mirrors stand.

    On a host as the last push left them, and one that waited long enough is tried again in the background; in a clone
    as they were last fetched.

    --json: mirrors [{name, url, snapshot, behind, tags, tags_behind, error, tries, next, tried}]; in a clone
    remotes [{name, snapshot, stale, fetched}].
    """
    from gitledger.roles import consumer, mirrors
    from gitledger.roles.status import offered

    place = place_here()
    if place.role == "host":
        _show(place, list(mirrors.standings(place)), as_json)
        mirrors.retry(place)
        return
    known = {one.remote: one for one in offered(place)}
    rows = [(name, known.get(name)) for name in consumer.sources(place)]
    if as_json:
        output.as_json(
            {
                "remotes": [
                    {
                        "name": name,
                        "snapshot": f"{place.name}@{one.number}" if one and one.number is not None else None,
                        "stale": one.stale if one else None,
                        "fetched": output.iso(one.seconds) if one and one.seconds is not None else None,
                    }
                    for name, one in rows
                ]
            }
        )
        return
    width = max((len(name) for name, _ in rows), default=0)
    for name, one in rows:
        when = f", fetched {output.when(one.seconds)}" if one and one.seconds is not None else ""
        has = f"{place.name}@{one.number}" if one and one.number is not None else "nothing that is verified here"
        output.say(f"{name.ljust(width)}  ", has, (", stale" if one and one.stale else "", output.WAITS), when)


def remove(name: Name, as_json: Json = False, at: At = None) -> None:
    """Forget a mirror; what it has, it keeps.

    --json: name.
    """
    from gitledger.roles import mirrors

    mirrors.remove(place_here(), name)
    if as_json:
        output.as_json({"name": name})
    else:
        output.say((name, output.HEAD), " is no mirror any more; what it has, it keeps.")


def watch(as_json: Json = False, at: At = None) -> None:
    """Ask all remotes, verify and compare.

    For monitors, in a clone: a line for each, and by how much it lags. Exit status 3 where one showed a fork, 1 where
    one lied, 4 where one does not answer, else 0, whoever lags.

    --json: ledger, snapshot, remotes [as of `fetch`], forks [as of `status`].
    """
    from gitledger.cli import consumer, report
    from gitledger.roles import foreign

    done = consumer.bring_in_all(place_here())
    if as_json:
        output.as_json(
            {
                "ledger": done.place.name,
                "snapshot": done.place.verified.name,
                "remotes": consumer.answers_json(done),
                "forks": [report.fork_json(fork) for fork in foreign.forks(done.place)],
            }
        )
    else:
        consumer.say_answers(done)
    done.must_all_answer()


def _push(place: Place, name: str) -> None:
    """Push to one; nobody at a terminal is kept waiting by a mirror that hangs without being able to stop it."""
    from gitledger.roles import mirrors

    seconds = None if output.interactive() else mirrors.PUSH_SECONDS
    with output.progress(f"Pushing tags to {name}") as meter:
        mirrors.push(place, name, seconds=seconds, patience=_PATIENCE, progress=meter.step)


def _must_be_host(place: Place) -> None:
    if place.role != "host":
        raise Usage("not-a-host", "this is a clone, and its host pushes to mirrors", "gitledger fetch")


def _show(place: Place, standings: list[Standing], as_json: bool) -> None:
    from gitledger.cli import report

    if as_json:
        output.as_json({"mirrors": [report.mirror_json(place.name, one) for one in standings]})
        return
    if not standings:
        output.say("There are no mirrors. To name one:")
        output.command("gitledger mirror add NAME URL")
    for one in standings:
        report.print_mirror(place.name, one)
        output.say((one.mirror.shown, output.DIM), indent=2)
