"""`release`, `whoami`, `domain export`: what one may do here, done and told."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import bureau
import forge
import pytest
from bureau import key
from typed import Clones, at_terminal, run_here, told, typed
from world import World

pytestmark = pytest.mark.long

FAR = 4_000_000_000  # in the year 2096
MADE = {"domains/alice/made.txt": b"first\nsecond\n"}


@pytest.fixture
def alice(world: World, clone_of: Clones) -> Path:
    """Alice's clone of a ledger in which her domain has a key for each role; she signs with her laptop's."""
    world.begin(bureau.peopled)
    clone = clone_of(world.alice)
    world.alice.git(clone, "config", "user.signingkey", f"{key(world, 'laptop')}.pub")
    return clone


# release


def test_what_would_be_published_is_shown_and_released(world: World, alice: Path) -> None:
    oid = world.propose(world.alice, MADE, "A thing\n\nMade well.", key=key(world, "builder"), topic="thing")
    typed(world.alice, alice, "fetch")
    shown = typed(world.alice, alice, "proposals").stdout
    assert "lacks a release (what a producer makes: 1 more of desk, laptop)" in shown
    assert f"gitledger release {oid[:12]}" in shown
    done = typed(world.alice, alice, "release", "thing").stdout
    for part in (
        "A thing",
        "Made well.",
        "+first",
        "released by  nobody yet",
        "1 of the keys desk, laptop",
        "producer",
    ):
        assert part in done
    assert f"Released by laptop: {oid[:12]} A thing" in done and "laptop releases" in done
    assert f"refs/releases/{oid}/laptop" in world.refs()
    assert "released by  laptop" in typed(world.alice, alice, "release", oid[:8]).stdout
    assert [verdict.proposal.oid for verdict in world.emit().ready] == [oid]
    typed(world.alice, alice, "fetch")
    assert "released by  laptop" in typed(world.alice, alice, "show", "4").stdout
    assert told(world.alice, alice, "show", "4")["releasers"] == ["laptop"]


def test_status_says_whose_release_is_missing_and_what_to_type(world: World, alice: Path) -> None:
    oid = world.propose(world.alice, MADE, key=key(world, "builder"), topic="thing")
    typed(world.alice, alice, "fetch")
    said = typed(world.alice, alice, "status").stdout
    assert "1 more of desk, laptop" in said and f"gitledger release {oid[:12]}" in said
    (one,) = told(world.alice, alice, "status")["proposals"]
    assert (one["standing"], one["needs"], one["rule"]) == ("waits", "a release", "release-missing")
    emitted = typed(world.you, world.host, "emit", "--dry-run", "--key", str(world.you.key)).stdout
    assert "Waits for releases or endorsements" in emitted and "1 more of desk, laptop" in emitted


@pytest.mark.parametrize(("answer", "status"), [("y\n", 0), ("n\n", 1)])
def test_at_a_terminal_it_asks_before_it_signs(world: World, alice: Path, answer: str, status: int) -> None:
    oid = world.propose(world.alice, MADE, key=key(world, "builder"), topic="thing")
    typed(world.alice, alice, "fetch")
    asked = ("Release it as laptop of alice? [y/N]", answer)
    assert at_terminal(world.alice, alice, "release", "thing", answers=[asked]).status == status
    assert (f"refs/releases/{oid}/laptop" in world.refs()) == (status == 0)


def test_who_can_not_release_is_told_before_anything_is_shown_and_by_whom(world: World, alice: Path) -> None:
    world.propose(world.alice, {"domains/alice/releases/1": b"1\n"}, key=key(world, "laptop"), topic="mine")
    typed(world.alice, alice, "fetch")
    desk = f"sign with desk ({forge.key_id(key(world, 'desk'))})"
    for named, why in (
        ("laptop", "signed the proposal itself"),
        ("builder", "nothing asks to release it"),
        ("root", "nothing asks to release it"),
        ("reader", "nothing asks to release it"),
    ):
        done = typed(world.alice, alice, "release", "mine", "--key", str(key(world, named)), status=1)
        assert "[release-does-not-count]" in done.stderr and why in done.stderr and desk in done.stderr
        assert done.stdout == ""
    done = typed(world.james, alice, "release", "mine", "--key", str(world.james.key), status=1)
    assert "[release-does-not-count]" in done.stderr


def test_a_release_that_can_not_be_sent_is_kept_and_carried(world: World, alice: Path, tmp_path: Path) -> None:
    oid = world.propose(world.alice, MADE, key=key(world, "builder"), topic="thing")
    typed(world.alice, alice, "fetch")
    world.alice.git(alice, "remote", "set-url", "origin", str(world.path / "nowhere"))
    done = typed(world.alice, alice, "release", "thing")
    assert "Not sent, and kept here" in done.stderr
    stick = tmp_path / "stick"
    assert "1 release" in typed(world.alice, alice, "carry", "out", str(stick)).stdout
    assert told(world.alice, alice, "carry", "inspect", str(stick))["releases"] == [f"refs/releases/{oid}/laptop"]
    typed(world.you, world.host, "carry", "in", str(stick))
    assert [verdict.proposal.oid for verdict in world.emit().ready] == [oid]


# whoami

MAY = {
    "root": (
        "root",
        [
            "change domains/alice/domain.yaml and domains/alice/policies/publish.yaml",
            "withdraw what root keys of alice",
        ],
    ),
    "laptop": (
        "publisher",
        [
            "publish below domains/alice/",
            "… but domains/alice/releases/** needs 2 of the keys desk, laptop",
            "… but domains/alice/pages/** needs 1 of the keys desk",
            "propose changes of standards/**, endorsed by 1",
            "release what other keys of alice propose, where that is asked for",
            "withdraw what keys of alice propose that are not root",
        ],
    ),
    "builder": ("producer", ["propose below domains/alice/, where each proposal waits until desk or laptop releases"]),
    "ci": ("executor", ["until desk or laptop releases it", "sign execution receipts"]),
    "reader": ("auditor", ["sign what it audited; an auditor proposes nothing"]),
}


@pytest.mark.parametrize("name", MAY)
def test_each_key_is_told_its_domain_its_roles_and_what_it_may_do(world: World, alice: Path, name: str) -> None:
    role, sentences = MAY[name]
    said = told(world.alice, alice, "whoami", "--key", str(key(world, name)))
    assert (said["domain"], said["name"], said["roles"]) == ("alice", name, [role])
    assert said["key_id"] == forge.key_id(key(world, name))
    assert said["held"] == f"the key file {key(world, name)}"
    assert said["record"]["status"] == "active" and said["certificate"] is None
    every = "\n".join(said["may"])
    for sentence in sentences:
        assert sentence in every
    assert ("publish below" in every) == (name == "laptop")
    shown = typed(world.alice, alice, "whoami", "--key", str(key(world, name))).stdout
    assert f"alice, as {name}" in shown and said["may"][0] in shown


def test_an_authority_and_the_witness_are_told_so(world: World, alice: Path) -> None:
    said = told(world.you, alice, "whoami", "--key", str(world.you.key))
    assert said["authority"] and said["witness"]
    assert "endorse proposals and rotations, for you" in said["may"]
    assert "emit snapshots, and refuse proposals" in said["may"]
    assert "an authority and the witness" in typed(world.you, alice, "whoami", "--key", str(world.you.key)).stdout
    said = told(world.alice, alice, "whoami", "--key", str(key(world, "laptop")))
    assert not said["authority"] and not said["witness"]


def test_a_revoked_key_may_do_nothing_and_an_unknown_one_may_begin(world: World, alice: Path) -> None:
    said = told(world.alice, alice, "whoami", "--key", str(key(world, "old")))
    assert said["record"]["status"] == "revoked" and said["roles"] == [] and said["may"] == []
    shown = typed(world.alice, alice, "whoami", "--key", str(key(world, "old"))).stdout
    assert "revoked, which is final" in shown and "nothing" in shown
    new = world.key("spare-9")
    said = told(world.alice, alice, "whoami", "--key", str(new))
    assert (said["domain"], said["record"]) == (None, None)
    shown = typed(world.alice, alice, "whoami", "--key", str(new)).stdout
    assert "common does not know this key" in shown and "gitledger domain new DOMAIN" in shown


def test_who_revokes_a_key_that_rules_name_is_told_so(world: World, alice: Path) -> None:
    root = ("--key", str(key(world, "root")))
    shown = " ".join(typed(world.alice, alice, "domain", "revoke-key", "desk", *root).stdout.split())
    for rule in ("releases/**", "pages/**"):
        assert f"{bureau.PUBLISH} names desk in its rule for {rule}, so that what it matches would wait for" in shown
    assert "names" not in typed(world.alice, alice, "domain", "revoke-key", "reader", *root).stdout


def test_without_a_key_it_is_said_in_a_sentence(world: World, alice: Path) -> None:
    world.alice.git(alice, "config", "--unset", "user.signingkey")
    world.alice.git(alice, "config", "gpg.format", "ssh")
    shown = typed(world.alice, alice, "whoami").stdout
    assert "No key is at hand, so this is read-only" in shown and "git config user.signingkey" in shown
    assert told(world.alice, alice, "whoami")["key_id"] is None
    assert "[no-key]" in typed(world.alice, alice, "whoami", "--key", "nowhere", status=1).stderr


def certified(world: World, principals: Sequence[str], **how: Any) -> Path:
    """A node's key, with a certificate by alice's root beside it."""
    node = world.key("spare-6")
    blob = forge.certificate(node, key(world, "root"), principals, **how)
    file = node.with_name("spare-6-cert.pub")
    file.write_text(f"{forge.CERTIFICATE.decode()} {base64.b64encode(blob).decode()}\n")
    return file


@pytest.fixture
def certifying(world: World, alice: Path) -> Path:
    """Alice's clone, once her root certifies executors."""
    held = world.read(bureau.MANIFEST).decode()
    root = "    roles: [root]\n"
    assert held.count(root) == 1
    world.propose(world.alice, {bureau.MANIFEST: held.replace(root, root + "    certifies: [executor]\n")})
    world.emit()
    typed(world.alice, alice, "fetch")
    return alice


