"""What an analyst cannot do, each way tried; and what stays possible."""

import gzip
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import lz4.frame  # type: ignore[import-untyped]
import pytest
import zstandard

from tests.warehouse.asking import Said, as_analyst, as_writer, ask, form
from tests.warehouse.conftest import Front
from warehouse import permitted

MARK = "the-content-of-a-file"

READS = [  # FILE stands for the path of a file, quoted; PATH for it as it is
    "SELECT file(FILE)",
    "select `file`(FILE)",
    'SELECT "file"(FILE)',
    "SELECT /* */ file /* ( */ -- \n (FILE)",
    "file(FILE)",  # the engine takes an expression for a select of it
    "(SELECT file(FILE))",
    "SELECT * APPLY file FROM (SELECT FILE AS a)",
    "SELECT * APPLY(file) FROM (SELECT FILE AS a)",
    "SELECT COLUMNS('a') APPLY(x -> file(x)) FROM (SELECT FILE AS a)",
    "SELECT t.* REPLACE(file(FILE) AS a) FROM (SELECT 1 AS a) AS t",
    "SELECT arrayMap(file, [FILE])",
    "SELECT arrayMap(x -> file(x), [FILE])",
    "SELECT arrayFirst(x -> 1, arrayMap(f -> file(f), [FILE]))",
    "WITH (x -> file(x)) AS f SELECT f(FILE)",
    "WITH file(FILE) AS x SELECT x",
    "WITH f AS (SELECT file(FILE) AS y) SELECT * FROM f",
    "WITH RECURSIVE t AS (SELECT file(FILE) AS n UNION ALL SELECT n FROM t WHERE 0) SELECT * FROM t",
    "SELECT * FROM (SELECT file(FILE))",
    "SELECT (SELECT file(FILE))",
    "SELECT 1 WHERE throwIf(file(FILE) != '', file(FILE))",
    "SELECT toUInt8(file(FILE))",
    "SELECT number FROM numbers(length(file(FILE)))",
    "SELECT 1 UNION ALL SELECT length(file(FILE))",
    "SELECT 'x' INTERSECT SELECT file(FILE)",
    "SELECT 1 LIMIT length(file(FILE))",
    "SELECT 1 ORDER BY file(FILE)",
    "SELECT 1 GROUP BY file(FILE)",
    "SELECT sum(1) OVER (PARTITION BY file(FILE))",
    "SELECT sum(1) OVER w FROM system.one WINDOW w AS (ORDER BY file(FILE))",
    "SELECT a FROM system.one ARRAY JOIN [file(FILE)] AS a",
    "SELECT number AS n FROM numbers(1) ORDER BY n WITH FILL TO 3 INTERPOLATE (n AS length(file(FILE)))",
    "SELECT * FROM (VALUES (file(FILE)))",
    "SELECT 1 |> SELECT file(FILE)",
    "EXPLAIN SELECT file(FILE)",
    "EXPLAIN SYNTAX SELECT file(FILE)",
    "EXPLAIN QUERY TREE SELECT file(FILE)",
    "SELECT * FROM (EXPLAIN SELECT file(FILE))",
    "DESCRIBE (SELECT file(FILE) AS a)",
    "DESC TABLE (SELECT toUInt8(file(FILE)))",
    "SHOW TABLES WHERE throwIf(1, file(FILE))",
    "SHOW TABLES FROM tally LIKE 'x' LIMIT length(file(FILE))",
    "SHOW COLUMNS FROM tally.entries WHERE field = file(FILE)",
    "SELECT file(FILE) FORMAT Null",
    "SELECT file(FILE) FORMAT JSON -- FORMAT TSV",
    "SELECT * FROM file(FILE, 'LineAsString')",
    "SELECT * FROM file(FILE, 'LineAsString', 'a String') FORMAT JSON",
    "DESCRIBE TABLE file(FILE)",
    "DESCRIBE file(FILE, 'CSV')",
    "SELECT * FROM fileCluster('default', FILE, 'LineAsString')",
    "SELECT * FROM filesystem(FILE)",
    "SELECT * FROM FILE",
    "SELECT * FROM default.`PATH`",
    'SELECT * FROM "PATH"',
    "DESCRIBE TABLE FILE",
    "SELECT a FROM values('b UInt8, a String ALIAS file(\\'PATH\\')', 1)",
    "SELECT a FROM VALUES(concat('b UInt8, a String AL', 'IAS file(\\'PATH\\')'), 1)",
    "SELECT a FROM values('b UInt8, a String DeFault file(\\'PATH\\')', (1, 'x'))",
    "SELECT a FROM values({x:String}, 1)",
    "SELECT a FROM generateRandom('b UInt8, a String ALIAS file(\\'PATH\\')') LIMIT 1",
    "SELECT a FROM format(CSV, 'b UInt8, a String ALIAS file(1)', '1')",
    "SELECT * FROM sqlite(FILE, 't')",
    "SELECT * FROM icebergLocal(FILE)",
    "SELECT * FROM deltaLakeLocal(FILE)",
    "SELECT * FROM paimonLocal(FILE)",
    "SELECT * FROM view(SELECT file(FILE))",
    "SELECT * FROM viewIfPermitted(SELECT file(FILE) ELSE null('a String'))",
    "SELECT * FROM viewExplain('EXPLAIN', '', (SELECT file(FILE)))",
    "SELECT * FROM eval('SELECT file(' || FILE || ')')",
    "SELECT * FROM executable('cat', 'LineAsString', 'a String', (SELECT 1))",
    "SELECT * FROM Python(environ)",
    "SELECT * FROM python(settings)",
    "SELECT * FROM input('a String')",
    "SELECT catboostEvaluate(FILE, 1)",
    "SELECT dictGet('x', 'y', 1), file(FILE)",
    "INSERT INTO FUNCTION file(FILE, 'CSV', 'a String') SELECT 'x'",
    "SELECT evalMLMethod(file(FILE))",
]  # fmt: skip

