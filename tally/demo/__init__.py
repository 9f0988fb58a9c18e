"""The demo organization: a month of history, and then life."""

import json
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from heapq import heappop, heappush
from itertools import cycle
from random import Random
from threading import Event as Signal
from typing import Any

from ingest.controls.budgets import set_budget
from ingest.controls.prices import adopt_price_book
from ingest.intake.batch import Batch, Envelope
from ingest.intake.intake import Door, door, encode
from ingest.intake.rejection import Refused
from ledger.home.files import read_json, write_atomically
from ledger.home.layout import DEMO
from ledger.log import Log
from ledger.pricing.price_book_file import from_text
from ledger.settings import Settings
from tally.demo import history
from tally.demo.calls import Event, session
from tally.demo.organization import BUDGETS, LATE_PRICE, LATE_PRICE_DAYS, NAME, WORKLOADS

MONTH = timedelta(days=30)
BETWEEN_S = 1.1
"""Mean time between the beginnings of two live sessions."""
AGENT_S, MISHAP_S = 90, 60
"""How often a live agent begins (every other one gets stuck), and something else goes wrong."""

Progress = Callable[[int, int], None]


def organization(settings: Settings) -> str:
    """The demo's own, unless the settings name one."""
    return settings.organization if "organization" in settings.model_fields_set else NAME


def fill(log: Log, settings: Settings, progress: Progress = lambda done, total: None) -> None:
    """Append the history that is missing: a month at first, later what lies between the last run and now."""
    whose = organization(settings)
    path = DEMO.path(settings.home)
    now = datetime.now(UTC)
    state = read_json(settings.home, DEMO, _history)
    if state is None:
        state = {"end": now.date().isoformat(), "until": (now - MONTH).isoformat()}
        for dimension, scope, limit, window_s in BUDGETS:
            value = whose if dimension == "organization" else scope
            set_budget(log, settings, whose, dimension, value, Decimal(limit), "USD", window_s, "the demo's plan")
    end, until = date.fromisoformat(state["end"]), datetime.fromisoformat(state["until"])
    missing = history.days(until.date(), now.date())
    entrance = door(settings.home, whose)
    batch = Batch(log, Envelope(whose, "demo", "demo"), entrance.key)
    for done, on in enumerate(missing):
        if on == end - timedelta(days=LATE_PRICE_DAYS):
            adopt_price_book(log, settings, from_text(LATE_PRICE, "the demo"), "a price that was learnt late")
        append(
            batch, entrance, (one for one in history.day(on, end) if until < datetime.fromisoformat(one["time"]) <= now)
        )
        over = min(datetime(on.year, on.month, on.day, tzinfo=UTC) + timedelta(days=1), now)
        write_atomically(path, json.dumps(state | {"until": over.isoformat()}))
        progress(done + 1, len(missing))


def _history(content: Any) -> dict[str, str]:
    """How far the history is written. Raises where the file says something else."""
    date.fromisoformat(content["end"])
    datetime.fromisoformat(content["until"])
    return dict(content)


def append(batch: Batch, entrance: Door, events: Iterable[Event]) -> None:
    """Let events in, or refuse them, and append them."""
    for event in events:
        try:
            line, refused = entrance.enter_event(event).line, None
        except Refused as error:
            line, refused = b"", error
        if not batch.takes(line):
            batch.append()
        if refused is None:
            batch.add(line)
        else:
            raw = encode(event)
            batch.refuse(refused, raw, len(raw))
    batch.append()


def feed(log: Log, settings: Settings, stop: Signal) -> None:
    """Append live events, each when its time has come, until ``stop``. A run is a source of its own."""
    whose = organization(settings)
    entrance = door(settings.home, whose)
    batch = Batch(log, Envelope(whose, "demo", "demo"), entrance.key)
    chance = Random()
    incarnation = uuid.uuid4().hex[:8]
    source = f"demo-live-{incarnation}"
    waiting: list[tuple[str, int, Event]] = []
    began, agent, mishap, number = 0.0, time.monotonic(), time.monotonic() + 10, 0
    stuck = False
    mishaps: Iterator[Callable[[Event], Event]] = cycle((_ahead, lambda event: event, _broken))
    while not stop.wait(0.4):
        clock = time.monotonic()
        while began <= clock:
            began = max(began, clock - 1) + chance.expovariate(1 / BETWEEN_S)
            agents = agent <= clock
            if agents:
                agent, stuck = clock + AGENT_S, not stuck
            some = [work for work in WORKLOADS if (work.kind == "agent") == agents]
            (work,) = chance.choices(some, [one.sessions for one in some])
            begin = datetime.now(UTC)
            for event in session(work, f"{incarnation}-{number}", source, begin, chance, stuck=agents and stuck):
                number += 1
                heappush(waiting, (event["time"], number, event))
            number += 1
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        come = [heappop(waiting)[2] for _ in range(len(waiting)) if waiting[0][0] <= now]
        if come and mishap <= clock:
            mishap = clock + MISHAP_S
            come.append(next(mishaps)(come[-1]))
        append(batch, entrance, come)


def _ahead(event: Event) -> Event:
    """From a clock that is two hours ahead."""
    time = (datetime.fromisoformat(event["time"]) + timedelta(hours=2)).isoformat(timespec="milliseconds")
    return event | {"id": event["id"] + "-ahead", "time": time}


def _broken(event: Event) -> Event:
    return event | {"id": event["id"] + "-broken", "data": event["data"] | {"latency_ms": -1}}
