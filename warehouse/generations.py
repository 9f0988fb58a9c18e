"""Which generation of what is derived a warehouse holds, and on a ClickHouse server how a new one takes its place.

A home's own warehouse is a folder, which goes with its generation. On a server a rebuild fills tables in a database
beside. Once that generation is current the sink exchanges the tables, and those of the one before then stand beside.
"""

from clickhouse_connect.driver.client import Client

from ledger.errors import LogDamaged, TallyError
from ledger.fault_points import point
from ledger.log import Log, generation
from ledger.log.topics import EVENTS
from ledger.settings import Settings
from warehouse.client import REBUILD_DATABASE, CURRENT_DATABASE, get_database
from warehouse.migrate import migrate


def prepare_rebuild(log: Log, client: Client, current: int) -> None:
    """Make room for a rebuild: what stands beside goes. Where that is the current generation, which no sink has taken
    up yet, it takes its place first. LogDamaged where the server holds what follows from another log."""
    migrate(client)
    if _read_generation(client, CURRENT_DATABASE)[0] != current and _has_rebuild(client, current):
        _exchange_tables(log, client)
    check_source_log(log, client, CURRENT_DATABASE)
    client.command(f"DROP DATABASE IF EXISTS {REBUILD_DATABASE} SYNC")
    client.command(f"CREATE DATABASE {REBUILD_DATABASE}")


def claim_database(settings: Settings, log: Log, client: Client) -> None:
    """Have the client's database be this log's, and its generation's: say so in an empty one, and exchange the tables
    where that generation stands beside. LogDamaged where another log has filled it. TallyError where another
    generation has: as the folds of both may mean something else, their rows would make no ledger together."""
    number = log.generation
    if settings.warehouse is not None:
        number = settings.generation or number or generation.read_current(log)
    if number is not None:  # else a home's own log and warehouse, whose files take each other's place together
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
            f"the warehouse was filled from generation {stored_number} of what {log} derives, and generation {number} is "
            "current: empty it, and it is filled anew (docs/operations.md)"
        )
    else:
        client.insert(f"{get_database(client)}.generations", [[number]], column_names=["number"])


def _read_generation(client: Client, name: str) -> tuple[int, bool]:
    """Which generation fills this database, and whether anything of it is there."""
    ((number, has_records),) = client.query(
        f"SELECT (SELECT argMax(number, since) FROM {name}.generations), (SELECT count() > 0 FROM {name}.records)"
    ).result_rows
    return int(number) or 1, bool(has_records)


def _has_rebuild(client: Client, number: int) -> bool:
    has_tables = client.command(f"EXISTS TABLE {REBUILD_DATABASE}.generations") and client.command(f"EXISTS TABLE {REBUILD_DATABASE}.records")
    return bool(has_tables) and _read_generation(client, REBUILD_DATABASE)[0] == number


def _exchange_tables(log: Log, client: Client) -> None:
    """Each table by its name, so that views and readers go on with the new one; last the one that says which generation
    it is. A comment goes along with a table: who was killed and comes back sees by it which are exchanged."""
    check_source_log(log, client, REBUILD_DATABASE)
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
    """LogDamaged where the newest record that this database has of a partition is not the log's: another log filled
    it, or this one was cut or restored. What is derived from this one would be taken for what is stored already."""
    newest = client.query(
        "SELECT partition, max(offset), argMax(toUnixTimestamp64Milli(accepted_at), offset), "
        f"argMax(organization, offset) FROM {name}.records GROUP BY partition ORDER BY partition"
    )
    for partition, offset, time_ms, organization in newest.result_rows:
        log_records = log.read(EVENTS, partition, offset, max_bytes=1)
        if [(record.offset, record.time_ms, record.organization) for record in log_records[:1]] != [(offset, time_ms, organization)]:
            raise LogDamaged(
                f"the warehouse was filled from another log, or this one was cut or restored: at offset {offset} of "
                f"tally.events, partition {partition}, the log no longer holds the record that is stored. Name the "
                "right log (TALLY_LOG), restore a newer copy of it, or fill another warehouse (docs/operations.md)"
            )
