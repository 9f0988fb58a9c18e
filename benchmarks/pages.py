"""The queries of each page on a large ledger: ``python -m benchmarks.pages [CALLS] [HOME]``.

A home's warehouse is filled with calls of a month from a seed (two million unless told), three entries each, in call
trees of ten, by one organization of 40 teams, with a budget for a day and for 30 days of each team, and 60 alerts. For
each page its queries run one after another, as one opening of the page sends them, without Streamlit and the browser.
Printed are the median and the 95th percentile of ``OPENINGS`` openings, the processor time of the warehouse, and its
ratio to that of a bare sum over all entries; and of the query that took longest the duration, and its ratio to a bare
sum over the rollup that it reads. A ``HOME`` that is filled already is measured as it is.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from clickhouse_connect.driver.client import Client

from benchmarks.harness.embedded import running_warehouse
from benchmarks.harness.processor import read_processor_s
from dashboards import periods
from dashboards.pages.budgets import queries as budget_queries
from dashboards.pages.call import queries as call_queries
from dashboards.pages.call.history import load_history
from dashboards.pages.explore import queries as explore_queries
from dashboards.pages.incidents import queries as incident_queries
from dashboards.pages.trust import queries as trust_queries
from dashboards.slices import Slice
from dashboards.sources import arrivals, usage
from dashboards.sources.usage import View
from dashboards.sources.versions import read_identity
from ledger.home.presence import find_presence
from ledger.log import Position
from ledger.settings import Settings
from tally.dbt_models import build_models
from warehouse.client import connect
from warehouse.migrate import migrate

OPENINGS = 20
EVENTS_PER_RECORD = 200
RECORDS_PER_INSERT = 250
CALLS_PER_TREE = 10
"""Of these, one in sixteen names a parent that comes later."""

DAYS = 30
END = datetime(2026, 11, 1, tzinfo=UTC)
"""The end of the ledger's time: a fixed one, so that two runs measure the same rows."""

NOW = END - timedelta(minutes=7)
"""The moment at which periods end."""

PARTITION = 3
BARE_SUM = "SELECT organization, sum(quantity), sum(billed_cost) FROM tally.entries GROUP BY organization"
ROLLUP_SUM = "SELECT organization, {sums} FROM analytics.{rollup} GROUP BY organization"
ROLLUPS = {
    "rollup_calls": "sum(tokens), sum(billed_cost)",
    "rollup_usage_hours": "sum(tokens), sum(billed_cost)",
    "rollup_budget_ticks": "sum(unknown_tokens), sum(spend)",
}
MARTS = {"fct_usage_hourly": "rollup_usage_hours", "fct_budgets": "rollup_budget_ticks"}
"""The rollups of these marts; the others read ``rollup_calls``, or no rollup and are small."""

