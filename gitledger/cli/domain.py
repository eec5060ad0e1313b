"""`domain`: who one is. It edits the domain's manifest in the checkout and stages it, or proposes it at once."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

from gitledger.cli import output, proposer
from gitledger.cli.commands import Argument, Option
from gitledger.cli.options import (
    At,
    Json,
    Key,
    Propose,
    is_line,
    key_at_hand,
    place_here,
    public_key,
    signer_for,
    text_of,
)
from gitledger.errors import LedgerError, Refused, Usage, about

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gitledger.documents.manifest import Manifest, ManifestKey
    from gitledger.documents.manifest import Role as RoleName
    from gitledger.roles.place import Place
    from gitledger.rules.state import State

Named = Annotated[str | None, Argument(metavar="DOMAIN", help="May be left out where your key belongs to one.")]


def new(
    domain: Annotated[str, Argument(metavar="DOMAIN", help="The domain to register.")],
    key: Key = None,
    propose: Propose = False,
    at: At = None,
) -> None:
    """Begin a domain, with your key.

    Its manifest has the key that signs as root and publisher.
    """
    from gitledger.roles import proposer as role

    place = place_here()
    signer = signer_for(place, key)
    if place.verified.state.manifest(domain) is not None:
        raise Refused("domain-taken", f"the domain {domain} is registered already", f"gitledger domain show {domain}")
    manifest = role.found_domain(domain, signer.key)
    bring(place, manifest, f"Register {domain}", key, propose=propose, new=True)


def add_key(
    named: Annotated[list[str], Argument(metavar="[DOMAIN] NAME PUBKEY", help="PUBKEY is a file or a line.")],
    *,
    role: Annotated[
        list[str] | None,
        Option("--role", metavar="ROLE", help="root, publisher, producer, executor or auditor; may be repeated."),
    ] = None,
    certifies: Annotated[
        str | None,
        Option("--certifies", metavar="ROLES", help="What it may hand out to nodes: executor,publisher, for example."),
    ] = None,
    proof: Annotated[
        Path | None,
        Option("--proof", metavar="FILE", help="The new key's consent, as `domain prove` prints it."),
    ] = None,
    key: Key = None,
    propose: Propose = False,
    at: At = None,
) -> None:
    """Give a domain one more key, with its consent.

    The consent is what --proof holds; without it, it is made here, where PUBKEY's private half lies beside PUBKEY.
    """
    from gitledger.roles import proposer as role_of
    from gitledger.rules.state import manifest_path

    place = place_here()
    given, (name, pubkey) = _arguments(named, "NAME", "PUBKEY")
    domain = domain_of(place, given, key)
    roles = roles_of(role or [])
    hands_out = roles_of(certifies.split(",")) if certifies is not None else ()
    entering = public_key(pubkey)
    consent = text_of(proof.expanduser()) if proof else _proven(place, domain, pubkey)
    with about(manifest_path(domain)):
        manifest = role_of.with_key(checked_out(place, domain), name, entering, roles, consent, certifies=hands_out)
        manifest.keys[-1].verify_proof(place.anchor, domain)
    bring(place, manifest, f"Give {domain} the key {name}", key, propose=propose)


def revoke_key(
    named: Annotated[list[str], Argument(metavar="[DOMAIN] NAME", help="The key's name, or its key id.")],
    key: Key = None,
    propose: Propose = False,
    at: At = None,
) -> None:
    """Revoke a key of a domain, for ever.

    It is taken out of the manifest.
    """
    from gitledger.roles import proposer as role

    place = place_here()
    given, (name,) = _arguments(named, "NAME")
    domain = domain_of(place, given, key)
    before = checked_out(place, domain)
    manifest = role.without_key(before, name)
    bring(place, manifest, f"Revoke {domain}'s key {name}", key, propose=propose)
    left = {each.name for each in manifest.keys}
    _warn_of_rules(place, domain, {each.name for each in before.keys} - left)


def show(domain: Named = None, key: Key = None, as_json: Json = False, at: At = None) -> None:
    """The keys of a domain.

    As the newest verified snapshot has them, with their roles; without DOMAIN and without a key, of all domains.

    --json: snapshot, domains [{domain, witness, authority, keys [{name, key, key_id, roles, certifies}],
    revoked_serials}].
    """
    place = place_here()
    state = place.verified.state
    wanted = (domain,) if domain else own(place, key_at_hand(place, key)) or state.domains()
    manifests = [registered(state, each) for each in wanted]
    if as_json:
        domains = [_manifest_json(state, manifest) for manifest in manifests]
        output.as_json({"snapshot": state.snapshot_name, "domains": domains})
        return
    for number, manifest in enumerate(manifests):
        if number:
            output.say()
        _print_manifest(state, manifest)


def prove(domain: Named = None, key: Key = None, at: At = None) -> None:
    """Print your key's consent to a domain.

    It is a signature for this ledger and the domain, as ssh-keygen -Y sign makes one, too.
    """
    from gitledger.roles import proposer as role

    place = place_here()
    sys.stdout.write(role.prove(place, signer_for(place, key), domain_of(place, domain, key)))


def bring(place: Place, manifest: Manifest, message: str, key: str | None, *, propose: bool, new: bool = False) -> None:
    """Stage the manifest, or propose it; where it can't be proposed, the checkout is as it was.

    `new` says that the checkout must not have one yet.
    """
    from gitledger.roles import proposer as role
    from gitledger.rules.state import manifest_path

    path = manifest_path(manifest.domain_id)
    if not propose:
        role.stage(place, path, manifest.render(), new=new)
        output.say(f"Staged: {path}")
        output.say("To propose it:")
        output.command(f'gitledger propose -m "{message}"')
        return
    signer = signer_for(place, key)
    with role.restored(place, path):
        role.stage(place, path, manifest.render(), new=new)
        done = proposer.make(place, signer, message)
    proposer.say_proposed(done)


def _warn_of_rules(place: Place, domain: str, names: set[str]) -> None:
    """Say which rules of publishing name keys that go: what such a rule matches may wait for ever."""
    from gitledger.rules.state import publish_path

    rules = place.verified.state.publishing(domain)
    for rule in rules.rules if rules else ():
        for name in sorted(names.intersection(rule.keys or ())):
            left = len(rule.keys or ()) - 1
            waits = ", so that what it matches would wait for ever" if left < rule.approvals else ""
            output.say(
                ("But ", output.WAITS), f"{publish_path(domain)} names {name} in its rule for {rule.match}{waits}."
            )
            output.command(f"name another key there, or take the rule out, then: git add {publish_path(domain)}")


def _arguments(named: list[str], *names: str) -> tuple[str | None, list[str]]:
    """The domain, None where it was left out, and the other arguments."""
    if len(named) not in (len(names), len(names) + 1):
        given = output.count(len(named), "argument")
        raise Usage("arguments", f"[DOMAIN] {' '.join(names)} are wanted, and there are {given}", "--help says more")
    return (None, named) if len(named) == len(names) else (named[0], named[1:])


def domain_of(place: Place, given: str | None, key: str | None) -> str:
    """The domain that was named, or the one that the key belongs to."""
    if given is not None:
        return given
    held = own(place, key_at_hand(place, key))
    if not held:
        raise Usage("which-domain", "your key belongs to no domain here, so the domain must be named", "as in: alice")
    return held[0]


def own(place: Place, key_id: str | None) -> tuple[str, ...]:
    """The domain of that key; none where it is no key here."""
    record = place.verified.state.record(key_id) if key_id else None
    return (record.domain_id,) if record else ()


def registered(state: State, domain: str) -> Manifest:
    """The manifest of `domain`. Raises Refused (`no-such-domain`)."""
    manifest = state.manifest(domain)
    if manifest is None:
        raise Refused(
            "no-such-domain", f"no domain {domain} is registered in {state.snapshot_name}", "gitledger domain show"
        )
    return manifest


def checked_out(place: Place, domain: str) -> Manifest:
    """The manifest as it stands in the checkout, edits that wait there included."""
    from gitledger.documents.manifest import Manifest
    from gitledger.rules.state import manifest_path

    path = manifest_path(domain)
    file = place.store.work_tree / path if place.store.work_tree else None
    if file is None:
        raise Usage("no-work-tree", "this is the host, which has no checkout", "work in a clone")
    if not file.is_file():
        raise Refused(
            "no-such-domain",
            f"this checkout has no {path}",
            f"gitledger domain new {domain}   or, where it is registered:   gitledger pin {place.verified.name}",
        )
    with about(path):
        return Manifest.parse(file.read_bytes())


def roles_of(named: Sequence[str]) -> tuple[RoleName, ...]:
    """The roles that were named, at least one, in the order of spec 3.2. Raises Usage."""
    from gitledger.documents.manifest import Role

    known: tuple[RoleName, ...] = get_args(Role)
    for each in named:
        if each not in known:
            raise Usage("role", f"{each} is no role", f"the roles are {', '.join(known)}")
    if not named:
        raise Usage("role", "what may the key do?", f"--role ROLE, which is one of {', '.join(known)}")
    return tuple(role for role in known if role in named)


def _proven(place: Place, domain: str, pubkey: str) -> str:
    """The consent of a key whose private half lies beside the file that was named."""
    from gitledger.roles import proposer as role

    lacking = Refused(
        "key-without-proof",
        "the key enters the manifest only with its consent",
        f"whoever has the key makes it: gitledger domain prove {domain} --key KEY > proof\n"
        "and you add it: --proof proof",
    )
    path = Path(pubkey).expanduser()
    if is_line(pubkey) or not (path.suffix != ".pub" or path.with_suffix("").exists()):
        raise lacking
    try:
        return role.prove(place, signer_for(None, str(path)), domain)
    except LedgerError as error:
        raise lacking from error


def _print_manifest(state: State, manifest: Manifest) -> None:
    marks = [mark for mark, holds in _marks(state, manifest.domain_id).items() if holds]
    output.say((manifest.domain_id, output.HEAD), f"  {', '.join(marks)}" if marks else "")
    widths = (max(len(key.name) for key in manifest.keys), len(manifest.keys[0].key_id))
    for key in manifest.keys:
        _print_key(key, widths)
    if manifest.revoked_serials:
        output.say(f"revoked serials: {', '.join(map(str, manifest.revoked_serials))}", indent=2)


def _print_key(key: ManifestKey, widths: tuple[int, int]) -> None:
    roles = ", ".join(key.roles)
    if output.fits(widths, rest=2 + len(roles)):
        output.columns([key.name, (key.key_id, output.DIM), roles], widths=widths, indent=2)
    else:
        output.columns([key.name, roles], widths=widths[:1], indent=2)
        output.say((key.key_id, output.DIM), indent=4)
    if key.certifies:
        output.say(f"certifies {', '.join(key.certifies)}", indent=4)


def _marks(state: State, domain: str) -> dict[str, bool]:
    return {"witness": state.witness.domain_id == domain, "authority": state.policy.authority(domain) is not None}


def _manifest_json(state: State, manifest: Manifest) -> dict[str, object]:
    keys = [
        {"name": k.name, "key": k.key, "key_id": k.key_id, "roles": list(k.roles), "certifies": list(k.certifies)}
        for k in manifest.keys
    ]
    marks = _marks(state, manifest.domain_id)
    return {"domain": manifest.domain_id, **marks, "keys": keys, "revoked_serials": list(manifest.revoked_serials)}
