"""A warehouse with call trees and sessions of all kinds."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest

from ledger.settings import Settings
from tests.dashboards.feed import BOOK, Feed
from tests.dashboards.pages.trees import calls
from tests.dashboards.server import warehouse
from tests.warehouse.plugin import InstallWarehouse
from warehouse.client import connect
from warehouse.rollups import build_rollups


class Forest(NamedTuple):
    """The home, and who feeds it."""

    settings: Settings
    feed: Feed
    now: datetime

    def add(self, *lines: bytes) -> None:
        """Make events visible, in the marts too."""
        self.feed.add(lines)
        build_rollups(connect(self.settings))


@pytest.fixture(scope="package")
def forest(tmp_path_factory: pytest.TempPathFactory, install_warehouse: InstallWarehouse) -> Iterator[Forest]:
    with warehouse(install_warehouse(tmp_path_factory.mktemp("forest")).home) as settings:
        forest = Forest(settings, Feed(settings), datetime.now(UTC).replace(microsecond=0))
        forest.feed.adopt("test", BOOK)
        hour = timedelta(hours=1)
        forest.add(
            *calls.build_agent_tree(forest.now - 73 * hour),
            *calls.build_odd_trees(forest.now - hour),
            *calls.build_long_session(forest.now - 2 * hour),
            calls.build_short_session(forest.now - hour / 2),
            *calls.build_two_sessions(forest.now - 50 * hour),
            calls.build_hostile_call(forest.now - hour),
            calls.observe("solved", forest.now, "solved", "1", session="s-agents"),
            calls.observe("correct", forest.now, "correct", "0", of={"source": "gateway", "id": "test"}),
        )
        yield forest
        forest.feed.close()
