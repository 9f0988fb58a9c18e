"""Close months of an organization, and list its closes."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from pydantic import TypeAdapter, ValidationError

from ingest.controls.append import append_control
from ledger import envelope
from ledger.errors import TallyError
from ledger.log import Log, Position, partition_of, records
from ledger.log.topics import EVENTS
from ledger.settings import Settings
from tallystick import ControlEvent
from tallystick.vocabulary.controls.periods import Month, PeriodClosed

_month = TypeAdapter(Month)


def check_month(month: str) -> None:
    """TallyError where the text names no month."""
    try:
        _month.validate_python(month)
    except ValidationError:
        raise TallyError(f"the month is {month!r}: write year and month, for example 2026-10") from None


def close_period(log: Log, settings: Settings, organization: str, month: str, reason: str | None) -> Position:
    """Close a month and all before it. TallyError where the month has not ended, or is closed already. The folds decide
    the same by the log's time."""
    check_month(month)
    first_day = datetime.now(UTC).replace(day=1)
    if month >= first_day.strftime("%Y-%m"):
        last_ended = (first_day - timedelta(days=1)).strftime("%Y-%m")
        raise TallyError(f"{month} has not ended: the last month that can be closed is {last_ended}")
    last_closed = max((closed for closed, _ in find_closes(log, organization)), default="")
    if month <= last_closed:
        raise TallyError(
            f"{month} of {organization} is closed already: the last closed month is {last_closed}, and changes of its "
            "calls are billed in the next one (`tally price restate`, corrections)"
        )
    return append_control(
        log, settings, PeriodClosed.control_type, {"month": month}, organization=organization, reason=reason
    )


def find_closes(log: Log, organization: str) -> Iterator[tuple[str, str]]:
    """Yield each month that was closed, and the time at which, in the order of the log."""
    last_closed = ""
    for record in records(log, EVENTS, partition_of(organization)):
        if record.headers.get(envelope.ORGANIZATION) != organization:
            continue
        if PeriodClosed.control_type.encode() not in record.value:
            continue
        for line in record.value.split(b"\n"):
            month = _read_closed_month(line)
            if month is not None and month > last_closed:
                last_closed = month
                yield month, datetime.fromtimestamp(record.time_ms / 1000, UTC).isoformat(timespec="seconds")


def _read_closed_month(line: bytes) -> str | None:
    """Read the month that a line closes; None of any other line."""
    if PeriodClosed.control_type.encode() not in line:
        return None
    try:
        event = ControlEvent.model_validate_json(line)
    except ValidationError:
        return None
    return event.data.body.month if isinstance(event.data.body, PeriodClosed) else None
