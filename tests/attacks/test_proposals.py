"""Proposals that are not what they say, stand where they must not, or touch what is not theirs (spec 4, 5, 7).

All of them are thrown at the host in one push, each on a ref of its own, and the host refuses each for its own rule.
The snapshot that accepts one of them is offered to a consumer whose host and witness let it through; its rule is the
host's, unless `accepted` names another: a host reads a line from its base on, and a consumer one proposal on what was
accepted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import forge
import pytest
from doors import Doors
from world import Person, Templates, World, accepted

NOTE = "shared/note.txt"
FIX = "domains/alice/fix.txt"
MANIFEST = "domains/alice/domain.yaml"
LOG = "domains/james/log.txt"
BETTER = b"better\n"
SALTS = range(101, 167, 2)
"""What James's key signed with: one more than a record holds."""

RULES = ["{match: shared/**, proposers: any}", "{match: standards/**, proposers: [james]}"]

Changes = Mapping[str, forge.Content | None]


class Proposals(Doors):
    """A ledger in which Alice and James have proposed before; James is no authority, and his salts fill his record.

    `note` and `anyhow` are proposals of Alice's that were accepted, the second wherever it stands; `early` is genesis.
    """

    def __init__(self, world: World) -> None:
        world.make_host(paths=RULES, authorities=("you", "alice"))
        super().__init__(world)
        self.early = self.tip
        self.note = self.proposal(world.alice, {NOTE: b"hello\n"}, "A note\n")
        self.anyhow = self.proposal(world.alice, {"shared/dir/file": b"any\n"}, "Anyhow\n\nLedger-Reorder: any\n")
        laptop = forge.Entry("laptop", world.key("alice-2"), ["publisher"], self.consent(world.key("alice-2")))
        key = self.proposal(world.alice, {MANIFEST: self.read(MANIFEST) + laptop.render().encode()}, "A laptop\n")
        log = self.early
        for salt in SALTS:
            log = self.proposal(world.james, {LOG: f"{salt}\n".encode()}, f"Log\n\nLedger-Salt: {salt}\n", base=log)
        refs = {"alice/note": self.note, "alice/anyhow": self.anyhow, "alice/key": key, "james/log": log}
        accepted(self.pushed({f"refs/proposals/{ref}": oid for ref, oid in refs.items()}))
        self.emit()
        assert self.trusted.number == 3 + len(SALTS)
        self.log = log

    def record(self, person: Person) -> str:
        """Where the record of the person's key stands, or would."""
        return forge.record_path(forge.blob(person.key))

    def consent(self, key: forge.Key) -> bytes:
        return forge.proof(key, self.world.anchor, "alice")

    def alices(self, changes: Changes | None = None, message: str | bytes = "A change\n", **options: object) -> str:
        """A proposal by Alice, of a file of her own unless it is of others; `options` go to `forge.proposal`."""
        given = {"base": self.tip, "key": self.world.alice.key, "seconds": self.world.tick(), **options}
        base, key = given.pop("base"), given.pop("key")
        return forge.proposal(self.bench, base, changes or {FIX: BETTER}, key, message, **given)

    def saying(self, *lines: str) -> str:
        """A proposal by Alice whose message has these trailers."""
        return self.alices(message="A change\n\n" + "".join(f"{line}\n" for line in lines))

    def james(self, salt: int | str) -> str:
        """A proposal by James with a salt."""
        return self.proposal(self.world.james, {LOG: b"more\n"}, f"Log\n\nLedger-Salt: {salt}\n")

    def accepts(self, proposal: str) -> str:
        """A snapshot that accepts a proposal and says what it would of another one."""
        honest = self.alices()
        lines = {"Proposal": forge.hash_of(self.bench, proposal)}
        return self.snapshot(honest, parents=[self.tip, proposal], lines=lines)

    def line(self) -> tuple[str, str, str]:
        """Three proposals by Alice, each on the one before."""
        first = self.alices()
        second = self.alices({FIX: b"best\n"}, base=first)
        return first, second, self.alices({FIX: b"perfect\n"}, base=second)

    def accepting(self, *proposals: str) -> list[str]:
        """Snapshots by the witness that accept these one after the other."""
        snapshots = [self.tip]
        for proposal in proposals:
            snapshots.append(forge.snapshot(self.bench, snapshots[-1], proposal, self.world.you.key))
        return snapshots[1:]

    def other_ledger(self, name: str = "common") -> str:
        """The genesis of another ledger by the same people with the same keys."""
        people = {one.name: one.key for one in (self.world.you, self.world.alice, self.world.james)}
        return forge.genesis(self.bench, people, name=name, seconds=forge.START - 1)

    @cached_property
    def thrown(self) -> dict[str, tuple[str, str, str]]:
        """Each attack by name: its proposal, its ref, and what the host said of it."""
        made = {each.name: each.forge(self) for each in ATTACKS}
        refs = {each.name: f"refs/proposals/{each.domain}/attack-{n}" for n, each in enumerate(ATTACKS)}
        said = self.verdicts({refs[name]: oid for name, oid in made.items()})
        return {name: (oid, refs[name], said.get(refs[name], "accepted")) for name, oid in made.items()}


