"""Files of public reports that other programs counted wrong, against amounts worked out by hand from list prices.

The folder that ``TALLY_TEST_DATA`` names holds them as ``reports/files``, and its README their right values. The
dimensions that decide a price stand here, and what each call costs by the catalogue.
"""

from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ingest.controls.prices import ensure_price_book
from ingest.files.importer import Options, import_files
from ledger.log import PARTITIONS, records
from ledger.log.sqlite.log import EmbeddedLog
from ledger.log.topics import DOCUMENTS, ENTRIES, EVENTS
from ledger.settings import Settings
from streams.replay import replay
from tests.conftest import find_test_data
from tests.ingest.build import Kept

pytestmark = pytest.mark.traces


def report(name: str) -> Path:
    return find_test_data(f"reports/files/{name}")


def read_events(home: Path, *paths: Path) -> list[dict[str, Any]]:
    log = Kept()
    assert import_files(log, Settings(home=home), paths, Options()).rejected == 0
    return [event["data"] for event in log.events]


def rate_files(home: Path, *imports: list[Path]) -> list[Decimal]:
    """Import files in one run each, and return the list cost of each counted event, in the order of the log."""
    log, settings = EmbeddedLog(home), Settings(home=home)
    ensure_price_book(log, settings)
    for paths in imports:
        assert import_files(log, settings, paths).rejected == 0
    documents = {record.key: record.value for record in records(log, DOCUMENTS, 0, 0)}
    all_records = [record for partition in range(PARTITIONS) for record in records(log, EVENTS, partition, 0)]
    costs = []
    for topic, record in replay(all_records, documents):
        if topic is ENTRIES:
            for line in record.value.split(b"\n"):
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
