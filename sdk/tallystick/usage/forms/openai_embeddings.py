"""Embeddings in OpenAI's form, and hosts that give their total alone (Voyage, Jina).

Documentation: platform.openai.com/docs/api-reference/embeddings/create.
"""

from tallystick.usage.base import Block, Context, Usage
from tallystick.usage.block import CountBlock
from tallystick.usage.form import Form
from tallystick.usage.reconciliation import INSIDE, Output, build_usage
from tallystick.usage.token_details import take_claim, take_input

OTHER_TOTALS = ("completion_tokens", "input_tokens", "output_tokens")


def is_embedding(block: Block, context: Context) -> bool:
    names = [name for name in ("prompt_tokens", "total_tokens") if block.get(name) is not None]
    if not names or any(block.get(name) is not None for name in OTHER_TOTALS):
        return False
    return len(names) == 2 or is_embedding_answer(context)


def is_embedding_answer(context: Context) -> bool:
    """Tell whether the model's name or the answer says that there is no output."""
    return context.has_model("embed", "voyage", "rerank") or any(
        envelope.get("object") == "list" for envelope in context.envelopes
    )


def read_embedding(block: CountBlock, context: Context) -> Usage:
    """Read a block of embeddings, which has input alone."""
    total = block.get_count("total_tokens")
    prompt = block.get_count("prompt_tokens")
    input = take_input(block, block.take_part("prompt_tokens_details"), total or 0 if prompt is None else prompt)
    usage = build_usage(input, Output(0), total, cache=INSIDE)
    return usage._replace(fields=take_claim(block))


FORM = Form("openai_embeddings", is_embedding, read_embedding, frozenset(("prompt_tokens", "total_tokens")))
