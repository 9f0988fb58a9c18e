"""``tally rebuild``."""

from typing import TYPE_CHECKING, Annotated

import typer

from ledger.log.record import PARTITIONS

if TYPE_CHECKING:
    from tally.product.rebuild import RebuildResult


def rebuild(
    workers: Annotated[
        int, typer.Option(min=1, max=PARTITIONS, help="On Kafka: how many workers share the partitions.")
    ] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Derive everything again from the log beside what is there, verify it, and switch to it.

    Topics, positions, warehouse and dbt models are made in TALLY_HOME/rebuild, which takes as much disk again, while
    the current generation goes on and answers. The audit then decides: it recomputes all figures from the log, and
    without a difference the new generation becomes the current one by a decision on the log. `tally up` stops its
    parts for a moment and goes on with the new; parts that you started by hand you are asked to stop.

    On Kafka what is derived stands in topics with the generation's number, which all homes of the log use. Their
    workers and sinks notice the new one within seconds and end; `tally up` starts them again, and a warehouse that
    another home filled from the old one is to be emptied.

    What both generations derived is compared too. Where it is the same, the old one is deleted. Where not (the folds
    mean something else than before, or somebody altered what was derived), the first difference is told and the old
    one is kept in TALLY_HOME/generations until the next rebuild. Its topics on Kafka are kept until then in any case.

    With TALLY_WAREHOUSE the tables are filled in the server's database tally_beside, which takes as much disk there.
    The sink exchanges them for those of tally as it starts again; the old ones stay beside until the next rebuild.

    It works where the folds refuse what other folds have derived. Killed at any moment it leaves the old generation
    or the new one; run it again.

    Example: tally rebuild --json

    Example: TALLY_LOG=kafka://broker:9092 tally rebuild --workers 4

    Exit codes: 0 switched, 1 what was built is not what the audit recomputes, or a part failed (nothing is switched,
    and TALLY_HOME/rebuild is kept), 2 there is no log, or no room, or the server does not answer, or another
    home rebuilds."""
    from audit.verify.report import render_report
    from tally.output import out, print_json
    from tally.product.rebuild import rebuild as rebuilt
    from tally.session import settings

    result = rebuilt(settings(), workers)
    facts = result.as_json()
    if as_json:
        print_json(facts)
    else:
        out.print(render_report(result.report))
        out.print(
            f"{facts['records']:,} records with {facts['events']:,} events in {facts['seconds']:,.1f} s: "
            f"{facts['events_per_second']:,} events/s"
        )
        _print_differences(result)
    if not result.switched:
        raise typer.Exit(1)


def _print_differences(result: "Rebuilt") -> None:
    from tally.output import err, out

    differences = result.differences
    if differences.unreadable is not None:
        err.print(f"what was derived before cannot be read: {differences.unreadable}", markup=False)
    out.print(f"{differences.differing:,} of {differences.compared:,} derived records differ from those of before", markup=False)
    if differences.first is not None:
        err.print(f"the first: {differences.first}", markup=False)
    if not result.switched:
        err.print("the audit finds a difference: nothing is switched, and what was built is in rebuild/ of the home")
    elif result.old is None:
        out.print(f"generation {result.generation} is current; the one before was the same, and its files are deleted")
    else:
        out.print(f"generation {result.generation} is current; the one before is kept in {result.old}", markup=False)
