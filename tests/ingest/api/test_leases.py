"""``/v1/leases`` against a running worker, and leases that the HTTP API holds by itself for grants that are busy."""

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest

from ingest.api import leases
from ingest.api.problem import Problem
from ingest.api.replies import Reply
from ledger.log import Position
from tests.ingest.api.conftest import Answer, Served, call
from tests.ingest.api.gate import JSON, ask, calls, give, list_decisions, release
from tests.tally.conftest import eventually


def post(server: Served, path: str, **fields: Any) -> Answer:
    headers = {"Authorization": f"Bearer {server.bearer('write')}", "Content-Type": JSON}
    return server.ask(path, "POST", json.dumps(fields).encode(), 60, **headers)


def count_settled(server: Served, grant: str) -> int:
    return sum(
        charge["amount"]
        for body in list_decisions(server, "admission.settled")
        for charge in body["counted"]
        if charge["grant"] == grant
    )


def settle(server: Served, team: str, admissions: list[str]) -> None:
    events = [call(f"{team}-{number}", team=team, admission=name) for number, name in enumerate(admissions)]
    for event in events:
        event["time"] = datetime.now(UTC).isoformat()
    for start in range(0, len(events), 100):
        body = b"\n".join(json.dumps(event).encode() for event in events[start : start + 100])
        assert server.send(body).status == 200


def test_a_lease_is_asked_for_used_and_returned(gate: Served) -> None:
    give(gate, "lent", calls(40), allow={"models": ["gpt-4o"]})
    answer = post(gate, "/v1/leases", id="l-1", team="lent", calls=100, holder="gateway", ttl_s=60)
    document = answer.json()
    assert answer.status == 200, document
    assert (document["lease"], document["amounts"], document["grants"]) == ("l-1", {"calls": 10}, ["lent"])
    assert (document["allow"], document["dimensions"]) == ({"models": ["gpt-4o"]}, ["team"])
    assert document["admits_until"] < document["expires_at"] and document["expires_at"].endswith("Z")
    assert post(gate, "/v1/leases", id="l-1", team="lent", calls=100, holder="gateway", ttl_s=60).json() == document
    assert post(gate, "/v1/leases", id="l-1", team="lent", calls=1).status == 409
    settle(gate, "lent", ["l-1/1/calls=1", "l-1/2/calls=1", "l-1/2/calls=1"])
    returned = post(gate, "/v1/leases/l-1/return", calls=7)
    assert returned.json() == {
        "lease": "l-1", "returned": [{"grant": "lent", "limit": "calls//total", "amount": 7}]
    }  # fmt: skip
    unknown = post(gate, "/v1/leases/l-2/return", calls=7)
    assert (unknown.status, unknown.json()["lease"]) == (404, "l-2") and "'l-2'" in unknown.json()["detail"]
    assert ask(gate, {"team": "lent", "model": "gpt-4o", "calls": 36}).status == 200, "3 are used, and 1 is leased"
    assert ask(gate, {"team": "lent", "model": "gpt-4o"}).status == 429


