"""A moment at which tests plan."""

from datetime import UTC, datetime

MOMENT = datetime(2026, 11, 1, tzinfo=UTC)
