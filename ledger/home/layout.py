"""The layout of a home: every file of the data folder, its writer, and the way out when it is damaged."""

from pathlib import Path, PurePath
from typing import Literal, NamedTuple

Kind = Literal["json", "sqlite", "text", "lock", "folder"]
Loss = Literal["facts", "keys", "access", "names", "time", "nothing"]
"""The loss with a file: recorded facts, keys of pseudonyms, tokens and addresses, names of persons, the time that it
takes to derive it again, or nothing."""


class HomeFile(NamedTuple):
    """One file, or the files of one pattern, below the home.

    ``way_out`` follows "PATH is damaged (WHY): "; ``{home}`` in it is the home's folder."""

    pattern: str
    kind: Kind
    content: str
    writer: str
    loss: Loss
    way_out: str
    mode: int = 0o600

    def path(self, home: Path) -> Path:
        """Return the file's path in a home, for a pattern without a wildcard."""
        return home / self.pattern


_RESTORE = "restore it from a copy of the home (docs/operations.md, Restore)"
_REBUILD = "`tally rebuild` derives it anew from the log, or delete {home}/log/derived.db* and start the worker again"

RECORDED = HomeFile(
    "log/recorded.db", "sqlite", "the log: events, documents, refusals", "importers, HTTP API, folds (ticks)", "facts",
    _RESTORE,
)  # fmt: skip
LOG_MARKER = HomeFile(
    "log/begun.json", "json", "mark of a log that was begun here, so that its loss is noticed", "first to open the log",
    "nothing", "delete it; it is written again when the log is opened",
)  # fmt: skip
DERIVED = HomeFile(
    "log/derived.db", "sqlite", "derived topics and the folds' state", "streams worker", "time", _REBUILD
)  # fmt: skip
SECRETS = HomeFile(
    "secrets.json", "json", "keys of the pseudonyms, passwords of the warehouse", "first to need one", "keys",
    "restore it from a copy (`tally log backup` keeps one); never begin a new one while the log holds pseudonyms, as "
    "new keys make others of the same persons",
)  # fmt: skip
TOKENS = HomeFile(
    "tokens.json", "json", "hashes of the tokens of the HTTP API", "tally token", "access",
    "restore it from a copy (`tally log backup` keeps one), or delete it and make new tokens with `tally token create`",
)  # fmt: skip
ROUTES = HomeFile(
    "routes.json", "json", "addresses and secrets of the alerts' routes", "tally alerts webhook", "access",
    "restore it from a copy (`tally log backup` keeps one), or delete it and name the addresses again with "
    "`tally alerts webhook` and `tally alerts route add`",
)  # fmt: skip
PERSONS = HomeFile(
    "persons.db", "sqlite", "names of persons by pseudonym, and which were erased", "importers, HTTP API", "names",
    "restore it from a copy of the home, or delete {home}/persons.db*: totals and pseudonyms stay, names are lost, and "
    "erased ones must be erased again",
)  # fmt: skip
DELIVERIES = HomeFile(
    "deliveries.db", "sqlite", "deliveries of alerts and how far they are read", "delivery of alerts", "time",
    "delete {home}/deliveries.db*: alerts from then on are delivered",
)  # fmt: skip
PRESENCE = HomeFile(
    "run/*.json", "json", "address of a running service, with its password", "each service", "nothing",
    "stop the service that wrote it and start it again",
)  # fmt: skip
SWITCH = HomeFile(
    "run/switch.json", "json", "a verified generation that waits to become current", "tally rebuild", "time",
    "delete it, and `tally rebuild` makes another generation",
)  # fmt: skip
SWITCHING = HomeFile(
    "run/switching.json", "json", "a switch of generations that is under way", "performer of the switch", "time",
    "delete it with {home}/log/derived.db*, {home}/warehouse, {home}/consumers and {home}/rebuild: all of them are "
    "derived again from the log",
)  # fmt: skip
SINK = HomeFile(
    "consumers/sink.json", "json", "how far the sink has stored", "sink", "nothing",
    "start the sink again (`tally up`, or any `tally verify` without one), which writes it anew",
)  # fmt: skip
VERIFY_REPORT = HomeFile(
    "consumers/verify.json", "json", "the last report of `tally verify`", "tally verify", "nothing",
    "delete it, and run `tally verify`",
)  # fmt: skip
VERIFIED = HomeFile(
    "verified", "folder", "how far `tally verify` has read, with the hashes there and the totals", "tally verify",
    "time", "delete it, and the next `tally verify` recomputes everything", 0o700,
)  # fmt: skip
DEMO = HomeFile(
    "consumers/demo.json", "json", "how far the demo's history is written", "tally demo", "nothing",
    "delete it with the rest of the demo's home, and begin the demo anew",
)  # fmt: skip
GAPS = HomeFile(
    "consumers/gaps.db", "sqlite", "numbers that sources left out", "metrics", "time",
    "delete {home}/consumers/gaps.db*, and it is made again from the log",
)  # fmt: skip
STATE_CACHE = HomeFile(
    "streams/*/*.db", "sqlite", "the folds' state of a Kafka partition, as a cache", "streams worker on Kafka", "time",
    "delete it, and it is read again from Kafka",
)  # fmt: skip
KAFKA_PORT = HomeFile(
    "kafka/port", "text", "the port of the home's own Kafka last time", "tally kafka serve", "nothing",
    "delete it; another port is taken at the next start",
)  # fmt: skip
KAFKA = HomeFile(
    "kafka", "folder", "the home's own Kafka: its data are the log where TALLY_LOG is kafka://", "tally kafka serve",
    "facts", "restore it from a copy of the log (docs/operations.md, Back up)", 0o700,
)  # fmt: skip
WAREHOUSE = HomeFile(
    "warehouse", "folder", "the embedded warehouse", "tally warehouse serve", "time",
    "delete {home}/warehouse and {home}/consumers/sink.json, and it is filled again from the log", 0o700,
)  # fmt: skip

