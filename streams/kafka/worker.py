"""The folds on Kafka: Faust gives each worker its partitions and brings their records, and shows how they are."""

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import Any

import faust
from aiohttp import web
from faust.types import TP
from faust.web import Request, Response, View

from ledger.errors import GenerationSuperseded, LogUnavailable
from ledger.home.files import make_folder
from ledger.home.free_ports import HOST, free_port
from ledger.home.locks import one_of_several
from ledger.home.presence import announce
from ledger.http.guard import DATA_HEADERS, MISDIRECTED
from ledger.http.host_check import LOOPBACK, AllowedHosts, refusal
from ledger.log import Log, Record
from ledger.log.generation import POLL_INTERVAL_S, Watch
from ledger.log.kafka.cluster import Cluster
from ledger.log.kafka.log import KafkaLog
from ledger.log.kafka.topics import topic_id
from ledger.log.topics import EVENTS, STATE
from ledger.settings import Settings
from streams.kafka.partition_owner import Owner, Shared
from streams.runtime import read_catalogues, reduce_garbage_collection

PART = "streams"
SESSION_S, HEARTBEAT_S = 6.0, 2.0
"""How long a worker may be silent before its partitions are given to others."""
STREAM_RECORDS, FETCH_BYTES = 64, 512 << 10
"""What Faust may hold of records that no partition has taken yet; each may have up to a megabyte."""
SHUTDOWN_TIMEOUT_S, RETRY_DELAY_S = 5.0, 5.0


def run(settings: Settings, log: Log) -> None:
    """Fold the partitions that this worker is given until SIGTERM or SIGINT. Any number of workers share them.

    While the log cannot be reached, wait and try again. TallyError where topics are missing, GenerationSuperseded where
    another generation is the current one.
    """
    assert isinstance(log, KafkaLog), "the embedded log has a runtime of its own"
    with one_of_several(settings.home, PART) as name:
        hosted = Hosted(settings, log, name, _rows_id(log))
        reduce_garbage_collection()
        worker = faust.Worker(hosted.app, quiet=True, loglevel="WARNING", redirect_stdouts=False)
        try:
            worker.execute_from_commandline()
        finally:  # it ends by SystemExit
            if hosted.over is not None:
                raise hosted.over


