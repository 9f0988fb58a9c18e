"""A broker for a measurement, logs of its own on it, and the programs that fold them, each a process."""

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import psutil

from benchmarks.harness import workload
from ledger.home.ports import find_free_port
from ledger.log import Draft, Record, fold_offset
from ledger.log.documents import store_document
from ledger.log.kafka.cluster import parse_cluster
from ledger.log.kafka.log import KafkaLog
from ledger.log.kafka.topics import apply_topics
from ledger.log.topics import EVENTS
from tally.local_kafka.broker import Broker, Node, make_cluster_id
from tally.local_kafka.jars import ensure_jars

WORK_PARTITIONS = (0, 5, 10, 15)
"""The partitions that hold events. Two or four workers get equal numbers of them."""
PARTITION_COUNT = len(WORK_PARTITIONS)
WORKER_COMMAND = (sys.executable, "-m", "tally", "streams", "worker")
START_TIMEOUT_S, STALL_TIMEOUT_S, POLL_INTERVAL_S = 120, 30, 0.05
"""Limits for the first event, and for a pause that is taken as the end; and the interval of polls."""


@contextmanager
def broker() -> Iterator[str]:
    """Run an empty Kafka, and yield its address. From here on SIGTERM ends it, too."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory() as folder:
        node = Node(1, Path(folder), Path(folder) / "kafka.log", find_free_port(), {1: find_free_port()})
        server = Broker(node, ensure_jars(lambda count, total: None), make_cluster_id())
        try:
            server.start()
            server.wait_until_ready()
            yield server.bootstrap
        finally:
            server.stop()


def create_log(bootstrap: str) -> KafkaLog:
    """Create an empty log with the price book's document."""
    log = KafkaLog(parse_cluster(f"kafka://{bootstrap}/{uuid.uuid4()}"))
    apply_topics(log.cluster)
    for digest, packed in workload.build_documents().items():
        store_document(log, digest, packed)
    return log


