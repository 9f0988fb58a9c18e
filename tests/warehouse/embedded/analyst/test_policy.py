"""What an analyst cannot do, each way tried; and what stays possible."""

import gzip
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import lz4.frame  # type: ignore[import-untyped]
import pytest
import zstandard

from tests.warehouse.conftest import Front
from tests.warehouse.embedded.analyst.statements import (  # fmt: skip
    ADDRESSES,
    ALLOWED,
    ALSO_ALLOWED,
    COLUMNS_IN_TEXT,
    CONTROLS,
    COSTLY,
    FORMATS,
    LONG_SEARCHES,
    LOOKS,
    MACHINE,
    READS,
    WRITES,
)
from tests.warehouse.requests import Answer, as_analyst, as_writer, ask, form
from warehouse.embedded.analyst import policy

MARK = "the-content-of-a-file"

REFUSALS = {"36", "42", "46", "47", "57", "60", "62", "80", "81", "164", "446", "497"}
"""What ClickHouse says of a statement that it does not run: no right, no such thing, a syntax error."""


@pytest.fixture(scope="module")
def house(front: Front) -> Iterator[Front]:
    """The front with a table that is not an analyst's, and a statement of the product that runs all the time."""
    as_writer(front, "CREATE DATABASE IF NOT EXISTS analytics")
    as_writer(front, f"CREATE TABLE default.kept ENGINE = MergeTree ORDER BY a AS SELECT 1 AS a, '{MARK}' AS b")
    before = schema(front)
    yield front
    assert schema(front) == before


def schema(front: Front) -> str:
    of_tables = "SELECT database, name, engine, total_rows FROM system.tables WHERE database != 'system' ORDER BY ALL"
    of_rights = "SELECT name FROM system.users UNION ALL SELECT name FROM system.roles ORDER BY name"
    return as_writer(front, of_tables).text + as_writer(front, of_rights).text


def refused(said: Answer) -> None:
    assert said.status in (400, 403, 404, 500) and said.code in REFUSALS, said
    assert MARK not in said.text


@pytest.mark.parametrize("sql", READS + COLUMNS_IN_TEXT)
def test_no_file_is_read(house: Front, tmp_path: Path, sql: str) -> None:
    (tmp_path / "a").write_text(MARK)
    path = str(tmp_path / "a")
    sql = sql.replace("FILE", f"'{path}'").replace("PATH", path)
    refused(as_analyst(house, sql, param_x=f"a String ALIAS file('{path}')"))


def test_no_address_is_opened(house: Front) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        here = f"127.0.0.1:{listening.getsockname()[1]}"
        for sql in ADDRESSES:
            refused(as_analyst(house, sql.replace("HERE", here)))
        listening.setblocking(False)
        with pytest.raises(BlockingIOError):
            listening.accept()


@pytest.mark.parametrize("sql", WRITES + CONTROLS)
def test_nothing_is_written_and_nothing_controlled(house: Front, tmp_path: Path, sql: str) -> None:
    refused(as_analyst(house, sql.replace("FILE", str(tmp_path / "written"))))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("sql", LOOKS + MACHINE)
def test_what_others_ask_and_have_is_not_seen(house: Front, sql: str) -> None:
    refused(as_analyst(house, sql, param_d="system", param_t="processes"))


@pytest.mark.parametrize("sql", COSTLY + LONG_SEARCHES)
def test_what_no_limit_ends_is_not_begun(house: Front, sql: str) -> None:
    said = as_analyst(house, sql)
    assert said.code in ("46", "497"), said  # by the policy, and not by a limit


@pytest.mark.parametrize("sql", FORMATS)
def test_a_format_that_is_not_allowed_is_refused_wherever_it_stands(house: Front, sql: str) -> None:
    assert as_analyst(house, sql).code in ("73", "497")
    assert as_analyst(house, "SELECT 1", default_format="Template").code == "497"


@pytest.mark.parametrize("sql", ALLOWED + ALSO_ALLOWED)
def test_what_only_reads_is_answered(house: Front, sql: str) -> None:
    said = as_analyst(house, sql, param_x="1", param_y="2")
    assert said.status == 200, said


@pytest.mark.parametrize("name", ["system", "System", "SYSTEM"])
def test_the_system_database_cannot_be_the_current_one(house: Front, name: str) -> None:
    assert as_analyst(house, "SELECT query FROM processes", database=name).status != 200
    headers = {"X-ClickHouse-Database": name}
    assert ask(house, house.facts["analyst"], "SELECT query FROM processes", headers=headers).status != 200


@pytest.mark.parametrize(
    "name",
    [
        "readonly", "max_execution_time", "max_memory_usage", "max_result_rows", "max_threads", "dialect", "priority",
        "log_comment", "output_format_schema", "format_schema", "allow_introspection_functions", "profile",
        "additional_table_filters", "max_bytes_before_external_sort", "default_table_engine", "ADD", "a b",
    ],
)  # fmt: skip
def test_settings_are_not_the_analysts(house: Front, name: str) -> None:
    assert as_analyst(house, "SELECT 1", **{name: "7"}).code == "164"
    body, headers = form(query="SELECT 1", **{name: "7"})
    assert ask(house, house.facts["analyst"], body, headers=headers).code == "164"


