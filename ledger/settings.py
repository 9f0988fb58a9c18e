"""Settings: environment variables named ``TALLY_…``, with one default each."""

from ipaddress import IPv4Address
from pathlib import Path

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from ledger.host_check import AllowedHosts, parse_names


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="TALLY_", env_ignore_empty=True, extra="ignore")

    home: Path = Field(default=Path(".tally"), description="data folder of the embedded product")
    organization: str = Field(
        default="default", min_length=1, max_length=256, description="whose events a command means"
    )
    log: str | None = Field(
        default=None,
        description="URL of a Kafka cluster (kafka://host:9092/name; kafka:// is the home's own broker); "
        "without it the embedded log",
    )
    warehouse: str | None = Field(
        default=None,
        description="URL of a ClickHouse server, with user and password; without it the embedded one",
    )
    warehouse_port: int = Field(
        default=0, ge=0, le=65535, description="port of the embedded warehouse; 0 is any free one"
    )
    streams_port: int = Field(
        default=0, ge=0, le=65535, description="port of a worker's status on Kafka; 0 is any free one"
    )
    bind: IPv4Address = Field(
        default=IPv4Address("127.0.0.1"),
        description="where dashboards, metrics and the HTTP door listen; 0.0.0.0 is every address of the machine. "
        "Elsewhere than on loopback the dashboards ask for a sign-in; the metrics ask nobody",
    )
    hosts: str = Field(
        default="",
        description="names by which the servers of this home are reached beside localhost, separated by commas; a "
        "request to another name is refused",
    )
    dashboards_port: int = Field(default=0, ge=0, le=65535, description="port of the dashboards; 0 is any free one")
    api_port: int = Field(default=0, ge=0, le=65535, description="port of the HTTP door; 0 is any free one")
    metrics_port: int = Field(
        default=0, ge=0, le=65535, description="port of the metrics for Prometheus; 0 is any free one"
    )
    kafka_port: int = Field(
        default=0, ge=0, le=65535, description="port of `tally kafka serve`; 0 is that of last time, or any free one"
    )
    generation: int | None = Field(
        default=None, ge=2, description="what the parts of a rebuild make; without it the current generation"
    )

    @field_validator("hosts")
    @classmethod
    def _check_hosts(cls, hosts: str) -> str:
        parse_names(hosts)
        return hosts

    def allowed_hosts(self, bind: IPv4Address) -> AllowedHosts:
        """The names by which a server that listens there is reached."""
        return AllowedHosts(bind, parse_names(self.hosts))

    @property
    def brings_kafka(self) -> bool:
        """Whether the log is on the broker that this home brings."""
        return self.log is not None and self.log.rstrip("/") == "kafka:"

    @property
    def run(self) -> Path:
        return self.home / "run"
