"""Fit the fields of an inference to the vocabulary: **an attribute never costs a fact**. Pure.

An application or an adapter gives what it has; what comes back is accepted by :class:`Inference` as it is. A value is
converted where that is safe and exact, else its field is left out by name, and the call stays. Tokens, the provider's
totals and quantities are facts: where one of them does not fit, the usage is *unknown*, and never a smaller number.
"""

import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import cache, partial
from types import UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from annotated_types import Ge, MaxLen
from pydantic import BaseModel, StringConstraints
from pydantic.fields import FieldInfo

from tallystick.privacy.field_names import MAX_LABEL_LENGTH, field_label, is_field_name, safe_labels
from tallystick.privacy.key_shapes import MAX_KEY_LENGTH, key_fingerprint, map_texts
from tallystick.vocabulary.base import CURRENCY_PATTERN, format_decimal
from tallystick.vocabulary.conversion import (
    MAX_COUNT,
    UnfitValue,
    conceal,
    to_count,
    to_currency,
    to_decimal,
    to_items,
    to_money,
    to_number,
    to_pairs,
    to_ratio,
    to_text,
    to_word,
)
from tallystick.vocabulary.inference import Inference, QuantityClass, ReportedTokens, TokenClass, usage_contradiction
from tallystick.vocabulary.observation import Observation
from tallystick.vocabulary.protection import Protection

Fields = dict[str, Any]
Convert = Callable[[Any], Any]

MAX_TAGS = 32
MAX_NAME_LENGTH = 256
MAX_UNKNOWN_FIELDS = 32
"""Numbers and booleans under unknown names that an event may keep, the first in the order of names."""
MAX_USAGE_NAMES = 32
MAX_PAIRS = 100_000
"""Pairs of the largest mapping that is looked at."""
MAX_ATTRIBUTE_BYTES = 40_000
"""Bytes of the attributes of an event as JSON, with their pseudonyms: beside the largest usage block they stay below
the bound of an event at the ledger."""
MAX_LETTER_BYTES = 7
"""Bytes of a letter in JSON at most, or of its share in the pseudonym that replaces a short name."""

MAX_NUMBER_LETTERS = 24
"""Characters of a number of 64 bits."""

_FITTED_TOGETHER = frozenset(
    ("claimed_cost", "acting_for", "violations", "rate_limits", "tags", "provider_usage", "tokens", "reported_tokens",
     "quantities", "left_out")
)  # fmt: skip
"""Fields of more than one value, or whose conversion needs another field."""

OBSERVATION_FACTS = frozenset(("of", "session", "metric", "value", "conformance", "dimension", "limit", "used"))


class Fitted(NamedTuple):
    """Fields that the vocabulary accepts, in forms of JSON, and the names of those that are left out, in order.

    ``fields`` holds those names too, as ``left_out``. A name that may be content or a key is ``?``.
    """

    fields: Fields
    left_out: tuple[str, ...]


def fit_fields(values: Mapping[str, Any]) -> Fitted:
    """Fit what an application or an adapter says about an inference. None and "" are absent. Never raises."""
    fields: Fields = {}
    unfit_labels: list[str] = []
    unknown = []
    converters = _converters(Inference)
    for name, value in values.items():
        if value is None or name in _FITTED_TOGETHER:
            continue
        if (convert := converters.get(name)) is None:
            unknown.append(name)
            continue
        try:
            if (fitted := convert(value)) is not None:
                fields[name] = fitted
        except Exception:  # noqa: BLE001  (an application's object may raise anything)
            unfit_labels.append(name)
    for fit in (_fit_money, _fit_lists, _fit_tags, _fit_provider_usage, _fit_facts):
        unfit_labels += fit(values, fields)
    if unknown:
        unfit_labels += _fit_unknown(values, unknown, fields)
    unfit_labels += _shed_largest(fields)
    if (labels := values.get("left_out")) is not None:
        unfit_labels += [*labels][:MAX_PAIRS] if isinstance(labels, (list, tuple, set, frozenset)) else ["left_out"]
    if not unfit_labels:
        return Fitted(fields, ())
    left_out = safe_labels(unfit_labels)
    if left_out:
        fields["left_out"] = left_out
    return Fitted(fields, tuple(left_out))


