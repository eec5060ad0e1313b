"""Where the guides are played: several people at machines of their own, with fixed keys and a fixed clock.

Each has a home, an SSH key in it and a name that git knows; nothing of the machine that runs the tests reaches them.
`git@ledger.example:` leads to the home of the host, and `~/stick` is one stick that they hand round. The clock stands
still while a command runs and goes on by a minute from one to the next, for git, for gitledger and for the hooks;
whoever types `sleep 37d` lets it go on by that. A key that somebody makes is the next one of tests/keys, and a security
key is one in software. So every hash in a guide comes out the same anywhere.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from world import place_key

TESTS = Path(__file__).parent.parent
ADDRESS = "git@ledger.example:"
BEGINNING = 1795170000
STEP = 60

PEOPLE = {
    "you": "You",
    "alice": "Alice",
    "james": "James",
    "stranger": "Stranger",
    "host": "Host",
    "reader": "Reader",
    "rescue": "Rescue",  # a stick that somebody boots
}
KEYLESS = ("host", "reader", "rescue")

# What a Python of this world is: the one that runs the tests, with a clock that reads a file.
_CLOCKED = """\
import runpy, sys, time
from pathlib import Path

here = Path(__file__).parent
time.time = lambda: float((here / "clock").read_text())
sys.executable = str(here / "bin" / "python3")
sys.path[:0] = {search}
arguments = sys.argv[1:]
while arguments[0] in ("-E", "-P"):
    del arguments[0]
