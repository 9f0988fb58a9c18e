"""Random histories of grants, asks, calls, leases, late and reversed facts: the core decides as the slow model."""

import itertools
import random
from collections import Counter
from typing import Any

import pytest

from streams.folds.grants import admission, estimates, leases, tree, tree_changes, uses
from streams.folds.grants.admission import Ask, expire_reservation
from streams.folds.grants.leases import LeaseAsk, expire_lease
from streams.folds.grants.limits import Amounts, Limit
from streams.folds.grants.meters import BUCKET, METER, MeterKey, cross_thresholds, read_meter, rearm_thresholds
from streams.folds.grants.tree import Change, Grant, write_lists
from streams.folds.grants.uses import UsedCall
from streams.folds.grants.windows import Window
from streams.folds.state import State
from tests.streams.folds.grants.slow_model import SlowModel

ORGANIZATION = "acme"
WINDOWS = {
    "60s": Window("rolling", 60_000_000), "90s": Window("rolling", 90_000_000), "day@UTC": Window("day"),
    "total": Window(),
}  # fmt: skip
SCOPES = {"team": ("search", "chat"), "user": ("ann", "bob")}
MODELS, REGIONS = ("large", "small"), ("eu", "us")
START = 1_767_614_400_000_000 - 150_000_000
"""Shortly before a day ends."""
SECOND = 1_000_000


def build_limit(limit: dict[str, Any]) -> Limit:
    return Limit(
        limit["meter"], limit["amount"], WINDOWS[limit["window"]], limit["currency"], limit["at_limit"],
        limit["downgrade_to"], floor=limit["floor"], lend=limit["lend"],
    )  # fmt: skip


def build_amounts(price: dict[str, int]) -> Amounts:
    return Amounts(price["billed"], price["notional"], "USD", price["tokens"], price["calls"])


