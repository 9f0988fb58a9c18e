"""The demo organization: the same from the same seed, of the shape it claims, and accepted by the intake."""

from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

import pytest

from audit.verify.pricing import Book, rate_call
from ingest.controls.registry.records import apply_file, read_registry
from ingest.intake.intake import open_intake
from ingest.intake.rejection import Rejection
from ledger.log import PARTITIONS, partition_of, records
from ledger.log.sqlite.log import EmbeddedLog
from ledger.log.topics import EVENTS
from ledger.pricing.genai_prices import genai_prices
from ledger.settings import Settings
from tally.demo import REGISTRY, fill, history
from tally.demo.calls import make_session
from tally.demo.lengths import CHAT_INPUT, CODE_INPUT, SHARES, draw_length
from tally.demo.organization import NAME, OUTCOMES, OWN_KEY, WORKLOADS
from tally.demo.outcomes import make_outcomes

END = date(2026, 11, 24)


@pytest.fixture(scope="module")
def events() -> list[dict[str, Any]]:
    return [event for day in history.list_days(END - timedelta(days=2), END) for event in history.make_day(day, END)]


def test_the_same_seed_gives_the_same_events(events: list[dict[str, Any]]) -> None:
    assert history.make_day(END, END) == history.make_day(END, END) != history.make_day(END, END, seed=1)


def test_the_intake_accepts_all_but_the_broken(events: list[dict[str, Any]], tmp_path: Path) -> None:
    intake = open_intake(tmp_path, NAME)
    for event in events:
        if event["id"].endswith("-broken"):
            with pytest.raises(Rejection):
                intake.accept_event(event)
        else:
            intake.accept_event(event)


def test_every_model_but_the_private_hosts_is_priced(events: list[dict[str, Any]]) -> None:
    books = [Book("", genai_prices())]
    for event in events:
        if event["id"].endswith("-broken"):
            continue
        lines = rate_call(event["data"], datetime.fromisoformat(event["time"]), books, {}).lines
        unpriced = [line for line in lines if line.list_cost is None]
        assert bool(unpriced) == (bool(lines) and event["data"]["provider"] == "acme-host"), event


def test_a_customer_with_a_key_pays(events: list[dict[str, Any]]) -> None:
    assert {e["data"]["payer"] for e in events if e["data"].get("customer") == OWN_KEY} == {"customer"}


@pytest.mark.parametrize("stuck", [True, False])
def test_only_an_agent_that_is_stuck_repeats_itself(stuck: bool) -> None:
    agents = [work for work in WORKLOADS if work.kind == "agent"]
    stuck_count = 0
    for seed in range(60):
        calls = make_session(
            agents[seed % len(agents)], "s", "t", datetime(2026, 1, 1, tzinfo=UTC), Random(seed), stuck
        )
        tools = [call["data"].get("tool_arguments_hash") for call in calls if call["data"]["status"] == "ok"]
        stuck_count += max(len(list(repeats)) for _, repeats in groupby(tools)) >= 3
    assert stuck_count == 60 if stuck else stuck_count < 6


def test_outcomes_follow_their_calls_and_those_of_stuck_agents_fail(
    events: list[dict[str, Any]], tmp_path: Path
) -> None:
    intake = open_intake(tmp_path, NAME)
    times = {name: call["time"] for call in events for name in (call["id"], call["data"].get("session"))}
    outcomes = list(make_outcomes(events))
    for outcome in outcomes:
        intake.accept_event(outcome)
        about = outcome["data"].get("session") or outcome["data"]["of"]["id"]
        assert outcome["time"] > times[about]
    assert {outcome["data"]["metric"] for outcome in outcomes} == {kind.metric for kind in OUTCOMES.values()}
    assert outcomes == list(make_outcomes(events))
    agents = [work for work in WORKLOADS if work.kind == "agent"]
    stuck = (
        outcome["data"]["value"]
        for seed in range(60)
        for outcome in make_outcomes(
            make_session(agents[seed % 3], f"s{seed}", "t", datetime(2026, 1, 1, tzinfo=UTC), Random(seed), True)
        )
    )
    assert set(stuck) == {"0"}


def test_the_registry_has_every_team(tmp_path: Path) -> None:
    settings, log = Settings(home=tmp_path), EmbeddedLog(tmp_path)
    apply_file(log, settings, REGISTRY, NAME, None)
    declared = {names[-1] for _, names in read_registry(log, NAME) if names[0] == "team"}
    assert declared >= {work.team for work in WORKLOADS}


@pytest.mark.parametrize("quantiles", [CODE_INPUT, CHAT_INPUT])
def test_lengths_have_the_traces_shape(quantiles: tuple[int, ...]) -> None:
    chance = Random(1)
    lengths = sorted(draw_length(quantiles, chance) for _ in range(20_000))
    assert abs(median(lengths) / quantiles[SHARES.index(0.5)] - 1) < 0.05
    assert quantiles[0] <= lengths[0] and lengths[-1] <= quantiles[-1]


def test_a_second_fill_adds_only_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tally.demo.MONTH", timedelta(days=1))
    settings = Settings(home=tmp_path)
    log = EmbeddedLog(tmp_path)
    steps: list[tuple[int, int]] = []
    fill(log, settings, lambda count, total: steps.append((count, total)))
    assert steps[-1][0] == steps[-1][1] >= 2
    before = list(records(log, EVENTS, partition_of(NAME)))
    fill(log, settings)
    after = list(records(log, EVENTS, partition_of(NAME)))
    ids = [line.split(b'"source"')[0] for record in after[len(before) :] for line in record.value.split(b"\n")]
    assert len(after) - len(before) <= 1 and len(ids) < 60
    assert sum(log.end(EVENTS, record) for record in range(PARTITIONS)) == len(after)
