"""Files of providers' responses: ``tally import --format openai_chat``."""

import json
from pathlib import Path

import pytest

from ingest.adapters.adapter import SourceEvent
from ingest.adapters.head import read_head
from ingest.adapters.registry import find_format, get_format
from ingest.files.importer import Options, import_files
from ingest.intake.rejection import Rejection
from ledger.settings import Settings
from tallystick.usage.reader import list_forms, read_fields
from tests.ingest.build import Kept
from tests.sdk.usage.golden_payloads import GOLDEN, Golden

PAYLOADS = [golden for golden in GOLDEN if golden.form in list_forms()]


def read(form: str, line: bytes) -> SourceEvent:
    source = get_format(form).rows
    assert source is not None
    (event,) = source.make_reader("f").read(line)
    assert isinstance(event, SourceEvent)
    return event


@pytest.mark.parametrize(
    "golden", [golden for golden in GOLDEN if golden.form in list_forms()], ids=lambda golden: golden.name
)
def test_a_line_gives_the_tokens_of_the_reader(golden: Golden) -> None:
    fields = read_fields(golden.payload, golden.form) or {}
    data = read(golden.form, json.dumps(golden.payload).encode()).data
    assert data.get("tokens") == fields.get("tokens")


@pytest.mark.parametrize("form", list_forms())
def test_no_file_is_recognized_as_a_form(form: str) -> None:
    format_of_line = find_format(read_head(b'{"id":"1","usage":{"prompt_tokens":1}}'))
    assert get_format(form).name == form and (format_of_line is None or format_of_line.name != form)


def test_what_is_no_response_is_rejected() -> None:
    with pytest.raises(Rejection, match="is not JSON: write a response"):
        read("openai_chat", b"{half")


def test_a_file_of_responses_is_imported_once(tmp_path: Path) -> None:
    path = tmp_path / "responses.jsonl"
    response = {
        "id": "chatcmpl-1", "created": 1_780_315_200, "model": "gpt-4o-2024-08-06",
        "choices": [{"message": {"content": "CONTENT"}}],
        "usage": {"prompt_tokens": 1000, "completion_tokens": 200, "total_tokens": 1200},
    }  # fmt: skip
    path.write_text(json.dumps(response) + "\n")
    log = Kept()
    summary = import_files(log, Settings(home=tmp_path / "home"), [path], Options(format="openai_chat"))
    (event,) = log.events
    assert (summary.accepted, summary.rejected) == (1, 0) and b"CONTENT" not in log.lines[0]
    assert event["id"] == "chatcmpl-1" and event["data"]["tokens"] == {"input": 1000, "output": 200}
