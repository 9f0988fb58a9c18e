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
from streams.folds.identity import Identities, find_quarantine_reason, take_identity
from streams.folds.rating import adopt_price_book, rate_call
from streams.folds.runaways import watch
from streams.folds.state import State
from streams.replay import open_catalogues
from streams.runtime import reduce_garbage_collection


def main(events: int = 40_000) -> None:
    reduce_garbage_collection()  # as a worker does
    records = workload.build_records(events)
    books = open_catalogues(workload.build_documents())
    controls, *calls = (parse_record(record) for record in records)
    emit = Emit(controls.record, controls.record.time_ms)

    def create_state() -> State:
        rows = State()
        for event in controls.events:
            if event.data["control"] == "price_book.adopted":
                adopt_price_book(event, rows, books, emit)
            else:
                budgets.set_limit(event, rows, books, emit)
        return rows

    def repeat_step(step: Callable[[Event, int], object], rows: State) -> Callable[[], None]:
        def run() -> None:
            for record, parsed_events in calls:
                for event in parsed_events:
                    emit.now_us = event.time_us  # as where each arrives as it is made
                    rows.begin()
                    step(event, record.offset)

        return run

    identities = Identities()
    rows = create_state()

    def rate_event(event: Event) -> Entry:
        assert event.call is not None
        return rate_call(event, event.call, rows, books)

    entries = {event.identity: rate_event(event) for _, parsed_events in calls for event in parsed_events}
    budgeted, watched, chained = create_state(), create_state(), State()

    def chain() -> None:
        identities.clear()
        for record in records:
            fold_record(parse_record(record), chained, identities, books, lambda *_: b"")

    measures: dict[str, Callable[[], object]] = {
        "parsing": lambda: [parse_record(record) for record in records],
        "identity": repeat_step(
            lambda event, offset: (take_identity(event, offset, identities), find_quarantine_reason(event)), rows
        ),
        "rating": repeat_step(lambda event, offset: rate_event(event), rows),
        "budgets": repeat_step(
            lambda event, _: budgets.add_spend(event, entries[event.identity], budgeted, emit), budgeted
        ),
        "runaways": repeat_step(
            lambda event, _: watch.watch_entry(event, entries[event.identity], watched, emit), watched
        ),
        "chain (parsing, all folds, encoding)": chain,
    }
    print(f"{events:,} events of {sum(len(record.value) for record in records) // events} bytes")
    _print_rates(events, measures)


def _print_rates(events: int, measures: dict[str, Callable[[], object]]) -> None:
    """Run each step once and print its rate, and its ratio to that of the first, parsing."""
    parsing_rate = 0.0
    for name, measure in measures.items():
        start = time.perf_counter()
        measure()
        rate = events / (time.perf_counter() - start)
        parsing_rate = parsing_rate or rate
        print(f"{name:38} {rate:10,.0f} events/s   {rate / parsing_rate:6.2f} of parsing")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
