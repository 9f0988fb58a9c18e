"""Mistakes of users, made in this process: each ends in the error that the user sees."""

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

from audit.verify.pricing import Book
from audit.verify.recompute import Partition
from ingest.api import accept_events
from ingest.api.group_commit import Appender
from ingest.files.importer import Options, import_files
from ingest.intake.intake import Intake
from ingest.mapping.reader import RowReader
from ingest.mapping.sheet import parse_sheet
from ledger.home import tokens
from ledger.home.files import database_error, write_atomically
from ledger.home.layout import RECORDED
from ledger.home.locks import service_lock
from ledger.home.ports import bind_port
from ledger.log import Draft
from ledger.log.backup import back_up
from ledger.log.sqlite.log import EmbeddedLog
from ledger.log.topics import EVENTS
from ledger.pricing import document, price_book
from ledger.pricing import genai_prices as catalogue
from ledger.pricing.contract import Contract
from ledger.settings import Settings
from streams.folds.state import State
from streams.partition_state import PartitionState
from tally.local_kafka.serve import _choose_port
from tally.product.rebuild import _check_room
from tally.session import settings as read_settings
from tests.ingest.api.conftest import call, lines
from tests.streams.build import control as build_control
from tests.streams.build import record
from warehouse.embedded.engine import Engine

INTAKE = Intake("key")
SHEET = {"format": "csv", "source": "s", "time": {"column": "at"}, "tokens": {"input": "in"}, "id": ["id"]}
BOOK = {"name": "b", "providers": [{"id": "p", "models": [{"id": "m", "prices": [{"rates": {"input": "-1"}}]}]}]}


def make_settings(path: Path) -> Settings:
    return Settings(home=path / "home")


def import_file(path: Path, content: bytes | None = None, **options: Any) -> object:
    file = path / "file.csv"
    if content is not None:
        file.write_bytes(content)
    return import_files(EmbeddedLog(path / "home"), make_settings(path), [file], Options(**options))


def read_mapped_row(mapping_text: Any, row: dict[str, Any] | None = None, sets: dict[str, Any] | None = None) -> object:
    sheet = parse_sheet(
        mapping_text if isinstance(mapping_text, str) else yaml.safe_dump(mapping_text), "map.yaml", sets or {}
    )
    return RowReader(sheet, {}).read(row or {})


def import_mapped_file(path: Path, content: bytes, kind: str = "csv", **keys: Any) -> object:
    """Import a file by a mapping, and raise its first rejected line."""
    (path / "map.yaml").write_text(yaml.safe_dump({**SHEET, "format": kind, "id": [], **keys}))
    summary = import_file(path, content, mapping=path / "map.yaml")
    raise AssertionError if not summary.refusals else Refusal(summary.refusals[0])  # type: ignore[attr-defined]


def import_rows(path: Path, content: bytes, **options: Any) -> object:
    """Import a file of a row source, and raise its first rejected row."""
    summary = import_file(path, content, **options)
    raise AssertionError if not summary.refusals else Refusal(summary.refusals[0])  # type: ignore[attr-defined]


def import_folder(path: Path, *contents: bytes) -> object:
    """Import a folder of session files with these contents."""
    folder = path / "sessions"
    folder.mkdir()
    for number, content in enumerate(contents):
        (folder / f"{number}.jsonl").write_bytes(content)
    return import_files(EmbeddedLog(path / "home"), make_settings(path), [folder])


def import_folder_that_cannot_be_read(path: Path) -> object:
    with patch(
        "ingest.files.folders.read_beginning", side_effect=PermissionError(errno.EACCES, "Permission denied", "f")
    ):
        return import_folder(path, b"{}")


class Refusal(Exception):
    """A rejected line of an import's summary."""

    def __init__(self, refusal: Any) -> None:
        super().__init__(f"{refusal[2]}: {refusal[3]}")


def send_event(path: Path, raw: bytes) -> object:
    token = tokens.Token("t", ("acme",), ("write",), "", None, "")
    with closing(EmbeddedLog(path)) as log:
        (result,) = accept_events.accept_events(Appender(log), path, token, "acme", [raw]).results
    raise Refusal((0, 0, result["field"], result["reason"]))


def decision(**data: Any) -> bytes:
    return json.dumps({"data": {"control": "budget.allocated", "body": {}, **data}}).encode()


def control(**body: Any) -> bytes:
    data = {"control": "budget.allocated", "body": {"dimension": "team", "scope": "s", **body}}
    return lines(call("1") | {"type": "tallystick.control.v1", "data": data})


