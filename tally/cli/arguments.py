"""Parse the values of options: pairs, durations, amounts. TallyError names the option and its form."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import TypeVar

from ledger.errors import TallyError
from tallystick.vocabulary.base import decimal_of

T = TypeVar("T")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_pair(text: str, option: str) -> tuple[str, str]:
    """Parse ``name=value``."""
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise TallyError(f"{option} is {text!r}: write NAME=VALUE, for example team=search")
    return name, value


def parse_choice(text: str, choices: Sequence[T], option: str) -> T:
    """Return the choice that equals the text."""
    for choice in choices:
        if choice == text:
            return choice
    raise TallyError(f"{option} is {text!r}: choose one of {', '.join(map(str, choices))}")


def parse_duration_s(text: str, option: str) -> int:
    """Parse a whole number with its unit into seconds: ``90s``, ``5m``, ``1h``, ``7d``."""
    match = re.fullmatch(r"(0|[1-9][0-9]{0,8})([smhd])", text)
    if not match:
        raise TallyError(f"{option} is {text!r}: write a number and s, m, h or d, for example 1h")
    return int(match[1]) * _UNITS[match[2]]


def parse_window_s(text: str, option: str) -> int:
    """Parse the length of a budget's window: whole minutes, at most 31 days."""
    seconds = parse_duration_s(text, option)
    if not 60 <= seconds <= 31 * 86400 or seconds % 60:
        raise TallyError(f"{option} is {text!r}: write whole minutes, at most 31 days, for example 5m, 1h or 7d")
    return seconds


def parse_time(text: str, option: str) -> str:
    """Parse a day or a moment of RFC 3339 into a moment; a day begins at midnight, and UTC is meant without a zone."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise TallyError(f"{option} is {text!r}: write a day or a time, for example 2026-10-01") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).isoformat()


def check_span(times: Mapping[str, str], since: str | None, until: str | None) -> None:
    """TallyError where both ends of a span, parsed by :func:`parse_time`, hold no time between them."""
    if len(times) == 2 and datetime.fromisoformat(times["since"]) >= datetime.fromisoformat(times["until"]):
        raise TallyError(f"--since {since} is not before --until {until}, so no call lies between: swap them")


def parse_amount(text: str, option: str) -> Decimal:
    """Parse an exact amount of money."""
    try:
        return decimal_of(text)
    except ValueError:
        raise TallyError(f"{option} is {text!r}: write an amount of money, for example 100 or 0.25") from None
