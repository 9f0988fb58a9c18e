"""How long folding stands still: after a kill, and at a start with much to remember.

``python -m benchmarks.kafka.recovery [IDENTITIES]``. Two workers share the partitions; one is killed with SIGKILL in
the middle of work and started again at once. It counts until an event that was appended after the kill is folded in
every partition; most of it is the session of the dead, which the broker must see end. A start counts from before the
process begins until it has folded an event of a partition whose topic of rows holds so many identities and a
tenth as many rows; with and without the cache, and beside a start with nothing to remember.
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
from ledger.home.presence import each
from ledger.log.kafka.log import KafkaLog
from ledger.log.kafka.topics import MAX_DERIVED
from ledger.log.topics import EVENTS, STATE
from ledger.settings import Settings
from streams.folds.identity import FirstSeen
from streams.folds.state import Key, Row
from streams.kafka.changelog import encode_change
from streams.kafka.worker import PART, SESSION_S
from streams.partition_state import Change, Reached


def main(identities: int = 1_000_000, kills: int = 5, starts: int = 2) -> None:
    with kafka_workers.broker() as bootstrap, tempfile.TemporaryDirectory() as folder:
        killed = _kills(Path(folder) / "kills", kafka_workers.new_log(bootstrap), kills)
        _say("kill -9 until every partition is folded", killed)
        print(f"  the session that must end first: {SESSION_S} s")
        nothing, much = kafka_workers.new_log(bootstrap), kafka_workers.new_log(bootstrap)
        for log in (nothing, much):
            kafka_workers.fill(log, [workload.records(0)])
        _remember(much, identities)
        taken: dict[str, list[float]] = {"with nothing": [], "without its cache": [], "with its cache": []}
        for number in range(starts):
            home = Path(folder) / f"{number}"
            taken["with nothing"].append(_start(home / "nothing", nothing))
            taken["without its cache"].append(_start(home / "much", much))
            taken["with its cache"].append(_start(home / "much", much))
    for name, seconds in taken.items():
        _say(f"a start {name}", seconds)


def _kills(folder: Path, log: KafkaLog, kills: int) -> list[float]:
    chance = random.Random(1)
    kafka_workers.fill(log, kafka_workers.calls(0))
    taken = []
    with kafka_workers.workers(folder, log) as crew:
        for number in range(2):
            crew.start(number)
        kafka_workers.wait(
            lambda: kafka_workers.caught_up(log) and all(_shares(folder / str(number)) for number in range(2))
        )
        for kill in range(kills):
            kafka_workers.fill(log, [some[1:] for some in kafka_workers.calls(4_000)])
            time.sleep(chance.uniform(0, 0.5))
            crew.kill(kill % 2)
            begun = time.monotonic()
            crew.start(kill % 2)
            kafka_workers.fill(log, kafka_workers.calls(0))
            kafka_workers.wait(lambda: kafka_workers.caught_up(log))
            taken.append(time.monotonic() - begun)
    return taken


def _shares(home: Path) -> bool:
    """Whether this worker has partitions."""
    for worker in each(Settings(home=home), PART):
        with suppress(OSError), urllib.request.urlopen(worker["url"]) as page:
            return bool(json.load(page)["partitions"])
    return False


def _start(home: Path, log: KafkaLog) -> float:
    """One worker's start, until it has folded what it finds."""
    kafka_workers.fill(log, [workload.records(0)])
    with kafka_workers.workers(home, log) as crew:
        begun = time.monotonic()
        crew.start()
        kafka_workers.wait(lambda: kafka_workers.caught_up(log))
        taken = time.monotonic() - begun
        crew.stop()
    return taken


def _remember(log: KafkaLog, identities: int) -> None:
    """Give the first partition a topic of rows as if it had folded so many events before the records it has."""
    chance = random.Random(1)
    record = log.read(EVENTS, 0, 0)[-1]
    rows: dict[Key, Row | None] = {
        ("benchmark", f"session-{number:012}"): Row({"cost": str(chance.randrange(10**12)), "note": "x" * 80}, None)
        for number in range(identities // 10)
    }
    taken = {chance.randbytes(16): FirstSeen(chance.randbytes(8), 0, number) for number in range(identities)}
    producer = KafkaProducer(**log.cluster.client(), compression_type="zstd", max_request_size=MAX_DERIVED)
    for entry in encode_change(Reached(record.offset + 1, record.digest()), Change(None, rows, taken)):
        producer.send(log.cluster.topic(STATE), entry.value, entry.key.encode(), partition=0)
    producer.flush()
    producer.close()


def _say(what: str, seconds: list[float]) -> None:
    spread = f"{min(seconds):.1f} to {max(seconds):.1f}"
    print(f"{what:40} {statistics.median(seconds):6.1f} s, median of {len(seconds)} ({spread})")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
