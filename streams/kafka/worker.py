"""The folds on Kafka: Faust assigns the partitions to workers, delivers their records, and serves a status page."""

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
from ledger.home.locks import shared_service_lock
from ledger.home.ports import HOST, find_free_port
from ledger.home.presence import announce
from ledger.http.guard import DATA_HEADERS, MISDIRECTED
from ledger.http.host_check import LOOPBACK, AllowedHosts, describe_refusal
from ledger.log import Log, Record
from ledger.log.generation import POLL_INTERVAL_S, GenerationWatch
from ledger.log.kafka.cluster import Cluster
from ledger.log.kafka.log import KafkaLog
from ledger.log.kafka.topics import find_topic_id
from ledger.log.topics import EVENTS, STATE
from ledger.settings import Settings
from streams.kafka.partition_owner import Owner, WorkerContext
from streams.runtime import read_catalogues, reduce_garbage_collection

SERVICE = "streams"
SESSION_TIMEOUT_S, HEARTBEAT_INTERVAL_S = 6.0, 2.0
"""A worker silent for longer than the session loses its partitions to others."""
MAX_STREAM_RECORDS, MAX_FETCH_BYTES = 64, 512 << 10
"""Records and bytes that Faust buffers before a partition takes them; a record has up to a megabyte."""
SHUTDOWN_TIMEOUT_S, RETRY_DELAY_S = 5.0, 5.0


def run(settings: Settings, log: Log) -> None:
    """Fold the partitions assigned to this worker until SIGTERM or SIGINT. Any number of workers share them.

    While the log cannot be reached, wait and try again. TallyError where topics are missing, GenerationSuperseded where
    another generation is the current one.
    """
    assert isinstance(log, KafkaLog), "the embedded log has a runtime of its own"
    with shared_service_lock(settings.home, SERVICE) as name:
        host = PartitionHost(settings, log, name, _read_state_topic_id(log))
        reduce_garbage_collection()
        worker = faust.Worker(host.app, quiet=True, loglevel="WARNING", redirect_stdouts=False)
        try:
            worker.execute_from_commandline()
        finally:  # it ends by SystemExit
            if host.superseded is not None:
                raise host.superseded


class PartitionHost:
    """A Faust app and the partitions assigned to it, announced under this name."""

    def __init__(self, settings: Settings, log: KafkaLog, name: str, state_topic_id: str) -> None:
        cluster = log.generation_cluster
        folder = settings.home / "streams" / cluster.name
        self.superseded: GenerationSuperseded | None = None
        self.app = _build_app(cluster, settings.streams_port, folder, settings.build_allowed_hosts(LOOPBACK))
        self._settings, self._name = settings, name
        self._events_topic = cluster.topic(EVENTS)
        self._context = WorkerContext(log, cluster, read_catalogues(log), folder, state_topic_id, self._seek)
        self._watch = GenerationWatch(log)
        self._owners: dict[int, Owner] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        topic = self.app.topic(self._events_topic, key_type=bytes, value_type=bytes)
        self.app.agent(topic, name="folds")(self._receive)

        async def status(view: View, request: Request) -> Response:
            return view.json(self.status())

        self.app.page("/")(status)
        self.app.timer(POLL_INTERVAL_S)(self._check_generation)
        self.app.on_partitions_assigned.connect(self._on_partitions_assigned)
        self.app.on_partitions_revoked.connect(self._on_partitions_revoked)
        self.app.on_rebalance_complete.connect(self._on_rebalance_complete)
        self.app.on_before_shutdown.connect(self._on_shutdown)

    def status(self) -> dict[str, Any]:
        """Return the status of each partition of this worker."""
        return {"partitions": {number: owner.status() for number, owner in sorted(self._owners.items())}}

    async def _receive(self, stream: Any) -> None:
        async for event in stream.noack().events():
            owner = self._owners.get(event.message.partition)
            if owner is not None:
                await owner.offer(_build_record(event.message), event.ack)

    async def _seek(self, partition: int, offset: int) -> None:
        # Not `seek`: it uses the consumer from another thread than its own, and may crash it.
        try:
            await self.app.consumer.seek_wait({TP(self._events_topic, partition): offset})
        except RuntimeError:  # the consumer's thread ends before its partitions are revoked
            if not self.app.should_stop:
                raise

    async def _check_generation(self) -> None:
        """End the process once another generation is the current one; its supervisor starts it again."""
        try:
            await asyncio.to_thread(self._watch.check)
        except GenerationSuperseded as error:
            self.superseded = error
            os.kill(os.getpid(), signal.SIGTERM)
        except LogUnavailable:
            pass

    async def _on_partitions_assigned(self, _: Any, /, *partitions: Any, **__: Any) -> None:
        for tp in partitions[0]:
            if tp.topic == self._events_topic and tp.partition not in self._owners:
                owner = self._owners[tp.partition] = Owner(tp.partition, self._context)
                task = self._tasks[tp.partition] = asyncio.create_task(owner.run())
                task.add_done_callback(self._on_task_end)
        url = f"http://{HOST}:{self.app.conf.web_port}"
        announce(self._settings.home, self._name, url=url)

    async def _on_partitions_revoked(self, _: Any, /, *partitions: Any, **__: Any) -> None:
        await self._release([tp.partition for tp in partitions[0] if tp.topic == self._events_topic])

    async def _on_rebalance_complete(self, *_: Any, **__: Any) -> None:
        # When its recovery ends, Faust clears the agents' queues while the fetcher is live, and would skip the records
        # in them; it starts the flow again itself.
        self.app.consumer.stop_flow()

    def _on_task_end(self, task: asyncio.Task[None]) -> None:
        """End the worker on an unexpected error of a partition: it is a defect of this code."""
        if not task.cancelled() and (error := task.exception()):
            self._crash = asyncio.ensure_future(self.app.crash(error))

    async def _on_shutdown(self, *_: Any, **__: Any) -> None:
        await self._release(list(self._owners))

    async def _release(self, partitions: list[int]) -> None:
        """Cancel the tasks of partitions. The next owner finds their last batch committed, or none of it."""
        tasks = [self._tasks.pop(number) for number in partitions if self._owners.pop(number, None)]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=SHUTDOWN_TIMEOUT_S)


