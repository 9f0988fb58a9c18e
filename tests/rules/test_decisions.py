"""The folds and the audit decide alike on budgets, grants and requests, whatever stands on a log."""

import json
import random
import sqlite3
from collections.abc import Callable, Iterable
from datetime import timedelta
from decimal import Decimal
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml

from audit.verify.contracts import open_document
from audit.verify.recompute import Partition
from audit.verify.rights import estimates as audit_estimates
from audit.verify.rights.decisions import NAMES, Decision, list_differences, read_decisions
from audit.verify.rights.partition_rights import PartitionRights
from ledger.log import Record
from ledger.log.topics import DECISIONS
from ledger.pricing.price_book import pack_book, unpack_book
from ledger.pricing.price_book_file import parse_book
from streams.folds.grants import estimates
from streams.replay import replay
from tallystick import ANY_EVENT
from tallystick.rights.leased_names import write_leased_name
from tests.rules.test_rules import BOOKS as RULE_BOOKS
from tests.rules.test_rules import DOCUMENTS as RULE_DOCUMENTS
from tests.streams.build import DOCUMENTS, START, adopt, call, control, correction, record


def decide_by_audit(
    records: list[Record], documents: dict[str, bytes], split: int | None = None
) -> list[list[Decision]]:
    """Return the decisions of each record by the audit; where it is split, the second part by one that goes on."""

    def read_line(offset: int, event_index: int) -> bytes:
        return records[offset].value.split(b"\n")[event_index]

    database = sqlite3.connect("")

    def begin() -> tuple[Partition, PartitionRights]:
        reader = Partition(
            lambda digest: open_document(digest, documents[digest]), read_line, lambda first, end: records[first:end],
            database,
        )  # fmt: skip
        return reader, PartitionRights(reader.bound_cost, reader.bound_prices, database)

    reader, rights = begin()
    decisions = []
    for number, made in enumerate(records):
        if number == split:
            states = json.loads(json.dumps([reader.dump_state(), rights.dump_state()]))
            reader, rights = begin()
            reader.load_state(states[0])
            rights.load_state(states[1])
        lines = list(reader.judge(made))
        decisions.append(list(rights.decide(made.time_ms, made.offset, made.organization, lines)))
    return decisions


def decide_by_folds(records: Iterable[Record], documents: dict[str, bytes]) -> dict[int, list[Decision]]:
    return {
        record.cause_offset: read_decisions(record)
        for topic, record in replay(records, documents)
        if topic is DECISIONS
    }


def compare(records: list[Record], documents: dict[str, bytes] = DOCUMENTS) -> list[dict[str, Any]]:
    stored = decide_by_folds(records, documents)
    return [
        difference
        for record, decisions in zip(records, decide_by_audit(records, documents), strict=True)
        for difference in list_differences(record, decisions, stored.get(record.offset, []))
    ]


OTHER_BOOK = """
name: test
currency: USD
providers:
  - id: acme
    model_match: {starts_with: m}
    models:
      - {id: m1, context_window: 1000000, prices: [{rates: {input: 2, output: 5}}]}
      - id: m2
        prices: [{rates: {input: {base: 0.1, tiers: [{above: 100000, rate: 0.2}]}, output: 1, requests: 2}}]
        variants: [{when: {service_tier: batch}, multiplier: 0.5}]
"""
EURO_BOOK = """
name: euro
currency: EUR
providers:
  - {id: other, model_match: {starts_with: m9}, models: [{id: m9, prices: [{rates: {input: 1, output: 1}}]}]}
"""
CASES = yaml.load((Path(__file__).parent / "decisions.yaml").read_text(), yaml.CSafeLoader)["cases"]
BOOKS = dict(pack_book(parse_book(text, "the test")) for text in (OTHER_BOOK, EURO_BOOK)) | DOCUMENTS


