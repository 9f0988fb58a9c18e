"""A log copied as it stands: partitions, offsets, times and envelopes are kept, so the copy is the same log."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol

from ledger.errors import TallyError
from ledger.log import Log, Record, records
from ledger.log.topics import TOPICS, Topic

COPIED = tuple(topic for topic in TOPICS if topic.origin == "recorded")
"""What is derived follows from them anew."""

Place = tuple[Topic, int]
"""A partition of a topic."""
PLACES: list[Place] = [(topic, partition) for topic in COPIED for partition in range(topic.partitions)]
Ends = dict[Place, int]
Progress = Callable[[int], None]
"""Hears of so many more records."""


class Target(Log, Protocol):
    """A log that takes records as they stand."""

    def insert(self, topic: Topic, records: Sequence[Record]) -> None:
        """Take records of one partition with their offsets and times. TallyError where the place is another's."""


class Compared(NamedTuple):
    """A partition of both logs, record for record. ``digest`` is one of the records' digests, in their order, and
    ``gone`` says how many at the beginning had their days in one of the logs."""

    topic: Topic
    partition: int
    records: int
    bytes: int
    gone: int
    digest: str
    difference: str | None


def ends(log: Log) -> Ends:
    """Where each partition that is copied ends now."""
    return {(topic, partition): end for topic in COPIED for partition, end in enumerate(log.ends(topic))}


def standing(source: Log, target: Log, progress: Progress = lambda count: None) -> Ends:
    """How much of the source the target holds already. TallyError where it holds anything else.

    Whoever copied before and was killed may have sent what arrives only now: so each end is asked again.
    """
    until, held = ends(source), dict.fromkeys(PLACES, 0)
    for topic, partition in PLACES:
        while (end := target.end(topic, partition)) > (start := held[topic, partition]):
            both = compared(source, target, topic, partition, min(end, until[topic, partition]), start, progress)
            if both.difference is not None:
                raise TallyError(
                    f"{target} holds another log than {source}: {both.difference}; name an empty place "
                    "(kafka://…/NAME is one by its name)"
                )
            held[topic, partition] = end
    beyond = [place for place in PLACES if held[place] > until[place]]
    if beyond and any(held[place] < until[place] for place in PLACES):
        topic, partition = beyond[0]
        raise TallyError(
            f"{target} lacks some of {source}, and goes on by itself in {topic.name}, partition {partition}, at offset "
            f"{until[topic, partition]}: somebody appends there before all was copied; name an empty place"
        )
    return held


def copy(source: Log, target: Target, held: Ends, progress: Progress = lambda count: None) -> Ends:
    """Bring the target, which holds so much of the source, to where the source ends now, and return that; ``held``
    moves on."""
    until = ends(source)
    for (topic, partition), end in until.items():
        while held[topic, partition] < end:
            found = source.read(topic, partition, held[topic, partition])
            batch = [record for record in found if record.offset < end]
            if not batch:  # they had their days
                break
            target.insert(topic, batch)
            held[topic, partition] = batch[-1].offset + 1
            progress(len(batch))
    return until


def compared(
    source: Log,
    target: Log,
    topic: Topic,
    partition: int,
    end: int,
    start: int = 0,
    progress: Progress = lambda count: None,
) -> Compared:
    """Read a partition of both from offset to offset, and compare everything of each record."""
    ours, theirs = (records(log, topic, partition, start, end) for log in (source, target))
    one, other = next(ours, None), next(theirs, None)
    gone = 0
    if topic.days is not None:
        begin = max((record.offset if record else end for record in (one, other)), default=end)
        gone = begin - start
        one, other = _since(one, ours, begin), _since(other, theirs, begin)
    whole = hashlib.blake2b(digest_size=16)
    count = size = 0
    while one is not None or other is not None:
        digests = [record.digest() if record else "nothing" for record in (one, other)]
        if one is None or other is None or digests[0] != digests[1]:
            offset = min(record.offset for record in (one, other) if record)
            said = f"{topic.name}, partition {partition}, offset {offset} is {digests[0]} in {source}, "
            return Compared(
                topic, partition, count, size, gone, whole.hexdigest(), said + f"and {digests[1]} in {target}"
            )
        whole.update(bytes.fromhex(digests[0]))
        count += 1
        size += len(one.value)
        progress(1)
        one, other = next(ours, None), next(theirs, None)
    return Compared(topic, partition, count, size, gone, whole.hexdigest(), None)


def _since(record: Record | None, more: Iterator[Record], begin: int) -> Record | None:
    while record is not None and record.offset < begin:
        record = next(more, None)
    return record
