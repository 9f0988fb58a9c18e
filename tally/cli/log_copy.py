"""``tally log copy``."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from tally.cli.options import AsJson

if TYPE_CHECKING:
    from tally.product.copy_log import Copied


def copy(
    source: Annotated[str, typer.Argument(metavar="FROM", help="A home's folder, or kafka://host:9092/name.")],
    target: Annotated[str, typer.Argument(metavar="TO", help="The other kind of place: empty, or an earlier copy.")],
    as_json: AsJson = False,
) -> None:
    """Move a home's log to Kafka, or copy a log from Kafka to a folder, and prove that both are equal.

    The recorded topics keep their partitions, offsets, times and headers, so everything derived from the copy is
    equal byte for byte. The proof compares every record, folds the copy again in memory, and compares the result
    with what was derived from FROM. An interrupted copy continues when it is run again.

    From a home to Kafka: 1. Check in `tally status` that all recorded records are folded. 2. Stop `tally up` and all
    imports; a process that still appends loses nothing, and is refused once FROM is closed. 3. Copy. This closes
    FROM for good: a last record in each partition names TO. 4. Set TALLY_LOG to TO and keep TALLY_HOME: the keys of
    pseudonyms and the warehouse stay valid. 5. Run `tally up` and `tally verify`. Keep the folder until then.

    From Kafka to a folder: FROM stays open, and copying again adds new records. The folder with the home's
    secrets.json is a home (TALLY_HOME). Kafka keeps tally.rejected for 30 days: older records are deleted once the
    copy is proved, and later proofs omit them.

    Example: tally log copy .tally kafka://broker:9092/tally

    Exit codes: 0 copied and proved, 1 the logs differ (the first difference is shown), 2 FROM or TO cannot be used."""
    from tally.exit import Failure
    from tally.output import print_json, progress_bar
    from tally.product.copy_log import copy_log, parse_place

    with progress_bar() as bar:

        def begin(activity: str, total: int | None) -> Callable[[int], None]:
            task = bar.add_task(activity, total=total)
            return lambda count: bar.advance(task, count)

        copied = copy_log(parse_place(source, "FROM"), parse_place(target, "TO"), begin)
    if as_json:
        print_json(copied.as_json())
    else:
        _print_proof(copied)
    if copied.difference is not None:
        raise Failure(f"{copied.went} is not equal to {copied.source}: {copied.difference}")


def _print_proof(copied: "Copied") -> None:
    from tally.output import format_size, make_table, out

    table = make_table("topic", ">partition", ">records", ">bytes", "digest of the records")
    for place in copied.places:
        if place.records or place.gone:
            table.add_row(
                place.topic.name,
                str(place.partition),
                f"{place.records:,}",
                f"{place.bytes:,}",
                place.digest,
            )
    out.print(table)
    if copied.difference is not None:
        return
    for topic in dict.fromkeys(place.topic for place in copied.places):
        places = [place for place in copied.places if place.topic is topic]
        expired = sum(place.gone for place in places)
        expired_text = f"; {expired:,} older than {topic.days} days, not compared" if expired else ""
        size_text = format_size(sum(place.bytes for place in places))
        records = sum(place.records for place in places)
        out.print(
            f"{topic.name}: {records:,} equal records, {size_text}{expired_text}",
            markup=False,
        )
    derived, unfolded = copied.derived, copied.recorded - copied.derived.folded
    proof = f"{derived.records:,} equal records from {derived.folded:,} of tally.events"
    unfolded_text = f" ({unfolded:,} not folded in {copied.source})" if unfolded else ""
    empty_text = f"nothing to compare: nothing was folded in {copied.source}"
    out.print(f"derived: {proof + unfolded_text if derived.folded else empty_text}", markup=False)
    if copied.closed:
        out.print(f"{copied.source} is closed. Continue with its TALLY_HOME and: export TALLY_LOG={copied.went}")
    else:
        out.print(f"{copied.source} stays open. Copy again to add new records.")
