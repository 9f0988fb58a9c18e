"""The cluster of a Kafka log, from ``TALLY_LOG``, in the options of each client library."""

import re
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from ledger.errors import TallyError
from ledger.home.presence import find_presence
from ledger.log.topics import Topic
from ledger.settings import Settings

URL_FORM = "kafka://host:9092,host:9092/name, or kafka:// for the broker of this home"
OPTIONS = ("security_protocol", "sasl_mechanism", "ssl_cafile", "ssl_certfile", "ssl_keyfile")
PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
_SERVER = re.compile(r"(\[[0-9a-f:]+\]|[^:\[\]]+):\d{1,5}")


class Cluster(NamedTuple):
    """Brokers to begin with, the log's name on them, the credentials, and the generation of the derived topics."""

    servers: tuple[str, ...]
    name: str
    protocol: str
    mechanism: str | None = None
    user: str | None = None
    password: str | None = None
    cafile: str | None = None
    certfile: str | None = None
    keyfile: str | None = None
    generation: int = 1

    def __repr__(self) -> str:
        """Show the cluster without the password."""
        return f"kafka://{','.join(self.servers)}/{self.name}"

    def topic(self, topic: Topic) -> str:
        """Return a topic's name on the cluster: several logs may share it, and several generations of derived
        topics."""
        return self.name + topic.name.removeprefix("tally") + (self._suffix if topic.origin == "derived" else "")

    @property
    def folds(self) -> str:
        """The consumer group of the folds' workers; their transactional ids begin with it."""
        return f"{self.name}-folds{self._suffix}"

    @property
    def _suffix(self) -> str:
        return f".{self.generation}" if self.generation > 1 else ""

    def client(self) -> dict[str, Any]:
        """Return the options of kafka-python's clients."""
        return self._common() | {
            "ssl_cafile": self.cafile, "ssl_certfile": self.certfile, "ssl_keyfile": self.keyfile,
        }  # fmt: skip

    def aio(self) -> dict[str, Any]:
        """Return the options of aiokafka's clients."""
        return self._common() | {"ssl_context": self.ssl_context()}

    def ssl_context(self) -> Any:
        """Return the TLS context of aiokafka's clients; None without TLS."""
        if "SSL" not in self.protocol:
            return None
        from aiokafka.helpers import create_ssl_context

        return create_ssl_context(cafile=self.cafile, certfile=self.certfile, keyfile=self.keyfile)

    def _common(self) -> dict[str, Any]:
        return {
            "bootstrap_servers": list(self.servers), "security_protocol": self.protocol,
            "sasl_mechanism": self.mechanism or "PLAIN", "sasl_plain_username": self.user,
            "sasl_plain_password": self.password,
        }  # fmt: skip


def cluster_of(settings: Settings) -> Cluster:
    """Return the cluster of ``TALLY_LOG``. TallyError where that is no such URL, or names the home's own broker, which
    does not run."""
    return parse_cluster(url_of(settings))


def url_of(settings: Settings) -> str:
    """Return the URL of the cluster, with the port of the home's own broker."""
    if settings.log is None:
        raise TallyError(f"TALLY_LOG names no Kafka cluster: it has the form {URL_FORM}")
    if not settings.has_own_kafka:
        return settings.log
    facts = find_presence(settings.home, "kafka")
    if facts is None:
        raise TallyError(
            f"no Kafka runs for {settings.home}: start it with `tally up` or `tally kafka serve`, "
            "or name brokers (TALLY_LOG=kafka://host:9092)"
        )
    return str(facts["url"])


def parse_cluster(url: str, setting: str = "TALLY_LOG") -> Cluster:
    """Parse a cluster's URL, ``kafka://user:password@host:port,host:port/name?security_protocol=…``. TallyError, which
    names ``setting``, where it is malformed."""
    parts = urlsplit(url)
    credentials, _, hosts = parts.netloc.rpartition("@")
    servers = tuple(host if ":" in host.rpartition("]")[2] else f"{host}:9092" for host in hosts.split(",") if host)
    if parts.scheme != "kafka" or not servers or not all(_SERVER.fullmatch(server) for server in servers):
        raise TallyError(
            f"{setting} is {url.replace(credentials, '…', 1) if credentials else url}: it has the form {URL_FORM}"
        )
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    for name in options.keys() - set(OPTIONS):
        raise TallyError(f"{setting} has the option {name!r}, which is none of {', '.join(OPTIONS)}")
    user, _, password = credentials.partition(":")
    mechanism = options.get("sasl_mechanism", "SCRAM-SHA-256" if user else None)
    protocol = options.get("security_protocol", "SASL_SSL" if user else "PLAINTEXT")
    for value, allowed, option in ((protocol, PROTOCOLS, OPTIONS[0]), (mechanism, MECHANISMS, OPTIONS[1])):
        if value is not None and value not in allowed:
            raise TallyError(f"{setting} has {option}={value}: it is one of {', '.join(allowed)}")
    if ("SASL" in protocol) != bool(user):
        raise TallyError(
            f"{setting} has security_protocol={protocol}, and {'a' if user else 'no'} user: give both or none"
        )
    name = unquote(parts.path.strip("/")) or "tally"
    return Cluster(
        servers, name, protocol, mechanism, unquote(user) or None, unquote(password) or None,
        options.get("ssl_cafile"), options.get("ssl_certfile"), options.get("ssl_keyfile"),
    )  # fmt: skip
