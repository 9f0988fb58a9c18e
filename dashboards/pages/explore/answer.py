"""The question that a view asks, and its answer, as sentences (pure)."""

from collections.abc import Iterable, Sequence
from html import escape

from dashboards.components.format import change, money
from dashboards.pages.explore.dimensions import TAG
from dashboards.pages.explore.drivers import Drivers
from dashboards.pages.explore.measures import Amount, Measure
from dashboards.pages.explore.queries import Group, Groups, View
from dashboards.periods import find_zone, format_span
from dashboards.spelling import MAX_SHOWN, shorten, spell

PERIOD_TEXTS = {
    "hour": "in the last hour",
    "today": "today",
    "24h": "in the last 24 hours",
    "7d": "in the last 7 days",
    "30d": "in the last 30 days",
    "month": "this month",
    "all": "in all time",
}
DRIVER_TEXTS = {
    "volume": "the number of tokens",
    "mix": "the mix of models",
    "price": "the price of a token",
    "added": "models that were not used before",
    "removed": "models that are no longer used",
    "remainder": "usage that is not priced by tokens",
}


def ask(view: View, period_name: str) -> str:
    """Write the question: ``What did we spend in the last 7 days, by team and model, of region eu?``"""
    span_text = format_span(view.period.now, find_zone(view.zone))
    range_text = f"from {span_text.replace(' – ', ' to ')}" if " – " in span_text else f"on {span_text}"
    period_text = PERIOD_TEXTS.get(period_name, range_text)
    filters = [
        f"{name_dimension(name)} {join(map(shorten_value, values), 'or')}" for name, values in view.filters.items()
    ]
    of_text = f", of {join(filters, 'and')}" if filters else ""
    return f"{view.measure.question} {period_text}, by {join(map(name_dimension, view.dimensions), 'and')}{of_text}?"


def answer(view: View, groups: Groups, drivers: Drivers | None) -> list[str]:
    """Write the answer: the figure with its change, the main driver, and the greatest rise and fall."""
    measure, currency = view.measure, view.currency
    now, before = measure.compute(groups.now), measure.compute(groups.before)
    sentences = [f"{format_amount(measure, now, currency)}{_describe_change(view, now, before)}."]
    if view.period.before is None:
        return sentences
    if not groups.before.is_used:
        return sentences
    if drivers is not None and drivers.change:
        name, amount = drivers.find_main()
        subject = "" if measure.has_drivers else " of billed cost"
        sentences.append(f"The main driver{subject} is {DRIVER_TEXTS[name]}: {sign(money(amount, currency), amount)}.")
    moves = [_describe_move(view, groups.rise, "rose"), _describe_move(view, groups.fall, "fell")]
    if any(moves):
        sentences.append(f"{'; '.join(filter(None, moves))}.")
    return sentences


def escape_sentences(sentences: Sequence[str]) -> str:
    """Return the sentences as HTML, the first one in bold."""
    first, *details = (escape(sentence) for sentence in sentences)
    return " ".join((f"<b>{first}</b>", *details))


def format_amount(measure: Measure, amount: Amount | None, currency: str) -> str:
    """Format a figure of a sentence, with its unit."""
    text = measure.format(amount, currency)
    if amount is None:
        return "Nothing of it has a price" if measure.kind == "money" else "There is no such figure"
    return f"{text} {measure.name}" if measure.name in ("billed", "tokens", "calls") else text


def name_dimension(name: str) -> str:
    """Return a dimension's name for people: ``tag epic``."""
    return f"tag {shorten(name.removeprefix(TAG))}" if name.startswith(TAG) else name


def shorten_value(value: str) -> str:
    """Return a value of a link for people; it is spelled already, and cut to a length."""
    return value if len(value) <= MAX_SHOWN else f"{value[:MAX_SHOWN]}…"


def name_group(group: Group) -> str:
    """Return the names of a group as one text."""
    return " · ".join(shorten_value(spell(name)) for name in group.names)


def join(texts: Iterable[str], word: str) -> str:
    """Join texts as a sentence has them: ``a, b and c``."""
    items = list(texts)
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} {word} {items[-1]}"


def _describe_change(view: View, now: Amount | None, before: Amount | None) -> str:
    if view.period.before is None:
        return ""
    before_text = format_span(view.period.before, find_zone(view.zone))
    if before is None or not before:
        return f"; the period before, {before_text}, had none" if now else ""
    percent = change(now or 0, before)
    earlier = view.measure.format(before, view.currency)
    if now == before:
        return f", the same as in the period before ({before_text})"
    direction = "more" if (now or 0) > before else "less"
    figure = percent.lstrip("+−") if percent and not percent.startswith("×") else percent
    word = f"{figure} as much as" if figure and figure.startswith("×") else f"{figure} {direction} than"
    return f", {word} the {earlier} of the period before ({before_text})"


def _describe_move(view: View, group: Group | None, verb: str) -> str:
    if group is None:
        return ""
    now, before = view.measure.compute(group.now), view.measure.compute(group.before)
    delta = (now or 0) - (before or 0)
    return f"{name_group(group)} {verb} most ({sign(view.measure.format(delta, view.currency), delta)})"


def sign(text: str, amount: Amount) -> str:
    """Return a change with its sign."""
    return f"+{text}" if amount > 0 else text.replace("-", "−")
