"""Open the log that ``TALLY_LOG`` names."""

from ledger.errors import TallyError
from ledger.log import Log
from ledger.log.sqlite.log import EmbeddedLog
from ledger.settings import Settings


def open_log(settings: Settings, *, new: bool = False) -> Log:
    """Open the log of ``TALLY_LOG``, or the embedded one of the home. TallyError where there is none; with ``new`` it
    is created, folder or topics."""
    if settings.log is not None:
        from ledger.log.kafka.cluster import cluster_of  # Kafka's clients take a while to import
        from ledger.log.kafka.log import KafkaLog

        log = KafkaLog(cluster_of(settings), settings.generation)
        if new:
            from ledger.log.kafka.topics import apply_log_topics

            apply_log_topics(log)
        return log
    if not new and not (settings.home / "log").is_dir():
        raise TallyError(
            f"No log in {settings.home}. Create one with `tally import`, `tally up` or `tally demo`; or set TALLY_HOME "
            "to another folder, or TALLY_LOG to a Kafka cluster."
        )
    return EmbeddedLog(settings.home, generation=settings.generation)
