"""``tally episodes`` over the warehouse of the page."""

import json
from contextlib import nullcontext

import pytest
from typer.testing import CliRunner, Result

from ledger.errors import TallyError
from ledger.settings import Settings
from tally.cli.app import app
from tally.product import catch_up
from tally.product.alerts.episodes import KINDS, find_episode, list_episodes
from tests.dashboards.feed import MARKUP_NAME, Feed
from warehouse.client import connect

Limited = tuple[Settings, Feed]


def run(settings: Settings, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Result:
    monkeypatch.setattr(catch_up, "warehouse_with_models", lambda config: nullcontext())
    monkeypatch.setenv("TALLY_HOME", str(settings.home))
    return CliRunner().invoke(app, ["episodes", *arguments])


def test_active_ones_are_listed_by_cost_an_hour(limited: Limited, monkeypatch: pytest.MonkeyPatch) -> None:
    found = json.loads(run(limited[0], monkeypatch, "list", "--json").stdout)
    assert [(episode["kind"], episode["state"]) for episode in found] == [
        ("runaway", "active"), ("budget_crossing", "active"),
    ]  # fmt: skip
    assert found[0]["agent"] == MARKUP_NAME and found[0]["what"].endswith(", look <up>") and found[0]["per_hour"]["USD"]
    every = list_episodes(connect(limited[0]), KINDS, None, every=True, limit=10)
    assert {episode["state"] for episode in every} == {"active", "closed"}
    assert not list_episodes(connect(limited[0]), KINDS, "nobody", every=True, limit=10)
    assert (
        "No episode of nobody is active; --all shows" in run(limited[0], monkeypatch, "list", "--org", "nobody").stdout
    )


def test_one_is_shown_with_its_clocks(limited: Limited, monkeypatch: pytest.MonkeyPatch) -> None:
    (ended,) = (
        row for row in list_episodes(connect(limited[0]), ["runaway"], None, every=True, limit=10) if row["closed_at"]
    )
    shown = run(limited[0], monkeypatch, "show", ended["episode_id"]).stdout
    for name in ("began", "detected", "restored", "closed"):
        assert f"\n{name}" in shown
    assert "reviewer: the same tool" in shown and "1.25 USD" in shown
    assert json.loads(run(limited[0], monkeypatch, "show", ended["episode_id"], "--json").stdout)["handling"] == []


def test_what_is_not_there_is_named(limited: Limited) -> None:
    with pytest.raises(TallyError, match="no episode 'nothing': `tally episodes list --all`"):
        find_episode(connect(limited[0]), "nothing")
