"""Write the file that would make a registry. Pure."""

from collections.abc import Mapping
from datetime import date, datetime, time
from typing import Any

import yaml

from ingest.controls.registry.declaration import AGREEMENTS, EXCHANGE_RATES, ORGANIZATION, OWNED, SCOPES, SECTIONS
from ingest.controls.registry.families import AGREEMENT, ASSIGNMENT, PERSON_FIELDS, SCOPE, Subject
from ingest.controls.registry.history import Registry, Timeline, find_state

_BY_DIMENSION = {dimension: section for section, dimension in (*SCOPES.items(), *OWNED.items())}
Sections = dict[str, Any]


def build_sections(registry: Registry, now: datetime, names: Mapping[str, str]) -> Sections:
    """Build the sections of the file that would make a registry what it is now, and what it is known to become. Persons
    have their names where ``names`` has them for their pseudonyms."""
    timelines: dict[tuple[str, str], list[Timeline]] = {}
    for subject, timeline in registry.items():
        timelines.setdefault(_find_place(subject), []).append(timeline)
    sections: Sections = {}
    for (section, name), merged in sorted(timelines.items(), key=lambda place: (SECTIONS.index(place[0][0]), place[0])):
        versions = _list_versions(merged, now, names)
        if not versions:
            continue
        item = versions[0] if len(versions) == 1 else versions
        if section == ORGANIZATION:
            sections[section] = item
        else:
            sections.setdefault(section, {})[name] = item
    return sections


def write_yaml(sections: Sections) -> str:
    """Write the sections as YAML."""
    return yaml.safe_dump(sections, sort_keys=False, allow_unicode=True, width=120) if sections else ""


def _find_place(subject: Subject) -> tuple[str, str]:
    """Return the section and the name of a subject. A scope and its assignment have one place."""
    if subject.family in (SCOPE.name, ASSIGNMENT.name):
        dimension, name = subject.names
        return (ORGANIZATION, "") if dimension == ORGANIZATION else (_BY_DIMENSION[dimension], name)
    if subject.family == AGREEMENT.name:
        return AGREEMENTS, subject.names[0]
    return EXCHANGE_RATES, "/".join(subject.names)


def _list_versions(timelines: list[Timeline], now: datetime, names: Mapping[str, str]) -> list[dict[str, Any]]:
    """List the versions of an item from the one on that holds now: what its timelines say together at each time."""
    moments = sorted({moment for timeline in timelines for moment in _list_moments(timeline, now)})
    versions: list[dict[str, Any]] = []
    is_open = False
    for moment in moments:
        states = [state for timeline in timelines if (state := find_state(timeline, moment)) is not None]
        if states:
            fields = {name: value for state in states for name, value in state.items()}
            persons = {name: names.get(fields[name], fields[name]) for name in PERSON_FIELDS if name in fields}
            versions.append({**fields, **persons, "from": _write_time(moment)})
        elif is_open:
            versions[-1]["until"] = _write_time(moment)
        is_open = bool(states)
    return versions


def _list_moments(timeline: Timeline, now: datetime) -> list[datetime]:
    """List the times at which a timeline changes, from the last one before now on."""
    changes: list[datetime] = []
    former = None
    for step in timeline:
        if step.state != former:
            changes.append(step.effective_at)
            former = step.state
    past = [moment for moment in changes if moment <= now]
    return [*past[-1:], *(moment for moment in changes if moment > now)]


def _write_time(moment: datetime) -> date | datetime:
    return moment.date() if moment.timetz().replace(tzinfo=None) == time() else moment
