"""Sources of whole events by rows, each against its golden files: what every adapter does, and what no file may do.

``golden/<format>/`` holds files in the form that the source documents, with content marked ``QZXMARKED``, and
``expected.json``: where the form is documented, and for each file its events, with token classes worked out by hand
from the documented meaning of the counts, its rejections and the count of rows that hold no call.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.adapters.adapter import Format, SourceEvent
from ingest.adapters.registry import FORMATS, get_format
from ingest.files.folders import read_beginning
from ingest.files.importer import Options, import_files
from ingest.files.source_rows import Layout, SourcePlan, read_events
from ingest.intake.rejection import Rejection
from ledger.errors import TallyError
from ledger.settings import Settings
from ledger.token_classes import INPUT_CLASSES
from tallystick import Inference
from tests.ingest.build import Kept

GOLDEN = Path(__file__).parent / "golden"
MARK = "qzxmarked"
WITHOUT_CONTENT = ("anthropic-usage", "cursor-usage", "openai-usage", "openrouter-activity")
SOURCES = [source for source in FORMATS if source.rows is not None]
FILES = sorted(path for path in GOLDEN.glob("*/*") if path.name != "expected.json")


def _name_file(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


each_file = pytest.mark.parametrize("path", FILES, ids=_name_file)
each_source = pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
in_one_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)


def read(path: Path, row_format: Format | None = None) -> dict[str, Any]:
    """Read a file with its adapter alone: events, rejections, and the count of rows without a call."""
    row_format = row_format or get_format(path.parent.name)
    assert row_format.rows is not None
    head = read_beginning(path).parse_head()
    plan = SourcePlan(row_format, row_format.rows, Layout(head.container, head.delimiter))
    events: list[dict[str, Any]] = []
    rejections: list[dict[str, Any]] = []
    skipped = 0
    with path.open("rb") as file:
        for number, _, event, is_late in read_events(file, plan, path.stem):
            skipped -= is_late
            if isinstance(event, Rejection):
                rejections.append({"row": number, "field": event.field, "reason": event.reason})
            elif event is None:
                skipped += 1
            else:
                time = event.time.isoformat() if event.time else None
                events.append({"id": event.id, "time": time, "data": event.data})
    return {"events": events, "rejections": rejections, "skipped": skipped}


def import_into(home: Path, *paths: Path, **options: Any) -> tuple[Any, Kept]:
    log = Kept()
    return import_files(log, Settings(home=home), paths, Options(**options)), log


def test_every_source_has_golden_files() -> None:
    assert {folder.name for folder in GOLDEN.iterdir()} == {source.name for source in SOURCES}


@each_file
def test_golden_files_give_their_events(path: Path) -> None:
    expected = json.loads((path.parent / "expected.json").read_text())
    assert expected["documented"].startswith("https://") or "files themselves" in expected["documented"]
    assert read(path) == expected["files"][path.name]


@each_file
def test_golden_events_are_accepted_and_sum_to_their_totals(path: Path) -> None:
    for event in read(path)["events"]:
        data = event["data"]
        Inference.model_validate_json(json.dumps(data))
        assert data["adapter"] == path.parent.name and data["adapter_version"] and data["ingress"]
        tokens, totals = data.get("tokens", {}), data.get("reported_tokens", {})
        assert not ("tokens" in data and data["usage_source"] != "reported")
        input_count = sum(count for name, count in tokens.items() if name in INPUT_CLASSES)
        sums = {"input": input_count, "output": sum(tokens.values()) - input_count, "total": sum(tokens.values())}
        assert not tokens or all(sums[name] == total for name, total in totals.items())


@each_file
def test_a_file_is_known_by_its_beginning_to_one_format(path: Path) -> None:
    head = read_beginning(path).parse_head()
    assert [candidate.name for candidate in FORMATS if candidate.recognises(head)] == [path.parent.name]


@each_file
def test_importing_twice_or_as_a_copy_adds_nothing(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / f"copy-{path.name}"
    copy.write_bytes(path.read_bytes())
    first, log = import_into(tmp_path, path)
    _, again = import_into(tmp_path, path)
    assert log.lines and set(again.lines) == set(log.lines)
    _, copied = import_into(tmp_path, copy)
    assert set(copied.lines) == set(log.lines) and len(set(log.identities)) == len(log.lines)
    assert first.received == first.accepted + first.rejected == len(log.lines) + first.rejected


@each_file
def test_no_content_reaches_the_log(path: Path, tmp_path: Path) -> None:
    assert MARK.upper() in path.read_text() or path.parent.name in WITHOUT_CONTENT or path.name == "fork.jsonl"
    summary, log = import_into(tmp_path, path)
    values = [record.value for records in log.records.values() for record in records]
    texts = b"".join(values).decode().lower() + repr(summary).lower().replace(str(path).lower(), "")
    assert MARK not in texts and "@example.com" not in texts


@pytest.mark.parametrize("path", [path for path in FILES if path.suffix != ".json"], ids=_name_file)
def test_a_cut_file_and_then_the_whole_end_where_the_whole_does(path: Path, tmp_path: Path) -> None:
    """A file that grows: for each identity the greatest revision is the same as of the whole file at once."""
    whole = _last_revisions(import_into(tmp_path, path)[1])
    lines = path.read_bytes().splitlines(keepends=True)
    for count in range(1, len(lines)):
        part = tmp_path / path.name
        part.write_bytes(b"".join(lines[:count]))
        grown = _last_revisions(import_into(tmp_path, part, format=path.parent.name)[1])
        assert all(revision <= whole[id][0] for id, (revision, _) in grown.items())
        assert all(line == whole[id][1] for id, (revision, line) in grown.items() if revision == whole[id][0])


def _last_revisions(log: Kept) -> dict[str, tuple[int, bytes]]:
    greatest: dict[str, tuple[int, bytes]] = {}
    for event, line in zip(log.events, log.lines, strict=True):
        revision = event["data"].get("revision", 0)
        if greatest.get(event["id"], (-1, b""))[0] < revision:
            greatest[event["id"]] = revision, line
    return greatest


@each_source
def test_set_fills_what_the_source_lacks_and_nothing_that_it_has(source: Format, tmp_path: Path) -> None:
    path = next(path for path in FILES if path.parent.name == source.name)
    assert source.rows is not None
    _, log = import_into(tmp_path, path, sets=["inference_class=gold", "tags.added=yes", "team=filled"])
    for event, golden in zip(log.events, read(path)["events"], strict=False):
        data = event["data"]
        assert data["inference_class"] == "gold" and data["tags"]["added"] == "yes"
        assert data["team"] == golden["data"].get("team", "filled")
    for field in ("usage_source=missing", "adapter=x", "revision=1"):
        with pytest.raises(TallyError, match="itself: leave it out"):
            import_into(tmp_path, path, sets=[field])


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 10**14), st.floats(), st.text(max_size=6), st.just({}), st.just([None]),
    st.sampled_from(["1,000", "12.0", "-1", "$0.02", "NaN", "\\N", "a" * 300, "\x00", "٣", "2026-13-01", '{"a": [1}']),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2), st.lists(st.integers(), max_size=2),
)  # fmt: skip
JSON_FILES = [path for path in FILES if path.suffix in (".json", ".jsonl")]
CSV_FILES = [path for path in FILES if path.suffix == ".csv"]


def _places(document: Any) -> Iterator[tuple[Any, Any]]:
    items = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for key, value in list(items):
        yield document, key
        yield from _places(value)


@in_one_folder
@given(st.sampled_from(JSON_FILES), VALUES, st.data())
def test_any_value_in_any_place_is_accepted_or_refused(
    tmp_path: Path, path: Path, value: Any, data: st.DataObject
) -> None:
    """No value costs the file, and none makes tokens of what was not read: classes still sum to their totals."""
    text = path.read_text()
    documents = [json.loads(line) for line in text.splitlines()] if path.suffix == ".jsonl" else [json.loads(text)]
    owner, key = data.draw(st.sampled_from([place for document in documents for place in _places(document)]))
    owner[key] = value
    changed = tmp_path / path.name
    separator = "\n" if path.suffix == ".jsonl" else ""
    changed.write_text(separator.join(json.dumps(document) for document in documents))
    _check_any_file(changed, path.parent.name, tmp_path)


@in_one_folder
@given(st.sampled_from(CSV_FILES), VALUES, st.data())
def test_any_value_in_any_cell_is_accepted_or_refused(
    tmp_path: Path, path: Path, value: Any, data: st.DataObject
) -> None:
    header, *rows = path.read_text().splitlines()
    row = data.draw(st.integers(0, len(rows) - 1))
    cells = rows[row].split(",")
    cells[data.draw(st.integers(0, len(cells) - 1))] = str(value).replace("\n", " ").replace("\r", " ")
    rows[row] = ",".join(cells)
    changed = tmp_path / path.name
    changed.write_text("\n".join([header, *rows]), newline="")
    _check_any_file(changed, path.parent.name, tmp_path)


def _check_any_file(path: Path, name: str, home: Path) -> None:
    try:
        summary, log = import_into(home, path, format=name, start=None)
    except TallyError as error:
        assert "JSON document" in str(error) or "is empty" in str(error)
        return
    assert summary.rejected == 0 or all(refusal.reason for refusal in summary.refusals)
    for event in log.events:
        data = event["data"]
        tokens, totals = data.get("tokens", {}), data.get("reported_tokens", {})
        assert not tokens or totals.get("total", sum(tokens.values())) == sum(tokens.values())
        assert tokens or data["usage_source"] != "reported" or data.get("quantities")


def test_a_row_without_a_time_takes_start(tmp_path: Path) -> None:
    path = GOLDEN / "openai-batch" / "input.jsonl"
    summary, log = import_into(tmp_path, path, start=datetime(2026, 11, 3, tzinfo=UTC))
    assert summary.rejected == 0
    assert [event["time"] for event in log.events if event["id"] == "batch_req_3"] == ["2026-11-03T00:00:00.000000Z"]
    with pytest.raises(TallyError, match="--start is for rows without a time"):
        import_into(tmp_path, GOLDEN / "codex" / "session.jsonl", start=datetime(2026, 11, 3, tzinfo=UTC))


def test_an_unknown_format_names_the_formats(tmp_path: Path) -> None:
    with pytest.raises(
        TallyError, match=r"--format 'codecs' is no format: use one of .*claude-code.*did you mean codex"
    ):
        import_into(tmp_path, GOLDEN / "codex" / "session.jsonl", format="codecs")


def test_events_of_other_files_are_copies_only_where_the_source_has_some() -> None:
    event = SourceEvent("a", None, {"revision": 2})
    for source in SOURCES:
        assert source.rows is not None
        plan = SourcePlan(source, source.rows, Layout("jsonl"))
        assert not plan.is_copy(event)
        assert plan.is_copy(event._replace(data={"revision": 1})) == source.rows.has_copies
        assert not plan.is_copy(event._replace(data={"revision": 3}))


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("litellm-spend-logs", {"request_id": "r", "startTime": "2026-11-02", "prompt_tokens": "many", "spend": "1"}),
        ("openrouter-activity", {"generation_id": "g", "created_at": "2026-11-02", "tokens_prompt": -1}),
        ("helicone-requests", {"request_id": "r", "request_created_at": "2026-11-02", "prompt_tokens": "many"}),
        ("bedrock-invocation", {"requestId": "r", "timestamp": "2026-11-02", "input": {"inputTokenCount": "many"}}),
        ("langfuse-observations", {"id": "o", "startTime": "2026-11-02", "usageDetails": "{10}"}),
        ("cursor-usage", {"Date": "2026-11-02", "Output Tokens": "many"}),
        ("anthropic-usage", {"usage_date_utc": "2026-11-02", "usage_output_tokens": "many"}),
        ("openai-usage", {"start_time": 1793577600, "num_model_requests": 1, "input_tokens": "many"}),
        ("codex", {"timestamp": "2026-11-02", "type": "event_msg", "payload": {"type": "token_count", "info": {
            "total_token_usage": {"input_tokens": 1}, "last_token_usage": {"input_tokens": 1, "cache_tokens": 9}}}}),
        ("claude-code", {"type": "assistant", "timestamp": "2026-11-02", "uuid": "u", "message": {"usage": {
            "input_tokens": 1, "cache_audio_tokens": 9}}}),
    ],
)  # fmt: skip
def test_a_count_that_is_not_read_makes_usage_unknown(name: str, row: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text(json.dumps(row))
    (event,) = read(path, get_format(name))["events"]
    assert event["data"]["usage_source"] == "unknown" and "tokens" not in event["data"]


def test_pages_of_an_api_may_stand_in_a_list_or_a_line_each(tmp_path: Path) -> None:
    page = (GOLDEN / "openai-usage" / "page.json").read_text()
    expected = read(GOLDEN / "openai-usage" / "page.json")["events"]
    for text in (f"[{page}]", json.dumps(json.loads(page)) + "\n"):
        path = tmp_path / "openai-usage.json"
        path.write_text(text)
        assert read(path, get_format("openai-usage"))["events"] == expected
        head = read_beginning(path).parse_head()
        assert [candidate.name for candidate in FORMATS if candidate.recognises(head)] == ["openai-usage"]
