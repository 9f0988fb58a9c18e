"""Names of organizations: which are possible, wherever one enters."""

from ledger.errors import TallyError
from tallystick.privacy.addresses import replace_addresses
from tallystick.privacy.key_shapes import replace_keys
from tallystick.vocabulary.base import is_visible

PLATFORM = "_platform"
"""The reserved organization whose records concern everyone and are relayed into every partition."""

MAX_LENGTH = 256


def name_problem(name: str) -> str | None:
    """Return what the name of an organization has to be, or None where this is one."""
    if name != PLATFORM and 1 <= len(name) <= MAX_LENGTH and is_visible(name):
        return None
    return f"one of 1 to {MAX_LENGTH} visible characters; {PLATFORM!r} is reserved"


def check_organization(name: str, option: str, purpose: str) -> None:
    """TallyError where an organization cannot have this name. ``where`` is the option or setting that says it, and
    ``purpose`` what was wanted for it."""
    if reason := name_problem(name):
        raise TallyError(f"{option} {name[:100]!r} cannot {purpose}: name {reason}")
    check_no_secret(name, option)


def check_no_secret(name: str, where: str = "TALLY_ORGANIZATION") -> None:
    """TallyError where an organization is called by a key or an address."""
    if replace_addresses(replace_keys(name), lambda address: "") != name:
        raise TallyError(
            f"{where} {name!r} is a key or an e-mail address, which every record would show: choose another name"
        )