def build_log(steps: list[list[Any]]) -> list[Record]:
    records = [record(0, adopt())]
    for number, (at_s, kind, *content) in enumerate(steps):
        data = dict(content[0]) if content else {}
        id = str(data.pop("id", number))
        match kind:
            case "call":
                line = call(id, data.pop("at", at_s), **({"model": "m1"} | data))
            case "ask":
                line = build_event("admission", id, at_s, data)
            case "lease":
                line = build_event("lease", id, at_s, data)
            case "reverse":
                line = correction(id, data["of"], at_s=at_s)
            case "tick":
                line = b""
            case _:
                line = control(id, kind, at_s, **data)
        records.append(record(number + 1, *filter(None, [line]), at_s=at_s))
    return records


def build_event(kind: str, id: str, at_s: float, data: dict[str, Any]) -> bytes:
    event = {"id": id, "source": "test", "time": (START + timedelta(seconds=at_s)).isoformat()}
    return ANY_EVENT.validate_json(json.dumps(event | {"type": f"tallystick.{kind}.v1", "data": data})).canonical()


@pytest.mark.parametrize("decide", [decide_by_audit, decide_by_folds])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_case(case: dict[str, Any], decide: Callable[..., Any]) -> None:
    records = build_log(case["do"])
    decided = decide(records, DOCUMENTS)
    made = [
        decision
        for offset in range(len(records))
        for decision in sorted(decided[offset] if decide is decide_by_audit else decided.get(offset, []), key=_name)
        if decision.name != "control.applied"
    ]
    expected = [next(iter(want.items())) for want in case["want"]]
    assert [
        (decision.name, {field: decision.fields.get(field) for field in fields})
        for decision, (_, fields) in zip(made, expected, strict=True)
    ] == expected


def _name(decision: Decision) -> str:
    return decision.name


@pytest.mark.parametrize("stories", [40, pytest.param(3_000, marks=[pytest.mark.long, pytest.mark.timeout(1800)])])
def test_the_folds_and_the_audit_decide_alike(stories: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimates, "MIN_SAMPLES", 2)
    monkeypatch.setattr(audit_estimates, "MIN_SHARES", 2)
    for seed in range(stories):
        assert compare(Story(seed).tell(30), BOOKS) == [], f"seed {seed}"


def test_leases_say_the_same_prices_of_any_model() -> None:
    """Of all books of the table of cases: with tiers, variants, prices by the hour, and sellers of another's models."""
    documents = RULE_DOCUMENTS | DOCUMENTS
    tiers = [{}, *({"service_tier": tier} for tier in ("batch", "flex", "priority", "scale"))]
    shapes = set[tuple[bool, bool]]()
    for digest, packed in RULE_BOOKS.values():
        book = unpack_book(digest, packed)
        names = sorted({model.id for provider in book.providers for model in provider.models})
        models = [
            {"provider": provider.id, "model": name} | tier
            for provider, name, tier in product(book.providers, [*names, "nobody's"], tiers)
        ]
        steps: list[list[Any]] = [
            [0, "price_book.adopted", {"name": book.name, "document": digest}],
            [0, "grant.created", {"grant": "g", "dimension": "team", "scope": "a",
                                  "limits": [{"meter": "calls", "amount": "9"}]}],
            *([1, "lease", {"team": "a", "calls": 1, "models": models[first : first + 64]}]
              for first in range(0, len(models), 64)),
        ]  # fmt: skip
        records = build_log(steps)
        assert compare(records, documents) == []
        shapes |= {
            (len(price["tiers"]) > 1, Decimal(price["per_call"]) > 0)
            for decisions in decide_by_audit(records, documents)
            for decision in decisions
            for price in decision.fields.get("prices", ())
        }
    assert len(shapes) == 4, "with tiers and without, with a price of a call and without"


def test_a_split_of_a_log_changes_no_decision() -> None:
    for seed in range(10):
        records = Story(seed).tell(30)
        whole = decide_by_audit(records, BOOKS)
        for split in range(3, 30, 9):
            assert decide_by_audit(records, BOOKS, split) == whole, f"seed {seed}, split {split}"


