"""What the client says through ``logging``: the same once a minute, however often it happens."""

import logging
import time
from contextlib import suppress

logger = logging.getLogger("tallystick")
LOG_INTERVAL_S = 60.0


class RateLimitedLog:
    def __init__(self) -> None:
        self._last_logged_s: dict[str, float] = {}

    def warn(self, message: str) -> None:
        now = time.monotonic()
        if now - self._last_logged_s.get(message, -LOG_INTERVAL_S) >= LOG_INTERVAL_S:
            self._last_logged_s[message] = now
            with suppress(Exception):  # a handler of the application's that fails is no reason for its calls to fail
                logger.warning("%s", message)
