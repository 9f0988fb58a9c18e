"""Reconcile a block with its own totals: of the documented readings, find those that agree (pure).

A provider's total may hold a part or not: the cache in the input, the reasoning in the output. Each form says which
readings its documentation and its hosts allow, the documented one first; the sums decide.
"""

from typing import Literal, NamedTuple

from tallystick.usage.base import Reading, Usage

Place = Literal["inside", "beside"]
BESIDE_OR_INSIDE: tuple[Place, ...] = ("beside", "inside")
INSIDE_OR_BESIDE: tuple[Place, ...] = ("inside", "beside")
INSIDE: tuple[Place, ...] = ("inside",)
BESIDE: tuple[Place, ...] = ("beside",)


class Input(NamedTuple):
    """Counts of the input: its total as the block gives it, and its parts. Some hosts count ``text``, with the cache or
    without it; ``cached_audio`` and ``cached_image`` are None where the block does not divide its cache."""

    total: int
    cached: int = 0
    write: int = 0
    write_5m: int = 0
    write_1h: int = 0
    audio: int = 0
    image: int = 0
    text: int = 0
    cached_audio: int | None = None
    cached_image: int | None = None
    is_partition: bool = False
    """Whether the form documents its parts as a breakdown: none overlaps another unless they exceed the total."""

    @property
    def cache(self) -> int:
        """Tokens that a cache served or keeps."""
        return self.cached + self.write + self.write_5m + self.write_1h


class Output(NamedTuple):
    """Counts of the output: its total as the block gives it, and its parts."""

    total: int
    reasoning: int = 0
    audio: int = 0
    image: int = 0
    text: int = 0


def reconcile(
    input: Input, output: Output, total: int | None, *, cache: tuple[Place, ...], reasoning: tuple[Place, ...]
) -> tuple[Reading, ...]:
    """Return the readings that sum to the total and in which no part exceeds its whole. Without a total the first
    place that the parts allow is the right one."""
    readings: list[Reading] = []
    for cache_place in cache if input.cache else cache[:1]:
        whole_input = input.total + (input.cache if cache_place == "beside" else 0)
        input_classes = divide_input(input if whole_input == input.total else input._replace(total=whole_input))
        for reasoning_place in reasoning if output.reasoning else reasoning[:1]:
            whole_output = output.total + (output.reasoning if reasoning_place == "beside" else 0)
            output_classes = divide_output(
                output if whole_output == output.total else output._replace(total=whole_output)
            )
            if input_classes is None or output_classes is None or total not in (None, whole_input + whole_output):
                continue
            readings.append(Reading(input_classes | output_classes, whole_input, whole_output))
            if total is None:
                return tuple(readings)
    return tuple(readings)


def divide_input(counts: Input) -> dict[str, int] | None:
    """Divide a whole input into its classes; None where the parts exceed it or do not say how they overlap."""
    written = {"cache_write": counts.write, "cache_write_5m": counts.write_5m, "cache_write_1h": counts.write_1h}
    cached_parts = _divide_cache(counts)
    if cached_parts is None:
        return None
    cached_audio, cached_image, audio, image = cached_parts
    classes = {
        "cache_read": counts.cached - cached_audio - cached_image, "cache_read_audio": cached_audio,
        "cache_read_image": cached_image, "input_audio": audio, "input_image": image, **written,
    }  # fmt: skip
    classes["input"] = counts.total - sum(classes.values())
    return None if min(classes.values()) < 0 or not _agrees_with_text(counts, classes) else classes


def divide_output(counts: Output) -> dict[str, int] | None:
    """Divide a whole output into its classes; None where the parts exceed it."""
    classes = {"reasoning": counts.reasoning, "output_audio": counts.audio, "output_image": counts.image}
    classes["output"] = text = counts.total - sum(classes.values())
    if text < 0 or (counts.text and counts.text not in (text, text + counts.reasoning)):
        return None
    return classes


def _divide_cache(counts: Input) -> tuple[int, int, int, int] | None:
    """Return cached audio and images, and those that no cache served. A modality may be counted with its cached tokens
    or without them; None where the counts leave it open."""
    total, cached, audio, image = counts.total, counts.cached, counts.audio, counts.image
    written = counts.cache - cached
    media = audio + image
    if counts.cached_audio is not None or counts.cached_image is not None:
        cached_audio, cached_image = counts.cached_audio or 0, counts.cached_image or 0
        if counts.text and counts.text + media + counts.cache == total:
            return cached_audio, cached_image, audio, image
        return cached_audio, cached_image, audio - cached_audio, image - cached_image
    is_partition = counts.is_partition and media + counts.cache <= total
    if not media or not counts.cache or is_partition or (counts.text and counts.text + media + counts.cache == total):
        return 0, 0, audio, image
    if written:
        return None
    if cached == total:
        return audio, image, 0, 0
    if audio and image:
        return (0, 0, audio, image) if not cached else None
    least, most = max(0, cached - (total - media)), min(media, cached)
    if least != most:
        return None
    return (least, 0, audio - least, 0) if audio else (0, least, 0, image - least)


def _agrees_with_text(counts: Input, classes: dict[str, int]) -> bool:
    """Tell whether the count of text is the rest of the input: with what a cache served or keeps, or without."""
    if not counts.text:
        return True
    read, written = classes["cache_read"], counts.cache - counts.cached
    rest = classes["input"]
    return counts.text in (rest, rest + read, rest + written, rest + read + written)


def build_usage(
    input: Input, output: Output, total: int | None, *,
    cache: tuple[Place, ...] = INSIDE_OR_BESIDE, reasoning: tuple[Place, ...] = INSIDE_OR_BESIDE,
    quantities: dict[str, int] | None = None,
) -> Usage:  # fmt: skip
    """Build the usage of a block from its counts."""
    readings = reconcile(input, output, total, cache=cache, reasoning=reasoning)
    return Usage(readings, input.total, output.total, total, quantities or {})
