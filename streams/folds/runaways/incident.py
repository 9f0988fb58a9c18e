"""An incident: one runaway as people are told of it, from the first warning to its end (pure).

One family of signals warns. A second one, or a loss that is about to pass what a runaway may cost before somebody is
called, makes it a page. It escalates then, and whenever its cost passes the next power of ten.
"""

from collections.abc import Iterable
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from ledger.money import PICO

WARNING, PAGE = "warning", "page"
Amounts = tuple[tuple[str, int], ...]
"""Sums in pico by currency, sorted."""
MAX_LOSS = 50
"""Units of a currency that a runaway may cost before it is a page: what it has cost, and an hour more."""
HOUR_US = 3_600 * 1_000_000
MIN_DURATION_US = 60 * 1_000_000
"""A rate is of a minute at least: four calls in a second do not cost that each second."""


class Incident(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What was told of a runaway. ``passed`` is the greatest power of ten that its cost has passed; 0 below 1."""

    alert: str
    detector: str
    families: tuple[str, ...]
    severity: str
    passed: int


class Loss(NamedTuple):
    """What a runaway costs an hour, and what it will have cost in an hour, in pico by currency."""

    per_hour: Amounts
    projected: Amounts


def project_loss(spent: Amounts, duration_us: int) -> Loss:
    """Project what was spent in a duration by an hour."""
    duration_us = max(duration_us, MIN_DURATION_US)
    per_hour = tuple((currency, amount * HOUR_US // duration_us) for currency, amount in spent)
    projected = tuple((currency, amount + rate) for (currency, amount), (_, rate) in zip(spent, per_hour, strict=True))
    return Loss(per_hour, projected)


def open_incident(alert: str, detector: str, families: Iterable[str], spent: Amounts, loss: Loss) -> Incident:
    """Return the incident that a detector opens."""
    found = tuple(sorted(set(families)))
    return Incident(alert, detector, found, _judge(found, loss), _find_power(spent))


def escalate(incident: Incident, families: Iterable[str], spent: Amounts, loss: Loss) -> tuple[Incident, str | None]:
    """Return the incident after one more call, and the reason to tell of it again; None where there is none."""
    found = tuple(sorted({*incident.families, *families}))
    severity = PAGE if incident.severity == PAGE else _judge(found, loss)
    passed = max(incident.passed, _find_power(spent))
    reason = None
    if severity != incident.severity:
        news = [family for family in found if family not in incident.families]
        reason = f"{news[0]} too" if len(found) > 1 and news else f"about to cost more than {MAX_LOSS}"
    elif passed > incident.passed:
        reason = f"cost more than {passed}"
    return replace(incident, families=found, severity=severity, passed=passed), reason


def _judge(families: tuple[str, ...], loss: Loss) -> str:
    is_dear = any(amount > MAX_LOSS * PICO for _, amount in loss.projected)
    return PAGE if len(families) > 1 or is_dear else WARNING


def _find_power(spent: Amounts) -> int:
    """Return the greatest power of ten, from 1, that the greatest sum has passed; 0 where it has passed none."""
    units = max((amount // PICO for _, amount in spent), default=0)
    return 0 if units < 1 else 10 ** (len(str(units)) - 1)
