"""Log lines of the client: the same one at most once a minute."""

import logging
import time
from contextlib import suppress

logger = logging.getLogger("tallystick")
LOG_INTERVAL_S = 60.0


class RateLimitedLog:
    """Logs each message once in ``LOG_INTERVAL_S``."""

    def __init__(self) -> None:
        self._last_logged_s: dict[str, float] = {}

    def warn(self, message: str) -> None:
        now = time.monotonic()
        if now - self._last_logged_s.get(message, -LOG_INTERVAL_S) >= LOG_INTERVAL_S:
            self._last_logged_s[message] = now
            with suppress(Exception):  # a failing handler of the application must not fail its calls
                logger.warning("%s", message)
