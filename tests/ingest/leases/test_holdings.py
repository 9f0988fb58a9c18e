"""Leases of several processes against the folds: whatever happens in whatever order, no limit is passed, and nothing
stays held."""

import random
from typing import Any, NamedTuple

import pytest

from ingest.leases import demand, holdings
from ingest.leases.holder import build_ask, build_return
from ingest.leases.holdings import Admitted, Conflict, Holdings, LeaseRequest
from tests.streams.build import DOCUMENTS, adopt, call
from tests.streams.folded_log import FoldedLog, build_request
from tests.streams.folds.grants.test_grant_fold import grant, limit

LIMITS = {("product", "tokens//600s"): 750, ("search", "tokens//600s"): 500}
PROCESSES, STEPS = 2, 500


class Call(NamedTuple):
    """A call that was admitted and is under way: who admitted it, what it may cost, and until when it settles."""

    admission: str
    process: int
    tokens: int
    expires_s: float
    team: str


class World:
    """Processes that hold leases, their callers, and the ledger between them."""

    def __init__(self, seed: int) -> None:
        self.draw, self.seed = random.Random(seed), seed
        self.log, self.now_s, self.count = FoldedLog(DOCUMENTS), 1.0, 0
        tokens = {"meter": "tokens", "window": {"rolling_s": 600}}
        money = limit(1_000, window={"rolling_s": 600})
        self.log.append(
            adopt(),
            grant("p", "product", dimension="organization", scope="acme", limits=[tokens | {"amount": 750}]),
            grant("s", "search", parent="product", limits=[tokens | {"amount": 500}, money]),
            grant("c", "chat", parent="product"),
            at_s=0,
        )
        self.processes = [Holdings() for _ in range(PROCESSES)]
        self.asked: list[tuple[int, Holdings, LeaseRequest, float]] = []
        self.returns: list[bytes] = []
        self.calls: list[Call] = []
        self.spent: list[tuple[float, str, int]] = []
        self.answers = {"lease": 0, "log": 0, "refused": 0}

    def run(self) -> None:
        weights = {
            self.ask: 20, self.settle: 14, self.release: 4, self.tend: 6, self.fold_lease: 6, self.send_returns: 2,
            self.wait: 2, self.lose_answer: 1, self.crash: 1,
        }  # fmt: skip
        for step in self.draw.choices(list(weights), list(weights.values()), k=STEPS):
            step()
            self.check()
        for process in self.processes:
            self.returns += [self.build(build_return(item)) for item in process.close()]
        self.send_returns()
        while self.calls:
            self.settle()
        self.check()
        self.now_s += 2_000
        self.log.append(at_s=self.now_s)
        for name, limit_key in LIMITS:
            assert self.log.read_meter(name, limit_key).committed == 0, f"seed {self.seed}: all is settled or expired"

    def check(self) -> None:
        sums = {"search": 0, "chat": 0}
        for ended_s, team, tokens in self.spent:
            sums[team] += tokens if ended_s > self.now_s - 600 else 0
        for under_way in self.calls:
            sums[under_way.team] += under_way.tokens
        assert sums["search"] <= 500 and sum(sums.values()) <= 750, f"seed {self.seed}: {sums}"
        for (name, limit_key), amount in LIMITS.items():
            meter = self.log.read_meter(name, limit_key)
            assert meter.used + meter.committed <= amount, f"seed {self.seed}: {name} {meter}"

    def ask(self) -> None:
        self.count += 1
        number, id, team = (
            self.draw.randrange(PROCESSES),
            f"a{self.count}",
            self.draw.choice(["search", "search", "chat"]),
        )
        input_tokens, max_tokens = self.draw.randrange(5), self.draw.randrange(1, 30)
        ask: dict[str, Any] = {"team": team, "model": "m1", "input_tokens": input_tokens, "max_tokens": max_tokens}
        tokens, process = input_tokens + max_tokens, self.processes[number]
        answer = process.admit("acme", id, ask, b"", self.now_s)
        if isinstance(answer, Admitted):
            self.answers["lease"] += 1
            self.calls.append(Call(answer.draw.name, number, tokens, answer.slice.expires_s, team))
            return
        (decision,) = self.fold(build_request(id, "admission", self.now_s, ask), "admission.decided")
        process.note_answer("acme", "token", ask, decision, self.now_s)
        self.answers["log" if decision["answer"] == "allow" else "refused"] += 1
        if decision["answer"] == "allow":
            self.calls.append(Call(id, number, tokens, self.now_s + 900, team))

    def settle(self) -> None:
        """A call ends, at most as dear as it may be; now and then it does so without an event."""
        if not self.calls:
            return
        ended = self.calls.pop(self.draw.randrange(len(self.calls)))
        if self.draw.random() < 0.05:
            return
        self.count += 1
        tokens = {"output": self.draw.randrange(1, ended.tokens + 1)}
        self.spent.append((self.now_s, ended.team, tokens["output"]))
        line = call(f"c{self.count}", self.now_s, team=ended.team, admission=ended.admission, tokens=tokens)
        (settled,) = self.fold(line, "admission.settled")
        assert (settled["way"], settled["overshoot"]) in (("leased", []), ("settled", [])), (
            f"seed {self.seed}: {settled}"
        )

    def release(self) -> None:
        if not self.calls:
            return
        ended = self.calls.pop(self.draw.randrange(len(self.calls)))
        process = self.processes[ended.process]
        if process.release("acme", ended.admission):
            assert not process.release("acme", ended.admission), "once"
        elif "/" not in ended.admission:
            self.count += 1
            data = {"action": "release", "admission": ended.admission}
            self.fold(build_request(f"r{self.count}", "admission", self.now_s, data), "admission.released")

    def tend(self) -> None:
        number = self.draw.randrange(PROCESSES)
        process = self.processes[number]
        self.asked += [(number, process, request, self.now_s) for request in process.list_wanted(self.now_s)]
        self.returns += [self.build(build_return(item)) for item in process.take_returns(self.now_s)]

    def fold_lease(self) -> None:
        if not self.asked:
            return
        number, process, request, asked_s = self.asked.pop(0)
        line = self.build(build_ask(request, "api"))
        (answer,) = self.fold(line, "lease.granted", "lease.refused")
        if process is not self.processes[number]:
            return  # it crashed
        if self.draw.random() < 0.1:
            process.refuse(request, self.now_s, is_retryable=True, is_unanswered=True)
        elif "reason" in answer:
            process.refuse(request, self.now_s, is_retryable=answer["retryable"])
        else:
            process.accept(request, answer, asked_s)

    def lose_answer(self) -> None:
        if self.asked and self.draw.random() < 0.2:
            _, process, request, _ = self.asked.pop()
            process.refuse(request, self.now_s, is_retryable=True, is_unanswered=True)

    def send_returns(self) -> None:
        lines, self.returns = self.returns, []
        if lines:
            self.fold(b"\n".join(lines + lines[:1]), "lease.returned")  # the first once more

    def wait(self) -> None:
        self.now_s += self.draw.choice([0.05, 0.2, 0.5, 1, 2, 4, 8, 12, 950])
        self.calls = [call for call in self.calls if call.expires_s > self.now_s]

    def crash(self) -> None:
        if self.draw.random() < 0.3:
            self.processes[self.draw.randrange(PROCESSES)] = Holdings()

    def build(self, event: dict[str, Any]) -> bytes:
        return build_request(event["id"], "lease", self.now_s, event["data"], event["source"])

    def fold(self, line: bytes, *names: str) -> list[dict[str, Any]]:
        decisions = self.log.append(line, at_s=self.now_s)
        return [decision["body"] for decision in decisions if decision["decision"] in names]


