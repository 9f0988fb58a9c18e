"""Find the usage block in a response, an event of a stream, a line of a batch, or an object of a library (pure)."""

from collections.abc import Iterator
from typing import NamedTuple

from tallystick.usage.base import Block, Fields, get_path, get_term, get_word, may_have, to_mapping
from tallystick.usage.token_details import parse_amount

Path = tuple[str | int, ...]

BARE = "bare_usage"
"""The name that merged chunks give to blocks that stood under none."""

LOCATIONS: tuple[Path, ...] = (
    ("usage_metadata",),  # LangChain, google-genai
    ("usageMetadata",),  # Gemini
    ("totalUsage",),  # the Vercel AI SDK's last part
    ("usage",),
    ("metadata", "usage_object"),  # LiteLLM's StandardLoggingPayload
    ("response", "usage"),  # events of OpenAI's responses and realtime
    ("response", "usageMetadata"),  # a line of a Gemini batch
    ("response", "usage_metadata"),
    ("response", "body", "usage"),  # a line of an OpenAI batch
    ("body", "usage"),
    ("message", "usage"),  # Anthropic's message_start
    ("message", "usage_metadata"),
    ("kwargs", "usage_metadata"),  # LangChain's dumpd
    ("data", "usage_metadata"),  # LangChain's message_to_dict
    ("data", "usage"),  # events of assistants
    ("interaction", "usage"),  # events of Gemini's interactions
    ("result", "message", "usage"),  # a line of an Anthropic batch
    ("result", "usage"),  # Cloudflare's Workers AI
    ("delta", "usage"),  # Cohere's message-end
    ("metadata", "usage"),  # Bedrock's ConverseStream
    ("x_groq", "usage"),
    ("choices", 0, "usage"),  # Moonshot's streams
    ("generations", 0, 0, "message", "usage_metadata"),  # LangChain's LLMResult
    ("llm_output", "token_usage"),
    ("llm_output", "usage"),
    ("response_metadata", "token_usage"),
    ("response_metadata", "usage"),
    ("meta",),  # Cohere's v1
    ("response", "meta"),
    ("amazon-bedrock-invocationMetrics",),
    ("response_metadata", "amazon-bedrock-invocationMetrics"),
    ("ResponseMetadata", "HTTPHeaders"),
    ("usage_info",),  # Mistral's OCR
    (BARE,),
)
OUTER_LOCATIONS = frozenset(str(path[0]) for path in LOCATIONS)
MODEL_NAMES = ("model", "modelVersion", "model_version", "modelId", "model_id", "model_name")
MODEL_PLACES: tuple[tuple[str, ...], ...] = (
    ("response_metadata",), ("response",), ("message",), ("llm_output",), ("trace", "promptRouter"),
    ("ResponseMetadata", "HTTPHeaders"),
)  # fmt: skip
"""Paths, within an object around a block, of objects that may name a model too."""
OUTER_PLACES = frozenset(place[0] for place in MODEL_PLACES)
BATCH_LOCATIONS = (("response", "body", "usage"), ("result", "message", "usage"))
GEMINI_BATCH_LOCATIONS = (("response", "usageMetadata"), ("response", "usage_metadata"))
WORDS = frozenset((
    *MODEL_NAMES, "invokedModelId", "service_tier", "serviceTier", "trafficType", "traffic_type", "speed",
    "performanceConfig", "inference_geo",
))  # fmt: skip
"""Every name by which :func:`read_words` looks a word up."""
UNSAID = frozenset(("not_available", "auto", "TRAFFIC_TYPE_UNSPECIFIED"))
"""Words that say nothing of where or how a call was served."""


class Payload(NamedTuple):
    """A usage block, the path on which it stands (empty: the response is the block), and the objects around it from the
    innermost out."""

    block: Block
    path: Path
    envelopes: tuple[Block, ...]


def list_payloads(response: Block) -> Iterator[Payload]:
    """List the blocks that a response may mean, the most telling first, the response itself last."""
    for path in LOCATIONS if may_have(response, OUTER_LOCATIONS) else ():
        if path[0] not in response:
            continue
        envelopes, value = [response], response[path[0]]  # type: ignore[index]  # the first name is a text
        for name in path[1:]:
            value = _step(value, name, envelopes)
        if block := to_mapping(value):
            yield Payload(block, path, tuple(reversed(envelopes)))
    yield Payload(response, (), (response,))


def _step(value: object, name: str | int, envelopes: list[Block]) -> object:
    """Return the value of a name or an index, and note the object around it."""
    if isinstance(name, int):
        return value[name] if isinstance(value, (list, tuple)) and len(value) > name else None
    inner = to_mapping(value)
    envelopes.append(inner)
    return inner.get(name)


def read_words(payload: Payload) -> Fields:
    """Return the fields that words around a block and in it fill: model, tier, speed and geography."""
    objects = [inner for envelope in payload.envelopes for inner in _list_places(envelope) if may_have(inner, WORDS)]
    sources = [payload.block, *objects] if may_have(payload.block, WORDS) else objects
    fields: Fields = {}
    if sources:
        model = next((word for inner in objects if (word := get_word(inner, *MODEL_NAMES))), None)
        router = next((word for inner in objects if (word := get_word(inner, "invokedModelId"))), None)
        fields = {
            "model_resolved": router or model,
            "service_tier": _find_tier(sources),
            "speed": next((word for inner in sources if (word := _get_speed(inner))), None),
            "geography": next((word for inner in sources if (word := get_term(inner, "inference_geo"))), None),
        }
    if payload.path in BATCH_LOCATIONS or _is_gemini_batch(payload):
        fields["service_tier"] = "batch"
    if (claim := parse_amount(payload.envelopes[-1].get("response_cost"))) is not None:  # of LiteLLM's payloads
        fields |= {"claimed_cost": claim, "claimed_currency": "USD"}
    return {name: word for name, word in fields.items() if word is not None and word not in UNSAID}


def _list_places(envelope: Block) -> list[Block]:
    """List the object around a block, and those within it where a model may be named."""
    places = [envelope]
    if may_have(envelope, OUTER_PLACES):
        places += [get_path(envelope, *place) for place in MODEL_PLACES if place[0] in envelope]
    return places


def _get_speed(inner: Block) -> str | None:
    configuration = inner.get("performanceConfig")  # Bedrock's
    latency = None if configuration is None else get_term(to_mapping(configuration), "latency")
    return get_term(inner, "speed") or (latency if latency != "standard" else None)


def _find_tier(sources: list[Block]) -> str | None:
    for inner in sources:
        tier = inner.get("service_tier", inner.get("serviceTier"))
        word = None if tier is None else get_term(to_mapping(tier), "type") or get_term({"tier": tier}, "tier")
        if word := word or get_term(inner, "trafficType", "traffic_type"):
            return word
    return None


def _is_gemini_batch(payload: Payload) -> bool:
    return payload.path in GEMINI_BATCH_LOCATIONS and bool({"key", "request"} & payload.envelopes[-1].keys())
