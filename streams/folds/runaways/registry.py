"""The detectors of runaways, each a fold of its own: the one list of them."""

from streams.folds.fold import Fold
from streams.folds.runaways import repeated_tool

DETECTORS: tuple[Fold, ...] = (repeated_tool.FOLD,)