def test_no_limit_is_passed_and_nothing_stays_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demand, "MIN_ASKS", 3)
    monkeypatch.setattr(holdings, "MIN_INTERVAL_S", 0.0)
    total = {"lease": 0, "log": 0, "refused": 0}
    for seed in range(12):
        world = World(seed)
        world.run()
        total = {name: count + world.answers[name] for name, count in total.items()}
    assert min(total.values()) > 100, f"leases, the log and refusals all have their share: {total}"


def lease_slice(process: Holdings, calls: int, now_s: float) -> None:
    """Make a team busy, and give the lease that the process wants for it."""
    decision = {"answer": "allow", "grants": ["search"], "reserved": []}
    for number in range(demand.MIN_ASKS):
        ask = {"team": "search", "session": f"s{number}"}
        assert process.admit("acme", f"first{number}", ask, b"", now_s) is None
        process.note_answer("acme", "token", ask, decision, now_s)
    (request,) = process.list_wanted(now_s)
    assert process.list_wanted(now_s) == [] and request.amounts == {"calls": 2 * demand.MIN_ASKS}
    answer = {
        "lease": request.lease, "amounts": {"calls": calls}, "allow": {}, "dimensions": ["team"], "grants": ["search"],
        "leased": [{"grant": "search", "limit": "calls//total", "amount": calls}], "warnings": [], "prices": [],
        "currency": None, "admits_until_us": 10_000_000, "expires_us": 910_000_000,
    }  # fmt: skip
    process.accept(request, answer, now_s)


def test_what_is_released_is_free_again_or_returned_and_never_both() -> None:
    process = Holdings()
    lease_slice(process, 3, 1)
    admitted = [process.admit("acme", f"a{number}", {"team": "search"}, b"", 2) for number in range(4)]
    names = [answer.draw.name for answer in admitted if isinstance(answer, Admitted)]
    assert len(names) == 3 and admitted[3] is None
    assert not process.release("else", names[0]), "another organization's"
    assert process.release("acme", names[0]) and not process.release("acme", names[0])
    assert isinstance(process.admit("acme", "a5", {"team": "search", "session": "any"}, b"", 2), Admitted)
    assert process.take_returns(11) == [], "nothing was left"
    assert process.release("acme", names[1])
    (item,) = process.take_returns(11)
    assert (item.amounts, item.lease) == ({"calls": 1}, names[1].split("/")[0])
    assert process.close() == []


def test_an_id_asks_for_one_call() -> None:
    process = Holdings()
    lease_slice(process, 3, 1)
    first = process.admit("acme", "a", {"team": "search"}, b"1", 2)
    assert isinstance(first, Admitted) and process.admit("acme", "a", {"team": "search"}, b"1", 2) is first
    assert process.admit("acme", "a", {"team": "search", "calls": 2}, b"2", 2) == Conflict()
    assert process.admit("acme", "first0", {"team": "search"}, b"", 2) is None, "it was asked through the log"
    assert process.admit("else", "a", {"team": "search"}, b"2", 2) is None
