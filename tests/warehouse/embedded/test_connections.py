"""Many analysts at once: each gets an answer or a refusal, and the sink goes on."""

import http.client
import json
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from threading import Event
from typing import cast
from urllib.parse import urlsplit

import pytest

from tests.warehouse.build import run_of
from tests.warehouse.conftest import Front, eventually
from tests.warehouse.requests import as_analyst, as_writer
from warehouse.embedded.analyst.query_slots import MAX_QUERIES, MAX_RUNNING_QUERIES

SLOW = "SELECT sum(cityHash64(number)) FROM numbers(1000000000000)"
GREEDY = (
    "SELECT number % 3000000 AS k, groupArray(toString(number)) AS a FROM numbers(30000000) GROUP BY k ORDER BY a",
    "SELECT groupArray(number) FROM numbers(100000000)",
    SLOW,
)
"""Much to write to the disk, much memory, much of the processor."""

MORE = 3
"""So many more ask than there are places: who looks whether all are taken may have had one meanwhile."""

QUICK = """
import sys
from ledger.settings import Settings
from warehouse.embedded import server
patched = '''
import threading
from warehouse.embedded import process
confine = process.confine
def shorten():
    from warehouse.embedded.analyst import policy
    policy.LIMITS["max_execution_time"] = "1"
def confine_and_shorten(*arguments):
    confine(*arguments)
    thread = threading.Thread(target=shorten)
    thread.start()
    thread.join()
process.confine = confine_and_shorten
process.main()
'''
server.COMMAND = (sys.executable, "-c", patched)
server.serve(Settings())
"""
"""A front whose analysts have one second."""


@pytest.fixture(scope="module")
def slow(front: Front) -> Iterator[Front]:
    """The module's front; whatever a test left running ends."""
    yield front
    as_writer(front, f"KILL QUERY WHERE query LIKE '{SLOW[:20]}%' SYNC")


def running(front: Front) -> int:
    found = as_writer(front, "SELECT count() FROM system.processes WHERE Settings['log_comment'] LIKE 'analyst-%'")
    return int(found.text)


@contextmanager
def asking(front: Front, sql: str, count: int = 1) -> Iterator[list[socket.socket]]:
    """So many connections of analysts that have asked, and read nothing."""
    who = front.facts["analyst"]
    head = (
        f"POST / HTTP/1.1\r\nHost: localhost\r\nX-ClickHouse-User: {who['user']}\r\n"
        f"X-ClickHouse-Key: {who['password']}\r\n"
        f"Content-Length: {len(sql)}\r\n\r\n{sql}"
    )
    connections = [socket.create_connection(("127.0.0.1", front.facts["port"])) for _ in range(count)]
    for one in connections:
        one.sendall(head.encode())
    try:
        yield connections
    finally:
        for one in connections:
            one.close()


def test_one_more_than_there_are_places_is_refused_at_once(slow: Front) -> None:
    with asking(slow, SLOW, MAX_QUERIES + MORE):
        eventually(lambda: refused(slow))
        said = as_analyst(slow, "SELECT 1")
        assert (said.status, said.code, said.headers["retry-after"]) == (503, "202", "1")
        assert said.text.startswith("Code: 202. DB::Exception: ") and str(MAX_QUERIES) in said.text
        eventually(lambda: running(slow) == MAX_RUNNING_QUERIES)  # the writer is served meanwhile
    eventually(lambda: running(slow) == 0)
    assert patiently(slow) == "1\n"


def test_a_query_ends_with_who_asked(slow: Front) -> None:
    with asking(slow, SLOW):
        eventually(lambda: running(slow) == 1)
    eventually(lambda: running(slow) == 0)
    with asking(slow, SLOW + " FORMAT Native"):  # which streams
        eventually(lambda: running(slow) == 1)
    eventually(lambda: running(slow) == 0)


def test_a_query_that_reads_like_an_insert_keeps_none_waiting(slow: Front) -> None:
    """Inserts into a table wait for each other; they would wait for this one."""
    client = slow.client()
    with asking(slow, f"WITH 'insert into entries_in' AS x {SLOW}"):
        eventually(lambda: running(slow) == 1)
        client.raw_insert("tally.entries_in", insert_block=run_of([10**6], partition=9), fmt="JSONEachRow")
        assert running(slow) == 1
    eventually(lambda: running(slow) == 0)


def test_who_waits_and_leaves_gives_up_the_place(slow: Front) -> None:
    with asking(slow, SLOW, MAX_RUNNING_QUERIES), ThreadPoolExecutor() as pool:
        eventually(lambda: running(slow) == MAX_RUNNING_QUERIES)
        with asking(slow, "SELECT 1", MAX_QUERIES - MAX_RUNNING_QUERIES + MORE):
            eventually(lambda: refused(slow))
        waiting = [pool.submit(patiently, slow) for _ in range(3)]
        time.sleep(1)
        assert not any(one.done() for one in waiting)  # they wait, and are not refused
        as_writer(slow, "KILL QUERY WHERE Settings['log_comment'] LIKE 'analyst-%' SYNC")
        assert {one.result() for one in waiting} == {"1\n"}


def patiently(front: Front) -> str:
    """What an analyst is answered who asks again as long as there is no place."""
    while (said := as_analyst(front, "SELECT 1")).status == 503:
        time.sleep(0.05)
    return said.text


