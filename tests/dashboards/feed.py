"""A small ledger to look at: events on a log, folded by the folds, and carried into a warehouse."""

import random
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from ledger.log import Draft, Position, partition_of
from ledger.log.documents import store_document as store_document
from ledger.log.sqlite.log import EmbeddedLog
from ledger.log.topics import EVENTS
from ledger.pricing.contract import pack_contract
from ledger.pricing.contract_file import parse_contract
from ledger.pricing.price_book import pack_book
from ledger.pricing.price_book_file import parse_book
from ledger.settings import Settings
from streams.embedded.store import Store
from streams.embedded.worker import Partition
from streams.runtime import read_catalogues
from tallystick import Control, ControlEvent, Correction, CorrectionEvent, Inference, InferenceEvent
from warehouse.client import connect
from warehouse.migrate import migrate
from warehouse.sink import Sink

ORGANIZATION = "acme"
BOOK = """
name: test
currency: USD
providers:
  - id: openai
    model_match: {starts_with: gpt}
    models:
      - {id: gpt-4o, prices: [{rates: {input: 2.5, cache_read: 1.25, output: 10}}]}
      - {id: gpt-4o-mini, prices: [{rates: {input: 0.15, cache_read: 0.075, output: 0.6}}]}
  - id: anthropic
    model_match: {starts_with: claude}
    models:
      - {id: claude-sonnet-4-5, prices: [{rates: {input: 3, cache_read: 0.3, cache_write_5m: 3.75, output: 15}}]}
      - {id: claude-haiku-4-5, prices: [{rates: {input: 1, cache_read: 0.1, cache_write_5m: 1.25, output: 5}}]}
  - id: google
    model_match: {starts_with: gemini}
    models:
      - {id: gemini-2.5-flash, prices: [{rates: {input: 0.3, cache_read: 0.075, output: 2.5}}]}
"""
EURO = """
name: euro
currency: EUR
providers:
  - {id: mistral, model_match: {starts_with: mist}, models: [{id: mist-1, prices: [{rates: {input: 1}}]}]}
"""
MARKUP_NAME = "<b>*bold*</b> $a$"
"""A name that must not be read as HTML, Markdown or a formula."""
TEAMS = {
    "search": ("answers", "ranking"),
    "support": ("triage", "replies"),
    "payments": ("disputes",),
    "growth": ("copywriting", "segments"),
    "platform": ("evals",),
}
MODELS = {
    "gpt-4o": "openai", "gpt-4o-mini": "openai", "claude-sonnet-4-5": "anthropic",
    "claude-haiku-4-5": "anthropic", "gemini-2.5-flash": "google", "in-house-7b": "in-house",
}  # fmt: skip


