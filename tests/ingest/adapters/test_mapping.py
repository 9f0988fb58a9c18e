"""Any file by a mapping: the examples of the document, what is refused, and what tells rows apart."""

import contextlib
import re
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow  # type: ignore[import-untyped]
import pyarrow.parquet  # type: ignore[import-untyped]
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ingest.adapters.mapping import RowReader, parse_sheet
from ingest.files.importer import Options, Summary, import_files
from ingest.intake.intake import Intake
from ingest.intake.rejection import Rejection
from ledger.errors import TallyError
from ledger.settings import Settings
from tests.ingest.build import Kept
from tests.tally.conftest import tally

DOCUMENT = (Path(__file__).parents[3] / "docs" / "import.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", DOCUMENT, re.DOTALL)
LITELLM_CSV, LITELLM, USAGE_JSONL, USAGE, PARQUET = (text for _, text in BLOCKS)
SMALL: dict[str, Any] = {
    "format": "csv", "source": "s", "time": {"column": "at"}, "fields": {"model": "model"},
    "tokens": {"input": "in"},
}  # fmt: skip


def import_mapped(home: Path, mapping: str | dict[str, Any], *contents: bytes, **options: Any) -> tuple[Summary, Kept]:
    path = home / "map.yaml"
    path.write_text(mapping if isinstance(mapping, str) else yaml.safe_dump(mapping))
    files = []
    for index, content in enumerate(contents):
        files.append(home / f"file-{index}")
        files[-1].write_bytes(content)
    log = Kept()
    return import_files(log, Settings(home=home), files, Options(mapping=path, **options)), log  # type: ignore[arg-type]


def test_the_example_of_litellm(tmp_path: Path) -> None:
    summary, log = import_mapped(tmp_path, LITELLM, LITELLM_CSV.encode())
    assert (summary.accepted, summary.rejected) == (2, 0)
    first, second = log.events
    assert (first["source"], first["id"], first["time"]) == ("litellm", "req-1", "2026-05-04T10:00:00.120000Z")
    data = first["data"]
    assert data["tokens"] == {"cache_read": 300, "input": 900, "output": 80}
    assert (data["status"], data["claimed_cost"], data["claimed_currency"]) == ("ok", "0.0033", "USD")
    assert data["user"].startswith("p_") and "alice" not in str(log.events)
    assert second["data"]["status"] == "error" and second["data"]["tokens"] == {"input": 0, "output": 0}


def test_the_example_of_openais_usage(tmp_path: Path) -> None:
    _, log = import_mapped(tmp_path, USAGE, USAGE_JSONL.encode())
    assert [event["id"] for event in log.events] == [
        "1777888800-proj_a-gpt-4o-2024-08-06", "1777888860-proj_b-gpt-4o-2024-08-06",
    ]  # fmt: skip
    assert log.events[0]["time"] == "2026-05-04T10:00:00.000000Z"
    assert log.events[0]["data"]["tokens"] == {"cache_read": 1000, "input": 4000, "output": 400}
    assert log.events[0]["data"]["quantities"] == {"requests": 7}


def parquet(path: Path, rows: list[dict[str, Any]]) -> bytes:
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    return path.read_bytes()


def test_the_example_of_parquet(tmp_path: Path) -> None:
    row = {
        "called_at": datetime(2026, 5, 4, 12, 0, 0, 5), "model": "gpt-4o", "agent": "a", "trace": {"session": "s-1"},
        "took_ms": 12.0, "plan": "gold", "tokens_in": 5, "tokens_out": None, "not_read": "x",
    }  # fmt: skip
    rows = [row, row, row | {"tokens_out": -1}]
    summary, log = import_mapped(tmp_path, PARQUET, parquet(tmp_path / "t.parquet", rows))
    assert (summary.accepted, summary.rejected) == (2, 1)
    assert [tuple(refusal)[1:3] for refusal in summary.refusals] == [(3, "tokens_out")]
    first, second = log.events
    assert first["time"] == "2026-05-04T10:00:00.000005Z"  # summer in Berlin
    assert first["data"]["session"] == "s-1" and first["data"]["latency_ms"] == 12
    assert first["data"]["tags"] == {"tier": "gold"} and first["data"]["tokens"] == {"input": 5}
    assert first["id"].endswith("-1") and second["id"].endswith("-2") and first["id"][:-2] == second["id"][:-2]


def test_rows_are_told_apart_by_their_bytes_and_a_second_import_says_the_same(tmp_path: Path) -> None:
    head, row = b"at,model,in\n", b"2026-05-04T10:00:00Z,m,1\n"
    _, once = import_mapped(tmp_path, SMALL, head + row + row)
    _, second_summary = import_mapped(tmp_path, SMALL, head + row + row + row)
    assert len(set(second_summary.identities)) == 3 and second_summary.identities[:2] == once.identities


