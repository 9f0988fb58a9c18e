"""Compare the registry with the file that declares it: what is to be added, changed and ended. Pure."""

from collections.abc import Iterable
from datetime import datetime
from typing import Literal, NamedTuple

from ingest.controls.registry.declaration import Item
from ingest.controls.registry.families import SCOPE, State, Subject
from ingest.controls.registry.history import (
    Registry,
    Step,
    Timeline,
    find_difference,
    find_state,
    supersede,
)

Action = Literal["add", "change", "end"]
MAX_LEVELS = 64
"""Levels of a tree of scopes; docs/rules.md, R17."""


class Change(NamedTuple):
    """A record to append: what holds of a subject from a time on, and what held then before."""

    subject: Subject
    effective_at: datetime
    before: State | None
    after: State | None

    @property
    def action(self) -> Action:
        """Name the change."""
        if self.after is None:
            return "end"
        return "add" if self.before is None else "change"


def plan_changes(registry: Registry, items: Iterable[Item], now: datetime) -> list[Change]:
    """Plan the records that make the registry what the items say. What they do not name ends now. TallyError where a
    scope would be part of itself at some time."""
    declared = {item.subject: item for item in items}
    changes: list[Change] = []
    for subject, item in declared.items():
        changes += _compare(subject, registry.get(subject, ()), item.list_steps(now))
    for subject, timeline in registry.items():
        if subject not in declared:
            changes += _compare(subject, timeline, (Step(now, None),))
    _check_trees(registry, changes, declared)
    return changes


def _compare(subject: Subject, timeline: Timeline, target: Timeline) -> list[Change]:
    changes: list[Change] = []
    for step in find_difference(timeline, target):
        before = find_state(timeline, step.effective_at)
        changes.append(Change(subject, step.effective_at, before, step.state))
        timeline = supersede(timeline, step)
    return changes


def _check_trees(registry: Registry, changes: list[Change], declared: dict[Subject, Item]) -> None:
    """Check that no scope is part of itself, and no tree too deep, from the first change on."""
    timelines = {subject: timeline for subject, timeline in registry.items() if subject.family == SCOPE.name}
    moments: set[datetime] = set()
    for change in changes:
        if change.subject.family == SCOPE.name:
            step = Step(change.effective_at, change.after)
            timelines[change.subject] = supersede(timelines.get(change.subject, ()), step)
            moments.add(change.effective_at)
    if not moments:
        return
    start = min(moments)
    moments |= {step.effective_at for timeline in timelines.values() for step in timeline if step.effective_at > start}
    for moment in sorted(moments):
        _check_tree(timelines, moment, declared)


def _check_tree(timelines: Registry, moment: datetime, declared: dict[Subject, Item]) -> None:
    parents: dict[tuple[str, ...], tuple[str, ...]] = {}
    for subject, timeline in timelines.items():
        state = find_state(timeline, moment)
        if state is not None and "parent" in state:
            parents[subject.names] = (subject.names[0], state["parent"])
    levels: dict[tuple[str, ...], int] = {}
    for names in parents:
        path = [names]
        while path[-1] not in levels and (parent := parents.get(path[-1])) is not None:
            if parent in path:
                _refuse_circle([*path[path.index(parent) :], parent], moment, declared)
                break
            path.append(parent)
        level = levels.setdefault(path[-1], 1)
        for child in reversed(path[:-1]):
            level += 1
            levels[child] = level
            if level > MAX_LEVELS and (item := declared.get(Subject(SCOPE.name, child))) is not None:
                raise item.place.make_error(
                    f"is on level {level} of its tree, and {MAX_LEVELS} is the last: declare fewer"
                )


def _refuse_circle(path: list[tuple[str, ...]], moment: datetime, declared: dict[Subject, Item]) -> None:
    """Raise TallyError of a circle; nothing where the file declares none of its scopes, as those end."""
    for names in path:
        if (item := declared.get(Subject(SCOPE.name, names))) is not None:
            raise item.place.make_error(
                f"would be part of itself from {moment.isoformat()} on ({' -> '.join(name for _, name in path)}): "
                "take out one of these parents, or let them change at one time (`from`)"
            )
