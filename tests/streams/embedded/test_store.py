"""The embedded runtime over a real log: a kill at any of its points loses and doubles nothing."""

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from ledger.errors import LogDamaged, TallyError
from ledger.log import Draft, Record, records
from ledger.log.documents import store_document as store_document
from ledger.log.sqlite import tables
from ledger.log.sqlite.log import EmbeddedLog
from ledger.log.topics import ALERTS, DECISIONS, DERIVED, ENTRIES, EVENTS, Topic
from streams.embedded.store import Store
from streams.embedded.worker import Partition
from streams.folds.state import State
from streams.partition_state import Change, FoldPosition
from streams.replay import replay
from streams.runtime import read_catalogues
from tests.streams.build import DIGEST, DOCUMENTS, PACKED, adopt, budget, call, record

BATCHES = 6

FOLD = """
import sys
from pathlib import Path
from streams.embedded.worker import Partition
from ledger.log.sqlite.log import EmbeddedLog
from streams.runtime import read_catalogues
from streams.partition_state import Change, FoldPosition
from streams.embedded.store import Store
log = EmbeddedLog(Path(sys.argv[1]))
partition = Partition(0, log, Store(Path(sys.argv[1])), read_catalogues(log))
while partition.step():
    pass
"""


def filled(home: Path) -> EmbeddedLog:
    """A log of several transactions of the folds, with calls that repeat, cross a budget and loop."""
    log = EmbeddedLog(home)
    store_document(log, DIGEST, PACKED)
    looping = {"session": "s", "tool": "t", "tool_arguments_hash": "a", "tool_result_hash": "r"}
    some = [record(0, adopt(), budget("b", "3"))]
    for at in range(BATCHES):
        lines = [call(f"c{at * 1000 + n}", at, tags={"pad": "x" * 250}, **looping) for n in range(1500)]
        some.append(record(0, *lines, lines[0]))
    log.append(EVENTS, [Draft(one.partition, one.key, one.headers, one.value) for one in some])
    return log


def derived(log: EmbeddedLog) -> list[list[Record]]:
    return [list(records(log, topic, 0)) for topic in DERIVED]


def undisturbed(log: EmbeddedLog) -> list[list[Record]]:
    said = replay(records(log, EVENTS, 0), DOCUMENTS)
    return [[one for about, one in said if about is topic] for topic in DERIVED]


@pytest.mark.parametrize("where", ["before_transaction", "inside_transaction", "after_transaction"])
@pytest.mark.parametrize("hit", [1, 2, 3])
def test_killed_at_a_named_point(tmp_path: Path, where: str, hit: int) -> None:
    log = filled(tmp_path)
    fault = {"TALLY_FAULT": f"worker.{where}:{hit}"}
    killed = subprocess.run([sys.executable, "-c", FOLD, str(tmp_path)], env=os.environ | fault, check=False)
    assert killed.returncode == -9
    subprocess.run([sys.executable, "-c", FOLD, str(tmp_path)], check=True)
    assert derived(log) == undisturbed(log)


def test_dropped_and_refolded_gives_the_same_bytes(tmp_path: Path) -> None:
    log = filled(tmp_path)
    partition = Partition(0, log, Store(tmp_path), read_catalogues(log))
    while partition.step():
        pass
    first = derived(log)
    for file in (tmp_path / "log").glob("derived.db*"):
        file.unlink()
    subprocess.run([sys.executable, "-c", FOLD, str(tmp_path)], check=True)
    assert first == derived(EmbeddedLog(tmp_path)) == undisturbed(log)


def test_a_log_that_was_cut_or_altered_is_noticed(tmp_path: Path) -> None:
    log = filled(tmp_path)
    partition = Partition(0, log, Store(tmp_path), read_catalogues(log))
    while partition.step():
        pass
    log._recorded.execute("UPDATE tally_events SET time_ms = time_ms + 1 WHERE id = (SELECT max(id) FROM tally_events)")
    with pytest.raises(LogDamaged, match="no longer holds"):
        Partition(0, log, Store(tmp_path), read_catalogues(log))
    log._recorded.execute("DELETE FROM tally_events WHERE id = (SELECT max(id) FROM tally_events)")
    with pytest.raises(LogDamaged, match="no longer holds"):
        Partition(0, log, Store(tmp_path), read_catalogues(log))


