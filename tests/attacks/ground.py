"""The ground that attacks are thrown at: a host that decides pushes, and a consumer whose host let everything through.

The host is reached by a real `git push`. The consumer asks `advance` in a bare repository that has every object that
was forged, as if a host had never looked at it. What is refused must leave the host as it was, so a whole table of
attacks is thrown at one host.
"""

from __future__ import annotations

from collections.abc import Mapping

import forge
import pytest
from world import Done, Person, World, accepted, refused

from gitledger.errors import LedgerError
from gitledger.objects.store import Store
from gitledger.rules.advance import advance, genesis
from gitledger.rules.state import Snapshot


class Ground:
    """A world, its bench, and the newest snapshot as a consumer verified it from genesis on."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.bench = world.bench()
        self.trusted = verified(world)

    @property
    def tip(self) -> str:
        """The commit of the newest snapshot."""
        return self.trusted.oid

    def number(self, number: int) -> str:
        """The commit of a snapshot that the ledger has."""
        return self.world.oid(number)

    def proposal(
        self,
        person: Person,
        changes: Mapping[str, forge.Content | None],
        message: str | bytes = "A change\n",
        *,
        base: str = "",
        key: forge.Key | None = None,
        seconds: int = 0,
    ) -> str:
        """An honest proposal, signed by the person (or `key`), on the newest snapshot unless `base` is another."""
        on, now = base or self.tip, seconds or self.world.tick()
        return forge.proposal(self.bench, on, changes, key or person.key, message, seconds=now)

    def queue(self, oid: str, ref: str) -> str:
        """Push a proposal or endorsement that the host must take; `ref` is what stands behind `refs/`."""
        accepted(self.world.offer(oid, f"refs/{ref}"))
        return oid

    def emit(self) -> None:
        """Have the witness emit what waits, and the consumer verify it."""
        plan = self.world.emit()
        assert not plan.refused
        self.trusted = verified(self.world)

    # The two doors

    def host_takes(self, oid: str, ref: str | None = None) -> Done:
        """The honest twin's way in; without `ref`, it goes to the branch."""
        return accepted(self.world.offer(oid, ref))

    def host_refuses(self, oid: str, rule: str, ref: str | None = None) -> Done:
        """The push is refused for this rule, and the host is as it was, down to its objects."""
        done = refused(self.world.offer(oid, ref), rule)
        self.nothing_is_left()
        return done

    def git_refuses(self, oid: str, why: str, ref: str | None = None) -> None:
        """Git's own check of pushed objects refuses before any hook runs; `why` is its name for the reason."""
        done = self.world.offer(oid, ref)
        assert done.returncode
        assert f": {why}: " in done.stderr, done.stderr
        assert done.before == done.after
        self.nothing_is_left()

    def nothing_is_left(self) -> None:
        """Nothing is damaged on the host, and nothing lies about in it."""
        assert forge.git(self.world.host, "fsck", "--full", "--strict", "--unreachable", "--no-progress") == b""

    def consumer_takes(self, *oids: str) -> None:
        """A consumer advances to the snapshots, one after the other."""
        newest = self.trusted
        for oid in oids:
            newest = advance(newest, oid)
        assert newest.oid == oids[-1]

    def consumer_refuses(self, oid: str, rule: str) -> None:
        """`advance` refuses the snapshot for this rule, and says which snapshot it is about."""
        with pytest.raises(LedgerError) as caught:
            advance(self.trusted, oid)
        assert caught.value.rule == rule, str(caught.value)
        assert caught.value.subject


def verified(world: World) -> Snapshot:
    """The newest snapshot, from genesis on, as a consumer's bare repository without any hook sees it."""
    store = Store.open(world.bench())
    oids = forge.git(world.host, "rev-list", "--first-parent", "--reverse", "HEAD").decode().split()
    newest = genesis(store, oids[0], world.anchor)
    for oid in oids[1:]:
        newest = advance(newest, oid)
    return newest
