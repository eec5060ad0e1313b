"""The proposer: commits what is staged, pushes it, withdraws it; edits the domain's manifest (spec 4, 3.2).

Everything here is what stock git does with `commit -S` and `push`; it adds the tree digest and tells before the push
what the host would say.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from gitledger.documents.manifest import PROOF_NAMESPACE, Manifest, ManifestKey, Role, proof_message
from gitledger.documents.names import check_domain, shown
from gitledger.errors import Failed, Refused, Usage
from gitledger.exchange import remotes
from gitledger.objects.codec import Ident, compose_commit, paragraphs, sign_commit
from gitledger.objects.trees import Tree
from gitledger.roles.acting import domain_of
from gitledger.roles.place import Place
from gitledger.roles.sending import Sent, send
from gitledger.rules import queue, refusal
from gitledger.rules.proposal import NAMESPACE, Permit, Proposal
from gitledger.rules.transition import Transition
from gitledger.signing.keys import PublicKey
from gitledger.signing.signers import Signer

_TRAILER = re.compile(r"[A-Za-z][A-Za-z0-9-]*: .*")
_TOPIC_JUNK = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Proposed:
    """A proposal that was made: its ref on the host, its local branch, what it would do, what came of sending it."""

    proposal: Proposal
    transition: Transition
    ref: str
    branch: str
    sent: Sent


def propose(
    place: Place,
    signer: Signer,
    message: str,
    *,
    topic: str | None = None,
    permit: Permit | None = None,
    salt: int | None = None,
    push: bool = True,
    remote: str = "origin",
) -> Proposed:
    """Commit what is staged as a signed proposal on HEAD, on a branch of its own, and push it.

    HEAD is a snapshot or a proposal of one's own. `salt` and `permit` become trailers where they are given. Nothing is
    moved where the proposal is refused: by the rules here, or by the host. Raises Usage, Refused, Failed.
    """
    store, state = place.store, place.verified.state
    _must_have_work_tree(place)
    if topic is not None:
        _checked_topic(topic)
    base = _head(place)
    tree = _staged(place, base)
    content = Tree.load(store, tree, like=state.tree).digest
    domain = domain_of(state, signer) if signer.certificate else ""
    text = _with_trailers(message, content, permit, salt, domain)
    author, committer = ident(place, "AUTHOR", signer), ident(place, "COMMITTER", signer)
    payload = compose_commit(tree=tree, parents=(base,), author=author, committer=committer, mergetags=(), message=text)
    oid = store.write("commit", sign_commit(payload, signer.sign(payload, NAMESPACE)))
    line = queue.read_line(state, oid, state.policy.limits.pending_per_domain)
    *_, transition = queue.play(state, line)
    branch = _branch(place, topic or "", message)
    ref = f"refs/proposals/{transition.who.domain}/{_checked_topic(branch.rpartition('/')[2])}"
    sent = send(place, {ref: oid}, remote=remote, force=True) if push else Sent("")
    store.update([(f"refs/heads/{branch}", oid, None)], message=f"propose: {line[-1].summary}")
    store.git("symbolic-ref", "HEAD", f"refs/heads/{branch}")
    return Proposed(line[-1], transition, ref, branch, sent)


def withdraw(place: Place, signer: Signer, proposal: Proposal, *, remote: str = "origin") -> Sent:
    """Withdraw `proposal` from the queue, and return what came of sending that. Raises Refused."""
    payload = refusal.withdraw(proposal, ident(place, "COMMITTER", signer))
    content = payload + signer.sign(payload, NAMESPACE)
    refusal.read(content, proposal, place.verified.state)
    oid = place.store.write("tag", content)
    return send(place, {f"refs/refusals/{proposal.oid}": oid}, remote=remote)


def find(place: Place, named: str) -> Proposal:
    """The waiting proposal that `named` means: an oid or the beginning of one, a ref, `domain/topic` or a topic.

    A ref stands for its tip. Raises Refused (`not-waiting`, `ambiguous`).
    """
    waiting = queue.read(place.verified.state, place.queue_refs())
    found = {one.oid: one for one in waiting.proposals.values() if len(named) >= 4 and one.oid.startswith(named)}
    for ref, line in waiting.lines.items():
        if line and (ref == named or ref.endswith(f"/{named}")):
            found[line[-1].oid] = line[-1]
    if not found:
        raise Refused("not-waiting", f"no proposal {named} waits", "gitledger fetch; gitledger proposals")
    if len(found) > 1:
        raise Refused("ambiguous", f"{named} may be any of {', '.join(sorted(found))}", "write more of it")
    return next(iter(found.values()))


def found_domain(domain: str, key: PublicKey, name: str = "root") -> Manifest:
    """The manifest that registers `domain` with one key, its root and publisher."""
    return Manifest.of(domain, (ManifestKey(name=name, key=key.text, roles=("root", "publisher")),))


def with_key(
    manifest: Manifest,
    name: str,
    key: PublicKey,
    roles: tuple[Role, ...],
    proof: str | None,
    *,
    certifies: tuple[Role, ...] = (),
) -> Manifest:
    """The manifest with one more key, which hands out the roles `certifies` by certificate (spec 13).

    `proof` is its consent, armour, where it does not sign the proposal.
    """
    entry = ManifestKey(name=name, key=key.text, roles=roles, certifies=certifies, proof=proof)
    return Manifest.of(manifest.domain_id, (*manifest.keys, entry), manifest.revoked_serials)


def without_key(manifest: Manifest, name: str) -> Manifest:
    """The manifest without the key called `name` (or with that key id). Raises Refused where it has none."""
    kept = tuple(key for key in manifest.keys if name not in (key.name, key.key_id))
    if len(kept) == len(manifest.keys):
        raise Refused(
            "no-such-key", f"{manifest.domain_id} has no key {name}", f"gitledger domain show {manifest.domain_id}"
        )
    return Manifest.of(manifest.domain_id, kept, manifest.revoked_serials)


def without_serial(manifest: Manifest, serial: int) -> Manifest:
    """The manifest that revokes the certificates of this serial (spec 13). Raises Refused where it does already."""
    if serial in manifest.revoked_serials:
        raise Refused("certificate-revoked", f"{manifest.domain_id} revokes the serial {serial} already")
    return Manifest.of(manifest.domain_id, manifest.keys, (*manifest.revoked_serials, serial))


def prove(place: Place, signer: Signer, domain: str) -> str:
    """The armour by which the signer's key consents to belong to `domain` in this ledger (spec 3.2)."""
    check_domain(domain)
    return signer.sign(proof_message(place.anchor, domain), PROOF_NAMESPACE).decode()


