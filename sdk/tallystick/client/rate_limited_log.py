"""Log lines of the client: the same one at most once a minute."""

import logging
import time
from contextlib import suppress

logger = logging.getLogger("tallystick")
LOG_INTERVAL_S = 60.0
MAX_MESSAGES = 1_000
"""Messages that are remembered: the names in them are an application's own, and may have no end."""


class RateLimitedLog:
    """Logs each message once in ``LOG_INTERVAL_S``."""

    def __init__(self) -> None:
        self._last_logged_s: dict[str, float] = {}

    def warn(self, message: str) -> None:
        now = time.monotonic()
        if now - self._last_logged_s.get(message, -LOG_INTERVAL_S) >= LOG_INTERVAL_S:
            if len(self._last_logged_s) >= MAX_MESSAGES:
                self._last_logged_s.clear()
            self._last_logged_s[message] = now
            with suppress(Exception):  # a failing handler of the application must not fail its calls
                logger.warning("%s", message)
