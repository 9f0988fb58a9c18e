"""kill -9 of folds and HTTP API between admission and settlement: no budget is lost, no reservation leaks."""

import http.client
import json
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest

from ledger.home.presence import find_any_presence, find_presence
from ledger.home.tokens import create_token
from ledger.log import READ_BYTES, Log, Record, partition_of
from ledger.log.open import open_log
from ledger.log.topics import EVENTS, Topic
from streams.runtime import build_tick
from tally.product.grants.usage import LimitUsage, read_grants
from tests.faults.conftest import Build
from tests.faults.house import House
from tests.faults.proof import prove

LIMIT, CALLERS = 100_000, 4
CALL = {"provider": "openai", "model": "gpt-4o", "input_tokens": 900, "max_tokens": 500}
LEASED, LOGGED = {"team": "leased"}, {"team": "logged", "ttl_s": 1_000}
"""Asks that the API may answer from a lease of its own, and asks that no lease outlasts."""
POINTS = {"api": "http.after_append:9", "streams": "worker.inside_transaction:9"}
"""Each dies once after what it did was on the log, before anybody heard of it."""
VICTIMS = ("api", "streams")
MANY = pytest.param(2, 50, marks=[pytest.mark.long, pytest.mark.timeout(1_800)])
ANSWER_TIMEOUT_S = 120
HOUR_MS = 3_600_000


class Calls:
    """Callers that ask, call and settle, and ask anew with the same id where no answer comes."""

    def __init__(self, house: House, seed: int) -> None:
        self._home, self._seed = house.settings.home, seed
        self._bearer = create_token(self._home, ["acme"], ["write"])[1]
        self.settled: dict[str, int] = {"leased": 0, "logged": 0}
        self.abandoned = 0
        self.under_way: set[str] = set()
        """Admissions that are not settled yet."""
        self._lock = threading.Lock()
        self.is_ending = False

    def run(self, number: int) -> None:
        """Call until the end. Each eighth admission is never settled."""
        chance = random.Random(f"{self._seed}-{number}")
        count = 0
        while not self.is_ending:
            count += 1
            id, ask = f"{number}-{count}", chance.choice((LEASED, LOGGED))
            answer = self._send("/v1/admissions", CALL | ask | {"id": id})
            assert answer["answer"] == "allow", answer
            self.under_way.add(answer["admission"])
            time.sleep(chance.uniform(0, 0.15))
            if chance.random() < 0.125:
                with self._lock:
                    self.abandoned += 1
            else:
                self._settle(id, ask["team"], answer["admission"])  # type: ignore[arg-type]
            self.under_way.discard(answer["admission"])

    def _settle(self, id: str, team: str, admission: str) -> None:
        data = {"provider": "openai", "model": "gpt-4o", "team": team, "admission": admission}
        event = {
            "specversion": "1.0", "id": id, "source": "callers", "time": "2026-06-01T12:00:00Z",
            "type": "tallystick.inference.v1", "data": data | {"tokens": {"input": 900, "output": 100}},
        }  # fmt: skip
        self._send("/v1/events", event)
        with self._lock:
            self.settled[team] += 1

    def _send(self, path: str, document: dict[str, Any]) -> Any:
        """Send a document until it is answered; the API may die meanwhile, and have another address then."""
        headers = {"Authorization": f"Bearer {self._bearer}", "Content-Type": "application/json"}
        deadline_s = time.monotonic() + ANSWER_TIMEOUT_S
        content = b""
        while time.monotonic() < deadline_s:
            address = urlsplit((find_presence(self._home, "api") or {}).get("url", ""))
            if address.hostname is not None:
                connection = http.client.HTTPConnection(address.hostname, address.port, timeout=30)
                try:
                    connection.request("POST", path, json.dumps(document), headers)
                    response = connection.getresponse()
                    content = response.read()
                    if response.status == 200:
                        return json.loads(content)
                    assert response.status == 503, content
                except (OSError, http.client.HTTPException):
                    pass
                finally:
                    connection.close()
            time.sleep(0.05)
        raise AssertionError(f"no answer for {ANSWER_TIMEOUT_S} s: {content!r}")


