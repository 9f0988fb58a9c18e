"""How far each stage has come, by partition."""

from dataclasses import dataclass

from ledger.home import announced
from ledger.log import PARTITIONS, Log
from ledger.settings import Settings
from ledger.topics import ENTRIES, EVENTS, Topic
from tally.asking import ask


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


def stored(settings: Settings, table: str = "records") -> dict[int, int]:
    """The next offset of ``tally.events`` that each partition's rows in this table lack. TallyError where no
    warehouse answers."""
    said = ask(settings, f"SELECT partition, max(offset) + 1 FROM tally.{table} GROUP BY partition")
    return {
        int(partition): int(offset) for partition, offset in (line.split("\t") for line in said.splitlines())
    }


def reached(settings: Settings, log: Log) -> list[Reached]:
    """Every partition that holds something."""
    answers = settings.warehouse is not None or announced(settings.home, "warehouse") is not None
    there = stored(settings) if answers else None
    found: list[Reached] = []
    for partition in range(PARTITIONS):
        if recorded := log.end(EVENTS, partition):
            kept = None if there is None else there.get(partition, 0)
            found.append(Reached(partition, recorded, folded(log, partition), kept))
    return found
