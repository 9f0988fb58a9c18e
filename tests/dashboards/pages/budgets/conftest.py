"""A ledger with more grants than a page shows, for the tests of the page Budgets."""

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pytest

from ledger.settings import Settings
from tallystick import ANY_EVENT
from tests.dashboards.feed import BOOK, MARKUP_NAME, ORGANIZATION, Feed, budget, call, control
from tests.dashboards.server import warehouse
from tests.warehouse.plugin import InstallWarehouse

SQUAD_COUNT, FULL_COUNT = 520, 30
ASK = {"provider": "openai", "model": "gpt-4o", "input_tokens": 0, "max_tokens": 100_000}
"""A dollar at most."""


@pytest.fixture(scope="session")
def granted(tmp_path_factory: pytest.TempPathFactory, install_warehouse: InstallWarehouse) -> Iterator[Settings]:
    """A warehouse with a tree of 523 grants and a budget: 30 squads without anything left, one grant that refuses, one
    that is paused, and a name that is markup."""
    home = install_warehouse(tmp_path_factory.mktemp("granted")).home
    with warehouse(home) as settings, closing(Feed(settings)) as feed:
        feed.adopt("test", BOOK)
        feed.add([*_give_grants(), budget("b", "team", "quiet", "5")], channel="control")
        now = datetime.now(UTC)
        squads = (f"squad-{number:03}" for number in range(FULL_COUNT))
        feed.add([call(f"c{squad}", now, project=squad, model="gpt-4o", tokens={"input": 400_000}) for squad in squads])
        asks = [_ask(f"ask-{number}", team="search") for number in range(15)]
        feed.add([*asks, _ask("wide", team="search", model="claude-haiku-4-5"), _ask("idle", team="growth")])
        feed.ahead_s = 16.0  # what changed within 15 s is reported then
        feed.add([call("else", now, team="nobody's", model="gpt-4o", tokens={"input": 1})])
        yield settings


def _give_grants() -> Iterator[bytes]:
    top = {"dimension": "organization", "scope": ORGANIZATION}
    yield _grant("product", limits=[_limit("9000000", {"calendar": "month"})], **top)
    allow = {"models": ["gpt-4o", "gpt-4o-mini"]}
    yield _grant("search", parent="product", limits=[_limit("3", {"rolling_s": 86400})], allow=allow)
    yield _grant("growth", parent="product")
    yield control("pause", "grant.narrowed", grant="growth", paused=True)
    for number in range(SQUAD_COUNT):
        name = f"squad-{number:03}"
        scope = {"dimension": "project", "scope": MARKUP_NAME if number == SQUAD_COUNT - 1 else name}
        yield _grant(name, parent="product", limits=[_limit("1", {"rolling_s": 3600})], **scope)


def _grant(name: str, **body: Any) -> bytes:
    return control(f"create {name}", "grant.created", **({"dimension": "team", "scope": name} | body), grant=name)


def _limit(amount: str, window: dict[str, Any]) -> dict[str, Any]:
    return {"meter": "billed", "amount": amount, "currency": "USD", "window": window}


def _ask(id: str, **data: Any) -> bytes:
    event = {"id": id, "source": "gateway", "time": datetime.now(UTC).isoformat(), "type": "tallystick.admission.v1"}
    return ANY_EVENT.validate_json(json.dumps(event | {"data": ASK | data})).canonical()
