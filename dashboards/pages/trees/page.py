"""The page Call trees: what a call tree or a session cost, and which of its steps; or the most expensive ones."""

from contextlib import nullcontext
from decimal import Decimal

import streamlit as st

from dashboards.components import empty_ledger, pager
from dashboards.components.controls import pick
from dashboards.components.format import count, percent, quantify, short
from dashboards.components.html import Html, draw_heading, draw_live_line, draw_note, link, named
from dashboards.components.links import link_session
from dashboards.pages.trees import answer, listing, queries, readings, tables
from dashboards.pages.trees.outline import Step
from dashboards.pages.trees.queries import CallIdentity, Scope
from dashboards.pages.trees.readings import Reading
from dashboards.pages.trees.time_scale import TimeScale, measure_busy_ms
from dashboards.periods import Span, format_duration
from dashboards.sources import usage
from dashboards.sources.warehouse import guard_fragment, guard_page
from dashboards.spelling import spell

MAX_LINES = 40
MAX_SESSIONS = 3
MIN_INTERVAL_S = 5
"""Seconds between refreshes, at least: a long session takes a while to read."""
ORDERS = ("time", "cost", "with all below", "duration")
FILTERS = ("all", "failed", "retries", "fallbacks", "cached", "cost not known")
WASTE = (
    ("Retries", "retried_calls", "retry_cost", "for calls that repeat another"),
    ("Fallbacks", "fallback_calls", "fallback_cost", "for calls that stand in for another"),
    ("Failed", "failed_calls", "failed_cost", "for calls that ended as error, refused or aborted"),
)
SAVINGS = (
    ("Cache savings", "prompt_saved", "what the provider's cache served, at the price of uncached input, less its own"),
    ("Gateway savings", "gateway_saved", "at list price, of calls that a gateway's cache answered; in no other figure"),
)


@guard_page
def page() -> None:
    query = st.query_params
    interval_s = max(usage.choose_poll_interval_s(), MIN_INTERVAL_S)
    if "session" in query:
        target: Scope | CallIdentity = Scope(query.get("organization", ""), session=query["session"])
    elif "source" in query and "id" in query:
        target = CallIdentity(query.get("organization", ""), query["source"], query["id"])
    else:
        listing.show(interval_s)
        return
    st.fragment(guard_fragment(_show), run_every=interval_s)(target, query.get("step", ""))


def _show(target: Scope | CallIdentity, focus_key: str) -> None:
    """Draw a call tree or a session, as of one time."""
    is_first = st.session_state.get("trees_target") != target
    with st.spinner("Reading the calls. Thousands take some seconds.") if is_first else nullcontext():
        scope = queries.find_scope(target) if isinstance(target, CallIdentity) else target
        reading = readings.read(scope) if scope else None
    st.session_state.trees_target = target
    if reading is None:
        _show_missing(target)
        return
    _show_answer(reading)
    _show_headline(reading)
    _show_warnings(reading)
    _show_timeline(reading, target, focus_key if focus_key in reading.outline.steps else "")
    _show_steps(reading, target)
    _show_kinds(reading)
    _show_observations(reading)
    st.html(f'<div class="tally">{link("Most expensive call trees and sessions", "trees", {})}</div>')
    draw_live_line(" · a long one is read every 30 s" if reading.is_long else "")


def _show_missing(target: Scope | CallIdentity) -> None:
    if usage.find_extent() is None:
        empty_ledger.show()
        return
    subject = "of this session" if isinstance(target, Scope) else "with this identity"
    st.info(f"The ledger has no counted call {subject}. It may not have arrived yet, or the link is incomplete.")
    st.html(f'<div class="tally">{link("Most expensive call trees and sessions", "trees", {})}</div>')
    draw_live_line()


def _show_answer(reading: Reading) -> None:
    """Draw the question, its answer, and who owns it."""
    scope, counts = reading.scope, reading.counts
    draw_note(f"What did this {scope.noun} cost, and which step of it?")
    cost = answer.describe_cost(scope.noun, reading.cost, int(counts["call_count"]), reading.duration_ms)
    steps = list(reading.outline.steps.values())
    top_step = answer.describe_top_step(steps, reading.kinds, reading.cost, reading.currency)
    draw_heading(f"{cost} {top_step}".strip())
    start, end = counts["started_at"], counts["ended_at"]
    end_text = f"{end:%H:%M:%S}" if start.date() == end.date() else f"{end:%Y-%m-%d %H:%M:%S}"
    facts = [*_describe_owners(reading), *_link_scopes(reading), f"{start:%Y-%m-%d %H:%M:%S} – {end_text} UTC"]
    draw_note(Html(" · ".join(facts)))