def test_each_field_of_each_decision_is_compared() -> None:
    """One that is altered, missing or of too much is named, with what the log makes of it."""
    names, told = set[str](), set[tuple[str, str]]()
    for seed in range(40):
        records = Story(seed).tell(20)
        for made, decisions in zip(records, decide_by_audit(records, BOOKS), strict=True):
            for number, decision in enumerate(decisions):
                names.add(decision.name)
                others = decisions[:number] + decisions[number + 1 :]
                missing = list(list_differences(made, decisions, others))[-1]
                extra = list(list_differences(made, others, decisions))[-1]
                assert [difference["what"] for difference in (missing, extra)] == [f"decision {decision.name}"] * 2
                assert (missing["topic"], extra["log"]) == ("missing", "none")
                for field in decision.fields:
                    if (decision.name, field) not in told:
                        told.add((decision.name, field))
                        altered = decision._replace(fields={**decision.fields, field: "altered"})
                        differences = list(list_differences(made, decisions, [*others, altered]))
                        assert differences and all(
                            "tally rebuild" in difference["way_out"] for difference in differences
                        )
    assert names == {*NAMES, "control.applied", "control.ineffective"}


WINDOWS: tuple[dict[str, Any] | None, ...] = (
    {"rolling_s": 60}, {"rolling_s": 120}, {"rolling_s": 3600}, {"calendar": "day"}, None,
    {"calendar": "day", "zone": "Pacific/Apia", "offsets": [{"since": "2026-01-01T00:00:00Z", "minutes": 780},
                                                            {"since": "2026-01-05T12:01:00Z", "minutes": 720}]},
)  # fmt: skip


