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
from warehouse.client import BESIDE, CURRENT, database
from warehouse.migrate import migrate


def begin(log: Log, client: Client, current: int) -> None:
    """Make room for a rebuild: what stands beside goes. Where that is the current generation, which no sink has taken
    up yet, it takes its place first. LogDamaged where the server holds what follows from another log."""
    migrate(client)
    if _filled(client, CURRENT)[0] != current and _stands_beside(client, current):
        _exchange(log, client)
    check_filled_from(log, client, CURRENT)
    client.command(f"DROP DATABASE IF EXISTS {BESIDE} SYNC")
    client.command(f"CREATE DATABASE {BESIDE}")


def claim(settings: Settings, log: Log, client: Client) -> None:
    """Have the client's database be this log's, and its generation's: say so in an empty one, and exchange the tables
    where that generation stands beside. LogDamaged where another log has filled it. TallyError where another
    generation has: as the folds of both may mean something else, their rows would make no ledger together."""
    number = log.generation
    if settings.warehouse is not None:
        number = settings.generation or number or generation.current(log)
    if number is not None:  # else a home's own log and warehouse, whose files take each other's place together
        _claim(log, client, number)
    check_filled_from(log, client, database(client))


def _claim(log: Log, client: Client, number: int) -> None:
    filled, holds = _filled(client, database(client))
    if filled == number:
        return
    if database(client) == CURRENT and _stands_beside(client, number):
        _exchange(log, client)
    elif holds:
        raise TallyError(
            f"the warehouse was filled from generation {filled} of what {log} derives, and generation {number} is "
            "current: empty it, and it is filled anew (docs/operations.md)"
        )
    else:
        client.insert(f"{database(client)}.generations", [[number]], column_names=["number"])


def _filled(client: Client, name: str) -> tuple[int, bool]:
    """Which generation fills this database, and whether anything of it is there."""
    ((said, holds),) = client.query(
        f"SELECT (SELECT argMax(number, since) FROM {name}.generations), (SELECT count() > 0 FROM {name}.records)"
    ).result_rows
    return int(said) or 1, bool(holds)


def _stands_beside(client: Client, number: int) -> bool:
    there = client.command(f"EXISTS TABLE {BESIDE}.generations") and client.command(f"EXISTS TABLE {BESIDE}.records")
    return bool(there) and _filled(client, BESIDE)[0] == number


def _exchange(log: Log, client: Client) -> None:
    """Each table by its name, so that views and readers go on with the new one; last the one that says which generation
    it is. A comment goes along with a table: who was killed and comes back sees by it which are exchanged."""
    check_filled_from(log, client, BESIDE)
    newest = "concat('generation ', toString(max(number)), ' of ', toString(max(since)))"
    mark = client.command(f"SELECT {newest} FROM {BESIDE}.generations")
    for name, comment in client.query(
        f"SELECT name, comment FROM system.tables WHERE database = '{CURRENT}' AND engine LIKE '%MergeTree' "
        "ORDER BY name = 'generations', name"
    ).result_rows:
        if comment != mark:
            client.command(f"ALTER TABLE {BESIDE}.{name} MODIFY COMMENT '{mark}'")
            point("exchange.marked")
            client.command(f"EXCHANGE TABLES {CURRENT}.{name} AND {BESIDE}.{name}")
        point("exchange.done")


def check_filled_from(log: Log, client: Client, name: str) -> None:
    """LogDamaged where the newest record that this database has of a partition is not the log's: another log filled
    it, or this one was cut or restored. What is derived from this one would be taken for what is stored already."""
    newest = client.query(
        "SELECT partition, max(offset), argMax(toUnixTimestamp64Milli(accepted_at), offset), "
        f"argMax(organization, offset) FROM {name}.records GROUP BY partition ORDER BY partition"
    )
    for partition, offset, time_ms, organization in newest.result_rows:
        found = log.read(EVENTS, partition, offset, max_bytes=1)
        if [(one.offset, one.time_ms, one.organization) for one in found[:1]] != [(offset, time_ms, organization)]:
            raise LogDamaged(
                f"the warehouse was filled from another log, or this one was cut or restored: at offset {offset} of "
                f"tally.events, partition {partition}, the log no longer holds the record that is stored. Name the "
                "right log (TALLY_LOG), restore a newer copy of it, or fill another warehouse (docs/operations.md)"
            )
