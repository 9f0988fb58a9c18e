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

from ingest.files.importer import Options, Summary, import_files
from ingest.intake.intake import Intake
from ingest.intake.rejection import Rejection
from ingest.mapping.reader import RowReader
from ingest.mapping.sheet import parse_sheet
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
    return import_files(log, Settings(home=home), files, Options(mapping=path, **options)), log


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
        "1777888800,proj_a,gpt-4o-2024-08-06", "1777888860,proj_b,gpt-4o-2024-08-06",
    ]  # fmt: skip
    assert log.events[0]["time"] == "2026-05-04T10:00:00.000000Z"
    assert log.events[0]["data"]["tokens"] == {"cache_read": 1000, "input": 4000, "output": 400}
    data = log.events[0]["data"]
    assert (data["calls"], data["period_s"]) == (7, 60) and "quantities" not in data


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
        (b"2026-05-04T10:00:00,m,1", "at", "has no zone: say one in the mapping, such as `time: {zone: UTC}`"),
        (b"2026-05-04,m,1", "at", "has no zone"),
        (b"1793613600,m,1", "at", "may be a count since 1970: say `unit: [iso, s]`"),
        (b",m,1", "at", "is empty: a row needs its time"),
        (b"2026-05-04T10:00:00Z,m,x", "in", "must be a number"),
        (b"2026-05-04T10:00:00Z,m,1.5", "in", "must be a whole number"),
        (b"2026-05-04T10:00:00Z,m,-1", "in", "is below zero"),
        (b"2026-05-04T10:00:00Z,m,'1,000'", "", "has 4 columns"),
        (b'2026-05-04T10:00:00Z,m,"1,000"', "in", 'say `numbers: {thousands: ","}`'),
        (b"2026-05-04T10:00:00Z,m,n/a", "in", "say `absent: ['n/a']`"),
        (b"2026-05-04T10:00:00Z,m,$1", "in", 'say `numbers: {currency: {"$": USD}}`'),
        (b"2026-05-04T10:00:00Z,m,1e99999999999", "in", "must be a"),
        (b"2026-05-04T10:00:00Z,m", "", "has 2 columns, and the header has 3"),
        (b"2026-05-04T10:00:00Z,m,1,2", "", "has 4 columns, and the header has 3"),
        (b"2026-05-04T10:00:00Z,\xff,1", "", "is not UTF-8"),
        (b"1890-05-04T10:00:00Z,m,1", "time", "must lie between 2000 and 2200"),
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
        (
            {"fields": {"tokens": "m"}},
            "fields.tokens: it has a key of its own beside `fields`: `tokens: {class: column}`",
        ),
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
        import_files(Kept(), Settings(home=tmp_path), [], Options(mapping=tmp_path / "none.yaml"))


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
    optional = {"optional": ["agent", "trace.session", "took_ms", "plan"]}
    _, log = import_mapped(tmp_path, yaml.safe_load(PARQUET) | optional, whole)
    assert log.events[0]["data"]["tokens"] == {"input": 1}
    half = whole[:20] + bytes(len(whole) // 3) + whole[20 + len(whole) // 3 :]
    with pytest.raises(TallyError, match=r"cannot be read as Parquet: .*import it again for the rest"):
        import_mapped(tmp_path, yaml.safe_load(PARQUET) | optional, half)


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


AT = {"at": "2026-05-04T10:00:00Z"}


def test_a_value_that_does_not_fit_costs_its_field_and_not_the_row(tmp_path: Path) -> None:
    mapping = SMALL | {"fields": {"model": "model", "team": "team", "latency_ms": "ms", "claimed_cost": "cost"}}
    rows = [b"m,search,12.4,0.5", b"m," + b"t" * 300 + b",1,Included", b"m,search,soon,-1"]
    head = b"at,in,model,team,ms,cost\n"
    summary, log = import_mapped(tmp_path, mapping, head + b"\n".join(b"2026-05-04T10:00:00Z,7," + row for row in rows))
    assert (summary.accepted, summary.rejected) == (3, 0)
    assert [event["data"]["tokens"] for event in log.events] == [{"input": 7}] * 3
    assert [event["data"].get("left_out") for event in log.events] == [
        None, ["claimed_cost", "team"], ["claimed_cost", "latency_ms"],
    ]  # fmt: skip
    assert summary.files[0].left_out == {"claimed_cost": 2, "team": 1, "latency_ms": 1}
    assert log.events[0]["data"]["latency_ms"] == 12 and log.events[0]["data"]["claimed_cost"] == "0.5"


@pytest.mark.parametrize(
    ("cost", "fields", "claim"),
    [
        ("$0.0045", {}, ("0.0045", "USD")),
        ("0.0045000000000000001", {}, ("0.0045", None)),
        ("0.0045", {"claimed_currency": {"value": "EUR"}}, ("0.0045", "EUR")),
        ("€0.0045", {"claimed_currency": {"value": "EUR"}}, ("0.0045", "EUR")),
        ("$0.0045", {"claimed_currency": {"value": "EUR"}}, (None, "EUR")),
        (0.1 + 0.2, {}, ("0.3", None)),
    ],
)
def test_a_claim_is_read_with_its_currency(cost: Any, fields: Any, claim: tuple[str, str]) -> None:
    mapping = SMALL | {"fields": {"claimed_cost": "cost", **fields}, "numbers": {"currency": {"$": "USD", "€": "EUR"}}}
    data = reader(mapping).read({**AT, "cost": cost}).event["data"]
    assert (data.get("claimed_cost"), data.get("claimed_currency")) == claim


@given(keys=st.lists(st.lists(st.text("ab,-\\", max_size=4), min_size=3, max_size=3), min_size=2, max_size=2))
def test_two_keys_are_two_calls(keys: list[list[str]]) -> None:
    names = ("one", "two", "three")
    read = reader(SMALL | {"id": list(names)}).read
    rows = [{**AT, **dict(zip(names, key, strict=True))} for key in keys if any(key)]
    ids = {read(row).id for row in rows}
    assert len(ids) == len({tuple(row.items()) for row in rows})


def test_a_part_of_an_id_may_be_empty_and_not_all() -> None:
    read = reader(SMALL | {"id": ["one", "two"]}).read
    assert read({**AT, "one": "a", "two": None}).id == "a,"
    with pytest.raises(Rejection, match="one: is empty"):
        read({**AT, "one": "null", "two": ""})


def test_an_aggregate_has_its_calls_period_tier_and_revision() -> None:
    mapping = SMALL | {
        "calls": "n",
        "fields": {
            "period_s": {"value": 86400}, "revision": "version",
            "context_tier": {"column": "window", "words": {"≤ 200k": 0, "> 200k": 200_000}},
        },
    }  # fmt: skip
    read = reader(mapping).read
    row = {**AT, "n": "150", "version": "3", "window": "> 200k", "in": "900000"}
    data = read(row).event["data"]
    assert {name: data[name] for name in ("calls", "period_s", "context_tier", "revision")} == {
        "calls": 150, "period_s": 86400, "context_tier": 200_000, "revision": 3,
    }  # fmt: skip
    assert read(row | {"window": "≤ 200k"}).event["data"]["context_tier"] == 0
    assert read(row | {"window": "huge"}).event["data"]["left_out"] == ["context_tier"]
    for wrong in ({"n": "x"}, {"n": "1.5"}, {"n": "0"}, {"n": "0", "in": None}, {"version": "new"}):
        with pytest.raises(Rejection):
            read(row | wrong)


def test_totals_that_a_provider_reports_stand_beside_the_classes() -> None:
    mapping = SMALL | {"reported": {"input": "sum_in", "total": "sum"}}
    data = reader(mapping).read({**AT, "in": 5, "sum_in": "5", "sum": 7}).event["data"]
    assert data["reported_tokens"] == {"input": 5, "total": 7}


def test_parts_within_parts_are_subtracted_once() -> None:
    mapping = SMALL | {
        "tokens": {"input": "all", "cache_write": "write", "cache_write_5m": "short"},
        "includes": {"cache_write": ["cache_write_5m"], "input": ["cache_write"]},
    }
    tokens = reader(mapping).read({**AT, "all": 100, "write": 60, "short": 20}).event["data"]["tokens"]
    assert tokens == {"input": 40, "cache_write": 40, "cache_write_5m": 20}


def test_cells_of_json_and_names_with_dots_are_read(tmp_path: Path) -> None:
    mapping = SMALL | {
        "tokens": {"input": "in", "cache_read": "metadata.usage_object.cache_read_input_tokens"},
        "fields": {"model": "gen_ai.request.model"},
    }
    content = b"""at,in,gen_ai.request.model,metadata
2026-05-04T10:00:00Z,5,m,"{""usage_object"": {""cache_read_input_tokens"": 3}}"
2026-05-04T10:00:00Z,5,m,{}
"""
    _, log = import_mapped(tmp_path, mapping, content)
    assert [event["data"]["tokens"] for event in log.events] == [{"cache_read": 3, "input": 5}, {"input": 5}]
    assert log.events[0]["data"]["model"] == "m"
