"""``tally price``: price books, as control records on the log."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from tally.cli import price_diff, price_explain
from tally.cli.options import AsJson
from tally.output import NO_CURRENCY, NO_TEAM, err, out, print_json, print_omitted

if TYPE_CHECKING:
    from tally.product.restatement import Move, MoveKey, Plan

app = typer.Typer(no_args_is_help=True, help="Price books.")
app.command("diff")(price_diff.diff)
app.command("explain", no_args_is_help=True)(price_explain.explain)


@app.callback()
def group() -> None:
    pass


@app.command()
def adopt(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="Price book in YAML or JSON (docs/prices.md).")
    ] = None,
    reason: Annotated[str | None, typer.Option(help="Reason; stored on the log.")] = None,
    as_json: AsJson = False,
) -> None:
    """Adopt a price book for all later events; without FILE, the installed catalogue of genai-prices.

    A model of FILE without `match` takes the names by which the catalogue knows it, dated ones included. Warnings say
    which names, hosts and classes the book does not reach. `tally price diff FILE` prints first what it would change.

    Example: tally price adopt our-prices.yaml

    Exit codes: 0 adopted, or in force already; 2 the file is not a price book."""
    from ingest.controls.prices import adopt_price_book
    from tally.product.own_book import load_book
    from tally.session import opened, settings

    book, warnings = load_book(file)
    config = settings()
    with opened(config, new=True) as log:
        adopted = adopt_price_book(log, config, book, reason)
    partition, offset, _ = adopted.position
    if as_json:
        facts = {"name": book.name, "origin": book.origin, "document": adopted.document, "new": adopted.new}
        print_json(facts | {"partition": partition, "offset": offset, "warnings": warnings})
    else:
        status = "adopted" if adopted.new else "is already in force"
        out.print(f"{book.name} ({book.origin}) {status}: document {adopted.document}", markup=False)
        if adopted.new:
            out.print("Past calls keep their prices: `tally price restate --dry-run` prints what it would change.")
        for warning in warnings:
            err.print(f"Warning: {warning}", markup=False)


@app.command()
def restate(
    since: Annotated[str | None, typer.Option(help="Only calls of this time and later, e.g. 2026-10-01.")] = None,
    until: Annotated[str | None, typer.Option(help="Only calls before this time.")] = None,
    provider: Annotated[str | None, typer.Option(help="Only calls of this provider.")] = None,
    model: Annotated[str | None, typer.Option(help="Only calls of this model, as requested or resolved.")] = None,
    reason: Annotated[str | None, typer.Option(help="Reason; stored on the log.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would change; append nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Rate past calls again by the price books in force now.

    Nothing is overwritten: each call with another cost, or another reason for having none, gets a reversal of its entry
    and a restatement. Other calls get neither, so a second run changes nothing. A closed month stays as it is: its
    differences are billed in the first open month (`tally period close`).

    Example: tally price restate --since 2026-10-01 --dry-run

    Exit codes: 0 restated, or nothing to restate; 2 bad input, or there is no log."""
    from ledger.log.topics import EVENTS
    from tally.cli.arguments import check_span, parse_time
    from tally.output import progress_bar
    from tally.processes.join import needing
    from tally.processes.service import list_pipeline_services
    from tally.product.catch_up import wait_for_folds
    from tally.product.restatement import plan_restatement
    from tally.session import opened, settings

    times = {name: parse_time(value, f"--{name}") for name, value in (("since", since), ("until", until)) if value}
    check_span(times, since, until)
    options = {"since": since, "until": until, "provider": provider, "model": model, "reason": reason}
    scope = {**times, "provider": provider, "model": model}
    config = settings()
    with opened(config) as log:
        with progress_bar() as bar:
            task = bar.add_task("rating past calls", total=sum(log.ends(EVENTS)))
            plan = plan_restatement(log, config, scope, reason, lambda count: bar.advance(task, count))
        if plan.drafts and not dry_run:
            with needing(config, list_pipeline_services(config)) as running:
                log.append(EVENTS, plan.drafts)
                wait_for_folds(log, running)
    if as_json:
        moves = [key._asdict() | move.as_json() for key, move in sorted(plan.moves.items())]
        facts = {"dry_run": dry_run, "records": len(plan.drafts), "has_calls": plan.has_calls}
        print_json(facts | {"moves": moves})
    else:
        _print_plan(plan, dry_run, options)


def _print_plan(plan: "Plan", dry_run: bool, options: dict[str, str | None]) -> None:
    if not plan.has_calls:
        out.print("Nothing to restate: no past call matches. Check the names and times; `tally tail` shows calls.")
        return
    if not plan.moves:
        out.print("Nothing to restate: the prices in force give every past call the cost that it has.")
        return
    _print_moves(plan.moves)
    calls = sum(move.calls for move in plan.moves.values())
    out.print(f"{'Would restate' if dry_run else 'Restated'} {calls:,} {'call' if calls == 1 else 'calls'}.")
    if dry_run:
        words = [word for name, value in options.items() if value is not None for word in (f"--{name}", value)]
        out.print(f"To append it: {shlex.join(['tally', 'price', 'restate', *words])}", markup=False)


def _print_moves(moves: "Mapping[MoveKey, Move]") -> None:
    """Print the moves and their totals. A column that says the same in all rows is left out: the organization or
    currency where there is one, the month of billing where it is that of the calls, unpriced calls where none are."""
    from tally.output import make_narrow_table

    rows = {key: move for key, move in sorted(moves.items()) if any(move)}
    totals = _sum_currencies(rows)
    is_shared = len({key.organization for key in rows}) > 1
    is_moved = any(key.billing_month != key.month for key in rows)
    has_unpriced = any(move.unpriced_before or move.unpriced_after for move in rows.values())
    keys = [*(["Organization"] if is_shared else []), "Team", "Model", "Month", *(["Billed\nin"] if is_moved else [])]
    costs = [">List\nbefore", ">List\nafter", ">Effective\ndifference", ">Billed\ndifference"]
    unpriced = [">Unpriced\ncalls"] if has_unpriced else []
    currencies = ["Currency"] if len(totals) > 1 else []
    table = make_narrow_table(*keys, *currencies, ">Calls", *costs, *unpriced)
    for key, move in rows.items():
        names = [*([key.organization] if is_shared else []), key.team or NO_TEAM, key.model, key.month]
        table.add_row(
            *(escape(name) for name in names), *([key.billing_month] if is_moved else []),
            *[key.currency or NO_CURRENCY for _ in currencies], *_render_move(move, has_unpriced),
        )  # fmt: skip
    table.add_section()
    for currency, move in totals.items():
        blanks = [""] * (len(keys) + len(currencies) - 1)
        table.add_row(f"Total {currency or NO_CURRENCY}", *blanks, *_render_move(move, has_unpriced))
    out.print(table)
    print_omitted(out, len(moves) - len(rows))


def _sum_currencies(moves: "Mapping[MoveKey, Move]") -> "dict[str, Move]":
    totals: dict[str, Move] = {}
    for key, move in moves.items():
        totals[key.currency] = totals[key.currency].plus(move) if key.currency in totals else move
    return dict(sorted(totals.items()))


def _render_move(move: "Move", has_unpriced: bool) -> list[str]:
    from ledger.money import brief, text

    costs = (move.list_before, move.list_after, move.effective_difference, move.billed_difference)
    unpriced = [f"{move.unpriced_before:,} → {move.unpriced_after:,}"] if has_unpriced else []
    return [f"{move.calls:,}", *(brief(text(cost)) for cost in costs), *unpriced]