def test_how_an_answer_is_written_is(house: Front) -> None:
    said = as_analyst(house, "SELECT 1::UInt64 AS x FORMAT JSONEachRow", output_format_json_quote_64bit_integers="1")
    assert said.text == '{"x":"1"}\n'
    assert as_analyst(house, "SELECT getSetting('readonly')", readonly="2").text == "1\n"
    assert as_analyst(house, "SELECT getSetting('max_memory_usage')").text.strip() == policy.LIMITS["max_memory_usage"]


def ways() -> dict[str, Callable[[Front, str], Answer]]:
    """Every way in which a statement can arrive."""

    def packed(coding: str, pack: Callable[[bytes], bytes]) -> Callable[[Front, str], Answer]:
        coded = {"Content-Encoding": coding}
        return lambda front, sql: ask(front, front.facts["analyst"], pack(sql.encode()), headers=coded)

    def halved(front: Front, sql: str) -> Answer:
        first, _, rest = sql.partition(" ")
        return as_analyst(front, rest, query=first)

    def as_form(front: Front, sql: str) -> Answer:
        body, headers = form(query=sql)
        return ask(front, front.facts["analyst"], body, headers=headers)

    return {
        "body": as_analyst,
        "get": lambda front, sql: as_analyst(front, method="GET", query=sql),
        "url": lambda front, sql: as_analyst(front, query=sql),
        "halved": halved,
        "form": as_form,
        "gzip": packed("gzip", gzip.compress),
        "zstd": packed("zstd", zstandard.compress),
        "lz4": packed("lz4", lz4.frame.compress),
        "session": lambda front, sql: as_analyst(front, sql, session_id="x", role="writer", user="tally"),
    }


@pytest.mark.parametrize("way", ways())
def test_no_way_of_sending_makes_a_difference(house: Front, tmp_path: Path, way: str) -> None:
    (tmp_path / "a").write_text(MARK)
    send = ways()[way]
    for sql in (
        f"SELECT file('{tmp_path}/a')", "INSERT INTO tally.migrations (name) VALUES ('x')", "SYSTEM STOP MERGES",
        "SELECT 1 SETTINGS max_threads = 1", "SELECT query FROM system.processes", "SELECT 1; SELECT 2",
    ):  # fmt: skip
        refused(send(house, sql))
    assert send(house, "SELECT 1").text == "1\n"


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("SELECT groupArray(number) FROM numbers(100000000)", "241"),
        ("SELECT repeat('x', 1000000000)", "241"),
        ("SELECT number FROM numbers(100000000) FORMAT JSON", "396"),
        ("SELECT number FROM numbers(100000000) FORMAT JSONEachRow", "396"),
        ("SELECT " + "1, " * 100_000 + "1", "62"),
        ("SELECT " + "(" * 5000 + "1" + ")" * 5000, "306"),
        ("SELECT " + "[" * 900 + "1" + "]" * 900, "306"),
        ("SELECT 1 /*" + " " * (2 << 20) + "*/", "27"),
        ("SELECT 1 /*" + " " * (256 << 10) + "*/", "62"),
    ],
)
def test_time_memory_answers_and_statements_are_bounded(house: Front, sql: str, code: str) -> None:
    said = as_analyst(house, sql)
    assert (said.status != 200, said.code) == (True, code), said.text[:500]


def test_a_small_body_that_unpacks_to_a_large_one_is_refused(house: Front) -> None:
    bomb = zstandard.compress(b"SELECT 1" + b" " * (200 << 20))
    said = ask(house, house.facts["analyst"], bomb, headers={"Content-Encoding": "zstd"})
    assert said.code == "27" and "send less" in said.text


def test_formats_that_are_objects_of_python_are_unknown(house: Front) -> None:
    for format in ("DataFrame", "ArrowTable"):
        assert as_analyst(house, "SELECT 1", default_format=format).code == "73"
        assert as_writer(house, "SELECT 1", default_format=format).code == "73"


def test_each_password_opens_its_own_user(house: Front) -> None:
    facts = house.facts
    assert facts["password"] != facts["analyst"]["password"]
    assert stat.S_IMODE((house.settings.home / "secrets.json").stat().st_mode) == 0o600
    for user, password in (
        ("analyst", facts["password"]), ("tally", facts["analyst"]["password"]), ("analyst", ""), ("", ""),
        ("default", ""), ("writer", facts["password"]), ("Analyst", facts["analyst"]["password"]),
    ):  # fmt: skip
        assert ask(house, {"user": user, "password": password}, "SELECT 1").code == "516"


def test_the_engine_is_the_one_that_was_judged(house: Front) -> None:
    """Another version may have the same names mean more: see what is new in it, run
    ``python -m warehouse.embedded.analyst.verdicts``, then put its number here."""
    assert as_analyst(house, "SELECT version()").text.startswith("26.9.2.")
