"""The deliverer: reads alerts and crossings as they are derived, and sends each until it is delivered or given up."""

import asyncio
import signal
import threading
import time
from concurrent.futures import Future, wait
from contextlib import closing, suppress
from pathlib import Path

import msgspec

from alerting import webhooks
from alerting.channels.network import Network
from alerting.channels.webhook import DEADLINE_S, Answer, post
from alerting.delivery_store import Cause, Deliveries, DeliveriesDamaged, DeliveriesUnavailable, set_aside
from alerting.messages import Message, read_message
from alerting.problems import SERVICE
from alerting.retry_schedule import SLOW_THRESHOLD_S, TurnOrder, next_attempt_ms
from alerting.webhooks import Webhook
from ledger import fault_points
from ledger.errors import FileDamaged, LogUnavailable, TallyError
from ledger.home.locks import service_lock
from ledger.home.presence import announce, find_presence
from ledger.log import PARTITIONS, Log, Record, records, seek_cause
from ledger.log.topics import ALERTS, DECISIONS, EVENTS, Topic
from ledger.settings import Settings

TOPICS = (ALERTS, DECISIONS)
_decode = msgspec.json.Decoder().decode
POLL_INTERVAL_S, RETRY_DELAY_S = 0.3, 2.0
MAX_BATCH_MESSAGES, MAX_ORGANIZATION_MESSAGES = 500, 20
"""Messages that are stored together; messages of one organization that are sent in a row."""
PRUNE_INTERVAL_S = 3_600.0
LOOKUP_POLL_INTERVAL_S = 0.2


