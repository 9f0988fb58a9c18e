"""LangChain's ``usage_metadata``: of AIMessage and its chunks, from every provider.

Totals hold all their parts. A name of ``input_token_details`` may begin with the tier that was charged. Documentation:
reference.langchain.com/python/langchain-core/messages/ai/UsageMetadata.
"""

from tallystick.usage.base import Block, Context, Fields, Usage
from tallystick.usage.block import CountBlock
from tallystick.usage.form import Form
from tallystick.usage.token_details import read_token_details

TIERS = ("flex", "priority")


def is_langchain(block: Block, context: Context) -> bool:
    has_details = block.get("input_token_details") is not None or block.get("output_token_details") is not None
    return block.get("input_tokens") is not None and has_details


def read_langchain(block: CountBlock, context: Context) -> Usage:
    """Read a block of LangChain."""
    fields: Fields = {}
    for tier in TIERS:
        parts = [block.rename_prefix(name, tier) for name in ("input_token_details", "output_token_details")]
        if any(parts):
            fields["service_tier"] = tier
    usage = read_token_details(block, context, "input", "output", is_partition=True)
    return usage._replace(fields=usage.fields | fields)


FORM = Form("langchain", is_langchain, read_langchain, frozenset(("input_tokens",)))