@pytest.mark.parametrize(
    ("row", "field", "reason"),
    [
        (b"yesterday,m,1", "at", "is not a time in the form of the mapping (ISO 8601)"),
        (b"2026-05-04T10:00:00,m,1", "at", "is not a time in the form of the mapping"),
        (b",m,1", "at", "is empty: a row needs its time"),
        (b"2026-05-04T10:00:00Z,m,x", "in", "must be a number"),
        (b"2026-05-04T10:00:00Z,m,1.5", "in", "must be a whole number"),
        (b"2026-05-04T10:00:00Z,m,-1", "in", "must be a whole number"),
        (b"2026-05-04T10:00:00Z,m,NaN", "in", "must be a number"),
        (b"2026-05-04T10:00:00Z,m,1e99999999999", "in", "must be a"),
        (b"2026-05-04T10:00:00Z,m", "", "has 2 columns, and the header has 3"),
        (b"2026-05-04T10:00:00Z,m,1,2", "", "has 4 columns, and the header has 3"),
        (b"2026-05-04T10:00:00Z,\xff,1", "", "is not UTF-8"),
        (b"1890-05-04T10:00:00Z,m,1", "time", "must lie between 2000 and 2200"),
        (b"2026-05-04T10:00:00Z," + b"m" * 300 + b",1", "data.model", "at most 256"),
        (b'"a"b,m,1', "", "is no row of CSV"),
    ],
)
def test_a_bad_row_is_refused_with_its_reason_and_stops_nothing(
    tmp_path: Path, row: bytes, field: str, reason: str
) -> None:
    good = b"2026-05-04T10:00:00Z,m,1"
    summary, log = import_mapped(tmp_path, SMALL, b"\n".join([b"at,model,in", good, row, good]))
    assert (summary.accepted, summary.rejected) == (2, 1)
    ((_, line, path, message),) = summary.refusals
    assert (line, path) == (3, field) and reason in message, (path, message)
    assert len(log.rejections) == 1 and b"yesterday" not in str(log.rejections).encode()


def test_a_quoted_cell_holds_lines_and_delimiters(tmp_path: Path) -> None:
    mapping = SMALL | {"delimiter": ";", "tags": {"note": "note"}}
    _, log = import_mapped(tmp_path, mapping, b'at;model;in;note\n2026-05-04T10:00:00Z;m;1;"a;b\nc ""d"""\n')
    assert log.events[0]["data"]["tags"] == {"note": 'a;b\nc "d"'}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"format": "xlsx"}, "format: Input should be 'csv', 'jsonl' or 'parquet', and is 'xlsx'"),
        ({"time": {"column": "at", "zone": "Mars"}}, "time.zone: Value error, is no zone.*'Mars'"),
        ({"fields": {"modle": "m"}}, "fields.modle: an inference has no such field"),
        ({"fields": {"tokens": "m"}}, "fields.tokens: an inference has no such field; tags take any name, and tokens"),
        ({"tokens": {"inputs": "m"}}, "tokens.inputs.*: Input should be 'input'"),
        ({"includes": {"output": ["reasoning"]}}, "includes.output: output is no class of its tokens"),
        ({"nonsense": 1}, "nonsense: Extra inputs are not permitted, and is '1'"),
        ({"source": None}, "source: Input should be a valid string, and is 'None'"),
    ],
)
def test_a_mapping_that_cannot_be_says_where(tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    with pytest.raises(TallyError, match=message):
        import_mapped(tmp_path, SMALL | changed, b"x")


def test_what_else_a_person_gets_wrong(tmp_path: Path) -> None:
    with pytest.raises(TallyError, match=r"map\.yaml is not YAML"):
        import_mapped(tmp_path, "a: [", b"x")
    with pytest.raises(TallyError, match=r"as a whole: .*docs/import.md shows mappings"):
        import_mapped(tmp_path, "just words", b"x")
    with pytest.raises(TallyError, match=r"--set model: the mapping .* says it; leave it out"):
        import_mapped(tmp_path, SMALL, b"x", sets=["model=m"])
    with pytest.raises(TallyError, match="is empty"):
        import_mapped(tmp_path, SMALL, b"")
    with pytest.raises(TallyError, match="has no header with unique names"):
        import_mapped(tmp_path, SMALL, b"a,a\n")
    with pytest.raises(TallyError, match="has no header with unique names"):
        import_mapped(tmp_path, SMALL, b'"a"b,c\n')
    with pytest.raises(TallyError, match="cannot be read as Parquet"):
        import_mapped(tmp_path, PARQUET, b"PAR1 not")
    with pytest.raises(TallyError, match="cannot read --mapping"):
        import_files(Kept(), Settings(home=tmp_path), [], Options(mapping=tmp_path / "none.yaml"))  # type: ignore[arg-type]


def test_the_rest_is_set_and_the_source_is_chosen(tmp_path: Path) -> None:
    _, log = import_mapped(
        tmp_path, SMALL, b"at,model,in\n2026-05-04T10:00:00Z,m,1\n", sets=["team=search"], source="elsewhere"
    )
    assert log.events[0]["source"] == "elsewhere" and log.events[0]["data"]["team"] == "search"


def reader(mapping: dict[str, Any]) -> RowReader:
    return RowReader(parse_sheet(yaml.safe_dump(mapping), "map", {}), {})


ANY_VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.decimals() | st.datetimes() | st.binary(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2), max_leaves=4,
)  # fmt: skip