@dataclass(frozen=True)
class Attack:
    """A proposal, pushed for `domain`; `rule` refuses it, and `accepted` the snapshot that accepts it.

    `said` is False where no snapshot could say so in its form: then one is offered that says something else.
    """

    name: str
    rule: str
    forge: Callable[[Proposals], str]
    accepted: str = ""
    domain: str = "alice"
    said: bool = True


def trailers(*lines: str) -> Callable[[Proposals], str]:
    return lambda at: at.saying(*lines)


def message(text: str | bytes) -> Callable[[Proposals], str]:
    return lambda at: at.alices(message=text)


def touching(changes: Changes) -> Callable[[Proposals], str]:
    return lambda at: at.alices(changes)


def salted(salt: int | str) -> Callable[[Proposals], str]:
    return lambda at: at.james(salt)


def armoured(kind: bytes) -> Callable[[Proposals], str]:
    """Signed with something else than SSH; its armour is that of the kind."""
    text = b"-----BEGIN %s-----\n\niQEzBAABCAAdFiEE\n=oPgP\n-----END %s-----\n" % (kind, kind)
    return lambda at: at.alices(signature=text)


def on_unaccepted(key: Callable[[Proposals], forge.Key | None]) -> Callable[[Proposals], str]:
    """Alice's proposal on a commit that somebody else signed, or nobody."""
    return lambda at: at.alices({FIX: b"best\n"}, base=at.alices(key=key(at)))


def _signature_of(at: Proposals, oid: str) -> bytes:
    header = forge.read_object(at.bench, oid).partition(b"\ngpgsig ")[2].partition(b"\n\n")[0]
    return header.replace(b"\n ", b"\n") + b"\n"


def _usurped(at: Proposals) -> str:
    """A next snapshot by a stranger."""
    return forge.snapshot(at.bench, at.tip, at.alices(), at.world.stranger.key)


SIGNATURES = [
    Attack("unsigned", "unsigned", lambda at: at.alices(key=None)),
    Attack("by a stranger", "unknown-key", lambda at: at.alices(key=at.world.stranger.key)),
    Attack(
        "by a stranger for a domain of his own",
        "unknown-key",
        lambda at: at.alices({NOTE: b"mine\n"}, key=at.world.stranger.key),
        domain="stranger",
    ),
    Attack(
        "by a stranger who names Alice's key",
        "bad-signature",
        lambda at: at.alices(key=at.world.stranger.key, public=forge.blob(at.world.alice.key)),
    ),
    Attack(
        "with Alice's signature of another one",
        "bad-signature",
        lambda at: at.alices({FIX: b"worse\n"}, signature=_signature_of(at, at.alices())),
    ),
    Attack("with an OpenPGP signature", "not-an-ssh-signature", armoured(b"PGP SIGNATURE")),
    Attack("with an OpenPGP message as signature", "not-an-ssh-signature", armoured(b"PGP MESSAGE")),
    Attack("with an X.509 signature", "not-an-ssh-signature", armoured(b"SIGNED MESSAGE")),
]

