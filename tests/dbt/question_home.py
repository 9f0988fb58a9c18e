"""The ledger of docs/sql.md: six days of the demo organization by a clock of its own, with decisions of people.

The same home gives the same answers to the last digit: names of persons and customers are sealed with a key that stands
here, and nothing reads the time of the day.
"""

import json
from collections.abc import Iterable, Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from typing import Any

from ingest.intake.batch import Batch, Envelope
from ingest.intake.intake import Intake, open_intake, pseudonym_secret_name
from ledger.home.files import make_folder
from ledger.home.layout import SECRETS
from ledger.log import partition_of
from ledger.log.documents import store_document
from ledger.log.sqlite.log import EmbeddedLog
from ledger.log.topics import EVENTS
from ledger.organizations import PLATFORM
from ledger.pricing.contract import pack_contract
from ledger.pricing.contract_file import parse_contract
from ledger.pricing.genai_prices import genai_prices
from ledger.pricing.price_book import PriceBook, pack_book
from ledger.pricing.price_book_file import parse_book
from ledger.settings import Settings
from streams.embedded.store import Store
from streams.embedded.worker import Partition
from streams.runtime import read_catalogues
from tally.demo import append, history
from tally.demo.organization import BUDGETS, LATE_PRICE, NAME
from warehouse.client import connect
from warehouse.migrate import migrate
from warehouse.rollups import build_rollups
from warehouse.sink import Sink

FIRST_DAY, CLOSING_DAY, LAST_DAY = date(2026, 10, 28), date(2026, 11, 2), date(2026, 11, 2)
EURO_PRICE = """
name: eu-host
currency: EUR
providers:
  - {id: eu-host, models: [{id: eu-9b, prices: [{rates: {input: 0.4, output: 1.2}}]}]}
"""
CONTRACT = """
name: acme-2026
currency: USD
provider: anthropic
since: 2026-01-01T00:00:00Z
until: 2027-01-01T00:00:00Z
terms: [{discount: 10}]
commitments:
  - {name: drafts, model: {starts_with: claude-haiku}, period: month, units: 400000, rates: {input: 0.80}}
"""
TEAMS: dict[str, dict[str, Any]] = {
    "product": {"cost_center": "CC-100", "head_count": 40, "owner": "bob", "sponsor": "eve"},
    "engineering": {"parent": "product", "cost_center": "CC-110", "head_count": 24, "owner": "ann"},
    "search": {"parent": "product", "head_count": 9, "owner": "cyn", "on_call": "search duty"},
    "data": {"parent": "product", "head_count": 5},
    "business": {"cost_center": "CC-200", "head_count": 61},
    "support": {"parent": "business", "cost_center": "CC-210", "head_count": 35},
    "sales": {"parent": "business", "head_count": 14},
    "finance": {"parent": "business", "cost_center": "CC-230", "head_count": 6},
    "research": {"cost_center": "CC-300", "head_count": 11, "owner": "dan"},
}


class QuestionLog:
    """The log of the ledger. Its clock stands where the last step moved it."""

    def __init__(self, settings: Settings) -> None:
        self.now = datetime(1970, 1, 1, tzinfo=UTC)
        self.log = EmbeddedLog(settings.home, lambda: self.now.timestamp())
        self._intake = Intake(_make_secret(settings), ("inference", "control", "correction", "admission"))
        self._number = 0

    def append(self, events: Iterable[dict[str, Any]]) -> None:
        append(Batch(self.log, Envelope(NAME, "demo", "demo"), self._intake.key), self._intake, events)

    def decide(self, control_type: str, effective_at: str = "", reason: str = "the plan", **body: Any) -> None:
        """Append a decision of the clock's time."""
        now = self.now.isoformat()
        times = {"effective_at": effective_at or now, "recorded_at": now}
        line = self._build_line("control", {"control": control_type, "reason": reason, "body": body} | times)
        # only the platform restates, in the partition of those whom it concerns
        organization = PLATFORM if control_type == "price.restated" else NAME
        draft = Envelope(organization, "control", "local").make_draft(line)
        self.log.append(EVENTS, [draft._replace(partition=partition_of(NAME))])

    def correct(self, id: str, **fields: Any) -> None:
        """Append a correction of an event of the history."""
        line = self._build_line("correction", {"of": {"source": history.SOURCE, "id": id}} | fields)
        self.log.append(EVENTS, [Envelope(NAME, "control", "local").make_draft(line)])

    def adopt(self, book: PriceBook) -> None:
        digest, packed = pack_book(book)
        store_document(self.log, digest, packed)
        self.decide("price_book.adopted", name=book.name, document=digest)

    def sign(self, text: str) -> None:
        contract = parse_contract(text, "the questions")
        digest, packed = pack_contract(contract)
        store_document(self.log, digest, packed)
        self.decide("contract.signed", name=contract.name, document=digest)

    def _build_line(self, kind: str, data: dict[str, Any]) -> bytes:
        self._number += 1
        event = {"id": f"{kind}-{self._number}", "source": "people", "type": f"tallystick.{kind}.v1"}
        return self._intake.accept_event(event | {"time": self.now.isoformat(), "data": data}).line


