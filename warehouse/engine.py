"""ClickHouse's engine in this process (chDB), and the one process that may own its folder."""

import re
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import chdb

from ledger.errors import TallyError

MEMORY = 700 << 20
"""What the engine may use; beyond it a query is refused (error 241) and the engine goes on."""

ANSWER = 128 << 20
"""What an answer may have that cannot be sent while it is made: Native, RowBinary and JSONEachRow can."""

LIMITS = {
    "async_insert": "0",  # an acknowledged insert is stored
    "max_memory_usage": str(500 << 20),
    "max_threads": "2",
    "max_insert_threads": "1",  # an insert is one part, or none
    "fsync_after_insert": "1",
    "fsync_part_directory": "1",
}
_CODE = re.compile(r"Code: (\d+)")


class QueryFailed(Exception):
    """What ClickHouse said, with its code."""

    def __init__(self, said: str) -> None:
        super().__init__(said)
        found = _CODE.search(said)
        self.code = int(found.group(1)) if found else 1001


class Engine:
    """A fresh connection a statement keeps settings apart. Inserts into a table run one at a time, and the lock is
    held until the engine returns, whatever became of who sent them: the guard of the tables' views is evaluated
    under it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = str(folder)
        self._inserting: dict[str, threading.Lock] = defaultdict(threading.Lock)
        try:
            self._first = chdb.connect(f"{self._path}?{urlencode({'max_server_memory_usage': MEMORY})}")
        except (RuntimeError, chdb.ChdbError) as error:
            raise TallyError(
                f"the warehouse's folder {folder} cannot be opened ({str(error)[:300]}): stop the process that has "
                "it, free some disk space, or delete the folder to fill it again from the log"
            ) from error

    def close(self) -> None:
        self._first.close()

    def insert(self, head: str, format: str, table: str, data: Iterable[bytes], settings: Mapping[str, str]) -> int:
        """Insert the data whole or not at all, and return how many rows were written."""
        with self._inserting[table]:
            connection = self._connect(settings)
            try:
                with connection.send_insert(head, format) as inserter:
                    for chunk in data:
                        inserter.append(chunk)
                    return int(inserter.finish().rows_written)
            except (RuntimeError, chdb.ChdbError) as error:
                raise QueryFailed(str(error)) from error
            finally:
                connection.close()

    def query(self, sql: str, format: str, settings: Mapping[str, str], values: Mapping[str, str]) -> bytes:
        """The whole answer, which is refused beyond ``ANSWER`` bytes (error 396)."""
        connection = self._connect({"max_result_bytes": str(ANSWER)} | dict(settings))
        try:
            result = connection.query(sql, format, params=dict(values))
            return bytes(result.bytes()) if result is not None else b""
        except (RuntimeError, chdb.ChdbError) as error:
            raise QueryFailed(str(error)) from error
        finally:
            connection.close()

    def stream(self, sql: str, format: str, settings: Mapping[str, str], values: Mapping[str, str]) -> Iterator[bytes]:
        """The answer's chunks, made as they are taken. The first is there before this returns it, so that most
        errors are raised before anything was sent."""
        connection = self._connect(settings)
        try:
            with connection.send_query(sql, format, params=dict(values)) as result:
                for chunk in result:
                    yield bytes(chunk.bytes())
        except (RuntimeError, chdb.ChdbError) as error:
            raise QueryFailed(str(error)) from error
        finally:
            connection.close()

    def _connect(self, settings: Mapping[str, str]) -> Any:
        try:
            return chdb.connect(f"{self._path}?{urlencode(LIMITS | dict(settings))}")
        except (RuntimeError, chdb.ChdbError) as error:
            raise QueryFailed(str(error)) from error
