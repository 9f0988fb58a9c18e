"""Recompute the outcome of every event from the log alone (docs/rules.md, R1 to R9)."""

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import Any, NamedTuple

from audit.verify.pricing import Book, Rated, rate_call, rate_quarantined
from audit.verify.schema_check import is_valid
from ledger import outcomes
from ledger.log import Record
from ledger.token_classes import INPUT_CLASSES, TOKEN_CLASSES
from tallystick.vocabulary.base import EARLIEST, LATEST
from tallystick.vocabulary.controls.prices import PriceBookAdopted
from tallystick.vocabulary.event import DATA_MODELS

KINDS = tuple(DATA_MODELS)
FACTS = ("inference", "observation", "correction", "unknown")
MAX_AHEAD = timedelta(seconds=300)
MAX_DEPTH = 64
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class JudgedLine(NamedTuple):
    """The outcome of one line. ``data`` and ``time`` are the event's; empty where the line is no event."""

    event_index: int
    kind: str
    outcome: str
    reason: str | None = None
    source: str | None = None
    id: str | None = None
    time: datetime | None = None
    data: dict[str, Any] = {}  # noqa: RUF012  (never changed)
    rated: Rated | None = None
    original: tuple[int, int] | None = None


class Partition:
    """Judge one partition's records in order. Identities are kept on disk, so memory does not grow."""

    def __init__(self, book: Callable[[str], Book]) -> None:
        self._book = book
        self._books: list[tuple[str, Book]] = []
        self._now = EPOCH
        self._identities = sqlite3.connect("")  # a temporary file of SQLite's, gone with the connection
        self._identities.execute("CREATE TABLE seen (identity BLOB PRIMARY KEY, content BLOB, record INT, line INT)")

    def judge(self, record: Record) -> Iterator[JudgedLine]:
        """Yield every line of the record, in order; those of a relay too, although they count nothing."""
        self._now = max(self._now, EPOCH + timedelta(milliseconds=record.time_ms))
        organization = record.organization
        for event_index, line in enumerate(record.value.split(b"\n") if record.value else []):
            event = _parse_event(line)
            if event is None:
                yield JudgedLine(event_index, "unknown", outcomes.QUARANTINED, "malformed")
                continue
            yield self._judge(event_index, line, event, organization, record.offset)

    def _judge(
        self, event_index: int, line: bytes, event: dict[str, Any], organization: str, offset: int
    ) -> JudgedLine:
        kind, time, data = event["kind"], event["moment"], event["data"]
        counted = JudgedLine(event_index, kind, outcomes.COUNTED, None, event["source"], event["id"], time, data)
        original = self._find_original(organization, event["source"], event["id"], line, offset, event_index)
        if original is not None:
            is_same, position = original
            if is_same:
                return counted._replace(outcome=outcomes.DUPLICATE, original=position)
            return counted._replace(outcome=outcomes.CONFLICT, reason="content_mismatch", original=position)
        reason = self._find_quarantine_reason(kind, time, data)
        books = [book for _, book in reversed(self._books)]
        if reason is not None:
            has_amount = kind == "inference" and is_valid(kind, data)
            entry = rate_quarantined(data, time, books) if has_amount else None
            return counted._replace(outcome=outcomes.QUARANTINED, reason=reason, rated=entry)
        entry = rate_call(data, time, books) if kind == "inference" else None
        if kind == "control" and data["control"] == PriceBookAdopted.control_type:
            self._adopt(data["body"]["name"], data["body"]["document"])
        return counted._replace(rated=entry)

    def _find_original(
        self, organization: str, source: str, id: str, line: bytes, offset: int, event_index: int
    ) -> tuple[bool, tuple[int, int]] | None:
        """Return True where the first line of the identity has the same content, and its position; None without one."""
        identity = hashlib.sha256(json.dumps([organization, source, id]).encode()).digest()
        content = hashlib.sha256(line).digest()
        row = self._identities.execute(
            "SELECT content, record, line FROM seen WHERE identity = ?", (identity,)
        ).fetchone()
        if row:
            return row[0] == content, (row[1], row[2])
        self._identities.execute("INSERT INTO seen VALUES (?, ?, ?, ?)", (identity, content, offset, event_index))
        return None

    def _find_quarantine_reason(self, kind: str, time: datetime, data: dict[str, Any]) -> str | None:
        if time > self._now + MAX_AHEAD:
            return "event_time_in_future"
        if not is_valid(kind, data):
            return "schema_mismatch"
        if kind != "inference" or "tokens" not in data or "reported_tokens" not in data:
            return None
        tokens, reported = data["tokens"], data["reported_tokens"]
        input_tokens = sum(tokens[name] for name in tokens if name in INPUT_CLASSES)
        output_tokens = sum(tokens[name] for name in tokens if name in TOKEN_CLASSES and name not in INPUT_CLASSES)
        sums = {"input": input_tokens, "output": output_tokens, "total": input_tokens + output_tokens}
        if any(reported[name] != sums[name] for name in sums if name in reported):
            return "token_totals_mismatch"
        return None

    def _adopt(self, name: str, document: str) -> None:
        book = self._book(document)
        names = [adopted_name for adopted_name, _ in self._books]
        if name in names:
            self._books[names.index(name)] = (name, book)
        else:
            self._books.append((name, book))


def _parse_event(line: bytes) -> dict[str, Any] | None:
    """Parse an event of the vocabulary, with its kind and time; None where the line is no event."""
    try:
        event: dict[str, Any] = json.loads(line.decode(), parse_constant=_reject_number, parse_float=_parse_finite)
        if b"\\u" in line:
            json.dumps(event, ensure_ascii=False).encode()  # halves of characters are no text
        moment = datetime.fromisoformat(event["time"])
        brackets = line.count(b"{") + line.count(b"[")  # most lines have too few to be deep
        is_possible = EARLIEST <= moment < LATEST and (brackets <= MAX_DEPTH or _depth(event) <= MAX_DEPTH)
        kinds = [kind for kind in KINDS if event["type"] == f"tallystick.{kind}.v1"]
        has_shape = (
            isinstance(event["source"], str) and isinstance(event["id"], str) and isinstance(event["data"], dict)
        )
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    if not kinds or not has_shape or not is_possible:
        return None
    return event | {"kind": kinds[0], "moment": moment.astimezone(UTC)}


def _depth(value: Any) -> int:
    """Count the objects and lists around the innermost value."""
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if parts is None else 1 + max(map(_depth, parts), default=0)


def _parse_finite(text: str) -> float:
    number = float(text)
    return number if isfinite(number) else _reject_number(text)


def _reject_number(text: str) -> float:
    raise ValueError(f"{text} is no number of JSON")
