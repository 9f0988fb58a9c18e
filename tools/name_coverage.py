"""Count the names of LiteLLM's price map that the installed catalogue prices: ``python -m tools.name_coverage MAP``.

MAP is ``model_prices_and_context_window_backup.json`` of the litellm package. Names that have a rate for input tokens
count, once as a gateway writes them, without a provider, and once with the map's provider.
"""

import json
import sys
from collections import Counter
from pathlib import Path

from ledger.pricing.genai_prices import genai_prices
from streams.folds.prices.offer import Offer
from streams.folds.prices.price_lookup import Catalogue, find_offer

MODES = ("chat", "completion", "embedding", "responses")
TIME_US = 1_796_000_000 * 1_000_000
"""A moment at which every price of the catalogue holds: November 2026."""


def main(path: Path) -> None:
    catalogue = Catalogue("", genai_prices())
    counts: Counter[str] = Counter()
    for model, facts in json.loads(path.read_text()).items():
        if facts.get("mode") not in MODES or facts.get("input_cost_per_token") is None:
            continue
        counts["names"] += 1
        for form, provider in (("without a provider", None), ("with a provider", facts.get("litellm_provider"))):
            offer = find_offer([catalogue], provider, (model.lower(),), TIME_US)
            counts[form if isinstance(offer, Offer) else f"{form}, {offer}"] += 1
    for form, count in sorted(counts.items()):
        print(f"{form:50} {count:6,} {count / counts['names']:7.1%}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
