"""What became of every event, recomputed from the log alone (docs/rules.md, R1 to R9)."""

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import Any, NamedTuple

from audit.verify.pricing import Book, Rated, rated
from audit.verify.schema_check import fits
from ledger.log import Record
from ledger.token_classes import INPUT_CLASSES, TOKEN_CLASSES
from tallystick.vocabulary.base import EARLIEST, LATEST
from tallystick.vocabulary.controls.prices import PriceBookAdopted
from tallystick.vocabulary.event import DATA_MODELS

KINDS = tuple(DATA_MODELS)
FACTS = ("inference", "observation", "correction", "unknown")
AHEAD = timedelta(seconds=300)
DEEPEST = 64
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Judged(NamedTuple):
    """What became of one line. ``data`` and ``time`` are the event's, where it is one."""

    event_index: int
    kind: str
    outcome: str
    reason: str | None = None
    source: str | None = None
    id: str | None = None
    time: datetime | None = None
    data: dict[str, Any] = {}  # noqa: RUF012  (never changed)
    rated: Rated | None = None
    first: tuple[int, int] | None = None


class Partition:
    """Reads one partition's records in order. Identities are kept on disk, so memory stays what it is."""

    def __init__(self, book: Callable[[str], Book]) -> None:
        self._book = book
        self._books: list[tuple[str, Book]] = []
        self._now = EPOCH
        self._seen = sqlite3.connect("")  # a temporary file of SQLite's, gone with the connection
        self._seen.execute("CREATE TABLE seen (identity BLOB PRIMARY KEY, content BLOB, record INT, line INT)")

    def judge(self, record: Record) -> Iterator[Judged]:
        """Every line of the record, in order; those of a relay too, which count nothing."""
        self._now = max(self._now, EPOCH + timedelta(milliseconds=record.time_ms))
        organization = record.headers.get("organization", record.key)
        for at, line in enumerate(record.value.split(b"\n") if record.value else []):
            event = _event(line)
            if event is None:
                yield Judged(at, "unknown", "quarantined", "malformed")
                continue
            yield self._judge(at, line, event, organization, record.offset)

    def _judge(self, at: int, line: bytes, event: dict[str, Any], organization: str, offset: int) -> Judged:
        kind, time, data = event["kind"], event["moment"], event["data"]
        counted = Judged(at, kind, "counted", None, event["source"], event["id"], time, data)
        first = self._first(organization, event["source"], event["id"], line, offset, at)
        if first is not None:
            same, position = first
            if same:
                return counted._replace(outcome="duplicate", first=position)
            return counted._replace(outcome="conflict", reason="content_mismatch", first=position)
        reason = self._doubt(kind, time, data)
        if reason is not None:
            return counted._replace(outcome="quarantined", reason=reason)
        books = [book for _, book in reversed(self._books)]
        entry = rated(data, time, books) if kind == "inference" else None
        if kind == "control" and data["control"] == PriceBookAdopted.control_type:
            self._adopt(data["body"]["name"], data["body"]["document"])
        return counted._replace(rated=entry)

    def _first(
        self, organization: str, source: str, id: str, line: bytes, offset: int, at: int
    ) -> tuple[bool, tuple[int, int]] | None:
        """Whether the identity's first line had the same content, and where it stands; None where this is it."""
        identity = hashlib.sha256(json.dumps([organization, source, id]).encode()).digest()
        content = hashlib.sha256(line).digest()
        found = self._seen.execute("SELECT content, record, line FROM seen WHERE identity = ?", (identity,)).fetchone()
        if found:
            return found[0] == content, (found[1], found[2])
        self._seen.execute("INSERT INTO seen VALUES (?, ?, ?, ?)", (identity, content, offset, at))
        return None

    def _doubt(self, kind: str, time: datetime, data: dict[str, Any]) -> str | None:
        if time > self._now + AHEAD:
            return "event_time_in_future"
        if not fits(kind, data):
            return "schema_mismatch"
        if kind != "inference" or "tokens" not in data or "reported_tokens" not in data:
            return None
        tokens, reported = data["tokens"], data["reported_tokens"]
        given = sum(tokens[name] for name in tokens if name in INPUT_CLASSES)
        made = sum(tokens[name] for name in tokens if name in TOKEN_CLASSES and name not in INPUT_CLASSES)
        sums = {"input": given, "output": made, "total": given + made}
        if any(reported[name] != sums[name] for name in sums if name in reported):
            return "token_totals_mismatch"
        return None

    def _adopt(self, name: str, document: str) -> None:
        book = self._book(document)
        names = [held for held, _ in self._books]
        if name in names:
            self._books[names.index(name)] = (name, book)
        else:
            self._books.append((name, book))


def _event(line: bytes) -> dict[str, Any] | None:
    """An event of the vocabulary, with its kind and its time read; None where the line is none."""
    try:
        event: dict[str, Any] = json.loads(line.decode(), parse_constant=_no_number, parse_float=_finite)
        if b"\\u" in line:
            json.dumps(event, ensure_ascii=False).encode()  # halves of characters are no text
        moment = datetime.fromisoformat(event["time"])
        brackets = line.count(b"{") + line.count(b"[")  # of most lines too few to be deep
        possible = EARLIEST <= moment < LATEST and (brackets <= DEEPEST or _depth(event) <= DEEPEST)
        kinds = [kind for kind in KINDS if event["type"] == f"tallystick.{kind}.v1"]
        shaped = isinstance(event["source"], str) and isinstance(event["id"], str) and isinstance(event["data"], dict)
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    if not kinds or not shaped or not possible:
        return None
    return event | {"kind": kinds[0], "moment": moment.astimezone(UTC)}


def _depth(value: Any) -> int:
    """How many objects and lists stand around its innermost value."""
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if parts is None else 1 + max(map(_depth, parts), default=0)


def _finite(text: str) -> float:
    number = float(text)
    return number if isfinite(number) else _no_number(text)


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number of JSON")
