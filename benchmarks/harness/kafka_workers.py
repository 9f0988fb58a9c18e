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
from ledger.home.free_ports import free_port
from ledger.log import Draft, Record, folded
from ledger.log.documents import store
from ledger.log.kafka.cluster import parsed
from ledger.log.kafka.log import KafkaLog
from ledger.log.kafka.topics import apply
from ledger.log.topics import EVENTS
from tally.local_kafka.broker import Broker, Node, new_cluster_id
from tally.local_kafka.jars import bring

PLACES = (0, 5, 10, 15)
"""The partitions that hold events: however workers share them, two or four of them get as many of these."""
WORKED = len(PLACES)
WORKER = (sys.executable, "-m", "tally", "streams", "worker")
PATIENCE_S, STILL_S, POLL_INTERVAL_S = 120, 30, 0.05
"""How long the first may take, how long nothing may move until it is taken for the end, and how often we look."""


@contextmanager
def broker() -> Iterator[str]:
    """The address of a Kafka of our own, with nothing on it. From here on SIGTERM ends what we started, too."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory() as folder:
        node = Node(1, Path(folder), Path(folder) / "kafka.log", free_port(), {1: free_port()})
        one = Broker(node, bring(lambda done, total: None), new_cluster_id())
        try:
            one.start()
            one.ready()
            yield one.bootstrap
        finally:
            one.stop()


def new_log(bootstrap: str) -> KafkaLog:
    """An empty log that knows the price book."""
    log = KafkaLog(parsed(f"kafka://{bootstrap}/{uuid.uuid4()}"))
    apply(log.cluster)
    for digest, packed in workload.documents().items():
        store(log, digest, packed)
    return log


def calls(events: int, a_record: int = workload.A_RECORD) -> list[list[Record]]:
    """The workload for each partition that is worked, its decisions in its first record."""
    if events % (WORKED * a_record):
        raise SystemExit(f"{events} events do not fill whole records: take a multiple of {WORKED * a_record}")
    return [workload.records(events // WORKED, seed, a_record) for seed in range(WORKED)]


def fill(log: KafkaLog, partitions: Sequence[Sequence[Record]]) -> None:
    """Append these records."""
    for number, records in zip(PLACES, partitions, strict=False):
        log.append(EVENTS, [Draft(number, one.key, one.headers, one.value) for one in records])


def events_folded(log: KafkaLog, a_record: int = workload.A_RECORD) -> int:
    """How many of the workload's events are folded and committed; the first record of a partition holds none."""
    return sum(max(folded(log, number) - 1, 0) for number in PLACES) * a_record


def caught_up(log: KafkaLog) -> bool:
    """Whether everything that stands in the partitions we work on is folded."""
    return all(folded(log, number) == log.end(EVENTS, number) for number in PLACES)


def wait(condition: Callable[[], bool]) -> None:
    """RuntimeError where it does not come true."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"what we wait for has not come about within {PATIENCE_S} s")
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
        """SIGKILL."""
        process = self._running.pop(number)
        process.kill()
        process.wait()

    def stop(self, number: int = 0) -> None:
        """Let it leave in order."""
        process = self._running.pop(number)
        process.terminate()
        process.wait()

    def processor_s(self) -> float:
        """What they have spent so far."""
        spent = [psutil.Process(process.pid).cpu_times() for process in self._running.values()]
        return sum(one.user + one.system for one in spent)

    def check(self) -> None:
        """RuntimeError where one has ended by itself."""
        for number, process in self._running.items():
            if process.poll() is not None:
                said = (self.folder / str(number) / "log").read_text(errors="replace")[-2000:]
                raise RuntimeError(f"worker {number} ended with {process.returncode}:\n{said}")


def workers(folder: Path, log: KafkaLog, command: Sequence[str] = WORKER) -> Crew:
    """Our own folds of this log."""
    return Crew(folder, command, TALLY_LOG=repr(log.cluster))


class Rate(NamedTuple):
    """Events a second by the clock, and a second of the workers' processor time. Others on the machine change the
    second less, but by a half where they are many."""

    clock: float
    processor: float


def rate(crew: Crew, progress: Callable[[], int], total: int) -> Rate:
    """From the first look that finds some done to the last event. Where the crew comes to stand before,
    RuntimeError."""
    begun = moved = time.perf_counter()
    first = done = 0
    spent = 0.0
    while done < total:
        time.sleep(POLL_INTERVAL_S)
        crew.check()
        before, done, now = done, progress(), time.perf_counter()
        if done > before:
            moved = now
            if not before:
                first, begun, spent = done, now, crew.processor_s()
        if now > moved + (STILL_S if done else PATIENCE_S):
            raise RuntimeError(f"{done:,} of {total:,} events are done, and no more since {now - moved:.0f} s")
    if first == done:
        raise SystemExit(f"{total:,} events were all done at the first look: take more")
    return Rate((total - first) / (moved - begun), (total - first) / (crew.processor_s() - spent))


def folding(
    folder: Path,
    bootstrap: str,
    partitions: Sequence[Sequence[Record]],
    a_record: int = workload.A_RECORD,
    crew_size: int = 1,
    command: Sequence[str] = WORKER,
) -> Rate:
    """How fast so many workers, which begin together, fold a new log of these records."""
    log = new_log(bootstrap)
    fill(log, partitions)
    events = sum(len(records) - 1 for records in partitions) * a_record
    with workers(folder, log, command) as crew:
        for number in range(crew_size):
            crew.start(number)
        measured = rate(crew, lambda: events_folded(log, a_record), events)
    log.close()
    return measured


def in_turns(rounds: int, contestants: dict[str, Callable[[Path], Rate]]) -> None:
    """Measure them, each in a folder of its own, and print their rates and how many times the first one's the last
    one's is."""
    rates: dict[str, list[Rate]] = {name: [] for name in contestants}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds):
            for name, measure in contestants.items():
                rates[name].append(measure(Path(folder) / f"{number}-{name}"))
    for unit, each in zip(("second", "processor second of the workers"), Rate._fields, strict=True):
        measured = {name: [getattr(one, each) for one in some] for name, some in rates.items()}
        print(f"events a {unit}, median of {rounds}:")
        for name, some in measured.items():
            print(f"  {name:18}{statistics.median(some):9,.0f} ({min(some):,.0f} to {max(some):,.0f})")
        first, *_, last = measured.values()
        ratios = [later / earlier for earlier, later in zip(first, last, strict=True)]
        print(f"  {'ratio':18}{statistics.median(ratios):9.1f} ({min(ratios):.1f} to {max(ratios):.1f})")