def fit_observation(values: Mapping[str, Any]) -> Fitted:
    """Fit what an application says about an observation. Its facts (metric, value, target, quota) stay as they are
    where they do not fit, for the vocabulary to refuse: an observation without them is none. Never raises."""
    fields: Fields = {}
    unfit_labels = []
    converters = _converters(Observation)
    for name, value in values.items():
        if value is None:
            continue
        try:
            if name not in Observation.model_fields:
                raise UnfitValue
            fitted = _to_score(value) if name == "value" else converters[name](value) if name in converters else value
            if fitted is not None:
                fields[name] = fitted
        except Exception:  # noqa: BLE001
            if name in OBSERVATION_FACTS:
                fields[name] = value
            else:
                unfit_labels.append(field_label("", name))
    return Fitted(fields, tuple(safe_labels(unfit_labels)))


def _to_score(value: Any) -> str | None:
    """Convert a score to a decimal as text; a boolean to 1 or 0."""
    number = to_decimal(int(value) if isinstance(value, bool) else value)
    return None if number is None else format_decimal(number)


@cache
def _converters(model: type[BaseModel]) -> dict[str, Convert]:
    """Return the conversion of each field of a model that holds one value, by the field's type."""
    converters = {name: _find_converter(name, field) for name, field in model.model_fields.items()}
    return {name: convert for name, convert in converters.items() if convert and name not in _FITTED_TOGETHER}


def _find_converter(name: str, field: FieldInfo) -> Convert | None:
    """Return the conversion to a field's type; None where it is a list, a map or a model."""
    base, metadata = split_type(field.annotation)
    metadata += field.metadata
    if get_origin(base) is Literal:
        return partial(to_word, words=get_args(base))
    if base is int:
        unit = next((unit for unit in ("_ms", "_s") if name.endswith(unit)), "")
        least = next((bound.ge for bound in metadata if isinstance(bound, Ge)), 0)
        return partial(_to_count_from, unit=unit, least=int(least))  # type: ignore[call-overload]
    if base is Decimal:
        return to_ratio
    if base is str and Protection.KEY in metadata:
        return _to_key
    if base is str:
        bounds = next((bound for bound in metadata if isinstance(bound, StringConstraints)), StringConstraints())
        if bounds.max_length:
            return _make_text_converter(bounds.max_length)
        return to_currency if bounds.pattern == CURRENCY_PATTERN else None
    return None


def _make_text_converter(max_length: int) -> Convert:
    max_usual_length = max_length // MAX_LETTER_BYTES

    def convert(value: Any) -> str | None:
        if type(value) is str and len(value) <= max_usual_length and value.isascii() and value.isprintable():
            return value or None
        return to_text(value, max_length)

    return convert


def split_type(annotation: Any) -> tuple[Any, list[Any]]:
    """Return a type without None, and everything that is said beside it."""
    if get_origin(annotation) in (Union, UnionType):
        return split_type(next(member for member in get_args(annotation) if member is not type(None)))
    if get_origin(annotation) is not Annotated:
        return annotation, []
    inner, *metadata = get_args(annotation)
    base, more = split_type(inner)
    return base, [*more, *(part for item in metadata for part in (item.metadata if _is_field(item) else [item]))]


def _is_field(item: Any) -> bool:
    return isinstance(item, FieldInfo)


def _to_count_from(value: Any, unit: str, least: int) -> int | None:
    count = to_count(value, unit)
    if count is not None and count < least:
        raise UnfitValue
    return count


def _to_key(value: Any) -> str | None:
    """Convert the name of a key to its fingerprint: the key itself goes no further."""
    text = to_text(key_fingerprint(value) if isinstance(value, str) and len(value) <= MAX_KEY_LENGTH else value, 256)
    return None if text is None else key_fingerprint(text)


def _fit_money(values: Mapping[str, Any], fields: Fields) -> list[str]:
    """Fit the claimed cost, whose text may name its currency."""
    if (value := values.get("claimed_cost")) is None:
        return []
    try:
        cost, currency = to_money(value, fields.get("claimed_currency"))
    except Exception:  # noqa: BLE001
        return ["claimed_cost"]
    fields |= {
        name: part for name, part in (("claimed_cost", cost), ("claimed_currency", currency)) if part is not None
    }
    return []


