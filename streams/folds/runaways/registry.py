"""The detectors of runaways, a file each: the one list of them, in the order in which they are asked."""

from collections.abc import Callable, Mapping

from streams.folds.runaways import (
    repeated_cycle,
    repeated_error,
    repeated_prompt,
    repeated_result,
    repeated_tool,
)
from streams.folds.runaways.run import Run

DETECTORS: Mapping[str, Callable[[Run], bool]] = {
    "repeated_tool": repeated_tool.is_found,
    "repeated_cycle": repeated_cycle.is_found,
    "repeated_result": repeated_result.is_found,
    "repeated_error": repeated_error.is_found,
    "repeated_prompt": repeated_prompt.is_found,
}
