"""Names of span attributes that are read, and the slot that each fills. Pure.

Five vocabularies name the same things: OpenTelemetry's GenAI conventions (current and older), OpenLLMetry
(``traceloop.*``, ``llm.*``), OpenInference, the Vercel AI SDK (``ai.*``) and pydantic-ai with Logfire. A slot takes the
value of its first name that a span has. **Every attribute that is not named here is skipped unread**, so prompts,
completions and tool arguments are never taken out of a span.
"""

import re
from functools import lru_cache
from typing import NamedTuple

from tallystick.vocabulary.attribute_names import ATTRIBUTE_PREFIX, field_of_attribute

FIELD, UNREAD = "field:", "unread:"
"""Slots by prefix: a field of the vocabulary that ``tallystick.*`` names, and a count that no slot takes."""
PROPERTY_RANK = 100
"""The rank of an application's labels, behind every name of the conventions."""

_COUNTS: dict[str, tuple[str, ...]] = {
    "input": (
        "gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.token_count.prompt", "ai.usage.inputTokens",
        "ai.usage.promptTokens", "ai.usage.tokens", "llm.usage.prompt_tokens",
    ),
    "output": (
        "gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.token_count.completion",
        "ai.usage.outputTokens", "ai.usage.completionTokens", "llm.usage.completion_tokens",
    ),
    "total": (
        "gen_ai.usage.total_tokens", "llm.usage.total_tokens", "llm.token_count.total", "ai.usage.totalTokens",
    ),
    "cache_read": (
        "gen_ai.usage.cache_read.input_tokens", "llm.token_count.prompt_details.cache_read",
        "llm.token_count.prompt_details.cache_input", "ai.usage.inputTokenDetails.cacheReadTokens",
        "gen_ai.usage.input_tokens.cached", "gen_ai.usage.details.cache_read_tokens",
        "gen_ai.usage.cached_input_tokens", "gen_ai.usage.input_token_details.cache_read",
        "gen_ai.usage.prompt_tokens_details.cached_tokens", "gen_ai.usage.input_tokens_details.cached_tokens",
        "gen_ai.openai.usage.prompt_tokens_cached", "gen_ai.usage.details.cached_tokens",
    ),
    "cache_write": (
        "gen_ai.usage.cache_creation.input_tokens", "gen_ai.usage.cache_write.input_tokens",
        "llm.token_count.prompt_details.cache_write", "ai.usage.inputTokenDetails.cacheWriteTokens",
        "gen_ai.usage.input_tokens.cache_write", "gen_ai.usage.details.cache_write_tokens",
        "gen_ai.usage.input_token_details.cache_creation", "ai.usage.cacheCreationInputTokens",
    ),
    "vercel_cache_read": ("ai.usage.cachedInputTokens",),
    "native_cache_read": (
        "gen_ai.usage.cache_read_input_tokens", "llm.anthropic.usage.cache_read_input_tokens",
        "gen_ai.usage.cache_read_tokens", "gen_ai.usage.details.cache_read_input_tokens",
    ),
    "native_cache_write": (
        "gen_ai.usage.cache_creation_input_tokens", "gen_ai.usage.cache_write_input_tokens",
        "llm.anthropic.usage.cache_creation_input_tokens", "gen_ai.usage.cache_write_tokens",
        "gen_ai.usage.cache_creation_tokens", "gen_ai.usage.details.cache_creation_input_tokens",
    ),
    "reasoning": (
        "gen_ai.usage.reasoning.output_tokens", "gen_ai.usage.reasoning_tokens", "llm.usage.reasoning_tokens",
        "llm.token_count.completion_details.reasoning", "ai.usage.outputTokenDetails.reasoningTokens",
        "ai.usage.reasoningTokens", "gen_ai.usage.output_tokens.reasoning", "gen_ai.usage.details.reasoning_tokens",
        "gen_ai.usage.details.thoughts_tokens", "gen_ai.usage.thoughts_tokens", "gen_ai.usage.thinking_tokens",
        "gen_ai.usage.details.thinking_tokens", "gen_ai.usage.reasoning_output_tokens",
        "gen_ai.usage.output_token_details.reasoning", "gen_ai.usage.output_tokens_details.reasoning_tokens",
        "gen_ai.usage.completion_tokens_details.reasoning_tokens",
    ),
    "input_audio": (
        "gen_ai.usage.audio.input_tokens", "llm.token_count.prompt_details.audio",
        "gen_ai.usage.details.input_audio_tokens",
    ),
    "cache_read_audio": (
        "gen_ai.usage.audio.cache_read.input_tokens", "gen_ai.usage.details.cache_audio_read_tokens",
    ),
    "input_image": ("gen_ai.usage.image.input_tokens",),
    "cache_read_image": ("gen_ai.usage.image.cache_read.input_tokens",),
    "output_audio": (
        "gen_ai.usage.audio.output_tokens", "llm.token_count.completion_details.audio",
        "gen_ai.usage.details.output_audio_tokens",
    ),
    "output_image": ("gen_ai.usage.image.output_tokens",),
}  # fmt: skip
"""Counts of tokens. The names of ``native_…`` are the provider's own, from before the conventions said that the input
includes them: instrumentations that use them write the input with or without. Version 5 of the Vercel AI SDK has one
name for the cache, and leaves Anthropic's out of its totals."""

