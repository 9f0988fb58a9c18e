"""Parse the options of ``tally grant``: limits, lists of names, and what happens at a limit."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, get_args

from ledger.errors import TallyError
from tally.cli.arguments import parse_choice, parse_duration_s
from tallystick.rights.zones import list_offsets
from tallystick.vocabulary.base import format_decimal
from tallystick.vocabulary.controls.budgets import UnknownUsage
from tallystick.vocabulary.controls.grants import MONEY

METERS = ("billed", "notional", "tokens", "calls")
CALENDAR = ("day", "week", "month", "quarter", "year")
AT_LIMIT = ("deny", "throttle", "warn")
_MULTIPLES = {"": 1, "k": 10**3, "M": 10**6, "B": 10**9}
_EXAMPLES = "for example billed:100USD/1h, calls:1000/day@Europe/Berlin or tokens:5M/total"
MAX_ROLLING_S = 90 * 86_400
YEARS_BEFORE, YEARS_AFTER = 2, 20
"""The offsets of a zone are written into the record from before every window that is open now, to years after it."""
_YEAR = timedelta(days=366)


def parse_limit(text: str, first_month: int | None = None) -> dict[str, Any]:
    """Parse ``METER:AMOUNT/WINDOW,floor=AMOUNT,lend=AMOUNT`` into a limit of the vocabulary."""
    meter, colon, rest = text.partition(":")
    amount, slash, rest = rest.partition("/")
    window, *parts = rest.split(",")
    if not (colon and slash and window):
        raise TallyError(f"--limit is {text!r}: write METER:AMOUNT/WINDOW, {_EXAMPLES}")
    parse_choice(meter, METERS, f"the meter of --limit {text}")
    limit: dict[str, Any] = {"meter": meter, **_parse_amount(meter, amount, text)}
    if window != "total":
        limit["window"] = _parse_window(window, text, first_month)
    for part in parts:
        name, _, value = part.partition("=")
        number = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([kMB]?)", value)
        if name not in ("floor", "lend") or name in limit or not number:
            raise TallyError(
                f"a part of --limit {text} is {part!r}: write floor=AMOUNT and lend=AMOUNT behind the window, once "
                "each, without a currency, for example billed:60USD/day,floor=40,lend=10"
            )
        limit[name] = format_decimal(Decimal(number[1]) * _MULTIPLES[number[2]])
    return limit


def build_limits(
    texts: Sequence[str], thresholds: str | None, at_limit: str | None, unknown_usage: str | None,
    first_month: int | None,
) -> list[dict[str, Any]]:  # fmt: skip
    """Build the limits of a command; thresholds, and what happens at the limit, are those of all of them."""
    options = {
        "--thresholds": thresholds, "--at-limit": at_limit, "--unknown-usage": unknown_usage,
        "--first-month": first_month,
    }  # fmt: skip
    for option, value in options.items():
        if value is not None and not texts:
            raise TallyError(f"{option} {value} is that of a limit, and none is given: give --limit too")
    shared: dict[str, Any] = {}
    if thresholds is not None:
        shared["thresholds"] = _parse_thresholds(thresholds)
    if at_limit is not None:
        shared |= _parse_at_limit(at_limit)
    if unknown_usage is not None:
        shared["unknown_usage"] = parse_choice(unknown_usage, get_args(UnknownUsage), "--unknown-usage")
    return [parse_limit(text, first_month) | shared for text in texts]


def build_allow(lists: Mapping[str, str | None]) -> dict[str, list[str]]:
    """Build the set of calls from options with names, such as ``models`` and ``gpt-5,gpt-5-mini``."""
    return {dimension: _parse_names(names, dimension) for dimension, names in lists.items() if names is not None}


def _parse_names(text: str, dimension: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        option = f"--{dimension.replace('_', '-')}"
        raise TallyError(f"{option} is {text!r}: write names with commas between, for example a,b")
    return names


def _parse_amount(meter: str, amount: str, text: str) -> dict[str, Any]:
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([kMB]?)([A-Z]{3})?", amount)
    if not match:
        raise TallyError(f"the amount of --limit {text} is {amount!r}: write a number, {_EXAMPLES}")
    currency = match[3]
    if (meter in MONEY) != (currency is not None):
        way_out = f"write its currency, for example {meter}:{amount}USD" if meter in MONEY else "leave the currency out"
        raise TallyError(f"the amount of --limit {text} is {amount!r}, and {meter} {_describe_meter(meter)}: {way_out}")
    value = Decimal(match[1]) * _MULTIPLES[match[2]]
    if value == 0:
        raise TallyError(
            f"the amount of --limit {text} is 0: write more, or stop the grant with `tally grant narrow --pause`"
        )
    if meter not in MONEY and value != int(value):
        raise TallyError(
            f"the amount of --limit {text} is {amount!r}, and {meter} are counted whole: write a whole number"
        )
    facts: dict[str, Any] = {"amount": format_decimal(value)}
    return facts | ({"currency": currency} if currency else {})


def _describe_meter(meter: str) -> str:
    return "is money" if meter in MONEY else "has no currency"


def _parse_window(window: str, text: str, first_month: int | None) -> dict[str, Any]:
    kind, at, zone = window.partition("@")
    if kind in CALENDAR:
        return _build_calendar(kind, zone if at else "UTC", text, first_month)
    if not re.fullmatch(r"[0-9]+[smhd]", window):
        choices = (
            f"a length such as 5m, 1h or 7d; {', '.join(CALENDAR)}, also with a time zone (day@Europe/Berlin); or total"
        )
        raise TallyError(f"the window of --limit {text} is {window!r}: write {choices}")
    seconds = parse_duration_s(window, f"the window of --limit {text}")
    if not 60 <= seconds <= MAX_ROLLING_S or seconds % 60:
        raise TallyError(f"the window of --limit {text} is {window!r}: write whole minutes, at most 90 days")
    return {"rolling_s": seconds}


def _build_calendar(kind: str, zone: str, text: str, first_month: int | None) -> dict[str, Any]:
    window: dict[str, Any] = {"calendar": kind}
    if zone != "UTC":
        try:
            now = datetime.now(UTC)
            offsets = list_offsets(zone, now - YEARS_BEFORE * _YEAR, now + YEARS_AFTER * _YEAR)
            window |= {"zone": zone, "offsets": [offset.model_dump(mode="json") for offset in offsets]}
        except (ValueError, OSError) as error:
            way_out = (
                error if isinstance(error, ValueError) else f"{zone!r} is no time zone: write Europe/Berlin or such"
            )
            raise TallyError(f"the window of --limit {text} is not possible: {way_out}") from None
    if first_month is not None and kind in ("quarter", "year"):
        window["first_month"] = first_month
    return window


def _parse_thresholds(text: str) -> list[int]:
    percents = text.split(",")
    if not all(re.fullmatch(r"[1-9][0-9]?|100", percent) for percent in percents) or len(percents) > 8:
        raise TallyError(f"--thresholds is {text!r}: write up to 8 whole percents from 1 to 100, for example 50,80,100")
    return [int(percent) for percent in percents]


def _parse_at_limit(text: str) -> dict[str, str]:
    answer, equals, model = text.partition("=")
    if answer == "downgrade":
        if not model:
            raise TallyError(f"--at-limit is {text!r}: name the model, for example downgrade=gpt-5-mini")
        return {"at_limit": answer, "downgrade_to": model}
    if equals or answer not in AT_LIMIT:
        raise TallyError(f"--at-limit is {text!r}: choose one of {', '.join(AT_LIMIT)} and downgrade=MODEL")
    return {"at_limit": answer}
