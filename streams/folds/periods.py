"""Billing periods: a closed month never changes (docs/rules.md, R15)."""

from datetime import timedelta

from streams.folds.emit import Emit
from streams.folds.entry import Documents
from streams.folds.event import EPOCH, Event
from streams.folds.fold import Fold
from streams.folds.state import State
from tallystick.vocabulary.controls.periods import PeriodClosed

NAME = "periods"


def close_period(event: Event, state: State, _: Documents, emit: Emit) -> None:
    """Apply ``period.closed``: close the organization's months up to this one."""
    month = event.data["body"]["month"]
    key = (NAME, event.organization)
    closed = state.get(key)
    obstacle = None
    if month >= _name_month(emit.now_us):
        obstacle = f"{month} has not ended by the log's time"
    elif closed is not None and month <= closed:
        obstacle = f"{month} is closed already: the last closed month is {closed}"
    fields = {"event_source": event.source, "event_id": event.id, "control_type": PeriodClosed.control_type}
    if obstacle is not None:
        emit.decision(event.organization, "control.ineffective", reason=obstacle, **fields)
        return
    state.put(key, month)
    emit.decision(event.organization, "control.applied", **fields)


def find_billing_month(organization: str, time_us: int, state: State) -> str | None:
    """Return the month in which an entry of a closed month is billed: the first open one. None where the entry is
    billed in the month of its time."""
    closed = state.get((NAME, organization))
    if closed is None or _name_month(time_us) > closed:
        return None
    year, month = int(closed[:4]), int(closed[5:])
    return f"{year + month // 12}-{month % 12 + 1:02}"


def _name_month(time_us: int) -> str:
    """Return the name of the month in UTC, which sorts as the months do."""
    return (EPOCH + timedelta(microseconds=time_us)).strftime("%Y-%m")


FOLD = Fold(NAME, on_control={PeriodClosed.control_type: close_period})
