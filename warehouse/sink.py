"""The sink: insert the derived topics into ClickHouse, unchanged.

An insert holds a contiguous run of one log partition, within one month of acceptance, as the tables are
partitioned by it: ClickHouse stores such an insert whole or not at all. Each table admits only rows above its own
greatest position, so the sink may send a batch again, and resumes from the least position of the tables.
"""

import json
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, NamedTuple

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from ledger.errors import LogUnavailable
from ledger.fault_points import point
from ledger.home.files import write_atomically
from ledger.home.presence import announce
from ledger.log import PARTITIONS, Log, Record, records, seek_cause
from ledger.log.generation import GenerationWatch
from ledger.log.topics import ALERTS, DECISIONS, ENTRIES, Topic
from ledger.settings import Settings
from warehouse.client import WarehouseAway, connect, get_database
from warehouse.generations import claim_database
from warehouse.migrate import migrate
from warehouse.rollups import building

SERVICE = "sink"
MAX_BATCH_BYTES, MAX_BATCH_LINES = 16 << 20, 50_000
"""ClickHouse makes one part of an insert up to at least twice as many lines; it would make two of six times as many."""

POLL_INTERVAL_S = 0.1
RETRY_DELAYS_S = (0.2, 0.5, 0.5, 0.5, 0.5, 0.5, 1, 2, 5)
"""The pauses between attempts to reach the warehouse: short for as long as it takes to start again."""

TABLES = {ENTRIES: ("events", "entries", "records"), DECISIONS: ("decisions",), ALERTS: ("alerts",)}
_INBOX = {ENTRIES: "entries_in", DECISIONS: "decisions_in", ALERTS: "alerts_in"}


class Batch(NamedTuple):
    """One insert: records of one topic, one log partition and one month. ``full``: more may be waiting."""

    records: list[Record]
    full: bool

    @property
    def cause(self) -> int:
        """The offset of ``tally.events`` that is stored once this is."""
        return self.records[-1].cause_offset

    def body(self) -> Iterator[bytes]:
        for record in self.records:
            yield record.value
            yield b"\n"


def cut_batches(
    records: Iterable[Record], max_bytes: int = MAX_BATCH_BYTES, max_lines: int = MAX_BATCH_LINES
) -> Iterator[Batch]:
    """Cut a partition's records, in order, into what one insert may hold (pure)."""
    batch: list[Record] = []
    byte_count = line_count = 0
    for record in records:
        if batch and (
            byte_count >= max_bytes
            or line_count >= max_lines
            or _acceptance_month(record) != _acceptance_month(batch[0])
        ):
            yield Batch(batch, full=True)
            batch, byte_count, line_count = [], 0, 0
        batch.append(record)
        byte_count += len(record.value)
        line_count += record.value.count(b"\n") + 1
    if batch:
        yield Batch(batch, full=False)


def _acceptance_month(record: Record) -> tuple[int, int]:
    accepted = datetime.fromtimestamp(record.time_ms / 1000, UTC)
    return accepted.year, accepted.month


def run(settings: Settings, log: Log) -> None:
    """Fill the warehouse, and build its rollups, until SIGTERM or SIGINT. While it cannot be reached, wait and retry.

    TallyError where another log or generation filled it, GenerationSuperseded where the log's generation is no longer
    the current one.
    """
    stopping = threading.Event()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signal_number, lambda *_: stopping.set())
    watch = GenerationWatch(log)
    failures = 0
    while not stopping.is_set():
        try:
            client = connect(settings)
            migrate(client)
            claim_database(settings, log, client)
            sink = Sink(client, log, settings)
            announce(settings.home, SERVICE)
            with building(settings):
                while not stopping.is_set():
                    if not sink.step():
                        stopping.wait(POLL_INTERVAL_S)
                    watch.check()
                    failures = 0
                sink.settle()
        except (ClickHouseError, WarehouseAway, LogUnavailable, OSError) as error:
            delay_s = RETRY_DELAYS_S[min(failures, len(RETRY_DELAYS_S) - 1)]
            print(f"The sink cannot fill the warehouse; retrying in {delay_s} s: {error}", flush=True)
            failures += 1
            stopping.wait(delay_s)


