"""Whatever stands on a log, the folds and the audit say the same of it: calls as the intake accepts them, and lines of
which it would reject."""

from collections import Counter
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from audit.verify import model_names as audit
from audit.verify.contracts import open_document
from audit.verify.recompute import EPOCH, Partition
from ledger.log import Record
from ledger.outcomes import OUTCOMES
from ledger.pricing.price_book import unpack_book
from ledger.token_classes import CLASSES, QUANTITY_CLASSES, TOKEN_CLASSES
from streams.folds.prices import model_names as folds
from streams.folds.prices.price_lookup import Catalogue
from streams.replay import replay_outcomes
from tests.rules.test_rules import BOOKS, CONTRACTS, DOCUMENTS, by_audit, by_folds
from tests.streams.build import START, control, record

MODELS = (
    "heron", "stork",
    "lion", "LION", "tiger", "tiger-7", "owl", "elephant", "parrot", "deaf", "lynx-20251211", "lynx-٢٠٢٥١٢١١",
    "lynx", "own", "İ", "",
    "gpt-4", "gpt-4-1106-preview", "azure/eu/gpt-4-0613", "ft:gpt-mini-2024-07-18:org::id", "openai/ft:gpt-4:x", "twin",
    "openrouter/anthropic/claude-sonnet-4.5", "bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0", "prod-chat",
    "vertex_ai/claude-opus-5@20251101", "claude-opus-5-2025-11-01", "claude-opus-5@default", "z/free:free",
    "arn:aws:bedrock:us-east-1:1:inference-profile/global.anthropic.claude-sonnet-4-5", "rival", "claude-1-2-3.4",
    "arn:aws:bedrock:us-east-1:1:application-inference-profile/twin", "accounts/fireworks/models/oss", "/twin/", "a@1",
    "z/any:nitro",
)  # fmt: skip
PROVIDERS = (
    "acme", "ACME", "acme-cloud", "acme/eu", "reseller", "nobody", "", "openai", "azure.ai.openai", "aws.bedrock",
    "litellm_proxy", "vertex_ai", "fireworks", "two", ".",
)  # fmt: skip
INSTANTS = (-86400, -43200, -0.000001, 0, 0.000001, 299.999999, 300, 300.000001, 36000, 64800)
ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1.0, 1.5, 10**12, 10**12 + 1, 2**64, "", "x", "1", "0.5", [], ["a"], [1], {},
    {"input": 1},
)  # fmt: skip
JUDGED = (
    "model", "model_resolved", "provider", "payer", "tokens", "quantities", "reported_tokens", "team", "session",
    "latency_ms", "claimed_cost", "acting_for", "tags", "violations", "revision", "provider_usage", "calls",
    "max_tokens", "usage_source", "cached_from",
)  # fmt: skip
TIMES = (
    "2026-01-05T12:00:00Z", "2026-01-05T12:00:00.5+01:00", "2026-01-05 12:00:00+00:00", "2026-01-05T12:00:00",
    "2026-01-05", "20260105T120000Z", "2026-01-05T12Z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59",
    "2026-W02-1T12:00:00Z", "2026-01-05T24:00:00Z", "2026-01-05T12:00:60Z", "2026-01-05T12:00:00,5Z", "now", "",
)  # fmt: skip

