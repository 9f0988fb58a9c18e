"""Handling: what people did about alerts (docs/rules.md, R21). Each record is answered, and no run changes."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from msgspec.structs import replace

from streams.folds.emit import Emit
from streams.folds.entry import Documents
from streams.folds.event import EPOCH, Event
from streams.folds.fold import Fold
from streams.folds.state import Key, State
from tallystick.vocabulary.controls.alerts import AlertAcknowledged, AlertLabeled, AlertResolved, AlertSilenced

NAME = "handling"
TYPES = (AlertAcknowledged, AlertResolved, AlertLabeled, AlertSilenced)
NOT_SCOPE = ("until", "reason")
MAX_WINDOWS = 64
"""Silences of one scope that are in force or to come."""


class Handled(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What became of an alert, by itself or by people."""

    is_resolved: bool = False
    is_acknowledged: bool = False
    label: str | None = None


def note_alerts(alerts: Sequence[Mapping[str, Any]], state: State) -> None:
    """Note the alerts that a record raised and resolved. A record after it can name them."""
    for alert in alerts:
        if alert["state"] in ("raised", "resolved"):
            key: Key = (NAME, alert["organization"], "alert", alert["alert"])
            handled = _load_handled(key, state) or Handled()
            state.put(key, replace(handled, is_resolved=alert["state"] == "resolved"))


def handle_alert(event: Event, state: State, _: Documents, emit: Emit) -> None:
    """Apply a record, and answer it: what it says, from when it holds, and why it has no effect where it has none."""
    control, body = event.data["control"], event.data["body"]
    effective_at = event.data.get("effective_at")
    effective_us = event.time_us if effective_at is None else _read_time_us(effective_at)
    if control == AlertSilenced.control_type:
        reason = _silence(event.organization, body, effective_us, state, emit.now_us)
    else:
        reason = _handle(event.organization, control, body, state)
    origin = {name: event.data[name] for name in ("actor", "reason") if event.data.get(name) is not None}
    emit.decision(
        event.organization, "control.applied" if reason is None else "control.ineffective", control_type=control,
        effective_us=effective_us, known_us=emit.now_us, body=msgspec.json.encode(origin | body).decode(),
        event_source=event.source, event_id=event.id, **({} if reason is None else {"reason": reason}),
    )  # fmt: skip


def forget_silences(key: Key, _: int, state: State, __: Emit) -> None:
    """Forget the silences of a scope, since the last of them ended."""
    state.delete(key)


def _handle(organization: str, control: str, body: Mapping[str, Any], state: State) -> str | None:
    """Apply what a person did about one alert. Return why it has no effect, where it has none."""
    key: Key = (NAME, organization, "alert", body["alert"])
    handled = _load_handled(key, state)
    if handled is None:
        return _name_unknown(body["alert"])
    if control == AlertLabeled.control_type:
        if handled.label == body["label"]:
            return f"alert {body['alert']} has the label {body['label']} already"
        state.put(key, replace(handled, label=body["label"]))
    elif handled.is_resolved:
        return f"alert {body['alert']} is resolved already"
    elif control == AlertResolved.control_type:
        state.put(key, replace(handled, is_resolved=True))
    elif handled.is_acknowledged:
        return f"alert {body['alert']} is acknowledged already"
    else:
        state.put(key, replace(handled, is_acknowledged=True))
    return None


def _silence(organization: str, body: Mapping[str, Any], effective_us: int, state: State, now_us: int) -> str | None:
    """Begin, change or end the silence of a scope. Return why it has no effect, where it has none."""
    alert, until_us = body.get("alert"), _read_time_us(body["until"])
    if alert is not None and _load_handled((NAME, organization, "alert", alert), state) is None:
        return _name_unknown(alert)
    scope = {name: value for name, value in sorted(body.items()) if name not in NOT_SCOPE}
    key: Key = (NAME, organization, "silences", msgspec.json.encode(scope).decode())
    windows: dict[int, int] = dict(state.get(key) or ())
    holds_from_us = max(effective_us, now_us)
    latest_us = max((since_us for since_us in windows if since_us <= holds_from_us), default=None)
    if until_us <= holds_from_us and (latest_us is None or windows[latest_us] <= holds_from_us):
        return "until is past, and no silence of this scope is in force"
    windows[effective_us] = until_us
    present_us = max((since_us for since_us in windows if since_us <= now_us), default=min(windows))
    kept = tuple(sorted((since_us, end_us) for since_us, end_us in windows.items() if since_us >= present_us))
    if len(kept) > MAX_WINDOWS:
        return f"this scope has {MAX_WINDOWS} windows already"
    state.put(key, kept, max(end_us for _, end_us in kept))
    return None


def _name_unknown(alert: str) -> str:
    return f"no alert {alert} of this organization: `tally alerts list --all` shows their ids"


def _load_handled(key: Key, state: State) -> Handled | None:
    row = state.get(key)
    return row if row is None or type(row) is Handled else msgspec.convert(row, Handled)  # a list where a store gave it


def _read_time_us(text: str) -> int:
    return (datetime.fromisoformat(text.upper()) - EPOCH) // timedelta(microseconds=1)


FOLD = Fold(
    NAME, on_control=dict.fromkeys((model.control_type for model in TYPES), handle_alert), on_due=forget_silences
)
