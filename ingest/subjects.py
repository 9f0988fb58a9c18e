"""Forgetting a person: the name goes from this home's table, and the log says that it did."""

import re
from contextlib import closing
from typing import NamedTuple

from ingest.control import append_control
from ingest.door import key_of
from ledger.log import Log, Position
from ledger.persons import Persons
from ledger.secrets import pseudonym, secret
from ledger.settings import Settings

_PSEUDONYM = re.compile(r"p_[0-9a-f]{24}")


class Erased(NamedTuple):
    """Whose name was forgotten, whether it was known here, and where the record of it stands."""

    pseudonym: str
    known: bool
    position: Position


def erase(log: Log, settings: Settings, organization: str, subject: str) -> Erased:
    """Forget whose name a pseudonym is; given is the one or the other. Nothing else of the log changes."""
    made = subject if _PSEUDONYM.fullmatch(subject) else pseudonym(secret(settings.home, key_of(organization)), subject)
    position = append_control(log, settings, "subject.erased", {"subject": made}, organization=organization)
    with closing(Persons(settings.home)) as persons:
        return Erased(made, persons.erase(organization, made), position)
