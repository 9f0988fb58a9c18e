"""Bedrock's InvokeModel: bodies of Titan and Llama, the metrics of a stream's last chunk, and the headers of an answer.

Bodies in a provider's own form (Anthropic, Nova, Mistral) are read by that form. Documentation:
docs.aws.amazon.com/bedrock/latest/userguide/model-parameters.html.
"""

from tallystick.usage.base import Block, Context, Usage
from tallystick.usage.block import CountBlock
from tallystick.usage.form import Form
from tallystick.usage.reconciliation import BESIDE, INSIDE, Input, Output, build_usage

NAMES = ("inputTextTokenCount", "generation_token_count", "inputTokenCount", "x-amzn-bedrock-input-token-count")


def is_invocation(block: Block, context: Context) -> bool:
    return any(block.get(name) is not None for name in NAMES) or any(
        isinstance(name, str) and name.lower() == NAMES[-1] for name in block
    )


def read_invocation(block: CountBlock, context: Context) -> Usage:
    """Read a body, metrics or headers of InvokeModel."""
    if "input_text_token_count" in block:
        return _read_titan(block)
    if "generation_token_count" in block:
        prompt, generation = block.take("prompt_token_count"), block.take("generation_token_count")
        return build_usage(Input(prompt), Output(generation), None, cache=INSIDE, reasoning=INSIDE)
    prefix = "x_amzn_bedrock_" if "x_amzn_bedrock_input_token_count" in block else ""
    counts = Input(
        block.take(f"{prefix}input_token_count"),
        block.take(f"{prefix}cache_read_input_token_count"),
        block.take(f"{prefix}cache_write_input_token_count"),
    )
    output = Output(block.take(f"{prefix}output_token_count"))
    return build_usage(counts, output, None, cache=BESIDE, reasoning=INSIDE)


def _read_titan(block: CountBlock) -> Usage:
    """Read a body of Titan: a text with its results, a chunk with its total, or an embedding, which has no output."""
    input = block.take("input_text_token_count")
    total = block.get_count("total_output_text_token_count")
    results = [result.get_count("token_count") for result in block.take_list("results")]
    is_embedding = any(name in block for name in ("embedding", "embeddings_by_type"))
    block.drop("embedding", "embeddings_by_type")
    if total is None and not results and not is_embedding:
        return Usage((), input)
    output = sum(count or 0 for count in results) if total is None else total
    return build_usage(Input(input), Output(output), None, cache=INSIDE, reasoning=INSIDE)


FORM = Form("bedrock_invoke", is_invocation, read_invocation)
