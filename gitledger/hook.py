"""What a host's hooks run (spec 11): `python -m gitledger.hook pre-receive`, `post-receive` or `mirror NAME`.

`pre-receive` takes away the locks that a killed git left, decides the whole push, writes nothing, and says what became
of it in sentences that the pusher reads behind `remote:`; `post-receive` makes tags and clears decided refs, which the
next run finishes where one was killed, and starts the pushes to mirrors, for which nobody waits.
Whatever goes wrong is a sentence, and a push that can't be decided is refused.

A hook stands between a person and the prompt: everything is imported only when it is needed.
"""

from __future__ import annotations

import gc
import os
import sys

from gitledger.errors import LedgerError, Refused, Usage
from gitledger.objects.sharing import share

TYPE_CHECKING = False  # as in `typing`, which takes longer to import than the rest of this
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Final

    from gitledger.roles.gate import Accepted, Queued, Rotating, Supported, Update
    from gitledger.rules.proposal import Proposal

_WIDTH: Final = 72
_PUSHED_BYTES: Final = 10_000 * 512
"""How many bytes the names of what is pushed have at most: as many as the refs that a push may bring, and more."""
_CONSEQUENTIAL: Final = ("refs/heads/", "refs/refusals/", "refs/rotations/")
"""A push to these leaves something to do."""

Pushed = tuple[str, str, str]


def main(arguments: Sequence[str]) -> int:
    """Run the hook that `arguments` name, on what Git writes to standard input; returns the exit status."""
    name = " ".join(arguments)
    try:
        share(os.environ.get("GIT_DIR", "."))
        if name == "pre-receive":
            return pre_receive(_pushed())
        if name == "post-receive":
            return post_receive(_pushed())
        if len(arguments) == 2 and arguments[0] == "mirror":
            return mirror(arguments[1])
        raise Usage("no-such-hook", "the hooks are pre-receive and post-receive, and git runs them")
    except LedgerError as error:
        _say(_reason("gitledger", error))
    except Exception as error:
        _say(_wrapped(f"gitledger: internal error, {type(error).__name__}: {error}"))
    if name == "post-receive":
        _say(_wrapped("What was pushed is in. The next run of the hook finishes what this one left undone."))
    else:
        _say(["Nothing was changed."])
    return 1


def pre_receive(lines: Sequence[Pushed]) -> int:
    """Decide a push: 0 to take all of it, 1 to take nothing. Raises Usage, Unsound, Failed."""
    import time

    from gitledger.objects.store import Store
    from gitledger.roles.gate import Update, decide
    from gitledger.roles.place import Place

    gc.enable()
    if not lines:
        raise Usage("nothing-pushed", "git says on standard input what is pushed, and it says nothing")
    updates = [Update(*line) for line in lines]
    store = Store.quarantined()
    store.clear_stale_locks()  # git would stumble over them once the push is decided
    decision = decide(Place.of(store), updates, int(time.time()))
    for accepted in decision.accepted:
        _say(_accepted(accepted))
    if decision.refused:
        _say(_refused(decision.refused, updates))
        return 1
    return 0


def post_receive(lines: Sequence[Pushed]) -> int:
    """Do what follows from a push, and what an earlier run left. Raises Unsound, Failed."""
    from gitledger.roles.settled import is_settled

    git_dir = os.environ.get("GIT_DIR", ".")
    if lines and not any(ref.startswith(_CONSEQUENTIAL) for _, _, ref in lines) and is_settled(git_dir):
        _on_to_mirrors(git_dir)
        return 0
    import time

    from gitledger.objects.store import Store
    from gitledger.roles.place import Place
    from gitledger.roles.upkeep import settle

    gc.enable()
    settle(Place.of(Store.open(git_dir, durable=True)), int(time.time()))
    _on_to_mirrors(git_dir)
    return 0


def mirror(name: str) -> int:
    """Push to the mirror `name`, in the background: what comes of it is noted for `status`."""
    from pathlib import Path

    from gitledger.roles import mirrors
    from gitledger.roles.place import Place

    gc.enable()
    mirrors.run(Place.open(Path(os.environ.get("GIT_DIR", "."))), name)
    return 0


def _on_to_mirrors(git_dir: str) -> None:
    """Start a push to each mirror that lacks something. Where that can't be, the next run of the hook tries again."""
    from gitledger.roles import due

    try:
        due.start(git_dir, due.mirrors(git_dir))
    except OSError:
        return


def _pushed() -> list[Pushed]:
    """The lines `<old> <new> <ref>` of standard input.

    Raises Usage (`push-line`) for another, as git writes none, Refused (`too-many-refs`) for what has no end.
    """
    if sys.stdin is None or sys.stdin.isatty():
        return []
    raw = sys.stdin.buffer.read(_PUSHED_BYTES + 1)
    if len(raw) > _PUSHED_BYTES:
        raise Refused("too-many-refs", "more refs come in one push than are looked at", "push them in several portions")
    found: list[Pushed] = []
    for line in raw.decode("utf-8", "replace").split("\n"):
        if not line:
            continue
        old, _, rest = line.partition(" ")
        new, _, ref = rest.partition(" ")
        if not ref or any(len(oid) != 40 or oid.strip("0123456789abcdef") for oid in (old, new)):
            raise Usage("push-line", f"{line[:80]!a} is not `<old> <new> <ref>`, two object ids and a ref")
        found.append((old, new, ref))
    return found


# What is said


