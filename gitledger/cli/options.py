"""The options that several commands share, and what they stand for: a place, a signer, a public key, a remote."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

from gitledger.cli import output
from gitledger.cli.commands import Argument, Option
from gitledger.errors import Failed, Usage, about, cannot_write

if TYPE_CHECKING:
    from collections.abc import Sequence

    import click

    from gitledger.roles.place import Place
    from gitledger.rules.proposal import Proposal
    from gitledger.signing.keys import PublicKey
    from gitledger.signing.signers import Signer

REMOTE: Final = "origin"


def _enter(context: click.Context, parameter: click.Parameter, directories: Sequence[str]) -> Sequence[str]:
    """Go to each directory in turn, as git does; before any other argument is looked at."""
    if context.resilient_parsing:  # a shell asks for completions
        return directories
    for directory in directories or ():
        try:
            os.chdir(directory)
        except OSError as error:
            raise Usage("no-directory", f"{directory}: {error.strerror}", "name a directory with -C DIR") from None
    return directories


At: TypeAlias = Annotated[
    list[str] | None,
    Option("-C", metavar="DIR", help="Work in DIR, as git does; may be repeated.", callback=_enter, is_eager=True),
]
Key: TypeAlias = Annotated[
    str | None,
    Option(
        "--key",
        metavar="KEY",
        help="The key to sign with: a file, or a public key that an agent holds. Without it, as git finds it.",
    ),
]
Json: TypeAlias = Annotated[bool, Option("--json", help="Print one JSON object.")]
Waiting: TypeAlias = Annotated[
    str,
    Argument(metavar="PROPOSAL", help="An object id or its beginning, DOMAIN/TOPIC, or a topic."),
]
Propose: TypeAlias = Annotated[bool, Option("--propose", help="Propose it at once, instead of staging it.")]


def place_here() -> Place:
    """The ledger in the repository that the command works in. Raises Usage where there is none."""
    from gitledger.objects.sharing import share
    from gitledger.roles.place import Place

    place = Place.open(Path.cwd())
    share(place.store.git_dir)
    return place


def signer_for(place: Place | None, key: str | None, *, take_certificate: bool = False) -> Signer:
    """Who signs: `key` where one is named, else as git finds it for `place`. Raises Failed (`no-key`) and others.

    With `take_certificate` it may be a certificate, as for a proposal.
    """
    from gitledger.signing import signers

    git_dir = place.store.git_dir if place else None
    return signers.find(git_dir, key, ask=output.passphrase(), take_certificate=take_certificate)


def key_at_hand(place: Place, key: str | None) -> str | None:
    """The key id of who asks; None where no key was named and git knows none."""
    try:
        return signer_for(place, key, take_certificate=True).key.key_id
    except Failed:
        if key is not None:
            raise
        return None


def public_key(named: str) -> PublicKey:
    """A public key that a person gives: its line (with or without `key::`), or a file that holds it."""
    from gitledger.signing.keys import PublicKey

    if is_line(named):
        return PublicKey.from_file_text(named.removeprefix("key::"))
    return PublicKey.from_file_text(text_of(Path(named).expanduser()))


def is_line(named: str) -> bool:
    """Whether `named` is a public key itself and no file that holds one."""
    return named.startswith("key::") or (" " in named and not Path(named).expanduser().exists())


def text_of(path: Path) -> str:
    """The text of a small file that a person named. Raises Failed (`file-unreadable`)."""
    return bytes_of(path).decode("utf-8", "replace")


def bytes_of(path: Path) -> bytes:
    """The bytes of a small file that a person named, at most 1 MiB and one. Raises Failed (`file-unreadable`)."""
    try:
        with path.open("rb") as file:
            return file.read((1 << 20) + 1)
    except OSError as error:
        raise Failed("file-unreadable", f"{path}: {error.strerror}", f"ls -l {path}") from None


def must_be_new(file: Path) -> None:
    """Raise Usage (`file-taken`) where there is something at the path that a person named for a file."""
    if os.path.lexists(file.expanduser()):
        raise Usage("file-taken", f"there is a file {file} already", "name another file")


def write_new(file: Path, content: bytes) -> None:
    """Write the new file that a person named, whole or not at all. Raises Usage (`file-taken`), Failed."""
    must_be_new(file)
    path = file.expanduser()
    try:
        with path.open("xb") as written:
            try:
                written.write(content)
                written.flush()
            except BaseException:
                path.unlink()
                raise
    except OSError as error:
        raise cannot_write(file, path.parent, error) from None


def keys_by_domain(named: list[str], option: str) -> dict[str, PublicKey]:
    """The keys that `--member D=PUBKEY` and its like name, by domain. Raises Usage, and what `public_key` raises."""
    keys: dict[str, PublicKey] = {}
    for each in named:
        domain, equals, key = each.partition("=")
        if not equals or not domain or not key:
            raise Usage("domain-and-key", f"{option} {each} is not DOMAIN=PUBKEY", f"{option} alice=alice.pub")
        if domain in keys:
            raise Usage("domain-twice", f"{option} names {domain} twice", "a domain is named once")
        with about(f"{option} {domain}"):
            keys[domain] = public_key(key)
    return keys


def waiting(place: Place, named: str) -> Proposal:
    """The waiting proposal that `named` means. Raises Refused (`not-waiting`, `ambiguous`)."""
    from gitledger.roles import proposer

    return proposer.find(place, named)


def now() -> int:
    """When one signs, in seconds: as git dates a commit, by `GIT_COMMITTER_DATE` where that is set, else by the clock.

    Raises Failed (`committer-date`) where git can't read it.
    """
    if not os.environ.get("GIT_COMMITTER_DATE"):
        return int(time.time())
    from gitledger.objects.codec import Ident

    anybody = ("-c", "user.name=anybody", "-c", "user.email=")
    told = subprocess.run(["git", *anybody, "var", "GIT_COMMITTER_IDENT"], capture_output=True, check=False)
    if told.returncode:
        raise Failed("committer-date", "git can't read GIT_COMMITTER_DATE", "unset GIT_COMMITTER_DATE")
    return Ident.parse(told.stdout.rstrip(b"\n")).seconds
