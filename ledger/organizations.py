"""Names of organizations, checked wherever one enters."""

from ledger.errors import TallyError
from tallystick.privacy.addresses import replace_addresses
from tallystick.privacy.key_shapes import replace_keys
from tallystick.vocabulary.base import is_visible

PLATFORM = "_platform"
"""The reserved organization whose records concern everyone and are relayed into every partition."""

MAX_LENGTH = 256


def name_problem(name: str) -> str | None:
    """Return what the name of an organization has to be, or None where this name is valid."""
    if name != PLATFORM and 1 <= len(name) <= MAX_LENGTH and is_visible(name):
        return None
    return f"one of 1 to {MAX_LENGTH} visible characters; {PLATFORM!r} is reserved"


def check_organization(name: str, option: str, purpose: str) -> None:
    """Check the name of an organization. ``option`` is the option or setting that gives it, and ``purpose`` goes on
    after "cannot". TallyError where the name is invalid, or shows a key or an e-mail address."""
    if reason := name_problem(name):
        raise TallyError(f"{option} {name[:100]!r} cannot {purpose}: name {reason}")
    check_no_secret(name, option)


def check_no_secret(name: str, where: str = "TALLY_ORGANIZATION") -> None:
    """TallyError where an organization is called by a key or an address."""
    if replace_addresses(replace_keys(name), lambda address: "") != name:
        raise TallyError(
            f"{where} {name!r} is a key or an e-mail address, which every record would show: choose another name"
        )
