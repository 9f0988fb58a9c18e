"""Workers that are killed again and again, ours and a plain Faust program's.

``python -m benchmarks.kafka.kills [EVENTS [KILLS [SEED]]]``.

Both are fed the same events at one pace, on one broker, at the same time, by two workers each. At moments from a
seed one worker of each is killed with SIGKILL, and started again at once. When all has settled, what the plain program
counted (its Table's changelog) is held against what was sent, session by session; and our derived topics against an
undisturbed replay of the log, line by line. Where a session lost one event and counted another twice, the plain
program's figures are too low.
"""

import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.harness import kafka_workers, workload
from benchmarks.kafka.faust_baseline import PlainProgram, read_session, split_lines
from ledger.log import Draft, Record, records
from ledger.log.kafka.log import KafkaLog
from ledger.log.topics import DERIVED, EVENTS
from streams.replay import replay

WORKERS = 2
EVENTS_PER_S = 600
EVENTS_PER_BATCH = 40
"""Events in a record of the product."""
SETTLE_TIME_S, STALL_TIMEOUT_S = 10, 45
"""Seconds without a change that are taken as the end: where all events are done, and where some are left."""


def main(events: int = 24_000, kills: int = 8, seed: int = 1) -> None:
    chance = random.Random(seed)
    kill_times = sorted(chance.uniform(0, events / EVENTS_PER_S) for _ in range(kills))
    lines = split_lines(kafka_workers.build_partitions(events))
    with kafka_workers.broker() as bootstrap, tempfile.TemporaryDirectory() as folder:
        log, plain = kafka_workers.create_log(bootstrap), PlainProgram(bootstrap)
        kafka_workers.fill(log, kafka_workers.build_partitions(0))
        with (
            kafka_workers.create_crew(Path(folder) / "ours", log) as product_crew,
            plain.crew(Path(folder) / "plain") as plain_crew,
        ):
            for crew in (product_crew, plain_crew):
                for number in range(WORKERS):
                    crew.start(number)
            plain.send(lines[:EVENTS_PER_BATCH])
            _append(log, 0, lines[:EVENTS_PER_BATCH])
            kafka_workers.wait_until(
                lambda: kafka_workers.is_caught_up(log) and plain.count_changes() >= EVENTS_PER_BATCH
            )
            begin_time = time.monotonic()
            for start in range(EVENTS_PER_BATCH, events, EVENTS_PER_BATCH):
                time.sleep(max(begin_time + start / EVENTS_PER_S - time.monotonic(), 0))
                batch = lines[start : start + EVENTS_PER_BATCH]
                _append(
                    log, kafka_workers.WORK_PARTITIONS[start // EVENTS_PER_BATCH % kafka_workers.PARTITION_COUNT], batch
                )
                plain.send(batch)
                while kill_times and time.monotonic() - begin_time > kill_times[0]:
                    kill_times.pop(0)
                    victim = chance.randrange(WORKERS)
                    for crew in (product_crew, plain_crew):
                        crew.kill(victim)
                        crew.start(victim)
            kafka_workers.wait_until(lambda: kafka_workers.is_caught_up(log))
            pending = _wait_for_settling(plain)
        counts = Counter(plain.read_counts())
        expected, actual = _read_derived_lines(log)
    print(f"{len(lines):,} events, {kills} kills of {WORKERS} workers each")
    if pending:
        print(f"the plain program stands still, and has not come to {pending:,} events")
    _print_report("plain Faust", "events", Counter(map(read_session, lines)), counts)
    _print_report("tallystick", "lines", expected, actual)


def _append(log: KafkaLog, partition: int, lines: list[bytes]) -> None:
    (control_record,) = workload.build_records(0)
    log.append(EVENTS, [Draft(partition, control_record.key, control_record.headers, b"\n".join(lines))])


def _wait_for_settling(plain: PlainProgram) -> int:
    """Wait until the plain program has committed everything and writes nothing more. Return the events that are left
    where it stalls before."""
    last_change, changes, pending = time.monotonic(), 0, 0
    while time.monotonic() < last_change + (STALL_TIMEOUT_S if pending else SETTLE_TIME_S):
        time.sleep(0.5)
        before, (changes, pending) = (changes, pending), (plain.count_changes(), plain.count_pending())
        if (changes, pending) != before:
            last_change = time.monotonic()
    return pending


def _read_derived_lines(log: KafkaLog) -> tuple[Counter[bytes], Counter[bytes]]:
    """Return the lines of the derived topics, as a replay derives them and as they are on the log."""
    appended = [record for number in kafka_workers.WORK_PARTITIONS for record in records(log, EVENTS, number)]
    expected = [record for _, record in replay(appended, workload.build_documents())]
    actual = [
        record
        for topic in DERIVED
        for number in kafka_workers.WORK_PARTITIONS
        for record in records(log, topic, number)
    ]
    return _count_lines(expected), _count_lines(actual)


def _count_lines(records: Iterable[Record]) -> Counter[bytes]:
    return Counter(line for record in records for line in record.value.split(b"\n"))


def _print_report(name: str, unit: str, expected: Counter[Any], actual: Counter[Any]) -> None:
    total = expected.total()
    missing, doubled = (expected - actual).total(), (actual - expected).total()
    shares = f"{missing:6,} lost ({missing / total:.2%}) {doubled:6,} doubled ({doubled / total:.2%})"
    print(f"{name:12} {total:8,} {unit:8} {shares}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
