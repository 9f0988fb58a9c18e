"""The published traces, from import to warehouse, compared with an independent calculation on the files."""

import csv
import json
from decimal import Decimal
from pathlib import Path

import pytest

from tests.conftest import find_test_data
from tests.tally.conftest import tally
from tests.warehouse.plugin import InstallWarehouse

PRICES = {"input": Decimal("2.5e-6"), "cache_read": Decimal("1.25e-6"), "output": Decimal("1e-5")}
"""Price of a token of gpt-4o in dollars (genai-prices)."""
BLOCK = 512


def azure(path: Path) -> tuple[int, dict[str, int]]:
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    tokens = {"input": "ContextTokens", "output": "GeneratedTokens"}
    return len(rows), {name: sum(int(row[column]) for row in rows) for name, column in tokens.items()}


def mooncake(path: Path) -> tuple[int, dict[str, int]]:
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    seen_blocks: set[int] = set()
    tokens = dict.fromkeys(PRICES, 0)
    for row in rows:
        remaining = row["input_length"]
        for block in row["hash_ids"]:
            size = min(BLOCK, remaining)
            remaining -= size
            tokens["cache_read" if block in seen_blocks else "input"] += size
        seen_blocks.update(row["hash_ids"])
        tokens["output"] += row["output_length"]
    return len(rows), tokens


@pytest.mark.traces
def test_both_traces_are_proved_and_equal_an_independent_calculation(
    tmp_path: Path, install_warehouse: InstallWarehouse
) -> None:
    files = {
        azure: find_test_data("azure_llm_2023_code.csv"),
        mooncake: find_test_data("mooncake_conversation.jsonl"),
    }
    home = str(install_warehouse(tmp_path / "home").home)
    expected = {}
    for read, file in files.items():
        command = tally("import", str(file), "--set", "model=gpt-4o", "--set", f"team={read.__name__}", TALLY_HOME=home)
        assert command.returncode == 0, command.stderr
        calls, tokens = read(file)
        cost = sum((PRICES[name] * number for name, number in tokens.items()), Decimal(0))
        expected[read.__name__] = calls, {name: number for name, number in tokens.items() if number}, cost

    verification = tally("verify", "--json", TALLY_HOME=home)
    assert verification.returncode == 0, verification.stdout + verification.stderr
    query = """
        SELECT team, uniqExact(offset, seq) AS calls, sumMap(map(class, quantity)) AS tokens, sum(billed_cost) AS cost
        FROM tally.entries GROUP BY team
    """
    answer = tally("sql", query, "--format", "JSONEachRow", TALLY_HOME=home)
    for row in (json.loads(line, parse_float=Decimal) for line in answer.stdout.splitlines()):
        calls, tokens, cost = expected.pop(row["team"])
        assert int(row["calls"]) <= calls, "a call without tokens has no entry"
        assert {name: int(number) for name, number in row["tokens"].items()} == tokens
        assert row["cost"] == cost
    assert not expected, answer.stderr
    events = json.loads(verification.stdout)["events"]
    assert events["counted"] == events["received"] == sum(read(file)[0] for read, file in files.items())
