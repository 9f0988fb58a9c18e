"""Grants on a log: their records, the calls that they count, and the thresholds that are told."""

import json
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from ledger.log.topics import DECISIONS
from streams.replay import replay
from tallystick import ANY_EVENT
from tests.streams.build import DOCUMENTS, START, adopt, call, control, correction, record

DAY_S = 86_400
DAY = {"rolling_s": DAY_S}


def list_all_decisions(*lines: tuple[float, bytes]) -> list[dict[str, Any]]:
    """Fold lines that the log takes at these seconds after the start, and return the decisions."""
    records = [record(offset, line, at_s=at_s) for offset, (at_s, line) in enumerate([(0, adopt()), *lines])]
    return [
        msgspec.json.decode(line)
        for topic, derived in replay(records, DOCUMENTS)
        if topic is DECISIONS
        for line in derived.value.split(b"\n")
    ]


def list_decisions(*lines: tuple[float, bytes]) -> list[dict[str, Any]]:
    """Fold lines, and return the decisions on grants but reports."""
    return [
        decision
        for decision in list_all_decisions(*lines)
        if decision.get("control_type") != "price_book.adopted" and decision["decision"] != "grant.metered"
    ]


def grant(id: str, name: str, control_type: str = "grant.created", **body: Any) -> bytes:
    if control_type in ("grant.created", "grant.delegated"):
        body = {"dimension": "team", "scope": name} | body
    return control(id, control_type, grant=name, **body)


def limit(amount: Any, **fields: Any) -> dict[str, Any]:
    return {"meter": "billed", "amount": amount, "currency": "USD", "window": DAY} | fields