class Hosted:
    """A Faust app and the partitions that it was given, announced under this name."""

    def __init__(self, settings: Settings, log: KafkaLog, name: str, rows_id: str) -> None:
        cluster = log.pinned
        folder = settings.home / "streams" / cluster.name
        self.over: GenerationSuperseded | None = None
        self.app = _app(cluster, settings.streams_port, folder, settings.allowed_hosts(LOOPBACK))
        self._settings, self._name = settings, name
        self._events = cluster.topic(EVENTS)
        self._shared = Shared(log, cluster, read_catalogues(log), folder, rows_id, self._seek)
        self._watch = Watch(log)
        self._owners: dict[int, Owner] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        topic = self.app.topic(self._events, key_type=bytes, value_type=bytes)
        self.app.agent(topic, name="folds")(self._receive)

        async def status(view: View, request: Request) -> Response:
            return view.json(self.status())

        self.app.page("/")(status)
        self.app.timer(POLL_INTERVAL_S)(self._look)
        self.app.on_partitions_assigned.connect(self._given)
        self.app.on_partitions_revoked.connect(self._taken)
        self.app.on_rebalance_complete.connect(self._rebalanced)
        self.app.on_before_shutdown.connect(self._leave)

    def status(self) -> dict[str, Any]:
        """Of each partition that this worker has: the offset that comes next, and why it stands still if it does."""
        return {"partitions": {number: owner.status() for number, owner in sorted(self._owners.items())}}

    async def _receive(self, stream: Any) -> None:
        async for event in stream.noack().events():
            owner = self._owners.get(event.message.partition)
            if owner is not None:
                await owner.offer(_record(event.message), event.ack)

    async def _seek(self, partition: int, offset: int) -> None:
        # Not `seek`: that one reaches into the consumer from another thread than its own, and may crash it.
        try:
            await self.app.consumer.seek_wait({TP(self._events, partition): offset})
        except RuntimeError:  # the consumer's thread ends before its partitions are let go
            if not self.app.should_stop:
                raise

    async def _look(self) -> None:
        """End as a supervisor would have it, once the partitions of another generation are the ones to fold."""
        try:
            await asyncio.to_thread(self._watch.check)
        except GenerationSuperseded as over:
            self.over = over
            os.kill(os.getpid(), signal.SIGTERM)
        except LogUnavailable:
            pass

    async def _given(self, _: Any, /, *partitions: Any, **__: Any) -> None:
        for tp in partitions[0]:
            if tp.topic == self._events and tp.partition not in self._owners:
                owner = self._owners[tp.partition] = Owner(tp.partition, self._shared)
                task = self._tasks[tp.partition] = asyncio.create_task(owner.run())
                task.add_done_callback(self._ended)
        url = f"http://{HOST}:{self.app.conf.web_port}"
        announce(self._settings.home, self._name, url=url)

    async def _taken(self, _: Any, /, *partitions: Any, **__: Any) -> None:
        await self._release([tp.partition for tp in partitions[0] if tp.topic == self._events])

    async def _rebalanced(self, *_: Any, **__: Any) -> None:
        # When its recovery ends Faust clears the agents' queues while the fetcher is live, and would skip what was in
        # them; it starts the flow again itself.
        self.app.consumer.stop_flow()

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A partition whose folding raised what nobody expected ends the worker: that is a defect of ours."""
        if not task.cancelled() and (error := task.exception()):
            self._crash = asyncio.ensure_future(self.app.crash(error))

    async def _leave(self, *_: Any, **__: Any) -> None:
        await self._release(list(self._owners))

    async def _release(self, partitions: list[int]) -> None:
        """What is under way is left: whoever comes next finds it committed, or not at all."""
        tasks = [self._tasks.pop(one) for one in partitions if self._owners.pop(one, None)]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=SHUTDOWN_TIMEOUT_S)


def _checks_host(hosts: AllowedHosts) -> Any:
    """Answer only what names this server: Faust's pages answer to any name."""

    @web.middleware
    async def checked(request: web.Request, handler: Any) -> web.StreamResponse:
        named = request.headers.getall("Host", [])
        answer: web.StreamResponse = web.Response(status=MISDIRECTED, text=refusal(named))
        if hosts.allow(named):
            try:
                answer = await handler(request)
            except web.HTTPException as problem:
                problem.headers.update(DATA_HEADERS)
                raise
        answer.headers.update(DATA_HEADERS)
        return answer

    return checked


def _rows_id(log: KafkaLog) -> str:
    while True:
        try:
            return topic_id(log.pinned, STATE)
        except LogUnavailable as error:
            print(f"nothing is folded, trying again in {RETRY_DELAY_S} s: {error}", flush=True)
            time.sleep(RETRY_DELAY_S)


def _app(cluster: Cluster, port: int, folder: Path, hosts: AllowedHosts) -> faust.App:
    make_folder(folder)
    return faust.App(
        cluster.folds,
        broker=[f"kafka://{server}" for server in cluster.servers],
        broker_credentials=_credentials(cluster),
        broker_session_timeout=SESSION_S, broker_heartbeat_interval=HEARTBEAT_S,
        consumer_auto_offset_reset="earliest", consumer_max_fetch_size=FETCH_BYTES,
        stream_buffer_maxsize=STREAM_RECORDS,
        stream_wait_empty=False,  # unacknowledged records would hang a revocation
        topic_disable_leader=True, topic_allow_declare=False,
        key_serializer="raw", value_serializer="raw", store="memory://",
        datadir=folder / "faust",  # else it makes one where it was started, which may be nobody's to write
        web_application_options={"middlewares": [_checks_host(hosts)]},
        web_host=HOST, web_bind=HOST, web_port=port or free_port(),  # known before it is bound: others are told it
    )  # fmt: skip


def _credentials(cluster: Cluster) -> Any:
    if cluster.mechanism is not None and cluster.user is not None:
        return faust.SASLCredentials(
            username=cluster.user, password=cluster.password, mechanism=cluster.mechanism,
            ssl_context=cluster.ssl_context(),
        )  # fmt: skip
    return faust.SSLCredentials(cluster.ssl_context()) if cluster.protocol == "SSL" else None


def _record(message: Any) -> Record:
    headers = {key: value.decode() for key, value in message.headers or ()}
    time_ms = round(message.timestamp * 1000)  # Faust's are seconds in floating point
    key = (message.key or b"").decode()
    return Record(message.partition, message.offset, time_ms, key, headers, message.value or b"")
