"""Erase a person: the name leaves this home's table of persons, and the log records it."""

from contextlib import closing
from typing import NamedTuple

from ingest.controls.append import append_control
from ingest.intake.intake import pseudonym_secret_name
from ledger.errors import TallyError
from ledger.home.persons import Persons
from ledger.home.secrets import ensure_secret, pseudonym
from ledger.log import Log, Position
from ledger.settings import Settings
from tallystick.privacy.addresses import PSEUDONYM
from tallystick.privacy.key_shapes import replace_keys
from tallystick.vocabulary.controls.persons import SubjectErased


class Erasure(NamedTuple):
    """The result of an erasure: the pseudonym, the position of its record, and what still holds the name. The name is
    forgotten where nothing holds it. ``was_listed`` tells whether the home knew it."""

    pseudonym: str
    was_listed: bool
    position: Position
    held_by: tuple[str, ...]


def erase_person(log: Log, settings: Settings, organization: str, subject: str) -> Erasure:
    """Forget the name behind a pseudonym. ``subject`` is the name or the pseudonym. The log's records stay as they are.
    Where something still holds the name, calling it again finishes the erasure."""
    subject_pseudonym = (
        subject
        if PSEUDONYM.fullmatch(subject)
        else pseudonym(ensure_secret(settings.home, pseudonym_secret_name(organization)), replace_keys(subject))
    )
    body = {"subject": subject_pseudonym}
    position = append_control(log, settings, SubjectErased.control_type, body, organization=organization)
    with closing(Persons(settings.home)) as persons:
        try:
            was_listed = persons.is_listed(organization, subject_pseudonym)
            name = persons.find_names(organization, [subject_pseudonym]).get(
                subject_pseudonym, None if subject == subject_pseudonym else subject
            )
            persons.erase(organization, subject_pseudonym)
        except TallyError as error:
            return Erasure(subject_pseudonym, True, position, (str(error),))
        return Erasure(subject_pseudonym, was_listed, position, persons.overwrite_erased(subject_pseudonym, name))
