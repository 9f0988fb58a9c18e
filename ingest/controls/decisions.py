"""Find decisions of an organization on the log, in their order."""

from collections.abc import Collection, Iterator
from typing import Any

from ingest.intake.intake import decode
from ledger.log import Log, Position, partition_of, records
from ledger.log.topics import EVENTS


def find_decisions(log: Log, organization: str, types: Collection[str]) -> Iterator[tuple[Position, dict[str, Any]]]:
    """Yield the position and the body of each decision of some types."""
    partition = partition_of(organization)
    marks = [f'"{control}"'.encode() for control in types]
    for record in records(log, EVENTS, partition):
        if record.organization != organization or not any(mark in record.value for mark in marks):
            continue
        for event_index, line in enumerate(record.value.split(b"\n")):
            if not any(mark in line for mark in marks):
                continue
            data = decode(line).get("data", {})
            if isinstance(data, dict) and data.get("control") in types:
                yield Position(partition, record.offset, event_index), data["body"]