def test_a_lease_that_is_refused_says_why(gate: Served) -> None:
    give(gate, "bare", calls(1))
    for fields, status, reason in (
        ({"team": "bare", "tokens": 5}, 403, "unmeasured"),
        ({"team": "nobody's", "tokens": 5}, 403, "no grant"),
        ({"team": "bare", "calls": -1}, 422, None),
        ({"team": "bare", "billed": "1"}, 422, None),
        ({"team": "bare", "calls": 1, "prompt": "MARK"}, 422, None),
        ({"team": "bare", "calls": 0}, 422, None),
        ({"team": "bare", "billed": "0.00", "currency": "USD"}, 422, None),
        ({"action": "return", "lease": "l"}, 422, None),
        ({"id": ""}, 422, None),
    ):
        answer = post(gate, "/v1/leases", **fields)
        document = answer.json()
        assert (answer.status, document["detail"] != "") == (status, True), document
        assert status == 422 or document["reason"] == reason
        assert b"MARK" not in answer.body and not document["detail"].startswith("data")
        assert not {"asked", "left"} & document.keys(), "the caller knows what it asked, and no room was asked"
    document = post(gate, "/v1/leases", team="bare", calls=1, tokens=0).json()
    assert (
        document["field"] == "tokens" and "tokens is 0" in document["detail"] and "leave it out" in document["detail"]
    )
    assert ask(gate, {"team": "bare"}).status == 200
    answer = post(gate, "/v1/leases", team="bare", calls=1)
    assert (answer.status, answer.headers["retry-after"], answer.json()["reason"]) == (429, "1", "limit")
    assert post(gate, "/v1/leases/l/return", team="bare").json()["field"] == "team"
    headers = {"Authorization": f"Bearer {gate.bearer('read')}", "Content-Type": JSON}
    assert gate.ask("/v1/leases", "POST", b"{}", 60, **headers).status == 403
    for content in (b"{", b"[]"):
        headers["Authorization"] = f"Bearer {gate.bearer('write')}"
        assert gate.ask("/v1/leases", "POST", content, 60, **headers).status == 400


def test_a_lease_of_dollars_takes_no_euros_back(gate: Served) -> None:
    give(gate, "lender", {"meter": "billed", "amount": "8", "currency": "USD"})
    assert post(gate, "/v1/leases", id="l-usd", team="lender", billed="2", currency="USD").status == 200
    answer = post(gate, "/v1/leases/l-usd/return", billed="1", currency="EUR")
    assert (answer.status, answer.json()["field"], answer.json()["lease"]) == (422, "currency", "l-usd")
    returned = post(gate, "/v1/leases/l-usd/return", billed="1", currency="USD").json()["returned"]
    assert [charge["amount"] for charge in returned] == ["1.000000000000"]


def test_a_lease_that_nobody_answers_stands() -> None:
    position, now = Position(3, 7, 0), datetime(2026, 6, 1, tzinfo=UTC)
    for reply, status, words in (
        (None, 503, "ask again with this id"),
        (Reply("held", None, "90 s ahead of the log"), 500, "/v1/events/3/7"),
        (Reply("conflict", None), 409, "use another id"),
    ):
        with pytest.raises(Problem, match=words) as problem:
            leases.render_lease("l-1", position, reply, now)
        assert problem.value.status == status and "'l-1'" in problem.value.detail
    duplicate = Reply("counted", {"lease": "l-1", "reason": "duplicate", "retryable": False})
    assert leases.render_lease("l-1", position, duplicate, now).status_code == 409
    huge = b"[" + b" " * 10**7 + b"]"
    with pytest.raises(Problem, match="10,000,002 bytes"):
        leases.build_ask(huge, now)


def test_a_busy_grant_is_answered_from_a_lease_and_its_limit_is_met_exactly(gate: Served) -> None:
    """Sixteen callers ask until nothing is left: all 400 calls are allowed, and not one more."""
    give(gate, "busy", calls(400))

    def work(_: int) -> list[dict[str, Any]]:
        admitted: list[dict[str, Any]] = []
        refused = 0
        while refused < 3:
            answer = ask(gate, {"team": "busy", "model": "gpt-4o", "session": f"s-{len(admitted)}"})
            if answer.status == 200:
                admitted.append(answer.json())
                refused = 0
            else:
                refused += 1
                assert answer.status == 429, answer.body
        return admitted

    with ThreadPoolExecutor(16) as callers:
        answers = [answer for admitted in callers.map(work, range(16)) for answer in admitted]
    leased = [answer for answer in answers if "lease" in answer]
    assert leased, "a busy grant is answered from leases"
    assert len({answer["admission"] for answer in answers}) == len(answers) <= 400
    assert leased[0]["reserved"] == [{"grant": "busy", "limit": "calls//total", "amount": 1}]

    def is_all_asked() -> bool:
        answer = ask(gate, {"team": "busy", "model": "gpt-4o"})
        answers.extend([answer.json()] if answer.status == 200 else [])
        return len(answers) >= 400

    eventually(is_all_asked)
    assert len(answers) == 400 and ask(gate, {"team": "busy", "model": "gpt-4o"}).status == 429
    settle(gate, "busy", [answer["admission"] for answer in answers])
    eventually(lambda: count_settled(gate, "busy") == 400)
    settled = [body for body in list_decisions(gate, "admission.settled") if body["counted"][0]["grant"] == "busy"]
    assert Counter(body["way"] for body in settled) == {"leased": len(leased), "settled": 400 - len(leased)}
    assert not any(body["overshoot"] for body in settled)


