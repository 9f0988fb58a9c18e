"""Random histories of grants, asks, calls, leases, late and reversed facts: the core decides as the audit."""

import random
import sqlite3
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from audit.verify.rights import admissions as audit_admissions
from audit.verify.rights import calls as audit_calls
from audit.verify.rights import estimates as audit_estimates
from audit.verify.rights import leases as audit_leases
from audit.verify.rights.limits import Amounts as AuditAmounts
from audit.verify.rights.organization_rights import OrganizationRights
from audit.verify.rights.partition_rights import change_tree
from streams.folds.grants import admission, estimates, leases, tree, tree_changes, uses
from streams.folds.grants.admission import Ask, expire_reservation
from streams.folds.grants.leases import LeaseAsk, expire_lease
from streams.folds.grants.limits import Amounts, Limit
from streams.folds.grants.meters import BUCKET, METER, MeterKey, cross_thresholds, read_meter, rearm_thresholds
from streams.folds.grants.records import read_change, read_grant
from streams.folds.grants.uses import UsedCall
from streams.folds.state import State
from tallystick.rights.leased_names import write_leased_name

ORGANIZATION = "acme"
WINDOWS: tuple[dict[str, Any] | None, ...] = ({"rolling_s": 60}, {"rolling_s": 90}, {"calendar": "day"}, None)
SCOPES = {"team": ("search", "chat"), "user": ("ann", "bob")}
MODELS, REGIONS = ("large", "small"), ("eu", "us")
START = 1_767_614_400_000_000 - 150_000_000
"""Shortly before a day ends."""
SECOND = 1_000_000


def build_amounts(price: dict[str, int]) -> Amounts:
    return Amounts(price["billed"], price["notional"], "USD", price["tokens"], price["calls"])


def write_time(time_us: int | None) -> str | None:
    return None if time_us is None else (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time_us)).isoformat()


