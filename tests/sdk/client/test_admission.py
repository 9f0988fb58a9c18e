"""Calls that ask first: admitted, refused, settled and released, in threads and coroutines."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tallystick import Client, NotAdmitted
from tests.ingest.api.conftest import Served, folding
from tests.ingest.api.gate import calls, give, list_decisions
from tests.sdk.client.test_client import ANSWER, NOWHERE
from tests.sdk.conftest import read_inferences
from tests.tally.conftest import eventually


@pytest.fixture
def gate(api_server: Served) -> Iterator[Served]:
    with folding(api_server.settings):
        yield api_server


def test_a_call_is_admitted_and_settles_what_it_reserved(gate: Served, client: Client) -> None:
    give(gate, "search", calls(1))
    with (
        client.session(agent="researcher", team="search"),
        client.admit(model="gpt-4o", input_tokens=10, max_tokens=5, tags={"region": "eu"}) as admission,
    ):
        assert (admission.decision["answer"], admission.model) == ("allow", "gpt-4o")
        with admission.call(provider="openai") as call:
            call.usage(ANSWER)
    assert client.flush(60)
    (event,) = read_settling(gate)
    assert event["data"]["admission"] == admission.id and event["data"]["tags"] == {"region": "eu"}
    assert (event["data"]["team"], event["data"]["model"], event["data"]["max_tokens"]) == ("search", "gpt-4o", 5)
    assert "left_out" not in event["data"]
    eventually(lambda: bool(list_decisions(gate, "admission.settled")))
    (settled,) = list_decisions(gate, "admission.settled")
    assert (settled["way"], settled["admission"], settled["overshoot"]) == ("settled", admission.id, [])


def test_a_refusal_is_one_error_that_says_whether_to_ask_again(gate: Served, client: Client) -> None:
    give(gate, "search", calls(1), allow={"models": ["gpt-4o"]})
    with client.admit(model="gpt-4o", team="search"):
        with pytest.raises(NotAdmitted, match="'search'") as refusal, client.admit(model="gpt-4o", team="search"):
            pytest.fail("two calls on a limit of one")
        assert (refusal.value.answer, refusal.value.retryable, refusal.value.retry_after_s) == ("deny", True, 1)
        with pytest.raises(NotAdmitted) as refusal, client.admit(model="o3", team="search"):
            pytest.fail("a model outside of the grant")
        assert (refusal.value.retryable, refusal.value.decision["reason"]) == (False, "outside")
    with pytest.raises(NotAdmitted) as refusal, client.admit(model="gpt-4o", ttl_s=1):
        pytest.fail("a reservation of a second")
    assert (refusal.value.answer, refusal.value.retryable) == (None, False) and "ttl_s" in str(refusal.value)


def test_what_is_not_called_is_released(gate: Served, client: Client) -> None:
    give(gate, "search", calls(1))
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), client.admit(team="search") as admission:
            admission.call()  # made, and never begun
            1 / 0  # noqa: B018

    async def leave() -> None:
        async with client.admit(team="search"):
            pass

    asyncio.run(leave())
    assert [body["released"] for body in list_decisions(gate, "admission.released")] == [True] * 3
    assert client.flush(60) and read_settling(gate) == []


def test_a_call_that_fails_counts_as_unknown_and_is_not_released(gate: Served, client: Client) -> None:
    with pytest.raises(ZeroDivisionError), client.admit(team="search", model="m") as admission, admission.call():
        1 / 0  # noqa: B018
    for _ in admission.call().watch([ANSWER]):
        pass
    assert client.flush(60)
    assert list_decisions(gate, "admission.released") == []
    assert [event["data"]["status"] for event in read_settling(gate)] == ["error", "ok"]


@pytest.mark.parametrize("is_async", [False, True])
def test_many_at_once_never_get_beyond_a_limit(gate: Served, client: Client, is_async: bool) -> None:
    give(gate, "search", calls(7))

    def work(_: int) -> bool:
        try:
            with client.admit(team="search") as admission, admission.call() as call:
                call.usage(ANSWER)
                return True
        except NotAdmitted as refusal:
            return not refusal.answer

    async def work_async() -> bool:
        try:
            async with client.admit(team="search") as admission:
                with admission.call() as call:
                    call.usage(ANSWER)
                return True
        except NotAdmitted as refusal:
            return not refusal.answer

    async def gather() -> list[bool]:
        return await asyncio.gather(*(work_async() for _ in range(30)))

    if is_async:
        results = asyncio.run(gather())
    else:
        with ThreadPoolExecutor(30) as callers:
            results = list(callers.map(work, range(30)))
    assert results.count(True) == 7
    assert client.flush(60) and len(read_settling(gate)) == 7


def test_a_ledger_that_does_not_answer_leaves_the_decision_to_the_application(
    api_server: Served, tmp_path: Any
) -> None:
    opened: list[Callable[[], Client]] = [
        lambda: Client(NOWHERE, "t", source="app", spool=tmp_path / "nowhere"),
        lambda: Client(api_server.address.geturl(), "wrong", source="app", spool=tmp_path / "wrong"),
    ]
    for make_client, is_retryable in zip(opened, (True, False), strict=True):
        client = make_client()
        with pytest.raises(NotAdmitted) as refusal, client.admit(team="search"):
            pytest.fail("nobody allowed it")
        assert (refusal.value.answer, refusal.value.retryable) == (None, is_retryable)
        client.close(0)


def test_objects_of_the_application_are_converted_or_left_out(tmp_path: Any) -> None:
    class Broken:
        def __str__(self) -> str:
            raise RuntimeError

        __repr__ = __int__ = __str__

    client = Client(NOWHERE, "t", source="app", spool=tmp_path / "objects")
    fields = {"user": 12345, "team": Broken(), "input_tokens": "900", "ttl_s": Broken(), "session": "sk-" + "a1B2" * 12}
    ask = client.admit(**fields)._build_ask()
    assert (ask["user"], ask["input_tokens"], sorted(ask)) == ("12345", 900, ["id", "input_tokens", "session", "user"])
    assert ask["session"].startswith("fp_") and client.counts.left_out == 2
    client.close(0)


def read_settling(server: Served) -> list[dict[str, Any]]:
    return [event for event in read_inferences(server) if event["type"] == "tallystick.inference.v1"]