BASES = [
    Attack("on another ledger's genesis", "base-unknown", lambda at: at.alices(base=at.other_ledger())),
    Attack("on another name's genesis", "base-unknown", lambda at: at.alices(base=at.other_ledger("other"))),
    Attack("on a snapshot by a stranger", "base-unknown", lambda at: at.alices({FIX: b"best\n"}, base=_usurped(at))),
    Attack(
        "on a commit without a parent",
        "proposal-parents",
        lambda at: at.alices(base=forge.commit(at.bench, at.trusted.commit.tree, key=at.world.alice.key)),
        accepted="base-unknown",
    ),
    Attack("on an unsigned commit", "unsigned", on_unaccepted(lambda at: None), accepted="base-unknown"),
    Attack(
        "on a stranger's commit",
        "unknown-key",
        on_unaccepted(lambda at: at.world.stranger.key),
        accepted="base-unknown",
    ),
    Attack(
        "on a commit of another domain's",
        "ref-domain",
        lambda at: at.alices(base=at.proposal(at.world.james, {LOG: b"james\n"})),
        accepted="base-unknown",
    ),
    Attack("with two parents", "proposal-parents", lambda at: at.alices(parents=[at.tip, at.early])),
    Attack("that merges a proposal", "proposal-parents", lambda at: at.alices(parents=[at.tip, at.alices()])),
    Attack("with one parent twice", "proposal-parents", lambda at: at.alices(parents=[at.tip, at.tip])),
    Attack("without a parent", "proposal-parents", lambda at: at.alices(parents=[]), said=False),
    Attack("that changes nothing", "no-change", lambda at: at.alices(tree=at.trusted.commit.tree)),
]

REPLAYS = [
    Attack("accepted before", "nothing-proposed", lambda at: at.note, accepted="path-changed-since"),
    Attack("accepted before, wherever it stands", "nothing-proposed", lambda at: at.anyhow, accepted="salt-used"),
    Attack(
        "accepted before, for another domain", "nothing-proposed", lambda at: at.note, "path-changed-since", "james"
    ),
    Attack(
        "accepted before, from the middle of a line",
        "nothing-proposed",
        lambda at: forge.parents(at.bench, at.log)[0],
        "path-changed-since",
        "james",
    ),
    Attack(
        "accepted before, in other words",
        "salt-used",
        lambda at: at.alices(
            {"shared/dir/file": b"any\n"},
            "In other words\n\nLedger-Reorder: any\n",
            base=at.early,
            seconds=forge.when(at.bench, at.anyhow),
        ),
    ),
    Attack("accepted before, on a new base", "salt-used", lambda at: at.alices(seconds=forge.when(at.bench, at.note))),
    Attack(
        "accepted before, by salt",
        "salt-used",
        lambda at: at.saying(f"Ledger-Salt: {forge.when(at.bench, at.note)}"),
    ),
]

SALTED = [
    Attack("with the greatest salt on record", "salt-used", salted(SALTS[-1]), domain="james"),
    Attack("with the least salt on record", "salt-used", salted(SALTS[1]), domain="james"),
    Attack("with a used salt below the window", "salt-below-window", salted(SALTS[0]), domain="james"),
    Attack("with a fresh salt below the window", "salt-below-window", salted(SALTS[0] + 1), domain="james"),
    Attack("with the salt 1", "salt-below-window", salted(1), domain="james"),
    Attack(
        "with one salt twice in a line",
        "salt-used",
        lambda at: at.alices(
            {FIX: b"best\n"}, "Two\n\nLedger-Salt: 7\n", base=at.alices(message="One\n\nLedger-Salt: 7\n")
        ),
        accepted="base-unknown",
    ),
    Attack("with the salt 0", "trailer-value", salted(0), domain="james", said=False),
    Attack("with the salt 2^63", "trailer-value", salted(1 << 63), domain="james"),
    Attack("with a negative salt", "trailer-value", salted(-5), domain="james", said=False),
    Attack("with a leading zero in its salt", "trailer-value", salted("0170"), domain="james"),
    Attack("with a salt in wide digits", "trailer-value", salted("１７０"), domain="james"),
    Attack("with a salt and a carriage return", "trailer-value", salted("170\r"), domain="james"),
    Attack("without a salt in the first second of 1970", "salt-range", lambda at: at.alices(seconds=0), said=False),
]

