"""Write what LiteLLM's price map and the compiled catalogue price differently into ``docs/prices_litellm.md``.

``python tools/compare_prices.py MAP VERSION DAY``: MAP is ``litellm/model_prices_and_context_window_backup.json`` of an
installed LiteLLM, VERSION its version, DAY the day (2026-11-30) at which our prices are read. Compared are the models
that both know of the providers in ``PROVIDERS``, by each rate that both name. LiteLLM's prices of single regions are
left out.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from ledger.money import PICO
from ledger.pricing.genai_prices import genai_prices
from ledger.pricing.price_book import PriceBook
from ledger.token_classes import rate_unit
from streams.folds.prices.offer import select_variant
from streams.folds.prices.price_lookup import Catalogue, find_offer
from tallystick.vocabulary.base import format_decimal

DOCUMENT = Path(__file__).resolve().parent.parent / "docs/prices_litellm.md"
BEGIN, END = "<!-- begin litellm (tools/compare_prices.py) -->\n", "<!-- end litellm -->"

PROVIDERS = {
    "anthropic": "anthropic", "openai": "openai", "gemini": "google", "xai": "x-ai", "deepseek": "deepseek",
    "mistral": "mistral", "groq": "groq", "cohere": "cohere", "cohere_chat": "cohere", "perplexity": "perplexity",
    "moonshot": "moonshotai", "voyage": "voyageai", "cerebras": "cerebras", "fireworks_ai": "fireworks",
    "together_ai": "together", "bedrock": "aws", "bedrock_converse": "aws", "azure": "azure",
}  # fmt: skip
"""LiteLLM's names of providers, and the catalogue's."""

RATES = {
    "input_cost_per_token": "input", "output_cost_per_token": "output", "cache_read_input_token_cost": "cache_read",
    "cache_creation_input_token_cost": "cache_write", "cache_creation_input_token_cost_above_1hr": "cache_write_1h",
    "output_cost_per_reasoning_token": "reasoning", "input_cost_per_audio_token": "input_audio",
    "output_cost_per_audio_token": "output_audio", "input_cost_per_image_token": "input_image",
    "output_cost_per_image_token": "output_image", "ocr_cost_per_page": "pages",
}  # fmt: skip
TIERS = {"_batches": "batch", "_flex": "flex", "_priority": "priority"}
ABOVE = {f"_above_{thousands}k_tokens": thousands * 1000 for thousands in (32, 100, 128, 200, 256, 272, 512)}


def parse_key(key: str) -> tuple[str, str | None, int] | None:
    """Return the class, the service tier and the context tier of a rate's key; None for one that is not compared."""
    tier = next((word for ending, word in TIERS.items() if key.endswith(ending)), None)
    stem = key if tier is None else key.rpartition("_")[0]
    above = next((tokens for ending, tokens in ABOVE.items() if stem.endswith(ending)), 0)
    stem = stem if not above else stem.removesuffix(f"_above_{above // 1000}k_tokens")
    return (RATES[stem], tier, above) if stem in RATES else None


def compare(prices: Mapping[str, Any], book: PriceBook, time: datetime) -> dict[str, list[str]]:
    """Return the differences of each provider, a line for the models that differ alike."""
    catalogue = Catalogue("document", book)
    time_us = int(time.timestamp()) * 10**6
    models: dict[str, dict[str, list[str]]] = {}
    counts = dict.fromkeys(PROVIDERS.values(), 0)
    seen: set[tuple[str, str]] = set()
    for name, entry in sorted(prices.items()):
        provider = PROVIDERS.get(entry.get("litellm_provider", "")) if isinstance(entry, dict) else None
        has_slashes = provider in ("fireworks", "together")
        if provider is None or (name.count("/") > 1 and not has_slashes):
            continue
        model = name.partition("/")[2] if has_slashes else name.rpartition("/")[2]
        offer = find_offer([catalogue], provider, (model.lower(),), time_us)
        if isinstance(offer, str) or (provider, model) in seen:
            continue
        seen.add((provider, model))
        counts[provider] += 1
        if differences := "; ".join(list_differences(entry, offer, time_us)):
            models.setdefault(provider, {}).setdefault(differences, []).append(f"`{model}`")
    return {
        f"{provider}: {sum(map(len, models.get(provider, {}).values()))} of {count} models": [
            f"- {', '.join(names)}: {differences}" for differences, names in models.get(provider, {}).items()
        ]
        for provider, count in sorted(counts.items())
        if count
    }


def list_differences(entry: Mapping[str, Any], offer: Any, time_us: int) -> Iterator[str]:
    """Yield each rate that both name and that differs: theirs, then ours, per million tokens or thousand of another."""
    unpriced_tiers: dict[str, None] = {}
    for key in sorted(entry):
        parsed = parse_key(key)
        if parsed is None or not isinstance(entry[key], int | float):
            continue
        name, tier, above = parsed
        priced, reason = select_variant(offer, tier, None, None, time_us)
        unit_price = priced.unit_price(name, priced.stated_tier(above))
        theirs = round(Decimal(str(entry[key])) * rate_unit(name), 6)
        if reason is not None:
            unpriced_tiers[str(tier)] = None
        elif isinstance(unit_price, int) and (ours := Decimal(unit_price * rate_unit(name)) / PICO) != theirs:
            words = " ".join(filter(None, (tier, name, f"above {above // 1000}k" if above else "")))
            yield f"{words} {format_decimal(theirs)}, here {format_decimal(round(ours, 9))}"
    if unpriced_tiers:
        yield f"{', '.join(unpriced_tiers)} unpriced here"


def render(prices: Mapping[str, Any], version: str, time: datetime) -> str:
    """Write the section: a list a provider."""
    book = genai_prices()
    parts = [f"Of LiteLLM {version} against {book.origin}, at the prices of {time:%Y-%m-%d}.\n"]
    for title, lines in compare(prices, book, time).items():
        differences = "\n".join(lines or ["None."])
        parts.append(f"<details><summary>{title} differ</summary>\n\n{differences}\n\n</details>\n")
    return "\n".join(parts)


def main() -> None:
    map_path, version, day = sys.argv[1:]
    prices = json.loads(Path(map_path).read_text())
    text = DOCUMENT.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    section = render(prices, version, datetime.fromisoformat(f"{day}T12:00:00").replace(tzinfo=UTC))
    DOCUMENT.write_text(f"{before}{BEGIN}{section}{END}{after}")


if __name__ == "__main__":
    main()
