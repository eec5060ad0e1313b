"""A proposer, an endorser and a consumer with `git`, `ssh-keygen`, `sha256sum` and a shell; nothing else (spec 0).

What they do stands in shell scripts, as the spec has it; gitledger is only on the host and is the witness.
"""

from __future__ import annotations

import pytest
from world import Done, Person, World

SET_UP = """
git clone -q --no-tags "$HOST" work && cd work
git config gpg.format ssh
git config user.signingkey "$HOME/.ssh/id_ed25519.pub"
git config commit.gpgsign true
"""


def shell(world: World, person: Person, script: str, check: bool = True, **names: str) -> Done:
    """Run a script as this person, in their home."""
    return person.run(person.home, "sh", "-euc", script, check=check, HOST=str(world.host), **names)


@pytest.fixture
def group(world: World) -> World:
    world.make_host(registration="endorsed", paths=[{"match": "standards/**", "proposers": "any", "endorsements": 2}])
    return world


def test_propose_endorse_and_follow(group: World) -> None:
    shell(group, group.alice, SET_UP + """
        mkdir standards && echo one > standards/one.txt
        git add . && git commit -q -m 'First standard'
        git push -q origin HEAD:refs/proposals/alice/first
    """)  # fmt: skip
    for person in (group.james, group.you):
        shell(group, person, SET_UP + """
            git fetch -q origin refs/proposals/alice/first
            oid=$(git rev-parse FETCH_HEAD)
            hash=sha256:$(git cat-file commit $oid | sha256sum | cut -d' ' -f1)
            git tag -s -m "Endorse the first standard

Endorses: $hash" endorse/$oid $oid
            git push -q origin endorse/$oid:refs/endorsements/$oid/$DOMAIN
        """, DOMAIN=person.name)  # fmt: skip
    group.emit()
    follow(group, group.stranger, 1)


def follow(world: World, person: Person, number: int) -> None:
    """A consumer with the anchor: the chain of hashes, the witness's signature, the tree, the endorsers by name."""
    signers = "".join(f"{one.name} {one.pub}\n" for one in (world.you, world.alice, world.james))
    (person.home / "signers").write_text(signers)
    said = shell(world, person, """
        rm -rf ledger && git clone -q "$HOST" ledger && cd ledger
        git config gpg.ssh.allowedSignersFile "$HOME/signers"
        hash() { git cat-file commit "$1" | sha256sum | cut -d' ' -f1; }
        test "sha256:$(hash common@0)" = "$ANCHOR"
        n=1
        while [ $n -le $LAST ]; do
            test "$(git rev-parse common@$n^1)" = "$(git rev-parse common@$((n-1)))"
            git cat-file commit common@$n | grep -qx "Previous: sha256:$(hash common@$((n-1)))"
            git cat-file commit common@$n | grep -qx "Proposal: sha256:$(hash common@$n^2)"
            git verify-commit common@$n
            n=$((n+1))
        done
        git checkout -q common@$LAST
        git init -q --object-format=sha256 ../other && cp -R . ../copy && rm -rf ../copy/.git
        digest=$(git -C ../other --work-tree ../copy add -A && git -C ../other write-tree)
        rm -rf ../other ../copy
        git cat-file commit common@$LAST | grep -qx "Content: sha256:$digest"
        git log --first-parent --show-signature -1 common@$LAST
    """, ANCHOR=world.anchor, LAST=str(number))  # fmt: skip
    text = said.stdout + said.stderr
    assert 'Good "git" signature for you' in text
    assert 'Good "git" signature for alice' in text or 'Good "git" signature for james' in text


