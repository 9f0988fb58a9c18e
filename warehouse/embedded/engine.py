"""ClickHouse's engine in this process (chDB), and the one process that may own its folder."""

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

# The engine takes the host's time zone, and a day is a UTC day everywhere.
os.environ["TZ"] = "UTC"
time.tzset()

import chdb  # noqa: E402

MAX_MEMORY_BYTES = 600 << 20
"""What the engine may use; beyond it a query is refused (error 241) and the engine goes on."""

MAX_ANSWER_BYTES = 32 << 20
"""What an answer may hold that cannot be sent while it is made; as JSON it is about four times as long."""

SETTINGS = {
    "async_insert": "0",  # an acknowledged insert is stored
    "max_insert_threads": "1",  # an insert is one part, or none
    "input_format_parallel_parsing": "0",  # faster without, on two cores
    "max_memory_usage": str(400 << 20),
    "max_bytes_before_external_group_by": str(150 << 20),
    "max_bytes_before_external_sort": str(150 << 20),
    "max_result_bytes": str(MAX_ANSWER_BYTES),
}
ACCESS_CONFIG = Path(__file__).parent / "analyst" / "access" / "config.xml"
"""Says which roles there are, and what each may."""

_TREE = "SELECT parseQueryToJSON(unhex({text:String}))"
NO_TREE_CODE = 36
_SETTING = re.compile(r"\w+", re.ASCII)


class ParsedStatement(NamedTuple):
    """How the engine reads a text. ``tree`` is its syntax as nested objects, each with its type; some statements have
    none."""

    is_read_only: bool
    statement_count: int
    tree: Any


class Answer(NamedTuple):
    body: bytes
    summary: dict[str, str]  # as in ClickHouse's X-ClickHouse-Summary


class Parser:
    """The engine without a folder: it reads statements, and runs none of them."""

    def __init__(self) -> None:
        self._connection = chdb.connect(":memory:")

    def read(self, sql: bytes, tree_of: bytes) -> ParsedStatement:
        """Read a text without running it, and the tree of another. QueryFailed where that cannot be read."""
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
    """A new connection a statement keeps settings apart.

    Inserts into a table run one at a time, and the lock is held until the engine returns, whatever became of who
    sent them: the guard of the tables' views is evaluated under it. They go in as statements with their data: chDB's
    ``send_insert`` evaluates the views' subqueries otherwise, and on a connection that was used before it drops
    every line and reports success.
    """

    def __init__(self, folder: Path) -> None:
        self._path = str(folder)
        self._insert_locks: dict[str, threading.Lock] = defaultdict(threading.Lock)
        self._count_lock = threading.Lock()
        self._running_count = 0
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._main_connection = chdb.connect(f"{self._path}?config-file={ACCESS_CONFIG}&max_server_memory_usage={MAX_MEMORY_BYTES}")
        except (OSError, RuntimeError) as error:
            raise TallyError(
                f"the warehouse's folder {folder} cannot be opened ({str(error)[:300]}): stop the process that has "
                "it, free some disk space, or delete the folder to fill it again from the log"
            ) from error

    def close(self) -> bool:
        """Let the folder go. False, and nothing is done, while a statement still runs: the engine cannot bear it."""
        if self._running_count:
            return False
        self._main_connection.close()
        return True

    def kill_query(self, log_comment: str) -> None:
        """Ask the statements whose ``log_comment`` this is to end. Some do not, or not at once."""
        with self._connection({}) as connection:
            connection.query(f"KILL QUERY WHERE Settings['log_comment'] = {_quote(log_comment)} ASYNC")

    def run(
        self, statement: Statement, settings: Mapping[str, str], values: Mapping[str, str], role: str | None = None
    ) -> Answer:
        """Run a statement to its end. An answer beyond ``ANSWER`` bytes is refused (error 396)."""
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
        """The answer's chunks, made as they are taken."""
        with (
            self._connection({"max_result_bytes": "0"} | dict(settings), role) as connection,
            connection.send_query(statement.sql, statement.format, params=dict(values)) as chunks,
        ):
            for chunk in chunks:
                yield bytes(chunk.bytes())

    @contextmanager
    def _connection(self, settings: Mapping[str, str], role: str | None = None) -> Iterator[Any]:
        """A connection with these settings, and the rights of this role, or all. What the engine says against them, or
        later, is QueryFailed."""
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
