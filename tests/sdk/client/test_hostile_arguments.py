"""Whatever an application gives the client: no call raises, and nothing of a secret leaves the process."""

import json
import logging
from collections import UserDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tallystick import Client, Inference
from tallystick.privacy.key_shapes import fingerprint
from tests.ingest.api.conftest import Served
from tests.sdk.conftest import read_inferences

NOWHERE = "http://127.0.0.1:9"
MARK = "QZXMARKED"
SECRET = f"sk-proj-{MARK}0123456789"


def _fail(*_: object) -> Any:
    raise RuntimeError(MARK)


class Raises:
    """Fails whatever is asked of it, but for its repr: pydantic ignores that that fails, and pytest then asks again."""

    __str__ = __bool__ = __hash__ = __iter__ = __len__ = __eq__ = __int__ = __float__ = __index__ = _fail
    __getattr__ = __getitem__ = __contains__ = __format__ = _fail


class RaisingMapping(UserDict[str, Any]):
    def __getitem__(self, key: str) -> Any:
        raise RuntimeError(MARK)

    def get(self, key: str, default: Any = None) -> Any:
        raise RuntimeError(MARK)


def cyclic() -> Any:
    inner: dict[str, Any] = {}
    inner["self"] = [inner]
    return inner


def deep() -> Any:
    value: Any = "x"
    for _ in range(5_000):
        value = [value]
    return value


HOSTILE: dict[str, Any] = {
    "raises": Raises(), "mapping": RaisingMapping(x=1), "cyclic": cyclic(), "deep": deep(), "huge int": 10**5_000,
    "wide": {f"k{n}": "v" for n in range(20_000)}, "long": "x" * 5_000_000, "surrogate": "\ud800", "nul": "a\0b",
    "bytes": b"\xff" * 100, "nan": float("nan"), "set": {1, 2}, "class": Raises, "generator": (n for n in range(3)),
}  # fmt: skip


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    client = Client(NOWHERE, "t", source="app", spool=tmp_path / "spool")
    yield client
    client.close(0)


@pytest.mark.parametrize("name", HOSTILE)
def test_no_argument_makes_a_call_raise(client: Client, name: str, caplog: pytest.LogCaptureFixture) -> None:
    value = HOSTILE[name]
    client.record(value)
    client.record(usage=value)
    client.record(usage={"usage": value, "model": value})
    for field in (
        "model",
        "tags",
        "tokens",
        "acting_for",
        "key",
        "provider_usage",
        "usage_source",
        "latency_ms",
        "other",
    ):
        client.record(**{field: value})
    client.record(tags={"a": value}, provider_usage={"a": value}, tokens={"input": value})
    client.observe(value)
    client.observe(call=value, metric=value)
    with client.session(value, team=value) as session, session.call(model=value) as call:
        call.usage(value)
        call.say(tags=value, tokens=value)
        client.record(model="m")
    assert client.counts.recorded > 10 and client.counts.dropped <= 3, "but for what is no inference or observation"
    assert MARK not in caplog.text
    assert client.record(model="m"), "and it goes on"


def test_what_an_application_raises_is_its_own(client: Client) -> None:
    class Odd(Exception):
        pass

    Odd.__name__ = "x" * 10_000
    with pytest.raises(Odd), client.call(model="m"):
        raise Odd


def test_a_handler_that_fails_is_no_failure_of_a_call(client: Client) -> None:
    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise OSError("no log")

    logger, broken = logging.getLogger("tallystick"), Broken()
    logger.addHandler(broken)
    try:
        assert client.record(model=b"5") and client.counts.left_out == 1
    finally:
        logger.removeHandler(broken)


def test_more_fields_than_the_ledger_takes_cost_no_event(client: Client) -> None:
    assert client.record(model="m", **{f"n{number}": 10**12 for number in range(10_000)})
    assert client.counts.recorded == 1 and client.counts.dropped == 0


