"""A ledger moved from a home to Kafka, or backed up from Kafka to a home, and the proof that it is the same."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from ingest.controls.log import build_closing_records as closing_records
from ledger.errors import TallyError
from ledger.fault_points import point
from ledger.home.locks import service_lock
from ledger.log import Log
from ledger.log.copy import Comparison, Ends, Target, compare_partition, copy_records, find_copied_ends, read_ends
from ledger.log.kafka import topics as admin
from ledger.log.kafka.cluster import parse_cluster
from ledger.log.kafka.log import KafkaLog
from ledger.log.sqlite.log import EmbeddedLog
from ledger.log.topics import EVENTS
from ledger.settings import Settings
from tally.log.refold import Refolded, refold
from tally.session import opened
from tally.session import settings as chosen

Begin = Callable[[str, int | None], Callable[[int], None]]
"""Says that a step begins, of so many records; what it returns hears of those that are done."""


class Copied(NamedTuple):
    """What was copied, and the proof: every partition, and what follows from the copy. ``went`` is the copy's place
    as it may be shown; ``recorded`` counts the records of ``tally.events``."""

    source: str
    went: str
    closed: bool
    copied: int
    places: list[Comparison]
    derived: Refolded
    recorded: int

    @property
    def difference(self) -> str | None:
        """The first; None where the copy is the same log."""
        differences = [*(partition.difference for partition in self.places), self.derived.difference]
        return next((partition for partition in differences if partition), None)

    def as_json(self) -> dict[str, Any]:
        places = [partition._asdict() | {"topic": partition.topic.name} for partition in self.places if partition.records or partition.gone]
        facts = self._asdict() | {"places": places, "derived": self.derived._asdict(), "difference": self.difference}
        return {"from": facts.pop("source"), "to": facts.pop("went"), "partitions": facts.pop("places"), **facts}


def parse_place(text: str, argument: str) -> Settings:
    """The settings with which commands open the log at a home's folder, or at a URL. TallyError where it is neither;
    people know it as ``called``."""
    if ":/" not in text:
        return chosen().model_copy(update={"home": Path(text), "log": None})
    settings = chosen().model_copy(update={"log": text})
    if not settings.has_own_kafka:
        parse_cluster(text, argument)
    return settings


def copy_log(source: Settings, target: Settings, begin: Begin) -> Copied:
    """Copy, and prove it. TallyError where a place does not serve: before the source is closed."""
    if source.log is None and target.log is None:
        raise TallyError("FROM and TO are both folders: copy the folder, while nothing runs on it")
    if source.log is not None and target.log is not None:
        raise TallyError("FROM and TO are both on Kafka: copy to a folder, and from there to the other place")
    with opened(source) as source_log, _target(target) as target_log:
        home = source.home if source.log is None else target.home
        with service_lock(home, "copy"):
            return _copy(source, target, source_log, target_log, begin)


@contextmanager
def _target(settings: Settings) -> Iterator[Target]:
    """Where records are taken as they stand; what lacks there is made."""
    if settings.log is None:
        with closing(EmbeddedLog(settings.home)) as home:
            yield home
        return
    with opened(settings) as log:
        assert isinstance(log, KafkaLog)
        admin.create_recorded_topics(log.cluster)
        yield log


def _copy(source: Settings, target: Settings, source_log: Log, target_log: Target, begin: Begin) -> Copied:
    offsets = find_copied_ends(source_log, target_log, begin("comparing what is there", None))
    before = sum(offsets.values())
    went = str(target.log) if target.has_own_kafka else str(target_log)
    if isinstance(source_log, EmbeddedLog) and source_log.went() not in (None, went) and not before:
        raise TallyError(f"the log in {source_log} went to {source_log.went()}, where it may have gone on: copy it from there")
    if isinstance(target_log, KafkaLog) and _count_missing(source_log, offsets):
        _check_begins(source_log, offsets)
        admin.begin_copy(target_log.cluster)
    until = copy_records(source_log, target_log, offsets, begin("copying", _count_missing(source_log, offsets)))
    if isinstance(source_log, EmbeddedLog) and source_log.went() is None:
        # Only now: it is for good, so the place must serve; and nobody may append while the rest is copied.
        source_log.close_with(EVENTS, closing_records(source, went), went)
        point("copy.closed")
        until = copy_records(source_log, target_log, offsets, begin("copying the rest", _count_missing(source_log, offsets)))
    comparing = begin("comparing all records", sum(until.values()))
    places = [compare_partition(source_log, target_log, *parse_place, end, progress=comparing) for parse_place, end in until.items()]
    recorded = sum(end for (topic, _), end in until.items() if topic is EVENTS)
    derived = refold(source_log, target_log, begin("folding again", recorded))
    is_closed = isinstance(source_log, EmbeddedLog)
    copied = Copied(str(source_log), went, is_closed, max(sum(offsets.values()) - before, 0), places, derived, recorded)
    point("copy.proved")
    if isinstance(target_log, KafkaLog) and copied.difference is None:
        admin.finish_copy(target_log)
    return copied


def _count_missing(source: Log, offsets: Ends) -> int:
    """How many records are to be copied."""
    return sum(max(end - offsets[parse_place], 0) for parse_place, end in read_ends(source).items())


def _check_begins(source: Log, offsets: Ends) -> None:
    """Every partition on Kafka begins at 0; one that came from there, where its first records had their days, does
    not."""
    for (topic, partition), end in offsets.items():
        first = source.read(topic, partition, 0, max_bytes=1) if end == 0 else []
        if first and first[0].offset > 0:
            raise TallyError(
                f"{source} lacks what stood before offset {first[0].offset} of {topic.name}, partition {partition}, "
                f"as that had its {topic.days} days on Kafka: it cannot go there once more"
            )
