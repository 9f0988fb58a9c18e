"""Lines of the derived topics: what is stored of each, to be delivered."""

import heapq
import json
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgspec

from alerting import incidents, people
from alerting.delivery_store import Cause, Deliveries
from alerting.messages import OPENING, RESOLVED, Message, read_handling, read_message
from alerting.routes import Route
from ledger import fault_points
from ledger.log import Log, records, seek_cause
from ledger.log.topics import ALERTS, DECISIONS, Topic
from tallystick.vocabulary.controls.alerts import AlertAcknowledged, AlertResolved, AlertSilenced

MAX_BATCH_LINES = 500
"""Lines whose messages are stored together."""
PEOPLE_POSITION = "people"
"""The name of the position up to which the registry is read: from the beginning of the topic, unlike messages."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SILENCE_SCOPES = ("alert", "team", "agent", "session", "detector")
_decode = msgspec.json.Decoder().decode


class Line(NamedTuple):
    """A line of a derived topic."""

    topic: Topic
    fields: dict[str, Any]


class Reader:
    """Reads lines for these routes, and stores the messages that follow from them."""

    def __init__(
        self, log: Log, deliveries: Deliveries, lock: AbstractContextManager[object], routes: Mapping[str, Route]
    ) -> None:
        self._log, self._deliveries, self._lock = log, deliveries, lock
        self._routes = routes
        self._organizations = {route.organization for route in routes.values()}

    def read_people(self, partition: int, end: int) -> None:
        """Read what the registry says since the last time."""
        with self._lock:
            after = self._deliveries.position(PEOPLE_POSITION, partition)
        start = seek_cause(self._log, DECISIONS, partition, after[0] + 1)
        position = after
        lines: list[dict[str, Any]] = []
        for record in records(self._log, DECISIONS, partition, start, end):
            position = (record.cause_offset, 0)
            if any(marker in record.value for marker in people.MARKERS):
                lines += map(_decode, record.value.split(b"\n"))
            if len(lines) >= MAX_BATCH_LINES:
                self._store_people(partition, position, lines)
                lines = []
        if position != after:
            self._store_people(partition, position, lines)

    def read(self, partition: int, ends: Mapping[Topic, int], now_ms: int) -> None:
        """Read the lines of a partition since the last time, up to these ends, in the order of their causes: what a
        person did about an alert comes before what the alert did next."""
        with self._lock:
            positions = {topic: self._deliveries.position(topic.name, partition) for topic in ends}
        streams = [self._list_lines(topic, partition, positions[topic], end) for topic, end in ends.items()]
        before, lines = dict(positions), list[Line]()
        for cause, line in heapq.merge(*streams, key=lambda item: item[0]):
            positions[line.topic] = cause
            if line.fields["organization"] in self._organizations:
                lines.append(line)
            if len(lines) >= MAX_BATCH_LINES:
                self._store(partition, positions, lines, now_ms)
                lines = []
        if positions != before:
            self._store(partition, positions, lines, now_ms)

    def _list_lines(self, topic: Topic, partition: int, after: Cause, end: int) -> Iterator[tuple[Cause, Line]]:
        """Yield the lines of a topic behind a position, each with its own."""
        start = seek_cause(self._log, topic, partition, after[0])
        for record in records(self._log, topic, partition, start, end):
            for fields in map(_decode, record.value.split(b"\n")):
                cause = fields["offset"], fields["seq"]
                if cause > after:
                    yield cause, Line(topic, fields)

    def _store_people(self, partition: int, position: Cause, lines: list[dict[str, Any]]) -> None:
        with self._lock, self._deliveries.taking(partition, {PEOPLE_POSITION: position}):
            for line in lines:
                people.store_statement(line, self._deliveries)

    def _store(self, partition: int, positions: Mapping[Topic, Cause], lines: list[Line], now_ms: int) -> None:
        named = {topic.name: position for topic, position in positions.items()}
        with self._lock, self._deliveries.taking(partition, named):
            for topic, fields in lines:
                message = read_message(topic, fields)
                if topic is ALERTS and message is not None:
                    self._take_alert(message, now_ms)
                elif message is not None:
                    chosen = incidents.plan_other(message, self._routes.values(), self._teams(message))
                    self._put_on(message, chosen, now_ms)
                elif fields.get("decision") == "control.applied":
                    self._take_handling(fields, now_ms)
        fault_points.point("alerts.taken")

    def _take_alert(self, message: Message, now_ms: int) -> None:
        organization, alert = message.organization, str(message.alert)
        before = self._deliveries.find_incident(organization, alert)
        incident = incidents.update_incident(before, message)
        self._deliveries.put_incident(organization, alert, incident, now_ms)
        if before is not None and before.is_resolved:
            return  # a person ended it
        if message.type == RESOLVED:
            self._follow_up(message, now_ms)
        elif incident.is_past and before is None:
            summary = self._deliveries.find_history(organization)
            self._deliveries.put_history(incidents.add_to_history(summary, message), now_ms)
        elif message.type in OPENING and not incident.is_past:
            told = self._deliveries.list_told_routes(organization, alert)
            routes = self._routes.values()
            for route, due_ms in incidents.plan_opening(message, incident, routes, self._teams(message), told, now_ms):
                self._deliveries.put(message, route, due_ms)

    def _take_handling(self, line: dict[str, Any], now_ms: int) -> None:
        """Store what a person did about alerts: a silence, or an answer to one alert, which its receivers learn."""
        organization, control = line["organization"], line.get("control_type")
        if control == AlertSilenced.control_type:
            body = json.loads(line["body"])
            scope = {name: body[name] for name in _SILENCE_SCOPES if name in body}
            until_us = (datetime.fromisoformat(body["until"]) - _EPOCH) // timedelta(microseconds=1)
            self._deliveries.put_silence(organization, scope, line["effective_us"], until_us)
            self._deliveries.make_silenced_due(organization, now_ms)
            return
        if control not in (AlertAcknowledged.control_type, AlertResolved.control_type):
            return
        alert = json.loads(line["body"])["alert"]
        incident = self._deliveries.find_incident(organization, alert)
        message = None if incident is None else read_handling(line, incident.data)
        if incident is None or message is None:
            return
        handled = {"is_resolved": True} if message.type == RESOLVED else {"is_acknowledged": True}
        self._deliveries.put_incident(organization, alert, msgspec.structs.replace(incident, **handled), now_ms)
        self._follow_up(message, now_ms)

    def _follow_up(self, message: Message, now_ms: int) -> None:
        """Store a message for the receivers that have one of its alert, and have what is held back judged again."""
        organization, alert = message.organization, str(message.alert)
        self._put_on(message, self._deliveries.list_told_routes(organization, alert), now_ms)
        self._deliveries.make_held_due(organization, alert, now_ms)

    def _put_on(self, message: Message, routes: list[str], now_ms: int) -> None:
        for route in routes:
            self._deliveries.put(message, route, now_ms)

    def _teams(self, message: Message) -> list[str]:
        return people.find_teams(message.data, message.organization, self._deliveries, message.time_ms * 1000)
