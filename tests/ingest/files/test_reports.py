"""Files of public reports that other programs counted wrong, against amounts worked out by hand from list prices.

The folder that ``TALLY_TEST_DATA`` names holds them as ``reports/files``, and its README their right values. The
dimensions that decide a price stand here, and what each call costs by the catalogue.
"""

from collections import Counter
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ingest.controls.prices import ensure_price_book
from ingest.files.importer import Options, import_files
from ledger.errors import TallyError
from ledger.log import PARTITIONS, Record, records
from ledger.log.sqlite.log import EmbeddedLog
from ledger.log.topics import DECISIONS, DOCUMENTS, ENTRIES, EVENTS
from ledger.pricing.price_book import pack_book
from ledger.pricing.price_book_file import parse_book
from ledger.settings import Settings
from streams.replay import replay
from tests.conftest import find_test_data
from tests.ingest.build import Kept
from tests.streams.build import START, budget, control, record

pytestmark = pytest.mark.traces


def report(name: str) -> Path:
    return find_test_data(f"reports/files/{name}")


def read_events(home: Path, *paths: Path) -> list[dict[str, Any]]:
    log = Kept()
    assert import_files(log, Settings(home=home), paths, Options()).rejected == 0
    return [event["data"] for event in log.events]


def rate_files(home: Path, *imports: list[Path], mapping: Path | None = None) -> list[Decimal]:
    """Import files in one run each, and return the list cost of each counted event, in the order of the log."""
    log, settings = EmbeddedLog(home), Settings(home=home)
    ensure_price_book(log, settings)
    for paths in imports:
        assert import_files(log, settings, paths, Options(mapping=mapping)).rejected == 0
    documents = {document.key: document.value for document in records(log, DOCUMENTS, 0, 0)}
    all_records = [*chain.from_iterable(records(log, EVENTS, partition, 0) for partition in range(PARTITIONS))]
    costs = []
    for topic, derived in replay(all_records, documents):
        if topic is ENTRIES:
            for line in derived.value.split(b"\n"):
                entry = msgspec.json.decode(line)
                if entry["outcome"] == "counted" and entry.get("kind") == "inference":
                    parts = (Decimal(part.get("list_cost") or 0) for part in entry.get("lines", ()))
                    costs.append(sum(parts, Decimal(0)))
    return costs


def test_a_session_of_claude_code_counts_the_last_line_of_an_answer(tmp_path: Path) -> None:
    path = report("claude-code.jsonl")
    copy = tmp_path / "resumed.jsonl"
    copy.write_bytes(path.read_bytes())
    costs = rate_files(tmp_path / "home", [path], [path, copy], [copy])
    assert sum(costs) == Decimal("0.05205075") and len(costs) == 2


def test_a_session_of_codex_counts_a_repeated_count_once(tmp_path: Path) -> None:
    costs = rate_files(tmp_path / "home", [report("codex.jsonl")], [report("codex.jsonl")])
    assert costs == [Decimal("0.0085"), Decimal("0.00975")] and sum(costs) == Decimal("0.01825")


def test_spend_logs_of_litellm_read_the_cache_in_their_metadata(tmp_path: Path) -> None:
    path = report("litellm-spendlogs.csv")
    costs = rate_files(tmp_path / "home", [path])
    assert (costs[0], costs[2]) == (Decimal("0.01395"), Decimal("0.0125"))
    hit = read_events(tmp_path / "other", path)[1]
    assert hit["response_cache"] == "hit" and hit["claimed_cost"] == "0"


def test_the_usage_of_openai_stands_for_its_calls(tmp_path: Path) -> None:
    first, second = read_events(tmp_path / "read", report("openai-usage.jsonl"))
    assert first["calls"] + second["calls"] == 157 and "project" not in second
    assert rate_files(tmp_path / "home", [report("openai-usage.jsonl")]) == [Decimal("6.60"), Decimal("0.01525")]


