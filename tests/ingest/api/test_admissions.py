"""``POST /v1/admissions`` against a running worker: each kind of answer, the same answer again, and no overshoot."""

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ingest.api import admissions
from ingest.api.replies import Reply
from ledger.log import Position, partition_of, records
from ledger.log.open import open_log
from ledger.log.topics import DECISIONS
from ledger.settings import Settings
from tests.ingest.api.conftest import Served, call, folding
from tests.ingest.api.gate import JSON, ask, calls, give, release

CALLERS = 50


def test_an_ask_is_allowed_and_says_what_it_reserves(gate: Served) -> None:
    give(gate, "allowed", calls(2))
    answer = ask(gate, {"team": "allowed", "model": "gpt-4o"})
    assert answer.status == 200, answer.body
    document = answer.json()
    assert (document["answer"], document["model"], document["grants"]) == ("allow", "gpt-4o", ["allowed"])
    assert document["reserved"] == [{"grant": "allowed", "limit": "calls//total", "amount": 1, "left": 1}]
    assert document["admission"] and document["expires_at"].endswith("Z") and document["warnings"] == []
    assert ask(gate, {"team": "nobody's", "model": "gpt-4o"}).json()["grants"] == [], "no grant, so none is needed"


def test_what_is_in_the_way_of_calls_under_way_may_be_asked_again(gate: Served) -> None:
    give(gate, "contended", calls(1))
    admission = ask(gate, {"team": "contended"}).json()["admission"]
    answer = ask(gate, {"team": "contended"})
    document = answer.json()
    assert (answer.status, answer.headers["retry-after"]) == (429, "1")
    assert answer.headers["content-type"] == "application/problem+json"
    assert (document["answer"], document["reason"], document["retryable"]) == ("deny", "reserved", True)
    assert (document["grant"], document["limit"], document["left"]) == ("contended", "calls//total", 0)
    assert document["granted_by"] not in ("", "boss") and "'contended'" in document["detail"]
    assert release(gate, admission).json() == {"admission": admission, "released": True}
    assert ask(gate, {"team": "contended"}).status == 200
    gone = release(gate, admission)
    assert gone.status == 404 and admission in gone.json()["detail"]
    assert "never asked" in release(gate, "nobody's").json()["detail"]


def test_a_limit_that_throttles_says_when_it_refills(gate: Served) -> None:
    give(gate, "throttled", calls(1, at_limit="throttle", window={"rolling_s": 600}))
    used = call("used", team="throttled") | {"time": "2026-06-01T12:00:00Z"}
    admission = ask(gate, {"team": "throttled"}).json()["admission"]
    used["data"]["admission"] = admission
    assert gate.send(json.dumps(used).encode(), JSON).status == 200
    answer = ask(gate, {"team": "throttled"})
    document = answer.json()
    assert (answer.status, document["answer"], document["retryable"]) == (429, "throttle", True), document
    assert 1 <= int(answer.headers["retry-after"]) <= 620 and document["refills_at"].endswith("Z")
    assert document["retry_after_s"] == int(answer.headers["retry-after"])


def test_a_call_that_nothing_but_a_person_can_allow_is_denied_for_good(gate: Served) -> None:
    give(gate, "set", calls(9), allow={"models": ["gpt-4o"]})
    for fields, reason in (
        ({"model": "o3"}, "outside"),
        ({"model": "gpt-4o", "calls": 10}, "limit"),
        ({"model": "gpt-4o", "grant": "other"}, "not held"),
    ):
        answer = ask(gate, {"team": "set"} | fields)
        document = answer.json()
        assert (answer.status, document["reason"], document["retryable"]) == (403, reason, False)
        assert "retry-after" not in answer.headers and document["detail"]
    give(gate, "set", control="grant.revoked")
    assert ask(gate, {"team": "set", "model": "gpt-4o"}).json()["reason"] == "revoked"