def fill_home(settings: Settings) -> None:
    """Append the ledger to a home without a log, fold it, and carry it into the running warehouse."""
    ledger = QuestionLog(settings)
    with closing(ledger.log):
        _begin(ledger)
        for day in history.list_days(FIRST_DAY, LAST_DAY):
            if day == CLOSING_DAY:
                _close_october(ledger)
                _give_grants(ledger)
            events = history.make_day(day, LAST_DAY)
            for hour, batch in groupby([*events, *_make_extras(day, events)], key=lambda event: event["time"][:13]):
                ledger.now = max(ledger.now, datetime.fromisoformat(f"{hour}:59:59+00:00"))
                ledger.append(batch)
            ledger.now = _midnight(day + timedelta(days=1))
        _ask(ledger)
        _end(ledger)
        _carry(settings, ledger.log)


def _make_secret(settings: Settings) -> str:
    make_folder(settings.home)
    SECRETS.path(settings.home).write_text(json.dumps({pseudonym_secret_name(NAME): "5ec2e7" * 8}))
    return open_intake(settings.home, NAME).key


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _begin(ledger: QuestionLog) -> None:
    """Adopt prices, sign the contract, allocate budgets and declare the registry, before the first event."""
    ledger.now = _midnight(FIRST_DAY)
    ledger.adopt(genai_prices())
    ledger.adopt(parse_book(EURO_PRICE, "the questions"))
    ledger.sign(CONTRACT)
    for dimension, scope, limit, window_s in BUDGETS:
        ledger.decide(
            "budget.allocated", dimension=dimension, scope=scope, limit=limit, currency="USD", window_s=window_s
        )
    for team, fields in TEAMS.items():
        ledger.decide("scope.declared", "2026-01-01T00:00:00Z", dimension="team", scope=team, **fields)
    for dimension, scope, team in (("agent", "nightly-bot", "data"), ("service", "batch-jobs", "engineering")):
        ledger.decide("scope.assigned", "2026-01-01T00:00:00Z", dimension=dimension, scope=scope, team=team)
    ledger.decide(
        "agreement.declared", "2026-01-01T00:00:00Z", agreement="MSA-7", provider="anthropic", regions=["eu"],
        data_classes=["internal"],
    )  # fmt: skip
    for effective_at, rate in (("2026-10-01T00:00:00Z", "1.08"), ("2026-11-01T00:00:00Z", "1.10")):
        ledger.decide("exchange_rate.set", effective_at, base_currency="EUR", quote_currency="USD", rate=rate)


def _close_october(ledger: QuestionLog) -> None:
    """On 2 November: a price that was learned late, the close of October, and what comes after it."""
    end = ledger.log.end(EVENTS, partition_of(NAME))
    ledger.adopt(parse_book(LATE_PRICE, "the questions"))
    ledger.decide("price.restated", first_offset=0, end_offset=end, provider="acme-host")
    ledger.decide("period.closed", month="2026-10")
    october, november = (
        next(event for event in history.make_day(day, LAST_DAY) if event["data"]["feature"] == "proposal-writer")
        for day in (date(2026, 10, 30), date(2026, 11, 1))
    )
    ledger.correct(october["id"], action="reversal", reason="the provider credited it")
    tokens = {"input": 120, "output": 40}
    ledger.correct(
        november["id"], action="replacement", replacement=november["data"] | {"tokens": tokens}, reason="misread usage"
    )
    ledger.decide(  # known on 2 November, and in force from the first on
        "scope.declared", "2026-11-01T00:00:00Z", dimension="team", scope="data", parent="research", head_count=5
    )


