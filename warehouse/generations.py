"""The generation that a warehouse holds and, on a ClickHouse server, the switch to a new one.

The embedded warehouse is a folder of its generation. On a server a rebuild fills the tables of a second database. Once
that generation is current, the sink exchanges the tables, and the second database holds those of the generation before.
"""

from clickhouse_connect.driver.client import Client

from ledger.errors import LogDamaged, TallyError
from ledger.fault_points import point
from ledger.log import Log, generation
from ledger.log.topics import EVENTS
from ledger.settings import Settings
from warehouse.client import CURRENT_DATABASE, REBUILD_DATABASE, get_database
from warehouse.migrate import migrate
from warehouse.rollups import empty_rollups


def prepare_rebuild(log: Log, client: Client, current: int) -> None:
    """Empty the second database for a rebuild.

    Where it holds the current generation, because no sink has exchanged the tables yet, exchange them first. LogDamaged
    where another log filled the server.
    """
    migrate(client)
    if _read_generation(client, CURRENT_DATABASE)[0] != current and _has_rebuild(client, current):
        _exchange_tables(log, client)
    check_source_log(log, client, CURRENT_DATABASE)
    client.command(f"DROP DATABASE IF EXISTS {REBUILD_DATABASE} SYNC")
    client.command(f"CREATE DATABASE {REBUILD_DATABASE}")


def claim_database(settings: Settings, log: Log, client: Client) -> None:
    """Claim the client's database for this log and its generation.

    Write the generation's number into an empty database, or exchange the tables where the second database holds that
    generation. LogDamaged where another log filled it. TallyError where another generation did: the folds of two
    versions may mean different things, so their rows together are no ledger.
    """
    number = log.generation
    if settings.warehouse is not None:
        number = settings.generation or number or generation.read_current(log)
    if number is not None:  # else log and warehouse are files of one home, replaced together
        _claim_database(log, client, number)
    check_source_log(log, client, get_database(client))


def _claim_database(log: Log, client: Client, number: int) -> None:
    stored_number, has_records = _read_generation(client, get_database(client))
    if stored_number == number:
        return
    if get_database(client) == CURRENT_DATABASE and _has_rebuild(client, number):
        _exchange_tables(log, client)
    elif has_records:
        raise TallyError(
            f"the warehouse was filled from generation {stored_number} of what {log} derives, but generation {number} "
            "is current: empty the warehouse, and the sink fills it again (docs/operations.md)"
        )
    else:
        client.insert(f"{get_database(client)}.generations", [[number]], column_names=["number"])


def _read_generation(client: Client, name: str) -> tuple[int, bool]:
    """Return the number of the generation in this database, and whether the database has records."""
    ((number, has_records),) = client.query(
        f"SELECT (SELECT argMax(number, since) FROM {name}.generations), (SELECT count() > 0 FROM {name}.records)"
    ).result_rows
    return int(number) or 1, bool(has_records)


def _has_rebuild(client: Client, number: int) -> bool:
    has_tables = client.command(f"EXISTS TABLE {REBUILD_DATABASE}.generations") and client.command(
        f"EXISTS TABLE {REBUILD_DATABASE}.records"
    )
    return bool(has_tables) and _read_generation(client, REBUILD_DATABASE)[0] == number


def _exchange_tables(log: Log, client: Client) -> None:
    """Exchange each table by its name, so that views and readers continue with the new one; ``generations`` comes last.

    A comment moves with its table, so after a kill the next run knows which tables are exchanged.
    """
    check_source_log(log, client, REBUILD_DATABASE)
    empty_rollups(client)  # they hold sums of the tables that go
    newest = "concat('generation ', toString(max(number)), ' of ', toString(max(since)))"
    mark = client.command(f"SELECT {newest} FROM {REBUILD_DATABASE}.generations")
    for name, comment in client.query(
        f"SELECT name, comment FROM system.tables WHERE database = '{CURRENT_DATABASE}' AND engine LIKE '%MergeTree' "
        "ORDER BY name = 'generations', name"
    ).result_rows:
        if comment != mark:
            client.command(f"ALTER TABLE {REBUILD_DATABASE}.{name} MODIFY COMMENT '{mark}'")
            point("exchange.marked")
            client.command(f"EXCHANGE TABLES {CURRENT_DATABASE}.{name} AND {REBUILD_DATABASE}.{name}")
        point("exchange.done")


def check_source_log(log: Log, client: Client, name: str) -> None:
    """Raise LogDamaged where the log does not hold the last record that this database has of a partition.

    Another log filled the database then, or this log was cut or restored, and its new rows would be dropped as repeats.
    """
    newest = client.query(
        "SELECT partition, max(offset), argMax(toUnixTimestamp64Milli(accepted_at), offset), "
        f"argMax(organization, offset) FROM {name}.records GROUP BY partition ORDER BY partition"
    )
    for partition, offset, time_ms, organization in newest.result_rows:
        log_records = log.read(EVENTS, partition, offset, max_bytes=1)
        if [(record.offset, record.time_ms, record.organization) for record in log_records[:1]] != [
            (offset, time_ms, organization)
        ]:
            raise LogDamaged(
                f"the warehouse was filled from another log, or this one was cut or restored: at offset {offset} of "
                f"tally.events, partition {partition}, the log no longer holds the record that is stored. Name the "
                "right log (TALLY_LOG), restore a newer copy of it, or fill another warehouse (docs/operations.md)"
            )
