"""Recompute decisions on rights beside outcomes and costs: ``python -m benchmarks.rights.audit [EVENTS]``.

Calls of one organization with three budgets, and two grants of two limits each, one below the other. The log side of
``tally verify`` reads all of it in one process, in turns with the decisions and without them, by processor time.
"""

import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import patch

from audit.verify import from_log, verified_prefix
from audit.verify.rights.decisions import Decision
from audit.verify.rights.partition_rights import PartitionRights
from benchmarks.harness import workload
from benchmarks.harness.embedded import fold_ledger
from ledger.log import Log, Record
from ledger.log.topics import EVENTS
from ledger.settings import Settings

ROUNDS = 3
BILLED = {"meter": "billed", "amount": "100000", "currency": "USD", "window": {"rolling_s": 3600}}
TOKENS = {"meter": "tokens", "amount": "1000000000", "window": {"calendar": "day"}}
GRANTS = (
    {"grant": "all", "dimension": "organization", "scope": workload.ORGANIZATION, "limits": [BILLED, TOKENS]},
    {"grant": "one", "parent": "all", "dimension": "team", "scope": "team-1", "limits": [BILLED, TOKENS]},
)


def main(events: int = 200_000) -> None:
    with tempfile.TemporaryDirectory() as folder:
        settings, log = fold_ledger(Path(folder), [*_add_grants(workload.build_records(events))])
        seconds: dict[bool, list[float]] = {True: [], False: []}
        for has_decisions in [True, False] * ROUNDS:
            seconds[has_decisions].append(_measure(settings, log, has_decisions))
        with_decisions, without = (min(seconds[has_decisions]) for has_decisions in (True, False))
        for name, duration in (("with decisions", with_decisions), ("without", without)):
            print(f"{name:15} {duration:6.1f} s, {duration / events * 1e6:4.0f} us an event")
        print(f"with / without  {with_decisions / without:6.2f}")


def _add_grants(records: list[Record]) -> Iterator[Record]:
    """Give the grants in the first record."""
    first, *others = records
    lines = [
        json.dumps({
            "specversion": "1.0", "id": str(body["grant"]), "source": "benchmark", "type": "tallystick.control.v1",
            "time": workload.START.isoformat(), "data": {"control": "grant.created", "body": body},
        })
        for body in GRANTS
    ]  # fmt: skip
    yield first._replace(value=b"\n".join([first.value, *map(str.encode, lines)]))
    yield from others


def _measure(settings: Settings, log: Log, has_decisions: bool) -> float:
    """Read the log from its beginning, and return the processor time."""
    verified_prefix.discard_prefixes(settings)
    load, start = from_log.make_loader(log), time.process_time()
    with ExitStack() as stack:
        if not has_decisions:
            stack.enter_context(patch.object(PartitionRights, "decide", _decide_nothing))
            stack.enter_context(patch.object(from_log.StoredDecisions, "find_difference", return_value=None))
        totals, _, difference = from_log.recompute_totals(settings, log, load, 0, log.end(EVENTS, 0) - 1, lambda: None)
    seconds = time.process_time() - start
    assert difference is None and bool(totals.decisions) == has_decisions, difference
    return seconds


def _decide_nothing(*_: object) -> Iterator[Decision]:
    return iter(())


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
