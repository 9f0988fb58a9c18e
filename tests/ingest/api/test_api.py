"""The HTTP API: the answer to each request, and the records on the log."""

import gzip
import json
import os
import random
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPException
from pathlib import Path

import pytest
import zstandard
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from ingest.api import app, openapi
from ledger.home.tokens import create_token, list_tokens, revoke_token
from ledger.log import Record, partition_of
from ledger.log.open import open_log
from ledger.log.sqlite.log import EmbeddedLog
from ledger.log.topics import DECISIONS, EVENTS, REJECTED
from ledger.metrics import HTTP
from ledger.settings import Settings
from streams.replay import replay, replay_outcomes
from tests.faults.house import House
from tests.ingest.api.conftest import BATCH, JSON, NDJSON, Answer, Served, call, lines, read_events
from tests.tally.conftest import eventually

NO_DECISION: dict[str, dict[str, object]] = {
    "log.closed": {"moved_to": "x"},
    "price_book.adopted": {"name": "x", "document": "0" * 64},
    "generation.activated": {"generation": 2, "folds_version": 1},
}


def ids(events: list[Record]) -> list[str]:
    return [json.loads(line)["id"] for record in events for line in record.value.split(b"\n") if line]


def decision(id: str, control: str, body: dict[str, object]) -> dict[str, object]:
    return call(id) | {"type": "tallystick.control.v1", "data": {"control": control, "body": body}}


def budget(id: str, dimension: str = "team", scope: str = "search") -> dict[str, object]:
    limit = {"limit": "10", "currency": "USD", "window_s": 3600}
    return decision(id, "budget.allocated", {"dimension": dimension, "scope": scope} | limit)


def test_what_is_accepted_stands_where_the_answer_says(own_server: Served) -> None:
    own_server.start()
    sent_events = [call(f"{number}") for number in range(1201)]
    answer = own_server.send(lines(*sent_events))
    assert answer.status == 200
    answer_body = answer.json()
    assert (answer_body["accepted"], answer_body["refused"]) == (1201, 0)
    by_offset = {record.offset: record for record in read_events(own_server)}
    for event, position in zip(sent_events, answer_body["results"], strict=True):
        assert position["partition"] == partition_of("acme")
        line = by_offset[position["offset"]].value.split(b"\n")[position["event_index"]]
        assert json.loads(line)["id"] == event["id"]
    assert len(by_offset) == 3
    (principal,) = {record.headers["principal"] for record in by_offset.values()}
    assert principal == list_tokens(own_server.settings.home)[0].id
    assert {record.headers["channel"] for record in by_offset.values()} == {"http"}


def test_one_event_a_batch_and_lines_packed_or_not(api_server: Served) -> None:
    item = json.dumps(call("kinds")).encode()
    batch = b"[" + item + b"," + item + b"]"
    for content, kind in ((item, JSON), (item, "application/json"), (batch, BATCH), (batch, "application/json")):
        assert api_server.send(content, kind).json()["refused"] == 0
    for coding, pack in (("gzip", gzip.compress), ("zstd", zstandard.compress)):
        assert api_server.send(pack(item + b"\n" + item), NDJSON, Content_Encoding=coding).json()["accepted"] == 2
    outcomes = replay_outcomes(read_events(api_server), {})
    assert [line["outcome"] for line in outcomes if line["id"] == "kinds"] == ["counted"] + ["duplicate"] * 9


def test_each_event_is_judged_by_itself(api_server: Served) -> None:
    good, bad = call("judged"), call("judged-not", latency_ms=-1)
    answer = api_server.send(lines(bad, good, call("judged-2")) + b"\n{\n\n[]")
    assert answer.status == 200
    answer_body = answer.json()
    assert (answer_body["accepted"], answer_body["refused"]) == (2, 3)
    refused, first, second, *rejections = answer_body["results"]
    assert refused["field"] == "data.latency_ms" and "greater than or equal to 0" in refused["reason"]
    assert (first["event_index"], second["event_index"]) == (0, 1)
    assert [item["reason"] for item in rejections] == [
        "is not JSON: send one whole object a line",
        "is not a JSON object",
    ]
    record = read_events(api_server)[-1]
    assert ids([record]) == ["judged", "judged-2"] and record.headers["refused"] == "3"
    details = [json.loads(line) for line in read_events(api_server, topic=REJECTED)[-1].value.split(b"\n")]
    assert [item["path"] for item in details] == ["data.latency_ms", "", ""]


