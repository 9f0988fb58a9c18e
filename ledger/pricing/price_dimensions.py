"""Dimensions of a call that choose among the rates of one price: the words of providers, and their one spelling."""

from functools import lru_cache

PRICE_DIMENSIONS = {"service_tier": "service tier", "speed": "speed", "geography": "geography"}
"""Fields of an inference by which a price has variants, each with its name in a sentence."""

BASE_WORDS = {
    "service_tier": frozenset(
        {"standard", "default", "auto", "on_demand", "ondemand", "standard_only", "unspecified", "normal", "none",
         "traffic_type_unspecified"}
    ),
    "speed": frozenset({"standard", "default", "normal", "none"}),
    "geography": frozenset({"global", "not_available", "default", "worldwide", "unspecified", "none"}),
}  # fmt: skip
"""Words that mean the base price. ``auto`` asks for whatever tier there is, and no provider answers with it but for its
base; ``global`` and ``not_available`` are Anthropic's for no restriction; ``on_demand`` is Groq's and Vertex's."""

SYNONYMS = {
    "service_tier": {
        "batches": "batch",
        "batch_api": "batch",
        "batch_prediction": "batch",
        "on_demand_priority": "priority",
        "on_demand_flex": "flex",
    },
    "speed": {},
    "geography": {"usa": "us", "united_states": "us"},
}
"""Other words for a value: ``batches`` is an endpoint's name, ``ON_DEMAND_FLEX`` Vertex's type of traffic."""

_PREFIX = "service_tier_"


@lru_cache(maxsize=10_000)
def normalize_dimension(name: str, value: str | None) -> str | None:
    """Return a value of a price dimension in the spelling of price books; None where it means the base price."""
    if value is None:
        return None
    word = value.strip().lower().replace("-", "_").replace(" ", "_").removeprefix(_PREFIX)
    word = SYNONYMS[name].get(word, word)
    return None if not word or word in BASE_WORDS[name] else word
