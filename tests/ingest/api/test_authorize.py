"""``/v1/authorize``: what proxies ask by the headers of a request, and what they are answered. Real ones stand in
``tests/clients``."""

import pytest
from starlette.datastructures import Headers

from ingest.api import authorize
from ingest.api.problem import Problem
from tests.ingest.api.conftest import Answer, Served
from tests.ingest.api.gate import calls, give, release


def authorize_call(server: Served, path: str = "/v1/authorize", method: str = "GET", **headers: str) -> Answer:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    fields = {"Authorization": f"Bearer {server.bearer('write')}"} | fields
    return server.ask(path, method, None, 60, **fields)


def test_a_call_is_allowed_by_headers_alone_whatever_the_method_and_the_path(gate: Served) -> None:
    give(gate, "proxied", calls(3), allow={"models": ["gpt-4o"]})
    fields = {"Tallystick_Team": "proxied", "Tallystick_Model": "gpt-4o"}
    first = authorize_call(gate, **fields)
    posted = authorize_call(gate, "/v1/authorize/v1/chat/completions?stream=true", "POST", **fields)
    headed = authorize_call(gate, "/v1/authorize/", "HEAD", **fields)
    assert [answer.status for answer in (first, posted, headed)] == [200, 200, 200] and headed.body == b""
    assert (first.headers["tallystick-answer"], first.headers["tallystick-model"]) == ("allow", "gpt-4o")
    assert first.json()["grants"] == ["proxied"] and first.json()["admission"] == first.headers["tallystick-admission"]
    refused = authorize_call(gate, "/v1/authorize/v1/chat/completions", "POST", **fields)
    assert (refused.status, refused.headers["retry-after"]) == (429, "1")
    assert refused.headers["tallystick-retryable"] == "true" and refused.json()["grant"] == "proxied"
    assert release(gate, first.headers["tallystick-admission"]).status == 200


def test_a_refusal_has_its_reason_in_headers_and_the_status_that_the_proxy_takes(gate: Served) -> None:
    give(gate, "final", calls(3), allow={"models": ["gpt-4o"]})
    answer = authorize_call(gate, Tallystick_Team="final", Tallystick_Model="o3")
    assert answer.status == 403
    expected = {"answer": "deny", "reason": "outside", "retryable": "false", "grant": "final"}
    assert {name: answer.headers[f"tallystick-{name}"] for name in expected} == expected
    assert answer.headers["tallystick-detail"] == answer.json()["detail"]
    give(gate, "busy", calls(1))
    assert authorize_call(gate, Tallystick_Team="busy").status == 200
    answer = authorize_call(gate, Tallystick_Team="busy", Tallystick_Refusal_Status="403")
    assert (answer.status, answer.headers["tallystick-retryable"], answer.headers["retry-after"]) == (403, "true", "1")


def test_the_same_id_is_the_same_admission(gate: Served) -> None:
    give(gate, "named", calls(1))
    first, second = (authorize_call(gate, Tallystick_Team="named", Tallystick_Id="call-1") for _ in range(2))
    assert first.json() == second.json() and first.headers["tallystick-admission"] == "call-1"
    other = authorize_call(gate, Tallystick_Team="named", Tallystick_Id="call-1", Tallystick_Model="o3")
    assert other.status == 409
    repeated = authorize_call(
        gate, Tallystick_Team="named", Tallystick_Id="call-1", Tallystick_Model="o3", Tallystick_Refusal_Status="401"
    )
    assert repeated.status == 401


def test_headers_that_cannot_be_an_ask_are_refused(gate: Served) -> None:
    for fields, status, word in (
        ({"Tallystick_Taem": "search"}, 400, "tallystick-taem"),
        ({"Tallystick_Refusal_Status": "500"}, 400, "403"),
        ({"Tallystick_Max_Tokens": "many"}, 422, "max_tokens"),
        ({"Tallystick_Team": ""}, 422, "team"),
        ({"Authorization": "Bearer x"}, 401, "token"),
        ({"Authorization": f"Bearer {gate.bearer('read')}"}, 403, "write"),
        ({"Tally_Organization": "other"}, 403, "other"),
    ):
        answer = authorize_call(gate, **fields)
        assert (answer.status, word in answer.json()["detail"]) == (status, True), answer.body
    assert authorize_call(gate, Tallystick_Tags_Region="eu", Tallystick_Prompt="p").status == 200, "those of events"


def test_a_header_given_twice_is_refused() -> None:
    headers = Headers(raw=[(b"tallystick-team", b"a"), (b"tallystick-team", b"b")])
    with pytest.raises(Problem, match="given 2 times"):
        authorize.read_ask(headers)


def test_names_in_any_script_come_through_and_nothing_ends_a_header() -> None:
    headers = Headers(raw=[(b"tallystick-team", "Zürich".encode()), (b"tallystick-input-tokens", b"12")])
    (ask,), _ = authorize.read_ask(headers)
    assert (ask["team"], ask["input_tokens"]) == ("Zürich", 12)
    answer = authorize.render_answer({"status": 200, "answer": "allow", "model": "x\r\nY: 1", "grant": "Zürich"}, None)
    assert answer.headers["tallystick-model"] == "x??Y: 1"
    assert answer.headers["tallystick-grant"].encode("latin-1").decode() == "Zürich"
