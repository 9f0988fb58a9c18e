"""State that grows: a month of calls in very many sessions on Kafka. A worker's memory stays bounded, and what no
window needs any more is deleted."""

import sqlite3
import time
import uuid
from collections.abc import Iterable, Iterator
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from ledger.log import Record, admin, folded
from ledger.log.kafka import KafkaLog
from ledger.log.opening import open_log
from ledger.topics import DOCUMENTS, EVENTS
from tests.faults.house import House
from tests.streams.build import DIGEST, PACKED, START, START_MS, adopt, budget

PARTITIONS, A_RECORD, PER_SESSION = 4, 200, 10
MONTH_MS = 30 * 86_400_000
MOST = 1_500_000_000
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


def records(partition: int, events: int) -> Iterator[Record]:
    """A partition's: prices and budgets, then calls over a month, ten in each session, a session an hour long."""
    headers = {"organization": f"o{partition}", "door": "test", "principal": "test", "schema": "1", "refused": "0"}
    first = [adopt(f"book-{partition}")]
    for number, window_s in enumerate((3600, 86_400, 30 * 86_400)):
        first += [budget(f"{number}-{team}", "1000", window_s, team=f"t{team}") for team in range(10)]
    yield Record(partition, 0, START_MS, headers["organization"], headers, b"\n".join(first))
    step_ms = MONTH_MS / events
    sessions = max(int(3_600_000 / step_ms / PER_SESSION), 1)  # so many go on at once
    for offset, numbers in enumerate(batched(range(events), A_RECORD), 1):
        lines = []
        for number in numbers:
            time = (START + timedelta(milliseconds=number * step_ms)).isoformat(timespec="milliseconds")
            session = number // (sessions * PER_SESSION) * sessions + number % sessions
            said = {"session": session, "agent": session % 50, "team": session % 10, "hash": number % 7}
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
    admin.make_recorded(log.cluster)
    admin.take(log.cluster)
    log.insert(DOCUMENTS, [Record(0, 0, START_MS, DIGEST, {}, PACKED)])
    for partition in range(PARTITIONS):
        for some in batched(records(partition, events // PARTITIONS), 200):
            log.insert(EVENTS, some)
    admin.settle(log.cluster)
    ends = log.ends(EVENTS)[:PARTITIONS]
    try:
        begun = time.monotonic()
        house.start("streams")
        most = _folded(house, log, ends, 3 * 3600)
        pace = events / (time.monotonic() - begun)
        house.stop("streams")
        begun = time.monotonic()
        house.start("streams")
        _folded(house, log, ends, 600)
        print(f"{events:,} events: {most / 1e6:.0f} MB, {pace:,.0f}/s, a restart {time.monotonic() - begun:.1f} s")
    finally:
        house.kill()
    assert most < MOST
    assert all(kept < events // PARTITIONS / PER_SESSION / 100 + 2_000 for kept in _rows(house))


def _folded(house: House, log: KafkaLog, ends: list[int], patience_s: float) -> int:
    """Wait until all is folded; the most memory that the worker ever held, in bytes."""
    deadline = time.monotonic() + patience_s
    while any(folded(log, one) < end for one, end in enumerate(ends)):
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
