"""Grants, the slow and obvious way: every fact is kept, and every question adds up all of them.

It shares no code with the folds. Sets are Python's, a window is a filter over facts, and time passes bucket by bucket.
"""

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


class SlowModel:
    def __init__(self) -> None:
        self.now = 0
        self.grants: dict[str, dict[str, Any]] = {}
        self.facts: list[dict[str, Any]] = []
        self.reservations: dict[str, dict[str, Any]] = {}
        self.leases: dict[str, dict[str, Any]] = {}
        self.fired: dict[tuple[str, str], set[int]] = {}

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

    def why_outside(self, name: str, call: dict[str, str], time: int) -> str | None:
        if (reason := self.why_stopped(name, time)) is not None:
            return reason
        for above in self.path(name):
            if self.grants[above]["paused"] or any(posture["paused"] for posture in self.postures(above, time)):
                return "paused"
        for above in self.path(name):
            for allow in [self.grants[above]["allow"], *(posture["allow"] for posture in self.postures(above, time))]:
                if any(call.get(dimension) not in names for dimension, names in allow.items()):
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
        if is_delegated:
            if not path or not self.grants[path[0]]["delegable"]:
                return False
            for above in path:
                for key, limit in self.limits(above).items():
                    is_bound = key in grant["limits"] and limit["window"] == "total" and limit["at_limit"] != "warn"
                    if is_bound and grant["limits"][key]["amount"] > limit["amount"] - self.total(above, limit):
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
            former = grant["limits"].get(key, limit)
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
        wider = grant | {
            "allow": grant["allow"] | change["allow"], "limits": grant["limits"] | change["limits"],
            "paused": grant["paused"] and not change["unpause"],
        }  # fmt: skip
        if not all(self.is_within(wider, self.grants[above]) for above in path):
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

    def total(self, name: str, limit: dict[str, Any]) -> int:
        return self.used(name, limit) + self.committed(name, limit["key"])

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
               prices: dict[str, dict[str, int]]) -> dict[str, Any]:  # fmt: skip
        if admission in self.reservations or admission in self.leases:
            return {"answer": "deny", "reason": "duplicate"}
        outcome = self._try_all(scopes, call, named, prices[call["models"]])
        if "refusals" in outcome and all(refusal["answer"] == "downgrade" for refusal in outcome["refusals"]):
            for cheaper in dict.fromkeys(refusal["downgrade_to"] for refusal in outcome["refusals"]):
                second = self._try_all(scopes, call | {"models": cheaper}, named, prices[cheaper])
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
            "path": outcome["path"],
        }  # fmt: skip
        return {"answer": answer, "grants": outcome["grants"], "charges": outcome["charges"]}

    def _try_all(self, scopes: dict[str, str], call: dict[str, str], named: str | None, price: dict[str, int]
                 ) -> dict[str, Any]:  # fmt: skip
        grants, refusals = [], []
        charges: dict[tuple[str, str], int] = {}
        path: dict[str, None] = {}
        for names in self.holdings(scopes):
            outcomes = [self._try_grant(name, call, price) for name in ([named] if named in names else names)]
            fitting = [outcome for outcome in outcomes if not outcome["refusals"]]
            if fitting:
                grants.append(fitting[0]["name"])
                charges |= fitting[0]["charges"]
                path |= dict.fromkeys(self.path(fitting[0]["name"]))
            else:
                refusals.append(min((outcome["worst"] for outcome in outcomes), key=lambda worst: worst["rank"]))
        if named is not None and not refusals and named not in grants:
            refusals.append({"answer": "deny"})
        return {"refusals": refusals} if refusals else {"grants": grants, "charges": charges, "path": list(path)}

    def _try_grant(self, name: str, call: dict[str, str], price: dict[str, int]) -> dict[str, Any]:
        reason = self.why_outside(name, call, self.now)
        if reason is not None:
            worst: dict[str, Any] | None = {"answer": "deny", "rank": (3, True, 1)}
            return {"name": name, "refusals": [reason], "worst": worst, "charges": {}}
        refusals: list[dict[str, Any]] = []
        charges = {}
        for above in self.path(name):
            for key, limit in self.limits(above).items():
                amount = price[limit["meter"]]
                charges[above, key] = amount
                if self.total(above, limit) + amount > limit["amount"] and limit["at_limit"] != "warn":
                    is_contended = self.used(above, limit) + amount <= limit["amount"]
                    is_retryable = amount <= limit["amount"] and (is_contended or limit["at_limit"] == "throttle")
                    rank = (STRICT.index(limit["at_limit"]), not is_retryable, 0)
                    refusals.append({"answer": limit["at_limit"], "rank": rank, "downgrade_to": limit["downgrade_to"]})
        worst = max(refusals, key=lambda refusal: refusal["rank"]) if refusals else None
        return {"name": name, "refusals": refusals, "worst": worst, "charges": charges}

    def lease(self, lease: str, scopes: dict[str, str], amounts: dict[str, int], expires: int) -> dict[str, int] | None:
        if lease in self.leases or lease in self.reservations:
            return None
        paths = []
        for names in self.holdings(scopes):
            able = [name for name in names if self._can_lease(name)]
            if not able:
                return None
            paths += self.path(able[0])
        if not paths:
            return None
        amounts, charges = dict(amounts), {}
        for name in dict.fromkeys(paths):
            for key, limit in self.limits(name).items():
                if limit["at_limit"] != "warn":
                    left = limit["amount"] - self.total(name, limit)
                    amounts[limit["meter"]] = min(amounts[limit["meter"]], (left + 3) // 4)
                    charges[name, key] = limit["meter"]
        if any(amounts[meter] < 1 for meter in charges.values()):
            return None
        self.leases[lease] = {
            "charges": {place: amounts[meter] for place, meter in charges.items()}, "expires": expires,
            "path": list(dict.fromkeys(paths)), "leased": self.now,
        }  # fmt: skip
        return amounts

    def _can_lease(self, name: str) -> bool:
        if self.why_stopped(name, self.now) is not None:
            return False
        for above in self.path(name):
            if self.grants[above]["paused"] or any(posture["paused"] for posture in self.postures(above, self.now)):
                return False
            for limit in self.limits(above).values():
                if limit["at_limit"] != "warn" and limit["amount"] - self.total(above, limit) < 1:
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
        self.reservations.pop(str(admission), None)
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
