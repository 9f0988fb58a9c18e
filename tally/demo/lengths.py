"""Lengths of calls: quantiles of two public traces, from which lengths are drawn.

Code completion: Azure LLM inference trace 2023, code (Azure Public Dataset, CC-BY 4.0; Splitwise, ISCA 2024).
Conversation: Mooncake conversation trace (kvcache-ai/Mooncake, Apache 2.0; FAST 2025).
"""

from bisect import bisect_right
from random import Random

SHARES = (0.0, 0.05, 0.10, 0.25, 0.50, 0.75, 0.90, 0.95, 0.99, 1.0)

CODE_INPUT = (3, 75, 147, 578, 1469, 2745, 5194, 7315, 7436, 7437)
CODE_OUTPUT = (6, 6, 7, 9, 13, 24, 55, 90, 252, 1899)
CHAT_INPUT = (891, 901, 964, 2306, 6909, 15368, 27367, 39552, 85401, 126195)
CHAT_OUTPUT = (1, 10, 24, 156, 350, 472, 597, 698, 1120, 2000)


def draw_length(quantiles: tuple[int, ...], chance: Random) -> int:
    """Draw a length from a distribution: between two quantiles every length is equally likely."""
    share = chance.random()
    index = bisect_right(SHARES, share) - 1
    low, high = quantiles[index], quantiles[index + 1]
    return round(low + (high - low) * (share - SHARES[index]) / (SHARES[index + 1] - SHARES[index]))
