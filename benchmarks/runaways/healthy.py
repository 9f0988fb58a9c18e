"""Healthy sessions, a pattern a function: each looks like a runaway to some rule, and is none."""

import random
from collections.abc import Callable, Mapping

from benchmarks.runaways.session import Recorder, Session


def work_on(draw: random.Random) -> list[Session]:
    """A coding session, short or of hundreds of calls."""
    recorder = _begin(draw)
    recorder.work(min(400, int(draw.lognormvariate(3.3, 0.9)) + 3))
    return [recorder.finish()]


def poll(draw: random.Random) -> list[Session]:
    """A look at a job each minute, which answers the same until it is done."""
    recorder = _begin(draw)
    recorder.work(3)
    for _ in range(draw.randint(5, 40)):
        recorder.use_tool("job_status", "job", "running", seconds=60, growth=40)
    recorder.use_tool("job_status", "job", "done", seconds=60)
    recorder.work(3)
    return [recorder.finish()]


def process_list(draw: random.Random) -> list[Session]:
    """One tool for each row of a list: other arguments, other results."""
    recorder = _begin(draw)
    for _ in range(draw.randint(30, 200)):
        recorder.use_tool("classify", growth=0, seconds=draw.uniform(0.5, 2))
    return [recorder.finish()]


def process_list_alike(draw: random.Random) -> list[Session]:
    """One tool for each row of a list, which says yes or no."""
    recorder = _begin(draw)
    for _ in range(draw.randint(30, 200)):
        recorder.use_tool("is_spam", result=draw.choice(("yes", "no")), growth=0, seconds=draw.uniform(0.5, 2))
    return [recorder.finish()]


def fill_template(draw: random.Random) -> list[Session]:
    """A prompt for each row of a list, by a template: prompts that hardly differ."""
    recorder = _begin(draw)
    prompt = draw.getrandbits(64)
    for _ in range(draw.randint(20, 100)):
        near = prompt ^ (1 << draw.randrange(64)) ^ (1 << draw.randrange(64))
        recorder.call(growth=draw.randint(-50, 50), seconds=draw.uniform(0.5, 3), prompt_hash=f"{near:016x}")
    return [recorder.finish()]


def test_each_once(draw: random.Random) -> list[Session]:
    """Twelve agents of a session that each run the tests once."""
    recorder = _begin(draw)
    for number in range(12):
        recorder.use_tool("run", "tests", "passed", agent=f"{recorder.agent}-{number}", seconds=draw.uniform(1, 5))
    return [recorder.finish()]


def share_list(draw: random.Random) -> list[Session]:
    """An agent that gives each row of a list to an agent of its own."""
    recorder = _begin(draw)
    for number in range(draw.randint(20, 150)):
        fields = {"parent_call": f"{recorder.agent}-call", "agent": f"{recorder.agent}-{number}", "growth": 0}
        recorder.use_tool("read_file", seconds=draw.uniform(0.5, 3), **fields)
        recorder.use_tool("report", result="done", seconds=draw.uniform(0.5, 3), **fields)
    return [recorder.finish()]


def run_daily(draw: random.Random) -> list[Session]:
    """The same call each day, in one session."""
    recorder = _begin(draw)
    for _ in range(draw.randint(5, 30)):
        recorder.use_tool("report", "daily", "sent", seconds=86_400, growth=0)
    return [recorder.finish()]


def mend_until_green(draw: random.Random) -> list[Session]:
    """Tests and edits in turns, with fewer failures each time."""
    recorder = _begin(draw)
    for failures in range(draw.randint(4, 12), -1, -1):
        recorder.use_tool("run", "tests", f"{failures} failed")
        recorder.use_tool("edit_file", result="done")
    return [recorder.finish()]


def retry_with_patience(draw: random.Random) -> list[Session]:
    """Some calls that are refused for their rate, each after a longer wait, then work."""
    recorder = _begin(draw)
    recorder.work(5)
    for attempt in range(draw.randint(2, 5)):
        recorder.call(seconds=2.0**attempt, growth=0, status="error", error_code="rate_limit_exceeded", attempt=attempt)
    recorder.work(10)
    return [recorder.finish()]


def look_between_edits(draw: random.Random) -> list[Session]:
    """A command that says the same between edits, as `git status` or a linter without findings does."""
    recorder = _begin(draw)
    for _ in range(draw.randint(4, 15)):
        recorder.use_tool("edit_file", result="done")
        recorder.use_tool("run", "lint", "no findings")
    return [recorder.finish()]


def write_files(draw: random.Random) -> list[Session]:
    """Up to fifteen files that are written one after the other; the tool says of each that it is done."""
    recorder = _begin(draw)
    for _ in range(draw.randint(1, 4)):
        recorder.work(draw.randint(2, 6))
        for _ in range(draw.randint(2, 15)):
            recorder.use_tool("write_file", result="done")
    return [recorder.finish()]


def be_many(draw: random.Random) -> list[Session]:
    """A launch: one agent in thirty sessions within minutes, each short."""
    agent = f"agent-{draw.getrandbits(32):08x}"
    sessions = []
    for _ in range(30):
        recorder = Recorder(draw, agent)
        recorder.at_s = draw.uniform(0, 600)
        recorder.work(draw.randint(2, 6))
        sessions.append(recorder.finish())
    return sessions


def _begin(draw: random.Random) -> Recorder:
    return Recorder(draw, f"agent-{draw.getrandbits(32):08x}")


HEALTHY: Mapping[str, tuple[Callable[[random.Random], list[Session]], int]] = {
    "coding": (work_on, 80),
    "polling": (poll, 4),
    "a list": (process_list, 4),
    "a list answered yes or no": (process_list_alike, 2),
    "a template for each row": (fill_template, 2),
    "twelve agents that test": (test_each_once, 1),
    "an agent for each row of a list": (share_list, 2),
    "a daily report": (run_daily, 1),
    "tests until they pass": (mend_until_green, 4),
    "retries that wait": (retry_with_patience, 3),
    "the same look between edits": (look_between_edits, 4),
    "files that are written": (write_files, 4),
    "a launch": (be_many, 1),
}
"""Each pattern with its weight in the traffic."""
