"""Small logs for tests: records as the intake would write them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from ledger.log import Record
from ledger.pricing.price_book import pack_book
from ledger.pricing.price_book_file import parse_book
from tallystick import Control, ControlEvent, Correction, CorrectionEvent, Inference, InferenceEvent

START = datetime(2026, 1, 5, 12, tzinfo=UTC)
START_MS = int(START.timestamp()) * 1000

BOOK = """
name: test
currency: USD
providers:
  - id: acme
    model_match: {starts_with: m}
    models:
      - id: m1
        prices:
          - rates: {input: 1, output: 10}
"""
DIGEST, PACKED = pack_book(parse_book(BOOK, "the test"))
DOCUMENTS = {DIGEST: PACKED}


def call(id: str, at_s: float = 0, source: str = "test", **fields: Any) -> bytes:
    """An inference so many seconds after START; a dollar unless tokens are given."""
    fields.setdefault("tokens", {"input": 1_000_000})
    fields.setdefault("model", "m1")
    time = START + timedelta(seconds=at_s)
    return InferenceEvent(id=id, source=source, time=time, data=Inference(**fields)).canonical()


def control(id: str, control: str, at_s: float = 0, **body: Any) -> bytes:
    data = Control.model_validate({"control": control, "body": body}, strict=False)
    return ControlEvent(id=id, source="people", time=START + timedelta(seconds=at_s), data=data).canonical()


def adopt(id: str = "book") -> bytes:
    return control(id, "price_book.adopted", name="test", document=DIGEST)


def budget(id: str, limit: str, window_s: int = 3600, **scope: str) -> bytes:
    ((dimension, value),) = (scope or {"organization": "acme"}).items()
    return control(
        id,
        "budget.allocated",
        dimension=dimension,
        scope=value,
        limit=limit,
        currency="USD",
        window_s=window_s,
    )


def record(offset: int, *lines: bytes, at_s: float = 0, partition: int = 0, **headers: str) -> Record:
    """A record of the organization acme, given its time by the log so many seconds after START."""
    headers = {
        "organization": "acme",
        "channel": "test",
        "principal": "test",
        "schema": "1",
        "refused": "0",
    } | headers
    return Record(partition, offset, START_MS + int(at_s * 1000), "acme", headers, b"\n".join(lines))


def correction(
    id: str, target: str, source: str = "test", at_s: float = 0, replacement: dict[str, Any] | None = None
) -> bytes:
    """A reversal of the event with this source and id, or its replacement."""
    action = "reversal" if replacement is None else "replacement"
    fields = {"action": action, "of": {"source": source, "id": target}, "reason": "a test", "replacement": replacement}
    data = Correction.model_validate({name: value for name, value in fields.items() if value is not None})
    return CorrectionEvent(id=id, source="people", time=START + timedelta(seconds=at_s), data=data).canonical()
