"""The deliverer: reads alerts and crossings as they are derived, and sends them until each is told or given up."""

import signal
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing

import msgspec

from alerting import webhooks
from alerting.deliveries import Cause, Deliveries
from alerting.messages import Message, message
from alerting.schedule import next_attempt_ms
from alerting.sending import send
from alerting.webhooks import Webhook
from ledger import faults
from ledger.errors import LogAway
from ledger.home import announce, announced, only_one
from ledger.log import PARTITIONS, Log, Record, records, seek_cause
from ledger.settings import Settings
from ledger.topics import ALERTS, DECISIONS, EVENTS, Topic

PART = "alerts"
TOPICS = (ALERTS, DECISIONS)
_decode = msgspec.json.Decoder().decode
LOOK_S, AWAY_S = 0.3, 2.0
TAKEN, AT_ONCE, SENDERS = 500, 20, 8
"""Messages that are written together; those of one organization that are sent in a row; organizations told at once."""


def serve(settings: Settings, log: Log) -> None:
    """Deliver until SIGTERM or SIGINT. TallyError where another process of this home does."""
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    with only_one(settings.home, PART), closing(Deliveries(settings.home)) as deliveries:
        if not deliveries.begun():  # the home was restored: what lies behind was told, or is old
            begin(log, deliveries)
        deliverer = Deliverer(settings, log, deliveries)
        announce(settings.home, PART)
        while not stopping.wait(LOOK_S):
            try:
                deliverer.step()
            except LogAway as error:
                print(f"the log does not answer, trying again: {error}", flush=True)
                stopping.wait(AWAY_S)
        deliverer.close()


def begin(log: Log, deliveries: Deliveries) -> None:
    """Tell what follows from here on, not what lies behind."""
    ends = log.ends(EVENTS)
    deliveries.begin(
        (topic.name, partition, ends[partition] - 1) for topic in TOPICS for partition in range(PARTITIONS)
    )


class Deliverer:
    """Reads by the cause of each line, so it does not matter which generation derived it: nothing is told twice."""

    def __init__(self, settings: Settings, log: Log, deliveries: Deliveries) -> None:
        self._home, self._log, self._deliveries = settings.home, log, deliveries
        self._seen: dict[Topic, list[int]] = {}
        self._sending: dict[str, Future[None]] = {}
        self._pool = ThreadPoolExecutor(SENDERS, "send")
        self._guard = threading.Lock()
        self._closing = False

    def step(self) -> None:
        """Take up what is new, and send what is due."""
        hooks = webhooks.listed(self._home)
        if hooks:
            self._log.follow()
            for topic in TOPICS:
                self._read(topic, hooks)
        for organization, sent in list(self._sending.items()):
            if sent.done():
                del self._sending[organization]
                sent.result()  # raises what was a defect of ours
        with self._guard:
            waiting = self._deliveries.waiting(_now_ms())
        for organization in waiting:
            if organization not in self._sending:
                self._take_up(organization, hooks.get(organization))

    def close(self) -> None:
        """Begin nothing more, and wait for what is under way."""
        self._closing = True
        self._pool.shutdown(cancel_futures=True)

    def _read(self, topic: Topic, hooks: dict[str, Webhook]) -> None:
        ends = self._log.ends(topic)
        before = self._seen.get(topic, [0] * PARTITIONS)
        for partition, end in enumerate(ends):
            if end == before[partition]:
                continue
            with self._guard:
                upto = self._deliveries.position(topic.name, partition)
            told: list[Message] = []
            for record in records(self._log, topic, partition, seek_cause(self._log, topic, partition, upto[0]), end):
                news, upto = _news(topic, record, upto, hooks)
                told += news
                if len(told) >= TAKEN:
                    self._take(topic, partition, upto, told)
                    told = []
            self._take(topic, partition, upto, told)
        self._seen[topic] = ends

    def _take(self, topic: Topic, partition: int, upto: Cause, told: list[Message]) -> None:
        with self._guard:
            self._deliveries.take(topic.name, partition, upto, told, _now_ms())
        faults.point("alerts.taken")

    def _take_up(self, organization: str, hook: Webhook | None) -> None:
        with self._guard:
            due = self._deliveries.due(organization, _now_ms(), AT_ONCE)
            if due and (hook is None or hook.gone):
                why = hook.gone if hook and hook.gone else "the webhook was removed"
                self._deliveries.give_up(organization, _now_ms(), why)
        if due and hook and not hook.gone:
            self._sending[organization] = self._pool.submit(self._send, hook, due)

    def _send(self, hook: Webhook, due: list[tuple[Message, int]]) -> None:
        dashboards = (announced(self._home, "dashboards") or {}).get("url")
        for one, attempts in due:
            if self._closing:
                return
            answer = send(hook, one, dashboards)
            faults.point("alerts.sent")
            now_ms = _now_ms()
            again = None if answer.delivered or answer.gone else next_attempt_ms(attempts + 1, now_ms)
            state = "delivered" if answer.delivered else "given up" if again is None else "pending"
            with self._guard:
                self._deliveries.tried(one.id, now_ms, answer.said, state=state, due_ms=again)
            if not answer.delivered:
                print(f"{one.type} {one.id} of {hook.organization!r}: {answer.said}, {state}", flush=True)
            if answer.gone:
                webhooks.end(self._home, hook, f"its receiver said that it is gone ({answer.said})")
                return


def _news(topic: Topic, record: Record, known: Cause, hooks: dict[str, Webhook]) -> tuple[list[Message], Cause]:
    """What the lines of a record tell whoever has a webhook, and the last of them."""
    told: list[Message] = []
    for line in map(_decode, record.value.split(b"\n")):
        at = line["offset"], line["seq"]
        hook = hooks.get(line["organization"])
        if at > known and hook and record.time_ms >= hook.since_ms and (one := message(topic, line)):
            told.append(one)
        known = max(known, at)
    return told, known


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
