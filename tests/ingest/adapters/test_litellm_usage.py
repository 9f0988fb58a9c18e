"""Usage of LiteLLM's spend logs where the table says nothing, or where a spreadsheet has cut it."""

import csv
import io
from pathlib import Path
from typing import Any

import pytest

from tests.ingest.adapters.test_row_sources import read

ROW = {
    "request_id": "r-1", "call_type": "acompletion", "api_key": "k", "spend": "0.01", "total_tokens": "10505",
    "prompt_tokens": "10500", "completion_tokens": "5", "startTime": "2026-11-02 10:00:00",
    "endTime": "2026-11-02 10:00:04", "model": "claude-sonnet-4-5", "model_group": "claude",
    "custom_llm_provider": "anthropic", "cache_hit": "False", "status": "success", "metadata": "{}",
}  # fmt: skip
ZEROS = {"prompt_tokens": "0", "completion_tokens": "0", "total_tokens": "0"}


def read_row(folder: Path, **cells: str) -> dict[str, Any]:
    path = folder / "litellm-spend-logs" / "logs.csv"
    path.parent.mkdir()
    text = io.StringIO()
    csv.writer(text).writerows([list(ROW), list((ROW | cells).values())])
    path.write_text(text.getvalue())
    (event,) = read(path)["events"]
    data: dict[str, Any] = event["data"]
    return data


@pytest.mark.parametrize("metadata", [
    "", "{}", "null", '{"usage_object": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}}',
    '{"usage_object": {"prompt_tokens": 0, "prompt_tokens_details": {"cached_tokens": 0}}}',
])  # fmt: skip
def test_zeros_are_a_missing_usage_and_no_free_call(tmp_path: Path, metadata: str) -> None:
    data = read_row(tmp_path, metadata=metadata, **ZEROS)
    assert data["usage_source"] == "missing" and "tokens" not in data


def test_metadata_that_were_cut_leave_the_usage_unknown(tmp_path: Path) -> None:
    data = read_row(tmp_path, metadata='{"usage_object": {"cache_read_input_tokens": 9000, "cache_cre')
    assert data["usage_source"] == "unknown" and "tokens" not in data
    assert data["provider_usage"]["prompt_tokens"] == 10500
