"""The folds, each alone and all together, against parsing alone: ``python -m benchmarks.folds [EVENTS]``."""

import sys
import time
from collections.abc import Callable

from benchmarks import workload
from streams.folds import budgets
from streams.folds.chain import fold
from streams.folds.emit import Emit
from streams.folds.event import Event, parse
from streams.folds.identity import First, doubt, identify
from streams.folds.rating import Entry, adopt, rate
from streams.folds.runaways import repeated_tool
from streams.folds.state import Rows
from streams.replay import catalogues
from streams.runtime import spare_the_collector


def main(events: int = 40_000) -> None:
    spare_the_collector()  # as a worker does
    records = workload.records(events)
    books = catalogues(workload.documents())
    parsed = [parse(record) for record in records]
    controls, *calls = parsed
    emit = Emit(controls.record, 0)

    def fresh() -> Rows:
        rows = Rows()
        for event in controls.events:
            if event.data["control"] == "price_book.adopted":
                adopt(event, rows, books, emit)
            else:
                budgets.allocate(event, rows, emit)
        return rows

    def each(step: Callable[[Event, int], object], rows: Rows) -> Callable[[], None]:
        def run() -> None:
            for record, some in calls:
                for event in some:
                    rows.begin()
                    step(event, record.offset)

        return run

    known: dict[bytes, First] = {}
    rows = fresh()

    def rated(event: Event) -> Entry:
        assert event.call is not None
        return rate(event, event.call, rows, books)

    entries = {event.identity: rated(event) for _, some in calls for event in some}
    budgeted, watched, chained = fresh(), fresh(), Rows()

    def chain() -> None:
        known.clear()
        for record in records:
            fold(parse(record), chained, known, books)

    measures: dict[str, Callable[[], object]] = {
        "parsing": lambda: [parse(record) for record in records],
        "identity": each(lambda event, offset: (identify(event, offset, known), doubt(event, event.time_us)), rows),
        "rating": each(lambda event, offset: rated(event), rows),
        "budgets": each(lambda event, offset: budgets.spend(event, entries[event.identity], budgeted, emit), budgeted),
        "runaways": each(
            lambda event, offset: repeated_tool.watch(event, entries[event.identity], watched, emit), watched
        ),
        "chain (parsing, all folds, encoding)": chain,
    }
    print(f"{events:,} events of {sum(len(r.value) for r in records) // events} bytes")
    base = 0.0
    for name, measure in measures.items():
        start = time.perf_counter()
        measure()
        rate_s = events / (time.perf_counter() - start)
        base = base or rate_s
        print(f"{name:38} {rate_s:10,.0f} events/s   {rate_s / base:6.2f} of parsing")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
