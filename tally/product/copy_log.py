"""Move a log from a home to Kafka, or copy one from Kafka to a home, and prove that both are equal."""

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
from tally.session import settings as read_settings

Begin = Callable[[str, int | None], Callable[[int], None]]
"""Called at the start of a step with its number of records; returns a function that counts those that are done."""


class Copied(NamedTuple):
    """A copy and its proof: every partition, and the records derived from the copy. ``went`` is the target without its
    password; ``recorded`` counts the records of ``tally.events``."""

    source: str
    went: str
    closed: bool
    copied: int
    places: list[Comparison]
    derived: Refolded
    recorded: int

    @property
    def difference(self) -> str | None:
        """The first difference; None where the logs are equal."""
        differences = [*(place.difference for place in self.places), self.derived.difference]
        return next((difference for difference in differences if difference), None)

    def as_json(self) -> dict[str, Any]:
        places = [place._asdict() | {"topic": place.topic.name} for place in self.places if place.records or place.gone]
        facts = self._asdict() | {"places": places, "derived": self.derived._asdict(), "difference": self.difference}
        return {"from": facts.pop("source"), "to": facts.pop("went"), "partitions": facts.pop("places"), **facts}


def parse_place(text: str, argument: str) -> Settings:
    """Return the settings of the log in a home's folder or at a URL. TallyError, which names ``argument``, where the
    text is neither."""
    if ":/" not in text:
        return read_settings().model_copy(update={"home": Path(text), "log": None})
    settings = read_settings().model_copy(update={"log": text})
    if not settings.has_own_kafka:
        parse_cluster(text, argument)
    return settings


def copy_log(source: Settings, target: Settings, begin: Begin) -> Copied:
    """Copy a log, and prove it. TallyError, before the source is closed, where a place cannot be used."""
    if source.log is None and target.log is None:
        raise TallyError("FROM and TO are both folders: stop all services and copy the folder")
    if source.log is not None and target.log is not None:
        raise TallyError("FROM and TO are both on Kafka: copy to a folder, and from there to the other place")
    with opened(source) as source_log, _target(target) as target_log:
        home = source.home if source.log is None else target.home
        with service_lock(home, "copy"):
            return _copy(source, target, source_log, target_log, begin)


@contextmanager
def _target(settings: Settings) -> Iterator[Target]:
    """Open the target, and create its missing topics."""
    if settings.log is None:
        with closing(EmbeddedLog(settings.home)) as home:
            yield home
        return
    with opened(settings) as log:
        assert isinstance(log, KafkaLog)
        admin.create_recorded_topics(log.cluster)
        yield log


def _copy(source: Settings, target: Settings, source_log: Log, target_log: Target, begin: Begin) -> Copied:
    offsets = find_copied_ends(source_log, target_log, begin("comparing existing records", None))
    before = sum(offsets.values())
    went = str(target.log) if target.has_own_kafka else str(target_log)
    if isinstance(source_log, EmbeddedLog) and source_log.went() not in (None, went) and not before:
        raise TallyError(
            f"the log in {source_log} moved to {source_log.went()}, and may have grown there: copy it from there"
        )
    if isinstance(target_log, KafkaLog) and _count_missing(source_log, offsets):
        _check_begins(source_log, offsets)
        admin.begin_copy(target_log.cluster)
    until = copy_records(source_log, target_log, offsets, begin("copying", _count_missing(source_log, offsets)))
    if isinstance(source_log, EmbeddedLog) and source_log.went() is None:
        # Closing is final, so it waits until the target has taken all; and nothing may be appended during the rest.
        source_log.close_with(EVENTS, closing_records(source, went), went)
        point("copy.closed")
        until = copy_records(
            source_log, target_log, offsets, begin("copying the rest", _count_missing(source_log, offsets))
        )
    comparing = begin("comparing all records", sum(until.values()))
    places = [
        compare_partition(source_log, target_log, topic, partition, end, progress=comparing)
        for (topic, partition), end in until.items()
    ]
    recorded = sum(end for (topic, _), end in until.items() if topic is EVENTS)
    derived = refold(source_log, target_log, begin("folding again", recorded))
    is_closed = isinstance(source_log, EmbeddedLog)
    copied = Copied(str(source_log), went, is_closed, max(sum(offsets.values()) - before, 0), places, derived, recorded)
    point("copy.proved")
    if isinstance(target_log, KafkaLog) and copied.difference is None:
        admin.finish_copy(target_log)
    return copied


def _count_missing(source: Log, offsets: Ends) -> int:
    """Count the records that are still to be copied."""
    return sum(max(end - offsets[place], 0) for place, end in read_ends(source).items())


def _check_begins(source: Log, offsets: Ends) -> None:
    """Refuse a partition that does not begin at offset 0, as one on Kafka must: it was copied from Kafka after its
    first records had expired."""
    for (topic, partition), end in offsets.items():
        first = source.read(topic, partition, 0, max_bytes=1) if end == 0 else []
        if first and first[0].offset > 0:
            raise TallyError(
                f"{source} has no records before offset {first[0].offset} of {topic.name}, partition {partition}, "
                f"which were older than {topic.days} days on Kafka: it cannot be copied to Kafka again"
            )
