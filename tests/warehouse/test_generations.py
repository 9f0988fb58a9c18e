"""Which generation fills a warehouse, and the exchange of a server's tables for those of a rebuild, killed anywhere."""

from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client

from ledger.errors import LogDamaged, TallyError
from ledger.log.generation import activate
from ledger.log.sqlite.log import EmbeddedLog
from ledger.log.topics import ENTRIES
from ledger.settings import Settings
from tests.warehouse.build import drain, log_of
from tests.warehouse.conftest import Front
from warehouse import generations
from warehouse.client import connect
from warehouse.generations import claim_database, prepare_rebuild
from warehouse.migrate import migrate
from warehouse.sink import TABLES, Sink

OLD, NEW = range(6), range(8)
"""Offsets that are stored of each generation."""


@pytest.fixture
def settings(front: Front, tmp_path: Path, client: Client) -> Settings:
    """A home whose warehouse is a server, on which nothing is stored."""
    client.command("TRUNCATE TABLE tally.generations")
    client.command("DROP DATABASE IF EXISTS tally_beside SYNC")
    return Settings(home=tmp_path, warehouse=front.url)


def fill(settings: Settings, log: EmbeddedLog) -> None:
    """As a sink does."""
    client = connect(settings)
    migrate(client)
    claim_database(settings, log, client)
    drain(Sink(client, log, settings))


def built(settings: Settings, log: EmbeddedLog, number: int) -> None:
    """What a rebuild stores beside: more records of fewer calls."""
    prepare_rebuild(log, connect(settings), number - 1)
    part = settings.model_copy(update={"home": settings.home / f"rebuild-{number}", "generation": number})
    fill(part, log_of(part.home, NEW, calls=2))


def rows(client: Client, name: str) -> tuple[int, ...]:
    return tuple(client.query(f"SELECT count() FROM {name}.{one}").result_rows[0][0] for one in TABLES[ENTRIES])


def test_a_warehouse_holds_one_generation(client: Client, settings: Settings) -> None:
    """An empty one takes any; what says nothing was filled from the first."""
    log = log_of(settings.home, OLD)
    first, second, third = (EmbeddedLog(settings.home, generation=number) for number in (1, 2, 3))
    claim_database(settings, second, client)
    fill(settings, third)
    claim_database(settings, third, client)
    claim_database(Settings(home=settings.home), log, client)  # its folder goes with its generation
    with pytest.raises(
        TallyError, match=r"filled from generation 3 of .*, but generation 2 is current: empty the warehouse"
    ):
        claim_database(settings, second, client)
    client.command("TRUNCATE TABLE tally.generations")
    claim_database(settings, first, client)
    with pytest.raises(TallyError, match="filled from generation 1 "):
        claim_database(settings, third, client)


@pytest.mark.parametrize(
    "killed_at", [1, 10, *(pytest.param(one, marks=pytest.mark.long) for one in (0, *range(2, 10), *range(11, 14)))]
)
def test_the_exchange_goes_on_where_it_was_killed(
    settings: Settings, client: Client, killed_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = log_of(settings.home, OLD)
    fill(settings, log)
    built(settings, log_of(settings.home, range(6, 8)), 2)
    assert rows(client, "tally") == (60, 120, 6)
    claim_database(settings, log, client)
    assert rows(client, "tally") == (60, 120, 6), "what is built and not current stays beside"
    activate(log, 2)
    passed: list[str] = []

    def die(name: str) -> None:
        passed.append(name)
        if len(passed) > killed_at:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(generations, "point", die)
        with pytest.raises(KeyboardInterrupt):
            claim_database(settings, log, client)
    claim_database(settings, log, client)
    assert (rows(client, "tally"), rows(client, "tally_beside")) == ((16, 32, 8), (60, 120, 6))
    claim_database(settings, log, client)
    fill(settings, log_of(settings.home, range(8, 9)))
    assert rows(client, "tally") == (26, 52, 9), "the guards look at the tables that are there now"


def test_a_rebuild_that_comes_to_nothing_leaves_what_is_stored(settings: Settings, client: Client) -> None:
    fill(settings, log_of(settings.home, OLD))
    log = log_of(settings.home, range(6, 8))
    built(settings, log, 2)
    prepare_rebuild(log, connect(settings), 1)
    activate(log, 2)
    with pytest.raises(TallyError, match="filled from generation 1 of"):
        claim_database(settings, log, client)
    assert rows(client, "tally") == (60, 120, 6)


def test_a_rebuild_takes_up_first_what_no_sink_has(settings: Settings, client: Client) -> None:
    fill(settings, log_of(settings.home, OLD))
    log = log_of(settings.home, range(6, 8))
    built(settings, log, 2)
    activate(log, 2)
    prepare_rebuild(log, connect(settings), 2)
    assert rows(client, "tally") == (16, 32, 8)
    claim_database(settings, log, client)


def test_another_log_changes_nothing_on_a_server(settings: Settings, client: Client, tmp_path: Path) -> None:
    """Neither by a rebuild of its own, nor where its generation has the number of what stands beside."""
    fill(settings, log_of(settings.home, OLD))
    built(settings, log_of(settings.home, range(6, 8)), 2)
    other = log_of(tmp_path / "other", range(3))
    activate(other, 2)
    with pytest.raises(LogDamaged, match="filled from another log"):
        claim_database(settings, other, client)
    with pytest.raises(LogDamaged, match="filled from another log"):
        prepare_rebuild(other, client, 1)
    assert (rows(client, "tally"), rows(client, "tally_beside")) == ((60, 120, 6), (16, 32, 8))