def make_busy(server: Served, team: str, **fields: Any) -> dict[str, Any]:
    """Ask until a lease answers; return the answer."""
    answers: list[dict[str, Any]] = []

    def is_leased() -> bool:
        answers.append(ask(server, {"team": team, "model": "gpt-4o"} | fields).json())
        return "lease" in answers[-1]

    eventually(is_leased)
    return answers[-1]


def test_an_answer_from_a_lease_is_given_once_an_id(gate: Served) -> None:
    give(gate, "same", calls(4_000))
    make_busy(gate, "same")
    body = {"id": "id-1", "team": "same", "model": "gpt-4o"}
    first = ask(gate, body).json()
    assert "lease" in first and ask(gate, body).json() == first
    other = ask(gate, body | {"model": "o3"})
    assert (other.status, "'id-1'" in other.json()["detail"]) == (409, True)
    assert release(gate, first["admission"]).json() == {"admission": first["admission"], "released": True}
    assert release(gate, first["admission"]).status == 404
    assert ask(gate, body).json() == first, "the answer stays the same"


def test_calls_outside_of_the_lease_are_asked_through_the_log(gate: Served) -> None:
    give(gate, "inside", calls(4_000), allow={"models": ["gpt-4o"]})
    make_busy(gate, "inside")
    assert "lease" in ask(gate, {"team": "inside", "model": "GPT-4o", "operation": "chat"}).json()
    assert ask(gate, {"team": "inside", "model": "o3"}).json()["reason"] == "outside"
    for fields in ({"ttl_s": 3_600}, {"grant": "inside"}, {"calls": 999}):
        answer = ask(gate, {"team": "inside", "model": "gpt-4o"} | fields)
        assert answer.status == 200 and "lease" not in answer.json(), fields


def sum_leased(server: Served, grant: str) -> int:
    """Sum what leases of a grant hold, none of whose calls settled."""
    granted = [body for body in list_decisions(server, "lease.granted") if body["grants"] == [grant]]
    charges: list[int] = [
        charge["amount"]
        for body in list_decisions(server, "lease.returned")
        for charge in body["returned"]
        if charge["grant"] == grant
    ]
    amounts: list[int] = [body["amounts"]["calls"] for body in granted]
    return sum(amounts) - sum(charges)


def test_a_stopped_api_returns_what_it_holds_and_a_killed_one_costs_no_more_than_that(gate: Served) -> None:
    give(gate, "ended", calls(400))
    make_busy(gate, "ended")
    assert gate.process
    gate.process.terminate()
    gate.process.wait()
    eventually(lambda: sum_leased(gate, "ended") == 1)
    gate.start()
    make_busy(gate, "ended")
    gate.kill()
    gate.start()
    decided = list_decisions(gate, "admission.decided")
    leased = sum_leased(gate, "ended")
    assert 1 < leased <= 101, "at most a quarter is lost"
    rest = 400 - leased - sum(body.get("grants") == ["ended"] for body in decided)
    assert ask(gate, {"team": "ended", "calls": rest + 1}).json()["reason"] == "reserved"
    assert ask(gate, {"team": "ended", "calls": rest}).status == 200
