"""Close months of an organization, and list its closes."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from pydantic import TypeAdapter, ValidationError

from ingest.controls.append import append_control
from ledger import envelope
from ledger.errors import TallyError
from ledger.log import Log, Position, partition_of, records
from ledger.log.topics import EVENTS
from ledger.settings import Settings
from tallystick import ControlEvent
from tallystick.vocabulary.controls.control import Control
from tallystick.vocabulary.controls.periods import Month, PeriodClosed

_month = TypeAdapter(Month)


def check_month(month: str) -> None:
    """TallyError where the text names no month."""
    try:
        _month.validate_python(month)
    except ValidationError:
        raise TallyError(f"the month is {month!r}: write year and month, for example 2026-10") from None


class PeriodClose(NamedTuple):
    """A close on the log: the month, the last month that was closed before it (empty where none was), the time at which
    it was closed, the person (a pseudonym) and the reason, where the record has them."""

    month: str
    previous_month: str
    closed_at: str
    actor: str | None
    reason: str | None


def check_close(log: Log, organization: str, month: str) -> str:
    """Return the last month of the organization that is closed, empty where none is. TallyError where the month has not
    ended, or is closed already."""
    check_month(month)
    last_ended = (datetime.now(UTC).replace(day=1) - timedelta(days=1)).strftime("%Y-%m")
    if month > last_ended:
        raise TallyError(f"{month} has not ended: the last month that can be closed is {last_ended}")
    last_closed = max((close.month for close in find_closes(log, organization)), default="")
    if month <= last_closed:
        raise TallyError(
            f"{month} of {organization} is closed already: the last closed month is {last_closed}, and changes of its "
            "calls are billed in the next one (`tally price restate`, corrections)"
        )
    return last_closed


def close_period(log: Log, settings: Settings, organization: str, month: str, reason: str | None) -> Position:
    """Close a month and all before it. TallyError where it cannot be closed. The folds decide the same by the log's
    time."""
    check_close(log, organization, month)
    return append_control(
        log, settings, PeriodClosed.control_type, {"month": month}, organization=organization, reason=reason
    )


def find_closes(log: Log, organization: str) -> Iterator[PeriodClose]:
    """Yield the closes of months, in the order of the log."""
    last_closed = ""
    for record in records(log, EVENTS, partition_of(organization)):
        if record.headers.get(envelope.ORGANIZATION) != organization:
            continue
        if PeriodClosed.control_type.encode() not in record.value:
            continue
        for line in record.value.split(b"\n"):
            decision = _read_decision(line)
            if decision is None or not isinstance(decision.body, PeriodClosed) or decision.body.month <= last_closed:
                continue
            closed_at = datetime.fromtimestamp(record.time_ms / 1000, UTC).isoformat(timespec="seconds")
            yield PeriodClose(decision.body.month, last_closed, closed_at, decision.actor, decision.reason)
            last_closed = decision.body.month


def _read_decision(line: bytes) -> Control | None:
    """Read the decision of a line that may close a month; None of any other line."""
    if PeriodClosed.control_type.encode() not in line:
        return None
    try:
        return ControlEvent.model_validate_json(line).data
    except ValidationError:
        return None