_FILL = """
INSERT INTO tally.entries_in (
    `partition`, `offset`, seq, event_index, accepted_ms, organization, outcome, kind, source, id, time_us, provider,
    model, model_resolved, team, project, feature, agent, session, customer, user, environment, payer, `key`, status,
    root_call, parent_call, tags, latency_ms, usage_source, pricing, currency, price_document, price_id, channel,
    received, lines
)
WITH
    intDiv(number, {size} + 1) AS record,
    number % ({size} + 1) AS place,
    place = {size} AS is_record,
    record * {size} + place AS call,
    cityHash64(call) AS chance,
    chance % 41 * (chance % 37) % 40 AS team_number,
    intDiv(chance, 1000) % 4 AS kind_number,
    ['gpt-4o', 'gpt-4.1-mini', 'claude-sonnet-4-5', 'claude-haiku-4-5', 'gemini-2.5-flash', 'in-house-7b'] AS models,
    models[1 + least(intDiv(chance, 7) % 6, intDiv(chance, 11) % 6)] AS model_name,
    1 + intDiv(chance, 13) % 4000 AS input,
    1 + intDiv(chance, 17) % 800 AS output,
    intDiv(chance, 19) % 3000 AS cached,
    call - call % {tree_size} AS tree,
    if(chance % 16 = 0, call + 1, tree + intDiv(chance, 43) % greatest(call - tree, 1)) AS parent
SELECT
    {partition}, record, if(is_record, {size} + 1, place + 1), place,
    {start_ms} + toInt64((record + 1) * {size} * {step_ms}),
    'acme', if(is_record, 'record', 'counted'), if(is_record, '', 'inference'), 'benchmark', toString(call),
    1000 * ({start_ms} + toInt64(call * {step_ms})),
    ['openai', 'openai', 'anthropic', 'anthropic', 'google', 'in-house'][indexOf(models, model_name)],
    model_name, model_name, concat('team-', toString(team_number)), 'assistant',
    concat('feature-', toString(team_number % 12), '-', toString(kind_number)),
    concat('agent-', toString(team_number), '-', toString(kind_number % 3)),
    concat('session-', toString(intDiv(call, 40)), '-', toString(chance % 8)),
    if(kind_number = 0, concat('customer-', toString(intDiv(chance, 23) % 50)), ''),
    concat('user-', toString(intDiv(chance, 29) % 5000)), 'production', 'platform', 'k1', 'ok',
    if(is_record, '', toString(tree)), if(is_record or call = tree, '', toString(parent)),
    if(intDiv(chance, 37) % 3 = 0, map('epic', concat('epic-', toString(intDiv(chance, 41) % 20))), map()),
    intDiv(chance, 31) % 5000, 'reported',
    multiIf(is_record, '', model_name = 'in-house-7b', 'unpriced', 'priced'),
    if(is_record or model_name = 'in-house-7b', '', 'USD'), 'book', model_name, 'benchmark', if(is_record, {size}, 0),
    if(is_record, [], arrayMap(
        (class, quantity, price) -> (
            class, toInt64(quantity),
            if(model_name = 'in-house-7b', null, toDecimal128(price, 12)),
            if(model_name = 'in-house-7b', null, toDecimal128(price, 12) * quantity),
            if(model_name = 'in-house-7b', null, toDecimal128(price, 12) * quantity),
            if(model_name = 'in-house-7b', null, toDecimal128(price, 12) * quantity),
            if(model_name = 'in-house-7b', null, toDecimal128(price, 12) * quantity),
            null
        )::Tuple(
            class String, quantity Int64, unit_price Nullable(Decimal(38, 12)), list_cost Nullable(Decimal(38, 12)),
            contracted_cost Nullable(Decimal(38, 12)), effective_cost Nullable(Decimal(38, 12)),
            billed_cost Nullable(Decimal(38, 12)), greatest_cost Nullable(Decimal(38, 12))
        ),
        ['input', 'output', 'cache_read'], [input, output, cached], ['0.0000025', '0.00001', '0.00000125']
    ))
FROM numbers({first}, {count})
"""


_FILL_BUDGETS = """
INSERT INTO tally.decisions_in (
    `partition`, `offset`, seq, event_index, accepted_ms, organization, decision, control_type, dimension, scope,
    window_s, limit, currency, event_source, event_id
)
SELECT
    {partition}, 0, number + 1, -1, {start_ms}, 'acme', 'control.applied', 'budget.allocated', 'team',
    concat('team-', toString(intDiv(number, 2))), if(number % 2 = 0, 86400, 2592000), 1000, 'USD', 'benchmark',
    concat('budget-', toString(number))
FROM numbers(80)
"""
_FILL_ALERTS = """
INSERT INTO tally.alerts_in (
    `partition`, `offset`, seq, event_index, accepted_ms, organization, alert, state, detector, session, agent, team,
    repeats, spent, since_us, last_us, evidence
)
SELECT
    {partition}, max(offset), row_number() OVER (ORDER BY session), 0, toUnixTimestamp64Milli(max(accepted_at)), 'acme',
    concat('alert-', session), 'raised', 'context_growth', session, any(agent), any(team), count(), map('USD', 1),
    toUnixTimestamp64Micro(min(time)), toUnixTimestamp64Micro(max(time)),
    [('benchmark', min(id), {partition}, min(offset), 0)]
FROM tally.events WHERE session != '' AND cityHash64(session) % 5000 = 0 GROUP BY session ORDER BY session LIMIT 60
"""


class Duration(NamedTuple):
    """Of openings of a page: the median, the 95th percentile, and the median of the warehouse's processor time."""

    median_s: float
    p95_s: float
    processor_s: float

    def __str__(self) -> str:
        return f"{self.median_s:6.2f} s {self.p95_s:6.2f} s {self.processor_s:8.2f} s"


