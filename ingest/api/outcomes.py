"""Outcomes of the events of one record, for the sender that appended it."""

from http import HTTPStatus
from typing import Any

from ingest.api.problem import Problem
from ingest.intake.intake import decode
from ledger.log import PARTITIONS, Log, fold_offset, records, seek_cause
from ledger.log.topics import ENTRIES, EVENTS
from ledger.outcomes import OUTCOMES

_MAX_OFFSET = 2**63 - 1
"""The greatest offset that a log can have; SQLite and Kafka read no greater one."""


def read_outcomes(log: Log, organization: str, partition: int, offset: int) -> dict[str, Any]:
    """Return the outcome of each event of a record of the organization; ``folded`` is false while the folds have not
    reached it. Problem where the organization has no such record."""
    candidates = log.read(EVENTS, partition, offset, 1) if 0 <= partition < PARTITIONS and offset <= _MAX_OFFSET else []
    if not candidates or candidates[0].offset != offset or candidates[0].organization != organization:
        raise Problem(
            HTTPStatus.NOT_FOUND,
            f"{organization!r} has no record at partition {partition}, offset {offset}: the answer to its "
            "request names its position",
        )
    log.follow()
    if fold_offset(log, partition) <= offset:
        return {"folded": False, "events": []}
    lines: list[dict[str, Any]] = []
    for record in records(log, ENTRIES, partition, seek_cause(log, ENTRIES, partition, offset)):
        if record.cause_offset > offset:
            break
        lines += map(decode, record.value.split(b"\n"))
    return {"folded": True, "events": [line for line in lines if line["outcome"] in OUTCOMES]}