def test_a_certificate_is_told_with_what_it_is_good_for_and_how_long(world: World, certifying: Path) -> None:
    file = certified(world, ["executor@alice", "publisher@alice"], before=FAR)
    world.alice.git(certifying, "config", "user.signingkey", str(file))
    said = told(world.alice, certifying, "whoami")
    assert (said["domain"], said["name"], said["roles"], said["record"]) == ("alice", None, ["executor"], None)
    assert said["certificate"]["serial"] == 7 and said["certificate"]["identity"] == "rescue-1"
    assert said["certificate"]["until"] == said["certificate"]["to"]
    assert said["certificate"]["grants"][0]["rule"] is None
    assert any("waits until desk or laptop releases it" in one for one in said["may"])
    shown = typed(world.alice, certifying, "whoami").stdout
    assert "rescue-1, serial 7" in shown and "executor@alice, publisher@alice" in shown
    assert "by the policy's certificate_grace" in shown
    assert typed(world.alice, certifying, "status").stdout
    found = [one for one in told(world.alice, certifying, "doctor")["findings"] if one["area"] == "key"]
    assert [one["severity"] for one in found] == ["fine"]
    assert "with the certificate rescue-1" in found[0]["sentence"]


def test_a_certificate_of_a_node_whose_key_is_revoked_is_told_to_be_worth_nothing(
    world: World, certifying: Path
) -> None:
    file = certified(world, ["executor@alice"], before=FAR)
    held = world.read(bureau.MANIFEST)
    consent = forge.proof(world.key("spare-6"), world.anchor, "alice")
    entry = forge.Entry("node", world.key("spare-6"), ["executor"], consent).render().encode()
    for content in (held + entry, held):
        world.propose(world.alice, {bureau.MANIFEST: content})
        assert world.emit().ready
    typed(world.alice, certifying, "fetch")
    said = told(world.alice, certifying, "whoami", "--key", str(file))
    assert said["may"] == [] and [one["rule"] for one in said["certificate"]["grants"]] == ["revoked-key"]
    shown = " ".join(typed(world.alice, certifying, "whoami", "--key", str(file)).stdout.split())
    assert "A proposal for alice with its certificate is refused" in shown and "is revoked, which is final" in shown
    said = told(world.alice, certifying, "whoami", "--key", str(world.key("spare-6")))
    assert said["certificate"] is None and said["record"]["status"] == "revoked"


