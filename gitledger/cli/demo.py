"""The scene that gitledger is made for, played with real repositories (`gitledger demo [DIR]`).

Alice and James, both on common@1, propose at the same time; the witness, later, makes common@2 and common@3 of that; a
consumer verifies and stays on common@2; what a stranger offers is refused. Each command is shown and then run exactly
as shown, by a shell. Nothing outside the directory is touched or read: home, configuration, keys and the witness's
journal stand in it.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

from gitledger.cli import output
from gitledger.cli.commands import Argument
from gitledger.cli.options import At
from gitledger.errors import Failed, Usage

_WIDEST: Final = 80
_KEPT: Final = ("PATH", "LANG", "TERM", "TMPDIR", "NO_COLOR", "SSL_CERT_FILE")
_PEOPLE: Final = "you alice james stranger"

_PRELUDE: Final = 'gitledger() { "$GITLEDGER_PYTHON" -P -m gitledger.cli "$@"; }\n'
"""What the shell knows before each command: the gitledger that plays, wherever PATH leads."""


def demo(
    directory: Annotated[Path | None, Argument(metavar="[DIR]", help="Where it plays: a new directory.")] = None,
    at: At = None,
) -> None:
    """Play the scene of Alice and James.

    With real repositories and stock git, shown as they run; the repositories are left to be looked at.
    """
    stage = _Stage(_room(directory))
    stage.say(
        f"Everything happens in {stage.root}, with real repositories. Before each $ stands the directory in it, "
        "after it a command that is run just as it is shown."
    )
    for act in (_found, _agree, _propose, _number, _follow, _attack):
        act(stage)
    _leave(stage)


def _found(stage: _Stage) -> None:
    stage.act("You found Common, with Alice and James")
    stage.run(f'for who in {_PEOPLE}; do\n  ssh-keygen -q -t ed25519 -N "" -C $who -f keys/$who\ndone')
    stage.run(
        "gitledger init common.git --domain you --key keys/you \\\n"
        "  --member alice=keys/alice.pub --member james=keys/james.pub"
    )
    stage.say("This card is what you hand out. The ledger id is the trust anchor: all else follows from it.")


def _agree(stage: _Stage) -> None:
    stage.act("You propose a standard, and Alice endorses it")
    stage.clone("you")
    stage.run("mkdir standards && echo 'Times are in UTC.' > standards/times.md", "you")
    stage.run("git add standards && git commit -q -S -m 'Agree on times'", "you")
    stage.run("git push origin HEAD:refs/proposals/you/times", "you")
    stage.say("The policy wants one authority's endorsement for that: a signed tag.")
    stage.clone("alice")
    stage.run("git fetch -q origin refs/proposals/you/times\ngit show --format=%s FETCH_HEAD", "alice")
    stage.run(
        "oid=$(git rev-parse FETCH_HEAD)\n"
        f"hash=$(git cat-file commit $oid | {_sha256()} | cut -c 1-64)\n"
        'git tag -s -m Endorse -m "Endorses: sha256:$hash" endorse/$oid $oid\n'
        "git push -q origin endorse/$oid:refs/endorsements/$oid/alice",
        "alice",
    )
    stage.say("The witness, which is you, numbers what is ready.")
    stage.run("gitledger -C common.git emit --key ../keys/you")


def _propose(stage: _Stage) -> None:
    stage.act("Alice and James, both on common@1, each propose")
    stage.run("git pull -q --ff-only", "alice")
    stage.run("mkdir domains/alice/papers\necho 'On rain' > domains/alice/papers/42.md", "alice")
    stage.run("git add domains && git commit -q -S -m 'Paper 42, on rain'", "alice")
    stage.run("git push origin HEAD:refs/proposals/alice/paper-42", "alice")
    stage.next_second()  # the order of the witness is that of the salts, which are seconds
    stage.clone("james")
    stage.run("mkdir domains/james/papers\necho 'On wind' > domains/james/papers/17.md", "james")
    stage.run("git add domains && git commit -q -S -m 'Paper 17, on wind'", "james")
    stage.run("git push origin HEAD:refs/proposals/james/paper-17", "james")
    stage.say("Neither waited for the other. Were the witness away for a month, nothing would break.")


def _number(stage: _Stage) -> None:
    stage.act("The witness, later, makes common@2 and common@3 of that")
    stage.run("gitledger -C common.git emit --key ../keys/you")
    stage.run("git -C common.git log --first-parent --format='%h  %an  %s'")


def _follow(stage: _Stage) -> None:
    stage.act("A consumer verifies, checks out common@2 and stays there")
    stage.run(f"gitledger clone common.git consumer \\\n  --anchor {stage.anchor()}")
    stage.run("gitledger verify --from-genesis", "consumer")
    stage.run("git checkout -q common@2", "consumer")
    stage.run("gitledger fetch", "consumer")
    stage.run("gitledger status", "consumer")


def _attack(stage: _Stage) -> None:
    stage.act("A stranger pushes to refs/heads/common")
    stage.clone("stranger")
    stage.run("echo 'Alice owes me money.' > domains/alice/papers/42.md", "stranger")
    stage.run("git commit -q -S -a -m 'common@4: just trust me'", "stranger")
    stage.run("git push origin HEAD:refs/heads/common", "stranger", refused=True)
    stage.act("The stranger alters common@3 and offers it on a mirror")
    stage.run("git clone -q --bare ../common.git ../mirror.git", "stranger")
    stage.run(
        "altered=$(git cat-file commit HEAD~1 |\n"
        '  sed "1s/.*/tree $(git rev-parse HEAD:)/" |\n'
        "  git hash-object -t commit -w --stdin)\n"
        "git push -q ../mirror.git +$altered:refs/heads/common",
        "stranger",
    )
    stage.say("That is common@3 with the witness's signature on it, and another tree. A newcomer clones it.")
    stage.run(f"gitledger clone mirror.git newcomer \\\n  --anchor {stage.anchor()}", refused=True)
    if (stage.root / "newcomer").exists():
        raise _astray("the altered ledger was refused and left something behind")
    stage.say("Both were refused, and nothing of either was kept.")


def _leave(stage: _Stage) -> None:
    here = shlex.quote(str(stage.root))
    state = shlex.quote(str(stage.state))
    stage.act("What to try next")
    stage.say("All of it stays where it is, until you remove it:")
    stage.show(f"cd {here}")
    stage.say("Move the consumer on, and look at who signed:")
    stage.show("gitledger -C consumer pin common@3\ngit -C consumer log --first-parent --show-signature")
    stage.say("Change Alice's paper and propose that. Then number it; the witness's journal is in the directory, too:")
    stage.show(
        "cd alice\ngit pull -q --rebase\n"
        "echo 'On rain, again' > domains/alice/papers/42.md\n"
        "git commit -q -S -a -m 'Paper 42, again'\n"
        "git push origin HEAD:refs/proposals/alice/again\n"
        f"cd ..\nXDG_STATE_HOME={state} \\\n  gitledger -C common.git emit --key ../keys/you"
    )
    stage.say("Then found your own: gitledger init --help")


@dataclass(frozen=True, slots=True)
class _Stage:
    """The directory that the scene is played in."""

    root: Path

    @property
    def state(self) -> Path:
        """Where the witness's journal stands."""
        return self.root / "home" / "state"

    def act(self, title: str) -> None:
        """Say what comes."""
        output.heading(title)

    def say(self, text: str) -> None:
        """Tell a person what happened."""
        output.say()
        output.say(text, hang=0)

    def show(self, commands: str) -> None:
        """Show commands for a person to type."""
        output.say()
        output.command(commands, indent=4)

    def clone(self, who: str) -> None:
        """Clone the host with stock git for a person, whose key signs there."""
        self.run(
            "git clone -q --no-tags -c gpg.format=ssh \\\n"
            f'  -c user.signingkey="$PWD/keys/{who}" \\\n'
            f"  -c user.name={who} -c user.email={who}@example.org \\\n"
            f"  common.git {who}"
        )

    def run(self, command: str, where: str = "", *, refused: bool = False) -> None:
        """Show a command and run it in the directory `where`; it fails if and only if it is to be refused."""
        prompt = f"{where}$ "
        output.say()
        output.verbatim(textwrap.indent(prompt + command, " " * len(prompt)).removeprefix(" " * len(prompt)), _bright)
        done = self._shell(command, where)
        if done.stdout:
            output.verbatim("\n".join(line.rstrip() for line in done.stdout.splitlines()))
        if refused != bool(done.returncode):
            raise _astray(f"`{command}` ended with exit status {done.returncode}")

    def anchor(self) -> str:
        """The ledger id, as the card shows it: SHA-256 of genesis."""
        from gitledger.objects.codec import digest

        genesis = subprocess.run(
            ["git", "-C", "common.git", "cat-file", "commit", "common@0"],
            cwd=self.root,
            env=self._environment(),
            capture_output=True,
            check=True,
        )
        return digest(genesis.stdout)

    def next_second(self) -> None:
        """Wait until another second has begun."""
        time.sleep(1 - time.time() % 1)

    def _shell(self, command: str, where: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", "-e", "-c", _PRELUDE + command],
            cwd=self.root / where,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            check=False,
        )

    def _environment(self) -> dict[str, str]:
        """Nothing of the user's but what finds programs and shows text."""
        home = self.root / "home"
        kept = {name: value for name, value in os.environ.items() if name in _KEPT or name.startswith("LC_")}
        return kept | {
            "HOME": str(home),
            "XDG_CONFIG_HOME": str(home / "config"),
            "XDG_STATE_HOME": str(self.state),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GITLEDGER_PYTHON": sys.executable,
            "COLUMNS": str(_width()),
        }


def _room(directory: Path | None) -> Path:
    """The directory to play in, with what the scene needs to begin."""
    for program in ("git", "ssh-keygen", "sh"):
        if shutil.which(program) is None:
            raise Failed("program-missing", f"the demo needs {program}, which is not here", f"install {program}")
    if directory is None:
        root = Path(tempfile.mkdtemp(prefix="gitledger-demo-"))
    else:
        root = directory
        try:
            root.mkdir(parents=True, exist_ok=True)
            if any(root.iterdir()):
                raise _taken(directory)
        except (FileExistsError, NotADirectoryError):
            raise _taken(directory) from None
    root = root.resolve()
    (root / "home").mkdir()
    (root / "keys").mkdir()
    return root


def _taken(directory: Path) -> Usage:
    return Usage("directory-taken", f"{directory} is there already and not empty", "gitledger demo NEW-DIRECTORY")


def _sha256() -> str:
    """The program that prints a SHA-256 on this system."""
    return "sha256sum" if shutil.which("sha256sum") else "shasum -a 256"


def _width() -> int:
    return min(_WIDEST, output.width_of())


def _bright(line: str) -> str:
    return output.COMMAND


def _astray(what: str) -> Failed:
    return Failed("demo-astray", what, "please report it, with what stands above")
