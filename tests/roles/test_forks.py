"""Forks and misconduct, for a consumer: what is kept, what is told, and going over on purpose (spec 10, Consumer)."""

from __future__ import annotations

import json
from pathlib import Path

import forge
import pytest
from mirror import KEYS, NOW, Mirror

from gitledger.errors import Failed, Fork, LedgerError, Malformed, Refused, Usage
from gitledger.roles import adoption, consumer, evidence, foreign, status
from gitledger.roles.place import AHEAD_SECONDS, Place
from gitledger.rules import state

FOREIGN = "refs/gitledger/foreign/"
JAMES = ("james", KEYS / "james")
ALICE = ("alice", KEYS / "alice")


@pytest.fixture
def clone(mirror: Mirror, tmp_path: Path) -> Path:
    consumer.clone(str(mirror.path), tmp_path / "clone", mirror.anchor, now=NOW)
    return tmp_path / "clone"


def fetch(clone: Path, now: int = NOW) -> consumer.FetchReport:
    return consumer.fetch(Place.open(clone), now=now)


def failed(clone: Path, kind: type[LedgerError] = Fork) -> LedgerError:
    with pytest.raises(kind) as raised:
        fetch(clone)
    return raised.value


def refs(clone: Path, below: str = FOREIGN) -> dict[str, str]:
    return {ref.removeprefix(below): oid for ref, oid in Place.open(clone).store.refs(below).items()}


def kept(clone: Path) -> dict[str, str]:
    """The refs of sides and proofs, with the sides of a fork called `here` and `there`."""
    sides = {
        f"{fork.number}/{side.oid}": f"{fork.number}/{what}"
        for fork in foreign.known(Place.open(clone))
        for what, side in (("here", fork.here), ("there", fork.there))
    }
    return {sides.get(ref, ref): oid for ref, oid in refs(clone).items()}


def standing(clone: Path) -> tuple[dict[str, str], dict[str, str], str]:
    place = Place.open(clone)
    return refs(clone, "refs/heads/"), refs(clone, "refs/tags/"), place.store.head()


def files(clone: Path) -> list[Path]:
    return sorted((clone / ".git" / "gitledger" / "evidence").glob("*"))


def side(mirror: Mirror, on: str, count: int = 2, name: str = "other") -> list[str]:
    """So many snapshots by you on `on`, served."""
    line: list[str] = []
    for number in range(count):
        line.append(mirror.snapshot(f"domains/alice/{name}-{number}.txt", on=line[-1] if line else on))
    mirror.show(line[-1])
    return line


def sealed(mirror: Mirror, on: str, to: tuple[str, Path], by: tuple[str, ...] = ("alice", "james"), at: int = 9) -> str:
    """A quorum's rotation to `to`, sealed on `on`."""
    artifact = forge.rotation_file(mirror.path, on, to, {one: KEYS / one for one in by})
    return forge.rotating(mirror.path, on, artifact, to[1], to=to, seconds=forge.START + at)


def all_is_well(clone: Path) -> None:
    """What is verified is verified from genesis on, with the tags that belong to it and no other."""
    newest = consumer.verify(Place.open(clone), from_genesis=True)
    assert sorted(refs(clone, "refs/tags/")) == sorted(f"common@{number}" for number in range(newest.number + 1))
    assert consumer.verify(Place.open(clone)).oid == newest.oid == refs(clone, "refs/heads/")["common"]


# Seeing