class History:
    """A random history, told to the core and to the audit at once."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.seed = seed
        self.state, self.rights = State(), OrganizationRights(ORGANIZATION)
        self.uses = audit_calls.Uses(sqlite3.connect(""))
        self.now = START
        self.seen = Counter[str]()
        self.names: list[str] = []
        self.limits: dict[str, list[dict[str, Any]]] = {}
        self.open: list[dict[str, Any]] = []
        self.leases: list[tuple[str, dict[str, str]]] = []
        self.position = 0
        self.count = 0

    def check(self, core: Any, audit: Any, step: str) -> None:
        assert core == audit, f"seed {self.seed}, step {self.count}: {step}"

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
                case "history":
                    estimates.forget_history(self.state, key)
                case "use":
                    self.state.delete(key)
                case "meter":
                    meter_key = MeterKey(*map(str, key[2:]))
                    limit = self.find_limit(meter_key)
                    if limit is not None:
                        rearm_thresholds(self.state, meter_key, limit, self.now)
        list(self.rights.pass_time(self.now, self.now))

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
                audit_limit = self.rights.find_limit(name, limit.key, self.now)
                assert audit_limit is not None
                audit_meter = self.rights.read_meter(self.rights.tree.grants[name], audit_limit, self.now)
                self.check(meter.used, audit_meter.read_used(audit_limit), f"used of {key}")
                self.check(meter.committed, audit_meter.committed, f"committed of {key}")
                self.check(list(meter.fired), audit_meter.crossed_thresholds, f"fired of {key}")

    # the tree

    def draw_limit(self) -> dict[str, Any]:
        meter = self.draw.choice(("billed", "tokens", "calls"))
        at_limit = self.draw.choice(("warn", "downgrade", "throttle", "deny", "deny"))
        limit = {
            "meter": meter, "window": self.draw.choice(WINDOWS), "at_limit": at_limit,
            "currency": "USD" if meter == "billed" else None,
            "downgrade_to": "small" if at_limit == "downgrade" else None,
        }  # fmt: skip
        return self.write_amount(limit, self.draw.randint(3, 40))

    @staticmethod
    def write_amount(limit: dict[str, Any], amount: int, floor: int = 0, lend: int = 0) -> dict[str, Any]:
        """Give a limit an amount, and a part of it as its floor and what that lends; money in pico."""
        unit = Decimal(1).scaleb(-12) if limit["meter"] == "billed" else Decimal(1)
        floor, lend = min(floor, amount), min(floor, lend, amount)
        parts = {name: f"{part * unit:f}" for name, part in (("amount", amount), ("floor", floor), ("lend", lend))}
        return limit | parts | {"count": amount, "floor_count": floor, "lend_count": lend}

    def draw_floor(self, amount: int, probability: float) -> tuple[int, int]:
        floor = self.draw.randint(1, amount) if self.draw.random() < probability else 0
        return floor, self.draw.choice((0, self.draw.randint(0, floor)))

    def draw_limits(self, parent: str | None = None, inherited: float = 0.6) -> list[dict[str, Any]]:
        limits = [self.draw_limit() for _ in range(self.draw.randint(0, 2))]
        for limit in self.limits[parent] if parent is not None else ():
            if self.draw.random() < inherited:
                amount = self.draw.randint(1, limit["count"])
                limits.append(self.write_amount(limit, amount, *self.draw_floor(amount // 2 or 1, inherited)))
        return self.drop_repeated(limits)

    @staticmethod
    def drop_repeated(limits: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Keep one limit of each identity, the last."""
        return list({(limit["meter"], str(limit["window"])): limit for limit in limits}.values())

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
        body: dict[str, Any] = {
            "grant": name, "parent": parent, "dimension": dimension, "scope": self.draw.choice(SCOPES[dimension]),
            "allow": self.draw_allow(), "limits": self.draw_limits(parent, inherited),
            "delegable": self.draw.random() < 0.7,
            "expires_at": write_time(self.draw.choice((None, None, self.now + 120 * SECOND))),
        }  # fmt: skip
        is_delegated = self.draw.random() < 0.5
        reason = tree_changes.create_grant(
            self.state, ORGANIZATION, read_grant(body, self.now, None), self.now, is_delegated=is_delegated
        )
        self.apply("grant.delegated" if is_delegated else "grant.created", body, reason)
        if reason is None:
            self.names.append(name)
            self.limits[name] = body["limits"]

    def apply(self, control_type: str, body: dict[str, Any], reason: str | None) -> None:
        """Apply a record in the audit too, which says the same of its effect."""
        grant = change_tree(self.rights, control_type, body, self.now, self.now)
        self.check(reason is None, grant is not None, f"{control_type} {body}: {reason}")

    def draw_change(self, name: str, factor: int) -> dict[str, Any]:
        limits = self.draw_limits() if factor < 0 and self.draw.random() < 0.2 else []
        for limit in self.limits[name]:
            if self.draw.random() < 0.5:
                amount = max(1, limit["count"] + factor * self.draw.randint(-2, 10))
                floor = self.draw_floor(amount, 0.8) if self.draw.random() < 0.3 else None
                floor = floor or (limit["floor_count"], limit["lend_count"])
                limits.append(self.write_amount(limit, amount, *floor))
        return {"grant": name, "allow": self.draw_allow(), "limits": self.drop_repeated(limits)}

    def narrow(self) -> None:
        if not self.names:
            return
        body = self.draw_change(self.draw.choice(self.names), -1)
        body["until"] = write_time(self.draw.choice((None, self.now + 30 * SECOND)))
        body["paused"] = True if self.draw.random() < 0.2 else None
        reason = tree_changes.narrow_grant(self.state, ORGANIZATION, body["grant"], read_change(body), self.now)
        self.apply("grant.narrowed", body, reason)
        self.cross(body["grant"])

    def extend(self) -> None:
        if not self.names:
            return
        body = self.draw_change(self.draw.choice(self.names), 1)
        body["paused"] = False if self.draw.random() < 0.8 else None
        reason = tree_changes.extend_grant(self.state, ORGANIZATION, body["grant"], read_change(body), self.now)
        self.apply("grant.extended", body, reason)
        self.cross(body["grant"])

    def cross(self, name: str) -> None:
        grant = tree.load_grant(self.state, ORGANIZATION, name)
        assert grant is not None
        for limit in tree.list_limits(grant, self.now):
            cross_thresholds(self.state, MeterKey(ORGANIZATION, name, limit.key), limit, self.now)
        audit_grant = self.rights.tree.grants[name]
        for audit_limit in audit_grant.list_limits(self.now):
            audit_meter = self.rights.read_meter(audit_grant, audit_limit, self.now)
            audit_meter.change(audit_limit)
            self.rights.watch(name, audit_limit, audit_meter, self.now)

    def revoke(self) -> None:
        if self.names:
            name = self.draw.choice(self.names)
            reason = tree_changes.revoke_grant(self.state, ORGANIZATION, name, self.now)
            self.apply("grant.revoked", {"grant": name}, reason)

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
        name, quantile_ppm = f"a{self.count}", self.draw.choice((None, None, 500_000, 750_000))
        expires = self.now + self.draw.choice((10, 30, 90, 300)) * SECOND
        core = admission.decide(
            self.state, Ask(ORGANIZATION, name, scopes, call, expires, named, quantile_ppm),
            lambda model: build_amounts(prices[str(model)]), self.now,
        )  # fmt: skip
        ask = audit_admissions.Ask(name, scopes, call, expires, named, quantile_ppm)
        audit = audit_admissions.decide(
            self.rights, ask, lambda model: AuditAmounts(*build_amounts(prices[str(model)])), self.now
        )
        self.seen[core.answer if core.refusal is None else core.refusal.reason] += 1
        self.seen["estimated"] += (core.samples or 0) >= estimates.MIN_SAMPLES
        self.check(core.answer, audit.answer, f"ask {name} {scopes} {call}: {core}")
        if core.answer in ("allow", "downgrade"):
            assert audit.choice is not None
            self.check(list(core.grants), audit.choice.grants, f"grants of {name}")
            self.check(list(core.charges), audit.choice.charges, f"charges of {name}")
            self.check(list(core.remainders), audit.choice.rests, f"left after {name}")
            self.check(core.samples, audit.choice.samples, f"samples of {name}")
            model = str(core.model)
            self.open.append(
                {"admission": name, "scopes": scopes, "call": call | {"models": model}, "price": prices[model]}
            )
            return
        assert core.refusal is not None and audit.refusal is not None
        self.check(core.refusal.kept, audit.refusal.kept_amount, f"kept of {name}")
        self.check(core.refusal.left, audit.refusal.left_amount, f"left of {name}")
        self.compare_refusals(core.refusal, audit.refusal, name)

    def compare_refusals(self, core: admission.Refusal, audit: audit_admissions.Refusal, name: str) -> None:
        limit_key = audit.limit.key if audit.limit is not None else ""
        self.check(core.limit_key, limit_key, f"limit of {name}")
        for field in ("grant", "reason", "refill_us", "is_retryable", "needed_amount"):
            self.check(getattr(core, field), getattr(audit, field), f"{field} of {name}")

    def settle(self) -> None:
        calls: list[dict[str, Any]] = [
            *self.open,
            *({"admission": name, "scopes": scopes} for name, scopes in self.leases),
            *({"admission": self.name_leased(name), "scopes": scopes} for name, scopes in self.leases[-3:]),
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

    def name_leased(self, lease: str) -> str:
        """Name an admission from a lease, now and then one that a call named before."""
        price = self.draw_prices()[self.draw.choice(MODELS)]
        taken = {meter: price[meter] for meter in self.draw.sample(sorted(price), self.draw.randint(1, 4))}
        return write_leased_name(lease, self.draw.randint(1, 8), taken)

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
        audit_call = audit_calls.UsedCall(
            (self.position, 0), time, scopes, point, AuditAmounts(*build_amounts(actual)), named, name
        )
        audit = audit_calls.settle(self.rights, self.uses, audit_call, self.now)
        for field, values, audit_values in (
            ("way", core.way, audit.way), ("path", core.grants, audit.path),
            ("reserved", core.reserved, audit.reserved), ("overshoot", core.overshoot, audit.overshoot),
        ):  # fmt: skip
            self.check(list(values), list(audit_values), f"{field} of {name}")
        self.seen["by its number"] += core.way in ("leased", "late") and "/" in str(name)
        self.seen["by a number again"] += core.way == "unasked" and "/" in str(name)
        crossings = [
            (crossing.key.grant, crossing.key.limit_key, list(crossing.thresholds), crossing.used, crossing.is_past)
            for crossing in core.crossings
        ]
        audit_crossings = [(crossing.grant, crossing.limit.key, *crossing[2:]) for crossing in audit.crossings]
        self.check(crossings, audit_crossings, f"crossings of {name}")

    def release(self) -> None:
        if self.open:
            name = self.open.pop(self.draw.randrange(len(self.open)))["admission"]
            is_released = admission.release(self.state, ORGANIZATION, name) is not None
            self.check(is_released, audit_admissions.release(self.rights, name), f"release {name}")

    def reverse(self) -> None:
        if self.position:
            position = self.draw.randint(1, self.position)
            uses.take_back(self.state, ORGANIZATION, (position, 0), self.now)
            audit_calls.take_back(self.rights, self.uses, (position, 0), self.now)

    # leases

    def lease(self) -> None:
        name, scopes = f"l{self.count}", self.draw_scopes()
        amounts = {"billed": self.draw.randint(1, 20), "notional": 1, "tokens": self.draw.randint(1, 20), "calls": 5}
        admits_until = self.now + self.draw.choice((20, 60)) * SECOND
        expires = admits_until + self.draw.choice((0, 30)) * SECOND
        core = leases.grant_lease(
            self.state, LeaseAsk(ORGANIZATION, name, "gateway", scopes, amounts, "USD", admits_until, expires), self.now
        )
        audit_ask = audit_leases.LeaseAsk(name, scopes, amounts, "USD", admits_until, expires)
        audit = audit_leases.give_lease(self.rights, audit_ask, self.now)
        self.check(core.refusal is None, isinstance(audit, audit_leases.Slice), f"lease {name} {core.refusal}")
        if isinstance(audit, audit_admissions.Refusal):
            assert core.refusal is not None
            self.compare_refusals(core.refusal, audit, name)
            return
        allow = {dimension: values.names for dimension, values in core.allow.values}
        for field, value, audit_value in (
            ("amounts", dict(core.amounts), audit.amounts), ("grants", list(core.grants), audit.grants),
            ("charges", list(core.charges), audit.charges), ("allow", allow, audit.allow),
            ("dimensions", list(core.dimensions), audit.dimensions), ("warnings", list(core.warnings), audit.warnings),
            ("end", core.admits_until_us, audit.admits_until_us),
        ):  # fmt: skip
            self.check(value, audit_value, f"{field} of {name}")
        self.seen["ends with its grant"] += core.admits_until_us < admits_until
        self.seen["warned"] += bool(core.warnings)
        self.leases.append((name, scopes))

    def give_back(self) -> None:
        if self.leases:
            name, _ = self.draw.choice(self.leases)
            unused = {meter: self.draw.randint(0, 6) for meter in ("billed", "tokens", "calls")}
            currency = self.draw.choice((None, "USD", "EUR"))
            returned = leases.return_lease(self.state, ORGANIZATION, name, unused, self.now, currency)
            obstacle = audit_leases.find_return_obstacle(self.rights, name, currency)
            if obstacle is None:
                self.check(list(returned), audit_leases.return_lease(self.rights, name, unused), f"return of {name}")
            else:
                self.check(returned, obstacle, f"return of {name}")


def test_the_core_decides_as_the_audit_on_random_histories(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimates, "MIN_SAMPLES", 1)
    monkeypatch.setattr(estimates, "MAX_SAMPLES", 3)
    monkeypatch.setattr(audit_estimates, "MIN_SHARES", 1)
    monkeypatch.setattr(audit_estimates, "MAX_SHARES", 3)
    seen = Counter[str]()
    for seed in range(1000):
        history = History(seed)
        history.run(40)
        seen += history.seen
    names = (
        "allow", "limit", "reserved", "floor", "estimated", "by its number", "by a number again",
        "ends with its grant", "warned",
    )  # fmt: skip
    assert all(seen[name] > 20 for name in names), seen


def test_a_limit_leaves_no_bucket_behind_that_no_window_needs() -> None:
    history = History(7)
    for seed in range(30):
        history.draw = random.Random(seed)
        history.run(40)
    kept = [key for key, row in history.state.take_changes().items() if row is not None and key[1] in (BUCKET, METER)]
    assert len(kept) < 200 * len(history.names)
