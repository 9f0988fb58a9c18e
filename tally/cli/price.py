"""``tally price``: price books, as control records on the log."""

from pathlib import Path
from typing import Annotated

import typer

from tally.cli import price_explain
from tally.output import out, print_json

app = typer.Typer(no_args_is_help=True, help="Price books.")
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

    Example: tally price adopt our-prices.yaml

    Exit codes: 0 adopted, or in force already; 2 the file is not a price book."""
    from ingest.controls.prices import adopt_price_book
    from ledger.pricing import genai_prices as catalogue
    from ledger.pricing.price_book_file import read_book_file
    from tally.session import opened, settings

    book = read_book_file(file) if file else catalogue.genai_prices()
    config = settings()
    with opened(config, new=True) as log:
        adopted = adopt_price_book(log, config, book, reason)
    partition, offset, _ = adopted.position
    if as_json:
        facts = {"name": book.name, "origin": book.origin, "document": adopted.document, "new": adopted.new}
        print_json(facts | {"partition": partition, "offset": offset})
    else:
        status = "adopted" if adopted.new else "is already in force"
        out.print(f"{book.name} ({book.origin}) {status}: document {adopted.document}", markup=False)
