"""Admissions and leases on a log: asks, answers, settlements and expiries."""

from typing import Any

import pytest

from tests.streams.build import START, call
from tests.streams.folded_log import build_request
from tests.streams.folds.grants.test_grant_fold import grant, limit, list_decisions, read_bodies

DOLLAR: dict[str, Any] = {"input_tokens": 0, "max_tokens": 100_000, "model": "m1", "team": "search"}
"""A dollar at the greatest rate of its side."""


def request(id: str, kind: str = "admission", at_s: float = 0, **data: Any) -> bytes:
    return build_request(id, kind, at_s, data)


def ask(id: str, at_s: float = 0, **data: Any) -> bytes:
    return request(id, at_s=at_s, **(DOLLAR | data))


def list_answers(*lines: tuple[float, bytes]) -> list[dict[str, Any]]:
    return read_bodies(list_decisions(*lines), "admission.decided")


def test_no_more_is_admitted_than_a_limit_holds_and_the_refusal_says_why() -> None:
    """agentic-spendguard's fixture in small, and ten first calls at once (litellm#34732)."""
    answers = list_answers(
        (0, grant("g", "search", limits=[limit(3)])), *((1, ask(f"a{number}")) for number in range(10))
    )
    assert [answer["answer"] for answer in answers] == ["allow"] * 3 + ["deny"] * 7
    refill_us = int((START.timestamp() + 86_400 * 61 / 60) * 1_000_000)
    assert answers[0]["reserved"] == [
        {"grant": "search", "limit": "billed/USD/86400s", "amount": "1.000000000000", "left": "2.000000000000",
         "refill_us": refill_us},
    ]  # fmt: skip
    assert answers[3] == {
        "admission": "a3", "answer": "deny", "model": "m1", "reason": "reserved", "retryable": True, "grant": "search",
        "granted_by": None, "limit": "billed/USD/86400s", "left": "0.000000000000", "refill_us": None,
        "needed": "1.000000000000", "asked": DOLLAR,
    }  # fmt: skip


def test_a_settlement_frees_what_was_not_used_and_names_its_admission() -> None:
    decisions = list_decisions(
        (0, grant("g", "search", limits=[limit(1, thresholds=[100])])),
        (1, ask("a")),
        (2, ask("b")),
        (3, call("call", 3, team="search", admission="a", tokens={"output": 10_000})),
        (4, ask("c", max_tokens=90_000)),
        (5, ask("d", max_tokens=1)),
    )
    answers = [answer["answer"] for answer in read_bodies(decisions, "admission.decided")]
    assert answers == ["allow", "deny", "allow", "deny"]
    (settled,) = read_bodies(decisions, "admission.settled")
    assert settled["way"] == "settled"
    assert settled["counted"][0]["amount"] == "0.100000000000"
    assert settled["overshoot"] == []


def test_an_admission_that_nobody_settles_expires_and_a_late_call_counts() -> None:
    decisions = list_decisions(
        (0, grant("g", "search", limits=[limit(1)])),
        (1, ask("a", ttl_s=60)),
        (62, ask("b", ttl_s=60)),
        (63, call("call", 2, team="search", admission="a", tokens={"output": 100_000})),
    )
    assert [answer["answer"] for answer in read_bodies(decisions, "admission.decided")] == ["allow", "allow"]
    (expired,) = read_bodies(decisions, "admission.expired")
    assert (expired["admission"], expired["held"][0]["amount"]) == ("a", "1.000000000000")
    (settled,) = read_bodies(decisions, "admission.settled")
    assert (settled["way"], settled["overshoot"][0]["amount"]) == ("late", "1.000000000000")


def test_a_revision_that_counts_first_settles_and_says_so() -> None:
    decisions = list_decisions(
        (0, grant("g", "search", limits=[limit(1)])),
        (1, ask("a")),
        (2, call("call", 900, team="search", tokens={"output": 10_000})),
        (3, call("call", 3, team="search", admission="a", tokens={"output": 20_000}, revision=1)),
    )
    (settled,) = read_bodies(decisions, "admission.settled")
    assert (settled["way"], settled["counted"][0]["amount"]) == ("settled", "0.200000000000")


