"""Tables of grants and budgets, of what their limits hold, of refusals and of threshold crossings."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from shlex import quote

from dashboards.components.format import count, exact, money, percent, quantify, short
from dashboards.components.html import (
    Cell,
    Column,
    Html,
    add_line,
    add_narrow_line,
    bar,
    draw_table,
    escape_text,
    format_time,
    link,
    mark,
    segments,
    soften,
    with_hint,
)
from dashboards.components.links import BudgetIdentity, read_budget_identity
from dashboards.components.unknown_usage import describe_bound
from dashboards.pages.budgets.queries import NEAR_LIMIT_PERCENT
from dashboards.periods import format_duration, format_window
from dashboards.sources.usage import Unknown
from dashboards.sources.warehouse import Row

PARTS = (("used", "#3f8f7a"), ("reserved", "#d19a45"), ("leased", "#5f8fc4"))
"""The parts of what a limit holds, with their colours in its bar."""
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "m"))
_CALENDARS = ("day", "week", "month", "quarter", "year")


def draw_holders(rows: Sequence[Row], with_organization: bool, is_tree: bool) -> None:
    """Draw grants and budgets, a line for each limit. In a tree each grant stands below the one that it narrows."""
    columns = [
        Column("Grant or budget", "step"), Column("Limit", "wide"), Column("Used, reserved, leased", "right"),
        Column("Left", "right"), Column("Burn rate per hour", "right wide"), Column("Forecast", "wide"),
        Column("Refused", "right wide"),
    ]  # fmt: skip
    lines: list[tuple[Cell, ...]] = []
    for number, row in enumerate(rows):
        is_below = is_tree and number > 0 and row["path"][:-1] == rows[number - 1]["path"][: len(row["path"]) - 1]
        name = _build_holder_cell(row, with_organization, (is_tree and is_below) or not row["depth"])
        refused = _link_refusals(row)
        if not row["limits"]:
            lines.append((name, soften("no limit of its own"), "", "", "", "", refused))
        for place, limit in enumerate(row["limits"]):
            lines.append((name if place == 0 else "", *_build_limit_cells(limit, row), refused if place == 0 else ""))
    draw_table(columns, lines)


def draw_limits(rows: Iterable[Row], own_name: str) -> None:
    """Draw the limits on the path of a grant, its own first."""
    columns = [
        Column("Limit of", "wide"), Column("Limit"), Column("Used, reserved, leased", "right"),
        Column("Left", "right"), Column("Refills, UTC", "wide"), Column("Burn rate per hour", "right wide"),
        Column("Forecast", "wide"),
    ]  # fmt: skip
    draw_table(columns, (_build_own_limit_cells(row, own_name) for row in rows))


def draw_children(rows: Iterable[Row]) -> None:
    """Draw the grants below a grant."""
    columns = [Column("Grant"), Column("Scope"), Column("State"), Column("Allows", "wide wrap")]
    draw_table(
        columns,
        (
            (
                link_grant(row["organization"], row["grant_name"]), f"{row['dimension']} {row['scope_value']}",
                row["state"], describe_allow(row["allow"]),
            )
            for row in rows
        ),
    )  # fmt: skip


def draw_refusals(rows: Iterable[Row], with_organization: bool) -> None:
    """Draw refusals, each with a link that explains it."""
    columns = [
        Column("Refused, UTC"), Column("Grant"), Column("Why", "wrap"), Column("Asked", "wide wrap"),
        Column("Needed", "right wide"), Column("Left then", "right wide"),
    ]  # fmt: skip
    draw_table(columns, (_build_refusal_cells(row, with_organization) for row in rows))


def _build_holder_cell(row: Row, with_organization: bool, is_indented: bool) -> Html:
    """Return the name of a grant or budget with its scope; where its parent does not stand above it, the path too."""
    prefix = f"{row['organization']}: " if with_organization else ""
    if row["kind"] == "budget":
        cell = _link_budget(row, row["limits"][0], f"{prefix}{row['dimension']} {row['scope_value']}")
        return _add_summary(add_line(cell, "budget: warns only"), row)
    cell = link_grant(row["organization"], row["grant_name"], f"{prefix}{row['grant_name']}")
    if row["state"] != "active":
        cell = Html(f"{cell}{mark(row['state'], 'over' if row['state'] == 'revoked' else 'near')}")
    scope = f"{row['dimension']} {row['scope_value']}"
    above = "" if is_indented else f"{' › '.join(row['path'][:-1])} › "
    cell = _add_summary(add_line(cell, f"{above}{scope}"), row)
    depth = int(row["depth"]) if is_indented else 0
    return Html(f'<span class="indent" style="padding-left:{depth}rem">{cell}</span>') if depth else cell


def _add_summary(cell: Html, row: Row) -> Html:
    """Add what narrow screens do not show in columns: the fullest limit, refused asks, and calls of unknown cost."""
    texts = [describe_limit(row["limits"][0])] if row["limits"] else ["no limit of its own"]
    texts += [f"{count(row['refusals'])} refused"] if row["refusals"] else []
    if row["unknown_calls"]:
        texts.append(f"cost not known: {quantify(row['unknown_calls'], 'call')}{', denied' * bool(row['is_denied'])}")
    return add_narrow_line(cell, "; ".join(texts))


def _link_refusals(row: Row) -> Cell:
    if not row["refusals"]:
        return None
    parameters = {"grant": row["grant_name"], "organization": row["organization"]}
    return link(count(row["refusals"]), "budgets", parameters)


def _link_budget(row: Row, limit: Row, text: str) -> Html:
    identity = BudgetIdentity(row["organization"], row["dimension"], row["scope_value"], int(limit["window_s"]))
    return link(text, "budgets", identity.to_parameters())


def _build_limit_cells(limit: Row, row: Row) -> tuple[Cell, ...]:
    name = _build_limit_name(limit)
    if row["kind"] == "budget":
        name = _link_budget(row, limit, describe_limit(limit))
    return (
        name, build_limit_bar(limit), build_amount_cell(limit, "left_amount"),
        build_burn_cell(limit), describe_forecast(limit),
    )  # fmt: skip


def _build_own_limit_cells(row: Row, own_name: str) -> tuple[Cell, ...]:
    name = None if row["grant_name"] == own_name else row["grant_name"]
    refills = row["refills_at"]
    return (
        soften("this grant") if name is None else name,
        add_narrow_line(add_line(_build_limit_name(row), describe_at_limit(row)), "" if name is None else f"of {name}"),
        build_limit_bar(row),
        build_amount_cell(row, "left_amount"),
        format_time(refills) if refills else (soften("never") if row["window_name"] == "total" else None),
        build_burn_cell(row),
        describe_forecast(row),
    )


def _build_limit_name(limit: Row) -> Html:
    narrowed = mark("narrowed", "near") if limit["is_narrowed"] else ""
    return Html(f"{escape_text(describe_limit(limit))}{narrowed}")


def describe_limit(limit: Row) -> str:
    """Describe a limit: ``$100.00 billed in 1 hour``."""
    meter = limit["meter"] if limit["currency"] else ""
    amount = " ".join(filter(None, (format_amount(limit, limit["limit_amount"]), meter)))
    return f"{amount} {describe_window(limit['window_name'])}"


def describe_window(name: str) -> str:
    """Describe a window by its name in the identity of a limit: ``3600s``, ``month@Europe/Berlin+4``, ``total``."""
    kind, _, zone = name.partition("@")
    if kind in _CALENDARS:
        zone, _, first_month = zone.partition("+")
        fiscal = f", from month {first_month}" if first_month else ""
        return f"a {kind}{'' if zone == 'UTC' else f', {zone}'}{fiscal}"
    return "in total" if name == "total" else f"in {format_window(int(name.rstrip('s')))}"


def describe_limit_key(limit: Row) -> str:
    """Describe what a limit counts: ``billed USD in 1 hour``."""
    return f"{' '.join(filter(None, (limit['meter'], limit['currency'])))} {describe_window(limit['window_name'])}"


def read_window_length(limit: Row) -> timedelta:
    """Return the length of a rolling window with its oldest bucket."""
    return timedelta(seconds=int(limit["window_s"]) // 60 * 61)


def describe_allow(allow: Mapping[str, Sequence[str]]) -> str:
    """Describe a set of calls."""
    lists = (f"{dimension.replace('_', ' ')} {', '.join(names)}" for dimension, names in sorted(allow.items()))
    return "; ".join(lists) or "any call"


def build_extend_command(grant: str, limit_key: str, amount: Decimal | None = None) -> str:
    """Return the command that raises a limit, to an amount or to one that the reader chooses."""
    limit = read_limit_key(limit_key)
    number = "AMOUNT" if amount is None else f"{amount.normalize():f}"
    window, _, first_month = limit["window_name"].partition("+")
    window = window.removesuffix("@UTC")
    if window.endswith("s"):
        seconds = int(window[:-1])
        length_s, letter = next(unit for unit in _UNITS if seconds % unit[0] == 0)
        window = f"{seconds // length_s}{letter}"
    command = f"tally grant extend {quote(grant)} --limit {limit['meter']}:{number}{limit['currency']}/{window}"
    return f"{command} --first-month {first_month}" if first_month else command


def describe_at_limit(limit: Row) -> str:
    """Describe what an ask is answered where the limit has no room."""
    target = f" to {limit['downgrade_to']}" if limit["downgrade_to"] else ""
    return f"at the limit: {limit['at_limit']}{target}"


def format_amount(limit: Row, amount: Decimal) -> str:
    """Format an amount of a limit: money, or so many tokens or calls."""
    if limit["currency"]:
        return money(amount, limit["currency"])
    return f"{short(int(amount))} {limit['meter']}"


def format_exactly(limit: Row, amount: Decimal) -> str:
    """Format an amount of a limit with all its digits."""
    return exact(amount, limit["currency"]) if limit["currency"] else f"{int(amount):,} {limit['meter']}"


def build_amount_cell(limit: Row, field: str) -> Html:
    """Return an amount of a limit, with all its digits in its hint."""
    return with_hint(format_amount(limit, limit[field]), format_exactly(limit, limit[field]))


def build_limit_bar(limit: Row) -> Html:
    """Return what is used, reserved and leased of a limit as one bar, with the share of all together."""
    amounts = [(look, limit[f"{look}_amount"]) for look, _ in PARTS]
    committed = sum((amount for _, amount in amounts), Decimal(0))
    share, total = percent(committed, limit["limit_amount"]), limit["limit_amount"]
    hint = ", ".join(f"{format_exactly(limit, amount)} {look}" for look, amount in amounts if amount or look == "used")
    hint += f" of {format_exactly(limit, total)}"
    if limit["unknown_calls"]:
        hint += f"; {quantify(limit['unknown_calls'], 'call')} of unknown cost in the window"
    shares = [(look, percent(amount, max(total, committed))) for look, amount in amounts]
    return segments(shares, f"{share}%", hint, "over" if limit["is_used_up"] else _find_look(share))


def _find_look(share: Decimal) -> str:
    return "near" if share >= NEAR_LIMIT_PERCENT else ""


def build_burn_cell(limit: Row) -> Html | None:
    """Return the burn rate per hour; None where nothing was used lately."""
    if not limit["burn_per_hour"]:
        return None
    basis = "over the last tenth of the window" if limit["window_s"] else "since the window or the grant began"
    rate = limit["burn_per_hour"]
    amount = rate if limit["currency"] else rate.quantize(Decimal(1))
    return with_hint(format_amount(limit, amount), f"{format_exactly(limit, amount)} an hour {basis}")


def describe_forecast(limit: Row) -> Html | str | None:
    """Describe where the burn rate leads: the limit is used up, or will be, or the window refills before."""
    if limit["is_used_up"]:
        refills = limit["refills_at"]
        text = "used up"
        return with_hint(text, f"all of it is back at {refills:%Y-%m-%d %H:%M:%S} UTC") if refills else text
    if limit["used_up_at"] is not None:
        wait_text = format_duration(limit["used_up_at"] - limit["clock_at"])
        return with_hint(f"used up in {wait_text}", f"at {limit['used_up_at']:%Y-%m-%d %H:%M:%S} UTC")
    return "lasts" if limit["burn_per_hour"] else None


def link_grant(organization: str, name: str, text: str = "") -> Html:
    """Return a link to a grant."""
    return link(text or name, "budgets", {"grant": name, "organization": organization})


def _build_refusal_cells(row: Row, with_organization: bool) -> tuple[Cell, ...]:
    prefix = f"{row['organization']}: " if with_organization else ""
    grant = (
        link_grant(row["organization"], row["grant_name"], prefix + row["grant_name"]) if row["grant_name"] else None
    )
    limit = read_limit_key(row["limit_key"]) if row["limit_key"] else None
    reason_cell = Html(escape_text(explain_reason(row)))
    return (
        link(format_time(row["accepted_at"]), "budgets", {"refusal": row["ask_key"]}, f"explain {row['ask_id']}"),
        grant,
        add_narrow_line(reason_cell, describe_ask(row)),
        describe_ask(row),
        None if limit is None or row["needed_amount"] is None else format_amount(limit, row["needed_amount"]),
        None if limit is None or row["left_amount"] is None else format_amount(limit, row["left_amount"]),
    )


def read_limit_key(key: str) -> Row:
    """Read meter, currency and window of the identity of a limit: ``billed/USD/3600s``."""
    meter, currency, window = key.split("/", 2)
    return {"meter": meter, "currency": currency, "window_name": window}


def describe_ask(row: Row) -> str:
    """Describe what was asked: the model, tokens, and for whom."""
    scopes = ", ".join(f"{name} {value}" for name, value in row["scopes"].items())
    tokens = f"{count(row['input_tokens'] + row['max_tokens'])} tokens" if row["max_tokens"] else ""
    subject = "a lease" if row["asked_for"] == "lease" else row["model_asked"]
    return ", ".join(filter(None, (subject, tokens, scopes)))


REASONS = {
    "limit": "the limit has no room",
    "reserved": "calls under way hold what is left",
    "floor": "the limit keeps the rest for grants with a floor",
    "unpriced": "the greatest cost of the call is not known",
    "unknown usage": "the window holds a call of unknown usage",
    "currency": "the price is in another currency",
    "outside": "the grant does not allow this {detail}",
    "not held": "no scope of the ask holds this grant",
    "duplicate": "another source has asked with this id",
    "unmeasured": "the ask does not say how much it wants of this limit",
    "no grant": "no scope of the ask has a grant",
}
_DIMENSIONS = {"inference_classes": "class", "data_classes": "data class"}


def explain_reason(row: Row) -> str:
    """Explain why an ask was refused, in a few words."""
    detail = _DIMENSIONS.get(row["detail"], row["detail"].removesuffix("s"))
    text = REASONS.get(row["reason"], f"the grant is {row['reason']}").format(detail=detail)
    return f"{text}: {describe_limit_key(read_limit_key(row['limit_key']))}" if row["limit_key"] else text


def name_budget(row: Row, with_organization: bool = False) -> str:
    """Return the name of a budget for people."""
    prefix = f"{row['organization']}: " if with_organization and row["dimension"] != "organization" else ""
    return f"{prefix}{row['dimension']} {row['scope_value']}, {format_window(int(row['window_s']))}"


def describe_moment(row: Row) -> str:
    """Describe the moment of a budget's figures."""
    if row["clock_at"] is None:
        return "Nothing was spent yet."
    return f"Spend over the window that ends at {row['clock_at']:%Y-%m-%d %H:%M:%S} UTC, the log's time."