def stage(place: Place, path: str, text: str, *, new: bool = False) -> Path:
    """Write `text` to `path` (as in the tree) in the work tree and stage it; returns the file.

    `new` says that there must be no file yet. Nothing is written through a symbolic link, nor to what is no file; where
    it fails, file and index are as they were. Raises Refused (`not-a-file`, `manifest-exists`), Failed, Usage.
    """
    with restored(place, path) as file:
        if new and file.exists():
            raise Refused(
                "manifest-exists",
                f"there is a file {path} in the checkout already",
                f"git add {path} && gitledger propose -m MESSAGE   (proposes it as it is), or begin anew: rm {path}",
            )
        file.parent.mkdir(parents=True, exist_ok=True)
        opened = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o666)
        with os.fdopen(opened, "w", encoding="utf-8") as written:
            written.write(text)
        place.store.git("add", "--", path)
    return file


@contextmanager
def restored(place: Place, path: str) -> Iterator[Path]:
    """The file at `path` of the work tree; it and its index entry are put back where what is done with them fails.

    Raises Refused (`not-a-file`) where it is no file, or is behind a symbolic link.
    """
    file = _file(place, path)
    before = _as_it_is(file)
    made = [directory for directory in file.parents if not directory.exists()]
    staged = place.store.git("ls-files", "--stage", "-z", "--", path).stdout
    try:
        yield file
    except BaseException:
        if _as_it_is(file) != before:
            file.unlink(missing_ok=True)
            if before is not None:
                file.write_bytes(before[0])
                file.chmod(before[1])
        for directory in made:
            with suppress(OSError):  # it was not made, or holds what is somebody else's
                directory.rmdir()
        place.store.git("update-index", "--force-remove", "--", path)
        place.store.git("update-index", "-z", "--index-info", input=staged)
        raise


def _as_it_is(file: Path) -> tuple[bytes, int] | None:
    """The bytes of the file and its mode; None where there is none."""
    return (file.read_bytes(), stat.S_IMODE(file.stat().st_mode)) if file.exists() else None


def _file(place: Place, path: str) -> Path:
    """The file at `path` below the work tree, if it is one or may become one: no link on the way leads elsewhere."""
    root = _must_have_work_tree(place)
    file = root / path
    for at in (*reversed(file.relative_to(root).parents[:-1]), Path(path)):
        try:
            mode = (root / at).lstat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            break
        wanted, what = (stat.S_ISREG, "file") if at == Path(path) else (stat.S_ISDIR, "directory")
        if not wanted(mode):
            found = "a symbolic link" if stat.S_ISLNK(mode) else f"no {what}"
            raise Refused("not-a-file", f"{at} is {found} in the checkout, and is left alone", f"mv {at} ELSEWHERE")
    return file


