"""A request to LiteLLM's proxy as an ask for its admission: what it calls, for whom, and the most that it may use.

The proxy is asked for a model group before it has chosen a deployment of it, so the ask is for the most expensive.
Messages are counted, and nothing of them is kept.
"""

import json
import os
import sys
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from tallystick.gateways.litellm_payload import METADATA_OBJECTS, read_payload
from tallystick.gateways.provider_names import normalize_provider
from tallystick.usage.base import to_mapping
from tallystick.vocabulary.attribute_names import attribute_name

ADMIT_VARIABLE = "TALLY_ADMIT"
Policy = Literal["open", "closed"]
"""What becomes of a call where the ledger gives no answer: it is made, or refused."""
CALL_TYPES = frozenset((
    "completion", "text_completion", "embedding", "embeddings", "responses", "anthropic_messages", "generate_content",
    "generate_content_stream", "image_generation", "image_edit", "audio_transcription", "transcription", "speech",
    "rerank", "moderation",
))  # fmt: skip
"""Types of requests that call a model, by their synchronous names; no other is asked for."""
MAX_TOKENS_FIELDS = ("max_completion_tokens", "max_tokens", "max_output_tokens")
ADMISSION_KEY, STATUS_KEY = attribute_name("admission"), attribute_name("status")
_METADATA_NAMES = ("litellm_metadata", "metadata")
_CALLER_PREFIX = "user_api_key"
_TEXT_FIELDS = ("prompt", "input", "query")
_COUNTED_FIELDS = ("messages", "system", "contents", "tools", "instructions", *_TEXT_FIELDS, "documents")


class Deployment(NamedTuple):
    """A model as its provider knows it, and the provider as LiteLLM and as the ledger call it."""

    model: str
    litellm_provider: str | None
    provider: str | None


def read_policy() -> Policy | None:
    """Read what TALLY_ADMIT says; None where nothing is asked. ValueError where it says something else."""
    policy = os.environ.get(ADMIT_VARIABLE) or None
    if policy not in (None, "open", "closed"):
        raise ValueError(
            f"{ADMIT_VARIABLE} is {policy!r}: write open (calls go on where the ledger does not answer) or closed"
        )
    return policy  # type: ignore[return-value]


def is_admitted_type(call_type: object) -> bool:
    """Tell whether a request of this type calls a model, and so is asked for."""
    return isinstance(call_type, str) and (call_type in CALL_TYPES or call_type.removeprefix("a") in CALL_TYPES)


def find_metadata(data: dict[str, Any]) -> dict[str, Any]:
    """Return the metadata in which the proxy names the caller, which its log repeats; new where there is none."""
    candidates: list[dict[str, Any]] = [data[name] for name in _METADATA_NAMES if isinstance(data.get(name), dict)]
    callers = [metadata for metadata in candidates if any(str(key).startswith(_CALLER_PREFIX) for key in metadata)]
    for metadata in (*callers, *candidates):
        return metadata
    new_metadata = data["metadata"] = dict[str, Any]()
    return new_metadata


def read_admission(data: Mapping[str, Any]) -> str | None:
    """Return the admission that the metadata of a request names."""
    names = (to_mapping(data.get(place)).get(ADMISSION_KEY) for place in _METADATA_NAMES)
    return next((name for name in names if isinstance(name, str)), None)


def write_field(metadata: dict[str, Any], key: str, value: str | None) -> None:
    """Write a field into the metadata that the log of the call reads; what its caller wrote there does not count."""
    for place in (metadata, *(metadata.get(name) for name in METADATA_OBJECTS)):
        if isinstance(place, dict):
            place.pop(key, None)
    if value is not None:
        metadata[key] = value


def build_ask(data: dict[str, Any], call_type: str) -> dict[str, Any]:
    """Build the fields of an ask: the scopes that the log of the call will have, its deployment, and its bounds."""
    metadata, name = find_metadata(data), str(data.get("model") or "")
    input_tokens = count_input(name, data)
    max_tokens = next((data[field] for field in MAX_TOKENS_FIELDS if isinstance(data.get(field), int)), None)
    deployment = find_deployment(name, metadata.get("user_api_key_team_id"), input_tokens, max_tokens)
    if max_tokens is None and deployment is not None:
        max_tokens = _read_model_info(deployment).get("max_output_tokens")
    choices = data["n"] if isinstance(data.get("n"), int) else 1
    payload = {
        "litellm_call_id": data.get("litellm_call_id"), "call_type": call_type, "metadata": metadata,
        "trace_id": data.get("litellm_trace_id"), "session_id": data.get("litellm_session_id"),
        "end_user": data.get("user"),
    }  # fmt: skip
    fields = read_payload(payload, metadata)
    fields |= {"model": name or None, "input_tokens": input_tokens}
    if max_tokens is not None:
        fields["max_tokens"] = max_tokens * max(1, choices)
    if deployment is not None:
        fields |= {"model": deployment.model, "provider": deployment.provider}
    return {field: value for field, value in fields.items() if field not in ("admission", "status")}