def test_a_call_of_unknown_cost_counts_in_no_other_currency() -> None:
    unknown: dict[str, Any] = {"usage_source": "missing", "max_tokens": 10_000, "tokens": None}
    decisions = list_decisions(
        (0, grant("g", "search", limits=[limit(100), limit(1, currency="EUR", at_limit="warn")])),
        (1, ask("a")),
        (2, call("call", 2, team="search", admission="a", **unknown)),
    )
    (settled,) = read_bodies(decisions, "admission.settled")
    assert [charge["limit"] for charge in settled["counted"]] == ["billed/USD/86400s"]


def test_a_call_without_usage_counts_the_tokens_that_were_reserved() -> None:
    tokens: dict[str, Any] = {"meter": "tokens", "amount": 100_000, "window": {"rolling_s": 86_400}}
    decisions = list_decisions(
        (0, grant("g", "search", limits=[tokens])),
        (1, ask("a")),
        (2, call("call", 2, team="search", admission="a", usage_source="missing", tokens=None)),
        (3, ask("b")),
    )
    (settled,) = read_bodies(decisions, "admission.settled")
    assert settled["counted"][0]["amount"] == 100_000
    assert [answer["answer"] for answer in read_bodies(decisions, "admission.decided")] == ["allow", "deny"]


def test_a_call_on_a_customers_own_key_counts_no_less_of_what_is_not_known() -> None:
    """It is billed nothing for sure; tokens count as reserved, and the list cost by its bound."""
    tokens: dict[str, Any] = {"meter": "tokens", "amount": 100_000, "window": {"rolling_s": 86_400}}
    decisions = list_decisions(
        (0, grant("g", "search", limits=[tokens, limit(9), limit(9, meter="notional")])),
        (1, ask("a", payer="customer")),
        (2, call("call", 2, team="search", admission="a", payer="customer", usage_source="missing", tokens=None,
                 max_tokens=50_000)),
        (3, ask("b", payer="customer")),
    )  # fmt: skip
    (settled,) = read_bodies(decisions, "admission.settled")
    assert {charge["limit"]: charge["amount"] for charge in settled["counted"]} == {
        "tokens//86400s": 100_000, "notional/USD/86400s": "1.450000000000",
    }  # fmt: skip
    assert [answer["answer"] for answer in read_bodies(decisions, "admission.decided")] == ["allow", "deny"]


def test_a_release_gives_back_once() -> None:
    decisions = list_decisions(
        (0, grant("g", "search", limits=[limit(1)])),
        (1, ask("a")),
        (2, request("r", action="release", admission="a")),
        (2, request("s", action="release", admission="a")),
        (3, ask("b")),
    )
    assert [body["released"] for body in read_bodies(decisions, "admission.released")] == [True, False]
    assert [answer["answer"] for answer in read_bodies(decisions, "admission.decided")] == ["allow", "allow"]


@pytest.mark.parametrize(
    ("fields", "reason", "detail"),
    [
        ({"model": "m2"}, "outside", "models"),
        ({"region": None}, "outside", "regions"),
        ({"model": "m1", "region": "eu", "grant": "else"}, "not held", None),
        ({"model": "m1", "region": "eu"}, None, None),
        ({"model": "M1", "region": "EU"}, None, None),
    ],
)
def test_a_call_outside_of_the_set_is_refused_for_good(
    fields: dict[str, Any], reason: str | None, detail: str | None
) -> None:
    allow = {"models": ["m1"], "regions": ["eu"]}
    fields = {"region": "eu"} | fields
    fields = {name: value for name, value in fields.items() if value is not None}
    (answer,) = list_answers((0, grant("g", "search", allow=allow)), (1, ask("a", **fields)))
    assert (answer.get("reason"), answer.get("detail")) == (reason, detail)
    assert not answer.get("retryable")


