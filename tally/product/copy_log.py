"""A ledger moved from a home to Kafka, or backed up from Kafka to a home, and the proof that it is the same."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from ingest.controls.log import build_closing_records as closing_records
from ledger.errors import TallyError
from ledger.fault_points import point
from ledger.home.locks import only_one
from ledger.log import Log
from ledger.log.copy import Compared, Ends, Target, compared, copy, ends, standing
from ledger.log.kafka import topics as admin
from ledger.log.kafka.cluster import parsed
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
    places: list[Compared]
    derived: Refolded
    recorded: int

    @property
    def difference(self) -> str | None:
        """The first; None where the copy is the same log."""
        found = [*(one.difference for one in self.places), self.derived.difference]
        return next((one for one in found if one), None)

    def as_json(self) -> dict[str, Any]:
        places = [one._asdict() | {"topic": one.topic.name} for one in self.places if one.records or one.gone]
        said = self._asdict() | {"places": places, "derived": self.derived._asdict(), "difference": self.difference}
        return {"from": said.pop("source"), "to": said.pop("went"), "partitions": said.pop("places"), **said}


def place(said: str, called: str) -> Settings:
    """The settings with which commands open the log at a home's folder, or at a URL. TallyError where it is neither;
    people know it as ``called``."""
    if ":/" not in said:
        return chosen().model_copy(update={"home": Path(said), "log": None})
    settings = chosen().model_copy(update={"log": said})
    if not settings.brings_kafka:
        parsed(said, called)
    return settings


def copy_log(source: Settings, target: Settings, begin: Begin) -> Copied:
    """Copy, and prove it. TallyError where a place does not serve: before the source is closed."""
    if source.log is None and target.log is None:
        raise TallyError("FROM and TO are both folders: copy the folder, while nothing runs on it")
    if source.log is not None and target.log is not None:
        raise TallyError("FROM and TO are both on Kafka: copy to a folder, and from there to the other place")
    with opened(source) as ours, _target(target) as theirs:
        home = source.home if source.log is None else target.home
        with only_one(home, "copy"):
            return _copy(source, target, ours, theirs, begin)


@contextmanager
def _target(settings: Settings) -> Iterator[Target]:
    """Where records are taken as they stand; what lacks there is made."""
    if settings.log is None:
        with closing(EmbeddedLog(settings.home)) as home:
            yield home
        return
    with opened(settings) as log:
        assert isinstance(log, KafkaLog)
        admin.make_recorded(log.cluster)
        yield log


def _copy(source: Settings, target: Settings, ours: Log, theirs: Target, begin: Begin) -> Copied:
    held = standing(ours, theirs, begin("comparing what is there", None))
    before = sum(held.values())
    went = str(target.log) if target.brings_kafka else str(theirs)
    if isinstance(ours, EmbeddedLog) and ours.went() not in (None, went) and not before:
        raise TallyError(f"the log in {ours} went to {ours.went()}, where it may have gone on: copy it from there")
    if isinstance(theirs, KafkaLog) and _lacking(ours, held):
        _check_begins(ours, held)
        admin.take(theirs.cluster)
    until = copy(ours, theirs, held, begin("copying", _lacking(ours, held)))
    if isinstance(ours, EmbeddedLog) and ours.went() is None:
        # Only now: it is for good, so the place must serve; and nobody may append while the rest is copied.
        ours.end_with(EVENTS, closing_records(source, went), went)
        point("copy.closed")
        until = copy(ours, theirs, held, begin("copying the rest", _lacking(ours, held)))
    comparing = begin("comparing all records", sum(until.values()))
    places = [compared(ours, theirs, *place, end, progress=comparing) for place, end in until.items()]
    recorded = sum(end for (topic, _), end in until.items() if topic is EVENTS)
    derived = refold(ours, theirs, begin("folding again", recorded))
    closed = isinstance(ours, EmbeddedLog)
    found = Copied(str(ours), went, closed, max(sum(held.values()) - before, 0), places, derived, recorded)
    point("copy.proved")
    if isinstance(theirs, KafkaLog) and found.difference is None:
        admin.settle(theirs)
    return found


def _lacking(source: Log, held: Ends) -> int:
    """How many records are to be copied."""
    return sum(max(end - held[place], 0) for place, end in ends(source).items())


def _check_begins(source: Log, held: Ends) -> None:
    """Every partition on Kafka begins at 0; one that came from there, where its first records had their days, does
    not."""
    for (topic, partition), end in held.items():
        first = source.read(topic, partition, 0, max_bytes=1) if end == 0 else []
        if first and first[0].offset > 0:
            raise TallyError(
                f"{source} lacks what stood before offset {first[0].offset} of {topic.name}, partition {partition}, "
                f"as that had its {topic.days} days on Kafka: it cannot go there once more"
            )
