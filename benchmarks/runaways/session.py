"""Sessions of agents, made from a seed: calls of which each is known to be of a runaway or not."""

import random
from collections.abc import Mapping
from typing import Any, NamedTuple

Fields = Mapping[str, Any]


class Step(NamedTuple):
    """A call: seconds after the session begins, and the fields of its event."""

    at_s: float
    fields: Fields


class Session(NamedTuple):
    """Calls of one session. ``onset`` is the index of the first call that a person would call part of the runaway."""

    steps: list[Step]
    onset: int | None = None


class Recorder:
    """Writes down the calls of one session as they would be made: each after the one before, each with a longer
    prompt."""

    def __init__(self, draw: random.Random, agent: str) -> None:
        self.draw = draw
        self.agent = agent
        self.steps: list[Step] = []
        self.at_s = 0.0
        self.input_tokens = draw.randint(2_000, 8_000)
        self.call_count = 0

    def call(self, seconds: float | None = None, growth: int | None = None, **fields: Any) -> None:
        """Record a call, some seconds after the one before. ``growth`` is by how many tokens the prompt is longer."""
        draw = self.draw
        self.at_s += draw.uniform(2, 20) if seconds is None else seconds
        self.input_tokens += draw.randint(100, 1_500) if growth is None else growth
        cached_tokens = int(self.input_tokens * 0.8)
        tokens = {
            "input": self.input_tokens - cached_tokens,
            "cache_read": cached_tokens,
            "output": draw.randint(50, 600),
        }
        self.call_count += 1
        own_fields = {"agent": self.agent, "status": "ok", "tokens": tokens, "prompt_hash": self.make_hash(16)}
        self.steps.append(Step(self.at_s, own_fields | fields))

    def use_tool(self, tool: str, arguments: str | None = None, result: str | None = None, **fields: Any) -> None:
        """Record a call that used a tool; its arguments and its result are new where none are given."""
        fields |= {"tool": tool, "tool_arguments_hash": arguments or self.make_hash(16)}
        self.call(**fields, tool_result_hash=result or self.make_hash(16))

    def work(self, calls: int) -> None:
        """Record calls as they are in a session that comes along: other files, other results, tests between edits."""
        for _ in range(calls):
            share = self.draw.random()
            if share < 0.35:
                self.use_tool("read_file")
            elif share < 0.6:
                self.use_tool("edit_file", result="done")
            elif share < 0.75:
                self.use_tool("run", "tests")
            elif share < 0.85:
                self.use_tool("grep")
            else:
                self.call()

    def make_hash(self, digits: int) -> str:
        return f"{self.draw.getrandbits(4 * digits):0{digits}x}"

    def finish(self, onset: int | None = None) -> Session:
        return Session(self.steps, onset)
