"""The embedded runtime's store: derived topics, rows, identities and positions, in one file and one transaction."""

import json
import sqlite3
from collections.abc import Iterable
from pathlib import Path

from ledger.errors import LogDamaged, TallyError
from ledger.faults import point
from ledger.log import Log, Record, sqlite
from ledger.log.embedded import transaction
from ledger.topics import DERIVED, ENTRIES, EVENTS, Topic
from streams.chain import Derived
from streams.identity import First
from streams.rows import Key, Row, Rows

VERSION = 1
"""Of what the folds mean, and of how their rows are written: where it changes, what was derived is derived anew."""

VARIABLES = 10_000  # SQLite takes 32,766 in a statement

_TABLES = """
CREATE TABLE IF NOT EXISTS rows (partition INTEGER, key TEXT, value TEXT, due_us INTEGER,
    PRIMARY KEY (partition, key)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS rows_due ON rows (partition, due_us) WHERE due_us IS NOT NULL;
CREATE TABLE IF NOT EXISTS identities (partition INTEGER, identity BLOB, content BLOB, offset INTEGER, at INTEGER,
    PRIMARY KEY (partition, identity)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS positions (partition INTEGER PRIMARY KEY, next_offset INTEGER, digest TEXT);
"""


class Store:
    """Written by one process. Losing it costs a refold and nothing else: so it need not survive a power cut
    to the last commit, only whole."""

    def __init__(self, home: Path) -> None:
        self._db = sqlite.open_file(home / "log" / "derived.db", writes=True)
        self._db.execute("PRAGMA synchronous=NORMAL")
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version != VERSION and sqlite.holds(self._db, ENTRIES):
            raise TallyError(
                f"{home / 'log' / 'derived.db'} was derived by folds of version {version}, and these are of version "
                f"{VERSION}: delete it and the warehouse folder to derive everything again from the log"
            )
        with transaction(self._db):
            self._db.execute(f"PRAGMA user_version = {VERSION}")
            for statement in _TABLES.split(";"):
                self._db.execute(statement)
            sqlite.create(self._db, DERIVED)
        self._ends: dict[tuple[Topic, int], int] = {}

    def close(self) -> None:
        self._db.close()

    def next_offset(self, log: Log, partition: int) -> int:
        """Where this partition's folding goes on. LogDamaged where the log no longer holds what was folded."""
        stored = self._db.execute(
            "SELECT next_offset, digest FROM positions WHERE partition = ?", (partition,)
        ).fetchone()
        if stored is None:
            return 0
        offset, digest = stored
        last = log.read(EVENTS, partition, offset - 1, max_bytes=1)
        if not last or last[0].offset != offset - 1 or last[0].digest() != digest:
            raise LogDamaged(
                f"partition {partition} of tally.events was folded up to offset {offset - 1}, and the log no "
                "longer holds that record as it was: restore log/recorded.db, or delete log/derived.db and the "
                "warehouse folder to derive everything again from the log as it is"
            )
        return int(offset)

    def rows(self, partition: int) -> Rows:
        def load(key: Key) -> Row | None:
            try:
                found = self._db.execute(
                    "SELECT value, due_us FROM rows WHERE partition = ? AND key = ?",
                    (partition, json.dumps(key)),
                ).fetchone()
            except sqlite3.Error as error:
                raise TallyError(f"log/derived.db cannot be read: {error}") from error
            return Row(json.loads(found[0]), found[1]) if found else None

        due = self._db.execute("SELECT due_us, key FROM rows WHERE partition = ? AND due_us NOT NULL", (partition,))
        return Rows(load, [(at, tuple(json.loads(key))) for at, key in due])

    def known(self, partition: int, identities: Iterable[bytes]) -> dict[bytes, First]:
        """Those of the identities that were taken before in this partition."""
        asked = list(identities)
        taken: dict[bytes, First] = {}
        for start in range(0, len(asked), VARIABLES):
            some = asked[start : start + VARIABLES]
            marks = ",".join("?" * len(some))
            found = self._db.execute(
                f"SELECT identity, content, offset, at FROM identities WHERE partition = ? AND identity IN ({marks})",
                [partition, *some],
            )
            taken.update((identity, First(*first)) for identity, *first in found)
        return taken

    def commit(self, last: Record, derived: Derived, rows: Rows, taken: dict[bytes, First]) -> None:
        """Everything that follows from a run of records up to ``last``, at once or not at all."""
        partition = last.partition
        point("worker.before_transaction")
        with transaction(self._db):
            for topic, record in derived:
                offset = self._end(topic, partition)
                sqlite.insert(self._db, topic, record._replace(offset=offset))
                self._ends[topic, partition] = offset + 1
            point("worker.inside_transaction")
            for key, row in rows.take_changes().items():
                name = json.dumps(key)
                if row is None:
                    self._db.execute("DELETE FROM rows WHERE partition = ? AND key = ?", (partition, name))
                else:
                    self._db.execute(
                        "REPLACE INTO rows VALUES (?, ?, ?, ?)",
                        (partition, name, json.dumps(row.value), row.due_us),
                    )
            self._db.executemany(
                "INSERT INTO identities VALUES (?, ?, ?, ?, ?)",
                [(partition, one, *first) for one, first in taken.items()],
            )
            self._db.execute("REPLACE INTO positions VALUES (?, ?, ?)", (partition, last.offset + 1, last.digest()))
        point("worker.after_transaction")

    def _end(self, topic: Topic, partition: int) -> int:
        if (topic, partition) not in self._ends:
            self._ends[topic, partition] = sqlite.last(self._db, topic, partition)[0] + 1
        return self._ends[topic, partition]