def test_a_single_event_that_is_refused_is_a_problem(api_server: Served) -> None:
    answer = api_server.send(json.dumps(call("x") | {"time": "yesterday"}).encode(), JSON)
    assert answer.status == 422 and answer.headers["content-type"] == "application/problem+json"
    answer_body = answer.json()
    assert answer_body["field"] == "time" and answer_body["reason"] and answer_body["status"] == 422
    assert read_events(api_server)[-1].headers["refused"] == "1"


def test_what_is_left_out_is_told_and_is_on_no_log(api_server: Served) -> None:
    answer_body = api_server.send(
        json.dumps(call("left-out", answer="MARK " * 9, completion_text="MARK")).encode(), JSON
    ).json()
    assert {item["path"]: item["times"] for item in answer_body["removed"]} == {
        "data.answer": 1,
        "data.completion_text": 1,
    }
    for path in api_server.settings.home.rglob("*"):
        assert not path.is_file() or b"MARK" not in path.read_bytes(), path


def test_who_shows_no_token_is_counted_and_not_kept(api_server: Served) -> None:
    before, strangers = len(read_events(api_server)), figure(api_server, "tally_http_unauthenticated_requests_total")
    revoked = api_server.bearer("write", organizations=("acme", "gone"))
    revoke_token(api_server.settings.home, list_tokens(api_server.settings.home)[-1].id)
    authorizations = [
        "",
        "Bearer",
        "Bearer x",
        "Basic eDp5",
        f"Basic {api_server.bearer('write')}",
        f"Bearer {revoked}",
    ]
    for authorization in authorizations:
        headers = {"Authorization": authorization, "Content-Type": NDJSON}
        answer = api_server.ask("/v1/events", "POST", lines(call("no")), 60, **headers)
        assert answer.status == 401 and answer.headers["www-authenticate"].startswith("Bearer")
        assert "tally token create" in answer.json()["detail"]
    assert len(read_events(api_server)) == before
    assert figure(api_server, "tally_http_unauthenticated_requests_total") == strangers + len(authorizations)


def test_a_token_is_for_its_organizations_and_its_roles(api_server: Served) -> None:
    batch = api_server.bearer("write", organizations=("acme", "beta"))
    assert api_server.send(lines(call("whose")), bearer=batch).status == 400
    assert api_server.send(lines(call("whose")), bearer=batch, Tally_Organization="beta").status == 200
    assert ids(read_events(api_server, "beta")) == ["whose"]
    before = len(read_events(api_server, "beta"))
    foreign = api_server.send(lines(call("foreign")), Tally_Organization="beta")
    assert foreign.status == 403 and "'beta'" in foreign.json()["detail"]
    assert len(read_events(api_server, "beta")) == before
    reader = api_server.bearer("read")
    assert api_server.send(lines(call("no")), bearer=reader).status == 403
    position = api_server.send(lines(call("asked"))).json()["results"][0]
    path = f"/v1/events/{position['partition']}/{position['offset']}"
    assert api_server.ask(path, Authorization=f"Bearer {api_server.bearer('write')}").status == 403
    assert api_server.ask(path, Authorization=f"Bearer {reader}").json() == {"folded": False, "events": []}
    stranger = api_server.bearer("read", organizations=("gamma",))
    assert api_server.ask(path, Authorization=f"Bearer {stranger}").status == 404
    assert api_server.ask("/v1/token", Authorization=f"Bearer {reader}").json()["roles"] == ["read"]


def test_decisions_take_an_admin_and_the_rest_is_made_elsewhere(api_server: Served) -> None:
    answer_body = api_server.send(lines(budget("by-writer"))).json()
    assert answer_body["results"] == [
        {"field": "type", "reason": "is a decision, which needs a token with the role admin"}
    ]
    admin = api_server.bearer("admin")
    assert api_server.send(lines(budget("by-admin")), bearer=admin).json()["accepted"] == 1
    assert api_server.send(lines(call("fact-by-admin")), bearer=admin).json()["refused"] == 1
    for control, content in NO_DECISION.items():
        (result,) = api_server.send(lines(decision("no", control, content)), bearer=admin).json()["results"]
        assert result["field"] == "data.control" and "`tally" in result["reason"]
    (result,) = api_server.send(lines(budget("whole", "organization", "beta")), bearer=admin).json()["results"]
    assert result["field"] == "data.body.scope"
    assert [line["outcome"] for line in replay_outcomes(read_events(api_server), {}) if line["id"] == "by-admin"] == [
        "counted"
    ]