class History:
    """A random history, told to the core and to the slow model at once."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.seed = seed
        self.state, self.slow = State(), SlowModel()
        self.slow.min_samples, self.slow.max_samples = estimates.MIN_SAMPLES, estimates.MAX_SAMPLES
        self.now = self.slow.now = START
        self.names: list[str] = []
        self.open: list[dict[str, Any]] = []
        self.leases: list[tuple[str, dict[str, str]]] = []
        self.position = 0
        self.count = 0
        self.seen = Counter[str]()

    def check(self, core: Any, slow: Any, step: str) -> None:
        assert core == slow, f"seed {self.seed}, step {self.count}: {step}"

    def run(self, steps: int) -> None:
        for _ in range(3):
            self.create()
        for _ in range(3 if self.seed % 2 and self.names else 0):
            self.create(self.names[0], 0.9)
        actions = (
            (self.ask, 8), (self.settle, 8), (self.call_unasked, 3), (self.release, 1), (self.lease, 2),
            (self.give_back, 1), (self.create, 1), (self.narrow, 1), (self.extend, 1), (self.revoke, 0.2),
            (self.reverse, 1), (self.pass_time, 5),
        )  # fmt: skip
        for self.count in range(steps):
            (action,) = self.draw.choices([action for action, _ in actions], [weight for _, weight in actions])
            action()
            self.compare_sums()

    def pass_time(self) -> None:
        self.now += self.draw.choice((1, 400_000, SECOND, 3 * SECOND, 20 * SECOND, 61 * SECOND, 100 * SECOND))
        for _, key in self.state.take_due(self.now):
            match key[1]:
                case "reservation":
                    expire_reservation(self.state, key)
                case "lease":
                    expire_lease(self.state, key)
                case "use":
                    self.state.delete(key)
                case "history":
                    estimates.forget_history(self.state, key)
                case "meter":
                    meter_key = MeterKey(*map(str, key[2:]))
                    limit = self.find_limit(meter_key)
                    if limit is not None:
                        rearm_thresholds(self.state, meter_key, limit, self.now)
        self.slow.pass_time(self.now)

    def find_limit(self, key: MeterKey) -> Limit | None:
        grant = tree.load_grant(self.state, ORGANIZATION, key.grant)
        assert grant is not None
        return next((limit for limit in tree.list_limits(grant, self.now) if limit.key == key.limit_key), None)

    def compare_sums(self) -> None:
        for name in self.names:
            grant = tree.load_grant(self.state, ORGANIZATION, name)
            assert grant is not None
            for limit in tree.list_limits(grant, self.now):
                key = MeterKey(ORGANIZATION, name, limit.key)
                meter = read_meter(self.state, key, limit, self.now)
                slow = self.slow.limits(name)[limit.key]
                self.check(meter.used, self.slow.used(name, slow), f"used of {key}")
                self.check(meter.committed, self.slow.committed(name, limit.key), f"committed of {key}")
                self.check(set(meter.fired), self.slow.fired.get((name, limit.key), set()), f"fired of {key}")

    # the tree

    def draw_limit(self) -> dict[str, Any]:
        meter = self.draw.choice(("billed", "tokens", "calls"))
        currency = "USD" if meter == "billed" else ""
        window = self.draw.choice(list(WINDOWS))
        at_limit = self.draw.choice(("warn", "downgrade", "throttle", "deny", "deny"))
        return {
            "meter": meter, "currency": currency, "window": window, "key": f"{meter}/{currency}/{window}",
            "amount": self.draw.randint(3, 40), "at_limit": at_limit,
            "downgrade_to": "small" if at_limit == "downgrade" else None, "floor": 0, "lend": 0,
        }  # fmt: skip

    def draw_limits(self, parent: str | None = None, inherited: float = 0.6) -> dict[str, Any]:
        limits = {limit["key"]: limit for limit in (self.draw_limit() for _ in range(self.draw.randint(0, 2)))}
        for key, limit in self.slow.grants[parent]["limits"].items() if parent is not None else ():
            if self.draw.random() < inherited:
                amount = self.draw.randint(1, limit["amount"])
                limits[key] = limit | {"amount": amount, **self.draw_floor(amount // 2 or 1, inherited)}
        return limits

    def draw_floor(self, amount: int, probability: float) -> dict[str, int]:
        floor = self.draw.randint(1, amount) if self.draw.random() < probability else 0
        return {"floor": floor, "lend": self.draw.choice((0, self.draw.randint(0, floor)))}

    def draw_allow(self) -> dict[str, list[str]]:
        allow = {}
        if self.draw.random() < 0.2:
            allow["models"] = self.draw.sample(MODELS, self.draw.randint(1, 2))
        if self.draw.random() < 0.2:
            allow["regions"] = self.draw.sample(REGIONS, self.draw.randint(1, 2))
        return allow

    def create(self, parent: str | None = None, inherited: float = 0.6) -> None:
        name = f"g{len(self.names)}"
        if parent is None and self.names:
            parent = self.draw.choice([None, *self.names])
        dimension = self.draw.choice(list(SCOPES))
        grant: dict[str, Any] = {
            "parent": parent, "dimension": dimension, "scope": self.draw.choice(SCOPES[dimension]),
            "allow": self.draw_allow(), "limits": self.draw_limits(parent, inherited),
            "delegable": self.draw.random() < 0.7,
            "expires": self.draw.choice((None, None, self.now + 120 * SECOND)),
        }  # fmt: skip
        is_delegated = self.draw.random() < 0.5
        reason = tree_changes.create_grant(
            self.state, ORGANIZATION,
            Grant(
                name, parent, dimension, grant["scope"], write_lists(grant["allow"]),
                tuple(build_limit(limit) for limit in grant["limits"].values()), self.now, grant["expires"],
                grant["delegable"],
            ),
            self.now, is_delegated=is_delegated,
        )  # fmt: skip
        self.check(reason is None, self.slow.create(name, grant, is_delegated), f"create {grant}: {reason}")
        if reason is None:
            self.names.append(name)

    def draw_change(self, name: str, factor: int) -> dict[str, Any]:
        limits: dict[str, Any] = self.draw_limits() if factor < 0 and self.draw.random() < 0.2 else {}
        for key, limit in self.slow.grants[name]["limits"].items():
            if self.draw.random() < 0.5:
                amount = max(1, limit["amount"] + factor * self.draw.randint(-2, 10))
                kept = {"floor": min(amount, limit["floor"]), "lend": min(amount, limit["floor"], limit["lend"])}
                limits[key] = limit | {"amount": amount, **kept}
                if self.draw.random() < 0.3:
                    limits[key] |= self.draw_floor(amount, 0.8)
        return {"allow": self.draw_allow(), "limits": limits, "until": None, "paused": False, "unpause": False}

    def narrow(self) -> None:
        if not self.names:
            return
        name = self.draw.choice(self.names)
        change = self.draw_change(name, -1)
        change["until"] = self.draw.choice((None, self.now + 30 * SECOND))
        change["paused"] = self.draw.random() < 0.2
        core = Change(
            write_lists(change["allow"]), tuple(build_limit(limit) for limit in change["limits"].values()),
            is_paused=True if change["paused"] else None, until_us=change["until"],
        )  # fmt: skip
        reason = tree_changes.narrow_grant(self.state, ORGANIZATION, name, core, self.now)
        self.check(reason is None, self.slow.narrow(name, change), f"narrow {name} {change}: {reason}")
        self.cross(name)

    def extend(self) -> None:
        if not self.names:
            return
        name = self.draw.choice(self.names)
        change = self.draw_change(name, 1)
        change["unpause"] = self.draw.random() < 0.8
        core = Change(
            write_lists(change["allow"]), tuple(build_limit(limit) for limit in change["limits"].values()),
            is_paused=False if change["unpause"] else None,
        )  # fmt: skip
        reason = tree_changes.extend_grant(self.state, ORGANIZATION, name, core, self.now)
        self.check(reason is None, self.slow.extend(name, change), f"extend {name} {change}: {reason}")
        self.cross(name)

    def cross(self, name: str) -> None:
        grant = tree.load_grant(self.state, ORGANIZATION, name)
        assert grant is not None
        for limit in tree.list_limits(grant, self.now):
            cross_thresholds(self.state, MeterKey(ORGANIZATION, name, limit.key), limit, self.now)
        self.slow.cross(name)

    def revoke(self) -> None:
        if self.names:
            name = self.draw.choice(self.names)
            reason = tree_changes.revoke_grant(self.state, ORGANIZATION, name, self.now)
            self.check(reason is None, self.slow.revoke(name), f"revoke {name}: {reason}")

    # calls

    def draw_scopes(self) -> dict[str, str]:
        return {dimension: self.draw.choice(names) for dimension, names in SCOPES.items() if self.draw.random() < 0.8}

    def draw_prices(self) -> dict[str, dict[str, int]]:
        tokens = self.draw.randint(1, 10)
        return {
            model: {"billed": tokens * rate, "notional": tokens * rate, "tokens": tokens, "calls": 1}
            for model, rate in (("large", 2), ("small", 1))
        }

    def ask(self) -> None:
        scopes, prices = self.draw_scopes(), self.draw_prices()
        call = {"models": self.draw.choice(MODELS), "regions": self.draw.choice(REGIONS)}
        named = self.draw.choice(self.names) if self.names and self.draw.random() < 0.2 else None
        name, quantile = f"a{self.count}", self.draw.choice((None, None, 0.5, 0.75))
        expires = self.now + self.draw.choice((10, 30, 90, 300)) * SECOND
        quantile_ppm = None if quantile is None else int(quantile * 1_000_000)
        core = admission.decide(
            self.state, Ask(ORGANIZATION, name, scopes, call, expires, named, quantile_ppm),
            lambda model: build_amounts(prices[str(model)]), self.now,
        )  # fmt: skip
        slow = self.slow.decide(name, scopes, call, named, expires, prices, quantile)
        self.check(core.answer, slow["answer"], f"ask {name} {scopes} {call}: {core}")
        self.seen[core.answer if core.refusal is None else core.refusal.reason] += 1
        self.seen["estimated"] += (core.samples or 0) >= estimates.MIN_SAMPLES
        if core.answer in ("allow", "downgrade"):
            self.check(list(core.grants), slow["grants"], f"grants of {name}")
            charges = {(charge.grant, charge.limit_key): charge.amount for charge in core.charges}
            self.check(charges, slow["charges"], f"charges of {name}")
            lefts = {place: remainder.left for place, remainder in zip(charges, core.remainders, strict=True)}
            self.check(lefts, slow["lefts"], f"left after {name}")
            model = str(core.model)
            self.open.append(
                {"admission": name, "scopes": scopes, "call": call | {"models": model}, "price": prices[model]}
            )
        elif core.refusal is not None and core.refusal.refill_us is not None and quantile is None:
            amount = prices[call["models"]][core.refusal.limit_key.partition("/")[0]]
            self.check_refill(core.refusal, scopes, amount)

    def check_refill(self, refusal: admission.Refusal, scopes: dict[str, str], amount: int) -> None:
        """The limit has room at the refill, and had none a moment before, for a child on one of the ways to it."""
        limit, time = self.slow.limits(refusal.grant)[refusal.limit_key], refusal.refill_us
        assert time is not None
        groups = self.slow.holdings(scopes)
        ways = [[above for name in names for above in self.slow.path(name)] for names in itertools.product(*groups)]
        lefts = [
            tuple(self.slow.left(refusal.grant, limit, way, moment) for moment in (time - 1, time)) for way in ways
        ]
        assert any(before < amount <= after for before, after in lefts), (self.seed, self.count)

    def settle(self) -> None:
        calls: list[dict[str, Any]] = [
            *self.open,
            *({"admission": name, "scopes": scopes} for name, scopes in self.leases),
        ]
        if not calls:
            return
        call = self.draw.choice(calls)
        if call in self.open and self.draw.random() < 0.9:
            self.open.remove(call)
        point = call.get("call") or {"models": "small", "regions": "eu"}
        actual = self.draw_prices()[point["models"]]
        if "price" in call and self.draw.random() < 0.8:
            actual = {meter: min(actual[meter], amount) for meter, amount in call["price"].items()}
        self.count_call(call["scopes"], point, call["admission"], actual)

    def call_unasked(self) -> None:
        point = {"models": self.draw.choice(MODELS), "regions": self.draw.choice(REGIONS)}
        self.count_call(self.draw_scopes(), point, None, self.draw_prices()[point["models"]])

    def count_call(
        self, scopes: dict[str, str], point: dict[str, str], name: str | None, actual: dict[str, int]
    ) -> None:
        self.position += 1
        time = self.now - self.draw.choice((-2, 0, 0, 1, 5, 50, 70, 130, 200)) * SECOND
        named = self.draw.choice(self.names) if self.names and self.draw.random() < 0.2 else None
        core = uses.settle(
            self.state,
            UsedCall(ORGANIZATION, (self.position, 0), time, scopes, point, build_amounts(actual), named, name),
            self.now,
        )
        slow = self.slow.settle(self.position, time, scopes, point, named, name, actual)
        self.check(core.way, slow["way"], f"settle {name}")
        self.check(list(core.grants), slow["path"], f"path of {name}")
        overshoot = {(charge.grant, charge.limit_key): charge.amount for charge in core.overshoot}
        self.check(overshoot, slow["overshoot"], f"overshoot of {name}")
        crossed = {
            (crossing.key.grant, crossing.key.limit_key): set(crossing.thresholds)
            for crossing in core.crossings
            if not crossing.is_past
        }
        self.check(crossed, slow["crossed"], f"crossings of {name}")

    def release(self) -> None:
        if self.open:
            name = self.open.pop(self.draw.randrange(len(self.open)))["admission"]
            self.check(admission.release(self.state, ORGANIZATION, name), self.slow.release(name), f"release {name}")

    def reverse(self) -> None:
        if self.position:
            position = self.draw.randint(1, self.position)
            uses.take_back(self.state, ORGANIZATION, (position, 0), self.now)
            self.slow.reverse(position)

    # leases

    def lease(self) -> None:
        name, scopes = f"l{self.count}", self.draw_scopes()
        amounts = {"billed": self.draw.randint(1, 20), "notional": 1, "tokens": self.draw.randint(1, 20), "calls": 5}
        expires = self.now + self.draw.choice((20, 60)) * SECOND
        core = leases.grant_lease(
            self.state, LeaseAsk(ORGANIZATION, name, "gateway", scopes, amounts, "USD", expires, expires), self.now
        )
        slow = self.slow.lease(name, scopes, amounts, expires)
        self.check(None if core.refusal else dict(core.amounts), slow, f"lease {name} {core.refusal}")
        if core.refusal is None:
            self.leases.append((name, scopes))

    def give_back(self) -> None:
        if self.leases:
            name, _ = self.draw.choice(self.leases)
            unused = {meter: self.draw.randint(0, 6) for meter in ("billed", "tokens", "calls")}
            leases.return_lease(self.state, ORGANIZATION, name, unused, self.now)
            self.slow.give_back(name, unused)


def test_the_core_decides_as_the_slow_model_on_random_histories(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimates, "MIN_SAMPLES", 1)
    monkeypatch.setattr(estimates, "MAX_SAMPLES", 3)
    seen = Counter[str]()
    for seed in range(1000):
        history = History(seed)
        history.run(40)
        seen += history.seen
    assert all(seen[name] > 20 for name in ("allow", "limit", "reserved", "floor", "estimated")), seen


def test_a_limit_leaves_no_bucket_behind_that_no_window_needs() -> None:
    history = History(7)
    for seed in range(30):
        history.draw = random.Random(seed)
        history.run(40)
    kept = [key for key, row in history.state.take_changes().items() if row is not None and key[1] in (BUCKET, METER)]
    assert len(kept) < 200 * len(history.names)
