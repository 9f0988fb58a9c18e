"""Queries of a command to the warehouse: answers, and failures in mid-stream."""

import socket
import threading
from collections.abc import Iterator

import pytest

from ledger.errors import TallyError
from ledger.settings import Settings
from tally.sql_client import read_answer

STATEMENT = "SELECT 1"
HEAD = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
BROKEN = b"\r\n__exception__\r\nabc\r\nCode: 241. DB::Exception: Memory limit exceeded. (MEMORY_LIMIT_EXCEEDED)\n"


@pytest.fixture
def warehouse(request: pytest.FixtureRequest) -> Iterator[Settings]:
    """A warehouse that answers one statement with these bytes."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                request_bytes = b""
                while not request_bytes.endswith(STATEMENT.encode()):  # what is left unread resets the connection
                    request_bytes += connection.recv(65_536)
                connection.sendall(request.param)

        thread = threading.Thread(target=answer)
        thread.start()
        yield Settings(warehouse=f"http://u:p@127.0.0.1:{listening.getsockname()[1]}")
        thread.join()


@pytest.mark.parametrize(
    ("warehouse", "rows", "sentence"),
    [
        (b"", b"", "does not answer .*`tally status` shows"),
        (HEAD + b"1\n2\n" + BROKEN, b"1\n2\n", "the warehouse rejected the statement: .*MEMORY_LIMIT_EXCEEDED"),
    ],
    indirect=["warehouse"],
)
def test_a_warehouse_that_breaks_off_or_does_not_answer_is_told(
    warehouse: Settings, rows: bytes, sentence: str
) -> None:
    received = b""
    with pytest.raises(TallyError, match=sentence):
        for piece in read_answer(warehouse, STATEMENT, "TSV"):
            received += piece
    assert received == rows
