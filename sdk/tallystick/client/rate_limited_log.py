"""What the client says through ``logging``: the same once a minute, however often it happens."""

import logging
import time
from contextlib import suppress

logger = logging.getLogger("tallystick")
RETRY_DELAY_S = 60.0


class Saying:
    def __init__(self) -> None:
        self._said: dict[str, float] = {}

    def warn(self, what: str) -> None:
        now = time.monotonic()
        if now - self._said.get(what, -RETRY_DELAY_S) >= RETRY_DELAY_S:
            self._said[what] = now
            with suppress(Exception):  # a handler of the application's that fails is no reason for its calls to fail
                logger.warning("%s", what)
