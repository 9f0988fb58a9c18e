"""The pause of folding after a kill, and at a start with a large state.

``python -m benchmarks.kafka.recovery [IDENTITIES [KILLS [STARTS]]]``. Two workers share the partitions; one is killed
with SIGKILL in the middle of work and started again at once. It counts until an event that was appended after the kill
is folded in every partition; most of it is the timeout of the killed worker's session. A start counts from before the
process begins until it has folded an event of a partition with so many identities, and a tenth as many rows, in its
state; with and without the cache, and beside a start with empty state.
"""

import json
import random
import statistics
import sys
import tempfile
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

from kafka import KafkaProducer

from benchmarks.harness import kafka_workers, workload
from ledger.home.presence import list_presences
from ledger.log.kafka.log import KafkaLog
from ledger.log.kafka.topics import MAX_DERIVED_RECORD_BYTES
from ledger.log.topics import EVENTS, STATE
from ledger.settings import Settings
from streams.folds.identity import EventVersion
from streams.folds.state import Key, Row
from streams.kafka.changelog import encode_change
from streams.kafka.worker import SERVICE, SESSION_TIMEOUT_S
from streams.partition_state import Change, FoldPosition


def main(identities: int = 1_000_000, kills: int = 5, starts: int = 2) -> None:
    with kafka_workers.broker() as bootstrap, tempfile.TemporaryDirectory() as folder:
        kill_durations = _measure_kills(Path(folder) / "kills", kafka_workers.create_log(bootstrap), kills)
        _print_durations("kill -9 until every partition is folded", kill_durations)
        print(f"  the session that must end first: {SESSION_TIMEOUT_S} s")
        empty_log, large_log = kafka_workers.create_log(bootstrap), kafka_workers.create_log(bootstrap)
        for log in (empty_log, large_log):
            kafka_workers.fill(log, [workload.build_records(0)])
        _write_state(large_log, identities)
        durations: dict[str, list[float]] = {"with nothing": [], "without its cache": [], "with its cache": []}
        for number in range(starts):
            home = Path(folder) / f"{number}"
            durations["with nothing"].append(_measure_start(home / "nothing", empty_log))
            durations["without its cache"].append(_measure_start(home / "much", large_log))
            durations["with its cache"].append(_measure_start(home / "much", large_log))
    for name, seconds in durations.items():
        _print_durations(f"a start {name}", seconds)


def _measure_kills(folder: Path, log: KafkaLog, kills: int) -> list[float]:
    chance = random.Random(1)
    kafka_workers.fill(log, kafka_workers.build_partitions(0))
    durations = []
    with kafka_workers.create_crew(folder, log) as crew:
        for number in range(2):
            crew.start(number)
        kafka_workers.wait_until(
            lambda: (
                kafka_workers.is_caught_up(log) and all(_has_partitions(folder / str(number)) for number in range(2))
            )
        )
        for kill in range(kills):
            kafka_workers.fill(log, [records[1:] for records in kafka_workers.build_partitions(4_000)])
            time.sleep(chance.uniform(0, 0.5))
            crew.kill(kill % 2)
            start = time.monotonic()
            crew.start(kill % 2)
            kafka_workers.fill(log, kafka_workers.build_partitions(0))
            kafka_workers.wait_until(lambda: kafka_workers.is_caught_up(log))
            durations.append(time.monotonic() - start)
    return durations


def _has_partitions(home: Path) -> bool:
    """Tell whether a worker has partitions."""
    for worker in list_presences(Settings(home=home), SERVICE):
        with suppress(OSError), urllib.request.urlopen(worker["url"]) as page:
            return bool(json.load(page)["partitions"])
    return False


def _measure_start(home: Path, log: KafkaLog) -> float:
    """Measure one worker's start until it has folded the log."""
    kafka_workers.fill(log, [workload.build_records(0)])
    with kafka_workers.create_crew(home, log) as crew:
        start = time.monotonic()
        crew.start()
        kafka_workers.wait_until(lambda: kafka_workers.is_caught_up(log))
        duration_s = time.monotonic() - start
        crew.stop()
    return duration_s


def _write_state(log: KafkaLog, identities: int) -> None:
    """Write state of the first partition as if so many events had been folded before its records."""
    chance = random.Random(1)
    record = log.read(EVENTS, 0, 0)[-1]
    rows: dict[Key, Row | None] = {
        ("benchmark", f"session-{number:012}"): Row({"cost": str(chance.randrange(10**12)), "note": "x" * 80}, None)
        for number in range(identities // 10)
    }
    first_seen = {chance.randbytes(16): EventVersion(chance.randbytes(8), 0, number) for number in range(identities)}
    producer = KafkaProducer(**log.cluster.client(), compression_type="zstd", max_request_size=MAX_DERIVED_RECORD_BYTES)
    for entry in encode_change(FoldPosition(record.offset + 1, record.digest()), Change(None, rows, first_seen)):
        producer.send(log.cluster.topic(STATE), entry.value, entry.key.encode(), partition=0)
    producer.flush()
    producer.close()


def _print_durations(title: str, seconds: list[float]) -> None:
    spread = f"{min(seconds):.1f} to {max(seconds):.1f}"
    print(f"{title:40} {statistics.median(seconds):6.1f} s, median of {len(seconds)} ({spread})")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
