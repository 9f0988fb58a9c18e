"""The published traces, against a calculation of their own; and what the folds make of an import."""

import csv
import json
import os
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ingest.files.importer import Options, import_files
from ingest.files.outcomes import await_outcomes
from ledger.log.sqlite.log import EmbeddedLog
from ledger.settings import Settings
from tests.conftest import find_test_data
from tests.ingest.build import LINE, Kept, azure

FOLDS = "from streams.embedded.worker import run; from ledger.settings import Settings; run(Settings())"


def totals(path: Path, home: Path) -> tuple[Kept, Counter[str]]:
    log = Kept()
    summary = import_files(log, Settings(home=home), [path])
    assert summary.rejected == 0 and len(set(log.identities)) == summary.accepted
    tokens: Counter[str] = Counter()
    for event in log.events:
        tokens.update(event["data"]["tokens"])
    return log, tokens


@pytest.mark.traces
def test_the_trace_of_azure(tmp_path: Path) -> None:
    path = find_test_data("azure_llm_2023_code.csv")
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    log, tokens = totals(path, tmp_path)
    assert tokens == {
        "input": sum(int(row["ContextTokens"]) for row in rows),
        "output": sum(int(row["GeneratedTokens"]) for row in rows),
    }
    assert [event["time"] for event in log.events] == [
        row["TIMESTAMP"].replace(" ", "T")[:26] + "Z" for row in rows
    ]  # fmt: skip


@pytest.mark.traces
def test_the_trace_of_mooncake(tmp_path: Path) -> None:
    path = find_test_data("mooncake_conversation.jsonl")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    expected: Counter[str] = Counter()
    blocks: set[int] = set()
    for row in rows:
        last = len(row["hash_ids"]) - 1
        sizes = [512] * last + [row["input_length"] - 512 * last]
        read = sum(size for size, block in zip(sizes, row["hash_ids"], strict=True) if block in blocks)
        blocks.update(row["hash_ids"])
        expected.update(input=row["input_length"] - read, cache_read=read, output=row["output_length"])
    log, tokens = totals(path, tmp_path)
    assert tokens == expected
    start = datetime(2024, 6, 1, tzinfo=UTC)
    assert [datetime.fromisoformat(event["time"]) for event in log.events] == [
        start + timedelta(milliseconds=row["timestamp"]) for row in rows
    ]


def test_what_became_of_the_accepted(tmp_path: Path) -> None:
    file = tmp_path / "trace.csv"
    lines = [LINE.replace(b"4808", b"%d" % n) for n in range(1200)]
    log, settings = EmbeddedLog(tmp_path), Settings(home=tmp_path)
    file.write_bytes(azure(*lines, b"bad"))
    first = import_files(log, settings, [file])
    file.write_bytes(azure(*lines, LINE, LINE.replace(b"2023", b"2199")))
    second = import_files(log, settings, [file])
    file.write_bytes(azure(*lines))
    third = import_files(log, settings, [file], Options(sets=["team=search"]))
    folds = subprocess.Popen([sys.executable, "-c", FOLDS], env=os.environ | {"TALLY_HOME": str(tmp_path)})
    progress_calls: list[tuple[int, int]] = []

    def progress(done_bytes: int, total: int) -> None:
        assert folds.poll() is None, "the folds ended"
        progress_calls.append((done_bytes, total))

    try:
        outcomes = [await_outcomes(log, summary.appended, progress) for summary in (first, second, third)]
    finally:
        folds.terminate()
        folds.wait()
    assert [(outcome.counted, outcome.duplicate, outcome.conflict, outcome.quarantined) for outcome in outcomes] == [
        (1200, 0, 0, 0), (1, 1200, 0, 0), (0, 0, 1200, 0),
    ]  # fmt: skip
    assert outcomes[1].held == 1 and outcomes[1].hint() is None
    assert outcomes[2].conflicts[0][2:] == (first.appended[0].partition, 0, 0) and "--set" in (outcomes[2].hint() or "")
    assert progress_calls[-1] == (3, 3)
