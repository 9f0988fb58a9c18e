"""Alerts as they stand: their last line, what people did about them, and who is behind their team."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec

from alerting.messages import RAISED, Message
from alerting.wording import describe, name_plainly
from ingest.controls.registry.families import ASSIGNMENT, SCOPE, Subject
from ingest.controls.registry.history import Registry, find_state
from ingest.controls.registry.records import read_registry
from ledger.errors import FileDamaged, TallyError
from ledger.home.persons import Persons
from ledger.home.presence import find_presence
from ledger.log import PARTITIONS, Log, partition_of, records
from ledger.log.topics import ALERTS, DECISIONS
from ledger.money import brief
from ledger.settings import Settings
from tallystick.vocabulary.controls.alerts import AlertAcknowledged, AlertLabeled, AlertResolved

_VERBS = {
    AlertAcknowledged.control_type: "acknowledged", AlertResolved.control_type: "resolved",
    AlertLabeled.control_type: "labeled",
}  # fmt: skip
_MARKERS = tuple(f'"{control_type}"'.encode() for control_type in _VERBS)
_MAX_PATH_LENGTH = 64
_decode = msgspec.json.Decoder().decode


@dataclass
class Step:
    """An act of a person on an alert. The person is a pseudonym until a name is found for it."""

    time: str
    action: str
    person: str | None
    reason: str | None

    def __str__(self) -> str:
        by = f" by {self.person}" if self.person else ""
        return f"{self.time} {self.action}{by}{f': {self.reason}' if self.reason else ''}"


@dataclass
class AlertState:
    """An alert: its last line as it stands on the log, its handling, and its people by name."""

    alert: str
    organization: str
    line: dict[str, Any]
    is_past: bool = False
    is_over: bool = False
    is_acknowledged: bool = False
    label: str | None = None
    handling: list["Step"] = field(default_factory=list)
    team: str | None = None
    owner: str | None = None
    on_call: str | None = None
    link: str | None = None

    @property
    def state(self) -> str:
        """The word for what it is: one that only an import found is history, and never was raised."""
        if self.is_past:
            return "history"
        return "over" if self.is_over else "acknowledged" if self.is_acknowledged else "raised"

    @property
    def severity(self) -> str:
        return str(self.line.get("severity", ""))

    @property
    def since(self) -> str:
        return _format_time(self.line["since_us"])

    @property
    def last(self) -> str:
        return _format_time(self.line["last_us"])

    @property
    def spent(self) -> str:
        return _format_sums(self.line["spent"])

    @property
    def per_hour(self) -> str:
        return " and ".join(f"{Decimal(rate):.2f} {name}" for name, rate in self.line.get("per_hour", {}).items())

    @property
    def sentence(self) -> str:
        message = Message(self.alert, self.organization, RAISED, 0, self.line)
        return describe(message, name_plainly).sentence

    def as_json(self) -> dict[str, Any]:
        facts = {name: self.line.get(name) for name in ("severity", "detector", "families", "session", "agent", "tool")}
        sums = {name: self.line.get(name) for name in ("spent", "per_hour", "projected")}
        return {
            "alert": self.alert, "organization": self.organization, "state": self.state, **facts, **sums,
            "since": self.since, "last": self.last, "team": self.team, "owner": self.owner, "on_call": self.on_call,
            "label": self.label, "handling": [*map(str, self.handling)], "link": self.link,
        }  # fmt: skip


def list_alerts(log: Log, settings: Settings, organization: str | None, every: bool, limit: int) -> list[AlertState]:
    """List active alerts, the one that costs most an hour first; with ``every`` all of them, the newest first."""
    alerts = [alert for alert in _read_alerts(log, organization).values() if every or alert.state in ACTIVE]
    newest = sorted(alerts, key=lambda alert: alert.line["since_us"], reverse=True)
    chosen = (newest if every else sorted(newest, key=_cost_per_hour, reverse=True))[:limit]
    _name_people(log, settings, chosen)
    return chosen


ACTIVE = ("raised", "acknowledged")


def find_alert(log: Log, settings: Settings, alert: str, organization: str | None) -> AlertState:
    """Find an alert by its id. TallyError where there is none."""
    found = [state for state in _read_alerts(log, organization).values() if state.alert == alert]
    if not found:
        whose = f" of {organization}" if organization else ""
        raise TallyError(f"no alert {alert!r}{whose}: `tally alerts list --all` shows their ids")
    _name_people(log, settings, found)
    return found[0]


def _read_alerts(log: Log, organization: str | None) -> dict[tuple[str, str], AlertState]:
    partitions = range(PARTITIONS) if organization is None else [partition_of(organization)]
    alerts: dict[tuple[str, str], AlertState] = {}
    for partition in partitions:
        for record in records(log, ALERTS, partition):
            for line in map(_decode, record.value.split(b"\n")):
                if organization in (None, line["organization"]):
                    _take_line(alerts, line)
        if alerts:
            for record in records(log, DECISIONS, partition):
                if any(marker in record.value for marker in _MARKERS):
                    for line in map(_decode, record.value.split(b"\n")):
                        _take_decision(alerts, line)
    return alerts


def _take_line(alerts: dict[tuple[str, str], AlertState], line: dict[str, Any]) -> None:
    key = line["organization"], line["alert"]
    is_end = line["state"] == "resolved"
    state = alerts.get(key)
    if state is None:
        state = alerts[key] = AlertState(line["alert"], line["organization"], line, is_past=bool(line.get("past")))
    state.line = line
    state.is_over = state.is_over or is_end
    state.is_past = state.is_past and (is_end or bool(line.get("past")))


def _take_decision(alerts: dict[tuple[str, str], AlertState], line: dict[str, Any]) -> None:
    verb = _VERBS.get(line.get("control_type", ""))
    if verb is None or line["decision"] != "control.applied":
        return
    body = _decode(line["body"])
    state = alerts.get((line["organization"], body["alert"]))
    if state is None:
        return
    state.is_over = state.is_over or verb == "resolved"
    state.is_acknowledged = state.is_acknowledged or verb == "acknowledged"
    state.label = body.get("label", state.label)
    action = f"{verb} {body['label']}" if "label" in body else verb
    state.handling.append(Step(_format_time(line["known_us"]), action, body.get("actor"), body.get("reason")))


def _name_people(log: Log, settings: Settings, alerts: Iterable[AlertState]) -> None:
    """Set the team of each alert, who owns it and who is on call, and the page that shows it."""
    registries: dict[str, Registry] = {}
    now = datetime.now(UTC)
    try:
        dashboards = (find_presence(settings.home, "dashboards") or {}).get("url")
    except FileDamaged:
        dashboards = None
    persons = Persons(settings.home)
    try:
        for state in alerts:
            if state.organization not in registries:
                registries[state.organization] = read_registry(log, state.organization)
            teams = _find_teams(state.line, registries[state.organization], now)
            state.team = teams[0][0] if teams else None
            people = {name: _find_person(name, teams) for name in ("owner", "on_call")}
            pseudonyms = [*people.values(), *(step.person for step in state.handling)]
            names = persons.find_names(state.organization, [person for person in pseudonyms if person])
            state.owner, state.on_call = (names.get(person or "", person) for person in people.values())
            for step in state.handling:
                step.person = names.get(step.person or "", step.person)
            state.link = f"{dashboards}/incidents?alert={state.alert}" if dashboards else None
    finally:
        persons.close()


def _find_teams(line: Mapping[str, Any], registry: Registry, now: datetime) -> list[tuple[str, Mapping[str, Any]]]:
    """Return the team of an alert and those above it, with what the registry says of each."""

    def find(family: str, dimension: str, scope: str) -> Mapping[str, Any]:
        return find_state(registry.get(Subject(family, (dimension, scope)), ()), now) or {}

    team = line.get("team") or (find(ASSIGNMENT.name, "agent", line["agent"]).get("team") if "agent" in line else None)
    teams: list[tuple[str, Mapping[str, Any]]] = []
    while team is not None and team not in dict(teams) and len(teams) < _MAX_PATH_LENGTH:
        teams.append((team, find(SCOPE.name, "team", team)))
        team = teams[-1][1].get("parent")
    return teams


def _find_person(name: str, teams: Iterable[tuple[str, Mapping[str, Any]]]) -> str | None:
    return next((said[name] for _, said in teams if said.get(name)), None)


def _cost_per_hour(alert: AlertState) -> float:
    return max(map(float, alert.line.get("per_hour", {}).values()), default=0.0)


def _format_sums(sums: Mapping[str, str]) -> str:
    return " and ".join(f"{brief(amount)} {currency}" for currency, amount in sums.items())


def _format_time(moment_us: int) -> str:
    return datetime.fromtimestamp(moment_us / 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S")
