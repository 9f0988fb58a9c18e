"""One suite for every form of the registry: documented payloads, and the laws that hold for all."""

import itertools
import json
import random
import re
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick import Inference, TokenClass
from tallystick.usage.base import Context, to_mapping
from tallystick.usage.envelope import list_payloads
from tallystick.usage.reader import list_forms, merge_chunks, read_fields
from tallystick.usage.registry import FORMS
from tests.sdk.usage.golden_payloads import GOLDEN, IDS, Golden

COUNTED = [golden for golden in GOLDEN if golden.expected["usage_source"] == "reported"]
STREAMS = [golden for golden in GOLDEN if isinstance(golden.payload, list)]
every_payload = pytest.mark.parametrize("golden", GOLDEN, ids=IDS)


def read_golden_fields(golden: Golden, payload: Any = None) -> dict[str, Any]:
    fields = read_fields(golden.payload if payload is None else payload, model=golden.model)
    assert fields is not None
    return {name: format_value(value) for name, value in fields.items()}


def format_value(value: Any) -> Any:
    return format(value.normalize(), "f") if isinstance(value, Decimal) else value


@every_payload
def test_a_documented_payload_gives_its_classes(golden: Golden) -> None:
    fields = read_golden_fields(golden)
    fields.pop("provider_usage", None)
    unnamed = {"reported_tokens"} - golden.expected.keys() if golden.expected["usage_source"] == "unknown" else set()
    assert {name: value for name, value in fields.items() if name not in unnamed} == golden.expected


@every_payload
def test_an_inference_takes_the_fields_and_holds_no_content(golden: Golden) -> None:
    inference = Inference.model_validate(read_golden_fields(golden))
    assert "…" not in inference.canonical().decode()
    assert (inference.tokens or {}).keys() <= set(get_args(TokenClass))


def to_read_only(value: Any) -> Any:
    """Return a payload of mappings that are no dicts."""
    if isinstance(value, dict):
        return MappingProxyType({name: to_read_only(item) for name, item in value.items()})
    return [to_read_only(item) for item in value] if isinstance(value, list) else value


@every_payload
def test_a_mapping_of_any_type_is_read_as_a_dict(golden: Golden) -> None:
    """What is left out early for a dict changes nothing: a mapping of another type is looked up name by name."""
    assert read_golden_fields(golden, to_read_only(golden.payload)) == read_golden_fields(golden)


@every_payload
def test_a_block_of_a_form_has_one_of_its_names(golden: Golden) -> None:
    for payload in list_payloads(to_mapping(golden.payload)):
        context = Context(payload.envelopes, golden.model)
        for form in FORMS:
            rest = {name: value for name, value in payload.block.items() if name not in form.names}
            assert not form.names or not form.is_form(rest, context), form.name


@pytest.mark.parametrize("golden", COUNTED, ids=lambda golden: f"{golden.form}-{golden.name}")
def test_classes_sum_to_the_totals(golden: Golden) -> None:
    fields = read_golden_fields(golden)
    if "tokens" not in fields:
        assert fields["quantities"]
        return
    totals = fields["reported_tokens"]
    assert sum(fields["tokens"].values()) == totals["input"] + totals["output"]
    assert totals.get("total", totals["input"] + totals["output"]) == totals["input"] + totals["output"]


@every_payload
def test_the_name_of_its_form_reads_it_alike(golden: Golden) -> None:
    assert golden.form in list_forms()
    named = read_fields(golden.payload, form=golden.form, model=golden.model)
    assert named == read_fields(golden.payload, model=golden.model)


def to_objects(value: Any) -> Any:
    """Return the payload as a client's objects have it."""
    if isinstance(value, dict):
        named = {name: to_objects(item) for name, item in value.items()}
        return SimpleNamespace(**named)
    return [to_objects(item) for item in value] if isinstance(value, list) else value


@every_payload
def test_a_clients_objects_are_read_as_their_json(golden: Golden) -> None:
    assert read_golden_fields(golden, to_objects(golden.payload)) == read_golden_fields(golden)


@every_payload
def test_counts_written_as_floats_or_digits_are_counts(golden: Golden) -> None:
    fields = read_golden_fields(golden)
    for convert in (float, str):
        converted = read_golden_fields(golden, convert_counts(golden.payload, convert))
        assert converted.get("tokens") == fields.get("tokens")
        assert converted["usage_source"] == fields["usage_source"]


def convert_counts(value: Any, convert: Any) -> Any:
    if isinstance(value, dict):
        return {name: convert_counts(item, convert) for name, item in value.items()}
    if isinstance(value, list):
        return [convert_counts(item, convert) for item in value]
    return convert(value) if type(value) is int else value


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_every_form_has_a_documented_payload(form: Any) -> None:
    assert any(golden.form == form.name for golden in GOLDEN)


def test_an_unknown_name_of_a_form_is_refused_with_the_names() -> None:
    with pytest.raises(ValueError, match=r"no form of usage is named 'gpt'.*openai_chat"):
        read_fields({}, form="gpt")


BLOCK_NAMES = (
    "usage", "usageMetadata", "usage_metadata", "billed_units", "token_usage", "usage_object", "totalUsage",
    "HTTPHeaders", "usage_info",
)  # fmt: skip
WORDS = ("cached", "audio", "video", "image", "reasoning", "thinking", "character", "search", "prediction")
UNITS = ("tokens", "token_count", "seconds", "count", "units")


