"""One form of numbers, moments and names of organizations, wherever one enters."""

import json
import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from ingest.adapters.adapter import INFERENCE_TYPE
from ingest.files.plan import parse_start
from ingest.files.set_options import parse_set_options
from ingest.intake.batch import Batch, Envelope
from ingest.intake.intake import seal_event
from ingest.intake.rejection import Rejection
from ingest.mapping.reader import RowReader
from ingest.mapping.sheet import parse_sheet
from ledger.errors import TallyError
from ledger.home import tokens
from ledger.moments import moment_of
from ledger.organizations import check_organization
from ledger.pricing.price_book import Rate
from ledger.pricing.price_book_file import parse_book
from ledger.yaml_files import read_yaml
from tally.cli import arguments
from tallystick.vocabulary.base import Amount, Ratio, Time, decimal_of, time_of
from tallystick.vocabulary.controls.budgets import BudgetAllocated
from tallystick.vocabulary.event import ANY_EVENT
from tallystick.vocabulary.observation import Observation, Target
from tests.ingest.build import Kept
from tests.streams.build import BOOK

NO_NUMBERS = (
    "١", "１", "1_0", " 1", "1 ", "1\n", "+1", "1e999999", "Infinity", "NaN", "-inf", ".5", "5.", "05", "0x1",
    "", "1,5", "१", "1.٥", "--1", "1" * 100,
)  # fmt: skip
NO_TIMES = (
    "1700000000", "1700000000000", "2024-01-01", "20240101T000000Z", "2024-W01-1T00:00:00Z", "2024-001T00:00:00Z",
    "2024-01-01 00:00:00Z", "2024-01-01T00:00Z", "2024-01-01T00:00:00+0000", "2024-01-01T00:00:00 Z",
    "٢٠٢٤-01-01T00:00:00Z", "2024-13-01T00:00:00Z", "2024-02-30T00:00:00Z", "2024-01-01T24:00:00Z",
    "2024-01-01T00:00:60Z", "2024-01-01T00:00:00,5Z", "2024-01-01T00:00:00Z\n", "0000-01-01T00:00:00Z",
    "10000-01-01T00:00:00Z", "-2024-01-01T00:00:00Z", "now", "",
)  # fmt: skip
OUTSIDE = ("1999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2200-01-01T00:00:00Z")
NO_ORGANIZATIONS = (
    "", " ", "a\n", "a\nb", "a\tb", "a\0", "\u200b", "a\u200bb", "\u202eacme", "acme ", " acme", "\u3164", "\u2800",
    "\ufeffacme", "a\u2028b", "\x1b[31m", "a" * 257, "_platform", "\u00adacme", "a\ufe0f",
)  # fmt: skip


@pytest.mark.parametrize("text", NO_NUMBERS)
def test_other_forms_are_no_numbers(text: str) -> None:
    for read in (decimal_of, TypeAdapter(Amount).validate_python, TypeAdapter(Ratio).validate_python):
        with pytest.raises(ValueError, match="plain digits"):
            read(text)
    with pytest.raises(TallyError, match="for example 100"):
        arguments.parse_amount(text, "--limit")
    with pytest.raises(TallyError, match="a number and s, m, h or d"):
        arguments.parse_duration_s(f"{text}h", "--window")
    with pytest.raises(ValidationError, match="plain digits"):
        BudgetAllocated.model_validate(
            {"dimension": "team", "scope": "x", "limit": text, "currency": "USD", "window_s": 60}
        )
    with pytest.raises(Rejection, match="plain digits"):
        event(data={"claimed_cost": text})
    with pytest.raises(TallyError):
        parse_book(BOOK.replace("input: 1,", f"input: {text!r},"), "mine.yaml")
    if text not in ("05", "1" * 100):
        with pytest.raises(ValidationError):
            Observation(value=text)
    if text.strip() not in ("", "1", "NaN"):  # a mapping trims cells, and NaN is an absent value in files
        with pytest.raises(Rejection, match=r"must be a number|whole number|below zero"):
            mapped("tokens", text)


