"""Unmodified clients on the front: clickhouse-connect, curl, and whoever breaks off."""

import base64
import json
import os
import socket
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from threading import Thread

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError, StreamFailureError

from ledger.errors import TallyError
from tests.warehouse.conftest import SERVE, Front, python
from warehouse.client import connect, find_address


@pytest.fixture(scope="module")
def asking(front: Front) -> Iterator[Client]:
    """clickhouse-connect as anybody would make it: with compression, and a database."""
    facts = front.facts
    client = clickhouse_connect.get_client(
        host="127.0.0.1", port=facts["port"], username=facts["user"], password=facts["password"], database="default"
    )
    client.command("CREATE TABLE t (a UInt64, b String) ENGINE = MergeTree ORDER BY a")
    yield client
    client.close()


def curl(front: Front, *arguments: str, path: str = "/") -> tuple[int, dict[str, str], str]:
    """Status, headers (in lower case) and body."""
    user = f"{front.facts['user']}:{front.facts['password']}"
    command = ["curl", "-sS", "-i", "-u", user, *arguments, front.facts["url"] + path]
    head, _, body = subprocess.run(command, capture_output=True, text=True, check=True).stdout.partition("\n\n")
    status, *lines = head.splitlines()
    headers = {name.lower(): value for name, _, value in (one.partition(": ") for one in lines)}
    return int(status.split()[1]), headers, body


def test_clickhouse_connect_inserts_and_reads(asking: Client) -> None:
    rows = [[1, "x"], [2, "tab\t'quote' é"], [3, ""]]
    asking.insert("t", rows, column_names=["a", "b"])
    assert [list(row) for row in asking.query("SELECT * FROM t ORDER BY a").result_rows] == rows
    assert asking.query("SELECT a FROM t WHERE a > 99").result_rows == []
    found = asking.query("SELECT b FROM t WHERE b = {b:String}", parameters={"b": "tab\t'quote' é"})
    assert found.result_rows == [("tab\t'quote' é",)]


def test_parameters_too_large_for_an_address(asking: Client) -> None:
    text = "é\t'\n" * 30_000
    assert asking.query("SELECT {x:String} AS x", parameters={"x": text}).result_rows == [(text,)]


def test_a_large_answer_streams(asking: Client) -> None:
    assert asking.query("SELECT number FROM numbers(1000000)").row_count == 1_000_000


def test_an_answer_that_fails_half_way_fails(front: Front, asking: Client) -> None:
    for client in (asking, front.client()):  # with compression and without
        with pytest.raises((StreamFailureError, DatabaseError), match="throwIf"):
            assert client.query("SELECT throwIf(number = 2000000) FROM numbers(3000000)").row_count == 0


def test_what_cannot_be_sent_as_it_is_made_is_bounded(front: Front) -> None:
    status, headers, body = curl(front, "--data", "SELECT number, toString(number) FROM numbers(5000000) FORMAT JSON")
    assert (status, headers["x-clickhouse-exception-code"]) == (400, "396")
    assert body.startswith("Code: 396")


def test_settings_hold_for_one_statement(asking: Client, front: Front) -> None:
    with pytest.raises(DatabaseError, match="readonly"):
        asking.command("CREATE TABLE u (a Int8) ENGINE = Null", settings={"readonly": 1})
    assert asking.command("SELECT getSetting('readonly')") == 0
    said = "%27%26readonly%3D1"
    assert curl(front, path=f"/?query=SELECT+getSetting('log_comment')&log_comment={said}")[2] == "\\'&readonly=1\n"
    assert curl(front, path="/?query=SELECT+1&no_such_setting=1")[0] == 404


def test_curl(front: Front, asking: Client) -> None:
    asking.command("TRUNCATE TABLE t")
    assert curl(front, path="/ping")[2] == "Ok.\n"
    status, headers, body = curl(front, "--data", "SELECT 1 AS x FORMAT JSON")
    assert (status, headers["x-clickhouse-format"], json.loads(body)["data"]) == (200, "JSON", [{"x": 1}])
    assert int(json.loads(headers["x-clickhouse-summary"])["read_rows"]) == 1
    inserted = curl(front, "--data-binary", '7,abc\n8,"d"\n', path="/?query=INSERT+INTO+t+FORMAT+CSV")
    assert json.loads(inserted[1]["x-clickhouse-summary"])["written_rows"] == "2"
    curl(front, "--data-binary", 'INSERT INTO t (a) FORMAT JSONEachRow {"a":9}', path="/?database=default")
    assert curl(front, "--data", "SELECT a, b FROM t ORDER BY a")[2] == "7\tabc\n8\td\n9\t\n"
    gzipped = curl(front, "--compressed", path="/?query=SELECT+1&enable_http_compression=1")
    assert (gzipped[1]["content-encoding"], gzipped[2]) in (("gzip", "1\n"), ("zstd", "1\n"))