def test_a_fork_keeps_both_sides_and_the_evidence_and_moves_nothing(mirror: Mirror, clone: Path) -> None:
    before = standing(clone)
    theirs = side(mirror, mirror.snapshots[1], 4)
    error = failed(clone)
    assert standing(clone) == before
    assert kept(clone) == {"2/here": mirror.tip, "2/there": theirs[-1]}
    assert refs(clone, "refs/gitledger/incoming/") == {}
    (file,) = files(clone)
    assert str(file) in error.mend and "common@2 was signed twice by you" in error.what
    proven = evidence.check(file.read_bytes())
    assert isinstance(proven, evidence.Fork)
    assert [one.oid for one in proven.sides] == [mirror.snapshots[2], theirs[0]]
    assert (proven.name, proven.base, proven.ledger_id) == ("common@2", "common@1", mirror.anchor)
    (known,) = foreign.forks(Place.open(clone))
    assert (known.name, known.here.oid, known.there.oid) == ("common@2", mirror.snapshots[2], theirs[0])
    assert (known.here.newest, known.there.newest) == ("common@3", "common@5")
    assert (known.evidence, known.remote, known.seconds, known.there.rotates_to) == (file, "origin", NOW, "")
    assert known.sentence.startswith("signed twice by you, the witness")


def test_a_fork_seen_again_is_told_again_and_only_grows(mirror: Mirror, clone: Path) -> None:
    theirs = side(mirror, mirror.snapshots[1])
    failed(clone)
    file = files(clone)
    failed(clone)
    mirror.show(mirror.snapshot(on=theirs[-1]))
    failed(clone)
    assert files(clone) == file
    assert kept(clone)["2/there"] == forge.git(mirror.path, "rev-parse", "common").decode().strip()
    mirror.show(mirror.tip)
    mirror.grow()
    assert fetch(clone).after == 4
    assert foreign.forks(Place.open(clone))[0].here.newest == "common@4"


def test_there_is_one_fork_a_number_and_a_rotation_takes_its_place(mirror: Mirror, clone: Path) -> None:
    base = mirror.snapshots[1]
    first = side(mirror, base, 1)
    failed(clone)
    side(mirror, base, 1, "third")
    assert "is not kept" in failed(clone).what
    assert kept(clone)["2/there"] == first[0]
    rotation = sealed(mirror, base, JAMES)
    mirror.show(rotation)
    error = failed(clone)
    assert "seals a quorum's rotation to james, endorsed by alice, james" in error.what
    assert kept(clone)["2/there"] == rotation
    mirror.show(sealed(mirror, base, ALICE))
    assert "is not kept" in failed(clone).what
    assert kept(clone)["2/there"] == rotation


def test_no_more_numbers_are_kept_than_may_be(mirror: Mirror, clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foreign, "MOST", 1)
    side(mirror, mirror.snapshots[1], 1)
    failed(clone)
    side(mirror, mirror.snapshots[2], 1)
    assert "is not kept" in failed(clone).what
    assert set(kept(clone)) == {"2/here", "2/there"}
    assert len(files(clone)) == 1


