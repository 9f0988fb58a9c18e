"""``tally topics``: the log's topics on a Kafka cluster."""

from contextlib import closing
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="The log's topics on a Kafka cluster.")


@app.callback()
def group() -> None:
    pass


@app.command()
def apply(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Make the topics that lack, and say what differs of those that are there. Nothing is altered or deleted.

    Partitions, retention, compaction, timestamps and in-sync replicas follow from the typed list (`tally log topics`)
    and the number of brokers: from three on there are three replicas, and two must have a record. Of what is derived
    they are those of the current generation.

    Example: TALLY_LOG=kafka://broker:9092 tally topics apply

    Exit codes: 0 all are as they should be, 1 some differ (each is told), 2 the cluster does not answer."""
    from ledger.log.kafka.cluster import cluster_of
    from ledger.log.kafka.log import KafkaLog
    from ledger.log.kafka.topics import apply_to
    from tally.exit import Failure
    from tally.output import out, tell
    from tally.session import settings

    cluster = cluster_of(settings())
    with closing(KafkaLog(cluster)) as log:
        found = apply_to(log)
    differing = [one for one in found if one.found is not None]
    if as_json:
        tell(
            {"made": [one.topic for one in found if one.found is None], "differs": [one._asdict() for one in differing]}
        )
    else:
        for one in found:
            said = "made, with" if one.found is None else f"{one.setting} is {one.found}, and should be"
            out.print(f"{one.topic}: {said} {one.wanted}", markup=False)
        if not found:
            out.print(f"all topics of {cluster} are as they should be", markup=False)
    if differing:
        raise Failure(f"{len(differing)} settings of {cluster} differ; alter them with Kafka's own tools")
