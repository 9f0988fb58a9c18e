"""``tally rebuild``."""

from typing import TYPE_CHECKING, Annotated

import typer

from ledger.log.record import PARTITIONS
from tally.cli.options import AsJson

if TYPE_CHECKING:
    from tally.product.rebuild import RebuildResult


def rebuild(
    workers: Annotated[
        int, typer.Option(min=1, max=PARTITIONS, help="Number of workers that share the partitions (Kafka).")
    ] = 1,
    as_json: AsJson = False,
) -> None:
    """Derive everything again from the log as a new generation, verify it, and switch to it.

    The new generation is built in TALLY_HOME/rebuild and needs as much disk as the current one, which stays in use
    meanwhile. The audit then recomputes all figures from the log. If they are equal, the new generation becomes the
    current one. `tally up` restarts its services for the switch; services that you started yourself you must stop.

    On Kafka, derived topics carry the generation's number, and all homes of the log share them. Workers and sinks of
    the old generation end within seconds, and `tally up` starts them again. Empty a warehouse that another home
    filled from the old generation.

    Both generations are compared. If they are equal, the old one is deleted. If not (the folds have changed, or
    derived files were altered), the first difference is shown, and the old one is kept in TALLY_HOME/generations
    until the next rebuild. Its topics on Kafka are kept until then in any case.

    With TALLY_WAREHOUSE, the new tables are filled in the server's database tally_beside, which needs as much disk
    there. The sink exchanges them with those of tally when it starts; the old ones stay until the next rebuild.

    Rebuild also when the folds refuse the state of another version. An interrupted rebuild leaves the old generation
    or the new one: run it again.

    Example: tally rebuild --json

    Example: TALLY_LOG=kafka://broker:9092 tally rebuild --workers 4

    Exit codes: 0 switched, 1 the audit found a difference or a service failed (nothing is switched,
    and TALLY_HOME/rebuild is kept), 2 there is no log, not enough disk, the server does not answer, or another home
    rebuilds."""
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


def _print_differences(result: "RebuildResult") -> None:
    from tally.output import err, out

    differences = result.differences
    if differences.unreadable is not None:
        err.print(f"the previous generation cannot be read: {differences.unreadable}", markup=False)
    out.print(
        f"{differences.differing:,} of {differences.compared:,} derived records differ from the previous generation",
        markup=False,
    )
    if differences.first is not None:
        err.print(f"first difference: {differences.first}", markup=False)
    if not result.switched:
        err.print(
            "The audit found a difference. Nothing was switched; the new generation is kept in rebuild/ of the home."
        )
    elif result.old is None:
        out.print(f"generation {result.generation} is current. The previous one was equal, and was deleted.")
    else:
        out.print(f"generation {result.generation} is current. The previous one is kept in {result.old}.", markup=False)
