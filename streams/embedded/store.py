"""The embedded runtime's store: derived topics and the folds' state, in one file and one transaction."""

from pathlib import Path

from ledger.errors import TallyError
from ledger.fault_points import point
from ledger.home.layout import DERIVED as DERIVED_FILE
from ledger.log.sqlite import tables
from ledger.log.sqlite.log import transaction
from ledger.log.topics import DERIVED, ENTRIES, Topic
from streams.folds.chain import Derived
from streams.folds.version import VERSION
from streams.partition_state import Change, PartitionState


class Store:
    """A file that one process writes. Losing it costs a refold: after a power cut it need not hold the last commit,
    but must be whole."""

    def __init__(self, home: Path) -> None:
        self._db = tables.open_file(DERIVED_FILE.path(home), writes=True)
        with tables.database_errors(self._db):
            self._db.execute("PRAGMA synchronous=NORMAL")
            (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version != VERSION and tables.has_table(self._db, ENTRIES):
            raise TallyError(
                f"{DERIVED_FILE.path(home)} was derived by folds of version {version}, and these are of version "
                f"{VERSION}: `tally rebuild` derives everything again from the log, and keeps the old"
            )
        with transaction(self._db):
            self._db.execute(f"PRAGMA user_version = {VERSION}")
            self.state = PartitionState(self._db)
            tables.create_tables(self._db, DERIVED)
        self._ends: dict[tuple[Topic, int], int] = {}

    def close(self) -> None:
        self._db.close()

    def commit(self, partition: int, derived: Derived, change: Change) -> None:
        """Commit everything that follows from a run of records, at once or not at all."""
        point("worker.before_transaction")
        with transaction(self._db):
            for topic, record in derived:
                offset = self._end(topic, partition)
                tables.insert_record(self._db, topic, record._replace(offset=offset))
                self._ends[topic, partition] = offset + 1
            point("worker.inside_transaction")
            self.state.apply(partition, change)
        point("worker.after_transaction")

    def _end(self, topic: Topic, partition: int) -> int:
        if (topic, partition) not in self._ends:
            self._ends[topic, partition] = tables.find_last(self._db, topic, partition)[0] + 1
        return self._ends[topic, partition]
