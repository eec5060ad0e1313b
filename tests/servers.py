"""Real servers on loopback: sshd, nginx with git-http-backend, git daemon, gitolite; each serves one host to a test.

    served = servers.start("ssh", world)
    served.push(world.alice, clone, "HEAD:refs/proposals/alice/t")

Each has a configuration, keys, logs and a port of its own, and ends with the test. They run as whoever runs the tests,
and nothing that is installed or configured on the machine is touched. A program that is not installed is a reason to
skip; where GITLEDGER_SERVERS is `required`, every skip of such a test is a failure (conftest.py).
"""

from __future__ import annotations

import getpass
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Final
from unittest import mock

import pytest
from world import Done, Person, World

import gitledger

WRITERS: Final = ("local", "ssh", "http", "gitolite")
"""Transports over which a push arrives."""

TRANSPORTS: Final = (*WRITERS, "daemon")

_PACKAGES: Final = {
    "sshd": "openssh-server",
    "nginx": "nginx-light",
    "fcgiwrap": "fcgiwrap",
    "gitolite": "gitolite3",
    "git-http-backend": "git",
    "git-daemon": "git",
    "git-shell": "git",
    "systemd-analyze": "systemd",
    "bwrap": "bubblewrap",
}
_SECONDS: Final = 20

_SSHD = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {home}/host_key
PidFile none
AuthorizedKeysFile {keys}
AuthenticationMethods publickey
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
AllowTcpForwarding no
X11Forwarding no
PermitTTY no
# Protocol version 2 is asked for in this variable.
AcceptEnv GIT_PROTOCOL
# The default drops connections at random from the tenth on that is not yet through.
MaxStartups 200
{more}
"""

_NGINX = """\
daemon off;
{user}
worker_processes 1;
pid {home}/nginx.pid;
error_log {home}/error.log;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            # A push is as large as it is; the default refuses what is larger than 1 MB.
            client_max_body_size 0;
            fastcgi_read_timeout 600;
            fastcgi_param SCRIPT_FILENAME {backend};
            fastcgi_param GIT_PROJECT_ROOT {root};
            fastcgi_param GIT_HTTP_EXPORT_ALL 1;
            fastcgi_param PATH_INFO $uri;
            fastcgi_param QUERY_STRING $query_string;
            fastcgi_param REQUEST_METHOD $request_method;
            fastcgi_param CONTENT_TYPE $content_type;
            fastcgi_param CONTENT_LENGTH $content_length;
            fastcgi_param REMOTE_ADDR $remote_addr;
            fastcgi_pass unix:{socket};
        }}
    }}
}}
"""


def need(program: str) -> str:
    """The path of a program; the test is skipped where it is not installed."""
    places = ["/usr/sbin", "/usr/local/sbin", "/usr/lib/git-core", _git_exec_path()]
    found = shutil.which(program) or shutil.which(program, path=os.pathsep.join(places))
    if found:
        return found
    pytest.skip(f"{program} is not installed: apt-get install {_PACKAGES[program]}")


@dataclass(frozen=True)
class Served:
    """The host of `world`, at `url`. `ssh` is what git runs to get there, with `{key}` for the key of whoever does.

    `writes` says whether a push may arrive there.
    """

    world: World
    url: str
    ssh: str = ""
    writes: bool = True

    def env(self, person: Person) -> dict[str, str]:
        """What git needs in its environment to get there as `person`."""
        return {"GIT_SSH_COMMAND": self.ssh.format(key=shlex.quote(str(person.key)))} if self.ssh else {}

    def git(self, person: Person, cwd: Path, *arguments: str, check: bool = True, **more: str) -> Done:
        return person.git(cwd, *arguments, check=check, **self.env(person), **more)

    def push(
        self, person: Person, cwd: Path, *refspecs: str, options: Sequence[str] = (), git: Sequence[str] = ()
    ) -> Done:
        """`git push URL refspecs…`, and what it did to the host's refs; `git` are options before `push`."""
        before = self.world.refs()
        done = self.git(person, cwd, *git, "push", *options, self.url, *refspecs, check=False)
        done.before, done.after = before, self.world.refs()
        return done

    def clone(self, person: Person) -> Path:
        """A clone by stock git, set up as a proposer's; from then on it finds its way by itself."""
        path = person.home / "served"
        settings = {"gpg.format": "ssh", "user.signingkey": f"{person.key}.pub", "commit.gpgsign": "true"}
        settings |= {"core.sshCommand": self.env(person)["GIT_SSH_COMMAND"]} if self.ssh else {}
        given = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        self.git(person, self.world.path, "clone", "-q", "--no-tags", *given, self.url, str(path))
        return path

    @contextmanager
    def acting(self, person: Person) -> Iterator[None]:
        """What runs in this process inside the block, runs as `person`, who gets there."""
        with mock.patch.dict(os.environ, person.env(**self.env(person)), clear=True):
            yield


