"""ClickHouse's engine (chDB) in this process, which owns its folder."""

import json
import os
import re
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from ledger.errors import TallyError
from warehouse.embedded.errors import QueryFailed as QueryFailed
from warehouse.embedded.statement import Statement

# The engine takes the host's time zone, but a day is a UTC day everywhere.
os.environ["TZ"] = "UTC"
time.tzset()

import chdb  # noqa: E402

MAX_MEMORY_BYTES = 600 << 20
"""The engine's memory limit; beyond it a query is refused (error 241) and the engine goes on."""

MAX_ANSWER_BYTES = 32 << 20
"""The greatest answer that cannot be streamed; as JSON it is about four times as long."""

SETTINGS = {
    "async_insert": "0",  # an acknowledged insert is stored
    "max_insert_threads": "1",  # an insert is one part, or none
    "input_format_parallel_parsing": "0",  # faster without, on two cores
    "max_memory_usage": str(800 << 20),
    "max_bytes_before_external_group_by": str(150 << 20),
    "max_bytes_before_external_sort": str(150 << 20),
    "max_result_bytes": str(MAX_ANSWER_BYTES),
}
ACCESS_CONFIG = Path(__file__).parent / "analyst" / "access" / "config.xml"
"""The roles and their rights."""

_TREE = "SELECT parseQueryToJSON(unhex({text:String}))"
NO_TREE_CODE = 36
_SETTING = re.compile(r"\w+", re.ASCII)


class ParsedStatement(NamedTuple):
    """A text as the engine parses it. ``tree`` is its syntax as nested objects, each with its type; None where the
    engine gives none for this kind of statement."""

    is_read_only: bool
    statement_count: int
    tree: Any


class Answer(NamedTuple):
    body: bytes
    summary: dict[str, str]  # as in ClickHouse's X-ClickHouse-Summary


class Parser:
    """The engine without a folder: it parses statements and runs none of them."""

    def __init__(self) -> None:
        self._connection = chdb.connect(":memory:")

    def read(self, sql: bytes, tree_of: bytes) -> ParsedStatement:
        """Parse ``sql`` without running it, and return the tree of ``tree_of``. QueryFailed where it is malformed."""
        try:
            classes = self._connection._conn.classify_query(sql)
            result = self._connection.query(_TREE, "RawBLOB", params={"text": tree_of.hex()}).bytes()
            tree = json.loads(bytes(result).decode(errors="replace"))
        except (RecursionError, MemoryError) as error:
            raise QueryFailed("Code: 306. DB::Exception: It is nested too deep. (TOO_DEEP_RECURSION)") from error
        except RuntimeError as error:
            failure = QueryFailed(str(error).split(": In scope SELECT parseQueryToJSON")[0])
            if failure.code != NO_TREE_CODE:
                raise failure from error
            tree = None
        return ParsedStatement(classes["query_class"].name == "READ_ONLY", classes["statement_count"], tree)


class Engine:
    """Run statements, each on a connection of its own, so that settings do not leak.

    Inserts into a table run one at a time. The lock is held until the engine returns, even if the client is gone, since
    the guard of the tables' views is evaluated under it. Inserts are statements with their data: chDB's ``send_insert``
    evaluates the views' subqueries differently, and on a connection used before it drops every line without an error.
    """

    def __init__(self, folder: Path) -> None:
        self._path = str(folder)
        self._insert_locks: dict[str, threading.Lock] = defaultdict(threading.Lock)
        self._count_lock = threading.Lock()
        self._running_count = 0
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._main_connection = chdb.connect(
                f"{self._path}?config-file={ACCESS_CONFIG}&max_server_memory_usage={MAX_MEMORY_BYTES}"
            )
        except (OSError, RuntimeError) as error:
            raise TallyError(
                f"the warehouse's folder {folder} cannot be opened ({str(error)[:300]}): stop the process that has "
                "it, free some disk space, or delete the folder to fill it again from the log"
            ) from error

    def close(self) -> bool:
        """Release the folder. Return False, and do nothing, while a statement still runs: the engine would crash."""
        if self._running_count:
            return False
        self._main_connection.close()
        return True

    def kill_query(self, log_comment: str) -> None:
        """Ask the engine to end the statements with this ``log_comment``. Some do not end, or not at once."""
        with self._connection({}) as connection:
            connection.query(f"KILL QUERY WHERE Settings['log_comment'] = {_quote(log_comment)} ASYNC")

    def run(
        self, statement: Statement, settings: Mapping[str, str], values: Mapping[str, str], role: str | None = None
    ) -> Answer:
        """Run a statement to its end. An answer above ``MAX_ANSWER_BYTES`` is refused (error 396)."""
        with ExitStack() as stack:
            if statement.target_table is not None:
                stack.enter_context(self._insert_locks[statement.target_table])
            connection = stack.enter_context(self._connection(settings, role))
            start_ns = time.monotonic_ns()
            result = connection.query(statement.sql, statement.format, params=dict(values))
            summary = {
                "read_rows": result.storage_rows_read(),
                "read_bytes": result.storage_bytes_read(),
                "written_rows": result.rows_written(),
                "written_bytes": result.bytes_written(),
                "elapsed_ns": time.monotonic_ns() - start_ns,
            }
            return Answer(bytes(result.bytes()), {name: str(value) for name, value in summary.items()})

    def stream(
        self, statement: Statement, settings: Mapping[str, str], values: Mapping[str, str], role: str | None = None
    ) -> Iterator[bytes]:
        """Yield the answer's chunks as the engine makes them."""
        with (
            self._connection({"max_result_bytes": "0"} | dict(settings), role) as connection,
            connection.send_query(statement.sql, statement.format, params=dict(values)) as chunks,
        ):
            for chunk in chunks:
                yield bytes(chunk.bytes())

    @contextmanager
    def _connection(self, settings: Mapping[str, str], role: str | None = None) -> Iterator[Any]:
        """Open a connection with these settings, and the rights of this role or all rights. Errors of the engine are
        raised as QueryFailed."""
        with self._count_lock:
            self._running_count += 1
        connection = None
        try:
            connection = chdb.connect(self._path)
            if role:
                connection.query(f"SET ROLE {role}")
            statement_settings = SETTINGS | dict(settings)
            if database := statement_settings.pop("database", ""):
                connection.query(f"USE {_quote(database, '`')}")
            connection.query(_build_set_statement(statement_settings))
            yield connection
        except RuntimeError as error:  # ChdbError is one
            raise QueryFailed(str(error)) from error
        finally:
            if connection is not None:
                connection.close()
            with self._count_lock:
                self._running_count -= 1


def _build_set_statement(settings: Mapping[str, str]) -> str:
    unknown = [name for name in settings if not _SETTING.fullmatch(name)]
    if unknown:
        raise QueryFailed(f"Code: 115. DB::Exception: Unknown setting {unknown[0]!r}. (UNKNOWN_SETTING)")
    return "SET " + ", ".join(f"{name} = {_quote(value)}" for name, value in settings.items())


def _quote(text: str, quote: str = "'") -> str:
    return quote + text.replace("\\", "\\\\").replace(quote, "\\" + quote) + quote