ADDRESSES = [  # HERE stands for an address that somebody listens on
    "SELECT * FROM url('http://HERE/', 'CSV', 'a String')",
    "SELECT 1 WHERE 'x' IN url('http://HERE/', 'CSV', 'a String')",
    "DESCRIBE TABLE url('http://HERE/')",
    "SELECT * FROM urlCluster('default', 'http://HERE/', 'CSV', 'a String')",
    "SELECT * FROM s3('http://HERE/bucket/x.csv')",
    "SELECT * FROM s3Cluster('default', 'http://HERE/bucket/x.csv')",
    "SELECT * FROM gcs('http://HERE/bucket/x.csv')",
    "SELECT * FROM azureBlobStorage('http://HERE/', 'c', 'x.csv')",
    "SELECT * FROM hdfs('hdfs://HERE/x', 'CSV', 'a String')",
    "SELECT * FROM remote('HERE', tally.entries)",
    "SELECT * FROM remoteSecure('HERE', 'tally', 'entries')",
    "SELECT * FROM cluster('default', tally.entries)",
    "SELECT * FROM clusterAllReplicas('default', system.one)",
    "SELECT * FROM mysql('HERE', 'a', 'b', 'c', 'd')",
    "SELECT * FROM postgresql('HERE', 'a', 'b', 'c', 'd')",
    "SELECT * FROM mongodb('HERE', 'a', 'b', 'c', 'd', 'x String')",
    "SELECT * FROM redis('HERE', 'k', 'k String')",
    "SELECT * FROM odbc('DSN=x', 'a', 'b')",
    "SELECT * FROM jdbc('http://HERE', 'a', 'b')",
    "SELECT * FROM iceberg('http://HERE/b')",
    "SELECT * FROM deltaLake('http://HERE/b')",
    "SELECT * FROM hudi('http://HERE/b')",
    "SELECT * FROM ytsaurus('http://HERE', '//x', 'y', 'a String')",
    "SELECT * FROM bigquery('a', 'b', 'c')",
    "SELECT * FROM arrowstream('HERE')",
    "SELECT * FROM prometheusQuery('a', 'b')",
    "SELECT hasColumnInTable('HERE', 'u', 'p', 'tally', 'entries', 'x')",
    "SELECT HasColumnInTable('HERE', 'tally', 'entries', 'x')",
    "SELECT reverseDNSQuery('1.1.1.1')",
    "SELECT aiGenerate('x', 'y')",
    "SELECT AIClassify('x', 'y', ['z'])",
    "EXPLAIN TABLE OVERRIDE mysql('HERE', 'a', 'b', 'c', 'd') PARTITION BY a",
    "SELECT * FROM loop(remote('HERE', system.one))",
    "WITH x AS (SELECT * FROM url('http://HERE/', 'CSV', 'a String')) SELECT * FROM x",
    "SELECT * FROM system.one JOIN url('http://HERE/', 'CSV', 'a String') AS u ON 1",
]  # fmt: skip