def build_share_bar(row: Row) -> Html:
    """Return the used share of a budget as a bar."""
    percentage = percent(row["used_amount"], row["limit_amount"])
    return bar(percentage, "over" if percentage >= 100 else _find_look(percentage))


def describe_unknown(row: Row) -> str:
    """Describe the calls in the window whose spend is not known, and what the budget's policy makes of them."""
    unknown = Unknown(
        row["unknown_calls"], 0, 0, row["unknown_tokens"], row["greatest_unpriced_cost"], row["unbounded_calls"]
    )
    policy = {
        "tokens_only": "not in the used amount",
        "assume_greatest": f"{money(row['assumed_amount'], row['currency'])} of the used amount is assumed",
        "deny": "denied by this budget, as a decision and an alert say",
    }[row["unknown_usage"]]
    bound = describe_bound(unknown, row["currency"])
    return f"{quantify(row['unknown_calls'], 'call')}, {count(unknown.tokens)} tokens told, {bound}; {policy}"


def build_threshold_cell(row: Row) -> Html | None:
    """Return the greatest threshold that is crossed now, and that calls are denied; None where neither holds."""
    fired = f"{row['fired_percent']}%" if row["fired_percent"] else ""
    since = f"since {row['fired_at']:%Y-%m-%d %H:%M:%S} UTC, by the log's clock" if fired else ""
    if row["is_denied"]:
        denial = "a call whose cost is not known lies in the window, and this budget denies them"
        return with_hint(f"{fired}, denied" if fired else "denied", "; ".join(filter(None, (since, denial))))
    return with_hint(fired, since) if fired else None


