"""Which generation of all that is derived is the current one: the newest record of its name beside the documents,
which is cheap to find.
"""

from ledger.log import Draft, Log, records
from ledger.topics import DOCUMENTS

KEY = "generation"


def current(log: Log) -> int:
    """The number of the current generation; the first one is 1, and nothing says so."""
    said = [int(record.value) for record in records(log, DOCUMENTS, 0) if record.key == KEY]
    return said[-1] if said else 1


def make_current(log: Log, generation: int) -> None:
    """Say so, unless it is said."""
    if current(log) != generation:
        log.append(DOCUMENTS, [Draft(0, KEY, {}, str(generation).encode())])
