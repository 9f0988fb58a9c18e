"""The registry as of two times: from when a statement holds, and from which record on it is known (docs/rules.md, R17).
Pure."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from ingest.controls.registry.families import State, Subject


class Step(NamedTuple):
    """What holds of a subject from a time on, until the next step; None where it is not there."""

    effective_at: datetime
    state: State | None


Timeline = tuple[Step, ...]
"""The steps of a subject in the order of their times, as known at one moment. Before the first it is not there."""
Registry = dict[Subject, Timeline]


def supersede(timeline: Timeline, step: Step) -> Timeline:
    """Return the timeline after one more record: it holds from its effective time on, whatever was known before."""
    return (*(earlier for earlier in timeline if earlier.effective_at < step.effective_at), step)


def build_registry(statements: Iterable[tuple[Subject, Step]]) -> Registry:
    """Build the registry that records make, in the order in which they stand on the log."""
    registry: Registry = {}
    for subject, step in statements:
        registry[subject] = supersede(registry.get(subject, ()), step)
    return registry


def find_state(timeline: Timeline, moment: datetime) -> State | None:
    """Return what holds of a subject at a moment; None where it is not there."""
    state = None
    for step in timeline:
        if step.effective_at > moment:
            break
        state = step.state
    return state


def cut_timeline(timeline: Timeline, start: datetime) -> Timeline:
    """Return the steps that hold from a moment on, the first one at that moment, without steps that change nothing."""
    steps = [Step(start, find_state(timeline, start))]
    for step in timeline:
        if step.effective_at > start and step.state != steps[-1].state:
            steps.append(step)
    return tuple(steps)


def find_difference(timeline: Timeline, target: Timeline) -> Timeline:
    """Return the steps to record so that a timeline becomes the target from the target's first step on; none where it
    is so already."""
    start = target[0].effective_at
    former, wanted = cut_timeline(timeline, start), cut_timeline(target, start)
    moments = sorted({step.effective_at for step in (*former, *wanted)})
    for moment in moments:
        if find_state(former, moment) != find_state(wanted, moment):
            return cut_timeline(wanted, moment)
    return ()
