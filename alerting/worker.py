"""The deliverer: reads alerts and crossings as they are derived, and sends each until it is delivered or given up."""

import asyncio
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextlib import closing, suppress
from pathlib import Path

from alerting import incidents, people, routes
from alerting.channels.channel import Answer
from alerting.channels.network import Network
from alerting.channels.transport import DEADLINE_S, deliver
from alerting.delivery_store import Deliveries, DeliveriesDamaged, DeliveriesUnavailable, DueMessage, set_aside
from alerting.messages import Message
from alerting.problems import SERVICE
from alerting.reading import Reader
from alerting.retry_schedule import SLOW_THRESHOLD_S, TurnOrder, next_attempt_ms
from alerting.routes import Route
from alerting.wording import Context
from ledger import fault_points
from ledger.errors import FileDamaged, LogUnavailable, TallyError
from ledger.home.locks import service_lock
from ledger.home.persons import Persons
from ledger.home.presence import announce, find_presence
from ledger.home.wakes import PORT_FACT, Sleeper
from ledger.log import PARTITIONS, Log
from ledger.log.topics import ALERTS, DECISIONS, EVENTS, Topic
from ledger.settings import Settings

TOPICS = (ALERTS, DECISIONS)
POLL_INTERVAL_S, RETRY_DELAY_S = 0.3, 2.0
MAX_ROUTE_MESSAGES = 20
"""Messages of one route that are sent in a row."""
PRUNE_INTERVAL_S = 3_600.0
LOOKUP_POLL_INTERVAL_S = 0.2


class Troubles:
    """The deliverer's current trouble, for people: in its log when it changes, and in `tally status`."""

    def __init__(self, home: Path, wake_port: int) -> None:
        self._home, self._facts = home, {PORT_FACT: wake_port}
        self._trouble: str | None = None
        self._is_announced = False

    def announce(self) -> None:
        """Announce that the deliverer works, unless it is announced already."""
        if not self._is_announced:
            announce(self._home, SERVICE, **self._facts)
            self._is_announced = True

    def note(self, trouble: str | None) -> None:
        """Show a trouble, or with None that it is over. A service in trouble is announced too."""
        if trouble == self._trouble:
            return
        self._trouble = trouble
        _log(trouble or "Alerts are delivered again.")
        with suppress(OSError):  # the disk may be what is wrong, and the line above says so
            announce(self._home, SERVICE, **self._facts, **({"trouble": trouble} if trouble else {}))
            self._is_announced = True


def serve(settings: Settings, log: Log) -> None:
    """Deliver until SIGTERM or SIGINT. TallyError where another process of this home delivers.

    A damaged or unusable file does not end the service: `tally status` shows it, and the product goes on."""
    stop = threading.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: stop.set())
    with service_lock(settings.home, SERVICE), closing(Sleeper()) as sleeper:
        troubles = Troubles(settings.home, sleeper.port)
        while not stop.is_set():
            try:
                with closing(Deliveries(settings.home)) as deliveries:
                    deliveries.check()
                    _deliver(settings, log, deliveries, troubles, stop, sleeper)
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


