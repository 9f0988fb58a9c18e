"""Settings: environment variables named ``TALLY_…``, with one default each."""

import re
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from ledger.organizations import name_problem
from ledger.topics import PLATFORM


def _organization(name: str) -> str:
    if name != PLATFORM and (reason := name_problem(name)):  # whose own is refused where something is to enter
        raise ValueError(f"must be {reason}")
    return name


def _digits(value: object) -> object:
    """Numbers have one form; pydantic would read ``1_0`` and `` 10`` too."""
    if isinstance(value, str) and not re.fullmatch(r"-?(0|[1-9][0-9]{0,8})", value):
        raise ValueError("must be a whole number (an integer) in plain digits")
    return value


Whole = Annotated[int, BeforeValidator(_digits)]
Port = Annotated[Whole, Field(ge=0, le=65535)]


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="TALLY_", env_ignore_empty=True, extra="ignore")

    home: Path = Field(default=Path(".tally"), description="data folder of the embedded product")
    organization: Annotated[str, AfterValidator(_organization)] = Field(
        default="default", description="whose events a command means"
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
    warehouse_port: Port = Field(default=0, description="port of the embedded warehouse; 0 is any free one")
    streams_port: Port = Field(default=0, description="port of a worker's status on Kafka; 0 is any free one")
    bind: IPv4Address = Field(
        default=IPv4Address("127.0.0.1"),
        description="where dashboards, metrics and the HTTP door listen; 0.0.0.0 is every address of the machine, and "
        "only the HTTP door asks who comes",
    )
    dashboards_port: Port = Field(default=0, description="port of the dashboards; 0 is any free one")
    api_port: Port = Field(default=0, description="port of the HTTP door; 0 is any free one")
    metrics_port: Port = Field(default=0, description="port of the metrics for Prometheus; 0 is any free one")
    kafka_port: Port = Field(
        default=0, description="port of `tally kafka serve`; 0 is that of last time, or any free one"
    )
    generation: Whole | None = Field(
        default=None, ge=2, description="what the parts of a rebuild make; without it the current generation"
    )

    @property
    def brings_kafka(self) -> bool:
        """Whether the log is on the broker that this home brings."""
        return self.log is not None and self.log.rstrip("/") == "kafka:"

    @property
    def run(self) -> Path:
        return self.home / "run"
