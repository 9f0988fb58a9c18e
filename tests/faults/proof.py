"""What must hold of a home, whatever happened in it: read from its files and its warehouse, with nothing remembered."""

from collections import defaultdict
from collections.abc import Mapping
from itertools import product, zip_longest
from pathlib import Path
from typing import Any

from ledger.log import PARTITIONS, Record, folded, records
from ledger.log.embedded import EmbeddedLog
from ledger.topics import ALERTS, DECISIONS, DERIVED, DOCUMENTS, ENTRIES, EVENTS, Topic
from streams.replay import replay
from tests.faults.house import House

Topics = dict[tuple[str, int], list[Record]]
TABLES = {"records": ENTRIES, "events": ENTRIES, "decisions": DECISIONS, "alerts": ALERTS}


def prove(house: House) -> dict[str, Any]:
    """Verify passes, the derived topics are an undisturbed refold of the log byte for byte, and every line of them
    stands in the warehouse once. The house's folds and sink are stopped; the report of verify is returned."""
    house.settle()
    house.stop("streams")
    house.settle()
    home = house.settings.home
    kept = derived(home)
    assert difference(kept, refolded(home)) is None
    client = house.client()
    for table, topic in TABLES.items():
        rows, once = client.query(f"SELECT count(), uniqExact(partition, offset, seq) FROM tally.{table}").first_row
        assert (rows, rows) == (once, _lines(kept, topic, table)), table
    report = house.ask("verify")
    assert (report["difference"], report["behind"]) == (None, 0)
    return dict(report)


def derived(home: Path, positions: Mapping[str, int] | None = None) -> Topics:
    """What stands on the derived topics, as it stands; what follows from records up to these offsets of each
    partition, where they are given."""
    log = EmbeddedLog(home)
    found: Topics = {}
    for topic, partition in product(DERIVED, range(PARTITIONS)):
        some = records(log, topic, partition)
        if positions is not None:
            last = positions.get(str(partition), -1)
            some = (record for record in some if int(record.headers["cause_offset"]) <= last)
        found[topic.name, partition] = list(some)
    log.close()
    return {key: some for key, some in found.items() if some}


def refolded(home: Path) -> Topics:
    """What an undisturbed refold of the same log derives, up to where the folds had come."""
    log = EmbeddedLog(home)
    documents = {record.key: record.value for record in records(log, DOCUMENTS, 0)}
    found: Topics = defaultdict(list)
    for partition in range(PARTITIONS):
        folded_log = records(log, EVENTS, partition, end=folded(log, partition))
        for topic, record in replay(folded_log, documents):
            found[topic.name, partition].append(record)
    log.close()
    return dict(found)


def difference(some: Topics, others: Topics) -> tuple[Any, ...] | None:
    """Where two derivations differ first: topic, partition, offset, and the record of each; None where they do not."""
    for key in sorted(some.keys() | others.keys()):
        pairs = zip_longest(some.get(key, ()), others.get(key, ()))
        for offset, (one, other) in enumerate(pairs):
            if one != other:
                return *key, offset, one, other
    return None


def _lines(kept: Topics, topic: Topic, table: str) -> int:
    values = [record.value for (name, _), some in kept.items() if name == topic.name for record in some]
    if table == "records":
        return len(values)
    lines = sum(value.count(b"\n") + 1 for value in values)
    return lines - len(values) if table == "events" else lines