def test_the_console_of_anthropic_names_its_tier_of_context(tmp_path: Path) -> None:
    standard, batch, above, haiku = read_events(tmp_path / "read", report("anthropic-console.csv"))
    assert [row["context_tier"] for row in (standard, batch, above, haiku)] == [0, 0, 200_000, 0]
    assert batch["service_tier"] == "batch" and standard["period_s"] == haiku["period_s"] == 86_400
    costs = rate_files(tmp_path / "home", [report("anthropic-console.csv")])
    assert sorted(costs) == [Decimal("0.06"), Decimal("1.05"), Decimal("3.15"), Decimal("5.4675")]
    assert sum(costs) == Decimal("9.7275")


def test_every_row_of_cursor_is_taken(tmp_path: Path) -> None:
    rows = read_events(tmp_path, report("cursor.csv"))
    assert [sum(row["tokens"].values()) for row in rows] == [7500, 110, 0, 2620]
    assert [row.get("claimed_cost") for row in rows] == ["0.02", None, None, None]
    assert [row.get("left_out") for row in rows] == [None, ["Cost"], ["Cost"], ["Cost"]]


LIST_PRICES = """
name: list
currency: USD
providers: [{id: openai, models: [{id: gpt-4o, prices: [{rates: {input: 2.5, output: 10}}]}]}]
"""
DIGEST, PACKED = pack_book(parse_book(LIST_PRICES, "the test"))
DAY_S = 86_400
MADE_AT = datetime.fromisoformat("2026-11-29T16:22:13.756195+00:00")
"""The moment at which ``late.ndjson`` was made: its other times are some seconds, days and years from it."""


def build_log(home: Path, path: Path, limit: str, window_s: int, now: datetime, *later_s: float) -> list[Record]:
    """Import a file, and build its log: prices and a budget of its team, its calls at this time, and records later."""
    log = Kept()
    assert import_files(log, Settings(home=home), [path], Options()).rejected == 0
    now_s = (now - START).total_seconds()
    adoption = control("list", "price_book.adopted", name="list", document=DIGEST)
    made = [record(0, adoption, budget("limit", limit, window_s, team=path.stem), *log.lines, at_s=now_s)]
    return made + [record(number, at_s=now_s + second) for number, second in enumerate(later_s, 1)]


def list_decisions(made: list[Record]) -> list[tuple[int, int, Decimal]]:
    """Return the thresholds that were crossed: the offset at which, the threshold and what was spent."""
    decisions = (
        msgspec.json.decode(line)
        for topic, derived in replay(made, {DIGEST: PACKED})
        if topic is DECISIONS
        for line in derived.value.split(b"\n")
    )
    return [
        (line["offset"], line["threshold"], Decimal(line["used"]))
        for line in decisions
        if line["decision"] == "threshold.crossed"
    ]


@pytest.mark.parametrize("name", ["asc", "desc"])
def test_a_limit_is_crossed_whatever_the_order_of_calls(tmp_path: Path, name: str) -> None:
    path = report(f"{name}.ndjson")
    times = [datetime.fromisoformat(msgspec.json.decode(line)["time"]) for line in path.read_bytes().splitlines()]
    made = build_log(tmp_path, path, "10", DAY_S, max(times))
    assert len(times) == 20 and times == sorted(times, reverse=name == "desc")
    assert list_decisions(made) == [(0, 50, Decimal("5.6")), (0, 80, Decimal("8.4")), (0, 100, Decimal("10.5"))]