def fill(client: Client, calls: int) -> None:
    """Store the calls as the sink would: in inserts of whole records, each within one month of acceptance."""
    start_ms = int((END - timedelta(days=DAYS)).timestamp() * 1000)
    step_ms = DAYS * 86_400_000 / calls
    record_count, record = calls // EVENTS_PER_RECORD, 0
    while record < record_count:
        month = _find_month(start_ms, step_ms, record)
        count = 1
        while (
            count < RECORDS_PER_INSERT
            and record + count < record_count
            and _find_month(start_ms, step_ms, record + count) == month
        ):
            count += 1
        client.command(
            _FILL.format(
                size=EVENTS_PER_RECORD, partition=PARTITION, start_ms=start_ms, step_ms=step_ms,
                tree_size=CALLS_PER_TREE,
                first=record * (EVENTS_PER_RECORD + 1), count=count * (EVENTS_PER_RECORD + 1),
            ),
            settings={"max_block_size": 100_000, "max_insert_threads": 1},
        )  # fmt: skip
        record += count
    for statement in (_FILL_BUDGETS, _FILL_ALERTS):
        client.command(statement.format(partition=PARTITION, start_ms=start_ms))


def _find_month(start_ms: int, step_ms: float, record: int) -> tuple[int, int]:
    accepted_ms = start_ms + int((record + 1) * EVENTS_PER_RECORD * step_ms)
    accepted = datetime.fromtimestamp(accepted_ms / 1000, UTC)
    return accepted.year, accepted.month


def list_pages() -> dict[str, Callable[[], object]]:
    """Return the queries of one opening of each page, with the controls as it opens and as people set them."""

    def open_overview(period: str, order: str, dimension: str = "team", **filters: list[str]) -> None:
        extent = usage.find_extent()
        assert extent is not None
        usage.choose_poll_interval_s()
        for name in usage.DIMENSIONS:
            usage.list_values(name)
        usage.list_currencies()
        view = View(periods.resolve(period, NOW, extent), filters, dimension, "USD")
        groups = usage.read_groups(view, 8, Slice(), Slice(size=6))
        span = usage.crop_to_calls(view.period.now)
        usage.list_bars(view, span, periods.choose_bar_s(span), groups.names)
        usage.list_calls(view, order, Slice(size=13))

    def open_explore(period: str, *dimensions: str) -> None:
        extent = usage.find_extent()
        assert extent is not None
        explore_queries.list_tag_keys()
        usage.list_currencies()
        view = explore_queries.View(
            periods.resolve(period, NOW, extent), "Europe/Berlin", {}, dimensions, "billed", "USD"
        )
        groups = explore_queries.read_groups(view, 8, Slice(), Slice(size=8))
        explore_queries.list_segments(view)
        span = usage.crop_to_calls(view.period.now)
        explore_queries.list_bars(view, span, periods.choose_bar(span), groups.top)

    return {
        "explore, 30 days by team and model": lambda: open_explore("30d", "team", "model"),
        "explore, all time by customer": lambda: open_explore("all", "customer"),
        "explore, 24 hours by user (single calls)": lambda: open_explore("24h", "user"),
        "overview, 7 days": lambda: open_overview("7d", "newest"),
        "overview, 24 hours": lambda: open_overview("24h", "newest"),
        "overview, all time": lambda: open_overview("all", "newest"),
        "overview, one team by model": lambda: open_overview("30d", "newest", "model", team=["team-7"]),
        "overview, most expensive calls, 30 days": lambda: open_overview("30d", "most expensive"),
        "call": _open_call,
        "trust": _open_trust,
        "incidents": _open_incidents,
        "incident": _open_incident,
        "budgets": _open_budgets,
        "start": lambda: (arrivals.find_newest(), arrivals.count_rejected()),
    }


def _open_trust() -> None:
    for dimension in ("organization", "channel"):
        trust_queries.sum_counts_by(dimension)
    trust_queries.list_unknown_usage(Slice())
    trust_queries.list_left_out_fields(Slice())
    for outcome in ("quarantined", "conflict", "held", "duplicate"):
        trust_queries.list_newest_events(outcome, Slice(size=10))
    trust_queries.list_decisions(True, Slice(size=10))
    trust_queries.list_decisions(False, Slice(size=10))
    trust_queries.list_alerts(Slice(size=10))
    trust_queries.count_stored_records()


def _open_call() -> None:
    position = Position(PARTITION, 10, 17)
    event = call_queries.find_event(position)
    assert event is not None
    history = load_history(event)
    call = history.call
    assert call is not None
    call_queries.list_entries(history.calls)
    call_queries.list_arrivals(read_identity(event))
    call_queries.list_session_calls("acme", call["session"], Slice(size=50))


def _open_budgets() -> None:
    usage.choose_poll_interval_s()
    budget_queries.list_holders("all", 24, Slice())
    budget_queries.list_refusals(24, Slice())
    budget_queries.list_crossings(Slice(size=20))


