"""Token classes and other quantities: what each is, how it is priced, and what it falls back on."""

from typing import get_args

from tallystick import QuantityClass, TokenClass

TOKEN_CLASSES: tuple[str, ...] = get_args(TokenClass)
QUANTITY_CLASSES: tuple[str, ...] = get_args(QuantityClass)
CLASSES = TOKEN_CLASSES + QUANTITY_CLASSES

INPUT_CLASSES = tuple(name for name in TOKEN_CLASSES if name.startswith(("input", "cache")))
OUTPUT_CLASSES = tuple(name for name in TOKEN_CLASSES if name not in INPUT_CLASSES)

PRICED_AS: dict[str, tuple[str, ...]] = {
    "cache_read": ("input",),
    "cache_write": ("cache_write_5m", "input"),
    "cache_write_5m": ("cache_write", "input"),
    "cache_write_1h": ("cache_write", "input"),
    "reasoning": ("output",),
    "cache_read_audio": ("cache_read", "input_audio"),
    "cache_read_image": ("cache_read", "input_image"),
}
"""For each class those whose rate it takes where it has none: the first of them that has a rate of its own. A book
carries this table when it is compiled, so that a replay prices as it did. Audio and images are in it only behind a
cache: what they cost beside text is for a catalogue to say."""

CONTRACTED_AS = {
    name: tuple(source for source in sources if not source.startswith("input")) for name, sources in PRICED_AS.items()
}
"""The same for the rates of a contract. What a cache holds has a list price below that of the input, so that a
negotiated rate of the input says nothing of it."""

AS_TEXT: dict[str, dict[str, tuple[str, ...]]] = {
    "input_image": {"input_image": ("input",), "cache_read_image": ("cache_read", "input_image", "input")},
    "input_audio": {"input_audio": ("input",), "cache_read_audio": ("cache_read", "input_audio", "input")},
    "output_image": {"output_image": ("output",)},
    "output_audio": {"output_audio": ("output",)},
}
"""The classes that a modality adds to that table where a catalogue says that it costs what text costs."""

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
