"""The marts answer what the folds would: budgets and runaways against the folds' own rows, on logs made from a seed."""

import random
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import product
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from ledger.log import Record
from ledger.log.topics import Topic
from ledger.money import PICO
from streams.folds import budgets
from streams.folds.budget_windows import BUCKETS, UNKNOWN, Budget, Scope, Spend
from streams.folds.chain import NOW, fold_record
from streams.folds.emit import Emit
from streams.folds.event import parse_record
from streams.folds.identity import Identities
from streams.folds.runaways import watch
from streams.folds.state import State
from streams.replay import open_catalogues
from tests.dashboards.server import warehouse
from tests.streams.build import DOCUMENTS, START_MS, adopt, call, control, correction
from tests.warehouse.plugin import InstallWarehouse
from warehouse.client import connect
from warehouse.rollups import build_rollups
from warehouse.sink import inbox

PARTITIONS = 12
RECORDS = 240
TEAMS = ("search", "<b>*support*</b>", "none of ours", "growth")
WINDOWS = (60, 120, 3600, 86400)
BOOKS = open_catalogues(DOCUMENTS)
Key = tuple[str, str, str, int]


class Ledger:
    """One partition of one organization, folded in memory: a log of whatever may happen to budgets and sessions."""

    def __init__(self, partition: int) -> None:
        self.partition, self.organization = partition, f"org-{partition}"
        self.rows, self.known = State(), Identities()
        self._chance = random.Random(f"agreement {partition}")
        self._offset, self._ms, self._number = 0, START_MS, 0
        self._lag_s, self._pace_s = 0.0, self._chance.choice((0.3, 5, 200))
        self.values: list[bytes] = []
        self._calls: list[str] = []
        self.keys: set[Key] = set()

    def go_on(self, records: int) -> Iterator[tuple[Topic, bytes]]:
        """What the next records derive."""
        for _ in range(records):
            lines = [adopt()] if self._offset == 0 else [self._line() for _ in range(self._chance.randrange(4))]
            headers = {"organization": self.organization, "channel": "test", "refused": "0"}
            value = b"\n".join(lines)
            self.last = Record(self.partition, self._offset, self._ms, self.organization, headers, value)
            self.values.append(value)
            for topic, said in fold_record(parse_record(self.last), self.rows, self.known, BOOKS, self._read_line):
                yield topic, said.value
            self.rows.take_changes()
            self._offset += 1
            back = self._chance.random() < 0.02  # a broker's clock may go back
            self._ms += -3000 if back else int(self._chance.expovariate(1 / self._pace_s) * 1000)

    def _read_line(self, offset: int, event_index: int) -> bytes:
        return self.values[offset].split(b"\n")[event_index]

    def _line(self) -> bytes:
        self._number += 1
        chance, id = self._chance, f"e{self._number}"
        if self._offset == 1 or chance.random() < 0.08:
            return self._allocation(id)
        if chance.random() < 0.05:  # a source that lags, or whose clock is ahead
            self._lag_s = chance.choice((0, 0, chance.uniform(-290, 30), chance.choice(WINDOWS) * chance.uniform(0, 2)))
        if self._calls and chance.random() < 0.1:  # of what came lately, so that it still lies in the window, or of any
            target = chance.choice(self._calls[-6:] if chance.random() < 0.8 else self._calls)
            replacement = {"model": "m1", "team": chance.choice(TEAMS), "tokens": {"input": chance.randrange(900_000)}}
            at_s = (self._ms - START_MS) / 1000
            return correction(id, target, at_s=at_s, replacement=replacement if chance.random() < 0.4 else None)
        said: dict[str, Any] = {"team": chance.choice((*TEAMS, None)), "agent": chance.choice(("a1", None))}
        said |= {"session": chance.choice(("s1", "s2", "s<3>")), "payer": chance.choice(("platform", None, "customer"))}
        if chance.random() < 0.7:
            same = "1" if chance.random() < 0.8 else "2"
            said |= {"tool": "look", "tool_arguments_hash": same, "tool_result_hash": "r"}
        said |= {"model": chance.choice(("m1", "m1", "m1", "unheard of"))}
        known = {"input": chance.choice((0, 1, 1_000, 123_457, 900_000))} if chance.random() < 0.9 else None
        said |= {"reported_tokens": {"input": chance.choice((1, 1_000))}} if chance.random() < 0.05 else {}
        said |= {"calls": chance.choice((1, 3)), "max_tokens": 1_000} if chance.random() < 0.1 else {}
        said |= {"quantities": {"images": 2}} if chance.random() < 0.05 else {}
        late = self._lag_s + chance.expovariate(1) * self._pace_s / 4
        if chance.random() < 0.05:
            late += chance.choice(WINDOWS) * chance.uniform(0.5, 3)
        late = -chance.uniform(301, 2_000) if chance.random() < 0.05 else late  # held, or quarantined ahead of the log
        at_s = (self._ms - START_MS) / 1000 - late
        if self._calls and chance.random() < 0.1:
            id, said["revision"] = chance.choice(self._calls[-6:]), self._number
        self._calls.append(id)
        return call(id, at_s, tokens=known, **{name: value for name, value in said.items() if value is not None})

    def _allocation(self, id: str) -> bytes:
        chance = self._chance
        dimension = chance.choice(("organization", "team", "agent", "session"))
        scopes = {"organization": (self.organization,), "team": TEAMS, "agent": ("a1",), "session": ("s1", "s2")}
        scope, window_s = chance.choice(scopes[dimension]), chance.choice(WINDOWS)
        if self._offset > 1 and chance.random() < 0.2:
            self.keys.discard((self.organization, dimension, scope, window_s))
            return control(id, "budget.removed", dimension=dimension, scope=scope, window_s=window_s)
        self.keys.add((self.organization, dimension, scope, window_s))
        limit = chance.choice(("0.0001", "0.5", "2", "20", "999999.000000000001"))
        currency = "EUR" if chance.random() < 0.1 else "USD"
        return control(
            id, "budget.allocated", dimension=dimension, scope=scope, limit=limit, currency=currency, window_s=window_s,
            unknown_usage=chance.choice((None, "tokens_only", "assume_greatest", "deny")),
        )  # fmt: skip

    def budget(self, key: Key) -> tuple[Any, ...]:
        """What the fold would say of a budget now, by the time that has passed alone."""
        scope = Scope(*key)
        kept: Budget = self.rows.get(scope.key)
        now_us = self.rows.get(NOW) * 1000
        self.rows.begin()
        budgets.rearm_when_due(scope.key, now_us, self.rows, Emit(self.last, now_us // 1000))
        now: Budget = self.rows.get(scope.key)
        self.rows.undo()
        ends = _moment((now.present.bucket + 1) * scope.bucket_us) if kept.newest.bucket >= 0 else None
        return (
            *key,
            _money(kept.limit),
            kept.currency,
            max(kept.fired, default=0),
            _money(now.amount(now.present.used)),
            *_tell(now, now.present.used),
            ends,
        )

    def series(self, key: Key, ends: datetime | None) -> list[Decimal]:
        """What the fold has in the buckets of the window that ends there."""
        scope = Scope(*key)
        last = int(ends.timestamp()) * 1_000_000 // scope.bucket_us - 1 if ends else 0
        kept: Budget = self.rows.get(scope.key)
        buckets = range(last - BUCKETS, last + 1)
        series = [_money(kept.amount(scope.spent(bucket, self.rows))) for bucket in buckets]
        ahead = range(last + 1, kept.newest.bucket + 1)
        series[-1] += sum(_money(kept.amount(scope.spent(bucket, self.rows))) for bucket in ahead)
        return series

    def run(self, session: str, agent: str) -> tuple[Any, ...] | None:
        """What the fold remembers of an agent whose alert is open."""
        run = self.rows.get((watch.NAME, self.organization, session, agent))
        if run is None or run.incident is None:
            return None
        spent = {currency: _money(amount) for currency, amount in run.spent}
        at = (_moment(run.since_us), _moment(run.last_us))
        call = (run.first.tool, run.first.asked) if run.incident.detector == "repeated_tool" else ("", "")
        return (self.organization, session, run.incident.alert, *call, run.calls, spent, *at)


def _tell(budget: Budget, used: Spend) -> tuple[Any, ...]:
    """What a budget says of what is not known: policy, what is assumed, the most, calls, tokens, calls without a bound,
    and if they are denied."""
    is_denied = UNKNOWN in budget.fired and used.calls > 0
    unknown = (used.calls, used.tokens, used.unbounded_calls, is_denied)
    return (budget.unknown_usage, _money(budget.assumed(used)), _money(used.greatest), *unknown)


def _moment(us: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory, install_warehouse: InstallWarehouse) -> Iterator[Client]:
    with warehouse(install_warehouse(tmp_path_factory.mktemp("agreement")).home) as settings:
        yield connect(settings)


def test_budgets_and_runaways_are_those_of_the_folds(client: Client) -> None:
    ledgers = [Ledger(partition) for partition in range(PARTITIONS)]
    for number in range(4):
        _store(client, (said for ledger in ledgers for said in ledger.go_on(RECORDS // 4)))
        if number % 2:  # else some lies beyond the rollups
            build_rollups(client)
        kept = {key: ledger for ledger in ledgers for key in ledger.keys}
        found = _budgets(client)
        assert found.keys() == kept.keys()
        for key, ledger in kept.items():
            *said, series = found[key]
            assert series == ledger.series(key, said[-1]) and sum(series) == said[3], key
            assert (*key, *said) == ledger.budget(key)
        agents = product(("s1", "s2", "s<3>"), ("a1", ""))
        runs = sorted(filter(None, (ledger.run(*agent) for ledger, agent in product(ledgers, agents))))
        assert _runaways(client) == runs and runs, "some go on"


def _budgets(client: Client) -> dict[Key, tuple[Any, ...]]:
    sql = (
        "select organization, dimension, scope_value, window_s, limit_amount, currency, fired_percent, used_amount,"
        " unknown_usage, assumed_amount, greatest_unpriced_cost, unknown_calls, unknown_tokens, unbounded_calls,"
        " is_denied, window_ends_at, spend_by_bucket from analytics.fct_budgets"
    )
    rows = client.query(sql, tz_mode="aware").result_rows
    return {(row[0], row[1], row[2], row[3]): tuple(row[4:]) for row in rows}


def _runaways(client: Client) -> list[tuple[Any, ...]]:
    sql = (
        "select organization, session, alert_id, tool, arguments_hash, calls, spent, started_at, last_at"
        " from analytics.fct_runaways where is_open"
    )
    return sorted(map(tuple, client.query(sql, tz_mode="aware").result_rows))


def _store(client: Client, derived: Iterable[tuple[Topic, bytes]]) -> None:
    """As the sink does."""
    said: dict[Topic, list[bytes]] = {}
    for topic, value in derived:
        said.setdefault(topic, []).append(value)
    for topic, values in said.items():
        body = b"\n".join(values) + b"\n"
        client.raw_insert(inbox(client, topic), insert_block=body, fmt="JSONEachRow", settings={"async_insert": 0})


def _money(pico: int) -> Decimal:
    return Decimal(pico) / PICO
