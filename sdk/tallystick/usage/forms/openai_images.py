"""OpenAI's images (gpt-image): output without details is image output.

Documentation: platform.openai.com/docs/api-reference/images/object.
"""

from tallystick.usage.base import Block, Context, Usage, to_mapping
from tallystick.usage.block import CountBlock
from tallystick.usage.form import Form
from tallystick.usage.reconciliation import INSIDE, build_usage
from tallystick.usage.token_details import take_input, take_output

OTHER_ANSWERS = frozenset(("object", "choices", "output", "text"))


def is_images(block: Block, context: Context) -> bool:
    details = to_mapping(block.get("input_tokens_details"))
    if block.get("output_tokens") is None or "image_tokens" not in details:
        return False
    if "reasoning_tokens" in to_mapping(block.get("output_tokens_details")):
        return False
    return is_image_answer(context) or (context.model is None and "cached_tokens" not in details)


def is_image_answer(context: Context) -> bool:
    """Tell whether the model's name or the answer around the block says that it holds images."""
    if context.has_model("image"):
        return True
    for envelope in context.envelopes:
        kind = envelope.get("type")
        if isinstance(kind, str) and kind.startswith(("image_generation.", "image_edit.")):
            return True
        if "created" in envelope and not OTHER_ANSWERS & envelope.keys():
            return True
    return False


def read_images(block: CountBlock, context: Context) -> Usage:
    """Read a block of images. Without a word of images around it the class of its output is unknown."""
    input_total, output_total = block.take("input_tokens"), block.take("output_tokens")
    total = block.get_count("total_tokens")
    has_details = "output_tokens_details" in block
    input = take_input(block, block.take_part("input_tokens_details"), input_total)
    output = take_output(block, block.take_part("output_tokens_details"), output_total)
    if not has_details:
        if not is_image_answer(context):
            return Usage((), input_total, output_total, total)
        output = output._replace(image=output_total)
    return build_usage(input, output, total, cache=INSIDE, reasoning=INSIDE)


FORM = Form("openai_images", is_images, read_images, frozenset(("input_tokens_details",)))
