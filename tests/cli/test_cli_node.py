"""`node`: what is certified works on the node with stock git and with gitledger, for as long as it holds."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import forge
import pytest
from forge import Entry
from typed import Clones, at_terminal, program, told, typed
from world import Done, Person, World, accepted

pytestmark = pytest.mark.long

ALICE = "domains/alice/domain.yaml"
BOTH = ("--roles", "executor,publisher", "--for", "8h")
HOURS = 8 * 3600
GRACE = 2 * 86_400
TOKEN = Path(__file__).parent.parent / "sk_helper.py"


def founded(world: World) -> None:
    """Alice's root certifies executors and publishers, and late work has a hundred years.

    So it is in time by the clock of whatever machine runs the host's hooks.
    """
    begun(world, "36500d")


def founded_in_haste(world: World) -> None:
    """The same, and late work has two days."""
    begun(world, "2d")


def begun(world: World, grace: str) -> None:
    world.make_host(limits=f"certificate_grace: {grace}")
    entry = Entry("root", world.alice.key, ["root", "publisher"], certifies=["executor", "publisher"])
    world.propose(world.alice, {ALICE: forge.manifest_file("alice", entry)}, topic="certifies")
    world.emit()


@pytest.fixture
def certifying(world: World, clone_of: Clones) -> Path:
    """Alice's clone of that ledger."""
    world.begin(founded)
    return clone_of(world.alice)


@pytest.fixture
def hasty(world: World, clone_of: Clones) -> Path:
    """Alice's clone where late work has two days."""
    world.begin(founded_in_haste)
    return clone_of(world.alice)


def stick(world: World) -> Person:
    """A rescue stick: a machine with a key of its own, in nobody's manifest."""
    person = world.person("stranger")
    (person.home / ".gitconfig").write_text("[user]\n\tname = Rescue\n\temail = rescue@example.org\n")
    return person


def granted(world: World, clone: Path, *options: str, how: tuple[str, ...] = BOTH) -> Path:
    """Alice certifies the stick's key; the certificate's file."""
    pub = stick(world).key.with_name("id_ed25519.pub")
    typed(world.alice, clone, "node", "grant", str(pub), *how, *options)
    return stick(world).key.with_name("id_ed25519-cert.pub")


def commit(world: World, clone: Path, certificate: Path, *, push: bool = True) -> Done:
    """What the stick commits with stock git, and proposes; what came of the last command."""
    person = stick(world)
    person.git(clone, "checkout", "-q", "-B", "rescued", "origin/common")
    (clone / "domains" / "alice" / "disk.txt").write_text(f"recovered at {world.now}\n")
    person.git(clone, "add", "domains")
    signing = ("-c", "gpg.format=ssh", "-c", f"user.signingkey={certificate}")
    made = ("commit", "-q", "-S", "-m", "Recovered", "--trailer", "Ledger-Domain: alice")
    done = person.git(clone, *signing, *made)
    return world.push(person, clone, "+HEAD:refs/proposals/alice/recovered") if push else done


def stock_clone(world: World) -> Path:
    person = stick(world)
    path = person.home / "common"
    person.git(world.path, "clone", "-q", "--no-tags", str(world.host), str(path))
    return path


# To certify


def test_what_is_certified_signs_with_stock_git(world: World, certifying: Path) -> None:
    certificate = granted(world, certifying)
    accepted(commit(world, stock_clone(world), certificate))
    assert not world.emit().refused
    assert world.read("domains/alice/disk.txt")


def test_it_is_a_certificate_as_ssh_keygen_shows_it_and_gives_no_login(world: World, certifying: Path) -> None:
    certificate = granted(world, certifying, "--name", "rescue-1", "--serial", "7")
    shown = world.alice.run(world.path, "ssh-keygen", "-Lf", str(certificate)).stdout
    for line in ('Key ID: "rescue-1"', "Serial: 7", "executor@alice", "publisher@alice", "user certificate"):
        assert line in shown
    assert "Extensions: (none)" in shown and "Critical Options: (none)" in shown


def test_the_command_says_what_the_node_needs_and_until_when(world: World, certifying: Path) -> None:
    pub = stick(world).key.with_name("id_ed25519.pub")
    said = typed(world.alice, certifying, "node", "grant", str(pub), *BOTH, "--serial", "7").stdout
    for line in (
        "Certified: id_ed25519, serial 7",
        "publisher, executor of alice",
        "certificate_grace is 36500d",
        "git config user.signingkey ~/.ssh/id_ed25519-cert.pub",
        "--trailer 'Ledger-Domain: alice'",
        "gitledger node revoke 7",
    ):
        assert line in said
    narrow = ("--roles", "executor", "--for", "1d")
    assert "waits for a release by root" in typed(world.alice, certifying, "node", "grant", str(pub), *narrow).stdout


