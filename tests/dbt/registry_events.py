"""Forty teams, keys that many share, agents with call trees, tags and outcomes: their events, from a seed."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

from tallystick import Control, ControlEvent, Observation, ObservationEvent
from tests.dashboards.feed import call
from tests.streams.build import correction

START = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=90)
DAYS = 80
PICO_A_TOKEN = 2_500_000
"""10^-12 dollars for an input token of gpt-4o."""
TEAMS = [f"t{number}" for number in range(40)]
OWNED = {
    "key": [f"fp_{number:024x}" for number in range(12)],
    "agent": [f"agent-{number}" for number in range(10)],
    "service": ["gateway", "batch"],
    "feature": ["chat", "search"],
    "project": ["core", "labs"],
    "provider_account": ["org-1", "org-2"],
}
FIELDS = {"service": "source", **{name: name for name in OWNED if name != "service"}}


class Organization:
    """Decisions about an organization, and calls of it, from a seed."""

    def __init__(self, seed: str) -> None:
        self.chance = random.Random(seed)
        self.number = 0
        self.calls: list[tuple[str, datetime, dict[str, Any]]] = []
        self.reversed: set[str] = set()
        self.outcomes: list[tuple[str, int]] = []

    def declare(self, day: float, team: str, parent: str | None) -> bytes:
        body = {"dimension": "team", "scope": team, "parent": parent, "head_count": self.chance.choice((None, 3))}
        body["cost_center"] = f"CC-{team}" if self.chance.random() < 0.3 else None
        return self._decide("scope.declared", day, body)

    def assign(self, day: float, dimension: str, scope: str, team: str | None) -> bytes:
        return self._decide("scope.assigned", day, {"dimension": dimension, "scope": scope, "team": team})

    def end(self, day: float, team: str) -> bytes:
        return self._decide("scope.ended", day, {"dimension": "team", "scope": team})

    def make_tree(self, day: float, count: int) -> list[bytes]:
        """Move so many teams; a team is part of one before it, so that no circle comes of it."""
        return [
            self.declare(day, team, self.chance.choice(TEAMS[: TEAMS.index(team)]) if team != "t0" else None)
            for team in self.chance.sample(TEAMS, count)
        ]

    def assign_some(self, day: float, count: int) -> list[bytes]:
        scopes = [(dimension, scope) for dimension, names in OWNED.items() for scope in names]
        return [self.assign(day, *self.chance.choice(scopes), self.chance.choice((*TEAMS, None))) for _ in range(count)]

    def make_calls(self, count: int) -> list[bytes]:
        lines = []
        for _ in range(count):
            time = START + timedelta(seconds=self.chance.randrange(DAYS * 86400))
            fields: dict[str, Any] = {
                FIELDS[name]: self.chance.choice(values) for name, values in OWNED.items() if self.chance.random() < 0.5
            }
            fields |= {"team": self.chance.choice((*TEAMS, "never declared"))} if self.chance.random() < 0.3 else {}
            self.number += 1
            source, id = fields.pop("source", "elsewhere"), f"c{self.number}"
            fields |= self._choose_place()
            tokens = {"input": self.chance.choice((1, 999_999, 123_456))}
            lines.append(call(id, time, source, model="gpt-4o", tokens=tokens, **fields))
            self.calls.append((id, time, fields | {"service": source, "tokens": tokens["input"]}))
        return lines

    def _choose_place(self) -> dict[str, Any]:
        """Choose a parent before or after it, one that never comes, or none; tags, and a retry."""
        fields: dict[str, Any] = {}
        if self.chance.random() < 0.8:
            number = self.number + self.chance.choice((-1, -1, -1, -2, -7, 2, 10_000))
            fields["parent_call"] = f"c{number}"
        if self.chance.random() < 0.4:
            fields["tags"] = {self.chance.choice(("ring", "epic")): self.chance.choice(("a", "b"))}
        return fields | ({"attempt": 2} if self.chance.random() < 0.1 else {})

    def reverse(self, index: int) -> bytes:
        """Take a call back."""
        id, _, fields = self.calls[index]
        self.reversed.add(id)
        return correction("undo", id, source=fields["service"])

    def judge_some(self, count: int) -> list[bytes]:
        """Say of some calls, in order, if they solved anything; of some more than once."""
        lines = []
        for number in range(count):
            id, time, fields = self.chance.choice(self.calls)
            value = self.chance.choice((0, 1))
            self.outcomes.append((id, value))
            data = Observation.model_validate(
                {"of": {"source": fields["service"], "id": id}, "metric": "solved", "value": str(value)}, strict=False
            )
            lines.append(ObservationEvent(id=f"o{number}", source="people", time=time, data=data).canonical())
        return lines

    def _decide(self, control_type: str, day: float, body: dict[str, Any]) -> bytes:
        self.number += 1
        body = {name: value for name, value in body.items() if value is not None}
        effective_at = (START + timedelta(days=day)).isoformat()
        data = Control.model_validate(
            {"control": control_type, "effective_at": effective_at, "body": body}, strict=False
        )
        return ControlEvent(id=f"d{self.number}", source="people", time=datetime.now(UTC), data=data).canonical()
