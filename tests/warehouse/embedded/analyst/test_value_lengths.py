"""Functions that search a value again and again get short values only, so that the limit of time ends them."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.warehouse.conftest import Front
from tests.warehouse.embedded.test_connections import QUICK
from tests.warehouse.requests import as_analyst, as_writer
from warehouse.embedded.analyst.value_lengths import SEARCHES
from warehouse.embedded.analyst.verdicts import read_verdicts

MAX_OVERTIME_S = 30
"""What one block of rows may take beyond the limit of time: much more than it does, on a busy machine."""

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
    """The engine itself ends it, and nobody waits meanwhile."""
    with ThreadPoolExecutor(1) as beside:
        begun = time.monotonic()
        running = beside.submit(as_analyst, quick, sql)
        time.sleep(1)
        assert as_writer(quick, "SELECT 1").text == "1\n"
        said = running.result()
    assert (said.status, said.code) == (408, "159"), said
    assert "did not end when it was cancelled" not in said.text and time.monotonic() - begun < MAX_OVERTIME_S