@dataclass
class Servers:
    """Starts servers below `path`, and stops them."""

    path: Path
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, transport: str, world: World) -> Served:
        """Serve the host of `world`; over `gitolite` the ledger is brought into a repository that gitolite made."""
        return {
            "local": self._local,
            "ssh": self._ssh,
            "http": self._http,
            "daemon": self._daemon,
            "gitolite": self._gitolite,
        }[transport](world)

    def stop(self) -> None:
        """End every process that was started here, and what it started."""
        for process in reversed(self.running):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self.running.clear()

    def _local(self, world: World) -> Served:
        return Served(world, str(world.host))

    def _ssh(self, world: World) -> Served:
        home = self._home("sshd")
        keys = home / "authorized_keys"
        keys.write_text("".join(f"{one.pub}\n" for one in (world.you, world.alice, world.james, world.stranger)))
        if os.getuid():  # an account of another's can't be had: what its shell would do
            shell = f'ForceCommand {need("git-shell")} -c "$SSH_ORIGINAL_COMMAND"'
            port, ssh = self._sshd(home, keys, shell)
            return Served(world, f"ssh://{getpass.getuser()}@127.0.0.1:{port}{world.host}", ssh)
        port, ssh = self._sshd(home, keys, "", within=_with_account("git", home, need("git-shell")))
        return Served(world, f"ssh://git@127.0.0.1:{port}{world.host}", ssh)

    def _sshd(self, home: Path, keys: Path, more: str, within: Sequence[str] = ()) -> tuple[int, str]:
        """Start sshd, by the command `within` where there is one; its port, and what git runs to get there."""
        sshd = need("sshd")
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(home / "host_key")], check=True)
        if os.getuid() == 0:  # where sshd, started by root, puts itself before it knows who comes
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        port = _free_port()
        (home / "sshd_config").write_text(_SSHD.format(home=home, keys=keys, port=port, more=more))
        self.run([*within, sshd, "-D", "-e", "-f", str(home / "sshd_config")], home, port=port)
        public = " ".join((home / "host_key.pub").read_text().split()[:2])
        (home / "known_hosts").write_text(f"[127.0.0.1]:{port} {public}\n")
        options = f"-F none -o IdentitiesOnly=yes -o BatchMode=yes -o UserKnownHostsFile={home / 'known_hosts'}"
        return port, f"ssh {options} -i {{key}}"

    def _http(self, world: World) -> Served:
        forge_config(world.host, "http.receivepack", "true")
        return Served(world, f"{self.http(world.host.parent)}/{world.host.name}")

    def http(self, root: Path, *, user: str | None = None, env: Mapping[str, str] | None = None) -> str:
        """Serve the repositories below `root` by nginx, with git-http-backend run as `user`; the URL of `root`."""
        home, port = self._home("nginx"), _free_port()
        socket_ = self._short(home) / "s"
        nginx, fcgiwrap, backend = need("nginx"), need("fcgiwrap"), need("git-http-backend")
        self.run([fcgiwrap, "-c", "60", "-s", f"unix:{socket_}"], home, path=socket_, user=user, env=env)
        (home / "nginx.conf").write_text(
            _NGINX.format(
                home=home,
                port=port,
                root=root,
                backend=backend,
                socket=socket_,
                user=f"user {getpass.getuser()};" if os.getuid() == 0 else "",
            )
        )
        self.run(
            [nginx, "-p", str(home), "-e", str(home / "error.log"), "-c", str(home / "nginx.conf")], home, port=port
        )
        return f"http://127.0.0.1:{port}"

    def _daemon(self, world: World) -> Served:
        home, port, root = self._home("daemon"), _free_port(), world.host.parent
        where = ("--listen=127.0.0.1", f"--port={port}", f"--base-path={root}", "--export-all", str(root))
        self.run([need("git-daemon"), "--reuseaddr", "--informative-errors", *where], home, port=port)
        return Served(world, f"git://127.0.0.1:{port}/{world.host.name}", writes=False)

    def _gitolite(self, world: World) -> Served:
        """gitolite in a home of its own, which makes `common.git`; then the ledger comes in as the guide says."""
        from gitledger.roles import host

        gitolite, home = need("gitolite"), self._home("gitolite")
        env = {**_plain_env(), "HOME": str(home), "USER": getpass.getuser()}
        (home / ".gitconfig").write_text("[user]\n\tname = Gitolite\n\temail = git@example.org\n")
        for person in (world.you, world.alice, world.james, world.stranger):
            shutil.copyfile(f"{person.key}.pub", home / f"{person.name}.pub")
        _run([gitolite, "setup", "-pk", str(home / "you.pub")], home, env)
        port, ssh = self._sshd(home, home / ".ssh" / "authorized_keys", f"SetEnv HOME={home}")
        address = f"ssh://{getpass.getuser()}@127.0.0.1:{port}"
        founded = world.host
        admin = Served(world, f"{address}/gitolite-admin", ssh)
        clone = world.you.home / "gitolite-admin"
        admin.git(world.you, world.path, "clone", "-q", admin.url, str(clone))
        for name in ("alice", "james", "stranger"):
            shutil.copyfile(home / f"{name}.pub", clone / "keydir" / f"{name}.pub")
        with (clone / "conf" / "gitolite.conf").open("a") as conf:
            conf.write("\nrepo common\n    RW+ = @all\n")
        admin.git(world.you, clone, "add", "-A")
        admin.git(world.you, clone, "commit", "-q", "-m", "A ledger, and who pushes to it")
        admin.git(world.you, clone, "push", "-q")
        served = Served(world, f"{address}/common", ssh)
        served.git(world.you, founded, "push", "-q", served.url, founded.stem)
        made = home / "repositories" / "common.git"
        with mock.patch.dict(os.environ, env, clear=True):
            host.install(made)
        world.serve(made)
        return served

    def _home(self, name: str) -> Path:
        home = self.path / f"{name}-{len(list(self.path.glob('*')))}"
        home.mkdir(parents=True)
        return home

    def _short(self, home: Path) -> Path:
        """A directory for a socket, whose path may have no more than some hundred letters."""
        short = Path(tempfile.mkdtemp(prefix="gl-", dir="/tmp"))
        short.chmod(0o777)
        (home / "short").symlink_to(short)
        return short

    def run(
        self,
        command: Sequence[str],
        home: Path,
        *,
        port: int | None = None,
        path: Path | None = None,
        user: str | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """Start a server, whose output goes to `home/log`, and wait until it answers at `port` or has made `path`."""
        with (home / "log").open("ab") as log:
            process = subprocess.Popen(
                command,
                cwd="/",
                env=dict(_plain_env() if env is None else env),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                user=user,
                group=None if user is None else _group(user),
                extra_groups=None if user is None else [],
            )
        self.running.append(process)
        until = time.monotonic() + _SECONDS
        while not (path.exists() if path else _answers(port or 0)):
            said = (home / "log").read_text(errors="replace")
            assert process.poll() is None, f"{command[0]} ended with {process.returncode}:\n{said}"
            assert time.monotonic() < until, f"{command[0]} does not answer:\n{said}"
            time.sleep(0.02)


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    """Servers, which end with the test."""
    servers = Servers(tmp_path / "servers")
    try:
        yield servers
    finally:
        servers.stop()
        for link in servers.path.glob("*/short"):
            shutil.rmtree(link.resolve(), ignore_errors=True)


@pytest.fixture(scope="session")
def python_for_all() -> Iterator[Path]:
    """A Python with gitledger that every user of this machine may run, as one below /opt is.

    It is a copy of this one and of what gitledger needs: both may stand below somebody's home.
    """
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="gl-python-") as directory:
        opt = Path(directory)
        opt.chmod(0o755)
        library = opt / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}"
        unneeded = shutil.ignore_patterns("test", "tests", "site-packages", "dist-packages", "__pycache__", "config-*")
        shutil.copytree(sysconfig.get_path("stdlib"), library, ignore=unneeded)
        for name in sorted(_needed("gitledger", set())):
            _copy_distribution(name, library / "site-packages")
        for shared in Path(sys.base_prefix, "lib").glob("libpython*.so*"):
            shutil.copy2(shared, opt / "lib")
        (opt / "bin").mkdir()
        shutil.copy2(Path(sys.executable).resolve(), opt / "bin" / "python3")
        python = opt / "bin" / "python"
        python.write_text(f'#!/bin/sh\nLD_LIBRARY_PATH={opt}/lib exec {opt}/bin/python3 "$@"\n')
        python.chmod(0o755)
        subprocess.run(["chmod", "-R", "a+rX", str(opt)], check=True)
        yield python