def test_for_a_program_it_says_all_of_it(world: World, certifying: Path) -> None:
    pub = stick(world).key.with_name("id_ed25519.pub")
    said = told(world.alice, certifying, "node", "grant", str(pub), *BOTH)
    assert 0 < said["serial"] < 1 << 63
    assert said["key_id"] == stick(world).key_id and said["by"] == world.alice.key_id
    assert said["roles"] == ["publisher", "executor"]
    assert said["file"] == str(stick(world).key.with_name("id_ed25519-cert.pub"))
    assert Path(said["file"]).read_text().startswith(said["certificate"])
    other = told(world.alice, certifying, "node", "grant", str(pub), *BOTH)
    assert other["serial"] != said["serial"]


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        (("--roles", "producer", "--for", "8h"), "certificate-roles"),
        (("--roles", "root", "--for", "8h"), "certificate-roles"),
        (("--roles", "executor,auditor", "--for", "8h"), "certificate-roles"),
        ((*BOTH, "--serial", "9"), "serial-twice"),
        ((*BOTH, "--serial", str(1 << 63)), "certificate-serial"),
    ],
)
def test_what_could_never_count_is_not_signed(
    world: World, certifying: Path, options: tuple[str, ...], rule: str
) -> None:
    certificate = granted(world, certifying, "--serial", "9")
    before = certificate.read_bytes()
    pub = str(stick(world).key.with_name("id_ed25519.pub"))
    assert f"[{rule}]" in typed(world.alice, certifying, "node", "grant", pub, *options, status=1).stderr
    assert certificate.read_bytes() == before
    assert len(told(world.alice, certifying, "node", "list")["nodes"]) == 1


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        (("--roles", "captain", "--for", "8h"), "role"),
        (("--roles", "executor", "--for", "0h"), "node-duration"),
        ((*BOTH, "--name", ""), "node-name"),
        ((*BOTH, "--name", "a\x1bb"), "node-name"),
        ((*BOTH, "--name", "7"), "node-name"),
    ],
)
def test_wrong_usage_is_told(world: World, certifying: Path, options: tuple[str, ...], rule: str) -> None:
    pub = str(stick(world).key.with_name("id_ed25519.pub"))
    assert f"[{rule}]" in typed(world.alice, certifying, "node", "grant", pub, *options, status=2).stderr


def test_a_duration_that_is_none_and_one_that_is_too_long_are_told_apart(world: World, certifying: Path) -> None:
    pub = str(stick(world).key.with_name("id_ed25519.pub"))
    for duration, words in (("0d", "for no time"), ("2932896d", "the year 9999 at the latest")):
        how = ("--roles", "executor", "--for", duration)
        assert words in typed(world.alice, certifying, "node", "grant", pub, *how, status=2).stderr


def test_what_a_key_has_besides_is_told_with_what_revokes_it(world: World, hasty: Path) -> None:
    first = granted(world, hasty, "--serial", "7")
    pub = str(stick(world).key.with_name("id_ed25519.pub"))
    said = " ".join(typed(world.alice, hasty, "node", "grant", pub, *BOTH, "--serial", "8").stdout.split())
    assert "This key has another certificate, serial 7, which counts until" in said
    assert "gitledger node revoke 7" in said
    by_hand = forge.certificate(stick(world).key, world.alice.key, ["executor@alice"], serial=99, before=world.now + 9)
    first.write_text(f"{forge.CERTIFICATE.decode()} {forge.base64.b64encode(by_hand).decode()}\n")
    assert told(world.alice, hasty, "node", "grant", pub, *BOTH, "--serial", "9")["earlier"] == [7, 8, 99]
    typed(world.alice, hasty, "node", "revoke", "8", "--propose")
    world.emit()
    typed(world.alice, hasty, "fetch")
    assert told(world.alice, hasty, "node", "grant", pub, *BOTH, "--serial", "10")["earlier"] == [7, 9]
    world.tick(HOURS + GRACE)
    assert told(world.alice, hasty, "node", "grant", pub, *BOTH)["earlier"] == []


