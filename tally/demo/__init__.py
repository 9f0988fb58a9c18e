"""The demo organization: a month of history, then live events."""

import json
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from heapq import heappop, heappush
from itertools import chain, cycle
from pathlib import Path
from random import Random
from threading import Event as Signal
from typing import Any

from ingest.controls.append import append_control
from ingest.controls.budgets import set_budget
from ingest.controls.prices import adopt_price_book
from ingest.controls.registry.records import apply_file
from ingest.intake.batch import Batch, Envelope
from ingest.intake.intake import FACT_KINDS, REQUEST_KINDS, Intake, encode, open_intake
from ingest.intake.rejection import Rejection
from ledger.home.files import read_json, write_atomically
from ledger.home.layout import DEMO
from ledger.log import Log
from ledger.pricing.price_book_file import parse_book
from ledger.settings import Settings
from tally.demo import history
from tally.demo.calls import Event, make_session
from tally.demo.organization import BUDGETS, LATE_PRICE, LATE_PRICE_DAYS, NAME, WORKLOADS
from tally.demo.outcomes import make_outcomes
from tally.demo.rights import ASK_INTERVAL_S, list_grants, make_asks, set_times

MONTH = timedelta(days=30)
REGISTRY = Path(__file__).with_name("registry.yaml")
SESSION_INTERVAL_S = 1.1
"""Mean time between the beginnings of two live sessions."""
AGENT_INTERVAL_S, MISHAP_INTERVAL_S = 90, 60
"""Interval between live agents (every other one gets stuck), and between faulty events."""

Progress = Callable[[int, int], None]


def choose_organization(settings: Settings) -> str:
    """Return the demo's own organization, unless the settings name one."""
    return settings.organization if "organization" in settings.model_fields_set else NAME


def fill(log: Log, settings: Settings, progress: Progress = lambda count, total: None) -> None:
    """Append the history that is missing: a month at first, later what lies between the last run and now."""
    organization = choose_organization(settings)
    path = DEMO.path(settings.home)
    now = datetime.now(UTC)
    state = read_json(settings.home, DEMO, _parse_state)
    if state is None:
        state = {"end": now.date().isoformat(), "until": (now - MONTH).isoformat()}
        for dimension, scope, limit, window_s in BUDGETS:
            value = organization if dimension == "organization" else scope
            set_budget(
                log, settings, organization, dimension, value, Decimal(limit), "USD", window_s, "the demo's plan"
            )
        for control_type, body in list_grants(organization):
            append_control(log, settings, control_type, body, organization=organization, reason="the demo's plan")
        apply_file(log, settings, REGISTRY, organization, "the demo's plan")
    end, until = date.fromisoformat(state["end"]), datetime.fromisoformat(state["until"])
    missing_days = history.list_days(until.date(), now.date())
    intake = open_intake(settings.home, organization)
    batch = Batch(log, Envelope(organization, "demo", "demo"), intake.key)
    for count, day in enumerate(missing_days):
        if day == end - timedelta(days=LATE_PRICE_DAYS):
            adopt_price_book(log, settings, parse_book(LATE_PRICE, "the demo"), "a price that was learned late")
        events = history.make_day(day, end)
        append(
            batch,
            intake,
            (
                event
                for event in chain(events, make_outcomes(events))
                if until < datetime.fromisoformat(event["time"]) <= now
            ),
        )
        day_end = min(datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1), now)
        write_atomically(path, json.dumps(state | {"until": day_end.isoformat()}))
        progress(count + 1, len(missing_days))


def _parse_state(content: Any) -> dict[str, str]:
    """Check the stored position of the history. Raises where the file holds something else."""
    date.fromisoformat(content["end"])
    datetime.fromisoformat(content["until"])
    return dict(content)


def append(batch: Batch, intake: Intake, events: Iterable[Event]) -> None:
    """Pass events through the intake, and append them with the rejected ones."""
    for event in events:
        try:
            line, refused = intake.accept_event(event).line, None
        except Rejection as error:
            line, refused = b"", error
        if not batch.has_room_for(line):
            batch.append()
        if refused is None:
            batch.add(line)
        else:
            raw = encode(event)
            batch.refuse(refused, raw, len(raw))
    batch.append()


def feed(log: Log, settings: Settings, stop: Signal) -> None:
    """Append live events, each at its time, until ``stop``. Each run is a source of its own."""
    organization = choose_organization(settings)
    intake = open_intake(settings.home, organization, (*FACT_KINDS, *REQUEST_KINDS))
    batch = Batch(log, Envelope(organization, "demo", "demo"), intake.key)
    chance = Random()
    incarnation = uuid.uuid4().hex[:8]
    source = f"demo-live-{incarnation}"
    waiting: list[tuple[str, int, Event]] = []
    next_session_at, next_agent_at, next_mishap_at, number = 0.0, time.monotonic(), time.monotonic() + 10, 0
    next_ask_at, asks = time.monotonic(), make_asks(incarnation)
    stuck = False
    mishaps: Iterator[Callable[[Event], Event]] = cycle((_shift_ahead, lambda event: event, _break))
    while not stop.wait(0.4):
        clock = time.monotonic()
        while next_session_at <= clock:
            next_session_at = max(next_session_at, clock - 1) + chance.expovariate(1 / SESSION_INTERVAL_S)
            is_agent = next_agent_at <= clock
            if is_agent:
                next_agent_at, stuck = clock + AGENT_INTERVAL_S, not stuck
            workloads = [workload for workload in WORKLOADS if (workload.kind == "agent") == is_agent]
            (workload,) = chance.choices(workloads, [workload.sessions for workload in workloads])
            begin = datetime.now(UTC)
            calls = make_session(workload, f"{incarnation}-{number}", source, begin, chance, stuck=is_agent and stuck)
            for event in chain(calls, make_outcomes(calls)):
                number += 1
                heappush(waiting, (event["time"], number, event))
            number += 1
        if next_ask_at <= clock:
            next_ask_at = clock + ASK_INTERVAL_S
            for event in set_times(next(asks), datetime.now(UTC)):
                number += 1
                heappush(waiting, (event["time"], number, event))
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        due_events = [heappop(waiting)[2] for _ in range(len(waiting)) if waiting[0][0] <= now]
        if due_events and next_mishap_at <= clock:
            next_mishap_at = clock + MISHAP_INTERVAL_S
            due_events.append(next(mishaps)(due_events[-1]))
        append(batch, intake, due_events)


def _shift_ahead(event: Event) -> Event:
    """Copy an event as from a clock that is two hours ahead."""
    time = (datetime.fromisoformat(event["time"]) + timedelta(hours=2)).isoformat(timespec="milliseconds")
    return event | {"id": event["id"] + "-ahead", "time": time}


def _break(event: Event) -> Event:
    return event | {"id": event["id"] + "-broken", "data": event["data"] | {"latency_ms": -1}}
