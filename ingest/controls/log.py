"""Append decisions about the log itself: its closing, and which generation is current."""

from ingest.controls.append import _line
from ingest.intake.batch import Envelope
from ledger.log import PARTITIONS, Draft
from ledger.organizations import PLATFORM
from ledger.settings import Settings


def closing(settings: Settings, moved_to: str) -> list[Draft]:
    """The last record of every partition, of a log that goes on elsewhere."""
    line = _line(settings, "log.closed", {"moved_to": moved_to}, PLATFORM, None, None)
    # A door of its own: what comes through that of decisions is relayed.
    draft = Envelope(PLATFORM, "log", "local").draft(line)
    return [draft._replace(partition=partition) for partition in range(PARTITIONS)]


def activate_generation(settings: Settings, generation: int, folds_version: int) -> bytes:
    """The decision that this generation of all that is derived is the current one; `platform.ensure` appends it."""
    body = {"generation": generation, "folds_version": folds_version}
    return _line(settings, "generation.activated", body, PLATFORM, None, None)
