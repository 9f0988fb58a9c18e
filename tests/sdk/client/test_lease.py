"""Leases of an application: calls admitted in memory, slices that are replaced and returned, and asks for the rest."""

import asyncio
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tallystick import Client, NotAdmitted
from tallystick.client import lease as leases
from tests.ingest.api.conftest import Served, gate
from tests.ingest.api.gate import calls, give, list_decisions
from tests.sdk.client.test_client import ANSWER, NOWHERE
from tests.tally.conftest import eventually

__all__ = ["gate"]


@pytest.fixture
def client(gate: Served, tmp_path: Any) -> Iterator[Client]:
    client = Client(gate.address.geturl(), gate.bearer("write"), source="app", spool=tmp_path / "spool")
    yield client
    client.close()


def list_of(server: Served, decision: str, grant: str) -> list[dict[str, Any]]:
    """List the decisions about leases of a grant."""
    names = {body["lease"] for body in list_decisions(server, "lease.granted") if body["grants"] == [grant]}
    bodies = list_decisions(server, decision)
    return [body for body in bodies if (body.get("lease") or body["admission"].split("/")[0]) in names]


def test_calls_are_admitted_in_memory_settle_and_the_rest_is_returned(gate: Served, client: Client) -> None:
    give(gate, "held", calls(100))
    with client.lease(team="held", calls=20) as lease:
        for number in range(5):
            with lease.admit(model="gpt-4o", session=f"s-{number}") as admission:
                assert (admission.decision["answer"], admission.model) == ("allow", "gpt-4o")
                assert admission.decision["reserved"] == [{"grant": "held", "limit": "calls//total", "amount": 1}]
                if number < 4:
                    with admission.call() as call:
                        call.usage(ANSWER)
        assert lease.left == {"calls": 16}, "one was not called"
    assert client.flush(60)
    eventually(lambda: len(list_of(gate, "admission.settled", "held")) == 4)
    settled = list_of(gate, "admission.settled", "held")
    assert {(body["way"], len(body["overshoot"])) for body in settled} == {("leased", 0)}
    assert [body["returned"][0]["amount"] for body in list_of(gate, "lease.returned", "held")] == [16]
    assert [body for body in list_decisions(gate, "admission.decided") if body.get("grants") == ["held"]] == []


@pytest.mark.parametrize("is_async", [False, True])
def test_many_at_once_never_get_beyond_a_limit_and_reach_it(gate: Served, client: Client, is_async: bool) -> None:
    """Slices shrink as the limit comes near; what they do not admit is asked, until nothing is left."""
    team = f"many-{is_async}"
    give(gate, team, calls(300))

    def work(_: int) -> int:
        admitted, refused = 0, 0
        while refused < 3:
            try:
                with lease.admit(model="gpt-4o") as admission, admission.call() as call:
                    call.usage(ANSWER)
                    admitted += 1
            except NotAdmitted as refusal:
                assert refusal.answer
                refused += 1
        return admitted

    async def work_async() -> int:
        admitted, refused = 0, 0
        while refused < 3:
            try:
                async with lease.admit(model="gpt-4o") as admission:
                    with admission.call() as call:
                        call.usage(ANSWER)
                    admitted += 1
            except NotAdmitted as refusal:
                assert refusal.answer
                refused += 1
        return admitted

    async def gather() -> int:
        return sum(await asyncio.gather(*(work_async() for _ in range(10))))

    with client.lease(team=team, calls=40) as lease:
        if is_async:
            admitted = asyncio.run(gather())
        else:
            with ThreadPoolExecutor(10) as callers:
                admitted = sum(callers.map(work, range(10)))
    while admitted < 300:  # of what the last slices gave back
        with client.admit(team=team) as admission, admission.call() as call:
            call.usage(ANSWER)
        admitted += 1
    with pytest.raises(NotAdmitted), client.admit(team=team):
        pytest.fail("three hundred and one")
    slices = [body["amounts"]["calls"] for body in list_of(gate, "lease.granted", team)]
    assert len(slices) > 2 and slices[0] == 40 and min(slices) < 40, slices
    assert client.flush(60)
    assert not any(body["overshoot"] for body in list_of(gate, "admission.settled", team))


def test_what_a_lease_does_not_admit_is_asked(gate: Served, client: Client) -> None:
    give(gate, "asked", calls(400), allow={"models": ["gpt-4o"]})
    with client.lease(team="asked", calls=10) as lease:
        with lease.admit(model="gpt-4o") as admission:
            assert "lease" in admission.decision
        for fields in (
            {"calls": 11},
            {"grant": "asked"},
            {"team": "nobody's"},
            {"ttl_s": 3_600},
            {"region": 7},
            {"calls": -5},
        ):
            with lease.admit(**{"model": "gpt-4o"} | fields) as admission:
                assert "lease" not in admission.decision, fields
        with pytest.raises(NotAdmitted) as refusal, lease.admit(model="o3"):
            pytest.fail("a model outside of the grant")
        assert refusal.value.decision["reason"] == "outside"
    with lease.admit(model="gpt-4o") as admission:
        assert "lease" not in admission.decision, "it is closed"


def test_a_lease_that_is_refused_asks_for_each_call(gate: Served, client: Client) -> None:
    give(gate, "metered", {"meter": "tokens", "amount": 1_000})
    with client.lease(team="metered", calls=10) as lease:
        assert lease.left == {}
        with lease.admit(model="gpt-4o", input_tokens=1, max_tokens=1) as admission:
            assert "lease" not in admission.decision
    nowhere = Client(NOWHERE, "t", source="app", spool=client._folder / "nowhere")
    with nowhere.lease(team="metered", tokens=10) as lease, pytest.raises(NotAdmitted), lease.admit(model="gpt-4o"):
        pytest.fail("nobody allowed it")
    nowhere.close(0)


def test_a_slice_that_is_over_is_returned_and_another_asked_for(
    gate: Served, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "TEND_INTERVAL_S", 0.05)
    give(gate, "timed", calls(400))
    with client.lease(team="timed", calls=10, ttl_s=1) as lease:
        eventually(lambda: is_admitted(lease))
        eventually(lambda: len(list_of(gate, "lease.granted", "timed")) >= 2)
        eventually(lambda: lease.left == {})  # nobody asks any more
    granted, returned = list_of(gate, "lease.granted", "timed"), list_of(gate, "lease.returned", "timed")
    assert len(granted) == len(returned)


def is_admitted(lease: Any) -> bool:
    with lease.admit(model="gpt-4o") as admission:
        return "lease" in admission.decision


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_does_not_admit_from_its_parents_slice(gate: Served, client: Client) -> None:
    give(gate, "forked", calls(400))
    with client.lease(team="forked", calls=10) as lease:
        child = os.fork()
        if child == 0:
            os._exit(0 if lease.left == {} else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert lease.left == {"calls": 10}
