"""The worksheet of a rotation: one page for an authority with `git`, `ssh-keygen` and a POSIX shell alone (spec 8).

What it says to type is typed as it stands: that computes H from the eight fields, signs its 32 bytes and pushes the
signature and the draft. The lines marked with => are compared by voice.
"""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

from gitledger.cli import output
from gitledger.documents.rotation import NAMESPACE
from gitledger.rules.endorsement import electors

if TYPE_CHECKING:
    from gitledger.documents.rotation import WitnessKey
    from gitledger.rules.rotations import Drafted

_WIDEST: Final = 78
_LABEL: Final = 9

_FUNCTIONS: Final = r"""
field() {   # its length, below 256, in eight bytes, big-endian; then itself
  printf '\000\000\000\000\000\000\000'
  printf "\\$(printf %03o "${#1}")%s" "$1"
}
digest() {
  if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi
}
compute_h() {
  fields | while read -r name value; do field "$value"; done |
    digest | cut -c 1-64
}
octets() {   # the 32 bytes that H stands for
  for octet in $(echo "$h" | sed 's/../& /g'); do
    printf "\\$(printf %03o "0x$octet")"
  done
}
h=$(compute_h)
echo "$h" | sed 's/..../& /g'
"""


def page(waiting: Drafted, drafted: bytes | None, address: str) -> str:
    """The worksheet of `waiting`, to be pushed to `address`; `drafted` is the draft that the host has, None if none."""
    return "\n".join(_lines(waiting, drafted, address)) + "\n"


def _lines(waiting: Drafted, drafted: bytes | None, address: str) -> Iterator[str]:
    rotation = waiting.rotation
    short = waiting.hash[:12]
    yield f"ROTATION OF THE WITNESS TO {waiting.new[0]}, ON {waiting.on.name}"
    yield from _decided(waiting)
    yield from _prose(
        "Compare the lines marked => by voice with the other authorities and with the new witness, before you sign. "
        "Whoever endorses two different rotations on one snapshot can split the ledger's readers, and is found out.",
    )
    yield from _prose("1. In a POSIX shell (sh, dash, bash), and a new directory. These are the eight fields:")
    yield from _typed(f"git init -q rotation-{short} && cd rotation-{short}", *_here("fields", _table(rotation.fields)))
    yield from _prose("2. H, computed from them. It must be the H above, group by group:")
    yield from _typed(*_FUNCTIONS.strip().split("\n"))
    yield from _prose("3. Your key, and for whom it endorses (another file than this one: change the line):")
    yield from _typed('key=$HOME/.ssh/id_ed25519; [ -f "$key" ] || echo "no key in $key"')
    yield from _typed(*_whose(waiting), gap=False)
    text = _carried(rotation.render().encode() if drafted is None else drafted)
    if text is not None:
        yield from _prose("4. The draft, which the host takes only together with an endorsement:")
        yield from _typed(*_here("draft", text.removesuffix("\n").split("\n")), "draft >draft")
    yield from _prose(f"{4 if text is None else 5}. Sign, and push:")
    yield from _typed(f'octets | ssh-keygen -Y sign -n {NAMESPACE} -f "$key" >signed')
    yield from _typed(*_push(address, with_draft=text is not None), gap=False)
    if text is None:
        yield from _prose("(The host has the draft already; it holds characters that this page can't show.)")


def _decided(waiting: Drafted) -> Iterator[str]:
    """What is being decided; what is compared by voice is marked."""
    change, on = waiting.rotation.rotation, waiting.on
    first, second = output.grouped(waiting.hash)
    yield ""
    yield _row("   ", "leaves", _who(change.old_witness))
    yield _row("=> ", "comes", _who(change.new_witness))
    yield _row("=> ", "on", on.name)
    yield _row("=> ", "", on.hash)
    yield _row("=> ", "H", first)
    yield _row("=> ", "", second)
    policy, have = on.state.policy, ", ".join(one.domain_id for one in waiting.endorsements)
    yield _row(
        "   ", "quorum", f"{policy.threshold} of {', '.join(sorted(one.domain_id for one in policy.authorities))}"
    )
    yield _row("   ", "endorsed", f"by {have or 'nobody yet'}")
    if change.reason is not None:
        shown = "".join(one if one.isprintable() else "?" for one in change.reason)
        yield from textwrap.wrap(
            f"{shown} (which nobody endorsed)",
            _WIDEST,
            initial_indent=_row("   ", "reason", ""),
            subsequent_indent=" " * (3 + _LABEL),
            break_on_hyphens=False,
        )


def _row(mark: str, label: str, value: str) -> str:
    return f"{mark}{label.ljust(_LABEL)}{value}"


def _who(witness: WitnessKey) -> str:
    return f"{witness.domain_id}  {witness.pubkey_id}"


def _prose(*paragraphs: str) -> Iterator[str]:
    for paragraph in paragraphs:
        yield ""
        yield from textwrap.wrap(paragraph, _WIDEST, break_on_hyphens=False, break_long_words=False)


def _typed(*lines: str, gap: bool = True) -> Iterator[str]:
    """Lines for a shell. They stand at the margin, because a here-document keeps what it is indented by."""
    if gap:
        yield ""
    yield from lines


def _here(name: str, lines: Iterable[str]) -> Iterator[str]:
    """A shell function `name` that prints `lines` as they are, whatever they hold."""
    held = list(lines)
    end = "END"
    while end in held:
        end += "_"
    yield f"{name}() {{ cat <<'{end}'"
    yield from held
    yield end
    yield "}"


def _table(fields: Iterable[tuple[str, str]]) -> Iterator[str]:
    listed = list(fields)
    width = max(len(name) for name, _ in listed)
    return (f"{name.ljust(width)} {value}" for name, value in listed)


def _whose(waiting: Drafted) -> Iterator[str]:
    yield "case $(ssh-keygen -lf \"$key\" | cut -d ' ' -f 2) in"
    for domain, key_id in sorted(electors(waiting.on.state.policy)):
        yield f"  {key_id}) me={domain} ;;"
    yield '  *) me=; echo "no authority\'s key" ;;'
    yield "esac"


def _push(address: str, *, with_draft: bool) -> Iterator[str]:
    yield f"git push {shlex.quote(address)} \\"
    if with_draft:
        yield '  "$(git hash-object -w --stdin <draft):refs/rotations/$h/draft" \\'
    yield '  "$(git hash-object -w --stdin <signed):refs/rotations/$h/$me"'


def _carried(draft: bytes) -> str | None:
    """The draft as text that a page can carry byte for byte; None where a terminal would not show all of it."""
    text = draft.decode("utf-8", "replace")
    whole = text.endswith("\n") and text.encode() == draft
    return text if whole and all(line.isprintable() for line in text.split("\n")) else None