def test_an_unpriced_call_is_refused_unless_the_policy_counts_tokens_only() -> None:
    for policy, expected in (("assume_greatest", "unpriced"), ("deny", "unpriced"), ("tokens_only", None)):
        limits = [limit(1, unknown_usage=policy)]
        (answer,) = list_answers((0, grant("g", "search", limits=limits)), (1, ask("a", model="nobody's")))
        assert answer.get("reason") == expected
        assert expected is None or "left" not in answer, "it was not asked"


def test_a_limit_offers_its_cheaper_model_or_asks_to_wait() -> None:
    cheap = limit(1, at_limit="downgrade", downgrade_to="m2")
    (answer,) = list_answers((0, grant("g", "search", limits=[cheap])), (1, ask("a", max_tokens=100_001)))
    assert (answer["answer"], answer["reason"]) == ("deny", "limit"), "nobody has a price of m2"
    tokens = {"meter": "tokens", "amount": 10, "window": {"rolling_s": 60}, "at_limit": "throttle"}
    answers = list_answers(
        (0, grant("g", "search", limits=[tokens])),
        (0, call("call", 0, team="search", tokens={"input": 10})),
        (5, ask("a", max_tokens=1)),
        (5, ask("b", max_tokens=11)),
    )
    assert [(answer["answer"], answer["retryable"]) for answer in answers] == [("throttle", True), ("throttle", False)]
    assert answers[0]["refill_us"] == int((START.timestamp() + 61) * 1_000_000)
    assert answers[1]["refill_us"] is None


def test_own_keys_are_billed_nothing_and_have_a_notional_cost() -> None:
    limits = [limit(1), limit(5, meter="notional")]
    answers = list_answers(
        (0, grant("g", "search", limits=limits)),
        *((1, ask(f"a{number}", payer="customer", max_tokens=300_000)) for number in range(2)),
    )
    assert [answer["answer"] for answer in answers] == ["allow", "deny"]
    assert answers[1]["limit"] == "notional/USD/86400s"


def test_a_parent_holds_over_all_its_children() -> None:
    teams = ("search", "search", "search", "chat", "chat", "else")
    answers = list_answers(
        (0, grant("p", "product", limits=[limit(3)], dimension="organization", scope="acme")),
        (0, grant("a", "search", parent="product", limits=[limit(2)])),
        (0, grant("b", "chat", parent="product", limits=[limit(2)])),
        *((1, ask(f"a{number}", team=team)) for number, team in enumerate(teams)),
    )
    assert [answer["answer"] for answer in answers] == ["allow", "allow", "deny", "allow", "deny", "deny"]
    assert [answer.get("grant") for answer in answers] == [None, None, "search", None, "product", "product"]


def test_a_lease_is_spent_returned_and_lost() -> None:
    lease: dict[str, Any] = {"holder": "gateway-1", "team": "search", "billed": "10", "currency": "USD"}
    decisions = list_decisions(
        (0, grant("g", "search", limits=[limit(4)])),
        (1, request("l1", "lease", **lease)),
        (2, call("call", 2, team="search", admission="l1", tokens={"output": 40_000})),
        (3, request("r", "lease", action="return", lease="l1", billed="0.5", currency="USD")),
        (4, request("l2", "lease", **lease, ttl_s=10, settle_s=10)),
        (90, ask("a", max_tokens=350_000)),
    )
    slices = [body["amounts"]["billed"] for body in read_bodies(decisions, "lease.granted")]
    assert slices == ["1.000000000000", "0.875000000000"], "a quarter of 4, and of what is left: 3.5"
    assert [body["way"] for body in read_bodies(decisions, "admission.settled")] == ["leased"]
    assert [body["returned"][0]["amount"] for body in read_bodies(decisions, "lease.returned")] == ["0.500000000000"]
    assert [body["held"][0]["amount"] for body in read_bodies(decisions, "lease.expired")] == ["0.875000000000"]
    assert [body["answer"] for body in read_bodies(decisions, "admission.decided")] == ["allow"]