FILES: tuple[HomeFile, ...] = (
    RECORDED, LOG_MARKER, DERIVED, SECRETS, TOKENS, ROUTES, PERSONS, DELIVERIES, SWITCH, SWITCHING, PRESENCE, SINK,
    VERIFY_REPORT, VERIFIED, DEMO, GAPS, STATE_CACHE, KAFKA_PORT, KAFKA, WAREHOUSE,
    HomeFile("**/*.db-wal", "text", "the newest commits of the database beside it", "as the database", "facts",
             "restore it together with its database"),
    HomeFile("**/*.db-shm", "text", "an index of the file before", "as the database", "nothing",
             "stop what runs and delete it"),
    HomeFile("**/*.lock", "lock", "a lock; its content says nothing", "its holder", "nothing",
             "delete it while nothing runs"),
    HomeFile("deliveries.db.damaged-*", "text", "a damaged deliveries.db that was set aside", "delivery of alerts",
             "nothing", "delete it when you have seen to the alerts that were not sent"),
    HomeFile("logs/*.log", "text", "output of a service", "each service", "nothing", "delete it"),
    HomeFile("dbt", "folder", "what dbt compiled, and its log", "tally warehouse models", "nothing", "delete it",
             0o700),
    HomeFile("rebuild", "folder", "a generation that is being made", "tally rebuild", "time",
             "delete it, and run `tally rebuild` again", 0o700),
    HomeFile("generations", "folder", "the generation before the current one", "tally rebuild", "nothing", "delete it",
             0o700),
)  # fmt: skip
"""All files of a home. The first that matches a path describes it."""


def find_home_file(path: Path) -> tuple[Path, HomeFile] | None:
    """Find the home and the entry of a path that ends like a file of a home; None where no entry matches."""
    for file in FILES:
        depth = len(PurePath(file.pattern).parts)
        if path.match(file.pattern) and len(path.parents) >= depth:
            return path.parents[depth - 1], file
    return None