def test_partitions_share_no_identity(tmp_path: Path) -> None:
    """What concerns everyone stands in each partition, under one identity, and is applied in each."""
    log = EmbeddedLog(tmp_path)
    store_document(log, DIGEST, PACKED)
    some = [record(0, adopt(), partition=one, relay_of="2:0", relay_after="") for one in (0, 1)]
    some += [record(1, call("a"), partition=one) for one in (0, 1)]
    log.append(EVENTS, [Draft(one.partition, one.key, one.headers, one.value) for one in some])
    store = Store(tmp_path)
    for partition in (0, 1):
        assert Partition(partition, log, store, read_catalogues(log)).step()
        (_, entries) = records(log, ENTRIES, partition)
        assert b'"outcome":"counted"' in entries.value and b'"pricing":"priced"' in entries.value


def test_for_a_log_that_is_closed_time_stands_still(tmp_path: Path) -> None:
    log = filled(tmp_path)
    partition = Partition(0, log, Store(tmp_path), read_catalogues(log))
    log.close_with(EVENTS, [], "kafka://there/tally")
    while partition.step():
        pass
    end = log.end(EVENTS, 0)
    partition._state.put(("runaways", "acme", "s", ""), partition._state.get(("runaways", "acme", "s", "")), 10**15)
    partition.tick()
    assert log.end(EVENTS, 0) == end and not partition.step()


def test_something_due_makes_a_tick(tmp_path: Path) -> None:
    """The calls are of the past, so the session has long been silent by the log's clock."""
    log = filled(tmp_path)
    partition = Partition(0, log, Store(tmp_path), read_catalogues(log))
    while partition.step():
        pass
    end = log.end(EVENTS, 0)
    partition.tick()
    assert log.end(EVENTS, 0) == end
    key, due_us = ("runaways", "acme", "s", ""), 10**15
    partition._state.put(key, partition._state.get(key), due_us)
    partition.tick()
    assert log.end(EVENTS, 0) == end + 1 and partition.step()
    assert derived(log)[2][-1].value.endswith(b'"reason":"silent","due_us":1000000000000000}')


@pytest.mark.parametrize("soonest", [1, 2, 7, 299, 300, 301])
def test_what_falls_due_is_read_from_the_store_in_order(tmp_path: Path, soonest: int) -> None:
    """Also where many fall due at one moment."""
    store = Store(tmp_path)
    rows = store.state.open_state(0)
    for number in range(300):
        rows.put(("some", number), {}, due_us=number * 7 % 50)
    store.commit(0, [], Change(FoldPosition(1, ""), rows.take_changes(), {}))
    again = store.state.open_state(0)
    bounded = State(again._load, again._due, soonest)
    found = []
    for at, key in bounded.take_due(49):
        found.append((at, key))
        bounded.delete(key)
    assert found == sorted((number * 7 % 50, ("some", number)) for number in range(300))


def test_what_other_folds_derived_is_not_gone_on_with(tmp_path: Path) -> None:
    Store(tmp_path).close()
    Store(tmp_path).close()
    with closing(tables.open_file(tmp_path / "log" / "derived.db", writes=True)) as derived:
        derived.execute("PRAGMA user_version = 0")
    with pytest.raises(TallyError, match="`tally rebuild` derives everything again"):
        Store(tmp_path)


def test_who_waits_for_decisions_and_alerts_is_told_of_each(tmp_path: Path) -> None:
    log, told = filled(tmp_path), set[Topic]()
    with closing(log), closing(Store(tmp_path)) as store:
        partition = Partition(0, log, store, read_catalogues(log), told.add)
        while partition.step():
            for topic in told:
                assert log.end(topic, 0) > 0, "it stands on the log by then"
    assert told == {DECISIONS, ALERTS}
