"""What somebody is asked to sign for: a proposal, who stands behind it, and the change that it makes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gitledger.cli import output

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gitledger.roles.place import Place
    from gitledger.roles.supporting import Matter

# No program, filter or colour of anybody's configuration stands between a change and whoever endorses it.
_DIFF: Final = ("diff", "--no-color", "--no-ext-diff", "--no-textconv", "--no-renames", "--stat=78", "--patch")


def show_matter(place: Place, matter: Matter) -> None:
    """The proposal, who supports it and who still must, what it means, and the change itself."""
    from gitledger.cli.changes import described

    one = matter.proposal
    first, _, body = one.commit.message.partition("\n")
    output.say((first, output.HEAD))
    output.fields(
        [
            ("proposed by", (f"{matter.transition.who.domain}  ", (one.key.key_id, output.DIM))),
            ("date", output.when(one.seconds)),
            ("proposal", one.oid),
            ("", (one.hash,)),
            *_supported(matter),
        ]
    )
    if body.strip():
        output.say()
        output.verbatim("\n".join(f"    {line}" for line in body.strip().split("\n")))
    means = list(described(matter.transition.changes, place.store))
    if means:
        output.heading("What it means")
        for sentence in means:
            output.say(f"- {sentence}", indent=2)
    output.heading("The change")
    diff = place.store.git(*_DIFF, one.base, one.oid, "--").stdout.decode(errors="replace")
    output.verbatim(diff.rstrip("\n"), _style)
    output.say()


def _supported(matter: Matter) -> Iterator[output.Row]:
    """Who has released and endorsed it, and whose releases and endorsements it lacks."""
    from gitledger.rules.release import listed

    have, lack = matter.support, "still needs"
    if matter.transition.approvals or have.releases:
        yield "released by", ", ".join(one.name for one in have.releases) or "nobody yet"
    if matter.transition.demands or have.endorsements or not matter.transition.approvals:
        yield "endorsed by", ", ".join(one.domain for one in have.endorsements) or "nobody yet"
    for approval, count, names in matter.unreleased:
        yield lack, f"{count} of the keys {listed(names) or '(none is left)'}, for {approval.why}"
        lack = ""
    for demand, count, domains in matter.unendorsed:
        yield lack, f"{count} of {', '.join(domains)}, for {demand.why}"
        lack = ""


def _style(line: str) -> str:
    if line.startswith(("diff ", "index ", "--- ", "+++ ", "new file", "deleted file")):
        return output.HEAD
    if line.startswith("@@"):
        return output.COMMAND
    return {"+": output.GOOD, "-": output.BAD}.get(line[:1], "")