def test_a_batch_has_an_answer_for_each_ask_in_order(gate: Served) -> None:
    give(gate, "batch", calls(1), allow={"models": ["gpt-4o"]})
    asks: list[Any] = [
        {"team": "batch", "model": "gpt-4o", "id": "b-1"}, {"team": "batch", "model": "o3", "id": "b-2"},
        {"team": "batch", "model": "gpt-4o", "id": "b-3"}, {"team": "batch", "max_tokens": -1}, "text",
        {"team": "batch", "model": "gpt-4o", "id": "b-1"}, {"action": "release", "admission": "b-1"},
        {"team": "batch", "model": "gpt-4", "id": "b-1"}, {"team": "batch", "cost": 1}, {"id": 5},
    ]  # fmt: skip
    answer = ask(gate, *asks)
    answers = answer.json()["answers"]
    assert answer.status == 200
    assert [item["status"] for item in answers] == [200, 403, 429, 422, 422, 200, 422, 409, 422, 422]
    assert [item.get("admission") for item in answers[:3]] == ["b-1", "b-2", "b-3"]
    assert answers[5] == answers[0]
    assert [item.get("field") for item in answers if item["status"] == 422] == [
        "max_tokens", "", "action", "?", "id",
    ]  # fmt: skip


def test_the_same_id_gets_the_same_answer_and_is_charged_once(gate: Served) -> None:
    give(gate, "again", calls(2))
    first, second = (ask(gate, {"id": "same", "team": "again"}).json() for _ in range(2))
    assert first == second
    assert ask(gate, {"team": "again"}).status == 200, "one call is left"
    other = ask(gate, {"id": "same", "team": "again", "model": "o3"})
    assert other.status == 409 and "'same'" in other.json()["detail"]


def test_an_ask_that_is_refused_names_its_field(gate: Served) -> None:
    for fields, field in (({"ttl_s": 1}, "ttl_s"), ({"prompt": "MARK"}, "prompt"), ({"id": ""}, "id")):
        answer = ask(gate, fields)
        assert (answer.status, answer.json()["field"]) == (422, field) and b"MARK" not in answer.body
    assert ask(gate, {"estimate": 0.1}).json()["reason"].startswith("Input should be greater than or equal to 0.5, and")
    for content, status, way_out in (
        (b"{", 400, "send an ask"),
        (b"[]", 400, "send an ask"),
        (json.dumps([{}] * 501).encode(), 413, "send several requests"),
    ):
        headers = {"Authorization": f"Bearer {gate.bearer('write')}", "Content-Type": JSON}
        answer = gate.ask("/v1/admissions", "POST", content, 60, **headers)
        assert answer.status == status and way_out in answer.json()["detail"]
    unfit = release(gate, "x" * 300)
    assert (unfit.status, unfit.json()["field"]) == (422, "admission")
    assert ask(gate, {}, bearer=gate.bearer("read")).status == 403
    assert ask(gate, {}, bearer="x").status == 401


def test_persons_are_told_by_their_pseudonyms(gate: Served) -> None:
    give(gate, "person", calls(1), dimension="user", scope="ann")
    assert ask(gate, {"user": "ann"}).json()["grants"] == ["person"]
    assert ask(gate, {"user": "ann"}).status == 429
    assert ask(gate, {"user": "bob"}).status == 200


def test_a_cheaper_model_is_an_answer_and_an_ask_that_is_not_judged_is_none() -> None:
    position, now = Position(3, 7, 0), datetime(2026, 6, 1, tzinfo=UTC)
    decision = {"answer": "downgrade", "model": "gpt-4o-mini", "grants": ["g"], "expires_us": 1_780_272_900_000_000}
    reserved = [{"grant": "g", "limit": "calls//60s", "amount": 1, "left": 4, "refill_us": 1_780_272_061_000_000}]
    answer = admissions.describe_reply("a", position, Reply("counted", decision | {"reserved": reserved}), now)
    assert (answer["reserved"][0]["left"], answer["reserved"][0]["refills_at"]) == (4, "2026-06-01T00:01:01Z")
    assert "refill_us" not in answer["reserved"][0]
    assert (answer["status"], answer["answer"], answer["model"]) == (200, "downgrade", "gpt-4o-mini")
    assert answer["expires_at"] == "2026-06-01T00:15:00Z"
    answer = admissions.describe_reply("a", position, Reply("held", None, "90 s ahead of the log"), now)
    assert answer["status"] == 500 and "90 s ahead" in answer["detail"] and "/v1/events/3/7" in answer["detail"]


