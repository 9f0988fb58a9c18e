"""Queries of the page Call trees: the most expensive call trees and sessions, and the steps of one."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from dashboards.pages.trees.outline import Step
from dashboards.periods import Span
from dashboards.slices import Slice, build_limit, build_search
from dashboards.sources.warehouse import Row, ask, ask_slowly

MAX_STEPS = 10_000
"""Steps that the page reads: the most expensive ones. Its totals hold all of them."""
MAX_KINDS = 200
MAX_LIVE_STEPS = 1_000


class Scope(NamedTuple):
    """A call tree (by its root) or a session, of an organization."""

    organization: str  # empty where the link names none: then any
    tree_key: str = ""
    session: str = ""

    @property
    def noun(self) -> str:
        return "session" if self.session else "call tree"

    @property
    def condition(self) -> str:
        """The condition on steps, on columns alone, so that the warehouse reads only what it must."""
        column = "steps.session = {session:String}" if self.session else "steps.tree_key = {tree_key:String}"
        return f"{_IN_ORGANIZATION} and {column}"


class CallIdentity(NamedTuple):
    """A call by its identity, as links carry it."""

    organization: str
    source: str
    id: str


class Selection(NamedTuple):
    """The selection of a list: a period, a currency, and the rows of a page, of those that have the searched text."""

    span: Span
    currency: str
    rows: Slice


_IN_ORGANIZATION = "(empty({organization:String}) or steps.organization = {organization:String})"
_FIND_TREE = (
    "select steps.organization as organization, steps.tree_key as tree_key from analytics.fct_call_steps as steps"
    f" where {_IN_ORGANIZATION}"
)
_TOTALS = """
    select
        grouping(steps.currency) as is_whole,
        grouping(steps.model) = 0 as is_kind,
        steps.currency as currency,
        steps.agent as agent,
        steps.tool as tool,
        steps.operation as operation,
        steps.model as model,
        countIf(steps.is_own_currency) as step_count,
        min(steps.occurred_at) as started_at,
        max(steps.occurred_at + toIntervalMillisecond(coalesce(steps.latency_ms, 0))) as ended_at,
        sum(steps.calls) as call_count,
        sum(steps.tokens) as token_count,
        sum(steps.cached_tokens) as cached_token_count,
        sumIf(steps.calls, steps.is_failed) as failed_calls,
        sumIf(steps.calls, steps.is_retry) as retried_calls,
        sumIf(steps.calls, steps.is_fallback) as fallback_calls,
        sumIf(steps.calls, steps.response_cache = 'hit') as cached_calls,
        sumIf(steps.calls, steps.pricing not in ('priced', 'free')) as unpriced_calls,
        countIf(steps.is_own_currency and steps.corrected_by != '') as corrected_steps,
        countIf(steps.is_own_currency and steps.is_orphan) as orphan_count,
        countIf(steps.is_own_currency and steps.linked_by = 'circle') as circle_count,
        uniqExact(steps.tree_key) as tree_count,
        arraySort(groupUniqArrayIf(1000)(steps.session, steps.session != '')) as sessions,
        sum(steps.billed_cost) as cost,
        sum(steps.cache_saved_cost) as prompt_saved,
        sum(steps.saved_cost) as gateway_saved,
        sumIf(steps.billed_cost, steps.is_failed) as failed_cost,
        sumIf(steps.billed_cost, steps.is_retry) as retry_cost,
        sumIf(steps.billed_cost, steps.is_fallback) as fallback_cost
    from analytics.fct_call_steps as steps
    where {condition}
    group by grouping sets (
        (),
        (steps.currency),
        (steps.currency, steps.agent, steps.tool, steps.operation, steps.model)
    )
    having step_count > 0
    order by is_kind, cost desc nulls last, call_count desc, currency, agent, tool, operation, model
    limit {{max_rows:UInt32}} by is_whole, is_kind