def test_a_writer_asks_for_an_admission_and_its_answer_names_the_position(api_server: Served) -> None:
    limits = [{"meter": "tokens", "amount": 100}]
    granted: dict[str, object] = {"grant": "asked", "dimension": "team", "scope": "asked", "limits": limits}
    admin = api_server.bearer("admin")
    assert api_server.send(lines(decision("grant", "grant.created", granted)), bearer=admin).json()["accepted"] == 1
    asked = {"team": "asked", "user": "ann@example.com", "input_tokens": 60, "max_tokens": 20}
    request = {"type": "tallystick.admission.v1", "data": asked}
    positions = api_server.send(lines(call("ask-1") | request, call("ask-2") | request)).json()["results"]
    assert b"ann@example.com" not in read_events(api_server)[-1].value
    answers = {
        (answer["offset"], answer["event_index"]): json.loads(answer["body"])["answer"]
        for topic, record in replay(read_events(api_server), {})
        if topic is DECISIONS
        for answer in map(json.loads, record.value.split(b"\n"))
        if answer["decision"] == "admission.decided"
    }
    assert [answers[position["offset"], position["event_index"]] for position in positions] == ["allow", "deny"]


def test_the_examples_of_the_description_run(api_server: Served) -> None:
    described = api_server.ask("/openapi.json").json()
    send = described["paths"]["/v1/events"]["post"]
    bearers = {
        "call": api_server.bearer("write"),
        "batch": api_server.bearer("write"),
        "budget": api_server.bearer("admin"),
    }
    sent_events = 0
    for kind, content in send["requestBody"]["content"].items():
        for name, example in content.get("examples", {}).items():
            answer = api_server.send(json.dumps(example["value"]).encode(), kind, bearers[name])
            assert answer.status == 200 and answer.json()["refused"] == 0
            sent_events += 1
    assert sent_events == 5
    assert set(described["paths"]) == {
        "/v1/events", "/v1/events/{partition}/{offset}", "/v1/usage/{form}", "/v1/traces", "/v1/admissions",
        "/v1/admissions/{admission}", "/v1/leases", "/v1/leases/{lease}/return", "/v1/authorize", "/v1/decisions",
        "/v1/token", "/healthz", "/readyz", "/metrics",
    }  # fmt: skip
    assert openapi.describe_api()["openapi"] == "3.1.0"


def test_every_figure_is_named_and_explained(api_server: Served) -> None:
    families = {item.name: item for item in text_string_to_metric_families(api_server.ask("/metrics").body.decode())}
    for metric in HTTP:
        assert families[metric.name.removesuffix("_total")].documentation == metric.help
    metric_names = {metric.name.removesuffix("_total") for metric in HTTP}
    assert families.keys() <= metric_names | {f"{name}_created" for name in metric_names}


def figure(api_server: Served, name: str) -> float:
    families = text_string_to_metric_families(api_server.ask("/metrics").body.decode())
    return sum(sample.value for family in families for sample in family.samples if sample.name == name)


def test_what_became_of_it_can_be_asked(api_server: Served) -> None:
    position = api_server.send(lines(call("became"), call("became"))).json()["results"][0]
    body = {"grant": "a", "parent": "missing", "dimension": "team", "scope": "a"}
    grant = call("orphan grant") | {"type": "tallystick.control.v1", "data": {"control": "grant.created", "body": body}}
    granted = api_server.send(lines(grant), bearer=api_server.bearer("admin")).json()["results"][0]
    path, bearer = f"/v1/events/{position['partition']}/{position['offset']}", f"Bearer {api_server.bearer('read')}"
    house = House(api_server.settings.home)
    try:
        house.start("streams")
        eventually(lambda: api_server.ask(path, Authorization=bearer).json()["folded"])
        grant_path = f"/v1/events/{granted['partition']}/{granted['offset']}"
        eventually(lambda: api_server.ask(grant_path, Authorization=bearer).json()["folded"])
    finally:
        house.kill()
    (control,) = api_server.ask(grant_path, Authorization=bearer).json()["controls"]
    assert (control["decision"], control["reason"]) == ("control.ineffective", "there is no grant 'missing'")
    stored = api_server.ask(path, Authorization=bearer).json()["events"]
    assert [(item["id"], item["outcome"]) for item in stored] == [("became", "counted"), ("became", "duplicate")]


