"""How far each stage has come, by partition."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ledger.log import PARTITIONS, Log
from ledger.settings import Settings
from ledger.topics import ENTRIES, EVENTS, Topic
from tally.presence import ready

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client


@dataclass(frozen=True)
class Reached:
    """Next offsets of ``tally.events`` in one partition. ``stored`` is None while no warehouse answers."""

    partition: int
    recorded: int
    folded: int
    stored: int | None

    @property
    def behind(self) -> int:
        """How many records the last stage that can be asked lacks."""
        return self.recorded - (self.folded if self.stored is None else self.stored)


def folded(log: Log, partition: int, topic: Topic = ENTRIES) -> int:
    """The next offset of ``tally.events`` after the last that caused a record of this derived topic; on
    ``tally.entries`` every record causes one."""
    end = log.end(topic, partition)
    if end == 0:
        return 0
    return int(log.read(topic, partition, end - 1, max_bytes=1)[0].headers["cause_offset"]) + 1


def stored(client: "Client", topic: Topic) -> dict[int, int]:
    """The next offset of ``tally.events`` whose consequences on this derived topic the warehouse lacks."""
    from warehouse.sink import stored as last_stored

    return {partition: last + 1 for partition, last in last_stored(client, topic).items()}


def warehouse_answers(settings: Settings) -> bool:
    """Whether there is a warehouse to ask."""
    return settings.warehouse is not None or ready(settings, "warehouse") is not None


def reached(settings: Settings, log: Log) -> list[Reached]:
    """Every partition that holds something."""
    there: dict[int, int] | None = None
    if warehouse_answers(settings):
        from warehouse.client import connect

        there = stored(connect(settings), ENTRIES)
    found: list[Reached] = []
    for partition in range(PARTITIONS):
        if recorded := log.end(EVENTS, partition):
            kept = None if there is None else there.get(partition, 0)
            found.append(Reached(partition, recorded, folded(log, partition), kept))
    return found
