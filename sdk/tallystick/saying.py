"""What the client says through ``logging``: the same once a minute, however often it happens."""

import logging
import time

logger = logging.getLogger("tallystick")
AGAIN_S = 60.0


class Saying:
    def __init__(self) -> None:
        self._said: dict[str, float] = {}

    def warn(self, what: str) -> None:
        now = time.monotonic()
        if now - self._said.get(what, -AGAIN_S) >= AGAIN_S:
            self._said[what] = now
            logger.warning("%s", what)
