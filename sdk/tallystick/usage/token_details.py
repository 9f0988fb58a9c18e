"""Read totals with their parts in an object of details, as OpenAI's forms and those of many hosts have them (pure)."""

from decimal import Decimal, InvalidOperation

from tallystick.usage.base import Context, Fields, Reading, Usage, to_mapping
from tallystick.usage.block import CountBlock
from tallystick.usage.reconciliation import (
    BESIDE_OR_INSIDE,
    INSIDE_OR_BESIDE,
    Input,
    Output,
    build_usage,
    divide_input,
    divide_output,
)
from tallystick.usage.searches import count_charged, count_search_calls, count_search_model

MAX_AMOUNT = Decimal(10) ** 26
XAI_TICK_DECIMALS = 10
"""Decimals of a dollar in which xAI writes the cost of an answer."""
CACHE_READ_NAMES = (
    "cached_tokens", "cache_read_input_tokens", "prompt_cache_hit_tokens", "num_cached_tokens", "cache_read_tokens",
    "cache_read", "cached_input_tokens",
)  # fmt: skip
CACHE_WRITE_NAMES = (
    "cache_write_tokens", "cache_creation_input_tokens", "cache_creation_tokens", "cache_creation",
    "cache_write_input_tokens",
)  # fmt: skip
LONG_LIFETIMES = ("ephemeral_30m_input_tokens", "ephemeral_12h_input_tokens")
"""Lifetimes that have no class of their own."""
LIFETIMES = ("cache_creation_token_details", "cache_creation_tokens_details", "cache_creation")
LIFETIME_NAMES = frozenset(LIFETIMES)
WRITE_NAMES = frozenset((
    *CACHE_WRITE_NAMES, *LONG_LIFETIMES, *LIFETIMES, "ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens",
    "cache_write_tokens_details",
))  # fmt: skip
"""Every name that :func:`take_writes` takes."""
INPUT_DETAILS = ("prompt_tokens_details", "prompt_token_details", "input_tokens_details", "input_token_details")
OUTPUT_DETAILS = (
    "completion_tokens_details", "completion_token_details", "output_tokens_details", "output_token_details",
)  # fmt: skip
"""Names of details, under either name of the totals: DashScope has those of a prompt beside its input."""
PER_TURN = ("input_tokens_per_turn", "cached_tokens_per_turn", "output_tokens_per_turn", "tool_output_tokens_per_turn")
"""vLLM's lists, which divide the totals by the turns of its tools."""
REASONING_NAMES = ("reasoning_tokens", "reasoning", "thinking_tokens", "reasoning_output_tokens")


def read_token_details(
    block: CountBlock, context: Context, input_name: str, output_name: str, *, is_partition: bool = False
) -> Usage:
    """Read a block whose totals have these names, ``prompt`` and ``completion`` or ``input`` and ``output``."""
    input_total = block.get_count(f"{input_name}_tokens")
    output_total = block.get_count(f"{output_name}_tokens")
    total = block.get_count("total_tokens")
    input_details = block.take_parts(*INPUT_DETAILS)
    output_details = block.take_parts(*OUTPUT_DETAILS)
    searches = take_tool_calls(block)
    if searches is None:
        searches = _take_searches(block, input_details, context) or count_search_calls(context)
    if input_name == "prompt":
        searches = searches or count_search_model(context)
    input_details.drop("initial_prompt_tokens", *PER_TURN)
    output_details.drop(*PER_TURN)
    tool_prompts = input_details.take("tool_use_tokens")  # LiteLLM's of Gemini: a part of the prompt where they sum
    if tool_prompts and total != (input_total or 0) + (output_total or 0):
        block.spoil()
    input = take_input(block, input_details, input_total or 0)
    if is_partition:
        input = input._replace(is_partition=True)
    block.drop_repeated("image_tokens", input.image)  # DashScope's, beside its details
    output = take_output(block, output_details, output_total or 0)
    quantities = {"web_searches": searches}
    if input_total is None or (output_total is None and total is None):
        return Usage((), input_total, output_total, total, quantities)
    is_beside = total is None and input_name == "prompt" and context.has_model("grok")  # as xAI documents it
    places = BESIDE_OR_INSIDE if is_beside else INSIDE_OR_BESIDE
    usage = build_usage(input, output, total, reasoning=places, quantities=quantities)
    usage = _add_hidden_thoughts(usage, input, output, context)
    return usage._replace(fields=fields) if (fields := take_claim(block)) else usage


def take_input(block: CountBlock, details: CountBlock, total: int) -> Input:
    """Take the parts of the input from its details, and from the names beside them that repeat a part."""
    miss = block.get_count("prompt_cache_miss_tokens")
    cached = block.agree(details.get_count(*CACHE_READ_NAMES), block.get_count(*CACHE_READ_NAMES))
    if miss is not None and cached + miss != total:
        block.spoil()
    cached_details = details.take_part("cached_tokens_details", "cached_token_details")
    cached_audio, cached_image = cached_details.get_count("audio_tokens"), cached_details.get_count("image_tokens")
    cached_text = cached_details.get_count("text_tokens")
    if cached_text is not None and cached_text + (cached_audio or 0) + (cached_image or 0) != cached:
        details.spoil()
    write, write_5m, write_1h = take_writes(block, details)
    return Input(
        total, cached, write, write_5m, write_1h, details.take("audio_tokens", "audio"),
        details.take("image_tokens", "image"), details.take("text_tokens", "text"), cached_audio, cached_image,
    )  # fmt: skip


