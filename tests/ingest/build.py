"""Imports into a log that is kept in a list."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ingest.files.importer import Options, Summary, import_files
from ledger.log import Draft, Record
from ledger.log.topics import EVENTS, REJECTED, Topic
from ledger.settings import Settings

HEADER = b"TIMESTAMP,ContextTokens,GeneratedTokens"
LINE = b"2023-11-16 18:17:03.9799600,4808,10"


class Kept:
    """A log of which an importer needs no more than to append."""

    def __init__(self) -> None:
        self.records: dict[str, list[Record]] = {EVENTS.name: [], REJECTED.name: []}

    def append(self, topic: Topic, drafts: Sequence[Draft]) -> list[Record]:
        stored = self.records[topic.name]
        appended = [Record(draft.partition, len(stored) + n, 0, *draft[1:]) for n, draft in enumerate(drafts)]
        stored += appended
        return appended

    @property
    def lines(self) -> list[bytes]:
        return [line for record in self.records[EVENTS.name] for line in record.value.split(b"\n") if line]

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]

    @property
    def identities(self) -> list[str]:
        return [event["id"] for event in self.events]

    @property
    def rejections(self) -> list[dict[str, Any]]:
        values = [record.value for record in self.records[REJECTED.name]]
        return [json.loads(line) for value in values for line in value.split(b"\n")]


def import_contents(home: Path, *contents: bytes, **options: Any) -> tuple[Summary, Kept]:
    """Import files of these contents in one call."""
    files = []
    for milliseconds, content in enumerate(contents):
        files.append(home / f"file-{milliseconds}")
        files[-1].write_bytes(content)
    log = Kept()
    return import_files(log, Settings(home=home), files, Options(**options)), log


def azure(*lines: bytes, end: bytes = b"\r\n") -> bytes:
    return end.join((HEADER, *lines))


def request(milliseconds: int, length: int, output: int, *blocks: int, **fields: Any) -> bytes:
    line = {
        "timestamp": milliseconds,
        "input_length": length,
        "output_length": output,
        "hash_ids": blocks,
    } | fields
    return json.dumps(line).encode()
