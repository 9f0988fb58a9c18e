"""The schema's migrations: numbered SQL files, applied once each, in order."""

import hashlib
from pathlib import Path

from clickhouse_connect.driver.client import Client

from ledger.errors import TallyError
from warehouse.client import CURRENT, database

FOLDER = Path(__file__).parent / "migrations"


def migrate(client: Client) -> list[str]:
    """Apply what is missing in the client's database and return the names. TallyError where an applied file was edited
    since.

    Statements may be repeated (IF NOT EXISTS): a kill half-way, or two at once, do no harm.
    """
    name = database(client)
    client.command(f"CREATE DATABASE IF NOT EXISTS {name}")
    client.command(
        f"CREATE TABLE IF NOT EXISTS {name}.migrations (name String, sha256 String, applied_at DateTime64(3, 'UTC')"
        " DEFAULT now64(3)) ENGINE = MergeTree ORDER BY name"
    )
    applied = {row[0]: row[1] for row in client.query(f"SELECT name, sha256 FROM {name}.migrations").result_rows}
    done = []
    for file in sorted(FOLDER.glob("*.sql")):
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        if applied.get(file.name, digest) != digest:
            raise TallyError(
                f"migration {file.name} was applied to this warehouse and has been edited since: put it back as it "
                "was and add a new file, or fill a new warehouse from the log with `tally rebuild`"
            )
        if file.name in applied:
            continue
        for statement in _statements(file.read_text()):
            client.command(statement.replace(f"{CURRENT}.", f"{name}."))
        client.insert(f"{name}.migrations", [[file.name, digest]], column_names=["name", "sha256"])
        done.append(file.name)
    return done


def _statements(sql: str) -> list[str]:
    lines = [line for line in sql.splitlines() if not line.startswith("--")]
    return [statement for statement in "\n".join(lines).split(";") if statement.strip()]
