"""``tally model``: what it sets holds for the calls after it, until it is removed."""

import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from tally.cli.app import app


def run(home: Path, *arguments: str) -> Any:
    result = CliRunner().invoke(app, ["model", *arguments, "--json"], env={"TALLY_HOME": str(home)})
    return json.loads(result.stdout) if result.exit_code == 0 else (result.exit_code, result.stderr)


def test_an_alias_is_set_changed_listed_and_removed(tmp_path: Path) -> None:
    run(tmp_path, "alias", "Prod-Chat", "--as", "azure/gpt-4o")
    run(tmp_path, "alias", "prod-chat", "--as", "fireworks/accounts/fireworks/models/oss", "--provider", "azure")
    changed = run(tmp_path, "alias", "prod-chat", "--as", "azure/gpt-4o-mini")
    aliases = run(tmp_path, "list")
    assert [(alias["provider"], alias["priced_provider"], alias["priced_model"]) for alias in aliases] == [
        (None, "azure", "gpt-4o-mini"), ("azure", "fireworks", "accounts/fireworks/models/oss"),
    ]  # fmt: skip
    assert aliases[0]["position"] == f"{changed['partition']}-{changed['offset']}-0"
    run(tmp_path, "remove", "PROD-CHAT")
    assert [alias["provider"] for alias in run(tmp_path, "list")] == ["azure"]


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    for target in ("gpt-4o", "/gpt-4o", "azure/"):
        code, message = run(tmp_path, "alias", "x", "--as", target)
        assert code == 2 and "must be PROVIDER/MODEL, for example azure/gpt-4o" in message
    run(tmp_path, "alias", "x", "--as", "azure/gpt-4o")
    code, message = run(tmp_path, "remove", "x", "--provider", "aws")
    assert code == 2 and "'x' has no alias for the provider 'aws': see `tally model list`" in message


def test_a_target_that_no_book_has_is_set_with_a_warning(tmp_path: Path) -> None:
    assert run(tmp_path, "alias", "x", "--as", "azure/gpt-4o")["warnings"] == []
    (warning,) = run(tmp_path, "alias", "x", "--as", "nobody/nothing")["warnings"]
    assert warning.startswith("nobody/nothing has no price (no price of the provider)")


def test_a_book_that_was_replaced_has_no_price_any_more(tmp_path: Path) -> None:
    book = tmp_path / "ours.yaml"
    for model in ("old", "new"):
        models = f"[{{id: {model}, prices: [{{rates: {{input: 1}}}}]}}]"
        book.write_text(f"{{name: ours, currency: USD, providers: [{{id: acme, models: {models}}}]}}")
        result = CliRunner().invoke(app, ["price", "adopt", str(book)], env={"TALLY_HOME": str(tmp_path / "home")})
        assert result.exit_code == 0, result.output
    assert run(tmp_path / "home", "alias", "x", "--as", "acme/new")["warnings"] == []
    assert "acme/old has no price" in run(tmp_path / "home", "alias", "x", "--as", "acme/old")["warnings"][0]
