"""Names of organizations: which are possible, wherever one enters."""

from ledger.errors import TallyError
from ledger.topics import PLATFORM
from tallystick.model import is_visible

MAX_LENGTH = 256


def check_organization(name: str, where: str) -> None:
    """TallyError where an organization cannot have this name. ``where`` is the option or setting that says it."""
    if name == PLATFORM or not 1 <= len(name) <= MAX_LENGTH or not is_visible(name):
        raise TallyError(
            f"{where} {name[:100]!r} cannot be an organization: name one of 1 to {MAX_LENGTH} visible characters; "
            f"{PLATFORM!r} is reserved"
        )
