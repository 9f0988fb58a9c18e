"""What a user gets wrong, done in this process: each ends in the error that the user is told."""

import errno
import io
import json
import socket
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest
import yaml

from ingest.adapters import mapping
from ingest.api import accept_events
from ingest.api.group_commit import Appender
from ingest.files.importer import Options, import_files
from ingest.intake.intake import Door
from ledger.home import tokens
from ledger.home.files import database_error, write_atomically
from ledger.home.layout import RECORDED
from ledger.home.locks import only_one
from ledger.home.ports import bound
from ledger.log import Draft
from ledger.log.backup import back_up
from ledger.log.sqlite.log import EmbeddedLog
from ledger.log.topics import EVENTS
from ledger.pricing import genai_prices as catalogue
from ledger.pricing import price_book
from ledger.settings import Settings
from streams.folds.state import State
from streams.partition_state import PartitionState
from tally.local_kafka.serve import _port
from tally.product.rebuild import _check_room
from tally.session import settings as read_settings
from tests.ingest.api.conftest import call, lines
from warehouse.embedded.engine import Engine

DOOR = Door("key")
SHEET = {"format": "csv", "source": "s", "time": {"column": "at"}, "tokens": {"input": "in"}, "id": ["id"]}
BOOK = {"name": "b", "providers": [{"id": "p", "models": [{"id": "m", "prices": [{"rates": {"input": "-1"}}]}]}]}


def home(path: Path) -> Settings:
    return Settings(home=path / "home")


def brought(path: Path, content: bytes | None = None, **options: Any) -> object:
    file = path / "file.csv"
    if content is not None:
        file.write_bytes(content)
    return import_files(EmbeddedLog(path / "home"), home(path), [file], Options(**options))


def mapped(said: Any, row: dict[str, Any] | None = None, sets: dict[str, Any] | None = None) -> object:
    made = mapping.sheet(said if isinstance(said, str) else yaml.safe_dump(said), "map.yaml", sets or {})
    return mapping.RowReader(made, {}).read(row or {})


def by_mapping(path: Path, content: bytes, kind: str = "csv", **more: Any) -> object:
    """The first refusal of a file that a mapping reads."""
    (path / "map.yaml").write_text(yaml.safe_dump({**SHEET, "format": kind, "id": [], **more}))
    summary = brought(path, content, mapping=path / "map.yaml")
    raise AssertionError if not summary.refusals else Told(summary.refusals[0])  # type: ignore[attr-defined]


class Told(Exception):
    """A refusal as a summary tells it."""

    def __init__(self, refusal: Any) -> None:
        super().__init__(f"{refusal[2]}: {refusal[3]}")


def entered(path: Path, raw: bytes) -> object:
    token = tokens.Token("t", ("acme",), ("write",), "", None, "")
    with closing(EmbeddedLog(path)) as log:
        (result,) = accept_events.enter(Appender(log), path, token, "acme", [raw]).results
    raise Told((0, 0, result["field"], result["reason"]))


def decision(**data: Any) -> bytes:
    return json.dumps({"data": {"control": "budget.allocated", "body": {}, **data}}).encode()


def control(**body: Any) -> bytes:
    said = {"control": "budget.allocated", "body": {"dimension": "team", "scope": "s", **body}}
    return lines(call("1") | {"type": "tallystick.control.v1", "data": said})


def deep(path: Path) -> object:
    return DOOR.enter(lines(call("1"))[:-2] + b',"x":' + b"[" * 5000 + b"]" * 5000 + b"}}")


def taken(
    path: Path, take: Callable[[int], object] = lambda n: bound(n, "dashboards", "TALLY_DASHBOARDS_PORT")
) -> object:
    with socket.create_server(("127.0.0.1", 0)) as other:
        return take(other.getsockname()[1])


def kafka_taken(path: Path) -> object:
    with socket.create_server(("127.0.0.1", 0)) as other:
        return _port(path / "port", other.getsockname()[1])


def twice(path: Path) -> object:
    with only_one(path, "sink"), only_one(path, "sink"):
        return None


def backed_up_over(path: Path) -> object:
    EmbeddedLog(path / "home").close()
    (path / "there").mkdir()
    (path / "there" / "x").touch()
    return back_up(path / "home", path / "there")


def made_log(folder: Path) -> Path:
    EmbeddedLog(folder).close()
    return folder


def backed_up_damaged(path: Path) -> object:
    with closing(EmbeddedLog(path / "home")) as log:
        log.append(EVENTS, [Draft(0, "k", {}, b"x" * 5000) for _ in range(100)])
    file = path / "home" / "log" / "recorded.db"
    content = bytearray(file.read_bytes())
    content[-8192:-8160] = b"?" * 32
    file.write_bytes(content)
    return back_up(path / "home", path / "copy")


def damaged_log(path: Path) -> object:
    (path / "log").mkdir()
    (path / "log" / "recorded.db").write_bytes(b"no log at all" * 1000)
    return EmbeddedLog(path)


def warehouse_of_a_file(path: Path) -> object:
    (path / "warehouse").touch()
    return Engine(path / "warehouse")


def rows_of_nothing() -> State:
    with closing(sqlite3.connect(":memory:")) as gone:
        return PartitionState(gone).open_state(0)


def full_disk(path: Path) -> None:
    (path / "warehouse").mkdir()
    (path / "warehouse" / "part").write_bytes(b"x" * 10_000)
    with patch("shutil.disk_usage", return_value=SimpleNamespace(free=0)):
        _check_room(Settings(home=path))


def forbidden(path: Path) -> object:
    with patch.object(Path, "is_file", side_effect=PermissionError(errno.EACCES, "Permission denied")):
        return brought(path, b"x")


class Broken(io.BytesIO):
    """A file on a disk that fails."""

    name = "file.csv"

    def readline(self, size: int | None = -1, /) -> bytes:
        raise OSError(errno.EIO, "Input/output error")


def where(name: str, value: str, do: Callable[[], object] = read_settings) -> object:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv(name, value)
        return do()


def too_large_a_book(path: Path) -> object:
    with patch.object(price_book, "MAX_DOCUMENT", 10):
        return price_book.sealed(catalogue.genai_prices())


def too_large_an_event(path: Path) -> object:
    with patch("ingest.intake.intake.MAX_EVENT", 100):
        return DOOR.enter(lines(call("1")))


def brought_refusal(path: Path, content: bytes) -> object:
    raise Told(brought(path, content).refusals[0])  # type: ignore[attr-defined]


def no_room(path: Path) -> None:
    with patch("os.open", side_effect=OSError(errno.ENOSPC, "No space left on device")):
        write_atomically(path / "tokens.json", "[]")


def said_by_sqlite(code: int) -> object:
    error = sqlite3.OperationalError("what SQLite said")
    error.sqlite_errorcode = code
    raise database_error(Path("home"), RECORDED, error)


def replaced_log(path: Path) -> object:
    with closing(EmbeddedLog(path)) as log:
        (path / "log" / "recorded.db").rename(path / "elsewhere")
        return log.append(EVENTS, [Draft(0, "k", {}, b"{}")])


def lost_log(path: Path) -> object:
    EmbeddedLog(path).close()
    (path / "log" / "recorded.db").write_bytes(b"")
    return EmbeddedLog(path)


def forbidden_backup(path: Path) -> object:
    made_log(path / "home")
    with patch.object(Path, "rename", side_effect=PermissionError(errno.EACCES, "Permission denied")):
        return back_up(path / "home", path / "copy")