def _describe_owners(reading: Reading) -> list[Html]:
    """Name the team that owns the root of a tree, or those that own the calls of a session, and what says so."""
    span = Span(reading.counts["started_at"], reading.counts["ended_at"])
    owners = [
        Html(f"{_link_team(row['owner_team'])} (by {row['attributed_by']})") if row["owner_team"] else Html("nobody")
        for row in queries.list_owners(reading.scope, reading.root, span)
    ]
    return [Html(f"Owned by {', '.join(owners)}")] if owners else []


def _link_team(team: str) -> Html:
    return link(team, "overview", {"period": "all", "team": spell(team)})


def _link_scopes(reading: Reading) -> list[Html]:
    """Return links to the sessions of a tree; of a session, its name and the number of its trees."""
    if reading.scope.session:
        trees = int(reading.counts["tree_count"])
        return [
            Html(f"Session {named(reading.scope.session)}"),
            Html(quantify(trees, "call tree")),
        ]
    sessions = reading.counts["sessions"]
    links = [link_session(name, reading.organization, f"Session {name}") for name in sessions[:MAX_SESSIONS]]
    return [*links, Html("more sessions")] if len(sessions) > MAX_SESSIONS else links


def _show_headline(reading: Reading) -> None:
    counts = reading.counts
    spans = (Span(step.occurred_at, step.ended_at) for step in reading.outline.steps.values())
    tokens, cached = int(counts["token_count"]), int(counts["cached_token_count"])
    with st.container(horizontal=True, key="headline"):
        st.metric("Spend", answer.format_amounts(reading.cost), border=True, help=answer.format_exact(reading.cost))
        st.metric("Calls", count(int(counts["call_count"])), border=True)
        if reading.duration_ms:
            text = f"A call was under way in {answer.format_latency(measure_busy_ms(spans))} of it"
            st.metric("Duration", answer.format_latency(reading.duration_ms), border=True, help=text)
        hint = f"{count(tokens)} tokens, {percent(cached, tokens)}% of them read from a cache"
        st.metric("Tokens", short(tokens), border=True, help=hint)
        for label, name, meaning in SAVINGS:
            if any(amounts := reading.sum_amounts(name)):
                text = f"{answer.format_exact(amounts)}: {meaning}"
                st.metric(label, answer.format_amounts(amounts), border=True, help=text)
        for label, number, name, meaning in WASTE:
            if counts[number]:
                amounts = reading.sum_amounts(name)
                text = f"{answer.format_exact(amounts) or 'Unpriced'} {meaning}"
                st.metric(
                    f"{label} ({count(int(counts[number]))})", answer.format_amounts(amounts), border=True, help=text
                )


def _show_warnings(reading: Reading) -> None:
    """Say what the figures leave out, and what is odd about the tree."""
    counts = reading.counts
    texts = []
    if number := int(counts["unpriced_calls"]):
        texts.append(
            f"<b>Not in spend:</b> {quantify(number, 'call')} of which the cost is not known, or not in full."
            " The filter “cost not known” lists them below, and the page of each says why."
        )
    if number := int(counts["orphan_count"]):
        subject = "1 step names a parent that is" if number == 1 else f"{count(number)} steps name parents that are"
        texts.append(
            f"{subject} not known: not counted, later than this reading, or no call. Each hangs below the call that it"
            " names as its root, or else stands at the top."
        )
    if counts["circle_count"]:
        texts.append("Calls name each other as their parents in a circle. The earliest of them is drawn as the root.")
    if reading.has_calls_elsewhere:
        texts.append(
            "Steps of this session caused calls of other sessions. All figures here are of this session alone; the call"
            " tree of a step has the others, too."
        )
    if number := reading.unread_steps:
        texts.append(
            f"The timeline and the steps are the {count(len(reading.outline.steps))} most expensive ones."
            f" {count(number)} more are in every total, and page SQL lists them."
        )
    for text in texts:
        st.html(f'<div class="tally unknown">{text}</div>')


