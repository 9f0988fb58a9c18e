"""``docs/prices.md`` names every reason of a call without a price, and every mark of a model's name."""

import ast
import re

from ledger.pricing.name_parts import OFFER_MARKS
from ledger.pricing.price_dimensions import PRICE_DIMENSIONS
from tests.tally.conftest import ROOT

_REASON = re.compile(r"no (model|price|rate|list)(.*\S)?|usage (missing|unknown)|totals without classes|quarantined")
_RULES = (
    "contracts/agreement.py", "prices/offer.py", "prices/price_lookup.py", "rating.py", "unknown_usage.py",
)  # fmt: skip
"""Files of the folds that give a call the reason why it has no price."""


def read_strings(tree: ast.AST) -> list[str]:
    """Read the strings of code that are no docstring, with ``{}`` for what is filled in."""
    docstrings = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    strings = []
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = (part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)
            strings.append("".join(map(str, parts)))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            strings.append(node.value)
    return strings


def find_reasons() -> set[str]:
    """Find the reasons in the code of the folds; one that names a dimension stands for all of them."""
    strings = {
        string for name in _RULES for string in read_strings(ast.parse((ROOT / "streams/folds" / name).read_text()))
    }
    reasons = {string for string in strings if _REASON.fullmatch(string)}
    dimensions = PRICE_DIMENSIONS.values()
    return {reason.replace("{} {}", f"{dimension} 'x'") for reason in reasons for dimension in dimensions}


def test_every_reason_has_a_way_out() -> None:
    section = (ROOT / "docs/prices.md").read_text().split("## Why a call has no price")[1].split("\n## ")[0]
    reasons = {line.split("`")[1] for line in section.splitlines() if line.startswith("| `")}
    assert reasons == find_reasons()


def test_every_mark_is_named() -> None:
    text = (ROOT / "docs/prices.md").read_text()
    assert [mark for mark in OFFER_MARKS if f"`{mark}`" not in text] == []
