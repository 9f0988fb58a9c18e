"""Read a provider's usage in our token classes. Pure.

Providers differ in what their totals include: OpenAI's input holds the cache, Anthropic's and Bedrock's do not, and
Gemini's candidates leave out the thoughts. A form names the readings that its documentation allows, and the one that
sums to the provider's totals is right. Where none does, where several do and differ, or where a count was not read, the
usage is unknown: it keeps the provider's numbers and has no tokens.
"""

import re
from typing import Any

from tallystick.usage.base import (
    Block,
    Context,
    Fields,
    Usage,
    get_path,
    remember_by_name,
    to_mapping,
    to_snake_case,
)
from tallystick.usage.block import CountBlock, has_count, parse_count
from tallystick.usage.chunks import STREAM_START, MergedChunks, merge_chunks
from tallystick.usage.envelope import BARE, Payload, list_payloads, read_words
from tallystick.usage.form import Form, find_form
from tallystick.usage.registry import FORMS, find_forms, list_forms
from tallystick.usage.searches import count_answer_searches

MAX_NAMES, MAX_NAME_LENGTH = 32, 64

__all__ = ["list_forms", "merge_chunks", "read_fields", "read_response_words"]


def read_fields(response: object, form: str | None = None, model: str | None = None) -> Fields | None:
    """Return the fields of an inference that a response or its usage block fills; None where it has no usage, and no
    searches either.

    Reads objects of the providers' clients, or dicts; a list is a stream's chunks, which are merged. ``form`` is a name
    of :func:`list_forms` and admits its forms alone. ``model`` is the model that was asked for: some forms need it
    where the response names none. Usage that cannot be read for certain has ``usage_source: unknown``. ValueError for a
    form of another name.
    """
    forms = find_forms(form)
    is_stream = isinstance(response, (list, tuple, MergedChunks))
    block = {} if is_stream else _to_response(response)
    if not is_stream and block.get("type") != STREAM_START:  # the start of a stream alone is a stream that was left
        fields = _read_response(block, forms, model)
    elif (responses := merge_chunks([response]).list_responses()) is None:
        fields = {"usage_source": "unknown"}  # chunks of several streams, of which some have no name
    else:
        fields = add_fields([part for each in responses if (part := _read_response(each, forms, model))])
    return None if fields is None else leave_out_vague_model(fields, model)


def leave_out_vague_model(fields: Fields, model: str | None) -> Fields:
    """Leave out a model that answered where the one that was asked for is a snapshot of it: Azure answers ``gpt-4`` for
    ``gpt-4-1106-preview``, which has a price of its own."""
    resolved = fields.get("model_resolved")
    if resolved and model and _SNAPSHOT.match(model.removeprefix(resolved)) and model.startswith(resolved):
        return {name: value for name, value in fields.items() if name != "model_resolved"}
    return fields


_SNAPSHOT = re.compile(r"[-@:]\d{4}")
"""The beginning of a date behind a model's name: ``-1106``, ``-2024-08-06``, ``-20250929``."""


def read_response_words(response: object) -> Fields:
    """Return the fields that the words of a response fill, such as its model, though it has no usage."""
    attributes = _to_response(response)
    return read_words(Payload(attributes, (), (attributes,)))


def _read_response(response: Block, forms: tuple[Form, ...], model: str | None) -> Fields | None:
    unread: Payload | None = None
    for payload in list_payloads(response):
        words = read_words(payload)
        context = Context(payload.envelopes if payload.path else (), _name_model(words, model))
        form = find_form(forms, payload.block, context)
        if form is not None:
            return _read_payload(payload, form, context) | words
        if unread is None and _is_usage(payload):
            unread = payload
    if unread is not None:
        return _build_fields(unread, Usage(()), False) | read_words(unread)
    return _read_searches(response, model)


def _read_searches(response: Block, model: str | None) -> Fields | None:
    """Return the searches of an answer without usage, as of a stream that was left: their fees are due all the same."""
    for answer in (response, get_path(response, "response"), get_path(response, "response", "body")):
        words = read_words(Payload(answer, (), (answer,)))
        if searches := count_answer_searches(Context((answer,), _name_model(words, model))):
            return {"usage_source": "missing", "quantities": {"web_searches": searches}} | words
    return None


def _read_payload(payload: Payload, form: Form, context: Context) -> Fields:
    block = CountBlock(payload.block)
    usage = form.read(block, context)
    fields = _build_fields(payload, usage, block.is_read()) | usage.fields
    if form.name == "vercel_ai" and block.is_read() and (raw := to_mapping(payload.block.get("raw"))):
        # The library keeps the provider's own block, which says more than its own: lifetimes, modalities.
        provider = _read_response({"usage": raw}, FORMS, context.model)
        names = ("tokens", "reported_tokens", "usage_source", "quantities")
        fields = fields if provider is None else fields | {name: provider[name] for name in names if name in provider}
        if fields["usage_source"] == "unknown":
            fields.pop("tokens", None)
    return fields


