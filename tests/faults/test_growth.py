"""State that grows: a month of calls in very many sessions on Kafka. A worker's memory stays bounded, and what no
window needs any more is deleted."""

import shutil
import sqlite3
import time
import uuid
from collections.abc import Iterable, Iterator
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from ledger.log import Record, fold_offset
from ledger.log.kafka import topics as admin
from ledger.log.kafka.log import KafkaLog
from ledger.log.open import open_log
from ledger.log.topics import DOCUMENTS, EVENTS
from streams.folds.budget_windows import BUCKETS
from streams.runtime import build_tick
from tests.faults.house import House
from tests.streams.build import DIGEST, PACKED, START, START_MS, adopt, budget

PARTITIONS, A_RECORD, PER_SESSION = 4, 200, 10
TEAMS, WINDOWS_S = 10, (3600, 86_400, 30 * 86_400)
HOUR_MS = 3_600_000
MONTH_MS = 30 * 24 * HOUR_MS
MAX_BYTES = 1_500_000_000
SIZES = [
    pytest.param(400_000, marks=[pytest.mark.long, pytest.mark.timeout(1800)]),
    pytest.param(10_000_000, marks=[pytest.mark.long, pytest.mark.timeout(4 * 3600)]),
]
CALL = (
    '{{"id":"{id}","source":"growth","type":"tallystick.inference.v1","time":"{time}","data":{{"session":"s{session}",'
    '"agent":"a{agent}","team":"t{team}","model":"m1","provider":"acme","status":"ok","tokens":{{"input":{tokens},'
    '"output":100}},"tool":"grep","tool_arguments_hash":"{hash}","tool_result_hash":"r"}}}}'
)


def batched(many: Iterable[Any], size: int) -> Iterator[list[Any]]:
    left = iter(many)
    while some := list(islice(left, size)):
        yield some


def at_once(events: int) -> int:
    """How many sessions of a partition go on at the same time."""
    return max(events * HOUR_MS // MONTH_MS // PER_SESSION, 1)


def needed(events: int) -> int:
    """The most rows that a partition's windows can need: each budget's buckets back to where a late fact reaches, what
    it is found by, and the sessions that go on or went silent a moment ago."""
    budgets = TEAMS * len(WINDOWS_S)
    return budgets * (2 * BUCKETS + 2) + TEAMS + 2 * at_once(events) + 5


def records(partition: int, events: int) -> Iterator[Record]:
    """A partition's: prices and budgets, then calls over a month, ten in each session, a session an hour long."""
    headers = {"organization": f"o{partition}", "channel": "test", "principal": "test", "schema": "1", "refused": "0"}
    first = [adopt(f"book-{partition}")]
    for window_s in WINDOWS_S:
        first += [budget(f"{window_s}-{team}", "1000", window_s, team=f"t{team}") for team in range(TEAMS)]
    yield Record(partition, 0, START_MS, headers["organization"], headers, b"\n".join(first))
    step_ms = MONTH_MS / events
    sessions = at_once(events)
    for offset, numbers in enumerate(batched(range(events), A_RECORD), 1):
        lines = []
        for number in numbers:
            time = (START + timedelta(milliseconds=number * step_ms)).isoformat(timespec="milliseconds")
            session = number // (sessions * PER_SESSION) * sessions + number % sessions
            said = {"session": session, "agent": session % 50, "team": session % TEAMS, "hash": number % 7}
            lines.append(
                CALL.format(id=number, time=time.replace("+00:00", "Z"), tokens=number % 5000, **said).encode()
            )
        now_ms = START_MS + int((numbers[-1] + 1) * step_ms)
        yield Record(partition, offset, now_ms, headers["organization"], headers, b"\n".join(lines))


@pytest.mark.parametrize("events", SIZES)
def test_memory_is_bounded_and_what_is_over_is_deleted(tmp_path: Path, kafka: str, events: int) -> None:
    house = House(tmp_path / "home", log=f"kafka://{kafka}/{uuid.uuid4()}")
    log = open_log(house.settings)
    assert isinstance(log, KafkaLog)
    admin.create_recorded_topics(log.cluster)
    admin.begin_copy(log.cluster)
    log.insert(DOCUMENTS, [Record(0, 0, START_MS, DIGEST, {}, PACKED)])
    for partition in range(PARTITIONS):
        for some in batched(records(partition, events // PARTITIONS), 200):
            log.insert(EVENTS, some)
    admin.finish_copy(log)
    try:
        begun = time.monotonic()
        house.start("streams")
        most = _folded(house, log, 3 * 3600)
        pace = events / (time.monotonic() - begun)
        kept = list(_rows(house))
        again = _restarted(house, log)
        shutil.rmtree(house.settings.home / "streams")
        elsewhere = _restarted(house, log)
    finally:
        house.kill()
    print(
        f"{events:,} events: {most / 1e6:.0f} MB, {pace:,.0f}/s; a restart {again:.1f} s, elsewhere {elsewhere:.1f} s"
    )
    assert most < MAX_BYTES
    assert len(kept) >= PARTITIONS and max(kept) <= needed(events // PARTITIONS), kept


def _restarted(house: House, log: KafkaLog) -> float:
    """Seconds from the start of a worker until it has folded what each partition was given while it was away."""
    house.stop("streams")
    begun = time.monotonic()
    log.append(EVENTS, [build_tick(one, end, START_MS * 1000) for one, end in enumerate(log.ends(EVENTS)[:PARTITIONS])])
    house.start("streams")
    _folded(house, log, 600)
    return time.monotonic() - begun


def _folded(house: House, log: KafkaLog, patience_s: float) -> int:
    """Wait until all is folded; the most memory that the worker ever held, in bytes."""
    ends = log.ends(EVENTS)[:PARTITIONS]
    deadline = time.monotonic() + patience_s
    while any(fold_offset(log, one) < end for one, end in enumerate(ends)):
        assert time.monotonic() < deadline
        house.revive()
        time.sleep(0.5)
    status = Path(f"/proc/{house.running['streams'].pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def _rows(house: House) -> Iterator[int]:
    """How many rows each partition's folds still remember."""
    for path in (house.settings.home / "streams").rglob("*.db"):
        db = sqlite3.connect(path)
        yield db.execute("SELECT count(*) FROM rows").fetchone()[0]
        db.close()
