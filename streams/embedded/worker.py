"""The embedded runtime: one process that folds every partition, and appends a tick when nothing arrives."""

import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from ledger.errors import LogClosed
from ledger.home.locks import service_lock
from ledger.home.presence import announce
from ledger.home.wakes import Sleeper, Waker
from ledger.log import PARTITIONS, Log
from ledger.log.sqlite.log import EmbeddedLog
from ledger.log.topics import ALERTS, DECISIONS, EVENTS, Topic
from ledger.settings import Settings
from streams.embedded.store import Store
from streams.folds.entry import Documents
from streams.partition_state import split_runs
from streams.runtime import build_tick, read_catalogues, read_history, read_originals, reduce_garbage_collection

SERVICE = "streams"
API_SERVICE, ALERTS_SERVICE = "api", "alerts"
"""The services that new decisions and alerts wake: they tell others of them."""
_SERVICES = {DECISIONS: API_SERVICE, ALERTS: ALERTS_SERVICE}
POLL_INTERVAL_S = 0.05
"""The delay between reads where no append wakes the worker."""


def run(settings: Settings) -> None:
    """Fold until SIGTERM or SIGINT. TallyError where another worker has the home, or the log is damaged."""
    stopping = threading.Event()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signal_number, lambda *_: stopping.set())
    with service_lock(settings.home, SERVICE):
        reduce_garbage_collection()
        log, store = EmbeddedLog(settings.home), Store(settings.home)
        books = read_catalogues(log)  # once: to check a price book takes a tenth of a second
        wakers = {topic: Waker(settings.home, service) for topic, service in _SERVICES.items()}
        partitions = [
            Partition(number, log, store, books, lambda topic: wakers[topic].wake()) for number in range(PARTITIONS)
        ]
        sleeper = Sleeper()
        announce(settings.home, SERVICE, wake_port=sleeper.port)
        while not stopping.is_set():
            if sum(partition.step() for partition in partitions) == 0:
                for partition in partitions:
                    partition.tick()
                sleeper.wait(POLL_INTERVAL_S)
        sleeper.close()
        store.close()
        log.close()


class Partition:
    """Fold one partition. Its state in memory equals what its store holds."""

    def __init__(
        self, number: int, log: Log, store: Store, books: Documents,
        on_derived: Callable[[Topic], None] = lambda topic: None,
    ) -> None:  # fmt: skip
        """``on_derived`` is called where decisions or alerts were derived, and stand on the log."""
        self._number = number
        self._on_derived = on_derived
        self._log = log
        self._store = store
        position = store.state.position(number)
        self._next = position.find_resume_offset(log, number) if position else 0
        self._state = store.state.open_state(number)
        self._books = books
        self._originals = read_originals(log, number)
        self._history = read_history(log, number)

    def step(self) -> bool:
        """Fold the records that come next, if there are any, and commit what follows run by run."""
        records = self._log.read(EVENTS, self._number, self._next)
        for run in split_runs(records):
            batch = self._store.state.parse_batch(run, self._history)
            derived, position, change = self._store.state.fold_batch(batch, self._state, self._books, self._originals)
            self._store.commit(self._number, derived, change)
            for topic in _SERVICES.keys() & {topic for topic, _ in derived}:
                self._on_derived(topic)
            self._next = position.next_offset
        return bool(records)

    def tick(self) -> None:
        """Append a tick when something has fallen due. It is folded like any record; a closed log takes none."""
        due_us = self._state.next_due()
        if due_us is not None and due_us <= time.time() * 1_000_000:
            with suppress(LogClosed):
                self._log.append(EVENTS, [build_tick(self._number, self._next, due_us)])
