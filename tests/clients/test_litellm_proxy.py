"""LiteLLM's own proxy with the callback and TALLY_ADMIT: each request is asked for, and its record settles."""

import asyncio
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from conftest import Ledger
from fastapi import HTTPException
from test_proxies import find_free_port

from tallystick import Client
from tallystick.gateways.litellm_admission import build_ask, count_input, find_group
from tallystick.litellm import TallystickCallback

MASTER_KEY = "sk-master"
CONFIGURATION = """
model_list:
  - {model_name: gpt-4o, litellm_params: {model: openai/gpt-4o, api_key: k, mock_response: an answer}}
  - {model_name: cheap, litellm_params: {model: openai/gpt-4o-mini, api_key: k, mock_response: an answer}}
  - {model_name: broken, litellm_params: {model: openai/gpt-4o, api_key: k, mock_response: litellm.InternalServerError}}
litellm_settings:
  callbacks: ["tallystick.litellm.callback"]
  num_retries: 1
general_settings:
  master_key: sk-master
"""
MONEY = {"meter": "billed", "currency": "USD"}
START_TIMEOUT_S = 300
pytestmark = pytest.mark.timeout(400)
"""The proxy imports for half a minute, and for minutes on a machine that has other work."""


class Proxy:
    """A running proxy, and what it sent to the ledger."""

    def __init__(self, url: str, ledger: Ledger, source: str) -> None:
        self._url, self._ledger, self._source = url, ledger, source

    def complete(self, team: str, model: str = "gpt-4o", **fields: Any) -> httpx.Response:
        body = {
            "model": model, "messages": [{"role": "user", "content": "QZXMARKED prompt"}], "max_tokens": 100,
            "metadata": {"tallystick.team": team},
        }  # fmt: skip
        headers = {"Authorization": f"Bearer {MASTER_KEY}"}
        return httpx.post(f"{self._url}/v1/chat/completions", json=body | fields, headers=headers, timeout=60)

    def await_events(self, team: str, count: int) -> list[dict[str, Any]]:
        end_s = time.monotonic() + 30
        while True:
            events = [event["data"] for event in self._ledger.list_events(self._source)]
            found = [data for data in events if data.get("team") == team]
            if len(found) >= count or time.monotonic() > end_s:
                return found
            time.sleep(0.2)


@contextmanager
def served(ledger: Ledger, folder: Path) -> Iterator[Proxy]:
    (folder / "config.yaml").write_text(CONFIGURATION)
    port, source = find_free_port(), f"litellm-{uuid.uuid4().hex[:6]}"
    environment = os.environ | {
        "CONFIG_FILE_PATH": str(folder / "config.yaml"), "TALLY_URL": ledger.url, "TALLY_TOKEN": ledger.bearer,
        "TALLY_SOURCE": source, "TALLY_SPOOL": str(folder / "spool"), "TALLY_ADMIT": "closed",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    }  # fmt: skip
    command = [sys.executable, "-m", "uvicorn", "litellm.proxy.proxy_server:app", "--port", str(port)]
    with (folder / "proxy.log").open("wb") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
    try:
        end_s = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                httpx.get(f"http://127.0.0.1:{port}/health/liveliness", timeout=5).raise_for_status()
                break
            except httpx.HTTPError:
                assert process.poll() is None and time.monotonic() < end_s, (folder / "proxy.log").read_text()
                time.sleep(0.2)
        yield Proxy(f"http://127.0.0.1:{port}", ledger, source)
    finally:
        process.terminate()
        process.wait(60)
        log = (folder / "proxy.log").read_text()
        assert "could not be recorded" not in log, log


@pytest.fixture(scope="module")
def proxy(ledger: Ledger, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with served(ledger, tmp_path_factory.mktemp("proxy")) as proxy:
        yield proxy


def test_a_call_is_admitted_and_its_record_settles(proxy: Proxy, ledger: Ledger) -> None:
    ledger.give("admitted", MONEY | {"amount": "0.0015"})
    assert proxy.complete("admitted").status_code == 200
    (data,) = proxy.await_events("admitted", 1)
    assert data["status"] == "ok" and data["admission"]
    assert ledger.release(data["admission"]) == 404, "it is settled"
    assert proxy.complete("admitted").status_code == 200, "what the first reserved and did not use is there again"
    proxy.await_events("admitted", 2)
    spoofed = {"tallystick.team": "admitted", "tallystick.admission": "another's"}
    assert proxy.complete("admitted", metadata=spoofed).status_code == 200
    admissions = {data["admission"] for data in proxy.await_events("admitted", 3)}
    assert len(admissions) == 3 and "another's" not in admissions


def test_a_refusal_is_the_http_error_with_its_reason_and_is_recorded_as_free(proxy: Proxy, ledger: Ledger) -> None:
    ledger.give("poor", MONEY | {"amount": "0.0001"})
    final = proxy.complete("poor")
    assert final.status_code == 403, final.text
    assert "'poor'" in final.text and "billed/USD/total" in final.text
    (data,) = proxy.await_events("poor", 1)
    assert data["status"] == "refused" and "admission" not in data
    ledger.give("busy", {"meter": "calls", "amount": 1})
    reserve(ledger, "busy")
    retried = proxy.complete("busy")
    assert (retried.status_code, retried.headers["retry-after"]) == (429, "1"), retried.text
    ledger.give("busy", control="grant.narrowed", paused=True)
    assert proxy.complete("busy").status_code == 403


def reserve(ledger: Ledger, team: str, **fields: Any) -> str:
    headers = {"Authorization": f"Bearer {ledger.bearer}"}
    answer = httpx.post(f"{ledger.url}/v1/admissions", json={"team": team} | fields, headers=headers, timeout=60)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["admission"])


