"""Forms that LiteLLM's spend logs and its StandardLoggingPayload share. Pure."""

from collections.abc import Mapping
from typing import Any

from ingest.adapters.cells import is_absent, is_true, parse_count
from ingest.adapters.fields import Fields
from ingest.adapters.head import parse_json
from ingest.adapters.token_usage import find_unreadable, select_counts
from tallystick.gateways.litellm_payload import is_empty_usage
from tallystick.usage.reader import read_fields

PROVIDERS = {
    "azure_ai": "azure",
    "azure_text": "azure",
    "fireworks_ai": "fireworks",
    "text-completion-openai": "openai",
}
"""LiteLLM's names of providers, where price books know another one."""
CALLER_FIELDS = {
    "user_api_key_team_id": "team", "user_api_key_project_id": "project", "user_api_key_user_id": "user",
    "user_api_key_end_user_id": "customer", "user_api_key_hash": "key",
}  # fmt: skip
"""Keys of the metadata that name who called."""
METADATA_OBJECTS = ("requester_metadata", "spend_logs_metadata", "user_api_key_auth_metadata")
"""Objects of the metadata that callers and administrators fill."""


def fill_model(fields: Fields) -> None:
    """Fill the provider, and the models that were asked for and that answered. ``azure/gpt-4o`` is ``gpt-4o`` of
    ``azure``."""
    provider, model = fields.take("custom_llm_provider"), fields.take("model")
    if isinstance(model, str) and "/" in model:
        prefix, _, rest = model.partition("/")
        if is_absent(provider) or prefix == provider:
            provider, model = prefix, rest
    fields.text("provider", PROVIDERS.get(str(provider), provider), "custom_llm_provider")
    group = fields.take("model_group")
    fields.text("model", model if group is None else group, "model")
    fields.text("model_resolved", model, "model")


def fill_usage(fields: Fields, metadata: Mapping[str, Any]) -> None:
    """Fill usage from the columns, with the provider's usage block and what LiteLLM counted beside it."""
    columns = ("prompt_tokens", "completion_tokens", "total_tokens")
    block = {name: count for name in columns if (count := parse_count(fields.take(name))) is not None}
    for name in ("additional_usage_values", "usage_object"):
        details = metadata.get(name)
        if isinstance(details, Mapping):
            block |= {key: value for key, value in details.items() if value is not None}
    if find_unreadable(fields.row, columns) or _is_cut(fields.row.get("metadata")):
        fields.usage({"usage_source": "unknown", "provider_usage": select_counts(block)})
        return
    model, is_empty = fields.row.get("model"), is_empty_usage(block)
    usage = None if is_empty else read_fields({"usage": block}, model=model if isinstance(model, str) else None)
    if usage is None:
        usage = {"usage_source": "missing" if is_empty else "unknown"}
        if not is_empty:
            usage["provider_usage"] = select_counts(block)
    fields.usage(usage)


def _is_cut(metadata: Any) -> bool:
    """Tell whether a cell of metadata ends early, as spreadsheets cut long ones: what it said of the cache is lost."""
    return isinstance(metadata, str) and metadata.lstrip().startswith("{") and parse_json(metadata) is None


def fill_caller(fields: Fields, metadata: Mapping[str, Any]) -> None:
    """Fill who called, and what ``tallystick.*`` keys of the metadata say."""
    for name in METADATA_OBJECTS:
        attributes = metadata.get(name)
        if isinstance(attributes, Mapping):
            fields.attributes(attributes)
    fields.attributes(metadata)
    for name, field in CALLER_FIELDS.items():
        fields.text(field, metadata.get(name), f"metadata.{name}")
    fields.tag("key_alias", metadata.get("user_api_key_alias"))
    fields.tag("organization", metadata.get("user_api_key_org_id"))


def fill_response_cache(fields: Fields) -> None:
    """Tell whether the gateway's own cache answered; nothing where it was off."""
    is_hit, key = fields.take("cache_hit"), fields.take("cache_key")
    if is_true(is_hit):
        fields.data["response_cache"] = "hit"
    elif is_hit is not None and key is not None and key != "Cache OFF":
        fields.data["response_cache"] = "miss"
