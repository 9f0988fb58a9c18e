"""``tally log copy``."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tally.product.copy_log import Copied


def copy(
    source: Annotated[str, typer.Argument(metavar="FROM", help="A home's folder, or kafka://host:9092/name.")],
    target: Annotated[str, typer.Argument(metavar="TO", help="The other of the two: empty, or begun before.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Move a ledger from a home to Kafka, or back it up from Kafka to a folder, and prove that it is the same.

    Partitions, offsets, times and envelopes of the recorded topics are kept, so it is the same log, and what is
    derived from it is the same bytes. The proof compares every record of both, and folds the copy once more in
    memory against what was derived from FROM. Killed at any moment and run again, it goes on.

    From a home: 1. `tally status`: folded is as far as recorded, for the proof to hold all that was derived. 2. stop
    `tally up` and whoever imports; what still runs loses nothing, and is refused once FROM is closed. 3. copy. It
    ends FROM with a last record in each partition, which says where it went, for good: FROM takes nothing more.
    4. set TALLY_LOG to TO, with the same TALLY_HOME: the keys of pseudonyms and the warehouse stay valid, since
    positions are the same. 5. `tally up`, `tally verify`. Keep FROM's folder until then.

    From Kafka: nothing is closed or stopped, FROM goes on, and copying again adds what is new. A folder with it and
    the home's secrets.json is a home of its own (TALLY_HOME). Kafka keeps tally.rejected for 30 days: what is older
    goes once the copy is proved, and is left out where it is proved again.

    Example: tally log copy .tally kafka://broker:9092/tally

    Exit codes: 0 copied and proved, 1 they differ (the first difference is told), 2 FROM or TO does not serve."""
    from tally.exit import Failure
    from tally.output import progress_bar, print_json
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
        raise Failure(f"{copied.went} is not the same log: {copied.difference}")


def _print_proof(copied: "Copied") -> None:
    from tally.output import out, format_size, make_table

    table = make_table("topic", ">partition", ">records", ">bytes", "digest of the records")
    for partition in copied.places:
        if partition.records or partition.gone:
            table.add_row(partition.topic.name, str(partition.partition), f"{partition.records:,}", f"{partition.bytes:,}", partition.digest)
    out.print(table)
    if copied.difference is not None:
        return
    for topic in dict.fromkeys(partition.topic for partition in copied.places):
        partitions = [partition for partition in copied.places if partition.topic is topic]
        expired = sum(partition.gone for partition in partitions)
        expired_text = f"; {expired:,} had their {topic.days} days and are not compared" if expired else ""
        size_text = format_size(sum(partition.bytes for partition in partitions))
        out.print(f"{topic.name}: the same {sum(partition.records for partition in partitions):,} records, {size_text}{expired_text}", markup=False)
    derived, unfolded = copied.derived, copied.recorded - copied.derived.folded
    proof = f"the same {derived.records:,} records from {derived.folded:,} of tally.events"
    unfolded_text = f" ({unfolded:,} more were not folded in {copied.source})" if unfolded else ""
    empty_text = f"nothing to compare, as nothing was folded in {copied.source}"
    out.print(f"derived: {proof + unfolded_text if derived.folded else empty_text}", markup=False)
    if copied.closed:
        out.print(f"{copied.source} is closed; go on with its TALLY_HOME, and: export TALLY_LOG={copied.went}")
    else:
        out.print(f"{copied.source} goes on; copy again to add what is new")
