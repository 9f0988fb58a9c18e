"""The delivery: a thread that sends the events of the spool in order until the ledger has answered for all."""

import logging
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from tallystick.client.http import HttpClient, NoAnswer, Refusal
from tallystick.client.rate_limited_log import RateLimitedLog
from tallystick.client.spool import Spool, orphans, read_lines

logger = logging.getLogger("tallystick")

MAX_BATCH_EVENTS, MAX_BATCH_BYTES = 500, 200_000
LINGER_S = 0.1
"""Seconds for which events are gathered before they are sent."""
MIN_RETRY_DELAY_S, MAX_RETRY_DELAY_S, MAX_REQUESTED_DELAY_S = 0.1, 30.0, 300.0
"""Delays after a failure: doubled each time between the first two, times a random factor; or as Retry-After says, up to
the third."""
POLL_INTERVAL_S = 5.0
"""Seconds between searches for files of processes that died."""


class Delivery:
    """Delivers one client's spool, and files of died processes in the same folder."""

    def __init__(
        self, http_client: HttpClient, folder: Path, spool: Spool, guard: AbstractContextManager[object]
    ) -> None:
        """Start the thread. ``guard`` is held during each access to the spool."""
        self._http_client, self._folder, self._spool, self._guard = http_client, folder, spool, guard
        self._changed = threading.Condition()
        self.recorded = self.delivered = self.refused = self.lost = 0
        self._hurry = self._stopped = False
        self._log = RateLimitedLog()
        self._max_batch = MAX_BATCH_EVENTS
        self._positions: dict[Path, int] = {}
        """The end of the answered part of each file, so that nothing is sent twice where a file cannot be read or
        deleted."""
        spool.on_restored = self._on_restored
        threading.Thread(target=self._run, name="tallystick", daemon=True).start()

    def take_up(self, number: int) -> None:
        """Take up the event of this number, which stands in the spool."""
        with self._changed:
            self.recorded = number
            if self.pending == 1:
                self._changed.notify_all()

    @property
    def total_answers(self) -> int:
        """The number of this client's events that are answered by the ledger or lost."""
        return self.delivered + self.refused + self.lost

    @property
    def pending(self) -> int:
        return self.recorded - self.total_answers

    def flush(self, seconds: float) -> bool:
        """Wait until all events so far are answered for; False where that takes longer, or some were lost."""
        with self._changed:
            target, lost_before, self._hurry = self.recorded, self.lost, True
            self._changed.notify_all()
            return self._changed.wait_for(lambda: self.total_answers >= target, seconds) and self.lost == lost_before

    def stop(self) -> None:
        """Stop the thread after the current request."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _run(self) -> None:
        scanned_s = -POLL_INTERVAL_S
        while not self._stopped:
            try:
                self._restore()
                if time.monotonic() - scanned_s >= POLL_INTERVAL_S:
                    scanned_s = time.monotonic()
                    for files in orphans(self._folder):
                        self._deliver(files, self._count_adopted)
                with self._guard:
                    files = self._spool.files if self.pending else []
                self._deliver(files, self._count_own)
            except FileNotFoundError:  # it is restored, or another process delivered it
                self._wait(MIN_RETRY_DELAY_S)
            except OSError as error:
                if self._stopped:  # its files are closed
                    return
                self._log.warn(f"the spool {self._folder} cannot be read: {error.strerror}")
                self._wait(MAX_RETRY_DELAY_S)
            except Exception:  # a defect must not end the delivery
                logger.exception("the delivery of %s failed and goes on", self._folder)
                self._wait(MAX_RETRY_DELAY_S)
            with self._changed:
                self._changed.wait_for(lambda: self._stopped or self._hurry or self.pending, POLL_INTERVAL_S)
                if not self._stopped and not self._hurry:
                    self._changed.wait_for(lambda: self._stopped or self._hurry, LINGER_S)
                self._hurry = False

    def _restore(self) -> None:
        """Restore deleted files of the spool. Where that fails the open file is delivered nevertheless."""
        try:
            with self._guard:
                self._spool.restore()
        except OSError as error:
            self._log.warn(
                f"the spool {self._folder} is gone and cannot be restored, nothing more is recorded: {error.strerror}"
            )

    def _on_restored(self, lost_events: int) -> None:
        with self._changed:
            self.lost += lost_events
            self._changed.notify_all()
        loss = "events are lost (see Client.counts)" if lost_events else "no event is lost"
        self._log.warn(f"files of the spool {self._folder} were deleted while it was in use, and {loss}")

    def _deliver(self, files: Sequence[Path], answered: Callable[[int, Sequence[Refusal]], None]) -> None:
        """Send these files one after the other, and delete each that is answered for."""
        for file in files:
            failures = 0
            while not self._stopped:
                position = self._positions.get(file, 0)
                events, end = self._read(file, position)
                if not events:
                    if self._forget(file, position):
                        break
                    continue  # more came meanwhile
                batch = events[: self._max_batch]
                if len(batch) < len(events):
                    end = position + sum(len(event) + 1 for event in batch)
                try:
                    refused = self._http_client.send(batch)
                except NoAnswer as no_answer:
                    if no_answer.too_large and self._max_batch > 1:
                        self._max_batch = max(1, len(batch) // 2)
                        continue
                    failures += 1
                    self._restore()  # nothing else does while the ledger is unreachable
                    self._log.warn(f"{no_answer}; events wait in {self._folder} and are sent again")
                    requested_delay_s = min(no_answer.after_s, MAX_REQUESTED_DELAY_S)
                    self._wait(
                        max(
                            requested_delay_s, min(MAX_RETRY_DELAY_S, MIN_RETRY_DELAY_S * 2**failures) * random.random()
                        )
                    )
                    continue
                failures = 0
                self._max_batch = min(MAX_BATCH_EVENTS, self._max_batch + 1)
                with self._guard:
                    self._positions[file] = end
                    self._spool.count_answered(file, len(batch))
                answered(len(batch), refused)

    def _read(self, file: Path, position: int) -> tuple[list[bytes], int]:
        with self._guard:
            descriptor = self._spool.open_for_reading(file)
        try:
            return read_lines(descriptor, position, MAX_BATCH_BYTES)
        finally:
            os.close(descriptor)

    def _forget(self, file: Path, position: int) -> bool:
        """Delete a file that is answered for. False where more was written to it; a file that cannot be deleted is
        skipped."""
        try:
            with self._guard:
                if not self._spool.delivered(file, position):
                    return False
                self._positions.pop(file, None)
        except OSError as error:
            self._log.warn(f"{file} is delivered and cannot be deleted: {error.strerror}")
        return True

    def _count_own(self, events: int, refused: Sequence[Refusal]) -> None:
        with self._changed:
            self.delivered += events - len(refused)
            self.refused += len(refused)
            self._changed.notify_all()
        self._log_refusals(refused)

    def _count_adopted(self, events: int, refused: Sequence[Refusal]) -> None:
        logger.info("delivered %d events that another process left", events - len(refused))
        self._log_refusals(refused)

    def _log_refusals(self, refused: Sequence[Refusal]) -> None:
        for (field, reason), times in Counter(refused).items():
            logger.warning("the ledger refused %d events: %s %s", times, field, reason)

    def _wait(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or self._hurry, seconds)
            self._hurry = False