@pytest.mark.parametrize("reason", admissions.REASONS)
def test_every_refusal_is_a_sentence_that_names_its_grant_and_who_can_help(reason: str) -> None:
    decision = {
        "answer": "deny", "model": "m", "reason": reason, "retryable": False, "grant": "search", "granted_by": "p_1",
        "limit": "calls//total", "left": 3, "refill_us": None, "detail": "models",
    }  # fmt: skip
    answer = admissions.describe_reply("a", Position(0, 0, 0), Reply("counted", decision), datetime.now(UTC))
    assert answer["status"] == (409 if reason == "duplicate" else 403)
    assert reason == "duplicate" or "'search'" in answer["detail"]
    assert answer["detail"].endswith("p_1 granted it, and can extend it")


@pytest.mark.parametrize(
    ("left", "text"),
    [
        ("979.841325000000", "979.841325"),
        ("100.000000000000", "100"),
        ("0.000000000000", "0"),
        (2_990_400, "2990400"),
    ],
)
def test_a_sentence_has_amounts_without_zeros_that_say_nothing(left: str | int, text: str) -> None:
    decision = {"reason": "limit", "grant": "search", "limit": "x", "left": left, "kept": None, "retryable": False}
    assert f"has {text} left of" in admissions.explain_refusal(decision)


def test_concurrent_callers_never_get_beyond_a_limit(own_server: Served) -> None:
    """Fifty at once on one grant of seventeen calls: seventeen are allowed, however they arrive."""
    own_server.start()
    give(own_server, "team", calls(17))
    own_server.bearer("write")
    with folding(own_server.settings), ThreadPoolExecutor(CALLERS) as callers:
        answers = list(callers.map(lambda _: ask(own_server, {"team": "team"}), range(CALLERS)))
    assert Counter(answer.status for answer in answers) == {200: 17, 429: CALLERS - 17}
    names = {answer.json()["admission"] for answer in answers}
    assert len(names) == CALLERS
    with closing(open_log(own_server.settings)) as log:
        lines = [
            json.loads(line)
            for record in records(log, DECISIONS, partition_of("acme"))
            for line in record.value.split(b"\n")
        ]
    bodies = [json.loads(line["body"]) for line in lines if line["decision"] == "admission.decided"]
    assert Counter(body["answer"] for body in bodies) == {"allow": 17, "deny": CALLERS - 17}


def test_an_ask_that_nobody_answers_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from starlette.testclient import TestClient

    from ingest.api.app import Api
    from ledger.home.tokens import create_token
    from ledger.log.sqlite.log import EmbeddedLog

    monkeypatch.setattr(admissions, "REPLY_TIMEOUT_S", 0.2)
    settings = Settings(home=tmp_path / "home")
    with closing(EmbeddedLog(settings.home)) as log, closing(EmbeddedLog(settings.home)) as reader:
        _, bearer = create_token(settings.home, ["acme"], ["write"])
        headers = {"Authorization": f"Bearer {bearer}"}
        with closing(Api(settings, log, reader)) as api, TestClient(api.app(), headers=headers) as client:
            answer = client.post("/v1/admissions", json={"id": "late", "team": "team"})
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
            assert answer.json()["admission"] == "late" and "ask again with this id" in answer.json()["detail"]
            assert client.delete("/v1/admissions/late").status_code == 503
            assert "tally_http_admissions_total" in client.get("/metrics").text
            with folding(settings):
                monkeypatch.setattr(admissions, "REPLY_TIMEOUT_S", 60)
                answer = client.post("/v1/admissions", json={"id": "late", "team": "team"})
            assert (answer.status_code, answer.json()["answer"]) == (200, "allow")
