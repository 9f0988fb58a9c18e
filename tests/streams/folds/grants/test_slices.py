"""A slice in memory admits only what the folds would admit, by the same grants and for the same amounts."""

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger.pricing.price_book import pack_book
from ledger.pricing.price_book_file import parse_book
from tallystick.rights.leased_names import LeasedName, read_leased_name, write_leased_name
from tallystick.rights.sets import FIELDS
from tallystick.rights.slices import MONEY, PRICED_FIELDS, Slice, read_amounts
from tests.streams.build import control
from tests.streams.folded_log import FoldedLog, build_request
from tests.streams.folds.grants.test_grant_fold import grant

BOOK = """
name: test
currency: USD
providers:
  - id: acme
    model_match: {starts_with: m}
    models:
      - id: m1
        prices:
          - rates:
              input: {base: 1, tiers: [{above: 1000, rate: 6}, {above: 5000, rate: 2}]}
              cache_read: {base: 4, tiers: [{above: 2000, rate: 5}]}
              output: 10
              requests: 7
        variants:
          - {when: {service_tier: flex}, multiplier: 0.5}
      - id: m2
        prices:
          - rates: {input: 1, output: 2}
  - id: euro
    model_match: {starts_with: e}
    models:
      - id: e1
        prices:
          - rates: {requests: 3}
"""
DIGEST, PACKED = pack_book(parse_book(BOOK, "the test"))
CALL_FIELDS: dict[str, list[Any]] = {
    "provider": [None, "acme", "ACME"], "model": [None, "m1", "M1", "m2", "e1", "nobody's"], "region": [None, "eu"],
    "service_tier": [None, "flex", "odd"], "operation": [None, "chat"], "payer": [None, "customer", "platform"],
    "team": [None, "search", "chat"], "user": [None, "p_1", "p_2"], "session": [None, "s-1"],
    "environment": [None, "prod"], "grant": [None, "search", "other"], "calls": [None, 1, 3],
    "input_tokens": [None, 0, 1, 999, 1000, 1001, 4_999, 6_000], "max_tokens": [None, 0, 1, 2, 5_001],
    "ttl_s": [None, 10, 900, 901],
}  # fmt: skip
ASKS = st.fixed_dictionaries({name: st.sampled_from(values) for name, values in CALL_FIELDS.items()})
SETS = st.fixed_dictionaries(
    {}, optional={
        "models": st.sampled_from([["m1"], ["m1", "m2"], ["nobody's", "m1"]]), "regions": st.just(["eu"]),
        "operations": st.just(["chat"]), "environments": st.just(["prod"]), "providers": st.just(["acme"]),
    },
)  # fmt: skip
METERS = st.lists(st.sampled_from(["billed", "notional", "tokens", "calls"]), min_size=1, unique=True)


