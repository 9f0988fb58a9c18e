"""What the front must know of a statement before the engine reads it, and of a request before that (pure)."""

import gzip
import struct
from io import BytesIO
from typing import Any

import lz4.block  # type: ignore[import-untyped]
import lz4.frame  # type: ignore[import-untyped]
import pytest
import zstandard

from warehouse.embedded import compression, request
from warehouse.embedded.statement import MAX_STATEMENT_BYTES, parse_statement


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO tally.entries_in FORMAT JSONEachRow\n{}",
        "insert into entries_in values (1)",
        "INSERT INTO TABLE `tally`.`entries_in` (a, b) SELECT 1, 2",
        'insert\ninto "tally" . "entries_in" format Native\n\x00',
        "-- why\n/* insert into other */ INSERT /* x */ INTO tally.entries_in SELECT 1",
        "WITH 1 AS x INSERT INTO tally.entries_in SELECT x",
    ],
)
def test_an_insert_names_its_table_however_it_is_spelt(sql: str) -> None:
    assert parse_statement(sql.encode(), "TabSeparated").target_table == "entries_in"


@pytest.mark.timeout(20)
@pytest.mark.parametrize("gap", ["/* a */ ", "/***/", "-- a\n", "/* * / */\n", "\t"])
def test_comments_are_read_in_one_way(gap: str) -> None:
    """A regular expression that can read them in two ways takes twice as long for each."""
    assert parse_statement(f"{gap * 5000}SELECT 1 FORMAT Native".encode(), "TSV").is_streamable
    assert parse_statement(f"{gap * 5000}INSERT INTO tally.x SELECT 1".encode(), "TSV").target_table == "x"
    assert parse_statement(f"{gap * 50_000}OPTIMIZE".encode(), "TSV").target_table is None


@pytest.mark.parametrize(
    ("sql", "format", "streams"),
    [
        ("SELECT 1", "TabSeparated", False),
        ("SELECT 1 FORMAT Native", "Native", True),
        ("-- c\n(select 1) format JSONEachRow;", "JSONEachRow", True),
        ("WITH 1 AS x SELECT x FORMAT RowBinary SETTINGS max_threads = 1", "RowBinary", True),
        ("SELECT 1 FORMAT JSON", "JSON", False),
        ("SELECT 'FORMAT Native'", "TabSeparated", False),
        ("( /* c */ select 1) format Native", "Native", True),
        ("SHOW TABLES FORMAT Native", "Native", False),
        ("CREATE TABLE t (a Int8) ENGINE = Null", "TabSeparated", False),
    ],
)
def test_a_query_tells_its_format_and_whether_it_streams(sql: str, format: str, streams: bool) -> None:
    statement = parse_statement(sql.encode(), "TabSeparated")
    assert (statement.format, statement.is_streamable, statement.target_table) == (format, streams, None)


def asked(query: str = "", body: bytes = b"", method: str = "POST", **headers: str) -> request.Request:
    environ: dict[str, Any] = {"REQUEST_METHOD": method, "QUERY_STRING": query, "wsgi.input": BytesIO(body)}
    return request.read_request(environ | headers)


def test_a_request_is_its_parameters_and_its_body() -> None:
    found = asked("query=INSERT+INTO+t+FORMAT+CSV&max_threads=1&database=d&param_x=a%5Ct&user=u", b"1,2\n")
    assert found.sql == b"INSERT INTO t FORMAT CSV\n1,2\n"
    assert found.settings == {"max_threads": "1", "database": "d"}
    assert found.values == {"x": "a\\t"}
    assert asked(body=b"SELECT 1", HTTP_X_CLICKHOUSE_FORMAT="JSON").format == "JSON"
    assert asked("query=SELECT+1", method="GET").settings == {"readonly": "2"}


