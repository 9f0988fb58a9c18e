"""A home with every file that its layout lists, ways to damage one, and what then is tried in this process."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from typer.testing import CliRunner

from alerting import routes
from alerting.delivery_store import Deliveries
from audit import sequence_gaps
from audit.verify.verify import _read_bounds
from ingest.files.importer import import_files
from ingest.intake.intake import _open_persons
from ledger.errors import TallyError
from ledger.home import tokens
from ledger.home.files import write_atomically
from ledger.home.layout import DEMO, FILES, KAFKA_PORT, SINK, SWITCH, VERIFY_REPORT, HomeFile
from ledger.home.persons import Persons
from ledger.home.secrets import ensure_secret
from ledger.log import PARTITIONS, Draft, Log, fold_offset, records
from ledger.log.open import open_log
from ledger.log.sqlite.log import EmbeddedLog
from ledger.log.topics import ENTRIES, EVENTS
from ledger.settings import Settings
from streams.embedded.store import Store
from streams.embedded.worker import Partition
from streams.kafka.state_cache import StateCache
from streams.runtime import read_catalogues
from tally.cli.app import app
from tally.generations import files as moving
from tally.local_kafka.serve import _choose_port
from tally.session import settings as command_settings
from tally.status import positions
from tally.status.collect import collect_status
from tests.ingest.api.conftest import call, lines

OTHER_LOG = "kafka://elsewhere"
Damage = Callable[[Path], None]
NO_WAREHOUSE: Any = SimpleNamespace(database="tally", query=lambda sql: SimpleNamespace(result_rows=[]))


def build(home: Path) -> Settings:
    """A home in which everything was used once, and nothing runs."""
    settings = Settings(home=home)
    file = home.parent / "calls.ndjson"
    file.write_bytes(b"".join(lines(call(str(number), user="ann")) + b"\n" for number in range(3)))
    with closing(open_log(settings, new=True)) as log:
        import_files(log, settings, [file])
        fold(settings)
        sequence_gaps.follow(log, home)
        offsets = {str(number): fold_offset(log, number) - 1 for number in range(PARTITIONS)}
    _open_persons(home.resolve()).close()
    tokens.create_token(home, ["acme"], ["write"])
    routes.set_webhook(home, "acme", "http://nowhere/x", "webhook")
    Deliveries(home).close()
    StateCache(home / "streams" / "name", 0, "topic").close()
    request = moving.Request(2, 1, "{}", keep=False, log=OTHER_LOG)
    write_atomically(SWITCH.path(home), json.dumps(request._asdict()))
    write_atomically(SINK.path(home), json.dumps({ENTRIES.name: offsets, "at": 1.0}))
    write_atomically(VERIFY_REPORT.path(home), "{}")
    write_atomically(DEMO.path(home), json.dumps({"end": "2026-01-01", "until": "2026-01-01T00:00:00+00:00"}))
    write_atomically(KAFKA_PORT.path(home), "20001")
    write_atomically(home / "logs" / "api.log", "said\n")
    write_atomically(home / "run" / "sink.json", json.dumps({"pid": os.getpid()}))
    return settings


def paths(home: Path) -> list[tuple[HomeFile, Path]]:
    """Every file of the home with its entry, the first of several of a pattern."""
    home_files = []
    for file in FILES:
        if file.kind in ("json", "sqlite", "text", "lock"):
            matches = [path for path in sorted(home.glob(file.pattern)) if path.is_file()]
            home_files += [(file, matches[0])] if matches else []
    return home_files


def fold(settings: Settings) -> None:
    """What the embedded worker does, until it has nothing left to do."""
    with closing(EmbeddedLog(settings.home)) as log, closing(Store(settings.home)) as store:
        books = read_catalogues(log)
        partitions = [Partition(number, log, store, books) for number in range(PARTITIONS)]
        while sum(partition.step() for partition in partitions):
            pass


def try_actions(settings: Settings) -> Iterator[tuple[str, Any]]:
    """The name of each thing that is done with a home, and what came of it: a value, or the error. What ends in another
    error than a sentence is raised."""
    home = settings.home

    def append(log: Log) -> int:
        return log.append(EVENTS, [Draft(0, "acme", {"organization": "acme"}, lines(call("more")))])[0].partition

    def with_log(action: Callable[[Log], Any]) -> Callable[[], Any]:
        def run_on_log() -> Any:
            with closing(open_log(settings)) as log:
                return action(log)

        return run_on_log

    def present() -> Any:
        content = (home / "run" / "sink.json").read_bytes() if (home / "run" / "sink.json").is_file() else None
        try:
            return positions.read_stored_offsets(settings)
        finally:
            path = home / "run" / "sink.json"
            if content is not None and (not path.is_file() or path.read_bytes() != content):
                (home / "run" / "sink.json").write_bytes(content)

    actions: dict[str, Callable[[], Any]] = {
        "read": with_log(lambda log: [len(list(records(log, EVENTS, number))) > 0 for number in range(PARTITIONS)]),
        "derived": with_log(lambda log: fold_offset(log, 0) >= 0),
        "status": with_log(lambda log: collect_status(settings, log)["problems"]),
        "verify's bounds": with_log(lambda log: len(_read_bounds(settings, log, NO_WAREHOUSE)) >= 0),
        "gaps": with_log(lambda log: sequence_gaps.follow(log, home)),
        "missing": lambda: sequence_gaps.count_missing(home),
        "append": with_log(append),
        "fold": lambda: fold(settings),
        "tokens": lambda: len(tokens.list_tokens(home)),
        "a bearer": lambda: tokens.Tokens(home).find("tally_x_y"),
        "secret": lambda: ensure_secret(home, "pseudonym:default"),
        "persons": lambda: Persons(home).list_persons(None, 10),
        "switch": lambda: moving.read_request(Settings(home=home, log=OTHER_LOG)) is not None,
        "settle": lambda: moving.complete_switch(settings),
        "port": lambda: _choose_port(KAFKA_PORT.path(home), 0) > 0,
        "sink": present,
        "settings": lambda: command_settings() is not None,
        **{" ".join(command): _command(home, *command) for command in
           (("status",), ("token", "list"), ("subject", "list"), ("log", "positions"))},
    }  # fmt: skip
    for name, action in actions.items():
        try:
            yield name, action()
        except TallyError as error:
            yield name, error
        except PermissionError as error:  # as the command tells it (`tally/exit.py`)
            yield name, TallyError(f"cannot use {error.filename} ({error.strerror})")
        except Exception as error:
            raise AssertionError(f"{name} ends in a traceback: {error!r}") from error


def results(settings: Settings) -> dict[str, Any]:
    """What came of each thing; what ends in a traceback fails here."""
    return dict(try_actions(settings))


def _command(home: Path, *arguments: str) -> Callable[[], Any]:
    def run() -> Any:
        with patch.dict(os.environ, {"TALLY_HOME": str(home)}):
            result = CliRunner().invoke(app, list(arguments))
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code if result.exit_code in (0,) else TallyError(result.output)

    return run


def garbage(path: Path) -> None:
    path.write_bytes(b"\x00\xff no such thing {" * 400)


def another_shape(path: Path) -> None:
    path.write_bytes(b'[{"a": [1]}, 7]')


def empty(path: Path) -> None:
    path.write_bytes(b"")


def half(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def delete(path: Path) -> None:
    path.unlink()


QUICK: tuple[Damage, ...] = (garbage, empty, folder)
DAMAGES: tuple[Damage, ...] = (*QUICK, another_shape, half, delete)


def restore(home: Path, copy: Path) -> None:
    shutil.rmtree(home)
    shutil.copytree(copy, home)