@pytest.mark.parametrize(
    ("how", "rule"),
    [
        ({"before": forge.START}, "certificate-expired"),
        ({"principals": ["publisher@alice"]}, "certificate-roles"),
        ({"principals": ["executor@james"]}, "certificate-signer"),
        ({"principals": []}, "certificate-principals"),
        ({"serial": 0}, "certificate-serial"),
    ],
)
def test_a_certificate_that_counts_for_nothing_is_told_so(
    world: World, certifying: Path, how: dict[str, Any], rule: str
) -> None:
    principals = how.pop("principals", ["executor@alice"])
    file = certified(world, principals, **how)
    said = told(world.alice, certifying, "whoami", "--key", str(file))
    assert [one["rule"] for one in said["certificate"]["grants"]] == [rule]
    assert said["roles"] == [] and not any("below" in one for one in said["may"])
    shown = typed(world.alice, certifying, "whoami", "--key", str(file)).stdout
    assert "with its certificate is refused" in shown
    doctor = run_here(world.alice, certifying, "doctor", "--key", str(file))
    assert doctor.returncode == 1 and "a proposal that is signed with this certificate is refused" in doctor.stdout


def test_nothing_but_a_proposal_is_signed_with_a_certificate(world: World, certifying: Path) -> None:
    oid = world.propose(world.alice, MADE, key=key(world, "builder"), topic="thing")
    typed(world.alice, certifying, "fetch")
    file = certified(world, ["executor@alice"], before=world.now + 3600)
    done = typed(world.alice, certifying, "release", "thing", "--key", str(file), status=1)
    assert "[certificate-not-taken-here]" in done.stderr
    assert f"refs/releases/{oid}/laptop" not in world.refs()


