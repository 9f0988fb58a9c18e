"""Copy a log as it is: partitions, offsets, times and envelopes are kept, so the copy is the same log."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol

from ledger.errors import TallyError
from ledger.log import Log, Record, records
from ledger.log.topics import TOPICS, Topic

COPIED_TOPICS = tuple(topic for topic in TOPICS if topic.origin == "recorded")
"""Recorded topics. Derived ones follow from them again."""

Place = tuple[Topic, int]
"""A partition of a topic."""
PLACES: list[Place] = [(topic, partition) for topic in COPIED_TOPICS for partition in range(topic.partitions)]
Ends = dict[Place, int]
Progress = Callable[[int], None]
"""Receives the number of further records."""


class Target(Log, Protocol):
    """A log that accepts records with their offsets and times."""

    def insert(self, topic: Topic, records: Sequence[Record]) -> None:
        """Insert records of one partition with their offsets and times. TallyError where another record has the
        place."""


class Comparison(NamedTuple):
    """A partition of both logs, compared record for record. ``digest`` covers the records' digests in their order;
    ``gone`` counts records at the beginning that one of the logs no longer retains."""

    topic: Topic
    partition: int
    records: int
    bytes: int
    gone: int
    digest: str
    difference: str | None


def read_ends(log: Log) -> Ends:
    """Read the end of each partition that is copied."""
    return {(topic, partition): end for topic in COPIED_TOPICS for partition, end in enumerate(log.ends(topic))}


def find_copied_ends(source: Log, target: Log, progress: Progress = lambda count: None) -> Ends:
    """Find how much of the source the target holds. TallyError where it holds anything else.

    A copy that was killed may still have records under way: so each end is read again."""
    source_ends, copied = read_ends(source), dict.fromkeys(PLACES, 0)
    for topic, partition in PLACES:
        while (end := target.end(topic, partition)) > (start := copied[topic, partition]):
            comparison = compare_partition(
                source, target, topic, partition, min(end, source_ends[topic, partition]), start, progress
            )
            if comparison.difference is not None:
                raise TallyError(
                    f"{target} holds another log than {source}: {comparison.difference}; name an empty place "
                    "(kafka://…/NAME is one by its name)"
                )
            copied[topic, partition] = end
    surplus = [place for place in PLACES if copied[place] > source_ends[place]]
    if surplus and any(copied[place] < source_ends[place] for place in PLACES):
        topic, partition = surplus[0]
        raise TallyError(
            f"{target} lacks some of {source}, and goes on by itself in {topic.name}, partition {partition}, at offset "
            f"{source_ends[topic, partition]}: somebody appends there before all was copied; name an empty place"
        )
    return copied


def copy_records(source: Log, target: Target, copied: Ends, progress: Progress = lambda count: None) -> Ends:
    """Copy records until the target reaches the source's ends of now, and return these. ``copied`` is updated."""
    source_ends = read_ends(source)
    for (topic, partition), end in source_ends.items():
        while copied[topic, partition] < end:
            chunk = source.read(topic, partition, copied[topic, partition])
            batch = [record for record in chunk if record.offset < end]
            if not batch:  # they had their days
                break
            target.insert(topic, batch)
            copied[topic, partition] = batch[-1].offset + 1
            progress(len(batch))
    return source_ends


def compare_partition(
    source: Log,
    target: Log,
    topic: Topic,
    partition: int,
    end: int,
    start: int = 0,
    progress: Progress = lambda count: None,
) -> Comparison:
    """Read a partition of both logs between two offsets, and compare every record whole."""
    source_records, target_records = (records(log, topic, partition, start, end) for log in (source, target))
    source_record, target_record = next(source_records, None), next(target_records, None)
    expired = 0
    if topic.days is not None:
        begin = max((record.offset if record else end for record in (source_record, target_record)), default=end)
        expired = begin - start
        source_record, target_record = (
            _skip_before(source_record, source_records, begin),
            _skip_before(target_record, target_records, begin),
        )
    checksum = hashlib.blake2b(digest_size=16)
    count = size = 0
    while source_record is not None or target_record is not None:
        digests = [record.digest() if record else "nothing" for record in (source_record, target_record)]
        if source_record is None or target_record is None or digests[0] != digests[1]:
            offset = min(record.offset for record in (source_record, target_record) if record)
            difference = f"{topic.name}, partition {partition}, offset {offset} is {digests[0]} in {source}, "
            return Comparison(
                topic,
                partition,
                count,
                size,
                expired,
                checksum.hexdigest(),
                difference + f"and {digests[1]} in {target}",
            )
        checksum.update(bytes.fromhex(digests[0]))
        count += 1
        size += len(source_record.value)
        progress(1)
        source_record, target_record = next(source_records, None), next(target_records, None)
    return Comparison(topic, partition, count, size, expired, checksum.hexdigest(), None)


def _skip_before(record: Record | None, iterator: Iterator[Record], begin: int) -> Record | None:
    while record is not None and record.offset < begin:
        record = next(iterator, None)
    return record
