"""Names of persons behind the pseudonyms of the log, and who decides."""

import getpass
from collections.abc import Iterable

from ledger.home.persons import Persons
from ledger.settings import Settings


def find_actor(name: str | None) -> str | None:
    """Return the name of who decides: the one that is given, else that of this machine's user; None where it has none.
    Only its pseudonym enters the log."""
    if name is not None:
        return name
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in a container
        return None


def find_names(settings: Settings, pseudonyms: Iterable[str | None]) -> dict[str, str]:
    """Return the names behind pseudonyms, as far as the home knows them."""
    persons = Persons(settings.home)
    try:
        return persons.find_names(settings.organization, sorted({name for name in pseudonyms if name}))
    finally:
        persons.close()
