"""Replays of past calls under proposed grants equal sums that are made another way, and say what they leave out."""

import itertools
import json
import random
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ingest.controls.registry.declaration import GRANTS, read_sections
from ingest.intake.batch import Envelope
from ledger.errors import TallyError
from ledger.log import partition_of
from ledger.log.documents import store_document
from ledger.log.sqlite.log import EmbeddedLog
from ledger.log.topics import EVENTS
from ledger.money import PICO
from ledger.organizations import PLATFORM
from ledger.pricing.price_book import pack_book
from ledger.pricing.price_book_file import parse_book
from ledger.settings import Settings
from tally.cli.grant_file import read_grants_section
from tally.cli.grant_replay import parse_period
from tally.product.grants.replay import Report, replay_grants
from tests.streams.build import BOOK, DOCUMENTS, START, adopt, call, control, correction
from tests.tally.conftest import invoke

DAY = timedelta(days=1)
TEAMS = ("a", "b", "c")
FILE = """
grants:
  top: {scope: organization=acme, limits: [billed:30USD/1h, calls:40/day]}
  a: {parent: top, scope: team=a, limits: [billed:9USD/1h]}
  a2: {parent: top, scope: team=a, regions: [eu], limits: [calls:4/day, tokens:9M/total]}
  b: {parent: top, scope: team=b, regions: [eu], limits: [{limit: billed:4USD/2h, at_limit: warn}]}
"""


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EmbeddedLog]:
    seconds = itertools.count(int((START + 3 * DAY).timestamp()))  # all calls were before
    with closing(EmbeddedLog(tmp_path / "home", lambda: next(seconds))) as log:
        for digest, packed in DOCUMENTS.items():
            store_document(log, digest, packed)
        append(log, adopt())
        yield log


def append(log: EmbeddedLog, *lines: bytes) -> None:
    log.append(EVENTS, [Envelope("acme", "test", "test").make_draft(b"\n".join(lines))])


def replay(log: EmbeddedLog, text: str = FILE, start: datetime = START, end: datetime = START + DAY) -> Report:
    declared = read_grants_section(read_sections(text, "g.yaml")[GRANTS])
    return replay_grants(log, Settings(home=log.folder.parent, organization="acme"), declared, start, end)


LIMITS: dict[str, list[tuple[str, int | None, int]]] = {
    "top": [("dollars", 3600, 30), ("calls", None, 40)], "a": [("dollars", 3600, 9)],
    "a2": [("calls", None, 4), ("tokens", 0, 9_000_000)], "b": [],
}  # fmt: skip
HOLDINGS: dict[str, list[str]] = {"a": ["a", "a2"], "b": ["b"], "c": []}
REGIONS = {"a2": "eu", "b": "eu"}


