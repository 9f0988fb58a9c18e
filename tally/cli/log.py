"""``tally log``: the log as it stands, for who is on call."""

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
from tally.log.lines import Line, read_newest, read_onward
from tally.output import out, pause, make_table, print_json

app = typer.Typer(no_args_is_help=True, help="The log: its topics, its positions, its events; and a copy of it.")
app.command("copy", no_args_is_help=True)(log_copy.copy)
FOLLOW_INTERVAL_S = 0.5
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def topics(as_json: AsJson = False) -> None:
    """What each topic is for, and how many offsets it has taken (on Kafka, transactions take some too).

    Example: tally log topics

    Exit codes: 0 fine, 2 where there is no log."""
    from tally.session import opened, settings

    with opened(settings()) as log:
        rows = [topic._asdict() | {"retention": topic.retention, "offsets": sum(log.ends(topic))} for topic in TOPICS]
    if as_json:
        print_json(rows)
        return
    table = make_table("topic", "origin", ">offsets", "kept", "holds")
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
    """How far each partition is recorded, folded and stored in the warehouse (next offsets).

    Example: tally log positions

    Exit codes: 0 fine, 2 where there is no log. STORED is empty while no sink runs."""
    from tally.session import opened, settings
    from tally.status.positions import read_positions

    config = settings()
    with opened(config) as log:
        positions = read_positions(config, log)
    if as_json:
        print_json([asdict(position) for position in positions])
        return
    table = make_table("partition", ">recorded", ">folded", ">stored", ">behind")
    for position in positions:
        stored_text = "" if position.stored is None else f"{position.stored:,}"
        table.add_row(str(position.partition), f"{position.recorded:,}", f"{position.folded:,}", stored_text, f"{position.behind:,}")
    out.print(table)


@app.command()
def events(
    topic: Annotated[str, typer.Option(help="Which topic.")] = EVENTS.name,
    partition: Annotated[int | None, typer.Option(min=0, max=PARTITIONS - 1, help="Only this partition.")] = None,
    offset: Annotated[int | None, typer.Option(min=0, help="From this record on, not the newest.")] = None,
    index: Annotated[int | None, typer.Option(min=0, help="Only this line of each record.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many (before --follow).")] = 20,
    follow: Annotated[bool, typer.Option("--follow", help="Go on with what arrives, until Ctrl-C.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object a line.")] = False,
) -> None:
    """Print events as they stand on the log (position, the log's time, key, line); by default the newest.

    Example: tally log events --follow

    Example: tally log events --partition 3 --offset 17 --index 4 --limit 1

    Exit codes: 0 fine, 2 where there is no such topic or no log."""
    from tally.session import opened, settings

    log_topic = _find_topic(topic)
    if offset is not None and partition is None:
        raise TallyError("--offset is a place in one partition: name it with --partition")
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
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the copy goes: a new folder.")],
    as_json: AsJson = False,
) -> None:
    """Copy the embedded log and the secrets of the home, while everything runs.

    The copy is a home: TALLY_HOME=FOLDER tally verify derives everything from it again, and proves it. It holds the
    keys of the pseudonyms (secrets.json), so keep it like a password.

    Example: tally log backup /backups/2026-11-25

    Exit codes: 0 copied, 2 the folder holds something, or there is no embedded log."""
    from ledger.log.backup import back_up
    from tally.output import format_size
    from tally.session import opened, settings

    config = settings()
    if config.log is not None:
        from ledger.log.kafka.cluster import cluster_of

        cluster = cluster_of(config)
        raise TallyError(f"the log is at {cluster}, whose replicas keep it: docs/operations.md says how to copy it")
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
    raise TallyError(f"there is no topic {name!r}: choose one of {', '.join(topic.name for topic in TOPICS)}")
