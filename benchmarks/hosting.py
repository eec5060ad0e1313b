"""What a host's hooks and an emission cost, and what travels."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from benchmarks import ledgers
from benchmarks.ledgers import Recipe, domain, signer
from benchmarks.measure import Figure, figure, in_turn, seconds
from gitledger.objects.store import Store
from gitledger.roles import host as hosts
from gitledger.roles import witness
from gitledger.roles.place import Place
from gitledger.rules.advance import pinned


def proposals(kept: Path, quick: bool) -> Iterator[Figure]:
    """A push of one proposal, through the hooks and past them; and a push of many snapshots at once."""
    n, rounds = (200, 3) if quick else (1000, 15)
    recipe = Recipe(n)
    source = ledgers.host(recipe, kept)
    with tempfile.TemporaryDirectory() as directory:
        hooked, plain, clone = (Path(directory) / name for name in ("hooked.git", "plain.git", "clone.git"))
        for copy in (hooked, plain):
            shutil.copytree(source, copy)
        hosts.install(hooked)
        shutil.rmtree(plain / "hooks")
        subprocess.run(["git", "config", "core.hooksPath", "/dev/null"], cwd=plain, check=True)
        subprocess.run(["git", "clone", "--quiet", "--bare", "--no-tags", str(source), str(clone)], check=True)
        pushes = {to: _proposals(clone, source, recipe, to, rounds) for to in (hooked, plain)}
        ours, theirs = in_turn(rounds, lambda: next(pushes[hooked]), lambda: next(pushes[plain]))
        added = figure("hook-proposal", ours * 1000, theirs * 1000, "ms", rounds)
        yield replace(added, goal="adds ≤ 150 ms", met=(ours - theirs) * 1000 <= 150)
        yield _batch(source, Path(directory), n)


def emission(kept: Path, quick: bool) -> Iterator[Figure]:
    """A full queue to numbered snapshots on the disk, beside `git commit -S` and `git tag` of as many."""
    n = 100 if quick else 1000
    with tempfile.TemporaryDirectory() as directory, ledgers.journal_of_its_own():
        recipe, ledger, repository = Recipe(n, files=60), Path(directory) / "common.git", Path(directory) / "git"
        ledger.mkdir()
        ledgers.found(ledger, recipe)
        place = Place.open(ledger)
        ledgers.queue(place, recipe, n)
        begun = time.perf_counter()
        done = witness.emit(place, signer(domain(0)), place.verified.seconds + n + 1)
        ours = n / (time.perf_counter() - begun)
        assert len(done.ready) == n
        yield figure("emit-batch", ours, _signed_commits(repository, min(n, 100)), "snapshots/s", n, least=20)


def wire(kept: Path, quick: bool) -> Iterator[Figure]:
    """Bytes and time of a push of one proposal to a host with many snapshots, beside one with few."""
    sizes = (1000, 20) if quick else (20_000, 20)
    found = [_sent(ledgers.host(Recipe(n), kept), Recipe(n)) for n in sizes]
    (bytes_many, many), (bytes_few, few) = found
    yield figure("propose-bytes", bytes_many, bytes_few, "bytes", sizes[0])
    yield figure("propose-time", many * 1000, few * 1000, "ms", sizes[0])


def _proposals(clone: Path, source: Path, recipe: Recipe, to: Path, count: int) -> Iterator[float]:
    """Push one proposal after the other; how long each push takes, in seconds."""
    store, newest = Store.open(clone), Place.open(source).verified
    base = pinned(store, newest.oid, newest.hash)
    for number in range(newest.number + 1, newest.number + 1 + count):
        oid = ledgers.propose(store, base, recipe, number)
        ref = f"refs/proposals/{domain(number % recipe.domains)}/n{number}"
        yield seconds(("git", "push", "--quiet", str(to), f"{oid}:{ref}"), clone)


def _batch(source: Path, directory: Path, n: int) -> Figure:
    """All snapshots pushed at once to a host that has genesis alone, beside the same verified from genesis."""
    behind = directory / "behind.git"
    shutil.copytree(source, behind)
    git = ("git", "-c", "core.hooksPath=/dev/null")
    tags = "".join(f"delete refs/tags/common@{number}\n" for number in range(1, n + 1))
    first = subprocess.run([*git, "rev-parse", "common@0"], cwd=behind, check=True, capture_output=True, text=True)
    moved = f"{tags}update refs/heads/common {first.stdout.strip()}\n".encode()
    subprocess.run([*git, "update-ref", "--stdin"], cwd=behind, input=moved, check=True)
    subprocess.run(["git", "-c", "gc.pruneExpire=now", "gc", "--quiet", "--prune=now"], cwd=behind, check=True)
    hosts.install(behind)
    verified = seconds((sys.executable, "-P", "-m", "gitledger", "verify", "--from-genesis"), source)
    pushed = seconds(("git", "push", "--quiet", str(behind), "common"), source)
    return figure("hook-batch", pushed / n * 1e6, verified / n * 1e6, "µs/snapshot", n)


def _signed_commits(repository: Path, n: int) -> float:
    """How many commits a second git makes, each signed and tagged."""
    key = repository.with_name("key")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(key)], check=True)
    subprocess.run(["git", "init", "--quiet", str(repository)], check=True)
    settings = ("user.name=a", "user.email=a@example.org", "gpg.format=ssh", f"user.signingkey={key}")
    git = ("git", *(part for one in settings for part in ("-c", one)))
    begun = time.perf_counter()
    for number in range(n):
        (repository / "note").write_text(f"{number}\n")
        for command in (("add", "note"), ("commit", "-q", "-S", "-m", f"Note {number}"), ("tag", f"n{number}")):
            subprocess.run([*git, *command], cwd=repository, check=True, capture_output=True)
    return n / (time.perf_counter() - begun)


def _sent(source: Path, recipe: Recipe) -> tuple[float, float]:
    """The bytes that go to the host and come from it when one proposal is pushed, and the seconds it takes."""
    with tempfile.TemporaryDirectory() as directory:
        hooked, clone, trace = (Path(directory) / name for name in ("hooked.git", "clone.git", "trace"))
        shutil.copytree(source, hooked)
        hosts.install(hooked)
        subprocess.run(["git", "clone", "--quiet", "--bare", "--no-tags", str(source), str(clone)], check=True)
        counting = Path(__file__).with_name("counting.py")
        wrapped = f"{sys.executable} {counting} {trace} git-receive-pack"
        store, newest = Store.open(clone), Place.open(source).verified
        oid = ledgers.propose(store, pinned(store, newest.oid, newest.hash), recipe, newest.number + 1)
        ref = f"refs/proposals/{domain((newest.number + 1) % recipe.domains)}/one"
        push = ("git", "push", "--quiet", f"--receive-pack={wrapped}", str(hooked), f"{oid}:{ref}")
        taken = seconds(push, clone, {**os.environ})
        return float(trace.read_text()), taken
