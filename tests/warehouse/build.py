"""Lines of the derived topics, as the folds write them, and a log that holds them."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ledger.log import Record
from ledger.log.sqlite import tables
from ledger.log.sqlite.log import FORMAT_VERSION, EmbeddedLog
from ledger.log.topics import DERIVED, ENTRIES, EVENTS, Topic
from warehouse.sink import Sink

OCTOBER, NOVEMBER = 1_790_900_000_000, 1_793_600_000_000


def line(offset: int, seq: int, partition: int = 3, ms: int = OCTOBER, **facts: Any) -> dict[str, Any]:
    position = {"partition": partition, "offset": offset, "seq": seq, "accepted_ms": ms, "organization": "acme"}
    return position | facts


def call(offset: int, index: int, partition: int = 3, ms: int = OCTOBER, **facts: Any) -> dict[str, Any]:
    """The line of a counted inference with two priced classes."""
    cost = dict.fromkeys(("list_cost", "contracted_cost", "effective_cost", "billed_cost"), "0.000000000005")
    lines = [{"class": name, "quantity": 5, "unit_price": "0.000000000001", **cost} for name in ("input", "output")]
    fields = {
        "event_index": index,
        "outcome": "counted",
        "kind": "inference",
        "source": "test",
        "id": f"{partition}-{offset}-{index}",
        "time_us": ms * 1000,
        "team": "search",
        "currency": "USD",
        "pricing": "priced",
        "lines": lines,
    }
    return line(offset, index + 1, partition, ms, **fields | facts)


def record(offset: int, calls: int, partition: int = 3, ms: int = OCTOBER, **facts: Any) -> bytes:
    """A record of ``tally.entries``: its calls, and what the intake received."""
    lines = [call(offset, index, partition, ms, **facts) for index in range(calls)]
    lines.append(line(offset, calls + 1, partition, ms, outcome="record", received=calls, refused=0, channel="test"))
    return text(lines)


def text(lines: Iterable[dict[str, Any]]) -> bytes:
    """The value of a derived record."""
    return b"\n".join(json.dumps(line).encode() for line in lines)


def run_of(offsets: Iterable[int], calls: int = 10, partition: int = 3, ms: int = OCTOBER) -> bytes:
    """The body of an insert."""
    return b"\n".join(record(offset, calls, partition, ms) for offset in offsets) + b"\n"


def derived_record(offset: int, cause: int, value: bytes, partition: int = 3, ms: int = OCTOBER) -> Record:
    headers = {"organization": "acme", "cause_partition": str(partition), "cause_offset": str(cause)}
    return Record(partition, offset, ms, "acme", headers, value)


def write(home: Path, records: Iterable[Record], topic: Topic = ENTRIES) -> None:
    """Append to a derived topic of the home's log, as the folds do; with entries, what caused them to
    ``tally.events``."""
    records = list(records)
    _append(home / "log" / "derived.db", DERIVED, topic, records)
    if topic is ENTRIES:
        causes = [record._replace(offset=int(record.headers["cause_offset"]), value=b"{}") for record in records]
        _append(home / "log" / "recorded.db", (EVENTS,), EVENTS, causes)


def log_of(home: Path, offsets: range, partition: int = 3, calls: int = 10) -> EmbeddedLog:
    """A home's log of which these offsets are derived, so many calls each."""
    write(home, (derived_record(offset, offset, record(offset, calls, partition), partition) for offset in offsets))
    return EmbeddedLog(home)


def drain(sink: Sink) -> None:
    """Store what there is."""
    while sink.step():
        pass


def _append(path: Path, topics: Iterable[Topic], topic: Topic, records: Iterable[Record]) -> None:
    connection = tables.open_file(path, writes=True)
    tables.create_tables(connection, topics)
    connection.execute(f"PRAGMA user_version = {FORMAT_VERSION}")
    connection.execute("BEGIN IMMEDIATE")
    for record in records:
        tables.insert_record(connection, topic, record)
    connection.execute("COMMIT")
    connection.close()
