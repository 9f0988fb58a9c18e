"""Apply the schema: numbered SQL files in a folder for each table, applied once each, in order."""

import hashlib
from pathlib import Path

from clickhouse_connect.driver.client import Client

from ledger.errors import TallyError
from warehouse.client import CURRENT_DATABASE, get_database

FOLDER = Path(__file__).parent / "schema"


def migrate(client: Client) -> list[str]:
    """Apply the missing migrations to the client's database and return their names. TallyError where a file was edited
    after it was applied.

    Statements may be repeated (IF NOT EXISTS), so a kill half-way or two runs at once do no harm.
    """
    name = get_database(client)
    client.command(f"CREATE DATABASE IF NOT EXISTS {name}")
    client.command(
        f"CREATE TABLE IF NOT EXISTS {name}.migrations (name String, sha256 String, applied_at DateTime64(3, 'UTC')"
        " DEFAULT now64(3)) ENGINE = MergeTree ORDER BY name"
    )
    applied = {row[0]: row[1] for row in client.query(f"SELECT name, sha256 FROM {name}.migrations").result_rows}
    names = []
    for migration, file in list_migrations():
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        if applied.get(migration, digest) != digest:
            raise TallyError(
                f"migration {migration} was applied to this warehouse and has been edited since: put it back as it "
                "was and add a new file, or fill a new warehouse from the log with `tally rebuild`"
            )
        if migration in applied:
            continue
        for statement in _split_statements(file.read_text()):
            client.command(statement.replace(f"{CURRENT_DATABASE}.", f"{name}."))
        client.insert(f"{name}.migrations", [[migration, digest]], column_names=["name", "sha256"])
        names.append(migration)
    return names


def list_migrations() -> list[tuple[str, Path]]:
    """List the names and files of the schema in the order in which they are applied: by number, then by table.

    So every table stands before the first view.
    """
    files = sorted(FOLDER.glob("*/*.sql"), key=lambda file: (file.name, file.parent.name))
    return [(f"{file.parent.name}/{file.stem}", file) for file in files]


def _split_statements(sql: str) -> list[str]:
    lines = [line for line in sql.splitlines() if not line.startswith("--")]
    return [statement for statement in "\n".join(lines).split(";") if statement.strip()]
