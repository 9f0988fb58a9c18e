"""Read the file that declares the registry: teams, what they own, agreements and exchange rates. Pure."""

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from ingest.controls.registry.families import AGREEMENT, ASSIGNMENT, EXCHANGE_RATE, SCOPE, State, Subject
from ingest.controls.registry.history import Step, Timeline, supersede
from ingest.controls.registry.yaml_nodes import Place, parse_yaml
from ingest.intake.rejection import Rejection
from tallystick.vocabulary.base import EARLIEST, LATEST

ORGANIZATION = "organization"
TEAMS = "teams"
SCOPES = {TEAMS: "team", "projects": "project", "features": "feature", "services": "service"}
"""The sections of scopes, and the dimension of each."""
OWNED = {"keys": "key", "accounts": "provider_account", "agents": "agent"}
"""The sections of what a team can only own. It can own projects, features and services too."""
AGREEMENTS, EXCHANGE_RATES = "agreements", "exchange_rates"
SECTIONS = (ORGANIZATION, *SCOPES, *OWNED, AGREEMENTS, EXCHANGE_RATES)
GRANTS = "grants"
"""The section beside the registry: rights to make calls. A file without it leaves them as they are."""
ALL_SECTIONS = (*SECTIONS, GRANTS)

_PEOPLE = ("owner", "sponsor", "on_call", "cost_center", "head_count")
_TIMES = ("from", "until")
_FIELDS: dict[str, tuple[str, ...]] = {
    ORGANIZATION: _PEOPLE,
    TEAMS: ("parent", *_PEOPLE),
    **dict.fromkeys(("projects", "features", "services"), ("team", "parent", *_PEOPLE)),
    **dict.fromkeys(OWNED, ("team",)),
    AGREEMENTS: ("provider", "regions", "data_classes"),
    EXCHANGE_RATES: ("rate",),
}
_SHORT = {**dict.fromkeys(OWNED, "team"), EXCHANGE_RATES: "rate"}
"""The field that stands alone where an item is no mapping."""
_LISTS = ("regions", "data_classes")
_PAIR = re.compile(r"([A-Z]{3})/([A-Z]{3})")

Seal = Callable[[Subject, State], tuple[Subject, State]]
"""Bring a statement into its form on the log: a pseudonym for a person, a fingerprint for a key. Raises Rejection."""


class Version(NamedTuple):
    """An item of the file from a time on (None: from the time of the apply), until another."""

    place: Place
    start: datetime | None
    end: datetime | None
    fields: Mapping[str, Place]


class Item(NamedTuple):
    """A subject that the file declares: its place, and its versions as they stand on the log."""

    subject: Subject
    place: Place
    steps: tuple[tuple[datetime | None, State | None], ...]
    """The time of each version, None for the time of the apply; the state is None where the subject ends."""

    def list_steps(self, now: datetime) -> Timeline:
        """Return the steps, of which those without a time begin now."""
        timeline: Timeline = ()
        for start, state in self.steps:
            timeline = supersede(timeline, Step(start or now, state))
        return timeline


def read_sections(text: str, file: str) -> dict[str, Place]:
    """Read the sections of a file. TallyError where one is unknown."""
    sections: dict[str, Place] = {}
    for name, place in parse_yaml(text, file).list_fields():
        if name not in ALL_SECTIONS:
            raise place.make_error(f"is no section: {suggest(name, ALL_SECTIONS)}")
        sections[name] = place
    return sections


def has_registry(sections: Mapping[str, Place]) -> bool:
    """Tell whether a file with these sections declares the registry. One with only grants leaves it as it is."""
    return not sections or any(name in SECTIONS for name in sections)


def read_declaration(text: str, file: str, organization: str, seal: Seal) -> list[Item]:
    """Read the registry of a file. TallyError names file, line, path and value of what is wrong, and the way out."""
    sections = read_sections(text, file)
    items: dict[Subject, Item] = {}
    for section in SECTIONS:
        if section in sections:
            for item in _read_section(section, sections[section], organization, seal):
                if item.subject in items:
                    former = items[item.subject].place
                    raise item.place.make_error(
                        f"is the same as {'.'.join(former.path)} on line {former.line}: declare it once"
                    )
                items[item.subject] = item
    _check_names(items)
    return list(items.values())


def _read_section(section: str, place: Place, organization: str, seal: Seal) -> Iterator[Item]:
    if section == ORGANIZATION:
        versions = list(_read_versions(section, place))
        yield _make_item(Subject(SCOPE.name, (ORGANIZATION, organization)), place, versions, _FIELDS[section], seal)
        return
    for name, item in place.list_fields():
        versions = list(_read_versions(section, item))
        yield from _read_item(section, name, item, versions, seal)


def _read_item(section: str, name: str, place: Place, versions: list[Version], seal: Seal) -> Iterator[Item]:
    fields = _FIELDS[section]
    if section == AGREEMENTS:
        yield _make_item(Subject(AGREEMENT.name, (name,)), place, versions, fields, seal)
    elif section == EXCHANGE_RATES:
        pair = _PAIR.fullmatch(name)
        if pair is None or pair[1] == pair[2]:
            raise place.make_error("is no pair of currencies: write two different codes of ISO 4217, such as EUR/USD")
        _check_field(versions, "rate", "a rate, such as 1.08")
        yield _make_item(Subject(EXCHANGE_RATE.name, (pair[1], pair[2])), place, versions, fields, seal)
    elif section in OWNED:
        _check_field(versions, "team", "the team that owns it")
        yield _make_item(Subject(ASSIGNMENT.name, (OWNED[section], name)), place, versions, fields, seal)
    else:
        yield from _read_scope(section, name, place, versions, seal)