@given(row=st.fixed_dictionaries(dict.fromkeys(("id", "at", "model", "ms", "cost", "tag", "in", "status"), ANY_VALUE)))
def test_whatever_a_cell_holds_is_taken_or_refused(row: dict[str, Any]) -> None:
    mapping = SMALL | {
        "id": ["id", "model"], "tags": {"tag": "tag"},
        "fields": {
            "model": "model", "latency_ms": "ms", "claimed_cost": "cost",
            "status": {"column": "status", "words": {"success": "ok"}},
        },
    }  # fmt: skip
    with contextlib.suppress(Rejection):
        event, id = reader(mapping).read(row)
        Intake("key").accept_event(event | {"specversion": "1.0", "id": id})


def test_what_is_set_stands_beside_what_the_mapping_says(tmp_path: Path) -> None:
    mapping = SMALL | {"tags": {"tier": "model"}}
    row = b"at,model,in\n2026-05-04T10:00:00Z,m,1\n"
    _, log = import_mapped(tmp_path, mapping, row, sets=["tags.region=eu"])
    assert log.events[0]["data"]["tags"] == {"region": "eu", "tier": "m"}
    with pytest.raises(TallyError, match=r"--set tags\.tier: the mapping .* says it"):
        import_mapped(tmp_path, mapping, row, sets=["tags.tier=gold"])


def test_parquet_that_is_cut_says_so_and_what_absent_is(tmp_path: Path) -> None:
    row = {"called_at": datetime(2026, 5, 4), "model": "m", "tokens_in": 1.0, "tokens_out": float("nan")}
    whole = parquet(tmp_path / "t.parquet", [row])
    _, log = import_mapped(tmp_path, PARQUET, whole)
    assert log.events[0]["data"]["tokens"] == {"input": 1}
    half = whole[:20] + bytes(len(whole) // 3) + whole[20 + len(whole) // 3 :]
    with pytest.raises(TallyError, match=r"cannot be read as Parquet: .*import it again for the rest"):
        import_mapped(tmp_path, PARQUET, half)


@given(parts=st.lists(st.integers(0, 10**6), min_size=3, max_size=3))
def test_what_a_total_includes_is_taken_out_of_it_and_nothing_is_lost(parts: list[int]) -> None:
    mapping = SMALL | {
        "tokens": {"input": "all", "cache_read": "read", "cache_write": "write"},
        "includes": {"input": ["cache_read", "cache_write"]},
    }
    fresh, read, write = parts
    row = {"at": "2026-05-04T10:00:00Z", "model": "m", "all": str(sum(parts)), "read": f"{read}.0", "write": write}
    tokens = reader(mapping).read(row).event["data"]["tokens"]
    assert tokens == {"input": fresh, "cache_read": read, "cache_write": write}
    with pytest.raises(Rejection, match="is less than"):
        reader(mapping).read(row | {"all": read + write, "read": read + 1})


@given(value=st.decimals(0, 10**6, allow_nan=False, places=18))
def test_a_claim_keeps_twelve_digits(value: Decimal) -> None:
    mapping = SMALL | {"fields": {"claimed_cost": "cost"}}
    row = {"at": datetime(2026, 5, 4, tzinfo=UTC), "cost": value}
    claim = reader(mapping).read(row).event["data"]["claimed_cost"]
    assert abs(Decimal(claim) - value) <= Decimal("5e-13")


def test_the_command_counts_once_what_is_imported_twice(either: str | None, tmp_path: Path) -> None:
    home = {"TALLY_HOME": str(tmp_path / "home"), "TALLY_LOG": either or ""}
    (tmp_path / "map.yaml").write_text(LITELLM)
    (tmp_path / "spend.csv").write_text(LITELLM_CSV)
    arguments = ["import", str(tmp_path / "spend.csv"), "--mapping", str(tmp_path / "map.yaml")]
    first = tally(*arguments, **home)
    assert "counted 2 + duplicate 0" in first.stdout, first.stderr
    assert "counted 0 + duplicate 2" in tally(*arguments, **home).stdout