MESSAGES = [
    Attack("whose first line is a trailer", "trailer-place", message("Ledger-Salt: 7\n")),
    Attack("whose only paragraph ends in a trailer", "trailer-place", message("A change\nLedger-Salt: 7\n")),
    Attack("with a trailer before the last paragraph", "trailer-place", message("A\n\nLedger-Salt: 7\n\nThe end\n")),
    Attack(
        "with a trailer parted from the last by a space",
        "trailer-place",
        message("A\n\nLedger-Salt: 7\n \nSigned-off-by: alice\n"),
    ),
    Attack(
        "with a trailer parted from the last by a tab",
        "trailer-place",
        message("A\n\nLedger-Reorder: any\n\t\nLedger-Salt: 7\n"),
    ),
    Attack("with a trailer in lower case", "trailer-place", trailers("ledger-salt: 7")),
    Attack("with a trailer in upper case", "trailer-place", trailers("LEDGER-SALT: 7")),
    Attack("with a trailer in mixed case", "trailer-unknown", trailers("Ledger-salt: 7")),
    Attack("with an unknown trailer", "trailer-unknown", trailers("Ledger-Witness: alice")),
    Attack("with a trailer without a name", "trailer-unknown", trailers("Ledger-: 7")),
    Attack("with a trailer without a space", "trailer-unknown", trailers("Ledger-Salt:7")),
    Attack("with a trailer without a colon", "trailer-unknown", trailers("Ledger-Salt 7")),
    Attack("with a space before the colon", "trailer-unknown", trailers("Ledger-Salt : 7")),
    Attack("with one trailer twice", "trailer-repeated", trailers("Ledger-Salt: 7", "Ledger-Salt: 7")),
    Attack(
        "with two values of one trailer", "trailer-repeated", trailers("Ledger-Reorder: any", "Ledger-Reorder: never")
    ),
    Attack("with an unknown permit", "trailer-value", trailers("Ledger-Reorder: always")),
    Attack("with a permit in upper case", "trailer-value", trailers("Ledger-Reorder: Any")),
    Attack("that expired", "expired", lambda at: at.saying(f"Ledger-Expires: {at.trusted.name}")),
    Attack("that expires on another ledger", "expires-other-ledger", trailers("Ledger-Expires: other@99")),
    Attack("that expires at no snapshot", "snapshot-name", trailers("Ledger-Expires: common@099")),
    Attack(
        "with the digest of its base",
        "content-digest",
        lambda at: at.saying(f"Ledger-Content: {at.trusted.entry.content}"),
    ),
    Attack("with the digest of nothing", "content-digest", trailers("Ledger-Content: sha256:" + "0" * 64)),
    Attack("with a digest of another form", "digest", trailers("Ledger-Content: " + "0" * 64)),
    Attack("that speaks for another domain", "other-domain", trailers("Ledger-Domain: james")),
    Attack("that speaks for a domain that is none", "other-domain", trailers("Ledger-Domain: nobody")),
    Attack("that speaks for what can be no domain", "domain-id", trailers("Ledger-Domain: Alice")),
    Attack("with an empty first line", "summary-empty", message("\nA change\n")),
    Attack("without a message", "summary-empty", message("")),
    Attack("with a first line of 201 characters", "summary-too-long", message("a" * 201 + "\n")),
    Attack("with an escape in its first line", "summary-control", message("A \x1b[2J change\n")),
    Attack("with NEL in its first line", "summary-control", message("A change\x85and more\n")),
]