def _to_response(response: object) -> Block:
    """Return a response as a mapping. The results of pydantic-ai have their usage as a property, or as a method."""
    attributes = to_mapping(response)
    if "usage" in attributes or not type(response).__module__.startswith("pydantic_ai"):
        return attributes
    usage = getattr(response, "usage", None)
    return {**attributes, "usage": usage if to_mapping(usage) or not callable(usage) else usage()}


def add_fields(parts: list[Fields]) -> Fields | None:
    """Add the usage of several responses to that of their sum; None for none. It is unknown where one of them is
    unknown or missing."""
    if len(parts) < 2:
        return parts[0] if parts else None
    total: Fields = {}
    for part in parts:
        total |= {name: value for name, value in part.items() if name not in SUMMED}
    for name in SUMMED:
        counters = [part[name] for part in parts if name in part]
        if counters:
            total[name] = {key: _add([counter.get(key) for counter in counters]) for key in _list_keys(counters)}
    total["calls"] = sum(part.get("calls", 1) for part in parts)
    if any(part["usage_source"] in ("unknown", "missing") for part in parts):
        total["usage_source"] = "unknown"
        total.pop("tokens", None)
    return total


SUMMED = ("tokens", "reported_tokens", "quantities", "provider_usage")


def _list_keys(counters: list[Fields]) -> list[str]:
    return list(dict.fromkeys(key for counter in counters for key in counter))[:MAX_NAMES]


def _add(values: list[Any]) -> Any:
    """Add counts, or the counts of objects name by name."""
    objects = [value for value in values if isinstance(value, dict)]
    if objects:
        return {key: _add([part.get(key) for part in objects]) for key in _list_keys(objects)}
    return sum(value for value in values if value is not None)


def _name_model(words: Fields, model: str | None) -> str | None:
    """Return the names of the model in one text, by which a reader finds a word of them."""
    names = [name for name in (words.get("model_resolved"), model) if isinstance(name, str)]
    return " ".join(names) or None


def _is_usage(payload: Payload) -> bool:
    """Tell whether a block that no form knows counts tokens nevertheless."""
    if payload.path:
        return payload.path[-1] in USAGE_NAMES and any(
            has_count(str(name), value) for name, value in payload.block.items()
        )
    return any(
        isinstance(name, str) and to_snake_case(name).endswith(("_tokens", "_token_count")) and has_count(name, value)
        for name, value in payload.block.items()
    )


USAGE_NAMES = frozenset(("usage", "usageMetadata", "usage_metadata", "token_usage", "totalUsage", "usage_object", BARE))


def _build_fields(payload: Payload, usage: Usage, is_known: bool) -> Fields:
    """Build the fields of a block: classes and totals of its one reading, or its numbers alone."""
    tokens = [{name: count for name, count in reading.tokens.items() if count} for reading in usage.readings]
    has_tokens = usage.input is not None or usage.output is not None or usage.total is not None
    is_decided = bool(tokens) and all(classes == tokens[0] for classes in tokens)
    fields: Fields = {}
    if is_known and is_decided:
        reading = usage.readings[0]
        totals = {"input": reading.input, "output": reading.output, "total": usage.total}
        fields = {"tokens": tokens[0], "usage_source": "reported"}
    elif is_known and not has_tokens and usage.quantities:
        totals, fields = {}, {"usage_source": "reported"}
    else:
        totals = {"input": usage.input, "output": usage.output, "total": usage.total}
        fields = {"usage_source": "unknown"}
    reported = {name: total for name, total in totals.items() if total is not None}
    if reported:
        fields["reported_tokens"] = reported
    if counts := select_counts(payload.block):
        fields["provider_usage"] = counts
    quantities = {name: count for name, count in usage.quantities.items() if count}
    if not quantities and not has_tokens and fields["usage_source"] == "reported":
        quantities = usage.quantities  # zero is usage too
    if quantities:
        fields["quantities"] = quantities
    return fields


@remember_by_name
def _to_count_name(name: str) -> str | None:
    """Return a name as the log keeps it; None where it is none."""
    name = name.replace("-", "_")
    return name if name.isidentifier() and name.isascii() and len(name) <= MAX_NAME_LENGTH else None


def select_counts(block: Block, depth: int = 0) -> Fields:
    """Return the counts of a block under its own names, one object deep, without anything else."""
    counts: Fields = {}
    for key, value in block.items():
        name = _to_count_name(key) if isinstance(key, str) else None
        if name is None or value is None:
            continue
        count = None if isinstance(value, (str, dict)) else parse_count(value)
        if count is not None:
            counts[name] = count
        elif depth == 0 and (inner := select_counts(to_mapping(value), 1)):
            counts[name] = inner
        if len(counts) == MAX_NAMES:
            break
    return counts