def test_a_duration_is_days_or_hours(world: World, certifying: Path) -> None:
    pub = str(stick(world).key.with_name("id_ed25519.pub"))
    for wrong in ("8", "8m", "9999999d"):
        typed(world.alice, certifying, "node", "grant", pub, "--roles", "executor", "--for", wrong, status=1)


def test_whose_key_is_somebody_s_is_no_node(world: World, certifying: Path, clone_of: Clones) -> None:
    for person, rule in ((world.alice, "certificate-of-a-member"), (world.james, "key-of-another-domain")):
        said = typed(world.alice, certifying, "node", "grant", f"{person.key}.pub", *BOTH, status=1).stderr
        assert f"[{rule}]" in said
    pub = str(stick(world).key.with_name("id_ed25519.pub"))
    james = clone_of(world.james)
    assert "[certificate-signer]" in typed(world.james, james, "node", "grant", pub, *BOTH, status=1).stderr
    own = ("--key", str(stick(world).key))
    assert "[unknown-key]" in typed(world.alice, certifying, "node", "grant", pub, *BOTH, *own, status=1).stderr


# Where the domain's key lives


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[str]:
    """The socket of an agent that holds nothing yet."""
    socket = tmp_path / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.DEVNULL)
    while not socket.exists():
        assert process.poll() is None
    yield str(socket)
    process.kill()
    process.wait()


def test_a_key_that_an_agent_alone_holds_certifies(world: World, certifying: Path, agent: str) -> None:
    world.alice.run(world.path, "ssh-add", "-q", str(world.alice.key), SSH_AUTH_SOCK=agent)
    away = world.alice.key.rename(world.alice.key.with_name("away"))
    pub = str(stick(world).key.with_name("id_ed25519.pub"))
    try:
        typed(world.alice, certifying, "node", "grant", pub, *BOTH, SSH_AUTH_SOCK=agent)
        said = typed(world.alice, certifying, "node", "grant", pub, *BOTH, status=1).stderr
        assert "[signing-failed]" in said and "ssh-add" in said
    finally:
        away.rename(world.alice.key)
    accepted(commit(world, stock_clone(world), Path(pub.replace(".pub", "-cert.pub"))))


def test_a_key_with_a_passphrase_is_asked_for_it_at_the_terminal(world: World, certifying: Path) -> None:
    change = ("ssh-keygen", "-q", "-p", "-P", "", "-N", "open sesame", "-f", str(world.alice.key))
    world.alice.run(world.path, *change)
    pub = str(stick(world).key.with_name("id_ed25519.pub"))
    said = typed(world.alice, certifying, "node", "grant", pub, *BOTH, status=1).stderr
    assert "[signing-failed]" in said
    arguments = ("node", "grant", pub, *BOTH)
    shown = at_terminal(world.alice, certifying, *arguments, answers=[("Enter passphrase", "open sesame\n")])
    assert shown.status == 0 and "Certified" in shown.text


def test_a_security_key_certifies(world: World, certifying: Path) -> None:
    token = {"SSH_SK_HELPER": str(world.path / "token"), "SK_SEED": "alice"}
    Path(token["SSH_SK_HELPER"]).write_text(f'#!/bin/sh\nexec "{sys.executable}" -P "{TOKEN}"\n')
    Path(token["SSH_SK_HELPER"]).chmod(0o755)
    key = world.path / "nodes"
    making = ("ssh-keygen", "-q", "-t", "ed25519-sk", "-N", "", "-C", "", "-f", str(key))
    world.alice.run(world.path, *making, **token)
    given = ("domain", "add-key", "nodes", f"{key}.pub", "--role", "root", "--certifies", "publisher", "--propose")
    program(world.alice, certifying, *given, **token)
    world.emit()
    typed(world.alice, certifying, "fetch")
    pub = stick(world).key.with_name("id_ed25519.pub")
    how = ("--roles", "publisher", "--for", "8h", "--key", f"{key}.pub")
    program(world.alice, certifying, "node", "grant", str(pub), *how, **token)
    accepted(commit(world, stock_clone(world), stick(world).key.with_name("id_ed25519-cert.pub")))
    absent = program(world.alice, certifying, "node", "grant", str(pub), *how, status=1, **token, SK_ABSENT="1")
    assert "[signing-failed]" in absent.stderr


# On the node


