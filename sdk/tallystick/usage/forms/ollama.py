"""Ollama's own API: generate, chat and embed. Its counts stand beside the answer.

Documentation: docs.ollama.com/api/usage.
"""

from tallystick.usage.base import Block, Context, Usage
from tallystick.usage.block import CountBlock
from tallystick.usage.form import Form
from tallystick.usage.reconciliation import INSIDE, Input, Output, build_usage

NAMES = ("prompt_eval_count", "eval_count")
ANSWERS = ("message", "response", "thinking", "context", "embedding", "embeddings", "logprobs", "remote_model")


def is_ollama(block: Block, context: Context) -> bool:
    return any(block.get(name) is not None for name in NAMES)


def read_ollama(block: CountBlock, context: Context) -> Usage:
    """Read the counts of an answer. Embeddings have no output; an answer without a prompt's count is unknown."""
    is_embedding = "embeddings" in block or "embedding" in block
    block.drop(*ANSWERS)
    prompt, answer = block.get_count("prompt_eval_count"), block.get_count("eval_count")
    if prompt is None or (answer is None and not is_embedding):
        return Usage((), prompt, answer)
    return build_usage(Input(prompt), Output(answer or 0), None, cache=INSIDE, reasoning=INSIDE)


FORM = Form("ollama", is_ollama, read_ollama, frozenset(NAMES))