def describe_outlook(row: Row) -> Html | str | None:
    """Describe the forecast of a budget: the limit is reached, will be, or spend settles below it."""
    if row["window_ends_at"] is None:
        return None
    if row["remaining_amount"] <= 0:
        return "limit reached"
    if row["used_up_at"] is not None:
        wait_text = format_duration(row["used_up_at"] - row["clock_at"])
        return with_hint(f"reaches limit in {wait_text}", f"at {row['used_up_at']:%Y-%m-%d %H:%M:%S} UTC")
    steady_spend = row["burn_per_hour"] * int(row["window_s"]) / 3600
    return with_hint(
        f"settles at {percent(steady_spend, row['limit_amount'])}%",
        f"at this rate a window holds {money(steady_spend, row['currency'])}",
    )


def draw_crossings(rows: Iterable[Row], with_organization: bool, is_single: bool) -> None:
    """Draw threshold crossings, each with a link to the call that caused it."""
    columns = [
        Column("Window end, UTC"), *([] if is_single else [Column("Budget")]), Column("Threshold", "right"),
        Column("Used", "right wide"), Column("Limit then", "right wide"), Column("Re-armed, UTC", "wide"),
    ]  # fmt: skip
    draw_table(columns, (_build_crossing_cells(row, with_organization, is_single) for row in rows))


def _build_crossing_cells(row: Row, with_organization: bool, is_single: bool) -> tuple[Cell, ...]:
    cause = {"source": row["event_source"], "id": row["event_id"], "organization": row["organization"]}
    decided = f"decided {row['crossed_at']:%Y-%m-%d %H:%M:%S} UTC; {row['event_source']} {row['event_id']}"
    budget = link(name_budget(row, with_organization), "budgets", read_budget_identity(row).to_parameters())
    return (
        link(format_time(row["window_ends_at"]), "call", cause, decided),
        *([] if is_single else [budget]),
        f"{row['threshold_percent']}%{' in the past' if row['is_past'] else ''}",
        with_hint(money(row["used_amount"], row["currency"]), exact(row["used_amount"], row["currency"])),
        money(row["limit_amount"], row["currency"]),
        _format_rearm_time(row),
    )


def _format_rearm_time(row: Row) -> Html | None:
    time: datetime | None = row["rearmed_window_ends_at"]
    return format_time(time) if time else None
