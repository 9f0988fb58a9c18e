"""Group commit: appends of many requests become durable in one commit of the log."""

import threading
from collections.abc import Sequence
from concurrent.futures import Future

from ledger.log import Draft, Log, Record
from ledger.log.documents import load_document
from ledger.log.topics import Topic

WaitingAppend = tuple[Topic, Sequence[Draft], "Future[list[Record]]"]


class Appender:
    """Appends like the log itself, for many threads. Threads that arrive during an append wait, and the first of them
    then appends for all."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._waiting: list[WaitingAppend] = []
        self._queue = threading.Lock()
        self._turn = threading.Lock()

    def append(self, topic: Topic, drafts: Sequence[Draft]) -> list[Record]:
        """Append as ``Log.append`` does. An error is raised for all appends of the group."""
        appended: Future[list[Record]] = Future()
        with self._queue:
            self._waiting.append((topic, drafts, appended))
        with self._turn:
            if not appended.done():
                self._append_all()
        return appended.result()

    def has_document(self, digest: str) -> bool:
        """Tell whether the log holds a document."""
        return load_document(self._log, digest) is not None

    def _append_all(self) -> None:
        with self._queue:
            waiting, self._waiting = self._waiting, []
        for topic in dict.fromkeys(topic for topic, _, _ in waiting):
            group = [append for append in waiting if append[0] is topic]
            try:
                records = iter(self._log.append(topic, [draft for _, drafts, _ in group for draft in drafts]))
            except Exception as error:  # noqa: BLE001  (raised in each waiting thread)
                for _, _, appended in group:
                    appended.set_exception(error)
                continue
            for _, drafts, appended in group:
                appended.set_result([next(records) for _ in drafts])