def test_no_key_leaves_the_process(client: Client, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    fields: dict[str, Any] = {
        "key": SECRET, "session": SECRET, "tags": {"a": f"Bearer {SECRET}", SECRET: "b"}, "acting_for": [SECRET],
        "provider_usage": {f"ghp_{MARK}0123456789012345": 1}, f"hf_{MARK}0123456789012345": 1,
    }  # fmt: skip
    assert client.record(**fields) and client.record(Inference(**{k: v for k, v in fields.items() if "hf_" not in k}))
    assert client.record(session="-----BEGIN PRIVATE KEY-----\n" + MARK * 80), "longer than its field, as it is"
    client.observe(session=SECRET, evaluator=f"https://ann:{MARK}@h/x")
    with client.session(SECRET), client.call(agent=SECRET):
        pass
    second_client = Client(f"http://ann:{MARK}@127.0.0.1:9", "t", source=f"app {SECRET}", spool=tmp_path / "spool")
    assert second_client.record(model="m") and not second_client.flush(0.5)
    second_client.close(0)
    files = [path for path in (tmp_path / "spool").rglob("*") if path.is_file()]
    text = "".join(path.read_text() for path in files) + "".join(map(str, files))
    assert MARK not in text and MARK not in caplog.text
    assert text.count(f'"key":"{fingerprint(SECRET)}"') == 2 and client.counts.dropped == 0


def test_the_ledger_keeps_what_the_client_made(api_server: Served, tmp_path: Path) -> None:
    """The same fingerprint, whether the client made it or the intake."""
    client = Client(api_server.address.geturl(), api_server.bearer("write"), source="app", spool=tmp_path / "spool")
    client.record(key=SECRET, session=f"of {SECRET}", agent="ann@example.com", feature="ann@example.com")
    assert client.flush(60)
    client.close()
    data = read_inferences(api_server)[-1]["data"]
    assert data["key"] == fingerprint(SECRET) and data["session"] == f"of {fingerprint(SECRET)}"
    assert data["agent"] == data["feature"] and data["agent"].startswith("p_")


@pytest.mark.parametrize(
    ("fields", "stored"),
    [
        ({"usage_source": "missing", "tokens": {"input": 1}}, None),
        ({"usage_source": "reported"}, None),
        ({"usage_source": "missing"}, "missing"),
        ({"usage_source": "estimated", "tokens": {"input": 1}}, "estimated"),
        ({"tokens": {"input": 1}}, None),
    ],
)
def test_where_usage_comes_from_is_not_said_against_the_usage(
    client: Client, fields: dict[str, Any], stored: str | None
) -> None:
    assert client._build_inference(dict(fields), None).usage_source == stored
    assert client.record(**fields), "the tokens are worth more than the word beside them"


def test_a_call_says_missing_only_where_nothing_is_given(client: Client, tmp_path: Path) -> None:
    with client.call(feature="by hand") as call:
        call.usage(object())
        call.say(tokens={"input": 3})
    with client.call(feature="nothing"):
        pass
    client.record(usage=object(), tokens={"input": 3})
    lines = b"".join(path.read_bytes() for path in (tmp_path / "spool").rglob("*.ndjson")).splitlines()
    assert [b'"usage_source":"missing"' in line for line in lines] == [False, True, False]


def test_an_attribute_costs_no_call(client: Client, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    odd: dict[str, Any] = {
        "user": 12345, "session": UUID(int=7), "team": "", "latency_ms": 12.6, "claimed_cost": "$0.02",
        "tags": {"a": None, "b": 1}, "feature": "x" * 300, "status": "OK",
    }  # fmt: skip
    assert client.record(tokens={"input": 5}, **odd)
    with client.session(team=b"core") as session, session.call(model="m", tags=[1]) as call:
        call.say(tokens={"input": 5}, priority=object())
    client.observe(call="x", metric="solved", value=True, evaluator=5, ticket="x" * 300, anything="x")
    first, second, third = (data for data in read_spool(tmp_path / "spool"))
    assert first == {
        "user": "12345", "session": str(UUID(int=7)), "latency_ms": 13, "claimed_cost": "0.02", "tags": {"b": "1"},
        "status": "ok", "tokens": {"input": 5}, "claimed_currency": "USD", "left_out": ["feature"],
    }  # fmt: skip
    assert second["tokens"] == {"input": 5} and second["left_out"] == ["priority", "tags", "team"]
    assert third["value"] == "1" and third["evaluator"] == "5" and "ticket" not in third
    assert client.counts == (3, 0, 0, 0, 0, 6)
    assert "a field 'team' does not fit and is left out; its event is recorded. Send a text of 1 to 256" in caplog.text


def test_a_wrong_count_is_unknown_usage_and_no_smaller_number(client: Client, tmp_path: Path) -> None:
    assert client.record(tokens={"input": 5, "output": "many"}, usage_source="reported")
    (data,) = read_spool(tmp_path / "spool")
    assert data["usage_source"] == "unknown" and data["provider_usage"] == {"tokens": {"input": 5}}
    assert "tokens" not in data and data["left_out"] == ["tokens.output"]


def test_a_name_is_logged_once_and_never_where_it_may_be_content(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(50):
        client.record(team=b"core", **{"what is the plan of QZXMARKED": "x"})
    assert client.counts.left_out == 100 and MARK not in caplog.text
    messages = [record.getMessage() for record in caplog.records]
    # The delivery may have logged by now, too, that nobody answers.
    assert [message[:24] for message in messages if not message.startswith(NOWHERE)] == [
        "a field of a name that m",
        "a field 'team' does not ",
    ]


def read_spool(folder: Path) -> list[dict[str, Any]]:
    """Read the data of the events that a client has recorded."""
    lines = b"".join(path.read_bytes() for path in sorted(folder.rglob("*.ndjson"))).splitlines()
    return [json.loads(line)["data"] for line in lines]