def test_a_cheaper_model_is_called_by_the_group_that_serves_it(proxy: Proxy, ledger: Ledger) -> None:
    limit = MONEY | {"amount": "0.0005", "at_limit": "downgrade", "downgrade_to": "gpt-4o-mini"}
    ledger.give("thrifty", limit)
    answer = proxy.complete("thrifty")
    assert answer.status_code == 200, answer.text
    (data,) = proxy.await_events("thrifty", 1)
    assert (data["model"], data["model_resolved"], bool(data["admission"])) == ("cheap", "gpt-4o-mini", True)


def test_a_request_that_fails_for_good_releases(proxy: Proxy, ledger: Ledger) -> None:
    ledger.give("failing", {"meter": "calls", "amount": 9})
    assert proxy.complete("failing", "broken").status_code == 500
    events = proxy.await_events("failing", 2)
    assert all(data["status"] == "error" and "admission" not in data for data in events)
    assert reserve(ledger, "failing", calls=9 - len(events)), "attempts count, and nothing is reserved"


@pytest.mark.parametrize(("policy", "status"), [("open", None), ("closed", 503), ("perhaps", 503), ("", None)])
def test_the_user_decides_what_becomes_of_calls_without_an_answer(
    policy: str, status: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("TALLY_ADMIT", policy)
    client = Client(f"http://127.0.0.1:{find_free_port()}", "tally_x", source="s", spool=tmp_path)
    callback = TallystickCallback(client)
    data = {"model": "gpt-4o", "messages": [{"role": "user", "content": "QZXMARKED"}], "metadata": {}}
    asking = callback.async_pre_call_hook(None, None, data, "acompletion")
    if status is None:
        assert asyncio.run(asking) is (data if policy else None)
    else:
        with pytest.raises(HTTPException, match="No answer") as refused:
            asyncio.run(asking)
        assert refused.value.status_code == status and data["metadata"] == {"tallystick.status": "refused"}
    is_asked = policy in ("open", "closed")
    assert callback.asks == ({"unanswered": 1} if is_asked else {}), "once, whatever became of the call"
    assert (f"TALLY_ADMIT={policy}" in caplog.text) == is_asked
    assert policy != "perhaps" or "'perhaps': write open" in str(refused.value.detail)
    assert asyncio.run(callback.async_pre_call_hook(None, None, {"model": "m"}, "acount_tokens")) is None
    assert "QZXMARKED" not in caplog.text
    client.close(0)


@pytest.mark.parametrize(
    ("fields", "tokens"),
    [
        ({"messages": [{"role": "user", "content": "one two three"}]}, (3, 20)),
        ({"input": "one two three"}, (3, 3)),
        ({"input": ["one two three"]}, (13, 60)),  # bytes
        ({"messages": [{"role": "user", "content": "x"}], "system": [{"type": "text", "text": "y"}]}, (30, 200)),
        ({}, (0, 2)),
    ],
)
def test_input_is_counted_or_bounded_by_its_bytes(fields: dict[str, Any], tokens: tuple[int, int]) -> None:
    assert tokens[0] <= count_input("gpt-4o", fields) <= tokens[1]


def test_an_ask_has_the_deployment_and_the_most_that_it_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    def deploy(group: str, model: str, **info: Any) -> dict[str, Any]:
        return {"model_name": group, "litellm_params": {"model": model}, "model_info": info}

    deployments = [
        deploy("fast", "openai/gpt-4o-mini"), deploy("fast", "openai/gpt-4o"),
        deploy("own", "azure/my-deployment", base_model="azure/gpt-4o"),
    ]  # fmt: skip

    class Router:
        def get_model_list(self, model_name: str | None, team_id: str | None) -> list[dict[str, Any]]:
            return [entry for entry in deployments if model_name in (None, entry["model_name"])]

    monkeypatch.setitem(sys.modules, "litellm.proxy.proxy_server", SimpleNamespace(llm_router=Router()))
    metadata = {"user_api_key_team_id": "search", "user_api_key_hash": "h", "tallystick.feature": "answers"}
    data = {"model": "fast", "messages": [], "metadata": metadata, "max_completion_tokens": 7, "n": 2, "user": "ann"}
    ask = build_ask(data, "acompletion")
    expected = {
        "model": "gpt-4o", "provider": "openai", "max_tokens": 14, "team": "search", "key": "h", "customer": "ann",
        "feature": "answers", "operation": "chat",
    }  # fmt: skip
    assert {name: ask[name] for name in expected} == expected
    ask = build_ask({"model": "own", "input": "a", "litellm_metadata": metadata, "metadata": {}}, "aresponses")
    assert (ask["model"], ask["team"], ask["max_tokens"] > 1000) == ("gpt-4o", "search", True)
    assert find_group("gpt-4o-mini", None) == "fast" and find_group("unknown", None) == "unknown"
