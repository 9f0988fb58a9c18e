"""A recorded log of everything at once: sixteen organizations, repeats, conflicts, revisions, corrections, releases,
acceptances, late facts and held ones, lines that are no events, late prices, aliases, contracts with commitments,
restatements, closed months, limits that change, grants, admissions and leases, ticks, and silences in which things fall
due."""

import json
import random
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from ledger.log import PARTITIONS, Record, partition_of
from ledger.organizations import PLATFORM
from ledger.pricing.contract import pack_contract
from ledger.pricing.contract_file import parse_contract
from ledger.pricing.price_book import pack_book
from ledger.pricing.price_book_file import parse_book
from tallystick import ANY_EVENT, Inference, InferenceEvent, TickEvent
from tests.streams.build import DIGEST, PACKED, START, START_MS, adopt, budget, control, correction

LATER = """
name: later
currency: USD
providers: [{id: acme, models: [{id: late, prices: [{rates: {input: 3, output: 15, cache_read: 0.3}}]}]}]
"""
LATER_DIGEST, LATER_PACKED = pack_book(parse_book(LATER, "the test"))
CONTRACT = """
name: ours
currency: USD
terms: [{model: m1, discount: 7.5}]
commitments: [{name: units, model: m1, period: day, units: 3000000, rates: {input: 0.5, output: 5}}]
"""
CONTRACTS = dict(
    pack_contract(parse_contract(text, "the test"))
    for text in (CONTRACT, CONTRACT.replace("period: day", "period: hour"))
)
DOCUMENTS = {DIGEST: PACKED, LATER_DIGEST: LATER_PACKED} | CONTRACTS
ORGANIZATIONS = [f"org-{number}" for number in range(16)]
HOME = partition_of(PLATFORM)