WRITES = [
    "INSERT INTO tally.migrations (name) VALUES ('x')",
    "INSERT INTO tally.migrations SELECT * FROM tally.migrations",
    "WITH 1 AS x INSERT INTO tally.migrations (name) SELECT toString(x)",
    "CREATE TABLE tally.x (a Int8) ENGINE = Memory",
    "CREATE TEMPORARY TABLE x (a Int8)",
    "CREATE TEMPORARY TABLE x AS SELECT 1",
    "CREATE VIEW tally.v AS SELECT 1",
    "CREATE MATERIALIZED VIEW tally.v TO tally.migrations AS SELECT 1",
    "CREATE DICTIONARY tally.d (k UInt64) PRIMARY KEY k SOURCE(NULL()) LAYOUT(FLAT()) LIFETIME(0)",
    "CREATE DATABASE x",
    "CREATE FUNCTION f AS x -> x",
    "CREATE USER x",
    "CREATE ROLE x",
    "CREATE NAMED COLLECTION x AS a = 1",
    "GRANT SELECT ON *.* TO analyst",
    "REVOKE SELECT ON tally.* FROM writer",
    "ALTER TABLE tally.migrations DELETE WHERE 1",
    "ALTER TABLE tally.migrations UPDATE name = 'x' WHERE 1",
    "ALTER USER default IDENTIFIED BY 'x'",
    "DELETE FROM tally.migrations WHERE 1",
    "UPDATE tally.migrations SET name = 'x' WHERE 1",
    "TRUNCATE TABLE tally.migrations",
    "DROP TABLE tally.migrations",
    "DROP VIEW tally.entries_from_entries",
    "DETACH TABLE tally.migrations",
    "ATTACH TABLE tally.x",
    "RENAME TABLE tally.migrations TO tally.x",
    "EXCHANGE TABLES tally.migrations AND tally.generations",
    "OPTIMIZE TABLE tally.migrations",
    "CHECK TABLE tally.migrations",
    "BACKUP TABLE tally.migrations TO File('/tmp/x')",
    "RESTORE TABLE tally.migrations FROM File('/tmp/x')",
    "UNDROP TABLE tally.migrations",
    "MOVE USER x TO y",
    "EXPLAIN INSERT INTO tally.migrations SELECT * FROM tally.migrations",
    "SELECT 1 INTO OUTFILE 'FILE'",
    "SELECT 1 INTO OUTFILE 'FILE' TRUNCATE FORMAT TSV",
    "SELECT 1 into/**/outfile 'FILE' AND STDOUT",
    "(SELECT 1) INTO OUTFILE 'FILE'",
    "SHOW TABLES INTO OUTFILE 'FILE'",
    "DESCRIBE tally.entries INTO OUTFILE 'FILE'",
    "EXISTS tally.entries INTO OUTFILE 'FILE'",
    "EXPLAIN SELECT 1 INTO OUTFILE 'FILE'",
    "SELECT 1; DROP TABLE tally.migrations",
    "SELECT 1; SELECT 2",
    "SELECT 1;;SELECT 2",
    "SELECT 1 PARALLEL WITH DROP TABLE tally.migrations",
    "BEGIN TRANSACTION",
    "COPY tally.migrations TO 'FILE'",
]

