"""The embedded runtime: one process that folds every partition, and tells time when nothing arrives."""

import signal
import threading
import time
from functools import lru_cache

from ledger.errors import TallyError
from ledger.home import announce, only_one
from ledger.log import PARTITIONS, Draft, Log
from ledger.log.documents import load
from ledger.log.embedded import EmbeddedLog
from ledger.prices import opened
from ledger.settings import Settings
from ledger.topics import EVENTS, PLATFORM
from streams.chain import fold
from streams.event import parse
from streams.pricing import Catalogue
from streams.rating import Documents
from streams.store import Store
from tallystick import TickEvent

PART = "streams"
IDLE_S = 0.05


def run(settings: Settings) -> None:
    """Fold until SIGTERM or SIGINT. TallyError where another worker has the home, or the log is damaged."""
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    with only_one(settings.home, PART):
        log, store = EmbeddedLog(settings.home), Store(settings.home)
        partitions = [Partition(number, log, store) for number in range(PARTITIONS)]
        announce(settings.home, PART)
        while not stopping.is_set():
            if sum(partition.step() for partition in partitions) == 0:
                for partition in partitions:
                    partition.tick()
                stopping.wait(IDLE_S)
        store.close()
        log.close()


class Partition:
    """One partition's folding: its rows in memory are what its store holds."""

    def __init__(self, number: int, log: Log, store: Store) -> None:
        self._number = number
        self._log = log
        self._store = store
        self._next = store.next_offset(log, number)
        self._rows = store.rows(number)
        self._documents = documents(log)

    def step(self) -> bool:
        """Fold the next run of records, if there is one, and commit what follows."""
        records = self._log.read(EVENTS, self._number, self._next)
        if not records:
            return False
        parsed = [parse(record) for record in records]
        identities = {event.identity for _, events in parsed for event in events if event.identity}
        before = self._store.known(self._number, identities)
        known = dict(before)
        derived = [said for one in parsed for said in fold(one, self._rows, known, self._documents)]
        taken = {identity: first for identity, first in known.items() if identity not in before}
        self._store.commit(records[-1], derived, self._rows, taken)
        self._next = records[-1].offset + 1
        return True

    def tick(self) -> None:
        """Append a tick when something has fallen due. It is folded like any record."""
        due_us = self._rows.next_due()
        if due_us is None or due_us > time.time() * 1_000_000:
            return
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        event = TickEvent.model_validate_json(
            f'{{"source":"tally-streams","id":"{self._number}-{self._next}","time":"{now}"}}'
        )
        headers = {
            "organization": PLATFORM,
            "door": "streams",
            "principal": "streams",
            "schema": "1",
            "refused": "0",
        }
        self._log.append(EVENTS, [Draft(self._number, PLATFORM, headers, event.canonical())])


def documents(log: Log) -> Documents:
    """The price books that the log holds, by their hash."""

    @lru_cache(maxsize=8)
    def catalogue(digest: str) -> Catalogue:
        packed = load(log, digest)
        if packed is None:
            raise TallyError(f"the log names the document {digest} and does not hold it: restore log/recorded.db")
        return Catalogue(digest, opened(digest, packed))

    return catalogue
