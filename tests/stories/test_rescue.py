"""A rescue stick, played whole: it boots, is certified, makes something and a receipt of it, proposes it, and is gone.

What it leaves is one bundle. A month later the witness takes that in: within the policy's grace, which is forty days,
and where nobody has revoked the stick meanwhile. The clock is the stage's, for the host's hooks, too.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from stage import Stage

pytestmark = pytest.mark.long

COMMON = "git@ledger.example:common.git"
DISK = "domains/alice/disk"
TAR = f"tar --format=gnu --sort=name --owner=0 --group=0 --numeric-owner -cf disk.tar -C common@2 {DISK}"


def typed(stage: Stage, who: str, *commands: str, status: int = 0) -> str:
    """What the last of these commands shows; it ends with `status`, and those before it with 0."""
    said = ""
    for number, command in enumerate(commands, start=1):
        ended, said = stage.run(who, command)
        assert ended == (status if number == len(commands) else 0), f"{who}$ {command}\n{said}"
    return said


def numbered(stage: Stage) -> str:
    """The witness emits, and what that said; Alice fetches."""
    said = typed(stage, "you", "gitledger fetch", "gitledger emit")
    typed(stage, "alice", "gitledger fetch")
    return said


def clone(stage: Stage, who: str, domain: str, key: str) -> None:
    """A verified clone, where this person is from now on."""
    anchor = "--anchor $(sed -n 's/^ *ledger id *//p' ~/stick/card)"
    typed(stage, who, f"gitledger clone {COMMON} ledger --as {domain} {anchor}", "cd ledger")
    typed(stage, who, f"git config user.signingkey {key}")


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """Alice has a key that certifies, and what was on her disk stands in common@2."""
    with closing(Stage(tmp_path / "world")) as stage:
        init = "gitledger init --domain you --key ~/.ssh/id_ed25519 --member alice=alice.pub"
        typed(stage, "you", f"{init} draft.git", "git -C draft.git show common:ledger/policy.yaml >draft.yaml")
        typed(stage, "you", "sed 's/certificate_grace: 0d /certificate_grace: 40d/' draft.yaml >policy.yaml")
        typed(stage, "you", f"{init} --policy policy.yaml common.git >~/stick/card")
        typed(stage, "host", "git init -q --bare --initial-branch=common common.git")
        typed(stage, "you", f"git -C common.git push -q {COMMON} common")
        typed(stage, "host", "gitledger hooks install common.git")
        for who in ("you", "alice"):
            clone(stage, who, who, "~/.ssh/id_ed25519.pub")
        key = "gitledger domain add-key nodes ~/.ssh/nodes.pub --role root --certifies executor,publisher --propose"
        typed(stage, "alice", "ssh-keygen -q -t ed25519 -N '' -f ~/.ssh/nodes", key)
        numbered(stage)
        typed(stage, "alice", "gitledger pin common@1", f"mkdir -p {DISK}", f"echo Ropes >{DISK}/notes.txt")
        typed(stage, "alice", f"git add {DISK}", "gitledger propose -m 'What is on the disk' --topic disk")
        numbered(stage)
        yield stage


def rescued(stage: Stage) -> None:
    """All that the stick does within its eight hours; nothing of it is left but the bundle."""
    typed(stage, "rescue", "ssh-keygen -q -t ed25519 -N '' -f ~/.ssh/rescue", "cp ~/.ssh/rescue.pub ~/stick/")
    grant = "gitledger node grant ~/stick/rescue.pub --roles executor,publisher --for 8h --name rescue-1"
    typed(stage, "alice", f"{grant} --serial 7 --key ~/.ssh/nodes")
    typed(stage, "rescue", "cp ~/stick/rescue-cert.pub ~/.ssh/")
    clone(stage, "rescue", "alice", "~/.ssh/rescue-cert.pub")
    typed(stage, "rescue", "git remote set-url origin /mnt/harbour/common.git")  # no network from here on

    run = f"gitledger certify run --key ~/.ssh/rescue-cert.pub --input common@2:{DISK} --output disk.tar --to recovered"
    assert "Ran twice, with equal outputs." in typed(stage, "rescue", f"{run} -- {TAR}")
    kept = typed(stage, "rescue", "gitledger propose -m Recovered --topic recovered")
    assert "Not sent, and kept here" in kept
    typed(stage, "rescue", "gitledger carry out ~/stick/work.bundle --for witness", "cd")
    shutil.rmtree(stage.home("rescue") / "ledger")
    shutil.rmtree(stage.home("rescue") / ".ssh")
    typed(stage, "alice", "rm ~/stick/rescue.pub ~/stick/rescue-cert.pub")


def carried_in(stage: Stage, status: int = 0) -> str:
    return typed(stage, "host", "gitledger -C common.git carry in ~/stick/work.bundle", status=status)


def test_what_a_stick_left_is_taken_a_month_later_with_its_receipt(stage: Stage) -> None:
    rescued(stage)
    typed(stage, "alice", "sleep 30d")
    assert "taken  refs/proposals/alice/recovered" in carried_in(stage)
    assert "common@3 published." in numbered(stage)
    typed(stage, "alice", "gitledger pin common@3")
    shown = typed(stage, "alice", "gitledger trace domains/alice/recovered/disk.tar")
    for line in ("stands in +common@3, of alice", "authoritative +yes", f"common@2:{DISK}/notes.txt ✓"):
        assert re.search(f"^ +{line}$", shown, re.MULTILINE), shown
    assert "publisher@alice" in typed(stage, "alice", "git log -1 --format='%G? %GS' common^2")
    replay = "gitledger certify replay --isolation none $(git ls-tree -r --name-only common domains/alice/attestations)"
    assert "All outputs are equal" in typed(stage, "alice", replay)


def test_what_a_stick_left_is_refused_once_the_grace_is_over(stage: Stage) -> None:
    rescued(stage)
    typed(stage, "alice", "sleep 41d")
    assert "[certificate-grace]" in carried_in(stage, status=1)
    assert "common@3" not in numbered(stage)


def test_what_a_stick_left_is_refused_where_the_grace_ends_while_it_waits(stage: Stage) -> None:
    rescued(stage)
    typed(stage, "alice", "sleep 30d")
    carried_in(stage)
    typed(stage, "alice", "sleep 11d")
    said = numbered(stage)
    assert "limits.certificate_grace, was over" in said and "common@3" not in said


def test_what_a_stick_left_is_refused_once_it_is_revoked(stage: Stage) -> None:
    rescued(stage)
    typed(stage, "alice", "sleep 5d", "gitledger pin common@2", "gitledger node revoke rescue-1")
    typed(stage, "alice", "gitledger propose -m 'Revoke the stick'")
    assert "common@3 published." in numbered(stage)
    typed(stage, "alice", "sleep 25d")
    assert "[certificate-revoked]" in carried_in(stage, status=1)
    assert "common@4" not in numbered(stage)