def _needed(name: str, known: set[str]) -> set[str]:
    """The distributions that are installed here because `name` needs them, and itself."""
    wanted = metadata.requires(name) or ()
    known.add(name)
    for required in wanted:
        other = re.split(r"[^A-Za-z0-9._-]", required, maxsplit=1)[0]
        with suppress(metadata.PackageNotFoundError):
            if "extra ==" not in required and other not in known:
                _needed(other, known)
    return known


def _copy_distribution(name: str, packages: Path) -> None:
    for file in metadata.files(name) or ():
        if ".." not in file.parts and file.suffix not in (".pyc", ".pth"):
            (packages / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file.locate(), packages / file)
    if name == "gitledger" and not (packages / "gitledger" / "__init__.py").exists():  # installed as a link
        root = Path(gitledger.__file__).parent.parent
        parts = {"gitledger": "gitledger", "hooks": "gitledger/_data/hooks", "templates": "gitledger/_data/templates"}
        for part, place in parts.items():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(root / part, packages / place, dirs_exist_ok=True, ignore=ignored)


def forge_config(repository: Path, key: str, value: str) -> None:
    """What an administrator of the host sets."""
    subprocess.run(["git", f"--git-dir={repository}", "config", key, value], check=True)


def _with_account(name: str, home: Path, shell: str) -> Sequence[str]:
    """What starts a server on a machine that has the account `name` with this shell, which only that server sees.

    It is the user who runs the tests, under another name, because what they made is theirs.
    """
    passwd = home / "passwd"
    account = f"{name}:*:{os.getuid()}:{os.getgid()}::{home}:{shell}\n"
    passwd.write_text(Path("/etc/passwd").read_text() + account)
    passwd.chmod(0o644)
    return ("unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/passwd && exec "$@"', str(passwd))


def _plain_env() -> dict[str, str]:
    """What a service manager gives a server: no home, no language of anybody's."""
    return {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}


def _group(user: str) -> int:
    import pwd

    return pwd.getpwnam(user).pw_gid


def _run(command: Sequence[str], cwd: Path, env: Mapping[str, str]) -> None:
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout}{done.stderr}"


def _git_exec_path() -> str:
    return subprocess.run(["git", "--exec-path"], capture_output=True, text=True, check=True).stdout.strip()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False