class Hand:
    """Judges each call by adding up all that were allowed before it."""

    def __init__(self) -> None:
        self.allowed: list[tuple[dict[str, Any], set[str]]] = []
        self.refused: dict[str, list[dict[str, Any]]] = {}

    def judge(self, past: dict[str, Any]) -> None:
        names = HOLDINGS[past["team"]]
        chosen = next((name for name in names if self.allows(name, past)), None)
        if self.has_room("top", past) and (chosen is not None or not names):
            self.allowed.append((past, {"top", *filter(None, [chosen])}))
        else:
            self.refused.setdefault(past["team"], []).append(past)

    def allows(self, name: str, past: dict[str, Any]) -> bool:
        return REGIONS.get(name, past["region"]) == past["region"] and self.has_room(name, past)

    def has_room(self, name: str, past: dict[str, Any]) -> bool:
        for unit, window_s, amount in LIMITS[name]:
            counted = [old for old, names in self.allowed if name in names and self.is_held(window_s, old, past)]
            if sum(old[unit] for old in counted) + past[unit] > amount:
                return False
        return True

    def is_held(self, window_s: int | None, old: dict[str, Any], past: dict[str, Any]) -> bool:
        if not window_s:
            return window_s == 0 or old["time"].date() == past["time"].date()
        first, last = (int(moment.timestamp()) * 60 // window_s for moment in (old["time"], past["time"]))
        return last - first <= 60


@pytest.mark.parametrize("seed", range(3))
def test_a_replay_equals_sums_that_are_made_by_hand(seed: int, log: EmbeddedLog) -> None:
    chance, hand = random.Random(seed), Hand()
    calls: list[dict[str, Any]] = []
    for number in range(120):
        tokens = chance.choice((100_000, 500_000, 2_000_000))
        calls.append({
            "time": START + timedelta(seconds=chance.randrange(40 * 3600)), "id": f"c{number}",
            "team": chance.choice(TEAMS), "region": chance.choice(("eu", "eu", "us")), "tokens": tokens,
            "dollars": Decimal(tokens) / 1_000_000, "calls": 1,
        })  # fmt: skip
    append(log, *(
        call(past["id"], (past["time"] - START).total_seconds(), team=past["team"], region=past["region"],
             tokens={"input": past["tokens"]})
        for past in calls
    ))  # fmt: skip
    append(log, call("before", -1, team="a"), control("g", "grant.created", grant="now", dimension="team", scope="a"))
    end = log.ends(EVENTS)
    report = replay(log, end=START + 2 * DAY)
    for past in sorted(calls, key=lambda past: past["time"]):
        hand.judge(past)
    assert (report.calls, report.allowed) == (120, len(hand.allowed))
    groups = report.list_groups("deny", "throttle")
    for team, refused in hand.refused.items():
        holder = f"team {team}" if HOLDINGS[team] else "organization acme"
        found = [group for group in groups if group.holder == holder]
        dollars = sum(past["dollars"] for past in refused) * PICO
        assert sum(group.calls for group in found) == len(refused)
        assert min(group.first_us for group in found) == refused[0]["time"].timestamp() * 1_000_000
        assert sum(group.billed["USD"] for group in found) == dollars == sum(group.notional["USD"] for group in found)
    assert len(hand.refused) == 3 and log.ends(EVENTS) == end, "nothing is written"


def test_calls_are_as_corrections_left_them(log: EmbeddedLog) -> None:
    append(log, *(call(name, number, team="a") for number, name in enumerate("rxyz")))
    five = {"team": "a", "model": "m1", "tokens": {"input": 5_000_000}}
    append(
        log,
        correction("1", "x"),
        correction("2", "y", replacement=five),
    )
    append(
        log, call("free", 9, team="a", response_cache="hit"), call("batch", 9, team="a", calls=7, tokens={"input": 1})
    )
    report = replay(log, "grants: {a: {scope: team=a, limits: [billed:3USD/1h]}}")
    assert (report.calls, report.allowed) == (11, 10)
    (group,) = report.list_groups("deny")
    assert (group.reason, group.calls, group.billed["USD"]) == ("billed/USD/3600s", 1, 5 * PICO)


def test_calls_cost_what_a_restatement_made_of_them(log: EmbeddedLog) -> None:
    digest, packed = pack_book(parse_book(BOOK.replace("input: 1,", "input: 3,"), "the test"))
    store_document(log, digest, packed)
    append(log, *(call(name, number, team="a") for number, name in enumerate("xyz")))
    append(log, control("late", "price_book.adopted", name="test", document=digest))
    partition = partition_of("acme")
    restatement = control("again", "price.restated", first_offset=0, end_offset=log.ends(EVENTS)[partition])
    log.append(EVENTS, [Envelope(PLATFORM, "test", "test").make_draft(restatement)._replace(partition=partition)])
    append(log, correction("gone", "x"))
    report = replay(log, "grants: {a: {scope: team=a, limits: [billed:4USD/1h]}}")
    (group,) = report.list_groups("deny")
    assert (report.calls, group.calls, group.billed["USD"]) == (2, 1, 3 * PICO)


def test_each_answer_is_told_apart(log: EmbeddedLog) -> None:
    lines = [call(f"{team}{number}", number, team=team) for number in range(3) for team in "abcd"]
    append(log, *lines, call("other", 5, team="a", model="m9"), call("named", 6, team="d", grant="gone"))
    text = """
grants:
  a: {scope: team=a, limits: [billed:1USD/1h], at_limit: downgrade=m1-small, unknown_usage: tokens_only}
  b: {scope: team=b, limits: [billed:1USD/1h], at_limit: throttle}
  c: {scope: team=c, limits: [billed:1USD/1h], at_limit: warn}
  d: {scope: team=d, models: [m2]}
"""
    report = replay(log, text)
    shown = {
        answer: [(group.grant, group.reason or group.model, group.calls) for group in report.list_groups(answer)]
        for answer in ("deny", "throttle", "downgrade", "warn")
    }
    assert shown == {
        "deny": [("d", "outside models", 4)], "throttle": [("b", "billed/USD/3600s", 2)],
        "downgrade": [("a", "m1-small", 2)], "warn": [("c", "billed/USD/3600s", 2)],
    }  # fmt: skip


def test_a_downgrade_saves_what_the_other_model_costs_less(log: EmbeddedLog) -> None:
    cheap = BOOK.replace("    models:\n", "    models:\n      - {id: m2, prices: [{rates: {input: 0.1}}]}\n")
    digest, packed = pack_book(parse_book(cheap, "the test"))
    store_document(log, digest, packed)
    append(log, control("cheap", "price_book.adopted", name="test", document=digest))
    append(log, *(call(f"{number}", number, team="a") for number in range(3)))
    limit = "{limit: billed:1.15USD/1h, at_limit: downgrade=m2}"
    report = replay(log, f"grants: {{a: {{scope: team=a, limits: [{limit}]}}}}")
    assert [(group.answer, group.calls, group.billed["USD"]) for group in report.list_groups("downgrade", "deny")] == [
        ("downgrade", 1, PICO * 9 // 10), ("deny", 1, PICO),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "{a: {scope: team=a, expires: 2026-01-01}}",
            ("g.yaml:1: grants.a", "cannot be given at 2026", "expire"),
        ),
        ("{a: {scope: team=a, parent: b}}", ("grants.a.parent", "no grant 'b'")),
    ],
)
def test_grants_that_cannot_be_are_named(text: str, words: tuple[str, ...], log: EmbeddedLog) -> None:
    with pytest.raises(TallyError) as raised:
        replay(log, f"grants: {text}")
    assert [word for word in words if word not in str(raised.value)] == [], raised.value