quantities = some.integers(0, 250) | some.sampled_from((10**6, 10**12))
names = some.sampled_from((
    "prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details", "reasoningTokens", "cached",
    "eval_count", "total", "total_duration", "web_search_requests", "",
))  # fmt: skip
numbers: some.SearchStrategy[Any] = some.integers(-1, 500) | some.sampled_from(
    (10**12, 10**12 + 1, 2**70, True, 1.0, "1")
)
calls = some.fixed_dictionaries(
    {},
    optional={
        "model": some.sampled_from(MODELS),
        "model_resolved": some.sampled_from(MODELS),
        "provider": some.sampled_from(PROVIDERS),
        "payer": some.sampled_from(("platform", "customer")),
        "tokens": some.dictionaries(some.sampled_from(TOKEN_CLASSES), quantities, max_size=4),
        "quantities": some.dictionaries(some.sampled_from(QUANTITY_CLASSES), quantities, max_size=2),
        "reported_tokens": some.dictionaries(some.sampled_from(("input", "output", "total")), some.integers(0, 500)),
        "revision": some.integers(0, 3),
        "usage_source": some.sampled_from(("reported", "estimated", "missing", "unknown")),
        "provider_usage": some.dictionaries(names, numbers | some.dictionaries(names, numbers, max_size=3), max_size=4),
        "max_tokens": some.sampled_from((0, 40, 10**12)),
        "calls": some.sampled_from((0, 1, 2, 7)),
        "period_s": some.sampled_from((0, 60)),
        "context_tier": some.sampled_from((0, 99, 100, 150, 200, 300)),
        "response_cache": some.sampled_from(("hit", "miss")),
        "cached_from": some.sampled_from(("", "1", "nothing")),
        "status": some.sampled_from(("ok", "error", "refused")),
        "service_tier": some.sampled_from(("batch", "standard", "flex")),
    },
)
dimensions = some.fixed_dictionaries(
    {},
    optional={
        "service_tier": some.sampled_from(("batch", "Batches", "flex", "PRIORITY", "default", "scale", " ")),
        "speed": some.sampled_from(("fast", "standard", "slow")),
        "geography": some.sampled_from(("us", "USA", "eu", "global", "mars")),
    },
)
dimensioned = some.builds(
    lambda call, words, model, provider: call | words | {"model": model, "model_resolved": model, "provider": provider},
    calls, dimensions, some.sampled_from(("falcon", "kite", "swan", "crane", "owlet", "ibis")),
    some.sampled_from(("acme", "acme", "acme", "resale")),
)  # fmt: skip
strange = some.dictionaries(
    some.sampled_from(JUDGED),
    some.sampled_from(ODD) | some.dictionaries(some.sampled_from((*CLASSES, "total", "?")), some.sampled_from(ODD)),
)
kinds = some.sampled_from(
    ("inference",) * 6 + ("observation", "correction", "tick", "control", "admission", "lease", "else")
)
events = some.fixed_dictionaries(
    {
        "source": some.sampled_from(("a", "b", "a\0b")) | some.sampled_from(ODD),
        "id": some.sampled_from(("1", "2", "3", "4", "5", "6", "b\0001")) | some.sampled_from(ODD),
        "time": some.sampled_from(INSTANTS).map(lambda s: (START + timedelta(seconds=s)).isoformat())
        | some.sampled_from(TIMES)
        | some.sampled_from(ODD),
        "type": kinds.map(lambda kind: f"tallystick.{kind}.v1") | some.sampled_from(ODD),
        "data": calls | strange | some.sampled_from(ODD),
    }
)
usual = some.builds(
    lambda id, at, data: {
        "source": "a", "id": str(id), "time": (START + timedelta(seconds=at)).isoformat(),
        "type": "tallystick.inference.v1", "data": data,
    },
    some.integers(0, 30), some.sampled_from(INSTANTS), calls,
)  # fmt: skip
corrections = some.builds(
    lambda id, target, at, replacement: {
        "source": "a", "id": f"c{id}", "time": (START + timedelta(seconds=at)).isoformat(),
        "type": "tallystick.correction.v1",
        "data": {"of": {"source": "a", "id": str(target)}, "reason": "r"}
        | ({"action": "reversal"} if replacement is None else {"action": "replacement", "replacement": replacement}),
    },
    some.integers(0, 9), some.integers(0, 9) | some.just("c1"), some.sampled_from(INSTANTS),
    some.none() | calls | strange,
)  # fmt: skip
decided = some.builds(
    lambda id, target, at, action, offset, index: {
        "source": "a", "id": f"d{id}", "time": (START + timedelta(seconds=at)).isoformat(),
        "type": "tallystick.correction.v1",
        "data": {"of": {"source": "a", "id": str(target)}, "reason": "r", "action": action}
        | ({"accepted": {"offset": offset, "event_index": index}} if action == "acceptance" else {}),
    },
    some.integers(0, 9), some.integers(0, 3), some.sampled_from(INSTANTS),
    some.sampled_from(("release", "acceptance", "acceptance", "reversal")), some.integers(0, 5), some.integers(0, 6),
)  # fmt: skip
repeated = some.builds(
    lambda id, at, tokens, totals: {
        "source": "a", "id": str(id), "time": (START + timedelta(seconds=at)).isoformat(),
        "type": "tallystick.inference.v1",
        "data": {"model": "lion", "tokens": {"input": tokens}} | ({"reported_tokens": totals} if totals else {}),
    },
    some.integers(0, 3), some.sampled_from((0, 0, 1000)), some.integers(1, 3),
    some.sampled_from((None, None, {"input": 2})),
)  # fmt: skip
revised = some.builds(
    lambda id, at, revision, data: {
        "source": "a", "id": str(id), "time": (START + timedelta(seconds=at)).isoformat(),
        "type": "tallystick.inference.v1", "data": data | {"revision": revision, "model": "lion"},
    },
    some.integers(0, 9), some.sampled_from(INSTANTS), some.integers(0, 4), calls,
)  # fmt: skip
books = some.sampled_from(sorted(BOOKS))
adoptions = some.builds(
    lambda book, at: control(
        f"{book}-{at}", "price_book.adopted", name=book.partition("_")[0], document=BOOKS[book][0]
    ),
    books, some.integers(0, 9),
)  # fmt: skip
signings = some.builds(
    lambda name, at: control(
        f"{name}-{at}", "contract.signed", name=name.partition("_")[0], document=CONTRACTS[name][0]
    ),
    some.sampled_from(sorted(CONTRACTS)), some.integers(0, 9),
) | some.builds(
    lambda name, at: control(f"{name}-end-{at}", "contract.ended", name=name.partition("_")[0]),
    some.sampled_from(sorted(CONTRACTS)), some.integers(0, 2),
)  # fmt: skip
model_names = some.sampled_from(("prod-chat", "PROD-chat", "lion", "twin"))
aliases = some.builds(
    lambda at, names, target: control(f"alias-{at}", "model.aliased", **names, **target),
    some.integers(0, 9),
    some.fixed_dictionaries({"name": model_names}, optional={"provider": some.sampled_from(("azure", "ACME"))}),
    some.sampled_from(
        ({}, {"priced_provider": "azure", "priced_model": "GPT-4"}, {"priced_provider": "x", "priced_model": "y"})
    ),
)
whole = b'{"source":"a","id":"1","time":"2026-01-05T12:00:00Z","type":"tallystick.inference.v1","data":{"x":%s}}'
values = some.sampled_from(
    (b"NaN", b"-Infinity", b"1e999", b"1e9", b'"\\ud800"', b'"\\ud83d\\ude00"', b'"\xed\xa0\x80"', b"01", b"1,", b"{} ")
)
doubtful = values.map(lambda value: whole % value)
forms = some.sampled_from(("utf-8", "utf-8-sig", "utf-16", "utf-32-be"))
encoded = some.builds(lambda form, value: (whole % value).decode().encode(form), forms, some.just(b"1"))
broken = some.sampled_from(
    (b"", b"{", b"[]", b"null", b"1", b"\xff", b'{"a":NaN}', b'{"id":"\\ud800"}', b"[" * 2000, b'"', b"{}\r", b"\x00")
)
written = usual | events | revised | corrections | decided | repeated
lines = written.map(msgspec.json.encode) | adoptions | signings | aliases | broken | doubtful | encoded
times_s = some.sampled_from((0, 0, 0, 301, 1000))
months = some.builds(
    lambda id, at_s, month: control(f"month-{id}", "period.closed", at_s, month=month),
    some.integers(0, 9), times_s, some.sampled_from(("2025-12", "2026-01", "2026-02", "2099-12")),
)  # fmt: skip
restatements = some.builds(
    lambda id, at_s, first, length, scope: control(
        f"restate-{id}", "price.restated", at_s, first_offset=first, end_offset=first + length, **scope
    ),
    some.integers(0, 9), times_s, some.integers(0, 4), some.integers(0, 5),
    some.fixed_dictionaries({}, optional={
        "model": some.sampled_from(("lion", "LION", "İ")),
        "provider": some.sampled_from(("acme", "ACME")),
        "since": some.sampled_from(INSTANTS).map(lambda s: (START + timedelta(seconds=s)).isoformat()),
        "until": some.sampled_from(INSTANTS).map(lambda s: (START + timedelta(seconds=s)).isoformat()),
    }),
)  # fmt: skip
platform_lines = adoptions | aliases | restatements
Lines = list[bytes]
records = some.lists(
    some.tuples(
        some.lists(lines | months | restatements, max_size=6), some.lists(platform_lines, max_size=2),
        some.sampled_from((0, 1, 400, 86400, 3_000_000)),
    ),
    max_size=6,
)  # fmt: skip