def test_numbers_are_read() -> None:
    with pytest.raises(TallyError, match="for example 100"):
        arguments.parse_amount("1e3", "--limit")
    assert event(data={"claimed_cost": "1E+3"})[0] == event(data={"claimed_cost": "1000"})[0]
    assert [decimal_of(text) for text in ("0", "100", "0.250", "-1.5")] == [0, 100, Decimal("0.25"), Decimal("-1.5")]
    assert event(data={"claimed_cost": 0.5})[0] == event(data={"claimed_cost": "0.50"})[0]
    assert mapped("tokens", "12.0")["data"]["tokens"] == {"input": 12}
    assert mapped("cost", "5e-05")["data"]["claimed_cost"] == "0.00005"


NO_IDENTIFIERS = (" ", "\t\n", "\u200b", "\u2060\ufeff", "\u3164", "\u00a0", "\u202e", "\u00ad", "\ufe0f\u2800", "\x1b")


@pytest.mark.parametrize("text", NO_IDENTIFIERS)
def test_an_id_and_a_source_show_something(text: str) -> None:
    for field in ("id", "source"):
        with pytest.raises(Rejection, match=rf"^{field}: must have a character that shows"):
            event(**{field: text})
        with pytest.raises(ValidationError, match="character that shows"):
            Target.model_validate({"source": "s", "id": "1"} | {field: text})
    with pytest.raises(TallyError, match="character that shows"):
        parse_sheet(f"format: csv\nsource: {json.dumps(text)}\ntime: {{column: t}}", "the test", {})
    with pytest.raises(TallyError):
        check_organization(text, "--organization", "be an organization")
    event(id=f"{text}1", source=f"a{text}")


EXPONENTS = ("1e3", "5e-05", "1E+3", "1.5e3", "1.123456789012345678901234567890e2", "0e0")
NO_EXPONENTS = (
    "10e3",
    "1e100",
    "1e3e3",
    "e3",
    ".5e1",
    "1.e3",
    "1e",
    "1e3 ",
    "+1e3",
    "\uff11e3",
    "1e\u0663",
    "1_0e3",
    "1e3.5",
)


@pytest.mark.parametrize("text", [*EXPONENTS, *NO_EXPONENTS])
def test_one_exponent_is_read_alike_everywhere(text: str) -> None:
    """By the vocabulary, a mapping and the published schema. An option or a setting takes plain digits alone."""
    fields = ANY_EVENT.json_schema()["$defs"]["Inference"]["properties"]
    branches = fields["claimed_cost"]["anyOf"][0].get("anyOf", fields["claimed_cost"]["anyOf"])
    (pattern,) = [branch["pattern"] for branch in branches if "pattern" in branch]
    assert bool(re.fullmatch(pattern, text)) is (text in EXPONENTS)
    with pytest.raises(ValueError, match="plain digits"):
        decimal_of(text)
    if text in EXPONENTS:
        amount = TypeAdapter(Rate).validate_python(text)
        assert amount == Decimal(text) == decimal_of(text, exponent=True)
        assert Decimal(mapped("cost", text)["data"]["claimed_cost"]) == round(amount, 12)
        return
    with pytest.raises(Rejection, match="plain digits"):
        event(data={"claimed_cost": text})
    claim = mapped("cost", text)["data"]
    assert claim.get("left_out") == ["claimed_cost"] or (text.strip() in EXPONENTS and "claimed_cost" in claim)


@pytest.mark.parametrize("text", ["1_0", "010", "0x10", "1:30", ".5", ".inf", "+1", "1_0.5"])
def test_yaml_has_one_form_of_numbers_too(text: str) -> None:
    """YAML 1.1 reads 010 as eight, and 1:30 as ninety."""
    assert read_yaml(f"rate: {text}") == {"rate": text}
    with pytest.raises(TallyError):
        parse_book(BOOK.replace("input: 1,", f"input: {text},"), "mine.yaml")