def refused(front: Front) -> bool:
    """Whether there is no place. (Where there is one, who asks would wait.)"""
    with asking(front, "SELECT 1") as (connection,):
        connection.settimeout(1)
        try:
            return connection.recv(100).startswith(b"HTTP/1.1 503")
        except TimeoutError:
            return False


def test_who_reads_slowly_holds_no_query(slow: Front) -> None:
    large = "SELECT number, toString(number) FROM numbers(500000) FORMAT JSONEachRow"
    with asking(slow, large, MAX_QUERIES + MORE) as connections:  # 23 MB each: more than the kernel takes
        eventually(lambda: running(slow) == 0 and refused(slow))
        answers = [one.makefile("rb") for one in connections]
        lines = [one.readline() for one in answers]
        assert set(lines) == {b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 503 Service Unavailable\r\n"}
        answer = answers[lines.index(b"HTTP/1.1 200 OK\r\n")]
        head = list(iter(answer.readline, b"\r\n"))
        length = next(int(line.split()[1]) for line in head if line.lower().startswith(b"content-length"))
        assert answer.read(length).count(b"\n") == 500_000
        for one in answers:
            one.close()
    assert patiently(slow) == "1\n"


def test_a_thousand_queries_on_twenty_connections_while_the_sink_writes(slow: Front) -> None:
    """Each is answered, on a connection that stays; the inserts that ran meanwhile are all there."""
    client = slow.client()
    client.command("TRUNCATE TABLE tally.records")
    over = Event()

    def insert() -> int:
        done = 0
        while not over.is_set():
            client.raw_insert("tally.entries_in", insert_block=run_of(range(done, done + 20)), fmt="JSONEachRow")
            done += 20
        return done

    queries = [
        "SELECT count() FROM tally.entries",
        "SELECT team, sum(billed_cost) FROM tally.entries GROUP BY team FORMAT Native",
        "SELECT class, quantile(0.9)(quantity) FROM tally.entries GROUP BY class FORMAT JSONEachRow",
        "SELECT number FROM numbers(10000) FORMAT CSV",
        "SELECT name FROM system.columns WHERE database = 'tally' FORMAT JSON",
    ]

    def ask(number: int) -> Counter[int]:
        who = slow.facts["analyst"]
        headers = {"X-ClickHouse-User": who["user"], "X-ClickHouse-Key": who["password"]}
        statuses: Counter[int] = Counter()
        with closing(http.client.HTTPConnection(urlsplit(slow.facts["url"]).netloc, timeout=120)) as connection:
            for turn in range(50):
                connection.request("POST", "/", queries[(number + turn) % len(queries)].encode(), headers)
                found = connection.getresponse()
                body = found.read()
                statuses[found.status] += 1
                assert body, (found.status, queries[(number + turn) % len(queries)])
        return statuses

    with ThreadPoolExecutor(21) as pool:
        inserting = pool.submit(insert)
        eventually(lambda: cast(int, client.command("SELECT count() FROM tally.records")) > 0)
        statuses = sum(pool.map(ask, range(20)), Counter())
        over.set()
    assert statuses == {200: 1000}
    assert client.command("SELECT count() FROM tally.records") == inserting.result() > 0


def test_the_sink_goes_on_while_twenty_analysts_ask_for_much(start: Callable[[], Front]) -> None:
    from warehouse.migrate import migrate

    front = start()
    front.stop()
    front.start(QUICK)
    migrate(front.client())
    client, over = front.client(), Event()

    def harass(number: int) -> Counter[str]:
        codes: Counter[str] = Counter()
        while not over.is_set():
            said = as_analyst(front, GREEDY[number % len(GREEDY)])
            codes[said.code] += 1
        return codes

    with ThreadPoolExecutor(MAX_QUERIES) as pool:
        analysts = [pool.submit(harass, number) for number in range(MAX_QUERIES)]
        eventually(lambda: running(front) == MAX_RUNNING_QUERIES)
        for first in range(0, 2000, 200):
            client.raw_insert("tally.entries_in", insert_block=run_of(range(first, first + 200)), fmt="JSONEachRow")
        assert running(front) > 0
        over.set()
        codes = sum((one.result() for one in analysts), Counter())
    assert client.command("SELECT count() FROM tally.records") == 2000
    assert set(codes) <= {"159", "241"} and codes["159"] and codes["241"], codes  # each by its own limit


def test_idle_connections_keep_nobody_out(slow: Front) -> None:
    address = ("127.0.0.1", slow.facts["port"])
    idle = [socket.create_connection(address) for _ in range(200)]
    try:
        assert as_analyst(slow, "SELECT 1").status == 200
        assert as_writer(slow, "SELECT 1").status == 200
    finally:
        for one in idle:
            one.close()


def test_an_answer_is_whole_whatever_its_size_and_coding(slow: Front) -> None:
    """Small ones are sent from memory, large ones from a file."""
    for rows in (0, 1, 100, 300_000):
        for coding in ("", "gzip", "zstd"):
            said = _coded(slow, f"SELECT number FROM numbers({rows}) FORMAT JSONEachRow", coding)
            assert len(said.splitlines()) == rows
    assert json.loads(as_analyst(slow, "SELECT number FROM numbers(100000) FORMAT JSON").text)["rows"] == 100_000


def _coded(front: Front, sql: str, coding: str) -> bytes:
    import clickhouse_connect

    who = front.facts["analyst"]
    client = clickhouse_connect.get_client(
        host="127.0.0.1", port=front.facts["port"], username=who["user"], password=who["password"],
        compress=coding or False,
    )  # fmt: skip
    with client:
        return client.raw_query(sql)
