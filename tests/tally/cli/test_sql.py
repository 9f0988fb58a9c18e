"""The arguments of ``tally sql``."""

from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from tally.cli.app import app


def read_parameters(*arguments: str) -> dict[str, Any]:
    group: Any = typer.main.get_command(app)
    parameters: dict[str, Any] = group.commands["sql"].make_context("sql", list(arguments)).params
    return parameters


@pytest.mark.parametrize("statement", ["-- spend\nselect 1", "--spend\nselect 1", "--\nselect 1", "select 1 -- one"])
def test_a_statement_may_begin_with_a_comment(statement: str) -> None:
    parameters = read_parameters(statement, "--format", "CSV")
    assert parameters["query"].strip() == statement
    assert parameters["form"] == "CSV"


def test_a_misspelled_option_is_no_statement() -> None:
    result = CliRunner().invoke(app, ["sql", "--formt", "CSV", "select 1"])
    assert result.exit_code == 2
    assert "--formt" in result.output
