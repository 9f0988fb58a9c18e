"""A ledger with more of everything than a table shows, and with a registry, for the tests of pages."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest

from ledger.settings import Settings
from tallystick import Control, ControlEvent, Observation, ObservationEvent, Target
from tests.dashboards.feed import BOOK, Feed, budget, call, loop
from tests.dashboards.server import warehouse
from tests.warehouse.plugin import InstallWarehouse
from warehouse.client import connect
from warehouse.rollups import build_rollups

TEAM_COUNT = 304
BUDGET_COUNT = 230
JUDGED_STEP = 4
"""Each fourth call of this week is judged, and each second of these is a success."""
MODELS = ("gpt-4o", "gpt-4o-mini", "claude-haiku-4-5")
PROVIDERS = {"gpt-4o": "openai", "gpt-4o-mini": "openai", "claude-haiku-4-5": "anthropic"}


class Crowd(NamedTuple):
    """The home, and the fields of the calls of this week, by which sums are checked."""

    settings: Settings
    now: datetime
    calls: list[dict[str, Any]]


@pytest.fixture(scope="session")
def crowd(tmp_path_factory: pytest.TempPathFactory, install_warehouse: InstallWarehouse) -> Iterator[Crowd]:
    """A ledger of 304 teams in a tree, and of one that spent $1,000 in the week before and nothing since; 230 budgets
    at their limits; 30 runaways; and a call of the year 2000."""
    now = datetime.now(UTC).replace(microsecond=0)
    with warehouse(install_warehouse(tmp_path_factory.mktemp("crowd")).home) as settings:
        feed = Feed(settings)
        feed.adopt("test", BOOK)
        feed.add(_declare_teams(), channel="control")
        feed.add([_limit(number) for number in range(BUDGET_COUNT)], channel="control")
        calls = [_build_call(number) for number in range(TEAM_COUNT)]
        hour = timedelta(hours=1)
        feed.add([
            call("old", datetime(2000, 1, 1, tzinfo=UTC), team="team-000", model="gpt-4o", tokens={"input": 1000}),
            call("fallen", now - 200 * hour, team="fallen", provider="openai", model="gpt-4o",
                 tokens={"input": 4 * 10**8}),
            *(call(f"b{number}", now - 180 * hour, **fields) for number, fields in enumerate(calls[::2])),
            *(call(f"n{number}", now - hour, **fields) for number, fields in enumerate(calls)),
        ])  # fmt: skip
        feed.add([_judge(number, now) for number in range(0, TEAM_COUNT, JUDGED_STEP)])
        for number in range(30):
            feed.add(
                loop(f"s-{number}", f"agent-{number:02}", 4, now - 170 * hour, then="read" if number % 3 else None)
            )
        build_rollups(connect(settings))
        yield Crowd(settings, now, calls)
        feed.close()


def _build_call(number: int) -> dict[str, Any]:
    model = MODELS[number % 3]
    return {
        "team": f"team-{number:03}", "provider": PROVIDERS[model], "model": model, "agent": f"agent-{number % 7}",
        "user": f"user-{number % 11}", "session": f"session-{number % 40}", "region": ("eu", "us")[number % 2],
        "purpose": ("production", "evaluation")[number % 2], "environment": "production",
        "status": ("ok", "error")[number % 9 == 0], "tokens": {"input": 1000 * (number + 1), "cache_read": 500},
        **({"tags": {"epic": f"EPIC-{number % 5}"}, "service_tier": "standard"} if number % 4 else {}),
    }  # fmt: skip


def _judge(number: int, now: datetime) -> bytes:
    """Say whether a call resolved what it was made for."""
    data = Observation(
        of=Target(source="gateway", id=f"n{number}"), metric="resolved", value=str(int(is_success(number)))
    )
    return ObservationEvent(id=f"judge {number}", source="people", time=now, data=data).canonical()


def is_success(number: int) -> bool:
    return number % (2 * JUDGED_STEP) == 0


def _declare_teams() -> Iterator[bytes]:
    """Declare four divisions, of which each has a fourth of the teams below it, from long ago on."""
    for division in range(4):
        yield _declare(f"division-{division}", cost_center=f"CC-{division}")
    for number in range(TEAM_COUNT):
        yield _declare(f"team-{number:03}", parent=f"division-{number % 4}")


def _declare(team: str, **body: str) -> bytes:
    fields = {
        "control": "scope.declared",
        "effective_at": "2000-01-01T00:00:00Z",
        "recorded_at": "2000-01-01T00:00:00Z",
    }
    data = Control.model_validate(fields | {"body": {"dimension": "team", "scope": team, **body}}, strict=False)
    return ControlEvent(id=f"declare {team}", source="people", time=datetime.now(UTC), data=data).canonical()


def _limit(number: int) -> bytes:
    return budget(f"l{number}", "team", f"team-{number:03}", "0.0001", window_s=14 * 86400)
