"""Outcomes of the events of one record, for the sender that appended it."""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from ingest.api.problem import Problem
from ingest.intake.intake import decode
from ledger.log import PARTITIONS, Log, fold_offset, records, seek_cause
from ledger.log.topics import DECISIONS, ENTRIES, EVENTS, Topic
from ledger.outcomes import OUTCOMES

CONTROL_DECISIONS = ("control.applied", "control.ineffective")
CONTROL_FIELDS = ("event_index", "event_source", "event_id", "control_type", "decision", "reason")
_MAX_OFFSET = 2**63 - 1
"""The greatest offset that a log can have; SQLite and Kafka read no greater one."""


def read_outcomes(log: Log, organization: str, partition: int, offset: int) -> dict[str, Any]:
    """Return the outcome of each event of a record of the organization, and of each control record whether it applies;
    ``folded`` is false while the folds have not reached it. Problem where the organization has no such record."""
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
    lines = _read_lines(log, ENTRIES, partition, offset)
    decisions = (
        line for line in _read_lines(log, DECISIONS, partition, offset) if line["decision"] in CONTROL_DECISIONS
    )
    return {
        "folded": True,
        "events": [line for line in lines if line["outcome"] in OUTCOMES],
        "controls": [{field: line[field] for field in CONTROL_FIELDS if field in line} for line in decisions],
    }


def _read_lines(log: Log, topic: Topic, partition: int, offset: int) -> Iterator[dict[str, Any]]:
    """Yield the lines of a derived topic that a record caused."""
    for record in records(log, topic, partition, seek_cause(log, topic, partition, offset)):
        if record.cause_offset > offset:
            return
        yield from map(decode, record.value.split(b"\n"))
