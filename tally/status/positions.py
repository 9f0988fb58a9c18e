"""The position of each stage, by partition."""

from dataclasses import dataclass

from ledger.home.files import read_json
from ledger.home.layout import SINK
from ledger.home.presence import find_any_presence
from ledger.log import Log, fold_offset
from ledger.log.topics import ENTRIES, EVENTS, Topic
from ledger.settings import Settings
from warehouse.sink import parse_sink_offsets


@dataclass(frozen=True)
class PartitionPosition:
    """Next offsets of ``tally.events`` in one partition. ``stored`` is None while no sink runs."""

    partition: int
    recorded: int
    folded: int
    stored: int | None

    @property
    def behind(self) -> int:
        """The lag of all stages together, in records."""
        return sum(self.lag.values())

    @property
    def lag(self) -> dict[str, int]:
        """The lag of each stage behind the one before it, in records."""
        folds = {"folds": self.recorded - self.folded}
        return folds if self.stored is None else folds | {"sink": self.folded - self.stored}


def read_stored_offsets(settings: Settings, topic: Topic = ENTRIES) -> dict[int, int] | None:
    """Return, by partition, the next offset of ``tally.events`` whose lines on a topic the sink has yet to store; None
    while no sink runs. FileDamaged."""
    if find_any_presence(settings, "sink") is None:
        return None
    last = read_json(settings.home, SINK, parse_sink_offsets) or {}
    return {partition: offset + 1 for partition, offset in last.get(topic.name, {}).items()}


def read_positions(settings: Settings, log: Log) -> list[PartitionPosition]:
    """Read the positions of every partition that is not empty."""
    stored_offsets = read_stored_offsets(settings)
    positions: list[PartitionPosition] = []
    for partition, recorded in enumerate(log.ends(EVENTS)):
        if recorded:
            stored_offset = None if stored_offsets is None else stored_offsets.get(partition, 0)
            positions.append(PartitionPosition(partition, recorded, fold_offset(log, partition), stored_offset))
    return positions
