"""Names of persons, shown only to a viewer at this machine, since the pages do not know who else is looking."""

import json
from collections.abc import Iterable
from contextlib import closing
from typing import Any

from dashboards.sources.loopback import find_exposure
from dashboards.sources.warehouse import home
from ledger.home.persons import Persons

PERSON_FIELDS = ("user", "customer")


def list_names(organization: str, data: dict[str, Any]) -> list[tuple[str, str]]:
    """List the names behind an event's pseudonyms that the home knows and the viewer may see."""
    pseudonyms = [data[name] for name in PERSON_FIELDS if name in data] + list(data.get("acting_for", ()))
    if not pseudonyms or find_exposure() is not None:
        return []
    with closing(Persons(home())) as persons:
        names = persons.find_names(organization, pseudonyms)
    facts = [(f"{name} (name)", names[data[name]]) for name in PERSON_FIELDS if data.get(name) in names]
    chain = [names[pseudonym] for pseudonym in data.get("acting_for", ()) if pseudonym in names]
    return facts + ([("acting_for (names)", json.dumps(chain, ensure_ascii=False))] if chain else [])


def find_names(organization: str, pseudonyms: Iterable[str]) -> dict[str, str]:
    """Return the names behind pseudonyms, of those that the home knows and the viewer may see."""
    known = [pseudonym for pseudonym in pseudonyms if pseudonym]
    if not known or find_exposure() is not None:
        return {}
    with closing(Persons(home())) as persons:
        return dict(persons.find_names(organization, known))
