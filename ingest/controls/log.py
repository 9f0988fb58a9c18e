"""Build decisions about the log itself: its closing, and which generation is current."""

from ingest.controls.append import build_decision
from ingest.intake.batch import Envelope
from ledger.log import PARTITIONS, Draft
from ledger.organizations import PLATFORM
from ledger.settings import Settings
from tallystick.vocabulary.controls.log import GenerationActivated, LogClosed


def build_closing_records(settings: Settings, moved_to: str) -> list[Draft]:
    """Build the last record of every partition, for a log that goes on elsewhere."""
    line = build_decision(settings, LogClosed.control_type, {"moved_to": moved_to}, PLATFORM)
    # A channel of its own: records of the channel of decisions are relayed.
    draft = Envelope(PLATFORM, "log", "local").make_draft(line)
    return [draft._replace(partition=partition) for partition in range(PARTITIONS)]


def activate_generation(settings: Settings, generation: int, folds_version: int) -> bytes:
    """Build the decision that this generation of all that is derived is the current one, for
    ``platform_relay.ensure``."""
    body = {"generation": generation, "folds_version": folds_version}
    return build_decision(settings, GenerationActivated.control_type, body, PLATFORM)
