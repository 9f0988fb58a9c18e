"""Runaways, a pattern a function: an agent works for a while, then goes on without coming along.

The patterns are those of agents that looped in public (docs/benchmarks.md names some), with what is noise in them.
"""

import random
from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.runaways.session import Recorder, Session, Step

LOOPING_CALLS = 60
"""A runaway goes on for so many calls, as nobody stops it."""


def repeat_call(draw: random.Random) -> list[Session]:
    """The same tool with the same arguments and the same result."""
    recorder, onset = _begin(draw)
    for _ in range(LOOPING_CALLS):
        recorder.use_tool("search", "a", "r")
    return [recorder.finish(onset)]


def repeat_with_noise(draw: random.Random) -> list[Session]:
    """Arguments with a timestamp in them, so that no two are equal; the result is the same."""
    recorder, onset = _begin(draw)
    for _ in range(LOOPING_CALLS):
        recorder.use_tool("search", result="r")
    return [recorder.finish(onset)]


def repeat_without_results(draw: random.Random) -> list[Session]:
    """The same arguments, by a source that does not hash results."""
    recorder, onset = _begin(draw)
    for _ in range(LOOPING_CALLS):
        recorder.call(tool="search", tool_arguments_hash="a")
    return [recorder.finish(onset)]


def read_pages_for_ever(draw: random.Random) -> list[Session]:
    """The next page, and the next, of results that come round again."""
    recorder, onset = _begin(draw)
    for page in range(LOOPING_CALLS):
        recorder.use_tool("list", result=f"r{page % 3}")
    return [recorder.finish(onset)]


def cycle(length: int) -> Callable[[random.Random], list[Session]]:
    """So many tools one after the other, round and round."""

    def make_sessions(draw: random.Random) -> list[Session]:
        recorder, onset = _begin(draw)
        for number in range(LOOPING_CALLS):
            place = number % length
            recorder.use_tool(f"tool-{place}", f"a{place}", f"r{place}")
        return [recorder.finish(onset)]

    return make_sessions


def pass_to_and_fro(draw: random.Random) -> list[Session]:
    """Two agents that hand the task to each other."""
    recorder, onset = _begin(draw)
    for number in range(LOOPING_CALLS):
        recorder.call(agent=f"{recorder.agent}-{number % 2}", tool="handoff", tool_arguments_hash=f"a{number % 2}")
    return [recorder.finish(onset)]


def ask_the_same(draw: random.Random) -> list[Session]:
    """Prompts without a tool that differ in a word: hashes of which two or three bits differ."""
    recorder, onset = _begin(draw)
    prompt = draw.getrandbits(64)
    for _ in range(LOOPING_CALLS):
        near = prompt
        for _ in range(draw.randint(0, 3)):
            near ^= 1 << draw.randrange(64)
        recorder.call(growth=draw.randint(-20, 20), prompt_hash=f"{near:016x}")
    return [recorder.finish(onset)]


def grow_without_news(draw: random.Random) -> list[Session]:
    """A prompt that gets longer by its own answers; what tools say is known already."""
    recorder, onset = _begin(draw)
    for _ in range(LOOPING_CALLS):
        recorder.use_tool("think", result=f"r{draw.randrange(2)}", growth=draw.randint(3_000, 5_000))
    return [recorder.finish(onset)]


def retry_at_once(draw: random.Random) -> list[Session]:
    """A call that is refused for its rate, again and again without waiting."""
    recorder, onset = _begin(draw)
    for attempt in range(LOOPING_CALLS):
        recorder.call(
            seconds=draw.uniform(0.1, 1), growth=0, status="error", error_code="rate_limit_exceeded", attempt=attempt
        )
    return [recorder.finish(onset)]


def fail_alike(draw: random.Random) -> list[Session]:
    """A tool that fails with the same error whatever it is given."""
    recorder, onset = _begin(draw)
    for _ in range(LOOPING_CALLS):
        recorder.use_tool("run", result="error", status="error", error_code="tool_failed")
    return [recorder.finish(onset)]


def loop_beside_others(draw: random.Random) -> list[Session]:
    """One of four agents of a session loops; the others work."""
    recorder, onset = _begin(draw)
    for number in range(4 * LOOPING_CALLS):
        agent = f"{recorder.agent}-{number % 4}"
        if number % 4:
            recorder.use_tool("read_file", agent=agent)
        else:
            recorder.use_tool("search", "a", "r", agent=agent)
    return [recorder.finish(onset)]


def start_agents(draw: random.Random) -> list[Session]:
    """Each agent starts the next, and none finishes."""
    recorder, onset = _begin(draw)
    for depth in range(LOOPING_CALLS):
        name, above = f"{recorder.agent}-call-{depth}", f"{recorder.agent}-call-{depth - 1}"
        call_tree: dict[str, Any] = {"parent_call": above, "root_call": f"{recorder.agent}-call-0"} if depth else {}
        recorder.call(agent=f"{recorder.agent}-{depth}", growth=0, tool="start_agent", **call_tree)
        recorder.steps[-1] = Step(recorder.at_s, {**recorder.steps[-1].fields, "id": name})
    return [recorder.finish(onset)]


def start_agents_alike(draw: random.Random) -> list[Session]:
    """An agent that starts one agent after the other, each with the same task, of which none comes along."""
    recorder, onset = _begin(draw)
    for number in range(2 * LOOPING_CALLS):
        fields = {"parent_call": f"{recorder.agent}-call", "root_call": f"{recorder.agent}-call"}
        recorder.use_tool("read_file", "task", "task", agent=f"{recorder.agent}-{number}", growth=0, **fields)
    return [recorder.finish(onset)]


def spend_faster(draw: random.Random) -> list[Session]:
    """An agent that has worked for days at its own pace calls twenty times as often, each call with a long prompt."""
    agent = f"agent-{draw.getrandbits(32):08x}"
    sessions = []
    for day in range(5):
        recorder = Recorder(draw, agent)
        recorder.at_s = day * 86_400.0
        recorder.work(draw.randint(10, 20))
        sessions.append(recorder.finish())
    recorder = Recorder(draw, agent)
    recorder.at_s = 5 * 86_400.0
    recorder.input_tokens = 60_000
    for _ in range(2 * LOOPING_CALLS):
        recorder.use_tool("read_file", seconds=draw.uniform(0.2, 1))
    return [*sessions, recorder.finish(0)]


def _begin(draw: random.Random) -> tuple[Recorder, int]:
    recorder = Recorder(draw, f"agent-{draw.getrandbits(32):08x}")
    recorder.work(draw.randint(3, 25))
    return recorder, len(recorder.steps)


LOOPS: Mapping[str, Callable[[random.Random], list[Session]]] = {
    "the same call": repeat_call,
    "arguments with noise": repeat_with_noise,
    "no hash of results": repeat_without_results,
    "pages for ever": read_pages_for_ever,
    "cycle of 2": cycle(2),
    "cycle of 3": cycle(3),
    "cycle of 5": cycle(5),
    "two agents to and fro": pass_to_and_fro,
    "prompts that differ in a word": ask_the_same,
    "context that grows without news": grow_without_news,
    "retries without waiting": retry_at_once,
    "the same error": fail_alike,
    "one of four agents loops": loop_beside_others,
    "agents that start agents": start_agents,
    "agents that begin alike": start_agents_alike,
    "faster than its own history": spend_faster,
}