class Mixture:
    """Records of every partition, from a seed. A partition's times never run backward."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._grants = GrantMixture(seed)
        self._ends = [0] * PARTITIONS
        self._now_ms = START_MS
        self._lines: dict[str, list[bytes]] = {organization: [] for organization in ORGANIZATIONS}
        self._relayed = ""
        self._place = 0, 0
        self._conflicts: dict[str, list[tuple[dict[str, Any], tuple[int, int]]]] = {}

    def records(self, events: int) -> Iterator[Record]:
        yield from self._relay(adopt())
        for organization in ORGANIZATIONS:
            yield self._record(organization, [budget(f"{organization}-all", "40", 86_400, organization=organization)])
            yield self._record(organization, self._grants.create(organization))
        event_count = 0
        is_later_adopted = False
        while event_count < events:
            organization = self._chance.choice(ORGANIZATIONS)
            lines = []
            for index in range(self._chance.randint(1, self._chance.choice((8, 8, 8, 300)))):
                self._place = self._ends[partition_of(organization)], index
                lines.append(self._line(organization, event_count + index))
            event_count += len(lines)
            yield self._record(organization, lines)
            if self._chance.random() < 0.05:
                scope = {"team": f"team-{self._chance.randrange(3)}"}
                limit = str(self._chance.randint(1, 30))
                yield self._record(organization, [budget(f"{organization}-{event_count}", limit, 3600, **scope)])
            requests = self._grants.list_requests(organization, event_count, (self._now_ms - START_MS) / 1000)
            if requests:
                yield self._record(organization, requests)
            if self._chance.random() < 0.05:
                yield self._tick(organization, event_count)
            if self._chance.random() < 0.2:
                yield self._restate(organization, event_count)
            if self._chance.random() < 0.1:
                close = control(f"close-{event_count}", "period.closed", self._ahead_s(), month="2025-12")
                yield self._record(organization, [close])
            if self._chance.random() < 0.1:
                yield self._record(organization, [self._sign(event_count)])
            if event_count > events // 2 and not is_later_adopted:
                is_later_adopted = True
                target = control("alias", "model.aliased", name="nobody's", priced_provider="acme", priced_model="m1")
                yield from self._relay(target)
                yield from self._relay(control("later", "price_book.adopted", name="later", document=LATER_DIGEST))

    def _sign(self, number: int) -> bytes:
        """A contract that is signed, again in another form, or ended."""
        document = self._chance.choice((*CONTRACTS, None))
        if document is None:
            return control(f"end-{number}", "contract.ended", self._ahead_s(), name="ours")
        return control(f"sign-{number}", "contract.signed", self._ahead_s(), name="ours", document=document)

    def _line(self, organization: str, number: int) -> bytes:
        before = self._lines[organization]
        share = self._chance.random()
        if before and share < 0.05:
            return self._chance.choice(before)  # a repeat
        if before and share < 0.08:
            event = json.loads(self._chance.choice(before))
            event["data"]["status"] = "error"  # a conflict
            self._conflicts.setdefault(organization, []).append((event, self._place))
            return json.dumps(event, separators=(",", ":")).encode()
        if before and share < 0.11:
            event = json.loads(self._chance.choice(before))
            event["data"] |= {"revision": self._chance.randint(1, 4), "latency_ms": number}
            event["data"]["tokens"] = {"input": self._chance.randrange(200_000)}
            return json.dumps(event, separators=(",", ":")).encode()
        if before and share < 0.14:
            return self._decision(organization, number)
        if before and share < 0.17:
            return self._correction(number, json.loads(self._chance.choice(before)))
        if share < 0.19:
            return self._chance.choice((b"{}", b'{"id":1}', b"no event", b"", b'{"type":"tallystick.inference.v1"}'))
        line = self._call(number)
        if self._chance.random() < 0.1 or b"reported_tokens" in line:
            before.append(line)
        return line

    def _correction(self, number: int, event: dict[str, Any]) -> bytes:
        replacement = None if self._chance.random() < 0.5 else {"model": "m1", "tokens": {"input": number}}
        at_s = (self._now_ms - START_MS) / 1000
        return correction(f"correction-{number}", event["id"], event["source"], at_s, replacement)

    def _decision(self, organization: str, number: int) -> bytes:
        """A release of some event, or the acceptance of a conflict."""
        event, accepted = json.loads(self._chance.choice(self._lines[organization])), None
        conflicts = self._conflicts.get(organization)
        if conflicts and self._chance.random() < 0.6:
            event, (offset, event_index) = self._chance.choice(conflicts)
            accepted = {"offset": offset, "event_index": event_index}
        data = {"action": "acceptance" if accepted else "release", "of": {"source": event["source"], "id": event["id"]}}
        data |= {"reason": "a test"} | ({"accepted": accepted} if accepted else {})
        time = START + timedelta(milliseconds=self._now_ms - START_MS)
        content: dict[str, Any] = {"id": f"decision-{number}", "source": "people", "type": "tallystick.correction.v1"}
        content |= {"time": time.isoformat(), "data": data}
        return ANY_EVENT.validate_python(content, strict=False).canonical()

    def _call(self, number: int) -> bytes:
        chance = self._chance
        shifts_s = (-3, -90, -5_000, -90_000, -900_000, 200, 330, 4_000)
        shift_s = chance.choices(shifts_s, (80, 10, 4, 2, 2, 3, 2, 1))[0]
        tokens = {"input": chance.randrange(200_000), "output": chance.randrange(40_000)}
        fields = {
            "model": chance.choice(("m1", "m1", "m2", "late", "nobody's")),
            "team": f"team-{chance.randrange(4)}",
            "session": f"session-{chance.randrange(40)}",
            "status": "ok",
            "tokens": tokens,
        }
        if chance.random() < 0.02:
            fields["reported_tokens"] = {"input": tokens["input"] + 1}
        if chance.random() < 0.5:
            fields |= {"tool": "grep", "tool_arguments_hash": chance.choice("ab"), "tool_result_hash": "r"}
        fields |= self._grants.name_admission()
        time = START + timedelta(milliseconds=self._now_ms - START_MS, seconds=shift_s + chance.random())
        data = Inference.model_validate(fields)
        return InferenceEvent(id=f"call-{number}", source="mixture", time=time, data=data).canonical()

    def _tick(self, organization: str, number: int) -> Record:
        time = START + timedelta(milliseconds=self._now_ms - START_MS)
        tick = TickEvent.model_validate_json(
            json.dumps({"source": "tally-streams", "id": f"tick-{number}", "time": time.isoformat()})
        )
        return self._append(partition_of(organization), PLATFORM, [tick.canonical()], {"channel": "streams"})

    def _restate(self, organization: str, number: int) -> Record:
        partition = partition_of(organization)
        end_offset = self._ends[partition]
        first_offset = max(0, end_offset - self._chance.choice((5, 40)))
        body = {"first_offset": first_offset, "end_offset": end_offset}
        if self._chance.random() < 0.2:
            body["end_offset"] += 1  # it reaches itself, and has no effect
        line = control(f"restate-{number}", "price.restated", self._ahead_s(), **body)
        return self._append(partition, PLATFORM, [line], {"channel": "restatement"})

    def _ahead_s(self) -> float:
        """The time of a decision, which is sometimes ahead of the log's."""
        return (self._now_ms - START_MS) / 1000 + self._chance.choice((0, 0, 0, 1_000))

    def _record(self, organization: str, lines: list[bytes]) -> Record:
        headers = {"channel": "mixture", "refused": str(self._chance.choice((0, 0, 0, 2)))}
        return self._append(partition_of(organization), organization, lines, headers)

    def _relay(self, line: bytes) -> Iterator[Record]:
        original = self._append(HOME, PLATFORM, [line], {"channel": "control"})
        name = f"{HOME}:{original.offset}"
        relay = {"channel": "control", "relay_of": name, "relay_after": self._relayed}
        yield original
        for partition in range(PARTITIONS):
            if partition != HOME:
                yield self._append(partition, PLATFORM, [line], relay)
        self._relayed = name

    def _append(self, partition: int, organization: str, lines: list[bytes], own_headers: dict[str, str]) -> Record:
        # Mostly soon, sometimes after a silence: then what fell due is told by whatever comes next.
        self._now_ms += self._chance.choices((10, 2_000, 60_000, 2_000_000), (50, 30, 15, 1))[0]
        offset = self._ends[partition]
        self._ends[partition] += 1
        headers = {"organization": organization, "principal": "test", "schema": "1", "refused": "0"} | own_headers
        return Record(partition, offset, self._now_ms, organization, headers, b"\n".join(lines))


