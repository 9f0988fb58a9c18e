"""The delivery: a thread that sends what stands in the spool, in order, until the ledger has answered for all of it."""

import logging
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from tallystick.client.http import Door, Refusal, Unanswered
from tallystick.client.rate_limited_log import Saying
from tallystick.client.spool import Spool, lines, orphans

logger = logging.getLogger("tallystick")

BATCH, BATCH_BYTES = 500, 200_000
LINGER_S = 0.1
"""For how long calls are gathered before they are sent."""
FIRST_S, LONGEST_S, ASKED_S = 0.1, 30.0, 300.0
"""How long the thread rests after a failure: twice as long each time, and at most so long; a random part less. As long
as it is asked to (Retry-After), but no longer than the last."""
POLL_INTERVAL_S = 5.0
"""How often it is looked for what other processes left."""


class Delivery:
    """Delivers one client's spool, and what died processes left in the same folder."""

    def __init__(self, door: Door, folder: Path, spool: Spool, guard: AbstractContextManager[object]) -> None:
        """``guard`` is held by whoever touches the spool."""
        self._door, self._folder, self._spool, self._guard = door, folder, spool, guard
        self._changed = threading.Condition()
        self.written = self.delivered = self.refused = self.lost = 0
        self._hurry = self._stopped = False
        self._saying = Saying()
        self._most = BATCH
        self._positions: dict[Path, int] = {}
        """How far each file is answered for, so that nothing is sent twice where a file cannot be read or deleted."""
        spool.on_restored = self._restored
        threading.Thread(target=self._run, name="tallystick", daemon=True).start()

    def take_up(self, number: int) -> None:
        """The event of this number stands in the spool: so many were written."""
        with self._changed:
            self.written = number
            if self.pending == 1:
                self._changed.notify_all()

    @property
    def done(self) -> int:
        """How many events of this client the ledger has answered for, or nobody can any more."""
        return self.delivered + self.refused + self.lost

    @property
    def pending(self) -> int:
        return self.written - self.done

    def flush(self, seconds: float) -> bool:
        """Wait until all that is written by now is answered for; False where that takes longer, or some was lost."""
        with self._changed:
            wanted, lost, self._hurry = self.written, self.lost, True
            self._changed.notify_all()
            return self._changed.wait_for(lambda: self.done >= wanted, seconds) and self.lost == lost

    def stop(self) -> None:
        """Begin nothing more."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _run(self) -> None:
        looked = -POLL_INTERVAL_S
        while not self._stopped:
            try:
                self._restore()
                if time.monotonic() - looked >= POLL_INTERVAL_S:
                    looked = time.monotonic()
                    for files in orphans(self._folder):
                        self._deliver(files, self._adopted)
                with self._guard:
                    files = self._spool.files if self.pending else []
                self._deliver(files, self._own)
            except FileNotFoundError:  # it is made again, or was delivered by another process
                self._rest(FIRST_S)
            except OSError as error:
                if self._stopped:  # its files are gone
                    return
                self._saying.warn(f"the spool {self._folder} cannot be read: {error.strerror}")
                self._rest(LONGEST_S)
            except Exception:  # a defect must not end the delivery
                logger.exception("the delivery of %s failed and goes on", self._folder)
                self._rest(LONGEST_S)
            with self._changed:
                self._changed.wait_for(lambda: self._stopped or self._hurry or self.pending, POLL_INTERVAL_S)
                if not self._stopped and not self._hurry:
                    self._changed.wait_for(lambda: self._stopped or self._hurry, LINGER_S)
                self._hurry = False

    def _restore(self) -> None:
        """Make again what somebody deleted of the spool. Where that fails the open file is delivered all the same."""
        try:
            with self._guard:
                self._spool.restore()
        except OSError as error:
            self._saying.warn(
                f"the spool {self._folder} is gone and cannot be made again, nothing more is recorded: {error.strerror}"
            )

    def _restored(self, lost: int) -> None:
        with self._changed:
            self.lost += lost
            self._changed.notify_all()
        what = "events of it are lost (Client.counts tells how many)" if lost else "no event of it is lost"
        self._saying.warn(f"files of the spool {self._folder} were deleted while it was in use, and {what}")

    def _deliver(self, files: Sequence[Path], answered: Callable[[int, Sequence[Refusal]], None]) -> None:
        """Send these files, one after the other, and forget each that was answered for."""
        for file in files:
            failures = 0
            while not self._stopped:
                position = self._positions.get(file, 0)
                events, end = self._read(file, position)
                if not events:
                    if self._forget(file, position):
                        break
                    continue  # more came meanwhile
                taken = events[: self._most]
                if len(taken) < len(events):
                    end = position + sum(len(event) + 1 for event in taken)
                try:
                    refused = self._door.send(taken)
                except Unanswered as unanswered:
                    if unanswered.too_large and self._most > 1:
                        self._most = max(1, len(taken) // 2)
                        continue
                    failures += 1
                    self._restore()  # while the ledger is away nothing else looks
                    self._saying.warn(f"{unanswered}; events wait in {self._folder}, and are sent again")
                    asked_s = min(unanswered.after_s, ASKED_S)
                    self._rest(max(asked_s, min(LONGEST_S, FIRST_S * 2**failures) * random.random()))
                    continue
                failures = 0
                self._most = min(BATCH, self._most + 1)
                with self._guard:
                    self._positions[file] = end
                    self._spool.answered(file, len(taken))
                answered(len(taken), refused)

    def _read(self, file: Path, position: int) -> tuple[list[bytes], int]:
        with self._guard:
            descriptor = self._spool.opened(file)
        try:
            return lines(descriptor, position, BATCH_BYTES)
        finally:
            os.close(descriptor)

    def _forget(self, file: Path, position: int) -> bool:
        """Whether a file is done with: all of it is answered for. Where it cannot be deleted it is passed over."""
        try:
            with self._guard:
                if not self._spool.delivered(file, position):
                    return False
                self._positions.pop(file, None)
        except OSError as error:
            self._saying.warn(f"{file} is delivered and cannot be deleted: {error.strerror}")
        return True

    def _own(self, events: int, refused: Sequence[Refusal]) -> None:
        with self._changed:
            self.delivered += events - len(refused)
            self.refused += len(refused)
            self._changed.notify_all()
        self._tell(refused)

    def _adopted(self, events: int, refused: Sequence[Refusal]) -> None:
        logger.info("delivered %d events that another process left", events - len(refused))
        self._tell(refused)

    def _tell(self, refused: Sequence[Refusal]) -> None:
        for (field, reason), times in Counter(refused).items():
            logger.warning("the ledger refused %d events: %s %s", times, field, reason)

    def _rest(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or self._hurry, seconds)
            self._hurry = False