def ident(place: Place, who: str, signer: Signer) -> Ident:
    """The ident that git would write as `AUTHOR` or `COMMITTER`; the domain's where git has none."""
    answer = place.store.git("var", f"GIT_{who}_IDENT", check=False)
    if answer.returncode == 0:
        return Ident.parse(answer.stdout.rstrip(b"\n"))
    domain = domain_of(place.verified.state, signer)
    if not domain:
        raise Failed(
            "no-ident", "git does not know who you are", "git config user.name NAME; git config user.email ADDRESS"
        )
    name = place.name
    now = place.store.git("-c", f"user.name={domain}", "-c", f"user.email={domain}@{name}", "var", f"GIT_{who}_IDENT")
    return Ident.parse(now.stdout.rstrip(b"\n"))


def _must_have_work_tree(place: Place) -> Path:
    if place.store.work_tree is None:
        raise Usage("no-work-tree", f"{place.store.git_dir} is bare: there is nothing staged in it", "work in a clone")
    return place.store.work_tree


def _head(place: Place) -> str:
    head = place.store.head()
    oid = place.store.resolve(head) if head.startswith("refs/") else head
    if oid is None:
        raise Failed("no-head", "HEAD points to nothing", f"git checkout --detach {place.verified.name}")
    return oid


def _staged(place: Place, base: str) -> str:
    written = place.store.git("write-tree", check=False)
    if written.returncode:
        said = remotes.words(written.stderr)
        told = "; ".join(line.removeprefix("error: ").removeprefix("fatal: ") for line in said[:2])
        what = f"the index can't be committed: {told or 'git says nothing'}"
        if any(line.endswith(": unmerged") or ": unmerged (" in line for line in said):
            raise Refused("unmerged", what, "git status   (shows what is to be merged), git add PATH, then again")
        raise Failed("index", what, "rm -f .git/index && git reset   (your files stay), git add PATH, then again")
    tree = written.stdout.decode().strip()
    if tree == place.store.git("rev-parse", f"{base}^{{tree}}").stdout.decode().strip():
        raise Refused("nothing-staged", "nothing is staged: the index is as HEAD has it", "git add PATH, then again")
    return tree


def _with_trailers(message: str, content: str, permit: Permit | None, salt: int | None, domain: str) -> str:
    """The message with our trailers in its last paragraph, which they share with other trailers."""
    text = message.strip("\n")
    if not text.strip():
        raise Usage("no-message", "a proposal needs a message", 'gitledger propose -m "What and why"')
    lines = [f"Ledger-Content: {content}"]
    if permit is not None:
        lines.append(f"Ledger-Reorder: {permit}")
    if salt is not None:
        lines.append(f"Ledger-Salt: {salt}")
    parts = paragraphs(text)
    if domain and not any(line.startswith("Ledger-Domain:") for line in parts[-1]):
        lines.append(f"Ledger-Domain: {domain}")
    shared = len(parts) > 1 and all(_TRAILER.fullmatch(line) for line in parts[-1])
    return text + ("\n" if shared else "\n\n") + "\n".join(lines) + "\n"


def _checked_topic(topic: str) -> str:
    if not queue.PROPOSAL_REF.fullmatch(f"refs/proposals/a/{topic}"):
        raise Usage(
            "topic",
            f"{shown(topic)} is no topic",
            "write 1 to 100 lower-case letters, digits and .-_, a letter or digit first, without .. and not ending in "
            ". or .lock: --topic fix-typo, for example",
        )
    return topic


def _branch(place: Place, topic: str, message: str) -> str:
    """The local branch for the proposal: the one that is checked out, or `proposals/<topic>`."""
    head = place.store.head()
    current = head.removeprefix("refs/heads/") if head.startswith("refs/heads/") else ""
    if current == place.name:
        raise Usage(
            "on-the-branch", f"{place.name} is checked out, and only snapshots move it", "git checkout --detach"
        )
    if current and topic in ("", current.rpartition("/")[2]):
        return current
    if not topic:
        topic = _TOPIC_JUNK.sub("-", message.strip().split("\n", 1)[0].lower()).strip("-")[:40].strip("-") or "proposal"
    branch = f"proposals/{topic}"
    if not current and place.store.resolve(f"refs/heads/{branch}") is not None:
        raise Refused(
            "topic-taken",
            f"there is a branch {branch} already",
            f"git switch {branch} to go on with it, or --topic ANOTHER",
        )
    return branch