def test_what_is_not_there_is_said(api_server: Served) -> None:
    bearer = f"Bearer {api_server.bearer('read')}"
    for path in (f"/v1/events/1/{2**64}", f"/v1/events/{2**64}/1", "/v1/events/99/0", "/v1/nothing"):
        answer = api_server.ask(path, Authorization=bearer)
        assert answer.status == 404 and answer.json()["detail"], path
    answer = api_server.ask("/v1/events", "DELETE", Authorization=bearer)
    assert answer.status == 405 and answer.headers["allow"] == "POST"


def test_a_log_that_is_closed_takes_nothing_and_says_so(tmp_path: Path) -> None:
    api_server = Served(Settings(home=tmp_path / "home"))
    api_server.start()
    try:
        with closing(EmbeddedLog(api_server.settings.home)) as log:
            log.close_with(EVENTS, [], "kafka://elsewhere")
        answer = api_server.send(lines(call("late")))
    finally:
        api_server.kill()
    assert answer.status == 503 and answer.headers["retry-after"] == "1"
    assert "kafka://elsewhere" in answer.json()["detail"]


def test_a_log_that_does_not_answer_is_not_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "READY_TIMEOUT_S", 0.05)
    answering = threading.Event()
    with closing(EmbeddedLog(tmp_path)) as log, closing(EmbeddedLog(tmp_path)) as reader:
        monkeypatch.setattr(reader, "end", lambda *_: answering.wait(60))
        with TestClient(app.Api(Settings(home=tmp_path), log, reader).app()) as client:
            answer = client.get("/readyz")
            assert answer.status_code == 503 and answer.headers["retry-after"] == "1"
            assert "the log has not answered for 0.05 s" in answer.json()["detail"]
            assert client.get("/healthz").status_code == 200
            answering.set()
            monkeypatch.setattr(app, "READY_TIMEOUT_S", 60)  # however busy the machine is
            assert client.get("/readyz").status_code == 200


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(2, 20))])
def test_what_was_accepted_outlives_the_api(own_server: Served, seed: int) -> None:
    """Killed with SIGKILL at any moment: what was answered stands once; what was not is sent again."""
    chance = random.Random(seed)
    own_server.start()
    stop = threading.Event()

    def kill() -> None:
        while not stop.wait(chance.uniform(0.1, 0.8)):
            assert own_server.process
            os.kill(own_server.process.pid, signal.SIGKILL)
            own_server.process.wait()
            own_server.start()

    def send(sender: int) -> int:
        repeats = 0
        for number in range(12):
            events = [call(f"{sender}-{number}-{position}") for position in range(1 + number % 3)]
            while (answer := try_send(own_server, lines(*events))) is None or answer.status == 503:
                repeats += 1
                time.sleep(0.05)
            assert answer.status == 200 and answer.json()["refused"] == 0, (seed, answer)
        return repeats

    own_server.bearer("write")
    killer = threading.Thread(target=kill)
    killer.start()
    try:
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(send, range(4)))
    finally:
        stop.set()
        killer.join()
    counted = [line["id"] for line in replay_outcomes(read_events(own_server), {}) if line["outcome"] == "counted"]
    sent_events = [
        f"{sender}-{number}-{position}"
        for sender in range(4)
        for number in range(12)
        for position in range(1 + number % 3)
    ]
    assert sorted(counted) == sorted(sent_events), seed


def try_send(api_server: Served, content: bytes) -> Answer | None:
    try:
        return api_server.send(content, timeout=30)
    except (OSError, HTTPException):  # it was killed before its answer, or within
        return None


def test_an_api_whose_tokens_are_damaged_lets_nobody_in_and_says_so(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """503 without where and why for who asks, the reason once in the log, and all as before with the file restored."""
    settings = Settings(home=tmp_path / "home")
    _, bearer = create_token(settings.home, ["acme"], ["write", "read"])
    tokens_file = (settings.home / "tokens.json").read_bytes()
    with closing(open_log(settings, new=True)) as log:
        client = TestClient(app.Api(settings, log, log).app())
        headers = {"Authorization": f"Bearer {bearer}"}
        assert client.get("/v1/token", headers=headers).status_code == 200
        for damaged in (b"", b"{", b"[1]", b"null", b'{"a": 1}', b'[{"id": 1}]'):
            (settings.home / "tokens.json").write_bytes(damaged)
            for _ in range(2):
                answer = client.get("/v1/token", headers=headers)
                assert answer.status_code == 503 and "tokens of this home" in answer.json()["detail"], damaged
                assert str(tmp_path) not in answer.text
            assert capfd.readouterr().out.count("tokens.json is damaged") == 1
        (settings.home / "tokens.json").write_bytes(tokens_file)
        assert client.get("/v1/token", headers=headers).status_code == 200