def _give_grants(ledger: QuestionLog) -> None:
    """On 2 November: a grant for the company, and two below it that are enforced."""
    day = {"window": {"rolling_s": 86400}, "unknown_usage": "tokens_only"}
    budget = day | {"meter": "billed", "currency": "USD"}
    for body in (
        {"grant": "company", "dimension": "organization", "scope": NAME, "limits": [budget | {"amount": "90"}]},
        {"grant": "research", "parent": "company", "dimension": "team", "scope": "research",
         "allow": {"models": ["claude-sonnet-4-5", "gpt-5"]}, "limits": [budget | {"amount": "17"}]},
        {"grant": "support", "parent": "company", "dimension": "team", "scope": "support",
         "limits": [day | {"meter": "tokens", "amount": "4600000", "at_limit": "throttle"}]},
    ):  # fmt: skip
        ledger.decide("grant.created", **body)


def _ask(ledger: QuestionLog) -> None:
    """On the last evening: asks of which some are allowed and some refused, one call of an allowed one, a release."""
    time = ledger.now.isoformat()

    def build(id: str, kind: str = "admission", **data: Any) -> dict[str, Any]:
        return {"id": id, "source": "gateway", "type": f"tallystick.{kind}.v1", "time": time, "data": data}

    sonnet: dict[str, Any] = {"team": "research", "provider": "anthropic", "model": "claude-sonnet-4-5"}
    ask_fields = sonnet | {"input_tokens": 4_000, "max_tokens": 30_000}
    ledger.append([build(f"ask-{number}", **ask_fields) for number in range(7)])
    ledger.append([
        build("ask-model", **(ask_fields | {"provider": "openai", "model": "gpt-4o"})),
        build("asked-call", "inference", **sonnet, tokens={"input": 3_500, "output": 9_000}, admission="ask-0"),
        build("release", action="release", admission="ask-1"),
        *(build(f"ask-support-{number}", team="support", provider="google", model="gemini-2.5-flash",
                input_tokens=200_000, max_tokens=8_000) for number in range(3)),
    ])  # fmt: skip
    ledger.now += timedelta(seconds=30)  # what changed is reported within 15 seconds


def _make_extras(day: date, events: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield calls beside the demo's own: answers of a gateway's cache, calls without a team, calls in euros."""
    completions = [event for event in events if event["data"]["feature"] == "query-rewrite"]
    for event in completions[:12]:
        yield event | {
            "id": f"{event['id']}-again",
            "data": event["data"] | {"response_cache": "hit", "cached_from": event["id"]},
        }
    for number in range(10):
        time = (_midnight(day) + timedelta(hours=2, minutes=number)).isoformat()
        for name, source, data in (
            ("bot", "batch-jobs", {"agent": "nightly-bot", "model": "gpt-4o", "provider": "openai"}),
            ("job", "batch-jobs", {"model": "gpt-5-mini", "provider": "openai"}),
            ("notebook", "notebook", {"key": "key-notebook", "model": "gpt-5", "provider": "openai"}),
            ("euro", "batch-jobs", {"team": "data", "model": "eu-9b", "provider": "eu-host"}),
        ):
            yield {
                "id": f"{day:%m%d}-{name}-{number}", "source": source, "type": "tallystick.inference.v1", "time": time,
                "data": data | {"status": "ok", "tokens": {"input": 4_000 + 100 * number, "output": 700}},
            }  # fmt: skip


def _end(ledger: QuestionLog) -> None:
    """Append what comes late and early: a call of October in November, one of a clock that is ahead, one that lost a
    field."""
    late, early, lossy = (
        {
            "id": id, "source": "laptop", "type": "tallystick.inference.v1", "time": time,
            "data": {"team": "sales", "provider": "openai", "model": "gpt-4o", "tokens": {"input": 20_000}} | fields,
        }
        for id, time, fields in (
            ("late", "2026-10-30T09:00:00+00:00", {}),
            ("early", "2026-11-03T02:00:00+00:00", {}),
            ("lossy", "2026-11-02T10:00:00+00:00", {"adapter": "litellm", "left_out": ["metadata.floor"]}),
        )
    )  # fmt: skip
    ledger.append([late, early, lossy])


def _carry(settings: Settings, log: EmbeddedLog) -> None:
    client = connect(settings)
    migrate(client)
    with closing(Store(settings.home)) as store:
        partition = Partition(partition_of(NAME), log, store, read_catalogues(log))
        sink = Sink(client, log, settings)
        while partition.step():
            pass
        while sink.step():
            pass
    build_rollups(client)
