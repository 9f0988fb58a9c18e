"""What must hold of a home, whatever happened in it: read from its files and its warehouse, with nothing remembered."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import product, zip_longest
from typing import Any

from ledger.log import PARTITIONS, Record, folded, records
from ledger.log.open import open_log
from ledger.log.topics import ALERTS, DECISIONS, DERIVED, DOCUMENTS, ENTRIES, EVENTS, Topic
from ledger.settings import Settings
from streams.replay import replay
from tests.faults.house import House

Topics = dict[tuple[str, int], list[Record]]
TABLES = {"records": ENTRIES, "events": ENTRIES, "decisions": DECISIONS, "alerts": ALERTS}


def prove(house: House) -> dict[str, Any]:
    """Verify passes, the derived topics are an undisturbed refold of the log byte for byte, and every line of them
    stands in the warehouse once. The house's folds and sink are stopped; the report of verify is returned."""
    house.settle()
    house.stop(*house.folds)
    house.settle()
    kept = derived(house.settings)
    assert difference(kept, refolded(house.settings)) is None
    client = house.client()
    for table, topic in TABLES.items():
        found = client.query(f"SELECT count(), uniqExact(partition, offset, seq) FROM tally.{table}")
        ((rows, once),) = found.result_rows
        assert (rows, rows) == (once, _lines(kept, topic, table)), table
    report = house.ask("verify")
    assert (report["difference"], report["behind"]) == (None, 0)
    return dict(report)


def derived(settings: Settings, positions: Mapping[str, int] | None = None) -> Topics:
    """What stands on the derived topics, as it stands but for its own offsets, which transactions leave gaps in on
    Kafka; what follows from records up to these offsets of each partition, where they are given."""
    log = open_log(settings)
    found: Topics = {}
    for topic, partition in product(DERIVED, range(PARTITIONS)):
        some = records(log, topic, partition)
        if positions is not None:
            last = positions.get(str(partition), -1)
            some = (record for record in some if int(record.headers["cause_offset"]) <= last)
        found[topic.name, partition] = [record._replace(offset=at) for at, record in enumerate(some)]
    log.close()
    return {key: some for key, some in found.items() if some}


def refolded(settings: Settings) -> Topics:
    """What an undisturbed refold of the same log derives, up to where the folds had come."""
    log = open_log(settings)
    documents = {record.key: record.value for record in records(log, DOCUMENTS, 0)}
    found: Topics = defaultdict(list)
    for partition in range(PARTITIONS):
        folded_log = records(log, EVENTS, partition, end=folded(log, partition))
        for topic, record in replay(folded_log, documents):
            found[topic.name, partition].append(record)
    log.close()
    return dict(found)


def outcomes(topics: Topics) -> Iterator[str]:
    """What became of each event, and a word for each record."""
    for (name, _), some in topics.items():
        if name == ENTRIES.name:
            yield from (json.loads(line)["outcome"] for record in some for line in record.value.split(b"\n"))


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
