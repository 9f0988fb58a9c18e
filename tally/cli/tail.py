"""``tally tail``: the live stream, in a terminal."""

from typing import Annotated

import typer

FOLLOW_INTERVAL_S, RETRY_DELAY_S = 0.3, 2.0


def tail(
    organization: Annotated[str | None, typer.Option("--organization", "--org", help="Only this organization.")] = None,
    streams: Annotated[
        list[str] | None, typer.Option("--only", help="events, decisions or alerts; repeatable.")
    ] = None,
    conditions: Annotated[
        list[str] | None,
        typer.Option("--where", metavar="NAME=VALUE", help="Only lines with this value, for example team=search."),
    ] = None,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="Number of past lines to show first.")] = 10,
    follow: Annotated[bool, typer.Option(help="Continue with new lines until Ctrl-C.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per line.")] = False,
) -> None:
    """Show the live stream: events with outcome and cost, budget thresholds, runaways.

    Past lines (--lines) are taken from the last 500 records of each partition.

    Example: tally tail --where team=search

    Example: tally tail --only alerts --only decisions --json

    Exit codes: 0 shown (--no-follow), 2 bad input or no log, 130 Ctrl-C."""
    from ledger.errors import LogUnavailable
    from tally.cli.arguments import parse_choice, parse_pair
    from tally.log.tail import TOPICS, Line, Tail
    from tally.output import err, pause
    from tally.session import opened, settings

    kinds = [parse_choice(kind, list(TOPICS), "--only") for kind in streams or TOPICS]
    expected = dict(parse_pair(condition, "--where") for condition in conditions or [])
    if organization is not None:
        expected["organization"] = organization

    def show(line: Line) -> None:
        color = {"alerts": "red", "decisions": "yellow"}.get(line.kind)
        typer.secho(line.json() if as_json else line.text(), fg=None if as_json else color)

    with opened(settings()) as log:
        stream = Tail(
            log, kinds, lambda content: all(str(content.get(name)) == value for name, value in expected.items())
        )
        for line in stream.read_last(lines):
            show(line)
        while follow:
            try:
                for line in stream.read_new():
                    show(line)
                pause(FOLLOW_INTERVAL_S)
            except LogUnavailable as error:
                err.print(f"the log does not answer, retrying: {error}", markup=False)
                pause(RETRY_DELAY_S)
