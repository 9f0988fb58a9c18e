"""The deliverer: reads alerts and crossings as they are derived, and sends them until each is told or given up."""

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
from alerting.messages import Message, message
from alerting.problems import PART
from alerting.retry_schedule import SLOW_S, Turns, next_attempt_ms
from alerting.webhooks import Webhook
from ledger import fault_points
from ledger.errors import LogUnavailable, TallyError
from ledger.home.locks import only_one
from ledger.home.presence import announce, announced
from ledger.log import PARTITIONS, Log, Record, records, seek_cause
from ledger.log.topics import ALERTS, DECISIONS, EVENTS, Topic
from ledger.settings import Settings

TOPICS = (ALERTS, DECISIONS)
_decode = msgspec.json.Decoder().decode
POLL_INTERVAL_S, AWAY_S = 0.3, 2.0
TAKEN, AT_ONCE = 500, 20
"""Messages that are written together; those of one organization that are sent in a row."""
PRUNE_INTERVAL_S = 3_600.0
LOOKUP_POLL_S = 0.2


class Troubles:
    """What keeps the deliverer from its work, as people see it: in its log when it changes, and in `tally status`."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._trouble: str | None = None
        self._is_announced = False

    def announce(self) -> None:
        """Announce that the deliverer works, where it has not been said."""
        if not self._is_announced:
            announce(self._home, PART)
            self._is_announced = True

    def note(self, trouble: str | None) -> None:
        """Show this trouble, or that there is none any more. A part in trouble is announced too."""
        if trouble == self._trouble:
            return
        self._trouble = trouble
        _log(trouble or "Alerts are delivered again.")
        with suppress(OSError):  # the disk may be what is wrong, and the line above says so
            announce(self._home, PART, **({"trouble": trouble} if trouble else {}))
            self._is_announced = True


def serve(settings: Settings, log: Log) -> None:
    """Deliver until SIGTERM or SIGINT. TallyError where another process of this home does.

    A file that is damaged or cannot be used does not end it: the product goes on, and is told."""
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    with only_one(settings.home, PART):
        troubles = Troubles(settings.home)
        while not stopping.is_set():
            try:
                with closing(Deliveries(settings.home)) as deliveries:
                    deliveries.check()
                    _deliver(settings, log, deliveries, troubles, stopping)
            except DeliveriesUnavailable as error:
                troubles.note(str(error))
            except DeliveriesDamaged as error:
                _replace(settings.home, error, troubles)
            stopping.wait(AWAY_S)


def _replace(home: Path, damage: DeliveriesDamaged, troubles: Troubles) -> None:
    try:
        aside = set_aside(home)
    except DeliveriesUnavailable as error:
        troubles.note(f"{damage}; {error}")
    else:
        _log(f"{damage}; it is {aside} now")


def _deliver(
    settings: Settings, log: Log, deliveries: Deliveries, troubles: Troubles, stopping: threading.Event
) -> None:
    """Deliver from one file until it is to stop. DeliveriesDamaged where the file turns out to be."""
    deliverer = Deliverer(settings, log, deliveries)
    try:
        while not stopping.wait(POLL_INTERVAL_S):
            try:
                if not deliveries.begun():  # the home was restored: what lies behind was told, or is old
                    begin(log, deliveries)
                troubles.announce()
                troubles.note(deliverer.step())
            except LogUnavailable as error:
                _log(f"the log does not answer, trying again: {error}")
                stopping.wait(AWAY_S)
            except DeliveriesUnavailable as error:
                troubles.note(str(error))
                stopping.wait(AWAY_S)
    finally:
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
        self._webhooks: dict[str, Webhook] | None = None
        self._seen: dict[Topic, list[int]] = {}
        self._lines: dict[str, Future[None]] = {}
        self._turns = Turns()
        self._unrecorded: list[tuple[str, int, str, str, int | None]] = []
        self._guard = threading.RLock()
        self._pruned_s = time.monotonic() - PRUNE_INTERVAL_S
        self._closing = False
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="lines", daemon=True).start()

    def step(self) -> str | None:
        """Take up what is new, and send what is due. What keeps the webhooks from being read, where something does:
        then those that were read before are delivered to."""
        trouble = None
        try:
            self._webhooks = webhooks.listed(self._home)
        except TallyError as error:
            trouble = str(error)
        self._reap()
        with self._guard:
            self._record_unrecorded()
        if self._webhooks is None:  # whom to tell is not known: nothing is read, so nothing is missed
            return trouble
        if self._webhooks:
            self._log.follow()
            for topic in TOPICS:
                self._read(topic, self._webhooks)
        with self._guard:
            waiting = self._deliveries.waiting(_now_ms())
        for organization in self._turns.choose(waiting, self._lines.keys()):
            self._take_up(organization, self._webhooks.get(organization))
        self._prune()
        return trouble

    def close(self) -> None:
        """Begin nothing more, and wait for what is under way: as long as a deadline, and no longer."""
        self._closing = True
        wait(self._lines.values(), DEADLINE_S + 1)
        self._loop.call_soon_threadsafe(self._loop.stop)

    def _reap(self) -> None:
        for organization, line in list(self._lines.items()):
            if line.done():
                del self._lines[organization]
                line.result()  # raises what was a defect of ours

    def _prune(self) -> None:
        if time.monotonic() - self._pruned_s < PRUNE_INTERVAL_S:
            return
        with self._guard:
            if self._deliveries.prune(_now_ms()) == 0:
                self._pruned_s = time.monotonic()

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
        fault_points.point("alerts.taken")

    def _take_up(self, organization: str, hook: Webhook | None) -> None:
        with self._guard:
            due = self._deliveries.due(organization, _now_ms(), AT_ONCE)
            if due and (hook is None or hook.gone):
                why = hook.gone if hook and hook.gone else "the webhook was removed"
                self._deliveries.give_up(organization, _now_ms(), why)
        if due and hook and not hook.gone:
            self._lines[organization] = asyncio.run_coroutine_threadsafe(self._deliver_line(hook, due), self._loop)

    async def _deliver_line(self, hook: Webhook, due: list[tuple[Message, int]]) -> None:
        """Send an organization's messages one after the other, as long as its receiver is prompt. The line keeps its
        place while a lookup of its name hangs: so there are never more threads than lines."""
        network = Network(DEADLINE_S)
        dashboards = (announced(self._home, "dashboards") or {}).get("url")
        for news, attempts in due:
            if self._closing or self._unrecorded:
                break
            begun_s = time.monotonic()
            answer = await post(hook, news, dashboards, network)
            taken_s = time.monotonic() - begun_s
            self._turns.note(hook.organization, taken_s)
            await asyncio.to_thread(self._record, hook, news, attempts, answer)
            if answer.gone or taken_s > SLOW_S:
                break
        while network.is_looking_up() and not self._closing:
            await asyncio.sleep(LOOKUP_POLL_S)

    def _record(self, hook: Webhook, news: Message, attempts: int, answer: Answer) -> None:
        """Record an answer. Where the file cannot be written now, it waits here, and nothing more is sent until it is:
        what was sent is not sent again for the sake of a full disk."""
        fault_points.point("alerts.sent")
        now_ms = _now_ms()
        again = None if answer.delivered or answer.gone else next_attempt_ms(attempts + 1, now_ms)
        state = "delivered" if answer.delivered else "given up" if again is None else "pending"
        if not answer.delivered:
            _log(f"{news.type} {news.id} of {hook.organization!r}: {answer.said}, {state}")
        with self._guard:
            self._unrecorded.append((news.id, now_ms, answer.said, state, again))
            with suppress(DeliveriesUnavailable, DeliveriesDamaged):  # the next step meets it, and tells
                self._record_unrecorded()
        if answer.gone:
            try:
                webhooks.end(self._home, hook, f"its receiver said that it is gone ({answer.said})")
            except (TallyError, OSError) as error:
                _log(f"the webhook of {hook.organization!r} is not marked as gone: {error}")

    def _record_unrecorded(self) -> None:
        while self._unrecorded:
            id, now_ms, said, state, due_ms = self._unrecorded[0]
            self._deliveries.tried(id, now_ms, said, state=state, due_ms=due_ms)
            del self._unrecorded[0]


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


def _log(line: str) -> None:
    """Write a line to the part's log. A disk that is full does not end it: `tally status` tells the trouble too."""
    with suppress(OSError):
        print(line, flush=True)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
