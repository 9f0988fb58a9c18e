"""``tally price diff``: what a price book would change of past calls."""

from collections import Counter
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tally.cli.options import AsJson
from tally.output import err, make_table, out, print_json, progress_bar

if TYPE_CHECKING:
    from ledger.pricing.price_book import PriceBook
    from tally.product.price_difference import PriceDifference

_COST_COLUMNS = (">Changed calls", ">List before", ">List after", ">Difference", ">%", ">Billed difference")
_GROUPINGS = (("organization", "team"), ("model",), ("month",))


def diff(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="Price book in YAML or JSON (docs/prices.md).")
    ] = None,
    since: Annotated[str | None, typer.Option(help="Only calls of this time and later, e.g. 2026-10-01.")] = None,
    until: Annotated[str | None, typer.Option(help="Only calls before this time.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print what a price book would change of past calls, and change nothing; without FILE, the installed catalogue.

    The calls are those of the month of the newest one and of the month before, unless times are given. Each is rated by
    the prices in force, and by these and the book: what `tally price adopt FILE` and `tally price restate` would give.

    Example: tally price diff our-prices.yaml --since 2026-10-01

    Exit codes: 0 printed, whether calls would change or not; 2 bad input, or there is no log."""
    from ledger.log.topics import EVENTS
    from tally.cli.arguments import check_span, parse_time
    from tally.product.own_book import load_book
    from tally.product.price_comparison import compare_prices
    from tally.session import opened, settings

    times = {name: parse_time(value, f"--{name}") for name, value in (("since", since), ("until", until)) if value}
    check_span(times, since, until)
    book, warnings = load_book(file)
    config = settings()
    with opened(config) as log, progress_bar() as bar:
        task = bar.add_task("rating past calls", total=2 * sum(log.ends(EVENTS)))
        difference = compare_prices(log, config, book, times, lambda count: bar.advance(task, count))
    if as_json:
        print_json({"name": book.name, "origin": book.origin, **difference.as_json(), "warnings": warnings})
    else:
        _print_difference(difference, book, file)
        for warning in warnings:
            err.print(f"Warning: {warning}", markup=False)


def _print_difference(difference: "PriceDifference", book: "PriceBook", file: Path | None) -> None:
    if difference.is_in_force:
        _print(f"{book.name} ({book.origin}) is in force already: adopting it changes nothing.")
        _print("`tally price restate --dry-run` prints what the prices in force would change of past calls.")
        return
    facts = difference.as_json()
    role = "is new" if difference.replaced_document is None else f"replaces {difference.replaced_document[:12]}"
    _print(f"{book.name} ({book.origin}), document {difference.document[:12]}, {role}.")
    since, until = (_render_time(facts[name]) for name in ("since", "until"))
    times = f"from {since or 'the first'} to {until or 'the newest'}"
    if not facts["calls"]:
        _print(f"No calls {times}.")
        return
    _print(f"Calls {times}: {facts['calls']:,}, as of {_render_time(facts['as_of'])}.")
    _print_pending(difference)
    _print_totals(difference)
    if not facts["changed_calls"] and not facts["same_cost_calls"]:
        _print("No call changes: the book gives each of them the price that it has.")
        return
    _print(
        f"Calls that change: {facts['changed_calls']:,} of {facts['calls']:,}. Not fully priced: "
        f"{facts['unpriced_before']:,} before, {facts['unpriced_after']:,} after."
    )
    if facts["same_cost_calls"]:
        _print(f"Calls that keep their cost, with another reason, upper bound or tier: {facts['same_cost_calls']:,}.")
    for names in _GROUPINGS if facts["groups"] else ():
        _print_groups(difference, names)
    _print_rates(difference)
    _print_reasons(difference)
    scope = "".join(f" --{name} {time}" for name, time in (("since", since), ("until", until)) if time)
    name = f" {file}" if file else ""
    _print(f"Nothing was changed. To change it: `tally price adopt{name}`, then `tally price restate{scope}`.")


def _print_pending(difference: "PriceDifference") -> None:
    """Print what a restatement changes without the book."""
    if difference.pending_calls:
        recorded = {row["currency"]: row["list_recorded"] for row in difference.as_json()["totals"]}
        costs = ", ".join(f"{_shorten(cost)} {currency}" for currency, cost in recorded.items())
        _print(
            f"Of these, prices that are no longer in force rated {difference.pending_calls:,}: the ledger has {costs}, "
            "and `tally price restate` brings it to the cost before."
        )


def _print_totals(difference: "PriceDifference") -> None:
    for row in difference.as_json()["totals"]:
        before, after = Decimal(row["list_before"]), Decimal(row["list_after"])
        share = _render_share(before, after)
        percent = f" ({share} %)" if share else ""
        _print(
            f"{row['currency']}: {_shorten(row['list_before'])} before, {_shorten(row['list_after'])} after. "
            f"Difference {_shorten(row['list_difference'])}{percent} at list price, "
            f"{_shorten(row['billed_difference'])} billed."
        )


def _print_groups(difference: "PriceDifference", names: tuple[str, ...]) -> None:
    """Print the costs of all calls, by these properties, where a call changes."""
    table = make_table(*(name.capitalize() for name in names), "Currency", *_COST_COLUMNS)
    for key, sums in difference.sum_groups(names).items():
        costs = sums.render_costs()
        share = _render_share(Decimal(costs["list_before"]), Decimal(costs["list_after"]))
        figures = [_shorten(costs[f"list_{name}"]) for name in ("before", "after", "difference")]
        table.add_row(*key, f"{sums.changed_calls:,}", *figures, share, _shorten(costs["billed_difference"]))
    out.print(table)


def _print_rates(difference: "PriceDifference") -> None:
    """Print the rates that change."""
    if not difference.rates:
        return
    table = make_table("Provider", "Model", "Class", "Currency", ">Old rate", ">New rate", "Per", ">Calls")
    for rate, calls in sorted(difference.rates.items(), key=lambda item: (item[0][:4], str(item[0][4:]))):
        rates = (rate.rate_before or "none", rate.rate_after or "none")
        table.add_row(rate.provider, rate.model, rate.token_class, rate.currency, *rates, f"{rate.per:,}", f"{calls:,}")
    out.print(table)


def _print_reasons(difference: "PriceDifference") -> None:
    """Print the calls that become priced or unpriced, or have another reason, with the reasons."""
    titles: dict[str, Counter[str]] = {}
    for change, calls in difference.reasons.items():
        before = change.reason_before or change.pricing_before
        after = change.reason_after or change.pricing_after
        if change.gains_price:
            titles.setdefault("become priced", Counter())[before] += calls
        elif change.loses_price:
            titles.setdefault("become unpriced", Counter())[after] += calls
        else:
            titles.setdefault("have another reason", Counter())[f"{before} -> {after}"] += calls
    for title, calls_by_reason in sorted(titles.items()):
        reasons = ", ".join(f"{reason}: {calls:,}" for reason, calls in sorted(calls_by_reason.items()))
        _print(f"Calls that {title}: {calls_by_reason.total():,} ({reasons}).")


def _render_share(before: Decimal, after: Decimal) -> str:
    """Render a difference in percent, to one decimal; nothing where there was no cost before."""
    return f"{(after - before) * 100 / before:+.1f}" if before else ""


def _render_time(time: str | None) -> str:
    """Render a moment to the second, and midnight in UTC as its day; nothing where there is none."""
    if time is None:
        return ""
    moment = datetime.fromisoformat(time).replace(microsecond=0)
    return moment.isoformat().removesuffix("T00:00:00+00:00")


def _shorten(amount: str) -> str:
    from ledger.money import brief

    return brief(amount)


def _print(line: str) -> None:
    out.print("".join(character if character.isprintable() else "·" for character in line), markup=False)