def drop_absent(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(SETS, SETS, METERS, st.booleans(), st.booleans(), ASKS, st.lists(ASKS, min_size=20, max_size=40))
def test_a_slice_admits_only_what_the_folds_would(
    above: dict[str, Any], own: dict[str, Any], meters: list[str], has_user_grant: bool, is_named: bool,
    first: dict[str, Any], asks: list[dict[str, Any]],
) -> None:  # fmt: skip
    log = FoldedLog({DIGEST: PACKED})
    limits = [
        drop_absent({"meter": name, "amount": 10**9, "currency": "USD" if name in MONEY else None}) for name in meters
    ]
    own = {name: own[name] for name in own if name not in above}
    log.append(
        control("book", "price_book.adopted", name="test", document=DIGEST),
        grant("p", "product", dimension="organization", scope="acme", allow=above),
        grant("s", "search", parent="product", allow=own, limits=limits),
        *([grant("u", "user", dimension="user", scope="p_1", limits=limits)] if has_user_grant else []),
        at_s=0,
    )
    scopes = {name: first[name] for name in ("user", "session") if first[name] is not None} | {"team": "search"}
    named = {"grant": "search"} if is_named else {}
    shapes = {tuple(ask[field] for field in PRICED_FIELDS) for ask in asks if ask["model"] is not None}
    models = [drop_absent(dict(zip(PRICED_FIELDS, shape, strict=True))) for shape in sorted(shapes, key=str)]
    amounts: dict[str, Any] = {name: "1000000" if name in MONEY else 10**9 for name in meters}
    currency = {"currency": "USD"} if set(meters) & set(MONEY) else {}
    lease = scopes | named | amounts | currency | {"models": models, "ttl_s": 10}
    (granted,) = log.append(build_request("l", "lease", 1, lease), at_s=1)
    assert granted["decision"] == "lease.granted", granted
    slice = Slice(json.loads(json.dumps(granted["body"])), scopes, 11, 911, named.get("grant"))
    for number, ask in enumerate(map(drop_absent, asks)):
        draw = slice.admit(ask, 2)
        if draw is None:
            continue
        (decided,) = log.append(build_request(f"a{number}", "admission", 2, ask), at_s=2)
        decision = decided["body"]
        assert (decision["answer"], decision["grants"]) == ("allow", granted["body"]["grants"])
        reserved = [
            (charge["limit"].split("/")[0], read_amounts({charge["limit"].split("/")[0]: charge["amount"]}))
            for charge in decision["reserved"]
        ]
        assert all(amount[measure] == draw.amounts[measure] for measure, amount in reserved), (reserved, draw)
        assert {measure for measure, _ in reserved} == set(draw.amounts), "each limit is counted"
        charges = [{name: charge[name] for name in ("grant", "limit", "amount")} for charge in decision["reserved"]]
        assert slice.describe_charges(draw) == charges
        assert set(FIELDS.values()) <= set(slice._fields)


def test_most_calls_of_the_lease_are_admitted() -> None:
    """What the law above compares is not empty."""
    log = FoldedLog({DIGEST: PACKED})
    limits = [{"meter": "billed", "amount": 1_000, "currency": "USD"}]
    log.append(
        control("book", "price_book.adopted", name="test", document=DIGEST), grant("s", "search", limits=limits), at_s=0
    )
    lease = {"team": "search", "billed": "10", "currency": "USD", "models": [{"model": "m1"}, {"model": "e1"}]}
    (granted,) = log.append(build_request("l", "lease", 1, lease), at_s=1)
    slice = Slice(granted["body"], {"team": "search"}, 61, 961)
    ask = {"team": "search", "model": "m1", "input_tokens": 1_000, "max_tokens": 1, "user": "p_1", "session": "s-1"}
    draw = slice.admit(ask, 2)
    assert draw and draw.amounts == {"billed": 1_000 * 6_000_000 + 10_000_000 + 7_000_000_000}
    assert slice.admit(ask | {"model": "m2"}, 2) is None, "its price was not asked for"
    assert slice.admit(ask | {"model": "e1"}, 2) is None, "its tokens have no price"
    assert slice.admit(ask, 61) is None and slice.admit(ask | {"max_tokens": None}, 2) is None
    assert slice.close() == {"billed": 10 * 10**12 - draw.amounts["billed"]}
    assert slice.admit(ask, 2) is None and slice.close() == {} and not slice.give_back(draw)


@given(st.text(min_size=1), st.integers(0, 10**18 - 1), st.dictionaries(
    st.sampled_from(["billed", "notional", "tokens", "calls"]), st.integers(0, 10**26 - 1), min_size=1))  # fmt: skip
def test_a_name_says_what_was_taken(lease: str, number: int, amounts: dict[str, int]) -> None:
    assert read_leased_name(write_leased_name(lease, number, amounts)) == LeasedName(lease, number, amounts)


def test_other_names_say_nothing() -> None:
    for name in ("a", "a/1", "/1/calls=1", "a/1/", "a/x/calls=1", "a/1/calls=-1", "a/1/calls=1,", "a/1/cost=1"):
        assert read_leased_name(name) is None