PATHS = [
    Attack("that adds a file of another domain", "other-domains-path", touching({"domains/james/fix.txt": b"mine\n"})),
    Attack("that changes a file of another domain", "other-domains-path", touching({LOG: b"mine\n"})),
    Attack("that takes a file of another domain away", "other-domains-path", touching({LOG: None})),
    Attack(
        "that hides a file of another domain among its own",
        "other-domains-path",
        touching({FIX: b"better\n", NOTE: b"better\n", "domains/james/a": b"mine\n"}),
    ),
    Attack(
        "that changes the manifest of another domain",
        "role-missing",
        lambda at: at.alices({"domains/james/domain.yaml": at.read("domains/james/domain.yaml") + b"# mine\n"}),
    ),
    Attack("that takes another domain's manifest away", "role-missing", touching({"domains/james/domain.yaml": None})),
    Attack(
        "in a domain that nobody registered", "domain-not-registered", touching({"domains/nobody/fix.txt": b"mine\n"})
    ),
    Attack("beside the domains", "domain-not-registered", touching({"domains/README": b"mine\n"})),
    Attack("that adds a file to the ledger's", "ledger-path", touching({"ledger/extra.yaml": b"mine\n"})),
    Attack("that adds a rotation", "ledger-path", touching({f"ledger/rotations/{64 * '0'}.yaml": b"mine\n"})),
    Attack(
        "that makes its signer the witness",
        "ledger-path",
        lambda at: at.alices({"ledger/witness.yaml": forge.witness_file("alice", at.world.alice.key, "common@0")}),
    ),
    Attack("that takes the witness away", "ledger-path", touching({"ledger/witness.yaml": None})),
    Attack(
        "that forgets its salts",
        "ledger-path",
        lambda at: at.alices({at.record(at.world.alice): forge.record_file(at.world.alice.pub, "alice")}),
    ),
    Attack(
        "that gives its key to another domain",
        "ledger-path",
        lambda at: at.alices({at.record(at.world.alice): forge.record_file(at.world.alice.pub, "james")}),
    ),
    Attack(
        "that brings a record of its own",
        "ledger-path",
        lambda at: at.alices({at.record(at.world.stranger): forge.record_file(at.world.stranger.pub, "alice")}),
    ),
    Attack(
        "that changes the policy and is no authority's",
        "not-an-authority",
        lambda at: at.proposal(at.world.james, {"ledger/policy.yaml": at.read("ledger/policy.yaml")[:-1]}),
        domain="james",
    ),
    Attack("that takes the policy away", "document-missing", touching({"ledger/policy.yaml": None})),
    Attack(
        "that gives the ledger another name",
        "ledger-file",
        lambda at: at.alices({"ledger/ledger.yaml": at.read("ledger/ledger.yaml").replace(b"common\n", b"other\n")}),
    ),
    Attack("that changes .gitattributes", "ledger-path", touching({".gitattributes": b"* text=auto\n"})),
    Attack("that takes .gitattributes away", "ledger-path", touching({".gitattributes": None})),
    Attack(
        "that makes .gitattributes executable", "ledger-path", touching({".gitattributes": ("100755", b"* -text\n")})
    ),
    Attack("of a path that no rule opens", "path-not-open", touching({"README": b"mine\n"})),
    Attack("of a path whose rule admits others", "proposer-not-admitted", touching({"standards/one.txt": b"mine\n"})),
]

STALE = [
    Attack(
        "of a file that was added since", "path-changed-since", lambda at: at.alices({NOTE: b"mine\n"}, base=at.early)
    ),
    Attack(
        "of a file that the same was added to since",
        "path-changed-since",
        lambda at: at.alices({NOTE: b"hello\n"}, base=at.early),
    ),
    Attack(
        "of a file that was changed since",
        "path-changed-since",
        lambda at: at.proposal(at.world.james, {LOG: b"mine\n"}, base=at.number(10)),
        domain="james",
    ),
    Attack(
        "that takes away what was changed since",
        "path-changed-since",
        lambda at: at.proposal(at.world.james, {LOG: None}, base=at.number(10)),
        domain="james",
    ),
    Attack(
        "of a manifest that was changed since, wherever it stands",
        "path-changed-since",
        lambda at: at.alices(
            {MANIFEST: forge.git(at.bench, "cat-file", "blob", f"{at.early}:{MANIFEST}") + b"# mine\n"},
            "Anyhow\n\nLedger-Reorder: any\n",
            base=at.early,
        ),
    ),
    Attack(
        "that nothing may come before",
        "reorder-never",
        lambda at: at.alices(message="Now\n\nLedger-Reorder: never\n", base=at.early),
    ),
    Attack(
        "of a file where a directory is now",
        "file-directory-conflict",
        lambda at: at.alices({"shared/dir": b"mine\n"}, "Anyhow\n\nLedger-Reorder: any\n", base=at.early),
    ),
    Attack(
        "of a directory where a file is now",
        "file-directory-conflict",
        lambda at: at.alices({f"{NOTE}/mine": b"mine\n"}, "Anyhow\n\nLedger-Reorder: any\n", base=at.early),
    ),
]

ATTACKS = [*SIGNATURES, *BASES, *REPLAYS, *SALTED, *MESSAGES, *PATHS, *STALE]