def test_propose_on_the_node_says_for_whom_by_itself(world: World, certifying: Path) -> None:
    from gitledger.roles import consumer

    certificate = granted(world, certifying)
    person, path = stick(world), stick(world).home / "ledger"
    with world.acting(person):
        consumer.clone(str(world.host), path, world.anchor, domain="alice", now=world.now)
    person.git(path, "config", "user.signingkey", str(certificate))
    (path / "domains" / "alice" / "disk.txt").write_text("recovered\n")
    person.git(path, "add", "domains")
    said = told(person, path, "propose", "-m", "Recovered")
    assert said["ref"] == "refs/proposals/alice/recovered" and said["pushed"]
    assert person.output(path, "log", "-1", "--format=%(trailers:key=Ledger-Domain,valueonly)", said["oid"]) == "alice"
    assert not world.emit().refused
    (path / "domains" / "alice" / "disk.txt").write_text("recovered again\n")
    person.git(path, "add", "domains")
    typed(person, path, "propose", "-m", "Again", "-m", "Ledger-Domain: alice")
    assert not world.emit().refused


def test_stock_git_shows_what_a_node_signed_and_as_what(world: World, certifying: Path) -> None:
    """`git log --show-signature` and `git verify-commit`, by the file that a clone keeps."""
    certificate = granted(world, certifying)
    clone = stock_clone(world)
    accepted(commit(world, clone, certificate))
    world.emit()
    typed(world.alice, certifying, "fetch")
    shown = world.alice.git(certifying, "log", "-2", "--show-signature", "common").stdout
    assert 'Good "git" signature for executor@alice with ED25519-CERT key' in shown
    oid = stick(world).output(clone, "rev-parse", "HEAD")
    world.alice.git(certifying, "verify-commit", oid)
    listed = typed(world.alice, certifying, "allowed-signers").stdout
    assert f'executor@alice,publisher@alice cert-authority,namespaces="git" {world.alice.pub}' in listed
    assert f'alice/node namespaces="git,asl.*" {stick(world).pub}' in listed
    assert f'alice namespaces="git,asl.*" {stick(world).pub}' not in listed


def test_stock_git_shows_no_good_signature_of_who_is_certified_by_another(world: World, certifying: Path) -> None:
    key = stick(world).key
    clone = stock_clone(world)
    for by, to, when in (
        (world.james.key, "publisher@alice", world.now + HOURS),
        (world.alice.key, "producer@alice", world.now + HOURS),
        (world.alice.key, "publisher@alice", world.now),
    ):
        public = forge.certificate(key, by, [to], before=when)
        oid = forge.proposal(world.bench(), world.tip, {"x": b"x"}, key, seconds=world.now, public=public)
        stick(world).git(clone, "fetch", "-q", str(world.bench()), oid, check=False)
        done = world.alice.git(certifying, "fetch", "-q", str(world.bench()), oid, check=False)
        assert done.returncode == 0, done.stderr
        assert world.alice.git(certifying, "verify-commit", oid, check=False).returncode != 0


def test_a_node_s_first_work_is_collected_from_a_forge(world: World, certifying: Path) -> None:
    certificate = granted(world, certifying)
    forge_, clone = world.path / "forge.git", stock_clone(world)
    world.alice.git(world.path, "clone", "-q", "--mirror", str(world.host), str(forge_))
    commit(world, clone, certificate, push=False)
    stick(world).git(clone, "push", "-q", str(forge_), "HEAD:refs/pull/1/head")
    said = typed(world.alice, certifying, "collect", str(forge_), "refs/pull/1/head").stdout
    assert "refs/proposals/alice/" in said


# Told, and taken back


def test_nodes_are_listed_with_their_standing(world: World, certifying: Path, clone_of: Clones) -> None:
    certificate = granted(world, certifying, "--name", "rescue-1", "--serial", "7")
    (node,) = told(world.alice, certifying, "node", "list")["nodes"]
    assert (node["serial"], node["name"], node["in_ledger"], node["revoked"]) == (7, "rescue-1", False, False)
    assert "may sign" in typed(world.alice, certifying, "node", "list").stdout
    accepted(commit(world, stock_clone(world), certificate))
    world.emit()
    typed(world.alice, certifying, "fetch")
    assert told(world.alice, certifying, "node", "list", "alice")["nodes"][0]["in_ledger"]
    assert told(world.alice, certifying, "node", "list", "james")["nodes"] == []
    world.tick(HOURS)
    assert "over, and its work may still be accepted" in typed(world.alice, certifying, "node", "list").stdout
    james = clone_of(world.james)
    (seen,) = told(world.james, james, "node", "list", "alice")["nodes"]
    assert (seen["serial"], seen["key_id"], seen["in_ledger"]) == (None, stick(world).key_id, True)
    assert "certified elsewhere" in typed(world.james, james, "node", "list", "alice").stdout