"""
"""The sums of a scope: of everything, by currency, and by kind of step (agent, tool, operation, model)."""
_STEPS = """
    select
        steps.call_key as key,
        any(steps.above_key) as above_key,
        any(steps.linked_by) as linked_by,
        any(steps.is_orphan) as is_orphan,
        any(steps.occurred_at) as occurred_at,
        any(steps.latency_ms) as latency_ms,
        any(steps.organization) as organization,
        any(steps.event_source) as event_source,
        any(steps.event_id) as event_id,
        any(steps.session) as session,
        any(steps.agent) as agent,
        any(steps.tool) as tool,
        any(steps.operation) as operation,
        any(steps.provider) as provider,
        any(steps.model) as model,
        any(steps.status) as status,
        any(steps.is_failed) as is_failed,
        any(steps.is_retry) as is_retry,
        any(steps.is_fallback) as is_fallback,
        any(steps.response_cache) = 'hit' as is_cache_hit,
        any(steps.corrected_by) as corrected_by,
        any(steps.pricing) as pricing,
        sum(steps.calls) as calls,
        sum(steps.tokens) as tokens,
        sum(steps.cached_tokens) as cached_tokens,
        groupArray((
            steps.currency, steps.billed_cost, steps.cache_saved_cost, steps.saved_cost, steps.subtree_billed_cost
        )) as amounts,
        sum(steps.subtree_calls) as below_calls,
        sum(steps.subtree_tokens) as below_tokens
    from analytics.fct_call_steps as steps
    where {condition}
    group by steps.call_key
    order by
        sumIf(coalesce(steps.subtree_billed_cost, 0), steps.currency = {{currency:String}}) desc,
        below_tokens desc, any(steps.depth), occurred_at, key
    limit {{max_rows:UInt32}}
