"""Tables of budgets, with utilization, burn rate and forecast, and of threshold crossings."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from dashboards.components.format import count, exact, money, percent
from dashboards.components.html import (
    Cell,
    Column,
    Html,
    add_narrow_line,
    bar,
    draw_table,
    format_time,
    link,
    spark,
    with_hint,
)
from dashboards.components.links import read_budget_identity
from dashboards.components.unknown_usage import describe_bound
from dashboards.pages.budgets.burn_rate import Burn, compute_burn
from dashboards.pages.budgets.queries import NEAR_LIMIT_PERCENT
from dashboards.periods import format_duration, format_window
from dashboards.sources.usage import Unknown
from dashboards.sources.warehouse import Row


def draw_budgets(rows: Iterable[Row], with_organization: bool) -> None:
    """Draw the budgets, each with a link to its own view."""
    columns = [
        Column("Budget"), Column("Utilization", "right"), Column("Used", "right wide"),
        Column("Remaining", "right"), Column("Limit", "right wide"), Column("Threshold", "right wide"),
        Column("Unknown", "right wide"), Column("Spend over the window", "wide"),
        Column("Burn rate per hour", "right wide"), Column("Forecast", "wide"),
    ]  # fmt: skip
    draw_table(columns, (_build_budget_cells(row, with_organization) for row in rows))


def _build_budget_cells(row: Row, with_organization: bool) -> tuple[Cell, ...]:
    currency, limit = row["currency"], row["limit_amount"]
    burn = find_burn(row)
    highest = max(row["spend_by_bucket"])
    return (
        _build_name_cell(row, with_organization),
        build_share_bar(row),
        build_used_cell(row),
        with_hint(money(row["remaining_amount"], currency), exact(row["remaining_amount"], currency)),
        with_hint(money(limit, currency), exact(limit, currency)),
        build_threshold_cell(row),
        build_unknown_cell(row),
        spark(row["spend_by_bucket"], f"at most {exact(highest, currency)} in {format_window(int(row['bucket_s']))}"),
        build_rate_cell(row, burn),
        describe_outlook(row, burn),
    )


def _build_name_cell(row: Row, with_organization: bool) -> Html:
    cell = link(name_budget(row, with_organization), "budgets", read_budget_identity(row).to_parameters())
    if not row["unknown_calls"]:
        return cell
    return add_narrow_line(cell, f"cost not known: {_count_calls(row)}{', denied' * bool(row['is_denied'])}")


def find_burn(row: Row) -> Burn | None:
    """Return the burn rate of a budget; None where nothing was spent yet."""
    if row["window_ends_at"] is None:
        return None
    return compute_burn(
        row["spend_by_bucket"], row["limit_amount"], int(row["bucket_s"]), row["clock_at"], row["window_ends_at"]
    )


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
    """Return the used share of the limit as a bar."""
    percentage = percent(row["used_amount"], row["limit_amount"])
    return bar(percentage, "over" if percentage >= 100 else "near" if percentage >= NEAR_LIMIT_PERCENT else "")


def build_used_cell(row: Row) -> Html:
    """Return the used amount, with the part of it that is assumed in its hint."""
    used, assumed, currency = row["used_amount"], row["assumed_amount"], row["currency"]
    hint = exact(used, currency)
    return with_hint(
        money(used, currency), f"{hint}, of which {exact(assumed, currency)} is assumed" if assumed else hint
    )


def build_unknown_cell(row: Row) -> Html | None:
    """Return the number of calls in the window whose spend is not known; None where all is."""
    if not row["unknown_calls"]:
        return None
    return with_hint(count(row["unknown_calls"]), describe_unknown(row))


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
    return f"{_count_calls(row)}, {count(unknown.tokens)} tokens told, {bound}; {policy}"


def _count_calls(row: Row) -> str:
    return f"{count(row['unknown_calls'])} call{'s' if row['unknown_calls'] != 1 else ''}"


def build_threshold_cell(row: Row) -> Html | None:
    """Return the greatest threshold that is crossed now, and that calls are denied; None where neither holds."""
    fired = f"{row['fired_percent']}%" if row["fired_percent"] else ""
    since = f"since {row['fired_at']:%Y-%m-%d %H:%M:%S} UTC, by the log's clock" if fired else ""
    if row["is_denied"]:
        denial = "a call whose cost is not known lies in the window, and this budget denies them"
        return with_hint(f"{fired}, denied" if fired else "denied", "; ".join(filter(None, (since, denial))))
    return with_hint(fired, since) if fired else None


def build_rate_cell(row: Row, burn: Burn | None) -> Html | None:
    """Return the burn rate per hour; None where nothing was spent yet."""
    if burn is None:
        return None
    hint = f"{exact(burn.per_hour, row['currency'])} over the last {format_duration(timedelta(seconds=burn.seconds))}"
    return with_hint(money(burn.per_hour, row["currency"]), hint)


def describe_outlook(row: Row, burn: Burn | None) -> Html | str | None:
    """Describe the forecast: the limit is reached, will be, or spend settles below it."""
    if burn is None:
        return None
    if row["remaining_amount"] <= 0:
        return "limit reached"
    if burn.limit_reached_at is not None:
        wait_text = format_duration(burn.limit_reached_at - row["clock_at"])
        return with_hint(f"reaches limit in {wait_text}", f"at {burn.limit_reached_at:%Y-%m-%d %H:%M:%S} UTC")
    percentage = percent(burn.steady_spend, row["limit_amount"])
    return with_hint(
        f"settles at {percentage}%", f"at this rate a window holds {exact(burn.steady_spend, row['currency'])}"
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