def test_a_call_gives_back_what_its_admission_from_a_lease_took_and_does_not_use() -> None:
    """The name says a dollar: the call costs 40 cents, so 60 are free again; the same name takes nothing off twice."""
    lease: dict[str, Any] = {"team": "search", "billed": "10", "tokens": 9, "currency": "USD"}
    name, other = "l1/1/billed=1000000000000,tokens=9", "l1/2/billed=500000000000"
    decisions = list_decisions(
        (0, grant("g", "search", limits=[limit(8)])),
        (1, request("l1", "lease", **lease)),
        (2, call("a", 2, team="search", admission=name, tokens={"output": 40_000})),
        (3, call("b", 3, team="search", admission=name, tokens={"output": 10_000})),
        (4, ask("c", max_tokens=650_000)),
        (5, ask("d", max_tokens=1)),
        (6, call("e", 6, team="search", admission=other, model="nobody's", usage_source="missing", tokens=None)),
    )
    assert [body["amounts"] for body in read_bodies(decisions, "lease.granted")] == [
        {"billed": "2.000000000000", "tokens": 9}
    ]
    first, unknown = read_bodies(decisions, "admission.settled")
    assert (first["way"], first["admission"], first["overshoot"]) == ("leased", name, [])
    assert (first["reserved"][0]["amount"], first["counted"][0]["amount"]) == ("1.000000000000", "0.400000000000")
    assert [body["answer"] for body in read_bodies(decisions, "admission.decided")] == ["allow", "deny"]
    assert unknown["counted"][0]["amount"] == "0.500000000000", "what is not known counts what was taken"


def test_a_lease_says_what_its_holder_needs_to_admit_as_the_ledger_would() -> None:
    warning = limit(1, meter="tokens", currency=None, at_limit="warn")
    limits = [limit(8), {name: value for name, value in warning.items() if value is not None}]
    models = [{"provider": "acme", "model": "m1"}, {"model": "nobody's"}]
    decisions = list_decisions(
        (0, grant("g", "search", limits=limits, expires_at="2026-01-05T12:00:30Z", allow={"models": ["m1"]})),
        (1, call("a", 1, team="search", tokens={"input": 10})),
        (2, request("l1", "lease", team="search", user="ann", billed="1", currency="USD", models=models)),
    )
    (granted,) = read_bodies(decisions, "lease.granted")
    assert (granted["dimensions"], granted["allow"]) == (["team"], {"models": ["m1"]})
    assert granted["admits_until_us"] == int((START.timestamp() + 30) * 1_000_000), "no longer than its grant"
    assert granted["leased"] == [{"grant": "search", "limit": "billed/USD/86400s", "amount": "1.000000000000"}]
    assert granted["warnings"] == [{"grant": "search", "limit": "tokens//86400s"}]
    tiers = [{"above": 0, "input": "0.000001000000", "output": "0.000010000000"}]
    assert granted["prices"] == [
        {"provider": "acme", "model": "m1", "currency": "USD", "per_call": "0.000000000000", "tiers": tiers}
    ]


def test_a_lease_names_what_it_is_for() -> None:
    decisions = list_decisions(
        (0, grant("g", "search", limits=[limit(4)])),
        (1, request("a", "lease", team="search", tokens=5)),
        (1, request("b", "lease", team="search", billed="1", currency="EUR")),
        (1, request("c", "lease", team="else", billed="1", currency="USD")),
    )
    reasons = [body["reason"] for body in read_bodies(decisions, "lease.refused")]
    assert reasons == ["unmeasured", "currency", "no grant"]