class Feed:
    """Appends, folds and stores, one step after the other, in this process. The warehouse runs already."""

    def __init__(self, settings: Settings) -> None:
        client = connect(settings)
        migrate(client)
        self.ahead_s = 0.0
        """Seconds by which the log's clock is ahead of this machine's."""
        self._log, self._store = EmbeddedLog(settings.home, self._read_clock), Store(settings.home)
        self._number = partition_of(ORGANIZATION)
        self._partition = Partition(self._number, self._log, self._store, read_catalogues(self._log))
        self._sink = Sink(client, self._log, settings)

    def _read_clock(self) -> float:
        return datetime.now(UTC).timestamp() + self.ahead_s

    def begin(self) -> None:
        """Adopt the price book, and give two budgets."""
        self.adopt("test", BOOK)
        self.add([
            budget("b1", "team", "search", "25"),
            budget("b2", "organization", ORGANIZATION, "400"),
        ], channel="control")  # fmt: skip

    def adopt(self, name: str, book: str) -> None:
        """Price what comes from here on by this book, too."""
        digest, packed = pack_book(parse_book(book, "the test"))
        store_document(self._log, digest, packed)
        self.add([control(f"book {name}", "price_book.adopted", name=name, document=digest)], channel="control")

    def sign(self, contract: str) -> None:
        """Price what comes from here on by this contract."""
        signed = parse_contract(contract, "the test")
        digest, packed = pack_contract(signed)
        store_document(self._log, digest, packed)
        body = {"name": signed.name, "document": digest}
        self.add([control(f"contract {signed.name}", "contract.signed", **body)], channel="control")

    def add(self, lines: Iterable[bytes], channel: str = "api", refused: int = 0, per_record: int = 100) -> None:
        """Make these events visible."""
        events = list(lines)
        headers = {"organization": ORGANIZATION, "channel": channel, "principal": "test", "schema": "1"}
        drafts = [
            Draft(
                self._number,
                ORGANIZATION,
                headers | {"refused": str(refused if start == 0 else 0)},
                b"\n".join(events[start : start + per_record]),
            )
            for start in range(0, len(events), per_record)
        ]
        self._log.append(EVENTS, drafts)
        self.carry()

    def append_as(self, organization: str, line: bytes) -> Position:
        """Append an event of another organization to the same partition, and return its position."""
        headers = {"organization": organization, "channel": "control", "principal": "test", "schema": "1"}
        self._log.append(EVENTS, [Draft(self._number, organization, headers, line)])
        self.carry()
        return Position(self._number, self.end() - 1, 0)

    def end(self) -> int:
        """Return the offset behind the last record."""
        return self._log.end(EVENTS, self._number)

    def carry(self) -> None:
        """Fold and store what others appended, too."""
        while self._partition.step():
            pass
        while self._sink.step():
            pass

    def close(self) -> None:
        self._store.close()
        self._log.close()


def control(id: str, control: str, **body: Any) -> bytes:
    data = Control.model_validate({"control": control, "body": body}, strict=False)
    return ControlEvent(id=id, source="people", time=datetime.now(UTC), data=data).canonical()


def budget(id: str, dimension: str, scope: str, limit: str, currency: str = "USD", window_s: int = 86400) -> bytes:
    return control(
        id, "budget.allocated", dimension=dimension, scope=scope, limit=limit, currency=currency, window_s=window_s
    )


def call(id: str, time: datetime, source: str = "gateway", **data: Any) -> bytes:
    return InferenceEvent(id=id, source=source, time=time, data=Inference(**data)).canonical()


def history(days: int, count: int, end: datetime, seed: int = 1) -> Iterator[bytes]:
    """So many calls over the days before a moment: busy by day, calm by night, and growing."""
    chance = random.Random(seed)
    moments = sorted(_moment(chance, days, end) for _ in range(count))
    for number, time in enumerate(moments):
        yield _build_call(chance, f"{seed}-{number:06}", time)


def _moment(chance: random.Random, days: int, end: datetime) -> datetime:
    while True:
        days_ago = days * chance.betavariate(1.0, 1.4)
        time = end - timedelta(days=days_ago)
        if chance.random() < (1 if 8 <= time.hour < 19 else 0.25):
            return time


def _build_call(chance: random.Random, id: str, time: datetime) -> bytes:
    team = chance.choices(list(TEAMS), (8, 5, 3, 3, 1))[0]
    model = chance.choices(list(MODELS), (6, 8, 4, 4, 5, 0.4))[0]
    input_tokens, cached_tokens, output_tokens = (int(chance.lognormvariate(mean, 1)) + 1 for mean in (7.5, 6.0, 5.5))
    properties: dict[str, Any] = {
        "session": f"s-{chance.randrange(4000):04}",
        "agent": f"{team}-agent" if chance.random() < 0.6 else None,
        "team": team,
        "project": f"{team}-core",
        "feature": chance.choice(TEAMS[team]),
        "environment": "production",
        "provider": MODELS[model],
        "model": model,
        "status": "ok" if chance.random() < 0.97 else "error",
        "latency_ms": int(chance.lognormvariate(7, 0.6)),
        "tokens": {"input": input_tokens, "cache_read": cached_tokens, "output": output_tokens},
    }
    if chance.random() < 0.04:
        properties |= {"payer": "customer", "customer": "c-northwind"}
    return call(id, time, **{name: value for name, value in properties.items() if value is not None})