class Sink:
    """Insert derived records. The stored offsets are read from the tables once, and then kept in memory."""

    def __init__(self, client: Client, log: Log, settings: Settings) -> None:
        self._client = client
        self._log = log
        self._path = settings.home / "consumers" / "sink.json"
        self._stored_offsets = {topic: read_stored_offsets(client, topic) for topic in TABLES}
        self._next = {
            (topic, partition): seek_cause(log, topic, partition, self._stored_offsets[topic].get(partition, -1) + 1)
            for topic in TABLES
            for partition in range(PARTITIONS)
        }
        self._drained_ends: dict[tuple[Topic, int], int] = {}  # the topic's end when every record was sent
        self._pool = ThreadPoolExecutor(1, "insert")
        self._pending: Future[None] | None = None
        self._write_positions()

    def step(self) -> bool:
        """Store the next batch of every topic and partition. Return False where no more records wait.

        While one batch is inserted, the next is read.
        """
        has_more = False
        ends = {topic: self._log.ends(topic) for topic in TABLES}
        for (topic, partition), offset in self._next.items():
            end = ends[topic][partition]
            if end == self._drained_ends.get((topic, partition)):
                continue
            batch = next(cut_batches(records(self._log, topic, partition, offset, end)), None)
            if batch is None:
                self._drained_ends[topic, partition] = end
            else:
                self.settle()
                self._next[topic, partition] = batch.records[-1].offset + 1
                self._pending = self._pool.submit(self._store, topic, batch)
                has_more = has_more or batch.full
        if not has_more:
            self.settle()
        return has_more

    def settle(self) -> None:
        """Wait until the last batch is stored. Raise the error of its insert, if any."""
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()

    def _store(self, topic: Topic, batch: Batch) -> None:
        point("sink.before_insert")
        self._client.raw_insert(
            inbox(self._client, topic), insert_block=b"".join(batch.body()), fmt="JSONEachRow",
            settings={"async_insert": 0},
        )  # fmt: skip
        point("sink.after_insert")
        self._stored_offsets[topic][batch.records[0].partition] = batch.cause
        self._write_positions()

    def _write_positions(self) -> None:
        """Write the stored offsets to a file, for status and audit. The sink itself never resumes from this file."""
        positions = {topic.name: offsets for topic, offsets in self._stored_offsets.items()} | {"at": time.time()}
        write_atomically(self._path, json.dumps(positions))


def parse_sink_offsets(content: Any) -> dict[str, dict[int, int]]:
    """Read the sink's file: for each topic, the last stored offset of each partition.

    KeyError, TypeError, ValueError or AttributeError where the content has another shape.
    """
    return {
        topic.name: {int(partition): int(offset) for partition, offset in content[topic.name].items()}
        for topic in TABLES
        if topic.name in content or topic is ENTRIES
    }


def inbox(client: Client, topic: Topic) -> str:
    """Return the table that takes the lines of a topic."""
    return f"{get_database(client)}.{_INBOX[topic]}"


def read_stored_offsets(client: Client, topic: Topic) -> dict[int, int]:
    """Return, for each log partition, the cause offset up to which every table of the topic is filled.

    An insert fills its tables one after the other, so after a kill one table may hold less than another. A table may
    also end earlier because the last records had no row for it: so each table is compared with the offset that the
    table before it requires.
    """
    if topic is not ENTRIES:
        (table,) = TABLES[topic]
        return _read_max_offsets(client, table)
    offsets = _read_max_offsets(client, "records")
    events, entries = _read_max_offsets(client, "events"), _read_max_offsets(client, "entries")
    with_events = _read_max_offsets(client, "records", "WHERE seq > 1")
    with_entries = _read_max_offsets(client, "events", "WHERE pricing IN ('priced', 'partially_priced', 'unpriced')")
    for table_offsets, required_offsets in ((events, with_events), (entries, with_entries)):
        for partition, offset in required_offsets.items():
            if table_offsets.get(partition, -1) < offset:
                offsets[partition] = min(offsets.get(partition, -1), table_offsets.get(partition, -1))
    return offsets


def _read_max_offsets(client: Client, table: str, condition: str = "") -> dict[int, int]:
    result = client.query(
        f"SELECT partition, max(offset) FROM {get_database(client)}.{table} {condition} GROUP BY partition"
    )
    return {row[0]: row[1] for row in result.result_rows}