def log(steps: list[tuple[Lines, Lines, int]]) -> list[Record]:
    """Build a log in which records of the platform stand between those of an organization."""
    now, made = 0, list[Record]()
    for own_lines, platform_lines, seconds in steps:
        now += seconds
        made.append(record(len(made), *own_lines, at_s=now))
        if platform_lines:
            made.append(record(len(made), *platform_lines, at_s=now, organization="_platform"))
    return made


@pytest.mark.parametrize("examples", [300, pytest.param(20_000, marks=[pytest.mark.long, pytest.mark.timeout(1800)])])
def test_the_folds_and_the_audit_agree(examples: int) -> None:
    @settings(max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(records)
    def agree(said: list[tuple[Lines, Lines, int]]) -> None:
        made = log(said)
        assert by_folds(made, DOCUMENTS, but="nothing") == by_audit(made, DOCUMENTS, but="nothing")

    agree()


def positions_by_folds(records: list[Record]) -> list[tuple[Any, ...]]:
    return [
        (
            line["offset"], line["event_index"], line["outcome"], line.get("id"), line.get("time_us"),
            (line["original_offset"], line["original_index"]) if "original_offset" in line else None,
        )
        for line in replay_outcomes(records, DOCUMENTS)
    ]  # fmt: skip


def positions_by_audit(records: list[Record]) -> list[tuple[Any, ...]]:
    partition = Partition(
        lambda digest: open_document(digest, DOCUMENTS[digest]),
        lambda offset, event_index: records[offset].value.split(b"\n")[event_index],
        lambda first, end: records[first:end],
    )
    return [
        (
            made.offset, one.event_index, one.outcome, one.id,
            None if one.time is None else (one.time - EPOCH) // timedelta(microseconds=1), one.original,
        )
        for made in records
        for one in list(partition.judge(made))
    ]  # fmt: skip


whole_restatements = some.builds(
    lambda id, at_s, end: control(f"all-{id}", "price.restated", at_s, first_offset=0, end_offset=end),
    some.integers(0, 9), times_s, some.integers(1, 6),
)  # fmt: skip
decisions = some.lists(
    some.tuples(
        some.lists(
            (repeated | revised | corrections | decided).map(msgspec.json.encode) | adoptions | months, max_size=5
        ),
        some.lists(adoptions | restatements | whole_restatements, max_size=2),
        some.sampled_from((0, 1, 400, 1000, 3_000_000)),
    ),
    max_size=7,
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(decisions)
def test_the_folds_and_the_audit_agree_on_holds_and_decisions(said: list[tuple[Lines, Lines, int]]) -> None:
    """Also on what each line names; and whatever happens, each fact has an outcome and each outcome is left once."""
    made = log(said)
    answers = by_folds(made, DOCUMENTS, but="nothing")
    assert answers == by_audit(made, DOCUMENTS, but="nothing")
    positions = positions_by_folds(made)
    assert positions == positions_by_audit(made)
    counts = Counter(outcome for outcome, *_ in answers if outcome in OUTCOMES)
    accepted = sum(counts.values())
    left = [(line[5], answer[1]) for line, answer in zip(positions, answers, strict=True) if answer[0] == "release"]
    assert len({original for original, _ in left}) == len(left), "an outcome is left once"
    by_position = {line[:2]: line[2] for line in positions if line[2] in OUTCOMES}
    for original, outcome in left:
        assert by_position[original] == outcome, "the release names the outcome that the line has"
        counts[outcome] -= 1
        counts["counted"] += 1
    assert min(counts.values(), default=0) >= 0 and sum(counts.values()) == accepted


@pytest.mark.parametrize("examples", [300, pytest.param(20_000, marks=[pytest.mark.long, pytest.mark.timeout(1800)])])
def test_the_folds_and_the_audit_agree_on_the_dimensions_of_a_price(examples: int) -> None:
    adoption = control("tiers", "price_book.adopted", name="tiers", document=BOOKS["tiers"][0])

    @settings(max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(some.lists(some.tuples(dimensioned, some.sampled_from(INSTANTS)), min_size=1, max_size=6))
    def agree(priced: list[tuple[dict[str, Any], float]]) -> None:
        events = [
            {
                "source": "a", "id": str(place), "time": (START + timedelta(seconds=at)).isoformat(),
                "type": "tallystick.inference.v1", "data": data,
            }
            for place, (data, at) in enumerate(priced)
        ]  # fmt: skip
        made = [record(0, adoption), record(1, *map(msgspec.json.encode, events), at_s=86400)]
        assert by_folds(made, DOCUMENTS, but="nothing") == by_audit(made, DOCUMENTS, but="nothing")


extras = some.sampled_from(
    ({},) * 6 + ({"payer": "customer"}, {"reported_tokens": {"input": 7}}, {"cached_from": "1"})  # most calls are plain
)
covered_calls = some.builds(
    lambda model, tokens, extra: {"provider": "acme", "model": model, "tokens": tokens} | extra,
    some.sampled_from(("lion", "lion", "lion", "parrot", "deaf")),
    some.dictionaries(
        some.sampled_from(("input", "input", "output")), some.sampled_from((1_000_000, 400_000, 3, 1)), min_size=1
    ),
    extras,
)
covered_events = some.builds(
    lambda id, at, revision, data: {
        "source": "a", "id": str(id), "time": (START + timedelta(seconds=at)).isoformat(),
        "type": "tallystick.inference.v1", "data": data | ({"revision": revision} if revision else {}),
    },
    some.integers(0, 5), some.sampled_from((-86400, 0, 0, 300, 400, 1000)), some.sampled_from((0, 0, 1, 2)),
    covered_calls,
) | some.builds(
    lambda id, target, at, change: {
        "source": "c", "id": str(id), "time": (START + timedelta(seconds=at)).isoformat(),
        "type": "tallystick.correction.v1",
        "data": {"of": {"source": "a", "id": str(target)}, "reason": "r"} | change,
    },
    some.integers(0, 9), some.integers(0, 5), some.sampled_from((0, 0, 1000)),
    some.sampled_from(({"action": "reversal"}, {"action": "release"}))
    | some.builds(lambda call: {"action": "replacement", "replacement": call}, covered_calls)
    | some.builds(
        lambda offset, index: {"action": "acceptance", "accepted": {"offset": offset, "event_index": index}},
        some.integers(0, 5), some.integers(0, 4),
    ),
)  # fmt: skip
partial_restatements = some.builds(
    lambda id, at_s, first, length: control(
        f"part-{id}", "price.restated", at_s, first_offset=first, end_offset=first + length
    ),
    some.integers(0, 9), some.sampled_from((0, 0, 1000)), some.integers(0, 6), some.integers(2, 8),
)  # fmt: skip
covered_steps = some.lists(
    some.tuples(
        some.lists(covered_events.map(msgspec.json.encode) | signings, max_size=5),
        some.lists(partial_restatements | adoptions, max_size=2),
        some.sampled_from((0, 400, 1000)),
    ),
    min_size=1, max_size=8,
)  # fmt: skip


def log_under_contracts(steps: list[tuple[Lines, Lines, int]], unpriced_steps: int) -> list[Record]:
    """Build a log that begins with commitments, with prices after so many steps: a restatement finds calls that used
    nothing before others that did."""
    start = [
        control(f"first-{name}", "contract.signed", name=name, document=CONTRACTS[name][0])
        for name in ("spend", "capacity")
    ]
    adoption = control("base", "price_book.adopted", name="base", document=BOOKS["base"][0])
    return log([(start, [], 0), *steps[:unpriced_steps], ([], [adoption], 0), *steps[unpriced_steps:]])


@pytest.mark.parametrize("examples", [300, pytest.param(20_000, marks=[pytest.mark.long, pytest.mark.timeout(1800)])])
def test_the_folds_and_the_audit_agree_on_what_commitments_cover(examples: int) -> None:
    @settings(max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(covered_steps, some.integers(0, 2))
    def agree(steps: list[tuple[Lines, Lines, int]], unpriced_steps: int) -> None:
        """Also where events were held, released or accepted, and a decision was held."""
        made = log_under_contracts(steps, unpriced_steps)
        assert by_folds(made, DOCUMENTS, but="nothing") == by_audit(made, DOCUMENTS, but="nothing")
        assert positions_by_folds(made) == positions_by_audit(made)

    agree()


words = some.sampled_from((
    "openrouter", "anthropic", "azure", "bedrock", "accounts", "arn:", "aws", "claude", "sonnet", "opus", "gpt", "twin",
    "rival", "models", "1-month-commitment", "ft:", ".ft-", "us.", "global.", "20251101", "2025", "11", "01", "4", "5",
    "v1", "1", "latest", "default", "preview", "32k", ":free", "inference-profile", "",
))  # fmt: skip
spelled_names = some.lists(some.tuples(words, some.sampled_from(("", "-", "/", ".", "@", ":"))), max_size=9).map(
    lambda parts: "".join(word + joint for word, joint in parts)
)


@pytest.mark.parametrize("examples", [300, pytest.param(20_000, marks=[pytest.mark.long, pytest.mark.timeout(1800)])])
def test_the_folds_and_the_audit_read_names_alike(examples: int) -> None:
    @settings(max_examples=examples, deadline=None)
    @given(some.none() | spelled_names, some.none() | spelled_names, spelled_names)
    def agree(resolved: str | None, requested: str | None, provider: str) -> None:
        assert list(folds.order_models(resolved, requested)) == audit.list_names(resolved, requested)
        name = (resolved or requested or provider).lower()
        assert folds.spell_model(name) == audit.list_spellings(name)
        assert folds.find_mark(name) == audit.read_mark(name)
        for document, packed in BOOKS.values():
            book = unpack_book(document, packed)
            seller = Catalogue(document, book).find_provider(provider.lower())
            assert seller == audit.find_provider(book, provider.lower())

    agree()
