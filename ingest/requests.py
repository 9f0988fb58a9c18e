"""Events of the HTTP API that ask for an admission, or for a lease. Each kind has one source, so that the id alone
names what is asked for."""

from datetime import datetime
from typing import Any


def build_admission_event(id: Any, data: dict[str, Any], now: datetime) -> dict[str, Any]:
    """Build the event that asks for an admission, or releases one."""
    return _build_event("admission", "tallystick-admissions", id, data, now)


def build_lease_event(id: Any, data: dict[str, Any], now: datetime) -> dict[str, Any]:
    """Build the event that asks for a lease, or returns what one does not use."""
    return _build_event("lease", "tallystick-leases", id, data, now)


def _build_event(kind: str, source: str, id: Any, data: dict[str, Any], now: datetime) -> dict[str, Any]:
    time, type = now.isoformat(), f"tallystick.{kind}.v1"
    return {"specversion": "1.0", "id": id, "source": source, "time": time, "type": type, "data": data}