def use_occupied_port(
    path: Path, take: Callable[[int], object] = lambda n: bind_port(n, "dashboards", "TALLY_DASHBOARDS_PORT")
) -> object:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return take(listener.getsockname()[1])


def use_occupied_kafka_port(path: Path) -> object:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return _choose_port(path / "port", listener.getsockname()[1])


def run_twice(path: Path) -> object:
    with service_lock(path, "sink"), service_lock(path, "sink"):
        return None


def back_up_over_files(path: Path) -> object:
    EmbeddedLog(path / "home").close()
    (path / "there").mkdir()
    (path / "there" / "x").touch()
    return back_up(path / "home", path / "there")


def make_log(folder: Path) -> Path:
    EmbeddedLog(folder).close()
    return folder


def back_up_damaged_log(path: Path) -> object:
    with closing(EmbeddedLog(path / "home")) as log:
        log.append(EVENTS, [Draft(0, "k", {}, b"x" * 5000) for _ in range(100)])
    file = path / "home" / "log" / "recorded.db"
    content = bytearray(file.read_bytes())
    content[-8192:-8160] = b"?" * 32
    file.write_bytes(content)
    return back_up(path / "home", path / "copy")


def open_damaged_log(path: Path) -> object:
    (path / "log").mkdir()
    (path / "log" / "recorded.db").write_bytes(b"no log at all" * 1000)
    return EmbeddedLog(path)


def open_warehouse_on_file(path: Path) -> object:
    (path / "warehouse").touch()
    return Engine(path / "warehouse")


def open_closed_state() -> State:
    with closing(sqlite3.connect(":memory:")) as db:
        return PartitionState(db).open_state(0)


def rebuild_on_full_disk(path: Path) -> None:
    (path / "warehouse").mkdir()
    (path / "warehouse" / "part").write_bytes(b"x" * 10_000)
    with patch("shutil.disk_usage", return_value=SimpleNamespace(free=0)):
        _check_room(Settings(home=path))


def import_forbidden_file(path: Path) -> object:
    with patch.object(Path, "is_file", side_effect=PermissionError(errno.EACCES, "Permission denied")):
        return import_file(path, b"x")


class FailingFile(io.BytesIO):
    """A file on a disk that fails."""

    name = "file.csv"

    def readline(self, size: int | None = -1, /) -> bytes:
        raise OSError(errno.EIO, "Input/output error")


def with_variable(name: str, value: str, do: Callable[[], object] = read_settings) -> object:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv(name, value)
        return do()


PRICED = "{name: b, currency: USD, providers: []}"
SIGNED = "{name: c, currency: USD, terms: [{discount: 1}]}"


def judge_wrong_document(control_type: str, content: Book | Contract) -> object:
    """Let the audit judge a decision whose document is of another kind."""
    line = build_control("1", control_type, name="x", document="0" * 64)
    return list(Partition(lambda digest: content, lambda *_: b"", lambda *_: []).judge(record(0, line)))


def seal_large_book(path: Path) -> object:
    with patch.object(document, "MAX_DOCUMENT_BYTES", 10):
        return price_book.pack_book(catalogue.genai_prices())


def enter_large_event(path: Path) -> object:
    with patch("ingest.intake.intake.MAX_EVENT_BYTES", 100):
        return INTAKE.accept(lines(call("1")))


def import_refused_line(path: Path, content: bytes) -> object:
    raise Refusal(import_file(path, content).refusals[0])  # type: ignore[attr-defined]


def write_on_full_disk(path: Path) -> None:
    with patch("os.open", side_effect=OSError(errno.ENOSPC, "No space left on device")):
        write_atomically(path / "tokens.json", "[]")


def fail_in_sqlite(code: int) -> object:
    error = sqlite3.OperationalError("what SQLite said")
    error.sqlite_errorcode = code
    raise database_error(Path("home"), RECORDED, error)


def append_to_replaced_log(path: Path) -> object:
    with closing(EmbeddedLog(path)) as log:
        (path / "log" / "recorded.db").rename(path / "elsewhere")
        return log.append(EVENTS, [Draft(0, "k", {}, b"{}")])


def open_lost_log(path: Path) -> object:
    EmbeddedLog(path).close()
    (path / "log" / "recorded.db").write_bytes(b"")
    return EmbeddedLog(path)


def back_up_forbidden(path: Path) -> object:
    make_log(path / "home")
    with patch.object(Path, "rename", side_effect=PermissionError(errno.EACCES, "Permission denied")):
        return back_up(path / "home", path / "copy")
