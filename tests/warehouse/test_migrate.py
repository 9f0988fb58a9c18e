"""Migrations are applied once each, in order, and never change after."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ledger.errors import TallyError
from tests.warehouse.conftest import Front
from warehouse import migrate as migrations


def test_each_is_applied_once_and_an_edited_one_is_named(
    start: Callable[[], Front], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [name for name, _ in migrations.list_migrations()]
    assert len(names) == len(list(migrations.FOLDER.rglob("*.sql"))), "each file lies in the folder of its table"
    shutil.copytree(migrations.FOLDER, tmp_path / "copy")
    monkeypatch.setattr(migrations, "FOLDER", tmp_path / "copy")
    client = start().client()
    assert migrations.migrate(client) == names
    assert migrations.migrate(client) == []
    (tmp_path / "copy" / "alerts" / "9999_more.sql").write_text(
        "-- more;\nCREATE TABLE tally.more (a Int8)\nENGINE = Null;\n"
    )
    assert migrations.migrate(client) == ["alerts/9999_more"]
    with (tmp_path / "copy" / f"{names[0]}.sql").open("a") as file:
        file.write("-- changed my mind\n")
    with pytest.raises(TallyError, match=names[0]):
        migrations.migrate(client)


def test_one_that_was_cut_by_a_kill_is_applied_again(start: Callable[[], Front]) -> None:
    client = start().client()
    migrations.migrate(client)
    client.command("TRUNCATE TABLE tally.migrations")
    assert migrations.migrate(client)
    assert migrations.migrate(client) == []