Options = tuple[str | None, str | None, str | None]
NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("options", "days"),
    [
        ((None, None, None), ("2025-12-01", "2026-01-01")),
        (("last-month", None, None), ("2025-12-01", "2026-01-01")),
        (("this-month", None, None), ("2026-01-01", "2026-02-01")),
        (("2025-12", None, None), ("2025-12-01", "2026-01-01")),
        ((None, "2025-12-24", "2025-12-27"), ("2025-12-24", "2025-12-27")),
    ],
)
def test_a_period_is_a_month_or_two_days(options: Options, days: tuple[str, ...]) -> None:
    assert tuple(str(moment.date()) for moment in parse_period(*options, NOW)) == days


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("last-week", None, None), ("--period is 'last-week'", "2026-10")),
        (("2026-13", None, None), ("'2026-13'",)),
        (("last-month", "2026-01-01", None), ("two periods", "leave one")),
        ((None, "2026-01-01", None), ("--from and --to go together",)),
        ((None, "2026-01-02", "2026-01-01"), ("not before", "swap them")),
        ((None, "soon", "2026-01-01"), ("--from is 'soon'",)),
    ],
)
def test_a_period_that_cannot_be_says_why(options: Options, words: tuple[str, ...]) -> None:
    with pytest.raises(TallyError) as raised:
        parse_period(*options, NOW)
    assert [word for word in words if word not in str(raised.value)] == [], raised.value


def test_the_command_prints_a_table_and_facts(log: EmbeddedLog, tmp_path: Path) -> None:
    append(log, *(call(f"{number}", number, team="a") for number in range(3)), call("odd", 9, team="a", model="x"))
    file = tmp_path / "g.yaml"
    file.write_text("grants: {a: {scope: team=a, limits: [billed:1USD/1h]}}")
    home = {"TALLY_HOME": str(tmp_path / "home"), "TALLY_ORGANIZATION": "acme", "COLUMNS": "200"}
    period = ("--from", "2026-01-05", "--to", "2026-01-06")
    printed = invoke("grant", "replay", "--grants", str(file), *period, **home)
    assert printed.returncode == 0, printed.stderr
    text = " ".join(printed.stdout.split())
    assert "from 2026-01-05T00:00:00Z to 2026-01-06T00:00:00Z: 4; allowed 1, refused 3." in text
    assert "a team a billed/USD/3600s 3 2026-01-05 12:00:01 2 USD" in text
    assert "Saved: 2 USD billed, 2 USD at list price." in text and "Each call is an ask of what it used" in text
    facts = json.loads(invoke("grant", "replay", "--grants", str(file), *period, "--json", **home).stdout)
    assert facts["saved"] == {"USD": {"billed": "2", "list": "2"}} and facts["refused"][0]["first_at"]
    file.write_text("teams: {}")
    problem = invoke("grant", "replay", "--grants", str(file), **home)
    assert problem.returncode == 2 and "g.yaml has no section grants" in problem.stderr
