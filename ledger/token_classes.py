"""Token classes and other quantities: what each is, how it is priced, and what it falls back on."""

from typing import get_args

from tallystick import QuantityClass, TokenClass

TOKEN_CLASSES: tuple[str, ...] = get_args(TokenClass)
QUANTITY_CLASSES: tuple[str, ...] = get_args(QuantityClass)
CLASSES = TOKEN_CLASSES + QUANTITY_CLASSES

INPUT_CLASSES = tuple(name for name in TOKEN_CLASSES if name.startswith(("input", "cache")))
OUTPUT_CLASSES = tuple(name for name in TOKEN_CLASSES if name not in INPUT_CLASSES)

PRICED_AS = {
    "cache_read": "input",
    "cache_write": "input",
    "cache_write_5m": "cache_write",
    "cache_write_1h": "cache_write",
    "reasoning": "output",
    "input_audio": "input",
    "cache_read_audio": "input_audio",
    "output_audio": "output",
    "input_image": "input",
    "cache_read_image": "input_image",
    "output_image": "output",
}
"""For each class the one that gives its rate where a catalogue names none. Applied once, when a price book is compiled:
the document on the log names every rate. The order lets each class find the other filled."""

TOKEN_WORDS = ("token", "input", "output", "prompt", "completion", "total", "count")
"""A number of a provider's usage block counts tokens where its name, in lower case, has one of these words."""
OTHER_ENDINGS = ("time", "duration", "cost", "price", "seconds", "requests", "_ms", "_us", "_ns")
"""... and where it does not end like a time, an amount or a number of requests."""
OUTPUT_WORDS = ("output", "completion", "candidate", "thought", "thinking", "reasoning")
INPUT_WORDS = ("input", "prompt", "cache")
"""The side of a count: output, else input, else either."""


def rate_unit(name: str) -> int:
    """Return how many units a rate is for: a million tokens, or a thousand of anything else."""
    return 1_000_000 if name in TOKEN_CLASSES else 1_000


def decimals(name: str) -> int:
    """Return how many decimals a rate may have so that one unit costs a whole number of 10^-12."""
    return 6 if name in TOKEN_CLASSES else 9
