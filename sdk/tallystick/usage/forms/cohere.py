"""Cohere's v1 (``meta``) and v2 (``usage``): the billed units decide.

Documentation: docs.cohere.com/reference/chat, /reference/rerank, /reference/embed.
"""

from tallystick.usage.base import Block, Context, Usage, to_mapping
from tallystick.usage.block import CountBlock
from tallystick.usage.form import Form
from tallystick.usage.reconciliation import BESIDE, INSIDE, Input, Output, build_usage


def is_cohere(block: Block, context: Context) -> bool:
    return bool(to_mapping(block.get("billed_units")) or to_mapping(block.get("tokens")))


def read_cohere(block: CountBlock, context: Context) -> Usage:
    """Read the billed units. Tokens beside them count what is not billed too; cached ones are billed as input."""
    has_units = block.has_object("billed_units")
    units = block.take_part("billed_units")
    block.drop("api_version", "warnings", "cached_tokens")
    tokens = CountBlock({})
    if block.has_object("tokens"):
        tokens = block.take_part("tokens")
    processed_input, processed_output = tokens.get_count("input_tokens"), tokens.get_count("output_tokens")
    if not has_units:
        return Usage((), processed_input, processed_output)
    input, output = units.get_count("input_tokens"), units.get_count("output_tokens")
    images, text = units.get_count("image_tokens"), units.get_count("text_tokens")
    quantities = {name: units.take(name) for name in ("search_units", "images", "pages")}
    input = text if input is None else input
    if input is None and output is None and images is None:
        return Usage((), quantities=quantities)
    has_images_inside = bool(images and text and text + images == input)
    if text not in (None, 0, input) and not has_images_inside:
        units.spoil()
    counts = Input((input or 0) + (0 if has_images_inside else images or 0), image=images or 0)
    return build_usage(counts, Output(output or 0), None, cache=BESIDE, reasoning=INSIDE, quantities=quantities)


FORM = Form("cohere", is_cohere, read_cohere, frozenset(("billed_units", "tokens")))