def test_a_fork_that_seals_a_rotation_finds_a_place_among_any_number_that_do_not(
    mirror: Mirror, clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(foreign, "MOST", 2)
    for number in (0, 1):
        side(mirror, mirror.snapshots[number], name=f"at-{number}")
        failed(clone)
    mirror.show(seal := sealed(mirror, mirror.snapshots[2], JAMES))
    failed(clone)
    assert sorted(kept(clone)) == ["1/here", "1/there", "3/here", "3/there"] and kept(clone)["3/there"] == seal
    assert adoption.look(Place.open(clone)).chosen.oid == seal


def test_resolved_forks_take_no_place(mirror: Mirror, clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foreign, "MOST", 1)
    side(mirror, mirror.snapshots[0])
    failed(clone)
    place = Place.open(clone)
    adoption.adopt(place, adoption.look(place, foreign.forks(place)[0].here.hash))
    side(mirror, mirror.snapshots[1])
    failed(clone)
    assert [fork.name for fork in foreign.forks(Place.open(clone))] == ["common@2"]


@pytest.mark.parametrize("damage", [b"\xff", b"{", b"[]", b'{"2": 1}'])
def test_a_note_of_forks_that_can_not_be_read_is_a_sentence(mirror: Mirror, clone: Path, damage: bytes) -> None:
    (clone / ".git" / "gitledger" / "forks.json").write_bytes(damage)
    with pytest.raises(Failed, match="forks-unreadable"):
        foreign.forks(Place.open(clone))


def test_a_conflicting_pair_of_rotations_names_who_endorsed_both(mirror: Mirror, clone: Path) -> None:
    base = mirror.tip
    mirror.show(sealed(mirror, base, JAMES, ("alice", "james")))
    assert fetch(clone).after == 4
    mirror.show(sealed(mirror, base, ALICE, ("alice", "you")))
    error = failed(clone)
    assert "alice endorsed both rotations" in error.what
    proven = evidence.check(files(clone)[0].read_bytes())
    assert isinstance(proven, evidence.Fork)
    assert evidence.endorsed_both(*proven.sides) == ("alice",)
    assert proven.twice is None
    assert [one.rotates_to for one in proven.sides] == ["james", "alice"]


def test_a_fork_dated_ahead_of_the_clock_waits(mirror: Mirror, clone: Path) -> None:
    before = standing(clone)
    mirror.show(mirror.snapshot(on=mirror.snapshots[1], at=NOW + AHEAD_SECONDS + 5 - forge.START))
    report = fetch(clone)
    assert report.ahead is not None and report.ahead[0] == "common@2"
    assert standing(clone) == before and refs(clone) == {}
    failed_then = pytest.raises(Fork)
    with failed_then:
        fetch(clone, now=NOW + AHEAD_SECONDS)


def test_an_invented_snapshot_is_foreign_and_no_fork(mirror: Mirror, clone: Path) -> None:
    before = standing(clone)
    mirror.show(mirror.snapshot(key=KEYS / "stranger", lines={"Snapshot": "common@999"}, first="common@999: x"))
    assert failed(clone, Refused).rule == "wrong-number"
    assert (standing(clone), refs(clone), files(clone)) == (before, {}, [])


# Misconduct


def test_what_the_witness_signed_invalidly_is_kept_as_a_proof(mirror: Mirror, clone: Path) -> None:
    bad = mirror.snapshot(first="common@4: something else")
    mirror.show(bad)
    error = failed(clone, Refused)
    assert error.rule == "altered" and "proof of misconduct" in error.what
    assert refs(clone) == {"4/misconduct": bad}
    (file,) = files(clone)
    assert str(file) in error.mend
    proven = evidence.check(file.read_bytes())
    assert isinstance(proven, evidence.Misconduct)
    assert (proven.oid, proven.domain, proven.serving, proven.fault.rule) == (bad, "you", True, "altered")
    mirror.show(mirror.snapshot(first="common@4: yet another"))
    failed(clone, Refused)
    assert refs(clone) == {"4/misconduct": bad} and files(clone) == [file]
    mirror.grow()
    assert fetch(clone).after == 4
    all_is_well(clone)


def test_misconduct_is_kept_from_beside_the_line_too(mirror: Mirror, clone: Path) -> None:
    bad = mirror.snapshot(on=mirror.snapshots[1], first="common@2: something else")
    mirror.show(bad)
    failed(clone, Refused)
    assert refs(clone) == {"2/misconduct": bad}
    other = side(mirror, mirror.snapshots[1])
    mirror.show(mirror.snapshot(on=other[-1], lines={"Content": "sha256:" + "0" * 64}))
    assert "above it" in failed(clone).what
    assert set(kept(clone)) == {"2/misconduct", "2/here", "2/there", "4/misconduct"}
    assert kept(clone)["2/there"] == other[-1]


def test_a_former_witness_who_goes_on_emitting_is_kept(mirror: Mirror, clone: Path) -> None:
    seal = sealed(mirror, mirror.tip, JAMES)
    mirror.show(seal)
    assert fetch(clone).after == 4
    late = mirror.snapshot(on=seal, at=20)
    mirror.show(late)
    assert failed(clone, Refused).rule == "wrong-witness"
    assert refs(clone) == {"5/misconduct": late}
    proven = evidence.check(files(clone)[0].read_bytes())
    assert isinstance(proven, evidence.Misconduct)
    assert (proven.domain, proven.serving) == ("you", False)


def test_what_a_stranger_or_nobody_signed_is_kept_nowhere(mirror: Mirror, clone: Path) -> None:
    for options in ({"key": KEYS / "stranger"}, {"key": None}, {"key": KEYS / "james"}):
        mirror.show(mirror.snapshot(first="common@4: x", **options))  # type: ignore[arg-type]
        failed(clone, Refused)
    assert refs(clone) == {} and files(clone) == []


# Adopting


def test_adopting_moves_branch_and_tags_to_a_longer_side(mirror: Mirror, clone: Path) -> None:
    theirs = side(mirror, mirror.snapshots[1], 4)
    failed(clone)
    head = Place.open(clone).store.head()
    place = Place.open(clone)
    move = adoption.look(place, forge.hash_of(mirror.path, theirs[0]))
    assert (move.stays, move.left, move.count, move.newest.name) == (False, ("common@2", "common@3"), 2, "common@5")
    assert adoption.adopt(place, move).verified.oid == theirs[-1]
    heads, tags, after = standing(clone)
    assert heads == {"common": theirs[-1]} and after == head
    assert [tags[f"common@{number}"] for number in range(6)] == [*mirror.snapshots[:2], *theirs]
    assert kept(clone) == {"2/here": theirs[-1], "2/there": mirror.tip}
    assert foreign.forks(Place.open(clone)) == ()
    all_is_well(clone)
    assert fetch(clone).after == 5
    mirror.show(mirror.snapshot(on=theirs[-1]))
    assert fetch(clone).after == 6
    consumer.pin(Place.open(clone), "6")


def test_adopting_a_shorter_side_takes_the_tags_above_it_away(mirror: Mirror, clone: Path) -> None:
    theirs = side(mirror, mirror.snapshots[0], 1)
    failed(clone)
    place = Place.open(clone)
    adoption.adopt(place, adoption.look(place, theirs[0]))
    assert sorted(refs(clone, "refs/tags/")) == ["common@0", "common@1"]
    all_is_well(clone)
    mirror.show(mirror.tip)
    files_before = files(clone)
    error = failed(clone)
    assert error.rule == "fork-left" and error.exit_status == 3
    assert files(clone) == files_before and foreign.forks(Place.open(clone)) == ()
    place = Place.open(clone)
    adoption.adopt(place, adoption.look(place, mirror.tip))
    assert refs(clone, "refs/heads/")["common"] == mirror.tip
    all_is_well(clone)


def test_without_a_name_the_side_that_seals_a_rotation_is_adopted(mirror: Mirror, clone: Path) -> None:
    with pytest.raises(Refused) as refused:
        adoption.look(Place.open(clone))
    assert refused.value.rule == "no-fork"
    side(mirror, mirror.snapshots[1], 1)
    failed(clone)
    with pytest.raises(Refused) as refused:
        adoption.look(Place.open(clone))
    assert refused.value.rule == "which-side"
    rotation = sealed(mirror, mirror.snapshots[1], JAMES)
    mirror.show(rotation)
    failed(clone)
    place = Place.open(clone)
    adoption.adopt(place, adoption.look(place))
    assert Place.open(clone).verified.oid == rotation
    assert Place.open(clone).verified.state.witness.domain_id == "james"
    all_is_well(clone)


def test_a_line_that_was_left_is_never_dropped_whatever_is_offered_after(mirror: Mirror, clone: Path) -> None:
    mine = mirror.snapshots[2]
    theirs = side(mirror, mirror.snapshots[1])
    failed(clone)
    place = Place.open(clone)
    place = adoption.adopt(place, adoption.look(place, forge.hash_of(mirror.path, theirs[0])))
    for witness, hour in ((JAMES, 9), (ALICE, 10)):
        mirror.show(sealed(mirror, mirror.snapshots[1], witness, at=hour))
        failed(clone)
    (fork,) = foreign.forks(Place.open(clone))
    assert fork.there.rotates_to == "james" and [side.oid for side in fork.others] == [mine]
    place = Place.open(clone)
    place = adoption.adopt(place, adoption.look(place, fork.there.hash))
    place = adoption.adopt(place, adoption.look(place, forge.hash_of(mirror.path, mine)))
    assert place.verified.oid == mirror.tip
    assert {f"2/{oid}" for oid in (mine, theirs[0], fork.there.oid)} <= refs(clone).keys()
    all_is_well(clone)


def test_evidence_that_was_lost_is_written_again(mirror: Mirror, clone: Path) -> None:
    side(mirror, mirror.snapshots[1])
    failed(clone)
    (file,) = files(clone)
    content = file.read_bytes()
    file.unlink()
    failed(clone)
    assert file.read_bytes() == content


def test_a_checkout_on_the_side_that_was_left_is_told_for_what_it_is(mirror: Mirror, clone: Path) -> None:
    theirs = side(mirror, mirror.snapshots[1])
    failed(clone)
    place = Place.open(clone)
    place = adoption.adopt(place, adoption.look(place, forge.hash_of(mirror.path, theirs[0])))
    said = status.status(place, None)
    assert (said.pinned, said.branch, said.beside) == ("", "", "common@3")


def test_the_present_witness_s_misconduct_takes_the_place_of_a_former_one_s(mirror: Mirror, clone: Path) -> None:
    seal = sealed(mirror, mirror.tip, JAMES)
    mirror.show(seal)
    fetch(clone)
    proposal = forge.proposal(mirror.path, seal, {"domains/alice/x.txt": b"x\n"}, ALICE[1])
    before = forge.snapshot(
        mirror.path,
        seal,
        proposal,
        KEYS / "you",
        committer=f"you <you@common> {forge.START + 20} +0000",
        lines={"Witness": f"you {forge.key_id(KEYS / 'you')}"},
    )
    now = forge.snapshot(mirror.path, seal, proposal, JAMES[1], lines={"Content": "sha256:" + "ab" * 32})
    for oid in (before, now, before):
        mirror.show(oid)
        said = failed(clone, Refused).what
        assert "signed it" in said
    assert "another proof" in said and refs(clone)["5/misconduct"] == now


def test_a_proposal_with_a_snapshot_s_message_accuses_nobody(mirror: Mirror, clone: Path) -> None:
    seal = sealed(mirror, mirror.tip, JAMES)
    mirror.show(seal)
    fetch(clone)
    message = forge.message(mirror.path, seal)
    proposal = forge.proposal(mirror.path, seal, {"domains/james/x.txt": b"x\n"}, JAMES[1], message)
    mirror.show(proposal)
    assert "signed it" not in failed(clone, LedgerError).what
    assert [ref for ref in refs(clone) if ref.endswith("misconduct")] == []


def test_a_format_of_tomorrow_accuses_no_mirror_and_says_what_mends_it(
    mirror: Mirror, clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror.grow()
    monkeypatch.setattr(state, "FORMAT", 0)
    error = failed(clone, Refused)
    assert error.rule == "unknown-format" and "newer gitledger" in error.mend
    assert refs(clone) == {}


def test_what_another_command_verified_meanwhile_is_not_taken_back(mirror: Mirror, clone: Path) -> None:
    early = Place.open(clone)
    before = early.verified
    mirror.grow(2)
    fetch(clone)
    after = early.advanced(before)  # a fetch that began earlier, and ends now
    assert after.verified.name == "common@5"
    theirs = side(mirror, mirror.snapshots[1], 9)
    failed(clone)
    place = Place.open(clone)
    move = adoption.look(place, forge.hash_of(mirror.path, theirs[0]))
    late = Place.open(clone)
    stands = late.verified
    adoption.adopt(place, move)
    with pytest.raises(Failed, match="moved-meanwhile"):
        late.advanced(stands)
    assert Place.open(clone).verified.oid == theirs[-1]
    all_is_well(clone)


def test_an_adoption_of_what_has_moved_since_it_was_looked_at_is_refused(mirror: Mirror, clone: Path) -> None:
    theirs = side(mirror, mirror.snapshots[1])
    failed(clone)
    place = Place.open(clone)
    move = adoption.look(place, forge.hash_of(mirror.path, theirs[0]))
    mirror.show(mirror.tip)
    mirror.grow()
    fetch(clone)
    with pytest.raises(Failed, match="moved-meanwhile"):
        adoption.adopt(place, move)
    assert Place.open(clone).verified.name == "common@4"


def test_naming_the_own_side_resolves_by_staying(mirror: Mirror, clone: Path) -> None:
    side(mirror, mirror.snapshots[1])
    failed(clone)
    before = standing(clone)
    place = Place.open(clone)
    move = adoption.look(place, forge.hash_of(mirror.path, mirror.tip)[:20])
    assert move.stays
    adoption.adopt(place, move)
    assert standing(clone) == before and foreign.forks(Place.open(clone)) == ()
    assert failed(clone).rule == "fork-left"


def test_what_is_no_kept_side_or_not_valid_is_refused(mirror: Mirror, clone: Path) -> None:
    bad = mirror.snapshot(first="common@4: something else")
    mirror.show(bad)
    failed(clone, Refused)
    theirs = side(mirror, mirror.snapshots[1])
    failed(clone)
    for named, rule in ((bad, "side-not-valid"), ("0" * 40, "no-such-side"), (mirror.snapshots[1], "no-such-side")):
        with pytest.raises(Refused) as refused:
            adoption.look(Place.open(clone), named)
        assert refused.value.rule == rule
    for named in ("common@2", "0" * 7, "sha256:"):
        with pytest.raises(Malformed):
            adoption.look(Place.open(clone), named)
    notes = clone / ".git" / "gitledger" / "forks.json"
    notes.write_text(notes.read_text().replace(theirs[-1], bad))
    with pytest.raises(Refused) as refused:
        adoption.look(Place.open(clone), theirs[0])
    assert refused.value.rule == "side-not-valid"


def test_a_host_adopts_nothing(mirror: Mirror, clone: Path) -> None:
    place = Place.open(clone)
    with pytest.raises(Usage):
        adoption.look(Place(place.store, "host", place.anchor, place.name))


@pytest.mark.parametrize("longer", [True, False])
def test_an_adoption_that_was_interrupted_is_finished_by_the_next_command(
    mirror: Mirror, clone: Path, monkeypatch: pytest.MonkeyPatch, longer: bool
) -> None:
    theirs = side(mirror, mirror.snapshots[0], 5 if longer else 1)
    failed(clone)
    place = Place.open(clone)
    move = adoption.look(place, theirs[0])
    with monkeypatch.context() as broken:
        broken.setattr(Place, "settle", lambda self, tags="newest": 1 / 0)
        with pytest.raises(ZeroDivisionError):
            adoption.adopt(place, move)
    assert refs(clone, "refs/heads/")["common"] == mirror.tip
    assert json.loads((clone / ".git" / "gitledger" / "verified.json").read_text())["oid"] == theirs[-1]
    fetch(clone)
    assert refs(clone, "refs/heads/")["common"] == theirs[-1]
    assert foreign.forks(Place.open(clone)) == ()
    all_is_well(clone)


def test_a_fork_on_the_line_that_was_left_is_told_no_more(mirror: Mirror, clone: Path) -> None:
    side(mirror, mirror.snapshots[2], 1, "late")
    failed(clone)
    early = side(mirror, mirror.snapshots[0], 1, "early")
    failed(clone)
    assert [fork.name for fork in foreign.forks(Place.open(clone))] == ["common@1", "common@3"]
    place = Place.open(clone)
    adoption.adopt(place, adoption.look(place, early[0]))
    assert foreign.forks(Place.open(clone)) == ()
    all_is_well(clone)
