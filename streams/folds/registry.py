"""The registry: who owns what (docs/rules.md, R17). Each of its records is passed on, with both of its times."""

from datetime import datetime, timedelta

import msgspec

from streams.folds.emit import Emit
from streams.folds.entry import Documents
from streams.folds.event import EPOCH, Event
from streams.folds.fold import Fold
from streams.folds.state import State
from tallystick.vocabulary.controls.agreements import AgreementDeclared, AgreementEnded
from tallystick.vocabulary.controls.exchange_rates import ExchangeRateSet
from tallystick.vocabulary.controls.scopes import ScopeAssigned, ScopeDeclared, ScopeEnded

TYPES = (ScopeDeclared, ScopeEnded, ScopeAssigned, AgreementDeclared, AgreementEnded, ExchangeRateSet)


def record_change(event: Event, _: State, __: Documents, emit: Emit) -> None:
    """Answer a record of the registry: what it says, from when it holds, and from when it is known."""
    effective_at = event.data.get("effective_at")
    emit.decision(
        event.organization, "control.applied", control_type=event.data["control"],
        effective_us=event.time_us if effective_at is None else _read_time_us(effective_at), known_us=emit.now_us,
        body=msgspec.json.encode(event.data["body"]).decode(), event_source=event.source, event_id=event.id,
    )  # fmt: skip


def _read_time_us(text: str) -> int:
    return (datetime.fromisoformat(text.upper()) - EPOCH) // timedelta(microseconds=1)


FOLD = Fold("registry", on_control=dict.fromkeys((model.control_type for model in TYPES), record_change))