class GrantMixture:
    """Grants and requests, with a chance of their own."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(f"grants {seed}")
        self._admissions: list[str] = []

    def create(self, organization: str) -> list[bytes]:
        """Return the grants of an organization: all of it, and three teams below."""
        day: dict[str, Any] = {"meter": "billed", "amount": 90, "currency": "USD", "window": {"calendar": "day"}}
        hour: dict[str, Any] = {"meter": "tokens", "amount": 60_000_000, "window": {"rolling_s": 3600}}
        everything: dict[str, Any] = {
            "grant": "all",
            "dimension": "organization",
            "scope": organization,
            "limits": [day, hour],
        }
        lines = [control(f"{organization}-grant", "grant.created", **everything)]
        for number in range(3):
            policy = ("assume_greatest", "tokens_only", "deny")[number]
            minute = hour | {"amount": 2_000_000, "window": {"rolling_s": 60}}
            limits = [day | {"amount": 60, "unknown_usage": policy}, minute]
            body: dict[str, Any] = {
                "grant": f"team-{number}",
                "parent": "all",
                "dimension": "team",
                "scope": f"team-{number}",
            }
            lines.append(control(f"{organization}-grant-{number}", "grant.created", **body, limits=limits))
        return lines

    def list_requests(self, organization: str, number: int, at_s: float) -> list[bytes]:
        """Return asks, releases, leases and changes of grants, at times."""
        chance = self._chance
        if chance.random() < 0.4:
            return []
        lines = []
        for place in range(chance.randint(1, 12)):
            id = f"{organization}-request-{number}-{place}"
            scopes = {"team": f"team-{chance.randrange(4)}"}
            share = chance.random()
            if share < 0.6:
                self._admissions.append(id)
                model = chance.choice(("m1", "m1", "late", "nobody's"))
                data: dict[str, Any] = scopes | {"model": model, "max_tokens": chance.randrange(40_000)}
                lines.append(self._request(id, "admission", at_s, data | {"input_tokens": chance.randrange(10_000)}))
            elif share < 0.7 and self._admissions:
                released = {"action": "release", "admission": chance.choice(self._admissions[-20:])}
                lines.append(self._request(id, "admission", at_s, released))
            elif share < 0.8:
                self._admissions.append(id)
                amounts = {"billed": chance.randint(1, 5), "currency": "USD", "tokens": 100_000, "ttl_s": 60}
                lines.append(self._request(id, "lease", at_s, scopes | amounts))
            elif share < 0.9 and self._admissions:
                unused = {"action": "return", "lease": chance.choice(self._admissions[-20:]), "tokens": 50_000}
                lines.append(self._request(id, "lease", at_s, unused))
            else:
                grant = f"team-{chance.randrange(3)}"
                narrowed: dict[str, Any] = {"grant": grant, "allow": {"models": ["m1"]}}
                until = (START + timedelta(seconds=at_s + 600)).isoformat()
                change: dict[str, Any] = chance.choice(({"until": until}, {"until": until, "paused": True}))
                lines.append(control(id, "grant.narrowed", at_s, **narrowed, **change))
        return lines

    def name_admission(self) -> dict[str, str]:
        """Return the field by which a call names one of the last admissions; mostly of none."""
        if not self._admissions or self._chance.random() < 0.8:
            return {}
        return {"admission": self._chance.choice(self._admissions[-10:])}

    def _request(self, id: str, kind: str, at_s: float, data: dict[str, Any]) -> bytes:
        time = (START + timedelta(seconds=at_s)).isoformat()
        event = {"id": id, "source": "gateway", "time": time, "type": f"tallystick.{kind}.v1", "data": data}
        return ANY_EVENT.validate_json(json.dumps(event)).canonical()