_FIELDS: dict[str, tuple[str, ...]] = {
    "operation": ("gen_ai.operation.name",),
    "openinference_kind": ("openinference.span.kind",),
    "request_type": ("llm.request.type",),
    "traceloop_kind": ("traceloop.span.kind",),
    "vercel_operation": ("ai.operationId",),
    "logfire_type": ("logfire.span_type",),
    "provider": (
        "gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system", "ai.model.provider",
    ),
    "host": ("server.address", "gen_ai.openai.api_base", "llm.openai.api_base", "http.host"),
    "model": (
        "gen_ai.request.model", "llm.request.model_name", "llm.model_name", "ai.model.id", "llm.request.model",
        "embedding.model_name",
    ),
    "model_resolved": (
        "gen_ai.response.model", "llm.response.model_name", "ai.response.model", "llm.response.model",
    ),
    "response_id": ("gen_ai.response.id", "ai.response.id", "llm.response.id"),
    "finish_reason": (
        "gen_ai.response.finish_reasons", "ai.response.finishReason", "llm.finish_reason",
        "gen_ai.response.finish_reason", "gen_ai.response.stop_reason", "llm.response.finish_reason",
        "llm.response.stop_reason",
    ),
    "service_tier": (
        "openai.response.service_tier", "gen_ai.openai.response.service_tier", "gen_ai.response.service_tier",
        "anthropic.response.service_tier",
    ),
    "requested_service_tier": ("openai.request.service_tier", "gen_ai.openai.request.service_tier"),
    "max_tokens": (
        "gen_ai.request.max_tokens", "gen_ai.request.max_completion_tokens", "ai.settings.maxOutputTokens",
        "ai.settings.maxTokens",
    ),
    "time_to_first_chunk_s": (
        "gen_ai.response.time_to_first_chunk", "gen_ai.client.operation.time_to_first_chunk",
        "gen_ai.server.time_to_first_token",
    ),
    "time_to_first_token_ms": ("ai.response.msToFirstChunk",),
    "error_code": ("error.type",),
    "claimed_cost": (
        "gen_ai.usage.cost", "gen_ai.usage.total_cost", "gen_ai.cost.total_cost", "llm.cost.total", "operation.cost",
        "gen_ai.usage.cost.total",
    ),
    "session": (
        "gen_ai.conversation.id", "session.id", "langfuse.session.id", "thread.id", "gen_ai.session.id",
    ),
    "user": ("user.id", "langfuse.user.id", "gen_ai.user", "llm.user"),
    "customer": ("enduser.id",),
    "agent": ("gen_ai.agent.name", "agent.name", "agent_name", "traceloop.agent.name"),
    "agent_version": ("gen_ai.agent.version",),
    "entity": ("traceloop.entity.name",),
    "tool": ("gen_ai.tool.name", "tool.name", "ai.toolCall.name"),
    "prompt": ("gen_ai.prompt.name", "traceloop.prompt.key", "llm.prompt_template.id"),
    "prompt_version": (
        "gen_ai.prompt.version", "traceloop.prompt.version", "llm.prompt_template.version",
    ),
    "corpus_version": ("gen_ai.data_source.id",),
    "feature": ("ai.telemetry.functionId", "traceloop.workflow.name"),
    "environment": ("deployment.environment.name", "deployment.environment"),
    "source": ("service.name",),
    "metadata": ("metadata",),
}  # fmt: skip

