"""Grants, the slow and obvious way: every fact is kept, and every question adds up all of them.

It shares no code with the folds. Sets are Python's, a window is a filter over facts, and time passes bucket by bucket.
"""

import copy
import math
from typing import Any

STRICT = ["warn", "downgrade", "throttle", "deny"]


def bucket_of(window: str, time: int) -> int:
    if window == "total":
        return 0
    if window.endswith("s"):
        return time * 60 // (int(window[:-1]) * 1_000_000)
    return time // (86_400 * 1_000_000)


def span_of(window: str) -> int:
    return 61 if window.endswith("s") else 1


def guarantee_of(limit: dict[str, Any]) -> int:
    return int(max(0, limit["floor"] - limit["lend"]))


class SlowModel:
    def __init__(self) -> None:
        self.now = 0
        self.grants: dict[str, dict[str, Any]] = {}
        self.facts: list[dict[str, Any]] = []
        self.reservations: dict[str, dict[str, Any]] = {}
        self.leases: dict[str, dict[str, Any]] = {}
        self.fired: dict[tuple[str, str], set[int]] = {}
        self.histories: dict[tuple[str, str], list[dict[str, int]]] = {}
        self.min_samples, self.max_samples = 20, 100

    # time

    def pass_time(self, now: int) -> None:
        for moment in range(self.now // 1_000_000 * 1_000_000 + 1_000_000, now + 1, 1_000_000):
            self._pass_to(moment)
        self._pass_to(now)

    def _pass_to(self, now: int) -> None:
        former, self.now = self.now, max(self.now, now)
        for reservation in self.reservations.values():
            if reservation["expires"] <= self.now:
                reservation["open"] = False
        for name in [name for name, reservation in self.reservations.items()
                     if reservation["expires"] + 86_400_000_000 <= self.now]:  # fmt: skip
            del self.reservations[name]
        for lease in self.leases.values():
            if lease["expires"] <= self.now:
                lease["charges"] = dict.fromkeys(lease["charges"], 0)
        for name in [name for name, lease in self.leases.items() if lease["expires"] + 86_400_000_000 <= self.now]:
            del self.leases[name]
        self._rearm(former)

    def _rearm(self, former: int) -> None:
        for (name, key), fired in self.fired.items():
            limit = self.limits(name).get(key)
            is_next = limit is not None and bucket_of(limit["window"], former) != bucket_of(limit["window"], self.now)
            if limit is not None and is_next:
                used = self.used(name, limit)
                self.fired[name, key] = {x for x in fired if not used * 1000 < x * limit["amount"] * 9}

    # the tree

    def path(self, name: str | None) -> list[str]:
        return [] if name is None or name not in self.grants else [name, *self.path(self.grants[name]["parent"])]

    def why_stopped(self, name: str, time: int) -> str | None:
        for above in self.path(name):
            grant = self.grants[above]
            if grant["revoked"] is not None and time >= grant["revoked"]:
                return "revoked"
            if time < grant["starts"]:
                return "not started"
            if grant["expires"] is not None and time >= grant["expires"]:
                return "expired"
        return None

    def postures(self, name: str, time: int) -> list[dict[str, Any]]:
        return [posture for posture in self.grants[name]["postures"] if time < posture["until"]]

    def why_outside(self, name: str, call: dict[str, str] | None, time: int) -> str | None:
        if (reason := self.why_stopped(name, time)) is not None:
            return reason
        for above in self.path(name):
            if self.grants[above]["paused"] or any(posture["paused"] for posture in self.postures(above, time)):
                return "paused"
        for above in self.path(name):
            for allow in [self.grants[above]["allow"], *(posture["allow"] for posture in self.postures(above, time))]:
                if call is not None and any(call.get(dimension) not in names for dimension, names in allow.items()):
                    return "outside"
        return None

    def limits(self, name: str) -> dict[str, dict[str, Any]]:
        limits = dict(self.grants[name]["limits"])
        for posture in self.postures(name, self.now):
            for key, limit in posture["limits"].items():
                if key not in limits or limit["amount"] < limits[key]["amount"]:
                    limits[key] = limit
        return limits

    def create(self, name: str, grant: dict[str, Any], is_delegated: bool) -> bool:
        path = self.path(grant["parent"])
        if name in self.grants or (grant["parent"] is not None and not path) or len(path) >= 8:
            return False
        if grant["expires"] is not None and grant["expires"] <= self.now:
            return False
        if path and self.why_stopped(path[0], self.now) is not None:
            return False
        if not all(self.is_within(grant, self.grants[above]) for above in path):
            return False
        if not self.has_room_for_floors(name, grant):
            return False
        if is_delegated:
            if not path or not self.grants[path[0]]["delegable"]:
                return False
            for above in path:
                for key, limit in self.limits(above).items():
                    is_bound = key in grant["limits"] and limit["window"] == "total" and limit["at_limit"] != "warn"
                    if is_bound and grant["limits"][key]["amount"] > self.left(above, limit, path):
                        return False
        self.grants[name] = grant | {"starts": self.now, "revoked": None, "paused": False, "postures": []}
        return True

    def is_within(self, grant: dict[str, Any], above: dict[str, Any]) -> bool:
        for dimension, names in grant["allow"].items():
            if not set(names) <= set(above["allow"].get(dimension, names)):
                return False
        if grant["expires"] is not None and above["expires"] is not None and grant["expires"] > above["expires"]:
            return False
        return all(
            limit["amount"] <= above["limits"][key]["amount"]
            for key, limit in grant["limits"].items() if key in above["limits"]
        )  # fmt: skip

    def narrow(self, name: str, change: dict[str, Any]) -> bool:
        grant = self.grants.get(name)
        if grant is None or grant["revoked"] is not None:
            return False
        for dimension, names in change["allow"].items():
            if not set(names) <= set(grant["allow"].get(dimension, names)):
                return False
        for key, limit in change["limits"].items():
            former = grant["limits"].get(key, limit | {"floor": 0, "lend": 0})
            if limit["floor"] > former["floor"] or guarantee_of(limit) > guarantee_of(former):
                return False
            if change["until"] is None and sum(self.floors(name, key).values()) > limit["amount"]:
                return False
            if limit["amount"] > former["amount"] or STRICT.index(limit["at_limit"]) < STRICT.index(former["at_limit"]):
                return False
        if change["until"] is not None:
            if change["until"] <= self.now or len(self.postures(name, self.now)) >= 16:
                return False
            grant["postures"].append(change)
        else:
            grant["allow"] = grant["allow"] | change["allow"]
            grant["limits"] = grant["limits"] | change["limits"]
            grant["paused"] = grant["paused"] or change["paused"]
        return True

    def extend(self, name: str, change: dict[str, Any]) -> bool:
        grant = self.grants.get(name)
        if grant is None or grant["revoked"] is not None:
            return False
        path = self.path(name)[1:]
        if path and self.why_stopped(path[0], self.now) is not None:
            return False
        for dimension, names in change["allow"].items():
            if dimension in grant["allow"] and not set(grant["allow"][dimension]) <= set(names):
                return False
            if dimension not in grant["allow"]:
                return False
        for key, limit in change["limits"].items():
            if key not in grant["limits"] or limit["amount"] < grant["limits"][key]["amount"]:
                return False
            former = grant["limits"][key]
            if limit["floor"] < former["floor"] or guarantee_of(limit) < guarantee_of(former):
                return False
        wider = grant | {
            "allow": grant["allow"] | change["allow"], "limits": grant["limits"] | change["limits"],
            "paused": grant["paused"] and not change["unpause"],
        }  # fmt: skip
        if not all(self.is_within(wider, self.grants[above]) for above in path):
            return False
        if not self.has_room_for_floors(name, wider):
            return False
        self.grants[name] = wider
        return True

    def revoke(self, name: str) -> bool:
        if name not in self.grants or self.grants[name]["revoked"] is not None:
            return False
        self.grants[name]["revoked"] = self.now
        return True

    # sums

    def used(self, name: str, limit: dict[str, Any]) -> int:
        return self.used_at(name, limit, bucket_of(limit["window"], self.now))

    def used_at(self, name: str, limit: dict[str, Any], bucket: int) -> int:
        span = span_of(limit["window"])
        return sum(
            fact["amount"] for fact in self.facts
            if (fact["grant"], fact["key"]) == (name, limit["key"])
            and bucket - span < bucket_of(limit["window"], fact["time"]) <= bucket
        )  # fmt: skip

    def committed(self, name: str, key: str) -> int:
        reserved = sum(
            amount for reservation in self.reservations.values() if reservation["open"]
            for place, amount in reservation["charges"].items() if place == (name, key)
        )  # fmt: skip
        leased = sum(lease["charges"].get((name, key), 0) for lease in self.leases.values())
        return int(reserved + leased)

    def total(self, name: str, limit: dict[str, Any], time: int | None = None) -> int:
        bucket = bucket_of(limit["window"], self.now if time is None else time)
        return self.used_at(name, limit, bucket) + self.committed(name, limit["key"])

    # floors

    def floors(self, parent: str, key: str) -> dict[str, int]:
        """Of each child that is not over: its floor."""
        return {
            name: grant["limits"][key]["floor"] for name, grant in self.grants.items()
            if grant["parent"] == parent and key in grant["limits"] and grant["revoked"] is None
            and (grant["expires"] is None or self.now < grant["expires"])
        }  # fmt: skip

    def has_room_for_floors(self, name: str, grant: dict[str, Any]) -> bool:
        for key, limit in grant["limits"].items():
            if limit["floor"]:
                above = self.grants[grant["parent"]]["limits"].get(key) if grant["parent"] else None
                if above is None or above["at_limit"] == "warn":
                    return False
                floors = self.floors(grant["parent"], key) | {name: limit["floor"]}
                if sum(floors.values()) > above["amount"]:
                    return False
        return True

    def kept(self, parent: str, limit: dict[str, Any], charged: list[str], time: int | None = None) -> int:
        """What a limit keeps for children to which a call is not charged, in the window that ends at a time."""
        total = 0
        for name in self.floors(parent, limit["key"]) if limit["at_limit"] != "warn" else ():
            lists = [self.grants[name]["limits"], *(posture["limits"] for posture in self.postures(name, self.now))]
            guarantee = min(guarantee_of(limits[limit["key"]]) for limits in lists if limit["key"] in limits)
            if name not in charged and self.grants[name]["starts"] <= self.now:
                total += max(0, guarantee - self.total(name, limit, time))
        return total

    def left(self, name: str, limit: dict[str, Any], charged: list[str], time: int | None = None) -> int:
        return int(limit["amount"] - self.total(name, limit, time) - self.kept(name, limit, charged, time))

    # questions

    def holdings(self, scopes: dict[str, str]) -> list[list[str]]:
        dimensions = sorted({grant["dimension"] for grant in self.grants.values()})
        groups = [
            [name for name, grant in self.grants.items()
             if grant["dimension"] == dimension and grant["scope"] == scopes.get(dimension)]
            for dimension in dimensions
        ]  # fmt: skip
        return [group for group in groups if group]

    def decide(self, admission: str, scopes: dict[str, str], call: dict[str, str], named: str | None, expires: int,
               prices: dict[str, dict[str, int]], quantile: float | None = None) -> dict[str, Any]:  # fmt: skip
        if admission in self.reservations or admission in self.leases:
            return {"answer": "deny", "reason": "duplicate"}
        outcome = self._try_all(scopes, call, named, prices[call["models"]], quantile)
        if "refusals" in outcome and all(refusal["answer"] == "downgrade" for refusal in outcome["refusals"]):
            for cheaper in dict.fromkeys(refusal["downgrade_to"] for refusal in outcome["refusals"]):
                second = self._try_all(scopes, call | {"models": cheaper}, named, prices[cheaper], quantile)
                if "refusals" not in second:
                    return self._reserve(admission, "downgrade", second, expires)
            answer = "deny"
        elif "refusals" in outcome:
            answer = max((refusal["answer"] for refusal in outcome["refusals"]), key=STRICT.index)
        else:
            return self._reserve(admission, "allow", outcome, expires)
        return {"answer": answer}

    def _reserve(self, admission: str, answer: str, outcome: dict[str, Any], expires: int) -> dict[str, Any]:
        self.reservations[admission] = {
            "charges": outcome["charges"], "admitted": self.now, "expires": expires, "open": True,
            "path": outcome["path"], "basis": outcome["basis"], "grants": outcome["grants"],
        }  # fmt: skip
        return {"answer": answer, "lefts": outcome["lefts"], "grants": outcome["grants"], "charges": outcome["charges"]}

    def estimate(self, name: str, model: str, price: dict[str, int], quantile: float | None) -> dict[str, int]:
        history = self.histories.get((name, model), [])[-self.max_samples :]
        if quantile is None or len(history) < self.min_samples:
            return price
        rank = min(len(history), math.ceil(quantile * (len(history) + 1)))
        return price | {
            meter: math.ceil(price[meter] * sorted(call[meter] for call in history)[rank - 1] / 1_000_000)
            for meter in ("billed", "tokens")
        }

    def learn(self, reservation: dict[str, Any], actual: dict[str, int]) -> None:
        if reservation["basis"] is not None:
            model, price = reservation["basis"]
            shares = {meter: math.ceil(min(1_000_000, actual[meter] * 1_000_000 / price[meter])) for meter in price}
            for name in reservation["grants"]:
                self.histories.setdefault((name, model), []).append(shares)

    def _try_all(self, scopes: dict[str, str], call: dict[str, str], named: str | None, price: dict[str, int],
                 quantile: float | None) -> dict[str, Any]:  # fmt: skip
        grants, refusals = [], []
        charges: dict[tuple[str, str], int] = {}
        lefts: dict[tuple[str, str], int] = {}
        path: dict[str, None] = {}
        groups = [[named] if named in names else names for names in self.holdings(scopes)]
        firsts = [
            next((self.path(name) for name in names if self.why_outside(name, call, self.now) is None), [])
            for names in groups
        ]
        for number, names in enumerate(groups):
            others = [name for place, first in enumerate(firsts) for name in first if place != number]
            outcomes = [
                self._try_grant(name, call, self.estimate(name, call["models"], price, quantile), others)
                for name in names
            ]
            fitting = [outcome for outcome in outcomes if not outcome["refusals"]]
            if fitting:
                grants.append(fitting[0]["name"])
                for place, amount in fitting[0]["charges"].items():
                    charges[place] = max(charges.get(place, 0), amount)
                    lefts[place] = min(lefts.get(place, 10**9), fitting[0]["lefts"][place])
                path |= dict.fromkeys(self.path(fitting[0]["name"]))
            else:
                refusals.append(min((outcome["worst"] for outcome in outcomes), key=lambda worst: worst["rank"]))
        if named is not None and not refusals and named not in grants:
            refusals.append({"answer": "deny"})
        if refusals:
            return {"refusals": refusals}
        basis = None if quantile is None else (call["models"], price)
        return {"grants": grants, "charges": charges, "path": list(path), "basis": basis, "lefts": lefts}

    def _try_grant(self, name: str, call: dict[str, str], price: dict[str, int], others: list[str]) -> dict[str, Any]:
        reason = self.why_outside(name, call, self.now)
        if reason is not None:
            worst: dict[str, Any] | None = {"answer": "deny", "rank": (3, True, 1)}
            return {"name": name, "refusals": [reason], "worst": worst, "charges": {}}
        refusals: list[dict[str, Any]] = []
        charges, lefts = {}, {}
        charged = self.path(name) + others
        for above in self.path(name):
            for key, limit in self.limits(above).items():
                amount = price[limit["meter"]]
                charges[above, key] = amount
                left = self.left(above, limit, charged)
                lefts[above, key] = max(0, left - amount)
                if amount > left and limit["at_limit"] != "warn":
                    is_contended, is_possible = self._why_full(above, limit, charged, amount)
                    is_retryable = is_possible and (is_contended or limit["at_limit"] == "throttle")
                    rank = (STRICT.index(limit["at_limit"]), not is_retryable, 0)
                    refusals.append({"answer": limit["at_limit"], "rank": rank, "downgrade_to": limit["downgrade_to"]})
        worst = max(refusals, key=lambda refusal: refusal["rank"]) if refusals else None
        return {"name": name, "refusals": refusals, "worst": worst, "charges": charges, "lefts": lefts}

    def _why_full(self, name: str, limit: dict[str, Any], charged: list[str], amount: int) -> tuple[bool, bool]:
        """Whether an amount would fit without all reservations and leases, and whether it fits an empty window."""
        twin = copy.copy(self)
        twin.reservations, twin.leases = {}, {}
        is_contended = amount <= twin.left(name, limit, charged)
        twin.facts = []
        return is_contended, amount <= twin.left(name, limit, charged)

    def lease(self, lease: str, scopes: dict[str, str], amounts: dict[str, int], expires: int) -> dict[str, int] | None:
        if lease in self.leases or lease in self.reservations:
            return None
        paths = []
        groups = self.holdings(scopes)
        firsts = [
            next((self.path(name) for name in names if self.why_outside(name, None, self.now) is None), [])
            for names in groups
        ]
        for number, names in enumerate(groups):
            others = [name for place, first in enumerate(firsts) for name in first if place != number]
            able = [name for name in names if self._can_lease(name, others)]
            if not able:
                return None
            paths += [(self.path(able[0]) + others, name) for name in self.path(able[0])]
        if not paths:
            return None
        amounts, charges = dict(amounts), {}
        for charged, name in paths:
            for key, limit in self.limits(name).items():
                if limit["at_limit"] != "warn":
                    left = self.left(name, limit, charged)
                    amounts[limit["meter"]] = min(amounts[limit["meter"]], (left + 3) // 4)
                    charges[name, key] = limit["meter"]
        if any(amounts[meter] < 1 for meter in charges.values()):
            return None
        self.leases[lease] = {
            "charges": {place: amounts[meter] for place, meter in charges.items()}, "expires": expires,
            "path": list(dict.fromkeys(name for _, name in paths)), "leased": self.now,
        }  # fmt: skip
        return amounts

    def _can_lease(self, name: str, others: list[str]) -> bool:
        if self.why_outside(name, None, self.now) is not None:
            return False
        for above in self.path(name):
            for limit in self.limits(above).values():
                if limit["at_limit"] != "warn" and self.left(above, limit, self.path(name) + others) < 1:
                    return False
        return True

    def give_back(self, lease: str, unused: dict[str, int]) -> None:
        if lease in self.leases:
            charges = self.leases[lease]["charges"]
            for (name, key), amount in charges.items():
                charges[name, key] = amount - min(amount, unused.get(key.split("/")[0], 0))

    def release(self, admission: str) -> bool:
        if admission not in self.reservations or not self.reservations[admission]["open"]:
            return False
        del self.reservations[admission]
        return True

    # calls

    def settle(self, position: int, time: int, scopes: dict[str, str], call: dict[str, str], named: str | None,
               admission: str | None, price: dict[str, int]) -> dict[str, Any]:  # fmt: skip
        way, path, earliest, lease = "unasked", [], 0, None
        if admission in self.reservations:
            reservation = self.reservations[admission]
            way = "settled" if reservation["open"] else "late"
            path, earliest = reservation["path"], reservation["admitted"]
        elif admission in self.leases:
            lease = self.leases[admission]
            way = "leased" if self.now < lease["expires"] else "late"
            path, earliest = lease["path"], lease["leased"]
        else:
            time = min(time, self.now)
            for names in self.holdings(scopes):
                for name in [named] if named in names else names:
                    if self.why_outside(name, call, time) is None:
                        path = list(dict.fromkeys([*path, *self.path(name)]))
                        break
        time = min(max(time, earliest), self.now)
        overshoot = {}
        before = {
            (name, key): max(0, self.total(name, limit) - limit["amount"])
            for name in path for key, limit in self.limits(name).items()
        }  # fmt: skip
        reservation = self.reservations.pop(str(admission), {})
        if reservation:
            self.learn(reservation, price)
        crossed = {}
        for name in path:
            for key, limit in self.limits(name).items():
                amount, span = price[limit["meter"]], span_of(limit["window"])
                if amount:
                    self.facts.append({"position": position, "grant": name, "key": key, "amount": amount, "time": time})
                if lease is not None and (name, key) in lease["charges"]:
                    lease["charges"][name, key] -= min(amount, lease["charges"][name, key])
                if amount and bucket_of(limit["window"], time) > bucket_of(limit["window"], self.now) - 2 * span:
                    used = self.used(name, limit)
                    fired = self.fired.setdefault((name, key), set())
                    new = {x for x in (50, 80, 100) if used * 100 >= x * limit["amount"]} - fired
                    fired |= new
                    if new:
                        crossed[name, key] = new
        for name in path:
            for key, limit in self.limits(name).items():
                growth = max(0, self.total(name, limit) - limit["amount"]) - before[name, key]
                if growth > 0 and limit["at_limit"] != "warn":
                    overshoot[name, key] = growth
        return {"way": way, "path": path, "overshoot": overshoot, "crossed": crossed}

    def cross(self, name: str) -> None:
        for key, limit in self.limits(name).items():
            used = self.used(name, limit)
            fired = {x for x in self.fired.get((name, key), set()) if not used * 1000 < x * limit["amount"] * 9}
            self.fired[name, key] = fired | {x for x in (50, 80, 100) if used * 100 >= x * limit["amount"]}

    def reverse(self, position: int) -> None:
        self.facts = [fact for fact in self.facts if fact["position"] != position]