def _open_incidents() -> None:
    usage.choose_poll_interval_s()
    incident_queries.sum_states()
    incident_queries.list_active("", Slice(size=20))
    incident_queries.list_over("", Slice(size=20))
    incident_queries.list_detectors()


def _open_incident() -> None:
    (row,) = incident_queries.list_over("runaway", Slice(size=1))
    incident_queries.find_episode(row["episode_id"])
    incident_queries.list_minutes(row["episode_id"])
    incident_queries.list_calls(row["episode_id"], Slice(size=50))


def main(calls: int, folder: str | None) -> None:
    """Fill a warehouse unless it is filled, and measure."""
    with ExitStack() as stack:
        home = Path(folder or stack.enter_context(tempfile.TemporaryDirectory()))
        is_filled = (home / "warehouse").exists()
        home.mkdir(parents=True, exist_ok=True)
        settings = Settings(home=home, warehouse=None, warehouse_port=0)
        stack.enter_context(running_warehouse(settings))
        client = connect(settings)
        if not is_filled:
            migrate(client)
            fill(client, calls)
        start_s = time.perf_counter()
        build_models(settings)
        print(f"models and rollups built in {time.perf_counter() - start_s:.1f} s")
        ((stored_calls,),) = client.query("SELECT count() FROM tally.events").result_rows
        ((stored_entries,),) = client.query("SELECT count() FROM tally.entries").result_rows
        print(f"{stored_calls:,} calls, {stored_entries:,} entries")
        durations_s: dict[str, list[float]] = {}
        forget = _query_directly(client, durations_s)
        bare = measure(settings, lambda: client.query(BARE_SUM))
        print(
            f"{'':40} {'median':>8} {'p95':>8} {'processor':>10} {'of all entries':>15} {'longest query':>14} {'':>10}"
        )
        print(f"{'bare sum over all entries':40} {bare}")
        sums_s = {}
        for rollup, sums in ROLLUPS.items():
            sql = ROLLUP_SUM.format(rollup=rollup, sums=sums)
            rollup_sum = measure(settings, lambda: client.query(sql))  # noqa: B023
            print(f"{f'bare sum over {rollup}':40} {rollup_sum}")
            sums_s[rollup] = rollup_sum.median_s
        for title, open_page in list_pages().items():
            durations_s.clear()
            opening = measure(settings, lambda: (forget(), open_page()))  # noqa: B023  (called at once)
            longest_s, sql = max((statistics.median(durations), sql) for sql, durations in durations_s.items())
            rollup = next((MARTS[mart] for mart in MARTS if mart in sql), "rollup_calls")
            print(
                f"{title:40} {opening} {opening.processor_s / bare.processor_s:12.1f} {longest_s:12.2f} s"
                f" {longest_s / sums_s[rollup]:6.1f} of {rollup}"
            )


def _query_directly(client: Client, durations_s: dict[str, list[float]]) -> Callable[[], None]:
    """Let the pages' modules query without Streamlit, and note the duration of each statement. Return what forgets the
    answers: a page asks each query once."""
    answers: dict[str, list[dict[str, Any]]] = {}

    def query(sql: str, **parameters: Any) -> list[dict[str, Any]]:
        key = f"{sql} {parameters}"
        if key not in answers:
            start_s = time.perf_counter()
            answers[key] = list(client.query(sql, parameters=parameters, tz_mode="aware").named_results())
            durations_s.setdefault(sql, []).append(time.perf_counter() - start_s)
        return answers[key]

    for module in (usage, trust_queries, call_queries, incident_queries, budget_queries, explore_queries, arrivals):
        for name in ("ask", "ask_slowly"):
            if hasattr(module, name):
                setattr(module, name, query)
    return answers.clear


def measure(settings: Settings, work: Callable[[], object]) -> Duration:
    """Return the duration of one run, of ``OPENINGS``."""
    presence = find_presence(settings.home, "warehouse")
    assert presence is not None
    durations_s, processor_s = [], []
    for _ in range(OPENINGS):
        start_s, processor_start_s = time.perf_counter(), read_processor_s(presence["pid"])
        work()
        durations_s.append(time.perf_counter() - start_s)
        processor_s.append(read_processor_s(presence["pid"]) - processor_start_s)
    durations_s.sort()
    p95_s = durations_s[min(int(OPENINGS * 0.95), OPENINGS - 1)]
    return Duration(statistics.median(durations_s), p95_s, statistics.median(processor_s))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2_000_000, sys.argv[2] if len(sys.argv) > 2 else None)
