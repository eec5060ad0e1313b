"""The ground, with what tables of attacks need: raw trees, endorsements, snapshots by a witness who accepts anything.

A push takes longer than all that it brings, and the host gives a verdict on each of its refs. So a long table is thrown
in one push, each attack on a ref of its own, and what the host said of each is held against the table.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import forge
from ground import Ground
from world import Done, Person, World

_VERDICT = re.compile(
    r"(refs/\S+) refused: (.*?)(?=refs/\S+ refused: |Nothing of this push|What may be pushed:|$)", re.S
)


class Doors(Ground):
    """A ground with hands for everything that is forged there."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._honest = ""

    def read(self, path: str) -> bytes:
        """The bytes of a file in the newest snapshot."""
        return forge.git(self.bench, "cat-file", "blob", f"{self.tip}:{path}")

    def proposed(self, person: Person, tree: str) -> str:
        """A proposal of a whole tree, whatever is in it."""
        self.world.tick()
        who = person.ident
        return forge.commit(self.bench, tree, [self.tip], "A change\n", person.key, author=who, committer=who)

    def endorsement(self, person: Person, proposal: str, *, key: forge.Key | None = None, **options: Any) -> str:
        """An endorsement of `proposal` by `person`, made now; `options` go to `forge.endorsement`."""
        self.world.tick()
        options = {"tagger": person.ident, **options}
        return forge.endorsement(self.bench, proposal, key or person.key, **options)

    def snapshot(self, proposal: str, endorsements: Sequence[str] = (), **altered: Any) -> str:
        """What a witness signs who accepts `proposal`, whatever it is; `altered` goes to `forge.snapshot`."""
        key = self.world.you.key
        return forge.snapshot(self.bench, self.tip, proposal, key, endorsements=endorsements, **altered)

    def waved_through(self, proposal: str) -> str:
        """The same, where no hand could work out what follows: all but the proposal and its tree is an honest one's."""
        if not self._honest:
            self._honest = self.proposal(self.world.alice, {"domains/alice/honest.txt": b"honest\n"})
        tree = forge.git(self.bench, "rev-parse", f"{proposal}^{{tree}}").decode().strip()
        return self.snapshot(self._honest, tree=tree, parents=[self.tip, proposal])

    def both_refuse(self, proposal: str, rule: str, ref: str) -> None:
        """The host refuses the proposal; and a consumer the fully endorsed snapshot that accepts it."""
        self.host_refuses(proposal, rule, ref)
        endorsed = [self.endorsement(one, proposal) for one in (self.world.alice, self.world.james)]
        self.consumer_refuses(self.snapshot(proposal, endorsed), rule)

    def pushed(self, objects: Mapping[str, str], *options: str) -> Done:
        """Push objects by ref, all in one push, as a stranger does who carries them."""
        specs = [f"+{oid}:{ref}" for ref, oid in objects.items()]
        return self.world.push(self.world.stranger, self.bench, *specs, options=options)

    def verdicts(self, objects: Mapping[str, str], *options: str) -> dict[str, str]:
        """What the host says of each of these objects, by ref, when they are pushed together and nothing is taken."""
        done = self.pushed(objects, *options)
        assert done.returncode and done.before == done.after, done.stderr
        self.nothing_is_left()
        said = re.sub(r"\s*\n?remote: +", " ", " ".join(f"{line} " for line in done.stderr.splitlines()))
        return {match[1]: match[2].strip() for match in _VERDICT.finditer(said)}


class Thrown:
    """A table of attacks that are thrown at the host in one push, by name; `options` are for `git push`."""

    def __init__(self, doors: Doors, *options: str) -> None:
        self.doors = doors
        self._options = options
        self._brought: dict[str, str] = {}
        self._thrown: dict[str, tuple[str, Callable[[], str]]] = {}

    def propose(self, name: str, proposal: str, domain: str = "alice") -> None:
        """Have a proposal pushed for `domain`, and held out to a consumer in a snapshot that accepts it."""
        assert name not in self._thrown
        ref = f"refs/proposals/{domain}/{len(self._thrown)}"
        self._brought[ref] = proposal
        self._thrown[name] = ref, lambda: self.doors.waved_through(proposal)

    def endorse(self, name: str, proposal: str, tag: str, domain: str) -> None:
        """Have an endorsement pushed for `domain`, together with its proposal, and held out in a snapshot."""
        self._support(name, proposal, tag, f"refs/endorsements/{proposal}/{domain}")

    def release(self, name: str, proposal: str, tag: str, key: str) -> None:
        """Have a release pushed for the key of that name; as `endorse`."""
        self._support(name, proposal, tag, f"refs/releases/{proposal}/{key}")

    def _support(self, name: str, proposal: str, tag: str, ref: str) -> None:
        self._brought |= {f"refs/proposals/alice/{len(self._thrown)}": proposal, ref: tag}
        content = forge.read_object(self.doors.bench, tag)
        self._thrown[name] = ref, lambda: self.doors.snapshot(proposal, mergetags=[content])

    def refused(self, name: str, rule: str) -> None:
        """The host refused it for `rule`, and so does a consumer."""
        ref, snapshot = self._thrown[name]
        said = self._verdicts.get(ref, "accepted")
        assert f"[{rule}]" in said, said
        self.doors.consumer_refuses(snapshot(), rule)

    def rule(self, name: str) -> str:
        """The rule for which the host refused it, whichever that was."""
        said = self._verdicts.get(self._thrown[name][0], "accepted")
        found = re.search(r"\[([a-z0-9-]+)\]", said)
        assert found, said
        return found[1]

    @cached_property
    def _verdicts(self) -> dict[str, str]:
        return self.doors.verdicts(self._brought, *self._options)
