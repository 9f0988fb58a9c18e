"""OpenAI's realtime sessions: ``response.done`` and its usage.

Counts of a modality hold their cached part, which ``cached_tokens_details`` divides. Documentation:
platform.openai.com/docs/api-reference/realtime-server-events/response/done.
"""

from tallystick.usage.base import Block, Context, Usage, to_mapping
from tallystick.usage.block import CountBlock
from tallystick.usage.form import Form
from tallystick.usage.token_details import read_token_details

MODALITIES = ("text_tokens", "audio_tokens", "cached_tokens", "image_tokens")


def is_realtime(block: Block, context: Context) -> bool:
    details = (to_mapping(block.get(name)) for name in ("input_token_details", "output_token_details"))
    return any(name in part for part in details for name in MODALITIES)


def read_realtime(block: CountBlock, context: Context) -> Usage:
    """Read a block of a realtime response."""
    return read_token_details(block, context, "input", "output")


FORM = Form("openai_realtime", is_realtime, read_realtime, frozenset(("input_token_details", "output_token_details")))
