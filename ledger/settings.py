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
    """Refuse numbers in other forms than plain digits: pydantic would read ``1_0`` and `` 10`` too."""
    if isinstance(value, str) and not re.fullmatch(r"-?(0|[1-9][0-9]{0,8})", value):
        raise ValueError("must be a whole number (an integer) in plain digits")
    return value


PlainInteger = Annotated[int, BeforeValidator(_check_digits)]
Port = Annotated[PlainInteger, Field(ge=0, le=65535)]


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="TALLY_", env_ignore_empty=True, extra="ignore")

    home: Path = Field(default=Path(".tally"), description="data folder of the embedded product")
    organization: Annotated[str, AfterValidator(_check_organization)] = Field(
        default="default", description="organization whose events a command reads or writes"
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
        description="address on which dashboards, metrics and the HTTP API listen; 0.0.0.0 is every address of this "
        "machine. "
        "Elsewhere than on loopback the dashboards require a sign-in; the metrics do not",
    )
    hosts: str = Field(
        default="",
        description="host names of this home's servers beside localhost, separated by commas; a "
        "request to another name is refused",
    )
    dashboards_port: Port = Field(default=0, description="port of the dashboards; 0 is any free one")
    api_port: Port = Field(default=0, description="port of the HTTP API; 0 is any free one")
    metrics_port: Port = Field(default=0, description="port of the metrics for Prometheus; 0 is any free one")
    kafka_port: Port = Field(
        default=0, description="port of `tally kafka serve`; 0 is that of last time, or any free one"
    )
    verify_every: PlainInteger = Field(
        default=0, ge=0, description="seconds from one `tally verify` to the next while `tally up` runs; 0 is never"
    )
    generation: PlainInteger | None = Field(
        default=None, ge=2, description="generation that the services of a rebuild make; without it the current one"
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
        """Build the names by which a server that listens at ``bind`` is reached."""
        return AllowedHosts(bind, parse_names(self.hosts))

    @property
    def has_own_kafka(self) -> bool:
        """Tell whether the log is on the home's own broker."""
        return self.log is not None and self.log.rstrip("/") == "kafka:"

    @property
    def run(self) -> Path:
        return self.home / "run"


MAX_NAME_BYTES, MAX_PATH_BYTES = 255, 3_000
"""The longest file name of common file systems, and a path that leaves room for names below it (Linux takes 4,096)."""


def check_home(home: Path) -> Path:
    """Check the path of a home, and return it with ``~`` resolved. ValueError where a service cannot use it: the
    embedded warehouse reads what follows a ``?`` as options, and messages and files are UTF-8 text in lines."""
    try:
        home = home.expanduser()
    except RuntimeError:
        raise ValueError("it begins with the home of an unknown user: write the whole path") from None
    resolved = os.path.realpath(home)  # children are given it; resolve() fails on a loop of links
    name = os.fsencode(resolved)
    try:
        name.decode()
    except UnicodeDecodeError:
        raise ValueError("its path is not UTF-8: name a folder whose path is") from None
    if "?" in resolved:
        raise ValueError(
            f"the embedded warehouse cannot keep files below a path with '?' ({resolved}): name another one"
        )
    if not resolved.isprintable():
        raise ValueError("its path holds a line break or another character that is not shown: name another folder")
    if len(name) > MAX_PATH_BYTES or any(len(part) > MAX_NAME_BYTES for part in name.split(b"/")):
        raise ValueError("its path is too long: name a folder with a shorter one")
    return home
