"""The marts of grants say what the folds have: grants and limits as `tally grant list --json` has them, and of each ask
its end, on a log of grants, asks, calls, corrections and leases that is made from a seed."""

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from ledger.log import partition_of, records
from ledger.log.sqlite.log import EmbeddedLog
from ledger.log.topics import DECISIONS
from ledger.settings import Settings
from tally.product.grants.text import list_facts
from tally.product.grants.usage import read_grants
from tallystick import ANY_EVENT, Correction, CorrectionEvent
from tests.dashboards.feed import BOOK, ORGANIZATION, Feed, call, control
from tests.dashboards.server import warehouse
from tests.warehouse.plugin import InstallWarehouse
from warehouse.client import connect
from warehouse.rollups import build_rollups

SEED, STEPS = 20261130, 60
BERLIN = {"calendar": "day", "zone": "Europe/Berlin", "offsets": [{"since": "2020-01-01T00:00:00Z", "minutes": 60}]}
WINDOWS: tuple[dict[str, Any] | None, ...] = (
    {"rolling_s": 60},
    {"rolling_s": 3600},
    BERLIN,
    {"calendar": "month"},
    None,
)
TEAMS, MODELS = ("search", "chat", "growth"), ("gpt-4o", "gpt-4o-mini", "unheard-of")


class History:
    """A log of whatever may happen to grants."""

    def __init__(self, feed: Feed) -> None:
        self.chance = random.Random(SEED)
        self._feed, self._number = feed, 0
        self._grants: list[str] = ["top"]
        self._asks: list[str] = []
        self._leases: list[str] = []
        self._calls: list[str] = []
        feed.adopt("test", BOOK)
        scope = {"dimension": "organization", "scope": ORGANIZATION, "delegable": True}
        self._add([control("top", "grant.created", grant="top", limits=[self._limit(30, window_number=2)], **scope)])

    def step(self) -> None:
        self._add([self._build_line() for _ in range(self.chance.randrange(1, 6))])
        self._feed.ahead_s += self.chance.choice((0.1, 3, 20, 40, 200))

    def end(self) -> None:
        """Let what is pending be reported."""
        for _ in range(3):
            self._feed.ahead_s += 16
            self._add([self._request(self._name(), "admission", action="release", admission="none")])

    def _add(self, lines: list[bytes]) -> None:
        self._feed.add(lines)

    def _name(self) -> str:
        self._number += 1
        return f"e{self._number}"

    def _now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self._feed.ahead_s)

    def _limit(self, greatest: int, window_number: int | None = None) -> dict[str, Any]:
        chance = self.chance
        meter = chance.choice(("billed", "billed", "notional", "tokens", "calls"))
        units = {"tokens": 300_000, "calls": 1}.get(meter, 1)
        limit: dict[str, Any] = {"meter": meter, "amount": str(chance.randrange(1, greatest) * units)}
        limit |= {"currency": "USD"} if meter in ("billed", "notional") else {}
        limit |= {"window": WINDOWS[chance.randrange(len(WINDOWS)) if window_number is None else window_number]}
        limit |= {"at_limit": chance.choice(("deny", "throttle", "warn")), "thresholds": [50, 90]}
        limit |= {"unknown_usage": chance.choice(("tokens_only", "assume_greatest", "deny"))}
        return {name: value for name, value in limit.items() if value is not None}

    def _build_line(self) -> bytes:
        kinds = (self._grant, self._change, self._ask, self._ask, self._ask, self._call, self._call, self._call,
                 self._release, self._lease, self._correct)  # fmt: skip
        return self.chance.choice(kinds)(self._name())

    def _grant(self, id: str) -> bytes:
        chance, parent = self.chance, self.chance.choice(self._grants[:4])
        body: dict[str, Any] = {
            "grant": f"{chance.choice(('a', 'b', 'Z'))}-{id}",
            "parent": parent,
            "dimension": "team",
        }
        body |= {"scope": chance.choice(TEAMS), "limits": [self._limit(9)] if chance.random() < 0.8 else []}
        if chance.random() < 0.3:
            body["allow"] = {"models": ["gpt-4o", "GPT-4o-mini"]}
        if chance.random() < 0.2:
            body["expires_at"] = (self._now() + timedelta(seconds=chance.randrange(60, 900))).isoformat()
        self._grants.append(body["grant"])
        return control(id, chance.choice(("grant.created", "grant.delegated")), **body, delegable=True)

    def _change(self, id: str) -> bytes:
        chance, name = self.chance, self.chance.choice(self._grants)
        kind = chance.choice(("grant.narrowed", "grant.narrowed", "grant.extended", "grant.revoked"))
        if kind == "grant.revoked":
            return control(id, kind, grant=name if chance.random() < 0.3 else "none")
        body: dict[str, Any] = {"limits": [self._limit(12)]}
        if chance.random() < 0.3:
            body = {"paused": kind == "grant.narrowed"}
        elif chance.random() < 0.3:
            body = {"allow": {"models": ["gpt-4o"]}}
        if kind == "grant.narrowed" and chance.random() < 0.7:
            body["until"] = (self._now() + timedelta(seconds=chance.randrange(30, 600))).isoformat()
        return control(id, kind, grant=name, **body)

    def _ask(self, id: str) -> bytes:
        chance = self.chance
        self._asks.append(id)
        tokens = {"input_tokens": chance.randrange(90_000), "max_tokens": chance.randrange(1, 60_000)}
        data = {"provider": "openai", "model": chance.choice(MODELS), "ttl_s": chance.choice((10, 60, 900))}
        return self._request(id, "admission", team=chance.choice(TEAMS), **data, **tokens)

    def _release(self, id: str) -> bytes:
        return self._request(id, "admission", action="release", admission=self.chance.choice(self._asks or ["none"]))

    def _lease(self, id: str) -> bytes:
        chance = self.chance
        amounts = {"billed": "0.9", "notional": "0.9", "currency": "USD", "tokens": 90_000, "calls": 2}
        if self._leases and chance.random() < 0.3:
            return self._request(id, "lease", action="return", lease=chance.choice(self._leases), **amounts)
        self._leases.append(id)
        return self._request(id, "lease", team=chance.choice(TEAMS), ttl_s=30, settle_s=60, **amounts)

    def _call(self, id: str) -> bytes:
        chance = self.chance
        self._calls.append(id)
        data: dict[str, Any] = {"team": chance.choice(TEAMS), "model": chance.choice(MODELS)}
        data["tokens"] = {"input": chance.randrange(200_000), "output": chance.randrange(20_000)}
        if self._asks and chance.random() < 0.6:
            data["admission"] = chance.choice((self._asks + self._leases)[-9:])
        late_s = chance.choice((0, 0, 5, 50, 400))
        return call(id, self._now() - timedelta(seconds=late_s), **data)

    def _correct(self, id: str) -> bytes:
        fields: dict[str, Any] = {"action": "reversal", "reason": "a test"}
        fields["of"] = {"source": "gateway", "id": self.chance.choice(self._calls[-8:] or ["none"])}
        if self.chance.random() < 0.5:
            replacement = {"team": "search", "model": "gpt-4o", "tokens": {"input": 1_000}}
            fields |= {"action": "replacement", "replacement": replacement}
        data = Correction.model_validate(fields)
        return CorrectionEvent(id=id, source="people", time=self._now(), data=data).canonical()

    def _request(self, id: str, kind: str, **data: Any) -> bytes:
        event = {"id": id, "source": "gateway", "time": self._now().isoformat(), "type": f"tallystick.{kind}.v1"}
        return ANY_EVENT.validate_json(json.dumps(event | {"data": data})).canonical()


