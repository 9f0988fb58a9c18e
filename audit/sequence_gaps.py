"""Gaps: what a source numbered (``sequence``) and never arrived, by source and range.

It follows ``tally.events`` by itself, into a file of the home, since numbers decide nothing: no fold reads them. What
lies before the first number that was seen, or after the last, cannot be known.
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
"""Ranges of one source that are kept, the latest; a source that leaves out more has lost count of itself."""

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
    """The numbers of one source: the least and the greatest that arrived, and what lacks between, ends included."""

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
    """What is known after these came, in whatever order and how often. Pure."""
    for number in numbers:
        if sequence is None:
            sequence = SourceSequence(number, number)
        elif number > sequence.last:
            gap_after = ((sequence.last + 1, number - 1),) if number > sequence.last + 1 else ()
            sequence = sequence._replace(last=number, missing_ranges=(*sequence.missing_ranges, *gap_after)[-MAX_RANGES:])
        elif number < sequence.first:
            gap_before = ((number + 1, sequence.first - 1),) if number < sequence.first - 1 else ()
            sequence = sequence._replace(first=number, missing_ranges=(*gap_before, *sequence.missing_ranges)[-MAX_RANGES:])
        else:
            sequence = sequence._replace(missing_ranges=_remove_number(sequence.missing_ranges, number))
    return sequence


def follow(log: Log, home: Path, *, check: bool = True) -> None:
    """Take in what is new on the log. What was followed of another log, or of one that was cut, is forgotten first:
    who follows on need not ``check`` that again, which reads a record of every partition."""
    create_private(_database_path(home))
    with database_errors(home, GAPS), closing(sqlite3.connect(_database_path(home), isolation_level=None, timeout=30)) as db:
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
                if len(batch) == MAX_RANGES:
                    _store_batch(db, batch)
                    batch = []
            _store_batch(db, batch)


def list_gaps(home: Path, limit: int = 100) -> list[Gap] | None:
    """The sources that lack something, those that lack most first; None where nobody ever followed the log."""
    if not _database_path(home).exists():
        return None
    with _reading(home) as db:
        rows = db.execute(
            "SELECT organization, source, first, last, ranges FROM sources WHERE missing > 0 "
            "ORDER BY missing DESC, organization, source LIMIT ?", (limit,),
        ).fetchall()  # fmt: skip
    return [Gap(organization, source, _parse_sequence(first, last, ranges)) for organization, source, first, last, ranges in rows]


def count_missing(home: Path) -> int | None:
    """How many numbers lack in all."""
    if not _database_path(home).exists():
        return None
    with _reading(home) as db:
        ((total,),) = db.execute("SELECT coalesce(sum(missing), 0) FROM sources WHERE missing > 0").fetchall()
    return int(total)


def _remove_number(ranges: tuple[Range, ...], number: int) -> tuple[Range, ...]:
    """The ranges without a number."""
    index = bisect_right(ranges, (number, 1 << 63)) - 1
    if index < 0 or ranges[index][1] < number:
        return ranges  # a repeat
    first, last = ranges[index]
    remainder = [(start, end) for start, end in ((first, number - 1), (number + 1, last)) if start <= end]
    return (*ranges[:index], *remainder, *ranges[index + 1 :])[-MAX_RANGES:]


def _is_same_log(log: Log, db: sqlite3.Connection) -> bool:
    """Whether the last records that were taken in are still where they stood."""
    for partition, offset, digest in db.execute("SELECT partition, offset, digest FROM positions").fetchall():
        log_records = log.read(EVENTS, partition, offset, max_bytes=1) if offset < log.end(EVENTS, partition) else []
        if not log_records or log_records[0].digest() != digest:
            return False
    return True


def _store_batch(db: sqlite3.Connection, batch: list[Record]) -> None:
    """Records of one partition, and where they end, in one transaction."""
    if not batch:
        return
    numbers: dict[tuple[str, str], list[int]] = {}
    for record in batch:
        for line in record.value.split(b"\n"):
            try:
                event = _decode(line)
            except msgspec.DecodeError:
                continue  # no event: it has no number either
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
                (*source_key, sequence.first, sequence.last, json.dumps(sequence.missing_ranges), sequence.missing_count),
            )
        db.execute(
            "INSERT OR REPLACE INTO positions VALUES (?, ?, ?)", (last_record.partition, last_record.offset, last_record.digest())
        )


def _parse_sequence(first: int, last: int, ranges: str) -> SourceSequence:
    return SourceSequence(first, last, tuple((start, end) for start, end in json.loads(ranges)))


@contextmanager
def _reading(home: Path) -> Iterator[sqlite3.Connection]:
    """The file, which is not changed. A name in it may be any: so it is quoted in the address that SQLite reads."""
    address = f"file:{quote(str(_database_path(home)))}?mode=ro"
    with database_errors(home, GAPS), closing(sqlite3.connect(address, uri=True, timeout=30)) as db:
        yield db


def _database_path(home: Path) -> Path:
    return GAPS.path(home).absolute()
