"""The two doors that an attack comes to: a real push to a host, and `advance` of a consumer whose host let it through.

    def test_a_key_enters_with_its_consent_alone(doors):
        proposal = doors.proposal(doors.world.alice, {"domains/alice/domain.yaml": manifest})
        doors.refused("key-without-proof", proposal, "refs/proposals/alice/t")
        doors.invalid("key-without-proof", doors.snapshot(proposal))

Everything is forged on a bench, a bare repository of its own. What is refused leaves nothing behind, so one host, made
once for a module, stands any number of attacks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import forge
import pytest
import world as world_
from world import Done, Person, World

from gitledger.errors import LedgerError
from gitledger.objects.store import Store
from gitledger.rules.advance import advance, genesis
from gitledger.rules.state import Snapshot


class Doors:
    """A host and a bench, both at the newest snapshot of `world`, which is `trusted`."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.bench: Path = world.bench()
        oids = forge.git(self.bench, "rev-list", "--first-parent", "--reverse", world.tip).decode().split()
        self.trusted: Snapshot = genesis(Store.open(self.bench), oids[0], world.anchor)
        for oid in oids[1:]:
            self.trusted = advance(self.trusted, oid)

    @property
    def tip(self) -> str:
        """The commit of the newest snapshot."""
        return self.trusted.oid

    # What is forged

    def read(self, path: str) -> bytes:
        """The bytes of a file in the newest snapshot."""
        return forge.git(self.bench, "cat-file", "blob", f"{self.tip}:{path}")

    def proposal(
        self,
        person: Person,
        changes: Mapping[str, forge.Content | None] | None = None,
        message: str = "A change\n",
        *,
        tree: str | None = None,
        base: str | None = None,
        key: forge.Key | None = None,
        **options: Any,
    ) -> str:
        """A proposal by `person` with these files changed (None: taken away), or with `tree`; a second later."""
        self.world.tick()
        base = base or self.tip
        root = tree or forge.changed(self.bench, base, changes or {})
        who = {"author": person.ident, "committer": person.ident}
        return forge.commit(self.bench, root, [base], message, key or person.key, **{**who, **options})

    def endorsement(self, person: Person, proposal: str, *, key: forge.Key | None = None, **options: Any) -> str:
        """An endorsement of `proposal` by `person`, made now."""
        self.world.tick()
        options = {"tagger": person.ident, **options}
        return forge.endorsement(self.bench, proposal, key or person.key, **options)

    def snapshot(self, proposal: str, endorsements: Sequence[str] = (), **altered: Any) -> str:
        """What a witness signs who accepts `proposal`, whatever it is; `altered` goes to `forge.snapshot`."""
        key = self.world.you.key
        return forge.snapshot(self.bench, self.tip, proposal, key, endorsements=endorsements, **altered)

    # The doors

    def push(self, oid: str, ref: str | None = None) -> Done:
        """Push what was forged to a ref of the host, or to its branch: by a stranger, because anyone may carry."""
        return self.world.offer(oid, ref)

    def accepted(self, oid: str, ref: str | None = None) -> Done:
        """The host takes it."""
        return world_.accepted(self.push(oid, ref))

    def refused(self, rule: str, oid: str, ref: str | None = None) -> Done:
        """The host refuses it for `rule`, and nothing there has changed."""
        done = world_.refused(self.push(oid, ref), rule)
        sound(self.world.host)
        return done

    def valid(self, snapshot: str) -> Snapshot:
        """A consumer goes on to it."""
        return advance(self.trusted, snapshot)

    def invalid(self, rule: str, snapshot: str) -> LedgerError:
        """A consumer refuses it for `rule`."""
        with pytest.raises(LedgerError) as caught:
            advance(self.trusted, snapshot)
        assert caught.value.rule == rule, str(caught.value)
        return caught.value


def sound(repository: Path) -> None:
    """Assert that stock `git fsck` finds nothing wrong."""
    assert not forge.git(repository, "fsck", "--strict", "--no-dangling", "--no-progress")
