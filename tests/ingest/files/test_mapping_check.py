"""A mapping is compared with the whole file before a line is appended."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow  # type: ignore[import-untyped]
import pyarrow.parquet  # type: ignore[import-untyped]
import pytest
import yaml

from ingest.files import mapping_check
from ingest.files.importer import Options, Summary, import_files
from ingest.files.rows import read_rows
from ledger.errors import TallyError
from ledger.settings import Settings
from tests.ingest.build import Kept

SHEET: dict[str, Any] = {
    "format": "csv", "source": "s", "time": {"column": "at"}, "id": ["id"],
    "fields": {"model": "model", "team": {"column": "team", "words": {"s": "search"}}}, "tags": {"plan": "plan"},
    "tokens": {"input": "prompt_tokens"}, "calls": "n",
}  # fmt: skip
ROW = {"at": "2026-05-04T10:00:00Z", "id": "1", "model": "m", "team": "s", "plan": "p", "prompt_tokens": "1", "n": "2"}


def write(path: Path, kind: str, rows: list[dict[str, Any]]) -> bytes:
    if kind == "parquet":
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
        return path.read_bytes()
    if kind == "jsonl":
        return b"\n".join(json.dumps(row).encode() for row in rows)
    cells = [",".join(row.values()) for row in rows]
    return "\n".join([",".join(rows[0]), *cells]).encode()


def import_rows(folder: Path, rows: list[dict[str, Any]], kind: str = "csv", **keys: Any) -> tuple[Summary, Kept]:
    (folder / "file").write_bytes(write(folder / "file", kind, rows))
    (folder / "map.yaml").write_text(yaml.safe_dump(SHEET | {"format": kind} | keys))
    log = Kept()
    return import_files(log, Settings(home=folder), [folder / "file"], Options(mapping=folder / "map.yaml")), log


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize(
    ("key", "changed", "column"),
    [
        ("id", {"id": ["Id"]}, "id"),
        ("id.1", {"id": ["id", "plann"]}, "plan"),
        ("time", {"time": {"column": "aat"}}, "at"),
        ("fields.model", {"fields": {"model": "modle"}}, "model"),
        ("fields.team", {"fields": {"team": {"column": "Team", "words": {"s": "search"}}}}, "team"),
        ("tags.plan", {"tags": {"plan": "plans"}}, "plan"),
        ("tokens.input", {"tokens": {"input": "promt_tokens"}}, "prompt_tokens"),
        ("quantities.images", {"quantities": {"images": "nn"}}, "n"),
        ("reported.total", {"reported": {"total": "prompt_token"}}, "prompt_tokens"),
        ("calls", {"calls": "N"}, "n"),
    ],
)
def test_a_column_that_no_row_has_stops_the_import(
    tmp_path: Path, kind: str, key: str, changed: dict[str, Any], column: str
) -> None:
    with pytest.raises(TallyError, match=r"map\.yaml does not fit .*nothing was imported") as raised:
        import_rows(tmp_path, [ROW, ROW], kind, **changed)
    assert f"{key}: no column " in str(raised.value) and f"the nearest is {column!r}" in str(raised.value)


def test_every_wrong_column_is_named_at_once_and_nothing_is_appended(tmp_path: Path) -> None:
    log = Kept()
    (tmp_path / "good").write_bytes(write(tmp_path / "good", "csv", [ROW]))
    (tmp_path / "bad").write_bytes(b"at,id,model\n2026-05-04T10:00:00Z,1,m\n")
    (tmp_path / "map.yaml").write_text(yaml.safe_dump(SHEET))
    with pytest.raises(TallyError) as raised:
        import_files(
            log, Settings(home=tmp_path), [tmp_path / "good", tmp_path / "bad"], Options(mapping=tmp_path / "map.yaml")
        )
    assert all(f"{key}: " in str(raised.value) for key in ("fields.team", "tags.plan", "tokens.input", "calls"))
    assert not log.events and not log.records["tally.events"]


def test_a_path_is_looked_for_in_every_row(tmp_path: Path) -> None:
    rows = [ROW | {"usage": {"cached": None}} for _ in range(3)] + [
        ROW | {"usage": {"cached": None, "deep": [{"x": 1}]}}
    ]
    tokens = {"input": "prompt_tokens", "cache_read": "usage.deep.0.x"}
    _, log = import_rows(tmp_path, rows, "jsonl", tokens=tokens, id=[])
    assert [event["data"]["tokens"] for event in log.events] == [{"input": 1}] * 3 + [{"cache_read": 1, "input": 1}]
    with pytest.raises(TallyError, match=r"tokens.cache_read: no column 'usage.cache'; the nearest is 'usage.cached'"):
        import_rows(tmp_path, rows, "jsonl", tokens=tokens | {"cache_read": "usage.cache"})
    cells = [ROW | {"meta": '"{""a"": 1}"'}]
    with pytest.raises(TallyError, match=r"tags.plan: no column 'meta.b'; the nearest is 'meta.a'"):
        import_rows(tmp_path, cells, tags={"plan": "meta.b"})


def test_a_count_that_never_was_a_number_stops_the_import(tmp_path: Path) -> None:
    with pytest.raises(TallyError, match=r"tokens.input: no row holds a number in 'model'; the first value must be a"):
        import_rows(tmp_path, [ROW], tokens={"input": "model"})
    with pytest.raises(TallyError, match=r"calls: no row holds a number in 'n'; .*`absent: \['-'\]`"):
        import_rows(tmp_path, [ROW | {"n": "-"}])
    summary, _ = import_rows(tmp_path, [ROW | {"n": "x"}, ROW])
    assert (summary.accepted, summary.rejected) == (1, 1)


def test_a_column_that_is_always_empty_is_a_warning(tmp_path: Path) -> None:
    rows = [ROW | {"plan": "", "prompt_tokens": "\\N"}] * 2
    summary, log = import_rows(tmp_path, rows, fields={"model": "model", "team": "plan"})
    assert summary.warnings == [
        f"the column 'plan' (fields.team, tags.plan) is empty in every row of {tmp_path / 'file'}",
        f"the column 'prompt_tokens' (tokens.input) is empty in every row of {tmp_path / 'file'}",
    ]
    assert len(log.events) == 2


def test_a_column_that_some_files_lack_is_optional(tmp_path: Path) -> None:
    row = {name: value for name, value in ROW.items() if name != "plan"}
    summary, log = import_rows(tmp_path, [row], optional=["plan"])
    assert summary.accepted == 1 and "tags" not in log.events[0]["data"] and not summary.warnings


def test_rows_that_cannot_be_read_say_so_themselves(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"{\n[]\n")
    (tmp_path / "map.yaml").write_text(yaml.safe_dump(SHEET | {"format": "jsonl"}))
    summary = import_files(Kept(), Settings(home=tmp_path), [tmp_path / "file"], Options(mapping=tmp_path / "map.yaml"))
    assert summary.rejected == 2


def test_reading_stops_once_all_is_seen_and_emptiness_is_looked_for_in_so_many_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def count_rows(*arguments: Any) -> Any:
        for row in read_rows(*arguments):
            seen.append(row.number)
            yield row

    monkeypatch.setattr(mapping_check, "read_rows", count_rows)
    import_rows(tmp_path, [ROW | {"plan": ""}, ROW, ROW, ROW])
    assert seen == [2, 3]
    monkeypatch.setattr(mapping_check, "MAX_EMPTY_ROWS", 3)
    summary, _ = import_rows(tmp_path, [ROW | {"plan": ""}] * 9)
    assert len(seen) == 5 and "is empty in the first 3 rows" in summary.warnings[0]


def test_dates_of_parquet_are_times(tmp_path: Path) -> None:
    row = ROW | {"at": datetime(2026, 5, 4).date()}
    _, log = import_rows(tmp_path, [row], "parquet", time={"column": "at", "zone": "UTC"})
    assert log.events[0]["time"] == "2026-05-04T00:00:00.000000Z"


def test_names_that_look_like_secrets_are_not_shown(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"ann@example.com,sk-abcdefghijklmnopqrstuvwx0123,gpt-4o\n1,2,3\n")
    (tmp_path / "map.yaml").write_text(yaml.safe_dump(SHEET))
    with pytest.raises(TallyError) as raised:
        import_files(Kept(), Settings(home=tmp_path), [tmp_path / "file"], Options(mapping=tmp_path / "map.yaml"))
    assert "ann@" not in str(raised.value) and "sk-abc" not in str(raised.value) and "gpt-4o" in str(raised.value)
