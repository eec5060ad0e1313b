"""A domain's own directory, for machines that hold no ledger: who it is and what it attests, as of one snapshot.

    domain.id            its name, and a newline
    domain.pubkey        its first root key
    domain.yaml          its manifest, which says what each key may do
    authorities/         every key of the manifest, `<name>.pub`
    policies/            as in the snapshot
    attestations/        as in the snapshot
    snapshot             which snapshot that was: its name, its hash, the ledger id

It is written whole or not at all, and nothing in it is read back: what it says stands in the snapshot.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gitledger.errors import Refused, cannot_write
from gitledger.roles import draft
from gitledger.roles.place import Place
from gitledger.rules.advance import ancestor
from gitledger.rules.state import Snapshot, manifest_path

_CARRIED: Final = ("policies", "attestations")


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written: `domain` as of `snapshot`, and the files, by path within the directory, sorted."""

    domain: str
    snapshot: Snapshot
    files: tuple[str, ...]


def export(place: Place, domain: str, directory: Path, named: str | None = None) -> Exported:
    """Write `domain` to `directory`, which is not there yet or empty, as of a verified snapshot (None: the newest).

    Raises Refused (`no-such-domain`, `no-such-snapshot`, `being-built`), Usage (`directory-taken`), Failed.
    """
    newest = place.verified
    snapshot = newest if named is None else ancestor(newest, place.row(named).number)
    files = _files(snapshot, domain)
    with draft.beside(directory) as made:
        try:
            for below in {"authorities", *_CARRIED} - files.keys():
                (made / below).mkdir()
            for path, (content, mode) in files.items():
                (made / path).parent.mkdir(parents=True, exist_ok=True)
                (made / path).write_bytes(content)
                (made / path).chmod(mode)
        except OSError as error:
            raise cannot_write(directory, directory.parent, error) from None
    return Exported(domain, snapshot, tuple(sorted(files)))


def _files(snapshot: Snapshot, domain: str) -> dict[str, tuple[bytes, int]]:
    """What is written, content and mode by path."""
    state = snapshot.state
    manifest = state.manifest(domain)
    if manifest is None:
        raise Refused("no-such-domain", f"no domain {domain} is registered in {snapshot.name}", "gitledger domain show")
    root = next(key for key in manifest.keys if "root" in key.roles)
    said = f"snapshot: {snapshot.name}\nhash: {snapshot.hash}\nledger: {state.ledger_id}\n"
    texts = {"domain.id": f"{domain}\n", "domain.pubkey": f"{root.key}\n", "snapshot": said}
    texts |= {f"authorities/{key.name}.pub": f"{key.key}\n" for key in manifest.keys}
    files = {path: (text.encode(), 0o644) for path, text in texts.items()}
    files["domain.yaml"] = state.tree.read(manifest_path(domain)) or b"", 0o644
    for below in _CARRIED:
        above = f"domains/{domain}/"
        for path, file in state.tree.files(above + below):
            files[path.removeprefix(above)] = file.content(state.objects), 0o755 if file.mode & 0o111 else 0o644
    return files
