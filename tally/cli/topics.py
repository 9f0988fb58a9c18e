"""``tally topics``: the log's topics on a Kafka cluster."""

from contextlib import closing

import typer

from tally.cli.options import AsJson

app = typer.Typer(no_args_is_help=True, help="The log's topics on a Kafka cluster.")


@app.callback()
def group() -> None:
    pass


@app.command()
def apply(as_json: AsJson = False) -> None:
    """Create missing topics and report settings that differ. Nothing is altered or deleted.

    Settings follow from the list of topics (`tally log topics`) and the number of brokers: with three or more there
    are three replicas and min.insync.replicas is two. Derived topics are those of the current generation.

    Example: TALLY_LOG=kafka://broker:9092 tally topics apply

    Exit codes: 0 all settings are as expected, 1 some differ (each is shown), 2 the cluster does not answer."""
    from ledger.log.kafka.cluster import cluster_of
    from ledger.log.kafka.log import KafkaLog
    from ledger.log.kafka.topics import apply_log_topics
    from tally.exit import Failure
    from tally.output import out, print_json
    from tally.session import settings

    cluster = cluster_of(settings())
    with closing(KafkaLog(cluster)) as log:
        changes = apply_log_topics(log)
    differing = [change for change in changes if change.found is not None]
    if as_json:
        print_json(
            {
                "made": [change.topic for change in changes if change.found is None],
                "differs": [change._asdict() for change in differing],
            }
        )
    else:
        for change in changes:
            text = "created, with" if change.found is None else f"{change.setting} is {change.found}, expected"
            out.print(f"{change.topic}: {text} {change.wanted}", markup=False)
        if not changes:
            out.print(f"All topics of {cluster} are as expected", markup=False)
    if differing:
        raise Failure(f"{len(differing)} settings of {cluster} differ: change them with Kafka's own tools")