def count_input(model: str, data: Mapping[str, Any]) -> int:
    """Count the input tokens by LiteLLM's tokenizer of the model; where it cannot, their bytes, of which a token has at
    least one."""
    try:
        import litellm

        texts = [data[field] for field in _TEXT_FIELDS if isinstance(data.get(field), str)]
        messages = data.get("messages")
        is_counted = all(field in ("messages", "tools") or isinstance(data[field], str) for field in _list_inputs(data))
        if is_counted and (texts or messages):
            tokens = 0 if not messages else litellm.token_counter(model, messages=messages, tools=data.get("tools"))
            return int(tokens) + sum(int(litellm.token_counter(model, text=text)) for text in texts)
    except Exception:  # noqa: BLE001  (whatever a message holds, it has bytes)
        pass
    inputs = {field: data[field] for field in _list_inputs(data)}
    return len(json.dumps(inputs, default=str, ensure_ascii=False).encode(errors="replace"))


def find_deployment(name: str, team: str | None, input_tokens: int, max_tokens: int | None) -> Deployment | None:
    """Find the most expensive deployment of a model group by LiteLLM's prices; of a model that is no group, itself."""
    deployments = [deployment for _, deployment in _list_deployments(name, team)]
    if not deployments and (deployment := _resolve({"model": name}, {})) is not None:
        deployments = [deployment]
    return max(deployments, key=lambda deployment: _estimate_cost(deployment, input_tokens, max_tokens), default=None)


def find_group(model: str, team: str | None) -> str:
    """Find the model group that serves a model; the model itself where none does, and LiteLLM says so."""
    if _list_deployments(model, team):
        return model
    return next((group for group, deployment in _list_deployments(None, team) if deployment.model == model), model)


def _list_inputs(data: Mapping[str, Any]) -> list[str]:
    return [field for field in _COUNTED_FIELDS if data.get(field) not in (None, "", [])]


def _list_deployments(name: str | None, team: str | None) -> list[tuple[str, Deployment]]:
    """List the deployments that the proxy has of a group, or of all, with their groups."""
    router = getattr(sys.modules.get("litellm.proxy.proxy_server"), "llm_router", None)
    entries = router.get_model_list(model_name=name, team_id=team) if router is not None else None
    resolved = [
        (str(entry.get("model_name")), _resolve(to_mapping(entry.get("litellm_params")), entry.get("model_info")))
        for entry in entries or ()
    ]
    return [(group, deployment) for group, deployment in resolved if deployment is not None]


def _resolve(parameters: Mapping[str, Any], model_info: Any) -> Deployment | None:
    """Resolve what LiteLLM calls ``provider/model``; its base model where a deployment has a name of its own."""
    import litellm

    try:
        host = parameters.get("api_base")
        model, provider, _, _ = litellm.get_llm_provider(
            model=parameters.get("model"), custom_llm_provider=parameters.get("custom_llm_provider"), api_base=host
        )
    except Exception:  # noqa: BLE001  (LiteLLM raises what its providers' names call for)
        return None
    base = to_mapping(model_info).get("base_model")
    known_model = str(base).removeprefix(f"{provider}/") if base else model
    return Deployment(known_model, provider, normalize_provider(provider, host if isinstance(host, str) else None))


def _estimate_cost(deployment: Deployment, input_tokens: int, max_tokens: int | None) -> float:
    info = _read_model_info(deployment)
    output_tokens = max_tokens or info.get("max_output_tokens") or 0
    rates = info.get("input_cost_per_token") or 0.0, info.get("output_cost_per_token") or 0.0
    return float(rates[0]) * input_tokens + float(rates[1]) * output_tokens


def _read_model_info(deployment: Deployment) -> Mapping[str, Any]:
    import litellm

    try:
        return to_mapping(litellm.get_model_info(deployment.model, custom_llm_provider=deployment.litellm_provider))
    except Exception:  # noqa: BLE001  (a model that LiteLLM does not know)
        return {}