CONTROLS = [
    "KILL QUERY WHERE 1",
    "KILL QUERY WHERE 1 SYNC",
    "kill /* */ mutation WHERE 1",
    "SYSTEM STOP MERGES",
    "SYSTEM STOP MERGES tally.entries",
    "SYSTEM FLUSH LOGS",
    "SYSTEM DROP MARK CACHE",
    "SYSTEM SHUTDOWN",
    "SYSTEM RELOAD CONFIG",
    "SET max_threads = 1",
    "SET readonly = 0",
    "SET ROLE writer",
    "SET ROLE ALL",
    "SET DEFAULT ROLE writer TO default",
    "EXECUTE AS default SELECT 1",
    "USE system",
    "SELECT 1 SETTINGS max_execution_time = 0",
    "SELECT 1 SETTINGS readonly = 0",
    "SELECT 1 FORMAT JSON SETTINGS max_memory_usage = 0",
    "SELECT * FROM (SELECT 1 SETTINGS max_memory_usage = 0)",  # the engine lets this one pass
    "SELECT 1 WHERE 1 IN (SELECT 1 SETTINGS max_execution_time = 0)",
    "WITH x AS (SELECT 1 SETTINGS max_threads = 9) SELECT * FROM x",
    "SELECT 1 SETTINGS dialect = 'kusto'",
    "SELECT 1 FORMAT Protobuf SETTINGS output_format_schema = 'FILE'",
    "EXPLAIN SELECT 1 SETTINGS max_threads = 9",
    "DESCRIBE TABLE numbers(1) SETTINGS max_threads = 9",
    "SHOW TABLES SETTINGS max_threads = 9",
]

LOOKS = [
    "SELECT query FROM system.processes",
    "SELECT query FROM `system`.`processes`",
    "SELECT query FROM system /* */ . processes",
    "FROM system.processes SELECT query",
    "SELECT (SELECT groupArray(query) FROM system.processes)",
    "SELECT 1 WHERE 'x' IN system.processes",
    "SELECT * FROM system.one, system.processes",
    "SELECT * FROM merge('system', 'processes')",
    "SELECT * FROM merge('^system$', '.*')",
    "SELECT * FROM loop('system', 'processes')",
    "SELECT * FROM {d:Identifier}.{t:Identifier}",
    "SELECT * FROM system.{t:Identifier}",
    "DESCRIBE (SELECT * FROM system.processes)",
    "SHOW PROCESSLIST",
    "SHOW FULL PROCESSLIST",
    "SHOW GRANTS",
    "SHOW USERS",
    "SHOW ACCESS",
    "SELECT * FROM system.users",
    "SELECT * FROM system.grants",
    "SELECT * FROM system.roles",
    "SELECT * FROM system.user_query_log",
    "SELECT * FROM system.query_log",
    "SELECT * FROM system.errors",
    "SELECT * FROM system.server_settings",
    "SELECT * FROM system.asynchronous_inserts",
    "SELECT * FROM system.query_cache",
    "SELECT * FROM system.stack_trace",
    "SELECT * FROM system.named_collections",
    "SELECT * FROM system.parts",
    "SELECT * FROM system.disks",
    "SELECT * FROM system.remote_data_paths",
    "SELECT * FROM default.kept",
    "SELECT * FROM view(SELECT * FROM default.kept)",
    "SELECT * FROM merge('default', 'kept')",
    "SELECT * FROM mergeTreeIndex('default', 'kept')",
    "SELECT * FROM mergeTreeProjection('default', 'kept', 'x')",
    "SELECT joinGet('default.kept', 'a', 1)",
    "SELECT * FROM dictionary('default.kept')",
    "SHOW CREATE TABLE default.kept",
    "DESCRIBE default.kept",
    "SELECT addressToLine(1)",
    "SELECT demangle('x')",
    "SELECT * FROM fuzzQuery('SELECT 1')",
    "SELECT * FROM fuzzJSON('{}', 1)",
    "WATCH tally.entries",
]