@pytest.fixture(scope="module")
def ledger(
    tmp_path_factory: pytest.TempPathFactory, install_warehouse: InstallWarehouse
) -> Iterator[tuple[Client, EmbeddedLog]]:
    with warehouse(install_warehouse(tmp_path_factory.mktemp("grants")).home) as settings:
        log = _tell(settings)
        yield connect(settings), log
        log.close()


def _tell(settings: Settings) -> EmbeddedLog:
    feed = Feed(settings)
    history = History(feed)
    for number in range(STEPS):
        history.step()
        if number == STEPS // 2:
            build_rollups(connect(settings))
    history.end()
    feed.close()
    return EmbeddedLog(settings.home, lambda: 0.0)


def _list_decisions(log: EmbeddedLog, *names: str) -> list[tuple[str, dict[str, Any]]]:
    lines = [
        json.loads(line)
        for record in records(log, DECISIONS, partition_of(ORGANIZATION))
        for line in record.value.split(b"\n")
    ]
    return [(line["decision"], json.loads(line["body"])) for line in lines if line["decision"] in names]


def test_grants_and_limits_are_those_of_the_folds(ledger: tuple[Client, EmbeddedLog]) -> None:
    client, log = ledger
    grants = read_grants(log, ORGANIZATION)
    assert grants.time_us is not None
    expected_grants, expected_limits = [], {}
    for usage in grants.usages:
        facts = list_facts(usage, grants.time_us)
        path = [*reversed(facts["above"]), facts["grant"]]
        ends = [facts[name] for name in ("starts_at", "expires_at", "revoked_at")]
        state = facts["state"]
        expected_grants.append((facts["grant"], path, state, facts["allow"], ends, len(facts["narrowings"])))
        for limit in facts["limits"]:
            amounts = [Decimal(str(limit[name])) for name in ("amount", "used", "reserved", "leased", "left")]
            policy = [limit[name] or "" for name in ("at_limit", "downgrade_to", "unknown_usage")]
            expected_limits[facts["grant"], limit["limit"]] = (*amounts, *policy, limit["refill_at"])
    rows = client.query("select * from analytics.fct_grants order by path", tz_mode="aware").named_results()
    found_grants = [
        (
            row["grant_name"], row["path"], row["state"] + (f" with {row['stopped_by']}" if row["stopped_by"] else ""),
            row["allow"], [_write_moment(row[name]) for name in ("starts_at", "expires_at", "revoked_at")],
            row["narrowings"],
        )
        for row in rows
    ]  # fmt: skip
    assert found_grants == sorted(expected_grants, key=lambda grant: grant[1]), f"seed {SEED}"
    rows = client.query(
        "select * from analytics.fct_grant_limits where kind = 'grant'", tz_mode="aware"
    ).named_results()
    names = ("limit_amount", "used_amount", "reserved_amount", "leased_amount", "left_amount")
    found_limits = {
        (row["grant_name"], row["limit_key"]): (
            *(row[name] for name in (*names, "at_limit", "downgrade_to", "unknown_usage")),
            _write_moment(row["refills_at"]),
        )
        for row in rows
    }
    assert found_limits == expected_limits, f"seed {SEED}"
    held_counts = [sum(limit[number] > 0 for limit in found_limits.values()) for number in (1, 2, 3)]
    assert all(held_counts), f"something is used, reserved and leased: {held_counts}"
    assert {grant[2].partition(" with ")[0] for grant in found_grants} > {"active"}