def test_a_node_is_over_once_its_work_is_accepted_no_more(world: World, hasty: Path) -> None:
    granted(world, hasty, "--name", "rescue-1")
    world.tick(HOURS + GRACE - 100)
    assert "over, and its work may still be accepted" in typed(world.alice, hasty, "node", "list").stdout
    world.tick(200)
    assert "rescue-1  of alice  over\n" in typed(world.alice, hasty, "node", "list").stdout


def test_what_was_noted_and_is_damaged_is_told(world: World, certifying: Path) -> None:
    granted(world, certifying)
    note = certifying / ".git" / "gitledger" / "nodes.json"
    note.write_text("[{]")
    said = typed(world.alice, certifying, "node", "list", status=1).stderr
    assert "[nodes-damaged]" in said and f"mv {note}" in said
    doctor = typed(world.alice, certifying, "doctor", status=1)
    assert "which nodes were certified here, can't be read" in " ".join((doctor.stdout + doctor.stderr).split())


@pytest.mark.parametrize("named", ["7", "rescue-1", "certificate"])
def test_a_node_is_revoked_by_its_serial_its_name_or_its_certificate(
    world: World, certifying: Path, named: str
) -> None:
    certificate = granted(world, certifying, "--name", "rescue-1", "--serial", "7")
    clone = stock_clone(world)
    accepted(commit(world, clone, certificate))
    named = str(certificate) if named == "certificate" else named
    said = typed(world.alice, certifying, "node", "revoke", named).stdout
    assert "Staged: domains/alice/domain.yaml" in said
    typed(world.alice, certifying, "propose", "-m", "Revoke rescue-1", "--salt", "1")
    plan = world.emit()
    assert [one.error.rule for one in plan.refused if one.error] == ["certificate-revoked"]
    typed(world.alice, certifying, "fetch")
    assert told(world.alice, certifying, "node", "list")["nodes"][0]["revoked"]
    assert "revoked serials: 7" in typed(world.alice, certifying, "domain", "show", "alice").stdout
    assert "[certificate-revoked]" in typed(world.alice, certifying, "node", "revoke", "7", status=1).stderr
    pub = str(stick(world).key.with_name("id_ed25519.pub"))
    again = typed(world.alice, certifying, "node", "grant", pub, *BOTH, "--serial", "7", status=1).stderr
    assert "[certificate-revoked]" in again


def test_a_node_that_nobody_knows_is_not_revoked(world: World, certifying: Path) -> None:
    first, _ = granted(world, certifying, "--name", "twin"), granted(world, certifying, "--name", "twin")
    for named, rule in (("nobody", "no-such-node"), ("twin", "ambiguous"), ("0", "certificate-serial")):
        assert f"[{rule}]" in typed(world.alice, certifying, "node", "revoke", named, status=1).stderr
    foreign = forge.certificate(stick(world).key, world.james.key, ["publisher@james"])
    first.write_text(f"ssh-ed25519-cert-v01@openssh.com {forge.base64.b64encode(foreign).decode()}\n")
    assert "[other-domain]" in typed(world.alice, certifying, "node", "revoke", str(first), status=1).stderr


def test_a_name_that_is_a_number_is_taken_for_no_serial(world: World, certifying: Path) -> None:
    """Nobody gives such a name any more; it may stand in what was remembered."""
    granted(world, certifying, "--name", "stick", "--serial", "7")
    note = certifying / ".git" / "gitledger" / "nodes.json"
    note.write_text(note.read_text().replace('"stick"', '"200"'))
    assert "[ambiguous]" in typed(world.alice, certifying, "node", "revoke", "200", status=1).stderr
    note.write_text(note.read_text().replace('"200"', '"7"'))
    assert "Staged" in typed(world.alice, certifying, "node", "revoke", "7").stdout


def test_a_certificate_by_a_stranger_is_not_revoked(world: World, certifying: Path) -> None:
    file = granted(world, certifying)
    for by, rule in ((world.key("spare-9"), "certificate-signer"), (world.james.key, "certificate-signer")):
        theirs = forge.certificate(stick(world).key, by, ["publisher@alice"], serial=3)
        file.write_text(f"{forge.CERTIFICATE.decode()} {forge.base64.b64encode(theirs).decode()}\n")
        assert f"[{rule}]" in typed(world.alice, certifying, "node", "revoke", str(file), status=1).stderr


