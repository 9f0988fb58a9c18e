"""The detectors of runaways, a file each: the one list of them, in the order in which they are asked."""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from streams.folds.runaways import (
    agent_depth,
    agents_alike,
    context_growth,
    fast_spend,
    repeated_cycle,
    repeated_error,
    repeated_prompt,
    repeated_result,
    repeated_tool,
)
from streams.folds.runaways.run import Run


class Detector(NamedTuple):
    """A detector, and the family of signals that it is of. One that only ``confirms`` raises no alert by itself."""

    family: str
    is_found: Callable[[Run], bool]
    confirms: bool = False


DETECTORS: Mapping[str, Detector] = {
    "repeated_tool": Detector("repetition", repeated_tool.is_found),
    "repeated_cycle": Detector("cycle", repeated_cycle.is_found),
    "repeated_result": Detector("repetition", repeated_result.is_found),
    "repeated_error": Detector("errors", repeated_error.is_found),
    "repeated_prompt": Detector("prompts", repeated_prompt.is_found),
    "fast_spend": Detector("velocity", fast_spend.is_found),
    "agent_depth": Detector("fan_out", agent_depth.is_found),
    "agents_alike": Detector("fan_out", agents_alike.is_found),
    "context_growth": Detector("growth", context_growth.is_found, confirms=True),
}


def find_detectors(run: Run) -> Iterator[str]:
    """Yield the names of the detectors that find a run."""
    return (name for name, detector in DETECTORS.items() if detector.is_found(run))