def test_each_ask_has_its_answer_and_its_end(ledger: tuple[Client, EmbeddedLog]) -> None:
    client, log = ledger
    decisions = _list_decisions(
        log, "admission.decided", "admission.settled", "admission.expired", "admission.released"
    )
    expected: dict[str, Any] = {}
    for decision, body in decisions:
        name = body["admission"]
        if decision != "admission.decided" and name not in expected:
            continue  # of a lease
        if decision == "admission.decided":
            ending = "open" if body["answer"] in ("allow", "downgrade") else "refused"
            reserved = {
                f"{part['grant']}/{part['limit']}": Decimal(str(part["amount"])) for part in body.get("reserved", ())
            }
            expected[name] = [body["answer"], body.get("reason", ""), body.get("limit", ""), ending, reserved, {}]
        elif decision == "admission.settled" and body["way"] != "leased":
            counted = {f"{part['grant']}/{part['limit']}": Decimal(str(part["amount"])) for part in body["counted"]}
            expected[name][3:] = ["late" if body["way"] == "late" else "settled", expected[name][4], counted]
        elif decision == "admission.expired":
            expected[name][3] = "expired"
        elif decision == "admission.released" and body["released"]:
            expected[name][3] = "released"
    columns = "ask_id, answer, reason, limit_key, ending, reserved_amounts, counted_amounts"
    rows = client.query(f"select {columns} from analytics.fct_admissions").result_rows
    assert {row[0]: list(row[1:]) for row in rows} == expected, f"seed {SEED}"
    assert {"open", "settled", "expired", "released", "refused"} <= {facts[3] for facts in expected.values()}
    left_reasons = client.query(
        "select reason, uniqExact(left_amount is null), any(left_amount is null) from analytics.fct_refusals "
        "where limit_key != '' group by reason"
    ).result_rows
    assert {reason: is_null for reason, count, is_null in left_reasons if count == 1} == {
        reason: reason not in ("limit", "reserved", "floor") for reason, _, _ in left_reasons
    }  # fmt: skip
    assert "unpriced" in {reason for reason, _, _ in left_reasons}, f"seed {SEED}"
    refused = client.query("select ask_id from analytics.fct_refusals where asked_for = 'call'").result_rows
    assert sorted(name for (name,) in refused) == sorted(name for name, facts in expected.items() if facts[1])


def _write_moment(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat().replace("+00:00", "Z")
