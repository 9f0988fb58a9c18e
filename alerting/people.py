"""The people behind a team: its owner and who is on call, as the registry has them (docs/rules.md, R17)."""

import json
from typing import Any

from alerting.delivery_store import Deliveries
from tallystick.vocabulary.controls.scopes import ScopeAssigned, ScopeDeclared, ScopeEnded

TYPES = {ScopeDeclared.control_type: "scope", ScopeEnded.control_type: "scope", ScopeAssigned.control_type: "owner"}
MARKERS = tuple(f'"{control_type}"'.encode() for control_type in TYPES)
"""Bytes of a record that says something of scopes: most records say nothing, and need not be parsed."""
MAX_PATH_LENGTH = 64


def store_statement(line: dict[str, Any], deliveries: Deliveries) -> None:
    """Store what a decision says of a team, or of who owns an agent; nothing where it says neither."""
    control_type = line.get("control_type", "")
    if line.get("decision") != "control.applied" or control_type not in TYPES:
        return
    body = json.loads(line["body"])
    if body["dimension"] not in ("team", "agent"):
        return
    subject = json.dumps([TYPES[control_type], body["dimension"], body["scope"]])
    said = {} if control_type == ScopeEnded.control_type else body
    cause = (line["offset"], line["seq"])
    deliveries.put_statement(line["organization"], subject, cause, line["effective_us"], json.dumps(said))


def find_teams(data: dict[str, Any], organization: str, deliveries: Deliveries, now_us: int) -> list[str]:
    """Return the team of a message and those above it, the nearest first: the team that its calls name, else the one to
    which their agent is assigned, or the team that a budget limits."""
    team = data.get("team") or (data.get("scope") if data.get("dimension") == "team" else None)
    if team is None and "agent" in data:
        subject = json.dumps(["owner", "agent", data["agent"]])
        team = deliveries.find_statement(organization, subject, now_us).get("team")
    path: list[str] = []
    while team is not None and team not in path and len(path) < MAX_PATH_LENGTH:
        path.append(team)
        team = _find_team(team, organization, deliveries, now_us).get("parent")
    return path


def find_person(field: str, teams: list[str], organization: str, deliveries: Deliveries, now_us: int) -> str | None:
    """Return the pseudonym of who is ``owner`` or ``on_call``, of the nearest team that has one."""
    people = (_find_team(team, organization, deliveries, now_us).get(field) for team in teams)
    return next((person for person in people if person), None)


def _find_team(team: str, organization: str, deliveries: Deliveries, now_us: int) -> dict[str, Any]:
    return deliveries.find_statement(organization, json.dumps(["scope", "team", team]), now_us)
