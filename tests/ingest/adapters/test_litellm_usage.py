"""LiteLLM's spend logs: usage that the table does not have, or that a spreadsheet has cut, and the caller."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from tallystick.gateways.litellm_payload import CALLER_FIELDS, CALLER_TAGS, METADATA_OBJECTS, read_payload
from tallystick.vocabulary.fitting import fit_fields
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
    csv.writer(text).writerows([list(ROW | cells), list((ROW | cells).values())])
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


@pytest.mark.parametrize("count", range(len(METADATA_OBJECTS) + 1))
def test_a_call_has_the_same_caller_by_its_row_and_by_its_logging_payload(tmp_path: Path, count: int) -> None:
    """Of places that name one field, or one tag, the same wins: the later of tags, key, spend logs and request."""
    names = METADATA_OBJECTS[:count]
    metadata: dict[str, Any] = {
        name: {"tallystick.feature": name, "tallystick.tags.region": name, f"tallystick.tags.{name}": "x"}
        for name in names
    } | dict.fromkeys((*CALLER_FIELDS, *CALLER_TAGS), "c")
    tags = ["tallystick.feature:tags", "tallystick.tags.region:tags", "env:prod", "batched"]
    data = read_row(tmp_path, metadata=json.dumps(metadata), request_tags=json.dumps(tags), api_key="")
    payload = fit_fields(read_payload({"metadata": metadata, "request_tags": tags})).fields
    fields = ("feature", "tags", *CALLER_FIELDS.values())
    assert [data[field] for field in fields] == [payload[field] for field in fields]
    assert data["feature"] == data["tags"]["region"] == (names[-1] if names else "tags")


@pytest.mark.parametrize("value", ["x", 7, ["x"], {"tallystick": {"tags": "x"}}])
def test_tags_that_are_no_object_are_left_out_and_cost_no_call(tmp_path: Path, value: Any) -> None:
    tags = value if isinstance(value, dict) else {"tallystick.tags": value}
    metadata = {"requester_metadata": tags, "user_api_key_alias": "alias"}
    data = read_row(tmp_path, metadata=json.dumps(metadata), request_tags='["env:prod"]')
    assert data["tags"] == {"env": "prod", "key_alias": "alias"} and data["left_out"] == ["tallystick.tags"]