def _deliver(
    settings: Settings, log: Log, deliveries: Deliveries, troubles: Troubles, stop: threading.Event, sleeper: Sleeper
) -> None:
    """Deliver from one file until ``stop`` is set. DeliveriesDamaged where the file turns out to be damaged."""
    deliverer = Deliverer(settings, log, deliveries, sleeper.wake)
    try:
        while not stop.is_set():
            sleeper.wait(POLL_INTERVAL_S)  # the folds wake it where they raise an alert
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

    def __init__(
        self, settings: Settings, log: Log, deliveries: Deliveries, on_free: Callable[[], None] = lambda: None
    ) -> None:
        """``on_free`` is called when a route can take more messages: a step sends those that wait for it."""
        self._home, self._log, self._deliveries = settings.home, log, deliveries
        self._on_free = on_free
        self._routes: dict[str, Route] | None = None
        self._ends: dict[int, dict[Topic, int]] = {}
        self._tasks: dict[str, Future[None]] = {}
        self._turn_order = TurnOrder()
        self._paused_until_ms: dict[str, int] = {}
        self._unrecorded_attempts: list[tuple[str, str, int, str, str, int | None]] = []
        self._lock = threading.RLock()
        self._last_prune_s = time.monotonic() - PRUNE_INTERVAL_S
        self._closing = False
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="lines", daemon=True).start()

    def step(self) -> str | None:
        """Read new lines, and send what is due. Return why the routes cannot be read, if they cannot: then those that
        were read before are delivered to."""
        trouble = None
        try:
            self._routes = routes.list_routes(self._home)
        except TallyError as error:
            trouble = str(error)
        self._collect_finished()
        with self._lock:
            self._store_attempts()
        if self._routes is None:  # whom to tell is not known: nothing is read, so nothing is missed
            return trouble
        if self._routes:
            self._read(self._routes)
        now_ms = _now_ms()
        with self._lock:
            due = self._deliveries.list_due_routes(now_ms)
        ready = [route for route in due if self._paused_until_ms.get(route, 0) <= now_ms]
        chosen = self._turn_order.choose(ready, self._tasks.keys())
        try:
            dashboards = (find_presence(self._home, "dashboards") or {}).get("url") if chosen else None
        except FileDamaged as error:  # the alert goes without its link
            dashboards, trouble = None, trouble or str(error)
        for route in chosen:
            self._begin_delivery(route, self._routes.get(route), dashboards)
        self._prune()
        return trouble

    def close(self) -> None:
        """Begin no more deliveries, and wait for those under way, for one deadline at most."""
        self._closing = True
        wait(self._tasks.values(), DEADLINE_S + 1)
        self._loop.call_soon_threadsafe(self._loop.stop)

    def _collect_finished(self) -> None:
        for route, task in list(self._tasks.items()):
            if task.done():
                del self._tasks[route]
                task.result()  # raises a defect of ours

    def _prune(self) -> None:
        if time.monotonic() - self._last_prune_s < PRUNE_INTERVAL_S:
            return
        with self._lock:
            if self._deliveries.prune(_now_ms()) == 0:
                self._last_prune_s = time.monotonic()

    def _read(self, known_routes: dict[str, Route]) -> None:
        """Read new lines of every partition. The ends of alerts are asked first: a silence or a team that stands before
        an alert is known by then."""
        self._log.follow()
        reader = Reader(self._log, self._deliveries, self._lock, known_routes)
        ends = {topic: self._log.ends(topic) for topic in TOPICS}
        for partition in range(PARTITIONS):
            partition_ends = {topic: ends[topic][partition] for topic in TOPICS}
            if partition_ends != self._ends.get(partition):
                reader.read_people(partition, partition_ends[DECISIONS])
                reader.read(partition, partition_ends, _now_ms())
                self._ends[partition] = partition_ends
        self._send_histories(known_routes)

    def _send_histories(self, known_routes: dict[str, Route]) -> None:
        """Deliver the summaries of the past to which nothing was added for a while."""
        now_ms = _now_ms()
        with self._lock:
            for summary in self._deliveries.list_histories(now_ms - incidents.HISTORY_QUIET_MS):
                chosen = incidents.plan_other(summary, known_routes.values(), ())
                self._deliveries.send_history(summary, chosen, now_ms)

    def _begin_delivery(self, id: str, route: Route | None, dashboards: str | None) -> None:
        with self._lock:
            due = self._deliveries.list_due(id, _now_ms(), MAX_ROUTE_MESSAGES)
            if due and (route is None or route.gone):
                reason = route.gone if route and route.gone else "the route was removed"
                self._deliveries.give_up(id, _now_ms(), reason)
            if route is None or route.gone:
                return
            messages = [ready for message in due if (ready := self._judge(message, route)) is not None]
            contexts = [self._find_context(message, dashboards) for message, _ in messages]
        if messages:
            self._tasks[id] = asyncio.run_coroutine_threadsafe(
                self._deliver_in_order(route, messages, contexts), self._loop
            )
            self._tasks[id].add_done_callback(lambda _: self._on_free())

    def _judge(self, due: DueMessage, route: Route) -> tuple[Message, int] | None:
        """Return the message as it is sent now, with its attempts; None where it is held back, which is recorded."""
        message, now_ms = due.message, _now_ms()
        if message.alert is None:
            return message, due.attempts
        incident = self._deliveries.find_incident(message.organization, message.alert)
        has_opened = self._deliveries.has_opened(route.id, message.organization, message.alert)
        silences = self._deliveries.list_silences(message.organization, now_ms * 1000)
        teams = people.find_teams(message.data, message.organization, self._deliveries, now_ms * 1000)
        decision = incidents.judge(message, due.attempts, due.state, route, incident, has_opened, silences, teams)
        if decision.state == "pending":
            return incidents.renew(message, route, due.attempts, incident), due.attempts
        self._deliveries.hold_back(
            message.id, route.id, now_ms, decision.reason, state=decision.state, due_ms=decision.due_ms
        )
        return None

    def _find_context(self, message: Message, dashboards: str | None) -> Context:
        """Find who is behind a message. The names stand in the home alone, so they are looked up when it is sent."""
        organization, now_us = message.organization, _now_ms() * 1000
        teams = people.find_teams(message.data, organization, self._deliveries, now_us)
        owner, on_call = (
            people.find_person(field, teams, organization, self._deliveries, now_us) for field in ("owner", "on_call")
        )
        pseudonyms = [person for person in (owner, on_call, message.data.get("by")) if person]
        names: dict[str, str] = {}
        if pseudonyms:
            with suppress(TallyError), closing(Persons(self._home)) as persons:
                names = persons.find_names(organization, pseudonyms)
        if by := message.data.get("by"):
            message.data["by"] = names.get(by, by)
        return Context(
            dashboards, teams[0] if teams else None, names.get(owner or "", owner), names.get(on_call or "", on_call)
        )

    async def _deliver_in_order(
        self, route: Route, messages: list[tuple[Message, int]], contexts: list[Context]
    ) -> None:
        """Send a route's messages one after the other, as long as its receiver is prompt. The task goes on while a
        lookup of the host's name hangs, so there are never more threads than tasks."""
        network = Network(DEADLINE_S)
        waiting_alerts: set[str] = set()
        for (message, attempts), context in zip(messages, contexts, strict=True):
            if self._closing or self._unrecorded_attempts:
                break
            if message.alert in waiting_alerts:  # what came before it is tried first
                continue
            start_s = time.monotonic()
            answer = await deliver(route, message, context, network)
            duration_s = time.monotonic() - start_s
            self._turn_order.note(route.id, duration_s)
            await asyncio.to_thread(self._record_answer, route, message, attempts, answer)
            if not answer.delivered and message.alert is not None:
                waiting_alerts.add(message.alert)
            if answer.is_gone or answer.retry_after_s is not None or duration_s > SLOW_THRESHOLD_S:
                break
        while network.is_looking_up() and not self._closing:
            await asyncio.sleep(LOOKUP_POLL_INTERVAL_S)

    def _record_answer(self, route: Route, message: Message, attempts: int, answer: Answer) -> None:
        """Record an answer. Where the file cannot be written now, the answer waits in memory, and nothing more is sent
        until it is written: a full disk must not send a message again."""
        fault_points.point("alerts.sent")
        now_ms = _now_ms()
        due_ms = None if answer.delivered or answer.is_gone else next_attempt_ms(attempts + 1, now_ms)
        if answer.retry_after_s is not None:
            wanted_ms = now_ms + int(answer.retry_after_s * 1000)
            self._paused_until_ms[route.id] = wanted_ms
            due_ms = None if due_ms is None else max(due_ms, wanted_ms)
        state = "delivered" if answer.delivered else "given up" if due_ms is None else "pending"
        if not answer.delivered:
            _log(f"{message.type} {message.id} on {route.id!r}: {answer.status}, {state}")
        with self._lock:
            self._unrecorded_attempts.append((message.id, route.id, now_ms, answer.status, state, due_ms))
            with suppress(DeliveriesUnavailable, DeliveriesDamaged):  # the next step meets and reports it
                self._store_attempts()
        if answer.is_gone:
            try:
                routes.mark_gone(self._home, route, f"its receiver said that it is gone ({answer.status})")
            except (TallyError, OSError) as error:
                _log(f"the route {route.id!r} is not marked as gone: {error}")

    def _store_attempts(self) -> None:
        while self._unrecorded_attempts:
            id, route, now_ms, answer, state, due_ms = self._unrecorded_attempts[0]
            self._deliveries.record_attempt(id, route, now_ms, answer, state=state, due_ms=due_ms)
            del self._unrecorded_attempts[0]


def _log(line: str) -> None:
    """Write a line to the service's log. A full disk does not end the service: `tally status` shows the trouble too."""
    with suppress(OSError):
        print(line, flush=True)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