# domain export


def test_a_domain_is_written_in_the_layout_of_the_seed(world: World, alice: Path, tmp_path: Path) -> None:
    directory = tmp_path / "alice"
    shown = typed(world.alice, alice, "domain", "export", str(directory)).stdout
    assert "alice as of common@3" in shown and "authorities/laptop.pub" in shown
    assert {str(one.relative_to(directory)) for one in directory.rglob("*")} == {
        *("domain.id", "domain.pubkey", "domain.yaml", "snapshot", "authorities", "policies", "attestations"),
        *(f"authorities/{name}.pub" for name in bureau.KEYS if name != "old"),
        "policies/publish.yaml",
    }
    assert (directory / "domain.id").read_text() == "alice\n"
    assert (directory / "domain.pubkey").read_text() == f"{forge.line(key(world, 'root'))}\n"
    assert (directory / "authorities/ci.pub").read_text() == f"{forge.line(key(world, 'ci'))}\n"
    assert (directory / "policies/publish.yaml").read_bytes() == world.read(bureau.PUBLISH)
    assert (directory / "domain.yaml").read_bytes() == world.read(bureau.MANIFEST)
    hash_ = forge.hash_of(world.host, world.oid(3))
    assert (directory / "snapshot").read_text() == f"snapshot: common@3\nhash: {hash_}\nledger: {world.anchor}\n"
    listed = world.alice.run(directory, "ssh-keygen", "-lf", "domain.pubkey").stdout
    assert world.alice.key_id in listed


def test_it_is_written_as_of_any_verified_snapshot_and_of_any_domain(world: World, alice: Path, tmp_path: Path) -> None:
    done = told(world.alice, alice, "domain", "export", "alice", str(tmp_path / "then"), "--at", "common@0")
    assert (done["domain"], done["snapshot"]) == ("alice", "common@0")
    assert done["hash"] == done["ledger_id"] == world.anchor
    assert [one for one in done["files"] if one.startswith("authorities/")] == ["authorities/first.pub"]
    assert not list((tmp_path / "then" / "policies").iterdir())
    typed(world.alice, alice, "domain", "export", "james", str(tmp_path / "james"))
    assert (tmp_path / "james" / "domain.id").read_text() == "james\n"


def test_what_can_not_be_written_leaves_nothing(world: World, alice: Path, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "mine").write_text("mine")
    assert "[directory-taken]" in typed(world.alice, alice, "domain", "export", str(taken), status=2).stderr
    for arguments, rule in (
        (("nobody", "new"), "no-such-domain"),
        (("alice", "new", "--at", "common@9"), "no-such-snapshot"),
    ):
        named = [str(tmp_path / one) if one == "new" else one for one in arguments]
        assert f"[{rule}]" in typed(world.alice, alice, "domain", "export", *named, status=1).stderr
    assert [one.name for one in tmp_path.iterdir() if one.name in ("taken", "new")] == ["taken"]
    assert [one.name for one in taken.iterdir()] == ["mine"]
