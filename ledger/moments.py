"""Moments as people type them."""

import re
from datetime import UTC, datetime

from tallystick.vocabulary.base import time_of

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def moment_of(text: str) -> datetime:
    """Read a moment of RFC 3339, or a day, which is its midnight; UTC where no zone is written. ValueError where the
    text is neither."""
    moment = time_of(f"{text}T00:00:00" if _DAY.fullmatch(text) else text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