def test_revoked_or_narrowed_while_reserved_the_call_that_runs_settles() -> None:
    """prime-agent#1192: no refund for what still runs, and no cap that goes away."""
    decisions = list_decisions(
        (0, grant("p", "run", limits=[limit(2)], delegable=True)),
        (0, grant("c", "part", "grant.delegated", parent="run")),
        (1, ask("a", team="part")),
        (2, grant("r", "part", "grant.revoked")),
        (3, ask("b", team="part")),
        (4, ask("c", team="run", max_tokens=150_000)),
        (5, call("call", 4, team="part", admission="a", tokens={"output": 100_000})),
        (6, ask("d", team="run", max_tokens=150_000)),
        (7, ask("e", team="run")),
    )
    answers = read_bodies(decisions, "admission.decided")
    assert [answer["answer"] for answer in answers] == ["allow", "deny", "deny", "deny", "allow"]
    assert answers[1]["reason"] == "revoked"
    (settled,) = read_bodies(decisions, "admission.settled")
    assert [charge["grant"] for charge in settled["counted"]] == ["run"]


def test_a_floor_is_kept_until_its_grant_uses_it_and_a_loan_is_not() -> None:
    kept, lent = limit(4, floor=3), limit(4, floor=3, lend=1)
    parent = grant("p", "product", limits=[limit(4)], dimension="organization", scope="acme")
    for floor, expected in ((kept, ["allow", "deny", "allow"]), (lent, ["allow", "allow", "allow"])):
        answers = list_answers(
            (0, parent),
            (0, grant("a", "search", parent="product", limits=[limit(4)])),
            (0, grant("b", "chat", parent="product", limits=[floor])),
            (1, ask("a1", team="search")),
            (2, ask("a2", team="search")),
            (3, ask("a3", team="chat", max_tokens=200_000)),
        )
        assert [answer["answer"] for answer in answers] == expected
    refusal = list_answers((0, parent), (0, grant("b", "chat", parent="product", limits=[kept])), (1, ask("a1")),
                           (2, ask("a2")))[1]  # fmt: skip
    assert (refusal["grant"], refusal["reason"], refusal["retryable"]) == ("product", "reserved", True)


def test_a_refusal_for_a_floor_says_what_is_kept_and_for_whom() -> None:
    answers = list_answers(
        (0, grant("p", "product", limits=[limit(4)], dimension="organization", scope="acme")),
        (0, grant("b", "chat", parent="product", limits=[limit(4, floor=3)])),
        (1, call("call", 1, team="search", tokens={"output": 50_000})),
        (2, ask("a")),
    )
    assert answers == [{
        "admission": "a", "answer": "deny", "model": "m1", "reason": "floor", "retryable": False, "grant": "product",
        "granted_by": None, "limit": "billed/USD/86400s", "left": "0.500000000000", "kept": "3.000000000000",
            "needed": "1.000000000000",
            "asked": {"team": "search", "model": "m1", "input_tokens": 0, "max_tokens": 100_000},
        "refill_us": int((START.timestamp() + 86_400 * 61 / 60) * 1_000_000), "detail": "chat",
    }]  # fmt: skip


def test_an_ask_by_an_estimate_reserves_what_calls_like_it_cost() -> None:
    """Nineteen calls of a tenth of their bound are too few, and with the twentieth a tenth is reserved."""
    decisions = list_decisions(
        (0, grant("g", "search", limits=[limit(100)])),
        *(
            line
            for number in range(20)
            for line in (
                (number + 1, ask(f"a{number}", estimate=0.9)),
                (
                    number + 1.5,
                    call(f"c{number}", 1, team="search", admission=f"a{number}", tokens={"output": 10_000}),
                ),
            )
        ),
        (30, ask("b", estimate=0.9)),
        (31, ask("c")),
        (32, ask("d", estimate=0.9, model="m2")),
        (33, call("cb", 33, team="search", admission="b", tokens={"output": 1_000_000})),
    )
    answers = {answer["admission"]: answer for answer in read_bodies(decisions, "admission.decided")}
    assert [answers[name]["reserved"][0]["amount"][:4] for name in ("a0", "a19", "b", "c")] == [
        "1.00",
        "1.00",
        "0.10",
        "1.00",
    ]
    assert [answers[name].get("samples") for name in ("a0", "a19", "b", "c")] == [0, 19, 20, None]
