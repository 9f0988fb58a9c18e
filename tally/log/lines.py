"""Read lines of the log as they stand, each with its position."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass

from ledger.log import Log, newest_first
from ledger.log.record import Position, Record
from ledger.log.topics import DOCUMENTS, Topic


@dataclass(frozen=True)
class Line:
    """One line of a record: an event, or a derived line."""

    topic: Topic
    record: Record
    index: int
    line: bytes

    def text(self) -> str:
        """Render position, time of the log, key, and the line itself."""
        record = self.record
        timestamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.time_ms // 1000))
        position = Position(record.partition, record.offset, self.index)
        return f"{position} {timestamp}.{record.time_ms % 1000:03}Z {record.key} {self.line.decode(errors='replace')}"

    def json(self) -> str:
        """Render the same and the headers as JSON. A line of JSON is kept byte for byte, any other is a string."""
        record = self.record
        envelope = {
            "topic": self.topic.name,
            "partition": record.partition,
            "offset": record.offset,
            "event_index": self.index,
            "time_ms": record.time_ms,
            "key": record.key,
            "headers": dict(record.headers),
        }
        line = self.line.decode(errors="replace")
        try:
            json.loads(self.line)
        except ValueError:
            line = json.dumps(line)
        return f'{json.dumps(envelope, ensure_ascii=False)[:-1]}, "line": {line}}}'


def read_onward(log: Log, topic: Topic, partition: int, offset: int, index: int | None) -> Iterator[Line]:
    """Yield the lines from an offset to the present end of a partition: all, or those with ``index`` in a record."""
    while records := log.read(topic, partition, offset):
        for record in records:
            offset = record.offset + 1
            yield from _split_record(topic, record, index)


def read_newest(log: Log, topic: Topic, partitions: dict[int, int], index: int | None, limit: int) -> list[Line]:
    """Read the last lines of partitions, given with their ends, in the order of the log's time."""
    lines: list[Line] = []
    for partition, end in partitions.items():
        lines += _read_last(log, topic, partition, end, index, limit)
    lines.sort(key=lambda line: (line.record.time_ms, line.record.partition, line.record.offset, line.index))
    return lines[-limit:]


def _read_last(log: Log, topic: Topic, partition: int, end: int, index: int | None, limit: int) -> list[Line]:
    lines: list[Line] = []
    for record in newest_first(log, topic, partition, end):
        if len(lines) >= limit:
            break
        lines = [*_split_record(topic, record, index), *lines]
    return lines[-limit:]


def _split_record(topic: Topic, record: Record, index: int | None) -> Iterator[Line]:
    if topic is DOCUMENTS:
        yield Line(topic, record, 0, f"({len(record.value)} bytes, compressed)".encode())
        return
    for number, line in enumerate(record.value.split(b"\n")):
        if index in (None, number):
            yield Line(topic, record, number, line)