def read_bodies(decisions: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    return [msgspec.json.decode(decision["body"]) for decision in decisions if decision["decision"] == name]


def list_reasons(decisions: list[dict[str, Any]]) -> list[str]:
    return [decision["reason"] for decision in decisions if decision["decision"] == "control.ineffective"]


def test_a_grant_counts_its_calls_and_tells_three_thresholds_in_one_decision() -> None:
    decisions = list_decisions(
        (0, grant("g", "search", limits=[limit(10)])),
        (1, call("a", 1, team="search", tokens={"input": 4_000_000})),
        (2, call("b", 2, team="search", tokens={"input": 7_000_000})),
        (3, call("c", 3, team="else", tokens={"input": 7_000_000})),
    )
    assert [decision["decision"] for decision in decisions] == ["control.applied", "grant.crossed"]
    assert decisions[0]["effective_us"] == decisions[0]["known_us"]
    assert decisions[1]["event_id"] == "b"
    assert read_bodies(decisions, "grant.crossed") == [
        {"grant": "search", "limit": "billed/USD/86400s", "amount": "10.000000000000", "thresholds": [50, 80, 100],
         "used": "11.000000000000", "past": False},
    ]  # fmt: skip


def test_a_parent_is_charged_for_all_its_children_and_a_sibling_for_none() -> None:
    decisions = list_decisions(
        (0, grant("p", "product", limits=[limit(10)], dimension="organization", scope="acme")),
        (0, grant("a", "search", parent="product", limits=[limit(9)])),
        (0, grant("b", "chat", parent="product", limits=[limit(9)])),
        (1, call("a", 1, team="search", tokens={"input": 4_000_000})),
        (2, call("b", 2, team="chat", tokens={"input": 4_000_000})),
    )
    crossed = [(body["grant"], body["used"][:1]) for body in read_bodies(decisions, "grant.crossed")]
    assert crossed == [("product", "8")]


def test_a_reversal_gives_back_and_a_replacement_counts_once() -> None:
    replacement = {"model": "m1", "team": "search", "tokens": {"input": 5_900_000}}
    decisions = list_decisions(
        (0, grant("g", "search", limits=[limit(10, thresholds=[60])])),
        (1, call("a", 1, team="search", tokens={"input": 5_000_000})),
        (2, correction("r", "a", at_s=2)),
        (3, call("b", 3, team="search", tokens={"input": 5_000_000})),
        (4, correction("s", "b", at_s=4, replacement=replacement)),
        (5, call("c", 5, team="search", tokens={"input": 100_000})),
    )
    assert [body["used"] for body in read_bodies(decisions, "grant.crossed")] == ["6.000000000000"]


def test_a_threshold_is_armed_again_when_time_has_emptied_the_window() -> None:
    decisions = list_decisions(
        (0, grant("g", "search", limits=[limit(10, window={"rolling_s": 60}, thresholds=[50])])),
        (1, call("a", 1, team="search", tokens={"input": 6_000_000})),
        (90, call("b", 90, team="search", tokens={"input": 6_000_000})),
    )
    names = [decision["decision"] for decision in decisions[1:]]
    assert names == ["grant.crossed", "grant.rearmed", "grant.crossed"]
    assert decisions[2]["due_us"] < decisions[3]["accepted_ms"] * 1000


def test_a_held_call_that_is_released_before_time_arms_a_threshold_hides_nothing() -> None:
    decisions = list_decisions(
        (0, grant("g", "search", limits=[limit(10, window={"rolling_s": 60}, thresholds=[50])])),
        (1, call("a", 1, team="search", tokens={"input": 6_000_000})),
        (10, call("held until 40 s", 340, team="search", tokens={"input": 1})),
        (400, call("b", 400, team="search", tokens={"input": 6_000_000})),
    )
    names = [decision["decision"] for decision in decisions[1:]]
    assert names == ["grant.crossed", "grant.rearmed", "grant.crossed"]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_the_order_in_which_calls_arrive_changes_nothing(order: tuple[int, ...]) -> None:
    calls = [call(str(number), 1 + number * 600, team="search", tokens={"input": 4_000_000}) for number in range(3)]
    decisions = list_decisions(
        (0, grant("g", "search", limits=[limit(10, window={"rolling_s": 3600}, thresholds=[100])])),
        *((1500 + place, calls[number]) for place, number in enumerate(order)),
    )
    assert [(body["used"], body["past"]) for body in read_bodies(decisions, "grant.crossed")] == [
        ("12.000000000000", False)
    ]


def test_what_only_a_window_of_the_past_crosses_says_so() -> None:
    decisions = list_decisions(
        (0, grant("g", "search", limits=[limit(10, window={"rolling_s": 60}, thresholds=[100])])),
        (1, call("a", 1, team="search", tokens={"input": 6_000_000})),
        (100, call("b", 30, team="search", tokens={"input": 6_000_000})),
    )
    assert [body["past"] for body in read_bodies(decisions, "grant.crossed")] == [True]


def test_calls_without_a_price_count_by_their_bound_or_not_at_all() -> None:
    fields: dict[str, Any] = {"usage_source": "missing", "max_tokens": 1_000_000, "tokens": None}
    for policy, crossed in (("assume_greatest", 1), ("tokens_only", 0)):
        decisions = list_decisions(
            (0, grant("g", "search", limits=[limit(10, unknown_usage=policy, thresholds=[50])])),
            (1, call("a", 1, team="search", **fields)),
        )
        assert len(read_bodies(decisions, "grant.crossed")) == crossed


def test_a_lower_limit_tells_what_is_crossed_and_other_currencies_never_count() -> None:
    decisions = list_decisions(
        (0, grant("g", "search", limits=[limit(100, thresholds=[50]), limit(1, currency="EUR")])),
        (1, call("a", 1, team="search", tokens={"input": 6_000_000})),
        (2, grant("n", "search", "grant.narrowed", limits=[limit(10, thresholds=[50])])),
    )
    assert [decision["event_id"] for decision in decisions if decision["decision"] == "grant.crossed"] == ["n"]


def test_records_that_ask_for_more_have_no_effect_and_say_why() -> None:
    total = {"meter": "tokens", "amount": 100_000}
    decisions = list_decisions(
        (0, grant("a", "run", limits=[total], allow={"models": ["m1"]}, delegable=True)),
        (0, grant("b", "run")),
        (0, grant("c", "part", parent="none")),
        (0, grant("d", "part", parent="run", allow={"models": ["m2"]})),
        (0, grant("e", "part", parent="run", limits=[total | {"amount": 200_000}])),
        (1, call("x", 1, team="run", tokens={"input": 60_000})),
        (2, grant("f", "part", "grant.delegated", parent="run", limits=[total | {"amount": 50_000}])),
        (2, grant("g", "part", "grant.delegated", parent="run", limits=[total | {"amount": 40_000}])),
        (2, grant("h", "piece", "grant.delegated", parent="part", limits=[total | {"amount": 1}])),
        (3, grant("i", "part", "grant.extended", limits=[total | {"amount": 200_000}])),
        (3, grant("j", "run", "grant.narrowed", limits=[total | {"amount": 200_000}])),
        (4, grant("k", "run", "grant.revoked")),
        (5, grant("l", "run", "grant.revoked")),
        (5, grant("m", "late", parent="part")),
    )
    assert list_reasons(decisions) == [
        "there is a grant 'run' already: a name is given once",
        "there is no grant 'none'",
        "models: m2 is not in 'run'",
        "tokens//total: the limit is above that of 'run'",
        "tokens//total: 'run' has less than that left",
        "'part' is not delegable",
        "tokens//total: the limit is above that of 'run'",
        "tokens//total: the limit is above that of 'run', or less strict: it would be wider, which grant.extended says",
        "'run' is revoked already",
        "'run' is revoked",
    ]


def test_a_grant_may_start_later_and_nothing_else_waits() -> None:
    later = (START + timedelta(hours=1)).isoformat()

    def build(id: str, control_type: str, **body: Any) -> bytes:
        data = {"control": control_type, "effective_at": later, "body": {"grant": "search"} | body}
        event = {"id": id, "source": "people", "time": START.isoformat(), "type": "tallystick.control.v1", "data": data}
        return ANY_EVENT.validate_json(json.dumps(event)).canonical()

    created = build("g", "grant.created", dimension="team", scope="search", limits=[limit(1, thresholds=[50])])
    decisions = list_decisions(
        (0, created),
        (1, build("r", "grant.revoked")),
        (2, call("a", 2, team="search")),
        (3601, call("b", 3601, team="search")),
    )
    assert [(decision["decision"], decision["event_id"]) for decision in decisions] == [
        ("control.applied", "g"), ("control.ineffective", "r"), ("grant.crossed", "b"),
    ]  # fmt: skip
    assert decisions[0]["effective_us"] - decisions[0]["known_us"] == 3_600_000_000
    assert decisions[1]["reason"] == "it holds from its place on the log on: send it when it is to hold"


def test_a_limit_in_a_currency_without_prices_applies_and_says_that_it_counts_nothing() -> None:
    decisions = list_decisions(
        (
            0,
            grant(
                "a", "search", limits=[limit(10), limit(10, currency="EUR"), limit(5, currency="EUR", meter="notional")]
            ),
        )
    )
    (applied,) = decisions
    assert applied["decision"] == "control.applied"
    assert applied["reason"] == (
        "no price and no contract in force is in EUR, so no spend counts: set the limit in USD, or adopt prices in EUR"
    )
    assert "reason" not in list_decisions((0, grant("a", "search", limits=[limit(10)])))[0]


@pytest.mark.parametrize(
    ("model", "warning"),
    [
        ("m-1", "no price book in force has a price of the model 'm-1', so no limit of money downgrades to it: name "
                "another model, such as 'm1', or adopt a book that prices it"),
        ("gpt", "no price book in force has a price of the model 'gpt', so no limit of money downgrades to it: name "
                "another model, or adopt a book that prices it"),
        ("M1", None), ("acme/m1", None), ("m1-latest", None), ("house", None),
    ],
)  # fmt: skip
def test_a_limit_that_downgrades_to_a_model_without_a_price_says_so(model: str, warning: str | None) -> None:
    alias = control("alias", "model.aliased", name="house", priced_provider="acme", priced_model="m1")
    (applied,) = (
        decision
        for decision in list_decisions(
            (0, alias), (0, grant("a", "search", limits=[limit(10, at_limit="downgrade", downgrade_to=model)]))
        )
        if decision["event_id"] == "a"
    )
    assert (applied["decision"], applied.get("reason")) == ("control.applied", warning)