def take_writes(block: CountBlock, details: CountBlock) -> tuple[int, int, int]:
    """Take the tokens that a cache keeps: those of no lifetime, of five minutes, and of an hour."""
    if not block.has_any(WRITE_NAMES) and not details.has_any(WRITE_NAMES):
        return 0, 0, 0
    names = [name for name in LIFETIMES if block.has_object(name)] if block.has_any(LIFETIME_NAMES) else []
    outer = block.take_part(*names) if names else details
    inner_names = [name for name in LIFETIMES if details.has_object(name)] if details.has_any(LIFETIME_NAMES) else []
    inner = details.take_part(*inner_names) if inner_names else outer
    short = block.agree(outer.get_count("ephemeral_5m_input_tokens"), inner.get_count("ephemeral_5m_input_tokens"))
    long = block.agree(outer.get_count("ephemeral_1h_input_tokens"), inner.get_count("ephemeral_1h_input_tokens"))
    rest = sum(outer.take(name) + (inner.take(name) if inner is not outer else 0) for name in LONG_LIFETIMES)
    whole = block.agree(details.get_count(*CACHE_WRITE_NAMES), block.get_count(*CACHE_WRITE_NAMES))
    for part in (block, details):
        ttl = part.take_part("cache_write_tokens_details")
        if ttl.take("ttl_30m_tokens") + ttl.take("ttl_12h_tokens") > whole:
            part.spoil()
    parts = short + long + rest
    if whole and parts and whole != parts:
        block.spoil()
    return (rest if parts else whole), short, long


def take_output(block: CountBlock, details: CountBlock, total: int) -> Output:
    """Take the parts of the output. Predictions, accepted or rejected, are plain output."""
    predictions = details.take("accepted_prediction_tokens") + details.take("rejected_prediction_tokens")
    if predictions > total:
        details.spoil()
    reasoning = block.agree(details.get_count(*REASONING_NAMES), block.get_count(*REASONING_NAMES))
    return Output(
        total, reasoning, details.take("audio_tokens", "audio"), details.take("image_tokens", "image"),
        details.take("text_tokens", "text"),
    )  # fmt: skip


def take_tool_searches(block: CountBlock) -> int | None:
    """Take the searches of Anthropic's own tools. Its fetches, and its searches for tools, are free. OpenRouter counts
    the calls of all its tools too: where these are more than the searches, some have fees that no quantity counts."""
    tools = block.take_part("server_tool_use")
    tools.drop("web_fetch_requests", "tool_search_requests")
    searches = tools.get_count("web_search_requests")
    if max(tools.take("tool_calls_requested"), tools.take("tool_calls_executed")) > (searches or 0):
        tools.spoil()
    return searches


def take_tool_calls(block: CountBlock) -> int | None:
    """Take the searches among the calls of xAI's own tools, and leave out the context that its last one left. Its other
    tools have fees that no quantity counts."""
    calls = block.get_count("num_server_side_tools_used")
    details = block.take_part("server_side_tool_usage_details")
    searches = details.get_count("web_search_calls")
    if calls and calls != searches:
        block.spoil()
    block.take_part("context_details").drop("input_tokens", "output_tokens")
    return searches


def take_claim(block: CountBlock) -> Fields:
    """Take the cost that the block claims, in dollars, and the payer, where the key is the customer's own."""
    cost = block.get_value("cost")
    if nested := to_mapping(cost):
        cost = nested.get("total_cost")
    fields: Fields = {}
    amount, ticks = parse_amount(cost), parse_amount(block.get_value("cost_in_usd_ticks"))
    if amount is None and ticks is not None:
        amount = parse_amount(ticks.scaleb(-XAI_TICK_DECIMALS))
    if amount is not None:
        fields = {"claimed_cost": amount, "claimed_currency": "USD"}
    if block.get_value("is_byok") is True:
        fields["payer"] = "customer"
    return fields


def parse_amount(value: object) -> Decimal | None:
    """Return an amount of money, rounded to 12 decimals; None for what is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str, Decimal)):
        return None
    try:
        amount = Decimal(str(value))
        if not amount.is_finite() or not 0 <= amount < MAX_AMOUNT:
            return None
        return round(amount, 12)
    except InvalidOperation:
        return None


def _add_hidden_thoughts(usage: Usage, input: Input, output: Output, context: Context) -> Usage:
    """Add the reading of Gemini in OpenAI's form, which counts its thoughts in the total alone."""
    hidden = (usage.total or 0) - input.total - output.total
    if hidden <= 0 or output.reasoning or not context.has_model("gemini"):
        return usage
    input_classes = divide_input(input)
    output_classes = divide_output(output._replace(total=output.total + hidden, reasoning=hidden))
    if input_classes is None or output_classes is None:
        return usage
    reading = Reading(input_classes | output_classes, input.total, output.total + hidden)
    return usage._replace(readings=(*usage.readings, reading))


def _take_searches(block: CountBlock, details: CountBlock, context: Context) -> int:
    """Take the searches of either place. LiteLLM counts in its details, also the queries of Gemini."""
    tool_searches, queries = take_tool_searches(block), details.get_count("web_search_requests")
    searches = block.agree(tool_searches, queries)
    return searches if tool_searches else count_charged(searches, context)