REFUSALS = {"36", "42", "46", "47", "57", "60", "62", "80", "81", "164", "446", "497"}
"""What ClickHouse says of a statement that it does not run: no right, no such thing, a syntax error."""

ALLOWED = [
    "SELECT 1",
    "SELECT 1;",
    "-- why\nSELECT 1 /* and ; this */",
    "SELECT 'file(''/etc/passwd''); DROP TABLE x'",
    "SELECT count() FROM tally.entries",
    "WITH x AS (SELECT number AS n FROM numbers(3)) SELECT sum(n) FROM x",
    "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t WHERE n < 5) SELECT * FROM t",
    "SELECT * EXCEPT (number) APPLY toString FROM (SELECT number, 2 AS b FROM numbers(2))",
    "SELECT * FROM (VALUES (1, 'a'), (2, 'b')) AS t(a, b)",
    "SELECT * FROM VALUES('a UInt8, b Nullable(String)', (1, 'x'), (2, NULL))",
    "SELECT * FROM values((1, 'default'), (2, 'y'))",
    "SELECT generate_series FROM generate_series(1, 3)",
    "SELECT sum(number) OVER (ORDER BY number) FROM numbers(3) QUALIFY 1 LIMIT 1",
    "SELECT {x:UInt8} + {y:UInt8}",
    "SELECT 1 UNION ALL SELECT 2",
    "SELECT arrayMap(x -> x + 1, [1]), dateDiff('day', today(), today()), version(), hostName(), currentUser()",
    "SELECT * FROM tally.entries AS a LEFT JOIN tally.events AS b USING (partition, offset, seq)",
    "EXPLAIN SELECT 1",
    "EXPLAIN indexes = 1 SELECT count() FROM tally.entries",
    "EXPLAIN AST SELECT 1",
    "DESCRIBE TABLE tally.entries",
    "DESC tally.entries",
    "DESCRIBE (SELECT 1 AS a)",
    "EXISTS tally.entries",
    "EXISTS TABLE tally.`entries`",
    "SHOW DATABASES",
    "SHOW TABLES FROM tally",
    "SHOW COLUMNS FROM tally.entries",
    "SHOW CREATE TABLE tally.entries",
    "SELECT name, total_rows FROM system.tables WHERE database = 'tally'",
    "SELECT * FROM system.columns WHERE database = 'tally'",
    "SELECT * FROM information_schema.tables",
    "SELECT name, value, readonly FROM system.settings",
]


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


def refused(said: Said) -> None:
    assert said.status in (400, 403, 404, 500) and said.code in REFUSALS, said
    assert MARK not in said.text


@pytest.mark.parametrize("sql", READS)
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


@pytest.mark.parametrize("sql", LOOKS)
def test_what_others_ask_and_have_is_not_seen(house: Front, sql: str) -> None:
    refused(as_analyst(house, sql, param_d="system", param_t="processes"))


@pytest.mark.parametrize("sql", ALLOWED)
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
    assert (
        as_analyst(house, "SELECT getSetting('max_memory_usage')").text.strip() == permitted.LIMITS["max_memory_usage"]
    )


def ways() -> dict[str, Callable[[Front, str], Said]]:
    """Every way in which a statement can arrive."""

    def packed(coding: str, pack: Callable[[bytes], bytes]) -> Callable[[Front, str], Said]:
        coded = {"Content-Encoding": coding}
        return lambda front, sql: ask(front, front.facts["analyst"], pack(sql.encode()), headers=coded)

    def halved(front: Front, sql: str) -> Said:
        first, _, rest = sql.partition(" ")
        return as_analyst(front, rest, query=first)

    def as_form(front: Front, sql: str) -> Said:
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
    """Another version may have other functions that reach out of it: look through system.functions and
    system.table_functions, then put its number here."""
    assert as_analyst(house, "SELECT version()").text.startswith("26.9.2.")
