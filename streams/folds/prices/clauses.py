"""Match the names of models and providers against the clauses of price books (docs/rules.md, R6). Pure."""

import re
from collections.abc import Callable
from functools import cache

from ledger.pricing.price_book import Clause, PricedModel
from streams.folds.prices.model_names import is_version_suffix


def is_whole(model: PricedModel, name: str, mark: str | None) -> bool:
    """Tell whether a lower-case name that a model's clause matches is the model's own, or one of its versions, and
    nothing else stands in it. One with a mark is never: the clause says the mark, and the rest is anybody's."""
    if mark is not None:
        return True
    id = model.id.lower()
    return (name.startswith(id) and is_version_suffix(name[len(id) :])) or _names_whole(model.match, name)


def _names_whole(clause: Clause, name: str) -> bool:
    parts = clause.any_of or clause.all_of
    if parts is not None:
        return any(is_match(part, name) and _names_whole(part, name) for part in parts)
    if clause.regex is not None:
        match = re.compile(clause.regex).search(name)
        return match is not None and match.start() == 0 < match.end() and is_version_suffix(name[match.end() :])
    text = (clause.equals or clause.starts_with or clause.ends_with or clause.contains or "").lower()
    return name.startswith(text) and is_version_suffix(name[len(text) :])


def is_marked(clause: Clause, name: str, mark: str | None) -> bool:
    """Tell whether a clause that matches a lower-case name says itself what the name's mark says. A fine-tuned model is
    none of the models whose names it contains."""
    if mark is None:
        return True
    parts = clause.any_of or clause.all_of
    if parts is not None:
        return any(is_match(part, name) and is_marked(part, name, mark) for part in parts)
    text = clause.equals or clause.starts_with or clause.ends_with or clause.contains or clause.regex or ""
    return mark in text.lower()


def is_match(clause: Clause, name: str) -> bool:
    """Tell whether a clause matches a lower-case name."""
    return _compile_clause(clause)(name)


@cache
def _compile_clause(clause: Clause) -> Callable[[str], bool]:
    if clause.any_of is not None:
        tests = [_compile_clause(part) for part in clause.any_of]
        return lambda name: any(test(name) for test in tests)
    if clause.all_of is not None:
        tests = [_compile_clause(part) for part in clause.all_of]
        return lambda name: all(test(name) for test in tests)
    if clause.regex is not None:
        pattern = re.compile(clause.regex)
        return lambda name: pattern.search(name) is not None
    if clause.starts_with is not None:
        start = clause.starts_with.lower()
        return lambda name: name.startswith(start)
    if clause.ends_with is not None:
        end = clause.ends_with.lower()
        return lambda name: name.endswith(end)
    if clause.contains is not None:
        part = clause.contains.lower()
        return lambda name: part in name
    equal = (clause.equals or "").lower()
    return lambda name: name == equal
