"""The sink: the derived topics, as they stand, into ClickHouse.

An insert holds a contiguous run of one log partition, within one month of acceptance, as the tables are
partitioned by it: ClickHouse stores such an insert whole or not at all. Each table admits only what lies above its
own greatest position, so the sink may send again whatever it is unsure of, and resumes from the least of them.
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
from ledger.log.generation import Watch
from ledger.log.topics import ALERTS, DECISIONS, ENTRIES, Topic
from ledger.settings import Settings
from warehouse.client import WarehouseAway, connect, database
from warehouse.generations import claim
from warehouse.migrate import migrate

PART = "sink"
BATCH_BYTES, BATCH_LINES = 16 << 20, 50_000
"""ClickHouse makes one part of an insert up to at least twice as many lines; it would make two of six times as many."""

IDLE_S = 0.1
PATIENCE_S = (0.2, 0.5, 0.5, 0.5, 0.5, 0.5, 1, 2, 5)
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
        return int(self.records[-1].headers["cause_offset"])

    def body(self) -> Iterator[bytes]:
        for record in self.records:
            yield record.value
            yield b"\n"


def batches(records: Iterable[Record], size: int = BATCH_BYTES, lines: int = BATCH_LINES) -> Iterator[Batch]:
    """Cut a partition's records, in order, into what one insert may hold (pure)."""
    some: list[Record] = []
    bytes_held = lines_held = 0
    for record in records:
        if some and (bytes_held >= size or lines_held >= lines or _month(record) != _month(some[0])):
            yield Batch(some, full=True)
            some, bytes_held, lines_held = [], 0, 0
        some.append(record)
        bytes_held += len(record.value)
        lines_held += record.value.count(b"\n") + 1
    if some:
        yield Batch(some, full=False)


def _month(record: Record) -> tuple[int, int]:
    accepted = datetime.fromtimestamp(record.time_ms / 1000, UTC)
    return accepted.year, accepted.month


def run(settings: Settings, log: Log) -> None:
    """Fill the warehouse until SIGTERM or SIGINT. While it cannot be reached, wait and try again. TallyError where
    something else filled it, GenerationSuperseded where the log's generation is no longer the current one."""
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    watch = Watch(log)
    failures = 0
    while not stopping.is_set():
        try:
            client = connect(settings)
            migrate(client)
            claim(settings, log, client)
            sink = Sink(client, log, settings)
            announce(settings.home, PART)
            while not stopping.is_set():
                if not sink.step():
                    stopping.wait(IDLE_S)
                watch.check()
                failures = 0
            sink.settle()
        except (ClickHouseError, WarehouseAway, LogUnavailable, OSError) as error:
            wait = PATIENCE_S[min(failures, len(PATIENCE_S) - 1)]
            print(f"entries do not get into the warehouse, trying again in {wait} s: {error}", flush=True)
            failures += 1
            stopping.wait(wait)


class Sink:
    """What is stored is asked once, at the start and after any error; in between it is remembered."""

    def __init__(self, client: Client, log: Log, settings: Settings) -> None:
        self._client = client
        self._log = log
        self._path = settings.home / "consumers" / "sink.json"
        self._reached = {topic: stored(client, topic) for topic in TABLES}
        self._next = {
            (topic, partition): seek_cause(log, topic, partition, self._reached[topic].get(partition, -1) + 1)
            for topic in TABLES
            for partition in range(PARTITIONS)
        }
        self._drained: dict[tuple[Topic, int], int] = {}  # the end at which nothing was left
        self._pool = ThreadPoolExecutor(1, "insert")
        self._pending: Future[None] | None = None
        self._say()

    def step(self) -> bool:
        """Store what is new on every topic and partition, a batch of each; False where that was all.

        While one batch is inserted, the next is read.
        """
        more = False
        ends = {topic: self._log.ends(topic) for topic in TABLES}
        for (topic, partition), offset in self._next.items():
            end = ends[topic][partition]
            if end == self._drained.get((topic, partition)):
                continue
            batch = next(batches(records(self._log, topic, partition, offset, end)), None)
            if batch is None:
                self._drained[topic, partition] = end
            else:
                self.settle()
                self._next[topic, partition] = batch.records[-1].offset + 1
                self._pending = self._pool.submit(self._store, topic, batch)
                more = more or batch.full
        if not more:
            self.settle()
        return more

    def settle(self) -> None:
        """Wait until what was sent is stored. Raises what kept it from being stored."""
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
        self._reached[topic][batch.records[0].partition] = batch.cause
        self._say()

    def _say(self) -> None:
        """Where the sink stands, for who compares or shows it. It never resumes from this."""
        said = {topic.name: reached for topic, reached in self._reached.items()} | {"at": time.time()}
        write_atomically(self._path, json.dumps(said))


def sink_offsets(content: Any) -> dict[str, dict[int, int]]:
    """What the sink said of each topic: the last offset that it stored of each partition. Raises where it is not that
    what stands there."""
    return {
        topic.name: {int(partition): int(offset) for partition, offset in content[topic.name].items()}
        for topic in TABLES
        if topic.name in content or topic is ENTRIES
    }


def inbox(client: Client, topic: Topic) -> str:
    """Where the lines of a topic are inserted."""
    return f"{database(client)}.{_INBOX[topic]}"


def stored(client: Client, topic: Topic) -> dict[int, int]:
    """For each log partition, the cause offset up to which every table of the topic is filled.

    An insert fills its tables one after the other, so a kill may leave them apart. A table may also end earlier
    because the last records had nothing for it: so each is held against what the table before it says it needs.
    """
    if topic is not ENTRIES:
        (table,) = TABLES[topic]
        return _greatest(client, table)
    reached = _greatest(client, "records")
    events, entries = _greatest(client, "events"), _greatest(client, "entries")
    with_events = _greatest(client, "records", "WHERE seq > 1")
    with_entries = _greatest(client, "events", "WHERE pricing IN ('priced', 'partially_priced', 'unpriced')")
    for has, needs in ((events, with_events), (entries, with_entries)):
        for partition, offset in needs.items():
            if has.get(partition, -1) < offset:
                reached[partition] = min(reached.get(partition, -1), has.get(partition, -1))
    return reached


def _greatest(client: Client, table: str, where: str = "") -> dict[int, int]:
    found = client.query(f"SELECT partition, max(offset) FROM {database(client)}.{table} {where} GROUP BY partition")
    return {row[0]: row[1] for row in found.result_rows}
