"""Names of persons, for who may see them: only somebody at this machine, since the pages ask nobody who they are."""

import json
from contextlib import closing
from typing import Any

from dashboards.sources.loopback import may_come
from dashboards.sources.warehouse import home
from ledger.home.persons import Persons

PERSONAL = ("user", "customer")


def known(organization: str, data: dict[str, Any]) -> list[tuple[str, str]]:
    """Whose pseudonyms an event says, as far as this home knows and the viewer may see."""
    said = [data[name] for name in PERSONAL if name in data] + list(data.get("acting_for", ()))
    if not said or may_come() is not None:
        return []
    with closing(Persons(home())) as persons:
        names = persons.names(organization, said)
    facts = [(f"{name} is", names[data[name]]) for name in PERSONAL if data.get(name) in names]
    chain = [names[one] for one in data.get("acting_for", ()) if one in names]
    return facts + ([("acting_for is", json.dumps(chain, ensure_ascii=False))] if chain else [])
