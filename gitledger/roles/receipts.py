"""Receipts: what an executor signs of a run, and what a replay holds against it (spec 14, Execution receipt).

`certify` makes the envelope, `staged` puts what came out into the checkout. A replay reads a receipt (`read`),
binds its inputs anew in the ledgers that it names by id (`bind_again`), runs once more and compares (`must_be_equal`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gitledger.documents.names import as_typed, digest_of_text, shown
from gitledger.documents.statement import Descriptor, Internal, Receipt, Statement
from gitledger.errors import Refused, Usage, about
from gitledger.objects.codec import digest
from gitledger.objects.paths import check_path, fold
from gitledger.roles import proposer, statements
from gitledger.roles.acting import acting
from gitledger.roles.execution import Bound, Ran, bind, copy, told
from gitledger.roles.place import Place
from gitledger.roles.statements import Certified
from gitledger.rules import attestation
from gitledger.signing import dsse
from gitledger.signing.signers import Signer


@dataclass(frozen=True)
class Verified:
    """A receipt whose signatures verify. `path` is where it stands in the newest verified snapshot; None: nowhere."""

    statement: Statement
    receipt: Receipt
    digest: str
    signers: tuple[str, ...]
    path: str | None


def executor(place: Place, signer: Signer, seconds: int) -> str:
    """The domain for which the signer may sign receipts now. Raises Refused (`not-an-executor`), and as `acting`."""
    state, key_id = place.verified.state, signer.key.key_id
    dsse.check_key(signer.key)
    domain, roles = acting(state, signer, seconds)
    if "executor" in roles:
        return domain
    able = state.holders(domain, "executor") if domain else ()
    raise Refused(
        "not-an-executor",
        f"{key_id} has not the role executor, which signs receipts, in {state.snapshot_name}",
        f"sign with {' or '.join(able)}: --key KEY"
        if able
        else "gitledger domain add-key NAME PUBKEY --role executor, or for a while: gitledger node grant",
    )


def must_be_readable(place: Place, bound: Bound) -> None:
    """Refuse (`statement-bytes`) inputs of `place` that transition would not read through, before anything is run."""
    limit = place.verified.state.policy.limits.proposal_bytes
    ours = {name for name, ledger_id in bound.external.ledgers.items() if ledger_id == place.anchor}
    named = [name.replace(":", "/", 1) for name in bound.resolved if ":" in name and name.partition("@")[0] in ours]
    size = sum(bound.files[at][1].size(place.store) + attestation.NAME_BYTES * at.count("/") for at in named)
    if size > limit:
        raise Refused(
            "statement-bytes",
            f"the inputs count {size:,} bytes with their names, and what a receipt names counts at most {limit:,}",
            "name the whole snapshot as input, common@N without a path",
        )


def must_be_placeable(place: Place, domain: str, to: str, outputs: Iterable[str]) -> None:
    """Refuse, before anything is run, a place for the outputs that they can't have.

    Raises Refused (`output-place`) for a directory that has its own use, Usage (`file-taken`), as `check_path`.
    """
    below = _below(domain, to)
    with about(f"--to {shown(to)}"):
        check_path(below)
        if (top := fold(below.split("/")[2])) in _OWN_USE:
            raise Refused("output-place", f"{top} of a domain holds {_OWN_USE[top]} and no output", "--to made")
    _must_not_be_lost(place, [f"{below}/{path}" for path in outputs])


def certify(
    place: Place, ran: Ran, domain: str, signer: Signer, seconds: int, *, with_outputs: bool = False
) -> Certified:
    """The receipt of what was run twice, signed by an executor of `domain`, and held to what transition will hold it.

    `with_outputs` says that the proposal will bring what came out as well. Raises what `statements.sign` and
    `statements.checked` raise.
    """
    internal = Internal.of(ran.sandbox.isolation, ran.bound.epoch)
    receipt = Receipt.of(domain, ran.bound.external, internal, dict(ran.bound.resolved))
    subjects = [Descriptor.of(path, output.digest) for path, output in ran.outputs.items()]
    content = statements.sign(Statement.saying(receipt, subjects), signer)
    beside = sum(output.size for output in ran.outputs.values()) if with_outputs else 0
    return statements.checked(place, content, signer, seconds, beside)


@contextmanager
def staged(place: Place, ran: Ran, domain: str, to: str | None) -> Iterator[list[str]]:
    """What came out, put below `to` of the domain in the checkout, and staged; the paths, as in the tree.

    Nothing is where `to` is None. Where that or what is in the block fails, checkout and index are as they were.
    Raises Usage (`file-taken`), and what `proposer.restored` and `copy` raise.
    """
    targets = {f"{_below(domain, to)}/{path}": path for path in ran.outputs} if to is not None else {}
    _must_not_be_lost(place, targets)
    with ExitStack() as restored:
        for target, path in targets.items():
            with about(target):
                check_path(target)
                file = restored.enter_context(proposer.restored(place, target))
                file.parent.mkdir(parents=True, exist_ok=True)
                file.unlink(missing_ok=True)
                copy(ran, path, file)
        if targets:
            listed = "\0".join(targets).encode()
            place.store.git("add", "--pathspec-from-file=-", "--pathspec-file-nul", input=listed)
        yield list(targets)


def read(place: Place, named: str) -> Verified:
    """The receipt that `named` means: a file, the digest of an envelope (`sha256:` or not), a path of the tree.

    Its signatures verify, each by a key of the builder's domain that the ledger knows, revoked or not: whether it was
    an executor's when it was taken, the snapshot that holds it says. Raises Refused (`no-such-receipt`,
    `not-a-receipt`, `receipt-domain`), and what `dsse.Envelope.parse`, `dsse.verify` and `Statement.parse` raise.
    """
    state = place.verified.state
    content = _envelope(place, named)
    with about(named):
        envelope = dsse.Envelope.parse(content)
        records = {each.key_id: state.record(each.key_id) for each in envelope.signatures}
        dsse.verify(envelope, {key_id: record.public for key_id, record in records.items() if record})
        statement = Statement.parse(envelope.payload)
        receipt = statement.said
        if not isinstance(receipt, Receipt):
            raise Refused(
                "not-a-receipt", f"it says {statement.predicate_type}, which nobody can run", "gitledger attestations"
            )
        if any(record and record.domain_id != receipt.domain for record in records.values()):
            raise Refused(
                "receipt-domain", f"it is of an executor of {receipt.domain}, and a key of another domain signed it"
            )
    path = attestation.path_of(receipt.domain, content)
    stands = state.tree.read(path) == content
    return Verified(statement, receipt, digest(content), tuple(records), path if stands else None)


def bind_again(places: Iterable[Place], receipt: Receipt) -> Bound:
    """What the receipt says was run, from the ledgers at `places`, by their ids.

    Raises what `bind` raises, and Refused (`receipt-inputs`) where a ledger has something else there.
    """
    wanted = receipt.external
    ours = [place for place in places if wanted.ledgers.get(place.name) == place.anchor]
    bound = bind(ours, wanted.command, wanted.inputs, wanted.outputs)
    said = {each.name: each.sha256 for each in receipt.build_definition.resolved_dependencies}
    for name in sorted(said.keys() | bound.resolved.keys()):
        if said.get(name) != bound.resolved.get(name):
            raise Refused(
                "receipt-inputs",
                f"{name} has {bound.resolved.get(name, 'no file')} here, and {said.get(name, 'none')} in the receipt",
                "there is nothing to replay: the receipt is not about these snapshots",
            )
    if receipt.internal.source_date_epoch != bound.epoch:
        raise Refused(
            "receipt-inputs",
            f"SOURCE_DATE_EPOCH was {receipt.internal.source_date_epoch}, and the newest snapshot has {bound.epoch}",
            "there is nothing to replay: the receipt is not about these snapshots",
        )
    return bound


def must_be_equal(verified: Verified, ran: Ran) -> None:
    """Raise Refused (`replay-differs`), with what differs, unless the run made what the receipt says."""
    said = {each.name: each.sha256 for each in verified.statement.subject}
    here = {path: output.digest for path, output in ran.outputs.items()}
    differing = [path for path in sorted(said | here) if said.get(path) != here.get(path)]
    if differing:
        lines = [f"{path}: {said.get(path, 'none')} then, {here.get(path, 'none')} here" for path in differing]
        raise Refused(
            "replay-differs",
            f"{len(differing):,} of {len(said | here):,} outputs came out otherwise here\n{told(lines)}",
            "see what differs with --into DIR; the programs of this machine may be of other versions",
        )


_OWN_USE: Final = {"attestations": "its statements", "policies": "its rules"}


def _must_not_be_lost(place: Place, targets: Iterable[str]) -> None:
    """Refuse (`file-taken`) to write over files of the checkout, by their paths, that HEAD has not as they are."""
    root = place.store.work_tree
    there = [path for path in targets if root is not None and (root / path).is_file()]
    asked = ("status", "--porcelain", "-z", "--no-renames", "--ignored", "--untracked-files=all")
    if there and (said := place.store.git("--literal-pathspecs", *asked, "--", *there).stdout):
        path = said.split(b"\0")[0][3:].decode("utf-8", "replace")
        raise Usage(
            "file-taken",
            f"there is a file {path} in the checkout, which HEAD has not as it is, and it would be lost",
            f"name another --to, move it away, or if the last run staged it: git rm -f {as_typed([path])}",
        )


def _below(domain: str, to: str) -> str:
    """The directory `to` of the domain, as it is in the tree, whether or not its beginning was typed."""
    home = f"domains/{domain}"
    return f"{home}/{to.removeprefix(home + '/')}"


def _envelope(place: Place, named: str) -> bytes:
    state = place.verified.state
    if (wanted := digest_of_text(named)) is not None:
        name = wanted.removeprefix("sha256:")
        paths = [f"domains/{each}/attestations/{name[:2]}/{name[2:]}.json" for each in state.domains()]
        contents = (state.tree.read(path) for path in paths)
        if found := next((content for content in contents if content is not None), None):
            return found
    elif Path(named).is_file():
        return statements.envelope_in(Path(named))
    elif (content := state.tree.read(named)) is not None:
        return content
    raise Refused(
        "no-such-receipt",
        f"{shown(named)} is no file, and no attestation of {state.snapshot_name}",
        "gitledger attestations   (lists them)",
    )