"""
"""Steps in an order in which those above a step come before it, so that the first of them are a tree too."""


def find_scope(identity: CallIdentity) -> Scope | None:
    """Return the call tree of a call; None where no counted call has the identity.

    A correction's replacement stands in the place, and under the identity, of the call that it corrects.
    """
    by_identity = " and steps.event_source = {source:String} and steps.event_id = {id:String} limit 1"
    by_version = (
        " and steps.call_key in (select call_key from analytics.fct_calls as steps"
        f" where {_IN_ORGANIZATION} and steps.event_source = {{source:String}} and steps.event_id = {{id:String}})"
        " limit 1"
    )
    for condition in (by_identity, by_version):
        rows = ask(_FIND_TREE + condition, **identity._asdict())
        if rows:
            return Scope(rows[0]["organization"], tree_key=rows[0]["tree_key"])
    return None


def sum_steps(scope: Scope, max_rows: int = MAX_KINDS) -> list[Row]:
    """List the sums of a scope: that of everything (``is_whole``, without amounts to add), one for each currency, and
    those of the most expensive kinds of steps (``is_kind``). Empty where it has no steps."""
    sql, parameters = _TOTALS.format(condition=scope.condition), {"max_rows": max_rows, **scope._asdict()}
    rows = ask(sql, **parameters)
    if is_long(rows):
        rows = ask_slowly(sql, **parameters)
    return rows


def is_long(sums: list[Row]) -> bool:
    """Tell whether a scope has so many steps that they are read every half minute only."""
    return any(row["step_count"] > MAX_LIVE_STEPS for row in sums if row["is_whole"])


def list_steps(scope: Scope, currency: str, sums: list[Row]) -> list[Step]:
    """List the steps of a scope, those first that cost the most with all below them, and at most ``MAX_STEPS``."""
    ask_warehouse = ask_slowly if is_long(sums) else ask
    rows = ask_warehouse(
        _STEPS.format(condition=scope.condition), currency=currency, max_rows=MAX_STEPS, **scope._asdict()
    )
    return [_read_step(row) for row in rows]


def _read_step(row: Row) -> Step:
    amounts = row.pop("amounts")
    return Step(
        **row,
        cost=_name_amounts((currency, billed) for currency, billed, _, _, _ in amounts),
        saved=_name_amounts(
            (currency, None if prompt is None and gateway is None else (prompt or 0) + (gateway or 0))
            for currency, _, prompt, gateway, _ in amounts
        ),
        below_cost=_name_amounts((currency, below) for currency, _, _, _, below in amounts),
    )


def _name_amounts(pairs: Iterable[tuple[str, Any]]) -> dict[str, Decimal]:
    return {currency: Decimal(amount) for currency, amount in pairs if amount is not None}


def list_owners(scope: Scope, root: Step | None, span: Span) -> list[Row]:
    """List the teams that own the root of a tree, or the calls of a session, as of their time, with their spend."""
    condition = "calls.session = {session:String}" if scope.session else "calls.call_key = {tree_key:String}"
    times = (root.occurred_at, root.occurred_at) if root else span
    return ask(
        "select calls.owner_team as owner_team, calls.attributed_by as attributed_by,"
        " any(calls.owner_path) as owner_path, any(calls.owner_cost_center) as cost_center,"
        " arraySort(groupUniqArray(5)(calls.team)) as teams, sum(calls.calls) as number"
        " from analytics.fct_attributed_calls as calls"
        " where (empty({organization:String}) or calls.organization = {organization:String})"
        f" and {condition}"
        " and calls.occurred_at >= fromUnixTimestamp64Micro({start:Int64}, 'UTC')"
        " and calls.occurred_at <= fromUnixTimestamp64Micro({end:Int64}, 'UTC')"
        " group by owner_team, attributed_by order by number desc, owner_team limit 6",
        start=_to_micros(times[0]), end=_to_micros(times[1]), **scope._asdict(),
    )  # fmt: skip


def list_observations(scope: Scope, sessions: list[str], rows: Slice) -> list[Row]:
    """List what became known of the calls of a scope and of its sessions: a page of it, each with the count of all
    (``number``), the newest first."""
    sql = (
        "select observations.*, count() over () as number from analytics.fct_observations as observations"
        " where (empty({organization:String}) or observations.organization = {organization:String})"
        " and observations.is_in_force and (has({sessions:Array(String)}, observations.session)"
        " or observations.call_key in ("
        f"select steps.call_key from analytics.fct_call_steps as steps where {scope.condition}"
        f")) order by observations.occurred_at desc, observations.event_id {build_limit()}"
    )
    return ask(sql, sessions=sessions, **rows.build_parameters(), **scope._asdict())


def list_trees(selection: Selection) -> list[Row]:
    """List a page of the call trees that began in a period, the most expensive first; ``number`` counts all."""
    columns = ("event_id", "root_call", "session", "agent", "model", "team", "owner_team")
    sql = (
        "select trees.*, count() over () as number, sum(trees.billed_cost) over () as total_cost"
        f" from analytics.fct_call_trees as trees where {_build_times('trees.started_at')}"
        " and trees.currency in ({currency:String}, '')"
        f" and {build_search([f'trees.{column}' for column in columns])}"
        f" order by trees.billed_cost desc nulls last, trees.tokens desc, trees.tree_key {build_limit()}"
    )
    return ask_slowly(sql, **_build_parameters(selection))


def list_sessions(selection: Selection) -> list[Row]:
    """List a page of the sessions with calls in a period, by what these cost; ``number`` counts all."""
    sql = (
        "select *, count() over () as number, sum(cost) over () as total_cost from ("
        "select calls.organization as organization, calls.session as session,"
        " min(calls.occurred_at) as started_at,"
        " max(calls.occurred_at + toIntervalMillisecond(coalesce(calls.latency_ms, 0))) as ended_at,"
        " sum(calls.calls) as call_count, sum(calls.tokens) as token_count,"
        " sumIf(calls.calls, calls.status in ('error', 'refused', 'aborted')) as failed_calls,"
        " arraySort(groupUniqArrayIf(4)(toString(calls.agent), calls.agent != '')) as agents,"
        " arraySort(groupUniqArrayIf(4)(toString(calls.team), calls.team != '')) as teams,"
        " sumIf(calls.billed_cost, calls.currency = {currency:String}) as cost"
        f" from analytics.fct_calls as calls where calls.session != '' and {_build_times('calls.occurred_at')}"
        " group by organization, session having countIf(calls.currency in ({currency:String}, '')) > 0"
        f" and max({build_search(['calls.session', 'calls.agent', 'calls.team', 'calls.model'])}))"
        f" order by cost desc nulls last, token_count desc, organization, session {build_limit()}"
    )
    return ask_slowly(sql, **_build_parameters(selection))


def _build_times(column: str) -> str:
    return (
        f"{column} >= fromUnixTimestamp64Micro({{start:Int64}}, 'UTC')"
        f" and {column} < fromUnixTimestamp64Micro({{end:Int64}}, 'UTC')"
    )


def _build_parameters(selection: Selection) -> dict[str, Any]:
    times = {"start": _to_micros(selection.span.start), "end": _to_micros(selection.span.end)}
    return {**times, "currency": selection.currency, **selection.rows.build_parameters()}


def _to_micros(time: datetime) -> int:
    return int(time.timestamp() // 1) * 1_000_000 + time.microsecond