@pytest.mark.parametrize("text", NO_TIMES)
def test_other_forms_are_no_times(text: str) -> None:
    for read in (time_of, TypeAdapter(Time).validate_python):
        with pytest.raises(ValueError, match=r"RFC 3339|of the calendar"):
            read(text)
    with pytest.raises(Rejection, match=r"^time: must be a moment"):
        event(time=text)
    if text != "2024-01-01":
        with pytest.raises(ValueError, match="must be a moment"):
            moment_of(text)
        with pytest.raises(TallyError, match="--start"):
            parse_start(text)


@pytest.mark.parametrize("time", [1700000000, 1.7e9, True, None, [], {}])
def test_a_number_is_no_time(time: object) -> None:
    with pytest.raises(Rejection, match=r"^time: "):
        event(time=time)


@pytest.mark.parametrize("text", OUTSIDE)
def test_times_lie_between_two_years(text: str) -> None:
    with pytest.raises(Rejection, match=r"^time: must lie between 2000 and 2200$"):
        event(time=text)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("2024-01-01T00:00:00Z", "2024-01-01T00:00:00.000000Z"),
        ("2024-01-01t02:00:00.5+02:00", "2024-01-01T00:00:00.500000Z"),
        ("2024-01-01T00:00:00.123456789z", "2024-01-01T00:00:00.123456Z"),
        ("2024-02-29T00:00:00-00:00", "2024-02-29T00:00:00.000000Z"),
    ],
)  # fmt: skip
def test_times_are_read(text: str, line: str) -> None:
    assert f'"time":"{line}"'.encode() in event(time=text)[0]


@pytest.mark.parametrize(
    "text", ["1700000000", "2024-W01-1 00:00:00Z", "20240101T000000Z", "2024-01", "2024-1-1 0:0:0Z"]
)
def test_a_mapping_reads_dates_as_databases_write_them(text: str) -> None:
    with pytest.raises(Rejection, match="is not a time"):
        mapped("time", text)
    assert mapped("time", "2024-01-01 02:00:00.5+02")["time"] == "2024-01-01T00:00:00.500000+00:00"


@pytest.mark.parametrize(("field", "text"), [("latency_ms", "١"), ("latency_ms", "1_0"), ("latency_ms", "05")])
def test_what_is_filled_in_has_the_same_form(field: str, text: str) -> None:
    with pytest.raises(TallyError, match=f"--set {field}"):
        parse_set_options([f"{field}={text}"], ())


@pytest.mark.parametrize("name", NO_ORGANIZATIONS)
def test_such_a_name_is_no_organization(tmp_path: Path, name: str) -> None:
    entries: list[Callable[[], object]] = [
        lambda: check_organization(name, "--organization", "be an organization"),
        lambda: tokens.create_token(tmp_path, ["acme", name], ["write"]),
        lambda: Batch(Kept(), Envelope(name, "http", "x"), "key"),
    ]
    for enter in entries:
        with pytest.raises(TallyError, match=r"cannot (be|have) .*: name one of 1 to 256 visible") as caught:
            enter()
        assert "\n" not in str(caught.value) and str(caught.value).isprintable()


@pytest.mark.parametrize("name", ["acme", "Bücher & Söhne", "日本", "a b", "team-7/eu", "a" * 256])
def test_visible_names_are(name: str) -> None:
    check_organization(name, "--organization", "be an organization")


def event(**said: object) -> tuple[bytes, object]:
    whole = {"id": "1", "source": "s", "type": INFERENCE_TYPE, "time": "2026-01-05T12:00:00Z", "data": {}}
    return seal_event(whole | said)


def mapped(column: str, text: str) -> dict[str, Any]:
    columns = "time: {column: time, zone: UTC}, tokens: {input: tokens}, fields: {claimed_cost: cost}"
    made = parse_sheet(f"{{format: csv, source: s, {columns}}}", "m.yaml", {})
    return RowReader(made, {}).read({"time": "2024-01-01T00:00:00Z", column: text}).event
