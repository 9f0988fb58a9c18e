"""``tally budget``: what is set, listed and removed, and what the commands say of it."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.tally.conftest import invoke

SEARCH = ("--scope", "team=search")


def write_call(id: str, time: str, input_tokens: int) -> str:
    data = {"model": "gpt-4o", "provider": "openai", "team": "search", "tokens": {"input": input_tokens}}
    event = {"source": "s", "id": id, "type": "tallystick.inference.v1", "time": time, "data": data}
    return json.dumps(event) + "\n"


def list_budgets(home: dict[str, str]) -> list[dict[str, Any]]:
    listed = invoke("budget", "list", "--json", **home)
    assert listed.returncode == 0
    budgets: list[dict[str, Any]] = json.loads(listed.stdout)
    return budgets


def test_a_budget_is_set_listed_and_removed(tmp_path: Path) -> None:
    home = {"TALLY_HOME": str(tmp_path / "home"), "COLUMNS": "200"}
    set_ = invoke("budget", "set", *SEARCH, "--limit", "10", "--window", "1d", "--reason", "x", **home)
    assert set_.returncode == 0
    (budget,) = list_budgets(home)
    assert (budget["scope"], budget["limit"], budget["used"]) == ("search", "10.000000000000", "0.000000000000")
    euro = ("--limit", "5", "--window", "1d", "--reason", "x", "--currency", "EUR")
    other = invoke("budget", "set", *SEARCH, *euro, **home)
    assert other.returncode == 2 and "is in USD, not in EUR" in other.stderr and "tally budget remove" in other.stderr
    unknown = invoke("budget", "remove", *SEARCH, "--window", "1h", **home)
    assert unknown.returncode == 2 and "it has: team=search, window 86400 s, in USD" in unknown.stderr
    assert invoke("budget", "remove", *SEARCH, "--window", "1d", **home).returncode == 0
    assert list_budgets(home) == []
    assert "No budgets in organization" in invoke("budget", "list", **home).stdout
    assert invoke("budget", "set", *SEARCH, *euro, **home).returncode == 0, "a removed budget leaves its currency free"


def test_a_list_names_its_moment_and_counts_what_is_spent_then(tmp_path: Path) -> None:
    """What was spent in January is in no window of today."""
    home = {"TALLY_HOME": str(tmp_path / "home"), "COLUMNS": "200"}
    invoke("budget", "set", *SEARCH, "--limit", "5", "--window", "1d", "--reason", "x", **home)
    now = datetime.now(UTC).isoformat()
    calls = write_call("now", now, 1_000_000) + write_call("old", "2026-01-01T00:00:00Z", 8_000_000)
    (tmp_path / "calls.ndjson").write_text(calls)
    imported = invoke("import", str(tmp_path / "calls.ndjson"), **home)
    assert imported.returncode == 0, imported.stderr
    (budget,) = list_budgets(home)
    assert (budget["used"], budget["used_percent"], budget["threshold"]) == ("2.500000000000", 50, 50)
    text = invoke("budget", "list", **home).stdout
    assert "2.5 USD" in text and f"As of {budget['as_of'][:10]}" in text


def test_a_budget_that_can_count_nothing_says_so(tmp_path: Path) -> None:
    home = {"TALLY_HOME": str(tmp_path / "home"), "COLUMNS": "200"}
    invoke("price", "adopt", **home)
    set_ = ("budget", "set", *SEARCH, "--limit", "5", "--window", "1h", "--reason", "x", "--currency")
    assert "no price and no contract in force is in EUR" in invoke(*set_, "EUR", **home).stderr
    (budget,) = list_budgets(home)
    assert "set the limit in USD" in budget["warning"]
    assert "Warning: team search" in invoke("budget", "list", **home).stderr
