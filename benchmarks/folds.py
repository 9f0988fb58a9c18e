"""The folds, each alone and all together, against parsing alone: ``python -m benchmarks.folds [EVENTS]``."""

import sys
import time
from collections.abc import Callable

from benchmarks.harness import workload
from streams.folds import budgets
from streams.folds.chain import fold_record
from streams.folds.emit import Emit
from streams.folds.entry import Entry
from streams.folds.event import Event, parse_record
from streams.folds.identity import FirstSeen, find_quarantine_reason, take_identity
from streams.folds.rating import adopt_price_book, rate_call
from streams.folds.runaways import repeated_tool
from streams.folds.state import State
from streams.replay import open_catalogues
from streams.runtime import reduce_garbage_collection


def main(events: int = 40_000) -> None:
    reduce_garbage_collection()  # as a worker does
    records = workload.records(events)
    books = open_catalogues(workload.documents())
    parsed = [parse_record(record) for record in records]
    controls, *calls = parsed
    emit = Emit(controls.record, 0)

    def fresh() -> State:
        rows = State()
        for event in controls.events:
            if event.data["control"] == "price_book.adopted":
                adopt_price_book(event, rows, books, emit)
            else:
                budgets.set_limit(event, rows, books, emit)
        return rows

    def each(step: Callable[[Event, int], object], rows: State) -> Callable[[], None]:
        def run() -> None:
            for record, some in calls:
                for event in some:
                    rows.begin()
                    step(event, record.offset)

        return run

    known: dict[bytes, FirstSeen] = {}
    rows = fresh()

    def rated(event: Event) -> Entry:
        assert event.call is not None
        return rate_call(event, event.call, rows, books)

    entries = {event.identity: rated(event) for _, some in calls for event in some}
    budgeted, watched, chained = fresh(), fresh(), State()

    def chain() -> None:
        known.clear()
        for record in records:
            fold_record(parse_record(record), chained, known, books)

    measures: dict[str, Callable[[], object]] = {
        "parsing": lambda: [parse_record(record) for record in records],
        "identity": each(
            lambda event, offset: (take_identity(event, offset, known), find_quarantine_reason(event, event.time_us)),
            rows,
        ),
        "rating": each(lambda event, offset: rated(event), rows),
        "budgets": each(
            lambda event, offset: budgets.add_spend(event, entries[event.identity], budgeted, emit), budgeted
        ),
        "runaways": each(
            lambda event, offset: repeated_tool.watch_entry(event, entries[event.identity], watched, emit), watched
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