@pytest.mark.parametrize(
    ("sql", "status", "code"),
    [("selec 1", 400, "62"), ("SELECT * FROM nope", 404, "60"), ("SELECT toUInt8('x')", 400, "6"), ("", 400, "62")],
)
def test_what_the_engine_refuses_is_said_as_clickhouse_says_it(front: Front, sql: str, status: int, code: str) -> None:
    found = curl(front, "--data", sql)
    assert (found[0], found[1]["x-clickhouse-exception-code"]) == (status, code)
    assert found[2].startswith(f"Code: {code}. DB::Exception: ")


def test_a_link_never_writes(front: Front) -> None:
    found = curl(front, path="/?query=CREATE+TABLE+g+(a+Int8)+ENGINE+Null")
    assert (found[0], found[1]["x-clickhouse-exception-code"]) == (403, "164")


def test_a_wrong_password_and_a_wrong_port_are_refused(front: Front) -> None:
    port = front.facts["port"]
    with pytest.raises(ClickHouseError, match="Authentication failed"):
        clickhouse_connect.get_client(host="127.0.0.1", port=port, username="tally", password="x")
    wrong = front.settings.model_copy(update={"warehouse": "http://tally:x@127.0.0.1:1"})
    with pytest.raises(TallyError, match="does not answer"):
        connect(wrong)
    with pytest.raises(TallyError, match="has the form"):
        find_address(front.settings.model_copy(update={"warehouse": "clickhouse"}))


def test_a_body_that_was_cut_short_is_not_inserted(front: Front, asking: Client) -> None:
    asking.command("TRUNCATE TABLE t")
    facts = front.facts
    basic = base64.b64encode(f"{facts['user']}:{facts['password']}".encode()).decode()
    body = b'INSERT INTO t FORMAT JSONEachRow\n{"a":1,"b":"whole"}\n'
    head = (
        f"POST / HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic {basic}\r\nContent-Length: {len(body) + 9}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", facts["port"])) as connection:
        connection.sendall(head.encode() + body)
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1000) == b""
    assert asking.command("SELECT count() FROM t") == 0


def test_the_password_is_the_owners_alone_and_stays(start: Callable[[], Front]) -> None:
    front = start()
    home, password = front.settings.home, front.facts["password"]
    assert stat.S_IMODE((home / "run" / "warehouse.json").stat().st_mode) == 0o600
    assert stat.S_IMODE((home / "secrets.json").stat().st_mode) == 0o600
    front.client().command("CREATE TABLE kept ENGINE = MergeTree ORDER BY a AS SELECT 1 AS a")
    assert front.stop() == 0
    with pytest.raises(TallyError, match="no warehouse runs"):
        front.client()
    front.start()
    assert front.facts["password"] == password
    assert front.client().command("SELECT count() FROM kept") == 1


def test_two_homes_side_by_side_and_one_home_once(start: Callable[[], Front]) -> None:
    one, two = start(), start()
    assert one.facts["port"] != two.facts["port"]
    again = python(SERVE, one.settings.home)
    assert again.wait(60) != 0
    assert f"the warehouse of {one.settings.home} already runs" in (again.stderr.read() if again.stderr else "")
    taken = python(SERVE, one.settings.home.with_name("third"), TALLY_WAREHOUSE_PORT=str(one.facts["port"]))
    assert taken.wait(60) != 0
    assert f"port {one.facts['port']} for the warehouse is taken" in (taken.stderr.read() if taken.stderr else "")
    assert one.client().command("SELECT 1") == two.client().command("SELECT 1") == 1


def test_it_stops_cleanly_while_a_query_runs(start: Callable[[], Front]) -> None:
    front = start()
    client = front.client()

    def long() -> None:
        with pytest.raises(ClickHouseError):
            client.query("SELECT sum(cityHash64(number)) FROM numbers(1000000000000)")

    asking = Thread(target=long)
    asking.start()
    while front.client().command("SELECT count() FROM system.processes WHERE query LIKE 'SELECT sum(city%'") == 0:
        time.sleep(0.05)
    assert front.stop() == 0
    asking.join()
    assert not os.path.exists(f"/proc/{front.process.pid}")  # noqa: PTH110
