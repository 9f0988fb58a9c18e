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

from ledger.home.files import create_private, database
from ledger.home.layout import GAPS
from ledger.log import Log, Record, records
from ledger.log.topics import EVENTS

MOST = 1_000
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


class Numbered(NamedTuple):
    """The numbers of one source: the least and the greatest that arrived, and what lacks between, ends included."""

    first: int
    last: int
    lacking: tuple[Range, ...] = ()

    @property
    def missing(self) -> int:
        return sum(last - first + 1 for first, last in self.lacking)


class Gap(NamedTuple):
    organization: str
    source: str
    numbers: Numbered


class _Line(msgspec.Struct, gc=False):
    source: str = ""
    sequence: int | None = None


_decode = msgspec.json.Decoder(_Line).decode


def arrived(known: Numbered | None, numbers: Iterable[int]) -> Numbered | None:
    """What is known after these came, in whatever order and how often. Pure."""
    for number in numbers:
        if known is None:
            known = Numbered(number, number)
        elif number > known.last:
            more = ((known.last + 1, number - 1),) if number > known.last + 1 else ()
            known = known._replace(last=number, lacking=(*known.lacking, *more)[-MOST:])
        elif number < known.first:
            before = ((number + 1, known.first - 1),) if number < known.first - 1 else ()
            known = known._replace(first=number, lacking=(*before, *known.lacking)[-MOST:])
        else:
            known = known._replace(lacking=_filled(known.lacking, number))
    return known


def follow(log: Log, home: Path, *, check: bool = True) -> None:
    """Take in what is new on the log. What was followed of another log, or of one that was cut, is forgotten first:
    who follows on need not ``check`` that again, which reads a record of every partition."""
    create_private(_path(home))
    with database(home, GAPS), closing(sqlite3.connect(_path(home), isolation_level=None, timeout=30)) as db:
        db.execute("PRAGMA journal_mode=WAL")
        db.executescript(_SCHEMA)
        if check and not _continues(log, db):
            with db:
                db.executescript("DELETE FROM positions; DELETE FROM sources")
        at = dict(db.execute("SELECT partition, offset + 1 FROM positions").fetchall())
        for partition, end in enumerate(log.ends(EVENTS)):
            some: list[Record] = []
            for record in records(log, EVENTS, partition, at.get(partition, 0), end):
                some.append(record)
                if len(some) == MOST:
                    _take(db, some)
                    some = []
            _take(db, some)


def listed(home: Path, limit: int = 100) -> list[Gap] | None:
    """The sources that lack something, those that lack most first; None where nobody ever followed the log."""
    if not _path(home).exists():
        return None
    with _reading(home) as db:
        found = db.execute(
            "SELECT organization, source, first, last, ranges FROM sources WHERE missing > 0 "
            "ORDER BY missing DESC, organization, source LIMIT ?", (limit,),
        ).fetchall()  # fmt: skip
    return [Gap(whose, source, _numbered(first, last, ranges)) for whose, source, first, last, ranges in found]


def missing(home: Path) -> int | None:
    """How many numbers lack in all."""
    if not _path(home).exists():
        return None
    with _reading(home) as db:
        ((total,),) = db.execute("SELECT coalesce(sum(missing), 0) FROM sources WHERE missing > 0").fetchall()
    return int(total)


def _filled(lacking: tuple[Range, ...], number: int) -> tuple[Range, ...]:
    """The ranges without a number."""
    at = bisect_right(lacking, (number, 1 << 63)) - 1
    if at < 0 or lacking[at][1] < number:
        return lacking  # a repeat
    first, last = lacking[at]
    left = [(one, other) for one, other in ((first, number - 1), (number + 1, last)) if one <= other]
    return (*lacking[:at], *left, *lacking[at + 1 :])[-MOST:]


def _continues(log: Log, db: sqlite3.Connection) -> bool:
    """Whether the last records that were taken in are still where they stood."""
    for partition, offset, digest in db.execute("SELECT partition, offset, digest FROM positions").fetchall():
        found = log.read(EVENTS, partition, offset, max_bytes=1) if offset < log.end(EVENTS, partition) else []
        if not found or found[0].digest() != digest:
            return False
    return True


def _take(db: sqlite3.Connection, some: list[Record]) -> None:
    """Records of one partition, and where they end, in one transaction."""
    if not some:
        return
    numbers: dict[tuple[str, str], list[int]] = {}
    for record in some:
        for line in record.value.split(b"\n"):
            try:
                said = _decode(line)
            except msgspec.DecodeError:
                continue  # no event: it has no number either
            if said.sequence is not None:
                numbers.setdefault((record.organization, said.source), []).append(said.sequence)
    newest = some[-1]
    db.execute("BEGIN IMMEDIATE")
    with db:
        for whose, come in numbers.items():
            found = db.execute(
                "SELECT first, last, ranges FROM sources WHERE organization = ? AND source = ?", whose
            ).fetchone()
            known = arrived(_numbered(*found) if found else None, come)
            assert known is not None
            db.execute(
                "INSERT OR REPLACE INTO sources VALUES (?, ?, ?, ?, ?, ?)",
                (*whose, known.first, known.last, json.dumps(known.lacking), known.missing),
            )
        db.execute(
            "INSERT OR REPLACE INTO positions VALUES (?, ?, ?)", (newest.partition, newest.offset, newest.digest())
        )


def _numbered(first: int, last: int, ranges: str) -> Numbered:
    return Numbered(first, last, tuple((one, other) for one, other in json.loads(ranges)))


@contextmanager
def _reading(home: Path) -> Iterator[sqlite3.Connection]:
    """The file, which is not changed. A name in it may be any: so it is quoted in the address that SQLite reads."""
    address = f"file:{quote(str(_path(home)))}?mode=ro"
    with database(home, GAPS), closing(sqlite3.connect(address, uri=True, timeout=30)) as db:
        yield db


def _path(home: Path) -> Path:
    return GAPS.path(home).absolute()
