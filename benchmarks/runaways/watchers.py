"""Watchers of sessions: the folds of the product, and the plain rules that people use in its place.

A watcher reads traffic in the order of time and returns, for each session that it would page for, the index of the call
at which it would.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from typing import NamedTuple

from benchmarks.harness.workload import ORGANIZATION, START, build_documents
from benchmarks.runaways.session import Step
from ledger.log import Record
from ledger.log.topics import ALERTS
from streams.replay import replay
from tallystick import Control, ControlEvent, Inference, InferenceEvent

MODEL = {"provider": "anthropic", "model": "claude-sonnet-4-5"}
MIN_REPEATS, MAX_STEPS = 3, 25


class TrafficStep(NamedTuple):
    """A call of the traffic: seconds from its beginning, its session, and its place there."""

    at_s: float
    session: str
    place: int
    step: Step


Pages = Mapping[str, int]
Watcher = Callable[[list[TrafficStep]], Pages]


def run_folds(traffic: list[TrafficStep], severities: frozenset[str] = frozenset({"warning", "page"})) -> Pages:
    """Fold the traffic as a log of a record a call; of alerts, take those of these severities."""
    pages: dict[str, int] = {}
    for topic, derived in replay(_build_records(traffic), build_documents()):
        if topic is not ALERTS:
            continue
        for line in derived.value.split(b"\n"):
            alert = json.loads(line)
            if alert["state"] != "resolved" and alert["severity"] in severities:
                # The record of an event has its place in the traffic, after the record of the prices.
                pages.setdefault(alert["session"], traffic[derived.cause_offset - 1].place)
    return pages


def run_folds_for_pages(traffic: list[TrafficStep]) -> Pages:
    """Fold the traffic, and take what somebody is called for at once."""
    return run_folds(traffic, frozenset({"page"}))


def count_repeats(traffic: list[TrafficStep]) -> Pages:
    """Page when a session uses the same tool with the same arguments three times in a row."""
    pages: dict[str, int] = {}
    runs: dict[str, tuple[object, int]] = {}
    for _, session, index, step in traffic:
        used = (step.fields.get("tool"), step.fields.get("tool_arguments_hash"))
        last, repeats = runs.get(session, (None, 0))
        repeats = repeats + 1 if used == last and used[0] is not None else 1
        runs[session] = used, repeats
        if repeats >= MIN_REPEATS:
            pages.setdefault(session, index)
    return pages


def count_steps(traffic: list[TrafficStep]) -> Pages:
    """Page at the 25th call of a session."""
    return {session: index for _, session, index, _ in traffic if index == MAX_STEPS - 1}


WATCHERS: Mapping[str, Watcher] = {
    "all alerts": run_folds,
    "pages alone": run_folds_for_pages,
    "three repeats": count_repeats,
    "25 steps": count_steps,
}


def build_event(moment: TrafficStep) -> InferenceEvent:
    fields = {"session": moment.session, "team": "agents", **MODEL, **moment.step.fields}
    id = fields.pop("id", f"{moment.session}-{moment.place}")
    time = START + timedelta(seconds=moment.at_s)
    return InferenceEvent(id=id, source="benchmark", time=time, data=Inference.model_validate(fields))


def _build_records(traffic: Iterable[TrafficStep]) -> Iterator[Record]:
    (digest,) = build_documents()
    body = {"name": "genai-prices", "document": digest}
    data = Control.model_validate({"control": "price_book.adopted", "body": body}, strict=False)
    yield _build_record(0, 0.0, ControlEvent(id="prices", source="benchmark", time=START, data=data).canonical())
    for offset, moment in enumerate(traffic, 1):
        yield _build_record(offset, moment.at_s, build_event(moment).canonical())


def _build_record(offset: int, at_s: float, line: bytes) -> Record:
    headers = {"organization": ORGANIZATION, "channel": "benchmark", "refused": "0"}
    time_ms = int((START.timestamp() + at_s) * 1000) + 1
    return Record(0, offset, time_ms, ORGANIZATION, headers, line)
