"""Verifying: cold and from genesis, one more snapshot, and what it grows with."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from benchmarks import ledgers
from benchmarks.ledgers import Recipe
from benchmarks.measure import Figure, figure, in_turn, mebibytes, seconds
from gitledger.roles import consumer
from gitledger.roles.place import Place
from gitledger.roles.segments import processors

OURS = (sys.executable, "-P", "-m", "gitledger")
ALL = (*OURS, "verify", "--from-genesis")


def cold(kept: Path, quick: bool) -> Iterator[Figure]:
    """All from genesis, beside as many bare verifications as it has signatures, on as many processors."""
    n, rounds = (1000, 1) if quick else (10_000, 3)
    host = ledgers.host(Recipe(n), kept)
    ours, bare = in_turn(rounds, lambda: n / seconds(ALL, host), lambda: n / _bare(2 * n))
    yield figure("verify-cold", ours, bare, "snapshots/s", n, least=0.5)


def git(kept: Path, quick: bool) -> Iterator[Figure]:
    """The same beside `git log --format=%G?`, which looks at one signature of each commit and at nothing else."""
    n, rounds = (200, 1) if quick else (1000, 3)
    host = ledgers.host(Recipe(n), kept)
    log = (*_git_that_knows_the_keys(host), "log", "--first-parent", "--format=%G?")
    ours, theirs = in_turn(rounds, lambda: n / seconds(ALL, host), lambda: n / seconds(log, host))
    yield figure("verify-git", ours, theirs, "snapshots/s", n, least=40)


def following(kept: Path, quick: bool) -> Iterator[Figure]:
    """One new snapshot on all that is verified, beside `git verify-commit` of it."""
    n, rounds = (1000, 3) if quick else (10_000, 9)
    host = ledgers.host(Recipe(n), kept, more=1)
    commit = (*_git_that_knows_the_keys(host), "verify-commit", "common")
    ours, theirs = in_turn(rounds, lambda: seconds((*OURS, "verify"), host), lambda: seconds(commit, host))
    yield figure("verify-next", ours * 1000, theirs * 1000, "ms", n, most=20)


def growth(kept: Path, quick: bool) -> Iterator[Figure]:
    """Time for a snapshot and peak memory, as the ledger grows; the first size is the yardstick."""
    sizes = (200, 1000) if quick else (1000, 10_000, 50_000)
    hosts = [ledgers.host(Recipe(n), kept) for n in sizes]
    one = (*ALL, "--jobs", "1")
    started = min(seconds((*OURS, "verify"), hosts[0]) for _ in range(3))
    times = [(seconds(one, host) - started) / n * 1e6 for n, host in zip(sizes, hosts, strict=True)]
    peaks = [mebibytes(one, host) for host in hosts]
    for n, taken, peak in list(zip(sizes, times, peaks, strict=True))[1:]:
        yield figure("verify-growth", taken, times[0], "µs/snapshot", n, most=1.15)
        yield figure("memory-growth", peak, peaks[0], "MiB", n, most=1.1)


def large(kept: Path, quick: bool) -> Iterator[Figure]:
    """A tree of many files, and a ledger of many domains and keys, each beside a small one."""
    n, rounds = (200, 1) if quick else (1000, 3)
    small = ledgers.host(Recipe(n), kept)
    files = ledgers.host(Recipe(n, files=1000 if quick else 50_000), kept)
    domains = 200 if quick else 10_000
    wide = ledgers.host(Recipe(n, domains=domains, keys=2 * domains), kept)
    for name, host in (("big-tree", files), ("wide", wide)):
        ours, theirs = in_turn(rounds, lambda host=host: seconds(ALL, host), lambda: seconds(ALL, small))  # type: ignore[misc]
        yield figure(name, ours / n * 1e6, theirs / n * 1e6, "µs/snapshot", n, most=1.3)


def start(kept: Path, quick: bool) -> Iterator[Figure]:
    """What it takes to say how a clone stands, beside `git status`."""
    host = ledgers.host(Recipe(200), kept)
    clone = kept / "clone"
    if not clone.exists():
        consumer.clone(str(host), clone, Place.open(host).anchor)
    ours, theirs = in_turn(9, lambda: seconds((*OURS, "status"), clone), lambda: seconds(("git", "status"), clone))
    yield figure("start", ours * 1000, theirs * 1000, "ms", 1)


def _git_that_knows_the_keys(host: Path) -> tuple[str, ...]:
    signers = host.parent / "allowed-signers"
    signers.write_text(consumer.allowed_signers(Place.open(host).verified))
    return ("git", "-c", f"gpg.ssh.allowedSignersFile={signers}")


def _bare(count: int) -> float:
    """How long so many bare Ed25519 verifications take, shared among the processors; their start is not counted."""
    several = processors()
    with ProcessPoolExecutor(several) as pool:
        list(pool.map(_verify, [1] * several))  # the processes are there
        return max(pool.map(_verify, [count // several] * several))


def _verify(count: int) -> float:
    private = ledgers.signer("bare").private
    public, message = private.public_key(), bytes(100)
    signature = private.sign(message)
    begun = time.perf_counter()
    for _ in range(count):
        public.verify(signature, message)
    return time.perf_counter() - begun