@pytest.mark.parametrize(
    ("coding", "pack"),
    [("gzip", gzip.compress), ("zstd", zstandard.compress), ("lz4", lz4.frame.compress), ("", bytes)],
)
def test_a_body_may_be_compressed_and_must_be_whole(coding: str, pack: Any) -> None:
    packed = pack(b"SELECT 1 " * 1000)
    assert asked(body=packed, HTTP_CONTENT_ENCODING=coding).sql == b"SELECT 1 " * 1000
    if coding:
        with pytest.raises(ValueError, match="cannot be unpacked"):
            asked(body=b"nonsense", HTTP_CONTENT_ENCODING=coding)
        with pytest.raises(ValueError, match="cannot be unpacked"):
            asked(body=packed[: len(packed) // 2], HTTP_CONTENT_ENCODING=coding)


def test_a_small_body_that_unpacks_to_a_very_large_one_is_refused() -> None:
    for coding, pack in (("gzip", gzip.compress), ("zstd", zstandard.compress), ("lz4", lz4.frame.compress)):
        with pytest.raises(ValueError, match="send less at a time"):
            compression.decompress(pack(bytes(2 << 20)), coding, 1 << 20)
    with pytest.raises(ValueError, match="gzip"):
        compression.decompress(b"", "br")


def test_who_asks_may_be_said_in_three_places() -> None:
    who = {"QUERY_STRING": "user=a&password=b"}
    assert request.read_credentials(who) == ("a", "b")
    assert request.read_credentials(who | {"HTTP_AUTHORIZATION": "Basic YzpkOmU="}) == ("c", "d:e")
    assert request.read_credentials(who | {"HTTP_X_CLICKHOUSE_USER": "f", "HTTP_X_CLICKHOUSE_KEY": "g"}) == ("f", "g")
    assert request.read_credentials(who | {"HTTP_AUTHORIZATION": "Basic !!"}) == ("", "")


@pytest.mark.parametrize("name", ["%C3%A9%E2%98%83", "a%0D%0ASet-Cookie:%20x"])
def test_a_name_that_no_header_can_have_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="query_id"):
        asked(f"query_id={name}", b"SELECT 1")


def test_blocks_are_what_clickhouse_packs() -> None:
    """Their checksums are held against ClickHouse's own driver in test_connect.py."""
    plain = bytes(range(256)) * 10_000
    packed = b"".join(compression.compress_chunks([plain[:9], b"", plain[9:]], compression.BLOCKS))
    found = b""
    while packed:
        method, size, length = struct.unpack("<BII", packed[16:25])
        assert method == 0x82
        found += lz4.block.decompress(packed[25 : 16 + size], uncompressed_size=length)
        packed = packed[16 + size :]
    assert found == plain
    assert asked("compress=1").coding == compression.BLOCKS
    assert compression.headers(compression.BLOCKS) == []
    assert compression.choose_coding("blocks") is None


@pytest.mark.timeout(60)
@pytest.mark.parametrize("before", ["", "with ", "select 1 format a", "insert into "])
@pytest.mark.parametrize(
    "unit",
    [" ", "/*", "/* ", "--", "'", '"', "`", "\\", "(", "with ", "insert ", "insert/*", "format ", "format a settings "],
)
def test_no_statement_is_read_in_the_square_of_its_length(before: str, unit: str) -> None:
    """90 kB of spaces after FORMAT took 39 seconds."""
    parse_statement((before + unit * (MAX_STATEMENT_BYTES // len(unit))).encode(), "TSV")


@pytest.mark.parametrize("readonly", ["0", "1", "2", ""])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_link_is_read_only(method: str, readonly: str) -> None:
    assert asked(f"query=x&readonly={readonly}", method=method).settings["readonly"] in ("1", "2")


NESTED = (
    b'--a\r\nContent-Disposition: form-data; name="q"\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n'
    b"--b--\r\n--a--"
)


@pytest.mark.parametrize(
    ("kind", "body", "why"),
    [
        ("multipart/form-data; boundary=a", NESTED, "is a multipart itself"),
        ("multipart/form-data", b"", "boundary"),
        ("multipart/mixed; boundary=a", b"--a--", "multipart/form-data"),
        ("multipart/form-data; boundary=a", b"--a\r\n\r\nx", "not whole"),
        ("multipart/form-data; boundary=a", b"--a\r\nX: y\r\n\r\nx\r\n--a--", "names no field"),
    ],
)  # fmt: skip
def test_a_form_that_cannot_be_read_is_refused_with_its_reason(kind: str, body: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        asked(body=body, CONTENT_TYPE=kind)
