"""What must hold of a home, whatever happened in it: read from its files and its warehouse, with nothing remembered."""

from collections import defaultdict
from collections.abc import Mapping
from itertools import chain, product, zip_longest
from typing import Any

from ledger.log import PARTITIONS, Record, fold_offset, records
from ledger.log.open import open_log
from ledger.log.topics import ALERTS, DECISIONS, DERIVED, DOCUMENTS, ENTRIES, EVENTS, Topic
from ledger.settings import Settings
from streams.replay import replay
from tests.faults.house import House

Topics = dict[tuple[str, int], list[Record]]
TABLES = {"records": ENTRIES, "events": ENTRIES, "decisions": DECISIONS, "alerts": ALERTS}


MAX_ROUNDS = 3


def prove(house: House) -> dict[str, Any]:
    """Verify passes, the derived topics are an undisturbed refold of the log byte for byte, and every line of them
    stands in the warehouse once. The house's folds and sink are stopped; the report of verify is returned.

    A tick that the folds asked for as they ended may reach the log at any time after: it is folded, and all is proved
    again."""
    for _ in range(MAX_ROUNDS):
        house.settle()
        house.stop(*house.folds)
        house.settle()
        report = _prove_once(house)
        if report["behind"] == 0:
            return report
        house.start(*house.folds)
    raise AssertionError(f"{report['behind']} records came after the folds had ended, {MAX_ROUNDS} times: {report}")


def _prove_once(house: House) -> dict[str, Any]:
    topics = read_derived_topics(house.settings)
    assert find_difference(topics, refold_log(house.settings)) is None
    client = house.client()
    for table, topic in TABLES.items():
        result = client.query(f"SELECT count(), uniqExact(partition, offset, seq) FROM tally.{table}")
        ((rows, distinct_rows),) = result.result_rows
        assert (rows, rows) == (distinct_rows, _lines(topics, topic, table)), table
    report = house.ask("verify")
    assert report["difference"] is None, report
    return dict(report)


def read_derived_topics(settings: Settings, positions: Mapping[str, int] | None = None) -> Topics:
    """What stands on the derived topics, as it stands but for its own offsets, which transactions leave gaps in on
    Kafka; what follows from records up to these offsets of each partition, where they are given."""
    log = open_log(settings)
    topics: Topics = {}
    for topic, partition in product(DERIVED, range(PARTITIONS)):
        topic_records = records(log, topic, partition)
        if positions is not None:
            last = positions.get(str(partition), -1)
            topic_records = (record for record in topic_records if int(record.headers["cause_offset"]) <= last)
        topics[topic.name, partition] = [record._replace(offset=offset) for offset, record in enumerate(topic_records)]
    log.close()
    return {key: topic_records for key, topic_records in topics.items() if topic_records}


def refold_log(settings: Settings) -> Topics:
    """What an undisturbed refold of the same log derives, up to where the folds had come."""
    log = open_log(settings)
    documents = {record.key: record.value for record in records(log, DOCUMENTS, 0)}
    topics: Topics = defaultdict(list)
    folded_records = (
        records(log, EVENTS, partition, end=fold_offset(log, partition)) for partition in range(PARTITIONS)
    )
    for topic, record in replay(chain.from_iterable(folded_records), documents):
        topics[topic.name, record.partition].append(record)
    log.close()
    return dict(topics)


def find_difference(first: Topics, second: Topics) -> tuple[Any, ...] | None:
    """Where two derivations differ first: topic, partition, offset, and the record of each; None where they do not."""
    for key in sorted(first.keys() | second.keys()):
        pairs = zip_longest(first.get(key, ()), second.get(key, ()))
        for offset, (first_record, second_record) in enumerate(pairs):
            if first_record != second_record:
                return *key, offset, first_record, second_record
    return None


def _lines(topics: Topics, topic: Topic, table: str) -> int:
    values = [
        record.value for (name, _), topic_records in topics.items() if name == topic.name for record in topic_records
    ]
    if table == "records":
        return len(values)
    lines = sum(value.count(b"\n") + 1 for value in values)
    return lines - len(values) if table == "events" else lines