if arguments[0] == "-m":
    sys.argv = arguments[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
elif arguments[0] == "-c":
    sys.argv = ["-c", *arguments[2:]]
    exec(compile(arguments[1], "<string>", "exec"), {{"__name__": "__main__"}})
else:
    sys.argv = arguments
    runpy.run_path(sys.argv[0], run_name="__main__")
"""

_SLEEP = re.compile(r"sleep ([0-9]+)d")

# Where the shell was, and the agent that it knows, go on in the next one.
_SHELL = """\
cd -- "$1" || exit
. "$4"
eval "$2"
status=$?
pwd -P >"$3"
export -p | grep SSH_A >"$4"
exit $status
"""

# Makes a key as ssh-keygen does, and puts one of tests/keys in its place.
_KEYGEN = """\
import subprocess, sys
from pathlib import Path

sys.path[:0] = {search}
from world import place_key

program, *arguments = sys.argv[1:]
path = Path(arguments[arguments.index("-f") + 1])
passphrase = arguments[arguments.index("-N") + 1]
taken = Path(__file__).with_name("taken")
taken.touch()
place_key(f"spare-{{taken.stat().st_size + 1}}", path)
taken.write_bytes(taken.read_bytes() + b"x")
subprocess.run([program, "-q", "-p", "-P", "", "-N", passphrase, "-f", path], check=True, stdout=subprocess.DEVNULL)
"""


@dataclass
class Stage:
    """Everybody and their machines, below `root`. `now` is the time, in seconds since 1970."""

    root: Path
    now: int = BEGINNING
    _places: dict[str, Path] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.root = self.root.resolve()
        self._make_programs()
        for who, name in PEOPLE.items():
            self._make_home(who, name)
        for sender in ("alice", "james"):  # sent by mail
            shutil.copyfile(self.home(sender) / ".ssh" / "id_ed25519.pub", self.home("you") / f"{sender}.pub")

    def home(self, who: str) -> Path:
        """The home directory of a person; the host's user is called git."""
        return self.root / "home" / ("git" if who == "host" else who)

    def run(self, who: str, command: str) -> tuple[int, str]:
        """Run a command as a person, where the one before left off; exit status and output as the person sees it."""
        slept = _SLEEP.fullmatch(command)
        self.now += int(slept[1]) * 86400 if slept else STEP
        if slept:
            return 0, ""
        (self.root / "clock").write_text(str(self.now))
        end = self.root / "directory"
        done = subprocess.run(
            ["sh", "-c", _SHELL, "sh", str(self._places[who]), command, str(end), str(self.root / f"agent-{who}")],
            env=self._environment(who),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="backslashreplace",
            check=False,
        )
        self._places[who] = Path(end.read_text().rstrip("\n"))
        return done.returncode, self._as_seen(who, done.stdout)

    def close(self) -> None:
        """End the agents that somebody left running."""
        for who in PEOPLE:
            if "SSH_AGENT_PID" in (self.root / f"agent-{who}").read_text():
                self.run(who, "ssh-agent -k")

    def _as_seen(self, who: str, output: str) -> str:
        """The output where homes are in /home, the host is at its address, and no line ends in spaces."""
        if who != "host":
            output = output.replace(f"{self.home('host')}/", ADDRESS)
        output = output.replace(f"{self.root}/home/", "/home/")
        return "".join(line.rstrip() + "\n" for line in output.splitlines())

    def _environment(self, who: str) -> dict[str, str]:
        home = self.home(who)
        date = f"{self.now} +0000"
        return {
            "PATH": f"{self.root / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(home),
            "USER": home.name,
            "LOGNAME": home.name,
            "XDG_CONFIG_HOME": str(home / ".config"),
            "XDG_STATE_HOME": str(home / ".local" / "state"),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_AUTHOR_DATE": date,
            "GIT_COMMITTER_DATE": date,
            "SSH_SK_HELPER": str(self.root / "bin" / "ssh-sk-helper"),
            "SK_SEED": who,
            "LC_ALL": "C.UTF-8",
            "TZ": "UTC",
            "TERM": "dumb",
        }

    def _make_programs(self) -> None:
        programs = self.root / "bin"
        programs.mkdir(parents=True)
        spec = importlib.util.find_spec("gitledger")
        if spec is None or spec.origin is None:
            raise RuntimeError("gitledger is not installed")
        (self.root / "clocked.py").write_text(_CLOCKED.format(search=[str(Path(spec.origin).parent.parent)]))
        python = f"exec {shlex.quote(sys.executable)} -P {shlex.quote(str(self.root / 'clocked.py'))}"
        self._make_program("python3", f'{python} "$@"')
        self._make_program("gitledger", f'{python} -m gitledger.cli "$@"')
        keygen, program = self.root / "keygen.py", shlex.quote(shutil.which("ssh-keygen") or "ssh-keygen")
        keygen.write_text(_KEYGEN.format(search=[str(TESTS)]))
        made = f"exec {shlex.quote(sys.executable)} -P {shlex.quote(str(keygen))} {program}"
        self._make_program("ssh-keygen", f'case " $* " in *" -t ed25519 "*) {made} "$@" ;; esac\nexec {program} "$@"')
        helper = shlex.quote(str(TESTS / "sk_helper.py"))
        self._make_program("ssh-sk-helper", f"exec {shlex.quote(sys.executable)} -P {helper}")

    def _make_program(self, name: str, line: str) -> None:
        path = self.root / "bin" / name
        path.write_text(f"#!/bin/sh\n{line}\n")
        path.chmod(0o755)

    def _make_home(self, who: str, name: str) -> None:
        home = self._places[who] = self.home(who)
        home.mkdir(parents=True)
        (self.root / f"agent-{who}").touch()
        (home / ".gitconfig").write_text(
            f'[url "{self.home("host")}/"]\n\tinsteadOf = {ADDRESS}\n'
            f"[user]\n\tname = {name}\n\temail = {who}@example.org\n"
            "[init]\n\tdefaultBranch = main\n[advice]\n\tdetachedHead = false\n"
        )
        (self.root / "stick").mkdir(exist_ok=True)
        (home / "stick").symlink_to(self.root / "stick")
        if who not in KEYLESS:
            place_key(who, home / ".ssh" / "id_ed25519")