def _fit_lists(values: Mapping[str, Any], fields: Fields) -> list[str]:
    """Fit the lists: of the principals all or none, as a chain without a link is another chain; of objects those that
    fit, up to the bound."""
    unfit_labels: list[str] = []
    for name, (model, max_count) in _lists().items():
        if (value := values.get(name)) is None:
            continue
        try:
            items = to_items(value, MAX_PAIRS)
            if model is None:
                if len(items) > max_count:
                    raise UnfitValue
                fitted: list[Any] = [text for item in items if (text := to_text(item, MAX_NAME_LENGTH)) is not None]
            else:
                objects = [_fit_object(model, item) for item in items[: max_count + 1]]
                fitted = [item for item, _ in objects if item is not None][:max_count]
                if len(items) > max_count or not all(is_whole for _, is_whole in objects):
                    unfit_labels.append(name)
            if fitted:
                fields[name] = fitted
        except Exception:  # noqa: BLE001
            unfit_labels.append(name)
    return unfit_labels


@cache
def _lists() -> dict[str, tuple[type[BaseModel] | None, int]]:
    """Return the lists of an inference: the model of their objects, None where they are texts, and their bound."""
    lists = {}
    for name, field in Inference.model_fields.items():
        base, metadata = split_type(field.annotation)
        if get_origin(base) is tuple and name != "left_out":
            item, _ = split_type(get_args(base)[0])
            bound = next(part.max_length for part in metadata if isinstance(part, MaxLen))
            lists[name] = (item if item is not str else None, bound)
    return lists


def _fit_object(model: type[BaseModel], value: Any) -> tuple[Fields | None, bool]:
    """Fit an object of a list; None where a field that it needs is missing. Tells also whether all of it fits."""
    try:
        pairs = dict(to_pairs(value, MAX_PAIRS))
    except Exception:  # noqa: BLE001
        return None, False
    converters = _converters(model)
    fitted: Fields = {}
    is_whole = all(pair is None for name, pair in pairs.items() if name not in converters)
    for name, convert in converters.items():
        try:
            if (part := convert(pairs.get(name))) is not None:
                fitted[name] = part
        except Exception:  # noqa: BLE001
            is_whole = False
    is_usable = all(name in fitted for name, field in model.model_fields.items() if field.is_required())
    return (fitted, is_whole) if is_usable else (None, False)


def _fit_tags(values: Mapping[str, Any], fields: Fields) -> list[str]:
    """Fit the tags one by one, and take the first ``MAX_TAGS`` in the order of their names."""
    if (value := values.get("tags")) is None:
        return []
    tags: dict[str, str] = {}
    unfit_labels: list[str] = []
    try:
        pairs = to_pairs(value, MAX_PAIRS)
    except Exception:  # noqa: BLE001
        return ["tags"]
    for name, item in pairs:
        try:
            if (text := to_text(item, MAX_NAME_LENGTH)) is None:
                continue
            label = to_text(name, MAX_LABEL_LENGTH)
            if label is None or tags.setdefault(label, text) != text:  # 1 and "1" are one name
                raise UnfitValue
        except Exception:  # noqa: BLE001
            unfit_labels.append(field_label("tags", name) if len(unfit_labels) < MAX_TAGS else "tags")
    if tags or not pairs:
        fields["tags"] = {name: tags[name] for name in sorted(tags)[:MAX_TAGS]}
    return [*unfit_labels, "tags"] if len(tags) > MAX_TAGS else unfit_labels


def _fit_provider_usage(values: Mapping[str, Any], fields: Fields) -> list[str]:
    """Fit the provider's usage block: its counts as they came, one object deep, without anything else."""
    if (value := values.get("provider_usage")) is None:
        return []
    unfit_labels: list[str] = []
    try:
        fields["provider_usage"] = _select_counts(to_pairs(value, MAX_PAIRS), "provider_usage", unfit_labels)
    except Exception:  # noqa: BLE001
        return ["provider_usage"]
    return unfit_labels


def _select_counts(pairs: list[tuple[Any, Any]], path: str, unfit_labels: list[str], is_outer: bool = True) -> Fields:
    counts: Fields = {}
    for name, value in pairs:
        if value is None:
            continue
        has_room = isinstance(name, str) and is_field_name(name) and len(counts) < MAX_USAGE_NAMES
        if has_room and type(value) is int and 0 <= value <= MAX_COUNT:
            counts[name] = value
        elif has_room and is_outer and isinstance(value, Mapping):
            inner = _select_counts(to_pairs(value, MAX_PAIRS), field_label(path, name), unfit_labels, is_outer=False)
            counts |= {name: inner} if inner else {}
        elif len(unfit_labels) < MAX_PAIRS:
            unfit_labels.append(field_label(path, name))
    return counts