class Story:
    """A random log about rights: budgets, grants, asks, leases, calls, corrections, and time that passes."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.is_calm = seed % 2 == 1
        """Grants share few limits and hold, so that reservations, floors and estimates decide."""
        self.now_s = 0.0
        self.number = 0
        self.calls: list[str] = []
        self.grants: list[str] = []
        self.asks: list[str] = []
        self.leases: list[str] = []
        self.limits_of: dict[str, list[dict[str, Any]]] = {}
        self.offset = 0

    def tell(self, steps: int) -> list[Record]:
        actions: tuple[tuple[Callable[[], bytes], float], ...] = (
            (self.call, 10), (self.ask, 6), (self.lease, 2), (self.give_back, 1), (self.release, 1), (self.create, 2),
            (self.change, 2), (self.allocate, 2), (self.correct, 2), (self.revise, 2), (self.late_control, 0.5),
        )  # fmt: skip
        if self.is_calm:
            actions = ((self.call, 8), (self.ask, 10), (self.lease, 1), (self.create, 2), (self.change, 0.5))
        records = [record(0, adopt(), self.create(), self.create(), self.allocate())]
        for offset in range(1, steps):
            self.offset = offset
            if self.draw.random() < 0.6:
                self.now_s += self.draw.choice((0.001, 0.4, 1, 3, 20, 61, *([] if self.is_calm else [100, 400, 4000])))
            chosen = self.draw.choices([action for action, _ in actions], [weight for _, weight in actions],
                                       k=self.draw.choice((0, 1, 1, 2, 4)))  # fmt: skip
            lines = [action() for action in chosen]
            organization = "acme"
            if self.draw.random() < 0.06:
                lines, organization = [self.restate()], "_platform"
            records.append(record(offset, *lines, at_s=self.now_s, organization=organization))
        return records

    def name(self) -> str:
        self.number += 1
        return f"n{self.number}"

    def pick(self, names: list[str]) -> str:
        return self.draw.choice([*names[-6:], "nobody's"])

    def time(self) -> float:
        if self.is_calm:
            return self.now_s
        ahead = self.draw.choice((0, 0, 0, -1, 2, -5, -50, -70, -130, -200, -4000, 200, 310, 500))
        return self.now_s + ahead

    def scopes(self) -> dict[str, str]:
        return {
            name: self.draw.choice(values)
            for name, values in (("team", ("search", "chat")), ("user", ("p-1", "p-2")), ("region", ("eu", "us")))
            if self.draw.random() < 0.7
        }

    def fields(self) -> dict[str, Any]:
        fields: dict[str, Any] = self.scopes()
        kind = self.draw.random()
        tokens = {"input": self.draw.randint(0, 4) * 1_000_000, "output": self.draw.randint(0, 3) * 100_000}
        fields |= {"model": self.draw.choice(("m1", "m1", "M1", "m9", "mx")), "tokens": tokens}
        if self.is_calm:
            fields["model"] = "m1"
        elif kind < 0.1:
            fields |= {"tokens": None, "usage_source": "missing", "max_tokens": 100_000}
            fields |= self.draw.choice(({}, {"payer": "customer"}))
        elif kind < 0.15:
            fields |= {"payer": "customer"}
        elif kind < 0.2:
            fields |= {"response_cache": "hit"}
        elif kind < 0.25:
            fields |= {"reported_tokens": {"total": 7_000_000}}
        elif kind < 0.3:
            fields |= {"calls": 3}
        if self.draw.random() < 0.5 and self.asks:
            fields["admission"] = self.pick(self.asks)
        if self.draw.random() < 0.2 and self.leases:
            fields["admission"] = self.name_leased(self.pick(self.leases))
        if self.draw.random() < 0.15 and self.grants:
            fields["grant"] = self.pick(self.grants)
        return {name: value for name, value in fields.items() if value is not None}

    def name_leased(self, lease: str) -> str:
        """Name an admission from a lease, now and then one that a call named before."""
        taken = {"billed": self.draw.randint(0, 9) * 10**11, "tokens": 500_000, "calls": 1}
        meters = self.draw.sample(sorted(taken), self.draw.randint(1, 3))
        return write_leased_name(lease, self.draw.randint(1, 6), {meter: taken[meter] for meter in meters})

    def control(self, control_type: str, body: dict[str, Any], **fields: Any) -> bytes:
        data = {"control": control_type, "body": body} | fields
        return build_event("control", self.name(), self.now_s, data)

    def call(self) -> bytes:
        id = self.name()
        self.calls.append(id)
        return build_event("inference", id, self.time(), self.fields())

    def revise(self) -> bytes:
        id = self.pick(self.calls)
        return build_event("inference", id, self.time(), self.fields() | {"revision": self.draw.randint(1, 5)})

    def correct(self) -> bytes:
        data: dict[str, Any] = {"of": {"source": "test", "id": self.pick(self.calls)}, "reason": "r"}
        action = self.draw.choice(("reversal", "replacement", "release", "acceptance"))
        data["action"] = action
        if action == "replacement":
            data["replacement"] = self.fields()
        if action == "acceptance":
            data["accepted"] = {"offset": self.draw.randint(0, self.offset), "event_index": self.draw.randint(0, 2)}
        return build_event("correction", self.name(), self.now_s + self.draw.choice((0, 0, 0, 350)), data)

    def restate(self) -> bytes:
        if self.draw.random() < 0.3:
            return self.control("price_book.adopted", {"name": "test", "document": self.draw.choice(list(BOOKS))})
        first = self.draw.randint(0, self.offset)
        return self.control("price.restated", {"first_offset": first, "end_offset": self.offset})

    def limit(self) -> dict[str, Any]:
        meter = self.draw.choice(("billed", "billed", "notional", "tokens", "calls"))
        scale = {"tokens": 1_000_000}.get(meter, 1)
        limit: dict[str, Any] = {"meter": meter, "amount": str(self.draw.randint(1, 20) * scale)}
        limit["window"] = self.draw.choice(WINDOWS[3:5] if self.is_calm else WINDOWS)
        if meter in ("billed", "notional"):
            limit["currency"] = self.draw.choice(("USD", "USD", "USD", "USD" if self.is_calm else "EUR"))
        limit["at_limit"] = self.draw.choice((None, "warn", "throttle", "downgrade"))
        if limit["at_limit"] == "downgrade":
            limit["downgrade_to"] = self.draw.choice(("m2", "m9"))
        limit["unknown_usage"] = self.draw.choice((None, "tokens_only", "assume_greatest", "deny"))
        limit["thresholds"] = self.draw.choice((None, [10], [30, 60, 90]))
        if self.draw.random() < 0.3:
            limit["floor"] = str(self.draw.randint(0, int(limit["amount"]) // scale) * scale)
            limit["lend"] = self.draw.choice((None, "0", limit["floor"]))
        return {name: value for name, value in limit.items() if value is not None}

    def narrow(self, limit: dict[str, Any]) -> dict[str, Any]:
        """Draw a limit of a child: a part of its parent's, with a floor or none."""
        unit = 1_000_000 if limit["meter"] == "tokens" else 1
        amount = self.draw.randint(1, int(limit["amount"]) // unit)
        floor = self.draw.randint(0, amount)
        lend = self.draw.choice((0, 0, floor))
        return limit | {name: str(part * unit) for name, part in (("amount", amount), ("floor", floor), ("lend", lend))}

    def limits(self) -> list[dict[str, Any]]:
        limits = {}
        for limit in (self.limit() for _ in range(self.draw.randint(0, 3))):
            limits[limit["meter"], limit.get("currency"), json.dumps(limit.get("window"))] = limit
        return list(limits.values())

    def allow(self) -> dict[str, Any]:
        allow: dict[str, Any] = {}
        if self.is_calm:
            return allow
        if self.draw.random() < 0.2:
            allow["models"] = self.draw.sample(("m1", "M2", "m9"), 2)
        if self.draw.random() < 0.1:
            allow["regions"] = ["eu"]
        return allow

    def create(self) -> bytes:
        name = self.name()
        dimension = self.draw.choice(("organization", "team", "user"))
        scope = {"organization": ("acme",), "team": ("search", "chat"), "user": ("p-1", "p-2")}[dimension]
        body: dict[str, Any] = {"grant": name, "dimension": dimension, "scope": self.draw.choice(scope)}
        limits = self.limits()
        body |= {"limits": limits, "allow": self.allow(), "delegable": self.draw.random() < 0.6}
        control_type = "grant.created"
        if self.grants and self.draw.random() < 0.6:
            body["parent"] = self.pick(self.grants)
            control_type = self.draw.choice(("grant.created", "grant.delegated"))
        if self.is_calm and "parent" in body:
            body["limits"] = [self.narrow(limit) for limit in self.limits_of.get(body["parent"], ())]
        self.limits_of[name] = body["limits"]
        if "parent" not in body:
            body["limits"] = [
                {name: limit[name] for name in limit if name not in ("floor", "lend")} for limit in limits
            ]
        if self.draw.random() < 0.2 and not self.is_calm:
            ends_s = self.now_s + self.draw.choice((50, 300))
            body["expires_at"] = (START + timedelta(seconds=ends_s)).isoformat()
        self.grants.append(name)
        fields = {"actor": "p-9"} if self.draw.random() < 0.5 else {"reason": "a pilot"}
        if self.draw.random() < 0.1 and not self.is_calm:
            fields["effective_at"] = (START + timedelta(seconds=self.now_s + 100)).isoformat()
        return self.control(control_type, body, **fields)

    def change(self) -> bytes:
        body: dict[str, Any] = {"grant": self.pick(self.grants)}
        control_types = ("grant.narrowed",) * 4 + ("grant.extended",) * 4 + ("grant.revoked",)
        control_type = self.draw.choice(control_types[: 8 if self.is_calm else 9])
        if control_type == "grant.revoked":
            return self.control(control_type, body)
        body |= {"limits": self.limits(), "allow": self.allow()}
        if control_type == "grant.extended":
            body |= self.draw.choice(({}, {"paused": False}, {"delegable": True}))
        else:
            until = (START + timedelta(seconds=self.now_s + 90)).isoformat()
            changes: list[dict[str, Any]] = [{}, {"until": until}, {"paused": True}, {"until": until, "paused": True}]
            body |= self.draw.choice(changes[: 2 if self.is_calm else 4])
        return self.control(control_type, body)

    def late_control(self) -> bytes:
        """A control record that is held."""
        return self.create().replace(b"T12:", b"T13:") if self.now_s < 3000 else self.create()

    def allocate(self) -> bytes:
        body: dict[str, Any] = {"dimension": "team", "scope": "search"}
        if self.draw.random() < 0.5:
            body = {"dimension": "organization", "scope": "acme"}
        body["window_s"] = self.draw.choice((60, 60, 3600))
        if self.draw.random() < 0.15:
            return self.control("budget.removed", body)
        body |= {"limit": str(self.draw.randint(1, 20)), "currency": self.draw.choice(("USD", "USD", "USD", "EUR"))}
        body |= self.draw.choice(({}, {"unknown_usage": "assume_greatest"}, {"unknown_usage": "deny"}))
        return self.control("budget.allocated", body)

    def ask(self) -> bytes:
        id = self.name()
        self.asks.append(id)
        data: dict[str, Any] = self.scopes()
        data["model"] = "m1" if self.is_calm else self.draw.choice(("m1", "m1", "m2", "m9", "mx"))
        data["max_tokens"] = self.draw.choice((0, 50_000, 100_000, 300_000))
        if self.draw.random() < 0.8 or self.is_calm:
            data["input_tokens"] = self.draw.choice((0, 1_000_000))
        data |= self.draw.choice(({}, {}, {"ttl_s": 10}, {"ttl_s": 60}, {"payer": "customer"}, {"calls": 2}))
        if self.draw.random() < 0.2 and not self.is_calm:
            data["grant"] = self.pick(self.grants)
        if self.draw.random() < 0.5:
            data["estimate"] = self.draw.choice(("0.5", "0.9", "0.99"))
        return build_event("admission", id if self.draw.random() < 0.95 else self.pick(self.asks), self.now_s, data)

    def release(self) -> bytes:
        return build_event(
            "admission", self.name(), self.now_s, {"action": "release", "admission": self.pick(self.asks)}
        )

    def lease(self) -> bytes:
        id = self.name()
        self.asks.append(id)
        self.leases.append(id)
        data: dict[str, Any] = self.scopes()
        data.pop("region", None)
        if self.draw.random() < 0.5:
            models = (
                {"model": "m1"}, {"model": "m2"}, {"model": "m2", "service_tier": "batch"},
                {"model": "M1", "provider": "acme", "region": "eu"}, {"model": "m9"}, {"model": "mx"},
            )  # fmt: skip
            data["models"] = self.draw.sample(models, 2)
        data |= {"holder": "h", "billed": str(self.draw.randint(1, 9)), "notional": "5", "currency": "USD"}
        data |= {"tokens": 2_000_000, "calls": 5}
        if self.draw.random() < 0.1:
            del data["tokens"]
        data |= self.draw.choice(({}, {"ttl_s": 10, "settle_s": 10}, {"ttl_s": 30, "settle_s": 0}))
        return build_event("lease", id, self.now_s, data)

    def give_back(self) -> bytes:
        currency = "EUR" if self.draw.random() < 0.2 else "USD"
        data = {"action": "return", "lease": self.pick(self.asks), "billed": "0.5", "currency": currency, "calls": 1}
        return build_event("lease", self.name(), self.now_s, data)