TWINS: dict[str, Callable[[Proposals], str]] = {
    "signed, of a file of her own": lambda at: at.alices(),
    "by her other key": lambda at: at.alices({NOTE: b"laptop\n"}, key=at.world.key("alice-2")),
    "on genesis": lambda at: at.alices(base=at.early),
    "on a proposal that was accepted": lambda at: at.alices(base=at.note),
    "of a file that was changed since, wherever it stands": lambda at: at.alices(
        {NOTE: b"mine\n"}, "Anyhow\n\nLedger-Reorder: any\n", base=at.early
    ),
    "of a manifest": lambda at: at.alices({MANIFEST: at.read(MANIFEST) + b"# hers\n"}),
    "that nothing came before": trailers("Ledger-Reorder: never"),
    "that expires with the next snapshot": lambda at: at.saying(f"Ledger-Expires: common@{at.trusted.number + 1}"),
    "with all its trailers": lambda at: at.saying(
        "Signed-off-by: alice",
        "Ledger-Domain: alice",
        f"Ledger-Content: {forge.tree_digest(at.bench, forge.changed(at.bench, at.tip, {FIX: BETTER}))}",
        "Ledger-Reorder: unchanged",
        "Ledger-Salt: 9223372036854775807",
    ),
    "whose trailers are followed by empty lines": message("A change\n\nLedger-Salt: 8\n\n \n"),
    "with what is like a trailer": message("A change about Ledger-Salt: 7\n\n Ledger-Salt: 9\nThe Ledger-Salt: 9\n"),
    "with a first line of 200 characters": message("ä" * 200 + "\n"),
    "with the salt 1": trailers("Ledger-Salt: 1"),
}
JAMES: dict[str, Callable[[Proposals], str]] = {
    "with a fresh salt within the window": salted(SALTS[1] + 1),
    "with a fresh salt above the window": salted(SALTS[-1] + 1),
    "of a path whose rule admits him": lambda at: at.proposal(at.world.james, {"standards/one.txt": b"one\n"}),
    "that takes a file of his own away": lambda at: at.proposal(at.world.james, {LOG: None}),
}


@pytest.fixture(scope="module")
def proposals(tmp_path_factory: pytest.TempPathFactory, templates: Templates) -> Proposals:
    return Proposals(World(tmp_path_factory.mktemp("proposals"), templates))


@pytest.mark.parametrize("attack", [pytest.param(each, id=each.name) for each in ATTACKS])
def test_a_proposal_is_refused(proposals: Proposals, attack: Attack) -> None:
    oid, _, said = proposals.thrown[attack.name]
    assert f"[{attack.rule}]" in said, said
    snapshot = proposals.snapshot(oid) if attack.said else proposals.accepts(oid)
    proposals.consumer_refuses(snapshot, attack.accepted or attack.rule)


@pytest.mark.parametrize("twin", [*TWINS.values(), *JAMES.values()], ids=[*TWINS, *JAMES])
def test_its_honest_twin_is_taken_by_a_consumer(proposals: Proposals, twin: Callable[[Proposals], str]) -> None:
    proposals.consumer_takes(proposals.snapshot(twin(proposals)))


def test_the_host_takes_every_honest_twin(world: World) -> None:
    at = Proposals(world)
    refs = {f"refs/proposals/alice/twin-{number}": twin(at) for number, twin in enumerate(TWINS.values())}
    refs |= {f"refs/proposals/james/twin-{number}": twin(at) for number, twin in enumerate(JAMES.values())}
    accepted(at.pushed(refs))
    assert refs.items() <= at.world.refs().items()


# Lines


def test_a_line_out_of_order_is_refused(proposals: Proposals) -> None:
    """Each of a line waits for the one before: a witness who numbers it earlier is caught."""
    first, second, third = proposals.line()
    (early,) = proposals.accepting(second)
    proposals.host_refuses(early, "base-unknown")
    proposals.consumer_refuses(early, "base-unknown")
    proposals.host_refuses(proposals.accepting(first, third)[-1], "base-unknown")
    proposals.host_refuses(proposals.accepting(first, second, second)[-1], "path-changed-since")


def test_a_line_in_its_order_is_taken(world: World) -> None:
    proposals = Proposals(world)
    snapshots = proposals.accepting(*proposals.line())
    proposals.consumer_takes(*snapshots)
    proposals.host_takes(snapshots[-1])


def test_a_key_of_another_domain_does_not_use_a_domains_ref(proposals: Proposals) -> None:
    """It is the host's order alone: the proposal itself is good, and whoever carries it may number it."""
    james = proposals.james(SALTS[-1] + 2)
    proposals.host_refuses(james, "ref-domain", "refs/proposals/alice/james")
    proposals.consumer_takes(proposals.snapshot(james))