def _fit_facts(values: Mapping[str, Any], fields: Fields) -> list[str]:
    """Fit tokens, totals and quantities. Where a count of them does not fit, the usage is unknown, its readable counts
    stay as the provider's usage, and nothing of it is priced as tokens. ``usage_source`` agrees with them."""
    unfit_labels: list[str] = []
    readable: Fields = {}
    for name, classes in _FACT_CLASSES.items():
        if values.get(name) is None:
            continue
        counts, labels = _read_counts(values[name], name, classes)
        unfit_labels += labels
        if counts is not None and (not labels or name == "reported_tokens"):
            fields[name] = counts
        if counts:
            readable[name] = counts
    is_unknown = bool(unfit_labels)
    if not fields.get("tokens") and values.get("provider_usage") is not None and not fields.get("provider_usage"):
        is_unknown |= not isinstance(values["provider_usage"], Mapping)
    if is_unknown:
        fields.pop("tokens", None)
        kept = {name: counts for name, counts in readable.items() if name not in fields}
        fields.setdefault("provider_usage", kept)
        fields["usage_source"] = "unknown"
        if not fields["provider_usage"]:
            del fields["provider_usage"]
    if "usage_source" not in fields or usage_contradiction(fields) is None:
        return unfit_labels
    is_default = fields.pop("usage_source") == "missing"  # readers say so where nothing is there: usage replaces it
    return unfit_labels if is_default else [*unfit_labels, "usage_source"]


def _read_counts(value: Any, name: str, classes: frozenset[str]) -> tuple[dict[str, int] | None, list[str]]:
    """Read the counts of a fact, and the labels of those that are none. A class that is unknown loses nothing where it
    counts zero."""
    counts: dict[str, int] = {}
    labels = []
    try:
        pairs = to_pairs(value, MAX_PAIRS)
    except Exception:  # noqa: BLE001
        return None, [name]
    for key, item in pairs:
        if type(item) is int and 0 <= item <= MAX_COUNT and type(key) is str and key in classes:
            counts[key] = item  # as nearly all are
            continue
        try:
            count = to_count(item)
            if count and key not in classes:
                raise UnfitValue
            if count is not None and key in classes:
                counts[key] = count
        except Exception:  # noqa: BLE001
            labels.append(field_label(name, key))
    return counts, labels


def _fit_unknown(values: Mapping[str, Any], names: list[Any], fields: Fields) -> list[str]:
    """Keep the numbers and booleans of unknown fields, the first in the order of their names; label the rest."""
    numbers: Fields = {}
    labels = []
    for name in sorted(names, key=lambda name: name if isinstance(name, str) else ""):
        value = values[name]
        if value is None or (type(value) is str and not value):
            continue
        try:
            if len(numbers) >= MAX_UNKNOWN_FIELDS or not is_field_name(name):
                raise UnfitValue
            numbers[name] = to_number(value)
        except Exception:  # noqa: BLE001
            labels.append(field_label("", name))
        if len(labels) > MAX_PAIRS:
            break
    fields |= numbers
    return labels


def _shed_largest(fields: Fields) -> list[str]:
    """Leave out the largest attributes of an event that would be too large for the ledger."""
    letters = 0
    for value in fields.values():
        letters += len(value) if type(value) is str else _count_letters(value)
    if letters * MAX_LETTER_BYTES <= MAX_ATTRIBUTE_BYTES:
        return []
    sizes = {name: len(json.dumps(map_texts(fields[name], conceal))) for name in fields if name not in _USAGE}
    excess = sum(sizes.values()) - MAX_ATTRIBUTE_BYTES
    shed = []
    for name in sorted(sizes, key=lambda name: (-sizes[name], name)):
        if excess <= 0:
            break
        excess -= sizes[name]
        del fields[name]
        shed.append(name)
    return shed


def _count_letters(value: Any) -> int:
    kind = type(value)
    if kind is str:
        return len(value)
    if kind is dict:
        letters = 0
        for name, item in value.items():
            letters += len(name) + (MAX_NUMBER_LETTERS if type(item) is int else _count_letters(item))
        return letters
    return sum(map(_count_letters, value)) if kind is list else MAX_NUMBER_LETTERS


_FACT_CLASSES = {
    "tokens": frozenset(get_args(TokenClass)),
    "reported_tokens": frozenset(ReportedTokens.model_fields),
    "quantities": frozenset(get_args(QuantityClass)),
}
_USAGE = frozenset((*_FACT_CLASSES, "provider_usage", "usage_source"))