def test_late_facts_are_judged_by_the_window_that_holds_now_and_early_ones_when_due(tmp_path: Path) -> None:
    """A day late and within the bound of a clock are spent at once, a fast clock's when due; what is before the window
    or centuries ahead is not."""
    made = build_log(tmp_path, report("late.ndjson"), "20", 7 * DAY_S, MADE_AT, 11, 310)
    entries = [
        msgspec.json.decode(line)
        for topic, derived in replay(made, {DIGEST: PACKED})
        if topic is ENTRIES
        for line in derived.value.split(b"\n")
    ]
    outcomes = Counter(line["outcome"] for line in entries if line.get("kind") == "inference")
    assert outcomes == {"counted": 5, "held": 8, "release": 7}
    assert [line["offset"] for line in entries if line["outcome"] == "release"] == [1] + [2] * 6
    assert list_decisions(made) == [(2, 50, Decimal(10)), (2, 80, Decimal("17.5")), (2, 100, Decimal(20))]


def import_mapped(home: Path, path: Path, mapping: str) -> Kept:
    log, sheet = Kept(), home / "mapping.yaml"
    sheet.write_text(mapping)
    import_files(log, Settings(home=home), [path], Options(mapping=sheet))
    return log


NUMBERS = """
format: csv
delimiter: ";"
source: nums
id: [id]
time: {column: time}
fields: {model: model, claimed_cost: cost}
tokens: {input: input, output: output}
numbers: {thousands: ",", currency: {$: USD}, columns: {cost: {decimal: [".", ","], currency: {$: USD}}}}
absent: ["-", "NaN"]
"""


def test_numbers_are_read_in_the_forms_that_the_mapping_names(tmp_path: Path) -> None:
    log = import_mapped(tmp_path, report("nums.csv"), NUMBERS)
    facts = {
        event["id"]: (event["data"]["tokens"].get("input"), event["data"].get("claimed_cost")) for event in log.events
    }
    assert facts == dict.fromkeys("abcdh", (1000, "0.0045")) | {"e": (1000, None)} | dict.fromkeys("fgj", (None, None))
    assert all(event["data"]["tokens"]["output"] == 200 for event in log.events)
    ((path, reason),) = [(rejection["path"], rejection["reason"]) for rejection in log.rejections]
    assert path == "input" and "is below zero" in reason, "the row i"


TIMES = """
format: csv
source: times
id: [id]
time: {column: time, unit: [iso, s], format: "%b %d, %Y, %I:%M:%S %p", zone: UTC}
fields: {model: model}
tokens: {input: input}
"""


def test_times_are_read_with_and_without_fraction_and_zone(tmp_path: Path) -> None:
    log = import_mapped(tmp_path, report("times.csv"), TIMES)
    fractions = {"b": timedelta(seconds=0.5), "g": timedelta(microseconds=123_456)}
    moment = datetime.fromisoformat("2026-11-02T10:00:00+00:00")
    times = {event["id"]: datetime.fromisoformat(event["time"]) for event in log.events}
    assert times == {id: moment + fractions.get(id, timedelta()) for id in "abcdefgh"}
    assert not log.rejections


def test_a_misspelt_column_is_refused_with_the_nearest_names(tmp_path: Path) -> None:
    path, mapping = report("typo.csv"), report("typo.yaml").read_text()
    with pytest.raises(
        TallyError, match=r"'promt_tokens'; the nearest is 'prompt_tokens'.*'completion_token'; the near"
    ):
        import_mapped(tmp_path, path, mapping)
    right = (
        mapping.replace("promt_", "prompt_").replace("completion_token}", "completion_tokens}").replace("Team", "team")
    )
    events = import_mapped(tmp_path, path, right).events
    tokens = [event["data"]["tokens"] for event in events]
    assert tokens == [{"input": 1000, "output": 200}, {"input": 2000, "output": 400}]
    assert sum(rate_files(tmp_path / "home", [path], mapping=tmp_path / "mapping.yaml")) == Decimal("0.0135")


def test_ids_of_several_columns_do_not_collide(tmp_path: Path) -> None:
    path, mapping = report("coll.csv"), report("coll.yaml")
    events = import_mapped(tmp_path, path, mapping.read_text()).events
    assert len({event["id"] for event in events}) == 2
    assert rate_files(tmp_path / "home", [path], mapping=mapping) == [Decimal("2.50"), Decimal("5.00")]