def doubtful(end: datetime) -> list[bytes]:
    """A duplicate, a conflict, one from the future, one whose tokens do not sum, and a loop of one tool."""
    minute = end - timedelta(minutes=5)
    first = call("twice", minute, team="search", model="gpt-4o", tokens={"input": 100, "output": 10})
    conflict = call("twice", minute, team="search", model="gpt-4o", tokens={"input": 999, "output": 10})
    misreported = call("sums", minute, model="gpt-4o", tokens={"input": 100}, reported_tokens={"input": 120})
    future = call("early", end + timedelta(hours=1), model="gpt-4o", tokens={"input": 100})
    loop = [
        call(
            f"loop-{number}", minute + timedelta(seconds=number), team="support", agent="support-agent",
            session="s-loop", model="claude-sonnet-4-5", parent_call="loop-0" if number else None, tool="lookup_order",
            tool_arguments_hash="a1", tool_result_hash="r1", tokens={"input": 52_000, "output": 300},
        )
        for number in range(6)
    ]  # fmt: skip
    return [first, first, conflict, misreported, future, *loop]


def corrected(time: datetime) -> list[bytes]:
    """A call that came again with a greater revision, one that was replaced, one that was reversed, and a correction
    without effect."""
    fields: dict[str, Any] = {"team": "growth", "model": "gpt-4o"}
    return [
        call("grown", time, **fields, tokens={"input": 100}, revision=1),
        call("grown", time, **fields, tokens={"input": 200}, revision=2),
        call("wrong", time, **fields, tokens={"input": 300}),
        _correct("wrong", time, fields | {"tokens": {"input": 30}}),
        call("gone", time, **fields, tokens={"input": 400}),
        _correct("gone", time),
        _correct("nobody's", time),
    ]


def _correct(id: str, time: datetime, replacement: dict[str, Any] | None = None) -> bytes:
    fields: dict[str, Any] = {"action": "reversal", "of": {"source": "gateway", "id": id}, "reason": "a test"}
    if replacement is not None:
        fields |= {"action": "replacement", "replacement": replacement}
    return CorrectionEvent(id=id, source="people", time=time, data=Correction.model_validate(fields)).canonical()


def limits() -> list[bytes]:
    """Budgets that will be full, half used, quiet, in another currency, and of a scope whose name is markup."""
    return [
        budget("full", "agent", "shopper", "1", window_s=3600),
        budget("half", "team", MARKUP_NAME, "17"),
        budget("quiet", "team", "nobody", "5"),
        budget("euro", "feature", "summaries", "4", "EUR"),
    ]


def build_spend(now: datetime) -> list[bytes]:
    """Spend of those budgets, and spend in dollars that the budget in euros does not count."""
    return [
        call("s-full", now, agent="shopper", model="gpt-4o", tokens={"input": 440_000}),
        call("s-half", now, team=MARKUP_NAME, model="gpt-4o", tokens={"input": 3_400_000}),
        call("s-euro", now, feature="summaries", model="mist-1", tokens={"input": 1_000_001}),
        call("s-dollars", now, feature="summaries", model="gpt-4o", tokens={"input": 1_000_000}),
    ]


def loop(session: str, agent: str, times: int, end: datetime, then: str | None = None) -> list[bytes]:
    """A session that makes the same call so many times, five seconds apart, and then two others, which end its run."""
    tools = ["look <up>"] * times + ([then, f"{then} on"] if then else [])
    start = end - timedelta(seconds=5 * len(tools))
    return [
        call(
            f"{session}-{number}", start + timedelta(seconds=5 * number), team=MARKUP_NAME, agent=agent,
            session=session, model="gpt-4o", tool=tool, tool_arguments_hash="a1", tool_result_hash="r1",
            tokens={"input": 100_000},
        )
        for number, tool in enumerate(tools)
    ]  # fmt: skip