def test_a_serial_that_was_never_seen_here_is_told_and_revoked(world: World, certifying: Path) -> None:
    said = typed(world.alice, certifying, "node", "revoke", "99999").stdout
    assert "No certificate with the serial 99999 was made here" in said and "Staged" in said
    granted(world, certifying, "--serial", "7")
    assert "was made here" not in typed(world.alice, certifying, "node", "revoke", "7").stdout


def test_the_nodes_of_a_domain_that_there_is_not_are_none_to_list(world: World, certifying: Path) -> None:
    assert "[no-such-domain]" in typed(world.alice, certifying, "node", "list", "nobody", status=1).stderr
    assert "No node is known" in typed(world.alice, certifying, "node", "list", "james").stdout


def test_a_key_enters_with_what_it_certifies(world: World, clone: Path) -> None:
    given = ("domain", "add-key", "nodes", f"{world.key('spare-1')}.pub", "--role", "root")
    typed(world.alice, clone, *given, "--certifies", "executor,publisher", "--propose")
    world.emit()
    typed(world.alice, clone, "fetch")
    keys = told(world.alice, clone, "domain", "show", "alice")["domains"][0]["keys"]
    assert [key["certifies"] for key in keys] == [[], ["publisher", "executor"]]
    assert "certifies publisher, executor" in typed(world.alice, clone, "domain", "show", "alice").stdout
    other = ("domain", "add-key", "more", f"{world.key('spare-2')}.pub", "--role", "root", "--certifies", "root")
    assert "[certifies-root]" in typed(world.alice, clone, *other, status=1).stderr


# A rescue stick that is gone


@pytest.mark.parametrize("rule", ["", "certificate-grace", "certificate-revoked"])
def test_late_work_from_a_stick_that_is_gone_is_taken(world: World, clone_of: Clones, rule: str) -> None:
    """Within the grace; not beyond it, by the host's clock, and not once it is revoked."""
    world.begin(founded_in_haste if rule == "certificate-grace" else founded)
    certifying = clone_of(world.alice)
    clone = stock_clone(world)
    world.tick(-5 * 86400)  # the stick was there before, as the host's clock is no other than ours
    certificate = granted(world, certifying, "--name", "rescue-1")
    person, file = stick(world), world.path / "work.bundle"
    person.git(clone, "switch", "-q", "-c", "rescued", "--no-track", "origin/common")
    (clone / "domains" / "alice" / "disk.txt").write_text("recovered\n")
    person.git(clone, "add", "domains")
    signing = ("-c", "gpg.format=ssh", "-c", f"user.signingkey={certificate}")
    person.git(clone, *signing, "commit", "-q", "-S", "-m", "Recovered\n\nLedger-Domain: alice")
    person.git(clone, "bundle", "create", "-q", str(file), "origin/common..rescued")
    person.key.unlink()
    world.tick(5 * 86400)
    if rule == "certificate-revoked":
        typed(world.alice, certifying, "node", "revoke", "rescue-1")
        typed(world.alice, certifying, "propose", "-m", "Revoke the stick")
        world.emit()
    said = typed(world.you, world.host, "carry", "in", str(file), status=1 if rule else 0)
    if rule:
        assert f"[{rule}]" in said.stderr + said.stdout
        return
    assert not world.emit().refused
    assert "refs/tags/common@2" in world.refs()


def test_what_gitledger_proposes_where_nobody_answers_goes_by_carry_out(world: World, certifying: Path) -> None:
    from gitledger.roles import consumer

    certificate = granted(world, certifying)
    person, path, file = stick(world), stick(world).home / "ledger", world.path / "work.bundle"
    with world.acting(person):
        consumer.clone(str(world.host), path, world.anchor, domain="alice", now=world.now)
    person.git(path, "config", "user.signingkey", str(certificate))
    person.git(path, "remote", "set-url", "origin", str(world.path / "nowhere.git"))
    (path / "domains" / "alice" / "disk.txt").write_text("recovered\n")
    person.git(path, "add", "domains")
    assert "Not sent, and kept here" in typed(person, path, "propose", "-m", "Recovered").stderr
    typed(person, path, "carry", "out", str(file), "--for", "witness")
    assert "taken  refs/proposals/alice/recovered" in typed(world.you, world.host, "carry", "in", str(file)).stdout
    assert not world.emit().refused
    assert world.read("domains/alice/disk.txt") == b"recovered\n"