def _read_scope(section: str, name: str, place: Place, versions: list[Version], seal: Seal) -> Iterator[Item]:
    """Read a scope, and the team that owns it where a version names one."""
    names = (SCOPES[section], name)
    fields = tuple(field for field in _FIELDS[section] if field != "team")
    yield _make_item(Subject(SCOPE.name, names), place, versions, fields, seal)
    if any("team" in version.fields for version in versions):
        yield _make_item(Subject(ASSIGNMENT.name, names), place, versions, ("team",), seal)


def _make_item(subject: Subject, place: Place, versions: list[Version], fields: tuple[str, ...], seal: Seal) -> Item:
    """Make the item of a subject, of these fields alone."""
    steps: list[tuple[datetime | None, State | None]] = []
    sealed = subject
    for version in versions:
        state: State | None = {field: _read_value(field, value) for field, value in version.fields.items()
                               if field in fields}  # fmt: skip
        if subject.family == ASSIGNMENT.name and not state:
            state = None
        else:
            sealed, state = _seal_state(subject, state or {}, version, seal)
        steps.append((version.start, state))
        if version.end is not None:
            steps.append((version.end, None))
    return Item(sealed, place, tuple(steps))


def _seal_state(subject: Subject, state: State, version: Version, seal: Seal) -> tuple[Subject, State]:
    try:
        return seal(subject, state)
    except Rejection as refused:
        field = refused.field.removeprefix("data.body.").split(".")[0]
        place = version.fields.get(field, version.place)
        value = f"is {place.value}: " if field in version.fields else f"{field}: "
        raise place.make_error(value + refused.reason) from None


def _read_value(field: str, place: Place) -> Any:
    if field in _LISTS:
        return [item.read_text() for item in place.list_items()]
    text = place.read_text()
    return int(text) if field == "head_count" and re.fullmatch(r"[0-9]{1,12}", text) else text


def _read_versions(section: str, place: Place) -> Iterator[Version]:
    """Yield the versions of an item: one, or a list of which each says from when it holds."""
    former: Version | None = None
    for item in place.list_items():
        version = _read_version(section, item)
        if former is not None:
            _check_order(former, version)
        yield version
        former = version
    if former is None:
        raise place.make_error("is an empty list: write the item, or take it out of the file to end it")


def _read_version(section: str, place: Place) -> Version:
    short = _SHORT.get(section)
    if not place.is_mapping and not place.is_absent:
        if short is None:
            raise place.make_error(f"is {place.value}, and must be a mapping of {', '.join(_FIELDS[section])}")
        return Version(place, None, None, {short: place})
    names = (*_FIELDS[section], *_TIMES)
    fields: dict[str, Place] = {}
    for name, value in place.list_fields():
        if name not in names:
            raise value.make_error(f"is no field of {section}: {suggest(name, names)}")
        if not value.is_absent:
            fields[name] = value
    start, end = (_read_time(fields.pop(name)) if name in fields else None for name in _TIMES)
    if start is not None and end is not None and end <= start:
        raise place.make_error(
            f"ends at {end.isoformat()}, and begins at {start.isoformat()}: `until` comes after `from`"
        )
    return Version(place, start, end, fields)


def _check_order(former: Version, version: Version) -> None:
    if version.start is None:
        raise version.place.make_error("has no `from`: each version but the first says from when it holds")
    earliest = former.end or former.start
    if earliest is not None and (version.start < earliest or version.start == former.start):
        raise version.place.make_error(
            f"begins at {version.start.isoformat()}, and the version before it reaches to {earliest.isoformat()}: "
            "write versions in the order of their times"
        )


def _read_time(place: Place) -> datetime:
    text = place.read_text()
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise place.make_error(f"is {text!r}: write a day or a time, for example 2026-10-01") from None
    moment = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    if not EARLIEST <= moment < LATEST:
        raise place.make_error(f"is {text!r}: write a day from {EARLIEST.year} to {LATEST.year - 1}")
    return moment


def _check_field(versions: Iterable[Version], field: str, meaning: str) -> None:
    for version in versions:
        if field not in version.fields:
            raise version.place.make_error(f"has no {field}: write {meaning}, or take it out of the file to end it")


def _check_names(items: Mapping[Subject, Item]) -> None:
    """Check that every parent and team is declared."""
    declared: dict[str, list[str]] = {}
    for subject in items:
        if subject.family == SCOPE.name:
            declared.setdefault(subject.names[0], []).append(subject.names[1])
    for subject, item in items.items():
        for _, state in item.steps:
            for field in ("parent", "team"):
                name = (state or {}).get(field)
                dimension = subject.names[0] if field == "parent" else "team"
                if name is not None and name not in declared.get(dimension, ()):
                    raise item.place.make_error(
                        f"its {field} is {name!r}, and no {dimension} of that name is declared: "
                        f"{suggest(name, declared.get(dimension, ()))}, or declare it"
                    )


def suggest(name: str, names: Iterable[str]) -> str:
    """Suggest the name that is meant, else all that there are."""
    nearest = difflib.get_close_matches(name, names, 1)
    return f"did you mean {nearest[0]}?" if nearest else f"choose one of {', '.join(names) or 'none'}"
