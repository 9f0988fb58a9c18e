"""``tally price``: price books, as control records on the log."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tally.cli import price_diff, price_explain
from tally.output import err, out, print_json

if TYPE_CHECKING:
    from tally.product.restatement import Move, MoveKey

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
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
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
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
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
        _print_moves(plan.moves, plan.has_calls, dry_run)


def _print_moves(moves: "Mapping[MoveKey, Move]", has_calls: bool, dry_run: bool) -> None:
    from ledger.money import text
    from tally.output import make_table

    if not has_calls:
        out.print("Nothing to restate: no past call matches. Check the names and times; `tally tail` shows calls.")
        return
    if not moves:
        out.print("Nothing to restate: the prices in force give every past call the cost that it has.")
        return
    table = make_table(
        "Organization", "Team", "Model", "Month", "Billed in", "Currency", ">Calls", ">List before", ">List after",
        ">Billed difference", ">Unpriced before", ">Unpriced after",
    )  # fmt: skip
    for key, move in sorted(moves.items()):
        figures = (move.list_before, move.list_after, move.billed_after - move.billed_before)
        table.add_row(
            *key, f"{move.calls:,}", *map(text, figures), f"{move.unpriced_before:,}", f"{move.unpriced_after:,}"
        )
    out.print(table)
    calls = sum(move.calls for move in moves.values())
    out.print(f"{'Would restate' if dry_run else 'Restated'} {calls:,} calls.")