def _show_timeline(reading: Reading, target: Scope | CallIdentity, focus_key: str) -> None:
    outline = reading.outline
    lines = outline.fold(focus_key, reading.totals, MAX_LINES)
    scale = TimeScale(Span(step.occurred_at, step.ended_at) for step in outline.list_below(focus_key))
    view = _build_link(target)
    st.subheader("Timeline", anchor="timeline")
    notes = []
    if focus_key:
        notes.append(f"Below one step. {link(f'The whole {reading.scope.noun}', 'trees', view)}")
    number = outline.steps[focus_key].below_calls if focus_key else reading.totals.calls
    drawn_steps = [line.node for line in lines if isinstance(line.node, Step)]
    if (folded_calls := number - sum(step.calls for step in drawn_steps)) > 0:
        subject = "1 step is" if len(drawn_steps) == 1 else f"{count(len(drawn_steps))} steps are"
        notes.append(
            f"{subject} drawn, those that cost the most; {quantify(folded_calls, 'call')} folded"
            " together. A link opens what is below a step, and all of them are listed further down."
        )
    if scale.idle:
        notes.append(f"{format_duration(scale.idle)} without a call are cut short, where the timeline is hatched.")
    if notes:
        draw_note(Html(" ".join(notes)))
    tables.draw_timeline(lines, outline, scale, view)


def _build_link(target: Scope | CallIdentity) -> dict[str, object]:
    """Return the parameters of a link to this view."""
    if isinstance(target, Scope):
        return {"session": target.session, "organization": target.organization}
    return dict(target._asdict())


def _show_steps(reading: Reading, target: Scope | CallIdentity) -> None:
    st.subheader("Steps", anchor="steps")
    rows = pager.read_slice("steps")
    if len(reading.outline.steps) == 1:
        tables.draw_steps(reading.outline.steps.values(), _build_link(target))
        return
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="bottom"):
        filter_name = pick("Show", FILTERS, "only")
        order = pick("Order by", ORDERS, "order")
        pager.draw_search("steps", "Search tool, agent, model, id", rows, len(reading.outline.steps))
    steps = _select_steps(reading, filter_name, order, rows.search)
    if steps:
        tables.draw_steps(steps[rows.first : rows.last], _build_link(target))
    elif not rows.search:
        st.caption("No step of this kind.")
    pager.draw_pages("steps", rows, len(steps))


def _select_steps(reading: Reading, filter_name: str, order: str, words: str) -> list[Step]:
    """Return the steps of a filter that have the searched text, in an order."""
    steps = [step for step in reading.outline.steps.values() if _passes(step, filter_name) and _has(step, words)]
    steps.sort(key=lambda step: (step.occurred_at, step.key))
    if order == "cost":
        steps.sort(key=lambda step: -step.cost.get(reading.currency, Decimal(0)))
    elif order == "with all below":
        steps.sort(key=lambda step: -step.below_cost.get(reading.currency, Decimal(0)))
    elif order == "duration":
        steps.sort(key=lambda step: -(step.latency_ms or 0))
    return steps


def _passes(step: Step, filter_name: str) -> bool:
    return {
        "failed": step.is_failed,
        "retries": step.is_retry,
        "fallbacks": step.is_fallback,
        "cached": step.is_cache_hit or step.cached_tokens > 0,
        "cost not known": step.pricing not in ("priced", "free"),
    }.get(filter_name, True)


def _has(step: Step, words: str) -> bool:
    names = (step.tool, step.operation, step.agent, step.model, step.provider, step.status, step.event_id)
    return words.casefold() in "\n".join(names).casefold()


def _show_kinds(reading: Reading) -> None:
    if len(reading.kinds) < 2:
        return
    st.subheader("Cost by agent, tool and model", anchor="kinds")
    rows = pager.read_slice("kinds")
    tables.draw_kinds(reading.kinds[rows.first : rows.last], reading.cost)
    pager.draw_pages("kinds", rows, len(reading.kinds))


def _show_observations(reading: Reading) -> None:
    st.subheader("Outcomes", anchor="outcomes")
    rows = pager.read_slice("outcomes")
    observations = queries.list_observations(reading.scope, reading.counts["sessions"], rows)
    if not observations:
        st.caption("No outcome is known. Send an observation about a call or its session, and it appears here.")
        return
    tables.draw_observations(observations, reading.outline)
    pager.draw_pages("outcomes", rows, int(observations[0]["number"]))