class Troubles:
    """The deliverer's current trouble, for people: in its log when it changes, and in `tally status`."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._trouble: str | None = None
        self._is_announced = False

    def announce(self) -> None:
        """Announce that the deliverer works, unless it is announced already."""
        if not self._is_announced:
            announce(self._home, SERVICE)
            self._is_announced = True

    def note(self, trouble: str | None) -> None:
        """Show a trouble, or with None that it is over. A service in trouble is announced too."""
        if trouble == self._trouble:
            return
        self._trouble = trouble
        _log(trouble or "Alerts are delivered again.")
        with suppress(OSError):  # the disk may be what is wrong, and the line above says so
            announce(self._home, SERVICE, **({"trouble": trouble} if trouble else {}))
            self._is_announced = True


def serve(settings: Settings, log: Log) -> None:
    """Deliver until SIGTERM or SIGINT. TallyError where another process of this home delivers.

    A damaged or unusable file does not end the service: `tally status` shows it, and the product goes on."""
    stop = threading.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: stop.set())
    with service_lock(settings.home, SERVICE):
        troubles = Troubles(settings.home)
        while not stop.is_set():
            try:
                with closing(Deliveries(settings.home)) as deliveries:
                    deliveries.check()
                    _deliver(settings, log, deliveries, troubles, stop)
            except DeliveriesUnavailable as error:
                troubles.note(str(error))
            except DeliveriesDamaged as error:
                _replace_file(settings.home, error, troubles)
            stop.wait(RETRY_DELAY_S)


def _replace_file(home: Path, damage: DeliveriesDamaged, troubles: Troubles) -> None:
    try:
        aside = set_aside(home)
    except DeliveriesUnavailable as error:
        troubles.note(f"{damage}; {error}")
    else:
        _log(f"{damage}; it is {aside} now")


def _deliver(settings: Settings, log: Log, deliveries: Deliveries, troubles: Troubles, stop: threading.Event) -> None:
    """Deliver from one file until ``stop`` is set. DeliveriesDamaged where the file turns out to be damaged."""
    deliverer = Deliverer(settings, log, deliveries)
    try:
        while not stop.wait(POLL_INTERVAL_S):
            try:
                if not deliveries.has_positions():  # the home was restored: earlier alerts were delivered, or are old
                    begin_at_end(log, deliveries)
                troubles.announce()
                troubles.note(deliverer.step())
            except LogUnavailable as error:
                _log(f"the log does not answer, trying again: {error}")
                stop.wait(RETRY_DELAY_S)
            except DeliveriesUnavailable as error:
                troubles.note(str(error))
                stop.wait(RETRY_DELAY_S)
    finally:
        deliverer.close()


def begin_at_end(log: Log, deliveries: Deliveries) -> None:
    """Begin after the newest record: what was derived before is not delivered."""
    ends = log.ends(EVENTS)
    deliveries.begin(
        (topic.name, partition, ends[partition] - 1) for topic in TOPICS for partition in range(PARTITIONS)
    )


class Deliverer:
    """Delivers by the cause of each line, so no message is sent twice, whichever generation derived it."""

    def __init__(self, settings: Settings, log: Log, deliveries: Deliveries) -> None:
        self._home, self._log, self._deliveries = settings.home, log, deliveries
        self._webhooks: dict[str, Webhook] | None = None
        self._ends: dict[Topic, list[int]] = {}
        self._tasks: dict[str, Future[None]] = {}
        self._turn_order = TurnOrder()
        self._unrecorded_attempts: list[tuple[str, int, str, str, int | None]] = []
        self._lock = threading.RLock()
        self._last_prune_s = time.monotonic() - PRUNE_INTERVAL_S
        self._closing = False
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="lines", daemon=True).start()

    def step(self) -> str | None:
        """Read new lines, and send what is due. Return why the webhooks cannot be read, if they cannot: then those that
        were read before are delivered to."""
        trouble = None
        try:
            self._webhooks = webhooks.list_webhooks(self._home)
        except TallyError as error:
            trouble = str(error)
        self._collect_finished()
        with self._lock:
            self._store_attempts()
        if self._webhooks is None:  # whom to tell is not known: nothing is read, so nothing is missed
            return trouble
        if self._webhooks:
            self._log.follow()
            for topic in TOPICS:
                self._read_topic(topic, self._webhooks)
        with self._lock:
            organizations = self._deliveries.list_due_organizations(_now_ms())
        chosen = self._turn_order.choose(organizations, self._tasks.keys())
        try:
            dashboards = (find_presence(self._home, "dashboards") or {}).get("url") if chosen else None
        except FileDamaged as error:  # the alert goes without its link
            dashboards, trouble = None, trouble or str(error)
        for organization in chosen:
            self._begin_delivery(organization, self._webhooks.get(organization), dashboards)
        self._prune()
        return trouble

    def close(self) -> None:
        """Begin no more deliveries, and wait for those under way, for one deadline at most."""
        self._closing = True
        wait(self._tasks.values(), DEADLINE_S + 1)
        self._loop.call_soon_threadsafe(self._loop.stop)

    def _collect_finished(self) -> None:
        for organization, task in list(self._tasks.items()):
            if task.done():
                del self._tasks[organization]
                task.result()  # raises a defect of ours

    def _prune(self) -> None:
        if time.monotonic() - self._last_prune_s < PRUNE_INTERVAL_S:
            return
        with self._lock:
            if self._deliveries.prune(_now_ms()) == 0:
                self._last_prune_s = time.monotonic()

    def _read_topic(self, topic: Topic, hooks: dict[str, Webhook]) -> None:
        ends = self._log.ends(topic)
        known_ends = self._ends.get(topic, [0] * PARTITIONS)
        for partition, end in enumerate(ends):
            if end == known_ends[partition]:
                continue
            with self._lock:
                position = self._deliveries.position(topic.name, partition)
            messages: list[Message] = []
            for record in records(
                self._log, topic, partition, seek_cause(self._log, topic, partition, position[0]), end
            ):
                new_messages, position = _read_messages(topic, record, position, hooks)
                messages += new_messages
                if len(messages) >= MAX_BATCH_MESSAGES:
                    self._store(topic, partition, position, messages)
                    messages = []
            self._store(topic, partition, position, messages)
        self._ends[topic] = ends

    def _store(self, topic: Topic, partition: int, position: Cause, messages: list[Message]) -> None:
        with self._lock:
            self._deliveries.take(topic.name, partition, position, messages, _now_ms())
        fault_points.point("alerts.taken")

    def _begin_delivery(self, organization: str, webhook: Webhook | None, dashboards: str | None) -> None:
        with self._lock:
            messages = self._deliveries.list_due(organization, _now_ms(), MAX_ORGANIZATION_MESSAGES)
            if messages and (webhook is None or webhook.gone):
                reason = webhook.gone if webhook and webhook.gone else "the webhook was removed"
                self._deliveries.give_up(organization, _now_ms(), reason)
        if messages and webhook and not webhook.gone:
            self._tasks[organization] = asyncio.run_coroutine_threadsafe(
                self._deliver_in_order(webhook, messages, dashboards), self._loop
            )

    async def _deliver_in_order(
        self, webhook: Webhook, messages: list[tuple[Message, int]], dashboards: str | None
    ) -> None:
        """Send an organization's messages one after the other, as long as its receiver is prompt. The task goes on
        while a lookup of the host's name hangs, so there are never more threads than tasks."""
        network = Network(DEADLINE_S)
        for message, attempts in messages:
            if self._closing or self._unrecorded_attempts:
                break
            start_s = time.monotonic()
            answer = await post(webhook, message, dashboards, network)
            duration_s = time.monotonic() - start_s
            self._turn_order.note(webhook.organization, duration_s)
            await asyncio.to_thread(self._record_answer, webhook, message, attempts, answer)
            if answer.is_gone or duration_s > SLOW_THRESHOLD_S:
                break
        while network.is_looking_up() and not self._closing:
            await asyncio.sleep(LOOKUP_POLL_INTERVAL_S)

    def _record_answer(self, webhook: Webhook, message: Message, attempts: int, answer: Answer) -> None:
        """Record an answer. Where the file cannot be written now, the answer waits in memory, and nothing more is sent
        until it is written: a full disk must not send a message again."""
        fault_points.point("alerts.sent")
        now_ms = _now_ms()
        due_ms = None if answer.delivered or answer.is_gone else next_attempt_ms(attempts + 1, now_ms)
        state = "delivered" if answer.delivered else "given up" if due_ms is None else "pending"
        if not answer.delivered:
            _log(f"{message.type} {message.id} of {webhook.organization!r}: {answer.status}, {state}")
        with self._lock:
            self._unrecorded_attempts.append((message.id, now_ms, answer.status, state, due_ms))
            with suppress(DeliveriesUnavailable, DeliveriesDamaged):  # the next step meets and reports it
                self._store_attempts()
        if answer.is_gone:
            try:
                webhooks.mark_gone(self._home, webhook, f"its receiver said that it is gone ({answer.status})")
            except (TallyError, OSError) as error:
                _log(f"the webhook of {webhook.organization!r} is not marked as gone: {error}")

    def _store_attempts(self) -> None:
        while self._unrecorded_attempts:
            id, now_ms, answer, state, due_ms = self._unrecorded_attempts[0]
            self._deliveries.record_attempt(id, now_ms, answer, state=state, due_ms=due_ms)
            del self._unrecorded_attempts[0]


def _read_messages(
    topic: Topic, record: Record, position: Cause, hooks: dict[str, Webhook]
) -> tuple[list[Message], Cause]:
    """Read the messages of a record's lines after ``position`` for organizations with a webhook, and the last line's
    position."""
    messages: list[Message] = []
    for line in map(_decode, record.value.split(b"\n")):
        cause = line["offset"], line["seq"]
        webhook = hooks.get(line["organization"])
        if (
            cause > position
            and webhook
            and record.time_ms >= webhook.since_ms
            and (message := read_message(topic, line))
        ):
            messages.append(message)
        position = max(position, cause)
    return messages, position


def _log(line: str) -> None:
    """Write a line to the service's log. A full disk does not end the service: `tally status` shows the trouble too."""
    with suppress(OSError):
        print(line, flush=True)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