_PROPERTY_PREFIXES = (
    "traceloop.association.properties.", "ai.telemetry.metadata.", "langsmith.metadata.", "langfuse.trace.metadata.",
    "metadata.",
)  # fmt: skip
PROPERTY_FIELDS = {
    "user": ("user_id", "userid", "user"),
    "customer": (
        "customer_id", "customerid", "customer", "tenant", "tenant_id", "end_user_id", "end_user",
        "user_api_key_end_user_id",
    ),
    "session": (
        "session_id", "sessionid", "session", "thread_id", "threadid", "conversation_id", "conversationid", "chat_id",
    ),
    "team": ("team", "team_id", "user_api_key_team_alias", "user_api_key_team_id"),
    "project": ("project", "project_id", "user_api_key_project_alias", "user_api_key_project_id"),
    "feature": ("feature",),
    "environment": ("environment", "env"),
    "agent": ("agent", "agent_name", "lc_agent_name"),
}  # fmt: skip
"""Labels of an application that name a field of ours. Other labels are skipped: they may be content. A label of one's
own is sent as ``tallystick.tags.<label>``."""
_FIELD_BY_PROPERTY = {label: field for field, labels in PROPERTY_FIELDS.items() for label in labels}

_COUNT_NAMES = re.compile(r"(gen_ai\.usage\.|llm\.token_count\.|llm\.usage\.|ai\.usage\.).+")
_HARMLESS = re.compile(
    r".*(text|noCache|prediction|billed|cost|currency|price|seconds|duration|token_type|tokens_per|requests|raw|"
    r"tool_calls|input_token_details|output_token_details|total_input_tokens|iterations).*"
)
"""Counts that repeat what is read (text is the remainder of the other kinds; predictions are billed as output), and
names that are no counts of tokens."""


class Slot(NamedTuple):
    """A slot that an attribute fills, and its rank among the names of the slot: the least wins."""

    name: str
    rank: int


_SLOTS = {
    name: Slot(slot, rank)
    for slots in (_COUNTS, _FIELDS)
    for slot, names in slots.items()
    for rank, name in enumerate(names)
}
COUNT_SLOTS = frozenset(_COUNTS)
IDENTITY_NAMES = ("source", "id")
"""``tallystick.source`` and ``tallystick.id``: the identity of the event, where an application has one of its own."""


MAX_NAME_LENGTH = 128
"""Characters of the longest name that is looked at."""


@lru_cache(maxsize=4096)
def find_slot(name: str) -> Slot | None:
    """Return the slot that an attribute fills; None where it is not read. Names of at most ``MAX_NAME_LENGTH``, since
    the cache keeps them."""
    if (slot := _SLOTS.get(name)) is not None:
        return slot
    if name.startswith(ATTRIBUTE_PREFIX):
        is_identity = name.removeprefix(ATTRIBUTE_PREFIX) in IDENTITY_NAMES
        field = name.removeprefix(ATTRIBUTE_PREFIX) if is_identity else field_of_attribute(name)
        return Slot(FIELD + (field or name), 0)  # a name that carries no field is left out by name
    if prefix := next((prefix for prefix in _PROPERTY_PREFIXES if name.startswith(prefix)), None):
        field = find_property_field(name[len(prefix) :])
        return Slot(field, PROPERTY_RANK) if field else None
    if _COUNT_NAMES.fullmatch(name) and not _HARMLESS.fullmatch(name):
        return Slot(UNREAD + name, 0)
    return None


def find_property_field(label: str) -> str | None:
    """Return the field that a label of an application names, in any case and spelling; None where there is none."""
    return _FIELD_BY_PROPERTY.get(label.lower().replace("-", "_"))
