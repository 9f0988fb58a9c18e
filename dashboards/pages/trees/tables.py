"""Tables of the page Call trees: the timeline, the steps, and what became known of them."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal

from dashboards.components.format import count, exact, money, percent, quantify
from dashboards.components.html import (
    Cell,
    Column,
    Html,
    add_line,
    add_narrow_line,
    bar,
    draw_table,
    format_time,
    link,
    mark,
    named,
    soften,
    with_hint,
)
from dashboards.components.links import link_session
from dashboards.pages.trees.answer import (
    format_amounts,
    format_cost,
    format_exact,
    format_latency,
)
from dashboards.pages.trees.outline import Amounts, Group, Line, Outline, Step
from dashboards.pages.trees.time_scale import TimeScale
from dashboards.sources.warehouse import Row
from dashboards.spelling import shorten, spell

MAX_INDENT = 12
"""Levels that are indented; deeper ones stand below each step_below, with their depth in the hint."""
GROUP_CELLS = 80
"""Cells of the timeline in which the steps of a group are drawn."""
CORRECTIONS = {"reversal": "reversed", "replacement": "replaced", "acceptance": "replaced", "revision": "revised"}
Link = Mapping[str, object]


def draw_timeline(lines: Sequence[Line], outline: Outline, scale: TimeScale, view: Link) -> None:
    """Draw the lines of an outline, each with its place in time. ``view`` are the parameters of a link to the view."""
    start, end = scale.pieces[0].span.start, scale.pieces[-1].span.end
    time_format = "%H:%M:%S" if start.date() == end.date() else "%-d %b, %H:%M:%S"
    columns = [
        Column("Step", "step"), Column(f"{start:{time_format}} – {end:{time_format}} UTC", "time wide"),
        Column("Duration", "right wide"), Column("Cost", "right"), Column("With all below", "right"),
    ]  # fmt: skip
    draw_table(columns, (_build_line(line, outline, scale, view) for line in lines))


def _build_line(line: Line, outline: Outline, scale: TimeScale, view: Link) -> tuple[Cell, ...]:
    indent = f'<span class="indent" style="width:{min(line.depth, MAX_INDENT) * 0.9:.1f}rem"></span>'
    if isinstance(line.node, Step):
        return _build_step_line(line.node, indent, outline, scale, view)
    if isinstance(line.node, Group):
        return _build_group_line(line.node, indent, scale, view)
    text = f"{quantify(line.folded_calls, 'call')} more" if line.folded_calls > 0 else "more steps"
    text_cell = link(text, "trees", dict(view) | {"step": line.parent_key}) if line.parent_key else soften(text)
    cost = with_hint(format_amounts(line.folded_cost, "–"), format_exact(line.folded_cost))
    return Html(f"{indent}{text_cell}"), Html(""), None, None, cost


def _build_step_line(step: Step, indent: str, outline: Outline, scale: TimeScale, view: Link) -> tuple[Cell, ...]:
    steps = outline.list_below(step.key)
    track, has_children = _build_track(step, steps, scale), len(steps) > 1
    failed_count = sum(below_step.is_failed for below_step in steps[1:])
    below = _link_below(step, view, failed_count) if has_children else ""
    name = f"{indent}{link_step(step)}{below}{build_marks(step)}"
    return (
        Html(f'{name}{_build_detail(step.detail, indent)}<span class="narrow">{track}</span>'),
        track,
        None if step.latency_ms is None else format_latency(step.latency_ms),
        build_cost_cell(step),
        with_hint(format_amounts(step.below_cost, "–"), format_exact(step.below_cost)) if has_children else None,
    )


def _build_group_line(group: Group, indent: str, scale: TimeScale, view: Link) -> tuple[Cell, ...]:
    step, number = group.steps[0], len(group.steps)
    parameters = dict(view) | {"steps_search": spell(step.title), "order": "cost"}
    name = link(f"{count(number)} × {step.title}", "trees", parameters, "List these steps below")
    failed = mark(f"{count(group.failed_count)} failed", "over") if group.failed_count else ""
    track = _build_group_track(group, scale)
    return (
        Html(f'{indent}{name}{failed}{_build_detail(step.detail, indent)}<span class="narrow">{track}</span>'),
        track,
        None,
        with_hint(format_amounts(group.cost, "–"), format_exact(group.cost)),
        with_hint(format_amounts(group.below_cost, "–"), format_exact(group.below_cost))
        if group.below_calls > sum(step.calls for step in group.steps)
        else None,
    )


def _build_detail(detail: str, indent: str) -> Html:
    return Html(f"<br>{indent}{soften(shorten(detail))}") if detail else Html("")


def _link_below(step: Step, view: Link, failed_count: int = 0) -> Html:
    number = step.below_calls - step.calls
    text = f"{count(number)} below" + (f", {count(failed_count)} failed" if failed_count else "")
    hint = f"Show only this step and the {quantify(number, 'call')} below it"
    below = link(text, "trees", dict(view) | {"step": step.key}, hint)
    return Html(f'<span class="below">{below}</span>')


def _build_track(step: Step, below: Sequence[Step], scale: TimeScale) -> Html:
    """Return the place in time of a step, over a thin line for all below it."""
    look = "failed" if step.is_failed else "again" if step.is_retry or step.is_fallback else ""
    start, end = scale.place(step.occurred_at), scale.place(step.ended_at)
    first = scale.place(min(below_step.occurred_at for below_step in below))
    last = scale.place(max(below_step.ended_at for below_step in below))
    latency = "latency not told" if step.latency_ms is None else format_latency(step.latency_ms)
    line = _place_bar("i", "whole", first, last) if len(below) > 1 else ""
    hint = f"{step.occurred_at:%Y-%m-%d %H:%M:%S.%f} UTC, {latency}"
    return _build_frame(f"{line}{_place_bar('b', look, start, end)}", hint, scale)


def _build_group_track(group: Group, scale: TimeScale) -> Html:
    """Return the places in time of the steps of a group, those that touch as one."""
    cells: set[int] = set()
    for step in group.steps:
        first, last = (int(scale.place(time) * GROUP_CELLS / 100) for time in (step.occurred_at, step.ended_at))
        cells.update(range(first, last + 1))
    starts = sorted(cell for cell in cells if cell - 1 not in cells)
    ends = sorted(cell + 1 for cell in cells if cell + 1 not in cells)
    size = 100 / GROUP_CELLS
    bars = (_place_bar("b", "group", start * size, end * size) for start, end in zip(starts, ends, strict=True))
    hint = f"{count(len(group.steps))} steps from {group.occurred_at:%Y-%m-%d %H:%M:%S.%f} UTC on"
    return _build_frame("".join(bars), hint, scale)


def _place_bar(tag: str, look: str, start: float, end: float) -> str:
    start = min(start, 99.4)
    return f'<{tag} class="{look}" style="left:{start:.2f}%;width:{max(min(end, 100) - start, 0):.2f}%"></{tag}>'


def _build_frame(bars: str, hint: str, scale: TimeScale) -> Html:
    """Return a track with its bars, and the idle stretches that are cut short."""
    pieces = [piece for piece in scale.pieces if piece.is_cut]
    cuts = (_place_bar("i", "cut", piece.left_percent, piece.left_percent + piece.width) for piece in pieces)
    return Html(f'<span class="track" title="{hint}">{"".join(cuts)}{bars}</span>')


def link_step(step: Step) -> Html:
    """Return the title of a step as a link to its call."""
    parameters = {"source": step.event_source, "id": step.event_id, "organization": step.organization}
    return link(step.title, "call", parameters, f"{step.event_source} {step.event_id}")


def build_marks(step: Step) -> Html:
    """Return what is unusual of a step."""
    marks = [
        (step.status or "failed", "over", step.is_failed),
        ("retry", "near", step.is_retry),
        ("fallback", "near", step.is_fallback),
        ("cache hit", "", step.is_cache_hit),
        (CORRECTIONS.get(step.corrected_by, step.corrected_by), "", bool(step.corrected_by)),
        ("parent not known", "", step.is_orphan),
        ("circle", "", step.linked_by == "circle"),
    ]
    return Html("".join(f" {mark(text, look)}" for text, look, is_so in marks if is_so))


def build_cost_cell(step: Step) -> Html:
    """Return what a step cost itself, with all digits in its hint."""
    return with_hint(format_cost(step), format_exact(step.cost))


def draw_steps(steps: Iterable[Step], view: Link) -> None:
    """Draw steps as rows, each with a link to its call, and one to what is below it."""
    columns = [
        Column("Start, UTC"), Column("Step"), Column("Duration", "right wide"), Column("Tokens", "right wide"),
        Column("Cached", "right wide"), Column("Saved", "right wide"), Column("Cost", "right"),
        Column("With all below", "right wide"),
    ]  # fmt: skip
    draw_table(columns, (_build_step_cells(step, view) for step in steps))


def _build_step_cells(step: Step, view: Link) -> tuple[Cell, ...]:
    has_below = step.below_calls != step.calls
    name = Html(f"{link_step(step)}{_link_below(step, view) if has_below else ''}{build_marks(step)}")
    return (
        Html(f'<span title="{step.occurred_at:%Y-%m-%d %H:%M:%S.%f} UTC">{format_time(step.occurred_at)}</span>'),
        add_line(name, step.detail) if step.detail else name,
        None if step.latency_ms is None else format_latency(step.latency_ms),
        None if step.pricing == "unknown" and not step.tokens else step.tokens,
        step.cached_tokens or None,
        with_hint(format_amounts(step.saved), format_exact(step.saved)) if any(step.saved.values()) else None,
        build_cost_cell(step),
        with_hint(format_amounts(step.below_cost, "–"), format_exact(step.below_cost)) if has_below else None,
    )


def draw_kinds(rows: Iterable[Row], cost: Amounts) -> None:
    """Draw sums by agent, tool and model, with their shares of the cost in their currency."""
    columns = [
        Column("Agent"), Column("Tool or operation"), Column("Model", "wide"), Column("Calls", "right"),
        Column("Failed", "right wide"), Column("Tokens", "right wide"), Column("Cost", "right"),
        Column("Share", "right wide"),
    ]  # fmt: skip
    draw_table(columns, (_build_kind_cells(row, cost) for row in rows))


def _build_kind_cells(row: Row, cost: Amounts) -> tuple[Cell, ...]:
    amount, total = row["cost"], cost.get(row["currency"], Decimal(0))
    return (
        add_narrow_line(named(row["agent"]), row["model"]),
        named(row["tool"] or row["operation"]),
        named(row["model"]),
        int(row["call_count"]),
        int(row["failed_calls"]) or None,
        int(row["token_count"]),
        with_hint(money(amount, row["currency"]), exact(amount, row["currency"])),
        bar(percent(amount or Decimal(0), total)),
    )


def draw_observations(rows: Iterable[Row], outline: Outline) -> None:
    """Draw what became known of calls and sessions, each with the call that it is about."""
    columns = [
        Column("Known, UTC"), Column("Metric"), Column("Value", "right"), Column("Evaluator", "wide"), Column("About"),
    ]  # fmt: skip
    draw_table(columns, (_build_observation_cells(row, outline) for row in rows))


def _build_observation_cells(row: Row, outline: Outline) -> tuple[Cell, ...]:
    value = row["metric_value"]
    text = row["conformance"] if value is None else f"{value.normalize():f}"
    look = {None: "", True: "", False: "over"}[None if row["is_success"] is None else bool(row["is_success"])]
    step = outline.steps.get(row["call_key"])
    about: Html | str = Html(f"session {named(row['session'])}")
    if step is not None:
        about = link_step(step)
    elif row["of_id"]:
        parameters = {"source": row["of_source"], "id": row["of_id"], "organization": row["organization"]}
        about = link(row["of_id"], "call", parameters)
    return (
        format_time(row["occurred_at"]),
        row["metric"] or ("conformance" if row["conformance"] else "quota"),
        mark(text, look) if text else None,
        " ".join(filter(None, (row["evaluator"], row["evaluator_version"]))) or None,
        about,
    )


def draw_trees(rows: Iterable[Row], currency: str) -> None:
    """Draw call trees, each with a link to its view."""
    columns = [
        Column("Began, UTC"), Column("Root"), Column("Owner", "wide"), Column("Steps", "right"),
        Column("Duration", "right wide"), Column("Failed", "right wide"), Column("Retries", "right wide"),
        Column("Cost", "right"), Column("Share", "right wide"),
    ]  # fmt: skip
    draw_table(columns, (_build_tree_cells(row, currency) for row in rows))


def _build_tree_cells(row: Row, currency: str) -> tuple[Cell, ...]:
    root = {"source": row["event_source"], "id": row["event_id"], "organization": row["organization"]}
    name = link(row["agent"] or row["model"] or row["event_id"], "trees", root, row["event_id"])
    detail = " · ".join(filter(None, (row["model"] if row["agent"] else "", row["session"] or row["event_id"])))
    return (
        format_time(row["started_at"]),
        add_line(name, detail) if detail else name,
        named(row["owner_team"]),
        int(row["steps"]),
        format_latency(int(row["duration_ms"])) if row["duration_ms"] else None,
        int(row["failed_calls"]) or None,
        with_hint(money(row["retry_cost"], row["currency"]), f"{quantify(int(row['retried_calls']), 'call')} again")
        if row["retried_calls"]
        else None,
        with_hint(money(row["billed_cost"], currency), exact(row["billed_cost"], currency)),
        bar(percent(row["billed_cost"] or Decimal(0), row["total_cost"] or Decimal(0))),
    )


def draw_sessions(rows: Iterable[Row], currency: str) -> None:
    """Draw sessions, each with a link to its view."""
    columns = [
        Column("Began, UTC"), Column("Session"), Column("Team", "wide"), Column("Calls", "right"),
        Column("Duration", "right wide"), Column("Failed", "right wide"), Column("Tokens", "right wide"),
        Column("Cost", "right"), Column("Share", "right wide"),
    ]  # fmt: skip
    draw_table(columns, (_build_session_cells(row, currency) for row in rows))


def _build_session_cells(row: Row, currency: str) -> tuple[Cell, ...]:
    name = link_session(row["session"], row["organization"])
    duration_ms = (row["ended_at"] - row["started_at"]) // timedelta(milliseconds=1)
    return (
        format_time(row["started_at"]),
        add_line(name, name_some(row["agents"])) if row["agents"] else name,
        name_some(row["teams"]) or None,
        int(row["call_count"]),
        format_latency(duration_ms) if duration_ms else None,
        int(row["failed_calls"]) or None,
        int(row["token_count"]),
        with_hint(money(row["cost"], currency), exact(row["cost"], currency)),
        bar(percent(row["cost"] or Decimal(0), row["total_cost"] or Decimal(0))),
    )


def name_some(names: Sequence[str], max_names: int = 3) -> str:
    """Name the first of some names, and say that there are more."""
    return ", ".join(names[:max_names]) + (", …" if len(names) > max_names else "")
