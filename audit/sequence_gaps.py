"""Gaps: sequence numbers of a source that never arrived, by source and range.

The reader follows ``tally.events`` by itself, into a file of the home, since no fold reads sequence numbers. A gap
before the first number of a source, or after its last, cannot be known.
"""

import json
import sqlite3
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import msgspec

from ledger.home.files import create_private, database_errors
from ledger.home.layout import GAPS
from ledger.log import Log, Record, records
from ledger.log.topics import EVENTS

MAX_RANGES = 1_000
"""Ranges that are kept of one source, the latest; a source with more gaps does not number its events in order."""

MAX_BATCH_RECORDS = 1_000
"""Records of a transaction."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS positions (partition INTEGER PRIMARY KEY, offset INTEGER NOT NULL, digest TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS sources (
    organization TEXT, source TEXT, first INTEGER NOT NULL, last INTEGER NOT NULL, ranges TEXT NOT NULL,
    missing REAL NOT NULL, PRIMARY KEY (organization, source)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS missing ON sources (missing) WHERE missing > 0;
"""

Range = tuple[int, int]


class SourceSequence(NamedTuple):
    """The numbers of one source: the least and the greatest that arrived, and the missing ranges between."""

    first: int
    last: int
    missing_ranges: tuple[Range, ...] = ()

    @property
    def missing_count(self) -> int:
        return sum(last - first + 1 for first, last in self.missing_ranges)


class Gap(NamedTuple):
    organization: str
    source: str
    sequence: SourceSequence


class _Line(msgspec.Struct, gc=False):
    source: str = ""
    sequence: int | None = None


_decode = msgspec.json.Decoder(_Line).decode


def add_numbers(sequence: SourceSequence | None, numbers: Iterable[int]) -> SourceSequence | None:
    """Add numbers that arrived, in any order and as often as they come (pure)."""
    for number in numbers:
        if sequence is None:
            sequence = SourceSequence(number, number)
        elif number > sequence.last:
            gap_after = ((sequence.last + 1, number - 1),) if number > sequence.last + 1 else ()
            sequence = sequence._replace(
                last=number, missing_ranges=(*sequence.missing_ranges, *gap_after)[-MAX_RANGES:]
            )
        elif number < sequence.first:
            gap_before = ((number + 1, sequence.first - 1),) if number < sequence.first - 1 else ()
            sequence = sequence._replace(
                first=number, missing_ranges=(*gap_before, *sequence.missing_ranges)[-MAX_RANGES:]
            )
        else:
            sequence = sequence._replace(missing_ranges=_remove_number(sequence.missing_ranges, number))
    return sequence


def follow(log: Log, home: Path, *, check: bool = True) -> None:
    """Read the new records of the log. First forget the numbers of another log, or of this log before it was cut.

    ``check`` looks for that, and reads a record of every partition; a caller that follows on need not repeat it.
    """
    create_private(_database_path(home))
    with (
        database_errors(home, GAPS),
        closing(sqlite3.connect(_database_path(home), isolation_level=None, timeout=30)) as db,
    ):
        db.execute("PRAGMA journal_mode=WAL")
        db.executescript(_SCHEMA)
        if check and not _is_same_log(log, db):
            with db:
                db.executescript("DELETE FROM positions; DELETE FROM sources")
        next_offsets = dict(db.execute("SELECT partition, offset + 1 FROM positions").fetchall())
        for partition, end in enumerate(log.ends(EVENTS)):
            batch: list[Record] = []
            for record in records(log, EVENTS, partition, next_offsets.get(partition, 0), end):
                batch.append(record)
                if len(batch) == MAX_BATCH_RECORDS:
                    _store_batch(db, batch)
                    batch = []
            _store_batch(db, batch)


def list_gaps(home: Path, limit: int = 100) -> list[Gap] | None:
    """List the sources with gaps, the greatest first; None where the log was never followed."""
    if not _database_path(home).exists():
        return None
    with _reading(home) as db:
        rows = db.execute(
            "SELECT organization, source, first, last, ranges FROM sources WHERE missing > 0 "
            "ORDER BY missing DESC, organization, source LIMIT ?", (limit,),
        ).fetchall()  # fmt: skip
    return [
        Gap(organization, source, _parse_sequence(first, last, ranges))
        for organization, source, first, last, ranges in rows
    ]


def count_missing(home: Path) -> int | None:
    """Count the missing numbers of all sources; None where the log was never followed."""
    if not _database_path(home).exists():
        return None
    with _reading(home) as db:
        ((total,),) = db.execute("SELECT coalesce(sum(missing), 0) FROM sources WHERE missing > 0").fetchall()
    return int(total)


def _remove_number(ranges: tuple[Range, ...], number: int) -> tuple[Range, ...]:
    """Remove a number from the missing ranges."""
    index = bisect_right(ranges, (number, 1 << 63)) - 1
    if index < 0 or ranges[index][1] < number:
        return ranges  # a repeat
    first, last = ranges[index]
    remainder = [(start, end) for start, end in ((first, number - 1), (number + 1, last)) if start <= end]
    return (*ranges[:index], *remainder, *ranges[index + 1 :])[-MAX_RANGES:]


def _is_same_log(log: Log, db: sqlite3.Connection) -> bool:
    """Tell if the log still holds the last record that was read of each partition."""
    for partition, offset, digest in db.execute("SELECT partition, offset, digest FROM positions").fetchall():
        log_records = log.read(EVENTS, partition, offset, max_bytes=1) if offset < log.end(EVENTS, partition) else []
        if not log_records or log_records[0].digest() != digest:
            return False
    return True


def _store_batch(db: sqlite3.Connection, batch: list[Record]) -> None:
    """Store the numbers of one partition's records, and their position, in one transaction."""
    if not batch:
        return
    numbers: dict[tuple[str, str], list[int]] = {}
    for record in batch:
        for line in record.value.split(b"\n"):
            try:
                event = _decode(line)
            except msgspec.DecodeError:
                continue  # a line that is no event has no number
            if event.sequence is not None:
                numbers.setdefault((record.organization, event.source), []).append(event.sequence)
    last_record = batch[-1]
    db.execute("BEGIN IMMEDIATE")
    with db:
        for source_key, source_numbers in numbers.items():
            row = db.execute(
                "SELECT first, last, ranges FROM sources WHERE organization = ? AND source = ?", source_key
            ).fetchone()
            sequence = add_numbers(_parse_sequence(*row) if row else None, source_numbers)
            assert sequence is not None
            db.execute(
                "INSERT OR REPLACE INTO sources VALUES (?, ?, ?, ?, ?, ?)",
                (
                    *source_key,
                    sequence.first,
                    sequence.last,
                    json.dumps(sequence.missing_ranges),
                    sequence.missing_count,
                ),
            )
        db.execute(
            "INSERT OR REPLACE INTO positions VALUES (?, ?, ?)",
            (last_record.partition, last_record.offset, last_record.digest()),
        )


def _parse_sequence(first: int, last: int, ranges: str) -> SourceSequence:
    return SourceSequence(first, last, tuple((start, end) for start, end in json.loads(ranges)))


@contextmanager
def _reading(home: Path) -> Iterator[sqlite3.Connection]:
    """Open the file without changing it. Its path may hold any character, so it is quoted in SQLite's URI."""
    address = f"file:{quote(str(_database_path(home)))}?mode=ro"
    with database_errors(home, GAPS), closing(sqlite3.connect(address, uri=True, timeout=30)) as db:
        yield db


def _database_path(home: Path) -> Path:
    return GAPS.path(home).absolute()
