"""Workers that are killed again and again, ours and a plain Faust program's.

``python -m benchmarks.kafka.kills [EVENTS]``.

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
from benchmarks.kafka.faust_baseline import Plain, lines, session
from ledger.log import Draft, Record, records
from ledger.log.kafka.log import KafkaLog
from ledger.log.topics import DERIVED, EVENTS
from streams.replay import replay

WORKERS = 2
PER_S = 600
A_TURN = 40
"""So many events a record of ours."""
SETTLED_S, STILL_S = 10, 45
"""How long nothing may move until it is taken for the end: where all is done, and where some is left."""


def main(events: int = 24_000, kills: int = 8, seed: int = 1) -> None:
    chance = random.Random(seed)
    moments = sorted(chance.uniform(0, events / PER_S) for _ in range(kills))
    sent = lines(kafka_workers.calls(events))
    with kafka_workers.broker() as bootstrap, tempfile.TemporaryDirectory() as folder:
        log, plain = kafka_workers.new_log(bootstrap), Plain(bootstrap)
        kafka_workers.fill(log, kafka_workers.calls(0))
        with kafka_workers.workers(Path(folder) / "ours", log) as ours, plain.crew(Path(folder) / "plain") as theirs:
            for crew in (ours, theirs):
                for number in range(WORKERS):
                    crew.start(number)
            plain.send(sent[:A_TURN])
            _append(log, 0, sent[:A_TURN])
            kafka_workers.wait(lambda: kafka_workers.caught_up(log) and plain.written() >= A_TURN)
            begun = time.monotonic()
            for start in range(A_TURN, events, A_TURN):
                time.sleep(max(begun + start / PER_S - time.monotonic(), 0))
                some = sent[start : start + A_TURN]
                _append(log, kafka_workers.PLACES[start // A_TURN % kafka_workers.WORKED], some)
                plain.send(some)
                while moments and time.monotonic() - begun > moments[0]:
                    moments.pop(0)
                    victim = chance.randrange(WORKERS)
                    for crew in (ours, theirs):
                        crew.kill(victim)
                        crew.start(victim)
            kafka_workers.wait(lambda: kafka_workers.caught_up(log))
            behind = _settle(plain)
        counted = Counter(plain.counted())
        expected, found = _derived(log)
    print(f"{len(sent):,} events, {kills} kills of {WORKERS} workers each")
    if behind:
        print(f"the plain program stands still, and has not come to {behind:,} events")
    _report("plain Faust", "events", Counter(map(session, sent)), counted)
    _report("tallystick", "lines", expected, found)


def _append(log: KafkaLog, partition: int, some: list[bytes]) -> None:
    (first,) = workload.records(0)
    log.append(EVENTS, [Draft(partition, first.key, first.headers, b"\n".join(some))])


def _settle(plain: Plain) -> int:
    """Wait until it says that it is done with everything, and writes nothing more. How much it has left where it
    stands still before."""
    moved, written, behind = time.monotonic(), 0, 0
    while time.monotonic() < moved + (STILL_S if behind else SETTLED_S):
        time.sleep(0.5)
        before, (written, behind) = (written, behind), (plain.written(), plain.behind())
        if (written, behind) != before:
            moved = time.monotonic()
    return behind


def _derived(log: KafkaLog) -> tuple[Counter[bytes], Counter[bytes]]:
    """The lines of our derived topics, as a replay derives them and as they stand. Each has its own position."""
    appended = [one for number in kafka_workers.PLACES for one in records(log, EVENTS, number)]
    expected = [record for _, record in replay(appended, workload.documents())]
    found = [one for topic in DERIVED for number in kafka_workers.PLACES for one in records(log, topic, number)]
    return _lines(expected), _lines(found)


def _lines(some: Iterable[Record]) -> Counter[bytes]:
    return Counter(line for one in some for line in one.value.split(b"\n"))


def _report(name: str, what: str, expected: Counter[Any], found: Counter[Any]) -> None:
    total = expected.total()
    lost, doubled = (expected - found).total(), (found - expected).total()
    shares = f"{lost:6,} lost ({lost / total:.2%}) {doubled:6,} doubled ({doubled / total:.2%})"
    print(f"{name:12} {total:8,} {what:8} {shares}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
