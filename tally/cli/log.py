"""``tally log``: the log's topics, positions and events, and copies of it."""

from collections.abc import Iterable
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from ledger.errors import TallyError
from ledger.log.record import PARTITIONS
from ledger.log.topics import EVENTS, TOPICS, Topic
from tally.cli import log_copy
from tally.cli.options import AsJson
from tally.log.lines import Line, read_newest, read_onward
from tally.output import make_table, out, pause, print_json

app = typer.Typer(no_args_is_help=True, help="The log: topics, positions, events, copies.")
app.command("copy", no_args_is_help=True)(log_copy.copy)
FOLLOW_INTERVAL_S = 0.5


@app.command()
def topics(as_json: AsJson = False) -> None:
    """List the topics: origin, number of offsets, retention, contents. On Kafka, transactions take offsets too.

    Example: tally log topics

    Exit codes: 0 shown, 2 there is no log."""
    from tally.session import opened, settings

    with opened(settings()) as log:
        rows = [topic._asdict() | {"retention": topic.retention, "offsets": sum(log.ends(topic))} for topic in TOPICS]
    if as_json:
        print_json(rows)
        return
    table = make_table("topic", "origin", ">offsets", "retention", "contents")
    for row in rows:
        figures = (
            row["name"],
            row["origin"],
            f"{row['offsets']:,}",
            row["retention"],
            row["holds"],
        )
        table.add_row(*figures)
    out.print(table)


@app.command()
def positions(as_json: AsJson = False) -> None:
    """Show the next offset of each partition: recorded, folded, stored in the warehouse.

    Example: tally log positions

    STORED is empty while no sink runs.

    Exit codes: 0 shown, 2 there is no log."""
    from tally.session import opened, settings
    from tally.status.positions import read_positions

    config = settings()
    with opened(config) as log:
        positions = read_positions(config, log)
    if as_json:
        print_json([asdict(position) for position in positions])
        return
    table = make_table("partition", ">recorded", ">folded", ">stored", ">lag")
    for position in positions:
        stored_text = "" if position.stored is None else f"{position.stored:,}"
        table.add_row(
            str(position.partition),
            f"{position.recorded:,}",
            f"{position.folded:,}",
            stored_text,
            f"{position.behind:,}",
        )
    out.print(table)


@app.command()
def events(
    topic: Annotated[str, typer.Option(help="Topic.")] = EVENTS.name,
    partition: Annotated[int | None, typer.Option(min=0, max=PARTITIONS - 1, help="Only this partition.")] = None,
    offset: Annotated[
        int | None, typer.Option(min=0, help="Start at this offset, instead of the newest records.")
    ] = None,
    index: Annotated[int | None, typer.Option(min=0, help="Only this event index of each record.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of events (before --follow).")] = 20,
    follow: Annotated[bool, typer.Option("--follow", help="Continue with new events until Ctrl-C.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per line.")] = False,
) -> None:
    """Print events as they stand on the log: position, time of the log, key, line. Default: the newest.

    Example: tally log events --follow

    Example: tally log events --partition 3 --offset 17 --index 4 --limit 1

    Exit codes: 0 shown, 2 there is no such topic, or no log."""
    from tally.session import opened, settings

    log_topic = _find_topic(topic)
    if offset is not None and partition is None:
        raise TallyError("--offset is an offset of one partition: add --partition")
    with opened(settings()) as log:
        next_offsets = {number: end for number, end in enumerate(log.ends(log_topic)) if partition in (None, number)}
        if offset is None or partition is None:
            lines: Iterable[Line] = read_newest(log, log_topic, next_offsets, index, limit)
        else:
            lines = islice(read_onward(log, log_topic, partition, offset, index), limit)
        for line in lines:
            typer.echo(line.json() if as_json else line.text())
        while follow:
            for number, end in next_offsets.items():
                next_offsets[number] = log.end(log_topic, number)
                for line in read_onward(log, log_topic, number, end, index):
                    next_offsets[number] = line.record.offset + 1
                    typer.echo(line.json() if as_json else line.text())
            pause(FOLLOW_INTERVAL_S)


@app.command(no_args_is_help=True)
def backup(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Target: a new folder.")],
    as_json: AsJson = False,
) -> None:
    """Back up the embedded log and the secrets of the home while services run.

    The backup is a home: `TALLY_HOME=FOLDER tally verify` derives everything from it again and verifies it. It holds
    the keys of the pseudonyms (secrets.json): protect it like a password.

    Example: tally log backup /backups/2026-11-25

    Exit codes: 0 backed up, 2 the folder is not empty, or there is no embedded log."""
    from ledger.log.backup import back_up
    from tally.output import format_size
    from tally.session import opened, settings

    config = settings()
    if config.log is not None:
        from ledger.log.kafka.cluster import cluster_of

        cluster = cluster_of(config)
        raise TallyError(f"the log is at {cluster}, where replicas keep it: docs/operations.md says how to copy it")
    with opened(config):
        records, byte_count = back_up(config.home, folder)
    if as_json:
        print_json({"folder": str(folder.resolve()), "records": records, "bytes": byte_count})
    else:
        out.print(f"{folder}: {records:,} records of tally.events, {format_size(byte_count)}", markup=False)


def _find_topic(name: str) -> Topic:
    for topic in TOPICS:
        if topic.name in (name, f"tally.{name}"):
            return topic
    raise TallyError(f"No topic {name!r}. Choose one of {', '.join(topic.name for topic in TOPICS)}")
