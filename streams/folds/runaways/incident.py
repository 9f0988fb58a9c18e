"""An incident: one runaway as people are told of it, from the first warning to its end (pure).

One family of signals warns. A second one, or a loss that is about to pass what a runaway may cost before somebody is
called, makes it a page. It escalates then, and whenever its cost passes the next power of ten.
"""

from collections.abc import Iterable
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from ledger.money import PICO, brief, text

WARNING, PAGE = "warning", "page"
Amounts = tuple[tuple[str, int], ...]
"""Sums in pico by currency, sorted."""
HOUR_US = 3_600 * 1_000_000
MIN_DURATION_US = 60 * 1_000_000
"""A rate is of a minute at least: four calls in a second do not cost that each second."""


class Incident(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A runaway as it was told. ``power`` is the greatest power of ten that its cost has passed; 0 below 1."""

    alert: str
    detector: str
    families: tuple[str, ...]
    severity: str
    power: int


class Loss(NamedTuple):
    """The cost of a runaway in an hour, and its cost with an hour more, in pico by currency."""

    per_hour: Amounts
    projected: Amounts


def project_loss(costs: Amounts, duration_us: int) -> Loss:
    """Project what was spent in a duration by an hour."""
    duration_us = max(duration_us, MIN_DURATION_US)
    per_hour = tuple((currency, amount * HOUR_US // duration_us) for currency, amount in costs)
    projected = tuple((currency, amount + rate) for (currency, amount), (_, rate) in zip(costs, per_hour, strict=True))
    return Loss(per_hour, projected)


def open_incident(
    alert: str, detector: str, families: Iterable[str], costs: Amounts, loss: Loss, max_loss: int
) -> Incident:
    """Return the incident that a detector opens. One that is about to cost more than ``max_loss`` is a page."""
    all_families = tuple(sorted(set(families)))
    return Incident(alert, detector, all_families, _judge(all_families, loss, max_loss), _find_power(costs))


def escalate(
    incident: Incident, families: Iterable[str], costs: Amounts, loss: Loss, max_loss: int
) -> tuple[Incident, str | None]:
    """Return the incident after one more call, and the reason to tell of it again; None where there is none."""
    all_families = tuple(sorted({*incident.families, *families}))
    severity = PAGE if incident.severity == PAGE else _judge(all_families, loss, max_loss)
    power = max(incident.power, _find_power(costs))
    reason = None
    if severity != incident.severity:
        news = [family for family in all_families if family not in incident.families]
        is_family = len(all_families) > 1 and news
        reason = f"{news[0]} too" if is_family else f"about to cost more than {brief(text(max_loss))}"
    elif power > incident.power:
        reason = f"cost more than {power}"
    return replace(incident, families=all_families, severity=severity, power=power), reason


def _judge(families: tuple[str, ...], loss: Loss, max_loss: int) -> str:
    is_dear = any(amount > max_loss for _, amount in loss.projected)
    return PAGE if len(families) > 1 or is_dear else WARNING


def _find_power(costs: Amounts) -> int:
    """Return the greatest power of ten, from 1, that the greatest sum has passed; 0 where it has passed none."""
    units = max((amount // PICO for _, amount in costs), default=0)
    return 0 if units < 1 else 10 ** (len(str(units)) - 1)