@pytest.mark.long
def test_a_new_domain_registers_and_brings_a_second_key_with_its_proof(group: World) -> None:
    stranger, second = group.stranger, group.key("spare-1")
    done = shell(group, stranger, SET_UP + """
        mkdir -p domains/carla
        cat > domains/carla/domain.yaml <<END
artifact_type: asl.domain.manifest
version: 0.1
domain_id: carla
keys:
  - {name: root, key: $(cut -d' ' -f1,2 "$HOME/.ssh/id_ed25519.pub"), roles: [root, publisher]}
END
        git add . && git commit -q -m 'Register carla'
        git push -q origin HEAD:refs/proposals/carla/register
        git rev-parse HEAD
    """)  # fmt: skip
    group.endorse(group.alice, done.stdout.strip())
    group.emit()
    shell(group, stranger, """
        cd work && git fetch -q origin && git checkout -q origin/common
        printf '%s %s\\n' "$ANCHOR" carla > consent
        ssh-keygen -q -Y sign -n asl.domain.key -f "$SECOND" consent
        {
            echo "  - name: laptop"
            echo "    key: $(cut -d' ' -f1,2 "$SECOND.pub")"
            echo "    roles: [publisher]"
            echo "    proof: |"
            sed 's/^/      /' consent.sig
        } >> domains/carla/domain.yaml
        rm consent consent.sig
        git add . && git commit -q -m 'Add the laptop'
        git push -q origin HEAD:refs/proposals/carla/laptop
    """, ANCHOR=group.anchor, SECOND=str(second))  # fmt: skip
    group.emit()
    shell(group, stranger, """
        cd work && git fetch -q origin && git checkout -q origin/common
        git config user.signingkey "$SECOND.pub"
        echo hello > domains/carla/hello && git add . && git commit -q -m 'Hello from the laptop'
        git push -q origin HEAD:refs/proposals/carla/hello
    """, SECOND=str(second))  # fmt: skip
    group.emit()
    assert group.snapshots() == ["common@0", "common@1", "common@2", "common@3"]
    assert group.read("domains/carla/hello") == b"hello\n"


@pytest.mark.long
def test_a_line_of_commits_is_pushed_once_and_goes_on_offline(group: World) -> None:
    shell(group, group.alice, SET_UP + """
        for n in 1 2 3; do echo $n > domains/alice/$n && git add . && git commit -q -m "Number $n"; done
        git push -q origin HEAD:refs/proposals/alice/line
        echo 4 > domains/alice/4 && git add . && git commit -q -m 'Number 4, offline'
    """)  # fmt: skip
    group.emit()
    shell(group, group.alice, "cd work && git push -q origin HEAD:refs/proposals/alice/line")
    group.emit()
    assert len(group.snapshots()) == 5


def test_the_command_id_of_the_log_can_be_recomputed(group: World) -> None:
    shell(group, group.alice, SET_UP + """
        echo x > domains/alice/x && git add . && git commit -q -m 'Salted

Ledger-Salt: 42'
        git push -q origin HEAD:refs/proposals/alice/x
    """)  # fmt: skip
    group.emit()
    shell(group, group.james, SET_UP + """
        command=$(git cat-file commit origin/common | sed -n 's/^Command: //p')
        key=$(cut -d' ' -f1,2 "$ALICE")
        id=$(printf '%s\\n42' "$key" | sha256sum | cut -d' ' -f1)
        test "$command" = "$id $(ssh-keygen -lf "$ALICE" | cut -d' ' -f2) 42"
    """, ALICE=f"{group.alice.key}.pub")  # fmt: skip


def test_a_proposal_is_withdrawn_by_a_tag(group: World) -> None:
    shell(group, group.alice, SET_UP + """
        echo x > domains/alice/x && git add . && git commit -q -m 'Too early'
        git push -q origin HEAD:refs/proposals/alice/x
        oid=$(git rev-parse HEAD)
        hash=sha256:$(git cat-file commit $oid | sha256sum | cut -d' ' -f1)
        git tag -s -m "Withdraw it

Withdraws: $hash" withdrawn/$oid $oid
        git push -q origin withdrawn/$oid:refs/refusals/$oid
    """)  # fmt: skip
    assert not [ref for ref in group.refs() if ref.startswith("refs/proposals/")]
    assert not group.emit().verdicts


def test_whoever_must_mend_is_told_how_and_it_mends(group: World) -> None:
    """The three lines and the amend that the host prints for an unsigned commit, typed as printed."""
    said = shell(group, group.alice, """
        git clone -q --no-tags "$HOST" work && cd work
        echo x > domains/alice/x && git add . && git commit -q -m 'Forgot to sign'
        git push origin HEAD:refs/proposals/alice/x
    """, check=False)  # fmt: skip
    assert said.returncode != 0
    assert "[unsigned]" in said.stderr
    lines = [line.removeprefix("remote:").strip() for line in said.stderr.splitlines()]
    mend = [line for line in lines if line.startswith("git ")]
    assert mend[-1] == "git commit --amend -S --no-edit"
    shell(group, group.alice, "cd work\n" + "\n".join(mend) + "\ngit push -q origin HEAD:refs/proposals/alice/x")
    group.emit()
    assert group.snapshots() == ["common@0", "common@1"]