def find_blocks(value: Any) -> list[dict[str, Any]]:
    """List the usage blocks of a payload, by the names under which they stand."""
    if isinstance(value, list):
        return [block for item in value for block in find_blocks(item)]
    if not isinstance(value, dict):
        return []
    blocks = [value[name] for name in BLOCK_NAMES if isinstance(value.get(name), dict)]
    return blocks + [block for item in value.values() for block in find_blocks(item)]


@given(
    golden=st.sampled_from(COUNTED), word=st.sampled_from(WORDS), unit=st.sampled_from(UNITS),
    count=st.integers(1, 10**9), nested=st.booleans(), data=st.data(),
)  # fmt: skip
def test_a_count_of_an_unknown_name_never_leaves_usage_plain(
    golden: Golden, word: str, unit: str, count: int, nested: bool, data: st.DataObject
) -> None:
    payload = json.loads(json.dumps(golden.payload))
    blocks = find_blocks(payload) or ([payload] if isinstance(payload, dict) else [])
    if golden.name == "version_6_raw" or not blocks:
        return
    name = f"new_{word}_{unit}"
    block = data.draw(st.sampled_from(blocks))
    block[f"new_{word}_details" if nested else name] = {name: count} if nested else count
    fields = read_golden_fields(golden, payload)
    assert fields["usage_source"] == "unknown" and "tokens" not in fields


NO_COUNTS = (-1, 1.5, float("nan"), float("inf"), True, 10**13, "-5", "1,000", "many", [3])


@pytest.mark.parametrize("golden", COUNTED, ids=lambda golden: f"{golden.form}-{golden.name}")
def test_a_value_that_is_no_count_is_unknown_and_not_zero(golden: Golden) -> None:
    payload = json.loads(json.dumps(golden.payload))
    block = (find_blocks(payload) or [{}])[-1]
    name = next((name for name, value in block.items() if type(value) is int and value > 0), None)
    if isinstance(payload, list) or name is None:
        return
    for count in NO_COUNTS:
        block[name] = count
        fields = read_golden_fields(golden, payload)
        assert fields["usage_source"] == "unknown" and "tokens" not in fields, (name, count)


@pytest.mark.parametrize("golden", STREAMS, ids=lambda golden: f"{golden.form}-{golden.name}")
def test_merging_chunks_in_any_grouping_gives_the_same(golden: Golden) -> None:
    whole = merge_chunks(golden.payload)
    for start, end in itertools.combinations(range(len(golden.payload) + 1), 2):
        parts = [*golden.payload[:start], merge_chunks(golden.payload[start:end]), *golden.payload[end:]]
        assert merge_chunks(parts) == whole
    assert read_golden_fields(golden, [whole]) == read_golden_fields(golden)


CHUNK_COUNTS = st.dictionaries(
    st.sampled_from(["prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens"]),
    st.integers(0, 100) | st.none() | st.sampled_from(["7", 2.0, -1, "x"]),
)
CHUNKS = st.lists(
    st.fixed_dictionaries(
        {"type": st.sampled_from(["AIMessageChunk", "chunk"])},
        optional={"id": st.sampled_from(["a", "b"]), "usage": CHUNK_COUNTS, "model": st.sampled_from(["m", "n"])},
    ),
    max_size=8,
)


@given(chunks=CHUNKS, seed=st.integers(0, 2**32))
def test_merging_is_associative(chunks: list[dict[str, Any]], seed: int) -> None:
    choice = random.Random(seed)
    parts: list[Any] = [merge_chunks([chunk]) for chunk in chunks]
    while len(parts) > 1:
        index = choice.randrange(len(parts) - 1)
        parts[index : index + 2] = [merge_chunks(parts[index : index + 2])]
    assert merge_chunks(parts) == merge_chunks(chunks)


@pytest.mark.parametrize("golden", STREAMS, ids=lambda golden: f"{golden.form}-{golden.name}")
def test_a_chunk_without_usage_takes_nothing_away(golden: Golden) -> None:
    empty = [{}, {"usage": None}, {"usage": {}}, {"choices": []}, None, {"usageMetadata": {}}]
    assert read_golden_fields(golden, [*empty, *golden.payload, *empty]) == read_golden_fields(golden)


COUNT = st.integers(0, 10**6)
LEAVES = COUNT | st.sampled_from([None, -1, 0.5, 7.0, "12", True])
NAMES = sorted({name for golden in GOLDEN for block in find_blocks(golden.payload) for name in block})
BLOCKS = st.dictionaries(
    st.sampled_from(NAMES),
    LEAVES | st.dictionaries(st.sampled_from([*NAMES, "text_tokens", "cached_tokens", "reasoning_tokens"]), LEAVES),
    max_size=8,
)


@given(block=BLOCKS)
def test_whatever_a_block_says_classes_sum_to_its_totals_or_it_is_unknown(block: dict[str, Any]) -> None:
    fields = read_fields({"usage": block})
    if fields is None or "tokens" not in fields:
        assert fields is None or fields["usage_source"] == "unknown" or fields["quantities"]
        return
    totals = fields["reported_tokens"]
    assert fields["usage_source"] == "reported"
    assert sum(fields["tokens"].values()) == totals["input"] + totals["output"]
    assert totals.get("total") in (None, totals["input"] + totals["output"])
    Inference.model_validate(fields)


def test_every_name_has_a_row_in_the_documentation() -> None:
    text = (Path(__file__).parents[3] / "docs" / "sources.md").read_text()
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} >= set(list_forms())
