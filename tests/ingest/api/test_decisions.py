"""``GET /v1/decisions`` against a running worker: what is told, from where it goes on, and how it ends."""

import http.client
import json
import signal
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from ingest.api.decisions.grant_states import write_limit_key
from ingest.api.decisions.position import DecisionPosition, parse_decision_position
from ledger.home.tokens import revoke_token
from ledger.log import partition_of
from streams.folds.grants.records import read_grant
from tests.ingest.api.conftest import JSON, Answer, Served, call, folding
from tests.ingest.api.gate import ask, calls, give

Event = dict[str, Any]
TIMEOUT_S = 40


class Stream:
    """An open stream of server-sent events."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self._response = response

    def read(self) -> Event:
        """Return the next event: its name, its id and its data. Heartbeats are none."""
        fields: dict[str, str] = {}
        deadline_s = time.monotonic() + TIMEOUT_S
        while True:
            assert time.monotonic() < deadline_s, "heartbeats alone"
            line = self._response.readline().decode()
            assert line, "the stream ended"
            name, _, value = line.rstrip("\n").partition(": ")
            if line == "\n" and "event" in fields:
                data: Event = json.loads(fields["data"])
                return data | {"event": fields["event"], "id": fields.get("id")}
            if name and line != "\n":
                fields[name] = value

    def read_until(self, kind: str, **fields: Any) -> Event:
        """Return the first event that has these fields."""
        while True:
            event = self.read()
            if event["event"] == kind and all(event.get(name) == value for name, value in fields.items()):
                return event


@contextmanager
def subscribed(server: Served, query: str = "", last_id: str = "", bearer: str = "") -> Iterator[Stream]:
    headers = {"Authorization": f"Bearer {bearer or server.bearer('read')}"}
    with closing(
        http.client.HTTPConnection(str(server.address.hostname), server.address.port, TIMEOUT_S)
    ) as connection:
        connection.request(
            "GET", f"/v1/decisions{query}", headers=headers | ({"Last-Event-ID": last_id} if last_id else {})
        )
        response = connection.getresponse()
        assert response.status == 200, response.read()
        assert response.headers["content-type"].startswith("text/event-stream")
        yield Stream(response)


def refuse(server: Served, query: str = "", **headers: str) -> Answer:
    fields = {"Authorization": f"Bearer {server.bearer('read')}"} | {k.replace("_", "-"): v for k, v in headers.items()}
    return server.ask(f"/v1/decisions{query}", "GET", None, TIMEOUT_S, **fields)


def change(server: Served, name: str, kind: str, **body: Any) -> None:
    """Change a grant: narrowed, extended or revoked."""
    data = {"control": f"grant.{kind}", "actor": "boss", "body": {"grant": name} | body}
    event = call(str(uuid.uuid4())) | {"type": "tallystick.control.v1", "data": data}
    assert server.send(json.dumps(event).encode(), JSON, server.bearer("admin")).status == 200


def use(server: Served, team: str, id: str, count: int = 1, **fields: Any) -> None:
    """Record calls for which nobody asked, which are counted by grants."""
    for number in range(count):
        event = call(f"{team} {id} {number}", team=team, **fields) | {"time": datetime.now(UTC).isoformat()}
        assert server.send(json.dumps(event).encode(), JSON).status == 200


def test_each_decision_about_a_grant_is_told_with_what_it_holds_for(gate: Served) -> None:
    with subscribed(gate) as stream:
        assert stream.read()["event"] == "state"
        give(gate, "told", calls(4, window={"rolling_s": 60}))
        created = stream.read_until("changed", grant="told")
        assert (created["dimension"], created["scope"], created["reason"]) == ("team", "told", "grant.created")
        use(gate, "told", "half", 2)
        assert stream.read_until("threshold", grant="told")["thresholds"] == [50]
        use(gate, "told", "rest", 2)
        exhausted = stream.read_until("exhausted", grant="told")
        assert (exhausted["limit"], exhausted["used"], exhausted["thresholds"]) == ("calls//60s", 4, [80, 100])
        assert ask(gate, {"team": "told"}).status == 403
        refused = stream.read_until("refused", grant="told")
        assert (refused["answer"], refused["retryable"], refused["left"]) == ("deny", False, 0)
        change(gate, "told", "extended", limits=[calls(9, window={"rolling_s": 60})])
        assert stream.read_until("refilled", grant="told")["reason"] == "grant.extended"
        change(gate, "told", "narrowed", paused=True)
        stream.read_until("frozen", grant="told")
        frozen = ask(gate, {"team": "told"}).json()
        assert (frozen["reason"], frozen["retryable"], frozen["status"]) == ("paused", False, 403)
        with subscribed(gate, "?grant=told") as late:
            state = late.read()
            assert [stop["reason"] for stop in state["frozen"]] == ["paused"] and state["exhausted"] == []
        change(gate, "told", "extended", paused=False)
        stream.read_until("resumed", grant="told")
        change(gate, "told", "revoked")
        stopped = stream.read_until("stopped", grant="told")
        assert stopped["reason"] == "grant.revoked"
        final = ask(gate, {"team": "told"}).json()
        assert (final["reason"], final["retryable"]) == ("revoked", False)
        with subscribed(gate, "?grant=told") as late:
            assert [stop["reason"] for stop in late.read()["stopped"]] == ["revoked"]


def test_exhaustion_is_told_whatever_thresholds_a_limit_names(gate: Served) -> None:
    """And again, where a person raised the limit a little, so that it is still near."""
    with subscribed(gate, "?kind=exhausted,refilled") as stream:
        assert stream.read()["event"] == "state"
        give(gate, "near", calls(20, thresholds=[50]))
        use(gate, "near", "most", 1, calls=20)
        assert stream.read_until("exhausted", grant="near")["thresholds"] == [50, 100]
        with subscribed(gate, "?grant=near") as late:
            assert [limit["used"] for limit in late.read()["exhausted"]] == [20]
        change(gate, "near", "extended", limits=[calls(21)])
        stream.read_until("refilled", grant="near")
        use(gate, "near", "last")
        assert stream.read_until("exhausted", grant="near")["used"] == 21


@pytest.mark.parametrize("dimension", ["session", "key"])
def test_a_session_or_key_that_is_stopped_is_denied_as_final(gate: Served, dimension: str) -> None:
    name = f"final-{dimension}"
    give(gate, name, calls(9), dimension=dimension, scope=name)
    assert ask(gate, {dimension: name}).status == 200
    for kind, reason in (("narrowed", "paused"), ("revoked", "revoked")):
        change(gate, name, kind, **({"paused": True} if reason == "paused" else {}))
        answer = ask(gate, {dimension: name})
        document = answer.json()
        assert (answer.status, document["reason"], document["retryable"]) == (403, reason, False)
        assert "retry-after" not in answer.headers


def test_a_stream_goes_on_behind_the_last_event_that_was_read_without_loss_or_repeat(gate: Served) -> None:
    names = [f"exact-{number}" for number in range(5)]
    with subscribed(gate, "?kind=changed") as stream:
        stream.read()
        for name in names:
            give(gate, name, calls(1))
        first = [stream.read() for _ in names]
    assert [event["grant"] for event in first] == names
    for count in range(len(names)):
        with subscribed(gate, "?kind=changed", last_id=first[count]["id"]) as stream:
            assert [stream.read() for _ in names[count + 1 :]] == first[count + 1 :], "and no state before them"
    positions = [position for event in first if (position := parse_decision_position(event["id"])) is not None]
    assert len(positions) == len(first) and {position.partition for position in positions} == {partition_of("acme")}
    assert positions == sorted(set(positions))


def test_kinds_and_grants_are_chosen_and_what_is_above_a_grant_concerns_it(gate: Served) -> None:
    give(gate, "above", calls(90))
    give(gate, "below", calls(9), parent="above", scope="below")
    give(gate, "beside", calls(9))
    with subscribed(gate, "?kind=frozen,resumed&grant=below") as stream:
        assert set(stream.read()) == {"event", "id", "at", "frozen"}
        for name in ("beside", "above", "below"):
            change(gate, name, "narrowed", paused=True)
        assert [stream.read()["grant"] for _ in range(2)] == ["above", "below"]


def test_nobody_is_told_of_another_organization(gate: Served) -> None:
    same = next(name for name in map(str, range(999)) if partition_of(name) == partition_of("acme"))
    both = gate.bearer("admin", "read", organizations=("acme", same))
    with subscribed(gate, bearer=gate.bearer("read", organizations=(same,))) as stream:
        state = stream.read()
        assert (state["exhausted"], state["frozen"], state["stopped"]) == ([], [], [])
        give(gate, "private", calls(1))
        grant = {"grant": "own", "dimension": "team", "scope": "own"}
        event = call("own") | {"type": "tallystick.control.v1", "data": {"control": "grant.created", "body": grant}}
        sent = gate.send(json.dumps(event).encode(), JSON, both, Tally_Organization=same)
        assert sent.status == 200
        assert stream.read()["grant"] == "own"
    assert refuse(gate, Authorization=f"Bearer {gate.bearer('write')}").status == 403
    assert refuse(gate, Tally_Organization=same).status == 403


def test_what_cannot_be_told_is_refused_with_the_way_out(gate: Served) -> None:
    other = next(name for name in map(str, range(999)) if partition_of(name) != partition_of("acme"))
    for query, headers, status, words in (
        ("?kinds=refused", {}, 400, ("'kinds'", "kind")),
        ("?kind=spent", {}, 400, ("'spent'", "exhausted")),
        ("?grant=nobody", {}, 404, ("'nobody'", "tally grant list")),
        ("", {"Last_Event_ID": "x"}, 400, ("'x'", "leave it out")),
        ("", {"Last_Event_ID": str(DecisionPosition(partition_of(other), 0, 1))}, 400, ("leave it out",)),
        ("", {"Last_Event_ID": str(DecisionPosition(partition_of("acme"), 10**9, 1))}, 400, ("another log",)),
    ):
        answer = refuse(gate, query, **headers)
        assert answer.status == status and all(word in answer.json()["detail"] for word in words), answer.body


def test_what_time_alone_ends_is_told_when_it_ends_and_again_after_a_reconnect(gate: Served) -> None:
    with subscribed(gate) as stream:
        stream.read()
        now = time.time()
        soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now + 3))
        give(gate, "short", calls(1), expires_at=soon)
        give(gate, "paused", calls(1))
        change(gate, "paused", "narrowed", paused=True, until=soon)
        frozen = stream.read_until("frozen", grant="paused")
        assert frozen["until"] == soon
        ended = [stream.read() for _ in range(2)]
    assert sorted((event["event"], event["grant"], event["at"], event["id"]) for event in ended) == [
        ("resumed", "paused", soon, None), ("stopped", "short", soon, None),
    ]  # fmt: skip
    with subscribed(gate, last_id=frozen["id"]) as stream:
        assert [stream.read() for _ in range(2)] == ended
    with subscribed(gate, "?grant=short") as stream:
        assert stream.read()["stopped"][0]["reason"] == "expired"


def test_streams_end_at_once_with_the_reason_and_go_on_later(own_server: Served) -> None:
    """On both logs: the server shuts down, and a token is revoked."""
    own_server.start()
    give(own_server, "first", calls(1))
    with folding(own_server.settings):
        with subscribed(own_server) as stream:
            state = stream.read()
            give(own_server, "second", calls(1))
            last = stream.read_until("changed", grant="second")
            assert parse_decision_position(state["id"]) < parse_decision_position(last["id"])  # type: ignore[operator]
            assert own_server.process
            own_server.process.send_signal(signal.SIGTERM)
            assert "shuts down" in stream.read_until("end")["reason"]
        assert own_server.process.wait(TIMEOUT_S) == 128 + signal.SIGTERM
        own_server.start()
        give(own_server, "third", calls(1))
        bearer = own_server.bearer("read")
        with subscribed(own_server, last_id=last["id"]) as stream:
            assert stream.read()["grant"] == "third"
            revoke_token(own_server.settings.home, bearer.split("_")[1])
            give(own_server, "fourth", calls(1))
            assert "revoked" in stream.read_until("end")["reason"]


@pytest.mark.parametrize(
    "limit",
    [
        {"meter": "calls", "amount": 1},
        {"meter": "billed", "amount": "1", "currency": "USD", "window": {"rolling_s": 60}},
        {"meter": "tokens", "amount": 1, "window": {"calendar": "day"}},
        {"meter": "notional", "amount": "1", "currency": "EUR", "window": {"calendar": "year", "first_month": 4}},
    ],
)  # fmt: skip
def test_a_limit_has_the_name_that_the_folds_give_it(limit: dict[str, Any]) -> None:
    body = {"grant": "g", "dimension": "team", "scope": "s", "limits": [limit]}
    assert write_limit_key(limit) == read_grant(body, 0, None).limits[0].key