class Later(NamedTuple):
    """A log, and a tick behind its end that comes later: by then all that was reserved or leased has expired."""

    log: Log
    tick: Record

    def __getattr__(self, name: str) -> Any:
        return getattr(self.log, name)

    def last(self, topic: Topic, partition: int) -> Record | None:
        return self.tick if (topic, partition) == (EVENTS, self.tick.partition) else self.log.last(topic, partition)

    def end(self, topic: Topic, partition: int) -> int:
        is_ticking = (topic, partition) == (EVENTS, self.tick.partition)
        return self.log.end(topic, partition) + is_ticking

    def read(self, topic: Topic, partition: int, offset: int, max_bytes: int = READ_BYTES) -> list[Record]:
        if (topic, partition, offset) == (EVENTS, self.tick.partition, self.tick.offset):
            return [self.tick]
        return self.log.read(topic, partition, offset, max_bytes)


@pytest.mark.parametrize(
    ("seed", "kills"),
    [(1, 2), MANY],
)
def test_kills_between_admission_and_settlement(build: Build, seed: int, kills: int) -> None:
    live_through(build(has_api=True, **POINTS), seed, kills)


@pytest.mark.parametrize(
    ("seed", "kills"),
    [(1, 2), MANY],
)
def test_kills_between_admission_and_settlement_on_kafka(build: Build, log: str, seed: int, kills: int) -> None:
    live_through(build(log, has_api=True, **POINTS), seed, kills)


def live_through(house: House, seed: int, kills: int) -> None:
    """Let callers ask, call and settle while parts die, and prove what is left then."""
    limits = ("--limit", f"calls:{LIMIT}/total", "--limit", f"tokens:{LIMIT * 1_400}/total")
    for team in ("leased", "logged"):
        house.ask("grant", "create", team, "--scope", f"team={team}", *limits, "--organization", "acme")
    calls, chance = Calls(house, seed), random.Random(seed)
    with ThreadPoolExecutor(CALLERS) as threads:
        callers = [threads.submit(calls.run, number) for number in range(CALLERS)]
        try:
            for number in range(kills):
                due_s = time.monotonic() + chance.uniform(0.3, 2)
                victim = min(chance.sample(VICTIMS, len(VICTIMS)), key=house.deaths.count)

                def kill(due_s: float = due_s, victim: str = victim, number: int = number) -> None:
                    assert not any(caller.done() for caller in callers), "a caller has ended"
                    part = house.running[victim]
                    is_due = time.monotonic() >= due_s and calls.under_way and len(house.deaths) == number
                    if is_due and part.poll() is None and find_any_presence(house.settings, victim):
                        part.kill()

                house.until(lambda number=number: len(house.deaths) > number, kill)  # type: ignore[misc]
            settled = sum(calls.settled.values())
            house.until(lambda: sum(calls.settled.values()) > settled + CALLERS)  # they go on
        finally:
            calls.is_ending = True
            house.until(lambda: all(caller.done() for caller in callers))
        for caller in callers:
            caller.result()
    assert set(house.deaths) == set(VICTIMS), f"seed {seed} killed {house.deaths}"
    house.stop("api")
    prove(house)
    check_grants(house, calls)


def check_grants(house: House, calls: Calls) -> None:
    """What was settled is used, and what is neither used nor left is reserved or leased, and comes back."""
    partition = partition_of("acme")
    with closing(open_log(house.settings)) as log:
        last = log.last(EVENTS, partition)
        assert last is not None
        draft = build_tick(partition, last.offset + 1, (last.time_ms + HOUR_MS) * 1000)
        tick = Record(partition, last.offset + 1, last.time_ms + HOUR_MS, draft.key, draft.headers, draft.value)
        now, later = read_grants(log, "acme"), read_grants(Later(log, tick), "acme")
    for team in ("leased", "logged"):
        for usage, usage_later in zip(list_usages(now, team), list_usages(later, team), strict=True):
            is_calls = usage.limit.amount == LIMIT
            used = calls.settled[team] * (1 if is_calls else 1_000)
            assert usage.used == used == usage_later.used, (team, usage, calls.settled)
            assert usage.used + usage.reserved + usage.leased + usage.left == usage.limit.amount
            assert (usage_later.reserved, usage_later.leased) == (0, 0), (team, usage_later)
            assert usage_later.left == usage.limit.amount - used
    assert calls.abandoned, "some admissions were never settled"


def list_usages(grants: Any, team: str) -> list[LimitUsage]:
    usage = grants.find(team)
    assert usage is not None
    return list(usage.limits)
