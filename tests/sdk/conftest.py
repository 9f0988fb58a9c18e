"""A ledger to send to: the real api_server on a free port, and what stands on its log."""

import json
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from ledger.log import PARTITIONS, records
from ledger.log.open import open_log
from ledger.log.topics import EVENTS
from ledger.settings import Settings
from tallystick import Client
from tests.ingest.api.conftest import Served


@pytest.fixture
def api_server(tmp_path: Path) -> Iterator[Served]:
    server = Served(Settings(home=tmp_path / "home"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def client(api_server: Served, tmp_path: Path) -> Iterator[Client]:
    client = Client(api_server.address.geturl(), api_server.bearer("write"), source="app", spool=tmp_path / "spool")
    yield client
    client.close()


def read_inferences(server: Served) -> list[dict[str, Any]]:
    """The applications' events as they stand on the log, repeats included."""
    with closing(open_log(server.settings)) as log:
        found_items = [record for number in range(PARTITIONS) for record in records(log, EVENTS, number)]
    lines = [
        line
        for record in found_items
        if record.headers["channel"] == "http"
        for line in record.value.split(b"\n")
        if line
    ]
    return [json.loads(line) for line in lines]


def group_by_source(events: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Each source's events as the ledger counts them: the first of each identity, in their order on the log."""
    first: dict[tuple[str, str], dict[str, Any]] = {}
    for event in events:
        first.setdefault((event["source"], event["id"]), event)
    by_source: dict[str, list[dict[str, Any]]] = {}
    for event in first.values():
        by_source.setdefault(event["source"], []).append(event)
    return by_source


def list_files(spool: Path) -> list[Path]:
    """Files of the spool with something in them; they come and go while one looks."""
    found_items: list[Path] = []
    for file in spool.rglob("*.ndjson"):
        with suppress(FileNotFoundError):
            if file.stat().st_size:
                found_items.append(file)
    return found_items
