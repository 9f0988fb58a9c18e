"""Options of ``tally grant``: what a limit may be, and what each mistake says."""

from datetime import UTC, datetime
from itertools import product
from typing import Any

import pytest

from ledger.errors import TallyError
from streams.folds.grants.records import read_change
from tally.cli.grant_options import build_allow, build_limits, parse_limit
from tally.product.grants.text import format_limit
from tallystick.vocabulary.controls.grants import GrantCreated

AMOUNTS = {"billed": ("100USD", "0.5EUR", "100BRL", "2kMXN"), "notional": ("1MUSD",), "tokens": ("5M", "1.5k", "7"),
           "calls": ("1000", "2B")}  # fmt: skip
WINDOWS = (
    "1m",
    "90m",
    "1h",
    "36h",
    "90d",
    "day",
    "week@Europe/Berlin",
    "month@UTC",
    "quarter",
    "year@Etc/GMT+4",
    "total",
)


@pytest.mark.parametrize(("meter", "window"), [*product(AMOUNTS, WINDOWS)])
def test_each_meter_has_each_window_and_is_written_as_it_was_read(meter: str, window: str) -> None:
    for amount in AMOUNTS[meter]:
        limit = parse_limit(f"{meter}:{amount}/{window}")
        fields = {"grant": "g", "dimension": "team", "scope": "s", "limits": [limit]}
        (valid,) = GrantCreated.model_validate(fields, strict=False).limits or ()
        assert valid.meter == meter
        (folded,) = read_change({"limits": [limit]}).limits
        (again,) = read_change({"limits": [parse_limit(format_limit(folded))]}).limits
        assert (again.key, again.amount) == (folded.key, folded.amount)


def test_a_floor_and_a_loan_are_parts_of_a_limit() -> None:
    for text in ("billed:60USD/day,floor=40,lend=10", "tokens:5M/total,floor=2M"):
        (folded,) = read_change({"limits": [parse_limit(text)]}).limits
        assert format_limit(folded) == text


def test_a_zone_has_its_offsets_around_today() -> None:
    offsets = parse_limit("calls:1/day@Europe/Berlin")["window"]["offsets"]
    times = [datetime.fromisoformat(offset["since"]) for offset in offsets]
    assert {offset["minutes"] for offset in offsets} == {60, 120}
    assert times[0].year <= datetime.now(UTC).year - 2 and times[-1].year >= datetime.now(UTC).year + 18
    assert "offsets" not in parse_limit("calls:1/day@UTC")["window"]


def test_options_of_limits_are_those_of_all() -> None:
    limits = build_limits(["calls:1/1h", "tokens:2/year"], "80,50", "downgrade=gpt-5-mini", "deny", 4)
    for limit in limits:
        assert limit["thresholds"] == [80, 50] and limit["unknown_usage"] == "deny"
        assert (limit["at_limit"], limit["downgrade_to"]) == ("downgrade", "gpt-5-mini")
    assert limits[1]["window"] == {"calendar": "year", "first_month": 4} and "first_month" not in limits[0]["window"]
    assert build_allow({"models": "a, b", "regions": None}) == {"models": ["a", "b"]}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("100", "METER:AMOUNT/WINDOW"), ("billed:100USD", "METER:AMOUNT/WINDOW"), ("spend:1USD/1h", "billed, notional"),
        ("billed:100/1h", "billed:100USD"), ("tokens:5USD/1h", "leave the currency out"), ("billed:x/1h", "'x'"),
        ("billed:-1USD/1h", "'-1USD'"), ("tokens:0/1h", "--pause"), ("calls:1.5/1h", "whole number"),
        ("billed:1usd/1h", "'1usd'"), ("calls:1,000/1h", "'1,000'"), ("calls:1/91d", "90 days"),
        ("calls:1/30s", "whole minutes"), ("calls:1/61s", "whole minutes"), ("calls:1/hourly", "day, week, month"),
        ("calls:1/decade@UTC", "day, week, month"), ("calls:1/day@Nowhere/At", "'Nowhere/At'"),
        ("calls:1/day@", "''"), ("calls:1/day@Europe", "'Europe'"), ("calls:1/0h", "whole minutes"),
        ("billed:60USD/day,floor=40USD", "floor=AMOUNT"), ("billed:60USD/day,lend=4,lend=5", "once each"),
        ("billed:60USD/day,40", "'40'"),
    ],
)  # fmt: skip
def test_a_limit_that_cannot_be_says_why(text: str, words: str) -> None:
    with pytest.raises(TallyError) as raised:
        parse_limit(text)
    assert text in str(raised.value) and words in str(raised.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (([], "50", None, None, None), ("--thresholds 50", "--limit")),
        (([], None, None, None, 4), ("--first-month 4", "--limit")),
        ((["calls:1/1h"], "0,101", None, None, None), ("'0,101'", "1 to 100")),
        ((["calls:1/1h"], "50;80", None, None, None), ("'50;80'", "50,80,100")),
        ((["calls:1/1h"], None, "downgrade", None, None), ("'downgrade'", "downgrade=gpt-5-mini")),
        ((["calls:1/1h"], None, "stop", None, None), ("'stop'", "throttle")),
        ((["calls:1/1h"], None, "deny=x", None, None), ("'deny=x'", "throttle")),
        ((["calls:1/1h"], None, None, "free", None), ("'free'", "tokens_only")),
    ],
)  # fmt: skip
def test_an_option_that_cannot_be_says_why(options: Any, words: tuple[str, ...]) -> None:
    with pytest.raises(TallyError) as raised:
        build_limits(*options)
    assert [word for word in words if word not in str(raised.value)] == []


def test_names_are_none_of_them_empty() -> None:
    with pytest.raises(TallyError, match=r"--data-classes is 'a,,b'"):
        build_allow({"data_classes": "a,,b"})