def _build_host_check(hosts: AllowedHosts) -> Any:
    """Build a middleware that answers only requests for this server's host names; Faust's pages answer any."""

    @web.middleware
    async def check_host(request: web.Request, handler: Any) -> web.StreamResponse:
        host_headers = request.headers.getall("Host", [])
        response: web.StreamResponse = web.Response(status=MISDIRECTED, text=describe_refusal(host_headers))
        if hosts.allow(host_headers):
            try:
                response = await handler(request)
            except web.HTTPException as error:
                error.headers.update(DATA_HEADERS)
                raise
        response.headers.update(DATA_HEADERS)
        return response

    return check_host


def _read_state_topic_id(log: KafkaLog) -> str:
    while True:
        try:
            return find_topic_id(log.generation_cluster, STATE)
        except LogUnavailable as error:
            print(f"Folding cannot start; retrying in {RETRY_DELAY_S} s: {error}", flush=True)
            time.sleep(RETRY_DELAY_S)


def _build_app(cluster: Cluster, port: int, folder: Path, hosts: AllowedHosts) -> faust.App:
    make_folder(folder)
    return faust.App(
        cluster.folds,
        broker=[f"kafka://{server}" for server in cluster.servers],
        broker_credentials=_build_credentials(cluster),
        broker_session_timeout=SESSION_TIMEOUT_S, broker_heartbeat_interval=HEARTBEAT_INTERVAL_S,
        consumer_auto_offset_reset="earliest", consumer_max_fetch_size=MAX_FETCH_BYTES,
        stream_buffer_maxsize=MAX_STREAM_RECORDS,
        stream_wait_empty=False,  # unacknowledged records would hang a revocation
        topic_disable_leader=True, topic_allow_declare=False,
        key_serializer="raw", value_serializer="raw", store="memory://",
        datadir=folder / "faust",  # by default in the working directory, which may not be writable
        web_application_options={"middlewares": [_build_host_check(hosts)]},
        web_host=HOST, web_bind=HOST, web_port=port or find_free_port(),  # chosen before it is bound, to be announced
    )  # fmt: skip


def _build_credentials(cluster: Cluster) -> Any:
    if cluster.mechanism is not None and cluster.user is not None:
        return faust.SASLCredentials(
            username=cluster.user, password=cluster.password, mechanism=cluster.mechanism,
            ssl_context=cluster.ssl_context(),
        )  # fmt: skip
    return faust.SSLCredentials(cluster.ssl_context()) if cluster.protocol == "SSL" else None


def _build_record(message: Any) -> Record:
    headers = {key: value.decode() for key, value in message.headers or ()}
    time_ms = round(message.timestamp * 1000)  # Faust's are seconds in floating point
    key = (message.key or b"").decode()
    return Record(message.partition, message.offset, time_ms, key, headers, message.value or b"")