def _accepted(accepted: Accepted) -> Iterable[str]:
    from gitledger.roles.gate import Advanced, Queued, Rotating, Supported

    if isinstance(accepted, Advanced):
        return [f"{_range(accepted.first, accepted.last)} accepted"]
    if isinstance(accepted, Queued):
        return _queued(accepted)
    if isinstance(accepted, Supported):
        return _supported(accepted)
    if isinstance(accepted, Rotating):
        return _rotating(accepted)
    return _wrapped(f"{_shown(accepted.proposal)} is {accepted.refusal.verb}: {accepted.ref}")


def _queued(queued: Queued) -> Iterator[str]:
    tip = queued.line[-1]
    what = _shown(tip) if len(queued.line) == 1 else f"{len(queued.line)} proposals, the last of them {_shown(tip)},"
    how = "replaced" if queued.replaces else "accepted"
    yield from _wrapped(f"{queued.ref} {how}: {what} waits at place {queued.place} of {queued.length} in the queue")
    yield from _wrapped(_outlook(queued), "  ")
    yield "  to replace it: git commit --amend -S, then"
    yield f"    git push origin +HEAD:{queued.ref}"
    yield "  a refusal would appear as"
    yield f"    git fetch origin refs/refusals/{tip.oid} && git cat-file tag FETCH_HEAD"


def _outlook(queued: Queued) -> str:
    """What a line waits for: the first of it that is not ready decides."""
    held = next((verdict for verdict in queued.verdicts if not verdict.ready), None)
    numbers = [verdict.transition.after.snapshot_name for verdict in queued.verdicts if verdict.transition]
    if not queued.verdicts:
        return "it is decided in this same push"
    if held is None:
        becomes = _range(numbers[0], numbers[-1])
        return f"it waits for the witness, {queued.witness}: as things stand it becomes {becomes}"
    which = "it" if len(queued.line) == 1 else _shown(held.proposal)
    if held.waits and held.error:
        return f"{which} {held.error.what}"
    return f"but what waits before it goes first, and then {which} would be refused: {held.error}"


def _supported(supported: Supported) -> Iterator[str]:
    from gitledger.rules.release import Release

    by = supported.support
    said = f"{by.name} releases" if isinstance(by, Release) else f"{by.domain} endorses"
    yield from _wrapped(f"{said} {_shown(supported.proposal)}")
    verdict = supported.verdict
    if verdict is not None and verdict.transition is not None:
        name = verdict.transition.after.snapshot_name
        yield from _wrapped(f"it waits for the witness: as things stand it becomes {name}", "  ")
    elif verdict is not None and verdict.error is not None:
        yield from _wrapped(f"it {verdict.error.what}", "  ")


def _rotating(rotating: Rotating) -> Iterator[str]:
    from gitledger.roles.hold import when

    one = rotating.waiting
    to, by = one.new[0], ", ".join(each.domain_id for each in one.endorsements)
    yield from _wrapped(f"rotation {one.hash[:12]} to {to} on {one.on.name}: endorsed by {by}")
    lack, among = one.missing
    if lack:
        yield from _wrapped(f"it lacks {lack} more of {', '.join(among)}", "  ")
        return
    yield from _wrapped(f"it is complete: {to} seals it with gitledger emit", "  ")
    if rotating.until:
        yield from _wrapped(f"until {when(rotating.until)} no other snapshot is taken here", "  ")


def _refused(refused: Sequence[tuple[str, LedgerError]], updates: Sequence[Update]) -> Iterator[str]:
    from gitledger.roles.gate import NOT_IN_TABLE, TABLE

    said: set[str] = set()
    for ref, error in refused:
        yield from _reason(f"{ref} refused", error, said)
    if any(error.rule == NOT_IN_TABLE for _, error in refused):
        width = max(len(ref) for ref, _ in TABLE)
        yield "What may be pushed:"
        yield from (f"  {ref:{width}}  {what}" for ref, what in TABLE)
    if len(updates) > 1:
        yield from _wrapped(f"Nothing of this push was taken: all {len(updates)} refs come together or not at all.")


def _reason(subject: str, error: LedgerError, said: set[str] | None = None) -> Iterator[str]:
    """What is wrong, and what to type; a mend that stands above already is not repeated."""
    yield from _wrapped(f"{subject}: {error}")
    if error.mend and (said is None or error.mend not in said):
        yield "  what to do:"
        yield from (f"    {line}" for line in error.mend.split("\n"))
    if said is not None:
        said.add(error.mend)


def _shown(proposal: Proposal) -> str:
    return f"{proposal.oid[:12]} ({proposal.summary})"


def _range(first: str, last: str) -> str:
    return first if first == last else f"{first} … {last}"


def _wrapped(text: str, indent: str = "") -> list[str]:
    import textwrap

    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=indent,
        subsequent_indent=indent + "  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _say(lines: Iterable[str]) -> None:
    """Print for a person, without what a terminal would obey. Who has hung up hears nothing, and changes nothing."""
    text = "\n".join("".join(each if each.isprintable() else "?" for each in line) for line in lines)
    if sys.stderr is None:
        return
    try:
        sys.stderr.buffer.write(text.encode("utf-8", "replace") + b"\n")
        sys.stderr.buffer.flush()
    except OSError:
        pass


def run(arguments: Sequence[str]) -> None:
    """Be the hook that `arguments` name, and end with its exit status.

    Half of what a hook takes is to import and to tear down: nothing is collected meanwhile, and nothing torn down.
    """
    gc.disable()
    os._exit(main(arguments))


if __name__ == "__main__":
    run(sys.argv[1:])