def build_partitions(events: int, events_per_record: int = workload.EVENTS_PER_RECORD) -> list[list[Record]]:
    """Build the workload of each partition, with its control records in the first record."""
    if events % (PARTITION_COUNT * events_per_record):
        raise SystemExit(
            f"{events} events do not fill whole records: take a multiple of {PARTITION_COUNT * events_per_record}"
        )
    return [
        workload.build_records(events // PARTITION_COUNT, seed, events_per_record) for seed in range(PARTITION_COUNT)
    ]


def fill(log: KafkaLog, partitions: Sequence[Sequence[Record]]) -> None:
    """Append records to the partitions, one sequence for each."""
    for number, records in zip(WORK_PARTITIONS, partitions, strict=False):
        log.append(EVENTS, [Draft(number, record.key, record.headers, record.value) for record in records])


def count_folded_events(log: KafkaLog, events_per_record: int = workload.EVENTS_PER_RECORD) -> int:
    """Count the workload's events that are folded and committed; a partition's first record holds none."""
    return sum(max(fold_offset(log, number) - 1, 0) for number in WORK_PARTITIONS) * events_per_record


def is_caught_up(log: KafkaLog) -> bool:
    """Tell whether all records of the partitions are folded."""
    return all(fold_offset(log, number) == log.end(EVENTS, number) for number in WORK_PARTITIONS)


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait until a condition is true. RuntimeError after ``START_TIMEOUT_S``."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"the condition is still false after {START_TIMEOUT_S} s")
        time.sleep(POLL_INTERVAL_S)


class Crew:
    """Workers of one command, each with a folder of its own; they end with the measurement."""

    def __init__(self, folder: Path, command: Sequence[str], **environment: str) -> None:
        self.folder, self._command, self._environment = folder, command, environment
        self._running: dict[int, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> "Crew":
        return self

    def __exit__(self, *_: object) -> None:
        for number in list(self._running):
            self.kill(number)

    def start(self, number: int = 0) -> None:
        home = self.folder / str(number)
        home.mkdir(parents=True, exist_ok=True)
        with (home / "log").open("ab") as output:
            self._running[number] = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                env=os.environ | {"TALLY_HOME": str(home)} | self._environment,
            )  # fmt: skip

    def kill(self, number: int = 0) -> None:
        """End a worker with SIGKILL."""
        process = self._running.pop(number)
        process.kill()
        process.wait()

    def stop(self, number: int = 0) -> None:
        """End a worker with SIGTERM."""
        process = self._running.pop(number)
        process.terminate()
        process.wait()

    def processor_s(self) -> float:
        """Return the processor seconds of the workers so far."""
        times = [psutil.Process(process.pid).cpu_times() for process in self._running.values()]
        return sum(cpu_times.user + cpu_times.system for cpu_times in times)

    def check(self) -> None:
        """Raise RuntimeError where a worker has ended by itself."""
        for number, process in self._running.items():
            if process.poll() is not None:
                output = (self.folder / str(number) / "log").read_text(errors="replace")[-2000:]
                raise RuntimeError(f"worker {number} ended with {process.returncode}:\n{output}")


def create_crew(folder: Path, log: KafkaLog, command: Sequence[str] = WORKER_COMMAND) -> Crew:
    """Create workers of the product for a log."""
    return Crew(folder, command, TALLY_LOG=repr(log.cluster))


class Rate(NamedTuple):
    """Events a second by the clock, and by the workers' processor time. Other load on the machine changes the second
    less, but by a half where there is much."""

    clock: float
    processor: float


def measure_rate(crew: Crew, progress: Callable[[], int], total: int) -> Rate:
    """Measure from the first poll that finds events done to the last event. RuntimeError where the crew stalls."""
    start = last_progress = time.perf_counter()
    first_count = count = 0
    spent_s = 0.0
    while count < total:
        time.sleep(POLL_INTERVAL_S)
        crew.check()
        before, count, now = count, progress(), time.perf_counter()
        if count > before:
            last_progress = now
            if not before:
                first_count, start, spent_s = count, now, crew.processor_s()
        if now > last_progress + (STALL_TIMEOUT_S if count else START_TIMEOUT_S):
            raise RuntimeError(f"{count:,} of {total:,} events are done, and no more since {now - last_progress:.0f} s")
    if first_count == count:
        raise SystemExit(f"{total:,} events were all done at the first look: take more")
    return Rate((total - first_count) / (last_progress - start), (total - first_count) / (crew.processor_s() - spent_s))


def measure_folding(
    folder: Path,
    bootstrap: str,
    partitions: Sequence[Sequence[Record]],
    events_per_record: int = workload.EVENTS_PER_RECORD,
    worker_count: int = 1,
    command: Sequence[str] = WORKER_COMMAND,
) -> Rate:
    """Measure how fast workers that start together fold a new log of these records."""
    log = create_log(bootstrap)
    fill(log, partitions)
    events = sum(len(records) - 1 for records in partitions) * events_per_record
    with create_crew(folder, log, command) as crew:
        for number in range(worker_count):
            crew.start(number)
        measured = measure_rate(crew, lambda: count_folded_events(log, events_per_record), events)
    log.close()
    return measured


def compare_rates(rounds: int, contestants: dict[str, Callable[[Path], Rate]]) -> None:
    """Measure contestants in turns, each in a folder of its own, and print their rates, and the last one's as a
    multiple of the first one's."""
    rates: dict[str, list[Rate]] = {name: [] for name in contestants}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds):
            for name, measure in contestants.items():
                rates[name].append(measure(Path(folder) / f"{number}-{name}"))
    for unit, field in zip(("second", "processor second of the workers"), Rate._fields, strict=True):
        samples_by_name = {name: [getattr(sample, field) for sample in samples] for name, samples in rates.items()}
        print(f"events a {unit}, median of {rounds}:")
        for name, samples in samples_by_name.items():
            print(f"  {name:18}{statistics.median(samples):9,.0f} ({min(samples):,.0f} to {max(samples):,.0f})")
        first, *_, last = samples_by_name.values()
        ratios = [later / earlier for earlier, later in zip(first, last, strict=True)]
        print(f"  {'ratio':18}{statistics.median(ratios):9.1f} ({min(ratios):.1f} to {max(ratios):.1f})")
