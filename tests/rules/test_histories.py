"""Every path to a verdict, from any pin, gives the same verdict (spec 10), on random histories."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import forge
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gitledger.documents.manifest import PROOF_NAMESPACE, Manifest, ManifestKey, proof_message
from gitledger.documents.policy import Authority, fill
from gitledger.errors import LedgerError
from gitledger.objects.codec import Commit, Ident, compose_commit, digest, sign_commit
from gitledger.objects.store import Store
from gitledger.objects.trees import File, Tree
from gitledger.roles import segments
from gitledger.roles.founding import Founders, found
from gitledger.rules import endorsement, proposal, snapshot, support, tags
from gitledger.rules.advance import advance, genesis, pinned
from gitledger.rules.state import Snapshot, State
from gitledger.rules.transition import apply
from gitledger.signing import sshsig
from gitledger.signing.keys import PublicKey

POLICY = """artifact_type: asl.common.policy
version: 0.1
revision: 1
witness_policy:
  authorities:
    - {domain_id: x, pubkey_id: y}
  quorum_threshold: 2
  rotation_allowed: true
  grace_period: 30d
registration: open
paths:
  - match: open/**
    proposers: any
  - match: standards/**
    proposers: [alice, james]
    endorsements: 1
"""


@dataclass
class Key:
    """A signer made from a seed, so that every run has the same keys."""

    seed: int
    private: Ed25519PrivateKey = field(init=False)
    certificate = None

    def __post_init__(self) -> None:
        self.private = Ed25519PrivateKey.from_private_bytes(bytes([self.seed]) * 32)

    @property
    def key(self) -> PublicKey:
        raw = self.private.public_key().public_bytes_raw()
        return PublicKey.from_blob(b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + raw)

    def sign(self, message: bytes, namespace: str) -> bytes:
        return sshsig.sign(self.private, message, namespace)


KEYS = {"you": Key(1), "alice": Key(2), "james": Key(3), "stranger": Key(4), "alice-2": Key(5)}

Step = tuple[str, str, int, int, str]
"""Who, where, which text, how far back the base stands (below zero: the proposal accepted there), and the permit.

ROTATE is a rotation to the key of whoever it is.
"""

steps = st.lists(
    st.tuples(
        st.sampled_from(["alice", "james", "you", "stranger", "alice-2"]),
        st.sampled_from(
            ["domains/alice/a", "domains/alice/b/c", "domains/james/a", "open/x", "open/x/y", "standards/1", "ledger/z",
             "MANIFEST", "REGISTER", "POLICY", "ROTATE", "ROTATE"]
        ),
        st.integers(0, 3),
        st.integers(-3, 2),
        st.sampled_from(["unchanged", "any", "never"]),
    ),
    min_size=1,
    max_size=9,
)  # fmt: skip


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run(["git", "init", "-q", "--bare", directory], check=True)
        yield Store.open(Path(directory))


def begin(store: Store) -> Snapshot:
    people = {name: KEYS[name].key for name in ("you", "alice", "james")}
    authorities = [Authority(domain_id=name, pubkey_id=key.key_id) for name, key in sorted(people.items())]
    return found(
        store, Founders("common", "you", KEYS["you"], people, people), fill(POLICY, authorities, 2).encode(), 100
    )


def change(line: list[Snapshot], step: Step) -> dict[str, File | None]:
    _, path, text, _, _ = step
    state = line[-1].state
    if path == "MANIFEST":
        manifest = state.manifest("alice")
        assert manifest is not None
        proof = KEYS["alice-2"].sign(proof_message(state.ledger_id, "alice"), PROOF_NAMESPACE).decode()
        second = ManifestKey(name="second", key=KEYS["alice-2"].key.text, roles=("publisher",), proof=proof)
        keys = (*manifest.keys, second) if text % 2 else manifest.keys[:1]
        return {"domains/alice/domain.yaml": File.of(Manifest.of("alice", keys).render().encode())}
    if path == "REGISTER":
        key = ManifestKey(name="root", key=KEYS["stranger"].key.text, roles=("root", "publisher"))
        return {"domains/stranger/domain.yaml": File.of(Manifest.of("stranger", (key,)).render().encode())}
    if path == "POLICY":
        return {"ledger/policy.yaml": File.of(tightened(state, text))}
    return {path: File.of(b"%d\n" % text) if text else None}


def tightened(state: State, text: int) -> bytes:
    """Another policy: with nothing new, another threshold, another key for alice, or a revision left out."""
    policy = state.tree.read("ledger/policy.yaml")
    assert policy is not None
    revision, threshold = state.policy.revision, state.policy.threshold
    new = policy.replace(b"revision: %d" % revision, b"revision: %d" % (revision + 1 + text // 3))
    if text == 1:
        new = new.replace(b"quorum_threshold: %d" % threshold, b"quorum_threshold: %d" % (5 - threshold))
    if text == 2:
        had = next(one.pubkey_id for one in state.policy.authorities if one.domain_id == "alice")
        (other,) = {KEYS[name].key.key_id for name in ("alice", "alice-2")} - {had}
        new = new.replace(had.encode(), other.encode())
    return new


def base_of(line: list[Snapshot], back: int) -> tuple[str, Tree]:
    """The commit of the base and its tree: the snapshot `back` before the newest, or the proposal it accepted."""
    one = line[max(0, len(line) - 1 - (back if back >= 0 else -1 - back))]
    if back >= 0 or not one.entry.proposal:
        return one.oid, one.state.tree
    oid = one.commit.parents[1]
    tree = Commit.parse(one.state.objects.read(oid, "commit")).tree
    return oid, Tree.load(one.state.objects, tree, like=one.state.tree)


def propose(store: Store, line: list[Snapshot], step: Step, seconds: int, message: str = "") -> str:
    who, _, _, back, permit = step
    base, standing = base_of(line, back)
    tree = standing.apply(change(line, step))
    tree.write(store.write)
    ident = Ident(who, f"{who}@example.org", seconds, "+0000")
    message = message or f"Step of {who}\n\nLedger-Reorder: {permit}\nLedger-Content: {tree.digest}\n"
    payload = compose_commit(
        tree=tree.oid, parents=(base,), author=ident, committer=ident, mergetags=(), message=message
    )
    return store.write("commit", sign_commit(payload, KEYS[who].sign(payload, "git")))


def emit(store: Store, newest: Snapshot, oid: str, lie: str) -> str:
    """The snapshot commit that the witness signs for the proposal, with one lie in it, or none."""
    accepted = proposal.read(store, oid)
    transition = apply(newest.state, accepted)
    signed = []
    for name, key in authorities(newest).items() if transition.demands else ():
        ident = Ident(name, f"{name}@example.org", accepted.seconds, "+0000")
        payload = tags.compose(accepted, endorsement.VERB, "Endorse", (f"Endorses: {accepted.hash}",), ident)
        signed.append(payload + key.sign(payload, "git"))
    wanted = support.gathered(signed[: 1 if lie == "quorum" else 3], transition, newest.state.policy)
    seconds = newest.seconds - 1 if lie == "time" else newest.seconds + 1
    payload = snapshot.accepting(newest, transition, wanted, seconds)
    if lie == "message":
        payload = payload.replace(b"Command: ", b"Command: 0", 1)
    transition.after.tree.write(store.write)
    witness = KEYS["stranger"] if lie == "key" else named(newest.state.witness.pubkey_id)
    return store.write("commit", sign_commit(payload, witness.sign(payload, "git")))


def rotate(store: Store, newest: Snapshot, to: str, lie: str) -> str:
    """The snapshot commit that seals a rotation to the key of that name, with one lie in it, or none."""
    repo, key = store.git_dir, KEYS[to].private
    by = [(name, one.private) for name, one in authorities(newest).items()]
    artifact = forge.rotation_file(
        repo, newest.oid, (to.removesuffix("-2"), key), dict(by[: 1 if lie == "quorum" else 3])
    )
    seconds = newest.seconds - 1 if lie == "time" else newest.seconds + 1
    lines = {"Endorsed": "nobody"} if lie == "message" else {}
    signer = KEYS["alice" if to == "stranger" else "stranger"].private if lie == "key" else key
    return forge.rotating(repo, newest.oid, artifact, signer, seconds=seconds, lines=lines)


def authorities(newest: Snapshot) -> dict[str, Key]:
    """Who may endorse, each with the key that the policy in force gives the domain."""
    return {one.domain_id: named(one.pubkey_id) for one in newest.state.policy.authorities}


def named(key_id: str) -> Key:
    return next(key for key in KEYS.values() if key.key.key_id == key_id)


def follow(store: Store, line: list[Snapshot], step: Step, seconds: int, lie: str = "") -> str:
    """The snapshot commit of a step on the newest snapshot."""
    if step[1] == "ROTATE":
        return rotate(store, line[-1], step[0], lie)
    return emit(store, line[-1], propose(store, line, step, seconds), lie)


def verdict(trusted: Snapshot, oids: list[str]) -> str:
    """What walking from `trusted` over `oids` ends with: a hash, or the place and the rule of the first refusal."""
    for oid in oids:
        try:
            trusted = advance(trusted, oid)
        except LedgerError as error:
            return f"{error.subject}: {error}"
    return f"{trusted.hash} {trusted.state.tree.digest} {trusted.state.ledger_id}"


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps,
    st.sampled_from(["domains/alice/last", "ROTATE"]),
    st.sampled_from(["", "", "message", "time", "key", "quorum"]),
)
def test_the_verdict_is_the_same_from_genesis_and_from_every_pin(
    store: Store, played: list[Step], last: str, lie: str
) -> None:
    line = [begin(store)]
    for number, step in enumerate(played):
        try:
            line.append(advance(line[-1], follow(store, line, step, 1000 + 10 * number)))
        except LedgerError:
            continue
    oids = [one.oid for one in line[1:]]
    oids.append(follow(store, line, ("alice", last, 1, 0, "unchanged"), 5000, lie))
    first = genesis(Store.open(store.git_dir), line[0].oid, line[0].hash)
    expected = verdict(first, oids)
    honest = not lie or (lie == "quorum" and last != "ROTATE")
    assert honest == expected.startswith("sha256:"), expected
    assert honest or f"common@{len(oids)}" in expected or lie == "quorum"
    for number, one in enumerate(line):
        assert verdict(pinned(Store.open(store.git_dir), one.oid, one.hash), oids[number:]) == expected


def shared(first: Snapshot, oids: list[str], jobs: int) -> str:
    """As `verdict`, where so many processes share the way."""
    path = [first.oid, *oids]
    try:
        reached, _ = segments.climb(first, path, start=1, jobs=jobs)
    except LedgerError as error:
        return f"{error.subject}: {error}"
    return f"{reached.hash} {reached.state.tree.digest} {reached.state.ledger_id}"


@pytest.mark.long
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps, st.tuples(st.integers(0, 9), st.sampled_from(["", "message", "time", "key", "quorum"])), st.integers(2, 4)
)
def test_many_processes_give_the_verdict_of_one(
    store: Store, monkeypatch: pytest.MonkeyPatch, played: list[Step], lies: tuple[int, str], jobs: int
) -> None:
    """Also on which snapshot is the first that is not valid, wherever it stands, and why."""
    where, lie = lies
    monkeypatch.setattr(segments, "_LEAST", 1)
    line = [begin(store)]
    oids: list[str] = []
    for number, step in enumerate(played):
        try:
            oid = follow(store, line, step, 1000 + 10 * number, lie if number == where else "")
            oids.append(oid)
            line.append(advance(line[-1], oid))
        except LedgerError:
            oids = [one.oid for one in line[1:]] if number != where else oids
            if number == where:
                break
    first = genesis(Store.open(store.git_dir), line[0].oid, line[0].hash)
    assert shared(first, oids, jobs) == verdict(first, oids)


@pytest.mark.parametrize("lie", ["", "message"])
@pytest.mark.parametrize("where", [0, 2, 5])
def test_two_processes_find_the_first_that_is_not_valid(
    store: Store, monkeypatch: pytest.MonkeyPatch, where: int, lie: str
) -> None:
    monkeypatch.setattr(segments, "_LEAST", 2)
    line = [begin(store)]
    oids: list[str] = []
    for number in range(6):
        step = ("alice", f"domains/alice/{number}", 1, 0, "unchanged")
        oids.append(emit(store, line[-1], propose(store, line, step, 2000 + number), lie if number == where else ""))
        if lie and number == where:  # what stands on it is not looked at
            oids += [oid for one in line[:1] for oid in [one.oid] * (5 - where)]
            break
        line.append(advance(line[-1], oids[-1]))
    first = genesis(Store.open(store.git_dir), line[0].oid, line[0].hash)
    said = shared(first, oids, 2)
    assert said == verdict(first, oids)
    assert said.startswith("sha256:" if not lie else f"common@{where + 1}")


def test_a_base_below_the_pin_is_found_from_the_pin(store: Store) -> None:
    line = [begin(store)]
    for number in range(4):
        step = ("alice", f"domains/alice/{number}", 1, 9, "unchanged")
        line.append(advance(line[-1], emit(store, line[-1], propose(store, line, step, 2000 + number), "")))
    on_genesis = propose(store, line, ("james", "domains/james/late", 1, 9, "unchanged"), 3000)
    oid = emit(store, line[-1], on_genesis, "")
    pin = pinned(Store.open(store.git_dir), line[-1].oid, digest(store.read(line[-1].oid, "commit")))
    assert advance(pin, oid).hash == advance(line[-1], oid).hash


@pytest.mark.parametrize("message", ["Offline\n", "common@99: x\n\n{entry}"])
def test_who_goes_on_offline_is_accepted_from_every_pin(store: Store, message: str) -> None:
    """A line goes on from a proposal that was accepted before the pin, even one that calls itself a snapshot."""
    line = [begin(store)]
    message = message.format(entry=line[0].commit.message.partition("\n\n")[2].replace("common@0", "common@99"))
    first = propose(store, line, ("alice", "domains/alice/1", 1, 0, "unchanged"), 1000, message)
    line.append(advance(line[-1], emit(store, line[-1], first, "")))
    for number in (2, 3):
        other = propose(store, line, ("james", f"domains/james/{number}", 1, 0, "unchanged"), 1000 + number)
        line.append(advance(line[-1], emit(store, line[-1], other, "")))
    second = propose(store, line, ("alice", "domains/alice/2", 1, -3, "unchanged"), 2000)
    assert Commit.parse(store.read(second, "commit")).parents == (first,)
    oid = emit(store, line[-1], second, "")
    for number, one in enumerate(line):
        walked = verdict(
            pinned(Store.open(store.git_dir), one.oid, one.hash), [s.oid for s in line[number + 1 :]] + [oid]
        )
        assert walked == verdict(line[-1], [oid])
        assert "common@" not in walked


def test_a_policy_names_a_key_that_comes_with_it_and_none_that_goes_with_it(store: Store) -> None:
    line = [begin(store)]
    added = ("alice", "MANIFEST", 1, 0, "unchanged")
    policy = line[0].state.tree.read("ledger/policy.yaml")
    manifest = change(line, added)["domains/alice/domain.yaml"]
    assert policy is not None
    naming = policy.replace(KEYS["alice"].key.key_id.encode(), KEYS["alice-2"].key.key_id.encode())
    both = {
        "ledger/policy.yaml": File.of(naming.replace(b"revision: 1", b"revision: 2")),
        "domains/alice/domain.yaml": manifest,
    }
    together = commit_of(store, line[-1].oid, line[-1].state.tree.apply(both))
    assert apply(line[-1].state, proposal.read(store, together)).demands
    line.append(advance(line[-1], emit(store, line[-1], propose(store, line, added, 1000), "")))
    gone = line[0].state.tree.get("domains/alice/domain.yaml")
    assert isinstance(gone, File)
    away = commit_of(store, line[-1].oid, line[-1].state.tree.apply(both | {"domains/alice/domain.yaml": gone}))
    with pytest.raises(LedgerError) as refused:
        apply(line[-1].state, proposal.read(store, away))
    assert refused.value.rule == "key-not-active"


def commit_of(store: Store, base: str, tree: Tree) -> str:
    """Alice's proposal of this tree."""
    tree.write(store.write)
    ident = Ident("alice", "alice@example.org", 3000, "+0000")
    payload = compose_commit(
        tree=tree.oid, parents=(base,), author=ident, committer=ident, mergetags=(), message="Both\n"
    )
    return store.write("commit", sign_commit(payload, KEYS["alice"].sign(payload, "git")))


def test_histories_do_get_long(store: Store) -> None:
    """The strategy is worth something only if its steps are accepted often enough."""
    line = [begin(store)]
    played = ["MANIFEST 1", "REGISTER 1", "POLICY 1", "standards/1 1", "ROTATE 1", "open/x 1", "POLICY 2", "ROTATE 1"]
    for number, path in enumerate(played):
        where, text = path.split()
        who = {"REGISTER": "stranger", "ROTATE": "alice-2"}.get(where, "alice")
        step = (who, where, int(text), 0, "unchanged")
        line.append(advance(line[-1], follow(store, line, step, 4000 + number)))
    assert line[-1].number == 8
    assert line[-1].state.policy.threshold == 3
    assert line[-1].state.witness.pubkey_id == KEYS["alice-2"].key.key_id
