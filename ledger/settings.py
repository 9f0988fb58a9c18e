"""Settings: environment variables named ``TALLY_…``, with one default each."""

import os
import re
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from ledger.http.host_check import AllowedHosts, parse_names
from ledger.organizations import PLATFORM, name_problem


def _check_organization(name: str) -> str:
    if name != PLATFORM and (reason := name_problem(name)):  # whose own is refused where something is to enter
        raise ValueError(f"must be {reason}")
    return name


def _check_digits(value: object) -> object:
    """Numbers have one form; pydantic would read ``1_0`` and `` 10`` too."""
    if isinstance(value, str) and not re.fullmatch(r"-?(0|[1-9][0-9]{0,8})", value):
        raise ValueError("must be a whole number (an integer) in plain digits")
    return value


PlainInteger = Annotated[int, BeforeValidator(_check_digits)]
Port = Annotated[PlainInteger, Field(ge=0, le=65535)]


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="TALLY_", env_ignore_empty=True, extra="ignore")

    home: Path = Field(default=Path(".tally"), description="data folder of the embedded product")
    organization: Annotated[str, AfterValidator(_check_organization)] = Field(
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
        description="where dashboards, metrics and the HTTP door listen; 0.0.0.0 is every address of the machine. "
        "Elsewhere than on loopback the dashboards ask for a sign-in; the metrics ask nobody",
    )
    hosts: str = Field(
        default="",
        description="names by which the servers of this home are reached beside localhost, separated by commas; a "
        "request to another name is refused",
    )
    dashboards_port: Port = Field(default=0, description="port of the dashboards; 0 is any free one")
    api_port: Port = Field(default=0, description="port of the HTTP door; 0 is any free one")
    metrics_port: Port = Field(default=0, description="port of the metrics for Prometheus; 0 is any free one")
    kafka_port: Port = Field(
        default=0, description="port of `tally kafka serve`; 0 is that of last time, or any free one"
    )
    generation: PlainInteger | None = Field(
        default=None, ge=2, description="what the parts of a rebuild make; without it the current generation"
    )

    @field_validator("home")
    @classmethod
    def _check_home(cls, home: Path) -> Path:
        return check_home(home)

    @field_validator("hosts")
    @classmethod
    def _check_hosts(cls, hosts: str) -> str:
        parse_names(hosts)
        return hosts

    def build_allowed_hosts(self, bind: IPv4Address) -> AllowedHosts:
        """The names by which a server that listens there is reached."""
        return AllowedHosts(bind, parse_names(self.hosts))

    @property
    def has_own_kafka(self) -> bool:
        """Whether the log is on the broker that this home brings."""
        return self.log is not None and self.log.rstrip("/") == "kafka:"

    @property
    def run(self) -> Path:
        return self.home / "run"


MAX_NAME_BYTES, MAX_PATH_BYTES = 255, 3_000
"""The longest name that file systems take, and a path that leaves room for what stands below it (Linux takes 4,096)."""


def check_home(home: Path) -> Path:
    """The path of a home, with ``~`` for the user's own folder. ValueError where a part of the product cannot use it:
    the embedded warehouse takes what follows a ``?`` for options, and messages and files are UTF-8 text in lines."""
    try:
        home = home.expanduser()
    except RuntimeError:
        raise ValueError("it begins with the home of a user who is not there: write the whole path") from None
    resolved = os.path.realpath(home)  # children are given it; resolve() fails on a loop of links
    name = os.fsencode(resolved)
    try:
        name.decode()
    except UnicodeDecodeError:
        raise ValueError("its path is not UTF-8: name a folder whose path is") from None
    if "?" in resolved:
        raise ValueError(f"the embedded warehouse cannot keep files below a path with '?' ({resolved}): name another one")
    if not resolved.isprintable():
        raise ValueError("its path holds a line break or another character that is not shown: name another folder")
    if len(name) > MAX_PATH_BYTES or any(len(part) > MAX_NAME_BYTES for part in name.split(b"/")):
        raise ValueError("its path is too long: name a folder with a shorter one")
    return home
