"""The folds on the labelled traces of agent-vitals: counters of an agent's steps, read as calls.

``python -m benchmarks.runaways.vitals FOLDER``. The traces have no tools and no hashes: each step counts what an agent
found and failed at so far. A step is read as a call of one tool, of which nothing says what it was asked: its result is
that of the step before where nothing was found since, it failed where the errors rose, and its tokens are those since
then. Steps lie ten seconds apart, which is a schedule (R20): so they are read twice, as they lie, and 2 to 20 seconds
apart by chance, as calls of agents lie. Printed is for each scenario how many traces an alert was raised for, how many
after the first step that is labelled, and all.
"""

import json
import random
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.runaways.session import Session, Step
from benchmarks.runaways.watchers import TrafficStep, run_folds

Label = dict[str, Any]


def main(folder: str) -> None:
    labels: dict[str, Label] = json.loads(Path(folder, "labels.json").read_text())
    by_mission = {label["mission_id"]: label for label in labels.values()}
    sessions = {path.stem: read_trace(path) for path in sorted(Path(folder, "traces").glob("*.jsonl"))}
    for title, is_drawn in (("every ten seconds", False), ("2 to 20 seconds apart", True)):
        pages = run_folds(list(_list_traffic(sessions, is_drawn)))
        print(f"{title}: alerts, those after the first labelled step, traces")
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        for mission in sessions:
            label, count = by_mission[mission], counts[by_mission[mission]["workflow"]]
            onset = find_onset(label)
            count["all"] += 1
            count["alerts"] += mission in pages
            count["after"] += onset is not None and pages.get(mission, -1) >= onset
        for scenario, count in sorted(counts.items()):
            print(f"  {scenario:24} {count['alerts']:3} {count['after']:3} {count['all']:3}")


def find_onset(label: Label) -> int | None:
    """Return the first step that has a label; None of a healthy trace."""
    steps = [value for name, value in label.items() if name.endswith("_from_loop") and value is not None]
    return min(steps, default=None)


def read_trace(path: Path) -> Session:
    """Read a trace as a session of calls."""
    former: dict[str, Any] = {}
    steps = []
    for number, line in enumerate(path.read_text().splitlines()):
        signals = json.loads(line)["signals"]
        more = {name: value - former.get(name, 0) for name, value in signals.items() if isinstance(value, int)}
        tokens = {"input": max(0, more["prompt_tokens"]), "output": max(0, more["completion_tokens"])}
        tool = {"tool": "research", "tool_result_hash": f"findings-{signals['findings_count']}"}
        failure = {"status": "error", "error_code": "failed"} if more["error_count"] > 0 else {"status": "ok"}
        steps.append(Step(10.0 * number, {"agent": path.stem, "tokens": tokens, **tool, **failure}))
        former = signals
    return Session(steps)


def _list_traffic(sessions: dict[str, Session], is_drawn: bool) -> Iterator[TrafficStep]:
    draw, begin_s = random.Random(1), 0.0
    for name, session in sessions.items():
        at_s = begin_s
        for place, step in enumerate(session.steps):
            at_s += (draw.uniform(2, 20) if is_drawn else 10.0) if place else 0.0
            yield TrafficStep(at_s, name, place, step)
        begin_s = at_s + 3_600


if __name__ == "__main__":
    main(sys.argv[1])
