"""The entrance of analysts is shut where their statements end the warehouse again and again."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from ledger.errors import EXIT_RESTART
from tally.processes.supervisor import STABLE_AFTER_S
from tests.warehouse.conftest import Front
from tests.warehouse.requests import as_analyst, as_writer
from warehouse.embedded.analyst.entrance import DEATHS_S, FILE, SHUT_S, Entrance, read_deaths
from warehouse.embedded.errors import QueryFailed


def test_it_is_shut_after_the_second_death_and_opens_again(tmp_path: Path) -> None:
    time_s, statements = 1000.0, ExitStack()
    for number in range(3):
        entrance = Entrance(tmp_path, read_deaths(tmp_path, time_s), lambda: time_s)
        if number < 2:
            entrance.check()
            statements.enter_context(entrance.running())  # and the process ends
    with pytest.raises(QueryFailed, match=r"ended 2 times .* takes none for 70 seconds: ask again then") as refused:
        entrance.check()
    assert refused.value.code == 202
    time_s += SHUT_S
    entrance.check()
    assert read_deaths(tmp_path, time_s + DEATHS_S) == []


def test_what_ends_while_no_statement_of_an_analyst_runs_shuts_nothing(tmp_path: Path) -> None:
    for _ in range(5):
        entrance = Entrance(tmp_path, read_deaths(tmp_path, 1.0), lambda: 1.0)
        with entrance.running(), entrance.running():
            pass
        entrance.check()
    for content in ("", "[]", '{"deaths": 1}', '{"deaths": ["x"], "running": true}'):
        (tmp_path / FILE).write_text(content)
        assert read_deaths(tmp_path, 1.0) == []


def test_an_end_that_was_asked_for_is_no_death(tmp_path: Path) -> None:
    entrance = Entrance(tmp_path, [], lambda: 1.0)
    with entrance.running():
        entrance.close()
        assert read_deaths(tmp_path, 1.0) == []


def test_it_is_shut_for_longer_than_makes_the_warehouse_steady() -> None:
    """Else the supervisor's restart delay would grow with each death, and other clients would wait for it."""
    assert SHUT_S > STABLE_AFTER_S
    assert EXIT_RESTART != 2


def test_the_product_is_served_while_analysts_wait(front: Front) -> None:
    folder = front.settings.run / "warehouse"
    for _ in range(2):
        front.kill()
        state = (folder / FILE).read_text()
        (folder / FILE).write_text(state.replace("false", "true"))  # as if an analyst's statement had run
        front.start()
    said = as_analyst(front, "SELECT 1")
    assert (said.status, said.code, said.headers["retry-after"]) == (503, "202", "1")
    assert as_writer(front, "SELECT 1").text == "1\n"
