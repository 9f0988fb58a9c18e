"""Shared by the runtimes of the folds: documents and lines that the log holds, ticks, and rarer garbage collection."""

import gc
import json
from datetime import timedelta
from functools import lru_cache

from ledger import envelope
from ledger.errors import LogDamaged, TallyError
from ledger.log import Draft, Log, Record, records
from ledger.log.documents import load_document
from ledger.log.topics import EVENTS
from ledger.organizations import PLATFORM
from streams.folds.documents import Document, open_document
from streams.folds.entry import Documents, Originals
from streams.folds.event import EPOCH
from streams.partition_state import ReadRecords
from tallystick import TickEvent

MAX_CACHED_RECORDS = 8
"""Records of a partition, at most a megabyte each, that are kept where corrections refer to them in a row."""
_HEADERS = {
    envelope.ORGANIZATION: PLATFORM, envelope.CHANNEL: "streams", envelope.PRINCIPAL: "streams", envelope.SCHEMA: "1",
    envelope.REFUSED: "0",
}  # fmt: skip


def reduce_garbage_collection() -> None:
    """Look for cycles of references seldom: the folds make none, and the search takes a fifth of their time."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def read_catalogues(log: Log) -> Documents:
    """Return a lookup of the documents that the log holds, by hash."""

    @lru_cache(maxsize=8)
    def catalogue(digest: str) -> Document:
        packed = load_document(log, digest)
        if packed is None:
            raise TallyError(
                f"the log names the document {digest} and does not hold it: restore tally.documents from a copy"
            )
        return open_document(digest, packed)

    return catalogue


def read_originals(log: Log, partition: int) -> Originals:
    """Return a reader of the lines of a partition's events, which keeps the records that it read last. LogDamaged where
    the log does not hold one."""

    @lru_cache(maxsize=MAX_CACHED_RECORDS)
    def read_lines(offset: int) -> list[bytes]:
        records = log.read(EVENTS, partition, offset, max_bytes=1)
        return records[0].value.split(b"\n") if records and records[0].offset == offset else []

    def read(offset: int, event_index: int) -> bytes:
        lines = read_lines(offset)
        if event_index >= len(lines):
            raise LogDamaged(
                f"partition {partition} of tally.events does not hold the event at offset {offset}, index "
                f"{event_index}, which a later one corrects: restore the log from a copy"
            )
        return lines[event_index]

    return read


def read_history(log: Log, partition: int) -> ReadRecords:
    """Return a reader of ranges of a partition's records. LogDamaged where the log does not hold one of a range."""

    def read(first_offset: int, end_offset: int) -> list[Record]:
        past = list(records(log, EVENTS, partition, first_offset, end_offset))
        if [record.offset for record in past] != list(range(first_offset, end_offset)):
            raise LogDamaged(
                f"partition {partition} of tally.events does not hold all records from offset {first_offset} to "
                f"{end_offset - 1}, which a later one restates: restore the log from a copy"
            )
        return past

    return read


def build_tick(partition: int, offset: int, due_us: int) -> Draft:
    """Build a tick for a partition in which something fell due and nothing arrives.

    ``offset`` is its expected place: two workers that tick at once write the same event, and one too many changes
    nothing.
    """
    due = (EPOCH + timedelta(microseconds=due_us)).isoformat()
    fields = {"source": "tally-streams", "id": f"{partition}-{offset}", "time": due}
    event = TickEvent.model_validate_json(json.dumps(fields))
    return Draft(partition, PLATFORM, _HEADERS, event.canonical())
