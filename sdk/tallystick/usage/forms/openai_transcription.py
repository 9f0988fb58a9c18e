"""OpenAI's transcriptions, charged by tokens or by seconds.

Documentation: platform.openai.com/docs/api-reference/audio/json-object.
"""

from tallystick.usage.base import Block, Context, Usage
from tallystick.usage.block import CountBlock
from tallystick.usage.form import Form
from tallystick.usage.token_details import read_token_details


def is_transcription(block: Block, context: Context) -> bool:
    return block.get("type") in ("duration", "tokens")


def read_transcription(block: CountBlock, context: Context) -> Usage:
    """Read the seconds of ``type: duration``, or the tokens of ``type: tokens``."""
    if block.take_word("type") == "tokens":
        return read_token_details(block, context, "input", "output")
    seconds = block.get_count("seconds")
    if seconds is None:
        block.spoil()
    return Usage((), quantities={"seconds": seconds or 0})


FORM = Form("openai_transcription", is_transcription, read_transcription, frozenset(("type",)))
