"""Functions that search a value again and again get short values only, so that the limit of time ends them."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.tally.conftest import eventually
from tests.warehouse.conftest import Front
from tests.warehouse.embedded.test_connections import QUICK
from tests.warehouse.requests import as_analyst, as_writer
from warehouse.embedded.analyst.value_lengths import SEARCHES
from warehouse.embedded.analyst.verdicts import read_verdicts

RUNNING = "SELECT count() FROM system.processes WHERE query LIKE '%FROM numbers(1000000000)' SETTINGS log_queries = 0"

ENDLESS = [  # as long as the policy lets a value be, and so many rows that only the limit of time ends it
    "SELECT sum(indexOf(range(199999), number + 1000000)) FROM numbers(1000000000)",
    "SELECT sum(match(repeat('a', 400000), concat('a*a*a*b', toString(number)))) FROM numbers(1000000000)",
    "SELECT sum(length(replaceRegexpAll(concat(repeat('a', 900), toString(number)), 'a*b|a', ''))) "
    "FROM numbers(1000000000)",
    "SELECT sum(arraySum(arrayMap(x -> cityHash64(x, number), range(190)))) FROM numbers(1000000000)",
]


def test_what_searches_is_allowed() -> None:
    allowed = {name.lower() for name in read_verdicts("functions").allowed}
    assert SEARCHES.keys() <= allowed


@pytest.fixture(scope="module")
def quick(start: Callable[[], Front]) -> Front:
    """A front whose analysts have one second."""
    front = start()
    front.kill()
    front.start(QUICK)
    return front


@pytest.mark.parametrize("sql", ENDLESS)
def test_a_statement_that_may_run_ends_at_its_limit(quick: Front, sql: str) -> None:
    """Nobody waits meanwhile, and nothing of it goes on. Whether the engine ends a block of rows by itself before its
    grace is over is a matter of how busy the machine is: the bounds of a block's work are those of ``SEARCHES``."""
    with ThreadPoolExecutor(1) as beside:
        running = beside.submit(as_analyst, quick, sql)
        time.sleep(1)
        assert as_writer(quick, "SELECT 1").text == "1\n"
        said = running.result()
    assert (said.status, said.code) == (408, "159"), said
    eventually(lambda: as_writer(quick, RUNNING).text == "0\n")
